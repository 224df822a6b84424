"""Named aliases for JSON, the only place where values have no narrower type, and what JSON cannot hold."""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, Final, TypeAlias, cast

JsonValue: TypeAlias = Any
"""Any JSON value: object, array, string, number, boolean or null."""

JsonObject: TypeAlias = dict[str, Any]
"""A JSON object."""

JsonMapping: TypeAlias = Mapping[str, Any]
"""A JSON object that is only read."""

KeyPath: TypeAlias = tuple[str | int, ...]
"""Where a value is: keys and indexes from the document's root."""

MAX_BITS: Final = 1023
"""The longest whole number, in bits: a longer one is not a floating-point number, which most readers of JSON use."""

MAX_VALUES: Final = 1_000_000
"""The most values that one JSON value may contain; one that is in two places counts twice."""

_SHOWN: Final = 40
_HALF: Final = re.compile("[\ud800-\udfff]")


def parse_json(text: str | bytes) -> JsonValue:
    """Return the value that `text` holds as JSON.

    Raises:
        ValueError: it is not JSON, or is nested too deeply to be read.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def present(facts: JsonMapping) -> JsonObject:
    """Return `facts` without the empty ones (None, empty texts, lists and objects); zero and false stay."""
    return {key: value for key, value in facts.items() if value is not None and value not in ("", [], {})}


def as_object(value: JsonValue) -> JsonObject:
    """Return `value` when it is an object, else an empty one."""
    return cast("JsonObject", value) if isinstance(value, dict) else {}


def as_list(value: JsonValue) -> list[JsonValue]:
    """Return `value` when it is a list, else an empty one."""
    return cast("list[JsonValue]", value) if isinstance(value, list) else []


def as_objects(value: JsonValue) -> list[JsonObject]:
    """Return the objects of a list, and none for any other value."""
    return [cast("JsonObject", item) for item in as_list(value) if isinstance(item, dict)]


def as_texts(value: JsonValue) -> list[str]:
    """Return the texts of a list, and none for any other value."""
    return [item for item in as_list(value) if isinstance(item, str)]


def finite_number(value: JsonValue) -> float | None:
    """Return a number as a finite float; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def is_encodable(text: str) -> bool:
    """Return whether `text` can be sent and stored: half of a surrogate pair is no character."""
    return text.isascii() or _HALF.search(text) is None


def sendable(value: JsonValue) -> JsonValue:
    """Return `value` with U+FFFD for each half of a surrogate pair, in texts and keys; itself where there is none.

    What is stored keeps them, as file names have them; no message can carry them.
    """
    if _as_utf8(value) is None:
        try:
            _PLAIN.encode(value).encode()
        except UnicodeEncodeError:
            return _without_halves(value)
    return value


_PLAIN: Final = json.JSONEncoder(ensure_ascii=False, default=str)


def encoded_to_send(value: JsonValue) -> bytes:
    """Return what is `sendable` of `value` as `encoded` writes it, in one pass where there is nothing to replace."""
    fast = _as_utf8(value)
    return encoded(sendable(value)) if fast is None else fast


def encoded(value: JsonValue) -> bytes:
    """Return `value` as compact JSON, in a quarter of the time that `json` takes.

    What JSON does not have is written as text; half of a surrogate pair is escaped.
    """
    fast = _as_utf8(value)
    return _ENCODE(value).encode() if fast is None else fast


_ENCODE: Final = json.JSONEncoder(separators=(",", ":"), default=str).encode


def _as_utf8(value: JsonValue) -> bytes | None:
    """Return `value` as JSON, if pydantic can write it: not half of a surrogate pair, nor what is very deep."""
    try:
        return _pydantics_encoder()(value, inf_nan_mode="constants", fallback=str)
    except ValueError:
        return None


@cache
def _pydantics_encoder() -> Callable[..., bytes]:
    from pydantic_core import to_json  # noqa: PLC0415 (the bridge uses this module, and loads no pydantic)

    return to_json


def _without_halves(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        return _HALF.sub("\ufffd", value)
    if isinstance(value, Mapping):
        items = cast("JsonMapping", value).items()
        return {_without_halves(key): _without_halves(item) for key, item in items}
    return [_without_halves(item) for item in cast("list[JsonValue]", value)] if isinstance(value, list) else value


def json_flaw(value: object, *, most: int = MAX_VALUES) -> str:
    """Return why `value` is not JSON, with the place inside it, such as `load[2] is NaN`; the empty text when it is.

    Args:
        value: what may be JSON.
        most: how many values are read; more are a flaw, too. A value that is in two places counts twice.
    """
    waiting: list[Iterable[object]] = [(value,)]
    left = most
    while waiting:
        for part in waiting.pop():
            left -= 1
            if left < 0:
                return f"it has more than {most} values"
            kind = type(part)
            if kind is str or kind is bool:  # most are, and an answer may have 300,000
                continue
            if kind is dict or isinstance(part, Mapping):
                waiting.append(cast("JsonMapping", part).values())
            elif isinstance(part, list):
                waiting.append(cast("list[object]", part))
            elif _scalar_flaw(part):
                return _placed_flaw(value)
    return ""


def is_longer(value: JsonValue, most: int) -> bool:
    """Return whether `value` takes more than `most` characters as JSON; a much longer one is not read to its end."""
    waiting: list[Iterable[JsonValue]] = [(value,)]
    least = 0
    while waiting:
        for part in waiting.pop():
            least += len(part) + 2 if isinstance(part, str) else 2
            if isinstance(part, Mapping):
                keys = cast("JsonMapping", part)
                waiting += [keys.keys(), keys.values()]
            elif isinstance(part, list | tuple):
                waiting.append(cast("list[JsonValue]", part))
            if least > most + 1:  # `[1]` is the only kind that takes less than two characters a value
                return True
    return len(json.dumps(value, default=str)) > most


def _placed_flaw(value: object) -> str:
    """Return the first flaw of `value`, which has one, with its place; apart, because most values have none."""
    waiting: list[tuple[object, tuple[Any, ...] | None]] = [(value, None)]
    while True:
        part, place = waiting.pop()
        if flaw := _scalar_flaw(part):
            return f"{_place(place)} {flaw}"
        waiting.extend((item, (place, key)) for key, item in reversed(list(_items(part))))


def is_json_number(number: float) -> bool:
    """Return whether JSON has `number`: finite, and no whole number beyond the floating-point ones."""
    return number.bit_length() <= MAX_BITS if isinstance(number, int) else math.isfinite(number)


def _scalar_flaw(part: object) -> str:
    if part is None or isinstance(part, str | list | Mapping):
        return ""
    if not isinstance(part, int | float):
        return f"is a {type(part).__name__}, which JSON does not have"
    if is_json_number(part):
        return ""
    if isinstance(part, int):
        return f"is a whole number of {part.bit_length()} bits, more than the {MAX_BITS} that are read"
    return f"is {'NaN' if math.isnan(part) else 'Infinity'}, which JSON does not have"


def _items(part: object) -> Iterator[tuple[Any, object]]:
    if isinstance(part, Mapping):
        yield from cast("JsonMapping", part).items()
    elif isinstance(part, list):
        yield from enumerate(cast("list[object]", part))


def _place(place: tuple[Any, ...] | None) -> str:
    keys: list[str] = []
    while place is not None:
        place, key = place
        keys.append(f"[{key}]" if isinstance(key, int) else f".{str(key)[:_SHOWN]}")
    return "".join(reversed(keys)).lstrip(".") or "it"
