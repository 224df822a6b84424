"""What clients see of the tools: names, sizes, schemas, answers in both protocol eras, and every kind of bad input."""
# ruff: noqa: E501 (error texts are compared as they are)

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import jsonschema
import pytest
from inline_snapshot import snapshot
from mcp.client import Client
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS
from tests.support.ledger_app import SCHEMA, LedgerApplication, call, ledger, quiet, refusal, server_over, text_of
from tests.support.tool_calls import EVERY_DAY_CALLS
from tests.support.world import BASIC, Answer, Fail, Hang, World, manifest, until

import ostler
from ostler.adapters.serving.problems import read_args
from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.protocols import ToolInfo
from ostler.engine.services.service import BaseService
from ostler.engine.services.views import CreateRequest, ProjectRef
from ostler.faces.mcp.downstream_tools import ToolCallArgs
from ostler.faces.mcp.server import instructions
from ostler.faces.mcp.toolbox import COMING_SECONDS, TOOLS, ComingServices, tools_of
from ostler.model.errors import ArgumentError
from ostler.model.events import EventKind
from ostler.model.states import HealthStatus, ServiceState

pytestmark = pytest.mark.anyio

ERAS = pytest.mark.parametrize("mode", ["legacy", "auto"])


def tokens(tools: Any, keys: set[str] | None = None) -> int:
    listed = [tool.model_dump(by_alias=True, mode="json", exclude_none=True, include=keys) for tool in tools]
    return len(json.dumps({"tools": listed}, separators=(",", ":"), ensure_ascii=False).encode()) // 4


SEEN = {"name", "description", "input_schema"}
"""What clients hand models of a tool: `python -m benchmarks clients` looks at what they send."""


# -- the list ----------------------------------------------------------------------------------------------


@ERAS
async def test_the_full_list_is_fixed_and_small(mode: Any) -> None:
    async with ledger(World()) as app, Client(server_over(app), mode=mode) as client:
        tools = (await client.list_tools()).tools
    assert [tool.name for tool in tools] == snapshot(
        [
            "service_list",
            "service_status",
            "service_get",
            "service_secrets",
            "service_validate",
            "service_events",
            "service_logs",
            "service_plan",
            "service_explain",
            "service_create",
            "service_start",
            "service_stop",
            "service_restart",
            "service_delete",
            "service_input",
            "service_renew",
            "service_wait",
            "project_up",
            "project_down",
            "project_status",
            "serviceclass_list",
            "serviceclass_get",
            "serviceclass_available",
            "serviceclass_validate",
            "serviceclass_create",
            "serviceclass_update",
            "serviceclass_delete",
            "serviceclass_check",
            "serviceclass_draft",
            "mcpserver_list",
            "mcpserver_get",
            "tool_list",
            "tool_describe",
            "tool_call",
            "config_get",
            "mcpserver_create",
            "mcpserver_update",
            "mcpserver_delete",
            "mcpserver_validate",
        ]
    )
    assert tokens(tools, SEEN) <= 4_500
    assert tokens(tools) <= 8_000


async def test_the_core_list_is_smaller() -> None:
    async with ledger(World()) as app, Client(server_over(app, "core")) as client:
        tools = (await client.list_tools()).tools
        with pytest.raises(MCPError, match="tool 'tool_call' not found") as refused:
            await client.call_tool("tool_call", {"name": "w/status"})
        assert refused.value.code == INVALID_PARAMS
    assert [tool.name for tool in tools] == snapshot(
        [
            "service_list",
            "service_status",
            "service_logs",
            "service_create",
            "service_start",
            "service_stop",
            "service_restart",
            "service_delete",
            "service_wait",
            "serviceclass_list",
            "serviceclass_get",
        ]
    )
    assert tokens(tools, SEEN) <= 2_000
    assert tokens(tools) <= 3_000


@pytest.mark.parametrize("toolset", ["full", "core", "muster"])
def test_instructions_are_short(toolset: Any) -> None:
    assert len(instructions(toolset).encode()) / 4 <= 290


@pytest.mark.parametrize("definition", TOOLS, ids=lambda tool: tool.name)
def test_each_tool_is_described(definition: Any) -> None:
    tool = definition.tool()
    assert tool.title
    assert len(tool.description) < 250
    assert "$defs" not in json.dumps(tool.input_schema)
    assert "anyOf" not in json.dumps(tool.input_schema)
    jsonschema.Draft202012Validator.check_schema(tool.input_schema)
    jsonschema.Draft202012Validator.check_schema(tool.output_schema)
    if not tool.annotations.read_only_hint:  # false is what the protocol assumes
        assert tool.annotations.destructive_hint is not None
        assert tool.annotations.idempotent_hint is not None
    # TypeScript clients check the structured content of errors against the schema as well.
    jsonschema.validate({"error": {"code": "x", "message": "y", "nextActions": []}}, tool.output_schema)


@pytest.mark.virtual
async def test_a_create_changes_its_class_as_a_project_does() -> None:
    async with ledger(World()) as app, Client(server_over(app)) as client:
        await call(client, "service_create", serviceClassName="basic", name="db")
        overrides: dict[str, Any] = {"dependsOn": {"db": "healthy"}, "restartPolicy": "always"}
        create = {"serviceClassName": "basic", "name": "api"}
        await call(client, "service_create", **create, overrides=json.dumps(overrides))
        assert (await call(client, "service_get", name="api"))["dependencies"] == ["db"]
        again = await call(client, "service_create", **create, overrides=overrides)
        assert "already exists with the same arguments" in again["message"], again
        for wrong, said in {
            "dependsOn": ({"dependsOn": ["bd"]}, "'bd' not found"),
            "unknown": ({"restart": "always"}, "restart"),
            "env": ({"env": {"A": "1"}}, "starts by 'w/start', which is not known to take variables"),
            "envFile": ({"envFile": ".env"}, "'.env' must be absolute"),
        }.values():
            refused = await client.call_tool(
                "service_create", {"serviceClassName": "basic", "name": "x", "overrides": wrong}
            )
            assert refused.is_error
            assert said in text_of(refused), text_of(refused)


@pytest.mark.virtual
async def test_creates_that_need_each_other_do_not_wait_for_each_other() -> None:
    async with ledger(World()) as app, Client(server_over(app)) as client, anyio.create_task_group() as tg:
        began = anyio.current_time()

        async def create(name: str, needs: str) -> None:
            arguments = {"serviceClassName": "basic", "name": name, "overrides": {"dependsOn": [needs]}}
            refused = await client.call_tool("service_create", arguments)
            assert refused.is_error
            assert f"'{needs}'" in text_of(refused), text_of(refused)
            assert anyio.current_time() == began

        for name, needs in (("self", "self"), ("a", "b"), ("b", "c"), ("c", "a")):
            tg.start_soon(create, name, needs)


