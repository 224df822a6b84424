"""A server that stands by passes requests on to the one that works, loses none silently, and does none twice."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
import trustme
from starlette.types import Receive, Scope, Send

from ostler.adapters.stores.standing_by import SeenHolder
from ostler.faces.daemon import forwarding, http, http_connections
from ostler.faces.daemon.forwarding import Forwarder
from ostler.faces.daemon.http import HttpSettings, forwarding_http
from ostler.faces.daemon.http_tls import Certificate

pytestmark = [pytest.mark.anyio, pytest.mark.realtime]


class Working:
    """A server that holds the database. It answers with what it got, unless it is to hang or to stream."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.arrived = anyio.Event()
        self.hangs = False
        self.streams = False
        self.left = anyio.Event()
        self._forwarder = Forwarder("1")
        self._scope = anyio.CancelScope()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.got.append({"path": scope["path"], "headers": headers, "body": message.get("body", b"").decode()})
        self.arrived.set()
        if self.hangs:
            while (await receive())["type"] != "http.disconnect":
                pass
            self.left.set()
            return
        kind = b"text/event-stream" if self.streams else b"application/json"
        start = [(b"content-type", kind), (b"mcp-session-id", b"s1")]
        await send({"type": "http.response.start", "status": 200, "headers": start})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": self.streams})
        while self.streams and (await receive())["type"] != "http.disconnect":
            pass

    @asynccontextmanager
    async def serving(self, *, holds: bool = True) -> AsyncGenerator[str]:
        async with anyio.create_task_group() as tasks:
            ready = anyio.Event()
            url: list[str] = []

            async def serve() -> None:
                with self._scope:
                    async with forwarding_http(self._forwarder, HttpSettings("127.0.0.1", 0)) as at:
                        url.append(at.removesuffix("/mcp"))
                        if holds:
                            async with self._forwarder.serving_here(self):
                                ready.set()
                                await anyio.sleep_forever()
                        ready.set()
                        await anyio.sleep_forever()

            tasks.start_soon(serve)
            await ready.wait()
            yield url[0]
            tasks.cancel_scope.cancel()


class Asked(Forwarder):
    """One that says when it was asked."""

    def __init__(self, version: str, *, patience: float) -> None:
        super().__init__(version, patience=patience)
        self.was_asked = anyio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.was_asked.set()
        await super().__call__(scope, receive, send)


@asynccontextmanager
async def standing_by(patience: float = 60) -> AsyncGenerator[tuple[Asked, httpx2.AsyncClient]]:
    forwarder = Asked("1", patience=patience)
    async with (
        forwarding_http(forwarder, HttpSettings("127.0.0.1", 0)) as url,
        httpx2.AsyncClient(base_url=url.removesuffix("/mcp"), timeout=60, trust_env=False) as client,
    ):
        yield forwarder, client


def holder(epoch: int, url: str) -> SeenHolder:
    return SeenHolder(epoch, url, f"server {epoch}", b"key")


def a_call(tool: str, /, **arguments: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}


async def test_what_is_asked_of_one_server_is_answered_by_the_one_that_works() -> None:
    working = Working()
    async with standing_by() as (forwarder, client), working.serving() as url:
        forwarder.saw(holder(1, url))
        headers = {"authorization": "Bearer of a person", "origin": "http://localhost:3000", "mcp-session-id": "s1"}
        answer = await client.post("/mcp/core?x=1", json=a_call("service_list"), headers=headers)
        assert (answer.status_code, answer.text) == (200, "data: 1\n\n")
        assert answer.headers["mcp-session-id"] == "s1"
        assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"  # of the server that was asked
        assert answer.headers.get_list("date") == [answer.headers["date"]]
        (got,) = working.got
        assert got["path"] == "/mcp/core"
        assert json.loads(got["body"]) == a_call("service_list")
        assert got["headers"]["authorization"] == "Bearer of a person"
        assert got["headers"]["host"] in url  # it may not know the name by which the other one was asked
        assert "origin" not in got["headers"]
        assert (await client.post("/mcp", json={}, headers={"host": "evil.example"})).status_code == 421
        assert len(working.got) == 1


async def test_probes_are_answered_by_each_server_itself() -> None:
    async with standing_by() as (forwarder, client):
        assert (await client.get("/healthz")).json() == {"status": "ok", "version": "1"}
        assert (await client.get("/readyz")).status_code == 503  # the database was not reached yet
        forwarder.saw(holder(1, ""))
        assert (await client.get("/readyz")).json() == {"status": "ready", "version": "1", "role": "standby"}
        assert (await client.get("/metrics")).status_code == 503
        forwarder.saw(None, "the database is away")
        assert (await client.get("/readyz")).status_code == 503


