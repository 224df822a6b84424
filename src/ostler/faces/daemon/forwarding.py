"""Answers of a standby server: it forwards requests to the server that holds the database, until it is that itself.

So any server of a database may be asked, and a load balancer need not know which one works. While none does, a request
waits. It is sent again only if the first one was certainly not received, or if twice does no harm.
"""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol

import anyio
import anyio.lowlevel
import httpx2
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ostler.adapters.stores.standing_by import SeenHolder
from ostler.adapters.telemetry.silent import Scrape
from ostler.faces.bridge.greeting import Refusal
from ostler.faces.daemon.forwarded_requests import ForwardedAnswer, ForwardedRequest
from ostler.faces.daemon.http_answers import LoadShedding, answer_json, refuse_busy, replaying
from ostler.faces.daemon.peers import peer_client

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

LATE: Final = 2.0
"""Seconds after which a read that no server answers is answered from what was known last, with its age."""

_LOOK: Final = 0.25
"""Seconds from one attempt to the next."""

_LAST_ANSWERS: Final = 3.0
logger = logging.getLogger(__name__)


class _Outcome(Enum):
    ANSWERED = "answered"
    NOT_SENT = "not sent"
    UNCLEAR = "unclear"
    """It may have been carried out."""


class Reader(Protocol):
    """Answers reads on a standby server (`ostler.faces.replicas.replica`)."""

    scrape: Callable[[], Scrape] | None

    @property
    def is_current(self) -> bool:
        """Whether it answers as the holder would."""
        ...

    @property
    def age(self) -> float | None:
        """Seconds since it did; None: it never did."""
        ...

    def open(self, client: httpx2.AsyncClient, name: str) -> AbstractAsyncContextManager[None]:
        """Follow the holder within the block, with a client for servers whose certificate is for `name`."""
        ...

    def saw(self, holder: SeenHolder | None) -> None:
        """Note who holds the database."""
        ...

    def end(self) -> None:
        """Stop answering."""
        ...

    def reads(self, request: ForwardedRequest) -> bool:
        """Whether a request is of a kind that is answered here."""
        ...

    async def passes_on(self, request: ForwardedRequest) -> None:
        """Note that a request is passed on."""
        ...

    async def show_metrics(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Answer a request for the metrics; False, with nothing sent, if there are none yet."""
        ...

    def is_stream(self, request: ForwardedRequest) -> bool:
        """Whether the answer to a request has no end."""
        ...

    async def answer(self, request: ForwardedRequest, receive: Receive, send: Send, *, is_late: bool = False) -> bool:
        """Answer a request, with its age if it `is_late`; False, with nothing sent, if only the holder can."""
        ...


class Feed(Protocol):
    """Serves standby servers on the holder, in front of everything else (`ostler.faces.replicas.feed_server`)."""

    def around(self, app: ASGIApp) -> ASGIApp:
        """Return an application that serves followers, and lets `app` answer everything else."""
        ...

    async def close(self) -> None:
        """End their streams, within seconds."""
        ...


class Forwarder:
    """An ASGI application in front of a server's own, which is there once this server holds the database.

    Args:
        version: for `/healthz` and `/readyz`.
        tls: what this server is reached with over https. All servers of a database have it or its like: another one is
            trusted if its certificate is trusted by the system or is the same, and is for the same name.
        patience: seconds for which a request waits until a server can carry it out.
        reader: answers reads here; None passes them on, too.
    """

    def __init__(
        self,
        version: str,
        tls: "Certificate | None" = None,
        patience: float = PATIENCE,
        reader: Reader | None = None,
    ) -> None:
        self._version = version
        self._patience = patience
        self._tls = tls
        self._reader = reader
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

    @property
    def refusal(self) -> Refusal:
        """Why this server answers no one on its local socket."""
        if self._trouble or self._holder is None:
            return Refusal(self._why(), is_final=False)
        holder = self._holder
        at = f", and is reached at {holder.url}/mcp" if holder.url else ""
        return Refusal(
            f"the server of this state folder stands by: {holder.label} holds the database{at}. Next: use that one, or "
            f"this one over HTTP at {self.url}; 'ostler stop-server' ends this one",
            is_final=True,
        )

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Pass requests on within the block."""
        async with peer_client(self._tls) as (client, self._name):
            self._client = client
            if self._reader is None:
                yield
            else:
                async with self._reader.open(client, self._name):
                    yield

    def saw(self, holder: SeenHolder | None, trouble: str = "") -> None:
        """Note who holds the database; the one that was seen last counts while the database cannot be reached."""
        self._trouble = trouble
        if not trouble and holder != self._holder:
            self._holder = holder
            self._wake()
            if self._reader is not None:
                self._reader.saw(holder)

    def measured_by(self, scrape: Callable[[], Scrape] | None) -> None:
        """Note what returns the metrics of this process; None: none are kept."""
        if self._reader is not None:
            self._reader.scrape = scrape

    @asynccontextmanager
    async def serving_here(self, app: ASGIApp, feed: Feed | None = None) -> AsyncGenerator[None]:
        """Let `app` answer within the block, also what waits; after it no more requests come.

        Args:
            app: this server's own.
            feed: what those follow that stand by.
        """
        self._own = app if feed is None else feed.around(app)
        self._wake()
        if self._reader is not None:
            self._reader.end()
        try:
            yield
        finally:
            with anyio.move_on_after(_LAST_ANSWERS, shield=True):
                if feed is not None:
                    await feed.close()
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
                if self._reader is not None and await self._reader.show_metrics(scope, receive, send):
                    return
                answer = PlainTextResponse("this server has not seen yet which one holds the database\n", 503)
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
                request = ForwardedRequest.of(scope, bytes(body))
                reader = self._reader_of(request)
                if reader is not None and reader.is_current:
                    again = replaying(receive, [request.replayed()])
                    if self._own is None and await reader.answer(request, again, send):
                        return
                if self._reader is not None:
                    await self._reader.passes_on(request)
                await self._pass_on(request, receive, send)
        finally:
            self._held -= len(body)

    def _reader_of(self, request: ForwardedRequest) -> Reader | None:
        """Return what may answer a request on this server."""
        reader = self._reader
        return reader if reader is not None and not request.was_forwarded and reader.reads(request) else None

    async def _read(self, body: bytearray, receive: Receive, send: Send) -> bool:
        """Read a request's body; False if it was refused, or its client is gone."""
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
        reader = self._reader_of(request)
        late = None if reader is None or reader.is_stream(request) else _LateAnswer(reader)
        while True:
            changed, holder = self._changed, self._holder
            if self._own is not None:
                await self._own(request.scope, _again(request, gone), send)
                return
            if request.was_forwarded:
                await answer_json(send, 503, b'{"error": "not_holder"}', [(NOT_HOLDER.encode(), b"1")])
                return
            if late is not None and await late.answer(request, _again(request, gone), send):
                return
            if holder is not None and holder.url:
                match await self._try(holder, request, send, None if late is None else late.comes_at):
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

    async def _try(
        self, holder: SeenHolder, request: ForwardedRequest, send: Send, until: float | None = None
    ) -> _Outcome:
        """Send a request to `holder` and pass its answer on; give up when another server takes over.

        A read for which there is an older answer here is given up at `until`, unless its answer has begun.
        """
        outcome: _Outcome | None = None
        answering = ForwardedAnswer(send)
        async with anyio.create_task_group() as tasks:

            async def watch_holder() -> None:
                while self._holder is None or self._holder.epoch == holder.epoch:
                    if self._own is not None:
                        break
                    await self._changed.wait()
                tasks.cancel_scope.cancel()

            async def watch_clock(until: float) -> None:
                await anyio.sleep_until(until)
                if not answering.has_begun:
                    tasks.cancel_scope.cancel()

            tasks.start_soon(watch_holder)
            if until is not None:
                tasks.start_soon(watch_clock, until)
            outcome = await self._exchange(holder, request, answering)
            tasks.cancel_scope.cancel()
        if outcome is None:
            outcome = _Outcome.UNCLEAR if answering.was_sent else _Outcome.NOT_SENT
        if outcome is _Outcome.UNCLEAR and answering.has_begun:
            await answering.break_off()
            return _Outcome.ANSWERED
        return outcome

    async def _exchange(self, holder: SeenHolder, request: ForwardedRequest, answering: ForwardedAnswer) -> _Outcome:
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
        """Return why no server could be reached."""
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


class _LateAnswer:
    """A stale answer to a read that no server answers in time."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._due = anyio.current_time() + LATE

    @property
    def comes_at(self) -> float | None:
        """When to ask no longer for a better one; None: there is no reason to stop."""
        return self._due if self._reader.age is not None and anyio.current_time() < self._due else None

    async def answer(self, request: ForwardedRequest, receive: Receive, send: Send) -> bool:
        """Answer a request, if it is time and something is known."""
        is_due = anyio.current_time() >= self._due
        return is_due and await self._reader.answer(request, receive, send, is_late=True)


def _again(request: ForwardedRequest, gone: anyio.Event) -> Receive:
    """Return a receive function that replays a request that was read before."""
    rest = [request.replayed()]

    async def receive() -> Message:
        if rest:
            return rest.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    return receive
