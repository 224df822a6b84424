"""A project in two worktrees, from the command line, with real programs: up, changed, down, left over."""

import json
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from processes.bridge_client import clean_place, eventually
from processes.command_line import CommandLine

from ostler.faces.bridge.dialer import Dialer
from ostler.faces.bridge.holder import read_holder
from ostler.faces.cli import project_verbs
from ostler.faces.cli.app import run_command
from ostler.faces.cli.rpc import LateAnswerError, ServerClient, ToolAnswer
from ostler.faces.cli.session import ExitStatus
from ostler.faces.endings import INTERRUPTED
from ostler.faces.entry import begin_early

pytestmark = pytest.mark.realtime

NODE_MODULES = Path(__file__).parents[2] / ".npm-tools" / "node_modules"
FILE = """\
kind: Project
services:
  files: {class: static-web-server, shared: true, args: {directory: .}}
  api:
    class: command
    args: {command: sleep, arguments: ["300"]}
    env: {FILES: "{{ services.files.outputs.url }}", GREETING: hello}
    envFile: api.env
  web: {class: command, args: {command: sleep, arguments: ["300"]}, dependsOn: {api: started}}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    root = tmp_path / "shop"
    root.mkdir()
    (root / "ostler.yaml").write_text(FILE)
    (root / "api.env").write_text("GREETING=from file\nEXTRA='a b'\n")
    (root / ".gitignore").write_text("*.env\n")
    identity = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "first"], ["worktree", "add", "-q", "../fix"]):
        subprocess.run(["git", *identity, *words], cwd=root, check=True, capture_output=True)
    return root


@pytest.fixture
def ostler(state_dir: Path, capsys: pytest.CaptureFixture[str]) -> Generator[CommandLine]:
    with clean_place(state_dir) as place:
        command = CommandLine(place, capsys)
        yield command
        for row in command.json("ps", "--json")["services"]:
            if row["name"] != "process":
                command.run("delete", row["name"])


def up(ostler: CommandLine, *words: str) -> dict[str, str]:
    facts = ostler.json("up", *words, "--json")
    return {service["name"]: service["change"] for service in facts["services"]}


def pid_of(ostler: CommandLine, name: str) -> int:
    """Return the process of a service; 0 while it has none."""
    facts: dict[str, Any] = ostler.json("status", name, "--json")
    return int(facts.get("outputs", {}).get("pid", 0))


def test_what_worktrees_of_a_bare_repository_share_is_left_over_with_the_last_of_them(
    ostler: CommandLine, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare, worktree = shop.parent / "store.git", shop.parent / "one"
    (shop / "ostler.yaml").write_text(FILE.partition("  web:")[0].replace("    envFile: api.env\n", ""))
    for words in (["add", "-A"], ["-c", "user.name=Ann", "-c", "user.email=ann@example.com", "commit", "-qm", "small"]):
        subprocess.run(["git", *words], cwd=shop, check=True, capture_output=True)
    subprocess.run(["git", "clone", "-q", "--bare", str(shop), str(bare)], check=True, capture_output=True)
    subprocess.run(["git", "worktree", "add", "-q", str(worktree)], cwd=bare, check=True, capture_output=True)
    monkeypatch.chdir(worktree)
    assert up(ostler) == {"files.store": "created", "api.one.store": "created"}
    monkeypatch.chdir(shop.parent)
    shutil.rmtree(worktree)
    assert ostler.run("prune", "--dry-run") == ExitStatus.OK
    assert f"project one.store: its folder {worktree} is gone; services: api.one.store" in ostler.out
    assert (
        f"project store: its folder {bare} has no worktree with an ostler.yaml any more; services: files" in ostler.out
    )
    assert ostler.run("prune") == ExitStatus.OK, ostler.err
    assert ostler.out.splitlines()[:4] == [
        f"project one.store, whose folder {worktree} is gone, is down",
        "removed: api.one.store",
        f"project store, whose folder {bare} has no worktree with an ostler.yaml any more, is down",
        "removed: files.store",
    ], "what went with its own project is reported there"


def test_two_worktrees_side_by_side_share_what_is_shared_and_leave_nothing(
    ostler: CommandLine, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worktree = shop.parent / "fix"
    monkeypatch.chdir(shop)
    assert up(ostler) == dict.fromkeys(("files.shop", "api.shop", "web.shop"), "created")
    pids = {name: pid_of(ostler, name) for name in ("files", "api", "web")}  # short names mean those of this folder
    environment = psutil.Process(pids["api"]).environ()
    assert psutil.Process(pids["api"]).cwd() == str(shop)
    assert environment["GREETING"] == "hello"
    assert environment["EXTRA"] == "a b"
    assert environment["FILES"] == ostler.json("status", "files", "--json")["outputs"]["url"]

    assert up(ostler) == dict.fromkeys(("files.shop", "api.shop", "web.shop"), "unchanged")
    assert {name: pid_of(ostler, name) for name in pids} == pids

    changes = {"envFile": "api.env", "env": {"EXTRA": "c"}, "dependsOn": "files"}
    (shop / "sub").mkdir()
    by_hand = ["create", "command", "hand", "--arg", "command=sleep 300", "--overrides", json.dumps(changes)]
    by_hand += ["--arg", "directory=sub"]
    assert ostler.run(*by_hand, "--lease", "1h", "--lease-renewal", "client") == ExitStatus.OK, ostler.err
    assert ostler.run("get", "hand") == ExitStatus.OK
    assert json.loads(ostler.out)["labels"]["ostler/lease-renewal"] == "client"
    process = psutil.Process(pid_of(ostler, "hand"))
    environment = process.environ()
    assert process.cwd() == str(shop / "sub")
    assert (environment["GREETING"], environment["EXTRA"]) == ("from file", "c")
    assert ostler.run("delete", "hand") == ExitStatus.OK, ostler.err

    monkeypatch.chdir(worktree)
    assert up(ostler) == {"files.shop": "unchanged", "api.fix.shop": "created", "web.fix.shop": "created"}
    assert pid_of(ostler, "web") != pids["web"]
    assert pid_of(ostler, "files") == pids["files"]
    assert psutil.Process(pid_of(ostler, "api")).environ()["EXTRA"] == "a b", (
        "the main checkout's file, as git has none"
    )
    assert ostler.run(*by_hand[:-2], "--arg", "directory=.") == ExitStatus.OK, ostler.err
    assert psutil.Process(pid_of(ostler, "hand")).environ()["GREETING"] == "from file"
    assert ostler.run("delete", "hand") == ExitStatus.OK, ostler.err
    names = [row["name"] for row in ostler.json("ps", "--json")["services"]]
    assert names == ["api.fix.shop", "files.shop", "process", "web.fix.shop"], "of the main checkout what is used"

    changed = FILE.replace("GREETING: hello", "GREETING: good-bye").replace("  web:", "  page:")
    (worktree / "ostler.yaml").write_text(changed)
    planned = ostler.json("diff", "--json")["changes"]
    assert {change["name"]: change["change"] for change in planned} == {
        "files.shop": "keep", "api.fix.shop": "replace", "page.fix.shop": "create", "web.fix.shop": "remove",
    }  # fmt: skip
    assert up(ostler) == {
        "files.shop": "unchanged", "api.fix.shop": "replaced", "page.fix.shop": "created", "web.fix.shop": "removed",
    }  # fmt: skip
    assert pid_of(ostler, "api.shop") == pids["api"], "the other worktree is not touched"

    assert ostler.run("logs", "--search", "no such line") == ExitStatus.OK
    assert (ostler.out, ostler.err) == ("", "ostler: no such line\n")
    (worktree / "ostler.yaml").write_text(changed.replace("outputs.url", "outputs.link"))
    impossible = [change for change in ostler.json("diff", "--json")["changes"] if change["change"] == "impossible"]
    assert [change["name"] for change in impossible] == ["api.fix.shop"]
    assert "'services.files.outputs.link' is undefined" in impossible[0]["reason"]
    assert ostler.run("diff") == ExitStatus.OK
    refused = ", once api.fix.shop can be brought up (until then, up is refused)"
    assert f"services would change{refused}\n" in ostler.out, "what up answers is foreseen"
    assert ostler.run("up") == ExitStatus.FAILED
    (worktree / "ostler.yaml").write_text(changed.replace("class: command", "class: comand"))
    assert ostler.run("project", "status") == ExitStatus.OK, "what runs is shown all the same"
    assert "api.fix.shop [command] running" in ostler.out
    assert "an up would change, once api.fix.shop, page.fix.shop can be brought up (" in ostler.out
    assert "api.fix.shop: cannot be brought up (ServiceClass 'comand' not found" in ostler.out
    two = "".join(f"  {name}: {{class: comand, envFile: no.env, args: {{port: 80}}}}\n" for name in ("one", "two"))
    for more in ("", "extra: 1\n"):
        (worktree / "ostler.yaml").write_text(f"{changed}{two}{more}")
        assert ostler.run("up") == ExitStatus.FAILED
        assert "port 80 is asked for by 'one' and 'two'; leave the port out" in ostler.err.replace(" [bad-value]", "")
        assert ostler.err.count("no.env: there is no such file [unreadable]") == len(("one", "two"))
        assert ostler.err.count("there is no ServiceClass 'comand'") == len(("one", "two")), "all at once"
        assert ("nothing was started, stopped or changed" in ostler.err) is not more
        assert ("extra" in ostler.err) is (ostler.run("diff", "files") != ExitStatus.OK) is bool(more)
    (worktree / "ostler.yaml").write_text("services: [")
    assert ostler.run("up") == ExitStatus.FAILED
    assert "[yaml-syntax]" in ostler.err
    assert pid_of(ostler, "api"), "a broken file changes nothing"

    monkeypatch.chdir(shop)
    assert "api.fix.shop" not in [row["name"] for row in ostler.json("ps", "--json")["services"]]
    assert ostler.run("ps") == ExitStatus.OK
    assert ostler.err.endswith("more in other projects: ostler ps --all\n")
    assert "api.fix.shop" in [row["name"] for row in ostler.json("ps", "--all", "--json")["services"]]
    assert ostler.run("down") == ExitStatus.FAILED
    assert "files.shop' is kept: api.fix.shop uses it" in ostler.err
    shutil.rmtree(worktree)
    assert ostler.run("project", "status") == ExitStatus.OK
    assert "left over: project fix.shop" in ostler.out
    assert ostler.run("ps", "--all") == ExitStatus.OK
    assert f"left over: project fix.shop, whose folder {worktree} is gone. Next: ostler prune" in ostler.err
    servers = {"mcpServers": {"docker": {"command": "docker-mcp", "disabled": True}}}
    config = Path(ostler.place.config_dir)
    config.mkdir()
    (config / "mcp.json").write_text(json.dumps(servers))
    eventually(lambda: "docker" in str(ostler.json("servers", "--json")), "the server is known")
    unseen = "what the classes docker-postgresql and docker-redis may have left was not looked for: server 'docker'"
    ostler.run("doctor")
    assert f"services of fix.shop run on, and its folder {worktree} is gone → ostler prune" in ostler.out
    assert re.findall(rf"note +leftovers +{unseen}.* disabled in mcp.json → remove 'disabled'", ostler.out)
    assert ostler.run("prune", "--dry-run") == ExitStatus.OK
    assert f"project fix.shop: its folder {worktree} is gone; services: api.fix.shop" in ostler.out
    assert unseen in ostler.err
    assert ostler.run("prune") == ExitStatus.OK, ostler.err
    assert unseen in ostler.out
    assert ostler.run("prune") == ExitStatus.OK, ostler.err
    assert ostler.out.startswith("nothing is left over that was looked for")
    assert ostler.run("project", "status") == ExitStatus.OK
    assert unseen in ostler.out
    assert ostler.run("down") == ExitStatus.OK, ostler.err
    assert [row["name"] for row in ostler.json("ps", "--json")["services"]] == ["docker", "process"]
    assert not any(psutil.pid_exists(pid) for pid in pids.values())


@pytest.mark.parametrize("program", ["python", pytest.param("vite", marks=pytest.mark.npm)])
def test_servers_whose_files_fix_their_ports_come_up_in_two_worktrees_from_what_init_writes(
    ostler: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        for name in ("one", "two"):
            folder = tmp_path / name
            folder.mkdir()
            (folder / "index.html").write_text(f"<p>{name}</p>")
            if program == "vite":
                scripts = {"dev": f"vite --host 127.0.0.1 --port {port} --strictPort"}
                (folder / "package.json").write_text(json.dumps({"scripts": scripts}))
                (folder / "node_modules").symlink_to(NODE_MODULES)
            else:
                (folder / "Procfile").write_text(f"web: {sys.executable} -m http.server {port}\n")
            monkeypatch.chdir(folder)
            assert ostler.run("project", "init") == ExitStatus.OK, ostler.err
            assert f"# it had port {port}" in (folder / "ostler.yaml").read_text()
            assert up(ostler)[f"web.{name}"] == "created"
            url = ostler.json("status", "web", "--json")["outputs"]["url"]
            assert f"<p>{name}</p>" in urllib.request.urlopen(url, timeout=5).read().decode()


def test_up_is_under_way_before_the_command_line_is_loaded(
    ostler: CommandLine, shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(shop)
    assert ostler.run("ps") == ExitStatus.OK, "the server is there"
    words = [*ostler.folders, "up", "files", "--json"]
    assert begin_early([*words, "--project", "."]) is None, "what is not plain is left to the command line"
    early = begin_early(words)
    assert early is not None
    assert run_command(words, early) == ExitStatus.OK
    [service] = json.loads(capsys.readouterr().out)["services"]
    assert (service["name"], service["change"]) == ("files.shop", "created"), "by the first call, and the only one"
    for name, status, said in (("files", ExitStatus.OK, "unchanged: files.shop"), ("nope", ExitStatus.NOT_FOUND, "")):
        process = [sys.executable, "-m", "ostler.faces.entry", *ostler.folders, "up", name]
        done = subprocess.run(process, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr
        assert said in done.stdout


OWN_CLASS = """\
apiVersion: ostler/v1
kind: ServiceClass
metadata: {{name: {name}}}
spec:
  args: {args}
  serviceConfig:
    lifecycleTools:
      start: {{tool: process/start, args: {{key: "{{{{ name }}}}", command: sh, args: {words}, startSeconds: 20s}}}}
      stop: {{tool: process/stop, args: {{key: "{{{{ name }}}}"}}}}
