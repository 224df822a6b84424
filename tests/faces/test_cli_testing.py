"""`ostler test`: reports, exit statuses, and that it needs no server."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from tests.support.world import BASIC

from ostler.faces.cli.app import run_command
from ostler.faces.cli.session import ExitStatus

TESTS = """\
apiVersion: ostler/v1
kind: ServiceClassTest
serviceClass: basic
tests:
- name: is created <without> start
  steps: [{do: create, start: false, calls: [], expect: {state: stopped}}]
- name: is wrong about it
  steps: [{do: create, start: false, expect: {state: running}}]
"""


class Command:
    """`ostler test` over a folder of its own."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.classes = folder / "config" / "serviceclasses"
        self.classes.mkdir(parents=True)
        (self.classes / "basic.yaml").write_text(BASIC)
        self.file = self.classes / "basic.test.yaml"
        self.state = folder / "state"
        self._folders = ["--config", str(folder / "config"), "--state", str(self.state)]
        self._capsys = capsys
        self.out = self.err = ""

    def run(self, *arguments: str) -> int:
        status = run_command([*self._folders, "test", *arguments])
        self.out, self.err = self._capsys.readouterr()
        return status


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(tmp_path, capsys)


def test_without_arguments_all_of_the_user_s_run_without_a_server(command: Command) -> None:
    assert command.run() == ExitStatus.NOT_FOUND
    assert "no class tests" in command.err
    command.file.write_text(TESTS)
    assert command.run() == ExitStatus.FAILED
    assert command.out.splitlines() == [
        "ok    basic: is created <without> start",
        "FAIL  basic: is wrong about it",
        f"      {command.file}:8:54: step 1 (create): expected state running, got stopped",
        "1 passed, 1 failed",
    ]
    assert command.run("basic", "-k", "without") == ExitStatus.OK
    assert command.out.endswith("1 passed, 0 failed\n")
    assert not command.state.exists()


def test_what_is_not_there_is_told(command: Command) -> None:
    assert command.run(str(command.classes / "basic.yaml")) == ExitStatus.NOT_FOUND
    assert f"{str(command.file)!r} not found. Next: write it" in command.err
    command.file.write_text(TESTS)
    assert command.run("bassic") == ExitStatus.NOT_FOUND
    assert "did you mean 'basic'?" in command.err
    assert command.run("-k", "nothing like it") == ExitStatus.NOT_FOUND
    assert command.run("--format", "xml") == ExitStatus.USAGE


def test_json_has_every_fact(command: Command) -> None:
    command.file.write_text(TESTS)
    assert command.run("--format", "json") == ExitStatus.FAILED
    facts = json.loads(command.out)
    assert (facts["passed"], facts["failed"], facts["findings"]) == (1, 1, [])
    failed = facts["tests"][1]
    assert failed["line"] == 7
    assert failed["failures"][0]["path"] == "tests[1].steps[0].expect.state"
    command.file.write_text(TESTS.replace("steps", "stepps"))
    assert command.run("--format", "json") == ExitStatus.FAILED
    assert {finding["rule"] for finding in json.loads(command.out)["findings"]} == {"unknown-key", "missing-key"}


def test_junit_is_what_ci_reads(command: Command) -> None:
    command.file.write_text(TESTS)
    assert command.run("--format", "junit") == ExitStatus.FAILED
    root = ET.fromstring(command.out.encode())
    [suite] = root
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")
    good, bad = suite
    assert (good.get("classname"), good.get("name")) == ("basic", "is created <without> start")
    failure = bad.find("failure")
    assert failure is not None
    assert "expected state running, got stopped" in str(failure.get("message"))
    command.file.write_text("a: [")
    assert command.run("--format", "junit") == ExitStatus.FAILED
    error = ET.fromstring(command.out.encode()).find("testsuite/testcase/error")
    assert error is not None
    assert "not YAML" in str(error.get("message"))


def test_the_schema_is_printed(command: Command) -> None:
    assert command.run("--schema") == ExitStatus.OK
    assert json.loads(command.out)["title"] == "Ostler ServiceClassTest"
