"""Dependencies among classes: cycles that would create each other forever, missing ones, conditions never met."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from msgspec import Struct

from ostler.model.errors import Finding
from ostler.model.manifest import DependencySpec, HealthCheckSpec, ServiceClass
from ostler.model.near_names import did_you_mean
from ostler.rules.checking.names import CONFIG
from ostler.rules.text.findings import Violation, finding_of
from ostler.rules.text.yaml_source import Document


class ClassEdge(Struct, frozen=True):
    """A dependency of one class on another, and its place in the list."""

    target: str
    index: int
    need: DependencySpec


def class_edges(service_class: ServiceClass) -> Iterator[ClassEdge]:
    """Yield the dependencies of a class on other classes."""
    for index, need in enumerate(service_class.config.dependencies):
        if isinstance(need, DependencySpec) and need.service_class_name is not None:
            yield ClassEdge(need.service_class_name, index, need)


def way_back(start: str, edges: Callable[[str], Iterable[ClassEdge]]) -> list[ClassEdge]:
    """Return a shortest way from the class `start` to itself along `edges` (by a class's name), empty without one."""
    ways = [[edge] for edge in edges(start)]
    seen: set[str] = set()
    for way in ways:  # grows while it is walked: breadth first
        target = way[-1].target
        if target == start:
            return way
        if target not in seen:
            seen.add(target)
            ways += [[*way, edge] for edge in edges(target)]
    return []


def cycle_findings(classes: Mapping[str, tuple[ServiceClass, Document]]) -> Iterator[Finding]:
    """Yield a finding for each circle of `serviceClassName` dependencies with `create: true`.

    One that only holds `when` something is true is a warning: a create with args that close it is refused.
    """
    edges = {
        name: [edge for edge in class_edges(service_class) if edge.need.create]
        for name, (service_class, _) in classes.items()
    }
    reported: set[frozenset[str]] = set()
    for name in sorted(edges):
        way = way_back(name, lambda name: edges.get(name, ()))
        circle = frozenset(edge.target for edge in way)
        if not way or circle in reported:
            continue
        reported.add(circle)
        path = " -> ".join((name, *(edge.target for edge in way)))
        message = f"the dependencies of class {name!r} form a cycle: {path}"
        fix = "remove one 'create: true' from it, or give that dependency a 'when'"
        place = (*CONFIG, "dependencies", way[0].index, "serviceClassName")
        is_certain = all(edge.need.when is None and edge.need.required for edge in way)
        violation = Violation(place, "class-cycle", message, fix, is_certain=is_certain)
        yield finding_of(violation, classes[name][1])


def missing_class_findings(
    classes: Mapping[str, tuple[ServiceClass, Document]], known: Iterable[str]
) -> Iterator[Finding]:
    """Yield a finding for each dependency on a class that is not among `known`."""
    names = sorted(known)
    for name, (service_class, document) in classes.items():
        for edge in class_edges(service_class):
            if edge.target in names:
                continue
            message = f"class {name!r} depends on class {edge.target!r}, which does not exist"
            fix = did_you_mean(edge.target, names, "add that class, or correct the name")
            place = (*CONFIG, "dependencies", edge.index, "serviceClassName")
            violation = Violation(place, "unknown-class", message, fix, is_certain=edge.need.required)
            yield finding_of(violation, document)


def has_class_dependencies(service_class: ServiceClass) -> bool:
    """Whether the class depends on another class by its name."""
    return any(True for _ in class_edges(service_class))


class Unmeetable(NamedTuple):
    """A condition that is never met: why, as a clause, and how to correct it."""

    condition: str
    why: str
    fix: str

    @property
    def text(self) -> str:
        """What never happens and why, after the name of a service: `never becomes healthy: its …`."""
        becomes = "completes" if self.condition == "completed" else f"becomes {self.condition}"
        return f"never {becomes}: {self.why}"


def unmeetable(
    condition: str, service_class: ServiceClass, health_check: HealthCheckSpec | None = None
) -> Unmeetable | None:
    """Return why no service of a class is ever as `condition` says; None if one can be.

    Args:
        condition: `started`, `healthy` or `completed`.
        service_class: the class.
        health_check: used instead of the health settings of the class.
    """
    config = service_class.config
    if condition == "completed" and config.completed is None:
        fix = "write 'started' or 'healthy', or use a class of jobs, such as job"
        return Unmeetable(condition, f"its class {service_class.name!r} has no 'completed'", fix)
    # Without a tool for it, the health of a service is that of its server.
    if condition == "healthy" and not (health_check or config.health_rules).enabled:
        return Unmeetable(condition, "its healthCheck.enabled is false", "write 'started', or remove that")
    return None
