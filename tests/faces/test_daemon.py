"""The server process: ownership of the state folder, its socket, its end, and clients that misbehave."""

import asyncio  # noqa: TID251 (its loop is what is tested)
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from anyio.abc import ByteReceiveStream, ByteSendStream, SocketStream, UNIXSocketStream
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCNotification
from processes.bridge_client import MODERN_META, BridgeClient, eventually, scripted, servers_of
from tests.support.scarce_files import no_free_file
from tests.support.small_disk import fill, small_disk

from ostler.adapters.config.paths import Paths
from ostler.adapters.process.marks import known_life, marks_of_servers
from ostler.faces.bridge import dialer as dialer_module
from ostler.faces.bridge import greeting
from ostler.faces.bridge.dialer import Dialer, OstlerUnavailableError, ServerSilentError
from ostler.faces.bridge.greeting import RefusedError, ask
from ostler.faces.bridge.holder import owner_of, read_holder
from ostler.faces.bridge.launcher import EXIT_LOCK_HELD, launch
from ostler.faces.bridge.place import ServerPlace
from ostler.faces.cli.app import run_command
from ostler.faces.cli.rpc import ServerClient
from ostler.faces.cli.session import ExitStatus
from ostler.faces.daemon import local_socket
from ostler.faces.daemon.hosting import Hosted
from ostler.faces.daemon.lean_imports import import_beside
from ostler.faces.daemon.lock import StateLock
from ostler.faces.daemon.reception import Reception
from ostler.faces.daemon.steady_loop import SteadyLoop
from ostler.faces.daemon.streams import BACKLOG_LIMIT, SLOW_CLIENT_TIMEOUT, message_streams
from ostler.model.access import Principal
from ostler.model.errors import StateLockedError, StoreError
from ostler.model.marks import LIFE_VARIABLE


def dialer_of(place: ServerPlace, *options: str, version: str = "0.1.0") -> Dialer:
    return Dialer(place, kind="cli", note=print, version=version, command=scripted("server", place, *options))


def call(place: ServerPlace, tool: str, *options: str, **args: Any) -> str:
    with ServerClient(dialer_of(place, *options)) as client:
        return client.call_tool(tool, args).text


@pytest.mark.realtime
def test_lock_is_exclusive_and_names_its_holder(state_dir: Path) -> None:
    place = ServerPlace(Paths.resolve(state_dir, state_dir / "state"))
    with StateLock(place, version="1.2.3"):
        holder = read_holder(place)
        assert holder is not None
        assert (holder.pid, holder.version) == (os.getpid(), "1.2.3")
        with pytest.raises(StateLockedError, match=rf"pid {os.getpid()}, version 1.2.3, since .*stop-server"):
            StateLock(place, version="1.2.3").acquire()
    assert read_holder(place) is None
    with StateLock(place, version="1.2.3"):
        pass


