"""The exclusive lock on a state folder: at most one server owns it, whatever starts at the same instant.

The kernel drops the lock with the process, so a crash leaves nothing to clean up. The file is never removed: a
removed lock file is one that two processes can hold.
"""

import json
import os
import sys
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

from ostler.faces.bridge.holder import read_holder
from ostler.faces.bridge.place import ServerPlace
from ostler.model.errors import StateLockedError

_FAR_BYTE: Final = 1 << 30
"""Windows locks bytes, and a locked byte cannot be read: one far behind the file's content is locked."""


class StateLock:
    """The lock, taken by entering it and released by leaving it, or by the end of the process."""

    def __init__(self, place: ServerPlace, *, version: str) -> None:
        self._place = place
        self._version = version
        self._descriptor = -1

    def __repr__(self) -> str:
        return f"<StateLock {self._place.lock_file}, {'held' if self._descriptor >= 0 else 'free'}>"

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.release()

    def acquire(self) -> None:
        """Take the lock and write who holds it.

        Raises:
            StateLockedError: another process holds it.
            StoreError: the state folder cannot be used.
            OSError: the lock file cannot be written.
        """
        self._place.paths.create_state()
        descriptor = os.open(self._place.lock_file, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            _lock(descriptor)
        except OSError:
            os.close(descriptor)
            holder = read_holder(self._place)
            raise StateLockedError(str(self._place.state_dir), str(holder) if holder else "") from None
        facts = {
            "pid": os.getpid(),
            "version": self._version,
            "started": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        }
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps(facts).encode() + b"\n")
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the folder up; safe to repeat."""
        if self._descriptor < 0:
            return
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)
        self._descriptor = -1


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, _FAR_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
