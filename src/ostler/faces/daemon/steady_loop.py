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

logger = logging.getLogger(__name__)


class _PausedSelector(selectors.DefaultSelector):
    """Notices a wait that took much longer than it was asked for."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__()
        self.now = now
        self.noticed: Callable[[float], None] = logger.debug

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if not timeout:  # nothing is waited for, or nothing but others: no limit is near
            return super().select(timeout)
        began = self.now()
        ready = super().select(timeout)
        took = self.now() - began
        if took - timeout > PAUSED_SECONDS:
            self.noticed(took)  # all of it: when in it the pause began is unknown
        return ready


class SteadyLoop(asyncio.SelectorEventLoop):
    """An event loop that notices when its process was paused, and whose time can stand still meanwhile.

    So the limits of calls end as much later: what others answered during a pause is read, and not given up.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._selecting = _PausedSelector(now)
        self._selecting.noticed = self._was_paused
        self._skipped = 0.0
        self.stands_still = False
        """Whether pauses do not count as time. Not for who has promised something to others, whose time goes on."""
        self.on_pause: Callable[[float], None] | None = None
        """Called with the seconds of a pause that is over."""
        super().__init__(self._selecting)

    def time(self) -> float:
        """Return the seconds of the loop's clock."""
        return self._now() - self._skipped

    def _was_paused(self, seconds: float) -> None:
        if self.stands_still:
            self._skipped += seconds
        if self.on_pause is not None:
            self.call_soon(self.on_pause, seconds)


def watch_pauses(hosted: Hosted) -> None:
    """Say when this process was paused, and let its limits stand still, unless it has others that count on its time."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, SteadyLoop):
        return
    loop.stands_still = hosted.feed is None
    counted = "" if loop.stands_still else ", and limits went on"

    def report(seconds: float) -> None:
        text = (
            f"Ostler itself was paused for {format_duration(round(seconds))}, by a signal or with its machine{counted}"
        )
        logger.warning("%s", text)
        if hosted.warn is not None:
            hosted.warn(text)

    loop.on_pause = report
