"""muster's arguments of serviceclass_create and its siblings, as a manifest of muster."""

import json
from collections.abc import Iterator

from ostler.model.durations import format_duration
from ostler.model.errors import ArgumentError
from ostler.model.json import JsonMapping, JsonObject, JsonValue
from ostler.rules.muster.muster_format import MUSTER
from ostler.rules.muster.sheet import is_mapping, mapping
from ostler.rules.text.yaml_source import read_documents

_NANOSECONDS = 1_000_000_000
_LEAST = 1_000_000
"""The least number that is taken as nanoseconds: a millisecond. A smaller one was meant in seconds."""


def written_spec(text: str, name: str) -> JsonObject:
    """Return the `spec` of the class `name` as it stands in `text`, manifests of muster."""
    documents, _ = read_documents(text, "<text>")
    for document in documents:
        manifest = mapping(document.value)
        if mapping(manifest.get("metadata")).get("name") in (name, None):  # without a name, it is its file's
            return dict(mapping(manifest.get("spec")))
    return {}


def manifest_of(name: str, spec: JsonMapping) -> str:
    """Return the text of a manifest of muster.

    Args:
        name: the class's name.
        spec: `description`, `args` and `serviceConfig`, as far as they were given.

    Raises:
        ArgumentError: something that muster requires is missing; all of it is named.
    """
    problems = list(_missing(name, spec))
    if problems:
        raise ArgumentError(
            problems,
            next_actions=("give manifest, the class as YAML; or name and serviceConfig as in muster",),
        )
    manifest: JsonObject = {
        "apiVersion": MUSTER.version,
        "kind": "ServiceClass",
        "metadata": {"name": name},
        "spec": {**spec, "serviceConfig": _with_durations(mapping(spec.get("serviceConfig")))},
    }
    return json.dumps(manifest, indent=2, ensure_ascii=False)


def _with_durations(config: JsonMapping) -> JsonObject:
    """Return `serviceConfig` with durations as texts: muster's answers have them as nanoseconds, and so its clients."""
    made: JsonObject = dict(config)
    for key in ("healthCheck", "timeout"):
        if is_mapping(found := config.get(key)):
            made[key] = {name: _duration(name, value) for name, value in found.items()}
    return made


def _duration(name: str, value: JsonValue) -> JsonValue:
    if isinstance(value, int | float) and value >= _LEAST and not name.endswith("Threshold"):
        return format_duration(value / _NANOSECONDS)
    return value


def _missing(name: str, spec: JsonMapping) -> Iterator[str]:
    if not name and not spec:
        yield "manifest is required"
        return
    if not name:
        yield "name is required"
    config: JsonValue = spec.get("serviceConfig")
    if not config:
        yield "serviceConfig is required"
    tools = mapping(mapping(config).get("lifecycleTools"))
    for step in ("start", "stop"):
        if not mapping(tools.get(step)).get("tool"):
            yield f"serviceConfig.lifecycleTools.{step}.tool is required"
