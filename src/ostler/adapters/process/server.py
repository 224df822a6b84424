"""The process server: its tools over a supervisor, for as long as it runs."""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import anyio

from ostler.adapters.caller_environment import environment_of_caller
from ostler.adapters.config.paths import shipped_classes_dir
from ostler.adapters.process.supervisor import Supervisor
from ostler.adapters.process.tools import TOOLS, Asked
from ostler.adapters.serving.answers import Answer
from ostler.adapters.serving.table import ToolTable
from ostler.engine.call_context import called_for
from ostler.engine.protocols import Progress, ToolInfo
from ostler.model.json import JsonMapping, JsonObject
from ostler.model.tool_names import PROCESS_SERVER

if TYPE_CHECKING:
    import mcp_types as types
    from mcp.server import Server

SAVE_SECONDS: Final = 5.0
"""How long its end may wait for facts to be written down."""


_TABLE: Final = ToolTable(TOOLS, brief=False)
"""What every process server lists: the schemas are made once, when they are asked for."""


class ProcessServer:
    """The tools over `supervisor`, called without the protocol: see `downstream.direct_calls.InsideServer`.

    Nothing is touched until it runs: then the folder is read and processes that still run are adopted. One Ostler at a
    time may use a folder.
    """

    name = PROCESS_SERVER

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def __repr__(self) -> str:
        return f"ProcessServer({self._supervisor!r})"

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Keep the processes until the block ends."""
        await self._supervisor.open()
        async with anyio.create_task_group() as keepers:
            keepers.start_soon(self._supervisor.keep)
            try:
                yield
            finally:
                keepers.cancel_scope.cancel()
        with anyio.move_on_after(SAVE_SECONDS, shield=True):
            await self._supervisor.save()

    def tools(self) -> list[ToolInfo]:
        """Return the tools."""
        saved = _saved_tools()
        if saved is None:
            saved = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in listed_tools()]
        return [_info(facts) for facts in saved]

    async def call_directly(self, name: str, args: JsonMapping, progress: Progress | None) -> JsonObject:
        """Call a tool while this runs; through the SDK, a look at a process takes 440 function calls more, of 1,300.

        Raises:
            MCPError: there is no such tool.
        """
        asked = Asked(progress, environment_of_caller(), called_for())
        answer = await _TABLE.get(name).answer(self._supervisor, args, asked)
        assert isinstance(answer, Answer), "these tools ask no one"
        return answer.plain()

    async def _call(
        self, name: str, args: Mapping[str, Any] | None, asked: Asked
    ) -> "types.CallToolResult | types.InputRequiredResult":
        return await _TABLE.get(name).run(self._supervisor, args, asked)

    def over_protocol(self) -> "Server[None]":
        """Return an MCP server with these tools, which runs while `mcp.Client(server)` is connected to it."""
        from ostler.adapters.process.protocol_server import protocol_server  # noqa: PLC0415 (the SDK's is large)

        return protocol_server(self, _TABLE.page, self._call)


def listed_tools() -> "list[types.Tool]":
    """Return the tools as `tools/list` shows them."""
    return _TABLE.page(None).tools


def _saved_tools() -> list[JsonObject] | None:
    """Return what is generated of `listed_tools`: every start waits for it, and making it takes 30 ms."""
    folder = shipped_classes_dir()
    if folder is None:
        return None
    try:
        return json.loads((folder / "tools" / "process.json").read_text(encoding="utf-8"))["tools"]
    except (OSError, ValueError, KeyError):  # it only saves time
        return None


def _info(facts: JsonObject) -> ToolInfo:
    return ToolInfo(
        server=PROCESS_SERVER,
        name=facts["name"],
        description=facts["description"],
        input_schema=facts["inputSchema"],
        output_schema=facts["outputSchema"],
        annotations=facts["annotations"],
        title=facts["title"],
    )
