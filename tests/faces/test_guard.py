"""What principals may do and see: everything goes through one guard, and what is hidden does not exist."""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError
from mcp_types import ResourceTemplateReference
from tests.support.ledger_app import call, ledger, quiet, refusal, text_of
from tests.support.team import Team, Trail
from tests.support.world import BASIC, Fail, Held, World, manifest

from ostler.engine.classes.catalogue import ClassCatalogue
from ostler.engine.events.log import EventLog
from ostler.engine.insight.preview import Planner
from ostler.engine.manager import ServiceManager
from ostler.engine.services.registry import ServiceRegistry
from ostler.engine.services.views import CreateRequest
from ostler.faces.access.guarded_manager import GuardedManager
from ostler.faces.access.guarded_projects import GuardedProjects
from ostler.faces.access.seen_classes import SeenClasses, SeenPlans
from ostler.faces.access.seen_services import SeenEvents, SeenRegistry
from ostler.faces.hosted_projects import HostedProjects
from ostler.faces.mcp.addresses import GRAPH
from ostler.faces.mcp.toolbox import NAMES, TOOLS
from ostler.model.access import USUAL_TOOLS
from ostler.model.errors import StoreError

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def team(*classes: Any, **policies: dict[str, Any]) -> AsyncGenerator[Team]:
    async with ledger(World(), *classes) as app:
        yield Team(app, policies or {"*": {}}, Trail())


# -- nothing is forgotten ----------------------------------------------------------------------------------


@pytest.mark.parametrize("guard", [GuardedManager, SeenRegistry, SeenEvents, SeenClasses, SeenPlans, GuardedProjects])
def test_a_guard_inherits_nothing_that_reaches_what_it_guards(guard: type) -> None:
    """What the engine gains does not exist for a principal until the guard says what becomes of it."""
    of_the_engine = (ServiceManager, ServiceRegistry, EventLog, ClassCatalogue, Planner, HostedProjects)
    assert not issubclass(guard, of_the_engine)
    inherited = {name for name in dir(guard) if not name.startswith("_")} - vars(guard).keys()
    over_others = {"get_service_state", "view", "views", "views_in_turns", "listed", "get_by_type", "followed"}
    assert inherited - over_others - {"start_service", "stop_service", "restart_service", "delete"} == set()


def test_every_tool_is_one_of_everyone_or_of_admins() -> None:
    assert USUAL_TOOLS <= NAMES
    assert {tool for tool in NAMES - USUAL_TOOLS if tool.startswith("service_")} == set()


# -- whose, and under which names --------------------------------------------------------------------------


async def test_what_a_principal_creates_is_its_own() -> None:
    async with team() as made, made.client("alice") as alice, made.client("bob") as bob:
        created = await call(alice, "service_create", serviceClassName="basic", name="web")
        assert created["service"]["name"] == "web.alice"
        assert (await call(alice, "service_get", name="web"))["owner"] == "alice"
        assert (await call(bob, "service_create", serviceClassName="basic", name="web"))["service"]["name"] == "web.bob"
        assert [one["name"] for one in (await call(alice, "service_list"))["services"]] == ["web.alice"]
        await call(alice, "service_stop", name="web")
        assert made.app.manager.view("web.alice").state.value == "stopped"
        assert made.app.manager.view("web.bob").state.value == "running"
        text, _ = await refusal(alice, "service_create", serviceClassName="basic", name="web.bob")
        assert "your services are called NAME.alice" in text
        text, _ = await refusal(alice, "service_create", serviceClassName="basic", name="x", owner="bob")
        assert "leave owner out" in text


async def test_a_generated_name_is_in_the_namespace_too() -> None:
    async with team() as made, made.client("alice") as alice:
        name = (await call(alice, "service_create", serviceClassName="basic"))["service"]["name"]
        assert name.endswith(".alice")
        assert (await call(alice, "service_plan", serviceClassName="basic", name="next"))["service"] == "next.alice"


