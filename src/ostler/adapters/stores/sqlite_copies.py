"""Reading a whole SQLite store while it is written to: integrity check, backup and export."""

import json
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio.to_thread

from ostler.adapters.stores.records_json import EVENT, OPERATION, SERVICE, decode
from ostler.adapters.stores.sqlite_faults import translate
from ostler.adapters.stores.sqlite_schema import connect_reader, inspect, reading
from ostler.model.errors import AlreadyExistsError, OstlerError, StoreCorruptError
from ostler.model.json import JsonObject
from ostler.rules.loading.manifests import service_class_from_json
from ostler.rules.secrets.masking import mask
from ostler.rules.secrets.record_secrets import record_secrets

_ROWS = 200
"""Rows read in one go while exporting."""

_TABLES = (
    ("service", "SELECT record FROM services ORDER BY name"),
    ("operation", "SELECT record FROM operations ORDER BY seq"),
    ("event", "SELECT record FROM events ORDER BY cursor"),
)


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


@dataclass(frozen=True, slots=True)
class DatabaseReport:
    """What is in a database.

    Attributes:
        schema_version: of its tables.
        size: bytes of the file and its write-ahead log.
        counts: rows by kind: services, operations, events.
        open_operations: operations under way, or cut off and not resolved yet.
        problems: what the integrity check found, and every record that cannot be read.
    """

    schema_version: int
    size: int
    counts: dict[str, int]
    open_operations: int
    problems: tuple[str, ...]


def examine_database(path: Path) -> DatabaseReport:
    """Look through the whole database at `path` without changing it; a server may be writing to it.

    Raises:
        StoreError: the file cannot be read, is not a database of Ostler, or a newer Ostler wrote it.
    """
    try:
        inspect(path)
        problems = list(check_database(path))
        counts: dict[str, int] = {}
        readers: dict[str, Callable[[str], object]] = {
            "service": SERVICE.read,
            "operation": OPERATION.read,
            "event": EVENT.read,
        }
        with reading(path) as connection:
            version: int = connection.execute("PRAGMA user_version").fetchone()[0]
            opened: int = connection.execute("SELECT count(*) FROM operations WHERE outcome IS NULL").fetchone()[0]
            for kind, sql in _TABLES:
                counts[f"{kind}s"] = 0
                for (text,) in connection.execute(sql):
                    counts[f"{kind}s"] += 1
                    try:
                        readers[kind](text)
                    except StoreCorruptError as error:
                        problems.append(error.summary)
        log = path.with_name(path.name + "-wal")
        size = path.stat().st_size + (log.stat().st_size if log.exists() else 0)
    except (OSError, sqlite3.Error) as exc:
        raise translate(exc, path, "read") from exc
    return DatabaseReport(version, size, counts, opened, tuple(problems))


def without_secrets(item: JsonObject) -> JsonObject:
    """Return one item of an export with the secrets of its service masked.

    Operations and events are masked before they are stored. A service whose class cannot be read is reduced to facts
    that hold no values.
    """
    if item["type"] != "service":
        return item
    record: JsonObject = item["record"]
    try:
        known = SERVICE.read(json.dumps(record))
        secrets = record_secrets(service_class_from_json(known.class_manifest), known)
    except OstlerError:
        kept = ("id", "name", "className", "classDigest", "state", "desired", "createdAt", "updatedAt")
        return {**item, "record": {key: record[key] for key in kept if key in record}}
    return {**item, "record": mask(record, secrets)}


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
        for kind, sql in _TABLES:
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
