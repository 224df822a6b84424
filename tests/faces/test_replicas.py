"""Servers that stand by answer reads as the one that holds the database would, and never what is not so any more."""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from starlette.types import Receive, Scope, Send
from tests.support.http_session import Session
from tests.support.ledger_app import LedgerApplication, ledger
from tests.support.standbys import META, Asking, Holding, StandingBy, asking, holding, leases_of, paths_in, standing_by
from tests.support.tcp_proxy import tcp_proxy
from tests.support.world import EPOCH, World, manifest

from ostler.adapters.access.token_file import TokenFile
from ostler.adapters.config.paths import Paths
from ostler.adapters.replicas import mirror
from ostler.adapters.stores.standing_by import SeenHolder
from ostler.engine.clock import LoopClock
from ostler.engine.events.log import EventLog
from ostler.engine.services.registry import ServiceRegistry
from ostler.engine.services.views import CreateRequest
from ostler.faces.access.seen_services import Owners
from ostler.faces.replicas.feed_server import FEED, LEASE, follower_token
from ostler.faces.replicas.handover import Handover, NotHereError, handover
from ostler.faces.replicas.mirrored_application import MirroredApplication
from ostler.model.records import OperationRecord
from ostler.model.settings import Settings

pytestmark = [pytest.mark.anyio, pytest.mark.realtime]

TEAM = """
[principals.alice]
[principals.bob]
sees = ["alice"]
[principals.ada]
admin = true
"""


