"""What HTTP serves where, and to whom: a toolset for each path, pages of allowed origins, hosts without a port."""

import http.client
import json
import shutil
import subprocess
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import httpx2
import pytest
from mcp.client import Client
from tests.support.ledger_app import call, ledger, server_over, text_of
from tests.support.world import World

from ostler.faces.daemon.http import HttpSettings, serving_http
from ostler.faces.mcp.toolbox import NAMES, tools_of

pytestmark = [pytest.mark.anyio, pytest.mark.realtime]

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}
HEADERS = {"accept": "application/json, text/event-stream", "content-type": "application/json"}


@asynccontextmanager
async def served(**settings: Any) -> AsyncGenerator[str]:
    async with ledger(World()) as app:
        servers = {name: server_over(app, name or "full") for name in ("", "core")}
        address = HttpSettings("127.0.0.1", 0, **settings)
        async with serving_http(lambda name, _: servers[name], address, version="1", toolsets=("core",)) as url:
            yield url


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_path_is_a_toolset_of_the_same_services(mode: Any) -> None:
    hidden = NAMES - {tool.name for tool in tools_of("core")}
    async with served() as url, Client(url, mode=mode) as full, Client(f"{url}/core", mode=mode) as core:
        assert {tool.name for tool in (await full.list_tools()).tools} == NAMES
        assert {tool.name for tool in (await core.list_tools()).tools} == NAMES - hidden
        await call(core, "service_create", serviceClassName="basic", name="one")
        assert (await call(full, "service_list"))["total"] == 1
        failed = await core.call_tool("service_create", {"serviceClassName": "nothing"})
        for said in (core.instructions or "", text_of(failed)):
            assert not [name for name in hidden if name in said], said


async def test_pages_of_allowed_origins_may_read_answers_and_others_not() -> None:
    async with served(allowed_origins=("https://app.example",)) as url, httpx2.AsyncClient() as web:
        asks = {"access-control-request-method": "POST", "access-control-request-headers": "mcp-session-id"}
        for origin in ("https://app.example", "http://localhost:5173", "http://localhost"):
            allowed = await web.options(url, headers={"origin": origin, **asks})
            assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, origin)
            assert "mcp-session-id" in allowed.headers["access-control-allow-headers"].lower()
            answer = await web.post(url, json=INITIALIZE, headers={"origin": origin, **HEADERS})
            assert answer.headers["access-control-allow-origin"] == origin
            assert "Mcp-Session-Id" in answer.headers["access-control-expose-headers"]
            assert answer.headers["mcp-session-id"]
        for origin in ("https://evil.example", "https://app.example.evil.example", "http://localhost.evil.example:80"):
            refused = await web.options(url, headers={"origin": origin, **asks})
            assert refused.status_code == 400
            assert "access-control-allow-origin" not in refused.headers
            assert (await web.post(url, json=INITIALIZE, headers={"origin": origin, **HEADERS})).status_code == 403


async def test_a_token_is_not_asked_of_a_preflight_and_its_refusal_can_be_read() -> None:
    async with served(token="a-secret-of-some-length") as url, httpx2.AsyncClient() as web:
        origin = {"origin": "http://localhost:5173"}
        asks = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
        assert (await web.options(url, headers={**origin, **asks})).status_code == 200
        refused = await web.post(url, json=INITIALIZE, headers={**origin, **HEADERS})
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "http://localhost:5173")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "mcp.example"])
async def test_a_host_on_the_own_port_of_http_is_sent_without_it(host: str) -> None:
    async with served(allowed_hosts=("mcp.example:*",)) as url, httpx2.AsyncClient() as web:
        assert (await web.post(url, json=INITIALIZE, headers={"host": host, **HEADERS})).status_code == 200
        assert (await web.post(url, json=INITIALIZE, headers={"host": f"{host}.evil", **HEADERS})).status_code == 421


async def test_a_stranger_with_the_token_is_refused_and_the_answer_says_how_to_allow_the_name() -> None:
    token = "a-secret-of-some-length"
    headers = {**HEADERS, "authorization": f"Bearer {token}"}
    async with served(token=token) as url, httpx2.AsyncClient() as web:
        assert (await web.post(url, json=INITIALIZE, headers=headers)).status_code == 200
        for name, value in (("host", "evil.example"), ("origin", "https://evil.example")):
            refused = await web.post(url, json=INITIALIZE, headers={**headers, name: value})
            assert refused.status_code == (421 if name == "host" else 403)
            assert "evil.example" in refused.json()["error"]["message"]
            assert "under [http] in ostler.toml" in refused.json()["error"]["message"]


async def test_blanks_around_the_value_of_a_header_do_not_count() -> None:
    async with served() as url:
        parts = urlsplit(url)
        headers = {**HEADERS, "origin": " http://localhost \t "}

        def post() -> int:
            with closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)) as connection:
                connection.request("POST", parts.path, json.dumps(INITIALIZE), headers)
                return connection.getresponse().status

        assert await anyio.to_thread.run_sync(post) == 200


PAGE = """<!doctype html><body><script>
const headers = {"accept": "application/json, text/event-stream", "content-type": "application/json"};
const say = text => parent.postMessage(`${location.hostname} ${text}`, "*");
onmessage = event => document.body.append(`[${event.data}]`);
fetch("URL", {method: "POST", headers, body: JSON.stringify(BODY)})
  .then(answer => say("session " + !!answer.headers.get("mcp-session-id")), () => say("refused"));
if (location.hostname == "localhost") {
  const frame = document.createElement("iframe");
  frame.src = location.href.replace("localhost", "127.0.0.2");
  document.body.append(frame);
}
</script>"""
"""A page that shows what it, and the same page of another origin inside it, could read of an answer."""


@pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed")
async def test_a_real_browser_reads_the_session_on_an_allowed_origin_alone() -> None:
    async with served() as url:
        text = PAGE.replace("URL", url).replace("BODY", json.dumps(INITIALIZE)).encode()

        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/html")
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (as in http.server)
                pass

        with ThreadingHTTPServer(("", 0), Page) as pages:
            threading.Thread(target=pages.serve_forever, daemon=True).start()
            try:
                seen = ""
                with anyio.fail_after(240):
                    while seen.count("[") < 2:  # the page is shown when its time is over, finished or not
                        seen = await shown(f"http://localhost:{pages.server_port}/")
            finally:
                await anyio.to_thread.run_sync(pages.shutdown)
    assert "[localhost session true]" in seen
    assert "[127.0.0.2 refused]" in seen


async def shown(url: str) -> str:
    """Return what a browser makes of a page."""
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000", "--dump-dom")
    done = await anyio.run_process(["chromium", *flags, url], stderr=subprocess.DEVNULL)
    return done.stdout.decode().partition("</script>")[2]
