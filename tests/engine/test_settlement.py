"""What a crash left open is asked for, settled by a person's word, and never silently dropped."""

from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from msgspec.structs import replace
from tests.engine.test_recovery import crashed_start, settle
from tests.support.ledger_app import LedgerTools
from tests.support.world import EPOCH, Down, Hang, Slow, World, manifest, running, until, variant

from ostler.adapters.stores.memory import MemoryStore
from ostler.engine.clock import LoopClock
from ostler.engine.insight.explanation import explain
from ostler.engine.manager import ServiceManager
from ostler.engine.protocols import Change, PutOperation, PutService
from ostler.engine.services.views import CreateRequest
from ostler.model.errors import ArgumentError, OperationError, OstlerError, StoreError
from ostler.model.records import CallOutcome, CallRecord, OperationKind, OperationOutcome, OperationRecord
from ostler.model.states import DesiredState, ServiceState

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]


async def test_a_held_start_asks_and_is_adopted_with_the_outputs_that_were_lost() -> None:
    world, store = World(), MemoryStore()
    entry = await crashed_start(world, store, CallOutcome.INTENDED, find=False)
    await world.call_tool("w/start", {"name": "db", "size": 1})
    async with running(world, entry, store=store) as manager:
        await settle(manager)
        view = manager.view("db")
        assert (view.state, view.reason) == (ServiceState.UNKNOWN, "unknown-outcome")
        assert "; w/start was called at 2026-01-01T00:00:00+00:00. Does it run?" in str(view.error)
        found = explain(manager.registry.get("db"), manager.registry, None, await manager.history("db"))
        assert [(call.tool, call.args) for call in found.next_calls] == [
            ("service_start", {"name": "db", "adopt": True, "outputs": {"id": "…"}}),
            ("service_delete", {"name": "db", "abandon": True}),
        ]
        with pytest.raises(OperationError, match=r"its stop tool needs values that are not known:  start\.id"):
            await manager.start_service("db", adopt={})
        with pytest.raises(ArgumentError, match=r"unknown output 'pid' in adopt; the start tool has id"):
            await manager.start_service("db", adopt={"pid": 1})
        result = await manager.start_service("db", adopt={"id": "r1"})
        assert result.message == "service db was adopted as running"
        assert manager.view("db").outputs == {"url": "ledger://r1/1"}
        assert world.tools_called("w/start") == ["w/start"]
    async with running(world, entry, store=store) as manager:
        await settle(manager)
        await manager.delete("db")
        assert world.resources == {}


async def test_the_question_outlives_another_restart_and_abandoning_answers_it() -> None:
    world, store = World(), MemoryStore()
    entry = await crashed_start(world, store, CallOutcome.INTENDED, find=False)
    for _ in range(2):
        async with running(world, entry, store=store) as manager:
            await settle(manager)
            view = manager.view("db")
            assert (view.state, view.reason) == (ServiceState.UNKNOWN, "unknown-outcome")
            assert "Does it run?" in str(view.error)
    async with running(world, entry, store=store) as manager:
        await settle(manager)
        with pytest.raises(OperationError, match="what was started is not known"):
            await manager.delete("db")
        result = await manager.delete("db", abandon=True)
        assert "what it started may still be running" in result.message
        service_id = (await store.load()).services
    assert service_id == []
    assert world.tools_called("w/start", "w/stop") == []


async def test_compensation_stops_what_a_start_may_have_left_and_retry_starts_it_under_the_same_key() -> None:
    for policy, left in (("compensate", 0), ("retry", 1)):
        world, store = World(), MemoryStore()
        entry = manifest(
            onUnknown=policy,
            healthCheck=None,
            lifecycleTools__start={"tool": "w/start", "args": {"name": "{{ name }}", "key": "{{ service.startKey }}"}},
            lifecycleTools__stop={"tool": "w/health", "args": {"name": "{{ name }}"}},
            outputs={},
            lifecycleTools__find=None,
            lifecycleTools__status=None,
            lifecycleTools__healthCheck=None,
            lifecycleTools__ready=None,
        )
        entry = await crashed_start(world, store, CallOutcome.INTENDED, entry=entry)
        async with running(world, entry, store=store) as manager:
            await settle(manager)
            assert len(world.resources) == left
            assert [args["key"] for tool, args in world.calls if tool == "w/start"] == ["op1"] * left


