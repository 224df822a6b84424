"""Which lines of a log are shown: the newest ones, what came after a cursor, what matches, errors alone."""

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from ostler.model.durations import format_duration
from ostler.model.errors import ArgumentError
from ostler.model.json import JsonObject, JsonValue, parse_json
from ostler.rules.text.patterns import line_filter
from ostler.rules.text.work_budget import bounded_work

MAX_PAGE_CHARACTERS: Final = 64_000
MAX_LINE_CHARACTERS: Final = 4_000

LAST_LOG_LINES: Final = "\nLast log lines:\n"
"""What comes before the end of a log in an error that shows it."""

NO_OUTPUT: Final = "(no output)"
"""What shows that a log is empty."""

PAGE_OUTPUTS: Final = ("cursor", "truncated")
"""Outputs of a class's `logs` tool that are about what it showed: where to read on, and whether there is more."""

_ERROR_WORDS: Final = (
    r"(?i:(?:\b|_)(?:error|err|fatal|critical|crit|panic|emerg(?:ency)?|alert|exception|failed|failure|"
    r"traceback|segmentation fault|unhandled|uncaught)\b(?!\s*[=:]\s*(?:0|none|null|false|no(?!\s+\w))\b)"
    r"(?!\s*(?:count|rate|s)?\s*[=:]?\s*0\b)|\w(?:Error|Exception)\b)"
)
"""What a line has that reports an error, in the levels and words of common loggers; `errors=0` reports none."""

_FLAGS = re.compile(r"\(\?([aiLmsux]+)\)")
_FINGERPRINT_LINES: Final = 20
_SEEN_LINES: Final = 1_000
_OF_TOOL, _AFTER = "at:", "after:"


class LogRange(Struct, frozen=True):
    """Which part of a log to show.

    Attributes:
        lines: how many at most.
        cursor: the cursor of an earlier page: read on from there. Empty: the newest lines.
        search: only lines that match this regular expression.
        errors_only: only lines that report an error.
        newer_than: only lines that were written at most this many seconds ago.
    """

    lines: int = 100
    cursor: str = ""
    search: str = ""
    errors_only: bool = False
    newer_than: float | None = None

    @property
    def pattern(self) -> str:
        """One regular expression for all that a line must match; empty: any line will do."""
        if not self.errors_only:
            return self.search
        return f"^(?=.*?{_ERROR_WORDS})(?=.*?{_grouped(self.search)})" if self.search else _ERROR_WORDS

    def facts(self, *, tool_searches: bool) -> JsonObject:
        """Return what a class's templates may ask its tool for; all but `lines` only where they are wanted.

        Args:
            tool_searches: the tool finds the lines that match; else it must show more of them than are wanted.

        Raises:
            ArgumentError: the cursor is not of a log.
        """
        goes_on_here = self.cursor.startswith(_AFTER)
        if self.cursor and not goes_on_here and not self.cursor.startswith(_OF_TOOL):
            raise _not_a_cursor(self.cursor)
        seen = _SEEN_LINES if goes_on_here or (self.pattern and not tool_searches) else 0
        facts: JsonObject = {"lines": max(self.lines, seen)}
        if self.cursor.startswith(_OF_TOOL):
            facts["since"] = _tool_cursor(self.cursor)
        if self.pattern:
            facts["search"] = self.pattern
        if self.newer_than is not None:
            facts["newerThan"] = format_duration(self.newer_than)
        return facts


NEWEST: Final = LogRange()
"""The newest lines."""


class LogPage(Struct, frozen=True):
    """Lines of a log.

    Attributes:
        lines: the oldest first.
        cursor: gives what comes after these lines.
        truncated: there are more such lines, before these (or after, when read on from a cursor), or some were missed.
        source: what showed them: a tool, or a file.
    """

    lines: tuple[str, ...] = ()
    cursor: str = ""
    truncated: bool = False
    source: str = ""


