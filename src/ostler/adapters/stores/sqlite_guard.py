"""Protection of the database from outside: room for stops on a full disk, and a check that its files are the same.

Everything here runs in the store's one worker thread.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from ostler.adapters.disk_room import free_bytes
from ostler.model.errors import StoreError

RESERVE_BYTES: Final = 2 * 1024 * 1024
"""Room on the disk that is kept for recording stops, deletes and ends of operations."""

LOG_BYTES: Final = 1000 * 4120 + RESERVE_BYTES
"""Size that the write-ahead log is given: what SQLite lets it grow to, and the reserve."""

_SCARCE_BYTES: Final = 32 * 1024
"""With less room than that, only what the reserve is for is written: whoever fills the disk may take the rest, too."""

_CHUNK: Final = 64 * 1024
_LOG_HEADER: Final = 32


class Reserve:
    """Room that is taken before it is needed: in the write-ahead log, and in a file next to the database.

    What goes into the log, whose end SQLite finds by checksums, needs no room of a disk that someone keeps filling.
    The file is given up when the log must grow, or a file system writes nothing in place.
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        self._path = database.with_name(f"{database.name}-reserve")
        self._log = database.with_name(f"{database.name}-wal")

    def __repr__(self) -> str:
        return f"<Reserve {str(self._path)!r}>"

    def hold(self) -> bool:
        """Take the room, where there is enough of it; return whether it is taken. Quick when it was already."""
        try:
            if self._path.exists() and self._log.exists() and self._path.samefile(self._log):
                self._path.unlink()  # `keep` named the log by it, and SQLite could not remove that: it is no other room
            return self._extend(self._path, RESERVE_BYTES) and self._extend(self._log, LOG_BYTES)
        except OSError:
            return False

    def release(self) -> bool:
        """Give the room of the file to whoever writes next; return whether there was any."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True

    def lend(self) -> None:
        """Before opening a database that has no log, because it was closed in order: make the file its log.

        SQLite begins a log whose first bytes are not its own from the start.
        """
        with suppress(OSError):
            if self._log.exists() or not self._database.stat().st_size:
                return
            with self._path.open("r+b") as file:
                if any(file.read(_LOG_HEADER)):
                    file.seek(0)
                    file.write(bytes(_LOG_HEADER))
                    file.flush()
                    os.fsync(file.fileno())
            self._path.rename(self._log)

    def keep(self) -> None:
        """Before closing a database, which removes its log: on a full disk, keep the log's room for `lend`."""
        with suppress(OSError):
            if self.is_scarce() and not self._path.exists():
                os.link(self._log, self._path)

    def is_scarce(self) -> bool:
        """Whether the disk has so little room that only what the reserve is for may be written."""
        return free_bytes(self._path.parent) < _SCARCE_BYTES

    def _extend(self, path: Path, size: int) -> bool:
        """Lengthen a file with zeros that take room on the disk, if it leaves as much again; return whether it is so.

        Raises:
            OSError: it cannot be written.
        """
        length = path.stat().st_size if path.exists() else 0
        if length >= size:
            return True
        if free_bytes(path.parent) < 2 * (size - length):
            return False
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(descriptor, length, size - length)
                return True
            os.lseek(descriptor, length, os.SEEK_SET)
            for begin in range(length, size, _CHUNK):  # written, for a hole takes no room
                os.write(descriptor, bytes(min(_CHUNK, size - begin)))
        except OSError:
            os.ftruncate(descriptor, length)
            return False
        finally:
            os.close(descriptor)
        return True


class SameFiles:
    """Whether the files that are written to are still those that the next server will read."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._log = database.with_name(f"{database.name}-wal")
        self._known = {path: _identity(path) for path in (self._database, self._log)}

    def __repr__(self) -> str:
        return f"<SameFiles {str(self._database)!r}>"

    def check(self) -> None:
        """Refuse to write to what no one will ever read.

        Raises:
            StoreError: a file was deleted, replaced or emptied.
        """
        for path, known in self._known.items():
            now = _identity(path)
            if known is None:
                self._known[path] = now  # SQLite has made its log since
            elif now is None or now[:2] != known[:2]:
                raise self._gone("deleted" if now is None else "replaced", path)
            elif path is self._database and known[2] and not now[2]:
                raise self._gone("emptied", path)

    def _gone(self, what: str, path: Path) -> StoreError:
        return StoreError(
            f"the database {str(self._database)!r} could not be written: {path.name!r} was {what} under the running "
            "server, so nothing that is asked of it now would be remembered",
            next_actions=(
                "put a backup in its place, if there is one",
                "then stop this server (ostler stop-server): the next one knows what the file has then",
                "without a backup it knows no service; ostler prune (--dry-run) then finds what still runs",
            ),
        )


def _identity(path: Path) -> tuple[int, int, int] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino, facts.st_size
