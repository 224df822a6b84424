"""Which existing names may be meant by one that does not exist."""

import heapq
from collections.abc import Sequence
from difflib import get_close_matches
from itertools import takewhile
from typing import Final

OTHER_WORDS: Final = {
    "arguments": ("args", "argv"),
    "command": ("cmd", "exec", "run", "script"),
    "directory": ("cwd", "dir", "folder", "path", "workdir", "workingDir", "workingDirectory", "working_directory"),
    "environment": ("env", "envVars", "variables"),
}
"""What other tools call arguments that programs are started with."""

MOST: Final = 500
"""How many of the known names are compared as a whole: 10,000 would take a fifth of a second."""


_SHORT: Final = 3
"""Letters that are enough for the beginning of a name."""


def hint_at(name: str, known: Sequence[str]) -> str:
    """Return `; did you mean 'x' or 'y'?` with the names of `known` that are like `name`, or nothing."""
    label, dot, project = name.partition(".")
    labels = {each: each.partition(".")[::2] for each in known}
    mates = {each: first for each, (first, other) in labels.items() if other == project} if dot else {}
    if mates:  # of the same project, whose name makes all of its services alike; then of the same short name
        near = close_names(label, list(mates.values()))
        close = [each for one in near for each, first in mates.items() if first == one]
        close = (close or [each for each, (first, _) in labels.items() if first == label])[:3]
    elif dot:  # a project with such a name, or what belongs to none; the same short name elsewhere is other code
        near = close_names(project, list(dict.fromkeys(other for _, other in labels.values() if other)))
        close = close_names(name, [each for each, (_, other) in labels.items() if other in near])
        close = close or close_names(label, [each for each, (_, other) in labels.items() if not other])
    elif not (close := close_names(name, known)):  # a short name of a project's service
        near = close_names(name, list(dict.fromkeys(first for first, _ in labels.values())))
        close = [each for each, (first, _) in labels.items() if first in near][:3]
    return f"; did you mean {' or '.join(repr(each) for each in close)}?" if close else ""


def did_you_mean(name: str, known: Sequence[str], otherwise: str = "") -> str:
    """Return `did you mean 'x'?` with the name of `known` that is most like `name`; `otherwise` if none is."""
    close = other_word(name, known) or next(iter(close_names(name, known, 1)), "")
    return f"did you mean {close!r}?" if close else otherwise


def other_word(name: str, known: Sequence[str]) -> str:
    """Return the name in `known` that other tools call `name`; nothing if none is known by it."""
    return next((each for each, words in OTHER_WORDS.items() if name in words and each in known), "")


def close_names(name: str, known: Sequence[str], most: int = 3) -> list[str]:
    """Return the names that are most like `name`; among very many, of those that begin and end most like it."""
    if len(known) > MOST:
        backwards = name[::-1]

        def ends_alike(other: str) -> int:
            return _begin_alike(name, other) + _begin_alike(backwards, other[::-1])

        known = heapq.nlargest(MOST, known, key=ends_alike)
    if found := get_close_matches(name, known, n=most):
        return found
    folded = {each.lower(): each for each in known}
    if found := get_close_matches(name.lower(), list(folded), n=most):
        return [folded[each] for each in found]
    return [folded[each] for each in folded if each.startswith(name.lower())][:most] if len(name) >= _SHORT else []


def _begin_alike(one: str, other: str) -> int:
    """Return how many characters both have in common at their beginning."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
