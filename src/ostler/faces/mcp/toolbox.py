"""The table of all tools, and how a call finds its way to one and back."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeAlias

from mcp.server import ServerRequestContext
from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult, PaginatedRequestParams

from ostler.engine.protocols import Clock
from ostler.faces.mcp.answers import error_result, internal_error_result
from ostler.faces.mcp.call_log import CallLog
from ostler.faces.mcp.check_tools import CHECK_TOOLS
from ostler.faces.mcp.class_tools import CLASS_TOOLS
from ostler.faces.mcp.definitions import Call, ToolDefinition
from ostler.faces.mcp.downstream_tools import DOWNSTREAM_TOOLS
from ostler.faces.mcp.drafting_tools import DRAFTING_TOOLS
from ostler.faces.mcp.explain_tools import EXPLAIN_TOOLS
from ostler.faces.mcp.lifecycle_tools import LIFECYCLE_TOOLS
from ostler.faces.mcp.lifespan import Lifespan
from ostler.faces.mcp.plan_tools import PLAN_TOOLS
from ostler.faces.mcp.problems import read_args
from ostler.faces.mcp.progress import progress_to
from ostler.faces.mcp.schemas import Args
from ostler.faces.mcp.service_tools import SERVICE_TOOLS
from ostler.faces.mcp.surface import ApplicationLike
from ostler.model.errors import NotFoundError, OstlerError

Toolset = Literal["full", "core"]
AnyTool: TypeAlias = ToolDefinition[Any]

TOOLS: tuple[AnyTool, ...] = (
    *SERVICE_TOOLS,
    *PLAN_TOOLS,
    *EXPLAIN_TOOLS,
    *LIFECYCLE_TOOLS,
    *CLASS_TOOLS,
    *CHECK_TOOLS,
    *DRAFTING_TOOLS,
    *DOWNSTREAM_TOOLS,
)
"""Every tool. A new one is one more entry in one of these tables."""


def tools_of(toolset: Toolset) -> Sequence[AnyTool]:
    """Return the tools of a toolset, in the order of tools/list."""
    return [tool for tool in TOOLS if toolset == "full" or tool.core]


class Toolbox:
    """Lists the tools and answers calls: reads the arguments, runs the handler, turns errors into results."""

    def __init__(self, app: ApplicationLike, clock: Clock, tools: Iterable[AnyTool]) -> None:
        self._app = app
        self._clock = clock
        self._log = CallLog()
        self._tools = {tool.name: tool for tool in tools}
        self._listed = [tool.tool() for tool in self._tools.values()]

    async def list_tools(
        self, context: ServerRequestContext[Lifespan], params: PaginatedRequestParams | None
    ) -> ListToolsResult:
        """List the tools: always the same ones, on one page."""
        del context, params
        return ListToolsResult(tools=self._listed)

    async def call(self, context: ServerRequestContext[Lifespan], params: CallToolRequestParams) -> CallToolResult:
        """Answer a call. Whatever goes wrong is a result with `isError`, which an agent can read and act on.

        Cancellation by the client ends the waiting here; an operation under way in the engine goes on.
        """
        try:
            tool = self._find(params.name)
            args = read_args(tool.name, tool.args, params.arguments)
        except OstlerError as error:
            return error_result(error)
        async with progress_to(context) as progress:
            return await self._answer(tool, args, Call(progress, self._clock, _client_of(context), self._log))

    async def _answer(self, tool: AnyTool, args: Args, call: Call) -> CallToolResult:
        try:
            answer = await tool.handler(self._app, args, call)
            return answer.result()
        except OstlerError as error:
            return error_result(error)
        except Exception as error:  # noqa: BLE001 (boundary: a bug in one tool is an answer, not the end)
            return internal_error_result(tool.name, error)

    def _find(self, name: str) -> AnyTool:
        tool = self._tools.get(name)
        if tool is None:
            raise NotFoundError(
                "tool", name, known=list(self._tools), next_actions=("tools/list shows Ostler's tools",)
            )
        return tool


def _client_of(context: ServerRequestContext[Lifespan]) -> str:
    """Return the name that the client gives itself. Command lines connect anew for each call, under one name."""
    params = context.session.client_params
    return "" if params is None else params.client_info.name
