"""Tools for the downstream servers and their tools, and for the configuration in force."""

import json
from functools import cache
from typing import TYPE_CHECKING, Annotated, cast

import mcp_types as types
from pydantic import Field, TypeAdapter, ValidationError

from ostler.adapters.serving.answers import Answer, clipped
from ostler.adapters.serving.arguments import Args, JsonArgs, Name, SomeSeconds, at_most
from ostler.adapters.serving.problems import near
from ostler.adapters.serving.schemas import answer
from ostler.adapters.serving.table import Effect, ToolDefinition
from ostler.engine.protocols import ToolInfo
from ostler.engine.services.service import way_to_enable
from ostler.faces.mcp import shapes
from ostler.faces.mcp.definitions import Call
from ostler.faces.mcp.paging import page
from ostler.faces.mcp.service_tools import Cursor, Limit
from ostler.faces.mcp.surface import ApplicationLike
from ostler.model.downstream_errors import ToolNotFoundError
from ostler.model.errors import ArgumentError, NotFoundError
from ostler.model.json import JsonObject, JsonValue, is_longer, present
from ostler.model.responses import ToolResponse
from ostler.model.tool_names import PROCESS_SERVER
from ostler.rules.secrets.masking import masked_response

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_TOOL_ANSWER = 262_144
"""Characters of a downstream answer that are passed on; what is over it is cut, and the answer says so."""

MAX_SCHEMA_TEXT = 40_000
"""Characters of one schema in a text."""

MAX_LISTED_DESCRIPTION = 120
MAX_TOOL_TIMEOUT = 600.0
"""Seconds that tool_call lets a tool take at most."""


class NoArgs(Args):
    """No arguments."""


async def mcpserver_list(app: ApplicationLike, args: NoArgs, call: Call) -> Answer:
    """List the downstream servers."""
    del args, call
    entries = [{key: entry[key] for key in _LISTED if key in entry} for entry in app.server_entries()]
    structured: JsonObject = {"mcpServers": entries, "total": len(entries)}
    faults = app.server_file_findings()
    lines = [f"{len(entries)} MCP server{'' if len(entries) == 1 else 's'}" + (":" if entries else "")]
    for entry in entries:
        said = server_line(entry)
        lines += [said, *(f"  {finding}" for finding in entry.get("findings", ()) if str(finding) not in said)]
    if faults:
        structured["findings"] = faults
        lines += [f"error: {clipped(fault, 300)}" for fault in faults]
    return Answer(structured, "\n".join(lines))


_FACTS = ("name", "state", "transport", "tools", "protocolVersion", "since", "reason", "error", "lastError")
_LISTED = (*_FACTS, "findings")


def server_line(entry: JsonObject) -> str:
    """Return a server's entry and state as a line."""
    facts = [str(entry["transport"])] if entry.get("transport") else []
    facts += [f"{entry['tools']} tools"] if "tools" in entry else []
    facts += [f"speaks {entry['protocolVersion']}"] if entry.get("protocolVersion") else []
    facts += [f"since {entry['since']}"] if entry.get("since") else []
    line = f"{entry.get('name', '?')} {entry.get('state', 'unknown')}" + (f" ({', '.join(facts)})" if facts else "")
    now = dict.fromkeys(str(entry[key]) for key in ("reason", "error") if entry.get(key))
    line += f": {'; '.join(map(shapes.value_text, now))}" if now else ""
    before = str(entry.get("lastError") or "")
    return line if not before or before in now else f"{line}; before that: {shapes.value_text(before)}"


class ServerNameArgs(Args):
    """A downstream server's name."""

    name: Annotated[Name, Field(description="the MCP server")]


