"""Starts servers and commands of Ostler by forking a process that has imported them: no interpreter starts for each.

As a program it takes a JSON line `{"run": "server" | "command", …}` on stdin for each, and answers with its pid.
"""

import faulthandler
import importlib
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self

from ostler.adapters.config.paths import Paths
from ostler.engine.clock import SystemClock
from ostler.faces.bridge.launcher import EXIT_LOCK_HELD
from ostler.faces.bridge.place import ServerPlace
from ostler.model.errors import StateLockedError

MARK: Final = "KILL_TEST_MARK"
PATIENCE: Final = 60.0
_FAILED: Final = 70
_IMPORTED: Final = (
    "mcp.server.lowlevel", "mcp.server.subscriptions", "ostler.adapters.stores.postgresql", "ostler.engine.manager",
    "ostler.faces.application", "ostler.faces.daemon.foreground_options", "ostler.faces.daemon.forwarding",
    "ostler.faces.daemon.hosted_application", "ostler.faces.daemon.http", "ostler.faces.daemon.process",
    "ostler.faces.entry", "ostler.faces.mcp.server",
)  # fmt: skip


def import_server() -> None:
    """Import what servers and commands need, as a server does."""
    importlib.import_module("ostler.faces.daemon.lean_imports").import_lean()
    for name in _IMPORTED:
        importlib.import_module(name)


class Forker:
    """The process that forks; `prefix` is what its own command begins with, such as that of another clock."""

    def __init__(self, *prefix: str) -> None:
        command = [*prefix, sys.executable, "-P", __file__]
        environment = {**os.environ, "DONT_FAKE_MONOTONIC": "1"}  # faketime is to change the wall clock alone
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_ending: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE)
        self._process.stdout.close()

    def start_command(self, args: Sequence[str], env: Mapping[str, str], log: Path) -> int:
        """Run `ostler ARGS`, with `env` added to the environment and its output in `log`; return its pid."""
        return self._fork({"run": "command", "args": list(args), "env": dict(env), "log": str(log)})

    def start_server(self, place: ServerPlace, mark: str, port: int) -> int:
        """Run a server in the background for `place`; return its pid.

        Its processes inherit `mark`, and a `port` but 0 is served over HTTP. The file `clock` next to the state folder
        has the seconds by which its wall clock is off.
        """
        place.paths.create_state()
        at = {"state": str(place.state_dir), "config": str(place.config_dir), "port": port}
        return self._fork({"run": "server", **at, "env": {MARK: mark}, "log": str(place.log_file)})

    def _fork(self, asked: dict[str, Any]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


class _SteppedClock(SystemClock):
    """A wall clock that someone sets."""

    file = Path()

    def now(self) -> datetime:
        """Return the time that the clock shows."""
        try:
            return super().now() + timedelta(seconds=float(self.file.read_text()))
        except (OSError, ValueError):
            return super().now()


def _be_server(state: str, config: str, port: int) -> int:
    """Be what `python -m ostler.faces.daemon` runs, until the end."""
    from ostler.faces import application
    from ostler.faces.daemon.hosted_application import application_source
    from ostler.faces.daemon.http import HttpSettings
    from ostler.faces.daemon.lock import StateLock
    from ostler.faces.daemon.logs import set_up_logging
    from ostler.faces.daemon.process import ServerSettings, run_server

    place = ServerPlace(Paths.resolve(config, state))
    _SteppedClock.file = place.paths.state_dir.with_name("clock")
    application.SystemClock = _SteppedClock
    faulthandler.register(signal.SIGUSR1, file=2)  # what does not come to an end says in its log where it is
    set_up_logging("info")
    lock = StateLock(place, version="0.1.0")
    try:
        lock.acquire()
    except StateLockedError:
        return EXIT_LOCK_HELD
    http = HttpSettings("127.0.0.1", port) if port else None
    return run_server(ServerSettings(place, lock, application_source(place.paths), background=True, http=http))


def _be_command(args: list[str]) -> int:
    return importlib.import_module("ostler.faces.entry").main(args)


def _run(run: str, env: dict[str, str], log: str, **asked: Any) -> int:
    """Be the program that is asked for; return its exit status."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    os.environ.update(env)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    try:
        return _be_server(**asked) if run == "server" else _be_command(**asked)
    except BaseException:
        traceback.print_exc()
        return _FAILED


def main() -> None:
    """Import, then fork for each line."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps them
    import_server()
    while line := sys.stdin.readline():
        pid = os.fork()
        if pid == 0:
            os._exit(_run(**json.loads(line)))
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
