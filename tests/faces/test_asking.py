"""Questions to the person behind a client: missing args and confirmations, in both eras, with the SDK's own client."""

import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    ElicitResult,
    ErrorData,
    InputRequiredResult,
    ListRootsResult,
    Root,
    RootsListChangedNotification,
)
from processes.bridge_client import clean_place
from tests.support.ledger_app import LedgerApplication, call, ledger, quiet, refusal, server_over, text_of
from tests.support.world import BASIC, Fail, World, manifest, until

from ostler.adapters.config.paths import Paths
from ostler.engine.classes.catalogue import ClassEntry
from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.protocols import ToolInfo
from ostler.faces.assembly import open_application
from ostler.faces.cli.asking import ask_at_terminal
from ostler.faces.client_facts import client_of
from ostler.faces.daemon.http import HttpSettings, serving_http
from ostler.faces.mcp.server import build_server
from ostler.model.states import ServiceState

pytestmark = pytest.mark.anyio

MODES: tuple[Any, ...] = ("legacy", "auto")
ERAS = pytest.mark.parametrize("mode", MODES)


class Person:
    """Replies to forms in turn, and keeps what was asked."""

    def __init__(self, *replies: dict[str, Any] | str) -> None:
        self.replies = list(replies)
        self.asked: list[Any] = []

    async def __call__(self, context: Any, params: Any) -> ElicitResult:
        del context
        self.asked.append(params)
        reply = self.replies.pop(0)
        if isinstance(reply, str):
            return ElicitResult(action=reply)  # pyright: ignore[reportArgumentType]
        return ElicitResult(action="accept", content=reply)


YES: dict[str, Any] = {"confirm": True}


def needing(args: dict[str, Any]) -> ClassEntry:
    """Return the ledger's class with these args, too; each takes the place of the one with its name."""
    kept = [] if "size" in args else ["    size: {type: integer, default: 1, minimum: 1}"]
    lines = [*kept, *(f"    {name}: {json.dumps(spec)}" for name, spec in args.items())]
    return manifest(BASIC.replace("    size: {type: integer, default: 1, minimum: 1}", "\n".join(lines)), **LATE)


LATE: Any = {"healthCheck__initialDelay": "1h"}


# -- missing args ------------------------------------------------------------------------------------------


@ERAS
async def test_the_person_is_asked_for_missing_args(mode: Any) -> None:
    entry = needing({"size": {"type": "integer", "required": True, "minimum": 1}, "kind": {"required": True}})
    person = Person({"size": 3, "kind": "small"})
    async with (
        ledger(World(), entry) as app,
        Client(server_over(app), mode=mode, elicitation_callback=person) as client,
    ):
        created = await call(client, "service_create", serviceClassName="basic", name="web", args={})
        assert created["service"]["state"] == "running"
        assert app.manager.view("web").args == {"size": 3, "kind": "small", "password": "***"}
    [asked] = person.asked
    assert asked.message == "What are kind, size for service 'web' of class basic?"
    assert asked.requested_schema == {
        "type": "object",
        "properties": {
            "size": {"type": "integer", "title": "size", "minimum": 1},
            "kind": {"type": "string", "title": "kind"},
        },
        "required": ["kind", "size"],
    }


@ERAS
@pytest.mark.parametrize("reply", ["decline", "cancel"])
async def test_nothing_is_created_when_the_person_gives_nothing(mode: Any, reply: str) -> None:
    entry = needing({"size": {"type": "integer", "required": True}})
    async with (
        ledger(World(), entry) as app,
        Client(server_over(app), mode=mode, elicitation_callback=Person(reply)) as client,
    ):
        text, error = await refusal(client, "service_create", serviceClassName="basic", name="web")
        assert "arg validation failed: missing required argument 'size'" in text
        assert "in a run without a person, clients do so unasked: pass it if you know it" in text
        assert error["problems"] == ["missing required argument 'size'"]
        assert app.manager.registry.find("web") is None


