"""The end of a process is told at once, also of one that an earlier Ostler started; the engine acts on it."""

import os
import signal
import sys
from pathlib import Path

import anyio
import psutil
import pytest
from mcp import Client
from tests.support.processes import SERVE, SLEEP, ProcessClient, build_process_server, process_server, start_arguments
from tests.support.processes import nothing_left as nothing_left  # noqa: PLC0414 (a fixture, found by its name)
from tests.support.scarce_files import no_free_file

from ostler.adapters.config.paths import Paths
from ostler.adapters.process import upkeep
from ostler.engine.insight.explanation import explain
from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.services.views import CreateRequest
from ostler.faces.assembly import open_application
from ostler.model.projects import Overrides
from ostler.model.states import HealthStatus, Reachability, ServiceState

pytestmark = [pytest.mark.anyio, pytest.mark.realtime, pytest.mark.usefixtures("nothing_left")]

SOON = 60.0
"""Seconds: 1 is promised, on a machine that is not busy; looks at adopted processes and health checks come later."""

RARELY = Overrides.model_validate({"healthCheck": {"interval": "1h"}})


@pytest.fixture
def no_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing but the system's word show that a process has ended."""
    monkeypatch.setattr(upkeep, "LOOK_SECONDS", 3600.0)


@pytest.mark.usefixtures("no_looks")
@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="elsewhere looks show it")
@pytest.mark.parametrize("adopted", [False, True])
async def test_an_exit_is_told_without_being_asked_for(state_dir: Path, adopted: bool) -> None:
    send, receive = anyio.create_memory_object_stream[str](10)
    async with process_server(state_dir) as server:
        pid = (await server.start("job", SLEEP))["pid"]
        await server.start("other", SLEEP)
        if not adopted:
            os.kill(pid, signal.SIGKILL)
            await server.until("job", lambda answer: answer.get("signal") == "SIGKILL")
    async with Client(build_process_server(state_dir, on_change=send.send_nowait)) as client, send, receive:
        server = ProcessClient(client)
        if adopted:
            os.kill(pid, signal.SIGKILL)
        else:
            pid = (await server.start("job", SLEEP))["pid"]
            os.kill(pid, signal.SIGKILL)
        with anyio.fail_after(SOON):
            assert await receive.receive() == "job"
        await server.call("stop", key="other")


async def test_the_end_of_a_server_below_a_reloader_is_told_and_explained(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "LOOK_SECONDS", 0.05)
    send, receive = anyio.create_memory_object_stream[str](100)
    script = '"$0" -S -u -c "$1" {port}; echo \'Error: the pool is gone\' >&2; exec sleep 300'
    ready = {"http": "http://127.0.0.1:{port}/"}
    async with Client(build_process_server(state_dir, on_change=send.send_nowait)) as client, send, receive:
        server = ProcessClient(client)
        words = ["-c", script, sys.executable, SERVE]
        started = await server.call("start", key="api", command="/bin/sh", args=words, port=0, ready=ready)
        [child] = psutil.Process(started["pid"]).children()
        child.kill()
        with anyio.fail_after(SOON):
            assert [await receive.receive() for _ in range(3)] == ["api"] * 3
        answer = await server.call("status", key="api", ready=ready)
        assert (answer["state"], answer["ready"]) == ("running", False)
        assert f"the process that served (pid {child.pid}) has ended: " in answer["detail"]
        assert "the pool is gone" in answer["detail"]
        await server.call("stop", key="api")


async def test_the_end_of_a_worker_is_told_whose_parent_has_the_same_socket_and_does_not_ask(state_dir: Path) -> None:
    """As uvicorn's with --reload: the port still accepts, so only a request would show it, after its whole time."""
    ready = {"http": "http://127.0.0.1:{port}/", "timeout": "0.3s"}
    script = (
        "import http.server, os, sys, time\n"
        "server = http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), http.server.SimpleHTTPRequestHandler)\n"
        "if os.fork(): time.sleep(300)\nserver.serve_forever()"
    )
    async with process_server(state_dir) as server:
        arguments = start_arguments("api", None, command="{python}", args=["-S", "-u", "-c", script, "{port}"], port=0)
        started = await server.call("start", **{**arguments, "ready": {"http": ready["http"]}})
        [child] = psutil.Process(started["pid"]).children()
        child.kill()
        answer = await server.until("api", lambda answer: not answer["ready"], ready=ready)
        assert answer["state"] == "running"
        assert f"did not answer in 0.3 s; the process that served (pid {child.pid}) has ended" in answer["detail"]
        await server.call("stop", key="api")