async def test_local_clients_see_and_do_everything() -> None:
    async with team() as made, made.client("local") as local, made.client("alice") as alice:
        await call(local, "service_create", serviceClassName="basic", name="web")
        await call(alice, "service_create", serviceClassName="basic", name="web")
        assert {one["name"] for one in (await call(local, "service_list"))["services"]} == {"web", "web.alice"}
        await call(local, "service_delete", name="web.alice")
        assert made.trail.lines[-1]["from"] == "local"
        assert (await call(alice, "service_list"))["total"] == 0


async def test_seeing_is_not_managing() -> None:
    policies = {"alice": {"sees": ["bob"]}, "bob": {}, "carol": {"manages": ["bob"]}, "dave": {"seesShared": True}}
    async with team(**policies) as made:
        async with made.client("bob") as bob:
            await call(bob, "service_create", serviceClassName="basic", name="db", args={"password": "hidden-word"})
        await made.app.manager.create(CreateRequest("basic", "common"))
        async with made.client("alice") as alice:
            assert (await call(alice, "service_status", name="db.bob"))["state"] == "running"
            for tool in ("service_stop", "service_restart", "service_delete", "service_secrets"):
                text, error = await refusal(alice, tool, name="db.bob")
                assert (error["code"], "ask its owner, bob" in text) == ("access_denied", True)
            text, _ = await refusal(alice, "service_renew", name="db.bob", lease="1h")
            assert "may not change it" in text
        async with made.client("carol") as carol:
            assert "hidden-word" in json.dumps(await call(carol, "service_secrets", name="db.bob"))
            await call(carol, "service_delete", name="db.bob")
        async with made.client("dave") as dave:
            assert [one["name"] for one in (await call(dave, "service_list"))["services"]] == ["common"]
            await refusal(dave, "service_stop", name="common")


# -- what is hidden ----------------------------------------------------------------------------------------

SECRET = "zebra"


def calls_about(tool: str, schema: dict[str, Any], name: str) -> dict[str, Any]:
    """Return arguments of `tool` that name the service `name` wherever a name may stand."""
    filled: dict[str, Any] = {}
    for key, kind in schema["properties"].items():
        if key in ("name", "server", "owner", "project"):
            filled[key] = [name] if kind.get("type") == "array" or "array" in json.dumps(kind)[:60] else name
    if tool in ("service_create", "service_validate", "service_plan", "serviceclass_draft"):
        filled = {"serviceClassName": "basic", "name": "own"}
        if tool == "service_create":
            filled["overrides"] = {"dependsOn": [name]}
        if tool == "serviceclass_draft":
            filled = {"server": name}
    if tool == "service_wait":
        filled |= {"state": ["running"], "timeout": "10ms", "project": ""}
    return filled


