"""Real downstream servers for tests: the scripted server over stdio and HTTP, and a pool over them."""

import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import psutil
from mcp.server import Server
from tests.support.warm_python import warm_python

from ostler.adapters.downstream.pool import DownstreamPool
from ostler.engine.clock import SystemClock
from ostler.model.servers import ServerEntry

PROGRAM = Path(__file__).with_name("scripted_server.py")
"""The scripted server; its head says what it can do."""

CANNED = Path(__file__).with_name("canned_server.py")


def stdio_entry(name: str, *options: object, ostler: Mapping[str, Any] | None = None, **more: Any) -> ServerEntry:
    """An entry that runs the scripted server over stdio; `ostler` are its options as in mcp.json."""
    args = ("-S", str(PROGRAM), *map(str, options))  # -S: without site-packages it is up in 50 ms
    if "--sdk" in options:
        args = args[1:]
    return ServerEntry.model_validate(
        {"name": name, "transport": "stdio", "command": sys.executable, "args": args, "options": ostler or {}, **more}
    )


def http_entry(
    name: str, port: int, *, sse: bool = False, ostler: Mapping[str, Any] | None = None, **more: Any
) -> ServerEntry:
    """An entry for a scripted server that listens on `port`."""
    path = "sse" if sse else "mcp"
    return ServerEntry.model_validate(
        {
            "name": name,
            "transport": "http",
            "url": f"http://127.0.0.1:{port}/{path}",
            "options": ostler or {},
            **more,
        }
    )


def canned_entry(folder: Path, answers: Mapping[str, Any], **ostler: Any) -> ServerEntry:
    """An entry `s` for a server that answers as `answers` say (support/canned_server.py); `ostler` are its options."""
    file = folder / "answers.json"
    file.write_text(json.dumps(answers))
    return ServerEntry.model_validate(
        {
            "name": "s",
            "transport": "stdio",
            "command": sys.executable,
            "args": ("-S", str(CANNED), str(file)),
            "options": ostler,
        }
    )


@contextmanager
def canned_http(folder: Path, answers: Mapping[str, Any]) -> Generator[int]:
    """The same over HTTP; gives its port."""
    file, port_file = folder / "answers.json", folder / "port"
    file.write_text(json.dumps(answers))
    process = subprocess.Popen([sys.executable, "-S", str(CANNED), str(file), "--http", str(port_file)])
    try:
        while not port_file.exists():
            assert process.poll() is None
        yield int(port_file.read_text())
    finally:
        process.kill()
        process.wait()


@asynccontextmanager
async def open_pool(
    folder: Path, *entries: ServerEntry, builtin: Mapping[str, Server[Any]] | None = None
) -> AsyncGenerator[DownstreamPool]:
    """A pool over `entries`, with its logs and records in `folder`; no test takes longer than 4 minutes in it."""
    pool = DownstreamPool(
        {entry.name: entry for entry in entries},
        builtin=builtin or {},
        log_dir=folder / "logs",
        environment=os.environ,
        clock=SystemClock(),
    )
    with anyio.fail_after(240):
        async with pool:
            yield pool


@contextmanager
def http_program(
    folder: Path, *options: object, port: int = 0, sse: bool = False, forked: bool = True
) -> Generator[tuple[subprocess.Popen[bytes], int]]:
    """Run the scripted server over HTTP; gives the process and its port.

    If it is `forked`, it ends a moment after the process when that is killed.
    """
    port_file = folder / f"port-{time.monotonic_ns()}"
    python = warm_python() if forked else [sys.executable]
    command = [*python, str(PROGRAM), "--sse" if sse else "--http", str(port), "--port-file", str(port_file)]
    process = subprocess.Popen([*command, *map(str, options)])
    try:
        deadline = time.monotonic() + 60
        while not port_file.exists():
            assert process.poll() is None, "the scripted server did not start"
            assert time.monotonic() < deadline, "the scripted server does not listen"
            time.sleep(0.02)  # noqa: TID251 (another process is waited for, outside of any event loop)
        yield process, int(port_file.read_text())
    finally:
        process.kill()
        process.wait()


def is_running(pid: int) -> bool:
    """Whether `pid` runs (a zombie does not)."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
