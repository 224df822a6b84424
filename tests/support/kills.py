"""Kills the real server at random instants, and compares what it says afterwards with what really runs.

Resources are real processes (through the built-in process server) and entries in the ledger file of a real stdio
server. After each kill the database says which operations were under way, so their goals are known.
"""

import contextlib
import json
import os
import random
import sqlite3
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import psutil
from tests.support.forked_server import HERE, ForkedServer
from tests.support.forker import MARK, PATIENCE, Forker

from ostler.faces.bridge.dialer import OstlerUnavailableError
from ostler.faces.cli.rpc import RequestFailedError
from ostler.model.marks import KEY_VARIABLE

_QUIET_LOOKS = 4
"""Looks in a row that find nothing under way, until a server has recovered."""

CLASSES = """
apiVersion: ostler/v1
kind: ServiceClass
metadata: {name: sleeper}
spec:
  serviceConfig:
    lifecycleTools:
      start: {tool: process/start, args: {key: "{{ name }}", command: "sleep 86400"}, outputs: {pid: pid}}
      stop: {tool: process/stop, args: {key: "{{ name }}"}}
      status: {tool: process/status, args: {key: "{{ name }}"}, expect: {jsonPath: {state: running}}}
      find:
        tool: process/status
        args: {key: "{{ name }}"}
        expect: {jsonPath: {state: running}}
        outputs: {pid: pid}
    onUnknown: retry
    outputs: {pid: "{{ start.pid }}"}
---
apiVersion: ostler/v1
kind: ServiceClass
metadata: {name: entry}
spec:
  serviceConfig:
    lifecycleTools:
      start: {tool: ledger/start, args: {name: "{{ name }}", delay: 0.01}, outputs: {id: id}}
      stop: {tool: ledger/stop, args: {name: "{{ name }}", delay: 0.01}}
      status: {tool: ledger/status, args: {name: "{{ name }}"}, expect: {jsonPath: {state: running}}}
      find: {tool: ledger/find, args: {name: "{{ name }}"}, expect: {jsonPath: {state: running}}, outputs: {id: id}}
    outputs: {id: "{{ start.id }}"}
"""
NAMES = {"a": "sleeper", "b": "sleeper", "c": "sleeper", "d": "entry", "e": "entry"}
GOALS = {"create": "running", "start": "running", "restart": "running", "stop": "stopped", "delete": "absent"}


@dataclass
class Report:
    """What the rounds met."""

    rounds: int = 0
    kills: int = 0
    downstream_kills: int = 0
    operations: Counter[str] = field(default_factory=Counter[str])
    cut_off: Counter[str] = field(default_factory=Counter[str])
    answers: Counter[str] = field(default_factory=Counter[str])
    recoveries: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __iadd__(self, other: Self) -> Self:
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self


