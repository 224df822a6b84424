"""Creating services: from a request to a registered instance, its first start, and what is left when that fails."""

import logging
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import anyio
from msgspec import Struct
from msgspec.structs import replace as with_fields

from ostler.engine.classes.catalogue import ClassCatalogue
from ostler.engine.dependencies.graph import DependencyGraph, ResolvedDependency
from ostler.engine.instances.compensation import CREATE_AGAIN, is_in_doubt, start_again
from ostler.engine.instances.departed import NOT_CREATED
from ostler.engine.instances.instance import ServiceInstance, instances_in
from ostler.engine.instances.operations import Operation
from ostler.engine.instances.refusals import failure_of_start, refuse_failing_start
from ostler.engine.instances.runtime import Runtime
from ostler.engine.instances.starting import first_intent
from ostler.engine.instances.state import InstanceState
from ostler.engine.requests.idempotency import key_conflict, used_for
from ostler.engine.requests.instance_factory import InstanceFactory, NewService, dependency_request, without_gained
from ostler.engine.services.registry import ServiceRegistry
from ostler.engine.services.service import Service
from ostler.engine.services.views import CREATED_FOR, CreateRequest, OperationRequest
from ostler.model.errors import AlreadyExistsError, ClassUnavailableError, ConflictError, OstlerError
from ostler.model.events import EventKind
from ostler.model.records import CallOutcome, OperationKind
from ostler.model.settings import CancelledCreate
from ostler.model.states import DesiredState, ServiceState
from ostler.rules.calls.rendering import logs_call
from ostler.rules.loading.manifests import program_digest
from ostler.rules.text.log_pages import LAST_LOG_LINES, NO_OUTPUT

logger = logging.getLogger(__name__)

Deletion: TypeAlias = Callable[[ServiceInstance], Awaitable[Operation]]
"""Begins the deletion of a service, which keeps what it has."""

_KEEPING = OperationRequest(OperationKind.DELETE, keep=True)


class Placed(Struct, frozen=True):
    """The outcome of placing a create request.

    Attributes:
        instance: the new service, or the one that an equal request made before.
        start: its first start; None if it is not to be started, or existed before.
        is_new: whether it was made now.
        warnings: what tools said besides that stopped the service which it replaces.
    """

    instance: ServiceInstance
    start: Operation | None = None
    is_new: bool = True
    warnings: tuple[str, ...] = ()


class _Making(Struct, frozen=True, eq=False):
    """A service that is being made durable; `ended` is set when it exists, or could not be made."""

    class_name: str
    key: str
    ended: anyio.Event


class InstanceLimitError(ConflictError):
    """A class has as many instances as it allows (`maxInstances`); `instances` names them."""

    def __init__(self, class_name: str, limit: int, instances: Sequence[str], *, service: str | None = None) -> None:
        self.class_name = class_name
        self.limit = limit
        self.instances = tuple(sorted(instances))
        named = f": {', '.join(self.instances[:5])}" if instances else ""
        some = (f"service_delete one of them, such as {self.instances[0]}",) if instances else ()
        super().__init__(
            f"class {class_name!r} has {max(limit, len(instances))} instance{'' if limit == 1 else 's'} already, and "
            f"allows {limit} (maxInstances){named}",
            service=service,
            next_actions=("use one of them", *some),
        )


