"""A class of muster in the configuration folder, run by the real server over real downstream servers."""

import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
import yaml
from anyio.abc import SocketAttribute, SocketStream
from mcp.client import Client
from tests.support.ledger_app import call, refusal, text_of

from ostler.adapters.config.paths import Paths
from ostler.engine.services.views import CreateRequest
from ostler.faces.application import Application
from ostler.faces.assembly import open_application
from ostler.faces.mcp.server import build_server
from ostler.model.errors import OstlerError
from ostler.model.states import HealthStatus, ServiceState

pytestmark = [pytest.mark.anyio, pytest.mark.realtime]

DOCUMENTS_FILE = Path(__file__).parents[1] / "data" / "muster_documents.yaml"
DOCUMENTS = yaml.safe_load(DOCUMENTS_FILE.read_text(encoding="utf-8"))["documents"]

SCRIPT = Path(__file__).parents[1] / "support" / "scripted_server.py"
WITHIN = 60.0

SLEEPER = """\
# a process that sleeps
apiVersion: muster.giantswarm.io/v1alpha1
kind: ServiceClass
metadata: {name: sleeper, namespace: default}
spec:
  args:
    seconds: {type: integer, default: 600}
    quiet: {type: boolean, default: false}
  serviceConfig:
    lifecycleTools:
      start:
        tool: x_process_start
        args:
          key: "{{ .name }}"
          command: PYTHON
          args: {raw: '["-c", "import time; time.sleep({{ .seconds }})"]'}
          env: {MOOD: "{{ if .quiet }}calm{{ else }}loud{{ end }}"}
        outputs: {processKey: result.key, pid: result.pid}
      stop:
        tool: x_process_stop
        args: {key: "{{ .processKey }}"}
      healthCheck:
        tool: x_process_status
        args: {key: "{{ .start.processKey }}"}
        expect: {jsonPath: {state: running}}
    healthCheck: {enabled: true, interval: "200ms"}
    outputs:
      pid: "{{ .pid }}"
"""


@asynccontextmanager
async def application(state_dir: Path, tmp_path: Path, **files: str) -> AsyncGenerator[Application]:
    """Run the application over a configuration folder with these class files; its services end with it."""
    paths = Paths(tmp_path / "config", state_dir)
    paths.serviceclasses_dir.mkdir(parents=True)
    for name, text in files.items():
        (paths.serviceclasses_dir / f"{name}.yaml").write_text(text, encoding="utf-8")
    async with open_application(paths, stop_on_exit=True) as app:
        yield app


async def until(condition: Any) -> None:
    with anyio.fail_after(WITHIN):
        while not condition():
            await anyio.sleep(0.01)


async def test_a_class_of_muster_drives_a_process(state_dir: Path, tmp_path: Path) -> None:
    text = SLEEPER.replace("PYTHON", sys.executable)
    async with application(state_dir, tmp_path, sleeper=text) as app, Client(build_server(app)) as client:
        await until(lambda: app.pool.server_status("process").connected)
        shown = await call(client, "serviceclass_get", name="sleeper")
        assert shown["manifest"] == text, "the source is what was written"
        assert shown["available"]
        created = await call(client, "service_create", serviceClassName="sleeper", name="nap", args={"quiet": True})
        assert isinstance(created["service"]["outputs"]["pid"], int)
        await until(lambda: app.manager.registry.get("nap").health is HealthStatus.HEALTHY)
        await call(client, "service_stop", name="nap")
        assert (await call(client, "service_status", name="nap"))["state"] == "stopped"


FORWARD = """\
apiVersion: muster.giantswarm.io/v1alpha1
kind: ServiceClass
metadata: {name: forward}
spec:
  serviceConfig:
    lifecycleTools:
      start: {tool: x_my_ledger_start, args: {name: "{{.name}}"}, outputs: {id: id}}
      stop: {tool: x_my_ledger_stop, args: {name: "{{.name}}"}}
"""


