"""The writing half of the SQLite store: batches of commits in one transaction each.

Everything in `Writes` runs in the store's one worker thread, on its one connection.
"""

import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress

from ostler.adapters.stores.commit_queue import Refusal
from ostler.adapters.stores.retention import Retention
from ostler.adapters.stores.rows import CURSOR_RESERVE, CommitWrite, EventWrite, RowSort
from ostler.adapters.stores.sqlite_faults import is_constraint

_PUT_SERVICE = """
INSERT INTO services (id, name, class_name, state, desired, updated_at, record) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, class_name = excluded.class_name, state = excluded.state,
    desired = excluded.desired, updated_at = excluded.updated_at, record = excluded.record
"""
_DROP_SERVICE = "DELETE FROM services WHERE id = ?"
_PUT_OPERATION = """
INSERT INTO operations (id, service_id, service_name, kind, started_at, finished_at, outcome, record)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET service_id = excluded.service_id, service_name = excluded.service_name,
    kind = excluded.kind, started_at = excluded.started_at, finished_at = excluded.finished_at,
    outcome = excluded.outcome, record = excluded.record
"""
_PUT_REQUEST = """
INSERT OR IGNORE INTO requests (service_name, key, operation)
    SELECT service_name, ?, seq FROM operations WHERE id = ?
"""
_PUT_EVENT = "INSERT OR IGNORE INTO events (cursor, at, kind, service, record) VALUES (?, ?, ?, ?, ?)"
_TRIM_SERVICE_EVENTS = """
DELETE FROM events WHERE service = ?1 AND cursor <=
    (SELECT cursor FROM events WHERE service = ?1 ORDER BY cursor DESC LIMIT 1 OFFSET ?2)
"""
_TRIM_EVENTS = "DELETE FROM events WHERE cursor IN (SELECT cursor FROM events ORDER BY cursor LIMIT ?)"
_TRIM_SERVICE_OPERATIONS = """
DELETE FROM operations WHERE service_id = ?1 AND outcome IS NOT NULL AND seq <=
    (SELECT seq FROM operations WHERE service_id = ?1 AND outcome IS NOT NULL ORDER BY seq DESC LIMIT 1 OFFSET ?2)
"""
_TRIM_OPERATIONS = """
DELETE FROM operations WHERE outcome IS NOT NULL AND seq <=
    (SELECT seq FROM operations WHERE outcome IS NOT NULL ORDER BY seq DESC LIMIT 1 OFFSET ?)
"""

_STATEMENTS = {
    RowSort.PUT_SERVICE: _PUT_SERVICE,
    RowSort.DROP_SERVICE: _DROP_SERVICE,
    RowSort.PUT_OPERATION: _PUT_OPERATION,
    RowSort.PUT_REQUEST: _PUT_REQUEST,
}


