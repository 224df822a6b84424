"""A real server that a test or benchmark starts by forking, kills, and asks through its socket."""

import contextlib
import os
import select
import signal
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import psutil
from tests.support.forker import MARK, PATIENCE, Forker

from ostler.adapters.config.paths import Paths
from ostler.faces.bridge.dialer import Dialer, OstlerUnavailableError
from ostler.faces.bridge.place import ServerPlace
from ostler.faces.cli.rpc import ServerClient

HERE = Path(__file__).parent


class Forked:
    """A process that another one forked, by the kernel's handle: its number may be given again when it has ended."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._handle = -1
        with contextlib.suppress(ProcessLookupError):  # it has ended already
            self._handle = os.pidfd_open(pid)

    def __del__(self) -> None:
        self._close()

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return not self.ends_within(0.0)

    def signal(self, what: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self.runs:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, what)

    def ends_within(self, seconds: float) -> bool:
        """Wait so long for its end; return whether it has come."""
        if self._handle >= 0 and select.select([self._handle], [], [], seconds)[0]:
            self._close()
        return self._handle < 0

    def _close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


class ForkedServer:
    """One state folder, and the server that owns it."""

    def __init__(self, folder: Path, forker: Forker) -> None:
        self.place = ServerPlace(Paths.resolve(folder / "config", folder / "state"))
        self.mark = uuid.uuid4().hex
        self.process: Forked | None = None
        self.port = 0
        self.forker = forker

    def start(self) -> None:
        """Start a server; it may not be ready yet when this returns."""
        self.process = Forked(self.forker.start_server(self.place, self.mark, self.port))

    def kill(self) -> None:
        """End the server as a power cut would, and wait until it is gone."""
        if self.process is not None:
            self.process.signal(signal.SIGKILL)
            self._await_end("the killed server is gone")

    def end(self, how: str) -> None:
        """End the server in order: by the name of a signal, or by the request `stop` or `handover`."""
        if not how.startswith("SIG"):
            Dialer(self.place, kind="cli", note=lambda _: None, version="99.0").request(how)
        elif self.process is not None:
            self.process.signal(signal.Signals[how])
        self._await_end(f"the server has ended by {how}")

    def _await_end(self, what: str) -> None:
        if self.process is not None and not self.process.ends_within(PATIENCE):
            raise AssertionError(f"not so after {PATIENCE:.0f} s: {what}")
        self.process = None

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
        if self.process is not None and not self.process.runs:
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
        except OstlerUnavailableError:
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
        own = {os.getpid(), self.process.pid if self.process is not None else 0, self.forker.pid}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.pid in own or process.status() == psutil.STATUS_ZOMBIE:
                    continue
                if process.environ().get(MARK) == self.mark:
                    found.append(process)
        return found
