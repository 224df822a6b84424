"""Ready means ours: a port, URL or log line counts only when the process itself, or one below it, listens there."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Generator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

import anyio
import psutil
import pytest
import trustme
from tests.support.processes import nothing_left as nothing_left  # noqa: PLC0414 (a fixture, found by its name)
from tests.support.processes import process_server, start_arguments

from ostler.adapters.process import confirmation, process_table
from ostler.adapters.process.adoption import birth_of
from ostler.adapters.process.known_process import Entry
from ostler.adapters.process.port_owners import Sockets, holders_of, listening_at
from ostler.adapters.process.process_table import (
    Work,
    below,
    bound_by,
    bound_sockets,
    connections_of,
    work_of,
)
from ostler.adapters.process.records import ProcessRecord

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.realtime,
    pytest.mark.usefixtures("nothing_left"),
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the holder of a port may not be seen"),
]

WORK = "all(iter(lambda: time.thread_time() < 0.6, False))"
"""More work than a process is watched for at least."""

SERVE_AT = """
import http.server, socket, sys
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
class Handler(http.server.BaseHTTPRequestHandler):
    failing = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    def do_GET(self):
        self.send_response(503 if Handler.failing else 200); self.end_headers()
        Handler.failing = max(0, Handler.failing - 1)
    def log_message(self, *a): pass
server = Server((sys.argv[1], int(sys.argv[2])), Handler)
print('serving', flush=True)
server.serve_forever()
"""


@pytest.fixture
def foreign_port() -> Generator[int]:
    """A port that this test process listens on and accepts at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def at(key: str, host: str, where: str, /, **arguments: object) -> dict[str, object]:
    return start_arguments(key, None, command="{python}", args=["-S", "-c", SERVE_AT, host, where], **arguments)


def test_sockets_and_children_are_found_as_the_system_s_tables_have_them() -> None:
    me = psutil.Process()
    with contextlib.ExitStack() as stack:
        for host, kind in (("127.0.0.1", "tcp"), ("::1", "tcp"), ("::ffff:127.0.0.1", "tcp"), ("127.0.0.1", "udp")):
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            one = stack.enter_context(socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM))
            one.bind((host, 0))
            if kind == "tcp":
                one.listen()
        with socket.create_server(("127.0.0.1", 0)) as mine, socket.create_connection(mine.getsockname()):
            found = bound_by(me, bound_sockets())
            assert len(found) >= 5
            assert Counter(found) == Counter(bound_by(me, None))
            open_ones = [one for one in me.net_connections(kind="tcp") if one.status == psutil.CONN_ESTABLISHED]
            assert Counter(connections_of([me.pid]) or ()) == Counter((one.laddr, one.raddr) for one in open_ones)
            assert open_ones
        words, pipe = ["/bin/sh", "-c", "cat; :"], subprocess.PIPE
        with subprocess.Popen(words, bufsize=0, stdin=pipe, stdout=pipe) as shell:
            assert shell.stdin is not None
            assert shell.stdout is not None
            shell.stdin.write(b"hello\n")
            assert shell.stdout.readline() == b"hello\n", "from the shell's child"
            assert {each.pid for each in below(me)} == {each.pid for each in me.children(recursive=True)} > {shell.pid}
            shell.stdin.close()


async def test_the_port_of_another_program_is_not_ready(state_dir: Path, foreign_port: int) -> None:
    async with process_server(state_dir / "p") as server:
        ready = {"tcp": foreign_port, "timeout": "1s"}
        text = await server.fail("start", **at("mine", "127.0.0.1", "0", ready=ready))
        me = psutil.Process()
        assert f"port {foreign_port} is held by {me.name()} (pid {me.pid})" in text
        await server.call("start", **at("mine", "127.0.0.1", "0", ready={**ready, "owner": "any"}))
        said = "the process listens on 127.0.0.1:"
        status = await server.until("mine", lambda answer: said in answer["detail"], ready={"tcp": foreign_port})
        assert not status["ready"]
        await server.call("stop", key="mine")


