"""Ostler's own tools as tools of a class, `ostler/service_create` and the rest, beside the downstream ones."""

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import lru_cache

import anyio

from ostler.adapters.downstream.policy import Pool
from ostler.engine.protocols import Clock, Progress, ServerStatus, ToolInfo
from ostler.faces.mcp.call_log import CallLog
from ostler.faces.mcp.definitions import AnyTool, Call
from ostler.faces.mcp.surface import ApplicationLike
from ostler.faces.mcp.toolbox import NAMES, TOOLS
from ostler.model.durations import format_duration
from ostler.model.errors import ServerUnavailableError, ToolDeniedError, ToolNotFoundError, ToolTimeoutError
from ostler.model.json import JsonMapping
from ostler.model.responses import ToolResponse
from ostler.model.tool_names import OWN_SERVER
from ostler.rules.answers.responses import normalise

MAX_DEPTH = 4
"""How deep classes may drive one another through Ostler's own tools: one that creates itself ends there."""

DEFAULT_TIMEOUT = 60.0
"""Seconds that a call may take when its caller does not say."""

_depth: ContextVar[int] = ContextVar("depth of own tools", default=0)


class OwnTools:
    """The downstream pool, with `ostler/…` answered by this very application once `serve` was called.

    Ostler's tools are found by name and listed for the server `ostler`, but not among the downstream tools.
    """

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._log = CallLog()
        self._app: ApplicationLike | None = None

    def __repr__(self) -> str:
        return f"OwnTools({self._pool!r})"

    def serve(self, app: ApplicationLike) -> None:
        """Have `app` answer."""
        self._app = app

    async def call_tool(
        self, tool: str, args: JsonMapping, *, timeout: float | None = None, progress: Progress | None = None
    ) -> ToolResponse:
        """Call `server/tool`, or Ostler's own tool.

        Raises:
            ToolDeniedError: classes drive one another too deep.
            DownstreamError: there was no answer; see its `delivery`.
        """
        server, _, name = tool.partition("/")
        if server != OWN_SERVER:
            return await self._pool.call_tool(tool, args, timeout=timeout, progress=progress)
        depth = _depth.get() + 1
        if depth > MAX_DEPTH:
            raise ToolDeniedError(
                f"{tool!r} was called from a class that was driven by a class, and so on, {MAX_DEPTH} times",
                tool=tool,
                next_actions=("check whether the class creates or starts itself through Ostler's tools",),
            )
        definition = _tools().get(name)
        if definition is None:
            raise ToolNotFoundError(f"Ostler has no tool {name!r}", tool=tool, next_actions=("tools/list shows them",))
        if self._app is None:
            raise ServerUnavailableError("Ostler is only starting", tool=tool, next_actions=("try again",))
        limit = DEFAULT_TIMEOUT if timeout is None else timeout
        call = Call(progress or _no_progress, self._clock, OWN_SERVER, self._log, NAMES)
        began = anyio.current_time()
        token = _depth.set(depth)
        try:
            with anyio.fail_after(limit):
                result = await definition.run(self._app, args, call)
        except TimeoutError:
            raise ToolTimeoutError(f"tool {tool!r} did not answer within {format_duration(limit)}", tool=tool) from None
        finally:
            _depth.reset(token)
        content = [block.model_dump(mode="json", by_alias=True, exclude_none=True) for block in result.content]
        duration = anyio.current_time() - began
        return normalise(content, result.structured_content, is_error=bool(result.is_error), duration=duration)

    def server_status(self, server: str) -> ServerStatus:
        """Return what is known about `server`; Ostler itself is always there."""
        if server == OWN_SERVER:
            return ServerStatus(known=True, connected=True, tools_known=True)
        return self._pool.server_status(server)

    def find_tool(self, tool: str) -> ToolInfo | None:
        """Return the tool `server/tool`, or None when it is not listed."""
        server, _, name = tool.partition("/")
        if server != OWN_SERVER:
            return self._pool.find_tool(tool)
        return _info(name) if name in _tools() else None

    def list_tools(self, server: str | None = None) -> Sequence[ToolInfo]:
        """Return the listed downstream tools, by name, or Ostler's own for the server `ostler`."""
        if server == OWN_SERVER:
            return [_info(name) for name in sorted(_tools())]
        return self._pool.list_tools(server)

    def on_change(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call `callback(server)` when a server connects, is lost, or lists other tools."""
        return self._pool.on_change(callback)


async def _no_progress(done: float, total: float | None, message: str | None) -> None:
    del done, total, message


@lru_cache(maxsize=1)
def _tools() -> dict[str, AnyTool]:
    return {tool.name: tool for tool in TOOLS}


@lru_cache(maxsize=64)
def _info(name: str) -> ToolInfo:
    tool = _tools()[name].tool()
    return ToolInfo(OWN_SERVER, name, tool.description or "", tool.input_schema, tool.output_schema)
