"""Identifiers live as long as the server's process that gave them."""

from typing import Any

import anyio
import pytest
from tests.support.world import BASIC, Answer, Down, Fail, Hang, Lost, Servers, World, manifest, running, until

from ostler.adapters.stores.memory import MemoryStore
from ostler.engine.instances import handles
from ostler.engine.instances.handles import Handles, Holder
from ostler.engine.manager import ServiceManager
from ostler.engine.protocols import PutOperation, PutService
from ostler.engine.services.views import CreateRequest
from ostler.model.downstream_errors import ConnectionLostError
from ostler.model.errors import OstlerError
from ostler.model.states import HealthStatus, ServiceState

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]

BY_ID: dict[str, Any] = {
    "lifecycleTools__status": {
        "tool": "w/list",
        "batch": {"items": "items", "match": {"id": "{{ start.id }}"}},
    },
    "lifecycleTools__find": None,
    "lifecycleTools__healthCheck": None,
    "lifecycleTools__ready": None,
}
"""Everything goes by the id that start gave."""


def replace_process(world: World, servers: Servers) -> None:
    """The server's process is replaced: nothing is there any more, and it numbers again."""
    world.forget()
    servers.process = "2"


@pytest.mark.parametrize("ends", ["stop", "delete", "restart", "check"])
async def test_an_id_that_another_service_was_given_is_left_alone(ends: str) -> None:
    world, servers = World(), Servers()
    async with running(world, manifest(**BY_ID, healthCheck__initialDelay="1h"), tools=servers) as manager:
        await manager.create(CreateRequest("basic", "old"))
        replace_process(world, servers)
        await manager.create(CreateRequest("basic", "new"))
        assert list(world.resources) == ["r1"]
        match ends:
            case "stop":
                await manager.stop_service("old")
                assert manager.view("old").state is ServiceState.STOPPED
            case "delete":
                await manager.delete("old")
            case "restart":
                await manager.restart_service("old")
                assert set(world.resources) == {"r1", "r2"}
            case _:
                assert "has given its id to service 'new'" in str((await manager.check_health("old")).error)
                assert manager.view("old").state is ServiceState.FAILED
        assert world.resources["r1"]["name"] == "new"
        await manager.stop_service("new")
        assert "r1" not in world.resources


async def test_an_id_of_a_process_that_is_still_there_is_stopped() -> None:
    world, servers = World(), Servers()
    async with running(world, manifest(**BY_ID), tools=servers) as manager:
        await manager.create(CreateRequest("basic", "one"))
        await manager.create(CreateRequest("basic", "two"))
        await manager.stop_service("one")
        assert [made["name"] for made in world.resources.values()] == ["two"]


async def test_an_id_given_away_is_not_verified_by_after_ostler_was_away() -> None:
    world, servers, store = World(), Servers(), MemoryStore()
    entry = manifest(**BY_ID)
    async with running(world, entry, store=store, tools=servers) as manager:
        await manager.create(CreateRequest("basic", "old"))
    replace_process(world, servers)
    servers.connected["w"] = False
    world.is_dead = True
    async with running(world, entry, store=store, tools=servers) as manager:
        await until(lambda: manager.view("old").state is ServiceState.UNREACHABLE)
        world.is_dead = False
        servers.connected["w"] = True
        await manager.create(CreateRequest("basic", "new"))
        servers.set("w", connected=True)
        await until(lambda: manager.view("old").state is ServiceState.STOPPED)
        assert manager.view("new").state is ServiceState.RUNNING
        assert world.resources["r1"]["name"] == "new"


BY_NAME: dict[str, Any] = {**BY_ID, "lifecycleTools__find": {
    "tool": "w/find", "args": {"name": "{{ name }}"}, "expect": {"jsonPath": {"found": True}}, "outputs": {"id": "id"},
}}  # fmt: skip


@pytest.mark.parametrize("after", ["at once", "a restart of Ostler"])
@pytest.mark.parametrize("ends", ["stop", "delete", "check"])
async def test_find_tells_whose_an_id_is_where_the_process_is_not_known(ends: str, after: str) -> None:
    world, servers, store = World(), Servers(), MemoryStore()
    servers.process = ""  # as over HTTP
    entry = manifest(**BY_NAME, healthCheck__initialDelay="1h")
    async with running(world, entry, store=store, tools=servers) as manager:
        await manager.create(CreateRequest("basic", "old"))
        world.forget()
        await anyio.sleep(1)
        await manager.create(CreateRequest("basic", "new"))
        assert list(world.resources) == ["r1"]
        if after == "at once":
            await end_old(manager, ends)
    if after != "at once":
        async with running(world, entry, store=store, tools=servers) as manager:
            await until(manager.recovered.is_set)
            assert (manager.view("old").state, manager.view("old").reason) == (ServiceState.STOPPED, "gone")
            assert manager.view("new").state is ServiceState.RUNNING
            if ends != "check":
                await end_old(manager, ends)
    assert world.resources["r1"]["name"] == "new"


