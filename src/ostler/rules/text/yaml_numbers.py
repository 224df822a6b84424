"""Numbers of YAML as JSON holds them, and as they are written again."""

import json
import math
import re

from ostler.model.json import JsonValue

MAX_DIGITS = 400
"""The longest number that is read, in characters."""

NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
"""Numbers of YAML that JSON does not have."""

_INT = re.compile(r"[-+]?[0-9]+")
_EXACT = 2**53
"""Below it, whole floating-point numbers are exact."""


def json_number(text: str) -> int | float | None:
    """Return the number that `text`, decimal digits, stands for; None when JSON cannot hold it."""
    if len(text) > MAX_DIGITS or NOT_FINITE.fullmatch(text):
        return None
    if _INT.fullmatch(text):
        return int(text)
    number = float(text)
    return number if math.isfinite(number) else None


def plain_number(number: JsonValue) -> str:
    """Return `number` as most programs write it: a whole one without a fraction."""
    whole = isinstance(number, float) and number.is_integer() and abs(number) < _EXACT
    return str(int(number)) if whole else json.dumps(number)
