"""`subscriptions/listen` of protocol 2026-07-28: one request is one stream of changes."""

from typing import Any

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


class ListenHandler:
    """Serves the streams.

    Unlike the SDK's own handler it sends each stream a pending change once, however often it happened, so a client
    that reads slowly neither loses its stream nor holds anybody up.
    """

    def __init__(self, feed: ChangeFeed) -> None:
        self._feed = feed
        self._streams = 0

    async def __call__(
        self, context: ServerRequestContext[Lifespan], params: SubscriptionsListenRequestParams
    ) -> SubscriptionsListenResult:
        """Serve one stream until the client leaves or the server ends, which cancels this call."""
        stream_id = context.request_id
        if stream_id is None:
            raise MCPError(INVALID_REQUEST, "subscriptions/listen requires a request id")
        if self._streams >= MAX_STREAMS:
            raise MCPError(INTERNAL_ERROR, f"no more than {MAX_STREAMS} subscription streams are served at once")
        wanted = params.notifications
        uris = list(wanted.resource_subscriptions or [])
        if len(uris) > MAX_URIS:
            raise MCPError(INVALID_PARAMS, f"at most {MAX_URIS} resources can be subscribed to in one stream")
        foreign = [uri for uri in uris if read_uri(uri) is None]
        if foreign:
            raise MCPError(INVALID_PARAMS, f"resource {foreign[0]!r} not found", data={"uri": foreign[0]})
        # Ostler's tools and prompts never change: only what can happen is acknowledged.
        honoured = SubscriptionFilter(
            resources_list_changed=True if wanted.resources_list_changed else None,
            resource_subscriptions=uris or None,
        )
        changes: list[ServerEvent] = [ResourceUpdated(uri) for uri in uris]
        if wanted.resources_list_changed:
            changes.append(ResourcesListChanged())
        meta: dict[str, Any] = {SUBSCRIPTION_ID_META_KEY: stream_id}
        mailbox = Mailbox()
        # Subscribed before the acknowledgement, so that nothing between the two is lost.
        unsubscribe = self._feed.subscribe(mailbox, changes)
        self._streams += 1
        try:
            acknowledgement = SubscriptionsAcknowledgedNotification(
                params=SubscriptionsAcknowledgedNotificationParams(notifications=honoured, _meta=meta)
            )
            await context.session.send_notification(acknowledgement, related_request_id=stream_id)
            while True:
                change = await mailbox.take()
                await context.session.send_notification(
                    event_to_notification(change, meta), related_request_id=stream_id
                )
        finally:
            unsubscribe()
            self._streams -= 1
