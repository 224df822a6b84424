"""The writing half of the PostgreSQL store: batches of commits in one transaction and one round trip each."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, Final, LiteralString

from psycopg import errors
from psycopg.pq import TransactionStatus

from ostler.adapters.stores.commit_queue import Refusal
from ostler.adapters.stores.leftovers import drivers_of
from ostler.adapters.stores.postgresql_schema import Connection
from ostler.adapters.stores.retention import Retention
from ostler.adapters.stores.rows import CURSOR_RESERVE, CommitWrite, EventWrite, Row, RowSort

_PUT_SERVICE: Final = """
INSERT INTO services (id, name, class_name, state, desired, updated_at, record, drivers)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, class_name = excluded.class_name, state = excluded.state,
    desired = excluded.desired, updated_at = excluded.updated_at, record = excluded.record, drivers = excluded.drivers
"""
_PUT_OPERATION: Final = """
INSERT INTO operations (id, service_id, service_name, kind, started_at, finished_at, outcome, record)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (id) DO UPDATE SET service_id = excluded.service_id, service_name = excluded.service_name,
    kind = excluded.kind, started_at = excluded.started_at, finished_at = excluded.finished_at,
    outcome = excluded.outcome, record = excluded.record
"""
_PUT_REQUEST: Final = """
INSERT INTO requests (service_name, key, operation) SELECT service_name, %s, seq FROM operations WHERE id = %s
ON CONFLICT DO NOTHING
"""
_STATEMENTS: Final[dict[RowSort, LiteralString]] = {
    RowSort.PUT_SERVICE: _PUT_SERVICE,
    RowSort.DROP_SERVICE: "DELETE FROM services WHERE id = %s",
    RowSort.PUT_OPERATION: _PUT_OPERATION,
    RowSort.PUT_REQUEST: _PUT_REQUEST,
}
PUT_EVENT: Final = """
INSERT INTO events (cursor, at, kind, service, record) VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""
_TRIM_SERVICE_OPERATIONS: Final = """
DELETE FROM operations USING unnest(%s::text[]) AS of_service (id)
WHERE operations.service_id = of_service.id AND operations.outcome IS NOT NULL AND operations.seq <= (
    SELECT older.seq FROM operations AS older WHERE older.service_id = of_service.id AND older.outcome IS NOT NULL
    ORDER BY older.seq DESC LIMIT 1 OFFSET %s)
"""
_TRIM_OPERATIONS: Final = """
DELETE FROM operations WHERE outcome IS NOT NULL AND seq <=
    (SELECT seq FROM operations WHERE outcome IS NOT NULL ORDER BY seq DESC LIMIT 1 OFFSET %s)
"""
_TRIM_SERVICE_EVENTS: Final = """
DELETE FROM events USING unnest(%s::text[]) AS of_service (name)
WHERE events.service = of_service.name AND events.cursor <= (
    SELECT older.cursor FROM events AS older WHERE older.service = of_service.name
    ORDER BY older.cursor DESC LIMIT 1 OFFSET %s)
"""
_TRIM_EVENTS: Final = """
DELETE FROM events WHERE cursor <= (SELECT cursor FROM events ORDER BY cursor DESC LIMIT 1 OFFSET %s)
"""