class Killer(ForkedServer):
    """One state folder, and the server that is killed again and again."""

    def __init__(self, folder: Path, seed: int, forker: Forker) -> None:
        super().__init__(folder, forker)
        self.random = random.Random(seed)
        self.report = Report()
        self.ledger = folder / "ledger.json"
        self._write_configuration(folder)
        self.states: dict[str, str] = dict.fromkeys(NAMES, "absent")
        self._lost_downstream = False

    def _write_configuration(self, folder: Path) -> None:
        config = Path(self.place.config_dir)
        (config / "serviceclasses").mkdir(parents=True)
        (config / "serviceclasses" / "classes.yaml").write_text(CLASSES)
        program = HERE / "scripted_server.py"
        entry = {"command": sys.executable, "args": ["-S", str(program), "--ledger", str(self.ledger)]}
        (config / "mcp.json").write_text(json.dumps({"mcpServers": {"ledger": entry}}))

    @contextlib.contextmanager
    def running(self) -> Generator["Killer"]:
        """Start servers inside; at the end nothing that was started is left."""
        os.environ[MARK] = self.mark  # what a client asks for is started in the client's environment
        try:
            yield self
        finally:
            os.environ.pop(MARK, None)
            self.kill()
            for process in [*self.marked(), *self.downstream()]:
                with contextlib.suppress(psutil.Error):
                    process.kill()

    # -- rounds ------------------------------------------------------------------------------------------------

    def play(self, rounds: int) -> Report:
        """Kill the server in `rounds` rounds."""
        self.start()
        self.settle({})
        for _ in range(rounds):
            self.report.rounds += 1
            asked = self._ask_for_something()
            goals = self._goals(asked)
            self.start()
            if self.random.random() < 0.3:  # and once more while it recovers
                threading.Event().wait(self.random.uniform(0.0, 0.5))
                self.kill()
                self.report.kills += 1
                self.start()
            self.settle(goals)
        return self.report

    def _ask_for_something(self) -> dict[str, tuple[str, str]]:
        """Ask for operations and kill the server meanwhile; return (operation, answer) by service."""
        names = self.random.sample(sorted(NAMES), self.random.randint(1, 3))
        asked: dict[str, tuple[str, str]] = {}
        threads: list[threading.Thread] = []
        for name in names:
            operation = self.random.choice(self._possible(name))
            self.report.operations[operation] += 1
            asked[name] = (operation, "lost")
            threads.append(threading.Thread(target=self._send, args=(name, operation, asked)))
        for thread in threads:
            thread.start()
        delay = self.random.choice((0.01, 0.05, 0.15, 0.4))
        self._lost_downstream = self.random.random() < 0.15
        if self._lost_downstream:
            self._kill_downstream(self.random.uniform(0.0, 0.1))
        threading.Event().wait(self.random.uniform(0.0, delay))
        self.kill()
        self.report.kills += 1
        for thread in threads:
            thread.join(PATIENCE)
        for _, answer in asked.values():
            self.report.answers[answer] += 1
        return asked

    def _possible(self, name: str) -> tuple[str, ...]:
        match self.states[name]:
            case "absent":
                return ("create",)
            case "stopped":
                return ("start", "start", "restart", "delete")
            case "failed":
                return ("start", "stop", "restart", "delete")
            case _:
                return ("stop", "stop", "restart", "delete")

    def _send(self, name: str, operation: str, asked: dict[str, tuple[str, str]]) -> None:
        args: dict[str, Any] = {"name": name}
        if operation == "create":
            args["serviceClassName"] = NAMES[name]
        try:
            with self.direct_client() as client:
                answer = client.call_tool(f"service_{operation}", args)
        except (OstlerUnavailableError, RequestFailedError, OSError):
            return  # it was killed before it answered
        asked[name] = (operation, "failed" if answer.is_error else "done")

    def _kill_downstream(self, delay: float) -> None:
        threading.Event().wait(delay)
        for process in self.downstream():
            with contextlib.suppress(psutil.Error):
                process.kill()
                self.report.downstream_kills += 1

    def downstream(self) -> list[psutil.Process]:
        """Return the processes of the downstream server with the ledger."""
        found: list[psutil.Process] = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if str(self.ledger) in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def _goals(self, asked: dict[str, tuple[str, str]]) -> dict[str, set[str]]:
        """Return the states that each service may have after the recovery: the journal says what was promised."""
        opened = self._open_operations()
        goals = {name: {state} for name, state in self.states.items()}
        for name, (operation, answer) in asked.items():
            if name in opened:
                self.report.cut_off[opened[name]] += 1
                goals[name] = {GOALS[opened[name]]}
                if self._lost_downstream:  # the operation had met that already: it ends as its failure
                    goals[name] |= {"failed", "stopped"}
            elif answer == "done":
                goals[name] = {GOALS[operation]}
            else:  # it had not begun, or it had ended, or it failed and told so
                goals[name] = {self.states[name], GOALS[operation], "stopped", "failed"}
        return goals

    def _open_operations(self) -> dict[str, str]:
        with contextlib.closing(sqlite3.connect(f"{self.place.paths.database.as_uri()}?mode=ro", uri=True)) as database:
            rows = database.execute("SELECT service_name, kind FROM operations WHERE outcome IS NULL ORDER BY seq")
            return dict(rows.fetchall())

    # -- what must be ------------------------------------------------------------------------------------------

    def settle(self, goals: dict[str, set[str]]) -> None:
        """Wait until the server has recovered, then compare."""
        began = time.monotonic()
        seen: dict[str, Any] = {}
        quiet = 0
        with self.client() as client:

            def recovered() -> bool:
                nonlocal quiet
                opened = self._open_operations()  # first: an operation may end between the two looks
                listed = client.call_tool("service_list", {"limit": 200}).structured["services"]
                before = {name: row["state"] for name, row in seen.items()}
                seen.clear()
                seen.update({row["name"]: row for row in listed if row.get("serviceClassName")})
                states = {name: str(row["state"]) for name, row in seen.items()}
                is_quiet = not opened and states == before and set(states.values()) <= {"running", "stopped", "failed"}
                # The end of an operation is on the disk a moment before the server has taken note of it.
                quiet = quiet + 1 if is_quiet else 0
                return quiet >= _QUIET_LOOKS

            try:
                self.eventually(recovered, "every service is running or stopped, and no operation is open")
            except AssertionError:
                self.report.faults.append(f"round {self.report.rounds}: not settled: {seen}, {self._open_operations()}")
        self.report.recoveries.append(time.monotonic() - began)
        now = {name: str(seen[name]["state"]) if name in seen else "absent" for name in NAMES}
        processes, entries = self.processes(), self.entries()
        for name, kind in NAMES.items():
            there = processes[name] if kind == "sleeper" else entries[name]
            if now[name] == "failed":  # only its server's death may have led to that, and it says so
                if not self.report.downstream_kills or not seen[name].get("error") or there > 1:
                    self._fault(f"{name} is failed, {there} of it run: {seen[name].get('error')}")
            elif there != int(now[name] == "running"):
                self._fault(f"{name} is {now[name]}, and {there} of it run")
            if goals and now[name] not in goals[name]:
                self._fault(f"{name} is {now[name]}, expected {sorted(goals[name])}")
        strays = set(processes) - set(NAMES)
        if strays:
            self._fault(f"stray processes: {sorted(strays)}")
        self.states = now

    def _fault(self, text: str) -> None:
        self.report.faults.append(f"round {self.report.rounds}: {text}")

    def processes(self) -> dict[str, int]:
        """Return how many processes each service has."""
        counts: dict[str, int] = defaultdict(int)
        for process in self.marked():
            with contextlib.suppress(psutil.Error):
                key = process.environ().get(KEY_VARIABLE)
                if key is not None:
                    counts[key] += 1
        return counts

    def entries(self) -> dict[str, int]:
        """Return how many resources the ledger has of each service: starts without their stops."""
        counts: dict[str, int] = defaultdict(int)
        if self.ledger.exists():
            for name, entry in json.loads(self.ledger.read_text())["resources"].items():
                counts[name] = entry["starts"] - entry["stops"]
                if (entry["state"] == "running") != (counts[name] == 1):
                    self._fault(f"{name} was started {entry['starts']} and stopped {entry['stops']} times")
        return counts
