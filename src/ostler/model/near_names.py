"""Which existing names may be meant by one that does not exist."""

import heapq
from collections.abc import Sequence
from difflib import get_close_matches
from itertools import takewhile
from typing import Final

MOST: Final = 500
"""How many of the known names are compared as a whole: 10,000 would take a fifth of a second."""


def hint_at(name: str, known: Sequence[str]) -> str:
    """Return `; did you mean 'x' or 'y'?` with the names of `known` that are like `name`, or nothing."""
    close = close_names(name, known)
    if not close and "." not in name:  # a short name of a project's service
        first = {each: each.partition(".")[0] for each in known}
        labels = close_names(name, list(dict.fromkeys(first.values())))
        close = [each for each, label in first.items() if label in labels][:3]
    return f"; did you mean {' or '.join(repr(each) for each in close)}?" if close else ""


def close_names(name: str, known: Sequence[str], most: int = 3) -> list[str]:
    """Return the names that are most like `name`; among very many, of those that begin and end most like it."""
    if len(known) > MOST:
        backwards = name[::-1]

        def ends_alike(other: str) -> int:
            return _begin_alike(name, other) + _begin_alike(backwards, other[::-1])

        known = heapq.nlargest(MOST, known, key=ends_alike)
    return get_close_matches(name, known, n=most)


def _begin_alike(one: str, other: str) -> int:
    """Return how many characters both have in common at their beginning."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
