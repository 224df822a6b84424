"""What a service keeps when it is stopped is deleted with it, by the class's delete tool, and by nothing else."""

import gc
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from weakref import ref

import anyio
import pytest
from tests.support.crashes import DeadError, Ledger, MortalStore
from tests.support.world import BASIC, Fail, Lost, Slow, World, manifest, running, until

from ostler.adapters.stores.memory import MemoryStore
from ostler.engine.manager import ServiceManager
from ostler.engine.protocols import Change
from ostler.engine.services.views import CreateRequest, OperationRequest
from ostler.model.errors import OstlerError, SupersededError, ToolFailedError
from ostler.model.records import OperationKind
from ostler.model.responses import ToolResponse
from ostler.model.states import ServiceState

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]

DROP = {"tool": "w/drop", "args": {"name": "{{ name }}", "id": "{{ start.id }}", "url": "{{ outputs.url }}"}}


class Keeping(World):
    """A world in which a stop leaves something, which only `w/drop` removes."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: set[str] = set()

    def _do(self, tool: str, args: dict[str, Any]) -> tuple[Any, bool]:
        if tool == "w/drop":
            if args["name"] not in self.kept:
                return f"nothing is kept for {args['name']}", True
            self.kept.remove(args["name"])
            return {"dropped": True}, False
        if tool == "w/start":
            self.kept.add(args["name"])
        return super()._do(tool, args)


def entry(**changes: Any) -> Any:
    return manifest(lifecycleTools__delete={**DROP, **changes})


async def test_a_delete_drops_what_stops_and_restarts_keep_and_a_plan_shows_it() -> None:
    world = Keeping()
    async with running(world, entry()) as manager:
        await manager.create(CreateRequest("basic", "db"))
        await manager.restart_service("db")
        planned = manager.plans.operate("db", "delete")
        assert [step.tool for step in planned.steps] == ["w/stop", "w/drop"]
        await manager.stop_service("db")
        assert world.kept == {"db"}
        assert [step.tool for step in manager.plans.operate("db", "delete").steps] == ["w/drop"]
        await manager.delete("db")
        assert (world.kept, manager.views()) == (set(), [])
        assert world.calls[-1] == ("w/drop", {"name": "db", "id": "r2", "url": "ledger://r2/1"}), "of its last start"


async def test_what_was_deleted_is_freed_at_once_however_old_it_was() -> None:
    async with running(World(), manifest()) as manager:
        await manager.create(CreateRequest("basic", "db"))
        freed = ref(manager.registry.get("db"))
        gc.collect()  # from here on it is old: what is old is rarely looked through
        await manager.delete("db")
        gc.collect(1)
        assert freed() is None


@pytest.mark.parametrize("acts", [True, False])
async def test_a_delete_call_that_the_death_of_its_server_cuts_off_is_made_again(*, acts: bool) -> None:
    world = Keeping()
    async with running(world, entry(goneWhen={"contains": "nothing is kept"})) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.faults["w/drop"].append(Lost(acts=acts))
        await manager.delete("db")
        assert (world.kept, manager.views(), world.tools_called("w/drop")) == (set(), [], ["w/drop"] * 2)


async def test_what_never_came_up_or_is_made_again_is_not_deleted() -> None:
    world = Keeping()
    world.kept.add("db")  # someone else's
    async with running(world, entry()) as manager:
        await manager.create(CreateRequest("basic", "db", start=False))
        world.faults["w/start"].append(Fail("the name is taken"))
        with pytest.raises(ToolFailedError, match="the name is taken"):
            await manager.start_service("db")
        await manager.delete("db")
        await manager.create(CreateRequest("basic", "db"))
        await manager.operate("db", OperationRequest(OperationKind.DELETE, keep=True))
        await manager.create(CreateRequest("basic", "db"))
        await manager.delete("db", abandon=True)
        assert world.kept == {"db"}
        assert world.tools_called("w/drop") == []


async def test_a_delete_that_fails_keeps_the_service_stopped_until_it_is_tried_again_or_forced() -> None:
    world = Keeping()
    async with running(world, entry(goneWhen={"contains": "nothing is kept"})) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.faults["w/drop"].append(Fail("it is in use"))
        with pytest.raises(ToolFailedError, match="in use; service 'db' is stopped and stays in the list") as error:
            await manager.delete("db")
        assert (error.value.step, error.value.tool) == ("delete", "w/drop")
        assert "service_delete db with force=true forgets it and leaves what it keeps" in error.value.next_actions
        assert any(
            "corrected class counts only for services created later" in each for each in error.value.next_actions
        )
        assert manager.view("db").state is ServiceState.STOPPED
        world.kept.clear()
        await manager.delete("db")  # goneWhen: there is nothing left to delete
        await manager.create(CreateRequest("basic", "db"))
        world.faults["w/drop"].append(Fail("it is in use"))
        result = await manager.delete("db", force=True)
        assert result.message.endswith("although deleting what it keeps failed: delete tool failed: it is in use")
        assert manager.views() == []


async def test_a_service_that_could_not_be_made_again_is_still_deleted_with_what_it_keeps() -> None:
    world = Keeping()
    async with running(world, entry()) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.faults["w/stop"].append(Fail("it is in use"))
        with pytest.raises(ToolFailedError, match="in use"):
            await manager.operate("db", OperationRequest(OperationKind.DELETE, keep=True))
        await manager.delete("db")
        assert world.kept == set()


def app(**changes: Any) -> Any:
    """A class whose services have a `db` made for them, with their size."""
    needs = {"name": "db", "serviceClassName": "basic", "create": True, "args": {"size": "{{ size }}"}, **changes}
    return manifest(BASIC.replace("{name: basic}", "{name: app}"), dependencies=[needs])


async def test_what_was_made_for_a_service_is_deleted_with_it_and_keeps_what_it_has_until_that_is_made_again() -> None:
    world, store = Keeping(), MemoryStore()
    async with running(world, entry(), app(), store=store) as manager:
        await manager.create(CreateRequest("app", "web"))
        await manager.operate("web", OperationRequest(OperationKind.DELETE, keep=True))
        await until(lambda: [view.state for view in manager.views()] == [ServiceState.STOPPED])
    async with running(world, entry(), app(), store=store) as manager:
        await until(manager.recovered.is_set)
        assert [(view.name, view.operation) for view in manager.views()] == [("db", None)], "what is kept has an owner"
        await manager.create(CreateRequest("app", "web"))
        world.faults["w/stop"].extend([Slow(1), Slow(5)])
        await manager.delete("web")
        await manager.create(CreateRequest("app", "web"))  # db is still being deleted
        assert {view.state for view in manager.views()} == {ServiceState.RUNNING}
        await manager.delete("web")
        await until(lambda: not manager.views())
        assert world.kept == {"web"}


async def test_what_was_made_for_a_replaced_service_is_that_of_the_next_one() -> None:
    world = Keeping()
    again = CreateRequest("app", "web", {"size": 2}, replaces=True)
    async with running(world, entry(), app(args={})) as manager:
        await manager.create(CreateRequest("app", "web"))
        before = manager.view("db").id
        await manager.create(again)
        assert manager.view("db").id == before, "it is as it should be, and is not touched"
        manager.classes.add(app())
        world.faults["w/stop"].extend([Slow(1), Slow(5)])
        await manager.create(again)
        assert (manager.view("db").args["size"], manager.view("db").state) == (2, ServiceState.RUNNING)
        world.faults["w/start"].extend([Slow(0), Fail("no room")])
        with pytest.raises(OstlerError, match="no room"):
            await manager.create(CreateRequest("app", "web", {"size": 3}, replaces=True))
        await until(lambda: [view.state for view in manager.views()] == [ServiceState.STOPPED])
        assert (manager.view("db").args["size"], world.tools_called("w/drop")) == (3, []), "what it keeps is not lost"
        await manager.create(again)
        manager.classes.add(app(when="{{ size != 4 }}"))
        await manager.create(CreateRequest("app", "web", {"size": 4}, replaces=True))
        await until(lambda: manager.view("db").state is ServiceState.STOPPED)
        await manager.delete("web")
        assert (world.kept, [view.name for view in manager.views()]) == ({"web", "db"}, ["db"])
        await manager.delete("db")
        assert (world.kept, world.resources) == ({"web"}, {})


async def test_what_was_made_for_a_service_that_is_abandoned_stays_and_is_a_service_like_any_other() -> None:
    world, store = Keeping(), MemoryStore()
    needs = [{"name": "db", "serviceClassName": "basic", "create": True}]
    app = manifest(BASIC.replace("{name: basic}", "{name: app}"), dependencies=needs)
    async with running(world, entry(), app, store=store) as manager:
        await manager.create(CreateRequest("app", "web"))
        await manager.delete("web", abandon=True)
        [left] = manager.views()
        assert (left.name, left.state) == ("db", ServiceState.RUNNING)
    async with running(world, entry(), app, store=store) as manager:
        await until(manager.recovered.is_set)
        assert [view.name for view in manager.views()] == ["db"]
        assert "w/stop" not in world.tools_called()


async def test_a_delete_that_joins_one_that_was_to_keep_everything_drops_it() -> None:
    world, store = Keeping(), MemoryStore()
    async with running(world, entry(), store=store) as manager, anyio.create_task_group() as group:
        await manager.create(CreateRequest("basic", "db"))
        world.faults["w/stop"].append(Slow(5.0))
        group.start_soon(manager.operate, "db", OperationRequest(OperationKind.DELETE, keep=True))
        await until(lambda: world.tools_called("w/stop"))
        await manager.operate("db", OperationRequest(OperationKind.DELETE), wait=False)
        assert not (await store.load()).open_operations[0].keep, "a crash does not change what was accepted"
        await manager.delete("db")
        assert (world.kept, manager.views()) == (set(), [])


async def test_what_a_replaced_service_keeps_is_that_of_the_next_one_also_if_that_never_comes_up() -> None:
    world = Keeping()
    async with running(world, entry()) as manager:
        await manager.create(CreateRequest("basic", "db"))
        with pytest.raises(OstlerError, match="labels"):
            await manager.create(CreateRequest("basic", "db", {"labels": 3}, replaces=True))
        assert manager.view("db").state is ServiceState.RUNNING, "what cannot be made takes nothing away"
        world.faults["w/start"].append(Fail("no room"))
        with pytest.raises(ToolFailedError, match="no room; .* service 'db' is kept as failed"):
            await manager.create(CreateRequest("basic", "db", replaces=True))
        assert (manager.view("db").state, world.kept) == (ServiceState.FAILED, {"db"})
        await manager.delete("db")
        assert (world.kept, manager.views()) == (set(), [])


@pytest.mark.parametrize("sizes", [(2, 2), (3, 4)])
async def test_two_that_replace_a_service_at_once_make_one(sizes: tuple[int, int]) -> None:
    world = Keeping()
    made: list[str] = []

    async def replace(size: int) -> None:
        with suppress(SupersededError):  # by the other one, which wants something else
            made.append((await manager.create(CreateRequest("basic", "db", {"size": size}, replaces=True))).service.id)

    async with running(world, manifest(lifecycleTools__delete=DROP, maxInstances=2)) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.faults["w/stop"].append(Slow(3))
        async with anyio.create_task_group() as tasks:
            for size in sizes:
                tasks.start_soon(replace, size)
            await until(lambda: world.tools_called("w/stop"))
            await manager.create(CreateRequest("basic", "other"))  # what takes a place over needs none of its own
        assert set(made) == {manager.view("db").id}
        assert [view.state for view in manager.views()] == [ServiceState.RUNNING] * 2
        assert len(world.resources) == 2
        await manager.delete("db")
        assert world.kept == {"other"}


class SlowStore(MemoryStore):
    """A store that takes a second for each commit."""

    async def commit(self, changes: Sequence[Change]) -> None:
        await anyio.sleep(1)
        await super().commit(changes)


async def test_what_is_deleted_as_it_takes_a_place_over_is_not_started() -> None:
    world, errors = Keeping(), list[OstlerError]()

    async def replace() -> None:
        try:
            await manager.create(CreateRequest("basic", "db", {"size": 2}, replaces=True))
        except OstlerError as error:
            errors.append(error)

    async with running(world, entry(), store=SlowStore()) as manager:
        await manager.create(CreateRequest("basic", "db"))
        old = manager.view("db").id
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(replace)
            await until(lambda: manager.view("db").id != old)
            await manager.delete("db")
        assert (manager.views(), world.resources, world.kept) == ([], {}, set())
        assert "service 'db' is being deleted" in str(errors)


class MortalKeeping(Keeping, Ledger):
    """Such a world whose client may end at any moment."""


@pytest.mark.parametrize("class_name", ["basic", "app"])
async def test_wherever_a_crash_cuts_a_replacement_off_what_is_kept_has_an_owner(class_name: str) -> None:
    made_again = CreateRequest(class_name, "web", {"size": 2}, replaces=True)
    kept, owner = {"basic": ({"web"}, "web"), "app": ({"web", "db"}, "db")}[class_name]
    for point in range(1, 60):
        world, store = MortalKeeping(), MortalStore()
        try:
            async with running(world, entry(), app(), store=store) as manager:
                await manager.create(CreateRequest(class_name, "web"))
                world.always["w/start"] = Fail("no room")
                store.fuse.at, world.fuse = store.fuse.count + point, store.fuse
                with suppress(OstlerError):
                    await manager.create(made_again)
        except* DeadError:
            pass
        died, store.fuse.at, store.fuse.dead = store.fuse.dead, None, False
        async with running(world, entry(), app(), store=store) as manager:
            await manager.recovered.wait()
            await until(lambda: all(view.operation is None for view in manager.views()))
            with pytest.raises(OstlerError, match="no room"):  # as the `up` that goes on does
                await manager.create(made_again)
            await until(lambda: all(view.operation is None for view in manager.views()))
            assert world.kept == kept
            for name in [view.name for view in manager.views()]:
                await manager.delete(name)
            await until(lambda: not manager.views())
            assert (world.kept, world.resources) == (kept - {owner}, {}), store.fuse.where
        if not died:
            return
    raise AssertionError("it never went through")


@pytest.mark.parametrize("restarts", [False, True])
async def test_a_delete_call_that_could_not_be_sent_is_made_when_its_server_is_back(restarts: bool) -> None:
    world, store = Keeping(), MemoryStore()

    async def settled(manager: ServiceManager) -> None:
        world.is_dead = False
        await until(lambda: not manager.views(), within=200)
        assert world.kept == set()

    async with running(world, entry(), store=store) as manager:
        await manager.create(CreateRequest("basic", "db"))
        await manager.stop_service("db")
        world.is_dead = True
        with pytest.raises(
            OstlerError, match="with what it keeps; it is deleted automatically when the server is back"
        ):
            await manager.delete("db")
        assert manager.view("db").state is ServiceState.STOPPED
        if not restarts:
            await settled(manager)
    if restarts:
        async with running(world, entry(), store=store) as manager:
            await settled(manager)


@pytest.mark.parametrize("find", [True, False])
async def test_a_delete_that_is_cut_off_is_finished_by_the_next_run(find: bool) -> None:
    world, store = Keeping(), MemoryStore()
    cut = entry() if find else manifest(lifecycleTools__delete=DROP, lifecycleTools__find=None)
    async with anyio.create_task_group() as group, running(world, cut, store=store) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.faults["w/drop"].append(Slow(100.0))

        async def leave() -> None:
            with pytest.raises(OstlerError, match="shutting down"):
                await manager.delete("db")

        group.start_soon(leave)
        await until(lambda: world.tools_called("w/drop"))
    assert world.kept == {"db"}
    async with running(world, cut, store=store) as manager:
        await until(manager.recovered.is_set)
        assert (manager.views(), world.kept) == ([], set())
        assert world.tools_called("w/stop") == ["w/stop"], "the stop had been answered"


async def test_secrets_of_the_outputs_stay_masked_in_the_delete_call() -> None:
    world, store = Keeping(), MemoryStore()
    drop = {"tool": "w/drop", "args": {"name": "{{ name }}", "url": "{{ outputs.url }}"}}
    secret = {"url": {"template": "ledger://hunter2/{{ start.id }}", "secret": True}}
    async with running(world, manifest(lifecycleTools__delete=drop, outputs=secret), store=store) as manager:
        await manager.create(CreateRequest("basic", "db"))
        await manager.stop_service("db")
        world.faults["w/drop"].append(Fail("busy"))
        with pytest.raises(OstlerError):
            await manager.delete("db")
        assert world.calls[-1][1]["url"] == "ledger://hunter2/r1"
        calls = [call for operation in await manager.history("db") for call in operation.calls if call.step == "delete"]
        assert calls
        assert "hunter2" not in str(calls)
        assert "hunter2" not in str(manager.plans.operate("db", "delete").steps)


class LateList(World):
    """A world whose list is old when it arrives."""

    async def call_tool(
        self, tool: str, args: Mapping[str, Any], *, timeout: float | None = None, progress: Any = None
    ) -> ToolResponse:
        answer = await super().call_tool(tool, args, timeout=timeout, progress=progress)
        await anyio.sleep(5 if tool == "w/list" else 0)
        return answer


async def test_what_is_deleted_while_leftovers_are_listed_is_none_of_them() -> None:
    world, found = LateList(), list[object]()
    look = {"tool": "w/list", "items": "items", "mark": "mark", "serviceClass": "class", "service": "service"}
    marked = {name: f"{{{{ service.{name} }}}}" for name in ("name", "mark", "class")} | {"service": "{{ service.id }}"}
    async with running(
        world, manifest(leftovers={**look, "outputs": {"id": "id"}}, lifecycleTools__start__args=marked), mark="me"
    ) as manager:
        await manager.create(CreateRequest("basic", "db"))

        async def look_for() -> None:
            survey = await manager.leftovers().find()
            found.extend((survey.found, survey.unseen, survey.errors))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(look_for)
            await until(lambda: world.tools_called("w/list"))
            await manager.delete("db")
        assert found == [[], [], []]


async def test_what_is_seen_and_cannot_be_stopped_is_not_forgotten() -> None:
    world = World()
    async with running(world, manifest(lifecycleTools__find=None, lifecycleTools__ready=None)) as manager:
        world.faults["w/start"].append(Lost(acts=True))
        for operation in (lambda: manager.create(CreateRequest("basic", "db")), lambda: manager.restart_service("db")):
            with pytest.raises(OstlerError):
                await operation()
        await until(lambda: manager.view("db").state is ServiceState.RUNNING)  # its id is lost, and status shows it
        for operation in (manager.stop_service, manager.delete, manager.delete):
            with pytest.raises(OstlerError, match="what was started is not known"):
                await operation("db")
        assert manager.view("db").state is ServiceState.FAILED
        assert len(world.resources) == 1
