"""Idempotency keys of start, stop, restart and delete: done once, answered again, also after a restart."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio
import pytest
from tests.support.world import Answer, Fail, Slow, World, manifest, running, until

from ostler.adapters.stores.memory import MemoryStore
from ostler.adapters.stores.retention import Retention
from ostler.engine.manager import ServiceManager
from ostler.engine.protocols import Change, PutOperation, PutService
from ostler.engine.services.views import CreateRequest, OperationResult
from ostler.model.errors import ConflictError, NotFoundError, OstlerError, StoreError, SupersededError
from ostler.model.states import ServiceState

COMPLETED = {"jsonPath": {"state": "done"}}

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]

Ask = Callable[..., Awaitable[OperationResult]]


def asks(manager: ServiceManager) -> dict[str, Ask]:
    """Return the manager's operations by name."""
    return {
        "start": manager.start_service,
        "stop": manager.stop_service,
        "restart": manager.restart_service,
        "delete": manager.delete,
    }


@pytest.mark.parametrize("kind", ["start", "stop", "restart", "delete"])
async def test_the_same_key_is_answered_again_and_nothing_is_done(kind: str) -> None:
    world, store = World(), MemoryStore()
    async with running(world, store=store) as manager:
        await manager.create(CreateRequest("basic", "db", start=kind != "start"))
        first = await asks(manager)[kind]("db", idempotency_key="k1")
        world.calls.clear()
        again = await asks(manager)[kind]("db", idempotency_key="k1")
    world.calls.clear()
    async with running(world, store=store) as manager:
        await manager.recovered.wait()
        world.calls.clear()
        later = await asks(manager)[kind]("db", idempotency_key="k1")
        assert world.tools_called("w/start", "w/stop") == []
    for replay in (again, later):
        assert (replay.message, replay.changed, replay.operation_id) == (
            first.message,
            first.changed,
            first.operation_id,
        )
        assert (replay.service.name, replay.service.class_name) == ("db", "basic")


async def test_a_replay_does_nothing_although_the_service_is_another_way_by_now() -> None:
    world = World()
    async with running(world) as manager:
        await manager.create(CreateRequest("basic", "db"))
        await manager.stop_service("db", idempotency_key="k1")
        await manager.start_service("db")
        assert (await manager.stop_service("db", idempotency_key="k1")).message == "service db is stopped"
        assert manager.view("db").state is ServiceState.RUNNING
        await manager.delete("db", idempotency_key="k2")
        await manager.create(CreateRequest("basic", "db"))
        await manager.delete("db", idempotency_key="k2")
        assert manager.view("db").state is ServiceState.RUNNING, "a late repetition deletes no successor"


async def test_what_changed_nothing_is_replayed_too() -> None:
    world = World()
    async with running(world) as manager:
        await manager.create(CreateRequest("basic", "db"))
        assert not (await manager.start_service("db", idempotency_key="k1")).changed
        await manager.stop_service("db")
        again = await manager.start_service("db", idempotency_key="k1")
        assert (again.changed, again.message) == (False, "service db is already running")
        assert manager.view("db").state is ServiceState.STOPPED


async def test_other_arguments_or_another_operation_under_the_same_key_are_a_conflict() -> None:
    world = World()
    async with running(world) as manager:
        await manager.create(CreateRequest("basic", "db"))
        await manager.create(CreateRequest("basic", "web"))
        await manager.stop_service("db", idempotency_key="k1")
        with pytest.raises(ConflictError, match="'k1' was used for service 'db' with other arguments"):
            await manager.stop_service("db", dependents=True, idempotency_key="k1")
        with pytest.raises(ConflictError, match=r"for a stop of service 'db' at .* cannot stand for a restart of it"):
            await manager.restart_service("db", idempotency_key="k1")
        assert manager.view("db").state is ServiceState.STOPPED
        assert (await manager.stop_service("web", idempotency_key="k1")).changed, "keys belong to a service"
        await manager.delete("db", idempotency_key="k2")
        with pytest.raises(ConflictError, match="k2"):
            await manager.delete("db", force=True, idempotency_key="k2")
        with pytest.raises(NotFoundError, match="not found"):
            await manager.delete("db", idempotency_key="k3")
        with pytest.raises(ConflictError, match=r"'k2' was used for a delete of .* cannot stand for a create of it"):
            await manager.create(CreateRequest("basic", "db", idempotency_key="k2"))
        assert (await manager.create(CreateRequest("basic", "db", idempotency_key="k3"))).changed


@pytest.mark.parametrize("kind", ["start", "stop", "restart", "delete"])
async def test_the_key_that_made_a_service_is_a_conflict_for_anything_else(kind: str) -> None:
    world = World()
    async with running(world) as manager:
        await manager.create(CreateRequest("basic", "db", idempotency_key="k1"))
        with pytest.raises(ConflictError, match=f"'k1' was used to create .* stand for a {kind}"):
            await asks(manager)[kind]("db", idempotency_key="k1")
        assert manager.view("db").state is ServiceState.RUNNING
        await asks(manager)[kind]("db", idempotency_key="k2")