class Creator:
    """Makes services, for people and as dependencies on demand."""

    def __init__(
        self,
        runtime: Runtime,
        registry: ServiceRegistry,
        classes: ClassCatalogue,
        factory: InstanceFactory,
        graph: DependencyGraph,
    ) -> None:
        self._runtime = runtime
        self._registry = registry
        self._classes = classes
        self._factory = factory
        self._graph = graph
        self._in_creation: dict[str, _Making] = {}
        """What is being made durable now, by name."""

    async def place(self, request: CreateRequest) -> Placed:
        """Make the requested service durable and visible, and begin its start.

        Raises:
            OstlerError: nothing was created; see `Manager.create`.
        """
        new = self._factory.prepare(request)
        if key := request.idempotency_key:
            other = await self._runtime.store.find_request(new.name, key)
            if other is not None:
                raise key_conflict(key, new.name, used_for(other), "a create")
        await self._wait_for_others(new)
        existing = self._factory.replayed(new)
        if existing is not None:
            return Placed(existing, is_new=False)
        self._check_tools(new)
        instance = self._factory.make(new)
        self._graph.check(instance)
        return Placed(instance, await self._admit(instance, start=request.start))

    async def replace(self, request: CreateRequest, delete: Deletion) -> Placed:
        """Delete the service of that name and put what `request` makes in its place, in one commit, with what it keeps.

        If another request, which was waited for, has made just that, that is used.

        Args:
            request: what to make.
            delete: begins the deletion of what has the name, which keeps what it has.

        Raises:
            OstlerError: the request could not be carried out, or the service not be stopped; it is still there.
        """
        was_made = await self._wait_for_others(self._factory.prepare(request))
        old = self._registry.find(self._check(request))
        if not isinstance(old, ServiceInstance) or (was_made and not self.difference(request)):
            return await self.place(request)
        with self._heir_of(old, request) as heir:
            if old.state.is_up and request.start:
                await refuse_failing_start(heir)
            deletion = await delete(old)
            if is_before := deletion.record.finished_at is None:
                deletion.heir = heir
            try:
                await deletion.wait()
            except anyio.get_cancelled_exc_class():
                if deletion.record.finished_at is None:  # else the heir is being recorded
                    deletion.heir = None  # no one would start it
                raise
            if is_before:
                begun = await self._begin(heir, start=request.start)
                return with_fields(begun, warnings=tuple(deletion.warnings))
        return await self.place(request)  # another deletion was just ending, which left it no heir

    async def foresee(self, request: CreateRequest) -> OstlerError | None:
        """Return why the start of what `request` makes is known to fail; None if that is not known."""
        try:
            new = self._factory.prepare(request)
            self._check_tools(new)
            return await failure_of_start(self._factory.make(new))
        except OstlerError as error:
            return error

    def _check(self, request: CreateRequest) -> str:
        """Return the name of the service that `request` makes.

        Raises:
            OstlerError: the class, the args or the overrides do not fit, or the class lacks tools.
        """
        new = self._factory.prepare(request)
        self._check_tools(new)
        return new.name

    def _check_tools(self, new: NewService) -> None:
        if new.request.start and (error := self.unavailable(new.request.class_name)) is not None:
            raise error.located(service=new.name)

    def unavailable(self, class_name: str) -> ClassUnavailableError | None:
        """Return why no service of the class can start: tools are missing that no server on its way may have."""
        availability = self._classes.availability(class_name)
        unlisted = [t for t in availability.missing_tools if not self._factory.may_come(t)]
        steps = (f"fix this: {availability.reason}", "mcpserver_list shows the servers there are")
        return ClassUnavailableError(class_name, unlisted, next_actions=steps) if unlisted else None

    async def _wait_for_others(self, new: NewService) -> bool:
        """Wait until nothing is being made in the way of `new`; return whether anything was."""
        was_made = False
        while (making := self._made_meanwhile(new)) is not None:
            was_made = True
            await making.ended.wait()  # then the service answers this request, or the way is free
        return was_made

    def _made_meanwhile(self, new: NewService) -> _Making | None:
        """Return what is being made under the name or the idempotency key of `new`."""
        key = new.request.idempotency_key
        same_key = (making for making in self._in_creation.values() if key and making.key == key)
        return self._in_creation.get(new.name) or next(same_key, None)

    def difference(self, request: CreateRequest) -> str:
        """Return how the service of that name differs from what `request` makes; empty if it does not.

        Raises:
            NotFoundError: there is no such service, or no such class.
            ArgumentError: the args do not fit.
        """
        new = self._factory.prepare(request)
        instance = self._registry.get(new.name)
        if not isinstance(instance, ServiceInstance):
            return f"it is a {instance.service_type}"
        record = instance.record
        if record.class_name != request.class_name:
            return f"its class is {record.class_name}"
        new = without_gained(new, instance)
        if record.args != new.args:
            names = sorted(key for key in {*record.args, *new.args} if record.args.get(key) != new.args.get(key))
            return f"args {', '.join(names)}"
        if record.request_digest != new.digest:
            return "its overrides"
        return "its class is another version" if self._is_other_program(instance, new) else ""

    @staticmethod
    def _is_other_program(instance: ServiceInstance, new: NewService) -> bool:
        """Whether the class of `new` starts or stops something else than the one that `instance` was made from."""
        if instance.record.class_digest == new.entry.digest:
            return False
        return program_digest(instance.service_class) != program_digest(new.entry.service_class)

    def renew_class(self, request: CreateRequest) -> None:
        """Let an existing service, which is as `request` asks for, use its class as that is now."""
        new = self._factory.prepare(request)
        instance = self._registry.get(new.name)
        if isinstance(instance, ServiceInstance) and instance.record.class_digest != new.entry.digest:
            fields = {**self._factory.class_fields(new.entry), "args": new.args, "request_digest": new.digest}
            instance.take_class(new.entry.service_class, fields)

    async def _admit(self, instance: ServiceInstance, *, start: bool) -> Operation | None:
        """Make the instance durable and visible, together with its first start; return that."""
        self._check_room(instance)
        with self._claimed(instance):
            if instance.name in self._registry:
                steps = (f"service_get {instance.name} shows it", "choose another name")
                text = f"service {instance.name!r} already exists"
                raise AlreadyExistsError(text, service=instance.name, next_actions=steps)
            first = await _recorded(instance, start=start, is_checked=True)
            self._registry.register(instance)
        return self._begun(instance, first)

    @contextmanager
    def _heir_of(self, old: ServiceInstance, request: CreateRequest) -> Generator[ServiceInstance]:
        """Yield the service that replaces `old` when that is deleted; meanwhile no other can take its name.

        Raises:
            OstlerError: the class, the args or the overrides do not fit; nothing was made.
        """
        new = self._factory.prepare(request)
        self._check_tools(new)
        heir = self._factory.make(new)
        heir.set_record(desired=DesiredState.STOPPED)  # until its start is recorded, too
        self._graph.check(heir)
        self._check_room(heir, instead_of=old)
        with self._claimed(heir):
            yield heir

    async def _begin(self, heir: ServiceInstance, *, start: bool) -> Placed:
        """Begin the first start of a service that took the place of another one.

        Raises:
            StoreError: it could not be recorded; the service exists, stopped.
        """
        return Placed(heir, self._begun(heir, await _recorded(heir, start=True, is_checked=False) if start else None))

    def _begun(self, instance: ServiceInstance, first: Operation | None) -> Operation | None:
        self._runtime.events.append(
            EventKind.SERVICE_CREATED, instance.name, f"created from class {instance.record.class_name}"
            + (f" by {instance.record.owner}" if instance.record.owner else ""),
        )  # fmt: skip
        if first is not None:
            instance.carry_out(first)
        return first

    @contextmanager
    def _claimed(self, instance: ServiceInstance) -> Generator[None]:
        """Let no other service be made under the name of `instance`."""
        making = _Making(instance.record.class_name, instance.record.idempotency_key, anyio.Event())
        self._in_creation[instance.name] = making
        try:
            yield
        finally:
            del self._in_creation[instance.name]
            making.ended.set()

    def _check_room(self, instance: ServiceInstance, *, instead_of: ServiceInstance | None = None) -> None:
        """Refuse to exceed the class's `maxInstances`; `instead_of` does not count."""
        limit, class_name = instance.service_class.config.max_instances, instance.record.class_name
        if limit is None:
            return
        others = {
            service.name
            for service in instances_in(self._registry)
            if service.record.class_name == class_name and service is not instead_of
        }
        others |= {name for name, making in self._in_creation.items() if making.class_name == class_name}
        if len(others) >= limit:
            raise InstanceLimitError(class_name, limit, sorted(others), service=instance.name)

    def inherits(self, instance: ServiceInstance) -> bool:
        """Whether something exists that was made for an earlier service of the name, and is the new one's now."""
        found = (self._registry.find(name) for name in instance.dependencies)
        return any(
            isinstance(service, ServiceInstance) and service.labels.get(CREATED_FOR) == instance.name
            for service in found
        )

    def left(self, instance: ServiceInstance, start: Operation, wanted: CancelledCreate, *, keep: bool) -> None:
        """Let a new service be whose create was cancelled, or undo it; an event and its operation say which.

        With `keep`, what was made for it keeps what it has.
        """
        said = "its service_create was cancelled"
        shared = start.is_shared or instance.operation not in (None, start)
        if wanted is CancelledCreate.COMPENSATE and not shared:
            self._note(instance, f"{said}: it is stopped and removed (policy.cancelledCreate)")
            asked = OperationRequest(OperationKind.DELETE, keep=keep)
            instance.submit(asked, reason=f"{said}, and is compensated (policy.cancelledCreate)")
            return
        why = "another request waits for it" if wanted is CancelledCreate.COMPENSATE else "service_stop stops it"
        self._note(instance, f"{said}: its start goes on ({why})")
        start.add_reason(f"{said}, and goes on")

    def _note(self, instance: ServiceInstance, text: str) -> None:
        self._runtime.events.append(EventKind.WARNING, instance.name, text)

    @staticmethod
    async def remove_failed(instance: ServiceInstance, start: Operation, error: OstlerError, *, keep: bool) -> None:
        """Remove a new service whose `start` failed, unless something of it, or of what it replaced, may be left.

        `error` says which. With `keep`, what was made for it keeps what it has.
        """
        clean = not (instance.record.has_leftover or instance.record.delete_plan or is_in_doubt(instance))
        if not clean or instance.state is not ServiceState.FAILED or instance.operation is not None:
            if instance.state is ServiceState.FAILED:
                error.add(f"service {instance.name!r} is kept as failed")
            return
        with anyio.CancelScope(shield=True):
            try:
                asked = OperationRequest(OperationKind.DELETE, keep=keep)
                await instance.submit(asked, reason=NOT_CREATED).wait()
            except OstlerError as delete_error:
                logger.warning("%s", delete_error)
                return
            again = start_again(instance.name)
            error.add(f"service {instance.name!r} was not created")
            error.next_actions = tuple(CREATE_AGAIN if each == again else each for each in error.next_actions)
            if logs_call(instance.service_class) is not None and _may_have_printed(start, error):
                error.next_actions = (*error.next_actions, f"service_logs {instance.name} still shows what it printed")

    async def create_dependency(self, dependency: ResolvedDependency, user: InstanceState) -> Service:
        """Make a dependency of `user` on demand, not started."""
        return (await self.place(_dependency_request(dependency, user))).instance

    async def fitting_dependency(
        self, made: ServiceInstance, dependency: ResolvedDependency, user: InstanceState
    ) -> Service:
        """Return `made` as `user` needs it at its first start: an inherited one that does not fit is made again.

        What another service uses as well is left as it is.
        """
        others = self._graph.is_used(made.name, by_others_than=user.name)
        if user.record.starts or made.labels.get(CREATED_FOR) != user.name or others:
            return made
        request = _dependency_request(dependency, user)
        if not (difference := self.difference(request)):
            return made

        async def delete(old: ServiceInstance) -> Operation:
            return old.submit(_KEEPING, reason=f"{user.name} needs it otherwise: {difference}")

        return (await self.replace(request, delete)).instance


def _dependency_request(dependency: ResolvedDependency, user: InstanceState) -> CreateRequest:
    assert dependency.spec.service_class_name is not None
    return dependency_request(dependency.spec.service_class_name, dependency.name, dependency.args, user)


def _may_have_printed(start: Operation, error: OstlerError) -> bool:
    """Whether something began that has a log: the start tool answered well, or shows the end of a log itself."""
    outcomes = {call.outcome for call in start.record.calls if call.step == "start"}
    if outcomes & {CallOutcome.ANSWERED, CallOutcome.AMBIGUOUS}:
        return True
    _, shown, log = str(error).partition(LAST_LOG_LINES)
    return bool(shown) and not log.startswith(NO_OUTPUT)


async def _recorded(instance: ServiceInstance, *, start: bool, is_checked: bool) -> Operation | None:
    """Make `instance` durable, together with its first start; return that, which has not begun.

    `is_checked`: nothing was waited for since its tools were found to be there.

    Raises:
        StoreError: it could not be.
    """
    first = instance.first_start() if start else None
    intent = first_intent(instance, first, is_checked=is_checked) if first is not None else None
    with anyio.CancelScope(shield=True):  # whoever continues knows that it is durable
        await instance.commit(first, intent=intent)
    return first
