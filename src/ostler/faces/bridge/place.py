"""Where one server lives: its state folder, and how to reach the server that owns it.

Two transports: a unix socket, and loopback TCP with a secret in a file that only the user can read (Windows).
"""

import json
import os
import socket
import sys
from pathlib import Path
from typing import Final, NamedTuple

from ostler.adapters.config.paths import Paths

TRANSPORT_VARIABLE: Final = "OSTLER_TRANSPORT"
"""`unix` or `loopback` forces that transport for a server; unset chooses by platform."""

CONNECT_TIMEOUT: Final = 5.0
"""Seconds for a connection to a local server to be made: it only waits for a place in the listen queue."""


class Endpoint(NamedTuple):
    """A loopback address with the secret that proves that the caller may read the state folder."""

    port: int
    secret: str


class ServerPlace:
    """The folders that identify one server. Two places with the same state folder are the same server."""

    __slots__ = ("paths",)

    def __init__(self, paths: Paths) -> None:
        self.paths = paths

    def __repr__(self) -> str:
        return f"<ServerPlace {self.state_dir}>"

    @property
    def config_dir(self) -> str:
        """The configuration folder."""
        return str(self.paths.config_dir)

    @property
    def state_dir(self) -> str:
        """The state folder."""
        return str(self.paths.state_dir)

    @property
    def socket_file(self) -> Path:
        """The unix socket."""
        return self.paths.socket

    @property
    def endpoint_file(self) -> Path:
        """The loopback port and secret, as JSON, readable by the user alone."""
        return self.paths.state_dir / "ostler.endpoint"

    @property
    def lock_file(self) -> Path:
        """Held by the running server; holds its pid, version and start time as JSON."""
        return self.paths.lock

    @property
    def log_file(self) -> Path:
        """The log of a server in the background."""
        return self.paths.server_log

    @property
    def uses_unix_socket(self) -> bool:
        """Whether a server here listens on a unix socket (else on loopback TCP)."""
        wanted = os.environ.get(TRANSPORT_VARIABLE, "")
        if wanted in ("unix", "loopback"):
            return wanted == "unix"
        return sys.platform != "win32"

    def read_endpoint(self) -> Endpoint | None:
        """Return the loopback endpoint that a server wrote, or None when there is none (or it is half written)."""
        try:
            content = json.loads(self.endpoint_file.read_text(encoding="utf-8"))
            return Endpoint(int(content["port"]), str(content["secret"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def dial(self) -> tuple[socket.socket, str]:
        """Connect to the server here; return the socket and the secret to prove (empty for a unix socket).

        Raises:
            OSError: nothing listens here.
        """
        if sys.platform != "win32" and self.socket_file.exists():
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connection.settimeout(CONNECT_TIMEOUT)
                connection.connect(os.fspath(self.socket_file))
            except OSError:
                connection.close()
                if self.read_endpoint() is None:
                    raise
            else:
                return connection, ""
        endpoint = self.read_endpoint()
        if endpoint is None:
            raise FileNotFoundError(f"no server listens in {self.state_dir}")
        connection = socket.create_connection(("127.0.0.1", endpoint.port), timeout=CONNECT_TIMEOUT)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection, endpoint.secret
