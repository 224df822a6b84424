"""service_plan and the planId of service_create, as a client meets them."""
# ruff: noqa: E501 (texts are compared as they are)

import json

import pytest
from inline_snapshot import snapshot
from mcp.client import Client
from msgspec.structs import replace
from tests.support.ledger_app import call, ledger, refusal, server_over, text_of
from tests.support.world import BASIC, World, manifest

from ostler.engine.protocols import ToolInfo

pytestmark = pytest.mark.anyio


async def test_a_plan_cuts_long_values_and_shows_their_size() -> None:
    declared = "  args:\n    script: {type: string}\n    variables: {type: object}\n"
    used = {f"lifecycleTools__start__args__{name}": f"{{{{ {name} }}}}" for name in ("script", "variables")}
    entry = manifest(BASIC.replace("  args:\n", declared, 1), **used)
    async with ledger(World(), entry) as app, Client(server_over(app)) as client:
        args = {"script": "x" * 200_000, "variables": {f"V{number}": "y" * 90 for number in range(1000)}}
        plan = await client.call_tool("service_plan", {"serviceClassName": "basic", "name": "one", "args": args})
        start = plan.structured_content["steps"][0]["args"]
        assert start["script"].endswith("x… (200000 characters)")
        assert start["variables"].startswith('{"V0": "yyy')
        assert len(json.dumps(plan.structured_content)) < 10_000
        assert (await call(client, "service_create", serviceClassName="basic", name="one", args=args))["changed"]


async def test_a_plan_says_everything_before_anything_is_done() -> None:
    world = World()
    async with ledger(world) as app, Client(server_over(app)) as client:
        arguments = {"serviceClassName": "basic", "name": "one", "args": {"size": 2, "password": "hunter22"}}
        facts = await call(client, "service_plan", **arguments)
        plan_id = facts.pop("planId")
        assert facts == snapshot(
            {
                "action": "create",
                "service": "one",
                "steps": [
                    {
                        "service": "one",
                        "step": "start",
                        "tool": "w/start",
                        "args": {"name": "one", "size": 2, "password": "***"},
                    },
                    {
                        "service": "one",
                        "step": "ready",
                        "tool": "w/status",
                        "args": {"name": "one"},
                        "every": "1s",
                        "note": "until it passes",
                    },
                ],
                "services": [{"name": "one", "serviceClassName": "basic", "effect": "create"}],
                "servers": [{"name": "w", "connected": True}],
                "stopSteps": [
                    {
                        "service": "one",
                        "step": "stop",
                        "tool": "w/stop",
                        "args": {"id": "<known after start>"},
                        "partlyKnown": True,
                    }
                ],
            }
        )
        assert world.calls == []
        text = text_of(await client.call_tool("service_plan", arguments)).replace(plan_id, "ID")
        assert text == snapshot("""\
create of one: 2 tool calls
1. one start: w/start {"name": "one", "password": "***", "size": 2}
2. one ready: w/status {"name": "one"}, every 1s until it passes
created: one (basic)
will be stopped by: one stop: w/stop {"id": "<known after start>"}
planId: ID\
""")
        created = await call(client, "service_create", **arguments, planId=plan_id)
        assert created["service"]["state"] == "running"
        stop = await call(client, "service_plan", action="stop", name="one")
        assert [(step["tool"], step["args"]) for step in stop["steps"]] == [("w/stop", {"id": "r1"})]


async def test_a_plan_id_is_refused_when_something_changed() -> None:
    async with ledger(World()) as app, Client(server_over(app)) as client:
        plan = await call(client, "service_plan", serviceClassName="basic", name="one")
        app.classes.add(manifest(timeout__create="61s"))
        text, error = await refusal(
            client, "service_create", serviceClassName="basic", name="one", planId=plan["planId"]
        )
        assert text == snapshot(
            "the plan is out of date, so nothing was done: the class changed since it was made (service 'one'). Next: service_plan makes a new plan; or leave planId out"
        )
        assert error["code"] == "conflict"
        text, _ = await refusal(client, "service_create", serviceClassName="basic", name="one", planId="x")
        assert "planId 'x' is not the id of a plan of a create" in text


async def test_a_plan_id_is_refused_when_a_tool_takes_other_arguments() -> None:
    async with ledger(World()) as app, Client(server_over(app)) as client:
        plan = await call(client, "service_plan", serviceClassName="basic", name="one")
        listed = [
            replace(info, input_schema={"type": "object"}) if info.name == "stop" else info
            for info in app.pool.list_tools()
        ]

        def list_tools(server: str | None = None) -> list[ToolInfo]:  # as after a server's list_changed
            return listed

        app.pool.list_tools = list_tools
        text, _ = await refusal(client, "service_create", serviceClassName="basic", name="one", planId=plan["planId"])
        assert "nothing was done: the tools' schemas changed since" in text
        again = await call(client, "service_plan", serviceClassName="basic", name="one")
        created = await call(client, "service_create", serviceClassName="basic", name="one", planId=again["planId"])
        assert created["service"]["state"] == "running"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "serviceClassName is required for the plan of a create"),
        ({"action": "stop"}, "name is required for the plan of a stop"),
        ({"action": "stop", "name": "x", "args": {"a": 1}}, "'args' has no effect on the plan of a stop"),
        ({"serviceClassName": "basic", "abandon": True}, "'abandon' has no effect on the plan of a create"),
        ({"action": "restart", "name": "nobody"}, "service 'nobody' not found"),
        ({"action": "explode", "name": "x"}, "action"),
        ({"serviceClassName": "basic", "args": {"size": 0}}, "less than the minimum"),
    ],
)
async def test_what_cannot_be_planned_is_told(arguments: dict[str, object], said: str) -> None:
    async with ledger(World()) as app, Client(server_over(app)) as client:
        text, _ = await refusal(client, "service_plan", **arguments)
        assert said in text


async def test_missing_tools_and_lost_servers_are_told() -> None:
    async with ledger(World()) as app, Client(server_over(app)) as client:
        app.classes.add(manifest(lifecycleTools__postStart=[{"tool": "w/paint"}, {"tool": "x/y"}]))
        app.pool.connected = False
        plan = await client.call_tool("service_plan", {"serviceClassName": "basic", "name": "one"})
        assert plan.structured_content["problems"] == ["tool 'w/paint' does not exist", "tool 'x/y' does not exist"]
        assert "not connected: server w: gone" in text_of(plan)