@ERAS
@pytest.mark.realtime  # asyncio alone begins calls in the order in which they came
async def test_calls_that_are_sent_together_with_a_create_find_its_service(mode: Any) -> None:
    together: list[tuple[str, dict[str, Any]]] = [
        ("service_create", {"serviceClassName": "basic", "name": "db"}),
        ("service_create", {"serviceClassName": "basic", "name": "api", "overrides": '{"dependsOn": ["db"]}'}),
        ("service_status", {"name": "db"}),
        ("service_logs", {"name": "api"}),
        ("service_events", {"name": "db"}),
        ("service_create", {"serviceClassName": "basic", "name": "bad", "args": {"size": 0}}),
        ("service_create", {"serviceClassName": "basic", "name": "old", "start": False}),
        ("service_stop", {"name": "old"}),
        ("service_create", {"serviceClassName": "basic", "name": "deep", "overrides": "[" * 20_000}),
        ("service_status", {"name": "bad"}),
    ]
    answers: dict[int, Any] = {}
    async with ledger(World()) as app, Client(server_over(app), mode=mode) as client, anyio.create_task_group() as tg:

        async def send(number: int, tool: str, arguments: dict[str, Any]) -> None:
            answers[number] = await client.call_tool(tool, arguments)

        for number, (tool, arguments) in enumerate(together):
            tg.start_soon(send, number, tool, arguments)
    texts = [text_of(answers[number]) for number in range(len(together))]
    assert [number for number, answer in sorted(answers.items()) if answer.is_error] == [5, 8, 9], texts
    assert "it is nested too deeply" in texts[8]
    assert "'bad' not found" in texts[-1], "the one that was not created is missing at once"


@pytest.mark.virtual
async def test_a_call_about_several_services_waits_for_their_creates_no_longer_than_for_one() -> None:
    async with ledger(World()) as app:
        coming = ComingServices(app)
        with (
            coming.announced("service_create", {"name": "one"}),
            coming.announced("service_create", {"name": "two"}),
        ):
            began = anyio.current_time()
            await coming.wait("service_wait", {"name": ["one", "two"]})
            assert anyio.current_time() - began == pytest.approx(COMING_SECONDS)


@pytest.mark.virtual
async def test_a_create_is_decided_by_its_service_in_any_namespace_and_by_no_other() -> None:
    async with ledger(World()) as app:
        coming, events = ComingServices(app), app.manager.events
        with (
            coming.announced("service_create", {"name": "web"}),
            coming.announced("service_create", {"name": "db"}),
        ):
            events.append(EventKind.SERVICE_CREATED, "web.shop")
            events.append(EventKind.SERVICE_CREATED, "dbx.shop")
            began = anyio.current_time()
            await coming.wait("service_status", {"name": "web"})
            assert anyio.current_time() == began
            await coming.wait("service_status", {"name": "db"})
            assert anyio.current_time() - began == pytest.approx(COMING_SECONDS)
        await coming.wait("service_status", {"name": "db"})
        assert anyio.current_time() - began == pytest.approx(COMING_SECONDS), "none is announced any more"


# -- the whole way -----------------------------------------------------------------------------------------


@pytest.mark.virtual
async def test_a_delete_does_not_advise_to_start_what_had_failed_before_it() -> None:
    world = World()
    async with ledger(world) as app, Client(server_over(app)) as client:
        await call(client, "service_create", serviceClassName="basic", name="one")
        await call(client, "service_stop", name="one")
        world.faults["w/start"].append(Fail("no room"))
        text, _ = await refusal(client, "service_start", name="one")
        assert "then service_start one" in text
        said = await client.call_tool("service_delete", {"name": "one"})
        assert text_of(said) == "service one was deleted (basic, failed, health unknown)"
        assert "error" not in said.structured_content["service"]
        await call(client, "service_create", serviceClassName="basic", name="one")
        world.always["w/stop"] = Fail("it is busy")
        forced = text_of(await client.call_tool("service_delete", {"name": "one", "force": True}))
        assert "it is busy" in forced, "what it leaves is said"


@pytest.mark.virtual
async def test_a_list_shows_the_line_of_an_error_that_says_what_happened() -> None:
    world = World()
    async with ledger(world) as app, Client(server_over(app)) as client:
        await call(client, "service_create", serviceClassName="basic", name="one")
        await call(client, "service_stop", name="one")
        world.faults["w/start"].append(Fail("no room.\nLast log lines:\nwarming up"))
        await refusal(client, "service_start", name="one")
        listed = await client.call_tool("service_list", {})
        assert "one failed (start-failed) (basic) error: start tool failed: no room. …" in text_of(listed).splitlines()
        assert "warming up" in (await call(client, "service_status", name="one"))["lastError"]


@ERAS
@pytest.mark.virtual
async def test_a_service_from_create_to_delete(mode: Any) -> None:
    async with ledger(World()) as app, Client(server_over(app), mode=mode) as client:
        classes = await call(client, "serviceclass_list")
        assert classes == snapshot(
            {
                "serviceClasses": [
                    {
                        "name": "basic",
                        "description": "a resource in the ledger",
                        "available": True,
                        "args": {"password": "string, secret", "size": "integer, default 1"},
                    }
                ],
                "total": 1,
            }
        )
        assert await call(client, "service_validate", serviceClassName="basic", args={"size": 2}) == snapshot(
            {"valid": True, "args": {"password": "", "size": 2}}
        )
        created = await call(client, "service_create", serviceClassName="basic", name="one", args={"size": 2})
        operation = created.pop("operationId")
        assert operation
        assert created == snapshot(
            {
                "message": "service one was created and is running",
                "service": {
                    "name": "one",
                    "serviceClassName": "basic",
                    "serviceType": "basic",
                    "state": "running",
                    "health": "unknown",
                    "outputs": {"url": "ledger://r1/2"},
                },
                "changed": True,
                "finished": True,
            }
        )
        assert await call(client, "service_list") == snapshot(
            {
                "services": [
                    {
                        "name": "one",
                        "serviceClassName": "basic",
                        "serviceType": "basic",
                        "state": "running",
                        "health": "unknown",
                    }
                ],
                "total": 1,
            }
        )
        await anyio.sleep(5)
        status = await call(client, "service_status", name="one")
        assert status.pop("reachability") in ("reachable", "unknown")
        assert status["state"] == "running"
        assert status["stateAge"] in ("5s", "6s")
        assert status["outputs"] == {"url": "ledger://r1/2"}
        got = await call(client, "service_get", name="one")
        assert {"name", "serviceClassName", "serviceType", "state", "health", "reachability", "args", "outputs"} <= set(
            got
        )
        assert {"serviceData", "dependencies", "healthCheckFailures", "healthCheckSuccesses", "createdAt"} <= set(got)
        assert got["updatedAt"].endswith("Z")
        assert got["history"][0]["kind"] == "start"
        again = await call(client, "service_start", name="one")
        assert (again["changed"], again["message"]) == snapshot((False, "service one is already running"))
        stopped = await call(client, "service_stop", name="one")
        assert (stopped["changed"], stopped["message"], stopped["service"]["state"]) == snapshot(
            (True, "service one is stopped", "stopped")
        )
        again = await call(client, "service_stop", name="one")
        assert (again["changed"], again["message"]) == snapshot((False, "service one is already stopped"))
        restarted = await call(client, "service_restart", name="one")
        assert restarted["service"]["state"] == "running"
        deleted = await call(client, "service_delete", name="one")
        assert deleted["message"] == snapshot("service one was deleted")
        assert app.pool.world.resources == {}
        assert (await call(client, "service_list")) == {"services": [], "total": 0}


