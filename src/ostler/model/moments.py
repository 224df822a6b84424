"""Moments as text: RFC 3339, in UTC, with microseconds."""

from datetime import UTC, datetime
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, to_builtins


def format_time(moment: datetime) -> str:
    """Return an aware `moment` as RFC 3339 in UTC with microseconds, such as `2025-01-02T03:04:05.000006Z`."""
    if moment.tzinfo is not UTC:
        if moment.tzinfo is None:
            raise ValueError(f"{moment!r} has no time zone")
        moment = moment.astimezone(UTC)
    text: str = to_builtins(moment)  # in a tenth of the time that `isoformat` takes, but without a fraction of 0
    return text if moment.microsecond else text[:-1] + ".000000Z"


def format_brief(moment: datetime, *, precision: Literal["milliseconds", "seconds"] = "milliseconds") -> str:
    """Return an aware `moment` as RFC 3339 in UTC, less precise than by `format_time`: `2025-01-02T03:04:05.006Z`."""
    return moment.astimezone(UTC).isoformat(timespec=precision).removesuffix("+00:00") + "Z"


def parse_time(text: str) -> datetime:
    """Return the aware time written in `text`, in UTC.

    Raises:
        ValueError: `text` is not RFC 3339, has no time zone, or is no date in UTC.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # the first hours of the year 1, and the last ones of 9999
        raise ValueError(f"{text!r} is no date in UTC") from None


Moment: TypeAlias = Annotated[datetime, Meta(tz=True)]
"""An aware time; as JSON it is text in UTC."""