async def test_a_failure_is_replayed_in_the_same_words_also_after_a_restart() -> None:
    world, store = World(), MemoryStore()
    texts: list[str] = []

    async def fail(manager: ServiceManager) -> None:
        with pytest.raises(OstlerError) as caught:
            await manager.start_service("db", idempotency_key="k1")
        texts.append(f"{caught.value.code}: {caught.value}")

    async with running(world, store=store) as manager:
        await manager.create(CreateRequest("basic", "db", start=False))
        world.faults["w/start"].append(Fail("no room"))
        await fail(manager)
        await fail(manager)
    async with running(world, store=store) as manager:
        await manager.recovered.wait()
        await fail(manager)
        assert world.tools_called("w/start") == ["w/start"]
        await manager.start_service("db", idempotency_key="k2")
    assert "no room" in texts[0]
    assert texts == [texts[0]] * 3


async def test_equal_requests_at_the_same_time_share_one_operation() -> None:
    world = World()
    results: list[OperationResult] = []
    async with running(world) as manager:
        await manager.create(CreateRequest("basic", "db", start=False))
        world.faults["w/start"].append(Slow(5))

        async def ask(key: str) -> None:
            results.append(await manager.start_service("db", idempotency_key=key))

        async with anyio.create_task_group() as group:
            for key in ("k1", "k1", "k2", "k1"):
                group.start_soon(ask, key)
        assert len({result.operation_id for result in results}) == 1
        await manager.stop_service("db")
        for key in ("k1", "k2"):
            assert (await manager.start_service("db", idempotency_key=key)).operation_id == results[0].operation_id
        assert world.tools_called("w/start") == ["w/start"]


async def test_a_request_that_a_later_one_replaced_stays_replaced() -> None:
    world = World()
    async with running(world) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.faults["w/stop"].append(Slow(5))
        async with anyio.create_task_group() as group:
            group.start_soon(manager.stop_service, "db")
            await until(lambda: manager.view("db").state is ServiceState.STOPPING)
            await manager.start_service("db", idempotency_key="k1", wait=False)
            await manager.delete("db", wait=False)
            with pytest.raises(SupersededError, match="superseded by a later delete.*Next: service_status db shows"):
                await manager.start_service("db", idempotency_key="k1")
        await until(lambda: not manager.views())
        with pytest.raises(SupersededError, match="superseded by a later delete"):
            await manager.start_service("db", idempotency_key="k1")


async def test_a_request_that_the_server_ended_in_is_done_once_and_answered_under_its_key() -> None:
    world, store = World(), MemoryStore()
    async with running(world, store=store) as manager:
        await manager.create(CreateRequest("basic", "db", start=False))
    before = await crash_during_start(world, store)
    async with running(world, store=before) as manager:
        await manager.recovered.wait()
        await until(lambda: manager.view("db").state is ServiceState.RUNNING)
        world.calls.clear()
        again = await manager.start_service("db", idempotency_key="k1")
        assert "service db is running" in again.message
        assert world.calls == []
        assert len(world.resources) == 1


async def crash_during_start(world: World, store: MemoryStore) -> MemoryStore:
    """Return what is on the disk while a start under the key k1 is under way."""
    copy = MemoryStore()
    world.faults["w/start"].append(Slow(5))
    async with running(world, store=store) as manager:
        await manager.start_service("db", idempotency_key="k1", wait=False)
        await until(lambda: world.under_way["db"])
        state = await store.load()
        changes: list[Any] = [PutService(record) for record in state.services]
        await copy.commit([*changes, *(PutOperation(operation) for operation in state.open_operations)])
    return copy


async def test_keys_are_kept_as_long_as_the_history() -> None:
    world = World()
    store = MemoryStore(Retention(operations_per_service=2))
    async with running(world, store=store) as manager:
        await manager.create(CreateRequest("basic", "db"))
        await manager.stop_service("db", idempotency_key="k1")
        await manager.start_service("db")
        assert (await manager.stop_service("db", idempotency_key="k1")).operation_id
        assert manager.view("db").state is ServiceState.RUNNING
        await manager.restart_service("db")
        await manager.restart_service("db")
        await manager.stop_service("db", idempotency_key="k1")
        assert manager.view("db").state is ServiceState.STOPPED, "forgotten with the operation"


class SlowDisk(MemoryStore):
    """A store whose commits take a moment, and fail when they are told to."""

    failures = 0

    async def commit(self, changes: Sequence[Change]) -> None:
        await anyio.sleep(0.1)
        if self.failures:
            self.failures -= 1
            raise StoreError("the disk is full")
        await super().commit(changes)


