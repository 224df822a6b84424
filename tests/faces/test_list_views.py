"""A list builds no snapshots of services: most of what is in one is not shown."""

import pytest
from mcp.client import Client
from tests.support.ledger_app import call, ledger, server_over
from tests.support.world import World

from ostler.engine.clock import SystemClock
from ostler.engine.services.service import BaseService
from ostler.engine.services.views import ServiceView


class Counted(BaseService):
    """A service that notes each snapshot taken of it."""

    def __init__(self, name: str, taken: list[str]) -> None:
        super().__init__(name, "counted", clock=SystemClock())
        self._taken = taken

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def restart(self) -> None: ...

    def view(self) -> ServiceView:
        self._taken.append(self.name)
        return super().view()


@pytest.mark.anyio
async def test_a_list_of_any_kind_builds_no_snapshot() -> None:
    taken: list[str] = []
    async with ledger(World()) as app, Client(server_over(app)) as client:
        for number in range(120):
            app.manager.registry.register(Counted(f"s-{number:03}", taken))
        first = await call(client, "service_list", serviceType="counted")
        assert (first["total"], len(first["services"])) == (120, 50)
        second = await call(client, "service_list", serviceType="counted", cursor=first["nextCursor"], limit=10)
        assert [found["name"] for found in second["services"]] == [f"s-{number:03}" for number in range(50, 60)]
        none = await call(client, "service_list", state=["failed"], labels={"a": "b"})
        assert none["total"] == 0
        await client.read_resource("ostler://services")
        await client.list_resources()
        assert taken == []
        assert (await call(client, "service_status", name="s-007"))["state"] == "unknown"
        assert taken == ["s-007"]
