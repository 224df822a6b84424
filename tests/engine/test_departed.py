"""What is remembered of services that were removed."""

from typing import Any

import anyio
import pytest
from tests.support.world import Fail, World, manifest, running

from ostler.engine.instances.departed import KEPT_SECONDS
from ostler.engine.services.views import CreateRequest
from ostler.model.errors import NotFoundError, ToolFailedError

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]

WITH_LOGS: dict[str, Any] = {"lifecycleTools__logs": {"tool": "w/status", "args": {"id": "{{ start.id }}"}}}


async def test_a_removed_service_is_remembered_for_an_hour_under_its_name_and_its_short_one() -> None:
    async with running(World(), manifest(**WITH_LOGS)) as manager:
        await manager.create(CreateRequest("basic", "db.shop"))
        assert manager.find_removed("db.shop") is None
        await manager.delete("db.shop")
        for name in ("db.shop", "db"):
            departed = manager.find_removed(name)
            assert departed is not None
            assert departed.name == "db.shop"
        await anyio.sleep(KEPT_SECONDS - 60)
        assert manager.find_removed("db") is not None
        await anyio.sleep(120)
        assert manager.find_removed("db") is None


async def test_what_has_no_logs_is_not_remembered() -> None:
    async with running(World()) as manager:
        await manager.create(CreateRequest("basic", "db"))
        await manager.delete("db")
        assert manager.find_removed("db") is None


async def test_an_unknown_name_that_was_deleted_lately_is_said_to_be() -> None:
    world = World()
    async with running(world) as manager:
        await manager.create(CreateRequest("basic", "web"))
        await manager.delete("web")
        await anyio.sleep(90)
        world.faults["w/start"].append(Fail("no room"))
        with pytest.raises(ToolFailedError):
            await manager.create(CreateRequest("basic", "db"))
        with pytest.raises(NotFoundError, match="'web' not found: it was deleted 1m30s ago. Next: service_explain web"):
            await manager.delete("web")  # as a client does that had no answer to its first call
        with pytest.raises(
            NotFoundError, match=r"'db' not found: it was deleted 0s ago \(its start failed on create\)"
        ):
            manager.view("db")
        with pytest.raises(NotFoundError, match="'redis' not found. Next: service_list"):
            manager.view("redis")
        await anyio.sleep(KEPT_SECONDS)
        with pytest.raises(NotFoundError, match="'web' not found. Next: service_list"):
            manager.view("web")
