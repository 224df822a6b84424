"""The command line against the real server: verbs, output, exit statuses, and what it takes to start."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx2
import psutil
import pytest
from mcp_types import INVALID_PARAMS
from processes.bridge_client import BridgeClient, clean_place, eventually, servers_of
from processes.command_line import CommandLine
from tests.support.postgresql import Postgresql

from ostler.adapters.config.paths import Paths, class_files_in
from ostler.faces.bridge.place import ServerPlace
from ostler.faces.cli import server_verbs
from ostler.faces.cli.app import run_command
from ostler.faces.cli.listing import relative, state_text, url_of
from ostler.faces.cli.next_steps import in_verbs
from ostler.faces.cli.session import ExitStatus
from ostler.model.json import JsonValue

pytestmark = pytest.mark.realtime


@pytest.fixture(scope="module")
def shared_place(tmp_path_factory: pytest.TempPathFactory) -> Generator[ServerPlace]:
    with clean_place(tmp_path_factory.mktemp("s")) as place:
        yield place


@pytest.fixture
def ostler(shared_place: ServerPlace, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(shared_place, capsys)


def completions(ostler: CommandLine, line: str) -> list[str]:
    """What bash offers behind `line`."""
    env = {
        **os.environ,
        "OSTLER_CONFIG": ostler.place.config_dir,
        "OSTLER_STATE": ostler.place.state_dir,
        "_OSTLER_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
    }
    done = subprocess.run([sys.executable, "-m", "ostler.faces.entry"], env=env, capture_output=True, text=True)
    assert done.stderr == ""
    return done.stdout.split()


def test_the_version_is_one() -> None:
    assert run_command(["--version"]) == ExitStatus.OK


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("server-stop", "stop-server"),
        ("server status", "server-status"),
        ("service_list", "ps"),
        ("rm", "delete"),
        ("servers start web", "start web"),
        ("project ps", "ps"),
        ("servers list", "servers"),
    ],
)
def test_what_is_not_a_verb_is_answered_with_the_verb_that_was_meant(
    typed: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(typed.split()) == ExitStatus.USAGE
    assert re.search(rf"No such command '\w[\w-]*'\. Did you mean 'ostler {meant}'\?", capsys.readouterr().err)


@pytest.mark.parametrize("typed", [["status", "we\udcffb"], ["ps", "--class", "\udcff"], ["stop", "web", "\udcff"]])
def test_text_that_is_not_utf_8_is_refused(typed: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(typed) == ExitStatus.USAGE
    assert "\\udcff" in (said := capsys.readouterr().err)
    assert "is not UTF-8. Next: check how your terminal or script encodes it" in said


def test_closed_standard_streams_are_no_failure(tmp_path: Path) -> None:
    command = f"'{sys.executable}' -m ostler.faces.entry install cursor <&- >&-"
    done = subprocess.run(
        ["/bin/sh", "-c", command], env={**os.environ, "HOME": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.stderr.startswith("ostler: nothing was changed. Next: --yes")


def test_completing_starts_no_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ostler = CommandLine(ServerPlace(Paths(tmp_path / "c", tmp_path / "s")), capsys)
    assert completions(ostler, "ostler stop ") == []
    assert completions(ostler, "ostler install curs") == ["cursor"]
    assert list(tmp_path.iterdir()) == []


def test_each_connection_has_the_tools_that_its_client_asked_for(shared_place: ServerPlace) -> None:
    serve = [sys.executable, "-m", "ostler.faces.entry", "--config", shared_place.config_dir]
    serve += ["--state", shared_place.state_dir, "serve"]
    with BridgeClient([*serve, "--toolset", "muster"]) as other:
        other.initialize()
        assert "call_tool" in {tool["name"] for tool in other.ask("tools/list")["result"]["tools"]}
    with BridgeClient([*serve, "--toolset", "core"]) as small, BridgeClient(serve) as whole:
        said = small.initialize()["instructions"], whole.initialize()["instructions"]
        names = [[tool["name"] for tool in client.ask("tools/list")["result"]["tools"]] for client in (small, whole)]
        refusal = small.ask("tools/call", {"name": "config_get", "arguments": {}})
        assert not whole.ask("tools/call", {"name": "config_get", "arguments": {}})["result"].get("isError")
    assert ["config_get" in listed for listed in names] == [False, True]
    assert ["service_secrets" in text for text in said] == [False, True]
    assert refusal["error"]["code"] == INVALID_PARAMS


@pytest.mark.parametrize(
    ("seconds", "age"),
    [(-1, "0s"), (59.9, "59s"), (60, "1m"), (3599, "59m"), (7200, "2h"), (90_000, "25h"), (172_800, "2d")],
)
def test_ages_are_short(seconds: float, age: str) -> None:
    assert relative(seconds) == age


@pytest.mark.parametrize(
    ("outputs", "url"),
    [
        ({"port": 80, "url": "http://h/"}, "http://h/"),
        ({"site": "https://h/x", "log": "/x"}, "https://h/x"),
        ({"address": "127.0.0.1:5"}, None),
        ({}, None),
    ],
)
def test_a_url_is_found_among_the_outputs(outputs: dict[str, object], url: str | None) -> None:
    assert url_of(outputs) == url


@pytest.mark.parametrize(
    ("facts", "shown"),
    [
        ({"state": "running"}, "running"),
        ({"state": "stopped", "reason": "idle"}, "stopped (idle)"),
        ({"state": "failed", "reason": "gone", "error": "it exited with code 1"}, "failed (gone)"),
        ({"state": "unreachable", "reason": "npx was not found", "error": "not connected: npx was …"}, "unreachable"),
        ({"state": "waiting", "reason": "for its first client"}, "waiting (for its first client)"),
    ],
)
def test_a_state_has_its_reason_once(facts: dict[str, JsonValue], shown: str) -> None:
    assert state_text(facts) == shown


def test_a_service_s_whole_life(ostler: CommandLine, tmp_path: Path) -> None:
    create = ("create", "static-web-server", "site", "--arg", f"directory={tmp_path}", "--label", "team=web")
    assert ostler.run(*create, "--json") == ExitStatus.OK, ostler.err
    created = json.loads(ostler.out)
    pid = created["service"]["outputs"]["pid"]
    assert psutil.pid_exists(pid)

    eventually(
        lambda: ostler.run("status", "site") == 0 and "health healthy" in ostler.out, "the first check has passed"
    )
    assert ostler.run("ps") == ExitStatus.OK
    assert ostler.out.splitlines()[0].split() == ["NAME", "CLASS", "STATE", "HEALTH", "AGE", "PORTS/URL"]
    url = created["service"]["outputs"]["url"]
    assert re.search(rf"^site +static-web-server +running +healthy +\d+s +{re.escape(url)}$", ostler.out, re.MULTILINE)
    assert ostler.run("ps", "--wide", "--absolute") == ExitStatus.OK
    assert ostler.out.splitlines()[0].split()[-2:] == ["SINCE", "TYPE"]
    assert re.search(r"\d{4}-\d\d-\d\dT", ostler.out)
    assert "\x1b" not in ostler.out
    assert ostler.run("open", "site", "--print") == ExitStatus.OK
    assert ostler.out.strip() == url
    assert [row["name"] for row in ostler.json("ps", "--class", "static-web-server", "--json")["services"]] == ["site"]
    assert ostler.json("list", "--only", "failed", "--json") == {"services": [], "total": 0}
    assert ostler.json("status", "site", "--json")["state"] == "running"
    assert ostler.run("status", "site") == ExitStatus.OK
    assert "running" in ostler.out
    assert ostler.json("wait", "site", "process", "--health", "healthy", "--json")["met"]
    assert ostler.run("wait", "nobody") == ExitStatus.NOT_FOUND
    assert ostler.json("get", "site")["labels"] == {"team": "web"}
    events = ostler.json("events", "site", "--json")
    assert {event["service"] for event in events["events"]} == {"site"}
    assert ostler.run("events", "--since", str(events["cursor"] - 1)) == ExitStatus.OK
    assert len(ostler.out.splitlines()) >= 1
    assert ostler.run("logs", "site", "-n", "5") == ExitStatus.OK
    assert "Serving HTTP" in ostler.out

    assert ostler.run("stop", "site") == ExitStatus.OK
    assert "site" in ostler.out
    assert not psutil.pid_exists(pid)
    assert ostler.run("delete", "nobody", "site") == ExitStatus.NOT_FOUND
    assert "'nobody' not found" in ostler.err
    assert "site" in ostler.out
    assert ostler.json("ps", "--class", "static-web-server", "--json")["services"] == []


def test_a_plan_is_shown_and_kept(ostler: CommandLine, tmp_path: Path) -> None:
    plan = ("plan", "static-web-server", "planned", "-a", f"directory={tmp_path}")
    assert ostler.run(*plan) == ExitStatus.OK, ostler.err
    assert "1. planned start: process/start" in ostler.out
    assert ostler.run("status", "planned") == ExitStatus.NOT_FOUND
    facts = ostler.json(*plan, "--format", "json")
    assert [step["tool"] for step in facts["steps"]] == ["process/start"]
    create = ("create", "static-web-server", "planned", "--plan-id", facts["planId"], "--no-persist", "-a")
    assert ostler.run(*create, "directory=/") == ExitStatus.FAILED
    assert "out of date" in ostler.err
    assert ostler.run(*create, f"directory={tmp_path}") == ExitStatus.OK, ostler.err
    assert ostler.run("plan", "planned", "--action", "delete") == ExitStatus.OK
    assert "deleted: planned (static-web-server)" in ostler.out
    assert ostler.run("plan", "planned", "--action", "stop", "-a", "x=1") == ExitStatus.USAGE
    assert ostler.run("plan", "planned", "other", "--action", "stop") == ExitStatus.USAGE
    assert ostler.run(*plan, "--name", "other") == ExitStatus.USAGE
    by_option = (*plan[:2], "--name", "by-option", *plan[3:])
    assert ostler.json(*by_option, "--format", "json")["steps"][0]["service"] == "by-option"
    assert ostler.run("plan", "planned", "--abandon") == ExitStatus.USAGE
    assert ostler.run("plan", "nobody", "--action", "stop") == ExitStatus.NOT_FOUND
    assert ostler.run("delete", "planned") == ExitStatus.OK


def test_failures_say_what_and_how_they_are_classed(ostler: CommandLine) -> None:
    assert ostler.run("status", "nobody") == ExitStatus.NOT_FOUND
    assert ostler.run("create", "no-such-class") == ExitStatus.NOT_FOUND
    assert (
        ostler.run("create", "static-web-server", "bad", "--args-json", '{"directory": 1, "x": 2}') == ExitStatus.FAILED
    )
    assert "arg validation failed" in ostler.err
    assert "Traceback" not in ostler.err
    assert ostler.run("create", "static-web-server", "--arg", "directory") == ExitStatus.USAGE
    assert ostler.run("create", "static-web-server", "--args-json", "[1]") == ExitStatus.USAGE
    assert ostler.run("create", "static-web-server", "--args-json", "[" * 20_000) == ExitStatus.USAGE
    assert ostler.err.endswith("--args-json is not JSON: it is nested too deeply\n")
    assert ostler.run("ps", "--nonsense") == ExitStatus.USAGE
    assert ostler.run("frobnicate") == ExitStatus.USAGE
    assert ostler.run("call", "process/status", "key=site") == ExitStatus.USAGE
    assert ostler.err.endswith("""ostler call process/status --args-json '{"key": "site"}'\n""")
    assert ostler.run("call", "process/frobnicate") == ExitStatus.NOT_FOUND
    assert ostler.run("call", "process/status", "--args-json", '{"id": "nobody"}') == ExitStatus.FAILED


def test_next_steps_are_verbs_and_a_file_is_no_class(ostler: CommandLine) -> None:
    assert ostler.run("status", "nobody") == ExitStatus.NOT_FOUND
    assert ostler.err.endswith("Next: ostler ps shows all names\n")
    for verb in ("stop", "delete"):
        assert ostler.run(verb, "nobody") == ExitStatus.NOT_FOUND
        assert "Next: ostler ps shows" in ostler.err
    assert ostler.run("call", "process/strat") == ExitStatus.NOT_FOUND
    assert "Next: ostler tools list process shows its tools" in ostler.err
    assert ostler.run("call", "process/free_port", "--help") == ExitStatus.OK
    assert "preferred" in ostler.out
    assert ostler.run("call") == ExitStatus.USAGE
    assert ostler.run("call", "--help") == ExitStatus.OK
    assert ostler.run("class", "add", "job") == ostler.run("class", "add", "job") - 1 == ExitStatus.OK
    assert ostler.err.endswith("job.yaml'. Next: edit that file, which is read again at once\n")
    assert ostler.run("create", "static-web-server", "x") == ExitStatus.FAILED
    assert "Next: ostler class show static-web-server shows the arguments" in ostler.err
    for verb in ("create", "plan"):
        assert ostler.run(verb, "web.yaml") == ExitStatus.USAGE
        assert "ostler class add web.yaml" in ostler.err


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("service_list failed", "service_list failed"),
        ("no. Next: service_logs shows what it printed", "no. Next: ostler logs shows what it printed"),
        ("no. Next: tool_list with server 'x' shows its tools", "no. Next: ostler tools list x shows its tools"),
        ("no. Next: tool_list with more", "no. Next: tool_list with more"),
        ("no. Next: serviceclass_available x shows which", "no. Next: ostler class show x shows which"),
        ("no. Next: project_status lists them", "no. Next: ostler project status lists them"),
        ("no. Next: name both: start=TOOL and stop=TOOL", "no. Next: name both: --start TOOL and --stop TOOL"),
        ('no. Next: service_get {"name": "x"} shows it', "no. Next: ostler get x shows it"),
        ('Next: service_delete {"name": "x", "abandon": true} if', "Next: ostler delete x --abandon if"),
        ("no. Next: service_delete x with force=true forgets it", "no. Next: ostler delete x --force forgets it"),
        (
            'no. Next: service_start x with adopt=true and outputs={"id": "…"}, the values',
            "no. Next: ostler start x --adopt --output 'id=…', the values",
        ),
        ('Next: service_wait {"name": "x", "state": ["failed"], "cursor": 3}', "Next: ostler wait x --state failed"),
        ("Next: service_wait x with state 'stopped' waits", "Next: ostler wait x --state stopped waits"),
        ('Next: service_wait {"project": "x"} to wait', 'Next: service_wait {"project": "x"} to wait'),
        ('said {\'a\': 1}\nNext: service_stop {"name": "a b"} so', "said {'a': 1}\nNext: ostler stop 'a b' so"),
        ("no. Next: service_status x; service_stop x", "no. Next: ostler status x; ostler stop x"),
        ("kept: a (project_down in /srv/shop lets this)", "kept: a (ostler down in /srv/shop lets this)"),
        ("kept (project_down in /srv/shop removes it)", "kept (ostler down in /srv/shop removes it)"),
        (
            'no. Next: serviceclass_draft {"server": "s", "start": "make", "stop": "drop"} if that runs',
            "no. Next: ostler class new --from s --start make --stop drop if that runs",
        ),
        (
            "no. Next: serviceclass_draft without a server drafts",
            "no. Next: ostler class draft without a server drafts",
        ),
        ("no. Next: service_logs takes name (required), lines", "no. Next: ostler logs --help shows its options"),
        ("it waits; service_stop a.shop ends it now", "it waits; ostler stop a.shop ends it now"),
    ],
)
def test_a_tool_is_named_as_a_verb_only_where_that_is_the_same(said: str, shown: str) -> None:
    assert in_verbs(said) == shown


def test_classes_servers_tools_and_configuration(ostler: CommandLine) -> None:
    names = [row["name"] for row in ostler.json("classes", "--json")["serviceClasses"]]
    assert "static-web-server" in names
    assert ostler.run("classes") == ExitStatus.OK
    assert "AVAILABLE" in ostler.out
    bare = "apiVersion: ostler/v1\nkind: ServiceClass\nmetadata: {name: bare}\nspec: {serviceConfig: {lifecycleTools: "
    bare += "{start: {tool: process/list}, stop: {tool: process/list}}}}\n"
    file = Path(ostler.place.state_dir).with_name("bare.yaml")
    file.write_text(bare.replace("process/list}}", "process/list, args: {a: '{{ nam }}'}}}"))
    assert ostler.run("class", "add", str(file)) == ExitStatus.FAILED
    assert f"{file}:4:" in ostler.err
    file.write_text(bare)
    assert ostler.run("class", "add", str(file)) == ExitStatus.OK
    assert ostler.run("classes") == ExitStatus.OK, "one without a description is listed as well"
    assert "bare" in ostler.out
    assert ostler.json("class", "get", "static-web-server", "--json")["name"] == "static-web-server"
    assert ostler.json("servers", "--json")["mcpServers"][0]["name"] == "process"
    assert ostler.run("servers") == ExitStatus.OK
    assert "connected" in ostler.out
    assert "process/start" in [tool["name"] for tool in ostler.json("tools", "process", "--json")["tools"]]
    assert ostler.run("tools", "process/start") == ExitStatus.OK
    assert ostler.out.startswith("process/start: Start a program in the background")
    assert ostler.run("tools", "process", "--limit", "2") == ExitStatus.OK
    assert len(ostler.out.splitlines()) == 3, "with its heading"
    assert re.fullmatch(r"ostler: \d+ more: name a SERVER, or use --search, or --limit \d+\n", ostler.err)
    assert [tool["name"] for tool in ostler.json("tools", "--search", "free_port", "--json")["tools"]] == [
        "process/free_port"
    ]
    assert ostler.run("tools", "--search", "no-such-tool") == ExitStatus.OK
    assert ostler.out == "No tool has 'no-such-tool'.\n"
    assert ostler.run("call", "process/free_port") == ExitStatus.OK
    assert ostler.json("call", "process/list", "--json")["isError"] is False
    assert ostler.json("config")["stateDir"] == ostler.place.state_dir


def test_args_are_typed_by_the_class(alone: CommandLine) -> None:
    classes = Path(alone.place.config_dir) / "serviceclasses"
    classes.mkdir(parents=True)
    (classes / "typed.yaml").write_text(
        "apiVersion: ostler/v1\nkind: ServiceClass\nmetadata: {name: typed}\nspec:\n  args:\n"
        "    release: {type: string}\n    count: {type: integer}\n    tags: {type: array}\n  serviceConfig:\n"
        "    lifecycleTools:\n      start: {tool: process/list}\n      stop: {tool: process/list}\n"
    )
    pairs = ["--arg", "release=1.10", "--arg", "count=3", "--arg", 'tags=["a"]']
    assert alone.run("create", "typed", "one", *pairs, "--no-start", "--no-persist") == ExitStatus.OK, alone.err
    assert alone.json("get", "one")["args"] == {"release": "1.10", "count": 3, "tags": ["a"]}


def test_a_class_is_drafted_from_calls(ostler: CommandLine, tmp_path: Path) -> None:
    for tool, args in (
        ("start", {"key": "shown", "command": "sleep 60"}),
        ("status", {"key": "shown"}),
        ("stop", {"key": "shown"}),
    ):
        assert ostler.run("call", f"process/{tool}", "--args-json", json.dumps(args)) == ExitStatus.OK, ostler.err
    assert ostler.run("class", "draft", "--name", "drafted", "--last", "3") == ExitStatus.OK, ostler.err
    assert "which args must callers give?" in ostler.err
    (tmp_path / "drafted.yaml").write_text(ostler.out)
    assert ostler.run("validate", str(tmp_path / "drafted.yaml")) == ExitStatus.OK, ostler.out
    assert ostler.json("class", "draft", "--json")["name"] == "process-start"


def test_a_test_is_recorded_on_the_live_servers(ostler: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "static-web-server.test.yaml"
    record = ("test", "static-web-server", "--record", "-a", f"directory={tmp_path}")
    assert ostler.run(*record) == ExitStatus.USAGE
    assert "--output" in ostler.err
    assert ostler.run(*record, "-o", str(file)) == ExitStatus.OK, ostler.out + ostler.err
    processes = ostler.json("call", "process/list", "--json")["result"]["processes"]
    assert [p["state"] for p in processes if p["key"] == "recorded-static-web-server"] == ["exited"]
    assert ostler.run("test", str(file)) == ExitStatus.OK, ostler.out
    assert ostler.out.endswith("1 passed, 0 failed\n")
    assert ostler.run(*record, "-o", str(file)) == ExitStatus.FAILED
    assert "is not written over" in ostler.err
    assert ostler.run("test", "no-such-class", "--record") == ExitStatus.NOT_FOUND
    assert ostler.run("test", str(file), "-a", "x=1") == ExitStatus.USAGE


def test_validate_needs_no_server(alone: CommandLine, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("apiVersion: ostler/v1\nkind: ServiceClass\nmetadata: {name: x}\nspec:\n  serviceConfg: {}\n")
    assert alone.run("validate", str(wrong), str(tmp_path / "absent.yaml")) == ExitStatus.FAILED
    assert f"{wrong}:5:3" in alone.out
    assert "absent.yaml: cannot be read" in alone.out
    assert alone.run("validate", str(wrong), "--json") == ExitStatus.FAILED
    assert json.loads(alone.out)["findings"][0]["line"] == 5
    other = {"mcp.json": '{"mcpServers": {"x": {"command": "y"}}}', "ostler.yaml": "kind: Project\nservices: {}\n"}
    for name, text in other.items():
        (tmp_path / name).write_text(text)
    assert alone.run("validate", *(str(tmp_path / name) for name in other)) == ExitStatus.FAILED
    client, project = alone.out.splitlines()
    assert "this is a configuration of an MCP client" in client
    assert "ostler servers import --from FILE" in client
    assert "this is a project, not a ServiceClass [unknown-kind]; ostler check FILE checks it" in project
    shipped = class_files_in(Path(__file__).parents[2] / "serviceclasses")
    assert alone.run("validate", *map(str, shipped)) == ExitStatus.OK, alone.out
    assert not Path(alone.place.state_dir).exists()


def test_the_server_s_own_verbs(alone: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert alone.run("server-status") == ExitStatus.UNAVAILABLE
    assert alone.run("stop-server") == ExitStatus.OK
    assert alone.run("ps") == ExitStatus.OK
    facts = alone.json("server-status", "--json")
    assert facts["running"] is True
    assert alone.run("server-status") == ExitStatus.OK
    assert str(facts["pid"]) in alone.out
    assert "other code" not in alone.err
    with monkeypatch.context() as updated:
        updated.setattr(server_verbs, "code_id", lambda: "the folder of 1")
        assert alone.run("server-status") == ExitStatus.OK
        assert "other code of the same version" in alone.err
    assert alone.run("dashboard", "--no-browser") == ExitStatus.OK
    page, code = alone.out.split()[-1].split("#code=")
    with httpx2.Client(base_url=page) as web:
        assert web.get("/").headers["content-type"].startswith("text/html")
        assert web.post("/mcp").status_code == 401
        token = web.post("/dashboard/session", json={"code": code}).json()["token"]
        assert web.post("/mcp", headers={"authorization": f"Bearer {token}"}).status_code == 400
    assert alone.run("serve", "--foreground") == ExitStatus.FAILED
    assert f"pid {facts['pid']}" in alone.err
    assert alone.run("serve", "--stop-on-exit") == ExitStatus.USAGE
    assert alone.run("stop-server") == ExitStatus.OK
    assert str(facts["pid"]) in alone.out
    assert alone.run("version") == ExitStatus.OK
    assert alone.out.startswith("ostler 0.1.0")


def test_a_server_that_cannot_be_had_is_told_as_such(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    status = run_command(["--state", str(tmp_path / "file" / "state"), "ps"])
    assert status == ExitStatus.UNAVAILABLE
    assert "state folder" in capsys.readouterr().err


@pytest.mark.parametrize("group", ["", "project", "servers", "tools", "class", "store", "token"])
def test_a_list_of_commands_says_what_each_does_in_a_whole_sentence(
    group: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run_command([*group.split(), "--help"]) == ExitStatus.OK
    commands = capsys.readouterr().out.partition("Commands:")[2]
    assert commands
    assert "..." not in commands


def test_help_is_light(tmp_path: Path) -> None:
    probe = (
        "import atexit, sys\n"
        "atexit.register(lambda: print(*sorted(sys.modules), sep='\\n', file=sys.stderr))\n"
        "from ostler.faces.entry import main\n"
        "sys.exit(main(['--help']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, timeout=60, check=True, env={**os.environ}
    )
    assert "stop-server" in done.stdout.decode()
    modules = {name.partition(".")[0] for name in done.stderr.decode().split()}
    assert not modules & {"mcp", "mcp_types", "pydantic", "anyio", "rich", "asyncio", "yaml", "uvicorn"}


def test_the_store_is_made_moved_to_postgresql_and_back(
    alone: CommandLine, postgresql: Postgresql, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, file = postgresql.new_database(), alone.place.paths.database
    shown = url.replace(":let%20me%20in", "")
    assert alone.run("store", "migrate") == ExitStatus.OK
    assert alone.run("store", "migrate") == ExitStatus.OK
    assert "nothing to do" in alone.out
    assert alone.run("store", "move", "sqlite") == ExitStatus.USAGE
    assert alone.run("store", "move", "mysql://x/y") == ExitStatus.FAILED
    assert alone.run("store", "move", url) == ExitStatus.OK, alone.err
    assert f"moved to {shown}: 0 services, 0 operations, 0 events" in alone.out
    assert not file.exists()
    monkeypatch.setenv("OSTLER_STORE", url)
    assert alone.json("store", "check", "--json")["path"] == shown
    assert alone.run("store", "migrate") == ExitStatus.OK
    assert alone.run("store", "export") == ExitStatus.OK
    assert json.loads(alone.out)["type"] == "header"
    assert alone.run("store", "take") == ExitStatus.OK
    assert alone.run("store", "backup", "copy") == ExitStatus.USAGE
    assert "pg_dump" in alone.err
    assert alone.run("store", "move", "sqlite") == ExitStatus.OK
    assert file.exists()
    assert alone.run("store", "check") == ExitStatus.NOT_FOUND
    assert "me in" not in alone.out + alone.err


def test_the_database_is_checked_copied_and_exported(alone: CommandLine, tmp_path: Path) -> None:
    assert alone.run("store", "check") == ExitStatus.NOT_FOUND
    assert "no server has run" in alone.err
    secret = "sesame-sesame"
    folder = Path(alone.place.config_dir) / "serviceclasses"
    folder.mkdir(parents=True)
    (folder / "vault.yaml").write_text(VAULT)
    assert alone.run("create", "vault", "v", "--arg", f"password={secret}", "--no-start") == ExitStatus.OK, alone.err
    assert alone.run("explain", "v") == ExitStatus.OK
    assert "v: stopped" in alone.out

    facts = alone.json("store", "check", "--json")
    assert (facts["services"], facts["openOperations"], facts["problems"]) == (1, 0, [])
    copy = tmp_path / "copy.db"
    assert alone.run("store", "backup", str(copy)) == ExitStatus.OK
    assert copy.stat().st_mode & 0o777 == 0o600
    assert alone.run("store", "backup", str(copy)) == ExitStatus.FAILED
    assert "already exists" in alone.err
    assert alone.run("store", "export") == ExitStatus.OK
    lines = [json.loads(line) for line in alone.out.splitlines()]
    assert lines[0]["type"] == "header"
    assert [line["record"]["name"] for line in lines if line["type"] == "service"] == ["v"]
    assert secret not in alone.out
    assert alone.run("secret", "v") == ExitStatus.USAGE  # it goes into a pipe
    assert (secret in alone.out, "--yes" in alone.err) == (False, True)
    assert alone.json("secret", "v", "--yes", "--json")["args"] == {"password": secret}
    assert completions(alone, "ostler stop ") == ["process", "v"]
    assert completions(alone, "ostler create vau") == ["vault"]
    assert completions(alone, "ostler create nothing") == []
    output = tmp_path / "all.jsonl"
    assert alone.run("store", "export", "-o", str(output), "--reveal-secrets") == ExitStatus.OK
    assert secret in output.read_text()
    assert output.stat().st_mode & 0o777 == 0o600

    assert alone.run("stop-server") == ExitStatus.OK
    database = alone.place.paths.database
    with database.open("r+b") as file:
        file.seek(100)
        file.write(b"broken" * 200)
    damaged = database.read_bytes()
    assert alone.run("store", "check") == ExitStatus.FAILED
    assert "damaged" in alone.out + alone.err
    assert database.read_bytes() == damaged


VAULT = """
apiVersion: ostler/v1
kind: ServiceClass
metadata: {name: vault}
spec:
  args: {password: {type: string, secret: true, required: true}}
  serviceConfig:
    lifecycleTools:
      start: {tool: process/start, args: {key: "{{ name }}", command: "sleep 100", env: {PASSWORD: "{{ password }}"}}}
      stop: {tool: process/stop, args: {key: "{{ name }}"}}
