"""Resources, their templates and completion, prompts, and subscriptions of both protocol eras."""

import json
import re
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from inline_snapshot import snapshot
from mcp.client import Client
from mcp.client._memory import InMemoryTransport
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import ResourcesListChanged, ResourceUpdated
from mcp_types import (
    EmptyResult,
    PromptReference,
    ResourceListChangedNotification,
    ResourceTemplateReference,
    ResourceUpdatedNotification,
    SubscribeRequest,
    SubscribeRequestParams,
    UnsubscribeRequest,
    UnsubscribeRequestParams,
)
from tests.support.ledger_app import LedgerApplication, call, ledger, quiet, server_over
from tests.support.world import World, until

from ostler.faces.client_facts import client_of
from ostler.faces.mcp.addresses import Address, class_uri, read_uri, service_uri
from ostler.faces.mcp.changes import ChangeFeed, Mailbox
from ostler.faces.mcp.toolbox import tools_of
from ostler.model.events import EventKind

pytestmark = pytest.mark.anyio

ERAS = pytest.mark.parametrize("mode", ["legacy", "auto"])


async def read(client: Client, uri: str) -> str:
    (content,) = (await client.read_resource(uri)).contents
    assert content.uri == uri
    return getattr(content, "text", "")


# -- addresses ---------------------------------------------------------------------------------------------


def test_names_survive_their_uri() -> None:
    for name in ("web-1", "my server", "a/b", "ü"):
        assert read_uri(service_uri(name)) == Address("service", name)
        assert read_uri(f"{service_uri(name)}/logs") == Address("logs", name)
    assert read_uri(class_uri("static-site")) == Address("class", "static-site")


@pytest.mark.parametrize("uri", ["service://", "service://a/other", "service://a/b/c", "file:///etc", "ostler://x", ""])
def test_other_uris_are_none_of_ours(uri: str) -> None:
    assert read_uri(uri) is None


# -- reading -----------------------------------------------------------------------------------------------


@ERAS
async def test_every_resource_can_be_listed_and_read(mode: Any) -> None:
    async with ledger(World()) as app, Client(server_over(app), mode=mode) as client:
        await call(client, "service_create", serviceClassName="basic", name="one", args={"password": "hunter22"})
        listed = [resource.uri for resource in (await client.list_resources()).resources]
        assert listed == snapshot(["ostler://graph", "ostler://services", "service://one", "serviceclass://basic"])
        for uri in listed:
            assert await read(client, uri)
        service = json.loads(await read(client, "service://one"))
        assert (service["name"], service["state"]) == ("one", "running")
        assert "hunter22" not in json.dumps(service)
        assert json.loads(await read(client, "service://one/outputs")) == {"url": "ledger://r1/1"}
        events = json.loads(await read(client, "service://one/events"))["events"]
        assert events[0]["kind"] == "service_created"
        app.logs["one"] = ["hello", "there"]
        assert await read(client, "service://one/logs") == "hello\nthere"
        assert "kind: ServiceClass" in await read(client, "serviceclass://basic")
        assert json.loads(await read(client, "ostler://graph")) == snapshot(
            {"nodes": [{"name": "one", "state": "running", "health": "unknown"}], "edges": []}
        )


@pytest.mark.parametrize(("mode", "code"), [("legacy", -32002), ("auto", -32602)])
@pytest.mark.parametrize("uri", ["service://nobody", "service://nobody/logs", "serviceclass://x", "ostler://x", "x:y"])
async def test_an_unknown_resource_is_a_protocol_error(mode: Any, code: int, uri: str) -> None:
    async with ledger(World()) as app, Client(server_over(app), mode=mode) as client:
        with pytest.raises(MCPError) as caught:
            await client.read_resource(uri)
    assert caught.value.code == code
    assert "not found" in caught.value.message
    assert caught.value.data == {"uri": uri}


async def test_many_resources_come_in_pages() -> None:
    async with ledger(World()) as app, Client(server_over(app)) as client:
        for index in range(250):
            await call(client, "service_create", serviceClassName="basic", name=f"s{index:03}", start=False)
        first = await client.list_resources()
        second = await client.list_resources(cursor=first.next_cursor)
        assert len(first.resources) == 200
        assert len(first.resources + second.resources) == 253
        assert second.next_cursor is None
        with pytest.raises(MCPError) as caught:
            await client.list_resources(cursor="7")
        assert caught.value.code == -32602


