"""Services come back after the server's end: verified first, then adopted, started or shown as they are."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from msgspec.structs import replace
from tests.support.world import BASIC, EPOCH, Answer, Down, Fail, Lost, Servers, Slow, World, manifest, running, until

from ostler.adapters.stores.memory import MemoryStore
from ostler.engine.classes.catalogue import ClassEntry
from ostler.engine.insight.explanation import explain
from ostler.engine.manager import ServiceManager
from ostler.engine.protocols import PutOperation, PutService, StoredState
from ostler.engine.services.views import CreateRequest
from ostler.model.downstream_errors import ToolTimeoutError
from ostler.model.errors import OstlerError
from ostler.model.events import EventKind
from ostler.model.records import CallOutcome, CallRecord, OperationKind, OperationRecord
from ostler.model.responses import ToolResponse
from ostler.model.states import DesiredState, HealthStatus, Reachability, ServiceState

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]


async def settle(manager: Any) -> None:
    """Wait until recovery has looked at everything and nothing is under way."""
    await manager.recovered.wait()
    await until(lambda: all(view.operation is None for view in manager.views()))


async def a_running_service(world: World, store: MemoryStore, **request: Any) -> None:
    async with running(world, store=store) as manager:
        await manager.create(CreateRequest("basic", "db", **request))


async def test_a_running_service_survives_and_is_adopted() -> None:
    world, store = World(), MemoryStore()
    await a_running_service(world, store)
    assert world.resources, "leaving the server stops no persisted service"
    world.calls.clear()
    async with running(world, store=store) as manager:
        await settle(manager)
        view = manager.view("db")
        assert view.state is ServiceState.RUNNING
        assert view.outputs == {"url": "ledger://r1/1"}
        assert world.tools_called("w/start") == []
        await manager.delete("db")
        assert world.resources == {}


@pytest.mark.parametrize(("up_for", "within"), [(3000, 611), (7200, 11)])
async def test_the_first_check_is_due_when_it_was_before_a_restart_of_ostler(up_for: float, within: float) -> None:
    world, store, entry = World(), MemoryStore(), manifest(healthCheck={"interval": "10s", "initialDelay": "1h"})
    async with running(world, entry, store=store) as manager:
        await manager.create(CreateRequest("basic", "db"))
        await anyio.sleep(up_for)
    async with running(world, entry, store=store) as manager:
        await settle(manager)
        began = anyio.current_time()
        await until(lambda: manager.view("db").health is HealthStatus.HEALTHY, within=within)
        assert anyio.current_time() - began > within - 12


async def test_others_have_their_turn_while_many_services_are_restored() -> None:
    world, store = World(), MemoryStore()
    await a_running_service(world, store)
    (stored,) = (await store.load()).services
    copies = [replace(stored, id=f"copy-{number}", name=f"copy-{number}") for number in range(300)]
    await store.commit([PutService(copy) for copy in copies])
    seen: list[int] = []

    async def watch(manager: ServiceManager) -> None:
        while len(manager.registry) < len(copies) + 1:
            seen.append(len(manager.registry))
            await anyio.lowlevel.checkpoint()

    manager = ServiceManager(world, store)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch, manager)
        async with manager:
            pass
    assert any(seen), "no one else ran between the first service and the last"


async def test_nothing_is_claimed_before_it_was_verified() -> None:
    world, store = World(), MemoryStore()
    await a_running_service(world, store)
    world.always["w/status"] = Down()
    async with running(world, store=store) as manager:
        assert manager.view("db").state is ServiceState.UNKNOWN
        await settle(manager)
        view = manager.view("db")
        assert view.state is ServiceState.UNREACHABLE
        assert view.reachability is Reachability.UNREACHABLE
        assert world.resources, "an unreachable server destroys nothing"


async def test_of_two_stored_services_with_one_name_the_newer_is_taken_and_the_other_is_left_and_named() -> None:
    world, store = World(), MemoryStore()
    async with running(world, store=store) as manager:
        for name in ("db", "web"):
            await manager.create(CreateRequest("basic", name))
    (db, web) = (await store.load()).services
    state = replace(await store.load(), services=[db, replace(web, name="db", updated_at=EPOCH - timedelta(days=1))])

    class Edited(MemoryStore):
        async def load(self) -> StoredState:
            return state

    async with running(world, store=Edited()) as manager:
        await manager.recovered.wait()
        assert [(view.name, view.id, view.state) for view in manager.views()] == [("db", db.id, ServiceState.RUNNING)]
        [said] = [event.message for event in manager.events.read(kinds=[EventKind.WARNING]).events]
        assert f"another service 'db' (id {web.id}, class 'basic', last changed 2025-12-31" in said
        assert "Next: ostler prune --dry-run" in said


async def test_a_service_that_died_meanwhile_is_stopped_and_started_only_with_auto_start() -> None:
    for auto_start, state in ((False, ServiceState.STOPPED), (True, ServiceState.RUNNING)):
        world, store = World(), MemoryStore()
        await a_running_service(world, store, auto_start=auto_start)
        world.resources.clear()
        async with running(world, store=store) as manager:
            await settle(manager)
            assert manager.view("db").state is state
            assert len(world.resources) == (1 if auto_start else 0)


@pytest.mark.parametrize("policy", ["never", "on-failure"])
@pytest.mark.parametrize("auto_start", [False, True])
async def test_what_has_failed_stays_failed_over_a_restart(policy: str, auto_start: bool) -> None:
    world, store = World(), MemoryStore()
    bounds = {} if policy == "never" else {"maxRestarts": 1, "backoff": {"initial": "1s"}}
    entry = manifest(restartPolicy={"policy": policy, **bounds})
    async with running(world, entry, store=store) as manager:
        await manager.create(CreateRequest("basic", "db", auto_start=auto_start))
        reason, seen = "gone" if policy == "never" else "crash-loop", dict(world.resources)
        while manager.view("db").reason != reason:
            seen = dict(world.resources) or seen
            world.resources.clear()
            await manager.check_health("db")
            await anyio.sleep(5)
        before = manager.view("db")
        assert before.state is ServiceState.FAILED
    starts = len(world.tools_called("w/start"))
    for _ in range(2):  # a server that ends at once has nothing else to say of it
        async with running(world, entry, store=store) as manager:
            await settle(manager)
            after = manager.view("db")
            if auto_start:
                assert after.state is ServiceState.RUNNING
                return
            assert (after.state, after.reason, after.error) == (before.state, before.reason, before.error)
            assert after.health is before.health is HealthStatus.UNHEALTHY
            await anyio.sleep(60)
            assert len(world.tools_called("w/start")) == starts, "it is left at that"
    world.resources.update(seen)
    async with running(world, entry, store=store) as manager:
        await settle(manager)
        assert manager.view("db").state is ServiceState.RUNNING, "it is seen"


async def test_how_a_job_ended_meanwhile_is_said() -> None:
    job = manifest(completed={"jsonPath": {"state": "done"}}, lifecycleTools__healthCheck=None)
    for entry, state, auto_start in (
        (job, ServiceState.FAILED, False),
        (job, ServiceState.RUNNING, True),
        (manifest(), ServiceState.STOPPED, False),
    ):
        world, store = World(), MemoryStore()
        async with running(world, entry, store=store) as manager:
            await manager.create(CreateRequest("basic", "db", auto_start=auto_start))
        world.resources.clear()
        world.faults["w/status"].append(Answer({"state": "exited", "exitCode": 3}))
        async with running(world, entry, store=store) as manager:
            await settle(manager)
            assert manager.view("db").state is state
            said = explain(manager.registry.get("db"), manager.registry, None, [])
            assert (manager.view("db").reason, len(said.causes)) == ("", 1) if auto_start else ("gone", 2)
            assert auto_start or 'state was "exited"' in said.causes[1]
            assert (state is ServiceState.FAILED) == ("without having completed" in (manager.view("db").error or ""))


async def test_a_service_that_is_not_persisted_is_stopped_on_leaving() -> None:
    world, store = World(), MemoryStore()
    await a_running_service(world, store, persist=False)
    assert world.resources == {}
    async with running(world, store=store) as manager:
        assert manager.views() == []


async def test_stop_on_exit_stops_all_and_they_come_back_wanted() -> None:
    world, store = World(), MemoryStore()
    async with running(world, store=store, stop_on_exit=True) as manager:
        await manager.create(CreateRequest("basic", "db", auto_start=True))
    assert world.resources == {}
    async with running(world, store=store) as manager:
        await settle(manager)
        assert manager.view("db").state is ServiceState.RUNNING


@pytest.mark.parametrize("ending", ["crash", "exit"])
@pytest.mark.parametrize("policy", ["on-failure", "always"])
@pytest.mark.parametrize("trouble", ["gone", "start fails"])
async def test_a_service_that_waited_for_its_next_restart_is_taken_up_again(
    policy: str, ending: str, trouble: str
) -> None:
    world, store, crashed = World(), MemoryStore(), MemoryStore()
    backoff = {"initial": "100s", "max": "100s", "jitter": 0}
    entry = manifest(restartPolicy={"policy": policy, "backoff": backoff})
    async with running(world, entry, store=store) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.resources.clear()
        await until(lambda: manager.view("db").state is ServiceState.RETRYING)
        if trouble == "start fails":
            world.faults["w/start"].append(Fail("no room"))
            await until(lambda: len(world.tools_called("w/start")) == 2)
            await until(lambda: manager.view("db").state is ServiceState.RETRYING)
        await anyio.sleep(1)
        state = await store.load()
        await crashed.commit([*map(PutService, state.services), *map(PutOperation, state.open_operations)])
    assert world.resources == {}
    async with running(world, entry, store=crashed if ending == "crash" else store) as manager:
        await until(lambda: manager.view("db").state is ServiceState.RUNNING)
        assert len(world.resources) == 1


async def crashed_start(
    world: World,
    store: MemoryStore,
    outcome: CallOutcome | None,
    *,
    on_unknown: str = "hold",
    find: bool = True,
    entry: ClassEntry | None = None,
) -> Any:
    """Leave the store as a crash during a start leaves it; return the class."""
    changes: dict[str, Any] = {"onUnknown": on_unknown}
    if not find:
        changes["lifecycleTools__find"] = None
        changes["lifecycleTools__status"] = None
        changes["lifecycleTools__healthCheck"] = None
        changes["healthCheck"] = None
    entry = entry or manifest(**changes)
    async with running(World(), entry, store=store) as manager:
        await manager.create(CreateRequest("basic", "db", start=False))
    record = (await store.load()).services[0]
    calls = ()
    if outcome is not None:
        calls = (CallRecord(0, "start", "w/start", {}, outcome, EPOCH),)
    operation = OperationRecord("op1", record.id, "db", OperationKind.START, EPOCH, calls=calls, idempotency_key="op1")
    wanted = replace(record, desired=DesiredState.RUNNING, state=ServiceState.STARTING)
    await store.commit([PutService(wanted), PutOperation(operation)])
    return entry


async def test_a_start_cut_off_before_its_call_is_done_again() -> None:
    world, store = World(), MemoryStore()
    entry = await crashed_start(world, store, None)
    async with running(world, entry, store=store) as manager:
        await settle(manager)
        assert manager.view("db").state is ServiceState.RUNNING
        assert len(world.resources) == 1
        assert (await store.load()).open_operations == []


async def test_a_start_cut_off_after_it_acted_is_found_and_adopted_with_its_outputs() -> None:
    world, store = World(), MemoryStore()
    entry = await crashed_start(world, store, CallOutcome.INTENDED)
    await world.call_tool("w/start", {"name": "db", "size": 1})
    async with running(world, entry, store=store) as manager:
        await settle(manager)
        view = manager.view("db")
        assert view.state is ServiceState.RUNNING
        assert view.outputs == {"url": "ledger://r1/1"}
        assert len(world.resources) == 1
        await manager.delete("db")
        assert world.resources == {}


async def test_a_start_cut_off_that_did_not_act_is_done_again() -> None:
    world, store = World(), MemoryStore()
    entry = await crashed_start(world, store, CallOutcome.INTENDED)
    async with running(world, entry, store=store) as manager:
        await settle(manager)
        assert manager.view("db").state is ServiceState.RUNNING
        assert len(world.resources) == 1


@pytest.mark.parametrize(
    "asked", ["delete", "stop then stop", "start at once then delete", "start at once then crash", "stop then start"]
)
@pytest.mark.parametrize("trouble", ["away", "lost"])
async def test_what_is_asked_while_nothing_shows_a_cut_off_start_forgets_nothing(asked: str, trouble: str) -> None:
    world, servers, store = World(), Servers(), MemoryStore()
    entry = await crashed_start(world, store, CallOutcome.INTENDED)
    await world.call_tool("w/start", {"name": "db", "size": 1})
    servers.connected["w"] = trouble != "away"
    world.is_dead = not servers.connected["w"]
    world.always |= {f"w/{look}": Lost() for look in ("find", "status", "health")}

    async def ask(manager: ServiceManager, what: str) -> None:
        kind, _, rest = what.partition(" ")
        operation = manager.delete if kind == "delete" else getattr(manager, f"{kind}_service")
        with suppress(OstlerError):
            await operation("db", wait=not rest, timeout=5)

    *first, last = asked.split(" then ")
    async with running(world, entry, store=store, tools=servers) as manager:
        for each in first:
            await ask(manager, each)
        state, there = await store.load(), dict(world.resources)
    crashed = MemoryStore()
    await crashed.commit([*map(PutService, state.services), *map(PutOperation, state.open_operations)])
    world.resources = there
    async with running(world, entry, store=crashed, tools=servers) as manager:
        if last != "crash":
            await ask(manager, last)
        world.is_dead = False
        world.always.clear()
        servers.set("w", connected=True)
        await settle(manager)
        await anyio.sleep(60)
        await settle(manager)
        assert len(world.resources) == sum(view.state.is_up for view in manager.views()) or manager.view("db").error
        if manager.views():
            await manager.delete("db")
        assert world.resources == {}
        assert len(world.tools_called("w/start")) - len(world.tools_called("w/stop")) == 0


@pytest.mark.parametrize("step", ["status", "find"])
@pytest.mark.parametrize(("said", "state"), [({"state": "creating"}, "running"), ("done", "unknown")])
async def test_a_start_cut_off_is_not_repeated_by_what_proves_nothing(step: str, said: Any, state: str) -> None:
    world, store = World(), MemoryStore()
    look = {"tool": f"w/{step}", "args": {"name": "{{ name }}"}, "expect": {"jsonPath": {"state": "running"}}}
    tools: dict[str, Any] = {"status": None, "find": None, "healthCheck": None, "ready": None, step: look}
    tools["stop"] = {"tool": "w/stop", "args": {"id": "{{ name }}"}}
    changes = {f"lifecycleTools__{key}": tool for key, tool in tools.items()}
    entry = manifest(healthCheck=None, outputs=None, **changes)
    await crashed_start(world, store, CallOutcome.INTENDED, entry=entry)
    world.always[f"w/{step}"] = Answer(said)
    async with running(world, entry, store=store) as manager:
        if step == "find" and state == "running":
            await anyio.sleep(30)  # it is looked for again, as long as a start may take
            assert manager.view("db").state is ServiceState.UNKNOWN
            world.always["w/find"] = Answer({"state": "running"})
        await settle(manager)
        assert manager.view("db").state.value == state
        assert world.tools_called("w/start", "w/stop") == []


@pytest.mark.parametrize(
    ("policy", "state"),
    [("hold", ServiceState.UNKNOWN), ("adopt", ServiceState.RUNNING)],
)
async def test_an_unknown_outcome_follows_on_unknown(policy: str, state: ServiceState) -> None:
    world, store = World(), MemoryStore()
    entry = await crashed_start(world, store, CallOutcome.INTENDED, on_unknown=policy, find=False)
    async with running(world, entry, store=store) as manager:
        await settle(manager)
        assert manager.view("db").state is state
        assert world.tools_called("w/start", "w/stop") == []


async def test_restore_of_many_is_bounded_and_complete() -> None:
    world, store = World(), MemoryStore()
    async with running(world, store=store) as manager, anyio.create_task_group() as group:
        for index in range(100):
            group.start_soon(manager.create, CreateRequest("basic", f"s{index}"))
    async with running(world, store=store) as manager:
        await settle(manager)
        assert {view.state for view in manager.views()} == {ServiceState.RUNNING}


@pytest.mark.parametrize("state", ["running", "stopped", "starting"])
async def test_a_service_whose_class_cannot_be_read_is_shown_and_can_be_forgotten(state: str) -> None:
    world, store = World(), MemoryStore()
    await a_running_service(world, store, args={"size": 7, "password": "hunter2-hunter2"})
    [record] = (await store.load()).services
    later = {**record.class_manifest, "apiVersion": "ostler/v9"}
    changes: dict[str, Any] = {"state": ServiceState(state), "class_manifest": later}
    if state == "stopped":
        changes |= {"stop_plan": (), "desired": DesiredState.STOPPED}
    record = replace(record, **changes)
    await store.commit([PutService(record)])
    if state == "starting":
        sent = (CallRecord(0, "start", "w/start", {}, CallOutcome.AMBIGUOUS, EPOCH),)
        cut_off = OperationRecord("op1", record.id, "db", OperationKind.START, EPOCH, calls=sent)
        await store.commit([PutOperation(cut_off)])
    world.calls.clear()
    async with running(world, store=store) as manager:
        await settle(manager)
        view = manager.view("db")
        assert view.state is (ServiceState.STOPPED if state == "stopped" else ServiceState.UNKNOWN)
        assert "'db' was stored by another version of Ostler and cannot be read" in (view.error or "")
        assert view.args == {"size": 7, "password": "***"}
        for act in (manager.start_service, manager.restart_service):
            with pytest.raises(OstlerError, match=r"cannot be read.*service_delete db with abandon=true forgets it"):
                await act("db")
        assert world.calls == [], "nothing is stopped for a start that cannot be"
        explanation = explain(manager.registry.get("db"), manager.registry, None, await manager.history("db"))
        assert {"name": "db", "abandon": True} in [call.args for call in explanation.next_calls]
        assert "service_start" not in [call.tool for call in explanation.next_calls]
        await manager.delete("db", abandon=True)
        assert manager.views() == []
        assert world.calls == []
    assert (await store.load()).services == []


async def test_a_service_whose_class_cannot_be_read_is_stopped_by_its_pinned_plan() -> None:
    world, store = World(), MemoryStore()
    await a_running_service(world, store)
    [record] = (await store.load()).services
    await store.commit([PutService(replace(record, class_manifest={"from": "another planet"}))])
    async with running(world, store=store) as manager:
        await settle(manager)
        assert manager.view("db").args == {"size": "***", "password": ""}
        await manager.delete("db")
        assert world.resources == {}
        assert manager.views() == []


async def test_a_failure_of_an_earlier_run_is_told_until_it_is_overcome() -> None:
    world, store = World(), MemoryStore()
    world.always["w/stop"] = Fail("the disk is on fire")
    entry = manifest(
        lifecycleTools__find=None,
        lifecycleTools__status=None,
        lifecycleTools__healthCheck=None,
        healthCheck={"enabled": False},
    )
    async with running(world, entry, store=store) as manager:
        world.always["w/status"] = Fail("never ready")
        with pytest.raises(OstlerError, match="kept as failed"):
            await manager.create(CreateRequest("basic", "db"))
    async with running(world, entry, store=store) as manager:
        await settle(manager)
        with pytest.raises(
            OstlerError, match=r"what an earlier start of 'db' left could not be stopped.*service_stop db"
        ):
            await manager.start_service("db")
        assert "never ready" in (manager.view("db").error or "")
    world.always.clear()
    async with running(world, entry, store=store) as manager:
        await settle(manager)
        assert "never ready" in (manager.view("db").error or "")
        await manager.start_service("db")
        assert manager.view("db").error is None


async def away(world: World, servers: Servers, manager: ServiceManager) -> None:
    """Let the driving server go, and ask for a stop."""
    world.is_dead = True
    servers.set("w", connected=False)
    said = r"'w' is not connected; the stop was not sent, so service 'db' may still run.*step 'stop', tool 'w/stop'"
    with pytest.raises(OstlerError, match=said):
        await manager.stop_service("db")
    view = manager.view("db")
    assert (view.state, view.reason, view.desired) == (ServiceState.UNREACHABLE, "stop-not-sent", DesiredState.STOPPED)
    assert "may still run" in (view.error or "")


def back(world: World, servers: Servers) -> None:
    world.is_dead = False
    servers.set("w", connected=True)


_BLIND: dict[str, Any] = {f"lifecycleTools__{step}": None for step in ("status", "find", "healthCheck")}
with_and_without_a_look = pytest.mark.parametrize(
    "entry", [manifest(), manifest(**_BLIND, healthCheck=None)], ids=["can look", "cannot look"]
)


@with_and_without_a_look
async def test_a_stop_that_could_not_be_sent_is_carried_out_when_the_server_is_back(entry: ClassEntry) -> None:
    world, servers = World(), Servers()
    async with running(world, entry, tools=servers) as manager:
        await manager.create(CreateRequest("basic", "db"))
        await away(world, servers, manager)
        assert len(world.resources) == 1
        back(world, servers)
        await until(lambda: manager.view("db").state is ServiceState.STOPPED, within=30)
        assert world.resources == {}
        assert manager.view("db").error is None


@with_and_without_a_look
@pytest.mark.parametrize("kind", [OperationKind.STOP, OperationKind.DELETE])
async def test_what_a_crash_cut_off_is_finished_when_the_server_is_back(entry: ClassEntry, kind: OperationKind) -> None:
    world, servers, store = World(), Servers(), MemoryStore()
    world.faults["w/stop"].append(Slow(100))
    async with running(world, entry, store=store, tools=servers) as manager:
        await manager.create(CreateRequest("basic", "db"))
        await (manager.stop_service if kind is OperationKind.STOP else manager.delete)("db", wait=False)
        await until(lambda: world.tools_called("w/stop"))
    world.is_dead = True
    servers.connected["w"] = False
    async with running(world, entry, store=store, tools=servers) as manager:
        await settle(manager)
        back(world, servers)
        await until(lambda: not world.resources, within=30)
        await until(lambda: [view.state for view in manager.views()] in ([ServiceState.STOPPED], []), within=30)
    assert (await store.load()).open_operations == []


@with_and_without_a_look
async def test_a_stop_that_could_not_be_sent_is_carried_out_after_a_restart(entry: ClassEntry) -> None:
    world, servers, store = World(), Servers(), MemoryStore()
    async with running(world, entry, store=store, tools=servers) as manager:
        await manager.create(CreateRequest("basic", "db"))
        await away(world, servers, manager)
    async with running(world, entry, store=store, tools=servers) as manager:
        await settle(manager)
        assert manager.view("db").state is ServiceState.UNREACHABLE
        back(world, servers)
        await until(lambda: manager.view("db").state is ServiceState.STOPPED, within=30)
        assert world.resources == {}


async def test_a_start_takes_back_a_stop_that_could_not_be_sent() -> None:
    world, servers = World(), Servers()
    async with running(world, tools=servers) as manager:
        await manager.create(CreateRequest("basic", "db"))
        await away(world, servers, manager)
        with pytest.raises(OstlerError, match="not connected"):
            await manager.start_service("db")
        back(world, servers)
        await until(lambda: manager.view("db").state is ServiceState.RUNNING, within=30)
        await anyio.sleep(60)
        assert world.tools_called("w/start") == ["w/start"]
        assert len(world.resources) == 1


async def test_a_stop_that_may_have_arrived_is_a_failure() -> None:
    world = World()
    async with running(world, manifest(lifecycleTools__stop__retry={"attempts": 2, "delay": "1s"})) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.faults["w/stop"].extend([Lost(), Down()])
        with pytest.raises(OstlerError, match="not connected"):
            await manager.stop_service("db")
        assert (manager.view("db").state, manager.view("db").reason) == (ServiceState.FAILED, "stop-failed")


class Crowded(World):
    """A ledger of which four calls are under way at once, and one of whose tools takes a second."""

    def __init__(self, slow: str = "w/find") -> None:
        super().__init__()
        self._slow = slow
        self._slots = anyio.Semaphore(4)

    async def call_tool(
        self, tool: str, args: Mapping[str, Any], *, timeout: float | None = None, progress: Any = None
    ) -> ToolResponse:
        with anyio.move_on_after(timeout or 60.0):
            async with self._slots:
                await anyio.sleep(1.0 if tool == self._slow else 0.0)
                return await super().call_tool(tool, args, timeout=timeout, progress=progress)
        raise ToolTimeoutError(f"tool {tool!r} did not answer within {timeout}s")


async def test_many_starts_that_were_cut_off_do_not_time_out_behind_each_other() -> None:
    world, store, after = Crowded(), MemoryStore(), MemoryStore()
    world.faults["w/start"].append(Slow(5))
    async with running(world, store=store) as manager:
        await manager.create(CreateRequest("basic", "db", start=False))
        await manager.start_service("db", wait=False)
        await until(lambda: world.under_way["db"])
        state = await store.load()
    (record,), (begun,) = state.services, state.open_operations
    for number in range(140):
        name = f"db{number}"
        changed = replace(begun, id=name, service_id=name, service_name=name)
        await after.commit([PutService(replace(record, id=name, name=name)), PutOperation(changed)])
    world = Crowded()
    async with running(world, store=after) as manager:
        await settle(manager)
        assert {(view.state, view.reason) for view in manager.views()} == {(ServiceState.RUNNING, "")}
    assert len(world.resources) == len(world.tools_called("w/start")) == 140


async def test_many_stops_that_are_due_do_not_time_out_behind_each_other() -> None:
    world, store, after = Crowded("w/status"), MemoryStore(), MemoryStore()
    async with running(world, manifest(timeout={"delete": "20s"}), store=store) as manager:
        await manager.create(CreateRequest("basic", "db"))
        (record,) = (await store.load()).services
    for number in range(140):
        name = f"db{number}"
        made = (await world.call_tool("w/start", {"name": name})).value
        plan = tuple(replace(call, args=made) for call in record.stop_plan)
        due = replace(record, id=name, name=name, stop_plan=plan, step_outputs={"start": made})
        missed = replace(due, missed_stop=True, desired=DesiredState.STOPPED)
        await after.commit([PutService(missed if number % 2 else replace(due, persist=False))])
    async with running(world, store=after) as manager:
        await settle(manager)
        ended = manager.events.read(kinds=[EventKind.OPERATION_ENDED], limit=1000).events
        assert {event.data["outcome"] for event in ended} == {"succeeded"}
    assert {made["name"] for made in world.resources.values()} == {"db"}


async def test_a_server_that_does_not_answer_holds_up_no_service_of_another() -> None:
    class Silent(World):
        """A ledger, and a server `v` with the same tools, of which only `start` answers."""

        async def call_tool(self, tool: str, args: Mapping[str, Any], **options: Any) -> ToolResponse:
            server, _, name = tool.partition("/")
            if server == "v" and name != "start":
                await anyio.sleep(options.get("timeout") or 60.0)
                raise ToolTimeoutError(f"tool {tool!r} did not answer")
            return await super().call_tool(f"w/{name}", args, **options)

    store = MemoryStore()
    of_v = manifest(BASIC.replace("name: basic", "name: silent").replace("w/", "v/"), lifecycleTools__ready=None)
    async with running(Silent(), manifest(), of_v, store=store) as manager:
        for number in range(100):
            await manager.create(CreateRequest("silent", f"silent{number}"))
        await manager.create(CreateRequest("basic", "db"))
    async with running(Silent(), manifest(), of_v, store=store) as manager:
        await until(lambda: manager.view("db").state is not ServiceState.UNKNOWN, within=5)


@pytest.mark.parametrize("step", ["status", "healthCheck"])
@pytest.mark.parametrize(
    ("outcome", "starts", "shown"),
    [
        (CallOutcome.INTENDED, 0, (ServiceState.STOPPED, "completed")),
        (CallOutcome.ANSWERED, 2, (ServiceState.STOPPED, "completed")),
        (CallOutcome.INTENDED, 1, (ServiceState.UNKNOWN, "unknown-outcome")),
    ],
    ids=["first run", "run that was answered", "maybe an earlier run"],
)
async def test_a_job_that_completed_while_its_start_was_cut_off_is_not_run_again(
    outcome: CallOutcome, starts: int, shown: tuple[ServiceState, str], step: str
) -> None:
    world, store = World(), MemoryStore()
    look = {"tool": "w/status", "args": {"name": "{{ name }}"}, "expect": {"jsonPath": {"state": "running"}}}
    tools: dict[str, Any] = {f"lifecycleTools__{key}": None for key in ("status", "healthCheck", "ready")}
    tools[f"lifecycleTools__{step}"] = look
    job = manifest(completed={"jsonPath": {"state": "done"}}, **tools)
    await crashed_start(world, store, outcome, entry=job)
    [record] = (await store.load()).services
    await store.commit([PutService(replace(record, starts=starts))])
    world.always["w/status"] = Answer({"state": "done"})
    async with running(world, job, store=store) as manager:
        await settle(manager)
        assert (manager.view("db").state, manager.view("db").reason) == shown
        await manager.delete("db", abandon=shown[0] is ServiceState.UNKNOWN)
        assert (manager.views(), world.tools_called("w/start")) == ([], [])
