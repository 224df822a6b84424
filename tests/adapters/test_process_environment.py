"""Whose environment a process is started in, and again when no one asks."""

from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from tests.support.processes import build_process_server
from tests.support.processes import nothing_left as nothing_left  # noqa: PLC0414 (a fixture, found by its name)

from ostler.adapters.caller_environment import META_KEY
from ostler.adapters.environments import Environments

pytestmark = [pytest.mark.anyio, pytest.mark.realtime, pytest.mark.usefixtures("nothing_left")]


async def test_a_process_keeps_the_environment_of_the_one_who_asked(state_dir: Path) -> None:
    environments = Environments({"PATH": "/usr/bin:/bin", "SEEN": "base"})
    log = {"key": "k", "command": "printf 'seen=%s\\n' \"$SEEN\"; sleep 60", "shell": True, "ready": {"log": "seen="}}

    async def seen(client: Client, **more: Any) -> str:
        await client.call_tool("start", log, **more)
        lines = (await client.call_tool("logs", {"key": "k"})).structured_content["lines"]
        await client.call_tool("stop", {"key": "k"})
        return [line for line in lines if line.startswith("seen=")][-1]

    async with Client(build_process_server(state_dir / "p", environments=environments)) as client:
        assert await seen(client) == "seen=base"
        assert await seen(client, meta={META_KEY: {"PATH": "/usr/bin:/bin", "SEEN": "asked"}}) == "seen=asked"
        assert await seen(client) == "seen=asked"  # no one in particular asks
    async with Client(build_process_server(state_dir / "p", environments=environments)) as client:
        assert await seen(client) == "seen=asked"


@pytest.mark.parametrize(
    ("host", "passed"),
    [("my-machine", "none"), ("x86_64-conda-linux-gnu", "none"), ("0.0.0.0", "0.0.0.0"), ("::1", "::1")],
)
async def test_an_inherited_host_is_passed_on_if_a_server_could_mean_to_listen_there(
    state_dir: Path, host: str, passed: str
) -> None:
    environments = Environments({"PATH": "/usr/bin:/bin", "HOST": host})
    line = "echo host=${HOST-none}; sleep 60"
    started: Any = {"key": "k", "command": line, "shell": True, "ready": {"log": "(?P<host>host=.*)"}}
    async with Client(build_process_server(state_dir / "p", environments=environments)) as client:
        answer = await client.call_tool("start", started)
        assert answer.structured_content["matched"] == {"host": f"host={passed}"}
        await client.call_tool("stop", {"key": "k"})
        answer = await client.call_tool("start", {**started, "env": {"HOST": "my-machine"}})
        assert answer.structured_content["matched"] == {"host": "host=my-machine"}, "what is asked for is not inherited"
        await client.call_tool("stop", {"key": "k"})


async def test_a_program_that_only_a_login_shell_finds_is_found_there(tmp_path: Path, state_dir: Path) -> None:
    tool = tmp_path / "login" / "tool"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho here\nsleep 60\n")
    tool.chmod(0o755)
    environments = Environments({"PATH": f"{tool.parent}:/usr/bin:/bin"})
    asked: Any = {META_KEY: {"PATH": "/usr/bin:/bin"}}
    async with Client(build_process_server(state_dir / "p", environments=environments)) as client:
        started = await client.call_tool("start", {"key": "k", "command": "tool"}, meta=asked)
        assert not started.is_error
        await client.call_tool("stop", {"key": "k"})
        line = {"key": "k", "command": "cd / && A=1 exec tool", "shell": True}
        assert not (await client.call_tool("start", line | {"ready": {"log": "here"}}, meta=asked)).is_error
        await client.call_tool("stop", {"key": "k"})
        fixed = {"key": "k", "command": "tool", "env": {"PATH": "/usr/bin:/bin"}}
        refused = await client.call_tool("start", fixed, meta=asked)
        assert "the PATH that was searched is '/usr/bin:/bin'" in str(refused.content)
