"""`ostler demo`: one whole path through a real MCP client, in a throw-away folder, leaving nothing behind."""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, build_opener

import anyio
import anyio.to_thread
import psutil
from mcp import Client, MCPError, StdioServerParameters

from ostler.faces.output import complain, say
from ostler.model.json import JsonObject

PAGE = "<!doctype html><title>Ostler</title><h1>Stabled, fed and ready.</h1>\n"
_SERVICE = "demo-site"
_GRACE = 10.0


class DemoError(Exception):
    """A step of the demonstration failed."""


def run_demo(*, keep: bool = False) -> int:
    """Run the demonstration and return an exit code: 0 if every step succeeded.

    Args:
        keep: leave the folder (state, logs) for inspection.
    """
    folder = Path(tempfile.mkdtemp(prefix="ostler-demo-"))
    code = 0
    try:
        anyio.run(_Demo(folder).run)
    except DemoError as error:
        complain(f"FAILED: {error}")
        complain(f"the server's log: {folder / 'state' / 'logs' / 'server.log'}")
        code, keep = 1, True
    finally:
        if keep:
            say(f"Kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return code


class _Demo:
    def __init__(self, folder: Path) -> None:
        self._site = folder / "site"
        self._environment = {
            **os.environ,
            "OSTLER_STATE": str(folder / "state"),
            "OSTLER_CONFIG": str(folder / "config"),
        }
        self._site.mkdir()
        (folder / "config").mkdir()
        (self._site / "index.html").write_text(PAGE, encoding="utf-8")
        self._step = 0

    async def run(self) -> None:
        """Connect, create, watch, fetch, stop, and check that nothing is left."""
        serve = StdioServerParameters(
            command=sys.executable, args=["-m", "ostler.faces.entry", "serve"], env=self._environment
        )
        pid = -1
        began = time.perf_counter()
        try:
            async with Client(serve) as client:
                self._say(f"connected to the Ostler server over stdio (MCP {client.protocol_version})")
                try:
                    pid = await self._through(client)
                except BaseException:
                    await self._give_up(client)
                    raise
        finally:
            with anyio.CancelScope(shield=True):
                await self._stop_server()
        left = _processes_of(self._environment["OSTLER_STATE"])
        _, alive = await anyio.to_thread.run_sync(lambda: psutil.wait_procs(left, timeout=_GRACE))
        if alive or psutil.pid_exists(pid):
            raise DemoError(f"processes are left: {alive or pid}")
        self._say("the server has ended; no process of it is left")
        say(f"Done in {time.perf_counter() - began:.1f} s. Connect your own client: see README.md.")

    async def _through(self, client: Client) -> int:
        classes = await self._call(client, "serviceclass_list", {})
        names = [entry["name"] for entry in classes["serviceClasses"] if entry["available"]]
        self._say(f"classes ready to use: {', '.join(names)}")
        created = await self._call(
            client,
            "service_create",
            {"serviceClassName": "static-web-server", "name": _SERVICE, "args": {"directory": str(self._site)}},
            progress=True,
        )
        self._say(created["message"])
        url = str(created["service"]["outputs"]["url"])
        page = await anyio.to_thread.run_sync(_fetch, url)
        if page != PAGE:
            raise DemoError(f"{url} answered something else: {page[:80]!r}")
        self._say(f"fetched {url}: {page.splitlines()[0]}")
        status = await self._status(client)
        details = await self._call(client, "service_get", {"name": _SERVICE})
        pid = _find_pid(details)
        self._say(f"status: {status['state']}, {status['health']}, pid {pid}")
        stopped = await self._call(client, "service_stop", {"name": _SERVICE})
        self._say(stopped["message"])
        if psutil.pid_exists(pid):
            raise DemoError(f"process {pid} is still there after the stop")
        self._say(f"process {pid} is gone")
        deleted = await self._call(client, "service_delete", {"name": _SERVICE})
        self._say(deleted["message"])
        return pid

    async def _status(self, client: Client) -> JsonObject:
        """Ask until the first health check has been made."""
        with anyio.move_on_after(_GRACE):
            while True:
                status = await self._call(client, "service_status", {"name": _SERVICE})
                if status["health"] == "healthy":
                    return status
                await anyio.sleep(0.1)
        raise DemoError("no health check has been made")

    async def _call(self, client: Client, tool: str, args: JsonObject, *, progress: bool = False) -> JsonObject:
        result = await client.call_tool(tool, args, progress_callback=_show if progress else None)
        if result.is_error:
            text = " ".join(getattr(block, "text", "") for block in result.content)
            raise DemoError(f"{tool}: {text}")
        structured: Any = result.structured_content
        return dict(structured)

    async def _give_up(self, client: Client) -> None:
        """End the service, which would outlive the server."""
        with anyio.move_on_after(_GRACE, shield=True), suppress(MCPError):
            await client.call_tool("service_delete", {"name": _SERVICE})

    async def _stop_server(self) -> None:
        command = [sys.executable, "-m", "ostler.faces.entry", "stop-server"]
        with anyio.move_on_after(_GRACE * 3):
            await anyio.run_process(command, env=self._environment, check=False)

    def _say(self, text: str) -> None:
        self._step += 1
        say(f"{self._step:3}. {text}", flush=True)


async def _show(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001 (the SDK's signature)
    if message:
        say(f"     … {message}")


def _fetch(url: str) -> str:
    with build_opener(ProxyHandler({})).open(url, timeout=_GRACE) as response:  # of this machine: not through a proxy
        return response.read().decode()


def _find_pid(details: Mapping[str, Any]) -> int:
    start = details.get("serviceData", {}).get("start", {})
    if "pid" not in start:
        raise DemoError(f"service_get shows no pid: {details.get('serviceData')}")
    return int(start["pid"])


def _processes_of(state: str) -> list[psutil.Process]:
    """Return the other processes whose environment names the demonstration's state folder."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get("OSTLER_STATE") == state:
                found.append(process)
        except psutil.Error:
            continue
    return found