def page_of(lines: Sequence[str], wanted: LogRange, *, source: str, tool_cursor: JsonValue = None) -> LogPage:
    """Return the requested part of `lines`.

    Args:
        lines: what can be seen of the log.
        wanted: what part.
        source: what showed them.
        tool_cursor: where the tool that showed them reads on, if it says so: then `lines` begin at the cursor.

    Raises:
        ArgumentError: `search` is not a regular expression or takes too long, or the cursor is not of a log.
    """
    with bounded_work():
        return _page(lines, wanted, source, tool_cursor)


def _page(lines: Sequence[str], wanted: LogRange, source: str, tool_cursor: JsonValue) -> LogPage:
    matches = line_filter(wanted.pattern, "search")
    if tool_cursor is not None:
        kept = [line for line in lines if matches(line)][-wanted.lines :]
        return LogPage(tuple(_fitting(kept)), f"{_OF_TOOL}{json.dumps(tool_cursor)}", source=source)
    begin = _continued(lines, wanted.cursor) if wanted.cursor else 0
    found = [at for at in range(begin or 0, len(lines)) if matches(lines[at])]
    if not wanted.cursor:
        shown = _fitting([lines[at] for at in found[-wanted.lines :]])
        return LogPage(tuple(shown), _cursor_after(lines), truncated=len(shown) < len(found), source=source)
    shown = _fitting([lines[at] for at in found[: wanted.lines]], from_start=True)
    more = len(shown) < len(found)
    read = lines[: found[len(shown) - 1] + 1] if more and shown else lines
    return LogPage(tuple(shown), _cursor_after(read), truncated=more or begin is None, source=source)


def _grouped(pattern: str) -> str:
    """Return `pattern` as a part of another one: flags in front of it hold for it alone."""
    flags = _FLAGS.match(pattern)
    return f"(?{flags[1]}:{pattern[flags.end() :]})" if flags else f"(?:{pattern})"


def _cursor_after(lines: Sequence[str]) -> str:
    """Return what finds the end of `lines` again: how many of its last lines to compare, and their fingerprint."""
    end = lines[-_FINGERPRINT_LINES:]
    return f"{_AFTER}{len(end)}:{_fingerprint(end)}"


def _fingerprint(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode(errors="replace")).hexdigest()[:16]


def _continued(lines: Sequence[str], cursor: str) -> int | None:
    """Return the index after the lines that `cursor` stands for; None when they are gone.

    Raises:
        ArgumentError: it is not a cursor of a log.
    """
    if cursor.startswith(_OF_TOOL):
        _tool_cursor(cursor)
        return None
    count, _, fingerprint = cursor.removeprefix(_AFTER).partition(":")
    if not cursor.startswith(_AFTER) or not count.isdecimal() or int(count) > _FINGERPRINT_LINES:
        raise _not_a_cursor(cursor)
    size = int(count)
    if size == 0:
        return 0
    ends = range(len(lines), size - 1, -1)
    return next((end for end in ends if _fingerprint(lines[end - size : end]) == fingerprint), None)


def _tool_cursor(cursor: str) -> JsonValue:
    try:
        return parse_json(cursor.removeprefix(_OF_TOOL))
    except ValueError:
        raise _not_a_cursor(cursor) from None


def _not_a_cursor(cursor: str) -> ArgumentError:
    return ArgumentError(
        [f"invalid value for argument 'cursor': {cursor[:80]!r} is not a cursor of a log"],
        next_actions=("leave cursor out to see the newest lines",),
    )


def _fitting(lines: Sequence[str], *, from_start: bool = False) -> list[str]:
    """Return the last of `lines` (the first, `from_start`) that fit into a page, each bounded."""
    kept: list[str] = []
    room = MAX_PAGE_CHARACTERS
    for line in lines if from_start else reversed(lines):
        text = line if len(line) <= MAX_LINE_CHARACTERS else f"{line[: MAX_LINE_CHARACTERS - 1]}…"
        room -= len(text) + 1
        if room < 0:
            break
        kept.append(text)
    return kept if from_start else kept[::-1]
