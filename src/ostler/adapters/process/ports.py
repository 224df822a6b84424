"""Free TCP ports: found by binding, and not given out twice within a short while."""

import errno
import random
import socket
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress

from ostler.model.errors import ConflictError, RequestError

HOLD_SECONDS = 60.0
"""How long a port that was given out is kept from others: the time a program may take until it binds it."""

OWN_PORTS = range(20_000, 30_000)
"""Where ports are chosen: below those that systems give to outgoing connections, which would take a kept one."""

ATTEMPTS = 200
"""Ports tried of these, and then of those that the system gives; most are free."""

OTHER_PORTS = ("choose another port", "give port 0 for any free one")
"""Next actions, where a port is taken."""

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost", "", "*", "0.0.0.0", "::"})  # noqa: S104 (only compared)
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def is_free(host: str, port: int) -> bool:
    """Return whether a server could listen on `port` of `host` now (0: on any port).

    Raises:
        RequestError: `host` is not an address of this machine.
    """
    return _bind(host, port) is not None


def _bind(host: str, port: int) -> int | None:
    """Listen on `port` for a moment, on every address of `host`; return the port, None when it is taken."""
    bound: list[socket.socket] = []
    unusable: list[OSError] = []
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in addresses:
            try:
                listener = socket.socket(family, kind, protocol)
                bound.append(listener)
                _share_as_servers_do(listener, family)
                listener.bind((address[0], port, *address[2:]))
                listener.listen(1)
            except OSError as error:
                if error.errno in (errno.EADDRINUSE, errno.EACCES):
                    return None
                if error.errno not in _NOT_HERE or len(addresses) == 1:
                    raise
                # A name such as localhost may have an IPv6 address that is switched off.
                unusable.append(error)
                continue
            port = listener.getsockname()[1]
        if len(unusable) == len(addresses):
            raise unusable[0]
    except (OSError, UnicodeError) as error:
        raise RequestError(
            f"cannot listen on host {host!r}: {error}",
            next_actions=("use an address of this machine, such as 127.0.0.1, or 0.0.0.0 for every address",),
        ) from error
    finally:
        for listener in bound:
            listener.close()
    return port


def _share_as_servers_do(listener: socket.socket, family: int) -> None:
    if sys.platform == "win32":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    else:
        # Connections of an earlier run in TIME_WAIT must not make the port look taken.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)


def reachable_host(host: str) -> str:
    """Return the address to connect to for what listens on `host` (loopback for a wildcard)."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "*": "127.0.0.1", "": "127.0.0.1"}.get(host, host)  # noqa: S104


def address_of(host: str, port: int) -> str:
    """Return `host:port` as in a URL, with loopback for a wildcard."""
    reachable = reachable_host(host)
    return f"[{reachable}]:{port}" if ":" in reachable else f"{reachable}:{port}"


def is_address(host: str) -> bool:
    """Return whether `host` is an IP address, or localhost."""
    for family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError):
            socket.inet_pton(family, host)
            return True
    return host == "localhost"


def is_this_machine(host: str) -> bool:
    """Return whether `host` is a loopback or wildcard address."""
    return host.lower() in _LOOPBACK or host.startswith("127.")


class PortBook:
    """Gives out free ports and remembers them for `HOLD_SECONDS`. Safe to use from several threads."""

    def __init__(self) -> None:
        self._held: dict[int, float] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<PortBook held={sorted(self._held)}>"

    def claim(self, host: str, port: int) -> None:
        """Hold `port` for the caller.

        Raises:
            ConflictError: something listens on it.
            RequestError: `host` is not an address of this machine.
        """
        if not is_free(host, port):
            raise ConflictError(
                f"port {port} on {host} is already in use, or needs more rights",
                next_actions=OTHER_PORTS,
            )
        with self._lock:
            self._held[port] = time.monotonic() + HOLD_SECONDS

    def choose(self, host: str, *, preferred: Iterable[int] = (), avoid: Iterable[int] = ()) -> int:
        """Return a port that is free on `host` now, was not given out lately, and is not in `avoid`.

        Args:
            host: an address of this machine.
            preferred: ports to give rather than any other, when they are free; held ones among them too are skipped.
            avoid: ports never to give.

        Raises:
            ConflictError: no free port was found.
            RequestError: `host` is not an address of this machine.
        """
        avoided = frozenset(avoid)
        with self._lock:
            now = time.monotonic()
            self._held = {port: until for port, until in self._held.items() if until > now}
            for candidate in (*preferred, *random.sample(OWN_PORTS, ATTEMPTS), *[0] * ATTEMPTS):
                if candidate in self._held or candidate in avoided:
                    continue
                port = _bind(host, candidate)
                if port is not None and port not in self._held and port not in avoided:
                    self._held[port] = now + HOLD_SECONDS
                    return port
        raise ConflictError(f"no free port found on {host}", next_actions=("stop processes that hold ports",))

    def release(self, port: int) -> None:
        """Give `port` back before its time: the process that it was for is gone."""
        with self._lock:
            self._held.pop(port, None)
