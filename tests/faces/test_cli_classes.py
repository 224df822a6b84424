"""`ostler class`: searching, showing, adding and drafting, against the real server."""

import json
import sys
from pathlib import Path

import pytest
from test_cli import CommandLine

from ostler.faces.bridge.place import ServerPlace
from ostler.faces.cli.session import ExitStatus
from ostler.rules.reading import load_manifests

pytestmark = pytest.mark.realtime

SCRIPTED = Path(__file__).parents[1] / "support" / "scripted_server.py"


@pytest.fixture
def ostler(place: ServerPlace, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(place, capsys)


def test_a_server_that_is_just_starting_is_waited_for(ostler: CommandLine, tmp_path: Path) -> None:
    config = Path(ostler.place.config_dir)
    config.mkdir(parents=True, exist_ok=True)
    script = f"import runpy, sys, time; time.sleep(1); sys.argv = [{str(SCRIPTED)!r}]"
    slow = f"{script}; runpy.run_path(sys.argv[0], None, '__main__')"
    entry = {"command": sys.executable, "args": ["-c", slow]}
    (config / "mcp.json").write_text(json.dumps({"mcpServers": {"slow": entry}}), encoding="utf-8")
    assert ostler.run("class", "new", "--from", "slow", "--start", "start", "--stop", "stop") == ExitStatus.OK, (
        ostler.err
    )
    [loaded] = load_manifests(ostler.out, "draft")
    assert loaded.service_class.tools.start.tool == "slow/start"
    assert ostler.run("class", "new", "--from", "none") == ExitStatus.NOT_FOUND
    empty = tmp_path / "empty.yaml"
    empty.write_text("\n", encoding="utf-8")
    assert ostler.run("class", "add", str(empty)) == ExitStatus.FAILED
    assert f"there is no manifest in {empty}" in ostler.err


def test_a_class_is_found_added_and_drafted(ostler: CommandLine, tmp_path: Path) -> None:
    assert ostler.run("class", "search", "database", "redis") == ExitStatus.OK, ostler.err
    lines = ostler.out.splitlines()
    assert lines[0].split() == ["CLASS", "AVAILABLE", "DESCRIPTION"]
    listed = [["redis", "yes"], ["redis-database", "yes"], ["docker-redis", "needs"]]
    assert [line.split()[:2] for line in lines[1:]] == listed
    found = ostler.json("class", "search", "redis", "--available", "--json")
    assert [item["name"] for item in found["serviceClasses"]] == ["program", "redis", "redis-database"]
    assert ostler.run("class", "search", "no-such-word") == ExitStatus.OK
    assert "No ServiceClass has these words." in ostler.out
    assert ostler.run("class", "show", "redis") == ExitStatus.OK
    assert "kind: ServiceClass" in ostler.out

    # a copy of a shipped class to change, and a manifest of one's own; what is missing is said with its entry
    assert ostler.run("class", "add", "docker-redis") == ExitStatus.OK, ostler.err
    assert "ServiceClass docker-redis was created" in ostler.out
    assert '"docker": {"command": "uvx", "args": ["mcp-server-docker"]}' in ostler.out
    copied = Path(ostler.place.config_dir) / "serviceclasses" / "docker-redis.yaml"
    assert "kind: ServiceClass" in copied.read_text(encoding="utf-8")
    assert ostler.run("class", "add", "docker-redis") == ExitStatus.FAILED
    assert "already exists" in ostler.err
    mine = tmp_path / "mine.yaml"
    mine.write_text(copied.read_text(encoding="utf-8").replace("name: docker-redis", "name: mine"), encoding="utf-8")
    added = ostler.json("class", "add", str(mine), "--json")
    assert (added["name"], added["missingServers"]) == ("mine", ["docker"])
    assert ostler.run("class", "add", str(tmp_path / "none.yaml")) == ExitStatus.NOT_FOUND
    assert ostler.run("class", "add", "no-such-class") == ExitStatus.NOT_FOUND

    # from the built-in server's own tools
    assert ostler.run("class", "new", "--from", "process", "--name", "drafted") == ExitStatus.OK, ostler.err
    [loaded] = load_manifests(ostler.out, "draft")
    assert (loaded.service_class.name, loaded.service_class.tools.start.tool) == ("drafted", "process/start")
    drafted = ostler.json("class", "new", "--from", "process", "--name", "again", "--save", "--json")
    assert drafted["name"] == "again"
    assert ostler.run("class", "new") == ExitStatus.USAGE
    assert ostler.json("class", "draft", "process", "--json")["name"] == "process"
    chosen = ("--start", "start", "--stop", "stop")
    assert "tool: process/stop" in ostler.json("class", "draft", "process", *chosen, "--json")["manifest"]
    assert ostler.run("class", "draft", *chosen) == ExitStatus.USAGE
    assert ostler.run("class", "draft", "process", "--last", "2") == ExitStatus.USAGE
    assert (
        ostler.run("create", "again", "sleeper", "--arg", "key=sleeper", "--arg", "command=sleep 300") == ExitStatus.OK
    ), ostler.err
    assert ostler.json("status", "sleeper", "--json")["state"] == "running"
    assert ostler.run("delete", "sleeper") == ExitStatus.OK


LATE = """
apiVersion: ostler/v1
kind: ServiceClass
metadata: {name: late}
spec:
  description: listens a while after it was started
  serviceConfig:
    lifecycleTools:
      start:
        tool: process/start
        args:
          key: "{{ name }}"
          command: "{python}"
          args: [-c, "import sys, time, http.server as h; time.sleep(3); h.test(port=int(sys.argv[1]))", "{port}"]
          port: 0
        outputs: {pid: pid, port: port}
      stop: {tool: process/stop, args: {key: "{{ name }}"}}
      status:
        tool: process/status
        args: {key: "{{ name }}"}
        expect: {jsonPath: {state: running}}
"""


def test_a_class_is_tried_on_the_live_server(ostler: CommandLine, tmp_path: Path) -> None:
    late = tmp_path / "late.yaml"
    late.write_text(LATE, encoding="utf-8")
    assert ostler.run("class", "try", str(late)) == ExitStatus.USAGE  # not on a terminal
    assert "--yes goes on without asking" in ostler.err
    assert ostler.run("class", "try", "static-web-server", "--yes") == ExitStatus.USAGE
    assert "needs args: directory (" in ostler.err
    test = tmp_path / "site.test.yaml"
    site = ("static-web-server", "-a", f"directory={tmp_path}", "--yes", "--output", str(test))
    assert ostler.run("class", "try", *site) == ExitStatus.OK, ostler.out
    steps = [line.split()[:2] for line in ostler.out.splitlines() if line[:4] in ("ok  ", "FAIL", "-   ")]
    assert steps == [
        ["ok", name] for name in ("created", "ready", "healthy", "looked", "killed", "recovered", "stopped", "gone")
    ]
    assert "kill -9 " in ostler.out
    assert "lives as it was tried" in test.read_text(encoding="utf-8")

    assert ostler.run("class", "try", str(late), "--yes") == ExitStatus.FAILED
    assert "before its port accepted a connection" in ostler.out
    assert '     ready: {tcp: "{port}"}' in ostler.out
    assert not late.with_name("late.test.yaml").exists()

    served = "import sys, time, http.server as h; time.sleep(3); h.test(port=int(sys.argv[1]))"
    late.write_text(LATE.replace(served, "raise SystemExit('no database')"), encoding="utf-8")
    assert ostler.run("class", "try", str(late), "--yes") == ExitStatus.FAILED
    assert ostler.out.count("exited with code 1") == 1, "said once"
    assert "1. " in ostler.out
    assert "lifecycleTools.start\n   the failure above\n" in ostler.out

    needing = LATE.replace(
        "  serviceConfig:\n", "  args: {on: {type: string}}\n  serviceConfig:\n    dependencies: ['{{ on }}']\n", 1
    )
    late.write_text(needing, encoding="utf-8")
    assert ostler.run("class", "try", str(late), "--yes", "-a", "on=nobody") == ExitStatus.NOT_FOUND
    assert "depends on service 'nobody'" in ostler.err
    listed = ostler.json("call", "process/list", "--json")["result"]["processes"]
    assert {process["state"] for process in listed} == {"exited"}
    assert {service["name"] for service in ostler.json("ps", "--json")["services"]} == {"process"}
