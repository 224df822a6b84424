"""Identifiers live as long as the server's process that gave them."""

from typing import Any

import pytest
from tests.support.world import Servers, World, manifest, running, until

from ostler.adapters.stores.memory import MemoryStore
from ostler.engine.services.views import CreateRequest
from ostler.model.states import ServiceState

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]

BY_ID: dict[str, Any] = {
    "lifecycleTools__status": {
        "tool": "w/list",
        "batch": {"items": "items", "match": {"id": "{{ start.id }}"}},
    },
    "lifecycleTools__find": None,
    "lifecycleTools__healthCheck": None,
    "lifecycleTools__ready": None,
}
"""Everything goes by the id that start gave."""


def replace_process(world: World, servers: Servers) -> None:
    """The server's process is replaced: nothing is there any more, and it numbers anew."""
    world.forget()
    servers.process = "2"


@pytest.mark.parametrize("ends", ["stop", "delete", "restart", "check"])
async def test_an_id_that_another_service_was_given_is_left_alone(ends: str) -> None:
    world, servers = World(), Servers()
    async with running(world, manifest(**BY_ID, healthCheck__initialDelay="1h"), tools=servers) as manager:
        await manager.create(CreateRequest("basic", "old"))
        replace_process(world, servers)
        await manager.create(CreateRequest("basic", "new"))
        assert list(world.resources) == ["r1"]
        match ends:
            case "stop":
                await manager.stop_service("old")
                assert manager.view("old").state is ServiceState.STOPPED
            case "delete":
                await manager.delete("old")
            case "restart":
                await manager.restart_service("old")
                assert set(world.resources) == {"r1", "r2"}
            case _:
                assert "has given its id to service 'new'" in str((await manager.check_health("old")).error)
                assert manager.view("old").state is ServiceState.FAILED
        assert world.resources["r1"]["name"] == "new"
        await manager.stop_service("new")
        assert "r1" not in world.resources


async def test_an_id_of_a_process_that_is_still_there_is_stopped() -> None:
    world, servers = World(), Servers()
    async with running(world, manifest(**BY_ID), tools=servers) as manager:
        await manager.create(CreateRequest("basic", "one"))
        await manager.create(CreateRequest("basic", "two"))
        await manager.stop_service("one")
        assert [made["name"] for made in world.resources.values()] == ["two"]


async def test_an_id_given_away_is_not_verified_by_after_ostler_was_away() -> None:
    world, servers, store = World(), Servers(), MemoryStore()
    entry = manifest(**BY_ID)
    async with running(world, entry, store=store, tools=servers) as manager:
        await manager.create(CreateRequest("basic", "old"))
    replace_process(world, servers)
    servers.connected["w"] = False
    world.is_dead = True
    async with running(world, entry, store=store, tools=servers) as manager:
        await until(lambda: manager.view("old").state is ServiceState.UNREACHABLE)
        world.is_dead = False
        servers.connected["w"] = True
        await manager.create(CreateRequest("basic", "new"))
        servers.set("w", connected=True)
        await until(lambda: manager.view("old").state is ServiceState.STOPPED)
        assert manager.view("new").state is ServiceState.RUNNING
        assert world.resources["r1"]["name"] == "new"
