"""What people and subscribers are told: status words, and callbacks that can neither break nor block the engine."""

import threading

import anyio
import pytest
from tests.support.world import Fail, World, manifest, running, until

from ostler.engine.services.reporting import StatusUpdate, StatusWord, status_word
from ostler.engine.services.service import BaseService
from ostler.engine.services.views import CreateRequest
from ostler.model.errors import OstlerError
from ostler.model.states import HealthStatus, ServiceState, Transition

pytestmark = [pytest.mark.anyio]


class Display:
    """Keeps what it is told, and fails now and then."""

    def __init__(self) -> None:
        self.updates: list[StatusUpdate] = []

    def report_status(self, update: StatusUpdate) -> None:
        self.updates.append(update)
        if len(self.updates) % 2:
            raise RuntimeError("the display is broken")


@pytest.mark.virtual
async def test_a_reporter_is_told_each_change_in_a_word_and_cannot_break_anything() -> None:
    world, display = World(), Display()
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


@pytest.mark.realtime
async def test_a_callback_that_blocks_holds_nobody_up_and_loses_nothing() -> None:
    service, release, seen, others = Quick(), threading.Event(), list[str](), list[str]()

    def blocking(_name: str, old: str, new: str, _health: str, _error: BaseException | None) -> None:
        if len(seen) == 0:
            threading.Event().wait(0.15)  # slow enough to be noticed
        elif len(seen) == 1:
            release.wait(30)  # and then stuck
        seen.append(f"{old}>{new}")

    service.on_state_change(blocking)
    service.on_state_change(lambda _name, old, new, _health, _error: others.append(f"{old}>{new}"))
    for _ in range(5):
        service.cycle()
    assert len(others) == 20, "the other subscriber has everything already"
    assert len(seen) == 1
    release.set()
    with anyio.fail_after(30):
        while len(seen) < 20:
            await anyio.sleep(0.01)
    assert seen == others


@pytest.mark.virtual
async def test_a_callback_that_raises_disturbs_no_other() -> None:
    service, seen = Quick(), list[str]()

    def broken(*_change: object) -> None:
        raise RuntimeError("oops")

    service.on_state_change(broken)
    leave = service.on_state_change(lambda _name, _old, new, _health, _error: seen.append(new))
    service.cycle()
    assert seen == ["starting", "running", "stopping", "stopped"]
    leave()
    service.cycle()
    assert len(seen) == 4
