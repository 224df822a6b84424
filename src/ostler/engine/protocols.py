"""What the engine needs from the world: a ToolCaller, a Store, a Clock. Two-method seams, nothing more."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol, TypeAlias, runtime_checkable

from msgspec import Struct

from ostler.model.errors import OstlerError
from ostler.model.events import Event
from ostler.model.json import JsonMapping, JsonObject
from ostler.model.records import OperationRecord, PlannedCall, ServiceRecord
from ostler.model.responses import ToolResponse

Progress: TypeAlias = Callable[[float, float | None, str | None], Awaitable[None]]
"""`await progress(done, total, message)`."""


class ToolCaller(Protocol):
    """Calls tools of downstream servers; implemented by the downstream pool, or by a library user."""

    async def call_tool(
        self,
        tool: str,
        args: JsonMapping,
        *,
        timeout: float | None = None,
        progress: Progress | None = None,
    ) -> ToolResponse:
        """Call `server/tool` and return its normalised answer; a tool's own failure is `is_error`, not an exception.

        Args:
            tool: `server/tool`.
            args: the tool's arguments, complete and rendered; to be read only, as services of a class share them.
            timeout: seconds until `ToolTimeoutError`; None means the server's default.
            progress: called for each progress notification.

        Raises:
            DownstreamError: there was no answer; see its `delivery`.
        """
        ...


class ToolInfo(Struct, frozen=True):
    """One downstream tool as its server lists it; `note` says which part of it does not follow the protocol."""

    server: str
    name: str
    description: str
    input_schema: JsonObject
    output_schema: JsonObject | None = None
    annotations: JsonObject | None = None
    title: str = ""
    note: str = ""

    @property
    def qualified(self) -> str:
        """`server/tool`."""
        return f"{self.server}/{self.name}"


class ServerStatus(Struct, frozen=True):
    """What is known about a downstream server right now.

    Attributes:
        known: there is an entry for it (configured or built in).
        connected: calls can be sent.
        reason: why it is not connected, in words for people.
        tools_known: its tools list has been read at least once.
        outlives: a call that it has taken may continue after this process has died (it is not a child of this process).
        process: which process of it is, or was last, connected; empty if unknown. Identifiers that another
            process gave mean nothing to this one.
    """

    known: bool
    connected: bool
    reason: str = ""
    tools_known: bool = False
    outlives: bool = False
    process: str = ""


class ToolDirectory(Protocol):
    """What the downstream pool knows about servers and tools, without asking them."""

    def server_status(self, server: str) -> ServerStatus:
        """Return what is known about `server`; never blocks."""
        ...

    def find_tool(self, tool: str) -> ToolInfo | None:
        """Return the tool `server/tool`, or None when it is not (or not yet) listed."""
        ...

    def list_tools(self, server: str | None = None) -> Sequence[ToolInfo]:
        """Return the listed tools, of one server or of all, by name."""
        ...

    def on_change(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call `callback(server)` (quick, not blocking) when a server connects, is lost, or lists other tools.

        Returns a function that ends the subscription.
        """
        ...


class Foresight(Protocol):
    """Predicts the failure of some calls, without sending them."""

    async def __call__(self, tool: str, args: JsonObject, /) -> OstlerError | None:
        """Return why a call of `server/tool` would fail; None if that is not known."""
        ...


async def no_foresight(_tool: str, _args: JsonObject) -> OstlerError | None:
    """Predict nothing."""
    return None


class ToolProvider(ToolCaller, ToolDirectory, Protocol):
    """Calls tools, and knows which there are."""


class Activity(Struct, frozen=True):
    """What a service does.

    Attributes:
        cpu_seconds: CPU time of its processes since they began.
        connections: TCP connections to the ports on which they listen.
    """

    cpu_seconds: float
    connections: int


class ActivityMeter(Protocol):
    """Measures the activity of services; implemented by what runs their processes."""

    async def activity(self, names: Sequence[str]) -> Mapping[str, Activity]:
        """Return what the services `names` do, by name, as far as that can be seen."""
        ...


class RemoteAnswer(Struct, frozen=True):
    """What a tool answered another server of the same store; `by` says which one, as they are told apart."""

    response: ToolResponse
    by: str


