"""The connections to a PostgreSQL database: made, watched by a heartbeat, made again when they are lost."""

import ipaddress
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import AsyncExitStack, contextmanager
from typing import Any, Final, LiteralString, TypeAlias

import anyio
import psycopg
from msgspec import Struct
from psycopg import AsyncConnection

from ostler.adapters.stores.postgresql_faults import POOLER, Address, is_loss, translate
from ostler.adapters.stores.postgresql_hold import Hold, application_name
from ostler.adapters.stores.postgresql_schema import SCHEMA, Connection
from ostler.model.errors import StoreError, StoreHeldError

logger = logging.getLogger(__name__)

CONNECT_SECONDS: Final = 5.0
"""Seconds for a connection by default."""

_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 2.0

_SETTINGS: Final = f"""
SET search_path = {SCHEMA};
SET lock_timeout = '3s';
SET statement_timeout = '30s';
SET idle_in_transaction_session_timeout = '10s';
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
"""
"""A commit is durable when it returns, and no lock outlives a client that was paused for long."""


async def connect(address: Address, application: str, seconds: float = CONNECT_SECONDS) -> Connection:
    """Return a connection to the database.

    Raises:
        StoreError: it cannot be reached.
    """
    connection: Connection | None = None
    try:
        with anyio.fail_after(seconds):
            connection = await AsyncConnection[Any].connect(
                address.url,
                autocommit=True,
                prepare_threshold=2,
                application_name=application,
                client_encoding="UTF8",
                connect_timeout=4,
                keepalives_idle=5,
                keepalives_interval=2,
                keepalives_count=3,
                tcp_user_timeout=8000,
            )
            await connection.execute(_SETTINGS)
    except (psycopg.Error, TimeoutError) as exc:
        if connection is not None:
            await close(connection)
        raise translate(exc, address, "reached") from exc
    return connection


async def close(connection: Connection) -> None:
    """Close `connection` without waiting for anyone."""
    with anyio.CancelScope(shield=True):
        await connection.close()


def local_address(connection: Connection) -> str:
    """Return the address from which this machine reaches the database, as a host in a URL.

    On the database's own machine, where that is a loopback address or none, it is the machine's name.
    """
    with socket.socket(fileno=os.dup(connection.fileno())) as line:
        where: Any = line.getsockname()
        if line.family not in (socket.AF_INET, socket.AF_INET6) or ipaddress.ip_address(where[0]).is_loopback:
            return socket.gethostname()
        return f"[{where[0]}]" if line.family == socket.AF_INET6 else where[0]


class Ends(Struct, frozen=True):
    """The two connections: one for commits, one for everything else, so that no heartbeat waits for a long commit."""

    writer: Connection
    reader: Connection
    backends: tuple[int, int]
    """Their processes in PostgreSQL."""

    async def close(self) -> None:
        """Close both."""
        await close(self.writer)
        await close(self.reader)


async def open_ends(address: Address, hold: Hold) -> Ends:
    """Connect twice.

    Raises:
        StoreError: that cannot be done, or a pooler is between that keeps no session.
    """
    name, seconds = application_name(hold.holder.run), hold.timings.connect
    async with AsyncExitStack() as undoing:
        writer = await connect(address, name, seconds)
        undoing.push_async_callback(close, writer)
        reader = await connect(address, name, seconds)
        undoing.push_async_callback(close, reader)
        try:
            with anyio.fail_after(seconds):
                ends = Ends(writer, reader, await _backends(writer, reader, address))
        except (psycopg.Error, TimeoutError) as exc:
            raise translate(exc, address, "reached") from exc
        undoing.pop_all()
        return ends


async def _backends(writer: Connection, reader: Connection, address: Address) -> tuple[int, int]:
    """Return the connections' processes in PostgreSQL.

    They are not read from the connections, which would name a pooler's own. A pooler that gives each transaction any
    free process gives another one while the first is busy, which is detected here.

    Raises:
        StoreError: the process changes.
        psycopg.Error, TimeoutError: there is no answer.
    """
    of_writer = await _backend(writer)
    async with reader.transaction():
        of_reader = await _backend(reader)
        is_kept = await _backend(writer) == of_writer
    if not is_kept or await _backend(reader) != of_reader:
        raise StoreError(
            f"the database {str(address)!r} is reached through a pooler that keeps no session, as PgBouncer does in "
            "transaction mode; it was left untouched",
            next_actions=(POOLER,),
        )
    return of_writer, of_reader


async def _backend(connection: Connection) -> int:
    found = await (await connection.execute("SELECT pg_backend_pid()")).fetchone()
    assert found is not None
    return found[0]


OnRegained: TypeAlias = Callable[[Connection], Awaitable[None]]