async def end_old(manager: ServiceManager, how: str) -> None:
    match how:
        case "stop":
            await manager.stop_service("old")
            assert manager.view("old").state is ServiceState.STOPPED
        case "delete":
            await manager.delete("old")
        case _:
            assert "its find tool does not find it" in str((await manager.check_health("old")).error)
            assert (manager.view("old").state, manager.view("old").reason) == (ServiceState.FAILED, "gone")


async def test_an_id_that_two_services_share_is_stopped_with_the_last_of_them() -> None:
    world, servers = World(), Servers()
    servers.process = ""
    async with running(world, manifest(**BY_ID), tools=servers) as manager:
        await manager.create(CreateRequest("basic", "old"))
        world.forget()
        await manager.create(CreateRequest("basic", "new"))
        await manager.stop_service("old")
        assert (manager.view("old").state, list(world.resources)) == (ServiceState.STOPPED, ["r1"])
        await manager.stop_service("new")
        assert world.resources == {}


async def test_a_stop_does_not_wait_for_the_end_of_what_another_service_was_given() -> None:
    world, servers = World(), Servers()
    world.lingers = 20.0
    async with running(world, manifest(**BY_ID, healthCheck__initialDelay="1h"), tools=servers) as manager:
        await manager.create(CreateRequest("basic", "old"))
        await manager.stop_service("old", wait=False)
        await anyio.sleep(1)  # its stop tool has answered, and its end is awaited
        replace_process(world, servers)
        await manager.create(CreateRequest("basic", "new"))
        await until(lambda: manager.view("old").state is ServiceState.STOPPED, within=10)
        assert world.resources["r1"]["name"] == "new"


async def test_an_output_that_does_not_name_the_service_alone_is_no_identifier() -> None:
    world, servers = World(), Servers()
    world.always["w/stop"] = Answer({"stopped": True})
    entry = manifest(
        lifecycleTools__start__outputs={"id": "id", "kind": {"template": "web"}},
        lifecycleTools__stop__args={"name": "{{ name }}", "kind": "{{ start.kind }}"},
        lifecycleTools__stopped={"tool": "w/health", "args": {"name": "x"}, "expect": {"success": True}},
    )
    async with running(world, entry, tools=servers) as manager:
        await manager.create(CreateRequest("basic", "old"))
        servers.process = "2"
        await manager.create(CreateRequest("basic", "new"))
        assert (await manager.check_health("old")).health is HealthStatus.HEALTHY
        await manager.stop_service("old")
        assert [args["name"] for tool, args in world.calls if tool == "w/stop"] == ["old"]


MOVES: dict[str, Any] = {
    **BY_ID,
    "lifecycleTools__restart": {"tool": "w/restart", "args": {"id": "{{ start.id }}"}, "outputs": {"id": "id"}},
    "lifecycleTools__stop": {"tool": "w/stop", "args": {"id": "{{ start.id }}"}},
}
"""A restart gives another id, and all but `find` go by the id."""

FIND: dict[str, Any] = {
    "tool": "w/find",
    "args": {"name": "{{ name }}"},
    "expect": {"jsonPath": {"found": True}},
    "outputs": {"id": "id"},
}
LOSSES = [Fail("not ready", acts=True), Lost(acts=True), Hang(acts=True)]


@pytest.mark.parametrize("loss", [loss for loss in LOSSES if not isinstance(loss, Lost)], ids=repr)
async def test_what_a_restart_left_under_another_id_is_found_and_cleaned_up(loss: Fail | Hang) -> None:
    world = World()
    async with running(world, manifest(BASIC, **(MOVES | {"lifecycleTools__find": FIND}))) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.faults["w/restart"].append(loss)
        with pytest.raises(OstlerError, match="cleaned up with w/stop"):
            await manager.restart_service("db")
        assert world.resources == {}
        shown = manager.view("db")
        assert (shown.state, shown.health) == (ServiceState.FAILED, HealthStatus.UNKNOWN)


@pytest.mark.parametrize("next_request", ["start", "stop"])
async def test_what_a_failed_stop_left_is_stopped_by_the_id_that_it_has_by_now(next_request: str) -> None:
    world = World()
    async with running(world, manifest(BASIC, **(MOVES | {"lifecycleTools__find": FIND}))) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.faults["w/stop"].append(Fail("busy"))
        with pytest.raises(OstlerError, match="busy"):
            await manager.stop_service("db")
        await world.call_tool("w/restart", {"id": "r1"})  # by someone else
        await (manager.start_service("db") if next_request == "start" else manager.stop_service("db"))
        assert list(world.resources) == (["r3"] if next_request == "start" else [])


