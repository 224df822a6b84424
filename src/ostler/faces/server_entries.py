"""The downstream servers as people see them: entry, state and faults, refused entries included."""

from ostler.adapters.downstream.authorization import advice
from ostler.adapters.downstream.pool import DownstreamPool
from ostler.model.errors import NotFoundError
from ostler.model.json import JsonObject, present
from ostler.model.moments import format_brief
from ostler.model.states import ServiceState

REFUSED = "refused"
"""The state of an entry of `mcp.json` that could not be taken."""


def server_entries(pool: DownstreamPool) -> list[JsonObject]:
    """Return every server's entry with its state, masked, and the entries that were refused."""
    names = {*pool.names(), *pool.refused.by_name}
    return [server_entry(pool, name) for name in sorted(names)]


def server_entry(pool: DownstreamPool, name: str) -> JsonObject:
    """Return one server's entry with its state, masked.

    Raises:
        NotFoundError: there is no such server, and no refused entry of that name.
    """
    refused = pool.refused.name_of(name)
    names = list(pool.names())
    if name not in names:
        if refused is None:
            known = sorted({*names, *pool.refused.by_name})
            raise NotFoundError("MCP server", name, known=known, next_actions=("mcpserver_list shows them",))
        reason = pool.refused.reason(name)
        findings = [str(finding) for finding in pool.refused.by_name[refused]]
        return {"name": refused, "state": REFUSED, "reason": reason, "findings": findings}
    snapshot = pool.snapshot(name)
    shown: JsonObject = {
        "name": name,
        "transport": snapshot.transport,
        "state": snapshot.state.value,
        "tools": snapshot.tools,
        "since": format_brief(snapshot.since, precision="seconds"),
        "entry": pool.entry(name).masked(),
    }
    reasons = [snapshot.reason] if snapshot.reason else []
    if snapshot.state is ServiceState.AUTH_REQUIRED:
        reasons.append(advice(name)[0])
    if refused is not None:
        reasons.append(f"an earlier version of its entry is in force; {pool.refused.reason(name)}")
    optional: JsonObject = {
        "reason": "; ".join(reasons),
        "pid": snapshot.pid,
        "protocolVersion": snapshot.protocol_version,
        "serverName": snapshot.server_name,
        "serverVersion": snapshot.server_version,
        "lastError": snapshot.last_error,
        "stderrLog": str(snapshot.stderr_log) if snapshot.stderr_log else None,
        "attempts": snapshot.attempts or None,
        "leftOut": list(snapshot.left_out),
        "findings": [str(finding) for finding in pool.refused.by_name[refused]] if refused is not None else [],
    }
    return shown | present(optional)
