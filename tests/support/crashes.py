"""A simulator of crashes: the engine over a ledger of resources, ended before or after any commit or tool call.

A run has three phases over one store and one ledger, in virtual time: the ground is laid; then one operation is asked
for, and the whole engine dies at a chosen point (or not at all); then a new engine recovers. What the ledger holds at
the end is compared with what the engine says. `cases()` yields every combination, `run_case` plays one.
"""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import anyio
import trio
from tests.support.world import EPOCH, Down, Fail, Fault, Hang, Lost, World, manifest
from trio.testing import MockClock

from ostler.adapters.stores.memory import MemoryStore
from ostler.engine.classes.catalogue import ClassEntry
from ostler.engine.clock import LoopClock
from ostler.engine.manager import ServiceManager
from ostler.engine.protocols import Change
from ostler.engine.services.views import CreateRequest, ServiceView
from ostler.model.errors import OperationError, OstlerError
from ostler.model.responses import ToolResponse
from ostler.model.states import ServiceState, Transition

ACTING = ("w/start", "w/stop", "w/restart", "w/post", "w/pre")
LATE = 4.0
"""Virtual seconds after the crash at which a call that a remote server had taken acts."""


class DeadError(BaseException):
    """The process has ended: nothing that it does any more has an effect."""


@dataclass
class Fuse:
    """Counts the points at which a crash is possible, and ends the process at the chosen one."""

    at: int | None = None
    count: int = 0
    dead: bool = False
    where: str = ""

    def reach(self, label: str) -> None:
        """Pass a point, or die there."""
        if self.dead:
            raise DeadError
        self.count += 1
        if self.count == self.at:
            self.dead = True
            self.where = label
            raise DeadError


class MortalStore(MemoryStore):
    """A store whose process may end before or after any commit."""

    def __init__(self) -> None:
        super().__init__()
        self.fuse = Fuse()

    async def commit(self, changes: Sequence[Change]) -> None:
        self.fuse.reach("before a commit")
        await super().commit(changes)
        self.fuse.reach("after a commit")

    def append_events(self, events: Sequence[Any]) -> None:
        if not self.fuse.dead:
            super().append_events(events)


class Ledger(World):
    """A world whose client may end before a call is sent, after it acted, or before it acts (on another machine)."""

    def __init__(self) -> None:
        super().__init__()
        self.fuse = Fuse()
        self.late: list[tuple[str, dict[str, Any]]] = []
        self.most: int = 0
        """The most resources of one name that there ever were."""

    async def call_tool(
        self, tool: str, args: Mapping[str, Any], *, timeout: float | None = None, progress: Any = None
    ) -> ToolResponse:
        self.fuse.reach(f"before {tool}")
        if tool in ACTING:
            try:
                self.fuse.reach(f"before {tool} acts, late")
            except DeadError:
                if self.fuse.where.endswith("late") and not self.late:
                    self.late.append((tool, dict(args)))
                raise
        try:
            return await super().call_tool(tool, args, timeout=timeout, progress=progress)
        finally:
            self.fuse.reach(f"after {tool}")

    def act_late(self) -> None:
        """Let what was sent before the crash act now."""
        for tool, args in self.late:
            self._do(tool, args)
        self.late.clear()

    def of(self, name: str) -> list[dict[str, Any]]:
        """Return the resources of a name."""
        return [resource for resource in self.resources.values() if resource["name"] == name]

    def _do(self, tool: str, args: dict[str, Any]) -> tuple[Any, bool]:
        if tool == "w/start" and args.get("key"):
            same = [r for r in self.resources.values() if r.get("key") == args["key"]]
            if same:
                return {"id": same[0]["id"]}, False
        if tool == "w/stop" and "id" not in args:
            found = self.of(args["name"])
            if not found:
                return f"no resource {args['name']!r}", True
            args = {"id": found[0]["id"]}
        if tool in ("w/post", "w/pre"):
            found = self.of(args["name"])
            if not found:
                return f"no resource {args['name']!r}", True
            found[0][tool] = found[0].get(tool, 0) + 1
            return {"done": True}, False
        if tool == "w/restart" and args["id"] not in self.resources:
            return f"no resource {args['id']!r}", True
        answer = super()._do(tool, args)
        names = [resource["name"] for resource in self.resources.values()]
        self.most = max([self.most, *(names.count(name) for name in set(names))])
        return answer