@pytest.mark.parametrize(
    "request_", [CreateRequest("basic", "db"), CreateRequest("basic", idempotency_key="k1")], ids=["name", "key"]
)
async def test_equal_creates_at_once_are_one(request_: CreateRequest) -> None:
    world, results = World(), list[OperationResult]()

    async def create() -> None:
        results.append(await manager.create(request_))

    async with running(world, store=SlowDisk()) as manager:
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(create)
        assert len(manager.views()) == 1
    assert len({result.service.name for result in results}) == 1
    assert [result.service.state for result in results] == [ServiceState.RUNNING] * 20
    assert world.tools_called("w/start") == ["w/start"]


async def test_a_create_that_waited_for_one_that_could_not_be_made_durable_is_made_itself() -> None:
    world, store, failed = World(), SlowDisk(), list[str]()
    store.failures = 1

    async def create() -> None:
        try:
            await manager.create(CreateRequest("basic", "db"))
        except StoreError as error:
            failed.append(str(error))

    async with running(world, store=store) as manager:
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(create)
        assert manager.get_service_state("db") is ServiceState.RUNNING
    assert len(failed) == 1


async def test_a_service_that_ends_before_its_start_is_durable_is_not_said_to_run() -> None:
    look = {"tool": "w/health", "expect": {"jsonPath": {"state": "running"}}}
    entry = manifest(healthCheck__interval="10ms", lifecycleTools__healthCheck=look)
    world = World()
    world.always["w/health"] = Answer({"state": "exited"})
    async with running(world, entry, store=SlowDisk()) as manager:
        created = await manager.create(CreateRequest("basic", "db"))
        assert created.message.startswith("service db was created and started; by now it is failed: healthCheck tool")
        restarted = await manager.restart_service("db")
        assert "; by now it is failed: healthCheck tool" in restarted.message


@pytest.mark.parametrize(("state", "is_well"), [("done", True), ("broken", False)])
async def test_a_job_runs_once_for_a_key_and_each_call_with_it_waits_for_its_end(state: str, is_well: bool) -> None:
    once: dict[str, Any] = {"lifecycleTools__healthCheck": None, "lifecycleTools__ready": None}
    entry = manifest(**once, healthCheck__interval="1s", healthCheck__failureThreshold=1, completed=COMPLETED)
    world = World()
    async with running(world, entry) as manager:

        async def create(timeout: float | None = None) -> OperationResult:
            request = CreateRequest("basic", "db", idempotency_key="k1")
            return await manager.create(request, timeout=timeout, to_end=True)

        async def restart(timeout: float | None = None) -> OperationResult:
            return await manager.restart_service("db", idempotency_key="k2", timeout=timeout, to_end=True)

        for starts, ask in enumerate((create, restart), 1):
            assert not (await ask(timeout=3)).finished
            late = await ask(timeout=3)
            assert (late.finished, late.job) == (False, False)
            assert late.message.endswith("it has not ended yet")
            world.always["w/status"] = Answer({"state": state})
            for _ in range(2):
                ended = await ask()
                assert (ended.finished, ended.job) == (True, is_well)
                assert ("it has completed" if is_well else "by now it is failed") in ended.message
            assert len(world.tools_called("w/start")) == starts, "it is not run again"
            world.always.clear()


async def test_a_create_of_a_job_that_exists_runs_it_again_only_if_it_failed() -> None:
    once: dict[str, Any] = {"lifecycleTools__healthCheck": None, "lifecycleTools__ready": None}
    entry = manifest(**once, healthCheck__interval="1s", healthCheck__failureThreshold=1, completed=COMPLETED)
    world = World()
    async with running(world, entry) as manager:
        world.always["w/status"] = Answer({"state": "broken"})
        request = CreateRequest("basic", "db")
        await manager.create(request, to_end=True)
        assert manager.plans.create(request).services[0].effect == "start"
        world.always["w/status"] = Answer({"state": "done"})
        again = await manager.create(request, to_end=True)
        assert again.job
        assert again.message == (
            "service db already exists with the same arguments and has failed, so it runs again; service db was "
            "started; it has completed"
        )
        assert manager.plans.create(request).services[0].effect == "reuse"
        for to_end in (True, False):
            kept = await manager.create(request, to_end=to_end)
            assert (kept.changed, kept.finished) == (False, True)
            assert kept.message == (
                "service db already exists with the same arguments; it has completed; service_restart db runs it again"
            )
        assert len(world.tools_called("w/start")) == 2


async def test_a_stop_says_that_a_later_request_has_started_the_service_again() -> None:
    world = World()
    messages: list[str] = []
    async with running(world) as manager, anyio.create_task_group() as group:
        await manager.create(CreateRequest("basic", "db"))
        world.faults["w/stop"].append(Slow(1.0))
        world.seconds["db"] = 5.0

        async def stop() -> None:
            messages.append((await manager.stop_service("db")).message)

        group.start_soon(stop)
        await until(lambda: manager.view("db").state is ServiceState.STOPPING)
        await manager.start_service("db")
    assert messages == ["service db is stopped; by now it is starting"]
