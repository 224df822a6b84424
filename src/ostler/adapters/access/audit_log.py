"""The audit log: JSON lines, each on the disk before the caller goes on, in a bounded number of files."""

import errno
import json
import os
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

import anyio.to_thread

from ostler.adapters.atomic_files import not_written
from ostler.adapters.disk_room import free_bytes
from ostler.model.access import AuditSettings
from ostler.model.json import JsonMapping, parse_json
from ostler.model.moments import format_brief

FILE: Final = "audit.jsonl"
"""The current file, in the folder `audit` of the state folder; `audit.1.jsonl` is the one before it."""

RESERVE: Final = "reserve.jsonl"
"""The file next to it with the lines for which the disk had no room: blanks, in whose place they are written."""

RESERVE_BYTES: Final = 256 * 1024

_GIVING_BACK: Final = frozenset({"stop", "delete", "project"})
"""The actions that the reserve is for: others would use it up on a full disk, and are of no use there."""

STARTS: Final = "starts"
"""The key in lines of changes that start something."""

MAX_TEXT: Final = 2_000
"""Characters of one text in a line; what is beyond is cut."""


class AuditTrail(Protocol):
    """Where it is recorded what principals do."""

    async def record(self, facts: JsonMapping) -> None:
        """Record facts; durable when this returns. Raises StoreError."""
        ...


class AuditLog:
    """Appends to the current file, and begins another when that is full.

    What gives room back on a full disk is recorded in a reserve, whose lines are moved when there is room again.
    """

    def __init__(self, folder: Path, settings: AuditSettings) -> None:
        self._folder = folder
        self._path = folder / FILE
        self._max_bytes = int(settings.max_bytes)
        self._files = settings.files
        self._lock = threading.Lock()
        self._reserve = _Reserve(folder / RESERVE)

    def __repr__(self) -> str:
        return f"AuditLog({str(self._path)!r})"

    async def record(self, facts: JsonMapping) -> None:
        """Append a line with the time and `facts`; it is on the disk when this returns.

        Raises:
            StoreError: it cannot be written.
        """
        await anyio.to_thread.run_sync(self._write, _line(facts), facts.get("action") in _GIVING_BACK)

    def _write(self, line: bytes, gives_back: bool) -> None:
        with self._lock:
            try:
                self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                if self._reserve.held:
                    self._append(self._reserve.held)
                    self._reserve.clear()
                self._append(line)
                self._reserve.take()
            except OSError as error:
                is_full = error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None))
                if not (is_full and gives_back and self._reserve.write(line)):
                    raise not_written(self._path, error) from error

    def _append(self, lines: bytes) -> None:
        descriptor = self._open_for(len(lines))
        try:
            _append(descriptor, lines)
        finally:
            os.close(descriptor)

    def _open_for(self, size: int) -> int:
        descriptor = os.open(self._path, _FLAGS, 0o600)
        held = os.fstat(descriptor).st_size
        if not held or held + size <= self._max_bytes:
            return descriptor
        os.close(descriptor)
        self._rotate()
        return os.open(self._path, _FLAGS, 0o600)

    def _rotate(self) -> None:
        for number in range(self._files - 1, 0, -1):
            older = self._path if number == 1 else self._numbered(number - 1)
            if older.exists():
                older.replace(self._numbered(number))
        self._path.unlink(missing_ok=True)  # where one file is all that is kept

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"audit.{number}.jsonl")


class _Reserve:
    """A file that has its room on the disk before it is needed.

    Attributes:
        held: the lines that are in it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.held = b""
        with suppress(OSError):
            self.held = path.read_bytes().strip()
        self.held += b"\n" if self.held else b""

    def take(self) -> None:
        """Make the file, where the disk has enough room; one that is there is left as it is."""
        if self._path.exists():
            return
        with suppress(OSError):
            if free_bytes(self._path.parent) >= 2 * RESERVE_BYTES:
                self._put(_blanks(RESERVE_BYTES), 0)

    def write(self, line: bytes) -> bool:
        """Add a line; return whether it is on the disk."""
        if not self._path.exists() or len(self.held) + len(line) > RESERVE_BYTES:
            return False
        try:
            self._put(line, len(self.held))
        except OSError:
            return False
        self.held += line
        return True

    def clear(self) -> None:
        """Empty it; its lines are in the log.

        Raises:
            OSError: it cannot be written.
        """
        self._put(_blanks(len(self.held)), 0)
        self.held = b""

    def _put(self, data: bytes, offset: int) -> None:
        descriptor = os.open(self._path, _FLAGS & ~os.O_APPEND, 0o600)
        try:
            os.lseek(descriptor, offset, os.SEEK_SET)
            _write_all(descriptor, data)
        finally:
            os.close(descriptor)


def _blanks(size: int) -> bytes:
    """Return a line of `size` bytes: whoever reads the log goes through it as one, not as a thousand empty ones."""
    return b" " * (size - 1) + b"\n"


_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)


def _append(descriptor: int, line: bytes) -> None:
    """Append a line, and wait until it is on the disk; of one that does not fit, nothing is left.

    Raises:
        OSError: it cannot be written.
    """
    before = os.fstat(descriptor).st_size
    try:
        _write_all(descriptor, line)
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, before)
        raise


def _write_all(descriptor: int, data: bytes) -> None:
    """Write `data`, and wait until it is on the disk.

    Raises:
        OSError: it cannot be written; a part of it may be.
    """
    while data:  # a disk that is almost full takes a part, and says no to the rest
        data = data[os.write(descriptor, data) :]
    os.fsync(descriptor)


def _line(facts: JsonMapping) -> bytes:
    shown = {key: _cut(value) for key, value in facts.items() if value not in ("", None)}
    shown = {"at": format_brief(datetime.now(UTC)), **shown}
    return json.dumps(shown, ensure_ascii=False, default=str).encode("utf-8", "replace") + b"\n"


def _cut(value: object) -> object:
    return f"{value[:MAX_TEXT]}…" if isinstance(value, str) and len(value) > MAX_TEXT else value


def audit_files(folder: Path) -> Iterator[Path]:
    """Yield the files of the audit log that exist, oldest first; the last one may have a blank line."""
    numbered = sorted(folder.glob("audit.*.jsonl"), key=lambda path: -int(path.name.split(".")[1]))
    yield from numbered
    yield from (path for name in (FILE, RESERVE) if (path := folder / name).exists())


def recent_starts(folder: Path, seconds: float) -> dict[str, list[float]]:
    """Return how many seconds ago each principal started something, of the last `seconds`; blocks on the disk.

    What cannot be read counts as nothing: a log that cannot be written either stops the change itself.
    """
    now, found = datetime.now(UTC), defaultdict[str, dict[str, float]](dict)
    for file in audit_files(folder):
        with suppress(OSError):
            if now.timestamp() - file.stat().st_mtime < seconds:
                for line in file.read_bytes().splitlines():
                    _count(line, now, found)
    return {who: [age for age in ages.values() if 0 <= age < seconds] for who, ages in found.items()}


def _count(line: bytes, now: datetime, found: "defaultdict[str, dict[str, float]]") -> None:
    """Count a change that starts something by its id, and one that was refused not any more."""
    if f'"{STARTS}": true'.encode() not in line:
        return
    with suppress(ValueError, KeyError, TypeError):  # a line that was cut off
        facts = parse_json(line)
        ages = found[facts["who"]]
        if facts["outcome"] == "begun":
            ages[facts["id"]] = (now - datetime.fromisoformat(facts["at"])).total_seconds()
        elif facts["outcome"] == "refused":
            ages.pop(facts["id"], None)
