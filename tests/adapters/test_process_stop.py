"""The process server's stop: whole trees end, nothing is left, and stopping twice is success."""

import os
import signal
import socket
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
from tests.support.processes import (
    PYTHON,
    SLEEP,
    marked_processes,
    process_server,
    serve_arguments,
)
from tests.support.processes import nothing_left as nothing_left  # noqa: PLC0414 (a fixture, found by its name)

pytestmark = [pytest.mark.anyio, pytest.mark.realtime, pytest.mark.usefixtures("nothing_left")]

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf'); time.sleep(300)"


def spawning(script: str, *, then: str, options: str = "") -> str:
    """A script that runs another Python with `script`, and then does `then`."""
    return (
        f"import subprocess, sys, time; subprocess.Popen([{PYTHON!r}, '-S', '-u', '-c', {script!r}]{options}); "
        f"time.sleep(0.2); {then}"
    )


async def test_a_stop_says_how_it_ended(state_dir: Path) -> None:
    async with process_server(state_dir / "p") as server:
        started = await server.start("job", SLEEP)
        stopped = await server.call("stop", key="job")
        assert stopped == {
            "key": "job",
            "alreadyStopped": False,
            "killed": False,
            "pids": [started["pid"]],
            "signal": "SIGTERM",
        }
        assert not psutil.pid_exists(started["pid"]), "it was reaped"
        again = await server.call("stop", key="job")
        assert (again["alreadyStopped"], again["signal"]) == (True, "SIGTERM")
        assert (await server.call("stop", key="never-heard-of"))["alreadyStopped"] is True


async def test_the_signal_can_be_chosen_and_the_exit_code_is_kept(state_dir: Path) -> None:
    polite = (
        "import signal, sys, time; signal.signal(signal.SIGINT, lambda *a: sys.exit(7)); print('up'); time.sleep(300)"
    )
    async with process_server(state_dir / "p") as server:
        await server.start("job", polite, stopSignal="SIGINT", ready={"log": "up"})
        assert (await server.call("stop", key="job"))["exitCode"] == 7
        await server.start("job", polite, ready={"log": "up"})
        assert (await server.call("stop", key="job", signal="INT"))["exitCode"] == 7
        await server.start("job", polite, ready={"log": "up"})
        assert "'SIGNONE' is not a signal" in await server.fail("stop", key="job", signal="SIGNONE")
        assert (await server.call("stop", key="job", signal="KILL"))["signal"] == "SIGKILL"


async def test_a_deaf_tree_is_killed_after_the_timeout(state_dir: Path) -> None:
    script = spawning(spawning(STUBBORN, then=STUBBORN), then=STUBBORN)
    async with process_server(state_dir / "p") as server:
        await server.start("deaf", script)
        await server.until("deaf", lambda answer: answer.get("children") == 2, details=True)
        with anyio.fail_after(30):
            said = ""
            while said.count("deaf") < 3:  # three that write at once: a line may have two words
                said = "\n".join((await server.call("logs", key="deaf"))["lines"])
        stopped = await server.call("stop", key="deaf", timeout="300ms")
        assert (stopped["killed"], stopped["signal"], len(stopped["pids"])) == (True, "SIGKILL", 3)
        assert stopped["warning"].startswith(
            "it did not exit within 300ms of SIGTERM and was killed, so what it had not"
        )


async def test_children_that_left_the_group_or_lost_their_parent_end_too(
    state_dir: Path,
    nothing_left: str,
) -> None:
    session = spawning(SLEEP, then="time.sleep(300)", options=", start_new_session=True")
    orphan = spawning(session, then="sys.exit(0)", options=", start_new_session=True")
    async with process_server(state_dir / "p") as server:
        await server.start("tree", spawning(orphan, then="time.sleep(300)"))
        with anyio.fail_after(60):
            while len(marked_processes(nothing_left)) < 3 or not await server.until_logged("tree", "up"):
                await anyio.sleep(0.02)
        stopped = await server.call("stop", key="tree")
        assert stopped["alreadyStopped"] is False
        assert marked_processes(nothing_left) == []


