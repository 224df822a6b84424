"""One known process in memory, and what can be seen of it."""

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import anyio
import psutil
from msgspec import Struct
from msgspec.structs import asdict

from ostler.adapters.process.contract import ProcessState
from ostler.adapters.process.keeper_boot import Child
from ostler.adapters.process.log_times import LogTimes
from ostler.adapters.process.ports import address_of
from ostler.adapters.process.process_answers import ProcessFacts
from ostler.adapters.process.records import ProcessRecord, WatchedLog, output_path
from ostler.adapters.process.trees import (
    Birth,
    Liveness,
    family_ports,
    holds_open,
    keeper_of,
    liveness,
    signal_name,
    status_of,
    successor_of,
)

MAX_SEEN = 16

_SHELL_SIGNALS = 128
"""Shells, and launchers such as uv, end with this and the number of the signal that ended their program."""

_MOST_SIGNALS = 32

FORKING_SECONDS = 1.0
"""How long after the end of a process another one that it left may be found to be the program."""

ENDING_SECONDS = 5.0
"""How long after the end of a process its keeper may take to write down how it ended: a busy disk keeps it waiting."""

BACKGROUND_SECONDS = 5.0
"""How long after its start a program goes into the background at the latest, also where no start waits for it."""


class Observation(Struct, frozen=True):
    """What one check of a process found.

    Attributes:
        liveness: whether it is there.
        code: as subprocess gives it (negative: a signal); None when unknown.
        at: when it ended; None: just now, as far as is known.
        successor: what it left in its place, when it ended well.
        frozen: a signal has stopped it.
    """

    liveness: Liveness
    code: int | None = None
    at: datetime | None = None
    successor: psutil.Process | None = None
    frozen: bool = False


class Awaited(Struct, frozen=True):
    """What a start waits for.

    Attributes:
        port: where something of this machine must listen.
        log: whether a line must come in the log.
        is_logged: whether that has come. Blocks.
    """

    port: int | None
    log: bool
    is_logged: Callable[[], bool]


