"""Muster's tool names, `x_<server>_<tool>` and `core_<tool>`, as `server/tool`.

Muster joined names by underscores, so that `x_kubernetes_port_forward` may be `kubernetes/port_forward` or
`kubernetes_port/forward`, and left out a server's name that the tool's own name begins with: `x_git_git_log` and
`x_git_log` are both `git/git_log` there. What is known about servers and tools decides.
"""

import difflib
import re
from collections.abc import Iterator

from msgspec import Struct

from ostler.model.errors import DefinitionError
from ostler.model.manifest import TOOL_PATTERN
from ostler.model.tool_names import OWN_SERVER, UNKNOWN_SERVER, ToolNames

OWN_TOOLS = frozenset({
    "service_list", "service_status", "service_get", "service_create", "service_start", "service_stop",
    "service_restart", "service_delete", "service_validate", "service_wait", "service_events", "service_logs",
    "serviceclass_list", "serviceclass_get", "serviceclass_available", "serviceclass_validate", "serviceclass_create",
    "serviceclass_update", "serviceclass_delete", "mcpserver_list", "mcpserver_get", "config_get",
})  # fmt: skip
"""Ostler's tools that muster's `core_` tools of the same name are."""


class ToolNameError(DefinitionError):
    """A tool name that cannot be translated.

    Attributes:
        fix: what to write instead.
    """

    def __init__(self, message: str, fix: str) -> None:
        self.fix = fix
        super().__init__(message)


class ResolvedTool(Struct, frozen=True):
    """A tool as `server/tool`; `is_guess` when no known server has the name."""

    tool: str
    is_guess: bool = False


def resolve_tool(name: str, known: ToolNames) -> ResolvedTool:
    """Return the tool that muster calls `name`; `server/tool` is taken as it is.

    Raises:
        ToolNameError: it names no server, several tools, or something that Ostler has not.
    """
    if "/" in name:
        if not TOOL_PATTERN.fullmatch(name):
            raise ToolNameError(f"{name!r} is not a tool name", "write 'x_<server>_<tool>' or 'server/tool'")
        return ResolvedTool(name)
    if name.startswith("core_"):
        return ResolvedTool(_own_tool(name))
    if name.startswith(("workflow_", "action_")):
        message = f"{name!r} runs a workflow of muster, and Ostler has no workflows"
        raise ToolNameError(message, "call the tools of its steps: postStart and preStop take lists")
    if name.startswith("x_"):
        return _external(name, name[2:], known)
    return ResolvedTool(_unprefixed(name, known))


def missing_tool(name: str) -> str:
    """Return how a tool is called that is nowhere: its class is listed as not available, with this name."""
    server, tool = (OWN_SERVER, name[5:]) if name.startswith("core_") else (UNKNOWN_SERVER, name)
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", tool).strip("-") or "unnamed"
    return f"{server}/{plain}"


def _own_tool(name: str) -> str:
    tool = name.removeprefix("core_")
    if tool in OWN_TOOLS:
        return f"{OWN_SERVER}/{tool}"
    if tool.startswith("workflow"):
        message = f"{name!r} is about workflows of muster, and Ostler has no workflows"
        raise ToolNameError(message, "call the tools of its steps: postStart and preStop take lists")
    close = difflib.get_close_matches(tool, OWN_TOOLS, n=1)
    fix = f"did you mean 'core_{close[0]}'?" if close else f"Ostler has {', '.join(sorted(OWN_TOOLS))}"
    raise ToolNameError(f"{name!r} is not one of Ostler's own tools", fix)


def _external(name: str, rest: str, known: ToolNames) -> ResolvedTool:
    possible = list(_of_servers(rest, known))
    listed = [tool for tool in possible if _is_listed(tool, known)]
    if listed:
        return ResolvedTool(listed[0])
    unlisted = [tool for tool in possible if tool.partition("/")[0] not in known.tools]
    if unlisted or possible:
        return ResolvedTool((unlisted or possible)[0])
    server, _, tool = rest.partition("_")
    if not server or not tool:
        message = f"{name!r} does not say which server's tool it is"
        raise ToolNameError(message, "write 'x_<server>_<tool>' or 'server/tool'")
    return ResolvedTool(f"{server}/{tool}", is_guess=True)


def _of_servers(rest: str, known: ToolNames) -> Iterator[str]:
    """Yield the tools that `rest` may be at the known servers, those of the longest server name or prefix first."""
    heads = {**{server: server for server in known.servers}, **known.prefixes}
    for head in sorted(heads, key=lambda name: (-len(name), name)):
        if rest.startswith(f"{head}_") and len(rest) > len(head) + 1:
            yield f"{heads[head]}/{rest[len(head) + 1 :]}"
            yield f"{heads[head]}/{rest}"


def _is_listed(tool: str, known: ToolNames) -> bool:
    server, _, name = tool.partition("/")
    return name in known.tools.get(server, ())


def _unprefixed(name: str, known: ToolNames) -> str:
    """Return the tool of a name without `x_`, which muster's documentation shows although muster never had it."""
    bare = name.removeprefix("api_")
    having = [
        f"{server}/{tool}" for server in sorted(known.tools) for tool in (name, bare) if tool in known.tools[server]
    ]
    listed = [tool for tool in _of_servers(bare, known) if _is_listed(tool, known)]
    found = sorted(set(having)) or listed
    if len(found) == 1:
        return found[0]
    if len(found) > 1:
        raise ToolNameError(f"{name!r} may be {' or '.join(found)}", f"write one of them, such as '{found[0]}'")
    possible = list(_of_servers(bare, known))
    if possible:
        return possible[0]
    there = f" (known servers: {', '.join(sorted(known.servers))})" if known.servers else ""
    raise ToolNameError(
        f"{name!r} does not say which server's tool it is", f"write 'server/{bare}' with the server's name{there}"
    )
