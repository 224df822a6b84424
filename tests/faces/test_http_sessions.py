"""Sessions over HTTP: they outlive the server that opened them, and end when their client ends them."""

import gc
import json
import stat
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from weakref import ref

import anyio
import httpx2
import pytest
from mcp.server.lowlevel import Server
from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult, TextContent
from starlette.types import Message, Receive, Scope, Send
from tests.support.http_session import Session
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from ostler.faces.daemon.http import HttpSettings, serving_http
from ostler.faces.daemon.http_sessions import LastingSessions, session_key

KEY = b"k" * 32

pytestmark = [pytest.mark.anyio, pytest.mark.realtime]


async def no_tools(_context: Any, _params: Any) -> ListToolsResult:
    return ListToolsResult(tools=[])


class Who:
    """Answers with what the server knows of its client, or with how many sessions have called."""

    def __init__(self) -> None:
        self.sessions: set[str] = set()

    async def call(self, context: Any, params: CallToolRequestParams) -> CallToolResult:
        client = context.session.client_params
        self.sessions.add(context.request.headers["mcp-session-id"])
        said = f"{client.client_info.name} {client.capabilities.model_dump_json(exclude_none=True)}"
        if params.name == "sessions":
            said = str(len(self.sessions))
        return CallToolResult(content=[TextContent(type="text", text=said)])


@asynccontextmanager
async def serving(key: bytes, port: int = 0) -> AsyncGenerator[str]:
    server = Server[Any]("who", on_list_tools=no_tools, on_call_tool=Who().call)
    async with serving_http(
        lambda _toolset, _principal: server, HttpSettings("127.0.0.1", port, session_key=key), version="1"
    ) as url:
        yield url


@asynccontextmanager
async def after_a_restart(said: dict[str, Any] | None = None, *, later: bytes = KEY) -> AsyncGenerator[Session]:
    """Yield a session of an earlier server at the address of the one that runs now."""
    async with httpx2.AsyncClient(timeout=60) as http:
        async with serving(KEY) as url:
            session = Session(http, url)
            await session.open(said)
            assert (await session.call("who")).status_code == 200
        async with serving(later, urlsplit(url).port or 0):
            yield session


async def test_a_session_goes_on_with_the_next_server() -> None:
    async with after_a_restart() as session:
        held = session.headers["mcp-session-id"]
        for _ in range(2):
            answer = await session.call("who")
            assert answer.json()["result"]["content"][0]["text"] == "test {}"
            assert answer.headers["mcp-session-id"] == held


async def test_a_session_that_waits_keeps_nothing_of_a_connection_that_was_closed() -> None:
    """A thousand of them took 46 MiB, and 5 of these were connections."""
    async with serving(KEY) as url:
        async with httpx2.AsyncClient(timeout=60) as http:
            session = Session(http, url)
            await session.open()
            open_ones = [ref(value) for value in gc.get_objects() if isinstance(value, RequestResponseCycle)]
            assert any(one() is not None for one in open_ones)
        with anyio.fail_after(60):
            while any(one() is not None for one in open_ones):
                gc.collect()
                await anyio.sleep(0.01)
        async with httpx2.AsyncClient(timeout=60) as http:
            again = Session(http, url, session.headers)
            assert (await again.call("sessions")).json()["result"]["content"][0]["text"] == "1"


async def test_the_next_server_knows_what_the_client_can_do() -> None:
    opening = {"capabilities": {"elicitation": {"form": {}}}, "clientInfo": {"name": "asks", "version": "1"}}
    async with after_a_restart(opening) as session:
        answer = await session.call("who")
        assert answer.json()["result"]["content"][0]["text"] == 'asks {"elicitation":{"form":{}}}'


