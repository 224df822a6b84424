"""A store that forgets when the process ends: for tests, and for library use without a state folder."""

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import assert_never

import anyio.lowlevel
from msgspec import Struct

from ostler.adapters.stores.records_json import EVENT, OPERATION, SERVICE
from ostler.adapters.stores.retention import Retention
from ostler.engine.protocols import Change, DropService, PutOperation, PutService, StoredState
from ostler.model.errors import StoreError
from ostler.model.events import Event
from ostler.model.records import OperationRecord


class _StoredOperation(Struct, frozen=True):
    seq: int
    service_id: str
    is_open: bool
    text: str


class MemoryStore:
    """Implements `ostler.engine.protocols.Store` without a disk and without threads.

    It keeps JSON text, as a disk store does: what was committed is a snapshot, and what is not JSON is refused.
    """

    def __init__(self, retention: Retention | None = None) -> None:
        """Make an empty store that keeps as much history as `retention` says (default: `Retention()`)."""
        self._retention = retention or Retention()
        self._services: dict[str, tuple[str, str]] = {}
        """id → (name, text)"""
        self._ids: dict[str, str] = {}
        """name → id"""
        self._operations: dict[str, _StoredOperation] = {}
        self._by_service: dict[str, dict[str, _StoredOperation]] = {}
        self._last_seq = 0
        self._events: dict[int, tuple[str, str]] = {}
        """cursor → (service, text)"""
        self._cursors: dict[str, deque[int]] = {}
        """service → cursors of its kept events"""
        self._last_cursor = 0

    def __repr__(self) -> str:
        return f"<MemoryStore services={len(self._services)} operations={len(self._operations)}>"

    async def load(self) -> StoredState:
        """Return what is stored: services by name, open operations and events oldest first."""
        await anyio.lowlevel.checkpoint()
        services = [SERVICE.read(text) for _, text in self._services.values()]
        opened = sorted((stored for stored in self._operations.values() if stored.is_open), key=lambda each: each.seq)
        return StoredState(
            services=sorted(services, key=lambda record: record.name),
            open_operations=[_record(stored) for stored in opened],
            last_cursor=self._last_cursor,
            events=[EVENT.read(self._events[cursor][1]) for cursor in sorted(self._events)],
        )

    async def commit(self, changes: Sequence[Change]) -> None:
        """Apply `changes`, all or none.

        Raises:
            StoreError: two services would have one name, or a value is not JSON; nothing was applied.
        """
        await anyio.lowlevel.checkpoint_if_cancelled()
        # Nothing yields from here to the end of the application: commits apply in the order of the calls.
        services, ids = dict(self._services), dict(self._ids)
        operations: list[OperationRecord] = []
        texts: list[str] = []
        for change in changes:
            match change:
                case PutService(record):
                    if ids.setdefault(record.name, record.id) != record.id:
                        raise duplicate_name(record.name)
                    if record.id in services and services[record.id][0] != record.name:
                        del ids[services[record.id][0]]
                    services[record.id] = record.name, SERVICE.write(record)
                case DropService(service_id):
                    if service_id in services:
                        del ids[services.pop(service_id)[0]]
                case PutOperation(operation):
                    operations.append(operation)
                    texts.append(OPERATION.write(operation))
                case _:
                    assert_never(change)
        self._services, self._ids = services, ids
        for operation, text in zip(operations, texts, strict=True):
            self._keep(operation, text)
        await anyio.lowlevel.cancel_shielded_checkpoint()

    def append_events(self, events: Sequence[Event]) -> None:
        """Keep `events`; one whose cursor is already kept is ignored.

        Raises:
            StoreError: an event's data is not JSON.
        """
        for event in events:
            self._last_cursor = max(self._last_cursor, event.cursor)
            if event.cursor in self._events:
                continue
            self._events[event.cursor] = event.service, EVENT.write(event)
            own = self._cursors.setdefault(event.service, deque())
            own.append(event.cursor)
            if event.service and len(own) > self._retention.events_per_service:
                del self._events[own.popleft()]
            if len(self._events) > self._retention.events:
                oldest = next(iter(self._events))
                owner, _ = self._events.pop(oldest)
                self._cursors[owner].remove(oldest)
                if not self._cursors[owner]:
                    del self._cursors[owner]

    async def operations(self, service_id: str, *, limit: int = 20) -> Sequence[OperationRecord]:
        """Return the newest operations of a service, newest first."""
        await anyio.lowlevel.checkpoint()
        found = reversed(self._by_service.get(service_id, {}).values())
        return [_record(stored) for stored in islice(found, limit)]

    async def find_request(self, service_name: str, key: str) -> OperationRecord | None:
        """Return the newest operation of a service of this name, gone or not, that answers the idempotency key."""
        await anyio.lowlevel.checkpoint()
        for stored in sorted(self._operations.values(), key=lambda each: each.seq, reverse=True):
            if '"requests":{"' in stored.text:
                record = _record(stored)
                if record.service_name == service_name and key in record.requests:
                    return record
        return None

    def _keep(self, operation: OperationRecord, text: str) -> None:
        before = self._operations.get(operation.id)
        if before is None:
            self._last_seq += 1
        stored = _StoredOperation(
            before.seq if before else self._last_seq, operation.service_id, operation.outcome is None, text
        )
        self._operations[operation.id] = stored
        own = self._by_service.setdefault(operation.service_id, {})
        own[operation.id] = stored
        self._trim(own, self._retention.operations_per_service)
        self._trim(self._operations, self._retention.operations)

    def _trim(self, operations: dict[str, _StoredOperation], keep: int) -> None:
        if len(operations) <= keep:
            return
        finished = [key for key, stored in operations.items() if not stored.is_open]
        for key in finished[: max(0, len(finished) - keep)]:
            stored = self._operations.pop(key)
            own = self._by_service[stored.service_id]
            del own[key]
            if not own:
                del self._by_service[stored.service_id]


def duplicate_name(name: str) -> StoreError:
    """Return the error for a commit that would give two services one name."""
    return StoreError(
        f"another stored service is named {name!r}; nothing was written",
        service=name,
        next_actions=("drop the other service in the same commit or before it",),
    )


def _record(stored: _StoredOperation) -> OperationRecord:
    return OPERATION.read(stored.text)
