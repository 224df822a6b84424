"""The short ways over HTTP, of calls and of streams: they say what the SDK says, byte for byte, or leave it."""

import json
import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace  # noqa: TID251 (a dataclass)
from typing import Any

import anyio
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from tests.support.ledger_app import LedgerApplication, StoppedClock, ledger, let_no_one_follow_calls
from tests.support.world import Held, World

from ostler.engine.services.views import CreateRequest
from ostler.faces.daemon import http_answers
from ostler.faces.daemon.http_answers import WaitingClients
from ostler.faces.daemon.http_listening import with_short_listening
from ostler.faces.daemon.http_short_calls import MAX_BODY, ShortCalls, with_short_calls
from ostler.faces.hanging_up import WHEN_LOST
from ostler.faces.mcp.server import OstlerServer, build_server
from ostler.faces.mcp.subscriptions import MAX_STREAMS
from ostler.model.events import EventKind

pytestmark = pytest.mark.realtime

META: dict[str, Any] = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
HEADERS = {
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/call",
}
Answer = tuple[int, dict[bytes, bytes], bytes]


@pytest.fixture(autouse=True)
def no_one_follows_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    let_no_one_follow_calls(monkeypatch)


@dataclass
class BothWays:
    """One server that is asked through the SDK alone, and with the short way in front of it."""

    world: World
    app: LedgerApplication
    server: OstlerServer
    sdk: ASGIApp
    waiting: WaitingClients = field(default_factory=WaitingClients)
    left: list[Scope] = field(default_factory=list[Scope])
    """The requests that the short way left to the SDK."""

    async def answers(self, body: bytes, headers: list[tuple[bytes, bytes]]) -> tuple[Answer, Answer]:
        """Return the SDK's answer, and that of the short way."""
        self.left.clear()
        return await ask(self.sdk, body, headers), await ask(self.short, body, headers)

    async def streams(self, wanted: dict[str, Any]) -> tuple[list[bytes], list[bytes]]:
        """Return what the SDK's stream and the short way's write for `wanted` until a service has changed."""
        self.left.clear()
        body = json.dumps(listen_to(wanted)).encode()
        async with listener(self.sdk, body) as long, listener(self.short_listening, body) as short:
            self.app.manager.events.append(EventKind.HEALTH_CHANGED, "one", "", {"from": "healthy", "to": "healthy"})
            with anyio.fail_after(60):
                while not all(heard[-1].endswith(b'"service://one"}}\r\n\r\n') for heard in (long, short)):
                    await anyio.sleep(0.001)
        return long, short

    @property
    def short(self) -> ASGIApp:
        """The short way of calls, in front of the SDK."""
        return with_short_calls(self._leave, self.server, self.waiting)

    @property
    def short_listening(self) -> ASGIApp:
        """The short way of streams, in front of the SDK."""
        return with_short_listening(self._leave, self.server)

    async def _leave(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.left.append(scope)
        await self.sdk(scope, receive, send)


async def ask(
    app: ASGIApp, body: bytes, headers: list[tuple[bytes, bytes]], pinged: anyio.Event | None = None
) -> Answer:
    sent: list[Message] = []
    parts = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Message:
        found = next(parts, None)
        if found is None:
            await anyio.sleep_forever()
        assert found
        return found

    async def send(message: Message) -> None:
        sent.append(message)
        if pinged is not None and b": ping" in message.get("body", b""):
            pinged.set()

    scope: Scope = {"type": "http", "method": "POST", "path": "/mcp", "query_string": b"", "headers": headers}
    scope[WHEN_LOST] = set[Any]()
    with anyio.fail_after(60):
        await app(scope, receive, send)
    start, *rest = sent
    return start["status"], dict(start["headers"]), b"".join(message.get("body", b"") for message in rest)


@asynccontextmanager
async def listener(app: ASGIApp, body: bytes) -> AsyncGenerator[list[bytes]]:
    """Yield what a client that asks `app` for a stream reads, from the acknowledgement on; it leaves with the block."""
    heard: list[bytes] = []
    acknowledged, leaves = anyio.Event(), anyio.Event()
    parts = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Message:
        if (found := next(parts, None)) is not None:
            return found
        await leaves.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            heard.append(message["body"])
            acknowledged.set()

    headers = stream_headers(body)
    scope = {"type": "http", "method": "POST", "path": "/mcp", "query_string": b"", "headers": headers}

    async def listen() -> None:
        await app(scope, receive, send)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen)
            await acknowledged.wait()
            yield heard
            leaves.set()


