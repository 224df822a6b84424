"""The composed application over real folders."""

import json
import sys
from pathlib import Path

import pytest
from tests.support.world import until

from ostler.adapters.config.paths import Paths
from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.services.views import CreateRequest
from ostler.faces.assembly import open_application
from ostler.model.downstream_errors import ToolDeniedError
from ostler.model.errors import ClassUnavailableError, NotFoundError
from ostler.model.events import EventKind

SCRIPT = Path(__file__).parents[1] / "support" / "scripted_server.py"
pytestmark = [pytest.mark.anyio, pytest.mark.realtime]


async def test_cursors_are_given_out_once_over_restarts(state_dir: Path) -> None:
    paths = Paths.resolve(state_dir / "config", state_dir / "state")
    last = 0
    for name in ("one", "two", "three"):
        async with open_application(paths) as app:
            events = app.manager.events
            assert events.last_cursor >= last
            await app.manager.create(CreateRequest("command", name, {"command": "true"}, start=False))
            cursors = [event.cursor for event in events.read(limit=1000).events]
            assert cursors == sorted(set(cursors))
            created = events.read(since=last, kinds=[EventKind.SERVICE_CREATED], limit=1000).events
            assert [event.service for event in created] == [name]
            last = events.last_cursor


async def test_what_is_wrong_with_class_files_is_told_at_the_start(state_dir: Path) -> None:
    paths = Paths.resolve(state_dir / "config", state_dir / "state")
    paths.serviceclasses_dir.mkdir(parents=True)
    (paths.serviceclasses_dir / "bad.yaml").write_text("kind: Nothing\n")
    async with open_application(paths) as app:
        assert any("bad.yaml:1" in event.message for event in app.manager.events.read(limit=1000).events)
        assert any("bad.yaml:1" in str(finding) for finding in app.classes.findings)
        with pytest.raises(
            NotFoundError, match=r"'bad' not found.*or fix a class file that could not be read: .*bad.yaml:1"
        ):
            app.classes.get("bad")


async def test_what_could_not_be_stopped_is_not_started(state_dir: Path) -> None:
    paths = Paths.resolve(state_dir / "config", state_dir / "state")
    paths.config_dir.mkdir()
    paths.settings_file.write_text('[policy]\ndenyTools = ["process/stop"]\n')
    async with open_application(paths) as app:
        await app.downstream.wait_until_connected("process", 60)
        assert not app.classes.availability("command").available
        with pytest.raises(ClassUnavailableError, match="missing required tools: process/stop"):
            await app.manager.create(CreateRequest("command", "job", {"command": "sleep 60"}))
        with pytest.raises(ToolDeniedError, match="denied by the policy"):
            await app.pool.call_tool("process/stop", {"key": "job"})
        assert (await app.pool.call_tool("process/list", {})).value == {"processes": [], "total": 0}


async def test_what_may_not_be_typed_into_or_read_still_runs(state_dir: Path) -> None:
    paths = Paths.resolve(state_dir / "config", state_dir / "state")
    paths.config_dir.mkdir()
    paths.settings_file.write_text('[policy]\ndenyTools = ["process/input", "process/logs"]\n')
    async with open_application(paths) as app:
        await app.downstream.wait_until_connected("process", 60)
        assert app.classes.availability("command").available
        await app.manager.create(CreateRequest("command", "job", {"command": "cat"}))
        with pytest.raises(ToolDeniedError, match="process/input.*denied by the policy"):
            await app.manager.send_input("job", "hello")
        job = app.manager.registry.get("job")
        assert isinstance(job, ServiceInstance)
        with pytest.raises(ToolDeniedError, match="process/logs.*denied by the policy"):
            await job.read_logs()
        await app.manager.delete("job")


BOX = """
apiVersion: ostler/v1
kind: ServiceClass
metadata: {name: box}
spec:
  serviceConfig:
    lifecycleTools:
      start:
        tool: boxes/start
        args:
          {name: "{{ name }}", mark: "{{ service.mark }}", class: "{{ service.class }}", service: "{{ service.id }}"}
        outputs: {box: name}
      stop: {tool: boxes/stop, args: {name: "{{ start.box }}"}}
    leftovers:
      tool: boxes/list
      items: resources[?state=='running']
      mark: mark
      serviceClass: class
      service: service
      outputs: {box: name}
"""


