"""The restart policy: pauses, caps, resets, crash loops, and what cuts a pause short."""

import itertools
from datetime import timedelta
from typing import Any

import anyio
import pytest
from tests.support.world import Answer, Down, Fail, Servers, World, manifest, running, until

from ostler.adapters.stores.memory import MemoryStore
from ostler.engine.manager import ServiceManager
from ostler.engine.services.views import CreateRequest
from ostler.model.errors import ManifestError, OperationError, OstlerError
from ostler.model.events import Event, EventKind
from ostler.model.json import JsonObject
from ostler.model.records import OperationKind
from ostler.model.states import HealthStatus, ServiceState

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]

BACKOFF = {"initial": "10s", "max": "40s", "jitter": 0}


def policy(**keys: Any) -> dict[str, Any]:
    return {"policy": "on-failure", "backoff": BACKOFF, "maxRestarts": 4, "window": "1h", **keys}


def restarts(manager: ServiceManager, name: str = "db") -> list[float]:
    """Return the times of the restarts that the policy asked for."""
    page = manager.events.read(service=name, kinds=[EventKind.OPERATION_BEGAN], limit=1000)
    return [item.at.timestamp() for item in page.events if "restart policy" in item.message]


async def test_pauses_grow_to_their_cap_and_the_next_one_is_shown() -> None:
    world = World()
    async with running(world, manifest(restartPolicy=policy())) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.resources.clear()
        world.always["w/start"] = Fail("no space")
        await until(lambda: manager.view("db").state is ServiceState.RETRYING)
        view = manager.view("db")
        assert view.next_retry_at is not None
        assert view.next_retry_at - view.state_since == timedelta(seconds=10)
        await until(lambda: manager.view("db").reason == "crash-loop", within=7200)
        times = restarts(manager)
        assert [round(b - a) for a, b in itertools.pairwise(times)] == [20, 40, 40]
        assert manager.view("db").next_retry_at is None
        states = [item.data["to"] for item in manager.events.read(service="db", kinds=[EventKind.STATE_CHANGED]).events]
        assert states[-2:] == ["starting", "failed"]


async def test_an_unhealthy_service_that_the_policy_gives_up_does_not_run_on() -> None:
    async def foresight(_tool: str, _args: JsonObject) -> OstlerError | None:
        return OperationError("its folder is gone")

    world = World()
    async with running(world, manifest(restartPolicy=policy()), foresight=foresight) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.healthy = False
        world.always["w/start"] = Fail("no folder")
        await until(lambda: manager.view("db").reason == "crash-loop", within=7200)
        assert world.resources == {}, "a failed service is down"


async def test_jitter_never_passes_the_cap() -> None:
    world = World()
    entry = manifest(restartPolicy=policy(backoff={"initial": "10s", "max": "10s", "jitter": 1}, maxRestarts=20))
    async with running(world, entry) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.resources.clear()
        world.always["w/start"] = Fail("no space")
        await until(lambda: manager.view("db").reason == "crash-loop", within=7200)
        times = restarts(manager)
        pauses = [b - a for a, b in itertools.pairwise(times)]
        assert max(pauses) <= 10.001
        assert len({round(pause, 3) for pause in pauses}) > 5


async def test_running_well_for_long_enough_resets_the_pauses() -> None:
    world = World()
    entry = manifest(restartPolicy=policy(resetAfter="5m"))
    async with running(world, entry) as manager:
        await manager.create(CreateRequest("basic", "db"))
        for stable, expected in ((1, 10), (60, 20), (400, 10)):
            await anyio.sleep(stable)
            world.resources.clear()
            await until(lambda: manager.view("db").state is ServiceState.RETRYING)
            view = manager.view("db")
            assert view.next_retry_at is not None
            assert (view.next_retry_at - view.state_since).total_seconds() == expected
            await until(lambda: manager.view("db").state is ServiceState.RUNNING)


async def test_a_reconnected_server_cuts_the_pause_short_and_resets_it() -> None:
    world, servers = World(), Servers()
    entry = manifest(restartPolicy=policy(backoff={"initial": "5m", "max": "5m", "jitter": 0}))
    async with running(world, entry, tools=servers) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.resources.clear()
        await until(lambda: manager.view("db").state is ServiceState.RETRYING)
        began = anyio.current_time()
        servers.set("w", connected=False)
        world.always["w/status"] = Down()
        await anyio.sleep(20)
        del world.always["w/status"]
        servers.set("w", connected=True)
        await until(lambda: manager.view("db").state is ServiceState.RUNNING)
        assert anyio.current_time() - began < 30


async def test_a_service_that_came_back_on_its_own_is_adopted_during_its_pause() -> None:
    world = World()
    entry = manifest(restartPolicy=policy(backoff={"initial": "10m", "max": "10m", "jitter": 0}))
    async with running(world, entry) as manager:
        await manager.create(CreateRequest("basic", "db"))
        kept = dict(world.resources)
        world.resources.clear()
        await until(lambda: manager.view("db").state is ServiceState.RETRYING)
        world.resources.update(kept)
        await until(lambda: manager.view("db").state is ServiceState.RUNNING, within=60)
        assert manager.view("db").restarts == 0
        assert world.tools_called("w/start") == ["w/start"]
        assert manager.view("db").next_retry_at is None


async def test_health_that_returns_during_the_pause_calls_the_restart_off() -> None:
    world = World()
    entry = manifest(restartPolicy=policy(backoff={"initial": "10m", "max": "10m", "jitter": 0}))
    async with running(world, entry) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.healthy = False
        await until(lambda: manager.view("db").next_retry_at is not None)
        world.healthy = True
        await until(lambda: manager.view("db").health is HealthStatus.HEALTHY)
        assert manager.view("db").next_retry_at is None
        await anyio.sleep(1200)
        assert manager.view("db").restarts == 0