@pytest.mark.virtual
async def test_what_failed_its_last_check_is_not_said_to_be_healthy() -> None:
    world = World()
    async with ledger(world, quiet()) as app, Client(server_over(app)) as client:
        await call(client, "service_create", serviceClassName="basic", name="one")
        assert (await app.manager.check_health("one")).health is HealthStatus.HEALTHY
        world.healthy = False
        await anyio.sleep(4)
        await app.manager.check_health("one")
        await anyio.sleep(2)
        shown = await client.call_tool("service_status", {"name": "one"})
        assert "running for 6s, health healthy until 6s ago; 1 of 3 checks failed" in text_of(shown)
        explained = text_of(await client.call_tool("service_explain", {"name": "one"}))
        assert "health healthy until 6s ago; 1 of 3" in explained
        assert "was healthy until its last check" in explained
        facts = shown.structured_content
        assert facts is not None
        assert (facts["health"], facts["healthCheckFailures"], facts["healthAge"]) == ("healthy", 1, "6s")
        listed = await client.call_tool("service_list", {})
        words = "healthy, but 1 of 3 checks failed"
        assert f"one running/{words} (basic)" in text_of(listed)
        started = await client.call_tool("service_start", {"name": "one"})
        assert f"(basic, running, health {words})" in text_of(started)
        waited = await client.call_tool("service_wait", {"name": "one", "state": ["stopped"], "timeout": "1s"})
        assert f"one running/{words}" in text_of(waited)
        world.healthy = True
        await app.manager.check_health("one")
        assert "health healthy (checked 0s ago)" in text_of(await client.call_tool("service_status", {"name": "one"}))


@pytest.mark.virtual
async def test_a_lease_that_has_ended_is_not_shown_as_to_come() -> None:
    async with ledger(World(), quiet()) as app, Client(server_over(app)) as client:
        await call(client, "service_create", serviceClassName="basic", name="one", lease="10s")
        assert "lease ends in 10s" in text_of(await client.call_tool("service_status", {"name": "one"}))
        await anyio.sleep(20)
        shown = await client.call_tool("service_status", {"name": "one"})
        assert "stopped for" in text_of(shown)
        assert "(lease-expired)" in text_of(shown)
        assert "lease ends in" not in text_of(shown)
        assert shown.structured_content is not None
        assert "leaseEndsIn" not in shown.structured_content


@pytest.mark.virtual
async def test_what_cannot_be_checked_is_not_said_to_be_healthy_or_ready() -> None:
    async with ledger(World(), quiet()) as app, Client(server_over(app)) as client:
        await call(client, "service_create", serviceClassName="basic", name="one")
        assert (await app.manager.check_health("one")).health is HealthStatus.HEALTHY
        app.pool.connected = False
        app.pool.tell("w")
        await anyio.sleep(4)
        shown = text_of(await client.call_tool("service_status", {"name": "one"}))
        assert "running for 4s, health healthy until 4s ago; its server cannot be reached" in shown
        explained = text_of(await client.call_tool("service_explain", {"name": "one"}))
        assert "was healthy when its server could be reached last" in explained
        words = "healthy, but its server cannot be reached"
        listed = await client.call_tool("service_list", {})
        assert f"one running/{words} (basic)" in text_of(listed)
        assert listed.structured_content is not None
        assert listed.structured_content["services"][0]["reachability"] == "unreachable"
        waited = await client.call_tool("service_wait", {"name": "one", "state": ["ready"], "timeout": "1s"})
        assert f"one is still running, health {words} after 1s" in text_of(waited)
        app.pool.connected = True
        app.pool.tell("w")
        waited = await client.call_tool("service_wait", {"name": "one", "state": ["ready"], "timeout": "9s"})
        assert "one running/healthy (basic)" in text_of(waited)


async def test_every_tool_answers_by_its_schema(tmp_path: Path) -> None:
    """The client checks structured content against the output schema and raises when it does not fit."""
    (tmp_path / "ostler.yaml").write_text("services: {}\n")
    folder = str(tmp_path)
    manifest_text = manifest().text
    calls: dict[str, dict[str, Any]] = {
        "service_create": {"serviceClassName": "basic", "name": "one"},
        "service_input": {"name": "one", "text": "yes"},
        **EVERY_DAY_CALLS,
        "serviceclass_validate": {"manifest": manifest_text},
        "serviceclass_check": {"name": "basic"},
        "serviceclass_create": {"manifest": manifest_text.replace("name: basic", "name: other")},
        "serviceclass_update": {"name": "other", "manifest": manifest_text.replace("name: basic", "name: other")},
        "serviceclass_delete": {"name": "other"},
        "serviceclass_draft": {},
        "project_up": {"directory": folder, "dryRun": True},
        "project_status": {"directory": folder},
        "project_down": {"directory": folder},
        "mcpserver_validate": {"name": "docker", "command": "docker"},
        "mcpserver_create": {"name": "docker", "command": "docker"},
        "mcpserver_update": {"name": "docker", "entry": {"args": ["mcp"]}},
        "mcpserver_delete": {"name": "docker"},
    }
    assert set(calls) == {tool.name for tool in TOOLS}
    typing = {"tool": "w/health", "args": {"name": "{{ name }}", "text": "{{ service.input.text }}"}}
    async with ledger(World(), manifest(lifecycleTools__sendInput=typing)) as app, Client(server_over(app)) as client:
        schemas = {tool.name: tool.output_schema for tool in (await client.list_tools()).tools}
        for tool, arguments in (("w/start", {"name": "drafted"}), ("w/stop", {"id": "r1"})):
            await call(client, "tool_call", name=tool, args=arguments)
        for tool, arguments in calls.items():
            result = await client.call_tool(tool, arguments)
            assert not result.is_error, text_of(result)
            assert text_of(result)
            schema = schemas[tool]
            assert schema is not None
            jsonschema.validate(result.structured_content, schema)


async def test_the_text_carries_what_matters() -> None:
    async with ledger(World()) as app, Client(server_over(app)) as client:
        created = await client.call_tool("service_create", {"serviceClassName": "basic", "name": "one"})
        assert text_of(created) == snapshot("""\
service one was created and is running (basic, running, health unknown)
outputs: url=ledger://r1/1\
""")
        status = text_of(await client.call_tool("service_status", {"name": "one"}))
        status = re.sub(r"\b(for|taken) \d+s", r"\1 0s", status).replace("in 59m59s", "in 1h")
        assert status == snapshot("""\
one (basic): running for 0s, health unknown
outputs: url=ledger://r1/1 (taken 0s ago)
next check in 1h
desired running, reachability reachable for 0s\
""")
        assert text_of(await client.call_tool("service_list", {})) == snapshot("""\
1 service:
one running/unknown (basic)\
""")
        assert text_of(await client.call_tool("serviceclass_list", {})) == snapshot("""\
1 ServiceClass available (args are strings unless a type stands):
basic: a resource in the ledger. Args: password (secret), size (integer, default 1).\
""")


@pytest.mark.virtual
async def test_a_job_is_waited_for_until_it_has_ended_and_one_without_success_is_an_error() -> None:
    world = World()
    job = quiet(
        completed={"jsonPath": {"state": "done"}},
        lifecycleTools__healthCheck=None,
        lifecycleTools__ready=None,
        healthCheck={"interval": "1s", "failureThreshold": 1},
    )
    async with ledger(world, job) as app, Client(server_over(app)) as client:
        app.logs["migrate"] = ["one", "two"]
        created = await client.call_tool("service_create", {"serviceClassName": "basic", "name": "migrate"})
        assert created.structured_content["finished"] is False
        assert created.structured_content["service"]["endAwaited"]
        assert "is running; it has not ended yet" in text_of(created)
        assert 'service_wait {"name": "migrate", "state": ["stopped", "failed"]' in text_of(created)
        waited = await call(client, "service_start", name="migrate")
        assert (waited["finished"], waited["changed"]) == (False, False)
        world.always["w/status"] = Answer({"state": "done"})
        again = await client.call_tool("service_create", {"serviceClassName": "basic", "name": "migrate"})
        assert "it has completed" in text_of(again), "it runs, so its end is waited for"
        assert text_of(again).endswith("last lines of migrate:\none\ntwo")
        assert again.structured_content["service"]["lastLines"] == ["one", "two"]
        assert (await call(client, "service_wait", name="migrate", state=["completed"]))["met"]
        world.always["w/status"] = Answer({"state": "broken"})
        text, error = await refusal(client, "service_restart", name="migrate")
        assert error["code"] == "operation"
        assert "by now it is failed: " in text
        assert "service_restart migrate runs it again" in text
        started = await client.call_tool("service_start", {"name": "migrate", "wait": False})
        assert started.structured_content["finished"] is False
        assert '"state": ["stopped", "failed"]' in text_of(started), "it may have ended before it is seen to run"


