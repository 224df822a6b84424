"""One contract for every store: what `ostler.engine.protocols.Store` promises."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from msgspec.structs import replace

from ostler.adapters.stores.memory import MemoryStore
from ostler.adapters.stores.postgresql import PostgresqlStore
from ostler.adapters.stores.postgresql_hold import Holder
from ostler.adapters.stores.retention import Retention
from ostler.adapters.stores.sqlite import SqliteStore
from ostler.engine.protocols import DropService, PutOperation, PutService, Store
from ostler.model.errors import StoreError
from ostler.model.events import Event, EventKind
from ostler.model.records import OperationKind, OperationOutcome, OperationRecord, PlannedCall, ServiceRecord
from ostler.model.states import DesiredState, ServiceState

if TYPE_CHECKING:
    from tests.support.postgresql import Postgresql

pytestmark = [pytest.mark.anyio, pytest.mark.realtime]

START = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
SMALL = Retention(events_per_service=3, events=8, operations_per_service=3, operations=6)

Reopen = Callable[..., AbstractAsyncContextManager[Store]]


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Reopen:
    """Opens the store; opening it again gives what was stored before."""
    if request.param == "sqlite":
        return partial(SqliteStore.open, tmp_path / "state" / "ostler.db")
    if request.param == "postgresql":
        server: Postgresql = request.getfixturevalue("postgresql")
        return partial(PostgresqlStore.open, server.new_database(), Holder.of_this_process("tests"))
    stores: list[MemoryStore] = []

    @asynccontextmanager
    async def open_memory(retention: Retention | None = None) -> AsyncGenerator[Store]:
        if not stores:
            stores.append(MemoryStore(retention))
        yield stores[0]

    return open_memory


def service(key: str, **changes: Any) -> ServiceRecord:
    record = ServiceRecord(
        id=f"id-{key}",
        name=key,
        class_name="web",
        class_digest="d",
        class_manifest={"kind": "ServiceClass"},
        args={"port": 8080},
        created_at=START,
        updated_at=START,
        desired=DesiredState.RUNNING,
        state=ServiceState.STARTING,
        stop_plan=(PlannedCall("stop", "process/stop", {"pid": 7}, 30.0, expect={"success": True}),),
    )
    return replace(record, **changes)


def operation(key: str, of: str = "a", *, done: bool = False) -> OperationRecord:
    return OperationRecord(
        id=key,
        service_id=f"id-{of}",
        service_name=of,
        kind=OperationKind.START,
        started_at=START,
        finished_at=START + timedelta(seconds=1) if done else None,
        outcome=OperationOutcome.SUCCEEDED if done else None,
    )


def event(cursor: int, of: str = "a") -> Event:
    return Event(cursor, START, EventKind.STATE_CHANGED, of, f"event {cursor}", {"cursor": cursor})


async def test_what_was_committed_is_there_after_reopening(reopen: Reopen) -> None:
    async with reopen() as store:
        await store.commit([PutService(service("b")), PutService(service("a")), PutOperation(operation("op1"))])
        await store.commit([PutService(service("b", revision=2, state=ServiceState.RUNNING))])
        await store.commit([PutService(service("c"))])
        await store.commit([DropService("id-c"), DropService("id-never-there")])
        store.append_events([event(1), event(2)])
    async with reopen() as store:
        state = await store.load()
    assert state.services == [service("a"), service("b", revision=2, state=ServiceState.RUNNING)]
    assert state.open_operations == [operation("op1")]
    assert state.events == [event(1), event(2)]
    assert state.last_cursor == 2


async def test_an_empty_store_loads_as_nothing(reopen: Reopen) -> None:
    async with reopen() as store:
        state = await store.load()
        await store.commit([])
    assert (list(state.services), list(state.open_operations), state.last_cursor, list(state.events)) == ([], [], 0, [])


async def test_a_commit_is_all_or_nothing_and_fails_alone(reopen: Reopen) -> None:
    failures: list[StoreError] = []
    async with reopen() as store:
        await store.commit([PutService(service("taken"))])

        async def clash() -> None:
            clashing = service("clash", name="taken")
            try:
                await store.commit([PutService(service("before")), PutOperation(operation("o")), PutService(clashing)])
            except StoreError as exc:
                failures.append(exc)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.commit, [PutService(service("neighbour-1"))])
            tasks.start_soon(clash)
            tasks.start_soon(store.commit, [PutService(service("neighbour-2"))])
        state = await store.load()
    assert [record.name for record in state.services] == ["neighbour-1", "neighbour-2", "taken"]
    assert list(state.open_operations) == []
    assert "'taken'" in str(failures[0])
    assert "nothing was written" in str(failures[0])


async def test_a_name_can_pass_to_another_service_in_one_commit(reopen: Reopen) -> None:
    async with reopen() as store:
        await store.commit([PutService(service("a"))])
        await store.commit([DropService("id-a"), PutService(service("other", name="a"))])
        await store.commit([PutService(service("other", name="renamed")), PutService(service("third", name="a"))])
        state = await store.load()
    assert [(record.id, record.name) for record in state.services] == [("id-third", "a"), ("id-other", "renamed")]


async def test_what_is_not_json_is_refused_and_the_store_goes_on(reopen: Reopen) -> None:
    async with reopen() as store:
        with pytest.raises(StoreError, match="not JSON"):
            await store.commit([PutService(service("a")), PutService(service("b", args={"x": object()}))])
        await store.commit([PutService(service("c", args={"odd": "\ud800", "huge": 2**80}))])
        state = await store.load()
    assert [record.args for record in state.services] == [{"odd": "\ud800", "huge": 2**80}]


async def test_a_commit_is_a_snapshot(reopen: Reopen) -> None:
    args: dict[str, Any] = {"ports": [1]}
    async with reopen() as store:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.commit, [PutService(service("a", args=args))])
            await anyio.wait_all_tasks_blocked()
            args["ports"].append(2)
        loaded = (await store.load()).services[0]
        loaded.args["ports"].append(3)
        assert (await store.load()).services[0].args == {"ports": [1]}


async def test_concurrent_commits_apply_in_the_order_of_the_calls(reopen: Reopen) -> None:
    order: list[int] = []

    async def put(store: Store, revision: int) -> None:
        order.append(revision)
        await store.commit([PutService(service("a", revision=revision)), PutOperation(operation(f"op{revision}"))])

    async with reopen() as store:
        async with anyio.create_task_group() as tasks:
            for revision in range(300):
                tasks.start_soon(put, store, revision)
        state = await store.load()
        newest = await store.operations("id-a", limit=5)
    assert state.services[0].revision == order[-1]
    assert [record.id for record in state.open_operations] == [f"op{revision}" for revision in order]
    assert [record.id for record in newest] == [f"op{revision}" for revision in reversed(order[-5:])]


async def test_a_cancelled_commit_is_all_or_nothing(reopen: Reopen) -> None:
    acknowledged: set[str] = set()

    async def put(store: Store, key: str, scope: anyio.CancelScope) -> None:
        with scope:
            await store.commit([PutService(service(key)), PutOperation(operation(f"op-{key}", key))])
            acknowledged.add(key)

    async with reopen() as store:
        for turn in range(40):
            scopes = [anyio.CancelScope() for _ in range(5)]
            async with anyio.create_task_group() as tasks:
                for index, scope in enumerate(scopes):
                    tasks.start_soon(put, store, f"t{turn}-{index}", scope)
                for _ in range(turn % 4):
                    await anyio.lowlevel.checkpoint()
                for scope in scopes[turn % 3 :: 2]:
                    scope.cancel()
        await store.commit([PutService(service("last"))])
    async with reopen() as store:
        state = await store.load()
    stored = {record.name for record in state.services}
    assert {record.service_name for record in state.open_operations} == stored - {"last"}
    assert acknowledged <= stored
    assert "last" in stored


async def test_a_commit_in_a_cancelled_scope_writes_nothing(reopen: Reopen) -> None:
    async with reopen() as store:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await store.commit([PutService(service("a"))])
        await store.commit([PutService(service("b"))])
        assert [record.name for record in (await store.load()).services] == ["b"]


async def test_operations_are_newest_first_and_keep_their_place_when_they_end(reopen: Reopen) -> None:
    async with reopen() as store:
        for key in ("op1", "op2", "op3"):
            await store.commit([PutOperation(operation(key))])
        await store.commit([PutOperation(operation("op1", done=True))])
        await store.commit([PutOperation(operation("other", of="b"))])
        assert [record.id for record in await store.operations("id-a")] == ["op3", "op2", "op1"]
        assert [record.id for record in await store.operations("id-a", limit=2)] == ["op3", "op2"]
        assert (await store.operations("id-a"))[2] == operation("op1", done=True)
        assert [record.id for record in (await store.load()).open_operations] == ["op2", "op3", "other"]
        assert list(await store.operations("id-unknown")) == []


async def test_a_request_is_found_by_its_key_and_the_name_also_after_its_service(reopen: Reopen) -> None:
    keyed = {name: replace(operation(name, of="a", done=True), requests={"k1": name}) for name in ("op1", "op2")}
    async with reopen() as store:
        await store.commit([PutService(service("a")), PutOperation(operation("op0", done=True))])
        await store.commit([PutOperation(keyed["op1"])])
        await store.commit([PutOperation(keyed["op2"]), DropService("id-a")])
        await store.commit([PutOperation(operation("op3", done=True))])
    async with reopen() as store:
        assert await store.find_request("a", "k1") == keyed["op2"]
        assert [await store.find_request(*pair) for pair in (("a", "k2"), ("b", "k1"), ("\ud800", "k1"))] == [None] * 3


async def test_history_is_bounded_and_never_drops_an_open_operation(reopen: Reopen) -> None:
    async with reopen(retention=SMALL) as store:
        await store.commit([PutOperation(operation("open"))])
        for number in range(10):
            await store.commit([PutOperation(operation(f"a{number}", done=True))])
        for number in range(10):
            await store.commit([PutOperation(operation(f"x{number}", of=f"gone{number}", done=True))])
        assert [record.id for record in await store.operations("id-a")] == ["open"]
        assert [len(await store.operations(f"id-gone{number}")) for number in range(10)] == [0] * 4 + [1] * 6
        for number in range(10):
            await store.commit([PutOperation(operation(f"b{number}", of="b", done=True))])
        assert [record.id for record in await store.operations("id-b")] == ["b9", "b8", "b7"]
        assert [record.id for record in (await store.load()).open_operations] == ["open"]


async def test_events_are_bounded_for_each_service_and_in_all(reopen: Reopen) -> None:
    async with reopen(retention=SMALL) as store:
        store.append_events([event(cursor) for cursor in range(1, 6)])
        store.append_events([event(cursor, "b") for cursor in range(6, 8)])
        store.append_events([event(6, "b")])
        await store.commit([])
    async with reopen(retention=SMALL) as store:
        assert [kept.cursor for kept in (await store.load()).events] == [3, 4, 5, 6, 7]
        store.append_events([event(cursor, "") for cursor in range(8, 14)])
    async with reopen(retention=SMALL) as store:
        state = await store.load()
    assert [kept.cursor for kept in state.events] == [6, 7, 8, 9, 10, 11, 12, 13]
    assert state.last_cursor == 13
