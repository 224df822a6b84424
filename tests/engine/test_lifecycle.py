"""Starting, stopping, restarting and deleting one service through the ServiceManager."""

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

import anyio
import pytest
from tests.support.world import (
    BASIC,
    EPOCH,
    Answer,
    Down,
    Fail,
    Hang,
    Lost,
    Servers,
    Slow,
    World,
    manifest,
    running,
    until,
)

from ostler.adapters.downstream.slots import CallSlots, TimeLimit
from ostler.adapters.stores.memory import MemoryStore
from ostler.engine.insight.explanation import explain
from ostler.engine.instances.instance import instances_in
from ostler.engine.protocols import ToolInfo
from ostler.engine.services.views import CreateRequest
from ostler.model.errors import (
    AlreadyExistsError,
    ArgumentError,
    ClassUnavailableError,
    ConflictError,
    ManifestError,
    NotFoundError,
    OperationError,
    OperationTimeoutError,
    OstlerError,
    SupersededError,
    TemplateError,
    ToolFailedError,
)
from ostler.model.events import EventKind
from ostler.model.json import JsonObject
from ostler.model.responses import ToolResponse
from ostler.model.servers import MASK, ServerEntry, ServerOptions
from ostler.model.states import HealthStatus, ServiceState

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]


async def test_create_starts_waits_until_ready_and_gives_outputs() -> None:
    world = World(ready_after=3)
    async with running(world) as manager:
        result = await manager.create(CreateRequest("basic", "db", {"size": 5}))
        assert result.finished
        assert result.changed
        assert result.service.state is ServiceState.RUNNING
        assert result.service.outputs == {"url": "ledger://r1/5"}
        assert world.resources["r1"]["size"] == 5, "the integer kept its type through the template"
        assert world.tools_called("w/status").count("w/status") == 4
        await manager.stop_service("db")
        assert world.resources == {}
        assert manager.get_service_state("db") is ServiceState.STOPPED


class OneAtATime(World):
    """A server of which the pool makes one call after the other."""

    _slots = CallSlots(ServerEntry(name="w", transport="stdio", options=ServerOptions(concurrency=1)))

    async def call_tool(
        self, tool: str, args: Mapping[str, Any], *, timeout: float | None = None, progress: Any = None
    ) -> ToolResponse:
        assert timeout is not None
        limit = TimeLimit(timeout, anyio.current_time() + timeout)
        held, limit = await self._slots.take(ToolInfo("w", tool, "", {}), limit)
        try:
            with anyio.fail_after(limit.deadline - anyio.current_time()):
                return await super().call_tool(tool, args, timeout=timeout, progress=progress)
        finally:
            self._slots.release(held)


async def test_a_wait_for_other_calls_to_the_server_is_not_counted() -> None:
    world = OneAtATime(always={"w/start": Slow(40), "w/stop": Slow(20)})
    limits = {"create": "60s", "delete": "30s", "restart": "90s"}
    async with running(world, manifest(timeout=limits, healthCheck__initialDelay="1h")) as manager:
        names = ("a", "b", "c", "d")
        for name in names:
            await manager.create(CreateRequest("basic", name), wait=False)
        services = instances_in(manager.registry)
        await until(lambda: len(world.calls) == 2)
        began = anyio.current_time()
        with pytest.raises(OstlerError, match="'w/.*' was not sent within 10 s"):
            await services[0].is_alive()
        assert anyio.current_time() - began <= 11, "no one waits for a look longer than it may take"
        await until(lambda: len(world.calls) == len(names))
        last = services[3].operation
        assert last is not None
        assert last.record.calls[0].sent_at - EPOCH >= timedelta(seconds=119), "when a crash must be looked into"
        await until(lambda: services[3].state is ServiceState.RUNNING)
        for bring, state in (
            (manager.restart_service, ServiceState.RUNNING),
            (manager.stop_service, ServiceState.STOPPED),
        ):
            async with anyio.create_task_group() as tasks:
                for name in names:
                    tasks.start_soon(bring, name)
            assert {service.state for service in services} == {state}


