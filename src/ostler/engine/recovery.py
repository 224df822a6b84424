"""After a restart: services come back as records, are verified before anything is claimed, then adopted or started."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

import anyio

from ostler.engine.health import HealthScheduler
from ostler.engine.instance import ServiceInstance
from ostler.engine.protocols import PutOperation, StoredState
from ostler.engine.runtime import Runtime
from ostler.model.errors import OstlerError
from ostler.model.manifest import ServiceClass
from ostler.model.records import CallOutcome, OperationKind, OperationOutcome, OperationRecord, ServiceRecord
from ostler.model.states import ServiceState
from ostler.rules.manifests import service_class_from_json

logger = logging.getLogger(__name__)

VERIFY_CONCURRENCY = 32
"""Services verified at once after a restart."""

_START_CALLS = ("start", "restart")


class Recovery:
    """Brings the services of an earlier run back."""

    def __init__(self, runtime: Runtime, health: HealthScheduler) -> None:
        self._runtime = runtime
        self._health = health
        self._open: dict[str, OperationRecord] = {}
        self._restored: list[ServiceInstance] = []
        self.finished = anyio.Event()

    def restore(self, state: StoredState, register: Callable[[ServiceInstance], None]) -> None:
        """Put every stored service into the registry, not yet verified."""
        self._open = {operation.service_id: operation for operation in state.open_operations}
        for record in state.services:
            try:
                service_class = service_class_from_json(record.class_manifest)
            except OstlerError:
                logger.exception("service %r was written by another version and cannot be read", record.name)
                continue
            instance = self._instance(record, service_class)
            register(instance)
            self._restored.append(instance)

    def _instance(self, record: ServiceRecord, service_class: ServiceClass) -> ServiceInstance:
        interrupted = record.id in self._open
        settled = record.state in (ServiceState.STOPPED, ServiceState.FAILED) and not interrupted
        nothing_left = settled and not record.has_leftover
        state = (
            record.state if nothing_left or (settled and record.state is ServiceState.FAILED) else ServiceState.UNKNOWN
        )
        return ServiceInstance(self._runtime, record, service_class, state=state)

    async def run(self) -> None:
        """Verify and resolve everything that was restored."""
        limit = anyio.CapacityLimiter(VERIFY_CONCURRENCY)

        async def resolve(instance: ServiceInstance) -> None:
            async with limit:
                try:
                    await self._resolve(instance)
                except OstlerError as error:
                    logger.warning("recovery of %r: %s", instance.name, error)

        async with anyio.create_task_group() as group:
            for instance in self._restored:
                group.start_soon(resolve, instance)
        self._restored.clear()
        self.finished.set()

    def server_is_back(self, instance: ServiceInstance) -> None:
        """The server that drives `instance` is connected again: verify what could not be."""
        if instance.state is ServiceState.UNREACHABLE and instance.operation is None:
            operation = instance.request(OperationKind.VERIFY, reason="driving server is back")
            group = self._runtime.task_group
            if group is not None:
                group.start_soon(self._after_verification, instance, operation.wait)

    async def _after_verification(self, instance: ServiceInstance, wait: Callable[[], Awaitable[None]]) -> None:
        try:
            await wait()
        except OstlerError as error:
            logger.warning("verification of %r: %s", instance.name, error)
            return
        self._start_if_wanted(instance)

    async def _resolve(self, instance: ServiceInstance) -> None:
        interrupted = self._open.pop(instance.id, None)
        if interrupted is not None:
            await self._resolve_interrupted(instance, interrupted)
        elif instance.state is ServiceState.UNKNOWN:
            await instance.request(OperationKind.VERIFY, reason="restored").wait()
        if instance.removed:
            return
        if instance.state.is_up:
            self._health.watch(instance, spread=True)
            if not instance.record.persist:
                instance.note("not persisted and left over from an earlier run: stopping it")
        if not instance.record.persist:
            await instance.request(OperationKind.DELETE, reason="not persisted").wait()
            return
        self._start_if_wanted(instance)

    def _start_if_wanted(self, instance: ServiceInstance) -> None:
        stopped = instance.state is ServiceState.STOPPED
        if stopped and instance.is_wanted and instance.record.auto_start and instance.operation is None:
            instance.request(OperationKind.START, reason="autoStart")

    async def _resolve_interrupted(self, instance: ServiceInstance, operation: OperationRecord) -> None:
        """An operation of the earlier run has no end: find out what is, then finish what was asked for."""
        await self._close(operation)
        sent = [c for c in operation.calls if c.step in _START_CALLS and c.outcome is not CallOutcome.NOT_SENT]
        match operation.kind:
            case OperationKind.DELETE:
                await instance.request(OperationKind.DELETE, reason="resumed after a crash").wait()
            case OperationKind.STOP:
                await instance.request(OperationKind.STOP, reason="resumed after a crash").wait()
            case OperationKind.START | OperationKind.RESTART:
                await self._resolve_start(instance, operation, was_sent=bool(sent))
            case OperationKind.VERIFY:
                await instance.request(OperationKind.VERIFY, reason="restored").wait()

    async def _resolve_start(self, instance: ServiceInstance, operation: OperationRecord, *, was_sent: bool) -> None:
        if not was_sent and not instance.record.stop_plan:
            instance.set_settled(ServiceState.STOPPED)
            instance.request(OperationKind.START, reason="resumed after a crash: its start tool was not called yet")
            return
        await instance.request(OperationKind.VERIFY, reason="its start was cut off by a crash").wait()
        if instance.state.is_up:
            return
        policy = instance.service_class.config.on_unknown
        if instance.state is ServiceState.STOPPED:
            if instance.is_wanted:
                instance.request(OperationKind.START, reason="resumed after a crash: it is not running")
            return
        if instance.state is ServiceState.UNREACHABLE:
            return
        match policy:
            case "retry":
                instance.request(OperationKind.RESTART, reason="onUnknown: retry")
            case "compensate":
                instance.set_held(held=True)
                await instance.request(OperationKind.STOP, reason="onUnknown: compensate").wait()
            case "adopt":
                instance.lifecycle.adopt_unverified()
                await instance.commit()
            case "hold":
                instance.set_held(held=True)
                instance.note(
                    f"a {operation.kind.value} was cut off by a crash and nothing can tell what came of it: held. "
                    f"Look whether it runs; then service_stop or service_delete {instance.name}, or service_start it"
                )
                await instance.commit()

    async def _close(self, operation: OperationRecord) -> None:
        closed = replace(
            operation,
            outcome=OperationOutcome.INTERRUPTED,
            finished_at=self._runtime.clock.now(),
            error="the server ended while it was under way",
        )
        await self._runtime.store.commit([PutOperation(closed)])
