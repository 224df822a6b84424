"""A real server that a test or benchmark starts by forking, kills, and asks through its socket."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any, Self

import psutil

from ostler.adapters.config.paths import Paths
from ostler.faces.bridge.dialer import Dialer, ServerUnavailableError
from ostler.faces.bridge.place import ServerPlace
from ostler.faces.cli.rpc import ServerClient

MARK = "KILL_TEST_MARK"
PATIENCE = 60.0
HERE = Path(__file__).parent


class Forker:
    """The process that forks servers (`server_forker.py`)."""

    def __init__(self) -> None:
        command = [sys.executable, "-P", str(HERE / "server_forker.py")]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_ending: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE)
        self._process.stdout.close()

    def start(self, place: ServerPlace, mark: str, port: int = 0) -> int:
        """Fork a server of `place`, whose processes inherit `mark`, with HTTP at `port`; return its pid."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{place.state_dir}\t{place.config_dir}\t{mark}\t{port}\n".encode())
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


class ForkedServer:
    """One state folder, and the server that owns it."""

    def __init__(self, folder: Path, forker: Forker) -> None:
        self.place = ServerPlace(Paths.resolve(folder / "config", folder / "state"))
        self.mark = uuid.uuid4().hex
        self.pid = 0
        self.forker = forker

    def start(self) -> None:
        """Start a server; it may not be ready yet when this returns."""
        self.pid = self.forker.start(self.place, self.mark)

    def kill(self) -> None:
        """End the server as a power cut would, and wait until it is gone."""
        if not self.pid:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.eventually(lambda: not psutil.pid_exists(self.pid), "the killed server is gone")
        self.pid = 0

    def end(self, how: str) -> None:
        """End the server in order: by the name of a signal, or by the request `stop` or `handover`."""
        if how.startswith("SIG"):
            os.kill(self.pid, signal.Signals[how])
        else:
            Dialer(self.place, kind="cli", note=lambda _: None, version="99.0").request(how)
        self.eventually(lambda: not psutil.pid_exists(self.pid), f"the server has ended by {how}")
        self.pid = 0

    def call(self, tool: str, **args: Any) -> dict[str, Any]:
        """Call a tool that must succeed."""
        with self.client() as client:
            answer = client.call_tool(tool, args)
        assert not answer.is_error, answer.text
        return answer.structured

    def client(self) -> ServerClient:
        """Return a client, once the server listens."""
        self.eventually(self._listens_or_comes, "the server listens")
        return self.direct_client()

    def _listens_or_comes(self) -> bool:
        """Whether the server listens; one that found the folder still held by the dead is started again, as bridges do.

        A child that the dead server was just making holds the lock for the instant between fork and exec.
        """
        if self.pid and not psutil.pid_exists(self.pid):
            self.start()
        return self.listens()

    def direct_client(self) -> ServerClient:
        """Return a client of a server that listens."""
        no_server = [sys.executable, "-S", "-c", "raise SystemExit(1)"]  # servers are forked, not launched
        return ServerClient(Dialer(self.place, kind="cli", note=lambda _: None, command=no_server))

    def listens(self) -> bool:
        """Whether the server takes connections."""
        try:
            Dialer(self.place, kind="cli", note=lambda _: None).request("status")
        except ServerUnavailableError:
            return False
        return True

    def eventually(self, condition: Any, what: str) -> None:
        """Return when `condition` is true; fail with `what` when it never is."""
        deadline = time.monotonic() + PATIENCE
        pause = threading.Event()
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"not so after {PATIENCE:.0f} s: {what}")
            pause.wait(0.01)

    def marked(self) -> list[psutil.Process]:
        """Return every process that was started for this run, servers aside."""
        found: list[psutil.Process] = []
        own = {os.getpid(), self.pid, self.forker.pid}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.pid in own or process.status() == psutil.STATUS_ZOMBIE:
                    continue
                if process.environ().get(MARK) == self.mark:
                    found.append(process)
        return found