async def mcpserver_get(app: ApplicationLike, args: ServerNameArgs, call: Call) -> Answer:
    """Show one downstream server."""
    del call
    entry = app.server_entry(args.name)
    listed = app.pool.list_tools(args.name)
    tools = [tool.name for tool in listed]
    structured: JsonObject = {**entry, "name": args.name, "toolNames": tools}
    lines = [server_line(structured), f"{len(tools)} tools: {', '.join(tools)}" if tools else "no tools known"]
    odd: JsonObject = {tool.name: tool.note for tool in listed if tool.note}
    if odd:
        structured["toolNotes"] = odd
        lines += [f"{name}: {note}" for name, note in odd.items()]
    lines += cast("list[str]", entry.get("leftOut") or [])
    lines += shapes.fact_lines(entry, without=(*_FACTS, "leftOut"))
    return Answer(structured, "\n".join(lines))


class ToolListArgs(Args):
    """Arguments of tool_list."""

    server: str = Field(default="", description="only of this MCP server")
    search: str = Field(default="", description="only with all of these words")
    limit: Limit = 50
    cursor: Cursor = ""


async def tool_list(app: ApplicationLike, args: ToolListArgs, call: Call) -> Answer:
    """List downstream tools."""
    del call
    if args.server and not app.pool.server_status(args.server).known:
        known = sorted({tool.server for tool in app.pool.list_tools()})
        missing = NotFoundError("MCP server", args.server, known=known, next_actions=("mcpserver_list shows them all",))
        if reason := app.pool.server_status(args.server).reason:
            missing.summary += f": {reason}"
        raise missing
    words = args.search.lower().split()
    tools = sorted(
        (
            tool
            for tool in app.pool.list_tools(args.server or None)
            if all(word in f"{tool.qualified} {tool.description}".lower() for word in words)
        ),
        key=lambda tool: tool.qualified,
    )
    shown, cursor = page(tools, lambda tool: tool.qualified, cursor=args.cursor, limit=args.limit)
    items = [{"name": tool.qualified, "description": _first_words(tool.description)} for tool in shown]
    structured: JsonObject = {"tools": items, "total": len(tools)}
    lines = [f"{len(tools)} tool{'' if len(tools) == 1 else 's'}" + (":" if shown else "")]
    lines += [f"{item['name']}: {item['description']}" for item in items]
    if cursor:
        structured["nextCursor"] = cursor
        lines.append(f"more: cursor {cursor}")
    return Answer(structured, "\n".join(lines))


def _first_words(description: str) -> str:
    return clipped(" ".join(description.split()), MAX_LISTED_DESCRIPTION)


ToolName = Annotated[Name, Field(description="e.g. docker/run_container")]


class ToolNameArgs(Args):
    """A downstream tool's name."""

    name: ToolName


async def tool_describe(app: ApplicationLike, args: ToolNameArgs, call: Call) -> Answer:
    """Show one downstream tool with its schemas."""
    del call
    tool = find_tool(app, args.name)
    structured: JsonObject = {
        "name": tool.qualified,
        "description": tool.description,
        "inputSchema": tool.input_schema,
        **present(
            {
                "title": tool.title,
                "outputSchema": tool.output_schema,
                "annotations": tool.annotations,
                "note": tool.note,
            },
        ),
    }
    lines = [f"{tool.qualified}: {tool.description}"]
    for key, value in structured.items():
        if key not in ("name", "description"):
            lines.append(f"{key}: {value if isinstance(value, str) else schema_text(value)}")
    return Answer(structured, "\n".join(lines))


def schema_text(schema: JsonValue) -> str:
    """Return `schema` as JSON; if it is too long, its longer descriptions are left out, and the text says so."""
    text = json.dumps(schema, ensure_ascii=False)
    if len(text) <= MAX_SCHEMA_TEXT:
        return text
    text = json.dumps(_undescribed(schema), ensure_ascii=False)
    if len(text) <= MAX_SCHEMA_TEXT:
        return f"{text} (descriptions left out)"
    return f"a schema of {len(text)} characters, too long for a text; the structured content has it"