async def test_what_a_create_changes_of_its_class_has_its_effect_or_is_refused() -> None:
    async with ledger(World()) as app, Client(server_over(app)) as client:
        for given, said in (
            ({"overrides": {"idleStop": "5m"}}, "idleStop"),
            ({"leaseRenewal": "client"}, "leaseRenewal has no effect without lease"),
            ({"leaseRenewal": "client", "lease": "1h"}, "leaseRenewal has no effect without a project"),
        ):
            text, _ = await refusal(client, "service_create", serviceClassName="basic", name="web", **given)
            assert said in text
        assert app.manager.registry.find("web") is None


async def test_a_listed_service_takes_few_tokens() -> None:
    async with ledger(World()) as app, Client(server_over(app)) as client:
        for index in range(10):
            await call(client, "service_create", serviceClassName="basic", name=f"service-{index:02}")
        result = await client.call_tool("service_list", {})
    assert len(json.dumps(result.structured_content["services"])) / 4 / 10 <= 40
    assert len(text_of(result)) / 4 / 10 <= 40


async def test_lists_are_filtered_and_paged() -> None:
    async with ledger(World()) as app, Client(server_over(app)) as client:
        for index in range(5):
            await call(
                client,
                "service_create",
                serviceClassName="basic",
                name=f"s{index}",
                labels={"odd": str(index % 2)},
                owner="me" if index else "you",
                start=index != 3,
            )
        first = await call(client, "service_list", limit=2)
        assert [service["name"] for service in first["services"]] == ["s0", "s1"]
        await call(client, "service_delete", name="s1")
        second = await call(client, "service_list", limit=2, cursor=first["nextCursor"])
        assert [service["name"] for service in second["services"]] == ["s2", "s3"]
        third = await call(client, "service_list", limit=2, cursor=second["nextCursor"])
        assert [service["name"] for service in third["services"]] == ["s4"]
        assert "nextCursor" not in third

        async def names(**where: Any) -> list[str]:
            return [service["name"] for service in (await call(client, "service_list", **where))["services"]]

        assert await names(state=["stopped"]) == ["s3"]
        assert await names(state="stopped,failed") == ["s3"]
        assert await names(labels={"odd": "0"}) == ["s0", "s2", "s4"]
        assert await names(owner="you") == ["s0"]
        assert await names(serviceClassName="other") == []
        assert await names(serviceType="basic", health=["unknown"], state=["stopped"]) == ["s3"]
        text, _ = await refusal(client, "service_list", cursor="7")
        assert text == snapshot(
            "arg validation failed: invalid value for argument 'cursor': '7' is not a nextCursor of this list. Next: leave cursor out to start from the beginning"
        )


async def test_a_request_with_the_same_idempotency_key_is_done_once_and_answered_again() -> None:
    world = World()
    async with ledger(world) as app, Client(server_over(app)) as client:
        await call(client, "service_create", serviceClassName="basic", name="one", start=False)
        for tool, done in (
            ("service_start", ["w/start"]),
            ("service_restart", ["w/stop", "w/start"]),
            ("service_stop", ["w/stop"]),
            ("service_delete", []),
        ):
            world.calls.clear()
            first = await call(client, tool, name="one", idempotencyKey=tool)
            again = await call(client, tool, name="one", idempotencyKey=tool)
            assert {**again, "service": None} == {**first, "service": None}
            assert world.tools_called("w/start", "w/stop") == done
        text, facts = await refusal(client, "service_delete", name="one", force=True, idempotencyKey="service_delete")
        assert facts["code"] == "conflict"
        assert "idempotency key 'service_delete' was used for service 'one' with other arguments" in text


# -- waiting, progress, cancelling -------------------------------------------------------------------------


@pytest.mark.virtual
async def test_waiting_for_what_no_one_used_starts_it() -> None:
    world = World()
    async with ledger(world) as app, Client(server_over(app)) as client:
        await call(client, "service_create", serviceClassName="basic", name="db")
        await call(client, "service_stop", name="db")
        assert not (await call(client, "service_wait", name="db", state=["running"], timeout="5s"))["met"]
        service = app.manager.registry.get("db")
        assert isinstance(service, ServiceInstance)
        service.set_vitals(is_idle=True)  # as its keeper does
        assert (await call(client, "service_status", name="db"))["reason"] == "idle"
        assert (await call(client, "service_wait", name="db", state=["stopped"], timeout="5s"))["met"]
        assert (await call(client, "service_wait", name="db", state=["running"], timeout="30s"))["met"]


@pytest.mark.virtual
async def test_a_wait_that_is_sent_together_with_the_create_finds_the_service() -> None:
    async with ledger(World()) as app, Client(server_over(app)) as client:
        waited: list[Any] = []

        async def wait() -> None:
            waited.append(await call(client, "service_wait", name="one", state=["running"]))

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            await call(client, "service_create", serviceClassName="basic", name="one")
        assert waited[0]["met"]
        text, _ = await refusal(client, "service_wait", name="two", state=["running"])
        assert text.startswith("service 'two' not found")


@pytest.mark.virtual
async def test_create_is_waited_for_below_the_limits_of_clients_and_service_wait_goes_on() -> None:
    world = World(ready_after=70)
    async with (
        ledger(world, quiet(timeout__create="3m")) as app,
        Client(server_over(app)) as client,
    ):
        began = anyio.current_time()
        result = await client.call_tool("service_create", {"serviceClassName": "basic", "name": "slow"})
        assert anyio.current_time() - began <= 50.5
        assert result.structured_content["finished"] is False
        assert result.structured_content["service"]["state"] == "starting"
        assert text_of(result) == snapshot("""\
service slow was created and is still starting (basic, starting, health unknown)
Next: service_wait {"name": "slow", "state": ["running", "failed"], "cursor": 0}\
""")
        waited = await call(
            client, "service_wait", name="slow", state=["running", "failed"], cursor=result.structured_content["cursor"]
        )
        assert waited["met"]
        assert waited["service"]["outputs"] == {"url": "ledger://r1/1"}
        assert any(event["kind"] == "state_changed" for event in waited["events"])


@pytest.mark.virtual
async def test_wait_ends_when_the_time_is_over_and_never_later_than_allowed() -> None:
    async with ledger(World()) as app, Client(server_over(app)) as client:
        await call(client, "service_create", serviceClassName="basic", name="one")
        began = anyio.current_time()
        waited = await call(client, "service_wait", name="one", state="stopped", timeout="10m")
        assert 44 <= anyio.current_time() - began <= 46
        assert (waited["met"], waited["late"]) == (False, True)
        assert waited["message"] == snapshot("service one is still running after 45s; wait again to continue")
        again = await call(client, "service_wait", kinds=["service_created"], timeout=1)
        assert again["met"] is False


