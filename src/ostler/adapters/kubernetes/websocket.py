"""A websocket over an upgraded HTTP connection, without a task of its own: who receives also answers pings."""

import base64
import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, cast

import anyio
import httpx2

if TYPE_CHECKING:
    from wsproto.connection import Connection

_READ_BYTES: Final = 64 * 1024
_MAX_MESSAGE: Final = 4 * 1024 * 1024
_CLOSE_TIMEOUT: Final = 2.0
"""Seconds for saying goodbye to a peer that perhaps does not read any more."""

_NORMAL_CLOSURES: Final = frozenset({1000, 1001, 1005})


class NotUpgradedError(Exception):
    """The server answered with something else than a websocket."""

    def __init__(self, status: int, content: bytes) -> None:
        self.status = status
        self.content = content
        super().__init__(f"HTTP {status}")


class WebSocket:
    """Binary messages both ways. One task may send while one other receives."""

    def __init__(self, stream: Any, connection: "Connection") -> None:
        self._stream = stream
        self._connection = connection
        self._writing = anyio.Lock()
        self._buffer = bytearray()
        self._messages: list[bytes] = []
        self._ended = False
        self.heard_at = anyio.current_time()
        """When the peer was last heard from, in anyio's time."""
        self.is_receiving = False
        """Whether someone waits for a message, so that signs of life would be noticed."""

    async def send(self, message: bytes) -> None:
        """Send a message.

        Raises:
            anyio.BrokenResourceError: the connection is gone.
        """
        from wsproto.events import BytesMessage  # noqa: PLC0415 (of the extra)

        await self._send(BytesMessage(message))

    async def ping(self) -> None:
        """Ask the peer for a sign of life; `heard_at` shows whether one came. Raises as `send` does."""
        from wsproto.events import Ping  # noqa: PLC0415 (of the extra)

        await self._send(Ping(b"ostler"))

    async def receive(self) -> bytes:
        """Return the next message.

        Raises:
            anyio.EndOfStream: the peer said goodbye.
            anyio.BrokenResourceError: the connection is gone, or the peer breaks the protocol.
        """
        from wsproto.utilities import RemoteProtocolError  # noqa: PLC0415 (of the extra)

        while not self._messages:
            if self._ended:
                raise anyio.EndOfStream
            self.is_receiving = True
            try:
                data = await self._stream.read(_READ_BYTES)
            except Exception as error:
                raise anyio.BrokenResourceError(str(error)) from error
            finally:
                self.is_receiving = False
            self.heard_at = anyio.current_time()
            try:
                self._connection.receive_data(data or None)
                for event in self._connection.events():
                    await self._take(event)
            except RemoteProtocolError as error:
                raise anyio.BrokenResourceError(f"the peer breaks the websocket protocol: {error}") from error
            if not data and not self._messages and not self._ended:
                raise anyio.BrokenResourceError("the connection broke")
        return self._messages.pop(0)

    async def close(self) -> None:
        """Say goodbye if that can be done, and drop the connection; bounded, whatever the peer does."""
        from wsproto.events import CloseConnection  # noqa: PLC0415 (of the extra)

        with anyio.move_on_after(_CLOSE_TIMEOUT, shield=True):
            with suppress(anyio.BrokenResourceError):
                await self._send(CloseConnection(1000))
        with anyio.move_on_after(_CLOSE_TIMEOUT, shield=True):
            await self._stream.aclose()

    async def _take(self, event: Any) -> None:
        from wsproto.events import CloseConnection, Message, Ping  # noqa: PLC0415 (of the extra)

        match event:
            case Message():
                data = cast("bytes | bytearray | str", event.data)
                self._buffer += data.encode() if isinstance(data, str) else data
                if len(self._buffer) > _MAX_MESSAGE:
                    raise anyio.BrokenResourceError(f"a message is larger than {_MAX_MESSAGE} bytes")
                if event.message_finished:
                    self._messages.append(bytes(self._buffer))
                    self._buffer.clear()
            case Ping():
                await self._send(event.response())
            case CloseConnection():
                self._ended = True
                if event.code not in _NORMAL_CLOSURES and not self._messages:
                    raise anyio.BrokenResourceError(f"the peer closed it: {event.reason or event.code}")
            case _:
                pass

    async def _send(self, event: Any) -> None:
        from wsproto.utilities import LocalProtocolError  # noqa: PLC0415 (of the extra)

        async with self._writing:  # so that messages leave in the order in which they were framed
            try:
                await self._stream.write(self._connection.send(event))
            except LocalProtocolError as error:
                raise anyio.BrokenResourceError("it is closed") from error
            except httpcore_errors() as error:
                raise anyio.BrokenResourceError(str(error)) from error


@asynccontextmanager
async def open_websocket(
    http: httpx2.AsyncClient, path: str, *, protocol: str, params: Mapping[str, str], extensions: Mapping[str, Any]
) -> AsyncGenerator[WebSocket]:
    """Yield a websocket at `path`; leaving it closes it within bounds.

    Raises:
        NotUpgradedError: the server answered with something else.
        httpx2.HTTPError: it did not answer.
    """
    from wsproto.connection import Connection, ConnectionType  # noqa: PLC0415 (of the extra)

    headers = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-key": base64.b64encode(secrets.token_bytes(16)).decode(),
        "sec-websocket-version": "13",
        "sec-websocket-protocol": protocol,
    }
    async with http.stream("GET", path, params=params, headers=headers, extensions=dict(extensions)) as response:
        if response.status_code != 101:
            raise NotUpgradedError(response.status_code, await response.aread())
        socket = WebSocket(response.extensions["network_stream"], Connection(ConnectionType.CLIENT))
        try:
            yield socket
        finally:
            await socket.close()


def httpcore_errors() -> tuple[type[Exception], ...]:
    """Return what the HTTP client's network streams raise."""
    import httpcore2  # noqa: PLC0415 (httpx2's own engine)

    return httpcore2.NetworkError, httpcore2.TimeoutException
