"""The manifest's JSON Schema, for editors and for finding out which keys are possible where."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

from ostler.model.json import JsonMapping, JsonObject
from ostler.model.manifest import ServiceClass

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def manifest_json_schema() -> JsonObject:
    """Return the JSON Schema (draft 2020-12) of a ServiceClass manifest, made from the models.

    Editors use it through a first line `# yaml-language-server: $schema=…` in the manifest.
    """
    schema: JsonObject = ServiceClass.model_json_schema(by_alias=True, mode="validation")
    policy = schema["$defs"]["ServiceConfig"]["properties"]["restartPolicy"]
    policy["anyOf"] = [{"enum": ["never", "on-failure", "always"], "type": "string"}, *policy["anyOf"]]
    return {"$schema": DIALECT, **schema, "title": "Ostler ServiceClass"}


def keys_at(path: Sequence[str | int]) -> list[str]:
    """Return the keys that the object at `path` of a manifest may have; none when any key is possible."""
    nodes = [_schema()]
    for key in path:
        nodes = [child for node in nodes for child in _children(node, key)]
    return sorted({key for node in nodes for key in node.get("properties", {})})


def places_of(key: str) -> list[str]:
    """Return the dotted paths at which `key` is possible, shortest first; args and lists are left out."""
    found: list[str] = []
    _search(_schema(), key, "", found, 0)
    return sorted(found, key=lambda place: (place.count("."), place))


@lru_cache(maxsize=1)
def _schema() -> JsonMapping:
    return manifest_json_schema()


def _alternatives(node: JsonMapping) -> list[JsonMapping]:
    """Follow references and unions to the schemas that describe a value."""
    if "$ref" in node:
        return _alternatives(_schema()["$defs"][str(node["$ref"]).rpartition("/")[2]])
    if "anyOf" in node:
        return [part for option in node["anyOf"] for part in _alternatives(option)]
    return [node]


def _children(node: JsonMapping, key: str | int) -> list[JsonMapping]:
    found: list[JsonMapping] = []
    for option in _alternatives(node):
        if isinstance(key, int):
            child = option.get("items")
        else:
            child = option.get("properties", {}).get(key, option.get("additionalProperties"))
        if isinstance(child, Mapping):
            found += _alternatives(cast("Mapping[str, Any]", child))
    return found


def _search(node: JsonMapping, key: str, place: str, found: list[str], depth: int) -> None:
    for option in _alternatives(node):
        for name, child in option.get("properties", {}).items():
            here = f"{place}.{name}" if place else name
            if name == key:
                found.append(place)
            if depth < 5 and child.get("type") != "array":
                _search(child, key, here, found, depth + 1)
