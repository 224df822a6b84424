"""A process for test_stores_sqlite.py: no file may grow past a limit, as on a full disk, and then there is space again.

Prints one JSON line with what happened.
"""

import json
import resource
import sys
from datetime import UTC, datetime
from pathlib import Path

import anyio

from ostler.adapters.stores.sqlite import SqliteStore
from ostler.adapters.stores.sqlite_copies import check_database
from ostler.engine.protocols import PutService
from ostler.model.errors import StoreError
from ostler.model.events import Event, EventKind
from ostler.model.records import ServiceRecord
from ostler.model.states import DesiredState, ServiceState

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def put(key: str) -> PutService:
    return PutService(
        ServiceRecord(
            key, f"s{key}", "c", "d", {}, {"pad": "x" * 5000}, NOW, NOW, DesiredState.RUNNING, ServiceState.RUNNING
        )
    )


async def main(path: Path) -> None:
    acknowledged: list[str] = []
    refused: list[str] = []
    messages: list[str] = []

    async def commit(store: SqliteStore, key: str) -> None:
        try:
            await store.commit([put(key), put(key + "-second")])
            acknowledged.append(key)
        except StoreError as exc:
            refused.append(key)
            messages.append(str(exc))

    async with SqliteStore.open(path) as store:
        await commit(store, "before")
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
        while len(refused) < 3:
            await commit(store, f"alone{len(acknowledged)}-{len(refused)}")
        async with anyio.create_task_group() as tasks:
            for number in range(5):
                tasks.start_soon(commit, store, f"batch{number}")
        store.append_events([Event(cursor, NOW, EventKind.WARNING, message="x" * 500) for cursor in range(1, 1001)])
        await commit(store, "with-events")
        with anyio.fail_after(60):
            await commit(store, "after-events")
        readable = len((await store.load()).services)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await commit(store, "after")
    async with SqliteStore.open(path) as store:
        state = await store.load()
        stored = sorted(record.id for record in state.services)
        problems = list(check_database(path))
    print(json.dumps({"acknowledged": acknowledged, "refused": refused, "messages": messages, "readable": readable,
                      "stored": stored, "events": len(state.events), "problems": problems}))  # fmt: skip


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]))
