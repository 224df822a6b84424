"""Dependencies among classes: cycles of classes that would create each other forever, and missing classes."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ostler.model.errors import Finding
from ostler.model.manifest import DependencySpec, ServiceClass
from ostler.rules.checking.names import CONFIG
from ostler.rules.text.findings import Violation, finding_of
from ostler.rules.text.yaml_source import Document


@dataclass(frozen=True, slots=True)
class _Edge:
    """A dependency of one class on another: its place in the list, and whether it always holds."""

    target: str
    index: int
    is_made: bool
    is_certain: bool


def cycle_findings(classes: Mapping[str, tuple[ServiceClass, Document]]) -> Iterator[Finding]:
    """Yield a finding for each circle of `serviceClassName` dependencies with `create: true`.

    One that only holds `when` something is true is a warning: a create with args that close it is refused.
    """
    edges = {
        name: [edge for edge in _edges(service_class) if edge.is_made] for name, (service_class, _) in classes.items()
    }
    reported: set[frozenset[str]] = set()
    for name in sorted(edges):
        way = _way_back(name, edges)
        if way is None or frozenset(edge.target for edge in way) in reported:
            continue
        reported.add(frozenset(edge.target for edge in way))
        path = " -> ".join((name, *(edge.target for edge in way)))
        message = f"the dependencies of class {name!r} form a cycle: {path}"
        fix = "remove one 'create: true' from it, or give that dependency a 'when'"
        place = (*CONFIG, "dependencies", way[0].index, "serviceClassName")
        violation = Violation(place, "class-cycle", message, fix, is_certain=all(edge.is_certain for edge in way))
        yield finding_of(violation, classes[name][1])


def missing_class_findings(
    classes: Mapping[str, tuple[ServiceClass, Document]], known: Iterable[str]
) -> Iterator[Finding]:
    """Yield a finding for each dependency on a class that is not among `known`."""
    names = sorted(known)
    for name, (service_class, document) in classes.items():
        for edge in _edges(service_class):
            if edge.target in names:
                continue
            close = difflib.get_close_matches(edge.target, names, n=1)
            message = f"class {name!r} depends on class {edge.target!r}, which does not exist"
            fix = f"did you mean {close[0]!r}?" if close else "add that class, or correct the name"
            place = (*CONFIG, "dependencies", edge.index, "serviceClassName")
            yield finding_of(Violation(place, "unknown-class", message, fix), document)


def has_class_dependencies(service_class: ServiceClass) -> bool:
    """Whether the class depends on another class by its name."""
    return any(True for _ in _edges(service_class))


def _edges(service_class: ServiceClass) -> Iterator[_Edge]:
    for index, dependency in enumerate(service_class.config.dependencies):
        if isinstance(dependency, DependencySpec) and dependency.service_class_name is not None:
            yield _Edge(
                dependency.service_class_name,
                index,
                is_made=dependency.create,
                is_certain=dependency.when is None and dependency.required,
            )


def _way_back(start: str, edges: Mapping[str, list[_Edge]]) -> list[_Edge] | None:
    """Return a shortest way from `start` to itself."""
    ways: list[list[_Edge]] = [[edge] for edge in edges[start]]
    seen: set[str] = set()
    for way in ways:  # grows while it is walked: breadth first
        target = way[-1].target
        if target == start:
            return way
        if target not in seen:
            seen.add(target)
            ways += [[*way, edge] for edge in edges.get(target, ())]
    return None
