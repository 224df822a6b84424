"""muster's arguments of serviceclass_create and its siblings, as a manifest of muster."""

import json
from collections.abc import Iterator

from ostler.model.errors import ArgumentError
from ostler.model.json import JsonMapping, JsonObject, JsonValue
from ostler.rules.muster.muster_format import MUSTER
from ostler.rules.muster.sheet import mapping
from ostler.rules.text.yaml_source import read_documents


def written_spec(text: str, name: str) -> JsonObject:
    """Return the `spec` of the class `name` as it stands in `text`, manifests of muster."""
    documents, _ = read_documents(text, "<text>")
    for document in documents:
        manifest = mapping(document.value)
        if mapping(manifest.get("metadata")).get("name") == name:
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
        "spec": dict(spec),
    }
    return json.dumps(manifest, indent=2, ensure_ascii=False)


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