async def test_templates_and_prompts_are_completed() -> None:
    async with ledger(World()) as app, Client(server_over(app)) as client:
        for name in ("web-1", "web-2", "my-web"):
            await call(client, "service_create", serviceClassName="basic", name=name, start=False)
        templates = [template.uri_template for template in (await client.list_resource_templates()).resource_templates]
        assert templates == snapshot(
            [
                "service://{name}",
                "service://{name}/outputs",
                "service://{name}/events",
                "service://{name}/logs",
                "serviceclass://{name}",
            ]
        )

        async def complete(ref: Any, name: str, value: str) -> list[str]:
            return (await client.complete(ref, {"name": name, "value": value})).completion.values

        for uri in templates[:4]:
            assert await complete(ResourceTemplateReference(uri=uri), "name", "WE") == ["web-1", "web-2", "my-web"]
        assert await complete(ResourceTemplateReference(uri=templates[4]), "name", "") == ["basic"]
        assert await complete(PromptReference(name="diagnose_service"), "name", "my") == ["my-web"]
        assert await complete(PromptReference(name="setup_service"), "serviceClassName", "b") == ["basic"]
        assert await complete(PromptReference(name="write_serviceclass"), "server", "") == ["w"]
        assert await complete(PromptReference(name="setup_service"), "goal", "") == []
        for ref, argument in (
            (ResourceTemplateReference(uri="x://{name}"), "name"),
            (PromptReference(name="set_up"), "goal"),
            (PromptReference(name="setup_service"), "aim"),
        ):
            with pytest.raises(MCPError, match="no (prompt|resource template)") as refused:
                await complete(ref, argument, "")
            assert refused.value.code == -32602


@ERAS
async def test_prompts_are_short_and_say_which_tools_to_use(mode: Any) -> None:
    given = {
        "setup_service": {"goal": "a site over /tmp"},
        "write_serviceclass": {"server": "docker"},
        "diagnose_service": {"name": "web-1"},
    }
    async with ledger(World()) as app, Client(server_over(app), mode=mode) as client:
        prompts = (await client.list_prompts()).prompts
        assert {prompt.name for prompt in prompts} == set(given)
        for name, arguments in given.items():
            (message,) = (await client.get_prompt(name, arguments)).messages
            text = getattr(message.content, "text", "")
            assert len(text) < 2500
            assert next(iter(arguments.values())) in text
            assert "service" in text
        with pytest.raises(MCPError, match="name is required"):
            await client.get_prompt("diagnose_service", {})
        with pytest.raises(MCPError, match=r"'diagnose' not found; did you mean 'diagnose_service'\?"):
            await client.get_prompt("diagnose")


@pytest.mark.parametrize("toolset", ["full", "core"])
async def test_prompts_name_tools_that_the_connection_has_and_arguments_that_they_take(toolset: Any) -> None:
    tools = {tool.name for tool in tools_of(toolset)}
    async with ledger(World()) as app, Client(server_over(app, toolset)) as client:
        prompts = (await client.list_prompts()).prompts
        assert prompts
        for prompt in prompts:
            given = {argument.name: "one" for argument in prompt.arguments or []}
            (message,) = (await client.get_prompt(prompt.name, given)).messages
            named = set(
                re.findall(r"\b(?:service|serviceclass|mcpserver|tool)_[a-z]+", getattr(message.content, "text", ""))
            )
            assert named
            assert named <= tools


async def test_the_example_of_the_class_prompt_is_a_valid_manifest() -> None:
    async with ledger(World()) as app, Client(server_over(app)) as client:
        (message,) = (await client.get_prompt("write_serviceclass", {"server": "w"})).messages
        text = getattr(message.content, "text", "")
        example = text.partition("```yaml\n")[2].partition("```")[0].replace("SERVER/TOOL", "w/start")
        assert (await call(client, "serviceclass_validate", manifest=example))["valid"]


# -- subscriptions, 2025-11-25 -----------------------------------------------------------------------------


class Notices:
    """What a client of the handshake era was told."""

    def __init__(self) -> None:
        self.updated: list[str] = []
        self.lists = 0

    async def handle(self, message: Any) -> None:
        match message:
            case ResourceUpdatedNotification(params=params):
                self.updated.append(params.uri)
            case ResourceListChangedNotification():
                self.lists += 1
            case _:
                pass


async def subscribe(client: Client, uri: str) -> None:
    """Subscribe as clients of the handshake era do (the SDK's own method warns that it is going)."""
    await client.session.send_request(SubscribeRequest(params=SubscribeRequestParams(uri=uri)), EmptyResult)


