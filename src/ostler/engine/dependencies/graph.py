"""The dependency graph: which service depends on which, by which name and condition; what is missing or circular."""

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from msgspec import Struct

from ostler.engine.dependencies.jobs import hopelessness
from ostler.engine.instances.instance import ServiceInstance, instances_in
from ostler.engine.instances.state import InstanceState
from ostler.engine.services.registry import ServiceRegistry
from ostler.engine.services.service import Service
from ostler.engine.services.views import CREATED_FOR, NAMESPACE_LABEL, in_namespace
from ostler.model.errors import DependencyError, OstlerError
from ostler.model.json import JsonObject
from ostler.model.label_names import is_label
from ostler.model.manifest import DependencySpec
from ostler.rules.templates.template import render
from ostler.rules.text.work_budget import bounded_work

MakeVirtual = Callable[[str, str, JsonObject, InstanceState], ServiceInstance]
"""`make(class_name, name, args, user)`: the instance that would be made for `user`, neither stored nor registered."""

_MAX_DEPTH = 32
_NAME_LENGTH = 63


def reached(names: Iterable[str], next_to: Callable[[str], Iterable[str]]) -> set[str]:
    """Return `names` and every name that can be reached from them through `next_to`."""
    found: set[str] = set()
    rest = list(names)
    while rest:
        name = rest.pop()
        if name not in found:
            found.add(name)
            rest += next_to(name)
    return found


class ResolvedDependency(Struct, frozen=True):
    """One dependency of one instance with its templates rendered."""

    spec: DependencySpec
    name: str
    alias: str
    args: JsonObject


class DependencyMaker(Protocol):
    """Makes dependencies on demand."""

    async def create_dependency(self, dependency: ResolvedDependency, user: InstanceState) -> Service:
        """Make an instance for `user`, not started."""
        ...

    async def fitting_dependency(
        self, made: ServiceInstance, dependency: ResolvedDependency, user: InstanceState
    ) -> Service:
        """Return the dependency `made` as `user` needs it."""
        ...


