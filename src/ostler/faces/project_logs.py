"""The logs of all services of a project as one: each line with its service's name, and one cursor over them."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias, cast

import anyio
from msgspec.structs import replace

from ostler.model.errors import ArgumentError, OstlerError
from ostler.model.json import parse_json
from ostler.rules.text.log_pages import LogPage, LogRange

if TYPE_CHECKING:
    from ostler.model.json import JsonValue

ReadLogs: TypeAlias = Callable[[str, LogRange], Awaitable[LogPage]]
"""Returns the lines of one service."""

_CURSOR: Final = "of:"
_AT_ONCE: Final = 8


async def project_logs(read: ReadLogs, services: Mapping[str, str], wanted: LogRange) -> LogPage:
    """Return the requested lines of all `services`, grouped by service.

    If there are more lines than requested, each service gets a share; what it does not need goes to the others.

    Args:
        read: reads the log of one service.
        services: the names that their lines are shown with, by the services' full names.
        wanted: which lines. Its cursor is that of an earlier page; a service that was not in that is shown from its
            newest lines on.

    Raises:
        ArgumentError: the cursor is not of the logs of a project, or the search means nothing.
    """
    cursors = _cursors(wanted.cursor)
    share = max(1, wanted.lines // max(1, len(services))) if wanted.cursor else wanted.lines
    pages: dict[str, LogPage] = {}
    troubles: dict[str, OstlerError] = {}
    limiter = anyio.CapacityLimiter(_AT_ONCE)

    async def read_one(name: str) -> None:
        async with limiter:
            try:
                pages[name] = await read(name, replace(wanted, cursor=cursors.get(name, ""), lines=share))
            except OstlerError as error:
                troubles[name] = error

    async with anyio.create_task_group() as group:
        for name in services:
            group.start_soon(read_one, name)
    refusals = [error for error in troubles.values() if isinstance(error, ArgumentError)]
    if refusals:
        raise refusals[0]
    counts = _shares({name: len(pages[name].lines) for name in services if name in pages}, wanted.lines)
    lines = [
        f"{services[name]} | {line}"
        for name, count in counts.items()
        for line in pages[name].lines[len(pages[name].lines) - count :]
    ]
    pages = {name: pages[name] for name in services if name in pages}
    ends = {name: page.cursor for name, page in pages.items()}
    ends |= {name: cursors[name] for name in troubles if name in cursors}
    return LogPage(
        tuple(lines),
        f"{_CURSOR}{json.dumps(ends, separators=(',', ':'))}",
        truncated=any(page.truncated or counts[name] < len(page.lines) for name, page in pages.items()),
        source=_sources(pages, {services[name]: error for name, error in troubles.items()}),
    )


def _shares(counts: Mapping[str, int], room: int) -> dict[str, int]:
    """Return how many lines each service gets: all if there is room, else an equal share of the rest."""
    shares: dict[str, int] = {}
    for done, (name, count) in enumerate(sorted(counts.items(), key=lambda item: item[1])):
        shares[name] = min(count, room // (len(counts) - done))
        room -= shares[name]
    return {name: shares[name] for name in counts}


def _cursors(cursor: str) -> Mapping[str, str]:
    """Return where to read on in each service's log, as an earlier cursor says; nothing for an empty one."""
    if not cursor:
        return {}
    try:
        found: JsonValue = parse_json(cursor.removeprefix(_CURSOR)) if cursor.startswith(_CURSOR) else None
    except ValueError:
        found = None
    ends = cast("dict[str, JsonValue]", found).values() if isinstance(found, dict) else [None]
    if not all(isinstance(end, str) for end in ends):
        raise ArgumentError(
            [f"invalid value for argument 'cursor': {cursor[:80]!r} is not a cursor of the logs of a project"],
            next_actions=("leave cursor out to see the newest lines",),
        )
    return cast("Mapping[str, str]", found)


def _sources(pages: Mapping[str, LogPage], troubles: Mapping[str, OstlerError]) -> str:
    shown = ", ".join(dict.fromkeys(page.source for page in pages.values())) or "nothing"
    missing = "; ".join(f"{name} has none to show: {error.summary}" for name, error in troubles.items())
    return f"{shown} ({missing})" if missing else shown
