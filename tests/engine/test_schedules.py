"""Random schedules on many services at once, checked against invariants and a small reference model.

An example has two parts. In the first, everything happens at the same time: requests, waits that are given up, tool
faults, deaths of the driving server, resources that vanish, jumps of the wall clock, ends of the whole server (begun
again over the same store). Then the faults cease, and what has settled must be consistent. In the second, requests
come one after the other without faults, and after each of them the services are exactly what the reference model says.

`OSTLER_EXAMPLES=5000` runs that many random examples instead of the few, always the same ones, of every day.
"""

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import anyio
import trio
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st
from tests.support.world import (
    BASIC,
    EPOCH,
    Down,
    Fail,
    Fault,
    Hang,
    JumpingClock,
    Lost,
    Servers,
    Slow,
    World,
    manifest,
)
from trio.testing import MockClock

from ostler.adapters.stores.memory import MemoryStore
from ostler.engine.classes.catalogue import ClassEntry
from ostler.engine.manager import ServiceManager
from ostler.engine.services.views import CreateRequest
from ostler.model.errors import OstlerError
from ostler.model.events import Event, EventKind
from ostler.model.states import DesiredState, ServiceState

EXAMPLES = int(os.environ.get("OSTLER_EXAMPLES", "0"))
LIST = {"tool": "w/list", "batch": {"items": "items", "match": {"name": "{{ name }}"}}}


def entry(name: str, **changes: Any) -> ClassEntry:
    keys: dict[str, Any] = {
        "timeout": {"create": "30s", "delete": "20s"},
        "restartPolicy": {"policy": "on-failure", "maxRestarts": 2, "window": "10m"},
        **changes,
    }
    return manifest(BASIC.replace("{name: basic}", f"{{name: {name}}}"), **keys)


CLASSES = (
    entry("plain"),
    entry("needy", dependencies=["a"]),
    entry("picky", dependencies=[{"name": "b", "condition": "healthy", "timeout": "1m"}], restartPolicy="always"),
    entry("maker", dependencies=[{"serviceClassName": "plain", "alias": "own", "create": True}]),
    entry("batch", lifecycleTools__healthCheck=LIST, dependencies=[{"name": "d", "required": False}]),
)
SERVICES = {"a": "plain", "b": "needy", "c": "picky", "d": "maker", "e": "batch"}
NEEDS: Mapping[str, tuple[str, ...]] = {"a": (), "b": ("a",), "c": ("b",), "d": ("d-own",), "e": ("d",), "d-own": ()}
NAMES = st.sampled_from(["a", "a", "b", "b", "c", "d", "e"])
FAULTS = st.sampled_from(
    [Fail(), Hang(acts=True), Hang(acts=False), Lost(acts=True), Lost(acts=False), Down(), Slow(3.0), Slow(25.0)]
)
TOOLS = st.sampled_from(["w/start", "w/start", "w/start", "w/stop", "w/status", "w/health", "w/find", "w/list"])
REQUESTS = st.sampled_from(["create", "start", "start", "start", "stop", "restart", "delete"])
ACTIONS = st.one_of(
    st.tuples(REQUESTS, NAMES),
    st.tuples(REQUESTS, NAMES),
    st.tuples(st.sampled_from(["vanish", "give_up", "stop_dependents", "renew", "check"]), NAMES),
    st.tuples(st.just("fault"), st.tuples(TOOLS, FAULTS)),
    st.tuples(st.sampled_from(["die", "heal", "restart_server", "start_all", "stop_all"]), st.none()),
    st.tuples(st.just("jump"), st.sampled_from([60.0, 7200.0])),
)
GAPS = st.sampled_from([0.0, 0.1, 1.0, 5.0, 40.0])
SCHEDULES = st.lists(st.tuples(GAPS, ACTIONS, st.booleans()), min_size=1, max_size=16)
SCRIPTS = st.lists(st.tuples(REQUESTS, NAMES), max_size=14)
STEP_LIMIT = 1500.0
"""Virtual seconds after which a wait that has not ended is a deadlock."""

INTERVAL = 10.0
"""Virtual seconds from one health check of a service to the next."""

LEASE = 900.0
"""Virtual seconds for which `a` is wanted, unless that is renewed."""

SETTLING = 1500.0
"""Virtual seconds after which nothing moves on its own any more: leases have run out, too."""


