"""How answers leave over HTTP: as one JSON body, as a stream once there is progress, and refused under load."""

import json
import socket
import struct
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Literal
from urllib.parse import urlsplit

import anyio
import anyio.abc
import httpx2
import pytest
from mcp import MCPError
from mcp.client import Client
from mcp.shared.subscriptions import ResourceUpdated
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from tests.support.http_session import Session
from tests.support.ledger_app import call, ledger, refusal, server_over
from tests.support.world import Held, World, until

from ostler.faces.daemon import http
from ostler.faces.daemon.http import HttpSettings, serving_http
from ostler.faces.daemon.http_answers import LoadShedding
from ostler.faces.mcp import toolbox
from ostler.faces.mcp.server import OstlerServer
from ostler.faces.mcp.toolbox import TOOLSETS


@asynccontextmanager
async def served() -> AsyncGenerator[tuple[OstlerServer, str, httpx2.AsyncClient]]:
    async with ledger(World()) as app:
        server = server_over(app)
        settings = HttpSettings("127.0.0.1", 0)
        async with (
            serving_http(lambda _toolset, _principal: server, settings, version="1") as url,
            httpx2.AsyncClient(timeout=60) as http,
        ):
            yield server, url, http


@pytest.mark.anyio
@pytest.mark.realtime
async def test_an_answer_is_one_json_body_where_nothing_goes_before_it() -> None:
    async with served() as (_, url, http):
        session = Session(http, url)
        for answer in (await session.open(), await session.call("service_list"), await session.post("no/such", {})):
            assert answer.headers["content-type"] == "application/json"
            assert int(answer.headers["content-length"]) == len(answer.content)
            assert answer.json()["id"] == 1
            assert answer.headers["mcp-session-id"]


@pytest.mark.anyio
@pytest.mark.realtime
@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
async def test_an_answer_that_is_not_accepted_says_what_to_accept(version: str) -> None:
    async with served() as (_, url, http):
        headers = {"accept": "application/json", "mcp-protocol-version": version, "mcp-method": "tools/list"}
        answer = await http.post(url, json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, headers=headers)
        assert (answer.status_code, "text/event-stream" in answer.json()["error"]["message"]) == (406, True)


@pytest.mark.anyio
@pytest.mark.realtime
@pytest.mark.skipif(sys.platform != "linux", reason="Linux counts what a connection has received")
async def test_header_and_body_of_an_answer_arrive_together() -> None:
    """A client that is woken by the header alone takes the processor from the server that is to write the body."""
    async with served() as (_, url, _), await anyio.connect_tcp("127.0.0.1", urlsplit(url).port or 0) as stream:
        facts = stream.extra(anyio.abc.SocketAttribute.raw_socket)
        for asked in range(1, 4):
            await stream.send(b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
            head, _, body = (await stream.receive()).partition(b"\r\n\r\n")
            assert f"content-length: {len(body)}".encode() in head
            assert _DATA_SEGMENTS.unpack_from(facts.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256))[0] == asked


_DATA_SEGMENTS = struct.Struct("152xI")
"""Where `struct tcp_info` has how many segments with data came in."""


@pytest.mark.anyio
@pytest.mark.realtime
async def test_progress_comes_before_the_answer_in_a_stream() -> None:
    async with served() as (_, url, http):
        session = Session(http, url)
        await session.open()
        params = {
            "name": "tool_call",
            "arguments": {"name": "w/status", "args": {"name": "one"}},
            "_meta": {"progressToken": "p"},
        }
        answer = await session.post("tools/call", params)
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
        assert [event.get("method", "answer") for event in events] == ["notifications/progress", "answer"]
        assert events[0]["params"]["message"] == "halfway"


@pytest.mark.anyio
@pytest.mark.realtime
async def test_only_sessions_with_an_open_stream_are_told_of_changes() -> None:
    async with served() as (server, url, http):
        idle, listening = Session(http, url), Session(http, url)
        await idle.open()
        await listening.open()
        assert server.subscriptions.listening == 0
        async with listening.stream() as stream:
            assert server.subscriptions.listening == 1
            created = await idle.call("service_create", name="one", serviceClassName="basic")
            assert not created.json()["result"].get("isError"), created.text
            with anyio.fail_after(60):
                async for line in stream.aiter_lines():
                    if "notifications/resources/list_changed" in line:
                        break
        with anyio.fail_after(60):
            while server.subscriptions.listening:
                await idle.call("service_list")
        async with listening.stream():
            assert server.subscriptions.listening == 1


