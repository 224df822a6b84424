"""After a restart: services come back as records, are verified before anything is claimed, then adopted or started."""

import json
import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from operator import attrgetter

import anyio
import anyio.lowlevel
from msgspec.structs import replace

from ostler.engine.instances.existence import can_be_missed
from ostler.engine.instances.handles import given_names, given_values
from ostler.engine.instances.instance import ControllerRuntime, ServiceInstance
from ostler.engine.instances.operations import Operation
from ostler.engine.instances.reasons import (
    CRASH_LOOP,
    HAS_FAILED,
    LEFT_BEHIND,
    NOT_VERIFIABLE,
)
from ostler.engine.keepers.health import HealthScheduler
from ostler.engine.protocols import PutOperation, StoredState
from ostler.engine.services.views import OperationRequest
from ostler.model.errors import OperationError, OstlerError
from ostler.model.events import EventKind
from ostler.model.manifest import ServiceClass
from ostler.model.records import OperationKind, OperationOutcome, OperationRecord, ServiceRecord
from ostler.model.states import HealthStatus, ServiceState
from ostler.rules.loading.manifests import service_class_from_json
from ostler.rules.secrets.record_secrets import possible_secrets

logger = logging.getLogger(__name__)

VERIFY_CONCURRENCY = 32
"""Services of one server that are verified at once after a restart, and as many operations that begin at once."""

_STOP_TURN = 5.0
"""Seconds for which a stop keeps others from beginning."""

_AT_ONCE = 100
"""Services that are restored before others have their turn: some 10 ms."""

_LOOK_FIRST = 2.0
"""Seconds until a connected server that did not show the state of a service is asked again; then doubled."""

_LOOK_MAX = 60.0

_STOP_LOOKS = 10
"""How often a service is looked for after a failed stop, or a failed start that may have left something: some 6
minutes."""

_AGAIN = "looking again"
"""Why a service is verified whose state is not known for sure, later than at the start."""

_PROMISED = (ServiceState.WAITING, ServiceState.RETRYING)
"""States in which a start was due automatically."""