class Writes:
    """Executes batches and keeps history within its bounds. `known` has the ids of the services that are stored."""

    def __init__(self, retention: Retention) -> None:
        self._retention = retention
        self._reserved = 0
        self._operations_put = 0
        self._events_put = 0
        self.known: set[str] = set()

    async def begin(self, connection: Connection) -> int:
        """Reserve event cursors for this run, trim to the bounds, and return the highest cursor ever given out.

        Raises:
            psycopg.Error: the database cannot be written.
        """
        async with connection.transaction():
            row = await (await connection.execute("SELECT cursor FROM marks FOR UPDATE")).fetchone()
            assert row is not None
            await self._reserve(connection, row[0])
            found = await connection.execute("SELECT DISTINCT service FROM events WHERE service <> ''")
            await self._trim_events(connection, [row[0] for row in await found.fetchall()], now=True)
            await self._trim_operations(connection, [], now=True)
            stored = await connection.execute("SELECT id FROM services")
            self.known = {row[0] for row in await stored.fetchall()}
        return row[0]

    async def write(
        self,
        connection: Connection,
        commits: Sequence[CommitWrite],
        events: Sequence[EventWrite],
        *,
        epoch: int,
        number: int,
    ) -> dict[int, Refusal]:
        """Execute `commits` and `events` in one durable transaction, as batch `number` of holder `epoch`.

        A commit that contradicts what is stored is undone alone.

        Returns:
            The commits that were undone, by their index; all others are durable.

        Raises:
            psycopg.Error: nothing was written, unless the connection was lost meanwhile.
        """
        try:
            async with connection.pipeline():
                await self._begin_batch(connection, epoch, number)
                for commit in commits:
                    for row in commit.rows:
                        await _execute(connection, row)
                await self._end_batch(connection, commits, events)
            refused: dict[int, Refusal] = {}
        except errors.UniqueViolation:
            await _roll_back(connection)
            refused = await self._write_one_by_one(connection, commits, events, epoch=epoch, number=number)
        except BaseException:
            await _roll_back(connection)
            raise
        self.note(commit for index, commit in enumerate(commits) if index not in refused)
        return refused

    async def _write_one_by_one(
        self,
        connection: Connection,
        commits: Sequence[CommitWrite],
        events: Sequence[EventWrite],
        *,
        epoch: int,
        number: int,
    ) -> dict[int, Refusal]:
        refused: dict[int, Refusal] = {}
        try:
            await self._begin_batch(connection, epoch, number)
            for index, commit in enumerate(commits):
                await connection.execute("SAVEPOINT one_commit")
                for row in commit.rows:
                    try:
                        await _execute(connection, row)
                    except errors.UniqueViolation as exc:
                        await connection.execute("ROLLBACK TO one_commit")
                        refused[index] = Refusal(row.name, exc)
                        break
                await connection.execute("RELEASE one_commit")
            kept = [commit for index, commit in enumerate(commits) if index not in refused]
            await self._end_batch(connection, kept, events)
        except BaseException:
            await _roll_back(connection)
            raise
        return refused

    async def _begin_batch(self, connection: Connection, epoch: int, number: int) -> None:
        await connection.execute("BEGIN")
        await connection.execute("SELECT begin_batch(%s, %s)", (epoch, number))

    async def _end_batch(
        self, connection: Connection, commits: Sequence[CommitWrite], events: Sequence[EventWrite]
    ) -> None:
        for event in events:
            await connection.execute(PUT_EVENT, _plain(event.values))
        if events:
            newest = max(event.cursor for event in events)
            if newest + CURSOR_RESERVE // 2 > self._reserved:
                await self._reserve(connection, newest)
            self._events_put += len(events)
            await self._trim_events(connection, sorted({event.service for event in events} - {""}))
        services = sorted(frozenset[str]().union(*(commit.operations_of for commit in commits)))
        if services:
            self._operations_put += len(services)
            await self._trim_operations(connection, services)
        await connection.execute("COMMIT")

    async def _trim_operations(self, connection: Connection, services: list[str], *, now: bool = False) -> None:
        if services:
            keep = self._retention.operations_per_service
            await connection.execute(_TRIM_SERVICE_OPERATIONS, (services, keep))
        # Finding the oldest of all walks over the whole history: once in a while is enough.
        if now or self._operations_put * 50 >= self._retention.operations:
            await connection.execute(_TRIM_OPERATIONS, (self._retention.operations,))
            self._operations_put = 0

    async def _trim_events(self, connection: Connection, services: list[str], *, now: bool = False) -> None:
        if services:
            await connection.execute(_TRIM_SERVICE_EVENTS, (services, self._retention.events_per_service))
        if now or self._events_put * 50 >= self._retention.events:
            await connection.execute(_TRIM_EVENTS, (self._retention.events,))
            self._events_put = 0

    async def _reserve(self, connection: Connection, cursor: int) -> None:
        await connection.execute("UPDATE marks SET cursor = %s", (cursor + CURSOR_RESERVE,))
        self._reserved = cursor + CURSOR_RESERVE

    def forget_reserve(self) -> None:
        """Reserve event cursors again with the next events: how much of the last batch was written is not known."""
        self._reserved = 0

    def note(self, commits: Iterable[CommitWrite]) -> None:
        """Note which services are stored, now that `commits` are durable."""
        for commit in commits:
            for row in commit.rows:
                if row.sort is RowSort.PUT_SERVICE:
                    self.known.add(row.values[0])
                elif row.sort is RowSort.DROP_SERVICE:
                    self.known.discard(row.values[0])


def request_digest(key: str) -> str:
    """Return what an idempotency key, as a column has it, is stored and looked up as."""
    return hashlib.sha256(key.encode()).hexdigest()


async def _execute(connection: Connection, row: Row) -> None:
    values = row.values
    if row.sort is RowSort.PUT_REQUEST:
        values = (request_digest(values[0]), *values[1:])
    elif row.record is not None:
        values = (*values, " ".join(drivers_of(row.record)))
    await connection.execute(_STATEMENTS[row.sort], _plain(values))


def _plain(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return `values` as PostgreSQL can store them: its texts have no zero character; records write it as an escape."""
    return tuple(value.replace("\0", "\\0") if isinstance(value, str) else value for value in values)


async def _roll_back(connection: Connection) -> None:
    if not connection.closed and connection.info.transaction_status is not TransactionStatus.IDLE:
        await connection.rollback()
