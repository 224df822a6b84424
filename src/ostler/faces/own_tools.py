"""Ostler's own tools as tools of a class: `ostler/service_create` and the rest."""

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from functools import lru_cache
from typing import Final

import anyio

from ostler.adapters.serving.answers import Answer
from ostler.adapters.serving.asking import NoPerson
from ostler.engine.protocols import Clock, Progress, ToolInfo
from ostler.faces.mcp.call_log import CallLog
from ostler.faces.mcp.definitions import AnyTool, Call
from ostler.faces.mcp.progress import unreported
from ostler.faces.mcp.surface import ApplicationLike
from ostler.faces.mcp.toolbox import NAMES, TOOLS
from ostler.model.downstream_errors import ServerUnavailableError, ToolDeniedError, ToolNotFoundError, ToolTimeoutError
from ostler.model.durations import format_duration
from ostler.model.json import JsonMapping, as_objects
from ostler.model.responses import ToolResponse
from ostler.model.tool_names import OWN_SERVER
from ostler.rules.answers.responses import normalise

MAX_DEPTH = 4
"""How deep classes may drive one another through Ostler's own tools: one that creates itself ends there."""

DEFAULT_TIMEOUT = 60.0
"""Seconds that a call may take when its caller does not say."""

_depth: ContextVar[int] = ContextVar("depth of own tools", default=0)


class OwnTools:
    """Answers calls of `ostler/…` through this very application, once `serve` was called."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._log = CallLog()
        self._app: ApplicationLike | None = None

    def serve(self, app: ApplicationLike) -> None:
        """Have `app` answer."""
        self._app = app

    async def call_tool(
        self, tool: str, args: JsonMapping, *, timeout: float | None = None, progress: Progress | None = None
    ) -> ToolResponse:
        """Call Ostler's own `ostler/tool`.

        Raises:
            ToolDeniedError: classes drive one another too deep.
            DownstreamError: there was no answer; see its `delivery`.
        """
        name = tool.partition("/")[2]
        depth = _depth.get() + 1
        if depth > MAX_DEPTH:
            raise ToolDeniedError(
                f"{tool!r} was called from a class that was driven by a class, and so on, {MAX_DEPTH} times",
                tool=tool,
                next_actions=("check whether the class creates or starts itself through Ostler's tools",),
            )
        definition = _TOOLS.get(name)
        if definition is None:
            raise ToolNotFoundError(f"Ostler has no tool {name!r}", tool=tool, next_actions=("tools/list shows them",))
        if self._app is None:
            raise ServerUnavailableError("Ostler is only starting", tool=tool, next_actions=("try again",))
        limit = DEFAULT_TIMEOUT if timeout is None else timeout
        call = Call(progress or unreported, self._clock, OWN_SERVER, self._log, NAMES, NoPerson())
        began = anyio.current_time()
        token = _depth.set(depth)
        try:
            with anyio.fail_after(limit):
                answer = await definition.answer(self._app, args, call)
        except TimeoutError:
            raise ToolTimeoutError(f"tool {tool!r} did not answer within {format_duration(limit)}", tool=tool) from None
        finally:
            _depth.reset(token)
        assert isinstance(answer, Answer), "no one was asked"
        duration = anyio.current_time() - began
        sent = answer.plain()
        content, structured = as_objects(sent["content"]), sent.get("structuredContent")
        return normalise(content, structured, is_error=answer.is_error, duration=duration)

    def find(self, tool: str) -> ToolInfo | None:
        """Return the tool `ostler/tool`, or None when there is none of the name."""
        name = tool.partition("/")[2]
        return _info(name) if name in _TOOLS else None

    def listed(self) -> Sequence[ToolInfo]:
        """Return all of them, by name."""
        return [_info(name) for name in sorted(_TOOLS)]


_TOOLS: Final[Mapping[str, AnyTool]] = {tool.name: tool for tool in TOOLS}


@lru_cache(maxsize=64)
def _info(name: str) -> ToolInfo:
    tool = _TOOLS[name].tool()
    return ToolInfo(OWN_SERVER, name, tool.description or "", tool.input_schema, tool.output_schema)
