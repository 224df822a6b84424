"""Which keys a JSON Schema allows at each place, for suggestions in findings."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from ostler.model.json import JsonMapping

_DEEPEST = 5


class SchemaShape:
    """Answers questions about one schema.

    Args:
        schema: a JSON Schema with its definitions under `$defs`.
        what: how texts call a document of it, such as `the manifest`.
    """

    def __init__(self, schema: JsonMapping, what: str) -> None:
        self._schema = schema
        self.what = what

    def __repr__(self) -> str:
        return f"SchemaShape({self.what!r})"

    def keys_at(self, path: Sequence[str | int]) -> list[str]:
        """Return the keys that the object at `path` of a document may have; none when any key is possible."""
        nodes = [self._schema]
        for key in path:
            nodes = [child for node in nodes for child in self._children(node, key)]
        return sorted({key for node in nodes for key in node.get("properties", {})})

    def places_of(self, key: str) -> list[str]:
        """Return the dotted paths at which `key` is possible, shortest first; what is below lists is left out."""
        found: list[str] = []
        self._search(self._schema, key, "", found, 0)
        return sorted(found, key=lambda place: (place.count("."), place))

    def _alternatives(self, node: JsonMapping) -> list[JsonMapping]:
        """Follow references and unions to the schemas that describe a value."""
        if "$ref" in node:
            return self._alternatives(self._schema["$defs"][str(node["$ref"]).rpartition("/")[2]])
        if "anyOf" in node:
            return [part for option in node["anyOf"] for part in self._alternatives(option)]
        return [node]

    def _children(self, node: JsonMapping, key: str | int) -> list[JsonMapping]:
        found: list[JsonMapping] = []
        for option in self._alternatives(node):
            if isinstance(key, int):
                child = option.get("items")
            else:
                child = option.get("properties", {}).get(key, option.get("additionalProperties"))
            if isinstance(child, Mapping):
                found += self._alternatives(cast("Mapping[str, Any]", child))
        return found

    def _search(self, node: JsonMapping, key: str, place: str, found: list[str], depth: int) -> None:
        for option in self._alternatives(node):
            for name, child in option.get("properties", {}).items():
                here = f"{place}.{name}" if place else name
                if name == key:
                    found.append(place)
                if depth < _DEEPEST and child.get("type") != "array":
                    self._search(child, key, here, found, depth + 1)
