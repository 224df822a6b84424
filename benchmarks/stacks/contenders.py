"""The supervisors that are compared: how each is started, and how it shows that a process has ended."""

import json
import re
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from string import Template
from typing import IO, Any

import psutil
import yaml

from benchmarks.stacks.catalogue import FOLDER, Stack
from ostler.adapters.process import keeper

WRITTEN = Path(__file__).parent / "written"
MARK = "BENCHMARK_LIFE"
SECONDS = 60.0
PAUSE = threading.Event()
"""Never set: waiting for it is a pause."""

_SERVER = "ostler.faces.daemon"
_KEEPER = str(Path(keeper.__file__))
_CLOSE_LOOK = 0.005
_CLOSE_COMMAND = 0.05
"""Seconds between two probes that start a program: one after the other, they keep a core busy while initdb works."""


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
            words, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=SECONDS, check=False
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
                is_marked = process.environ().get(MARK) == self.environment[MARK]
                is_there = is_marked or Path(process.cwd()).is_relative_to(self.folder)
                if is_there and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def kill(self) -> None:
        """Kill all processes of this life, and wait for the supervisor's end."""
        for _ in range(3):
            left = self.processes()
            for each in left:
                with suppress(psutil.NoSuchProcess):
                    each.kill()
            psutil.wait_procs(left, timeout=5)
        if self.process is not None:
            self.process.wait(10)


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
        life.kill()

    def _bring(self, life: Life, all_of_them: dict[str, Any], name: str, environment: dict[str, str]) -> None:
        own = all_of_them[name]
        while not all(life.waited_for[needed] for needed in own.get("depends_on", {})):
            PAUSE.wait(_CLOSE_LOOK)
        log = life.folder.parent / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                own["command"], shell=True, cwd=life.folder, env=environment,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        probe = own.get("readiness_probe", {})
        while not life.waited_for[name]:
            if "http_get" in probe:
                life.waited_for[name] = answers("http://{host}:{port}{path}".format_map(probe["http_get"]), "")
            elif "exec" in probe:
                asked = subprocess.run(
                    probe["exec"]["command"], shell=True, env=environment, capture_output=True, check=False
                )
                life.waited_for[name] = not asked.returncode
            elif "ready_log_line" in own:
                life.waited_for[name] = bool(re.search(own["ready_log_line"], log.read_text(errors="replace")))
            else:
                life.waited_for[name] = process.wait() == 0
            PAUSE.wait(_CLOSE_COMMAND if "exec" in probe else _CLOSE_LOOK)


SUPERVISORS = (CriticalPath(), Ostler(), ProcessCompose(), Honcho(), Overmind())


def answers(url: str, wanted: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return wanted in answer.read().decode()
    except OSError:
        return False


def _wall(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