@pytest.fixture(autouse=True)
def long_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a lease of the usual length may end between two requests."""
    leases_of(monkeypatch, 30)


@dataclass
class Servers:
    """One server that works and others that stand by."""

    app: LedgerApplication
    holding: Holding
    holder: Asking
    others: list[StandingBy]
    paths: Paths


@asynccontextmanager
async def servers(folder: Path, *, others: int = 1, toml: str = "") -> AsyncGenerator[Servers]:
    paths = paths_in(folder, toml)
    async with ledger(World(), manifest()) as app, holding(app, paths) as here, AsyncExitStack() as ending:
        client = await ending.enter_async_context(asking(here.url))
        found = [await ending.enter_async_context(standing_by(paths)) for _ in range(others)]
        for each in found:
            each.forwarder.saw(here.seen())
            await each.until_current()
        yield Servers(app, here, client, found, paths)


def stopped(clock: object) -> Any:
    """Return the same time whenever it is asked for."""
    del clock
    return EPOCH


READS: list[tuple[str, dict[str, Any]]] = [
    ("tools/call", {"name": "service_list", "arguments": {}}),
    ("tools/call", {"name": "service_list", "arguments": {"limit": 1, "owner": "alice"}}),
    ("tools/call", {"name": "service_status", "arguments": {"name": "web"}}),
    ("tools/call", {"name": "service_status", "arguments": {"name": "none"}}),
    ("tools/call", {"name": "service_status", "arguments": {"nmae": "web"}}),
    ("tools/call", {"name": "service_events", "arguments": {}}),
    ("tools/call", {"name": "service_events", "arguments": {"name": "web", "limit": 2}}),
    ("tools/call", {"name": "service_events", "arguments": {"since": 3, "kinds": ["state_changed"]}}),
    ("tools/call", {"name": "serviceclass_list", "arguments": {}}),
    ("tools/call", {"name": "serviceclass_get", "arguments": {"name": "basic"}}),
    ("tools/call", {"name": "serviceclass_available", "arguments": {"name": "basic"}}),
    ("tools/list", {}),
    ("prompts/list", {}),
    ("resources/list", {}),
    ("resources/templates/list", {}),
    ("resources/read", {"uri": "ostler://services"}),
    ("resources/read", {"uri": "ostler://graph"}),
    ("resources/read", {"uri": "service://web/outputs"}),
    ("resources/read", {"uri": "service://web/events"}),
    ("resources/read", {"uri": "serviceclass://basic"}),
    ("server/discover", {}),
    (
        "completion/complete",
        {"ref": {"type": "ref/resource", "uri": "service://{name}"}, "argument": {"name": "name", "value": "w"}},
    ),
]


@pytest.mark.parametrize("path", ["/mcp", "/mcp/core"])
async def test_every_read_is_answered_as_by_the_holder_for_whoever_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(LoopClock, "now", stopped)  # two answers with the same ages
    monkeypatch.setattr(mirror.HolderClock, "now", stopped)
    tokens = TokenFile(paths_in(tmp_path).tokens_file)
    known = {name: tokens.add(name)[0] for name in ("alice", "bob", "ada")}
    async with servers(tmp_path, toml=TEAM) as made:
        for owner, name in (("alice", "web.alice"), ("alice", "web"), ("carl", "hidden.carl")):
            await made.app.manager.create(CreateRequest("basic", name, owner=owner))
        await made.app.manager.delete("hidden.carl")
        await made.app.manager.create(CreateRequest("basic", "secret.carl", owner="carl", start=False))
        await made.holding.publisher.settle()
        for name, token in (*known.items(), ("stranger", "not a token")):
            seen = ""
            for method, params in READS:
                expected = await made.holder.ask(method, params, path=path, token=token)
                asked = len(made.holding.asked)
                found = await made.others[0].client.ask(method, params, path=path, token=token)
                assert (found.status_code, found.text) == (expected.status_code, expected.text), (method, params)
                assert len(made.holding.asked) == asked, f"{method} {params} was passed on"
                seen += found.text
            assert ("secret.carl" in seen, "web.alice" in seen) == (name == "ada", name != "stranger")


@pytest.mark.parametrize(("path", "name"), [("/mcp", ""), ("/mcp/core", "alice")])
async def test_reads_in_a_session_are_answered_as_by_the_holder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, name: str
) -> None:
    monkeypatch.setattr(LoopClock, "now", stopped)
    monkeypatch.setattr(mirror.HolderClock, "now", stopped)
    token = {"authorization": f"Bearer {TokenFile(paths_in(tmp_path).tokens_file).add(name)[0]}"} if name else {}
    async with servers(tmp_path, toml=TEAM) as made:
        asked, other = made.holding.asked, made.others[0].client.http
        await made.app.manager.create(CreateRequest("basic", "web", owner="alice", start=False))
        await made.holding.publisher.settle()
        session = Session(other, path, token)
        await session.open()
        same = Session(made.holder.http, path, session.headers)
        for method, params in (*READS, ("ping", {})):
            if method == "server/discover":
                continue
            expected = await same.post(method, params)
            count = len(asked)
            found = await session.post(method, params)
            assert (found.status_code, found.text) == (expected.status_code, expected.text), (method, params)
            assert found.headers["mcp-session-id"] == session.headers["mcp-session-id"]
            assert len(asked) == count, f"{method} {params} was passed on"
        for asks in (session.call("service_stop", name="web"), session.post("subscriptions/listen", {})):
            count = len(asked)
            assert (await asks).status_code in (200, 400)
            assert len(asked) == count + 1
        assert (await session.delete()).status_code == 200
        assert (await session.call("service_list")).status_code == 404


async def test_a_session_of_a_client_whose_roots_count_or_that_says_too_much_is_served_by_the_holder(
    tmp_path: Path,
) -> None:
    async with servers(tmp_path) as made:
        asked, other = made.holding.asked, made.others[0].client.http
        session = Session(other, "/mcp")
        await session.open({"capabilities": {"roots": {}}})
        asked.clear()
        assert (await session.call("serviceclass_list")).status_code == 200
        assert asked == []
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "service_list"}}
        async with other.stream("POST", "/mcp", json=body, headers=session.headers) as answer:
            async for line in answer.aiter_lines():
                if '"roots/list"' in line:
                    reply = {"jsonrpc": "2.0", "id": json.loads(line[6:])["id"], "result": {"roots": []}}
                    await other.post("/mcp", json=reply, headers=session.headers)
        assert asked == ["?", "?"]
        session = Session(other, "/mcp")
        await session.open({"capabilities": {"experimental": {"much": {"text": "x" * 2_000}}}})
        asked.clear()
        assert (await session.call("serviceclass_list")).status_code == 200
        assert asked == ["?"]


async def test_whose_a_service_was_that_came_and_went_unseen_is_known(tmp_path: Path) -> None:
    tokens = TokenFile(paths_in(tmp_path).tokens_file)
    known = {name: tokens.add(name)[0] for name in ("alice", "bob")}
    async with servers(tmp_path, toml=TEAM) as made:
        (other,) = made.others
        deleted = {"name": "service_events", "arguments": {"kinds": ["service_deleted"]}}
        for token in known.values():
            assert "not.alice" not in (await other.client.ask("tools/call", deleted, token=token)).text
        other.forwarder.saw(None)
        for owner, name in (("alice", "mine"), ("carl", "not.alice")):
            await made.app.manager.create(CreateRequest("basic", name, owner=owner))
            await made.app.manager.delete(name)
        other.forwarder.saw(made.holding.seen())
        await other.until_current()
        asked = len(made.holding.asked)
        for token in known.values():
            text = (await other.client.ask("tools/call", deleted, token=token)).text
            assert ("mine" in text, "not.alice" in text) == (True, False)
        assert len(made.holding.asked) == asked
    again = EventLog(LoopClock(EPOCH))
    owners = Owners(ServiceRegistry(), again)
    again.follow(made.app.manager.events.contents)  # as after a snapshot
    assert (owners.of("mine"), owners.of("not.alice"), owners.of("other")) == ("alice", "carl", None)


async def test_what_was_answered_is_seen_at_every_server_at_once(tmp_path: Path) -> None:
    async with servers(tmp_path, others=2) as made:
        first, second = (each.client for each in made.others)
        await first.call("service_create", serviceClassName="basic", name="web")
        for turn in range(10):
            asked, tool = (first, "service_stop") if turn % 2 == 0 else (made.holder, "service_start")
            await asked.call(tool, name="web")
            state = "stopped" if turn % 2 == 0 else "running"
            for reader in (first, second):
                assert (await reader.call("service_status", name="web"))["state"] == state
        await made.holder.call("service_delete", name="web")
        assert (await second.call("service_list"))["total"] == 0
        reads = [name for name in made.holding.asked if name in ("service_status", "service_list")]
        assert reads == []


async def test_what_only_the_holder_knows_is_passed_on(tmp_path: Path) -> None:
    async with servers(tmp_path) as made:
        (other,) = made.others
        await made.holder.call("service_create", serviceClassName="basic", name="web")
        made.app.logs["web"] = ["it works"]
        made.holding.asked.clear()
        assert (await other.client.call("service_logs", name="web"))["lines"] == ["it works"]
        assert (await other.client.call("service_wait", name="web", state="running"))["met"] is True
        assert (await other.client.call("service_get", name="web"))["history"] != []  # there is no database here
        assert (await other.client.call("mcpserver_list"))["total"] == 1
        assert made.holding.asked == ["service_logs", "service_wait", "service_get", "mcpserver_list"]
        for path, meta in (
            ("/mcp/muster", META),
            ("/mcp", META | {"io.modelcontextprotocol/clientCapabilities": {"roots": {}}}),
        ):
            listed = {"name": "service_list", "arguments": {}}
            made.holding.asked.clear()
            await other.client.ask("tools/call", listed, path=path, meta=meta)
            assert made.holding.asked == ["service_list"]
        await other.client.ask("tools/call", {"name": "serviceclass_list", "arguments": {}}, meta=meta)
        assert made.holding.asked == ["service_list"]  # no folder decides what it means
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}  # of a client that has sessions
        assert (await other.client.http.post("/mcp", json=body)).status_code == 400
        assert made.holding.asked == ["service_list", "?"]


async def test_services_whose_processes_the_holder_measures_are_shown_by_it(tmp_path: Path) -> None:
    async with servers(tmp_path) as made:
        (other,) = made.others
        for name in ("web", "db"):
            await made.holder.call("service_create", serviceClassName="basic", name=name, start=False)
        made.holding.measured.add("web")
        await made.holder.call("service_start", name="web")
        made.holding.asked.clear()
        await other.client.call("service_status", name="db")
        await other.client.call("service_list", limit=1)
        assert made.holding.asked == []
        await other.client.call("service_status", name="web")
        await other.client.call("service_list")
        assert made.holding.asked == ["service_status", "service_list"]


async def test_a_server_with_other_settings_or_tokens_than_the_holder_passes_reads_on(tmp_path: Path) -> None:
    async with servers(tmp_path, toml=TEAM) as made:
        paths = paths_in(tmp_path / "other", TEAM.replace("[principals.bob]", "[principals.bob]\nadmin = true"))
        async with standing_by(paths) as other:
            other.forwarder.saw(made.holding.seen())
            await other.until_heard()
            assert other.replica.age is None
            await other.client.call("service_list")
            assert made.holding.asked == ["service_list"]
            paths.settings_file.write_text(TEAM)
            await other.until_current()
            await other.client.call("service_list")
            assert made.holding.asked == ["service_list"]
            made.paths.settings_file.write_text(TEAM + '[policy]\ndenyTools = ["ostler/service_list"]\n')
            await other.until_current(is_current=False)


async def test_a_follower_proves_that_it_is_one_and_speaks_the_same_version(tmp_path: Path) -> None:
    async with servers(tmp_path) as made:
        token = {"authorization": f"Bearer {follower_token(b'another key')}"}
        right = {"authorization": f"Bearer {follower_token(made.holding.seen().key)}"}
        for path in (FEED, LEASE):
            for headers, version, status in (({}, "1", 401), (token, "1", 401), (right, "2", 409)):
                query = {"follower": "f", "version": version, "number": "1"}
                answer = await made.holder.http.get(path, params=query, headers=headers)
                assert answer.status_code == status
        lease = await made.holder.http.post(
            LEASE, params={"follower": "unknown", "version": "1", "number": "99"}, headers=right
        )
        assert lease.json() == {"lease": False}
        query = {"follower": "f", "version": "1"}
        async with made.holder.http.stream("GET", FEED, params=query, headers=right) as feed:
            lines = feed.aiter_lines()
            run = json.loads((await anext(lines))[1:])["run"]
            for of, has_lease in (("", False), ("of the holder before", False), (run, True)):  # its numbers are others
                lease = await made.holder.http.post(LEASE, params={**query, "run": of, "number": "0"}, headers=right)
                assert lease.json() == {"lease": has_lease}
        async with standing_by(made.paths, version="2") as newer:
            newer.forwarder.saw(made.holding.seen())
            await newer.client.call("service_list")
            assert made.holding.asked == ["service_list"]


async def test_a_server_that_is_cut_off_answers_nothing_that_is_not_so_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases_of(monkeypatch, 0.7)
    async with (
        servers(tmp_path, others=0) as made,
        standing_by(made.paths) as other,
        tcp_proxy(int(made.holding.url.rpartition(":")[2])) as way,
    ):
        other.forwarder.saw(SeenHolder(1, f"http://127.0.0.1:{way.port}", "server 1", made.holding.seen().key))
        await other.until_current()
        await made.holder.call("service_create", serviceClassName="basic", name="web")
        assert (await other.client.call("service_status", name="web"))["state"] == "running"
        way.swallows_answers = True  # what is published does not come, and nobody notices
        await made.holder.call("service_stop", name="web")
        assert not other.replica.is_current
        way.swallows_answers = False  # what comes now lacks what was lost
        await way.cut()
        assert (await other.client.call("service_status", name="web"))["state"] == "stopped"
        await other.until_current()
        assert (await other.client.call("service_status", name="web"))["state"] == "stopped"


async def test_without_a_server_that_works_reads_are_answered_with_their_age(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ostler.faces.daemon.forwarding.LATE", 0.1)
    async with servers(tmp_path) as made:
        (other,) = made.others
        await made.holder.call("service_create", serviceClassName="basic", name="web")
        await other.client.call("service_status", name="web")
        other.forwarder.saw(SeenHolder(2, "http://127.0.0.1:1", "server 2", b"key"))
        status = {"name": "service_status", "arguments": {"name": "web"}}
        result = (await other.client.ask("tools/call", status)).json()["result"]
        assert result["structuredContent"]["state"] == "running"
        assert "ago: the server that holds the database cannot be reached" in result["structuredContent"]["asOf"]
        assert result["structuredContent"]["asOf"] in result["content"][-1]["text"]
        assert 0 <= result["_meta"]["ostler/age"] < 10
        listed = (await other.client.ask("resources/list", {})).json()["result"]
        assert "ostler/age" in listed["_meta"]
        made.paths.settings_file.write_text("[principals.new]\n")  # who else may read is not known
        assert other.replica.age is None


async def test_a_change_that_cannot_be_published_ends_the_answers_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases_of(monkeypatch, 0.5)
    async with servers(tmp_path) as made:
        (other,) = made.others
        await made.holder.call("service_create", serviceClassName="basic", name="web", start=False)
        web = made.app.manager.registry.get("web")
        shown = web.view

        def broken() -> Any:
            raise RuntimeError("a bug")

        web.view = broken  # type: ignore[method-assign]  # pyright: ignore[reportAttributeAccessIssue]
        made.app.manager.events.append(made.app.manager.events.read().events[0].kind, "web")
        await made.holding.publisher.settle()
        assert not other.replica.is_current
        web.view = shown  # type: ignore[method-assign]  # pyright: ignore[reportAttributeAccessIssue]
        assert (await other.client.call("service_list"))["total"] == 1
        assert made.holding.asked[-1] == "service_list"


async def test_a_server_that_may_have_been_replaced_gives_no_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases_of(monkeypatch, 0.7)
    async with servers(tmp_path) as made:
        (other,) = made.others
        made.holding.holds = False
        await other.until_current(is_current=False)
        for _ in range(3):  # signs of life
            await other.until_heard()
            assert not other.replica.is_current
        for client in (made.holder, other.client):  # what it knows may not be so any more
            answer = await client.call("service_list")
            assert "this server cannot reach the database, and another one may work already" in answer["asOf"]
            stop = await client.ask("tools/call", {"name": "service_stop", "arguments": {"name": "web"}})
            facts = stop.json()["result"]
            assert facts["isError"]
            assert "another one may work already" in facts["structuredContent"]["error"]["message"]
        long = {"name": "service_create", "arguments": {"args": {"text": "x" * 2_000_000}}}
        assert (await made.holder.ask("tools/call", long)).status_code == 503  # it is not read to its end
        assert not {"service_stop", "service_create"} & set(made.holding.asked)
        made.holding.holds = True
        await other.until_current()


async def test_a_server_that_ends_takes_its_leases_back_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leases_of(monkeypatch, 300)
    async with AsyncExitStack() as ending:
        other = await ending.enter_async_context(standing_by(paths_in(tmp_path)))
        async with servers(tmp_path, others=0) as made:
            other.forwarder.saw(made.holding.seen())
            await other.until_current()
            await made.holder.call("service_create", serviceClassName="basic", name="web")
            await made.holding.publisher.end()
            assert not other.replica.is_current
            with anyio.fail_after(60):  # and waits for no lease
                await made.holder.call("service_stop", name="web")
            assert (await other.client.call("service_status", name="web"))["state"] == "stopped"


async def test_a_server_that_stands_by_gives_its_lease_back_when_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases_of(monkeypatch, 300)
    async with servers(tmp_path, others=0) as made:
        await made.holder.call("service_create", serviceClassName="basic", name="web")
        async with standing_by(made.paths) as other:
            other.forwarder.saw(made.holding.seen())
            await other.until_current()
        with anyio.fail_after(60):
            await made.holder.call("service_stop", name="web")


async def test_reads_that_a_person_must_confirm_are_passed_on(tmp_path: Path) -> None:
    for globs, passed in (('["ostler/service_delete", "*/other"]', []), ('["ostler/service_li*"]', ["service_list"])):
        folder = tmp_path / str(len(passed))
        async with servers(folder, toml=f"[policy]\nconfirmTools = {globs}\n") as made:
            await made.others[0].client.ask("tools/call", {"name": "service_list", "arguments": {}})
            assert made.holding.asked == passed


async def test_streams_go_on_while_servers_take_over(tmp_path: Path) -> None:
    async with servers(tmp_path) as made, AsyncExitStack() as ending:
        (other,) = made.others
        lines = await ending.enter_async_context(listening(other.client))
        assert "subscriptions/acknowledged" in await anext(lines)
        await made.holder.call("service_create", serviceClassName="basic", name="web")
        assert "notifications/resources/list_changed" in await anext(lines)
        second = await ending.enter_async_context(ledger(World(), manifest()))
        after = await ending.enter_async_context(holding(second, made.paths))
        await second.manager.create(CreateRequest("basic", "later"))
        for number in range(30):  # its events go on after those of the first one
            second.manager.events.append(second.manager.events.read().events[0].kind, "later", f"again {number}")
        other.forwarder.saw(after.seen(2))
        await other.until_current()
        assert "notifications/resources/list_changed" in await anext(lines)
        assert (await other.client.call("service_list"))["services"][0]["name"] == "later"
        assert after.asked == []
        async with other.forwarder.serving_here(nothing):  # it takes over itself
            assert [line async for line in lines] == []


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError(scope["path"], receive, send)


@asynccontextmanager
async def listening(client: Asking) -> AsyncGenerator[Any]:
    """Open a stream of changes of the list of resources; yield its messages."""
    wanted = {"notifications": {"resourcesListChanged": True}, "_meta": META}
    body = {"jsonrpc": "2.0", "id": 7, "method": "subscriptions/listen", "params": wanted}
    headers = {
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "subscriptions/listen",
    }
    async with client.http.stream("POST", "/mcp", json=body, headers=headers) as answer:

        async def messages() -> AsyncGenerator[str]:
            async for line in answer.aiter_lines():
                if line.startswith("data:") and json.loads(line[5:]):
                    yield line

        yield messages()


async def test_what_a_standby_does_not_know_is_left_to_the_holder() -> None:
    async def history(_service: str, _limit: int) -> list[OperationRecord]:
        return []

    app = MirroredApplication(mirror.Mirror(), Settings, history)
    assert app.manager.listed() == []
    left: list[Callable[[], Any]] = [
        lambda: app.review,
        app.effective_config,
        app.manager.secrets,
        lambda: app.manager.plans.create(CreateRequest("basic")),
        app.pool.list_tools,
        app.projects.left_over,
        lambda: app.projects.prune(timeout=None),
    ]
    for ask in left:
        due = Handover()
        token = handover.set(due)
        with pytest.raises(NotHereError):
            await ask()
        assert due.is_due
        handover.reset(token)
