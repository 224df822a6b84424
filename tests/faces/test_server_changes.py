"""Servers that clients add, change and remove: over MCP, with real files and real downstream servers."""

import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from mcp.client import Client
from tests.support.ledger_app import call, refusal

from ostler.adapters.config.paths import Paths
from ostler.faces.application import Application
from ostler.faces.assembly import open_application
from ostler.faces.mcp.server import build_server

SCRIPT = Path(__file__).parents[1] / "support" / "scripted_server.py"
pytestmark = [pytest.mark.anyio, pytest.mark.realtime]


@pytest.fixture
def paths(state_dir: Path) -> Paths:
    return Paths.resolve(state_dir / "config", state_dir / "state")


@asynccontextmanager
async def opened(paths: Paths) -> AsyncGenerator[tuple[Client, Application]]:
    async with open_application(paths, stop_on_exit=True) as app, Client(build_server(app)) as client:
        yield client, app


def written(paths: Paths) -> dict[str, object]:
    return json.loads(paths.own_servers.read_text())["mcpServers"]


async def test_a_server_is_added_changed_and_removed_and_each_is_in_force_at_once(paths: Paths) -> None:
    async with opened(paths) as (client, _):
        made = await call(client, "mcpserver_create", name="one", command=sys.executable, args=[str(SCRIPT)])
        assert made["mcpServer"]["state"] == "connected"
        listed = await call(client, "tool_list", server="one", limit=200)
        assert listed["total"] == made["mcpServer"]["tools"] > 0
        changed = await call(client, "mcpserver_update", name="one", entry={"env": {"GREETING": "hello"}})
        assert changed["mcpServer"]["state"] == "connected"
        assert written(paths) == {
            "one": {"command": sys.executable, "args": [str(SCRIPT)], "env": {"GREETING": "hello"}}
        }
    async with opened(paths) as (client, app):
        assert "one" in app.downstream.names()
        assert not paths.mcp_json.exists()
        # a broken file of someone else keeps no server that was removed on purpose
        paths.mcp_json.write_text("{")
        await app.reload_servers()
        await call(client, "mcpserver_delete", name="one")
        assert "one" not in app.downstream.names()
        assert written(paths) == {}


async def test_what_a_person_wrote_is_not_changed(paths: Paths) -> None:
    paths.config_dir.mkdir(parents=True)
    text = '{"mcpServers": {"mine": {"command": "/no/such/program"}}}  // as it is'
    paths.mcp_json.write_text(text)
    async with opened(paths) as (client, _):
        reported, _ = await refusal(client, "mcpserver_create", name="mine", command="x")
        assert "MCP server 'mine' already exists" in reported
        for tool, args in (("mcpserver_update", {"entry": {"command": "x"}}), ("mcpserver_delete", {})):
            reported, _ = await refusal(client, tool, name="mine", **args)
            assert f"is in {paths.mcp_json}, which a person wrote" in reported
        assert "is part of Ostler" in (await refusal(client, "mcpserver_delete", name="process"))[0]
        assert "'other' not found" in (await refusal(client, "mcpserver_delete", name="other"))[0]
    assert paths.mcp_json.read_text() == text
    assert not paths.own_servers.exists()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"name": "a b", "command": "x"}, "for example 'a-b'"),
        ({"name": "ostler", "command": "x"}, "Ostler itself"),
        ({"name": "x"}, "needs `command` or `url`"),
        ({"name": "x", "command": "x", "url": "http://127.0.0.1:1/mcp"}, "either 'command' or 'url'"),
        ({"name": "x", "url": "http://127.0.0.1:1/mcp", "type": "stdio"}, "needs 'command'"),
        ({"name": "command", "command": "x", "type": "carrier-pigeon"}, "carrier-pigeon"),
    ],
)
async def test_a_wrong_entry_is_refused_and_nothing_is_written(paths: Paths, args: dict[str, str], said: str) -> None:
    async with opened(paths) as (client, _):
        assert said in (await refusal(client, "mcpserver_create", **args))[0]
    assert not paths.own_servers.exists()


async def test_an_entry_is_checked_without_being_written(paths: Paths) -> None:
    async with opened(paths) as (client, app):
        good = await call(client, "mcpserver_validate", name="x", entry={"url": "http://127.0.0.1:1/mcp"})
        assert good["valid"]
        other, _ = await refusal(client, "mcpserver_validate", name="x", entry={"cmd": "x", "description": "mine"})
        assert "needs `command` or `url`; it has only 'cmd', 'description'" in other, other
        bad = await call(client, "mcpserver_validate", name="x", command="x", type="sse")
        assert not bad["valid"]
        assert "needs 'url'" in bad["findings"][0]["message"]
        assert "x" not in app.downstream.names()
    assert not paths.own_servers.exists()


async def test_a_server_that_cannot_be_connected_is_kept_and_says_why(paths: Paths) -> None:
    async with opened(paths) as (client, _):
        made = await call(client, "mcpserver_create", name="one", command="/no/such/program")
        assert made["mcpServer"]["state"] != "connected"
        assert "/no/such/program" in json.dumps(made["mcpServer"]["lastError"])
        fixed = await call(client, "mcpserver_update", name="one", command=sys.executable, args=[str(SCRIPT)])
        assert fixed["mcpServer"]["state"] == "connected"


async def test_a_server_that_drives_services_is_kept(paths: Paths) -> None:
    async with opened(paths) as (client, app):
        await call(client, "mcpserver_create", name="one", command=sys.executable, args=[str(SCRIPT)], autoStart=False)
        manifest = {
            "apiVersion": "ostler/v1",
            "kind": "ServiceClass",
            "metadata": {"name": "driven"},
            "spec": {
                "serviceConfig": {"lifecycleTools": {"start": {"tool": "one/start"}, "stop": {"tool": "one/stop"}}}
            },
        }
        await call(client, "serviceclass_create", manifest=json.dumps(manifest))
        await call(client, "service_create", serviceClassName="driven", name="d", start=False)
        assert "'one' drives d" in (await refusal(client, "mcpserver_delete", name="one"))[0]
        await call(client, "mcpserver_delete", name="one", force=True)
        assert "one" not in app.downstream.names()
