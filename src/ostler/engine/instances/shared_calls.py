"""Calls that serve many services at once: checks that read the same list share one call."""

import logging
from collections.abc import Awaitable, Callable

import anyio
from msgspec import Struct, field

from ostler.engine.call_context import EngineTasks
from ostler.model.downstream_errors import DownstreamError, ToolTimeoutError
from ostler.model.durations import format_duration
from ostler.model.errors import OstlerError
from ostler.model.records import PlannedCall
from ostler.model.responses import ToolResponse
from ostler.rules.answers.batch_items import BatchAnswer, batch_key

logger = logging.getLogger(__name__)

_KEPT = 32
"""Answers kept at most, one for each tool and args."""


class _Shared(Struct):
    """One call under way or answered."""

    begun_at: float
    serial: int
    done: anyio.Event = field(default_factory=anyio.Event)
    answer: BatchAnswer | None = None
    error: OstlerError | None = None


class BatchCalls:
    """Shares the calls of list-style tools among checks at the same time."""

    def __init__(self) -> None:
        self._shared: dict[str, _Shared] = {}
        self.begun = 0
        """Calls made so far: the serial of the last one."""

    async def answer(
        self,
        call: PlannedCall,
        send: Callable[[], Awaitable[ToolResponse]],
        group: EngineTasks,
        *,
        not_before: float,
        after: int = 0,
    ) -> BatchAnswer:
        """Return an answer of `call` that was asked for at `not_before` (by anyio's clock) or later.

        Args:
            call: the call; its tool and args say who can share it.
            send: makes the call when no one else has.
            group: where it is made, so that it does not end with the first who asked.
            not_before: older answers are not good enough.
            after: nor are those of calls up to this serial, begun before the service came up that is asked about.

        Raises:
            DownstreamError: there was no answer.
        """
        key = batch_key(call.tool, call.args)
        shared = self._shared.get(key)
        if shared is None or shared.begun_at < not_before or shared.serial <= after or shared.error is not None:
            self.begun += 1
            shared = _Shared(anyio.current_time(), self.begun)
            self._shared.pop(key, None)
            self._shared[key] = shared
            if len(self._shared) > _KEPT:
                del self._shared[next(iter(self._shared))]
            group.start_soon(self._fetch, shared, send)
        with anyio.move_on_after(call.timeout + 1.0):
            await shared.done.wait()
        if shared.error is not None:
            raise shared.error.fresh()  # each who waits adds to it where it happened
        if shared.answer is None:
            raise ToolTimeoutError(f"tool {call.tool!r} did not answer within {format_duration(call.timeout)}")
        return shared.answer

    @staticmethod
    async def _fetch(shared: _Shared, send: Callable[[], Awaitable[ToolResponse]]) -> None:
        try:
            shared.answer = BatchAnswer(await send())
        except OstlerError as error:
            shared.error = error
        except Exception as bug:  # boundary: a ToolCaller's bug must not end the engine
            logger.exception("a call for many services failed unexpectedly")
            shared.error = DownstreamError(f"internal error: {type(bug).__name__}: {bug}")
        finally:
            shared.done.set()
