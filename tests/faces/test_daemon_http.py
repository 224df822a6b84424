"""Streamable HTTP of a server in the foreground: who gets in, and that it is the same server as on the socket."""

import http.client
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import anyio
import anyio.abc
import anyio.to_thread
import psutil
import pytest
from mcp.server.lowlevel import Server
from processes.bridge_client import MODERN_META, BridgeClient, scripted

from ostler.adapters.kubernetes.local_end import bind
from ostler.faces.bridge.dialer import Dialer
from ostler.faces.bridge.holder import read_holder
from ostler.faces.bridge.place import ServerPlace
from ostler.faces.cli.rpc import ServerClient
from ostler.faces.daemon import http_connections
from ostler.faces.daemon.http import HttpSettings, parse_address, serving_http
from ostler.faces.daemon.http_faults import HttpSettingsError
from ostler.faces.daemon.local_socket import listening
from ostler.model.access import OAuthSettings

TOKEN = "a-secret-of-some-length"


@contextmanager
def http_server(place: ServerPlace, *options: str) -> Generator[tuple[str, BridgeClient]]:
    with BridgeClient(scripted("server", place, "--http", "127.0.0.1:0", *options)) as server:
        url = ""
        said = ""
        while not url:
            assert server.process.poll() is None, said
            said += server.wait_for_note()
            found = re.search(r"http://[^\s]+/mcp", said)
            url = found[0] if found else ""
        try:
            yield url, server
        finally:
            server.process.terminate()
            assert server.process.wait(10) == 0


class Response(NamedTuple):
    status: int
    text: str
    challenge: str | None


def request(method: str, url: str, body: bytes = b"", **headers: str) -> Response:
    parts = urlsplit(url)
    assert parts.hostname
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    try:
        connection.request(method, parts.path, body, headers={key.replace("_", "-"): headers[key] for key in headers})
        answer = connection.getresponse()
        return Response(answer.status, answer.read().decode(), answer.getheader("WWW-Authenticate"))
    finally:
        connection.close()


def post(url: str, **headers: str) -> Response:
    params = {"name": "pid", "arguments": {}, "_meta": MODERN_META}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    fixed = {
        "content_type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp_protocol_version": "2026-07-28",
        "mcp_method": "tools/call",
        "mcp_name": "pid",
    }
    return request("POST", url, json.dumps(body).encode(), **fixed, **headers)


@pytest.mark.realtime
def test_http_and_socket_reach_the_same_server_and_strangers_are_refused(place: ServerPlace) -> None:
    with http_server(place) as (url, _):
        answer = post(url)
        assert answer.status == 200, answer.text
        holder = read_holder(place)
        assert holder is not None
        assert f'"{holder.pid}"' in answer.text
        with ServerClient(Dialer(place, kind="cli", note=print)) as client:
            assert client.call_tool("pid", {}).text == str(holder.pid)
        assert post(url, host="evil.example").status == 421
        assert post(url, origin="http://evil.example").status == 403
        assert post(url, origin="http://localhost:3000").status == 200
        health = request("GET", url.replace("/mcp", "/healthz"))
        assert json.loads(health.text) == {"status": "ok", "version": "0.1.0"}


