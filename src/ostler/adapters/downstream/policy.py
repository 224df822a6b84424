"""The policy on every downstream call, lifecycle calls included: which tools, and how large their arguments."""

import json
from collections.abc import Callable, Sequence
from typing import Protocol

from ostler.engine.protocols import Progress, ServerStatus, ToolCaller, ToolDirectory, ToolInfo
from ostler.model.errors import ToolDeniedError
from ostler.model.json import JsonMapping
from ostler.model.responses import ToolResponse
from ostler.model.settings import Settings


class Pool(ToolCaller, ToolDirectory, Protocol):
    """Calls tools, and knows which there are."""


class PolicedPool:
    """The downstream pool behind the policy of `ostler.toml`; a ToolCaller and a ToolDirectory like the pool itself.

    Args:
        pool: what is behind.
        settings: returns the settings in force, so that a stricter policy holds from the moment it is written.
    """

    def __init__(self, pool: Pool, settings: Callable[[], Settings]) -> None:
        self._pool = pool
        self._settings = settings

    def __repr__(self) -> str:
        return f"PolicedPool({self._pool!r})"

    async def call_tool(
        self, tool: str, args: JsonMapping, *, timeout: float | None = None, progress: Progress | None = None
    ) -> ToolResponse:
        """Call `server/tool` when the policy allows it.

        Raises:
            ToolDeniedError: the policy forbids the tool, or the arguments are too large; nothing was sent.
            DownstreamError: there was no answer; see its `delivery`.
        """
        settings = self._settings()
        if not settings.policy.allows(tool):
            raise ToolDeniedError(
                f"tool {tool!r} is denied by the policy of this Ostler",
                tool=tool,
                next_actions=("allow it under [policy] in ostler.toml",),
            )
        size = len(json.dumps(dict(args), default=str))
        limit = settings.limits.max_args_bytes
        if size > limit:
            raise ToolDeniedError(
                f"the arguments for {tool!r} take {size} bytes, more than the limit of {limit}",
                tool=tool,
                next_actions=("send less", "or raise limits.maxArgsBytes in ostler.toml"),
            )
        return await self._pool.call_tool(tool, args, timeout=timeout, progress=progress)

    def server_status(self, server: str) -> ServerStatus:
        """Return what is known about `server`; never blocks."""
        return self._pool.server_status(server)

    def find_tool(self, tool: str) -> ToolInfo | None:
        """Return the tool `server/tool`, or None when it is not listed or denied: what may not be called is not there.

        So a class whose stop tool is denied is refused before it starts what it could not stop.
        """
        return self._pool.find_tool(tool) if self._settings().policy.allows(tool) else None

    def list_tools(self, server: str | None = None) -> Sequence[ToolInfo]:
        """Return the listed tools that may be called, of one server or of all, by name."""
        policy = self._settings().policy
        return [tool for tool in self._pool.list_tools(server) if policy.allows(tool.qualified)]

    def on_change(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call `callback(server)` when a server connects, is lost, or lists other tools."""
        return self._pool.on_change(callback)