@pytest.mark.virtual
async def test_wait_is_woken_by_the_health_and_the_removal_of_a_configured_service() -> None:
    async with ledger(World()) as app, Client(server_over(app)) as client, anyio.create_task_group() as group:
        service = BaseService("tunnel", "PortForward", state=ServiceState.RUNNING)
        app.manager.registry.register(service)
        text, _ = await refusal(client, "service_wait", name="tunnel", health=["healthy"], kinds=["health_changed"])
        assert "kinds has no effect" in text
        for wanted, change in (
            ({"health": ["healthy"]}, lambda: service.set_health(HealthStatus.HEALTHY)),
            ({"kinds": ["health_changed"]}, lambda: service.set_health(HealthStatus.UNHEALTHY)),
            ({"state": ["deleted"]}, lambda: app.manager.registry.unregister("tunnel")),
        ):

            async def later(change: Callable[[], object] = change) -> None:
                await anyio.sleep(0.5)
                change()

            began = anyio.current_time()
            group.start_soon(later)
            waited = await call(client, "service_wait", name="tunnel", **wanted)
            assert waited["met"], waited["message"]
            assert anyio.current_time() - began == pytest.approx(0.5)


@pytest.mark.virtual
async def test_what_is_waited_for_until_it_is_ready_is_up_and_healthy_where_it_is_checked() -> None:
    world = World(healthy=False)
    plain = manifest(
        BASIC.replace("name: basic", "name: plain"),
        lifecycleTools__healthCheck=None,
        lifecycleTools__status=None,
        healthCheck=None,
    )
    async with ledger(world, manifest(), plain) as app, Client(server_over(app)) as client:
        for name in ("plain", "basic"):
            await call(client, "service_create", serviceClassName=name, name=name)
        assert (await call(client, "service_wait", name="plain", state="ready", timeout=0))["met"]
        early = await call(client, "service_wait", name="basic", state="ready", timeout=1)
        assert (early["met"], early["late"]) == (False, True)
        assert early["message"].startswith("service basic is still running, health checking after 1s")
        began = anyio.current_time()
        unwell = await call(client, "service_wait", name=["basic", "plain"], state=["ready"], timeout=45)
        assert anyio.current_time() - began < 31
        assert (unwell["met"], unwell["late"]) == (False, False)
        assert unwell["message"] == "service basic is running, and unhealthy"
        world.healthy = True
        assert (await call(client, "service_wait", name="basic", health="healthy", timeout=45))["met"]
        assert (await call(client, "service_wait", name="basic", state="ready", timeout=0))["met"]


@pytest.mark.virtual
async def test_the_status_of_a_service_that_is_not_well_names_what_to_do() -> None:
    world = World()
    async with ledger(world, manifest()) as app, Client(server_over(app)) as client:
        await call(client, "service_create", serviceClassName="basic", name="db")
        assert "nextCalls" not in await call(client, "service_status", name="db")
        world.healthy = False
        await call(client, "service_wait", name="db", health="unhealthy", timeout=45)
        status = await client.call_tool("service_status", {"name": "db"})
        assert [each["tool"] for each in status.structured_content["nextCalls"]] == [
            "service_restart",
            "service_explain",
        ]
        assert 'Next: service_restart {"name": "db"} to restart it' in text_of(status)
        world.faults["w/start"].append(Fail("no"))
        await refusal(client, "service_restart", name="db")
        status = await client.call_tool("service_status", {"name": "db"})
        assert text_of(status).splitlines()[-2:] == [
            'Next: service_start {"name": "db"} once the cause is fixed',
            'Next: service_explain {"name": "db"} to see why',
        ]


@pytest.mark.virtual
async def test_wait_takes_several_services_and_a_project() -> None:
    world = World(ready_after=20)
    async with ledger(world, quiet(timeout__create="3m")) as app, Client(server_over(app)) as client:
        shop = ProjectRef("shop", "/srv/shop")
        for name in ("db", "web"):
            await app.manager.create(CreateRequest("basic", name, project=shop), wait=False)
        await app.manager.create(CreateRequest("basic", "other"), wait=False)
        names = ["db.shop", "web.shop"]
        waited = await call(client, "service_wait", name=",".join([*names, "other"]), state=["running"], timeout=45)
        assert waited["met"]
        assert [(item["name"], item["state"]) for item in waited["services"]] == [
            (name, "running") for name in (*names, "other")
        ]
        early = await call(client, "service_wait", project="shop", health=["healthy"], timeout=1)
        assert early["met"] is False
        assert early["message"] == snapshot(
            "service db.shop is still running, health unknown, web.shop is still running, health unknown after 1s; wait again to continue"
        )
        world.faults["w/start"].append(Fail("no"))
        await refusal(client, "service_restart", name="web.shop")
        hopeless = await call(client, "service_wait", project="shop", state=["stopped"])
        assert "service web.shop failed and nothing is under way" in hopeless["message"]
        assert (hopeless["met"], hopeless["late"]) == (False, False)
        cursor = hopeless["cursor"]
        await call(client, "service_stop", name="other")
        await call(client, "service_stop", name="db.shop")
        of_project = await call(client, "service_wait", project="shop", cursor=cursor)
        assert {event["service"] for event in of_project["events"]} == {"db.shop"}
        assert "no services" in (await refusal(client, "service_wait", project="shoo", state=["running"]))[0]
        await app.manager.create(CreateRequest("basic", "job", project=ProjectRef("jobs", "/srv/jobs")))
        await app.manager.stop_service("job.jobs")
        job = app.manager.registry.get("job.jobs")
        assert isinstance(job, ServiceInstance)
        job.set_record(completed=True)  # as its class's `completed` would have it
        assert (await call(client, "service_wait", project="jobs", state=["running"], timeout=1))["met"]
        assert (await call(client, "service_wait", project="jobs", state=[], timeout=1))["met"], "it is ready already"
        text, _ = await refusal(client, "service_wait", name="job.jobs", state=["completed"])
        assert "service 'job.jobs' is not a job, so it never completes" in text, "by its class"
        ended = await call(client, "service_wait", name="job.jobs", state=["running"], timeout=1)
        assert (ended["met"], ended["message"]) == (
            False,
            "service job.jobs has completed (a job: wait for state completed) and nothing is under way that would change that",
        )


@pytest.mark.virtual
async def test_wait_sees_a_deletion_a_failure_and_the_next_event() -> None:
    world = World()
    async with ledger(world) as app, Client(server_over(app)) as client, anyio.create_task_group() as group:
        await call(client, "service_create", serviceClassName="basic", name="one")

        async def wait(**arguments: Any) -> None:
            answers.append(await call(client, "service_wait", **arguments))

        answers: list[Any] = []
        group.start_soon(lambda: wait(name="one", state=["deleted"]))
        group.start_soon(lambda: wait(name="one"))
        await anyio.sleep(1)
        await call(client, "service_delete", name="one")
        await until(lambda: len(answers) == 2)
        assert all(answer["met"] for answer in answers)

        world.faults["w/start"].append(Fail())
        await call(client, "service_create", serviceClassName="basic", name="two", start=False)
        await refusal(client, "service_start", name="two")
        waited = await call(client, "service_wait", name="two", state=["running"])
        assert (waited["met"], waited["message"]) == snapshot(
            (False, "service two failed and nothing is under way that would change that")
        )


