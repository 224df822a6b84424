"""The controller of one service: requests, and the one task that carries them out.

A request submits an operation and waits for it; an equal request joins the one under way, a contradicting one cancels
it. The task exists only while there is something to do. What an operation does is in the modules next to this one.
"""

import logging
from abc import abstractmethod
from typing import Any, assert_never

import anyio
from msgspec.structs import replace

from ostler.engine.instances.calling import settle_answers
from ostler.engine.instances.compensation import settle_after_bug
from ostler.engine.instances.console import read_logs
from ostler.engine.instances.display import reason_of, shown_of
from ostler.engine.instances.health_check import HealthCheck
from ostler.engine.instances.operations import LEAVING, Operation, left_to_next_server, superseded
from ostler.engine.instances.reasons import IDLE
from ostler.engine.instances.resuming import adopt, resume
from ostler.engine.instances.starting import restart, start
from ostler.engine.instances.state import InstanceState, ServiceRuntime
from ostler.engine.instances.stopping import delete, stop
from ostler.engine.instances.verification import FRESH, is_alive, verify
from ostler.engine.services.registry import RegistryAdapter
from ostler.engine.services.service import ServiceStatus, error_text
from ostler.engine.services.views import OperationRequest
from ostler.model.errors import ConflictError, OstlerError, StoreError
from ostler.model.events import EventKind
from ostler.model.json import JsonMapping
from ostler.model.manifest import ServiceClass
from ostler.model.records import OperationKind, OperationOutcome, OperationRecord, ServiceRecord
from ostler.model.states import HealthStatus, ServiceState
from ostler.rules.text.log_pages import NEWEST, LogPage, LogRange

logger = logging.getLogger(__name__)

_CANCELLABLE = (OperationKind.START, OperationKind.RESTART, OperationKind.VERIFY)


def instances_in(registry: RegistryAdapter) -> "list[ServiceInstance]":
    """Return the services of a registry that were made from classes, by name."""
    return [service for service in registry.get_all() if isinstance(service, ServiceInstance)]


class ControllerRuntime(ServiceRuntime):
    """What is notified of changes of a service."""

    @abstractmethod
    def instance_changed(self, instance: "ServiceInstance") -> None:
        """The state or the health of `instance` changed."""

    @abstractmethod
    def instance_removed(self, instance: "ServiceInstance", deletion: Operation) -> None:
        """`instance` was deleted by `deletion`."""

    @abstractmethod
    def operation_ended(self, instance: "ServiceInstance") -> None:
        """An operation of `instance` is over, and none is under way."""

    @abstractmethod
    def watch_health(self, instance: "ServiceInstance") -> None:
        """`instance` came up: check its health from now on."""


