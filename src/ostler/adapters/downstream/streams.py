"""The SDK's message streams, with what Ostler does to each message that passes."""

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import anyio
from mcp.shared import message as sdk_message

if TYPE_CHECKING:
    from mcp.shared.message import SessionMessage

Received: TypeAlias = "SessionMessage | Exception"
"""What a transport reads: a message, or what went wrong with one."""


class _Wrapped:
    """What reading and writing have in common: the inner stream is entered, left and closed."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool | None:
        return await self._inner.__aexit__(exc_type, exc_val, exc_tb)


class Reads(_Wrapped):
    """A transport's read stream."""

    def __init__(
        self,
        inner: Any,
        *,
        change: "Callable[[SessionMessage], Awaitable[Received]] | None" = None,
        on_end: Callable[[], None] | None = None,
    ) -> None:
        """Wrap `inner`.

        Args:
            inner: the transport's stream.
            change: returns what is handed on instead of a message.
            on_end: called when the stream ends.
        """
        super().__init__(inner)
        self._change = change
        self._on_end = on_end

    @property
    def last_context(self) -> Any:
        """The context that the SDK's streams pass along with each message."""
        return getattr(self._inner, "last_context", None)

    async def receive(self) -> "Received":
        """Return the next message."""
        try:
            message = await self._inner.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            if self._on_end is not None:
                self._on_end()
            raise
        if self._change is not None and isinstance(message, sdk_message.SessionMessage):
            return await self._change(message)
        return message

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> "Received":
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None


class Writes(_Wrapped):
    """A transport's write stream."""

    def __init__(self, inner: Any, see: "Callable[[SessionMessage], None]") -> None:
        """Wrap `inner`; `see` is called with each message before it is sent."""
        super().__init__(inner)
        self._see = see

    async def send(self, message: "SessionMessage") -> None:
        """Send a message."""
        self._see(message)
        await self._inner.send(message)
