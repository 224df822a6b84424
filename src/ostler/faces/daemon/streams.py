"""MCP messages over a byte stream: one JSON-RPC message a line, with a client that may be slow or dead.

Sending never waits for the client: a notification to many clients must not be held up by one. What is sent waits in
memory for the writer; a client that leaves too much there, or takes nothing for too long, is dropped.
"""

import json
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, cast

import anyio
import anyio.lowlevel
import mcp_types as types
from anyio.abc import ByteReceiveStream, ByteSendStream
from mcp.shared import message as sdk_message

from ostler.adapters.downstream.framing import message_id
from ostler.faces.bridge.lines import LINE_LIMIT, READ_SIZE, LineTooLongError
from ostler.faces.daemon.eras import EraRouter, Incoming, ServeSession, second_session

if TYPE_CHECKING:
    from mcp.shared.message import SessionMessage

SLOW_CLIENT_TIMEOUT: Final = 30.0
"""Seconds for a client to take the next 64 KiB."""

BACKLOG_LIMIT: Final = 64 * 1024 * 1024
"""Bytes waiting for one client, beyond which it is dropped at the next message for it."""

_WRITE_SIZE: Final = 64 * 1024

logger = logging.getLogger(__name__)


class SlowClientError(Exception):
    """A client did not read what was sent to it."""


