"""The event loop of a server: it notices when the process was paused, and does not count that as time."""

import asyncio  # noqa: TID251 (anyio takes the loop of a run from here; everything that runs in it uses anyio)
import logging
import selectors
import time
from collections.abc import Callable
from typing import Final

from ostler.faces.daemon.hosting import Hosted
from ostler.model.durations import format_duration

PAUSED_SECONDS: Final = 1.0
"""A wait that ends by so much too late was a pause of this process: by a signal, a debugger, or with its machine."""

READING_SECONDS: Final = 10.0
"""What is left, at most, of the wait that a pause fell into."""

logger = logging.getLogger(__name__)


class _PausedSelector(selectors.DefaultSelector):
    """Notices a wait that took much longer than was asked for: `noticed` gets both, in seconds."""

    def __init__(self, now: Callable[[], float], noticed: Callable[[float, float], None]) -> None:
        super().__init__()
        self._now = now
        self._noticed = noticed

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if not timeout:  # nothing is waited for, or nothing but others: no limit is near
            return super().select(timeout)
        began = self._now()
        ready = super().select(timeout)
        took = self._now() - began
        if took - timeout > PAUSED_SECONDS:
            self._noticed(timeout, took)
        return ready


class SteadyLoop(asyncio.SelectorEventLoop):
    """An event loop that notices when its process was paused, and whose time can stand still meanwhile.

    So the limits of calls end as much later: what others answered during a pause is read, and not given up.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._skipped = 0.0
        self.stands_still = False
        """Whether pauses do not count as time. Not for who has promised something to others, whose time goes on."""
        self.on_pause: Callable[[float], None] | None = None
        """Called with the seconds that a pause lasted at least, once it is over."""
        super().__init__(_PausedSelector(now, self._was_paused))

    def time(self) -> float:
        """Return the seconds of the loop's clock."""
        return self._now() - self._skipped

    def _was_paused(self, waited_for: float, took: float) -> None:
        if self.stands_still:
            # When in the wait the pause began is unknown. What is left of the wait is time to read what came meanwhile;
            # some of it counts, so that a limit ends even if there are pauses again and again.
            self._skipped += took - waited_for + min(waited_for / 2, READING_SECONDS)
        if self.on_pause is not None:
            self.call_soon(self.on_pause, took - waited_for)


def watch_pauses(hosted: Hosted) -> None:
    """Say when this process was paused, and let its limits stand still, unless it has others that count on its time."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, SteadyLoop):
        return
    loop.stands_still = hosted.feed is None
    counted = "" if loop.stands_still else ", and limits went on"

    def report(seconds: float) -> None:
        lost = format_duration(round(seconds))
        text = f"Ostler was paused for at least {lost}, by a signal, with its machine or for lack of CPU{counted}"
        logger.warning("%s", text)
        if hosted.warn is not None:
            hosted.warn(text)

    loop.on_pause = report
