"""Regular expressions in clients' lists of tools, as the globs that match the same names."""

import re
from itertools import product
from typing import Final

from ostler.adapters.config.dialects.draft import exactly

_MOST: Final = 64
"""Globs that a pattern may be, and groups that it may have: they are read by recursion."""

_TOKEN: Final = re.compile(
    r"(?P<open>\((?:\?:)?)|(?P<close>\))|(?P<bar>\|)|(?P<class>\[\^?(?!!)[^\]\\\[]+\])|(?P<known>\\[dw])|(?P<any>\.)"
    r"|\\(?P<escaped>[^A-Za-z0-9])|(?P<plain>[^\\()|\[\]{}.*+?^$])"
)
_CLASSES: Final = {"\\d": "[0-9]", "\\w": "[A-Za-z0-9_]"}
_TIMES: Final = {"*": ["*"], "+": ["?*"], "?": ["", "?"]}
"""What a dot with this sign after it is."""


def globs_of(pattern: str) -> list[str] | None:
    """Return the globs that together match the names that a pattern matches as a whole; None if there are none.

    A pattern may have alternatives in groups, classes of characters, dots, and parts that may be missing.
    """
    if pattern.count("(") > _MOST:
        return None
    reader = _Reader(pattern.removeprefix("^").removesuffix("$"))
    globs = reader.alternatives()
    return None if globs is None or not reader.is_at_end else list(dict.fromkeys(globs))


class _Reader:
    """Reads a pattern from left to right; what it cannot say in globs is None."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._place = 0

    @property
    def is_at_end(self) -> bool:
        """Whether all of the pattern has been read."""
        return self._place == len(self._pattern)

    def alternatives(self) -> list[str] | None:
        """Return the globs of what is between bars, up to the end of the group."""
        found: list[str] = []
        branch = [""]
        while (token := _TOKEN.match(self._pattern, self._place)) is not None and not token["close"]:
            self._place = token.end()
            if token["bar"]:
                found, branch = found + branch, [""]
                continue
            part = self._part(token)
            if part is None or len(found) + len(part) * len(branch) > _MOST:
                return None
            branch = ["".join(both) for both in product(branch, part)]
        return found + branch

    def _part(self, token: re.Match[str]) -> list[str] | None:
        if token["open"]:
            inner = self.alternatives()
            if inner is None or not self._take(")"):
                return None
            return self._repeated(inner)
        if token["any"]:
            return next((part for sign, part in _TIMES.items() if self._take(sign)), ["?"])
        if token["class"]:
            return self._repeated([token["class"].replace("[^", "[!", 1)])
        return self._repeated([_CLASSES.get(token[0]) or exactly(token["escaped"] or token["plain"])])

    def _repeated(self, part: list[str]) -> list[str] | None:
        """Return a part that may be missing; None for one that may be repeated."""
        if self._pattern[self._place : self._place + 1] in ("*", "+", "{"):
            return None
        return ["", *part] if self._take("?") else part

    def _take(self, sign: str) -> bool:
        is_there = self._pattern.startswith(sign, self._place)
        self._place += len(sign) if is_there else 0
        return is_there
