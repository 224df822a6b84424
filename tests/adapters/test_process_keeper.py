"""What the keeper of each program is for: an input that stays open, exit codes that outlive the server, daemons."""

import errno
import marshal
import os
import resource
import shutil
import signal
import subprocess
import sys
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
from tests.adapters.test_process_adoption import start_and_kill_the_server
from tests.support.processes import MARK, process_server, start_arguments
from tests.support.processes import nothing_left as nothing_left  # noqa: PLC0414 (a fixture, found by its name)

import ostler
from ostler.adapters.environments import start_trouble
from ostler.adapters.process import known_process, readiness
from ostler.adapters.process.keeper_boot import keeper_code, keeper_command
from ostler.adapters.process.launch import Launch
from ostler.adapters.process.trees import is_gone
from ostler.model.errors import StoreError

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.realtime,
    pytest.mark.usefixtures("nothing_left"),
    pytest.mark.skipif(os.name != "posix", reason="there are no keepers on Windows"),
]

CODE = keeper_code()
WATCHER = "import sys; print('watching'); sys.stdin.read(); print('my input has ended')"


async def test_the_input_stays_open_also_over_the_death_of_the_server(state_dir: Path) -> None:
    root = state_dir / "p"
    [started] = start_and_kill_the_server(root, start_arguments("css", WATCHER, ready={"log": "watching"}))
    async with process_server(root) as server:
        assert (await server.call("status", key="css"))["pid"] == started["pid"]
        await server.until_logged("css", "watching")
        await anyio.sleep(0.3)  # long enough for a watcher that reads an ended input
        assert (await server.call("status", key="css"))["state"] == "running"
        assert (await server.call("stop", key="css"))["signal"] == "SIGTERM"


def test_a_keeper_without_an_order_ends_silently() -> None:
    done = subprocess.run(keeper_command(CODE, "none"), input=CODE, capture_output=True, check=True, timeout=30)
    assert (done.stdout, done.stderr) == (b"", b"")


START_AFTER_AN_UPDATE = """
import os, sys
from pathlib import Path
from ostler.adapters.process import keeper, launch

assert Path(keeper.__file__).is_relative_to(sys.argv[1])
Path(keeper.__file__).write_text("raise SystemExit('a keeper of another version')")
with open("log", "ab") as log:
    told = dict(log=log, log_limit=1 << 20, key="k", token="t", owner="o", endings=Path("endings"), intend=print)
    done = launch.Launch(("/bin/echo", "hi"), Path.cwd(), dict(os.environ), "echo").spawn(**told)
done.child.wait()
print(Path("log").read_text())
"""


def test_a_server_starts_programs_although_its_files_were_replaced_by_an_update(tmp_path: Path) -> None:
    shutil.copytree(Path(ostler.__file__).parent, tmp_path / "src" / "ostler")
    command = [sys.executable, "-c", START_AFTER_AN_UPDATE, str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "src")}
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.stdout.split(), done.stderr) == (["hi"], "")


@pytest.mark.parametrize("is_written", [True, False])
def test_a_keeper_boots_while_the_intent_is_written_and_runs_nothing_before(tmp_path: Path, is_written: bool) -> None:
    made = tmp_path / "made"
    launch = Launch(("/bin/mkdir", str(made)), tmp_path, {MARK: os.environ[MARK]}, "mkdir")
    keepers: list[psutil.Process] = []

    def intend() -> None:
        for child in psutil.Process().children():
            with suppress(psutil.Error):  # one of an earlier test has ended
                keepers.extend([child] if child.cmdline()[-1:] == ["intended"] else [])
        assert not made.exists()
        if not is_written:
            raise StoreError("the disk is full")

    with (tmp_path / "log").open("ab") as log, nullcontext() if is_written else pytest.raises(StoreError):
        spawned = launch.spawn(
            log,
            1 << 20,
            key="intended",
            token="t",
            owner="o",
            endings=tmp_path / "e",
            intend=intend,
        )
        spawned.child.wait(30)
    [keeper] = keepers
    assert is_gone(keeper)
    assert made.exists() == is_written
    assert (tmp_path / "log").read_bytes() == b""


