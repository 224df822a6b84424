"""The exclusive lock on a state folder: at most one server owns it, whatever starts at the same instant.

The kernel drops the lock with the process, so a crash leaves nothing to clean up. The file is never removed: a
removed lock file is one that two processes can hold. When someone removes it with the whole folder, the server that
held it ends; until then, on Linux, a name that no file holds keeps a second one out. Another such name keeps out a
server of a copy of the folder: both would take the same processes for theirs.
"""

import errno
import hashlib
import json
import os
import socket
import struct
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from ostler.adapters.process.marks import owner_of
from ostler.faces.bridge.holder import Holder, read_holder
from ostler.faces.bridge.place import ServerPlace
from ostler.model.errors import StateLockedError, StoreError

_CONTENT_BYTES: Final = 128
"""Size of the file's content, filled up with spaces, so that it is replaced as a whole."""

_MOST_ASKING: Final = 4096
"""Processes that can learn who has a name: each takes a place in the queue of its socket for good."""

_FAR_BYTE: Final = 1 << 30
"""Windows locks bytes, and a locked byte cannot be read: one far behind the file's content is locked."""


class StateLock:
    """The lock, taken by entering it and released by leaving it, or by the end of the process."""

    def __init__(self, place: ServerPlace, *, version: str, stands_by: bool = False) -> None:
        """Prepare to lock `place`; with `stands_by`, for a server that waits until another one ends."""
        self._place = place
        self._version = version
        self._stands_by = stands_by
        self._facts: dict[str, object] = {}
        self._descriptor = -1
        self._names: list[socket.socket] = []
        self.left_by: Holder | None = None
        """The server that had the folder before, if that ended without giving it up: it was killed, or crashed."""

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
            StoreError: the state folder cannot be used, or is a copy of that of a running server.
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
        try:
            self._take_names()
        except BaseException:
            self._drop_names()
            os.close(descriptor)
            raise
        self.left_by = read_holder(self._place)
        self._facts = {
            "pid": os.getpid(),
            "version": self._version,
            "started": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        }
        self._descriptor = descriptor
        self._write(json.dumps({**self._facts, "standby": True} if self._stands_by else self._facts))

    def serve(self) -> None:
        """Say that the server, if it stood by, does so no longer."""
        if self._stands_by:
            self._stands_by = False
            self._write(json.dumps(self._facts))

    @property
    def is_of_folder(self) -> bool:
        """Whether the lock's file is still the one in the state folder; False once it was deleted or replaced."""
        try:
            there, held = self._place.lock_file.stat(), os.fstat(self._descriptor)
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino)

    def release(self) -> None:
        """Give the folder up; safe to repeat."""
        if self._descriptor < 0:
            return
        self._drop_names()
        self._write("")
        os.close(self._descriptor)
        self._descriptor = -1

    def _take_names(self) -> None:
        folder = os.path.realpath(self._place.state_dir)
        try:
            self._take_name(hashlib.sha256(os.fsencode(folder)).hexdigest()[:32])
        except _NameTakenError:
            raise StateLockedError(str(self._place.state_dir), "whose files were deleted; it is about to end") from None
        identity = ""
        with suppress(StoreError):  # a full disk: the copy of a folder that never had an id is no danger
            identity = owner_of(self._place.paths.process_dir)
        try:
            if identity:
                self._take_name(f"id/{identity}")
        except _NameTakenError as taken:
            raise _is_copy(self._place.state_dir, taken.pid) from None

    def _take_name(self, name: str) -> None:
        """Take a name that lives and dies with this process, if the system has such names.

        Raises:
            _NameTakenError: another process of this user has it.
        """
        if sys.platform != "linux":
            return
        full = f"\0ostler/{os.getuid()}/{name}"
        holder = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            holder.bind(full)
            holder.listen(_MOST_ASKING)
        except OSError:
            holder.close()
            pid, user = _holder_of(full)
            if user in (os.getuid(), None):
                raise _NameTakenError(pid) from None
            return  # a stranger sits on it: the lock's file is what counts
        self._names.append(holder)

    def _drop_names(self) -> None:
        while self._names:
            self._names.pop().close()

    def _write(self, text: str) -> None:
        """Say who holds the lock: in place, which needs no room. Without it, the first time, the lock alone counts."""
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        try:
            os.write(self._descriptor, text.encode().ljust(_CONTENT_BYTES - 1) + b"\n")
        except OSError as exc:
            if exc.errno != errno.ENOSPC:
                raise


class _NameTakenError(Exception):
    """Another process of this user has the name: `pid`, which is 0 if that is unknown."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        super().__init__(pid)


def _holder_of(name: str) -> tuple[int, int | None]:
    """Return the process that has `name`, and its user; 0 and None when no one says."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(1)
        try:
            asking.connect(name)
            facts = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        except OSError:
            return 0, None
    pid, user, _ = struct.unpack("3i", facts)
    return pid, user


def _is_copy(folder: str, pid: int) -> StoreError:
    """Return why no server may run in `folder`: process `pid` (0: unknown) serves another one with the same id."""
    import shlex

    words: list[str] = []
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    given = words[words.index("--state") + 1] if "--state" in words[:-1] else ""
    other = given if Path(given).is_absolute() else ""
    end = (
        f"ostler --state {shlex.quote(other)} stop-server"
        if other
        else f"end {f'process {pid}' if pid else 'that one'}"
    )
    return StoreError(
        f"the state folder {folder!r} has the same id as {repr(other) if other else 'that'} of a server that runs"
        + (f" as pid {pid}" if pid else "")
        + ": one is a copy of the other, and both servers would start and stop the same services",
        next_actions=(
            f"{end}, then use this folder",
            "or remove everything in this folder, which makes it one of its own, without services",
        ),
    )


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
