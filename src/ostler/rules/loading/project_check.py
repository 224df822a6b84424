"""The check of a whole project: its services against the classes that they are made from."""

from collections.abc import Collection, Iterator, Mapping

from ostler.model.errors import Finding
from ostler.model.json import KeyPath
from ostler.model.manifest import ServiceClass
from ostler.model.projects import ProjectServiceSpec
from ostler.rules.calls.arguments import args_json_schema
from ostler.rules.checking.call_check import mismatch_violations, problem_violations
from ostler.rules.checking.class_dependencies import unknown_class
from ostler.rules.checking.expressions import shape_of_value
from ostler.rules.checking.fitting import object_mismatches
from ostler.rules.checking.narrowing import Names
from ostler.rules.checking.scopes import ClassScopes
from ostler.rules.checking.shapes import OBJECT, TEXT, Shape, written_object
from ostler.rules.checking.tool_lists import KnownTools
from ostler.rules.loading.projects import LoadedProject, hopeless_needs, ports_asked_twice
from ostler.rules.text.findings import Findings, Violation, by_place


def check_project(
    loaded: LoadedProject,
    tools: KnownTools | None,
    classes: Mapping[str, ServiceClass],
    only: Collection[str] | None = None,
) -> list[Finding]:
    """Return what is wrong with what could be read of a project, given its classes, by place.

    Args:
        loaded: the project with the places of its parts.
        tools: what is known about downstream servers, if that is asked for.
        classes: every class that there is.
        only: the services to check; else all.
    """
    findings, tools = Findings(loaded.document), tools or KnownTools()
    services = loaded.project.services
    chosen = {name: spec for name, spec in services.items() if only is None or name in only}
    outputs = {
        name: _service_shape(classes.get(services[name].class_name), tools, classes)
        for name in {needed for chosen_name in chosen for needed in loaded.needs(chosen_name)}
    }
    project = written_object({"name": TEXT, "id": TEXT, "directory": TEXT})
    for name, spec in chosen.items():
        seen = written_object({other: outputs[other] for other in loaded.needs(name)})
        names: Names = {"services": seen, "project": project, "env": OBJECT}
        findings.add(_service_violations(("services", name), spec, names, classes))
        findings.add(hopeless_needs(name, loaded.project, classes.get))
    if only is None:
        findings.add(ports_asked_twice({name: spec.args for name, spec in services.items() if spec.enabled}))
    return by_place(findings)


def _service_shape(service_class: ServiceClass | None, tools: KnownTools, classes: Mapping[str, ServiceClass]) -> Shape:
    """Return what templates see of a service of that class."""
    if service_class is None:
        return written_object({"name": TEXT, "outputs": OBJECT})
    made = ClassScopes(service_class, tools, classes).service_outputs
    return written_object({"name": TEXT, "outputs": written_object(made)})


def _service_violations(
    path: KeyPath, spec: ProjectServiceSpec, names: Names, classes: Mapping[str, ServiceClass]
) -> Iterator[Violation]:
    typed = shape_of_value(spec.args, names)
    yield from problem_violations((*path, "args"), typed.problems)
    yield from problem_violations((*path, "env"), shape_of_value(dict(spec.env), names).problems)
    service_class = classes.get(spec.class_name)
    if service_class is None:
        yield unknown_class((*path, "class"), spec.class_name, classes)
        return
    schema = args_json_schema(service_class.spec.args, additional=service_class.spec.additional_args)
    found = object_mismatches(typed.shape, schema, f"the args of class {spec.class_name!r}")
    yield from mismatch_violations((*path, "args") if "args" in spec.model_fields_set else (*path, "class"), found)
