"""The SQLite store: one file in the state folder, one connection, one writer task with group commit."""

import logging
import sqlite3
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread

from ostler.adapters.stores.memory import duplicate_name
from ostler.adapters.stores.records_json import EVENT, OPERATION, SERVICE
from ostler.adapters.stores.retention import Retention
from ostler.adapters.stores.sqlite_copies import check_database, copy_database, export_database
from ostler.adapters.stores.sqlite_faults import primary_code, translate
from ostler.adapters.stores.sqlite_guard import Reserve, SameFiles
from ostler.adapters.stores.sqlite_schema import open_database
from ostler.adapters.stores.sqlite_writes import (
    CommitWrite,
    EventWrite,
    Refusal,
    Writes,
    column,
    encode_commit,
    encode_event,
)
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

_MAX_BATCH = 256
"""Commits in one transaction."""

_EVENT_DELAY = 0.1
"""Seconds that events wait for a commit to carry them before they are written on their own."""

_EVENT_RETRY_DELAY = 1.0
"""Seconds between attempts to write events alone while the disk refuses."""

_RESERVE_PAUSE = 10.0
"""Seconds after which the room on the disk that was given up is taken again, where there is enough."""

_CLOSE_GRACE = 10.0
"""Seconds to write what was accepted when the store is closed; a disk that hangs longer is abandoned."""


