"""Listeners from outside the engine: each is called from its own thread, in order, and can hold no one up."""

import atexit
import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Generic, ParamSpec

logger = logging.getLogger(__name__)

MAX_WAITING: Final = 10_000
"""Calls that may wait for a listener; the oldest go first, and the log says so."""

_LINGER: Final = 1.0
"""Seconds that a listener's thread waits for the next call before it ends."""

_LAST_CALLS: Final = 1.0
"""Seconds that the end of the program waits for the calls of a listener."""

_Parameters = ParamSpec("_Parameters")


class Listener(Generic[_Parameters]):
    """Calls a function from its own thread, which is there only while there are calls."""

    def __init__(self, function: Callable[_Parameters, None]) -> None:
        self._function = function
        self._waiting: deque[tuple[tuple[Any, ...], dict[str, Any]]] = deque()
        self._changed = threading.Condition()
        self._has_thread = False
        self._is_calling = False
        self._is_closed = False

    def notify(self, *args: _Parameters.args, **kwargs: _Parameters.kwargs) -> None:
        """Have the function called, after the calls that wait. Never blocks and never raises."""
        with self._changed:
            if self._is_closed:
                return
            self._waiting.append((args, kwargs))
            if len(self._waiting) > MAX_WAITING:
                dropped, _ = self._waiting.popleft()
                logger.error("a listener is too slow: %r was dropped", dropped[:1])
            if self._has_thread:
                self._changed.notify_all()
                return
            self._has_thread = True
        threading.Thread(target=self._work, name="ostler-listener", daemon=True).start()

    def close(self) -> None:
        """Begin no further call."""
        with self._changed:
            self._is_closed = True
            self._waiting.clear()
            self._changed.notify_all()

    def _work(self) -> None:
        atexit.register(self._finish)
        try:
            while (call := self._next()) is not None:
                args, kwargs = call
                try:
                    self._function(*args, **kwargs)
                except Exception:  # boundary: a listener's fault must not disturb its neighbours
                    logger.exception("listener failed on %r", args[:1])
        finally:
            atexit.unregister(self._finish)

    def _next(self) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """Return the next call, or None when the thread has nothing to do any more."""
        with self._changed:
            self._is_calling = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._waiting or self._is_closed, _LINGER)
            if not self._waiting:
                self._has_thread = False
                return None
            self._is_calling = True
            return self._waiting.popleft()

    def _finish(self) -> None:
        """Let the last calls be made before the program ends, which ends the thread."""
        with self._changed:
            self._changed.wait_for(lambda: not (self._waiting or self._is_calling), _LAST_CALLS)
