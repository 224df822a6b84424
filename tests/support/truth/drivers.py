"""The kinds of drivers: what drives the services of a cell, and the hands by which the bench ends what they run."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from tests.support.ports import free_port
from tests.support.truth.server import SharedLedger, is_there, lives

HERE = Path(__file__).parent
INTERVAL = 1.0
"""Seconds from one health check to the next in the classes of the bench."""

_PATIENCE = 60.0
_CLASS = """
apiVersion: ostler/v1
kind: ServiceClass
metadata: {{name: mortal}}
spec:
  serviceConfig:
    lifecycleTools:
{tools}
    healthCheck: {{interval: 1s, timeout: 900ms, failureThreshold: 3}}
    timeout: {{create: 20s, delete: 15s}}
{more}"""

LATE, SLOW = 1.0, 1.0
"""Seconds that a late start and a slow stop take in the cells that are about them."""


def until(condition: Callable[[], bool], what: str, limit: float = _PATIENCE) -> None:
    """Return when `condition` is true; fail with `what` when it never is."""
    deadline, pause = time.monotonic() + limit, threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not so after {limit:g} s: {what}")
        pause.wait(0.01)


def wait(seconds: float) -> None:
    """Let time go by; how things stand after it is what a cell is about."""
    threading.Event().wait(seconds)


class Driver:
    """What all kinds have: a folder, and how much of the truth a claim may be behind."""

    name = ""
    bound = INTERVAL
    """Seconds for which a claim may be wrong."""
    can_find = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def configure(self, config: Path, *, way: str, moment: str) -> None:
        """Write the class `mortal`, and the servers that it needs."""
        raise NotImplementedError

    def _write(self, config: Path, tools: str, servers: dict[str, Any], more: str = "") -> None:
        (config / "serviceclasses").mkdir(parents=True)
        lines = "".join(f"      {line}\n" for line in tools.strip().splitlines())
        (config / "serviceclasses" / "mortal.yaml").write_text(_CLASS.format(tools=lines, more=more))
        (config / "mcp.json").write_text(json.dumps({"mcpServers": servers}))

    def there(self, name: str) -> bool:
        """Whether what the service `name` stands for runs: the truth."""
        raise NotImplementedError

    def end(self, how: str) -> None:
        """Let what runs for `victim` end: on its own with "exit 0" or "exit 1", or by "kill -9"."""
        raise NotImplementedError

    def kill_driver(self) -> None:
        """End what drives the service."""
        raise NotImplementedError

    def revive(self) -> None:
        """Start the driver again where no one else does."""

    def late_start(self) -> None:
        """Let the next start answer late."""

    def slow_stop(self, **mood: Any) -> None:
        """Let the next stop be as `mood` says."""

    def clean(self) -> None:
        """End all that is left."""


class ProcessDriver(Driver):
    """The built-in process server; what it runs are processes, and their keepers drive them."""

    name = "process"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port = 0
        self._processes: dict[str, dict[int, psutil.Process]] = {"victim": {}, "other": {}}

    def configure(self, config: Path, *, way: str, moment: str) -> None:
        args = ["-I", "-S", str(HERE / "program.py"), "--pids", str(self.folder / "{{ name }}.pids")]
        ready: dict[str, Any] = {"log": "ready"}
        status: dict[str, Any] = {"key": "{{ name }}"}
        if moment == "starting":
            args += ["--after", str(LATE)]
        if moment == "stopping" or way in ("stop answered early", "stop lost"):
            args += ["--slow", str(SLOW)]
        if way == "port taken over":
            self.port = free_port()
            args += ["--port", str(self.port)]
            ready = {"tcp": str(self.port)}
            status["ready"] = ready
        start = {"key": "{{ name }}", "command": sys.executable, "args": args, "ready": {**ready, "timeout": "4s"}}
        expect = "{jsonPath: {state: running}}"
        health = (
            f"healthCheck: {{tool: process/status, args: {json.dumps(status)}, expect: {{jsonPath: {{ready: true}}}}}}"
        )
        tools = f"""
