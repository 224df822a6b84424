"""Clients, faults and ends of the engine at random, all at once, in virtual time; then what is said is compared.

`crashes.py` asks for one operation at a time. Here some clients ask for whatever there is of two services, of which one
needs the other, while tools fail, the driving server dies and comes back, and the engine is cut off at a random commit
or call, up to four times. What happens follows from the seed and the kind of class; with PYTHONHASHSEED=0 it is the
same in each run.
"""

import random
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import trio
from tests.support.crashes import CLASSES, IS_SURE, DeadError, Fuse, Ledger, MortalStore, died
from tests.support.world import BASIC, EPOCH, Down, Fail, Hang, Lost, Servers, Slow, manifest
from trio._core import _run as trio_run  # pyright: ignore[reportPrivateUsage]
from trio.testing import MockClock

from ostler.engine.clock import LoopClock
from ostler.engine.manager import ServiceManager
from ostler.engine.services.views import CreateRequest, ServiceView
from ostler.model.errors import OstlerError
from ostler.model.events import Event, EventKind
from ostler.model.states import ServiceState

KINDS = tuple(kind for kind in CLASSES if kind != "nothing looks, keyed")
"""Classes; of one whose tools can neither show nor stop anything, all is for a person to say."""

_CLASSES = {"db": "basic", "app": "app"}
_REQUESTS = ("create", "create", "create", "start", "start", "stop", "stop", "restart", "delete", "check", "renew")
_TOOLS = ("w/start", "w/start", "w/stop", "w/restart", "w/status", "w/find", "w/health", "w/post", "w/pre")
_FAULTS = (Fail(), Hang(acts=True), Hang(), Lost(acts=True), Lost(), Down(), Slow(3.0), Slow(25.0))
_TIMEOUTS: dict[str, Any] = {"create": "30s", "delete": "20s", "restart": "30s"}
_POLICY: dict[str, Any] = {"policy": "on-failure", "maxRestarts": 3, "window": "10m"}
_SETTLES_WITHIN = 3000.0


