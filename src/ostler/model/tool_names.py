"""The names of downstream servers and of their tools, by which manifests are read that run the two together."""

from collections.abc import Iterable, Mapping

from msgspec import Struct

OWN_SERVER = "ostler"
"""Under which Ostler's own tools are called."""

PROCESS_SERVER = "process"
"""The downstream server that Ostler has built in: it runs programs on this machine."""

UNKNOWN_SERVER = "unknown"
"""Under which a class names a tool of which no one can say whose it is; it is missing unless there is such a server."""


MISSING_SERVER = "mcp.json has no server "
"""The beginning of the reason why a server that is not configured is not available; its name follows."""


class ToolNames(Struct, frozen=True):
    """The downstream servers that are configured, and the tools of those that have listed theirs.

    Attributes:
        servers: the servers' names.
        tools: the names of their tools, by server.
        prefixes: what stands for a server's name where names are run together, and its server.
    """

    servers: frozenset[str] = frozenset()
    tools: Mapping[str, frozenset[str]] = {}
    prefixes: Mapping[str, str] = {}

    @classmethod
    def of(
        cls, servers: Iterable[str], tools: Iterable[str] = (), prefixes: Mapping[str, str] | None = None
    ) -> "ToolNames":
        """Return what `servers` and `tools` (as `server/tool`) say."""
        by_server: dict[str, set[str]] = {}
        for tool in tools:
            server, _, name = tool.partition("/")
            by_server.setdefault(server, set()).add(name)
        names = {name: frozenset(found) for name, found in by_server.items()}
        return cls(frozenset(servers) | by_server.keys(), names, prefixes or {})
