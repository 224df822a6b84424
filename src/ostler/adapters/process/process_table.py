"""The processes and listening sockets of the machine at one moment: who descends from whom, has what, and uses what.

Linux is asked in the ways that cost least where there are many processes and connections: psutil reads all of them for
each question.
"""

import os
import socket
import struct
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import psutil
from msgspec import Struct

from ostler.adapters.disk_room import is_scarcity

_PROC: Final = Path("/proc")

_HEADER: Final = struct.Struct("=IHHII")
"""Of a netlink message: its length and type, flags, number and sender."""

_ASKED: Final = struct.Struct("=BBBBI48x")
"""What sockets are asked for: their family and protocol, and a mask of their states."""

_ANSWERED: Final = struct.Struct("!4xHH16s16s")
"""What begins the answer about one socket: its port and that of its peer, its address and that of its peer."""

_WAITING_AT: Final = 56
_INODE_AT: Final = 68
_ANSWER_SIZE: Final = 72
"""After that come attributes."""

_ONLY_6: Final = 11
"""The attribute that says whether a socket is for IPv6 alone (INET_DIAG_SKV6ONLY); listening ones have it."""

_BY_FAMILY: Final = 20
_REQUEST_ALL: Final = 0x301
_DONE: Final = 3
_FAILED: Final = 2
_LISTENING: Final = ((socket.IPPROTO_TCP, 1 << 10), (socket.IPPROTO_UDP, 1 << 7))
"""Protocol → mask of the state in which a socket listens: of UDP, that it has no peer."""

_ESTABLISHED: Final = 1 << 1

_ANSWER_SECONDS: Final = 2.0


class Row(Struct, frozen=True):
    """One process.

    Attributes:
        parent: the pid of its parent.
        cpu_seconds: CPU time of it and of its children that have ended.
        memory_bytes: what it has in memory; pages that it shares with others count in full.
        is_zombie: it has ended, and its parent has not asked how.
    """

    parent: int
    cpu_seconds: float
    memory_bytes: int
    is_zombie: bool = False


class Usage(Struct, frozen=True):
    """What a tree of processes uses.

    Attributes:
        cpu_seconds: CPU time since the tree began, that of its ended processes included where the system knows it.
        memory_bytes: what all of them have in memory; pages that they share count in each.
        processes: how many there are.
    """

    cpu_seconds: float
    memory_bytes: int
    processes: int


def read_table() -> dict[int, Row]:
    """Return all processes by pid; some 4 ms for 300 of them on Linux. Blocks."""
    return dict(_linux_rows()) if sys.platform.startswith("linux") else _psutil_rows()


def trees_below(roots: Iterable[int], table: Mapping[int, Row]) -> dict[int, list[int]]:
    """Return the pids below each of `roots`, without the root; each belongs to the nearest root above it."""
    wanted = frozenset(roots)
    found: dict[int, list[int]] = {}
    for pid in table if wanted else ():
        if (root := _above(pid, table, wanted)) is not None:
            found.setdefault(root, []).append(pid)
    return found


@dataclass(frozen=True, slots=True)
class Bound:
    """A socket that others may reach: a TCP one that listens, or a UDP one without a peer.

    `waiting` is how many connections its program has not taken yet; 0 where that is not known. `over_4` is whether a
    TCP socket at `::` takes connections over IPv4, too; None where that is not known.
    """

    host: str
    port: int
    is_tcp: bool
    waiting: int = field(default=0, compare=False)
    over_4: bool | None = field(default=None, compare=False)


Place = tuple[str, int]
"""An address and a port."""

BoundSockets = Mapping[int, Bound] | None
"""By inode; None where the system has no list of them alone."""


def bound_sockets() -> BoundSockets:
    """Return the sockets of this machine that others may reach; a fraction of a millisecond. Blocks."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        return {
            one.inode: Bound(*one.at, is_tcp, one.waiting if is_tcp else 0, one.over_4 if is_tcp else None)
            for protocol, states in _LISTENING
            for is_tcp in (protocol == socket.IPPROTO_TCP,)
            for one in _diagnosed(protocol, states)
        }
    except (OSError, struct.error):
        return None


def connections_of(pids: Collection[int]) -> list[tuple[Place, Place]]:
    """Return the TCP connections that `pids` have open, each as its two ends, their own first. Blocks."""
    listed = _listed_connections(pids)
    if listed is not None:
        return listed
    found: list[tuple[Place, Place]] = []
    for pid in pids:
        with suppress(psutil.Error):
            connections = psutil.Process(pid).net_connections(kind="tcp")
            found += ((one.laddr, one.raddr) for one in connections if one.status == psutil.CONN_ESTABLISHED)
    return found


def _listed_connections(pids: Iterable[int]) -> list[tuple[Place, Place]] | None:
    """Return `connections_of` where the system has a list of them alone; else None."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        found = {one.inode: (one.at, one.peer) for one in _diagnosed(socket.IPPROTO_TCP, _ESTABLISHED)}
    except (OSError, struct.error):
        return None
    own: list[tuple[Place, Place]] = []
    for pid in pids:
        with suppress(psutil.Error):
            if (inodes := _sockets_of(pid)) is None:
                return None
            own += (found[inode] for inode in inodes if inode in found)
    return own


