"""What the holder of a database serves to standby servers, in front of everything else.

A GET of `FEED` is what they follow, without an end; a POST to `LEASE` acknowledges what was taken in and asks for a
lease. A GET of `CHECKS` is which health checks a follower makes, a POST to it what was answered, both without an end.
All need what is derived from the key in the database. An answer to any call that may have changed something
leaves when everyone with a lease knows of the change.
"""

import hmac
import json
import logging
import math
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Final
from urllib.parse import parse_qs

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ostler.adapters.replicas.check_desk import CheckDesk
from ostler.adapters.replicas.check_form import MAX_LINE
from ostler.adapters.replicas.publisher import Publisher
from ostler.faces.daemon.forwarded_requests import ForwardedRequest, only_reads
from ostler.faces.daemon.http_answers import answer_json, header, replaying
from ostler.faces.replicas.held_answers import HeldAnswer

FEED: Final = "/replicas/feed"
LEASE: Final = "/replicas/lease"
CHECKS: Final = "/replicas/checks"

_DOUBT: Final = "this server cannot reach the database, and another one may work already"
_STREAMS: Final = frozenset({b"subscriptions/listen"})

_SEND_SECONDS: Final = 10.0
"""Seconds within which a follower must read what is sent to it."""

_MAX_KEPT: Final = 256 * 1024
"""Bytes of a request by which it is decided whether it only reads; a longer one counts as a change."""


logger = logging.getLogger(__name__)


def follower_token(key: bytes) -> str:
    """Return the token of followers, derived from the key of the database."""
    return hmac.new(key, b"to follow the holder", "sha256").hexdigest()


