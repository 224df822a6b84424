"""A stack under Ostler, process-compose, honcho and overmind: up, a kill, and a kill of the supervisor.

`written/` has each stack as the others want it. Every figure is taken from outside, by the same looks: HTTP requests,
the process table, and what each supervisor itself shows or prints about a process that was killed.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import psutil

from benchmarks.figures import title
from benchmarks.stacks.catalogue import STACKS, Stack, copy_stack, remove_databases, tools_environment
from benchmarks.stacks.contenders import (
    MARK,
    PAUSE,
    SECONDS,
    SUPERVISORS,
    WRITTEN,
    CriticalPath,
    Life,
    Ostler,
    Supervisor,
    answers,
)
from benchmarks.stacks.trial import link_packages

STEPS = ("lines", "first start", "second start", "memory", "kill noticed", "left", "adopted")
Found = TypeVar("Found")
_PORTS = ("store", "db", "cache", "api", "web", "site", "supervisor")
_KILLED = {"django-queue": "site", "monorepo": "web"}
"""What is killed where the trial of a stack kills what has no port, or has another process in front of it."""

_NOTICE_SECONDS = 15.0
_LOOK = 0.02


def main(tools: Path, *, only: str = "", rounds: int = 3) -> None:
    """Run and print the table; supervisors that are not in `tools` or on the PATH are left out.

    Of several rounds, in which they take turns, the shortest time counts: other work only makes it longer.
    """
    print(f"load at the start: {os.getloadavg()[0]:.1f}")
    title("A stack under other supervisors")
    print(f"| stack | supervisor | {' | '.join(STEPS)} |")
    print("| --- " * (len(STEPS) + 2) + "|")
    path = tools_environment(tools)["PATH"]
    for stack in (each for each in STACKS if only in each.name and (WRITTEN / f"{each.name}.Procfile").exists()):
        there = [
            each
            for each in SUPERVISORS
            if isinstance(each, Ostler | CriticalPath) or shutil.which(each.name, path=path)
        ]
        measured: dict[str, list[dict[str, str]]] = {each.name: [] for each in there}
        for _ in range(rounds):
            for each in there:
                measured[each.name].append(_measure(each, stack, tools, path))
        for name, figures in measured.items():
            cells = [stack.name, name, *(min((each[step] for each in figures), key=_amount) for step in STEPS)]
            print(f"| {' | '.join(cells)} |", flush=True)


def _amount(cell: str) -> float:
    number = cell.partition(" ")[0]
    return float(number) if number not in ("", "never") else float("inf")


def _measure(supervisor: Supervisor, stack: Stack, tools: Path, path: str) -> dict[str, str]:
    figures = {"lines": str(supervisor.lines(stack))}
    with tempfile.TemporaryDirectory(prefix="compared-", ignore_cleanup_errors=True) as root:
        life = _life(Path(root), stack, tools, path)
        try:
            figures["first start"] = f"{_until_all_answer(supervisor, life, stack):.2f} s"
            if not supervisor.is_supervisor:
                supervisor.down(life)
                figures["second start"] = f"{_until_all_answer(supervisor, life, stack):.2f} s"
                return {step: figures.get(step, "") if step.endswith("start") else "" for step in STEPS}
            memory = sum(each.memory_full_info().pss for each in supervisor.own(life))
            figures["memory"] = f"{memory / 2**20:.0f} MB"
            victim = _KILLED.get(stack.name, stack.killed)
            killed = _kill(supervisor, life, victim)
            noticed = _eventually(lambda: supervisor.noticed(life, victim, killed), _NOTICE_SECONDS)
            figures["kill noticed"] = "never" if noticed is None else f"{noticed - killed:.2f} s"
            supervisor.down(life)
            if life.process is not None:
                with suppress(subprocess.TimeoutExpired):  # some hang when one of their processes was killed
                    life.process.wait(_NOTICE_SECONDS)
                life.kill()
            life.printed.clear()
            figures["second start"] = f"{_until_all_answer(supervisor, life, stack):.2f} s"
            for each in supervisor.main(life):
                with suppress(psutil.NoSuchProcess):
                    each.kill()
            left = _settled(supervisor, life)
            figures["left"] = str(len(left))
            supervisor.up(life, stack)
            kept = _settled(supervisor, life) & left if isinstance(supervisor, Ostler) else set()
            figures["adopted"] = str(len(kept))
        finally:
            _end(supervisor, life)
    return figures


def _life(root: Path, stack: Stack, tools: Path, path: str) -> Life:
    folder = root / stack.name
    root.chmod(0o755)
    copy_stack(stack, folder)
    link_packages(tools, folder)
    shutil.copy(WRITTEN / "postgres.sh", folder)
    for name in ("home", "config", "state", "data"):
        (root / name).mkdir()
    if os.getuid() == 0:  # PostgreSQL does not run as root
        shutil.chown(root / "data", "postgres")
        (root / "config" / "ostler.toml").write_text('[env]\nallow = ["POSTGRES_RUN_AS"]\n')
    ports: dict[str, int] = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
    environment = {
        **os.environ, "PATH": path, "HOME": str(root / "home"), MARK: uuid.uuid4().hex,
        "OSTLER_CONFIG": str(root / "config"), "OSTLER_STATE": str(root / "state"), "PC_DISABLE_TUI": "1",
        "POSTGRES_RUN_AS": "postgres" if os.getuid() == 0 else "", "DATA": str(root / "data"),
        **{f"{name.upper()}_PORT": str(port) for name, port in ports.items()},
    }  # fmt: skip
    return Life(folder, environment, ports)


def _until_all_answer(supervisor: Supervisor, life: Life, stack: Stack) -> float:
    began = time.monotonic()
    supervisor.up(life, stack)
    for service, (path, wanted) in stack.asked.items():
        if not _eventually(lambda s=service, p=path, w=wanted: answers(supervisor.url(life, s) + p, w) or None):
            said = "".join(line for _, line in life.printed[-20:])
            raise TimeoutError(f"{service} under {supervisor.name} does not answer: {said}")
    if not _eventually(lambda: supervisor.shows_all_healthy(life) or None):
        raise TimeoutError(f"{supervisor.name} does not show all as healthy")
    return time.monotonic() - began


def _kill(supervisor: Supervisor, life: Life, service: str) -> float:
    """Kill what listens for `service`; return when."""
    port = int(supervisor.url(life, service).rstrip("/").rpartition(":")[2])
    listeners = [each for each in life.processes() if _listens(each, port)]
    killed = time.monotonic()
    listeners[0].kill()
    return killed


def _listens(process: psutil.Process, port: int) -> bool:
    try:
        connections = process.net_connections(kind="tcp")
    except psutil.NoSuchProcess:  # what a server starts for a moment
        return False
    return any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in connections)


def _settled(supervisor: Supervisor, life: Life) -> set[int]:
    """Return the processes of the stack that are there three seconds later."""
    PAUSE.wait(3)
    own = {each.pid for each in supervisor.own(life)}
    return {each.pid for each in life.processes()} - own


def _end(supervisor: Supervisor, life: Life) -> None:
    supervisor.down(life)
    PAUSE.wait(1)
    life.kill()
    remove_databases(life.folder)


def _eventually(look: Callable[[], Found | None], seconds: float = SECONDS) -> Found | None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if (found := look()) is not None:
            return found
        PAUSE.wait(_LOOK)
    return None


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports
