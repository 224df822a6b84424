"""Schemas and answers as client libraries and models need them: laws over every tool, not cases."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS
from pydantic.alias_generators import to_camel
from tests.support.ledger_app import call, ledger, refusal, server_over, text_of
from tests.support.tool_calls import EVERY_DAY_CALLS
from tests.support.world import Fail, World, manifest

from ostler.adapters.config.paths import Paths
from ostler.adapters.process.server import listed_tools
from ostler.engine.services.views import CreateRequest, OperationRequest
from ostler.faces.assembly import open_application
from ostler.faces.mcp.downstream_tools import MAX_SCHEMA_TEXT, schema_text
from ostler.faces.mcp.server import build_server
from ostler.faces.mcp.toolbox import NAMES, TOOLS, tools_of
from ostler.model.records import ServiceTraits
from ostler.model.states import HealthStatus, ServiceState

BLANKS: tuple[Any, ...] = (None, "", [], {})

KEYWORDS = {
    *("type", "properties", "items", "required", "additionalProperties", "enum", "anyOf"),
    *("description", "default", "minimum", "maximum", "pattern", "maxLength", "minLength", "maxItems", "minItems"),
    *("maxProperties", "exclusiveMinimum", "propertyNames"),
}
"""The words of JSON Schema that we use: a word of pydantic's own would be none of them."""


def nodes(schema: Any, *, names: bool = False) -> Iterator[dict[str, Any]]:
    """Yield every schema inside `schema`, itself included."""
    if isinstance(schema, list):
        for item in schema:
            yield from nodes(item)
    elif isinstance(schema, dict):
        if not names:
            yield schema
        for key, item in schema.items():
            if names or key in ("properties", "items", "anyOf", "additionalProperties"):
                yield from nodes(item, names=key == "properties" and not names)


ALL_SCHEMAS = [
    *((f"{tool.name}.input", tool.input_schema) for tool in (tool.tool() for tool in TOOLS)),
    *((f"{tool.name}.output", tool.output_schema) for tool in (tool.tool() for tool in TOOLS)),
    *((f"process.{tool.name}", tool.input_schema) for tool in listed_tools()),
    *((f"process.{tool.name}.output", tool.output_schema) for tool in listed_tools()),
]


