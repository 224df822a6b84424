"""The shipped classes load, render, and drive real processes through the process server."""

from pathlib import Path
from typing import Any

import anyio
import pytest
import yaml
from tests.support.processes import (
    SERVE,
    ProcessClient,
    process_server,
)
from tests.support.processes import nothing_left as nothing_left  # noqa: PLC0414 (a fixture, found by its name)

from ostler.model.manifest import ServiceClass, ToolCallSpec
from ostler.rules.calls.arguments import validate_args
from ostler.rules.reading import load_manifests
from ostler.rules.templates.template import render

FOLDER = Path(__file__).parents[2] / "serviceclasses"
SHIPPED = ("command", "dev-server", "static-web-server")


def shipped(name: str) -> ServiceClass:
    path = FOLDER / f"{name}.yaml"
    [loaded] = load_manifests(path.read_text(), path.name)
    assert loaded.warnings == ()
    return loaded.service_class


class Instance:
    """Drives a class as the engine does, in few words: render, call, keep the outputs."""

    def __init__(self, server: ProcessClient, class_name: str, name: str, **args: Any) -> None:
        self.server = server
        self.service_class = shipped(class_name)
        complete = validate_args(self.service_class.spec.args, args)
        self.names: dict[str, Any] = {
            **complete,
            "args": complete,
            "name": name,
            "service": {"name": name, "folder": None, "logs": {"lines": 100}},
        }

    async def call(self, call: ToolCallSpec | None) -> Any:
        assert call is not None
        assert call.server == "process"
        return await self.server.call(call.tool_name, **render(call.args, self.names))

    async def start(self) -> dict[str, Any]:
        answer = await self.call(self.service_class.tools.start)
        outputs = self.service_class.tools.start.outputs
        self.names["start"] = {name: answer[name] for name in outputs if name in answer}
        self.names["outputs"] = render(self.service_class.config.outputs, self.names)
        return self.names["outputs"]

    async def is_healthy(self) -> bool:
        check = self.service_class.tools.health_check
        assert check is not None
        assert check.expect is not None
        assert check.expect.json_path == {"ready": True}
        return (await self.call(check))["ready"]

    async def stop(self) -> Any:
        return await self.call(self.service_class.tools.stop)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_classes_are_manifests_of_the_model(name: str) -> None:
    value = ServiceClass.model_validate(yaml.safe_load((FOLDER / f"{name}.yaml").read_text()))
    assert value.name == name
    assert value.spec.description
    assert all(spec.description for spec in value.spec.args.values())
    assert value.servers() == ["process"]
    assert value.config.health.interval == 10
    tools = value.tools
    assert None not in (tools.status, tools.health_check, tools.logs, tools.find)
    assert value.config.timeout.health_check <= value.config.health.interval * 2


def test_no_other_class_is_shipped_untested() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} >= set(SHIPPED)


pytestmark_real = [pytest.mark.anyio, pytest.mark.realtime, pytest.mark.usefixtures("nothing_left")]


def real(test: Any) -> Any:
    for mark in pytestmark_real:
        test = mark(test)
    return test


async def http_get(url: str) -> str:
    import urllib.request

    def fetch() -> str:
        with urllib.request.urlopen(url, timeout=60) as response:
            return response.read().decode()

    return await anyio.to_thread.run_sync(fetch)


