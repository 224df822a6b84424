"""What is written down about each process, so that it is found again after Ostler's own death.

The folder holds `records/<key>-<digest>.json` and `logs/<key>-<digest>.log` (with one older part, `.log.1`); the
digest keeps keys apart that a file system would take for one; `.log.parts` says at which byte of the run's output the
two begin. `endings/<token>` has what the keeper of a run saw end, `endings/<token>.in` and `.out` are the named pipes
of the run's input and output, `ports.json` has the port that each key had last, `owner` the id of the folder.
Files are 0600, folders 0700. A record is written whole to a temporary file, synced and renamed, so a reader sees the
old one or the new one.
"""

import contextlib
import hashlib
import os
import secrets
import time
from collections.abc import Container, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ostler.adapters.disk_room import free_bytes, is_scarcity
from ostler.adapters.process.contract import KEY_PATTERN, StdinKind
from ostler.adapters.process.kept_ports import KeptPorts
from ostler.adapters.process.marks import owner_of
from ostler.model.errors import StoreError

READABLE_KEY_LENGTH = 60
MAX_RECORD_BYTES = 1024 * 1024
_SAMPLE_BYTES = 4096
KEPT_EXITED = 200
"""Records of exited processes that are kept; the oldest go first."""

KEPT_BYTES = 512 * 1024 * 1024
"""Of logs of exited processes, in all; the oldest go first, with their records."""

KEPT_SECONDS = 7 * 86400.0
"""How long the record and log of an exited process are kept."""


class Relative(NamedTuple):
    """A process that was seen below a keeper: its pid, and its birth as in `ProcessRecord`."""

    pid: int
    created: float
    since_boot: float | None


class WatchedLog(NamedTuple):
    """How far a log was read for lines that report trouble, or its end: the two patterns, and what the last one was.

    Attributes:
        patterns: of trouble, and of its end if there is one.
        position: offset in the run's output where the next look begins.
        line: the one that reports the trouble; empty: there is none.
        at: when it was written at the latest, in seconds since the epoch.
    """

    patterns: tuple[str, str | None]
    position: int = 0
    line: str = ""
    at: float = 0.0


class ProcessRecord(BaseModel):
    """One run of one key.

    Attributes:
        token: random, unique to the run; the process and its children carry it in their environment.
        digest: of what was run, to tell the same request from another one. Salted, as environments hold secrets.
        pid: None from before the spawn until its pid was written down.
        created: the process's creation time as psutil gives it.
        since_boot: the same, counted from the boot, where the system can say that.
        log_base: bytes of the log that are gone, where its `.parts` does not say that; offsets in the log count from
            the run's first byte.
        seen: log patterns that were found in this run (a line may have been rotated away since).
        matched: what the named groups of those patterns found.
        watched: what was last found by log patterns that report trouble, as of the last change.
        exited_at: when the exit was noticed; None while it runs.
        swept: after the exit, children that were left over have been ended.
        port: where it listens; `asked_port` is the one that it was given, when it took another one.
        keeper, keeper_created, keeper_since_boot: pid and birth of the keeper, which is its parent and writes down how
            it ended; None on Windows.
        family: descendants that were seen, for when the keeper is killed as well.
        cwd: the folder that it runs in.
        user: the user that it runs as, when that was asked for.
        stdin: what its standard input is.
        forked: the program that was started has ended well and left others in its place; `pid` is the oldest of them.
        ends: its end was to be waited for, so what it leaves does not take its place.
        stays: it was to become ready or to stay for some seconds, so an early end with 0 can be its way to the
            background.
        memory_limit: bytes that it and what it started may have in memory; killed_for: why Ostler has killed it, or
            the kernel, by its log.
        killed_amid: what else the kernel killed when it was killed, where it does not say which.
        environment: what it was started in, without what the request set; for another start without a caller.
        service: the id of the service that it was started for; empty where someone called the tool on their own.
    """

    model_config = ConfigDict(defer_build=True, frozen=True, extra="ignore")

    key: Annotated[str, Field(pattern=KEY_PATTERN)]
    token: Annotated[str, Field(min_length=16)]
    digest: str
    command: str
    started_at: datetime
    stop_signal: str
    stop_timeout: float
    log_max_bytes: int
    host: str
    cwd: str
    port: int | None = None
    asked_port: int | None = None
    pid: int | None = None
    created: float | None = None
    since_boot: float | None = None
    keeper: int | None = None
    keeper_created: float | None = None
    keeper_since_boot: float | None = None
    user: str | None = None
    stdin: StdinKind = "pipe"
    forked: bool = False
    ends: bool = False
    stays: bool = False
    family: tuple[Relative, ...] = ()
    log_base: int = 0
    seen: tuple[str, ...] = ()
    matched: Mapping[str, str] = {}
    watched: tuple[WatchedLog, ...] = ()
    exited_at: datetime | None = None
    exit_code: int | None = None
    exit_signal: str | None = None
    swept: bool = False
    memory_limit: int | None = None
    killed_for: str = ""
    killed_amid: str = ""
    environment: Annotated[Mapping[str, str] | None, Field(repr=False)] = None
    service: str = ""


