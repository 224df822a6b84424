"""Classes tried over one whole life: right ones pass and leave a test, wrong ones get the lines that correct them."""

import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest
import trio
from tests.support.world import Answer, Fail, Hang, World, manifest
from trio.testing import MockClock

from ostler.adapters.testing import tried_service
from ostler.adapters.testing.discovery import run_test_file
from ostler.adapters.testing.outside import accepts
from ostler.adapters.testing.trial import TrialOptions, try_class
from ostler.adapters.testing.trial_report import TrialReport
from ostler.model.class_tests import StandIn
from ostler.model.responses import ToolResponse
from ostler.rules.answers.responses import normalise
from ostler.rules.drafts.tool_traits import Tool

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]

TOOLS = [
    Tool("start", {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}),
    Tool("stop", {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}),
    Tool(
        "status",
        {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]},
        {"type": "object", "properties": {"state": {"type": "string", "enum": ["running", "absent"]}}},
        {"readOnlyHint": True},
        "Shows the state of one.",
    ),
]


class Talkative(World):
    """A world with a tool that shows the state in words."""

    async def call_tool(self, tool: str, args: Mapping[str, Any], **options: Any) -> ToolResponse:
        if tool != "w/words":
            return await super().call_tool(tool, args, **options)
        state = "running" if self.resources else "exited"
        return normalise([{"type": "text", "text": f"Process 12: Status: {state} (2s)"}])


BLIND: dict[str, Any] = {f"lifecycleTools__{step}": None for step in ("ready", "status", "healthCheck", "find")}
BLIND["healthCheck"] = None


async def tried(world: World, *, kills: bool = True, **changes: Any) -> TrialReport:
    """Try the class of the ledger with these changes; a kill empties the ledger."""

    async def kill(names: Mapping[str, object]) -> str:
        assert names["name"] == "try-it"
        world.resources.clear()
        return "the ledger was emptied"

    entry = manifest(**changes)
    options = TrialOptions("try-it", kill=kill if kills else None, tools=TOOLS)
    return await try_class(entry, [entry], {}, world, options)


def verdicts(report: TrialReport) -> dict[str, str]:
    return {step.name: step.verdict for step in report.steps}


def advised(report: TrialReport) -> dict[str, tuple[str, ...]]:
    return {each.path.removeprefix("spec.serviceConfig.lifecycleTools."): each.lines for each in report.advice}


async def test_a_right_class_lives_its_whole_life_and_leaves_a_test(tmp_path: Path) -> None:
    world = World(ready_after=3.0)
    report = await tried(world)
    assert [*verdicts(report).items()] == [
        (step, "ok")
        for step in ("created", "ready", "healthy", "looked at", "killed", "recovered", "stopped", "gone")
    ]  # fmt: skip
    assert report.passed
    assert world.resources == {}
    # the whole life is a test that passes without a server
    (tmp_path / "basic.yaml").write_text(manifest().text)
    file = tmp_path / "basic.test.yaml"
    file.write_text(report.test)
    tested = await anyio.to_thread.run_sync(run_test_file, file)
    assert tested.passed, [str(failure) for result in tested.results for failure in result.failures]
    assert [line.split()[-1] for line in report.test.splitlines() if "- do:" in line] == [
        "create", "check", "check", "start", "stop", "delete",
    ]  # fmt: skip


async def test_the_services_that_a_class_depends_on_are_in_its_test_without_their_secrets(tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "dependencies": [{"name": "db", "alias": "db"}],
        "outputs": {"at": "{{ dependencies.db.outputs.url }} {{ dependencies.db.outputs.key }}"},
    }
    outputs = {"url": "db:5432", "key": "s3cr3t-of-the-db"}
    needed = StandIn.model_validate({"name": "db", "serviceClassName": "database", "outputs": outputs})
    entry = manifest(**changes)
    options = TrialOptions("try-it", tools=TOOLS, services=[needed], secrets=frozenset((outputs["key"],)))
    report = await try_class(entry, [entry], {}, World(), options)
    assert report.passed
    assert "db:5432" in report.test
    assert outputs["key"] not in report.test
    (tmp_path / "basic.yaml").write_text(entry.text)
    file = tmp_path / "basic.test.yaml"
    file.write_text(report.test)
    tested = await anyio.to_thread.run_sync(run_test_file, file)
    assert tested.passed, [str(failure) for result in tested.results for failure in result.failures]


async def test_what_cannot_be_killed_here_is_said_and_no_fault() -> None:
    report = await tried(World(), kills=False)
    assert verdicts(report)["killed"] == "skipped"
    assert report.passed


async def test_a_status_without_an_expectation_gets_the_value_that_tells() -> None:
    status = {"tool": "w/status", "args": {"name": "{{ name }}"}}
    report = await tried(World(), lifecycleTools__status=status, lifecycleTools__healthCheck=None)
    assert verdicts(report)["killed"] == "failed"
    assert advised(report)["status.expect"] == ('expect: {jsonPath: {state: "running"}}',)
    assert report.test == ""


