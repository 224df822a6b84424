"""Clients' requests, measured. The SDK makes their spans, with the parent that a client names in `_meta`."""

import time
from typing import Any, Final

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult
from mcp_types.methods import SPEC_CLIENT_METHODS, SPEC_CLIENT_NOTIFICATION_METHODS
from opentelemetry.metrics import Histogram
from opentelemetry.util.types import AttributeValue

from ostler.adapters.telemetry.call_spans import TOOL_ERROR
from ostler.adapters.telemetry.scopes import Scope, entered

_KNOWN_METHODS: Final = SPEC_CLIENT_METHODS | SPEC_CLIENT_NOTIFICATION_METHODS
_OTHER: Final = "_OTHER"


class RequestMeasurement:
    """A middleware of the MCP server: each request is a scope of its own, and its duration is recorded."""

    def __init__(self, served: Histogram, names: frozenset[str]) -> None:
        """Make it.

        Args:
            served: takes the seconds of each message.
            names: the tools whose failures are recorded by name; any other name is only one that a client made up.
        """
        self._served = served
        self._names = names

    def __repr__(self) -> str:
        return "RequestMeasurement()"

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Answer a message by the rest of the server."""
        since = time.perf_counter()
        failure: dict[str, AttributeValue] = {"error.type": _OTHER}
        is_named = False
        try:
            with entered(Scope()):
                result = await call_next(ctx)
            is_error = _is_error(result)
            is_named = not is_error or (ctx.params or {}).get("name") in self._names
            failure = {"error.type": TOOL_ERROR} if is_error else {}
        except MCPError as error:
            code = str(error.error.code)
            failure = {"error.type": code, "rpc.response.status_code": code}
            raise
        except BaseException as error:
            failure = {"error.type": type(error).__name__}
            raise
        finally:
            self._served.record(time.perf_counter() - since, _facts(ctx, named=is_named) | failure)
        return result


def _is_error(result: HandlerResult) -> bool:
    """Whether a tool says that it failed."""
    match result:
        case CallToolResult(is_error=True) | {"isError": True}:
            return True
        case _:
            return False


def _facts(ctx: ServerRequestContext[Any, Any], *, named: bool) -> dict[str, AttributeValue]:
    """Return the attributes of a message. Names that only this client knows are left out: there may be any number.

    Args:
        ctx: the message.
        named: the tool that it names exists.
    """
    facts: dict[str, AttributeValue] = {
        "mcp.method.name": ctx.method if ctx.method in _KNOWN_METHODS else _OTHER,
        "network.transport": "pipe" if ctx.request is None else "tcp",
    }
    if ctx.protocol_version:
        facts["mcp.protocol.version"] = ctx.protocol_version
    if ctx.method == "tools/call":
        facts["gen_ai.operation.name"] = "execute_tool"
        tool = ctx.params.get("name") if ctx.params else None
        if named and isinstance(tool, str):
            facts["gen_ai.tool.name"] = tool
    return facts
