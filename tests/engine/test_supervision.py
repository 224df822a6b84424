"""What happens on its own: restart policy, dependencies, leases, downstream servers that come and go."""

from collections.abc import Sequence

import anyio
import pytest
from tests.support.world import BASIC, Answer, Down, Fail, Servers, Slow, World, manifest, named, running, until

from ostler.adapters.stores.memory import MemoryStore
from ostler.engine.protocols import Change, PutService
from ostler.engine.services.views import CreateRequest
from ostler.model.errors import DependencyError, OstlerError, StoreError
from ostler.model.events import EventKind
from ostler.model.states import HealthStatus, ServiceState

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]


async def test_an_unhealthy_service_is_restarted_with_backoff() -> None:
    world = World()
    entry = manifest(restartPolicy={"policy": "on-failure", "backoff": {"initial": "5s", "jitter": 0}})
    async with running(world, entry) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.healthy = False
        await until(lambda: manager.view("db").next_retry_at is not None)
        world.healthy = True
        await until(lambda: manager.view("db").restarts == 1)
        await until(lambda: manager.view("db").health is HealthStatus.HEALTHY)
        assert len(world.resources) == 1


async def test_a_service_that_is_gone_has_failed_and_is_started_again() -> None:
    world = World()
    entry = manifest(restartPolicy="on-failure")
    async with running(world, entry) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.resources.clear()
        await until(lambda: manager.view("db").state is ServiceState.RETRYING)
        await until(lambda: manager.view("db").state is ServiceState.RUNNING)
        assert len(world.resources) == 1


async def test_without_a_policy_a_gone_service_is_failed_and_stays() -> None:
    world = World()
    async with running(world) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.resources.clear()
        await until(lambda: manager.view("db").state is ServiceState.FAILED)
        assert manager.view("db").reason == "gone"
        await manager.start_service("db")
        assert manager.view("db").state is ServiceState.RUNNING


async def test_what_a_health_check_warns_of_is_an_event_once() -> None:
    world = World()
    async with running(world) as manager:
        await manager.create(CreateRequest("basic", "db"))

        for text in ("the disk was full", "the disk was full", "", "the disk was full", "it is slow"):
            world.always["w/health"] = Answer({"ok": True, "warning": text} if text else {"ok": True})
            await manager.check_health("db")
        page = manager.events.read(service="db", kinds=[EventKind.WARNING])
        assert [event.message for event in page.events] == [
            "healthCheck: the disk was full", "healthCheck: it is slow",
        ]  # fmt: skip


async def test_what_goes_after_its_stop_failed_is_shown_as_stopped() -> None:
    world = World()
    async with running(world) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.always["w/stop"] = Fail("timed out waiting for it to end")
        with pytest.raises(OstlerError, match="timed out waiting"):
            await manager.stop_service("db")
        await anyio.sleep(10)
        assert (manager.view("db").state, manager.view("db").reason) == (ServiceState.FAILED, "stop-failed")
        world.resources.clear()
        await until(lambda: manager.view("db").state is ServiceState.STOPPED)
        assert manager.view("db").error is None


async def test_a_crash_loop_ends() -> None:
    world = World()
    entry = manifest(
        restartPolicy={"policy": "on-failure", "maxRestarts": 3, "window": "1h", "backoff": {"initial": "1s"}}
    )
    async with running(world, entry) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.resources.clear()
        world.always["w/start"] = Fail("no space")
        await until(lambda: manager.view("db").reason == "crash-loop", within=7200)
        view = manager.view("db")
        assert view.state is ServiceState.FAILED
        assert "restarted 3 times" in (view.error or "")
        assert "no space" in (view.error or "")


async def test_a_stop_ends_a_planned_retry() -> None:
    world = World()
    entry = manifest(restartPolicy={"policy": "on-failure", "backoff": {"initial": "60s", "max": "60s", "jitter": 0}})
    async with running(world, entry) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.resources.clear()
        await until(lambda: manager.view("db").state is ServiceState.RETRYING)
        await manager.stop_service("db")
        assert manager.view("db").state is ServiceState.STOPPED
        assert manager.view("db").next_retry_at is None


async def test_dependencies_are_started_first_and_their_outputs_are_seen() -> None:
    world = World()
    app = named(
        "app",
        dependencies=[{"name": "db", "alias": "store"}],
        outputs={"dsn": "{{ dependencies.store.outputs.url }}"},
    )
    async with running(world, manifest(), app) as manager:
        await manager.create(CreateRequest("basic", "db", start=False))
        result = await manager.create(CreateRequest("app", "web"))
        assert result.service.outputs == {"dsn": "ledger://r1/1"}
        assert [args["name"] for tool, args in world.calls if tool == "w/start"] == ["db", "web"]


