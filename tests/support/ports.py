"""Ports of this machine for what a test starts."""

import os
import random
import socket
from contextlib import suppress
from typing import Final

_SHARES: Final = 100
_PORTS: Final = range(10_000, 20_000)
"""Below those that the process server chooses from, and those that the system gives to whoever wants any: none of these
is taken by them meanwhile."""


def free_port() -> int:
    """Return a port on loopback that nothing listens on now, from this process's share of them."""
    chance = random.SystemRandom()
    while True:
        port = chance.choice(_PORTS[os.getpid() % _SHARES :: _SHARES])
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def dead_proxy() -> dict[str, str]:
    """Return variables that name a proxy at which nothing listens, for every address."""
    proxy = f"http://127.0.0.1:{free_port()}"
    names = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
    return {**dict.fromkeys(names, proxy), "NO_PROXY": "", "no_proxy": ""}