class FeedServer:
    """An ASGI application in front of another, `app`, which is set with `around`.

    Args:
        publisher: the source of the changes.
        desk: has health checks made.
        key: that of the database.
        version: of this program; others speak another language.
    """

    def __init__(self, publisher: Publisher, desk: CheckDesk, key: bytes, version: str) -> None:
        self._publisher = publisher
        self._desk = desk
        self._token = follower_token(key)
        self._version = version
        self._app: ASGIApp | None = None
        self._streams: set[anyio.CancelScope] = set()
        self._certain_at = 0.0

    def __repr__(self) -> str:
        return f"<FeedServer {self._publisher!r}>"

    @asynccontextmanager
    async def open(self) -> AsyncGenerator["FeedServer"]:
        """Publish within the block."""
        self._certain_at = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._publisher.run)
            tasks.start_soon(self._desk.run)
            yield self
            tasks.cancel_scope.cancel()

    def around(self, app: ASGIApp) -> ASGIApp:
        """Return an application that serves followers, and lets `app` answer everything else."""
        self._app = app
        return self

    async def close(self) -> None:
        """Take back the leases, and end the streams: followers know at once that this server ends."""
        await self._publisher.end()
        for stream in list(self._streams):
            stream.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._app is not None, "a request before there is something to serve"
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["path"] in (FEED, LEASE, CHECKS):
            await self._serve_follower(scope, receive, send)
        elif scope["method"] == "GET":
            await self._app(scope, receive, send)
        elif not self._publisher.is_certain:
            await self._serve_uncertain(self._app, scope, receive, send)
        elif not self._publisher.has_followers:
            self._certain_at = anyio.current_time()
            await self._app(scope, receive, send)
        else:
            await self._serve_settled(self._app, scope, receive, send)

    # -- doubt -----------------------------------------------------------------------------------------------

    async def _serve_uncertain(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer while another server may work already: reads with their age, and no change of a service."""
        body, read = bytearray(), list[Message]()
        while len(body) <= _MAX_KEPT:
            message = await receive()
            read.append(message)
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        again = replaying(receive, read)
        request = ForwardedRequest.of(scope, bytes(body))
        if request.changes_services or len(body) > _MAX_KEPT:
            await request.refuse(send, f"{_DOUBT}, so it is not certain what holds for a service")
        elif only_reads(bytes(body)) and header(scope, b"mcp-method") not in _STREAMS:
            age = anyio.current_time() - self._certain_at
            await app(scope, again, HeldAnswer(send, lambda _: False, _DOUBT, age))
        else:
            await app(scope, again, send)

    # -- changes ---------------------------------------------------------------------------------------------

    async def _serve_settled(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Let `app` answer; a request that may change something is answered once all replicas know the change."""
        self._certain_at = anyio.current_time()
        body = bytearray()
        reads: bool | None = None
        start: Message | None = None

        async def reading() -> Message:
            message = await receive()
            if len(body) <= _MAX_KEPT:
                body.extend(message.get("body", b""))
            return message

        async def sending(message: Message) -> None:
            nonlocal reads, start
            if reads is None:
                reads = len(body) <= _MAX_KEPT and only_reads(bytes(body))
            if reads:
                await send(message)
                return
            if message["type"] == "http.response.start":
                start = message  # if this server is lost meanwhile, nothing of the answer has begun
                return
            await self._publisher.settle()
            if start is not None:
                await send(start)
                start = None
            await send(message)

        await app(scope, reading, sending)

    # -- followers -------------------------------------------------------------------------------------------

    async def _serve_follower(self, scope: Scope, receive: Receive, send: Send) -> None:
        shown = header(scope, b"authorization").decode("latin-1")
        asked = {name: values[0] for name, values in parse_qs(scope["query_string"].decode("latin-1")).items()}
        number = asked.get("number", "0")
        if not hmac.compare_digest(shown.encode(), f"Bearer {self._token}".encode()):
            await answer_json(send, 401, b'{"error": "invalid_token"}')
        elif asked.get("version") != self._version:
            await answer_json(send, 409, json.dumps({"error": "other_version", "version": self._version}).encode())
        elif not number.isdecimal() or not asked.get("follower"):
            await answer_json(send, 400, b'{"error": "invalid_request"}')
        elif scope["path"] == LEASE:
            has_lease = self._publisher.acknowledge(asked["follower"], asked.get("run", ""), int(number))
            await answer_json(send, 200, b'{"lease": true}' if has_lease else b'{"lease": false}')
        elif scope["path"] == CHECKS and scope["method"] == "POST":
            await self._take_answers(asked["follower"], receive, send)
        elif scope["path"] == CHECKS:
            await self._stream(self._desk.calls(asked["follower"]), receive, send)
        elif not self._publisher.admits():
            await answer_json(send, 503, b'{"error": "no_room"}')
        else:
            await self._stream(
                self._publisher.feed(asked["follower"], asked.get("run", ""), int(number)), receive, send
            )

    async def _take_answers(self, follower: str, receive: Receive, send: Send) -> None:
        rest = b""
        with anyio.CancelScope() as taking, self._ended_with_us(taking), self._desk.answers(follower) as take:
            try:
                while (message := await receive())["type"] == "http.request":
                    *lines, rest = (rest + message.get("body", b"")).split(b"\n")
                    for line in lines:
                        take(line)
                    if len(rest) > MAX_LINE or not message.get("more_body"):
                        break
            except (ValueError, TypeError, RecursionError) as error:
                logger.warning("a server that stands by sent what is not the answer of a tool: %r", error)
        await answer_json(send, 200, b"{}", ((b"connection", b"close"),))

    async def _stream(self, source: AsyncGenerator[bytes], receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"no-store")]})
        async with anyio.create_task_group() as tasks:

            async def watch_follower() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                tasks.cancel_scope.cancel()

            with self._ended_with_us(tasks.cancel_scope):
                tasks.start_soon(watch_follower)
                await _send_parts(source, send)
            tasks.cancel_scope.cancel()
        with anyio.move_on_after(1, shield=True):
            await send({"type": "http.response.body", "body": b""})

    @contextmanager
    def _ended_with_us(self, stream: anyio.CancelScope) -> Generator[None]:
        """Within the block, `close` cancels `stream`."""
        self._streams.add(stream)
        try:
            yield
        finally:
            self._streams.discard(stream)


async def _send_parts(source: AsyncGenerator[bytes], send: Send) -> None:
    """Send what `source` yields, until it ends or the follower does not read any more."""
    with anyio.CancelScope() as sending:
        async with aclosing(source) as parts:
            async for part in parts:
                sending.deadline = anyio.current_time() + _SEND_SECONDS
                await send({"type": "http.response.body", "body": part, "more_body": True})
                sending.deadline = math.inf
