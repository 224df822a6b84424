"""From manifest text to ServiceClass values, with every problem of a file reported at once."""

import difflib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from pydantic import ValidationError

from ostler.model.errors import Finding, ManifestError
from ostler.model.json import JsonMapping, JsonObject, JsonValue
from ostler.model.manifest import API_VERSION, ServiceClass
from ostler.rules.class_checks import check_class
from ostler.rules.manifest_schema import manifest_json_schema
from ostler.rules.model_findings import finding_at, model_findings
from ostler.rules.yaml_source import Document, read_documents

__all__ = [
    "LoadedClass",
    "class_digest",
    "load_manifests",
    "manifest_json_schema",
    "service_class_from_json",
    "service_class_to_json",
]

_MUSTER = "muster.giantswarm.io/"


@dataclass(frozen=True, slots=True)
class LoadedClass:
    """One manifest as loaded.

    Attributes:
        service_class: its value.
        text: the document's own YAML text.
        file: the file it came from, as the user knows it.
        line: the 1-based line of the file at which the manifest's first key stands.
        digest: changes with the meaning of the manifest, not with its formatting.
        document: the values with their places, for later checks.
        warnings: findings that do not keep the class from working.
    """

    service_class: ServiceClass
    text: str
    file: str
    line: int
    digest: str
    document: Document
    warnings: tuple[Finding, ...] = ()


def load_manifests(text: str, file: str = "<text>") -> list[LoadedClass]:
    """Return the classes in `text`, one or several YAML documents or a JSON object.

    Args:
        text: the manifests.
        file: the path that findings carry.

    Raises:
        ManifestError: with the findings of all documents: syntax, unknown and missing keys, wrong types and
            values, templates that do not parse or name what is not there, expressions that do not compile, and
            settings without effect. Each has file, line, column, a rule id and, where known, a fix.
    """
    documents, findings = read_documents(text, file)
    if not documents and not findings:
        findings.append(Finding("there is no manifest in it", file, 1, 1, "missing-key", fix=f"begin with {_HEAD}"))
    loaded: list[LoadedClass] = []
    lines: dict[str, int] = {}
    for document in documents:
        found = _identity_findings(document)
        if found:
            findings += found
            continue
        try:
            service_class = ServiceClass.model_validate(document.value, strict=True)
        except ValidationError as error:
            findings += model_findings(document, error.errors(include_url=False))
            continue
        checked = check_class(service_class, document)
        findings += [finding for finding in checked if finding.severity == "error"]
        warnings = tuple(finding for finding in checked if finding.severity != "error")
        line = document.locate(())[0]
        name = service_class.name
        if name in lines:
            message = f"ServiceClass {name!r} stands here a second time (first in line {lines[name]})"
            findings.append(finding_at(document, ("metadata", "name"), "duplicate-name", message, "rename one of them"))
        lines.setdefault(name, line)
        digest = class_digest(service_class)
        loaded.append(LoadedClass(service_class, document.text, file, line, digest, document, warnings))
    if findings:
        raise ManifestError(sorted(findings, key=lambda finding: (finding.line, finding.column)), what=file)
    return loaded


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


def _identity_findings(document: Document) -> list[Finding]:
    """Return what keeps `document` from being a ServiceClass of this version at all; other problems come after."""
    value: JsonValue = document.value
    if not isinstance(value, Mapping):
        return [finding_at(document, (), "bad-type", "a manifest is a mapping", f"begin with {_HEAD}")]
    manifest = cast("JsonMapping", value)
    version, kind = manifest.get("apiVersion"), manifest.get("kind")
    findings: list[Finding] = []
    if "apiVersion" in manifest and version != API_VERSION:
        fix = f"write 'apiVersion: {API_VERSION}'"
        message = f"apiVersion {version!r} is not known"
        if str(version).startswith(_MUSTER):
            message = f"apiVersion {version!r} is muster's, which this version of Ostler does not read"
            fix += ", tools as 'server/tool' and templates as Jinja2"
        findings.append(finding_at(document, ("apiVersion",), "unknown-version", message, fix))
    if "kind" in manifest and kind != "ServiceClass":
        close = difflib.get_close_matches(str(kind), ["ServiceClass"], cutoff=0.5)
        fix = "did you mean 'ServiceClass'?" if close else "write 'kind: ServiceClass'"
        findings.append(finding_at(document, ("kind",), "unknown-kind", f"kind {kind!r} is not known", fix))
    return findings