@ERAS
@pytest.mark.parametrize(
    ("args", "given"),
    [
        pytest.param({"token": {"required": True, "secret": True}}, {}, id="secret"),
        pytest.param({"sizes": {"type": "array", "required": True}}, {}, id="list"),
        pytest.param({"size": {"type": "integer", "required": True}}, {"sise": 1}, id="other-problem"),
    ],
)
async def test_what_no_form_can_hold_is_not_asked_for(mode: Any, args: Any, given: Any) -> None:
    person = Person()
    async with (
        ledger(World(), needing(args)) as app,
        Client(server_over(app), mode=mode, elicitation_callback=person) as client,
    ):
        text, _ = await refusal(client, "service_create", serviceClassName="basic", name="web", args=given)
    assert "missing required argument" in text
    assert person.asked == []


@ERAS
async def test_a_client_that_cannot_ask_gets_the_error(mode: Any) -> None:
    entry = needing({"size": {"type": "integer", "required": True}})
    async with ledger(World(), entry) as app, Client(server_over(app), mode=mode) as client:
        text, _ = await refusal(client, "service_create", serviceClassName="basic", name="web")
    assert text.startswith("arg validation failed: missing required argument 'size'")
    assert "person" not in text


# -- roots -------------------------------------------------------------------------------------------------


def naming(*folders: Path | str) -> Any:
    """Return what names these roots, as the SDK's client wants it."""

    async def roots(context: Any) -> ListRootsResult:
        del context
        uris = [folder.as_uri() if isinstance(folder, Path) else folder for folder in folders]
        return ListRootsResult(roots=[Root(uri=uri) for uri in uris])  # pyright: ignore[reportArgumentType]

    return roots


@ERAS
async def test_the_clients_roots_name_its_project_when_nothing_else_does(mode: Any, tmp_path: Path) -> None:
    shop, other = (tmp_path / name for name in ("my shop", "other"))
    for folder in (shop, other):
        folder.mkdir()
    (shop / "ostler.yaml").write_text("services: {}\n")
    entry = needing({"size": {"type": "integer", "required": True}})
    roots = naming("file:///no/such", "file://elsewhere/a", other, shop)
    async with (
        ledger(World(), entry) as app,
        Client(
            server_over(app), mode=mode, list_roots_callback=roots, elicitation_callback=Person({"size": 3})
        ) as client,
        Client(server_over(app), mode=mode, list_roots_callback=naming(other)) as elsewhere,
        Client(server_over(app), mode=mode) as without,
    ):
        assert app.projects.clients.present() == set()
        assert (await call(client, "project_status"))["project"] == "my-shop"
        assert app.projects.clients.present() == {str(shop)}, "it works there for a while"
        created = await call(client, "service_create", serviceClassName="basic", name="web")
        assert created["service"]["name"] == "web.my-shop", "both questions of one call are answered"
        assert (await call(client, "service_status", name="web"))["name"] == "web.my-shop"
        assert (await call(elsewhere, "project_status"))["project"] == ""
        assert (await call(without, "project_status"))["project"] == ""
        assert app.projects.clients.present() == {str(shop), str(other)}
        await call(without, "project_status", directory=str(tmp_path))
        assert app.projects.clients.present() == {str(shop), str(other), str(tmp_path)}


@ERAS
async def test_roots_are_asked_for_where_they_decide_and_remembered_where_a_change_is_announced(
    mode: Any, tmp_path: Path
) -> None:
    shop, other = (tmp_path / name for name in ("shop", "other"))
    for folder in (shop, other):
        folder.mkdir()
        (folder / "ostler.yaml").write_text("services: {}\n")
    now, asked = [shop], 0

    async def roots(context: Any) -> ListRootsResult | ErrorData:
        nonlocal asked
        asked += 1
        return await naming(*now)(context) if now else ErrorData(code=-32000, message="not now")

    async with ledger(World()) as app, Client(server_over(app), mode=mode, list_roots_callback=roots) as client:
        for tool in ("serviceclass_list", "tool_list", "config_get"):
            await call(client, tool)
        await call(client, "project_status", directory=str(shop))
        assert asked == 0
        for _ in range(3):
            assert (await call(client, "project_status"))["project"] == "shop"
        if mode != "legacy":
            assert asked == 3, "each call stands for itself"
            return
        assert asked == 1
        now[:] = [other]
        await client.session.send_notification(RootsListChangedNotification())
        assert (await call(client, "project_status"))["project"] == "other"
        assert asked == 2
        now.clear()
        await client.session.send_notification(RootsListChangedNotification())
        for _ in range(2):
            assert (await call(client, "project_status"))["project"] == ""
        assert asked == 3, "a client that refuses is left alone for a while"