class DependencyGraph:
    """Resolves dependencies to names, finds cycles and gaps, and knows the dependents of a service."""

    def __init__(self, registry: ServiceRegistry, make_virtual: MakeVirtual) -> None:
        self._registry = registry
        self._make_virtual = make_virtual
        self._users: dict[str, set[str]] = {}
        self._needs: dict[str, list[str]] = {}

    # -- resolving -----------------------------------------------------------------------------------------

    def resolve(self, instance: InstanceState) -> list[ResolvedDependency]:
        """Return the dependencies of `instance` that hold now, with names and args rendered.

        Raises:
            TemplateError: a template of a dependency fails.
        """
        if not instance.service_class.config.dependencies:
            return []
        with bounded_work():
            return self._resolved(instance)

    def _resolved(self, instance: InstanceState) -> list[ResolvedDependency]:
        resolved: list[ResolvedDependency] = []
        entries = instance.service_class.config.dependencies
        names = instance.template_names()
        for entry in entries:
            spec = DependencySpec.model_validate({"name": entry}) if isinstance(entry, str) else entry
            if spec.when is not None and not _is_true(render(spec.when, names)):
                continue
            name = str(render(spec.name, names)) if spec.name is not None else self._name_of_class(instance, spec)
            if spec.create:
                name = self._name_to_make(instance, name)
            alias = spec.alias or (spec.service_class_name or "").replace("-", "_") or name.replace("-", "_")
            resolved.append(ResolvedDependency(spec, name, alias, render(spec.args, names)))
        return resolved

    def _name_to_make(self, instance: InstanceState, name: str) -> str:
        """Return the full name of a dependency that is made on demand, or `name` if only that exists."""
        full = in_namespace(name, str(instance.record.labels.get(NAMESPACE_LABEL, "")))
        return full if full in self._registry or name not in self._registry else name

    def chosen(self, instance: InstanceState) -> list[str]:
        """Return the dependencies of `instance` whose names its class leaves to its args.

        Raises:
            TemplateError: a template of a dependency fails.
        """
        return [item.name for item in self.resolve(instance) if item.spec.name not in (None, item.name)]

    def _name_of_class(self, instance: InstanceState, spec: DependencySpec) -> str:
        """Return the name of the instance that a dependency on a class means."""
        assert spec.service_class_name is not None
        if spec.create:
            return _derived_name(instance.name, spec.alias or spec.service_class_name)
        candidates = [
            service
            for service in instances_in(self._registry)
            if service.record.class_name == spec.service_class_name
            and service.name != instance.name
            and _is_within_reach(instance, service)
        ]
        bound = [service.name for service in candidates if service.name in instance.dependencies]
        running = [service.name for service in candidates if service.state.is_up]
        names = [*bound, *running, *(service.name for service in candidates)]
        return names[0] if names else spec.service_class_name

    # -- edges ---------------------------------------------------------------------------------------------

    def note(self, service: Service, dependencies: Iterable[str] | None = None) -> None:
        """Note what `service` depends on: the given names (else its own), and the servers that drive it."""
        names = list(service.dependencies) if dependencies is None else list(dependencies)
        if isinstance(service, InstanceState):
            service.set_dependencies(names)
            names += service.service_class.servers()
        for name in self._needs.get(service.name, ()):
            self._users.get(name, set()).discard(service.name)
        self._needs[service.name] = names
        for name in names:
            self._users.setdefault(name, set()).add(service.name)

    def forget(self, service: Service) -> list[ServiceInstance]:
        """Drop a service; return the instances that were made for it and that no one uses any more."""
        orphans: list[ServiceInstance] = []
        for name in self._needs.pop(service.name, []):
            users = self._users.get(name, set())
            users.discard(service.name)
            if not users:
                self._users.pop(name, None)
                orphan = self._registry.find(name)
                if isinstance(orphan, ServiceInstance) and CREATED_FOR in orphan.record.labels:
                    orphans.append(orphan)
        return orphans

    def orphans(self) -> list[ServiceInstance]:
        """Return the instances that were made on demand and that no one uses (left by a crash)."""
        made = (service for service in instances_in(self._registry) if CREATED_FOR in service.record.labels)
        return [service for service in made if not self._users.get(service.name)]

    def is_used(self, name: str, *, by_others_than: str = "") -> bool:
        """Whether any service depends directly on `name`."""
        return not self._users.get(name, set()) <= {by_others_than}

    def dependents(self, name: str) -> list[Service]:
        """Return the services that depend directly on `name`, by name."""
        users = self._users.get(name)
        if not users:
            return []
        found = [self._registry.find(user) for user in sorted(users)]
        return [service for service in found if service is not None]

    def all_dependents(self, name: str) -> list[Service]:
        """Return the services that depend on `name`, directly or through others."""
        names = reached(self._users.get(name, ()), lambda each: self._users.get(each, ()))
        found = [self._registry.find(user) for user in sorted(names - {name})]
        return [service for service in found if service is not None]

    # -- checks --------------------------------------------------------------------------------------------

    def check(self, instance: ServiceInstance) -> None:
        """Refuse an instance whose dependencies, as far as they can be followed, are missing or lead in a circle.

        Those that would be made on demand are followed too, with their args, so that nothing useless is made.

        Raises:
            DependencyError: naming the missing one, or the whole path of the cycle.
            OstlerError: a dependency's template or args do not fit.
        """
        self._follow(instance, (instance.name,), {(instance.record.class_name, instance.record.request_digest)})

    def _follow(self, instance: ServiceInstance, path: tuple[str, ...], made: set[tuple[str, str]]) -> None:
        for dependency in self.resolve(instance):
            spec, name = dependency.spec, dependency.name
            self._refuse_cycle(path, name)
            if (found := self._registry.find(name)) is not None:
                _refuse_hopeless(path, found, dependency)
                continue
            if not spec.create:
                if spec.required:
                    raise _missing(path, dependency)
                continue
            assert spec.service_class_name is not None
            try:
                virtual = self._make_virtual(spec.service_class_name, name, dependency.args, instance)
            except OstlerError as error:
                if not spec.required:
                    continue
                raise DependencyError(
                    f"service {path[0]!r} needs {' -> '.join((*path[1:], name))} (class "
                    f"{spec.service_class_name!r}), which cannot be made: {error.summary}",
                    service=path[0],
                    step="dependencies",
                    next_actions=error.next_actions,
                ) from error
            _refuse_hopeless(path, virtual, dependency)
            key = virtual.record.class_name, virtual.record.request_digest
            if key in made or len(path) >= _MAX_DEPTH:
                raise _cycle(path[0], (*path, name), f"; {key[0]!r} would be made for itself without an end")
            self._follow(virtual, (*path, name), made | {key})

    def _refuse_cycle(self, path: tuple[str, ...], name: str) -> None:
        """Refuse if `name`, or something that it is known to depend on, is on `path`."""
        rest: list[tuple[str, ...]] = [(*path, name)]
        seen: set[str] = set()
        while rest:
            way = rest.pop()
            if way[-1] in path:
                raise _cycle(path[0], way[path.index(way[-1]) :])
            if way[-1] in seen:
                continue
            seen.add(way[-1])
            service = self._registry.find(way[-1])
            if service is not None:
                rest += [(*way, needed) for needed in service.dependencies]

    def refuse_cycle(self, service: Service, dependencies: Iterable[str]) -> None:
        """Refuse a start of `service` that would wait for itself.

        Raises:
            DependencyError: with the path of the cycle.
        """
        for name in dependencies:
            self._refuse_cycle((service.name,), name)


