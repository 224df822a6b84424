"""Reading a whole PostgreSQL store while it is written to: everything that is stored, checks, exports."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import LiteralString

import anyio.to_thread
import psycopg
from psycopg import sql

from ostler.adapters.stores.contents import TABLES, DatabaseReport, Examination
from ostler.adapters.stores.postgresql_faults import Address, translate
from ostler.adapters.stores.postgresql_hold import Hold, Holder
from ostler.adapters.stores.postgresql_link import connect
from ostler.adapters.stores.postgresql_schema import SCHEMA, Connection, migrate, schema_version
from ostler.adapters.stores.records_json import EVENT, OPERATION, SERVICE, decode
from ostler.engine.protocols import StoredState
from ostler.model.errors import NotFoundError
from ostler.model.json import JsonObject

_ROWS = 200
"""Rows read in one go."""

_APPLICATION = "ostler store"


async def read_all(connection: Connection, last_cursor: int) -> StoredState:
    """Return what is stored: services by name, open operations and events oldest first.

    Raises:
        StoreCorruptError: a record cannot be read.
        psycopg.Error: the database cannot be read.
    """
    async with _snapshot(connection):
        services = await connection.execute('SELECT name, record FROM services ORDER BY name COLLATE "C"')
        opened = await connection.execute("SELECT record FROM operations WHERE outcome IS NULL ORDER BY seq")
        events = await connection.execute("SELECT record FROM events ORDER BY cursor")
        found = [await rows.fetchall() for rows in (services, opened, events)]

    def read() -> StoredState:
        return StoredState(
            services=[SERVICE.read_as(name, text) for name, text in found[0]],
            open_operations=[OPERATION.read(text) for (text,) in found[1]],
            last_cursor=last_cursor,
            events=[EVENT.read(text) for (text,) in found[2]],
        )

    # It takes 0.1 ms a service and more: outside of the transaction, and with heartbeats meanwhile.
    return await anyio.to_thread.run_sync(read)


async def examine_database(url: str) -> DatabaseReport:
    """Look through the whole database without changing it; a server may be writing to it.

    Raises:
        NotFoundError: Ostler has no tables in it.
        StoreError: it cannot be reached or read, or a newer Ostler wrote it.
    """
    async with _connected(url, "read") as (connection, address):
        version = await existing_version(connection, address)
        examination = Examination()
        async with _snapshot(connection):
            for kind, query in TABLES:
                examination.read(kind, ())
                async for texts in _pages(connection, query):
                    examination.read(kind, texts)
            opened = await connection.execute("SELECT count(*) FROM operations WHERE outcome IS NULL")
            size = await connection.execute(
                "SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c"
                " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relkind = 'r'",
                (SCHEMA,),
            )
            facts = [await opened.fetchone(), await size.fetchone()]
    open_operations, total = (row[0] if row else 0 for row in facts)
    return DatabaseReport(version, total, examination.counts, open_operations, tuple(examination.problems))


async def export_database(url: str) -> AsyncIterator[JsonObject]:
    """Yield a header, then every record as `{"type": ..., "record": {...}}`, all as of one moment.

    Raises:
        NotFoundError: Ostler has no tables in it.
        StoreError: the database cannot be reached or read.
    """
    async with _connected(url, "read") as (connection, address):
        version = await existing_version(connection, address)
        async with _snapshot(connection):
            yield {"type": "header", "format": "ostler-export", "schemaVersion": version}
            for kind, query in TABLES:
                async for texts in _pages(connection, query):
                    for text in texts:
                        yield {"type": kind, "record": decode(text, kind)}


async def existing_version(connection: Connection, address: Address) -> int:
    """Return the version of the tables.

    Raises:
        NotFoundError: there are none.
        StoreError: they are another program's, or a newer Ostler's.
    """
    version = await schema_version(connection, address)
    if not version:
        raise NotFoundError(
            "a table of Ostler in the database",
            str(address),
            next_actions=("start a server with it, or make the tables: ostler store migrate",),
        )
    return version


@asynccontextmanager
async def _snapshot(connection: Connection) -> AsyncGenerator[None]:
    """Let all queries within the block see the same moment."""
    await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
    await connection.set_read_only(True)
    async with connection.transaction():
        yield


async def _pages(connection: Connection, query: LiteralString) -> AsyncIterator[list[str]]:
    async with connection.cursor(name="ostler_pages") as cursor:
        await cursor.execute(query)
        while rows := await cursor.fetchmany(_ROWS):
            yield [text for (text,) in rows]


async def require_tables(url: str) -> int:
    """Return the version of the tables in the database at `url`.

    Raises:
        NotFoundError: there are none.
        StoreError: it cannot be reached or read, or they are another program's or a newer Ostler's.
    """
    async with _connected(url, "read") as (connection, address):
        return await existing_version(connection, address)


async def migrate_database(url: str) -> tuple[int, int]:
    """Make the tables in the database at `url`, or bring them to the newest version; return it before and after.

    Raises:
        StoreHeldError: a server holds the database.
        StoreError: it cannot be reached or written, or they are another program's or a newer Ostler's.
    """
    async with _connected(url, "migrated") as (connection, address):
        if await schema_version(connection, address):
            await Hold(address, Holder.of_this_process(_APPLICATION, "a migration")).look(connection)
        return await migrate(connection, address), await schema_version(connection, address)


async def take_over(url: str, node: str) -> None:
    """Let `node` take over the database at `url`, whichever node had it last.

    Raises:
        NotFoundError: Ostler has no tables there.
        StoreHeldError: a server holds the database.
        StoreError: it cannot be reached or written.
    """
    async with _connected(url, "taken") as (connection, address):
        await existing_version(connection, address)
        await Hold(address, Holder.of_this_process(node, "a command")).hand_over(connection)


async def clear(url: str, node: str) -> None:
    """Remove every record from the database at `url`, which `node` had last.

    Raises:
        StoreHeldError: another server holds the database.
        StoreError: it cannot be reached or written.
    """
    async with _connected(url, "cleared") as (connection, address), connection.transaction():
        await Hold(address, Holder.of_this_process(node, "a move")).look(connection, lock=True)
        await connection.execute("DELETE FROM services; DELETE FROM operations; DELETE FROM events")


async def rename_schema(url: str, name: str) -> str:
    """Put the tables aside in the schema `name`; return in words where they are.

    Raises:
        StoreError: it cannot be reached, or the right to create schemas is missing.
    """
    async with _connected(url, "put aside") as (connection, address):
        await connection.execute(sql.SQL("ALTER SCHEMA ostler RENAME TO {}").format(sql.Identifier(name)))
        return f"schema {name} of {address}"


@asynccontextmanager
async def _connected(url: str, done: str) -> AsyncGenerator[tuple[Connection, Address]]:
    address = Address(url)
    connection = await connect(address, _APPLICATION)
    try:
        yield connection, address
    except psycopg.Error as exc:
        raise translate(exc, address, done) from exc
    finally:
        await connection.close()
