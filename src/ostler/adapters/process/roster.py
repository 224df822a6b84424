"""The processes of one folder, by key: known in memory, written down, and changed one operation a key at a time."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread

from ostler.adapters.process.adoption import load_entries
from ostler.adapters.process.known_process import Entry
from ostler.adapters.process.records import RecordFolder
from ostler.model.errors import StoreError


class Roster:
    """The latest run of each key. Belongs to one event loop at a time.

    Args:
        root: the folder.
        on_change: called with the key, in the event loop, when it is noticed that a process has ended, was
            frozen, goes on, or has another in its place, and when what listens for it has ended.

    Attributes:
        folder: where they are written down.
        entries: by key.
        followers: called with each process of which something was noticed.
    """

    def __init__(self, root: Path, on_change: Callable[[str], None] | None = None) -> None:
        self._on_change = on_change
        self.followers: list[Callable[[Entry], None]] = []
        self.folder = RecordFolder(root)
        self.entries: dict[str, Entry] = {}
        self._locks: dict[str, anyio.Lock] = {}
        self._opening = anyio.Lock()
        self._opened = False

    def __repr__(self) -> str:
        return f"<Roster of {self.folder!r}, {len(self.entries)} known>"

    async def open(self) -> None:
        """Read the folder and adopt what still runs; later calls do nothing.

        Raises:
            StoreError: the folder cannot be used.
        """
        async with self._opening:
            if not self._opened:
                self.entries = await anyio.to_thread.run_sync(load_entries, self.folder)
                self._opened = True
                for entry in self.entries.values():
                    entry.changed = self.report_change

    def report_change(self, entry: Entry) -> None:
        """Pass on that something was noticed of `entry`."""
        if self.is_current(entry):
            for follower in self.followers:
                follower(entry)
            if self._on_change is not None:
                self._on_change(entry.record.key)

    def is_current(self, entry: Entry) -> bool:
        """Whether `entry` is still the latest run of its key."""
        return self.entries.get(entry.record.key) is entry

    async def save(self) -> None:
        """Write down what is not on disk yet; a disk that refuses is tried again later."""
        for key, entry in list(self.entries.items()):
            if entry.dirty and not self.is_busy(key):
                await self.save_one(entry)

    async def save_one(self, entry: Entry) -> None:
        """Write down `entry`, after what is under way for its key; a disk that refuses is tried again later."""
        async with self.exclusive(entry.record.key):
            if self.is_current(entry):
                await self.write(entry)

    async def write(self, entry: Entry) -> None:
        """Write down `entry`, whose key the caller holds; a disk that refuses is tried again with the next save."""
        record = entry.record
        try:
            await anyio.to_thread.run_sync(self.folder.write, record)
        except StoreError:
            return
        if entry.record is record:
            entry.dirty = False
            if record.exited_at is not None:
                await anyio.to_thread.run_sync(self.folder.forget_ending, record.token)

    def is_busy(self, key: str) -> bool:
        """Whether an operation on `key` is under way."""
        return key in self._locks

    @asynccontextmanager
    async def exclusive(self, key: str) -> AsyncGenerator[None]:
        """Hold `key`: one start, stop or write of its record at a time."""
        lock = self._locks.setdefault(key, anyio.Lock())
        try:
            async with lock:
                yield
        finally:
            statistics = lock.statistics()
            if not statistics.locked and not statistics.tasks_waiting and self._locks.get(key) is lock:
                del self._locks[key]
