"""The process server's start: what runs, when it counts as ready, and what every failure says and leaves."""

import asyncio  # noqa: TID251 (its loop is what is tested)
import errno
import json
import os
import socket
import stat
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import psutil
import pytest
from mcp.shared.exceptions import MCPError
from tests.support.ports import free_port
from tests.support.processes import (
    PYTHON,
    SLEEP,
    process_server,
    serve_arguments,
    start_arguments,
)
from tests.support.processes import nothing_left as nothing_left  # noqa: PLC0414 (a fixture, found by its name)
from tests.support.scarce_files import no_free_file

from ostler.adapters.environments import Environments
from ostler.adapters.process import readiness, supervisor
from ostler.adapters.process.adoption import birth_of
from ostler.adapters.process.contract import ProcessState, StartRequest
from ostler.adapters.process.kept_ports import KeptPorts
from ostler.adapters.process.known_process import Entry
from ostler.adapters.process.launch import Launch
from ostler.adapters.process.ports import OWN_PORTS
from ostler.adapters.process.records import ProcessRecord
from ostler.model.errors import ArgumentError

pytestmark = [pytest.mark.anyio, pytest.mark.realtime, pytest.mark.usefixtures("nothing_left")]


async def test_a_process_is_started_once_for_equal_requests_and_refused_for_another_one(state_dir: Path) -> None:
    async with process_server(state_dir / "p") as server:
        first = await server.start("job", SLEEP)
        assert (first["state"], first["alreadyRunning"], first["key"]) == ("running", False, "job")
        again = await server.start("job", SLEEP, stopTimeout="2s")
        assert (again["pid"], again["alreadyRunning"]) == (first["pid"], True)
        refused = await server.fail("start", **start_arguments("job", "print(1)"))
        assert "'job' is already running with another command" in refused
        assert str(first["pid"]) in refused
        assert (await server.call("status", key="job"))["pid"] == first["pid"]
        await server.call("stop", key="job")
        second = await server.start("job", "import time; time.sleep(100)")
        assert second["pid"] != first["pid"]
        await server.call("stop", key="job")


async def test_concurrent_equal_starts_make_one_process(state_dir: Path) -> None:
    answers: list[dict[str, object]] = []
    async with process_server(state_dir / "p") as server:

        async def start() -> None:
            answers.append(await server.call("start", **serve_arguments("web", ready={"tcp": "{port}"})))

        async with anyio.create_task_group() as starts:
            for _ in range(5):
                starts.start_soon(start)
        assert len({answer["pid"] for answer in answers}) == 1
        assert sorted(bool(answer["alreadyRunning"]) for answer in answers) == [False, True, True, True, True]
        await server.call("stop", key="web")