async def test_each_question_has_parameters() -> None:
    """The Go SDK 1.8 fails the whole call where one has none: `unexpected end of JSON input`."""
    async with ledger(World()) as app, Client(server_over(app), list_roots_callback=naming()) as client:
        asked = await client.session.call_tool("project_status", {}, allow_input_required=True)
    assert isinstance(asked, InputRequiredResult)
    questions = asked.model_dump(mode="json", by_alias=True, exclude_none=True)["inputRequests"]
    assert questions == {"roots": {"method": "roots/list", "params": {}}}


@ERAS
async def test_the_folder_of_a_clients_environment_comes_before_its_roots(mode: Any, tmp_path: Path) -> None:
    for folder in ("shop", "other"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "ostler.yaml").write_text("services: {}\n")
    hello = {"directory": str(tmp_path / "shop")}
    for facts, project in (
        (hello, "shop"),
        ({"directory": str(tmp_path)}, "other"),
        ({**hello, "named": True}, "shop"),
    ):
        with client_of(facts):
            async with (
                ledger(World()) as app,
                Client(server_over(app), mode=mode, list_roots_callback=naming(tmp_path / "other")) as client,
            ):
                assert (await call(client, "project_status"))["project"] == project


async def test_a_folder_is_named_as_agents_write_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = tmp_path / "my shop"
    (shop / "api").mkdir(parents=True)
    (shop / "ostler.yaml").write_text("services: {}\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with client_of({"directory": str(shop)}):
        async with ledger(World()) as app, Client(server_over(app)) as client:
            created = await call(client, "service_create", serviceClassName="basic", name="web")
            assert created["service"]["name"] == "web.my-shop"
            for directory in (".", "api", "./api/", "../my shop", "~/my shop", shop.as_uri(), f"{shop}/ostler.yaml"):
                assert (await call(client, "project_status", directory=directory))["project"] == "my-shop", directory
            assert app.projects.clients.present() <= {str(shop), str(shop / "api"), str(shop / "ostler.yaml")}
            for project in (".", "my-shop", str(shop), shop.as_uri()):
                listed = await call(client, "service_list", project=project)
                assert [each["name"] for each in listed["services"]] == ["web.my-shop"], project
                waited = await call(client, "service_wait", project=project, state="running")
                assert waited["service"]["name"] == "web.my-shop", project
            for directory, why in (
                ("~", "lies in none"),
                ("no-such", "does not exist"),
                ("~nobody/x", "does not exist"),
            ):
                assert why in text_of(await client.call_tool("project_status", {"directory": directory}))
            shown = text_of(await client.call_tool("service_list", {"project": "my-shp", "serviceClassName": "basik"}))
            assert "project 'my-shp' has no services (projects that have: my-shop)" in shown
            assert "ServiceClass 'basik' not found; did you mean 'basic'?" in shown
    async with ledger(World()) as app, Client(server_over(app)) as client:
        text, _ = await refusal(client, "project_up", directory="shop")
        assert "directory 'shop' is relative, and the folder of this client is not known" in text


@ERAS
async def test_a_relative_folder_lies_in_the_clients_root(mode: Any, tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "ostler.yaml").write_text("services: {}\n")
    async with (
        ledger(World()) as app,
        Client(server_over(app), mode=mode, list_roots_callback=naming(tmp_path)) as client,
    ):
        assert (await call(client, "project_status", directory="shop"))["project"] == "shop"


# -- confirmations -----------------------------------------------------------------------------------------


@ERAS
@pytest.mark.parametrize(
    "pattern",
    [pytest.param("ostler/service_stop", id="own-tool"), pytest.param("w/st*p", id="tool-of-the-class")],
)
async def test_a_stop_is_confirmed(mode: Any, pattern: str) -> None:
    person = Person("decline", {"confirm": False}, "cancel", YES)
    async with ledger(World()) as app, Client(server_over(app), mode=mode, elicitation_callback=person) as client:
        await call(client, "service_create", serviceClassName="basic", name="web")
        app.confirmed.add(pattern)
        for _ in range(3):
            text, error = await refusal(client, "service_stop", name="web")
            assert error["code"] == "confirmation"
            assert "service_stop was not confirmed, so nothing was done" in text
            assert "in a run without a person, clients answer so unasked" in text
            assert error["nextActions"][1] == "a person can do it at a terminal, where the command ostler asks"
            assert app.manager.view("web").state is ServiceState.RUNNING
        await call(client, "service_stop", name="web")
        assert app.manager.view("web").state is ServiceState.STOPPED
    assert len(person.asked) == 4
    assert person.asked[0].message.splitlines()[:3] == [
        "Stop a service 'web'?",
        "It is running now.",
        "stop web",
    ]
    assert "calls w/stop" in person.asked[0].message


@ERAS
@pytest.mark.virtual
async def test_a_wait_that_starts_an_idle_service_is_confirmed(mode: Any) -> None:
    person, world = Person("decline", YES), World()
    async with ledger(world) as app, Client(server_over(app), mode=mode, elicitation_callback=person) as client:
        await call(client, "service_create", serviceClassName="basic", name="web")
        await call(client, "service_stop", name="web")
        app.confirmed.add("w/start")
        service = app.manager.registry.get("web")
        assert isinstance(service, ServiceInstance)
        service.set_vitals(is_idle=True)  # as its keeper does
        assert (await call(client, "service_wait", name="web", state=["stopped"]))["met"]
        _, error = await refusal(client, "service_wait", name="web", state=["running"])
        assert error["code"] == "confirmation"
        assert len(world.tools_called("w/start")) == 1
        assert (await call(client, "service_wait", name="web", state=["running"]))["met"]
        assert (await call(client, "service_wait", name="web", state=["running"]))["met"]
    assert len(person.asked) == 2
    assert "start web" in person.asked[0].message
    assert "calls w/start" in person.asked[0].message


@ERAS
async def test_without_elicitation_what_needs_a_confirmation_is_refused(mode: Any) -> None:
    async with ledger(World()) as app, Client(server_over(app), mode=mode) as client:
        await call(client, "service_create", serviceClassName="basic", name="web")
        app.confirmed |= {"ostler/service_delete", "w/start"}
        for tool, args in (
            ("service_delete", {"name": "web"}),
            ("service_create", {"serviceClassName": "basic", "name": "two"}),
            ("tool_call", {"name": "w/start", "args": {"name": "x"}}),
        ):
            text, error = await refusal(client, tool, **args)
            assert error["code"] == "confirmation"
            assert "this client cannot ask one" in text
        assert app.manager.view("web").state is ServiceState.RUNNING
        assert app.manager.registry.find("two") is None
        await call(client, "service_status", name="web")


@ERAS
async def test_a_create_that_lacks_args_is_confirmed_all_the_same(mode: Any) -> None:
    entry = needing({"size": {"type": "integer", "required": True}})
    person = Person(YES, {"size": 2})
    async with (
        ledger(World(), entry) as app,
        Client(server_over(app), mode=mode, elicitation_callback=person) as client,
    ):
        app.confirmed.add("w/start")
        await call(client, "service_create", serviceClassName="basic", name="web")
        assert app.manager.view("web").args["size"] == 2
    assert [asked.message.splitlines()[0] for asked in person.asked] == [
        "Create a service 'web'?",
        "What is size for service 'web' of class basic?",
    ]


@ERAS
async def test_muster_tools_are_confirmed_too(mode: Any) -> None:
    person = Person("decline", YES, "decline")
    async with (
        ledger(World()) as app,
        Client(server_over(app, "muster"), mode=mode, elicitation_callback=person) as client,
    ):
        app.confirmed |= {"ostler/service_create", "w/status"}
        create = {"name": "core_service_create", "arguments": {"serviceClassName": "basic", "name": "web"}}
        declined = await client.call_tool("call_tool", create)
        assert "was not confirmed" in text_of(declined)
        assert app.manager.registry.find("web") is None
        assert not (await client.call_tool("call_tool", create)).is_error
        assert app.manager.view("web").state is ServiceState.RUNNING
        status = {"name": "x_w_status", "arguments": {"id": "1"}}
        assert "was not confirmed" in text_of(await client.call_tool("call_tool", status))


@ERAS
async def test_muster_tools_ask_for_missing_args_too(mode: Any) -> None:
    entry = needing({"size": {"type": "integer", "required": True}})
    async with (
        ledger(World(), entry) as app,
        Client(server_over(app, "muster"), mode=mode, elicitation_callback=Person({"size": 2})) as client,
    ):
        create = {"name": "core_service_create", "arguments": {"serviceClassName": "basic", "name": "web"}}
        assert not (await client.call_tool("call_tool", create)).is_error
        assert app.manager.view("web").args["size"] == 2


@ERAS
async def test_a_late_yes_does_not_confirm_what_has_changed_since(mode: Any) -> None:
    person, world = Person(YES, YES), World()
    async with ledger(world) as app:

        async def thinks(context: Any, params: Any) -> ElicitResult:
            if not person.asked:
                await app.manager.stop_service("web")
            return await person(context, params)

        async with Client(server_over(app), mode=mode, elicitation_callback=thinks) as client:
            await call(client, "service_create", serviceClassName="basic", name="web")
            app.confirmed.add("ostler/service_restart")
            if mode == "legacy":
                text, error = await refusal(client, "service_restart", name="web")
                assert error["code"] == "conflict"
                assert "service_restart was confirmed, but it would do something else by now" in text
                assert "the person was shown 'It is running now." in text
                assert "now it is 'It is stopped now." in text
                assert error["nextActions"] == ["service_restart again shows the person what it would do now"]
                assert len(world.tools_called("w/start")) == 1
            await call(client, "service_restart", name="web")
    assert "It is running now." in person.asked[0].message
    assert "It is stopped now." in person.asked[1].message


@ERAS
async def test_a_yes_to_a_stop_counts_although_the_service_was_restarted_meanwhile(mode: Any) -> None:
    person = Person(YES)
    async with ledger(World()) as app:

        async def thinks(context: Any, params: Any) -> ElicitResult:
            await app.manager.restart_service("web")  # as its restart policy does
            return await person(context, params)

        async with Client(server_over(app), mode=mode, elicitation_callback=thinks) as client:
            await call(client, "service_create", serviceClassName="basic", name="web")
            app.confirmed.add("ostler/service_stop")
            await call(client, "service_stop", name="web")
            assert app.manager.view("web").state is ServiceState.STOPPED
    assert len(person.asked) == 1


async def test_a_down_that_would_remove_other_services_than_were_shown_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "ostler.yaml").write_text("services:\n  db: {class: basic}\n  api: {class: basic}\n")
    here = {"directory": str(tmp_path)}
    person = Person(YES, YES, YES)
    async with ledger(World()) as app, anyio.create_task_group() as group:
        app.projects.run_in(group)

        async def thinks(context: Any, params: Any) -> ElicitResult:
            if len(person.asked) == 1:
                [api] = (each.name for each in app.manager.views() if each.name.startswith("api."))
                await app.manager.delete(api)
            return await person(context, params)

        async with Client(server_over(app), mode="legacy", elicitation_callback=thinks) as client:
            app.confirmed.add("ostler/project_*")
            await call(client, "project_up", **here)
            assert "db." in person.asked[0].message
            text, error = await refusal(client, "project_down", **here)
            assert error["code"] == "conflict"
            assert "the person was shown 'remove api." in text
            await call(client, "project_down", **here)
        group.cancel_scope.cancel()
    removals = [line.split(".")[0] for line in person.asked[2].message.splitlines() if line.startswith("remove")]
    assert removals == ["remove db"]


