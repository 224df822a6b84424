"""Processes as the operating system sees them: identity beyond the pid, whole trees, signals.

A pid alone proves nothing, as it is given to another process after the first one ended. A process is taken for ours
when it has the pid and the creation time that were written down and does not carry another run's token, or when it
carries the run's token.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from pathlib import Path

import psutil
from msgspec import Struct

from ostler.adapters.process.process_table import Row, below, bound_by, bound_sockets, read_table, trees_below
from ostler.adapters.process.records import ProcessRecord, Relative
from ostler.model.marks import TOKEN_VARIABLE

BIRTH_TOLERANCE = 0.02
"""Seconds by which the readings of one process's birth may differ: two ticks of the kernel's clock."""

CLOCK_STEP = 5.0
"""Seconds by which the wall clock may have been set between two readings of a birth since boot.

A bound, because after another boot a stranger may have the same pid and the same time since boot. Larger steps are
bridged by the token.
"""

MAX_FAMILY = 128
"""Descendants of one run that are remembered, the newest."""


class Birth(Struct, frozen=True):
    """When a process was created.

    Attributes:
        created: seconds since the epoch. On Linux it follows the wall clock when that is set.
        since_boot: seconds since the boot, which never change; None where the system does not count so.
    """

    created: float
    since_boot: float | None

    @classmethod
    def of(cls, process: psutil.Process) -> "Birth":
        """Read it.

        Raises:
            psutil.Error: the process is gone, or may not be inspected.
        """
        if not sys.platform.startswith("linux"):
            return cls(process.create_time(), None)
        while True:
            boot = psutil.boot_time()
            created = psutil.Process(process.pid).create_time()  # a fresh one: psutil keeps the first reading
            if psutil.boot_time() == boot:  # not set in between
                return cls(created, round(created - boot, 3))

    def is_same(self, other: "Birth") -> bool:
        """Return whether both can be readings of one process's birth."""
        apart = abs(self.created - other.created)
        if self.since_boot is None or other.since_boot is None:
            return apart <= BIRTH_TOLERANCE
        return abs(self.since_boot - other.since_boot) <= BIRTH_TOLERANCE and apart <= CLOCK_STEP


class Liveness(Enum):
    """Whether a recorded process is there."""

    ALIVE = "alive"
    GONE = "gone"
    UNKNOWN = "unknown"
    """The system does not let us inspect it."""


def token_of(process: psutil.Process) -> str | None:
    """Return the run's token that `process` carries, None when it carries none or cannot be inspected."""
    try:
        return process.environ().get(TOKEN_VARIABLE)
    except (psutil.Error, OSError, ValueError):
        return None


def status_of(process: psutil.Process) -> str | None:
    """Return the status of `process` as psutil names it, empty if it may not be inspected; None: it has ended.

    A zombie, which only waits to be reaped, has ended, unless it is the first thread of a program that goes on without.
    """
    try:
        if not process.is_running():
            return None
        status = process.status()
        return None if status == psutil.STATUS_ZOMBIE and not _has_threads(process.pid) else status
    except psutil.NoSuchProcess:
        return None
    except psutil.Error:
        return ""


def is_gone(process: psutil.Process) -> bool:
    """Return whether `process` has ended."""
    return status_of(process) is None


def is_frozen(process: psutil.Process) -> bool:
    """Return whether a signal such as SIGSTOP has stopped `process`, which does nothing until it gets SIGCONT."""
    return status_of(process) == psutil.STATUS_STOPPED


def _has_threads(pid: int) -> bool:
    """Return whether more than one thread of `pid` is there; False where the system does not list them."""
    try:
        return len(os.listdir(f"/proc/{pid}/task")) > 1  # noqa: PTH208 (of a process that may go any moment)
    except OSError:
        return False


def liveness(record: ProcessRecord) -> tuple[Liveness, psutil.Process | None]:
    """Return whether the main process of `record` is alive, and the process itself if it can be inspected."""
    if record.pid is None or record.created is None:
        return Liveness.UNKNOWN, None
    try:
        process = psutil.Process(record.pid)
        birth = Birth.of(process)
    except psutil.NoSuchProcess:
        return Liveness.GONE, None
    except psutil.AccessDenied:
        return Liveness.UNKNOWN, None
    if is_gone(process):
        return Liveness.GONE, process
    token = token_of(process)
    if token == record.token or (token is None and birth.is_same(Birth(record.created, record.since_boot))):
        return Liveness.ALIVE, process
    return Liveness.GONE, None


def find_process(pid: int | None, created: float | None, since_boot: float | None) -> psutil.Process | None:
    """Return the process with this pid and birth; None when it has ended, or another has its pid by now."""
    if pid is None or created is None:
        return None
    try:
        process = psutil.Process(pid)
        is_same = Birth.of(process).is_same(Birth(created, since_boot))
    except psutil.Error:
        return None
    return process if is_same and not is_gone(process) else None


