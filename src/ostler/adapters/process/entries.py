"""One known process in memory, and what can be seen of it."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psutil

from ostler.adapters.process.contract import ProcessFacts, ProcessState
from ostler.adapters.process.launch import Child
from ostler.adapters.process.records import ProcessRecord
from ostler.adapters.process.trees import Liveness, is_gone, liveness, signal_name

MAX_SEEN = 16


@dataclass(frozen=True, slots=True)
class Observation:
    """What one look at a process found; `code` as subprocess gives it (negative: a signal), None when unknown."""

    liveness: Liveness
    code: int | None = None


@dataclass(eq=False, slots=True)
class Entry:
    """The latest run of one key. Belongs to the event loop; only `observe` may be called from a thread.

    Attributes:
        record: what is, or will be with the next save, written down.
        child: the process when this Ostler spawned it.
        process: the process when it was adopted, alive, from an earlier Ostler.
        dirty: `record` has facts that are not on disk yet.
        sampled: monotonic time and CPU seconds of the last detailed look.
        ended: called once, in the event loop, when its end is noticed.
    """

    record: ProcessRecord
    child: Child | None = None
    process: psutil.Process | None = None
    dirty: bool = False
    sampled: tuple[float, float] | None = field(default=None, repr=False)
    ended: Callable[["Entry"], None] | None = field(default=None, repr=False)

    @property
    def adopted(self) -> bool:
        """Whether an earlier Ostler spawned it."""
        return self.child is None

    @property
    def state(self) -> ProcessState:
        """What the last look found."""
        if self.record.exited_at is not None:
            return "exited"
        return "running" if self.child is not None or self.process is not None else "unknown"

    def observe(self) -> Observation:
        """Look whether it is alive, without changing anything here; at most some 0.1 ms."""
        if self.child is not None:
            code = self.child.poll()
            return Observation(Liveness.ALIVE if code is None else Liveness.GONE, code)
        if self.process is not None:
            if not is_gone(self.process):
                return Observation(Liveness.ALIVE)
            return Observation(Liveness.GONE, _reaped(self.process.pid))
        seen, _ = liveness(self.record)
        return Observation(seen)

    def apply(self, seen: Observation) -> None:
        """Take in what a look found."""
        if seen.liveness is not Liveness.GONE or self.record.exited_at is not None:
            return
        code = seen.code
        self.update(
            exited_at=datetime.now(UTC),
            exit_known=code is not None,
            exit_code=code if code is not None and code >= 0 else None,
            exit_signal=signal_name(-code) if code is not None and code < 0 else None,
        )
        if self.ended is not None:
            self.ended(self)

    def refresh(self) -> ProcessState:
        """Look, take it in, and return the state."""
        if self.record.exited_at is None:
            self.apply(self.observe())
        return self.state

    def update(self, **changes: object) -> None:
        """Change the record; it is on disk after the next save."""
        self.record = self.record.model_copy(update=changes)
        self.dirty = True

    def mark_seen(self, pattern: str, matched: Mapping[str, str]) -> None:
        """Remember that a log pattern was found in this run, and what its named groups found."""
        if pattern not in self.record.seen:
            self.update(seen=(*self.record.seen, pattern)[-MAX_SEEN:], matched={**self.record.matched, **matched})

    def facts(self, log_file: str) -> ProcessFacts:
        """Return what is known, as tools tell it."""
        record = self.record
        return ProcessFacts(
            key=record.key,
            state=self.state,
            pid=record.pid,
            port=record.port,
            host=record.host if record.port is not None else None,
            started_at=record.started_at,
            exited_at=record.exited_at,
            exit_code=record.exit_code,
            signal=record.exit_signal,
            adopted=True if self.adopted else None,
            command=record.command,
            log_file=log_file,
            matched=dict(record.matched) or None,
        )

    def ending(self) -> str:
        """Return in words how it ended."""
        if self.record.exit_signal is not None:
            return f"was ended by {self.record.exit_signal}"
        if self.record.exit_code is not None:
            return f"exited with code {self.record.exit_code}"
        return "exited (its exit code is unknown, as an earlier Ostler started it)"


@dataclass(frozen=True, slots=True)
class Usage:
    """What a tree of processes uses."""

    cpu_seconds: float
    memory_bytes: int
    children: int
    ports: list[int]


def measure(pid: int) -> Usage | None:
    """Return what process `pid` and its descendants use, as far as the system tells; None when it is gone. Blocks."""
    try:
        main = psutil.Process(pid)
        family = [main, *main.children(recursive=True)]
    except psutil.Error:
        return None
    cpu_seconds, memory, ports = 0.0, 0, set[int]()
    for process in family:
        try:
            with process.oneshot():
                times = process.cpu_times()
                cpu_seconds += times.user + times.system
                memory += process.memory_info().rss
            ports.update(_listening(process))
        except psutil.Error:
            continue
    return Usage(cpu_seconds, memory, len(family) - 1, sorted(ports))


def cpu_percent(entry: Entry, usage: Usage) -> float:
    """Return the CPU share since the last call for `entry` (at first: since its start); 100 is one core."""
    now = time.monotonic()
    before, used = entry.sampled or (now - uptime(entry.record), 0.0)
    entry.sampled = (now, usage.cpu_seconds)
    elapsed = now - before
    return round(max(0.0, usage.cpu_seconds - used) / elapsed * 100, 1) if elapsed > 0 else 0.0


def uptime(record: ProcessRecord) -> float:
    """Return the seconds since the start."""
    return max(0.0, (datetime.now(UTC) - record.started_at).total_seconds())


def _listening(process: psutil.Process) -> Iterator[int]:
    for connection in process.net_connections(kind="tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr:
            yield connection.laddr.port


def _reaped(pid: int) -> int | None:
    """Reap `pid` when it is a child of this interpreter after all (spawned by an earlier server in it)."""
    if os.name != "posix":
        return None
    try:
        reaped, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return os.waitstatus_to_exitcode(status) if reaped == pid else None
