"""One downstream server's connection: an owner task that connects, publishes, waits until lost, leaves, and repeats.

The owner is level-triggered: `connect`, `disconnect`, `restart` and `update` only say what is wanted and wake it.
"""

import logging
import secrets
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.lowlevel
from mcp.shared import exceptions as sdk_errors
from msgspec.structs import replace
from pydantic import ValidationError

from ostler.adapters.backoff import QUICK_CAP, SLOW_CAP, Backoff, Nudge
from ostler.adapters.downstream.authorization import Challenge, token_source
from ostler.adapters.downstream.dialling import Dial
from ostler.adapters.downstream.failure_texts import ConnectFailure, failure_of
from ostler.adapters.downstream.header_helpers import with_helper_headers
from ostler.adapters.downstream.links import Link, Surroundings
from ostler.adapters.downstream.liveness import hurry_when_port_accepts, watch_doubts, watch_liveness
from ostler.adapters.downstream.loss import ConnectFailedError
from ostler.adapters.downstream.secret_references import with_secrets
from ostler.adapters.downstream.slots import CallSlots
from ostler.adapters.downstream.snapshots import DISABLED, ConnectionSnapshot
from ostler.adapters.downstream.starts import Attempt, StartLimits
from ostler.adapters.downstream.stdio import said_last
from ostler.engine.protocols import Clock, ToolInfo
from ostler.engine.waiting import Watched
from ostler.model.servers import OVER_HTTP, ServerEntry
from ostler.model.states import ServiceState
from ostler.rules.text.terminal_text import without_control

if TYPE_CHECKING:
    from mcp.server import Server

    from ostler.adapters.downstream.direct_calls import InsideServer

logger = logging.getLogger(__name__)

STABLE_AFTER: Final = 10.0
"""Seconds that a connection must have lasted for the back-off to start over."""

_VAIN_STARTS: Final = 20
"""Attempts in a row, about a minute's worth, after which a program that never answers is started less often."""

_FIRST_ANSWERING = "first"
"""The process of an HTTP server that this Ostler met first: it may well be the one that an earlier Ostler knew."""

_NO_FAILURE: Final = (ServiceState.STARTING, ServiceState.STOPPING, ServiceState.STOPPED)
"""The states in which no failed attempt is shown."""

_SETTLE: Final = 0.02
"""Seconds for answers already received to reach their callers, and for cancellations to go out, before leaving."""


