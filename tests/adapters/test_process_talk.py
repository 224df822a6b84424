"""The process server's finer probes: a short talk over TCP, values taken from the log; and processes of other users."""

import os
import pwd
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.support.processes import nothing_left as nothing_left  # noqa: PLC0414 (a fixture, found by its name)
from tests.support.processes import process_server, start_arguments

from ostler.adapters.process.escapes import bytes_of

TALK = """
import socketserver, sys
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        line = self.rfile.readline()
        self.wfile.write(b'+PONG\\r\\n' if line == b'PING\\r\\n' else b'-ERR ' + line)
socketserver.TCPServer.allow_reuse_address = True
with socketserver.ThreadingTCPServer(('127.0.0.1', int(sys.argv[1])), Handler) as server:
    print('token is', flush=True, end='')
    print(f' {sys.argv[1]}-abc at http://x/', flush=True)
    server.serve_forever()
"""


def talker(key: str, **arguments: Any) -> dict[str, Any]:
    command: dict[str, Any] = {"command": "{python}", "args": ["-S", "-u", "-c", TALK, "{port}"], "port": 0}
    return start_arguments(key, **{**command, **arguments})


@pytest.mark.parametrize(
    ("text", "sent"),
    [(r"PING\r\n", b"PING\r\n"), (r"\x00\xff\\n\t", b"\x00\xff\\n\t"), ("ü", "ü".encode()), ("a\r\n", b"a\r\n")],
)
def test_what_is_sent_may_hold_escapes(text: str, sent: bytes) -> None:
    assert bytes_of(text) == sent


@pytest.mark.parametrize("text", [r"\q", "\\", r"\x1"])
def test_other_escapes_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="stands for nothing"):
        bytes_of(text)


