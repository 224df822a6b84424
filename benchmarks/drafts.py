"""Drafts from the tools lists of real servers: how many are right, or rightly refused, and how many ask nothing."""

import json
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figures import row, title
from ostler.model.errors import DefinitionError
from ostler.rules.checking.tool_lists import KnownTools, tool_list_from_json
from ostler.rules.drafts.class_writer import Draft
from ostler.rules.drafts.drafting import NAMED, draft_class
from ostler.rules.drafts.lifecycle_pairs import LifecyclePair, find_pairs
from ostler.rules.drafts.tool_traits import Tool
from ostler.rules.reading import check_text

if TYPE_CHECKING:
    from ostler.model.json import JsonObject

TESTED = Path(__file__).resolve().parent.parent / "tests" / "rules" / "data" / "drafts"
"""A tools list for each server, and the pairs that a person chose from it before any draft was made."""

HELD_OUT = "held-out.json"
"""The file of those of them that neither the rules nor the weights were made with."""

ASKED = "wrong, but named in a question"
"""A right pair is among the few that a question of the draft names."""

FURTHER = Path(__file__).resolve().parent / "data" / "drafts"
"""More of them, too many for the tests."""


def expected_pairs(folder: Path = TESTED, file: str = "expected.json") -> dict[str, list[list[str]]]:
    """Return server → the pairs of tools that are each right; none: a draft must be refused."""
    found: dict[str, list[list[str]]] = json.loads((folder / file).read_text(encoding="utf-8"))
    return found


def tools_of(server: str, folder: Path = TESTED) -> list[Tool]:
    """Return the tools of a server's list."""
    listed: list[JsonObject] = json.loads((folder / f"{server}.json").read_text(encoding="utf-8"))["tools"]
    return [Tool.of(tool) for tool in listed]


def drafted(server: str, folder: Path = TESTED) -> Draft | None:
    """Return the draft from the list of `server`, None when it was refused."""
    try:
        return draft_class(server, tools_of(server, folder))
    except DefinitionError:
        return None


def is_right(draft: Draft | None, pairs: list[list[str]]) -> bool:
    """Whether a draft is of one of `pairs`, or was refused where there is none."""
    if draft is None:
        return not pairs
    return [draft.start.partition("/")[2], draft.stop.partition("/")[2]] in pairs


def outcome(pairs: Sequence[LifecyclePair], expected: Sequence[Sequence[str]]) -> str:
    """Return how what was found compares with what a person chose: `right …`, or what is wrong."""
    if not pairs:
        return "refused, though there is a pair" if expected else "right, refused"
    if not expected:
        return "drafted, though there is none"
    best, *rest = pairs
    if _is_of(best, expected):
        return "right"
    rivals = [pair for pair in rest if best.rivals(pair)][:NAMED]
    ends = [[best.start.tool.name, stop.partition("(")[0]] for stop in best.others[:NAMED]]
    is_named = any(_is_of(pair, expected) for pair in rivals) or any(end in expected for end in ends)
    return ASKED if is_named else "wrong pair"


def _is_of(pair: LifecyclePair, expected: Sequence[Sequence[str]]) -> bool:
    return [pair.start.tool.name, pair.stop.tool.name] in [list(each) for each in expected]


def main() -> None:
    """Run and print."""
    title("Drafts from the tools lists of real servers")
    lists = ((TESTED, "expected.json", "lists that the tests have, too"), (FURTHER, "expected.json", "further lists"))
    for folder, file, what in (*lists, (FURTHER, HELD_OUT, "lists that no weight or rule was made with")):
        print(f"\n{what}:")
        _score(folder, file)


def _score(folder: Path, file: str) -> None:
    times: list[float] = []
    kinds: Counter[str] = Counter()
    silent: list[str] = []
    wrong: list[str] = []
    expected = expected_pairs(folder, file)
    for server, pairs in expected.items():
        began = time.perf_counter()
        draft = drafted(server, folder)
        times.append(time.perf_counter() - began)
        kind = outcome(find_pairs(tools_of(server, folder)), pairs)
        kinds[kind] += 1
        if not is_right(draft, pairs):
            got = "a refusal" if draft is None else f"{draft.start} / {draft.stop}"
            wanted = " or ".join(" / ".join(pair) for pair in pairs) or "a refusal"
            wrong.append(f"  {kind}: {server}: {got}, and not {wanted}")
        elif draft is not None and not draft.questions:
            silent.append(server)
    right = len(expected) - len(wrong)
    print(
        f"right or rightly refused: {right} of {len(expected)}; with those that a question names: "
        f"{right + kinds[ASKED]}"
    )
    print("; ".join(f"{count} {kind}" for kind, count in kinds.most_common()))
    print(f"of the right drafts, without a question: {len(silent)} of {kinds['right']} ({', '.join(silent)})")
    print("\n".join(sorted(wrong)))
    print(row("one draft", times))


def findings(server: str, draft: Draft, folder: Path = TESTED) -> list[str]:
    """Return what the check finds in a draft, against the list that it was made from."""
    text = (folder / f"{server}.json").read_text(encoding="utf-8")
    known = KnownTools({server: tool_list_from_json(text, server)})
    return [str(found) for found in check_text(draft.manifest, server, known).findings]
