"""The PostgreSQL store: one server at a time, group commit, and reconnecting when the database was away."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final, Self

import anyio
import psycopg

from ostler.adapters.stores.commit_queue import CommitQueue, Written
from ostler.adapters.stores.postgresql_copies import export_database, read_all
from ostler.adapters.stores.postgresql_faults import Address, is_loss, translate
from ostler.adapters.stores.postgresql_history import NEWEST_OPERATIONS
from ostler.adapters.stores.postgresql_hold import Hold, Holder, Timings
from ostler.adapters.stores.postgresql_link import Ends, Link, connect, open_ends
from ostler.adapters.stores.postgresql_schema import MIGRATIONS, Connection, migrate
from ostler.adapters.stores.postgresql_standby import Waiter
from ostler.adapters.stores.postgresql_writes import Writes, request_digest
from ostler.adapters.stores.records_json import OPERATION
from ostler.adapters.stores.retention import Retention
from ostler.adapters.stores.rows import CommitWrite, EventWrite, RowSort, column
from ostler.adapters.stores.standing_by import Standby
from ostler.engine.protocols import Change, StoredState
from ostler.model.errors import StoreError, StoreHeldError
from ostler.model.events import Event
from ostler.model.json import JsonObject
from ostler.model.records import OperationRecord

logger = logging.getLogger(__name__)

_FIND_REQUEST: Final = """
SELECT operations.record FROM requests JOIN operations ON operations.seq = requests.operation
WHERE requests.service_name = %s AND requests.key = %s ORDER BY requests.operation DESC
"""


class PostgresqlStore:
    """Implements `ostler.engine.protocols.Store` in the schema `ostler` of a PostgreSQL database.

    Use `async with PostgresqlStore.open(...) as store:`, on asyncio, as psycopg knows nothing else. Commits that are
    asked for at the same time share one transaction; a commit that contradicts what is stored fails alone. While the
    database is away, every commit fails at once.
    """

    def __init__(self, address: Address, hold: Hold, ends: Ends, writes: Writes, last_cursor: int) -> None:
        """Use `open`; this takes over opened connections."""
        self._address = address
        self._hold = hold
        self._writes = writes
        self._link = Link(address, hold, ends, self._undo_disowned)
        self._queue = CommitQueue(repr(str(address)), self._write, last_cursor)
        self._batch = 0
        self._disowned: tuple[int, frozenset[str]] = (0, frozenset())
        """The batch that was reported as not written though it may have been, and the services that it would create."""

    def __repr__(self) -> str:
        return f"<PostgresqlStore {self._address}{' closed' if self._queue.is_closing else ''}>"

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        url: str,
        holder: Holder,
        *,
        retention: Retention | None = None,
        standby: Standby | None = None,
        timings: Timings | None = None,
        is_local: Callable[[str], bool] | None = None,
    ) -> AsyncGenerator[Self]:
        """Hold the database at `url`, bring its tables to the newest version, and let go at the end of the block.

        Args:
            url: `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`.
            holder: who this is.
            retention: how much history to keep.
            standby: wait until no other server holds the database, and until it can be reached; it sees who does.
            timings: how patient to be.
            is_local: says of a downstream server's name that what it started is on its own machine alone; then a
                database that another node used last is refused while such services are stored.

        Raises:
            StoreHeldError: another server holds it.
            StoreCorruptError: the schema `ostler` is another program's; it was left untouched.
            StoreNewerError: a newer Ostler wrote it; it was left untouched.
            StoreError: it cannot be reached, read or written.
        """
        address = Address(url)
        hold = Hold(address, holder, timings, is_local)
        self: Self | None = None
        while self is None:
            if standby is not None:
                await Waiter(address, hold, standby).wait()
            with suppress(*((StoreHeldError,) if standby is not None else ())):  # another one that waited was quicker
                self = await cls._opened(address, hold, retention or Retention())
        async with self._queue.served(self._work):
            yield self

    @classmethod
    async def _opened(cls, address: Address, hold: Hold, retention: Retention) -> Self:
        ends = await open_ends(address, hold)
        try:
            writes = Writes(retention)
            await migrate(ends.writer, address, MIGRATIONS[:1])
            await hold.take(ends.writer, spare=ends.backends)
            await migrate(ends.writer, address)
            return cls(address, hold, ends, writes, await writes.begin(ends.writer))
        except psycopg.Error as exc:
            await ends.close()
            raise translate(exc, address, "opened") from exc
        except BaseException:
            await ends.close()
            raise

    # -- what the engine uses --------------------------------------------------------------------------------

    async def load(self) -> StoredState:
        """Return what is stored: services by name, open operations and events oldest first.

        Raises:
            StoreError: it cannot be read; nothing was changed.
        """
        self._queue.check_open()
        connection = await connect(self._address, self._hold.holder.label)
        try:
            return await read_all(connection, self._queue.last_cursor)
        except psycopg.Error as exc:
            raise translate(exc, self._address, "read") from exc
        finally:
            await connection.close()

    async def commit(self, changes: Sequence[Change]) -> None:
        """Make `changes` durable, atomically, in the order of the calls.

        Cancelled before its turn, nothing is written; cancelled during the write, all of it may be.

        Raises:
            StoreError: the database is away, read-only or closed, another server holds it, two services would have
                one name, or a value is not JSON; nothing was written. If the database was lost in the middle of the
                write and does not come back within seconds, the error says so; a service that it would have created
                is removed when the database is back.
        """
        self._link.check()
        await self._queue.commit(changes)

    def append_events(self, events: Sequence[Event]) -> None:
        """Queue `events`; they are written with the next commit, or within about 0.1 s. Never blocks.

        While the database is away, the newest are kept in memory and tried again.

        Raises:
            StoreError: an event's data is not JSON.
        """
        self._queue.append_events(events)

    async def operations(self, service_id: str, *, limit: int = 20) -> Sequence[OperationRecord]:
        """Return the newest operations of a service, newest first.

        Raises:
            StoreError: they cannot be read.
        """
        self._queue.check_open()
        rows = await self._link.read(NEWEST_OPERATIONS, (column(service_id), limit))
        return [OPERATION.read(text) for (text,) in rows]

    async def find_request(self, service_name: str, key: str) -> OperationRecord | None:
        """Return the newest operation of a service of this name, gone or not, that answers the idempotency key.

        Raises:
            StoreError: they cannot be read.
        """
        self._queue.check_open()
        rows = await self._link.read(_FIND_REQUEST, (column(service_name), request_digest(column(key))))
        records = (OPERATION.read(text) for (text,) in rows)
        return next((record for record in records if key in record.requests), None)

    def confirm(self) -> None:
        """Raise StoreError unless this server is certain to hold the database for a moment more. Never blocks."""
        self._link.confirm()

    # -- for faces -------------------------------------------------------------------------------------------

    @property
    def trouble(self) -> StoreError | None:
        """Why the database cannot be used now; None when it can."""
        return self._link.trouble

    def on_trouble(self, callback: Callable[[StoreError | None], None]) -> None:
        """Call `callback(why)` when the database is lost, and `callback(None)` when it is back."""
        self._link.listeners.append(callback)

    async def wait_taken_over(self) -> StoreError:
        """Wait until this server will never use the database again, and return why."""
        return await self._link.wait_ended()

    def announce(self, url: str) -> None:
        """Let the servers that stand by know that clients are served at `url`; a host `*` is this machine's address."""
        self._link.announce(url)

    async def shared_key(self) -> bytes:
        """Return what the ids of HTTP sessions are signed with by all servers of the database.

        Raises:
            StoreError: it cannot be read.
        """
        rows = await self._link.read("SELECT value FROM secrets WHERE name = 'http-sessions'")
        return bytes.fromhex(rows[0][0])

    def continue_from(self, cursor: int) -> None:
        """Let events continue after `cursor`."""
        self._queue.last_cursor = max(self._queue.last_cursor, cursor)

    def export(self) -> AsyncIterator[JsonObject]:
        """Yield everything as of now: `{"type": "header" | "service" | "operation" | "event", ...}`, one per JSON line.

        Raises:
            StoreError: the database cannot be read.
        """
        return export_database(self._address.url)

    # -- writing ---------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        """Write what is asked for until the store is closed, with heartbeats meanwhile; then let the connections go."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._link.keep)
                await self._queue.run(self._finish)
                tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await self._link.drop()

    async def _write(self, commits: Sequence[CommitWrite], events: Sequence[EventWrite]) -> Written:
        try:
            writer = self._link.check().writer
        except StoreError as away:
            return _all_refused(commits, away)
        self._batch += 1
        number = self._batch
        try:
            with self._link.using(self._hold.timings.batch):
                refused = await self._writes.write(writer, commits, events, epoch=self._hold.epoch, number=number)
        except (psycopg.Error, TimeoutError) as exc:
            self._writes.forget_reserve()
            return await self._failed(exc, writer, number, commits)
        self._link.stored_batch = number
        return Written({index: refusal.error() for index, refusal in refused.items()})

    async def _failed(
        self, exc: psycopg.Error | TimeoutError, writer: Connection, number: int, commits: Sequence[CommitWrite]
    ) -> Written:
        fault = translate(exc, self._address, "written")
        fault.__cause__ = exc
        if isinstance(fault, StoreHeldError):
            self._link.end_for_good(fault)
        elif is_loss(exc, writer):
            # Whether it is durable is known when the database is back, if that is soon.
            self._link.lost(exc)
            if await self._link.wait_settled(self._hold.timings.settle):
                if self._link.stored_batch >= number:
                    self._writes.note(commits)
                    return Written()
            elif not self._link.is_final:
                self._disown(number, commits)
        return _all_refused(commits, fault)

    def _disown(self, number: int, commits: Sequence[CommitWrite]) -> None:
        puts = (row.values[0] for commit in commits for row in commit.rows if row.sort is RowSort.PUT_SERVICE)
        self._disowned = number, frozenset(puts) - self._writes.known

    async def _undo_disowned(self, writer: Connection) -> None:
        """Remove the services whose creation was reported as failed, and was written all the same, with its operation.

        No one would ever end that, and a create with the same idempotency key would be answered by it.
        """
        number, created = self._disowned
        if number and created and self._link.stored_batch >= number:
            async with writer.transaction():
                await writer.execute("DELETE FROM services WHERE id = ANY(%s)", (sorted(created),))
                await writer.execute("DELETE FROM operations WHERE service_id = ANY(%s)", (sorted(created),))
        self._disowned = 0, frozenset()  # only now: if the database is lost again before, it is still to be done

    async def _finish(self) -> None:
        """Write the exact last cursor, so that the next run goes on from it without a gap, and let go."""
        try:
            reader = self._link.check().reader
            with self._link.using(self._hold.timings.settle):
                await reader.execute("UPDATE marks SET cursor = %s", (self._queue.last_cursor,))
                await self._hold.release(reader)
        except (psycopg.Error, TimeoutError) as exc:
            logger.warning("%s", translate(exc, self._address, "written"))
        except StoreError as error:
            logger.warning("%s", error)


def _all_refused(commits: Sequence[CommitWrite], error: StoreError) -> Written:
    return Written({index: error.fresh() for index in range(len(commits))}, error.fresh())
