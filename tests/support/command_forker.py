"""Runs the command `ostler` by forking a process that has imported what a server needs: no interpreter starts for it.

As a program it takes a JSON line `{"args": […], "env": {…}, "log": path}` on stdin for each, and answers with its pid.
"""

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

_IMPORTED = (
    "adapters.stores.postgresql", "engine.manager", "faces.application", "faces.daemon.foreground_options",
    "faces.daemon.forwarding", "faces.daemon.hosted_application", "faces.daemon.http", "faces.daemon.process",
    "faces.entry", "faces.mcp.server",
)  # fmt: skip


class CommandForker:
    """The process that forks; `prefix` is what its own command begins with, such as that of another clock."""

    def __init__(self, *prefix: str) -> None:
        command = [*prefix, sys.executable, "-P", str(Path(__file__))]
        environment = {**os.environ, "DONT_FAKE_MONOTONIC": "1"}  # faketime is to change the wall clock alone
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_ending: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()

    def start(self, args: Sequence[str], env: Mapping[str, str], log: Path) -> int:
        """Run `ostler ARGS`, with `env` added to the environment and its output in `log`; return its pid."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = json.dumps({"args": list(args), "env": dict(env), "log": str(log)})
        self._process.stdin.write(asked.encode() + b"\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


def _run(args: list[str], env: dict[str, str], log: str) -> int:
    """Be the command."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    os.environ.update(env)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    return importlib.import_module("ostler.faces.entry").main(args)


def main() -> None:
    """Fork for each line."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps them
    importlib.import_module("ostler.faces.daemon.lean_imports").import_lean()
    for name in _IMPORTED:
        importlib.import_module(f"ostler.{name}")
    while line := sys.stdin.readline():
        asked = json.loads(line)
        pid = os.fork()
        if pid == 0:
            status = 70
            with contextlib.suppress(BaseException):
                status = _run(asked["args"], asked["env"], asked["log"])
            os._exit(status)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
