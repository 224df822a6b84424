"""Clients of one server that show what it alone costs: raw HTTP of both eras, the bridge's stdio, and the SDK's."""

import json
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Protocol
from urllib.parse import urlsplit

import anyio
import anyio.abc
from mcp import Client

STATELESS = "2026-07-28"
SESSIONS = "2025-11-25"
_CLIENT = {"name": "bench", "version": "1"}
META = {
    "io.modelcontextprotocol/protocolVersion": STATELESS,
    "io.modelcontextprotocol/clientInfo": _CLIENT,
    "io.modelcontextprotocol/clientCapabilities": {},
}


class Caller(Protocol):
    """Calls a tool; a failure of the tool is an error here."""

    async def call(self, tool: str, args: dict[str, Any]) -> dict[str, Any]: ...


class RawHttp:
    """One keep-alive connection; answers are read and parsed, and nothing else is done."""

    def __init__(self, stream: anyio.abc.ByteStream, url: str) -> None:
        self._stream = stream
        parts = urlsplit(url)
        self._head = f"POST {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\ncontent-type: application/json\r\n"
        self._head += "accept: application/json, text/event-stream\r\n"
        self.session = ""

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, *, sessions: bool = False, headers: str = "") -> AsyncGenerator["RawHttp"]:
        """Connect, and send `headers` with each request besides those that it needs."""
        parts = urlsplit(url)
        async with await anyio.connect_tcp(parts.hostname or "", parts.port or 80) as stream:
            client = cls(stream, url)
            client._head += headers
            if sessions:
                await client.initialize()
            yield client

    async def initialize(self) -> None:
        params = {"protocolVersion": SESSIONS, "capabilities": {}, "clientInfo": _CLIENT}
        head, _ = await self._post({"id": 1, "method": "initialize", "params": params}, "")
        lines = head.decode().split("\r\n")
        self.session = next(line.split(": ")[1] for line in lines if line.lower().startswith("mcp-session-id"))
        await self._post({"method": "notifications/initialized"}, self._of_session())

    def _of_session(self) -> str:
        return f"mcp-protocol-version: {SESSIONS}\r\nmcp-session-id: {self.session}\r\n"

    async def call(self, tool: str, args: dict[str, Any]) -> dict[str, Any]:
        params: dict[str, Any] = {"name": tool, "arguments": args}
        if self.session:
            headers = self._of_session()
        else:
            params["_meta"] = META
            headers = f"mcp-protocol-version: {STATELESS}\r\nmcp-method: tools/call\r\nmcp-name: {tool}\r\n"
        _, body = await self._post({"id": 7, "method": "tools/call", "params": params}, headers)
        answer = json.loads(body)
        assert "result" in answer, f"{tool} at {self._head.split()[1]}: {answer}"
        return succeeded(answer["result"])

    async def subscribe(self, uri: str) -> None:
        """Open a stream of notifications about one resource; `updated` waits for them."""
        params = {"notifications": {"resourceSubscriptions": [uri]}, "_meta": META}
        headers = f"mcp-protocol-version: {STATELESS}\r\nmcp-method: subscriptions/listen\r\n"
        await self._send({"id": 7, "method": "subscriptions/listen", "params": params}, headers)
        while b"notifications/subscriptions/acknowledged" not in await self._stream.receive():
            pass

    async def updated(self) -> None:
        """Return when a notification has come."""
        while b"notifications/resources/updated" not in await self._stream.receive():
            pass

    async def _send(self, message: dict[str, Any], headers: str) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        await self._stream.send(f"{self._head}{headers}content-length: {len(body)}\r\n\r\n".encode() + body)

    async def _post(self, message: dict[str, Any], headers: str) -> tuple[bytes, bytes]:
        await self._send(message, headers)
        received = b""
        while b"\r\n\r\n" not in received:
            received += await self._stream.receive()
        head, _, rest = received.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        if b"content-length" in fields:
            while len(rest) < int(fields[b"content-length"]):
                rest += await self._stream.receive()
            return head, rest
        if fields.get(b"transfer-encoding") == b"chunked":
            while not rest.endswith(b"0\r\n\r\n"):
                rest += await self._stream.receive()
            data = [line[6:] for line in rest.split(b"\r\n") if line.startswith(b"data: {")]
            rest = data[-1] if data else b""
        return head, rest


class Stdio:
    """`ostler serve` as clients launch it."""

    def __init__(self, process: anyio.abc.Process) -> None:
        self._process = process
        self._rest = b""

    @classmethod
    @asynccontextmanager
    async def open(cls, command: list[str], environment: dict[str, str]) -> AsyncGenerator["Stdio"]:
        async with await anyio.open_process(command, env=environment, stderr=subprocess.DEVNULL) as process:
            yield cls(process)
            assert process.stdin
            await process.stdin.aclose()

    async def call(self, tool: str, args: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        params = {"name": tool, "arguments": args, "_meta": META}
        message = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}
        await self._process.stdin.send(json.dumps(message).encode() + b"\n")
        while b"\n" not in self._rest:
            self._rest += await self._process.stdout.receive()
        line, _, self._rest = self._rest.partition(b"\n")
        return succeeded(json.loads(line)["result"])


class SdkClient:
    """The Python SDK's own client over HTTP."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncGenerator["SdkClient"]:
        async with Client(url) as client:
            yield cls(client)

    async def call(self, tool: str, args: dict[str, Any]) -> dict[str, Any]:
        result = await self._client.call_tool(tool, args)
        return succeeded({"isError": result.is_error, "structuredContent": result.structured_content})


def succeeded(result: dict[str, Any]) -> dict[str, Any]:
    if result.get("isError"):
        raise RuntimeError(str(result))
    return result.get("structuredContent") or {}
