"""Ports of this machine for what a test starts."""

import random
import socket
from contextlib import suppress
from typing import Final

_PORTS: Final = range(15_000, 32_000)
"""Below those that the system gives to connections and to listeners that want any: it gives none of these meanwhile."""


def free_port() -> int:
    """Return a port on loopback that nothing listens on now."""
    chance = random.SystemRandom()
    while True:
        port = chance.choice(_PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
