"""The tools that muster publishes: to find tools, to call one, and the same for resources and prompts."""

import json
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, TypeAlias, cast

from mcp.server import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CallToolResult,
    GetPromptRequestParams,
    PaginatedRequestParams,
    Prompt,
    ReadResourceRequestParams,
    Resource,
    TextContent,
    TextResourceContents,
)

from ostler.adapters.serving.problems import near
from ostler.faces.mcp.definitions import Call
from ostler.faces.mcp.lifespan import Lifespan
from ostler.faces.mcp.prompts import get_prompt, list_prompts
from ostler.faces.mcp.resources import Resources
from ostler.faces.mcp.shapes import present
from ostler.faces.mcp.surface import ApplicationLike
from ostler.faces.muster.core_tool import ArgType, schema_of, text_arg
from ostler.faces.muster.dispatch import call_reachable, failed, text_result
from ostler.faces.muster.reachable_tools import Reachable, reachable
from ostler.model.errors import ArgumentError
from ostler.model.json import JsonObject, JsonValue
from ostler.model.tool_names import OWN_SERVER

MAX_SUMMARY = 120
DEFAULT_LIMIT = 25
"""How many tools filter_tools shows when its caller does not say."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call of a meta-tool: the application, the facts of the call, and the request that it came with."""

    app: ApplicationLike
    call: Call
    context: ServerRequestContext[Lifespan]
    resources: Resources


MetaHandler: TypeAlias = Callable[[Request, JsonObject], Awaitable[CallToolResult]]


@dataclass(frozen=True, slots=True)
class MetaTool:
    """One of the tools that tools/list shows."""

    name: str
    description: str
    handler: MetaHandler
    args: dict[str, tuple[ArgType, str]] = field(default_factory=dict[str, tuple[ArgType, str]])
    required: tuple[str, ...] = ()
    reads: bool = True

    def input_schema(self) -> JsonObject:
        """Return the JSON Schema of its arguments."""
        return schema_of(self.args, self.required)

    async def run(self, request: Request, args: JsonObject) -> CallToolResult:
        """Answer; an argument that is missing or unknown is an error result."""
        for name in self.required:
            if args.get(name) in (None, ""):
                return failed(f"{name} argument is required")
        unknown = [name for name in args if name not in self.args]
        if unknown:
            takes = f"it takes {', '.join(self.args)}" if self.args else "it takes none"
            hint = near(unknown[0], self.args)
            return failed(f"{self.name}: unknown argument {', '.join(map(repr, unknown))}{hint}; {takes}")
        try:
            return await self.handler(request, args)
        except ArgumentError as error:
            return failed("; ".join(error.problems))


async def list_tools(request: Request, args: JsonObject) -> CallToolResult:
    """List every tool that call_tool reaches."""
    del args
    app = request.app
    tools = [{"name": tool.name, "description": tool.description} for tool in reachable(app)]
    waiting = [entry for entry in app.server_entries() if entry.get("state") == "auth_required"]
    servers = [{"name": entry["name"], "status": "auth_required", "message": entry.get("reason")} for entry in waiting]
    return _json({"tools": tools, **present({"servers_requiring_auth": servers})})


