"""Policies of a manifest or a project: when a service that failed is restarted, and one that no one uses is stopped."""

from typing import Annotated, Final, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from ostler.model.durations import Duration
from ostler.model.strict import StrictModel

_GROWING_PAUSES: Final = 64
"""Restarts after which pauses stop growing, if they have not reached `max` long before."""


class BackoffSpec(StrictModel):
    """Exponential backoff between restarts; `jitter` is the share of each delay that is random."""

    initial: Duration = 1.0
    max: Duration = 60.0
    multiplier: Annotated[float, Field(ge=1, le=1000)] = 2.0
    jitter: Annotated[float, Field(ge=0, le=1)] = 0.1


class RestartPolicySpec(StrictModel):
    """What to do when a running service fails or is found gone."""

    policy: Literal["never", "on-failure", "always"] = "never"
    backoff: BackoffSpec = Field(default_factory=BackoffSpec)
    max_restarts: Annotated[int, Field(ge=1)] = 5
    window: Annotated[Duration, Field(gt=0)] = 600.0
    reset_after: Annotated[Duration | None, Field(gt=0)] = None
    """Seconds of running well after which earlier restarts are forgotten; None: the window."""

    def shortest_loop(self) -> float:
        """Return the seconds that `max_restarts` restarts in a row take at least, by their pauses alone."""
        growing = [self.pause(done) for done in range(min(self.max_restarts, _GROWING_PAUSES + 1))]
        return sum(growing) + (self.max_restarts - len(growing)) * growing[-1]

    def pause(self, restarts: int) -> float:
        """Return the seconds to wait, without jitter, after `restarts` restarts."""
        growth = self.backoff.multiplier ** min(restarts, _GROWING_PAUSES)
        return min(self.backoff.initial * growth, self.backoff.max)


def _policy_in_long_form(value: object) -> object:
    return {"policy": value} if isinstance(value, str) else value


RestartPolicy: TypeAlias = Annotated[RestartPolicySpec, BeforeValidator(_policy_in_long_form)]
"""Written as an object, or as its `policy` alone."""


class IdleStopSpec(StrictModel):
    """After how many seconds without use a service is stopped, and what counts as use."""

    after: Annotated[Duration, Field(gt=0)]
    cpu_percent: Annotated[float, Field(gt=0, le=100)] = 1.0
    """CPU use up to which it is idle, in percent of one core, on average over some seconds."""
    connections: bool = True
    """Whether an open TCP connection to one of its ports counts as use."""


def _idle_stop_in_long_form(value: object) -> object:
    return {"after": value} if isinstance(value, str | int | float) else value


IdleStop: TypeAlias = Annotated[IdleStopSpec, BeforeValidator(_idle_stop_in_long_form)]
"""Written as an object, or as its `after` alone."""