async def test_a_status_that_is_the_same_when_all_is_gone_gets_another_tool() -> None:
    world = World()
    world.always["w/echo"] = Answer({"answer": "service is fine"})
    status = {"tool": "w/echo", "args": {"name": "{{ name }}"}}
    report = await tried(
        world, lifecycleTools__status=status, lifecycleTools__healthCheck=None, lifecycleTools__find=None
    )
    assert {name: verdict for name, verdict in verdicts(report).items() if verdict != "ok"} == {
        "killed": "failed",
        "stopped": "failed",
        "gone": "failed",
    }
    assert advised(report)["status"] == (
        "status:",
        "  tool: w/status",
        '  args: {id: "{{ start.id }}"}',
        '  expect: {jsonPath: {state: "running"}}',
    )
    assert "the answer is the same for both" in report.advice[0].problem
    assert advised(report)["stop.goneWhen"] == ('goneWhen: {contains: "no resource"}',)
    assert world.resources == {}


async def test_prose_that_differs_gives_a_pattern() -> None:
    world = Talkative()
    status = {"tool": "w/words", "args": {"name": "{{ name }}"}}
    changes: dict[str, Any] = {"lifecycleTools__status": status, "lifecycleTools__healthCheck": None}
    report = await tried(world, kills=False, **changes)
    assert verdicts(report)["stopped"] == "ok"
    assert advised(report)["status.expect"] == (r"expect: {matches: '(?i)\bStatus: running\b'}",)


async def test_words_about_all_that_runs_are_no_expectation_of_one() -> None:
    status = {"tool": "w/words", "args": {"verbose": True}}
    report = await tried(Talkative(), kills=False, lifecycleTools__status=status, lifecycleTools__healthCheck=None)
    assert "its call names none" in report.advice[0].problem
    assert advised(report)["status"][:2] == ("status:", "  tool: w/status")


async def test_a_class_that_looks_at_nothing_gets_a_status() -> None:
    report = await tried(World(), **BLIND)
    assert verdicts(report)["healthy"] == "failed"
    assert advised(report)["status"][:2] == ("status:", "  tool: w/status")


async def test_a_wrong_word_for_running_is_corrected_by_the_answer() -> None:
    expect = {"jsonPath": {"state": "up"}}
    ready = {"tool": "w/status", "args": {"name": "{{ name }}"}, "expect": expect, "interval": "1s"}
    world = World()
    report = await tried(world, lifecycleTools__ready=ready)
    assert verdicts(report) == {"created": "failed"}
    assert advised(report)["ready.expect"] == ('expect: {jsonPath: {state: "running"}}',)
    assert world.resources == {}


async def test_an_output_is_found_where_the_answer_has_it() -> None:
    world = World()
    start = {
        "tool": "w/start",
        "args": {"name": "{{ name }}", "size": 1},
        "outputs": {"id": "data.identifier"},
    }
    report = await tried(world, lifecycleTools__start=start)
    assert verdicts(report) == {"created": "failed"}
    assert advised(report)["start.outputs"] == ("id: id",)


async def test_a_stop_that_fails_for_what_is_gone_gets_a_gone_when() -> None:
    world = World()
    world.always["w/stop"] = Fail("resource r1 not found", acts=True)
    report = await tried(world, kills=False, **BLIND)
    assert verdicts(report)["stopped"] == "failed"
    assert advised(report)["stop.goneWhen"] == ('goneWhen: {contains: "not found"}',)


async def test_whatever_fails_nothing_is_left() -> None:
    world = World()
    world.always["w/health"] = Answer({"ok": False})
    report = await tried(world)
    assert verdicts(report)["healthy"] == "failed"
    assert world.resources == {}
    assert report.left == ()


@pytest.mark.parametrize("is_left", [False, True])
async def test_an_interrupted_trial_removes_its_service_and_says_what_it_leaves(is_left: bool) -> None:
    world = World()
    world.always["w/health"] = Hang()
    if is_left:
        world.always["w/stop"] = Fail("it is stuck")
    entry = manifest()
    said: list[str] = []
    options = TrialOptions("try-it", tools=TOOLS, interrupted=lambda left: said.extend(["cut off", *left]))
    with anyio.move_on_after(3):
        await try_class(entry, [entry], {}, world, options)
    assert said[0] == "cut off"
    assert ["it is stuck" in each for each in said[1:]] == [True] * is_left
    assert bool(world.resources) is is_left


class Serving(World):
    """A world whose resource listens from its start on."""

    def __init__(self) -> None:
        super().__init__()
        self.listener = socket.socket()

    async def call_tool(self, tool: str, args: Mapping[str, Any], **options: Any) -> ToolResponse:
        answer = await super().call_tool(tool, args, **options)
        if tool != "w/start":
            return answer
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        return normalise([], {**answer.value, "port": self.listener.getsockname()[1]})


async def test_a_port_that_the_first_look_finds_open_was_open_however_long_that_look_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def slowly(port: int) -> bool:
        clock = trio.lowlevel.current_clock()
        assert isinstance(clock, MockClock)
        clock.jump(2.0)
        return accepts(port)

    monkeypatch.setattr(tried_service, "accepts", slowly)
    world = Serving()
    with world.listener:
        report = await tried(world, kills=False, lifecycleTools__start__outputs={"id": "id", "port": "port"})
    assert verdicts(report)["ready"] == "ok"


@pytest.mark.realtime
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only root sees who listens")
def test_a_port_that_is_tried_is_not_connected_to() -> None:
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.create_server((host, 0), family=family) as debugger:
            debugger.setblocking(False)
            port = debugger.getsockname()[1]
            assert accepts(port)
            with pytest.raises(BlockingIOError):  # its first client is still to come
                debugger.accept()
        assert not accepts(port)
