"""Both protocol eras on one connection, for clients that begin in one and continue in the other.

The SDK serves a connection in the era of its first request and refuses `initialize` behind a request of the 2026-07-28
era. A client that waits only briefly for the answer to its `server/discover` sends `initialize` next (Copilot CLI 1.0
does, when this server is just starting), and would be left without any tools. So `initialize` opens a second session,
which gets every later message without the envelope of that era.
"""

from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

import anyio
import mcp_types as types
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared import message as sdk_message

if TYPE_CHECKING:
    from mcp.shared._stream_protocols import WriteStream
    from mcp.shared.message import SessionMessage

Item: TypeAlias = "SessionMessage | Exception"
Incoming: TypeAlias = "MemoryObjectReceiveStream[Item]"

_ENVELOPE: Final = "io.modelcontextprotocol/protocolVersion"


ServeSession: TypeAlias = "Callable[[Incoming, WriteStream[SessionMessage]], Coroutine[Any, Any, None]]"
"""Serves one session to its end."""


def second_session(
    serve: ServeSession, outgoing: "WriteStream[SessionMessage]", tasks: TaskGroup
) -> Callable[[], MemoryObjectSendStream[Item]]:
    """Return a function that begins a second session over `outgoing`, and returns the stream for its messages."""

    def open_second() -> MemoryObjectSendStream[Item]:
        writer, reader = anyio.create_memory_object_stream[Item](0)
        tasks.start_soon(serve, reader, SharedOutgoing(outgoing))
        return writer

    return open_second


class EraRouter:
    """Passes the messages of one client to its first session, and to a second one once the client sends `initialize`.

    Notifications and answers go to both: each ignores those of the other.
    """

    def __init__(
        self, first: MemoryObjectSendStream[Item], open_second: Callable[[], MemoryObjectSendStream[Item]] | None
    ) -> None:
        self._first = first
        self._open_second = open_second
        self._second: MemoryObjectSendStream[Item] | None = None
        self._is_modern: bool | None = None
        """The era of the first session; None before the first request."""

    def __repr__(self) -> str:
        return f"<EraRouter with {1 if self._second is None else 2} sessions>"

    async def send(self, item: Item) -> None:
        """Pass `item` on.

        Raises:
            anyio.BrokenResourceError: its session has ended.
        """
        message = item.message if isinstance(item, sdk_message.SessionMessage) else None
        if not isinstance(message, types.JSONRPCRequest):
            await self._first.send(item)
            if self._second is not None:
                await self._second.send(item)
            return
        is_modern = message.method != "initialize" and _has_envelope(message)
        if self._is_modern is None:
            self._is_modern = is_modern
        if (
            self._second is None
            and self._is_modern
            and message.method == "initialize"
            and self._open_second is not None
        ):
            self._second = self._open_second()
        if self._second is None or is_modern:
            await self._first.send(item)
        else:
            await self._second.send(item)

    async def aclose(self) -> None:
        """End the sessions."""
        await self._first.aclose()
        if self._second is not None:
            await self._second.aclose()


class SharedOutgoing:
    """The write stream of a second session; closing it does not close the connection."""

    def __init__(self, outgoing: "WriteStream[SessionMessage]") -> None:
        self._outgoing = outgoing

    def __repr__(self) -> str:
        return f"SharedOutgoing({self._outgoing!r})"

    async def send(self, item: "SessionMessage", /) -> None:
        """Send a message over the connection."""
        await self._outgoing.send(item)

    async def aclose(self) -> None:
        """Do nothing: the connection belongs to the first session."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        await self.aclose()


def _has_envelope(message: "types.JSONRPCRequest") -> bool:
    meta = (message.params or {}).get("_meta")
    return isinstance(meta, dict) and _ENVELOPE in meta
