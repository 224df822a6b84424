"""Callbacks in the order of the changes, which cannot break who calls them, and block it no more than once."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from ostler.engine.protocols import StateChangeCallback

logger = logging.getLogger(__name__)

SLOW = 0.1
"""Seconds that a callback may take. One that took longer is called from a thread of its own from then on."""

MAX_WAITING = 10_000
"""Changes that may wait for a slow callback; the oldest go first, and the log says so."""


class Callback:
    """One subscriber. Quick ones are called at once; a slow one gets its changes later, in the same order."""

    def __init__(self, function: StateChangeCallback) -> None:
        self._function = function
        self._is_slow = False
        self._waiting: deque[tuple[Any, ...]] = deque()
        self._lock = threading.Lock()
        self._has_thread = False

    def __call__(self, name: str, old: str, new: str, health: str, error: BaseException | None) -> None:
        """Report a change; never raises."""
        change = (name, old, new, health, error)
        if not self._is_slow:
            began = time.monotonic()
            self._call(change)
            if time.monotonic() - began > SLOW:
                self._is_slow = True
                logger.warning("a state-change callback took longer than %s s; it has a thread now", SLOW)
            return
        with self._lock:
            self._waiting.append(change)
            if len(self._waiting) > MAX_WAITING:
                self._waiting.popleft()
                logger.error("a state-change callback does not keep up: a change of %r was dropped", name)
            if self._has_thread:
                return
            self._has_thread = True
        threading.Thread(target=self._work, name="ostler-slow-callback", daemon=True).start()

    def _work(self) -> None:
        """Call with what waits; the thread ends when nothing does."""
        while True:
            with self._lock:
                if not self._waiting:
                    self._has_thread = False
                    return
                change = self._waiting.popleft()
            self._call(change)

    def _call(self, change: tuple[Any, ...]) -> None:
        try:
            self._function(*change)
        except Exception:  # boundary: a subscriber's fault must not disturb the service or its neighbours
            logger.exception("state-change callback of service %r failed", change[0])


class Callbacks:
    """The subscribers of one service."""

    __slots__ = ("_all",)

    def __init__(self) -> None:
        self._all: tuple[Callback, ...] = ()

    def add(self, function: StateChangeCallback) -> Callable[[], None]:
        """Add a subscriber; returns the way out."""
        callback = Callback(function)
        self._all = (*self._all, callback)

        def unsubscribe() -> None:
            self._all = tuple(other for other in self._all if other is not callback)

        return unsubscribe

    def tell(self, name: str, old: str, new: str, health: str, error: BaseException | None) -> None:
        """Report a change to every subscriber."""
        for callback in self._all:
            callback(name, old, new, health, error)
