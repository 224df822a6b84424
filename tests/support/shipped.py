"""The shipped classes at work: a whole Ostler over throw-away folders, with real downstream servers."""

import json
import os
import shutil
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import psutil
import pytest

from ostler.adapters.config.paths import Paths
from ostler.engine.manager import ServiceManager
from ostler.engine.services.views import CreateRequest, ServiceView
from ostler.faces.application import Application
from ostler.faces.assembly import open_application

FOLDER = Path(__file__).parents[2] / "serviceclasses"
JUPYTER_PROGRAMS = Path(__file__).parents[2] / ".jupyter-tools" / "bin"
MCP_SERVERS = Path(__file__).parents[2] / ".mcp-servers" / "node_modules" / ".bin"
NPM_PROGRAMS = Path(__file__).parents[2] / ".npm-tools" / "node_modules" / ".bin"


@asynccontextmanager
async def open_ostler(
    folder: Path, *, servers: dict[str, Any] | None = None, within: float = 150
) -> AsyncGenerator[Application]:
    """Run Ostler with its state in `folder`, with `servers` as its mcp.json; it stops every service when it ends.

    A test that fails inside of it shows the last events.
    """
    config = folder / "config"
    config.mkdir()
    (config / "mcp.json").write_text(json.dumps({"mcpServers": servers or {}}))
    paths = Paths.resolve(config, folder / "state", environ={})
    with anyio.fail_after(within):
        async with open_application(paths, stop_on_exit=True) as app:
            for server in ("process", *(servers or {})):
                await app.downstream.wait_until_connected(server, 60)
            try:
                yield app
            except BaseException as error:
                error.add_note(f"the last events:\n{_said(app.manager)}")
                raise


def _said(manager: ServiceManager) -> str:
    events = manager.events.read(limit=1000).events[-60:]
    return "\n".join(f"{event.at:%M:%S.%f} {event.service}: {event.kind.value}: {event.message}" for event in events)


async def create(manager: ServiceManager, class_name: str, name: str, **args: Any) -> dict[str, Any]:
    """Create a service, and return its outputs, secret ones in clear."""
    await manager.create(CreateRequest(class_name, name, args))
    _, outputs = manager.reveal(name)
    return outputs


async def until_health(manager: ServiceManager, name: str, wanted: str, within: float = 60) -> ServiceView:
    """Check the health until it is as wanted."""
    with anyio.fail_after(within):
        while (view := await manager.check_health(name)).health.value != wanted:
            await anyio.sleep(0.05)
    return view


async def until_restarted(manager: ServiceManager, name: str, within: float = 60) -> None:
    """Check the health until the service was restarted by its policy and runs again."""
    with anyio.fail_after(within):
        while (view := manager.view(name)).restarts == 0 or view.state.value != "running":
            await manager.check_health(name)
            await anyio.sleep(0.05)


async def until_gone(pids: Iterable[int], within: float = 30) -> None:
    """Wait until none of the processes is there any more, and fail when one stays."""
    found: list[psutil.Process] = []
    for pid in pids:
        try:
            found.append(psutil.Process(pid))
        except psutil.NoSuchProcess:
            continue
    _, alive = await anyio.to_thread.run_sync(lambda: psutil.wait_procs(found, timeout=within))
    assert not alive, f"still there: {alive}"


def npm_program(name: str, folder: Path = NPM_PROGRAMS) -> str:
    """Return the path of a program that an npm package of tests/npm brings; without it skip, or fail in CI."""
    program = folder / name
    if not program.exists():
        reason = f"{name} is not installed in {folder}; `python tests/run.py` installs it"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return str(program)


def jupyter_program() -> str:
    """Return the path of the jupyter command that tests/run.py installs; without it skip, or fail in CI."""
    command = JUPYTER_PROGRAMS / "jupyter"
    if not command.exists():
        reason = "there is no .jupyter-tools; `python tests/run.py` installs it"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return str(command)


def program(*names: str) -> str:
    """Return the path of the first program that is installed here; without any skip the test, or fail in CI."""
    for name in names:
        found = shutil.which(name)
        if found is not None:
            return found
    reason = f"{' or '.join(names)} is not installed on this machine; .ci/programs installs it on Debian"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
