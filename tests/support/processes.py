"""The built-in process server as a client meets it, and proof that a test leaves no process behind."""

import os
import sys
import uuid
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
from mcp import Client
from mcp.server import Server

from ostler.adapters.caller_environment import without_own
from ostler.adapters.environments import Environments
from ostler.adapters.process.server import ProcessServer
from ostler.adapters.process.supervisor import Supervisor

MARK = "PROCESS_TEST_MARK"
"""An inherited variable, so that everything that a test starts can be found, whatever becomes of its parents."""


class ProcessClient:
    """Calls the tools; `call` returns the structured answer of a success, `fail` the text of a failure."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def call(self, tool: str, **arguments: Any) -> Any:
        result = await self.client.call_tool(tool, arguments)
        assert not result.is_error, result.content[0]
        return result.structured_content

    async def fail(self, tool: str, **arguments: Any) -> str:
        result = await self.client.call_tool(tool, arguments)
        assert result.is_error, result.structured_content
        [block] = result.content
        assert block.type == "text"
        return block.text

    async def start(self, key: str, script: str | None = None, **arguments: Any) -> Any:
        return await self.call("start", **start_arguments(key, script, **arguments))

    async def until(self, key: str, wanted: Callable[[Any], bool], **arguments: Any) -> Any:
        """Ask for the status until it is as wanted, for at most 40 seconds."""
        with anyio.fail_after(40):
            while not wanted(answer := await self.call("status", key=key, **arguments)):
                await anyio.sleep(0.02)
        return answer

    async def until_logged(self, key: str, text: str) -> list[str]:
        """Ask for the log until a line has the text, for at most 40 seconds."""
        with anyio.fail_after(40):
            while True:
                lines: list[str] = (await self.call("logs", key=key))["lines"]
                if any(text in line for line in lines):
                    return lines
                await anyio.sleep(0.02)


def start_arguments(key: str, script: str | None = None, **arguments: Any) -> dict[str, Any]:
    """Arguments of start that run a Python script, unless others say what to run."""
    if script is not None:
        arguments = {"command": "{python}", "args": ["-S", "-u", "-c", script], **arguments}
    quick = {} if "ready" in arguments else {"startSeconds": 0}
    return {"key": key, "cwd": str(Path.cwd()), **quick, **arguments}


def build_process_server(
    root: Path, *, on_change: Callable[[str], None] | None = None, environments: Environments | None = None
) -> Server[None]:
    """A server over `root`; what is started without an environment gets this process's."""
    environments = environments or Environments(without_own(os.environ))
    return ProcessServer(Supervisor(root, on_change, environments=environments)).over_protocol()


@asynccontextmanager
async def process_server(root: Path) -> AsyncGenerator[ProcessClient]:
    """A fresh server over `root`, connected in-process as Ostler does it."""
    async with Client(build_process_server(root)) as client:
        yield ProcessClient(client)


def marked_processes(mark: str) -> list[psutil.Process]:
    """Every process that carries the mark and has not ended."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                if process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
                assert process.ppid() != os.getpid() or process.status() != psutil.STATUS_ZOMBIE, "a zombie was left"
        except psutil.Error:
            continue
    return found


@pytest.fixture
def nothing_left(monkeypatch: pytest.MonkeyPatch) -> Generator[str]:
    """Fail the test when a process that it started is still there at its end (and end it); gives the mark."""
    mark = uuid.uuid4().hex
    monkeypatch.setenv(MARK, mark)
    yield mark
    left = marked_processes(mark)
    described = [" ".join(process.cmdline()) for process in left]
    for process in left:
        process.kill()
    assert described == []


# `print` writes a line and its end apart, as programs are started unbuffered: the end may come late on a busy machine
SLEEP = r"import sys, time; sys.stdout.write('up\n'); time.sleep(300)"
SERVE = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(self.path.split('?')[0].strip('/') or 200)); self.end_headers()
    def log_message(self, *a): pass
s = http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Handler)
print('listening', flush=True)
s.serve_forever()
"""


def serve_arguments(key: str, **arguments: Any) -> dict[str, Any]:
    """Arguments of start for a web server that answers GET /<status> with that status."""
    command: dict[str, Any] = {"command": "{python}", "args": ["-S", "-u", "-c", SERVE, "{port}"], "port": 0}
    return start_arguments(key, **{**command, **arguments})


PYTHON = sys.executable