async def test_a_server_with_many_open_files_starts_programs_and_leaves_no_zombie(state_dir: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    many = 1100  # select takes none above 1023
    before = set(psutil.Process().children())
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * many), hard))
    files = [os.open(os.devnull, os.O_RDONLY) for _ in range(many)]
    try:
        async with process_server(state_dir / "p") as server:
            # The keeper stays a moment longer than the program, for what that has left.
            job = await server.call("start", key="job", command="sleep 0.2 &", shell=True, endsWithin="30s")
            assert job["exitCode"] == 0
            with anyio.fail_after(40):
                while set(psutil.Process().children()) - before:
                    await anyio.sleep(0.02)
    finally:
        for file in files:
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_input_and_output_may_be_nothing_or_a_terminal(state_dir: Path) -> None:
    script = "import os, sys; print([os.isatty(n) for n in (0, 1, 2)]); print(repr(sys.stdin.read(5)))"
    async with process_server(state_dir / "p") as server:
        await server.start("none", script, stdin="null")
        await server.until_logged("none", "''")
        await server.start("tty", "import os; print([os.isatty(n) for n in (0, 1, 2)]); open('/dev/tty')", stdin="tty")
        ended = await server.until("tty", lambda answer: answer["state"] == "exited")
        assert ended["exitCode"] == 0
        assert (await server.call("logs", key="tty"))["lines"] == ["[True, True, True]"]


