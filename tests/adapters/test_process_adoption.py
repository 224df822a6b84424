"""Processes outlive Ostler: kill -9 of the server's own process, then everything is found again by the next one."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.support.processes import (
    SLEEP,
    build_process_server,
    process_server,
    serve_arguments,
    start_arguments,
)
from tests.support.processes import nothing_left as nothing_left  # noqa: PLC0414 (a fixture, found by its name)

pytestmark = [pytest.mark.anyio, pytest.mark.realtime, pytest.mark.usefixtures("nothing_left")]

HOST = """
import anyio, json, os, sys
from pathlib import Path
from mcp import Client
from ostler.adapters.environments import Environments
from ostler.adapters.process.server import ProcessServer
from ostler.adapters.process.supervisor import Supervisor

async def main():
    supervisor = Supervisor(Path(sys.argv[1]), environments=Environments(os.environ))
    async with Client(ProcessServer(supervisor).over_protocol()) as client:
        for arguments in json.loads(sys.argv[2]):
            result = await client.call_tool("start", arguments)
            print(json.dumps([result.is_error, result.structured_content]), flush=True)
        await anyio.sleep(600)

anyio.run(main)
"""


def start_and_kill_the_server(root: Path, *arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """Start processes through a server in a process of its own, end that with SIGKILL, return the answers."""
    host = subprocess.Popen(
        [sys.executable, "-c", HOST, str(root), json.dumps(arguments)], stdout=subprocess.PIPE, text=True
    )
    assert host.stdout is not None
    with host, host.stdout:
        lines = [json.loads(host.stdout.readline()) for _ in arguments]
        host.kill()
    assert all(not failed for failed, _ in lines)
    return [answer for _, answer in lines]


def record_path(root: Path, key: str) -> Path:
    [path] = (root / "records").glob(f"{key}+*.json")
    return path


def edit_record(root: Path, key: str, **changes: Any) -> None:
    path = record_path(root, key)
    record = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({name: value for name, value in record.items() if value is not None}))


async def test_a_killed_servers_processes_are_adopted(state_dir: Path) -> None:
    root = state_dir / "p"
    web = serve_arguments("web", ready={"tcp": "{port}"})
    first, ticking, short = start_and_kill_the_server(
        root,
        web,
        start_arguments("ticking", "import time\nwhile True: print('tick'); time.sleep(0.05)"),
        start_arguments("short", "import time; time.sleep(0.5)"),
    )
    psutil.Process(short["pid"]).wait(30)
    async with process_server(root) as server:
        status = await server.call("status", key="web", ready={"http": "http://127.0.0.1:{port}/"})
        assert (status["pid"], status["port"], status["startedAt"]) == (
            first["pid"],
            first["port"],
            first["startedAt"],
        )
        assert (status["state"], status["ready"], status["adopted"]) == ("running", True, True)
        again = await server.call("start", **web)
        assert (again["pid"], again["alreadyRunning"]) == (first["pid"], True)
        assert "already running" in await server.fail("start", **serve_arguments("web", port=1))
        ended = await server.call("status", key="short")
        assert (ended["state"], ended["adopted"], ended["exitCode"]) == ("exited", True, 0)
        before = (await server.call("logs", key="ticking"))["nextOffset"]
        while not (await server.call("logs", key="ticking", since=before))["lines"]:
            pass  # it goes on writing
        stopped = await server.call("stop", key="ticking")
        assert (stopped["pids"], stopped["adopted"]) == ([ticking["pid"]], True)
        assert stopped["signal"] == "SIGTERM"
        os.kill(first["pid"], signal.SIGKILL)
        await server.until("web", lambda answer: answer["state"] == "exited")


async def test_a_spawn_whose_pid_was_not_written_down_is_found_by_its_token(state_dir: Path) -> None:
    root = state_dir / "p"
    [job] = start_and_kill_the_server(root, start_arguments("job", SLEEP))
    edit_record(root, "job", pid=None, created=None)
    async with process_server(root) as server:
        status = await server.call("status", key="job")
        assert (status["state"], status["pid"]) == ("running", job["pid"])
        assert (await server.start("job", SLEEP))["alreadyRunning"] is True
        await server.call("stop", key="job")
    edit_record(root, "job", pid=None, created=None, exited_at=None, swept=None)
    async with process_server(root) as server:
        assert (await server.call("status", key="job"))["state"] == "exited", "the spawn did not take place"


async def test_a_pid_that_another_process_has_now_is_not_ours(state_dir: Path) -> None:
    root = state_dir / "p"
    [job] = start_and_kill_the_server(root, start_arguments("job", SLEEP))
    os.kill(job["pid"], signal.SIGKILL)
    stranger = subprocess.Popen([sys.executable, "-S", "-c", SLEEP], stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        edit_record(root, "job", pid=stranger.pid)
        async with process_server(root) as server:
            assert (await server.call("status", key="job"))["state"] == "exited"
            assert (await server.call("stop", key="job"))["pids"] == []
            assert stranger.poll() is None
            await server.start("job", SLEEP)
            await server.call("stop", key="job")
            assert stranger.poll() is None
        # the same moment of creation, but the token of another run
        theirs = subprocess.Popen(
            [sys.executable, "-S", "-c", SLEEP],
            stdout=subprocess.DEVNULL,
            env={**os.environ, "OSTLER_PROCESS_TOKEN": "f" * 32},
        )
        created = psutil.Process(theirs.pid).create_time()
        since_boot = created - psutil.boot_time()
        edit_record(root, "job", pid=theirs.pid, created=created, since_boot=since_boot, exited_at=None, swept=None)
        async with process_server(root) as server:
            assert (await server.call("status", key="job"))["state"] == "exited"
            await server.call("stop", key="job")
            assert theirs.poll() is None
        theirs.kill()
        theirs.wait()
    finally:
        stranger.kill()
        stranger.wait()


async def test_a_changed_clock_does_not_lose_a_process(state_dir: Path) -> None:
    root = state_dir / "p"
    [job] = start_and_kill_the_server(root, start_arguments("job", SLEEP))
    edit_record(root, "job", created=psutil.Process(job["pid"]).create_time() - 3600)
    async with process_server(root) as server:
        assert (await server.call("status", key="job"))["state"] == "running", "it carries the token"
        await server.call("stop", key="job")


async def test_a_process_that_hides_its_environment_is_known_by_its_creation_time(state_dir: Path) -> None:
    root = state_dir / "p"
    [job] = start_and_kill_the_server(
        root, start_arguments("job", command="env", args=["-i", sys.executable, "-S", "-c", SLEEP])
    )
    async with process_server(root) as server:
        status = await server.call("status", key="job")
        assert (status["state"], status["pid"]) == ("running", job["pid"])
        assert (await server.call("stop", key="job"))["pids"] == [job["pid"]]


async def test_damaged_records_are_set_aside_and_the_others_live(state_dir: Path) -> None:
    root = state_dir / "p"
    async with process_server(root) as server:
        await server.start("good", "print(1)")
        await server.start("bad", "print(1)")
        await server.until("bad", lambda answer: answer["state"] == "exited")
        await server.until("good", lambda answer: answer["state"] == "exited")
    path = record_path(root, "bad")
    for damage in (b"", b"{", b"[]", b'{"key": "../../evil"}', b"\xff" * 100, record_path(root, "good").read_bytes()):
        path.write_bytes(damage)
        (root / "records" / "half.tmp").write_bytes(b"{")
        async with process_server(root) as server:
            assert [process["key"] for process in (await server.call("list"))["processes"]] == ["good"]
        assert sorted(found.suffix for found in (root / "records").iterdir()) == [".bad", ".json"]


async def test_ended_ones_are_forgotten_by_age_and_number(state_dir: Path) -> None:
    root = state_dir / "p"
    async with process_server(root) as server:
        await server.start("old", "print(1)")
        await server.until("old", lambda answer: answer["state"] == "exited")
        await server.start("new", "print(1)")
        await server.until("new", lambda answer: answer["state"] == "exited")
    edit_record(root, "old", exited_at="2020-01-01T00:00:00Z")
    async with process_server(root) as server:
        await server.until("old", lambda answer: answer["state"] == "not_found")
        assert (await server.call("status", key="new"))["state"] == "exited"
    assert {path.name.partition("+")[0] for path in (root / "logs").iterdir()} == {"new"}


async def test_several_clients_share_one_server(state_dir: Path) -> None:
    from mcp import Client

    server = build_process_server(state_dir / "p")
    async with Client(server) as first:
        async with Client(server, mode="legacy") as second:
            result = await second.call_tool("start", start_arguments("job", SLEEP))
            assert not result.is_error
        listed = await first.call_tool("list", {"state": "running"})
        assert [process["key"] for process in listed.structured_content["processes"]] == ["job"]
    async with Client(server) as third:
        assert (await third.call_tool("stop", {"key": "job"})).structured_content["alreadyStopped"] is False
