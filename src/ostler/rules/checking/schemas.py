"""JSON Schemas, and answers that were recorded, as shapes."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias, cast

from msgspec.structs import replace

from ostler.model.json import JsonMapping, JsonObject, JsonValue, as_list
from ostler.rules.checking.shapes import (
    ANY,
    KINDS,
    NULL,
    OF_KIND,
    Shape,
    constant,
    list_of,
    one_of,
    union,
)

Schema: TypeAlias = "JsonMapping | bool"

_MAX_DEPTH = 12
_MAX_SAMPLE = 200


def shape_of_schema(schema: JsonValue, root: JsonMapping | None = None, depth: int = 0) -> Shape:
    """Return the shape of the values that `schema` allows; what it says beyond shapes is left out.

    Args:
        schema: a JSON Schema.
        root: the document that its `$ref`s point into; the schema itself when None.
        depth: how deep the caller is already.
    """
    if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
        return ANY
    plain = cast("JsonMapping", schema)
    whole = plain if root is None else root
    plain = resolved(plain, whole)
    shape = _own_shape(plain, whole, depth)
    if plain.get("nullable") is True:
        shape = union([shape, NULL])
    return shape


def _own_shape(schema: JsonMapping, root: JsonMapping, depth: int) -> Shape:
    if "const" in schema:
        return constant(schema["const"])
    if isinstance(schema.get("enum"), list):
        return one_of(schema["enum"])
    for key in ("anyOf", "oneOf"):
        options = schema.get(key)
        if isinstance(options, list) and options:
            rest = {name: item for name, item in schema.items() if name not in ("anyOf", "oneOf")}
            branches = [_merged(rest, option, root) for option in cast("list[JsonValue]", options)]
            return union(shape_of_schema(branch, root, depth + 1) for branch in branches)
    if isinstance(schema.get("allOf"), list):
        merged: JsonObject = {name: item for name, item in schema.items() if name != "allOf"}
        for option in cast("list[JsonValue]", schema["allOf"]):
            merged = _merged(merged, option, root)
        return _own_shape(merged, root, depth + 1) if depth < _MAX_DEPTH else ANY
    kinds = kinds_of(schema)
    if kinds is None:
        return ANY
    shape = Shape(kinds)
    if "object" in kinds:
        shape = _with_properties(shape, schema, root, depth)
    if "array" in kinds and isinstance(schema.get("items"), Mapping):
        shape = replace(shape, items=shape_of_schema(schema["items"], root, depth + 1))
    low, high = schema.get("minimum"), schema.get("maximum")
    return replace(shape, minimum=_number(low), maximum=_number(high))


def _with_properties(shape: Shape, schema: JsonMapping, root: JsonMapping, depth: int) -> Shape:
    listed = schema.get("properties")
    more = schema.get("additionalProperties")
    if not isinstance(listed, Mapping) or (not listed and more is not False):
        return shape
    if isinstance(more, Mapping) or more is True:
        return shape  # any key may be there, with values that only the listed ones are sure about
    properties = {name: shape_of_schema(item, root, depth + 1) for name, item in cast("JsonMapping", listed).items()}
    required = schema.get("required")
    names = frozenset(map(str, cast("list[JsonValue]", required))) if isinstance(required, list) else frozenset[str]()
    return replace(shape, properties=properties, required=names, closed=more is False)


def _merged(base: JsonMapping, option: JsonValue, root: JsonMapping) -> JsonObject:
    """Return `base` with one of its alternatives (or parts) put into it."""
    if not isinstance(option, Mapping):
        return dict(base)
    part = resolved(cast("JsonMapping", option), root)
    merged: JsonObject = {**base, **part}
    for key in ("properties", "$defs"):
        both = [item[key] for item in (base, part) if isinstance(item.get(key), Mapping)]
        if len(both) == 2:
            merged[key] = {**both[0], **both[1]}
    needed = [item["required"] for item in (base, part) if isinstance(item.get("required"), list)]
    if len(needed) == 2:
        merged["required"] = [*needed[0], *needed[1]]
    return merged


def resolved(schema: JsonMapping, root: JsonMapping) -> JsonMapping:
    """Return `schema` with its local `$ref` followed; a schema of anything when it leads nowhere known."""
    seen = 0
    while isinstance(reference := schema.get("$ref"), str):
        seen += 1
        target = _target(reference, root) if seen < _MAX_DEPTH else None
        if target is None:
            return {}
        schema = {**target, **{key: item for key, item in schema.items() if key != "$ref"}}
    return schema


def _target(reference: str, root: JsonMapping) -> JsonMapping | None:
    if not reference.startswith("#"):
        return None
    node: JsonValue = root
    for part in reference[1:].split("/"):
        if not part:
            continue
        key = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(node, Mapping) or key not in node:
            return None
        node = cast("JsonMapping", node)[key]
    return cast("JsonMapping", node) if isinstance(node, Mapping) else None


def kinds_of(schema: JsonMapping) -> frozenset[str] | None:
    """Return the kinds that `schema` names or implies, or None when it says nothing about them."""
    declared = schema.get("type")
    listed = as_list(declared)
    names: Sequence[JsonValue] = [declared] if isinstance(declared, str) else listed
    if names:
        kinds = frozenset(str(name) for name in names) & KINDS
        return kinds | {"integer"} if "number" in kinds else kinds
    if "properties" in schema:
        return frozenset({"object"})
    if "items" in schema:
        return frozenset({"array"})
    return None


def _number(value: JsonValue) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def shape_of_sample(value: JsonValue, depth: int = 0) -> Shape:
    """Return the shape of answers like `value`, which was recorded: other values and more keys are possible."""
    if depth > _MAX_DEPTH:
        return ANY
    if isinstance(value, Mapping):
        pairs = list(cast("JsonMapping", value).items())[:_MAX_SAMPLE]
        properties = {key: shape_of_sample(item, depth + 1) for key, item in pairs}
        return replace(OF_KIND["object"], properties=properties, required=frozenset(properties), is_seen=True)
    if isinstance(value, list):
        items = [shape_of_sample(item, depth + 1) for item in cast("list[JsonValue]", value)[:_MAX_SAMPLE]]
        return replace(list_of(union(items) if items else None), elements=None if items else (), is_seen=True)
    if value is None:
        return ANY  # something else may be there at another time
    kind = next(iter(constant(value).kinds))
    return replace(OF_KIND[kind], is_seen=True)