class Recovery:
    """Brings the services of an earlier run back."""

    def __init__(self, runtime: ControllerRuntime, health: HealthScheduler) -> None:
        self._runtime = runtime
        self._health = health
        self._promised: set[str] = set()
        self._restored: list[ServiceInstance] = []
        self._orphaned: list[OperationRecord] = []
        self._looks: dict[str, anyio.CancelScope] = {}
        """The next check of each instance, by id."""
        self._attempts: dict[str, int] = {}
        self._turns: dict[tuple[str, bool], anyio.CapacityLimiter] = defaultdict(
            lambda: anyio.CapacityLimiter(VERIFY_CONCURRENCY)
        )
        """By server and whether an operation is resumed; a server that does not answer delays no other's services."""
        self.finished = anyio.Event()

    async def restore(self, state: StoredState, register: Callable[[ServiceInstance], None]) -> None:
        """Put every stored service into the registry, not yet verified; others have their turn meanwhile.

        Ostler's own stores never have two services of one name; if another store has, the one changed last is used.
        """
        opened: dict[str, list[OperationRecord]] = defaultdict(list)
        for operation in state.open_operations:
            opened[operation.service_id].append(operation)
        classes: dict[str, ServiceClass] = {}
        newest = {record.name: record for record in sorted(state.services, key=attrgetter("updated_at"))}
        for number, record in enumerate(state.services, 1):
            if number % _AT_ONCE == 0:
                await anyio.lowlevel.checkpoint()  # a store that others may take over needs its heartbeats
            instance = self._instance(record, opened.pop(record.id, []), classes)
            if newest[record.name] is record:
                register(instance)
                self._restored.append(instance)
            else:
                self._pass_over(record)
        self._orphaned = [operation for operations in opened.values() for operation in operations]
        for instances in shared_handles(self._restored):
            for instance in instances:  # in the order of their starts: the last one has them
                instance.hold_handles()

    def _instance(
        self, record: ServiceRecord, opened: list[OperationRecord], classes: dict[str, ServiceClass]
    ) -> ServiceInstance:
        unreadable: OstlerError | None = None
        service_class = classes.get(record.class_digest)
        if service_class is None:
            try:
                service_class = classes[record.class_digest] = service_class_from_json(record.class_manifest)
            except OstlerError as error:
                unreadable, service_class = error, _stand_in(record)
        settled = record.state in (ServiceState.STOPPED, ServiceState.FAILED) and not opened
        nothing_left = settled and not record.has_leftover
        reason = str((record.error or {}).get("reason") or "")
        keeps = nothing_left or (settled and record.state is ServiceState.FAILED and reason not in HAS_FAILED)
        state = record.state if keeps else ServiceState.UNKNOWN
        instance = ServiceInstance(self._runtime, record, service_class, state=state)
        if keeps:
            instance.take_reason(reason)
            if record.state is ServiceState.FAILED and reason in HAS_FAILED and instance.can_be_healthy:
                instance.take_health(HealthStatus.UNHEALTHY)
        if opened:
            instance.take_interrupted(opened)
        if record.state in _PROMISED:
            self._promised.add(record.id)
        if unreadable is not None:
            self._show_unreadable(instance, unreadable)
        return instance

    def _pass_over(self, record: ServiceRecord) -> None:
        """Say that a stored service is left in the store as it is, because another one has its name."""
        error = OperationError(
            f"the store has another service {record.name!r} (id {record.id}, class {record.class_name!r}, last changed "
            f"{record.updated_at:%Y-%m-%d %H:%M:%S}), which is left as it is: no one checks or stops what it runs",
            service=record.name,
            next_actions=(
                "ostler prune --dry-run shows what it may have left running",
                "stop Ostler, and rename it in the store",
            ),
        )
        logger.error("%s", error)
        self._runtime.events.append(EventKind.WARNING, record.name, str(error))

    def _show_unreadable(self, instance: ServiceInstance, cause: OstlerError) -> None:
        """A service whose class this version cannot read stays in sight: it can still be stopped by its pinned plan."""
        name = instance.name
        error = OperationError(
            f"the class {instance.record.class_name!r} of service {name!r} was stored by another version of Ostler and "
            f"cannot be read: {cause.summary}",
            service=name,
            next_actions=(
                f"service_stop {name} or service_delete {name} uses its pinned stop plan"
                if instance.record.stop_plan
                else "find it by hand: no stop plan is pinned",
                f"service_delete {name} with abandon=true forgets it",
                "or use the version of Ostler that made it",
            ),
        )
        logger.error("%s", error)
        instance.show_unreadable(error, possible_secrets(instance.record))

    async def run(self) -> None:
        """Verify and resolve everything that was restored."""

        async def resolve(instance: ServiceInstance) -> None:
            try:
                operation = await self._in_turn(instance, self._first_step)
                await self._follow_up(instance)
                if operation is None and instance.state is ServiceState.FAILED and instance.operation is None:
                    self._runtime.operation_ended(instance)  # the end may have come before anyone acted upon it
            except OstlerError as error:
                logger.warning("recovery of %r: %s", instance.name, error)

        async with anyio.create_task_group() as group:
            group.start_soon(self._close_orphaned)
            for instance in self._restored:
                group.start_soon(resolve, instance)
        self._restored.clear()
        self.finished.set()

    async def _in_turn(
        self, instance: ServiceInstance, step: Callable[[ServiceInstance], Operation | None]
    ) -> Operation | None:
        """Carry out what `step` asks for about `instance` when it is its turn; return that.

        Looks of thousands at once would wait for each other's calls until their own time limits are over.
        """
        server, is_open = instance.service_class.tools.start.server, instance.journal.interrupted is not None
        async with self._turns[server, is_open]:
            operation = step(instance)
            if operation is not None:
                await _past_its_looks(instance, operation)
        if operation is not None:
            await operation.wait()
        return operation

    def server_is_back(self, instance: ServiceInstance) -> None:
        """The server that drives `instance` is connected again: look now for what was not known."""
        if look := self._looks.pop(instance.id, None):
            look.cancel()
        self._attempts.pop(instance.id, None)
        group = self._runtime.task_group
        if group is not None and self._is_to_be_looked_at(instance):
            group.start_soon(self._look, instance)

    def operation_ended(self, instance: ServiceInstance) -> None:
        """No operation of `instance` is under way any more: when nothing is known of it still, look again later."""
        if not self._is_to_be_looked_at(instance):
            self._attempts.pop(instance.id, None)
            return
        group = self._runtime.task_group
        if group is not None and instance.id not in self._looks and self._can_ask(instance):
            attempt = self._attempts[instance.id] = self._attempts.get(instance.id, 0) + 1
            self._looks[instance.id] = scope = anyio.CancelScope()
            group.start_soon(self._look_later, instance, scope, min(_LOOK_FIRST * 2 ** (attempt - 1), _LOOK_MAX))

    def _is_to_be_looked_at(self, instance: ServiceInstance) -> bool:
        """Whether another look could still show the state of the service, or what was cut off could still be done."""
        if instance.vitals.removed or instance.vitals.unreadable is not None or instance.operation is not None:
            return False
        old = instance.journal.interrupted
        if old is not None and old.kind.takes_down:  # it waits for the driver, whatever a look shows
            return True
        if instance.state is ServiceState.FAILED and instance.status.reason in LEFT_BEHIND:
            # often it is gone, or answers, a moment later
            return self._attempts.get(instance.id, 0) < _STOP_LOOKS and can_be_missed(instance.service_class)
        if instance.state is ServiceState.STOPPED:
            return self._missed(instance) is not None
        return instance.state is ServiceState.UNREACHABLE or _was_vouched_for(instance)

    async def _look_later(self, instance: ServiceInstance, scope: anyio.CancelScope, pause: float) -> None:
        with scope:
            await anyio.sleep(pause)
        if self._looks.get(instance.id) is scope:
            del self._looks[instance.id]
            if self._is_to_be_looked_at(instance):
                await self._look(instance)

    async def _look(self, instance: ServiceInstance) -> None:
        def step(instance: ServiceInstance) -> Operation | None:
            operation = self._first_step(instance, reason=_AGAIN)
            is_gone = instance.vitals.removed or instance.state is ServiceState.STOPPED
            if operation is None and not is_gone:
                operation = instance.request(OperationKind.VERIFY, reason=_AGAIN)
            return operation

        try:
            await self._in_turn(instance, step)
            await self._follow_up(instance)
        except OstlerError as error:
            logger.warning("verification of %r: %s", instance.name, error)

    def _first_step(self, instance: ServiceInstance, *, reason: str = "restored") -> Operation | None:
        """Ask for what is to be done first about `instance`; None when its record says all.

        `reason` is why it is verified.
        """
        old = instance.journal.interrupted
        if instance.vitals.removed or instance.operation is not None:  # someone was quicker and has decided
            return instance.operation
        if old is None or old.kind is OperationKind.VERIFY:
            is_unknown = instance.state.is_unverified
            if old is None and not is_unknown and not self._is_to_be_looked_at(instance):
                return None
            return instance.request(OperationKind.VERIFY, reason=reason)
        if self._waits_for_driver(instance, old.kind):
            return instance.request(OperationKind.VERIFY, reason=reason)
        return instance.submit(
            OperationRequest(old.kind, force=old.force, abandon=old.abandon, keep=old.keep),
            reason="resumed after a crash",
            resumes=True,
        )

    def _waits_for_driver(self, instance: ServiceInstance, kind: OperationKind) -> bool:
        """Whether a stop has to wait until the server that carries it out is connected."""
        tools = self._runtime.tools
        if tools is None or not kind.takes_down:
            return False
        calls = (*instance.record.stop_plan, *instance.record.delete_plan)
        servers = {call.tool.partition("/")[0] for call in calls} if calls else instance.service_class.servers()
        return not all(tools.server_status(server).connected for server in servers)

    async def _follow_up(self, instance: ServiceInstance) -> None:
        """After the first step: watch what runs, stop what must not stay, start what was to start."""
        while not instance.vitals.removed and instance.journal.interrupted is not None:
            if await self._in_turn(instance, self._next_step) is None:
                break
        if instance.vitals.removed:
            return
        if instance.state.is_up:
            self._health.watch(instance, spread=True)
        if instance.state is ServiceState.UNREACHABLE:
            return
        if not instance.record.persist:
            if instance.state.is_up:
                instance.note("not persisted and left over from an earlier run: stopping it")
            await self._in_turn(instance, lambda one: one.request(OperationKind.DELETE, reason="not persisted"))
            return
        if self._missed(instance) is not None:
            await self._in_turn(instance, self._make_up)
            return
        wanted = instance.record.auto_start or instance.id in self._promised
        self._promised.discard(instance.id)
        has_ended = instance.state is ServiceState.STOPPED or _has_failed(instance)
        if has_ended and instance.is_wanted and wanted and instance.operation is None:
            reason = "autoStart" if instance.record.auto_start else "its start was planned when the server ended"
            instance.request(OperationKind.START, reason=reason)

    def _next_step(self, instance: ServiceInstance) -> Operation | None:
        """After a verification, continue what waited for the driver."""
        old = instance.journal.interrupted
        if old is None or instance.operation is not None or instance.state is ServiceState.UNREACHABLE:
            return None
        return None if self._waits_for_driver(instance, old.kind) else self._first_step(instance)

    def _make_up(self, instance: ServiceInstance) -> Operation | None:
        missed = self._missed(instance)
        if missed is None:
            return None
        return instance.request(missed, reason=f"its {missed.value} could not be carried out before")

    @staticmethod
    def _missed(instance: ServiceInstance) -> OperationKind | None:
        """Return what was promised while the driving server was away, and is still wanted: a stop or a delete."""
        record = instance.record
        if instance.is_wanted or not record.missed_stop or instance.operation:
            return None
        is_blind = instance.state is ServiceState.UNKNOWN and instance.status.reason == NOT_VERIFIABLE
        is_to_stop = bool(record.stop_plan) and (instance.state.is_up or is_blind)
        if record.missed_delete and (is_to_stop or instance.state is ServiceState.STOPPED):
            return OperationKind.DELETE
        return OperationKind.STOP if is_to_stop else None

    def _can_ask(self, instance: ServiceInstance) -> bool:
        tools = self._runtime.tools
        return tools is None or all(
            tools.server_status(server).connected for server in instance.service_class.servers()
        )

    async def _close_orphaned(self) -> None:
        """Operations whose service is gone have nothing left to resolve."""
        now = self._runtime.clock.now()
        closed = [
            PutOperation(
                replace(old, outcome=OperationOutcome.INTERRUPTED, finished_at=now, error="its service is gone")
            )
            for old in self._orphaned
        ]
        self._orphaned = []
        if closed:
            try:
                await self._runtime.store.commit(closed)
            except OstlerError as error:
                logger.warning("%s", error)


