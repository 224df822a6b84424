"""Durations as people write them: `30s`, `2m`, `1h30m`, `250ms`, or a number of seconds."""

import math
import re
from functools import lru_cache
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_UNIT_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|d|h|m|s)")
_WHOLE = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|d|h|m|s))+")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def parse_duration(value: object) -> float:
    """Return `value` in seconds.

    Args:
        value: `30s`, `2m`, `1h30m`, `1d`, `250ms`, or a number of seconds (also as text).

    Raises:
        ValueError: `value` is not a duration, or is negative or not finite.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{value!r} is not a duration; write it like '30s', '2m' or '1h30m'")  # noqa: TRY004
    if isinstance(value, int | float):
        if not math.isfinite(value) or value < 0:
            raise ValueError(f"{value!r} is not a duration; it must be zero or more seconds")
        return float(value)
    text = value.strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{value!r} is not a duration; write it like '30s', '2m' or '1h30m'")
    return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in _PART.findall(text))


@lru_cache(4096)
def format_duration(seconds: float) -> str:
    """Return `seconds` as a duration string that `parse_duration` reads back, such as `1h30m`."""
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"{seconds!r} is not a duration")
    milliseconds = round(seconds * 1000)
    if milliseconds == 0:
        return "0s"
    parts: list[str] = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, milliseconds = divmod(milliseconds, size)
        if count:
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
