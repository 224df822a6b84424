"""Random schedules on many services at once, held against invariants and a small reference model.

Each example is a generated schedule: gaps in virtual time, requests, tool faults, deaths of the driving server, ends
of the whole server (restarted over the same store). At the end the faults cease, and what is must be what was last
asked for.
"""

from typing import Any

import anyio
import trio
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from tests.support.world import Down, Fail, Fault, Hang, Lost, Slow, World, manifest, running
from trio.testing import MockClock

from ostler.adapters.stores.memory import MemoryStore
from ostler.engine.manager import ServiceManager
from ostler.engine.views import CreateRequest
from ostler.model.errors import OstlerError
from ostler.model.events import Event, EventKind
from ostler.model.states import ServiceState

NAMES = ("a", "b", "c")
ENTRY = manifest(
    timeout={"create": "30s", "delete": "20s"},
    restartPolicy={"policy": "on-failure", "maxRestarts": 2, "window": "10m"},
)
FAULTS = st.sampled_from(
    [Fail(), Hang(acts=True), Hang(acts=False), Lost(acts=True), Lost(acts=False), Down(), Slow(3.0)]
)
TOOLS = st.sampled_from(["w/start", "w/stop", "w/status", "w/health", "w/find"])
ACTIONS = st.one_of(
    st.tuples(st.sampled_from(["create", "start", "stop", "restart", "delete"]), st.sampled_from(NAMES)),
    st.tuples(st.just("fault"), st.tuples(TOOLS, FAULTS)),
    st.tuples(st.just("vanish"), st.sampled_from(NAMES)),
    st.tuples(st.just("give_up_waiting"), st.sampled_from(NAMES)),
    st.tuples(st.just("restart_server"), st.none()),
)
SCHEDULES = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 1.0, 5.0, 40.0]), ACTIONS, st.booleans()), min_size=1, max_size=14
)
STEP_LIMIT = 600.0
"""Virtual seconds after which a wait that has not ended is a deadlock."""


class Run:
    """One example."""

    def __init__(self) -> None:
        self.world = World()
        self.store = MemoryStore()
        self.runs: list[list[Event]] = []

    async def play(self, schedule: list[Any]) -> None:
        rest = list(schedule)
        async with running(self.world, ENTRY, store=self.store) as manager:
            for name in NAMES:
                await manager.create(CreateRequest("basic", name, start=False))
        while rest:
            async with running(self.world, ENTRY, store=self.store) as manager:
                self.listen(manager)
                await manager.recovered.wait()
                async with anyio.create_task_group() as group:
                    while rest:
                        gap, (action, target), wait = rest.pop(0)
                        await anyio.sleep(gap)
                        if action == "restart_server":
                            group.cancel_scope.cancel()
                            break
                        if wait and action != "fault":
                            await self.do(manager, action, target)
                        else:
                            group.start_soon(self.do, manager, action, target)
        await self.end()

    async def do(self, manager: ServiceManager, action: str, target: Any) -> None:
        with anyio.fail_after(STEP_LIMIT):
            try:
                match action:
                    case "fault":
                        tool, fault = target
                        self.queue(tool, fault)
                    case "vanish":
                        for key in [k for k, r in self.world.resources.items() if r["name"] == target]:
                            del self.world.resources[key]
                    case "create":
                        await manager.create(CreateRequest("basic", target))
                    case "start":
                        await manager.start_service(target)
                    case "stop":
                        await manager.stop_service(target)
                    case "restart":
                        await manager.restart_service(target)
                    case "delete":
                        await manager.delete(target)
                    case "give_up_waiting":
                        await manager.start_service(target, timeout=0.5)
                    case _:
                        raise AssertionError(action)
            except OstlerError as error:
                event(type(error).__name__)

    def queue(self, tool: str, fault: Fault) -> None:
        self.world.faults[tool].append(fault)

    async def end(self) -> None:
        """Let the faults cease; then every service must obey, and a delete must leave nothing."""
        self.world.faults.clear()
        async with running(self.world, ENTRY, store=self.store) as manager:
            self.listen(manager)
            await manager.recovered.wait()
            with anyio.fail_after(STEP_LIMIT):
                for view in manager.views():
                    await manager.start_service(view.name)
                    assert manager.get_service_state(view.name) is ServiceState.RUNNING
                    assert len([r for r in self.world.resources.values() if r["name"] == view.name]) == 1, (
                        "started twice"
                    )
                    await manager.stop_service(view.name)
                    assert manager.get_service_state(view.name) is ServiceState.STOPPED
                    await manager.delete(view.name)
            assert manager.views() == []
        assert self.world.resources == {}, "a resource was left running"
        assert self.world.overlaps == [], "two operations of one service at the same time"
        self.check_events()

    def listen(self, manager: ServiceManager) -> None:
        self.runs.append([])
        manager.events.subscribe(self.runs[-1].append)

    def check_events(self) -> None:
        cursors = [item.cursor for events in self.runs for item in events]
        assert cursors == sorted(set(cursors)), "events lost their order"
        for events in self.runs:
            last: dict[str, str] = {}
            for item in events:
                if item.kind is EventKind.SERVICE_DELETED:
                    last.pop(item.service, None)
                if item.kind is EventKind.STATE_CHANGED:
                    assert last.get(item.service, item.data["from"]) == item.data["from"], (
                        f"a change is missing: {item}"
                    )
                    last[item.service] = item.data["to"]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SCHEDULES)
def test_any_schedule_ends_with_nothing_lost_doubled_or_left(schedule: list[Any]) -> None:
    run = Run()

    async def main() -> None:
        await run.play(schedule)

    trio.run(main, clock=MockClock(autojump_threshold=0))
