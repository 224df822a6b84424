"""What a server answers that stands by: it passes requests on to the one that holds the database, until that is itself.

So any server of a database may be asked, and a load balancer need not know which one works. While none does, a request
waits. It is sent again only if the first one was certainly not received, or if twice does no harm.
"""

import logging
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx2
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ostler.adapters.stores.standing_by import SeenHolder
from ostler.faces.daemon.forwarded_requests import ForwardedRequest
from ostler.faces.daemon.http_answers import READ_SECONDS, LoadShedding, answer_json, refuse_busy

if TYPE_CHECKING:
    from ostler.faces.daemon.http_tls import Certificate

PATIENCE: Final = 20.0
"""Seconds for which a request waits by default; a fail-over takes 8 to 16."""

MAX_BODY: Final = 8 * 1024 * 1024
"""Bytes of a request; the server that answers it takes fewer."""

MAX_HELD: Final = 8 * MAX_BODY
"""Bytes of all requests under way: anyone can send them, as only the server that answers knows tokens."""

NOT_HOLDER: Final = "ostler-not-holder"
"""The header of a refusal by a server that stands by: it did nothing."""

_LOOK: Final = 0.25
"""Seconds from one attempt to the next."""

_LAST_ANSWERS: Final = 3.0
_CONNECT: Final = 2.0
_IDLE: Final = 2.0
"""Seconds for which an idle connection is kept: less than the other server keeps it."""

_OF_THE_HOP: Final = frozenset({b"connection", b"keep-alive", b"transfer-encoding", b"date", b"server"})

logger = logging.getLogger(__name__)


class _Outcome(Enum):
    ANSWERED = "answered"
    NOT_SENT = "not sent"
    UNCLEAR = "unclear"
    """It may have been carried out."""