async def test_a_service_whose_class_cannot_be_read_stays_in_sight_and_can_be_stopped() -> None:
    world, store = World(), MemoryStore()
    async with running(world, store=store) as manager:
        await manager.create(CreateRequest("basic", "db"))
    record = (await store.load()).services[0]
    await store.commit([PutService(replace(record, class_manifest={"apiVersion": "ostler/v9"}))])
    async with running(world, store=store) as manager:
        await settle(manager)
        view = manager.view("db")
        assert view.state is ServiceState.UNKNOWN
        assert "stored by another version of Ostler" in str(view.error)
        await manager.delete("db")
        assert world.resources == {}


async def test_operations_of_services_that_are_gone_are_closed() -> None:
    world, store = World(), MemoryStore()
    await store.commit([PutOperation(OperationRecord("op", "nobody", "db", OperationKind.START, EPOCH))])
    async with running(world, store=store) as manager:
        await settle(manager)
        assert (await store.load()).open_operations == []
    assert (await store.operations("nobody"))[0].outcome is OperationOutcome.INTERRUPTED


async def test_only_the_newest_open_operation_is_resolved() -> None:
    world, store = World(), MemoryStore()
    async with running(world, store=store) as manager:
        await manager.create(CreateRequest("basic", "db"))
    record = (await store.load()).services[0]
    for key, kind in (("older", OperationKind.START), ("newer", OperationKind.STOP)):
        await store.commit([PutOperation(OperationRecord(key, record.id, "db", kind, EPOCH))])
    async with running(world, store=store) as manager:
        await settle(manager)
        assert manager.get_service_state("db") is ServiceState.STOPPED
        assert world.resources == {}
    assert (await store.load()).open_operations == []


class Refusing(MemoryStore):
    """A store whose disk is full while `is_full`."""

    is_full = False

    async def commit(self, changes: Any) -> None:
        if self.is_full:
            raise StoreError("the disk is full")
        await super().commit(changes)


async def test_a_full_disk_fails_operations_before_their_tools_are_called() -> None:
    world, store = World(), Refusing()
    async with running(world, store=store) as manager:
        await manager.create(CreateRequest("basic", "up"))
        await manager.create(CreateRequest("basic", "down", start=False))
        world.calls.clear()
        store.is_full = True
        for asked in (
            manager.create(CreateRequest("basic", "new")),
            manager.start_service("down"),
            manager.stop_service("up"),
            manager.delete("up"),
        ):
            with pytest.raises(StoreError, match="disk is full"):
                await asked
            up = manager.view("up")
            assert (up.state, up.desired) == (ServiceState.RUNNING, DesiredState.RUNNING)
        assert world.tools_called("w/start", "w/stop") == []
        assert len(world.resources) == 1
        store.is_full = False
        await manager.start_service("down")
        await manager.delete("up")
        await manager.delete("down")
    assert world.resources == {}
    assert (await store.load()).open_operations == []


async def fill_at_stop(world: World, store: Refusing) -> None:
    """Fill the disk as soon as a service is being stopped."""
    await until(lambda: "w/stop" in world.tools_called())
    store.is_full = True


async def test_an_end_that_could_not_be_recorded_is_not_taken_for_a_cut_off_operation() -> None:
    world, store = World(), Refusing()

    world.seconds["db"] = 0.0
    async with running(world, store=store) as manager:
        await manager.create(CreateRequest("basic", "db"))
        async with anyio.create_task_group() as group:
            group.start_soon(fill_at_stop, world, store)
            world.faults["w/stop"].append(Slow(1.0))
            with pytest.raises(StoreError):
                await manager.stop_service("db")
        store.is_full = False
        await manager.start_service("db")
    world.calls.clear()
    async with running(world, store=store) as manager:
        await settle(manager)
        assert manager.get_service_state("db") is ServiceState.RUNNING
        assert world.tools_called("w/stop") == []


