"""Streams of changes over HTTP (`subscriptions/listen`), written without the SDK's server.

Of a change that many clients listen for, each needs the same few bytes. Through the SDK's server, they cost 95 µs of
CPU for each client: a model, two dumps and two tasks, one after the other. Whatever a request says that is not plain,
the SDK answers it, faults included, as in `ostler.faces.daemon.http_short_calls`.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

import anyio
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import SUBSCRIPTION_ID_META_KEY, ServerEvent, event_to_notification
from mcp_types import RequestId, ServerNotification, SubscriptionFilter
from starlette.types import ASGIApp, Receive, Scope, Send

from ostler.adapters.downstream.direct_calls import is_traced
from ostler.faces.daemon import http_answers
from ostler.faces.daemon.http_answers import replaying
from ostler.faces.daemon.http_short_calls import plain_headers, plain_request
from ostler.faces.hanging_up import WHEN_ENDING
from ostler.faces.mcp.server import OstlerServer
from ostler.faces.mcp.subscriptions import ChangeStream, ListenHandler

_METHOD: Final = "subscriptions/listen"
_PARAMS: Final = frozenset({"notifications", "_meta"})


class ShortListening:
    """Serves plain streams of changes from `listening`, and leaves the rest to the application around the SDK."""

    def __init__(self, app: ASGIApp, listening: ListenHandler) -> None:
        self._app = app
        self._listening = listening

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = plain_headers(scope, _METHOD)
        if headers is None or b"mcp-name" in headers or is_traced():
            await self._app(scope, receive, send)
            return
        message = await receive()
        stream = None
        if message["type"] == "http.request" and not message.get("more_body"):
            stream = self._opened(message.get("body", b""))
        if stream is None:
            await self._app(scope, replaying(receive, [message]), send)
            return
        with stream:
            await _serve(stream, receive, send, scope.get(WHEN_ENDING, set()))

    def _opened(self, body: bytes) -> ChangeStream | None:
        """Return the stream that `body` asks for; None if it does not, or the SDK has to say why there is none."""
        request = plain_request(body, _METHOD, _PARAMS)
        if request is None:
            return None
        try:
            wanted = SubscriptionFilter.model_validate(request["params"]["notifications"], by_name=False)
            return self._listening.open(request["id"], wanted)
        except MCPError:
            return None


def with_short_listening(app: ASGIApp, server: object) -> ASGIApp:
    """Return `app`, which serves `server`, with the short way to its changes if it has one."""
    if not isinstance(server, OstlerServer) or server.listening is None:
        return app
    return ShortListening(app, server.listening)


async def _serve(stream: ChangeStream, receive: Receive, send: Send, when_ending: set[Callable[[], None]]) -> None:
    """Write the changes of `stream` until either side ends. A slow client gets repeated changes once."""
    stream_id: RequestId = stream.meta[SUBSCRIPTION_ID_META_KEY]

    async def write(body: bytes) -> None:
        await send({"type": "http.response.body", "body": body, "more_body": True})

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_watch, receive, tasks.cancel_scope)
        await send({"type": "http.response.start", "status": 200, "headers": http_answers.STREAM_HEADERS})
        await write(_event(stream.acknowledgement))
        with stream.ended_by(when_ending), suppress(anyio.EndOfStream):
            while True:
                changes: list[ServerEvent] = []
                with anyio.move_on_after(http_answers.PING_SECONDS):
                    changes = await stream.next_changes()
                await write(b"".join(_event_of(change, stream_id) for change in changes) or http_answers.PING)
        result = stream.result.model_dump(by_alias=True, mode="json", exclude_none=True)
        last = _stream_event({"jsonrpc": "2.0", "id": stream_id, "result": result})
        await send({"type": "http.response.body", "body": last})
        tasks.cancel_scope.cancel()


async def _watch(receive: Receive, stream: anyio.CancelScope) -> None:
    """End the stream when its client leaves."""
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.cancel()


@lru_cache(maxsize=256)
def _event_of(change: ServerEvent, stream_id: RequestId) -> bytes:
    return _event(event_to_notification(change, {SUBSCRIPTION_ID_META_KEY: stream_id}))


def _event(notification: ServerNotification) -> bytes:
    """Return a notification as the SDK writes it."""
    said = notification.model_dump(by_alias=True, mode="json", exclude_none=True)
    return _stream_event({"jsonrpc": "2.0", **said})


def _stream_event(message: dict[str, Any]) -> bytes:
    return http_answers.stream_event(json.dumps(message, separators=(",", ":")).encode())
