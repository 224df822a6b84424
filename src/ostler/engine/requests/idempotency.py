"""Idempotency keys: the request of each key, the operation that answered it, and that answer again."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager

import anyio
from msgspec.structs import replace

from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.instances.operations import Operation
from ostler.engine.instances.runtime import Runtime
from ostler.engine.services.registry import ServiceRegistry
from ostler.engine.services.service import BaseService
from ostler.engine.services.views import OperationRequest, OperationResult, ServiceView
from ostler.model.errors import ConflictError, OperationError, OstlerError
from ostler.model.records import OperationRecord
from ostler.model.states import ServiceState


class Replays:
    """Finds the outcome of an earlier request with the same key."""

    def __init__(self, runtime: Runtime, registry: ServiceRegistry) -> None:
        self._runtime = runtime
        self._registry = registry
        self._turns: dict[tuple[str, str], anyio.Lock] = {}

    @asynccontextmanager
    async def turn(self, name: str, key: str) -> AsyncGenerator[None]:
        """Let requests with the same key in one by one, each until it is accepted."""
        lock = self._turns.setdefault((name, key), anyio.Lock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked():
                self._turns.pop((name, key), None)

    async def find(self, name: str, asked: OperationRequest) -> Operation | OperationRecord | None:
        """Return the operation under way, or the one that has ended, that answers the key; None when it is new.

        Raises:
            ConflictError: the key was used for something else.
            StoreError: the records cannot be read.
        """
        service = self._registry.find(name)
        if isinstance(service, ServiceInstance) and service.record.idempotency_key == asked.idempotency_key:
            raise key_conflict(asked.idempotency_key, name, f"to create service {name!r}", f"a {asked.kind.value}")
        found = service.answering(asked.idempotency_key) if isinstance(service, ServiceInstance) else None
        if found is None:
            found = await self._runtime.store.find_request(name, asked.idempotency_key)
        if found is None:
            return None
        record = found.record if isinstance(found, Operation) else found
        if record.requests[asked.idempotency_key] != asked.digest:
            if record.kind is not asked.kind:
                raise key_conflict(asked.idempotency_key, name, used_for(record), f"a {asked.kind.value}")
            raise ConflictError(
                f"idempotency key {asked.idempotency_key!r} was used for service {name!r} with other arguments "
                f"({record.kind.value} at {record.started_at.isoformat(timespec='seconds')})",
                service=name,
                next_actions=("use a new key for a new request",),
            )
        if isinstance(found, OperationRecord) and found.outcome is None:
            return None  # interrupted when the server stopped, and not resumed yet: this request does that
        return found

    def answer(self, record: OperationRecord) -> OperationResult:
        """Return how the operation went.

        Raises:
            OstlerError: it failed.
        """
        if record.error:
            kind = next((kind for kind in _errors() if kind.code == record.error_code), OperationError)
            raise kind(record.error, service=record.service_name)
        service = self._registry.find(record.service_name)
        view = service.view() if service is not None else _gone(record)
        return OperationResult(view, record.message, changed=record.changed, operation_id=record.id)


def key_conflict(key: str, name: str, used: str, wanted: str) -> ConflictError:
    """Return the error for a key that was used for something else: `to create service 'db'`, `for a stop of …`."""
    return ConflictError(
        f"idempotency key {key!r} was used {used}, so it cannot stand for {wanted} of it",
        service=name,
        next_actions=("use a new key for a new request",),
    )


def used_for(record: OperationRecord) -> str:
    """Return what a key of `record` was used for."""
    when = record.started_at.isoformat(timespec="seconds")
    return f"for a {record.kind.value} of service {record.service_name!r} at {when}"


def _errors(base: type[OstlerError] = OstlerError) -> Iterator[type[OstlerError]]:
    """Yield the kinds of errors that are made of a text alone."""
    for kind in base.__subclasses__():
        if kind.__init__ is OstlerError.__init__:
            yield kind
        yield from _errors(kind)


def _gone(record: OperationRecord) -> ServiceView:
    """Return what is still known of a deleted service."""
    ended = record.finished_at or record.started_at
    gone = BaseService(record.service_name, record.class_name, state=ServiceState.STOPPED)
    return replace(
        gone.view(),
        id=record.service_id,
        class_name=record.class_name,
        class_digest=record.class_digest,
        state_since=ended,
        created_at=ended,
        updated_at=ended,
    )