async def test_a_start_that_is_cancelled_while_it_waits_for_other_calls_was_not_sent() -> None:
    world = OneAtATime(seconds={"long": 50})
    blind = manifest(lifecycleTools__find=None, lifecycleTools__status=None, healthCheck__initialDelay="1h")
    async with running(world, blind) as manager:
        await manager.create(CreateRequest("basic", "long"), wait=False)
        await until(lambda: len(world.calls) == 1)
        await manager.create(CreateRequest("basic", "next"), wait=False)
        [_, queued] = instances_in(manager.registry)
        await until(lambda: queued.operation is not None and queued.operation.record.calls)
        start, asked = queued.operation, anyio.current_time()
        await manager.stop_service("next")
        assert anyio.current_time() - asked < 1, "there is no answer to wait for"
        assert start is not None
        with pytest.raises(OstlerError, match="start of service 'next' was cancelled: a stop was requested"):
            await start.wait()
        assert manager.get_service_state("next") is ServiceState.STOPPED, "nothing of it is in doubt"
        assert world.tools_called() == ["w/start"]


async def test_a_health_check_that_waits_for_other_calls_to_the_server_is_no_result() -> None:
    world = OneAtATime(seconds={"long": 50})
    often = {"interval": "5s", "timeout": "2s", "failureThreshold": 1}
    async with running(world, manifest(healthCheck=often)) as manager:
        await manager.create(CreateRequest("basic", "well"))
        [well] = instances_in(manager.registry)
        await until(lambda: well.health is HealthStatus.HEALTHY)
        before = manager.events.last_cursor
        await manager.create(CreateRequest("basic", "long"), wait=False)
        await until(lambda: "was not sent within 2 s" in well.vitals.evidence)
        long_ago = well.vitals.checked_at
        await until(lambda: manager.get_service_state("long") is ServiceState.RUNNING)
        assert not manager.events.read(since=before, service="well", kinds=[EventKind.HEALTH_CHANGED]).events
        await until(lambda: well.vitals.checked_at != long_ago)
        assert well.health is HealthStatus.HEALTHY


class Noticing(OneAtATime):
    """A server that reports a change of another service as soon as a start is sent, as the process server may."""

    on_start: Callable[[], None] | None = None

    async def call_tool(
        self, tool: str, args: Mapping[str, Any], *, timeout: float | None = None, progress: Any = None
    ) -> ToolResponse:
        if tool == "w/start" and self.on_start is not None:
            self.on_start()
        return await super().call_tool(tool, args, timeout=timeout, progress=progress)


async def test_a_check_that_the_start_of_another_service_brings_about_has_its_own_limit() -> None:
    world = Noticing(seconds={"long": 50})
    rarely = {"interval": "1h", "timeout": "2s", "failureThreshold": 1}
    async with running(world, manifest(healthCheck=rarely)) as manager:
        await manager.create(CreateRequest("basic", "well"))
        [well] = instances_in(manager.registry)
        await until(lambda: well.health is HealthStatus.HEALTHY)
        world.on_start = lambda: manager.recheck("w", {"name": "well"})
        await manager.create(CreateRequest("basic", "long"))
        assert "was not sent within 2 s" in well.vitals.evidence


async def test_outputs_of_the_ready_check_are_there_afterwards() -> None:
    world = World(ready_after=3)
    changed = manifest(
        lifecycleTools__ready__outputs={"seen": {"path": "state", "secret": True}},
        lifecycleTools__postStart=[{"tool": "w/health", "args": {"name": "{{ name }}", "saw": "{{ ready.seen }}"}}],
        outputs={"seen": {"template": "it is {{ ready.seen }}", "secret": True}},
    )
    async with running(world, changed) as manager:
        result = await manager.create(CreateRequest("basic", "db"))
        assert ("w/health", {"name": "db", "saw": "running"}) in world.calls
        assert manager.reveal("db")[1] == {"seen": "it is running"}
        assert "running" not in str(result.service.outputs)


def test_outputs_of_the_ready_check_are_not_sure_where_it_may_not_have_run() -> None:
    with pytest.raises(ManifestError, match=r"'ready\.seen' is only there after ready has run"):
        manifest(
            lifecycleTools__ready__outputs={"seen": "state"}, lifecycleTools__stop__args={"id": "{{ ready.seen }}"}
        )


async def test_states_are_seen_in_order() -> None:
    world = World()
    seen: list[tuple[str, str]] = []
    last_came = threading.Event()

    def note(_name: str, old: str, new: str, _health: str, _error: BaseException | None) -> None:
        seen.append((old, new))
        if (old, new) == ("stopping", "stopped"):
            last_came.set()

    async with running(world) as manager:
        await manager.create(CreateRequest("basic", "db", start=False))
        manager.registry.get("db").on_state_change(note)
        await manager.start_service("db")
        await manager.stop_service("db")
    assert last_came.wait(30)
    states = [pair for pair in seen if pair[0] != pair[1]]
    assert states == [
        ("stopped", "starting"),
        ("starting", "running"),
        ("running", "stopping"),
        ("stopping", "stopped"),
    ]


