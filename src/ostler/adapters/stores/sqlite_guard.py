"""What protects the database from outside: room kept for stops on a full disk, and files that are still the same ones.

Everything here runs in the store's one worker thread.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from ostler.model.errors import StoreError

RESERVE_BYTES: Final = 2 * 1024 * 1024
"""Room on the disk that is kept for recording stops, deletes and ends of operations."""

_CHUNK: Final = 64 * 1024


class Reserve:
    """A file next to the database that takes room on the disk until it is needed."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(f"{database.name}-reserve")

    def __repr__(self) -> str:
        return f"<Reserve {str(self._path)!r}>"

    def hold(self) -> None:
        """Take the room, where there is enough of it; quick when it is taken already."""
        with suppress(OSError):
            if self._path.stat().st_size == RESERVE_BYTES:
                return
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError:
            return
        try:
            for _ in range(RESERVE_BYTES // _CHUNK):  # written, for a hole takes no room
                os.write(descriptor, bytes(_CHUNK))
        except OSError:
            self.release()
        finally:
            os.close(descriptor)

    def release(self) -> bool:
        """Give the room to whoever writes next; return whether there was any."""
        try:
            self._path.unlink()
        except OSError:
            return False
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
