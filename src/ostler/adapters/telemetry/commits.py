"""The store's commits, measured as the engine waits for them."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from opentelemetry.metrics import Histogram

from ostler.engine.protocols import Change, HeldStore, Store, StoredState
from ostler.model.errors import StoreError
from ostler.model.events import Event
from ostler.model.records import OperationRecord

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue


class ObservedStore:
    """A Store over another."""

    def __init__(self, store: Store, commits: Histogram, *, system: str) -> None:
        """Make it.

        Args:
            store: keeps everything.
            commits: takes the seconds of each commit.
            system: the database behind `store`, as the conventions name it (`db.system.name`).
        """
        self._store = store
        self._commits = commits
        self._facts: dict[str, AttributeValue] = {"db.system.name": system, "db.operation.name": "COMMIT"}

    def __repr__(self) -> str:
        return f"ObservedStore({self._store!r})"

    async def load(self) -> StoredState:
        """Return what is stored; raises StoreError."""
        return await self._store.load()

    async def commit(self, changes: Sequence[Change]) -> None:
        """Make `changes` durable; raises StoreError."""
        since = time.perf_counter()
        facts = self._facts
        try:
            await self._store.commit(changes)
        except StoreError as error:
            facts = {**facts, "error.type": error.code}
            raise
        finally:
            self._commits.record(time.perf_counter() - since, facts)

    def confirm(self) -> None:
        """Raise StoreError unless this process is certain to hold the store, if another can take it over at all."""
        if isinstance(self._store, HeldStore):
            self._store.confirm()

    def append_events(self, events: Sequence[Event]) -> None:
        """Queue events to be written soon."""
        self._store.append_events(events)

    async def operations(self, service_id: str, *, limit: int = 20) -> Sequence[OperationRecord]:
        """Return the newest operations of a service, newest first."""
        return await self._store.operations(service_id, limit=limit)

    async def find_request(self, service_name: str, key: str) -> OperationRecord | None:
        """Return the newest operation of a service of this name that answers the idempotency key."""
        return await self._store.find_request(service_name, key)
