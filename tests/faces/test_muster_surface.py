"""What `--toolset muster` publishes: its tools, their answers, and that no other toolset has any of it."""

import json
from dataclasses import replace  # noqa: TID251 (a dataclass)
from typing import Any

import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError
from tests.support.ledger_app import LedgerApplication, ledger, server_over, text_of
from tests.support.world import World

from ostler import BaseService, HealthStatus
from ostler.engine.protocols import ToolInfo
from ostler.faces.mcp.toolbox import TOOLS
from ostler.faces.muster.exposed_names import exposed
from ostler.faces.muster.meta_tools import META_TOOLS
from ostler.faces.muster.muster_json import server_state
from ostler.faces.muster.reachable_tools import CORE_TOOLS
from ostler.model.downstream_errors import DownstreamError
from ostler.model.states import ServiceState

pytestmark = pytest.mark.anyio


def over(app: LedgerApplication) -> Client:
    return Client(server_over(app, "muster"))


async def behind(client: Client, tool: str, **arguments: Any) -> tuple[bool, str]:
    """Call a tool through call_tool; return whether it is an error, and the text of its own result."""
    result = await client.call_tool("call_tool", {"name": tool, "arguments": arguments})
    envelope = json.loads(text_of(result))
    assert envelope["isError"] == result.is_error
    return envelope["isError"], "\n".join(block["text"] for block in envelope["content"])


@pytest.mark.parametrize("toolset", ["full", "core"])
async def test_other_toolsets_have_nothing_of_it(toolset: Any) -> None:
    async with ledger(World()) as app, Client(server_over(app, toolset)) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert names.isdisjoint(tool.name for tool in META_TOOLS)
        for name in ("call_tool", "core_service_list", "x_w_start"):
            with pytest.raises(MCPError, match="not found"):
                await client.call_tool(name, {})


async def test_only_the_meta_tools_are_listed() -> None:
    async with ledger(World()) as app, over(app) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert list(tools) == [
        *("list_tools", "describe_tool", "list_core_tools", "filter_tools", "call_tool"),
        *("list_resources", "filter_resources", "describe_resource", "get_resource"),
        *("list_prompts", "filter_prompts", "describe_prompt", "get_prompt"),
    ]
    assert tools["call_tool"].input_schema["required"] == ["name"]
    assert [name for name, tool in tools.items() if not (tool.annotations and tool.annotations.read_only_hint)] == [
        "call_tool"
    ]


async def test_every_tool_behind_call_tool_is_listed_and_described() -> None:
    async with ledger(World()) as app, over(app) as client:
        listed = json.loads(text_of(await client.call_tool("list_tools", {})))["tools"]
        names = [tool["name"] for tool in listed]
        assert {f"core_{name}" for name in CORE_TOOLS} <= set(names)
        assert {"x_w_start", "x_w_stop", "core_service_logs"} <= set(names)
        assert names == sorted(names)
        shown = json.loads(text_of(await client.call_tool("describe_tool", {"name": "core_service_create"})))
        assert shown["inputSchema"]["required"] == ["serviceClassName", "name"]
        core = json.loads(text_of(await client.call_tool("list_core_tools", {})))
        assert core["total"] == len(core["tools"]) == len([name for name in names if name.startswith("core_")])
        assert all("inputSchema" in tool for tool in core["tools"])


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"pattern": "x_w_st*"}, ["x_w_start", "x_w_status", "x_w_stop"]),
        ({"pattern": "X_W_STOP"}, ["x_w_stop"]),
        ({"pattern": "X_W_STOP", "case_sensitive": True}, []),
        ({"pattern": "x_*", "limit": 2, "offset": 1}, ["x_w_health", "x_w_restart"]),
        ({"pattern": "x_*", "limit": "1"}, ["x_w_find"]),
        ({"description_filter": "HEALTH a resource"}, ["x_w_health"]),
        ({"query": "find the ledger", "limit": 1}, ["x_w_find"]),
        ({"labels": {"team": "a"}}, []),
    ],
)
async def test_tools_are_filtered(arguments: dict[str, Any], found: list[str]) -> None:
    async with ledger(World()) as app, over(app) as client:
        page = json.loads(text_of(await client.call_tool("filter_tools", arguments)))
    assert [tool["name"] for tool in page["tools"]] == found
    assert page["filtered_count"] == len(found)
    assert page["truncated"] == (page["total"] > len(found) + page["filters"]["offset"])


