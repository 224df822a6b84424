"""Loads a project from `ostler.yaml`, and reports every problem of the file at once."""

import copy
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from typing import Final, cast

from msgspec import Struct
from msgspec.structs import replace
from pydantic import ValidationError

from ostler.model.errors import Finding, ManifestError
from ostler.model.json import JsonMapping, JsonObject, JsonValue, KeyPath
from ostler.model.label_names import MAX_SERVICE_NAME
from ostler.model.manifest import API_VERSION, ServiceClass
from ostler.model.near_names import did_you_mean
from ostler.model.projects import PROJECT_KIND, Project, ProjectServiceSpec
from ostler.rules.checking.class_graph import unmeetable
from ostler.rules.loading.documents import SingleDocument, only_document
from ostler.rules.loading.manifest_schema import DIALECT, allow_short_idle_stop
from ostler.rules.secrets.secret_marks import SECRET_FORMS, reference_problems
from ostler.rules.templates.template import optional_names, referenced_names, template_syntax_errors
from ostler.rules.text.findings import Findings, Violation, by_place
from ostler.rules.text.model_violations import model_violations
from ostler.rules.text.schema_shape import SchemaShape
from ostler.rules.text.yaml_source import Document

TEMPLATE_ROOTS = ("services", "project", "env")
"""What templates in a project may name."""


class LoadedProject(Struct, frozen=True):
    """One `ostler.yaml` as loaded.

    Attributes:
        project: its value.
        file: its path as the user knows it.
        document: the values with their places, for what is found later.
        order: the services' names, each after what it needs.
        needed: by service, the names of what it needs, with their conditions.
    """

    project: Project
    file: str
    document: Document
    order: tuple[str, ...]
    needed: Mapping[str, dict[str, str]]

    def needs(self, name: str) -> dict[str, str]:
        """Return what service `name` needs: names and conditions, those that only its templates name included."""
        return self.needed[name]


def needs_of(spec: ProjectServiceSpec) -> dict[str, str]:
    """Return the services that must run before `spec` can be made, with their conditions.

    Their order is the same in every run of Ostler: what is kept of a service is compared with it.
    """
    named = dict.fromkeys(sorted(_services_named(spec)), "started")
    return named | {name: need.condition for name, need in spec.depends_on.items()}


_SERVICE: Final = 2
"""Keys that lead to a service: `services` and its name."""

_A_COMMAND = "'class: command' ('dev-server' for what has a URL, 'job' for what ends), and the command under 'args'"
_ARG = "write {0!r} under 'args', if the class takes it"
_ELSEWHERE: Final = {
    "command": f"write {_A_COMMAND}",
    "environment": "write 'env'",
    "image": "name a class that runs containers, such as podman-container, and write 'image' under 'args'",
    "restart": "write 'restartPolicy'",
    **dict.fromkeys(("cwd", "directory", "workdir", "workingDir", "working_dir"), _ARG.format("directory")),
    **dict.fromkeys(("port", "ports"), _ARG.format("port")),
}
"""Keys of services in files of other tools, each with what it is here."""


def load_project(text: str, file: str = "<text>") -> LoadedProject:
    """Return the project in `text`, one YAML document or JSON object.

    Raises:
        ManifestError: with all findings, each with file, line, column, a rule id and, where known, a fix.
    """
    loaded, findings = examine_project(text, file)
    if loaded is None or findings:
        raise ManifestError(findings, what=file)
    return loaded


def examine_project(text: str, file: str = "<text>") -> tuple[LoadedProject | None, list[Finding]]:
    """Return what can be read of the project in `text`, and all findings, so that a person fixes them in one go.

    What has findings is left out of the project: a key, or a whole service. None if nothing of it can be read.

    Raises:
        ManifestError: it is not one document of a project.
    """
    document = only_document(text, file, _SINGLE)
    project, violations = _read(document)
    findings = Findings(document)
    findings.add(violations)
    if project is None:
        return None, by_place(findings.errors)
    findings.add(_template_violations(project))
    findings.add(_reference_violations(project))
    findings.add(_need_violations(project, _names_in(document.value)))
    order: tuple[str, ...] = ()
    needed = {
        name: {other: condition for other, condition in needs_of(spec).items() if other in project.services}
        for name, spec in project.services.items()
    }
    try:
        order = tuple(TopologicalSorter(needed).static_order())
    except CycleError as error:
        circle = cast("list[str]", error.args[1])
        message = f"the services need each other in a circle: {' -> '.join(reversed(circle))}"
        fix = "remove one dependency of the circle"
        findings.add([Violation(("services", circle[0]), "dependency-cycle", message, fix, at_key=True)])
    return LoadedProject(project, file, document, order, needed), by_place(findings.errors)


def _read(document: Document) -> tuple[Project | None, list[Violation]]:
    """Return the project without what does not fit its model, and what that is."""
    try:
        return Project.model_validate(document.value, strict=True, context=""), []
    except ValidationError as error:
        found = model_violations(document.value, error.errors(include_url=False), _shape())
        violations = [_as_of_others(violation) for violation in found]
    rest = copy.deepcopy(document.value)
    for violation in violations:
        _cut(rest, violation.path)
    try:
        return Project.model_validate(rest, strict=True, context=""), violations
    except ValidationError:
        return None, violations


def _as_of_others(violation: Violation) -> Violation:
    """Return the violation with the way in which Ostler says what was written as other tools have it."""
    depth = len(violation.path) if violation.path[:1] == ("services",) else 0
    fix = ""
    if depth == _SERVICE and violation.rule == "bad-type":
        fix = f"give it keys: {_A_COMMAND}"
    elif depth == _SERVICE + 1 and violation.rule == "unknown-key":
        fix = _ELSEWHERE.get(str(violation.path[-1]), "")
    return replace(violation, fix=fix) if fix else violation