class Writes:
    """Executes batches and keeps history within its bounds."""

    def __init__(self, connection: sqlite3.Connection, retention: Retention) -> None:
        self._connection = connection
        self._retention = retention
        self._reserved = 0
        self._event_count = 0
        self._operations_put = 0

    def begin(self) -> int:
        """Reserve event cursors for this run, trim to the bounds, and return the highest cursor ever given out.

        Raises:
            sqlite3.Error: the database cannot be written.
        """
        connection = self._connection
        last: int = connection.execute("SELECT cursor FROM marks").fetchone()[0]
        with self._transaction():
            self._reserve(last)
            services = {row[0] for row in connection.execute("SELECT DISTINCT service FROM events")}
            self._recount_events()
            self._trim_events(services)
            self._trim_operations(frozenset(), now=True)
        return last

    def finish(self, last_cursor: int) -> None:
        """Write the exact last cursor, so that the next run goes on from it without a gap.

        Raises:
            sqlite3.Error: the database cannot be written; the next run leaves a gap, and loses nothing.
        """
        self._connection.execute("UPDATE marks SET cursor = ?", (last_cursor,))

    def write(self, commits: Sequence[CommitWrite], events: Sequence[EventWrite]) -> dict[int, Refusal]:
        """Execute `commits` and `events` in one durable transaction.

        A commit that contradicts what is stored is undone alone.

        Returns:
            The commits that were undone, by their index; all others are durable.

        Raises:
            sqlite3.Error: nothing was written.
        """
        try:
            self._write(commits, events)
        except sqlite3.IntegrityError as exc:
            if not is_constraint(exc):
                raise
            return self._write_apart(commits, events)
        return {}

    def _write(self, commits: Sequence[CommitWrite], events: Sequence[EventWrite]) -> None:
        """Execute all in one transaction, or nothing.

        Raises:
            sqlite3.IntegrityError: one contradicts what is stored.
        """
        with self._transaction():
            for commit in commits:
                for row in commit.rows:
                    self._connection.execute(_STATEMENTS[row.sort], row.values)
            self._finish_batch(commits, events)

    def _write_apart(self, commits: Sequence[CommitWrite], events: Sequence[EventWrite]) -> dict[int, Refusal]:
        """Execute all in one transaction, and undo each commit that contradicts what is stored.

        Each statement hands the interpreter to the event loop and waits for it again, which a savepoint for each commit
        would cost twice; contradictions are rare.
        """
        with self._transaction():
            tried = ((index, self._execute_alone(commit)) for index, commit in enumerate(commits))
            refused = {index: refusal for index, refusal in tried if refusal is not None}
            self._finish_batch(commits, events)
        return refused

    @contextmanager
    def _transaction(self) -> Generator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def _finish_batch(self, commits: Sequence[CommitWrite], events: Sequence[EventWrite]) -> None:
        if events:
            self._insert_events(events)
        operations_of = frozenset[str]().union(*(commit.operations_of for commit in commits))
        if operations_of:
            self._trim_operations(operations_of)

    def _execute_alone(self, commit: CommitWrite) -> Refusal | None:
        connection = self._connection
        connection.execute("SAVEPOINT one_commit")
        for row in commit.rows:
            try:
                connection.execute(_STATEMENTS[row.sort], row.values)
            except sqlite3.IntegrityError as exc:
                if not (is_constraint(exc) and connection.in_transaction):
                    raise
                connection.execute("ROLLBACK TO one_commit")
                connection.execute("RELEASE one_commit")
                return Refusal(row.name, exc)
        connection.execute("RELEASE one_commit")
        return None

    def _insert_events(self, events: Sequence[EventWrite]) -> None:
        before = self._connection.total_changes
        self._connection.executemany(_PUT_EVENT, [event.values for event in events])
        self._event_count += self._connection.total_changes - before
        self._trim_events({event.service for event in events})
        newest = max(event.cursor for event in events)
        if newest + CURSOR_RESERVE // 2 > self._reserved:
            self._reserve(newest)

    def _trim_events(self, services: set[str]) -> None:
        keep = self._retention.events_per_service
        for service in services - {""}:
            self._event_count -= self._connection.execute(_TRIM_SERVICE_EVENTS, (service, keep)).rowcount
        excess = self._event_count - self._retention.events
        if excess > 0:
            self._event_count -= self._connection.execute(_TRIM_EVENTS, (excess,)).rowcount

    def _trim_operations(self, service_ids: frozenset[str], *, now: bool = False) -> None:
        keep = self._retention.operations_per_service
        for service_id in service_ids:
            self._connection.execute(_TRIM_SERVICE_OPERATIONS, (service_id, keep))
        # Finding the oldest of all walks over the whole history: once in a while is enough.
        self._operations_put += len(service_ids)
        if now or self._operations_put * 50 >= self._retention.operations:
            self._connection.execute(_TRIM_OPERATIONS, (self._retention.operations,))
            self._operations_put = 0

    def _reserve(self, cursor: int) -> None:
        self._connection.execute("UPDATE marks SET cursor = ?", (cursor + CURSOR_RESERVE,))
        self._reserved = cursor + CURSOR_RESERVE

    def _recount_events(self) -> None:
        self._event_count = self._connection.execute("SELECT count(*) FROM events").fetchone()[0]

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        # The counts in memory followed the transaction; if they cannot be read now, they are only bounds of history.
        with suppress(sqlite3.Error):
            self._recount_events()
            self._reserved = self._connection.execute("SELECT cursor FROM marks").fetchone()[0]
