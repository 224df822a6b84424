"""Starting stdio servers: a few at once, each for as long as it is at work.

The first `npx -y` or `uvx` of a server downloads it, which may take minutes; cut off, it leaves npm's cache broken for
good. So an attempt is not judged by the clock alone but by signs of work: the processor time of its processes, new
ones among them, and what it writes to stderr.
"""

import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import anyio
import anyio.to_thread
import psutil
from msgspec import Struct, field

from ostler.adapters.downstream.children import ProcessId, tree_of
from ostler.adapters.downstream.installers import installs
from ostler.adapters.downstream.loss import LossSignal
from ostler.adapters.downstream.stdio import ChildFacts
from ostler.model.servers import CONNECT_SECONDS, ServerEntry

STARTS_AT_ONCE: Final = 4
"""Stdio servers that are started at the same time; with dozens at once, none gets enough of the machine."""

TURN_SECONDS: Final = 10.0
"""Seconds after which a start that is still under way lets the next one begin."""

INSTALL_QUIET_SECONDS: Final = 120.0
"""Seconds without a sign of work that a program is given which may be downloading: networks can be silent."""

LONGEST_START: Final = 600.0
"""Seconds after which an attempt is given up even if it is at work."""

LOOK_EVERY: Final = 2.0
"""Seconds between two checks of a child that is being started."""

_WORKING: Final = 0.02
"""Processor time, as a part of the time that passed, below which a process only waits."""


class StartTurns:
    """Lets a few starts run at once; the rest wait for their turn."""

    def __init__(self, at_once: int = STARTS_AT_ONCE) -> None:
        self._semaphore = anyio.Semaphore(at_once)

    @property
    def is_full(self) -> bool:
        """Whether the next start will have to wait."""
        return self._semaphore.value == 0

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[Callable[[], None]]:
        """Wait for a turn; yields what gives it back early. Leaving gives it back as well."""
        await self._semaphore.acquire()
        held = [True]

        def give_back() -> None:
            if held:
                held.clear()
                self._semaphore.release()

        try:
            yield give_back
        finally:
            give_back()


class StartLimits(Struct):
    """How long one attempt may take, and which of the limits ended it.

    Attributes:
        fixed: seconds in all, when the entry says so.
        quiet: seconds without a sign of work.
        longest: seconds in all, at work or not.
    """

    fixed: float | None
    quiet: float
    longest: float

    @classmethod
    def of(cls, entry: ServerEntry) -> "StartLimits":
        """Return the limits of `entry`."""
        fixed = entry.options.connect_timeout
        if fixed is None and entry.transport != "stdio":
            return cls(CONNECT_SECONDS, CONNECT_SECONDS, CONNECT_SECONDS)
        return cls(fixed, INSTALL_QUIET_SECONDS if installs(entry) else CONNECT_SECONDS, LONGEST_START)

    def first_deadline(self, began: float) -> float:
        """Return when the attempt is over if it shows no sign of work."""
        return began + (self.fixed if self.fixed is not None else min(self.quiet, self.longest))

    def explain(self, entry: ServerEntry, elapsed: float) -> str:
        """Return why the attempt was given up: the limit, and where it is set."""
        where = f"'connectTimeout' under 'ostler' of {entry.name!r} in mcp.json"
        if entry.options.connect_timeout is not None:
            return f"it was not ready within {self.fixed:g} s (the limit is {where})"
        if self.fixed is not None:
            return f"it was not ready within {self.fixed:g} s (the default; {where} sets another limit)"
        if elapsed >= self.longest:
            return f"it was at work but not ready within {self.longest:g} s (the default; {where} sets another limit)"
        return (
            f"it was not ready within {elapsed:.0f} s and gave no sign of work for {self.quiet:g} s"
            f" (the default; {where} sets another limit)"
        )


class Attempt(Struct, eq=False):
    """One attempt to connect, which ends as the connection does when it succeeds.

    Attributes:
        limits: how long it may take.
        scope: cancelled when it is not wanted any more, or took too long.
        facts: the child of a stdio server.
        loss: the end of the connection; another one after each change of transport or protocol.
        connected: it succeeded.
        began: when it began, after its turn had come.
        give_back: lets the next start begin.
        renew: looks up again what the entry refers to, once the server refuses it; None: it refers to nothing.
        secrets: returns what requests are authorised with by now, besides what the entry has.
        show: shows what it waits for.
        waits_for: what it waited for when it ended, over HTTP.
    """

    limits: StartLimits
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    facts: ChildFacts = field(default_factory=ChildFacts)
    loss: LossSignal = field(default_factory=LossSignal)
    connected: bool = False
    began: float = 0.0
    give_back: Callable[[], None] = lambda: None
    renew: Callable[[], Awaitable[ServerEntry]] | None = None
    secrets: Callable[[], tuple[str, ...]] = tuple
    show: Callable[[str], None] = lambda _: None
    waits_for: str = ""

    def note(self, words: str) -> None:
        """Show what it waits for."""
        if not self.connected:
            self.show(words)

    def begin(self) -> None:
        """Start the clock."""
        self.began = anyio.current_time()
        self.scope.deadline = self.limits.first_deadline(self.began)

    def succeed(self) -> None:
        """Stop the clock: the server is connected."""
        self.connected = True
        self.scope.deadline = math.inf
        self.give_back()

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return anyio.current_time() - self.began

    async def watch(self, show: Callable[[str], None]) -> None:
        """Extend its deadline for as long as the child is at work, and report its progress to `show`."""
        before = await _work(self.facts)
        while not self.connected:
            await anyio.sleep(LOOK_EVERY)
            work = await _work(self.facts)
            if self.connected:
                return
            if self.limits.fixed is None and work.differs(before, LOOK_EVERY):
                now = anyio.current_time()
                self.scope.deadline = min(now + self.limits.quiet, self.began + self.limits.longest)
            before = work
            if self.elapsed >= TURN_SECONDS:
                self.give_back()
            words = self.facts.log.last_words() if self.facts.log is not None else ""
            show(f"it has been starting for {self.elapsed:.0f} s" + (f"; its last stderr: {words}" if words else ""))


class _Work(Struct, frozen=True):
    seconds: float
    processes: frozenset[int]
    written: int

    def differs(self, before: "_Work", passed: float) -> bool:
        return (
            self.written != before.written
            or not self.processes <= before.processes
            or self.seconds - before.seconds >= passed * _WORKING
        )


async def _work(facts: ChildFacts) -> _Work:
    written = facts.log.written if facts.log is not None else 0
    if facts.pid is None:
        return _Work(0.0, frozenset(), written)
    seconds, processes = await anyio.to_thread.run_sync(_processor_time, facts.pid)
    return _Work(seconds, processes, written)


def _processor_time(pid: int) -> tuple[float, frozenset[int]]:
    child = ProcessId.of(pid)
    seconds, pids = 0.0, set[int]()
    for process in tree_of(child) if child is not None else ():
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        pids.add(process.pid)
        seconds += times.user + times.system + times.children_user + times.children_system
    return seconds, frozenset(pids)
