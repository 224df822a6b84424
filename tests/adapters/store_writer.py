"""A process for test_stores_sqlite.py: commits forever, and says on stdout what was acknowledged."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import anyio

from ostler.adapters.stores.sqlite import SqliteStore
from ostler.engine.protocols import PutOperation, PutService
from ostler.model.events import Event, EventKind
from ostler.model.records import OperationKind, OperationRecord, ServiceRecord
from ostler.model.states import DesiredState, ServiceState

NOW = datetime(2026, 1, 1, tzinfo=UTC)


async def commit_forever(store: SqliteStore, writer: int) -> None:
    number = 0
    while True:
        key = f"{writer}-{number}"
        record = ServiceRecord(
            key, f"s{key}", "c", "d", {}, {"pad": "x" * 500}, NOW, NOW, DesiredState.RUNNING, ServiceState.RUNNING
        )
        operation = OperationRecord(f"op-{key}", key, f"s{key}", OperationKind.START, NOW)
        cursor = writer * 1_000_000 + number + 1
        if writer == 0:
            store.append_events([Event(cursor, NOW, EventKind.WARNING)])
            sys.stdout.write(f"event {cursor}\n")
        await store.commit([PutService(record), PutOperation(operation)])
        sys.stdout.write(f"done {key}\n")
        sys.stdout.flush()
        number += 1


async def main(path: Path) -> None:
    async with SqliteStore.open(path) as store, anyio.create_task_group() as tasks:
        for writer in range(20):
            tasks.start_soon(commit_forever, store, writer)


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]))