def keeper_of(record: ProcessRecord) -> psutil.Process | None:
    """Return the keeper of `record` while it is there: it stays as long as anything of the run does."""
    return find_process(record.keeper, record.keeper_created, record.keeper_since_boot)


def successor_of(record: ProcessRecord, fits: Callable[[psutil.Process], bool]) -> psutil.Process | None:
    """Return the oldest process that the ended main process of `record` has left to its keeper; None: it left none.

    Args:
        record: of the process.
        fits: whether what is left may take the place of the main process.
    """
    keeper = keeper_of(record)
    if keeper is None:
        return None
    try:
        left = [child for child in keeper.children() if child.pid != record.pid and not is_gone(child) and fits(child)]
        return min(left, key=lambda child: child.create_time(), default=None)
    except psutil.Error:
        return None


def listening_ports(process: psutil.Process) -> set[int]:
    """Return the TCP ports at which `process` itself listens."""
    try:
        return {one.port for one in bound_by(process, bound_sockets()) if one.is_tcp}
    except psutil.Error:
        return set()


def family_ports(process: psutil.Process) -> set[int]:
    """Return the TCP ports at which `process` or one below it listens."""
    try:
        return set[int]().union(*map(listening_ports, [process, *below(process)]))
    except psutil.Error:
        return set()


def holds_open(process: psutil.Process, path: Path) -> bool:
    """Return whether `process` or one below it has the named pipe `path` open; True when that cannot be seen."""
    if not path.exists():
        return True
    try:
        return any(str(path) in _opened_by(one) for one in (process, *below(process)))
    except (FileNotFoundError, psutil.NoSuchProcess):
        return False
    except (OSError, psutil.Error):
        return True


def _opened_by(process: psutil.Process) -> set[str]:
    """Return the paths that a process has open.

    Raises:
        OSError: it has ended, or is another user's.
        psutil.Error: the same.
    """
    if sys.platform != "linux":
        return {opened.path for opened in process.open_files()}
    found: set[str] = set()
    for opened in Path(f"/proc/{process.pid}/fd").iterdir():  # psutil leaves pipes out
        with contextlib.suppress(FileNotFoundError):
            found.add(str(opened.readlink()))
    return found


def all_bearers() -> dict[str, list[psutil.Process]]:
    """Return the processes that carry a token, oldest first, by token; reads all processes of the machine."""
    found: dict[str, list[tuple[float, psutil.Process]]] = {}
    for pid in psutil.pids():
        try:
            process = psutil.Process(pid)
            token = token_of(process)
            if token is not None and not is_gone(process):
                found.setdefault(token, []).append((process.create_time(), process))
        except psutil.Error:
            continue
    return {
        token: [process for _, process in sorted(bearers, key=lambda item: item[0])] for token, bearers in found.items()
    }


def leader_of(processes: Iterable[psutil.Process]) -> psutil.Process | None:
    """Return the one of `processes` (oldest first) that was spawned by us: it leads its group."""
    candidates = list(processes)
    for process in candidates:
        if os.name == "posix" and _group_of(process) == process.pid:
            return process
    return candidates[0] if candidates else None


