"""What is known about one downstream connection at a moment."""

from datetime import datetime
from pathlib import Path
from typing import Final

from msgspec import Struct

from ostler.model.servers import ServerTransport
from ostler.model.states import ServiceState

DISABLED: Final = "disabled in mcp.json"
"""The reason of a server whose entry is not to be used."""

WAY_TO_ENABLE: Final = "remove 'disabled' (or 'enabled', 'active', 'isActive') from its entry"
"""What to change so that it is used; clients have several words for it."""


class ConnectionSnapshot(Struct, frozen=True):
    """One connection at one moment; replaced as a whole whenever something changes.

    Attributes:
        name: the server's name.
        transport: how it is reached.
        state: starting, connected, disconnected (was lost), unreachable (an attempt failed), auth_required, stopped.
        reason: why it is not connected, in words for people; empty while connected.
        since: when `state` began.
        pid: the child's pid (stdio), while there is one.
        process: which process it is or was last: another one has another text, after years as well. Over HTTP, every
            connection after the first counts as one to another process.
        attempts: connection attempts since the last success or start.
        next_attempt_at: when the next attempt will be made, if one is scheduled.
        next_attempt_in: the same in seconds from when the wait began.
        protocol_version: the negotiated MCP version of the last connection.
        server_name: what the server calls itself.
        server_version: its version, as it says.
        tools: how many tools it lists (before the allow/deny policy).
        tools_known: its tools list has been read at least once.
        left_out: tools of its list that could not be kept, and why.
        last_error: the last fault, kept after it was overcome.
        stderr_log: where its stderr goes (stdio).
        connections: how often it has been connected.
    """

    name: str
    transport: ServerTransport
    state: ServiceState
    since: datetime
    reason: str = ""
    pid: int | None = None
    process: str = ""
    attempts: int = 0
    next_attempt_at: datetime | None = None
    next_attempt_in: float | None = None
    protocol_version: str = ""
    server_name: str = ""
    server_version: str = ""
    tools: int = 0
    tools_known: bool = False
    left_out: tuple[str, ...] = ()
    last_error: str = ""
    stderr_log: Path | None = None
    connections: int = 0

    @property
    def connected(self) -> bool:
        """Whether calls can be sent."""
        return self.state is ServiceState.CONNECTED