async def test_a_failed_start_tool_is_told_and_the_service_is_not_created() -> None:
    world = World()
    world.faults["w/start"].append(Fail("image not found"))
    async with running(world) as manager:
        with pytest.raises(ToolFailedError, match="start tool failed: image not found") as caught:
            await manager.create(CreateRequest("basic", "db"))
        assert caught.value.service == "db"
        assert caught.value.step == "start"
        assert caught.value.tool == "w/start"
        assert "db" not in manager.registry


@pytest.mark.parametrize(
    ("stop", "said"),
    [
        (Fail("busy"), "it is there all the same, and its cleanup failed: stop tool failed: busy"),
        (Hang(), "its cleanup did not end within 30s: it may still be there"),
    ],
    ids=["refused", "silent"],
)
async def test_what_a_failed_start_left_and_no_cleanup_removes_is_kept(stop: Fail | Hang, said: str) -> None:
    world = World()
    world.faults["w/start"].append(Fail("the daemon is not ready", acts=True))
    world.always["w/stop"] = stop
    async with running(world) as manager:
        with pytest.raises(ToolFailedError, match=said) as caught:
            await manager.create(CreateRequest("basic", "db"))
        assert "service_stop db tries the cleanup again" in caught.value.next_actions
        assert manager.view("db").state is ServiceState.FAILED
        world.always.clear()
        await manager.delete("db")
        assert world.resources == {}


@pytest.mark.parametrize(("acts", "restarts"), [(True, False), (False, False), (True, True)])
async def test_what_a_failed_start_left_is_looked_for_until_find_shows_it(*, acts: bool, restarts: bool) -> None:
    world, store = World(), MemoryStore()
    world.faults["w/start"].append(Fail("the daemon is not ready", acts=acts))
    world.faults["w/find"] += [Fail("the daemon is not ready")] * 4
    async with running(world, store=store) as manager:
        with pytest.raises(ToolFailedError, match="whether the failed start left something; it is looked for again"):
            await manager.create(CreateRequest("basic", "db"))
        assert (manager.view("db").state, manager.view("db").reason) == (ServiceState.FAILED, "start-unseen")
        found = explain(manager.registry.get("db"), manager.registry, None, [])
        assert [call.tool for call in found.next_calls] == ["service_delete", "service_start"]
        if not restarts:
            await until(lambda: manager.view("db").reason == "start-failed")
    async with running(world, store=store) as manager:
        await until(lambda: manager.view("db").reason == "start-failed")
        assert world.resources == {}
        said = "had left something: cleaned up with w/stop" if acts else "left nothing"
        assert f"it was looked for since: its failed start {said}" in str(manager.view("db").error)
        assert str(manager.view("db").error).endswith("Next: correct the cause, then service_start db")
        await manager.start_service("db")
        await manager.delete("db")
    assert len(world.tools_called("w/start")) == 2
    assert world.resources == {}


async def test_what_is_added_to_the_end_of_a_log_is_on_a_line_of_its_own() -> None:
    world = World()
    world.faults["w/start"].append(Fail("it exited. Last log lines:\none\ntwo"))
    async with running(world) as manager:
        with pytest.raises(ToolFailedError) as caught:
            await manager.create(CreateRequest("basic", "db"))
        *log, last = str(caught.value).splitlines()[1:]
        assert log == ["one", "two", ""]
        assert last == (
            "Nothing was left to clean up; service 'db' was not created (step 'start', tool 'w/start'). "
            "Next: correct the cause, then create it again"
        )
        world.always["w/stop"] = Fail("one\ntwo")
        await manager.create(CreateRequest("basic", "db"))
        with pytest.raises(ToolFailedError) as caught:
            await manager.stop_service("db")
        *log, last = str(caught.value).splitlines()[1:]
        assert log == ["two", ""]
        assert last.startswith("(service 'db', step 'stop', tool 'w/stop')")
        world.always.clear()
        await manager.delete("db")


async def test_a_find_that_fails_once_is_asked_again_before_a_failed_create_is_forgotten() -> None:
    world = World()
    world.faults["w/start"].append(Fail("the daemon is not ready", acts=True))
    world.faults["w/find"].append(Fail("the daemon is not ready"))
    async with running(world) as manager:
        with pytest.raises(ToolFailedError, match="cleaned up with w/stop; service 'db' was not created"):
            await manager.create(CreateRequest("basic", "db"))
        assert "db" not in manager.registry
    assert world.resources == {}