class RemoteChecks(Protocol):
    """Other servers of the same store, which ask for this one whether services are well."""

    async def ask(self, service_id: str, call: PlannedCall) -> RemoteAnswer | None:
        """Have one of them make `call`, which only looks, and return what its tool answered.

        None: it is for this server to ask, or the other one got no answer in time.
        """
        ...

    def doubt(self, answer: RemoteAnswer, call: PlannedCall) -> None:
        """Note that `answer` is not what this server was answered right after it."""
        ...


class Clock(Protocol):
    """Wall time, injected. Durations and sleeps use anyio's clock, which tests make virtual."""

    def now(self) -> datetime:
        """Return the current time, UTC and timezone-aware."""
        ...

    def elapsed(self) -> float:
        """Return seconds that count while the machine sleeps, too, and do not jump when its clock is set."""
        ...


class PutService(Struct, frozen=True):
    """Write a service record (insert or replace by id)."""

    record: ServiceRecord


class DropService(Struct, frozen=True):
    """Remove a service record; its operations stay as history until retention."""

    id: str


class PutOperation(Struct, frozen=True):
    """Write an operation with its calls (insert or replace by id)."""

    record: OperationRecord


Change: TypeAlias = PutService | DropService | PutOperation


class StoredState(Struct, frozen=True):
    """What a store held when it was opened.

    Attributes:
        services: every service record.
        open_operations: operations without an outcome, oldest first.
        last_cursor: the highest event cursor ever given out.
        events: the newest kept events, oldest first.
    """

    services: Sequence[ServiceRecord]
    open_operations: Sequence[OperationRecord]
    last_cursor: int
    events: Sequence[Event]


class Store(Protocol):
    """Durable memory.

    Obligations (one contract suite tests them over every store):

    - `commit` is atomic (all changes or none), durable when it returns, and applied in the order of the calls.
    - Concurrent commits may share one disk write (group commit).
    - `commit` that cannot be made durable raises StoreError and leaves nothing of it behind.
    - cancellation of a `commit` leaves either all or nothing, never a part.
    """

    async def load(self) -> StoredState:
        """Return what is stored.

        Raises:
            StoreError: it cannot be read; nothing was changed.
        """
        ...

    async def commit(self, changes: Sequence[Change]) -> None:
        """Make `changes` durable, atomically.

        Raises:
            StoreError: disk full, read-only, or closed; nothing was written.
        """
        ...

    def append_events(self, events: Sequence[Event]) -> None:
        """Queue events to be written with the next commit, or soon; never blocks, never raises for disk faults."""
        ...

    async def operations(self, service_id: str, *, limit: int = 20) -> Sequence[OperationRecord]:
        """Return the newest operations of a service, newest first."""
        ...

    async def find_request(self, service_name: str, key: str) -> OperationRecord | None:
        """Return the newest operation of a service of this name, gone or not, that answers the idempotency key."""
        ...


class Observer(Protocol):
    """Follows operations and health checks from outside, for traces, metrics and logs: quick, and raises nothing."""

    def asked(self) -> object:
        """Return the origin of a request that is made now; `operation` gets it back, maybe in another task."""
        ...

    def joined(self, origin: object) -> None:
        """Note that a request joins the operation that was requested at `origin`."""
        ...

    def operation(self, origin: object, record: Callable[[], OperationRecord]) -> AbstractContextManager[None]:
        """Return a block in which an operation is carried out, in one task.

        Args:
            origin: where it was asked for.
            record: returns the operation as it is now; after the block with its outcome, or without one if the next
                run of the server goes on with it.
        """
        ...

    def check(self, service: str, late: float) -> AbstractContextManager[None]:
        """Return a block in which the scheduler checks the health of `service`, begun `late` seconds after its time."""
        ...


@runtime_checkable
class HeldStore(Store, Protocol):
    """A store that another process may take over."""

    def confirm(self) -> None:
        """Raise StoreError unless this process is certain to hold the store for a moment more. Never blocks."""
        ...


StateChangeCallback: TypeAlias = Callable[[str, str, str, str, BaseException | None], None]
"""`callback(name, old, new, health, error)`: states and health by their values."""
