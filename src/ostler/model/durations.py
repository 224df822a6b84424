"""Durations as people write them: `30s`, `2m`, `1h30m`, `250ms`, or a number of seconds."""

import math
import re
from typing import Annotated, Final

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

LONGEST: Final = 36_500 * 86_400.0
"""The longest duration, about a century: a moment that much later can still be written as a date."""

_UNIT_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|d|h|m|s)")
_WHOLE = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|d|h|m|s))+")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def parse_duration(value: object) -> float:
    """Return `value` in seconds, to the millisecond.

    Args:
        value: `30s`, `2m`, `1h30m`, `1d`, `250ms`, or a number of seconds (also as text).

    Raises:
        ValueError: `value` is not a duration, is negative, or is longer than `LONGEST`.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{value!r} is not a duration; write it like '30s', '2m' or '1h30m'")  # noqa: TRY004
    if isinstance(value, int | float):
        if not 0 <= value < math.inf:
            raise ValueError(f"{value!r} is not a duration; it must be zero or more seconds")
        seconds = value
    elif _NUMBER.fullmatch(text := value.strip()):
        seconds = float(text)
    elif _WHOLE.fullmatch(text):
        seconds = sum(float(number) * _UNIT_SECONDS[unit] for number, unit in _PART.findall(text))
    else:
        raise ValueError(f"{value!r} is not a duration; write it like '30s', '2m' or '1h30m'")
    if seconds > LONGEST:
        raise ValueError(f"a duration is at most {format_duration(LONGEST)}")
    return round(float(seconds), 3)


def format_duration(seconds: float) -> str:
    """Return `seconds` as a duration string that `parse_duration` reads back, such as `1h30m`."""
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"{seconds!r} is not a duration")
    milliseconds = round(seconds * 1000)
    if milliseconds == 0:
        return "0s"
    parts: list[str] = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        if milliseconds >= size:
            count, milliseconds = divmod(milliseconds, size)
            parts.append(f"{count}{unit}")
    return "".join(parts)


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^((\d+(\.\d+)?(ms|d|h|m|s))+|\d+(\.\d+)?)$"},
                {"type": "number", "minimum": 0},
            ],
            "description": "A duration: '30s', '2m', '1h30m', or a number of seconds.",
        }
    ),
]
"""A pydantic field type: seconds inside, a duration string in files and answers."""
