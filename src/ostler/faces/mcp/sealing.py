"""The seal on the state in a question to a client: the reply returns it, and only this process can have made it."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp_types.methods import is_input_required

from ostler.adapters.serving.asking import PATIENCE

if TYPE_CHECKING:
    from mcp.server.request_state import RequestStateBoundary


class SealedState:
    """The SDK's own middleware, loaded with the first question: its ciphers take 7 MiB, and few servers ask."""

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Answer with `call_next`, which sees the state of the reply as it was before it was sealed."""
        if ctx.params is not None and ctx.params.get("requestState") is not None:
            return await self._boundary(ctx, call_next)
        result = await call_next(ctx)
        if not is_input_required(result):
            return result

        async def answered(_: ServerRequestContext[Any, Any]) -> HandlerResult:
            return result

        return await self._boundary(ctx, answered)

    @cached_property
    def _boundary(self) -> "RequestStateBoundary":
        from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity

        return RequestStateBoundary(RequestStateSecurity.ephemeral(ttl=PATIENCE), default_audience="ostler")
