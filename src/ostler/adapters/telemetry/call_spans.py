"""Tool calls to downstream servers: a span and a measurement of each, from the request for it to its answer.

The SDK makes a span of each message that it sends, and puts its context into `_meta`. This one is around it: it has
what the SDK does not know, such as the server's name, the waiting before, and that the tool itself failed.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import urlsplit

from opentelemetry.trace import SpanKind, StatusCode, Tracer
from opentelemetry.util.types import AttributeValue

from ostler.adapters.downstream.pool import DownstreamPool
from ostler.adapters.telemetry.instruments import Instruments
from ostler.engine.protocols import Progress, ServerStatus, ToolInfo
from ostler.model.errors import OstlerError
from ostler.model.json import JsonMapping
from ostler.model.responses import ToolResponse
from ostler.model.servers import ServerEntry
from ostler.model.web_addresses import port_of

TOOL_ERROR: Final = "tool_error"
"""The conventions' `error.type` of a tool that says that it failed."""

_OTHER: Final = "_OTHER"


class ObservedTools:
    """A ToolProvider over the pool."""

    def __init__(self, pool: DownstreamPool, tracer: Tracer, instruments: Instruments) -> None:
        self._pool = pool
        self._tracer = tracer
        self._called = instruments.called

    def __repr__(self) -> str:
        return f"ObservedTools({self._pool!r})"

    async def call_tool(
        self, tool: str, args: JsonMapping, *, timeout: float | None = None, progress: Progress | None = None
    ) -> ToolResponse:
        """Call `server/tool` as the pool does; raises as it does."""
        facts = self._facts(tool)
        since = time.perf_counter()
        name = f"execute_tool {facts['gen_ai.tool.name']}"
        with self._tracer.start_as_current_span(
            name, None, SpanKind.INTERNAL, facts, record_exception=False, set_status_on_exception=False
        ) as span:
            failure = _OTHER
            try:
                response = await self._pool.call_tool(tool, args, timeout=timeout, progress=progress)
                failure = TOOL_ERROR if response.is_error else ""
            except OstlerError as error:
                failure = error.code  # its text may have a server's own words; the operation's span has it, masked
                raise
            except BaseException as error:
                failure = type(error).__name__
                raise
            finally:
                if failure:
                    facts["error.type"] = failure
                    span.set_attribute("error.type", failure)
                    span.set_status(StatusCode.ERROR)
                self._called.record(time.perf_counter() - since, {**facts, "mcp.method.name": "tools/call"})
            return response

    def _facts(self, tool: str) -> dict[str, AttributeValue]:
        """Return the attributes of a call. A name that no server has is not repeated: there may be any number."""
        server, _, name = tool.partition("/")
        facts: dict[str, AttributeValue] = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": _OTHER}
        if not self._pool.server_status(server).known:
            return facts
        if self._pool.find_tool(tool) is not None:
            facts["gen_ai.tool.name"] = name
        snapshot = self._pool.snapshot(server)
        if snapshot.protocol_version:
            facts["mcp.protocol.version"] = snapshot.protocol_version
        return facts | {"ostler.server.name": server} | way_to(self._pool.entry(server))

    def server_status(self, server: str) -> ServerStatus:
        """Return what is known about `server`."""
        return self._pool.server_status(server)

    def find_tool(self, tool: str) -> ToolInfo | None:
        """Return the tool `server/tool`, or None."""
        return self._pool.find_tool(tool)

    def list_tools(self, server: str | None = None) -> Sequence[ToolInfo]:
        """Return the listed tools."""
        return self._pool.list_tools(server)

    def on_change(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call `callback(server)` when a server connects, is lost, or lists other tools."""
        return self._pool.on_change(callback)


def way_to(entry: ServerEntry) -> dict[str, AttributeValue]:
    """Return how a server is reached, in the conventions' attributes; nothing for one inside this process."""
    match entry.transport:
        case "stdio":
            return {"network.transport": "pipe"}
        case "http" | "sse":
            address = urlsplit(entry.url)
            port = port_of(address)
            return {"network.transport": "tcp", "server.address": address.hostname or "", "server.port": port}
        case _:
            return {}