@dataclass(eq=False, slots=True)
class _Pending:
    """A commit that waits for its durability."""

    write: CommitWrite
    done: anyio.Event = field(default_factory=anyio.Event)
    error: StoreError | None = None


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
        self._thread = anyio.CapacityLimiter(1)
        self._queue: deque[_Pending] = deque()
        self._events: deque[EventWrite] = deque()
        self._max_queued_events = 10_000
        self._events_due = 0.0
        self._events_failing = False
        self._last_cursor = last_cursor
        self._wake = anyio.Event()
        self._closing = False

    def __repr__(self) -> str:
        return f"<SqliteStore {str(self._path)!r}{' closed' if self._closing else ''}>"

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
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            writer = anyio.CancelScope(shield=True)
            tasks.start_soon(self._write_until_closed, writer)
            try:
                yield self
            except Exception as exc:  # noqa: BLE001 (boundary: the block's error leaves as itself, not in the task group's)
                failure = exc
            finally:
                self._closing = True
                self._wake.set()
                # The writer is shielded, so that accepted commits survive a cancellation; this bounds it.
                writer.deadline = anyio.current_time() + _CLOSE_GRACE
        if failure is not None:
            raise failure

    @classmethod
    def _opened(cls, path: Path, retention: Retention) -> Self:
        connection = open_database(path)
        writes = Writes(connection, retention)
        try:
            self = cls(path, connection, writes, writes.begin())
        except sqlite3.Error as exc:
            connection.close()
            raise translate(exc, path, "written") from exc
        self._reserve.hold()
        return self

    @property
    def path(self) -> Path:
        """The database's file."""
        return self._path

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
        await anyio.lowlevel.checkpoint_if_cancelled()
        if self._closing:
            raise self._closed_error()
        pending = _Pending(encode_commit(changes))
        self._queue.append(pending)
        self._wake.set()
        try:
            await pending.done.wait()
        except BaseException:
            if pending in self._queue:
                self._queue.remove(pending)
            raise
        if pending.error is not None:
            raise pending.error

    def append_events(self, events: Sequence[Event]) -> None:
        """Queue `events`; they are written with the next commit, or within about 0.1 s. Never blocks.

        While the disk refuses, the newest are kept in memory and tried again.

        Raises:
            StoreError: an event's data is not JSON.
        """
        for event in events:
            self._last_cursor = max(self._last_cursor, event.cursor)
            if not self._events:
                self._events_due = anyio.current_time() + _EVENT_DELAY
                self._wake.set()
            self._events.append(encode_event(event))
        while len(self._events) > self._max_queued_events:
            self._events.popleft()

    async def operations(self, service_id: str, *, limit: int = 20) -> Sequence[OperationRecord]:
        """Return the newest operations of a service, newest first.

        Raises:
            StoreError: they cannot be read.
        """
        return await self._read(lambda: self._operations(service_id, limit))

    async def find_request(self, service_name: str, key: str) -> OperationRecord | None:
        """Return the newest operation of a service of this name, gone or not, that answers the idempotency key.

        Raises:
            StoreError: they cannot be read.
        """
        return await self._read(lambda: self._find_request(service_name, key))

    async def quick_check(self) -> Sequence[str]:
        """Return what SQLite's integrity check finds wrong, nothing when the file is sound.

        Raises:
            StoreError: the file cannot be read.
        """
        return await anyio.to_thread.run_sync(check_database, self._path)

    async def backup(self, to: Path) -> None:
        """Write a consistent copy of the database to the new file `to` (mode 0600); commits go on meanwhile.

        Raises:
            AlreadyExistsError: `to` exists.
            StoreError: the copy cannot be made; nothing is left at `to`.
        """
        await anyio.to_thread.run_sync(copy_database, self._path, to)

    def export(self) -> AsyncIterator[JsonObject]:
        """Yield everything as of now: `{"type": "header" | "service" | "operation" | "event", ...}`, one per JSON line.

        Raises:
            StoreError: the file cannot be read.
        """
        return export_database(self._path)

    # -- in the worker thread ------------------------------------------------------------------------------

    def _load(self) -> StoredState:
        run = self._connection.execute
        return StoredState(
            services=[SERVICE.read(text) for (text,) in run("SELECT record FROM services ORDER BY name")],
            open_operations=[
                OPERATION.read(text)
                for (text,) in run("SELECT record FROM operations WHERE outcome IS NULL ORDER BY seq")
            ],
            last_cursor=self._last_cursor,
            events=[EVENT.read(text) for (text,) in run("SELECT record FROM events ORDER BY cursor")],
        )

    def _operations(self, service_id: str, limit: int) -> Sequence[OperationRecord]:
        rows = self._connection.execute(
            "SELECT record FROM operations WHERE service_id = ? ORDER BY seq DESC LIMIT ?", (service_id, limit)
        )
        return [OPERATION.read(text) for (text,) in rows]

    def _find_request(self, service_name: str, key: str) -> OperationRecord | None:
        rows = self._connection.execute(FIND_REQUEST, (column(service_name), column(key)))
        records = (OPERATION.read(text) for (text,) in rows)
        return next((record for record in records if key in record.requests), None)

    # -- the writer task -----------------------------------------------------------------------------------

    async def _read(self, read: Callable[[], _T]) -> _T:
        if self._closing:
            raise self._closed_error()
        try:
            return await anyio.to_thread.run_sync(read, limiter=self._thread)
        except sqlite3.Error as exc:
            raise translate(exc, self._path, "read") from exc

    async def _write_until_closed(self, scope: anyio.CancelScope) -> None:
        """Write batches until the store is closing and everything accepted is written; then close the file."""
        try:
            with scope:
                while not self._closing or self._queue:
                    await self._wait_for_work()
                    await self._write_batch()
                await self._write_batch(last=True)
                await anyio.to_thread.run_sync(self._finish, limiter=self._thread, abandon_on_cancel=True)
        finally:
            self._closing = True
            self._fail_queued()
        if scope.cancelled_caught:
            logger.error("the database %r did not answer for %s s and was abandoned", str(self._path), _CLOSE_GRACE)

    async def _wait_for_work(self) -> None:
        while not self._queue and not self._closing:
            due = self._events_due if self._events else float("inf")
            if anyio.current_time() >= due:
                return
            with anyio.CancelScope(deadline=due):
                await self._wake.wait()
            self._wake = anyio.Event()

    async def _write_batch(self, *, last: bool = False) -> None:
        if self._events_failing and self._events and (last or anyio.current_time() >= self._events_due):
            # The disk refused them: they are tried alone, so that they cannot spoil a commit that would fit.
            await self._write([], self._take_events(), last=last)
        commits = [self._queue.popleft() for _ in range(min(len(self._queue), _MAX_BATCH))]
        events = [] if self._events_failing else self._take_events()
        if commits or events:
            await self._write(commits, events, last=last)

    def _take_events(self) -> list[EventWrite]:
        events = list(self._events)
        self._events.clear()
        return events

    async def _write(self, commits: Sequence[_Pending], events: Sequence[EventWrite], *, last: bool) -> None:
        try:
            refused = await anyio.to_thread.run_sync(
                self._write_now,
                [pending.write for pending in commits],
                events,
                limiter=self._thread,
                abandon_on_cancel=True,
            )
        except (sqlite3.Error, StoreError) as exc:
            rescued = await self._use_reserve(commits, exc)
            for pending in commits:
                if pending not in rescued:
                    pending.error = self._fault(exc)
                    pending.error.__cause__ = exc
            self._keep_unwritten(events, exc, last=last)
        except BaseException:
            # The store ends here (its grace is over, or a bug): no one may wait forever or believe it written.
            for pending in commits:
                pending.error = self._closed_error()
            raise
        else:
            self._events_failing = self._events_failing and not events
            _show_refusals(commits, refused)
        finally:
            for pending in commits:
                pending.done.set()

    def _write_now(self, commits: Sequence[CommitWrite], events: Sequence[EventWrite]) -> dict[int, Refusal]:
        self._same_files.check()
        refused = self._writes.write(commits, events)
        if self._reserve_due and time.monotonic() > self._reserve_due:
            self._reserve_due = 0.0
            self._reserve.hold()
        return refused

    async def _use_reserve(self, commits: Sequence[_Pending], exc: Exception) -> Sequence[_Pending]:
        """On a full disk, write what the reserve is for; return what was dealt with."""
        chosen = [pending for pending in commits if pending.write.may_use_reserve]
        is_full = isinstance(exc, sqlite3.Error) and primary_code(exc) == sqlite3.SQLITE_FULL
        if not (chosen and is_full and await anyio.to_thread.run_sync(self._reserve.release, limiter=self._thread)):
            return ()
        logger.warning("the disk of %r is full: stops and deletes are recorded in the room kept for them", self._path)
        self._reserve_due = time.monotonic() + _RESERVE_PAUSE
        writes = [pending.write for pending in chosen]
        try:
            refused = await anyio.to_thread.run_sync(self._write_now, writes, (), limiter=self._thread)
        except (sqlite3.Error, StoreError):
            return ()
        _show_refusals(chosen, refused)
        return chosen

    def _fault(self, exc: sqlite3.Error | StoreError) -> StoreError:
        return exc.fresh() if isinstance(exc, StoreError) else translate(exc, self._path, "written")

    def _keep_unwritten(self, events: Sequence[EventWrite], exc: sqlite3.Error | StoreError, *, last: bool) -> None:
        if not events:
            return
        if not self._events_failing or last:
            logger.warning("%s", self._fault(exc))
        self._events_failing = True
        self._events.extendleft(reversed(events))
        while len(self._events) > self._max_queued_events:
            self._events.popleft()
        self._events_due = anyio.current_time() + _EVENT_RETRY_DELAY

    def _finish(self) -> None:
        try:
            self._writes.finish(self._last_cursor)
        except sqlite3.Error as exc:
            logger.warning("%s", translate(exc, self._path, "written"))
        finally:
            self._connection.close()

    def _fail_queued(self) -> None:
        for pending in self._queue:
            pending.error = self._closed_error()
            pending.done.set()
        self._queue.clear()

    def _closed_error(self) -> StoreError:
        return StoreError(
            f"the database {str(self._path)!r} is closed; nothing was written",
            next_actions=("wait for the server to start again",),
        )


def _show_refusals(commits: Sequence[_Pending], refused: dict[int, Refusal]) -> None:
    for index, refusal in refused.items():
        pending = commits[index]
        pending.error = duplicate_name(refusal.name)
        pending.error.__cause__ = refusal.cause
