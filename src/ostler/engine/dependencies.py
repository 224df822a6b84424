"""The dependency graph: what must be there before a service starts, and who waits for whom."""

import graphlib
from collections.abc import Awaitable, Callable, Mapping, Sequence

import anyio

from ostler.engine.instance import ServiceInstance
from ostler.engine.operations import Operation
from ostler.engine.registry import ServiceRegistry
from ostler.engine.service import BaseService, Service, ServiceStatus
from ostler.model.errors import DependencyError, OstlerError
from ostler.model.json import JsonObject
from ostler.model.manifest import DependencySpec
from ostler.model.records import OperationKind
from ostler.model.states import HealthStatus, ServiceState, Transition
from ostler.rules.templates import render

CreateDependency = Callable[[str, str, JsonObject, str], Awaitable[Service]]
"""`await create(class_name, name, args, owner)`: make an instance on demand, not started."""

CREATED_FOR = "ostler/created-for"
"""Label of an instance that was made on demand: the name of the service that it was made for."""

_CONNECT_WAIT = 35.0
"""Seconds that a start waits for a downstream server that is connecting."""

_HEALTHY_WAIT = 120.0
"""Seconds that a dependency may take from running to healthy."""


class ResolvedDependency:
    """One dependency of one instance with its templates rendered."""

    __slots__ = ("alias", "args", "name", "spec")

    def __init__(self, spec: DependencySpec, name: str, alias: str, args: JsonObject) -> None:
        self.spec = spec
        self.name = name
        self.alias = alias
        self.args = args


