"""Creating services: from a request to a registered instance, its first start, and what is left when that fails."""

import logging

import anyio

from ostler.engine.classes.catalogue import ClassCatalogue, ClassEntry
from ostler.engine.dependencies.graph import CREATED_FOR, DependencyGraph
from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.instances.operations import Operation, follow
from ostler.engine.instances.runtime import Runtime
from ostler.engine.protocols import Progress
from ostler.engine.requests.commands import Requests
from ostler.engine.requests.idempotency import Asked
from ostler.engine.requests.preparation import InstanceFactory, request_digest
from ostler.engine.services.registry import ServiceRegistry
from ostler.engine.services.service import Service
from ostler.engine.services.views import CreateRequest, OperationResult
from ostler.model.errors import AlreadyExistsError, ClassUnavailableError, OstlerError
from ostler.model.events import EventKind
from ostler.model.json import JsonObject
from ostler.model.records import OperationKind
from ostler.model.states import ServiceState
from ostler.rules.calls.overrides import overridden_args

logger = logging.getLogger(__name__)


class Creator:
    """Carries out creates, of people and of dependencies that are made on demand."""

    def __init__(
        self, runtime: Runtime, registry: ServiceRegistry, classes: ClassCatalogue, factory: InstanceFactory
    ) -> None:
        self._runtime = runtime
        self._registry = registry
        self._classes = classes
        self._factory = factory
        self._names_in_creation: set[str] = set()

    async def create(
        self,
        request: CreateRequest,
        graph: DependencyGraph,
        requests: Requests,
        *,
        wait: bool = True,
        timeout: float | None = None,
        progress: Progress | None = None,
    ) -> OperationResult:
        """Carry out `request`; see `ServiceManager.create`."""
        entry, args = self._prepared(request)
        digest = request_digest(request.class_name, args, request.overrides)
        name = self._factory.name_of(request, entry, args)
        existing = self._factory.replayed(
            request, name, digest, [s for s in self._registry.get_all() if isinstance(s, ServiceInstance)]
        )
        if existing is not None:
            return await self._replay(existing, request, requests, wait=wait, timeout=timeout, progress=progress)
        if request.start:
            availability = self._classes.availability(request.class_name)
            unlisted = [t for t in availability.missing_tools if not self._factory.may_come(t)]
            if unlisted:
                raise ClassUnavailableError(
                    request.class_name,
                    unlisted,
                    service=name,
                    next_actions=(f"mend this: {availability.reason}", "mcpserver_list shows the servers there are"),
                )
        instance = self._factory.make(entry, request, name, args, digest)
        graph.check(instance)
        operation = await self._admit(instance, start=request.start)
        if operation is None:
            return OperationResult(instance.view(), f"service {name} was created (not started)")
        return await self._settle_create(instance, operation, wait=wait, timeout=timeout, progress=progress)

    def difference(self, request: CreateRequest) -> str:
        """Return what keeps the service of that name from being what `request` makes; empty when nothing does.

        Raises:
            NotFoundError: there is no such service, or no such class.
            ArgumentError: the args do not fit.
        """
        entry, args = self._prepared(request)
        instance = self._registry.get(self._factory.name_of(request, entry, args))
        if not isinstance(instance, ServiceInstance):
            return f"it is a {instance.service_type}"
        record = instance.record
        if record.class_name != request.class_name:
            return f"its class is {record.class_name}"
        if record.args != args:
            names = sorted(key for key in {*record.args, *args} if record.args.get(key) != args.get(key))
            return f"args {', '.join(names)}"
        if record.request_digest != request_digest(request.class_name, args, request.overrides):
            return "its overrides"
        return "" if record.class_digest == entry.digest else "its class is another version"

    def _prepared(self, request: CreateRequest) -> tuple[ClassEntry, JsonObject]:
        """Return the class and the args of `request`, with its overrides in both."""
        entry = self._classes.get(request.class_name)
        given = request.args
        if request.overrides is not None:
            given = overridden_args(entry.service_class, request.overrides, given)
            entry = self._factory.changed(entry, request.overrides)
        return entry, self._factory.effective_args(entry, given, request.name)

    async def _admit(self, instance: ServiceInstance, *, start: bool) -> Operation | None:
        """Make the instance durable and visible, together with its first start; return that."""
        name = instance.name
        if name in self._names_in_creation:
            raise AlreadyExistsError(f"service {name!r} already exists (it is being created)", service=name)
        self._names_in_creation.add(name)
        try:
            if name in self._registry:
                raise AlreadyExistsError(f"service {name!r} already exists", service=name)
            first = instance.first_start() if start else None
            await instance.commit(first)
            self._registry.register(instance)
        finally:
            self._names_in_creation.discard(name)
        self._runtime.events.append(
            EventKind.SERVICE_CREATED, name, f"created from class {instance.record.class_name}"
            + (f" by {instance.record.owner}" if instance.record.owner else ""),
        )  # fmt: skip
        if first is not None:
            instance.carry_out(first)
        return first

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
        requests: Requests,
        *,
        wait: bool,
        timeout: float | None,
        progress: Progress | None,
    ) -> OperationResult:
        if request.start and not instance.state.is_up:
            result = await requests.carry_out(
                instance, Asked(OperationKind.START), wait=wait, timeout=timeout, progress=progress
            )
            message = f"service {instance.name} already exists with the same arguments; {result.message}"
            return OperationResult(
                result.service, message, changed=result.changed, finished=result.finished,
                operation_id=result.operation_id,
            )  # fmt: skip
        return OperationResult(
            instance.view(), f"service {instance.name} already exists with the same arguments", changed=False
        )

    def virtual(self, class_name: str, name: str, args: JsonObject) -> ServiceInstance:
        """Return the instance that a create would give, to look at its dependencies."""
        entry = self._classes.get(class_name)
        effective = self._factory.effective_args(entry, args, name)
        digest = request_digest(class_name, effective)
        return self._factory.make(entry, CreateRequest(class_name, name, args), name, effective, digest)

    async def create_dependency(  # noqa: PLR0917 (what is made, for whom, and with what)
        self,
        class_name: str,
        name: str,
        args: JsonObject,
        user: ServiceInstance,
        graph: DependencyGraph,
        requests: Requests,
    ) -> Service:
        """Make a dependency of `user` on demand, not started."""
        request = CreateRequest(
            class_name,
            name,
            args,
            persist=user.record.persist,
            owner=user.record.owner,
            purpose=f"made for {user.name}",
            labels={CREATED_FOR: user.name},
            start=False,
        )
        await self.create(request, graph, requests)
        return self._registry.get(name)
