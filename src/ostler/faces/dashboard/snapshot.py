"""What the dashboard knows: all services with what happened last, and from a cursor on what has changed since.

The page reads it as a resource of Ostler's MCP server, over HTTP or through the client that shows it, and reads on
whenever the server announces a change.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from ostler.engine.events.log import EventPage
from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.protocols import Clock
from ostler.faces.dashboard.listed_service import row
from ostler.faces.mcp import shapes
from ostler.faces.mcp.surface import ApplicationLike
from ostler.model.json import JsonObject

MAX_EVENTS: Final = 300
"""Events in one answer; a page that is further behind reads on."""


class Snapshots:
    """Answers with the present state and with changes of it."""

    def __init__(self, app: ApplicationLike, clock: Clock) -> None:
        self._app = app
        self._clock = clock

    async def whole(self) -> JsonObject:
        """Return every service, the newest events and where to read on."""
        log = self._app.manager.events
        cursor = log.last_cursor
        page = log.read(since=max(0, cursor - MAX_EVENTS), limit=MAX_EVENTS)
        views = await self._app.manager.views_in_turns()
        return {
            "complete": True,
            **self._head(page),
            "services": [row(view) for view in views],
            "usage": await self._usage(view.name for view in views),
        }

    async def since(self, cursor: int, checked_after: int) -> JsonObject:
        """Return what has changed after `cursor`; the whole where too much was forgotten to say that.

        Args:
            cursor: of the last event that is known.
            checked_after: include the health checks made after this time (milliseconds since 1970), and what the
                services use; 0 leaves both out, so that the answer costs as much as what has changed.
        """
        page = self._app.manager.events.read(since=cursor, limit=MAX_EVENTS)
        if page.dropped:
            return await self.whole()
        registry = self._app.manager.registry
        names = dict.fromkeys(event.service for event in page.events if event.service)
        services = {name: service for name in names if (service := registry.find(name)) is not None}
        found: JsonObject = {
            "complete": False,
            **self._head(page),
            "services": [row(service.view()) for service in services.values()],
            "removed": [name for name in names if name not in services],
        }
        if checked_after:
            found["checks"] = self._checks(datetime.fromtimestamp(checked_after / 1000, UTC))
            found["usage"] = await self._usage(service.name for service in registry.get_all())
        return found

    def _checks(self, after: datetime) -> JsonObject:
        """Return when the services that were checked since were checked last, and passed last."""
        found: JsonObject = {}
        for service in self._app.manager.registry.get_all():
            # A view of a whole service costs ten times as much.
            known = service.vitals if isinstance(service, ServiceInstance) else service.view()
            if (at := known.checked_at) is not None and at >= after:
                found[service.name] = [shapes.timestamp(at), shapes.timestamp(known.passed_at or at)]
        return found

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
