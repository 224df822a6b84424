"""Wall clocks. Durations and sleeps use anyio's own clock, which tests make virtual."""

import time
from datetime import UTC, datetime, timedelta

import anyio


class SystemClock:
    """The machine's wall clock."""

    def now(self) -> datetime:
        """Return the current time, UTC."""
        return datetime.now(UTC)

    def elapsed(self) -> float:
        """Return the seconds since the machine came up; where the system cannot count its sleep, without that."""
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
