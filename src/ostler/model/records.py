"""What is kept on disk: service records, operations and their tool calls, as frozen values with a JSON form."""

from typing import Any, Final

from msgspec import Struct

from ostler.model.json import JsonObject, JsonValue
from ostler.model.moments import Moment
from ostler.model.states import DesiredState, ServiceState
from ostler.model.text_enum import TextEnum


class OperationKind(TextEnum):
    """What an operation does to its service."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"
    DELETE = "delete"
    VERIFY = "verify"

    @property
    def brings_up(self) -> bool:
        """Whether the service runs when it has succeeded."""
        return self in (OperationKind.START, OperationKind.RESTART)

    @property
    def takes_down(self) -> bool:
        """Whether the service is stopped, or gone, when it has succeeded."""
        return self in (OperationKind.STOP, OperationKind.DELETE)


START_STEPS = ("start", "restart")
"""Steps whose tools bring a service up."""


class OperationOutcome(TextEnum):
    """How an operation ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    """The server died while it was under way; found at the next start."""


class CallOutcome(TextEnum):
    """What is known about a journaled tool call."""

    INTENDED = "intended"
    """Durable before sending; no answer recorded (after a crash: ambiguous)."""
    NOT_SENT = "not_sent"
    """Certainly not delivered."""
    REJECTED = "rejected"
    """Delivered and refused before the tool did anything."""
    ANSWERED = "answered"
    FAILED = "failed"
    """The tool answered with a failure."""
    AMBIGUOUS = "ambiguous"
    """Perhaps delivered, and no answer: the tool may have acted."""

    @property
    def may_have_acted(self) -> bool:
        """Whether the tool may have done something."""
        return self not in (CallOutcome.NOT_SENT, CallOutcome.REJECTED)

    @property
    def is_unclear(self) -> bool:
        """Whether the journal leaves open what the tool did."""
        return self in (CallOutcome.INTENDED, CallOutcome.AMBIGUOUS)


class PlannedCall(Struct, frozen=True, rename="camel"):
    """A rendered tool call, pinned so that it works after its class was edited or deleted.

    `args` may hold secrets: mask before showing. `expect`, `expect_not` and `outputs` are the manifest's JSON form.
    """

    step: str
    tool: str
    args: JsonObject
    timeout: float
    expect: JsonObject | None = None
    expect_not: JsonObject | None = None
    outputs: JsonObject = {}
    retry_attempts: int = 1
    retry_delay: float = 1.0
    retry_when: JsonObject | None = None
    """The manifest's `retry.when`: an answer that does not match it is not a reason to try again."""
    fail_when: JsonObject | None = None
    """The manifest's `failWhen`: an answer of a ready check that matches it ends the wait."""
    gone_when: JsonObject | None = None
    """The manifest's `goneWhen`: a failure of a stop that matches it means that there was nothing to stop."""
    batch: JsonObject | None = None
    """`{"items": path, "match": {path: value}}` of a call that looks for many services at once; never pinned."""


