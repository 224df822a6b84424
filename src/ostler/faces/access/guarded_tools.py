"""The downstream tools that one principal may call itself."""

from collections.abc import Callable, Sequence

from ostler.engine.classes.catalogue import ClassDirectory
from ostler.engine.protocols import Progress, ServerStatus, ToolInfo, ToolProvider
from ostler.faces.access.acting import Acting
from ostler.faces.access.rights import Rights
from ostler.model.downstream_errors import ToolDeniedError
from ostler.model.json import JsonMapping
from ostler.model.responses import ToolResponse
from ostler.model.tool_names import MISSING_SERVER, OWN_SERVER


class GuardedTools:
    """A ToolProvider over another; what a principal may not call is not listed, and its server is not known."""

    def __init__(self, tools: ToolProvider, classes: ClassDirectory, rights: Rights, acting: Acting) -> None:
        self._tools = tools
        self._classes = classes
        self._rights = rights
        self._acting = acting

    def __repr__(self) -> str:
        return f"GuardedTools({self._rights!r})"

    async def call_tool(
        self, tool: str, args: JsonMapping, *, timeout: float | None = None, progress: Progress | None = None
    ) -> ToolResponse:
        """Call `server/tool` when the policy allows it.

        Raises:
            ToolDeniedError: it does not, or it is one of Ostler's own, which is called by its name alone.
            OstlerError: as the tools beneath.
        """
        async with self._acting.act("call", tool, refusal=self._refusal(tool)):
            return await self._tools.call_tool(tool, args, timeout=timeout, progress=progress)

    def _refusal(self, tool: str) -> ToolDeniedError | None:
        if tool.partition("/")[0] == OWN_SERVER and not self._rights.principal.unrestricted:
            name = tool.partition("/")[2]
            return ToolDeniedError(
                f"tool {tool!r} is Ostler's own and is not called through tool_call",
                tool=tool,
                next_actions=(f"call {name} itself",),
            )
        if not self._rights.policy().allows_tool(tool):
            return ToolDeniedError(
                f"{self._rights.name!r} may not call tool {tool!r}",
                tool=tool,
                next_actions=(
                    "tool_list shows those that you may call",
                    "or ask the person who runs this Ostler: 'tools' in [principals] of ostler.toml",
                ),
            )
        return None

    def server_status(self, server: str) -> ServerStatus:
        """Return what is known about `server`; nothing if the principal may use no tool of it."""
        if self.sees_server(server):
            return self._tools.server_status(server)
        return ServerStatus(known=False, connected=False, reason=f"{MISSING_SERVER}{server!r}")

    def sees_server(self, server: str) -> bool:
        """Whether the principal may call a tool of `server`, or create services of a class that it drives."""
        if self._rights.policy().admin or self.list_tools(server):
            return True
        return any(server in entry.service_class.servers() for entry in self._classes.get_all())

    def find_tool(self, tool: str) -> ToolInfo | None:
        """Return the tool `server/tool`, or None when it is not listed or may not be called."""
        return self._tools.find_tool(tool) if self._may_list(tool) else None

    def list_tools(self, server: str | None = None) -> Sequence[ToolInfo]:
        """Return the tools that may be called."""
        return [tool for tool in self._tools.list_tools(server) if self._may_list(tool.qualified)]

    def _may_list(self, tool: str) -> bool:
        if tool.partition("/")[0] == OWN_SERVER:
            return self._rights.policy().admin
        return self._rights.policy().allows_tool(tool)

    def on_change(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call `callback(server)` when a server that the principal sees connects, is lost, or lists other tools."""

        def changed(server: str) -> None:
            if self.sees_server(server):
                callback(server)

        return self._tools.on_change(changed)
