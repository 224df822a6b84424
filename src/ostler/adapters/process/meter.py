"""CPU and memory of the processes of a roster, each with all that it started."""

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import anyio
import anyio.to_thread
import psutil

from ostler.adapters.process.known_process import Entry
from ostler.adapters.process.process_table import Row, Usage, read_table, trees_below, usage_of
from ostler.adapters.process.records import ProcessRecord
from ostler.adapters.process.roster import Roster

FRESH_SECONDS = 1.0
"""A measurement of this age is good enough for the next one who asks: shorter spans say little about CPU."""


@dataclass(frozen=True, slots=True)
class Measured:
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
    """Measures the processes of a roster, and others: all of them in one look. Belongs to one event loop at a time."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._others: frozenset[int] = frozenset()
        self._measured: dict[Entry | int, Measured] = {}
        self._looked_at = -FRESH_SECONDS
        self._looking = anyio.Lock()

    def __repr__(self) -> str:
        return f"<Meter of {self._roster!r}>"

    async def measure(self) -> Mapping[str, Measured]:
        """Return what each running process uses, by key; measured within the last second."""
        await self._look(self._running())
        return {entry.record.key: found for entry, found in self._measured.items() if isinstance(entry, Entry)}

    async def measure_others(self, pids: Iterable[int]) -> Mapping[int, Measured]:
        """Return what the processes `pids` use, which are not of the roster; measured within the last second."""
        self._others = frozenset(pids)
        await self._look(self._others)
        return {pid: found for pid, found in self._measured.items() if isinstance(pid, int)}

    async def connections(self, keys: Iterable[str]) -> Mapping[str, int]:
        """Return how many TCP connections there are to the ports on which running processes listen, by key."""
        entries = [entry for key in keys if (entry := self._roster.entries.get(key)) in self._running()]
        table = await anyio.to_thread.run_sync(read_table)
        roots = {entry.record.key: (root, entry) for entry in entries if entry and (root := _root(entry)) is not None}
        trees = trees_below((root for root, _ in roots.values()), table)
        found: dict[str, int] = {}
        for key, (root, entry) in roots.items():
            pids = [*trees.get(root, ()), *([] if _has_keeper(entry) else [root])]
            found[key] = await anyio.to_thread.run_sync(_connections_to, pids)
        return found

    async def _look(self, wanted: Iterable[Entry | int]) -> None:
        async with self._looking:
            is_old = time.monotonic() - self._looked_at >= FRESH_SECONDS
            if is_old or any(one not in self._measured for one in wanted):
                self.take(await anyio.to_thread.run_sync(read_table))

    def take(self, table: Mapping[int, Row]) -> None:
        """Take in what a look at all processes of the machine has found."""
        now = self._looked_at = time.monotonic()
        roots: dict[Entry | int, int] = {entry: root for entry in self._running() if (root := _root(entry)) is not None}
        roots |= {pid: pid for pid in self._others if pid in table}
        trees = trees_below(roots.values(), table)
        self._measured = {
            one: self._reading(one, [*trees.get(root, ()), *([] if _has_keeper(one) else [root])], table, now)
            for one, root in roots.items()
        }

    def _running(self) -> list[Entry]:
        return [entry for entry in self._roster.entries.values() if entry.state == "running"]

    def _reading(self, one: Entry | int, pids: Iterable[int], table: Mapping[int, Row], now: float) -> Measured:
        usage, before = usage_of(pids, table), self._measured.get(one)
        used = before.usage.cpu_seconds if before else 0.0
        elapsed = now - before.at if before else uptime(one.record) if isinstance(one, Entry) else _age(one)
        share = max(0.0, usage.cpu_seconds - used) / elapsed * 100 if elapsed > 0 else 0.0
        return Measured(usage, round(share, 1), now)


def uptime(record: ProcessRecord) -> float:
    """Return the seconds since the start."""
    return max(0.0, (datetime.now(UTC) - record.started_at).total_seconds())


def _root(entry: Entry) -> int | None:
    """Return what the processes of `entry` are below: its keeper, else the process itself."""
    return entry.record.keeper if _has_keeper(entry) else entry.record.pid


def _has_keeper(one: Entry | int) -> bool:
    return isinstance(one, Entry) and one.record.keeper is not None


def _connections_to(pids: Iterable[int]) -> int:
    """Return how many connections there are to ports on which `pids` listen. Blocks."""
    listening, used = set[int](), list[int]()
    for pid in pids:
        with suppress(psutil.Error):
            for connection in psutil.Process(pid).net_connections(kind="tcp"):
                if connection.status == psutil.CONN_LISTEN:
                    listening.add(connection.laddr.port)
                elif connection.status == psutil.CONN_ESTABLISHED:
                    used.append(connection.laddr.port)
    return sum(port in listening for port in used)


def _age(pid: int) -> float:
    """Return the seconds since `pid` was created; 0 if it has ended."""
    try:
        return max(0.0, time.time() - psutil.Process(pid).create_time())
    except psutil.Error:
        return 0.0
