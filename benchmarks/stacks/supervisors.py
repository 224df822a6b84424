"""A stack under Ostler, process-compose, honcho and overmind: up, a kill, and a kill of the supervisor.

`written/` has each stack as the others want it. Every figure is taken from outside, by the same looks: HTTP requests,
the process table, and what each supervisor itself shows or prints about a process that was killed.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from string import Template
from typing import IO, Any, TypeVar

import psutil
import yaml

from benchmarks.figures import title
from benchmarks.stacks.catalogue import FOLDER, STACKS, Stack, copy_stack, remove_databases, tools_environment
from benchmarks.stacks.trial import link_packages
from ostler.adapters.process import keeper

WRITTEN = Path(__file__).parent / "written"
STEPS = ("lines", "first start", "second start", "memory", "kill noticed", "left", "adopted")
Found = TypeVar("Found")
_MARK = "BENCHMARK_LIFE"
_SERVER = "ostler.faces.daemon"
_KEEPER = str(Path(keeper.__file__))
_PORTS = ("store", "db", "cache", "api", "web", "site", "supervisor")
_KILLED = {"django-queue": "site", "monorepo": "web"}
"""What is killed where the trial of a stack kills what has no port, or has another process in front of it."""

_SECONDS = 60.0
_NOTICE_SECONDS = 15.0
_LOOK = 0.02
_CLOSE_LOOK = 0.005
_PAUSE = threading.Event()


@dataclass(slots=True)
class Life:
    """One run of a supervisor in a folder of its own.

    Attributes:
        folder: a copy of the stack.
        environment: of the supervisor; its mark is inherited by all that it starts.
        ports: by service, as the files of the others want them.
        urls: by service, as Ostler chose them.
        waited_for: by process, whether it is ready, where no supervisor runs.
        printed: what the supervisor printed, line by line, with its times.
        process: the supervisor, if it runs in the foreground.
    """

    folder: Path
    environment: dict[str, str]
    ports: dict[str, int]
    urls: dict[str, str] = field(default_factory=dict[str, str])
    printed: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    waited_for: dict[str, bool] = field(default_factory=dict[str, bool])
    process: "subprocess.Popen[str] | None" = None

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            words, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=_SECONDS, check=False
        )

    def start(self, *words: str) -> None:
        """Start the supervisor in the foreground, and keep what it prints with its times."""
        self.process = subprocess.Popen(
            words, cwd=self.folder, env=self.environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert self.process.stdout is not None
        threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True).start()

    def _read(self, lines: IO[str]) -> None:
        self.printed += ((time.monotonic(), line) for line in lines)

    def processes(self) -> list[psutil.Process]:
        """Return all processes of this life: marked, or in its folder, as Redis, whose title takes the mark's place."""
        found: list[psutil.Process] = []
        for process in psutil.process_iter():
            try:
                is_marked = process.environ().get(_MARK) == self.environment[_MARK]
                is_there = is_marked or Path(process.cwd()).is_relative_to(self.folder)
                if is_there and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found


class Supervisor:
    """One of those that are compared: how it is started, and how it shows that a process has ended."""

    name = ""
    file = ""
    is_supervisor = True

    def path(self, stack: Stack) -> Path:
        """Return its file of the stack."""
        return WRITTEN / f"{stack.name}.{self.file}"

    def lines(self, stack: Stack) -> int:
        """Return the lines of its file, without comments and empty ones."""
        text = self.path(stack).read_text()
        return sum(1 for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))

    def up(self, life: Life, stack: Stack) -> None:
        """Start it, and with it the stack."""
        raise NotImplementedError

    def shows_all_healthy(self, life: Life) -> bool:
        """Whether it shows all of the stack as healthy or completed; those that know no health show nothing else."""
        del life
        return True

    def url(self, life: Life, service: str) -> str:
        return f"http://127.0.0.1:{life.ports[service]}/"

    def noticed(self, life: Life, service: str, killed: float) -> float | None:
        """Return when (monotonic) it showed that the process of `service` had ended, if it has."""
        raise NotImplementedError

    def own(self, life: Life) -> list[psutil.Process]:
        """Return its own processes, among those of the life."""
        assert life.process is not None
        return [each for each in life.processes() if each.pid == life.process.pid]

    def main(self, life: Life) -> list[psutil.Process]:
        """Return those of its own processes that are killed as the supervisor."""
        return self.own(life)

    def down(self, life: Life) -> None:
        """End the stack, and with it the supervisor, unless that stays for the next one."""
        if life.process is not None:
            life.process.terminate()


