"""Every tool that `call_tool` reaches: muster's own over Ostler's, and those of the downstream servers."""

from collections.abc import Iterator

from msgspec import Struct

from ostler.engine.protocols import ToolInfo
from ostler.faces.mcp.surface import ApplicationLike
from ostler.faces.muster.core_classes import CORE_CLASSES
from ostler.faces.muster.core_config import CORE_CONFIG
from ostler.faces.muster.core_servers import CORE_SERVERS
from ostler.faces.muster.core_services import CORE_SERVICES
from ostler.faces.muster.core_tool import OWN, CoreTool
from ostler.faces.muster.exposed_names import CORE, exposed_tools, is_connected
from ostler.model.json import JsonObject

CORE_TOOLS = {tool.name: tool for tool in (*CORE_SERVICES, *CORE_CLASSES, *CORE_SERVERS, *CORE_CONFIG)}
"""muster's own tools, without `core_`."""

_AS_MCP_TOOL = ("tool_list", "tool_describe", "tool_call")
"""Ostler's tools that muster's `list_tools`, `describe_tool` and `call_tool` are."""


class Reachable(Struct, frozen=True):
    """One tool that `call_tool` reaches, under muster's name.

    Attributes:
        kind: `core` or `tool`, as muster says where it is from.
        server: its server; empty for muster's own.
    """

    name: str
    description: str
    input_schema: JsonObject
    kind: str
    server: str = ""
    title: str = ""
    annotations: JsonObject | None = None
    output_schema: JsonObject | None = None


def reachable(app: ApplicationLike) -> list[Reachable]:
    """Return all tools that the policy lets clients call and whose servers are connected, by name."""
    external = list(exposed_tools(app))
    connected = {server for server in {tool.server for _, tool in external} if is_connected(app, server)}
    found = [*_core(app), *(_external(name, tool) for name, tool in external if tool.server in connected)]
    return sorted(found, key=lambda tool: tool.name)


def _core(app: ApplicationLike) -> Iterator[Reachable]:
    for name in dict.fromkeys((*OWN, *CORE_TOOLS)):
        core: CoreTool | None = CORE_TOOLS.get(name)
        own = OWN[core.policy if core is not None and core.policy else name]
        if app.denies(own.name) or name in _AS_MCP_TOOL:
            continue
        hints = own.effect.annotations().model_dump(mode="json", by_alias=True, exclude_none=True)
        if core is not None:
            yield Reachable(f"{CORE}{name}", core.description, core.input_schema(), "core", annotations=hints)
        else:
            tool = own.tool()
            yield Reachable(f"{CORE}{name}", own.description, dict(tool.input_schema), "core", annotations=hints)


def _external(name: str, tool: ToolInfo) -> Reachable:
    return Reachable(
        name,
        tool.description,
        tool.input_schema,
        "tool",
        tool.server,
        tool.title,
        tool.annotations,
        tool.output_schema,
    )
