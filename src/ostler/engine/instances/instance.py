"""A service made from a ServiceClass: its durable record, its controller, and what templates see of it.

One controller task per instance, there only while something is to be done: requests put an operation in place and
wait for it; equal requests join the one under way, a contradicting one cancels it.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

import anyio

from ostler.engine.instances.display import view_of
from ostler.engine.instances.operations import Operation
from ostler.engine.instances.runtime import Runtime
from ostler.engine.instances.settlement import Settlement
from ostler.engine.instances.vitals import UNREADABLE_CLASS
from ostler.engine.protocols import DropService, PutOperation, PutService
from ostler.engine.services.service import BaseService, ServiceStatus, error_text
from ostler.engine.services.views import ServiceView
from ostler.model.errors import ConflictError, OstlerError, StoreError, SupersededError
from ostler.model.events import EventKind
from ostler.model.json import JsonObject, JsonValue
from ostler.model.manifest import ServiceClass
from ostler.model.records import OperationKind, OperationOutcome, OperationRecord, ServiceRecord
from ostler.model.states import DesiredState, HealthStatus, Reachability, ServiceState
from ostler.rules.secrets.masking import mask, secret_strings
from ostler.rules.secrets.record_secrets import output_secrets

if TYPE_CHECKING:
    from datetime import datetime

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
        self.secrets: frozenset[str] = self._known_secrets()
        self.dependency_problems: dict[str, str] = {}
        self.interrupted: OperationRecord | None = None
        """What an earlier run was cut off in; open in the journal until an operation of this run takes over."""
        self.unreadable: OstlerError | None = None
        """Why the class that it was stored with cannot be read; another one stands in for it."""
        self.removed = False
        self.evidence = ""
        self.checked_at: datetime | None = None
        self.next_check_at: datetime | None = None
        self.next_retry_at: datetime | None = None
        self.failures = 0
        self.successes = 0
        self.calls_before = 0
        """Serial of the last shared call that was begun before it came up, and so shows nothing about it."""
        self.lifecycle = Settlement(self, runtime)
        self._unrecorded: list[OperationRecord] = []
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
    def dependency_facts(self) -> JsonObject:
        """What templates saw of the dependencies at the last start."""
        return self.record.dependency_facts

    @property
    def interrupted_start(self) -> OperationRecord | None:
        """The start or restart that an earlier run was cut off in."""
        old = self.interrupted
        return old if old is not None and old.kind in (OperationKind.START, OperationKind.RESTART) else None

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
                "startKey": record.start_key,
                "metadata": {"labels": record.labels, "owner": record.owner, "purpose": record.purpose},
            },
            "dependencies": self.dependency_facts or self._facts_now(),
            "env": dict(self._runtime.environment),
        }

    def _facts_now(self) -> JsonObject:
        """What is seen of the dependencies without a start, from now on keeping their secrets like its own."""
        facts = self._runtime.dependency_facts(self)
        if not facts.secrets <= self.secrets:
            self.set_record(dependency_secrets=tuple(sorted(facts.secrets.union(self.record.dependency_secrets))))
        return facts.names

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
        return view_of(self, self._updated_at, self._clock.now())

    def stored_error(self) -> JsonObject | None:
        """Return the error of an earlier run, which holds until the service is up or down as it should be."""
        return None if self.state.is_up or self.state is ServiceState.STOPPED else self.record.error

    # -- changes of the record -----------------------------------------------------------------------------

    def set_record(self, **changes: object) -> None:
        """Replace fields of the record (durable with the next commit)."""
        self.record = replace(self.record, **changes)  # pyright: ignore[reportArgumentType]
        if not changes.keys().isdisjoint(("step_outputs", "outputs", "dependency_secrets")):
            self.secrets = self._known_secrets()

    def _known_secrets(self) -> frozenset[str]:
        own = self._arg_secrets | output_secrets(self.service_class, self.record)
        return own.union(self.record.dependency_secrets)

    def keep_outputs(self, step: str, outputs: JsonObject) -> None:
        """Keep the outputs of a step for later templates; start, ready, restart and find keep theirs themselves."""
        held = self.record.step_outputs
        is_kept_here = step in ("stop", "status", "healthCheck", "logs")
        if outputs and is_kept_here and held.get(step) != outputs:
            self.set_record(step_outputs={**held, step: outputs})

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
        stop = {step: made for step, made in self.record.step_outputs.items() if step == "stop"}
        self.set_record(stop_plan=(), step_outputs=stop, outputs={})
        self.set_held(held=False)

    def count(self, counter: str) -> None:
        """Add one to a counter of the record."""
        counters = self.record.counters
        self.set_record(counters={**counters, counter: int(counters.get(counter, 0)) + 1})

    async def commit(self, operation: Operation | None = None, *, drop: bool = False) -> None:
        """Make the record (and the operation's) durable.

        The first commit of an operation takes over what an earlier run was cut off in.

        Raises:
            StoreError: it could not be; nothing was written.
        """
        status = self.status
        error = status.error
        self.set_record(
            state=status.state,
            updated_at=self._clock.now(),
            revision=self.record.revision + 1,
            error=self.stored_error()
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
        ended: list[OperationRecord] = []
        if operation is not None:
            changes.append(PutOperation(operation.record))
            ended = [*self._unrecorded, *self._taken_over(operation)]
            changes += [PutOperation(record) for record in ended]
        if operation is not None:
            operation.submitted = True
        await self._runtime.store.commit(changes)
        if operation is not None:
            operation.committed = True
            if any(record.id == self.interrupted.id for record in ended if self.interrupted):
                self.interrupted = None
            self._unrecorded = [record for record in self._unrecorded if record not in ended]

    def _taken_over(self, operation: Operation) -> list[OperationRecord]:
        if self.interrupted is None or operation.kind is OperationKind.VERIFY is not self.interrupted.kind:
            return []  # looking settles nothing
        error = f"the server ended while it was under way; operation {operation.id} ({operation.kind.value}) took over"
        return [
            replace(
                self.interrupted,
                outcome=OperationOutcome.INTERRUPTED,
                finished_at=self._clock.now(),
                error=error,
            )
        ]

    def take_interrupted(self, operations: Sequence[OperationRecord]) -> None:
        """Take over what the journal has open of an earlier run, oldest first; only the newest is to be resolved."""
        *older, self.interrupted = operations
        now = self._clock.now()
        self._unrecorded += [
            replace(old, outcome=OperationOutcome.INTERRUPTED, finished_at=now, error="a later operation followed")
            for old in older
        ]

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

    def show_unreadable(self, error: OstlerError, secrets: frozenset[str]) -> None:
        """Show that the stored class cannot be read; what a stop plan can stop can still be stopped.

        Args:
            error: what to say, also to who wants to start it.
            secrets: what is not to be shown, as the class cannot tell.
        """
        self.unreadable = error
        self._arg_secrets |= secrets
        self.secrets = self._known_secrets()
        self._status = replace(self._status, error=error, error_at=self._clock.now(), reason=UNREADABLE_CLASS)

    # -- requests ------------------------------------------------------------------------------------------

    def request(
        self,
        kind: OperationKind,
        *,
        reason: str = "",
        force: bool = False,
        abandon: bool = False,
        resumes: bool = False,
        adopt: JsonObject | None = None,
    ) -> Operation:
        """Ask for an operation and return it at once; equal requests share one.

        Args:
            kind: what to do.
            reason: why, for people.
            force: a delete goes on when its stop fails.
            abandon: a delete stops nothing.
            resumes: finish what an earlier run was cut off in.
            adopt: a start takes the service for running, with these outputs of its start tool.

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
        is_special = force or abandon or adopt is not None
        if latest is not None and latest.kind is kind and not latest.is_cancelled and not is_special:
            return latest
        if (
            latest is not None
            and kind is OperationKind.START
            and adopt is None
            and latest.kind is OperationKind.RESTART
            and not latest.is_cancelled
        ):
            return latest
        operation = self._operation(kind, reason, force=force, abandon=abandon, resumes=resumes, adopt=adopt)
        self.carry_out(operation)
        return operation

    def first_start(self) -> Operation:
        """Return the start that follows the creation, to be made durable together with the new record."""
        return self._operation(OperationKind.START, "created")

    def carry_out(self, operation: Operation) -> None:
        """Put `operation` next; it takes the place of one that has not begun, and a stop cancels a start."""
        current, pending = self._current, self._pending
        if pending is not None:
            self._supersede(pending, operation)
        self._pending = operation
        if current is not None and operation.kind in _CANCELLING and current.kind in _CANCELLABLE:
            current.cancel(f"a {operation.kind.value} was requested")
        self._ensure_controlled()

    def _operation(
        self,
        kind: OperationKind,
        reason: str,
        *,
        force: bool = False,
        abandon: bool = False,
        resumes: bool = False,
        adopt: JsonObject | None = None,
    ) -> Operation:
        operation = Operation(
            kind,
            operation_id=self._runtime.make_id(),
            service_id=self.id,
            service_name=self.name,
            now=self._clock.now(),
            reason=reason,
            force=force,
            abandon=abandon,
            class_digest=self.record.class_digest,
            class_name=self.record.class_name,
            resumes=resumes,
            adopt=adopt,
        )
        if self.interrupted is not None and self.interrupted.kind is kind:  # it ends what those were promised
            operation.add_requests(self.interrupted.requests)
        return operation

    def answering(self, key: str) -> Operation | OperationRecord | None:
        """Return what answers the idempotency key `key`: an operation to come, or an end that is not stored yet."""
        for operation in (self._pending, self._current):
            if operation is not None and key in operation.record.requests:
                return operation
        return next((record for record in reversed(self._unrecorded) if key in record.requests), None)

    def cancel_operation(self, reason: str, *, grace: float) -> None:
        """Ask the operation under way to end early (for shutdown); drop one that has not begun."""
        if self._pending is not None:
            pending, self._pending = self._pending, None
            self._end_unbegun(pending, SupersededError(f"{pending.kind.value} not begun: {reason}", service=self.name))
        if self._current is not None and self._current.kind in _CANCELLABLE:  # a stop under way is wanted all the more
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
        if operation.submitted:
            self._unrecorded.append(operation.record)
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
                    if not operation.is_done:  # nobody may wait for ever for what this task cannot end any more
                        operation.error = operation.error or SupersededError("the server is ending", service=self.name)
                        operation.release()
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
        if not operation.message and error is None:
            operation.message = f"{operation.kind.value} of {self.name} done"
        operation.end(outcome, self._clock.now(), error=error)
        try:
            with anyio.CancelScope(shield=True):
                if operation.submitted or operation.changed:
                    await self.commit(operation, drop=self.removed)
        except StoreError as store_error:
            self.removed = False
            if operation.submitted:
                self._unrecorded.append(operation.record)
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
            case OperationKind.START if operation.adopt is not None:
                await self.lifecycle.adopt(operation, operation.adopt)
            case OperationKind.START | OperationKind.RESTART if (old := self.interrupted_start) is not None:
                await self.lifecycle.resume(operation, old)
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
            if new.state.is_up:
                self.calls_before = self._runtime.batches.begun
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
