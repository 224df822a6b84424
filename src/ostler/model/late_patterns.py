"""Regular expressions that are compiled when they are first used: those of rare texts are 20 ms of a server's start."""

import re
from functools import cached_property
from typing import Any, Final, cast

COMPILE: Final = re.compile
"""`re.compile` itself: `late_pattern` stands in for it while some libraries are imported."""


def late_pattern(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """Return what acts as `re.compile(pattern, flags)` does; a fault in `pattern` is raised at its first use."""
    return cast("re.Pattern[str]", _Late(pattern, flags))


class _Late:
    """Has what the compiled pattern has, each from its first use on."""

    def __init__(self, pattern: str, flags: int) -> None:
        self._source = pattern, flags

    def __repr__(self) -> str:
        return f"late_pattern({self._source[0]!r}, {self._source[1]!r})"

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return COMPILE(*self._source)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._compiled, name)
        setattr(self, name, found)
        return found
