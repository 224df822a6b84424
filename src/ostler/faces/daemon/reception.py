"""One task per local connection: greet it, then answer its one request or serve MCP on it until either side ends."""

import logging
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import anyio
from anyio.abc import SocketAttribute, SocketStream

from ostler.faces.bridge.greeting import (
    ANSWER_TIMEOUT,
    GREETING_LIMIT,
    LINE_LIMIT,
    PROTOCOL,
    Refusal,
    decode_line,
    encode_line,
    proof,
    proves,
)
from ostler.faces.bridge.lines import LineTooLongError
from ostler.faces.bridge.version import code_id
from ostler.faces.client_facts import ClientFacts, client_of
from ostler.faces.daemon.hosting import Hosted
from ostler.faces.daemon.http_faults import HttpSettingsError
from ostler.faces.daemon.plain_calls import PlainCalls
from ostler.faces.daemon.streams import OutgoingMessages, SlowClientError, message_streams
from ostler.faces.mcp.channels import with_channel
from ostler.model.moments import format_brief

BYE_GRACE: Final = 1.0
"""Seconds for the clients' connections to take what was written for them and the last line, when the server ends."""

logger = logging.getLogger(__name__)


class Reception:
    """Receives every connection of one server's socket.

    Attributes:
        clients: connections that speak MCP now.
        last_left: the time (anyio's clock) at which a connection ended last.
    """

    def __init__(
        self,
        hosted: Hosted,
        *,
        version: str,
        secret: str,
        may_hand_over: bool,
        end: Callable[[str], None],
        dashboard: Callable[[], Awaitable[str]],
        refusal: Callable[[], Refusal | None] = lambda: None,
    ) -> None:
        """Prepare to receive.

        Args:
            hosted: what to serve.
            version: shown to every client.
            secret: what clients prove to know; empty if the socket's file mode says it.
            may_hand_over: whether a newer version may take this server's place.
            end: ends the server, for the reason given (`stop` or `handover`).
            dashboard: makes a link to the dashboard; raises HttpSettingsError when it cannot be served.
            refusal: returns why no client is served now; None: they are.
        """
        self._hosted = hosted
        self._version = version
        self._code = code_id()
        self._secret = secret
        self._may_hand_over = may_hand_over
        self._end = end
        self._dashboard = dashboard
        self._refusal = refusal
        self._open: dict[OutgoingMessages, anyio.CancelScope] = {}
        self._ending = ""
        self._since = datetime.now(UTC)
        self.last_left = anyio.current_time()

    def __repr__(self) -> str:
        return f"<Reception with {self.clients} clients>"

    @property
    def clients(self) -> int:
        """Connections that speak MCP now."""
        return len(self._open)

    async def receive(self, stream: SocketStream) -> None:
        """Serve one connection to its end; its failures stay its own."""
        async with stream:
            try:
                await self._greet(stream)
            except* (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream):
                logger.debug("a connection broke")
            except* (SlowClientError, LineTooLongError) as group:
                logger.warning("dropped a client: %s", "; ".join(str(error) for error in group.exceptions))
            except* Exception:  # whatever goes wrong for one client must not end the others
                logger.exception("a connection failed")
            finally:
                self.last_left = anyio.current_time()

    def close(self, reason: str) -> None:
        """Greet no more clients, and notify every client that the server stops."""
        self._ending = reason
        for outgoing in self._open:
            outgoing.finish(encode_line("bye", reason=reason))

    async def dismiss(self) -> None:
        """End the connections after `close`, bounded by `BYE_GRACE`."""
        with anyio.move_on_after(BYE_GRACE):
            for outgoing in list(self._open):
                await outgoing.drained.wait()
        for scope in self._open.values():
            scope.cancel()

    async def _greet(self, stream: SocketStream) -> None:
        try:
            with anyio.fail_after(ANSWER_TIMEOUT):
                line, head = await _read_line(stream)
        except TimeoutError:
            logger.warning("a connection said nothing for %.0f s and was closed", ANSWER_TIMEOUT)
            return
        facts = decode_line(line)
        if not line and not head:  # someone only looked whether a server is here, as `ostler up` does
            return
        if facts is None:
            logger.warning("a connection did not begin with a greeting and was closed")
            return
        nonce = facts.get("nonce")
        if not proves(facts.get("proof"), self._secret, "client", nonce):
            await stream.send(encode_line("refused", message="the secret of this server's endpoint was not proven"))
            logger.warning("refused a connection that did not prove the endpoint's secret")
            return
        evidence = {"proof": proof(self._secret, "server", str(nonce))} if self._secret else {}
        if self._ending:
            await stream.send(encode_line("bye", reason=self._ending, **evidence))
            return
        await self._answer(stream, head, facts, evidence)

    async def _answer(self, stream: SocketStream, head: bytes, facts: dict[str, Any], evidence: dict[str, str]) -> None:
        """Answer a proper greeting; `head` was read behind it."""
        refused = self._refusal()
        match facts["ostler"]:
            case "hello" | "dashboard" if refused is not None:
                await stream.send(encode_line("refused", message=refused.message, final=refused.is_final, **evidence))
            case "hello":
                await self._serve(stream, head, facts, evidence)
            case "status":
                await stream.send(encode_line("status", **self._status(), **evidence))
            case "dashboard":
                await self._link(stream, evidence)
            case "stop":
                await self._leave(stream, "stop", evidence)
            case "handover":
                await self._hand_over(stream, str(facts.get("version", "")), evidence)
            case other:
                text = f"server {self._version} does not know the request {other!r}"
                await stream.send(encode_line("refused", message=text, **evidence))

    async def _serve(self, stream: SocketStream, head: bytes, hello: dict[str, Any], evidence: dict[str, str]) -> None:
        welcome = encode_line("welcome", protocol=PROTOCOL, version=self._version, pid=os.getpid(), **evidence)
        logger.info("a %s joined, version %s", hello.get("client", "client"), hello.get("version", "unknown"))
        with anyio.CancelScope() as scope, client_of(hello) as client, self._counted(client):
            await stream.send(welcome)
            await self._welcome(client.environment)
            unread = await self._answer_plainly(stream, head, scope) if hello.get("client") == "cli" else head
            if unread is not None:
                await self._speak(stream, unread, hello, scope)
        logger.info("a %s left", hello.get("client", "client"))

    async def _answer_plainly(self, stream: SocketStream, head: bytes, scope: anyio.CancelScope) -> bytes | None:
        """Answer the plain calls of a command line; return what the SDK is to read first, None if the client left."""
        toolbox = self._hosted.calls
        if toolbox is None:
            return head
        async with self._writing(stream, scope) as outgoing:
            return await PlainCalls(stream, head, toolbox).answer(outgoing)

    async def _speak(self, stream: SocketStream, head: bytes, hello: dict[str, Any], scope: anyio.CancelScope) -> None:
        """Serve MCP until either side ends."""
        if self._hosted.prepare is not None:
            async with self._writing(stream, scope):  # it takes a while: the client counts, and hears of the end
                await self._hosted.prepare()
            if self._ending:
                return
        server = self._hosted.local_server(str(hello.get("toolset", "")))
        options = self._hosted.initialization_options or server.create_initialization_options()
        if hello.get("channel") is True:
            options = with_channel(options)
        serve = partial(server.run, initialization_options=options)
        async with message_streams(stream, stream, head=head, serve_second=serve) as (incoming, outgoing):
            with self._opened(outgoing, scope):
                await serve(incoming, outgoing)

    @asynccontextmanager
    async def _writing(self, stream: SocketStream, scope: anyio.CancelScope) -> AsyncGenerator[OutgoingMessages]:
        """Write to the client until the block ends, and then what is left."""
        outgoing = OutgoingMessages()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(outgoing.drain, stream)
            with self._opened(outgoing, scope):
                yield outgoing
                outgoing.close()
                await outgoing.drained.wait()

    @contextmanager
    def _opened(self, outgoing: OutgoingMessages, scope: anyio.CancelScope) -> Generator[None]:
        """Let the end of the server end what is written to `outgoing`, and then the connection."""
        self._open[outgoing] = scope
        if self._ending:
            outgoing.finish(encode_line("bye", reason=self._ending))
        try:
            yield
        finally:
            del self._open[outgoing]

    def _counted(self, client: ClientFacts) -> AbstractContextManager[None]:
        present = self._hosted.present
        return nullcontext() if present is None else present(client.directory, client.connection)

    async def _welcome(self, environment: Mapping[str, str] | None) -> None:
        if self._hosted.joined is None:
            return
        try:
            await self._hosted.joined(environment)
        except Exception:  # boundary: what the application makes of a client's environment must not keep it out
            logger.exception("a client's environment could not be used")

    async def _link(self, stream: SocketStream, evidence: dict[str, str]) -> None:
        try:
            line = encode_line("dashboard", url=await self._dashboard(), **evidence)
        except HttpSettingsError as error:
            line = encode_line("refused", message=f"the dashboard cannot be served: {error}", **evidence)
        await stream.send(line)

    async def _hand_over(self, stream: SocketStream, version: str, evidence: dict[str, str]) -> None:
        if not self._may_hand_over:
            text = (
                f"server {self._version} (pid {os.getpid()}) runs in the foreground and does not hand over; "
                "stop it where it was started, then start the newer version there"
            )
            await stream.send(encode_line("refused", message=text, **evidence))
            return
        logger.info("handing over to version %s", version)
        await self._leave(stream, "handover", evidence)

    async def _leave(self, stream: SocketStream, reason: str, evidence: dict[str, str]) -> None:
        await stream.send(
            encode_line("ending", reason=reason, pid=os.getpid(), within=self._hosted.ends_within, **evidence)
        )
        # A duplicate that only the process's own end closes: that is what the other side waits for.
        raw = stream.extra(SocketAttribute.raw_socket)  # noqa: S610 (anyio's typed attributes, not SQL)
        raw.dup().detach()
        self._end(reason)

    def _status(self) -> dict[str, object]:
        return {
            "pid": os.getpid(),
            "version": self._version,
            "code": self._code,
            "since": format_brief(self._since, precision="seconds"),
            "clients": self.clients,
            "hasWork": self._hosted.has_work(),
            "standby": refused.message if (refused := self._refusal()) is not None else "",
        }


async def _read_line(stream: SocketStream) -> tuple[bytes, bytes]:
    """Return the first line, and what was read behind it."""
    received = b""
    with suppress(anyio.EndOfStream):
        while b"\n" not in received and len(received) < GREETING_LIMIT:
            received += await stream.receive(LINE_LIMIT)
    line, _, rest = received.partition(b"\n")
    return line, rest