async def test_a_start_by_hand_forgets_the_crash_loop() -> None:
    world = World()
    async with running(world, manifest(restartPolicy=policy(maxRestarts=1, backoff={"initial": "1s"}))) as manager:
        await manager.create(CreateRequest("basic", "db"))
        for _ in range(2):
            world.resources.clear()
            world.always["w/start"] = Fail("no space")
            await until(lambda: manager.view("db").reason == "crash-loop")
            del world.always["w/start"]
            await manager.start_service("db")
            assert manager.view("db").reason == ""
        assert manager.view("db").state is ServiceState.RUNNING


async def test_always_brings_back_what_was_found_stopped_and_on_failure_does_not() -> None:
    for name, expected in (("always", ServiceState.RUNNING), ("on-failure", ServiceState.STOPPED)):
        world, servers = World(), Servers()
        entry = manifest(restartPolicy={"policy": name, "backoff": {"initial": "1s"}})
        async with running(world, entry, tools=servers) as manager:
            await manager.create(CreateRequest("basic", "db"))
            service: Any = manager.registry.get("db")
            world.resources.clear()
            await service.request(OperationKind.VERIFY).wait()
            assert manager.view("db").state is not ServiceState.RUNNING
            await anyio.sleep(30)
            assert manager.view("db").state is expected


async def test_a_stopped_service_is_left_alone_by_always() -> None:
    world = World()
    async with running(world, manifest(restartPolicy="always")) as manager:
        await manager.create(CreateRequest("basic", "db"))
        await manager.stop_service("db")
        await anyio.sleep(600)
        assert manager.view("db").state is ServiceState.STOPPED


async def test_the_reason_of_a_crash_loop_is_kept_over_a_restart_of_the_server() -> None:
    world, store = World(), MemoryStore()
    entry = manifest(restartPolicy=policy(maxRestarts=1, backoff={"initial": "1s"}))
    async with running(world, entry, store=store) as manager:
        await manager.create(CreateRequest("basic", "db"))
        world.resources.clear()
        world.always["w/start"] = Fail("no space")
        await until(lambda: manager.view("db").reason == "crash-loop")
    async with running(world, entry, store=store) as manager:
        await manager.recovered.wait()
        view = manager.view("db")
        assert (view.state, view.reason) == (ServiceState.FAILED, "crash-loop")
        assert "no space" in (view.error or "")


@pytest.mark.parametrize(
    ("keys", "path"),
    [
        ({"policy": "never", "resetAfter": "1m"}, "resetAfter"),
        ({"maxRestarts": 10, "window": "1m", "backoff": {"initial": "30s"}}, "maxRestarts"),
        ({"maxRestarts": 10**15}, "maxRestarts"),
        ({"window": "1m", "resetAfter": "1m"}, "resetAfter"),
        ({"backoff": {"initial": "0s", "multiplier": 3}}, "backoff.multiplier"),
        ({"backoff": {"initial": "0s", "jitter": 0.5}}, "backoff.jitter"),
        ({"backoff": {"initial": "5s", "max": "5s", "multiplier": 3}}, "backoff.multiplier"),
        ({"backoff": {"multiplier": 1, "max": "5m"}}, "backoff.max"),
        ({"maxRestarts": 1, "backoff": {"multiplier": 3}}, "backoff.multiplier"),
    ],
)
def test_settings_without_effect_are_refused_with_their_place(keys: dict[str, Any], path: str) -> None:
    with pytest.raises(ManifestError) as caught:
        manifest(restartPolicy={"policy": "on-failure", **keys})
    (finding,) = caught.value.findings
    assert (finding.rule, finding.path) == ("no-effect", f"spec.serviceConfig.restartPolicy.{path}")
    assert finding.line
    assert finding.fix


def test_a_policy_that_can_see_nothing_is_told() -> None:
    blind: dict[str, Any] = {"lifecycleTools__healthCheck": None, "lifecycleTools__status": None, "healthCheck": None}
    with pytest.raises(ManifestError, match="'always' does no more than 'on-failure'"):
        manifest(restartPolicy="always", lifecycleTools__find=None, **blind)


async def test_a_broken_restart_does_not_disturb_others() -> None:
    world = World()
    async with running(world, manifest(restartPolicy=policy())) as manager:
        await manager.create(CreateRequest("basic", "a"))
        await manager.create(CreateRequest("basic", "b"))
        world.always["w/health"] = Answer({"ok": False})
        world.always["w/stop"] = Down()
        await until(lambda: manager.view("a").state is not ServiceState.RUNNING)
        world.always.clear()
        with pytest.raises(OstlerError):
            await manager.start_service("nobody")
        await until(lambda: {view.state for view in manager.views()} == {ServiceState.RUNNING})


async def test_a_start_that_is_requested_as_a_restart_is_being_planned_takes_its_place() -> None:
    world = World()
    async with running(world, manifest(restartPolicy=policy())) as manager, anyio.create_task_group() as group:
        await manager.create(CreateRequest("basic", "db"))

        def start_what_failed(event: Event) -> None:
            if event.kind is EventKind.STATE_CHANGED and event.data["to"] == "failed":
                group.start_soon(manager.start_service, "db")

        for _ in range(10):  # which of two tasks begins first is open
            unsubscribe = manager.events.subscribe(start_what_failed)
            world.resources.clear()
            await manager.check_health("db")
            await until(lambda: manager.view("db").state is ServiceState.RUNNING)
            unsubscribe()
            await anyio.sleep(100)
            assert manager.view("db").state is ServiceState.RUNNING
        assert restarts(manager) == []
