"""Health checks that servers which stand by make for the one that holds the database, over real HTTP."""

import json
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest
from starlette.types import Receive, Scope, Send
from tests.support.downstream import http_entry, open_pool
from tests.support.ledger_app import LedgerApplication
from tests.support.standbys import KEY, Holding, StandingBy, holding, leases_of, paths_in, standing_by
from tests.support.tcp_proxy import tcp_proxy
from tests.support.web import serving

from ostler.adapters.config.paths import Paths
from ostler.adapters.replicas import check_desk
from ostler.adapters.stores.memory import MemoryStore
from ostler.adapters.stores.standing_by import SeenHolder
from ostler.engine.classes.catalogue import ClassEntry
from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.manager import ServiceManager
from ostler.engine.services.views import CreateRequest
from ostler.faces.replicas import delegated_checks
from ostler.faces.replicas.feed_server import CHECKS, follower_token
from ostler.faces.replicas.shared_servers import SharedServers
from ostler.model.states import HealthStatus
from ostler.rules.reading import load_manifests

pytestmark = [pytest.mark.anyio, pytest.mark.realtime]

MANY, FEW = 24, 14
"""Numbers of services with which each of three servers, and of two, has a share, but once in thousands of runs."""

CLASS = """
apiVersion: ostler/v1
kind: ServiceClass
metadata: {name: web}
spec:
  serviceConfig:
    lifecycleTools:
      start: {tool: w/start, args: {name: "{{ name }}"}}
      stop: {tool: w/stop, args: {name: "{{ name }}"}}
      healthCheck: {tool: w/check, args: {name: "{{ name }}"}, expect: {jsonPath: {state: running}}}
    healthCheck: {interval: 1h, initialDelay: 1h, successThreshold: 1, failureThreshold: 2, timeout: 60s}
"""


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a lease of the usual length ends between two requests, and answers are old when they come."""
    leases_of(monkeypatch, 30)
    monkeypatch.setattr(check_desk, "STALE", 30)


@dataclass
class Downstream:
    """An MCP server. It notes which session looks at what.

    Attributes:
        looks: (session, service) of each look.
        sessions: those that were opened, in order: the holder's is the first.
        state: returns what a session sees of a service.
    """

    looks: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    sessions: list[str] = field(default_factory=list[str])
    state: Callable[[str, str], str] = lambda _session, _name: "running"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body, headers = b"", dict(scope["headers"])
        while (message := await receive())["type"] == "http.request":
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        session = headers.get(b"mcp-session-id", b"").decode()
        asked: dict[str, Any] = json.loads(body) if body else {}
        result = self._result(session, asked.get("method", ""), asked.get("params") or {})
        answer = {"jsonrpc": "2.0", "id": asked.get("id"), **result}
        status = 405 if scope["method"] != "POST" else 200 if "id" in asked else 202
        more = [(b"mcp-session-id", self.sessions[-1].encode())] if asked.get("method") == "initialize" else []
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(b"content-type", b"application/json"), *more],
            }
        )
        await send({"type": "http.response.body", "body": json.dumps(answer).encode() if status == 200 else b""})

    def _result(self, session: str, method: str, params: dict[str, Any]) -> dict[str, Any]:
        match method:
            case "initialize":
                self.sessions.append(f"s{len(self.sessions)}")
                info = {"name": "w", "version": "1"}
                said = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": info}
                return {"result": said}
            case "tools/list":
                names = ("start", "stop", "check")
                return {"result": {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in names]}}
            case "tools/call":
                service = params["arguments"]["name"]
                if params["name"] == "check":
                    self.looks.append((session, service))
                state = {"state": self.state(session, service)}
                return {"result": {"content": [], "structuredContent": state}}
            case "ping":
                return {"result": {}}
            case _:
                return {"error": {"code": -32601, "message": "not found"}}


@dataclass
class Sharing:
    """A server that works, with services on one downstream server over HTTP, and others that stand by."""

    manager: ServiceManager
    holding: Holding
    downstream: Downstream
    paths: Paths

    @asynccontextmanager
    async def another(self, paths: Paths | None = None, url: str = "") -> AsyncGenerator[StandingBy]:
        """Run a server that stands by and makes checks."""
        opened = self.able()
        async with standing_by(paths or self.paths) as other:
            seen = self.holding.seen()
            other.forwarder.saw(SeenHolder(1, url or seen.url, seen.label, seen.key))
            await other.until_current()
            await self.until(lambda: self.able() > opened)
            yield other

    def able(self) -> int:
        """Return how many others make checks now."""
        return self.holding.desk.able

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for what other tasks do."""
        with anyio.fail_after(60):
            while not condition():
                await anyio.sleep(0.005)

    async def check_all(self) -> dict[str, str]:
        """Check every service once, as the scheduler does; return in which session each was looked at last."""
        self.downstream.looks.clear()
        async with anyio.create_task_group() as tasks:
            for service in self.manager.registry.get_all():
                tasks.start_soon(self.check, service)
        return {name: session for session, name in self.downstream.looks}

    async def until_shared(self) -> None:
        """Check every service until another server makes some of the checks."""
        with anyio.fail_after(60):
            while set((await self.check_all()).values()) == {"s0"}:
                pass

    async def check(self, service: Any) -> None:
        """Check one service."""
        await service.health_check.run(others=self.holding.desk)

    def healths(self) -> Counter[HealthStatus]:
        """Count the services by their health."""
        return Counter(service.health for service in self.manager.registry.get_all())