@pytest.mark.parametrize("schema", [schema for _, schema in ALL_SCHEMAS], ids=[name for name, _ in ALL_SCHEMAS])
def test_schemas_are_json_schema_and_defaults_fit_them(schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["type"] == "object"
    for node in nodes(schema):
        assert set(node) <= KEYWORDS, node
        assert "type" in node or "anyOf" in node, node  # else it takes anything, of which the Inspector warns
        if "default" in node:
            jsonschema.validate(node["default"], node)


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_every_argument_is_described_and_free_objects_stay_free(tool: Any) -> None:
    for name, field in tool.tool().input_schema["properties"].items():
        assert field["description"], name
        for node in nodes(field):
            if node.get("type") == "object" and "properties" not in node:
                assert node["additionalProperties"] is True, name


def test_states_and_health_are_enumerated_where_they_are_chosen() -> None:
    inputs = {tool.name: tool.tool().input_schema["properties"] for tool in TOOLS}
    states = [state.value for state in ServiceState]
    assert inputs["service_list"]["state"]["items"]["enum"] == states
    # a wait for a state that passes may miss it: only those in which a service stays are offered
    offered = inputs["service_wait"]["state"]["items"]["enum"]
    assert {"running", "stopped", "failed", "deleted"} < set(offered) < {*states, "completed", "deleted", "ready"}
    assert not {"starting", "stopping", "waiting"} & set(offered)
    for tool in ("service_list", "service_wait"):
        assert inputs[tool]["health"]["items"]["enum"] == [status.value for status in HealthStatus]
    assert "state_changed" in inputs["service_events"]["kinds"]["items"]["enum"]


def test_descriptions_of_the_core_toolset_name_no_other_tool() -> None:
    core = {tool.name for tool in tools_of("core")}
    for tool in tools_of("core"):
        said = json.dumps(tool.tool().model_dump(mode="json", by_alias=True, exclude={"name"}))
        assert not [name for name in NAMES - core if name in said]


CALLS: dict[str, dict[str, Any]] = {
    **EVERY_DAY_CALLS,
    "service_plan": {"serviceClassName": "basic", "name": "two"},
    "service_wait": {"name": "one", "state": ["running"], "cursor": 0},
    "serviceclass_validate": {"manifest": "kind: Nothing"},
    "serviceclass_check": {"manifest": manifest().text.replace("w/start", "w/strt")},
    "mcpserver_create": {"name": "docker", "command": "docker"},
    "mcpserver_validate": {"name": "docker", "command": "docker"},
}


def leaves(value: Any) -> Iterator[str]:
    """Yield every text and number in `value`, as a text for models would have it."""
    match value:
        case bool() | None:
            pass
        case dict():
            for item in value.values():
                yield from leaves(item)
        case list():
            for item in value:
                yield from leaves(item)
        case str():
            yield value
        case _:
            yield json.dumps(value)


async def all_answers(client: Client) -> Iterator[tuple[str, Any]]:
    answers: list[tuple[str, Any]] = []
    for tool, arguments in CALLS.items():
        result = await client.call_tool(tool, arguments)
        assert not result.is_error, text_of(result)
        answers.append((tool, result))
    return iter(answers)


@pytest.mark.anyio
async def test_the_text_has_every_fact_of_the_structured_content() -> None:
    """Many clients hand models nothing but the text."""
    async with ledger(World()) as app, Client(server_over(app)) as client:
        app.logs["one"] = [f"line {index}" for index in range(120)]
        for tool, result in await all_answers(client):
            text = text_of(result)
            reported = text + json.dumps(text)
            facts = {
                key: value for key, value in result.structured_content.items() if key not in ("operationId", "tool")
            }
            found = [fact.strip() for fact in leaves(facts)]
            found = [fact.removeprefix("string, ") for fact in found if fact != "string"]  # the text says so once
            missing = [fact for fact in found if fact not in reported and json.dumps(fact)[1:-1] not in reported]
            assert not missing, (tool, missing, text)


@pytest.mark.anyio
async def test_output_schemas_name_every_key() -> None:
    schemas = {tool.name: set((tool.tool().output_schema or {})["properties"]) for tool in TOOLS}
    async with ledger(World()) as app, Client(server_over(app)) as client:
        for tool, result in await all_answers(client):
            assert set(result.structured_content) <= schemas[tool], tool


@pytest.mark.anyio
async def test_blanks_that_strict_clients_send_mean_not_given() -> None:
    async with ledger(World()) as app, Client(server_over(app)) as client:
        await call(client, "service_create", serviceClassName="basic", name="one")
        blank_of = {"boolean": False}
        for definition in TOOLS:
            if definition.name not in CALLS or definition.name in ("service_delete", "service_create"):
                continue
            given = CALLS[definition.name]
            schema = definition.tool().input_schema
            for blank in BLANKS:
                others = {
                    name: field.get("default", blank_of.get(field.get("type"), blank))
                    for name, field in schema["properties"].items()
                    if name not in given
                }
                plain = await client.call_tool(definition.name, given)
                if definition.name == "mcpserver_create":
                    app.server_changes.entries.clear()
                strict = await client.call_tool(definition.name, {**others, **given})
                if definition.name == "mcpserver_create":
                    app.server_changes.entries.clear()
                assert not strict.is_error, (definition.name, blank, text_of(strict))
                assert set(strict.structured_content) == set(plain.structured_content)
        await call(client, "service_start", name="one")  # whatever state the calls above left it in
        full = await client.call_tool("service_start", {"name": "one", "adopt": {}, "outputs": {}, "wait": True})
        assert full.structured_content["message"] == "service one is already running"
        text, _ = await refusal(client, "service_status", name="")
        assert "name is required" in text
        text, _ = await refusal(client, "service_list", limit=False, state="Runing")
        assert "use one of" in text
        assert (await call(client, "service_list", state="Running", lease=None, limit=""))["total"] == 1


@pytest.mark.anyio
async def test_events_end_where_the_text_says() -> None:
    async with ledger(World()) as app, Client(server_over(app)) as client:
        for index in range(12):
            await call(client, "service_create", serviceClassName="basic", name=f"s{index}")
        seen = 0
        while True:
            page = await client.call_tool("service_events", {"since": seen, "limit": 25})
            cursors = [event["cursor"] for event in page.structured_content["events"]]
            lines = [line for line in text_of(page).splitlines() if line.startswith("[")]
            assert [int(line[1:].partition("]")[0]) for line in lines] == cursors
            if not page.structured_content["truncated"]:
                break
            assert cursors[-1] == page.structured_content["cursor"]
            seen = cursors[-1]


def test_a_long_schema_is_whole_json_in_the_text_or_not_there() -> None:
    described = {f"a{index}": {"type": "string", "description": "x" * 100} for index in range(MAX_SCHEMA_TEXT // 100)}
    text = schema_text({"type": "object", "properties": described})
    kept, _, note = text.partition(" (descriptions left out)")
    assert set(json.loads(kept)["properties"]) == set(described)
    assert note == ""
    assert "description" not in kept
    endless = {f"a{index}": {"type": "string"} for index in range(MAX_SCHEMA_TEXT // 20)}
    assert "the structured content has it" in schema_text({"type": "object", "properties": endless})


@pytest.mark.anyio
async def test_a_small_toolset_is_advised_only_with_what_it_has() -> None:
    world = World()
    hidden = NAMES - {tool.name for tool in tools_of("core")}
    async with ledger(world) as app, Client(server_over(app, "core")) as client:
        world.faults["w/start"].append(Fail("no room"))
        said = [
            await client.call_tool("service_create", {"serviceClassName": "basic", "name": "one"}),
            await client.call_tool("service_create", {"serviceClassName": "basic", "args": {"sise": 1}}),
            await client.call_tool("service_create", {"serviceClassName": "nothing"}),
            await client.call_tool("serviceclass_list", {}),
            await client.call_tool("service_status", {"name": "nothing"}),
        ]
        await call(client, "service_create", serviceClassName="basic", name="two")
        said.append(
            await client.call_tool("service_create", {"serviceClassName": "basic", "name": "two", "args": {"size": 3}})
        )
        assert client.instructions is not None
        reported = [client.instructions, *(json.dumps(result.model_dump(mode="json")) for result in said)]
    for text in reported:
        assert not [name for name in hidden if name in text], text


@pytest.mark.anyio
async def test_a_cursor_of_nowhere_is_refused() -> None:
    async with ledger(World()) as app, Client(server_over(app)) as client:
        for listing in (client.list_tools, client.list_prompts, client.list_resources, client.list_resource_templates):
            with pytest.raises(MCPError) as refused:
                await listing(cursor="nowhere")
            assert refused.value.code == INVALID_PARAMS


@pytest.mark.anyio
@pytest.mark.realtime
async def test_the_usual_way_takes_few_tokens(state_dir: Path, tmp_path: Path) -> None:
    paths = Paths.resolve(str(tmp_path / "config"), str(state_dir / "state"))
    async with open_application(paths) as app, Client(build_server(app)) as client:
        await call(client, "service_wait", name="process", state=["connected"])
        web = {"serviceClassName": "static-web-server", "name": "web", "args": {"directory": str(tmp_path)}}
        said = [
            await client.call_tool("serviceclass_list", {}),
            await client.call_tool("service_create", web),
            await client.call_tool("service_status", {"name": "web"}),
            await client.call_tool("service_stop", {"name": "web"}),
        ]
    assert not [result for result in said if result.is_error]
    listed = said[0].structured_content["serviceClasses"]
    assert len(listed) >= 15
    assert [item["available"] for item in listed] == sorted((item["available"] for item in listed), reverse=True)
    assert all(item["reason"] for item in listed if not item["available"])
    own = str(paths.state_dir)  # how long the name of a test's folder is plays no part
    texts = [text_of(result).replace(own, "/home/dev/.local/state/ostler") for result in said]
    assert sum(len(text.encode()) for text in texts) / 4 <= 1_200


@pytest.mark.anyio
async def test_both_eras_are_told_the_same_of_what_can_change() -> None:
    announced: list[Any] = []
    async with ledger(World()) as app:
        for mode in ("legacy", "auto"):
            async with Client(server_over(app), mode=mode) as client:
                assert client.server_info is not None
                icon = (client.server_info.icons or [])[0]
                assert base64.b64decode(icon.src.removeprefix("data:image/png;base64,")).startswith(b"\x89PNG")
                announced.append(client.server_capabilities.model_dump(include={"tools", "prompts", "resources"}))
    assert announced[0] == announced[1]
    assert announced[0]["tools"] == {"list_changed": False}
    assert announced[0]["resources"] == {"subscribe": True, "list_changed": True}


@pytest.mark.anyio
async def test_lists_that_never_change_may_be_kept() -> None:
    async with ledger(World()) as app, Client(server_over(app)) as client:
        for fixed in (await client.list_tools(), await client.list_prompts(), await client.list_resource_templates()):
            assert fixed.ttl_ms == 3_600_000
        assert (await client.list_resources()).ttl_ms == 0


_OPERATIONS = {"service_start", "service_stop", "service_restart", "service_delete"}


@pytest.mark.parametrize(("form", "tools"), [(CreateRequest, {"service_create"}), (OperationRequest, _OPERATIONS)])
def test_every_argument_of_a_request_is_a_field_that_the_manager_takes(form: type[Any], tools: set[str]) -> None:
    taken = set(form.__struct_fields__) | {"name", "wait", "outputs", "changes"}  # changes: its overrides
    found = {tool.name: set(tool.args.model_fields) - taken for tool in TOOLS if tool.name in tools}
    assert found == {name: set() for name in tools}


@pytest.mark.parametrize("trait", ServiceTraits.__struct_fields__)
def test_what_a_create_says_about_a_service_is_an_argument_and_is_shown(trait: str) -> None:
    tools = {tool.name: tool for tool in TOOLS}
    assert trait in tools["service_create"].args.model_fields
    assert to_camel(trait) in (tools["service_get"].tool().output_schema or {})["properties"]