@pytest.mark.parametrize("ask", ["start", "delete"])
async def test_a_find_that_never_says_needs_no_person(ask: str) -> None:
    world = World()
    world.faults["w/start"].append(Fail("bad name"))
    world.always["w/find"] = Fail("no such thing")
    async with running(world) as manager:
        with pytest.raises(ToolFailedError, match="bad name"):
            await manager.create(CreateRequest("basic", "db"))
        if ask == "start":
            await manager.start_service("db")
            assert manager.view("db").state is ServiceState.RUNNING
        else:
            await manager.delete("db")
            assert "db" not in manager.registry


async def test_a_start_that_never_gets_ready_is_cleaned_up_at_the_create_timeout() -> None:
    world = World(ready_after=1000)
    async with running(world) as manager:
        with pytest.raises(OperationTimeoutError, match=r"1m \(timeout.create\).*booting.*cleaned up with w/stop"):
            await manager.create(CreateRequest("basic", "db"))
        assert world.resources == {}
        assert "db" not in manager.registry


async def test_a_start_whose_answer_is_lost_is_found_and_stopped() -> None:
    world = World()
    world.faults["w/start"].append(Lost(acts=True))
    async with running(world) as manager:
        with pytest.raises(OstlerError, match="cleaned up with w/stop") as failure:
            await manager.create(CreateRequest("basic", "db"))
        assert failure.value.next_actions == ("correct the cause, then create it again",), "there is nothing to check"
        assert world.resources == {}


async def test_a_start_that_hangs_and_acts_is_found_and_stopped() -> None:
    world = World()
    world.faults["w/start"].append(Hang(acts=True))
    async with running(world) as manager:
        with pytest.raises(OstlerError, match="w/start"):
            await manager.create(CreateRequest("basic", "db"))
        assert world.resources == {}


async def test_what_cannot_be_found_is_kept_and_named() -> None:
    world = World()
    world.faults["w/start"].append(Lost(acts=True))
    entry = manifest(lifecycleTools__find=None)
    async with running(world, entry) as manager:
        with pytest.raises(OstlerError, match="could not be found.*kept as failed"):
            await manager.create(CreateRequest("basic", "db"))
        view = manager.view("db")
        assert view.state is ServiceState.FAILED
        assert view.reason == "unknown-outcome"
        with pytest.raises(OstlerError, match="abandon"):
            await manager.delete("db")
        await manager.delete("db", abandon=True)
        assert "db" not in manager.registry


async def test_an_output_that_is_not_in_the_answer_is_an_error_and_the_resource_is_stopped() -> None:
    world = World()
    entry = manifest(lifecycleTools__start__outputs={"id": "identifier"})
    async with running(world, entry) as manager:
        with pytest.raises(OstlerError, match="identifier"):
            await manager.create(CreateRequest("basic", "db"))


async def test_equal_requests_join_the_running_one() -> None:
    world = World(ready_after=5)
    async with running(world) as manager:
        await manager.create(CreateRequest("basic", "db", start=False))
        results: list[str] = []

        async def start() -> None:
            results.append((await manager.start_service("db")).operation_id)

        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(start)
        assert len(set(results)) == 1
        assert world.tools_called("w/start") == ["w/start"]


async def test_stop_during_start_cancels_it_and_stops_what_was_started() -> None:
    world = World(ready_after=1000)
    async with running(world) as manager:
        await manager.create(CreateRequest("basic", "db"), wait=False)
        await until(lambda: world.resources)
        starting = manager.registry.get("db")
        result = await manager.stop_service("db")
        assert result.service.state is ServiceState.STOPPED
        assert world.resources == {}
        assert starting.state is ServiceState.STOPPED


@pytest.mark.parametrize("then", ["start", "restart", "delete"])
@pytest.mark.parametrize("trouble", ["slow", "away", "failed before"])
async def test_the_cleanup_of_a_cancelled_start_is_not_cut_short(then: str, trouble: str) -> None:
    world, servers = World(ready_after=1000), Servers()
    seconds = 12
    async with running(world, tools=servers) as manager:
        await manager.create(CreateRequest("basic", "db", start=False))
        if trouble == "failed before":
            world.faults["w/status"].extend([Fail(), Down()])
        await manager.start_service("db", wait=False)
        await until(lambda: world.tools_called("w/status"))
        world.faults["w/stop"].append(Slow(seconds))
        if trouble == "away":
            world.is_dead = servers.connected["w"] = False
            world.always |= {"w/stop": Down(), "w/find": Down()}
        if trouble == "failed before":
            await until(lambda: world.tools_called("w/stop"))
        await manager.stop_service("db", wait=False)
        await anyio.sleep(1)
        world.ready_after = 0
        operation = manager.delete if then == "delete" else getattr(manager, f"{then}_service")
        asked = anyio.Event()

        async def ask() -> None:
            with suppress(OstlerError):
                await operation("db")
            asked.set()

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            await anyio.sleep(seconds)
            world.always.clear()
            servers.set("w", connected=True)
            await asked.wait()
        await until(lambda: not manager.views() or manager.view("db").state.is_up, within=60)
        assert len(world.resources) == int(then != "delete")
        assert world.overlaps == []
        kinds = [EventKind.OPERATION_ENDED]
        ends = [event.message for event in manager.events.read(service="db", kinds=kinds).events]
        assert not any("internal error" in each for each in ends)
        if trouble != "away":
            assert world.tools_called("w/stop") == ["w/stop"]


