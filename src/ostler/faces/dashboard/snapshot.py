"""What the dashboard knows: all services with what happened last, and from a cursor on what has changed since.

The page reads it as a resource of Ostler's MCP server, over HTTP or through the client that shows it, and reads on
whenever the server announces a change.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from ostler.engine.events.log import EventPage
from ostler.engine.protocols import Clock
from ostler.faces.dashboard.listed_service import row
from ostler.faces.mcp import shapes
from ostler.faces.mcp.surface import ApplicationLike
from ostler.model.json import JsonObject

MAX_EVENTS: Final = 300
"""Events in one answer; a page that is further behind reads on."""


class Snapshots:
    """Answers what is and what has changed."""

    def __init__(self, app: ApplicationLike, clock: Clock) -> None:
        self._app = app
        self._clock = clock

    async def whole(self) -> JsonObject:
        """Return every service, the newest events and where to read on."""
        log = self._app.manager.events
        cursor = log.last_cursor
        page = log.read(since=max(0, cursor - MAX_EVENTS), limit=MAX_EVENTS)
        views = self._app.manager.views()
        return {
            "complete": True,
            **self._head(page),
            "services": [row(view) for view in views],
            "usage": await self._usage(view.name for view in views),
        }

    async def since(self, cursor: int, checked_after: int) -> JsonObject:
        """Return what has changed after `cursor`, and the health checks made after a time (milliseconds since 1970).

        It is the whole where too much was forgotten to say what has changed.
        """
        page = self._app.manager.events.read(since=cursor, limit=MAX_EVENTS)
        if page.dropped:
            return await self.whole()
        registry = self._app.manager.registry
        checked = datetime.fromtimestamp(checked_after / 1000, UTC)
        names = dict.fromkeys(event.service for event in page.events if event.service)
        views = {service.name: service.view() for service in registry.get_all()}
        return {
            "complete": False,
            **self._head(page),
            "services": [row(views[name]) for name in names if name in views],
            "removed": [name for name in names if name not in views],
            "checks": {
                name: [shapes.timestamp(view.checked_at), shapes.timestamp(view.passed_at or view.checked_at)]
                for name, view in views.items()
                if view.checked_at is not None and view.checked_at >= checked and name not in names
            },
            "usage": await self._usage(views),
        }

    def _head(self, page: EventPage) -> JsonObject:
        return {
            "at": shapes.timestamp(self._clock.now()),
            "cursor": page.next_cursor,
            "more": page.truncated,
            "events": [shapes.event(event) for event in page.events],
        }

    async def _usage(self, names: Iterable[str]) -> JsonObject:
        measured = await self._app.usages.of(names)
        return {name: [each.cpu_percent, each.usage.memory_bytes] for name, each in measured.items()}