def headers_of(tool: str, body: bytes, **others: str) -> list[tuple[bytes, bytes]]:
    said = {**HEADERS, "mcp-name": tool, "content-length": str(len(body))}
    said |= {name.replace("_", "-"): value for name, value in others.items()}
    return [(name.encode(), value.encode()) for name, value in said.items()]


def stream_headers(body: bytes, **others: str) -> list[tuple[bytes, bytes]]:
    pairs = headers_of("", body, mcp_method="subscriptions/listen", **others)
    return [pair for pair in pairs if pair[0] != b"mcp-name"]


def call_of(tool: str, arguments: Any, **others: Any) -> dict[str, Any]:
    params = {"name": tool, "arguments": arguments, "_meta": META}
    return {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params, **others}


def listen_to(wanted: Any, **others: Any) -> dict[str, Any]:
    params = {"notifications": wanted, "_meta": META}
    return {"jsonrpc": "2.0", "id": "né1", "method": "subscriptions/listen", "params": params, **others}


@asynccontextmanager
async def both_ways() -> AsyncGenerator[BothWays]:
    world = World()
    async with ledger(world) as app:
        for name in ("one", "two", "three"):
            await app.manager.create(CreateRequest("basic", name, {"size": 3, "password": "hunter2"}))
        server = build_server(app, clock=StoppedClock())
        sessions = StreamableHTTPSessionManager(server)
        async with sessions.run():
            yield BothWays(world, app, server, sessions.handle_request)


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[BlockingPortal, BothWays]]:
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(both_ways()) as ways:
        yield portal, ways


Both = tuple[BlockingPortal, BothWays]


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("service_status", {"name": "one"}),
        ("service_status", {"name": "three"}),
        ("service_status", {"name": "nothing"}),
        ("service_status", {}),
        ("service_status", {"nmae": "one"}),
        ("service_get", {"name": "two"}),
        ("service_list", {}),
        ("service_list", {"limit": "2", "state": "running", "labels": None}),
        ("service_list", {"cursor": "nowhere"}),
        ("service_list", None),
        ("service_status", {"name": f"ostler-secret.eA.{'0' * 32}"}),
    ],
)
def test_a_plain_reading_call_is_answered_as_the_sdk_answers_it(both: Both, tool: str, arguments: Any) -> None:
    portal, ways = both
    body = json.dumps(call_of(tool, arguments)).encode()
    long, short = portal.call(ways.answers, body, headers_of(tool, body))
    assert short == long
    assert not ways.left


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("service_create", {"serviceClassName": "basic", "name": "one", "args": {"size": 4}}),
        ("service_create", {"serviceClassName": "basic", "args": {"size": "many"}}),
        ("service_create", {"serviceClassName": "nothing", "name": "four"}),
        ("service_create", None),
        ("service_start", {"name": "nothing"}),
        ("service_stop", {"name": "one", "depend": True}),
        ("service_restart", {}),
        ("service_delete", {"name": f"ostler-secret.eA.{'0' * 32}"}),
    ],
)
def test_a_change_that_is_refused_is_refused_as_through_the_sdk(both: Both, tool: str, arguments: Any) -> None:
    portal, ways = both
    body = json.dumps(call_of(tool, arguments)).encode()
    long, short = portal.call(ways.answers, body, headers_of(tool, body))
    assert short == long
    assert json.loads(short[2])["result"]["isError"]
    assert not ways.left


def test_a_service_lives_alike_on_both_ways(both: Both) -> None:
    portal, ways = both
    steps = {
        "service_create": {"serviceClassName": "basic", "args": {"size": 4, "password": "hunter3"}},
        "service_stop": {},
        "service_start": {"wait": False},
        "service_restart": {},
        "service_delete": {"force": False},
    }

    async def lives(app: ASGIApp) -> list[str]:
        said: list[str] = []
        for tool, arguments in steps.items():
            body = json.dumps(call_of(tool, {"name": "alike", **arguments})).encode()
            status, headers, answer = await ask(app, body, headers_of(tool, body))
            said.append(f"{status} {headers[b'content-type'].decode()} {_UNIQUE.sub('N', answer.decode())}")
        return said

    ways.left.clear()
    assert portal.call(lives, ways.short) == portal.call(lives, ways.sdk)
    assert not ways.left