async def test_a_request_waits_until_a_server_works() -> None:
    working = Working()
    async with standing_by() as (forwarder, client), working.serving() as url:
        for seen in (None, holder(1, ""), holder(2, "http://127.0.0.1:1")):
            forwarder.saw(seen)
            forwarder.was_asked = anyio.Event()

            async def ask() -> None:
                answer = await client.post("/mcp", json=a_call("service_create", name="db"))
                assert answer.text == "data: 1\n\n"

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask)
                await forwarder.was_asked.wait()
                forwarder.saw(holder(9, url))
    assert len(working.got) == 3


async def test_what_waits_is_answered_here_once_this_server_holds_the_database() -> None:
    own = Working()
    async with standing_by() as (forwarder, client), anyio.create_task_group() as tasks:

        async def ask() -> None:
            assert (await client.post("/mcp", json=a_call("service_stop", name="db"))).text == "data: 1\n\n"
            tasks.cancel_scope.cancel()

        tasks.start_soon(ask)
        await forwarder.was_asked.wait()
        async with forwarder.serving_here(own):
            await anyio.sleep_forever()
    assert [json.loads(got["body"]) for got in own.got] == [a_call("service_stop", name="db")]


ASKED: list[tuple[Any, bool]] = [
    (a_call("service_status", name="db"), True),
    (a_call("service_create", name="db", idempotencyKey="k"), True),
    (a_call("service_create", name="db", idempotencyKey=""), False),
    (a_call("service_restart", name="db"), False),
    (a_call("tool_call", tool="x/y", args={"idempotencyKey": "k"}, idempotencyKey="k"), False),
    (a_call("no_such_tool"), False),
    ([a_call("service_status"), a_call("service_stop", name="db")], False),
    ({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, True),
    ({"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": {"uri": "service://db"}}, True),
]
"""What is asked, and whether it does no harm to do it twice."""


async def test_what_may_have_been_done_is_done_again_only_if_that_does_no_harm() -> None:
    lost, next_one = Working(), Working()
    lost.hangs = True
    answers: dict[int, httpx2.Response] = {}
    async with standing_by() as (forwarder, client), lost.serving() as url, next_one.serving() as then:
        forwarder.saw(holder(1, url))

        async def ask(number: int) -> None:
            answers[number] = await client.post("/mcp", json=ASKED[number][0])

        async with anyio.create_task_group() as tasks:
            for number in range(len(ASKED)):
                lost.arrived = anyio.Event()
                tasks.start_soon(ask, number)
                await lost.arrived.wait()
            forwarder.saw(holder(2, then))  # the first one was paused, and another has taken over
        with anyio.fail_after(60):
            await lost.left.wait()
    assert len(next_one.got) == sum(is_repeated for _, is_repeated in ASKED)
    for number, (asked, is_repeated) in enumerate(ASKED):
        answer = answers[number]
        if is_repeated:
            assert answer.text == "data: 1\n\n"
        elif isinstance(asked, list):
            assert (answer.status_code, "not known" in answer.text) == (503, True)
        else:
            result = answer.json()["result"]
            assert (answer.json()["id"], result["isError"]) == (7, True)
            facts = result["structuredContent"]["error"]
            assert "not known whether this was carried out" in facts["message"]
            assert facts["nextActions"]
            assert facts.get("service") == asked["params"]["arguments"].get("name")


async def test_a_call_that_no_server_can_take_fails_as_a_tool_does() -> None:
    async with standing_by(patience=0.05) as (forwarder, client), Working().serving(holds=False) as not_yet:
        for seen, said in (
            ((holder(9, not_yet), ""), "server 9) cannot be reached"),
            ((None, "the disk is full"), "the disk is full"),
            ((holder(1, ""), ""), "server 1) serves no one over HTTP yet"),
            ((holder(2, "http://127.0.0.1:1"), ""), "server 2) cannot be reached from this one at http://127.0.0.1:1"),
        ):
            forwarder.saw(*seen)
            result = (await client.post("/mcp", json=a_call("service_start", name="db"))).json()["result"]
            assert result["isError"]
            assert said in result["content"][0]["text"]
            assert "nothing was sent" in result["content"][0]["text"]
            assert result["structuredContent"]["error"]["retryable"]
        listed = await client.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
        assert (listed.status_code, listed.json()["error"]["data"]["retryable"]) == (503, True)


async def test_what_waits_here_is_answered_when_this_server_ends(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(http, "SHUTDOWN_GRACE", 0)
    answers: list[httpx2.Response] = []
    async with standing_by() as (forwarder, client), anyio.create_task_group() as tasks:

        async def ask() -> None:
            answers.append(await client.post("/mcp", json=a_call("service_list")))

        tasks.start_soon(ask)
        await forwarder.was_asked.wait()
        await forwarder.end()
    assert answers[0].status_code == 503
    assert "ended while this call was under way (it was stopped)" in answers[0].text
    assert "Exception in ASGI application" not in caplog.text


async def test_a_stream_ends_with_its_server_and_with_its_client() -> None:
    working = Working()
    working.streams = True
    async with standing_by() as (forwarder, client), working.serving() as url:
        forwarder.saw(holder(1, url))
        async with client.stream("GET", "/mcp") as stream:
            lines = stream.aiter_lines()
            assert await anext(lines) == "data: 1"
            forwarder.saw(holder(2, ""))
            assert [line async for line in lines] == [""]
        working.hangs, working.arrived = True, anyio.Event()
        forwarder.saw(holder(3, url))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(client.post, "/mcp", json=a_call("service_wait")))
            await working.arrived.wait()
            tasks.cancel_scope.cancel()
        with anyio.fail_after(60):
            await working.left.wait()


async def test_servers_do_not_pass_requests_round_and_take_none_without_an_end() -> None:
    async with standing_by() as (first, client), standing_by() as (second, other):
        first.saw(holder(1, str(other.base_url).rstrip("/")))
        second.saw(holder(1, str(client.base_url).rstrip("/")))
        passed = await client.post("/mcp", json=a_call("service_list"), headers={"ostler-forwarded": "1"})
        assert (passed.status_code, passed.headers[forwarding.NOT_HOLDER]) == (503, "1")
        large = await client.post("/mcp", content=b"x" * (forwarding.MAX_BODY + 1))
        assert large.status_code == 413


async def test_what_waits_here_is_bounded_in_bytes_and_in_the_time_to_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "MAX_HELD", 3000)
    monkeypatch.setattr(http_connections, "READ_SECONDS", 0.2)
    answers, answered = anyio.create_memory_object_stream[httpx2.Response](2)
    async with standing_by() as (_, client), answers, answered, anyio.create_task_group() as tasks:

        async def send() -> None:
            await answers.send(await client.post("/mcp", content=b"x" * 2000))

        for _ in range(2):
            tasks.start_soon(send)
        refused = await answered.receive()  # the other one waits for a server that works
        assert (refused.status_code, refused.json()["error"]["data"]["retryable"]) == (503, True)
        async with await anyio.connect_tcp("127.0.0.1", client.base_url.port or 0) as late:
            await late.send(b"POST /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 2\r\n\r\nx")
            assert (await late.receive()).startswith(b"HTTP/1.1 408 ")
        tasks.cancel_scope.cancel()


