"""What is done about processes without being asked: exits heard, logs rotated, records written, old ones dropped."""

from contextlib import suppress
from datetime import UTC, datetime

import anyio
import anyio.to_thread

from ostler.adapters.process.contract import ProcessState
from ostler.adapters.process.entries import ENDING_SECONDS, Entry, Observation
from ostler.adapters.process.exits import ExitWatch, exit_watch
from ostler.adapters.process.logfile import rotate
from ostler.adapters.process.records import KEPT_EXITED, KEPT_SECONDS
from ostler.adapters.process.roster import Roster
from ostler.model.errors import StoreError

LOOK_SECONDS = 1.0
"""How often logs are measured, and exits of own children noticed where the system does not tell of them."""

LOOKS_PER_ADOPTED = 5
"""An adopted process is looked at this many times less often: it costs more, and every question looks anew."""

HEAR_SECONDS = 0.005
"""Between looks whether the keeper of an ended process has written down how it ended."""


class Upkeep:
    """Looks after the processes of a roster. Belongs to one event loop at a time."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._exits: ExitWatch | None = None
        self._keeping = anyio.Lock()

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
                    await anyio.sleep(LOOK_SECONDS)
                    if self._roster.entries:
                        looks += 1
                        await self._look_after(with_adopted=looks % LOOKS_PER_ADOPTED == 0)
            finally:
                exits, self._exits = self._exits, None
                if exits is not None:
                    exits.close()

    def watch(self, entry: Entry) -> None:
        """Hear at once of the end of `entry`; where that cannot be, the next look notices it."""
        pid = entry.record.pid
        if self._exits is not None and pid is not None and entry.state == "running":
            self._exits.watch(pid)

    async def _hear_exits(self, exits: ExitWatch) -> None:
        async with anyio.create_task_group() as group:
            while True:
                ended = await exits.wait()
                for entry in list(self._roster.entries.values()):
                    if entry.record.pid in ended:
                        group.start_soon(self.hear_end, entry)

    async def hear_end(self, entry: Entry) -> None:
        """Take in the end of a process that has ended, as soon as its keeper has written down how."""
        with anyio.move_on_after(2 * ENDING_SECONDS):
            pid = entry.record.pid
            while entry.refresh() != "exited" and entry.record.pid == pid and self._roster.is_current(entry):  # noqa: ASYNC110
                await anyio.sleep(HEAR_SECONDS)

    async def state_of(self, entry: Entry) -> ProcessState:
        """Look, and return the state; where the process is gone and its keeper has not said how yet, wait for that."""
        if entry.refresh() != "exited" and entry.missed is not None:
            await self.hear_end(entry)
        return entry.state

    async def _look_after(self, *, with_adopted: bool) -> None:
        watched = [
            entry
            for entry in self._roster.entries.values()
            if entry.state != "exited" and (with_adopted or not entry.adopted)
        ]
        seen, large = await anyio.to_thread.run_sync(self._inspect, watched)
        for entry, observation in zip(watched, seen, strict=True):
            entry.apply(observation)
        for entry in large:
            if not self._roster.is_busy(entry.record.key):
                async with self._roster.exclusive(entry.record.key):
                    await self._rotate(entry)
        await self._roster.save()
        await self._prune()

    def _inspect(self, entries: list[Entry]) -> tuple[list[Observation], list[Entry]]:
        """Look at processes and at the sizes of their logs. Blocks."""
        large: list[Entry] = []
        for entry in entries:
            try:
                size = self._roster.folder.log_path(entry.record.key).stat().st_size
            except OSError:
                continue
            if size > entry.record.log_max_bytes:
                large.append(entry)
        return [entry.observe() for entry in entries], large

    async def _rotate(self, entry: Entry) -> None:
        if self._roster.entries.get(entry.record.key) is not entry:
            return
        base = entry.record.log_base

        def before_cut(removed: int) -> None:
            nonlocal base
            base += removed
            with suppress(StoreError):  # a full disk needs the cut most of all; the record is written later
                self._roster.folder.write(entry.record.model_copy(update={"log_base": base}))

        path = self._roster.folder.log_path(entry.record.key)
        try:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(rotate, path, entry.record.log_max_bytes, before_cut)
        except (OSError, StoreError):
            return  # a full disk: the log stays as it is, and this is tried again at the next look
        finally:
            if base != entry.record.log_base:
                entry.update(log_base=base)

    async def _prune(self) -> None:
        now = datetime.now(UTC)
        exited = sorted(
            ((entry.record.exited_at, key) for key, entry in self._roster.entries.items() if entry.record.exited_at),
            reverse=True,
        )
        for rank, (at, key) in enumerate(exited):
            if (rank >= KEPT_EXITED or (now - at).total_seconds() > KEPT_SECONDS) and not self._roster.is_busy(key):
                async with self._roster.exclusive(key):
                    if self._roster.entries[key].state == "exited":
                        del self._roster.entries[key]
                        await anyio.to_thread.run_sync(self._roster.folder.remove, key)
