"""Who listens where: the sockets of a process's own tree, and the holder of a port that is not among them."""

import contextlib
from collections.abc import Callable, Iterable, Sequence

import anyio
import anyio.to_thread
import psutil
from msgspec import Struct

from ostler.adapters.process.known_process import Entry
from ostler.adapters.process.ports import OTHER_PORTS, address_of, is_free
from ostler.adapters.process.process_table import Bound, Work, below, bound_by, bound_sockets, holders_among, work_of
from ostler.adapters.process.trees import find_process, is_frozen, keeper_of
from ostler.model.errors import ConflictError

ELSEWHERE_SECONDS = 2.0
"""How long a process may listen elsewhere only, before its other ports are asked instead of the one it was given."""

STARTING_SECONDS = 0.5
"""Between readings of all that a starting process listens on, while nothing answers at its port."""

_ANY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104 (compared with, never bound)

_LOOPBACKS = {"localhost": ("127.0.0.1", "::1")}

_CONTAINER_TOOLS = frozenset({"docker", "podman", "nerdctl", "docker-compose", "podman-compose", "finch", "colima"})
_CONTAINER_PROXIES = (
    "docker-proxy",
    "rootlessport",
    "com.docker",
    "vpnkit",
    "limactl",
    "gvproxy",
    "pasta",
    "slirp4netns",
)
"""Programs that hold the ports of containers for those who run `docker run` and the like."""

_OTHER_PLACES = _CONTAINER_TOOLS | {"ssh", "kubectl", "oc", "vagrant", "multipass", "lxc", "flyctl", "adb"}
"""Programs whose output may be that of a program in another place, with ports of its own."""


class Listener(Struct, frozen=True):
    """One listening socket: a TCP one, or a bound UDP one."""

    host: str
    port: int
    pid: int
    is_tcp: bool = True

    @property
    def address(self) -> str:
        """How to reach it from this machine, as in a URL: `127.0.0.1:8080`, `[::1]:8080`."""
        return address_of(self.host, self.port)


_LISTENING = "00010000"
"""The flags of a Unix socket that listens, in the system's list."""


class Holder(Struct, frozen=True):
    """Who holds a port: a program, and the key of the process that it belongs to if it was started here."""

    pid: int | None
    program: str
    key: str = ""

    def __str__(self) -> str:
        if self.pid is None:
            return "a process that Ostler may not inspect"
        return f"{self.program} (pid {self.pid}" + (f", service {self.key!r})" if self.key else ")")


def in_words(holders: Iterable[Holder]) -> str:
    """Return `holders` as a sentence names them."""
    return " and ".join(map(str, holders))