async def test_abandoning_a_service_does_not_wait_for_the_cleanup_of_its_start() -> None:
    world = World(ready_after=1000)
    async with running(world, manifest(timeout={"create": "60s", "delete": "10m"})) as manager:
        await manager.create(CreateRequest("basic", "db"), wait=False)
        await until(lambda: world.tools_called("w/status"))
        world.faults["w/stop"].append(Slow(500))
        await manager.stop_service("db", wait=False)
        await anyio.sleep(20)
        assert manager.view("db").operation is not None, "its cleanup goes on"
        began = anyio.current_time()
        await manager.delete("db", abandon=True)
        assert anyio.current_time() - began < 10
        assert manager.views() == []


async def test_the_cancelled_start_tells_its_waiter() -> None:
    world = World(ready_after=1000)
    async with running(world) as manager, anyio.create_task_group() as group:
        await manager.create(CreateRequest("basic", "db", start=False))

        async def start() -> None:
            with pytest.raises(SupersededError, match="a stop was requested"):
                await manager.start_service("db")

        group.start_soon(start)
        await until(lambda: world.resources)
        await manager.stop_service("db")


async def test_stop_during_a_slow_start_call_waits_for_the_answer_that_names_the_resource() -> None:
    world = World()
    world.faults["w/start"].append(Slow(3))
    entry = manifest(lifecycleTools__find=None)
    async with running(world, entry) as manager:
        await manager.create(CreateRequest("basic", "db"), wait=False)
        await until(lambda: world.calls)
        await manager.stop_service("db")
        assert world.resources == {}
        assert world.tools_called("w/start", "w/stop") == ["w/start", "w/stop"]


async def test_start_and_stop_say_when_nothing_is_to_be_done() -> None:
    async with running(World()) as manager:
        await manager.create(CreateRequest("basic", "db"))
        again = await manager.start_service("db")
        assert not again.changed
        assert "already running" in again.message
        await manager.stop_service("db")
        again = await manager.stop_service("db")
        assert not again.changed
        assert "already stopped" in again.message


async def test_create_is_idempotent_for_the_same_args_and_refuses_others() -> None:
    world = World()
    async with running(world) as manager:
        await manager.create(CreateRequest("basic", "db", {"size": 2}))
        again = await manager.create(CreateRequest("basic", "db", {"size": 2}))
        assert not again.changed
        assert world.tools_called("w/start") == ["w/start"]
        with pytest.raises(AlreadyExistsError, match="already exists"):
            await manager.create(CreateRequest("basic", "db", {"size": 3}))
        await manager.create(CreateRequest("basic", "web", {"size": 1}, idempotency_key="k1"))
        with pytest.raises(ConflictError, match="k1"):
            await manager.create(CreateRequest("basic", "web2", {"size": 9}, idempotency_key="k1"))


async def test_all_problems_of_a_create_come_in_one_answer() -> None:
    world = World()
    async with running(world) as manager:
        with pytest.raises(ArgumentError) as caught:
            await manager.create(CreateRequest("basic", "Not A Name", {"size": "big", "colour": "red"}))
        text = str(caught.value)
        assert "arg validation failed: " in text
        assert "invalid type for argument 'size'" in text
        assert "unknown argument 'colour'" in text
        assert "Not A Name" in text
        with pytest.raises(NotFoundError, match=r"'basics' not found; did you mean 'basic'"):
            await manager.create(CreateRequest("basics"))
        assert world.calls == []


async def test_a_failed_stop_keeps_the_service_until_forced() -> None:
    world = World()
    async with running(world) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.always["w/stop"] = Fail("permission denied")
        with pytest.raises(ToolFailedError, match="stop tool failed: permission denied"):
            await manager.delete("db")
        assert manager.get_service_state("db") is ServiceState.FAILED
        result = await manager.delete("db", force=True)
        assert "although stopping it failed" in result.message
        assert "db" not in manager.registry


