"""What an earlier life left is found by the mark that all carry, and nothing else is touched."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import psutil
import pytest
from tests.support.processes import SLEEP, process_server
from tests.support.processes import nothing_left as nothing_left  # noqa: PLC0414 (a fixture, found by its name)

from ostler.adapters.process.marks import known_owner, marks_of_servers
from ostler.adapters.process.strays import Stray, end_strays, find_strays
from ostler.model.marks import OWNER_VARIABLE

pytestmark = [pytest.mark.anyio, pytest.mark.realtime, pytest.mark.usefixtures("nothing_left")]

FORKS = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print("forked", os.getpid(), flush=True)
        time.sleep(300)
    os._exit(0)
time.sleep(300)
"""
WIPED = "exec env -i /bin/sleep 300"


def pids(strays: list[Stray]) -> set[int]:
    return {stray.pid for stray in strays}


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(60):
        while not condition():
            await anyio.sleep(0.02)


async def test_what_lost_its_record_is_found_with_all_that_it_forked(state_dir: Path, tmp_path: Path) -> None:
    async with process_server(state_dir) as server, process_server(tmp_path / "other") as other:
        await other.start("same", SLEEP)
        await server.start("same", FORKS, ready={"log": "forked"})
        await server.start("wiped", command=WIPED, shell=True, startSeconds=0)
        kept = (await server.start("kept", SLEEP))["pid"]
        [line] = [line for line in (await server.call("logs", key="same"))["lines"] if "forked" in line]
        forked = int(line.split()[1])
        same, wiped = [(await server.call("status", key=key))["pid"] for key in ("same", "wiped")]
        mains = {same, wiped}
        assert find_strays(state_dir) == [], "all of them are known"
        await until(lambda: psutil.Process(wiped).environ().get("PATH") is None)
        # the server ends without a record of two of its processes, as after a restored copy of its folder
        entries = sorted((state_dir / "records").iterdir())
    for path in entries:
        if not path.name.startswith("kept"):
            path.unlink()
    left = find_strays(state_dir)
    assert pids(left) == {*mains, forked}
    assert {stray.key for stray in left} == {"same", "wiped"}
    assert "(sleep), of service 'wiped'" in " ".join(map(str, left))
    async with process_server(state_dir) as server:
        assert pids(await end_strays(state_dir)) == {*mains, forked}
        assert find_strays(state_dir) == []
        assert (await server.call("status", key="kept"))["pid"] == kept
        await server.call("stop", key="kept")
    async with process_server(tmp_path / "other") as other:
        assert (await other.call("status", key="same"))["state"] == "running"
        assert find_strays(tmp_path / "other") == []
        await other.call("stop", key="same")


async def test_processes_of_a_deleted_folder_belong_to_no_one(state_dir: Path, tmp_path: Path) -> None:
    async with process_server(state_dir) as server:
        pid = (await server.start("old", SLEEP))["pid"]
        kept = tmp_path / "records"
        shutil.copytree(state_dir, kept, ignore=shutil.ignore_patterns("*.in", "*.out"))  # pipes
    shutil.rmtree(state_dir)
    assert find_strays(state_dir) == []
    async with process_server(state_dir) as server:
        assert (await server.call("list"))["total"] == 0
        assert find_strays(state_dir) == []
        assert await end_strays(state_dir) == []
    assert psutil.pid_exists(pid)
    async with process_server(kept) as server:
        await server.call("stop", key="old")


async def test_downstream_servers_of_an_earlier_run_are_left_over(state_dir: Path, nothing_left: str) -> None:
    earlier, now = marks_of_servers(state_dir), marks_of_servers(state_dir)
    assert earlier[OWNER_VARIABLE] == now[OWNER_VARIABLE] == known_owner(state_dir)
    command = [sys.executable, "-S", "-c", "import time; time.sleep(300)"]
    with (
        subprocess.Popen(command, env={**os.environ, **earlier}) as old,
        subprocess.Popen(command, env={**os.environ, **now}) as new,
    ):
        await until(lambda: pids(find_strays(state_dir, is_served=False)) == {old.pid, new.pid})
        assert pids(find_strays(state_dir)) == {old.pid}, "the other one is of the run under way"
        assert str(find_strays(state_dir)[0]).endswith("of an MCP server")
        await end_strays(state_dir)
        assert old.wait(10) < 0
        assert new.poll() is None
        new.kill()