async def test_tool_names_follow_the_servers_that_are_there(state_dir: Path, tmp_path: Path) -> None:
    async with application(state_dir, tmp_path, forward=FORWARD) as app:
        assert app.classes.get("forward").service_class.tools.start.tool == "my/ledger_start", "the first word, so far"
        assert any("my/ledger_start" in str(finding) for finding in app.classes.findings)
        entry = {"command": sys.executable, "args": [str(SCRIPT), "--ledger", str(tmp_path / "ledger.json")]}
        app.paths.mcp_json.write_text(json.dumps({"mcpServers": {"my_ledger": entry}}), encoding="utf-8")
        await app.reload_servers()
        await until(lambda: app.classes.get("forward").service_class.tools.start.tool == "my_ledger/start")
        assert not app.classes.findings
        await app.manager.create(CreateRequest("forward", "one"))
        await app.manager.stop_service("one")
        ledger = json.loads((tmp_path / "ledger.json").read_text(encoding="utf-8"))
        assert [ledger["resources"]["one"][count] for count in ("starts", "stops")] == [1, 1]


async def test_the_check_reads_a_class_by_the_names_of_the_configured_servers(state_dir: Path, tmp_path: Path) -> None:
    wrong = FORWARD.replace(
        'stop: {tool: x_my_ledger_stop, args: {name: "{{.name}}"}}', "stop: {tool: x_my_ledger_stop}"
    )
    silent = FORWARD.replace("my_ledger", "my_kube")
    async with application(state_dir, tmp_path, forward=wrong) as app, Client(build_server(app)) as client:
        entry = {"command": sys.executable, "args": [str(SCRIPT), "--ledger", str(tmp_path / "ledger.json")]}
        off = {"command": sys.executable, "ostler": {"autoStart": False}}
        servers = {"my_ledger": entry, "my_kube": off}
        app.paths.mcp_json.write_text(json.dumps({"mcpServers": servers}), encoding="utf-8")
        await app.reload_servers()
        await until(lambda: app.classes.get("forward").service_class.tools.start.tool == "my_ledger/start")
        for arguments in ({"name": "forward"}, {"manifest": wrong}):
            found = (await call(client, "serviceclass_check", **arguments))["findings"]
            assert ("missing-arg", 8) in {(finding["rule"], finding["line"]) for finding in found}, found
        found = (await call(client, "serviceclass_check", manifest=silent))["findings"]
        assert {finding["rule"] for finding in found} == {"unchecked-tool"}
        assert all("'my_kube'" in finding["message"] for finding in found)


OWNED = """\
apiVersion: muster.giantswarm.io/v1alpha1
kind: ServiceClass
metadata: {name: pair}
spec:
  args:
    className: {type: string, default: sleeper}
  serviceConfig:
    lifecycleTools:
      start:
        tool: core_service_create
        args:
          serviceClassName: "{{ .className }}"
          name: "{{ .name }}-x"
          args: {raw: "{}"}
        outputs: {inner: service.name, pid: service.outputs.pid}
      stop:
        tool: core_service_delete
        args: {name: "{{ .inner }}"}
      healthCheck:
        tool: core_service_status
        args: {name: "{{ .inner }}"}
        expect: {jsonPath: {state: running}}
    healthCheck: {enabled: true, interval: 200ms, failureThreshold: 1}
    timeout: {create: 60s, delete: 60s}
    outputs: {pid: "{{ .pid }}"}
"""


async def test_a_class_may_call_ostlers_own_tools(state_dir: Path, tmp_path: Path) -> None:
    sleeper = SLEEPER.replace("PYTHON", sys.executable)
    async with (
        application(state_dir, tmp_path, sleeper=sleeper, pair=OWNED) as app,
        Client(build_server(app)) as client,
    ):
        await until(lambda: app.pool.server_status("process").connected)
        assert (await call(client, "serviceclass_available", name="pair"))["available"]
        created = await call(client, "service_create", serviceClassName="pair", name="two")
        inner = (await call(client, "service_get", name="two-x"))["outputs"]
        assert created["service"]["outputs"]["pid"] == inner["pid"]
        await until(lambda: app.manager.registry.get("two").health is HealthStatus.HEALTHY)
        await call(client, "service_stop", name="two-x")
        await until(lambda: app.manager.registry.get("two").health is not HealthStatus.HEALTHY)
        await call(client, "service_delete", name="two")
        assert "two-x" not in app.manager.registry
        listed = await call(client, "tool_list")
        assert not any(tool["name"].startswith("ostler/") for tool in listed["tools"]), "they are not downstream"


