"""Between the web server and the SDK: plain JSON answers, refusals under load, and open streams.

Each is an ASGI application around another, and knows requests and answers only by their HTTP form.
"""

import json
import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final

import anyio
from msgspec import Struct
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ostler.faces.bridge.ledger import cut_off
from ostler.faces.hanging_up import WHEN_ENDING

logger = logging.getLogger(__name__)

MAX_REQUESTS: Final = 1_024
"""Requests under way at once; one more is refused. A client that waits for a service counts, a stream of events not."""

PRINCIPAL: Final = "ostler.principal"
"""The key of an ASGI scope under which the principal of a request is."""

RETRY_AFTER: Final = 1
"""Seconds after which a refused client may come again."""

PING_SECONDS: Final = 15.0
"""Seconds of silence after which a comment says that a stream is alive: proxies cut off a silent one."""

PING: Final = b": ping\r\n\r\n"

STREAM_HEADERS: Final = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"connection", b"keep-alive"),
    (b"x-accel-buffering", b"no"),
]
"""What an answer begins with that is a stream of events, as the SDK's does."""

SESSION: Final = b"mcp-session-id"


class PlainAnswers:
    """Sends an answer as one JSON body if nothing was sent before it; else the stream of events stays as it is.

    In the protocol's versions with sessions the SDK answers each call with a stream of events: three writes and a
    chunked body for one message. Whether something goes before the answer is known when the first event comes.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        held: Message | None = None
        answered = False

        async def decide(message: Message) -> None:
            nonlocal held, answered
            if answered:
                return  # the end of the stream whose one event was sent
            if message["type"] == "http.response.start" and header(message, b"content-type").startswith(_EVENTS):
                held = message
                return
            if message["type"] == "http.response.start" and message["status"] == _NOT_ACCEPTABLE:
                answered = True
                await answer_json(send, _NOT_ACCEPTABLE, _WANTS_BOTH)
                return
            if held is None or message["type"] != "http.response.body":
                await send(message)
                return
            if not (body := message.get("body", b"")) and message.get("more_body"):
                return
            start, held = held, None
            answer = answer_in(body)
            if answer is None:
                await send(start)
                await send(message)
                return
            answered = True
            kept = [pair for pair in start["headers"] if pair[0].lower() not in _OF_STREAMS]
            await answer_json(send, start["status"], answer, kept)

        await self._app(scope, receive, decide)


_EVENTS: Final = b"text/event-stream"
_NOT_ACCEPTABLE: Final = 406
_WANTS_BOTH: Final = json.dumps(
    {
        "jsonrpc": "2.0",
        "id": None,
        "error": {
            "code": -32600,
            "message": "the Accept header must name application/json and text/event-stream, as the protocol wants it",
        },
    }
).encode()
_OF_STREAMS: Final = frozenset(
    {b"content-type", b"content-length", b"cache-control", b"connection", b"x-accel-buffering"}
)


def answer_in(event: bytes) -> bytes | None:
    """Return the JSON-RPC response that is all of `event`; None if that is anything else."""
    data = [line[5:].strip() for line in event.splitlines() if line.startswith(b"data:")]
    if len(data) != 1 or not data[0]:
        return None
    with suppress(ValueError):
        message: Any = json.loads(data[0])
        if isinstance(message, dict) and "method" not in message and ("result" in message or "error" in message):
            return data[0]
    return None


class Answering:
    """Sends an answer, and knows whether it has begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.has_begun = False
        self._has_ended = False

    async def __call__(self, message: Message) -> None:
        self.has_begun = True
        self._has_ended = message["type"] == "http.response.body" and not message.get("more_body", False)
        await self._send(message)

    async def finish(self) -> None:
        """Cut off an answer that was begun."""
        if self.has_begun and not self._has_ended:
            await self({"type": "http.response.body", "body": b""})


class ShutdownAnswers:
    """Answers a request that uvicorn cancels because the server ends and the grace for requests is over.

    A call is refused in the words of the bridge, and an open stream ends; uvicorn would send a bare 500 and log a
    traceback for each. It takes every cancellation for the server's end, so it is around all applications that cancel.
    What stays open for as long as the server runs ends before, by `WHEN_ENDING`.
    """

    def __init__(self, app: ASGIApp, when_ending: set[Callable[[], None]]) -> None:
        self._app = app
        self._when_ending = when_ending

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answering = Answering(send)
        try:
            await self._app({**scope, WHEN_ENDING: self._when_ending}, receive, answering)
        except anyio.get_cancelled_exc_class():
            with anyio.move_on_after(_LAST_ANSWER_SECONDS, shield=True), suppress(OSError):
                if answering.has_begun:
                    await answering.finish()
                else:
                    await _refuse(_with_retry(send), cut_off("it was stopped"), {})


_LAST_ANSWER_SECONDS: Final = 0.5


class LoadShedding:
    """Refuses requests beyond `limit` that are under way at once, with a time to come back, before they are read."""

    def __init__(self, app: ASGIApp, limit: int = MAX_REQUESTS) -> None:
        self._app = app
        self._limit = limit
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or header(scope, b"mcp-method") == _LISTEN:
            await self._app(scope, receive, send)
            return
        if self._under_way >= self._limit:
            await refuse_busy(_with_retry(send), f"busy: {self._under_way} requests are under way")
            return
        self._under_way += 1
        try:
            await self._app(scope, receive, _with_retry(send))
        finally:
            self._under_way -= 1


_LISTEN: Final = b"subscriptions/listen"