async def test_a_dependency_is_made_on_demand() -> None:
    world = World()
    app = named("app", dependencies=[{"serviceClassName": "basic", "alias": "db", "create": True, "args": {"size": 7}}])
    async with running(world, manifest(), app) as manager:
        await manager.create(CreateRequest("app", "web"))
        assert manager.view("web-db").state is ServiceState.RUNNING
        assert manager.view("web-db").args["size"] == 7


async def test_a_failed_dependency_makes_its_dependents_wait_and_they_start_when_it_recovers() -> None:
    world = World()
    app = named("app", dependencies=["db"])
    async with running(world, manifest(), app) as manager:
        await manager.create(CreateRequest("basic", "db", start=False))
        world.faults["w/start"].append(Fail("no space"))
        with pytest.raises(DependencyError, match="'web' waits for 'db'.*no space"):
            await manager.create(CreateRequest("app", "web"))
        assert manager.view("web").state is ServiceState.WAITING
        assert manager.view("web").reason == "dependency"
        await manager.start_service("db")
        await until(lambda: manager.view("web").state is ServiceState.RUNNING)


async def test_missing_dependencies_and_cycles_are_refused_at_create_with_the_path() -> None:
    a, b = named("a", dependencies=["two"]), named("b", dependencies=["one"])
    async with running(World(), a, b, named("c", dependencies=["self"])) as manager:
        with pytest.raises(DependencyError, match="'one' depends on 'two', which does not exist"):
            await manager.create(CreateRequest("a", "one"))
        with pytest.raises(DependencyError, match="form a cycle: self"):
            await manager.create(CreateRequest("c", "self"))
        assert manager.views() == []


async def test_a_lease_warns_then_stops_by_the_pinned_plan() -> None:
    world = World()
    async with running(world) as manager:
        await manager.create(CreateRequest("basic", "db", lease=100))
        manager.classes.replace([])
        await until(lambda: manager.view("db").state is ServiceState.STOPPED)
        kinds = [event.kind for event in manager.events.read(service="db", limit=1000).events]
        assert EventKind.LEASE_EXPIRING in kinds
        assert EventKind.LEASE_EXPIRED in kinds
        assert kinds.index(EventKind.LEASE_EXPIRING) < kinds.index(EventKind.LEASE_EXPIRED)
        assert world.resources == {}


async def test_a_renewed_lease_lasts() -> None:
    world = World()
    async with running(world) as manager:
        await manager.create(CreateRequest("basic", "db", lease=100))
        await anyio.sleep(80)
        await manager.renew("db", 1000)
        await anyio.sleep(500)
        assert manager.view("db").state is ServiceState.RUNNING
        await until(lambda: manager.view("db").state is ServiceState.STOPPED, within=1000)


async def test_an_unreachable_server_is_not_an_unhealthy_service() -> None:
    world = World()
    async with running(world) as manager:
        await manager.create(CreateRequest("basic", "db"))
        await until(lambda: manager.view("db").health is HealthStatus.HEALTHY)
        world.always["w/health"] = Down()
        await until(lambda: manager.view("db").reachability.value == "unreachable")
        view = manager.view("db")
        assert view.health is HealthStatus.HEALTHY
        assert view.state is ServiceState.RUNNING


async def test_what_ended_with_its_server_is_known_when_the_server_is_back_not_at_the_next_check() -> None:
    world, servers = World(), Servers()
    async with running(world, manifest(healthCheck__interval="1h"), tools=servers) as manager:
        for name in ("db", "web"):
            await manager.create(CreateRequest("basic", name))
        await until(lambda: all(view.health is HealthStatus.HEALTHY for view in manager.views()))
        servers.set("w", connected=False)
        await anyio.sleep(5)
        world.resources = {key: kept for key, kept in world.resources.items() if kept["name"] == "web"}
        servers.set("w", connected=True)
        await until(lambda: manager.view("db").state is ServiceState.FAILED, within=1)
        assert (manager.view("db").reason, manager.view("web").state) == ("gone", ServiceState.RUNNING)


async def test_one_failing_service_disturbs_no_other() -> None:
    world = World()
    async with running(world) as manager:
        await manager.create(CreateRequest("basic", "good"))
        world.faults["w/start"].append(Fail("boom"))
        with pytest.raises(OstlerError):
            await manager.create(CreateRequest("basic", "bad"))
        assert [view.name for view in manager.views()] == ["good"]


