"""Comparing values as people write YAML: `"8080"` is 8080, `"true"` is true."""

from collections.abc import Mapping
from typing import cast

from ostler.model.json import JsonMapping, JsonValue, parse_json


def loosely_equal(one: JsonValue, other: JsonValue) -> bool:
    """Return whether two JSON values are the same thing, written perhaps as text in one of them.

    Two texts are equal when they are the same; a text and a number, boolean or null when the text is how JSON
    spells that value (`True` and `FALSE` too). Numbers compare by value, booleans are not numbers. Lists and objects
    compare part by part.
    """
    if isinstance(one, str) != isinstance(other, str):
        text, value = (one, other) if isinstance(one, str) else (other, one)
        return _is_scalar(value) and _spells(text, value)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        left, right = cast("JsonMapping", one), cast("JsonMapping", other)
        return left.keys() == right.keys() and all(loosely_equal(left[key], right[key]) for key in left)
    if isinstance(one, list) and isinstance(other, list):
        these, those = cast("list[JsonValue]", one), cast("list[JsonValue]", other)
        return len(these) == len(those) and all(map(loosely_equal, these, those))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)


def _is_scalar(value: JsonValue) -> bool:
    return value is None or isinstance(value, bool | int | float)


def _spells(text: str, value: JsonValue) -> bool:
    stripped = text.strip()
    lowered = stripped.lower()
    if lowered in ("true", "false", "null"):
        return loosely_equal({"true": True, "false": False, "null": None}[lowered], value)
    try:
        meant: JsonValue = parse_json(stripped)
    except ValueError:
        return False
    return _is_scalar(meant) and loosely_equal(meant, value)