def bound_by(process: psutil.Process, sockets: BoundSockets) -> list[Bound]:
    """Return those of `sockets` that `process` has open; if those are unknown, its own are read. Blocks.

    Raises:
        psutil.Error: it has ended, or may not be inspected.
    """
    inodes = None if sockets is None else _sockets_of(process.pid)
    if sockets is not None and inodes is not None:
        return [sockets[inode] for inode in inodes if inode in sockets]
    found: list[Bound] = []
    for connection in process.net_connections(kind="inet"):
        is_tcp = connection.type == socket.SOCK_STREAM
        is_open = connection.status == psutil.CONN_LISTEN if is_tcp else not connection.raddr
        if is_open and connection.laddr:
            found.append(Bound(connection.laddr.ip, connection.laddr.port, is_tcp))
    return found


def holders_among(inodes: frozenset[int], pids: Iterable[int] | None = None) -> set[int | None]:
    """Return the processes that have one of the sockets `inodes` open, None for one without an owner. Blocks.

    Args:
        inodes: which.
        pids: the processes that are looked at; None: all.
    """
    found: set[int | None] = set()
    left = set(inodes)
    for pid in (psutil.pids() if pids is None else pids) if inodes else ():
        try:
            own = inodes.intersection(_sockets_of(pid) or ())
        except psutil.Error:
            continue
        if own:
            found.add(pid)
            left -= own
    if left:
        found.add(None)
    return found


def below(process: psutil.Process) -> list[psutil.Process]:
    """Return all processes below `process`, oldest first among brothers. Blocks.

    Raises:
        psutil.Error: it has ended.
    """
    pids = _children(process.pid)
    if pids is None:
        return process.children(recursive=True)
    found: list[psutil.Process] = []
    for pid in pids:
        try:
            child = psutil.Process(pid)
        except psutil.Error:
            continue
        found += [child, *(below(child) if _children(pid) else ())]
    return found


def usage_of(pids: Iterable[int], table: Mapping[int, Row]) -> Usage:
    """Return what `pids` use together."""
    rows = [table[pid] for pid in pids if pid in table]
    return Usage(
        sum(row.cpu_seconds for row in rows),
        sum(row.memory_bytes for row in rows),
        sum(not row.is_zombie for row in rows),
    )


class Work(NamedTuple):
    """What the threads of some processes have done.

    Attributes:
        ticks: the clock ticks that they have used, each 10 ms on most systems.
        turns: how often one of them was given a processor; None where the system does not count that.
    """

    ticks: int
    turns: int | None


def work_of(pids: Iterable[int]) -> Work | None:
    """Return what the threads of `pids` have done.

    None while one of them runs or waits for a disk, and where the system does not show threads. Blocks.
    """
    ticks, turns = 0, 0
    try:
        for pid in pids:
            for thread in os.listdir(f"{_PROC}/{pid}/task"):  # noqa: PTH208 (of a process that may go any moment)
                folder = f"{_PROC}/{pid}/task/{thread}"
                fields = _stat(folder)
                if fields[0] in (b"R", b"D"):
                    return None
                ticks += int(fields[11]) + int(fields[12])
                turns = None if turns is None or (given := _turns(folder)) is None else turns + given
    except OSError:  # also: one has ended meanwhile
        return None
    return Work(ticks, turns)


def _turns(folder: str) -> int | None:
    """Return how often a thread was given a processor; None where the kernel does not count that, or says 0 instead."""
    try:
        return int(Path(folder, "schedstat").read_bytes().split()[2]) or None
    except (OSError, IndexError, ValueError):
        return None


def _above(pid: int, table: Mapping[int, Row], wanted: frozenset[int]) -> int | None:
    seen: set[int] = set()
    while pid in table and pid not in seen:
        seen.add(pid)
        pid = table[pid].parent
        if pid in wanted:
            return pid
    return None


def _linux_rows() -> Iterable[tuple[int, Row]]:
    tick, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    with os.scandir(_PROC) as entries:
        for entry in entries:
            if not entry.name.isdecimal():
                continue
            try:
                fields = _stat(entry.path)
                yield (
                    int(entry.name),
                    Row(int(fields[1]), sum(map(int, fields[11:15])) / tick, int(fields[21]) * page, fields[0] == b"Z"),
                )
            except (OSError, ValueError, IndexError) as error:
                if is_scarcity(error):
                    raise
                continue  # it has ended meanwhile