@pytest.mark.virtual
async def test_a_project_is_confirmed_for_the_tools_of_its_services(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "ostler.yaml").write_text("services:\n  db: {class: basic}\n")
    here = {"directory": str(tmp_path)}
    async with ledger(World()) as app, Client(server_over(app)) as client, anyio.create_task_group() as group:
        app.projects.run_in(group)
        app.confirmed.add("w/stop")
        assert (await call(client, "project_up", **here, dryRun=True))["changes"]
        assert (await refusal(client, "project_up", **here))[1]["code"] == "confirmation"
        app.confirmed.clear()
        await call(client, "project_up", **here)
        app.confirmed.add("w/stop")
        assert (await refusal(client, "project_down", **here))[1]["code"] == "confirmation"
        assert await call(client, "project_down", **here, leftOver=True)
        (tmp_path / "ostler.yaml").unlink()
        (tmp_path / "Procfile").write_text("web: serve\n")
        app.confirmed |= {"ostler/project_up", "process/*"}
        drafted = await client.call_tool("project_up", here)
        assert drafted.is_error, "a draft changes nothing, so no one has to confirm it"
        assert (drafted.structured_content["error"]["code"], "web:" in drafted.structured_content["draft"]) == (
            "not_found",
            True,
        )
        group.cancel_scope.cancel()