async def test_start_all_of_a_layered_graph_takes_its_critical_path() -> None:
    """100 services in 10 layers, each with a start time of its own and three dependencies in the layer below."""
    world = World()
    layers, width = 10, 10
    seconds = {f"s{layer}-{i}": 1.0 + (layer * 7 + i * 3) % 5 for layer in range(layers) for i in range(width)}
    needs = {
        f"s{layer}-{i}": [f"s{layer - 1}-{(i + k) % width}" for k in (0, 3, 7)] if layer else []
        for layer in range(layers)
        for i in range(width)
    }
    classes = [
        manifest(
            BASIC.replace("{name: basic}", f"{{name: k{name}}}"),
            dependencies=needs[name],
            lifecycleTools__ready=None,
            healthCheck={"enabled": False},
        )
        for name in seconds
    ]
    world.seconds = seconds
    finish: dict[str, float] = {}
    for name, own in seconds.items():
        finish[name] = own + max((finish[need] for need in needs[name]), default=0.0)
    async with running(world, *classes) as manager:
        for name in seconds:
            await manager.create(CreateRequest(f"k{name}", name, start=False))
        began = anyio.current_time()
        assert await manager.start_all() == {}
        assert anyio.current_time() - began == pytest.approx(max(finish.values()), rel=0, abs=1e-6)
        assert len(world.resources) == 100
        order = [args["name"] for tool, args in world.calls if tool == "w/start"]
        assert all(order.index(need) < order.index(name) for name in needs for need in needs[name])
        world.calls.clear()
        began = anyio.current_time()
        assert await manager.stop_all() == {}
        assert world.resources == {}


async def test_a_dependency_made_on_demand_goes_with_its_last_user() -> None:
    world = World()
    app = named("app", dependencies=[{"serviceClassName": "basic", "alias": "db", "create": True}])
    async with running(world, manifest(), app) as manager:
        await manager.create(CreateRequest("app", "web"))
        await manager.delete("web")
        await until(lambda: not manager.views())
        assert world.resources == {}


async def test_stopping_what_others_use_says_so() -> None:
    app = named("app", dependencies=["db"])
    async with running(World(), manifest(), app) as manager:
        await manager.create(CreateRequest("basic", "db"))
        await manager.create(CreateRequest("app", "web"))
        result = await manager.stop_service("db")
        assert "still running and depending on it: web" in result.message


async def test_what_a_tool_proves_gone_has_failed_at_the_first_check() -> None:
    world = World()
    async with running(world) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.resources.clear()
        view = await manager.check_health("db")
        assert (view.state, view.health, view.reason) == (ServiceState.FAILED, HealthStatus.UNHEALTHY, "gone")
        assert "absent" in (view.error or "")
    async with running(world, manifest(lifecycleTools__healthCheck=None)) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.always["w/status"] = Answer({"result": "No resource named db"})
        assert (await manager.check_health("db")).state is ServiceState.FAILED


async def test_a_find_tool_alone_proves_it_too() -> None:
    world = World()
    async with running(world, manifest(lifecycleTools__status=None)) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.healthy = False
        view = await manager.check_health("db")
        assert view.state is ServiceState.RUNNING, "it is found, so it is there, and unhealthy at most"
        world.resources.clear()
        assert (await manager.check_health("db")).state is ServiceState.FAILED


async def test_a_start_is_no_answer_about_what_the_last_check_missed() -> None:
    world = World()
    async with running(world) as manager:
        await manager.create(CreateRequest("basic", "db"))
        for is_gone, starts in ((False, 1), (True, 2)):
            await until(lambda: manager.view("db").health is HealthStatus.HEALTHY)
            world.faults["w/health"].append(Answer({"ok": False}))
            world.faults["w/status"] += [Slow(5), Slow(5)]  # a look at whether it is gone takes a while
            await until(lambda: manager.view("db").health_failures == 1)
            if is_gone:
                world.resources.clear()
            result = await manager.start_service("db")
            assert result.changed is is_gone
            assert (manager.view("db").state, len(world.tools_called("w/start"))) == (ServiceState.RUNNING, starts)


async def test_what_may_come_back_is_left_to_the_threshold() -> None:
    world = World()
    entry = manifest(lifecycleTools__healthCheck=None)
    async with running(world, entry) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.always["w/status"] = Answer({"state": "restarting"})
        for _ in range(2):
            assert (await manager.check_health("db")).state is ServiceState.RUNNING
        world.always["w/status"] = Fail("the daemon is busy")
        assert (await manager.check_health("db")).state is ServiceState.RUNNING


async def test_an_adapter_that_hears_of_a_change_has_the_services_checked() -> None:
    world = World()
    entry = manifest(healthCheck__interval="1h", restartPolicy={"policy": "on-failure", "backoff": {"initial": "1s"}})
    async with running(world, entry) as manager:
        for name in ("db", "other"):
            await manager.create(CreateRequest("basic", name))
        await until(lambda: all(view.health is HealthStatus.HEALTHY for view in manager.views()))
        calls = len(world.calls)
        manager.recheck("w", {"name": "nobody"})
        manager.recheck("elsewhere", {"name": "db"})
        await anyio.sleep(5)
        assert len(world.calls) == calls
        world.resources.clear()
        manager.recheck("w", {"name": "db"})
        await until(lambda: manager.view("db").state is ServiceState.RETRYING, within=0.5)
        await until(lambda: manager.view("db").state is ServiceState.RUNNING, within=3)
        assert manager.view("other").state is ServiceState.RUNNING


