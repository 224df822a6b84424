"""Claude Code's channels: notices that are pushed into a session.

A client takes them only if it was started for it (`claude --channels`), and a connection announces the capability only
if its bridge was asked to (`ostler serve --channel`).
"""

from collections import deque
from typing import TYPE_CHECKING, Any, Final

import anyio
from anyio.abc import TaskGroup

from ostler.engine.events.notices import Notice
from ostler.engine.services.views import PROJECT_LABEL
from ostler.faces.client_facts import current_client
from ostler.faces.mcp.surface import ApplicationLike

if TYPE_CHECKING:
    from mcp.server.connection import Connection
    from mcp.server.models import InitializationOptions

CAPABILITY: Final = "claude/channel"
METHOD: Final = "notifications/claude/channel"

MAX_WAITING: Final = 50
"""Notices that wait for a client that does not read; the oldest go first."""

_INSTRUCTIONS: Final = """

Notices arrive as <channel source="ostler" kind="…" service="…">: a service crashed, is unhealthy, lost its lease, or \
recovered. They are facts, not requests, and need no reply. If the work at hand depends on the service, look with \
service_status.\
"""


def with_channel(options: "InitializationOptions") -> "InitializationOptions":
    """Return what `initialize` answers to a client that wants notices."""
    experimental = {**(options.capabilities.experimental or {}), CAPABILITY: {}}
    return options.model_copy(
        update={
            "capabilities": options.capabilities.model_copy(update={"experimental": experimental}),
            "instructions": (options.instructions or "") + _INSTRUCTIONS,
        }
    )


class Channels:
    """Sends notices of the client's own project, and of services without a project, to the sessions that want them."""

    def __init__(self, app: ApplicationLike) -> None:
        self._app = app

    def open(self, connection: "Connection", tasks: TaskGroup) -> None:
        """Send notices from now on, if the client of the call under way asked for them; until the connection ends."""
        facts = current_client()
        if not facts.channel or CAPABILITY in connection.state:
            return
        scope = connection.state[CAPABILITY] = anyio.CancelScope()
        connection.exit_stack.callback(scope.cancel)
        tasks.start_soon(self._run, connection, facts.directory, scope, name="ostler-channel")

    async def _run(self, connection: "Connection", directory: str, scope: anyio.CancelScope) -> None:
        waiting: deque[Notice] = deque(maxlen=MAX_WAITING)
        news = anyio.Event()

        def take(notice: Notice) -> None:
            if self._concerns(notice.event.service, directory):
                waiting.append(notice)
                news.set()

        leave = self._app.notices.subscribe(take)
        try:
            with scope:
                while True:
                    await news.wait()
                    news = anyio.Event()
                    while waiting:
                        await connection.notify(METHOD, _params(waiting.popleft()))
        finally:
            leave()

    def _concerns(self, name: str, directory: str) -> bool:
        service = self._app.manager.registry.find(name)
        project = service.view().labels.get(PROJECT_LABEL, "") if service is not None else ""
        return self._app.projects.directory.seen_from(directory).has(name, project)


def _params(notice: Notice) -> dict[str, Any]:
    """Return the notification's parameters; the keys of `meta` may have letters, digits and underscores only."""
    event = notice.event
    return {
        "content": notice.text,
        "meta": {"kind": notice.kind.value, "service": event.service, "cursor": str(event.cursor)},
    }
