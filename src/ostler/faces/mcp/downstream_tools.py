"""Tools for the downstream servers and their tools, and for the configuration in force."""

import json
from collections.abc import Sequence
from typing import cast

from mcp_types import ContentBlock, TextContent
from pydantic import Field, TypeAdapter, ValidationError

from ostler.engine.protocols import ToolInfo
from ostler.faces.mcp import shapes
from ostler.faces.mcp.answers import Answer, clipped
from ostler.faces.mcp.definitions import Call, Effect, ToolDefinition
from ostler.faces.mcp.paging import page
from ostler.faces.mcp.problems import near
from ostler.faces.mcp.schemas import FLAG, NUMBER, OBJECT, TEXT, Args, JsonArgs, Name, Seconds, answer, listing
from ostler.faces.mcp.surface import ApplicationLike
from ostler.model.errors import NotFoundError, ToolNotFoundError
from ostler.model.json import JsonObject, JsonValue
from ostler.model.responses import ToolResponse

MAX_TOOL_ANSWER = 262_144
"""Characters of a downstream answer that are passed on; what is over it is cut, and the answer says so."""

MAX_LISTED_DESCRIPTION = 120
MAX_TOOL_TIMEOUT = 600.0
"""Seconds that tool_call lets a tool take at most."""


class NoArgs(Args):
    """No arguments."""


async def mcpserver_list(app: ApplicationLike, args: NoArgs, call: Call) -> Answer:
    """List the downstream servers."""
    del args, call
    entries = app.server_entries()
    structured: JsonObject = {"mcpServers": entries, "total": len(entries)}
    faults = app.server_file_findings()
    lines = [f"{len(entries)} MCP server{'' if len(entries) == 1 else 's'}" + (":" if entries else "")]
    lines += [_server_line(entry) for entry in entries]
    if faults:
        structured["findings"] = faults
        lines += [f"error: {clipped(fault, 300)}" for fault in faults]
    return Answer(structured, "\n".join(lines))


def _server_line(entry: JsonObject) -> str:
    line = f"{entry.get('name', '?')} {entry.get('state', 'unknown')}"
    if entry.get("protocolVersion"):
        line += f", speaks {entry['protocolVersion']}"
    reason = entry.get("reason") or entry.get("error")
    return f"{line}: {clipped(str(reason), 300)}" if reason else line


class ServerNameArgs(Args):
    """A downstream server's name."""

    name: Name


async def mcpserver_get(app: ApplicationLike, args: ServerNameArgs, call: Call) -> Answer:
    """Show one downstream server."""
    del call
    entry = app.server_entry(args.name)
    listed = app.pool.list_tools(args.name)
    tools = [tool.name for tool in listed]
    structured: JsonObject = {**entry, "name": args.name, "toolNames": tools}
    lines = [_server_line(structured)]
    lines.append(clipped(f"{len(tools)} tools: {', '.join(tools)}" if tools else "no tools known", 1000))
    odd: JsonObject = {tool.name: tool.note for tool in listed if tool.note}
    if odd:
        structured["toolNotes"] = odd
        lines += [clipped(f"{name}: {note}", 300) for name, note in odd.items()]
    lines += [clipped(reason, 300) for reason in cast("list[str]", entry.get("leftOut") or [])]
    return Answer(structured, "\n".join(lines))


class ToolListArgs(Args):
    """Arguments of tool_list."""

    server: str | None = None
    search: str | None = Field(default=None, description="words in name or description")
    limit: int = Field(default=50, ge=1, le=200)
    cursor: str | None = None


