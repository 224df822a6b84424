"""The key of a start: while it is not known what an earlier one did, it is done again under the same key."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from tests.support.crashes import BY_NAME, KEYED, NOTHING_LOOKS, Fuse, Ledger, MortalStore, died
from tests.support.world import EPOCH, Down, Fail, Fault, Hang, Lost, Servers, manifest, until

from ostler.engine.clock import LoopClock
from ostler.engine.manager import ServiceManager
from ostler.engine.services.views import CreateRequest
from ostler.model.errors import OstlerError
from ostler.model.states import ServiceState

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]

CREATE = CreateRequest("basic", "db", idempotency_key="client's")
FAULTS = {
    "fails before": Fail(),
    "acts silently": Hang(acts=True),
    "acts, and is lost": Lost(acts=True),
    "acts with an error": Fail(acts=True),
    "is not sent": Down(),
}


def keyed(**changes: Any) -> Any:
    """Return a class whose start tool takes the key, and of which no tool can look for what is there."""
    changes = {**NOTHING_LOOKS, **KEYED, **changes}
    return manifest(timeout={"create": "30s", "delete": "20s"}, onUnknown="retry", **changes)


class Scene:
    """An engine over a ledger, which can die and come again over the same store."""

    def __init__(self, entry: Any) -> None:
        self.entry = entry
        self.ledger = Ledger()
        self.store = MortalStore()

    def expect(self, *faults: Fault) -> None:
        """Let the next starts go wrong."""
        self.ledger.faults["w/start"].extend(faults)

    @asynccontextmanager
    async def engine(self) -> AsyncGenerator[ServiceManager]:
        """Run an engine, once it has recovered and nothing is under way."""
        self.store.fuse = self.ledger.fuse = Fuse()
        manager = ServiceManager(self.ledger, self.store, clock=LoopClock(EPOCH))
        manager.classes.add(self.entry)
        async with manager:
            await manager.recovered.wait()
            await settled(manager)
            yield manager

    async def killed(self, where: str = "after w/start") -> None:
        """Create the service, and kill the engine in the first call of its start tool."""
        for at in range(1, 20):
            self.store.fuse = self.ledger.fuse = Fuse(at)
            if await self._dies(where):
                return
        raise AssertionError(f"it never died {where}")

    async def _dies(self, where: str) -> bool:
        manager = ServiceManager(self.ledger, self.store, clock=LoopClock(EPOCH))
        manager.classes.add(self.entry)
        store, faults = self.store, list(self.ledger.faults["w/start"])
        try:
            async with manager:
                await create(manager)
        except BaseException as error:
            if not died(error):
                raise
        if self.ledger.fuse.where == where:
            return True
        self.ledger, self.store = Ledger(), MortalStore()  # it died elsewhere: begin again
        del store
        self.expect(*faults)
        return False


async def settled(manager: ServiceManager) -> None:
    """Wait until nothing is under way that would change on its own."""
    await until(lambda: all(view.operation is None and view.state.is_settled for view in manager.views()))


async def create(manager: ServiceManager) -> None:
    """Ask for the service, as a client does that asks again with its idempotency key."""
    try:
        await manager.create(CREATE)
    except OstlerError:
        await settled(manager)


async def go_on(manager: ServiceManager, way: str) -> None:
    """Do what may follow upon a failed create, until the service runs."""
    match way:
        case "client asks again":
            await create(manager)
        case "start":
            await manager.start_service("db")
        case "restart":
            await manager.restart_service("db")
        case "stop, start":
            if manager.view("db").reason != "unknown-outcome":
                await manager.stop_service("db")
            await manager.start_service("db")
        case "delete, create":
            if manager.view("db").reason == "unknown-outcome":
                with pytest.raises(OstlerError, match="service_start db calls its start tool again"):
                    await manager.delete("db")
                await manager.start_service("db")
            await manager.delete("db")
            await create(manager)
        case other:
            raise AssertionError(other)


WAYS = ("client asks again", "start", "restart", "stop, start", "delete, create")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("first", FAULTS)
async def test_after_a_failed_create_nothing_is_made_twice(first: str, way: str) -> None:
    scene = Scene(keyed())
    scene.expect(FAULTS[first])
    async with scene.engine() as manager:
        await create(manager)
        if manager.registry.find("db") is None:  # nothing was sent, or can be there
            assert first == "is not sent"
            await create(manager)
        else:
            await go_on(manager, way)
        is_taken_at_its_word = (first, way) == ("acts with an error", "delete, create")  # and deleted by a person
        assert scene.ledger.most == (2 if is_taken_at_its_word else 1)
        assert manager.get_service_state("db") is ServiceState.RUNNING


@pytest.mark.parametrize("way", [*WAYS, "restart policy"])
@pytest.mark.parametrize("second", FAULTS)
async def test_after_a_kill_in_the_start_call_nothing_is_made_twice(second: str, way: str) -> None:
    policy = {"restartPolicy": {"policy": "on-failure"}} if way == "restart policy" else {}
    scene = Scene(keyed(**policy))
    await scene.killed()
    assert scene.ledger.most == 1
    scene.expect(FAULTS[second])
    async with scene.engine() as manager:
        if way == "restart policy":
            await until(lambda: manager.get_service_state("db") is ServiceState.RUNNING)
        else:
            view = manager.view("db")
            assert (view.state, view.reason) == (ServiceState.FAILED, "unknown-outcome")
            assert any("service_start db calls its start tool again" in call for call in actions(manager))
            scene.expect(Fail(), Hang(acts=True))
            for _ in range(2):
                with pytest.raises(OstlerError):
                    await manager.start_service("db")
            await go_on(manager, way)
        assert scene.ledger.most == 1
        assert manager.get_service_state("db") is ServiceState.RUNNING
        assert len({args["key"] for tool, args in scene.ledger.calls if tool == "w/start"}) <= 1 + (way == WAYS[-1])


def actions(manager: ServiceManager) -> list[str]:
    """Return what the last failure of the service advises."""
    error = manager.registry.get("db").last_error
    return list(error.next_actions) if isinstance(error, OstlerError) else []


async def test_what_is_known_to_be_gone_is_started_under_a_new_key() -> None:
    scene = Scene(keyed())
    async with scene.engine() as manager:
        await create(manager)
        await manager.stop_service("db")
        await manager.start_service("db")
        await manager.restart_service("db")
    starts = [args["key"] for tool, args in scene.ledger.calls if tool == "w/start"]
    assert len(set(starts)) == len(starts) == 3


@pytest.mark.parametrize("stop_by", ["id", "name"])
async def test_a_start_that_acts_after_its_connection_was_lost_is_stopped(stop_by: str) -> None:
    changes: dict[str, Any] = {**NOTHING_LOOKS, **BY_NAME} if stop_by == "name" else {}
    entry = manifest(timeout={"create": "30s", "delete": "20s"}, **changes)
    ledger, servers = Ledger(), Servers()
    servers.outlives = True  # it is at another machine, and goes on
    ledger.faults["w/start"].append(Lost())
    ledger.faults["w/find"].append(Fail("busy"))  # which says nothing of what is there
    manager = ServiceManager(ledger, MortalStore(), tools=servers, clock=LoopClock(EPOCH))
    manager.classes.add(entry)
    async with manager, anyio.create_task_group() as tasks:
        tasks.start_soon(create, manager)
        await until(lambda: ledger.tools_called("w/start"))
        await anyio.sleep(7)
        assert ledger.tools_called("w/stop") == []
        await ledger.call_tool("w/start", {"name": "db"})
        looks = ledger.tools_called("w/find")
        await until(lambda: manager.registry.find("db") is None)
        assert ledger.resources == {}
        if stop_by == "id":
            assert len(ledger.tools_called("w/find")) <= len(looks) + 2  # seen, and seen to be gone


async def test_a_start_that_acts_after_its_timeout_has_the_key_of_the_next_one() -> None:
    changes: dict[str, Any] = KEYED
    scene = Scene(manifest(timeout={"create": "30s", "delete": "20s"}, **changes))
    scene.expect(Hang())
    async with scene.engine() as manager:
        await create(manager)
        ((_, late),) = [call for call in scene.ledger.calls if call[0] == "w/start"]
        await scene.ledger.call_tool("w/start", late)
        await create(manager)
        assert manager.get_service_state("db") is ServiceState.RUNNING
        assert scene.ledger.most == 1


async def test_that_something_was_gone_says_nothing_of_what_the_next_start_left() -> None:
    changes: dict[str, Any] = {
        "lifecycleTools__find": None,
        "lifecycleTools__ready": None,
        "restartPolicy": {"policy": "on-failure", "maxRestarts": 3, "window": "10m"},
    }
    scene = Scene(manifest(timeout={"create": "30s", "delete": "20s"}, **changes))
    async with scene.engine() as manager:
        await create(manager)
        scene.ledger.resources.clear()
        scene.expect(Hang(acts=True))
        await anyio.sleep(300)
        await settled(manager)
        assert scene.ledger.most == 1
        assert scene.ledger.of("db")
        assert manager.view("db").error or manager.view("db").reason == "no-stop-plan"
