"""Tests of classes run on the real engine: what passes, what fails and how that is told, and what time is."""

from pathlib import Path
from textwrap import dedent

import anyio
import pytest
from tests.support.world import BASIC

from ostler.adapters.testing.discovery import TestedFile, find_test_files, run_test_file
from ostler.adapters.testing.virtual_time import run_in_virtual_time
from ostler.model.errors import NotFoundError

HEAD = "apiVersion: ostler/v1\nkind: ServiceClassTest\nserviceClass: basic\nservice: one\n"
STARTED = """
      - {tool: w/start, args: {name: one, size: 1, password: ""}, answer: {id: r1}}
      - {tool: w/status, args: {name: one}, answer: {state: running}}
      - {tool: w/health, args: {name: one}, answer: {ok: true}}
"""
"""The calls of a start that goes well."""

LIVELY = """
answers:
  w/start: {answer: {id: r1}}
  w/status: {answer: {state: running}}
  w/health: {answer: {ok: true}}
  w/stop: {answer: {stopped: true}}
"""
"""Answers with which everything goes well."""


class Folder:
    """A folder with the class `basic` and its tests."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "basic.yaml").write_text(BASIC)

    def run(self, steps: str, more: str = "") -> TestedFile:
        tests = self.path / "basic.test.yaml"
        body = dedent(steps).strip("\n").replace("\n", "\n    ")
        tests.write_text(f"{HEAD}{more}tests:\n- name: it\n  steps:\n    {body}\n")
        tested = run_test_file(tests)
        assert tested.findings == (), tested.findings
        return tested

    def failures(self, steps: str, more: str = "") -> str:
        """Return what is reported of a test that must fail."""
        [result] = self.run(steps, more).results
        assert not result.passed
        return "\n".join(str(failure) for failure in result.failures).replace(f"{self.path}/", "")

    def passes(self, steps: str, more: str = "") -> float:
        """Require that the test passes; return the virtual seconds that it took."""
        [result] = self.run(steps, more).results
        assert result.passed, "\n".join(map(str, result.failures))
        return result.seconds


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_calls_outputs_state_and_health_are_compared(folder: Folder) -> None:
    folder.passes(f"""
    - do: create
      calls: {STARTED}
      expect: {{state: running, health: healthy, outputs: {{url: ledger://r1/1}}, message: one was created}}
    - do: delete
      calls: [{{tool: w/stop, args: {{id: r1}}}}]
      expect: {{exists: false}}
    """)


@pytest.mark.parametrize(
    ("calls", "said"),
    [
        ("[]", ["basic.test.yaml:9:14: step 1 (create): w/start was called where no call was expected", "+ w/start"]),
        ("[{tool: w/stop}]", ["w/start was called where w/stop was expected", "- w/stop: expected, not made"]),
        (
            '[{tool: w/start, args: {name: one, size: "1"}, answer: {id: r1}}, {tool: w/status, repeated: true}]',
            ['args.size: expected "1", got 1', 'args.password: "" was not expected', "! w/start: args differ"],
        ),
        (
            "[{tool: w/start, argsInclude: {size: 1, colour: red}, answer: {id: r1}}]",
            ['args.colour: expected "red", but it is not there'],
        ),
        (
            "[{tool: w/start, answer: {id: r1}}, {tool: w/status, times: 3, answer: {state: running}}]",
            ["w/status was expected 1 more time, but was not called", "w/health was called where w/status"],
        ),
        ("[{tool: w/start, answer: {}}]", ["w/find was called where no call", "the step failed: ", "start"]),
    ],
)
def test_calls_that_differ_are_told_with_their_place(folder: Folder, calls: str, said: list[str]) -> None:
    text = folder.failures(f"""
    - do: create
      calls: {calls}
    """)
    for part in said:
        assert part in text


@pytest.mark.parametrize(
    ("expect", "said"),
    [
        ("state: stopped", "9:22: step 1 (create): expected state stopped, got running"),
        ("health: unhealthy", "expected health unhealthy, got healthy"),
        ("reachability: unreachable", "expected reachability unreachable, got reachable"),
        ("reason: crash-loop", "expected reason crash-loop, got "),
        ("restarts: 1", "expected restarts 1, got 0"),
        ("outputs: {}", 'outputs.url: "ledger://r1/1" was not expected'),
        ("outputs: {url: 5}", 'outputs.url: expected 5, got "ledger://r1/1"'),
        ("outputsInclude: {port: 5}", "outputs.port: expected 5, but it is not there"),
        ("exists: false", "service 'one' still exists"),
        ("error: no luck", "expected an error, but it succeeded: service one was created"),
        ("message: deleted", "the message has no 'deleted': service one was created and is running"),
        ("within: 1s", "it took 2s501ms, longer than 1s"),
        ("events: [starting -> running, stopped -> starting]", "no event (any more) has 'stopped -> starting'"),
    ],
)
def test_expectations_that_fail_are_told_with_their_place(folder: Folder, expect: str, said: str) -> None:
    slow = LIVELY.replace("w/start: {answer: {id: r1}}", "w/start: {answer: {id: r1}, after: 2500ms}")
    text = folder.failures(f"- do: create\n  expect: {{{expect}}}\n", slow)
    assert said.replace("9:22", "15:23") in text


def test_a_step_that_fails_ends_the_test_unless_its_error_is_expected(folder: Folder) -> None:
    steps = """
    - do: create
      calls: [{tool: w/start, fails: no room}, {tool: w/find, answer: {found: false}}]
      expect: {error: [no room, was not created], exists: false}
    - do: create
    """
    folder.passes(steps, LIVELY)
    text = folder.failures(steps.replace("no room, was", "no bed, was"), LIVELY)
    assert "the error has no 'no bed': start tool failed: no room" in text
    assert "step 2" not in text
    assert "step 1 (create) failed: arg validation failed" in folder.failures(
        "- {do: create, args: {size: 0}, calls: []}"
    )


def test_a_missing_answer_is_told(folder: Folder) -> None:
    text = folder.failures("- do: create\n")
    assert "8:7: step 1 (create): w/start was called, and the test has no answer for it" in text


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("error: timeout", "did not answer within"),
        ("error: lost", "the connection ended"),
        ("error: unavailable", "is not connected"),
        ("error: rejected", "the server refused"),
        ("fails: broke", "start tool failed: broke"),
        ("content: [{type: text, text: broke}], isError: true", "start tool failed: broke"),
        ("answer: {id: r1}, after: 10m", "did not answer within"),
    ],
)
def test_every_kind_of_fault_can_be_scripted(folder: Folder, answer: str, error: str) -> None:
    faults = LIVELY.replace(
        "w/start: {answer: {id: r1}}", f"w/start: {{{answer}}}\n  w/find: {{answer: {{found: false}}}}"
    )
    stays = str(error == "did not answer within").lower()  # what may still act is looked for
    folder.passes(f"- do: create\n  expect: {{error: '{error}', exists: {stays}}}\n", faults)


def test_content_and_structured_answers_are_what_servers_send(folder: Folder) -> None:
    content = "[{type: text, text: made}]"
    answers = LIVELY.replace("{answer: {id: r1}}", f"{{content: {content}, structured: {{id: r7}}}}")
    folder.passes("- do: create\n  expect: {outputs: {url: ledger://r7/1}}\n", answers)


def test_time_is_virtual_and_exact(folder: Folder) -> None:
    seconds = folder.passes(
        """
    - {do: create, expect: {health: healthy}}
    - do: wait
      for: 1h
      calls: [{tool: w/health, times: 360, answer: {ok: true}}]
    """,
        LIVELY,
    )
    assert 3600 <= seconds < 3601


def test_health_is_judged_by_the_engine_s_own_thresholds(folder: Folder) -> None:
    answers = LIVELY.replace(
        "w/health: {answer: {ok: true}}", "w/health: [{answer: {ok: true}}, {answer: {ok: false}}]"
    )
    folder.passes(
        """
    - {do: create, expect: {health: healthy}}
    - {do: wait, for: 20s, expect: {health: healthy}}
    - {do: check, expect: {health: unhealthy, state: running}}
    """,
        answers,
    )


def test_a_restarted_ostler_verifies_before_it_claims(folder: Folder) -> None:
    folder.passes(
        """
    - {do: create}
    - do: reopen
      calls: [{tool: w/status, args: {name: one}, answer: {state: running}}, {tool: w/health, repeated: true}]
      expect: {state: running, outputs: {url: ledger://r1/1}}
    - do: reopen
      calls: [{tool: w/status, error: unavailable}]
      expect: {state: unreachable}
    - do: reopen
      calls: [{tool: w/status, answer: {state: absent}}]
      expect: {state: stopped}
    """,
        LIVELY,
    )


DEPENDENT = """
apiVersion: ostler/v1
kind: ServiceClass
metadata: {name: app}
spec:
  serviceConfig:
    dependencies:
      - {name: db, condition: healthy}
      - {serviceClassName: basic, create: true, alias: made, args: {size: 3}}
    lifecycleTools:
      start:
        tool: a/start
        args:
          db: "{{ dependencies.db.outputs.url }}"
          made: "{{ dependencies.made.outputs.url }}"
          mode: "{{ env.MODE }}"
      stop: {tool: a/stop}
"""


def test_dependencies_are_stand_ins_or_real_classes(folder: Folder) -> None:
    (folder.path / "app.yaml").write_text(DEPENDENT)
    tests = folder.path / "app.test.yaml"
    tests.write_text(
        HEAD.replace("basic", "app")
        + LIVELY
        + "env: {MODE: trial}\nservices:\n- {name: db, outputs: {url: 'pg://1'}}\n"
        + "tests:\n- name: it\n  steps:\n  - do: create\n"
        + "    calls:\n    - {tool: w/start, argsInclude: {size: 3}}\n    - {tool: w/status}\n"
        + "    - {tool: w/health, repeated: true}\n"
        + "    - {tool: a/start, args: {db: 'pg://1', made: 'ledger://r1/3', mode: trial}}\n"
        + "    - {tool: w/health, repeated: true}\n"
        + "- name: waits\n  services: [{name: db, state: completed}]\n  steps:\n  - do: create\n    start: false\n"
    )
    tested = run_test_file(tests)
    failures = [str(failure) for result in tested.results for failure in result.failures]
    assert tested.passed, (tested.findings, failures)


def test_a_class_that_is_broken_or_absent_is_told(folder: Folder) -> None:
    tests = folder.path / "basic.test.yaml"
    tests.write_text(HEAD.replace("basic", "basik") + "tests: [{name: it, steps: [{do: create}]}]\n")
    [finding] = run_test_file(tests).findings
    assert (finding.line, finding.rule) == (3, "unknown-class")
    assert "did you mean 'basic'?" in finding.message
    tests.write_text(HEAD + "tests: [{name: it, steps: [{do: create}]}]\n")
    (folder.path / "basic.yaml").write_text(BASIC.replace("lifecycleTools", "lifecicleTools"))
    findings = run_test_file(tests).findings
    assert any("did you mean 'lifecycleTools'?" in str(finding) for finding in findings)
    [finding] = run_test_file(folder.path / "absent.test.yaml").findings
    assert finding.rule == "unreadable"


def test_files_are_found_by_file_class_and_folder(
    folder: Folder, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.run("- {do: create, start: false}")
    tests, elsewhere = folder.path / "basic.test.yaml", tmp_path_factory.mktemp("elsewhere")
    for wanted in (str(tests), str(folder.path / "basic.yaml"), str(folder.path)):
        assert find_test_files([wanted], elsewhere) == [tests]
    assert find_test_files(["basic", str(tests)], folder.path) == [tests]
    assert find_test_files([], folder.path) == [tests]
    (elsewhere / "command").mkdir()
    monkeypatch.chdir(elsewhere)  # a project has a folder of the same name
    assert [file.name for file in find_test_files(["command"], elsewhere)] == ["command.test.yaml"]
    for wanted, said in (
        ("comand", "did you mean 'command'?"),
        (str(elsewhere), "not found"),
        ("a/b.yaml", "not found"),
        ("~no-such-user/b", "not found"),
    ):
        with pytest.raises(NotFoundError, match="not found") as caught:
            find_test_files([wanted], elsewhere)
        assert said in str(caught.value)
    (elsewhere / "basic.yaml").write_text(BASIC)
    with pytest.raises(NotFoundError, match=r"basic\.test\.yaml"):
        find_test_files([str(elsewhere / "basic.yaml")], elsewhere)


def test_virtual_time_tells_a_wait_without_end() -> None:
    async def wait_for_nothing() -> None:
        await anyio.Event().wait()

    with pytest.raises(RuntimeError, match="waits forever"):
        run_in_virtual_time(wait_for_nothing)
