"""Classes that depend on each other: they are there, take these args, and do not go in circles."""

from collections.abc import Iterator, Mapping

from ostler.model.json import KeyPath
from ostler.model.manifest import DependencySpec, ServiceClass
from ostler.rules.calls.arguments import args_json_schema
from ostler.rules.checking.call_check import mismatch_violations, problem_violations
from ostler.rules.checking.class_graph import ClassEdge, class_edges, unmeetable, way_back
from ostler.rules.checking.expressions import shape_of_value
from ostler.rules.checking.fitting import near, object_mismatches
from ostler.rules.checking.names import CONFIG
from ostler.rules.checking.scopes import ClassScopes
from ostler.rules.text.findings import Violation


def dependency_violations(
    service_class: ServiceClass, scopes: ClassScopes, classes: Mapping[str, ServiceClass]
) -> Iterator[Violation]:
    """Yield what is wrong with the dependencies of the class, given all classes there are."""
    for index, dependency in enumerate(service_class.config.dependencies):
        path: KeyPath = (*CONFIG, "dependencies", index)
        names = scopes.without_dependencies
        if isinstance(dependency, str):
            yield from problem_violations(path, shape_of_value(dependency, names).problems)
            continue
        for key, value in (("name", dependency.name), ("when", dependency.when)):
            yield from problem_violations((*path, key), shape_of_value(value, names).problems)
        if dependency.service_class_name is not None:
            yield from _class_violations(path, dependency, scopes, classes)
    yield from _circle_violations(service_class, classes)


def unknown_class(path: KeyPath, name: str, classes: Mapping[str, ServiceClass]) -> Violation:
    """Return what is wrong with the name of a class, at `path`, that is not among `classes`."""
    close = near(name, list(classes))
    fix = f"did you mean {close!r}?" if close else f"there are: {', '.join(sorted(classes)[:12])}"
    return Violation(path, "unknown-class", f"there is no ServiceClass {name!r}", fix)


def _class_violations(
    path: KeyPath,
    dependency: DependencySpec,
    scopes: ClassScopes,
    classes: Mapping[str, ServiceClass],
) -> Iterator[Violation]:
    name = str(dependency.service_class_name)
    target = classes.get(name)
    typed = shape_of_value(dependency.args, scopes.without_dependencies)
    yield from problem_violations((*path, "args"), typed.problems)
    if target is None:
        yield unknown_class((*path, "serviceClassName"), name, classes)
        return
    if never := unmeetable(dependency.condition, target):
        message = f"a service of class {name!r} {never.text}"
        yield Violation((*path, "condition"), "never-true", message, never.fix)
    if dependency.create:
        schema = args_json_schema(target.spec.args, additional=target.spec.additional_args)
        found = object_mismatches(typed.shape, schema, f"the args of class {name!r}")
        place = (*path, "args") if "args" in dependency.model_fields_set else (*path, "serviceClassName")
        yield from mismatch_violations(place, found)


def _circle_violations(service_class: ServiceClass, classes: Mapping[str, ServiceClass]) -> Iterator[Violation]:
    known = {**classes, service_class.name: service_class}

    def edges(name: str) -> Iterator[ClassEdge]:
        if name in known:
            yield from (edge for edge in class_edges(known[name]) if edge.need.when is None)

    way = way_back(service_class.name, edges)
    if way:
        circle = " -> ".join((service_class.name, *(edge.target for edge in way)))
        message = f"the classes depend on each other in a circle: {circle}"
        place = (*CONFIG, "dependencies", way[0].index)
        yield Violation(place, "dependency-cycle", message, "remove one dependency from it")
