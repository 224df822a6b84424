"""Loaded classes are checked against the tools that servers list, again whenever either changes."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from mcp.client import Client
from tests.support.ledger_app import SCHEMA, LedgerApplication, call, ledger, quiet, refusal, server_over
from tests.support.world import World

from ostler.engine.classes.catalogue import ClassEntry
from ostler.engine.protocols import ToolInfo
from ostler.model.events import EventKind
from ostler.rules.reading import load_manifests

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def reviewed(world: World) -> AsyncGenerator[LedgerApplication]:
    """Run the ledger with its review, and wait until the class has been looked at once."""
    async with ledger(world) as app, anyio.create_task_group() as group:
        await group.start(app.review.run)
        await anyio.sleep(1)
        yield app
        group.cancel_scope.cancel()


def said(app: LedgerApplication) -> list[str]:
    page = app.manager.events.read(since=0)
    return [event.message for event in page.events if event.kind is EventKind.CLASS_CHECKED]


def list_other_tools(app: LedgerApplication, schema: dict[str, Any]) -> None:
    """The server lists `start` with another schema from now on, and says so."""
    tools = [
        ToolInfo("w", tool.name, "", schema if tool.name == "start" else tool.input_schema)
        for tool in app.pool.list_tools()
    ]
    app.pool.listed = tools
    app.pool.tell("w")


async def settled(app: LedgerApplication, count: int) -> None:
    with anyio.fail_after(30):
        while len(said(app)) < count:
            await anyio.sleep(0.1)


@pytest.mark.realtime  # the check runs in a thread, which virtual time does not wait for
async def test_other_tools_of_a_server_are_checked_against_its_classes() -> None:
    async with reviewed(World()) as app:
        assert said(app) == []
        name = quiet().name
        list_other_tools(app, {"type": "object", "properties": {"id": {}}, "required": ["id"]})
        await settled(app, 1)
        assert f"class {name} does not fit the tools of w: " in said(app)[0]
        assert "keep the plan they were started with" in said(app)[0]
        async with Client(server_over(app)) as client:
            found = await call(client, "serviceclass_available", name=name)
            assert found["available"]
            assert {finding["rule"] for finding in found["findings"]} == {"unknown-arg", "missing-arg"}
            listed = await call(client, "serviceclass_list")
            assert listed["serviceClasses"][0]["problems"] == len(found["findings"])
        list_other_tools(app, SCHEMA)
        await settled(app, 2)
        assert said(app)[1] == f"class {name} fits the tools of w again"
        app.pool.tell("w")
        await anyio.sleep(1)
        assert len(said(app)) == 2, "the same tools again are no news"


@pytest.mark.realtime
async def test_a_shipped_class_is_checked_against_the_built_in_server_only_if_that_lacks_a_tool() -> None:
    text = quiet().text.replace("w/", "process/")
    shipped = ClassEntry.of(load_manifests(text)[0], origin="shipped")
    closed = {"type": "object", "properties": {}, "additionalProperties": False}
    tools = [ToolInfo("process", call.tool_name, "", closed) for _, call in shipped.service_class.tools.calls]
    async with ledger(World(), shipped) as app, anyio.create_task_group() as group:
        app.pool.listed = tools
        await group.start(app.review.run)
        await anyio.sleep(1)
        assert said(app) == [], "no tool takes an argument, and that was not checked"
        app.pool.listed = tools[1:]
        app.pool.tell("process")
        await settled(app, 1)
        assert f"class {shipped.name} does not fit the tools of process: " in said(app)[0]
        group.cancel_scope.cancel()


async def test_a_class_is_checked_by_name_or_as_text() -> None:
    async with ledger(World()) as app, Client(server_over(app)) as client:
        name = quiet().name
        clean = await call(client, "serviceclass_check", name=name)
        assert (clean["clean"], clean["classes"], clean["findings"]) == (True, [name], [])
        text = app.classes.get(name).text.replace("w/start", "w/strat")
        found = await call(client, "serviceclass_check", manifest=text)
        assert [finding["rule"] for finding in found["findings"]] == ["unknown-tool"]
        assert found["findings"][0]["line"] > 0
        broken = await call(client, "serviceclass_check", manifest="kind: ServiceClass")
        assert "missing-key" in {finding["rule"] for finding in broken["findings"]}
        text, error = await refusal(client, "serviceclass_check")
        assert "one of 'name' and 'manifest' is required" in text
        assert error["code"] == "arguments"
        await refusal(client, "serviceclass_check", name="nothing")