async def describe_tool(request: Request, args: JsonObject) -> CallToolResult:
    """Show one tool with its schemas."""
    name, tools = text_arg(args, "name"), reachable(request.app)
    tool = next((each for each in tools if each.name == name), None)
    if tool is None:
        return failed(f"Tool not found: {name}{near(name, [each.name for each in tools])}")
    how = f'Call it with call_tool {{"name": "{name}", "arguments": {{…}}}}'
    return _json({
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
    wanted = {"pattern": "core*", "include_schema": _flag(args, "include_schema", default=True)}
    return _filtered(request, wanted, limit=0, whole=True)


async def filter_tools(request: Request, args: JsonObject) -> CallToolResult:
    """Find tools by name, description or words."""
    return _filtered(request, args, limit=_number(args, "limit", DEFAULT_LIMIT, least=1))


def _filtered(request: Request, args: JsonObject, *, limit: int, whole: bool = False) -> CallToolResult:
    everything = reachable(request.app)
    if not everything:
        return text_result("No tools available to filter")
    wide, query = _flag(args, "include_schema"), text_arg(args, "query")
    matching = [(tool, _score(query, tool) if query else 0.0) for tool in everything if _matches(tool, args)]
    if query:
        matching = sorted((pair for pair in matching if pair[1]), key=lambda pair: -pair[1])
    offset = _number(args, "offset", 0, least=0)
    shown = matching[offset : offset + limit] if limit else matching[offset:]
    return _json({
        "filters": {**args, "case_sensitive": _flag(args, "case_sensitive"), "include_schema": wide, "limit": limit,
                    "offset": offset},
        "total_tools": len(everything),
        "filtered_count": len(shown),
        "total": len(matching),
        "truncated": offset + len(shown) < len(matching),
        "tools": [_found(tool, score, wide=wide, whole=whole) for tool, score in shown],
    })  # fmt: skip


def _found(tool: Reachable, score: float, *, wide: bool, whole: bool) -> JsonObject:
    summary = " ".join(tool.description.split())
    if len(summary) > MAX_SUMMARY:
        summary = f"{summary[: MAX_SUMMARY - 1]}…"
    return {
        "name": tool.name,
        **({"description": tool.description} if wide or whole else {"summary": summary}),
        "kind": tool.kind,
        **present({"server": tool.server, "score": score or None, "annotations": tool.annotations}),
        **({"inputSchema": tool.input_schema} if wide else {}),
    }


def _matches(tool: Reachable, args: JsonObject) -> bool:
    """Whether a tool has the wanted name and description; it has no labels, so none of them fits."""
    fold: Callable[[str], str] = str if _flag(args, "case_sensitive") else str.lower
    pattern, words = fold(text_arg(args, "pattern")), fold(text_arg(args, "description_filter"))
    return (
        not args.get("labels")
        and (not pattern or fnmatchcase(fold(tool.name), pattern))
        and words in fold(tool.description)
    )


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
            given = json.loads(given)
        except ValueError:
            return failed("arguments must be a JSON object")
    if given is not None and given != "" and not isinstance(given, dict):
        return failed("arguments must be a JSON object")
    found = await call_reachable(request.app, text_arg(args, "name"), cast("JsonObject", given or {}), request.call)
    if found is None:
        name = text_arg(args, "name")
        return failed(f"Tool execution failed: tool not found: {name}{_elsewhere(request, name)}")
    envelope: JsonObject = {"isError": bool(found.is_error), "content": [_block(block) for block in found.content]}
    if found.structured_content is not None:
        envelope["structuredContent"] = found.structured_content
    text = json.dumps(envelope, separators=(",", ":"), ensure_ascii=False, default=str)
    return found.model_copy(update={"content": [TextContent(type="text", text=text)]})


def _elsewhere(request: Request, name: str) -> str:
    """Return why there is no such tool, or what is near."""
    if "workflow" in name.split("_")[:2] or name.startswith("action_"):
        return ": Ostler has no workflows. Next: call the tools of its steps one by one, or from a ServiceClass"
    if name.startswith("core_auth"):
        return ": a person signs in to a server, with 'ostler servers login NAME' on the command line"
    return f"{near(name, [tool.name for tool in reachable(request.app)])}. Next: list_tools shows the tools"


def _block(block: Any) -> JsonObject:
    found = cast("JsonObject", block.model_dump(mode="json", by_alias=True, exclude_none=True))
    return {**found, "dataSize": len(found["data"])} if isinstance(found.get("data"), str) else found


async def _every_resource(request: Request) -> list[Resource]:
    found: list[Resource] = []
    cursor: str | None = None
    while True:
        page = await request.resources.list_resources(request.context, PaginatedRequestParams(cursor=cursor))
        found += page.resources
        if (cursor := page.next_cursor) is None:
            return found


async def list_resources(request: Request, args: JsonObject) -> CallToolResult:
    """List Ostler's resources."""
    del args
    return _json([_resource(each) for each in await _every_resource(request)])


async def filter_resources(request: Request, args: JsonObject) -> CallToolResult:
    """Find resources by their address."""
    found = [each for each in await _every_resource(request) if _fits(str(each.uri), args)]
    return _page("resources", [_resource(each) for each in found], args)


async def describe_resource(request: Request, args: JsonObject) -> CallToolResult:
    """Show what is known about a resource."""
    uri = text_arg(args, "uri")
    found = next((each for each in await _every_resource(request) if str(each.uri) == uri), None)
    return failed(f"Resource not found: {uri}") if found is None else _json(_resource(found))


async def get_resource(request: Request, args: JsonObject) -> CallToolResult:
    """Read a resource."""
    try:
        read = await request.resources.read(request.context, ReadResourceRequestParams(uri=text_arg(args, "uri")))
    except MCPError as error:
        return failed(f"Resource retrieval failed: {error.error.message}")
    return text_result("\n".join(each.text for each in read.contents if isinstance(each, TextResourceContents)))


def _resource(found: Resource) -> JsonObject:
    facts = {"description": found.description or found.name, "mimeType": found.mime_type}
    return {"uri": str(found.uri), "name": found.name, **present(facts), "server": OWN_SERVER}


async def _every_prompt(request: Request) -> Sequence[Prompt]:
    return (await list_prompts(request.context, None)).prompts


async def list_the_prompts(request: Request, args: JsonObject) -> CallToolResult:
    """List Ostler's prompts."""
    del args
    return _json([_prompt(each) for each in await _every_prompt(request)])


async def filter_prompts(request: Request, args: JsonObject) -> CallToolResult:
    """Find prompts by name."""
    found = [each for each in await _every_prompt(request) if _fits(each.name, args)]
    return _page("prompts", [_prompt(each) for each in found], args)


async def describe_prompt(request: Request, args: JsonObject) -> CallToolResult:
    """Show a prompt's arguments."""
    name = text_arg(args, "name")
    found = next((each for each in await _every_prompt(request) if each.name == name), None)
    if found is None:
        return failed(f"Prompt not found: {name}")
    takes = [each.model_dump(mode="json", exclude_none=True) for each in found.arguments or ()]
    return _json({**_prompt(found), **present({"arguments": takes})})


async def get_a_prompt(request: Request, args: JsonObject) -> CallToolResult:
    """Return a prompt's messages."""
    given: JsonValue = args.get("arguments") or {}
    if not isinstance(given, dict):
        return failed("arguments must be a JSON object")
    values = {key: str(value) for key, value in cast("JsonObject", given).items()}
    try:
        found = await get_prompt(request.context, GetPromptRequestParams(name=text_arg(args, "name"), arguments=values))
    except MCPError as error:
        return failed(f"Prompt retrieval failed: {error.error.message}")
    messages = [{"role": message.role, "content": _block(message.content)} for message in found.messages]
    return _json({"description": found.description, "messages": messages})


def _prompt(found: Prompt) -> JsonObject:
    return {"name": found.name, "description": found.description or "", "server": OWN_SERVER}


def _fits(name: str, args: JsonObject) -> bool:
    fold: Callable[[str], str] = str if _flag(args, "case_sensitive") else str.lower
    pattern = fold(text_arg(args, "pattern"))
    return text_arg(args, "server") in ("", OWN_SERVER) and (not pattern or fnmatchcase(fold(name), pattern))


def _page(kind: str, found: Sequence[JsonObject], args: JsonObject) -> CallToolResult:
    limit, offset = _number(args, "limit", DEFAULT_LIMIT, least=1), _number(args, "offset", 0, least=0)
    shown = list(found[offset : offset + limit])
    return _json({
        "filters": {**args, "limit": limit, "offset": offset},
        f"total_{kind}": len(found),
        "filtered_count": len(shown),
        "total": len(found),
        "truncated": offset + len(shown) < len(found),
        kind: shown,
    })  # fmt: skip


def _flag(args: JsonObject, name: str, *, default: bool = False) -> bool:
    value: JsonValue = args.get(name)
    return default if value is None or value == "" else str(value).lower() == "true"


def _number(args: JsonObject, name: str, default: int, *, least: int) -> int:
    value: JsonValue = args.get(name)
    if value is None or value == "":
        return default
    try:
        found = int(float(str(value)))
    except (ValueError, OverflowError):
        raise ArgumentError([f"{name} must be a number"]) from None
    if found < least:
        raise ArgumentError([f"{name} must be at least {least}"])
    return found


def _json(value: JsonValue) -> CallToolResult:
    return text_result(json.dumps(value, indent=2, ensure_ascii=False, default=str))


_SCHEMA: tuple[ArgType, str] = ("boolean", "With the input schemas")
_PAGE: dict[str, tuple[ArgType, str]] = {
    "limit": ("number", f"At most so many (default: {DEFAULT_LIMIT})"),
    "offset": ("number", "How many to leave out before them (default: 0)"),
}
_CASE: tuple[ArgType, str] = ("boolean", "Tell upper and lower case apart")
_FIND: dict[str, tuple[ArgType, str]] = {
    "pattern": ("string", "Glob"),
    "server": ("string", "Only of this server"),
    "case_sensitive": _CASE,
    **_PAGE,
}
_SERVER: tuple[ArgType, str] = ("string", "Its server")

META_TOOLS = (
    MetaTool("list_tools", "List all tools that call_tool can call: core_… and x_<server>_…", list_tools),
    MetaTool(
        "describe_tool",
        "Show a tool with its input schema",
        describe_tool,
        {"name": ("string", "Name of the tool")},
        ("name",),
    ),
    MetaTool(
        "list_core_tools",
        "List the core_… tools: services, ServiceClasses and MCP servers",
        list_core_tools,
        {"include_schema": ("boolean", "With the input schemas (default: true)")},
    ),
    MetaTool(
        "filter_tools",
        "Find tools by name, description or words",
        filter_tools,
        {
            "pattern": ("string", "Glob for the name, such as x_docker_*"),
            "description_filter": ("string", "Text in the description"),
            "query": ("string", "Words; the best tools come first"),
            "labels": ("object", "Labels that it has to have; no tool has any here"),
            "case_sensitive": _CASE,
            "include_schema": _SCHEMA,
            **_PAGE,
        },
    ),
    MetaTool(
        "call_tool",
        "Call a tool by its name. The text of the answer is the JSON of the tool's own result",
        call_tool,
        {"name": ("string", "Name of the tool"), "arguments": ("object", "Its arguments; describe_tool shows them")},
        ("name",),
        reads=False,
    ),
    MetaTool("list_resources", "List all resources", list_resources),
    MetaTool("filter_resources", "Find resources by URI", filter_resources, _FIND),
    MetaTool(
        "describe_resource",
        "Show what is known about a resource",
        describe_resource,
        {"uri": ("string", "URI of the resource"), "server": _SERVER},
        ("uri",),
    ),
    MetaTool(
        "get_resource",
        "Read a resource",
        get_resource,
        {"uri": ("string", "URI of the resource"), "server": _SERVER},
        ("uri",),
    ),
    MetaTool("list_prompts", "List all prompts", list_the_prompts),
    MetaTool("filter_prompts", "Find prompts by name", filter_prompts, _FIND),
    MetaTool(
        "describe_prompt",
        "Show a prompt's arguments",
        describe_prompt,
        {"name": ("string", "Name of the prompt")},
        ("name",),
    ),
    MetaTool(
        "get_prompt",
        "Get a prompt's messages",
        get_a_prompt,
        {"name": ("string", "Name of the prompt"), "arguments": ("object", "Its arguments")},
        ("name",),
    ),
)