async def test_a_killed_service_has_failed_and_is_restarted_long_before_its_next_check(
    state_dir: Path, tmp_path: Path
) -> None:
    paths = Paths.resolve(state_dir / "config", state_dir / "state")
    async with open_application(paths) as app:
        await app.downstream.wait_until_connected("process", 60)
        manager = app.manager
        await manager.create(CreateRequest("static-web-server", "site", {"directory": str(tmp_path)}, overrides=RARELY))
        await manager.create(CreateRequest("command", "job", {"command": "sleep 300"}, overrides=RARELY))
        service = manager.registry.get("job")
        assert isinstance(service, ServiceInstance)
        os.kill(int(str(manager.view("job").outputs["pid"])), signal.SIGKILL)
        with anyio.fail_after(SOON):
            await service.wait_until(lambda status: status.state is ServiceState.FAILED)
        view = manager.view("job")
        assert view.health is not HealthStatus.HEALTHY
        assert "exited" in (view.error or "")
        causes = explain(service, manager.registry, None, ()).causes
        assert [cause.count("job") for cause in causes[:2]] == [1, 1], "the name is said once"
        assert causes[1].startswith("job: exited")
        os.kill(int(str(manager.view("site").outputs["pid"])), signal.SIGKILL)
        service = manager.registry.get("site")
        assert isinstance(service, ServiceInstance)
        with anyio.fail_after(SOON):
            await service.wait_until(lambda status: status.state is ServiceState.RETRYING)
        with anyio.fail_after(60):
            await service.wait_until(lambda status: status.state is ServiceState.RUNNING)
        await manager.delete("site")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere processes are looked at without files")
async def test_what_cannot_be_looked_at_because_no_file_is_free_has_not_failed(
    state_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = Paths.resolve(state_dir / "config", state_dir / "state")
    async with open_application(paths) as app:
        await app.downstream.wait_until_connected("process", 60)
        often = Overrides.model_validate(
            {"healthCheck": {"interval": "200ms", "failureThreshold": 1}, "restartPolicy": "always"}
        )
        await app.manager.create(CreateRequest("command", "job", {"command": "sleep 300"}, overrides=often))
        service = app.manager.registry.get("job")
        assert isinstance(service, ServiceInstance)
        with no_free_file(), anyio.fail_after(60):
            await service.wait_until(lambda status: status.reachability is Reachability.UNREACHABLE)
            while "processes cannot be looked after now" not in caplog.text:
                await anyio.sleep(0.01)
            assert service.state is ServiceState.RUNNING
        with anyio.fail_after(60):
            await service.wait_until(lambda status: status.reachability is Reachability.REACHABLE)
            await service.wait_until(lambda status: status.health is HealthStatus.HEALTHY)
        assert app.manager.view("job").starts == 1
        os.kill(int(str(app.manager.view("job").outputs["pid"])), signal.SIGKILL)
        with anyio.fail_after(SOON):
            await service.wait_until(lambda status: status.state is not ServiceState.RUNNING)
        await app.manager.delete("job")


SERVES = """
import os, signal, socket, sys, time
listener = socket.create_server(('127.0.0.1', int(sys.argv[1])))
signal.signal(signal.SIGUSR2, lambda *_: os.fork() and os._exit(0))
while True: time.sleep(300)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has subreapers")
async def test_a_server_that_replaces_itself_runs_on_and_one_that_is_frozen_is_said_to_be(state_dir: Path) -> None:
    """As gunicorn and nginx do it; the new process has the sockets of the old one, which ends well."""
    send, receive = anyio.create_memory_object_stream[str](10)
    async with Client(build_process_server(state_dir, on_change=send.send_nowait)) as client, send, receive:
        server = ProcessClient(client)
        words = ["-S", "-c", SERVES, "{port}"]
        started = await server.start("web", command="{python}", args=words, port=0, ready={"tcp": "{port}"})
        first = started["pid"]
        os.kill(first, signal.SIGUSR2)
        answer = await server.until("web", lambda answer: answer["pid"] != first, ready={"tcp": "{port}"})
        assert (answer["state"], answer["ready"], await receive.receive()) == ("running", True, "web")
        os.kill(answer["pid"], signal.SIGSTOP)
        answer = await server.until("web", lambda answer: not answer["ready"], ready={"tcp": "{port}"})
        assert f"pid {answer['pid']} is stopped by a signal" in answer["detail"]
        assert (answer["state"], await receive.receive()) == ("running", "web")
        stopped = await server.call("stop", key="web", timeout=60)
        assert (stopped["signal"], stopped["killed"]) == ("SIGTERM", False)


async def test_how_a_process_ended_comes_with_what_it_said(state_dir: Path) -> None:
    script = "sleep 0.2; echo reading; echo 'error: relation nowhere does not exist' >&2; exit 3"
    async with process_server(state_dir) as server:
        await server.call("start", key="migrate", command=script, shell=True, startSeconds=0)
        answer = await server.until("migrate", lambda answer: answer["state"] == "exited")
    assert answer["detail"].startswith("exited with code 3: ")
    assert "relation nowhere does not exist" in answer["detail"]


async def test_what_a_program_said_counts_also_where_its_exit_code_is_0_or_missing(state_dir: Path) -> None:
    ends = {
        "exit 0": "exited with code 0",
        "kill -ABRT $$": "was ended by SIGABRT",
        "exit 137": "exited with code 137 (a shell's code after SIGKILL)",
    }
    async with process_server(state_dir) as server:
        for key, end in enumerate(ends):
            command = f"echo FATAL: no heap; {end}"
            await server.call("start", key=f"mq{key}", command=command, shell=True, startSeconds=0)
        for key, how in enumerate(ends.values()):
            answer = await server.until(f"mq{key}", lambda answer: answer["state"] == "exited")
            assert answer["detail"] == f"{how}: FATAL: no heap"
