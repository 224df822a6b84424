"""The writing half of the SQLite store: batches of commits in one transaction each.

Everything in `Writes` runs in the store's one worker thread, on its one connection. When a statement has ended, the
thread waits for the interpreter, which a busy event loop keeps for milliseconds: with a statement for each row, little
of a batch was written while the loop had work, and the loop then waited for the rest. So many commits are inserted into
a view at once, as JSON, and a trigger puts them where they belong: 32 clients create and delete 10 % more services. The
rows of few commits are put one by one, which takes 40 µs less where no one waits.
"""

import sqlite3
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeAlias

from msgspec.json import Encoder

from ostler.adapters.stores.commit_queue import Refusal
from ostler.adapters.stores.retention import Retention
from ostler.adapters.stores.rows import CURSOR_RESERVE, CommitWrite, EventWrite, RowSort
from ostler.adapters.stores.sqlite_faults import is_constraint

_MANY: Final = 3
"""Commits that are put at once."""

_Rows: TypeAlias = Mapping[RowSort, Sequence[tuple[Any, ...]]]

_ENCODE: Final = Encoder().encode

_TO_SERVICES = "INSERT INTO services (id, name, class_name, state, desired, updated_at, record)"
_SERVICE_AGAIN = """
ON CONFLICT (id) DO UPDATE SET name = excluded.name, class_name = excluded.class_name, state = excluded.state,
    desired = excluded.desired, updated_at = excluded.updated_at, record = excluded.record
"""
_TO_OPERATIONS = "INSERT INTO operations (id, service_id, service_name, kind, started_at, finished_at, outcome, record)"
_OPERATION_AGAIN = """
ON CONFLICT (id) DO UPDATE SET service_id = excluded.service_id, service_name = excluded.service_name,
    kind = excluded.kind, started_at = excluded.started_at, finished_at = excluded.finished_at,
    outcome = excluded.outcome, record = excluded.record
"""
_PUT_SERVICE = f"{_TO_SERVICES} VALUES (?, ?, ?, ?, ?, ?, ?) {_SERVICE_AGAIN}"
_DROP_SERVICE = "DELETE FROM services WHERE id = ?"
_PUT_OPERATION = f"{_TO_OPERATIONS} VALUES (?, ?, ?, ?, ?, ?, ?, ?) {_OPERATION_AGAIN}"
_PUT_REQUEST = """
INSERT OR IGNORE INTO requests (service_name, key, operation)
    SELECT service_name, ?, seq FROM operations WHERE id = ?
"""
_PUT_EVENT = "INSERT OR IGNORE INTO events (cursor, at, kind, service, record) VALUES (?, ?, ?, ?, ?)"
_TRIM_OPERATIONS = """
DELETE FROM operations WHERE outcome IS NOT NULL AND seq <=
    (SELECT seq FROM operations WHERE outcome IS NOT NULL ORDER BY seq DESC LIMIT 1 OFFSET ?)
"""


def _trim_events_of(services: str, keep: str) -> str:
    """Return the statement that keeps the newest `keep` events of each of `services`, a table of names (`value`)."""
    return f"""
DELETE FROM events WHERE cursor IN (
    SELECT old.cursor FROM {services} AS noisy CROSS JOIN events AS old ON old.service = noisy.value AND old.cursor <= (
        SELECT cursor FROM events WHERE service = noisy.value ORDER BY cursor DESC LIMIT 1 OFFSET {keep}))
"""  # noqa: S608 (texts of this module alone are put in)


def _trim_operations_of(services: str, keep: str) -> str:
    """Return the statement that keeps the newest `keep` ended operations of each of `services`, a table of ids."""
    return f"""
DELETE FROM operations WHERE seq IN (
    SELECT old.seq FROM {services} AS ended CROSS JOIN operations AS old
    ON old.service_id = ended.value AND old.outcome IS NOT NULL AND old.seq <= (
        SELECT seq FROM operations WHERE service_id = ended.value AND outcome IS NOT NULL
        ORDER BY seq DESC LIMIT 1 OFFSET {keep}))
"""  # noqa: S608 (texts of this module alone are put in)


def _drop_oldest_events(count: str) -> str:
    """Return the statement that deletes the oldest `count` events."""
    return f"DELETE FROM events WHERE cursor IN (SELECT cursor FROM events ORDER BY cursor LIMIT {count})"  # noqa: S608


_ONE = "(SELECT ? AS value)"
_TRIM_SERVICE_EVENTS = _trim_events_of(_ONE, "?")
_TRIM_SERVICE_OPERATIONS = _trim_operations_of(_ONE, "?")
_DROP_OLDEST_EVENTS = _drop_oldest_events("?")

_STATEMENTS = {
    RowSort.PUT_SERVICE: _PUT_SERVICE,
    RowSort.DROP_SERVICE: _DROP_SERVICE,
    RowSort.PUT_OPERATION: _PUT_OPERATION,
    RowSort.PUT_REQUEST: _PUT_REQUEST,
}
_PUT_BATCH = "INSERT INTO batch VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


def _fields(count: int) -> str:
    """Return the fields of a row of `json_each`, which is an array."""
    return ", ".join(f"json_extract(value, '$[{index}]')" for index in range(count))


