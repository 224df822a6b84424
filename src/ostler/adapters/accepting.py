"""Accepts the connections of a TCP listener without losing one when it is cancelled."""

import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Final

import anyio
from anyio.abc import Listener, SocketAttribute, SocketStream, TaskGroup
from anyio.streams.stapled import MultiListener

logger = logging.getLogger(__name__)

_PAUSE: Final = 1.0
"""Seconds until the next connection is accepted after one could not be, as no file is free."""


async def serve_connections(
    listener: MultiListener[SocketStream], handle: Callable[[SocketStream], Awaitable[None]]
) -> None:
    """Let `handle` serve each connection in a task of its own until cancelled, and close the listener.

    asyncio's `sock_accept`, on which the `serve` of anyio's listeners is based, leaves a connection open that comes in
    the moment in which it is cancelled.
    """
    async with listener, anyio.create_task_group() as tasks:
        for each in listener.listeners:
            tasks.start_soon(_accept, each, handle, tasks)


async def _accept(
    listener: Listener[SocketStream], handle: Callable[[SocketStream], Awaitable[None]], tasks: TaskGroup
) -> None:
    async def serve(accepted: socket.socket) -> None:
        try:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream = await SocketStream.from_socket(accepted)
        except BaseException as error:
            accepted.close()
            if isinstance(error, OSError | ValueError):  # its client is gone again
                return
            raise
        await handle(stream)

    listening = listener.extra(SocketAttribute.raw_socket)  # noqa: S610 (anyio's typed attributes, not SQL)
    while True:
        await anyio.wait_readable(listening)
        try:
            accepted, _ = listening.accept()
        except (BlockingIOError, ConnectionAbortedError):
            continue
        except OSError as error:
            logger.warning("no connection can be accepted for a moment: %s", error)
            await anyio.sleep(_PAUSE)
        else:
            tasks.start_soon(serve, accepted)
