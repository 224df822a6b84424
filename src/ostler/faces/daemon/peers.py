"""How the servers of a database reach each other over HTTP."""

import socket
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import anyio.to_thread
import httpx2

if TYPE_CHECKING:
    from ostler.faces.daemon.http_tls import Certificate

_CONNECT: Final = 2.0
_IDLE: Final = 2.0
"""Seconds for which an idle connection is kept: less than the other server keeps it."""


@asynccontextmanager
async def peer_client(tls: "Certificate | None") -> AsyncGenerator[tuple[httpx2.AsyncClient, str]]:
    """Yield a client for the other servers, and the name in their certificate; it is empty over plain http.

    Args:
        tls: what this server is reached with over https; the others have it or its like.
    """
    trusted: ssl.SSLContext | bool = False
    name = ""
    if tls is not None:
        trusted = await anyio.to_thread.run_sync(_trusting, tls)
        name = next((name for name in tls.names() if not name.startswith("*")), "")
    transport = httpx2.AsyncHTTPTransport(
        verify=trusted,
        trust_env=False,
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=_IDLE),
        socket_options=_keepalive(),
    )
    timeout = httpx2.Timeout(None, connect=_CONNECT)
    async with httpx2.AsyncClient(transport=transport, timeout=timeout, trust_env=False) as client:
        for header in ("accept", "accept-encoding", "connection", "user-agent"):
            client.headers.pop(header, None)  # the client's own are passed on, if there are any
        yield client, name


def _trusting(certificate: "Certificate") -> ssl.SSLContext:
    """Return a context that trusts the system's authorities, and servers with the same certificate."""
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