@dataclass(eq=False, slots=True)
class Entry:
    """The latest run of one key. Belongs to the event loop; only `observe` may be called from a thread.

    Attributes:
        record: what is, or will be with the next save, written down.
        endings: where its keeper writes down how its processes ended.
        child: the keeper (on Windows the process itself) when this Ostler spawned it.
        process: the process, while it is known to be there.
        dirty: `record` has facts that are not on disk yet.
        starting: a start is under way: if the process ends well and leaves others, those take its place.
        awaited: what that start waits for, if it waits for something.
        listener: the process that was seen listening on its port last.
        missed: monotonic time since which the process is gone and its keeper has not said how.
        frozen: a signal has stopped it: it is there, and does nothing.
        changed: called in the event loop when it is noticed that it has ended, that another process took its place, or
            that it was frozen or goes on.
        is_ending: it was asked to end, and its end is waited for.
        ended: set once it is known that it has ended.
        input_lock: held while something is written to its input.
        log_lock: held while its log is read from the end, or rotated.
        log_is_final: it has ended, and its log will not grow or be rotated any more; `log_bytes` is its size then.
        log_bytes: see there.
        log_mark: the number of the file and its size as it was measured last.
        watched: how far its log was read for lines that report trouble, by their patterns.
        scanned: how far its log was read for the lines that show that it is ready, by their patterns.
        log_times: when its log had which length, in this Ostler's life.
        port_note: why it did not get the port of its last run.
    """

    record: ProcessRecord
    endings: Path
    child: Child | None = None
    process: psutil.Process | None = None
    dirty: bool = False
    starting: bool = False
    awaited: Awaited | None = field(default=None, repr=False)
    listener: int | None = field(default=None, repr=False)
    missed: float | None = field(default=None, repr=False)
    frozen: bool = False
    changed: Callable[["Entry"], None] | None = field(default=None, repr=False)
    is_ending: bool = False
    ended: anyio.Event = field(default_factory=anyio.Event, repr=False)
    input_lock: anyio.Lock = field(default_factory=anyio.Lock, repr=False)
    log_lock: anyio.Lock = field(default_factory=anyio.Lock, repr=False)
    log_is_final: bool = False
    log_bytes: int = 0
    log_mark: tuple[int, int] = 0, 0
    watched: dict[tuple[str, str | None], WatchedLog] = field(
        default_factory=dict[tuple[str, str | None], WatchedLog], repr=False
    )
    scanned: dict[str, int] = field(default_factory=dict[str, int], repr=False)
    log_times: LogTimes = field(default_factory=LogTimes, repr=False)
    port_note: str = ""

    @property
    def adopted(self) -> bool:
        """Whether an earlier Ostler spawned it."""
        return self.child is None

    @property
    def state(self) -> ProcessState:
        """What the last check found."""
        if self.record.exited_at is not None:
            return "exited"
        return "running" if self.child is not None or self.process is not None else "unknown"

    @property
    def has_lost_keeper(self) -> bool:
        """Whether the last check found that the keeper which this Ostler spawned for it has ended."""
        return self.record.keeper is not None and self.child is not None and self.child.returncode is not None

    def observe(self) -> Observation:
        """Check whether it is alive, without changing what is known; takes 0.2 ms at most."""
        code = None if self.child is None else self.child.poll()
        if self.child is not None and self.record.keeper is None:
            return Observation(Liveness.ALIVE if code is None else Liveness.GONE, code)
        if self.process is None:
            seen, process = liveness(self.record)
            if seen is not Liveness.GONE:
                return Observation(seen)
            self.process = process
        elif (status := status_of(self.process)) is not None:
            return Observation(Liveness.ALIVE, frozen=status == psutil.STATUS_STOPPED)
        return self._observe_end()

    def _observe_end(self) -> Observation:
        """Return how it ended, from the file of its keeper; alive for a moment more while that is not written yet."""
        pid = self.record.pid
        assert pid is not None, "what has no pid is never looked at"
        if self.record.keeper is None:
            return Observation(Liveness.GONE, _reaped(pid))
        found = _ending(self.endings, pid)
        if found is None:
            if self._may_be_early(ENDING_SECONDS):
                return Observation(Liveness.ALIVE)
            _reaped(self.record.keeper)
            if (found := _ending(self.endings, pid)) is None:  # its keeper may have written it since, and ended
                return Observation(Liveness.GONE)
        code, at = found
        successor = None
        if code == 0 and not self.is_ending and self._may_have_left_another(at):
            # Later on, a server replaces itself (nginx and gunicorn by SIGUSR2): the new one has its sockets.
            successor = successor_of(self.record, self._fits)
            # One that forks again and ends was just between two of the list's reads: a keeper with nothing left ends.
            is_forking = self.starting or not self._has_served
            if successor is None and is_forking and self._may_be_early(FORKING_SECONDS):
                return Observation(Liveness.ALIVE)
        if successor is None and self.child is None:
            _reaped(self.record.keeper)
        return Observation(Liveness.GONE, code, at, successor)

    def _fits(self, left: psutil.Process) -> bool:
        """Whether `left`, which the program left, is the program in the background, and not a helper such as epmd."""
        ports = family_ports(left)
        if not self.starting and self._has_served:
            return bool(ports) and self.record.port in (None, *ports)
        awaited = self.awaited
        port = self.record.port if awaited is None or awaited.port is None else awaited.port
        if port is not None and ports and port not in ports:
            return False
        if awaited is None or not awaited.log or awaited.is_logged():
            return True
        return holds_open(left, output_path(self.endings))

    @property
    def _has_served(self) -> bool:
        return self.record.port is not None or self.listener is not None

    def _may_have_left_another(self, ended: datetime) -> bool:
        """Whether what the program left may be the program itself: a job that ends leaves only helpers.

        The server may be another one than that which started it, and a loaded machine slow: its age counts, too.
        """
        if self.record.ends:
            return False
        if self.starting or self._has_served:
            return True
        return self.record.stays and (ended - self.record.started_at).total_seconds() < BACKGROUND_SECONDS

    def _may_be_early(self, seconds: float) -> bool:
        """Whether its keeper still runs and may have more to report, for `seconds` from the first such check."""
        now = time.monotonic()
        self.missed = now if self.missed is None else self.missed
        return now - self.missed < seconds and keeper_of(self.record) is not None

    def apply(self, seen: Observation) -> None:
        """Apply what a check found."""
        if self.record.exited_at is not None:
            return
        if seen.liveness is not Liveness.GONE:
            if seen.frozen != self.frozen:
                self.frozen = seen.frozen
                self._report()
            return
        self.missed = None
        if seen.successor is not None:
            try:
                birth = Birth.of(seen.successor)
            except psutil.Error:
                return  # it has ended as well: the next check finds another one, or none
            self.process = seen.successor
            self.update(pid=seen.successor.pid, **asdict(birth), forked=True)
            self._report()
            return
        code = seen.code
        self.update(
            exited_at=seen.at or datetime.now(UTC),
            exit_code=code if code is not None and code >= 0 else None,
            exit_signal=signal_name(-code) if code is not None and code < 0 else None,
        )
        self.ended.set()
        self._report()

    def _report(self) -> None:
        if self.changed is not None:
            self.changed(self)

    def refresh(self) -> ProcessState:
        """Check the process, apply what was found, and return its state."""
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
        """Return what is known, in the form that tools answer with."""
        record = self.record
        return ProcessFacts(
            key=record.key,
            state=self.state,
            pid=record.pid,
            port=record.port,
            host=record.host if record.port is not None else None,
            address=None if record.port is None else address_of(record.host, record.port),
            asked_port=record.asked_port,
            port_note=self._port_note() or None,
            started_at=record.started_at,
            exited_at=record.exited_at,
            exit_code=record.exit_code,
            signal=record.exit_signal,
            adopted=True if self.adopted else None,
            command=record.command,
            log_file=log_file,
            matched=dict(record.matched) or None,
        )

    def _port_note(self) -> str:
        """Return in words why it listens where it does, if that is not where one would look for it."""
        asked = self.record.asked_port
        ignored = "" if asked is None else f"it does not listen on port {asked}, which it was given"
        return "; ".join(filter(None, (self.port_note, ignored)))

    def ending(self) -> str:
        """Return in words how it ended."""
        code, amid = self.record.exit_code, self.record.killed_amid
        if self.record.killed_for:
            how = "was killed" if code is None else f"exited with code {code}"
            return f"{how}: {self.record.killed_for}"
        if self.record.exit_signal is not None:
            return f"was ended by {self.record.exit_signal}" + (f" ({amid})" if amid else "")
        if code is not None:
            above = code - _SHELL_SIGNALS
            of_child = f"a shell's code after {signal_name(above)}" if 0 < above < _MOST_SIGNALS else ""
            also = "; ".join(filter(None, (of_child, amid)))
            return f"exited with code {code}" + (f" ({also})" if also else "")
        unknown = f"its exit code is unknown: {amid or 'its keeper was ended as well, or the disk was full'}"
        return f"exited ({unknown})"


def _ending(path: Path, pid: int) -> tuple[int, datetime] | None:
    """Return how `pid` ended and when, as the keeper wrote it; None when it is not there (yet)."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, ValueError):
        return None
    for line in filter(None, lines):  # its room is kept by some thousand empty ones
        words = line.split()
        if len(words) == 3 and words[0] == str(pid):
            with contextlib.suppress(ValueError, OverflowError, OSError):
                return int(words[1]), datetime.fromtimestamp(float(words[2]), UTC)
    return None


def _reaped(pid: int) -> int | None:
    """Reap `pid` when it is a child of this interpreter after all (spawned by an earlier server in it)."""
    if os.name != "posix":
        return None
    try:
        reaped, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return os.waitstatus_to_exitcode(status) if reaped == pid else None
