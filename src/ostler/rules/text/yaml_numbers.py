"""Numbers of YAML as JSON holds them, and as they are written again."""

import json

from ostler.model.json import JsonValue, is_json_number
from ostler.model.late_patterns import late_pattern

MAX_DIGITS = 400
"""The longest number that is read, in characters."""

NOT_FINITE = late_pattern(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
"""Numbers of YAML that JSON does not have."""

_INT = late_pattern(r"[-+]?[0-9]+")
_OCTAL = late_pattern(r"0o[0-7]+")
_HEX = late_pattern(r"0x[0-9a-fA-F]+")
_FLOAT = late_pattern(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_EXACT = 2**53
"""Below it, whole floating-point numbers are exact."""


def json_number(text: str) -> int | float | None:
    """Return the number that `text` stands for; None when JSON cannot hold it."""
    if len(text) > MAX_DIGITS or NOT_FINITE.fullmatch(text):
        return None
    if _OCTAL.fullmatch(text) or _HEX.fullmatch(text):
        number: int | float = int(text, 0)
    else:
        number = int(text) if _INT.fullmatch(text) else float(text)
    return number if is_json_number(number) else None


def is_number(text: str) -> bool:
    """Return whether `text` is how YAML 1.2 writes a number, also one that JSON does not have."""
    return any(form.fullmatch(text) for form in (_FLOAT, NOT_FINITE, _OCTAL, _HEX))


def plain_number(number: JsonValue) -> str:
    """Return `number` as most programs write it: a whole one without a fraction."""
    whole = isinstance(number, float) and number.is_integer() and abs(number) < _EXACT
    return str(int(number)) if whole else json.dumps(number)
