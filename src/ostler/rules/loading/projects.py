"""From the text of `ostler.yaml` to a project, with every problem of the file reported at once."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from typing import cast

from pydantic import ValidationError

from ostler.model.errors import Finding, ManifestError
from ostler.model.json import JsonMapping, JsonObject, JsonValue
from ostler.model.manifest import API_VERSION
from ostler.model.projects import PROJECT_KIND, Project, ProjectServiceSpec
from ostler.rules.loading.manifest_schema import DIALECT
from ostler.rules.templates.template import optional_names, referenced_names, template_syntax_errors
from ostler.rules.text.model_findings import finding_at, model_findings
from ostler.rules.text.schema_shape import SchemaShape
from ostler.rules.text.yaml_source import Document, read_documents

TEMPLATE_ROOTS = ("services", "project", "env")
"""What templates in a project may name."""


@dataclass(frozen=True, slots=True)
class LoadedProject:
    """One `ostler.yaml` as loaded.

    Attributes:
        project: its value.
        file: its path as the user knows it.
        document: the values with their places, for what is found later.
        order: the services' names, each after what it needs.
    """

    project: Project
    file: str
    document: Document
    order: tuple[str, ...]

    def needs(self, name: str) -> dict[str, str]:
        """Return what service `name` needs: names and conditions, those that only its templates name included."""
        return needs_of(self.project.services[name])


def needs_of(spec: ProjectServiceSpec) -> dict[str, str]:
    """Return the services that must be there before `spec` can be made, with their conditions."""
    named = dict.fromkeys(_services_named(spec), "started")
    return named | {name: need.condition for name, need in spec.depends_on.items()}


def load_project(text: str, file: str = "<text>") -> LoadedProject:
    """Return the project in `text`, one YAML document or JSON object.

    Raises:
        ManifestError: with all findings, each with file, line, column, a rule id and, where known, a fix.
    """
    documents, findings = read_documents(text, file)
    if findings:
        raise ManifestError(findings, what=file)
    if len(documents) != 1:
        message = f"a project is one document, this has {len(documents)}"
        raise ManifestError([Finding(message, file, 1, 1, "bad-value", fix=_HEAD)], what=file)
    [document] = documents
    content: JsonValue = document.value
    if not isinstance(content, Mapping):
        raise ManifestError([finding_at(document, (), "bad-type", "a project is a mapping", _HEAD)], what=file)
    findings = _identity_findings(document, cast("JsonMapping", content))
    if findings:
        raise ManifestError(findings, what=file)
    try:
        project = Project.model_validate(document.value, strict=True)
    except ValidationError as error:
        findings = list(model_findings(document, error.errors(include_url=False), _shape()))
        findings.sort(key=lambda finding: (finding.line, finding.column))
        raise ManifestError(findings, what=file) from None
    findings = [
        *_template_findings(document, project),
        *_need_findings(document, project),
        *_port_findings(document, project),
    ]
    order: tuple[str, ...] = ()
    if not findings:
        try:
            order = tuple(
                TopologicalSorter({n: needs_of(s).keys() for n, s in project.services.items()}).static_order()
            )
        except CycleError as error:
            path = " -> ".join(reversed(cast("list[str]", error.args[1])))
            place = ("services", cast("list[str]", error.args[1])[0])
            message = f"the services need each other in a circle: {path}"
            fix = "remove one dependency of the circle"
            findings.append(finding_at(document, place, "dependency-cycle", message, fix, at_key=True))
    if findings:
        raise ManifestError(sorted(findings, key=lambda finding: (finding.line, finding.column)), what=file)
    return LoadedProject(project, file, document, order)


def project_json_schema() -> JsonObject:
    """Return the JSON Schema (draft 2020-12) of `ostler.yaml`, made from the models, for editors."""
    schema: JsonObject = Project.model_json_schema(by_alias=True, mode="validation")
    service = schema["$defs"]["ProjectServiceSpec"]["properties"]
    service["restartPolicy"]["anyOf"] = [
        {"enum": ["never", "on-failure", "always"], "type": "string"},
        *service["restartPolicy"]["anyOf"],
    ]
    condition = schema["$defs"]["NeedSpec"]["properties"]["condition"]
    service["dependsOn"] = {
        "anyOf": [
            {"type": "string"},
            {"type": "array", "items": {"type": "string"}},
            {
                "type": "object",
                "additionalProperties": {"anyOf": [{"$ref": "#/$defs/NeedSpec"}, condition, {"type": "null"}]},
            },
        ],
        "title": "Depends On",
    }
    for key in ("envFile", "watch"):
        service[key] = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}], "title": key}
    scalar = {"anyOf": [{"type": kind} for kind in ("string", "number", "boolean", "null")]}
    service["env"] = {"type": "object", "additionalProperties": scalar, "title": "Env"}
    return {"$schema": DIALECT, **schema, "title": "Ostler Project"}


@lru_cache(maxsize=1)
def _shape() -> SchemaShape:
    return SchemaShape(project_json_schema(), "ostler.yaml")


_HEAD = f"begin with 'apiVersion: {API_VERSION}', 'kind: {PROJECT_KIND}' and 'services:'"


def _identity_findings(document: Document, value: JsonMapping) -> list[Finding]:
    findings: list[Finding] = []
    for key, wanted, rule in (("apiVersion", API_VERSION, "unknown-version"), ("kind", PROJECT_KIND, "unknown-kind")):
        if key in value and value[key] != wanted:
            message = f"{key} {value[key]!r} is not that of a project"
            findings.append(finding_at(document, (key,), rule, message, f"write '{key}: {wanted}'"))
    return findings


def _services_named(spec: ProjectServiceSpec) -> set[str]:
    """Return the services whose outputs the templates of `spec` name."""
    values: JsonValue = {"args": spec.args, "env": dict(spec.env)}
    names = referenced_names(values) | optional_names(values)
    return {name[1] for name in names if name[0] == "services" and len(name) > 1}


def _template_findings(document: Document, project: Project) -> Iterator[Finding]:
    for name, spec in project.services.items():
        for part, value in (("args", spec.args), ("env", dict(spec.env))):
            base = ("services", name, part)
            errors = template_syntax_errors(value)
            for path, message, _line in errors:
                yield finding_at(document, (*base, *path), "template-syntax", message)
            if errors:
                continue
            for used in sorted(referenced_names(value) | optional_names(value)):
                if used[0] not in TEMPLATE_ROOTS:
                    message = f"{'.'.join(used)!r} is not known in a project"
                    fix = "templates here see services.NAME.outputs, project.name, project.directory and env"
                    yield finding_at(document, base, "unknown-name", message, fix)


def _need_findings(document: Document, project: Project) -> Iterator[Finding]:
    for name, spec in project.services.items():
        for needed in needs_of(spec):
            explicit = needed in spec.depends_on
            place = ("services", name, "dependsOn", needed) if explicit else ("services", name, "args")
            if needed not in project.services:
                close = difflib.get_close_matches(needed, project.services, n=1)
                fix = f"did you mean {close[0]!r}?" if close else "add it under 'services'"
                yield finding_at(document, place, "unknown-name", f"there is no service {needed!r} here", fix)
            elif spec.shared and not project.services[needed].shared:
                message = f"{name!r} is shared by all worktrees and needs {needed!r}, which each has for itself"
                yield finding_at(document, place, "no-effect", message, f"give {needed!r} 'shared: true', too")


def _port_findings(document: Document, project: Project) -> Iterator[Finding]:
    """Yield a finding for each fixed port that a second service asks for."""
    taken: dict[int, str] = {}
    for name, spec in project.services.items():
        port = spec.args.get("port")
        if not isinstance(port, int) or isinstance(port, bool) or port == 0:
            continue
        if port in taken:
            message = f"port {port} is asked for by {taken[port]!r} and {name!r}"
            fix = "leave the port out: each service gets its own and keeps it"
            yield finding_at(document, ("services", name, "args", "port"), "bad-value", message, fix)
        taken.setdefault(port, name)
