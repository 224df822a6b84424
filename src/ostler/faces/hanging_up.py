"""Whether it was the client who ended a call early, or something else: its connection's loss, or the server's end.

Over streams, and up to 2025-11-25 over HTTP, too, a client cancels a call by a notification. From 2026-07-28 on it
cancels one over HTTP by closing the response's stream, which looks like a lost connection.
"""

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import anyio
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from mcp.server import ServerRequestContext
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

WHEN_LOST: Final = "ostler.when_lost"
"""Key of the scope of a request: a set of `Callable[[], None]` that are called when its connection is lost."""

WHEN_ENDING: Final = "ostler.when_ending"
"""Key of the scope of a request: a set of `Callable[[], None]` that are called when the server begins to end."""


class _Line(Struct):
    is_closed: bool = False


_line: ContextVar[_Line | None] = ContextVar("line of the HTTP request", default=None)


class HangingUp:
    """Notes when a client closes an HTTP request before its answer. An ASGI application around another."""

    def __init__(self, app: "ASGIApp") -> None:
        self._app = app

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        from starlette.requests import ClientDisconnect  # where a request comes over HTTP, it is loaded

        line = _Line()

        async def receiving() -> "Message":
            message = await receive()
            line.is_closed = line.is_closed or message["type"] == "http.disconnect"
            return message

        token = _line.set(line)
        try:
            await self._app(scope, receiving if scope["type"] == "http" else receive, send)
        except ClientDisconnect:  # before all of its request had come: there is nothing to do, and no one to answer
            if not line.is_closed:
                raise
        finally:
            _line.reset(token)


def is_cancelled_by_client(context: "ServerRequestContext[Any]") -> bool:
    """Whether the client of a call has cancelled it."""
    # The SDK keeps the event in a private attribute of its per-request session.
    outbound = context.session._request_outbound  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return outbound.cancel_requested.is_set() or has_hung_up()


def has_hung_up() -> bool:
    """Whether the client of the HTTP request under way has closed it."""
    line = _line.get()
    return line is not None and line.is_closed


class UntilHangingUp:
    """Cancels the block when the client closes the request, which was read and whose connection has `WHEN_LOST`.

    A task that waits for `http.disconnect` costs a seventh of a delete, and ends nearly always without it.
    """

    __slots__ = ("_block", "_line", "_when_lost")

    def __init__(self, scope: "Scope") -> None:
        self._when_lost: set[Callable[[], None]] = scope[WHEN_LOST]
        self._line = _line.get()
        self._block = anyio.CancelScope()

    def __enter__(self) -> None:
        self._block.__enter__()
        self._when_lost.add(self._end)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> bool:
        self._when_lost.discard(self._end)
        return self._block.__exit__(kind, error, trace)

    def _end(self) -> None:
        if self._line is not None:
            self._line.is_closed = True
        self._block.cancel()
