"""Ports of this machine for what a test starts."""

import socket


def free_port() -> int:
    """Return a port on loopback that nothing listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
