"""SQLite's and the system's faults as StoreErrors that name the path, the cause and what to do next."""

import errno
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ostler.model.errors import StoreCorruptError, StoreError

_FULL = ("the disk is full", "free space there, then ask again")
_READ_ONLY = ("it is read-only here", "make the folder and the file writable, or choose another state folder (--state)")
_DENIED = ("permission is denied", "give this user access, or choose another state folder (--state)")
_BUSY = (
    "another program has locked it",
    "end what that program does with it, such as a transaction in a database shell, then ask again",
)
_FAULT = ("the disk reported an error", "check the disk's space, quota and health, then ask again")

_WRITE_LOCK = re.compile(r"^\d+: \w+ +\w+ +WRITE (\d+) ([\da-f]+):([\da-f]+):(\d+) ", re.MULTILINE)
"""A line of /proc/locks, such as `1: POSIX  ADVISORY  WRITE 7 fe:00:98 120 120`."""

_SQLITE_CAUSES = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_PERM: _DENIED,
    sqlite3.SQLITE_AUTH: _DENIED,
    sqlite3.SQLITE_CANTOPEN: ("it cannot be opened", "make the folder and the file accessible and writable"),
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
    sqlite3.SQLITE_IOERR: _FAULT,
}

_SYSTEM_CAUSES = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: ("the disk quota is used up", "free space there, then ask again"),
    errno.EROFS: _READ_ONLY,
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
}

_NO_ROOM = (sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE)

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_constraint(exc: sqlite3.Error) -> bool:
    """Whether one commit contradicts what is stored, while the database itself is in order."""
    return primary_code(exc) == sqlite3.SQLITE_CONSTRAINT


def lacks_room(exc: Exception) -> bool:
    """Whether a write failed as the disk is full, or may have, as for a quota, which SQLite reports as any fault."""
    if isinstance(exc, OSError):
        return exc.errno == errno.ENOSPC
    code = getattr(exc, "sqlite_errorcode", None)
    return code is not None and (code in _NO_ROOM or code & 0xFF == sqlite3.SQLITE_FULL)


def primary_code(exc: sqlite3.Error) -> int:
    """Return SQLite's primary result code, or -1 when the error came from Python's own module."""
    code = getattr(exc, "sqlite_errorcode", None)
    return -1 if code is None else code & 0xFF


def translate(exc: OSError | sqlite3.Error, path: Path, done: str) -> StoreError:
    """Return the StoreError for `exc`.

    Args:
        exc: what was raised.
        path: the database's file.
        done: what could not be done to it, as a participle: `opened`, `written`, `read`.
    """
    where = f"the database {str(path)!r} could not be {done}"
    if isinstance(exc, OSError):
        cause, action = _SYSTEM_CAUSES.get(exc.errno or 0, (exc.strerror or str(exc), _FAULT[1]))
        return StoreError(f"{where}: {cause}", next_actions=(action,))
    code = primary_code(exc)
    if code in _DAMAGED:
        return StoreCorruptError(
            f"{where}: it is damaged ({exc})",
            next_actions=("stop Ostler, move the file away and restore a backup, or start with an empty state folder",),
        )
    cause, action = _SQLITE_CAUSES.get(code, (str(exc), _FAULT[1]))
    if code == sqlite3.SQLITE_BUSY and (holders := ", ".join(_lock_holders(path))):
        return StoreError(f"{where}: it is locked by {holders}", next_actions=(action,))
    detail = "" if str(exc) == cause else f" ({exc})"
    return StoreError(f"{where}: {cause}{detail}", next_actions=(action,))


def _lock_holders(path: Path) -> list[str]:
    """Return the other programs that have locked a part of the database for writing, on Linux: `sqlite3 (pid 7)`."""
    found: set[int] = set()
    with suppress(OSError):
        files = {_inode(Path(f"{path}{suffix}")) for suffix in ("", "-wal", "-shm")}
        found = {pid for pid, inode in _write_locks(Path("/proc/locks").read_text()) if inode in files}
    return [_named(pid) for pid in sorted(found - {0, os.getpid()})]


def _inode(path: Path) -> tuple[int, int, int] | None:
    with suppress(OSError):
        stat = path.stat()
        return os.major(stat.st_dev), os.minor(stat.st_dev), stat.st_ino
    return None


def _write_locks(table: str) -> Iterator[tuple[int, tuple[int, int, int]]]:
    """Yield the process and the file of each lock that says both."""
    for pid, major, minor, inode in _WRITE_LOCK.findall(table):
        yield int(pid), (int(major, 16), int(minor, 16), int(inode))


def _named(pid: int) -> str:
    with suppress(OSError):
        return f"{Path(f'/proc/{pid}/comm').read_text().strip()} (pid {pid})"
    return f"pid {pid}"