async def test_what_runs_is_no_ones_after_the_database_was_deleted(state_dir: Path) -> None:
    paths = Paths.resolve(state_dir / "config", state_dir / "state")
    (paths.config_dir / "serviceclasses").mkdir(parents=True)
    (paths.config_dir / "serviceclasses" / "box.yaml").write_text(BOX)
    server = {"command": sys.executable, "args": [str(SCRIPT), "--ledger", str(state_dir / "ledger")]}
    paths.mcp_json.write_text(json.dumps({"mcpServers": {"boxes": server}}))
    async with open_application(paths) as app:
        await app.downstream.wait_until_connected("process", 60)
        await app.downstream.wait_until_connected("boxes", 60)
        for name in ("web", "again"):
            await app.manager.create(CreateRequest("command", name, {"command": "sleep 300"}))
        await app.manager.create(CreateRequest("box", "lost"))
        await app.pool.call_tool("boxes/start", {"name": "theirs", "mark": "of another Ostler", "service": "x"})
        assert (await app.projects.leftovers()).found == []
        await app.pool.call_tool("process/start", {"key": "own", "command": "sleep 300", "startSeconds": 0})
        assert await app.projects.strays() == [], "services have them, or a person"
    paths.database.unlink()
    async with open_application(paths) as app:
        await app.downstream.wait_until_connected("process", 60)
        assert "web" not in app.manager.registry
        await app.downstream.wait_until_connected("boxes", 60)
        await app.manager.create(CreateRequest("box", "new"))
        survey = await app.projects.leftovers()
        assert ([left.outputs for left in survey.found], survey.unseen, survey.errors) == ([{"box": "lost"}], [], [])
        await app.manager.stop_service("boxes")
        for survey in (await app.projects.leftovers(), await app.projects.remove_leftovers()):
            (unseen,) = survey.unseen
            assert (unseen.server, unseen.classes, unseen.fix) == ("boxes", ("box",), "service_start boxes")
            assert unseen.since == app.manager.view("boxes").state_since
            assert (survey.found, survey.errors) == ([], [])
        await app.manager.start_service("boxes")
        removal = await app.projects.remove_leftovers()
        assert ([left.outputs for left in removal.found], removal.errors) == ([{"box": "lost"}], [])
        boxes = (await app.pool.call_tool("boxes/list", {})).value
        assert isinstance(boxes, dict)
        running = [box["name"] for box in boxes["resources"] if box["state"] == "running"]
        assert running == ["theirs", "new"]
        paths.mcp_json.write_text('{"mcpServers": {}}')
        await until(lambda: app.manager.registry.find("boxes") is None)
        (cut_off,) = (await app.projects.leftovers()).unseen
        assert (cut_off.server, cut_off.classes, cut_off.services) == ("boxes", ("box",), ("new",))
        said = "service new cannot be checked or stopped: its server 'boxes' is no longer in any mcp.json"
        assert said in str(cut_off)
        assert "service_delete new with abandon=true" in cut_off.fix
        paths.mcp_json.write_text(json.dumps({"mcpServers": {"boxes": server}}))
        await until(lambda: app.pool.server_status("boxes").connected)
        assert (await app.projects.leftovers()).unseen == []
        await app.manager.delete("new")
        assert {stray.key for stray in await app.projects.strays()} == {"web", "again"}
        await app.manager.create(CreateRequest("command", "again", {"command": "sleep 300"}))
        assert [stray.key for stray in await app.projects.end_strays()] == ["web"]
        assert await app.projects.strays() == []
        processes = (await app.pool.call_tool("process/list", {"state": "running"})).value
        assert isinstance(processes, dict)
        assert {process["key"] for process in processes["processes"]} == {"again", "own"}
        await app.manager.delete("again")
        await app.pool.call_tool("process/stop", {"key": "own"})


async def test_servers_follow_their_file_and_a_broken_edit_removes_none(state_dir: Path) -> None:
    paths = Paths.resolve(state_dir / "config", state_dir / "state")
    paths.config_dir.mkdir()

    def write(**servers: list[str]) -> None:
        entries = {name: {"command": sys.executable, "args": [str(SCRIPT), *args]} for name, args in servers.items()}
        paths.mcp_json.write_text(json.dumps({"mcpServers": entries}))

    write(one=[], two=[])
    async with open_application(paths) as app:
        registry, events = app.manager.registry, app.manager.events
        assert {"one", "two", "process"} <= {service.name for service in registry.get_all()}

        write(one=["--page-size", "3"], three=[])
        await app.reload_servers()
        assert {service.name for service in registry.get_by_type("MCPServer")} == {"one", "three", "process"}
        said = [(e.service, e.message) for e in events.read(kinds=[EventKind.SERVER_CHANGED]).events]
        assert said == [("one", "its entry in mcp.json changed"), ("two", "its entry was removed from mcp.json")]

        paths.mcp_json.write_text('{"mcpServers": {"three": {"command": 5}}}')
        await app.reload_servers()
        assert {service.name for service in registry.get_by_type("MCPServer")} == {"one", "three", "process"}
        assert any("mcp.json:1" in finding for finding in app.effective_config()["findings"])


async def test_a_policy_that_becomes_stricter_is_in_force_at_once(state_dir: Path) -> None:
    paths = Paths.resolve(state_dir / "config", state_dir / "state")
    paths.config_dir.mkdir()
    async with open_application(paths) as app:
        await app.downstream.wait_until_connected("process", 60)
        assert app.classes.availability("command").available
        paths.settings_file.write_text('idleExit = "never"\n[policy]\ndenyTools = ["process/stop"]\n')
        with pytest.raises(ToolDeniedError, match="denied by the policy"):
            await app.pool.call_tool("process/stop", {"key": "job"})
        assert not app.classes.availability("command").available
        await app.configuration_changed(frozenset({paths.settings_file}))
        said = [event.message for event in app.manager.events.read(limit=1000).events]
        assert any("in force now: policy.denyTools" in message for message in said)
        assert any(message.endswith("idleExit") for message in said)
        assert app.effective_config()["restartNeeded"] == ["idleExit"]
