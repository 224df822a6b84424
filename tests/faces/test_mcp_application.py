"""The MCP face over the full application: real files, a real process, and real HTTP in both protocol eras."""

import json
import re
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import anyio
import anyio.to_thread
import pytest
from mcp.client import Client
from mcp.shared.subscriptions import ResourcesListChanged, ResourceUpdated
from mcp_types import (
    EmptyResult,
    ResourceListChangedNotification,
    ResourceUpdatedNotification,
    SubscribeRequest,
    SubscribeRequestParams,
)
from tests.support.ledger_app import call, refusal, text_of

from ostler.adapters.config.paths import Paths
from ostler.faces.application import Application
from ostler.faces.assembly import open_application
from ostler.faces.daemon.http import HttpSettings, serving_http
from ostler.faces.mcp.server import build_server

pytestmark = [pytest.mark.anyio, pytest.mark.realtime]

WITHIN = 60.0
READER = "import socket, sys; used = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); sys.stdin.read()"
"""Keeps a connection open until its input ends, from another process: connections of Ostler's own do not count."""


@asynccontextmanager
async def application(state_dir: Path, tmp_path: Path, *, stop: bool = True) -> AsyncGenerator[Application]:
    """Run the application over fresh folders; its services end with it if it is to `stop` them."""
    async with open_application(Paths(tmp_path / "config", state_dir), stop_on_exit=stop) as app:
        await until(lambda: app.pool.server_status("process").connected)
        yield app


async def until(condition: Any) -> None:
    with anyio.fail_after(WITHIN):
        while not condition():
            await anyio.sleep(0.01)


async def until_used(app: Application, name: str, connections: int) -> None:
    """Wait until the service has so many connections."""
    with anyio.fail_after(WITHIN):
        while (await app.usages.activity([name]))[name].connections != connections:
            await anyio.sleep(0.02)


