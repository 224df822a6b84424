"""The meta-tools that find tools and call them."""

import json
import re
from collections.abc import Callable, Iterator
from typing import cast

from mcp_types import CallToolResult, TextContent

from ostler.adapters.serving.answers import clipped
from ostler.adapters.serving.problems import near
from ostler.engine.services.service import way_to_enable
from ostler.faces.muster.core_tool import flag_arg, text_arg
from ostler.faces.muster.dispatch import call_reachable, failed, text_result
from ostler.faces.muster.exposed_names import EXTERNAL, tool_prefix
from ostler.faces.muster.meta_request import (
    DEFAULT_LIMIT,
    Request,
    block_json,
    case_of,
    json_result,
    name_filter,
    number,
)
from ostler.faces.muster.reachable_tools import Reachable, reachable
from ostler.model.json import JsonObject, JsonValue, parse_json, present

_INSTEAD = {
    "core_auth": "a person signs in to a server, with 'ostler servers login NAME' on the command line",
    "core_config": "where the server listens is said when it is started, as by 'ostler serve --http HOST:PORT'. "
    "Next: core_config_get shows the settings, and core_mcpserver_update changes a server's toolPrefix",
    "core_events": "core_service_events shows what happened",
}
"""What muster has and Ostler does otherwise, by what the names of muster's tools begin with."""

_WITH_PAGES = ("query", "labels", "limit", "offset")
"""Arguments of filter_tools that muster did not have at first."""

MAX_SUMMARY = 120
"""Characters of a description in a page of tools."""


async def list_tools(request: Request, args: JsonObject) -> CallToolResult:
    """List every tool that call_tool reaches."""
    del args
    app = request.app
    tools = [{"name": tool.name, "description": tool.description} for tool in reachable(app)]
    waiting = [entry for entry in app.server_entries() if entry.get("state") == "auth_required"]
    servers = [{"name": entry["name"], "status": "auth_required", "message": entry.get("reason")} for entry in waiting]
    return json_result({"tools": tools, **present({"servers_requiring_auth": servers})})


async def describe_tool(request: Request, args: JsonObject) -> CallToolResult:
    """Show one tool with its schemas."""
    name, tools = text_arg(args, "name"), reachable(request.app)
    tool = next((each for each in tools if each.name == name), None)
    if tool is None:
        return failed(f"Tool not found: {name}{near(name, [each.name for each in tools])}")
    how = f'Call it with call_tool {{"name": "{name}", "arguments": {{…}}}}'
    return json_result({
        "name": tool.name,
        "description": tool.description,
        "inputSchema": tool.input_schema,
        "kind": tool.kind,
        "invocation": how,
        **present({
            "server": tool.server,
            "title": tool.title,
            "annotations": tool.annotations,
            "outputSchema": tool.output_schema,
        }),
    })  # fmt: skip


async def list_core_tools(request: Request, args: JsonObject) -> CallToolResult:
    """List muster's own tools."""
    wanted = {"pattern": "core*", "include_schema": flag_arg(args, "include_schema", default=True)}
    return _filtered(request, wanted, limit=0, whole=True)


async def filter_tools(request: Request, args: JsonObject) -> CallToolResult:
    """Find tools by name, description or words.

    Muster gave everything, with schemas, before it had pages; who asks for none of what came with them still gets that.
    """
    if all(args.get(key) in (None, "", {}) for key in _WITH_PAGES):
        wanted = {**args, "include_schema": flag_arg(args, "include_schema", default=True)}
        return _filtered(request, wanted, limit=0, whole=True)
    return _filtered(request, args, limit=number(args, "limit", DEFAULT_LIMIT, least=1))