@pytest.mark.virtual
async def test_progress_grows_and_names_the_steps() -> None:
    world = World(ready_after=3)
    seen: list[tuple[float, float | None, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total, message))

    async with ledger(world) as app, Client(server_over(app), mode="legacy") as client:
        await client.call_tool("service_create", {"serviceClassName": "basic", "name": "one"}, progress_callback=note)
        await until(lambda: any("running" in str(message) for _, _, message in seen))
    values = [done for done, _, _ in seen]
    assert values == sorted(set(values))
    assert seen[0][2] == "calling w/start"
    assert any("waiting until ready" in str(message) for _, _, message in seen)


@pytest.mark.virtual
async def test_a_client_that_does_not_read_its_progress_does_not_hold_the_operation_up() -> None:
    async def never(progress: float, total: float | None, message: str | None) -> None:
        await anyio.sleep_forever()

    async with ledger(World(ready_after=3)) as app, Client(server_over(app)) as client:
        with anyio.move_on_after(20):
            await client.call_tool(
                "service_create", {"serviceClassName": "basic", "name": "one"}, progress_callback=never
            )
        await until(lambda: app.manager.get_service_state("one").value == "running", within=30)


# -- errors ------------------------------------------------------------------------------------------------


@ERAS
async def test_bad_arguments_are_answered_with_every_problem_at_once(mode: Any) -> None:
    async with ledger(World()) as app, Client(server_over(app), mode=mode) as client:
        text, error = await refusal(client, "service_create", servicClassName="basic", args=[1], wait="perhaps", port=1)
        assert text == snapshot(
            "arg validation failed: serviceClassName is required; invalid type for argument 'args': expected object, got array; invalid type for argument 'wait': expected boolean, got string; unknown argument 'servicClassName'; did you mean 'serviceClassName'?; unknown argument 'port' (arguments of the class or tool go inside 'args'). Next: service_create takes serviceClassName (required), name, args, persist, autoStart, start, wait, lease, leaseRenewal, labels, owner, purpose, idempotencyKey, planId, overrides"
        )
        assert error["code"] == "arguments"
        assert len(error["problems"]) == 5
        for tool, wrong, right in (
            ("service_status", "service", "name"),
            ("service_create", "class", "serviceClassName"),
            ("service_logs", "tail", "lines"),
            ("project_up", "names", "services"),
            ("serviceclass_create", "yaml", "manifest"),
        ):
            said, _ = await refusal(client, tool, **{wrong: "one"})
            assert f"unknown argument {wrong!r}; did you mean {right!r}?" in said
        text, _ = await refusal(client, "mcpserver_create", name="x", entry={"command": "y"})
        assert "unknown argument 'entry' (what is in it are arguments of their own)" in text
        for argument, wrong, hint in (
            ("state", "up", "did you mean 'running'?"),
            ("state", "exited", "did you mean 'completed'?"),
            ("state", "healthy", "'healthy' is a value of health"),
            ("health", "running", "'running' is a value of state"),
        ):
            assert hint in (await refusal(client, "service_wait", name="one", **{argument: wrong}))[0]
        text, _ = await refusal(client, "service_status")
        assert text == snapshot("arg validation failed: name is required. Next: service_status takes name (required)")
        text, _ = await refusal(client, "service_list", state=["runing"])
        assert text == snapshot(
            "arg validation failed: invalid value for argument 'state[0]': use one of unknown, waiting, starting, running, stopping, stopped, failed, retrying, unreachable, auth_required, connected, disconnected; did you mean 'running'? Next: service_list takes state, health, serviceClassName, serviceType, labels, owner, project, limit, cursor"
        )
        text, _ = await refusal(client, "service_create", serviceClassName="basic", lease="soon")
        assert text == snapshot(
            "arg validation failed: invalid value for argument 'lease': 'soon' is not a duration; write it like '30s', '2m' or '1h30m'. Next: service_create takes serviceClassName (required), name, args, persist, autoStart, start, wait, lease, leaseRenewal, labels, owner, purpose, idempotencyKey, planId, overrides"
        )
        text, _ = await refusal(client, "service_create", serviceClassName="basic", args="{broken")
        assert text == snapshot(
            "arg validation failed: invalid value for argument 'args': expected an object; this text is not JSON either: Expecting property name enclosed in double quotes: line 1 column 2 (char 1). Next: service_create takes serviceClassName (required), name, args, persist, autoStart, start, wait, lease, leaseRenewal, labels, owner, purpose, idempotencyKey, planId, overrides"
        )


async def test_args_of_the_class_are_checked_by_the_class() -> None:
    async with ledger(World()) as app, Client(server_over(app)) as client:
        text, error = await refusal(client, "service_create", serviceClassName="basic", args={"size": "two", "sise": 3})
        assert text == snapshot(
            "arg validation failed: unknown argument 'sise'; did you mean 'size'? (known: password, size); invalid type for argument 'size': expected integer, got string \"two\". Next: serviceclass_get basic shows the arguments that it takes"
        )
        assert len(error["problems"]) == 2
        invalid = await call(client, "service_validate", serviceClassName="basic", args={"size": 0})
        assert invalid["valid"] is False
        assert invalid["problems"]


async def test_whole_numbers_are_taken_where_the_class_wants_text() -> None:
    asked: dict[str, Any] = {"serviceClassName": "basic", "name": "one", "args": {"password": 4711}}
    async with ledger(World()) as app, Client(server_over(app)) as client:
        assert (await call(client, "service_validate", **asked))["valid"]
        plan = await call(client, "service_plan", **asked)
        await call(client, "service_create", **asked, planId=plan["planId"])
        assert (await call(client, "service_secrets", name="one"))["args"]["password"] == "4711"
        text, _ = await refusal(client, "service_create", serviceClassName="basic", args={"password": 1.1})
        assert "expected string, got number; write it in quotes" in text


async def test_what_command_line_clients_send_is_understood() -> None:
    """They send everything as text, or read `8080` as a number where a name was meant."""
    async with ledger(World()) as app, Client(server_over(app)) as client:
        created = await call(
            client, "service_create", serviceClassName="basic", name=8080, args='{"size": 4}', start="true", lease=None
        )
        assert created["service"]["name"] == "8080"
        assert created["service"]["outputs"] == {"url": "ledger://r1/4"}
        assert (await call(client, "service_events", limit="1"))["events"]