def of_muster(tool: str, arguments: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the call of a tool behind `call_tool`; its create knows no overrides, so the name is what is probed."""
    if tool == "service_create" and arguments:
        arguments = {"serviceClassName": "basic", "name": arguments["overrides"]["dependsOn"][0]}
    return "call_tool", {"name": f"core_{tool}", "arguments": arguments}


@pytest.mark.parametrize("is_muster", [False, True])
async def test_no_tool_names_what_is_hidden(is_muster: bool) -> None:
    async with team() as made, made.client("alice", "muster" if is_muster else "full") as alice:
        async with made.client("bob") as bob:
            await call(bob, "service_create", serviceClassName="basic", name=SECRET, labels={"mine": SECRET})
        await made.app.manager.create(CreateRequest("basic", f"{SECRET}-shared"))
        for tool in TOOLS:
            schema = tool.tool().input_schema
            told = {}
            for name in ("", SECRET, "horse"):
                arguments = calls_about(tool.name, schema, f"{name}.bob") if name else {}
                arguments = {**arguments, "timeout": "10ms"} if tool.name == "service_wait" else arguments
                called = of_muster(tool.name, arguments) if is_muster else (tool.name, arguments)
                told[name] = (await said(alice, *called)).replace(f"{name}.bob" if name else "?", "NAME")
            assert SECRET not in "".join(told.values()), tool.name
            assert told[SECRET] == told["horse"], tool.name


async def said(client: Client, tool: str, arguments: dict[str, Any]) -> str:
    """Return all that a call answers, without what differs from call to call."""
    try:
        result = await client.call_tool(tool, arguments)
    except MCPError as error:
        return str(error)
    return json.dumps([text_of(result), result.structured_content], default=str)


async def test_no_resource_completion_or_prompt_names_what_is_hidden() -> None:
    async with team() as made, made.client("alice") as alice:
        async with made.client("bob") as bob:
            await call(bob, "service_create", serviceClassName="basic", name=SECRET)
        await call(alice, "service_create", serviceClassName="basic", name="web")
        uris = {str(resource.uri) for resource in (await alice.list_resources()).resources}
        assert "service://web.alice" in uris
        told = [json.dumps(sorted(uris))]
        told += [(await alice.read_resource(uri)).model_dump_json() for uri in sorted(uris)]
        for template in (await alice.list_resource_templates()).resource_templates:
            reference = ResourceTemplateReference(type="ref/resource", uri=template.uri_template)
            told.append(str(await alice.complete(reference, {"name": "name", "value": SECRET[:2]})))
        assert [text for text in told if SECRET in text] == []
        for part in ("", "/outputs", "/events", "/logs"):
            errors = []
            for name in (f"{SECRET}.bob", "horse.bob"):
                with pytest.raises(MCPError) as caught:
                    await alice.read_resource(f"service://{name}{part}")
                errors.append(str(caught.value).replace(name, "?"))
            assert errors[0] == errors[1]


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_events_and_changes_of_others_are_not_heard_of(mode: Any) -> None:
    async with team() as made, made.client("alice", mode=mode) as alice, made.client("bob") as bob:
        start = (await call(alice, "service_events"))["cursor"]
        await call(bob, "service_create", serviceClassName="basic", name=SECRET)
        await call(bob, "service_delete", name=SECRET)
        assert (await call(alice, "service_events", since=start))["events"] == []
        assert (await call(alice, "service_wait", cursor=start, timeout="10ms"))["met"] is False
        await call(alice, "service_create", serviceClassName="basic", name="web")
        await call(alice, "service_delete", name="web")
        heard = (await call(alice, "service_events", since=start))["events"]
        assert {event["service"] for event in heard} == {"web.alice"}
        assert heard[-1]["kind"] == "service_deleted"


async def test_a_service_that_others_depend_on_does_not_name_them() -> None:
    policies = {"alice": {}, "bob": {"sees": ["alice"]}, "carol": {"sees": ["bob"]}}
    async with team(**policies) as made:
        alice, bob, carol = (made.client(name) for name in policies)
        async with alice, bob, carol:
            await call(alice, "service_create", serviceClassName="basic", name="zebra-db")
            overrides = {"dependsOn": ["zebra-db.alice"]}
            await call(bob, "service_create", serviceClassName="basic", name="web", overrides=overrides)
            assert (await call(bob, "service_get", name="web"))["dependencies"] == ["zebra-db.alice"]
            stopped = await alice.call_tool("service_stop", {"name": "zebra-db"})
            assert "web.bob" not in text_of(stopped)
            assert "(hidden)" in text_of(stopped)
            _, error = await refusal(alice, "service_stop", name="zebra-db", dependents=True)
            assert "web.bob" not in json.dumps(error)
            with anyio.fail_after(600):
                while "zebra-db" not in json.dumps(await call(bob, "service_get", name="web")):
                    await anyio.sleep(0.01)
            for tool in ("service_get", "service_status", "service_explain", "service_events", "service_list"):
                arguments = {} if tool == "service_list" else {"name": "web.bob"}
                answer = await carol.call_tool(tool, arguments)
                assert not answer.is_error, text_of(answer)
                assert "zebra" not in json.dumps([text_of(answer), answer.structured_content], default=str)
            graph = (await carol.read_resource(GRAPH)).model_dump_json()
            assert "zebra" not in graph


async def test_a_class_cannot_be_used_to_reach_what_is_hidden() -> None:
    text = BASIC.replace("size:", "other: {type: string, default: none}\n    size:", 1).replace("basic", "user")
    picks = manifest(text, dependencies=[{"name": "{{ other }}"}], healthCheck__initialDelay="1h")
    binds = manifest(BASIC.replace("basic", "binder"), dependencies=[{"serviceClassName": "basic"}])
    async with (
        team(quiet(), picks, binds, alice={}, bob={}) as made,
        made.client("alice") as alice,
        made.client("bob") as bob,
    ):
        await call(bob, "service_create", serviceClassName="basic", name="db")
        for need in ({}, {"required": False}):
            overrides = {"dependsOn": {"db.bob": need}}
            told, _ = await refusal(alice, "service_create", serviceClassName="basic", name="web", overrides=overrides)
            assert "service 'db.bob' not found" in told
        for tool in ("service_create", "service_plan"):
            told, _ = await refusal(alice, tool, serviceClassName="user", name="web", args={"other": "db.bob"})
            assert "service 'db.bob' not found" in told
            assert "db.bob" not in await said(alice, tool, {"serviceClassName": "binder", "name": "bound"})
        for overrides in ({"env": {"LD_PRELOAD": "/tmp/evil.so"}}, {"envFile": "/etc/passwd"}):
            _, error = await refusal(alice, "service_create", serviceClassName="basic", name="web", overrides=overrides)
            assert error["code"] == "access_denied"
            assert "root:" not in json.dumps(error)
        await call(alice, "service_create", serviceClassName="basic", name="web", start=False)
        told, _ = await refusal(alice, "service_start", name="web", adopt=True, outputs={"id": "r1"})
        assert "another's" in told


async def test_a_full_class_names_only_instances_that_are_seen() -> None:
    async with team(quiet(maxInstances=2)) as made, made.client("alice") as alice, made.client("bob") as bob:
        await call(bob, "service_create", serviceClassName="basic", name=SECRET)
        await call(alice, "service_create", serviceClassName="basic", name="web")
        told, error = await refusal(alice, "service_create", serviceClassName="basic", name="more")
        assert "allows 2 (maxInstances): web.alice" in told
        assert SECRET not in told + json.dumps(error)


async def test_a_hidden_service_whose_name_ends_with_ones_own_namespace_is_hidden_all_the_same() -> None:
    """A project called carol, or an admin, may have made `web.carol`."""
    fixed = manifest(BASIC.replace("basic", "fixed"), defaultName="web")
    async with team(quiet(), fixed, carol={}) as made, made.client("carol") as carol:
        await made.app.manager.create(CreateRequest("basic", "web.carol"))
        made.app.logs["web.carol"] = [SECRET]
        for name in ("web", "web.carol"):
            _, error = await refusal(carol, "service_logs", name=name)
            assert error["code"] == "not_found"
        with pytest.raises(MCPError, match="not found"):
            await carol.read_resource("service://web.carol/logs")
        for tool in ("service_create", "service_plan"):
            for arguments in ({"name": "web"}, {"name": "web", "args": {"size": 2}}, {"serviceClassName": "fixed"}):
                told, error = await refusal(carol, tool, **{"serviceClassName": "basic", **arguments})
                assert told.startswith("the name 'web.carol' is taken")
                assert "ledger://" not in json.dumps(error)
        overrides = {"dependsOn": ["web.carol"]}
        told, _ = await refusal(carol, "service_create", serviceClassName="basic", name="app", overrides=overrides)
        assert "service 'web.carol' not found" in told


async def test_what_a_service_was_given_and_gives_does_not_name_what_is_hidden() -> None:
    text = BASIC.replace("size:", "other: {type: string, default: none}\n    size:", 1).replace("basic", "user")
    picks = manifest(
        text, dependencies=[{"name": "{{ other }}"}], healthCheck__initialDelay="1h", outputs={"db": "at {{ other }}"}
    )
    policies = {"alice": {}, "bob": {"sees": ["alice"]}, "carol": {"sees": ["bob"]}}
    async with team(quiet(), picks, **policies) as made, made.client("bob") as bob, made.client("carol") as carol:
        async with made.client("alice") as alice:
            await call(alice, "service_create", serviceClassName="basic", name="zebra")
        given = {"args": {"other": "zebra.alice"}, "purpose": "for zebra.alice"}
        await call(bob, "service_create", serviceClassName="user", name="web", **given)
        assert (await call(bob, "service_get", name="web"))["outputs"] == {"db": "at zebra.alice"}
        seen = await call(carol, "service_get", name="web.bob")
        assert (seen["args"]["other"], seen["outputs"]) == ("(hidden)", {"db": "at (hidden)"})
        uris = ("service://web.bob", "service://web.bob/outputs", "ostler://dashboard", "ostler://services")
        told = [await said(carol, tool, {"name": "web.bob"}) for tool in ("service_get", "service_status")]
        told += [(await carol.read_resource(uri)).model_dump_json() for uri in uris]
        assert [text for text in told if "zebra" in text] == []


# -- what is allowed ---------------------------------------------------------------------------------------


async def test_classes_and_tools_are_those_of_the_policy() -> None:
    policies = {"alice": {"classes": ["ba*"], "tools": ["w/st*"], "denyTools": ["ostler/service_restart"]}, "bob": {}}
    other = manifest(BASIC.replace("basic", "other"))
    async with team(quiet(), other, **policies) as made:
        async with made.client("alice") as alice:
            assert [one["name"] for one in (await call(alice, "serviceclass_list"))["serviceClasses"]] == ["basic"]
            absent, _ = await refusal(alice, "service_create", serviceClassName="nothing")
            hidden, _ = await refusal(alice, "service_create", serviceClassName="other")
            assert hidden == absent.replace("nothing", "other")
            assert {tool["name"] for tool in (await call(alice, "tool_list"))["tools"]} == {
                "w/start",
                "w/stop",
                "w/status",
            }
            await call(alice, "tool_call", name="w/start", args={"name": "x"})
            for name in ("w/find", "ostler/service_list"):
                _, error = await refusal(alice, "tool_call", name=name)
                assert error["code"] == "tool_denied"
            _, error = await refusal(alice, "service_restart", name="web")
            assert error["code"] == "tool_denied"
        async with made.client("bob") as bob:
            assert (await call(bob, "tool_list"))["tools"] == []
            _, error = await refusal(bob, "tool_call", name="w/start")
            assert error["code"] == "tool_denied"


@pytest.mark.parametrize("is_muster", [False, True])
async def test_what_is_for_admins_is_refused_to_others(is_muster: bool) -> None:
    async with team(ada={"admin": True}, bob={}) as made:
        async with made.client("bob", "muster" if is_muster else "full") as bob:
            for tool in sorted(NAMES - USUAL_TOOLS):
                called = of_muster(tool, {}) if is_muster else (tool, {})
                assert f"tool '{tool}' is denied" in await said(bob, *called)
            tried = {target for who, _, target, outcome in made.trail.told() if (who, outcome) == ("bob", "refused")}
            assert {"serviceclass_delete", "mcpserver_create", "project_up"} <= tried
            assert {"config_get", "project_status"}.isdisjoint(tried)
            assert made.trail.lines[0]["tool"].endswith(made.trail.lines[0]["target"])
            if is_muster:
                refused = await said(bob, "call_tool", {"name": "core_config_reload", "arguments": {}})
                assert "tool 'config_get' is denied" in refused
        async with made.client("ada") as ada:
            await call(ada, "config_get")
            await call(ada, "mcpserver_create", name="new", command="true")
            created = await call(ada, "service_create", serviceClassName="basic", name="web")
            assert created["service"]["name"] == "web"
            assert (await call(ada, "service_get", name="web"))["owner"] == "ada"


async def test_only_the_folders_that_admins_name_hold_leases() -> None:
    async with team(ada={"admin": True}, bob={}) as made:
        for who, held in (("bob", set[str]()), ("ada", {"/srv/shop"})):
            async with made.client(who) as client:
                await client.call_tool("service_list", {"directory": "/srv/shop"})
            assert made.app.projects.clients.present() == held


async def test_a_policy_is_in_force_at_once_and_none_means_nothing() -> None:
    async with team(alice={}) as made, made.client("alice") as alice:
        await call(alice, "service_create", serviceClassName="basic", name="web")
        made.policies["alice"] = {"denyTools": ["ostler/service_list"]}
        _, error = await refusal(alice, "service_list")
        assert error["code"] == "tool_denied"
        del made.policies["alice"]
        _, error = await refusal(alice, "service_status", name="web")
        assert error["code"] == "tool_denied"


async def test_quotas() -> None:
    async with team(alice={"maxServices": 2, "startsPerHour": 3}) as made, made.client("alice") as alice:
        for name in ("one", "two"):
            await call(alice, "service_create", serviceClassName="basic", name=name)
        told, error = await refusal(alice, "service_create", serviceClassName="basic", name="three")
        assert (error["code"], "maxServices = 2" in told) == ("quota", True)
        await call(alice, "service_restart", name="one")
        told, error = await refusal(alice, "service_restart", name="one")
        assert (error["code"], "startsPerHour = 3" in told, "try again in 1h" in told or "59m" in told) == (
            "quota",
            True,
            True,
        )
        await call(alice, "service_stop", name="one")


@pytest.mark.virtual
async def test_starts_before_a_restart_of_the_server_count() -> None:
    async with team(alice={"startsPerHour": 3}) as before:
        made = Team(before.app, before.policies, before.trail, {"alice": [3590.0, 1800.0], "bob": [1.0] * 9})
        async with made.client("alice") as alice:
            await call(alice, "service_create", serviceClassName="basic", name="web")
            told, _ = await refusal(alice, "service_restart", name="web")
            assert "try again in 10s" in told
            await anyio.sleep(11)
            await call(alice, "service_restart", name="web")
        assert [line["outcome"] for line in before.trail.lines if line.get("starts")] == [
            "begun", "done", "begun", "refused", "begun", "done",
        ]  # fmt: skip


@pytest.mark.virtual
async def test_starts_before_a_restart_grow_old_before_their_principal_comes() -> None:
    async with team(alice={"startsPerHour": 1}) as before:
        made = Team(before.app, before.policies, before.trail, {"alice": [1800.0]})
        await anyio.sleep(1790)
        async with made.client("alice") as alice:
            told, _ = await refusal(alice, "service_create", serviceClassName="basic", name="web")
            assert "try again in 10s" in told
            await anyio.sleep(11)
            await call(alice, "service_create", serviceClassName="basic", name="web")


async def test_whose_a_removed_service_was_is_known_after_a_restart_of_the_server() -> None:
    policies = {"alice": {}, "bob": {"sees": ["alice"]}}
    async with team(**policies) as before:
        async with before.client("alice") as alice, before.client("local") as local:
            await call(alice, "service_create", serviceClassName="basic", name="web")
            await call(local, "service_create", serviceClassName="basic", name="zebra.alice")  # as in a project alice
            for client, name in ((alice, "web"), (local, "zebra.alice")):
                await call(client, "service_delete", name=name)
        after = Team(before.app, policies, Trail())
        for name in policies:
            async with after.client(name) as client:
                heard = (await call(client, "service_events"))["events"]
                assert {event["service"] for event in heard} == {"web.alice"}


async def test_a_quota_is_that_of_the_owner_and_a_repeated_create_needs_no_room() -> None:
    policies = {"alice": {"manages": ["bob"], "maxServices": 1}, "bob": {"maxServices": 2}}
    async with team(quiet(), **policies) as made, made.client("alice") as alice:
        for name in ("one", "two"):
            await call(alice, "service_create", serviceClassName="basic", name=name, owner="bob")
        told, _ = await refusal(alice, "service_create", serviceClassName="basic", name="three", owner="bob")
        assert "'bob' has 2 services" in told
        for is_new in (True, False):
            created = await call(alice, "service_create", serviceClassName="basic", name="mine")
            assert created["changed"] is is_new
        await refusal(alice, "service_create", serviceClassName="basic", name="more")


@pytest.mark.parametrize("tool", ["call_tool", "x_w_status"])
async def test_the_tools_of_muster_are_no_way_around_a_denied_tool_call(tool: str) -> None:
    policies = {"alice": {"tools": ["w/*"], "denyTools": ["ostler/tool_call"]}}
    arguments = {"name": "x_w_status", "arguments": {"name": "x"}} if tool == "call_tool" else {"name": "x"}
    async with team(**policies) as made, made.client("alice", "muster") as alice:
        told = await said(alice, tool, arguments)
        assert "tool 'tool_call' is denied" in told
        assert made.trail.told() == [("alice", "denied", "tool_call", "refused")]
        made.policies["alice"] = {"tools": ["w/*"], "confirmTools": ["ostler/tool_call"]}
        told = await said(alice, tool, arguments)
        assert "confirm" in told
        assert "absent" not in told
        assert made.trail.told()[1:] == [("alice", "denied", "w/status", "refused")]
        made.policies["alice"] = {"tools": ["w/*"]}
        assert "absent" in await said(alice, tool, arguments)


async def test_a_burst_of_creates_does_not_get_past_the_quota() -> None:
    async with team(alice={"maxServices": 3}) as made, made.client("alice") as alice:
        failed: list[str] = []

        async def create(number: int) -> None:
            result = await alice.call_tool("service_create", {"serviceClassName": "basic", "name": f"n{number}"})
            failed.extend([text_of(result)] if result.is_error else [])

        async with anyio.create_task_group() as group:
            for number in range(8):
                group.start_soon(create, number)
        assert len(failed) == 5
        assert (await call(alice, "service_list"))["total"] == 3


@pytest.mark.parametrize("name", [{"name": "slow"}, {}])
async def test_a_service_that_is_starting_counts_once(name: dict[str, str]) -> None:
    async with team(alice={"maxServices": 2}) as made, made.client("alice") as alice:
        held = Held(anyio.Event())
        made.app.pool.world.faults["w/start"].append(held)
        async with anyio.create_task_group() as group:
            group.start_soon(partial(alice.call_tool, "service_create", {"serviceClassName": "basic", **name}))
            while not made.app.pool.world.calls:
                await anyio.sleep(0.01)
            await call(alice, "service_create", serviceClassName="basic", name="second")
            assert len(made.trail.lines) == 3  # the first is still starting
            held.goes_on.set()


# -- the audit log -----------------------------------------------------------------------------------------


async def test_every_change_is_recorded_before_it_begins_and_how_it_ended() -> None:
    async with team(alice={}, bob={}) as made, made.client("alice") as alice, made.client("local") as local:
        await call(alice, "service_create", serviceClassName="basic", name="web", args={"password": "hidden-word"})
        await call(alice, "service_secrets", name="web")
        await refusal(alice, "tool_call", name="w/start")
        await refusal(alice, "service_create", serviceClassName="basic", name="web", args={"size": 7})
        await call(local, "service_delete", name="web.alice")
        assert made.trail.told() == [
            ("alice", "create", "basic web.alice", "begun"),
            ("alice", "create", "basic web.alice", "done"),
            ("alice", "secrets", "web.alice", "begun"),
            ("alice", "secrets", "web.alice", "done"),
            ("alice", "call", "w/start", "refused"),
            ("alice", "create", "basic web.alice", "begun"),
            ("alice", "create", "basic web.alice", "failed"),
            ("local", "delete", "web.alice", "begun"),
            ("local", "delete", "web.alice", "done"),
        ]
        assert "hidden-word" not in json.dumps(made.trail.lines)
        assert made.trail.lines[0]["tool"] == "service_create"
        assert made.trail.lines[0]["id"] == made.trail.lines[1]["id"]


async def test_what_cannot_be_recorded_is_not_done() -> None:
    async def full(facts: Mapping[str, Any]) -> None:
        raise StoreError("no space is left")

    async with team(alice={}) as made, made.client("alice") as alice:
        made.trail.record = full  # type: ignore[method-assign]
        await refusal(alice, "service_create", serviceClassName="basic", name="web")
        assert made.app.manager.listed() == []


async def test_an_end_that_cannot_be_recorded_is_logged_and_told_to_the_caller(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def nearly_full(facts: Mapping[str, Any]) -> None:
        if facts["outcome"] != "begun":
            raise StoreError("no space is left")

    async with team(alice={}) as made, made.client("alice") as alice:
        made.trail.record = nearly_full  # type: ignore[method-assign]
        made.app.pool.world.faults["w/stop"].append(Fail("it is busy"))
        assert (await call(alice, "service_create", serviceClassName="basic", name="web"))["changed"]
        text, _ = await refusal(alice, "service_stop", name="web")
        assert "it is busy" in text
        assert "create of 'basic web.alice' by alice" in caplog.text
        assert "stop of 'web.alice' by alice" in caplog.text
