"""All processes of the machine at one moment, read in one pass: who descends from whom, and what they use."""

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

_PROC: Final = Path("/proc")


@dataclass(frozen=True, slots=True)
class Row:
    """One process.

    Attributes:
        parent: the pid of its parent.
        cpu_seconds: CPU time of it and of its children that have ended.
        memory_bytes: what it has in memory; pages that it shares with others count in full.
        is_zombie: it has ended, and its parent has not asked how.
    """

    parent: int
    cpu_seconds: float
    memory_bytes: int
    is_zombie: bool = False


@dataclass(frozen=True, slots=True)
class Usage:
    """What a tree of processes uses.

    Attributes:
        cpu_seconds: CPU time since the tree began, that of its ended processes included where the system knows it.
        memory_bytes: what all of them have in memory; pages that they share count in each.
        processes: how many there are.
    """

    cpu_seconds: float
    memory_bytes: int
    processes: int


def read_table() -> dict[int, Row]:
    """Return all processes by pid; some 4 ms for 300 of them on Linux. Blocks."""
    return dict(_linux_rows()) if sys.platform.startswith("linux") else _psutil_rows()


def trees_below(roots: Iterable[int], table: Mapping[int, Row]) -> dict[int, list[int]]:
    """Return the pids below each of `roots`, without the root; each belongs to the nearest root above it."""
    wanted = frozenset(roots)
    found: dict[int, list[int]] = {}
    for pid in table if wanted else ():
        if (root := _above(pid, table, wanted)) is not None:
            found.setdefault(root, []).append(pid)
    return found


def usage_of(pids: Iterable[int], table: Mapping[int, Row]) -> Usage:
    """Return what `pids` use together."""
    rows = [table[pid] for pid in pids if pid in table]
    return Usage(
        sum(row.cpu_seconds for row in rows),
        sum(row.memory_bytes for row in rows),
        sum(not row.is_zombie for row in rows),
    )


def work_of(pids: Iterable[int]) -> int | None:
    """Return the clock ticks that the threads of `pids` have used.

    None while one of them runs or waits for a disk, and where the system does not show threads. Blocks.
    """
    ticks = 0
    try:
        for pid in pids:
            for thread in os.listdir(f"{_PROC}/{pid}/task"):  # noqa: PTH208 (of a process that may go any moment)
                fields = _stat(f"{_PROC}/{pid}/task/{thread}")
                if fields[0] in (b"R", b"D"):
                    return None
                ticks += int(fields[11]) + int(fields[12])
    except OSError:  # also: one has ended meanwhile
        return None
    return ticks


def _above(pid: int, table: Mapping[int, Row], wanted: frozenset[int]) -> int | None:
    seen: set[int] = set()
    while pid in table and pid not in seen:
        seen.add(pid)
        pid = table[pid].parent
        if pid in wanted:
            return pid
    return None


def _linux_rows() -> Iterable[tuple[int, Row]]:
    tick, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    for entry in os.scandir(_PROC):
        if not entry.name.isdecimal():
            continue
        try:
            fields = _stat(entry.path)
            yield (
                int(entry.name),
                Row(int(fields[1]), sum(map(int, fields[11:15])) / tick, int(fields[21]) * page, fields[0] == b"Z"),
            )
        except (OSError, ValueError, IndexError):
            continue  # it has ended meanwhile


def _stat(folder: str) -> list[bytes]:
    """Return the fields after the name, which is in parentheses and may hold anything."""
    with Path(folder, "stat").open("rb") as file:
        return file.read().rpartition(b")")[2].split()


def _psutil_rows() -> dict[int, Row]:
    found: dict[int, Row] = {}
    for process in psutil.process_iter():
        try:
            with process.oneshot():
                is_zombie = process.status() == psutil.STATUS_ZOMBIE
                found[process.pid] = Row(process.ppid(), *_numbers(process), is_zombie)
        except psutil.Error:
            continue
    return found


def _numbers(process: psutil.Process) -> tuple[float, int]:
    """Return CPU seconds and bytes of memory; zero for a process of another user, where the system hides them."""
    try:
        times = process.cpu_times()
        return times.user + times.system, process.memory_info().rss
    except psutil.AccessDenied:
        return 0.0, 0
