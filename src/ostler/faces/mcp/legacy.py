"""Subscriptions of protocol 2025-11-25 and older: `resources/subscribe`, `resources/unsubscribe`, list-changed.

The SDK keeps a connection's lifetime in a private attribute of its per-request session; this is the one file that
uses it.
"""

from typing import cast

import anyio
from mcp.server import ServerRequestContext
from mcp.server.connection import Connection
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import ResourcesListChanged, ResourceUpdated, ServerEvent, event_to_notification
from mcp_types import INVALID_PARAMS, EmptyResult, NotificationParams, SubscribeRequestParams, UnsubscribeRequestParams

from ostler.faces.mcp.addresses import read_uri
from ostler.faces.mcp.changes import ChangeFeed, Mailbox
from ostler.faces.mcp.lifespan import Lifespan
from ostler.faces.mcp.subscriptions import MAX_URIS

_STATE_KEY = "ostler.subscriptions"
RESOURCE_NOT_FOUND = -32002
"""The code of a missing resource up to 2025-11-25; later versions use INVALID_PARAMS."""


class LegacySubscriptions:
    """Serves the requests; every session gets a task of its own that sends its notifications until it ends."""

    def __init__(self, feed: ChangeFeed) -> None:
        self._feed = feed

    async def initialized(self, context: ServerRequestContext[Lifespan], params: NotificationParams) -> None:
        """A session is ready: from now on it is told when services and classes come and go."""
        del params
        self._session(context)

    async def subscribe(self, context: ServerRequestContext[Lifespan], params: SubscribeRequestParams) -> EmptyResult:
        """Tell the session when `params.uri` changes. What does not exist yet can be subscribed to."""
        if read_uri(params.uri) is None:
            raise MCPError(RESOURCE_NOT_FOUND, f"resource {params.uri!r} not found", data={"uri": params.uri})
        uris = self._session(context).uris
        if len(uris) >= MAX_URIS and params.uri not in uris:
            raise MCPError(INVALID_PARAMS, f"at most {MAX_URIS} resources can be subscribed to in one session")
        uris.add(params.uri)
        return EmptyResult()

    async def unsubscribe(
        self, context: ServerRequestContext[Lifespan], params: UnsubscribeRequestParams
    ) -> EmptyResult:
        """Tell the session no more about `params.uri`."""
        self._session(context).uris.discard(params.uri)
        return EmptyResult()

    def _session(self, context: ServerRequestContext[Lifespan]) -> "_LegacySession":
        connection = context.session._connection  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        session = cast("_LegacySession | None", connection.state.get(_STATE_KEY))
        if session is None:
            session = _LegacySession(connection, self._feed)
            connection.state[_STATE_KEY] = session
            connection.exit_stack.callback(session.close)
            context.lifespan_context.task_group.start_soon(session.run, name="ostler-session-notifications")
        return session


class _LegacySession:
    """What one session subscribed to, and the task that tells it."""

    def __init__(self, connection: Connection, feed: ChangeFeed) -> None:
        self.uris: set[str] = set()
        self._connection = connection
        self._mailbox = Mailbox()
        self._scope = anyio.CancelScope()
        self._unsubscribe = feed.subscribe(self._deliver)

    def _deliver(self, change: ServerEvent) -> None:
        match change:
            case ResourceUpdated(uri=uri) if uri in self.uris:
                self._mailbox.put(change)
            case ResourcesListChanged():
                self._mailbox.put(change)
            case _:
                pass

    async def run(self) -> None:
        """Send notifications until the session ends."""
        with self._scope, self._mailbox:
            try:
                while True:
                    change = await self._mailbox.take()
                    notification = event_to_notification(change, {})
                    data = notification.model_dump(by_alias=True, mode="json", exclude_none=True)
                    params = {key: value for key, value in data.get("params", {}).items() if key != "_meta"}
                    await self._connection.notify(data["method"], params or None)
            finally:
                self._unsubscribe()

    def close(self) -> None:
        """The session has ended: a notification that is stuck in its transport is given up."""
        self._unsubscribe()
        self._scope.cancel()