class Run:
    """One example."""

    def __init__(self) -> None:
        self.world = World()
        self.servers = Servers()
        self.store = MemoryStore()
        self.clock = JumpingClock(EPOCH)
        self.runs: list[list[Event]] = []

    def manager(self) -> ServiceManager:
        manager = ServiceManager(self.world, self.store, clock=self.clock, tools=self.servers)
        for each in CLASSES:
            manager.classes.add(each)
        self.runs.append([])
        manager.events.subscribe(self.runs[-1].append)
        return manager

    async def play(self, schedule: list[Any], script: list[Any]) -> None:
        rest = list(schedule)
        async with self.manager() as manager:
            await create_all(manager)
        while rest:
            async with self.manager() as manager:
                with anyio.fail_after(STEP_LIMIT):
                    await manager.recovered.wait()
                async with anyio.create_task_group() as group:
                    while rest:
                        gap, (action, target), wait = rest.pop(0)
                        await anyio.sleep(gap)
                        if action == "restart_server":
                            group.cancel_scope.cancel()
                            break
                        if wait:
                            await self.do(manager, action, target)
                        else:
                            group.start_soon(self.do, manager, action, target)
                if not rest:
                    await self.check_checks(manager)
        self.world.faults.clear()
        self.heal()
        async with self.manager() as manager:
            with anyio.fail_after(STEP_LIMIT):
                await manager.recovered.wait()
            await self.settle(manager)
            await self.clear(manager)
            await self.follow(manager, script)
            await self.clear(manager)
        assert self.world.resources == {}, "a resource was left running"
        assert self.world.overlaps == [], "two operations of one service at the same time"
        for events in self.runs:
            check_events(events)
        cursors = [item.cursor for events in self.runs for item in events]
        assert cursors == sorted(set(cursors)), "events lost their order"

    def heal(self) -> None:
        self.world.is_dead = False
        self.servers.set("w", connected=True)

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
                    case "die":
                        self.world.die()
                        self.servers.set("w", connected=False)
                    case "heal":
                        self.heal()
                    case "jump":
                        self.clock.ahead += timedelta(seconds=target)
                    case _:
                        await request(manager, action, target)
            except OstlerError as error:
                event(type(error).__name__)

    def queue(self, tool: str, fault: Fault) -> None:
        self.world.faults[tool].append(fault)

    # -- after the first part ------------------------------------------------------------------------------

    async def settle(self, manager: ServiceManager) -> None:
        """Nothing disturbs any more: whatever is still going on must end, and what is then must be consistent."""
        await anyio.sleep(SETTLING)
        for view in manager.views():
            assert view.operation is None, f"{view.name} never came to an end: {view.operation}"
            made = [r for r in self.world.resources.values() if r["name"] == view.name]
            where = f"{view.name} is {view.state.value} ({view.reason}), wanted {view.desired.value}, has {made}"
            match view.state:
                case ServiceState.RUNNING:
                    assert len(made) == 1, where
                case ServiceState.STOPPED:
                    assert made == [], where
                    assert view.desired is DesiredState.STOPPED or view.reason == "gone" or not view.starts, where
                case ServiceState.WAITING:
                    absent = [need for need in NEEDS[view.name] if not is_up(manager, need)]
                    assert absent or view.name == "c", f"{where}, although nothing is missing"
                    assert made == [], where
                case ServiceState.FAILED:
                    assert view.error, where
                case _:
                    raise AssertionError(where)

    async def check_checks(self, manager: ServiceManager) -> None:
        """Without faults, what runs all the while is checked once an interval: not twice, and not never."""
        self.world.faults.clear()
        self.heal()
        await anyio.sleep(5 * INTERVAL)
        since = {view.name: view.state_since for view in manager.views() if view.state is ServiceState.RUNNING}
        before = len(self.world.calls)
        await anyio.sleep(10 * INTERVAL)
        calls = self.world.calls[before:]
        for view in manager.views():
            if since.get(view.name) == view.state_since:
                tool, names = ("w/list", ({},)) if view.name == "e" else ("w/health", ({"name": view.name},))
                checks = sum(each == tool and args in names for each, args in calls)
                assert 9 <= checks <= 11, f"{view.name} was checked {checks} times in 10 intervals"

    async def clear(self, manager: ServiceManager) -> None:
        """Without faults, each delete must succeed, and leave nothing."""
        with anyio.fail_after(STEP_LIMIT):
            for name in sorted(SERVICES, reverse=True):
                if manager.registry.find(name) is not None:
                    await manager.delete(name)
            while manager.views():
                for view in manager.views():
                    assert view.name == "d-own", f"{view.name} is still there"
                await anyio.sleep(1)

    async def follow(self, manager: ServiceManager, script: list[Any]) -> None:
        """Go through `script`, one request after the other; the reference model says what must come of each."""
        model = Model()
        await create_all(manager)
        for kind, name in script:
            expected = model.request(kind, name)
            with anyio.fail_after(STEP_LIMIT):
                refusal: OstlerError | None = None
                try:
                    await request(manager, kind, name)
                except OstlerError as error:
                    refusal = error
                assert (refusal is None) is expected, f"{kind} {name}: {refusal}"
                await anyio.sleep(1)  # who waits for a first health check is woken by it
                while any(view.operation is not None for view in manager.views()):
                    await anyio.sleep(0.5)
            shown = {view.name: view.state.value for view in manager.views()}
            assert shown == model.states, f"after {kind} {name}"
            running = sorted(name for name, state in model.states.items() if state == "running")
            assert sorted(r["name"] for r in self.world.resources.values()) == running, f"after {kind} {name}"


