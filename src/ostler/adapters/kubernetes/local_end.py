"""The local end of a tunnel: a port of this machine whose connections are carried to a port of a pod."""

import errno
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import anyio
import anyio.abc
from anyio.streams.stapled import MultiListener
from msgspec import Struct

from ostler.adapters.accepting import serve_connections
from ostler.adapters.kubernetes.api_client import KubeClient
from ostler.adapters.kubernetes.pod_streams import PortRefusedError, PortStream
from ostler.adapters.kubernetes.targets import PodPort
from ostler.adapters.kubernetes.trouble import KubeTroubleError, misconfigured

logger = logging.getLogger(__name__)

_CHUNK: Final = 32 * 1024
_LINGER: Final = 2.0
"""Seconds without a byte from the pod after which a connection whose local end has sent everything is over."""


class Traffic(Struct):
    """What went through a tunnel since it was started."""

    open: int = 0
    total: int = 0
    failed: int = 0
    sent: int = 0
    received: int = 0


class Route(Struct, frozen=True):
    """Where connections go now."""

    client: KubeClient
    target: PodPort


class TunnelListener:
    """Listens until it is closed; every connection is a task of its own in the owner's task group.

    Args:
        listener: the bound sockets.
        port: which port they are bound to.
        route: returns where to go, waiting for it if need be; None when there is nowhere to go.
        failed: called with why a connection could not be carried.
    """

    def __init__(
        self,
        listener: MultiListener[anyio.abc.SocketStream],
        port: int,
        *,
        route: Callable[[], Awaitable[Route | None]],
        failed: Callable[[Exception], None],
    ) -> None:
        self.port = port
        self.traffic = Traffic()
        self._listener = listener
        self._route = route
        self._failed = failed

    async def serve(self) -> None:
        """Carry connections until cancelled."""
        await serve_connections(self._listener, self._carry)

    async def _carry(self, local: anyio.abc.SocketStream) -> None:
        traffic = self.traffic
        traffic.open += 1
        traffic.total += 1
        try:
            async with local:
                route = await self._route()
                if route is None:
                    traffic.failed += 1
                    return
                target = route.target
                async with route.client.forward(target.namespace, target.pod, target.port) as remote:
                    await _Connection(local, remote, traffic).carry()
        except (KubeTroubleError, PortRefusedError) as error:
            traffic.failed += 1
            self._failed(error)
        except Exception as error:  # noqa: BLE001 (boundary: one connection's end is not the tunnel's)
            logger.debug("a connection through port %d ended: %r", self.port, error)
        finally:
            traffic.open -= 1


class _Connection:
    """One connection being carried: bytes both ways until one of the two ends is done."""

    def __init__(self, local: anyio.abc.SocketStream, remote: PortStream, traffic: Traffic) -> None:
        self._local = local
        self._remote = remote
        self._traffic = traffic
        self._received = 0
        self._failure: PortRefusedError | None = None

    async def carry(self) -> None:
        """Return when it is over.

        Raises:
            PortRefusedError: the pod's node could not reach the port, or lost it.
        """
        async with anyio.create_task_group() as tasks:

            async def until_done(direction: Callable[[], Awaitable[None]]) -> None:
                with suppress(anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
                    await direction()
                tasks.cancel_scope.cancel()

            for direction in (self._upwards, self._downwards, self._remote.until_silent):
                tasks.start_soon(until_done, direction)
        if self._failure is not None:
            raise self._failure

    async def _upwards(self) -> None:
        try:
            while True:
                data = await self._local.receive(_CHUNK)
                await self._remote.send(data)
                self._traffic.sent += len(data)
        except anyio.EndOfStream:
            heard = -1
            while heard != self._received:  # the client has sent everything; the pod may not have
                heard = self._received
                await anyio.sleep(_LINGER)

    async def _downwards(self) -> None:
        try:
            while True:
                data = await self._remote.receive()
                self._received += len(data)
                self._traffic.received += len(data)
                await self._local.send(data)
        except PortRefusedError as error:
            self._failure = error


async def bind(address: str, port: int | None, *, wanted: str) -> tuple[MultiListener[anyio.abc.SocketStream], int]:
    """Return a listener on `address`, and its port: `port`, or a free one.

    Raises:
        KubeTroubleError: the port is taken, or may not be used.
    """
    try:
        listener = await anyio.create_tcp_listener(local_host=address, local_port=port or 0)
    except OSError as error:
        reason = "it is in use by another program" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
        raise misconfigured(
            f"cannot listen on {address}:{port or 0} for {wanted}: {reason}",
            "free the port, write another 'localPort', or leave it out for a free one",
        ) from error
    return listener, int(listener.extra(anyio.abc.SocketAttribute.local_port))  # noqa: S610 (anyio, not Django)