def _refuse_hopeless(path: tuple[str, ...], service: Service, dependency: ResolvedDependency) -> None:
    error = hopelessness(service, dependency.spec.condition)
    if error is not None and dependency.spec.required:
        raise error.located(service=path[0], step="dependencies")


def _missing(path: Sequence[str], dependency: ResolvedDependency) -> DependencyError:
    spec = dependency.spec
    chain = f" (needed by {' <- '.join(reversed(path[:-1]))})" if len(path) > 1 else ""
    if spec.name is None:
        what = f"an instance of class {spec.service_class_name!r}, and there is none"
        fix = f"service_create one of class {spec.service_class_name!r} first"
    else:
        what = f"{dependency.name!r}, which does not exist"
        fix = f"create {dependency.name!r} first"
    return DependencyError(
        f"service {path[-1]!r} depends on {what}{chain}",
        service=path[0],
        step="dependencies",
        next_actions=(fix, "or give the dependency 'create: true'"),
    )


def _cycle(service: str, path: Sequence[str], more: str = "") -> DependencyError:
    return DependencyError(
        f"the dependencies of service {service!r} form a cycle: {' -> '.join(path)}{more}",
        service=service,
        step="dependencies",
        next_actions=("remove one dependency from the cycle",),
    )


def _is_within_reach(user: InstanceState, service: InstanceState) -> bool:
    """Whether a dependency of `user` on a class may mean `service`: not if they are in different namespaces."""
    namespaces = {one.record.labels.get(NAMESPACE_LABEL) for one in (user, service)}
    return len(namespaces) == 1 or not service.record.owner


def _derived_name(owner: str, suffix: str) -> str:
    """Return a valid name for a service that is made for `owner`, distinct even if it has to be shortened.

    What follows a dot, the owner's project or namespace, stays the end of the name.
    """
    owner, dot, rest = owner.partition(".") if all(map(is_label, owner.split("."))) else (owner, "", "")
    return _joined_name(owner, suffix) + dot + rest


def _joined_name(owner: str, suffix: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", f"{owner}-{suffix}".lower()).strip("-")
    if len(name) <= _NAME_LENGTH:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: _NAME_LENGTH - 9].rstrip('-')}-{digest}"


def _is_true(value: object) -> bool:
    return value not in (False, None, "", 0, "false", "False", "no", "0")
