"""Supervision is never lost: what a bad answer, the end of the server or of a downstream server leaves is settled."""

from collections.abc import Callable
from typing import Any

import anyio
import pytest
from msgspec.structs import replace
from tests.support.world import Answer, Down, Fail, Fault, Hang, Lost, Servers, Slow, World, manifest, running, until

from ostler.adapters.stores.memory import MemoryStore
from ostler.engine.manager import ServiceManager
from ostler.engine.protocols import PutService
from ostler.engine.services.views import CreateRequest
from ostler.model.downstream_errors import BadResponseError, ServerUnavailableError
from ostler.model.errors import OstlerError, StoreError, ToolFailedError
from ostler.model.records import CallOutcome, OperationKind, OperationOutcome
from ostler.model.responses import ToolResponse
from ostler.model.states import DesiredState, HealthStatus, Reachability, ServiceState

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]


class Garbler(World):
    """A world whose status tool answers with an answer that is none, as long as it is asked to."""

    garbles = False

    async def call_tool(
        self, tool: str, args: Any, *, timeout: float | None = None, progress: Any = None
    ) -> ToolResponse:
        if self.garbles and tool == "w/status":
            raise BadResponseError("the answer of w/status does not follow the protocol")
        return await super().call_tool(tool, args, timeout=timeout, progress=progress)


@pytest.mark.parametrize("fault", [Fail("daemon not ready"), Lost(), Hang(), None], ids=repr)
async def test_a_first_look_that_shows_nothing_is_followed_by_others(fault: Fault | None) -> None:
    world, store = Garbler(), MemoryStore()
    entry = manifest(lifecycleTools__find=None, lifecycleTools__healthCheck=None)  # nothing else can tell
    async with running(world, entry, store=store) as manager:
        await manager.create(CreateRequest("basic", "db"))
    if fault is None:
        world.garbles = True
    else:
        world.always["w/status"] = fault
    async with running(world, store=store) as manager:
        await until(lambda: manager.view("db").state is ServiceState.UNREACHABLE)
        assert manager.view("db").error, "the reason is shown"
        await until(manager.recovered.is_set)
        await anyio.sleep(200)
        verified = [each for each in await manager.history("db") if each.kind is OperationKind.VERIFY]
        assert verified
        assert all(each.outcome is not OperationOutcome.SUCCEEDED for each in verified), "nothing was learnt"
        assert len(world.tools_called("w/status")) <= 15, "it backs off"
        world.garbles = False
        world.always.clear()
        await until(lambda: manager.view("db").state is ServiceState.RUNNING, within=100)
        assert len(world.resources) == 1
        await until(lambda: manager.view("db").health is HealthStatus.HEALTHY)


@pytest.mark.parametrize("tool", ["w/status", "w/find"])
@pytest.mark.parametrize("said", ["done", None, {"state": "restarting"}, {"state": "stopping"}], ids=str)
async def test_an_answer_that_proves_nothing_is_no_end_after_a_restart_either(tool: str, said: Any) -> None:
    world, store = World(), MemoryStore()
    look = {"tool": tool, "args": {"name": "{{ name }}"}, "expect": {"jsonPath": {"state": "running"}}}
    if tool == "w/status":
        policy = {"policy": "always", "backoff": {"initial": "1s"}}
        tools: dict[str, Any] = {"lifecycleTools__status": look, "lifecycleTools__find": None, "restartPolicy": policy}
    else:
        tools = {"lifecycleTools__status": None, "lifecycleTools__find": look, "healthCheck": None}
    entry = manifest(lifecycleTools__healthCheck=None, **tools)
    async with running(world, entry, store=store) as manager:
        await manager.create(CreateRequest("basic", "db"))
    world.always[tool] = Answer({"state": "running"})
    world.faults[tool].extend([Answer(said)] * 2)
    world.calls.clear()
    async with running(world, store=store) as manager:
        await until(lambda: manager.view("db").state is not ServiceState.UNKNOWN)
        assert manager.view("db").state is ServiceState.UNREACHABLE
        assert f"{tool[2:]} tool failed" in (manager.view("db").error or "")
        await until(lambda: manager.view("db").state is ServiceState.RUNNING)
        assert world.tools_called("w/start", "w/stop") == []
        assert len(world.resources) == 1


