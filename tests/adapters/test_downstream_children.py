"""Child processes: a death is seen at once, trees end with the pool, and a crash leaves nothing for long."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import psutil
import pytest
from tests.support.downstream import PROGRAM, is_running, open_pool, stdio_entry

from ostler.adapters.downstream.children import ChildRecords, ProcessId, end_processes, tree_of

pytestmark = [pytest.mark.anyio, pytest.mark.realtime]


async def gone(pid: int, seconds: float = 60) -> bool:
    with anyio.move_on_after(seconds):
        while is_running(pid):
            await anyio.sleep(0.01)
        return True
    return False


async def test_a_death_is_seen_though_a_grandchild_holds_the_pipe(
    tmp_path: Path,
) -> None:
    async with open_pool(tmp_path, stdio_entry("s")) as pool:
        grandchild = (await pool.call_tool("s/spawn", {"seconds": 300})).value["pid"]
        pid = pool.snapshot("s").pid
        assert pid is not None
        lost = anyio.Event()
        pool.on_snapshot(lambda snapshot: lost.set() if not snapshot.connected else None)
        os.kill(pid, signal.SIGKILL)
        with anyio.fail_after(60):  # the grandchild holds it for 300 s
            await lost.wait()
        snapshot = await pool.wait_until_connected("s", 60)
        assert snapshot.pid != pid
        assert await gone(grandchild), "the dead server's tree is ended before the next begins"
        assert (await pool.call_tool("s/echo", {"text": "back"})).text == "back"


async def test_nothing_is_left_when_the_pool_ends(tmp_path: Path) -> None:
    async with open_pool(tmp_path, stdio_entry("polite"), stdio_entry("stubborn", "--stubborn")) as pool:
        pids = [(await pool.call_tool(f"{name}/spawn", {"seconds": 60})).value["pid"] for name in pool.names()]
        pids += [pool.snapshot(name).pid for name in pool.names()]
        assert len(list((tmp_path / "children").iterdir())) == 2
    assert [pid for pid in pids if is_running(pid)] == []
    assert list((tmp_path / "children").iterdir()) == []


async def test_reconnections_leave_no_process_and_no_descriptor(tmp_path: Path) -> None:
    me = psutil.Process()
    before = set(me.children(recursive=True))
    async with open_pool(tmp_path, stdio_entry("s")) as pool:
        await pool.wait_until_connected("s", 60)
        descriptors = me.num_fds()
        for _ in range(10):
            pool.restart("s")
            await pool.wait_until_connected("s", 60)
        assert me.num_fds() <= descriptors + 1
        assert len(set(me.children(recursive=True)) - before) == 1
    assert set(me.children(recursive=True)) <= before


async def test_children_of_an_ostler_that_crashed_are_ended_at_the_next_start(tmp_path: Path) -> None:
    orphan = subprocess.Popen(
        [sys.executable, "-S", str(PROGRAM), "--stubborn"], stdin=subprocess.DEVNULL, start_new_session=True
    )
    identity = ProcessId.of(orphan.pid)
    assert identity is not None
    folder = tmp_path / "children"
    ChildRecords(folder).add(identity, "s")
    (record,) = folder.iterdir()
    facts = json.loads(record.read_text())
    assert ProcessId(facts["pid"], facts["created"]).process() is not None

    async with open_pool(tmp_path):
        assert is_running(orphan.pid), "its owner (this process) lives"
    record.write_text(json.dumps(facts | {"ownerCreated": facts["ownerCreated"] - 1000}))
    (folder / "half.json").write_text('{"pid": ')
    async with open_pool(tmp_path):
        assert not is_running(orphan.pid)
        assert list(folder.iterdir()) == []
    assert orphan.wait() in (-signal.SIGTERM, -signal.SIGKILL)


async def test_a_pid_that_went_to_another_process_is_left_alone() -> None:
    innocent = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"], start_new_session=True)
    try:
        identity = ProcessId.of(innocent.pid)
        assert identity is not None
        assert tree_of(ProcessId(identity.pid, identity.created - 100)) == []
        assert [process.pid for process in tree_of(identity)] == [innocent.pid]
        assert await end_processes(tree_of(identity)) == []
    finally:
        innocent.kill()
        innocent.wait()