async def test_errors_say_what_where_and_what_next() -> None:
    world = World()
    async with ledger(world) as app, Client(server_over(app)) as client:
        assert (await refusal(client, "service_status", name="nobody"))[0] == snapshot(
            "service 'nobody' not found. Next: service_list shows all names"
        )
        assert (await refusal(client, "service_create", serviceClassName="basik"))[0] == snapshot(
            "ServiceClass 'basik' not found; did you mean 'basic'? Next: serviceclass_list shows the classes"
        )
        with pytest.raises(MCPError, match="tool 'service_lst' not found; did you mean 'service_list'") as refused:
            await client.call_tool("service_lst", {})
        assert refused.value.code == INVALID_PARAMS
        assert (await refusal(client, "serviceclass_get", name="basik"))[0] == snapshot(
            "ServiceClass 'basik' not found; did you mean 'basic'? Next: serviceclass_list shows the classes"
        )
        assert (await refusal(client, "service_logs", name="nobody"))[0] == snapshot(
            "service 'nobody' not found. Next: service_list shows all names"
        )
        assert (await refusal(client, "mcpserver_get", name="x"))[0] == snapshot("MCP server 'x' not found")
        assert (await refusal(client, "tool_list", server="x"))[0] == snapshot(
            "MCP server 'x' not found. Next: mcpserver_list shows them all"
        )
        assert (await refusal(client, "tool_describe", name="w/stat"))[0] == snapshot(
            "tool 'w/stat' not found; did you mean 'w/start' or 'w/status'? Next: tool_list shows the tools"
        )
        assert (await refusal(client, "tool_describe", name="status"))[0] == snapshot(
            "tool 'status' not found; did you mean 'w/status'? Next: tool_list shows the tools"
        )
        assert (await refusal(client, "service_events", kinds=["nothing"]))[0] == snapshot(
            "arg validation failed: invalid value for argument 'kinds[0]': use one of service_created, service_deleted, state_changed, health_changed, reachability_changed, operation_began, operation_ended, tool_called, outputs_changed, lease_expiring, lease_expired, lease_renewed, class_changed, class_checked, server_changed, warning. Next: service_events takes name, since, kinds, limit"
        )
        assert (await refusal(client, "service_wait", name="one", state=["up"]))[0] == snapshot(
            "arg validation failed: invalid value for argument 'state[0]': use one of unknown, waiting, starting, running, stopping, stopped, failed, retrying, unreachable, auth_required, connected, disconnected, completed, deleted, ready; did you mean 'running'? Next: service_wait takes name, project, state, health, kinds, cursor, timeout"
        )
        assert (await refusal(client, "service_wait", state=["running"]))[0] == snapshot(
            "arg validation failed: name or project is required when waiting for a state or health. Next: correct the arguments and make the call again"
        )
        world.faults["w/start"].append(Fail("no room"))
        text, error = await refusal(client, "service_create", serviceClassName="basic", name="one")
        assert text == snapshot(
            "start tool failed: no room; nothing was left to clean up; service 'one' was not created (step 'start', tool 'w/start'). Next: correct the cause, then create it again"
        )
        assert error["service"] == "one"
        assert error["step"] == "start"
        assert error["tool"] == "w/start"
        await call(client, "service_create", serviceClassName="basic", name="one")
        text, _ = await refusal(client, "service_create", serviceClassName="basic", name="one", args={"size": 9})
        assert "already exists" in text


async def test_a_class_whose_tools_are_missing_says_so() -> None:
    missing = quiet(lifecycleTools__restart={"tool": "w/renew"})
    async with ledger(World(), missing) as app, Client(server_over(app)) as client:
        text, _ = await refusal(client, "service_create", serviceClassName="basic", name="one")
        assert text == snapshot(
            "ServiceClass 'basic' not available (missing required tools: w/renew) (service 'one'). Next: fix this: server 'w' has no tool 'renew', or a policy denies it; mcpserver_list shows the servers there are"
        )
        available = await call(client, "serviceclass_available", name="basic")
        assert available == snapshot(
            {
                "name": "basic",
                "available": False,
                "missingTools": ["w/renew"],
                "reason": "server 'w' has no tool 'renew', or a policy denies it",
            }
        )
        unknown = await call(client, "serviceclass_available", name="nothing")
        assert unknown == snapshot(
            {"name": "nothing", "available": False, "missingTools": [], "reason": "ServiceClass 'nothing' not found"}
        )


async def test_a_bug_in_one_tool_is_an_answer_and_the_server_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(LedgerApplication):
        def effective_config(self) -> dict[str, Any]:
            raise KeyError("secret inside")

    async with ledger(World()) as app, Client(server_over(Broken(app.manager, app.pool))) as client:
        text, error = await refusal(client, "config_get")
        assert text == snapshot(
            "internal error in config_get (KeyError). Next: look at the server's log for 'tool config_get failed'; other tools keep working"
        )
        assert error["code"] == "internal"
        assert "secret inside" in caplog.text
        assert (await call(client, "service_list"))["total"] == 0


FAILING = """
import os, pathlib, ostler
from ostler.adapters.serving.answers import internal_error_answer

def shown():
    return internal_error_answer("config_get", KeyError("inside")).text

print("changed" in shown())
package = pathlib.Path(ostler.__file__)
{change}
print("changed after this server started. Next: ostler stop-server" in shown())
"""


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("newer = package.with_name('new'); newer.touch(); newer.replace(package)", id="installed"),
        pytest.param("package.write_text(''); os.utime(package, (0, 0))", id="installed with the times of its wheel"),
        pytest.param("package.parent.joinpath('rules', '__init__.py').touch()", id="edited"),
    ],
)
def test_a_bug_after_an_update_of_the_files_says_so(tmp_path: Path, change: str) -> None:
    package = shutil.copytree(Path(ostler.__file__).parent, tmp_path / "ostler", ignore=shutil.ignore_patterns("*.pyc"))
    command = [sys.executable, "-c", FAILING.format(change=change)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=package.parent)
    assert done.stdout.split() == ["False", "True"]


async def test_secrets_are_shown_by_one_tool_alone_which_policy_can_deny() -> None:
    async with ledger(World()) as app, Client(server_over(app)) as client:
        result = await client.call_tool(
            "service_create", {"serviceClassName": "basic", "name": "one", "args": {"password": "hunter22"}}
        )
        said = [result]
        for tool, arguments in (
            ("service_get", {"name": "one"}),
            ("service_status", {"name": "one"}),
            ("service_events", {"limit": 500}),
            ("service_validate", {"serviceClassName": "basic", "args": {"password": "hunter22"}}),
            ("service_plan", {"serviceClassName": "basic", "args": {"password": "hunter22"}}),
        ):
            said.append(await client.call_tool(tool, arguments))
        for answer in said:
            assert "hunter22" not in answer.model_dump_json()
        revealed = await client.call_tool("service_secrets", {"name": "one"})
        assert revealed.structured_content["args"]["password"] == "hunter22"
        assert "hunter22" in text_of(revealed)
        [listed] = [tool for tool in (await client.list_tools()).tools if tool.name == "service_secrets"]
        assert listed.annotations is not None
        assert not listed.annotations.read_only_hint
        app.denied.add("service_secrets")
        text, error = await refusal(client, "service_secrets", name="one")
        assert error["code"] == "tool_denied"
        assert "denied by the policy" in text


# -- downstream tools --------------------------------------------------------------------------------------


async def test_a_number_that_json_has_not_is_refused_with_its_place() -> None:
    world = World()
    async with ledger(world) as app, Client(server_over(app)) as client:
        for tool, args in (
            ("tool_call", {"name": "w/start", "args": {"size": [1, {"a": 1 << 1100}]}}),
            ("service_create", {"serviceClassName": "basic", "args": {"size": [1, {"a": 1 << 1100}]}}),
        ):
            text, _ = await refusal(client, tool, **args)
            assert f"the arguments of {tool} are not JSON: args.size[1].a is a whole number of 1101 bits" in text
        assert world.calls == []
    with pytest.raises(ArgumentError, match="not JSON: args.size is NaN"):  # as a client may write it
        read_args("tool_call", ToolCallArgs, {"name": "w/start", "args": {"size": float("nan")}})


async def test_an_argument_that_a_tools_schema_does_not_name_is_warned_of_or_refused_where_no_others_are_taken() -> (
    None
):
    async with ledger(World()) as app, Client(server_over(app)) as client:
        found = await client.call_tool("tool_call", {"name": "w/status", "args": {"name": "x", "sise": 1, "Name": 2}})
        said = ["w/status has no argument 'sise'; did you mean 'size'?"]
        said += ["w/status has no argument 'Name'; did you mean 'name'?"]
        assert found.structured_content["warnings"] == said
        assert text_of(found).endswith("".join(f"\nwarning: {each}" for each in said))
        closed: dict[str, Any] = {**SCHEMA, "additionalProperties": False}
        for schema, is_refused in ((closed, True), ({**SCHEMA, "additionalProperties": True}, False), ({}, False)):
            app.pool.listed = [ToolInfo("w", "status", "", schema)]
            answer = await client.call_tool("tool_call", {"name": "w/status", "args": {"name": "x", "sise": 1}})
            assert (said[0] in text_of(answer)) is answer.is_error is is_refused
            assert "warning" not in text_of(answer)
        assert (await client.call_tool("tool_call", {"name": "w/status", "args": {"name": "x"}})).is_error is False