async def test_a_slow_check_of_an_earlier_run_does_not_double_the_checks() -> None:
    world = World()
    async with running(world) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.faults["w/health"].append(Slow(9.0))
        await until(lambda: not world.faults["w/health"])
        for _ in range(2):  # the check that was due at once finds the service down, the slow one has not ended
            await manager.stop_service("db")
            await manager.start_service("db")
            await manager.stop_service("db")
            await anyio.sleep(1)
            await manager.start_service("db")
        await anyio.sleep(60)
        before = len(world.tools_called("w/health"))
        await anyio.sleep(100)
        assert 9 <= len(world.tools_called("w/health")) - before <= 11


class FullDisk(MemoryStore):
    """A store that has no room for the service `shared`, and takes a moment to find out."""

    async def commit(self, changes: Sequence[Change]) -> None:
        if any(isinstance(change, PutService) and change.record.name == "shared" for change in changes):
            await anyio.sleep(1)
            raise StoreError("the disk is full")
        await super().commit(changes)


async def test_who_waits_for_the_same_dependency_on_demand_gets_its_cause() -> None:
    world = World()
    maker = named("maker", dependencies=[{"serviceClassName": "basic", "name": "shared", "create": True}])
    async with running(world, maker, manifest(), store=FullDisk()) as manager:
        causes: list[str] = []

        async def create(name: str) -> None:
            with pytest.raises(DependencyError) as caught:
                await manager.create(CreateRequest("maker", name))
            causes.append(caught.value.summary)

        async with anyio.create_task_group() as group:
            for name in ("one", "two"):
                group.start_soon(create, name)
        assert len(causes) == 2
        assert all("waits for 'shared' (condition started): the disk is full" in cause for cause in causes), causes


async def test_what_one_waiter_adds_to_an_error_is_not_in_the_error_of_another_nor_in_the_service() -> None:
    world = World()
    world.always["w/start"] = Fail("no space")
    store = MemoryStore()
    async with running(world, store=store) as manager:
        await manager.create(CreateRequest("basic", "db", start=False))
        raised: dict[str, OstlerError] = {}

        async def start(addition: str) -> None:
            with pytest.raises(OstlerError) as caught:
                await manager.start_service("db")
            raised[addition] = caught.value
            caught.value.summary += addition
            caught.value.next_actions = (addition,)

        async with anyio.create_task_group() as group:
            for addition in ("; one", "; two"):
                group.start_soon(start, addition)
        assert "; two" not in str(raised["; one"])
        assert "; one" not in str(raised["; two"])
        shown = manager.view("db").error
        assert shown is not None
        assert "; one" not in shown
        stored = (await store.load()).services[0].error
        assert stored is not None
        assert stored["message"] == shown


@pytest.mark.parametrize("was_seen", [False, True])
async def test_what_no_call_after_the_start_has_met_may_be_behind_a_gateway(*, was_seen: bool) -> None:
    world, servers = World(), Servers()
    servers.outlives = True  # as over HTTP
    async with running(world, manifest(lifecycleTools__ready=None), tools=servers) as manager:
        await manager.create(CreateRequest("basic", "db"))
        if was_seen:
            assert (await manager.check_health("db")).health is HealthStatus.HEALTHY
            await anyio.sleep(1)
        world.resources.clear()  # the process that the start met has ended with its answer
        assert (await manager.check_health("db")).state is ServiceState.FAILED
        assert ("a gateway that starts a process for each request" in str(manager.view("db").error)) is not was_seen


@pytest.mark.parametrize(("kind", "tool"), [("create", "w/start"), ("start", "w/start"), ("stop", "w/stop")])
async def test_an_operation_under_way_keeps_an_idle_server(kind: str, tool: str) -> None:
    world = World()
    async with running(world) as manager, anyio.create_task_group() as group:
        if kind != "create":
            await manager.create(CreateRequest("basic", "db", start=kind == "stop"))
        world.faults[tool].append(Slow(20))
        match kind:
            case "create":
                group.start_soon(manager.create, CreateRequest("basic", "db"))
            case "start":
                group.start_soon(manager.start_service, "db")
            case _:
                group.start_soon(manager.stop_service, "db")
        await anyio.sleep(10)
        assert tool in world.tools_called()
        assert manager.has_work
        await anyio.sleep(20)
        assert manager.has_work is (kind != "stop")