class Siege:
    """One run over one store and one ledger.

    Attributes:
        story: what happened, for people.
        faults: what is wrong.
        kills: how often the engine was cut off.
    """

    def __init__(self, seed: int, kind: str) -> None:
        self.kind = kind
        self.random = random.Random(f"{seed}/{kind}")
        self.ledger, self.store, self.servers = Ledger(), MortalStore(), Servers()
        changes: dict[str, Any] = {"timeout": _TIMEOUTS, **CLASSES[kind]}
        if self.random.random() < 1 / 3:
            changes["restartPolicy"] = _POLICY
        app = BASIC.replace("{name: basic}", "{name: app}")
        self._entries = (manifest(**changes), manifest(app, **changes, dependencies=["db"]))
        self.story: list[str] = []
        self.faults: list[str] = []
        self.kills = 0

    async def play(self) -> None:
        """Play all lives of the engine, heal everything, and compare."""
        for _ in range(self.random.randint(1, 4)):
            await self._live(self._arm(self.random.randint(5, 120) if self.random.random() < 0.8 else None))
        self.ledger.faults.clear()
        self._heal()
        self._arm(None)
        async with self._manager() as manager:
            with anyio.move_on_after(_SETTLES_WITHIN) as scope:
                await manager.recovered.wait()
                await anyio.sleep(400)  # leases, pauses of restarts, and looks that are due
                while any(view.operation is not None for view in manager.views()):
                    await anyio.sleep(1)
            if scope.cancelled_caught:
                self.faults.append(f"never settled: {[(view.name, view.operation) for view in manager.views()]}")
            await self._compare(manager)

    def _arm(self, at: int | None) -> Fuse:
        fuse = Fuse(at)
        self.store.fuse = self.ledger.fuse = fuse
        self._note(f"a life; it ends at point {at}")
        return fuse

    async def _live(self, fuse: Fuse) -> None:
        try:
            async with self._manager() as manager, anyio.create_task_group() as tasks:
                ends = anyio.current_time() + self.random.choice((5, 30, 60))
                for _ in range(self.random.randint(1, 4)):
                    tasks.start_soon(self._ask, manager, ends)
                tasks.start_soon(self._trouble, ends)
        except BaseException as error:
            if not died(error):
                raise
            self.kills += 1
        self._note(f"the end: {fuse.where or 'in order'}")
        self.ledger.die()  # with it: what is under way is lost
        self._heal()
        self.ledger.late.clear()

    @asynccontextmanager
    async def _manager(self) -> AsyncGenerator[ServiceManager]:
        manager = ServiceManager(self.ledger, self.store, clock=LoopClock(EPOCH), tools=self.servers)
        for entry in self._entries:
            manager.classes.add(entry)
        manager.events.subscribe(self._heard)
        async with manager:
            yield manager

    def _heard(self, event: Event) -> None:
        self._note(f"  {event.kind.value} {event.service}: {event.message[:200]}")
        if event.kind is EventKind.OPERATION_ENDED and "internal error" in event.message:
            self.faults.append(event.message)

    def _note(self, text: str) -> None:
        self.story.append(text)

    # -- what happens ------------------------------------------------------------------------------------------

    async def _ask(self, manager: ServiceManager, ends: float) -> None:
        chance = self.random
        while anyio.current_time() < ends:
            await anyio.sleep(chance.choice((0, 0, 0, 0.01, 0.3, 2, 7)))
            name, kind = chance.choice(("db", "db", "app")), chance.choice(_REQUESTS)
            options: dict[str, Any] = {"wait": chance.random() < 0.6, "timeout": chance.choice((None, 3, 40))}
            key = f"{kind}{chance.randint(0, 3)}" if chance.random() < 0.2 else ""
            self._note(f"{kind} {name} {options} {key}")
            try:
                await self._request(manager, kind, name, options, key)
            except OstlerError as error:
                self._note(f"{kind} {name} failed: {str(error)[:200]}")
                if "internal error" in str(error):
                    self.faults.append(str(error))

    async def _request(self, manager: ServiceManager, kind: str, name: str, options: dict[str, Any], key: str) -> None:
        match kind:
            case "create":
                is_started = self.random.random() < 0.85
                request = CreateRequest(_CLASSES[name], name, start=is_started, idempotency_key=key)
                await manager.create(request, **options)
            case "check":
                await manager.check_health(name)
            case "renew":
                await manager.renew(name, 20.0)
            case "delete":
                await manager.delete(name, idempotency_key=key, **options)
            case "start":
                await manager.start_service(name, idempotency_key=key, **options)
            case "stop":
                await manager.stop_service(name, idempotency_key=key, **options)
            case _:
                await manager.restart_service(name, idempotency_key=key, **options)

    async def _trouble(self, ends: float) -> None:
        chance = self.random
        while anyio.current_time() < ends:
            await anyio.sleep(chance.choice((0.05, 0.5, 3, 10)))
            match chance.choices(("away", "fault", "vanish"), (3, 6, 1))[0]:
                case "away":
                    self._note("the driving server dies")
                    self.ledger.die()
                    self.servers.set("w", connected=False)
                    await anyio.sleep(chance.choice((0.1, 2, 15)))
                    self._heal()
                    self._note("it is back")
                case "fault":
                    tool, fault = chance.choice(_TOOLS), chance.choice(_FAULTS)
                    self.ledger.faults[tool].append(fault)
                    self._note(f"{tool} will meet {fault}")
                case _:
                    for made in self.ledger.of("db"):
                        del self.ledger.resources[made["id"]]
                        self._note(f"{made['id']} vanishes")

    def _heal(self) -> None:
        self.ledger.is_dead = False
        self.servers.set("w", connected=True)

    # -- what must be ------------------------------------------------------------------------------------------

    async def _compare(self, manager: ServiceManager) -> None:
        if self.ledger.overlaps:
            self.faults.append(f"two acting calls of {self.ledger.overlaps} at the same time")
        if self.kind in IS_SURE and self.ledger.most > 1:
            self.faults.append("started twice")
        if opened := (await self.store.load()).open_operations:
            self.faults.append(f"left open: {[(each.service_name, each.kind.value) for each in opened]}")
        views = {view.name: view for view in manager.views()}
        for name in ("app", "db"):
            self._compare_one(name, views.get(name))
        for name in ("app", "db"):
            if (view := views.get(name)) is None:
                continue
            with suppress(OstlerError):
                await manager.delete(name)
                if self.ledger.of(name):
                    self.faults.append(f"{name} was {view.state.value} ({view.reason}), is deleted, and is there")
            if self.kind in IS_SURE and manager.registry.find(name) is not None:
                self.faults.append(f"{name} was {view.state.value} ({view.reason}) and cannot be deleted")

    def _compare_one(self, name: str, view: ServiceView | None) -> None:
        count = len(self.ledger.of(name))
        state = view.state if view is not None else ServiceState.STOPPED
        where = f"{name} is {'absent' if view is None else state.value}, and {count} of it are there"
        self._note(where)
        is_blind = "looks" in self.kind
        match state:
            case ServiceState.STOPPED:
                is_right = not count
            case ServiceState.RUNNING:
                is_right = count == 1 or (is_blind and not count)
            case _:
                is_right = view is not None and bool(view.error)
        if not is_right:
            self.faults.append(where)


def run_siege(seed: int, kind: str) -> Siege:
    """Play one run and return it; exceptions of the engine are among its faults."""
    siege = Siege(seed, kind)
    trio_run._ALLOW_DETERMINISTIC_SCHEDULING = True  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
    trio_run._r.seed(f"{seed}/{kind}")  # pyright: ignore[reportPrivateUsage]
    try:
        trio.run(siege.play, clock=MockClock(autojump_threshold=0))
    except BaseException as error:
        if not isinstance(error, Exception | BaseExceptionGroup | DeadError):
            raise
        siege.faults.append(f"the engine ended: {_leaves(error)}")
    return siege


def shortened(fault: str) -> str:
    """Return a fault without what differs from run to run."""
    return re.sub(r"[0-9a-f]{16}|\d+", "N", fault)[:100]


def _leaves(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return " | ".join(map(_leaves, error.exceptions))
    return f"{type(error).__name__}: {error}"
