"""The schemas of tools as drafts read them: every keyword of its kind, and no more of each than a person would read.

Servers write them by hand, and nothing checks what is inside. What is wrong says nothing, as if it was not there.
"""

import json
from typing import Final, TypeGuard, cast

from ostler.model.json import JsonObject, JsonValue, as_list, json_flaw

MOST_PARAMETERS: Final = 200
MOST_VALUES: Final = 100
"""Of more values, and of more parameters, a class would be too long to be read."""

MOST_OPTIONS: Final = 50
LONGEST_TEXT: Final = 4000
"""Characters of a description that are read: its beginning says what the tool is for."""

_DEEPEST: Final = 12
_MOST_DEFAULT: Final = 1000
_NAMED: Final = frozenset({"properties", "$defs", "definitions", "patternProperties", "dependentSchemas"})
_LISTED: Final = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_NESTED: Final = frozenset({"items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"})
_TEXTS: Final = frozenset({"description", "title", "format", "pattern", "$ref", "$id"})
_NUMBERS: Final = frozenset(
    {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "minItems"}
    | {"maxItems", "minProperties", "maxProperties"}
)


def sound_schema(schema: JsonValue, depth: int = 0) -> JsonObject:
    """Return a schema without values of the wrong type or size for their keyword."""
    if not _is_object(schema) or depth > _DEEPEST:
        return {}
    found: JsonObject = {}
    for key, value in schema.items():
        if key in _NAMED or key in _LISTED or key in _NESTED:
            found |= _below(key, value, schema, depth)
        elif _is_sound(key, value):
            found[key] = _short(value)
    return found


def _below(key: str, value: JsonValue, schema: JsonObject, depth: int) -> JsonObject:
    """Return the keyword `key` with its schemas; nothing if it is not of its kind."""
    if key in _NAMED:
        return {key: _schemas(value, schema.get("required"), depth)} if _is_object(value) else {}
    if key in _NESTED:
        nested = value if isinstance(value, bool) else sound_schema(value, depth + 1)
        return {key: nested} if isinstance(value, bool) or _is_object(value) else {}
    options = as_list(value)[:MOST_OPTIONS]
    return {key: [sound_schema(option, depth + 1) for option in options if _is_object(option)]} if options else {}


def _short(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        return value[:LONGEST_TEXT]
    return cast("list[JsonValue]", value)[:MOST_PARAMETERS] if isinstance(value, list) else value


def _schemas(named: JsonObject, required: JsonValue, depth: int) -> JsonObject:
    kept = list(named)
    if len(named) > MOST_PARAMETERS:  # first those that are needed
        needed = frozenset(cast("list[str]", required)) if _is_texts(required) else frozenset[str]()
        first = frozenset(sorted(named, key=lambda name: name not in needed)[:MOST_PARAMETERS])
        kept = [name for name in named if name in first]
    return {name: sound_schema(named[name], depth + 1) for name in kept}


def _is_sound(key: str, value: JsonValue) -> bool:
    if key in _TEXTS:
        return isinstance(value, str)
    if key in _NUMBERS:
        return isinstance(value, int | float) and not isinstance(value, bool) and not json_flaw(value)
    if key in ("default", "const"):
        return _is_plain(value)
    if key == "enum":
        return isinstance(value, list) and len(cast("list[JsonValue]", value)) <= MOST_VALUES
    return key not in ("type", "required") or _is_texts(value) or (key == "type" and isinstance(value, str))


def _is_plain(value: JsonValue) -> bool:
    """Whether a value can be written into a class: it is short JSON, and no template."""
    if json_flaw(value, most=_MOST_DEFAULT):
        return False
    text = json.dumps(value)
    return len(text) <= _MOST_DEFAULT and "{{" not in text and "{%" not in text


def _is_texts(value: JsonValue) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in cast("list[JsonValue]", value))


def _is_object(value: JsonValue) -> TypeGuard[JsonObject]:
    return isinstance(value, dict)