class DependencyGraph:
    """Resolves dependencies by name, waits for them, and knows the dependents of a service."""

    def __init__(self, registry: ServiceRegistry, create: CreateDependency) -> None:
        self._registry = registry
        self._create = create
        self._users: dict[str, set[str]] = {}

    def resolve(self, instance: ServiceInstance) -> list[ResolvedDependency]:
        """Return the dependencies of `instance` with names rendered, and note them on it."""
        resolved: list[ResolvedDependency] = []
        names = instance.template_names()
        for entry in instance.service_class.config.dependencies:
            spec = DependencySpec.model_validate({"name": entry}) if isinstance(entry, str) else entry
            if spec.when is not None and not _is_true(render(spec.when, names)):
                continue
            args = render(spec.args, names)
            alias = spec.alias or (spec.service_class_name or "").replace("-", "_")
            if spec.name is not None:
                name = str(render(spec.name, names))
            else:
                assert spec.service_class_name is not None
                name = self._name_of_class(instance, spec)
            resolved.append(ResolvedDependency(spec, name, alias or name.replace("-", "_"), args))
        self._note_users(instance, [dependency.name for dependency in resolved])
        return resolved

    def _note_users(self, instance: ServiceInstance, dependencies: Sequence[str]) -> None:
        for name in instance.dependencies:
            self._users.get(name, set()).discard(instance.name)
        instance.set_dependencies(dependencies)
        for name in (*dependencies, *instance.service_class.servers()):
            self._users.setdefault(name, set()).add(instance.name)

    def forget(self, instance: ServiceInstance) -> list[Service]:
        """Drop a deleted instance; return the instances that were made for it and that nobody uses any more."""
        orphans: list[Service] = []
        for name in (*instance.dependencies, *instance.service_class.servers()):
            users = self._users.get(name, set())
            users.discard(instance.name)
            service = self._registry.find(name)
            if service is not None and not users and CREATED_FOR in service.view().labels:
                orphans.append(service)
        return orphans

    def _name_of_class(self, instance: ServiceInstance, spec: DependencySpec) -> str:
        if spec.create:
            return f"{instance.name}-{spec.alias or spec.service_class_name}"[:63].rstrip("-")
        for view in (service.view() for service in self._registry.get_all()):
            if view.class_name == spec.service_class_name:
                return view.name
        return str(spec.service_class_name)

    def check(self, instance: ServiceInstance) -> None:
        """Refuse an instance whose dependencies are missing or lead back to it.

        Raises:
            DependencyError: naming the missing one, or the whole path of the cycle.
        """
        resolved = self.resolve(instance)
        for dependency in resolved:
            known = dependency.name in self._registry or dependency.name == instance.name
            if dependency.spec.required and not dependency.spec.create and not known:
                raise DependencyError(
                    f"service {instance.name!r} depends on {dependency.name!r}, which does not exist",
                    service=instance.name,
                    step="dependencies",
                    next_actions=(f"create {dependency.name!r} first", "or give the dependency 'create: true'"),
                )
        graph = {service.name: set(service.dependencies) for service in self._registry.get_all()}
        graph[instance.name] = {dependency.name for dependency in resolved}
        try:
            graphlib.TopologicalSorter(graph).prepare()
        except graphlib.CycleError as error:
            path = " -> ".join(reversed([str(name) for name in error.args[1]]))
            raise DependencyError(
                f"the dependencies of service {instance.name!r} form a cycle: {path}",
                service=instance.name,
                step="dependencies",
                next_actions=("take one dependency out of the cycle",),
            ) from None

    def dependents(self, name: str) -> list[BaseService]:
        """Return the services that depend directly on `name`."""
        found = [self._registry.find(user) for user in sorted(self._users.get(name, ()))]
        return [service for service in found if isinstance(service, BaseService)]

    async def await_dependencies(self, instance: ServiceInstance, operation: Operation) -> Mapping[str, object]:
        """Start what `instance` depends on, wait until it is as far as demanded, and return what templates see.

        Raises:
            DependencyError: a required one is missing or failed; the instance waits for it.
        """
        resolved = self.resolve(instance)
        await self._await_drivers(instance)
        if not resolved:
            return {}
        facts: dict[str, object] = {}
        failures: list[DependencyError] = []

        async def bring(dependency: ResolvedDependency) -> None:
            try:
                service = await self._bring(instance, dependency)
            except OstlerError as error:
                if dependency.spec.required:
                    failures.append(_blocked(instance, dependency, error))
                else:
                    instance.note(f"optional dependency {dependency.name!r} is not there: {error.summary}")
                facts[dependency.alias] = {"name": dependency.name, "state": "failed", "outputs": {}}
                return
            outputs = service.record.outputs if isinstance(service, ServiceInstance) else {}
            facts[dependency.alias] = {"name": service.name, "state": service.state.value, "outputs": outputs}

        await operation.report_progress(0, None, f"waiting for {', '.join(d.name for d in resolved)}")
        async with anyio.create_task_group() as group:
            for dependency in resolved:
                group.start_soon(bring, dependency)
        if failures:
            raise failures[0]
        return facts

    async def _await_drivers(self, instance: ServiceInstance) -> None:
        """Downstream servers are implicit dependencies of what they drive: a start waits for one that connects."""
        for name in instance.service_class.servers():
            driver = self._registry.find(name)
            if not isinstance(driver, BaseService) or driver.view().class_name or driver.state.is_up:
                continue
            with anyio.move_on_after(_CONNECT_WAIT):
                await driver.wait_until(lambda status: status.state is not ServiceState.STARTING)
            if not driver.state.is_up:
                stopped = driver.state is ServiceState.STOPPED
                reason = "it is stopped" if stopped else driver.view().error or driver.state.value
                raise _waiting(
                    instance,
                    f"service {instance.name!r} waits for downstream server {name!r}: {reason}",
                    f"service_start {name} connects it" if stopped else f"service_status {name} tells why",
                )

    async def _bring(self, instance: ServiceInstance, dependency: ResolvedDependency) -> Service:
        spec = dependency.spec
        service = self._registry.find(dependency.name)
        if service is None:
            if not spec.create:
                raise DependencyError(f"service {dependency.name!r} not found")
            assert spec.service_class_name is not None
            service = await self._create(spec.service_class_name, dependency.name, dependency.args, instance.name)
        if spec.condition == "completed":
            return await self._completed(service)
        if not service.state.is_up:
            await service.start()
        if spec.condition == "healthy" and isinstance(service, BaseService):
            with anyio.move_on_after(_HEALTHY_WAIT):
                await service.wait_until(lambda s: s.health is HealthStatus.HEALTHY or not s.state.is_up)
            if service.health is not HealthStatus.HEALTHY:
                raise DependencyError(f"service {service.name!r} is {service.state.value} but not healthy")
        return service

    async def _completed(self, service: Service) -> Service:
        """Wait until a service that is meant to end has ended well."""
        if not isinstance(service, BaseService):
            raise DependencyError(f"service {service.name!r} cannot complete")
        if service.view().starts == 0 and not service.state.is_up:
            await service.start()
        done: Callable[[ServiceStatus], bool] = lambda status: not status.state.is_up and status.state.is_settled  # noqa: E731
        status = await service.wait_until(done)
        if status.state is not ServiceState.STOPPED:
            raise DependencyError(f"service {service.name!r} ended as {status.state.value}")
        return service

    def wake_dependents(self, instance: ServiceInstance) -> None:
        """Start the services that wait for `instance`, now that it is up."""
        if instance.state.is_up:
            self.wake_waiting_for(instance.name)

    def wake_waiting_for(self, name: str) -> None:
        """Start the wanted services that are waiting and depend on `name`."""
        for service in self.dependents(name):
            if isinstance(service, ServiceInstance) and service.state is ServiceState.WAITING and service.is_wanted:
                service.request(OperationKind.START, reason=f"dependency {name} is there")


def _blocked(instance: ServiceInstance, dependency: ResolvedDependency, error: OstlerError) -> DependencyError:
    return _waiting(
        instance,
        f"service {instance.name!r} waits for {dependency.name!r} (condition {dependency.spec.condition}): "
        f"{error.summary}",
        f"service_status {dependency.name} tells why",
    )


def _waiting(instance: ServiceInstance, summary: str, next_action: str) -> DependencyError:
    error = DependencyError(
        summary,
        service=instance.name,
        step="dependencies",
        next_actions=(next_action, "it starts by itself when the dependency is there"),
    )
    if instance.state is ServiceState.STARTING:
        instance.report(Transition.DEPENDENCY_MISSED, reason="dependency", error=error)
    return error


def _is_true(value: object) -> bool:
    return value not in (False, None, "", 0, "false", "False", "no", "0")