@pytest.mark.parametrize(
    ("kind", "done"),
    [
        ("stop", "; service db is stopped; only the end of the stop is unrecorded"),
        ("restart", "; service db was restarted and is running; only the end of the restart is unrecorded"),
        ("delete", ""),
    ],
)
async def test_an_end_that_could_not_be_recorded_is_told_from_a_failure(kind: str, done: str) -> None:
    world, store = World(), Refusing()
    request = {"stop": ServiceManager.stop_service, "restart": ServiceManager.restart_service}
    async with running(world, manifest(lifecycleTools__ready=None), store=store) as manager:
        await manager.create(CreateRequest("basic", "db"))
        slow = "w/start" if kind == "restart" else "w/stop"
        world.calls.clear()
        world.faults[slow].append(Slow(1.0))

        async def fill() -> None:
            await until(lambda: slow in world.tools_called())
            store.is_full = True

        async with anyio.create_task_group() as group:
            group.start_soon(fill)
            with pytest.raises(StoreError) as caught:
                await request.get(kind, ServiceManager.delete)(manager, "db")
            assert caught.value.summary == f"the disk is full{done}"
        store.is_full = False
        await anyio.sleep(30)


@pytest.mark.parametrize("kind", ["stop", "delete"])
async def test_an_end_that_could_not_be_recorded_is_recorded_when_the_disk_has_room_again(kind: str) -> None:
    world, store = World(), Refusing()

    async with running(world, store=store) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.faults["w/stop"].append(Slow(1.0))
        async with anyio.create_task_group() as group:
            group.start_soon(fill_at_stop, world, store)
            with pytest.raises(StoreError):
                await (manager.stop_service("db") if kind == "stop" else manager.delete("db"))
        await anyio.sleep(5)
        assert len((await store.load()).open_operations) == 1
        store.is_full = False
        await anyio.sleep(30)
        assert (await store.load()).open_operations == []
        assert manager.view("db").state is ServiceState.STOPPED
        newest = (await manager.history("db"))[0]
        assert (newest.outcome is OperationOutcome.SUCCEEDED) == (kind == "stop")


async def test_a_tool_caller_that_raises_anything_leaves_no_silent_unknown() -> None:
    class Broken(World):
        async def call_tool(self, tool: str, args: Any, **more: Any) -> Any:
            answer = await super().call_tool(tool, args, **more)
            if tool == "w/start":
                raise RuntimeError("a bug of the caller")
            return answer

    world = Broken()
    async with running(world) as manager:
        with pytest.raises(OstlerError, match="RuntimeError: a bug of the caller; cleaned up with w/stop"):
            await manager.create(CreateRequest("basic", "db"))
        assert world.resources == {}


@pytest.mark.parametrize("next_step", ["look", "create", "delete"])
async def test_a_start_that_acts_after_its_time_limit_is_found_and_stopped_and_nothing_is_made_twice(
    next_step: str,
) -> None:
    world, again = World(), CreateRequest("basic", "db")
    async with running(world) as manager:
        world.faults["w/start"].append(Hang())
        with pytest.raises(
            OstlerError, match="had no usable answer, and may still act; it is looked for again auto.*kept as failed"
        ):
            await manager.create(again)
        assert manager.view("db").reason == "start-late"
        await anyio.sleep(30)
        assert manager.view("db").reason == "start-late", "it is looked for more than once"
        await world.call_tool("w/start", {"name": "db", "size": 1, "password": ""})  # at last
        match next_step:
            case "look":
                await until(lambda: manager.view("db").reason == "start-failed", within=100)
            case "create":
                await manager.create(again)
            case _:
                assert (await manager.delete("db")).message == "service db was deleted"
        assert [each["id"] for each in world.resources.values()] == (["r2"] if next_step == "create" else [])
        assert world.tools_called("w/stop") == ["w/stop"]


