"""What an arg of a class keeps of a tool's parameter: its type and limits, and a name that templates can use."""

import re
from typing import Any, cast

from ostler.model.json import JsonObject, JsonValue
from ostler.rules.text.manifest_text import shortened
from ostler.rules.text.patterns import compile_pattern, is_pattern

_RESERVED = frozenset(
    "args name service outputs dependencies env response start stop ready restart status healthCheck find logs".split()  # noqa: SIM905 (a word a line would be a page)
)
_SECRET = re.compile(r"password|secret|api_?key|(?:access|auth)_?token|private_?key", re.IGNORECASE)
_SIMPLE = ("string", "integer", "number", "boolean", "object", "array")


def arg_schema(schema: JsonValue) -> JsonObject:
    """Return what an arg of a class can keep of a JSON Schema: a plain type and its limits."""
    if not isinstance(schema, dict):
        return {"type": "string"}
    plain = _without_null(cast("JsonObject", schema))
    values = [value for value in plain.get("enum") or () if value is not None]
    kind = _kind_of(plain.get("type"), values)
    known: JsonObject = {"type": kind, **_limits(kind, plain)}
    if values and all(_is_of(kind, value) for value in values):
        known["enum"] = values
    default = plain.get("default")
    if default is not None and _is_of(kind, default) and _fits(known, default):
        known["default"] = default
    if plain.get("description"):
        known["description"] = shortened(" ".join(str(plain["description"]).split()))
    return known


def _without_null(schema: JsonObject) -> JsonObject:
    """Return a schema that is one of several, null among them, as the first of them that is plain."""
    for key in ("anyOf", "oneOf"):
        options: list[JsonObject] = [option for option in schema.get(key) or () if isinstance(option, dict)]
        plain = next((option for option in options if option.get("type") in _SIMPLE), None)
        if options:
            return {**(plain or {}), **{name: value for name, value in schema.items() if name != key}}
    return schema


def _kind_of(kinds: JsonValue, values: list[JsonValue]) -> str:
    named = cast("list[JsonValue]", kinds) if isinstance(kinds, list) else [kinds]
    listed = [kind for kind in named if kind in _SIMPLE]
    if listed:
        return str(listed[0])
    return "number" if values and not isinstance(values[0], str) else "string"


def _limits(kind: str, schema: JsonObject) -> JsonObject:
    pattern, inner = schema.get("pattern"), schema.get("items")
    if kind == "string" and isinstance(pattern, str) and is_pattern(pattern):
        return {"pattern": pattern}
    if kind in ("integer", "number"):
        return {key: schema[key] for key in ("minimum", "maximum") if _is_limit(schema.get(key))}
    if kind == "array" and isinstance(inner, dict):
        item = _without_null(cast("JsonObject", inner))
        values = [value for value in item.get("enum") or () if value is not None]
        if item.get("type") not in _SIMPLE and not values:
            return {}
        kind = _kind_of(item.get("type"), values)
        is_listed = bool(values) and all(_is_of(kind, value) for value in values)
        return {"items": {"type": kind, **({"enum": values} if is_listed else {})}}
    return {}


def _fits(known: JsonObject, default: Any) -> bool:
    if "enum" in known and default not in known["enum"]:
        return False
    if "pattern" in known and compile_pattern(known["pattern"]).search(default) is None:
        return False
    too_small = "minimum" in known and default < known["minimum"]
    return not too_small and not ("maximum" in known and default > known["maximum"])


def _is_of(kind: str, value: JsonValue) -> bool:
    match value:
        case bool():
            return kind == "boolean"
        case int():
            return kind in ("integer", "number")
        case float():
            return kind == "number"
        case str():
            return kind == "string"
        case list():
            return kind == "array"
        case _:
            return kind == "object" and isinstance(value, dict)


def _is_limit(value: JsonValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**53


def arg_name(name: str) -> str:
    """Return what a parameter is called as an arg of a class."""
    words = re.split(r"[^A-Za-z0-9]+", name)
    text = words[0] + "".join(word[:1].upper() + word[1:] for word in words[1:])
    if not text or not text[0].isalpha():
        text = f"arg{text}"
    return f"{text}Arg" if text in _RESERVED else text


def placeholder(schema: JsonValue) -> JsonValue:
    """Return a value that fits a parameter that nothing is known for."""
    known = arg_schema(schema)
    if "enum" in known:
        return known["enum"][0]
    empty: dict[str, JsonValue] = {"integer": 0, "number": 0, "boolean": False, "object": {}, "array": []}
    return empty.get(known["type"], "")


def is_secret_name(name: str) -> bool:
    """Whether a parameter's name says that its value must be shown to no one."""
    return _SECRET.search(name) is not None
