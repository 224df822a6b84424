"""Wall clocks, and yielding in long work. Durations and sleeps use anyio's own clock, which tests make virtual."""

import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

import anyio
import anyio.lowlevel

_T = TypeVar("_T")

TURN: Final = 0.01
"""Seconds of work on the event loop after which others have their turn."""


async def in_turns(steps: Iterable[_T]) -> list[_T]:
    """Return what `steps` yields; for long work, other tasks run between two steps.

    What `steps` reads may change meanwhile, so it begins with a copy, or with what never changes.
    """
    made: list[_T] = []
    ends = time.perf_counter() + TURN
    for one in steps:
        made.append(one)
        if time.perf_counter() > ends:
            await anyio.lowlevel.checkpoint()
            ends = time.perf_counter() + TURN
    return made


class SystemClock:
    """The machine's wall clock."""

    def now(self) -> datetime:
        """Return the current time, UTC."""
        return datetime.now(UTC)

    def elapsed(self) -> float:
        """Return the seconds since the machine started, including sleep if the system counts it."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class LoopClock:
    """Wall time that moves with anyio's clock, so that virtual time moves timestamps too (for tests)."""

    def __init__(self, epoch: datetime) -> None:
        self._epoch = epoch

    def now(self) -> datetime:
        """Return the epoch plus the event loop's time."""
        return self._epoch + timedelta(seconds=anyio.current_time() % 1e9)

    def elapsed(self) -> float:
        """Return the event loop's time."""
        return anyio.current_time()
