"""Wall clocks. Durations and sleeps use anyio's own clock, which tests make virtual."""

from datetime import UTC, datetime, timedelta

import anyio


class SystemClock:
    """The machine's wall clock."""

    def now(self) -> datetime:
        """Return the current time, UTC."""
        return datetime.now(UTC)


class LoopClock:
    """Wall time that moves with anyio's clock, so that virtual time moves timestamps too (for tests)."""

    def __init__(self, epoch: datetime) -> None:
        self._epoch = epoch

    def now(self) -> datetime:
        """Return the epoch plus the event loop's time."""
        return self._epoch + timedelta(seconds=anyio.current_time() % 1e9)
