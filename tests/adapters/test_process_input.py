"""Text that is sent to the input of a process: by a pipe, by a terminal, by the next server, and refused."""

import os
from pathlib import Path

import pytest
from tests.support.processes import nothing_left as nothing_left  # noqa: PLC0414 (a fixture, found by its name)
from tests.support.processes import process_server, start_arguments

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.realtime,
    pytest.mark.usefixtures("nothing_left"),
    pytest.mark.skipif(os.name != "posix", reason="there are no keepers on Windows"),
]

ECHO = "import sys\nprint('your name?')\nfor line in sys.stdin: print('hello', line.strip())"


async def test_a_program_gets_what_is_sent_also_from_the_next_server(state_dir: Path) -> None:
    root = state_dir / "p"
    async with process_server(root) as server:
        await server.start("echo", ECHO, startSeconds=0)
    async with process_server(root) as server:
        assert await server.call("input", key="echo", text="Ann") == {"key": "echo", "sent": 4}
        await server.until_logged("echo", "hello Ann")
        await server.call("input", key="echo", text="B", enter=False)
        await server.call("input", key="echo", text="ob")
        await server.until_logged("echo", "hello Bob")
        await server.call("stop", key="echo")
        assert "was ended by SIGTERM: nothing reads its input" in await server.fail("input", key="echo", text="x")
        assert not list(root.glob("endings/*.in"))


async def test_a_terminal_gets_enter_and_control_characters(state_dir: Path) -> None:
    script = "print('?'); print('got', repr(input()))\ntry: input()\nexcept EOFError: print('the end')\ninput()"
    async with process_server(state_dir / "p") as server:
        await server.start("tty", script, stdin="tty", ready={"log": r"\?"})
        await server.call("input", key="tty", text="yes")
        await server.until_logged("tty", "got 'yes'")
        await server.call("input", key="tty", text="\u0004", enter=False)
        await server.until_logged("tty", "the end")
        await server.call("input", key="tty", text="\u0003", enter=False)
        ended = await server.until("tty", lambda answer: answer["state"] == "exited")
        assert ended["signal"] == "SIGINT"


async def test_what_ends_without_a_terminal_is_to_be_given_one(state_dir: Path) -> None:
    async with process_server(state_dir / "p") as server:
        for said in ("stdin is not a terminal", "the input device is not a TTY", "Raw mode is not supported on it"):
            script = f"import sys\nif not sys.stdin.isatty(): sys.exit({said!r})\nprint('asks'); input()"
            text = await server.fail("start", **start_arguments("asks", script, ready={"log": "asks"}))
            assert "Next: give it a terminal: terminal true of its class, or stdin tty of process/start; " in text
        await server.start("asks", script, ready={"log": "asks"}, stdin="tty")
        await server.call("stop", key="asks")


async def test_what_no_one_would_read_is_refused_with_the_reason(state_dir: Path) -> None:
    async with process_server(state_dir / "p") as server:
        assert "process 'none' not found" in await server.fail("input", key="none", text="x")
        await server.start("null", "import time; time.sleep(300)", stdin="null", startSeconds=0)
        assert "has no input: it was started with stdin null" in await server.fail("input", key="null", text="x")
        closing = "import os, time; os.close(0); print('closed'); time.sleep(300)"
        await server.start("closed", closing, ready={"log": "closed"})
        assert "has closed its input" in await server.fail("input", key="closed", text="x")
        assert "nothing to send" in await server.fail("input", key="closed", enter=False)
        for key in ("null", "closed"):
            await server.call("stop", key=key)