@pytest.mark.parametrize(("said", "ends"), [("odd", True), ("restarting", False), ("removing", False)])
async def test_an_answer_that_goes_on_proving_nothing_is_believed_unless_the_service_comes_or_goes(
    said: str, ends: bool
) -> None:
    world, store = World(), MemoryStore()
    entry = manifest(lifecycleTools__find=None, lifecycleTools__healthCheck=None)
    async with running(world, entry, store=store) as manager:
        await manager.create(CreateRequest("basic", "db"))
    world.always["w/status"] = Answer({"state": said})
    async with running(world, store=store) as manager:
        await until(lambda: manager.view("db").state is ServiceState.UNREACHABLE)
        await anyio.sleep(100)
        assert manager.view("db").state is (ServiceState.STOPPED if ends else ServiceState.UNREACHABLE)
        assert len(world.resources) == 1


async def test_a_policy_acts_on_a_failure_that_the_end_of_the_server_came_after() -> None:
    world, store = World(), MemoryStore()
    entry = manifest(restartPolicy={"policy": "on-failure", "backoff": {"initial": "5s"}})
    async with running(world, entry, store=store) as manager:
        await manager.create(CreateRequest("basic", "db", start=False))
    (stored,) = (await store.load()).services
    failed = replace(stored, state=ServiceState.FAILED, desired=DesiredState.RUNNING)
    await store.commit([PutService(replace(failed, error={"message": "no space", "reason": "start-failed"}))])
    async with running(world, entry, store=store) as manager:
        await until(lambda: manager.view("db").state is ServiceState.RETRYING, within=1)
        await until(lambda: manager.view("db").state is ServiceState.RUNNING)


@pytest.mark.parametrize("is_away", [True, False])
async def test_a_service_that_its_restart_could_not_stop_is_found_running(*, is_away: bool) -> None:
    world = World()
    async with running(world) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.is_dead = is_away
        world.always["w/stop"] = Fail("busy")
        with pytest.raises(OstlerError):
            await manager.restart_service("db")
        assert manager.view("db").state is (ServiceState.RUNNING if is_away else ServiceState.FAILED)
        world.is_dead = False
        await until(lambda: manager.view("db").state is ServiceState.RUNNING, within=60)
        await until(lambda: manager.view("db").health is HealthStatus.HEALTHY and not manager.view("db").error)
        assert (len(world.resources), manager.view("db").error) == (1, None)


@pytest.mark.parametrize("is_gone", [True, False])
async def test_what_a_failed_stop_left_is_looked_for_after_a_restart_too(*, is_gone: bool) -> None:
    world, store = World(), MemoryStore()
    async with running(world, store=store) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.always["w/stop"] = Fail("daemon not ready")
        with pytest.raises(ToolFailedError):
            await manager.stop_service("db")
    world.always.clear()
    if is_gone:
        world.resources.clear()
    async with running(world, store=store) as manager:
        await until(manager.recovered.is_set)
        shown = (ServiceState.STOPPED, "") if is_gone else (ServiceState.FAILED, "stop-failed")
        assert (manager.view("db").state, manager.view("db").reason) == shown
        await manager.stop_service("db")
        assert not world.resources


async def test_what_waited_for_the_look_happens_after_it() -> None:
    world, store = World(), MemoryStore()
    async with running(world, manifest(restartPolicy="always"), store=store) as manager:
        await manager.create(CreateRequest("basic", "db"))
    world.resources.clear()
    world.faults["w/status"].extend([Fail("daemon not ready"), Fail("daemon not ready")])
    async with running(world, store=store) as manager:
        await until(lambda: manager.view("db").state is ServiceState.RUNNING)
        assert len(world.resources) == 1


async def leave(world: World, store: MemoryStore, tool: str, act: Callable[[ServiceManager], Any]) -> None:
    """Begin `act`, and let the server end while `tool` is under way."""
    async with anyio.create_task_group() as group, running(world, store=store) as manager:
        before = len(world.tools_called(tool))

        async def request() -> None:
            try:
                await act(manager)
            except OstlerError as error:
                assert "shutting down" in str(error)  # noqa: PT017 (a stop may end before)

        group.start_soon(request)
        await until(lambda: len(world.tools_called(tool)) > before)