async def test_a_second_request_with_the_id_of_one_under_way_is_refused_and_the_first_is_answered() -> None:
    waits, goes_on = anyio.Event(), anyio.Event()

    async def call(_context: Any, params: CallToolRequestParams) -> CallToolResult:
        if params.name == "wait":
            waits.set()
            await goes_on.wait()
        return CallToolResult(content=[TextContent(type="text", text=params.name)])

    server = Server[Any]("waits", on_list_tools=no_tools, on_call_tool=call)
    async with (
        serving_http(
            lambda _toolset, _principal: server, HttpSettings("127.0.0.1", 0, session_key=KEY), version="1"
        ) as url,
        httpx2.AsyncClient(timeout=60) as http,
        anyio.create_task_group() as tasks,
    ):
        session = Session(http, url)
        await session.open()

        async def first() -> None:
            answer = await session.call("wait")
            assert answer.json()["result"]["content"][0]["text"] == "wait"

        tasks.start_soon(first)
        await waits.wait()
        for number in (1, "1"):
            refused = await session.post("tools/call", {"name": "other", "arguments": {}}, number)
            assert (refused.status_code, refused.json()["id"]) == (400, number)
            assert "under way" in refused.json()["error"]["message"]
        other = await session.post("tools/call", {"name": "other", "arguments": {}}, 2)
        assert other.json()["result"]["content"][0]["text"] == "other"
        goes_on.set()


async def test_the_end_of_a_stream_does_not_forget_the_next_request_with_its_id() -> None:
    answers = {"first": anyio.Event(), "next": anyio.Event()}
    ends = anyio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        said = json.loads((await receive())["body"])["method"]
        headers = [(b"mcp-session-id", b"x")] if said == "initialize" else []
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if said in answers:
            await answers[said].wait()
            await send({"type": "http.response.body", "body": b'data: {"id": 1, "result": {}}\n\n', "more_body": True})
            await ends.wait()
        await send({"type": "http.response.body", "body": b""})

    sessions = LastingSessions(app, KEY)

    async def ask(method: str, held: bytes = b"") -> list[Message]:
        sent: list[Message] = []
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method}).encode()

        async def receive() -> Message:
            return {"type": "http.request", "body": body}

        async def send(message: Message) -> None:
            sent.append(message)
            if message.get("more_body"):  # the client has its answer, and sends the next one
                tasks.start_soon(ask, "next", held)
                await anyio.wait_all_tasks_blocked()
                ends.set()

        scope = {"type": "http", "method": "POST", "headers": [(b"mcp-session-id", held)] if held else []}
        await sessions(scope, receive, send)
        return sent

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            held = dict((await ask("initialize"))[0]["headers"])[b"mcp-session-id"]
            answers["first"].set()
            await ask("first", held)
            assert (await ask("third", held))[0]["status"] == 400
            tasks.cancel_scope.cancel()


async def test_requests_at_once_open_it_once() -> None:
    async with after_a_restart() as session:
        answers: list[httpx2.Response] = []

        async def ask(number: int) -> None:
            answers.append(await session.post("tools/call", {"name": "sessions", "arguments": {}}, number))

        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(ask, number)
        assert {answer.status_code for answer in answers} == {200}
        assert {answer.json()["result"]["content"][0]["text"] for answer in answers} == {"1"}


async def test_a_stream_of_events_opens_it_again_too() -> None:
    async with after_a_restart() as session, session.stream():
        assert (await session.call("who")).status_code == 200


async def test_what_its_client_ended_or_another_key_signed_is_unknown() -> None:
    async with after_a_restart() as session:
        assert (await session.call("who")).status_code == 200
        assert (await session.delete()).status_code == 200
        assert (await session.call("who")).status_code == 404
    async with after_a_restart(later=b"x" * 32) as session:
        assert (await session.call("who")).status_code == 404


def test_the_key_is_the_users_alone_and_stays(tmp_path: Path) -> None:
    key = session_key(tmp_path)
    assert session_key(tmp_path) == key
    (file,) = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_bytes(b"cut")
    assert len(session_key(tmp_path)) == 32
