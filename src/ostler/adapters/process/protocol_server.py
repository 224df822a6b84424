"""The process server as an MCP server: for calls that are traced, through the spans that the SDK makes of each."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias, cast

import mcp_types as types
from mcp.server import Server
from mcp.server.context import ServerRequestContext

from ostler.adapters.caller_environment import META_KEY, SERVICE_META_KEY
from ostler.adapters.downstream.direct_calls import InsideServer
from ostler.adapters.process.tools import Asked

_INSTRUCTIONS: Final = (
    "Runs local programs in the background, each under a key of your choice, with a log file and a readiness check. "
    "They keep running when this server ends, and are found again under their keys."
)

_Context: TypeAlias = ServerRequestContext[None, Any]
_Result: TypeAlias = types.CallToolResult | types.InputRequiredResult


def protocol_server(
    processes: InsideServer,
    page: Callable[[types.PaginatedRequestParams | None], types.ListToolsResult],
    call: Callable[[str, Mapping[str, Any] | None, Asked], Awaitable[_Result]],
) -> Server[None]:
    """Return an MCP server with the tools of `processes`, listed by `page`, each answered by `call`."""

    @asynccontextmanager
    async def keep(_: Server[None]) -> AsyncGenerator[None]:
        async with processes.running():
            yield

    async def list_tools(_: _Context, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return page(params)

    async def call_tool(context: _Context, params: types.CallToolRequestParams) -> _Result:
        asked = Asked(context.session.report_progress, _environment_in(params.meta), _service_in(params.meta))
        return await call(params.name, params.arguments, asked)

    return Server(
        processes.name,
        title="Local processes",
        instructions=_INSTRUCTIONS,
        lifespan=keep,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def _service_in(meta: Mapping[str, Any] | None) -> str:
    found: object = (meta or {}).get(SERVICE_META_KEY)
    return found if isinstance(found, str) else ""


def _environment_in(meta: Mapping[str, Any] | None) -> Mapping[str, str] | None:
    found: object = (meta or {}).get(META_KEY)
    return cast("Mapping[str, str]", found) if isinstance(found, dict) else None
