"""Why a call was not sent: the errors of the pool itself, each with what to do next."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final

from ostler.adapters.downstream.authorization import advice
from ostler.adapters.downstream.refused_entries import RefusedEntries
from ostler.adapters.downstream.snapshots import DISABLED, WAY_TO_ENABLE, ConnectionSnapshot
from ostler.engine.protocols import ToolInfo
from ostler.model.downstream_errors import (
    Delivery,
    ServerUnavailableError,
    ToolDeniedError,
    ToolNotFoundError,
    ToolTimeoutError,
)
from ostler.model.servers import ServerEntry
from ostler.model.states import ServiceState

_SHOWN_TOOLS: Final = 12


def unavailable(
    snapshot: ConnectionSnapshot, next_attempt_in: float | None, tool: str | None = None
) -> ServerUnavailableError:
    """Return the error of a server that is not connected: why, and what is being done about it."""
    name = snapshot.name
    reason = f": {snapshot.reason}" if snapshot.reason else ""
    log = (f"see its stderr in {snapshot.stderr_log}",) if snapshot.stderr_log else ()
    match snapshot.state:
        case ServiceState.STOPPED | ServiceState.STOPPING:
            text = f"server {name!r} is stopped{reason}"
            actions = (WAY_TO_ENABLE if snapshot.reason == DISABLED else f"service_start {name}",)
        case ServiceState.STARTING:
            text = f"server {name!r} is still being connected{reason}"
            actions = ("try again in a few seconds", *log)
        case ServiceState.AUTH_REQUIRED:
            return auth_demanded(snapshot, tool)
        case _:
            soon = "it is being connected"
            when = soon if next_attempt_in is None else f"next attempt in {max(next_attempt_in, 0.1):.1f} s"
            text = f"server {name!r} is not connected{reason}; {when}"
            actions = ("try again after that", f"service_start {name} tries at once", *log)
    return ServerUnavailableError(text, tool=tool, next_actions=actions)


def auth_demanded(snapshot: ConnectionSnapshot, tool: str | None = None) -> ServerUnavailableError:
    """Return the error of a server that rejects Ostler until its entry has credentials that it accepts."""
    text = f"server {snapshot.name!r} is not connected: {snapshot.reason}"
    return ServerUnavailableError(text, tool=tool, next_actions=advice(snapshot.name))


def unknown_server(
    tool: str, servers: Sequence[str], tools: Sequence[ToolInfo], refused: RefusedEntries
) -> ToolNotFoundError:
    """Return the error for a tool name whose server does not exist, or that names none."""
    server, _, name = tool.partition("/")
    reason = refused.reason(server)
    if name and server in refused.off:
        text = f"server {server!r} is not available: {reason}"
        return ToolNotFoundError(text, tool=tool, next_actions=("remove that, and start Ostler again",))
    if name and refused.name_of(server) is not None:
        text = f"server {server!r} is not available: {reason}"
        return ToolNotFoundError(text, tool=tool, next_actions=("correct its entry in mcp.json; it is read at once",))
    if name:
        close = get_close_matches(server, servers, n=3)
        hint = f"did you mean {_either(close)}?" if close else f"servers: {', '.join(servers) or 'none'}"
        text = f"server {server!r} not found; {reason or hint}"
    else:
        owners = [info.qualified for info in tools if info.name == server]
        hint = f"; did you mean {_either(owners[:3])}?" if owners else ""
        text = f"tool {tool!r} not found: a tool is named 'server/tool'{hint}"
    return ToolNotFoundError(text, tool=tool, next_actions=("mcpserver_list shows the servers",))


def unknown_tool(tool: str, listed: Sequence[str]) -> ToolNotFoundError:
    """Return the error of a tool that its server does not list; `listed` are the names that it does."""
    from ostler.model.near_names import close_names  # noqa: PLC0415 (only wanted when something went wrong)

    server, _, name = tool.partition("/")
    close = close_names(name, listed)
    if close:
        hint = f"did you mean {_either([f'{server}/{one}' for one in close])}?"
    else:
        shown = ", ".join(listed[:_SHOWN_TOOLS]) + (" …" if len(listed) > _SHOWN_TOOLS else "")
        hint = f"it has {len(listed)} tools" + (f": {shown}" if shown else "")
    return ToolNotFoundError(
        f"tool {tool!r} not found on server {server!r}; {hint}",
        tool=tool,
        next_actions=(f"tool_list with server {server!r} shows its tools",),
    )


def denied(tool: str) -> ToolDeniedError:
    """Return the error of a tool that the policy forbids."""
    server = tool.partition("/")[0]
    return ToolDeniedError(
        f"the policy of server {server!r} does not let {tool!r} be called",
        tool=tool,
        next_actions=(
            f"see the entry of {server!r} in mcp.json: allowTools and denyTools under 'ostler', or its disabledTools",
            "or a rule for the whole file, such as its permissions",
        ),
    )


def no_slot(tool: str, entry: ServerEntry, key: str, seconds: float) -> ToolTimeoutError:
    """Return the error of a call that waited its whole time for others to the same server to end.

    Args:
        tool: what was to be called.
        entry: the server.
        key: the limit that was reached, `concurrency` or `writeConcurrency`.
        seconds: how long it waited.
    """
    options = entry.options
    limit = options.concurrency if key == "concurrency" else options.write_concurrency
    kind = "call" if key == "concurrency" else "call that may change something"
    calls = f"1 {kind}" if limit == 1 else f"{limit} {kind.replace('call', 'calls', 1)}"
    error = ToolTimeoutError(
        f"{tool!r} was not sent within {seconds:g} s: {calls} to server {entry.name!r} under way, its limit",
        tool=tool,
        next_actions=("try again", f"raise {entry.setting(key, str(limit))}"),
    )
    error.delivery = Delivery.NOT_SENT
    return error


def _either(names: Sequence[str]) -> str:
    return " or ".join(repr(name) for name in names)
