"""How servers are started: in which era of the protocol, for how long, how many at once, and why one did not start."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import anyio
import pytest
from tests.support.canned_server import DISCOVERY
from tests.support.downstream import canned_entry, canned_http, http_entry, open_pool, stdio_entry

from ostler.adapters.downstream import starts
from ostler.adapters.downstream.installers import broken_cache, written_for_mcp_1
from ostler.adapters.downstream.pool import DownstreamPool
from ostler.adapters.downstream.snapshots import ConnectionSnapshot
from ostler.model.servers import ServerEntry

pytestmark = [pytest.mark.anyio, pytest.mark.realtime]

TOOL = {"name": "good", "inputSchema": {"type": "object"}}
PROXY: dict[str, Any] = {
    "server/discover": DISCOVERY,
    "modern/tools/list": {"tools": []},
    "tools/list": {"tools": [TOOL]},
    "tools/call": {"good": {"content": [{"type": "text", "text": "fine"}]}},
}
"""A proxy that speaks the newer protocol in front of a server that does not."""


def program(name: str, text: str, *args: str, **ostler: Any) -> ServerEntry:
    """A server over stdio that is a Python program."""
    return ServerEntry.model_validate(
        {
            "name": name,
            "transport": "stdio",
            "command": sys.executable,
            "args": ["-S", "-c", dedent(text), *args],
            "options": ostler,
        }
    )


async def seen(pool: DownstreamPool, name: str, wanted: Callable[[ConnectionSnapshot], bool]) -> ConnectionSnapshot:
    """The first snapshot of `name`, now or later, that is `wanted`."""
    found = [one for one in [pool.snapshot(name)] if wanted(one)]
    event = anyio.Event()

    def look(snapshot: ConnectionSnapshot) -> None:
        if snapshot.name == name and wanted(snapshot):
            found.append(snapshot)
            event.set()

    unsubscribe = pool.on_snapshot(look)
    with anyio.fail_after(30):
        if not found:
            await event.wait()
    unsubscribe()
    return found[0]


async def reason_of(pool: DownstreamPool, name: str) -> str:
    """Why the first attempt failed."""
    return (await seen(pool, name, lambda one: bool(one.last_error))).last_error


async def test_a_server_that_lists_no_tools_in_the_newer_era_is_asked_in_the_older(tmp_path: Path) -> None:
    async with open_pool(tmp_path, canned_entry(tmp_path, PROXY)) as pool:
        assert (await pool.call_tool("s/good", {})).text == "fine"
        assert pool.snapshot("s").protocol_version == "2025-11-25"
        assert (pool.snapshot("s").attempts, pool.snapshot("s").connections) == (0, 1)


async def test_a_server_over_http_is_asked_in_the_older_era_as_well(tmp_path: Path) -> None:
    with canned_http(tmp_path, PROXY) as port:
        async with open_pool(tmp_path, http_entry("h", port)) as pool:
            assert (await pool.call_tool("h/good", {})).text == "fine"


async def test_a_server_without_tools_that_knows_only_the_newer_era_is_connected(tmp_path: Path) -> None:
    refused = {"error": {"code": -32601, "message": "Method not found"}}
    async with open_pool(tmp_path, canned_entry(tmp_path, {**PROXY, "initialize": refused})) as pool:
        connected = await pool.wait_until_connected("s", 60)
        assert (connected.protocol_version, connected.tools) == ("2026-07-28", 0)


@pytest.mark.parametrize(("protocol", "version"), [("2025", "2025-11-25"), ("2026", "2026-07-28")])
async def test_an_entry_can_choose_the_era(tmp_path: Path, protocol: str, version: str) -> None:
    answers = {"server/discover": DISCOVERY, "tools/list": {"tools": [TOOL]}}
    async with open_pool(tmp_path, canned_entry(tmp_path, answers, protocol=protocol)) as pool:
        assert (await pool.wait_until_connected("s", 60)).protocol_version == version


async def test_an_era_that_a_server_does_not_speak_is_said(tmp_path: Path) -> None:
    async with open_pool(tmp_path, canned_entry(tmp_path, {"tools/list": {"tools": []}}, protocol="2026")) as pool:
        said = await reason_of(pool, "s")
        assert said == "it speaks only 2025-11-25, and its entry asks for 2026 ('protocol')"


async def test_the_reason_of_a_dead_server_is_what_went_wrong(tmp_path: Path) -> None:
    crash = program(
        "crash",
        """
        import sys
        print("\\033[31mstarting\\033[0m", file=sys.stderr)
        def deep(n): return deep(n - 1) if n else {}["DATABASE_URL"]
        deep(30)
        """,
    )
    async with open_pool(tmp_path, crash, program("mute", "raise SystemExit")) as pool:
        log = tmp_path / "logs" / "crash.stderr.log"
        assert await reason_of(pool, "crash") == (
            f"the server's process exited with code 1; its last stderr: KeyError: 'DATABASE_URL' (all of it: {log})"
        )
        assert await reason_of(pool, "mute") == ("the server's process exited with code 0; it wrote nothing to stderr")


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node.js")
async def test_the_reason_of_a_dead_node_server_is_above_the_stack(tmp_path: Path) -> None:
    node = ServerEntry(
        name="n", transport="stdio", command="node", args=("-e", "throw new Error('API_KEY is required')")
    )
    async with open_pool(tmp_path, node) as pool:
        assert "its last stderr: Error: API_KEY is required (all" in await reason_of(pool, "n")


INSTALLING = """
    import subprocess, sys, time
    print("downloading", file=sys.stderr, flush=True)
    end = time.monotonic() + float(sys.argv[1])
    while time.monotonic() < end:
        sum(range(200000))
    sys.exit(subprocess.run([sys.executable, "-S", *sys.argv[2:]]).returncode)