async def test_a_class_that_creates_itself_ends(state_dir: Path, tmp_path: Path) -> None:
    text = OWNED.replace('args: {raw: "{}"}', 'args: {className: "{{ .className }}"}')
    async with application(state_dir, tmp_path, pair=text) as app:
        with pytest.raises(OstlerError, match="driven by a class, and so on, 4 times"):
            await app.manager.create(CreateRequest("pair", "me", {"className": "pair"}))
        assert not app.manager.instances_of("pair")


LENIENT = """\
apiVersion: muster.giantswarm.io/v1alpha1
kind: ServiceClass
metadata: {name: lenient}
spec:
  serviceConfig:
    scaling: {enabled: true}
    responseMapping: {id: x}
    timeout: {create: "{{ .patience }}"}
    lifecycleTools:
      start: {tool: x_process_start, args: {key: "{{ .name }}", command: "{{ .program }}", cwd: "{{ .start.place }}"}}
      stop: {tool: x_process_stop, args: {key: "{{ .name }}"}}
"""


async def test_what_muster_read_leniently_is_a_warning_and_refused_where_it_is_used(
    state_dir: Path, tmp_path: Path
) -> None:
    async with application(state_dir, tmp_path) as app, Client(build_server(app)) as client:
        await until(lambda: app.pool.server_status("process").connected)
        await call(client, "serviceclass_create", manifest=LENIENT)
        wanted: dict[str, Any] = {"serviceClassName": "lenient", "name": "a", "args": {"program": "sleep 60"}}
        text, _ = await refusal(client, "service_create", **wanted)
        assert "'.start.place' is not an output of a tool" in text
        assert (await call(client, "service_list", serviceClassName="lenient"))["total"] == 0
        right = LENIENT.replace(', cwd: "{{ .start.place }}"', "")
        await call(client, "serviceclass_update", name="lenient", manifest=right)
        made = await call(client, "service_create", **wanted)
        assert made["service"]["state"] == "running"


async def test_a_tool_that_is_nowhere_makes_the_class_unavailable(state_dir: Path, tmp_path: Path) -> None:
    text = LENIENT.replace("x_process_start", "test_start").replace("x_process_stop", "workflow_end")
    async with application(state_dir, tmp_path, lenient=text) as app, Client(build_server(app)) as client:
        await until(lambda: app.pool.server_status("process").connected)
        listed = (await call(client, "serviceclass_list", search="lenient"))["serviceClasses"]
        assert [(item["name"], item["available"]) for item in listed] == [("lenient", False)]
        found = await call(client, "serviceclass_available", name="lenient")
        assert found["missingTools"] == ["unknown/test_start", "unknown/workflow_end"]


