"""serviceclass_draft: from a client's own tool_call calls to a class that works."""

import pytest
from mcp.client import Client
from mcp_types import Implementation
from tests.support.ledger_app import call, ledger, refusal, server_over
from tests.support.world import Fail, World

from ostler.faces.mcp.call_log import MAX_CALL, MAX_CALLS, MAX_CLIENTS, CallLog
from ostler.rules.answers.responses import normalise
from ostler.rules.drafts.recorded_calls import draft_from_calls
from ostler.rules.drafts.tool_traits import Answered

pytestmark = pytest.mark.anyio


async def test_calls_become_a_class_that_can_be_saved_and_used() -> None:
    world = World()
    async with ledger(world) as app, Client(server_over(app)) as client:
        secret = {"name": "trial", "size": 2, "password": "hunter22"}
        await call(client, "tool_call", name="w/start", args=secret)
        await call(client, "tool_call", name="w/status", args={"name": "trial"})
        world.faults["w/stop"].append(Fail("busy"))
        await client.call_tool("tool_call", {"name": "w/stop", "args": {"id": "r1"}})
        await call(client, "tool_call", name="w/stop", args={"id": "r1"})
        draft = await call(client, "serviceclass_draft", name="thing")
        assert "hunter22" not in str(draft)
        assert 'password: {type: "string", required: true, secret: true}' in draft["manifest"]
        checked = await call(client, "serviceclass_validate", manifest=draft["manifest"])
        assert checked["valid"] is True
        await call(client, "serviceclass_create", manifest=draft["manifest"])
        created = await call(
            client, "service_create", serviceClassName="thing", name="one", args={"password": "another1"}
        )
        assert created["service"]["state"] == "running"
        made = next(iter(world.resources.values()))
        assert (made["name"], made["size"], made["password"]) == ("one", 2, "another1")


async def test_recorded_answers_say_what_the_start_of_a_draft_gives() -> None:
    answer = Answered({"name": "trial"}, {"id": "r1", "url": "ledger://r1/1"}, "", is_error=False)
    async with ledger(World()) as app, Client(server_over(app)) as client:
        blind = await call(client, "serviceclass_draft", server="w")
        app.recorded["w"] = {"start": (answer,)}
        draft = await call(client, "serviceclass_draft", server="w")
    stop = """\
      stop:
        tool: w/stop
        args:
          id: "{{ start.id }}"
"""
    assert stop in draft["manifest"]
    assert stop not in blind["manifest"]


async def test_what_cannot_be_drafted_is_told() -> None:
    async with ledger(World()) as app, Client(server_over(app)) as client:
        text, _ = await refusal(client, "serviceclass_draft")
        assert "none of the calls begins anything" in text
        text, _ = await refusal(client, "serviceclass_draft", name="No Name")
        assert "is not a valid name" in text


async def test_each_client_has_its_own_calls() -> None:
    async with ledger(World()) as app:
        server = server_over(app)
        async with (
            Client(server, client_info=Implementation(name="one", version="1")) as one,
            Client(server, client_info=Implementation(name="two", version="1")) as two,
        ):
            await call(one, "tool_call", name="w/start", args={"name": "trial"})
            await call(one, "tool_call", name="w/stop", args={"id": "r1"})
            assert "w/start" in (await call(one, "serviceclass_draft"))["manifest"]
            await refusal(two, "serviceclass_draft")


def test_the_log_is_bounded_and_masked() -> None:
    log = CallLog()
    for number in range(MAX_CALLS + 5):
        log.note("a", "w/x", {"n": number}, normalise([]))
    assert [made.args["n"] for made in log.recent("a", 2)] == [MAX_CALLS + 3, MAX_CALLS + 4]
    assert len(log.recent("a")) == MAX_CALLS
    log.note("b", "w/x", {"big": "x" * MAX_CALL}, normalise([]))
    assert log.recent("b") == []
    answer = normalise(
        [{"type": "text", "text": '{"nested": {"accessToken": "tok-12345"}, "note": "hidden99 tok-12345"}'}]
    )
    log.note("c", "w/x", {"apiKey": "key-98765", "deep": [{"password": "pw-55555"}]}, answer, ["hidden99"])
    [made] = log.recent("c")
    for secret in ("key-98765", "pw-55555", "tok-12345", "hidden99"):
        assert secret not in str(made)
    words = ["--token", "tok-77777", "postgres://u:pw-88888@h/d", "--pin", "4711"]
    log.note("c", "w/start", {"name": "x", "args": words, "line": "mysql -ppw-99999"}, normalise([]))
    log.note("c", "w/stop", {"name": "x"}, normalise([]))
    drafted = draft_from_calls(log.recent("c", 2)).text
    for secret in ("tok-77777", "pw-88888", "4711", "pw-99999"):
        assert secret not in drafted
    assert drafted.count("required: true, secret: true") == 2
    for number in range(MAX_CLIENTS):
        log.note(f"client-{number}", "w/x", {}, normalise([]))
    assert log.recent("a") == []