def certificate(folder: Path) -> Certificate:
    leaf = trustme.CA().issue_cert("ostler.example")
    folder.mkdir()
    (folder / "chain").write_bytes(b"".join(part.bytes() for part in leaf.cert_chain_pems))
    leaf.private_key_pem.write_to_path(folder / "key")
    return Certificate(folder / "chain", folder / "key")


async def test_over_https_servers_trust_their_own_certificate_and_send_nothing_to_another(tmp_path: Path) -> None:
    own, foreign = certificate(tmp_path / "own"), certificate(tmp_path / "foreign")
    working, holding = Working(), Forwarder("1", own)
    async with (
        forwarding_http(holding, HttpSettings("127.0.0.1", 0, tls=own)) as url,
        holding.serving_here(working),
    ):
        for tls, said in ((own, "data: 1"), (foreign, "nothing was sent")):
            forwarder = Forwarder("1", tls, patience=0.05)
            async with (
                forwarding_http(forwarder, HttpSettings("127.0.0.1", 0, tls=tls)) as asked,
                httpx2.AsyncClient(verify=False, trust_env=False) as client,
            ):
                forwarder.saw(holder(1, url.removesuffix("/mcp")))
                assert said in (await client.post(asked, json=a_call("service_stop", name="db"))).text
    assert len(working.got) == 1
