"""What the engine shows and takes: immutable snapshots and requests, the same for tools, resources, CLI and library."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol, TypeAlias, TypedDict

from msgspec import Struct, field

from ostler.engine.protocols import Progress
from ostler.model.errors import Finding, OstlerError
from ostler.model.json import JsonMapping, JsonObject, JsonValue
from ostler.model.projects import Overrides
from ostler.model.records import DeleteMode, OperationKind, ServiceTraits
from ostler.model.settings import CancelledCreate
from ostler.model.states import DesiredState, HealthStatus, Reachability, ServiceState


class OperationView(Struct, frozen=True, rename="camel"):
    """An operation under way: what, since when, which step it is at, and what that waits for, if it says so."""

    id: str
    kind: OperationKind
    started_at: datetime
    step: str = ""
    reason: str = ""
    progress: str = ""


class ServiceView(ServiceTraits, frozen=True, rename="camel"):
    """One service at one moment. `args` and `outputs` are masked; `ServiceManager.reveal` has the secrets.

    Attributes:
        error: the last failure in words, kept until the next success; None when there is none.
        reason: a short code for the cause of the state (`crash-loop`, `dependency`, `lease-expired` …).
        dependency_problems: what is wrong with services that this one runs without, in words.
        outputs_at: when the outputs were taken from the start (or restart) tool's answer.
        checked_at: when health was last checked (answered or not).
        passed_at: when a health check passed last.
        failure_threshold: health checks that have to fail in a row until it is unhealthy.
        evidence: what the last health check saw, in words.
        reachability_at: when the driving server's reachability last changed.
        service_data: facts of the service's type (steps' outputs; a server's pid and tools count …).
    """

    id: str
    name: str
    service_type: str
    class_name: str
    state: ServiceState
    health: HealthStatus
    reachability: Reachability
    desired: DesiredState
    state_since: datetime
    created_at: datetime
    updated_at: datetime
    error: str | None = None
    error_at: datetime | None = None
    reason: str = ""
    class_digest: str = ""
    args: JsonObject = field(default_factory=dict[str, JsonValue])
    outputs: JsonObject = field(default_factory=dict[str, JsonValue])
    outputs_at: datetime | None = None
    service_data: JsonObject = field(default_factory=dict[str, JsonValue])
    dependencies: tuple[str, ...] = ()
    dependency_problems: tuple[str, ...] = ()
    checked_at: datetime | None = None
    passed_at: datetime | None = None
    failure_threshold: int = 1
    next_check_at: datetime | None = None
    next_retry_at: datetime | None = None
    reachability_at: datetime | None = None
    evidence: str = ""
    health_failures: int = 0
    health_successes: int = 0
    health_checks: bool = False
    lease_expires_at: datetime | None = None
    restarts: int = 0
    starts: int = 0
    operation: OperationView | None = None

    @property
    def lease_end(self) -> datetime | None:
        """When its lease will stop it; None without a lease, or once it is stopped."""
        return self.lease_expires_at if self.state.is_up or self.desired is DesiredState.RUNNING else None


PROJECT_LABEL = "ostler/project"
"""Label of a service of a project: the project's id."""

DIRECTORY_LABEL = "ostler/directory"
"""Label of a service of a project: the project's folder."""


NAMESPACE_LABEL = "ostler/namespace"
"""Label of a service whose owner does not see everyone's: the last part of its name."""

MANAGED_LABEL = "ostler/managed"
"""Label of a service that was made from its project's file, and goes when it leaves the file."""

CREATED_FOR = "ostler/created-for"
"""Label of a service that was made as a dependency: the service that it was made for, with which it goes."""

RENEWAL_LABEL = "ostler/lease-renewal"
"""Label of a service whose lease does not run while a client works in its project."""

INPUTS_LABEL = "ostler/inputs"
"""Label of a job of a project: the digest of the files that it watches, as they were when it was made."""