async def test_a_start_that_joins_another_does_not_change_what_that_one_waits_for(
    state_dir: Path, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    script = f"""
import os, socket, sys, time
while not os.path.exists({str(go)!r}): time.sleep(0.01)
if os.fork(): os._exit(0)
os.dup2(os.open(os.devnull, os.O_RDWR), 1); os.dup2(1, 2)
s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); time.sleep(300)
"""
    arguments = start_arguments("daemon", None, command="{python}", args=["-S", "-c", script, "{port}"], port=0)
    arguments.pop("startSeconds")
    async with process_server(state_dir / "p") as server, anyio.create_task_group() as starts:
        answers: list[Any] = []

        async def start() -> None:
            answers.append(await server.call("start", **arguments, ready={"tcp": "{port}"}))

        starts.start_soon(start)
        await server.until("daemon", lambda answer: answer["state"] == "running")
        refused = await server.fail("start", **arguments, ready={"log": "never", "timeout": "0.2s"})
        assert "it had been started before, so it was not ended" in refused
        go.touch()
        with anyio.fail_after(40):
            while not answers:
                await anyio.sleep(0.02)
        assert answers[0]["state"] == "running"
        await server.call("stop", key="daemon")


async def test_a_pause_of_ostler_is_not_counted_as_time_to_become_ready(
    state_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, done = tmp_path / "begun", tmp_path / "done"
    script = f"touch {begun}; until [ -e {begun}.seen ]; do sleep 0.01; done; echo ready; touch {done}; exec sleep 300"
    arguments = start_arguments("slow", None, command=script, shell=True, ready={"log": "^ready", "timeout": "30s"})
    looked = anyio.Event()

    async def told(progress: float, total: float | None, message: str | None) -> None:
        looked.set()

    async with process_server(state_dir / "p") as server, anyio.create_task_group() as starts:

        async def start() -> None:
            assert not (await server.client.call_tool("start", arguments, progress_callback=told)).is_error

        starts.start_soon(start)
        await looked.wait()  # however long the first look takes, it counts
        while not begun.exists():
            await anyio.sleep(0.01)
        wait = f"touch {begun}.seen; until [ -e {done} ]; do sleep 0.01; done"
        subprocess.run(["sh", "-c", wait], check=True)  # no task goes on
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: time.monotonic() + 60.0)
    async with process_server(state_dir / "p") as server:
        assert (await server.call("status", key="slow"))["state"] == "running"
        await server.call("stop", key="slow")


async def test_a_start_that_joins_another_reports_its_failure_as_well(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "START_SECONDS", 60.0)
    script = "import time; time.sleep(0.2); raise SystemExit(3)"
    arguments = start_arguments("job", script)
    arguments.pop("startSeconds")
    failures: list[str] = []
    async with process_server(state_dir / "p") as server:

        async def start() -> None:
            failures.append(await server.fail("start", **arguments))

        async with anyio.create_task_group() as starts:
            starts.start_soon(start)
            starts.start_soon(start)
    assert all("'job' exited with code 3" in failure for failure in failures)


@pytest.mark.parametrize(
    "ready",
    [
        {"tcp": "{port}"},
        {"http": "http://127.0.0.1:{port}/"},
        {"http": "http://localhost:{port}/404?a=b", "status": 404},
        {"http": "http://127.0.0.1:{port}/503", "status": [500, 503]},
        {"log": "^listen.ng$"},
        {"tcp": "{port}", "http": "http://127.0.0.1:{port}/", "log": "listening", "timeout": 10, "interval": "50ms"},
    ],
    ids=["tcp", "http", "http-status", "http-statuses", "log", "all"],
)
async def test_start_waits_until_it_is_ready(state_dir: Path, ready: dict[str, object]) -> None:
    async with process_server(state_dir / "p") as server:
        started = await server.call("start", **serve_arguments("web", ready=ready))
        assert started["state"] == "running"
        with socket.create_connection(("127.0.0.1", started["port"]), timeout=60):
            pass
        assert (await server.call("status", key="web", ready=ready))["ready"] is True
        await server.call("stop", key="web")


async def test_waiting_tells_its_progress(state_dir: Path) -> None:
    said: list[str] = []

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        assert 0 <= progress <= (total or 0)
        said.append(message or "")

    slow = "import time; time.sleep(0.5); print('now'); time.sleep(100)"
    async with process_server(state_dir / "p") as server:
        arguments = start_arguments("slow", slow, ready={"log": "now"})
        result = await server.client.call_tool("start", arguments, progress_callback=progress)
        assert not result.is_error
        await server.call("stop", key="slow")
    assert "waiting for slow" in said[0]
    assert "slow is ready" in said[-1]


async def test_one_that_ends_before_it_is_ready_is_an_error_with_code_and_log(state_dir: Path) -> None:
    script = "import sys; print('cannot open the database'); sys.exit(3)"
    async with process_server(state_dir / "p") as server:
        text = await server.fail("start", **start_arguments("db", script, ready={"tcp": 1}))
        assert "process 'db' exited with code 3 before it was ready" in text
        assert "cannot open the database" in text
        status = await server.call("status", key="db")
        assert (status["state"], status["exitCode"], status["ready"]) == ("exited", 3, False)
        killed = "import os; os.kill(os.getpid(), 9)"
        assert "was ended by SIGKILL" in await server.fail("start", **start_arguments("db", killed, ready={"tcp": 1}))


async def test_one_that_is_not_ready_in_time_is_ended_with_its_children(state_dir: Path) -> None:
    script = (
        f"import subprocess, time; print('x'); subprocess.Popen([{PYTHON!r}, '-S', '-c', {SLEEP!r}]); time.sleep(99)"
    )
    async with process_server(state_dir / "p") as server:
        text = await server.fail("start", **start_arguments("w", script, ready={"log": "never", "timeout": "400ms"}))
        assert "was not ready within 0.4 s: no log line matches 'never' yet" in text
        assert (await server.call("status", key="w"))["state"] == "exited"
        assert "readyPath" not in text
        port = (await server.call("start", **serve_arguments("api", ready={"log": "listening"})))["port"]
        ready = {"http": f"http://127.0.0.1:{port}/404", "owner": "any", "timeout": "400ms"}
        text = await server.fail("start", **start_arguments("w", "import time; time.sleep(99)", ready=ready))
        assert "answered 404, wanted 200 to 399. Next: name a path that it does answer (readyPath" in text
        await server.call("stop", key="api")


async def test_a_stop_goes_through_while_a_start_waits(state_dir: Path) -> None:
    async with process_server(state_dir / "p") as server:
        texts: list[str] = []

        async def start() -> None:
            arguments = start_arguments("w", SLEEP, ready={"log": "never", "timeout": "60s"})
            texts.append(await server.fail("start", **arguments))

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(start)
                await server.until("w", lambda answer: answer["state"] == "running")
                assert (await server.call("stop", key="w"))["signal"] == "SIGTERM"
        assert "was ended by SIGTERM before it was ready" in texts[0]


async def test_a_cancelled_start_leaves_a_process_that_is_known(state_dir: Path) -> None:
    async with process_server(state_dir / "p") as server:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(
                lambda: server.call("start", **start_arguments("w", SLEEP, ready={"log": "never", "timeout": "60s"}))
            )
            await server.until("w", lambda answer: answer["state"] == "running")
            tasks.cancel_scope.cancel()
        assert (await server.call("status", key="w"))["state"] == "running"
        assert (await server.start("w", SLEEP))["alreadyRunning"] is True
        await server.call("stop", key="w")


async def test_what_cannot_be_started_is_named_and_leaves_nothing(state_dir: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("no program")
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"\x7fELFnot")
    garbage.chmod(0o755)
    scripts = {"plainer": "sleep 1\n", "windows": "#!/bin/sh\r\nsleep 1\r\n", "lost": "#!/opt/none/python3 -u\n"}
    for name, text in scripts.items():
        (tmp_path / name).write_bytes(text.encode())
        (tmp_path / name).chmod(0o755)
    faults = {
        "Exec format error; it is a text without a #! line": {"command": str(tmp_path / "plainer")},
        "its #! line ends with a carriage return": {"command": str(tmp_path / "windows")},
        "its #! line names /opt/none/python3, which does not exist": {"command": str(tmp_path / "lost")},
        "command not found: 'no-such-program'": {"command": "no-such-program"},
        f"command not found: '{tmp_path}/absent'": {"command": "./absent", "cwd": str(tmp_path)},
        f"command '{plain}' is not executable": {"command": str(plain)},
        f"command '{tmp_path}' is not executable": {"command": str(tmp_path)},
        "could not be started: Exec format error": {"command": str(garbage)},
        f"cwd '{tmp_path}/nowhere' does not exist": {"command": "true", "cwd": f"{tmp_path}/nowhere"},
        f"cwd '{plain}' is not a folder": {"command": "true", "cwd": str(plain)},
        "cwd: 'relative' is not absolute": {"command": "true", "cwd": "relative"},
        "cwd: '~no-such-user/x' is not absolute": {"command": "true", "cwd": "~no-such-user/x"},
        "~no-such-user/tool'": {"command": "~no-such-user/tool"},
        "command: it cannot be split into words": {"command": "echo 'open"},
        "'args' cannot be combined with 'shell'": {"command": "true", "args": [], "shell": True},
        "there is no port to replace {port} with": {"command": "true", "ready": {"tcp": "{port}"}},
        "ready.log: '(' is not a regular expression": {"command": "true", "ready": {"log": "("}},
        "'SIGNONE' is not a signal": {"command": "true", "stopSignal": "SIGNONE"},
        "cannot listen on host '192.0.2.1'": {"command": "true", "port": 0, "host": "192.0.2.1"},
        "command: it holds a NUL character": {"command": "tr\0ue", "args": []},
    }
    async with process_server(state_dir / "p") as server:
        for message, arguments in faults.items():
            text = await server.fail("start", **{"key": "bad", "cwd": str(tmp_path), **arguments})
            assert message in text
            assert (await server.call("status", key="bad"))["state"] == "not_found"
        assert (await server.call("list"))["total"] == 0
    assert list((state_dir / "p" / "records").iterdir()) == []
    assert list((state_dir / "p" / "logs").iterdir()) == []


async def test_a_failed_spawn_keeps_what_was_known_of_the_last_run(state_dir: Path, tmp_path: Path) -> None:
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"\x7fELFnot")
    garbage.chmod(0o755)
    async with process_server(state_dir / "p") as server:
        await server.start("job", "print('the first run')")
        await server.until("job", lambda answer: answer["state"] == "exited")
        await server.fail("start", key="job", command=str(garbage))
        status = await server.call("status", key="job")
        assert (status["state"], status["exitCode"]) == ("exited", 0)
        assert (await server.call("logs", key="job"))["lines"] == ["the first run"]
    async with process_server(state_dir / "p") as server:
        assert (await server.call("status", key="job"))["exitCode"] == 0


