"""The SQLite store: one file in the state folder, one writer task with group commit, and a connection that reads.

What only reads history has its own connection and thread: a write may wait for seconds, as for a disk, or another
program's lock.
"""

import errno
import logging
import os
import sqlite3
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, Self, TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread

from ostler.adapters.stores.commit_queue import CommitQueue, Refusal, Written
from ostler.adapters.stores.records_json import EVENT, OPERATION, SERVICE
from ostler.adapters.stores.retention import Retention
from ostler.adapters.stores.rows import CommitWrite, EventWrite, column
from ostler.adapters.stores.sqlite_copies import export_database
from ostler.adapters.stores.sqlite_faults import lacks_room, translate
from ostler.adapters.stores.sqlite_guard import Reserve, SameFiles
from ostler.adapters.stores.sqlite_schema import connect_reader, open_database
from ostler.adapters.stores.sqlite_writes import Writes
from ostler.engine.protocols import Change, StoredState
from ostler.model.errors import StoreError
from ostler.model.events import Event
from ostler.model.json import JsonObject
from ostler.model.records import OperationRecord

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

FIND_REQUEST = """
SELECT operations.record FROM requests JOIN operations ON operations.seq = requests.operation
WHERE requests.service_name = ? AND requests.key = ? ORDER BY requests.operation DESC
"""
"""Statement that finds the operations that answer an idempotency key, newest first."""

_RESERVE_PAUSE = 10.0
"""Seconds after which room on the disk that was used, or was not there, is taken again, where there is enough."""


class _Thread:
    """The one thread for all that is done with the connection, in order; it ends with the block of a `with`.

    `anyio.to_thread.run_sync` goes through a limiter, three scopes and two rounds of the event loop for each call: a
    commit took 380 µs of CPU with it, and takes 300 µs.
    """

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name=name, daemon=True)  # what hangs is left behind

    def __enter__(self) -> None:
        loop: Any = anyio.lowlevel.current_token().native_token
        self._call_soon: Callable[[Callable[[], object]], object] = (
            loop.call_soon_threadsafe if hasattr(loop, "call_soon_threadsafe") else loop.run_sync_soon  # asyncio, trio
        )
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._jobs.put(None)

    async def run(self, work: Callable[[], _T]) -> _T:
        """Return what `work` returns, or raise what it raises; a cancellation leaves it behind."""
        done = anyio.Event()
        outcome: list[_T] = []
        failure: list[BaseException] = []

        def job() -> None:
            try:
                outcome.append(work())
            except BaseException as exc:  # noqa: BLE001 (boundary: it is raised where the outcome is awaited)
                failure.append(exc)
            with suppress(RuntimeError):  # the event loop has ended without waiting for it
                self._call_soon(done.set)

        self._jobs.put(job)
        await done.wait()
        for exc in failure:
            raise exc
        return outcome[0]

    def _work(self) -> None:
        for job in iter(self._jobs.get, None):
            job()