@pytest.mark.anyio
@pytest.mark.realtime
@pytest.mark.usefixtures("nothing_left")
class TestServer:
    async def test_ready_is_what_answers_as_expected(self, state_dir: Path) -> None:
        async with process_server(state_dir / "p") as server:
            ready = {"tcp": "{port}", "send": r"PING\r\n", "answer": r"^\+PONG"}
            started = await server.call("start", **talker("t", ready=ready))
            assert started["state"] == "running"
            seen = await server.call("status", key="t", ready=ready)
            assert (seen["ready"], "answers as expected" in seen["detail"]) == (True, True)
            other = await server.call("status", key="t", ready={**ready, "send": r"QUIT\r\n"})
            assert other["ready"] is False
            assert "answered '-ERR QUIT\\r\\n', wanted" in other["detail"]
            await server.call("stop", key="t")

    async def test_a_hung_server_is_not_ready_although_it_accepts(self, state_dir: Path) -> None:
        async with process_server(state_dir / "p") as server:
            hung = TALK.replace("server.serve_forever()", "__import__('time').sleep(300)")
            started = talker("t", ready={"tcp": "{port}"})
            await server.call("start", **{**started, "args": ["-S", "-u", "-c", hung, "{port}"]})
            plain = await server.call("status", key="t", ready={"tcp": "{port}"})
            asked = await server.call(
                "status", key="t", ready={"tcp": "{port}", "send": r"PING\r\n", "answer": "PONG", "timeout": "300ms"}
            )
            assert (plain["ready"], asked["ready"]) == (True, False)
            assert "did not answer as expected in 0.3 s" in asked["detail"]
            await server.call("stop", key="t")

    async def test_a_talk_without_a_connection_or_without_a_wish_is_refused(self, state_dir: Path) -> None:
        async with process_server(state_dir / "p") as server:
            no_tcp = await server.fail("start", **talker("t", ready={"send": "x", "answer": "y"}))
            assert "give 'tcp' too" in no_tcp
            no_answer = await server.fail("start", **talker("t", ready={"tcp": "{port}", "send": "x"}))
            assert "'send' without 'answer'" in no_answer
            broken = await server.fail("start", **talker("t", ready={"tcp": "{port}", "answer": "("}))
            assert "is not a regular expression" in broken

    async def test_named_groups_of_the_log_pattern_are_told_and_kept(self, state_dir: Path) -> None:
        ready = {"log": r"token is (?P<token>\S+)( at (?P<url>http\S+))?(?P<never>x)?$", "tcp": "{port}"}
        async with process_server(state_dir / "p") as server:
            started = await server.call("start", **talker("t", ready=ready))
            wanted = {"token": f"{started['port']}-abc", "url": "http://x/"}
            assert started["matched"] == wanted
            again = await server.call("start", **talker("t", ready=ready))
            assert (again["alreadyRunning"], again["matched"]) == (True, wanted)
        async with process_server(state_dir / "p") as later:
            assert (await later.call("status", key="t"))["matched"] == wanted
            await later.call("stop", key="t")

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root may start processes as another user")
    async def test_root_runs_a_process_as_another_user(self, state_dir: Path) -> None:
        async with process_server(state_dir / "p") as server:
            shown = 'echo "as $(id -un) in $(pwd) home $HOME user $USER groups $(id -G)"; sleep 300'
            started = await server.call(
                "start", key="n", command=shown, shell=True, user="nobody", ready={"log": "^as "}
            )
            home = pwd.getpwnam("nobody").pw_dir
            folder = home if Path(home).is_dir() else "/"
            groups = " ".join(map(str, os.getgrouplist("nobody", pwd.getpwnam("nobody").pw_gid)))
            lines = (await server.call("logs", key="n"))["lines"]
            assert lines == [f"as nobody in {folder} home {home} user nobody groups {groups}"]
            assert psutil.Process(started["pid"]).username() == "nobody"
            refused = await server.fail("start", key="n", command=shown, shell=True)
            assert "already running with another command" in refused
            assert (await server.call("stop", key="n"))["killed"] is False
            other = next(each for each in pwd.getpwall() if each.pw_uid and Path(each.pw_dir).is_dir())
            await server.call("start", key="h", command="pwd", user=other.pw_name, cwd="~", endsWithin="30s")
            assert (await server.call("logs", key="h"))["lines"] == [str(Path(other.pw_dir).resolve())]

    async def test_a_program_that_refuses_root_is_not_started_as_root(self, state_dir: Path) -> None:
        arguments: dict[str, Any] = {"key": "n", "command": "sleep 300", "refusesRoot": "give it a user"}
        async with process_server(state_dir / "p") as server:
            for root in ({}, {"user": "root"}) if os.geteuid() == 0 else ():
                refused = await server.fail("start", **arguments, **root)
                assert "the program refuses to run as root, as it would here. Next: give it a user" in refused
                assert (await server.call("status", key="n"))["state"] == "not_found"
            await server.call("start", **arguments, **({"user": "nobody"} if os.geteuid() == 0 else {}))
            await server.call("stop", key="n")

    @pytest.mark.skipif(os.geteuid() != 0, reason="no program refuses another user")
    @pytest.mark.parametrize(
        ("said", "is_refusal"),
        [
            ("fatal exception: can not run elasticsearch as root", True),
            ('"root" execution of the PostgreSQL server is not permitted.', True),
            ("Running as root without --no-sandbox is not supported.", True),
            ("cannot use /srv as root folder", False),
        ],
    )
    async def test_what_says_that_it_does_not_run_as_root_is_to_run_as_another_user(
        self, state_dir: Path, said: str, is_refusal: bool
    ) -> None:
        async with process_server(state_dir / "p") as server:
            line = f"echo {shlex.quote(said)} >&2; exit 1"
            refused = await server.fail("start", key="n", command=line, shell=True, ready={"log": "never"})
            assert ("Next: run it as another user (runAs of its class, user of" in refused) is is_refusal
            assert ("fix the command" in refused) is not is_refusal

    async def test_a_user_that_cannot_be_is_named(self, state_dir: Path) -> None:
        async with process_server(state_dir / "p") as server:
            unknown = await server.fail("start", key="n", command="true", user="no-such-user-x")
            assert "this machine has no user 'no-such-user-x'" in unknown
            if os.geteuid() != 0:
                refused = await server.fail("start", key="n", command="true", user="root")
                assert "only root may start a process as another user" in refused
            own = pwd.getpwuid(os.geteuid()).pw_name
            assert (await server.call("start", key="n", command="sleep 300", user=own))["state"] == "running"
            await server.call("stop", key="n")


IGNORING = """
import os, signal, subprocess, sys
if len(sys.argv) == 1:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.execv(sys.executable, [sys.executable, __file__, "again"])
from ostler.adapters.process.inheritance import take_ignored_signals
started = 'import signal; print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)'
for _ in range(2):
    subprocess.run([sys.executable, "-S", "-c", started], check=True)
    print(take_ignored_signals(), flush=True)
os.kill(os.getpid(), signal.SIGINT)
print("still here")
"""


@pytest.mark.realtime
def test_a_server_in_the_background_of_a_shell_hands_no_ignored_signal_down(tmp_path: Path) -> None:
    script = tmp_path / "ignoring.py"
    script.write_text(IGNORING)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == ["True", "['SIGINT']", "False", "[]", "still here"]