@asynccontextmanager
async def sharing(folder: Path, *, services: int = FEW) -> AsyncGenerator[Sharing]:
    downstream = Downstream()
    async with AsyncExitStack() as ending:
        port = await ending.enter_async_context(serving(downstream, lifespan="off"))
        paths = paths_in(folder)
        paths.mcp_json.write_text(json.dumps({"mcpServers": {"w": {"url": f"http://127.0.0.1:{port}/mcp"}}}))
        pool = await ending.enter_async_context(open_pool(folder, http_entry("w", port)))
        await pool.wait_until_connected("w", 60)
        manager = await ending.enter_async_context(ServiceManager(pool, MemoryStore(), tools=pool))
        manager.classes.add(ClassEntry.of(load_manifests(CLASS, "web.yaml")[0]))
        app = LedgerApplication(manager, pool)  # pyright: ignore[reportArgumentType]
        here = await ending.enter_async_context(holding(app, paths, SharedServers(pool, pool, KEY)))
        async with anyio.create_task_group() as tasks:
            for number in range(services):
                tasks.start_soon(manager.create, CreateRequest("web", f"web{number}"))
        made = Sharing(manager, here, downstream, paths)
        assert set((await made.check_all()).values()) == {"s0"}  # what is not known to be well is the holder's to check
        yield made


def service(made: Sharing, number: int = 0) -> ServiceInstance:
    found = made.manager.registry.get(f"web{number}")
    assert isinstance(found, ServiceInstance)
    return found


async def test_checks_are_spread_over_the_servers_that_live(tmp_path: Path) -> None:
    async with sharing(tmp_path, services=MANY) as made, made.another():
        async with made.another() as second:
            first_round = await made.check_all()
            assert len(set(first_round.values())) == 3
            assert (await made.check_all()) == first_round  # each service stays where it is
            assert len(made.downstream.looks) == MANY  # and is looked at once
            second.forwarder.saw(None)  # as when it is gone
            await made.until(lambda: made.able() == 1)
        after = await made.check_all()
        assert set(after.values()) < set(first_round.values())
        moved = {name for name in after if after[name] != first_round[name]}
        assert moved == {name for name, session in first_round.items() if session not in after.values()}
        assert made.healths() == {HealthStatus.HEALTHY: MANY}
        assert made.holding.desk.counts.keys() == {"made"}