class Ostler(Supervisor):
    name = "Ostler"
    file = "ostler.yaml"

    def path(self, stack: Stack) -> Path:
        return FOLDER / stack.name / self.file

    def up(self, life: Life, stack: Stack) -> None:
        del stack
        done = life.run(self._program(), "up", "--json")
        if done.returncode:
            raise OSError(f"up failed: {done.stdout}{done.stderr}")
        services = json.loads(done.stdout)["services"]
        life.urls = {row["name"].partition(".")[0]: row.get("outputs", {}).get("url", "") for row in services}

    def url(self, life: Life, service: str) -> str:
        return life.urls[service]

    def noticed(self, life: Life, service: str, killed: float) -> float | None:
        shown = json.loads(life.run(self._program(), "events", service, "--json").stdout)["events"]
        since = time.time() - (time.monotonic() - killed)
        for event in sorted(shown, key=lambda event: event["at"]):
            at = _wall(event["at"])
            if event["kind"] in ("state_changed", "health_changed") and at >= since:
                return killed + at - since
        return None

    def own(self, life: Life) -> list[psutil.Process]:
        return [each for each in life.processes() if _KEEPER in each.cmdline() or _SERVER in each.cmdline()]

    def main(self, life: Life) -> list[psutil.Process]:
        return [each for each in life.processes() if _SERVER in each.cmdline()]

    def down(self, life: Life) -> None:
        life.run(self._program(), "down")

    def _program(self) -> str:
        return str(Path(sys.executable).parent / "ostler")


class ProcessCompose(Supervisor):
    name = "process-compose"
    file = "process-compose.yaml"

    def up(self, life: Life, stack: Stack) -> None:
        file = str(self.path(stack))
        life.start(self.name, "up", "--tui=false", "-p", str(life.ports["supervisor"]), "-f", file)

    def shows_all_healthy(self, life: Life) -> bool:
        rows = self._rows(life)
        good = (row["is_ready"] == "Ready" or (row["status"] == "Completed" and not row["exit_code"]) for row in rows)
        return bool(rows) and all(good)

    def noticed(self, life: Life, service: str, killed: float) -> float | None:
        del killed
        rows = self._rows(life)
        gone = (row["name"] == service and (not row["is_running"] or row["is_ready"] == "Not Ready") for row in rows)
        return time.monotonic() if any(gone) else None

    def _rows(self, life: Life) -> list[dict[str, Any]]:
        try:
            url = f"http://127.0.0.1:{life.ports['supervisor']}/processes"
            with urllib.request.urlopen(url, timeout=5) as answer:
                return json.load(answer)["data"]
        except OSError:
            return []


class Honcho(Supervisor):
    name = "honcho"
    file = "Procfile"

    def up(self, life: Life, stack: Stack) -> None:
        life.start(self.name, "start", "-f", str(self.path(stack)))

    def noticed(self, life: Life, service: str, killed: float) -> float | None:
        words = (f"{service}.1 stopped", "Exited")
        return next((at for at, line in life.printed if at > killed and any(word in line for word in words)), None)


class Overmind(Honcho):
    name = "overmind"

    def up(self, life: Life, stack: Stack) -> None:
        socket_file = life.folder / f"{uuid.uuid4().hex[:8]}.sock"  # one that was killed leaves its own
        life.start(
            self.name, "start", "-N", "-f", str(self.path(stack)), "-d", str(life.folder), "-s", str(socket_file)
        )  # fmt: skip

    def own(self, life: Life) -> list[psutil.Process]:
        return [each for each in life.processes() if each.name().startswith(("overmind", "tmux"))]


