"""Lists what muster publishes and answers calls to it, over a running application."""

from mcp.server import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    InputRequiredResult,
    ListToolsResult,
    PaginatedRequestParams,
    Tool,
    ToolAnnotations,
)

from ostler.adapters.serving.answers import error_result
from ostler.adapters.serving.asking import InputNeededError
from ostler.adapters.serving.problems import near
from ostler.adapters.serving.table import refuse_cursor
from ostler.engine.protocols import Clock
from ostler.faces.mcp.client_folder import clients_folder
from ostler.faces.mcp.lifespan import Lifespan
from ostler.faces.mcp.resources import Resources
from ostler.faces.mcp.surface import ApplicationLike
from ostler.faces.mcp.toolbox import NAMES, CallDesk, called_tool
from ostler.faces.muster.dispatch import call_reachable
from ostler.faces.muster.meta_request import Request
from ostler.faces.muster.meta_tools import META_TOOLS
from ostler.model.errors import ArgumentError, BusyError

INSTRUCTIONS = """\
These are the tools of muster. All work goes through call_tool: list_tools or filter_tools finds a tool, describe_tool \
shows its arguments, call_tool {"name": …, "arguments": {…}} calls it.

core_… tools manage services (core_service_create, core_service_list …), ServiceClasses and MCP servers; \
x_<server>_<tool> are the tools of the MCP servers. There are no workflows.

On an error read "Next:" in its text.\
"""


class MusterToolbox:
    """As `Toolbox`, with muster's tools. A tool behind `call_tool` is answered by its own name, too."""

    def __init__(self, app: ApplicationLike, clock: Clock) -> None:
        self._app = app
        self._desk = CallDesk(clock, NAMES)
        self._resources = Resources(app, clock)
        self._tools = {tool.name: tool for tool in META_TOOLS}
        self._listed = ListToolsResult(
            tools=[
                Tool(
                    name=tool.name,
                    description=tool.description,
                    input_schema=tool.input_schema(),
                    annotations=ToolAnnotations(read_only_hint=tool.reads),
                )
                for tool in META_TOOLS
            ]
        )

    async def list_tools(
        self, context: ServerRequestContext[Lifespan], params: PaginatedRequestParams | None
    ) -> ListToolsResult:
        """List the tools: always the same ones, on one page."""
        del context
        refuse_cursor(params)
        return self._listed

    async def call(
        self, context: ServerRequestContext[Lifespan], params: CallToolRequestParams
    ) -> CallToolResult | InputRequiredResult:
        """Answer a call.

        Raises:
            MCPError: there is no such tool.
        """
        try:
            async with self._desk.take(context, params) as call:
                found = await self._answer(Request(self._app, call, context, self._resources), params)
        except (ArgumentError, BusyError) as error:
            return error_result(error)
        if found is None:
            hint = near(params.name, self._tools) or "; call_tool calls the tools that list_tools shows"
            raise MCPError(INVALID_PARAMS, f"tool {params.name!r} not found{hint}")
        return found

    async def _answer(
        self, request: Request, params: CallToolRequestParams
    ) -> CallToolResult | InputRequiredResult | None:
        arguments = params.arguments or {}
        try:
            with await clients_folder(self._app, request.call.person, called_tool(params), arguments):
                if tool := self._tools.get(params.name):
                    return await tool.run(request, arguments)
                return await call_reachable(self._app, params.name, arguments, request.call)
        except InputNeededError as needed:
            return needed.result
