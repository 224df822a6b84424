"""Which downstream servers the holder lets others call for health checks, by its own entries of them."""

from typing import TYPE_CHECKING

from ostler.adapters.downstream.pool import DownstreamPool
from ostler.adapters.replicas.check_form import server_digest
from ostler.engine.protocols import ToolDirectory
from ostler.model.errors import NotFoundError

if TYPE_CHECKING:
    from ostler.model.servers import ServerEntry


class SharedServers:
    """Returns the digest of the server of a tool, as long as the holder may call the tool and is connected itself.

    Args:
        pool: the holder's connections.
        tools: what may be called.
        key: that of the database; without it a digest shows nothing about secrets.
    """

    def __init__(self, pool: DownstreamPool, tools: ToolDirectory, key: bytes) -> None:
        self._pool = pool
        self._tools = tools
        self._key = key
        self._digests: dict[str, tuple[ServerEntry, str]] = {}

    def __repr__(self) -> str:
        return f"<SharedServers {sorted(self._digests)}>"

    def __call__(self, tool: str) -> str:
        """Return the digest; empty if no other server should call `tool`."""
        server = tool.partition("/")[0]
        if self._tools.find_tool(tool) is None or not self._pool.server_status(server).connected:
            return ""
        try:
            entry = self._pool.entry(server)
        except NotFoundError:  # Ostler itself
            return ""
        known = self._digests.get(server)
        if known is None or known[0] is not entry:
            known = self._digests[server] = entry, server_digest(entry, self._key)
        return known[1]
