"""By what a manifest of muster is known."""

from collections.abc import Mapping
from typing import cast

from ostler.model.json import JsonMapping, JsonValue

MUSTER_GROUP = "muster.giantswarm.io/"
MUSTER_VERSION = f"{MUSTER_GROUP}v1alpha1"


def is_muster_manifest(value: JsonValue) -> bool:
    """Return whether a document says that it is a ServiceClass of muster."""
    if not isinstance(value, Mapping):
        return False
    manifest = cast("JsonMapping", value)
    return manifest.get("apiVersion") == MUSTER_VERSION and manifest.get("kind") == "ServiceClass"
