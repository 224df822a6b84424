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
from ostler.model.statics import STATIC_KINDS
from ostler.model.tool_names import ToolNames
from ostler.rules.loading.class_graph import cycle_findings
from ostler.rules.loading.manifest_schema import manifest_json_schema, manifest_shape
from ostler.rules.muster.identity import MUSTER_GROUP, MUSTER_VERSION, is_muster_manifest
from ostler.rules.muster.servers import mcp_json_entry
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


@dataclass(frozen=True, slots=True)
class LoadedClass:
    """One manifest as loaded.

    Attributes:
        service_class: its value.
        text: the document's own YAML text.
        file: the file it came from, as the user knows it.
        line: the 1-based line of the file at which the manifest's first key stands.
        digest: changes with the meaning of the manifest, not with its formatting.
        document: the values with their places, for later checks; of a manifest of muster, the translated values at
            the places of the original.
        warnings: findings that do not keep the class from working.
        origins: where the translated parts of a manifest of muster stood, for those that moved; None for others.
    """

    service_class: ServiceClass
    text: str
    file: str
    line: int
    digest: str
    document: Document
    warnings: tuple[Finding, ...] = ()
    origins: Mapping[Path, Path] | None = None

    @property
    def is_muster(self) -> bool:
        """Whether the manifest is one of muster's, translated."""
        return self.origins is not None


def load_manifests(
    text: str, file: str = "<text>", *, known: ToolNames | None = None, checked: bool = False
) -> list[LoadedClass]:
    """Return the classes in `text`, one or several YAML documents or a JSON object.

    Args:
        text: the manifests, of `ostler/v1` or of muster's `muster.giantswarm.io/v1alpha1`.
        file: the path that findings carry.
        known: the downstream servers and tools, by which muster's tool names are told apart.
        checked: the very same text was loaded before without a finding, so it is not checked again.

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
        origins: Mapping[Path, Path] | None = None
        notes: list[Finding] = []
        if is_muster_manifest(document.value):
            from ostler.rules.muster.manifest import translate_manifest  # noqa: PLC0415 (who has none, loads faster)

            translation = translate_manifest(document, known or ToolNames())
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
        loaded.append(LoadedClass(service_class, document.text, file, line, digest, document, warnings, origins))
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


_OTHER_KINDS = {
    "MCPServer": "downstream servers stand in mcp.json: give it the server's command and args, or its url",
    "Workflow": "Ostler has no workflows; call the tools of its steps by a class, or one by one",
}
"""What to do with the other kinds of muster."""


def _identity_findings(document: Document) -> list[Finding]:
    """Return what keeps `document` from being a ServiceClass of this version at all; other problems come after."""
    value: JsonValue = document.value
    if not isinstance(value, Mapping):
        return [finding_at(document, (), "bad-type", "a manifest is a mapping", f"begin with {_HEAD}")]
    manifest = cast("JsonMapping", value)
    version, kind = manifest.get("apiVersion"), manifest.get("kind")
    findings: list[Finding] = []
    if "apiVersion" not in manifest and "serviceConfig" in manifest:
        message = "this is the form that muster had before it had an apiVersion, which is not read"
        fix = f"write 'apiVersion: {MUSTER_VERSION}', 'kind' and 'metadata.name', and put the rest under 'spec'"
        return [finding_at(document, (), "unknown-version", message, fix)]
    if "apiVersion" in manifest and version not in (API_VERSION, MUSTER_VERSION):
        fix = f"write 'apiVersion: {API_VERSION}'"
        message = f"apiVersion {version!r} is not known"
        if str(version).startswith(MUSTER_GROUP):
            message = f"apiVersion {version!r} is not a version of muster's that is read"
            fix = f"write 'apiVersion: {MUSTER_VERSION}'"
        findings.append(finding_at(document, ("apiVersion",), "unknown-version", message, fix))
    if "kind" in manifest and kind != "ServiceClass":
        close = difflib.get_close_matches(str(kind), ["ServiceClass"], cutoff=0.5)
        fix = "did you mean 'ServiceClass'?" if close else "write 'kind: ServiceClass'"
        if version == MUSTER_VERSION and str(kind) in _OTHER_KINDS:
            fix = _OTHER_KINDS[str(kind)]
            if kind == "MCPServer" and (entry := mcp_json_entry(manifest)):
                fix = f"write it in mcp.json, under 'mcpServers': {entry}"
        elif kind in STATIC_KINDS:
            fix = f"a {kind} belongs in services/"
        findings.append(finding_at(document, ("kind",), "unknown-kind", f"kind {kind!r} is not known", fix))
    return findings
