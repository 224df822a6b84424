"""The process server as an MCP server: its tools over a supervisor, for as long as a client is connected."""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeAlias, cast

import anyio
import mcp_types as types
from mcp.server import Server
from mcp.server.context import ServerRequestContext

from ostler.adapters.caller_environment import META_KEY, SERVICE_META_KEY, environment_of_caller
from ostler.adapters.config.paths import shipped_classes_dir
from ostler.adapters.downstream.direct_calls import is_followed
from ostler.adapters.process.supervisor import Supervisor
from ostler.adapters.process.tools import TOOLS, Asked
from ostler.adapters.serving.table import ToolTable, refuse_cursor
from ostler.engine.call_context import called_for
from ostler.engine.protocols import Progress
from ostler.model.json import JsonMapping, JsonObject
from ostler.model.tool_names import PROCESS_SERVER

INSTRUCTIONS = (
    "Runs local programs in the background, each under a key of your choice, with a log file and a readiness check. "
    "They keep running when this server ends, and are found again under their keys."
)
SAVE_SECONDS = 5.0
"""How long the end of a connection may wait for facts to be written down."""

Context: TypeAlias = ServerRequestContext[None, Any]


class ProcessServer(Server[None]):
    """The MCP server over `supervisor`; connect it in-process with `mcp.Client(server)`.

    Nothing is touched until a client connects: then the folder is read and processes that still run are adopted. One
    Ostler at a time may use a folder; several clients of one server may.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._table = ToolTable(TOOLS, brief=False)
        super().__init__(
            PROCESS_SERVER,
            title="Local processes",
            instructions=INSTRUCTIONS,
            lifespan=self._keep,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
        )

    async def call_directly(self, name: str, args: JsonMapping, progress: Progress | None) -> JsonObject | None:
        """Call a tool without the protocol, once a client is connected: see `CalledDirectly`.

        Through the SDK, a look at a process takes 440 function calls more, of 1,300 with the engine's own.
        """
        if is_followed():
            return None
        asked = Asked(progress, environment_of_caller(), called_for())
        return (await self._run(name, args, asked)).model_dump(mode="json", by_alias=True, exclude_none=True)

    @asynccontextmanager
    async def _keep(self, _: Server[None]) -> AsyncGenerator[None]:
        await self._supervisor.open()
        async with anyio.create_task_group() as keepers:
            keepers.start_soon(self._supervisor.keep)
            try:
                yield
            finally:
                keepers.cancel_scope.cancel()
        with anyio.move_on_after(SAVE_SECONDS, shield=True):
            await self._supervisor.save()

    async def _list_tools(self, _: Context, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        refuse_cursor(params)
        return _saved_tools() or self._table.page(None)

    async def _call_tool(
        self, context: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult:
        asked = Asked(context.session.report_progress, _environment_in(params.meta), _service_in(params.meta))
        return await self._run(params.name, params.arguments, asked)

    async def _run(
        self, name: str, args: Mapping[str, Any] | None, asked: Asked
    ) -> types.CallToolResult | types.InputRequiredResult:
        return await self._table.get(name).run(self._supervisor, args, asked)


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
