"""How many commits an operation makes: each is a flush of the disk that its caller waits for."""

from collections.abc import Sequence

import pytest
from tests.support.world import World, manifest, running

from ostler.adapters.stores.memory import MemoryStore
from ostler.engine.protocols import Change
from ostler.engine.services.views import CreateRequest

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


async def test_an_operation_of_one_call_commits_what_was_asked_its_intent_and_its_end() -> None:
    store = CountingStore()
    plain = manifest(lifecycleTools__ready=None, lifecycleTools__status=None, lifecycleTools__find=None)
    async with running(World(), plain, store=store) as manager:
        store.taken()
        await manager.create(CreateRequest("basic", "one"))
        assert store.taken() == 3
        await manager.stop_service("one")
        assert store.taken() == 2
        await manager.start_service("one")
        assert store.taken() == 2
        await manager.delete("one")
        assert store.taken() == 2
