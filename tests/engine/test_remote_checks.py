"""Health checks that others make for the engine: what they are asked, and what is believed of them."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import pytest
from tests.support.world import Fail, World, manifest, running, until

from ostler.engine.classes.catalogue import ClassEntry
from ostler.engine.manager import ServiceManager
from ostler.engine.protocols import RemoteAnswer
from ostler.engine.services.views import CreateRequest
from ostler.model.records import PlannedCall
from ostler.model.responses import ToolResponse
from ostler.model.states import HealthStatus, ServiceState
from ostler.rules.answers.responses import normalise

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]


@dataclass
class Others:
    """A `RemoteChecks` that gives the same answer to every call; None: it was not answered."""

    answer: ToolResponse | None
    asked: list[PlannedCall] = field(default_factory=list[PlannedCall])
    doubted: int = 0

    async def ask(self, service_id: str, call: PlannedCall) -> RemoteAnswer | None:
        assert service_id
        self.asked.append(call)
        await anyio.sleep(0.1)
        return None if self.answer is None else RemoteAnswer(self.answer, "another")

    def doubt(self, answer: RemoteAnswer, call: PlannedCall) -> None:
        assert (answer.response, answer.by, call.step) == (self.answer, "another", "healthCheck")
        self.doubted += 1


@asynccontextmanager
async def watched(world: World, others: Others, *classes: ClassEntry) -> AsyncGenerator[ServiceManager]:
    async with running(world, *classes) as manager:
        manager.health.others = others
        await manager.create(CreateRequest("basic", "db"))
        await until(lambda: manager.view("db").health is HealthStatus.HEALTHY)
        yield manager


def looks(world: World) -> int:
    return len(world.tools_called("w/health"))


async def test_what_others_see_to_be_well_is_not_looked_at_again() -> None:
    world, others = World(), Others(normalise([], {"ok": True}))
    async with watched(world, others) as manager:
        own, checked_at = looks(world), manager.view("db").checked_at
        assert own == 1  # that it is well is first for the engine itself to see
        await until(lambda: len(others.asked) > 3)
        assert (looks(world), manager.view("db").health) == (1, HealthStatus.HEALTHY)
        assert manager.view("db").checked_at != checked_at
        assert others.asked[-1].args == {"name": "db"}


@pytest.mark.parametrize(
    "answer", [None, normalise([], {"ok": False}), normalise([], "no such resource", is_error=True)]
)
async def test_only_what_the_engine_sees_itself_makes_a_service_look_unwell(answer: ToolResponse | None) -> None:
    world, others = World(), Others(answer)
    async with watched(world, others) as manager:
        await until(lambda: len(others.asked) > 3)
        assert (manager.view("db").health, manager.view("db").state) == (HealthStatus.HEALTHY, ServiceState.RUNNING)
        assert looks(world) >= len(others.asked)
        assert (others.doubted > 0) is (answer is not None)
        world.always["w/health"] = Fail("it is ill")
        before, asked = looks(world), len(others.asked)
        await until(lambda: manager.view("db").health is HealthStatus.UNHEALTHY)
        assert looks(world) - before == 3  # as often as without others
        assert len(others.asked) <= asked + 1  # what is not well is not theirs to look at


async def test_secrets_and_calls_for_many_go_to_no_one_else() -> None:
    with_secret = manifest(
        lifecycleTools__healthCheck={
            "tool": "w/health",
            "args": {"name": "{{ name }}", "key": "{{ password }}"},
            "expect": {"jsonPath": {"ok": True}},
        }
    )  # fmt: skip
    shared = manifest(
        lifecycleTools__healthCheck={
            "tool": "w/list", "expect": {"jsonPath": {"state": "running"}},
            "batch": {"items": "items", "match": {"name": "{{ name }}"}},
        }
    )  # fmt: skip
    for entry in (with_secret, shared):
        world, others = World(), Others(normalise([], {"ok": True}))
        async with running(world, entry) as manager:
            manager.health.others = others
            await manager.create(CreateRequest("basic", "db", {"password": "hidden-away"}))
            await until(lambda manager=manager: manager.view("db").health is HealthStatus.HEALTHY)
            await anyio.sleep(300)
            assert others.asked == []
