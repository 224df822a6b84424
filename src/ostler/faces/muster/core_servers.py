"""muster's `core_mcpserver_…` tools over Ostler's downstream servers."""

from typing import cast

from ostler.adapters.serving.problems import read_args
from ostler.faces.mcp.definitions import Call
from ostler.faces.mcp.server_tools import EntryArgs, EntryObjectArgs
from ostler.faces.mcp.surface import ApplicationLike
from ostler.faces.muster.core_tool import (
    MISSING_ARGUMENT,
    ArgType,
    CoreAnswer,
    CoreTool,
    flag_arg,
    own_answer,
    text_arg,
)
from ostler.faces.muster.exposed_names import is_builtin
from ostler.faces.muster.muster_json import MODE, mcp_server
from ostler.faces.muster.server_auth import AUTH_ABOUT, auth_note
from ostler.model.errors import AlreadyExistsError, ArgumentError, ManifestError
from ostler.model.json import JsonObject, JsonValue, as_list

_TYPES = ("stdio", "streamable-http", "sse")
_URL = "url is required for streamable-http and sse types"
_NEEDS = {
    "stdio": ("command", "command is required for stdio type"),
    "streamable-http": ("url", _URL),
    "sse": ("url", _URL),
}


async def server_list(app: ApplicationLike, args: JsonObject, call: Call) -> CoreAnswer:
    """List the configured servers: remote ones that are down with `showAll`, and with `verbose` their errors."""
    del call
    show_all, verbose = flag_arg(args, "showAll"), flag_arg(args, "verbose")
    written = [entry for entry in app.server_entries() if not is_builtin(entry)]
    servers = [mcp_server(entry, verbose=verbose) for entry in written]
    shown = [each for each in servers if show_all or each["type"] == "stdio" or each["state"] != "Failed"]
    answer: JsonObject = {"mcpServers": shown, "total": len(shown), "mode": MODE}
    if hidden := len(servers) - len(shown):
        hint = f"{hidden} failed servers hidden: showAll shows them, verbose also why"
        answer |= {"hiddenFailed": hidden, "hint": hint}
    if findings := app.server_file_findings():
        answer["findings"] = findings
    return answer


async def server_get(app: ApplicationLike, args: JsonObject, call: Call) -> CoreAnswer:
    """Show a server."""
    del call
    return mcp_server(app.server_entry(text_arg(args, "name")))


async def server_create(app: ApplicationLike, args: JsonObject, call: Call) -> CoreAnswer:
    """Add a server, and connect it if it starts automatically."""
    del call
    starts = {} if args.get("autoStart") not in (None, "") else {"autoStart": False}
    note = auth_note(args)
    given = read_args("core_mcpserver_create", EntryArgs, _entry({**args, **starts}))
    try:
        await app.server_changes.add(given.name, given.entry())
    except AlreadyExistsError as error:
        error.summary = f"MCP server '{given.name}' already exists"
        raise
    return f"MCP server '{given.name}' created successfully{note}"


async def server_update(app: ApplicationLike, args: JsonObject, call: Call) -> CoreAnswer:
    """Replace what is given of a server's entry; the rest stays, and all of it if nothing is given."""
    name = text_arg(args, "name")
    before = mcp_server(app.server_entry(name))
    kept = {key: before[key] for key in ("type", "command", "url") if key in before}
    given = {key: value for key, value in args.items() if value not in (None, "", [], {})}
    note = auth_note({**kept, **given})
    _entry({**kept, **given})
    changes = _split_command(given)
    if changes.keys() - {"name"}:
        await own_answer(app, "mcpserver_update", changes, call)
    return f"MCP server '{name}' updated successfully{note}"


async def server_validate(app: ApplicationLike, args: JsonObject, call: Call) -> CoreAnswer:
    """Check an entry without keeping it."""
    del call
    note = auth_note(args)
    given = read_args("core_mcpserver_validate", EntryObjectArgs, _entry(args))
    findings = await app.server_changes.check(given.name, given.entry())
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        raise ManifestError(errors, what=f"the entry of MCP server {given.name!r}")
    return f"Validation successful for mcpserver {given.name}{note}"


