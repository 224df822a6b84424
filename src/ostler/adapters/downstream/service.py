"""A downstream server as a static service in the registry: its connection's state, start, stop and restart."""

from typing import Final

from ostler.adapters.connection_facts import ARRIVALS, way_to
from ostler.adapters.downstream.call_refusals import auth_demanded
from ostler.adapters.downstream.pool import DownstreamPool
from ostler.adapters.downstream.snapshots import DISABLED, WAY_TO_ENABLE, ConnectionSnapshot
from ostler.engine.services.service import BaseService
from ostler.model.downstream_errors import ServerUnavailableError
from ostler.model.errors import NotFoundError
from ostler.model.json import JsonObject
from ostler.model.states import HealthStatus, Reachability, ServiceState

SERVICE_TYPE: Final = "MCPServer"
"""The type of these services."""

_TROUBLED: Final = (ServiceState.DISCONNECTED, ServiceState.UNREACHABLE, ServiceState.AUTH_REQUIRED)


class McpServerService(BaseService):
    """One server of the pool. Its state follows the connection, which also reconnects automatically."""

    def __init__(self, pool: DownstreamPool, name: str) -> None:
        super().__init__(name, SERVICE_TYPE)
        self._pool = pool
        self._unsubscribe = pool.on_snapshot(self._follow)
        self._follow(pool.snapshot(name))

    def close(self) -> None:
        """Stop following the connection (the server was removed)."""
        self._unsubscribe()

    async def start(self) -> None:
        """Connect, and return when connected.

        Raises:
            ServerUnavailableError: the attempt failed; Ostler goes on trying.
            ConflictError: the server is disabled in mcp.json.
        """
        await self._refresh()
        self._pool.connect(self.name)
        await self._await_connection()

    async def stop(self) -> None:
        """Disconnect; the server's process tree is gone when this returns."""
        await self._pool.disconnect(self.name)

    async def restart(self) -> None:
        """Reconnect, and return when connected. Raises as `start` does."""
        await self._refresh()
        self._pool.restart(self.name)
        await self._await_connection()

    @property
    def pid(self) -> int | None:
        """The pid of the server's process, while Ostler has one."""
        return self._pool.snapshot(self.name).pid if self.name in self._pool.names() else None

    @property
    def way_to_enable(self) -> str:
        """What to change before it may be started; empty when it is not disabled."""
        return WAY_TO_ENABLE if self._pool.snapshot(self.name).reason == DISABLED else ""

    def service_data(self) -> JsonObject:
        """Return what is known about the connection, masked."""
        try:
            snapshot, entry = self._pool.snapshot(self.name), self._pool.entry(self.name)
        except NotFoundError:  # removed from mcp.json; the registry lets go of the service next
            return {}
        data: JsonObject = {
            "transport": snapshot.transport,
            "pid": snapshot.pid,
            "protocolVersion": snapshot.protocol_version,
            "serverName": snapshot.server_name,
            "serverVersion": snapshot.server_version,
            "tools": snapshot.tools if snapshot.tools_known else None,
            "attempts": snapshot.attempts,
            "connections": snapshot.connections,
            "nextAttemptAt": snapshot.next_attempt_at.isoformat() if snapshot.next_attempt_at else None,
            "stderrLog": str(snapshot.stderr_log) if snapshot.stderr_log else None,
            "lastError": snapshot.last_error,
            "config": entry.masked(),
        }
        return {key: value for key, value in data.items() if value not in (None, "")}

    async def _refresh(self) -> None:
        if (refresh := self._pool.environments.refresh) is not None:
            await refresh()

    async def _await_connection(self) -> None:
        timeout = self._pool.entry(self.name).options.connect_seconds
        await self._pool.wait_until_connected(self.name, timeout + 1, through_failures=False)

    def _follow(self, snapshot: ConnectionSnapshot) -> None:
        if snapshot.name != self.name:
            return
        error = _trouble(snapshot)
        if snapshot.state is not self.state:
            for transition in way_to(snapshot.state, self.state):
                self.report(transition, reason=snapshot.reason, error=error)
        elif error is not None and snapshot.reason != self.status.reason:  # refused again, for another reason
            self.report(ARRIVALS[snapshot.state], reason=snapshot.reason, error=error)
        self._follow_health(snapshot, error)

    def _follow_health(self, snapshot: ConnectionSnapshot, error: ServerUnavailableError | None) -> None:
        if snapshot.connected:
            self.set_reachability(Reachability.REACHABLE)
            if self.health is not HealthStatus.HEALTHY:
                self.set_health(HealthStatus.HEALTHY)
        elif snapshot.state in _TROUBLED:
            self.set_reachability(Reachability.UNREACHABLE)
            if self.health is not HealthStatus.UNHEALTHY:
                self.set_health(HealthStatus.UNHEALTHY, error=error)
        else:
            self.set_reachability(Reachability.UNKNOWN)


def _trouble(snapshot: ConnectionSnapshot) -> ServerUnavailableError | None:
    """Return why a connection that should be there is not; None when it is there, or is not wanted."""
    if snapshot.state is ServiceState.AUTH_REQUIRED:
        return auth_demanded(snapshot)
    if snapshot.state in _TROUBLED and snapshot.reason:
        actions = [f"service_start {snapshot.name} tries again at once"]
        if snapshot.transport in ("http", "sse"):
            actions.insert(0, "start what serves it, or correct its url in mcp.json, which is read at once")
        elif snapshot.stderr_log:
            actions.insert(0, f"see its stderr in {snapshot.stderr_log}")
        text = f"server {snapshot.name!r} is not connected: {snapshot.reason}"
        return ServerUnavailableError(text, next_actions=tuple(actions))
    return None
