"""Progress to the client of one call, without ever letting a slow client hold the operation up."""

from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

from ostler.adapters.serving.answers import clipped
from ostler.engine.protocols import Progress

if TYPE_CHECKING:
    from mcp.server import ServerRequestContext

    from ostler.faces.mcp.lifespan import Lifespan

MAX_PENDING = 16
"""Progress reports held for a client that does not read; the oldest go first."""

FLUSH_TIMEOUT = 0.5
"""Seconds that the last reports of a call may take to be written before its answer is sent."""


async def unreported(done: float, total: float | None, message: str | None) -> None:
    """Drop the progress of a call whose client did not ask for any."""


@asynccontextmanager
async def progress_to(context: "ServerRequestContext[Lifespan]") -> AsyncGenerator[Progress]:
    """Give a Progress callback for a call that came through the SDK, as `unhurried` does."""
    if context.request is not None and not _asks_for_progress(context):
        yield unreported  # the SDK would drop each, after a task was made to send it
        return
    async with unhurried(context.session.report_progress) as report:
        yield report


@asynccontextmanager
async def unhurried(send_report: Progress) -> AsyncGenerator[Progress]:
    """Give a Progress callback that returns at once; reports are sent by their own task.

    The protocol wants values that grow. Steps of one operation count differently (a ready check counts its
    attempts), so a value that does not grow is sent as one more than the last, without a total.
    """
    pending: deque[tuple[float, float | None, str | None]] = deque(maxlen=MAX_PENDING)
    last = -1.0
    is_sending = is_over = False

    async def report(done: float, total: float | None, message: str | None) -> None:
        nonlocal is_sending
        pending.append((done, total, message))
        if not is_sending and not is_over:  # most calls report nothing, and need no task
            is_sending = True
            group.start_soon(send)

    async def send() -> None:
        nonlocal last, is_sending
        while pending:
            done, total, message = pending.popleft()
            if done <= last:
                done, total = last + 1, None
            last = done
            text = clipped(message, 1000) if message else None
            await send_report(done, total, text)
        is_sending = False

    async with anyio.create_task_group() as group:
        try:
            yield report
        finally:
            is_over = True
            group.cancel_scope.deadline = anyio.current_time() + FLUSH_TIMEOUT


def _asks_for_progress(context: "ServerRequestContext[Lifespan]") -> bool:
    from mcp.shared.jsonrpc_dispatcher import progress_token_from_params

    return progress_token_from_params(context.params) is not None
