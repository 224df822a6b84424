"""What is done about processes without being asked: exits heard, logs rotated, records written, old ones dropped."""

import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from ostler.adapters.disk_room import is_scarcity
from ostler.adapters.process.contract import ProcessState
from ostler.adapters.process.exits import ExitWatch, exit_watch
from ostler.adapters.process.keeper_boot import replaced_keeper
from ostler.adapters.process.known_process import ENDING_SECONDS, Entry, Observation
from ostler.adapters.process.logfile import end_of, rotate
from ostler.adapters.process.meter import Meter
from ostler.adapters.process.process_table import read_table
from ostler.adapters.process.records import KEPT_BYTES, KEPT_EXITED, KEPT_SECONDS, previous_part
from ostler.adapters.process.roster import Roster
from ostler.adapters.process.trees import ProcessTree, families_of, root_of, with_family
from ostler.model.errors import OperationError, StoreError
from ostler.model.sizes import size_text

if TYPE_CHECKING:
    from ostler.adapters.process.keeper_boot import Child

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""How often logs are measured, and exits of own children noticed where the system does not report them."""

LOUD_SECONDS = 0.1
"""How often the log of a program is measured that writes a lot."""

LOUD_LOOKS = 50
"""For how many such looks a program counts as loud after it last was."""

LOUD_SHARE = 1.25
"""A log that has outgrown its limit by this factor between two looks is that of a loud program."""

FAMILY_LOOKS = 5
"""Looks from one that reads all descendants to the next."""

LOOKS_PER_ADOPTED = 5
"""An adopted process is checked this many times less often: it costs more, and every request checks again."""

SERVER_LOOKS = 3
"""How often, a second apart, health is asked for after the process below another that served for it has ended: as often
as checks have to fail until it counts. A reloader that starts it again is faster, or heals at the next check."""

_KILLS = (("SIGKILL", None), (None, 137), (None, None))
"""How a killed process may have ended: as a shell whose program was killed, or unknown, without its keeper."""

HEAR_SECONDS = 0.005
"""Between looks whether the keeper of an ended process has written down how it ended."""


class Upkeep:
    """Looks after the processes of a roster. Belongs to one event loop at a time."""

    def __init__(self, roster: Roster, meter: Meter) -> None:
        self._roster = roster
        roster.followers.append(self.watch)
        self._meter = meter
        self._exits: ExitWatch | None = None
        self._keeping = anyio.Lock()
        self._servers: dict[int, Entry] = {}
        """Processes below others that listen for them, such as the server that a reloader runs."""
        self._kills: int | None = None
        """How many processes of this control group the kernel had killed at the last look."""
        self._unreaped: set[Child] = set()
        """Keepers that may end unseen: of programs that have ended, and successors of killed ones."""
        self._loud: dict[Entry, int] = {}
        """Whose logs are measured often, each with the looks that are left."""

    def __repr__(self) -> str:
        return f"<Upkeep of {self._roster!r}>"

    async def keep(self) -> None:
        """Notice exits, rotate logs, write down what is new and drop what is old; until cancelled.

        Of several callers one does the work, the others stand by.
        """
        async with self._keeping, anyio.create_task_group() as group:
            self._exits = exit_watch()
            try:
                if self._exits is not None:
                    for entry in self._roster.entries.values():
                        self.watch(entry)
                    group.start_soon(self._hear_exits, self._exits)
                looks = 0
                while True:
                    looks += 1
                    await self._try_look(looks, group)
            finally:
                self._servers.clear()
                exits, self._exits = self._exits, None
                if exits is not None:
                    exits.close()

    async def _try_look(self, number: int, group: TaskGroup) -> None:
        try:
            await self._look(number, group)
        except OSError as error:
            if not is_scarcity(error):
                raise
            logger.warning("processes cannot be looked after now: %s", error)
            await anyio.sleep(LOOK_SECONDS)

    async def _look(self, number: int, group: TaskGroup) -> None:
        with anyio.move_on_after(LOOK_SECONDS):
            await self._bound_loud_logs()
        self._unreaped = {keeper for keeper in self._unreaped if keeper.poll() is None}
        if number % FAMILY_LOOKS == 1:
            from ostler.adapters.process.memory_kills import kills_in_group  # noqa: PLC0415 (not needed to start)

            self._kills = kills_in_group()
        if not self._roster.entries:
            return
        if number % FAMILY_LOOKS == 1:
            await self.remember_families()
        await self._enforce_limits()
        await self._look_after(with_adopted=number % LOOKS_PER_ADOPTED == 1)
        self._watch_servers(group)

    def watch(self, entry: Entry) -> None:
        """Be notified of the end of `entry` at once; where that is impossible, the next look notices it."""
        if entry.state == "exited":
            self._explain_kill(entry)
            if entry.child is not None:
                self._unreaped.add(entry.child)
            return
        pid = entry.record.pid
        if self._exits is not None and pid is not None and entry.state == "running":
            self._exits.watch(pid)

    def _explain_kill(self, entry: Entry) -> None:
        """Note that the kernel killed it because memory had run out, if the kernel says so."""
        record = entry.record
        how = record.exit_signal, record.exit_code
        if how not in _KILLS or record.killed_for or record.killed_amid or entry.is_ending or record.exited_at is None:
            return
        from ostler.adapters.process.memory_kills import killed_for_memory, kills_in_group  # noqa: PLC0415 (rare)

        pids = {record.pid or 0, *(relative.pid for relative in record.family)}
        if why := killed_for_memory(pids, record.exited_at):
            entry.update(killed_for=why)
            return
        is_unknown = why is None or record.exit_signal is None  # what a shell ran may never have been seen
        if is_unknown and self._kills is not None and (killed := (kills_in_group() or 0) - self._kills) > 0:
            these = "1 process" if killed == 1 else f"{killed} processes"
            amid = f"in the seconds before, the kernel killed {these} of this control group, as its memory had run out"
            entry.update(killed_amid=amid)

    async def _hear_exits(self, exits: ExitWatch) -> None:
        async with anyio.create_task_group() as group:
            while True:
                ended = await exits.wait()
                for entry in list(self._roster.entries.values()):
                    if entry.record.pid in ended:
                        group.start_soon(self.hear_end, entry)
                for pid in ended & self._servers.keys():
                    group.start_soon(self._hear_server_end, self._servers[pid], pid)

    def _watch_servers(self, group: TaskGroup) -> None:
        """Be notified of the end of another process that listens for one: its parent may continue without it."""
        if self._exits is None:
            return
        for pid, entry in list(self._servers.items()):
            if entry.listener != pid or entry.state != "running":
                del self._servers[pid]
        for entry in self._roster.entries.values():
            pid = entry.listener
            if pid is None or pid == entry.record.pid or pid in self._servers or entry.state != "running":
                continue
            self._servers[pid] = entry
            if not self._exits.watch(pid):  # it has ended already
                group.start_soon(self._hear_server_end, entry, pid)

    async def _hear_server_end(self, entry: Entry, pid: int) -> None:
        """Have the process asked for its health until another one listens for it, or enough checks have failed."""
        for _ in range(SERVER_LOOKS):
            await anyio.sleep(LOOK_SECONDS)
            if entry.state != "running" or entry.listener != pid:
                return
            self._roster.report_change(entry)

    async def hear_end(self, entry: Entry) -> None:
        """Note the end of a process, as soon as its keeper has written down how it ended."""
        with anyio.move_on_after(2 * ENDING_SECONDS):
            pid = entry.record.pid
            while entry.refresh() != "exited" and entry.record.pid == pid and self._roster.is_current(entry):  # noqa: ASYNC110
                await anyio.sleep(HEAR_SECONDS)

    async def state_of(self, entry: Entry) -> ProcessState:
        """Look, and return the state; where the process is gone and its keeper has not said how yet, wait for that."""
        if entry.refresh() != "exited" and entry.missed is not None:
            await self.hear_end(entry)
        return entry.state

    async def remember_families(self) -> None:
        """Measure what the processes use, write down who descends from them now, and replace keepers that are gone."""
        if all(entry.state == "exited" and entry.record.swept for entry in self._roster.entries.values()):
            return
        table = await anyio.to_thread.run_sync(read_table)
        self._meter.take(table)
        kept = {
            root: entry
            for entry in self._roster.entries.values()
            if entry.record.keeper is not None and (entry.state == "running" or not entry.record.swept)
            if (root := root_of(entry.record, table))
        }
        found = await anyio.to_thread.run_sync(families_of, list(kept), table)
        for root, family in found.items():
            entry = kept[root]
            seen = with_family(entry.record.family, family)
            if seen != entry.record.family:
                entry.update(family=seen)
        for root, entry in kept.items():
            if root != entry.record.keeper:
                await self._replace_keeper(entry)

    async def _enforce_limits(self) -> None:
        """Kill what has more memory than it may have; it is measured every second."""
        entries = [entry for entry in self._roster.entries.values() if entry.record.memory_limit is not None]
        if not any(entry.state == "running" for entry in entries):
            return
        measured = await self._meter.measure()
        for entry in entries:
            record, used = entry.record, measured.get(entry.record.key)
            if used is None or record.memory_limit is None or used.usage.memory_bytes <= record.memory_limit:
                continue
            if self._roster.is_busy(record.key) or entry.state != "running":
                continue  # it is being started or stopped; the next look finds it
            over = f"it had {size_text(used.usage.memory_bytes)} in memory, limited to {size_text(record.memory_limit)}"
            async with self._roster.exclusive(record.key):
                if self._roster.is_current(entry):
                    entry.update(killed_for=over)
                    tree = await anyio.to_thread.run_sync(ProcessTree.of, record)
                    await anyio.to_thread.run_sync(tree.kill)

    async def _look_after(self, *, with_adopted: bool) -> None:
        entries = list(self._roster.entries.values())
        watched = [entry for entry in entries if entry.state != "exited" and (with_adopted or not entry.adopted)]
        growing = [entry for entry in entries if not entry.log_is_final]
        seen, sizes = await anyio.to_thread.run_sync(self._inspect, watched, growing)
        for entry, observation in zip(watched, seen, strict=True):
            entry.apply(observation)
            if entry.has_lost_keeper:
                await self._replace_keeper(entry)
        for entry, size in zip(growing, sizes, strict=True):
            await self._bound_log(entry, size)
        await self._roster.save()
        await self._prune()

    def _inspect(self, watched: list[Entry], growing: list[Entry]) -> tuple[list[Observation], list[int]]:
        """Look at processes and at the sizes of logs. Blocks."""
        sizes = [self._log_size(entry) for entry in growing]
        return [entry.observe() for entry in watched], sizes

    async def _replace_keeper(self, entry: Entry) -> None:
        """Have the output of a program whose keeper was killed read on, if that is not done yet."""
        key = entry.record.key
        if entry.state != "running" or self._roster.is_busy(key):
            return
        async with self._roster.exclusive(key):
            if not self._roster.is_current(entry):
                return
            keeper = None
            with anyio.CancelScope(shield=True):  # one that is started must be reaped
                try:
                    keeper = await anyio.to_thread.run_sync(replaced_keeper, self._roster.folder, entry.record)
                except OperationError as error:
                    logger.warning("%s", error)
            if keeper is not None:
                self._unreaped.add(keeper)
                logger.warning("the keeper of process %r was killed; a new one reads its output on", key)

    def _log_size(self, entry: Entry) -> int:
        """Return the size of a log, and note when its program had written how much. Blocks."""
        path = self._roster.folder.log_path(entry.record.key)
        try:
            found = path.stat()
        except OSError:
            return 0
        if (mark := (found.st_ino, found.st_size)) != entry.log_mark:
            entry.log_times.note(time.time(), end_of(path, entry.record.log_base))
            entry.log_mark = mark
        return found.st_size

    async def _bound_loud_logs(self) -> None:
        """Keep the logs of loud programs small until cancelled; does nothing while there are none."""
        while self._loud:
            await anyio.sleep(LOUD_SECONDS)
            for entry, looks in list(self._loud.items()):
                if looks == 0 or not self._roster.is_current(entry):
                    del self._loud[entry]
                    continue
                self._loud[entry] = looks - 1
                await self._bound_log(entry, self._log_size(entry))
        await anyio.sleep_forever()

    async def _bound_log(self, entry: Entry, size: int) -> None:
        """Rotate the log of `entry` when it is too large; that of an ended process for the last time."""
        limit = entry.record.log_max_bytes
        if size <= limit:
            if entry.state == "exited":
                entry.log_is_final = True
                entry.log_bytes = size + _size(previous_part(self._roster.folder.log_path(entry.record.key)))
            return
        if size > LOUD_SHARE * limit:
            self._loud[entry] = LOUD_LOOKS
        if not self._roster.is_busy(entry.record.key):
            async with self._roster.exclusive(entry.record.key):
                await self._rotate(entry)
        elif entry.is_ending:  # its end is waited for, for as long as its stopTimeout; nothing else touches its log
            await self._rotate(entry)

    async def _rotate(self, entry: Entry) -> None:
        if not self._roster.is_current(entry):
            return
        base = entry.record.log_base

        def before_cut(removed: int) -> None:
            nonlocal base
            base += removed
            with suppress(StoreError):  # a full disk needs the cut most of all; the record is written later
                self._roster.folder.write(entry.record.model_copy(update={"log_base": base}))

        path = self._roster.folder.log_path(entry.record.key)
        try:
            async with entry.log_lock:
                try:
                    with anyio.CancelScope(shield=True):
                        await anyio.to_thread.run_sync(rotate, path, entry.record.log_max_bytes, before_cut)
                finally:
                    if base != entry.record.log_base:
                        entry.update(log_base=base)
        except (OSError, StoreError):
            return  # a full disk: the log stays as it is, and this is tried again at the next look

    async def _prune(self) -> None:
        """Drop what has ended long ago, or before too much else has."""
        now = datetime.now(UTC)
        ended = [entry for entry in self._roster.entries.values() if entry.record.exited_at is not None]
        ended.sort(key=lambda entry: entry.record.exited_at or now, reverse=True)
        bytes_left = KEPT_BYTES
        room = await self._room_for(ended)
        for rank, entry in enumerate(ended):
            key, at = entry.record.key, entry.record.exited_at or now
            bytes_left -= entry.log_bytes
            room -= entry.log_bytes
            is_old = rank >= KEPT_EXITED or bytes_left < 0 or (now - at).total_seconds() > KEPT_SECONDS
            if is_old and rank > 0 and not self._roster.is_busy(key):
                async with self._roster.exclusive(key):
                    if self._roster.is_current(entry):
                        del self._roster.entries[key]
                        await anyio.to_thread.run_sync(self._roster.folder.remove, key)
            elif room < 0 and rank > 0 and entry.log_bytes and not self._roster.is_busy(key):
                await self._remove_log(entry)

    async def _room_for(self, ended: Sequence[Entry]) -> int:
        """Return how many bytes the logs of ended programs may take: as many as the disk still has free."""
        if not any(entry.log_bytes for entry in ended[1:]):
            return KEPT_BYTES
        try:
            return await anyio.to_thread.run_sync(self._roster.folder.free_bytes)
        except OSError:
            return KEPT_BYTES

    async def _remove_log(self, entry: Entry) -> None:
        """Give the room of an ended program's log back to the disk; what is known of its end stays."""
        key = entry.record.key
        async with self._roster.exclusive(key), entry.log_lock:
            if self._roster.is_current(entry):
                path = self._roster.folder.log_path(key)
                end = await anyio.to_thread.run_sync(end_of, path, entry.record.log_base)
                await anyio.to_thread.run_sync(self._roster.folder.remove_log, key)
                entry.update(log_base=end)  # cursors stay what they are
                entry.log_bytes = 0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
