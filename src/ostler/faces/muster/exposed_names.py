"""The names that muster gives to tools: `x_<server>_<tool>` for a server's, `core_<tool>` for its own."""

from collections.abc import Iterator

from ostler.engine.protocols import ToolInfo
from ostler.faces.mcp.surface import ApplicationLike
from ostler.model.json import JsonObject
from ostler.model.manifest import ServiceClass
from ostler.model.tool_names import OWN_SERVER, UNKNOWN_SERVER

CORE = "core_"
EXTERNAL = "x_"
UNKNOWN = f"{UNKNOWN_SERVER}/"
"""How a class names a tool that is nowhere; `ostler.rules.muster.joined_names` makes it so."""


def exposed(server: str, tool: str, prefix: str = "") -> str:
    """Return what muster calls the tool of a server: a name that begins with the server's is not given it twice."""
    head = prefix or server
    return f"{EXTERNAL}{tool}" if tool.startswith(f"{head}_") else f"{EXTERNAL}{head}_{tool}"


def exposed_tools(app: ApplicationLike) -> Iterator[tuple[str, ToolInfo]]:
    """Yield every listed tool of the downstream servers with muster's name for it."""
    prefixes = tool_prefixes(app)
    for tool in app.pool.list_tools():
        if tool.server != OWN_SERVER:
            yield exposed(tool.server, tool.name, prefixes.get(tool.server, "")), tool


def find_exposed(app: ApplicationLike, name: str) -> ToolInfo | None:
    """Return the listed tool that muster calls `name`; `server/tool` is taken as it is."""
    if "/" in name:
        return app.pool.find_tool(name)
    return next((tool for known, tool in exposed_tools(app) if known == name), None)


def is_connected(app: ApplicationLike, server: str) -> bool:
    """Whether the tools of a downstream server can be called now."""
    return app.pool.server_status(server).connected


def missing_tools(app: ApplicationLike, service_class: ServiceClass) -> tuple[str, ...]:
    """Return the tools of a class that cannot be called now: not there, or of a server that is not connected."""
    missing = set(app.classes.availability_of(service_class).missing_tools)
    away = {server for server in service_class.servers() if not is_connected(app, server)}
    needed = service_class.required_tools()
    return tuple(tool for tool in needed if tool in missing or tool.partition("/")[0] in away)


def tool_prefixes(app: ApplicationLike) -> dict[str, str]:
    """Return the `toolPrefix` of the servers that have one."""
    found = ((str(entry.get("name")), tool_prefix(entry)) for entry in app.server_entries())
    return {name: prefix for name, prefix in found if prefix}


def tool_prefix(entry: JsonObject) -> str:
    """Return the `toolPrefix` in what `server_entry` says of a server; empty when there is none."""
    written: JsonObject = entry.get("entry") or {}
    options: JsonObject = written.get("ostler") or {}
    return str(options.get("toolPrefix") or "")


def is_builtin(entry: JsonObject) -> bool:
    """Whether what `server_entry` says is of a server that no one configured."""
    return entry.get("transport") == "builtin"


def shown_tool(tool: str, prefixes: dict[str, str]) -> str:
    """Return what muster calls the tool that a class names `server/tool`."""
    server, _, name = tool.partition("/")
    if server == OWN_SERVER:
        return f"{CORE}{name}"
    return tool.removeprefix(UNKNOWN) if tool.startswith(UNKNOWN) else exposed(server, name, prefixes.get(server, ""))
