"""One connection to a port of a pod, over the API server's websocket (`v4.channel.k8s.io`).

Every message begins with a channel: 0 carries the bytes of the connection, 1 what went wrong. The first message of
each names the port. The protocol has no half-close: who wants to end the connection closes the websocket.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
import httpx2
from msgspec import Struct

from ostler.adapters.kubernetes.trouble import KubeTroubleError
from ostler.adapters.kubernetes.websocket import NotUpgradedError, WebSocket, open_websocket

PROTOCOL: Final = "v4.channel.k8s.io"

_DATA: Final = b"\0"
_ERROR: Final = b"\1"
_SILENCE: Final = 20.0
"""Seconds without a message after which the peer is asked for a sign of life, and within which it has to give one."""


class PortRefusedError(Exception):
    """The pod's node could not reach the port in the pod, or lost it; the text is the node's."""


class PortStream:
    """The bytes of one connection. One task may send while one other receives."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket

    async def send(self, data: bytes) -> None:
        """Send bytes to the pod. Raises anyio.BrokenResourceError when the connection is gone."""
        await self._websocket.send(_DATA + data)

    async def receive(self) -> bytes:
        """Return the next bytes from the pod.

        Raises:
            anyio.EndOfStream: the pod closed the connection.
            anyio.BrokenResourceError: the connection is gone.
            PortRefusedError: the port could not be reached, or the connection broke in the pod.
        """
        while True:
            message = await self._websocket.receive()
            channel, data = message[:1], message[1:]
            if channel == _DATA and data:
                return data
            if channel == _ERROR and data:
                raise PortRefusedError(" ".join(data.decode(errors="replace").split()))

    async def expect_port(self, port: int) -> None:
        """Take in the two messages that come first. Raises as `receive` does."""
        missing = {_DATA, _ERROR}
        while missing:
            message = await self._websocket.receive()
            if message[:1] not in missing or message[1:] != port.to_bytes(2, "little"):
                raise anyio.BrokenResourceError("it does not speak the port-forward protocol")
            missing.discard(message[:1])

    async def until_silent(self) -> None:
        """Return when the peer gives no sign of life any more; run it alongside the task that receives.

        While no one receives, because the local client does not read, nothing is asked: no answer would be noticed.
        """
        socket = self._websocket
        while True:
            await anyio.sleep(_SILENCE / 4)
            if not socket.is_receiving or anyio.current_time() - socket.heard_at < _SILENCE:
                continue
            asked = anyio.current_time()
            try:
                with anyio.fail_after(_SILENCE):
                    await socket.ping()
            except (anyio.BrokenResourceError, TimeoutError):
                return
            await anyio.sleep(_SILENCE)
            if socket.is_receiving and socket.heard_at < asked:
                return


class Refusals(Struct, frozen=True):
    """How failures are reported: of an HTTP answer that is not an upgrade, and of an API server that cannot be used."""

    refused: Callable[[int, bytes], KubeTroubleError]
    unreachable: Callable[[str], KubeTroubleError]


@asynccontextmanager
async def open_port_stream(
    http: httpx2.AsyncClient,
    path: str,
    port: int,
    *,
    timeout: float,
    refusals: Refusals,
    extensions: Mapping[str, Any],
) -> AsyncGenerator[PortStream]:
    """Yield a stream to `port` of the pod whose `portforward` is at `path`; leaving it closes it within bounds.

    Raises:
        KubeTroubleError: it did not stand within `timeout` seconds.
        PortRefusedError: the port in the pod could not be reached.
    """
    stands = False
    try:
        with anyio.fail_after(timeout) as deadline:
            async with open_websocket(
                http, path, protocol=PROTOCOL, params={"ports": str(port)}, extensions=extensions
            ) as websocket:
                stream = PortStream(websocket)
                await stream.expect_port(port)
                deadline.deadline = float("inf")
                stands = True
                yield stream
    except NotUpgradedError as error:
        raise refusals.refused(error.status, error.content) from error
    except TimeoutError:
        if stands:
            raise
        raise refusals.unreachable(f"a port-forward stream was not open within {timeout:g} s") from None
    except (httpx2.HTTPError, anyio.EndOfStream, anyio.BrokenResourceError) as error:
        if stands:
            raise
        reason = str(error) or "it closed the port-forward stream at once"
        raise refusals.unreachable(reason) from error
