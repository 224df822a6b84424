"""The dashboard's page as it is served: what it may load and run, who may have it, and what it is told."""

import base64
import hashlib
import json
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

import anyio
import httpx2
import pytest
from mcp.client import Client
from tests.support.ledger_app import LedgerApplication, call, ledger, server_over
from tests.support.world import World, manifest

from ostler.faces.daemon.http import HttpSettings, serving_http
from ostler.faces.dashboard.codes import MAX_CODES, VALID_SECONDS, OneTimeCodes
from ostler.faces.dashboard.document import LIBRARIES, SCRIPTS, page

TOKEN = "a-secret-of-some-length"


@asynccontextmanager
async def served(codes: OneTimeCodes | None = None, **settings: Any) -> AsyncGenerator[tuple[str, LedgerApplication]]:
    async with (
        ledger(World()) as app,
        serving_http(
            lambda _toolset, _principal: server_over(app),
            HttpSettings("127.0.0.1", 0, **settings),
            version="1",
            codes=codes,
        ) as url,
    ):
        yield url.removesuffix("/mcp"), app


def test_nothing_but_the_page_s_own_parts_may_run_and_nothing_is_loaded() -> None:
    shown = page()
    policy = dict(part.split(" ", 1) for part in shown.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    for element, directive in (("script", "script-src"), ("style", "style-src")):
        parts = re.findall(rf"<{element}[^>]*>(.*?)</{element}>", shown.html, re.DOTALL)
        hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()}'" for part in parts]
        assert hashes == policy[directive].split()
    assert re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", shown.html) == []


def test_every_script_and_library_is_in_the_page_as_published_with_its_licence() -> None:
    static = files("ostler.faces.dashboard") / "static"
    vendor = static / "vendor"
    assert {each.name for each in static.iterdir() if each.name.endswith(".js")} == set(SCRIPTS)
    versions = json.loads((vendor / "versions.json").read_text())
    assert {f"vendor/{name}" for name in versions} == set(LIBRARIES)
    for name, facts in versions.items():
        assert hashlib.sha256((vendor / name).read_bytes()).hexdigest() == facts["sha256"], name
        assert (vendor / facts["licenseFile"]).read_text().strip()


def test_a_code_gives_the_token_once_and_not_too_late() -> None:
    time = [0.0]
    codes = OneTimeCodes(TOKEN, now=lambda: time[0])
    code, late = codes.make(), codes.make()
    assert codes.exchange("\ud800") is None
    assert codes.exchange("") is None
    assert codes.exchange(code) == TOKEN
    assert codes.exchange(code) is None
    time[0] = VALID_SECONDS + 1
    assert codes.exchange(late) is None
    oldest, *_ = [codes.make() for _ in range(MAX_CODES + 1)]
    assert codes.exchange(oldest) is None


@pytest.mark.anyio
@pytest.mark.realtime
async def test_the_page_is_for_anyone_on_an_allowed_host_and_what_it_shows_is_not() -> None:
    codes = OneTimeCodes(TOKEN)
    async with served(codes, token=TOKEN) as (url, _), httpx2.AsyncClient(base_url=url) as web:
        shown = await web.get("/")
        assert (shown.status_code, shown.text) == (200, page().html)
        assert TOKEN not in shown.text
        assert (await web.get("/", headers={"if-none-match": shown.headers["etag"]})).status_code == 304
        assert (await web.get("/", headers={"host": "evil.example"})).status_code == 421
        assert (await web.get("/", headers={"origin": "https://evil.example"})).status_code == 403
        assert (await web.get("/dashboard")).status_code == 401
        code = codes.make()
        sent = {"code": code}
        foreign = {"origin": "https://evil.example"}
        assert (await web.post("/dashboard/session", json=sent, headers=foreign)).status_code == 403
        assert (await web.post("/dashboard/session", content=json.dumps({"code": code}))).status_code == 400
        assert (await web.post("/dashboard/session", json={"code": code + "x" * 1000})).status_code == 403
        for body in ("no json", "[1]", '{"code": {"a": 1}}'):
            headers = {"content-type": "application/json"}
            assert (await web.post("/dashboard/session", content=body, headers=headers)).status_code == 403
        assert (await web.post("/dashboard/session", json=sent)).json() == {"token": TOKEN}
        assert (await web.post("/dashboard/session", json=sent)).status_code == 403


@pytest.mark.anyio
@pytest.mark.virtual
async def test_a_lease_that_has_ended_is_not_shown_as_to_come() -> None:
    async with ledger(World(), manifest()) as app, Client(server_over(app)) as client:
        await call(client, "service_create", serviceClassName="basic", name="one", lease="10s")
        await anyio.sleep(20)
        found = await client.read_resource("ostler://dashboard")
        (one,) = json.loads(found.contents[0].text)["services"]  # pyright: ignore[reportAttributeAccessIssue]
        assert (one["state"], one["reason"]) == ("stopped", "lease-expired")
        assert "leaseEndsAt" not in one


@pytest.mark.anyio
@pytest.mark.virtual
async def test_the_resource_says_all_and_then_what_has_changed() -> None:
    async with ledger(World(), manifest()) as app, Client(server_over(app)) as client:

        async def read(*since: object) -> Any:
            uri = "/".join(["ostler://dashboard", *map(str, since)])
            found = await client.read_resource(uri)
            return json.loads(found.contents[0].text)  # pyright: ignore[reportAttributeAccessIssue]

        for name in ("one", "two"):
            await call(client, "service_create", serviceClassName="basic", name=name, lease="1h")
        await anyio.sleep(15)  # both were checked
        whole = await read()
        assert whole["complete"]
        one, two = whole["services"]
        assert (one["name"], one["state"], two["state"]) == ("one", "running", "running")
        assert one["outputs"]["url"].startswith("ledger://")
        assert "leaseEndsAt" in one
        assert [event["cursor"] for event in whole["events"]] == [*range(1, whole["cursor"] + 1)]
        quiet = await read(whole["cursor"], 0)
        assert (quiet["complete"], quiet["services"], quiet["removed"], quiet["events"]) == (False, [], [], [])
        await call(client, "service_stop", name="one")
        await call(client, "service_delete", name="two")
        changed = await read(whole["cursor"], 0)
        assert [(each["name"], each["state"]) for each in changed["services"]] == [("one", "stopped")]
        assert "leaseEndsAt" not in changed["services"][0]
        assert "checks" not in changed
        await call(client, "service_start", name="one")
        started = await read(changed["cursor"], 0)
        await anyio.sleep(15)  # it is checked again, and is well
        checked = await read(app.manager.events.last_cursor, 1)
        assert (checked["services"], set(checked["checks"]), checked["usage"]) == ([], {"one"}, {})
        assert min(checked["checks"]["one"]) > started["at"]
        assert changed["removed"] == ["two"]
        assert (await read(whole["cursor"] + 10_000, 0))["complete"]


@pytest.mark.anyio
async def test_three_tools_name_the_page_that_clients_show_with_their_answers() -> None:
    async with ledger(World()) as app, Client(server_over(app)) as client:
        tools = (await client.list_tools()).tools
        pages = {tool.name: tool.meta["ui"]["resourceUri"] for tool in tools if tool.meta}
        assert set(pages) == {"service_list", "service_status", "project_status"}
        (uri,) = set(pages.values())
        (content,) = (await client.read_resource(uri)).contents
        assert content.mime_type == "text/html;profile=mcp-app"
        assert content.text == page().html  # pyright: ignore[reportAttributeAccessIssue]
        assert "io.modelcontextprotocol/ui" in (client.server_capabilities.extensions or {})
