"""Drafts from the tools lists of real servers: how many are right, or rightly refused, and how many ask nothing."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figures import row, title
from ostler.model.errors import DefinitionError
from ostler.rules.checking.tool_lists import KnownTools, tool_list_from_json
from ostler.rules.drafts.class_writer import Draft
from ostler.rules.drafts.drafting import draft_class
from ostler.rules.drafts.tool_traits import Tool
from ostler.rules.reading import check_text

if TYPE_CHECKING:
    from ostler.model.json import JsonObject

TESTED = Path(__file__).resolve().parent.parent / "tests" / "rules" / "data" / "drafts"
"""A tools list for each server, and the pairs that a person chose from it before any draft was made."""

FURTHER = Path(__file__).resolve().parent / "data" / "drafts"
"""More of them, too many for the tests."""


def expected_pairs(folder: Path = TESTED) -> dict[str, list[list[str]]]:
    """Return server → the pairs of tools that are each right; none: a draft must be refused."""
    found: dict[str, list[list[str]]] = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    return found


def drafted(server: str, folder: Path = TESTED) -> Draft | None:
    """Return the draft from the list of `server`, None when it was refused."""
    listed: list[JsonObject] = json.loads((folder / f"{server}.json").read_text(encoding="utf-8"))["tools"]
    try:
        return draft_class(server, [Tool.of(tool) for tool in listed])
    except DefinitionError:
        return None


def is_right(draft: Draft | None, pairs: list[list[str]]) -> bool:
    """Whether a draft is of one of `pairs`, or was refused where there is none."""
    if draft is None:
        return not pairs
    return [draft.start.partition("/")[2], draft.stop.partition("/")[2]] in pairs


def main() -> None:
    """Run and print."""
    title("Drafts from the tools lists of real servers")
    for folder, what in ((TESTED, "lists that the tests have, too"), (FURTHER, "further lists")):
        print(f"\n{what}:")
        _score(folder)


def _score(folder: Path) -> None:
    times: list[float] = []
    right: list[str] = []
    silent: list[str] = []
    wrong: list[str] = []
    expected = expected_pairs(folder)
    for server, pairs in expected.items():
        began = time.perf_counter()
        draft = drafted(server, folder)
        times.append(time.perf_counter() - began)
        if not is_right(draft, pairs):
            got = "a refusal" if draft is None else f"{draft.start} / {draft.stop}"
            wrong.append(f"{server}: {got}, and not {' or '.join(' / '.join(pair) for pair in pairs) or 'a refusal'}")
            continue
        right.append(server)
        if draft is not None and not draft.questions:
            silent.append(server)
    kept = [server for server in right if expected[server]]
    print(f"right or rightly refused: {len(right)} of {len(expected)} ({len(kept)} drafts)")
    print(f"of the right drafts, without a question: {len(silent)} of {len(kept)} ({', '.join(silent)})")
    print("\n".join(wrong))
    print(row("one draft", times))


def findings(server: str, draft: Draft, folder: Path = TESTED) -> list[str]:
    """Return what the check finds in a draft, against the list that it was made from."""
    text = (folder / f"{server}.json").read_text(encoding="utf-8")
    known = KnownTools({server: tool_list_from_json(text, server)})
    return [str(found) for found in check_text(draft.manifest, server, known).findings]