def _with_retry(send: Send) -> Send:
    """Add the time to come back to refusals of the SDK, too."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 503:
            message = {**message, "headers": [*message["headers"], (b"retry-after", str(RETRY_AFTER).encode())]}
        await send(message)

    return sending


async def refuse_busy(send: Send, why: str) -> None:
    """Answer a request with 503, and with when to come back; its header is added on the way out."""
    text = f"{why}. Next: the same request again after {RETRY_AFTER} s"
    await _refuse(send, text, {"retryable": True, "retryAfterSeconds": RETRY_AFTER})


async def _refuse(send: Send, text: str, data: dict[str, object]) -> None:
    error = {"code": -32000, "message": text, "data": data}
    await answer_json(send, 503, json.dumps({"jsonrpc": "2.0", "id": None, "error": error}).encode())


async def answer_json(send: Send, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    """Send one whole answer of JSON.

    Args:
        send: the way to the client.
        status: of the answer.
        body: the JSON.
        headers: further headers.
    """
    own = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *own]})
    await send({"type": "http.response.body", "body": body})


def stream_event(message: bytes) -> bytes:
    """Return a message of JSON-RPC as one event of a stream."""
    return b"event: message\r\ndata: " + message + b"\r\n\r\n"


class WaitingClient(Struct, eq=False):
    """A client that waits for its answer."""

    send: Send
    due: float
    """When it is next sent a sign that its call is still running, by `time.monotonic`."""
    pings: anyio.Lock | None = None
    """Held while a sign of life is sent; None before the first one."""
    is_stream: bool = False
    """Whether its answer has begun as a stream."""


class WaitingClients:
    """Clients that wait for an answer, and get a sign of life every `PING_SECONDS`, from one task for all."""

    def __init__(self) -> None:
        self._waiting: dict[WaitingClient, None] = {}
        """Those whose ping is due first come first."""
        self._has_some = anyio.Event()

    def add(self, send: Send) -> WaitingClient:
        """Return a client that waits from now on, until `drop`."""
        client = WaitingClient(send, time.monotonic() + PING_SECONDS)
        self._waiting[client] = None
        if not self._has_some.is_set():
            self._has_some.set()
        return client

    def drop(self, client: WaitingClient) -> None:
        """Send nothing more to a client."""
        self._waiting.pop(client, None)

    async def answer(self, client: WaitingClient, answer: bytes) -> None:
        """Send a client its answer: as JSON, or as an event if signs of life have begun a stream."""
        self.drop(client)
        if client.pings is None:
            await answer_json(client.send, 200, answer)
            return
        async with client.pings:
            if client.is_stream:
                await client.send({"type": "http.response.body", "body": stream_event(answer)})
            else:
                await answer_json(client.send, 200, answer)

    async def reassure(self) -> None:
        """Send all of them their signs of life when they are due, until cancelled."""
        async with anyio.create_task_group() as tasks:
            while True:
                if not self._waiting:
                    self._has_some = anyio.Event()
                    await self._has_some.wait()
                first = next(iter(self._waiting), None)
                if first is not None and first.due <= time.monotonic():
                    self._waiting.pop(first)
                    first.due = time.monotonic() + PING_SECONDS
                    self._waiting[first] = None
                    if first.pings is None or not first.pings.locked():
                        first.pings = first.pings or anyio.Lock()
                        tasks.start_soon(self._ping, first, first.pings)
                elif first is not None:
                    await anyio.sleep(first.due - time.monotonic())

    async def _ping(self, client: WaitingClient, turn: anyio.Lock) -> None:
        async with turn:
            if client not in self._waiting:
                return
            try:
                if not client.is_stream:
                    client.is_stream = True
                    await client.send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})
                await client.send({"type": "http.response.body", "body": PING, "more_body": True})
            except Exception:  # boundary: what its connection refuses is not the others' affair
                self.drop(client)
                logger.debug("a client that waits could not be pinged", exc_info=True)


class StreamWatch:
    """Reports which sessions have their stream of events open: only those can get changes.

    When the server ends, the stream ends, too, whole as far as it came.
    """

    def __init__(self, app: ASGIApp, *, opened: Callable[[str], None], closed: Callable[[str], None]) -> None:
        self._app = app
        self._opened = opened
        self._closed = closed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        session = header(scope, SESSION).decode("latin-1") if scope["type"] == "http" else ""
        if not session or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        is_open = False
        when_ending: set[Callable[[], None]] = scope.get(WHEN_ENDING, set())
        stream = anyio.CancelScope()
        answering = Answering(send)

        async def watch(message: Message) -> None:
            nonlocal is_open
            if message["type"] == "http.response.start" and message["status"] == 200 and not is_open:
                is_open = True
                self._opened(session)
                when_ending.add(stream.cancel)
            await answering(message)

        try:
            with stream:
                await self._app(scope, receive, watch)
            if stream.cancelled_caught:
                await answering.finish()
        finally:
            when_ending.discard(stream.cancel)
            if is_open:
                self._closed(session)


def header(carrier: Any, name: bytes) -> bytes:
    """Return a header of a scope or of an answer's start; empty if there is none. ASGI has names in lower case."""
    for key, value in carrier["headers"]:
        if key == name:
            return value
    return b""


def replaying(receive: Receive, read: Iterable[Message]) -> Receive:
    """Return a receive function that replays the messages of `read`, then continues with `receive`."""
    kept = iter(read)

    async def reading() -> Message:
        return next(kept, None) or await receive()

    return reading