@real
async def test_a_static_web_server_serves_a_folder(state_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<h1>hello</h1>")
    (tmp_path / "http.py").write_text("raise SystemExit('a file of the folder was run')")
    async with process_server(state_dir / "p") as server:
        site = Instance(server, "static-web-server", "site", directory=str(tmp_path))
        outputs = await site.start()
        assert isinstance(outputs["port"], int)
        assert outputs["url"] == f"http://127.0.0.1:{outputs['port']}/"
        assert await http_get(outputs["url"]) == "<h1>hello</h1>"
        assert await site.is_healthy()
        assert (await site.call(site.service_class.tools.logs))["lines"]
        assert (await site.call(site.service_class.tools.find))["pid"] == outputs["pid"]
        assert (await site.stop())["killed"] is False
        assert not await site.is_healthy()
        again = await site.start()
        assert again["url"] == outputs["url"]
        await site.stop()


@real
async def test_a_static_web_server_over_a_folder_that_is_not_there(state_dir: Path, tmp_path: Path) -> None:
    async with process_server(state_dir / "p") as server:
        site = Instance(server, "static-web-server", "site", directory=f"{tmp_path}/nowhere")
        start = site.service_class.tools.start
        assert f"cwd '{tmp_path}/nowhere' does not exist" in await server.fail(
            "start", **render(start.args, site.names)
        )


@real
async def test_a_command_with_nothing_but_a_command(state_dir: Path) -> None:
    async with process_server(state_dir / "p") as server:
        job = Instance(server, "command", "job", command="sleep 300")
        outputs = await job.start()
        assert outputs["port"] is None
        assert await job.is_healthy()
        await job.stop()
        assert not await job.is_healthy()


@real
async def test_a_command_with_everything(state_dir: Path, tmp_path: Path) -> None:
    async with process_server(state_dir / "p") as server:
        job = Instance(
            server,
            "command",
            "job",
            command="{python}",
            arguments=["-S", "-u", "-c", SERVE, "{port}"],
            directory=str(tmp_path),
            environment={"A": "b"},
            port=0,
            readyTcp="{port}",
            readyHttp="http://127.0.0.1:{port}/204",
            readyLog="listening",
            readyTimeout="20s",
            stopSignal="SIGINT",
            stopTimeout="5s",
        )
        assert (await job.start())["port"] > 0
        assert await job.is_healthy()
        stopped = await job.stop()
        assert (stopped["killed"], stopped.get("signal")) == (False, "SIGINT")


STATUSES = """
import http.server, os, sys
left = sys.argv[1].split(",")
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status = left.pop(0) if len(left) > 1 else left[0]
        print("answers", status, flush=True)
        self.send_response(int(status))
        self.send_header("Content-Length", "0")
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


@real
@pytest.mark.parametrize(
    ("statuses", "args", "said"),
    [
        ("404", {}, "answers 404"),
        ("401", {}, "answers 401"),
        ("503,503,404", {}, "answers 404"),
        ("404,404,302", {}, "answers 302"),  # what is not set up yet when it begins to listen
        ("404", {"readyPath": "/"}, "answered 404, wanted 200 to 399. Next: name a path that it does answer"),
        ("500", {}, "answered 500, wanted 200 to 499"),
    ],
)
async def test_a_dev_server_without_a_ready_path_is_up_when_it_answers_anything_but_that_it_fails(
    state_dir: Path, tmp_path: Path, statuses: str, args: dict[str, str], said: str
) -> None:
    (tmp_path / "serve.py").write_text(STATUSES)
    async with process_server(state_dir / "p") as server:
        command = f"{{python}} serve.py {statuses}"
        given: dict[str, Any] = {"directory": str(tmp_path), "command": command, "readyTimeout": "3s", **args}
        api = Instance(server, "dev-server", "api", **given)
        if "wanted" in said:
            call = api.service_class.tools.start
            assert said in await server.fail(call.tool_name, **render(call.args, api.names))
            page = await server.call("logs", key="api", lines=1000)
            assert 1 < len([line for line in page["lines"] if "answers" in line]) < 45, "20 a second would fill its log"
            return
        await api.start()
        lines = await server.until_logged("api", said)  # its keeper may write it a moment after the answer
        assert [line for line in lines if "answers" in line][-1].endswith(said)
        assert await api.is_healthy()
        await api.stop()


@real
@pytest.mark.parametrize("ready", [{"readyPath": "/200"}, {"readyLog": "listening"}])
async def test_a_dev_server_is_told_its_port(state_dir: Path, tmp_path: Path, ready: dict[str, str]) -> None:
    (tmp_path / "serve.py").write_text(SERVE)
    async with process_server(state_dir / "p") as server:
        site = Instance(
            server,
            "dev-server",
            "site",
            directory=str(tmp_path),
            command='{python} -u serve.py "$PORT"',
            environment={"MODE": "test"},
            **ready,
        )
        outputs = await site.start()
        assert await http_get(outputs["url"]) == ""
        assert await site.is_healthy()
        await site.stop()
