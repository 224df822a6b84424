"""Loads static services from `services/*.yaml`, and reports every problem of a file at once."""

import difflib
from collections.abc import Iterator, Mapping
from functools import lru_cache, partial
from typing import cast

from msgspec import Struct

from ostler.model.errors import Finding, ManifestError
from ostler.model.json import JsonMapping, JsonObject, JsonValue
from ostler.model.manifest import API_VERSION, OWN_NAMES
from ostler.model.statics import STATIC_KINDS, STATIC_MODELS, StaticService
from ostler.rules.loading.documents import read_model
from ostler.rules.loading.manifest_schema import DIALECT
from ostler.rules.text.findings import Violation, by_place, finding_of
from ostler.rules.text.schema_shape import SchemaShape
from ostler.rules.text.yaml_source import read_documents


class LoadedStatic(Struct, frozen=True):
    """One static service as loaded.

    Attributes:
        service: its value.
        file: the file it came from, as the user knows it.
        line: the 1-based line at which its first key stands.
    """

    service: StaticService
    file: str
    line: int


def load_static_services(text: str, file: str = "<text>") -> list[LoadedStatic]:
    """Return the static services in `text`, one or several YAML documents or a JSON object.

    Raises:
        ManifestError: with the findings of all documents, each with file, line, column, a rule id and, where known,
            a fix.
    """
    documents, findings = read_documents(text, file)
    if not documents and not findings:
        message = "there is no service in it"
        findings.append(Finding(message, file, 1, 1, "missing-key", fix=_HEAD))
    loaded: list[LoadedStatic] = []
    lines: dict[str, int] = {}
    for document in documents:
        if found := [finding_of(each, document) for each in _identity_violations(document.value)]:
            findings += found
            continue
        kind = str(cast("JsonMapping", document.value)["kind"])
        try:
            service: StaticService = read_model(document, STATIC_MODELS[kind], partial(_shape, kind), context=OWN_NAMES)
        except ManifestError as error:
            findings += error.findings
            continue
        line = document.locate(())[0]
        if service.name in lines:
            message = f"service {service.name!r} appears a second time (first in line {lines[service.name]})"
            again = Violation(("metadata", "name"), "duplicate-name", message, "rename one of them")
            findings.append(finding_of(again, document))
        lines.setdefault(service.name, line)
        loaded.append(LoadedStatic(service, file, line))
    if findings:
        raise ManifestError(by_place(findings), what=file)
    return loaded


def holds_static_services(text: str) -> bool:
    """Whether `text` is meant for `services/`: the first document with a kind has one of theirs."""
    documents, _ = read_documents(text)
    for document in documents:
        kind = _kind_of(document.value)
        if kind is not None:
            return kind != "ServiceClass" and bool(difflib.get_close_matches(kind, STATIC_KINDS, n=1))
    return False


def static_json_schema(kind: str) -> JsonObject:
    """Return the JSON Schema (draft 2020-12) of manifests of `kind`, made from the models, for editors."""
    schema: JsonObject = STATIC_MODELS[kind].model_json_schema(by_alias=True, mode="validation")
    return {"$schema": DIALECT, **schema, "title": f"Ostler {kind}"}


@lru_cache(maxsize=len(STATIC_KINDS))
def _shape(kind: str) -> SchemaShape:
    return SchemaShape(static_json_schema(kind), "the manifest")


_HEAD = f"begin with 'apiVersion: {API_VERSION}' and 'kind: PortForward'"


def _kind_of(value: JsonValue) -> str | None:
    if not isinstance(value, Mapping):
        return None
    kind = cast("JsonMapping", value).get("kind")
    return None if kind is None else str(kind)


def _identity_violations(value: JsonValue) -> Iterator[Violation]:
    """Yield what keeps a document from being a static service at all; other problems come after."""
    if not isinstance(value, Mapping):
        yield Violation((), "bad-type", "a service is a mapping", _HEAD)
        return
    version = cast("JsonMapping", value).get("apiVersion", API_VERSION)
    if version != API_VERSION:
        yield Violation(
            ("apiVersion",),
            "unknown-version",
            f"apiVersion {version!r} is not known",
            f"write 'apiVersion: {API_VERSION}'",
        )
    kind = _kind_of(cast("JsonMapping", value))
    if kind is None:
        yield Violation((), "missing-key", "the service needs 'kind'", f"write one of {', '.join(STATIC_KINDS)}")
    elif kind not in STATIC_KINDS:
        close = difflib.get_close_matches(kind, STATIC_KINDS, n=1, cutoff=0.5)
        fix = f"did you mean {close[0]!r}?" if close else f"the kinds here are {', '.join(STATIC_KINDS)}"
        if kind == "ServiceClass":
            fix = "classes belong in serviceclasses/"
        elif kind == "MCPServer":
            fix = "downstream servers belong in mcp.json"
        yield Violation(("kind",), "unknown-kind", f"kind {kind!r} is not known here", fix)
