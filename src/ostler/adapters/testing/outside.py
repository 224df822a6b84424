"""What the operating system shows of a service under trial: its processes and its ports."""

import re
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import cast
from urllib.parse import urlsplit

import psutil

from ostler.adapters.process.trees import is_gone
from ostler.model.json import JsonValue
from ostler.model.web_addresses import LOOPBACK_HOSTS

_PID_KEY = re.compile(r"(?:^|_|(?<=[a-z]))(?:pid|PID|Pid|process_?[iI][dD])$")
_PID_TEXT = re.compile(r"(?i)\bpid\b\W{0,4}(\d{2,8})\b")
_PORT_KEY = re.compile(r"(?:^|local_?|host_?)port$", re.IGNORECASE)
_URL = re.compile(r"\b(?:https?|wss?|tcp|redis|postgres(?:ql)?)://[\w.:\[\]@%-]+")
_CLOCK_STEP = 1.0
"""Seconds by which the start of a process, which the system counts in ticks, may lie before the moment it began."""


class Outside:
    """Processes and ports that appeared since the trial began. Those of others are never counted, or touched."""

    def __init__(self) -> None:
        self._began = time.time() - _CLOCK_STEP
        self._busy = frozenset(_listening())
        self._processes: dict[int, psutil.Process] = {}

    def __repr__(self) -> str:
        return f"Outside(since {self._began:.0f})"

    def pids_in(self, values: Iterable[JsonValue]) -> list[int]:
        """Return the processes that `values` name and that began with the trial."""
        return [pid for pid in dict.fromkeys(_pids(values)) if self._own(pid) is not None]

    def strange_pids_in(self, values: Iterable[JsonValue]) -> list[int]:
        """Return the ids of processes that `values` name and that this machine does not have."""
        return [pid for pid in dict.fromkeys(_pids(values)) if not psutil.pid_exists(pid)]

    def ports_in(self, values: Iterable[JsonValue]) -> list[int]:
        """Return the ports of this machine that `values` name and that no one held when the trial began."""
        return [port for port in dict.fromkeys(_ports(values)) if port not in self._busy]

    def holder_of(self, port: int) -> int | None:
        """Return the process that listens at a port, if it began with the trial."""
        pid = _listening().get(port)
        return pid if pid is not None and self._own(pid) is not None else None

    def note_tree(self, pid: int) -> None:
        """Remember a process and all that it started, to see later whether they are gone."""
        process = self._own(pid)
        if process is not None:
            with suppress(psutil.Error):
                for child in process.children(recursive=True):
                    self._own(child.pid)

    def kill(self, pid: int) -> int:
        """Kill a process of the trial with all that it started, and return how many there were."""
        process = self._own(pid)
        if process is None:
            return 0
        tree = [process]
        with suppress(psutil.Error):
            tree += process.children(recursive=True)
        killed = 0
        for each in tree:
            with suppress(psutil.Error):
                each.kill()
                killed += 1
        psutil.wait_procs(tree, timeout=3)
        return killed

    def left(self) -> list[int]:
        """Return the processes of the trial that still run."""
        return [pid for pid, process in self._processes.items() if not is_gone(process)]

    def _own(self, pid: int) -> psutil.Process | None:
        known = self._processes.get(pid)
        if known is not None:
            return None if is_gone(known) else known
        try:
            process = psutil.Process(pid)
            if process.create_time() < self._began:
                return None
        except psutil.Error:
            return None
        if is_gone(process):
            return None
        self._processes[pid] = process
        return process


def accepts(port: int) -> bool:
    """Whether something accepts connections at a port of this machine.

    It is connected to only if the system shows no one that listens there, as a forward by packet filter: a debug server
    takes the first connection for its one client.
    """
    if port in _listening():
        return True
    for host in ("127.0.0.1", "::1"):
        try:
            socket.create_connection((host, port), timeout=1).close()
        except OSError:
            continue
        return True
    return False


def _listening() -> dict[int, int]:
    """Return port → the process that listens there, as far as this user may see; 0 for one that is not shown."""
    try:
        connections = psutil.net_connections("tcp")
    except (psutil.Error, OSError):  # macOS shows them to root alone
        return {}
    return {each.laddr[1]: each.pid or 0 for each in connections if each.laddr and each.status == psutil.CONN_LISTEN}


def _pids(values: Iterable[JsonValue]) -> Iterator[int]:
    for key, value in _leaves(values):
        if _PID_KEY.search(key) and str(value).isdigit() and int(str(value)) > 1:
            yield int(str(value))
        elif isinstance(value, str):
            yield from (int(found) for found in _PID_TEXT.findall(value[:4000]))


def _ports(values: Iterable[JsonValue]) -> Iterator[int]:
    for key, value in _leaves(values):
        if _PORT_KEY.search(key) and str(value).isdigit() and 0 < int(str(value)) < 65536:
            yield int(str(value))
        elif isinstance(value, str):
            yield from filter(None, map(_own_port, cast("list[str]", _URL.findall(value[:4000]))))


def _own_port(address: str) -> int | None:
    """Return the port that the URL `address` names, if its host is this machine."""
    with suppress(ValueError):
        url = urlsplit(address)
        if url.hostname in LOOPBACK_HOSTS:
            return url.port
    return None


def _leaves(values: Iterable[JsonValue], key: str = "") -> Iterator[tuple[str, JsonValue]]:
    for value in values:
        if isinstance(value, Mapping):
            for name, inner in cast("Mapping[str, JsonValue]", value).items():
                yield from _leaves([inner], name)
        elif isinstance(value, list):
            yield from _leaves(cast("list[JsonValue]", value), key)
        else:
            yield key, value