class ProjectRef(Struct, frozen=True):
    """A project, as its services know it.

    Attributes:
        id: `shop`, or `fix-ui.shop` for a worktree: what follows the short name in a full one.
        directory: its folder, absolute.
        replaced_by: of one that is left over: the project that the folder is now; empty where the folder is gone.
    """

    id: str
    directory: str
    replaced_by: str = ""

    @property
    def is_worktree(self) -> bool:
        """Whether it is that of a worktree, and not of a main checkout."""
        return "." in self.id

    @property
    def labels(self) -> JsonObject:
        """The labels that its services carry."""
        return {PROJECT_LABEL: self.id, DIRECTORY_LABEL: self.directory}

    def full_name(self, name: str, *, foreign: bool = False) -> str:
        """Return the full name of the service that is called `name` in the project; a full one is itself.

        A dot makes a name a full one, except where the service's class is `foreign`: such names have dots anyway.
        """
        is_full = name.endswith(f".{self.id}") if foreign else "." in name
        return name if is_full else f"{name}.{self.id}"


def in_namespace(name: str, namespace: str) -> str:
    """Return the full name of what is called `name` in a namespace; a full one is itself."""
    return name if not namespace or name.endswith(f".{namespace}") else f"{name}.{namespace}"


class CreateRequest(ServiceTraits, frozen=True):
    """What to create. An empty name asks for the class's `defaultName` or a generated one.

    A `plan_id` is that of a plan of the same request: nothing is done when what it depends on has changed since.
    """

    class_name: str
    name: str = ""
    args: JsonObject = field(default_factory=dict[str, JsonValue])
    start: bool = True
    idempotency_key: str = ""
    plan_id: str = ""
    overrides: Overrides | None = None
    """What the instance changes of its class."""
    replaces: bool = False
    """It takes the place of the service of that name, which is deleted; what that keeps stays, and is the new one's."""
    project: ProjectRef | None = None
    """The project that it belongs to."""
    managed: bool = False
    """Made from the project's file."""
    inputs: str = ""
    """The digest of the files that a job of a project watches."""
    lease_renewal: str = ""
    """`client`: its lease does not run while a client works in its project."""
    namespace: str = ""
    """What the name ends with, after a dot, so that those who do not see each other's services share no names."""
    folder: str = ""
    """Where relative paths in args start; empty when it is not known, and they are refused then."""
    numbers_as_text: bool = False
    """Takes whole numbers for args that want text, as models send them; in files that is a mistake."""


class OperationRequest(DeleteMode, frozen=True):
    """What is asked of a service; how long its caller waits is not part of it.

    Attributes:
        kind: what to do.
        idempotency_key: the same key with an equal request gives the earlier answer, and nothing is done.
        adopt: a start takes the service for running, with these outputs of its start tool (those that the journal or
            its `find` tool knows can be left out); None starts it.
        dependents: a stop first stops what depends on the service, directly or not; else that runs on, and the
            message names it.
    """

    kind: OperationKind
    idempotency_key: str = ""
    adopt: JsonObject | None = None
    dependents: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether it asks for no more than its kind, so that one of that kind under way answers it."""
        return not (self.force or self.abandon or self.keep) and self.adopt is None

    @property
    def digest(self) -> str:
        """What two equal requests share."""
        facts = [self.kind.value, self.adopt, self.dependents, self.force, self.abandon, *([True] if self.keep else [])]
        return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


WhenCancelled: TypeAlias = Callable[[], CancelledCreate | None]
"""Says what becomes of a create whose caller was cancelled; None: the caller was not cancelled, but is gone."""


class Waiting(Struct, frozen=True):
    """How the caller of a request waits for its end.

    Attributes:
        wait: False returns as soon as the request is accepted.
        timeout: seconds to wait at most; None waits to the end. The operation goes on.
        progress: called as the operation gets on.
        when_cancelled: asked when the caller of a create is cancelled while it waits; without it the start goes on.
        to_end: wait for the end of a job that is started, too; else only until it runs.
    """

    wait: bool = True
    timeout: float | None = None
    progress: Progress | None = None
    when_cancelled: WhenCancelled | None = None
    to_end: bool = False


class WaitingOptions(TypedDict, total=False):
    """The fields of `Waiting` as keyword arguments."""

    wait: bool
    timeout: float | None
    progress: Progress | None
    when_cancelled: WhenCancelled | None
    to_end: bool


class OperationResult(Struct, frozen=True):
    """How a request went.

    Attributes:
        service: the service as it is now (for delete: as it was last).
        message: one sentence naming the service and what happened.
        changed: False when nothing was to be done.
        finished: False when the wait ran out first; the operation goes on (see `operation_id`).
        job: it started a job whose end was waited for: True when that has completed, False when it has not.
        warnings: what tools that did their work said besides; `message` has it, too.
    """

    service: ServiceView
    message: str
    changed: bool = True
    finished: bool = True
    operation_id: str = ""
    job: bool | None = None
    warnings: tuple[str, ...] = ()


class Availability(Struct, frozen=True):
    """Whether a class's tools are all there. An unknown class is `available=False` with `known=False`."""

    name: str
    available: bool
    missing_tools: tuple[str, ...] = ()
    missing_servers: tuple[str, ...] = ()
    known: bool = True
    reason: str = ""
    findings: tuple[Finding, ...] = ()
    """What the last check against the listed tools found; it does not make the class unavailable."""