def shared_handles(instances: Iterable[ServiceInstance]) -> Iterator[list[ServiceInstance]]:
    """Yield the services that were given the same identifiers, those that were started first first."""
    named: dict[str, list[tuple[str, ...]]] = {}
    groups: dict[str, list[ServiceInstance]] = defaultdict(list)
    for instance in instances:
        record = instance.record
        if record.class_digest not in named:
            named[record.class_digest] = given_names(instance.service_class)
        values = given_values(named[record.class_digest], record.step_outputs)
        if values:
            groups[json.dumps([record.class_digest, values], default=str)].append(instance)
    for group in groups.values():
        if len(group) > 1:
            yield sorted(group, key=lambda one: one.record.outputs_at or one.record.created_at)


async def _past_its_looks(instance: ServiceInstance, operation: Operation) -> None:
    """Return when `operation` has ended or knows what there is: a start may then take minutes, or wait for others."""
    if operation.kind is OperationKind.VERIFY or operation.kind.takes_down:
        with anyio.move_on_after(_STOP_TURN if operation.kind.takes_down else math.inf):
            await operation.wait()
        return

    async def until_end() -> None:
        with suppress(OstlerError):
            await operation.wait()
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(until_end)
        await instance.wait_until(lambda status: not status.state.is_unverified)
        group.cancel_scope.cancel()


def _was_vouched_for(instance: ServiceInstance) -> bool:
    """Whether nothing but its server said that it is well, that was away, and `find` can show whether it exists."""
    is_doubted = instance.state.is_up and instance.health is HealthStatus.UNKNOWN and instance.can_be_healthy
    return is_doubted and not instance.service_class.looks_after_start and bool(instance.service_class.tools.find)


def _stand_in(record: ServiceRecord) -> ServiceClass:
    """Return a class to use instead of one that cannot be read: it starts nothing, and its service can be stopped."""
    stop = record.stop_plan[-1].tool if record.stop_plan else "unreadable/stop"
    return service_class_from_json(
        {
            "apiVersion": "ostler/v1",
            "kind": "ServiceClass",
            "metadata": {"name": record.class_name},
            "spec": {
                "serviceConfig": {"lifecycleTools": {"start": {"tool": "unreadable/start"}, "stop": {"tool": stop}}}
            },
        }
    )


def _has_failed(instance: ServiceInstance) -> bool:
    """Whether it failed, and its restart policy leaves it at that."""
    if instance.state is not ServiceState.FAILED or instance.status.reason not in HAS_FAILED:
        return False
    return instance.status.reason == CRASH_LOOP or instance.service_class.config.restart.policy == "never"