async def test_a_prune_is_confirmed_for_the_tools_that_it_calls_and_says_what_it_could_not_look_at() -> None:
    world = World()
    marked = {"name": "{{ name }}", "mark": "{{ service.mark }}"}
    look = {"tool": "w/list", "items": "items", "mark": "mark", "serviceClass": "class", "service": "service"}
    entry = quiet(leftovers={**look, "outputs": {"id": "id"}}, lifecycleTools__start__args=marked)
    async with ledger(world, entry, mark="me") as app, Client(server_over(app)) as client:
        await world.call_tool("w/start", {"name": "lost", "mark": "me", "class": "basic", "service": "lost"})
        world.faults["w/list"].append(Fail("busy"))
        app.pool.listed = [*app.pool.listed, ToolInfo("w", "list", "", {"type": "object"})]
        (failed,) = (await call(client, "project_status"))["notLookedAt"]
        assert (failed["server"], failed["reason"][:4], failed["next"]) == ("w", "busy", "ostler prune tries again")
        app.confirmed.add("w/stop")
        assert (await refusal(client, "project_down", leftOver=True))[1]["code"] == "confirmation"
        world.faults["w/list"].append(Fail("busy"))  # and it is read by the time that things are stopped
        assert (await refusal(client, "project_down", leftOver=True))[1]["code"] == "confirmation"
        assert len(world.resources) == 1
        app.confirmed.clear()
        assert (await call(client, "project_down", leftOver=True))["ended"][0]["serviceId"] == "lost"
        app.pool.listed, app.pool.connected = app.pool.listed[:-1], False
        result = await client.call_tool("project_status", {})
        (unseen,) = result.structured_content["notLookedAt"]
        assert (unseen["server"], unseen["classes"], unseen["next"]) == (
            "w",
            ["basic"],
            "service_explain w shows what to do",
        )
        assert f"{unseen['reason']}. Next: {unseen['next']}" in text_of(result)
        assert "server 'w' cannot be asked: gone" in unseen["reason"]