"""


def hurried(monkeypatch: pytest.MonkeyPatch, seconds: float = 0.8) -> None:
    """Have less patience with a server that does nothing."""
    monkeypatch.setattr(starts, "LOOK_EVERY", 0.1)
    monkeypatch.setattr(starts, "CONNECT_SECONDS", seconds)


async def test_a_server_that_is_being_installed_is_not_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hurried(monkeypatch, 2.0)
    real = stdio_entry("real").args[1:]
    async with open_pool(tmp_path, program("s", INSTALLING, "3", *real)) as pool:
        starting = await seen(pool, "s", lambda one: "downloading" in one.reason)
        assert starting.reason.startswith("it has been starting for ")
        assert (await pool.call_tool("s/echo", {"text": "hi"}, timeout=60)).text == "hi"
        assert pool.snapshot("s").last_error == ""


async def test_a_server_that_does_nothing_is_given_up_with_the_limit_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurried(monkeypatch)
    async with open_pool(tmp_path, program("s", "import time; time.sleep(60)")) as pool:
        said = await reason_of(pool, "s")
        assert "gave no sign of work for 0.8 s (the default; 'connectTimeout' under 'ostler' of 's' in mcp.json" in said


async def test_a_limit_that_the_entry_sets_is_kept_though_the_server_is_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurried(monkeypatch)
    busy = {
        "command": "sh",
        "args": ("-c", "echo downloading >&2; while :; do :; done"),
        "options": {"connectTimeout": 1},
    }
    entry = ServerEntry.model_validate({"name": "s", "transport": "stdio", **busy})
    async with open_pool(tmp_path, entry) as pool:
        said = await reason_of(pool, "s")
        assert "not ready within 1 s (the limit is 'connectTimeout' under 'ostler' of 's' in mcp.json)" in said
        assert "its last stderr: downloading" in said


async def test_few_servers_are_started_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starts, "TURN_SECONDS", 0.3)
    monkeypatch.setattr(starts, "LOOK_EVERY", 0.1)
    slow = [program(f"slow{n}", "import time; time.sleep(60)") for n in range(starts.STARTS_AT_ONCE)]
    async with open_pool(tmp_path, *slow, stdio_entry("last")) as pool:
        waiting = await seen(pool, "last", lambda one: bool(one.reason))
        assert waiting.reason == "other servers are being started first"
        await pool.wait_until_connected("last", 60)  # the slow ones keep no turn forever


def npx(*args: str) -> ServerEntry:
    return ServerEntry(name="s", transport="stdio", command="npx", args=args)


@pytest.mark.parametrize(
    "lines",
    [
        [
            "npm error code ENOTEMPTY",
            "npm error syscall rename",
            "npm error path {cache}/node_modules/zod",
            "npm error dest {cache}/node_modules/.zod-1a2b",
        ],
        ["Error: Cannot find module '{cache}/node_modules/x/dist/index.js'", "    at Module._resolveFilename (x)"],
        ["Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'zod' imported from {cache}/node_modules/x/index.js"],
        ["sh: 1: mcp-server-x: not found"],
        ["/bin/sh: mcp-server-x: command not found"],
        ["npm error could not determine executable to run"],
    ],
)
def test_npms_broken_cache_is_named(tmp_path: Path, lines: list[str]) -> None:
    cache = tmp_path / ".npm" / "_npx" / "0123456789abcdef"
    cache.mkdir(parents=True)
    (cache / "package.json").write_text('{"dependencies": {"@acme/server-x": "^1"}}')
    said = [line.format(cache=cache) for line in lines]
    advice = broken_cache(said, npx("-y", "@acme/server-x@latest"), {"HOME": str(tmp_path)})
    assert f"delete {cache} and start the server again" in advice


def test_other_failures_of_npx_blame_no_cache(tmp_path: Path) -> None:
    for line in ("npm error code E404", "Error: API_KEY is required", "sh: 1: mcp-server-x: not found"):
        assert broken_cache([line], npx("-y", "other"), {"HOME": str(tmp_path)}) == ""


@pytest.mark.parametrize(
    "program_text",
    [
        "from mcp.server.fastmcp import FastMCP",
        "from mcp.server import Server\nserver = Server('x')\n@server.list_tools()\nasync def tools(): return []",
        "from mcp.shared.memory import create_connected_server_and_client_session",
        "from mcp import McpError",
    ],
)
async def test_a_server_that_was_written_for_version_1_of_the_sdk_says_so(tmp_path: Path, program_text: str) -> None:
    entry = ServerEntry(name="old", transport="stdio", command=sys.executable, args=("-c", program_text))
    async with open_pool(tmp_path, entry) as pool:
        with anyio.fail_after(30):
            while not (reason := pool.snapshot("old").last_error):
                await anyio.sleep(0.02)
    assert "written for version 1 of MCP's Python SDK (mcp) and was installed with 2" in reason
    assert "pip install 'mcp<2'" in reason


def test_the_way_to_an_older_sdk_is_the_one_of_the_command() -> None:
    lines = ["ModuleNotFoundError: No module named 'mcp.server.fastmcp'. This is mcp 2.x"]
    uvx = ServerEntry(name="s", transport="stdio", command="/usr/bin/uvx", args=("mcp-server-sqlite",))
    assert "uvx --with 'mcp<2' …" in written_for_mcp_1(lines, uvx)
    for other in ("ModuleNotFoundError: No module named 'mcp'", "AttributeError: 'Server' object has no attribute 'x'"):
        assert written_for_mcp_1([other], uvx) == ""
