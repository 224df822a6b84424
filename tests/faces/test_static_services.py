"""`services/*.yaml` in the whole application: loaded, watched, shown by the tools, and depended upon by classes."""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client
from tests.support.kube_server import Cluster, kube_server, speaker, tcp_server, write_kubeconfig
from tests.support.ledger_app import call, refusal

from ostler.adapters.config.paths import Paths
from ostler.faces.application import Application
from ostler.faces.assembly import open_application
from ostler.faces.cli.app import run_command
from ostler.faces.mcp.server import build_server
from ostler.model.events import EventKind

pytestmark = [pytest.mark.anyio, pytest.mark.realtime]

WITHIN = 60.0

CLASS = """\
apiVersion: ostler/v1
kind: ServiceClass
metadata: {name: client}
spec:
  serviceConfig:
    dependencies: [{name: web, alias: web, condition: healthy}]
    lifecycleTools:
      start: {tool: process/start, args: {key: "{{ name }}", command: sleep, args: ["60"]}}
      stop: {tool: process/stop, args: {key: "{{ name }}"}}
    outputs: {target: "{{ dependencies.web.outputs.address }}"}
"""


def forward(name: str, config: Path, **spec: Any) -> str:
    spec = {
        "target": "service/web",
        "port": 80,
        "kubeconfig": str(config),
        "healthCheck": {"interval": "200ms"},
        **spec,
    }
    return json.dumps(
        {"apiVersion": "ostler/v1", "kind": "PortForward", "metadata": {"name": name}, "spec": spec}, indent=2
    )


@asynccontextmanager
async def cluster_and_paths(tmp_path: Path, state_dir: Path) -> AsyncGenerator[tuple[Cluster, Paths, Path]]:
    paths = Paths(tmp_path / "config", state_dir)
    paths.services_dir.mkdir(parents=True)
    paths.serviceclasses_dir.mkdir()
    with anyio.fail_after(WITHIN):
        async with tcp_server(speaker("one")) as port, kube_server(Cluster()) as cluster:
            cluster.put("services", "web", {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]})
            cluster.put_pod("web-1", {8080: port})
            yield cluster, paths, write_kubeconfig(tmp_path / "kubeconfig", f"http://127.0.0.1:{cluster.port}")


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await anyio.sleep(0.02)


def names(app: Application) -> set[str]:
    return {service.name for service in app.manager.registry.get_all()} - {"process"}


async def test_the_tools_work_on_them(tmp_path: Path, state_dir: Path) -> None:
    async with cluster_and_paths(tmp_path, state_dir) as (_, paths, config):
        connection = {
            "apiVersion": "ostler/v1", "kind": "KubeConnection", "metadata": {"name": "dev"},
            "spec": {"kubeconfig": str(config), "autoStart": False},
        }  # fmt: skip
        text = forward("web", config, description="The web shop")
        (paths.services_dir / "both.yaml").write_text(f"{text}\n---\n{json.dumps(connection)}\n")
        async with open_application(paths) as app, Client(build_server(app)) as client:
            waited = await call(client, "service_wait", name="web", health=["healthy"])
            assert waited["met"]
            got = await call(client, "service_get", name="web")
            assert (got["serviceType"], got["state"], got["reachability"]) == ("PortForward", "connected", "reachable")
            assert got["serviceData"]["pod"] == "web-1"
            assert got["outputs"]["port"] == got["serviceData"]["localPort"]
            assert app.has_work()
            listed = await call(client, "service_list", serviceType="KubeConnection")
            assert [(row["name"], row["state"]) for row in listed["services"]] == [("dev", "stopped")]
            started = await call(client, "service_start", name="dev")
            assert started["service"]["state"] == "connected"
            assert "already running" in (await call(client, "service_start", name="dev"))["message"]
            got = await call(client, "service_get", name="dev")
            assert got["serviceData"]["user"] == "system:anonymous"
            assert (await call(client, "service_stop", name="web"))["service"]["state"] == "stopped"
            assert not app.has_work()
            assert (await call(client, "service_restart", name="web"))["service"]["state"] == "connected"
            assert "services/" in (await refusal(client, "service_delete", name="web"))[0]
            events = await call(client, "service_events", name="dev")
            assert any("starting -> connected" in event["message"] for event in events["events"])


