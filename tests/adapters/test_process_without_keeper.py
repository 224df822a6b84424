"""A keeper is killed (`killall -9 python3`), and its program lives on: its output, input, limits and end."""

import os
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
from tests.adapters.test_process_adoption import start_and_kill_the_server
from tests.support.processes import ProcessClient, process_server, start_arguments
from tests.support.processes import nothing_left as nothing_left  # noqa: PLC0414 (a fixture, found by its name)

from ostler.model.marks import KEEPER_VARIABLE

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.realtime,
    pytest.mark.usefixtures("nothing_left"),
    pytest.mark.skipif(os.name != "posix", reason="there are no keepers on Windows"),
]

ECHO = "import sys\nprint('up')\nfor line in sys.stdin: print('got', line, end='')\nprint('my input has ended')"
COUNT = """
import os, sys, time
print('up')
while not os.path.exists(sys.argv[1]): time.sleep(0.01)
for number in range(4000): print(f'{number:025}')
print('done')
time.sleep(300)
"""


COUNTED = [f"{number:025}" for number in range(4000)]


def kill_keeper(pid: int) -> None:
    keeper = psutil.Process(pid).parent()
    assert keeper is not None
    assert KEEPER_VARIABLE in keeper.environ()
    keeper.kill()
    keeper.wait(30)


def readers_of(key: str) -> list[psutil.Process]:
    """The keepers of `key` that have no program below them."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            is_keeper = KEEPER_VARIABLE in process.environ() and process.cmdline()[-1] == key
            if is_keeper and process.status() != psutil.STATUS_ZOMBIE and not process.children():
                found.append(process)
        except (psutil.Error, IndexError):
            continue
    return found


async def only_reader_of(key: str) -> psutil.Process:
    """The keeper of `key` that has no program below it, once the process that made it has ended."""
    with anyio.fail_after(60):
        while len(readers := readers_of(key)) != 1:
            await anyio.sleep(0.02)
    return readers[0]


async def all_lines(server: ProcessClient, key: str) -> list[str]:
    lines: list[str] = []
    since = 0
    while True:
        answer = await server.call("logs", key=key, since=since, lines=1000)
        lines += answer["lines"]
        if since == (since := answer["nextOffset"]):
            return lines


async def until_there(server: ProcessClient, key: str, last: str) -> None:
    """Wait until the log ends with the line `last`."""
    with anyio.fail_after(60):
        while (await server.call("logs", key=key, lines=1))["lines"] != [last]:
            await anyio.sleep(0.02)


async def test_a_program_goes_on_without_its_keeper_and_its_output_is_read_on(state_dir: Path) -> None:
    async with process_server(state_dir / "p") as server:
        started = await server.start("echo", ECHO, ready={"log": "^up$"})
        kill_keeper(started["pid"])
        for number in range(3):
            await server.call("input", key="echo", text=f"line {number}")
            await until_there(server, "echo", f"got line {number}")
        assert await all_lines(server, "echo") == ["up", *(f"got line {number}" for number in range(3))]
        reader = await only_reader_of("echo")
        reader.kill()
        await server.call("input", key="echo", text="once more")
        await until_there(server, "echo", "got once more")
        status = await server.call("status", key="echo")
        assert (status["state"], status["pid"]) == ("running", started["pid"])
        assert (await server.call("stop", key="echo"))["pids"] == [started["pid"]]


async def test_what_it_says_while_the_server_is_dead_as_well_is_not_lost(state_dir: Path) -> None:
    root, go = state_dir / "p", state_dir / "go"
    counting: dict[str, Any] = {"command": "{python}", "args": ["-S", "-u", "-c", COUNT, str(go)]}
    [started] = start_and_kill_the_server(root, start_arguments("count", ready={"log": "^up$"}, **counting))
    kill_keeper(started["pid"])
    go.touch()  # it says more than a pipe holds
    async with process_server(root) as server:
        await until_there(server, "count", "done")
        assert await all_lines(server, "count") == ["up", *COUNTED, "done"]
        reader = await only_reader_of("count")
    async with process_server(root) as server:
        kill_keeper((await server.start("echo", ECHO, ready={"log": "^up$"}))["pid"])
        await server.call("input", key="echo", text="hello")
        await until_there(server, "echo", "got hello")  # by then it has looked at both
        assert readers_of("count") == [reader]
        await server.call("stop", key="count")
        await server.call("stop", key="echo")


async def test_the_limit_of_its_log_holds_on(state_dir: Path) -> None:
    root, go = state_dir / "p", state_dir / "go"
    counting: dict[str, Any] = {"command": "{python}", "args": ["-S", "-u", "-c", COUNT, str(go)]}
    async with process_server(root) as server:
        started = await server.start("count", ready={"log": "^up$"}, logMaxBytes=65536, **counting)
        kill_keeper(started["pid"])
        go.touch()
        await until_there(server, "count", "done")
        end = (await server.call("logs", key="count"))["nextOffset"]
        assert end == sum(len(line) + 1 for line in ("up", *COUNTED, "done"))
        assert sum(path.stat().st_size for path in (root / "logs").iterdir() if "parts" not in path.name) <= 2 * 65536
        [line] = (await server.call("logs", key="count", since=end - len(f"{COUNTED[-1]}\ndone\n"), lines=1))["lines"]
        assert line == COUNTED[-1]
        await server.call("stop", key="count")


async def test_its_memory_is_measured_and_limited_on(state_dir: Path) -> None:
    leak = "import sys\nprint('up')\nsys.stdin.readline()\ntaken = b'x' * 200_000_000\nsys.stdin.read()"
    async with process_server(state_dir / "p") as server:
        started = await server.start("leak", leak, ready={"log": "^up$"}, memoryLimit="100MB")
        kill_keeper(started["pid"])
        await server.call("input", key="leak", text="go")
        ended = await server.until("leak", lambda answer: answer["state"] == "exited")
        assert "limited to 100 MB" in ended["detail"]


@pytest.mark.parametrize("stdin", ["pipe", "null"])
async def test_its_end_is_noticed_though_its_code_is_not_known(state_dir: Path, stdin: str) -> None:
    async with process_server(state_dir / "p") as server:
        started = await server.start("job", "import time; print('up'); time.sleep(300)", stdin=stdin)
        kill_keeper(started["pid"])
        with anyio.fail_after(30):
            while not readers_of("job"):
                await anyio.sleep(0.02)
        psutil.Process(started["pid"]).kill()
        ended = await server.until("job", lambda answer: answer["state"] == "exited")
        assert ended.get("exitCode") is None
        with anyio.fail_after(30):
            while readers_of("job"):
                await anyio.sleep(0.02)
