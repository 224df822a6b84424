"""The plain values that a tool's answers have: by its output schema, else as it was seen to answer."""

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from msgspec import Struct

from ostler.model.json import JsonObject, JsonValue
from ostler.rules.drafts.data_flow import path_below
from ostler.rules.drafts.tool_traits import Tool, json_type, resolved, values_of

_DEEPEST = 4


class AnswerField(Struct, frozen=True):
    """A plain value that a tool's answer has.

    Attributes:
        name: its last key.
        path: JMESPath over the answer's value.
        kind: its JSON type.
        is_sure: every answer has it.
        values: the only values it may have, if the schema says so.
    """

    name: str
    path: str
    kind: str
    is_sure: bool = False
    values: tuple[JsonValue, ...] = ()


def answer_fields(tool: Tool) -> list[AnswerField]:
    """Return the plain values of a tool's answers: by its output schema, else as it was seen to answer."""
    if tool.output_schema:
        found = list(_fields(tool.output_schema, tool.output_schema, "", sure=True, depth=0))
        if found:
            return _unique(found)
    return _unique(
        [found for answer in tool.answers if not answer.is_error for found in _seen(answer.value, "", depth=0)]
    )


def _fields(schema: JsonValue, root: JsonObject, path: str, *, sure: bool, depth: int) -> Iterator[AnswerField]:
    known = resolved(schema, root)
    if depth > _DEEPEST:
        return
    for key in ("anyOf", "oneOf", "allOf"):
        options = [option for option in known.get(key) or () if resolved(option, root).get("type") != "null"]
        for option in options:
            yield from _fields(option, root, path, sure=sure and (key == "allOf" or len(options) == 1), depth=depth + 1)
    required = known.get("required") or ()
    listed = known.get("properties")
    if not isinstance(listed, dict):
        return
    for name, item in cast("JsonObject", listed).items():
        inner = resolved(item, root)
        place = path_below(path, name)
        kind = _plain_kind(inner, root)
        is_sure = sure and name in required
        if kind:
            yield AnswerField(name, place, kind, is_sure, tuple(values_of(inner)))
        else:
            yield from _fields(inner, root, place, sure=is_sure, depth=depth + 1)


def _plain_kind(schema: JsonObject, root: JsonObject) -> str:
    kinds = schema.get("type")
    named = cast("list[JsonValue]", kinds) if isinstance(kinds, list) else [kinds]
    for key in ("anyOf", "oneOf"):
        named += [resolved(option, root).get("type") for option in schema.get(key) or ()]
    if "const" in schema and isinstance(schema["const"], str):
        return "string"
    return next((str(kind) for kind in named if kind in ("string", "integer", "number", "boolean")), "")


def _seen(value: JsonValue, path: str, *, depth: int) -> Iterator[AnswerField]:
    if not isinstance(value, Mapping) or depth > _DEEPEST:
        return
    for name, item in cast("Mapping[str, JsonValue]", value).items():
        place = path_below(path, name)
        if isinstance(item, bool | int | float | str):
            yield AnswerField(name, place, json_type(item), is_sure=True)
        else:
            yield from _seen(item, place, depth=depth + 1)


def _unique(fields: Sequence[AnswerField]) -> list[AnswerField]:
    """Return the fields by path, the outermost first."""
    found: dict[str, AnswerField] = {}
    for each in fields:
        found.setdefault(each.path, each)
    return sorted(found.values(), key=lambda each: each.path.count("."))
