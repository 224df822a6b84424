"""Subscriptions of protocol 2025-11-25 and older: `resources/subscribe`, `resources/unsubscribe`, list-changed."""

from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from typing import Any, cast

import anyio
from anyio.abc import TaskGroup
from mcp.server import ServerRequestContext
from mcp.server.connection import Connection
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import ResourcesListChanged, ResourceUpdated, ServerEvent, event_to_notification
from mcp_types import INVALID_PARAMS, EmptyResult, NotificationParams, SubscribeRequestParams, UnsubscribeRequestParams
from msgspec import Struct

from ostler.adapters.serving.known_roots import connection_of
from ostler.faces.mcp.changes import ChangeFeed, Mailbox
from ostler.faces.mcp.channels import Channels
from ostler.faces.mcp.lifespan import Lifespan
from ostler.faces.mcp.subscriptions import MAX_URIS

_STATE_KEY = "ostler.subscriptions"
RESOURCE_NOT_FOUND = -32002
"""The code of a missing resource up to 2025-11-25; later versions use INVALID_PARAMS."""


class LegacySubscriptions:
    """Serves the requests; every session that listens has its own task that sends its notifications.

    A session over HTTP listens while its stream of events is open: many clients never open one, and 1,000 of them
    idle made a create and delete cost 240 ms of CPU instead of 16.
    """

    def __init__(self, feed: ChangeFeed, channels: Channels, meant_by: Callable[[str], str | None]) -> None:
        self._feed = feed
        self._meant_by = meant_by
        self._channels = channels
        self._sessions: dict[str, _LegacySession] = {}
        self._open: Counter[str] = Counter()

    @property
    def listening(self) -> int:
        """Sessions that are notified of changes now."""
        return len(self._feed)

    def opened(self, session_id: str) -> None:
        """The stream of events of a session is open now."""
        self._open[session_id] += 1
        if session := self._sessions.get(session_id):
            session.listen()

    def closed(self, session_id: str) -> None:
        """A stream of events of a session has ended."""
        self._open[session_id] -= 1
        if self._open[session_id] > 0:
            return
        del self._open[session_id]
        if session := self._sessions.get(session_id):
            session.rest()

    async def initialized(self, context: ServerRequestContext[Lifespan], params: NotificationParams) -> None:
        """A session is ready: from now on it is notified when services and classes come and go."""
        del params
        self._session(context)
        connection = connection_of(context)
        self._channels.open(connection, context.lifespan_context.task_group)

    async def subscribe(self, context: ServerRequestContext[Lifespan], params: SubscribeRequestParams) -> EmptyResult:
        """Notify the session when `params.uri` changes. What does not exist yet can be subscribed to."""
        if (meant := self._meant_by(params.uri)) is None:
            raise MCPError(RESOURCE_NOT_FOUND, f"resource {params.uri!r} not found", data={"uri": params.uri})
        session = self._session(context)
        if len(session.uris) >= MAX_URIS and params.uri not in session.uris:
            raise MCPError(INVALID_PARAMS, f"at most {MAX_URIS} resources can be subscribed to in one session")
        session.add(params.uri, meant)
        return EmptyResult()

    async def unsubscribe(
        self, context: ServerRequestContext[Lifespan], params: UnsubscribeRequestParams
    ) -> EmptyResult:
        """Stop notifying the session about `params.uri`."""
        self._session(context).discard(params.uri)
        return EmptyResult()

    def _session(self, context: ServerRequestContext[Lifespan]) -> "_LegacySession":
        connection = connection_of(context)
        session = cast("_LegacySession | None", connection.state.get(_STATE_KEY))
        if session is None:
            session = _LegacySession(connection, self._feed, context.lifespan_context.task_group)
            connection.state[_STATE_KEY] = session
            connection.exit_stack.callback(session.rest)
            session_id = connection.session_id
            if session_id is not None:
                self._sessions[session_id] = session
                connection.exit_stack.callback(self._sessions.pop, session_id, None)
            if session_id is None or session_id in self._open:
                session.listen()
        return session


class _LegacySession:
    """What one session subscribed to, and the task that notifies it while it listens."""

    def __init__(self, connection: Connection, feed: ChangeFeed, tasks: TaskGroup) -> None:
        self.uris: dict[str, str] = {}
        """What it subscribed to, as it wrote it, and which resource each is."""
        self._connection = connection
        self._feed = feed
        self._tasks = tasks
        self._listening: _Listening | None = None

    def add(self, uri: str, meant: str) -> None:
        """Subscribe to the resource `meant`, which the session calls `uri`."""
        self.uris[uri] = meant
        if self._listening is not None:
            self._feed.add(self._listening.mailbox, ResourceUpdated(uri), ResourceUpdated(meant))

    def discard(self, uri: str) -> None:
        """Unsubscribe from the resource `uri`."""
        self.uris.pop(uri, None)
        if self._listening is not None:
            self._feed.discard(self._listening.mailbox, ResourceUpdated(uri))

    def listen(self) -> None:
        """Send notifications from now on."""
        if self._listening is None:
            mailbox, scope = Mailbox(), anyio.CancelScope()
            self._listening = _Listening(mailbox, scope, self._feed.subscribe(mailbox, [ResourcesListChanged()]))
            for uri, meant in self.uris.items():
                self._feed.add(mailbox, ResourceUpdated(uri), ResourceUpdated(meant))
            self._tasks.start_soon(self._run, mailbox, scope, name="ostler-session-notifications")

    def rest(self) -> None:
        """No one listens any more: a notification that is stuck in its transport is given up."""
        if self._listening is not None:
            self._listening.unsubscribe()
            self._listening.scope.cancel()
            self._listening = None

    async def _run(self, mailbox: Mailbox, scope: anyio.CancelScope) -> None:
        with scope:
            while True:
                method, params = _message_of(await mailbox.take())
                await self._connection.notify(method, params)


class _Listening(Struct, frozen=True):
    """The state of a session while it listens."""

    mailbox: Mailbox
    scope: anyio.CancelScope
    unsubscribe: Callable[[], None]


@lru_cache(maxsize=256)
def _message_of(change: ServerEvent) -> tuple[str, dict[str, Any] | None]:
    """Return the method and parameters of the notification of `change`, made once for all sessions."""
    notification = event_to_notification(change, {})
    data = notification.model_dump(by_alias=True, mode="json", exclude_none=True)
    params = {key: value for key, value in data.get("params", {}).items() if key != "_meta"}
    return data["method"], params or None
