"""What becomes of a service whose create its client cancelled, and what a lost connection leaves."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from mcp.client import Client
from mcp.shared.memory import create_client_server_memory_streams
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCRequest
from tests.support.ledger_app import LedgerApplication, call, ledger, refusal, server_over
from tests.support.world import Held, Slow, World, until

from ostler.faces.daemon.http import HttpSettings, serving_http
from ostler.model.states import ServiceState

pytestmark = pytest.mark.anyio

MODES: tuple[Any, ...] = ("legacy", "auto")
ERAS = pytest.mark.parametrize("mode", MODES)
BASIC = {"serviceClassName": "basic", "name": "one"}


@asynccontextmanager
async def over_streams(app: LedgerApplication, mode: Any) -> AsyncGenerator[Client]:
    """Connect as over stdio; the SDK's own connection in memory cancels calls without saying so."""
    server = server_over(app)

    @asynccontextmanager
    async def transport() -> AsyncGenerator[Any]:
        async with create_client_server_memory_streams() as (ours, theirs), anyio.create_task_group() as tasks:
            tasks.start_soon(server.run, *theirs, server.create_initialization_options())
            yield ours
            tasks.cancel_scope.cancel()

    async with Client(transport(), mode=mode) as client:
        yield client


def said(app: LedgerApplication, name: str = "one") -> list[str]:
    found = app.manager.events.read(services=[name]).events
    return [event.message for event in found if "service_create was cancelled" in event.message]


async def cancel_create(client: Client, args: dict[str, Any], seconds: float = 5) -> None:
    with anyio.move_on_after(seconds) as scope:
        await client.call_tool("service_create", args)
    assert scope.cancelled_caught


@ERAS
@pytest.mark.virtual
async def test_a_cancelled_create_goes_on(mode: Any) -> None:
    world = World()
    world.faults["w/start"].append(Slow(20))
    async with ledger(world) as app, over_streams(app, mode) as client:
        await cancel_create(client, BASIC)
        status = await call(client, "service_status", name="one")
        assert status["state"] == "starting"
        assert status["operation"]["reason"] == "created; its service_create was cancelled, and goes on"
        waited = await call(client, "service_wait", name="one", state=["running"])
        assert waited["met"]
        assert len(world.resources) == 1
        assert said(app) == ["its service_create was cancelled: its start goes on (service_stop stops it)"]


@ERAS
@pytest.mark.virtual
async def test_a_cancelled_create_is_undone_where_the_policy_wants_that(mode: Any) -> None:
    world = World()
    world.faults["w/start"].append(Slow(2))
    async with ledger(world) as app, over_streams(app, mode) as client:
        app.cancelled_create = "compensate"
        await cancel_create(client, BASIC, 1)
        status = await call(client, "service_status", name="one")
        assert status["operation"]["kind"] == "start"
        await until(lambda: app.manager.registry.find("one") is None)
        assert world.resources == {}
        assert len(world.tools_called("w/start")) == 1
        assert said(app)[0] == "its service_create was cancelled: it is stopped and removed (policy.cancelledCreate)"
        assert "not found" in (await refusal(client, "service_status", name="one"))[0]


@ERAS
@pytest.mark.virtual
async def test_a_create_for_which_another_request_waits_is_not_undone(mode: Any) -> None:
    world = World()
    world.faults["w/start"].append(Slow(20))
    async with (
        ledger(world) as app,
        over_streams(app, mode) as client,
        over_streams(app, mode) as other,
        anyio.create_task_group() as tasks,
    ):
        app.cancelled_create = "compensate"
        tasks.start_soon(cancel_create, client, BASIC)
        await until(lambda: app.manager.registry.find("one") is not None)
        joined = await call(other, "service_create", **BASIC)
        assert joined["service"]["state"] == "running"
        assert said(app) == ["its service_create was cancelled: its start goes on (another request waits for it)"]


@pytest.mark.virtual
async def test_the_sdks_own_connection_in_memory_cancels_without_saying_so() -> None:
    """A guard: once this fails, the SDK says so there, too, and `over_streams` can go."""
    world = World()
    world.faults["w/start"].append(Slow(20))
    async with ledger(world) as app, Client(server_over(app)) as client:
        await cancel_create(client, BASIC)
        await until(lambda: app.manager.view("one").state is ServiceState.RUNNING)
        assert said(app) == []


def request(number: int, method: str, params: dict[str, Any]) -> SessionMessage:
    return SessionMessage(JSONRPCRequest(jsonrpc="2.0", id=number, method=method, params=params))


@pytest.mark.virtual
async def test_a_client_that_is_gone_has_cancelled_nothing() -> None:
    world = World()
    world.faults["w/start"].append(Slow(20))
    async with ledger(world) as app, anyio.create_task_group() as tasks:
        app.cancelled_create = "compensate"
        server = server_over(app)
        async with create_client_server_memory_streams() as ((answers, requests), theirs):
            tasks.start_soon(server.run, *theirs, server.create_initialization_options())
            who = {"name": "test", "version": "1"}
            opening = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": who}
            await requests.send(request(1, "initialize", opening))
            await answers.receive()
            await requests.send(request(2, "tools/call", {"name": "service_create", "arguments": BASIC}))
            await until(lambda: app.manager.registry.find("one") is not None)
        await until(lambda: app.manager.view("one").state is ServiceState.RUNNING)
        assert said(app) == []


@pytest.mark.realtime
async def test_cancelling_over_http() -> None:
    world = World()
    async with ledger(world) as app:
        app.cancelled_create = "compensate"
        async with serving_http(
            lambda _toolset, _principal: server_over(app), HttpSettings("127.0.0.1", 0), version="0"
        ) as url:
            for mode in MODES:
                held = Held(anyio.Event())
                world.faults["w/start"].append(held)
                async with Client(url, mode=mode) as client, anyio.create_task_group() as tasks:
                    tasks.start_soon(client.call_tool, "service_create", {**BASIC, "name": mode})
                    await until(lambda: "w/start" in world.tools_called())
                    tasks.cancel_scope.cancel()
                await until(lambda name=mode: said(app, name))
                held.goes_on.set()
                await until(lambda name=mode: app.manager.registry.find(name) is None)
                assert said(app, mode)[0].endswith("it is stopped and removed (policy.cancelledCreate)")
                assert world.resources == {}
                world.calls.clear()
