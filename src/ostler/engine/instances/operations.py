"""One operation under way: who waits for it, how it is cancelled, and its journal record."""

import math
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, Self

import anyio
from msgspec.structs import replace

from ostler.engine.protocols import Observer, Progress
from ostler.engine.services.views import OperationRequest, OperationView
from ostler.model.errors import OstlerError, SupersededError
from ostler.model.json import JsonObject, JsonValue
from ostler.model.records import (
    CallOutcome,
    CallRecord,
    OperationOutcome,
    OperationRecord,
    PlannedCall,
    ServiceRecord,
)

if TYPE_CHECKING:
    from ostler.engine.call_context import Turn

ANSWER_GRACE = 5.0
"""Seconds that a cancelled start still waits for the answer of a start call under way.

The answer names what was started (a pid, an id), and without it the stop tool often cannot be called at all.
"""

LEAVING = "the server is shutting down"
"""Why operations are cancelled when the server exits."""

_UNOBSERVED: AbstractContextManager[None] = nullcontext()


class Heir(Protocol):
    """A service that is not registered yet, as far as an operation needs it."""

    @property
    def record(self) -> ServiceRecord:
        """What the store gets."""
        ...

    def set_record(self, **changes: Any) -> None:
        """Change that."""
        ...


class Operation:
    """A start, stop, restart, delete or verification of one service.

    Attributes:
        asked: the request.
        kind: what it does.
        record: the journal's view of it; replaced, never changed.
        step: the lifecycle step that it is at, for people.
        last_miss: why the last ready or stopped check did not pass.
        progress: what its tool, or it itself, said last of what it waits for, masked.
        resumes: finishes what an earlier run of the server was cut off in.
        done_steps: steps of the operation that it resumes which need not be done again.
        submitted: it was given to the store, so its end must be stored as well.
        committed: the store has it.
        stored_intent: the call that the store has as intended, which `record` does not have yet.
        planned: that call as it was rendered, to be made as it is.
        is_interrupted: the server exits while it is under way: it stays open in the store for the next run.
        is_shared: a later request joined it.
        heir: the service that replaces the one that a delete removes, and inherits what that keeps.
        origin: where it was requested, as the observer knows it.
        turn: that of the call under way.
        changed: whether anything had to be done.
        message: one sentence about the end.
        error: why it failed; each waiter gets a copy.
    """

    def __init__(
        self,
        operation_id: str,
        service: ServiceRecord,
        asked: OperationRequest,
        *,
        now: datetime,
        reason: str,
        resumes: bool,
    ) -> None:
        self.asked = asked
        self.kind = asked.kind
        self.record = OperationRecord(
            operation_id,
            service.id,
            service.name,
            asked.kind,
            now,
            reason,
            class_digest=service.class_digest,
            idempotency_key=operation_id,
            force=asked.force,
            abandon=asked.abandon,
            keep=asked.keep,
            class_name=service.class_name,
        )
        self.step = ""
        self.last_miss = self.progress = ""
        self.resumes = resumes
        self.done_steps: frozenset[str] = frozenset()
        self.took_over_start = False
        self.changed = True
        self.message = ""
        self.warnings: dict[str, str] = {}
        self.error: OstlerError | None = None
        self.cancel_reason = ""
        self.submitted = self.committed = False
        self.stored_intent: CallRecord | None = None
        self.planned: PlannedCall | None = None
        self.is_interrupted = self.is_shared = False
        self.heir: Heir | None = None
        self.origin: object = None
        self.turn: Turn | None = None
        self._done = anyio.Event()
        self._scope: anyio.CancelScope | None = None
        self._shelters: list[anyio.CancelScope] = []
        self._cleaning: anyio.CancelScope | None = None
        self._leaves_all = False
        self._grace = ANSWER_GRACE
        self._listeners: list[Progress] = []

    def __repr__(self) -> str:
        return f"<Operation {self.kind.value} of {self.record.service_name!r} {self.id} step={self.step!r}>"

    @property
    def id(self) -> str:
        """The operation's id."""
        return self.record.id

    @property
    def reason(self) -> str:
        """Why it was begun."""
        return self.record.reason

    @property
    def is_done(self) -> bool:
        """Whether it has ended."""
        return self._done.is_set()

    @property
    def is_cancelled(self) -> bool:
        """Whether it was asked to end early."""
        return bool(self.cancel_reason)

    def view(self) -> OperationView:
        """Return a snapshot."""
        return OperationView(self.id, self.kind, self.record.started_at, self.step, self.reason, self.progress)

    def observed(self, observer: Observer | None) -> AbstractContextManager[None]:
        """Return the block in which `observer` follows the operation."""
        return _UNOBSERVED if observer is None else observer.operation(self.origin, lambda: self.record)

    async def wait(self) -> None:
        """Wait for the end.

        Raises:
            OstlerError: the operation failed or was cancelled.
        """
        await self._done.wait()
        if self.error is not None:
            raise self.error.fresh()

    def cancel(self, reason: str, *, grace: float = ANSWER_GRACE, leaves_all: bool = False) -> None:
        """Ask the operation to end early; it still cleans up after itself, for `grace` seconds if it `leaves_all`."""
        if self._done.is_set() or (self.cancel_reason and not leaves_all):
            return
        self.cancel_reason = self.cancel_reason or reason
        self._leaves_all = leaves_all
        shield = next((scope for scope in self._shelters if scope.shield), None)
        if shield is None or shield is not self._cleaning or leaves_all:
            self._end_within(grace, shield)

    def interrupt(self, *, grace: float = ANSWER_GRACE) -> None:
        """End at once, as at a crash, without cleaning up: the next run of the server continues it.

        Args:
            grace: seconds to wait for the answer of a call under way, so that it is known what it did.
        """
        if self._done.is_set():
            return
        self.is_interrupted = True
        self._grace = grace
        self._end_within(grace, self._shelters[0] if self._shelters else None)

    def enter(self, scope: anyio.CancelScope) -> None:
        """Have `cancel` end `scope`."""
        self._scope = scope
        if self.cancel_reason or self.is_interrupted:
            scope.cancel()

    @contextmanager
    def shelter(
        self, *, shield: bool, cleans_up: bool = False, deadline: float = math.inf
    ) -> Generator[anyio.CancelScope]:
        """Make the end of the server, and with `shield` a cancellation, wait a while for the block.

        A cancellation does not cut short a block that `cleans_up`, which it needs all the more, unless everything is to
        be left as it is. At `deadline` the block ends in any case.
        """
        with anyio.CancelScope(shield=shield, deadline=deadline) as scope:
            self._shelters.append(scope)
            if cleans_up:
                self._cleaning = scope
            is_cancelled = shield and self.is_cancelled and (self._leaves_all or not cleans_up)
            try:
                if (self.is_interrupted or is_cancelled) and len(self._shelters) == 1:
                    self._end_within(self._grace, scope)
                yield scope
            finally:
                self._cleaning = None if cleans_up else self._cleaning
                self._shelters.remove(scope)
                if (self.is_interrupted or self.cancel_reason) and not self._shelters and self._scope is not None:
                    self._scope.cancel()

    def _end_within(self, grace: float, shelter: anyio.CancelScope | None) -> None:
        if self.turn is not None and self.turn.is_awaited:
            grace = 0.0  # nothing was sent that could be answered
        if shelter is not None:
            shelter.deadline = min(shelter.deadline, anyio.current_time() + grace)
        elif self._scope is not None:
            self._scope.cancel()

    def end(self, outcome: OperationOutcome, now: datetime, *, error: OstlerError | None = None) -> None:
        """Note the end; waiters continue after `release`."""
        self.error = error.fresh() if error is not None else None
        self.record = replace(
            self.record,
            finished_at=now,
            outcome=outcome,
            error=str(error) if error is not None else "",
            error_code=error.code if error is not None else "",
            message=self.message,
            changed=self.changed,
        )

    def release(self) -> None:
        """Let the waiters continue."""
        self._done.set()

    def add_listener(self, progress: Progress) -> None:
        """Send progress to one more waiter."""
        self._listeners.append(progress)

    def remove_listener(self, progress: Progress) -> None:
        """A waiter has gone."""
        if progress in self._listeners:
            self._listeners.remove(progress)

    async def report_progress(self, done: float, total: float | None, message: str | None) -> None:
        """Report progress to every waiter; `message` is masked."""
        self.progress = message or self.progress
        for listener in list(self._listeners):
            await listener(done, total, message)

    def begin_call(self, step: str, tool: str, args: JsonObject, now: datetime) -> int:
        """Add a call to the record as intended; return its sequence number."""
        seq = len(self.record.calls)
        call = CallRecord(seq, step, tool, args, CallOutcome.INTENDED, now)
        self.record = replace(self.record, calls=(*self.record.calls, call))
        return seq

    def send_later(self, seq: int, now: datetime) -> None:
        """Note that a call that is intended is sent only now."""
        calls = list(self.record.calls)
        calls[seq] = replace(calls[seq], sent_at=now)
        self.record = replace(self.record, calls=tuple(calls))

    def joined_by(self, asked: OperationRequest) -> Self:
        """Answer a later request, too; a delete keeps what the service has only if every request wants that."""
        self.is_shared = True
        if self.asked.keep and not asked.keep:
            self.asked, self.record = replace(self.asked, keep=False), replace(self.record, keep=False)
            self.committed = False  # the store has it as it was
        return self

    def is_journaled(self, seq: int) -> bool:
        """Whether the store has this call as intended already; true once."""
        intent, self.stored_intent = self.stored_intent, None
        return intent is not None and replace(self.record.calls[seq], sent_at=intent.sent_at) == intent

    def warn(self, text: str, step: str) -> None:
        """Add to the answer what the tool of a step, which did its work, says besides."""
        self.warnings.setdefault(text, step)

    def end_call(
        self, seq: int, outcome: CallOutcome, now: datetime, *, error: str = "", answer: JsonValue = None
    ) -> None:
        """Note the outcome of a call."""
        calls = list(self.record.calls)
        calls[seq] = replace(calls[seq], outcome=outcome, answered_at=now, error=error, answer=answer)
        self.record = replace(self.record, calls=tuple(calls))

    def calls(self, step: str) -> Sequence[CallRecord]:
        """Return the calls of one step."""
        return [call for call in self.record.calls if call.step == step]

    def may_have_started(self) -> bool:
        """Whether a start or restart call of this operation (or of one that it resumes) may have acted."""
        return self.took_over_start or self.record.may_have_started

    def add_requests(self, requests: JsonObject) -> None:
        """Answer these requests too: idempotency keys, each with the digest of its request."""
        self.record = replace(self.record, requests={**self.record.requests, **requests})

    def add_reason(self, reason: str) -> None:
        """Add to why it is carried out."""
        self.record = replace(self.record, reason=f"{self.record.reason}; {reason}")

    def set_key(self, key: str) -> None:
        """Take over the idempotency key of the operation that is done again."""
        self.record = replace(self.record, idempotency_key=key)


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


def superseded(service: str, said: str) -> SupersededError:
    """Return why an operation was not carried out to its end, as `said`: something else came first."""
    steps = (f"service_status {service} shows its state", "make the request again, if it is still wanted")
    return SupersededError(said, service=service, next_actions=steps)


def left_to_next_server(operation: Operation, what: str) -> SupersededError:
    """Return that `operation` was not `what` (begun, finished), as the server exits."""
    return superseded(operation.record.service_name, f"{operation.kind.value} not {what}: {LEAVING}")