async def test_what_python_prints_is_in_the_log_at_once(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    words = ["-S", "-c", "import time; print('ready'); time.sleep(300)"]
    async with process_server(state_dir / "p") as server:
        await server.start("app", command="{python}", args=words, ready={"log": "^ready$", "timeout": 20})
        await server.call("stop", key="app")


@pytest.mark.parametrize(("ending", "wanted"), [("sys.exit(7)", (7, None)), ("os.abort()", (None, "SIGABRT"))])
async def test_an_exit_while_no_one_looked_is_known(
    state_dir: Path, ending: str, wanted: tuple[int | None, str | None]
) -> None:
    root = state_dir / "p"
    flag = state_dir / "go"
    script = f"import os, sys, time\nwhile not os.path.exists({str(flag)!r}): time.sleep(0.01)\n{ending}"
    [started] = start_and_kill_the_server(root, start_arguments("job", script))
    process = psutil.Process(started["pid"])
    flag.touch()
    process.wait(20)
    async with process_server(root) as server:
        status = await server.call("status", key="job")
        assert (status["state"], status["adopted"]) == ("exited", True)
        assert (status.get("exitCode"), status.get("signal")) == wanted


@pytest.mark.parametrize(
    ("script", "said"),
    [("raise SystemExit('DATABASE_URL is missing')", "DATABASE_URL is missing"), ("print('done')", "'completed'")],
)
async def test_what_ends_at_once_was_not_started(state_dir: Path, script: str, said: str) -> None:
    async with process_server(state_dir / "p") as server:
        text = await server.fail("start", **start_arguments("app", script, startSeconds=10))
        assert "after its start" in text
        assert said in text


async def test_without_a_time_of_its_own_a_short_job_is_no_failure(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "START_SECONDS", 60.0)
    arguments = {"key": "job", "command": "true", "cwd": "/"}
    async with process_server(state_dir / "p") as server:
        answer = await server.call("start", **arguments)
        assert (answer["state"], answer["exitCode"]) == ("exited", 0)
        assert "exited with code 1" in await server.fail("start", **{**arguments, "command": "false"})


DAEMON = """
import os, sys, time
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
os.environ.clear()
os.execve(sys.executable, [sys.executable, '-S', '-c', 'import time; time.sleep(300)'], {})
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has subreapers")
def test_a_python_without_the_short_way_to_the_system_adopts_what_a_program_leaves_as_well() -> None:
    script = (
        "import _ctypes; del _ctypes.call_function\n"
        "from ostler.adapters.process import keeper; keeper._adopt_descendants()\n"
        "import ctypes; is_set = ctypes.c_int(); ctypes.CDLL(None).prctl(37, ctypes.byref(is_set)); print(is_set.value)"
    )
    assert subprocess.check_output([sys.executable, "-c", script], text=True) == "1\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has subreapers")
async def test_a_program_that_goes_into_the_background_is_followed_and_stopped(state_dir: Path) -> None:
    """It has another session, another parent, and nothing of ours in its environment; its server dies at once."""
    root = state_dir / "p"
    says_so = DAEMON.replace("import time; ", 'import time; print("up", flush=True); ')
    [started] = start_and_kill_the_server(root, start_arguments("daemon", says_so, ready={"log": "up"}))
    assert started["state"] == "running"
    daemon = psutil.Process(started["pid"])
    assert "time.sleep(300)" in daemon.cmdline()[-1]
    async with process_server(root) as server:
        assert (await server.call("status", key="daemon"))["state"] == "running"
        assert (await server.call("stop", key="daemon"))["pids"] == [daemon.pid]
        assert not daemon.is_running()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has subreapers")
@pytest.mark.parametrize(
    "waits", [{"startSeconds": 10}, {"ready": {"tcp": "{port}"}, "port": 0}], ids=["seconds", "ready"]
)
async def test_one_that_ends_there_silently_is_to_run_in_the_foreground(
    state_dir: Path, waits: dict[str, object]
) -> None:
    """As Redis, memcached and sshd, which end with 0 and look at their port later."""
    script = DAEMON.replace("import time; time.sleep(300)", "raise SystemExit(1)")
    async with process_server(state_dir / "p") as server:
        text = await server.fail("start", **start_arguments("daemon", script, **waits))
        assert "run it in the foreground" in text


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has subreapers")
async def test_one_that_goes_there_after_its_start_has_been_answered_is_followed_too(state_dir: Path) -> None:
    go = state_dir / "go"
    waits = f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)\n"
    async with process_server(state_dir / "p") as server:
        started = await server.start("late", f"{waits}{DAEMON}", startSeconds=0.05)
        go.touch()
        followed = await server.until("late", lambda answer: answer["pid"] != started["pid"])
        assert followed["state"] == "running"
        await server.call("stop", key="late")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has subreapers")
async def test_a_helper_that_awaited_work_left_is_not_the_work(state_dir: Path) -> None:
    """As builds leave compilers running for the next one."""
    async with process_server(state_dir / "p") as server:
        assert (await server.start("build", DAEMON, startSeconds=None, endsWithin="20s"))["exitCode"] == 0
        assert len((await server.call("stop", key="build"))["pids"]) == 1


HELPED = """
import os, socket, sys, time
listener = socket.create_server(('127.0.0.1', 0))
reading, writing = os.pipe()
if os.fork() == 0:
    os.setsid()
    for number in (0, 1, 2): os.dup2(os.open(os.devnull, os.O_RDWR), number)
    os.write(writing, b'1')
    time.sleep(300)
os.read(reading, 1)
print('BOOT FAILED: eaddrinuse', flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has subreapers")
@pytest.mark.parametrize("ready", [{"tcp": "{port}"}, {"log": "completed"}], ids=["tcp", "log"])
async def test_a_helper_that_a_failed_start_left_is_not_the_program(state_dir: Path, ready: dict[str, str]) -> None:
    """As RabbitMQ: its boot fails with status 0, and epmd, which it started, is left."""
    async with process_server(state_dir / "p") as server:
        text = await server.fail("start", **start_arguments("mq", HELPED, port=0, ready={**ready, "timeout": "1m"}))
        assert "process 'mq' exited with code 0 before it was ready" in text
        assert "BOOT FAILED" in text


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has subreapers")
async def test_what_a_killed_program_left_is_ended_by_its_next_start(state_dir: Path) -> None:
    script = f"import subprocess, time\nsubprocess.Popen([{sys.executable!r}, '-S', '-c', {DAEMON!r}]).wait()\n"
    script += "print('up'); time.sleep(300)"
    async with process_server(state_dir / "p") as server:
        first = await server.start("db", script, ready={"log": "up"})
        [worker] = [
            child
            for child in psutil.Process(psutil.Process(first["pid"]).ppid()).children(recursive=True)
            if "".join(child.cmdline()[-1:]).removeprefix("import time; ") == "time.sleep(300)"
        ]
        os.kill(first["pid"], signal.SIGKILL)
        await server.until("db", lambda answer: answer["state"] == "exited")
        assert worker.is_running()
        await server.start("db", script, ready={"log": "up"})
        assert not worker.is_running()
        await server.call("stop", key="db")


STRANGE_CHILD = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    os.execve(sys.executable, [sys.executable, '-S', '-c', 'import time; time.sleep(300)'], {MARK: os.environ[MARK]})
print('up', flush=True)
time.sleep(300)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no keeper that adopts")
async def test_what_is_left_when_the_keeper_is_killed_too_is_ended_before_the_next_start(state_dir: Path) -> None:
    script = STRANGE_CHILD.replace("MARK", repr(MARK))
    root = state_dir / "p"
    async with process_server(root) as server:
        started = await server.start("db", script, ready={"log": "^up$"})
        main = psutil.Process(started["pid"])
        keeper = main.parent()
        [child] = main.children()
        assert keeper is not None
        with anyio.fail_after(30):
            while f"[{child.pid}," not in "".join(path.read_text() for path in root.glob("records/*.json")):
                await anyio.sleep(0.05)
        keeper.kill()
        main.kill()
        await server.until("db", lambda answer: answer["state"] == "exited")
        assert not is_gone(child)
        await server.start("db", script, ready={"log": "^up$"})
        assert is_gone(child)
        await server.call("stop", key="db")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no keeper that adopts")
async def test_an_ending_that_is_written_between_two_looks_is_known(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = known_process._ending  # pyright: ignore[reportPrivateUsage]
    keepers: list[int] = []

    def just_before(endings: Any, pid: int) -> Any:
        if not keepers:
            return look(endings, pid)
        with suppress(psutil.NoSuchProcess):
            psutil.wait_procs([psutil.Process(keepers.pop())], timeout=60)
        return None

    async with process_server(state_dir / "p") as server:
        started = await server.start("job", "import time; time.sleep(300)")
        keepers.append(psutil.Process(started["pid"]).ppid())
        monkeypatch.setattr(known_process, "_ending", just_before)
        assert (await server.call("stop", key="job"))["signal"] == "SIGTERM"


TWO_ENDINGS = """
import os, signal, sys
from ostler.adapters.process.keeper import _Endings

def child(code):
    taken, given = os.pipe()
    if (pid := os.fork()) == 0:
        os.close(given)
        os.read(taken, 1)
        os._exit(code)
    os.close(taken)
    return pid, given

def end(pid, given):
    os.close(given)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

def write(descriptor, data, at, pwrite=os.pwrite):
    pwrite(descriptor, data, at)
    if others:
        end(*others.pop())  # its signal comes here

second, first = child(4), child(3)
others, endings = [second], _Endings(sys.argv[1])
endings.main_pid, os.pwrite = first[0], write
end(*first)
signal.signal(signal.SIGCHLD, endings.reap_all)
endings.reap_all(signal.SIGCHLD, None)
print(first[0], 3, second[0], 4)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no keeper that adopts")
def test_an_ending_that_comes_while_another_is_written_replaces_none(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TWO_ENDINGS, str(tmp_path / "endings")]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    written = [" ".join(line.split()[:2]) for line in (tmp_path / "endings").read_text().splitlines() if line]
    assert " ".join(written) == done.stdout.strip()


@pytest.mark.parametrize("stdin", ["pipe", "tty", "null"])
def test_a_keeper_that_is_at_a_limit_says_which(tmp_path: Path, stdin: str) -> None:
    places = {name: str(tmp_path / name) for name in ("endings", "input", "output", "log")}
    program = {"argv": ["/bin/true"], "cwd": "/", "env": {}, "stdin": stdin, "uid": None}
    order = {**program, **places, "logMaxBytes": 1 << 20}

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (4, 4))

    command = keeper_command(CODE, "one")
    ended = subprocess.run(
        command, input=CODE + marshal.dumps(order), capture_output=True, preexec_fn=limit, timeout=60
    )
    assert (ended.stdout, ended.stderr) == (b"errno %d" % errno.EMFILE, b"")
    assert not (tmp_path / "input").exists()
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize(
    ("number", "words"), [(errno.EAGAIN, "no more processes"), (errno.ENOMEM, "memory"), (errno.EMFILE, "ulimit -n")]
)
def test_a_limit_of_the_system_is_named_with_what_raises_it(number: int, words: str) -> None:
    why, step = start_trouble(number, "check the program")
    assert words in f"{why} {step}"
    assert os.strerror(number) in why
    assert start_trouble(errno.ENOEXEC, "check the program") == ("Exec format error", "check the program")
