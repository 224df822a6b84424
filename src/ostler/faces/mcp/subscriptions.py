"""`subscriptions/listen` of protocol 2026-07-28: one request is one stream of changes."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Self

import anyio
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

from ostler.faces.hanging_up import WHEN_ENDING
from ostler.faces.mcp.changes import ChangeFeed, Mailbox
from ostler.faces.mcp.lifespan import Lifespan

MAX_STREAMS = 1024
"""Streams open at once."""

MAX_URIS = 1000
"""Resources that one stream or session may subscribe to."""


class ChangeStream:
    """The changes that one stream reports, from the moment that it was made; `with` ends it.

    Resources are reported under the URIs that the client wrote: `meant` has what each stands for in its project.

    Attributes:
        meta: what each of its notifications carries.
        acknowledged: what the client is promised.
    """

    def __init__(
        self, handler: "ListenHandler", stream_id: RequestId, wanted: SubscriptionFilter, meant: Mapping[str, str]
    ) -> None:
        uris = list(meant)
        # Ostler's tools and prompts never change: only what can happen is acknowledged.
        self.acknowledged = SubscriptionFilter(
            resources_list_changed=True if wanted.resources_list_changed else None,
            resource_subscriptions=uris or None,
        )
        self.meta: dict[str, Any] = {SUBSCRIPTION_ID_META_KEY: stream_id}
        self._handler = handler
        self._mailbox = Mailbox()
        changes = [ResourcesListChanged()] if wanted.resources_list_changed else []
        self._unsubscribe = handler.feed.subscribe(self._mailbox, changes)
        for uri, full in meant.items():
            handler.feed.add(self._mailbox, ResourceUpdated(uri), ResourceUpdated(full))
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

    @property
    def result(self) -> SubscriptionsListenResult:
        """The last message of a stream that the server ends."""
        return SubscriptionsListenResult(_meta=self.meta)

    @contextmanager
    def ended_by(self, when_ending: set[Callable[[], None]]) -> Generator[None]:
        """Let the calls of `when_ending` end it within the block."""
        when_ending.add(self._mailbox.close)
        try:
            yield
        finally:
            when_ending.discard(self._mailbox.close)

    async def next(self) -> ServerNotification:
        """Return the next message for the client. Raises EndOfStream when the server ends."""
        return event_to_notification(await self._mailbox.take(), self.meta)

    async def next_changes(self) -> list[ServerEvent]:
        """Return all changes for the client, at least one. Raises EndOfStream when the server ends."""
        return await self._mailbox.take_all()


class ListenHandler:
    """Serves the streams.

    Unlike the SDK's own handler it sends each stream a pending change once, however often it happened, so a client
    that reads slowly neither loses its stream nor holds others up.

    Attributes:
        feed: where the changes come from.
        streams: how many are open.
    """

    def __init__(self, feed: ChangeFeed, meant_by: Callable[[str], str | None]) -> None:
        self.feed = feed
        self._meant_by = meant_by
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
        meant: dict[str, str] = {}
        for uri in uris:
            if (full := self._meant_by(uri)) is None:
                raise MCPError(INVALID_PARAMS, f"resource {uri!r} not found", data={"uri": uri})
            meant[uri] = full
        return ChangeStream(self, stream_id, wanted, meant)

    async def __call__(
        self, context: ServerRequestContext[Lifespan], params: SubscriptionsListenRequestParams
    ) -> SubscriptionsListenResult:
        """Serve one stream until the client leaves, which cancels this call, or the server ends."""
        stream_id = context.request_id
        if stream_id is None:
            raise MCPError(INVALID_REQUEST, "subscriptions/listen requires a request id")
        with self.open(stream_id, params.notifications) as stream:
            await context.session.send_notification(stream.acknowledgement, related_request_id=stream_id)
            with stream.ended_by(_when_ending(context)), suppress(anyio.EndOfStream):
                while True:
                    await context.session.send_notification(await stream.next(), related_request_id=stream_id)
            return stream.result


def _when_ending(context: ServerRequestContext[Lifespan]) -> set[Callable[[], None]]:
    """Return what is called when the web server of a request ends; connections of other kinds say it themselves."""
    scope = getattr(context.request, "scope", {})
    return scope.get(WHEN_ENDING, set())