async def unsubscribe(client: Client, uri: str) -> None:
    await client.session.send_request(UnsubscribeRequest(params=UnsubscribeRequestParams(uri=uri)), EmptyResult)


@asynccontextmanager
async def legacy_client(server: Any) -> AsyncGenerator[tuple[Client, Notices]]:
    notices = Notices()
    async with Client(server, mode="legacy", message_handler=notices.handle) as client:
        yield client, notices


async def test_legacy_sessions_are_told_of_what_they_subscribed_to() -> None:
    async with ledger(World()) as app:
        server = server_over(app)
        async with legacy_client(server) as (client, notices), legacy_client(server) as (_, others):
            assert client.server_capabilities.resources is not None
            assert client.server_capabilities.resources.subscribe
            assert client.server_capabilities.resources.list_changed
            await subscribe(client, "service://one")
            await subscribe(client, "service://one/outputs")
            await call(client, "service_create", serviceClassName="basic", name="one")
            await until(lambda: {"service://one", "service://one/outputs"} <= set(notices.updated))
            await until(lambda: notices.lists and others.lists)
            assert others.updated == []
            await unsubscribe(client, "service://one")
            await unsubscribe(client, "service://one/outputs")
            await until(lambda: app.manager.view("one").operation is None)
            notices.updated.clear()
            await call(client, "service_stop", name="one")
            lists = notices.lists
            await call(client, "service_delete", name="one")
            await until(lambda: notices.lists > lists)
            assert notices.updated == []


async def test_legacy_subscriptions_end_with_their_session() -> None:
    async with ledger(World()) as app:
        before = subscribers(app)
        server = server_over(app)
        async with legacy_client(server) as (client, _):
            await subscribe(client, "service://one")
            await until(lambda: subscribers(app) == before + 1)
        await until(lambda: subscribers(app) == before)
        async with legacy_client(server) as (client, _):
            with pytest.raises(MCPError, match="not found"):
                await subscribe(client, "file:///etc/passwd")


def subscribers(app: LedgerApplication) -> int:
    return len(app.manager.events._subscribers)  # pyright: ignore[reportPrivateUsage]


async def test_classes_that_come_and_go_change_the_list() -> None:
    async with ledger(World()) as app, legacy_client(server_over(app)) as (client, notices):
        await subscribe(client, "serviceclass://basic")
        text = app.classes.get("basic").text
        await call(client, "serviceclass_create", manifest=text.replace("name: basic", "name: other"))
        await until(lambda: notices.lists == 1)
        changed = text.replace("a resource in the ledger", "another text")
        await call(client, "serviceclass_update", name="basic", manifest=changed)
        await until(lambda: notices.updated == ["serviceclass://basic"])
        assert notices.lists == 1
        await call(client, "serviceclass_delete", name="other")
        await until(lambda: notices.lists == 2)


# -- subscriptions, 2026-07-28 -----------------------------------------------------------------------------


@pytest.mark.parametrize("framed", [False, True], ids=["direct", "framed"])
async def test_modern_streams_carry_what_was_asked_for(framed: bool) -> None:
    async with ledger(World()) as app:
        server = server_over(app)
        # Framed is what a stdio or socket client does: JSON-RPC over a pair of streams.
        async with Client(InMemoryTransport(server) if framed else server) as client:
            assert client.protocol_version == "2026-07-28"
            await _listen(app, client)


