"""When to connect again: after a delay that grows, or when nudged."""

import random
from typing import Final

import anyio

QUICK_CAP: Final = 4.0
"""Seconds between attempts, at most, if they cost little: a server that works again is back within five seconds."""

SLOW_CAP: Final = 30.0
"""Seconds between attempts, at most, if each starts a program in vain or is refused authorisation."""

_JITTER: Final = 0.2


class Backoff:
    """Delays that double from one attempt to the next, up to a cap, each up to a fifth shorter or longer."""

    def __init__(self, *, initial: float = 0.2, cap: float = SLOW_CAP, rng: random.Random | None = None) -> None:
        self._initial = initial
        self._cap = cap
        self._rng = rng or random.Random()  # noqa: S311 (spreads retries, guards no secret)
        self._next = initial

    def next_delay(self, *, at_most: float = float("inf")) -> float:
        """Return the seconds to wait now, not more than `at_most`, and lengthen the next wait."""
        longest = min(self._cap, at_most) / (1 + _JITTER)  # so that delays at the cap are spread as well
        delay, self._next = min(self._next, longest), min(self._cap, self._next * 2)
        return delay * self._rng.uniform(1 - _JITTER, 1 + _JITTER)

    def reset(self) -> None:
        """Begin again with the shortest delay."""
        self._next = self._initial


class Nudge:
    """Wakes one waiting task to check something; several nudges before it checks count as one."""

    def __init__(self) -> None:
        self._given = False
        self._event: anyio.Event | None = None

    def give(self) -> None:
        """Wake the waiter, now or when it next waits."""
        self._given = True
        if self._event is not None:
            self._event.set()

    async def wait(self) -> None:
        """Return at once if a nudge was given since the last return, else with the next. For one task only."""
        while not self._given:
            self._event = anyio.Event()
            await self._event.wait()
        self._event = None
        self._given = False
