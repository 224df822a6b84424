"""CPU and memory of processes, each with what it started; and what has more memory than it may have is killed."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest
from mcp import Client
from tests.support.processes import SLEEP, ProcessClient, process_server, serve_arguments
from tests.support.processes import nothing_left as nothing_left  # noqa: PLC0414 (a fixture, found by its name)

from ostler.adapters.environments import Environments
from ostler.adapters.process.memory_kills import killed_for_memory
from ostler.adapters.process.meter import FRESH_SECONDS, Meter
from ostler.adapters.process.process_table import Row, Usage, read_table, trees_below, usage_of
from ostler.adapters.process.roster import Roster
from ostler.adapters.process.server import ProcessServer
from ostler.adapters.process.supervisor import Supervisor

MB = 1_000_000
FAMILY = """
import os, sys, time
held = b"x" * 40_000_000
if os.fork() == 0:
    if os.fork() == 0:
        os.setsid()
        held += b"x" * 20_000_000
        while True: pass
    os._exit(0)
print("up", flush=True)
time.sleep(300)
"""
"""Holds 40 MB; what it has forked twice holds 60 MB, in a session of its own, and takes all the CPU that it gets."""


def test_each_process_belongs_to_the_nearest_root_above_it() -> None:
    table = {
        pid: Row(parent, pid / 10, pid) for pid, parent in {1: 0, 2: 1, 3: 2, 4: 3, 5: 3, 6: 5, 8: 9, 9: 8}.items()
    }
    table[7] = Row(4, 1.0, 0, is_zombie=True)
    assert trees_below([2, 5], table) == {2: [3, 4, 5, 7], 5: [6]}
    assert trees_below([], table) == {}
    assert usage_of([3, 4, 7, 77], table) == Usage(0.3 + 0.4 + 1.0, 7, 2)


def test_the_table_has_this_process_and_its_use_of_cpu() -> None:
    before = read_table()[os.getpid()]
    assert before.parent == os.getppid()
    assert before.memory_bytes > 10 * MB
    ends = time.process_time() + 0.1
    while time.process_time() < ends:
        pass
    assert read_table()[os.getpid()].cpu_seconds - before.cpu_seconds >= 0.08


@pytest.mark.anyio
@pytest.mark.realtime
async def test_those_who_ask_for_different_processes_share_one_measurement_of_each(tmp_path: Path) -> None:
    now = 0.0
    meter = Meter(Roster(tmp_path), lambda: now)
    own, parent = os.getpid(), os.getppid()
    await meter.measure_others([own, parent])
    now = 10.0
    [first] = (await meter.measure_others([own])).values()
    now = 10.5
    meter.take({pid: Row(0, 1e6, 0) for pid in (own, parent)})
    assert (await meter.measure_others([own])) == {own: first}, "half a second says little about CPU"
    assert (await meter.measure_others([parent]))[parent].at == 10.0
    now = 20.0
    meter.take({own: Row(0, 1e6, 0)})
    assert list(await meter.measure_others([own])) == [own]
    assert (await meter.measure_others([own]))[own].usage.cpu_seconds == 1e6


@pytest.mark.anyio
@pytest.mark.realtime
@pytest.mark.usefixtures("nothing_left")
async def test_a_process_is_measured_with_all_that_it_started(state_dir: Path) -> None:
    async with process_server(state_dir) as server:
        await server.start("busy", FAMILY, ready={"log": "up"})
        await server.start("idle", SLEEP, ready={"log": "up"})
        busy = await server.until(
            "busy", lambda answer: answer["cpuPercent"] > 1 and answer["memoryBytes"] > 100 * MB, details=True
        )
        assert busy["children"] == 1
        idle = await server.call("status", key="idle", details=True)
        assert idle["children"] == 0
        assert idle["memoryBytes"] < 40 * MB
        with anyio.fail_after(20 * FRESH_SECONDS):
            await server.until("idle", lambda answer: answer["cpuPercent"] < 1, details=True)
        await server.call("stop", key="busy")
        await server.call("stop", key="idle")
        assert "memoryBytes" not in await server.call("status", key="idle", details=True)


@pytest.mark.anyio
@pytest.mark.realtime
@pytest.mark.usefixtures("nothing_left")
async def test_connections_to_a_process_are_counted(state_dir: Path) -> None:
    supervisor = Supervisor(state_dir, environments=Environments(dict(os.environ)))

    async def until(count: int) -> None:
        with anyio.fail_after(40):
            while (found := await supervisor.meter.connections(["web", "nobody"])) != {"web": count}:
                assert found.keys() == {"web"}
                await anyio.sleep(0.02)

    async with Client(ProcessServer(supervisor).over_protocol()) as client:
        server = ProcessClient(client)
        web = await server.call("start", **serve_arguments("web", ready={"tcp": "{port}"}))
        await until(0)
        talk = (
            "import socket, sys; at = socket.create_connection(('127.0.0.1', int(sys.argv[1])));"
            "print(flush=True); sys.stdin.read()"
        )
        talker = [sys.executable, "-c", talk, str(web["port"])]
        with subprocess.Popen(talker, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
            await until(1)
            with socket.create_connection(("127.0.0.1", web["port"])):  # as a health check makes one
                assert await supervisor.meter.connections(["web"]) == {"web": 1}
            client.kill()
        await until(0)
        assert (await supervisor.meter.measure()).keys() == {"web"}
        await server.call("stop", key="web")
        assert await supervisor.meter.connections(["web"]) == {}


@pytest.mark.anyio
@pytest.mark.realtime
@pytest.mark.usefixtures("nothing_left")
async def test_what_has_more_memory_than_it_may_have_is_killed_and_says_so(state_dir: Path) -> None:
    async with process_server(state_dir) as server:
        await server.start("job", SLEEP, memoryLimit="200 MiB")
        await server.start("leak", FAMILY, memoryLimit="80MB")
        ended = await server.until("leak", lambda answer: answer["state"] == "exited")
        assert re.search(r"was killed: it had \d+ MB", ended["detail"])
        assert ended["detail"].endswith("MB in memory, limited to 80 MB")
        assert ended["signal"] == "SIGKILL"
        assert (await server.call("status", key="job"))["state"] == "running"
        await server.call("stop", key="job")
        text = await server.fail("start", key="odd", command="true", memoryLimit="much")
        assert "memoryLimit" in text
        assert "is not a size" in text


def test_the_kernels_log_says_whom_it_killed_for_memory(tmp_path: Path) -> None:
    log = tmp_path / "kmsg"
    at = int(time.monotonic() * 10**6)
    sizes = "total-vm:900kB, anon-rss:5000kB, file-rss:1000kB, shmem-rss:0kB, UID:0 pgtables:1kB oom_score_adj:0"
    log.write_text(
        f"6,1,{at - 10**9},-;Out of memory: Killed process 7 (old) {sizes}\n SUBSYSTEM=x\n"
        f"3,2,{at},-;Memory cgroup out of memory: Killed process 8 (node (1)) {sizes}\n"
        f"3,3,{at},-;Out of memory (oom_kill_allocating_task): Killed process 9 (java) {sizes}\n"
    )
    if killed_for_memory([8], datetime.now(UTC), log) is None:
        pytest.skip("pids of the kernel's log are others than here")
    said = {pid: killed_for_memory([1, pid], datetime.now(UTC), log) for pid in (7, 8, 9)}
    assert said == {
        7: "",  # another process had the pid then
        8: "its control group was at its memory limit, and node (1) (pid 8) had 6 MB, by the kernel's log",
        9: "the machine had no memory left, and java (pid 9) had 6 MB, by the kernel's log",
    }
    assert killed_for_memory([8], datetime.now(UTC), tmp_path / "missing") is None


@pytest.fixture
def small_group() -> Generator[Path]:
    """A control group whose processes may have 30 MB in memory."""
    own = re.search(r"^\d+:memory:(.*)$", Path("/proc/self/cgroup").read_text(), re.MULTILINE)
    group = Path("/sys/fs/cgroup/memory" + (own[1] if own else ""), f"ostler-test-{os.getpid()}")
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text("30000000")
    except OSError:
        pytest.skip("no control group can be made here")
    yield group
    group.rmdir()


@pytest.mark.anyio
@pytest.mark.realtime
@pytest.mark.usefixtures("nothing_left")
async def test_what_the_kernel_killed_for_its_memory_says_so(state_dir: Path, small_group: Path) -> None:
    if killed_for_memory([], datetime.now(UTC)) is None:
        pytest.skip("the kernel's log may not be read here")
    leak = f"echo $$ > {small_group}/cgroup.procs; exec {sys.executable} -c 'held = b\"x\" * 100_000_000'"
    async with process_server(state_dir) as server:
        said = await server.fail("start", key="leak", command="sh", args=["-c", leak])
        assert "'leak' was killed: its control group was at its memory limit, and python" in said
        assert "Next: let it have more memory, or use less" in said
        assert (await server.call("status", key="leak"))["detail"] in said