@pytest.mark.parametrize("acts", [True, False])
@pytest.mark.parametrize("tool", ["w/restart", "w/start"])
@pytest.mark.parametrize("is_gone", [False, True])
async def test_a_restart_that_the_death_of_its_server_cuts_off_is_finished(
    tool: str, *, acts: bool, is_gone: bool
) -> None:
    world = World()
    changes = MOVES | {"lifecycleTools__find": FIND}
    if tool == "w/start":
        changes["lifecycleTools__restart"] = None
    async with running(world, manifest(BASIC, **changes)) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.faults[tool].append(Lost(acts=acts))
        if is_gone and not acts:
            world.resources.clear()  # its server ran it, and died with it
        world.faults["w/find"] += [Down(), Fail("daemon not ready")]
        result = await manager.restart_service("db")
        is_doubtful = tool == "w/restart" and (acts or not is_gone)
        assert ("whether it was restarted is unknown" in result.message) == is_doubtful
        assert len(world.resources) == 1
        view = manager.view("db")
        assert (view.state, view.outputs["url"]) == (ServiceState.RUNNING, f"ledger://{next(iter(world.resources))}/1")
        assert world.overlaps == []
        await manager.delete("db")
        assert world.resources == {}


async def test_after_a_lost_restart_an_answer_that_proves_nothing_starts_no_second_one() -> None:
    world = World()
    blind: dict[str, Any] = {"lifecycleTools__find": None, "lifecycleTools__healthCheck": None}
    entry = manifest(BASIC, **blind, lifecycleTools__restart=MOVES["lifecycleTools__restart"])  # status: by the name
    async with running(world, entry) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.faults["w/restart"].append(Lost(acts=False))
        world.faults["w/status"].append(Answer({"state": "reloading"}))
        result = await manager.restart_service("db")
        assert "whether it was restarted is unknown" in result.message
        assert list(world.resources) == ["r1"]


async def test_a_restart_whose_lost_answer_is_needed_to_stop_it_says_that_it_was_lost() -> None:
    world = World()
    looks: dict[str, Any] = {f"lifecycleTools__{step}": None for step in ("find", "healthCheck", "ready")}
    entry = manifest(**looks)
    async with running(world, entry) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.faults["w/start"].append(Lost(acts=True))
        with pytest.raises(ConnectionLostError, match="could not be found"):
            await manager.restart_service("db")


@pytest.mark.parametrize("policy", ["retry", "hold"])
async def test_where_no_tool_can_look_the_class_decides_about_such_a_restart(policy: str) -> None:
    world = World()
    looks: dict[str, Any] = {f"lifecycleTools__{step}": None for step in ("find", "status", "healthCheck", "ready")}
    async with running(world, manifest(onUnknown=policy, healthCheck=None, **looks)) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.faults["w/start"].append(Lost())
        if policy == "retry":
            await manager.restart_service("db")
            assert len(world.resources) == 1
            return
        with pytest.raises(OstlerError, match="could not be found"):
            await manager.restart_service("db")
        assert (manager.view("db").state, world.tools_called("w/start")) == (ServiceState.FAILED, ["w/start"] * 2)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
async def test_what_a_restart_may_have_left_under_another_id_is_not_called_gone(loss: Fail | Lost | Hang) -> None:
    world = World()
    async with running(world, manifest(**MOVES)) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.faults["w/restart"].append(loss)
        with pytest.raises(OstlerError) as failed:
            await manager.restart_service("db")
        assert "nothing was left" not in str(failed.value)
        with pytest.raises(OstlerError, match="no resource 'r1'"):
            await manager.stop_service("db")
        assert list(world.resources) == ["r2"]
        await manager.start_service("db", adopt={"id": "r2"})
        await manager.delete("db")
        assert world.resources == {}


@pytest.mark.parametrize("has_find", [True, False])
async def test_a_restart_that_a_crash_cut_off_is_not_looked_for_by_the_old_id(*, has_find: bool) -> None:
    world, store, crashed = World(), MemoryStore(), MemoryStore()
    entry = manifest(BASIC, **(MOVES | {"lifecycleTools__find": FIND if has_find else None}))
    async with running(world, entry, store=store) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.faults["w/restart"].append(Hang(acts=True))
        async with anyio.create_task_group() as group:
            group.start_soon(manager.restart_service, "db")
            await until(lambda: "w/restart" in world.tools_called())
            state = await store.load()
            await crashed.commit([*map(PutService, state.services), *map(PutOperation, state.open_operations)])
            group.cancel_scope.cancel()
        left = {"r2": {"id": "r2", "name": "db", "since": 0.0}}
    world.resources = left
    async with running(world, entry, store=crashed) as manager:
        await until(manager.recovered.is_set)
        await until(lambda: manager.view("db").operation is None)
        view = manager.view("db")
        assert len(world.resources) == 1
        if has_find:
            assert (view.state, view.outputs["url"]) == (ServiceState.RUNNING, "ledger://r2/1")
        else:
            assert (view.state, view.reason) == (ServiceState.UNKNOWN, "unknown-outcome")


async def test_only_the_newest_of_what_is_not_there_any_more_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handles, "MAX_RELEASED", 2)
    known = Handles()
    for key in ("1", "2", "3", "4"):
        known.give(key, Holder(key, key, ""))
    for key in ("2", "3", "4"):
        known.release(key, key)
    held = [known.holder(key) for key in ("1", "2", "3", "4")]
    assert [holder and holder.name for holder in held] == ["1", None, "", ""]
    known.give("3", Holder("5", "5", ""))
    known.release("3", "3")
    assert known.holder("3") == Holder("5", "5", "")