async def test_a_reply_counts_once_and_for_its_own_call_only() -> None:
    async with ledger(World()) as app, Client(server_over(app), elicitation_callback=Person()) as client:
        for name in ("one", "two"):
            await call(client, "service_create", serviceClassName="basic", name=name)
        app.confirmed.add("ostler/service_*")

        async def stop(name: str, **more: Any) -> Any:
            return await client.session.call_tool("service_stop", {"name": name}, allow_input_required=True, **more)

        reply = {"confirm service_stop": ElicitResult(action="accept", content=YES)}
        unasked = await stop("one", input_responses=reply)
        assert isinstance(unasked, InputRequiredResult)
        with pytest.raises(MCPError) as refused:
            await stop("two", input_responses=reply, request_state=unasked.request_state)
        assert refused.value.code == INVALID_PARAMS
        done = await stop("one", input_responses=reply, request_state=unasked.request_state)
        assert done.structured_content["service"]["state"] == "stopped"
        await app.manager.start_service("one")
        again = await stop("one", input_responses=reply, request_state=unasked.request_state)
        assert isinstance(again, InputRequiredResult)
        assert app.manager.view("one").state is ServiceState.RUNNING


@asynccontextmanager
async def silent_person() -> AsyncGenerator[tuple[LedgerApplication, Client, anyio.Event]]:
    """Run a service `web` whose stop must be confirmed by a person who never replies; the event: they were asked."""
    asked = anyio.Event()

    async def sleeping(context: Any, params: Any) -> ElicitResult:
        asked.set()
        await anyio.sleep_forever()
        raise AssertionError

    async with (
        ledger(World()) as app,
        Client(server_over(app), mode="legacy", elicitation_callback=sleeping) as client,
    ):
        await call(client, "service_create", serviceClassName="basic", name="web")
        app.confirmed.add("ostler/service_stop")
        yield app, client, asked


@pytest.mark.virtual
async def test_a_person_who_takes_too_long_has_confirmed_nothing() -> None:
    async with silent_person() as (app, client, _):
        text, _ = await refusal(client, "service_stop", name="web")
        assert "the person did not" in text
        assert app.manager.view("web").state is ServiceState.RUNNING


async def test_a_call_that_is_cancelled_while_the_person_thinks_does_nothing() -> None:
    async with silent_person() as (app, client, asked):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "service_stop", {"name": "web"})
            await asked.wait()
            tasks.cancel_scope.cancel()
        await call(client, "service_status", name="web")
        assert app.manager.view("web").state is ServiceState.RUNNING


# -- over real transports ----------------------------------------------------------------------------------


@asynccontextmanager
async def over_http(folder: Path) -> AsyncGenerator[str]:
    async with open_application(Paths(folder / "config", folder / "state"), stop_on_exit=True) as app:
        await until(lambda: app.pool.server_status("process").connected)
        async with serving_http(
            lambda _toolset, _principal: build_server(app), HttpSettings("127.0.0.1", 0), version="0"
        ) as url:
            yield url


def write_policy(folder: Path) -> None:
    (folder / "config").mkdir(exist_ok=True)
    (folder / "config" / "ostler.toml").write_text('[policy]\nconfirmTools = ["ostler/service_delete"]\n')


async def whole_way(client: Client, person: Person) -> None:
    await call(client, "service_create", serviceClassName="command", name="job", start=False)
    assert "command" in person.asked[0].requested_schema["properties"]
    text, _ = await refusal(client, "service_delete", name="job")
    assert "was not confirmed" in text
    await call(client, "service_delete", name="job")
    assert (await call(client, "service_list"))["total"] == 1  # the process server


REPLIES = ({"command": "sleep 600"}, "decline", YES)


@pytest.mark.realtime
async def test_asking_over_http(state_dir: Path) -> None:
    write_policy(state_dir)
    async with over_http(state_dir) as url:
        for mode in MODES:
            person = Person(*REPLIES)
            async with Client(url, mode=mode, elicitation_callback=person) as client:
                await whole_way(client, person)


@pytest.mark.realtime
async def test_asking_over_a_bridge(state_dir: Path) -> None:
    write_policy(state_dir)
    with clean_place(state_dir):
        folders = ["--config", f"{state_dir}/config", "--state", f"{state_dir}/state"]
        program = StdioServerParameters(
            command=sys.executable, args=["-m", "ostler.faces.entry", *folders, "serve", "--channel"]
        )
        for mode in MODES:
            person = Person(*REPLIES)
            async with Client(stdio_client(program), mode=mode, elicitation_callback=person) as client:
                await whole_way(client, person)
                if mode == "legacy":  # what the bridge was asked for arrives at the server
                    assert client.server_capabilities.experimental == {"claude/channel": {}}


def test_the_command_line_asks_at_the_terminal(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    lines = iter(["yes", "3", "", "no"])
    monkeypatch.setattr("builtins.input", lambda: next(lines))
    form = {
        "type": "object",
        "properties": {"confirm": {"type": "boolean", "title": "Yes, do it"}, "size": {"type": "integer"}},
        "required": ["confirm", "size"],
    }
    assert ask_at_terminal("Stop web?", form) == {"action": "accept", "content": {"confirm": True, "size": "3"}}
    assert ask_at_terminal("Stop web?", form) == {"action": "decline"}
    assert json.dumps("Stop web?\nYes, do it [y/N]: ")[1:-1] in json.dumps(capsys.readouterr().out)
