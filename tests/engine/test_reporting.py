"""What people and listeners are told: status words, and listeners that can neither break nor block the engine."""

import threading

import pytest
from tests.support.world import Fail, World, manifest, running, until

from ostler.engine.services.listeners import MAX_WAITING, Listener
from ostler.engine.services.reporting import StatusUpdate, StatusWord, status_word
from ostler.engine.services.service import BaseService
from ostler.engine.services.views import CreateRequest
from ostler.model.errors import OstlerError
from ostler.model.states import HealthStatus, ServiceState, Transition

pytestmark = [pytest.mark.anyio]


class Display:
    """Keeps what it is told, and fails now and then."""

    def __init__(self, last: StatusWord) -> None:
        self.updates: list[StatusUpdate] = []
        self.last_came = threading.Event()
        self._last = last

    def report_status(self, update: StatusUpdate) -> None:
        self.updates.append(update)
        if update.status is self._last:
            self.last_came.set()
        if len(self.updates) % 2:
            raise RuntimeError("the display is broken")


@pytest.mark.virtual
async def test_a_reporter_is_told_each_change_in_a_word_and_cannot_break_anything() -> None:
    world, display = World(), Display(StatusWord.FAILED)
    async with running(world, manifest(healthCheck={"interval": "10s", "failureThreshold": 1}), reporter=display) as m:
        await m.create(CreateRequest("basic", "db", start=False))
        await m.start_service("db")
        await until(lambda: m.view("db").health is HealthStatus.HEALTHY)
        world.healthy = False
        await until(lambda: m.view("db").health is HealthStatus.UNHEALTHY)
        await m.stop_service("db")
        world.faults["w/start"].append(Fail("no space"))
        with pytest.raises(OstlerError):
            await m.start_service("db")
    assert display.last_came.wait(30)
    words = [update.status.value for update in display.updates]
    assert words == [
        "Stopped", "Starting", "Running", "Active", "Unhealthy", "Stopping", "Stopped", "Starting", "Failed",
    ]  # fmt: skip
    assert [update.is_error for update in display.updates] == [w in ("Unhealthy", "Failed") for w in words]
    assert [update.is_ready for update in display.updates] == [w in ("Running", "Active") for w in words]
    assert "no space" in display.updates[-1].detail


def test_every_state_has_its_word() -> None:
    words = {status_word(state, health) for state in ServiceState for health in HealthStatus}
    assert words == set(StatusWord)
    assert status_word(ServiceState.CONNECTED, HealthStatus.UNKNOWN) is StatusWord.ACTIVE


class Quick(BaseService):
    def __init__(self) -> None:
        super().__init__("quick", "demo", state=ServiceState.STOPPED)

    def cycle(self) -> None:
        for transition in (Transition.START_REQUESTED, Transition.STARTED, Transition.STOP_REQUESTED):
            self.report(transition)
        self.report(Transition.STOPPED)


def test_a_listener_that_hangs_from_its_first_call_holds_no_one_up_and_loses_nothing() -> None:
    service, release, finished = Quick(), threading.Event(), threading.Event()
    seen, others = list[str](), list[str]()

    def hanging(_name: str, old: str, new: str, _health: str, _error: BaseException | None) -> None:
        release.wait(30)
        seen.append(f"{old}>{new}")
        if len(seen) == 20:
            finished.set()

    service.on_state_change(hanging)
    service.follow(lambda _name, old, new, _health, _error: others.append(f"{old}>{new}"))
    for _ in range(5):
        service.cycle()
    assert (len(seen), len(others)) == (0, 20)
    release.set()
    assert finished.wait(30)
    assert seen == others


@pytest.mark.virtual
async def test_a_reporter_that_hangs_holds_no_service_up() -> None:
    release = threading.Event()

    class Hanging:
        def report_status(self, update: StatusUpdate) -> None:
            del update
            release.wait(30)

    async with running(World(), manifest(), reporter=Hanging()) as manager:
        result = await manager.create(CreateRequest("basic", "db"))
        assert result.service.state is ServiceState.RUNNING
    release.set()


def test_a_listener_that_raises_is_called_on_and_one_that_left_is_not() -> None:
    service, seen, came = Quick(), list[str](), threading.Event()

    def broken(_name: str, _old: str, new: str, *_more: object) -> None:
        seen.append(new)
        if new == "stopped":
            came.set()
        raise RuntimeError("oops")

    leave = service.on_state_change(broken)
    service.cycle()
    assert came.wait(30)
    assert seen == ["starting", "running", "stopping", "stopped"]
    leave()
    came.clear()
    service.on_state_change(lambda _name, _old, new, _health, _error: came.set() if new == "stopped" else None)
    service.cycle()
    assert came.wait(30)
    assert len(seen) == 4


def test_of_too_many_changes_the_oldest_are_dropped() -> None:
    release, seen, finished = threading.Event(), list[int](), threading.Event()

    def slow(number: int) -> None:
        release.wait(30)
        seen.append(number)
        if number == MAX_WAITING + 10:
            finished.set()

    listener = Listener(slow)
    for number in range(MAX_WAITING + 11):
        listener.notify(number)
    release.set()
    assert finished.wait(30)
    assert seen[-MAX_WAITING:] == list(range(11, MAX_WAITING + 11))