async def test_a_stop_tool_that_fails_because_it_is_gone_already_is_a_stop() -> None:
    world = World()
    async with running(world) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.resources.clear()
        result = await manager.stop_service("db")
        assert result.service.state is ServiceState.STOPPED
        assert "already gone" in result.message


async def test_the_stop_plan_is_pinned_when_the_class_changes() -> None:
    world = World()
    async with running(world) as manager:
        await manager.create(CreateRequest("basic", "db"))
        manager.classes.replace([])
        await manager.delete("db")
        assert world.resources == {}


async def test_restart_without_a_restart_tool_stops_and_starts() -> None:
    world = World()
    async with running(world) as manager:
        await manager.create(CreateRequest("basic", "db"))
        result = await manager.restart_service("db")
        assert world.tools_called("w/start", "w/stop") == ["w/start", "w/stop", "w/start"]
        assert result.service.outputs == {"url": "ledger://r2/1"}
        assert result.service.restarts == 1


async def test_a_restart_stops_nothing_for_a_start_that_is_known_to_fail() -> None:
    world, servers = World(), Servers()
    refusals: list[OstlerError] = []

    async def foresight(tool: str, args: JsonObject) -> OstlerError | None:
        assert (tool, args["name"]) == ("w/start", "db")
        return refusals.pop() if refusals else None

    async with running(world, tools=servers, foresight=foresight) as manager:
        await manager.create(CreateRequest("basic", "db"))
        refusals.append(OperationError("its disk is away"))
        with pytest.raises(OperationError, match="disk is away; so it was not stopped, and runs on"):
            await manager.restart_service("db")
        servers.connected.clear()  # its entry is in no configuration any more
        with pytest.raises(ClassUnavailableError, match="w/start"):
            await manager.restart_service("db")
        assert manager.view("db").state is ServiceState.RUNNING
        assert world.tools_called("w/start", "w/stop") == ["w/start"]
        servers.connected["w"] = True
        await manager.restart_service("db")
        assert world.tools_called("w/start", "w/stop") == ["w/start", "w/stop", "w/start"]


async def test_a_replacement_that_could_not_be_stopped_stops_nothing_though_its_start_names_what_it_needs() -> None:
    world = World()
    named = manifest(
        BASIC.replace("name: basic", "name: bad"),
        lifecycleTools__start__args={"name": "{{ name }}", "by": "{{ dependencies.cache.state }}"},
        lifecycleTools__stop__args={"id": "{{ fail('by hand alone') }}"},
        dependencies=[{"name": "cache"}],
    )
    async with running(world, manifest(), named) as manager:
        await manager.create(CreateRequest("basic", "cache"))
        await manager.create(CreateRequest("basic", "db"))
        with pytest.raises(
            TemplateError, match="it could not be stopped: by hand alone; so it was not stopped, and runs on"
        ):
            await manager.create(CreateRequest("bad", "db", replaces=True))
        assert manager.view("db").state is ServiceState.RUNNING
        assert world.tools_called("w/stop") == []


async def test_a_restart_tool_is_used_and_its_outputs_renew_the_stop_plan() -> None:
    world = World()
    entry = manifest(
        lifecycleTools__restart={"tool": "w/restart", "args": {"id": "{{ start.id }}"}, "outputs": {"id": "id"}}
    )
    async with running(world, entry) as manager:
        await manager.create(CreateRequest("basic", "db"))
        result = await manager.restart_service("db")
        assert result.service.outputs == {"url": "ledger://r2/1"}
        await manager.stop_service("db")
        assert world.resources == {}


async def test_secrets_are_masked_everywhere_but_in_the_call() -> None:
    world = World()
    async with running(world) as manager:
        await manager.create(CreateRequest("basic", "db", {"password": "hunter2-hunter2"}))
        assert world.calls[0][1]["password"] == "hunter2-hunter2"
        view = manager.view("db")
        history = await manager.history("db")
        page = manager.events.read(limit=1000)
        assert "hunter2" not in repr((view, history, page))
        assert manager.reveal("db")[0]["password"] == "hunter2-hunter2"
        world.faults["w/start"].append(Fail("hunter2-hunter2 is too short"))
        with pytest.raises(OstlerError) as caught:
            await manager.create(CreateRequest("basic", "other", {"password": "hunter2-hunter2"}))
        assert "hunter2" not in repr(caught.value)