async def test_a_port_that_it_has_at_another_address_only_is_not_ready(
    state_dir: Path, foreign_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # as `ssh -L 8080:…` listens (OpenSSH 9.2): on ::1 alone where another program has 127.0.0.1
    async with process_server(state_dir / "p") as server:
        six = at("tunnel", "::1", str(foreign_port))
        me = psutil.Process()
        said = f"port {foreign_port} of 127.0.0.1 is held by {me.name()} (pid {me.pid}), and this process listens at"
        await server.call("start", **six, ready={"http": f"http://[::1]:{foreign_port}/"})
        assert said in (await server.call("status", key="tunnel", ready={"tcp": foreign_port}))["detail"]
        await server.call("stop", key="tunnel")
        look = Sockets.instead

        async def while_it_begins_to_listen(sockets: Sockets, host: str, port: int, found: Any) -> Any:
            seen = await look(sockets, host, port, found)
            with anyio.fail_after(60):
                while not any(one.host == "::1" for one in listening_at(port) or ()):
                    await anyio.sleep(0.01)
            return seen

        monkeypatch.setattr(Sockets, "instead", while_it_begins_to_listen)
        text = await server.fail("start", **six, ready={"tcp": foreign_port, "timeout": "1s"})
        assert f"was not ready within 1 s: port {foreign_port} " in text


async def test_the_holder_is_named_with_its_service(state_dir: Path) -> None:
    async with process_server(state_dir / "p") as server:
        first = await server.call("start", **at("site", "127.0.0.1", "{port}", port=0, ready={"tcp": "{port}"}))
        port = first["port"]
        text = await server.fail("start", **at("other", "127.0.0.1", "{port}", port=port))
        assert f"(pid {first['pid']}, service 'site')" in text
        text = await server.fail("start", **at("other", "127.0.0.1", "0", ready={"tcp": port, "timeout": "0.5s"}))
        assert f"(pid {first['pid']}, service 'site')" in text
        await server.call("stop", key="site")


async def test_the_holder_is_the_topmost_process_that_has_the_socket(state_dir: Path) -> None:
    script = (
        "import os, socket, sys, time\nsocket_ = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
        "for _ in range(3): os.fork()\ntime.sleep(300)"
    )
    forking = start_arguments("site", None, command="{python}", args=["-S", "-c", script, "{port}"], port=0)
    async with process_server(state_dir / "p") as server:
        first = await server.call("start", **{**forking, "ready": {"tcp": "{port}"}})
        text = await server.fail("start", **at("other", "127.0.0.1", "{port}", port=first["port"]))
        name = psutil.Process(first["pid"]).name()
        assert f"it is held by {name} (pid {first['pid']}, service 'site'). Next: " in text
        assert text.index("use service 'site', which listens there") < text.index("choose another port")
        text = await server.fail("start", **at("web.fix.shop", "127.0.0.1", "{port}", port=first["port"]))
        assert text.endswith(
            "give port 0 for any free one; or use service 'site', which listens there, if you mean its code"
        )
        os.kill(first["pid"], signal.SIGKILL)
        ended = await server.until("site", lambda answer: answer["state"] == "exited")
        assert f" and 6 more on port {first['port']} (the next start or stop ends what is left)" in ended["detail"]
        await server.call("stop", key="site")


ONLY_OVER_6 = [
    {"http": "http://127.0.0.1:{port}/"}, {"http": "http://localhost:{port}/"}, {"tcp": "{port}"}, {"log": "serving"},
]  # fmt: skip


@pytest.mark.parametrize("ready", ONLY_OVER_6, ids=["address", "localhost", "tcp", "log"])
async def test_a_server_on_the_ipv6_loopback_alone_is_ready_and_its_address_is_right(
    state_dir: Path, ready: dict[str, str]
) -> None:
    await serve_over_6(state_dir / "p", ready)


async def serve_over_6(root: Path, ready: dict[str, str]) -> None:
    async with process_server(root) as server:
        answer = await server.call("start", **at("vite", "::1", "{port}", port=0, ready=ready))
        assert answer["address"] == f"[::1]:{answer['port']}"
        status = await server.call("status", key="vite", ready={"http": "http://127.0.0.1:{port}/"})
        assert status["ready"], status["detail"]
        await server.call("stop", key="vite")


async def test_a_server_of_both_families_that_answers_late_keeps_its_usual_address(state_dir: Path) -> None:
    ready = {"http": "http://127.0.0.1:{port}/"}
    async with process_server(state_dir / "p") as server:
        arguments = at("next", "::", "{port}", port=0, ready=ready)
        arguments["args"] = [*cast("list[str]", arguments["args"]), "1"]
        answer = await server.call("start", **arguments)
        assert answer["address"] == f"127.0.0.1:{answer['port']}"
        await server.call("stop", key="next")


async def test_it_is_also_right_where_localhost_means_ipv6(state_dir: Path, tmp_path: Path) -> None:
    """As on Debian, Fedora and macOS, made so by a hosts file of its own in a mount namespace."""
    (tmp_path / "hosts").write_text("::1 localhost\n127.0.0.1 localhost\n")
    mounting = f'mount --bind {tmp_path}/hosts /etc/hosts && "$0" "$@"'
    inside = ["unshare", "--map-root-user", "--mount", "sh", "-c", mounting]
    if shutil.which("unshare") is None or (await anyio.run_process([*inside, "true"], check=False)).returncode:
        pytest.skip("this system makes no mount namespace")
    same = "import anyio, pathlib, sys; from tests.adapters import test_process_ownership as here; "
    same += "anyio.run(here.serve_over_6, pathlib.Path(sys.argv[1]), here.ONLY_OVER_6[1])"
    words = [*inside, sys.executable, "-c", same, str(state_dir / "p")]
    played = await anyio.run_process(words, check=False, cwd=Path(__file__).parents[2])
    assert played.returncode == 0, played.stderr.decode()


async def test_a_port_at_which_nothing_listens_yet_is_seen_without_a_look_at_the_processes(state_dir: Path) -> None:
    async with process_server(state_dir / "p") as server:
        ready = {"tcp": "{port}", "timeout": 0.3}
        text = await server.fail(
            "start", **start_arguments("late", "import time; time.sleep(300)", port=0, ready=ready)
        )
        assert "refuses connections" in text


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::"])
async def test_a_port_that_serves_one_client_is_left_to_it(state_dir: Path, host: str) -> None:
    # as `dlv --headless` (1.27.2) and `debugpy --wait-for-client` (1.8.22) do: who connects first is their client
    script = f"""
import socket, sys, time
family = socket.AF_INET{"6" if ":" in host else ""}
door = socket.create_server(({host!r}, int(sys.argv[1])), family=family, dualstack_ipv6={host == "::"})
client, _ = door.accept()
door.close(); client.sendall(b'yours'); time.sleep(300)
"""
    asked: dict[str, Any] = {"command": "{python}", "args": ["-S", "-c", script, "{port}"], "port": 0}
    ready = {"tcp": "{port}", "timeout": "10s"}
    async with process_server(state_dir / "p") as server:
        started = await server.start("debugger", **asked, ready=ready)
        assert (await server.call("status", key="debugger", ready=ready))["ready"]
        async with await anyio.connect_tcp("127.0.0.1" if host == "::" else host, started["port"]) as client:
            assert await client.receive() == b"yours"
        assert not (await server.call("status", key="debugger", ready=ready))["ready"]
        await server.call("stop", key="debugger")


async def test_a_server_that_ignores_its_port_is_found_where_it_is(state_dir: Path) -> None:
    async with process_server(state_dir / "p") as server:
        ready = {"http": "http://127.0.0.1:{port}/"}
        answer = await server.call("start", **at("dev", "127.0.0.1", "0", port=0, ready=ready))
        with socket.create_connection(("127.0.0.1", answer["port"]), timeout=60):
            pass
        assert answer["askedPort"] != answer["port"]
        status = await server.call("status", key="dev", ready=ready)
        assert (status["ready"], status["address"]) == (True, f"127.0.0.1:{answer['port']}")
        assert f"answered 200; it does not listen on port {answer['askedPort']}, which it was given" in status["detail"]
        await server.call("stop", key="dev")


async def test_a_log_line_is_believed_when_the_port_listens_and_the_process_lives_on(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = r"import socket, sys, time; sys.stdout.write(f'ready at port {sys.argv[1]}\n'); time.sleep(0.7)" "\n"
    late += "s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); time.sleep(300)"
    async with process_server(state_dir / "p") as server:
        words = ["-S", "-c", late, "{port}"]
        answer = await server.start("workers", command="{python}", args=words, port=0, ready={"log": "ready"})
        with socket.create_connection(("127.0.0.1", answer["port"]), timeout=60):
            pass
        await server.call("stop", key="workers")
        words[-1] = str(answer["port"])  # now only the line itself says which port it is
        await server.start("workers", command="{python}", args=words, ready={"log": "ready"})
        with socket.create_connection(("127.0.0.1", answer["port"]), timeout=60):
            pass
        await server.call("stop", key="workers")
        pauses = "[time.sleep(0.02) for _ in range(10)]"
        gone = start_arguments("next", f"print('Ready'); import time; {pauses}; raise SystemExit(1)")
        gone.pop("startSeconds")
        monkeypatch.setattr(confirmation, "SETTLE_SECONDS", 60.0)
        monkeypatch.setattr(confirmation, "LONGEST_SETTLE_SECONDS", 60.0)
        assert "exited with code 1" in await server.fail("start", **{**gone, "ready": {"log": "Ready"}})


@pytest.mark.parametrize(("after", "becomes"), [("time.sleep(300)", "running"), (f"{WORK}; sys.exit(3)", "exited")])
async def test_after_its_log_line_a_process_is_watched_for_as_long_as_it_works(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch, after: str, becomes: str
) -> None:
    monkeypatch.setattr(confirmation, "SETTLE_SHARE", 1e6)
    monkeypatch.setattr(confirmation, "LONGEST_SETTLE_SECONDS", 600.0)
    if becomes == "running":  # one that only waits has nothing more to show
        monkeypatch.setattr(confirmation, "SETTLE_SECONDS", 600.0)
    started = start_arguments("next", f"import sys, time; print('Ready', flush=True); {after}")
    started.pop("startSeconds")
    async with process_server(state_dir / "p") as server:
        if becomes == "running":
            with anyio.fail_after(60):
                await server.start(**started, ready={"log": "Ready"})
            await server.call("stop", key="next")
        else:
            said = await server.fail("start", **started, ready={"log": "Ready"})
            assert "exited with code 3 before it was ready" in said


async def test_a_socket_over_udp_is_no_port_and_is_named(state_dir: Path) -> None:
    asks = (
        "import socket, sys, time; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('127.0.0.1', int(sys.argv[2])))"
    )
    asks += "\nprint('ready', flush=True); time.sleep(2.5)"
    asks += "\nif sys.argv[2] == '0': t = socket.create_server(('127.0.0.1', int(sys.argv[1])))\ntime.sleep(300)"
    async with process_server(state_dir / "p") as server:
        words = ["-S", "-c", asks, "{port}", "0"]
        answer = await server.start("seeks", command="{python}", args=words, port=0, ready={"log": "ready"})
        assert "askedPort" not in answer
        await server.call("stop", key="seeks")
        words[-1] = "{port}"
        await server.start("udp", command="{python}", args=words, port=0, ready={"log": "ready"})
        status = await server.call("status", key="udp", ready={"tcp": "{port}"})
        assert not status["ready"]
        assert "; the process has UDP port " in status["detail"]
        await server.call("stop", key="udp")


async def test_who_holds_the_port_of_what_ended_well_is_named(state_dir: Path, foreign_port: int) -> None:
    async with process_server(state_dir / "p") as server:
        text = await server.fail("start", **start_arguments("tmux", "pass", ready={"tcp": foreign_port}))
        assert f"exited with code 0 before it was ready, and port {foreign_port} is held by" in text
        assert "Next: run it in the foreground" in text
        trouble = "print('Error: cannot connect to the database.')"
        text = await server.fail("start", **start_arguments("dies", trouble, ready={"tcp": 1}))
        assert "Next: fix the command; run it in the foreground" in text
        assert "ready: Error: cannot connect to the database. Next: fix" in text, "one full stop ends it"
        said = f"Error: listen EADDRINUSE: address already in use :::{foreign_port}"
        with socket.create_server(("127.0.0.1", 0)) as other:  # a port that the time of a line looks like
            timed = f"10:20:05,{other.getsockname()[1]} {said}"
            dies = start_arguments("dies", f"raise SystemExit('{timed}')", ready={"tcp": 1})
            text = await server.fail("start", **dies)
        assert f"before it was ready: {timed} (port {foreign_port} is held by python" in text
        waits = f"print('{said}'); import time; time.sleep(100)"  # as tsx watch and nodemon do
        ready = {"tcp": 1, "timeout": "700ms"}
        text = await server.fail("start", **start_arguments("stays", waits, ready=ready))
        assert f"; it said: {said} (port {foreign_port} is held by python" in text
        for asked in ({"startSeconds": "9s"}, {"endsWithin": "9s"}, {"port": 0, "startSeconds": "9s"}):
            words = ["-S", "-c", f"raise SystemExit('{said}')"]
            text = await server.fail("start", key="dies", cwd=str(state_dir), command="{python}", args=words, **asked)
            assert f": {said} (port {foreign_port} is held by python" in text, "whatever its start waits for"
            is_given = "let it listen on the port that it is given, as the variable PORT" in text
            assert is_given is ("port" in asked)
            assert "class dev-server, or port 0 of process/start" in text or is_given


async def test_a_program_that_lacks_its_database_is_to_get_it_first(state_dir: Path, foreign_port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        free = probe.getsockname()[1]
    lacking = f"nothing listens on port {free} here"
    cases = {
        f"Error 111 connecting to localhost:{free}. Connection refused.": True,
        f"Error: connect ECONNREFUSED 127.0.0.1:{free}": True,
        f"Error: connect ECONNREFUSED 127.0.0.1:{foreign_port}": False,
        f"Error: connect ECONNREFUSED 10.0.0.9:{free}": False,
    }
    async with process_server(state_dir / "p") as server:
        for said, is_lacking in cases.items():
            words = ["-S", "-c", f"raise SystemExit('{said}')"]
            text = await server.fail(
                "start", key="api", cwd=str(state_dir), command="{python}", args=words, startSeconds="9s"
            )
            assert (lacking in text) is is_lacking, text
            first = f"Next: start what it needs on port {free} and name that in dependsOn, or fix the command"
            assert (first in text) is is_lacking, text


@pytest.mark.parametrize(("port", "service_class"), [(5432, "postgresql"), (6379, "redis")])
async def test_what_a_shipped_class_runs_is_named_where_it_is_missing(
    state_dir: Path, port: int, service_class: str
) -> None:
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            pytest.skip(f"something listens on port {port}")
    said = f"Error 111 connecting to localhost:{port}. Connection refused."
    async with process_server(state_dir / "p") as server:
        words = ["-S", "-c", f"raise SystemExit('{said}')"]
        text = await server.fail(
            "start", key="api", cwd=str(state_dir), command="{python}", args=words, startSeconds="9s"
        )
    step = f"(class {service_class}; env passes on its outputs.connectionString) and name that in dependsOn"
    assert f"start what it needs on port {port} {step}" in text


@pytest.mark.parametrize(("counted", "turns"), [("900 800 7", 7), ("0 0 0", None), (None, None)])
def test_turns_that_the_kernel_does_not_count_are_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counted: str | None, turns: int | None
) -> None:
    """Without accounting, some kernels have no such file, and others one of zeros, which would look like idleness."""
    thread = tmp_path / "5" / "task" / "5"
    thread.mkdir(parents=True)
    (thread / "stat").write_text(f"5 (web) S 1 {' '.join(['3'] * 40)}\n")
    if counted is not None:
        (thread / "schedstat").write_text(f"{counted}\n")
    monkeypatch.setattr(process_table, "_PROC", str(tmp_path))
    assert work_of([5]) == Work(6, turns)


async def test_an_address_that_lacks_an_s_is_said_to(state_dir: Path, tmp_path: Path) -> None:
    serve = "import socket, ssl, sys\nc = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); c.load_cert_chain(sys.argv[2])\n"
    serve += "s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); print('on', flush=True)"
    serve += "\nwhile True:\n t = s.accept()[0]\n try:\n"
    serve += "  t = c.wrap_socket(t, server_side=True)\n except OSError: pass\n t.close()"
    pem = tmp_path / "own.pem"
    trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(pem)
    async with process_server(state_dir / "p") as server:
        words = ["-S", "-c", serve, "{port}", str(pem)]
        await server.start("tls", command="{python}", args=words, port=0, ready={"log": "on"})
        status = await server.call("status", key="tls", ready={"http": "http://127.0.0.1:{port}/"})
        assert "it speaks TLS there, so its address begins with https://" in status["detail"]
        await server.call("stop", key="tls")


async def test_a_shared_port_is_not_its_own(state_dir: Path) -> None:
    script = "import socket, sys, time; s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)\n"
    script += "s.bind(('127.0.0.1', int(sys.argv[1]))); s.listen(); print('on :' + sys.argv[1], flush=True)\n"
    script += "time.sleep(300)"
    with socket.socket() as mine:
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        mine.bind(("127.0.0.1", 0))
        mine.listen()
        port = mine.getsockname()[1]
        async with process_server(state_dir / "p") as server:
            words = ["-S", "-c", script, port]
            asked: dict[str, object] = {"key": "granian", "cwd": "/", "command": "{python}", "args": words}
            silent = [*words[:2], script.replace("'on :' + sys.argv[1]", "'serving'"), port]  # as caddy does

            async def refused(text: str, **more: object) -> None:
                assert text in await server.fail("start", **{**asked, **more})

            async with anyio.create_task_group() as tasks:
                said = f"port {port}, where it says that it listens, is shared with"
                tasks.start_soon(partial(refused, said, ready={"log": "on :", "timeout": "4s"}))
                said = f"the log line was found, but port {port}, on which it listens, is shared with"
                more: dict[str, object] = {"key": "caddy", "args": silent, "ready": {"log": "serving", "timeout": "4s"}}
                tasks.start_soon(partial(refused, said, **more))
                said = f"port {port} is shared with"
                tasks.start_soon(partial(refused, said, key="plain", ready={"tcp": port, "timeout": "4s"}))
            ready = {"log": "serving", "owner": "any"}
            assert (await server.call("start", **{**asked, "args": silent}, ready=ready))["state"] == "running"
            await server.call("stop", key="granian")


async def test_another_address_of_the_same_port_is_not_shared(state_dir: Path) -> None:
    script = "import socket, sys, time; s = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
    script += "print('serving', flush=True); time.sleep(300)"
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as mine:
        port = mine.getsockname()[1]
        async with process_server(state_dir / "p") as server:
            asked = {"key": "web", "cwd": "/", "command": "{python}", "args": ["-S", "-c", script, port]}
            for ready in ({"tcp": port}, {"log": "serving"}):
                assert (await server.call("start", **asked, ready=ready))["state"] == "running"
                await server.call("stop", key="web")


async def test_a_program_may_be_the_probe(state_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").touch()
    (tmp_path / "check").write_text("#!/bin/sh\ntest -f here\n")
    (tmp_path / "check").chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path))
    script = "import os, sys; print('cannot connect'); sys.exit(0 if os.environ.get('MARK') == 'yes' else 3)"
    async with process_server(state_dir / "p") as server:
        arguments = {"key": "db", "command": "sleep 300", "cwd": str(tmp_path), "port": 0}
        ready = {"exec": ["test", "-f", "here"], "timeout": "5s"}
        text = await server.fail("start", **{**arguments, "ready": {"exec": ["test", "-f", "absent"], "timeout": "1s"}})
        assert "ended with 1" in text
        await server.call("start", **{**arguments, "env": {"MARK": "yes"}, "ready": ready})
        assert (await server.call("status", key="db", ready={"exec": [sys.executable, "-S", "-c", script]}))["ready"]
        slow = await server.call("status", key="db", ready={"exec": ["sleep", "60"], "timeout": "0.2s"})
        assert (slow["ready"], "did not end in 0.2 s" in slow["detail"]) == (False, True)
        for path in ("./check", "~/check", "check"):
            found = await server.call("status", key="db", ready={"exec": [path]})
            assert (found["ready"], "command not found" in found["detail"]) == (path != "check", path == "check")
        # as ssh's master connection does, which holds the output that it was given
        ready = {"exec": ["sh", "-c", "echo well; sleep 60 & echo $! > left"], "timeout": "50s"}
        found = await server.call("status", key="db", ready=ready)
        assert found["detail"].endswith("ended with 0: well")
        os.kill(int((tmp_path / "left").read_text()), signal.SIGKILL)
        await server.call("stop", key="db")


@pytest.mark.parametrize(
    "command",
    [
        "A=1 sleep 1", "cd / && sleep 1", "cd /", "sleep 1 || true", "export A=1", "$HOME/x", "echo bad >&2; exit 3",
        "echo x | cat", "echo x >f", "echo x 2>&1", "sleep 1; echo x", "sleep 1 &",
    ],
)  # fmt: skip
async def test_what_needs_a_shell_is_told_so(state_dir: Path, command: str) -> None:
    async with process_server(state_dir / "p") as server:
        text = await server.fail("start", key="x", cwd="/", command=command)
        assert "set shell: true" in text


async def test_signs_of_the_shell_that_are_quoted_or_part_of_a_word_are_arguments(state_dir: Path) -> None:
    line = """echo '|' "a;" -exec {} \\; ; http://x/?a=1&b=2 "a && b" a>=1 it\\'s"""
    async with process_server(state_dir / "p") as server:
        await server.call("start", key="x", cwd="/", command=line)
        await server.until("x", lambda answer: answer["state"] == "exited")
        assert (await server.call("logs", key="x"))["lines"] == ["| a; -exec {} ; ; http://x/?a=1&b=2 a && b a>=1 it's"]


def test_a_process_that_has_the_pid_of_an_ended_keeper_is_not_taken_for_the_service(tmp_path: Path) -> None:
    birth: Any = birth_of(os.getpid())
    with subprocess.Popen(["sleep", "60"]) as program, socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        own: Any = birth_of(program.pid)
        for keeper, key in ((birth, "web"), ({**birth, "created": 1.0, "since_boot": 1.0}, "")):
            record = ProcessRecord(
                key="web", token="t" * 16, digest="", command="sleep", started_at=datetime.now(UTC),
                stop_signal="SIGTERM", stop_timeout=1, log_max_bytes=1 << 20, host="127.0.0.1", cwd="/",
                pid=program.pid, **own,
                keeper=os.getpid(), keeper_created=keeper["created"], keeper_since_boot=keeper["since_boot"],
            )  # fmt: skip
            entry = Entry(record, tmp_path / "endings", process=psutil.Process(program.pid))
            [holder] = holders_of(port, [entry])
            assert (holder.pid, holder.key) == (os.getpid(), key)
        program.kill()


TAKES = """
import os, socket, sys, time
socket_ = socket.socket(socket.AF_UNIX)
if os.path.exists(sys.argv[1]): os.unlink(sys.argv[1])
socket_.bind(sys.argv[1]); socket_.listen()
if os.fork(): print('on', flush=True)
time.sleep(300)
"""


async def test_a_unix_socket_that_is_taken_over_is_named_with_whose_it_was(state_dir: Path, tmp_path: Path) -> None:
    path, other = str(tmp_path / "app.sock"), str(tmp_path / "other.sock")
    async with process_server(state_dir / "p") as server:

        async def start(key: str, at: str) -> Any:
            return await server.start(
                key, args=["-S", "-u", "-c", TAKES, at], command="{python}", ready={"log": "^on$"}
            )

        assert "warning" not in await start("first", path)
        assert "warning" not in await start("apart", other)
        assert (await start("second", path))["warning"] == (
            f"it has taken over the Unix socket {path} of service 'first', whose clients reach it now. "
            "Next: give one of them another path"
        )
        await server.call("stop", key="first")
        await server.call("stop", key="second")
        assert "warning" not in await start("second", path)
        for key in ("apart", "second"):
            await server.call("stop", key=key)
