"""Waiting for dependencies: start them, wait for their condition, wake the waiting, notify those that lost one."""

import logging
from collections.abc import Sequence
from typing import TypeAlias

import anyio

from ostler.engine.dependencies.facts import facts_of, missing_facts, problem_of, together
from ostler.engine.dependencies.graph import DependencyGraph, DependencyMaker, ResolvedDependency
from ostler.engine.dependencies.jobs import await_end, hopelessness, is_job
from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.instances.operations import Operation
from ostler.engine.instances.runtime import DependencyFacts, Runtime
from ostler.engine.instances.state import InstanceState
from ostler.engine.services.registry import RegistryAdapter
from ostler.engine.services.service import BaseService, Service, StateUpdater, way_to_enable
from ostler.engine.services.views import PROJECT_LABEL
from ostler.engine.waiting import SharedAttempts
from ostler.model.durations import format_duration
from ostler.model.errors import AlreadyExistsError, DependencyError, OperationError, OstlerError
from ostler.model.events import EventKind
from ostler.model.records import OperationKind
from ostler.model.states import TRANSITIONS, HealthStatus, ServiceState, Transition

logger = logging.getLogger(__name__)

_Failures: TypeAlias = "dict[str, tuple[ResolvedDependency | None, OstlerError]]"
"""Name → what was needed (None: a downstream server), and why it is not there."""

REASON = "dependency"
"""Reason of a service that waits for another one."""

_CONNECT_WAIT = 35.0
"""Seconds that a start waits for a downstream server that is connecting."""

_STATIC_START = 600.0
"""Seconds that the start of a configured service may take."""

_NO_FACTS = DependencyFacts()

_LEAVING = (OperationKind.STOP, OperationKind.DELETE, OperationKind.RESTART)


