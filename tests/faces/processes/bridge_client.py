"""A client at the stdio of a bridge (or of a server in the foreground): sends lines, waits for what comes back."""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import pytest
from tests.support.warm_python import CLIENT, warm_python

from ostler.adapters.config.paths import Paths
from ostler.faces.bridge import dialer
from ostler.faces.bridge.dialer import Dialer, OstlerUnavailableError
from ostler.faces.bridge.greeting import RefusedError
from ostler.faces.bridge.launcher import server_command
from ostler.faces.bridge.place import ServerPlace

SCRIPT = Path(__file__).with_name("scripted_server.py")
PATIENCE = 60.0
MODERN_META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


def scripted(role: str, place: ServerPlace, *options: str, forked: bool = True) -> list[str]:
    """Return the command of a server, or of a bridge that starts servers.

    Unless it is `forked`, the process that the command starts is the server itself, to which pid and end belong.
    """
    python = warm_python() if forked else [sys.executable]
    if role == "bridge":
        return [sys.executable, str(SCRIPT), role, "--state", place.state_dir, "--python", json.dumps(python), *options]
    return [*python, str(SCRIPT), role, "--state", place.state_dir, *options]


class BridgeClient:
    def __init__(self, command: list[str], *, env: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(env or {})},
        )
        self._keys = iter(range(1, 10_000))
        self._arrived = threading.Condition()
        self._ended = False
        self.answers: dict[Any, dict[str, Any]] = {}
        self.notifications: list[dict[str, Any]] = []
        self._notes: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._read_stdout, daemon=True),
            threading.Thread(target=self._read_stderr, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            assert self.process.stdin is not None
            self.process.stdin.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for thread in self._threads:
            thread.join(5)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()

    def close(self) -> int:
        """End the client's side; return the bridge's exit status."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(PATIENCE)

    def write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def send(self, method: str, params: dict[str, Any] | None = None, *, notify: bool = False) -> int:
        key = next(self._keys)
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params or {}}
        if not notify:
            message["id"] = key
        self.write(json.dumps(message).encode() + b"\n")
        return key

    def answer(self, key: int, *, timeout: float = PATIENCE) -> dict[str, Any]:
        with self._arrived:
            assert self._arrived.wait_for(lambda: key in self.answers or self._ended, timeout), f"no answer to {key}"
            assert key in self.answers, f"the bridge ended before it answered: {self.notes()}"
            return self.answers.pop(key)

    def ask(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        return self.answer(self.send(method, params))

    def initialize(self) -> dict[str, Any]:
        answer = self.ask(
            "initialize",
            {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
        )
        self.send("notifications/initialized", notify=True)
        return answer["result"]

    def send_call(self, tool: str, *, modern: bool = False, **args: Any) -> int:
        meta = {"_meta": MODERN_META} if modern else {}
        return self.send("tools/call", {"name": tool, "arguments": args, **meta})

    def call(self, tool: str, *, modern: bool = False, **args: Any) -> str:
        answer = self.answer(self.send_call(tool, modern=modern, **args))
        assert "result" in answer, answer
        return answer["result"]["content"][0]["text"]

    def wait_for_notification(self, method: str) -> dict[str, Any]:
        def found() -> dict[str, Any] | None:
            return next((note for note in self.notifications if note["method"] == method), None)

        with self._arrived:
            assert self._arrived.wait_for(lambda: found() is not None, PATIENCE), f"no {method}: {self.notifications}"
            note = found()
            assert note is not None
            return note

    def notes(self) -> str:
        """What the bridge said on stderr since the last time."""
        lines: list[str] = []
        while not self._notes.empty():
            lines.append(self._notes.get())
        return "".join(lines)

    def wait_for_note(self) -> str:
        """The next line on stderr."""
        return self._notes.get(timeout=PATIENCE)

    def _read_stdout(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            message = json.loads(line)
            with self._arrived:
                if "method" in message:
                    self.notifications.append(message)
                else:
                    self.answers[message["id"]] = message
                self._arrived.notify_all()
        with self._arrived:
            self._ended = True
            self._arrived.notify_all()

    def _read_stderr(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._notes.put(line.decode())


def eventually(condition: Callable[[], object], what: str, *, timeout: float = PATIENCE) -> None:
    """Wait until `condition` holds; only for facts that nothing announces."""
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"not so after {timeout:.0f} s: {what}"
        pause.wait(0.02)


def processes_of(place: ServerPlace) -> list[psutil.Process]:
    """The processes, ended ones aside, that were started for this state folder."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = process.cmdline()
            if place.state_dir in words and str(CLIENT) not in words and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def servers_of(place: ServerPlace) -> list[int]:
    """The pids of those that are servers, not bridges."""
    found: list[int] = []
    for process in processes_of(place):
        with contextlib.suppress(psutil.Error):  # it may have ended since
            if {"server", "ostler.faces.daemon"} & {*process.cmdline()}:
                found.append(process.pid)
    return found


def _forking_command(place: ServerPlace) -> list[str]:
    return [*warm_python(), *server_command(place)[1:]]


@contextlib.contextmanager
def clean_place(state_dir: Path) -> Generator[ServerPlace]:
    """A place for one test; afterwards its server is ended, and nothing may be left of it.

    What this process itself asks, such as a verb of the command line, starts the server by a fork.
    """
    place = ServerPlace(Paths.resolve(state_dir / "config", state_dir / "state"))
    notes: list[str] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(dialer, "server_command", _forking_command)
        yield place

    def is_ended() -> bool:
        """Ask what serves to stop, also a server that a bridge had begun to start and that found the folder free."""
        with contextlib.suppress(OstlerUnavailableError, RefusedError):
            Dialer(place, kind="cli", note=notes.append).request("stop")
        return not processes_of(place)

    try:
        eventually(is_ended, "no process is left", timeout=90)
    except AssertionError as error:
        raise AssertionError(f"{error}: {[(p.pid, p.cmdline()) for p in processes_of(place)]} {notes}") from None
    finally:
        for process in processes_of(place):
            process.kill()