async def test_what_is_not_well_is_believed_of_the_holder_alone(tmp_path: Path) -> None:
    async with sharing(tmp_path) as made, made.another():
        made.downstream.state = lambda session, _: "running" if session == "s0" else "absent"
        await made.check_all()  # the other server sees something else, as in a session of its own
        assert made.healths() == {HealthStatus.HEALTHY: FEW}
        assert made.holding.desk.counts["refuted"] > 0
        assert set((await made.check_all()).values()) == {"s0"}  # so it is not asked about this server for a while
        assert made.holding.desk.counts["made"] > 0


async def test_a_service_that_fails_is_counted_once_a_check_and_by_the_holder(tmp_path: Path) -> None:
    async with sharing(tmp_path, services=1) as made, made.another():
        while (await made.check_all()) == {"web0": "s0"}:  # until it is in the other one's share
            await made.manager.delete("web0")
            await made.manager.create(CreateRequest("web", "web0"))
            await made.check_all()
        made.downstream.state = lambda _session, _name: "sick"
        await made.check_all()
        assert (service(made).vitals.failures, service(made).health) == (1, HealthStatus.HEALTHY)
        assert len(made.downstream.looks) == 2
        await made.check_all()
        assert [session for session, _ in made.downstream.looks] == ["s0"]
        assert (service(made).vitals.failures, service(made).health) == (2, HealthStatus.UNHEALTHY)


async def test_a_server_that_cannot_answer_makes_nothing_look_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases_of(monkeypatch, 1.5)
    monkeypatch.setattr(check_desk, "FIRST_DOUBT", 0.05)
    async with (
        sharing(tmp_path) as made,
        tcp_proxy(int(made.holding.url.rpartition(":")[2])) as way,
        made.another(url=f"http://127.0.0.1:{way.port}"),
    ):
        await made.until_shared()
        before = service(made).vitals.checked_at
        way.swallows_requests = True  # what it sends does not come: it may be paused, or cut off
        assert set((await made.check_all()).values()) == {"s0"}
        assert made.holding.desk.counts["unanswered"] > 0
        assert service(made).vitals.checked_at != before
        way.swallows_requests = False
        await way.cut()
        await made.until_shared()
        assert made.healths() == {HealthStatus.HEALTHY: FEW}


async def test_a_server_with_another_entry_or_secret_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_desk, "FIRST_DOUBT", 0.0)
    monkeypatch.setattr(delegated_checks, "REFRESH", 0.0)
    async with sharing(tmp_path) as made:
        other = paths_in(tmp_path / "other")
        entry: dict[str, Any] = json.loads(made.paths.mcp_json.read_text())["mcpServers"]["w"]
        async with made.another(other):
            for differs in (
                {},
                {"w": {**entry, "headers": {"X-Secret": "of this one"}}},
                {"w": {**entry, "headers": {"X-Secret": "${THAT_ONLY_THE_HOLDER_HAS}"}}},
            ):
                other.mcp_json.write_text(json.dumps({"mcpServers": differs}))
                made.holding.desk.counts.clear()
                assert set((await made.check_all()).values()) == {"s0"}, differs
                assert made.holding.desk.counts.keys() == {"refused"}, differs
            other.mcp_json.write_text(made.paths.mcp_json.read_text())
            assert len(set((await made.check_all()).values())) == 2


async def test_only_followers_get_checks_and_anything_but_an_answer_ends_their_stream(tmp_path: Path) -> None:
    async with sharing(tmp_path, services=1) as made:
        http, query = made.holding, {"follower": "f", "version": "1"}
        async with standing_by(made.paths) as other:
            client = other.client.http
            for method in ("GET", "POST"):
                answer = await client.request(method, f"{http.url}{CHECKS}", params=query)
                assert answer.status_code == 401
            right = {"authorization": f"Bearer {follower_token(KEY)}"}
            for wrong in (b"[]\n", b"{}\n", b"x,1\n", b"x" * 100_000, b"[" * 70_000 + b"\n"):
                answer = await client.post(f"{http.url}{CHECKS}", params=query, headers=right, content=wrong)
                assert answer.status_code == 200
            answer = await client.post(
                f"{http.url}{CHECKS}", params=query, headers=right, content=b'[7,"",[],{},0,0]\n'
            )
            assert (answer.status_code, made.able()) == (200, 0)