NOTHING_LOOKS = {
    "lifecycleTools__find": None,
    "lifecycleTools__status": None,
    "lifecycleTools__ready": None,
    "lifecycleTools__healthCheck": None,
    "healthCheck": None,
}
BY_NAME = {"lifecycleTools__stop": {"tool": "w/stop", "args": {"name": "{{ name }}"}}}
KEYED = {
    "lifecycleTools__start": {
        "tool": "w/start",
        "args": {"name": "{{ name }}", "key": "{{ service.startKey }}"},
        "outputs": {"id": "id"},
    }
}
RESTART = {"lifecycleTools__restart": {"tool": "w/restart", "args": {"id": "{{ start.id }}"}, "outputs": {"id": "id"}}}
EXTRAS = {
    "lifecycleTools__postStart": [{"tool": "w/post", "args": {"name": "{{ name }}"}}],
    "lifecycleTools__preStop": [{"tool": "w/pre", "args": {"name": "{{ name }}"}}],
}

CLASSES: dict[str, dict[str, Any]] = {
    "full": {},
    "full with restart": RESTART,
    "full with extras": EXTRAS,
    "extras, retried": {**EXTRAS, "onUnknown": "retry"},
    "find alone": {"lifecycleTools__status": None, "lifecycleTools__ready": None},
    "status alone": {"lifecycleTools__find": None, "lifecycleTools__ready": None},
    "nothing looks, hold": NOTHING_LOOKS,
    "nothing looks, adopt": {**NOTHING_LOOKS, **BY_NAME, "onUnknown": "adopt"},
    "nothing looks, compensate": {**NOTHING_LOOKS, **BY_NAME, "onUnknown": "compensate"},
    "nothing looks, keyed": {**NOTHING_LOOKS, **KEYED, "onUnknown": "retry"},
}
IS_SURE = ("full", "full with restart", "full with extras", "extras, retried", "find alone", "nothing looks, keyed")
"""Classes with a find tool or a key: nothing may be started twice, and every operation reaches its goal."""

OPERATIONS = (
    "create", "create without waiting", "start", "stop", "restart", "delete", "delete by force", "abandon", "adopt",
    "lease", "policy", "leave",
)  # fmt: skip

OUTCOMES: dict[str, Fault | None] = {
    "answered": None,
    "failed": Fail(),
    "hung, acted": Hang(acts=True),
    "hung, did not act": Hang(acts=False),
    "lost, acted": Lost(acts=True),
    "lost, did not act": Lost(acts=False),
    "not sent": Down(),
}


@dataclass(frozen=True)
class Case:
    """One run: which class, what is asked for, the outcome of its first acting call, and where the engine dies.

    `again` is the point of the first recovery at which it dies once more.
    """

    kind: str
    operation: str
    outcome: str = "answered"
    at: int | None = None
    again: int | None = None


@dataclass
class Played:
    """What a run met: the points of the operation and of its recovery, and what is wrong at the end."""

    case: Case
    points: int = 0
    recovery_points: int = 0
    where: str = ""
    faults: list[str] = field(default_factory=list)


def tool_of(operation: str, kind: str) -> str:
    """Return the first acting tool of an operation."""
    match operation:
        case "stop" | "delete" | "delete by force" | "lease" | "leave":
            return "w/stop"
        case "restart":
            return "w/restart" if kind == "full with restart" else "w/stop"
        case _:
            return "w/start"


def entry_of(kind: str, operation: str) -> ClassEntry:
    """Return the class."""
    changes = dict(CLASSES[kind])
    if operation == "policy":
        changes["restartPolicy"] = {"policy": "on-failure", "maxRestarts": 5, "window": "10m"}
    return manifest(timeout={"create": "30s", "delete": "20s", "restart": "30s"}, **changes)


