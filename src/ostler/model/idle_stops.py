"""When a service that nobody uses is stopped, as a manifest or a project says it."""

from typing import Annotated, TypeAlias

from pydantic import BeforeValidator, Field

from ostler.model.durations import Duration
from ostler.model.strict import StrictModel


class IdleStopSpec(StrictModel):
    """After how many seconds without use a service is stopped, and what counts as use."""

    after: Annotated[Duration, Field(gt=0)]
    cpu_percent: Annotated[float, Field(gt=0, le=100)] = 1.0
    """CPU use up to which it is idle, in percent of one core, on average over some seconds."""
    connections: bool = True
    """Whether an open TCP connection to one of its ports counts as use."""


def _in_long_form(value: object) -> object:
    return {"after": value} if isinstance(value, str | int | float) else value


IdleStop: TypeAlias = Annotated[IdleStopSpec, BeforeValidator(_in_long_form)]
"""Written as an object, or as its `after` alone."""
