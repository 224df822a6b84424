"""The parts of the engine, put together; passes each change of a service or a server on to those that it concerns."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anyio.abc import TaskGroup

from ostler.engine.call_context import EngineTasks
from ostler.engine.classes.catalogue import ClassCatalogue
from ostler.engine.dependencies.graph import DependencyGraph
from ostler.engine.dependencies.prerequisites import Prerequisites
from ostler.engine.insight.preview import Planner
from ostler.engine.instances.departed import Departed
from ostler.engine.instances.instance import ControllerRuntime, ServiceInstance, instances_in
from ostler.engine.instances.operations import Operation
from ostler.engine.instances.runtime import DependencyFacts
from ostler.engine.instances.state import InstanceState
from ostler.engine.keepers.bookkeeping import Bookkeeper
from ostler.engine.keepers.health import HealthScheduler
from ostler.engine.keepers.leases import LeaseKeeper
from ostler.engine.keepers.recovery import Recovery
from ostler.engine.keepers.restarts import RestartKeeper
from ostler.engine.protocols import StoredState
from ostler.engine.requests.commands import Requests
from ostler.engine.requests.creator import Creator
from ostler.engine.requests.instance_factory import InstanceFactory
from ostler.engine.services.registry import ServiceRegistry
from ostler.engine.services.reporting import Reporting, StatusReporter
from ostler.engine.services.service import BaseService, Service
from ostler.engine.services.views import CREATED_FOR, OperationRequest
from ostler.model.errors import OstlerError
from ostler.model.events import EventKind
from ostler.model.records import OperationKind
from ostler.model.states import Reachability, ServiceState

if TYPE_CHECKING:
    from ostler.engine.keepers.leftovers import Leftovers

logger = logging.getLogger(__name__)

_CHECK_PACE = 0.02
"""Seconds for each of the services that are checked once the server that drives them is back."""


@dataclass(eq=False, repr=False)
class Assembly(ControllerRuntime):
    """The engine's parts.

    Args:
        health_concurrency: health checks under way at once.
        reporter: receives the status of services, in words for people.
    """

    health_concurrency: int
    reporter: StatusReporter | None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.departed = Departed(self.clock)
        self.is_leaving = False
        self.registry = ServiceRegistry()
        self.registry.why_removed = self.departed.why_removed
        self.classes = ClassCatalogue(self.tools)
        self.factory = InstanceFactory(self, self.registry, self.classes)
        self.graph = DependencyGraph(self.registry, self.factory.virtual)
        self.creator = Creator(self, self.registry, self.classes, self.factory, self.graph)
        self.needs = Prerequisites(self, self.registry, self.graph, self.creator)
        self.health = HealthScheduler(
            self.clock, self.random, concurrency=self.health_concurrency, observer=self.observer
        )
        self.restarts = RestartKeeper(self)
        self.leases = LeaseKeeper(self)
        self.recovery = Recovery(self, self.health)
        self._bookkeeper = Bookkeeper(self)
        self.requests = Requests(
            self,
            self.registry,
            self.graph,
            self.needs,
            creator=self.creator,
            restarts=self.restarts,
            leases=self.leases,
        )
        self.plans = Planner(self, self.registry, self.graph, self.factory)
        self._reporting = Reporting(self.reporter)
        self._leftovers: Leftovers | None = None
        self._unsubscribe: list[Callable[[], None]] = []
        self._followed: dict[str, Callable[[], None]] = {}
        self._health_of: dict[str, str] = {}
        """Configured service → its health at its last change."""

    def __repr__(self) -> str:
        return f"Assembly({len(self.registry)} services)"

    def leftovers(self) -> "Leftovers":
        """Return what looks for things that no service has any more."""
        from ostler.engine.keepers.leftovers import Leftovers  # noqa: PLC0415 (few need it)

        if self._leftovers is None:
            self._leftovers = Leftovers(self, self.registry, self.classes)
        return self._leftovers

    def instances(self) -> list[ServiceInstance]:
        """Return the services that were made from classes, by name."""
        return instances_in(self.registry)

    async def begin(self, state: StoredState, group: TaskGroup) -> None:
        """Restore what `state` holds, and begin to supervise, with tasks in `group`."""
        self.task_group = EngineTasks(group)
        self._unsubscribe.append(self.registry.subscribe(self._registry_changed))
        for service in self.registry.get_all():  # configured ones that were there before this
            self._registry_changed(service, True)
        await self.recovery.restore(state, self.registry.register)
        self._adopt_restored(len(state.services))
        waiting = [record.name for record in state.services if record.state is ServiceState.WAITING]
        group.start_soon(self._resume, waiting, name="ostler-resume")
        group.start_soon(self.health.run, name="ostler-health")
        group.start_soon(self.leases.run, name="ostler-leases")
        group.start_soon(self.recovery.run, name="ostler-recovery")
        if self.tools is not None:
            self._unsubscribe.append(self.tools.on_change(self._server_changed))

    def end(self) -> None:
        """Cancel every task and end every subscription."""
        for unsubscribe in (*self._unsubscribe, *self._followed.values()):
            unsubscribe()
        assert self.task_group is not None
        self.task_group.cancel()

    async def _resume(self, waiting: Sequence[str]) -> None:
        """Let services that waited for a dependency when the server ended wait for it again."""
        await self.recovery.finished.wait()
        for name in waiting:
            service = self.registry.find(name)
            if isinstance(service, ServiceInstance) and service.state is ServiceState.STOPPED and service.is_wanted:
                service.request(OperationKind.START, reason="it was waiting when the server ended")

    def _adopt_restored(self, stored: int) -> None:
        """Register the dependencies of restored services, and delete those made for a dependent that is gone."""
        instances = self.instances()
        for instance in instances:
            self.needs.register(instance)  # once more: only now are all of them there
        if len(instances) < stored:
            return  # a record could not be read, and who is in it may be the user of another
        for orphan in self.graph.orphans():
            if orphan.state is ServiceState.STOPPED and orphan.record.delete_plan:
                continue  # it waits for its user with what it keeps
            # Its user may come back with the next `up`, which then needs what a delete tool would destroy.
            orphan.submit(OperationRequest(OperationKind.DELETE, keep=True), reason="nothing uses it any more")

    def _registry_changed(self, service: Service, is_registered: bool) -> None:
        if is_registered:
            self._reporting.report(service)
        else:
            self._reporting.forget(service.name)
        if isinstance(service, ServiceInstance):
            if is_registered:
                self.needs.register(service)
                self.leases.watch(service)
            else:
                self.health.forget(service)
                self.restarts.forget(service)
                self.leases.forget(service)
                self.needs.forget(service)
            return
        if unfollow := self._followed.pop(service.name, None):
            unfollow()
        self._health_of.pop(service.name, None)
        if is_registered:
            self.needs.register(service)
            follow = service.follow if isinstance(service, BaseService) else service.on_state_change
            self._followed[service.name] = follow(self._static_changed)
            self._health_of[service.name] = service.health.value
        else:
            self.needs.forget(service)
            self.graph.forget(service)
            if not (isinstance(service, BaseService) and service.is_replaced):
                self.events.append(EventKind.SERVICE_DELETED, service.name, f"{service.service_type} removed")

    # -- what services see -----------------------------------------------------------------------------------

    async def await_dependencies(self, service: InstanceState, operation: Operation) -> DependencyFacts:
        """Start the dependencies of `service`; return what templates see of them."""
        return await self.needs.await_dependencies(service, operation)

    def dependency_facts(self, service: InstanceState) -> DependencyFacts:
        """Return what templates see of the dependencies of `service` as they are now."""
        return self.needs.facts_of(service)

    def instance_removed(self, instance: ServiceInstance, deletion: Operation) -> None:
        """Remove a deleted service, and delete what was made for it alone, which keeps its data if this one did.

        If the service was abandoned, what was made for it runs on as a service of its own. If it has an heir, the heir
        is registered, and uses what was made for it; a start of the heir replaces what does not fit it.
        """
        asked = deletion.asked
        if self.registry.find(instance.name) is instance:
            self.registry.unregister(instance.name)
        self.departed.add(instance, deletion.reason)
        owner = instance.owner
        self.events.append(EventKind.SERVICE_DELETED, instance.name, "deleted", {"owner": owner} if owner else None)
        orphans = self.graph.forget(instance)
        if isinstance(deletion.heir, ServiceInstance):
            self.registry.register(deletion.heir)
            orphans = [orphan for orphan in orphans if not self.graph.is_used(orphan.name)]
        for orphan in orphans:
            if asked.abandon and self.task_group is not None:
                self.task_group.start_soon(self._set_free, orphan, instance.name)
            elif not self.is_leaving:
                request = OperationRequest(OperationKind.DELETE, keep=asked.keep)
                orphan.submit(request, reason=f"made for {instance.name}, which was deleted")

    async def _set_free(self, orphan: ServiceInstance, user: str) -> None:
        orphan.set_record(labels={name: value for name, value in orphan.labels.items() if name != CREATED_FOR})
        orphan.note(f"it was made for {user}, which was abandoned, and is left as it is")
        try:
            await orphan.commit()
        except OstlerError as error:
            logger.warning("%s", error)

    def watch_health(self, instance: ServiceInstance) -> None:
        """Check the health of `instance`; without a tool for that, take the state of its driving server for it."""
        self.health.watch(instance)
        if not instance.service_class.looks_after_start and instance.can_be_healthy:
            instance.judge_by_driver()

    def instance_changed(self, instance: ServiceInstance) -> None:
        """React to a change of an instance: restart policy, waiting dependents, status reporter."""
        self._reporting.report(instance)
        if self.is_leaving:
            return
        self.restarts.consider(instance)
        self._bookkeeper.instance_changed(instance)
        self.needs.service_changed(instance)

    def operation_ended(self, instance: ServiceInstance) -> None:
        """React to the end of an operation, when none follows."""
        if not self.is_leaving:
            self.restarts.consider(instance)
            self.needs.operation_ended(instance)
            self.recovery.operation_ended(instance)
            self._bookkeeper.operation_ended(instance)

    def _static_changed(self, name: str, old: str, new: str, health: str, error: BaseException | None) -> None:
        """A configured service changed: record it, and notify its dependents."""
        service = self.registry.find(name)
        if service is None or isinstance(service, ServiceInstance):
            return
        self._reporting.report(service)
        if old != new:
            text = f"{old} -> {new}" + (f": {error}" if error is not None else "")
            self.events.append(EventKind.STATE_CHANGED, name, text, {"from": old, "to": new})
        before = self._health_of.get(name, health)
        self._health_of[name] = health
        if before != health:
            self.events.append(EventKind.HEALTH_CHANGED, name, f"{before} -> {health}", {"from": before, "to": health})
        if not self.is_leaving:
            self.needs.service_changed(service)

    def _server_changed(self, server: str) -> None:
        """A downstream server came, went or lists other tools: notify what it drives."""
        assert self.tools is not None
        connected = self.tools.server_status(server).connected
        back: list[ServiceInstance] = []
        for instance in self.instances():
            if server not in instance.service_class.servers():
                continue
            if not connected:
                instance.set_reachability(Reachability.UNREACHABLE)
                instance.doubt_driver(server)
            elif instance.reachability is not Reachability.REACHABLE:
                instance.set_reachability(Reachability.REACHABLE)
                self.recovery.server_is_back(instance)
                self.restarts.driver_is_back(instance)
                back.append(instance)
        for instance in back:  # what it ran may have ended with it
            within = min(instance.service_class.config.health.interval, len(back) * _CHECK_PACE)
            self.health.hasten(instance, within)
        if connected:
            self.needs.server_came(server)
