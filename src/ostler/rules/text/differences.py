"""How one JSON value differs from another, in lines that people can act on."""

import json
from collections.abc import Iterator, Mapping
from typing import cast

from ostler.model.json import JsonMapping, JsonValue
from ostler.rules.secrets.masking import shorten

_SHOWN = 200


def differences(expected: JsonValue, actual: JsonValue, where: str, *, partial: bool = False) -> list[str]:
    """Return every difference as `where.key: expected …, got …`; none when the values are the same.

    Types count: 8080 is not "8080", and true is not 1. A whole number may be written as 1 or 1.0.

    Args:
        expected: the value as it should be.
        actual: the value as it is.
        where: how to call the value.
        partial: objects may have more keys than are expected, at any depth.
    """
    return list(_differences(expected, actual, where, partial))


def shown(value: JsonValue) -> str:
    """Return `value` as JSON, shortened."""
    text = shorten(json.dumps(value, ensure_ascii=False, default=str), _SHOWN)
    return str(text)


def _differences(expected: JsonValue, actual: JsonValue, where: str, partial: bool) -> Iterator[str]:
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        wanted, there = cast("JsonMapping", expected), cast("JsonMapping", actual)
        for key, value in wanted.items():
            if key in there:
                yield from _differences(value, there[key], f"{where}.{key}", partial)
            else:
                yield f"{where}.{key}: expected {shown(value)}, but it is not there"
        for key in there if not partial else ():
            if key not in wanted:
                yield f"{where}.{key}: {shown(there[key])} was not expected"
    elif isinstance(expected, list) and isinstance(actual, list):
        these, those = cast("list[JsonValue]", expected), cast("list[JsonValue]", actual)
        for index, (one, other) in enumerate(zip(these, those, strict=False)):
            yield from _differences(one, other, f"{where}[{index}]", partial)
        if len(these) != len(those):
            yield f"{where}: expected {len(these)} items, got {len(those)}: {shown(those)}"
    elif not _same(expected, actual):
        yield f"{where}: expected {shown(expected)}, got {shown(actual)}"


def _same(one: JsonValue, other: JsonValue) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)