def _undescribed(node: JsonValue, *, names: bool = False) -> JsonValue:
    if isinstance(node, list):
        return [_undescribed(item) for item in cast("list[JsonValue]", node)]
    if not isinstance(node, dict):
        return node
    return {
        key: _undescribed(item, names=key == "properties" and not names)
        for key, item in cast("JsonObject", node).items()
        if names or key not in ("description", "title", "examples")
    }


def find_tool(app: ApplicationLike, name: str) -> ToolInfo:
    """Return the downstream tool `name`.

    Raises:
        ToolNotFoundError: it is not listed; the text says why, or what is near.
    """
    tool = app.pool.find_tool(name)
    if tool is not None:
        return tool
    server, slash, _ = name.partition("/")
    status = app.pool.server_status(server)
    if slash and status.known and not status.tools_known:
        reason = status.reason or "it has not listed its tools yet"
        raise ToolNotFoundError(
            f"tool {name!r} not found: server {server!r} is not connected ({reason})",
            tool=name,
            next_actions=(way_to_enable(app.manager.registry.find(server)) or f"service_start {server}",),
        )
    if slash and not status.known:
        near_by = near(name, [item.qualified for item in app.pool.list_tools()])
        text = f"tool {name!r} not found: {status.reason}{near_by}"
        raise ToolNotFoundError(text, tool=name, next_actions=("mcpserver_list shows the servers",))
    known = [item.qualified for item in app.pool.list_tools()]
    by_tool = [item for item in known if item.partition("/")[2] == name]
    hint = f"; did you mean {by_tool[0]!r}?" if by_tool else near(name, known)
    raise ToolNotFoundError(f"tool {name!r} not found{hint}", tool=name, next_actions=("tool_list shows the tools",))


class ToolCallArgs(Args):
    """Arguments of tool_call."""

    name: ToolName
    args: JsonArgs = Field(default_factory=dict, description="see tool_describe")
    timeout: Annotated[SomeSeconds, at_most(MAX_TOOL_TIMEOUT)] | None = Field(default=None, description="e.g. 2m")


async def tool_call(app: ApplicationLike, args: ToolCallArgs, call: Call) -> Answer:
    """Call a downstream tool and pass its answer on."""
    unknown = _unknown_args(app.pool.find_tool(args.name), args.args)
    response = await app.pool.call_tool(args.name, args.args, timeout=args.timeout, progress=call.progress)
    response = await answer_for_client(app, args.name, response)
    call.log.note(call.client, args.name, args.args, response, app.manager.secrets())
    content, is_cut = bounded_content(response)
    structured: JsonObject = {"tool": args.name, "isError": response.is_error}
    result = response.structured if response.structured is not None else response.value
    if is_cut or is_longer(result, MAX_TOOL_ANSWER):
        structured["truncated"] = True
    else:
        structured["result"] = result
    text = clipped(response.text or shapes.value_text(result), MAX_TOOL_ANSWER)
    if response.is_silent:
        content = [types.TextContent(type="text", text=response.text)]
    if unknown:
        structured["warnings"] = unknown
        warned = "\n".join(f"warning: {each}" for each in unknown)
        text = f"{text}\n{warned}"
        content = [*content, types.TextContent(type="text", text=warned)] if content else content
    return Answer(structured, text, content=content, is_error=response.is_error)


def _unknown_args(tool: ToolInfo | None, args: JsonObject) -> list[str]:
    """Return a sentence for each argument that the tool's schema does not name: most servers ignore those silently.

    Raises:
        ArgumentError: the schema allows no others.
    """
    schema = {} if tool is None else tool.input_schema
    known = schema.get("properties")
    if tool is None or not isinstance(known, dict) or schema.keys() & _OPEN or schema.get("additionalProperties"):
        return []
    names = cast("JsonObject", known)
    unknown = [name for name in args if name not in names]
    said = [f"{tool.qualified} has no argument {name!r}{near(name, names)}" for name in unknown]
    if said and schema.get("additionalProperties") is False:
        takes = f"it takes {', '.join(names)}" if names else "it takes no arguments"
        raise ArgumentError(said, next_actions=(takes,))
    return said