@pytest.mark.realtime
def test_a_server_that_stands_by_is_not_waited_for_and_its_http_address_is_advised(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ostler.faces.bridge.dialer.STANDBY_TIMEOUT", 0.0)
    place = ServerPlace(Paths.resolve(state_dir, state_dir / "state"))
    with StateLock(place, version="1.2.3", stands_by=True) as lock:
        with pytest.raises(OstlerUnavailableError, match="stands by for another server.*Next: use its HTTP address"):
            dialer_of(place).connect()
        lock.serve()
        assert "stands by" not in owner_of(place)


@pytest.mark.skipif(sys.platform != "linux", reason="names that no file holds are Linux's")
@pytest.mark.realtime
def test_a_copy_of_a_state_folder_has_no_server_next_to_that_of_the_original(tmp_path: Path) -> None:
    place = ServerPlace(Paths.resolve(tmp_path, tmp_path / "state"))
    copied = ServerPlace(Paths.resolve(tmp_path, tmp_path / "copy"))
    with StateLock(place, version="1.2.3"):
        shutil.copytree(place.state_dir, copied.state_dir)
        said = f"same id as .* pid {os.getpid()}: one is a copy.*Next: end process {os.getpid()}, then use this folder"
        for _ in range(5):  # as a supervisor does
            with pytest.raises(StoreError, match=said):
                StateLock(copied, version="1.2.3").acquire()
        shutil.rmtree(copied.state_dir)
        with StateLock(copied, version="1.2.3"):
            pass  # it was emptied, as the error says: another folder
    shutil.rmtree(copied.state_dir)
    Path(place.state_dir).rename(copied.state_dir)
    with StateLock(copied, version="1.2.3"):
        pass  # the original is gone: a folder that was moved or restored


@pytest.mark.realtime
def test_a_second_server_ends_at_once_and_says_who_is_there(
    place: ServerPlace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pid = call(place, "pid")
    second = subprocess.run(scripted("server", place), capture_output=True, timeout=60, check=False)
    assert second.returncode == EXIT_LOCK_HELD
    assert f"pid {pid}" in second.stderr.decode()
    assert call(place, "pid") == pid

    # One that does not answer is there all the same, and is not called gone.
    monkeypatch.setattr(greeting, "ANSWER_TIMEOUT", 0.3)
    os.kill(int(pid), signal.SIGSTOP)
    try:
        said = f"pid {pid} owns the state folder since .*'kill -CONT {pid}' lets it go on"
        if sys.platform == "linux":
            with pytest.raises(ServerSilentError, match=f"did not answer 'status'.*{said}"):
                dialer_of(place).request("status")
            launched = launch(place, scripted("server", place))
            eventually(lambda: launched.exit_status() is not None, "the second one has ended")
            dialer = Dialer(place, kind="cli", note=print, version="0.1.0", launched=launched)
            with pytest.raises(OstlerUnavailableError, match=f"no Ostler server answered .*{said}$"):
                dialer.connect(deadline=time.monotonic())
            monkeypatch.setattr(dialer_module, "ANSWER_TIMEOUT", 0.3)
            with pytest.raises(OstlerUnavailableError, match=f"no Ostler server answered .*{said}$"):
                dialer_of(place).connect(launched=lambda: pytest.fail("a second server is of no use"))
        assert run_command(["--state", str(place.state_dir), "server-status", "--json"]) == ExitStatus.UNAVAILABLE
        shown = json.loads(capsys.readouterr().out)
        assert (shown["running"], shown["answers"]) == (True, False)
        run_command(["--state", str(place.state_dir), "doctor", "--json"])
        checks = [check for check in json.loads(capsys.readouterr().out)["checks"] if check["area"] != "PATH"]
        assert [check["verdict"] for check in checks if check["area"] == "server"] == ["problem"]
        assert [check for check in checks if check["area"] == "processes"] == [], "it alone knows whose they are"
    finally:
        os.kill(int(pid), signal.SIGCONT)


@pytest.mark.realtime
def test_a_server_that_stands_by_says_so_on_its_socket_and_keeps_it_when_it_takes_over(
    place: ServerPlace, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = Path(place.state_dir).with_name("taken")
    options = ("--http", "127.0.0.1:0", "--stands-by", str(taken))
    server = subprocess.Popen(scripted("server", place, *options, forked=False))
    try:
        eventually(place.socket_file.exists, "it listens")
        said = "stands by: server there holds the database, and is reached at http://there:1/mcp. Next: use that one"
        with pytest.raises(OstlerUnavailableError, match=said):
            dialer_of(place).connect()
        (early, secret), (other, _) = place.dial(), place.dial()
        status = dialer_of(place).request("status")
        assert (status["pid"], said in status["standby"]) == (server.pid, True)
        run_command(["--config", str(place.paths.config_dir), "--state", str(place.state_dir), "doctor", "--json"])
        checks = json.loads(capsys.readouterr().out)["checks"]
        assert [said in f"{each['text']}. Next: {each['fix']}" for each in checks if each["area"] == "server"] == [True]
        socket_before = place.socket_file.stat().st_ino
        taken.touch()
        eventually(lambda: not dialer_of(place).request("status")["standby"], "it has taken over")
        assert int(call(place, "pid")) == server.pid
        with early, other:
            assert ask(early, secret, "status")["pid"] == server.pid, "who had come in before is not cut off"
            with pytest.raises(RefusedError, match="taken over") as refused:
                ask(other, secret, "hello")
            assert not refused.value.is_final, "so a client comes again"
        assert place.socket_file.stat().st_ino == socket_before
        taken.unlink()
    finally:
        dialer_of(place).request("stop")
        server.wait(30)


@pytest.mark.realtime
@pytest.mark.skipif(sys.platform == "win32", reason="a unix socket")
def test_a_client_that_is_refused_for_now_starts_no_other_server(place: ServerPlace) -> None:
    place.paths.create_state()
    was_launched: list[bool] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place.socket_file))
        listener.listen()

        def refuse() -> None:
            for is_final in (False, False, True):
                client, _ = listener.accept()
                with client:
                    client.recv(4096)
                    was_launched.append(place.log_file.exists())
                    client.sendall(greeting.encode_line("refused", message="not yet", final=is_final))

        refusing = threading.Thread(target=refuse)
        refusing.start()
        with pytest.raises(OstlerUnavailableError, match="not yet"):
            dialer_of(place).connect()
        refusing.join(30)
    assert was_launched == [False, False, False]


@pytest.mark.parametrize("stands_still", [True, False])
def test_a_pause_of_the_server_is_noticed_and_is_no_time_unless_others_count_on_it(stands_still: bool) -> None:
    passed = 0.0
    pauses: list[float] = []

    def is_over_after_pause(limit: float) -> bool:
        nonlocal passed
        passed += 3600.0
        return limit <= anyio.current_time()

    async def wait() -> bool:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SteadyLoop)
        loop.watch(pauses.append, stands_still=stands_still)
        is_late = is_over_after_pause(anyio.current_time() + 60)
        limit = anyio.current_time() + 60
        assert any(is_over_after_pause(limit) for _ in range(100)), "pauses again and again keep no limit from its end"
        await anyio.wait_all_tasks_blocked()
        return is_late

    is_late = anyio.run(wait, backend_options={"loop_factory": lambda: SteadyLoop(lambda: time.monotonic() + passed)})
    assert (is_late, pauses[0]) == (not stands_still, pytest.approx(3600, abs=1))


