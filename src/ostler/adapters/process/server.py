"""The process server as an MCP server: its tools over a supervisor, for as long as a client is connected."""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeAlias, cast

import anyio
import mcp_types as types
from mcp.server import Server
from mcp.server.context import ServerRequestContext

from ostler.adapters.caller_environment import META_KEY, SERVICE_META_KEY
from ostler.adapters.config.paths import shipped_classes_dir
from ostler.adapters.process.supervisor import Supervisor
from ostler.adapters.process.tools import TOOLS, Asked
from ostler.adapters.serving.table import ToolTable, refuse_cursor
from ostler.model.tool_names import PROCESS_SERVER

INSTRUCTIONS = (
    "Runs local programs in the background, each under a key of your choice, with a log file and a readiness check. "
    "They keep running when this server ends, and are found again under their keys."
)
SAVE_SECONDS = 5.0
"""How long the end of a connection may wait for facts to be written down."""

Context: TypeAlias = ServerRequestContext[None, Any]


def serve_processes(supervisor: Supervisor) -> Server[None]:
    """Return the MCP server over `supervisor`; connect it in-process with `mcp.Client(server)`.

    Nothing is touched until a client connects: then the folder is read and processes that still run are adopted. One
    Ostler at a time may use a folder; several clients of one server may.
    """
    table = ToolTable(TOOLS, brief=False)

    @asynccontextmanager
    async def lifespan(_: Server[None]) -> AsyncGenerator[None]:
        await supervisor.open()
        async with anyio.create_task_group() as keepers:
            keepers.start_soon(supervisor.keep)
            try:
                yield
            finally:
                keepers.cancel_scope.cancel()
        with anyio.move_on_after(SAVE_SECONDS, shield=True):
            await supervisor.save()

    async def list_tools(_: Context, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        refuse_cursor(params)
        return _saved_tools() or table.page(None)

    async def call_tool(
        context: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult:
        asked = Asked(context.session.report_progress, _environment_in(params.meta), _service_in(params.meta))
        return await table.get(params.name).run(supervisor, params.arguments, asked)

    return Server(
        PROCESS_SERVER,
        title="Local processes",
        instructions=INSTRUCTIONS,
        lifespan=lifespan,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def listed_tools() -> list[types.Tool]:
    """Return the tools as `tools/list` shows them."""
    return ToolTable(TOOLS, brief=False).page(None).tools


def _saved_tools() -> types.ListToolsResult | None:
    """Return what is generated of `listed_tools`: every start waits for it, and making it takes 30 ms."""
    folder = shipped_classes_dir()
    if folder is None:
        return None
    try:
        facts = json.loads((folder / "tools" / "process.json").read_text(encoding="utf-8"))
        return types.ListToolsResult(tools=facts["tools"])
    except (OSError, ValueError, KeyError):  # it only saves time
        return None


def _service_in(meta: Mapping[str, Any] | None) -> str:
    found: object = (meta or {}).get(SERVICE_META_KEY)
    return found if isinstance(found, str) else ""


def _environment_in(meta: Mapping[str, Any] | None) -> Mapping[str, str] | None:
    found: object = (meta or {}).get(META_KEY)
    return cast("Mapping[str, str]", found) if isinstance(found, dict) else None