def _cut(value: JsonValue, path: KeyPath) -> None:
    """Remove what is at `path` of a project; without its class, or all of its args, a service is removed."""
    whole = path[:2] if path[2:3] in ((), ("class",), ("args",)) else path[:3]
    for part in whole[:-1]:
        value = cast("JsonObject", value).get(str(part)) if isinstance(value, dict) else None
    if isinstance(value, dict):
        cast("JsonObject", value).pop(str(whole[-1]), None)


def _names_in(value: JsonValue) -> Collection[str]:
    """Return the names of all services that are written, also of those that cannot be read."""
    services = cast("JsonObject", value).get("services") if isinstance(value, dict) else None
    return list(cast("JsonObject", services)) if isinstance(services, dict) else ()


def project_json_schema() -> JsonObject:
    """Return the JSON Schema (draft 2020-12) of `ostler.yaml`, made from the models, for editors."""
    schema: JsonObject = Project.model_json_schema(by_alias=True, mode="validation")
    service = schema["$defs"]["ProjectServiceSpec"]["properties"]
    service["restartPolicy"]["anyOf"] = [
        {"enum": ["never", "on-failure", "always"], "type": "string"},
        *service["restartPolicy"]["anyOf"],
    ]
    allow_short_idle_stop(schema, "ProjectServiceSpec")
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
_SINGLE = SingleDocument(PROJECT_KIND, "a project", "a project", _HEAD)


def _services_named(spec: ProjectServiceSpec) -> set[str]:
    """Return the services whose outputs the templates of `spec` name."""
    values: JsonValue = {"args": spec.args, "env": dict(spec.env)}
    names = referenced_names(values) | optional_names(values)
    return {name[1] for name in names if name[0] == "services" and len(name) > 1}


def _template_violations(project: Project) -> Iterator[Violation]:
    for name, spec in project.services.items():
        for part, value in (("args", spec.args), ("env", dict(spec.env))):
            base = ("services", name, part)
            errors = template_syntax_errors(value)
            for path, message, _line in errors:
                yield Violation((*base, *path), "template-syntax", message)
            if errors:
                continue
            for used in sorted(referenced_names(value) | optional_names(value)):
                if used[0] not in TEMPLATE_ROOTS:
                    message = f"{'.'.join(used)!r} is not known in a project"
                    fix = "templates here see services.NAME.outputs, project.name, project.directory and env"
                    yield Violation(base, "unknown-name", message, fix)


def _reference_violations(project: Project) -> Iterator[Violation]:
    for name, spec in project.services.items():
        for part, value in (("args", spec.args), ("env", dict(spec.env))):
            for path, text in reference_problems(value):
                message = f"{text} does not say where a secret is"
                yield Violation(("services", name, part, *path), "bad-value", message, f"write {SECRET_FORMS}")


def _need_violations(project: Project, names: Collection[str]) -> Iterator[Violation]:
    for name, spec in project.services.items():
        for needed in needs_of(spec):
            explicit = needed in spec.depends_on
            place = ("services", name, "dependsOn", needed) if explicit else ("services", name, "args")
            if needed not in names:
                fix = _fix_of_need(needed, names, in_template=not explicit)
                yield Violation(place, "unknown-name", f"there is no service {needed!r} here", fix)
            elif spec.shared and needed in project.services and not project.services[needed].shared:
                message = f"{name!r} is shared by all worktrees and needs {needed!r}, which each has for itself"
                yield Violation(place, "no-effect", message, f"give {needed!r} 'shared: true', too")


def hopeless_needs(
    name: str, project: Project, class_called: Callable[[str], ServiceClass | None]
) -> Iterator[Violation]:
    """Yield each condition of the dependencies of service `name` that a service of that class can never meet."""
    for needed, need in project.services[name].depends_on.items():
        other = project.services.get(needed)
        found = None if other is None else class_called(other.class_name)
        if other is None or found is None:
            continue  # that is what is wrong
        if never := unmeetable(need.condition, found, other.health_check):
            place = ("services", name, "dependsOn", needed)
            yield Violation(place, "never-true", f"{needed!r} {never.text}", never.fix)


def _fix_of_need(needed: str, services: Collection[str], *, in_template: bool) -> str:
    """Return what to write instead of the name of a service that does not exist."""
    cut = next((other for other in services if other.startswith(f"{needed}-")), None)
    if in_template and cut is not None:
        return f"write services['{cut}'] for {cut!r}: '-' means minus in a template"
    return did_you_mean(needed, list(services), "add it under 'services'")


def names_too_long(project: Project, full_name: Callable[[str], str]) -> Iterator[Violation]:
    """Yield each service whose name is too long together with the names of its project and worktree."""
    for name in project.services:
        full = full_name(name)
        if len(full) > MAX_SERVICE_NAME:
            message = f"with its project, {name!r} is named {full!r}: {len(full)} characters of {MAX_SERVICE_NAME}"
            fix = "shorten it, or give the project a short 'name'"
            yield Violation(("services", name), "bad-value", message, fix, at_key=True)


def ports_asked_twice(services: Mapping[str, JsonMapping]) -> Iterator[Violation]:
    """Yield each fixed port that a service and an earlier one with the same host ask for; `services` has their args."""
    taken: dict[tuple[str, str], str] = {}
    for name, args in services.items():
        place = str(args.get("host", "")), str(args.get("port", "")).strip()
        if not place[1].isdecimal() or not place[1].strip("0"):
            continue
        if place in taken:
            message = f"port {place[1]} is asked for by {taken[place]!r} and {name!r}"
            fix = "leave the port out: each service gets its own and keeps it"
            yield Violation(("services", name, "args", "port"), "bad-value", message, fix)
        taken.setdefault(place, name)
