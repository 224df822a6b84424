"""How times are read: those of an entry, in any unit, and those that a file gives to all of its servers."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from math import isfinite
from typing import Final, cast

from ostler.adapters.config.dialects.draft import Draft, Reading
from ostler.adapters.config.dialects.entry_places import at
from ostler.model.durations import LONGEST
from ostler.model.json import JsonObject, JsonValue, KeyPath

_LONGEST_SECONDS: Final = 3600
_SHORTEST_MILLISECONDS: Final = 1000
_CLAUDE: Final = frozenset({"claude-code"})

_TIME: Final = re.compile(
    r"((default|mcp|server|request|call|tool|response|read|rpc|execution|discovery|connect(ion)?|start(up)?|init(ial(ization)?)?"
    r"|launch|handshake)[_-]?)*time_?out([_-]?(in)?[_-]?(ms|millis(econds)?|s|secs?|seconds?))?",
    re.IGNORECASE,
)
"""Names of keys for timeouts of calls or of connecting, but not of signing in, of idle servers or of stops."""
_CONNECTING: Final = re.compile(r"connect|discover|start|init|launch", re.IGNORECASE)
_MILLISECONDS: Final = re.compile(r"(ms|millis(econds)?)$", re.IGNORECASE)
_SECONDS: Final = re.compile(r"(sec(ond)?s?|_s)$", re.IGNORECASE)

_PARTS: Final[Mapping[str, str]] = {"startup": "connectTimeout", "execution": "timeout", "request": "timeout"}
"""The parts of opencode's `timeout`, and the options that they become; `catalog`, for lists of tools, becomes none."""

FILE_TIMES: Final[tuple[tuple[str, KeyPath, str, float], ...]] = (
    ("zed", ("context_server_timeout",), "timeout", 1),
    ("opencode", ("experimental", "mcp_timeout"), "timeout", 1000),
    ("opencode", ("mcp", "timeout"), "timeout", 1000),
    *(("opencode", ("mcp", "timeout", part), option, 1000) for part, option in _PARTS.items()),
    ("claude-code", ("env", "MCP_TIMEOUT"), "connectTimeout", 1000),
    ("claude-code", ("env", "MCP_TOOL_TIMEOUT"), "timeout", 1000),
)
"""Client, place in its file, option, and units in a second of each time that holds for all servers of a file."""


def seconds(option: str) -> Reading:
    """A number of seconds that becomes one of Ostler's options."""
    return _duration(option, lambda number: number)


def milliseconds(option: str) -> Reading:
    """A number of milliseconds that becomes one of Ostler's options; Claude Code ignores less than a second."""
    in_seconds = _duration(option, lambda number: number / 1000)

    def read(draft: Draft, key: str, value: JsonValue) -> None:
        number = _number(value)
        if draft.clients <= _CLAUDE and number is not None and 0 < number < _SHORTEST_MILLISECONDS:
            message = f"{key!r} is less than a second, which Claude Code ignores, so the usual time counts"
            draft.report((key,), message, "no-effect", severity="warning")
        else:
            in_seconds(draft, key, value)

    return read


def parts_or_milliseconds(draft: Draft, key: str, value: JsonValue) -> None:
    """The `timeout` of opencode: milliseconds of a call, or an object of milliseconds for each part of its work."""
    if not isinstance(value, dict):
        milliseconds("timeout")(draft, key, value)
        return
    for part, time in cast("JsonObject", value).items():
        if option := _PARTS.get(part):
            milliseconds(option)(draft, key, time)
        elif part != "catalog":
            draft.report((key, part), f"{part!r} under {key!r} is not read", "unknown-key", severity="warning")


def seconds_if_likely(draft: Draft, key: str, value: JsonValue) -> None:
    """A time in seconds, of a client whose forks write milliseconds; those are too large to be seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value > _LONGEST_SECONDS:
        milliseconds("timeout")(draft, key, value)
        message = f"{key!r} is read as {value} milliseconds, as it is too long for seconds"
        fix = f'write "ostler": {{"timeout": "{_plain(value)}s"}} if seconds are meant'
        draft.report((key,), message, "ambiguous-unit", fix=fix, severity="warning")
        return
    seconds("timeout")(draft, key, value)


def unknown_unit(draft: Draft, key: str, value: JsonValue) -> None:
    """A time of a call whose unit depends on the client, which the entry does not show."""
    if isinstance(value, dict):  # only opencode writes one
        parts_or_milliseconds(draft, key, value)
    else:
        guessed("timeout")(draft, key, value)


def guessed(option: str) -> Reading:
    """A time of an unknown unit: seconds, unless it is too large."""

    def read(draft: Draft, key: str, value: JsonValue) -> None:
        number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
        if number is not None and number > _LONGEST_SECONDS:
            milliseconds(option)(draft, key, value)
            return
        seconds(option)(draft, key, value)
        if number is not None and number >= _SHORTEST_MILLISECONDS:
            draft.report(
                (key,),
                f"{key!r} is read as {number} seconds; some clients write milliseconds",
                "ambiguous-unit",
                fix=f'write "ostler": {{"{option}": "{_plain(number / 1000)}s"}} if that is meant',
                severity="warning",
            )

    return read


def read_time(draft: Draft, name: str, value: JsonValue) -> bool:
    """Read a key whose name says that it is a timeout, and maybe its unit; return whether it is one."""
    if not _TIME.fullmatch(name) or isinstance(value, bool) or not isinstance(value, int | float | str):
        return False
    option = "connectTimeout" if _CONNECTING.search(name) else "timeout"
    if _MILLISECONDS.search(name):
        milliseconds(option)(draft, name, value)
    elif _SECONDS.search(name):
        seconds(option)(draft, name, value)
    else:
        guessed(option)(draft, name, value)
    return True


def times_of_file(root: JsonObject, clients: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Yield the options, with their times, that a file gives to all of its servers; `clients` may have written it."""
    for client, path, option, units in FILE_TIMES:
        number = _number(at(root, path)) if client in clients else None
        if number is not None and number > 0:
            yield option, f"{_plain(min(number / units, LONGEST))}s"


def _duration(option: str, in_seconds: Callable[[float], float]) -> Reading:
    def read(draft: Draft, key: str, value: JsonValue) -> None:
        number = _number("" if value is None else value)
        if value is None or number == 0:  # 0 is written for "no limit of its own"
            return
        if number is None or number < 0:
            draft.report((key,), f"{key!r} must be a number", "bad-value", severity="warning")
            return
        draft.set_option(option, f"{_plain(min(in_seconds(number), LONGEST))}s", (key,))

    return read


def _plain(number: float) -> str:
    """Return a number without an exponent, which durations do not have: people write 2147483647 ms for no limit."""
    return f"{number:.6f}".rstrip("0").rstrip(".")


def _number(value: JsonValue) -> float | None:
    """Return a finite number, also one in a text; None for anything else."""
    number = None
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        with suppress(ValueError, OverflowError):
            number = float(value)
    return number if number is not None and isfinite(number) else None
