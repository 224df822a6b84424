"""The ServiceManager: creates, starts, stops, restarts, deletes; owns the engine's tasks; brings services back."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack, cast

import anyio

from ostler.engine.assembly import Assembly
from ostler.engine.classes.catalogue import ClassCatalogue
from ostler.engine.clock import SystemClock
from ostler.engine.dependencies.ordering import Failures, start_in_order, stop_in_order
from ostler.engine.events.log import EventLog
from ostler.engine.insight.preview import Planner
from ostler.engine.instances.console import send_input
from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.instances.runtime import new_id
from ostler.engine.instances.verification import renew_outputs
from ostler.engine.keepers.health import CONCURRENCY
from ostler.engine.keepers.idleness import IdleKeeper
from ostler.engine.keepers.shutdown import SHUTDOWN_TIMEOUT, depart
from ostler.engine.management import Manager
from ostler.engine.protocols import (
    ActivityMeter,
    Clock,
    Foresight,
    Observer,
    Store,
    ToolCaller,
    ToolDirectory,
    no_foresight,
)
from ostler.engine.services.registry import ServiceRegistry
from ostler.engine.services.reporting import StatusReporter
from ostler.engine.services.service import HealthChecker
from ostler.engine.services.views import (
    CreateRequest,
    OperationRequest,
    OperationResult,
    ServiceView,
    Waiting,
    WaitingOptions,
)
from ostler.model.errors import ClassUnavailableError, OperationError, OstlerError
from ostler.model.json import JsonMapping, JsonObject
from ostler.model.records import OperationRecord
from ostler.model.states import ServiceState
from ostler.rules.secrets.masking import mask, secret_strings
from ostler.rules.secrets.secret_marks import with_references

if TYPE_CHECKING:
    from ostler.engine.keepers.leftovers import Leftovers

logger = logging.getLogger(__name__)


class ServiceManager(Manager):
    """The engine: one per process. Use it as an async context manager; it owns every task inside.

    Args:
        caller: calls downstream tools (the downstream pool, or your own ToolCaller).
        store: durable memory.
        tools: knows which tools exist; leave it out if your caller cannot list them.
        clock: wall time.
        environment: what templates see as `env.*`.
        mark: what templates see as `service.mark`, by which `leftovers` finds resources.
        stop_on_exit: stop every service when leaving, in reverse dependency order.
        events: the event log; by default one over `store` with the usual bounds.
        shutdown_timeout: seconds that leaving may take.
        health_concurrency: health checks under way at once.
        rng: spreads checks and restarts in time.
        make_id: makes the ids of services and operations, each unique forever.
        reporter: receives the status of services, in words for people.
        observer: follows operations and health checks, for traces and metrics.
        foresight: predicts the failure of some starts, so that no running service is stopped for them.
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
        foresight: Foresight = no_foresight,
    ) -> None:
        clock = clock or SystemClock()
        self.stop_on_exit = stop_on_exit
        self._shutdown_timeout = shutdown_timeout
        self._parts = Assembly(
            caller,
            store,
            clock,
            events=events or EventLog(clock, store),
            tools=tools,
            environment=environment or {},
            mark=mark,
            random=rng or Random(),  # noqa: S311 (it spreads times)
            make_id=make_id,
            observer=observer,
            foresight=foresight,
            health_concurrency=health_concurrency,
            reporter=reporter,
        )
        self.leases = self._parts.leases
        self.health = self._parts.health
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

    @property
    def registry(self) -> ServiceRegistry:
        """The services."""
        return self._parts.registry

    @property
    def events(self) -> EventLog:
        """What happened."""
        return self._parts.events

    @property
    def classes(self) -> ClassCatalogue:
        """The classes."""
        return self._parts.classes

    @property
    def plans(self) -> Planner:
        """What would be done."""
        return self._parts.plans

    def find_removed(self, name: str) -> ServiceInstance | None:
        """See `Manager.find_removed`."""
        return self._parts.departed.find(name, lambda full: self.registry.find(full) is not None)

    def why_not_created(self, name: str) -> str:
        """Return when the start failed that created the service `name`, in words; empty if none did lately."""
        return self._parts.departed.why_not_created(name)

    def leftovers(self) -> "Leftovers":
        """Return what finds and removes resources of services that no longer exist."""
        return self._parts.leftovers()

    def reveal(self, name: str) -> tuple[JsonObject, JsonObject]:
        """Return (args, outputs) of an instance with its secrets unmasked; NotFoundError when there is none."""
        service = self.registry.get(name)
        if isinstance(service, ServiceInstance):
            return dict(service.record.args), dict(service.record.outputs)
        return {}, {}

    async def reveal_secrets(self, name: str) -> tuple[JsonObject, JsonObject]:
        """See `Manager.reveal_secrets`."""
        args, outputs = self.reveal(name)
        return cast("JsonObject", with_references(args)), cast("JsonObject", with_references(outputs))

    def secrets(self) -> frozenset[str]:
        """See `Manager.secrets`."""
        return frozenset[str]().union(*(instance.secrets for instance in self._parts.instances()))

    def instances_of(self, class_name: str) -> list[str]:
        """See `Manager.instances_of`."""
        return [instance.name for instance in self._parts.instances() if instance.record.class_name == class_name]

    async def history(self, name: str, limit: int = 20) -> Sequence[OperationRecord]:
        """See `Manager.history`."""
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
        """See `Manager.validate`."""
        entry = self.classes.get(class_name)
        factory = self._parts.factory
        effective = factory.effective_args(entry, args, name, numbers_as_text=numbers_as_text, folder=folder)
        if missing := self.classes.availability(class_name).missing_tools:
            raise ClassUnavailableError(class_name, missing)
        return mask(effective, secret_strings(entry.service_class.spec.args, effective))

    def chosen_dependencies(self, request: CreateRequest) -> list[str]:
        """See `Manager.chosen_dependencies`."""
        factory = self._parts.factory
        return self._parts.graph.chosen(factory.make(factory.prepare(request)))

    def name_of(self, request: CreateRequest) -> str:
        """See `Manager.name_of`."""
        return self._parts.factory.prepare(request).name

    def difference(self, request: CreateRequest) -> str:
        """See `Manager.difference`."""
        return self._parts.creator.difference(request)

    def renew_class(self, request: CreateRequest) -> None:
        """Let an existing service, which is as `request` asks for, use its class as that is now.

        Raises:
            NotFoundError: there is no such service, or no such class.
            ArgumentError: the args do not fit.
        """
        self._parts.creator.renew_class(request)

    async def foresee(self, request: CreateRequest) -> OstlerError | None:
        """Return why the start of the service that `request` makes is known to fail; None if that is not known."""
        return await self._parts.creator.foresee(request)

    def unavailable(self, class_name: str) -> ClassUnavailableError | None:
        """Return why no service of the class `class_name` can start, such as a server that is not configured."""
        return self._parts.creator.unavailable(class_name)

    async def create(self, request: CreateRequest, **waiting: Unpack[WaitingOptions]) -> OperationResult:
        """See `Manager.create`."""
        self._refuse_when_leaving()
        if request.plan_id:
            request = self.plans.accept(request)
        self._parts.factory.check_request(request)
        return await self._parts.requests.create(request, Waiting(**waiting))

    # -- operations ----------------------------------------------------------------------------------------

    async def operate(self, name: str, asked: OperationRequest, **waiting: Unpack[WaitingOptions]) -> OperationResult:
        """See `Manager.operate`."""
        self._refuse_when_leaving()
        return await self._parts.requests.operate(name, asked, Waiting(**waiting))

    async def send_input(self, name: str, text: str, *, enter: bool = True) -> str:
        """See `Manager.send_input`."""
        self._refuse_when_leaving()
        service = self.registry.get(name)
        if not isinstance(service, ServiceInstance):
            raise OperationError(
                f"service {name!r} is a configured {service.service_type}: it has no input",
                service=name,
                next_actions=("service_list shows the services that were made from classes",),
            )
        return await send_input(service, text, enter=enter)

    async def check_health(self, name: str) -> ServiceView:
        """See `Manager.check_health`."""
        service = self.registry.get(name)
        if isinstance(service, HealthChecker):
            await service.check_health()
        return service.view()

    def recheck(self, server: str, about: JsonMapping) -> None:
        """Check now the services that `server` drives and that are checked with the arguments `about`.

        For adapters that notice a change on their own, such as the exit of a process: what they noticed is no more
        than a reason to look, so a false or late notice does no harm. Never blocks.

        Args:
            server: the downstream server's name.
            about: arguments that the services' health checks have, such as `{"key": "db"}`.
        """
        group = self._parts.task_group
        if group is None or self._parts.is_leaving:
            return
        for instance in self._parts.instances():
            is_checked = instance.state.is_up or instance.operation is not None  # to render another's takes 34 µs
            if is_checked and instance.health_check.asks(server, about):
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
        """See `Manager.renew`."""
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