async def test_tool_call_passes_the_answer_on_as_it_came() -> None:
    world = World()
    seen: list[Any] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total, message))

    async with ledger(world) as app, Client(server_over(app)) as client:
        found = await client.call_tool("tool_call", {"name": "w/status", "args": {"name": "x"}}, progress_callback=note)
        assert found.structured_content == snapshot(
            {"tool": "w/status", "isError": False, "result": {"state": "absent"}}
        )
        assert seen == [(1.0, 2.0, "halfway")]
        world.faults["w/find"].append(Fail("it broke"))
        failed = await client.call_tool("tool_call", {"name": "w/find", "args": {"name": "x"}})
        assert failed.is_error
        assert text_of(failed) == "it broke"
        assert failed.structured_content == snapshot({"tool": "w/find", "isError": True, "result": "it broke"})
        assert (await refusal(client, "tool_call", name="w/denied"))[0] == snapshot(
            "tool 'w/denied' is denied by the policy of this Ostler"
        )
        assert (await refusal(client, "tool_call", name="x/y"))[0] == snapshot(
            "tool 'x/y' not found. Next: tool_list shows the tools"
        )
        world.faults["w/find"].append(Hang())
        text, error = await refusal(client, "tool_call", name="w/find", args={"name": "x"}, timeout="200ms")
        assert text == snapshot(
            "tool 'w/find' did not answer within 0.2s. Next: check what the tool did before calling it again; if it needs longer, raise what the caller allows it (0.2 s)"
        )
        assert error["retryable"]


async def test_a_huge_answer_is_cut_and_says_so() -> None:
    world = World()
    world.faults["w/find"].append(Answer("x" * 10_000_000))
    async with ledger(world) as app, Client(server_over(app)) as client:
        result = await client.call_tool("tool_call", {"name": "w/find", "args": {"name": "x"}})
    assert result.structured_content == {"tool": "w/find", "isError": False, "truncated": True}
    assert len(text_of(result)) < 300_000
    assert "cut: at most 262144" in text_of(result)


async def test_tools_are_searched_and_paged() -> None:
    async with ledger(World()) as app, Client(server_over(app)) as client:
        first = await call(client, "tool_list", limit=4)
        rest = await call(client, "tool_list", limit=4, cursor=first["nextCursor"])
        names = [tool["name"] for tool in first["tools"] + rest["tools"]]
        assert names == ["w/find", "w/health", "w/restart", "w/start", "w/status", "w/stop"]
        assert (await call(client, "tool_list", search="START resource"))["total"] == 2


# -- events, logs, classes ---------------------------------------------------------------------------------


async def test_events_go_on_from_a_cursor() -> None:
    async with ledger(World()) as app, Client(server_over(app)) as client:
        await call(client, "service_create", serviceClassName="basic", name="one")
        newest = await call(client, "service_events", name="one", limit=2)
        assert len(newest["events"]) == 2
        assert newest["cursor"] <= app.manager.events.last_cursor
        assert newest["events"][-1]["cursor"] <= newest["cursor"]
        assert (await call(client, "service_events", since=newest["cursor"]))["events"] == []
        states = await call(client, "service_events", since=0, kinds="state_changed", limit=1)
        assert states["truncated"]
        following = await call(client, "service_events", since=states["cursor"], kinds=["state_changed"])
        assert following["events"][0]["cursor"] > states["events"][0]["cursor"]
        text = text_of(await client.call_tool("service_events", {"since": 10_000}))
        assert "no event here has had the cursor 10000" in text, text


@pytest.mark.parametrize("wanted", [{}, {"name": "one"}, {"name": "one", "state": "running"}])
async def test_a_wait_from_a_cursor_that_never_was_says_so(wanted: dict[str, Any]) -> None:
    async with ledger(World()) as app, Client(server_over(app)) as client:
        await call(client, "service_create", serviceClassName="basic", name="one")
        waited = await call(client, "service_wait", cursor=10_000, **wanted)
        assert waited["met"]
        assert waited["events"]
        assert "no event here has had the cursor 10000" in waited["message"], waited["message"]
        following = await call(client, "service_wait", name="one", state="running", cursor=waited["cursor"])
        assert "cursor" not in following["message"], following["message"]


async def test_logs_are_bounded_from_the_old_end() -> None:
    async with ledger(World()) as app, Client(server_over(app)) as client:
        await call(client, "service_create", serviceClassName="basic", name="one")
        app.logs["one"] = [f"line {index} " + "x" * 1000 for index in range(500)]
        found = await call(client, "service_logs", name="one", lines=1000)
        assert found["lines"][-1].startswith("line 499")
        assert len("".join(found["lines"])) <= 64_000
        assert (await call(client, "service_logs", name="one", lines=2))["lines"] == app.logs["one"][-2:]


async def test_manifests_are_checked_and_saved() -> None:
    text = manifest().text
    async with ledger(World()) as app, Client(server_over(app)) as client:
        broken = await call(client, "serviceclass_validate", manifest=text.replace("tool: w/start", "tol: w/start"))
        assert broken["valid"] is False
        assert broken["findings"][0]["line"] > 0
        refused, error = await refusal(client, "serviceclass_create", manifest="kind: Nothing")
        assert "problem" in refused
        assert error["findings"]
        other = text.replace("name: basic", "name: other")
        created = await call(client, "serviceclass_create", manifest=other)
        assert created == snapshot(
            {"message": "ServiceClass other was created", "name": "other", "available": True, "missingTools": []}
        )
        assert "already exists" in (await refusal(client, "serviceclass_create", manifest=other))[0]
        await call(client, "service_create", serviceClassName="other", name="one")
        updated = await call(client, "serviceclass_update", name="other", manifest=other)
        assert updated["message"] == snapshot(
            "ServiceClass other was updated; one keep the version they were started with until restarted"
        )
        got = await call(client, "serviceclass_get", name="other")
        assert got["instances"] == ["one"]
        assert got["lifecycleTools"]["start"] == "w/start"
        assert "name: other" in got["manifest"]
        assert "has instances" in (await refusal(client, "serviceclass_delete", name="other"))[0]
        assert (await call(client, "serviceclass_delete", name="other", force=True))["message"] == snapshot(
            "ServiceClass other was deleted"
        )


def test_toolsets_are_nested() -> None:
    assert {tool.name for tool in tools_of("core")} < {tool.name for tool in tools_of("full")}


async def test_a_long_description_is_cut_between_words() -> None:
    text = " ".join(f"word{number:03}" for number in range(40))
    written = [BASIC.replace("a resource in the ledger", text).replace("name: basic", f"name: a{n}") for n in range(5)]
    async with ledger(World(), *(manifest(each) for each in written)) as app, Client(server_over(app)) as client:
        listed = await client.call_tool("serviceclass_list", {})
    for item in listed.structured_content["serviceClasses"]:
        words = item["description"].split()
        assert words[-1] == "…"
        assert set(words[:-1]) <= set(text.split())
    assert "… Args:" in text_of(listed)