async def test_what_outlived_its_parent_is_ended_by_stop_and_before_the_next_start(
    state_dir: Path,
    nothing_left: str,
) -> None:
    daemon = spawning(SLEEP, then="sys.exit(0)", options=", start_new_session=True")
    async with process_server(state_dir / "p") as server:
        await server.start("daemon", daemon)
        await server.until("daemon", lambda answer: answer["state"] == "exited")
        [first] = marked_processes(nothing_left)
        stopped = await server.call("stop", key="daemon")
        assert (stopped["alreadyStopped"], stopped["pids"], stopped["exitCode"]) == (True, [first.pid], 0)
        await server.start("daemon", daemon)
        await server.until("daemon", lambda answer: answer["state"] == "exited")
        [second] = marked_processes(nothing_left)
        await server.start("daemon", SLEEP)
        assert second.pid not in {process.pid for process in marked_processes(nothing_left)}
        await server.call("stop", key="daemon")


async def test_one_that_ends_on_its_own_is_noticed_and_reaped(state_dir: Path) -> None:
    async with process_server(state_dir / "p") as server:
        started = await server.start("job", SLEEP)
        os.kill(started["pid"], signal.SIGKILL)
        status = await server.until("job", lambda answer: answer["state"] == "exited")
        assert (status["signal"], status["ready"], status["detail"]) == ("SIGKILL", False, "was ended by SIGKILL")
        assert status["exitedAt"] >= status["startedAt"]
        assert not psutil.pid_exists(started["pid"])
        # no one asks: it is reaped all the same
        started = await server.start("job", "print(1)")
        with anyio.fail_after(30):
            while psutil.pid_exists(started["pid"]):
                await anyio.sleep(0.05)


async def test_health_by_status_tells_a_running_one_that_does_not_answer(state_dir: Path) -> None:
    async with process_server(state_dir / "p") as server:
        await server.call("start", **serve_arguments("web", ready={"log": "listening"}))
        for probe, ready, detail in (
            ({"http": "http://127.0.0.1:{port}/"}, True, "answered 200"),
            ({"http": "http://127.0.0.1:{port}/500"}, False, "answered 500, wanted 200 to 399"),
            ({"http": "http://127.0.0.1:{port}/503", "status": 503}, True, "answered 503"),
            ({"http": "http://127.0.0.1:1/"}, False, "could not be fetched (Connection refused)"),
            ({"tcp": 1}, False, "refused the connection"),
            ({"log": "listening"}, True, "found"),
            ({"log": "absent"}, False, "no log line matches 'absent'"),
            ({"tcp": None, "http": None}, True, "running"),
            (None, True, "running"),
        ):
            status = await server.call("status", key="web", ready=probe)
            assert (status["ready"], status["state"]) == (ready, "running")
            assert detail in status["detail"]
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
            status = await server.call("status", key="web", ready={"http": url, "owner": "any", "timeout": "300ms"})
            assert (status["ready"], "did not answer in 0.3 s" in status["detail"]) == (False, True)
        await server.call("stop", key="web")


async def test_unknown_and_ended_ones_are_answers_not_errors(state_dir: Path) -> None:
    async with process_server(state_dir / "p") as server:
        status = await server.call("status", key="nobody")
        assert (status["state"], status["ready"]) == ("not_found", False)
        assert "process 'nobdy' not found" in await server.fail("logs", key="nobdy")
        for key in ("a-1", "a-2", "b-1"):
            await server.start(key, SLEEP if key == "a-2" else "pass")
        for key in ("a-1", "b-1"):
            await server.until(key, lambda answer: answer["state"] == "exited")
        listed = await server.call("list")
        assert [process["key"] for process in listed["processes"]] == ["b-1", "a-2", "a-1"]
        assert (await server.call("list", state="running"))["total"] == 1
        filtered = await server.call("list", prefix="a-", limit=1)
        assert ([process["key"] for process in filtered["processes"]], filtered["total"]) == (["a-2"], 2)
        await server.call("stop", key="a-2")


async def test_a_stop_does_not_ask_for_the_children_of_each_child(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    children = psutil.Process.children

    def counted(process: psutil.Process, *args: Any, **more: Any) -> list[psutil.Process]:
        asked.append(process.pid)
        return children(process, *args, **more)

    script = (
        "import os, time\n"
        "for number in range(30):\n"
        "    if os.fork() == 0: time.sleep(300 * (number % 2)); os._exit(0)\n"
        "print('forked', flush=True); time.sleep(300)"
    )
    async with process_server(state_dir / "p") as server:
        await server.start("many", script, ready={"log": "forked"})
        monkeypatch.setattr(psutil.Process, "children", counted)
        await server.call("stop", key="many")
    assert len(asked) < 10, "psutil reads all processes of the machine for each"