async def fetch(url: str) -> str:
    def get() -> str:
        with build_opener(ProxyHandler({})).open(url, timeout=WITHIN) as answer:
            return answer.read().decode()

    return await anyio.to_thread.run_sync(get)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_web_server_from_a_shipped_class(mode: Any, state_dir: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text("hello from a service")
    async with application(state_dir, tmp_path) as app, Client(build_server(app), mode=mode) as client:
        assert (await call(client, "serviceclass_available", name="static-web-server"))["available"]
        created = await call(
            client, "service_create", serviceClassName="static-web-server", name="site", args={"directory": str(site)}
        )
        assert created["finished"]
        url = created["service"]["outputs"]["url"]
        assert await fetch(url) == "hello from a service"
        status = await call(client, "service_status", name="site")
        assert status["state"] == "running"
        assert status["usage"]["processes"] == 1
        assert 1_000_000 < status["usage"]["memoryBytes"] < 1_000_000_000
        [listed] = (await call(client, "service_list", serviceClassName="static-web-server"))["services"]
        assert listed["usage"]["memoryBytes"] > 1_000_000
        text = (await client.call_tool("service_list", {"serviceClassName": "static-web-server"})).content[0]
        assert re.search(r"site running/\w+ \(.*\) [0-9.]+% CPU, [0-9]+ MB", getattr(text, "text", ""))
        logs = await call(client, "service_logs", name="site")
        assert any("GET / " in line for line in logs["lines"])
        assert await fetch(f"{url}?now") == "hello from a service"
        read_on = await call(client, "service_logs", name="site", cursor=logs["cursor"])
        assert sum("GET /?now " in line for line in read_on["lines"]) == 1
        again = await call(client, "service_logs", name="site", cursor=read_on["cursor"])
        assert not any("GET /?now " in line for line in again["lines"]), "what was read is not shown again"
        found = await call(client, "service_logs", name="site", search="GET /nothing", cursor="")
        assert found["lines"] == []
        port = str(created["service"]["outputs"]["port"])
        async with await anyio.open_process([sys.executable, "-S", "-c", READER, port]) as reader:
            await until_used(app, "site", 1)
            assert reader.stdin is not None
            await reader.stdin.aclose()
        await until_used(app, "site", 0)
        await call(client, "service_stop", name="site")
        assert "usage" not in await call(client, "service_status", name="site")
        with pytest.raises(URLError):
            await fetch(url)
        await call(client, "service_delete", name="site")


async def test_a_start_that_was_cut_off_still_waits_until_it_is_ready(state_dir: Path, tmp_path: Path) -> None:
    goes_on = tmp_path / "goes_on"
    settings = Paths(tmp_path / "config", state_dir).settings_file
    settings.parent.mkdir()
    settings.write_text('shutdownTimeout = "100ms"\n')
    script = f"echo begin; until [ -e {goes_on} ]; do sleep 0.02; done; echo ready; sleep 300"
    args = {"command": script, "shell": True, "readyLog": "^ready"}
    async with application(state_dir, tmp_path, stop=False) as app, Client(build_server(app)) as client:
        await call(client, "service_create", serviceClassName="command", name="slow", args=args, wait=False)
        with anyio.fail_after(60):
            while (
                not app.manager.registry.find("slow") or not (await call(client, "service_logs", name="slow"))["lines"]
            ):
                await anyio.sleep(0.02)
    async with application(state_dir, tmp_path) as app, Client(build_server(app)) as client:
        started = await call(client, "service_wait", name="slow", state="running", timeout="300ms")
        assert (started["met"], started["service"]["state"]) == (False, "starting")
        goes_on.touch()
        assert (await call(client, "service_wait", name="slow", state="running"))["met"]
        await call(client, "service_delete", name="slow")


async def test_the_log_of_a_failed_create_is_kept_for_a_while(state_dir: Path, tmp_path: Path) -> None:
    async with application(state_dir, tmp_path) as app, Client(build_server(app)) as client:
        failing = {"readyLog": "never"}  # however long it takes to end, it has not been started
        program = {"command": "{python} -S -c \"print('what it said'); raise SystemExit(3)\"", **failing}
        text, _ = await refusal(client, "service_create", serviceClassName="command", name="failing", args=program)
        assert "service 'failing' was not created" in text
        assert "service_logs failing still shows what it printed" in text
        assert "not found" in (await refusal(client, "service_get", name="failing"))[0]
        logs = await call(client, "service_logs", name="failing")
        assert logs["lines"] == ["what it said"]
        assert logs["source"] == "process/logs; service 'failing' was removed"
        for program in ({"command": "no-such-program"}, {"command": "{python} -S -c 'raise SystemExit(3)'", **failing}):
            text, _ = await refusal(client, "service_create", serviceClassName="command", name="mute", args=program)
            assert "service_logs" not in text, "what never began, or said nothing, has no log to read"
            if "-S" not in program["command"]:
                text, _ = await refusal(client, "service_logs", name="mute")
                assert "service 'mute' was removed, and nothing shows what it printed" in text
                assert "service_events mute shows what happened" in text
                assert (await call(client, "service_events", name="mute"))["events"]


async def test_a_restart_that_would_fail_stops_nothing(state_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    async with application(state_dir, tmp_path) as app, Client(build_server(app)) as client:
        program = {"command": "sleep", "arguments": ["300"], "directory": str(folder)}
        await call(client, "service_create", serviceClassName="command", name="web", args=program)
        pid = (await call(client, "service_get", name="web"))["outputs"]["pid"]
        folder.rmdir()
        text, _ = await refusal(client, "service_restart", name="web")
        assert text == (
            f"cwd '{folder}' does not exist; so it was not stopped, and runs on (service 'web', step 'start', "
            "tool 'process/start'). Next: create it, or name another folder"
        )
        shown = await call(client, "service_status", name="web")
        assert (shown["state"], shown["outputs"]["pid"]) == ("running", pid)
        folder.mkdir()
        await call(client, "service_restart", name="web")
        shown = await call(client, "service_status", name="web")
        assert shown["state"] == "running"
        assert shown["outputs"]["pid"] != pid


@pytest.mark.parametrize("name", ["records", "logs", "endings"])
async def test_a_restart_that_could_not_be_written_down_stops_nothing(
    name: str, state_dir: Path, tmp_path: Path
) -> None:
    """A file where the folder was refuses everyone, root too, as a disk does that is read-only or full."""
    async with application(state_dir, tmp_path) as app, Client(build_server(app)) as client:
        program = {"command": "sleep", "arguments": ["300"], "directory": str(tmp_path)}
        await call(client, "service_create", serviceClassName="command", name="web", args=program)
        pid = (await call(client, "service_get", name="web"))["outputs"]["pid"]
        folder = Paths(tmp_path / "config", state_dir).process_dir / name
        away = folder.rename(folder.with_name("away"))
        folder.touch()
        text, _ = await refusal(client, "service_restart", name="web")
        assert "the record of process 'web' cannot be written: [Errno 20] Not a directory" in text
        assert "so it was not stopped, and runs on (step 'start', tool 'process/start')" in text
        assert f"Next: free space in, or fix the permissions of, {folder.parent}" in text
        folder.unlink()
        away.rename(folder)
        shown = await call(client, "service_status", name="web")
        assert (shown["state"], shown["outputs"]["pid"]) == ("running", pid)
        await call(client, "service_restart", name="web")
        assert not list(folder.parent.glob("*/*.tmp"))


async def test_a_start_that_waits_shows_for_what_and_what_its_program_said(state_dir: Path, tmp_path: Path) -> None:
    """Under a watcher, such as tsx watch, a server that crashes leaves a process that runs on and never answers."""
    crashed = f"{sys.executable} -S -u -c \"print('Error: boom'); import time; time.sleep(300)\""
    (tmp_path / "ostler.yaml").write_text(
        f"services:\n  web: {{class: dev-server, args: {{command: {json.dumps(crashed)}}}}}\n"
    )
    here = {"directory": str(tmp_path)}
    async with (
        application(state_dir, tmp_path) as app,
        Client(build_server(app)) as client,
        anyio.create_task_group() as group,
    ):
        group.start_soon(partial(client.call_tool, "project_up", here))
        with anyio.fail_after(20):
            while "it said" not in text_of(asked := await client.call_tool("project_status", here)):
                await anyio.sleep(0.1)
        services = (asked.structured_content or {})["services"]
        [name] = [each["name"] for each in services]
        said = f"waiting for {name}: "
        assert services[0]["progress"].startswith(said)
        assert "127.0.0.1:" in services[0]["progress"]
        assert services[0]["progress"].endswith("; it said: Error: boom")
        assert f"{name} [dev-server] starting: {said}" in text_of(asked)
        shown = await client.call_tool("service_status", {"name": name})
        assert (shown.structured_content or {})["operation"]["progress"].endswith("; it said: Error: boom")
        assert f"reason created): {said}" in text_of(shown)
        why = await client.call_tool("service_explain", {"name": name})
        assert f"a start is under way (created), at start: {said}" in text_of(why)
        joined = await client.call_tool("service_start", {"name": name, "wait": False})
        assert f"start of service {name} is under way: {said}" in text_of(joined)
        await call(client, "project_down", **here)


async def test_a_replacement_that_would_fail_stops_nothing(state_dir: Path, tmp_path: Path) -> None:
    file = tmp_path / "ostler.yaml"
    broken = tmp_path / "config" / "serviceclasses"
    broken.mkdir(parents=True)
    (broken / "broken.yaml").write_text(
        "apiVersion: ostler/v1\nkind: ServiceClass\nmetadata: {name: broken}\nspec:\n  serviceConfig:\n"
        "    lifecycleTools:\n"
        "      start: {tool: process/start, args: {key: '{{ name }}', command: '{{ env.SURELY_NOT_SET }}'}}\n"
        "      stop: {tool: process/stop, args: {key: '{{ name }}'}}\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = {
            "class: command, args: {command: sleep 300, directory: gone}": "gone' does not exist",
            "class: command, args: {command: no-such-program}": "'no-such-program'",
            f"class: command, args: {{command: sleep 300, port: {port}}}": f"port {port} on 127.0.0.1 is already",
            "class: command, args: {command: sleep 300, readyLog: '('}": "not a regular expression",
            "class: command, args: {command: sleep 300}, envFile: .env": "there is no such file",
            "class: broken": "SURELY_NOT_SET",
        }
        async with application(state_dir, tmp_path) as app, Client(build_server(app)) as client:
            file.write_text("services: {web: {class: command, args: {command: sleep 300}}}\n")
            [web] = (await call(client, "project_up", directory=str(tmp_path)))["services"]
            pid = web["outputs"]["pid"]
            for changed, why in refused.items():
                file.write_text(f"services: {{web: {{{changed}}}}}\n")
                text, _ = await refusal(client, "project_up", directory=str(tmp_path))
                assert why in text, changed
                assert "nothing was started, stopped or changed" in text, changed
                shown = await call(client, "service_status", name=web["name"])
                assert (shown["state"], shown["outputs"]["pid"]) == ("running", pid), changed


async def test_a_port_of_another_service_is_foreseen_unless_that_goes(state_dir: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    serving = {"command": "python3 -m http.server --bind 127.0.0.1 {port}", "port": port}
    file = tmp_path / "ostler.yaml"
    made = "services:\n  early: {class: command, args: {command: sleep 300}}\n  %s: {class: dev-server, args: %s}\n"
    async with application(state_dir, tmp_path) as app, Client(build_server(app)) as client:
        await call(
            client,
            "service_create",
            serviceClassName="dev-server",
            name="hand",
            args={**serving, "directory": str(tmp_path)},
        )
        file.write_text(made % ("site", json.dumps(serving)))
        text, _ = await refusal(client, "project_up", directory=str(tmp_path))
        assert f"'site' cannot start: port {port} on 127.0.0.1 is already in use" in text
        assert "service 'hand'" in text
        names = [row["name"] for row in (await call(client, "service_list"))["services"]]
        assert not [name for name in names if name.startswith(("early", "site"))], "nothing was started"
        await call(client, "service_delete", name="hand")
        for name in ("site", "renamed"):
            file.write_text(made % (name, json.dumps(serving)))
            services = (await call(client, "project_up", directory=str(tmp_path)))["services"]
        assert sorted(each["change"] for each in services) == ["created", "removed", "unchanged"]


def write_servers(tmp_path: Path, text: str) -> None:
    (tmp_path / "config").mkdir(exist_ok=True)
    (tmp_path / "config" / "mcp.json").write_text(text)


async def test_a_refused_entry_is_seen_where_people_look(state_dir: Path, tmp_path: Path) -> None:
    write_servers(
        tmp_path, '{"mcpServers": {\n"worse": {"command": "python3", "env": {"TOKEN": "${SURELY_NOT_SET}"}}}}'
    )
    async with application(state_dir, tmp_path) as app, Client(build_server(app)) as client:
        [refused] = [one for one in (await call(client, "mcpserver_list"))["mcpServers"] if one["name"] == "worse"]
        assert refused["state"] == "refused"
        assert "mcp.json:2:" in refused["reason"]
        assert "'SURELY_NOT_SET' is not set" in refused["reason"]
        got = await call(client, "mcpserver_get", name="worse")
        assert got["findings"] == [text for text in refused["findings"] if "SURELY_NOT_SET" in text]
        for tool, args in (
            ("tool_call", {"name": "worse/read"}),
            ("tool_describe", {"name": "worse/read"}),
            ("tool_list", {"server": "worse"}),
            ("service_status", {"name": "worse"}),
            ("service_explain", {"name": "worse"}),
        ):
            assert "'SURELY_NOT_SET' is not set" in (await refusal(client, tool, **args))[0]
        write_servers(tmp_path, '{"mcpServers": {}}')
        await app.reload_servers()
        assert [one["name"] for one in (await call(client, "mcpserver_list"))["mcpServers"]] == ["process"]


async def test_a_broken_file_is_seen_where_people_look(state_dir: Path, tmp_path: Path) -> None:
    write_servers(tmp_path, '{"mcpServers": {\n"a": {"command": "python3"\n"b": {}}}')
    async with application(state_dir, tmp_path) as app, Client(build_server(app)) as client:
        [fault] = (await call(client, "mcpserver_list"))["findings"]
        assert "mcp.json:3:" in fault
        assert (
            "mcp.json has an error, and what follows it is not read: "
            in (await refusal(client, "tool_call", name="a/read"))[0]
        )
        write_servers(tmp_path, '{"mcpServers": {}}')
        await app.reload_servers()
        assert "findings" not in await call(client, "mcpserver_list")


async def test_a_refused_edit_keeps_the_entry_in_force_and_says_so(state_dir: Path, tmp_path: Path) -> None:
    write_servers(tmp_path, '{"mcpServers": {"a": {"command": "python3", "disabled": true}}}')
    async with application(state_dir, tmp_path) as app, Client(build_server(app)) as client:
        explained = text_of(await client.call_tool("service_explain", {"name": "a"}))
        way = "remove 'disabled' (or 'enabled', 'active', 'isActive') from its entry"
        assert f"a is stopped: disabled in mcp.json; {way}" in explained
        assert "service_start" not in explained, "that is refused"
        command = {"serviceClassName": "command", "name": "c", "args": {"command": "true"}}
        for tool, args in (
            ("service_start", {"name": "a"}),
            ("tool_call", {"name": "a/x"}),
            ("tool_describe", {"name": "a/x"}),
            ("serviceclass_draft", {"server": "a"}),
            ("service_create", command | {"overrides": {"dependsOn": ["a"]}}),
        ):
            text = (await refusal(client, tool, **args))[0]
            assert f"Next: {way}" in text
            assert "disabled in mcp.json" in text
            assert "service_start" not in text
        write_servers(tmp_path, '{"mcpServers": {"a": {"command": 3}, "b": {"command": 3}, "docker": {"command": 3}}}')
        await app.reload_servers()
        text = (await refusal(client, "service_create", serviceClassName="docker-redis", name="r"))[0]
        assert "server 'docker' is not available: its entry was refused: " in text
        text = (await refusal(client, "service_explain", name="b"))[0]
        assert "its entry was refused: " in text
        assert text.endswith("Next: correct its entry in mcp.json; it is read at once")
        shown = await call(client, "mcpserver_get", name="a")
        assert shown["state"] == "stopped"
        assert "an earlier version of its entry is in force; its entry was refused: " in shown["reason"]


async def test_a_built_in_server_that_is_switched_off_is_said_to_be(state_dir: Path, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.mkdir()
    (config / "ostler.toml").write_text("[process]\nenabled = false\n")
    async with open_application(Paths(config, state_dir)) as app, Client(build_server(app)) as client:
        for tool, args in (
            ("service_create", {"serviceClassName": "command", "name": "c", "args": {"command": "true"}}),
            ("tool_call", {"name": "process/list"}),
            ("tool_list", {"server": "process"}),
        ):
            text = (await refusal(client, tool, **args))[0]
            assert "ostler.toml switches it off (process.enabled)" in text
            assert "mcp.json" not in text


async def test_the_tools_of_configuration_and_downstream_servers(state_dir: Path, tmp_path: Path) -> None:
    async with application(state_dir, tmp_path) as app, Client(build_server(app)) as client:
        servers = await call(client, "mcpserver_list")
        assert [(entry["name"], entry["state"]) for entry in servers["mcpServers"]] == [("process", "connected")]
        got = await call(client, "mcpserver_get", name="process")
        assert "start" in got["toolNames"]
        assert (await call(client, "service_list", serviceType="MCPServer"))["total"] == 1
        stopped = await call(client, "service_stop", name="process")
        assert stopped["service"]["state"] == "stopped"
        text, _ = await refusal(client, "tool_call", name="process/list")
        assert "process" in text
        await call(client, "service_start", name="process")
        waited = await call(client, "service_wait", name="process", state=["connected"], timeout="60s")
        assert waited["met"]
        listed = await call(client, "tool_list", server="process")
        assert "process/free_port" in [tool["name"] for tool in listed["tools"]]
        described = await call(client, "tool_describe", name="process/start")
        assert described["inputSchema"]["type"] == "object"
        called = await call(client, "tool_call", name="process/list")
        assert called["isError"] is False
        config = (await call(client, "config_get"))["config"]
        assert config["configDir"] == str(tmp_path / "config")


async def test_classes_are_files_in_the_config_folder(state_dir: Path, tmp_path: Path) -> None:
    async with application(state_dir, tmp_path) as app, Client(build_server(app)) as client:
        text = app.classes.get("static-web-server").text.replace("name: static-web-server", "name: mine", 1)
        created = await call(client, "serviceclass_create", manifest=text)
        assert (created["name"], created["available"]) == ("mine", True)
        files = list((tmp_path / "config" / "serviceclasses").iterdir())
        assert len(files) == 1
        changed = text.replace("serviceType: web-server", "serviceType: web")
        await call(client, "serviceclass_update", name="mine", manifest=changed)
        assert (await call(client, "serviceclass_get", name="mine"))["serviceType"] == "web"
        await call(client, "serviceclass_delete", name="mine")
        assert "not found" in (await refusal(client, "serviceclass_get", name="mine"))[0]
        assert not list((tmp_path / "config" / "serviceclasses").iterdir())


async def test_both_eras_are_told_of_changes_over_http(state_dir: Path, tmp_path: Path) -> None:
    old: list[Any] = []
    new: list[Any] = []

    async def note(message: Any) -> None:
        match message:
            case ResourceUpdatedNotification(params=params):
                old.append(params.uri)
            case ResourceListChangedNotification():
                old.append("list")
            case _:
                pass

    async with (
        application(state_dir, tmp_path) as app,
        serving_http(lambda _toolset, _principal: build_server(app), HttpSettings("127.0.0.1", 0), version="0") as url,
        Client(url, mode="legacy", message_handler=note) as legacy,
        Client(url) as modern,
        modern.listen(resources_list_changed=True, resource_subscriptions=["service://one"]) as subscription,
        anyio.create_task_group() as group,
    ):
        await legacy.session.send_request(
            SubscribeRequest(params=SubscribeRequestParams(uri="service://one")), EmptyResult
        )

        async def collect() -> None:
            async for event in subscription:
                new.append(event)  # noqa: PERF401 (looked at while it grows)

        group.start_soon(collect)
        arguments = {"directory": str(tmp_path)}
        await call(
            modern,
            "service_create",
            serviceClassName="static-web-server",
            name="one",
            args=arguments,
            start=False,
        )
        await until(lambda: {"service://one", "list"} <= set(old))
        await until(lambda: {ResourceUpdated("service://one"), ResourcesListChanged()} <= set(new))
        group.cancel_scope.cancel()


LEAKY = """
import os
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

server = MCPServer("leaky")

@server.tool()
def make(name: str) -> str:
    raise ToolError(f"401 for {os.environ['API_TOKEN']}, user {os.environ['DB_PASSWORD']}")

server.run()
"""
LEAKING = """
apiVersion: ostler/v1
kind: ServiceClass
metadata: {name: leaking}
spec:
  serviceConfig:
    lifecycleTools:
      start: {tool: leaky/make, args: {name: "{{ name }}"}}
      stop: {tool: leaky/make, args: {name: "{{ name }}"}}
"""


async def test_a_servers_own_credentials_are_masked_in_what_its_tools_say_of_a_failure(
    state_dir: Path, tmp_path: Path
) -> None:
    token = f"ghp_{'a1B2' * 9}"
    (tmp_path / "leaky.py").write_text(LEAKY)
    entry = {
        "command": sys.executable,
        "args": [str(tmp_path / "leaky.py")],
        "env": {"API_TOKEN": token, "DB_PASSWORD": "postgres"},
    }
    classes = tmp_path / "config" / "serviceclasses"
    classes.mkdir(parents=True)
    (classes / "leaking.yaml").write_text(LEAKING)
    (tmp_path / "config" / "mcp.json").write_text(json.dumps({"mcpServers": {"leaky": entry}}))
    async with application(state_dir, tmp_path) as app, Client(build_server(app)) as client:
        await app.downstream.wait_until_connected("leaky", 60)
        text, error = await refusal(client, "service_create", serviceClassName="leaking", name="one")
        assert "401 for ***, user postgres" in text
        assert token not in json.dumps([error, await call(client, "service_events")])