@pytest.mark.parametrize(
    ("kind", "tool"),
    [
        ("create", "w/start"), ("create", "w/status"), ("start", "w/start"), ("start", "w/status"),
        ("stop", "w/stop"), ("delete", "w/stop"),
        ("restart", "w/stop"), ("restart", "w/start"), ("restart", "w/status"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("seconds", [1.0, 15.0])
async def test_an_operation_that_the_end_of_the_server_cuts_off_is_finished_by_the_next(
    kind: str, tool: str, seconds: float
) -> None:
    world, store = World(), MemoryStore()
    if kind != "create":
        async with running(world, store=store) as manager:
            await manager.create(CreateRequest("basic", "db", start=kind != "start"))
    world.faults[tool].append(Slow(seconds))

    async def act(manager: ServiceManager) -> None:
        match kind:
            case "create":
                await manager.create(CreateRequest("basic", "db"))
            case "start":
                await manager.start_service("db")
            case "stop":
                await manager.stop_service("db")
            case "delete":
                await manager.delete("db")
            case _:
                await manager.restart_service("db")

    await leave(world, store, tool, act)
    async with running(world, store=store) as manager:
        await until(manager.recovered.is_set)
        await until(lambda: all(view.operation is None for view in manager.views()))
        if kind == "delete":
            assert manager.views() == []
        else:
            view = manager.view("db")
            wanted = ServiceState.STOPPED if kind == "stop" else ServiceState.RUNNING
            assert (view.state, view.error) == (wanted, None)
        assert len(world.resources) == (0 if kind in ("stop", "delete") else 1)
        assert world.overlaps == []


@pytest.mark.parametrize(("seconds", "ends_after"), [(15.0, 15.0), (100.0, 18.0)])
@pytest.mark.parametrize(("kind", "tool"), [("create", "w/start"), ("create", "w/list"), ("restart", "w/stop")])
async def test_the_end_of_the_server_waits_for_the_answer_of_a_call(
    kind: str, tool: str, seconds: float, ends_after: float
) -> None:
    world, store = World(), MemoryStore()
    post = [{"tool": "w/list"}]
    entry = manifest(lifecycleTools__postStart=post, timeout={"create": "5m", "delete": "5m"})
    if kind == "restart":
        async with running(world, entry, store=store) as manager:
            await manager.create(CreateRequest("basic", "db"))

    async def act(manager: ServiceManager) -> None:
        manager.classes.add(entry)
        if kind == "create":
            await manager.create(CreateRequest("basic", "db"))
        else:
            await manager.restart_service("db")

    world.faults[tool].append(Slow(seconds))
    began = anyio.current_time()
    await leave(world, store, tool, act)
    assert anyio.current_time() - began == pytest.approx(ends_after, abs=1.5)
    stored = await store.load()
    if seconds < 18 and tool == "w/list":  # that was its last step
        assert (stored.open_operations, stored.services[0].state) == ([], ServiceState.RUNNING)
        return
    (cut_off,) = stored.open_operations
    (call,) = [call for call in cut_off.calls if call.tool == tool]
    assert (call.outcome is CallOutcome.ANSWERED) == (seconds < 18)


async def test_a_stop_that_the_end_of_the_server_cuts_off_is_never_shown_as_failed() -> None:
    world, store = World(), MemoryStore()
    async with running(world, manifest(timeout={"delete": "5m"}), store=store) as manager:
        await manager.create(CreateRequest("basic", "db"))
    world.faults["w/stop"].append(Slow(100))
    async with running(world, store=store) as manager:
        await until(manager.recovered.is_set)
        await manager.stop_service("db", wait=False)
        await until(lambda: world.tools_called("w/stop"))
    stored = await store.load()
    assert [cut_off.kind for cut_off in stored.open_operations] == [OperationKind.STOP]
    assert not [event for event in stored.events if "failed" in event.message]


async def test_a_start_that_fails_while_a_retry_waits_does_not_lose_the_retry() -> None:
    world = World()
    entry = manifest(restartPolicy={"policy": "always", "backoff": {"initial": "30s"}})
    async with running(world, entry) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.resources.clear()
        await until(lambda: manager.view("db").state is ServiceState.RETRYING)
        world.die()
        with pytest.raises(OstlerError):
            await manager.start_service("db")
        world.is_dead = False
        await until(lambda: manager.view("db").state is ServiceState.RUNNING)
        assert len(world.resources) == 1


@pytest.mark.parametrize("acts", [True, False])
@pytest.mark.parametrize("kind", ["stop", "delete", "restart"])
async def test_a_stop_that_the_death_of_the_driving_server_cuts_off_is_looked_into(kind: str, acts: bool) -> None:
    world = World()
    async with running(world) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.faults["w/stop"].append(Lost(acts=acts))
        match kind:
            case "stop":
                await manager.stop_service("db")
                assert manager.view("db").state is ServiceState.STOPPED
            case "delete":
                await manager.delete("db")
                assert manager.views() == []
            case _:
                await manager.restart_service("db")
                assert manager.view("db").state is ServiceState.RUNNING
        assert len(world.resources) == (1 if kind == "restart" else 0)


async def test_such_a_stop_waits_for_the_server_to_be_back() -> None:
    world = World()
    async with running(world) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.faults["w/stop"].append(Slow(5))
        async with anyio.create_task_group() as group:
            group.start_soon(manager.stop_service, "db")
            await until(lambda: world.tools_called("w/stop"))
            world.die()
            await anyio.sleep(10)
            world.is_dead = False
        assert (manager.view("db").state, world.resources) == (ServiceState.STOPPED, {})


@pytest.mark.parametrize(("policy", "ends"), [("retry", ServiceState.STOPPED), ("hold", ServiceState.FAILED)])
async def test_where_nothing_can_look_the_class_decides_about_such_a_stop(policy: str, ends: ServiceState) -> None:
    world = World()
    entry = manifest(
        lifecycleTools__status=None,
        lifecycleTools__find=None,
        lifecycleTools__healthCheck=None,
        healthCheck=None,
        onUnknown=policy,
    )
    async with running(world, entry) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.faults["w/stop"].append(Lost(acts=False))
        if policy == "retry":
            await manager.stop_service("db")
        else:
            with pytest.raises(OstlerError):
                await manager.stop_service("db")
        view = manager.view("db")
        assert (view.state, view.desired) == (ends, DesiredState.STOPPED)
        assert view.health is not HealthStatus.HEALTHY


async def test_the_age_of_the_health_goes_on_while_the_driving_server_is_away() -> None:
    world = World()
    async with running(world) as manager:
        await manager.create(CreateRequest("basic", "db"))
        await until(lambda: manager.view("db").health is HealthStatus.HEALTHY)
        checked_at = manager.view("db").checked_at
        world.die()
        await anyio.sleep(60)
        assert manager.view("db").checked_at == checked_at
        assert "not connected" in manager.view("db").evidence


CANNOT_ASK = Answer("Failed to connect to the daemon at 127.0.0.1:9001: [Errno 111] Connection refused")
BY_TEXT = {"tool": "w/status", "args": {"name": "{{ name }}"}, "expect": {"contains": "running"}}


@pytest.mark.parametrize("looks", ["status", "find", "batch"])
async def test_a_sentence_that_nothing_could_be_asked_is_no_proof_of_an_end(looks: str) -> None:
    world, store = World(), MemoryStore()
    tools: dict[str, Any] = {
        "status": {"lifecycleTools__status": BY_TEXT, "lifecycleTools__find": None},
        "find": {"lifecycleTools__status": None, "lifecycleTools__find": BY_TEXT},
        "batch": {
            "lifecycleTools__find": None,
            "lifecycleTools__status": {"tool": "w/list", "batch": {"items": "items", "match": {"name": "{{ name }}"}}},
        },
    }[looks]
    if looks == "find":
        tools["healthCheck"] = None
    entry = manifest(lifecycleTools__healthCheck=None, lifecycleTools__ready=None, **tools)
    async with running(world, entry, store=store) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.always |= {"w/status": CANNOT_ASK, "w/list": CANNOT_ASK}
        await anyio.sleep(200)
        assert manager.view("db").state is ServiceState.RUNNING
        if looks != "find":
            assert manager.view("db").health is HealthStatus.UNHEALTHY
    async with running(world, entry, store=store) as manager:
        await until(lambda: manager.view("db").state is ServiceState.UNREACHABLE)
        assert "Failed to connect to the daemon" in str(manager.view("db").error)
        world.always.clear()
        await until(lambda: manager.view("db").state is ServiceState.RUNNING)
        assert len(world.resources) == 1


async def test_a_stop_that_says_that_nothing_could_be_asked_has_not_stopped() -> None:
    world = World()
    looks: dict[str, Any] = {f"lifecycleTools__{step}": None for step in ("status", "find", "ready", "healthCheck")}
    async with running(world, manifest(**looks, healthCheck=None)) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.faults["w/stop"].append(CANNOT_ASK)
        with pytest.raises(ToolFailedError, match="stop tool failed: Failed to connect to the daemon"):
            await manager.stop_service("db")
        assert len(world.resources) == 1
        await manager.stop_service("db")
        assert (manager.view("db").state, world.resources) == (ServiceState.STOPPED, {})


async def test_a_stop_whose_end_no_one_can_look_at_is_awaited() -> None:
    world = World()
    async with running(world, manifest(lifecycleTools__find=None)) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.lingers = 5.0
        world.faults["w/status"].extend([CANNOT_ASK] * 2)
        await manager.stop_service("db")
        assert world.resources == {}


@pytest.mark.parametrize("is_there", [True, False])
@pytest.mark.parametrize("restarts", [True, False])
async def test_a_delete_that_could_not_be_sent_happens_as_a_delete(is_there: bool, restarts: bool) -> None:
    world, store = World(), MemoryStore()

    async def settled(manager: ServiceManager) -> None:
        if not is_there:
            world.forget()
        world.is_dead = False
        await until(lambda: manager.views() == [], within=200)
        assert world.resources == {}

    async with running(world, store=store) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.is_dead = True
        with pytest.raises(OstlerError, match="deleted automatically when the server is back"):
            await manager.delete("db")
        if not restarts:
            await settled(manager)
    if restarts:
        async with running(world, store=store) as manager:
            await settled(manager)


async def test_a_stop_cancels_the_delete_that_was_promised() -> None:
    world = World()
    async with running(world) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.is_dead = True
        for act in (manager.delete, manager.stop_service):
            with pytest.raises(OstlerError):
                await act("db")
        world.is_dead = False
        await until(lambda: manager.view("db").state is ServiceState.STOPPED, within=200)
        await anyio.sleep(200)
        assert manager.view("db").state is ServiceState.STOPPED


@pytest.mark.parametrize("acts", [True, False])
async def test_a_stop_whose_call_had_no_answer_in_time_is_looked_into(acts: bool) -> None:
    world = World()
    stop = {"tool": "w/stop", "args": {"id": "{{ start.id }}"}, "timeout": "5s"}
    async with running(world, manifest(lifecycleTools__stop=stop)) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.faults["w/stop"].append(Hang(acts=acts))
        await manager.stop_service("db")
        assert (manager.view("db").state, world.resources) == (ServiceState.STOPPED, {})
        assert len(world.tools_called("w/stop")) == (1 if acts else 2)


async def test_a_stop_that_never_has_an_answer_is_sent_a_few_times_and_fails() -> None:
    world = World()
    stop = {"tool": "w/stop", "args": {"id": "{{ start.id }}"}, "timeout": "1s"}
    async with running(world, manifest(lifecycleTools__stop=stop)) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.always["w/stop"] = Hang()
        with pytest.raises(OstlerError, match="did not answer"):
            await manager.stop_service("db")
        assert manager.view("db").state is ServiceState.FAILED
        assert len(world.tools_called("w/stop")) == 3


class LeasedStore(MemoryStore):
    """A store whose hold can become uncertain, as after a pause of the process."""

    is_uncertain = False

    def confirm(self) -> None:
        if self.is_uncertain:
            raise StoreError("it is not certain that this server still holds the store; nothing was sent")


async def test_nothing_is_sent_when_another_server_may_have_taken_over() -> None:
    world, store = World(), LeasedStore()
    async with running(world, store=store) as manager:
        await manager.create(CreateRequest("basic", "db"))
        before = world.tools_called("w/start", "w/stop")
        store.is_uncertain = True
        for asked in (
            manager.create(CreateRequest("basic", "other")),
            manager.restart_service("db"),
            manager.stop_service("db"),
            manager.delete("db"),
        ):
            with pytest.raises(StoreError, match="nothing was sent"):
                await asked
        assert world.tools_called("w/start", "w/stop") == before
        assert all(not each.calls for each in await manager.history("db", 3)), "no call is left that may have acted"
        assert manager.view("db").state.is_up
        store.is_uncertain = False
        await manager.stop_service("db")
        assert world.resources == {}


@pytest.mark.parametrize("lost", [True, False])
async def test_what_only_find_can_show_is_looked_for_when_its_server_is_back(lost: bool) -> None:
    world, servers = World(), Servers()
    entry = manifest(lifecycleTools__status=None, lifecycleTools__healthCheck=None, healthCheck=None)
    async with running(world, entry, tools=servers) as manager:
        await manager.create(CreateRequest("basic", "db"))
        assert manager.view("db").health is HealthStatus.HEALTHY
        if lost:
            world.resources.clear()
        servers.set("w", connected=False)
        assert manager.view("db").health is HealthStatus.UNKNOWN
        world.faults["w/find"].append(Fail("not ready yet"))
        servers.set("w", connected=True)
        await until(lambda: manager.view("db").health is not HealthStatus.UNKNOWN or not manager.view("db").state.is_up)
        view = manager.view("db")
        if lost:
            assert (view.state.is_up, view.reason) == (False, "gone")
        else:
            assert (view.state, view.health) == (ServiceState.RUNNING, HealthStatus.HEALTHY)
        looks = len(world.tools_called("w/find"))
        await anyio.sleep(600)
        assert len(world.tools_called("w/find")) == looks, "what is known is not asked for again"


@pytest.mark.parametrize(("tool", "operation"), [("w/stop", "stop"), ("w/start", "restart")])
async def test_what_is_lost_each_time_is_repeated_with_pauses_and_not_for_longer_than_it_may_take(
    tool: str, operation: str
) -> None:
    world = World()
    async with running(world) as manager:
        await manager.create(CreateRequest("basic", "db"))
        before = len(world.tools_called(tool))
        world.faults[tool].extend([Lost()] * 1000)
        with pytest.raises(OstlerError):
            await (manager.stop_service("db") if operation == "stop" else manager.restart_service("db"))
        assert 20 < len(world.tools_called(tool)) - before < 250


@pytest.mark.parametrize("was_up", [True, False])
async def test_a_restart_whose_server_is_away_leaves_the_service_as_it_was(was_up: bool) -> None:
    world, servers = World(), Servers()
    servers.outlives = True
    async with running(world, manifest(lifecycleTools__restart=None), tools=servers) as manager:
        await manager.create(CreateRequest("basic", "db"))
        if not was_up:
            world.always["w/stop"] = Fail("it is busy")
            with pytest.raises(OstlerError):
                await manager.stop_service("db")
            del world.always["w/stop"]
        before = manager.view("db")
        servers.set("w", connected=False)
        for tool in ("w/stop", "w/status", "w/find"):
            world.always[tool] = Down()
        with pytest.raises(ServerUnavailableError) as refused:
            await manager.restart_service("db")
        words = str(refused.value)
        assert "the stop tool of service 'db' was not called" in words
        assert "service_restart db again when the server is back" in words
        view = manager.view("db")
        assert (view.state, view.reason, view.health) == (before.state, before.reason, before.health)
        assert view.reachability is Reachability.UNREACHABLE
        world.always.clear()
        servers.set("w", connected=True)
        await manager.restart_service("db")
        assert manager.view("db").state is ServiceState.RUNNING
        assert len(world.resources) == 1, "what ran was stopped first"
