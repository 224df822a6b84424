"""SQLite's and the system's faults as StoreErrors that name the path, the cause and what to do next."""

import errno
import sqlite3
from pathlib import Path

from ostler.model.errors import StoreCorruptError, StoreError

_FULL = ("the disk is full", "free space there, then ask again")
_READ_ONLY = ("it is read-only here", "make the folder and the file writable, or choose another state folder (--state)")
_DENIED = ("permission is denied", "give this user access, or choose another state folder (--state)")
_BUSY = ("another process is using it", "stop the other Ostler on this state folder, or choose another (--state)")
_FAULT = ("the disk reported an error", "check the disk's space, quota and health, then ask again")

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
    detail = "" if str(exc) == cause else f" ({exc})"
    return StoreError(f"{where}: {cause}{detail}", next_actions=(action,))