class Listed(Protocol):
    """What a list shows and can be narrowed by: a service, or a snapshot of one."""

    @property
    def name(self) -> str: ...
    @property
    def service_type(self) -> str: ...
    @property
    def class_name(self) -> str: ...
    @property
    def state(self) -> ServiceState: ...
    @property
    def health(self) -> HealthStatus: ...
    @property
    def reason(self) -> str: ...
    @property
    def owner(self) -> str: ...
    @property
    def labels(self) -> JsonMapping: ...
    @property
    def error(self) -> str | None: ...
    @property
    def health_failures(self) -> int: ...
    @property
    def failure_threshold(self) -> int: ...
    @property
    def reachability(self) -> Reachability: ...


def is_out_of_reach(listed: Listed) -> bool:
    """Whether a service is said to run whose server is away, so that no check can show whether it still does."""
    return listed.state is ServiceState.RUNNING and listed.reachability is Reachability.UNREACHABLE


class ServiceFilter(Struct, frozen=True):
    """Which services to list; empty fields do not filter. Labels are `key=value` pairs that must all match."""

    states: tuple[str, ...] = ()
    health: tuple[str, ...] = ()
    class_name: str = ""
    service_type: str = ""
    owner: str = ""
    labels: Sequence[tuple[str, str]] = ()

    def matches(self, listed: Listed) -> bool:
        """Whether `listed` is one of them."""
        return (
            (not self.states or listed.state.value in self.states)
            and (not self.health or listed.health.value in self.health)
            and (not self.class_name or listed.class_name == self.class_name)
            and (not self.service_type or listed.service_type == self.service_type)
            and (not self.owner or listed.owner == self.owner)
            and all(str(listed.labels.get(key)) == value for key, value in self.labels)
        )


class ServiceFacts(Protocol):
    """What a service and its view have in common; it never blocks."""

    @property
    def name(self) -> str: ...
    @property
    def service_type(self) -> str: ...
    @property
    def state(self) -> ServiceState: ...
    @property
    def health(self) -> HealthStatus: ...


class ReadOnlyService(ABC):
    """A service that is only looked at.

    Args:
        facts: what it is now.
    """

    def __init__(self, facts: ServiceFacts) -> None:
        self._facts = facts

    @property
    def name(self) -> str:
        """Its name."""
        return self._facts.name

    @property
    def service_type(self) -> str:
        """Its type."""
        return self._facts.service_type

    @property
    def state(self) -> ServiceState:
        """Its state."""
        return self._facts.state

    @property
    def health(self) -> HealthStatus:
        """Its health."""
        return self._facts.health

    @property
    def last_error(self) -> BaseException | None:
        """Nothing: the view has the error's text."""
        return None

    @property
    def dependencies(self) -> Sequence[str]:
        """What it depends on."""
        return self.view().dependencies

    @abstractmethod
    def view(self) -> ServiceView:
        """Return a snapshot."""

    @abstractmethod
    def refusal(self) -> OstlerError:
        """Return the error for whoever wants to change it."""

    async def start(self) -> None:
        """Refuse."""
        raise self.refusal()

    async def stop(self) -> None:
        """Refuse."""
        raise self.refusal()

    async def restart(self) -> None:
        """Refuse."""
        raise self.refusal()