start: {{tool: process/start, args: {json.dumps(start)}, outputs: {{pid: pid}}}}
stop: {{tool: process/stop, args: {{key: "{{{{ name }}}}"}}}}
status: {{tool: process/status, args: {{key: "{{{{ name }}}}"}}, expect: {expect}}}
find: {{tool: process/status, args: {{key: "{{{{ name }}}}"}}, expect: {expect}, outputs: {{pid: pid}}}}
{health if self.port else ""}
"""
        self._write(config, tools, {}, "    onUnknown: retry\n")

    def there(self, name: str) -> bool:
        living = [process for process in self._known(name) if _lives(process)]
        return any(self._listens(process) for process in living) if self.port else bool(living)

    def _listens(self, process: psutil.Process) -> bool:
        with contextlib.suppress(psutil.Error):
            return any(c.laddr.port == self.port for c in process.net_connections() if c.status == "LISTEN")
        return False

    def _known(self, name: str) -> list[psutil.Process]:
        file, known = self.folder / f"{name}.pids", self._processes[name]
        for line in file.read_text().splitlines() if file.exists() else ():
            if int(line) not in known:
                with contextlib.suppress(psutil.Error):
                    known[int(line)] = psutil.Process(int(line))
        return list(known.values())

    def end(self, how: str) -> None:
        number = {"exit 0": signal.SIGUSR1, "exit 1": signal.SIGUSR2}.get(how, signal.SIGKILL)
        for process in self._known("victim"):
            if _lives(process):
                process.send_signal(number)
        until(lambda: not any(map(_lives, self._known("victim"))), "the program has ended")

    def kill_driver(self) -> None:
        for process in self._known("victim"):
            with contextlib.suppress(psutil.Error):
                keeper = process.parent()
                assert keeper is not None
                assert "keeper.py" in " ".join(keeper.cmdline()), keeper.cmdline()
                keeper.kill()

    def clean(self) -> None:
        for process in [*self._known("victim"), *self._known("other")]:
            with contextlib.suppress(psutil.Error):
                process.kill()


class LedgerDriver(Driver):
    """A server of the bench's own, whose resources are lines of a ledger."""

    options: tuple[str, ...] = ()

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.ledger = SharedLedger(folder / "ledger.json")

    def configure(self, config: Path, *, way: str, moment: str) -> None:
        self._write(config, self._tools(), {"d": self._entry(way)})

    def _tools(self) -> str:
        tools = """
start: {tool: d/start, args: {name: "{{ name }}"}, outputs: {id: id}}
stop: {tool: d/stop, args: {id: "{{ start.id }}"}}
status: {tool: d/status, args: {id: "{{ start.id }}"}, expect: {jsonPath: {state: running}}}
"""
        find = """
find: {tool: d/find, args: {name: "{{ name }}"}, expect: {jsonPath: {state: running}}, outputs: {id: id}}
"""
        return tools + (find if self.can_find else "")

    def _entry(self, way: str) -> dict[str, Any]:
        del way
        return {"command": sys.executable, "args": self._command()[1:]}

    def _command(self) -> list[str]:
        program = str(HERE / "server.py")
        return [sys.executable, "-S", program, "--ledger", str(self.folder / "ledger.json"), *self.options]

    def there(self, name: str) -> bool:
        resources = self.ledger.change(lambda state: state["resources"])
        return any(resource["name"] == name and is_there(resource) for resource in resources)

    def end(self, how: str) -> None:
        def edit(state: dict[str, Any]) -> None:
            for resource in [r for r in state["resources"] if r["name"] == "victim"]:
                if how == "kill -9":
                    state["resources"].remove(resource)
                else:
                    resource.update(state="exited", exitCode=int(how[-1]))

        self.ledger.change(edit)

    def servers(self) -> list[int]:
        """Return the pids of the server's processes so far."""
        return self.ledger.change(lambda state: state["servers"])

    def kill_driver(self) -> None:
        for pid in self.servers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            until(lambda pid=pid: not lives(pid), "the server is gone")

    def await_driver(self) -> None:
        """Return when a server's process lives."""
        until(lambda: any(map(lives, self.servers())), "the server is back")

    def late_start(self) -> None:
        self._mood("start", delay=LATE)

    def slow_stop(self, **mood: Any) -> None:
        self._mood("stop", **mood)

    def _mood(self, tool: str, **mood: Any) -> None:
        self.ledger.change(lambda state: state["mood"].update({tool: mood}))

    def clean(self) -> None:
        self.kill_driver()


class StdioDriver(LedgerDriver):
    """One over stdio whose resources end with it, and which gives its ids again."""

    name = "stdio, with find"
    options = ("--forgetful",)


class BlindDriver(StdioDriver):
    """The same without a `find` tool: only the ids that it gave can show what it runs."""

    name = "stdio, no find"
    can_find = False


class BatchDriver(LedgerDriver):
    """A server that lists everything in one answer, and whose resources outlive it."""

    name = "batch"

    def _tools(self) -> str:
        look = '{tool: d/list, args: {}, batch: {items: resources, match: {name: "{{ name }}"}}, '
        return f"""
start: {{tool: d/start, args: {{name: "{{{{ name }}}}"}}, outputs: {{id: id}}}}
stop: {{tool: d/stop, args: {{id: "{{{{ start.id }}}}"}}}}
status: {look}expect: {{jsonPath: {{state: running}}}}}}
find: {look}expect: {{jsonPath: {{state: running}}}}, outputs: {{id: id}}}}
"""


class HttpDriver(LedgerDriver):
    """An HTTP server that the bench starts again; its resources outlive it, but where ids are given again."""

    name = "HTTP"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port = free_port()
        self._processes: list[subprocess.Popen[bytes]] = []

    def _entry(self, way: str) -> dict[str, Any]:
        self.options = ("--http", str(self.port), *(("--forgetful",) if way == "id given to another" else ()))
        self.revive()
        return {"url": f"http://127.0.0.1:{self.port}/mcp"}

    def revive(self) -> None:
        if any(map(lives, self.servers())):
            return
        self._processes.append(subprocess.Popen(self._command()))
        until(lambda: _takes_connections(self.port), "the HTTP server listens")

    def clean(self) -> None:
        super().clean()
        for process in self._processes:
            process.wait()


class Foreigner:
    """A program of someone else on a port: it answers everything with 404."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        until(lambda: self._bound(port), "the port is free for someone else")
        self._socket.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _bound(self, port: int) -> bool:
        try:
            self._socket.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")

    def leave(self) -> None:
        """Give the port back."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


DRIVERS: tuple[type[Driver], ...] = (ProcessDriver, StdioDriver, BlindDriver, HttpDriver, BatchDriver)


def _takes_connections(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _lives(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
