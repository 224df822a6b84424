"""Finding, adding and drafting classes through the MCP tools."""

from pathlib import Path

import pytest
from mcp.client import Client
from tests.support.ledger_app import call, ledger, quiet, refusal, server_over
from tests.support.world import World

from ostler.engine.classes.catalogue import ClassEntry
from ostler.engine.protocols import ToolInfo
from ostler.rules.reading import load_manifests

pytestmark = pytest.mark.anyio

CLASSES = Path(__file__).parents[2] / "serviceclasses"


def shipped(name: str) -> ClassEntry:
    [loaded] = load_manifests((CLASSES / f"{name}.yaml").read_text(encoding="utf-8"), name)
    return ClassEntry.of(loaded, origin="shipped")


async def test_a_search_looks_at_labels_and_servers_too() -> None:
    classes = (quiet(), shipped("docker-redis"), shipped("redis"), shipped("browser"))
    async with ledger(World(), *classes) as app, Client(server_over(app)) as client:
        found = await call(client, "serviceclass_list", search="category=database server=docker")
        assert [item["name"] for item in found["serviceClasses"]] == ["docker-redis"]
        assert found["serviceClasses"][0]["missingServers"] == ["docker"]
        both = await call(client, "serviceclass_list", search="program=redis")
        assert [item["name"] for item in both["serviceClasses"]] == ["docker-redis", "redis"]


async def test_availability_says_how_the_missing_server_is_added() -> None:
    async with ledger(World(), shipped("docker-redis")) as app, Client(server_over(app)) as client:
        answer = await call(client, "serviceclass_available", name="docker-redis")
        assert answer["available"] is False
        assert answer["missingServers"] == ["docker"]
        assert answer["addToMcpJson"] == {"docker": {"command": "uvx", "args": ["mcp-server-docker"]}}
        text = (await client.call_tool("serviceclass_available", {"name": "docker-redis"})).content[0]
        assert text.type == "text"
        assert 'Add to "mcpServers" in mcp.json:\n  "docker": {"command"' in text.text


async def test_a_draft_from_a_server_s_tools_can_be_created_and_run() -> None:
    async with ledger(World()) as app, Client(server_over(app)) as client:
        draft = await call(client, "serviceclass_draft", server="w", name="drafted")
        [loaded] = load_manifests(draft["manifest"], "draft")
        tools = loaded.service_class.tools
        assert (loaded.service_class.name, tools.start.tool, tools.stop.tool) == ("drafted", "w/start", "w/stop")
        validated = await call(client, "serviceclass_validate", manifest=draft["manifest"])
        assert (validated["valid"], validated["missingTools"]) == (True, [])
        assert (await call(client, "serviceclass_create", manifest=draft["manifest"]))["name"] == "drafted"


async def test_what_cannot_be_drafted_is_explained() -> None:
    async with ledger(World()) as app, Client(server_over(app)) as client:
        _, error = await refusal(client, "serviceclass_draft", server="x")
        assert error["code"] == "not_found"
        text, _ = await refusal(client, "serviceclass_draft", server="w", start="nope")
        assert "has no pair of tools with start='nope'" in text
        text, _ = await refusal(client, "serviceclass_draft", stop="stop")
        assert "stop: only with 'server'" in text


async def test_a_draft_reads_what_descriptions_say_of_arguments() -> None:
    said = """Run a command in the background.

    Args:
        command: what runs there
    """
    needs = {"properties": {"command": {"type": "string"}}, "required": ["command"]}
    async with ledger(World()) as app, Client(server_over(app)) as client:
        app.pool.listed = [
            ToolInfo("w", "start_job", said, needs),
            ToolInfo("w", "stop_job", "Stop a job.", {"properties": {"job_id": {"type": "string"}}}),
        ]
        draft = await call(client, "serviceclass_draft", server="w")
    assert 'description: "what runs there"' in draft["manifest"]