class ServiceTraits(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a create request, the service's record and its views have in common. A field added here is in all of them.

    Attributes:
        persist: keep it when the server ends; otherwise it is stopped and forgotten.
        auto_start: start it again with the server.
        lease: seconds after which it is stopped unless the lease is renewed; None without one.
        labels: names and values of its user.
        owner: whose it is.
        purpose: what it is for.
    """

    persist: bool = True
    auto_start: bool = False
    lease: float | None = None
    labels: JsonObject = {}
    owner: str = ""
    purpose: str = ""

    @property
    def traits(self) -> dict[str, Any]:
        """These fields alone, by name, as keyword arguments for another class that has them."""
        return {name: getattr(self, name) for name in _TRAITS}


_TRAITS: Final = ServiceTraits.__struct_fields__


class DeleteMode(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a delete does about a stop.

    Attributes:
        force: it continues even if its stop fails.
        abandon: it stops nothing.
        keep: what the class's delete tool would remove stays, because the service is made again.
    """

    force: bool = False
    abandon: bool = False
    keep: bool = False


class ServiceRecord(ServiceTraits, frozen=True, rename="camel"):
    """Everything durable about one service instance. Immutable: a change is a new record with a higher revision."""

    id: str
    name: str
    class_name: str
    class_digest: str
    class_manifest: JsonObject
    args: JsonObject
    created_at: Moment
    updated_at: Moment
    desired: DesiredState
    state: ServiceState
    revision: int = 0
    start_key: str = ""
    """Idempotency key of the last start; a start that was cut off is done again under the same key."""
    start_unsettled: bool = False
    """What was started under that key may still exist; until it is known to be gone, every start has the same key."""
    dependency_facts: JsonObject = {}
    """What templates saw of the dependencies at the last start, as `dependencies.*`."""
    dependency_secrets: tuple[str, ...] = ()
    """The secrets among what templates saw of the dependencies."""
    step_outputs: JsonObject = {}
    """Outputs of lifecycle tools by step: `{"start": {...}}`."""
    outputs: JsonObject = {}
    stop_plan: tuple[PlannedCall, ...] = ()
    """How to stop it; not empty from the moment that there may be something to stop."""
    delete_plan: tuple[PlannedCall, ...] = ()
    """The delete call; pinned once the service has first come up, as what it keeps is its own from then on."""
    delete_secrets: tuple[str, ...] = ()
    """Texts in that call that must not be shown."""
    error: JsonObject | None = None
    """`{"code", "message", "reason", "at"}` of the last failure."""
    lease_expires_at: Moment | None = None
    idempotency_key: str = ""
    request_digest: str = ""
    starts: int = 0
    """How often its start tool answered."""
    restarts: int = 0
    held: bool = False
    """A start may have left something, and no tool can show whether it is there."""
    completed: bool = False
    """It has done its work and ended well, according to its class's `completed`."""
    missed_stop: bool = False
    """A stop was requested that could not be sent, and is still to be made."""
    missed_delete: bool = False
    """That stop was part of a delete, which is still to be made as a whole."""
    may_have_moved: bool = False
    """A restart tool may have given it other identifiers, and its answer is not known."""
    giver: str = ""
    """Which process of its server gave the identifiers in its outputs; empty if unknown."""
    outputs_at: Moment | None = None
    """When the outputs were taken from the start (or restart) tool's answer."""

    @property
    def has_leftover(self) -> bool:
        """Whether something may be there to stop: a stop plan is pinned, or it is not known what a start did."""
        return bool(self.stop_plan) or self.held


class CallRecord(Struct, frozen=True, rename="camel"):
    """One journaled tool call of an operation; `args` are masked before they get here when they hold secrets."""

    seq: int
    step: str
    tool: str
    args: JsonObject
    outcome: CallOutcome
    sent_at: Moment
    answered_at: Moment | None = None
    error: str = ""
    answer: JsonValue = None
    """A shortened, masked copy of the answer, for service_explain."""


class OperationRecord(DeleteMode, frozen=True, rename="camel"):
    """One start, stop, restart, delete or verify of one service.

    It is written together with its service's record, which holds the manifest and the stop plan that go with it.

    Attributes:
        class_digest: the version of the class that its calls were rendered from.
        idempotency_key: stays the same for an operation that is repeated after a crash.
        requests: the idempotency keys of the requests that it answers, each with the digest of what was asked for.
        class_name: the service's class, for an answer after the service is gone.
        message: one sentence about how it went.
        changed: False when nothing was to be done.
        error_code: the code of the error that it ended with.
    """

    id: str
    service_id: str
    service_name: str
    kind: OperationKind
    started_at: Moment
    reason: str = ""
    finished_at: Moment | None = None
    outcome: OperationOutcome | None = None
    error: str = ""
    calls: tuple[CallRecord, ...] = ()
    class_digest: str = ""
    idempotency_key: str = ""
    requests: JsonObject = {}
    class_name: str = ""
    message: str = ""
    changed: bool = True
    error_code: str = ""

    @property
    def may_have_started(self) -> bool:
        """Whether a start or restart tool may have acted in it."""
        return any(call.step in START_STEPS and call.outcome.may_have_acted for call in self.calls)