class Sockets(Struct):
    """The sockets of one process, read on request.

    Attributes:
        entry: the process.
        others: all processes that were started here, to name the holder of a port.
        elsewhere_since: since when (anyio's clock) it has listened, and not where it should.
        due_at: when (anyio's clock) all that it listens on is to be read again while it starts.
    """

    entry: Entry
    others: Callable[[], Iterable[Entry]]
    elsewhere_since: float | None = None
    due_at: float | None = None

    async def own(self) -> list[Listener] | None:
        """Return where the process and all below it listen, oldest process first; None: it may not be inspected."""
        return await anyio.to_thread.run_sync(_listeners_of, self.entry)

    async def holds(self, port: int) -> bool:
        """Return whether the process itself or one below it listens on `port`; True when that cannot be seen."""
        pid = self.entry.listener
        if pid is not None and await anyio.to_thread.run_sync(_listens, pid, port):
            return True
        own = await self.own()
        if own is None:
            return True
        for listener in reversed(own):  # of a parent and its worker with one socket, the worker accepts
            if listener.port == port and listener.is_tcp:
                self.entry.listener = listener.pid
                return True
        return await anyio.to_thread.run_sync(self._is_of_its_container, port)

    async def work(self) -> Work | None:
        """Return what the process and all below it have done; None: they are working, or it is unknown."""
        return await anyio.to_thread.run_sync(lambda: work_of(each.pid for each in _family(self.entry)))

    async def left(self) -> str:
        """Return in words what an ended process has left that still listens: `node (pid 4711) on port 3000`.

        Of several processes with one port, the first is named.
        """
        own = [listener for listener in await self.own() or () if listener.is_tcp]
        pids = {port: list(dict.fromkeys(one.pid for one in own if one.port == port)) for port in {o.port for o in own}}

        def on(port: int) -> str:
            first, *more = pids[port]
            others = f" and {len(more)} more" if more else ""
            return f"{Holder(first, _name_of(first))}{others} on port {port}"

        return " and ".join(map(on, sorted(pids)))

    async def frozen_listener(self) -> int | None:
        """Return the pid of the process that was seen listening last, if a signal has stopped it."""
        pid = self.entry.listener
        return pid if pid is not None and await anyio.to_thread.run_sync(_is_frozen, pid) else None

    async def holders(self, port: int, own_listeners: Iterable[Listener]) -> list[Holder]:
        """Return who listens on `port`, those with `own_listeners` left out."""
        own = {listener.pid for listener in own_listeners}
        return await anyio.to_thread.run_sync(lambda: [h for h in holders_of(port, self.others()) if h.pid not in own])

    async def sharing(self, port: int | None = None) -> dict[int, list[Holder]]:
        """Return who listens where this process does, by port: only `port`, or all on which it listens."""
        if port is not None and len(await anyio.to_thread.run_sync(listening_at, port) or ()) == 1:
            return {}
        own = [listener for listener in await self.own() or () if listener.is_tcp and port in (None, listener.port)]
        pids = {listener.pid for listener in own}

        def look() -> dict[int, list[Holder]]:
            found: dict[int, list[Holder]] = {}
            for here in sorted({listener.port for listener in own}):
                hosts = {listener.host for listener in own if listener.port == here}
                others = [holder for holder in holders_of(here, self.others(), hosts) if holder.pid not in pids]
                if others:
                    found[here] = others
            return found

        return await anyio.to_thread.run_sync(look)

    async def instead(self, host: str, port: int, found: Iterable[Bound]) -> list[Holder]:
        """Return who takes connections to `host` and `port` where the process listens at other addresses of it alone.

        As `ssh -L 8080:…` does (OpenSSH 9.2): it listens on ::1 where another program has 127.0.0.1.

        Args:
            host: the address that is asked.
            port: the port, on which the process itself or one below it listens.
            found: all sockets that listen on it.
        """
        host = "127.0.0.1" if host.lower() == "localhost" else host  # the one that is tried first
        if not any(_is_at(one.host, (host,)) for one in found):
            return []
        pid = self.entry.listener
        if pid is not None and await anyio.to_thread.run_sync(_listens, pid, port, (host,)):
            return []
        own = [listener for listener in await self.own() or () if listener.is_tcp and listener.port == port]
        if not own or any(_is_at(listener.host, (host,)) for listener in own):
            return []
        pids = {listener.pid for listener in own}
        holders = await anyio.to_thread.run_sync(holders_of, port, self.others(), (host,))
        return [holder for holder in holders if holder.pid not in pids]

    def is_due(self) -> bool:
        """Return whether it is time to read all that a starting process listens on, which is expensive."""
        now = anyio.current_time()
        is_due = self.due_at is not None and now >= self.due_at
        if self.due_at is None or is_due:
            self.due_at = now + STARTING_SECONDS
        return is_due

    def is_elsewhere(self, own: list[Listener], port: int) -> bool:
        """Return whether it has listened for long enough, and not on `port`."""
        if not own or any(listener.port == port for listener in own):
            self.elsewhere_since = None
            return False
        now = anyio.current_time()
        self.elsewhere_since = now if self.elsewhere_since is None else self.elsewhere_since
        return now - self.elsewhere_since >= ELSEWHERE_SECONDS

    def _is_of_its_container(self, port: int) -> bool:
        """Whether the process runs a container, and a container's proxy holds the port for it."""
        return not self._programs().isdisjoint(_CONTAINER_TOOLS) and any(
            holder.program.startswith(_CONTAINER_PROXIES) for holder in holders_of(port, ())
        )

    async def runs_elsewhere(self) -> bool:
        """Whether what it writes may be of a program in a container, or on another machine."""
        return not (await anyio.to_thread.run_sync(self._programs)).isdisjoint(_OTHER_PLACES)

    def _programs(self) -> set[str]:
        return {_name(process) for process in _family(self.entry)}


