"""CPU and memory of the processes of a roster, each with all that it started."""

import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TypeGuard

import anyio
import anyio.to_thread
import psutil
from msgspec import Struct

from ostler.adapters.process.known_process import Entry
from ostler.adapters.process.process_table import (
    Row,
    Usage,
    bound_by,
    bound_sockets,
    connections_of,
    read_table,
    trees_below,
    usage_of,
)
from ostler.adapters.process.records import ProcessRecord
from ostler.adapters.process.roster import Roster
from ostler.adapters.process.trees import root_of

FRESH_SECONDS = 1.0
"""A measurement of this age is good enough for the next one who asks: shorter spans say little about CPU."""


class Measured(Struct, frozen=True):
    """What one process used when it was last measured, with all that it started.

    Attributes:
        usage: CPU seconds, memory and processes.
        cpu_percent: its share of one core since the measurement before, at first since its start.
        at: when, by the monotonic clock.
    """

    usage: Usage
    cpu_percent: float
    at: float


class Meter:
    """Measures the processes of a roster, and others: all of them in one look. Belongs to one event loop at a time.

    Args:
        roster: knows the processes.
        clock: seconds of a monotonic clock.
    """

    def __init__(self, roster: Roster, clock: Callable[[], float] = time.monotonic) -> None:
        self._roster = roster
        self._clock = clock
        self._others: set[int] = set()
        """Pids that were asked for; those of processes that were measured and have ended are dropped."""
        self._measured: dict[Entry | int, Measured] = {}
        self._looking = anyio.Lock()

    def __repr__(self) -> str:
        return f"<Meter of {self._roster!r}>"

    async def measure(self) -> Mapping[str, Measured]:
        """Return what each running process uses, by key; measured within the last second."""
        await self._look(self._running())
        return {entry.record.key: found for entry, found in self._measured.items() if isinstance(entry, Entry)}

    async def measure_others(self, pids: Collection[int]) -> Mapping[int, Measured]:
        """Return what the processes `pids` use, which are not of the roster; measured within the last second."""
        self._others.update(pids)
        await self._look(pids)
        return {pid: self._measured[pid] for pid in pids if pid in self._measured}

    async def connections(self, keys: Collection[str]) -> Mapping[str, int]:
        """Return how many TCP connections there are to the ports on which running processes listen, by key."""
        if not keys:
            return {}
        families = self.take(await anyio.to_thread.run_sync(read_table))
        wanted = {
            entry.record.key: pids
            for entry, pids in families.items()
            if isinstance(entry, Entry) and entry.record.key in keys
        }
        return await anyio.to_thread.run_sync(lambda: {key: _connections_to(pids) for key, pids in wanted.items()})

    async def _look(self, wanted: Collection[Entry | int]) -> None:
        async with self._looking:
            if not all(self._is_fresh(self._measured.get(one)) for one in wanted):
                self.take(await anyio.to_thread.run_sync(read_table))

    def take(self, table: Mapping[int, Row]) -> Mapping[Entry | int, Sequence[int]]:
        """Measure by a table of all processes of the machine; what was measured just now stays.

        Returns:
            the pids of each process that is measured, with those of all that it started.
        """
        self._others.difference_update(self._measured.keys() - table.keys())
        running = self._running()
        roots: dict[Entry | int, int] = {one: root for one in running if (root := root_of(one.record, table))}
        roots |= {pid: pid for pid in self._others if pid in table}
        trees = trees_below(roots.values(), table)
        families = {one: [*trees.get(root, ()), *_own(one, root)] for one, root in roots.items()}
        self._measured = {one: self._reading(one, usage_of(pids, table)) for one, pids in families.items()}
        return families

    def _running(self) -> list[Entry]:
        return [entry for entry in self._roster.entries.values() if entry.state == "running"]

    def _is_fresh(self, found: Measured | None) -> TypeGuard[Measured]:
        return found is not None and self._clock() - found.at < FRESH_SECONDS

    def _reading(self, one: Entry | int, usage: Usage) -> Measured:
        before, now = self._measured.get(one), self._clock()
        if self._is_fresh(before):
            return before
        used = before.usage.cpu_seconds if before else 0.0
        elapsed = now - before.at if before else uptime(one.record) if isinstance(one, Entry) else _age(one)
        share = max(0.0, usage.cpu_seconds - used) / elapsed * 100 if elapsed > 0 else 0.0
        return Measured(usage, round(share, 1), now)


def uptime(record: ProcessRecord) -> float:
    """Return the seconds since the start."""
    return max(0.0, (datetime.now(UTC) - record.started_at).total_seconds())


def _own(one: Entry | int, root: int) -> list[int]:
    """Return the root of a tree as a part of it, unless it is a keeper."""
    return [] if isinstance(one, Entry) and root == one.record.keeper else [root]


def _connections_to(pids: Iterable[int]) -> int:
    """Return how many connections there are to ports on which `pids` listen, Ostler's own left out. Blocks."""
    family, sockets = list(pids), bound_sockets()
    listening = set[int]()
    for pid in family:
        with suppress(psutil.Error):
            listening.update(one.port for one in bound_by(psutil.Process(pid), sockets) if one.is_tcp)
    others = [_plain(peer) for (_, port), peer in connections_of(family) if port in listening]
    if not others:
        return 0
    checks = {_plain(here) for here, _ in connections_of([os.getpid()])}
    return sum(peer not in checks for peer in others)


def _plain(address: tuple[str, int]) -> tuple[str, int]:
    """Return an address as its IPv4 form, if it is one that IPv6 sockets show."""
    return address[0].removeprefix("::ffff:"), address[1]


def _age(pid: int) -> float:
    """Return the seconds since `pid` was created; 0 if it has ended."""
    try:
        return max(0.0, time.time() - psutil.Process(pid).create_time())
    except psutil.Error:
        return 0.0
