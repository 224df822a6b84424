"""The downstream pool: every server's connection, and the tool calls that go through them.

Implements `ToolCaller` and `ToolDirectory` of the engine. Status reads never block; a call to a server that is down
fails at once with the reason, except in a server's very first connecting phase, which it waits for.
"""

import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import anyio
import anyio.abc

from ostler.adapters.downstream.call_refusals import denied, unavailable, unknown_server, unknown_tool
from ostler.adapters.downstream.calls import send_call
from ostler.adapters.downstream.children import ChildRecords
from ostler.adapters.downstream.connection import DownstreamConnection
from ostler.adapters.downstream.links import Link, Surroundings
from ostler.adapters.downstream.refused_entries import RefusedEntries
from ostler.adapters.downstream.slots import TimeLimit
from ostler.adapters.downstream.snapshots import DISABLED, WAY_TO_ENABLE, ConnectionSnapshot
from ostler.adapters.environments import Environments
from ostler.adapters.signing_in.grants import Grants
from ostler.engine.protocols import Clock, Progress, ServerStatus, ToolInfo
from ostler.model.credentials import looks_secret
from ostler.model.errors import AlreadyExistsError, ConflictError, NotFoundError
from ostler.model.json import JsonMapping
from ostler.model.responses import ToolResponse
from ostler.model.servers import OVER_HTTP, ServerEntry
from ostler.model.states import ServiceState
from ostler.model.tool_names import MISSING_SERVER
from ostler.rules.secrets.masking import masked_response

if TYPE_CHECKING:
    from mcp.server import Server

    from ostler.adapters.downstream.direct_calls import InsideServer

_Callback = TypeVar("_Callback")
_Fact = TypeVar("_Fact")

logger = logging.getLogger(__name__)

CLOSE_TIMEOUT: Final = 12.0
"""Seconds for all connections to end in order at shutdown; ending a process tree takes at most about eight."""

_LOOK_AGAIN_TIMEOUT: Final = 3.0
"""Seconds to read a tools list again before an unlisted tool is refused."""

_LOOK_AGAIN_INTERVAL: Final = 2.0
"""Seconds between two such readings for the same name, so that wrong names do not become a load."""

_SETTLED: Final = frozenset(state for state in ServiceState if state is not ServiceState.STARTING)


