"""What the services' processes use: processor and memory, each with all that it started."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import anyio
import anyio.to_thread
import psutil

SAMPLE_SECONDS: Final = 2.0
"""Seconds that one look at the processes is good for, however many pages ask."""


@dataclass(frozen=True, slots=True)
class Use:
    """What a tree of processes uses: `cpu` in percent of one core (None at first), `memory` in bytes, resident."""

    cpu: float | None
    memory: int


@dataclass(frozen=True, slots=True)
class _Process:
    parent: int
    born: float
    cpu_seconds: float
    memory: int


class UsageMeter:
    """Looks at this machine's processes when asked, at most once in `SAMPLE_SECONDS`."""

    def __init__(self) -> None:
        self._looking = anyio.Lock()
        self._looked_at = float("-inf")
        self._before: dict[int, _Process] = {}
        self._now: dict[int, _Process] = {}
        self._apart = 0.0

    async def read(self, pids: Mapping[str, int]) -> dict[str, Use]:
        """Return what each of the named processes uses, with its descendants; one that is gone is left out."""
        if not pids:
            return {}
        async with self._looking:
            now = time.monotonic()
            if now - self._looked_at >= SAMPLE_SECONDS:
                self._before, self._apart = self._now, now - self._looked_at
                self._now = await anyio.to_thread.run_sync(_processes)
                self._looked_at = now
        children: dict[int, list[int]] = {}
        for pid, process in self._now.items():
            children.setdefault(process.parent, []).append(pid)
        return {name: self._use(pid, children) for name, pid in pids.items() if pid in self._now}

    def _use(self, root: int, children: Mapping[int, list[int]]) -> Use:
        memory, used, known = 0, 0.0, False
        waiting, seen = [root], set[int]()
        while waiting:
            pid = waiting.pop()
            if pid in seen:
                continue
            seen.add(pid)
            waiting += children.get(pid, ())
            now, before = self._now[pid], self._before.get(pid)
            memory += now.memory
            if before is not None and before.born == now.born:
                used += now.cpu_seconds - before.cpu_seconds
                known = True
        cpu = round(max(0.0, used) / self._apart * 100, 1) if known and self._apart > 0 else None
        return Use(cpu, memory)


def _processes() -> dict[int, _Process]:
    """Return all processes that the system lets us see. Blocks."""
    found: dict[int, _Process] = {}
    for process in psutil.process_iter():
        try:
            with process.oneshot():
                times = process.cpu_times()
                found[process.pid] = _Process(
                    process.ppid(), process.create_time(), times.user + times.system, process.memory_info().rss
                )
        except psutil.Error:
            continue
    return found