class Link:
    """The connections of a store, while it is open."""

    def __init__(self, address: Address, hold: Hold, ends: Ends, on_regained: OnRegained) -> None:
        """Take over `ends`, with the hold taken through them; `on_regained` comes before new connections are used."""
        self.address = address
        self.hold = hold
        self._ends: Ends | None = ends
        self._trouble: StoreError | None = None
        self._is_final = False
        self._changed = anyio.Event()
        self._reading = anyio.Lock()
        self._uses: set[anyio.CancelScope] = set()
        self._unused = anyio.Event()
        self.stored_batch = 0
        """The number of the last batch that is known to be durable."""
        self.listeners: list[Callable[[StoreError | None], None]] = []
        self._on_regained = on_regained

    def __repr__(self) -> str:
        return f"<Link {self.address}{' lost' if self._trouble else ''}>"

    @property
    def trouble(self) -> StoreError | None:
        """Why the database cannot be used now; None when it can."""
        return self._trouble

    @property
    def is_final(self) -> bool:
        """Whether this server will never use the database again."""
        return self._is_final

    def check(self) -> Ends:
        """Return the connections.

        Raises:
            StoreError: there are none now.
        """
        if self._trouble is not None or self._ends is None:
            assert self._trouble is not None
            raise self._trouble.fresh()
        return self._ends

    def confirm(self) -> None:
        """Raise StoreError unless this server is certain to hold the database for a moment more. Never blocks."""
        self.check()
        self.hold.confirm()

    def announce(self, url: str) -> None:
        """Let the next heartbeat, which comes at once, say that clients are served at `url`; see `local_address`."""
        ends = self._ends
        self.hold.url = url.replace("*", "localhost" if ends is None else local_address(ends.reader), 1)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    @contextmanager
    def using(self, seconds: float) -> Generator[None]:
        """Bound the use of a connection within the block, also by the loss of the database.

        Raises:
            TimeoutError: the block took longer, or the database was lost meanwhile.
        """
        scope = anyio.CancelScope(deadline=anyio.current_time() + seconds)
        self._uses.add(scope)
        try:
            with scope:
                yield
        finally:
            self._uses.discard(scope)
            if not self._uses:
                self._unused.set()
        if scope.cancelled_caught:
            raise TimeoutError

    async def read(self, sql: LiteralString, parameters: Sequence[Any] = ()) -> list[Any]:
        """Return the rows of a query.

        Raises:
            StoreError: they cannot be read.
        """
        async with self._reading:
            reader = self.check().reader
            try:
                with self.using(self.hold.timings.answer):
                    return await (await reader.execute(sql, parameters)).fetchall()
            except (psycopg.Error, TimeoutError) as exc:
                if is_loss(exc, reader):
                    self.lost(exc)
                raise translate(exc, self.address, "read") from exc

    def lost(self, exc: BaseException) -> None:
        """Note that a connection failed: until both are back, everything fails with this reason."""
        if self._trouble is None:
            self._set_trouble(_refusing(translate(exc, self.address, "reached")))

    def _set_trouble(self, trouble: StoreError | None, *, is_final: bool = False) -> None:
        self._trouble = trouble
        self._is_final = is_final
        self._wake()
        for listener in self.listeners:
            listener(trouble)

    async def wait_settled(self, seconds: float) -> bool:
        """Wait until a lost database is back, or this server will never use it again; return whether it is back."""
        with anyio.move_on_after(seconds):
            while self._trouble is not None and not self._is_final:
                await self._changed.wait()
        return self._trouble is None

    async def wait_ended(self) -> StoreError:
        """Wait until this server will never use the database again, and return why."""
        while self._trouble is None or not self._is_final:
            await self._changed.wait()
        return self._trouble

    async def keep(self) -> None:
        """Send heartbeats, and connect again when they fail, until cancelled."""
        while not self._is_final:
            if self._trouble is None:
                await self._beat()
            else:
                await self._regain()

    async def _beat(self) -> None:
        with anyio.move_on_after(self.hold.timings.heartbeat):
            await self._changed.wait()
        if self._trouble is not None or self._ends is None:
            return
        reader = self._ends.reader
        try:
            with self.using(self.hold.timings.answer):
                await self.hold.beat(reader)
        except StoreHeldError as error:
            self.end_for_good(error)
        except (psycopg.Error, TimeoutError) as exc:
            self.lost(exc)

    async def _regain(self) -> None:
        await self.drop()
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._reconnect()
            except StoreHeldError as error:
                self.end_for_good(error)
            except StoreError as error:
                self._trouble = _refusing(error)  # why it is away may be another reason by now
                await anyio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            return

    async def _reconnect(self) -> None:
        ends = await open_ends(self.address, self.hold)
        done = False
        try:
            with anyio.fail_after(self.hold.timings.answer * 2):
                batch = await self.hold.last_batch(ends.writer, spare=ends.backends)
                if batch < self.stored_batch:
                    raise _went_back(self.address)
                self.stored_batch = batch
                await self.hold.beat(ends.reader)
                await self._on_regained(ends.writer)
            done = True
        except (psycopg.Error, TimeoutError) as exc:
            raise translate(exc, self.address, "reached") from exc
        finally:
            if not done:
                await ends.close()
        self._ends = ends
        self._set_trouble(None)

    def end_for_good(self, error: StoreError) -> None:
        """Never use the database again, because of `error`."""
        logger.critical("%s", error)
        self._set_trouble(error, is_final=True)

    async def drop(self) -> None:
        """Close the connections, when no one uses them any more."""
        for scope in self._uses:
            scope.cancel()
        while self._uses:
            self._unused = anyio.Event()
            await self._unused.wait()
        ends, self._ends = self._ends, None
        if ends is not None:
            await ends.close()


def _refusing(fault: StoreError) -> StoreError:
    """Return what operations fail with while the database is away because of `fault`."""
    return StoreError(
        f"{fault.summary}; nothing was written",
        next_actions=(*fault.next_actions, "Ostler tries again until it is back"),
    )


def _went_back(address: Address) -> StoreHeldError:
    return StoreHeldError(
        f"the database {str(address)!r} lacks what was durable there before: it was restored from a backup, or a "
        "standby that was behind took its place; this server does nothing any more",
        next_actions=("start this server again: it continues with what the database has",),
    )