"""


def test_where_the_command_of_a_class_is_fixed_is_named(ostler: CommandLine) -> None:
    classes = Path(ostler.place.config_dir, "serviceclasses")
    classes.mkdir(parents=True, exist_ok=True)
    args = "{script: {type: string, default: exit 3}, unused: {type: string, default: x}}"
    (classes / "made.yaml").write_text(OWN_CLASS.format(name="made", args=args, words='[-c, "{{ script }}"]'))
    (classes / "fixed.yaml").write_text(OWN_CLASS.format(name="fixed", args="{}", words="[-c, exit 3]"))
    for name, advice in (
        ("made", "fix what its command is made of (script)"),
        ("fixed", "fix the command in its class 'fixed'"),
    ):
        assert ostler.run("create", name, "one") == ExitStatus.FAILED
        assert "exited with code 3 " in ostler.err
        assert f"Next: {advice}" in ostler.err


def test_the_first_failure_is_told_with_its_cause_and_what_needed_it_is_skipped(
    ostler: CommandLine, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop)
    broken = FILE.replace('command: sleep, arguments: ["300"]}\n    env', "command: no-such-program}\n    env")
    (shop / "ostler.yaml").write_text(broken)
    assert ostler.run("up", "--json") == ExitStatus.FAILED
    facts = json.loads(ostler.out)
    assert {service["name"]: service["change"] for service in facts["services"]} == {
        "files.shop": "created", "api.shop": "failed", "web.shop": "skipped",
    }  # fmt: skip
    assert "no-such-program" in facts["error"]["message"]
    assert "Next:" not in facts["error"]["message"]
    assert facts["error"]["nextActions"][0] == "install it, give its whole path, or set PATH in env"
    worse = "  dep: {class: dev-server, args: {command: python3 -c 'import sys; import no_such'}}\n"
    assert ostler.run("up") == ExitStatus.FAILED
    assert "'api' cannot start: command not found: 'no-such-program'" in ostler.err, (
        "what it needs is up, so it is known before"
    )
    (shop / "ostler.yaml").write_text(FILE + worse)
    assert ostler.run("up") == ExitStatus.FAILED
    assert "before it was ready: ModuleNotFoundError: No module named 'no_such'" in ostler.err
    assert "Next: install what it needs (npm install, pip install …), or fix the command; ostler logs dep" in ostler.err
    for words in (["project", "status"], ["diff"]):
        assert ostler.run(*words) == ExitStatus.OK
        missing = r"^dep\.shop: create \(its start failed on create \d+s ago: .* shows why\)$"
        assert re.search(missing, ostler.out, re.MULTILINE), ostler.out
    (shop / "ostler.yaml").write_text(broken)
    reading, writing = os.pipe()
    os.close(reading)
    words = [sys.executable, "-m", "ostler.faces.entry", *ostler.folders, "up", "--json"]
    done = subprocess.run(words, stdout=writing, check=False)
    os.close(writing)
    assert done.returncode == ExitStatus.FAILED, "a reader that has left makes no success of it"
    (shop / "ostler.yaml").write_text(FILE)
    ostler.run("delete", "api", "web")
    assert up(ostler) == {"files.shop": "unchanged", "api.shop": "created", "web.shop": "created"}
    assert up(ostler, "files") == {"files.shop": "unchanged"}
    assert ostler.run("up", "nobody") == ExitStatus.NOT_FOUND
    assert "'nobody' not found" in ostler.err
    assert ostler.run("down", "web") == ExitStatus.OK, ostler.err
    assert up(ostler) == {"files.shop": "unchanged", "api.shop": "unchanged", "web.shop": "created"}
    answers = [
        ToolAnswer({"services": [], "unfinished": names}, f"{len(names)} not done", True) for names in (["web"], [])
    ]

    def answered(*_words: object, **_more: object) -> ToolAnswer:
        return answers.pop(0)

    with monkeypatch.context() as patch:
        patch.setattr(ServerClient, "call_tool", answered)
        assert ostler.run("up") == ExitStatus.FAILED
    before = ostler.err
    answers = [ToolAnswer({"services": [], "unfinished": [], "notHealthyYet": ["web"]}, "1 not healthy yet", False)]
    with monkeypatch.context() as patch:
        patch.setattr(ServerClient, "call_tool", answered)
        assert ostler.run("up") == ExitStatus.FAILED, "as docker compose up --wait"
    assert ostler.err == "ostler: 1 not healthy yet\n"
    pending = ToolAnswer({"services": [], "unfinished": [], "notHealthyYet": ["web"]}, "1 not healthy yet", False)
    waits = [ToolAnswer({"late": is_late}, "", False) for is_late in (True, False)]
    answers = [pending, *waits, ToolAnswer({"services": [], "unfinished": []}, "all is up", False)]
    with monkeypatch.context() as patch:
        patch.setattr(ServerClient, "call_tool", answered)
        assert ostler.run("up", "--timeout", "1h") == ExitStatus.OK, "the checks are waited for as long as was asked"
    assert (ostler.out, answers) == ("all is up\n", [])
    assert "0 not done" in before, "what goes on is waited for although another service has failed"

    def late(*_words: object, progress: Callable[[str], None], **_more: object) -> ToolAnswer:
        progress("waiting for the end of job")
        progress("db waits until job.shop, which is at work, has ended; service_stop job.shop ends it now")
        progress("web is up")
        patch.setattr(project_verbs, "time", SimpleNamespace(monotonic=lambda: math.inf))
        raise LateAnswerError("late")

    with monkeypatch.context() as patch:
        patch.setattr(ServerClient, "call_tool", late)
        assert ostler.run("up", "--timeout", "1m") == ExitStatus.FAILED
    assert "goes on: db waits until job.shop, which is at work, has ended; ostler stop job.shop ends it" in ostler.err
    parts = [
        ({"services": [{"name": "a", "change": "removed"}], "ended": [{"pid": 7}], "unfinished": ["b"]}, "a"),
        ({"services": [{"name": "b", "change": "removed"}], "unfinished": []}, "b"),
    ]
    for form in ([], ["--json"]):
        answers = [ToolAnswer(facts, f"it is down\nremoved: {name}\nnot done yet: b", False) for facts, name in parts]
        with monkeypatch.context() as patch:
            patch.setattr(ServerClient, "call_tool", answered)
            assert ostler.run("prune", *form) == ExitStatus.OK
        if form:
            shown = json.loads(ostler.out)
            assert ([each["name"] for each in shown["services"]], shown["ended"]) == (["a", "b"], [{"pid": 7}])
        else:
            assert ostler.out.splitlines()[:3] == ["removed: a", "it is down", "removed: b"], "what each call has done"


@pytest.mark.skipif(os.geteuid() != 0, reason="no program refuses another user")
def test_a_program_that_refuses_root_is_known_to_fail_before_anything_is_started(
    ostler: CommandLine, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop)
    (shop / "ostler.yaml").write_text(FILE + "  db: {class: postgresql}\n")
    assert ostler.run("up") == ExitStatus.FAILED
    assert "'db' cannot start: the program refuses to run as root, as it would here" in ostler.err
    assert ostler.err.count("give the arg runAs a user of this machine other than root, such as postgres") == 1
    assert "nothing was started, stopped or changed" in ostler.err
    assert [row["name"] for row in ostler.json("ps", "--json")["services"]] == ["process"]


def test_a_changed_file_restarts_the_service_that_watches_it(
    ostler: CommandLine, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop)
    (shop / "ostler.yaml").write_text(
        "services:\n"
        "  app: {class: command, args: {command: sleep 300}, watch: 'src/**/*.py'}\n"
        "  other: {class: command, args: {command: sleep 300, port: '{{ env.OTHER_PORT | default(none) }}'}}\n"
        "  job: {class: job, args: {command: echo done}, watch: jobs/*}\n"
        "  after: {class: job, args: {command: echo done}, dependsOn: {job: completed}}\n"
    )
    (shop / "jobs").mkdir()
    (shop / "src" / "deep").mkdir(parents=True)
    made = ostler.json("up", "--json")["services"]
    (shop / "src" / "deep" / "notes.txt").write_text("not python")
    (shop / "src" / "deep" / "main.py").write_text("x = 1")
    before = {service["name"]: service["outputs"].get("pid") for service in made}
    eventually(lambda: pid_of(ostler, "app") not in (0, before["app.shop"]), "the service is restarted")
    assert pid_of(ostler, "other") == before["other.shop"]
    assert "src/deep/main.py changed" in str(ostler.json("events", "app", "--json"))
    (shop / "jobs" / "1.sql").write_text("")
    eventually(lambda: "jobs/1.sql changed" in str(ostler.json("events", "job", "--json")), "the job is run again")
    eventually(lambda: set(up(ostler).values()) == {"unchanged"}, "an up does not run it once more")
    (shop / "jobs" / "1.sql").touch()
    assert set(up(ostler).values()) == {"unchanged"}, "what it holds counts"


def test_a_job_that_is_named_is_waited_for_and_its_end_decides(
    ostler: CommandLine, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop)
    (shop / "ostler.yaml").write_text(
        "services:\n"
        "  good: {class: job, args: {command: 'while [ ! -e go ]; do sleep 0.05; done; echo done', shell: true}}\n"
        "  bad: {class: job, args: {command: 'sleep 1; echo no such table; exit 3', shell: true}}\n"
        "  quick: {class: job, args: {command: echo done}}\n"
    )
    assert ostler.run("ps") == ExitStatus.OK  # to start the server takes longer
    assert ostler.run("up", "good", "--timeout", "300ms") == ExitStatus.FAILED
    said = r"takes longer than 300ms, and goes on(: good\.shop .*)?\. Next: ostler up good again to keep waiting\n"
    assert re.fullmatch(f"ostler: bringing the project up {said}", ostler.err)
    slow = "  slow: {class: command, args: {command: sleep 300, readyLog: never said}}\n"
    file = (shop / "ostler.yaml").read_text()
    (shop / "ostler.yaml").write_text(file + slow)
    assert ostler.run("up", "slow", "--timeout", "3s") == ExitStatus.FAILED
    assert re.search(r"goes on: slow\.shop is (starting|not made yet)\. Next: ostler up slow again", ostler.err)
    assert ostler.run("wait", "slow", "--timeout", "100ms") == ExitStatus.FAILED
    said = r"slow\.shop is still \w+ after 100ms. Next: ostler wait slow again to keep waiting\n"
    assert re.search(said, ostler.err)
    assert ostler.run("delete", "slow") == ExitStatus.OK, ostler.err
    (shop / "ostler.yaml").write_text(file)
    for wrong in ("soon", "0s"):
        assert ostler.run("up", "--timeout", wrong) == ExitStatus.USAGE

    def interrupted(*_words: object, **_more: object) -> ToolAnswer:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ServerClient, "call_tool", interrupted)
        assert ostler.run("up", "good") == INTERRUPTED
        assert ostler.err.endswith("goes on without this command. Next: ostler ps shows how far it is\n")
        assert ostler.run("wait", "good") == INTERRUPTED
        assert not ostler.err, "no wait goes on"
    (shop / "go").touch()
    assert ostler.run("up", "good") == ExitStatus.OK, ostler.err
    assert "good.shop [job] stopped (completed)" in ostler.out
    assert ostler.run("up", "quick") == ExitStatus.OK
    assert re.search(r"quick\.shop \[job\] stopped \(completed\)\nlast lines of quick\.shop:\ndone\n", ostler.out)
    assert ostler.run("wait", "good", "--timeout", "10m") == ExitStatus.OK, "it has completed"
    assert ostler.run("up", "good") == ExitStatus.OK
    assert ostler.out.endswith("(it has completed before)\nNext: ostler restart good.shop runs the job again\n")

    assert ostler.run("up", "bad") == ExitStatus.FAILED
    assert "last lines of bad.shop:\nno such table\n\nfirst failure, bad: " in ostler.err
    assert "'bad.shop' ended without success: bad.shop: exited with code 3: no such table" in ostler.err
    assert "expected" not in ostler.err, "the reason says it"
    assert ostler.run("wait", "bad", "--state", "completed") == ExitStatus.FAILED
    assert "failed and nothing is under way that would change that. Next: ostler explain bad.shop says" in ostler.err
    by_hand = ["create", "job", "hand", "--arg", "command=sh -c 'sleep 1; echo no such table; exit 3'"]
    for again in (by_hand, ["restart", "hand"]):
        assert ostler.run(*again) == ExitStatus.FAILED
        assert "exited with code 3: no such table" in ostler.err
        assert ostler.err.endswith("last lines of hand.shop:\nno such table\n")
    assert ostler.run("create", "job", "well", "--arg", "command=echo fine") == ExitStatus.OK
    assert ostler.out.endswith("it has completed (job, stopped, health unknown)\nlast lines of well.shop:\nfine\n")

    firm = "{command: trap '' TERM; while true; do sleep 0.1; done, shell: true, stopTimeout: 4s}"
    soft = "soft: {class: command, args: {command: sleep 300}}"
    (shop / "ostler.yaml").write_text(f"services:\n  {soft}\n  firm: {{class: command, args: {firm}}}\n")
    assert ostler.run("up", "firm", "soft") == ExitStatus.OK, ostler.err
    assert ostler.run("down", "--timeout", "2s") == ExitStatus.FAILED
    assert "and goes on: firm.shop is stopping" in ostler.err
    assert "not made yet" not in ostler.err, "what is gone is done"


def test_a_folder_that_was_removed_under_the_command_is_named_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for words in (["project", "init"], ["up", "-C", "."]):
        assert run_command(words) == ExitStatus.FAILED
        said = "the folder that you are in does not exist any more. Next: change to another one, or name it\n"
        assert capsys.readouterr().err == f"ostler: {said}"


def test_a_folder_without_a_project_says_what_to_do(
    ostler: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Procfile").write_text("web: serve\n")
    assert ostler.run("up") == ExitStatus.NOT_FOUND
    assert "Next: ostler project init writes an ostler.yaml" in ostler.err
    assert len(ostler.err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["Procfile"]


def test_a_folder_whose_tasks_are_only_named_says_so_and_its_empty_project_asks_for_services(
    ostler: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "justfile").write_text("serve:\n  go run .\n")
    assert ostler.run("call", "ostler/project_up") != ExitStatus.OK
    assert "just serve" in ostler.out + ostler.err, "agents get the draft with what it names"
    assert ostler.run("project", "init") == ExitStatus.OK
    assert "nothing could be converted; the comments at the end of the file say what was found" in ostler.out
    modes = {(tmp_path / name).stat().st_mode for name in ("ostler.yaml", "justfile")}
    assert len(modes) == 1, "whoever may read the project may read the file"
    assert ostler.run("up") == ExitStatus.OK
    assert "is up, but its ostler.yaml lists no services. Next: list them there, then ostler up again" in ostler.out


def test_what_has_the_name_of_the_projects_file_and_is_none_is_named(
    ostler: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "ostler.yaml"
    for make, kind in ((file.mkdir, "a folder"), (lambda: os.mkfifo(file), "a named pipe (FIFO)")):
        make()
        for words in (["up"], ["diff"], ["project", "status"], ["check", "--offline"]):
            assert ostler.run(*words) == ExitStatus.FAILED
            assert f"it is {kind}, not a regular file" in ostler.out + ostler.err
        file.rmdir() if file.is_dir() else file.unlink()
    file.symlink_to(file.name)
    assert ostler.run("up") == ExitStatus.FAILED
    assert f"{file}: Too many levels of symbolic links" in ostler.err


def test_a_name_that_is_too_long_with_its_project_is_found_by_check_and_before_up_starts_anything(
    ostler: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long, project = "a" * 63, "b" * 60
    monkeypatch.chdir(tmp_path)
    service = "{class: command, args: {command: sleep 300}}"
    Path("ostler.yaml").write_text(f"name: {project}\nservices:\n  web: {service}\n  {long}: {service}\n")
    said = f"with its project, '{long}' is named '{long}.{project}': 124 characters of 120"
    assert ostler.run("check", "--offline") == ExitStatus.FAILED
    assert f"ostler.yaml:4:3: error: {said}" in ostler.out
    assert ostler.run("up") == ExitStatus.FAILED
    assert f"ostler.yaml:4:3: {said}" in ostler.err
    assert ostler.run("status", "web") == ExitStatus.NOT_FOUND, "nothing is started where one can never be"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot pause a process")
@pytest.mark.parametrize("words", [("up",), ("down",), ("wait", "web")])
def test_a_timeout_bounds_the_way_to_the_server_too(
    ostler: CommandLine, shop: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(shop)
    assert ostler.run("ps") == ExitStatus.OK
    holder = read_holder(ostler.place)
    assert holder is not None
    os.kill(holder.pid, signal.SIGSTOP)  # as while a machine is very busy
    try:
        began = time.monotonic()
        assert ostler.run(*words, "--timeout", "1s") == ExitStatus.FAILED
        assert time.monotonic() - began < 5
        assert "--timeout is over, and nothing was asked of the server: no Ostler server answered" in ostler.err
        assert re.search(r"did not answer within (1|0\.[5-9]\d*) s", ostler.err), "in what was left of the second"
    finally:
        os.kill(holder.pid, signal.SIGCONT)


def test_an_up_says_when_a_service_is_first_checked_that_no_check_has_seen(
    ostler: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    later = "healthCheck: {initialDelay: 1h}"
    Path("ostler.yaml").write_text(
        f"name: shop\nservices: {{web: {{class: command, args: {{command: sleep 300}}, {later}}}}}\n"
    )
    assert ostler.run("up") == ExitStatus.FAILED
    assert "project shop: 1 not healthy yet\n" in ostler.err
    assert re.search("not checked yet: web.shop, whose first health check is due in (1h|59m)", ostler.err)
    assert ostler.run("up", "--timeout", "2s") == ExitStatus.FAILED
    assert "not checked yet: web.shop" in ostler.err
    assert ostler.run("down") == ExitStatus.OK


def test_a_short_name_means_the_projects_service_in_addresses_and_where_a_class_is_meant(
    ostler: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ostler.yaml").write_text("name: shop\nservices: {web: {class: command, args: {command: sleep 300}}}\n")
    assert ostler.run("up") == ExitStatus.OK
    with ServerClient(Dialer(ostler.place, kind="cli", note=print)) as client:
        assert client.read_resource("service://web")["name"] == "web.shop"
        assert client.read_resource("service://web/outputs")["pid"] == pid_of(ostler, "web")
    assert ostler.run("plan", "web") == ExitStatus.NOT_FOUND
    assert "ServiceClass 'web' not found: a service has this name" in ostler.err
    assert "Next: say what to plan of it: ostler plan web.shop --action restart, or another action" in ostler.err
    assert ostler.run("create", "web") == ExitStatus.NOT_FOUND
    assert "a service has this name. Next: ostler start web.shop starts it\n" in ostler.err
    assert ostler.run("plan", "web", "-a", "k=v") == ExitStatus.NOT_FOUND
    assert "a service has this name. Next: say what to plan of it" in ostler.err
    assert ostler.run("create", "web", "-a", "k=v") == ExitStatus.NOT_FOUND
    assert "a service has this name. Next: ostler start web.shop starts it\n" in ostler.err
    assert ostler.run("class", "show", "web") == ExitStatus.NOT_FOUND
    assert "a service has this name. Next: ostler get web.shop shows it, and of which class it is\n" in ostler.err
    assert ostler.run("down") == ExitStatus.OK


def test_a_short_name_means_what_this_project_had_and_never_what_another_one_has_or_had(
    ostler: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "services: {{web: {{class: command, args: {{command: 'echo from {0}; exit 3', shell: true}}}}}}\n"
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "ostler.yaml").write_text(text.format(name))
        if name != "three":
            assert ostler.run("up", "-C", str(tmp_path / name)) == ExitStatus.FAILED
    monkeypatch.chdir(tmp_path / "one")
    assert ostler.run("logs", "web") == ExitStatus.OK
    assert ostler.out == "from one\n"
    assert ostler.run("status", "web") == ExitStatus.NOT_FOUND
    assert "service 'web.one' not found: it is declared in ostler.yaml, and not up; it was deleted " in ostler.err
    assert "Next: ostler up web brings it up; ostler explain web.one shows what happened to it" in ostler.err
    monkeypatch.chdir(tmp_path / "three")
    assert ostler.run("logs", "web") == ExitStatus.NOT_FOUND
    declared = "service 'web.three' not found: it is declared in ostler.yaml, and not up"
    assert f"{declared}. Next: ostler up web brings it up\n" in ostler.err
    for verb in ("status", "explain", "start", "wait"):
        assert ostler.run(verb, "web") != ExitStatus.OK
        assert declared in ostler.err
    assert ostler.run("status", "proces") == ExitStatus.NOT_FOUND
    assert "did you mean 'process'?" in ostler.err


def test_an_up_that_finds_something_unhealthy_fails_and_says_what_to_do_about_it_and_a_down_does_not(
    ostler: CommandLine, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop.parent / "fix")
    well = shop / "well"
    well.touch()
    args = "{command: sleep 300, healthCommand: [cat, well]}"
    well.unlink()
    Path("ostler.yaml").write_text(
        f"services: {{web: {{class: command, args: {args}, healthCheck: {{interval: 1s, failureThreshold: 2}}}}}}\n"
    )
    assert ostler.run("up") == ExitStatus.FAILED, "its checks are waited for"
    assert ostler.err.startswith("ostler: project fix.shop: 1 unhealthy\n")
    assert ostler.run("down") == ExitStatus.OK
    well.touch()
    checks = "{interval: 1s, failureThreshold: 1}"
    Path("ostler.yaml").write_text(
        f"services:\n  web: {{class: command, shared: true, args: {args}, healthCheck: {checks}}}\n"
        "  page: {class: command, args: {command: sleep 300}, dependsOn: {web: started}}\n"
    )
    assert ostler.run("up") == ExitStatus.OK
    well.unlink()
    assert ostler.run("wait", "web", "--health", "unhealthy") == ExitStatus.OK
    assert ostler.run("wait", "web") == ExitStatus.FAILED, "and does not wait for what may never come"
    steps = "Next: ostler explain web.shop says why; ostler wait web.shop --health healthy waits until it is well\n"
    assert ostler.err == f"ostler: service web.shop is running, and unhealthy. {steps}"
    assert ostler.run("wait", "page") == ExitStatus.OK
    for option, known in (("--health", "healthy"), ("--state", "running")):
        assert ostler.run("wait", "web", option, "sick") == ExitStatus.USAGE
        assert re.search(rf"{option}: 'sick' is not one of .*\b{known}\b", ostler.err)
    assert ostler.run("status", "web") == ExitStatus.OK
    assert "Next: ostler restart web.shop to restart it" in ostler.out
    assert ostler.run("up") == ExitStatus.FAILED
    assert ostler.err.startswith("ostler: project fix.shop: 1 unhealthy\n")
    assert "unchanged: web.shop [command] running, unhealthy" in ostler.err
    step = "Next: ostler restart web.shop starts it again; ostler explain web.shop says why it is unhealthy\n"
    assert ostler.err.endswith(step)
    assert ostler.run("up", "--json") == ExitStatus.FAILED
    assert json.loads(ostler.out)["services"][0]["health"] == "unhealthy"
    assert ostler.run("call", "ostler/project_up") == ExitStatus.OK, "the call did its work: no error for an agent"
    assert ostler.run("down") == ExitStatus.OK, "what it leaves to another project is none of its failures"
    assert "web.shop" in ostler.out


def test_a_program_that_had_to_be_killed_is_reported_by_stop_restart_and_down(
    ostler: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deaf").mkdir()
    monkeypatch.chdir(tmp_path / "deaf")
    text = "services: {web: {class: command, args: {command: 'trap \"\" TERM; echo up; sleep 300', shell: true, %s}}}\n"
    Path("ostler.yaml").write_text(text % "readyLog: up, stopTimeout: 100ms")
    assert ostler.run("up") == ExitStatus.OK
    warning = (
        "it did not exit within 100ms of SIGTERM and was killed, so what it had not saved may be lost; a longer "
        "stopTimeout gives it more time"
    )
    assert ostler.run("restart", "web") == ExitStatus.OK
    assert ostler.out.startswith(f"service web.deaf was restarted and is running; {warning} (")
    assert ostler.run("events", "web") == ExitStatus.OK
    assert f" warning web.deaf: stop: {warning}\n" in ostler.out
    assert ostler.run("stop", "web") == ExitStatus.OK
    assert ostler.out.startswith(f"service web.deaf is stopped; {warning} (")
    assert ostler.run("start", "web") == ExitStatus.OK
    assert warning not in ostler.out
    Path("ostler.yaml").write_text(text % "readyLog: up, stopTimeout: 101ms")
    assert ostler.run("up") == ExitStatus.OK
    assert re.search(rf"replaced: web\.deaf .*{re.escape(warning)}\)\n", ostler.out)
    warning = warning.replace("100ms", "101ms")
    assert ostler.run("down") == ExitStatus.OK
    assert f"removed: web.deaf ({warning})\n" in ostler.out