async def test_what_a_tool_warns_of_is_shown_without_what_its_answer_makes_a_secret() -> None:
    world = World()
    world.always["w/start"] = Answer({"id": "i", "key": "hunter2-hunter2", "warning": "keep hunter2-hunter2 in a safe"})
    changes: dict[str, Any] = {f"lifecycleTools__{step}": None for step in ("ready", "healthCheck", "status", "find")}
    changes |= {"healthCheck": None, "lifecycleTools__start__outputs": {"id": "id", "key": "key"}}
    entry = manifest(**changes, outputs={"key": {"template": "{{ start.key }}", "secret": True}})
    async with running(world, entry) as manager:
        created = await manager.create(CreateRequest("basic", "db"))
        assert created.warnings == (f"keep {MASK} in a safe",)
        assert created.message.endswith(created.warnings[0])
        page = manager.events.read(limit=1000)
        assert f"start: {created.warnings[0]}" in [event.message for event in page.events]
        assert "hunter2" not in repr((created, page, await manager.history("db")))
        world.always["w/stop"] = Answer({"warning": "it had to be killed"})
        replaced = await manager.create(CreateRequest("basic", "db", {"size": 2}, replaces=True))
        assert replaced.warnings == ("it had to be killed", *created.warnings)
        only_made = await manager.create(CreateRequest("basic", "db", {"size": 3}, replaces=True, start=False))
        assert only_made.warnings == ("it had to be killed",)
        assert only_made.message == "service db was created (not started); it had to be killed"
        await manager.start_service("db")
        world.faults["w/start"].append(Fail("no room"))
        with pytest.raises(OstlerError, match="no room.*the stop of what it replaces warned: it had to be killed"):
            await manager.create(CreateRequest("basic", "db", {"size": 4}, replaces=True))


async def test_progress_tells_how_far_a_start_is() -> None:
    world = World(ready_after=2)
    messages: list[str] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        messages.append(message or "")

    async with running(world) as manager:
        await manager.create(CreateRequest("basic", "db"), progress=progress)
    assert messages[0].startswith("calling w/start")
    assert any("waiting until ready" in message for message in messages)
    assert messages[-1] == "service db is running"


async def test_a_wait_that_runs_out_leaves_the_start_going() -> None:
    world = World(ready_after=20)
    async with running(world) as manager:
        result = await manager.create(CreateRequest("basic", "db"), timeout=5)
        assert not result.finished
        assert result.service.state is ServiceState.STARTING
        await until(lambda: manager.get_service_state("db") is ServiceState.RUNNING)


async def test_events_are_ordered_and_complete() -> None:
    async with running(World()) as manager:
        await manager.create(CreateRequest("basic", "db"))
        await manager.delete("db")
        page = manager.events.read(service="db", limit=1000)
        cursors = [event.cursor for event in page.events]
        assert cursors == sorted(cursors)
        kinds = [event.kind for event in page.events]
        assert kinds[0] is EventKind.SERVICE_CREATED
        assert kinds[-1] is EventKind.SERVICE_DELETED
        assert kinds.count(EventKind.OPERATION_BEGAN) == kinds.count(EventKind.OPERATION_ENDED) == 2


async def test_health_has_thresholds_and_evidence() -> None:
    world = World()
    logs = {"tool": "w/status", "args": {"id": "{{ start.id }}"}}
    entry = manifest(lifecycleTools__status=None, lifecycleTools__find=None, lifecycleTools__logs=logs)
    async with running(world, entry) as manager:
        await manager.create(CreateRequest("basic", "db"))
        await until(lambda: manager.view("db").health is HealthStatus.HEALTHY)
        world.healthy = False
        await until(lambda: manager.view("db").health_failures == 2)
        said = explain(manager.registry.get("db"), manager.registry, None, [])
        assert [call.tool for call in said.next_calls] == ["service_logs"]
        assert manager.view("db").health is HealthStatus.HEALTHY, "two misses are below the threshold of three"
        await until(lambda: manager.view("db").health is HealthStatus.UNHEALTHY)
        view = manager.view("db")
        assert view.state is ServiceState.RUNNING
        assert "ok" in view.evidence
        world.healthy = True
        await until(lambda: manager.view("db").health is HealthStatus.HEALTHY)


async def test_garbage_from_the_start_tool_is_an_error_that_shows_it() -> None:
    world = World()
    world.faults["w/start"].append(Answer("%%% what? %%%"))
    async with running(world) as manager:
        with pytest.raises(OstlerError, match="what"):
            await manager.create(CreateRequest("basic", "db"))


