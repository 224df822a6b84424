"""How long to wait between connection attempts."""

import random


class Backoff:
    """Exponential delays with jitter: 0.2 s, 0.4 s … 30 s, each up to `jitter` of itself shorter or longer."""

    def __init__(
        self,
        *,
        initial: float = 0.2,
        cap: float = 30.0,
        multiplier: float = 2.0,
        jitter: float = 0.2,
        rng: random.Random | None = None,
    ) -> None:
        self._initial = initial
        self._cap = cap
        self._multiplier = multiplier
        self._jitter = jitter
        self._rng = rng or random.Random()  # noqa: S311 (spreads retries, guards no secret)
        self._next = initial

    def next_delay(self) -> float:
        """Return the seconds to wait now, and lengthen the next wait."""
        delay, self._next = self._next, min(self._cap, self._next * self._multiplier)
        return min(self._cap, delay * self._rng.uniform(1 - self._jitter, 1 + self._jitter))

    def reset(self) -> None:
        """Begin again with the shortest delay."""
        self._next = self._initial