def holders_of(port: int, entries: Iterable[Entry], hosts: Iterable[str] | None = None) -> list[Holder]:
    """Return who listens on TCP `port` of this machine; empty where the system does not say. Blocks.

    Args:
        port: the port.
        entries: what was started here.
        hosts: only those who listen at one of these addresses; None: at any.

    The system names one of the processes that share a socket, often a forked worker: of its line, the topmost one that
    has the socket is the holder.
    """
    pids = _pids_at(port, hosts)
    known: dict[int, Entry] = {}
    for entry in entries:
        if entry.state == "running":
            known.update({pid: entry for pid in (entry.record.pid, entry.record.keeper) if pid is not None})
    holders = {holder.pid: holder for holder in (_holder(pid, port, known) for pid in pids)}
    return [holders[pid] for pid in sorted(holders, key=lambda pid: pid or 0)]


def port_trouble(host: str, port: int, entries: Iterable[Entry], key: str) -> ConflictError | None:
    """Return the error of a port that another process than that of `key` holds; None if none is known to. Blocks."""
    holders = [] if is_free(host, port) else holders_of(port, entries)
    if not holders or any(holder.key == key or holder.pid is None for holder in holders):
        return None
    return held_port(host, port, holders, key)


def held_port(host: str, port: int, holders: Sequence[Holder], key: str) -> ConflictError:
    """Return the error of a port that `holders` have; a service of another project than that of `key` is used last.

    In a second worktree, the service with this port is the one of the first, which runs other code.
    """
    near: list[str] = []
    far: list[str] = []
    for holder in holders:
        if holder.key and holder.key.partition(".")[2] != key.partition(".")[2]:
            far.append(f"or use service {holder.key!r}, which listens there, if you mean its code")
        elif holder.key:
            near.append(f"use service {holder.key!r}, which listens there")
    error = ConflictError(
        f"port {port} on {host} is already in use: it is held by {in_words(holders)}",
        next_actions=(*near, *OTHER_PORTS, *far),
    )
    error.holders = [holder.key for holder in holders if holder.key]
    return error


def _pids_at(port: int, hosts: Iterable[str] | None) -> set[int | None]:
    sockets = bound_sockets()
    if sockets is not None:
        inodes = (i for i, one in sockets.items() if one.is_tcp and one.port == port and _is_at(one.host, hosts))
        return holders_among(frozenset(inodes))
    try:
        found = psutil.net_connections(kind="tcp")
    except (psutil.Error, OSError):
        return set()
    return {
        c.pid
        for c in found
        if c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port and _is_at(c.laddr.ip, hosts)
    }


def is_listening(found: Iterable[Bound], host: str) -> bool | None:
    """Return whether connections to `host` are taken, as `found` shows it; None: only a connection shows it.

    A socket at `::` may take those over IPv4 or not, which not every system shows. One with connections that wait may
    be of a program that hangs.
    """
    hosts = _LOOPBACKS.get(host.lower(), (host,))
    at = [(one, _is_at(one.host, hosts) or (one.host == "::" and one.over_4)) for one in found]
    near = [(one, is_at) for one, is_at in at if is_at or (one.host == "::" and one.over_4 is None)]
    return any(is_at and not one.waiting for one, is_at in near) or (None if near else False)


def _is_at(ip: str, hosts: Iterable[str] | None) -> bool:
    """Whether connections to one of `hosts` may reach what listens at `ip`; the two families are two places."""
    return hosts is None or any(
        (":" in ip) == (":" in host) and (ip == host or not _ANY_ADDRESS.isdisjoint((ip, host))) for host in hosts
    )


def listening_at(port: int) -> list[Bound] | None:
    """Return which sockets of this machine listen on TCP `port`; None where the system does not list them. Blocks.

    A look at all processes shows whose they are, and costs a hundred times as much.
    """
    sockets = bound_sockets()
    return None if sockets is None else [one for one in sockets.values() if one.is_tcp and one.port == port]


