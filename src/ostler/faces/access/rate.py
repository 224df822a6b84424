"""A rate limit: how often something may happen within a number of seconds."""

from collections import deque
from collections.abc import Iterable

import anyio


class Rate:
    """When something happened lately; `len` says how often."""

    def __init__(self, window: float) -> None:
        """Begin to count what happens within `window` seconds."""
        self._window = window
        self._times: deque[float] = deque()

    def __len__(self) -> int:
        return len(self._times)

    def __repr__(self) -> str:
        return f"Rate({len(self)} within {self._window} s)"

    def restore(self, ages: Iterable[float]) -> None:
        """Count events of an earlier run, each given as seconds ago."""
        now = anyio.current_time()
        self._times = deque(sorted((*self._times, *(now - age for age in ages if age < self._window))))

    def take(self, limit: int) -> int:
        """Count one more; return the seconds to wait if there were `limit`, else 0."""
        now = anyio.current_time()
        while self._times and self._times[0] <= now - self._window:
            self._times.popleft()
        if len(self._times) >= limit:
            return max(1, round(self._times[0] + self._window - now))
        self._times.append(now)
        return 0