class Forwarder:
    """An ASGI application in front of a server's own, which is there once this server holds the database.

    Args:
        version: for `/healthz` and `/readyz`.
        tls: what this server is reached with over https. All servers of a database have it or its like: another one is
            trusted if its certificate is trusted by the system or is the same, and is for the same name.
        patience: seconds for which a request waits until a server can carry it out.
    """

    def __init__(self, version: str, tls: "Certificate | None" = None, patience: float = PATIENCE) -> None:
        self._version = version
        self._patience = patience
        self._tls = tls
        self._own: ASGIApp | None = None
        self._holder: SeenHolder | None = None
        self._trouble = "the database was not reached yet"
        self._changed = anyio.Event()
        self._client: httpx2.AsyncClient | None = None
        self._name = ""
        self.url = ""
        """Where it listens; set with `end`, which ends that."""
        self.end: Callable[[], Awaitable[None]] = anyio.lowlevel.checkpoint
        self._forwarding = LoadShedding(self._forward)
        self._held = 0

    def __repr__(self) -> str:
        return f"<Forwarder {'own' if self._own is not None else self._holder or self._trouble}>"

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Pass requests on within the block."""
        trusted: ssl.SSLContext | bool = False
        if self._tls is not None:
            trusted = await anyio.to_thread.run_sync(_trusting, self._tls)
            self._name = next((name for name in self._tls.names() if not name.startswith("*")), "")
        transport = httpx2.AsyncHTTPTransport(
            verify=trusted,
            trust_env=False,
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=_IDLE),
            socket_options=_keepalive(),
        )
        timeout = httpx2.Timeout(None, connect=_CONNECT)
        async with httpx2.AsyncClient(transport=transport, timeout=timeout, trust_env=False) as client:
            for name in ("accept", "accept-encoding", "connection", "user-agent"):
                client.headers.pop(name, None)  # the client's own are passed on, if there are any
            self._client = client
            yield

    def saw(self, holder: SeenHolder | None, trouble: str = "") -> None:
        """Note who holds the database; the one that was seen last counts while the database cannot be reached."""
        self._trouble = trouble
        if not trouble and holder != self._holder:
            self._holder = holder
            self._wake()

    @asynccontextmanager
    async def serving_here(self, app: ASGIApp) -> AsyncGenerator[None]:
        """Let `app` answer within the block, also what waits; after it no more requests come."""
        self._own = app
        self._wake()
        try:
            yield
        finally:
            with anyio.move_on_after(_LAST_ANSWERS, shield=True):
                await self.end()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._own is not None:
            await self._own(scope, receive, send)
        elif scope["type"] == "http" and scope["path"] in ("/healthz", "/readyz", "/metrics"):
            await self._answer_probe(scope, receive, send)
        elif scope["type"] == "http":
            await self._forwarding(scope, receive, send)

    async def _answer_probe(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = {"status": "ok", "version": self._version}
        match scope["path"]:
            case "/healthz":
                answer = JSONResponse(status)
            case "/metrics":
                answer = PlainTextResponse("this server stands by, and measures nothing\n", 503)
            case _ if self._trouble:
                logger.warning("not ready: %s", self._trouble)
                status |= {"status": "unavailable", "reason": "the database cannot be used now"}
                answer = JSONResponse(status, 503)
            case _:
                answer = JSONResponse(status | {"status": "ready", "role": "standby"})
        await answer(scope, receive, send)

    # -- passing on --------------------------------------------------------------------------------------------

    async def _forward(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = bytearray()
        try:
            if await self._read(body, receive, send):
                await self._pass_on(ForwardedRequest.of(scope, bytes(body)), receive, send)
        finally:
            self._held -= len(body)

    async def _read(self, body: bytearray, receive: Receive, send: Send) -> bool:
        """Read a request's body; False where it was refused, or its client is gone."""
        with anyio.move_on_after(READ_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return False
                part: bytes = message.get("body", b"")
                body += part
                self._held += len(part)
                if len(body) > MAX_BODY:
                    await answer_json(send, 413, b'{"error": "too_large"}')
                    return False
                if self._held > MAX_HELD:
                    await refuse_busy(send, "the requests that wait here are too large together")
                    return False
                if not message.get("more_body"):
                    return True
        await answer_json(send, 408, b'{"error": "too_slow"}', ((b"connection", b"close"),))
        return False

    async def _pass_on(self, request: ForwardedRequest, receive: Receive, send: Send) -> None:
        gone = anyio.Event()
        async with anyio.create_task_group() as tasks:

            async def watch_client() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                gone.set()
                if self._own is None:
                    tasks.cancel_scope.cancel()

            tasks.start_soon(watch_client)
            await self._answer(request, gone, send)
            tasks.cancel_scope.cancel()

    async def _answer(self, request: ForwardedRequest, gone: anyio.Event, send: Send) -> None:
        """Have a request answered by whoever holds the database, while it has patience."""
        deadline = anyio.current_time() + self._patience
        while True:
            changed, holder = self._changed, self._holder
            if self._own is not None:
                await self._own(request.scope, _again(request, gone), send)
                return
            if request.was_forwarded:
                await answer_json(send, 503, b'{"error": "not_holder"}', [(NOT_HOLDER.encode(), b"1")])
                return
            if holder is not None and holder.url:
                match await self._try(holder, request, send):
                    case _Outcome.ANSWERED:
                        return
                    case _Outcome.UNCLEAR if not request.may_repeat:
                        await request.report_unclear(send)
                        return
                    case _Outcome.UNCLEAR | _Outcome.NOT_SENT:
                        pass
            if (left := deadline - anyio.current_time()) <= 0:
                await request.refuse(send, self._why())
                return
            with anyio.move_on_after(min(left, _LOOK)):
                await changed.wait()

    async def _try(self, holder: SeenHolder, request: ForwardedRequest, send: Send) -> _Outcome:
        """Send a request to `holder` and pass its answer on; give up when another server takes over."""
        outcome: _Outcome | None = None
        answering = _Answer(send)
        async with anyio.create_task_group() as tasks:

            async def watch_holder() -> None:
                while self._holder is None or self._holder.epoch == holder.epoch:
                    if self._own is not None:
                        break
                    await self._changed.wait()
                tasks.cancel_scope.cancel()

            tasks.start_soon(watch_holder)
            outcome = await self._exchange(holder, request, answering)
            tasks.cancel_scope.cancel()
        if outcome is None:
            outcome = _Outcome.UNCLEAR if answering.was_sent else _Outcome.NOT_SENT
        if outcome is _Outcome.UNCLEAR and answering.has_begun:
            await answering.finish()
            return _Outcome.ANSWERED
        return outcome

    async def _exchange(self, holder: SeenHolder, request: ForwardedRequest, answering: "_Answer") -> _Outcome:
        assert self._client is not None, "a request before the forwarder was opened"
        asked = self._client.build_request(
            request.scope["method"],
            f"{holder.url}{request.target}",
            headers=request.headers(holder.key),
            content=request.body or None,
            extensions={"trace": answering.trace} | ({"sni_hostname": self._name} if self._name else {}),
        )
        try:
            response = await self._client.send(asked, stream=True)
            try:
                if NOT_HOLDER in response.headers:
                    return _Outcome.NOT_SENT
                await answering.begin(response.status_code, response.headers.raw)
                async for chunk in response.aiter_raw():
                    await answering.go_on(chunk)
            finally:
                with anyio.CancelScope(shield=True):
                    await response.aclose()
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as exc:
            logger.debug("%s cannot be reached: %r", holder.url, exc)
            return _Outcome.NOT_SENT
        except httpx2.HTTPError as exc:
            if not answering.was_sent:
                return _Outcome.NOT_SENT
            logger.info("%s was lost in a request: %r", holder.url, exc)
            return _Outcome.UNCLEAR
        await answering.finish()
        return _Outcome.ANSWERED

    def _why(self) -> str:
        """Return why no server could be asked."""
        if self._trouble:
            return f"this server stands by, and cannot find the one that works: {self._trouble}"
        if self._holder is None:
            return "no server holds the database yet"
        if not self._holder.url:
            return f"the server that holds the database ({self._holder.label}) serves no one over HTTP yet"
        return (
            f"the server that holds the database ({self._holder.label}) cannot be reached from this one at "
            f"{self._holder.url} (serve --advertise says where it can)"
        )


class _Answer:
    """The answer to a client, as it comes from the other server."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.was_sent = False
        """Whether anything of the request was sent to it."""
        self.has_begun = False

    async def trace(self, event: str, _facts: dict[str, Any]) -> None:
        """Follow the request."""
        self.was_sent = self.was_sent or event == "http11.send_request_headers.started"

    async def begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        kept = [pair for pair in headers if pair[0].lower() not in _OF_THE_HOP]
        self.has_begun = True
        await self._send({"type": "http.response.start", "status": status, "headers": kept})

    async def go_on(self, chunk: bytes) -> None:
        await self._send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def finish(self) -> None:
        await self._send({"type": "http.response.body", "body": b""})


def _again(request: ForwardedRequest, gone: anyio.Event) -> Receive:
    """Return what lets an application read a request that was read before."""
    rest = [request.replayed()]

    async def receive() -> Message:
        if rest:
            return rest.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    return receive


def _trusting(certificate: "Certificate") -> ssl.SSLContext:
    """Return what trusts those whom the system trusts, and a server with the same certificate."""
    context = ssl.create_default_context()
    context.load_verify_locations(certificate.chain)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _keepalive() -> list[tuple[int, int, int]]:
    """Return the options by which the loss of a machine is noticed while it is waited for."""
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
    for name, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 8000)):
        if hasattr(socket, name):
            options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    return options