def _filtered(request: Request, args: JsonObject, *, limit: int, whole: bool = False) -> CallToolResult:
    everything = reachable(request.app)
    if not everything:
        return text_result("No tools available to filter")
    wide, query = flag_arg(args, "include_schema"), text_arg(args, "query")
    fits = name_filter(args)
    matching = [(tool, _score(query, tool) if query else 0.0) for tool in everything if _matches(tool, args, fits)]
    if query:
        matching = sorted((pair for pair in matching if pair[1]), key=lambda pair: -pair[1])
    offset = number(args, "offset", 0, least=0)
    shown = matching[offset : offset + limit] if limit else matching[offset:]
    return json_result({
        "filters": {**args, "case_sensitive": flag_arg(args, "case_sensitive"), "include_schema": wide, "limit": limit,
                    "offset": offset},
        "total_tools": len(everything),
        "filtered_count": len(shown),
        "total": len(matching),
        "truncated": offset + len(shown) < len(matching),
        "tools": [_found(tool, score, wide=wide, whole=whole) for tool, score in shown],
    })  # fmt: skip


def _found(tool: Reachable, score: float, *, wide: bool, whole: bool) -> JsonObject:
    summary = clipped(" ".join(tool.description.split()), MAX_SUMMARY)
    return {
        "name": tool.name,
        **({} if wide and not whole else {"summary": summary}),
        **({"description": tool.description} if wide or whole else {}),
        "kind": tool.kind,
        **present({"server": tool.server, "score": score or None, "annotations": tool.annotations}),
        **({"inputSchema": tool.input_schema} if wide else {}),
    }


def _matches(tool: Reachable, args: JsonObject, fits: Callable[[str], bool]) -> bool:
    """Whether a tool has the wanted name and description; it has no labels, so none of them fits."""
    fold = case_of(args)
    words = fold(text_arg(args, "description_filter"))
    return not args.get("labels") and fits(tool.name) and words in fold(tool.description)


def _score(query: str, tool: Reachable) -> float:
    """Return how well a tool fits words: those in its name count three times."""
    name, about = (set(re.findall(r"[a-z0-9]+", text.lower())) for text in (tool.name, tool.description))
    words = re.findall(r"[a-z0-9]+", query.lower())
    return sum(3.0 * (word in name) + 1.0 * (word in about) for word in words)


async def call_tool(request: Request, args: JsonObject) -> CallToolResult:
    """Call a tool; its whole result is the JSON in the text."""
    given: JsonValue = args.get("arguments")
    if isinstance(given, str) and given.strip().startswith("{"):
        try:
            given = parse_json(given)
        except ValueError:
            return failed("arguments must be a JSON object")
    if given is not None and given != "" and not isinstance(given, dict):
        return failed("arguments must be a JSON object")
    found = await call_reachable(request.app, text_arg(args, "name"), cast("JsonObject", given or {}), request.call)
    if found is None:
        name = text_arg(args, "name")
        return failed(f"Tool execution failed: tool not found: {name}{_elsewhere(request, name)}")
    envelope: JsonObject = {"isError": bool(found.is_error), "content": [block_json(block) for block in found.content]}
    if found.structured_content is not None:
        envelope["structuredContent"] = found.structured_content
    text = json.dumps(envelope, separators=(",", ":"), ensure_ascii=False, default=str)
    return found.model_copy(update={"content": [TextContent(type="text", text=text)]})


def _elsewhere(request: Request, name: str) -> str:
    """Return why there is no such tool, or similar names."""
    if "workflow" in name.split("_")[:2] or name.startswith("action_"):
        return ": Ostler has no workflows. Next: call the tools of its steps one by one, or from a ServiceClass"
    for head, instead in _INSTEAD.items():
        if name.startswith(head):
            return f": {instead}"
    if away := next(_away(request, name), ""):
        return f": {away}"
    return f"{near(name, [tool.name for tool in reachable(request.app)])}. Next: list_tools shows the tools"


def _away(request: Request, name: str) -> Iterator[str]:
    """Yield, of the servers that are away and that the tool `name` may be of, why they are and what to do."""
    for entry in request.app.server_entries():
        server, state = str(entry["name"]), str(entry.get("state"))
        if state in ("connected", "running") or not name.startswith(f"{EXTERNAL}{tool_prefix(entry) or server}_"):
            continue
        why = f"server {server!r} is not connected: {entry.get('reason') or state}"
        step = way_to_enable(request.app.manager.registry.find(server)) or f"core_service_start {server}"
        yield why if state == "auth_required" else f"{why}. Next: {step}"