async def test_the_files_are_watched(tmp_path: Path, state_dir: Path) -> None:
    async with cluster_and_paths(tmp_path, state_dir) as (_, paths, config):
        file = paths.services_dir / "web.yaml"
        async with open_application(paths) as app:
            assert names(app) == set()
            file.write_text(forward("web", config))
            await until(lambda: "web" in names(app))
            first = app.manager.registry.get("web")
            await until(lambda: first.state == "connected")
            file.write_text(forward("web", config).replace('"port": 80', '"prot": 80'))
            await until(lambda: bool(app.statics.findings))
            assert f"{file}:9:5: unknown key 'prot' in spec [unknown-key]; did you mean 'port'?" in str(
                app.effective_config()["findings"]
            )
            assert app.manager.registry.get("web") is first  # the last good version stays
            assert app.effective_config()["services"] == {"web": f"{file}:1"}
            assert first.state == "connected"
            (paths.services_dir / "process.yaml").write_text(forward("process", config))
            await until(lambda: any("(a MCPServer), which stays" in str(found) for found in app.statics.findings))
            assert app.effective_config()["services"] == {"web": f"{file}:1"}
            file.write_text(forward("web", config, target="pod/web-1", port=8080))
            await until(lambda: app.manager.registry.find("web") not in (first, None))
            second = app.manager.registry.get("web")
            await until(lambda: second.state == "connected")
            assert first.state == "stopped"
            file.unlink()
            await until(lambda: "web" not in names(app))
            assert second.state == "stopped"
            kinds = [(event.kind, event.service) for event in app.manager.events.read(limit=1000).events]
            assert {("service_created", "web"), ("server_changed", "web"), ("service_deleted", "web")} <= set(kinds)
            assert kinds.count((EventKind.SERVICE_DELETED, "web")) == 1  # a changed definition deletes nothing


async def test_a_class_depends_on_a_tunnel(tmp_path: Path, state_dir: Path) -> None:
    async with cluster_and_paths(tmp_path, state_dir) as (cluster, paths, config):
        (paths.services_dir / "web.yaml").write_text(forward("web", config, autoStart=False))
        (paths.serviceclasses_dir / "client.yaml").write_text(CLASS)
        cluster.delete_pod("web-1")
        async with open_application(paths, stop_on_exit=True) as app, Client(build_server(app)) as client:
            await until(lambda: app.pool.server_status("process").connected)
            await call(client, "service_create", serviceClassName="client", name="c", wait=False)
            await until(lambda: "has no ready pod" in (app.manager.view("c").error or ""))
            assert app.manager.get_service_state("c") == "waiting"
            async with tcp_server(speaker("one")) as port:
                cluster.put_pod("web-2", {8080: port})
                running = await call(client, "service_wait", name="c", state=["running"])
                assert running["met"], running["service"]["error"]
                got = await call(client, "service_get", name="c")
                address = (await call(client, "service_get", name="web"))["outputs"]["address"]
                assert got["outputs"] == {"target": address}


async def test_a_hopeless_tunnel_keeps_no_server_alive(tmp_path: Path, state_dir: Path) -> None:
    async with cluster_and_paths(tmp_path, state_dir) as (_, paths, config):
        (paths.services_dir / "web.yaml").write_text(forward("web", config, context="no-such-context"))
        async with open_application(paths) as app:
            await until(lambda: app.manager.get_service_state("web") == "failed")
            assert not app.has_work()
            (paths.services_dir / "web.yaml").write_text(forward("web", config))
            await until(lambda: app.manager.get_service_state("web") == "connected")
            assert app.has_work()


@pytest.mark.parametrize("kind", ["ServiceClass", "PortForward", "KubeConnection"])
def test_the_schema_of_each_kind_is_printed(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["schema", kind]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == f"Ostler {kind}"


def test_a_kind_that_there_is_not_has_no_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["schema", "Pod"]) == 3
    assert "the kinds are ServiceClass, PortForward, KubeConnection" in capsys.readouterr().err


def test_files_of_services_are_validated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "web.yaml"
    file.write_text(forward("web", tmp_path))
    assert run_command(["validate", str(file)]) == 0
    assert capsys.readouterr().out == "1 valid: web\n"
    file.write_text(forward("web", tmp_path, target="servce/web"))
    assert run_command(["validate", str(file)]) == 1
    assert f"{file}:8:15: 'servce' is not a kind of target; did you mean 'service/web'?" in capsys.readouterr().out
