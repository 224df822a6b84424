"""A service made from a ServiceClass: its durable record, its controller, and what templates see of it.

One controller task per instance, there only while something is to be done: requests put an operation in place and
wait for it; equal requests join the one under way, a contradicting one cancels it.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import assert_never

import anyio

from ostler.engine.lifecycle import Lifecycle
from ostler.engine.operations import Operation
from ostler.engine.protocols import DropService, Progress, PutOperation, PutService
from ostler.engine.runtime import Runtime
from ostler.engine.service import BaseService, ServiceStatus, error_text
from ostler.engine.views import ServiceView
from ostler.model.errors import ConflictError, OstlerError, StoreError, SupersededError
from ostler.model.events import EventKind
from ostler.model.json import JsonObject, JsonValue
from ostler.model.manifest import OutputSpec, ServiceClass
from ostler.model.records import OperationKind, OperationOutcome, ServiceRecord
from ostler.model.servers import MASK
from ostler.model.states import DesiredState, HealthStatus, Reachability, ServiceState
from ostler.rules.masking import mask, secret_strings

logger = logging.getLogger(__name__)

_CANCELLING = (OperationKind.STOP, OperationKind.DELETE)
_CANCELLABLE = (OperationKind.START, OperationKind.RESTART, OperationKind.VERIFY)


class ServiceInstance(BaseService):
    """One service instance. Ask the ServiceManager for changes; reads never block."""

    def __init__(
        self,
        runtime: Runtime,
        record: ServiceRecord,
        service_class: ServiceClass,
        *,
        state: ServiceState = ServiceState.UNKNOWN,
    ) -> None:
        super().__init__(record.name, service_class.service_type, clock=runtime.clock, state=state)
        self._runtime = runtime
        self.record = record
        self.service_class = service_class
        self._created_at = record.created_at
        self._updated_at = record.updated_at
        self._arg_secrets = secret_strings(service_class.spec.args, record.args)
        self.secrets: frozenset[str] = self._arg_secrets | self._output_secrets()
        self.dependency_facts: Mapping[str, object] = {}
        self.dependency_problems: dict[str, str] = {}
        self.removed = False
        self.evidence = ""
        self.checked_at: datetime | None = None
        self.next_check_at: datetime | None = None
        self.next_retry_at: datetime | None = None
        self.failures = 0
        self.successes = 0
        self.lifecycle = Lifecycle(self, runtime)
        self._current: Operation | None = None
        self._pending: Operation | None = None
        self._controlled = False
        self._idle: anyio.Event | None = None
        """Set when no operation is under way any more; there only while one is."""

    # -- facts ---------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The instance's id, unique for ever (names can be used again)."""
        return self.record.id

    @property
    def operation(self) -> Operation | None:
        """The operation under way, else the one about to begin."""
        return self._current or self._pending

    @property
    def checks_health(self) -> bool:
        """Whether there is a tool to check with, and checking is enabled."""
        return self.service_class.config.health.enabled and self.service_class.looks_after_start

    @property
    def can_be_healthy(self) -> bool:
        """Whether something can ever say that it is healthy: a check, or the knowledge of its driving server."""
        if self.service_class.looks_after_start:
            return self.checks_health
        return self._runtime.tools is not None and self.service_class.config.health.enabled

    @property
    def has_completed(self) -> bool:
        """Whether it has done its work and ended well, by its class's `completed`."""
        return bool(self.record.counters.get("completed"))

    def template_names(self) -> dict[str, object]:
        """Return what the class's templates may name."""
        record = self.record
        return {
            **record.args,
            "args": record.args,
            **record.step_outputs,
            "outputs": record.outputs,
            "name": record.name,
            "service": {
                "id": record.id,
                "name": record.name,
                "class": record.class_name,
                "metadata": {"labels": record.labels, "owner": record.owner, "purpose": record.purpose},
            },
            "dependencies": self.dependency_facts or self._runtime.dependency_facts(self),
            "env": dict(self._runtime.environment),
        }

    def masked(self, value: JsonValue) -> JsonValue:
        """Return `value` with this instance's secrets replaced."""
        return mask(value, self.secrets) if self.secrets else value

    def mask_text(self, text: str) -> str:
        """Return `text` with this instance's secrets replaced."""
        return str(mask(text, self.secrets)) if self.secrets else text

    def service_data(self) -> JsonObject:
        """Return the outputs of the lifecycle tools by step, masked."""
        return {step: self.masked(value) for step, value in self.record.step_outputs.items()}

    def view(self) -> ServiceView:
        """Return a snapshot for lists, status and resources."""
        status, record, operation = self.status, self.record, self.operation
        stored: JsonObject = (self._stored_error() or {}) if status.error is None else {}
        counters = record.counters
        return ServiceView(
            id=record.id,
            name=record.name,
            service_type=self.service_type,
            class_name=record.class_name,
            class_digest=record.class_digest,
            state=status.state,
            health=status.health,
            reachability=status.reachability,
            desired=record.desired,
            state_since=status.since,
            created_at=record.created_at,
            updated_at=self._updated_at,
            error=error_text(status.error) or stored.get("message"),
            error_at=status.error_at,
            reason=status.reason or str(stored.get("reason") or "") or self._lease_reason(),
            labels=record.labels,
            owner=record.owner,
            purpose=record.purpose,
            persist=record.persist,
            auto_start=record.auto_start,
            args=self._masked_args(),
            outputs=self._masked_outputs(),
            outputs_at=_time(counters.get("outputsAt")),
            service_data=self.service_data(),
            dependencies=self.dependencies,
            dependency_problems=tuple(self.dependency_problems[name] for name in sorted(self.dependency_problems)),
            checked_at=self.checked_at,
            next_check_at=self.next_check_at,
            next_retry_at=self.next_retry_at,
            reachability_at=status.reachability_at,
            evidence=self.evidence,
            health_failures=self.failures,
            health_successes=self.successes,
            health_checks=self.checks_health,
            lease=record.lease,
            lease_expires_at=record.lease_expires_at,
            restarts=int(counters.get("restarts", 0)),
            starts=int(counters.get("starts", 0)),
            operation=operation.view() if operation is not None else None,
        )

    def _stored_error(self) -> JsonObject | None:
        """Return the error of an earlier run, which holds until the service is up or down as it should be."""
        return None if self.state.is_up or self.state is ServiceState.STOPPED else self.record.error

    def _lease_reason(self) -> str:
        ends = self.record.lease_expires_at
        is_over = ends is not None and ends <= self._clock.now()
        return "lease-expired" if is_over and self.state is ServiceState.STOPPED and not self.is_wanted else ""

    def _masked_args(self) -> JsonObject:
        specs = self.service_class.spec.args
        return {
            key: MASK if key in specs and specs[key].secret and value is not None else self.masked(value)
            for key, value in self.record.args.items()
        }

    def _masked_outputs(self) -> JsonObject:
        hidden = self._secret_output_names()
        return {
            key: MASK if key in hidden and value is not None else self.masked(value)
            for key, value in self.record.outputs.items()
        }

    def _secret_output_names(self) -> set[str]:
        outputs = self.service_class.config.outputs
        return {name for name, spec in outputs.items() if isinstance(spec, OutputSpec) and spec.secret}

    def _output_secrets(self) -> frozenset[str]:
        found: set[str] = set()
        for name in self._secret_output_names():
            value = self.record.outputs.get(name)
            if value not in (None, ""):
                found.add(str(value))
        for step, call in self.service_class.tools.calls():
            held: JsonObject = self.record.step_outputs.get(step) or {}
            if held:
                found |= {
                    str(held[name])
                    for name, spec in call.outputs.items()
                    if isinstance(spec, OutputSpec) and spec.secret and held.get(name) not in (None, "")
                }
        return frozenset(found)

    # -- changes of the record -----------------------------------------------------------------------------

    def set_record(self, **changes: object) -> None:
        """Replace fields of the record (durable with the next commit)."""
        self.record = replace(self.record, **changes)  # pyright: ignore[reportArgumentType]
        if "step_outputs" in changes or "outputs" in changes:
            self.secrets = self._arg_secrets | self._output_secrets()

    def set_held(self, *, held: bool) -> None:
        """Note whether a start may have left something that nobody can tell of."""
        self.set_record(counters={**self.record.counters, "held": int(held)})

    def set_completed(self) -> None:
        """Note that it has done its work and ended well: nobody wants it to run any more."""
        self.set_record(desired=DesiredState.STOPPED, counters={**self.record.counters, "completed": 1})

    def begin_anew(self) -> None:
        """A start begins: what an earlier run completed does not count any more."""
        if self.has_completed:
            self.set_record(counters={**self.record.counters, "completed": 0})

    def forget_start(self) -> None:
        """Note that nothing of the last start is there any more."""
        self.set_record(stop_plan=(), step_outputs={}, outputs={})
        self.set_held(held=False)

    def count(self, counter: str) -> None:
        """Add one to a counter of the record."""
        counters = self.record.counters
        self.set_record(counters={**counters, counter: int(counters.get(counter, 0)) + 1})

    async def commit(self, operation: Operation | None = None, *, drop: bool = False) -> None:
        """Make the record (and the operation's) durable.

        Raises:
            StoreError: it could not be; nothing was written.
        """
        status = self.status
        error = status.error
        self.set_record(
            state=status.state,
            updated_at=self._clock.now(),
            revision=self.record.revision + 1,
            error=self._stored_error()
            if error is None
            else {
                "code": getattr(error, "code", "error"),
                "message": self.mask_text(error_text(error) or ""),
                "reason": status.reason,
            },
        )
        changes: list[PutService | DropService | PutOperation] = [
            DropService(self.id) if drop else PutService(self.record)
        ]
        if operation is not None:
            changes.append(PutOperation(operation.record))
            operation.committed = True
        await self._runtime.store.commit(changes)

    def note(self, message: str) -> None:
        """Record something that people should know of."""
        self._runtime.events.append(EventKind.WARNING, self.name, self.mask_text(message))

    def driver_answered(self) -> None:
        """The driving server answered a call."""
        self.set_reachability(Reachability.REACHABLE)

    def judge_by_driver(self) -> None:
        """Take it for healthy, because the server that started it is there and no tool can look closer."""
        server = self.service_class.tools.start.server
        self.evidence = f"server {server!r} is connected; the class has no tool that looks at the service"
        self.checked_at = self._clock.now()
        self.set_health(HealthStatus.HEALTHY)

    def doubt_driver(self, server: str) -> None:
        """The server is gone that alone vouched for it: nobody can tell any more."""
        tools = self.service_class.tools
        if self.state.is_up and not self.service_class.looks_after_start and server == tools.start.server:
            self.evidence = f"server {server!r} was away since the start, and no tool can look at the service"
            self.set_health(HealthStatus.UNKNOWN)

    def set_dependencies(self, names: Sequence[str]) -> None:
        """Note the names that the class's dependencies have for this instance."""
        self._dependencies = tuple(names)

    def set_settled(self, state: ServiceState) -> None:
        """Take over a state that the journal proves (after a crash)."""
        self._status = replace(self._status, state=state)

    # -- requests ------------------------------------------------------------------------------------------

    def request(
        self, kind: OperationKind, *, reason: str = "", force: bool = False, abandon: bool = False
    ) -> Operation:
        """Ask for an operation and return it at once; equal requests share one.

        Raises:
            ConflictError: the service is being deleted.
        """
        current, pending = self._current, self._pending
        if self.removed or (current is not None and current.kind is OperationKind.DELETE):
            if current is not None and kind is OperationKind.DELETE and not (force or abandon):
                return current
            if kind is not OperationKind.DELETE or self.removed:
                raise ConflictError(f"service {self.name!r} is being deleted", service=self.name)
        latest = pending or current
        if latest is not None and latest.kind is kind and not latest.is_cancelled and not (force or abandon):
            return latest
        if (
            latest is not None
            and kind is OperationKind.START
            and latest.kind is OperationKind.RESTART
            and not latest.is_cancelled
        ):
            return latest
        operation = Operation(
            kind,
            operation_id=self._runtime.make_id(),
            service_id=self.id,
            service_name=self.name,
            now=self._clock.now(),
            reason=reason,
            force=force,
            abandon=abandon,
        )
        if pending is not None:
            self._supersede(pending, operation)
        self._pending = operation
        if current is not None and kind in _CANCELLING and current.kind in _CANCELLABLE:
            current.cancel(f"a {kind.value} was requested")
        self._ensure_controlled()
        return operation

    def cancel_operation(self, reason: str, *, grace: float) -> None:
        """Ask the operation under way to end early (for shutdown); drop one that has not begun."""
        if self._pending is not None:
            pending, self._pending = self._pending, None
            self._end_unbegun(pending, SupersededError(f"{pending.kind.value} not begun: {reason}", service=self.name))
        if self._current is not None:
            self._current.cancel(reason, grace=grace)

    async def wait_idle(self) -> None:
        """Return when no operation is under way or about to begin."""
        while self._controlled:
            assert self._idle is not None
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
        await self.lifecycle.check_health()
        return self.health

    def _supersede(self, old: Operation, new: Operation) -> None:
        self._end_unbegun(
            old,
            SupersededError(
                f"{old.kind.value} of service {self.name!r} was superseded by a later {new.kind.value}",
                service=self.name,
            ),
        )

    def _end_unbegun(self, operation: Operation, error: OstlerError) -> None:
        operation.end(OperationOutcome.CANCELLED, self._clock.now(), error=error)
        operation.release()

    # -- the controller ------------------------------------------------------------------------------------

    def _ensure_controlled(self) -> None:
        if not self._controlled:
            group = self._runtime.task_group
            if group is None:
                raise RuntimeError("the ServiceManager is not running: use 'async with manager:'")
            self._controlled = True
            self._idle = anyio.Event()
            group.start_soon(self._control, name=f"ostler-service-{self.name}")

    async def _control(self) -> None:
        try:
            while (operation := self._pending) is not None:
                self._pending, self._current = None, operation
                try:
                    await self._execute(operation)
                finally:
                    self._current = None
        finally:
            self._controlled = False
            if self._idle is not None:
                self._idle.set()
            self._idle = None
        self._runtime.operation_ended(self)

    async def _execute(self, operation: Operation) -> None:
        events = self._runtime.events
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
            outcome = OperationOutcome.SUCCEEDED
            if scope.cancelled_caught:
                outcome = OperationOutcome.CANCELLED
                error = SupersededError(
                    f"{operation.kind.value} of service {self.name!r} was cancelled: {operation.cancel_reason}"
                    + (f" ({operation.message})" if operation.message else ""),
                    service=self.name,
                )
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
                next_actions=("look into the server's log",),
            )
            self.lifecycle.settle_after_bug(error)
        finally:
            if outcome is OperationOutcome.INTERRUPTED:  # the server is going away: recovery resolves it
                operation.end(outcome, self._clock.now(), error=SupersededError("the server is shutting down"))
                operation.record = replace(operation.record, outcome=None, finished_at=None)
                operation.release()
        await self._finish(operation, outcome, error)

    async def _finish(self, operation: Operation, outcome: OperationOutcome, error: OstlerError | None) -> None:
        operation.end(outcome, self._clock.now(), error=error)
        if not operation.message and error is None:
            operation.message = f"{operation.kind.value} of {self.name} done"
        try:
            with anyio.CancelScope(shield=True):
                if operation.committed or operation.changed:
                    await self.commit(operation, drop=self.removed)
        except StoreError as store_error:
            self.removed = False
            self.note(f"the end of {operation.kind.value} could not be recorded: {store_error}")
            operation.error = operation.error or store_error
        self._runtime.events.append(
            EventKind.OPERATION_ENDED,
            self.name,
            f"{operation.kind.value} {outcome.value}" + (f": {error}" if error is not None else ""),
            {"operation": operation.id, "kind": operation.kind.value, "outcome": outcome.value},
        )
        if self.removed:
            self._runtime.instance_removed(self)
        operation.release()

    async def _run(self, operation: Operation) -> None:
        match operation.kind:
            case OperationKind.START:
                await self.lifecycle.start(operation)
            case OperationKind.STOP:
                await self.lifecycle.stop(operation)
            case OperationKind.RESTART:
                await self.lifecycle.restart(operation)
            case OperationKind.DELETE:
                await self.lifecycle.delete(operation)
            case OperationKind.VERIFY:
                await self.lifecycle.verify(operation)
            case _:
                assert_never(operation.kind)

    def _status_changed(self, old: ServiceStatus, new: ServiceStatus) -> None:
        events = self._runtime.events
        if old.state is not new.state:
            data: JsonObject = {"from": old.state.value, "to": new.state.value}
            if new.reason:
                data["reason"] = new.reason
            message = f"{old.state.value} -> {new.state.value}"
            if new.error is not None and new.error is not old.error:
                message += f": {self.mask_text(error_text(new.error) or '')}"
            events.append(EventKind.STATE_CHANGED, self.name, message, data)
        if old.health is not new.health:
            events.append(
                EventKind.HEALTH_CHANGED,
                self.name,
                f"{old.health.value} -> {new.health.value}" + (f": {self.evidence}" if self.evidence else ""),
                {"from": old.health.value, "to": new.health.value},
            )
        if old.reachability is not new.reachability:
            events.append(
                EventKind.REACHABILITY_CHANGED,
                self.name,
                f"driving server {new.reachability.value}",
                {"from": old.reachability.value, "to": new.reachability.value},
            )
        if old.state is not new.state or old.health is not new.health:
            self._runtime.instance_changed(self)

    @property
    def is_wanted(self) -> bool:
        """Whether it should be running."""
        return self.record.desired is DesiredState.RUNNING


def _time(value: JsonValue) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else None


async def follow(operation: Operation, progress: Progress | None) -> None:
    """Wait for `operation`, sending its progress to `progress`.

    Raises:
        OstlerError: it failed.
    """
    if progress is None:
        await operation.wait()
        return
    operation.add_listener(progress)
    try:
        await operation.wait()
    finally:
        operation.remove_listener(progress)