class CriticalPath(ProcessCompose):
    """No supervisor: each command of process-compose's file is started once what it needs is ready, looked at closely.

    No supervisor that keeps the order of that file can be faster.
    """

    name = "critical path"
    is_supervisor = False

    def up(self, life: Life, stack: Stack) -> None:
        given = yaml.safe_load(Template(self.path(stack).read_text()).safe_substitute(life.environment))
        common = dict(each.split("=", 1) for each in given.get("environment", []))
        life.waited_for = dict.fromkeys(given["processes"], False)
        for name, process in given["processes"].items():
            own = dict(each.split("=", 1) for each in process.get("environment", []))
            work = (life, given["processes"], name, {**life.environment, **common, **own})
            threading.Thread(target=self._bring, args=work, daemon=True).start()

    def shows_all_healthy(self, life: Life) -> bool:
        return all(life.waited_for.values())

    def down(self, life: Life) -> None:
        _kill_rest(life)

    def _bring(self, life: Life, all_of_them: dict[str, Any], name: str, environment: dict[str, str]) -> None:
        own = all_of_them[name]
        while not all(life.waited_for[needed] for needed in own.get("depends_on", {})):
            _PAUSE.wait(_CLOSE_LOOK)
        log = life.folder.parent / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                own["command"], shell=True, cwd=life.folder, env=environment,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        probe = own.get("readiness_probe", {})
        while not life.waited_for[name]:
            if "http_get" in probe:
                life.waited_for[name] = _answers("http://{host}:{port}{path}".format_map(probe["http_get"]), "")
            elif "exec" in probe:
                asked = subprocess.run(
                    probe["exec"]["command"], shell=True, env=environment, capture_output=True, check=False
                )
                life.waited_for[name] = not asked.returncode
            elif "ready_log_line" in own:
                life.waited_for[name] = bool(re.search(own["ready_log_line"], log.read_text(errors="replace")))
            else:
                life.waited_for[name] = process.wait() == 0
            _PAUSE.wait(_CLOSE_LOOK)


SUPERVISORS = (CriticalPath(), Ostler(), ProcessCompose(), Honcho(), Overmind())


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
                _kill_rest(life)
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
        **os.environ, "PATH": path, "HOME": str(root / "home"), _MARK: uuid.uuid4().hex,
        "OSTLER_CONFIG": str(root / "config"), "OSTLER_STATE": str(root / "state"), "PC_DISABLE_TUI": "1",
        "POSTGRES_RUN_AS": "postgres" if os.getuid() == 0 else "", "DATA": str(root / "data"),
        **{f"{name.upper()}_PORT": str(port) for name, port in ports.items()},
    }  # fmt: skip
    return Life(folder, environment, ports)


def _until_all_answer(supervisor: Supervisor, life: Life, stack: Stack) -> float:
    began = time.monotonic()
    supervisor.up(life, stack)
    for service, (path, wanted) in stack.asked.items():
        if not _eventually(lambda s=service, p=path, w=wanted: _answers(supervisor.url(life, s) + p, w) or None):
            said = "".join(line for _, line in life.printed[-20:])
            raise TimeoutError(f"{service} under {supervisor.name} does not answer: {said}")
    if not _eventually(lambda: supervisor.shows_all_healthy(life) or None):
        raise TimeoutError(f"{supervisor.name} does not show all as healthy")
    return time.monotonic() - began


def _answers(url: str, wanted: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return wanted in answer.read().decode()
    except OSError:
        return False


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
    _PAUSE.wait(3)
    own = {each.pid for each in supervisor.own(life)}
    return {each.pid for each in life.processes()} - own


def _end(supervisor: Supervisor, life: Life) -> None:
    supervisor.down(life)
    _PAUSE.wait(1)
    _kill_rest(life)
    remove_databases(life.folder)


def _kill_rest(life: Life) -> None:
    for _ in range(3):
        left = life.processes()
        for each in left:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(left, timeout=5)
    if life.process is not None:
        life.process.wait(10)


def _eventually(look: Callable[[], Found | None], seconds: float = _SECONDS) -> Found | None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if (found := look()) is not None:
            return found
        _PAUSE.wait(_LOOK)
    return None


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


def _wall(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