async def _listen(app: LedgerApplication, client: Client) -> None:
    before = subscribers(app)
    seen: list[Any] = []
    async with (
        client.listen(resources_list_changed=True, resource_subscriptions=["service://one"]) as subscription,
        anyio.create_task_group() as group,
    ):

        async def collect() -> None:
            async for event in subscription:
                seen.append(event)  # noqa: PERF401 (looked at while it grows)

        group.start_soon(collect)
        await call(client, "service_create", serviceClassName="basic", name="one")
        await call(client, "service_create", serviceClassName="basic", name="two")
        await until(lambda: ResourceUpdated("service://one") in seen and ResourcesListChanged() in seen)
        assert {event for event in seen if isinstance(event, ResourceUpdated)} == {ResourceUpdated("service://one")}
        group.cancel_scope.cancel()
    await until(lambda: subscribers(app) == before)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_resource_is_reported_under_the_uri_that_its_subscriber_wrote(mode: Any, tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "ostler.yaml").write_text("name: shop\nservices:\n  web: {class: basic}\n")
    written = ["service://web", "service://web.shop", "service://we%62/logs", "serviceclass://basi%63"]
    seen: set[str] = set()

    async def handle(message: Any) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            seen.add(message.params.uri)

    async with ledger(World()) as app, anyio.create_task_group() as group:
        app.projects.run_in(group)
        with client_of({"directory": str(tmp_path), "named": True}):
            async with Client(server_over(app), mode=mode, message_handler=handle) as client, AsyncExitStack() as stack:
                if mode == "legacy":
                    for uri in (*written, "service://web/outputs"):
                        await subscribe(client, uri)
                    await unsubscribe(client, "service://web/outputs")
                else:
                    stream = await stack.enter_async_context(client.listen(resource_subscriptions=written))

                    async def collect() -> None:
                        async for event in stream:
                            assert isinstance(event, ResourceUpdated)
                            seen.add(event.uri)

                    group.start_soon(collect)
                await call(client, "project_up")
                text = app.classes.get("basic").text.replace("a resource in the ledger", "another text")
                await call(client, "serviceclass_update", name="basic", manifest=text)
                await until(lambda: len(seen) == len(written))
                assert seen == set(written)
                group.cancel_scope.cancel()


async def test_modern_acknowledgement_names_only_what_can_happen() -> None:
    async with (
        ledger(World()) as app,
        Client(server_over(app)) as client,
        client.listen(tools_list_changed=True, resources_list_changed=True) as subscription,
    ):
        assert subscription.honored.resources_list_changed
        assert not subscription.honored.tools_list_changed


# -- slow subscribers --------------------------------------------------------------------------------------


async def test_a_mailbox_holds_each_change_once_in_order() -> None:
    mailbox = Mailbox()
    for index in range(1000):
        mailbox.put(ResourceUpdated(f"service://{index % 2}"))
    mailbox.put(ResourcesListChanged())
    taken = [await mailbox.take() for _ in range(3)]
    with anyio.move_on_after(0.01) as nothing_more:
        await mailbox.take()
    assert nothing_more.cancelled_caught
    assert taken == [ResourceUpdated("service://0"), ResourceUpdated("service://1"), ResourcesListChanged()]


async def test_a_client_that_does_not_read_holds_no_one_up() -> None:
    """Its changes wait in its own mailbox, each once; services and other clients go on."""
    stuck = anyio.Event()

    async def never(message: Any) -> None:
        stuck.set()
        await anyio.sleep_forever()

    async with ledger(World(), quiet()) as app:
        server = server_over(app)
        async with (
            legacy_client(server) as (client, notices),
            Client(server, mode="legacy", message_handler=never) as slow,
        ):
            await subscribe(slow, "ostler://services")
            await subscribe(client, "ostler://services")
            for index in range(50):
                await call(client, "service_create", serviceClassName="basic", name=f"s{index}")
            await stuck.wait()
            await until(lambda: notices.updated.count("ostler://services") >= 1)
            assert len(app.manager.views()) == 50


async def test_the_feed_listens_to_the_engine_only_while_someone_listens() -> None:
    async with ledger(World()) as app:
        before = subscribers(app)
        feed = ChangeFeed(app.manager.events, app.classes)
        uris = ("service://one/logs", "service://one/outputs", "ostler://services", "service://one")
        wanted = [ResourcesListChanged(), *map(ResourceUpdated, uris)]
        one, two = Mailbox(), Mailbox()
        leave = feed.subscribe(one, wanted)
        also_leave = feed.subscribe(two, [ResourceUpdated("service://two")])
        assert (len(feed), subscribers(app)) == (2, before + 1)
        app.manager.events.append(EventKind.OUTPUTS_CHANGED, "one")
        feed.discard(one, ResourceUpdated("service://one"))
        feed.add(two, ResourceUpdated("service://one/events"))
        app.manager.events.append(EventKind.HEALTH_CHANGED, "one")
        assert [await one.take() for _ in range(3)] == snapshot(
            [
                ResourceUpdated(uri="service://one"),
                ResourceUpdated(uri="ostler://services"),
                ResourceUpdated(uri="service://one/outputs"),
            ]
        )
        assert await two.take() == ResourceUpdated("service://one/events")
        leave()
        leave()
        app.manager.events.append(EventKind.HEALTH_CHANGED, "one")
        assert not one.waiting
        assert two.waiting
        also_leave()
        assert (len(feed), subscribers(app)) == (0, before)
