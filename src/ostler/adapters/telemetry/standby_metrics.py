"""What servers that share a database count of each other's work, and what one that stands by shows of itself."""

import time
from collections.abc import Callable, Iterable
from typing import Final

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Counter, Observation

from ostler.adapters.telemetry.instruments import STANDBY_AGE, STANDBY_LEASE, Metric

_SCOPE: Final = "ostler"


def counter(metric: Metric) -> Counter:
    """Return the counter of `metric`, for whoever exports the metrics of this process, now or later."""
    return metrics.get_meter(_SCOPE).create_counter(metric.name, metric.unit, metric.meaning)


class StandbyGauges:
    """Shows how a server stands by, until it is closed: an exporter's thread may ask at any time.

    Args:
        state: returns, at a time of the monotonic clock, the seconds since the copy was renewed (None: there is none),
            and whether reads are answered from it.
    """

    def __init__(self, state: Callable[[float], tuple[float | None, bool]]) -> None:
        self._state = state
        self._is_open = True
        meter = metrics.get_meter(_SCOPE)
        meter.create_observable_gauge(STANDBY_AGE.name, [self._age], STANDBY_AGE.unit, STANDBY_AGE.meaning)
        meter.create_observable_gauge(STANDBY_LEASE.name, [self._lease], STANDBY_LEASE.unit, STANDBY_LEASE.meaning)

    def __repr__(self) -> str:
        return f"StandbyGauges({self._state(time.monotonic()) if self._is_open else 'closed'})"

    def close(self) -> None:
        """Show nothing any more."""
        self._is_open = False

    def _age(self, options: CallbackOptions) -> Iterable[Observation]:
        del options
        age, _ = self._state(time.monotonic())
        if self._is_open and age is not None:
            yield Observation(age)

    def _lease(self, options: CallbackOptions) -> Iterable[Observation]:
        del options
        if self._is_open:
            yield Observation(int(self._state(time.monotonic())[1]))
