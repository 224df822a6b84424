"""The environment of the one who asks, through the real server: programs, servers and variables of mcp.json."""

import json
import os
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from processes.bridge_client import clean_place
from processes.command_line import CommandLine

from ostler.faces.cli.session import ExitStatus

pytestmark = pytest.mark.realtime


@pytest.fixture
def ostler(
    state_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Generator[CommandLine]:
    monkeypatch.setenv("HOME", str(state_dir))  # a login shell without a profile
    monkeypatch.setenv("SHELL", "/bin/sh")
    with clean_place(state_dir) as place:
        yield CommandLine(place, capsys)


def started(ostler: CommandLine, key: str) -> str:
    """Start a program that prints what it sees of SEEN, and return that."""
    arguments = ["command=printf 'seen=%s\\n' \"$SEEN\"; sleep 60", "shell=true", "readyLog=seen="]
    options = [part for argument in arguments for part in ("--arg", argument)]
    assert ostler.run("create", "command", key, *options) == ExitStatus.OK, ostler.err
    return last_seen(ostler, key)


def last_seen(ostler: CommandLine, key: str) -> str:
    assert ostler.run("logs", key) == ExitStatus.OK
    return next(line for line in reversed(ostler.out.splitlines()) if "seen=" in line).partition("seen=")[2]


def test_a_program_gets_the_variables_of_the_one_who_asks(ostler: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEN", "first")
    monkeypatch.setenv("VIRTUAL_ENV", sys.prefix)
    assert started(ostler, "one") == "first"  # which starts the server too
    monkeypatch.setenv("SEEN", "second")
    assert started(ostler, "two") == "second"
    monkeypatch.delenv("SEEN")
    assert started(ostler, "three") == ""
    assert ostler.run("restart", "one") == ExitStatus.OK
    assert last_seen(ostler, "one") == ""
    for key in ("one", "two", "three"):
        assert ostler.run("delete", key) == ExitStatus.OK


def test_a_server_s_program_and_variables_are_found_by_whoever_has_them(
    ostler: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = tmp_path / "bin" / "toolrunner"
    runner.parent.mkdir()
    server = Path(__file__).parent.parent / "support" / "canned_server.py"
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps({"tools/list": {"tools": []}}))
    runner.write_text(f"#!/bin/sh\nexec {sys.executable} {server} {answers}\n")
    runner.chmod(0o755)
    entry = {"command": "toolrunner", "args": [], "env": {"TOKEN": "${SURELY_NOT_SET}"}}
    ostler.place.paths.config_dir.mkdir(parents=True, exist_ok=True)
    ostler.place.paths.mcp_json.write_text(json.dumps({"mcpServers": {"tool": entry}}))
    full = os.environ["PATH"]
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert ostler.run("start", "tool") != ExitStatus.OK  # refused: the variable is not set
    monkeypatch.setenv("SURELY_NOT_SET", "a-token")
    assert ostler.run("start", "tool") == ExitStatus.FAILED
    assert "the PATH that was searched is '" in ostler.err
    monkeypatch.setenv("PATH", f"{runner.parent}{os.pathsep}{full}")
    assert ostler.run("start", "tool") == ExitStatus.OK, ostler.err