_UNIQUE = re.compile(r"r\d+/|[0-9a-f]{16}|(?<=cursor).{1,6}\d+")
"""What no two services share: addresses, ids of operations, cursors."""


def test_a_connection_that_refuses_a_ping_ends_no_one_elses(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    portal, _ = both
    monkeypatch.setattr(http_answers, "PING_SECONDS", 0.001)

    async def one_hears() -> None:
        waiting, pinged = WaitingClients(), anyio.Event()

        async def refuse(_: Message) -> None:
            raise RuntimeError("Unexpected ASGI message 'http.response.start' sent, after response already completed.")

        async def hear(message: Message) -> None:
            if message.get("body"):
                pinged.set()

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(waiting.reassure)
                waiting.add(refuse)
                waiting.add(hear)
                await pinged.wait()
                tasks.cancel_scope.cancel()

    portal.call(one_hears)


@pytest.mark.parametrize(
    ("others", "capabilities"), [({"progressToken": 1}, {}), ({}, {"elicitation": {}}), ({}, {"roots": {}})]
)
def test_a_change_by_a_client_that_is_asked_or_informed_meanwhile_is_left_to_the_sdk(
    both: Both, others: dict[str, Any], capabilities: dict[str, Any]
) -> None:
    portal, ways = both
    params = _with_meta(clientCapabilities=capabilities)
    params["_meta"] |= others
    body = json.dumps(call_of("", {}, params={**params, "name": "service_stop"})).encode()
    ways.left.clear()
    _, _, said = portal.call(ask, ways.short, body, headers_of("service_stop", body))
    assert ways.left
    assert b"name" in said


def test_a_change_that_takes_long_says_that_it_goes_on(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    portal, ways = both
    monkeypatch.setattr(http_answers, "PING_SECONDS", 0.001)
    pinged = anyio.Event()
    ways.world.faults["w/start"].append(Held(pinged))

    async def created_and_deleted() -> list[Answer]:
        said: list[Answer] = []
        fresh = replace(ways, waiting=WaitingClients())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fresh.waiting.reassure)
            for tool, arguments in (("service_create", {"serviceClassName": "basic"}), ("service_delete", {})):
                body = json.dumps(call_of(tool, {"name": "late", **arguments})).encode()
                said.append(await ask(fresh.short, body, headers_of(tool, body), pinged))
            tasks.cancel_scope.cancel()
        return said

    (status, headers, body), _ = portal.call(created_and_deleted)
    assert (status, headers[b"content-type"]) == (200, b"text/event-stream")
    *pings, event, end = body.split(b"\r\n\r\n")
    assert set(pings) == {b": ping"}
    assert end == b""
    answer = json.loads(event.removeprefix(b"event: message\r\ndata: "))
    assert answer["result"]["structuredContent"]["service"]["state"] == "running"


def test_a_policy_is_in_force_on_the_short_way(both: Both) -> None:
    portal, ways = both
    body = json.dumps(call_of("service_get", {"name": "one"})).encode()
    try:
        ways.app.denied.add("service_get")
        long, short = portal.call(ways.answers, body, headers_of("service_get", body))
        assert short == long
        assert b"is denied by the policy" in short[2]
        ways.app.denied.clear()
        ways.app.confirmed.add("ostler/service_get")
        long, short = portal.call(ways.answers, body, headers_of("service_get", body))
        assert ways.left
        assert short == long
        assert b"confirm" in short[2]
        body = json.dumps(call_of("service_stop", {"name": "one"})).encode()
        for policy, said in ((ways.app.denied, "service_stop"), (ways.app.confirmed, "ostler/service_stop")):
            policy.add(said)
            long, short = portal.call(ways.answers, body, headers_of("service_stop", body))
            assert short == long
            assert json.loads(short[2])["result"]["isError"]
            policy.clear()
    finally:
        ways.app.denied.clear()
        ways.app.confirmed.clear()


def _with_meta(**others: Any) -> dict[str, Any]:
    own = {f"io.modelcontextprotocol/{name}": value for name, value in others.items()}
    return {"name": "service_list", "arguments": {}, "_meta": {**META, **own}}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_what_is_not_plain_utf_8_is_left_to_the_sdk(both: Both, encoding: str) -> None:
    portal, ways = both
    body = json.dumps(call_of("service_list", {}, id="\ud800")).encode(encoding)
    long, short = portal.call(ways.answers, body, headers_of("service_list", body))
    assert ways.left
    assert short == long


@pytest.mark.parametrize(
    ("message", "headers"),
    [
        (call_of("service_renew", {}), {"mcp_name": "service_renew"}),
        (call_of("service_list", {}, id=1.5), {}),
        (call_of("service_list", {}, id=True), {}),
        (call_of("service_list", {}, jsonrpc="1.0"), {}),
        (call_of("service_list", {}, more=1), {}),
        (call_of("service_status", {"name": "one"}), {}),
        (call_of("service_list", {}, params={"name": "service_list"}), {}),
        (call_of("service_list", {}, params=_with_meta(protocolVersion="2025-11-25")), {}),
        (call_of("service_list", {}, params={**_with_meta(), "requestState": "x"}), {}),
        (call_of("service_list", {"owner": "\ud800"}), {}),
        (call_of("service_list", {"owner": "x" * MAX_BODY}), {}),
        ([call_of("service_list", {})], {}),
        (call_of("service_list", {}), {"mcp_method": "tools/list"}),
        (call_of("service_list", {}), {"mcp_protocol_version": "2027-01-01"}),
        (call_of("service_list", {}), {"accept": "application/json"}),
        (call_of("service_list", {}), {"content_type": "text/plain"}),
        (call_of("service_list", {}), {"content_type": ""}),
        (call_of("service_list", {}), {"mcp_param_name": "x"}),
        (call_of("service_list", {}), {"content_length": "many"}),
    ],
)  # fmt: skip
def test_what_is_not_plain_is_left_to_the_sdk(both: Both, message: Any, headers: dict[str, str]) -> None:
    portal, ways = both
    body = json.dumps(message).encode()
    pairs = headers_of("service_list", body, **headers)
    long, short = portal.call(ways.answers, body, pairs)
    assert ways.left
    assert short == long


def test_a_client_with_roots_is_asked_for_them(both: Both) -> None:
    portal, ways = both
    body = json.dumps(call_of("service_list", {}, params=_with_meta(clientCapabilities={"roots": {}}))).encode()
    _, short = portal.call(ways.answers, body, headers_of("service_list", body))
    assert ways.left
    assert json.loads(short[2])["result"]["resultType"] == "input_required"


def test_a_header_twice_a_body_in_parts_and_a_get_are_left_to_the_sdk(both: Both) -> None:
    portal, ways = both
    body = json.dumps(call_of("service_list", {})).encode()
    pairs = headers_of("service_list", body)
    long, short = portal.call(ways.answers, body, [*pairs, (b"mcp-name", b"service_list")])
    assert ways.left
    assert short == long
    assert short[0] == 400
    ended: list[str] = []

    async def left(scope: Scope, receive: Receive, _send: Send) -> None:
        read = await receive()
        while read.get("more_body"):
            more = await receive()
            read = {"body": read["body"] + more["body"], "more_body": more["more_body"]}
        ended.append(f"{scope['method']} {read['body'].decode()}")

    async def in_parts(method: str) -> None:
        parts = iter([{"type": "http.request", "body": part, "more_body": part == b"ab"} for part in (b"ab", b"cd")])

        async def receive() -> Message:
            return next(parts)

        async def send(message: Message) -> None:
            raise AssertionError(message)

        assert ways.server.look
        assert ways.server.change
        app = ShortCalls(left, ways.server.look, ways.server.change, {}, ways.waiting)
        await app({"type": "http", "method": method, "headers": pairs, WHEN_LOST: set[Any]()}, receive, send)

    portal.call(in_parts, "POST")
    portal.call(in_parts, "GET")
    assert ended == ["POST abcd", "GET abcd"]


def test_a_plain_stream_is_what_the_sdk_writes_with_one_write_for_all_that_changed(both: Both) -> None:
    portal, ways = both
    uris = ["service://list", "service://one/events", "service://two", "service://one"]
    long, short = portal.call(ways.streams, {"resourceSubscriptions": uris, "resourcesListChanged": True})
    assert b"".join(short) == b"".join(long)
    assert len(short) == 2
    assert not ways.left
    listening = ways.server.listening
    assert listening
    assert (listening.streams, len(listening.feed)) == (0, 0)  # who has left costs nothing


@pytest.mark.parametrize(
    ("message", "headers"),
    [
        (listen_to({"resourceSubscriptions": ["file:///etc"]}), {}),
        (listen_to({"resourceSubscriptions": "service://one"}), {}),
        (listen_to({"resourceSubscriptions": ["service://one"] * 1001}), {}),
        (listen_to(None), {}),
        (listen_to({}, id=None), {}),
        (listen_to({}, params={"notifications": {}}), {}),
        (listen_to({}, method="tools/list"), {}),
        (listen_to({}), {"mcp_protocol_version": "2027-01-01"}),
        (listen_to({}), {"accept": "application/json"}),
    ],
)
def test_a_stream_that_is_refused_is_refused_by_the_sdk(both: Both, message: Any, headers: dict[str, str]) -> None:
    portal, ways = both
    body = json.dumps(message).encode()
    pairs = stream_headers(body, **headers)
    ways.left.clear()
    assert portal.call(ask, ways.short_listening, body, pairs) == portal.call(ask, ways.sdk, body, pairs)
    assert ways.left


def test_one_stream_too_many_is_refused_on_both_ways(both: Both) -> None:
    portal, ways = both
    listening = ways.server.listening
    assert listening
    body = json.dumps(listen_to({})).encode()
    ways.left.clear()
    before, listening.streams = listening.streams, MAX_STREAMS
    try:
        _, _, said = portal.call(ask, ways.short_listening, body, stream_headers(body))
    finally:
        listening.streams = before
    assert b"no more than 1024 subscription streams" in said
    assert ways.left


def test_a_stream_without_changes_says_that_it_is_alive(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    portal, ways = both
    monkeypatch.setattr(http_answers, "PING_SECONDS", 0.001)

    async def pinged() -> list[bytes]:
        async with listener(
            ways.short_listening, json.dumps(listen_to({"resourcesListChanged": True})).encode()
        ) as heard:
            with anyio.fail_after(60):
                while len(heard) < 3:
                    await anyio.sleep(0.001)
            return heard

    assert portal.call(pinged)[1:3] == [b": ping\r\n\r\n"] * 2


scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.sampled_from(["one"]))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=5), inner, max_size=2)),
)
keys = st.sampled_from(["name", "limit", "cursor", "state", "health", "labels", "owner", "project", "nmae"])
tools = st.sampled_from(["service_status", "service_get", "service_list", "service_logs"])
odd_headers = st.dictionaries(
    st.sampled_from(
        ["accept", "content_type", "mcp_name", "mcp_method", "mcp_protocol_version", "mcp_param_x", "content_length"]
    ),
    st.sampled_from(["", "*/*", "text/event-stream;q=1, APPLICATION/json", "service_list", "tools/call", "12"]),
    max_size=1,
)
odd_parts = st.dictionaries(
    st.sampled_from(["jsonrpc", "id", "method", "params", "extra"]),
    st.one_of(values, st.just("tools/call")),
    max_size=1,
)


@settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=(Phase.explicit, Phase.generate),
)
@given(tools, st.one_of(values, st.dictionaries(keys, values, max_size=3)), odd_parts, odd_headers)
def test_both_ways_answer_alike(
    both: Both, tool: str, arguments: Any, parts: dict[str, Any], headers: dict[str, str]
) -> None:
    portal, ways = both
    message = call_of(tool, arguments, **parts)
    body = json.dumps(message).encode()
    long, short = portal.call(ways.answers, body, headers_of(tool, body, **headers))
    assert short == long
