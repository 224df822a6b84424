"""All tools that may be called: Ostler's own and the downstream ones, behind the policy of `ostler.toml`."""

from collections.abc import Callable, Sequence

from ostler.adapters.downstream.policy import check_call
from ostler.engine.protocols import Progress, ServerStatus, ToolInfo, ToolProvider
from ostler.faces.own_tools import OwnTools
from ostler.model.json import JsonMapping
from ostler.model.responses import ToolResponse
from ostler.model.settings import Settings
from ostler.model.tool_names import OWN_SERVER


class PermittedTools:
    """The one way of classes and clients to tools; a ToolProvider.

    Ostler's own tools are found by name and listed for the server `ostler`, but not among the downstream tools.
    """

    def __init__(self, pool: ToolProvider, own: OwnTools, settings: Callable[[], Settings]) -> None:
        """Make the way.

        Args:
            pool: the downstream servers' tools.
            own: answers for the server `ostler`.
            settings: returns the settings in force, so that a stricter policy holds from the moment it is written.
        """
        self._pool = pool
        self._own = own
        self._settings = settings

    def __repr__(self) -> str:
        return f"PermittedTools({self._pool!r})"

    async def call_tool(
        self, tool: str, args: JsonMapping, *, timeout: float | None = None, progress: Progress | None = None
    ) -> ToolResponse:
        """Call `server/tool` when the policy allows it.

        Raises:
            ToolDeniedError: the policy forbids the tool, or the arguments are too large; nothing was sent.
            DownstreamError: there was no answer; see its `delivery`.
        """
        check_call(self._settings(), tool, args)
        provider = self._own if tool.partition("/")[0] == OWN_SERVER else self._pool
        return await provider.call_tool(tool, args, timeout=timeout, progress=progress)

    def server_status(self, server: str) -> ServerStatus:
        """Return what is known about `server`; Ostler itself is always there."""
        if server == OWN_SERVER:
            return ServerStatus(known=True, connected=True, tools_known=True)
        return self._pool.server_status(server)

    def find_tool(self, tool: str) -> ToolInfo | None:
        """Return the tool `server/tool`, or None when it is not listed or denied: what may not be called is not there.

        So a class whose stop tool is denied is refused before it starts what it could not stop.
        """
        if not self._settings().policy.allows(tool):
            return None
        return self._own.find(tool) if tool.partition("/")[0] == OWN_SERVER else self._pool.find_tool(tool)

    def list_tools(self, server: str | None = None) -> Sequence[ToolInfo]:
        """Return the listed tools that may be called, by name: of one server, or the downstream ones of all."""
        policy = self._settings().policy
        tools = self._own.listed() if server == OWN_SERVER else self._pool.list_tools(server)
        return [tool for tool in tools if policy.allows(tool.qualified)]

    def on_change(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call `callback(server)` when a server connects, is lost, or lists other tools."""
        return self._pool.on_change(callback)
