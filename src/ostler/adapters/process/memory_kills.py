"""Kills by the kernel because memory had run out, as far as it says so: which process, or how many.

Its log names the process, to those who may read it. The counter of a control group says that some process of it was
killed; programs are in that of this server, unless they have left it.
"""

import os
import re
import time
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ostler.model.sizes import size_text

KERNEL_LOG: Final = Path("/dev/kmsg")

_TOLERANCE: Final = 60.0
"""Seconds by which the kernel's clock may differ from ours, so that no earlier process with the pid is meant."""

_RECORD_BYTES: Final = 8192
_MAX_RECORDS: Final = 100_000

_KILLED: Final = re.compile(
    r"\d+,\d+,(?P<at>\d+),[^;]*;(?P<group>Memory cgroup o|O)ut of memory[^:]*: Killed process (?P<pid>\d+) "
    r"\((?P<name>.*)\) total-vm:\d+kB(?P<sizes>(?:, \w+-rss:\d+kB)*)"
)
_INITIAL_PIDS: Final = 0xEFFFFFFC
"""What the kernel numbers the namespace of pids by that its log counts in."""


def killed_for_memory(
    pids: Collection[int], ended: datetime, log: Path = KERNEL_LOG, *, since: datetime | None = None
) -> str | None:
    """Return why the kernel killed the first of `pids` that it says it killed around `ended`, or from `since` to it.

    Empty: it names none of them. None: what it says may not be read.
    """
    try:
        if os.stat("/proc/self/ns/pid").st_ino != _INITIAL_PIDS:  # noqa: PTH116 (no file)
            return None
        records = _read(log)
    except OSError:
        return None
    boot = time.time() - time.monotonic()
    for record in records:
        found = _KILLED.match(record)
        if found is None or int(found["pid"]) not in pids:
            continue
        at = datetime.fromtimestamp(boot + int(found["at"]) / 10**6, UTC)
        if (at - (since or ended)).total_seconds() >= -_TOLERANCE and (at - ended).total_seconds() <= _TOLERANCE:
            return _in_words(found)
    return ""


def kills_in_group() -> int | None:
    """Return how many processes of this server's control group were killed, since it was made; None: unknown."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            root, file = Path("/sys/fs/cgroup/memory"), "memory.oom_control"
        elif not controllers:
            root, file = Path("/sys/fs/cgroup"), "memory.events"
        else:
            continue
        for folder in (root / path.lstrip("/"), root):  # a container may see its own as the root
            if (count := _count(folder / file)) is not None:
                return count
    return None


def _count(events: Path) -> int | None:
    try:
        found = re.search(r"^oom_kill (\d+)$", events.read_text(), re.MULTILINE)
    except (OSError, ValueError):
        return None
    return None if found is None else int(found[1])


def _read(log: Path) -> list[str]:
    """Return what the kernel's log has now, a record each.

    Raises:
        OSError: it may not be read, or there is none.
    """
    found: list[str] = []
    file = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    try:
        for _ in range(_MAX_RECORDS):
            try:
                piece = os.read(file, _RECORD_BYTES)
            except BlockingIOError:  # that was all
                break
            except BrokenPipeError:  # the oldest ones were overwritten meanwhile
                continue
            if not piece:
                break
            found += piece.decode(errors="replace").splitlines()
    finally:
        os.close(file)
    return found


def _in_words(killed: re.Match[str]) -> str:
    where = "its control group was at its memory limit" if killed["group"] != "O" else "the machine had no memory left"
    size = size_text(1024 * sum(map(int, re.findall(r":(\d+)kB", killed["sizes"]))))
    return f"{where}, and {killed['name']} (pid {killed['pid']}) had {size}, by the kernel's log"
