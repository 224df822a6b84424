"""How many commits an operation makes: each is a flush of the disk that its caller waits for."""

from collections import UserDict
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from tests.support.world import World, manifest, running

from ostler.adapters.stores.memory import MemoryStore
from ostler.engine.protocols import Change
from ostler.engine.services.views import CreateRequest
from ostler.model.records import CallOutcome
from ostler.model.responses import ToolResponse

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]


class CountingStore(MemoryStore):
    """A store that counts its commits."""

    commits = 0

    async def commit(self, changes: Sequence[Change]) -> None:
        self.commits += 1
        await super().commit(changes)

    def taken(self) -> int:
        """Return the commits since the last look."""
        taken, self.commits = self.commits, 0
        return taken


async def test_an_operation_of_one_call_commits_its_intent_and_its_end() -> None:
    store = CountingStore()
    plain = manifest(lifecycleTools__ready=None, lifecycleTools__status=None, lifecycleTools__find=None)
    async with running(World(), plain, store=store) as manager:
        store.taken()
        await manager.create(CreateRequest("basic", "one"))
        assert store.taken() == 2
        await manager.stop_service("one")
        assert store.taken() == 2
        await manager.start_service("one")
        assert store.taken() == 2
        await manager.delete("one")
        assert store.taken() == 2


class CountedVariables(UserDict[str, str]):
    """Variables that count how often templates get them: once for each set of names that is made for them."""

    made = 0

    def keys(self) -> Any:  # what `dict()` begins with
        self.made += 1
        return super().keys()


async def test_a_call_is_rendered_once_although_it_is_stored_before_it_is_made() -> None:
    variables = CountedVariables(HOME="/")
    steps: dict[str, Any] = dict.fromkeys(f"lifecycleTools__{step}" for step in ("ready", "status", "find"))
    plain = manifest(**steps, healthCheck__initialDelay="1h")
    world = World()
    async with running(world, plain, environment=variables) as manager:
        await manager.create(CreateRequest("basic", "one"))
        # The start call, the outputs of its answer, the stop plan, who the stop plan's id belongs to, the outputs.
        assert variables.made == 5
    assert world.tools_called() == ["w/start"]


class JournalReader(World):
    """A world that notes, at each call that acts, whether the store has it as intended."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__()
        self.store = store
        self.was_intended: list[bool] = []

    async def call_tool(
        self, tool: str, args: Mapping[str, Any], *, timeout: float | None = None, progress: Any = None
    ) -> ToolResponse:
        if tool in ("w/start", "w/stop"):
            stored = (await self.store.load()).open_operations
            intended = [
                call for operation in stored for call in operation.calls if call.outcome is CallOutcome.INTENDED
            ]
            self.was_intended.append([call.tool for call in intended] == [tool])
        return await super().call_tool(tool, args, timeout=timeout, progress=progress)


@pytest.mark.parametrize("tools", [{}, {"lifecycleTools__preStart": [{"tool": "w/status", "args": {"name": "x"}}]}])
async def test_each_call_that_acts_is_in_the_store_before_it_is_made(tools: dict[str, Any]) -> None:
    store = CountingStore()
    world = JournalReader(store)
    async with running(world, manifest(**tools), store=store) as manager:
        await manager.create(CreateRequest("basic", "plain"))
        await manager.create(CreateRequest("basic", "joined"), wait=False)
        await manager.start_service("joined", idempotency_key="k")  # stores the operation again, before its call
        await manager.restart_service("joined")
        await manager.delete("plain")
    assert world.was_intended == [True] * 5
