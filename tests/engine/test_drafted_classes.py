"""A class drafted from calls makes those calls: checked against the engine and the things themselves."""

import pytest
from tests.support.world import World, running

from ostler.engine.classes.catalogue import ClassEntry
from ostler.engine.services.views import CreateRequest
from ostler.model.errors import ArgumentError
from ostler.rules.drafts.recorded_calls import ClassDraft, MadeCall, draft_from_calls
from ostler.rules.reading import load_manifests

pytestmark = pytest.mark.anyio


def entry(draft: ClassDraft) -> ClassEntry:
    [loaded] = load_manifests(draft.text, "draft.yaml")
    assert loaded.warnings == ()
    return ClassEntry.of(loaded)


async def made(world: World, *calls: tuple[str, dict[str, object]]) -> list[MadeCall]:
    """Make the calls and return what was recorded."""
    found: list[MadeCall] = []
    for tool, args in calls:
        response = await world.call_tool(tool, args)
        found.append(MadeCall(tool, dict(args), response.value, response.text, response.is_error))
    return found


async def test_a_drafted_class_starts_looks_and_stops_as_was_shown() -> None:
    world = World()
    calls = await made(
        world,
        ("w/find", {"name": "unrelated"}),
        ("w/start", {"name": "trial", "size": 2}),
        ("w/status", {"name": "trial"}),
        ("w/stop", {"id": "r1"}),
    )
    assert world.resources == {}
    draft = draft_from_calls(calls, name="thing")
    world.calls.clear()
    async with running(world, entry(draft)) as manager:
        result = await manager.create(CreateRequest("thing", "one", {"size": 5}))
        assert result.service.outputs == {"id": "r2"}
        assert world.resources["r2"]["size"] == 5
        assert world.resources["r2"]["name"] == "one"
        await manager.check_health("one")
        assert manager.view("one").health.value == "healthy"
        await manager.delete("one")
    assert world.resources == {}
    assert world.tools_called("w/start", "w/stop") == ["w/start", "w/stop"]


def drafted(*calls: MadeCall, **more: object) -> ClassDraft:
    draft = draft_from_calls(calls, **more)  # pyright: ignore[reportArgumentType]
    entry(draft)
    return draft


PROSE = "Process started with PID 4711 (shell: /bin/sh)"


def test_values_in_prose_are_found_by_the_words_before_them() -> None:
    draft = drafted(
        MadeCall("dc/start_process", {"command": "sleep 60"}, PROSE, PROSE),
        MadeCall("dc/list_sessions", {}, "PID: 4711", "PID: 4711"),
        MadeCall("dc/force_terminate", {"pid": 4711}, "ok", "ok"),
    )
    tools = entry(draft).service_class.tools
    assert draft.name == "dc-start-process"
    assert tools.stop.args == {"pid": "{{ start.pid }}"}
    assert tools.status is not None
    assert tools.status.expect is not None
    assert tools.status.expect.contains == "{{ start.pid }}"
    assert 'pid: {regex: "started with PID (?P<pid>\\\\d+)", type: "integer"}' in draft.text


def test_repeated_looks_become_ready_and_other_calls_hooks() -> None:
    draft = drafted(
        MadeCall(
            "db/create_branch", {"project": "p", "branch": "x"}, {"branch": {"id": "br-7"}, "uri": "pg://br-7/db"}
        ),
        MadeCall("db/run_sql", {"branchId": "br-7", "sql": "create {{ x }}"}, {}),
        MadeCall("db/get_branch", {"branchId": "br-7"}, {"state": "creating"}),
        MadeCall("db/get_branch", {"branchId": "br-7"}, {"state": "ready"}),
        MadeCall("db/get_logs", {"branchId": "br-7"}, "…", "…"),
        MadeCall("db/flush", {"target": "of br-7"}, {}),
        MadeCall("db/delete_branch", {"branchId": "br-7"}, {}),
    )
    tools = entry(draft).service_class.tools
    assert tools.ready is not None
    assert tools.ready.expect is not None
    assert tools.ready.expect.json_path == {"state": "ready"}
    assert tools.logs is not None
    assert [call.tool for call in tools.post_start] == ["db/run_sql"]
    assert tools.post_start[0].args["sql"] == "create {{ '{{' }} x }}"
    assert [call.args for call in tools.pre_stop] == [{"target": "of {{ start.id }}"}]
    assert tools.start.outputs == {"id": "branch.id", "uri": "uri"}
    assert any("db/run_sql became postStart" in question for question in draft.questions)
    assert all(f"# TODO: {question}" in draft.text for question in draft.questions)


def test_the_newest_pair_that_belongs_together_counts() -> None:
    draft = drafted(
        MadeCall("a/open_tab", {"url": "first"}, {"tabId": "t1"}),
        MadeCall("a/open_tab", {"url": "second"}, {"tabId": "t2"}),
        MadeCall("a/close_tab", {"tabId": "t2"}, {}),
        MadeCall("b/delete_file", {"path": "x"}, {}),
    )
    tools = entry(draft).service_class.tools
    assert (tools.start.tool, tools.stop.tool) == ("a/open_tab", "a/close_tab")
    assert 'default: "second"' in draft.text


def test_calls_of_another_server_are_not_mixed_in_and_named() -> None:
    draft = drafted(
        MadeCall("a/open_tab", {"url": "first"}, {"tabId": "t1"}),
        MadeCall("mail/get_status", {}, {"state": "ok"}),
        MadeCall("mail/send_note", {"to": "t1"}, {}),
        MadeCall("a/close_tab", {"tabId": "t1"}, {}),
    )
    tools = entry(draft).service_class.tools
    assert (tools.status, list(tools.post_start), list(tools.pre_stop)) == (None, [], [])
    assert any("mail/get_status, mail/send_note" in question for question in draft.questions)


def test_failed_calls_secrets_and_reserved_names() -> None:
    draft = drafted(
        MadeCall("c/connect", {"host": "nowhere"}, "no route", "no route", is_error=True),
        MadeCall("c/connect", {"host": "h", "password": "***", "env": {"A": "1"}, "status": "x"}, {"sessionId": "s9"}),
        MadeCall("c/disconnect", {"sessionId": "s9"}, {}),
    )
    args = entry(draft).service_class.spec.args
    assert args["password"].secret
    assert args["password"].required
    assert args["environment"].default == {"A": "1"}
    assert "its_status" in args
    assert entry(draft).service_class.tools.start.args["env"] == "{{ environment }}"


def test_a_stop_that_was_not_called_is_proposed_from_the_known_tools() -> None:
    begin = MadeCall("k/create_pod", {"name": "web"}, {"podId": "p1"})
    draft = drafted(begin, tools=["k/list_pods", "k/delete_pod", "k/delete_node", "x/delete_pod"])
    tools = entry(draft).service_class.tools
    assert tools.stop.tool == "k/delete_pod"
    assert tools.stop.args == {"podId": "{{ start.podId }}"}
    assert any("k/delete_pod was not called" in question for question in draft.questions)


@pytest.mark.parametrize(
    ("calls", "said"),
    [
        ([], "none of the calls begins anything"),
        ([MadeCall("a/list_all", {})], "none of the calls begins anything"),
        ([MadeCall("a/open", {})], "none of the calls ends what a/open began"),
        ([MadeCall("a/open", {}), MadeCall("b/close", {})], "none of the calls ends what a/open began"),
    ],
)
def test_what_cannot_be_drafted_is_told(calls: list[MadeCall], said: str) -> None:
    with pytest.raises(ArgumentError, match=said) as caught:
        draft_from_calls(calls)
    assert caught.value.next_actions
