"""The ServiceManager: creates, starts, stops, restarts, deletes; owns the engine's tasks; brings services back."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from random import Random
from types import TracebackType
from typing import Self, Unpack, cast

import anyio

from ostler.engine.assembly import Assembly
from ostler.engine.clock import SystemClock, in_turns
from ostler.engine.dependencies.ordering import Failures, start_in_order, stop_in_order
from ostler.engine.events.log import EventLog
from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.instances.runtime import new_id
from ostler.engine.instances.sending import send_input
from ostler.engine.instances.verification import renew_outputs
from ostler.engine.keepers.health import CONCURRENCY
from ostler.engine.keepers.idleness import IdleKeeper
from ostler.engine.keepers.shutdown import SHUTDOWN_TIMEOUT, depart
from ostler.engine.protocols import ActivityMeter, Clock, Observer, Store, ToolCaller, ToolDirectory
from ostler.engine.services.reporting import StatusReporter
from ostler.engine.services.service import BaseService, HealthChecker, Service
from ostler.engine.services.views import (
    CreateRequest,
    Listed,
    OperationRequest,
    OperationResult,
    ServiceFilter,
    ServiceView,
    Waiting,
    WaitingOptions,
)
from ostler.model.errors import ClassUnavailableError, OperationError
from ostler.model.json import JsonMapping, JsonObject
from ostler.model.records import OperationKind, OperationRecord
from ostler.model.states import ServiceState
from ostler.rules.secrets.masking import mask, secret_strings
from ostler.rules.secrets.secret_marks import with_references

logger = logging.getLogger(__name__)


class ServiceManager:
    """The engine's face: one per process. Use it as an async context manager; it owns every task inside.

    Args:
        caller: calls downstream tools (the downstream pool, or your own ToolCaller).
        store: durable memory.
        tools: knows which tools exist; leave it out if your caller cannot list them.
        clock: wall time.
        environment, mark: what templates may see as `env.*` and `service.mark`, by which `leftovers` finds things.
        stop_on_exit: stop every service when leaving, in reverse dependency order.
        events: the event log; by default one over `store` with the usual bounds.
        shutdown_timeout: seconds that leaving may take.
        health_concurrency: health checks under way at once.
        rng: spreads checks and restarts in time.
        make_id: makes the ids of services and operations, each unique forever.
        reporter: receives the status of services, in words for people.
        observer: follows operations and health checks, for traces and metrics.
    """

    def __init__(
        self,
        caller: ToolCaller,
        store: Store,
        *,
        tools: ToolDirectory | None = None,
        clock: Clock | None = None,
        environment: Mapping[str, str] | None = None,
        mark: str = "",
        events: EventLog | None = None,
        stop_on_exit: bool = False,
        shutdown_timeout: float = SHUTDOWN_TIMEOUT,
        health_concurrency: int = CONCURRENCY,
        rng: Random | None = None,
        make_id: Callable[[], str] = new_id,
        reporter: StatusReporter | None = None,
        observer: Observer | None = None,
    ) -> None:
        clock = clock or SystemClock()
        self.stop_on_exit = stop_on_exit
        self._shutdown_timeout = shutdown_timeout
        self._parts = Assembly(
            caller,
            store,
            tools=tools,
            clock=clock,
            environment=environment or {},
            mark=mark,
            events=events or EventLog(clock, store),
            health_concurrency=health_concurrency,
            rng=rng or Random(),  # noqa: S311 (it spreads times)
            make_id=make_id,
            reporter=reporter,
            observer=observer,
        )
        self.events = self._parts.events
        self.registry = self._parts.registry
        self.classes = self._parts.classes
        self.departed, self.leases = self._parts.departed, self._parts.leases
        self.health = self._parts.health
        self.leftovers = self._parts.leftovers
        self.plans = self._parts.plans
        self._stack: AsyncExitStack | None = None

    def __repr__(self) -> str:
        return f"ServiceManager({len(self.registry)} services)"

    # -- life ----------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        state = await self._parts.store.load()
        await self.events.restore(state.events, state.last_cursor)
        async with AsyncExitStack() as stack:
            group = await stack.enter_async_context(anyio.create_task_group())
            await self._parts.begin(state, group)
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
            self._parts.end()
            suppressed = await self._stack.__aexit__(exc_type, exc, traceback)
            self._parts.task_group = None
        return suppressed

    async def _leave(self) -> None:
        parts = self._parts
        parts.is_leaving = True
        await depart(parts.instances, parts.graph, stop_all=self.stop_on_exit, timeout=self._shutdown_timeout)

    # -- reading -------------------------------------------------------------------------------------------

    def get_service_state(self, name: str) -> ServiceState:
        """Return the state of the service `name`; NotFoundError when there is none."""
        return self.registry.get(name).state

    def view(self, name: str) -> ServiceView:
        """Return a snapshot of the service `name`; NotFoundError when there is none."""
        return self.registry.get(name).view()

    def views(self, where: ServiceFilter | None = None) -> list[ServiceView]:
        """Return snapshots of the services that match, by name."""
        return [found.view() for found in self._services(where)]

    async def views_in_turns(self) -> list[ServiceView]:
        """Return snapshots of all services, by name, each of its own moment: others have their turn in between."""
        return await in_turns(found.view() for found in self._services(None))

    def listed(self, where: ServiceFilter | None = None) -> list[Listed]:
        """Return the services that match, by name, with what a list shows of them: no snapshots are built."""
        return [_listed(service) for service in self._services(where)]

    def _services(self, where: ServiceFilter | None) -> list[Service]:
        services = self.registry.get_all()
        if where is None or where == ServiceFilter():
            return services
        return [found for found in services if where.matches(_listed(found))]

    def reveal(self, name: str) -> tuple[JsonObject, JsonObject]:
        """Return (args, outputs) of an instance with its secrets unmasked; NotFoundError when there is none."""
        service = self.registry.get(name)
        if isinstance(service, ServiceInstance):
            return dict(service.record.args), dict(service.record.outputs)
        return {}, {}

    async def reveal_secrets(self, name: str) -> tuple[JsonObject, JsonObject]:
        """Return what `reveal` does, for someone who wants to see it; what is kept elsewhere as a reference to it."""
        args, outputs = self.reveal(name)
        return cast("JsonObject", with_references(args)), cast("JsonObject", with_references(outputs))

    def secrets(self) -> frozenset[str]:
        """Return every secret text of every service, for masking what is not about one service alone."""
        return frozenset[str]().union(*(instance.secrets for instance in self._parts.instances()))

    def instances_of(self, class_name: str) -> list[str]:
        """Return the names of the instances of a class."""
        return [instance.name for instance in self._parts.instances() if instance.record.class_name == class_name]

    async def history(self, name: str, limit: int = 20) -> Sequence[OperationRecord]:
        """Return the newest operations of a service, newest first; NotFoundError when there is no such service."""
        service = self.registry.get(name)
        if isinstance(service, ServiceInstance):
            return await self._parts.store.operations(service.id, limit=limit)
        return []

    @property
    def recovered(self) -> anyio.Event:
        """Set when everything of the earlier run has been verified and resolved once."""
        return self._parts.recovery.finished

    @property
    def has_work(self) -> bool:
        """Whether there is something to supervise: a service that is not settled at stopped or failed."""
        return any(
            instance.operation is not None
            or instance.state not in (ServiceState.STOPPED, ServiceState.FAILED, ServiceState.UNKNOWN)
            for instance in self._parts.instances()
        )

    # -- all at once ---------------------------------------------------------------------------------------

    async def start_all(self, *, timeout: float | None = None) -> Failures:
        """Start every service that is not up, as early as its dependencies allow; return the failures by name.

        Args:
            timeout: seconds to wait; what is not up by then is among the failures, and continues on its own.
        """
        self._refuse_when_leaving()
        services = [service for service in self.registry.get_all() if not service.state.is_up]
        return await start_in_order(services, self._parts.needs, timeout=timeout)

    async def stop_all(self, *, timeout: float | None = None) -> Failures:
        """Stop every service, dependents before what they depend on; return the failures by name.

        Args:
            timeout: seconds to wait; what is not down by then is among the failures.
        """
        self._refuse_when_leaving()
        graph, stop = self._parts.graph, self._parts.requests.stop
        return await stop_in_order(self.registry.get_all(), graph, stop, timeout=timeout)

    # -- creating ------------------------------------------------------------------------------------------

    def validate(
        self, class_name: str, args: JsonObject, name: str = "", *, numbers_as_text: bool = False, folder: str = ""
    ) -> JsonObject:
        """Return the effective args (masked) of a create, without doing anything; see `CreateRequest`.

        Raises:
            NotFoundError: there is no such class.
            ArgumentError: the args or the name do not fit; all problems at once.
            ClassUnavailableError: tools of the class are missing.
        """
        entry = self.classes.get(class_name)
        factory = self._parts.factory
        effective = factory.effective_args(entry, args, name, numbers_as_text=numbers_as_text, folder=folder)
        if missing := self.classes.availability(class_name).missing_tools:
            raise ClassUnavailableError(class_name, missing)
        return mask(effective, secret_strings(entry.service_class.spec.args, effective))

    def chosen_dependencies(self, request: CreateRequest) -> list[str]:
        """Return the services that the args of `request` would make its service depend on, whether they exist or not.

        Raises:
            OstlerError: as `create` would; nothing is made.
        """
        factory = self._parts.factory
        return self._parts.graph.chosen(factory.make(factory.prepare(request)))

    def name_of(self, request: CreateRequest) -> str:
        """Return the name of the service that `request` makes; a generated one may be another one next time.

        Raises:
            OstlerError: as `create` would; nothing is made.
        """
        return self._parts.factory.prepare(request).name

    def difference(self, request: CreateRequest) -> str:
        """Return in words how the service of that name differs from what `request` makes; empty when it does not.

        Raises:
            NotFoundError: there is no such service, or no such class.
            ArgumentError: the args do not fit.
        """
        return self._parts.creator.difference(request)

    async def create(self, request: CreateRequest, **waiting: Unpack[WaitingOptions]) -> OperationResult:
        """Create an instance and, by default, start it.

        The service is visible from the moment that its record is durable. When its start fails while the caller
        waits, it is removed again once its cleanup succeeded; otherwise it stays, failed, with what is left named.

        Args:
            request: what to create.
            waiting: how to wait for its start, as the fields of `Waiting`.

        Raises:
            NotFoundError, ArgumentError, ClassUnavailableError: nothing was created.
            AlreadyExistsError, ConflictError: the name or the idempotency key is taken with other args, or what the
                request's plan depends on has changed since.
            OstlerError: the start failed.
        """
        self._refuse_when_leaving()
        if request.plan_id:
            request = self.plans.accept(request)
        self._parts.factory.check_request(request)
        return await self._parts.requests.create(request, Waiting(**waiting))

    # -- operations ----------------------------------------------------------------------------------------

    async def operate(self, name: str, asked: OperationRequest, **waiting: Unpack[WaitingOptions]) -> OperationResult:
        """Carry out what is asked of the service `name`.

        A start says so when the service is already running. A stop follows the plan that the start pinned; it cancels
        a start under way and cleans up after it. A delete stops the service and forgets it. The answer to an
        idempotency key stays when the service is gone.

        Args:
            name: which.
            asked: what to do.
            waiting: how to wait for the end, as the fields of `Waiting`.

        Raises:
            NotFoundError: there is no such service.
            ConflictError: the idempotency key was used for this service with other arguments.
            OstlerError: it failed, of the service itself or of a dependent, or a later request took its place.
        """
        self._refuse_when_leaving()
        return await self._parts.requests.operate(name, asked, Waiting(**waiting))

    async def send_input(self, name: str, text: str, *, enter: bool = True) -> str:
        """Send `text` to what the service `name` runs, with Enter after it if `enter`; return what its tool answered.

        Raises:
            NotFoundError: there is no such service.
            OperationError: its class has no tool for it, or it does not run.
            OstlerError: the tool failed.
        """
        self._refuse_when_leaving()
        service = self.registry.get(name)
        if not isinstance(service, ServiceInstance):
            raise OperationError(
                f"service {name!r} is a configured {service.service_type}: it has no input", service=name
            )
        return await send_input(service, text, enter=enter)

    async def start_service(
        self,
        name: str,
        *,
        adopt: JsonObject | None = None,
        idempotency_key: str = "",
        **waiting: Unpack[WaitingOptions],
    ) -> OperationResult:
        """Start the service `name`; see `OperationRequest` and `operate`."""
        return await self.operate(name, OperationRequest(OperationKind.START, idempotency_key, adopt=adopt), **waiting)

    async def stop_service(
        self,
        name: str,
        *,
        dependents: bool = False,
        idempotency_key: str = "",
        **waiting: Unpack[WaitingOptions],
    ) -> OperationResult:
        """Stop the service `name`; see `OperationRequest` and `operate`."""
        asked = OperationRequest(OperationKind.STOP, idempotency_key, dependents=dependents)
        return await self.operate(name, asked, **waiting)

    async def restart_service(
        self, name: str, *, idempotency_key: str = "", **waiting: Unpack[WaitingOptions]
    ) -> OperationResult:
        """Restart the service `name`; see `OperationRequest` and `operate`."""
        return await self.operate(name, OperationRequest(OperationKind.RESTART, idempotency_key), **waiting)

    async def delete(
        self,
        name: str,
        *,
        force: bool = False,
        abandon: bool = False,
        idempotency_key: str = "",
        **waiting: Unpack[WaitingOptions],
    ) -> OperationResult:
        """Stop and forget the service `name`; see `OperationRequest` and `operate`."""
        asked = OperationRequest(OperationKind.DELETE, idempotency_key, force=force, abandon=abandon)
        return await self.operate(name, asked, **waiting)

    async def check_health(self, name: str) -> ServiceView:
        """Check the health of the service `name` now and return its snapshot.

        A service that is not up, or that nothing can check, is shown as it is.

        Raises:
            NotFoundError: there is no such service.
        """
        service = self.registry.get(name)
        if isinstance(service, HealthChecker):
            await service.check_health()
        return service.view()

    def recheck(self, server: str, about: JsonMapping) -> None:
        """Check now the services that `server` drives and that are checked with the arguments `about`.

        For adapters that notice a change on their own, such as the exit of a process: what they noticed is no more
        than a reason to look, so a false or late word does no harm. Never blocks.

        Args:
            server: the downstream server's name.
            about: arguments that the services' health checks have, such as `{"key": "db"}`.
        """
        group = self._parts.task_group
        if group is None or self._parts.is_leaving:
            return
        for instance in self._parts.instances():
            if instance.health_check.asks(server, about):
                group.start_soon(self._check_now, instance, name=f"ostler-recheck-{instance.name}")

    @staticmethod
    async def _check_now(instance: ServiceInstance) -> None:
        await instance.wait_idle()
        try:
            await instance.health_check.run()
            if instance.state.is_up and not instance.vitals.failures:
                await renew_outputs(instance)
        except Exception:  # boundary: a bug in one check must not end the manager
            logger.exception("check of %r failed unexpectedly", instance.name)

    async def stop_idle(self, meter: ActivityMeter) -> None:
        """Stop services that have an `idleStop` and are not used, as `meter` says; until cancelled."""
        await IdleKeeper(self._parts, self._parts.instances, self._parts.graph, meter).run()

    async def renew(self, name: str, lease: float | None = None) -> ServiceView:
        """Let the lease of the service `name` end `lease` seconds from now (None: its own length again).

        A service without a lease gets one. Durable when this returns.

        Raises:
            NotFoundError: there is no such service.
            OperationError: it is a configured service, which has no lease.
            ArgumentError: the length is not positive, or there is none.
        """
        self._refuse_when_leaving()
        service = self.registry.get(name)
        if not isinstance(service, ServiceInstance):
            raise OperationError(
                f"service {name!r} is a configured {service.service_type} and has no lease",
                service=name,
                next_actions=("leases are for services made with service_create",),
            )
        await self._parts.leases.renew(service, lease)
        return service.view()

    def _refuse_when_leaving(self) -> None:
        if self._parts.is_leaving or self._parts.task_group is None:
            raise OperationError("the server is shutting down", next_actions=("try again in a moment",))


def _listed(service: Service) -> Listed:
    return service if isinstance(service, BaseService) else service.view()