_OPEN = frozenset({"$ref", "allOf", "anyOf", "oneOf", "patternProperties", "if", "dependentSchemas"})
"""Parts of a schema that may name more properties."""


async def answer_for_client(app: ApplicationLike, tool: str, response: ToolResponse) -> ToolResponse:
    """Return what a client sees of the answer to its call of `tool`: no secret of calls and entries."""
    server = tool.partition("/")[0]
    response = await app.hide_secrets(server, response)
    # The built-in server's tools show what `service_logs` and others show masked.
    return masked_response(response, app.manager.secrets()) if server == PROCESS_SERVER else response


@cache
def _block_adapter() -> "TypeAdapter[types.ContentBlock]":
    return TypeAdapter(types.ContentBlock)


def bounded_content(response: ToolResponse) -> "tuple[Sequence[types.ContentBlock], bool]":
    """Return the content as it came, cut to the limit, and whether something was cut."""
    room = MAX_TOOL_ANSWER
    blocks: list[types.ContentBlock] = []
    is_cut = False
    for raw in response.content:
        size = len(json.dumps(raw, default=str))
        if size <= room:
            blocks.append(_block(raw))
            room -= size
            continue
        is_cut = True
        kept = str(raw.get("text", ""))[: max(0, room)]
        room = 0
        note = f"[{raw.get('type', 'content')} block of {size} characters cut: at most {MAX_TOOL_ANSWER} are passed on]"
        blocks.append(types.TextContent(type="text", text=f"{kept}\n{note}".strip()))
    return blocks, is_cut


def _block(raw: JsonValue) -> "types.ContentBlock":
    try:
        return _block_adapter().validate_python(raw)
    except ValidationError:  # a kind of content that this protocol version does not know
        return types.TextContent(type="text", text=json.dumps(raw, default=str))


async def config_get(app: ApplicationLike, args: NoArgs, call: Call) -> Answer:
    """Show the configuration in force."""
    del args, call
    config = app.effective_config()
    return Answer({"config": config}, json.dumps(config, indent=2, default=str))


DOWNSTREAM_TOOLS = (
    ToolDefinition(
        "mcpserver_list",
        "List MCP servers",
        "MCP servers in use and their state. service_start, _stop and _restart take their names.",
        NoArgs,
        answer("mcpServers:objects total:integer findings:strings"),
        Effect.READS,
        mcpserver_list,
    ),
    ToolDefinition(
        "mcpserver_get",
        "Show an MCP server",
        "An MCP server's entry (secrets masked), state and tools.",
        ServerNameArgs,
        answer(
            "name state transport tools:integer toolNames:strings since entry:object reason pid:integer "
            "protocolVersion serverName serverVersion lastError stderrLog attempts:integer toolNotes:object "
            "leftOut:strings findings:strings"
        ),
        Effect.READS,
        mcpserver_get,
    ),
    ToolDefinition(
        "tool_list",
        "List tools",
        "Find tools of the MCP servers; names are server/tool.",
        ToolListArgs,
        answer("tools:objects total:integer nextCursor"),
        Effect.READS,
        tool_list,
    ),
    ToolDefinition(
        "tool_describe",
        "Show a tool's schema",
        "One tool of an MCP server, with its schemas.",
        ToolNameArgs,
        answer("name description title inputSchema:object outputSchema:object annotations:object note"),
        Effect.READS,
        tool_describe,
    ),
    ToolDefinition(
        "tool_call",
        "Call a tool",
        "Call an MCP server's tool directly. What it starts is not watched: prefer service_create.",
        ToolCallArgs,
        answer("tool isError:boolean result:any truncated:boolean warnings:strings"),
        Effect.ANYTHING,
        tool_call,
    ),
    ToolDefinition(
        "config_get",
        "Configuration",
        "Folders, settings, servers, classes, faults; secrets masked.",
        NoArgs,
        answer("config:object"),
        Effect.READS,
        config_get,
    ),
)
