"""The PostgreSQL store's tables: made in a schema of their own, migrated forward, refused when another program's.

Migrations are numbered, go forward only, and each is one transaction together with its number.
"""

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from psycopg import AsyncConnection

from ostler.adapters.stores.postgresql_faults import Address
from ostler.adapters.stores.sqlite_schema import Migration
from ostler.model.errors import StoreCorruptError, StoreError, StoreNewerError

Connection: TypeAlias = AsyncConnection[Any]

SCHEMA: Final = "ostler"

OLDEST_SERVER: Final = 130000
"""PostgreSQL 13, as `server_version` has it."""

_LOCK: Final = 0x4F53544C
"""Key of the advisory lock under which tables are made."""

MIGRATIONS: Final = (
    Migration(
        3,  # 1 and 2 were never released
        (
            """
            CREATE TABLE services (
                id TEXT PRIMARY KEY,
                name TEXT NOT NULL CONSTRAINT one_service_of_a_name UNIQUE,
                class_name TEXT NOT NULL,
                state TEXT NOT NULL,
                desired TEXT NOT NULL,
                updated_at TEXT NOT NULL,
                record TEXT NOT NULL,
                drivers TEXT NOT NULL
            )
            """,
            # `drivers`: the downstream servers of what a service may have left, between blanks. A server that takes
            # over from another machine checks which of them are local to that one.
            "CREATE INDEX services_of_drivers ON services (drivers, name) WHERE drivers <> ''",
            """
            CREATE TABLE operations (
                seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                id TEXT NOT NULL UNIQUE,
                service_id TEXT NOT NULL,
                service_name TEXT NOT NULL,
                kind TEXT NOT NULL,
                started_at TEXT NOT NULL,
                finished_at TEXT,
                outcome TEXT,
                record TEXT NOT NULL
            )
            """,
            "CREATE INDEX operations_of_service ON operations (service_id, seq)",
            "CREATE INDEX operations_open ON operations (seq) WHERE outcome IS NULL",
            # `key` is a digest: keys may be of any length.
            """
            CREATE TABLE requests (
                service_name TEXT NOT NULL,
                key TEXT NOT NULL,
                operation BIGINT NOT NULL REFERENCES operations (seq) ON DELETE CASCADE,
                PRIMARY KEY (service_name, key, operation)
            )
            """,
            "CREATE INDEX requests_of_operation ON requests (operation)",
            """
            CREATE TABLE events (
                cursor BIGINT PRIMARY KEY,
                at TEXT NOT NULL,
                kind TEXT NOT NULL,
                service TEXT NOT NULL,
                record TEXT NOT NULL
            )
            """,
            "CREATE INDEX events_of_service ON events (service, cursor)",
            # One row. `cursor` is a mark: no event cursor above it was ever given out.
            "CREATE TABLE marks (id INTEGER PRIMARY KEY CHECK (id = 1), cursor BIGINT NOT NULL)",
            "INSERT INTO marks (id, cursor) VALUES (1, 0)",
            # One row: `epoch` grows with each server that takes the database; `batch` is its last commit. Every commit
            # locks the row, so the heartbeat has one of its own.
            """
            CREATE TABLE holder (
                id INTEGER PRIMARY KEY CHECK (id = 1), epoch BIGINT NOT NULL, batch BIGINT NOT NULL
            ) WITH (fillfactor = 10)
            """,
            "INSERT INTO holder (id, epoch, batch) VALUES (1, 0, 0)",
            """
            CREATE TABLE heartbeat (
                id INTEGER PRIMARY KEY CHECK (id = 1),
                epoch BIGINT NOT NULL,
                run TEXT NOT NULL,
                node TEXT NOT NULL,
                label TEXT NOT NULL,
                heard_at TIMESTAMPTZ NOT NULL,
                released BOOLEAN NOT NULL
            ) WITH (fillfactor = 10)
            """,
            "INSERT INTO heartbeat VALUES (1, 0, '', '', '', clock_timestamp(), true)",
            """
            CREATE FUNCTION begin_batch(held BIGINT, number BIGINT) RETURNS void LANGUAGE plpgsql AS $$
            BEGIN
                UPDATE holder SET batch = number WHERE epoch = held;
                IF NOT FOUND THEN
                    RAISE EXCEPTION 'another server holds the database' USING ERRCODE = 'OS001';
                END IF;
            END
            $$
            """,
            # One row: where the holder of that epoch serves clients over HTTP, for the servers that stand by.
            "CREATE TABLE address (id INTEGER PRIMARY KEY CHECK (id = 1), epoch BIGINT NOT NULL, url TEXT NOT NULL)",
            "INSERT INTO address VALUES (1, 0, '')",
            # What all servers of the database share: the ids of sessions that one gave out are known to the others.
            "CREATE TABLE secrets (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
            """
            INSERT INTO secrets
            VALUES ('http-sessions', replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''))
            """,
        ),
    ),
)


async def schema_version(connection: Connection, address: Address) -> int:
    """Return the version of the tables, 0 if there are none; nothing is changed.

    Raises:
        StoreCorruptError: the schema is another program's.
        StoreNewerError: a newer Ostler made it.
        StoreError: PostgreSQL is too old, or it only lets itself be read.
        psycopg.Error: it cannot be read.
    """
    if connection.info.server_version < OLDEST_SERVER:
        raise StoreError(
            f"{str(address)!r} is PostgreSQL {connection.info.server_version // 10000}, and Ostler needs 13 or newer",
            next_actions=("use a newer PostgreSQL",),
        )
    found = await connection.execute(
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s", (SCHEMA,)
    )
    names = {row[0] for row in await found.fetchall()}
    if not names:
        return 0
    if not {"migrations", "services", "heartbeat"} <= names:
        raise StoreCorruptError(
            f"the schema {SCHEMA!r} in {str(address)!r} is not one of Ostler, or is incomplete; it was left untouched",
            next_actions=("use a database of Ostler's own, or restore a backup",),
        )
    row = await (await connection.execute("SELECT max(version) FROM ostler.migrations")).fetchone()
    version: int = row[0] if row and row[0] is not None else 0
    newest = MIGRATIONS[-1].version
    if version > newest:
        raise StoreNewerError(
            f"the database {str(address)!r} has schema version {version}, and this Ostler knows {newest}; "
            "it was left untouched",
            next_actions=("use the newer Ostler that wrote it", "or another database"),
        )
    return version


async def migrate(connection: Connection, address: Address, migrations: Sequence[Migration] = MIGRATIONS) -> int:
    """Bring the tables to the newest version, one transaction for each migration; return the version there was.

    Raises:
        StoreError: see `schema_version`.
        psycopg.Error: a migration failed; the tables are those of the migration before it.
    """
    before = await schema_version(connection, address)
    for migration in migrations:
        if migration.version <= before:
            continue
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            version = await schema_version(connection, address)
            if version >= migration.version:  # another process made it meanwhile
                continue
            if not version:
                await _make_schema(connection)
            for statement in migration.statements:
                await connection.execute(statement.encode())
            await connection.execute("INSERT INTO ostler.migrations VALUES (%s)", (migration.version,))
    return before


async def _make_schema(connection: Connection) -> None:
    # Asked first, because CREATE SCHEMA IF NOT EXISTS needs the right even where the schema exists.
    there = await connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (SCHEMA,))
    if await there.fetchone() is None:
        await connection.execute("CREATE SCHEMA ostler")
    await connection.execute(
        "CREATE TABLE ostler.migrations (version INTEGER PRIMARY KEY, at TIMESTAMPTZ NOT NULL DEFAULT now())"
    )
