"""The manifest's JSON Schema, for editors and for suggestions of keys."""

from functools import lru_cache

from ostler.model.json import JsonObject
from ostler.model.manifest import ServiceClass
from ostler.rules.text.schema_shape import SchemaShape

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def manifest_json_schema() -> JsonObject:
    """Return the JSON Schema (draft 2020-12) of a ServiceClass manifest, made from the models.

    Editors use it through a first line `# yaml-language-server: $schema=…` in the manifest.
    """
    schema: JsonObject = ServiceClass.model_json_schema(by_alias=True, mode="validation")
    policy = schema["$defs"]["ServiceConfig"]["properties"]["restartPolicy"]
    policy["anyOf"] = [{"enum": ["never", "on-failure", "always"], "type": "string"}, *policy["anyOf"]]
    allow_short_idle_stop(schema, "ServiceConfig")
    return {"$schema": DIALECT, **schema, "title": "Ostler ServiceClass"}


def allow_short_idle_stop(schema: JsonObject, model: str) -> None:
    """Let the `idleStop` of a model of `schema` be its `after` alone."""
    idle = schema["$defs"][model]["properties"]["idleStop"]
    idle["anyOf"] = [schema["$defs"]["IdleStopSpec"]["properties"]["after"], *idle["anyOf"]]


@lru_cache(maxsize=1)
def manifest_shape() -> SchemaShape:
    """Return which keys a manifest may have at each place."""
    return SchemaShape(manifest_json_schema(), "the manifest")