async def tool_list(app: ApplicationLike, args: ToolListArgs, call: Call) -> Answer:
    """List downstream tools."""
    del call
    if args.server and not app.pool.server_status(args.server).known:
        known = sorted({tool.server for tool in app.pool.list_tools()})
        missing = NotFoundError("MCP server", args.server, known=known, next_actions=("mcpserver_list shows them all",))
        missing.summary += f": {app.pool.server_status(args.server).reason}"
        raise missing
    words = (args.search or "").lower().split()
    tools = sorted(
        (
            tool
            for tool in app.pool.list_tools(args.server)
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


class ToolNameArgs(Args):
    """A downstream tool's name."""

    name: Name = Field(description="server/tool")


async def tool_describe(app: ApplicationLike, args: ToolNameArgs, call: Call) -> Answer:
    """Show one downstream tool with its schemas."""
    del call
    tool = find_tool(app, args.name)
    structured: JsonObject = {
        "name": tool.qualified,
        "description": tool.description,
        "inputSchema": tool.input_schema,
        **shapes.present(
            {
                "title": tool.title,
                "outputSchema": tool.output_schema,
                "annotations": tool.annotations,
                "note": tool.note,
            },
        ),
    }
    text = f"{tool.qualified}: {tool.description}\ninput: {clipped(json.dumps(tool.input_schema), 4000)}"
    if tool.note:
        text += f"\nnote: {tool.note}"
    return Answer(structured, text)


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
            next_actions=(f"service_start {server}",),
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

    name: Name = Field(description="server/tool")
    args: JsonArgs = Field(default_factory=dict)
    timeout: Seconds | None = Field(default=None, gt=0, le=MAX_TOOL_TIMEOUT)


async def tool_call(app: ApplicationLike, args: ToolCallArgs, call: Call) -> Answer:
    """Call a downstream tool and pass its answer on."""
    response = await app.pool.call_tool(args.name, args.args, timeout=args.timeout, progress=call.progress)
    call.log.note(call.client, args.name, args.args, response, app.manager.secrets())
    content, is_cut = _bounded(response)
    structured: JsonObject = {"tool": args.name, "isError": response.is_error}
    result = response.structured if response.structured is not None else response.value
    if is_cut or len(json.dumps(result, default=str)) > MAX_TOOL_ANSWER:
        structured["truncated"] = True
    else:
        structured["result"] = result
    text = response.text or shapes.value_text(result)
    if response.is_silent:
        content = [TextContent(type="text", text=response.text)]
    return Answer(structured, clipped(text, MAX_TOOL_ANSWER), content=content, is_error=response.is_error)


_BLOCK: TypeAdapter[ContentBlock] = TypeAdapter(ContentBlock)


def _bounded(response: ToolResponse) -> tuple[Sequence[ContentBlock], bool]:
    """Return the content as it came, cut to the limit, and whether something was cut."""
    room = MAX_TOOL_ANSWER
    blocks: list[ContentBlock] = []
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
        blocks.append(TextContent(type="text", text=f"{kept}\n{note}".strip()))
    return blocks, is_cut


def _block(raw: JsonValue) -> ContentBlock:
    try:
        return _BLOCK.validate_python(raw)
    except ValidationError:  # a kind of content that this protocol version does not know
        return TextContent(type="text", text=json.dumps(raw, default=str))


async def config_get(app: ApplicationLike, args: NoArgs, call: Call) -> Answer:
    """Show the configuration in force."""
    del args, call
    config = app.effective_config()
    return Answer({"config": config}, json.dumps(config, indent=2, default=str))


DOWNSTREAM_TOOLS = (
    ToolDefinition(
        "mcpserver_list",
        "List MCP servers",
        "The downstream MCP servers and whether they are connected. service_start/stop/restart work on them by name.",
        NoArgs,
        answer({"mcpServers": listing("name", "state"), "total": NUMBER}),
        Effect.READS,
        mcpserver_list,
    ),
    ToolDefinition(
        "mcpserver_get",
        "Get an MCP server",
        "One downstream server: its entry (secrets masked), state and tools.",
        ServerNameArgs,
        answer({"name": TEXT}, {"state": TEXT}),
        Effect.READS,
        mcpserver_get,
    ),
    ToolDefinition(
        "tool_list",
        "List downstream tools",
        "Find tools of the downstream servers; names are server/tool.",
        ToolListArgs,
        answer({"tools": listing("name", "description"), "total": NUMBER}, {"nextCursor": TEXT}),
        Effect.READS,
        tool_list,
    ),
    ToolDefinition(
        "tool_describe",
        "Describe a downstream tool",
        "One downstream tool with its input schema.",
        ToolNameArgs,
        answer({"name": TEXT, "inputSchema": OBJECT}, {"description": TEXT, "outputSchema": OBJECT}),
        Effect.READS,
        tool_describe,
    ),
    ToolDefinition(
        "tool_call",
        "Call a downstream tool",
        "Call a downstream tool directly, within this server's policy. Prefer service_* for what a service should do.",
        ToolCallArgs,
        answer({"tool": TEXT, "isError": FLAG}, {"result": {}, "truncated": FLAG}),
        Effect.ANYTHING,
        tool_call,
    ),
    ToolDefinition(
        "config_get",
        "Configuration",
        "The configuration in force, secrets masked.",
        NoArgs,
        answer({"config": OBJECT}),
        Effect.READS,
        config_get,
    ),
)