async def test_a_filter_without_a_page_gives_everything_with_its_schema() -> None:
    async with ledger(World()) as app, over(app) as client:
        whole = json.loads(text_of(await client.call_tool("filter_tools", {"pattern": "core_*"})))
        brief = json.loads(text_of(await client.call_tool("filter_tools", {"include_schema": False})))
        paged = json.loads(text_of(await client.call_tool("filter_tools", {"pattern": "core_*", "offset": 1})))
    assert whole["filtered_count"] == whole["total"] > 25
    assert all("inputSchema" in tool and tool["description"] for tool in whole["tools"])
    assert brief["filtered_count"] == brief["total_tools"]
    assert not any("inputSchema" in tool for tool in brief["tools"])
    assert (paged["filtered_count"], paged["truncated"]) == (25, True)
    assert all(tool["summary"] and "inputSchema" not in tool for tool in paged["tools"])


@pytest.mark.parametrize(
    ("tool", "arguments", "text"),
    [
        ("describe_tool", {}, "name argument is required"),
        ("describe_tool", {"name": "x_w_stat"}, "Tool not found: x_w_stat; did you mean"),
        ("call_tool", {"name": "x_w_stat"}, "Tool execution failed: tool not found: x_w_stat"),
        ("call_tool", {"name": "core_workflow_list"}, "Ostler has no workflows"),
        ("call_tool", {"name": "workflow_deploy"}, "Ostler has no workflows"),
        ("call_tool", {"name": "core_auth_login"}, "ostler servers login"),
        ("call_tool", {"name": "core_service_list", "arguments": [1]}, "arguments must be a JSON object"),
        ("call_tool", {"nam": "core_service_list"}, "name argument is required"),
        ("call_tool", {"name": "x", "args": {}}, "unknown argument 'args'; did you mean 'arguments'?"),
        ("filter_tools", {"limit": 0}, "limit must be at least 1"),
        ("filter_tools", {"pattern": "x_["}, 'Invalid pattern "x_["'),
        ("filter_prompts", {"pattern": "[a"}, 'Invalid pattern "[a"'),
        ("filter_tools", {"offset": "x"}, "offset must be a number"),
        ("describe_resource", {"uri": "a://b"}, "Resource not found: a://b"),
        ("get_resource", {"uri": "a://b"}, "Resource retrieval failed: "),
        ("describe_prompt", {"name": "x"}, "Prompt not found: x"),
        ("get_prompt", {"name": "x"}, "Prompt retrieval failed: "),
    ],
)
async def test_what_cannot_be_done_is_an_error_result(tool: str, arguments: dict[str, Any], text: str) -> None:
    async with ledger(World()) as app, over(app) as client:
        result = await client.call_tool(tool, arguments)
    assert result.is_error
    assert text in text_of(result)


async def test_resources_and_prompts_are_reached_by_tools() -> None:
    async with ledger(World()) as app, over(app) as client:
        listed = json.loads(text_of(await client.call_tool("list_resources", {})))
        assert {"serviceclass://basic", "ostler://services"} <= {each["uri"] for each in listed}
        found = json.loads(text_of(await client.call_tool("filter_resources", {"pattern": "serviceclass://*"})))
        assert [each["server"] for each in found["resources"]] == ["ostler"]
        read = text_of(await client.call_tool("get_resource", {"uri": "ostler://services"}))
        assert json.loads(read)["total"] == 0
        prompts = json.loads(text_of(await client.call_tool("list_prompts", {})))
        assert "diagnose_service" in {each["name"] for each in prompts}
        described = json.loads(text_of(await client.call_tool("describe_prompt", {"name": "diagnose_service"})))
        (takes,) = [each["name"] for each in described["arguments"] if each["required"]]
        given = {"name": "diagnose_service", "arguments": {takes: "web"}}
        made = json.loads(text_of(await client.call_tool("get_prompt", given)))
        assert "web" in made[0]["content"]["text"]


async def test_the_policy_counts_behind_call_tool() -> None:
    async with ledger(World()) as app, over(app) as client:
        app.denied.add("service_create")
        listed = json.loads(text_of(await client.call_tool("list_tools", {})))["tools"]
        assert "core_service_create" not in {tool["name"] for tool in listed}
        is_error, text = await behind(client, "core_service_create", serviceClassName="basic", name="a")
        assert is_error
        assert "denied by the policy" in text
        app.pool.listed = [*app.pool.listed, ToolInfo("w", "denied", "", {"type": "object"})]
        is_error, text = await behind(client, "x_w_denied")
        assert is_error
        assert text.startswith("Tool execution failed: ")


