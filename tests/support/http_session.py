"""A client of the protocol's versions with sessions that shows which HTTP answers it gets."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2

VERSION = "2025-11-25"
CLIENT = {"name": "test", "version": "1"}


class Session:
    """One session over HTTP, its requests sent as they are."""

    def __init__(self, http: httpx2.AsyncClient, url: str, headers: Mapping[str, str] | None = None) -> None:
        self._http = http
        self._url = url
        self.headers = {"accept": "application/json, text/event-stream", "mcp-protocol-version": VERSION}
        self.headers |= headers or {}

    async def open(self, said: dict[str, Any] | None = None) -> httpx2.Response:
        params = {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": CLIENT, **(said or {})}
        answer = await self.post("initialize", params)
        self.headers["mcp-session-id"] = answer.headers["mcp-session-id"]
        done = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        assert (await self._http.post(self._url, json=done, headers=self.headers)).status_code == 202
        return answer

    async def post(self, method: str, params: dict[str, Any], number: int | str = 1) -> httpx2.Response:
        body = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        return await self._http.post(self._url, json=body, headers=self.headers)

    async def call(self, tool: str, **arguments: Any) -> httpx2.Response:
        return await self.post("tools/call", {"name": tool, "arguments": arguments})

    async def delete(self) -> httpx2.Response:
        return await self._http.delete(self._url, headers=self.headers)

    @asynccontextmanager
    async def stream(self) -> AsyncGenerator[httpx2.Response]:
        async with self._http.stream("GET", self._url, headers=self.headers) as answer:
            assert answer.status_code == 200
            yield answer