def sends_at_once(port: int) -> set[bool]:
    """Return whether the connections that this process holds at its own `port` are without Nagle's delay."""
    accepted = [
        connection.fd
        for connection in psutil.Process().net_connections("tcp")
        if connection.raddr and connection.laddr.port == port
    ]
    found: set[bool] = set()
    for descriptor in accepted:
        with socket.socket(fileno=os.dup(descriptor)) as taken:
            found.add(bool(taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
    return found


@pytest.mark.anyio
@pytest.mark.realtime
async def test_http_answers_leave_at_once() -> None:
    async with serving_http(
        lambda _toolset, _principal: Server[Any]("delays"), HttpSettings("127.0.0.1", 0), version="1"
    ) as url:
        port = urlsplit(url).port
        assert port
        async with await anyio.connect_tcp("127.0.0.1", port) as client:
            await client.send(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert (await client.receive()).startswith(b"HTTP/1.1 200")
            assert sends_at_once(port) == {True}


async def said_to(port: int, *parts: bytes) -> bytes:
    """Send `parts`, and return all that is said until the connection ends; a reset takes what is not read yet."""
    said = b""
    async with await anyio.connect_tcp("127.0.0.1", port) as client:
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            for part in parts:
                await client.send(part)
            while True:
                said += await client.receive()
    return said


@pytest.mark.anyio
@pytest.mark.realtime
async def test_a_request_is_bounded_before_it_is_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    head = b"POST /mcp HTTP/1.1\r\nhost: localhost\r\n"
    chunked = head + b"transfer-encoding: chunked\r\n\r\n"
    whole = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"
    many = b"a" * http_connections.MAX_HEAD
    async with serving_http(
        lambda _toolset, _principal: Server[Any]("bounds"), HttpSettings("127.0.0.1", 0), version="1"
    ) as url:
        port = urlsplit(url).port
        assert port
        for begun in (head + b"x: ", b"GET /", chunked + b"1;", chunked + b"0\r\nx: "):
            async with await anyio.connect_tcp("127.0.0.1", port) as client:
                await client.send(begun)
                with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)), anyio.fail_after(60):
                    for _ in range(100):  # more than what the system keeps between the two
                        await client.send(many)
                    await client.receive()
        fine = b"1\r\n \r\n" * 30_000 + b"0\r\n\r\n"
        assert b" 431 " not in await said_to(port, chunked.replace(b"host", b"connection: close\r\nhost"), fine)
        assert await said_to(port, whole + whole.replace(b"host", b"connection: close\r\nhost"))
        async with await anyio.connect_tcp("127.0.0.1", port) as opened_ahead:
            await opened_ahead.send(b"\r\n")
            assert await said_to(port, whole.replace(b"host", b"connection: close\r\nhost"))  # it is waited for by now
            monkeypatch.setattr(http_connections, "READ_SECONDS", 0.1)
            await opened_ahead.send(head)
            with anyio.fail_after(60):
                assert (await opened_ahead.receive()).startswith(b"HTTP/1.1 408 ")
        assert await said_to(port) == b""
        assert (await said_to(port, head)).startswith(b"HTTP/1.1 408 ")
        assert (await said_to(port, head + b"content-length: 9\r\n\r\n{")).startswith(b"HTTP/1.1 408 ")
        assert b" 408 " in (await said_to(port, whole, b"GET ")).partition(b" 200 OK")[2]
        monkeypatch.setattr(http_connections.Connection, "most_connections", 1)
        async with await anyio.connect_tcp("127.0.0.1", port) as first:
            await first.send(whole)
            assert (await first.receive()).startswith(b"HTTP/1.1 200 ")
            refused = await said_to(port)
            assert refused.startswith(b"HTTP/1.1 503 ")
            assert b"retry-after: 1" in refused
            await first.send(whole)
            assert (await first.receive()).startswith(b"HTTP/1.1 200 ")
    assert not [record for record in caplog.records if record.exc_info], "a client that leaves is no fault of ours"


@pytest.mark.anyio
@pytest.mark.realtime
async def test_tunnels_and_the_loopback_socket_send_at_once(
    place: ServerPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    tunnel, port = await bind("127.0.0.1", None, wanted="a test")
    async with tunnel, await anyio.connect_tcp("127.0.0.1", port), anyio.create_task_group() as tasks:

        async def look(stream: anyio.abc.SocketStream) -> None:
            async with stream:
                assert sends_at_once(port) == {True}
            tasks.cancel_scope.cancel()

        tasks.start_soon(tunnel.serve, look)
    monkeypatch.setenv("OSTLER_TRANSPORT", "loopback")
    place.paths.create_state()
    async with listening(place) as (listener, _), anyio.create_task_group() as tasks:

        async def look_twice(stream: anyio.abc.SocketStream) -> None:
            async with stream:
                endpoint = place.read_endpoint()
                assert endpoint
                assert sends_at_once(endpoint.port) == {True}
                assert dialled.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            tasks.cancel_scope.cancel()

        dialled, _secret = await anyio.to_thread.run_sync(place.dial)
        with dialled:
            tasks.start_soon(listener.serve, look_twice)
            await anyio.sleep_forever()


@pytest.mark.realtime
def test_a_token_is_required_where_one_is_set(place: ServerPlace) -> None:
    with http_server(place, "--token", TOKEN) as (url, _):
        refused = post(url)
        assert refused.status == 401
        assert refused.challenge == "Bearer"
        assert post(url, authorization="Bearer wrong-secret-of-length").status == 401
        assert post(url, authorization=f"Bearer {TOKEN}").status == 200
        assert request("GET", url.replace("/mcp", "/healthz")).status == 200


@pytest.mark.realtime
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["0.0.0.0:0"], "a bearer token is required: set OSTLER_HTTP_TOKEN"),
        (["127.0.0.1:0", "--advertise", "http://ada:pass@h"], "--advertise 'http://h' is not like http://HOST:PORT"),
    ],
)
def test_what_is_unsafe_is_refused(place: ServerPlace, options: list[str], said: str) -> None:
    command: list[str] = [sys.executable, "-m", "ostler.faces.entry", "--state", place.state_dir, "--config"]
    command += [place.config_dir, "serve", "--http", *options]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == 2
    assert said in done.stderr.decode()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":8765", ("127.0.0.1", 8765)),
        ("8765", ("127.0.0.1", 8765)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
        ("[::1]:8765", ("::1", 8765)),
        ("localhost:0", ("localhost", 0)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "localhost", ":", ":x", ":70000"])
