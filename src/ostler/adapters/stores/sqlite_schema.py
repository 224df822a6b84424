"""The SQLite store's file: creating it privately, checking it without touching it, and migrating its schema.

A file is inspected read-only first. One that is damaged, belongs to another program or was written by a newer
Ostler is refused before anything could change a byte of it. Migrations are numbered, go forward only, and each is
one transaction together with its number (`PRAGMA user_version`).
"""

import os
import sqlite3
import stat
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from msgspec import Struct

from ostler.adapters.stores.sqlite_faults import lacks_room, translate
from ostler.adapters.stores.sqlite_guard import Reserve
from ostler.model.errors import StoreCorruptError, StoreError, StoreNewerError

APPLICATION_ID = 0x4F53544C
"""`OSTL`, in the header of every database of Ostler."""

_MAGIC = b"SQLite format 3\x00"
_BUSY_SECONDS = 5.0

COMPACT_BYTES = 8 * 1024 * 1024
"""Free bytes in a file from which it is compacted when it is opened, if they are half of it."""


class Migration(Struct, frozen=True):
    """One step of the schema: its number (the version that it leads to) and its statements."""

    version: int
    statements: tuple[str, ...]


MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        2,  # 1 was never released
        (
            """
            CREATE TABLE services (
                id TEXT PRIMARY KEY,
                name TEXT NOT NULL UNIQUE,
                class_name TEXT NOT NULL,
                state TEXT NOT NULL,
                desired TEXT NOT NULL,
                updated_at TEXT NOT NULL,
                record TEXT NOT NULL
            ) WITHOUT ROWID
            """,
            """
            CREATE TABLE operations (
                seq INTEGER PRIMARY KEY AUTOINCREMENT,
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
            """
            CREATE TABLE events (
                cursor INTEGER PRIMARY KEY,
                at TEXT NOT NULL,
                kind TEXT NOT NULL,
                service TEXT NOT NULL,
                record TEXT NOT NULL
            )
            """,
            "CREATE INDEX events_of_service ON events (service, cursor)",
            # One row. `cursor` is a mark: no event cursor above it was ever given out (see SqliteStore).
            "CREATE TABLE marks (id INTEGER PRIMARY KEY CHECK (id = 1), cursor INTEGER NOT NULL)",
            "INSERT INTO marks (id, cursor) VALUES (1, 0)",
            # Which operations answer an idempotency key; the digest of what was asked for is in the operation.
            """
            CREATE TABLE requests (
                service_name TEXT NOT NULL,
                key TEXT NOT NULL,
                operation INTEGER NOT NULL REFERENCES operations (seq) ON DELETE CASCADE,
                PRIMARY KEY (service_name, key, operation)
            ) WITHOUT ROWID
            """,
            "CREATE INDEX requests_of_operation ON requests (operation)",
        ),
    ),
)


def open_database(path: Path, migrations: Sequence[Migration] = MIGRATIONS) -> sqlite3.Connection:
    """Open or create the database at `path`, ready for use by one writer.

    The file is created with mode 0600 (and tightened to it), a missing folder with mode 0700. The connection is in
    autocommit mode (transactions are written out) and may be used from any one thread at a time.

    Raises:
        StoreCorruptError: it is damaged or no database of Ostler; it was left untouched.
        StoreNewerError: a newer Ostler wrote it; it was left untouched.
        StoreError: it cannot be created, read or written.
    """
    try:
        is_new = _create(path, migrations)
        is_full = not is_new and path.stat().st_size > 0 and not _is_inspected(path, migrations)
        Reserve(path).lend()
        connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as exc:
        raise translate(exc, path, "opened") from exc
    try:
        if is_full:  # without the file that readers would share, for which there is no room
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            _examine(connection, path, migrations)
        # fullfsync matters on macOS only, where a plain fsync leaves data in the drive's cache.
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "fullfsync=ON"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("PRAGMA journal_size_limit=67108864")
        connection.execute("PRAGMA temp_store=MEMORY")  # what the writer counts needs no file, and no room on the disk
        connection.execute("PRAGMA cache_size=-512")  # KiB; the default of 2,000 is filled by 500 services
        migrate(connection, migrations)
        _compact(connection)
    except sqlite3.Error as exc:
        connection.close()
        raise translate(exc, path, "opened") from exc
    except BaseException:
        connection.close()
        raise
    return connection


def _is_inspected(path: Path, migrations: Sequence[Migration]) -> bool:
    """Inspect the database; False when the disk is so full that it cannot be read apart from what would write to it."""
    try:
        inspect(path, migrations)
    except sqlite3.Error as exc:
        if not lacks_room(exc):
            raise
        return False
    return not Reserve(path).is_scarce()


@contextmanager
def reading(path: Path) -> Generator[sqlite3.Connection]:
    """Open the database at `path` read-only for the length of the block, apart from the writer's connection."""
    with closing(connect_reader(path)) as connection:
        yield connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """Return a read-only connection to the database at `path`.

    Raises:
        sqlite3.Error: it cannot be opened.
    """
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro",
        uri=True,
        timeout=_BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )


def inspect(path: Path, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Check an existing database without changing a byte of it.

    Raises:
        StoreCorruptError: it is damaged or no database of Ostler.
        StoreNewerError: a newer Ostler wrote it.
        StoreError: it cannot be read.
        OSError: it cannot be read.
        sqlite3.Error: it cannot be read.
    """
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise _refused(path, "is not an SQLite database")
    log = path.with_name(path.name + "-wal")
    # Without a write-ahead log the file is all there is, and `immutable` reads it without creating side files.
    immutable = "" if log.exists() and log.stat().st_size else "&immutable=1"
    uri = f"{path.absolute().as_uri()}?mode=ro{immutable}"
    with closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)) as connection:
        _examine(connection, path, migrations)


def _examine(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration]) -> None:
    application, version = _number(connection, "application_id"), _number(connection, "user_version")
    is_new = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    if application != APPLICATION_ID and not (is_new and application == version == 0):
        raise _refused(path, "is a database of another program")
    newest = migrations[-1].version
    if version > newest:
        raise StoreNewerError(
            f"the database {str(path)!r} has schema version {version}, and this Ostler knows {newest}; "
            "it was left untouched",
            next_actions=("use the newer Ostler that wrote it", "or another state folder (--state)"),
        )
    problem: str = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if problem != "ok":
        raise _refused(path, f"is damaged ({problem})")


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring the schema to the newest version, one transaction for each migration.

    Raises:
        sqlite3.Error: a migration failed; the schema is that of the migration before it.
    """
    for migration in migrations:
        connection.execute("BEGIN IMMEDIATE")
        try:
            if _number(connection, "user_version") < migration.version:
                for statement in migration.statements:
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version={migration.version}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def migrate_database(path: Path) -> tuple[int, int]:
    """Make the database at `path`, or bring its schema to the newest version; return it before and after.

    Raises:
        StoreError: as `open_database`.
    """
    before = 0
    if path.exists() and path.stat().st_size:
        with reading(path) as connection, suppress(sqlite3.Error):  # what is wrong with it is said when it is opened
            before = _number(connection, "user_version")
    with closing(open_database(path)) as connection:
        return before, _number(connection, "user_version")


def _compact(connection: sqlite3.Connection) -> None:
    """Give the space of dropped history back when most of a large file is free."""
    free, pages, size = (_number(connection, name) for name in ("freelist_count", "page_count", "page_size"))
    if free * size >= COMPACT_BYTES and free * 2 >= pages:
        with suppress(sqlite3.Error):  # it needs room for a copy; without it the file stays as it is, and is sound
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])


def _create(path: Path, migrations: Sequence[Migration]) -> bool:
    """Make a missing database, with its folder; return whether it was missing. One that exists is made private.

    It is made next to its place, written to the disk once, and moved: what is interrupted leaves no half of a file, and
    SQLite writes eight times to make one in its place. The first commit, which makes the log, writes the folder.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.path.lexists(path):
        _make_private(path)
        return False
    new = path.with_name(f"{path.name}-new")
    try:
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        try:
            with closing(sqlite3.connect(new, isolation_level=None)) as connection:
                for pragma in ("synchronous=OFF", "journal_mode=MEMORY"):
                    connection.execute(f"PRAGMA {pragma}")
                migrate(connection, migrations)
                connection.execute("PRAGMA journal_mode=WAL")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        new.rename(path)
    except BaseException:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise
    return True


def _make_private(path: Path) -> None:
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise StoreError(
            f"{str(path)!r} is not a file, so it cannot be the database",
            next_actions=("remove it, or choose another state folder (--state)",),
        )
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        path.chmod(0o600)


def _refused(path: Path, problem: str) -> StoreCorruptError:
    return StoreCorruptError(
        f"{str(path)!r} {problem}; it was left untouched",
        next_actions=(
            "move it away and restore a backup in its place",
            "or start with an empty state folder (--state)",
        ),
    )