def _view(retention: Retention) -> Sequence[str]:
    """Return what makes the view `batch` for one connection.

    Its columns are arrays as JSON (ids of services that are dropped; rows of services, operations, requests and events;
    names of services whose events grew; ids of services whose operations ended) and how many events there are. The
    trigger leaves in `held` how many there are then.
    """
    return (
        "CREATE TEMP TABLE held (events INTEGER NOT NULL)",
        "INSERT INTO held VALUES (0)",
        """
        CREATE TEMP VIEW batch AS SELECT NULL AS dropped, NULL AS services, NULL AS operations, NULL AS requests,
            NULL AS events, NULL AS noisy, NULL AS ended, NULL AS held
        """,
        f"""
        CREATE TEMP TRIGGER put_batch INSTEAD OF INSERT ON batch BEGIN
            DELETE FROM services WHERE id IN (SELECT value FROM json_each(NEW.dropped));
            {_TO_SERVICES} SELECT {_fields(7)} FROM json_each(NEW.services) WHERE true {_SERVICE_AGAIN};
            {_TO_OPERATIONS} SELECT {_fields(8)} FROM json_each(NEW.operations) WHERE true {_OPERATION_AGAIN};
            INSERT OR IGNORE INTO requests (service_name, key, operation)
                SELECT operations.service_name, json_extract(value, '$[0]'), operations.seq
                FROM json_each(NEW.requests) CROSS JOIN operations ON operations.id = json_extract(value, '$[1]');
            {_trim_operations_of("json_each(NEW.ended)", f"{retention.operations_per_service}")};

            INSERT OR IGNORE INTO events (cursor, at, kind, service, record)
                SELECT {_fields(5)} FROM json_each(NEW.events);
            UPDATE held SET events = NEW.held + changes();
            {_trim_events_of("json_each(NEW.noisy)", f"{retention.events_per_service}")};
            UPDATE held SET events = events - changes();
            {_drop_oldest_events(f"max(0, (SELECT events FROM held) - {retention.events})")};
            UPDATE held SET events = events - changes();
        END
        """,  # noqa: S608 (numbers and the texts above alone are put in)
    )


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
        for statement in _view(self._retention):
            connection.execute(statement)
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
        if len(commits) >= _MANY and (rows := _rows_at_once(commits)) is not None:
            ended = _services_of(commits)
            if not (self._needs_mark(events) or self._trims_all_with(ended)):
                self._put_at_once(rows, events, ended)
                return
        with self._transaction():
            for commit in commits:
                for row in commit.rows:
                    self._connection.execute(_STATEMENTS[row.sort], row.values)
            self._finish_batch(commits, events)

    def _put_at_once(self, rows: _Rows, events: Sequence[EventWrite], ended: frozenset[str]) -> None:
        dropped = [service_id for (service_id,) in rows.get(RowSort.DROP_SERVICE, ())]
        put = [rows.get(sort, ()) for sort in (RowSort.PUT_SERVICE, RowSort.PUT_OPERATION, RowSort.PUT_REQUEST)]
        noisy = [*({event.service for event in events} - {""})]
        arrays = (dropped, *put, [event.values for event in events], noisy, [*ended])
        texts = [_ENCODE(values).decode() if values else "[]" for values in arrays]
        self._connection.execute(_PUT_BATCH, (*texts, self._event_count))
        self._event_count = self._connection.execute("SELECT events FROM held").fetchone()[0]
        self._operations_put += len(ended)

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
        if ended := _services_of(commits):
            self._trim_operations(ended)

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
        if self._needs_mark(events):
            self._reserve(max(event.cursor for event in events))

    def _needs_mark(self, events: Sequence[EventWrite]) -> bool:
        return any(event.cursor + CURSOR_RESERVE // 2 > self._reserved for event in events)

    def _trim_events(self, services: set[str]) -> None:
        keep = self._retention.events_per_service
        for service in services - {""}:
            self._event_count -= self._connection.execute(_TRIM_SERVICE_EVENTS, (service, keep)).rowcount
        excess = self._event_count - self._retention.events
        if excess > 0:
            self._event_count -= self._connection.execute(_DROP_OLDEST_EVENTS, (excess,)).rowcount

    def _trim_operations(self, service_ids: frozenset[str], *, now: bool = False) -> None:
        keep = self._retention.operations_per_service
        for service_id in service_ids:
            self._connection.execute(_TRIM_SERVICE_OPERATIONS, (service_id, keep))
        if now or self._trims_all_with(service_ids):
            self._connection.execute(_TRIM_OPERATIONS, (self._retention.operations,))
            self._operations_put = 0
        else:
            self._operations_put += len(service_ids)

    def _trims_all_with(self, service_ids: frozenset[str]) -> bool:
        """Whether the oldest operations of all are looked for: that walks over the whole history."""
        return (self._operations_put + len(service_ids)) * 50 >= self._retention.operations

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


def _services_of(commits: Sequence[CommitWrite]) -> frozenset[str]:
    """Return the services whose history of operations grew."""
    return frozenset[str]().union(*(commit.operations_of for commit in commits))


def _rows_at_once(commits: Sequence[CommitWrite]) -> _Rows | None:
    """Return the rows of `commits` by their sort; None if their order matters, or SQLite's JSON cannot hold them."""
    rows: dict[RowSort, list[tuple[Any, ...]]] = {}
    for commit in commits:
        for row in commit.rows:
            if any("\0" in value for value in row.values if value):  # a text ends there
                return None
            rows.setdefault(row.sort, []).append(row.values)
    dropped = {service_id for (service_id,) in rows.get(RowSort.DROP_SERVICE, ())}
    return rows if dropped.isdisjoint(values[0] for values in rows.get(RowSort.PUT_SERVICE, ())) else None