async def test_the_tools_of_a_server_that_is_away_are_not_there() -> None:
    async with ledger(World()) as app, over(app) as client:
        app.pool.connected = False
        listed = json.loads(text_of(await client.call_tool("list_tools", {})))["tools"]
        assert not [tool["name"] for tool in listed if tool["name"].startswith("x_")]
        _, text = await behind(client, "core_serviceclass_available", name="basic")
        assert json.loads(text)["available"] is False
        assert "x_w_start" in json.loads(text)["missingTools"]
        _, text = await behind(client, "core_serviceclass_get", name="basic")
        assert not json.loads(text)["available"]
        assert not json.loads(text)["createToolAvailable"]
        app.pool.connected = True
        _, text = await behind(client, "core_serviceclass_available", name="basic")
        assert json.loads(text) == {"name": "basic", "available": True, "missingTools": []}


class Stopped(BaseService):
    """The server of the classes, which someone has stopped."""

    def __init__(self) -> None:
        super().__init__("w", "MCPServer", state=ServiceState.STOPPED)


async def test_a_class_whose_server_is_stopped_is_not_available() -> None:
    async with ledger(World()) as app, over(app) as client:
        app.manager.registry.register(Stopped())
        app.pool.connected = False
        is_error, text = await behind(client, "core_service_create", serviceClassName="basic", name="a")
        assert is_error
        assert "ServiceClass basic is not available (missing required tools): (x_w_find, x_w_health, x_w_start" in text
        assert "Next: core_service_start w starts the server again" in text
        assert app.manager.registry.find("a") is None
        _, text = await behind(client, "core_service_create", serviceClassName="basic", name="w")
        assert "static service with name w already exists" in text


class SignedOut(BaseService):
    """A server that wants someone to sign in."""

    def __init__(self) -> None:
        super().__init__("sso", "MCPServer", state=ServiceState.AUTH_REQUIRED)
        self.set_health(HealthStatus.UNHEALTHY)

    async def start(self) -> None:
        raise DownstreamError("the server demands authorisation")


async def test_a_server_that_wants_someone_to_sign_in_says_so() -> None:
    async with ledger(World()) as app, over(app) as client:
        app.manager.registry.register(SignedOut())
        _, text = await behind(client, "core_service_status", name="sso")
        assert (json.loads(text)["state"], json.loads(text)["health"]) == ("auth_required", "unknown")
        for act in ("start", "restart"):
            is_error, text = await behind(client, f"core_service_{act}", name="sso")
            assert is_error
            assert f"Failed to {act} service: failed to {act} service sso: Service 'sso' requires OAuth auth" in text
            assert "demands authorisation" in text


async def test_the_classes_that_come_with_ostler_are_listed_on_request() -> None:
    async with ledger(World()) as app, over(app) as client:
        app.classes.add(replace(app.classes.get("basic"), origin="shipped"))
        _, text = await behind(client, "core_serviceclass_list")
        assert json.loads(text)["total"] == 0
        _, text = await behind(client, "core_serviceclass_list", showAll=True)
        assert [each["name"] for each in json.loads(text)["serviceClasses"]] == ["basic"]


async def test_tools_behind_call_tool_are_answered_by_their_own_names_too() -> None:
    async with ledger(World()) as app, over(app) as client:
        made = await client.call_tool("core_service_create", {"serviceClassName": "basic", "name": "a"})
        assert json.loads(text_of(made))["state"] == "running"
        assert json.loads(text_of(await client.call_tool("x_w_status", {"name": "a"})))["state"] == "running"
        with pytest.raises(MCPError, match="call_tool calls the tools"):
            await client.call_tool("service_list", {})


async def test_advice_names_tools_as_they_are_called_here() -> None:
    async with ledger(World()) as app, over(app) as client:
        _, text = await behind(client, "core_service_start", name="nope")
        assert text == "Failed to start service: service nope not found. Next: core_service_list shows all names"
        _, text = await behind(client, "core_service_logs", name="nope")
        assert "core_service_list" in text


def test_names_begin_with_the_servers_once() -> None:
    assert exposed("git", "log") == "x_git_log"
    assert exposed("git", "git_log") == "x_git_log"
    assert exposed("kubernetes", "get_pods", "k8s") == "x_k8s_get_pods"


@pytest.mark.parametrize(
    ("state", "local", "remote"),
    [
        ("connected", "running", "connected"),
        ("stopped", "stopped", "disconnected"),
        ("disconnected", "failed", "disconnected"),
        ("unreachable", "failed", "unreachable"),
        ("auth_required", "auth_required", "auth_required"),
        ("starting", "starting", "starting"),
        ("failed", "failed", "failed"),
    ],
)
def test_states_are_called_by_how_a_server_is_reached(state: str, local: str, remote: str) -> None:
    found = ServiceState(state)
    assert [server_state(found, each) for each in ("stdio", "builtin", "http", "sse")] == [local, local, remote, remote]


def test_every_core_tool_is_one_that_a_policy_can_name() -> None:
    assert {tool.policy or tool.name for tool in CORE_TOOLS.values()} <= {tool.name for tool in TOOLS}