"""


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_what_follows_goes_on_with_the_next_server(alone: CommandLine, how: str) -> None:
    echo = "command={python} -u -c \"import sys; [print('said', line) for line in sys.stdin]\""
    assert alone.run("create", "command", "parrot", "--arg", echo) == ExitStatus.OK, alone.err
    program = [sys.executable, "-m", "ostler.faces.entry", *alone.folders]
    with (
        followed([*program, "events", "--follow"]) as events,
        followed([*program, "logs", "parrot", "--follow"]) as logs,
        followed([*program, "ps", "--watch"]) as table,
    ):
        assert alone.run("input", "parrot", "one") == ExitStatus.OK, alone.err
        for lines, text in ((events, "took 3 characters"), (logs, "said one"), (table, "parrot")):
            lines.show(text)
        (server,) = servers_of(alone.place)
        if how == "killed":
            psutil.Process(server).kill()
        else:
            assert alone.run("stop-server") == ExitStatus.OK
        for lines in (events, logs, table):
            lines.show("this goes on with the next one")
        assert servers_of(alone.place) == [], "no one asked for it"
        assert alone.run("input", "parrot", "other") == ExitStatus.OK, alone.err
        for lines, text in ((events, "took 5 characters"), (logs, "said other"), (table, "parrot")):
            lines.show(text)
        assert logs.shown.count("said one") == 1, "no line comes twice"


class Followed:
    """What a command prints while it runs."""

    def __init__(self, lines: IO[str]) -> None:
        self.shown = ""
        self._read = 0
        threading.Thread(target=self._follow, args=(lines,), daemon=True).start()

    def _follow(self, lines: IO[str]) -> None:
        for line in lines:
            self.shown += line

    def show(self, text: str) -> None:
        """Wait for `text`, after what was waited for before."""
        eventually(lambda: text in self.shown[self._read :], f"{text!r} is shown")
        self._read = self.shown.index(text, self._read) + len(text)


@contextmanager
def followed(command: list[str]) -> Generator[Followed]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        try:
            yield Followed(process.stdout)
        finally:
            process.kill()