class SqliteStore:
    """Implements `ostler.engine.protocols.Store` in one SQLite file (WAL, synchronous=FULL).

    Use `async with SqliteStore.open(path) as store:`. Commits that are asked for at the same time share one
    transaction and one disk write; a commit that contradicts what is stored fails alone. All methods belong to the
    event loop in which the store was opened.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, writes: Writes, last_cursor: int) -> None:
        """Use `open`; this takes over an opened database."""
        self._path = path
        self._connection = connection
        self._writes = writes
        self._same_files = SameFiles(path)
        self._reserve = Reserve(path)
        self._reserve_due = 0.0
        """When it is taken again, as it was used or there was not enough room for it; 0: it is taken."""
        self._thread = _Thread("ostler-sqlite")
        self._reading = anyio.CapacityLimiter(1)
        is_alone = connection.execute("PRAGMA locking_mode").fetchone()[0] == "exclusive"
        self._reader: sqlite3.Connection | None = connection if is_alone else None
        """Opened when it is first used; the writer's own where that lets no other connection in."""
        self._queue = CommitQueue(repr(str(path)), self._write, last_cursor)

    def __repr__(self) -> str:
        return f"<SqliteStore {str(self._path)!r}{' closed' if self._queue.is_closing else ''}>"

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path, *, retention: Retention | None = None) -> AsyncGenerator[Self]:
        """Open or create the database at `path`; close it, after writing what was accepted, at the end of the block.

        Args:
            path: the file; it gets mode 0600, and a missing folder 0700.
            retention: how much history to keep.

        Raises:
            StoreCorruptError: it is damaged or no database of Ostler; it was left untouched.
            StoreNewerError: a newer Ostler wrote it; it was left untouched.
            StoreError: it cannot be created, read or written.
        """
        self = await anyio.to_thread.run_sync(cls._opened, path, retention or Retention())
        async with self._queue.served(self._work):
            yield self

    @classmethod
    def _opened(cls, path: Path, retention: Retention) -> Self:
        connection = open_database(path)
        writes = Writes(connection, retention)
        try:
            self = cls(path, connection, writes, writes.begin())
        except sqlite3.Error as exc:
            connection.close()
            raise translate(exc, path, "written") from exc
        if not self._reserve.hold():
            self._reserve_due = time.monotonic() + _RESERVE_PAUSE
        return self

    async def load(self) -> StoredState:
        """Return what is stored: services by name, open operations and events oldest first.

        After a crash `last_cursor` may lie above the newest event: cursors given out shortly before are not reused.

        Raises:
            StoreError: it cannot be read; nothing was changed.
        """
        return await self._read(self._load)

    async def commit(self, changes: Sequence[Change]) -> None:
        """Make `changes` durable, atomically, in the order of the calls.

        Cancelled before its turn, nothing is written; cancelled during the disk write, all of it may be.

        Raises:
            StoreError: disk full, read-only or closed, two services would have one name, or a value is not JSON;
                nothing was written.
        """
        await self._queue.commit(changes)

    def append_events(self, events: Sequence[Event]) -> None:
        """Queue `events`; they are written with the next commit, or within about 0.1 s. Never blocks.

        While the disk refuses, the newest are kept in memory and tried again.

        Raises:
            StoreError: an event's data is not JSON.
        """
        self._queue.append_events(events)

    async def operations(self, service_id: str, *, limit: int = 20) -> Sequence[OperationRecord]:
        """Return the newest operations of a service, newest first.

        Raises:
            StoreError: they cannot be read.
        """
        limiter = None if self._reader is self._connection else self._reading
        return await self._read(lambda: self._operations(service_id, limit), limiter=limiter)

    async def find_request(self, service_name: str, key: str) -> OperationRecord | None:
        """Return the newest operation of a service of this name, gone or not, that answers the idempotency key.

        Raises:
            StoreError: they cannot be read.
        """
        return await self._read(lambda: self._find_request(service_name, key))

    def continue_from(self, cursor: int) -> None:
        """Let events continue after `cursor`."""
        self._queue.last_cursor = max(self._queue.last_cursor, cursor)

    def export(self) -> AsyncIterator[JsonObject]:
        """Yield everything as of now: `{"type": "header" | "service" | "operation" | "event", ...}`, one per JSON line.

        Raises:
            StoreError: the file cannot be read.
        """
        return export_database(self._path)

    # -- in the reading thread -----------------------------------------------------------------------------

    def _operations(self, service_id: str, limit: int) -> Sequence[OperationRecord]:
        if self._reader is None:
            self._reader = connect_reader(self._path)
        rows = self._reader.execute(
            "SELECT record FROM operations WHERE service_id = ? ORDER BY seq DESC LIMIT ?", (service_id, limit)
        )
        return [OPERATION.read(text) for (text,) in rows]

    def _close_reader(self) -> None:
        if self._reader is not None and self._reader is not self._connection:
            self._reader.close()

    # -- in the worker thread ------------------------------------------------------------------------------

    def _load(self) -> StoredState:
        run = self._connection.execute
        return StoredState(
            services=[SERVICE.read_as(*row) for row in run("SELECT name, record FROM services ORDER BY name")],
            open_operations=[
                OPERATION.read(text)
                for (text,) in run("SELECT record FROM operations WHERE outcome IS NULL ORDER BY seq")
            ],
            last_cursor=self._queue.last_cursor,
            events=[EVENT.read(text) for (text,) in run("SELECT record FROM events ORDER BY cursor")],
        )

    def _find_request(self, service_name: str, key: str) -> OperationRecord | None:
        rows = self._connection.execute(FIND_REQUEST, (column(service_name), column(key)))
        records = (OPERATION.read(text) for (text,) in rows)
        return next((record for record in records if key in record.requests), None)

    # -- the writer task -----------------------------------------------------------------------------------

    async def _read(self, read: Callable[[], _T], *, limiter: anyio.CapacityLimiter | None = None) -> _T:
        self._queue.check_open()
        try:
            if limiter is not None:
                return await anyio.to_thread.run_sync(read, limiter=limiter)
            return await self._thread.run(read)
        except sqlite3.Error as exc:
            raise translate(exc, self._path, "read") from exc

    async def _work(self) -> None:
        """Write what is asked for until the store is closed; then close the file."""
        with self._thread:
            await self._queue.run(self._finish)

    async def _write(self, commits: Sequence[CommitWrite], events: Sequence[EventWrite]) -> Written:
        try:
            refused = await self._thread.run(partial(self._write_now, commits, events))
        except (OSError, sqlite3.Error, StoreError) as exc:
            rescued, errors = await self._use_reserve(commits, exc)
            errors |= {index: self._fault(exc) for index in range(len(commits)) if index not in rescued}
            return Written(errors, self._fault(exc))
        return Written({index: refusal.error() for index, refusal in refused.items()})

    def _write_now(self, commits: Sequence[CommitWrite], events: Sequence[EventWrite]) -> dict[int, Refusal]:
        self._same_files.check()
        if (events or not all(commit.may_use_reserve for commit in commits)) and self._reserve.is_scarce():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        refused = self._writes.write(commits, events)
        if self._reserve_due and time.monotonic() > self._reserve_due:
            self._reserve_due = 0.0 if self._reserve.hold() else time.monotonic() + _RESERVE_PAUSE
        return refused

    async def _use_reserve(
        self, commits: Sequence[CommitWrite], exc: Exception
    ) -> tuple[Sequence[int], dict[int, StoreError]]:
        """On a full disk, write what the reserve is for; return the commits that it settled, and the refused ones."""
        chosen = [index for index, commit in enumerate(commits) if commit.may_use_reserve]
        if not chosen or not lacks_room(exc):
            return (), {}
        if not self._reserve_due:
            logger.warning(
                "the disk of %s is full: stops and deletes are recorded in the room kept for them", self._path
            )
        self._reserve_due = time.monotonic() + _RESERVE_PAUSE
        writes = [commits[index] for index in chosen]
        while True:
            try:
                refused = await self._thread.run(partial(self._write_now, writes, ()))
            except (sqlite3.Error, StoreError) as again:
                if lacks_room(again) and await self._thread.run(self._reserve.release):
                    continue
                return (), {}
            return chosen, {chosen[index]: refusal.error() for index, refusal in refused.items()}

    def _fault(self, exc: OSError | sqlite3.Error | StoreError) -> StoreError:
        fault = exc.fresh() if isinstance(exc, StoreError) else translate(exc, self._path, "written")
        fault.__cause__ = exc
        return fault

    async def _finish(self) -> None:
        # First, for the connection that is closed last empties the log; after the reads that were accepted.
        await anyio.to_thread.run_sync(self._close_reader, limiter=self._reading, abandon_on_cancel=True)
        await self._thread.run(self._finish_now)

    def _finish_now(self) -> None:
        try:
            self._writes.finish(self._queue.last_cursor)
        except sqlite3.Error as exc:
            logger.warning("%s", translate(exc, self._path, "written"))
        finally:
            self._reserve.keep()
            self._connection.close()
