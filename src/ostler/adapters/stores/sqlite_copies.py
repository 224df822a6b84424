"""Reading a whole SQLite store while it is written to: integrity check, backup and export."""

import os
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio.to_thread

from ostler.adapters.stores.contents import TABLES, DatabaseReport, Examination
from ostler.adapters.stores.records_json import decode
from ostler.adapters.stores.sqlite_faults import translate
from ostler.adapters.stores.sqlite_schema import connect_reader, inspect, reading
from ostler.model.errors import AlreadyExistsError
from ostler.model.json import JsonObject

_ROWS = 200
"""Rows read in one go while exporting."""


def check_database(path: Path) -> Sequence[str]:
    """Return what the integrity check finds wrong, nothing when the file is sound.

    Raises:
        StoreError: the file cannot be read.
    """
    try:
        with reading(path) as connection:
            found: list[str] = [row[0] for row in connection.execute("PRAGMA quick_check")]
    except sqlite3.Error as exc:
        raise translate(exc, path, "checked") from exc
    return [] if found == ["ok"] else found


def examine_database(path: Path) -> DatabaseReport:
    """Look through the whole database at `path` without changing it; a server may be writing to it.

    Raises:
        StoreError: the file cannot be read, is not a database of Ostler, or a newer Ostler wrote it.
    """
    try:
        inspect(path)
        examination = Examination(problems=list(check_database(path)))
        with reading(path) as connection:
            version: int = connection.execute("PRAGMA user_version").fetchone()[0]
            opened: int = connection.execute("SELECT count(*) FROM operations WHERE outcome IS NULL").fetchone()[0]
            for kind, sql in TABLES:
                examination.read(kind, (text for (text,) in connection.execute(sql)))
        log = path.with_name(path.name + "-wal")
        size = path.stat().st_size + (log.stat().st_size if log.exists() else 0)
    except (OSError, sqlite3.Error) as exc:
        raise translate(exc, path, "read") from exc
    return DatabaseReport(version, size, examination.counts, opened, tuple(examination.problems))


def copy_database(path: Path, to: Path) -> None:
    """Write a consistent copy of the database at `path` to the new file `to` (mode 0600).

    Raises:
        AlreadyExistsError: `to` exists.
        StoreError: the copy cannot be made; nothing is left at `to`.
    """
    try:
        os.close(os.open(to, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        raise AlreadyExistsError(
            f"the backup file {str(to)!r} already exists", next_actions=("choose another name, or remove it",)
        ) from None
    except OSError as exc:
        raise translate(exc, to, "created") from exc
    done = False
    try:
        with reading(path) as source, closing(sqlite3.connect(to)) as target:
            source.backup(target)
        with to.open("rb") as copy:
            os.fsync(copy.fileno())
        done = True
    except (OSError, sqlite3.Error) as exc:
        raise translate(exc, to, "copied to") from exc
    finally:
        if not done:
            to.unlink(missing_ok=True)


async def export_database(path: Path) -> AsyncIterator[JsonObject]:
    """Yield a header, then every record as `{"type": ..., "record": {...}}`, all as of one moment.

    Raises:
        StoreError: the file cannot be read.
    """
    try:
        connection = await anyio.to_thread.run_sync(_begin_reading, path)
    except sqlite3.Error as exc:
        raise translate(exc, path, "read") from exc
    try:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        yield {"type": "header", "format": "ostler-export", "schemaVersion": version}
        for kind, sql in TABLES:
            rows = connection.execute(sql)
            while texts := await anyio.to_thread.run_sync(_next_rows, rows):
                for text in texts:
                    yield {"type": kind, "record": decode(text, kind)}
    except sqlite3.Error as exc:
        raise translate(exc, path, "read") from exc
    finally:
        connection.close()


def _begin_reading(path: Path) -> sqlite3.Connection:
    connection = connect_reader(path)
    try:
        connection.execute("BEGIN")
        # The snapshot is taken by the first read.
        connection.execute("SELECT cursor FROM marks").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _next_rows(rows: sqlite3.Cursor) -> list[Any]:
    return [row[0] for row in rows.fetchmany(_ROWS)]
