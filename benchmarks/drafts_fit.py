"""Fits the weights by which drafts choose a pair of tools, and says how well they do on lists that they did not see.

A list's pairs compete with each other and with "none of them": a softmax over the scores of all, that of none being 0.
The weights are those that make the labelled answers likeliest, kept small by a penalty. Every list counts once, however
many pairs it has.
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tests.rules.test_drafting import LISTS as SHIPPED
from tests.rules.test_drafting import PAIRS

from benchmarks.drafts import FURTHER, TESTED, expected_pairs, outcome, tools_of
from benchmarks.figures import title
from ostler.rules.drafts.lifecycle_pairs import Weights, candidates, find_pairs
from ostler.rules.drafts.tool_traits import Step, Tool

WEIGHTS = Path(__file__).resolve().parent.parent / "src" / "ostler" / "rules" / "drafts" / "pair_weights.py"
PENALTY = 0.01
STEPS = 800
FOLDS = 10
_SMALLEST = 0.05


@dataclass(frozen=True, slots=True)
class Labelled:
    """A list and what a person chose from it.

    Attributes:
        server: its name.
        tools: its tools.
        expected: the pairs that are each right.
        pairs: the candidates: start, stop and features.
        right: for each, whether it is one of those that the person chose.
        is_refused: there is none, so a draft must be refused.
    """

    server: str
    tools: Sequence[Tool]
    expected: Sequence[Sequence[str]]
    pairs: Sequence[tuple[Step, Step, Mapping[str, float]]]
    right: Sequence[bool]
    is_refused: bool


def labelled(server: str, tools: Sequence[Tool], expected: Sequence[Sequence[str]]) -> Labelled:
    """Return a list with its label."""
    pairs = [(start, stop, facts.features) for start, stop, facts in candidates(tools)]
    right = [[start.tool.name, stop.tool.name] in [list(pair) for pair in expected] for start, stop, _ in pairs]
    return Labelled(server, tools, expected, pairs, right, not expected)


def fit(lists: Sequence[Labelled]) -> Weights:
    """Return the weights for `lists`."""
    usable = [each for each in lists if each.is_refused or any(each.right)]
    names = sorted({name for each in usable for _, _, features in each.pairs for name in features})
    place = {name: at for at, name in enumerate(names)}
    rows: list[list[float]] = []
    good: list[bool] = []
    sizes: list[int] = []
    for each in usable:
        for (_, _, features), is_right in zip(each.pairs, each.right, strict=True):
            row = [0.0] * (len(names) + 1)
            for name, value in features.items():
                row[place[name]] = value
            rows.append(row)
            good.append(is_right)
        rows.append([0.0] * len(names) + [1.0])
        good.append(each.is_refused)
        sizes.append(len(each.pairs) + 1)
    found = _descended(np.array(rows), np.array(good), np.array(sizes))
    return Weights({name: float(found[at]) for name, at in place.items()}, float(found[-1]))


def _descended(rows: "np.ndarray", good: "np.ndarray", sizes: "np.ndarray") -> "np.ndarray":
    """Return the weights of the columns, by gradient descent (Adam)."""
    begins = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    of_list = np.repeat(np.arange(len(sizes)), sizes)
    weights = np.zeros(rows.shape[1])
    mean, spread = np.zeros_like(weights), np.zeros_like(weights)
    for step in range(1, STEPS + 1):
        scores = rows @ weights
        likely = np.exp(scores - np.maximum.reduceat(scores, begins)[of_list])
        share = likely / np.add.reduceat(likely, begins)[of_list]
        chosen = np.where(good, likely, 0)
        slope = rows.T @ (share - chosen / np.add.reduceat(chosen, begins)[of_list]) / len(sizes) + PENALTY * weights
        mean, spread = 0.9 * mean + 0.1 * slope, 0.999 * spread + 0.001 * slope**2
        rate = 0.1 if step < STEPS // 2 else 0.02
        weights -= rate * (mean / (1 - 0.9**step)) / (np.sqrt(spread / (1 - 0.999**step)) + 1e-8)
    return weights


def unseen(lists: Sequence[Labelled], folds: int = FOLDS) -> dict[str, tuple[Weights, Labelled]]:
    """Return for each list the weights of a fit that it had no part in."""
    shuffled = list(lists)
    random.Random(5).shuffle(shuffled)  # the same folds in every run
    found: dict[str, tuple[Weights, Labelled]] = {}
    for fold in range(folds):
        rest = [each for at, each in enumerate(shuffled) if at % folds != fold]
        made = fit(rest)
        found |= {each.server: (made, each) for each in shuffled[fold::folds]}
    return found


def main() -> None:
    """Fit, write the weights, and print how well such a fit does on lists that it had no part in."""
    shipped = [(server, SHIPPED, _tools_of_pairs(pairs)) for server, pairs in PAIRS.items()]
    known = [
        (server, folder, pairs) for folder in (TESTED, FURTHER) for server, pairs in expected_pairs(folder).items()
    ]
    lists = [labelled(server, tools_of(server, folder), expected) for server, folder, expected in (*shipped, *known)]
    title(f"Weights of drafts, fitted to {len(lists)} lists with {sum(len(each.pairs) for each in lists)} candidates")
    made = fit(lists)
    _write(made)
    print("on the lists themselves:")
    _score({each.server: (made, each) for each in lists})
    print(f"\non lists that the fit had no part in ({FOLDS} fits, each without a part of them):")
    _score(unseen(lists))


def _tools_of_pairs(pairs: Sequence[str]) -> list[list[str]]:
    return [[step.partition("(")[0] for step in pair.split(" / ")] for pair in pairs]


def _score(fits: Mapping[str, tuple[Weights, Labelled]]) -> None:
    kinds: Counter[str] = Counter()
    misses: list[str] = []
    for server, (made, each) in fits.items():
        found = find_pairs(each.tools, weights=made)
        kind = outcome(found, each.expected)
        kinds[kind] += 1
        if not kind.startswith("right"):
            got = "; ".join(f"{pair} {pair.score:.1f}" for pair in found[:3]) or "a refusal"
            wanted = " or ".join(" / ".join(pair) for pair in each.expected) or "a refusal"
            misses.append(f"  {kind}: {server}: {got}, and not {wanted}")
    print("; ".join(f"{count} {kind}" for kind, count in kinds.most_common()))
    print("\n".join(sorted(misses)))


def _write(made: Weights) -> None:
    kept = {name: weight for name, weight in made.features.items() if abs(weight) >= _SMALLEST}
    ordered = sorted(kept.items(), key=lambda item: -item[1])
    rows = "".join(f'    "{name}": {weight:.2f},\n' for name, weight in ordered)
    WEIGHTS.write_text(
        '"""How much each feature of a pair says, fitted to labelled lists: `python -m benchmarks drafts-fit`."""\n\n'
        f"WEIGHTS: dict[str, float] = {{\n{rows}}}\n"
        '"""Feature of `pair_features` → what it adds to the score."""\n\n'
        f"REFUSAL = {made.refusal:.2f}\n"
        '"""The score at which a pair is as likely as that the server has none."""\n',
        encoding="utf-8",
    )
