"""Child processes as trees: ending one with everything it spawned, and reaping those that a crash left behind.

Each stdio server leads its own session, so its group can be signalled even after it died. A record of pid and
creation time is kept while it lives; after a crash of Ostler the next start ends whatever still matches its record.
"""

import json
import os
import signal
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import psutil
from msgspec import Struct

from ostler.model.json import parse_json

TERM_GRACE: Final = 2.0
"""Seconds between the polite signal and the deadly one."""

KILL_GRACE: Final = 2.0
"""Seconds to see the death; only a process stuck in the kernel runs this out."""

_POLL: Final = 0.02
_SAME_TIME: Final = 0.01
"""Creation times that differ by less (seconds) are the same; psutil computes them from clock ticks."""


class ProcessId(Struct, frozen=True):
    """A process beyond doubt: pids are used again, a pid with its creation time is not."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> "ProcessId | None":
        """Return the identity of the running process `pid`, or None when it is gone."""
        try:
            return cls(pid, psutil.Process(pid).create_time())
        except psutil.Error:
            return None

    def process(self) -> psutil.Process | None:
        """Return the process if it still runs (a zombie does not)."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < _SAME_TIME
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.Error:
            return None


class ChildRecords:
    """One small file per child in `folder`, so that a later Ostler can end what this one could not."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, child: ProcessId, server: str) -> None:
        """Record `child`; a disk fault is not a reason to refuse the server."""
        owner = ProcessId.of(os.getpid())
        record = {
            "server": server,
            "pid": child.pid,
            "created": child.created,
            "ownerPid": os.getpid(),
            "ownerCreated": owner.created if owner else 0.0,
        }
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            self._path(child).write_text(json.dumps(record), encoding="utf-8")

    def remove(self, child: ProcessId) -> None:
        """Forget `child`: it is gone."""
        with suppress(OSError):
            self._path(child).unlink()

    async def reap(self) -> list[str]:
        """End the children of owners that are gone; return the names of the servers that had left any."""
        if not self._folder.is_dir():
            return []
        left = await anyio.to_thread.run_sync(self._orphans)
        names: list[str] = []

        async def end(child: ProcessId, server: str) -> None:
            processes = await anyio.to_thread.run_sync(tree_of, child)
            if processes:
                names.append(server)
                await end_processes(processes)
            self.remove(child)

        async with anyio.create_task_group() as tasks:
            for child, server in left:
                tasks.start_soon(end, child, server)
        return names

    def _orphans(self) -> list[tuple[ProcessId, str]]:
        found: list[tuple[ProcessId, str]] = []
        for path in sorted(self._folder.glob("*.json")):
            try:
                record = parse_json(path.read_text(encoding="utf-8"))
                owner = ProcessId(int(record["ownerPid"]), float(record["ownerCreated"]))
                child = ProcessId(int(record["pid"]), float(record["created"]))
                server = str(record["server"])
            except (OSError, ValueError, KeyError, TypeError):
                with suppress(OSError):
                    path.unlink()  # half-written by a crash
                continue
            if owner.process() is None:
                found.append((child, server))
        return found

    def _path(self, child: ProcessId) -> Path:
        return self._folder / f"{child.pid}-{child.created:.2f}.json"


def tree_of(child: ProcessId) -> list[psutil.Process]:
    """Return `child`, its descendants and the members of its session that still run.

    While a session has members the kernel gives its leader's pid to no one else, so when the leader is gone whoever
    names that session belongs to it; when another process has the pid now, nothing is left of the child.
    """
    found: dict[int, psutil.Process] = {}
    leader = child.process()
    if leader is None and _is_used_by_another(child):
        return []
    if leader is not None:
        with suppress(psutil.Error):
            found |= {process.pid: process for process in leader.children(recursive=True)}
        found[leader.pid] = leader
    if sys.platform != "win32":
        for pid in psutil.pids():
            with suppress(OSError, psutil.Error):
                if os.getsid(pid) == child.pid and (process := psutil.Process(pid)).status() != psutil.STATUS_ZOMBIE:
                    found.setdefault(pid, process)
    return list(found.values())


async def end_processes(processes: Sequence[psutil.Process]) -> list[int]:
    """Ask `processes` to end, then make them; return the pids that are there even so."""
    left = _signal(processes, signal.SIGTERM)
    left = await _wait_gone(left, TERM_GRACE)
    if left:
        left = await _wait_gone(_signal(left, getattr(signal, "SIGKILL", signal.SIGTERM)), KILL_GRACE)
    return [process.pid for process in left]


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> list[psutil.Process]:
    signalled: list[psutil.Process] = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            with suppress(psutil.AccessDenied):
                process.send_signal(number)
            signalled.append(process)
    return signalled


async def _wait_gone(processes: Sequence[psutil.Process], seconds: float) -> list[psutil.Process]:
    left = list(processes)
    deadline = anyio.current_time() + seconds
    while left := [process for process in left if _runs(process)]:
        if anyio.current_time() >= deadline:
            break
        await anyio.sleep(_POLL)
    return left


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _is_used_by_another(child: ProcessId) -> bool:
    other = ProcessId.of(child.pid)
    return other is not None and abs(other.created - child.created) >= _SAME_TIME
