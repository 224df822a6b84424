"""The memory store needs neither real time nor threads: the engine's tests run it on a virtual clock."""

from datetime import UTC, datetime

import anyio
import pytest

from ostler.adapters.stores.memory import MemoryStore
from ostler.engine.protocols import PutService
from ostler.model.events import Event, EventKind
from ostler.model.records import ServiceRecord
from ostler.model.states import DesiredState, ServiceState

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def put(key: str, revision: int = 0) -> PutService:
    return PutService(
        ServiceRecord(key, key, "c", "d", {}, {}, NOW, NOW, DesiredState.RUNNING, ServiceState.RUNNING, revision)
    )


async def test_commits_apply_in_the_order_of_the_calls_under_any_scheduling() -> None:
    store = MemoryStore()
    order: list[int] = []

    async def commit(revision: int) -> None:
        await anyio.lowlevel.checkpoint()
        order.append(revision)
        await store.commit([put("a", revision)])

    async with anyio.create_task_group() as tasks:
        for revision in range(100):
            tasks.start_soon(commit, revision)
    assert (await store.load()).services[0].revision == order[-1]


async def test_a_commit_in_a_cancelled_scope_writes_nothing() -> None:
    store = MemoryStore()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await store.commit([put("a")])
    assert list((await store.load()).services) == []


async def test_it_takes_no_time() -> None:
    store = MemoryStore()
    began = anyio.current_time()
    for number in range(20):
        await store.commit([put(f"s{number}")])
        store.append_events([Event(number + 1, NOW, EventKind.WARNING)])
    state = await store.load()
    assert (len(state.services), state.last_cursor) == (20, 20)
    assert anyio.current_time() - began < 5
