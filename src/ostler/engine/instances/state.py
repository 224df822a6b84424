"""The state of one service made from a class: record, status, vitals, secrets, template names, and its commits.

Nothing here knows a procedure: these are in the modules next to this one, and `instance` decides which is due.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import is_

from msgspec import Struct
from msgspec.structs import replace

from ostler.engine.instances.handles import Holder, given_names, given_values, handle_key, is_replaced
from ostler.engine.instances.operations import Operation
from ostler.engine.instances.reasons import UNREADABLE_CLASS
from ostler.engine.instances.runtime import DependencyFacts, Runtime
from ostler.engine.protocols import DropService, PutOperation, PutService
from ostler.engine.services.service import BaseService, error_text
from ostler.engine.services.views import DIRECTORY_LABEL
from ostler.model.errors import OstlerError
from ostler.model.events import EventKind
from ostler.model.json import JsonObject, JsonValue
from ostler.model.manifest import ServiceClass
from ostler.model.records import CallRecord, OperationKind, OperationOutcome, OperationRecord, ServiceRecord
from ostler.model.states import DesiredState, HealthStatus, Reachability, ServiceState
from ostler.rules.calls.rendering import delete_plan, stop_plan
from ostler.rules.secrets.masking import mask, secret_strings
from ostler.rules.secrets.record_secrets import NO_SECRETS, secrets_since_created, secrets_within
from ostler.rules.secrets.secret_marks import marks_in
from ostler.rules.text.log_pages import PAGE_OUTPUTS


class Vitals(Struct, frozen=True):
    """What only this run knows about a service, besides its status and its record.

    Attributes:
        evidence: what the last health check saw, in words.
        checked_at: when health was last checked (answered or not).
        passed_at: when a health check passed last.
        next_check_at: when it is checked next.
        next_retry_at: when its restart policy tries it next.
        failures: checks that failed in a row, and looks after a restart that missed it and proved nothing.
        successes: checks that passed in a row.
        calls_before: serial of the last shared call begun before it came up; earlier answers show nothing about it.
        dependency_problems: what is wrong with a service that it runs without, by the name of that service.
        gone: an answer has proven, since it was last up, that it no longer exists.
        unreadable: why the class that it was stored with cannot be read; another one takes its place.
        removed: it was deleted.
        left_open: its operation was cut off by the exit of the server: everything else is left to the next run.
        is_idle: the last request was the stop of a service that no one used.
    """

    evidence: str = ""
    checked_at: datetime | None = None
    passed_at: datetime | None = None
    next_check_at: datetime | None = None
    next_retry_at: datetime | None = None
    failures: int = 0
    successes: int = 0
    calls_before: int = 0
    dependency_problems: Mapping[str, str] = {}
    gone: bool = False
    unreadable: OstlerError | None = None
    removed: bool = False
    left_open: bool = False
    is_idle: bool = False


class Journal(Struct, frozen=True):
    """Ends of operations that are not stored yet.

    Attributes:
        interrupted: what an earlier run was cut off in; open in the store until an operation of this run takes over.
        unrecorded: operations that have ended, to be written with the next commit of an operation.
    """

    interrupted: OperationRecord | None = None
    unrecorded: tuple[OperationRecord, ...] = ()


class ServiceRuntime(Runtime, ABC):
    """What a service needs to know about others."""

    @abstractmethod
    async def await_dependencies(self, service: "InstanceState", operation: Operation) -> DependencyFacts:
        """Return what templates see of the dependencies of `service`, as soon as they allow its start.

        Raises:
            DependencyError: they do not; the service waits, and starts when they are ready.
        """

    @abstractmethod
    def dependency_facts(self, service: "InstanceState") -> DependencyFacts:
        """Return what templates see of the dependencies of a service that was not started in this run."""


class InstanceState(BaseService):
    """The state of one service instance. What changes is in frozen values, each replaced as a whole."""

    def __init__(
        self,
        runtime: ServiceRuntime,
        record: ServiceRecord,
        service_class: ServiceClass,
        *,
        state: ServiceState = ServiceState.UNKNOWN,
    ) -> None:
        super().__init__(record.name, service_class.service_type, clock=runtime.clock, state=state)
        self.runtime = runtime
        self.record = record
        self.service_class = service_class
        self.vitals = Vitals()
        self.journal = Journal()
        self._known_handle: tuple[tuple[object, ...], str | None] | None = None
        self._created_at = record.created_at
        self._updated_at = record.updated_at
        self._possible_secrets = NO_SECRETS
        self._secret_args: frozenset[str] | None = None
        self._secrets: frozenset[str] | None = None

    # -- facts ---------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The instance's id, unique forever (names can be reused)."""
        return self.record.id

    @property
    def is_wanted(self) -> bool:
        """Whether it should be running."""
        return self.record.desired is DesiredState.RUNNING

    @property
    def has_completed(self) -> bool:
        """Whether it has done its work and ended well, by its class's `completed`."""
        return self.record.completed

    @property
    def may_be_there(self) -> bool:
        """Whether there may be something to stop."""
        return self.record.has_leftover or self.state.is_up or self.state is ServiceState.UNKNOWN

    @property
    def interrupted_start(self) -> OperationRecord | None:
        """The start or restart that an earlier run was cut off in."""
        old = self.journal.interrupted
        return old if old is not None and old.kind.brings_up else None

    @property
    def checks_health(self) -> bool:
        """Whether there is a tool to check with, and checking is enabled."""
        return self.service_class.config.health_rules.enabled and self.service_class.looks_after_start

    @property
    def can_be_healthy(self) -> bool:
        """Whether anything can show that it is healthy: a check, or the state of its driving server."""
        if self.service_class.looks_after_start:
            return self.checks_health
        return self.runtime.tools is not None and self.service_class.config.health_rules.enabled

    @property
    def dependency_facts(self) -> JsonObject:
        """What templates saw of the dependencies at the last start."""
        return self.record.dependency_facts

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
                "folder": record.labels.get(DIRECTORY_LABEL),
                "mark": self.runtime.mark,
                "metadata": {"labels": record.labels, "owner": record.owner, "purpose": record.purpose},
            },
            "dependencies": self.dependency_facts or self._facts_now(),
            "env": dict(self.runtime.environment),
        }

    def _facts_now(self) -> JsonObject:
        """Return what templates see of the dependencies without a start; their secrets are kept like its own."""
        facts = self.runtime.dependency_facts(self)
        if facts.secrets and not facts.secrets <= self.secrets:
            self.set_record(dependency_secrets=tuple(sorted(facts.secrets.union(self.record.dependency_secrets))))
        return facts.names

    def masked(self, value: JsonValue) -> JsonValue:
        """Return `value` with this instance's secrets replaced."""
        return mask(value, self.secrets, known=self.name.split(".")) if self.secrets else value

    def mask_text(self, text: str) -> str:
        """Return `text` with this instance's secrets replaced."""
        return str(self.masked(text))

    def service_data(self) -> JsonObject:
        """Return the outputs of the lifecycle tools by step, masked."""
        return {step: self.masked(value) for step, value in self.record.step_outputs.items()}

    def stored_error(self) -> JsonObject | None:
        """Return the error of an earlier run, which is valid until the service is up or stopped."""
        return None if self.state.is_up or self.state is ServiceState.STOPPED else self.record.error

    # -- changes -------------------------------------------------------------------------------------------

    def set_record(self, **changes: object) -> None:
        """Replace fields of the record (durable with the next commit); one that is as it was is left alone."""
        if (record := replace(self.record, **changes)) == self.record:
            return
        self.record = record
        self._touch()
        if not changes.keys().isdisjoint(("step_outputs", "outputs", "dependency_secrets", "delete_secrets")):
            self._secrets = None

    def take_class(self, service_class: ServiceClass, fields: JsonObject) -> None:
        """Use another version of the class, which drives the same program; `fields` of the record say which."""
        self.service_class, self._secret_args, self._secrets = service_class, None, None
        self.set_record(**fields)

    def identifiers(self) -> list[str]:
        """Return what names the service to its server: its name, and what its start tool returned."""
        given = self.record.step_outputs.get("start", {}).values()
        return [self.name, *(str(value) for value in given if isinstance(value, str | int))]

    def set_vitals(self, **changes: object) -> None:
        """Replace fields of the vitals; those that are as they were are left alone."""
        if (vitals := replace(self.vitals, **changes)) != self.vitals:
            self.vitals = vitals
            self._touch()

    def forget_health(self) -> None:
        """Discard what earlier health checks found."""
        self.set_vitals(failures=0, successes=0, evidence="", checked_at=None, passed_at=None, next_check_at=None)

    @property
    def secrets(self) -> frozenset[str]:
        """Every text that is masked wherever this service is shown; computed on demand."""
        if self._secrets is None:
            if self._secret_args is None:
                args, spec = self.record.args, self.service_class.spec
                marks = marks_in([args, self.service_class.tools.start.args])
                self._secret_args = secret_strings(spec.args, args) | marks | self._possible_secrets or NO_SECRETS
            self._secrets = self._secret_args | secrets_since_created(self.service_class, self.record) or NO_SECRETS
        return self._secrets

    def keep_outputs(self, step: str, outputs: JsonObject) -> None:
        """Keep the outputs of a step for later templates; start, ready, restart and find keep theirs themselves."""
        held = self.record.step_outputs
        is_kept_here = step in ("stop", "status", "healthCheck", "logs", "sendInput")
        if step == "logs":  # these are about one answer, not about the service
            outputs = {name: value for name, value in outputs.items() if name not in PAGE_OUTPUTS}
        if outputs and is_kept_here and held.get(step) != outputs:
            self.set_record(step_outputs={**held, step: outputs})

    def pin_stop_plan(self) -> None:
        """Render what will stop it from what is known now.

        Raises:
            TemplateError: it names what is not known.
        """
        self.set_record(stop_plan=stop_plan(self.service_class, self.template_names()))

    def take_outputs(self, outputs: JsonObject) -> None:
        """Note the outputs of a service that has come up, and render from them what deletes it.

        Raises:
            TemplateError: its delete call names what is not known.
        """
        self.set_record(outputs=outputs, outputs_at=self._clock.now())
        if self.service_class.tools.delete is not None or self.record.delete_plan:
            plan = delete_plan(self.service_class, self.template_names())
            args: list[JsonValue] = [call.args for call in plan]
            self.set_record(delete_plan=plan, delete_secrets=tuple(sorted(secrets_within(args, self.secrets))))

    def take_handles(self) -> None:
        """Note that the server's present process gave the service its identifiers."""
        tools = self.runtime.tools
        giver = tools.server_status(self.service_class.tools.stop.server).process if tools is not None else ""
        self.set_record(giver=giver)
        self.hold_handles()

    def hold_handles(self) -> None:
        """Note that the service's known identifiers belong to it now."""
        if (key := self._handle()) is not None:
            self.runtime.handles.give(key, Holder(self.id, self.name, self.record.giver))

    def rival(self) -> Holder | None:
        """Return the other service that was given this one's identifiers after it, or None.

        Its name is empty if what it was given no longer exists.
        """
        key = self._handle()
        holder = self.runtime.handles.holder(key) if key is not None else None
        if holder is None or holder.id == self.id:
            return None
        return holder if holder.name or is_replaced(self.record.giver, holder) else None

    def _handle(self) -> str | None:
        """Return the known identifiers; computed again only if their sources have changed."""
        seen = (self.service_class, self.record.step_outputs, self.record.args)
        if self._known_handle is None or not all(map(is_, self._known_handle[0], seen)):
            given = given_values(given_names(self.service_class), self.record.step_outputs)
            key = handle_key(self.service_class, self.template_names()) if given else None
            self._known_handle = (seen, key)
        return self._known_handle[1]

    def set_completed(self) -> None:
        """Note that the service has done its work and ended well, and need not run again."""
        self.set_record(desired=DesiredState.STOPPED, completed=True)

    def forget_start(self, *, is_proven: bool = True) -> None:
        """Record that nothing of the last start is left; unless that `is_proven`, the next start uses the same key."""
        if (key := self._handle()) is not None:
            self.runtime.handles.release(key, self.id)
        stop = {step: made for step, made in self.record.step_outputs.items() if step == "stop"}
        settled = {"start_unsettled": False} if is_proven else {}
        self.set_record(stop_plan=(), step_outputs=stop, outputs={}, held=False, may_have_moved=False, **settled)

    def set_dependencies(self, names: Sequence[str]) -> None:
        """Note the names that the class's dependencies have for this instance."""
        self._dependencies = tuple(names)

    def driver_answered(self) -> None:
        """The driving server answered a call."""
        self.set_reachability(Reachability.REACHABLE)

    def judge_by_driver(self) -> None:
        """Mark the service healthy because the server that started it is connected and no tool can check more."""
        server = self.service_class.tools.start.server
        self.set_vitals(
            evidence=f"server {server!r} is connected; the class has no tool that checks the service",
            checked_at=self._clock.now(),
        )
        self.set_health(HealthStatus.HEALTHY)

    def doubt_driver(self, server: str) -> None:
        """Note that the server whose state stood for the service's health is gone: the health is unknown."""
        tools = self.service_class.tools
        if self.state.is_up and not self.service_class.looks_after_start and server == tools.start.server:
            self.set_vitals(evidence=f"server {server!r} was away since the start, and no tool can check the service")
            self.set_health(HealthStatus.UNKNOWN)

    def show_unreadable(self, error: OstlerError, secrets: frozenset[str]) -> None:
        """Show that the stored class cannot be read; what a stop plan can stop can still be stopped.

        Args:
            error: what to say, also to who wants to start it.
            secrets: what must not be shown, as the class cannot say.
        """
        self._possible_secrets, self._secret_args, self._secrets = secrets, None, None
        self._status.replace(replace(self.status, error=error, error_at=self._clock.now(), reason=UNREADABLE_CLASS))
        self.set_vitals(unreadable=error)

    def note(self, message: str) -> None:
        """Record something that people should know of."""
        self.runtime.events.append(EventKind.WARNING, self.name, self.mask_text(message))

    # -- durability ----------------------------------------------------------------------------------------

    async def commit(
        self,
        operation: Operation | None = None,
        *,
        drop: bool = False,
        ends: bool = False,
        intent: CallRecord | None = None,
    ) -> None:
        """Make the record (and the operation's) durable, with the call that the operation is to begin with as `intent`.

        The first commit of an operation takes over what an earlier run was cut off in; with `ends`, what has ended and
        was not recorded is written without one.

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
                "summary": self.mask_text(error.summary if isinstance(error, OstlerError) else str(error)),
                "reason": status.reason,
            },
        )
        first = DropService(self.id) if drop else PutService(self.record)
        changes: list[PutService | DropService | PutOperation] = [first]
        if drop and operation is not None and operation.heir is not None:
            changes.append(PutService(operation.heir.record))
        ended: list[OperationRecord] = []
        if operation is not None:
            calls = (*operation.record.calls, intent) if intent is not None else operation.record.calls
            stored = replace(operation.record, calls=calls)
            operation.stored_intent = intent
            changes.append(PutOperation(stored))
            ended = [*self.journal.unrecorded, *self._taken_over(operation)]
            changes += [PutOperation(record) for record in ended]
            operation.submitted = True
        elif ends:
            ended = list(self.journal.unrecorded)
            changes += [PutOperation(record) for record in ended]
        await self.runtime.store.commit(changes)
        if operation is not None:
            operation.committed = True
        if ended or operation is not None:
            left = self.journal.interrupted
            self.journal = Journal(
                None if left is not None and any(record.id == left.id for record in ended) else left,
                tuple(record for record in self.journal.unrecorded if record not in ended),
            )

    def _taken_over(self, operation: Operation) -> list[OperationRecord]:
        old = self.journal.interrupted
        if old is None or operation.kind is OperationKind.VERIFY is not old.kind:
            return []  # looking settles nothing
        error = f"the server ended while it was under way; operation {operation.id} ({operation.kind.value}) took over"
        return [replace(old, outcome=OperationOutcome.INTERRUPTED, finished_at=self._clock.now(), error=error)]

    def take_interrupted(self, operations: Sequence[OperationRecord]) -> None:
        """Take over the open operations of an earlier run, oldest first; only the newest has to be resolved.

        What a start among them may have left is the record's from here on, whatever becomes of the operations.
        """
        *older, newest = operations
        if any(old.may_have_started for old in operations) and not self.record.stop_plan:
            self.set_record(held=True)
        now = self._clock.now()
        closed = [
            replace(old, outcome=OperationOutcome.INTERRUPTED, finished_at=now, error="a later operation followed")
            for old in older
        ]
        self.journal = Journal(newest, (*self.journal.unrecorded, *closed))

    def record_later(self, operation: OperationRecord) -> None:
        """Write the end of `operation` with the next commit of an operation."""
        self.journal = replace(self.journal, unrecorded=(*self.journal.unrecorded, operation))