async def server_delete(app: ApplicationLike, args: JsonObject, call: Call) -> CoreAnswer:
    """Remove a server."""
    name = text_arg(args, "name")
    app.server_entry(name)
    await own_answer(app, "mcpserver_delete", args, call)
    return f"MCP server '{name}' deleted successfully"


def _entry(args: JsonObject) -> JsonObject:
    """Return the arguments of a complete entry.

    Raises:
        ArgumentError: its type is not known, or what the type needs is missing.
    """
    kind = text_arg(args, "type")
    if kind not in _TYPES:
        raise ArgumentError([f"unsupported MCP server type: {kind} (supported: {', '.join(_TYPES)})"])
    needed, problem = _NEEDS[kind]
    if not args.get(needed):
        raise ArgumentError([problem], next_actions=("take it from the server's own documentation",))
    return _split_command(args)


def _split_command(args: JsonObject) -> JsonObject:
    """Return the arguments of an entry; a command that is a list, as muster accepted it, becomes program and args."""
    args = {key: value for key, value in args.items() if key != "auth"}
    command: JsonValue = args.get("command")
    if not isinstance(command, list) or not command:
        return args
    program, *first = cast("list[JsonValue]", command)
    return {**args, "command": program, "args": [*first, *as_list(args.get("args"))]}


_NAME: dict[str, tuple[ArgType, str]] = {"name": ("string", "Name of the MCP server")}
_DEFINITION: dict[str, tuple[ArgType, str]] = {
    **_NAME,
    "type": ("string", "stdio, streamable-http or sse"),
    "description": ("string", "What it is for"),
    "toolPrefix": ("string", "Stands for its name in the names of its tools: x_<toolPrefix>_<tool>"),
    "autoStart": ("boolean", "Connect it now, and when the server starts (default: false)"),
    "command": ("string", "Program to run (stdio)"),
    "args": ("array", "Its arguments (stdio)"),
    "env": ("object", "Its environment variables (stdio)"),
    "url": ("string", "Its address (streamable-http and sse)"),
    "headers": ("object", "HTTP headers (streamable-http and sse)"),
    "timeout": ("integer", "Seconds that a call may take"),
    "auth": ("object", AUTH_ABOUT),
}

CORE_SERVERS = (
    CoreTool(
        "mcpserver_list",
        "List the configured MCP servers and their states",
        server_list,
        {
            "showAll": ("boolean", "Also remote ones that are down (default: false)"),
            "verbose": ("boolean", "With the last error of each (default: false)"),
        },
    ),
    CoreTool(
        "mcpserver_get",
        "Show an MCP server",
        server_get,
        _NAME,
        ("name",),
        missing=MISSING_ARGUMENT,
        failure="Failed to get MCP server",
    ),
    CoreTool(
        "mcpserver_create",
        "Add an MCP server; core_service_start connects it unless it starts automatically",
        server_create,
        _DEFINITION,
        ("name", "type"),
        failure="Invalid MCP server definition",
        also=(),
    ),
    CoreTool(
        "mcpserver_update",
        "Replace parts of an MCP server's definition",
        server_update,
        _DEFINITION,
        ("name",),
        failure="Failed to update MCP server",
        invalid="Invalid MCP server definition",
        also=(),
    ),
    CoreTool(
        "mcpserver_delete",
        "Remove an MCP server",
        server_delete,
        _NAME,
        ("name",),
        missing=MISSING_ARGUMENT,
        failure="Failed to delete MCP server",
    ),
    CoreTool(
        "mcpserver_validate",
        "Check the definition of an MCP server",
        server_validate,
        _DEFINITION,
        ("name", "type"),
        failure="Validation failed",
        also=(),
    ),
)