class Model:
    """What services are after requests that come one after the other, without faults."""

    def __init__(self) -> None:
        self.states: dict[str, str] = dict.fromkeys(SERVICES, "stopped")

    def request(self, kind: str, name: str) -> bool:
        """Apply a request; return whether it is accepted."""
        match kind:
            case "create" if name not in self.states:
                if not self._has_needs(name):
                    return False
                self._start(name)
            case "delete":
                if self.states.pop(name, None) is None:
                    return False
                if name == "d":
                    self.states.pop("d-own", None)
            case _ if name not in self.states:
                return False
            case "stop":
                self.states[name] = "stopped"
            case "create" | "start" | "restart":  # the same again is a start
                missing = not self._has_needs(name)
                if missing and (kind == "restart" or self.states[name] != "running"):
                    self._wait(name)
                    return False
                if kind == "restart":  # a stop and a start, which brings what it needs
                    self.states[name] = "stopped"
                self._start(name)
            case _:
                raise AssertionError(kind)
        return True

    def _has_needs(self, name: str) -> bool:
        return all(
            need == "d-own" or (need in self.states and (self.states[need] == "running" or self._has_needs(need)))
            for need in NEEDS[name]
            if name != "e"
        )

    def _wait(self, name: str) -> None:
        """Let `name` wait for what is missing, and so what it needs."""
        for need in NEEDS[name]:
            if self.states.get(need, "running") != "running":
                self._wait(need)
        self.states[name] = "waiting"

    def _start(self, name: str) -> None:
        if self.states.get(name) == "running":
            return
        for need in NEEDS[name]:
            if need in self.states or need == "d-own":
                self._start(need)
        self.states[name] = "running"
        self._wake(name)

    def _wake(self, name: str) -> None:
        for user, needs in NEEDS.items():
            if name in needs and self.states.get(user) == "waiting":
                self._start(user)


async def create_all(manager: ServiceManager) -> None:
    for name, class_name in SERVICES.items():
        await manager.create(CreateRequest(class_name, name, lease=LEASE if name == "a" else None, start=False))


async def request(manager: ServiceManager, kind: str, name: str) -> None:
    match kind:
        case "create":
            await manager.create(CreateRequest(SERVICES[name], name))
        case "start":
            await manager.start_service(name)
        case "stop":
            await manager.stop_service(name)
        case "stop_dependents":
            await manager.stop_service(name, dependents=True)
        case "restart":
            await manager.restart_service(name)
        case "delete":
            await manager.delete(name)
        case "give_up":
            await manager.start_service(name, timeout=0.5)
        case "renew":
            await manager.renew(name, LEASE)
        case "check":
            await manager.check_health(name)
        case "start_all":
            await manager.start_all()
        case "stop_all":
            await manager.stop_all()
        case _:
            raise AssertionError(kind)


def is_up(manager: ServiceManager, name: str) -> bool:
    service = manager.registry.find(name)
    return service is not None and service.state.is_up


def check_events(events: list[Event]) -> None:
    """No change is missing, and operations of one service never overlap."""
    states: dict[str, str] = {}
    under_way: dict[str, str] = {}
    for item in events:
        name = item.service
        match item.kind:
            case EventKind.SERVICE_DELETED:
                states.pop(name, None)
                under_way.pop(name, None)
            case EventKind.STATE_CHANGED:
                assert states.get(name, item.data["from"]) == item.data["from"], f"a change is missing: {item}"
                states[name] = item.data["to"]
            case EventKind.OPERATION_BEGAN:
                assert name not in under_way, f"two operations at once: {item}"
                under_way[name] = item.data["operation"]
            case EventKind.OPERATION_ENDED:
                assert under_way.pop(name, None) == item.data["operation"], f"an end without a beginning: {item}"
            case _:
                pass


@settings(
    max_examples=EXAMPLES or 30,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(SCHEDULES, SCRIPTS)
@example(  # a slow check of an earlier run comes back after two others were watched and forgotten
    [
        (0.0, ("fault", ("w/health", Slow(3.0))), True),
        (0.0, ("start", "a"), True),
        (0.1, ("stop", "a"), True),
        *((gap, (kind, "a"), True) for _ in range(2) for gap, kind in ((0.0, "start"), (0.0, "stop"))),
        (1.0, ("start", "a"), True),
    ],
    [],
)
@example(  # what is asked for while the server ends does not begin on what it has cut off
    [
        *((0.0, ("create", "a"), False) for _ in range(2)),
        (0.0, ("fault", ("w/start", Hang(acts=False))), False),
        *((0.0, (kind, None), False) for kind in ("stop_all", "start_all")),
        *((0.0, ("create", "a"), False) for _ in range(3)),
        (1.0, ("restart_server", None), False),
        (0.0, ("create", "a"), False),
    ],
    [],
)
@example([(0.0, ("create", "a"), False)], [("delete", "a"), ("create", "c")])  # what it needs waits, too
def test_any_schedule_ends_with_nothing_lost_doubled_or_left(schedule: list[Any], script: list[Any]) -> None:
    run = Run()

    async def main() -> None:
        await run.play(schedule, script)

    trio.run(main, clock=MockClock(autojump_threshold=0))
