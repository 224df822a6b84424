"""Claude Code's channels: only who asked gets notices, and only of services that concern them."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from mcp.shared.memory import create_client_server_memory_streams
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCNotification, JSONRPCRequest
from tests.support.ledger_app import LedgerApplication, ledger, quiet, server_over
from tests.support.world import World, until

from ostler.engine.services.views import CreateRequest, ProjectRef
from ostler.faces.client_facts import client_of
from ostler.faces.entry import bridge_options
from ostler.faces.mcp.channels import with_channel
from ostler.model.events import EventKind

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]

METHOD = "notifications/claude/channel"
WHO = {"name": "test", "version": "1"}
OPENING = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": WHO}


@asynccontextmanager
async def session(app: LedgerApplication, hello: dict[str, Any]) -> AsyncGenerator[tuple[dict[str, Any], list[Any]]]:
    """Open a session as the server does for a bridge; yield what `initialize` answers, and all that comes after it."""
    server = server_over(app)
    options = server.create_initialization_options()
    options = with_channel(options) if hello.get("channel") else options
    pushed: list[Any] = []
    async with (
        create_client_server_memory_streams() as ((answers, requests), theirs),
        anyio.create_task_group() as tasks,
    ):
        with client_of(hello):  # these streams carry the sender's context, others that of the connection
            tasks.start_soon(server.run, *theirs, options)
            opening = JSONRPCRequest(jsonrpc="2.0", id=1, method="initialize", params=OPENING)
            await requests.send(SessionMessage(opening))
            opened: Any = await answers.receive()
            done = JSONRPCNotification(jsonrpc="2.0", method="notifications/initialized")
            await requests.send(SessionMessage(done))

        async def read() -> None:
            async for each in answers:
                pushed.append(each.message)  # noqa: PERF401  # pyright: ignore[reportAttributeAccessIssue]

        tasks.start_soon(read)
        await anyio.sleep(0.1)
        yield opened.message.result, pushed
        tasks.cancel_scope.cancel()


def notices(pushed: list[Any]) -> list[dict[str, Any]]:
    return [each.params for each in pushed if each.method == METHOD]


async def crash(app: LedgerApplication, world: World, name: str) -> None:
    world.resources.clear()
    while app.manager.view(name).state.is_up:
        await app.manager.check_health(name)


async def test_a_crash_and_a_recovery_are_pushed_to_who_asked() -> None:
    world = World()
    async with (
        ledger(world, quiet(restartPolicy={"policy": "on-failure"})) as app,
        session(app, {"channel": True}) as (opened, asking),
        session(app, {}) as (plain, other),
    ):
        assert opened["capabilities"]["experimental"] == {"claude/channel": {}}
        assert '<channel source="ostler"' in opened["instructions"]
        assert "experimental" not in plain["capabilities"]
        await app.manager.create(CreateRequest("basic", "web"))
        await crash(app, world, "web")
        await until(lambda: len(notices(asking)) == 2)
        crashed, recovered = notices(asking)
        assert crashed["content"].startswith("service web crashed (running -> failed")
        assert crashed["meta"]["kind"] == "crashed"
        assert crashed["meta"]["service"] == "web"
        assert all(isinstance(value, str) for value in crashed["meta"].values())
        assert recovered["meta"]["kind"] == "recovered"
        assert notices(other) == []


async def test_a_stop_is_no_crash_and_other_projects_are_not_heard_of(tmp_path: Any) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    async with ledger(World()) as app:
        for folder in (ours, theirs):
            project = ProjectRef(folder.name, str(folder))
            await app.manager.create(CreateRequest("basic", f"web.{folder.name}", project=project))
        async with session(app, {"channel": True, "directory": str(ours)}) as (_, pushed):
            await app.manager.stop_service("web.ours")
            for name in ("web.theirs", "web.ours"):
                app.manager.events.append(EventKind.LEASE_EXPIRED, name, "lease ended; stopping")
            await until(lambda: notices(pushed))
            assert [each["meta"]["service"] for each in notices(pushed)] == ["web.ours"]


def test_the_bridge_takes_the_option() -> None:
    assert bridge_options(["serve", "--channel"]) == {"channel": "yes"}
    assert bridge_options(["serve"]) == {}
