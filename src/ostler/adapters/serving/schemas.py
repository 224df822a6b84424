"""JSON Schemas of tools, written with as few tokens as the facts can be said in."""

from typing import Final, cast

from pydantic import BaseModel

from ostler.model.json import JsonObject, JsonValue

_SIZES = ("maxLength", "minLength", "minimum", "additionalProperties")
"""What no reasonable value meets: the server says so, and what was meant, when one does."""


def model_schema(model: type[BaseModel], *, output: bool = False, brief: bool = False) -> JsonObject:
    """Return the JSON Schema of `model`: references inlined, generated titles and null defaults left out.

    Args:
        model: what a tool takes or gives.
        output: the schema of what is written, not of what is read.
        brief: leave out what a model that writes arguments does not need: that null stands for nothing, sizes, and
            defaults that say nothing.
    """
    schema: JsonObject = model.model_json_schema(by_alias=True, mode="serialization" if output else "validation")
    definitions: JsonObject = schema.pop("$defs", {})
    written = cast("JsonObject", _Writer(definitions, brief=brief).written(schema))
    written.pop("description", None)
    properties = written.setdefault("properties", {})
    head: JsonObject = {"type": "object", "properties": properties}
    return head | {key: value for key, value in written.items() if key not in head}


class _Writer:
    """Rewrites what pydantic generates."""

    def __init__(self, definitions: JsonObject, *, brief: bool) -> None:
        self._definitions = definitions
        self._brief = brief

    def written(self, node: JsonValue, *, names: bool = False) -> JsonValue:
        """Return `node` rewritten; `names`: its keys are the names of properties."""
        if isinstance(node, list):
            return [self.written(item) for item in cast("list[JsonValue]", node)]
        if not isinstance(node, dict):
            return node
        plain = cast("JsonObject", node)
        if names:
            return {key: self.written(item) for key, item in plain.items()}
        if "$ref" in plain:
            target: JsonObject = self._definitions[plain["$ref"].rpartition("/")[2]]
            # What stands next to the reference is about this place, so it goes before what is said about the type.
            return self.written({**target, **{key: item for key, item in plain.items() if key != "$ref"}})
        if self._brief:
            plain = _without_null(plain)
        return {
            key: self.written(item, names=key == "properties") for key, item in plain.items() if self._says(key, item)
        }

    def _says(self, key: str, item: JsonValue) -> bool:
        if key == "title":
            return False
        if key == "default":
            return item is not None and not (self._brief and (item is False or item in ("", [], {})))
        return not (self._brief and key in _SIZES and item is not True)


def _without_null(node: JsonObject) -> JsonObject:
    options: list[JsonObject] | None = node.get("anyOf")
    if options is None:
        return node
    kept = [option for option in options if option.get("type") != "null"]
    rest = {key: value for key, value in node.items() if key != "anyOf"}
    return {**kept[0], **rest} if len(kept) == 1 else {"anyOf": kept, **rest}


_KINDS: Final[dict[str, JsonObject]] = {
    **{kind: {"type": kind} for kind in ("string", "integer", "number", "boolean")},
    "object": {"type": "object"},
    "strings": {"type": "array", "items": {"type": "string"}},
    "objects": {"type": "array", "items": {"type": "object"}},
    "any": {"anyOf": [{"type": kind} for kind in ("string", "number", "boolean", "object", "array", "null")]},
}


def answer(keys: str) -> JsonObject:
    """Return the output schema of a tool, from the names of its keys, separated by spaces.

    Each is a string, if `name:kind` does not say otherwise: `integer`, `number`, `boolean`, `object`, `strings` and
    `objects` (lists of these), `any`.

    No key is required: common clients check structured content against the schema even when the result is an error.
    What is inside of objects is not described: programs that read it know it, and models do not see this schema.
    """
    kinds = (word.partition(":")[::2] for word in keys.split())
    return {"type": "object", "properties": {name: _KINDS[kind or "string"] for name, kind in kinds}}