@pytest.mark.realtime
def test_a_hand_over_is_waited_for_no_longer_than_the_command_may_take(place: ServerPlace, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    older = ["--version", "0.0.1", "--leaves-after", str(gone)]
    dialer_of(place, *older, version="0.0.1").connect().close()
    newer = dialer_of(place, "--version", "0.0.2", version="0.0.2")
    began = time.monotonic()
    with pytest.raises(OstlerUnavailableError, match=r"server 0.0.1 \(pid \d+\) is still handing over"):
        newer.connect(deadline=began + 0.5)
    assert time.monotonic() - began < 10
    gone.touch()
    link = newer.connect()
    link.close()
    assert link.version == "0.0.2"


READS_IN_TIME = """
import sys
import anyio
from anyio.lowlevel import current_token
from ostler.faces.daemon.steady_loop import SteadyLoop

async def main():
    pauses = []
    current_token().native_token.watch(pauses.append, stands_still=True)
    with anyio.move_on_after(3):
        print("asked", flush=True)
        print(await anyio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True), len(pauses), flush=True)

anyio.run(main, backend_options={"loop_factory": SteadyLoop})
"""


@pytest.mark.realtime
@pytest.mark.skipif(sys.platform == "win32", reason="signals that stop a process")
def test_what_came_during_a_pause_longer_than_its_limit_is_read() -> None:
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", READS_IN_TIME], **pipes) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "asked\n"
        child.send_signal(signal.SIGSTOP)
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(3.5)
        child.send_signal(signal.SIGCONT)
        said, _ = child.communicate("answered\n", timeout=30)
    assert said.split() == ["answered", "1"]


@pytest.mark.realtime
@pytest.mark.skipif(sys.platform != "linux", reason="names without files")
def test_a_deleted_state_folder_ends_its_server_and_lets_no_second_one_in_before(place: ServerPlace) -> None:
    pid = int(call(place, "pid"))
    os.kill(pid, signal.SIGSTOP)  # it cannot notice yet
    shutil.rmtree(place.state_dir)
    second = subprocess.run(scripted("server", place), capture_output=True, timeout=60, check=False)
    assert (second.returncode, "deleted" in second.stderr.decode()) == (EXIT_LOCK_HELD, True)
    os.kill(pid, signal.SIGCONT)
    eventually(lambda: servers_of(place) == [], "the server without a folder has ended")
    assert int(call(place, "pid")) != pid


@pytest.mark.realtime
def test_socket_and_folder_are_private_and_a_stale_socket_is_replaced(place: ServerPlace) -> None:
    place.paths.create_state()
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(os.fspath(place.socket_file))
    stale.close()
    assert call(place, "echo", text="here") == "here"
    assert stat.S_IMODE(place.socket_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(Path(place.state_dir).stat().st_mode) == 0o700


@pytest.mark.realtime
def test_it_ends_when_idle_but_not_while_there_is_work_or_a_client(place: ServerPlace) -> None:
    with ServerClient(dialer_of(place, "--idle-exit", "0.3")) as client:
        pid = int(client.call_tool("pid", {}).text)
        anyio.run(anyio.sleep, 0.6)
        assert int(client.call_tool("pid", {}).text) == pid
    eventually(lambda: servers_of(place) == [], "the idle server has ended", timeout=90)
    assert not place.socket_file.exists()
    assert "the server ends (idle)" in place.log_file.read_text()
    pid = int(call(place, "pid", "--idle-exit", "0.3", "--busy"))
    anyio.run(anyio.sleep, 0.6)
    assert servers_of(place) == [pid]


@pytest.mark.realtime
def test_status_and_stop_are_answered_beside_mcp(place: ServerPlace) -> None:
    dialer = dialer_of(place, "--busy")
    with pytest.raises(OstlerUnavailableError, match="no Ostler server runs"):
        dialer.request("status")
    with ServerClient(dialer) as client:
        pid = int(client.call_tool("pid", {}).text)
        facts = dialer.request("status")
        assert (facts["pid"], facts["clients"], facts["hasWork"], facts["version"]) == (pid, 1, True, "0.1.0")
        with pytest.raises(RefusedError, match="does not know the request 'dance'"):
            dialer.request("dance")
        assert dialer.request("stop")["pid"] == pid
        with pytest.raises(OstlerUnavailableError, match=r"ended while tools/call was under way|broke"):
            client.call_tool("pid", {})


@pytest.mark.realtime
def test_what_a_server_writes_at_its_start_takes_no_new_room_on_a_full_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path, "256k") as disk:
        place = ServerPlace(Paths.resolve(disk, disk / "state"))
        for is_full in (False, True):
            with StateLock(place, version="1.2.3"):
                assert str(read_holder(place)).startswith(f"pid {os.getpid()}, version 1.2.3, since ")
                marks = marks_of_servers(place.paths.state_dir)
                assert known_life(place.paths.state_dir) == marks[LIFE_VARIABLE]
            if not is_full:
                fill(disk)


@pytest.mark.realtime
def test_sigterm_ends_it_in_order(place: ServerPlace) -> None:
    pid = int(call(place, "pid"))
    os.kill(pid, signal.SIGTERM)
    eventually(lambda: servers_of(place) == [], "the server has ended", timeout=90)
    assert not place.socket_file.exists()
    assert read_holder(place) is None
    assert "Traceback" not in place.log_file.read_text()


@pytest.mark.realtime
def test_strangers_and_broken_clients_harm_nobody(place: ServerPlace) -> None:
    with ServerClient(dialer_of(place)) as client:
        pid = client.call_tool("pid", {}).text
        for opening in (b"GET / HTTP/1.1\r\n\r\n", b'{"ostler":"hello"', b'{"ostler":"hello"}\nnot json\n[]\n', b""):
            connection, _ = place.dial()
            with connection:
                connection.sendall(opening)
        with ServerClient(dialer_of(place)) as other:
            other.call_tool("echo", {"text": "x" * 1_000_000})
        assert client.call_tool("pid", {}).text == pid
    warnings = place.log_file.read_text().count("did not begin with a greeting")
    assert warnings <= 2, "who only looks whether a server is there is no stranger"


@pytest.mark.realtime
def test_foreground_serves_stdio_is_joined_by_others_and_does_not_hand_over(place: ServerPlace) -> None:
    with BridgeClient(scripted("server", place, "--foreground", forked=False)) as client:
        client.initialize()
        pid = client.call("pid")
        assert pid == str(client.process.pid)
        assert call(place, "pid") == pid
        with ServerClient(dialer_of(place, version="99.0")) as newer:
            assert newer.call_tool("pid", {}).text == pid
        assert client.close() == 0
    assert read_holder(place) is None


@pytest.mark.realtime
def test_a_signal_ends_a_foreground_server_whose_client_stays(place: ServerPlace) -> None:
    with BridgeClient(scripted("server", place, "--foreground")) as client:
        client.initialize()
        client.write(b'{"jsonrpc":"2.0","id":501,"method":"tools/call","params":"text"}\nno json\n')
        assert client.answer(501)["error"]["code"] == -32602
        assert client.call("echo", text="x" * 1_000_000)
        client.process.terminate()
        assert client.process.wait(60) == 0, "70: it was ended by its watchdog"
    assert read_holder(place) is None


@pytest.mark.realtime
def test_foreground_serves_a_handshake_behind_a_discovery(place: ServerPlace) -> None:
    with BridgeClient(scripted("server", place, "--foreground")) as client:
        discovering = client.send("server/discover", {"_meta": MODERN_META})
        assert client.initialize()["serverInfo"]["name"] == "scripted"
        assert "2026-07-28" in client.answer(discovering)["result"]["supportedVersions"]
        assert client.call("pid") == client.call("pid", modern=True)
        assert client.close() == 0


def test_a_large_log_is_begun_afresh(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from ostler.faces.daemon.logs import rotate_log\n"
        "rotate_log(Path(sys.argv[1]), limit=10); print('new', flush=True)"
    )
    log = tmp_path / "server.log"
    log.write_text("old and long enough\n")
    subprocess.run([sys.executable, "-c", script, str(log)], check=True, timeout=60)
    assert log.read_text() == "new\n"
    assert (tmp_path / "server.log.1").read_text() == "old and long enough\n"


def test_a_log_that_grows_while_its_server_runs_is_begun_afresh(tmp_path: Path) -> None:
    script = (
        "import logging, sys; from pathlib import Path; from ostler.faces.daemon import logs\n"
        "logs.ROTATE_BYTES = 2000; path = Path(sys.argv[1])\n"
        "logs.rotate_log(path); logs.set_up_logging('info', file=path)\n"
        "for number in range(200): logging.getLogger('a').info('line %d', number)\n"
        "for _ in range(200): logging.getLogger('asyncio').error('socket.accept() out of system resource')"
    )
    log = tmp_path / "server.log"
    subprocess.run([sys.executable, "-c", script, str(log)], check=True, timeout=60)
    newest = (tmp_path / "server.log.1").read_text() + log.read_text()
    assert "line 199" in newest
    assert "line 1\n" not in newest
    assert newest.count("socket.accept()") == 1


@pytest.mark.anyio
@pytest.mark.realtime
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
async def test_a_client_that_comes_while_no_file_is_free_is_served_when_one_is(
    state_dir: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_socket, "_SCARCE_PAUSE", 0.02)
    place = ServerPlace(Paths.resolve(state_dir / "config", state_dir / "state"))
    place.paths.create_state()

    async def greet(stream: SocketStream) -> None:
        async with stream:
            await stream.send(b"hello")

    async with local_socket.listening(place) as (listener, _), anyio.create_task_group() as tasks:
        tasks.start_soon(local_socket.accept_clients, listener, greet, tasks)
        await anyio.wait_all_tasks_blocked()
        with socket.socket(socket.AF_UNIX) as client, anyio.fail_after(60):
            client.setblocking(False)
            with no_free_file():
                client.connect(str(place.socket_file))
                while "no client can come in" not in caplog.text:
                    await anyio.sleep(0.01)
            await anyio.wait_readable(client)
            assert client.recv(5) == b"hello"
        tasks.cancel_scope.cancel()


# -- message streams, in virtual time


class Silent(ByteReceiveStream):
    """A client that says nothing."""

    async def receive(self, max_bytes: int = 65536) -> bytes:
        await anyio.sleep_forever()
        raise AssertionError

    async def aclose(self) -> None: ...


class Chunks(ByteReceiveStream):
    def __init__(self, *chunks: bytes) -> None:
        self._chunks = list(chunks)

    async def receive(self, max_bytes: int = 65536) -> bytes:
        await anyio.lowlevel.checkpoint()
        if not self._chunks:
            raise anyio.EndOfStream
        return self._chunks.pop(0)

    async def aclose(self) -> None: ...


class Sink(ByteSendStream):
    def __init__(self, *, takes: bool = True) -> None:
        self.takes = takes
        self.received = b""

    async def send(self, item: bytes) -> None:
        await anyio.lowlevel.checkpoint()
        if not self.takes:
            await anyio.sleep_forever()
        self.received += item

    async def aclose(self) -> None: ...


def notification(text: str) -> SessionMessage:
    return SessionMessage(JSONRPCNotification(jsonrpc="2.0", method="notifications/message", params={"text": text}))


@pytest.mark.anyio
async def test_messages_pass_in_order_and_bad_lines_are_answered() -> None:
    lines = [json.dumps({"jsonrpc": "2.0", "id": key, "method": "ping"}).encode() + b"\n" for key in range(3)]
    bad = [
        b"nonsense",
        b"[" * 100_000,
        b'{"jsonrpc":"2.0","id":7}',
        b'{"jsonrpc":"2.0","id":8,"method":"a","params":"x"}',
        b'{"jsonrpc":"2.0","id":9,"method":"a","params":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"jsonrpc":"2.0","method":"a","params":{"a":"\xff"},"id":"ten"}',
        b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":null,"method":"ping"}',
        b'[{"jsonrpc":"2.0","id":11,"method":"ping"},{"jsonrpc":"2.0","id":"x","method":"ping"}]',
    ]
    whole = b"".join(lines) + b"\n\n".join((*bad, lines[0].rstrip()))
    sink = Sink()
    async with message_streams(Chunks(whole[:20], whole[20:75], whole[75:]), sink, head=b"") as (incoming, outgoing):
        got = [item async for item in incoming]
        await outgoing.send(notification("one"))
        await outgoing.send(notification("two"))
        await outgoing.aclose()
        await outgoing.drained.wait()
    assert [getattr(item.message, "id", None) for item in got if isinstance(item, SessionMessage)] == [0, 1, 2, 0]
    assert [type(item).__name__ for item in got if not isinstance(item, SessionMessage)] == [
        *["ValidationError"] * 6, "ValueError", "ValueError", "ValidationError",
    ]  # fmt: skip
    answers = [json.loads(line) for line in sink.received.splitlines()]
    assert [(each["id"], each["error"]["code"]) for each in answers if "error" in each] == [
        (None, -32700), (None, -32700), (7, -32600), (8, -32602), (9, -32700), ("ten", -32700), (None, -32602),
        (None, -32602), (11, -32600), ("x", -32600),
    ]  # fmt: skip
    assert [each["params"]["text"] for each in answers if "params" in each] == ["one", "two"]


@pytest.mark.anyio
@pytest.mark.virtual
async def test_a_client_that_takes_nothing_is_dropped_and_never_waited_for() -> None:
    began = anyio.current_time()

    async def broadcast() -> None:
        async with message_streams(Silent(), Sink(takes=False)) as (_, outgoing):
            for _ in range(1000):
                await outgoing.send(notification("news"))
            assert anyio.current_time() == began
            await anyio.sleep_forever()

    with pytest.raises(ExceptionGroup) as dropped:
        await broadcast()
    assert "took nothing for 30 s" in str(dropped.value.exceptions[0])
    assert anyio.current_time() - began == pytest.approx(SLOW_CLIENT_TIMEOUT, abs=1)


@pytest.mark.anyio
@pytest.mark.virtual
async def test_a_client_that_lets_too_much_wait_is_dropped() -> None:
    chunk = "x" * (BACKLOG_LIMIT // 4)
    accepted = 0

    async def broadcast() -> None:
        nonlocal accepted
        async with message_streams(Silent(), Sink(takes=False)) as (_, outgoing):
            while True:
                await outgoing.send(notification(chunk))
                accepted += 1

    with pytest.raises((ExceptionGroup, anyio.BrokenResourceError)):
        await broadcast()
    assert accepted <= 6


class SlowSink(Sink):
    async def send(self, item: bytes) -> None:
        await anyio.sleep(SLOW_CLIENT_TIMEOUT / 2)
        await super().send(item)


@pytest.mark.anyio
@pytest.mark.virtual
async def test_a_client_that_sends_what_is_refused_and_takes_the_answers_slowly_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ostler.faces.daemon.streams.BACKLOG_LIMIT", 1_000_000)
    batch = b"[" + b",".join([b'{"id":1}'] * 1000) + b"]\n"
    with pytest.raises(ExceptionGroup) as dropped:
        async with message_streams(Chunks(*[batch] * 12), SlowSink()) as (incoming, outgoing):
            async for _ in incoming:
                pass
            await outgoing.aclose()
            await outgoing.drained.wait()
    assert "bytes wait for it" in str(dropped.value.exceptions[0])


@pytest.mark.realtime
def test_over_stdio_every_request_with_an_id_has_an_answer(place: ServerPlace) -> None:
    with BridgeClient(scripted("bridge", place)) as client:
        client.initialize()
        client.write(b'[{"jsonrpc":"2.0","id":499},{}]\n[{"jsonrpc":"2.0","id":500}\n{"jsonrpc":"2.0","id":501}\n')
        assert "batches" in client.answer(499)["error"]["message"]
        assert client.answer(500)["error"]["code"] == -32700
        client.write(b'{"jsonrpc":"2.0","id":502,"method":"tools/call","params":"text"}\n')
        client.write(b'{"jsonrpc":"2.0","id":503,"method":"tools/call","params":{"name":7}}\n')
        client.write(b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":["x"]}}\n')
        assert client.answer(501)["error"]["code"] == -32600
        assert client.answer(502)["error"]["code"] == -32602
        assert client.answer(503)["error"]["code"] == -32602
        assert client.call("pid")


@pytest.mark.anyio
@pytest.mark.realtime
async def test_a_client_that_comes_while_its_server_is_loaded_counts_and_hears_of_the_end() -> None:
    loaded = anyio.Event()

    def server_for(_toolset: str, _principal: Principal) -> Any:
        pytest.fail("it is not loaded")

    async def dashboard() -> str:
        pytest.fail("no one looks at it")

    hosted = Hosted(server_for, lambda: False, idle_exit=None, shutdown_timeout=1, prepare=loaded.wait)
    reception = Reception(hosted, version="1", secret="", may_hand_over=False, end=pytest.fail, dashboard=dashboard)
    ours, theirs = socket.socketpair()
    async with await UNIXSocketStream.from_socket(ours) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(reception.receive, await UNIXSocketStream.from_socket(theirs))
        await client.send(greeting.encode_line("hello", client="bridge"))
        assert b"welcome" in await client.receive()
        await anyio.wait_all_tasks_blocked()
        assert reception.clients == 1
        reception.close("handover")
        await reception.dismiss()
        assert await client.receive() == greeting.encode_line("bye", reason="handover")


@pytest.mark.anyio
@pytest.mark.realtime
async def test_a_module_that_is_being_imported_is_waited_for_without_holding_up_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, goes_on = threading.Event(), threading.Event()
    monkeypatch.setattr(threading, "slow_import", (begun, goes_on), raising=False)
    (tmp_path / "slow_to_import.py").write_text(
        "import threading\nbegun, goes_on = threading.slow_import\nbegun.set()\ngoes_on.wait(60)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    imported: list[bool] = []

    async def load() -> None:
        await import_beside("slow_to_import")
        imported.append("slow_to_import" in sys.modules)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(load)
        await anyio.to_thread.run_sync(begun.wait)
        tasks.start_soon(load)
        await anyio.wait_all_tasks_blocked()
        assert imported == [], "a second client does not go on with half of it, nor block the loop"
        goes_on.set()
    assert imported == [True, True]
    await import_beside("slow_to_import")
    del sys.modules["slow_to_import"]