async def test_all_problems_of_the_arguments_come_at_once(state_dir: Path) -> None:
    async with process_server(state_dir / "p") as server:
        text = await server.fail("start", key="a/b", comand="x", port=70000, ready={"tpc": 1})
        for part in (
            "arg validation failed: ",
            "invalid value for argument 'key': use 1 to 128 letters",
            "command is required",
            "unknown argument 'comand'; did you mean 'command'?",
            "invalid value for argument 'port': input should be less than or equal to 65535",
            "unknown argument 'ready.tpc'; did you mean 'tcp'?",
            "Next: start takes key (required), command (required), args, ",
        ):
            assert part in text
        assert "invalid type for argument 'lines': expected integer, got string" in await server.fail(
            "logs", key="a", lines="many"
        )
        text = await server.fail("start", key="a", command="x", ready={"exit": 0})
        assert "unknown argument 'ready.exit' (ready takes tcp, send, answer, http, status, " in text
        text = await server.fail("start", key="a", command="x", ready={"http": "http://[::1"})
        assert "ready.http: 'http://[::1' is not a valid URL" in text
        text = await server.fail("status", key="a", ready={"status": "ok", "tcp": {}})
        assert "invalid type for argument 'ready.status': expected array or integer, got string" in text
        with pytest.raises(MCPError, match=r"tool 'strat' not found; did you mean 'start' or 'status'\?"):
            await server.client.call_tool("strat", {})