class DownstreamPool(anyio.AsyncContextManagerMixin):
    """The connections to all downstream servers; `async with pool:` runs them."""

    def __init__(
        self,
        entries: Mapping[str, ServerEntry],
        *,
        builtin: "Mapping[str, Server[Any] | InsideServer]" = MappingProxyType({}),
        log_dir: Path,
        environment: Mapping[str, str] | Environments,
        clock: Clock,
        children_dir: Path | None = None,
        grants: Grants | None = None,
    ) -> None:
        """Make the pool; nothing is connected before it is entered.

        Args:
            entries: the configured servers by name; one of transport `builtin` sets the options of a built-in one.
            builtin: servers inside this process by name.
            log_dir: where the servers' stderr logs go.
            environment: variables that stdio servers may inherit, or who says which.
            clock: wall time for the snapshots.
            children_dir: where records of child processes are kept; default: `children` next to `log_dir`.
            grants: what people consented to by signing in to servers.
        """
        self._builtin = dict(builtin)
        self._records = ChildRecords(children_dir or log_dir.parent / "children")
        self.environments = environment if isinstance(environment, Environments) else Environments(environment)
        self._around = Surroundings(log_dir, self.environments, self._records, grants=grants)
        self._clock = clock
        self._tasks: anyio.abc.TaskGroup | None = None
        self._change_callbacks: list[Callable[[str], None]] = []
        self._snapshot_callbacks: list[Callable[[ConnectionSnapshot], None]] = []
        self._looked_again: dict[str, float] = {}
        self._connections: dict[str, DownstreamConnection] = {}
        self.refused = RefusedEntries()
        """The entries that could not be used; calls on such a server say so."""
        for name in self._builtin:
            self._connections[name] = self._new(entries.get(name) or builtin_entry(name))
        for name, entry in entries.items():
            if name not in self._connections and entry.transport != "builtin":
                self._connections[name] = self._new(entry)

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        reaped = await self._records.reap()
        if reaped:
            logger.warning("ended processes that an earlier Ostler left behind: %s", ", ".join(sorted(set(reaped))))
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            for connection in self._connections.values():
                tasks.start_soon(connection.run, name=f"downstream {connection.entry.name}")
            try:
                yield self
            finally:
                self._tasks = None
                with anyio.move_on_after(CLOSE_TIMEOUT, shield=True) as deadline:
                    for connection in self._connections.values():
                        connection.close()
                    for connection in self._connections.values():
                        await connection.ended.wait()
                if deadline.cancelled_caught:
                    late = [name for name, one in self._connections.items() if not one.ended.is_set()]
                    logger.warning("servers did not end within %g s: %s", CLOSE_TIMEOUT, ", ".join(late))
                tasks.cancel_scope.cancel()

    # -- ToolCaller --------------------------------------------------------------------------------------------

    async def call_tool(
        self, tool: str, args: JsonMapping, *, timeout: float | None = None, progress: Progress | None = None
    ) -> ToolResponse:
        """Call `server/tool` and return its normalised answer; a tool's own failure is `is_error`.

        Args:
            tool: `server/tool`.
            args: the tool's arguments.
            timeout: seconds until `ToolTimeoutError`; None means the server's default.
            progress: called for each progress notification.

        Raises:
            DownstreamError: there was no answer; see its `delivery`.
        """
        server, _, name = tool.partition("/")
        connection = self._connections.get(server)
        if connection is None or not name:
            raise unknown_server(tool, self.names(), self.list_tools(), self.refused)
        entry, options = connection.entry, connection.entry.options
        if not options.permits(name):
            raise denied(tool)
        seconds = options.timeout if timeout is None else timeout
        limit = TimeLimit(seconds, anyio.current_time() + seconds, entry if timeout is None else None)
        await self._await_first_connection(connection, min(seconds, options.connect_seconds))
        self._live_link(connection, tool)
        if name not in connection.tools:
            await self._look_again(connection, tool, limit.deadline)
            if name not in connection.tools:
                raise unknown_tool(tool, [info.name for info in self.list_tools(server)])
        slots = connection.slots  # a changed entry may bring others meanwhile
        held, limit = await slots.take(connection.tools[name], limit)
        try:
            response = await send_call(self._live_link(connection, tool), tool, args, limit, progress)
        finally:
            slots.release(held)
        # It is shown and stored as the error of a service, and no output is taken from it.
        return masked_response(response, self.secrets_in_answers(server)) if response.is_error else response

    # -- ToolDirectory -----------------------------------------------------------------------------------------

    def server_status(self, server: str) -> ServerStatus:
        """Return what is known about `server`; never blocks."""
        connection = self._connections.get(server)
        if connection is None:
            reason = self.refused.reason(server) or f"{MISSING_SERVER}{server!r}"
            return ServerStatus(known=False, connected=False, reason=reason)
        snapshot = connection.snapshot
        reason = snapshot.reason or ("it is being connected" if not snapshot.connected else "")
        return ServerStatus(
            known=True,
            connected=snapshot.connected,
            reason=reason,
            tools_known=snapshot.tools_known,
            outlives=connection.entry.transport in OVER_HTTP,
            process=snapshot.process,
        )

    def find_tool(self, tool: str) -> ToolInfo | None:
        """Return the tool `server/tool` as last listed; None when it is not listed, or the policy denies it."""
        server, _, name = tool.partition("/")
        connection = self._connections.get(server)
        if connection is None or not connection.entry.options.permits(name):
            return None
        return connection.tools.get(name)

    def list_tools(self, server: str | None = None) -> Sequence[ToolInfo]:
        """Return the listed tools that the policy permits, of one server or of all, by name."""
        chosen = self._connections.values() if server is None else [self._connections.get(server)]
        found = [
            tool
            for connection in chosen
            if connection is not None
            for tool in connection.tools.values()
            if connection.entry.options.permits(tool.name)
        ]
        return sorted(found, key=lambda tool: tool.qualified)

    def on_change(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call `callback(server)` when a server connects, is lost, or lists other tools; returns the unsubscriber."""
        return _subscribe(self._change_callbacks, callback)

    def announce(self) -> None:
        """Notify the subscribers of `on_change` about every server: what may be called has changed."""
        for name in self.names():
            self._changed(name)

    # -- the servers -------------------------------------------------------------------------------------------

    def on_snapshot(self, callback: Callable[[ConnectionSnapshot], None]) -> Callable[[], None]:
        """Call `callback(snapshot)` after every change of any connection; returns the unsubscriber."""
        return _subscribe(self._snapshot_callbacks, callback)

    def names(self) -> Sequence[str]:
        """Return the servers' names, sorted."""
        return sorted(self._connections)

    def entry(self, name: str) -> ServerEntry:
        """Return the entry in force of a server. Raises NotFoundError."""
        return self._get(name).entry

    def mask_text(self, name: str, text: str) -> str:
        """Return `text` without the secrets of a server. Raises NotFoundError."""
        return self._get(name).masking.mask_text(text)

    def secrets_in_answers(self, name: str) -> list[str]:
        """Return what clients do not see in a server's answers: tokens, what its entry refers to, plain credentials.

        A password that is a word, such as `postgres`, is in many answers, and says nothing there.
        """
        if (connection := self._connections.get(name)) is None:
            return []
        masking = connection.masking
        looked_up = {*masking.secret_parts}.difference(connection.entry.secret_strings())
        return [text for text in masking.secret_strings() if text in looked_up or looks_secret(text)]

    def snapshot(self, name: str) -> ConnectionSnapshot:
        """Return what is known about a server now. Raises NotFoundError."""
        return self._get(name).snapshot

    def next_attempt_in(self, name: str) -> float | None:
        """Return the seconds until the next connection attempt, if one is scheduled. Raises NotFoundError."""
        return self._get(name).next_attempt_in

    def connect(self, name: str) -> None:
        """Want a server connected, and try at once if it is waiting for its next attempt.

        Raises:
            NotFoundError: there is no such server.
            ConflictError: its entry is disabled.
        """
        connection = self._get(name)
        if connection.entry.disabled:
            raise ConflictError(f"server {name!r} is {DISABLED}", next_actions=(WAY_TO_ENABLE,))
        self.environments.remember(name)
        connection.connect()

    def probe_now(self, name: str) -> None:
        """Cut a back-off short, if the server is wanted. Raises NotFoundError."""
        connection = self._get(name)
        if connection.snapshot.state not in (ServiceState.STOPPED, ServiceState.STOPPING):
            connection.hurry()

    async def disconnect(self, name: str) -> None:
        """Stop a server: its calls end, its process tree is gone when this returns. Raises NotFoundError."""
        connection = self._get(name)
        connection.disconnect()
        await connection.wait_until(lambda snapshot: snapshot.state is not ServiceState.STOPPING)

    def restart(self, name: str) -> None:
        """Reconnect a server; `wait_until_connected` returns when it is up. Raises as `connect` does."""
        self.connect(name)
        self._get(name).restart()

    def add(self, entry: ServerEntry) -> None:
        """Add a server, and connect it if it starts automatically.

        Raises:
            AlreadyExistsError: the name is taken.
        """
        if entry.name in self._connections:
            raise AlreadyExistsError(f"server {entry.name!r} already exists")
        connection = self._connections[entry.name] = self._new(entry)
        if self._tasks is not None:
            self._tasks.start_soon(connection.run, name=f"downstream {entry.name}")

    async def remove(self, name: str) -> None:
        """Stop a server and forget it. Raises NotFoundError."""
        connection = self._get(name)
        del self._connections[name]
        connection.close()
        if self._tasks is not None:
            await connection.ended.wait()
        self._changed(name)

    def update(self, entry: ServerEntry) -> bool:
        """Apply a changed entry; return whether its server is reconnected.

        An unchanged entry, or one that differs in limits and policy alone, leaves the connection as it is.

        Raises:
            NotFoundError: there is no server of this name.
        """
        connection = self._get(entry.name)
        if entry == connection.entry:
            return False
        reconnects = connection.update(entry)
        self._changed(entry.name)
        return reconnects

    async def apply(self, entries: Mapping[str, ServerEntry]) -> Sequence[str]:
        """Make `entries` the configuration: add, update and remove servers; return the names that changed.

        A built-in server that `entries` does not mention goes back to its defaults.
        """
        wanted = {name: entry for name, entry in entries.items() if entry.transport != "builtin"}
        wanted |= {name: entries.get(name) or builtin_entry(name) for name in self._builtin}
        changed = [name for name in self._connections if name not in wanted]
        for name in changed:
            await self.remove(name)
        for name, entry in wanted.items():
            if name not in self._connections:
                self.add(entry)
            elif entry != self._connections[name].entry:
                self.update(entry)
            else:
                continue
            changed.append(name)
        return sorted(changed)

    async def wait_until_connected(
        self, name: str, timeout: float, *, through_failures: bool = True
    ) -> ConnectionSnapshot:
        """Return when a server is connected.

        Args:
            name: the server.
            timeout: seconds to wait.
            through_failures: wait on when an attempt fails, for the next one.

        Raises:
            NotFoundError: there is no such server.
            ServerUnavailableError: it is stopped, or was not connected in time.
        """
        connection = self._get(name)
        over = {ServiceState.CONNECTED, ServiceState.STOPPED} if through_failures else _SETTLED
        with anyio.move_on_after(timeout):
            await connection.wait_until(lambda snapshot: snapshot.state in over)
        if not connection.snapshot.connected:
            raise unavailable(connection.snapshot, connection.next_attempt_in)
        return connection.snapshot

    # -- inside ------------------------------------------------------------------------------------------------

    def _new(self, entry: ServerEntry) -> DownstreamConnection:
        return DownstreamConnection(
            entry,
            around=self._around,
            builtin=self._builtin.get(entry.name) if entry.transport == "builtin" else None,
            clock=self._clock,
            on_snapshot=self._snapshot_changed,
            on_change=self._changed,
        )

    def _get(self, name: str) -> DownstreamConnection:
        try:
            return self._connections[name]
        except KeyError:
            raise NotFoundError(
                "server", name, known=self.names(), next_actions=("mcpserver_list shows them",)
            ) from None

    def _changed(self, server: str) -> None:
        _deliver(self._change_callbacks, server)

    def _snapshot_changed(self, snapshot: ConnectionSnapshot) -> None:
        _deliver(self._snapshot_callbacks, snapshot)

    async def _await_first_connection(self, connection: DownstreamConnection, seconds: float) -> None:
        if connection.snapshot.state in _SETTLED:
            return
        with anyio.move_on_after(seconds):
            await connection.wait_until(lambda snapshot: snapshot.state in _SETTLED)

    async def _look_again(self, connection: DownstreamConnection, tool: str, deadline: float) -> None:
        """Give a server that changed its tools without saying so a chance before a tool is called unknown."""
        now = anyio.current_time()
        if now - self._looked_again.get(tool, -_LOOK_AGAIN_INTERVAL) < _LOOK_AGAIN_INTERVAL:
            return
        recent = {name: at for name, at in self._looked_again.items() if now - at < _LOOK_AGAIN_INTERVAL}
        self._looked_again = recent | {tool: now}
        await connection.look_again(min(deadline - now, _LOOK_AGAIN_TIMEOUT))

    def _live_link(self, connection: DownstreamConnection, tool: str) -> Link:
        link = connection.link
        if link is None or link.loss.is_lost:
            raise unavailable(connection.snapshot, connection.next_attempt_in, tool)
        return link


def builtin_entry(name: str) -> ServerEntry:
    """Return the entry of a built-in server that mcp.json does not mention."""
    return ServerEntry.model_construct(name=name, transport="builtin")  # without a check: 2 ms of a start


def _subscribe(callbacks: list[_Callback], callback: _Callback) -> Callable[[], None]:
    callbacks.append(callback)

    def unsubscribe() -> None:
        if callback in callbacks:
            callbacks.remove(callback)

    return unsubscribe


def _deliver(callbacks: list[Callable[[_Fact], None]], value: _Fact) -> None:
    for callback in list(callbacks):
        try:
            callback(value)
        except Exception:  # boundary: a subscriber's fault must not disturb the connections or its neighbours
            logger.exception("a subscriber to downstream changes failed")
