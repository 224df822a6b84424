"""Leases: a warning, a stop by the pinned plan, renewals, restarts of the server, clocks that jump."""

from datetime import timedelta

import anyio
import pytest
from tests.support.world import EPOCH, Fail, JumpingClock, World, manifest, running, until

from ostler.adapters.stores.memory import MemoryStore
from ostler.engine.manager import ServiceManager
from ostler.engine.services.views import CreateRequest
from ostler.model.errors import ArgumentError, NotFoundError
from ostler.model.events import EventKind
from ostler.model.states import ServiceState

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]


def events(manager: ServiceManager, kind: EventKind, name: str = "db") -> int:
    return len(manager.events.read(service=name, kinds=[kind], limit=1000).events)


async def test_a_stop_that_fails_is_tried_again_with_growing_pauses() -> None:
    world = World()
    async with running(world) as manager:
        await manager.create(CreateRequest("basic", "db", lease=60))
        world.always["w/stop"] = Fail("busy")
        await anyio.sleep(60 + 300)
        tries = len(world.tools_called("w/stop"))
        assert 4 <= tries <= 8
        assert events(manager, EventKind.LEASE_EXPIRED) == 1
        del world.always["w/stop"]
        await until(lambda: manager.view("db").state is ServiceState.STOPPED)
        assert manager.view("db").reason == "lease-expired"
        assert world.resources == {}
        await anyio.sleep(1000)
        assert len(world.tools_called("w/stop")) == tries + 1


async def test_a_lease_that_ended_while_the_server_was_away_stops_the_service() -> None:
    world, store = World(), MemoryStore()
    async with running(world, store=store) as manager:
        await manager.create(CreateRequest("basic", "db", lease=60))
    await anyio.sleep(600)
    async with running(world, store=store) as manager:
        await until(lambda: manager.view("db").state is ServiceState.STOPPED, within=30)
        assert world.resources == {}


async def test_renewals_are_durable_and_may_give_a_first_lease() -> None:
    world, store = World(), MemoryStore()
    async with running(world, store=store) as manager:
        await manager.create(CreateRequest("basic", "db"))
        with pytest.raises(ArgumentError, match="lease is required"):
            await manager.renew("db")
        with pytest.raises(ArgumentError, match="longer than 0s"):
            await manager.renew("db", -1)
        with pytest.raises(NotFoundError):
            await manager.renew("nobody", 10)
        await manager.renew("db", 1000)
        await anyio.sleep(900)
        await manager.renew("db")
    async with running(world, store=store) as manager:
        await manager.recovered.wait()
        assert manager.view("db").lease == 1000
        await anyio.sleep(900)
        assert manager.view("db").state is ServiceState.RUNNING
        await until(lambda: manager.view("db").state is ServiceState.STOPPED, within=120)


async def test_each_lease_is_warned_of_once_and_a_renewed_one_again() -> None:
    async with running(World()) as manager:
        await manager.create(CreateRequest("basic", "db", lease=100))
        await anyio.sleep(95)
        assert events(manager, EventKind.LEASE_EXPIRING) == 1
        await manager.renew("db")
        await anyio.sleep(95)
        assert events(manager, EventKind.LEASE_EXPIRING) == 2
        assert manager.view("db").state is ServiceState.RUNNING


async def test_a_start_after_the_end_gives_the_lease_its_length_again() -> None:
    async with running(World()) as manager:
        await manager.create(CreateRequest("basic", "db", lease=100))
        await until(lambda: manager.view("db").state is ServiceState.STOPPED)
        await manager.start_service("db")
        await anyio.sleep(90)
        assert manager.view("db").state is ServiceState.RUNNING
        await until(lambda: manager.view("db").state is ServiceState.STOPPED)


@pytest.mark.parametrize("step", [timedelta(days=2), timedelta(days=-2)])
async def test_a_wall_clock_that_is_set_changes_no_lease_but_the_end_that_is_shown(step: timedelta) -> None:
    clock, store = JumpingClock(EPOCH), MemoryStore()
    manager = ServiceManager(World(), store, clock=clock)
    manager.classes.add(manifest())
    async with manager:
        await manager.create(CreateRequest("basic", "db", lease=3600))
        await anyio.sleep(600)
        clock.ahead = step
        await anyio.sleep(10)
        ends = manager.view("db").lease_expires_at
        assert ends is not None
        assert (ends - clock.now()).total_seconds() == pytest.approx(2990, abs=2)
        assert (await store.load()).services[0].lease_expires_at == ends
        await anyio.sleep(2900)
        assert manager.view("db").state is ServiceState.RUNNING
        await until(lambda: manager.view("db").state is ServiceState.STOPPED, within=100)


class SleepingClock(JumpingClock):
    """The clocks of a machine that slept: all went on but the event loop's."""

    def elapsed(self) -> float:
        return super().elapsed() + self.ahead.total_seconds()


async def test_a_lease_goes_on_while_the_machine_sleeps() -> None:
    clock = SleepingClock(EPOCH)
    manager = ServiceManager(World(), MemoryStore(), clock=clock)
    manager.classes.add(manifest())
    async with manager:
        await manager.create(CreateRequest("basic", "db", lease=86_400))
        clock.ahead = timedelta(days=2)
        await until(lambda: manager.view("db").state is ServiceState.STOPPED, within=10)


async def test_a_lease_that_is_held_does_not_run_also_while_the_machine_sleeps() -> None:
    clock = SleepingClock(EPOCH)
    manager = ServiceManager(World(), MemoryStore(), clock=clock)
    manager.classes.add(manifest())
    async with manager:
        manager.leases.hold_where(lambda: lambda _: clock.ahead < timedelta(hours=20))
        await manager.create(CreateRequest("basic", "db", lease=600))
        await anyio.sleep(1800)
        clock.ahead = timedelta(hours=10)
        await anyio.sleep(60)
        assert manager.view("db").state is ServiceState.RUNNING
        assert events(manager, EventKind.LEASE_EXPIRING) == 0
        clock.ahead = timedelta(hours=20)
        await until(lambda: manager.view("db").state is ServiceState.STOPPED, within=610)


async def test_a_lease_runs_from_when_it_is_held_no_more() -> None:
    is_held = True
    async with running(World()) as manager:
        manager.leases.hold_where(lambda: lambda _: is_held)
        await manager.create(CreateRequest("basic", "db", lease=600))
        await anyio.sleep(50)
        is_held = False
        await anyio.sleep(599)
        assert manager.view("db").state is ServiceState.RUNNING
        await until(lambda: manager.view("db").state is ServiceState.STOPPED, within=10)


async def test_an_ended_lease_calls_a_planned_restart_off() -> None:
    world = World()
    slow = {"policy": "on-failure", "backoff": {"initial": "5m", "max": "5m", "jitter": 0}}
    async with running(world, manifest(restartPolicy=slow)) as manager:
        await manager.create(CreateRequest("basic", "db", lease=100))
        world.resources.clear()
        await until(lambda: manager.view("db").state is ServiceState.RETRYING)
        await until(lambda: manager.view("db").state is ServiceState.STOPPED, within=200)
        await anyio.sleep(1000)
        assert manager.view("db").starts == 1