async def test_the_message_above_a_long_stack_is_among_the_last_log_lines(state_dir: Path) -> None:
    script = (
        "print('noise'); print('Error: Cannot find module ./settings'); "
        "[print(f'    at call{n} (/srv/app/node_modules/lib/{n}.js:{n}:1)') for n in range(60)]; raise SystemExit(1)"
    )
    async with process_server(state_dir / "p") as server:
        text = await server.fail("start", **start_arguments("app", script, startSeconds="20s"))
        assert " s after its start: Error: Cannot find module ./settings. Next:" in text
        assert "Last log lines:\nError: Cannot find module ./settings\n…\n    at call40 " in text
        assert text.rstrip().endswith("    at call59 (/srv/app/node_modules/lib/59.js:59:1)")
        assert "noise" not in text


async def test_work_that_ends_is_waited_for_to_its_end(state_dir: Path) -> None:
    def work(script: str, ends_within: float = 30.0) -> dict[str, Any]:
        return {"command": "{python}", "args": ["-S", "-u", "-c", script], "endsWithin": ends_within}

    async with process_server(state_dir / "p") as server:
        done = await server.call("start", key="done", **work("import time; time.sleep(0.6); print('dropped')"))
        assert (done["state"], done["exitCode"]) == ("exited", 0), "longer than a start is watched"
        text = await server.fail("start", key="bad", **work("print('in use'); raise SystemExit(3)"))
        assert "process 'bad' exited with code 3" in text
        assert "in use" in text
        text = await server.fail("start", key="slow", **work("import time; time.sleep(300)", 0.2))
        assert "process 'slow' had not ended after 0.2 s (endsWithin)" in text
        assert (await server.call("status", key="slow"))["state"] == "exited", "it is stopped"
        text = await server.fail("start", key="both", **work("pass"), startSeconds=1)
        assert "endsWithin: what ends is not waited for by 'ready' or 'startSeconds'" in text


async def test_blanks_mean_not_given_but_for_an_empty_list_of_arguments(state_dir: Path, tmp_path: Path) -> None:
    program = tmp_path / "a program"
    program.write_text("#!/bin/sh\necho ran\n")
    program.chmod(0o755)
    blanks: dict[str, Any] = {"cwd": "", "env": {}, "user": "", "port": None, "ready": {"tcp": "", "log": ""}}
    async with process_server(state_dir / "p") as server:
        await server.call("start", key="a", command=str(program), args=[], **blanks)
        await server.until("a", lambda answer: answer["state"] == "exited")
        assert (await server.call("logs", key="a", grep="", since=None))["lines"] == ["ran"]