async def test_the_documents_of_muster_are_listed(state_dir: Path, tmp_path: Path) -> None:
    texts = {name: document["text"] for name, document in DOCUMENTS.items()}
    async with application(state_dir, tmp_path, **texts) as app, Client(build_server(app, "muster")) as client:

        async def ask(tool: str, **arguments: Any) -> Any:
            return json.loads(text_of(await client.call_tool(tool, arguments)))

        listed = await ask("core_serviceclass_list")
        found = {each["name"]: each for each in listed["serviceClasses"]}
        assert sorted(DOCUMENTS) == [each["name"] for each in listed["serviceClasses"]]
        assert [name for name, each in found.items() if each["available"]] == ["core-only"]
        for name, document in DOCUMENTS.items():
            if "wrong" not in document:
                assert found[name]["serviceConfig"], name
                assert found[name]["missingTools"] or found[name]["available"], name
                continue
            assert document["wrong"] in found[name]["error"]
            assert f"{name}.yaml:" in found[name]["error"]
        assert await ask("core_serviceclass_get", name="no-stop") == found["no-stop"]
        shown = await ask("core_serviceclass_available", name="no-stop")
        assert (shown["available"], shown["reason"]) == (False, found["no-stop"]["error"])
        assert found["big-app"]["error"].startswith("no server lists a tool 'farm_drop_app' or 'farm_put_app'")

        right = DOCUMENTS["no-stop"]["text"] + "      stop: {tool: x_farm_drop}\n"
        (app.paths.serviceclasses_dir / "no-stop.yaml").write_text(right, encoding="utf-8")
        assert text_of(await client.call_tool("core_config_reload", {})) == "Configuration reloaded successfully"
        shown = await ask("core_serviceclass_available", name="no-stop")
        assert shown["missingTools"] == ["x_farm_drop", "x_farm_put"]


async def test_classes_are_made_of_musters_own_arguments(state_dir: Path, tmp_path: Path) -> None:
    tools = {
        "start": {"tool": "x_process_start", "args": {"key": "{{.name}}", "command": "{{.command}}"}},
        "stop": {"tool": "x_process_stop", "args": {"key": "{{.name}}"}},
        "healthCheck": {
            "tool": "x_process_status",
            "args": {"key": "{{.name}}"},
            "expect": {"json_path": {"state": "running"}},
        },
    }
    args = {"command": {"type": "string", "required": True}}
    config = {"serviceType": "program", "lifecycleTools": tools}
    async with application(state_dir, tmp_path) as app, Client(build_server(app)) as client:
        await until(lambda: app.pool.server_status("process").connected)
        assert (await call(client, "serviceclass_validate", name="own", args=args, serviceConfig=config))["valid"]
        await call(client, "serviceclass_create", name="own", description="d", args=args, serviceConfig=config)
        made = await call(client, "service_create", serviceClassName="own", name="a", args={"command": "sleep 60"})
        assert made["service"]["serviceClassName"] == "own"
        await until(lambda: app.manager.view("a").health is HealthStatus.HEALTHY)
        for given, missing in (
            ({}, "manifest is required"),
            ({"serviceConfig": config}, "name is required"),
            ({"name": "x", "description": "d"}, "serviceConfig is required"),
            (
                {"name": "x", "serviceConfig": {"lifecycleTools": {"start": {}, "stop": tools["stop"]}}},
                "serviceConfig.lifecycleTools.start.tool is required",
            ),
            ({"name": "x", "serviceConfig": {**config, "colour": "red"}}, 'unknown field "colour"'),
        ):
            text, _ = await refusal(client, "serviceclass_create", **given)
            assert missing in text
        for tool in ("serviceclass_validate", "serviceclass_update"):
            text, _ = await refusal(client, tool, name="own", serviceConfig={**config, "colour": "red"})
            assert 'unknown field "colour"' in text


@asynccontextmanager
async def locked_server() -> AsyncGenerator[str]:
    """The address of a server that answers everything with 401."""

    async def refuse(stream: SocketStream) -> None:
        answer = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Length: 0\r\n\r\n"
        async with stream:
            with suppress(anyio.EndOfStream, anyio.BrokenResourceError):  # one may only see whether the port is open
                await stream.receive()
                await stream.send(answer)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, refuse)
        yield f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        tasks.cancel_scope.cancel()