class DownstreamConnection:
    """One server, as configured, with what is known about it. All methods but `run` are quick and never block."""

    def __init__(
        self,
        entry: ServerEntry,
        *,
        around: Surroundings,
        builtin: "Server[Any] | InsideServer | None",
        clock: Clock,
        on_snapshot: Callable[[ConnectionSnapshot], None],
        on_change: Callable[[str], None],
    ) -> None:
        self._entry = self._masking = entry
        self._around = around
        self._builtin = builtin
        self._clock = clock
        self._on_snapshot = on_snapshot
        self._on_change = on_change
        self._backoff = Backoff()
        self._nudge = Nudge()
        self._link: Link | None = None
        self._attempt_scope: anyio.CancelScope | None = None
        self._challenge: Challenge | None = None
        self._last_attempt: Attempt | None = None
        self._tools: dict[str, ToolInfo] = {}
        self._readers: list[anyio.Event] = []
        self._legacy = False
        self._closing = False
        self._interrupted = False
        self._wanted = entry.options.auto_start and not entry.disabled
        self._next_attempt: float | None = None
        self.slots = CallSlots(entry)
        self.ended = anyio.Event()
        first = ConnectionSnapshot(
            name=entry.name,
            transport=entry.transport,
            state=ServiceState.STARTING if self._wanted else ServiceState.STOPPED,
            since=clock.now(),
            reason="" if self._wanted else self._idle_reason(),
            stderr_log=around.stderr_log(entry.name) if entry.transport == "stdio" else None,
        )
        self._snapshot = Watched(first)

    def __repr__(self) -> str:
        return f"<DownstreamConnection {self._entry.name!r} {self.snapshot.state.value}>"

    # -- what is known -----------------------------------------------------------------------------------------

    @property
    def entry(self) -> ServerEntry:
        """The entry in force."""
        return self._entry

    @property
    def masking(self) -> ServerEntry:
        """The entry as what masks the server's secrets, also those that it only refers to, and tokens."""
        tokens = () if self._last_attempt is None else self._last_attempt.secrets()
        return self._masking.hiding(tokens)

    @property
    def snapshot(self) -> ConnectionSnapshot:
        """What is known now."""
        return self._snapshot.value

    @property
    def link(self) -> Link | None:
        """The established connection, or None."""
        return self._link

    @property
    def tools(self) -> Mapping[str, ToolInfo]:
        """The tools as last listed, by name; kept while disconnected."""
        return self._tools

    @property
    def next_attempt_in(self) -> float | None:
        """Seconds until the next attempt, or None when none is scheduled."""
        return None if self._next_attempt is None else max(0.0, self._next_attempt - anyio.current_time())

    async def wait_until(self, predicate: Callable[[ConnectionSnapshot], bool]) -> ConnectionSnapshot:
        """Return the first snapshot for which `predicate` holds (now or after a change)."""
        return await self._snapshot.wait_until(predicate)

    # -- what is wanted ----------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Want the server connected, and try at once; nothing changes for one that is."""
        self._wanted = True
        if not self.snapshot.connected:
            if self._next_attempt is None and self.snapshot.state not in _NO_FAILURE:
                self._interrupted = True  # an attempt under way may fail by what was corrected since it began
            self._publish(state=ServiceState.STARTING, reason="", attempts=0)
            self.hurry()

    def hurry(self) -> None:
        """Cut a back-off short."""
        self._backoff.reset()
        self._nudge.give()

    def disconnect(self, reason: str = "stopped by request") -> None:
        """Want the server stopped."""
        if self._wanted:
            self._wanted = False
            self._stop(reason)

    def restart(self) -> None:
        """Request that the server be reconnected."""
        self._backoff.reset()
        self._wanted = True
        self._interrupted = True
        self._interrupt("restarted by request")
        self._publish(state=ServiceState.STARTING, reason="", attempts=0)
        self._nudge.give()

    def close(self) -> None:
        """End the connection and its owner task."""
        self._closing = True
        self._stop("Ostler is shutting down")

    def update(self, entry: ServerEntry) -> bool:
        """Apply `entry`; return whether the server is reconnected for it."""
        old, self._entry = self._entry, entry
        self.slots = self.slots.of(entry)
        if entry.disabled:
            self.disconnect(DISABLED)
            return False
        if old.disabled and entry.options.auto_start:
            self.connect()
            return True
        if entry.same_connection(old):
            return False
        self._publish(
            transport=entry.transport,
            stderr_log=self._around.stderr_log(entry.name) if entry.transport == "stdio" else None,
        )
        self._legacy = False
        if self._wanted:
            self.restart()
        return self._wanted

    async def look_again(self, seconds: float) -> None:
        """Have the tools list read again, and return when it was, or `seconds` are over."""
        link = self._link
        if link is None:
            return
        read = anyio.Event()
        self._readers.append(read)
        link.stale.give()
        try:
            with anyio.move_on_after(seconds):
                await read.wait()
        finally:
            self._readers.remove(read)

    def _stop(self, reason: str) -> None:
        if self.snapshot.state is not ServiceState.STOPPED:
            self._publish(state=ServiceState.STOPPING, reason=reason)
        self._interrupt(reason)
        self._nudge.give()

    def _interrupt(self, reason: str) -> None:
        if self._link is not None:
            self._link.loss.report(reason)
        elif self._attempt_scope is not None:
            self._attempt_scope.cancel()

    # -- the owner ---------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Own the connection until `close`; never raises for what a server does."""
        try:
            while not self._closing:
                if not self._wanted:
                    reason = self.snapshot.reason or self._idle_reason()
                    self._publish(state=ServiceState.STOPPED, reason=reason, next_attempt_at=None, next_attempt_in=None)
                    await self._nudge.wait()
                    continue
                self._interrupted = False
                failure = await self._attempt()
                if not (self._closing or self._interrupted) and self._wanted:
                    await self._pause(failure)
        finally:
            self._publish(state=ServiceState.STOPPED, pid=None, next_attempt_at=None, next_attempt_in=None)
            self.ended.set()

    async def _attempt(self) -> ConnectFailure:
        """Connect, and stay until the connection is lost or no more wanted; return why it is over."""
        self._publish(attempts=self.snapshot.attempts + 1, next_attempt_at=None, next_attempt_in=None)
        self._last_attempt = attempt = Attempt(StartLimits.of(self._entry), show=self._show_start)
        self._attempt_scope = attempt.scope
        failure: ConnectFailure | None = None
        try:
            with attempt.scope:
                async with self._turn(attempt), anyio.create_task_group() as tasks:
                    attempt.begin()
                    if self._entry.transport == "stdio":
                        tasks.start_soon(attempt.watch, self._show_start)
                    await self._connect(attempt)
                    tasks.cancel_scope.cancel()
        except Exception as error:  # boundary: whatever a server or its transport does must stay its own affair
            failure = failure_of(error, attempt.loss)
            logger.debug("connection to server %r ended", self._entry.name, exc_info=True)
        finally:
            self._attempt_scope = None
        return await self._explained(self._over(attempt, failure))

    def _over(self, attempt: Attempt, failure: ConnectFailure | None) -> ConnectFailure:
        """Return why an attempt is over, of which `failure` was raised, and note what the next one does otherwise."""
        if attempt.connected:
            if attempt.elapsed >= STABLE_AFTER:
                self._backoff.reset()
            reason = attempt.loss.reason or (failure.reason if failure else "the connection ended")
            return ConnectFailure(reason, attempt.loss.state)
        # Some old servers cannot bear the question for their protocol: every other attempt is made without it.
        self._legacy = not self._legacy and self._entry.transport == "stdio"
        noise = attempt.facts.noise.describe()
        if failure is not None:
            return replace(failure, reason=f"{failure.reason}; {noise}") if noise else failure
        limit, log = attempt.limits.explain(self._entry, attempt.elapsed), attempt.facts.log
        parts = (limit, attempt.waits_for, noise, said_last(log) if log else "")
        return ConnectFailure("; ".join(filter(None, parts)))

    @asynccontextmanager
    async def _turn(self, attempt: Attempt) -> AsyncGenerator[None]:
        if self._entry.transport != "stdio":
            yield
            return
        if self._around.turns.is_full:
            self._show_start("other servers are being started first")
        async with self._around.turns.turn() as attempt.give_back:
            yield

    def _show_start(self, text: str) -> None:
        if self.snapshot.state is ServiceState.STARTING:
            self._publish(reason=text)

    async def _explained(self, failure: ConnectFailure) -> ConnectFailure:
        """Add where tokens come from to the failure of a server that demands one."""
        if failure.state is not ServiceState.AUTH_REQUIRED or self._challenge is None:
            return failure
        source = await token_source(self._challenge, self._entry.url)
        return replace(failure, reason=f"{failure.reason}; {source}") if source else failure

    async def _connect(self, attempt: Attempt) -> None:
        entry = await self._looked_up()
        if self._entry.headers_helper or self._entry.references:
            attempt.renew = self._looked_up
        dial = Dial(entry, self._around, self._builtin, attempt=attempt, legacy=self._legacy, stay=self._supervise)
        try:
            await dial.connect()
        finally:
            self._challenge = dial.challenge

    async def _looked_up(self) -> ServerEntry:
        """Return the entry with what it refers to and what its helper prints, which are masked from now on."""
        entry = await with_secrets(self._entry, self._around.environments)
        self._masking = self._entry.hiding(entry.secret_parts)
        entry = await with_helper_headers(entry, self._around.environments)
        self._masking = self._entry.hiding(entry.secret_strings())
        return entry

    async def _supervise(self, link: Link, tools: list[ToolInfo]) -> None:
        await anyio.lowlevel.checkpoint_if_cancelled()  # a stop came as the connection was established
        self._connected(link, tools)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._keep_tools, link)
                tasks.start_soon(link.follow_tools)
                tasks.start_soon(watch_liveness if link.transport in OVER_HTTP else watch_doubts, link)
                await link.loss.wait()
                self._disconnected(link)
                await anyio.sleep(_SETTLE)
                link.end_calls()
                await anyio.sleep(_SETTLE)
                tasks.cancel_scope.cancel()
        finally:
            link.loss.report("the connection ended")
            self._disconnected(link)
            link.end_calls()

    async def _keep_tools(self, link: Link) -> None:
        while True:
            await link.stale.wait()
            try:
                with anyio.fail_after(self._entry.options.connect_seconds):
                    tools = await link.read_tools()
            except (sdk_errors.MCPError, ValidationError, TimeoutError, ConnectFailedError) as error:
                text = str(error) or "no answer in time"
                self._publish(last_error=f"the tools list could not be read again: {text}")
                link.suspect.give()
            else:
                self._list(link, tools)
            for read in self._readers:
                read.set()

    async def _pause(self, failure: ConnectFailure) -> None:
        delay = self._backoff.next_delay(at_most=self._longest_pause(failure))
        self._next_attempt = anyio.current_time() + delay
        self._publish(
            state=failure.state,
            reason=failure.reason,
            last_error=failure.reason,
            next_attempt_at=self._clock.now() + timedelta(seconds=delay),
            next_attempt_in=delay,
        )
        with anyio.move_on_after(delay):
            async with anyio.create_task_group() as tasks:
                if failure.refused:
                    tasks.start_soon(hurry_when_port_accepts, self._entry.url, self.hurry)
                await self._nudge.wait()
                tasks.cancel_scope.cancel()
        self._next_attempt = None

    def _longest_pause(self, failure: ConnectFailure) -> float:
        """Return how long the next attempt may be delayed: not long, unless attempts are expensive."""
        starts_in_vain = self._entry.transport == "stdio" and self.snapshot.attempts > _VAIN_STARTS
        return SLOW_CAP if starts_in_vain or failure.state is ServiceState.AUTH_REQUIRED else QUICK_CAP

    # -- publishing --------------------------------------------------------------------------------------------

    def _connected(self, link: Link, tools: list[ToolInfo]) -> None:
        self._link = link
        self._legacy = not link.modern
        server_name, server_version = link.server
        self._tools = _by_name(tools)
        self._publish(
            state=ServiceState.CONNECTED,
            reason="",
            attempts=0,
            pid=link.child.pid if link.child else None,
            process=self._process_of(link),
            protocol_version=link.protocol_version,
            server_name=server_name,
            server_version=server_version,
            tools=len(self._tools),
            tools_known=True,
            left_out=tuple(link.repair.left_out),
            connections=self.snapshot.connections + 1,
        )
        self._on_change(self._entry.name)

    def _process_of(self, link: Link) -> str:
        """Return which process answers; what is connected to again over HTTP may be another one."""
        if link.child is not None:
            return link.child.process
        if link.transport not in OVER_HTTP:
            return ""
        return secrets.token_hex(8) if self.snapshot.connections else _FIRST_ANSWERING

    def _disconnected(self, link: Link) -> None:
        if self._link is not link:
            return
        self._link = None
        changes: dict[str, Any] = {"pid": None}
        if self.snapshot.state is ServiceState.CONNECTED:
            changes |= {"state": link.loss.state, "reason": link.loss.reason, "last_error": link.loss.reason}
        self._publish(**changes)
        self._on_change(self._entry.name)

    def _list(self, link: Link, tools: list[ToolInfo]) -> None:
        listed = _by_name(tools)
        self._publish(tools=len(listed), left_out=tuple(link.repair.left_out))
        if listed == self._tools:
            return
        self._tools = listed
        self._on_change(self._entry.name)

    def _publish(self, **changes: Any) -> None:
        old = self._snapshot.value
        for key in ("reason", "last_error"):
            if changes.get(key):
                changes[key] = self.masking.mask_text(without_control(changes[key]))
        new = replace(old, **changes)
        if new.state is not old.state:
            new = replace(new, since=self._clock.now())
        if new == old:
            return
        self._snapshot.replace(new)
        self._on_snapshot(new)

    def _idle_reason(self) -> str:
        return DISABLED if self._entry.disabled else "not started (autoStart is false)"


def _by_name(tools: list[ToolInfo]) -> dict[str, ToolInfo]:
    return {tool.name: tool for tool in tools}
