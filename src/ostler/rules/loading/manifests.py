"""Loads ServiceClasses from manifests, and reports every problem of a file at once."""

import difflib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, cast

from pydantic import ValidationError

from ostler.model.errors import Finding, ManifestError
from ostler.model.json import JsonMapping, JsonObject, JsonValue, KeyPath
from ostler.model.manifest import API_VERSION, OWN_NAMES, ServiceClass
from ostler.model.projects import PROJECT_KIND
from ostler.model.statics import STATIC_KINDS
from ostler.model.tool_names import ToolNames
from ostler.rules.checking.class_graph import cycle_findings
from ostler.rules.checking.loaded_class import LoadedClass
from ostler.rules.loading.documents import read_model
from ostler.rules.loading.manifest_formats import Formats
from ostler.rules.loading.manifest_schema import manifest_json_schema, manifest_shape
from ostler.rules.text.findings import Findings, Violation, by_place, finding_of
from ostler.rules.text.yaml_source import Document, read_documents

__all__ = [
    "LoadedClass",
    "class_digest",
    "load_manifests",
    "manifest_json_schema",
    "program_digest",
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
        formats: the forms that are read besides ostler/v1; see `ostler.rules.reading`.
        checked: the very same text was loaded before without a finding, so it is not checked again.

    Raises:
        ManifestError: with the findings of all documents, each with its place.
    """
    formats = formats or Formats()
    documents, findings = read_documents(text, file)
    if not documents and not findings:
        findings.append(Finding("there is no manifest in it", file, 1, 1, "missing-key", fix=f"begin with {_HEAD}"))
    loaded: dict[str, LoadedClass] = {}
    for document in documents:
        one, errors = _load(document, file, known or ToolNames(), formats, checked=checked)
        findings += errors
        if one is None:
            continue
        name = one.service_class.name
        if name in loaded:
            message = f"ServiceClass {name!r} appears a second time (first in line {loaded[name].line})"
            again = Violation(("metadata", "name"), "duplicate-name", message, "rename one of them")
            findings.append(finding_of(again, one.document))
        loaded.setdefault(name, one)
    together = {name: (one.service_class, one.document) for name, one in loaded.items()}
    findings += [finding for finding in cycle_findings(together) if finding.severity == "error"]
    if findings:
        raise ManifestError(by_place(findings), what=file)
    return list(loaded.values())


def prepared_class(text: str, file: str, manifest: JsonObject, *, line: int, digest: str) -> LoadedClass:
    """Return the class in `text`, as `load_manifests` did before, without reading its YAML again.

    Args:
        text: one manifest of `ostler/v1`, which was loaded without a finding.
        file: the path that findings carry.
        manifest: its value.
        line: where it begins.
        digest: its `class_digest`.
    """
    service_class = ServiceClass.model_validate(manifest, strict=True, context=OWN_NAMES)
    return LoadedClass(service_class, text, file, line, digest, Document(manifest, file, text, line=1))


def _load(
    document: Document, file: str, known: ToolNames, formats: Formats, *, checked: bool
) -> tuple[LoadedClass | None, list[Finding]]:
    """Return the class of one document, if it can be read, and the errors in it."""
    if found := [finding_of(each, document) for each in _identity_violations(document, formats)]:
        return None, found
    origins: Mapping[KeyPath, KeyPath] | None = None
    translated: Sequence[Finding] = ()
    form = formats.of_manifest(cast("JsonMapping", document.value))
    if form is not None:
        translation = form.translate(document, known)
        document, origins, translated = translation.document, translation.origins, translation.findings
    errors = [finding for finding in translated if finding.severity == "error"]
    try:
        service_class = read_model(document, ServiceClass, manifest_shape, context="" if form else OWN_NAMES)
    except ManifestError as error:
        return None, [*errors, *error.findings]
    findings = Findings(document)
    if not checked:
        findings.add(_violations(service_class))
    one = LoadedClass(
        service_class,
        document.text,
        file,
        document.locate(())[0],
        class_digest(service_class),
        document,
        (*(finding for finding in translated if finding.severity != "error"), *findings.warnings),
        origins,
        form.version if form is not None else "",
    )
    return one, [*errors, *findings.errors]


def _violations(service_class: ServiceClass) -> Iterator[Violation]:
    """Return what is wrong with the parts of a class; templates, expressions and patterns are compiled for that."""
    from ostler.rules.checking.class_settings import check_class  # noqa: PLC0415 (a quarter of a start: what is cached)

    return check_class(service_class)


def class_digest(service_class: ServiceClass) -> str:
    """Return the SHA-256 of the class's canonical JSON: the same for every formatting of the same manifest."""
    return _digest(service_class_to_json(service_class))


def _digest(value: object) -> str:
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


_LIVE_SETTINGS: Final = frozenset(
    {"healthCheck", "timeout", "restartPolicy", "onUnknown", "idleStop", "defaultName", "maxInstances", "leftovers"}
)
_LIVE_TOOLS: Final = frozenset({"healthCheck", "status", "logs", "sendInput"})


def program_digest(service_class: ServiceClass) -> str:
    """Return the SHA-256 of what a service of the class is: how it is started, found and stopped, and what it gives.

    Texts, labels and the checks of args do not count, and neither does what a running service can take over at once:
    how it is looked at, when it is restarted, and how long it may take. Whether it is looked at counts.
    """
    manifest = service_class_to_json(service_class)
    config: JsonObject = manifest["spec"]["serviceConfig"]
    tools: JsonObject = config["lifecycleTools"]
    what = [
        {key: value for key, value in config.items() if key not in {*_LIVE_SETTINGS, "lifecycleTools"}},
        {step: call for step, call in tools.items() if step not in _LIVE_TOOLS},
        [name for name, spec in service_class.spec.args.items() if spec.secret],
        service_class.config.health_rules.enabled and service_class.looks_after_start,
    ]
    return _digest(what)


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


_SERVER_KEYS = ("mcpServers", "servers", "context_servers", "mcp_servers")
"""What MCP clients write the servers under, each in its own file."""


def _other_file(manifest: JsonMapping) -> Violation | None:
    """Return what a document is that is for something else, and which command reads it."""
    if manifest.get("kind") == PROJECT_KIND:
        fix = "ostler check FILE checks it"
        return Violation(("kind",), "unknown-kind", "this is a project, not a ServiceClass", fix, at_key=True)
    key = next((key for key in _SERVER_KEYS if isinstance(manifest.get(key), Mapping)), "")
    if not key or {"apiVersion", "kind", "spec"} & manifest.keys():
        return None
    message = f"this is a configuration of an MCP client ({key!r} has its servers), not a ServiceClass"
    fix = "ostler servers import --from FILE shows and copies its servers; mcp.json in the config folder needs none"
    return Violation((key,), "unknown-kind", message, fix, at_key=True)


_HEAD = f"'apiVersion: {API_VERSION}' and 'kind: ServiceClass'"


def _identity_violations(document: Document, formats: Formats) -> Iterator[Violation]:
    """Yield what keeps `document` from being a ServiceClass of this version at all; other problems come after."""
    value: JsonValue = document.value
    if not isinstance(value, Mapping):
        yield Violation((), "bad-type", "a manifest is a mapping", f"begin with {_HEAD}")
        return
    manifest = cast("JsonMapping", value)
    if other := _other_file(manifest):
        yield other
        return
    version, kind = manifest.get("apiVersion"), manifest.get("kind")
    form = formats.of_manifest(manifest)
    if older := formats.older_form(manifest):
        fix = f"write 'apiVersion: {older[0].version}', 'kind' and 'metadata.name', and put the rest under 'spec'"
        yield Violation((), "unknown-version", older[1], fix)
        return
    if "apiVersion" in manifest and version != API_VERSION and form is None:
        fix = f"write 'apiVersion: {API_VERSION}'"
        message = f"apiVersion {version!r} is not known"
        if near := formats.of_group(version):
            message = f"apiVersion {version!r} is not a version of {near.name}'s that is read"
            fix = f"write 'apiVersion: {near.version}'"
        yield Violation(("apiVersion",), "unknown-version", message, fix)
    if "kind" in manifest and kind != "ServiceClass":
        close = difflib.get_close_matches(str(kind), ["ServiceClass"], cutoff=0.5)
        fix = "did you mean 'ServiceClass'?" if close else "write 'kind: ServiceClass'"
        if form is not None and (elsewhere := form.fix_of_kind(manifest)):
            fix = elsewhere
        elif kind in STATIC_KINDS:
            fix = f"a {kind} belongs in services/"
        yield Violation(("kind",), "unknown-kind", f"kind {kind!r} is not known", fix)