class OutgoingMessages:
    """The write stream of one connection (`mcp`'s WriteStream): `send` queues, `drain` writes."""

    def __init__(self) -> None:
        self._lines: deque[bytes] = deque()
        self._waiting = 0
        self._closed = False
        self._overflowed = False
        self._news = anyio.Event()
        self.drained = anyio.Event()
        """Set when nothing more will be written."""

    def __repr__(self) -> str:
        return f"<OutgoingMessages {len(self._lines)} waiting, {self._waiting} bytes>"

    async def send(self, item: "SessionMessage", /) -> None:
        """Queue a message.

        Raises:
            anyio.BrokenResourceError: the client is gone, or has been dropped.
        """
        await anyio.lowlevel.checkpoint()
        if not self._takes_more():
            raise anyio.BrokenResourceError
        self._add(item.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")

    def send_line(self, line: bytes) -> None:
        """Queue a message that is bytes already; one for a client that is gone is dropped."""
        if self._takes_more():
            self._add(line)

    def refuse(self, line: bytes) -> None:
        """Answer a line that is not a message, with its id if it has one."""
        if self._takes_more():
            self._add(_refusal(line))

    def _takes_more(self) -> bool:
        """Return whether this is open; a client with too much unread is dropped now."""
        if self._waiting > BACKLOG_LIMIT:
            self._overflowed = True
            self.close()
        return not self._closed

    def _add(self, line: bytes) -> None:
        self._lines.append(line)
        self._waiting += len(line)
        self._news.set()

    async def aclose(self) -> None:
        """Take no more; what is queued is still written."""
        self.close()

    def close(self) -> None:
        """Take no more; what is queued is still written."""
        self._closed = True
        self._news.set()

    def finish(self, line: bytes) -> None:
        """Queue `line` as the last one."""
        if not self._closed:
            self._add(line)
            self.close()

    async def drain(self, stream: ByteSendStream) -> None:
        """Write what is sent to `stream`, in order, until this is closed and all is written.

        Raises:
            SlowClientError: the client does not take it.
            anyio.BrokenResourceError: the client is gone.
        """
        try:
            while True:
                while self._lines:
                    if self._overflowed:
                        raise SlowClientError(f"{self._waiting} bytes wait for it")
                    line = self._lines.popleft()
                    self._waiting -= len(line)
                    await _write(line, stream)
                if self._closed:
                    return
                self._news = anyio.Event()
                await self._news.wait()
        finally:
            self._closed = True
            self.drained.set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        self.close()


async def _write(line: bytes, stream: ByteSendStream) -> None:
    for start in range(0, len(line), _WRITE_SIZE):
        with anyio.move_on_after(SLOW_CLIENT_TIMEOUT) as scope:
            await stream.send(line[start : start + _WRITE_SIZE])
        if scope.cancelled_caught:
            raise SlowClientError(f"it took nothing for {SLOW_CLIENT_TIMEOUT:.0f} s")


@asynccontextmanager
async def message_streams(
    receiver: ByteReceiveStream,
    sender: ByteSendStream,
    *,
    head: bytes = b"",
    serve_second: "ServeSession | None" = None,
) -> AsyncGenerator[tuple[Incoming, OutgoingMessages]]:
    """Yield the streams of messages that `receiver` and `sender` carry; both end with either.

    Args:
        receiver: where the client's bytes come from.
        sender: where the client's bytes go to.
        head: bytes that were read from `receiver` already.
        serve_second: serves the session of a client that changes to the handshake era; without it that is refused.

    Raises:
        SlowClientError: in an exception group; the client was dropped.
        LineTooLongError: in an exception group; the client sent more than one message may hold.
    """
    incoming_writer, incoming = anyio.create_memory_object_stream["SessionMessage | Exception"](0)
    outgoing = OutgoingMessages()
    async with anyio.create_task_group() as tasks:
        router = EraRouter(incoming_writer, serve_second and second_session(serve_second, outgoing, tasks))
        tasks.start_soon(_read_messages, receiver, router, outgoing, head)
        tasks.start_soon(_write_messages, outgoing, sender, tasks.cancel_scope)
        try:
            yield incoming, outgoing
        finally:
            outgoing.close()
            incoming.close()


async def _write_messages(outgoing: OutgoingMessages, sender: ByteSendStream, connection: anyio.CancelScope) -> None:
    try:
        await outgoing.drain(sender)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        connection.cancel()  # the client is gone: its requests have no one to answer


async def _read_messages(
    receiver: ByteReceiveStream,
    messages: EraRouter,
    outgoing: OutgoingMessages,
    head: bytes,
) -> None:
    try:
        async with aclosing(messages):
            async for line in _read_lines(receiver, head):
                if not line.strip():
                    continue
                try:
                    message = _message(line)
                except ValueError as error:
                    outgoing.refuse(line)
                    await messages.send(error)
                else:
                    await messages.send(sdk_message.SessionMessage(message))
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        logger.debug("the connection ended while a message was read")


def _message(line: bytes) -> "types.JSONRPCMessage":
    """Return the message in `line`.

    Raises:
        ValueError: it is none, or a request whose id is neither a text nor a whole number, for the SDK a notification.
    """
    message = types.jsonrpc_message_adapter.validate_json(line, by_name=False)
    if isinstance(message, types.JSONRPCNotification) and b'"id"' in line:
        sent: dict[str, object] = json.loads(line)
        is_meant = sent.get("id") is None and message.method.startswith("notifications/")
        if "id" in sent and not is_meant:
            raise ValueError("the id of a request is neither a text nor a whole number")
    return message


def _refusal(line: bytes) -> bytes:
    """Return the JSON-RPC error for a line that is not a message, or one for each request of a batch."""
    key: int | str | None = None
    try:
        content: object = json.loads(line)
    except (ValueError, RecursionError):
        key, code, text = message_id(line), -32700, "Parse error: the line is not JSON, or is too deeply nested"
    else:
        code, text = -32600, "Invalid request: this is not a JSON-RPC message"
        if isinstance(content, list):
            from ostler.faces.bridge.ledger import batch_refusals, read_messages

            return b"".join(batch_refusals(read_messages(line)))
        if isinstance(content, dict):
            message = cast("dict[str, object]", content)
            given = message.get("id")
            key = given if isinstance(given, int | str) and not isinstance(given, bool) else None
            if isinstance(message.get("method"), str):
                code, text = -32602, "Invalid params: this request does not follow JSON-RPC"
    answer = {"jsonrpc": "2.0", "id": key, "error": {"code": code, "message": text}}
    return json.dumps(answer, separators=(",", ":")).encode() + b"\n"


async def _read_lines(receiver: ByteReceiveStream, head: bytes) -> AsyncIterator[bytes]:
    parts: list[bytes] = []
    size = 0
    chunk = head
    while True:
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            yield b"".join((*parts, chunk[start:end]))
            parts.clear()
            size = 0
            start = end + 1
        if start < len(chunk):
            parts.append(chunk[start:])
            size += len(parts[-1])
            if size > LINE_LIMIT:
                raise LineTooLongError(LINE_LIMIT)
        try:
            chunk = await receiver.receive(READ_SIZE)
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            if parts:
                yield b"".join(parts)
            return