class ServiceInstance(InstanceState):
    """One service instance. Ask the ServiceManager for changes; reads never block."""

    def __init__(
        self,
        runtime: ControllerRuntime,
        record: ServiceRecord,
        service_class: ServiceClass,
        *,
        state: ServiceState = ServiceState.UNKNOWN,
    ) -> None:
        super().__init__(runtime, record, service_class, state=state)
        self._others = runtime
        self.health_check = HealthCheck(self)
        self._current: Operation | None = None
        self._pending: Operation | None = None
        self._is_controlled = False
        """Whether a task carries out operations."""
        self._idle: anyio.Event | None = None
        """Set when it ends; there only if someone waits for that."""

    @property
    def operation(self) -> Operation | None:
        """The operation under way, else the one about to begin."""
        return self._current or self._pending

    @property
    def class_name(self) -> str:
        """The class that it was made from."""
        return self.record.class_name

    @property
    def owner(self) -> str:
        """Whose it is."""
        return self.record.owner

    @property
    def labels(self) -> JsonMapping:
        """Names and values of its user."""
        return self.record.labels

    @property
    def error(self) -> str | None:
        """The last failure in words, also of an earlier run."""
        if self.status.error is None and (stored := self.stored_error()) is not None:
            return str(stored["message"]) if stored.get("message") else None
        return super().error

    @property
    def reason(self) -> str:
        """A short code for the cause of the state, also of a stop that no one requested."""
        return reason_of(self)

    @property
    def health_failures(self) -> int:
        """Health checks that have failed in a row."""
        return self.vitals.failures

    @property
    def failure_threshold(self) -> int:
        """Health checks that have to fail in a row until it is unhealthy."""
        return self.service_class.config.health_rules.failure_threshold

    def _shown(self) -> dict[str, Any]:
        return {**super()._shown(), **shown_of(self, self.operation)}

    # -- requests ------------------------------------------------------------------------------------------

    def request(self, kind: OperationKind, *, reason: str = "") -> Operation:
        """Ask for an operation of this kind and no more; as `submit`."""
        return self.submit(OperationRequest(kind), reason=reason)

    def submit(self, asked: OperationRequest, *, reason: str = "", resumes: bool = False) -> Operation:
        """Ask for an operation and return it at once; equal requests share one.

        Args:
            asked: what to do.
            reason: why, for people.
            resumes: finish what an earlier run was cut off in.

        Raises:
            ConflictError: the service is being deleted.
        """
        kind = asked.kind
        current, pending = self._current, self._pending
        if self.vitals.removed or (current is not None and current.kind is OperationKind.DELETE):
            if current is not None and kind is OperationKind.DELETE and asked.is_plain:
                return current.joined_by(asked)
            if kind is not OperationKind.DELETE or self.vitals.removed:
                raise self._deleted()
        latest = pending or current
        if latest is not None and asked.is_plain and not latest.is_cancelled:
            is_started = kind is OperationKind.START and latest.kind is OperationKind.RESTART
            if latest.kind is kind or is_started:
                if self.runtime.observer is not None:
                    self.runtime.observer.joined(latest.origin)
                return latest.joined_by(asked)
        operation = self._operation(asked, reason, resumes=resumes)
        self.carry_out(operation)
        return operation

    def first_start(self) -> Operation:
        """Return the start that follows the creation, to be made durable together with the new record."""
        return self._operation(OperationRequest(OperationKind.START), "created")

    def carry_out(self, operation: Operation) -> None:
        """Put `operation` next; it takes the place of one that has not begun, and a stop cancels a start."""
        current, pending = self._current, self._pending
        if pending is not None:
            self._supersede(pending, operation)
        self._pending = operation
        if self.vitals.left_open:
            self._drop_pending()
            return
        if operation.kind is not OperationKind.VERIFY:
            self.set_vitals(is_idle=operation.reason == IDLE)
        if current is not None and operation.kind.takes_down and current.kind in _CANCELLABLE:
            current.cancel(f"a {operation.kind.value} was requested", leaves_all=operation.asked.abandon)
        self._ensure_controlled()

    def _operation(self, asked: OperationRequest, reason: str, *, resumes: bool = False) -> Operation:
        operation = Operation(
            self.runtime.make_id(), self.record, asked, now=self._clock.now(), reason=reason, resumes=resumes
        )
        if self.runtime.observer is not None:
            operation.origin = self.runtime.observer.asked()
        if (old := self.journal.interrupted) is not None and old.kind is asked.kind:  # it ends what those were promised
            operation.add_requests(old.requests)
        return operation

    def answering(self, key: str) -> Operation | OperationRecord | None:
        """Return what answers the idempotency key `key`: an operation to come, or an end that is not stored yet."""
        for operation in (self._pending, self._current):
            if operation is not None and key in operation.record.requests:
                return operation
        return next((record for record in reversed(self.journal.unrecorded) if key in record.requests), None)

    def cancel_operation(self, *, grace: float) -> None:
        """Ask the operation under way to end early, as the server exits; drop one that has not begun."""
        if self._pending is not None:
            pending, self._pending = self._pending, None
            self._end_unbegun(pending, left_to_next_server(pending, "begun"))
        if self._current is not None and self._current.kind in _CANCELLABLE:  # a stop under way is wanted all the more
            self._current.cancel(LEAVING, grace=grace)

    def interrupt_operation(self, *, grace: float, stops: bool = False) -> None:
        """Leave the operation under way, or about to begin, to the next run of the server.

        Args:
            grace: seconds to wait for the answer of its call under way.
            stops: leave a stop or delete under way, too; else it may end.
        """
        self._drop_pending()
        if self._current is not None and (stops or self._current.kind in _CANCELLABLE):
            self._current.interrupt(grace=grace)

    async def wait_idle(self) -> None:
        """Return when no operation is under way or about to begin."""
        while self._is_controlled:
            self._idle = self._idle or anyio.Event()
            await self._idle.wait()

    async def start(self) -> None:
        """Start the service and wait until it is up."""
        await self.request(OperationKind.START).wait()

    async def stop(self) -> None:
        """Stop the service by its pinned plan and wait until it is down."""
        await self.request(OperationKind.STOP).wait()

    async def restart(self) -> None:
        """Restart the service and wait until it is up."""
        await self.request(OperationKind.RESTART).wait()

    async def check_health(self) -> HealthStatus:
        """Check the health now and return the verdict."""
        await self.health_check.run()
        return self.health

    async def is_alive(self) -> bool | None:
        """Ask the class's tools whether it exists; None when it has none that could show it.

        Raises:
            OstlerError: they could not be asked, or did not say.
        """
        known_for = (self.runtime.clock.now() - self.status.since).total_seconds()
        return await is_alive(self, max_age=min(FRESH, max(known_for, 0.0)))  # no answer from before its present state

    async def read_logs(self, wanted: LogRange = NEWEST) -> LogPage:
        """Return lines of the log, from the class's `logs` tool; by default the newest ones.

        Raises:
            OperationError: the class has none.
            ArgumentError: `wanted` has a cursor or a search that means nothing.
            OstlerError: the tool failed.
        """
        return await read_logs(self, wanted)

    def _deleted(self) -> ConflictError:
        steps = (f"service_wait {self.name} with state 'deleted' until it is gone, then ask again",)
        return ConflictError(f"service {self.name!r} is being deleted", service=self.name, next_actions=steps)

    def _supersede(self, old: Operation, new: Operation) -> None:
        said = f"{old.kind.value} of service {self.name!r} was superseded by a later {new.kind.value}"
        self._end_unbegun(old, superseded(self.name, said))

    def _drop_pending(self) -> None:
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending.error = left_to_next_server(pending, "begun")
            pending.release()

    def _end_unbegun(self, operation: Operation, error: OstlerError) -> None:
        operation.end(OperationOutcome.CANCELLED, self._clock.now(), error=error)
        if operation.submitted:
            self.record_later(operation.record)
        operation.release()

    # -- the controller ------------------------------------------------------------------------------------

    def _ensure_controlled(self) -> None:
        if not self._is_controlled:
            group = self.runtime.task_group
            if group is None:
                raise RuntimeError("the ServiceManager is not running: use 'async with manager:'")
            self._is_controlled = True
            group.start_soon(self._control, name=f"ostler-service-{self.name}")

    async def _control(self) -> None:
        try:
            while (operation := self._pending) is not None:
                if self.vitals.removed and operation.kind is not OperationKind.DELETE:
                    self._pending = None
                    self._end_unbegun(operation, self._deleted())
                    continue
                self._pending, self._current = None, operation
                try:
                    with operation.observed(self.runtime.observer):
                        await self._execute(operation)
                finally:
                    self._current = None
                    if not operation.is_done:  # else its waiters would wait forever
                        operation.error = operation.error or left_to_next_server(operation, "finished")
                        operation.release()
        finally:
            self._is_controlled = False
            if self._idle is not None:
                self._idle.set()
                self._idle = None
        self._others.operation_ended(self)

    async def _execute(self, operation: Operation) -> None:
        events = self.runtime.events
        events.append(
            EventKind.OPERATION_BEGAN,
            self.name,
            f"{operation.kind.value} began" + (f": {operation.reason}" if operation.reason else ""),
            {"operation": operation.id, "kind": operation.kind.value},
        )
        outcome, error = OperationOutcome.INTERRUPTED, None
        try:
            with anyio.CancelScope() as scope:
                operation.enter(scope)
                await self._run(operation)
            if scope.cancelled_caught and operation.is_interrupted:
                self.set_vitals(left_open=True)  # nothing may begin on it before the next run has settled it
                self._drop_pending()
                await self._keep_open(operation)
                return
            outcome = OperationOutcome.SUCCEEDED
            if scope.cancelled_caught:
                outcome = OperationOutcome.CANCELLED
                said = f"{operation.kind.value} of service {self.name!r} was cancelled: {operation.cancel_reason}"
                error = superseded(self.name, said + (f" ({operation.message})" if operation.message else ""))
        except OstlerError as failure:
            outcome, error = OperationOutcome.FAILED, failure
            failure.service = failure.service or self.name
        except Exception as bug:  # boundary: a bug in one service's operation must not end the others
            logger.exception("operation %r failed unexpectedly", operation)
            outcome = OperationOutcome.FAILED
            error = OstlerError(
                f"internal error during {operation.kind.value}: {type(bug).__name__}: {bug}",
                service=self.name,
                step=operation.step,
                next_actions=("check the server's log",),
            )
            settle_after_bug(self, operation, error)
        finally:
            if outcome is OperationOutcome.INTERRUPTED:  # the server is going away: recovery resolves it
                operation.end(outcome, self._clock.now(), error=left_to_next_server(operation, "finished"))
                operation.record = replace(operation.record, outcome=None, finished_at=None)
                operation.release()
        await self._finish(operation, outcome, error)

    async def _keep_open(self, operation: Operation) -> None:
        """Make durable what is known of an operation that the next run continues."""
        if operation.submitted:
            try:
                with anyio.CancelScope(shield=True):
                    await self.commit(operation)
            except StoreError as error:  # what is stored says less, and is as true
                logger.warning("%s", error)

    async def _finish(self, operation: Operation, outcome: OperationOutcome, error: OstlerError | None) -> None:
        settle_answers(self, operation)
        if error is None:
            done = operation.message or f"{operation.kind.value} of {self.name} done"
            operation.message = "; ".join((done, *operation.warnings))
        operation.end(outcome, self._clock.now(), error=error)
        try:
            with anyio.CancelScope(shield=True):
                if operation.submitted or operation.changed:
                    await self.commit(operation, drop=self.vitals.removed)
        except StoreError as store_error:
            record = operation.record
            if self.vitals.removed:  # it is still in the store, so the delete has failed
                facts = {"outcome": OperationOutcome.FAILED, "error_code": store_error.code}
                record = replace(record, error=str(store_error), **facts)  # pyright: ignore[reportArgumentType]
            self.set_vitals(removed=False)
            if operation.submitted:
                self.record_later(record)
            self.note(f"the end of {operation.kind.value} could not be recorded: {store_error}")
            if operation.error is None:
                operation.error = store_error.fresh()
                if record.outcome is OperationOutcome.SUCCEEDED:
                    operation.error.add(
                        f"{operation.message}; only the end of the {operation.kind.value} is unrecorded"
                    )
        self._current = None  # subscribers to the event find nothing under way
        self.runtime.events.append(
            EventKind.OPERATION_ENDED,
            self.name,
            f"{operation.kind.value} {outcome.value}" + (f": {error}" if error is not None else ""),
            {"operation": operation.id, "kind": operation.kind.value, "outcome": outcome.value},
            at=operation.record.finished_at,
        )
        if self.vitals.removed:
            self._others.instance_removed(self, operation)
        operation.release()

    async def _run(self, operation: Operation) -> None:
        match operation.kind:
            case OperationKind.START if operation.asked.adopt is not None:
                await adopt(self, operation, operation.asked.adopt)
            case OperationKind.START | OperationKind.RESTART if (old := self.interrupted_start) is not None:
                await resume(self, operation, old)
            case OperationKind.START:
                await start(self, operation)
            case OperationKind.STOP:
                await stop(self, operation)
            case OperationKind.RESTART:
                await restart(self, operation)
            case OperationKind.DELETE:
                await delete(self, operation)
            case OperationKind.VERIFY:
                await verify(self, operation)
            case _:
                assert_never(operation.kind)

    def _status_changed(self, old: ServiceStatus, new: ServiceStatus) -> None:
        events = self.runtime.events
        if old.state is not new.state:
            if new.state.is_up:
                self.set_vitals(calls_before=self.runtime.batches.begun)
            data = {"from": old.state.value, "to": new.state.value}
            if new.reason:
                data["reason"] = new.reason
            message = f"{old.state.value} -> {new.state.value}"
            if new.error is not None and new.error is not old.error:
                message += f": {self.mask_text(error_text(new.error) or '')}"
            events.append(EventKind.STATE_CHANGED, self.name, message, data, at=new.since)
        if old.health is not new.health:
            evidence = f": {self.vitals.evidence}" if self.vitals.evidence else ""
            message = f"{old.health.value} -> {new.health.value}{evidence}"
            data = {"from": old.health.value, "to": new.health.value}
            events.append(EventKind.HEALTH_CHANGED, self.name, message, data, at=new.health_at)
        if old.reachability is not new.reachability:
            message = f"driving server {new.reachability.value}"
            data = {"from": old.reachability.value, "to": new.reachability.value}
            events.append(EventKind.REACHABILITY_CHANGED, self.name, message, data, at=new.reachability_at)
        if new.state.is_up and not old.state.is_up:
            self._others.watch_health(self)
        if old.state is not new.state or old.health is not new.health:
            self._others.instance_changed(self)