class Run:
    """One case being played."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.played = Played(case)
        self.store = MortalStore()
        self.ledger = Ledger()
        self.entry = entry_of(case.kind, case.operation)
        self.accepted = False

    async def play(self) -> None:
        """Play all phases."""
        await self.lay_ground()
        fault = OUTCOMES[self.case.outcome]
        if fault is not None:
            tool = tool_of(self.case.operation, self.case.kind)
            self.ledger.faults[tool].append(fault)
            if self.case.operation == "delete by force":
                self.ledger.always[tool] = fault
        self.played.points, self.played.where = await self.mortally(self.case.at, self.ask)
        self.ledger.faults.clear()
        self.ledger.always.clear()
        async with anyio.create_task_group() as group:
            group.start_soon(self.wait_for_late)
            if self.case.again is not None:
                _, where = await self.mortally(self.case.again, self.recover)
                self.played.where += f", then {where}"
            self.arm(None)
            async with self.manager() as manager:
                await self.recover(manager)
                group.cancel_scope.shield = False
                await anyio.sleep(LATE + 1)
                await self.settled(manager)
                self.played.recovery_points = self.store.fuse.count
                await self.compare(manager)
                await self.take_away(manager)
            group.cancel_scope.cancel()

    async def wait_for_late(self) -> None:
        await anyio.sleep(LATE)
        self.ledger.act_late()

    def arm(self, at: int | None) -> Fuse:
        """Put a new fuse into store and ledger: from here on they serve a new process."""
        fuse = Fuse(at)
        self.store.fuse = self.ledger.fuse = fuse
        return fuse

    async def mortally(self, at: int | None, act: Any) -> tuple[int, str]:
        """Run the engine with `act` inside until it dies or leaves; return the points passed, and where it died."""
        fuse = self.arm(at)
        try:
            async with self.manager() as manager:
                await act(manager)
        except BaseException as error:
            if not died(error):
                raise
        return fuse.count, fuse.where or "never"

    @asynccontextmanager
    async def manager(self) -> AsyncGenerator[ServiceManager]:
        manager = ServiceManager(self.ledger, self.store, clock=LoopClock(EPOCH))
        manager.classes.add(self.entry)
        async with manager:
            yield manager

    async def lay_ground(self) -> None:
        """Bring the service to where the operation begins."""
        operation = self.case.operation
        self.arm(None)
        async with self.manager() as manager:
            if operation in ("create", "create without waiting"):
                return
            await manager.create(CreateRequest("basic", "db", start=operation not in ("start", "adopt")))
            if operation == "adopt":  # what a start left that no tool could show
                await self.ledger.call_tool("w/start", {"name": "db", "key": "by hand"})
                service: Any = manager.registry.get("db")
                service.set_record(held=True)
                service.report(Transition.START_REQUESTED)
                service.report(Transition.HELD, reason="unknown-outcome", error=OperationError("does it run?"))
                await service.commit()

    async def ask(self, manager: ServiceManager) -> None:
        """Ask for the operation."""
        await manager.recovered.wait()
        try:
            await self.request(manager)
            self.accepted = True
        except OstlerError:
            pass  # told to whoever asked

    async def request(self, manager: ServiceManager) -> None:
        match self.case.operation:
            case "create":
                await manager.create(CreateRequest("basic", "db"))
            case "create without waiting":
                await manager.create(CreateRequest("basic", "db"), wait=False)
                self.accepted = True
                await self.settled(manager)
            case "start":
                await manager.start_service("db")
            case "adopt":
                known = self.ledger.of("db")[0]["id"]
                await manager.start_service("db", adopt={"id": known})
            case "stop":
                await manager.stop_service("db")
            case "restart":
                await manager.restart_service("db")
            case "delete":
                await manager.delete("db")
            case "delete by force":
                await manager.delete("db", force=True)
            case "abandon":
                await manager.delete("db", abandon=True)
            case "lease":
                await manager.renew("db", 1.0)
                await anyio.sleep(10)
                await self.settled(manager)
            case "policy":
                self.ledger.resources.clear()
                await anyio.sleep(60)
                await self.settled(manager)
            case "leave":
                service: Any = manager.registry.get("db")
                service.set_record(persist=False)
                await service.commit()
            case other:
                raise AssertionError(other)

    async def recover(self, manager: ServiceManager) -> None:
        await manager.recovered.wait()
        await self.settled(manager)

    async def settled(self, manager: ServiceManager) -> None:
        """Wait until nothing is under way that would change on its own."""
        with anyio.fail_after(3600):
            while any(view.operation is not None or not view.state.is_settled for view in manager.views()):
                await anyio.sleep(0.5)

    # -- what must be ------------------------------------------------------------------------------------------

    def wrong(self, text: str) -> None:
        self.played.faults.append(text)

    async def compare(self, manager: ServiceManager) -> None:
        """Compare what the engine says with the ledger."""
        there = self.ledger.of("db")
        view = next(iter(manager.views()), None)
        sure = self.case.kind in IS_SURE
        if self.ledger.overlaps:
            self.wrong("two acting calls of one service at the same time")
        if sure and self.ledger.most > 1:
            self.wrong("started twice")
        if (await self.store.load()).open_operations:
            self.wrong("an operation was left open")
        if view is None:
            if there and not self.may_forget():
                self.wrong("lost: a resource without a service")
            return
        if view.state is ServiceState.STOPPED and there:
            self.wrong("said to be stopped, and is there")
        if view.state is ServiceState.RUNNING and not there and view.reason != "adopted-unverified":
            blind = "looks" in self.case.kind
            if not (blind and self.case.operation in ("policy", "adopt")):
                self.wrong("said to run, and is not there")
        if view.state not in (ServiceState.STOPPED, ServiceState.RUNNING) and not view.error:
            self.wrong(f"{view.state.value} without an explanation")
        self.check_goal(view)

    def may_forget(self) -> bool:
        """Whether the service was forgotten by a person's wish."""
        return self.case.operation == "abandon" or (
            self.case.operation == "delete by force" and self.case.outcome != "answered"
        )

    def check_goal(self, view: ServiceView) -> None:
        """What was asked for is there, where nothing stood in the way but the crash."""
        if self.case.kind not in IS_SURE or self.case.outcome != "answered":
            return
        operation, state = self.case.operation, view.state
        if view.reason == "not-verifiable" or (self.case.kind == "full with extras" and "postStart" in str(view.error)):
            return  # asked, as the class wants it
        if self.case.kind == "nothing looks, keyed" and view.reason == "stop-failed":
            return  # its stop has no key
        gone = operation == "policy" and view.reason == "gone"  # it went unseen; autoStart is what brings that back
        if operation in ("restart", "policy") and state is not ServiceState.RUNNING and not gone:
            self.wrong(f"{operation} ended as {state.value}: {view.error}")
        if operation == "create" and state is not ServiceState.RUNNING:
            self.wrong(f"created, and {state.value}: {view.error}")
        if operation == "create without waiting" and state is not ServiceState.RUNNING:
            self.wrong(f"accepted, and {state.value}: {view.error}")
        if self.accepted and operation == "stop" and state is not ServiceState.STOPPED:
            self.wrong(f"stop ended as {state.value}: {view.error}")
        if self.accepted and operation in ("delete", "abandon", "delete by force"):
            self.wrong(f"deleted, and {state.value}: {view.error}")

    async def take_away(self, manager: ServiceManager) -> None:
        """Do what the engine says to do; at the end nothing may be left."""
        view = next(iter(manager.views()), None)
        if view is None:
            return
        there = self.ledger.of("db")
        if view.reason in ("unknown-outcome", "no-stop-plan"):
            try:
                if there:
                    await manager.start_service("db", adopt={"id": there[0]["id"]})
                else:
                    await manager.delete("db", abandon=True)
            except OstlerError as error:
                self.wrong(f"the way out failed: {error}")
            if there and manager.get_service_state("db") is not ServiceState.RUNNING:
                self.wrong("adopted, and not running")
        if not manager.views():
            return
        try:
            await manager.delete("db")
        except OstlerError as error:
            blind = "looks" in self.case.kind
            if self.ledger.of("db") or not blind:
                self.wrong(f"delete failed: {error}")
            else:
                await manager.delete("db", abandon=True)
        if self.ledger.of("db"):
            self.wrong("deleted, and is there")


def died(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(died(inner) for inner in error.exceptions)
    return isinstance(error, DeadError | trio.Cancelled)


def run_case(case: Case) -> Played:
    """Play one case and return what it met; faults are in `faults`, exceptions of the engine come through."""
    run = Run(case)
    trio.run(run.play, clock=MockClock(autojump_threshold=0))
    return run.played


def cases(
    kinds: Sequence[str] = tuple(CLASSES),
    operations: Sequence[str] = OPERATIONS,
    outcomes: Sequence[str] = tuple(OUTCOMES),
    *,
    twice: bool = False,
) -> Iterator[Case]:
    """Yield every case: each point of each operation, and with `twice` each point of each recovery as well."""
    for kind, operation, outcome in product(kinds, operations, outcomes):
        if outcome != "answered" and operation in ("abandon", "adopt"):
            continue  # they call no acting tool
        whole = Case(kind, operation, outcome)
        points = run_case(whole).points
        yield whole
        for at in range(1, points + 1):
            once = Case(kind, operation, outcome, at)
            yield once
            again = range(1, run_case(once).recovery_points + 1) if twice else ()
            yield from (Case(kind, operation, outcome, at, point) for point in again)
