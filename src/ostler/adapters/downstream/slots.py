"""How many calls of one server may be under way at once: all of them, and those that may change something."""

from collections.abc import Iterable
from typing import Final, Self

import anyio
from msgspec import Struct
from msgspec.structs import replace

from ostler.adapters.downstream.call_refusals import no_slot
from ostler.engine.call_context import has_patience, waiting_for_turn
from ostler.engine.protocols import ToolInfo
from ostler.model.servers import ServerEntry

_BUILTIN_CALLS: Final = 1000
"""Calls at once to a built-in server: a start lasts until its program is ready, and no other call waits for that."""


class TimeLimit(Struct, frozen=True):
    """How long a call may take.

    Attributes:
        seconds: in all, for errors.
        deadline: when to give up, by anyio's clock.
        entry: of the server whose limit it is, since the caller gave none; it may be newer than its connection's.
    """

    seconds: float
    deadline: float
    entry: ServerEntry | None = None


class CallSlots:
    """The slots of one server, by the limits of its entry."""

    def __init__(self, entry: ServerEntry) -> None:
        self._entry = entry
        self._limits = _limits_of(entry)
        concurrency, writes = self._limits
        self._all = anyio.Semaphore(concurrency)
        self._writes = anyio.Semaphore(writes) if writes is not None else None

    def of(self, entry: ServerEntry) -> Self:
        """Return the slots of `entry`: these, or new ones where its limits differ."""
        if _limits_of(entry) != self._limits:
            return type(self)(entry)
        self._entry = entry
        return self

    async def take(self, tool: ToolInfo, limit: TimeLimit) -> tuple[list[anyio.Semaphore], TimeLimit]:
        """Take what a call of `tool` needs; return it, to be given to `release` after the call, and the call's limit.

        Args:
            tool: what is called. One that is not annotated as read-only may change something.
            limit: how long the call may take. The wait is a part of it, unless the caller says that it is not.

        Raises:
            ToolTimeoutError: others held it until the deadline.
        """
        held: list[anyio.Semaphore] = []
        try:
            if self._writes is not None and not (tool.annotations or {}).get("readOnlyHint"):
                # before a slot of all calls: who waits for others that write must not keep readers away
                limit = await self._take(held, self._writes, "writeConcurrency", tool, limit)
            limit = await self._take(held, self._all, "concurrency", tool, limit)
        except BaseException:
            self.release(held)
            raise
        return held, limit

    @staticmethod
    def release(held: Iterable[anyio.Semaphore]) -> None:
        """Let others have what `take` returned."""
        for slots in held:
            slots.release()

    async def _take(
        self, held: list[anyio.Semaphore], slots: anyio.Semaphore, key: str, tool: ToolInfo, limit: TimeLimit
    ) -> TimeLimit:
        try:
            slots.acquire_nowait()  # most often one is free; whoever waits is handed one by a release
        except anyio.WouldBlock:
            if has_patience():
                began = anyio.current_time()
                async with waiting_for_turn():
                    await slots.acquire()
                    held.append(slots)
                return replace(limit, deadline=limit.deadline + anyio.current_time() - began)
            with anyio.CancelScope(deadline=limit.deadline) as scope:
                await slots.acquire()
            if scope.cancelled_caught:
                raise no_slot(tool.qualified, self._entry, key, limit.seconds) from None
        held.append(slots)
        return limit


def _limits_of(entry: ServerEntry) -> tuple[int, int | None]:
    """Return how many calls, and how many that may change something, may be under way at once."""
    options = entry.options
    is_own = entry.transport == "builtin" and "concurrency" not in options.model_fields_set
    return _BUILTIN_CALLS if is_own else options.concurrency, options.write_concurrency