def test_what_is_not_an_address_is_refused(text: str) -> None:
    with pytest.raises(HttpSettingsError, match="is not an address"):
        parse_address(text)


BEYOND: dict[str, Any] = {"host": "0.0.0.0", "token": TOKEN}
OAUTH = OAuthSettings(issuer="https://id.example", resource="https://public.example:8443/mcp")


@pytest.mark.parametrize(
    ("settings", "accepted", "refused"),
    [
        ({"host": "127.0.0.2"}, ["127.0.0.2:80", "127.0.0.1", "[::1]:80", "LOCALHOST."], ["10.0.0.1", "evil.example"]),
        ({"host": "127.0.0.1", "token": TOKEN}, ["localhost:1"], ["evil.example", "localhost.evil.example", ""]),
        (BEYOND, ["10.0.0.1:80", "[2001:db8::1]", "localhost", socket.gethostname()], ["evil.example", "a@127.0.0.1"]),
        ({**BEYOND, "host": "Build.example"}, ["build.example:80", "10.0.0.1"], ["x.build.example", "build.example:x"]),
        ({**BEYOND, "allowed_hosts": ("a.example:443", "b.example:*")}, ["a.example", "b.example:9"], ["a.example:9"]),
        ({**BEYOND, "allowed_hosts": ("*.example",)}, ["a.example:9", "a.b.example"], ["example", "a.example.evil"]),
        ({**BEYOND, "allowed_hosts": ("*",)}, ["evil.example"], ["a b", "http://evil.example"]),
        ({**BEYOND, "oauth": OAUTH}, ["public.example"], ["id.example"]),
    ],
)
def test_which_hosts_are_accepted(settings: dict[str, Any], accepted: list[str], refused: list[str]) -> None:
    hosts = HttpSettings(port=1, **settings).hosts()
    assert [host for host in [*accepted, *refused] if hosts.accepts(host)] == accepted


@pytest.mark.parametrize(
    ("origin", "host", "is_accepted"),
    [
        ("http://10.0.0.1:8765", "10.0.0.1:8765", True),
        ("http://10.0.0.1:8766", "10.0.0.1:8765", False),
        ("http://66.66.66.66", "10.0.0.1:8765", False),
        ("https://proxy.example", "proxy.example", True),
        ("https://proxy.example", "127.0.0.1:8765", True),
        ("https://app.example:5173", "10.0.0.1", True),
        ("https://app.example:5173.evil.example", "10.0.0.1", False),
        ("http://localhost:3000", "10.0.0.1", True),
        ("null", "10.0.0.1", False),
        ("file://", "10.0.0.1", False),
        ("http://[", "10.0.0.1", False),
    ],
)
def test_which_pages_are_accepted(origin: str, host: str, *, is_accepted: bool) -> None:
    settings = HttpSettings(
        port=1, allowed_hosts=("proxy.example",), allowed_origins=("https://app.example:*",), **BEYOND
    )
    assert settings.hosts().accepts(host)
    assert settings.hosts().accepts_origin(origin, host) is is_accepted


def test_settings_do_not_show_the_token() -> None:
    assert TOKEN not in repr(HttpSettings("127.0.0.1", 0, TOKEN))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({**BEYOND, "allowed_hosts": ("https://a.example",)}, "'https://a.example' is not a host; write it like"),
        ({"host": "127.0.0.1"}, None),
        ({"host": "::1"}, None),
        ({"host": "localhost"}, None),
        ({"host": "0.0.0.0", "token": TOKEN}, None),
        ({"host": "0.0.0.0"}, "bearer token is required"),
        ({"host": "build.example"}, "bearer token is required"),
        ({"host": "127.0.0.1", "token": "short"}, "shorter than"),
    ],
)
def test_who_may_be_served(settings: dict[str, Any], problem: str | None) -> None:
    checked = HttpSettings(port=1, **settings)
    if problem is None:
        checked.check()
        return
    with pytest.raises(HttpSettingsError, match=problem):
        checked.check()
