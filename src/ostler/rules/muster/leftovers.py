"""Keys of a manifest that neither muster nor Ostler acts on."""

import copy
from dataclasses import replace  # noqa: TID251 (a dataclass)
from typing import Any, cast

from msgspec.structs import replace as with_fields
from pydantic import ValidationError

from ostler.model.json import JsonValue, KeyPath
from ostler.model.manifest import ServiceClass
from ostler.rules.loading.manifest_schema import manifest_shape
from ostler.rules.muster.sheet import Sheet, is_list, is_mapping
from ostler.rules.text.findings import finding_of
from ostler.rules.text.model_violations import error_path, model_violations
from ostler.rules.text.yaml_source import Document

_DEEPEST = 8
"""Rounds of looking: an unknown key is seen once what it is in is read."""


_VALUES = frozenset({"default", "expect", "expectNot", "expect_not"})
"""Keys below which null may be meant."""


def without_nothing(value: JsonValue) -> JsonValue:
    """Return a part of a manifest without the keys that have no value: `outputs:` is no outputs, as muster read it."""
    if is_list(value):
        return [without_nothing(item) for item in value]
    if not is_mapping(value):
        return value
    kept = _VALUES | {"args"} if "tool" in value else _VALUES
    return {key: item if key in kept else without_nothing(item) for key, item in value.items() if item is not None}


def without_unknown_keys(sheet: Sheet, document: Document) -> Document:
    """Return a translated manifest without the keys that mean nothing, with a warning for each.

    muster read its manifests leniently, so a key of an older version or of its documentation was no fault there.
    """
    for _ in range(_DEEPEST):
        try:
            ServiceClass.model_validate(document.value, strict=True)
        except ValidationError as error:
            unknown = [each for each in error.errors(include_url=False) if each["type"] == "extra_forbidden"]
        else:
            return document
        if not unknown:
            return document
        violations = model_violations(document.value, unknown, manifest_shape())
        sheet.findings += [finding_of(with_fields(violation, is_certain=False), document) for violation in violations]
        value = copy.deepcopy(document.value)
        for path in {error_path(document.value, each["loc"]) for each in unknown}:
            _remove(value, path)
        document = replace(document, value=value)
    return document


def _remove(value: Any, path: KeyPath) -> None:
    for part in path[:-1]:
        value = cast("dict[Any, Any]", value)[part]
    value.pop(path[-1], None)
