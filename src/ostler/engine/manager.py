"""The ServiceManager: creates, starts, stops, restarts, deletes; owns the engine's tasks; brings services back."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from random import Random
from types import TracebackType
from typing import Self

import anyio

from ostler.engine.classes import ClassCatalogue
from ostler.engine.clock import SystemClock
from ostler.engine.creation import InstanceFactory, request_digest
from ostler.engine.dependencies import CREATED_FOR, DependencyGraph
from ostler.engine.events import EventLog
from ostler.engine.health import CONCURRENCY, HealthScheduler
from ostler.engine.instance import ServiceInstance, follow
from ostler.engine.leases import LeaseKeeper
from ostler.engine.operations import ANSWER_GRACE, Operation
from ostler.engine.planning import Planner
from ostler.engine.protocols import Clock, Progress, Store, ToolCaller, ToolDirectory
from ostler.engine.recovery import Recovery
from ostler.engine.registry import ServiceRegistry
from ostler.engine.restarts import RestartKeeper
from ostler.engine.runtime import Runtime, new_id
from ostler.engine.service import Service
from ostler.engine.views import CreateRequest, OperationResult, ServiceFilter, ServiceView
from ostler.model.errors import (
    AlreadyExistsError,
    ClassUnavailableError,
    OperationError,
    OstlerError,
)
from ostler.model.events import EventKind
from ostler.model.json import JsonObject
from ostler.model.records import OperationKind, OperationRecord
from ostler.model.states import DesiredState, Reachability, ServiceState
from ostler.rules.masking import mask, secret_strings

logger = logging.getLogger(__name__)

SHUTDOWN_TIMEOUT = 20.0
"""Seconds that leaving may take in all."""


class ServiceManager:
    """The engine's face: one per process. Use it as an async context manager; it owns every task inside.

    Args:
        caller: calls downstream tools (the downstream pool, or your own ToolCaller).
        store: durable memory.
        tools: knows which tools there are; leave it out when your caller cannot tell.
        clock: wall time.
        environment: what templates may see as `env.*`.
        stop_on_exit: stop every service when leaving, in reverse dependency order.
        events: the event log; by default one over `store` with the usual bounds.
        shutdown_timeout: seconds that leaving may take.
        health_concurrency: health checks under way at once.
        rng: spreads checks and restarts in time.
        make_id: makes the ids of services and operations, each unique for ever.
    """

    def __init__(
        self,
        caller: ToolCaller,
        store: Store,
        *,
        tools: ToolDirectory | None = None,
        clock: Clock | None = None,
        environment: Mapping[str, str] | None = None,
        events: EventLog | None = None,
        stop_on_exit: bool = False,
        shutdown_timeout: float = SHUTDOWN_TIMEOUT,
        health_concurrency: int = CONCURRENCY,
        rng: Random | None = None,
        make_id: Callable[[], str] = new_id,
    ) -> None:
        self._clock = clock or SystemClock()
        self.events = events or EventLog(self._clock, store)
        self.registry = ServiceRegistry()
        self.classes = ClassCatalogue(tools)
        self.stop_on_exit = stop_on_exit
        self._shutdown_timeout = shutdown_timeout
        self._runtime = Runtime(
            caller=caller,
            store=store,
            events=self.events,
            clock=self._clock,
            tools=tools,
            environment=environment or {},
            make_id=make_id,
            random=rng or Random(),  # noqa: S311 (it spreads times)
        )
        self._factory = InstanceFactory(self._runtime, self.registry)
        self.health = HealthScheduler(self._clock, self._runtime.random, concurrency=health_concurrency)
        self._graph = DependencyGraph(self.registry, self._create_dependency)
        self.plans = Planner(self._runtime, self.registry, self._graph, self._factory, self.classes)
        self._restarts = RestartKeeper(self._runtime)
        self._leases = LeaseKeeper(self._runtime, self._instances)
        self._recovery = Recovery(self._runtime, self.health)
        self._runtime.await_dependencies = self._graph.await_dependencies
        self._runtime.instance_changed = self._instance_changed
        self._runtime.watch_health = self.health.watch
        self._runtime.instance_removed = self._unregister
        self._names_in_creation: set[str] = set()
        self._unsubscribe: list[Callable[[], None]] = []
        self._stack: AsyncExitStack | None = None
        self._leaving = False

    def __repr__(self) -> str:
        return f"ServiceManager({len(self.registry)} services)"

    # -- life ----------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        state = await self._runtime.store.load()
        self.events.restore(state.events, state.last_cursor)
        async with AsyncExitStack() as stack:
            group = await stack.enter_async_context(anyio.create_task_group())
            self._runtime.task_group = group
            self._recovery.restore(state, self._register)
            group.start_soon(self.health.run, name="ostler-health")
            group.start_soon(self._leases.run, name="ostler-leases")
            group.start_soon(self._recovery.run, name="ostler-recovery")
            if self._runtime.tools is not None:
                self._unsubscribe.append(self._runtime.tools.on_change(self._server_changed))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        assert self._stack is not None
        try:
            with anyio.CancelScope(shield=True):
                await self._leave()
        finally:
            for unsubscribe in self._unsubscribe:
                unsubscribe()
            assert self._runtime.task_group is not None
            self._runtime.task_group.cancel_scope.cancel()
            suppressed = await self._stack.__aexit__(exc_type, exc, traceback)
            self._runtime.task_group = None
        return suppressed

    async def _leave(self) -> None:
        """Finish or cancel operations and stop what must not stay, within the bounded time."""
        self._leaving = True
        with anyio.move_on_after(self._shutdown_timeout) as scope:
            instances = self._instances()
            for instance in instances:
                instance.cancel_operation("the server is shutting down", grace=ANSWER_GRACE)
            for instance in instances:
                await instance.wait_idle()
            leaving = [i for i in self._instances() if (self.stop_on_exit or not i.record.persist)]
            wanted = [i for i in leaving if i.record.persist and i.is_wanted]
            failures = await self._stop_many(
                leaving,
                lambda i: OperationKind.STOP if i.record.persist else OperationKind.DELETE,
                reason="the server is shutting down",
            )
            for error in failures.values():
                logger.warning("%s", error)
            for instance in wanted:  # stopped for the exit, not by a person's wish: it comes back
                instance.set_record(desired=DesiredState.RUNNING)
                await instance.commit()
        if scope.cancelled_caught:
            busy = [f"{i.name} ({i.operation.step})" for i in self._instances() if i.operation is not None]
            logger.warning("shutdown did not end in %ss; still busy: %s", self._shutdown_timeout, ", ".join(busy))

    async def _stop_many(
        self, instances: Sequence[ServiceInstance], kind_of: Callable[[ServiceInstance], OperationKind], *, reason: str
    ) -> dict[str, OstlerError]:
        """Stop or delete `instances`, dependents first, independent ones in parallel; return the failures."""
        done = {instance.name: anyio.Event() for instance in instances}
        failures: dict[str, OstlerError] = {}

        async def stop(instance: ServiceInstance) -> None:
            try:
                for dependent in self._graph.dependents(instance.name):
                    if dependent.name in done:
                        await done[dependent.name].wait()
                await instance.request(kind_of(instance), reason=reason).wait()
            except OstlerError as error:
                failures[instance.name] = error
            finally:
                done[instance.name].set()

        async with anyio.create_task_group() as group:
            for instance in instances:
                group.start_soon(stop, instance)
        return failures

    # -- reading -------------------------------------------------------------------------------------------

    def get_service_state(self, name: str) -> ServiceState:
        """Return the state of the service `name`; NotFoundError when there is none."""
        return self.registry.get(name).state

    def view(self, name: str) -> ServiceView:
        """Return a snapshot of the service `name`; NotFoundError when there is none."""
        return self.registry.get(name).view()

    def views(self, where: ServiceFilter | None = None) -> list[ServiceView]:
        """Return snapshots of the services that match, by name."""
        views = [service.view() for service in self.registry.get_all()]
        return views if where is None else [view for view in views if where.matches(view)]

    def reveal(self, name: str) -> tuple[JsonObject, JsonObject]:
        """Return (args, outputs) of an instance with its secrets unmasked; NotFoundError when there is none."""
        service = self.registry.get(name)
        if isinstance(service, ServiceInstance):
            return dict(service.record.args), dict(service.record.outputs)
        return {}, {}

    def secrets(self) -> frozenset[str]:
        """Return every secret text of every service, for masking what is not about one service alone."""
        return frozenset[str]().union(*(instance.secrets for instance in self._instances()))

    def instances_of(self, class_name: str) -> list[str]:
        """Return the names of the instances of a class."""
        return [instance.name for instance in self._instances() if instance.record.class_name == class_name]

    async def history(self, name: str, limit: int = 20) -> Sequence[OperationRecord]:
        """Return the newest operations of a service, newest first; NotFoundError when there is no such service."""
        service = self.registry.get(name)
        if isinstance(service, ServiceInstance):
            return await self._runtime.store.operations(service.id, limit=limit)
        return []

    @property
    def recovered(self) -> anyio.Event:
        """Set when everything of the earlier run has been verified and resolved once."""
        return self._recovery.finished

    @property
    def has_work(self) -> bool:
        """Whether there is something to supervise: a service that is not settled at stopped or failed."""
        return any(
            instance.operation is not None
            or instance.state not in (ServiceState.STOPPED, ServiceState.FAILED, ServiceState.UNKNOWN)
            for instance in self._instances()
        )

    def _instances(self) -> list[ServiceInstance]:
        return [service for service in self.registry.get_all() if isinstance(service, ServiceInstance)]

    # -- all at once ---------------------------------------------------------------------------------------

    async def start_all(self) -> dict[str, OstlerError]:
        """Start every service that is not up, each as early as its own dependencies allow.

        Returns the failures by name; the others are up.
        """
        failures: dict[str, OstlerError] = {}

        async def start(service: Service) -> None:
            try:
                await service.start()
            except OstlerError as error:
                failures[service.name] = error

        async with anyio.create_task_group() as group:
            for service in self.registry.get_all():
                if not service.state.is_up:
                    group.start_soon(start, service)
        return failures

    async def stop_all(self) -> dict[str, OstlerError]:
        """Stop every service instance, dependents before what they depend on, as early as that allows.

        Returns the failures by name; the others are down.
        """
        return await self._stop_many(self._instances(), lambda _: OperationKind.STOP, reason="requested")

    # -- creating ------------------------------------------------------------------------------------------

    def validate(self, class_name: str, args: JsonObject, name: str = "") -> JsonObject:
        """Return the effective args (masked) of a create, without doing anything.

        Raises:
            NotFoundError: there is no such class.
            ArgumentError: the args or the name do not fit; all problems at once.
            ClassUnavailableError: tools of the class are missing.
        """
        entry = self.classes.get(class_name)
        effective = self._factory.effective_args(entry, args, name)
        availability = self.classes.availability(class_name)
        if availability.missing_tools:
            raise ClassUnavailableError(class_name, availability.missing_tools)
        masked: JsonObject = mask(effective, secret_strings(entry.service_class.spec.args, effective))
        return masked

    async def create(
        self,
        request: CreateRequest,
        *,
        wait: bool = True,
        timeout: float | None = None,
        progress: Progress | None = None,
    ) -> OperationResult:
        """Create an instance and, unless told otherwise, start it.

        The service is visible from the moment that its record is durable. When its start fails while the caller
        waits, it is removed again once its cleanup succeeded; otherwise it stays, failed, with what is left named.

        Raises:
            NotFoundError, ArgumentError, ClassUnavailableError: nothing was created.
            AlreadyExistsError, ConflictError: the name or the idempotency key is taken with other args, or what the
                request's plan depends on has changed since.
            OstlerError: the start failed.
        """
        self._refuse_when_leaving()
        if request.plan_id:
            request = self.plans.accept(request)
        entry = self.classes.get(request.class_name)
        args = self._factory.effective_args(entry, request.args, request.name)
        digest = request_digest(request.class_name, args)
        name = request.name or self._factory.default_name(entry, args)
        existing = self._factory.replayed(request, name, digest, self._instances())
        if existing is not None:
            return await self._replay(existing, request, wait=wait, timeout=timeout, progress=progress)
        if request.start:
            availability = self.classes.availability(request.class_name)
            unlisted = [t for t in availability.missing_tools if not self._factory.may_come(t)]
            if unlisted:
                raise ClassUnavailableError(
                    request.class_name,
                    unlisted,
                    service=name,
                    next_actions=(f"mend this: {availability.reason}", "mcpserver_list shows the servers there are"),
                )
        instance = self._factory.make(entry, request, name, args, digest)
        self._graph.check(instance)
        await self._admit(instance)
        if not request.start:
            return OperationResult(instance.view(), f"service {name} was created (not started)")
        operation = instance.request(OperationKind.START, reason="created")
        return await self._settle_create(instance, operation, wait=wait, timeout=timeout, progress=progress)

    async def _admit(self, instance: ServiceInstance) -> None:
        name = instance.name
        if name in self._names_in_creation:
            raise AlreadyExistsError(f"service {name!r} already exists (it is being created)", service=name)
        self._names_in_creation.add(name)
        try:
            if name in self.registry:
                raise AlreadyExistsError(f"service {name!r} already exists", service=name)
            await instance.commit()
            self._register(instance)
        finally:
            self._names_in_creation.discard(name)
        self.events.append(
            EventKind.SERVICE_CREATED, name, f"created from class {instance.record.class_name}"
            + (f" by {instance.record.owner}" if instance.record.owner else ""),
        )  # fmt: skip

    async def _settle_create(
        self,
        instance: ServiceInstance,
        operation: Operation,
        *,
        wait: bool,
        timeout: float | None,
        progress: Progress | None,
    ) -> OperationResult:
        name = instance.name
        if not wait:
            return OperationResult(
                instance.view(),
                f"service {name} was created and is starting",
                finished=False,
                operation_id=operation.id,
            )
        try:
            with anyio.move_on_after(timeout):
                await follow(operation, progress)
                return OperationResult(
                    instance.view(), f"service {name} was created and is running", operation_id=operation.id
                )
        except OstlerError as error:
            await self._remove_failed_create(instance, error)
            raise
        return OperationResult(
            instance.view(), f"service {name} was created and is still starting", finished=False,
            operation_id=operation.id,
        )  # fmt: skip

    async def _remove_failed_create(self, instance: ServiceInstance, error: OstlerError) -> None:
        clean = not instance.record.has_leftover
        if not clean or instance.state is not ServiceState.FAILED or instance.operation is not None:
            if instance.state is ServiceState.FAILED:
                error.summary += f"; service {instance.name!r} is kept as failed"
            return
        with anyio.CancelScope(shield=True):
            try:
                await instance.request(OperationKind.DELETE, reason="its start failed on create").wait()
            except OstlerError as delete_error:
                logger.warning("%s", delete_error)
                return
            error.summary += f"; service {instance.name!r} was not created"

    async def _replay(
        self,
        instance: ServiceInstance,
        request: CreateRequest,
        *,
        wait: bool,
        timeout: float | None,
        progress: Progress | None,
    ) -> OperationResult:
        if request.start and not instance.state.is_up:
            result = await self._carry_out(instance, OperationKind.START, wait=wait, timeout=timeout, progress=progress)
            message = f"service {instance.name} already exists with the same arguments; {result.message}"
            return OperationResult(
                result.service, message, changed=result.changed, finished=result.finished,
                operation_id=result.operation_id,
            )  # fmt: skip
        return OperationResult(
            instance.view(), f"service {instance.name} already exists with the same arguments", changed=False
        )

    async def _create_dependency(self, class_name: str, name: str, args: JsonObject, owner: str) -> Service:
        await self.create(CreateRequest(class_name, name, args, owner=owner, labels={CREATED_FOR: owner}, start=False))
        return self.registry.get(name)

    def _register(self, instance: ServiceInstance) -> None:
        self.registry.register(instance)
        self._graph.resolve(instance)

    def _unregister(self, instance: ServiceInstance) -> None:
        self.health.forget(instance)
        self._restarts.forget(instance)
        if self.registry.find(instance.name) is instance:
            self.registry.unregister(instance.name)
        self.events.append(EventKind.SERVICE_DELETED, instance.name, "deleted")
        for orphan in self._graph.forget(instance):
            if isinstance(orphan, ServiceInstance) and not self._leaving:
                orphan.request(OperationKind.DELETE, reason=f"made for {instance.name}, which was deleted")

    # -- operations ----------------------------------------------------------------------------------------

    async def start_service(
        self, name: str, *, wait: bool = True, timeout: float | None = None, progress: Progress | None = None
    ) -> OperationResult:
        """Start the service `name`; says so when it is already running.

        Raises:
            NotFoundError: there is no such service.
            OstlerError: the start failed, or a later request took its place.
        """
        return await self._operate(name, OperationKind.START, wait=wait, timeout=timeout, progress=progress)

    async def stop_service(
        self, name: str, *, wait: bool = True, timeout: float | None = None, progress: Progress | None = None
    ) -> OperationResult:
        """Stop the service `name` by its pinned plan; a start under way is cancelled and cleaned up."""
        return await self._operate(name, OperationKind.STOP, wait=wait, timeout=timeout, progress=progress)

    async def restart_service(
        self, name: str, *, wait: bool = True, timeout: float | None = None, progress: Progress | None = None
    ) -> OperationResult:
        """Restart the service `name`."""
        return await self._operate(name, OperationKind.RESTART, wait=wait, timeout=timeout, progress=progress)

    async def delete(
        self,
        name: str,
        *,
        force: bool = False,
        abandon: bool = False,
        wait: bool = True,
        timeout: float | None = None,
        progress: Progress | None = None,
    ) -> OperationResult:
        """Stop and forget the service `name`.

        Args:
            name: which.
            force: forget it even when its stop tool fails.
            abandon: forget it without calling its stop tool.
            wait: wait for the end.
            timeout: seconds to wait at most.
            progress: told how far it is.

        Raises:
            NotFoundError: there is no such service.
            OstlerError: stopping failed; the service is kept.
        """
        self._refuse_when_leaving()
        service = self.registry.get(name)
        if not isinstance(service, ServiceInstance):
            raise OperationError(
                f"service {name!r} is a configured {service.service_type}; it cannot be deleted here",
                service=name,
                next_actions=("remove its entry from mcp.json", f"or service_stop {name}"),
            )
        return await self._carry_out(
            service, OperationKind.DELETE, force=force, abandon=abandon, wait=wait, timeout=timeout, progress=progress
        )

    async def check_health(self, name: str) -> ServiceView:
        """Check the health of the service `name` now and return its snapshot."""
        service = self.registry.get(name)
        if isinstance(service, ServiceInstance):
            await service.check_health()
        return service.view()

    async def renew(self, name: str, lease: float) -> ServiceView:
        """Let the lease of the service `name` end `lease` seconds from now.

        Raises:
            NotFoundError: there is no such instance.
        """
        service = self.registry.get(name)
        if not isinstance(service, ServiceInstance):
            raise OperationError(f"service {name!r} has no lease: it is a configured {service.service_type}")
        await self._leases.renew(service, lease)
        return service.view()

    async def _operate(
        self, name: str, kind: OperationKind, *, wait: bool, timeout: float | None, progress: Progress | None
    ) -> OperationResult:
        self._refuse_when_leaving()
        service = self.registry.get(name)
        if isinstance(service, ServiceInstance):
            return await self._carry_out(service, kind, wait=wait, timeout=timeout, progress=progress)
        return await self._operate_static(service, kind, timeout=timeout)

    async def _operate_static(self, service: Service, kind: OperationKind, *, timeout: float | None) -> OperationResult:
        was_up, was_stopped = service.state.is_up, service.state is ServiceState.STOPPED
        if kind is OperationKind.START and was_up:
            return OperationResult(service.view(), f"service {service.name} is already running", changed=False)
        if kind is OperationKind.STOP and was_stopped:
            return OperationResult(service.view(), f"service {service.name} is already stopped", changed=False)
        with anyio.move_on_after(timeout) as scope:
            match kind:
                case OperationKind.START:
                    await service.start()
                case OperationKind.STOP:
                    await service.stop()
                case _:
                    await service.restart()
        done = not scope.cancelled_caught
        words = {OperationKind.START: "started", OperationKind.STOP: "stopped"}.get(kind, "restarted")
        message = f"service {service.name} was {words}" if done else f"service {service.name} is not there yet"
        return OperationResult(service.view(), message, finished=done)

    async def _carry_out(
        self,
        instance: ServiceInstance,
        kind: OperationKind,
        *,
        wait: bool,
        timeout: float | None,
        progress: Progress | None,
        force: bool = False,
        abandon: bool = False,
    ) -> OperationResult:
        if kind is OperationKind.STOP:
            self._restarts.forget(instance)
        operation = instance.request(kind, reason="requested", force=force, abandon=abandon)
        if wait:
            with anyio.move_on_after(timeout):
                await follow(operation, progress)
                message = operation.message + self._still_using(instance, kind)
                return OperationResult(instance.view(), message, changed=operation.changed, operation_id=operation.id)
        return OperationResult(
            instance.view(),
            f"{kind.value} of service {instance.name} is under way",
            finished=False,
            operation_id=operation.id,
        )

    def _still_using(self, instance: ServiceInstance, kind: OperationKind) -> str:
        """Say which running services depend on one that was just taken away."""
        if kind not in (OperationKind.STOP, OperationKind.DELETE):
            return ""
        users = [dependent.name for dependent in self._graph.dependents(instance.name) if dependent.state.is_up]
        return f"; still running and depending on it: {', '.join(users)}" if users else ""

    def _refuse_when_leaving(self) -> None:
        if self._leaving or self._runtime.task_group is None:
            raise OperationError("the server is shutting down", next_actions=("try again in a moment",))

    # -- reactions -----------------------------------------------------------------------------------------

    def _instance_changed(self, instance: ServiceInstance) -> None:
        """React to a change of an instance: removal, restart policy, dependents that wait for it."""
        if self._leaving:
            return
        self._restarts.consider(instance)
        self._graph.wake_dependents(instance)

    def _server_changed(self, server: str) -> None:
        """A downstream server came, went or lists other tools: tell what it drives."""
        assert self._runtime.tools is not None
        connected = self._runtime.tools.server_status(server).connected
        for instance in self._instances():
            if server not in instance.service_class.servers():
                continue
            if not connected:
                instance.set_reachability(Reachability.UNREACHABLE)
            elif instance.reachability is not Reachability.REACHABLE:
                instance.set_reachability(Reachability.REACHABLE)
                self._recovery.server_is_back(instance)
                self._restarts.hurry(instance)
        if connected:
            self._graph.wake_waiting_for(server)