async def test_muster_names_and_states_of_real_servers(state_dir: Path, tmp_path: Path) -> None:
    async with (
        locked_server() as locked,
        application(state_dir, tmp_path) as app,
        Client(build_server(app, "muster")) as client,
    ):

        async def ask(tool: str, **arguments: Any) -> str:
            result = await client.call_tool(tool, arguments)
            assert not result.is_error, text_of(result)
            return text_of(result)

        wants_sign_in: dict[str, Any] = {"type": "streamable-http", "url": f"{locked}/mcp", "auth": {"type": "oauth"}}
        await ask("core_mcpserver_create", name="sso", **wants_sign_in, autoStart=True)
        await ask("core_mcpserver_create", name="events", type="sse", url=f"{locked}/sse", autoStart=True)
        for name, kind in (("sso", "streamable-http"), ("events", "sse")):
            await until(lambda name=name: app.manager.view(name).state is ServiceState.AUTH_REQUIRED)
            assert json.loads(await ask("core_service_status", name=name))["state"] == "auth_required"
            shown = json.loads(await ask("core_mcpserver_get", name=name))
            assert (shown["type"], shown["state"], shown["auth"]) == (kind, "Auth Required", {"type": "oauth"})
            refused = text_of(await client.call_tool("call_tool", {"name": f"x_{name}_do"}))
            assert "demands authorisation (HTTP 401); ostler servers login" in refused
        listed = json.loads(await ask("list_tools"))["servers_requiring_auth"]
        assert [(each["name"], each["status"]) for each in listed] == [
            ("events", "auth_required"),
            ("sso", "auth_required"),
        ]
        for name in ("sso", "events"):
            await ask("core_mcpserver_delete", name=name)

        ledger = [str(SCRIPT), "--ledger", str(tmp_path / "ledger.json")]
        command = {"type": "stdio", "command": sys.executable, "args": ledger, "autoStart": True}
        await ask("core_mcpserver_create", name="books", toolPrefix="my_ledger", description="d", **command)
        far = {"type": "streamable-http", "url": "http://127.0.0.1:9/mcp", "autoStart": True}
        await ask("core_mcpserver_create", name="far", **far)
        await ask("core_mcpserver_create", name="broken", type="stdio", command="/no/such/program", autoStart=True)
        assert json.loads(await ask("core_service_status", name="books"))["state"] == "running"
        assert json.loads(await ask("core_mcpserver_get", name="books"))["state"] == "Running"
        await until(lambda: app.manager.view("far").state.value == "unreachable")
        assert json.loads(await ask("core_service_status", name="far"))["state"] == "unreachable"
        listed = json.loads(await ask("core_mcpserver_list"))
        assert ([each["name"] for each in listed["mcpServers"]], listed["hiddenFailed"]) == (["books", "broken"], 1)
        everything = json.loads(await ask("core_mcpserver_list", showAll=True))
        assert [each["name"] for each in everything["mcpServers"]] == ["books", "broken", "far"]

        assert await ask("x_my_ledger_echo", text="hello") == "hello"
        lost = text_of(await client.call_tool("x_my_ledger_die", {"code": 3}))
        assert lost.startswith("Tool execution failed: the connection to server 'books' was lost")
        await until(lambda: app.manager.view("books").state is ServiceState.CONNECTED)
        await app.create_class(FORWARD)
        await until(lambda: app.classes.get("forward").service_class.tools.start.tool == "books/start")
        made = json.loads(await ask("core_service_create", serviceClassName="forward", name="Web_1.a"))
        assert made["state"] == "running"
        shown = json.loads(await ask("core_serviceclass_get", name="forward"))
        assert (shown["requiredTools"], shown["missingTools"]) == (["x_my_ledger_start", "x_my_ledger_stop"], [])
        await ask("core_mcpserver_update", name="books", toolPrefix="other")
        await until(lambda: app.classes.get("forward").service_class.tools.start.tool != "books/start")
        assert await ask("x_other_echo", text="again") == "again"
        await ask("core_service_delete", name="Web_1.a")

        assert await ask("core_service_stop", name="books") == "Successfully stopped service 'books'"
        assert json.loads(await ask("core_service_status", name="books"))["state"] == "stopped"
        assert await ask("core_service_stop", name="books") == "Service 'books' is already stopped"
        assert await ask("core_service_start", name="books") == "Successfully started service 'books'"
        await ask("core_service_stop", name="far")
        assert json.loads(await ask("core_service_status", name="far"))["state"] == "disconnected"
