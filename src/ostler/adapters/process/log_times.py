"""When a log had which length, so that "the last ten minutes" of lines without times can be found."""

from array import array
from bisect import bisect_right

MAX_MARKS = 128
"""Marks of one log. When there are more, every second one of the older half goes."""


class LogTimes:
    """Marks of one run's log, in the order of time."""

    def __init__(self) -> None:
        self._times = array("d")
        self._offsets = array("q")

    def __repr__(self) -> str:
        return f"LogTimes({len(self._times)} marks)"

    def note(self, at: float, offset: int) -> None:
        """Note that the log had `offset` bytes at the time `at`; a length that is known already says nothing new."""
        if self._offsets and self._offsets[-1] == offset:
            return
        self._times.append(at)
        self._offsets.append(offset)
        if len(self._times) > MAX_MARKS:
            del self._times[1 : MAX_MARKS // 2 : 2]
            del self._offsets[1 : MAX_MARKS // 2 : 2]

    def offset_at(self, at: float) -> int:
        """Return an offset before everything that was written after `at`; 0 when that is before the first mark."""
        found = bisect_right(self._times, at)
        return self._offsets[found - 1] if found else 0