async def test_environment_folder_and_placeholders_reach_the_process(
    state_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INHERITED", "yes")
    monkeypatch.setenv("OSTLER_SECRET_SETTING", "not for children")
    script = (
        "import os, sys, json; print(json.dumps([os.getcwd(), sys.argv[1:], os.environ.get('INHERITED'), "
        "os.environ.get('P'), os.environ.get('N'), os.environ.get('OSTLER_SECRET_SETTING'), "
        "os.getpgid(0) == os.getpid(), os.environ['PORT'] == sys.argv[1], sys.stdin.read()]))"
    )
    async with process_server(state_dir / "p") as server:
        started = await server.call(
            "start",
            key="env",
            command="{python}",
            args=["-S", "-c", script, "{port}", 8080, True, None, "{other}"],
            env={"P": "at {port}", "N": 5, "GONE": None},
            cwd=str(tmp_path),
            port=0,
            stdin="null",
        )
        port = started["port"]
        await server.until("env", lambda answer: answer["state"] == "exited")
        [line] = (await server.call("logs", key="env"))["lines"]
        args = f'["{port}", "8080", "true", "{{other}}"]'
        assert line == f'["{tmp_path}", {args}, "yes", "at {port}", "5", null, true, true, ""]'


async def test_commands_are_split_or_given_to_the_shell(state_dir: Path) -> None:
    async with process_server(state_dir / "p") as server:
        for key, command, shell, line in (
            ("split", "{python} -S -c \"print('a b', '$HOME|x')\"", False, "a b $HOME|x"),
            ("shell", 'A=1; echo "$A" | tr 1 2', True, "2"),
            ("python", "{python} -S -c 'print(\"from ostler\")'", True, "from ostler"),
        ):
            await server.start(key, command=command, shell=shell)
            await server.until(key, lambda answer: answer["state"] == "exited")
            assert (await server.call("logs", key=key))["lines"] == [line]
        # a machine whose PATH has no python at all still has the one that runs Ostler
        await server.start("bare", command="python3 -S -c 'print(1)'", env={"PATH": str(state_dir)})
        await server.until("bare", lambda answer: answer["state"] == "exited")
        assert (await server.call("logs", key="bare"))["lines"] == ["1"]


async def test_ports(state_dir: Path) -> None:
    async with process_server(state_dir / "p") as server:
        ready = {"tcp": "{port}"}
        first = await server.call("start", **serve_arguments("one", ready=ready))
        other = await server.call("start", **serve_arguments("two", ready=ready))
        assert first["port"] != other["port"]
        assert (await server.call("status", key="one"))["port"] == first["port"]
        taken = await server.fail("start", **serve_arguments("three", port=first["port"]))
        assert f"port {first['port']} on 127.0.0.1 is already in use: it is held by " in taken
        await server.call("stop", key="one")
        again = await server.call("start", **serve_arguments("one", ready=ready))
        assert again["port"] == first["port"], "a chosen port is kept over a restart while it is free"
        await server.call("stop", key="one")
        record = next(path for path in (state_dir / "p" / "records").iterdir() if path.name.startswith("one+"))
    record.unlink()
    async with process_server(state_dir / "p") as server:
        again = await server.call("start", **serve_arguments("one", ready=ready))
        assert again["port"] == first["port"], "nor does it matter that the process was forgotten"
        await server.call("stop", key="one")
        with socket.create_server(("127.0.0.1", first["port"])):
            moved = await server.call("start", **serve_arguments("one", ready=ready))
            assert moved["port"] not in (first["port"], other["port"])
            assert f"port {first['port']}, which it had before, is held by" in moved["portNote"]
            assert f"(pid {os.getpid()})" in moved["portNote"]
            assert moved["portNote"] in (await server.call("status", key="one"))["detail"]
        first = moved
        listening = await server.call("status", key="one", details=True)
        assert listening["ports"] == [first["port"]]
        assert listening["memoryBytes"] > 1_000_000
        assert listening["cpuPercent"] >= 0
        for key in ("one", "two"):
            await server.call("stop", key=key)


async def test_ports_that_are_given_at_once_are_all_kept(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    kept = KeptPorts(file)
    async with anyio.create_task_group() as tasks:
        for number in range(30):
            tasks.start_soon(anyio.to_thread.run_sync, kept.keep, f"web-{number}", 20_000 + number)
    again = KeptPorts(file)
    again.load()
    assert [again.of(f"web-{number}") for number in range(30)] == list(range(20_000, 20_030))


@pytest.mark.parametrize("name", ["", "A=B", "A\0", "A\ud800"])
def test_what_is_not_the_name_of_a_variable_is_refused(name: str) -> None:
    request = StartRequest(key="k", command="true", env={name: "x"})
    with pytest.raises(ArgumentError, match="is not a variable name"):
        Launch.of(request, port=None, inherited=os.environ)


def test_ports_are_looked_up_while_another_process_is_started(tmp_path: Path) -> None:
    starting = supervisor.Supervisor(tmp_path, environments=Environments({}))

    class Started(Entry):
        """Another one is started while this one is looked at."""

        @property
        def state(self) -> ProcessState:
            starting.entries["other"] = entry_of("other", 20_002)
            return "running"

    def entry_of(key: str, port: int, kind: type[Entry] = Entry) -> Entry:
        facts: dict[str, Any] = {
            "digest": "",
            "command": "x",
            "stop_signal": "SIGTERM",
            "stop_timeout": 1,
            "log_max_bytes": 1,
        }
        record = ProcessRecord(
            key=key, token="t" * 16, started_at=datetime.now(UTC), host="", cwd="/", port=port, **facts
        )
        return kind(record, tmp_path / key)

    starting.entries["one"] = entry_of("one", 20_001, Started)
    assert starting.ports.used() == {20_001}
    assert starting.ports.used() == {20_001, 20_002}


async def test_a_port_that_is_kept_for_one_is_given_to_no_other(state_dir: Path) -> None:
    (state_dir / "p").mkdir(parents=True)
    (state_dir / "p" / "ports.json").write_text(json.dumps({f"web-{port}": [port, 4e9] for port in OWN_PORTS}))
    async with process_server(state_dir / "p") as server:
        assert not set((await server.call("free_port", count=5))["ports"]) & set(OWN_PORTS)
        free = free_port()
        assert (await server.call("free_port", preferred=free))["port"] == free


async def test_a_program_whose_start_finds_no_free_file_is_known_all_the_same(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with no_free_file():
        assert birth_of(os.getpid()) == {}

    def refuse(*_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    async with process_server(state_dir / "p") as server:
        monkeypatch.setattr(supervisor, "find_process", refuse)
        first = await server.start("job", SLEEP)
        assert (await server.start("job", SLEEP))["pid"] == first["pid"]
        assert (await server.call("stop", key="job"))["pids"] == [first["pid"]]


async def test_free_ports_differ_and_can_be_bound(state_dir: Path) -> None:
    async with process_server(state_dir / "p") as server:
        given = (await server.call("free_port", count=20))["ports"]
        given += [(await server.call("free_port"))["port"] for _ in range(20)]
        assert all(port in OWN_PORTS for port in given), "no connection to elsewhere may take one that is kept"
        assert len(set(given)) == 40
        with socket.create_server(("127.0.0.1", given[0])):
            preferred = await server.call("free_port", preferred=given[0])
            assert preferred["port"] not in given
        free = free_port()
        assert (await server.call("free_port", preferred=free))["port"] == free
        assert "cannot listen on host 'no.such.host.invalid'" in await server.fail(
            "free_port", host="no.such.host.invalid"
        )


async def test_files_are_private(state_dir: Path) -> None:
    root = state_dir / "p"
    root.mkdir(mode=0o755)
    before = os.umask(0)
    try:
        async with process_server(root) as server:
            await server.start("job", SLEEP, env={"PASSWORD": "hunter2"})
            await server.call("stop", key="job")
            for path in (root, *root.rglob("*")):
                assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
                assert path.is_dir() or b"hunter2" not in path.read_bytes()
    finally:
        os.umask(before)


async def test_calls_leave_no_descriptor(state_dir: Path) -> None:
    async with process_server(state_dir / "p") as server:
        me = psutil.Process()
        await server.start("job", SLEEP)
        await server.call("status", key="job")
        descriptors = me.num_fds()
        for _ in range(3):
            await server.call("stop", key="job")
            await server.start("job", SLEEP)
            await server.call("status", key="job", ready={"tcp": 1}, details=True)
        assert me.num_fds() <= descriptors
        await server.call("stop", key="job")


def test_it_runs_under_trio(state_dir: Path) -> None:
    async def drive() -> None:
        async with process_server(state_dir / "p") as server:
            started = await server.call("start", **serve_arguments("web", ready={"http": "http://127.0.0.1:{port}/"}))
            assert (await server.call("status", key="web", ready={"tcp": started["port"]}))["ready"] is True
            assert (await server.call("stop", key="web"))["signal"] == "SIGTERM"

    anyio.run(drive, backend="trio")
