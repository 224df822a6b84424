"""The local socket of a server: a unix socket, or loopback TCP with its secret in a file."""

import json
import logging
import os
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
from anyio.abc import Listener, SocketAttribute, SocketStream, TaskGroup

from ostler.adapters.disk_room import is_scarcity
from ostler.faces.bridge.place import ServerPlace

logger = logging.getLogger(__name__)


@asynccontextmanager
async def listening(place: ServerPlace) -> AsyncGenerator[tuple[Listener[SocketStream], str]]:
    """Listen for the clients of `place`; yield the listener and the secret that clients prove (empty: none).

    The caller holds the folder's lock, so whatever an earlier server left behind is removed.

    Raises:
        OSError: the address is not available.
    """
    _clear(place)
    listener: Listener[Any]
    secret = ""
    if place.uses_unix_socket:
        listener = await anyio.create_unix_listener(place.socket_file, mode=0o600)
    else:
        secret = secrets.token_hex(32)
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 (anyio's typed attributes, not SQL)
        _write_endpoint(place, port, secret)
    try:
        async with listener:
            yield listener, secret
    finally:
        _clear(place)


async def accept_clients(
    listener: Listener[SocketStream], receive: Callable[[SocketStream], Awaitable[None]], tasks: TaskGroup
) -> None:
    """Let `receive` serve each client in `tasks`, until cancelled. Without a free file, clients wait for one."""
    while True:
        try:
            await listener.serve(receive, tasks)
        except (OSError, anyio.BrokenResourceError) as error:
            cause = error if isinstance(error, OSError) else error.__cause__
            if not is_scarcity(cause):
                raise
            logger.warning("no client can come in before something is free: %s", cause)
            await anyio.sleep(_SCARCE_PAUSE)


_SCARCE_PAUSE: Final = 1.0
"""Seconds until clients are let in again when files or memory had run out."""


def _clear(place: ServerPlace) -> None:
    for path in (place.socket_file, place.endpoint_file):
        path.unlink(missing_ok=True)


def _write_endpoint(place: ServerPlace, port: int, secret: str) -> None:
    fresh = place.endpoint_file.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"port": port, "secret": secret}, file)
    fresh.replace(place.endpoint_file)
