"""From manifest text to ServiceClass values, with every problem of a file reported at once."""

import difflib
import hashlib
import json
from collections.abc import Mapping
from typing import cast

from pydantic import ValidationError

from ostler.model.errors import Finding, ManifestError
from ostler.model.json import JsonMapping, JsonObject, JsonValue
from ostler.model.manifest import API_VERSION, ServiceClass
from ostler.model.statics import STATIC_KINDS
from ostler.model.tool_names import ToolNames
from ostler.rules.checking.loaded_class import LoadedClass
from ostler.rules.loading.class_graph import cycle_findings
from ostler.rules.loading.formats import Formats
from ostler.rules.loading.manifest_schema import manifest_json_schema, manifest_shape
from ostler.rules.text.model_findings import finding_at, model_findings
from ostler.rules.text.yaml_source import Document, Path, read_documents

__all__ = [
    "LoadedClass",
    "class_digest",
    "load_manifests",
    "manifest_json_schema",
    "service_class_from_json",
    "service_class_to_json",
]


def load_manifests(
    text: str,
    file: str = "<text>",
    *,
    known: ToolNames | None = None,
    formats: Formats | None = None,
    checked: bool = False,
) -> list[LoadedClass]:
    """Return the classes in `text`, one or several YAML documents or a JSON object.

    Args:
        text: the manifests.
        file: the path that findings carry.
        known: the downstream servers and tools, by which forms are read that run their names together.
        formats: the forms that are read beside ostler/v1; see `ostler.rules.reading`.
        checked: the very same text was loaded before without a finding, so it is not checked again.

    Raises:
        ManifestError: with the findings of all documents, each with its place.
    """
    formats = formats or Formats()
    documents, findings = read_documents(text, file)
    if not documents and not findings:
        findings.append(Finding("there is no manifest in it", file, 1, 1, "missing-key", fix=f"begin with {_HEAD}"))
    loaded: list[LoadedClass] = []
    lines: dict[str, int] = {}
    for document in documents:
        found = _identity_findings(document, formats)
        if found:
            findings += found
            continue
        origins: Mapping[Path, Path] | None = None
        notes: list[Finding] = []
        form = formats.of_version(cast("JsonMapping", document.value).get("apiVersion"))
        if form is not None:
            translation = form.translate(document, known or ToolNames())
            document, origins = translation.document, translation.origins  # noqa: PLW2901 (the same one, translated)
            notes = list(translation.findings)
            findings += [finding for finding in notes if finding.severity == "error"]
        try:
            service_class = ServiceClass.model_validate(document.value, strict=True)
        except ValidationError as error:
            findings += model_findings(document, error.errors(include_url=False), manifest_shape())
            continue
        found = [] if checked else _check(service_class, document)
        findings += [finding for finding in found if finding.severity == "error"]
        warnings = tuple(finding for finding in [*notes, *found] if finding.severity != "error")
        line = document.locate(())[0]
        name = service_class.name
        if name in lines:
            message = f"ServiceClass {name!r} stands here a second time (first in line {lines[name]})"
            findings.append(finding_at(document, ("metadata", "name"), "duplicate-name", message, "rename one of them"))
        lines.setdefault(name, line)
        digest = class_digest(service_class)
        version = form.version if form else ""
        loaded.append(
            LoadedClass(service_class, document.text, file, line, digest, document, warnings, origins, version)
        )
    together = {each.service_class.name: (each.service_class, each.document) for each in loaded}
    findings += [finding for finding in cycle_findings(together) if finding.severity == "error"]
    if findings:
        raise ManifestError(sorted(findings, key=lambda finding: (finding.line, finding.column)), what=file)
    return loaded


def _check(service_class: ServiceClass, document: Document) -> list[Finding]:
    """Return what is wrong with the parts of a class; templates, expressions and patterns are compiled for that."""
    from ostler.rules.checking.class_rules import check_class  # noqa: PLC0415 (a quarter of a start: what is cached)

    return list(check_class(service_class, document))


def class_digest(service_class: ServiceClass) -> str:
    """Return the SHA-256 of the class's canonical JSON: the same for every formatting of the same manifest."""
    canonical = json.dumps(service_class_to_json(service_class), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


def service_class_to_json(service_class: ServiceClass) -> JsonObject:
    """Return the manifest as JSON, with what was written in it and nothing else."""
    return service_class.model_dump(mode="json", by_alias=True, exclude_unset=True)


def service_class_from_json(obj: JsonMapping) -> ServiceClass:
    """Return the class of a manifest that `service_class_to_json` made.

    Raises:
        ManifestError: it is not (or no longer) a valid manifest.
    """
    try:
        return ServiceClass.model_validate(dict(obj))
    except ValidationError as error:
        findings = [
            Finding(str(detail["msg"]), rule="bad-value", path=".".join(str(part) for part in detail["loc"]))
            for detail in error.errors(include_url=False)
        ]
        raise ManifestError(findings, what="the stored manifest") from None


_HEAD = f"'apiVersion: {API_VERSION}' and 'kind: ServiceClass'"


def _identity_findings(document: Document, formats: Formats) -> list[Finding]:
    """Return what keeps `document` from being a ServiceClass of this version at all; other problems come after."""
    value: JsonValue = document.value
    if not isinstance(value, Mapping):
        return [finding_at(document, (), "bad-type", "a manifest is a mapping", f"begin with {_HEAD}")]
    manifest = cast("JsonMapping", value)
    version, kind = manifest.get("apiVersion"), manifest.get("kind")
    findings: list[Finding] = []
    form = formats.of_version(version)
    if older := formats.older_form(manifest):
        fix = f"write 'apiVersion: {older[0].version}', 'kind' and 'metadata.name', and put the rest under 'spec'"
        return [finding_at(document, (), "unknown-version", older[1], fix)]
    if "apiVersion" in manifest and version != API_VERSION and form is None:
        fix = f"write 'apiVersion: {API_VERSION}'"
        message = f"apiVersion {version!r} is not known"
        if near := formats.of_group(version):
            message = f"apiVersion {version!r} is not a version of {near.name}'s that is read"
            fix = f"write 'apiVersion: {near.version}'"
        findings.append(finding_at(document, ("apiVersion",), "unknown-version", message, fix))
    if "kind" in manifest and kind != "ServiceClass":
        close = difflib.get_close_matches(str(kind), ["ServiceClass"], cutoff=0.5)
        fix = "did you mean 'ServiceClass'?" if close else "write 'kind: ServiceClass'"
        if form is not None and (elsewhere := form.fix_of_kind(manifest)):
            fix = elsewhere
        elif kind in STATIC_KINDS:
            fix = f"a {kind} belongs in services/"
        findings.append(finding_at(document, ("kind",), "unknown-kind", f"kind {kind!r} is not known", fix))
    return findings