def _children(pid: int) -> list[int] | None:
    """Return the children of `pid`; None where the system does not list them by process."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"{_PROC}/{pid}/task"):  # noqa: PTH208 (of a process that may go any moment)
            with Path(f"{_PROC}/{pid}/task/{thread}/children").open("rb") as file:
                found += map(int, file.read().split())
    except OSError:
        return None
    return found


def _sockets_of(pid: int) -> list[int] | None:
    """Return the inodes of the sockets that `pid` has open; None if its network is another one, as in a container.

    Raises:
        psutil.Error: it has ended, or may not be looked at.
    """
    found: list[int] = []
    folder = f"{_PROC}/{pid}"
    try:
        if os.readlink(f"{folder}/ns/net") != os.readlink(f"{_PROC}/self/ns/net"):  # noqa: PTH115 (it is no path)
            return None
        for name in os.listdir(f"{folder}/fd"):  # noqa: PTH208 (of a process that may go any moment)
            try:
                target = os.readlink(f"{folder}/fd/{name}")  # noqa: PTH115 (it is no path)
            except FileNotFoundError:
                continue
            if target.startswith("socket:["):
                found.append(int(target[8:-1]))
    except PermissionError:
        raise psutil.AccessDenied(pid) from None
    except OSError as error:
        if is_scarcity(error):
            raise
        raise psutil.NoSuchProcess(pid) from None
    return found


class _Diagnosed(NamedTuple):
    """A socket as the system lists it: its two ends, and of one that listens what `Bound` has."""

    inode: int
    at: Place
    peer: Place
    waiting: int
    over_4: bool | None


def _diagnosed(protocol: int, states: int) -> Iterator[_Diagnosed]:
    """Yield the sockets in these states, as `ss` asks for them.

    Raises:
        OSError: the system does not answer that.
    """
    for family in (socket.AF_INET, socket.AF_INET6):
        yield from _diagnosed_of(family, protocol, states)


def _diagnosed_of(family: int, protocol: int, states: int) -> Iterator[_Diagnosed]:
    size = 4 if family == socket.AF_INET else 16
    body = _ASKED.pack(family, protocol, 0, 0, states)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 4) as link:  # NETLINK_SOCK_DIAG
        link.settimeout(_ANSWER_SECONDS)
        link.send(_HEADER.pack(_HEADER.size + len(body), _BY_FAMILY, _REQUEST_ALL, 1, 0) + body)
        while True:
            data, at = link.recv(1 << 16), 0
            while at < len(data):
                length, kind, *_ = _HEADER.unpack_from(data, at)
                if kind == _DONE:
                    return
                if kind == _FAILED:
                    raise OSError(-struct.unpack_from("=i", data, at + _HEADER.size)[0], "sockets are not listed")
                start = at + _HEADER.size
                port, peer_port, address, peer = _ANSWERED.unpack_from(data, start)
                at_host, at_peer = (socket.inet_ntop(family, one[:size]) for one in (address, peer))
                (waiting,) = struct.unpack_from("=I", data, start + _WAITING_AT)
                (inode,) = struct.unpack_from("=I", data, start + _INODE_AT)
                is_only_6 = _attribute(data[start + _ANSWER_SIZE : at + length], _ONLY_6)
                over_4 = None if is_only_6 is None else is_only_6 == b"\0"
                yield _Diagnosed(inode, (at_host, port), (at_peer, peer_port), waiting, over_4)
                at += (length + 3) & ~3


def _attribute(rest: bytes, wanted: int) -> bytes | None:
    """Return the value of one of the attributes behind an answer; None if it is not there."""
    at = 0
    while at + 4 <= len(rest):
        length, kind = struct.unpack_from("=HH", rest, at)
        if kind == wanted:
            return rest[at + 4 : at + length]
        at += max((length + 3) & ~3, 4)
    return None


def _stat(folder: str) -> list[bytes]:
    """Return the fields after the name, which is in parentheses and may hold anything."""
    with Path(folder, "stat").open("rb") as file:
        return file.read().rpartition(b")")[2].split()


def _psutil_rows() -> dict[int, Row]:
    found: dict[int, Row] = {}
    for process in psutil.process_iter():
        try:
            with process.oneshot():
                is_zombie = process.status() == psutil.STATUS_ZOMBIE
                found[process.pid] = Row(process.ppid(), *_numbers(process), is_zombie)
        except psutil.Error:
            continue
    return found


def _numbers(process: psutil.Process) -> tuple[float, int]:
    """Return CPU seconds and bytes of memory; zero for a process of another user, where the system hides them."""
    try:
        times = process.cpu_times()
        return times.user + times.system, process.memory_info().rss
    except psutil.AccessDenied:
        return 0.0, 0
