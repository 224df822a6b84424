"""A server that holds a database, without one, and servers that stand by: real ones over HTTP, over one ledger."""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace  # noqa: TID251 (a dataclass)
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from starlette.types import Receive, Scope, Send
from tests.support.ledger_app import LedgerApplication
from tests.support.world import EPOCH

from ostler.adapters.config.paths import Paths
from ostler.adapters.config.settings_file import load_settings
from ostler.adapters.replicas.check_desk import CheckDesk
from ostler.adapters.replicas.publisher import Publisher
from ostler.adapters.stores.standing_by import SeenHolder
from ostler.engine.clock import LoopClock
from ostler.engine.services.service import Service
from ostler.faces.access.principals import Principals
from ostler.faces.daemon.foreground import http_settings
from ostler.faces.daemon.forwarding import Forwarder
from ostler.faces.daemon.http import HttpSettings, forwarding_http, gated_web
from ostler.faces.mcp.server import build_server
from ostler.faces.replicas.access_digest import AccessDigest
from ostler.faces.replicas.feed_server import CHECKS, FEED, LEASE, FeedServer
from ostler.faces.replicas.replica import Replica
from ostler.model.access import Principal, policy_of

KEY = b"the key of the database"
META: dict[str, Any] = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


@dataclass
class Holding:
    """The server that works.

    Attributes:
        publisher: what is followed.
        desk: has health checks made.
        url: where it is reached, without a path.
        asked: what it was asked, but for what followers ask.
        measured: services whose processes count as measured.
        holds: whether it is certain that it holds the database.
    """

    publisher: Publisher
    desk: CheckDesk
    url: str = ""
    asked: list[str] = field(default_factory=list[str])
    measured: set[str] = field(default_factory=set[str])
    holds: bool = True

    def seen(self, epoch: int = 1) -> SeenHolder:
        """Return what is seen of it in the database."""
        return SeenHolder(epoch, self.url, f"server {epoch}", KEY)


def leases_of(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Give leases of another length, and take no silence for the end of a connection: a busy machine may cause it."""
    monkeypatch.setattr("ostler.faces.replicas.following.LEASE_SECONDS", seconds)
    monkeypatch.setattr("ostler.adapters.replicas.publisher.LEASE_SEEN", seconds + 0.1)
    monkeypatch.setattr("ostler.faces.replicas.following._SILENCE", 60.0)


def settings_of(paths: Paths) -> HttpSettings:
    """Return how the servers of a configuration are served."""
    return http_settings(paths, "127.0.0.1:0", (), None)


@asynccontextmanager
async def holding(
    app: LedgerApplication, paths: Paths, shared: Callable[[str], str] = lambda _: ""
) -> AsyncGenerator[Holding]:
    """Let `app` be that of a server that holds the database; `shared` is for its `CheckDesk`."""
    http, clock = settings_of(paths), LoopClock(EPOCH)
    principals = Principals(app, lambda: load_settings(paths.settings_file))

    def measures(service: Service) -> bool:
        return service.name in here.measured

    access = AccessDigest(KEY, lambda: load_settings(paths.settings_file), http, "full")
    publisher = Publisher(
        app.manager, app.pool, clock, is_measured=measures, access=access, is_holder=lambda: here.holds
    )
    desk = CheckDesk(shared, publisher.has_lease)
    here, feed = Holding(publisher, desk), FeedServer(publisher, desk, KEY, "1")
    forwarder = Forwarder("1")

    def make(wanted: str, principal: Principal) -> Any:
        toolset: Any = wanted or "full"
        return build_server(principals.application(principal), toolset, clock=clock)

    async def noted(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["path"] not in (FEED, LEASE, CHECKS)
        here.asked.append(next((value.decode() for name, value in scope["headers"] if name == b"mcp-name"), "?"))
        await web(scope, receive, send)

    async with (
        forwarding_http(forwarder, http) as url,
        feed.open(),
        gated_web(
            make, replace(http, session_key=KEY), version="1", toolsets=("core", "full"),
            policy=lambda name: policy_of(load_settings(paths.settings_file).principals, name),
        ) as web,
        forwarder.serving_here(noted, feed),
    ):  # fmt: skip
        here.url = url.removesuffix("/mcp")
        yield here


@dataclass
class StandingBy:
    """A server that stands by, and a client of it."""

    forwarder: Forwarder
    replica: Replica
    client: "Asking"

    async def until_current(self, *, is_current: bool = True) -> None:
        """Wait until it answers reads, or passes them on."""
        with anyio.fail_after(60):
            while self.replica.is_current is not is_current:
                await anyio.sleep(0.005)

    async def until_heard(self) -> None:
        """Wait for the next batch."""
        mirror = self.replica._following.mirror  # pyright: ignore[reportPrivateUsage]
        before = mirror.number
        with anyio.fail_after(60):
            while mirror.number == before:
                await anyio.sleep(0.005)


@asynccontextmanager
async def standing_by(paths: Paths, *, version: str = "1", patience: float = 20) -> AsyncGenerator[StandingBy]:
    """Run a server that stands by."""
    http = settings_of(paths)
    replica = Replica(paths, http, version=version, toolset="full")
    forwarder = Forwarder(version, patience=patience, reader=replica)
    async with forwarding_http(forwarder, http) as url, asking(url.removesuffix("/mcp")) as client:
        yield StandingBy(forwarder, replica, client)


class Asking:
    """A client of one server, in protocol 2026-07-28."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http = http

    async def ask(
        self, method: str, params: dict[str, Any], *, path: str = "/mcp", token: str = "", meta: Any = META
    ) -> httpx2.Response:
        """Send one request."""
        body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": {**params, "_meta": meta}}
        headers = headers_of(method, params) | ({"authorization": f"Bearer {token}"} if token else {})
        return await self.http.post(path, content=json.dumps(body).encode(), headers=headers)

    async def call(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """Call a tool that must succeed; return its structured content."""
        answer = await self.ask("tools/call", {"name": tool, "arguments": arguments})
        result = answer.json()["result"]
        assert not result["isError"], result
        return result["structuredContent"]


def headers_of(method: str, params: dict[str, Any]) -> dict[str, str]:
    """Return the headers of a request."""
    name = params.get("name") or params.get("uri")
    return {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": method,
    } | ({"mcp-name": name} if name else {})


@asynccontextmanager
async def asking(url: str) -> AsyncGenerator[Asking]:
    """Give a client of the server at `url`."""
    # There is no TLS: to load the certificates of this machine takes longer than most answers.
    async with httpx2.AsyncClient(base_url=url, timeout=60, trust_env=False, verify=False) as http:
        yield Asking(http)


def paths_in(folder: Path, toml: str = "") -> Paths:
    """Return the folders of a server, with its settings."""
    paths = Paths(folder / "config", folder / "state")
    paths.config_dir.mkdir(parents=True, exist_ok=True)
    paths.settings_file.write_text(toml)
    paths.create_state()
    return paths