async def test_a_delete_says_that_a_start_which_had_no_answer_may_still_act() -> None:
    world = World()
    async with running(world) as manager:
        world.faults["w/start"].append(Hang())
        with pytest.raises(OstlerError, match="may still act"):
            await manager.create(CreateRequest("basic", "db"))
        result = await manager.delete("db")
        assert result.message.endswith("its start had no usable answer and may still act: look for it by hand later")


class Faulty(MemoryStore):
    """A store with a bug: its second commit raises what no store may raise."""

    commits = 0

    async def commit(self, changes: Sequence[Change]) -> None:
        self.commits += 1
        if self.commits == 2:
            raise RuntimeError("a bug of the store")
        await super().commit(changes)


@pytest.mark.parametrize("action", ["start", "delete"])
async def test_a_bug_after_the_start_tool_was_called_does_not_forget_what_that_may_have_made(action: str) -> None:
    world = World()
    async with running(world, store=Faulty()) as manager:
        with pytest.raises(OstlerError, match="bug of the store; its start tool may have acted") as error:
            await manager.create(CreateRequest("basic", "db"))
        assert "service_stop db looks for it and stops it" in error.value.next_actions
        assert manager.view("db").reason == "unknown-outcome"
        assert len(world.resources) == 1
        await (manager.start_service("db") if action == "start" else manager.delete("db"))
        assert len(world.resources) == len(manager.views()) == (action == "start")
        assert world.tools_called("w/stop") == ["w/stop"]


async def test_a_start_is_not_a_stop_of_what_is_not_verified_yet() -> None:
    world, store = World(), MemoryStore()
    async with running(world, store=store) as manager:
        await manager.create(CreateRequest("basic", "db"))
    world.calls.clear()
    async with running(world, store=store) as manager:
        result = await manager.start_service("db")
        assert "was adopted" in result.message
        assert world.tools_called("w/start", "w/stop") == []


async def test_a_stop_that_was_cut_off_waits_for_its_server_and_is_done_when_it_is_back() -> None:
    world, store = World(), MemoryStore()
    async with running(world, store=store) as manager:
        await manager.create(CreateRequest("basic", "db"))
    record = (await store.load()).services[0]
    calls = (CallRecord(0, "stop", "w/stop", {}, CallOutcome.INTENDED, EPOCH),)
    operation = OperationRecord("op", record.id, "db", OperationKind.STOP, EPOCH, calls=calls)
    await store.commit([PutService(replace(record, desired=DesiredState.STOPPED)), PutOperation(operation)])
    tools = Away(world)
    world.always["w/status"] = world.always["w/find"] = Down()
    manager = ServiceManager(tools, store, tools=tools, clock=LoopClock(EPOCH))
    async with manager:
        await settle(manager)
        assert manager.get_service_state("db") is ServiceState.UNREACHABLE
        assert [op.id for op in (await store.load()).open_operations] == ["op"]
        world.always.clear()
        tools.come_back()
        await until(lambda: manager.get_service_state("db") is ServiceState.STOPPED)
        assert world.resources == {}
    assert (await store.load()).open_operations == []


class Away(LedgerTools):
    """The ledger's tools on a server that is not connected at first."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.connected = False

    def come_back(self) -> None:
        self.connected = True
        for callback in self._callbacks:
            callback("w")


async def test_dependencies_are_known_to_templates_after_a_restart() -> None:
    web = manifest(
        variant(**{"{name:__basic}": "{name: web}"}),
        dependencies=["db"],
        lifecycleTools__healthCheck={
            "tool": "w/health",
            "args": {"name": "{{ name }}", "of": "{{ dependencies.db.outputs.url }}"},
        },
    )
    world, store = World(), MemoryStore()
    async with running(world, manifest(), web, store=store) as manager:
        await manager.create(CreateRequest("basic", "db"))
        await manager.create(CreateRequest("web", "site"))
    async with running(world, manifest(), web, store=store) as manager:
        await settle(manager)
        await manager.check_health("site")
        assert manager.view("site").health.value == "healthy"
        assert {"name": "site", "of": "ledger://r1/1"} in [args for tool, args in world.calls if tool == "w/health"]