class Prerequisites:
    """Starts what a service needs, and reacts when that starts, stops or changes."""

    def __init__(
        self, runtime: Runtime, registry: RegistryAdapter, graph: DependencyGraph, maker: DependencyMaker
    ) -> None:
        self._runtime = runtime
        self._registry = registry
        self._graph = graph
        self._maker = maker
        self._creations = SharedAttempts()
        self._starts = SharedAttempts()
        self._blocked: dict[str, dict[str, ResolvedDependency | None]] = {}
        """Service → what it waits for: a dependency, or (None) the downstream server of that name."""
        self._resolved: dict[str, list[ResolvedDependency]] = {}

    def register(self, service: Service) -> None:
        """Note what `service` depends on."""
        if not isinstance(service, ServiceInstance):
            self._graph.note(service)
            return
        try:
            self._take(service)
        except OstlerError as error:  # its class was accepted, but not with these args
            self._graph.note(service, ())
            service.note(f"its dependencies are not known: {error.summary}")

    def _take(self, instance: InstanceState) -> list[ResolvedDependency]:
        resolved = self._graph.resolve(instance)
        self._resolved[instance.name] = resolved
        self._graph.note(instance, [dependency.name for dependency in resolved])
        return resolved

    # -- before a start ------------------------------------------------------------------------------------

    async def await_dependencies(self, instance: InstanceState, operation: Operation) -> DependencyFacts:
        """Start the dependencies of `instance`, wait for their conditions, and return what templates see of them.

        All of it happens side by side. An optional dependency that does not come is noted and left out.

        Raises:
            DependencyError: required ones are missing or failed; the instance waits and starts automatically later.
        """
        resolved = self._take(instance)
        self._graph.refuse_cycle(instance, instance.dependencies)
        instance.set_vitals(dependency_problems={})
        self._blocked.pop(instance.name, None)
        servers = [name for name in instance.service_class.servers() if self._server_trouble(name)]
        absent = [dependency.name for dependency in resolved if not self._is_met(dependency)]
        if servers or absent:
            await self._begin_waiting(instance, operation, [*servers, *absent])
        facts, failures = await self._bring_all(instance, servers, resolved)
        if failures:
            raise self._give_up(instance, failures)
        if instance.state is ServiceState.WAITING:
            instance.report(Transition.START_REQUESTED)
        return facts

    async def _bring_all(
        self, instance: InstanceState, servers: Sequence[str], resolved: Sequence[ResolvedDependency]
    ) -> tuple[DependencyFacts, _Failures]:
        """Start the dependencies in parallel; return what templates see of them, and what failed."""
        failures: _Failures = {}
        facts: dict[str, DependencyFacts] = {}

        async def bring(dependency: ResolvedDependency) -> None:
            try:
                facts[dependency.alias] = facts_of(await self._bring(instance, dependency))
            except OstlerError as error:
                facts[dependency.alias] = missing_facts(dependency)
                if dependency.spec.required:
                    failures[dependency.name] = (dependency, error)
                else:
                    instance.note(f"optional dependency {dependency.name!r} is missing: {error.summary}")

        async def connect(server: str) -> None:
            error = await self._await_server(server)
            if error is not None:
                failures[server] = (None, error)

        if not servers and not resolved:
            return _NO_FACTS, failures
        async with anyio.create_task_group() as group:
            for server in servers:
                group.start_soon(connect, server)
            for dependency in resolved:
                group.start_soon(bring, dependency)
        return together(facts), failures

    async def _begin_waiting(self, instance: InstanceState, operation: Operation, names: list[str]) -> None:
        """Show that the instance waits, and make the request durable: a wait can be long."""
        what = f"waiting for {', '.join(names)}"
        if instance.state is ServiceState.STARTING:
            instance.report(Transition.DEPENDENCY_MISSED, reason=REASON)
        await instance.commit(operation)
        await operation.report_progress(0, None, what)

    def _give_up(self, instance: InstanceState, failures: _Failures) -> DependencyError:
        name = min(failures)
        dependency, cause = failures[name]
        others = sorted(set(failures) - {name})
        if dependency is None:
            what = f"waits for downstream server {name!r}: {cause.summary}"
        else:
            what = f"waits for {name!r} (condition {dependency.spec.condition}): {cause.summary}"
        error = DependencyError(
            f"service {instance.name!r} {what}" + (f"; and for {', '.join(others)}" if others else ""),
            service=instance.name,
            step="dependencies",
            next_actions=(
                f"service_status {name} shows why" if cause.next_actions == () else cause.next_actions[0],
                "it starts automatically when that is available",
            ),
        )
        self._blocked[instance.name] = {key: failure[0] for key, failure in failures.items()}
        if (instance.state, Transition.DEPENDENCY_MISSED) in TRANSITIONS:
            instance.report(Transition.DEPENDENCY_MISSED, reason=REASON, error=error)
        return error

    async def _await_server(self, name: str) -> DependencyError | None:
        """Wait for a downstream server that is connecting; return why it is not connected."""
        service = self._registry.find(name)
        if isinstance(service, BaseService) and not isinstance(service, ServiceInstance):
            with anyio.move_on_after(_CONNECT_WAIT):
                await service.wait_until(lambda status: status.state is not ServiceState.STARTING)
        trouble = self._server_trouble(name)
        if not trouble:
            return None
        stopped = service is not None and service.state is ServiceState.STOPPED
        if service is not None and (way := way_to_enable(service)):
            return DependencyError(f"it is {service.view().reason}", next_actions=(way,))
        action = f"service_start {name} connects it" if stopped else f"service_status {name} shows why"
        return DependencyError("it is stopped" if stopped else trouble, next_actions=(action,))

    def _server_trouble(self, name: str) -> str:
        """Return why the downstream server `name` cannot be called; empty if it can be, or if that is unknown."""
        service = self._registry.find(name)
        if isinstance(service, BaseService) and not isinstance(service, ServiceInstance):
            return "" if service.state.is_up else service.view().error or f"it is {service.state.value}"
        if self._runtime.tools is not None:
            status = self._runtime.tools.server_status(name)
            if status.known and not status.connected:
                return status.reason or "it is not connected"
        return ""

    async def _bring(self, instance: InstanceState, dependency: ResolvedDependency) -> Service:
        spec = dependency.spec
        service = await undeleted(self._registry, dependency.name)
        if service is None:
            if not spec.create:
                step = "project_up" if PROJECT_LABEL in instance.record.labels else "service_create"
                raise DependencyError(f"service {dependency.name!r} not found", next_actions=(f"{step} makes it",))
            service = await self._make(instance, dependency)
        elif spec.create and isinstance(service, ServiceInstance):
            service = await self._maker.fitting_dependency(service, dependency, instance)
        if (error := hopelessness(service, spec.condition)) is not None:
            raise error
        if spec.condition == "completed" and is_job(service):
            return await self._completed(service, spec.timeout)
        await self.start(service)
        if spec.condition == "healthy":
            await self._healthy(service, spec.timeout)
        return service

    async def _make(self, instance: InstanceState, dependency: ResolvedDependency) -> Service:
        """Make a dependency on demand; two services that need the same one at once get the same one."""
        made: list[Service] = []

        async def create() -> None:
            try:
                made.append(await self._maker.create_dependency(dependency, instance))
            except AlreadyExistsError:  # a person made it at the same moment
                made.append(self._registry.get(dependency.name))

        while not made:
            if not await self._creations.share(dependency.name, create):
                made += filter(None, [self._registry.find(dependency.name)])
        return made[0]

    async def start(self, service: Service, path: tuple[str, ...] = ()) -> None:
        """Start `service` unless it is up and stays so; a configured one after what it depends on.

        Raises:
            OstlerError: it could not be started.
        """
        if isinstance(service, ServiceInstance):
            operation = service.operation
            if not service.state.is_up or (operation is not None and operation.kind in _LEAVING):
                await service.start()
            return
        while not service.state.is_up:
            if await self._starts.share(service.name, lambda: self._start_configured(service, (*path, service.name))):
                return

    async def _start_configured(self, service: Service, path: tuple[str, ...]) -> None:
        """Start a configured service after what it depends on."""
        try:
            await self._start_needed_by(service, path)
            with anyio.fail_after(_STATIC_START):
                await service.start()
        except OstlerError:
            raise
        except TimeoutError:
            raise DependencyError(
                f"service {service.name!r} was not started within {format_duration(_STATIC_START)}",
                service=service.name,
            ) from None
        except Exception as bug:  # boundary: a library user's own service must not end the engine
            logger.exception("the start of %r failed unexpectedly", service.name)
            raise OperationError(
                f"the start of service {service.name!r} failed: {type(bug).__name__}: {bug}", service=service.name
            ) from bug

    async def _start_needed_by(self, service: Service, path: tuple[str, ...]) -> None:
        self._graph.refuse_cycle(service, service.dependencies)
        failures: list[tuple[str, OstlerError]] = []

        async def bring(name: str) -> None:
            try:
                await self.start(self._registry.get(name), path)
            except OstlerError as error:
                failures.append((name, error))

        async with anyio.create_task_group() as group:
            for name in service.dependencies:
                group.start_soon(bring, name)
        if not failures:
            return
        name, cause = min(failures, key=lambda failure: failure[0])
        error = DependencyError(
            f"service {service.name!r} waits for {name!r}: {cause.summary}",
            service=service.name,
            step="dependencies",
            next_actions=(f"service_status {name} shows why",),
        )
        if isinstance(service, StateUpdater) and (service.state, Transition.DEPENDENCY_MISSED) in TRANSITIONS:
            service.report(Transition.DEPENDENCY_MISSED, reason=REASON, error=error)
            self._blocked[service.name] = {name: None for name, _ in failures}
        raise error

    async def _healthy(self, service: Service, timeout: float) -> None:
        if not isinstance(service, BaseService):
            if service.health is not HealthStatus.HEALTHY:
                raise DependencyError(f"service {service.name!r} is {service.health.value}, not healthy")
            return
        with anyio.move_on_after(timeout) as waiting:
            await service.wait_until(lambda s: s.health is HealthStatus.HEALTHY or not s.state.is_up)
        if not (service.state.is_up and service.health is HealthStatus.HEALTHY):
            evidence = service.vitals.evidence if isinstance(service, ServiceInstance) else ""
            why = evidence if service.state.is_up else (service.view().error or evidence)
            raise DependencyError(
                f"service {service.name!r} is {service.state.value} and {service.health.value}, not healthy"
                + (f", after {format_duration(timeout)}" if waiting.cancelled_caught else "")
                + (f": {why}" if why else "")
            )

    async def _completed(self, service: ServiceInstance, timeout: float) -> Service:
        """Wait until a job has completed."""
        if not service.has_completed:
            await self.start(service)
        with anyio.move_on_after(timeout) as waiting:
            await await_end(self._registry, service)
        if not service.has_completed:
            raise DependencyError(
                f"service {service.name!r} is {service.state.value} and has not completed"
                + (f" after {format_duration(timeout)}" if waiting.cancelled_caught else "")
                + (f": {service.view().error}" if service.last_error else "")
            )
        return service

    # -- reactions -----------------------------------------------------------------------------------------

    def service_changed(self, service: Service) -> None:
        """React to a change of `service`: start services that waited for it, notify those that run without it."""
        for user in self._graph.dependents(service.name):
            if not isinstance(user, ServiceInstance) or user.state is ServiceState.WAITING:
                self._wake(user, service.name)
            elif user.state.is_up:
                self._notify(user, service)

    def server_came(self, server: str) -> None:
        """The downstream server `server` is connected: start the services that waited for it."""
        for user in self._graph.dependents(server):
            self._wake(user, server)

    def forget(self, service: Service) -> None:
        """Drop a service that is gone."""
        self._blocked.pop(service.name, None)
        self._resolved.pop(service.name, None)

    def operation_ended(self, instance: ServiceInstance) -> None:
        """Check whether what `instance` waits for became available while its start was still ending."""
        for name in list(self._blocked.get(instance.name, ())):
            self._wake(instance, name)

    def _wake(self, user: Service, name: str) -> None:
        blocked = self._blocked.get(user.name, {})
        if name not in blocked or user.state is not ServiceState.WAITING:
            return
        if not all(self._is_there(key, dependency) for key, dependency in blocked.items()):
            return
        if isinstance(user, ServiceInstance):
            if user.is_wanted and user.operation is None:
                del self._blocked[user.name]
                user.request(OperationKind.START, reason=f"{name} is there")
        elif self._runtime.task_group is not None:
            del self._blocked[user.name]
            self._runtime.task_group.start_soon(self._start_again, user)

    async def _start_again(self, service: Service) -> None:
        try:
            await self.start(service)
        except OstlerError as error:  # no one waits for it: the event log has it
            self._runtime.events.append(EventKind.WARNING, service.name, f"could not be started: {error}")

    def _is_there(self, name: str, dependency: ResolvedDependency | None) -> bool:
        if dependency is not None:
            return self._is_met(dependency)
        service = self._registry.find(name)
        if service is not None:
            return service.state.is_up
        return not self._server_trouble(name)

    def _is_met(self, dependency: ResolvedDependency) -> bool:
        service = self._registry.find(dependency.name)
        if service is None:
            return False
        if dependency.spec.condition == "completed":
            return isinstance(service, ServiceInstance) and service.has_completed
        if isinstance(service, ServiceInstance) and service.operation and service.operation.kind in _LEAVING:
            return False
        if not service.state.is_up:
            return False
        return dependency.spec.condition == "started" or service.health is HealthStatus.HEALTHY

    def _notify(self, user: ServiceInstance, service: Service) -> None:
        """Note what the change of `service` means for `user`, which is up."""
        dependency = next((d for d in self._resolved.get(user.name, ()) if d.name == service.name), None)
        if dependency is None or not dependency.spec.required or dependency.spec.condition == "completed":
            return
        problems = user.vitals.dependency_problems
        before = problems.get(service.name)
        problem = problem_of(user, dependency, service)
        if problem == before:
            return
        if problem is not None:
            user.set_vitals(dependency_problems={**problems, service.name: problem})
            user.note(f"it runs on, but its dependency {problem}")
        elif before is not None and service.state.is_up:
            left = {name: text for name, text in problems.items() if name != service.name}
            user.set_vitals(dependency_problems=left)
            user.note(f"its dependency {service.name} is up again")

    def facts_of(self, instance: InstanceState) -> DependencyFacts:
        """Return what templates see of the dependencies of an instance that was adopted, as they are now."""
        resolved = self._resolved.get(instance.name)
        if not resolved:
            return _NO_FACTS
        facts: dict[str, DependencyFacts] = {}
        for dependency in resolved:
            service = self._registry.find(dependency.name)
            facts[dependency.alias] = missing_facts(dependency) if service is None else facts_of(service)
        return together(facts)


async def undeleted(registry: RegistryAdapter, name: str) -> Service | None:
    """Return the service of that name, once a deletion that is under way has ended: then it is gone, or stays."""
    while isinstance(service := registry.find(name), ServiceInstance):
        if service.operation is None or service.operation.kind is not OperationKind.DELETE:
            break
        await service.wait_idle()
    return service