def _holder(pid: int | None, port: int, known: dict[int, Entry]) -> Holder:
    if pid is None:
        return Holder(None, "")
    try:
        line = [process := psutil.Process(pid), *process.parents()]
        at = _hosts_at(process, port)
        above = [member for member in line[1:] if member.pid != 1 and not at.isdisjoint(_hosts_at(member, port))]
        top = above[-1] if above else process
        program = top.name()
    except psutil.Error:
        return Holder(pid, "a process")
    own = (known[member.pid] for member in line if member.pid in known)
    return Holder(top.pid, program, next((entry.record.key for entry in own if _has_its_processes(entry, line)), ""))


def taken_paths(entry: Entry, entries: Iterable[Entry]) -> str:
    """Return in words which Unix sockets of others of `entries` `entry` has taken over; empty for none. Blocks.

    Most servers silently replace a socket that another one listens on. The system still lists that with its path, so
    only a path that it lists twice is looked into.
    """
    at: dict[str, set[int]] = {}
    try:
        with open("/proc/net/unix", encoding="utf-8", errors="replace") as lines:  # noqa: PTH123 (a fraction of a ms)
            for line in lines:
                words = line.split(maxsplit=7)
                if len(words) > 7 and words[3] == _LISTENING and words[7].startswith("/"):
                    at.setdefault(words[7].rstrip("\n"), set()).add(int(words[6]))
    except OSError:
        return ""
    taken: list[str] = []
    for path, inodes in at.items():
        if len(inodes) < 2 or not (own := _held_by(entry, inodes)):
            continue
        others = [one.record.key for one in entries if one.state == "running" and _held_by(one, inodes - own)]
        taken += [f"the Unix socket {path} of service {key!r}" for key in others]
    said = f"it has taken over {' and '.join(taken)}, whose clients reach it now. Next: give one of them another path"
    return said if taken else ""


def _held_by(entry: Entry, inodes: set[int]) -> set[int]:
    pids = [process.pid for process in _family(entry)]
    return {inode for inode in inodes if holders_among(frozenset((inode,)), pids) - {None}}


def _has_its_processes(entry: Entry, line: Sequence[psutil.Process]) -> bool:
    """Whether one of `line` is the process of `entry` or its keeper, and not another one that has its pid by now."""
    record, pids = entry.record, {member.pid for member in line}
    process = record.pid, record.created, record.since_boot
    keeper = record.keeper, record.keeper_created, record.keeper_since_boot
    return any(
        pid in pids and (created is None or find_process(pid, created, since_boot) is not None)
        for pid, created, since_boot in (process, keeper)
    )


def _family(entry: Entry) -> list[psutil.Process]:
    """Return the process and all below it and its keeper, oldest first."""
    found: dict[int, psutil.Process] = {}
    if entry.process is not None:
        found[entry.process.pid] = entry.process
    for above in (entry.process, keeper_of(entry.record)):
        if above is not None:
            with contextlib.suppress(psutil.Error):
                found.update({child.pid: child for child in below(above)})
    return list(found.values())


def _listeners_of(entry: Entry) -> list[Listener] | None:
    found: list[Listener] = []
    is_hidden = False
    sockets = bound_sockets()
    for process in _family(entry):
        try:
            bound = bound_by(process, sockets)
        except psutil.AccessDenied:
            is_hidden = True
        except psutil.Error:
            continue
        else:
            found += (Listener(one.host, one.port, process.pid, one.is_tcp) for one in bound)
    return None if is_hidden and not found else found


def _hosts_at(process: psutil.Process, port: int) -> set[str]:
    """Return the addresses at which `process` itself listens on TCP `port`."""
    try:
        return {one.host for one in bound_by(process, bound_sockets()) if one.is_tcp and one.port == port}
    except psutil.Error:
        return set()


def _listens(pid: int, port: int, hosts: Iterable[str] | None = None) -> bool:
    try:
        return any(_is_at(host, hosts) for host in _hosts_at(psutil.Process(pid), port))
    except psutil.Error:
        return False


def _is_frozen(pid: int) -> bool:
    try:
        return is_frozen(psutil.Process(pid))
    except psutil.Error:
        return False


def _name_of(pid: int) -> str:
    try:
        return _name(psutil.Process(pid))
    except psutil.Error:
        return "a process"


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.Error:
        return ""