async def test_cleanup_waits_for_a_driving_server_that_is_just_away() -> None:
    world = World(ready_after=1000)
    world.faults["w/stop"].extend([Down(), Down(), Down()])
    async with running(world) as manager:
        with pytest.raises(OperationTimeoutError, match="cleaned up with w/stop"):
            await manager.create(CreateRequest("basic", "db"))
        assert world.resources == {}


async def test_what_a_dying_server_started_is_looked_for_when_the_server_is_back() -> None:
    world = World()
    world.faults["w/start"].append(Lost(acts=True))
    world.faults["w/find"].extend([Down(), Down(), Down()])
    async with running(world) as manager:
        with pytest.raises(OstlerError, match="cleaned up with w/stop"):
            await manager.create(CreateRequest("basic", "db"))
        assert world.resources == {}
        assert manager.views() == []


async def test_a_looking_tool_that_fails_itself_proves_nothing_gone() -> None:
    world = World()
    async with running(world, manifest(lifecycleTools__find=None, lifecycleTools__healthCheck=None)) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.faults["w/stop"].append(Fail())
        world.always["w/status"] = Fail()
        with pytest.raises(ToolFailedError, match="stop tool failed"):
            await manager.stop_service("db")
        assert manager.get_service_state("db") is ServiceState.FAILED
        world.always.clear()
        await manager.start_service("db")
        assert len(world.resources) == 1


async def test_a_health_check_that_fails_after_a_refused_stop_proves_nothing_gone() -> None:
    world = World()
    check = {"tool": "w/status", "args": {"name": "{{ name }}"}, "expect": {"jsonPath": {"health": "good"}}}
    blind: dict[str, Any] = {f"lifecycleTools__{step}": None for step in ("find", "status", "ready")}
    async with running(world, manifest(**blind, lifecycleTools__healthCheck=check)) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.faults["w/stop"].append(Fail("permission denied"))
        world.always["w/status"] = Answer({"health": "bad"})
        with pytest.raises(ToolFailedError, match="stop tool failed: permission denied"):
            await manager.stop_service("db")
        await anyio.sleep(200)  # it is checked again meanwhile
        assert (manager.view("db").state, manager.view("db").reason) == (ServiceState.FAILED, "stop-failed")
        await manager.stop_service("db")
        assert (manager.view("db").state, world.resources) == (ServiceState.STOPPED, {})


@pytest.mark.parametrize("fault", [Fail("permission denied"), Lost(acts=False)], ids=repr)
async def test_an_odd_state_after_a_stop_that_failed_or_was_lost_proves_nothing_gone(fault: Fail | Lost) -> None:
    world = World()
    async with running(world, manifest(lifecycleTools__find=None, lifecycleTools__healthCheck=None)) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.faults["w/stop"].append(fault)
        world.faults["w/status"].append(Answer({"state": "degraded"}))
        if isinstance(fault, Lost):
            await manager.stop_service("db")  # it is looked at again, and stopped again
            assert (manager.view("db").state, world.resources) == (ServiceState.STOPPED, {})
            return
        with pytest.raises(ToolFailedError, match="stop tool failed: permission denied"):
            await manager.stop_service("db")
        assert (manager.view("db").state, len(world.resources)) == (ServiceState.FAILED, 1)


async def test_a_start_stops_no_service_that_runs_in_an_odd_state() -> None:
    world = World()
    async with running(world, manifest(lifecycleTools__find=None, healthCheck__initialDelay="1h")) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.healthy = False
        world.always["w/status"] = Answer({"state": "degraded"})
        await manager.check_health("db")
        result = await manager.start_service("db")
        assert (result.changed, list(world.resources)) == (False, ["r1"])


async def test_there_is_work_while_anything_is_under_way_or_to_be_supervised() -> None:
    world = World()
    world.faults["w/start"].append(Slow(5))
    world.faults["w/stop"].append(Slow(5))
    async with running(world, manifest(restartPolicy="on-failure")) as manager:
        assert not manager.has_work
        await manager.create(CreateRequest("basic", "db"), wait=False)
        assert manager.has_work, "its start is under way, though no one waits for it"
        await until(lambda: manager.get_service_state("db") is ServiceState.RUNNING)
        assert manager.has_work
        world.resources.clear()
        world.faults["w/start"].append(Fail("no space"))
        await until(lambda: manager.get_service_state("db") is ServiceState.RETRYING)
        assert manager.has_work, "it is to be started again"
        await until(lambda: manager.get_service_state("db") is ServiceState.RUNNING, within=600)
        await manager.stop_service("db", wait=False)
        assert manager.has_work, "its stop is under way"
        await until(lambda: manager.get_service_state("db") is ServiceState.STOPPED)
        assert not manager.has_work