class ProcessTree(Struct):
    """The processes of one run: what is or was below its keeper, its session, and all that carry its token.

    Attributes:
        token: the run's token.
        members: by pid; it only grows, so that a process whose parent died in between is still known.
        group: the process group of the run, where there are groups.
        keeper: what adopts descendants whose parent has ended; no member.
    """

    token: str
    members: dict[int, psutil.Process]
    group: int | None
    keeper: psutil.Process | None = None

    @classmethod
    def of(cls, record: ProcessRecord) -> "ProcessTree":
        """Collect the tree of `record`; reads all processes of the machine."""
        group = record.pid if os.name == "posix" else None
        tree = cls(token=record.token, members={}, group=group, keeper=keeper_of(record))
        state, main = liveness(record)
        if state is Liveness.ALIVE and main is not None:
            tree.members[main.pid] = main
        elif group is not None and psutil.pid_exists(group) and not (main is not None and is_gone(main)):
            tree.group = None  # the number is another's by now
        for relative in record.family:
            process = find_process(*relative)
            if process is not None and token_of(process) in (None, record.token):
                tree.members[process.pid] = process
        tree.grow()
        return tree

    def grow(self) -> None:
        """Look again for descendants, members of the session and bearers of the token."""
        for process in all_bearers().get(self.token, []):
            self.members.setdefault(process.pid, process)
        for process in self._of_session():
            self.members.setdefault(process.pid, process)
        roots = [*self.survivors(), *([] if self.keeper is None or is_gone(self.keeper) else [self.keeper])]
        for pids in trees_below([root.pid for root in roots], read_table()).values():
            for pid in pids:
                with contextlib.suppress(psutil.Error):
                    self.members.setdefault(pid, psutil.Process(pid))

    def _of_session(self) -> Iterator[psutil.Process]:
        """Yield the processes of the run's session; its number is no one else's while one of them is there."""
        if sys.platform == "win32" or self.group is None:
            return
        for pid in psutil.pids():
            with contextlib.suppress(OSError, psutil.Error):
                if os.getsid(pid) == self.group:
                    yield psutil.Process(pid)

    def survivors(self) -> list[psutil.Process]:
        """Return the members that have not ended."""
        return [process for process in self.members.values() if not is_gone(process)]

    def send(self, number: int) -> list[int]:
        """Send a signal to the group and to the members outside it; return the pids that it was meant for.

        The group is signalled only while a member is known to be in it: its number might be another's otherwise.
        """
        alive = self.survivors()
        inside = {process.pid for process in alive if self.group is not None and _group_of(process) == self.group}
        if inside and self.group is not None and sys.platform != "win32":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.group, number)
        for process in alive:
            if process.pid in inside:
                continue
            with contextlib.suppress(psutil.Error, ProcessLookupError, PermissionError, ValueError):
                process.send_signal(number)
        self._continue(alive, number)
        return [process.pid for process in alive]

    @staticmethod
    def _continue(processes: Iterable[psutil.Process], number: int) -> None:
        """Continue those that a signal has stopped: until then they take no other signal than SIGKILL."""
        if sys.platform == "win32" or number in (signal.SIGKILL, signal.SIGSTOP):
            return
        for process in processes:
            if is_frozen(process):
                with contextlib.suppress(psutil.Error, ProcessLookupError, PermissionError):
                    process.send_signal(signal.SIGCONT)

    def kill(self) -> list[int]:
        """End the members at once and return the pids that it was meant for."""
        if sys.platform != "win32":
            return self.send(signal.SIGKILL)
        alive = self.survivors()
        for process in alive:
            with contextlib.suppress(psutil.Error):
                process.kill()
        return [process.pid for process in alive]


def graceful_signal(name: str) -> int:
    """Return the number of the signal `name` (with or without SIG).

    On Windows, where a console group only knows CTRL_BREAK, that is the number for every name.

    Raises:
        ValueError: there is no such signal.
    """
    full = name if name.startswith("SIG") else f"SIG{name}"
    try:
        number = signal.Signals[full]
    except KeyError:
        if sys.platform == "win32" and full in {"SIGKILL", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2"}:
            return signal.CTRL_BREAK_EVENT
        raise ValueError(f"{name!r} is not a signal of this system; use SIGTERM, SIGINT, SIGQUIT or SIGHUP") from None
    if sys.platform == "win32":
        return signal.CTRL_BREAK_EVENT
    return number


def signal_name(number: int) -> str:
    """Return the name of a signal, such as SIGKILL."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _group_of(process: psutil.Process) -> int | None:
    if sys.platform == "win32":
        return None
    try:
        return os.getpgid(process.pid)
    except (ProcessLookupError, PermissionError):
        return None


def root_of(record: ProcessRecord, table: Mapping[int, Row]) -> int | None:
    """Return what the processes of `record` are below in `table`: its keeper, or without it the main process."""
    for pid in (record.keeper, record.pid):
        if pid is not None and pid in table and not table[pid].is_zombie:
            return pid
    return None


def families_of(roots: Iterable[int], table: Mapping[int, Row]) -> dict[int, list[Relative]]:
    """Return what is below each of `roots` in `table`, oldest first. Blocks.

    A program may overwrite its environment, and change its session. When its keeper is killed together with it, what is
    left then belongs to no one, and is known only by having been seen: by pid and birth.
    """
    found: dict[int, list[Relative]] = {}
    for root, pids in trees_below(roots, table).items():
        relatives = [one for pid in pids if (one := _relative(pid, table[pid].parent)) is not None]
        found[root] = sorted(relatives, key=lambda one: one.created)[-MAX_FAMILY:]
    return found


def with_family(known: tuple[Relative, ...], family: Iterable[Relative]) -> tuple[Relative, ...]:
    """Return `known` with those of `family` that are not in it, the newest at the end."""
    births = {relative.pid: Birth(relative.created, relative.since_boot) for relative in known}
    new = [one for one in family if one.pid not in births or not births[one.pid].is_same(Birth(*one[1:]))]
    return (*known, *new)[-MAX_FAMILY:]


def _relative(pid: int, parent: int) -> Relative | None:
    """Return `pid` with its birth; None when another process has the number by now."""
    try:
        process = psutil.Process(pid)
        birth = Birth.of(process)
        is_same = process.ppid() == parent
    except psutil.Error:
        return None
    return Relative(pid, birth.created, birth.since_boot) if is_same else None