class RecordFolder:
    """The files of one process server. Methods block; call them in a thread.

    Attributes:
        ports: which port each key had last.
        owner: the folder's id, which all processes carry; known once it is prepared.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._records = root / "records"
        self._logs = root / "logs"
        self._endings = root / "endings"
        self.ports = KeptPorts(root / "ports.json")
        self.owner = ""

    def __repr__(self) -> str:
        return f"RecordFolder({str(self._root)!r})"

    def prepare(self) -> None:
        """Make the folders, private to the user, and remove temporary files of a crash.

        Raises:
            StoreError: they cannot be made or written.
        """
        try:
            for folder in (self._root, self._records, self._logs, self._endings):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                if folder.stat().st_mode & 0o077:
                    folder.chmod(0o700)
            for leftover in (*self._records.glob("*.tmp"), *self._root.glob(".*.tmp")):
                leftover.unlink(missing_ok=True)
            self.ports.load()
            self.owner = owner_of(self._root)
        except OSError as error:
            raise StoreError(
                f"the process server cannot use its folder {self._root}: {error}",
                next_actions=("make it writable, or choose another state folder",),
            ) from error

    def load(self) -> Iterator[ProcessRecord]:
        """Yield every record that can be read; a damaged file is set aside as `.bad`, never guessed at."""
        for path in sorted(self._records.glob("*.json")):
            try:
                if path.stat().st_size > MAX_RECORD_BYTES:
                    raise ValueError("too large")  # noqa: TRY301 (handled like every other kind of damage)
                record = ProcessRecord.model_validate_json(path.read_bytes())
                if self._record_path(record.key) != path:
                    raise ValueError("belongs to another key")  # noqa: TRY301
            except (OSError, ValueError, ValidationError):
                with contextlib.suppress(OSError):
                    path.replace(path.with_suffix(".bad"))
                continue
            yield record

    def write(self, record: ProcessRecord) -> None:
        """Write `record`, durable on return.

        Raises:
            StoreError: the disk refused; the earlier record is untouched.
        """
        path = self._record_path(record.key)
        temporary = path.with_suffix(f".{secrets.token_hex(4)}.tmp")  # two threads may write one record
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(record.model_dump_json(exclude_defaults=True).encode())
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            self._sync_folder()
        except OSError as error:
            raise self._refusal(record.key, error) from error

    def check_room(self, key: str) -> None:
        """Write about as much as a start of `key` does, and remove it again.

        Raises:
            StoreError: the disk refused, as it would refuse the start.
        """
        try:
            for folder in (self._records, self._logs, self._endings):
                sample = folder / f"{_file_stem(key)}.tmp"
                try:
                    sample.write_bytes(bytes(_SAMPLE_BYTES))
                finally:
                    sample.unlink(missing_ok=True)
        except OSError as error:
            if not is_scarcity(error):  # that passes
                raise self._refusal(key, error) from error

    def _refusal(self, key: str, error: OSError) -> StoreError:
        return StoreError(
            f"the record of process {key!r} cannot be written: {error}",
            next_actions=(f"free space in, or fix the permissions of, {self._root}",),
        )

    def remove(self, key: str) -> None:
        """Remove the record and logs of `key`; files that cannot be removed are left for a later time."""
        with contextlib.suppress(OSError):
            self._record_path(key).unlink(missing_ok=True)
        self.remove_log(key)

    def remove_log(self, key: str) -> None:
        """Remove the logs of `key`, whose program has ended; files that cannot be removed are left."""
        for path in _files_of(self.log_path(key)):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def free_bytes(self) -> int:
        """Return how much room the disk with the logs has.

        Raises:
            OSError: it does not say.
        """
        return free_bytes(self._logs)

    def endings_path(self, token: str) -> Path:
        """Return where the keeper of the run `token` writes down how its processes end."""
        return self._endings / token

    def forget_ending(self, token: str) -> None:
        """Remove what the keeper of the run `token` wrote, which is in the record now, and its named pipes."""
        endings = self.endings_path(token)
        for path in (endings, input_path(endings), output_path(endings)):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def forget_endings(self, kept: Container[str]) -> None:
        """Remove what keepers made for runs that are not among the tokens `kept`."""
        with contextlib.suppress(OSError):
            for path in self._endings.iterdir():
                if path.stem not in kept:
                    path.unlink(missing_ok=True)

    def forget_logs(self, kept: Iterable[str]) -> None:
        """Remove logs that belong to none of the keys `kept` and have not grown for `KEPT_SECONDS`."""
        names = {path.name for key in kept for path in _files_of(self.log_path(key))}
        with contextlib.suppress(OSError):
            for path in self._logs.iterdir():
                if path.name not in names and time.time() - path.stat().st_mtime > KEPT_SECONDS:
                    path.unlink(missing_ok=True)

    def log_path(self, key: str) -> Path:
        """Return where the output of `key` goes."""
        return self._logs / f"{_file_stem(key)}.log"

    def _record_path(self, key: str) -> Path:
        return self._records / f"{_file_stem(key)}.json"

    def _sync_folder(self) -> None:
        if os.name != "posix":  # elsewhere a folder cannot be opened, and the rename is durable on its own
            return
        descriptor = os.open(self._records, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def previous_part(log: Path) -> Path:
    """Return where the part of `log` from before its rotation, or from the run before, is kept."""
    return log.with_name(log.name + ".1")


def parts_path(log: Path) -> Path:
    """Return what says at which byte of the run's output the two files of its log begin; see `keeper`."""
    return log.with_name(log.name + ".parts")


def input_path(endings: Path) -> Path:
    """Return the named pipe through which the run with these `endings` gets its input."""
    return endings.with_name(f"{endings.name}.in")


def output_path(endings: Path) -> Path:
    """Return the named pipe that the run with these `endings` writes to."""
    return endings.with_name(f"{endings.name}.out")


def _files_of(log: Path) -> tuple[Path, ...]:
    begun = log.with_name(log.name + ".new")  # by a keeper that was killed just then
    return log, previous_part(log), parts_path(log), begun


def _file_stem(key: str) -> str:
    # "+" is in no key, so no key can be crafted to look like another key's file; a leading dot would hide the file.
    readable = key[:READABLE_KEY_LENGTH].replace(".", "_")
    return f"{readable}+{hashlib.sha256(key.encode()).hexdigest()[:16]}"
