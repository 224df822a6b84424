"""`subscriptions/listen` of protocol 2026-07-28: one request is one stream of changes."""

from types import TracebackType
from typing import Any, Self

from mcp.server import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import (
    SUBSCRIPTION_ID_META_KEY,
    ResourcesListChanged,
    ResourceUpdated,
    ServerEvent,
    event_to_notification,
)
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    RequestId,
    ServerNotification,
    SubscriptionFilter,
    SubscriptionsAcknowledgedNotification,
    SubscriptionsAcknowledgedNotificationParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
)

from ostler.faces.mcp.addresses import read_uri
from ostler.faces.mcp.changes import ChangeFeed, Mailbox
from ostler.faces.mcp.lifespan import Lifespan

MAX_STREAMS = 1024
"""Streams open at once."""

MAX_URIS = 1000
"""Resources that one stream or session may subscribe to."""


class ChangeStream:
    """The changes that one stream reports, from the moment that it was made; `with` ends it.

    Attributes:
        meta: what each of its notifications carries.
        acknowledged: what the client is promised.
    """

    def __init__(self, handler: "ListenHandler", stream_id: RequestId, wanted: SubscriptionFilter) -> None:
        uris = list(wanted.resource_subscriptions or [])
        # Ostler's tools and prompts never change: only what can happen is acknowledged.
        self.acknowledged = SubscriptionFilter(
            resources_list_changed=True if wanted.resources_list_changed else None,
            resource_subscriptions=uris or None,
        )
        self.meta: dict[str, Any] = {SUBSCRIPTION_ID_META_KEY: stream_id}
        changes: list[ServerEvent] = [ResourceUpdated(uri) for uri in uris]
        if wanted.resources_list_changed:
            changes.append(ResourcesListChanged())
        self._handler = handler
        self._mailbox = Mailbox()
        self._unsubscribe = handler.feed.subscribe(self._mailbox, changes)
        handler.streams += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        self._unsubscribe()
        self._handler.streams -= 1

    @property
    def acknowledgement(self) -> ServerNotification:
        """The first message of the stream."""
        params = SubscriptionsAcknowledgedNotificationParams(notifications=self.acknowledged, _meta=self.meta)
        return SubscriptionsAcknowledgedNotification(params=params)

    async def next(self) -> ServerNotification:
        """Return the next message for the client."""
        return event_to_notification(await self._mailbox.take(), self.meta)

    async def next_changes(self) -> list[ServerEvent]:
        """Return all changes for the client, at least one."""
        return await self._mailbox.take_all()


class ListenHandler:
    """Serves the streams.

    Unlike the SDK's own handler it sends each stream a pending change once, however often it happened, so a client
    that reads slowly neither loses its stream nor holds others up.

    Attributes:
        feed: where the changes come from.
        streams: how many are open.
    """

    def __init__(self, feed: ChangeFeed) -> None:
        self.feed = feed
        self.streams = 0

    def open(self, stream_id: RequestId, wanted: SubscriptionFilter) -> ChangeStream:
        """Return a stream that collects changes from now on, before its acknowledgement, so that nothing is lost.

        Raises:
            MCPError: it asks for what there is not, or too many streams are open.
        """
        if self.streams >= MAX_STREAMS:
            raise MCPError(INTERNAL_ERROR, f"no more than {MAX_STREAMS} subscription streams are served at once")
        uris = wanted.resource_subscriptions or []
        if len(uris) > MAX_URIS:
            raise MCPError(INVALID_PARAMS, f"at most {MAX_URIS} resources can be subscribed to in one stream")
        foreign = [uri for uri in uris if read_uri(uri) is None]
        if foreign:
            raise MCPError(INVALID_PARAMS, f"resource {foreign[0]!r} not found", data={"uri": foreign[0]})
        return ChangeStream(self, stream_id, wanted)

    async def __call__(
        self, context: ServerRequestContext[Lifespan], params: SubscriptionsListenRequestParams
    ) -> SubscriptionsListenResult:
        """Serve one stream until the client leaves or the server ends, which cancels this call."""
        stream_id = context.request_id
        if stream_id is None:
            raise MCPError(INVALID_REQUEST, "subscriptions/listen requires a request id")
        with self.open(stream_id, params.notifications) as stream:
            await context.session.send_notification(stream.acknowledgement, related_request_id=stream_id)
            while True:
                await context.session.send_notification(await stream.next(), related_request_id=stream_id)