@pytest.mark.anyio
@pytest.mark.realtime
async def test_more_requests_than_are_taken_are_told_when_to_come_back() -> None:
    reached, free = anyio.Event(), anyio.Event()

    async def slow(_request: Request) -> JSONResponse:
        reached.set()
        await free.wait()
        return JSONResponse({})

    app = LoadShedding(Starlette(routes=[Route("/", slow, methods=["POST"])]), limit=1)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test") as http:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(http.post, "/")
            await reached.wait()
            refused = await http.post("/")
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert "again after 1 s" in refused.json()["error"]["message"]
            free.set()
        assert (await http.post("/")).status_code == 200


@pytest.mark.anyio
@pytest.mark.realtime
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_call_under_way_when_the_server_ends_is_answered(
    mode: Literal["auto", "legacy"], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "SHUTDOWN_GRACE", 0)
    world, held = World(), Held(anyio.Event())
    world.faults["w/status"].append(held)
    told = ""
    async with ledger(world) as app, anyio.create_task_group() as tasks:
        server = server_over(app)

        async def serve(*, task_status: anyio.abc.TaskStatus[str]) -> None:
            settings = HttpSettings("127.0.0.1", 0)
            async with serving_http(lambda _toolset, _principal: server, settings, version="1") as url:
                task_status.started(url)
                await until(lambda: world.tools_called("w/status"))

        async with Client(await tasks.start(serve), mode=mode) as client:
            try:
                await client.call_tool("tool_call", {"name": "w/status", "args": {"name": "one"}})
            except MCPError as error:
                told = str(error)
        held.goes_on.set()
    assert "ended while this call was under way (it was stopped)" in told
    assert "Exception in ASGI application" not in caplog.text


@pytest.mark.anyio
@pytest.mark.realtime
@pytest.mark.parametrize("way", ["short", "sdk"])
async def test_streams_of_changes_end_as_they_should_when_the_server_ends(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "SHUTDOWN_GRACE", 60)  # none of them is cut off
    seen: list[Any] = []
    lines: list[str] = []
    ending = anyio.Event()
    async with ledger(World()) as app, anyio.create_task_group() as tasks:
        server = server_over(app)
        if way == "sdk":
            server.listening = None

        async def serve(*, task_status: anyio.abc.TaskStatus[str]) -> None:
            settings = HttpSettings("127.0.0.1", 0)
            async with serving_http(lambda _toolset, _principal: server, settings, version="1") as url:
                task_status.started(url)
                await ending.wait()

        url = await tasks.start(serve)
        async with httpx2.AsyncClient(timeout=60) as client:
            older = Session(client, url)
            await older.open()
            async with (
                Client(url) as modern,
                modern.listen(resource_subscriptions=["service://one"]) as changes,
                older.stream() as stream,
            ):
                await call(modern, "service_create", serviceClassName="basic", name="one", start=False)
                ending.set()
                with anyio.fail_after(30):
                    seen = [change async for change in changes]  # a stream that is lost raises
                    lines = [line async for line in stream.aiter_lines()]  # and this one, if it is cut off
    assert ResourceUpdated("service://one") in seen
    assert any("list_changed" in line for line in lines)


@pytest.mark.anyio
async def test_more_calls_than_are_taken_are_an_error_that_says_when(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolbox, "MAX_CALLS", 1)
    async with ledger(World()) as app, Client(server_over(app)) as client:
        await call(client, "service_create", name="one", serviceClassName="basic")
        async with anyio.create_task_group() as tasks:
            waits = {"name": "one", "state": ["stopped"], "timeout": "20s"}
            tasks.start_soon(client.call_tool, "service_wait", waits)
            await anyio.wait_all_tasks_blocked()
            text, facts = await refusal(client, "service_list")
            assert "again after 1 s" in text
            assert (facts["code"], facts["retryable"]) == ("busy", True)
            tasks.cancel_scope.cancel()
        await call(client, "service_list")


@pytest.mark.anyio
async def test_a_call_over_http_does_not_list_the_tools_for_its_headers() -> None:
    async with ledger(World()) as app:
        server = server_over(app)
        assert server.get_tool_input_schema is not None
        for toolset in TOOLSETS:
            async with Client(server_over(app, toolset)) as client:
                for tool in (await client.list_tools()).tools:  # none has an argument that goes into a header
                    assert server.get_tool_input_schema(tool.name) is None
                    assert "x-mcp-header" not in str(tool.input_schema)
