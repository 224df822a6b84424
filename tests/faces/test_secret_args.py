"""References to secrets in a project's file: looked up for the call, and neither stored nor shown."""

import json
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client
from tests.support.downstream import PROGRAM
from tests.support.ledger_app import call, refusal
from tests.support.world import Answer, World, running

from ostler.adapters.caller_environment import called_with
from ostler.adapters.config.paths import Paths
from ostler.adapters.environments import Environments
from ostler.adapters.secret_calls import SecretCalls
from ostler.faces.assembly import open_application
from ostler.faces.client_facts import client_of
from ostler.faces.hosted_projects import HostedProjects
from ostler.faces.mcp.server import build_server
from ostler.model.downstream_errors import SecretMissingError
from ostler.model.errors import ArgumentError, ManifestError
from ostler.model.manifest import ArgSpec
from ostler.model.responses import ToolResponse
from ostler.rules.calls.arguments import validate_args
from ostler.rules.loading.projects import load_project
from ostler.rules.secrets.secret_marks import SecretMarks, marks_in, with_references

pytestmark = pytest.mark.anyio

FILE = """\
services:
  app:
    class: command
    args: {command: "echo token is $TOKEN; sleep 300", shell: true}
    env: {TOKEN: "${secret:file:%s}"}
"""


async def lines_with(client: Client, text: str, name: str = "app") -> list[str]:
    with anyio.fail_after(60):
        while True:
            lines: list[str] = (await call(client, "service_logs", name=name))["lines"]
            if any(text in line for line in lines):
                return lines
            await anyio.sleep(0.02)


@pytest.mark.realtime
async def test_a_process_has_the_secret_and_nothing_else_does(state_dir: Path, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret-one\n")
    (shop := tmp_path / "shop").mkdir()
    (shop / "ostler.yaml").write_text(FILE % token)
    paths, reference = Paths(tmp_path / "config", state_dir), f"${{secret:file:{token}}}"
    env = {"TOKEN": f"${{secret:file:{token}}}", "KEY": "ghp_" + "aB3" * 12, "PASSWORD": "postgres"}
    entry = {"command": sys.executable, "args": ["-S", str(PROGRAM)], "env": env}
    paths.config_dir.mkdir()
    paths.mcp_json.write_text(json.dumps({"mcpServers": {"s": entry}}))
    with client_of({"directory": str(shop)}):
        async with open_application(paths) as app, Client(build_server(app)) as client:
            await app.downstream.wait_until_connected("process", 60)
            await app.downstream.wait_until_connected("s", 60)
            raw = await call(client, "tool_call", name="s/environment", args={"names": list(env)})
            masked = {"TOKEN": "***", "KEY": "***", "PASSWORD": "postgres"}
            assert raw["result"] == masked, "a word is in many answers"
            await call(client, "project_up")
            assert await lines_with(client, "token") == ["token is ***"]
            log = await app.downstream.call_tool("process/logs", {"key": "app.shop"})
            assert "token is s3cret-one" in log.text, "the process itself has it"
            raw = await call(client, "tool_call", name="process/logs", args={"key": "app.shop"})
            assert raw["result"]["lines"] == ["token is ***"]
            args = {"command": "sh", "arguments": ["-c", 'echo "$@"; sleep 60', "sh", "--token", "tok-31337"]}
            await call(client, "service_create", serviceClassName="command", name="said", args=args)
            assert await lines_with(client, "--token", name="said") == ["--token ***"]
            raw = await call(client, "tool_call", name="process/logs", args={"key": "said.shop"})
            assert raw["result"]["lines"] == ["--token ***"]
            await call(client, "service_delete", name="said")
            shown = [await call(client, tool, name="app") for tool in ("service_get", "service_secrets")]
            assert shown[0]["args"]["environment"] == {"TOKEN": "***"}
            assert shown[1]["args"]["environment"] == {"TOKEN": reference}
            assert (await call(client, "project_up", dryRun=True))["changes"] == [
                {"name": "app.shop", "change": "keep"}
            ]
            (mark,) = marks_in(dict(app.manager.reveal("app.shop")[0]))
            for args in ({"command": f"echo {mark}"}, {"command": "x", "environment": {"A": mark}}):
                text, _ = await refusal(client, "service_create", serviceClassName="command", args=args)
                assert "stands for a secret" in text
            for args in ({"command": f"echo {reference}"}, {"command": "x", "environment": {"A": reference}}):
                text, _ = await refusal(client, "service_create", serviceClassName="command", args=args)
                assert f"{reference} is looked up only where it is written" in text
        async with open_application(paths) as app, Client(build_server(app)) as client:
            await app.downstream.wait_until_connected("process", 60)
            assert await lines_with(client, "token") == ["token is ***"], "also for one that ran before"
            raw = await call(client, "tool_call", name="process/logs", args={"key": "app.shop"})
            assert raw["result"]["lines"] == ["token is ***"]
            token.write_text("s3cret-two\n")
            await call(client, "service_restart", name="app")
            await lines_with(client, "token")
            assert "token is s3cret-two" in (await app.downstream.call_tool("process/logs", {"key": "app.shop"})).text
            token.unlink()
            text, error = await refusal(client, "service_restart", name="app")
            assert error["code"] == "secret_missing"
            assert f"the secret {reference} is missing: the file '{token}' cannot be read" in text
            await call(client, "project_down")
    stored = b"".join(file.read_bytes() for file in state_dir.rglob("*") if file.is_file() and "logs" not in file.parts)
    assert b"s3cret" not in stored.replace(b"token is s3cret", b"")


@pytest.mark.virtual  # the checks cannot be made, so that up waits for them
async def test_what_a_tool_says_is_no_reference(tmp_path: Path) -> None:
    (shop := tmp_path / "shop").mkdir()
    (shop / "ostler.yaml").write_text(
        "services:\n  db: {class: basic}\n"
        "  api: {class: basic, args: {password: '{{ services.db.outputs.url }}'}, dependsOn: db}\n"
    )
    world = World()
    world.always["w/start"] = Answer({"id": f"${{secret:command:touch {tmp_path}/evil}}"})
    world.always["w/status"] = Answer({"state": "running"})

    async def ignore(*_: Any) -> None:
        """Take progress."""

    secrets = SecretCalls(world, SecretMarks(b"k"), Environments({}))
    async with running(world) as manager, anyio.create_task_group() as group:
        projects = HostedProjects(manager, dict, secrets=secrets)
        projects.run_in(group)
        _, report = await projects.up(str(shop), (), timeout=None, progress=ignore)
        assert "is looked up only where it is written" in str(report.failures)
        group.cancel_scope.cancel()
    assert not (tmp_path / "evil").exists()


class Echo:
    """Answers with its arguments, and with more."""

    def __init__(self, **more: Any) -> None:
        self.more = more
        self.seen: Any = None

    async def call_tool(self, tool: str, args: Any, **_: Any) -> ToolResponse:
        self.seen = args
        if tool == "w/fail":
            raise ArgumentError([f"no such user: {args}"])
        value = {**args, **self.more}
        return ToolResponse(value, json.dumps(value), structured=value)


@pytest.mark.realtime
async def test_answers_and_errors_have_marks_where_the_secret_was() -> None:
    environment = {"A": "p@ss word", "B": "xyz"}
    tools, marks = Echo(url="redis://:p%40ss%20word@h", short="xyz", other="wxyz"), SecretMarks(b"key")
    calls = SecretCalls(tools, marks, Environments(environment))
    sent = marks.marked({"a": "${secret:env:A}", "both": ["<${secret:env:B}>", 1], "z": "${secret:env:A}!"})
    answer = await calls.call_tool("w/x", sent)
    assert tools.seen == {"a": "p@ss word", "both": ["<xyz>", 1], "z": "p@ss word!"}
    a, b = sent["a"], sent["both"][0][1:-1]
    assert answer.value == {**sent, "both": ["<xyz>", 1], "url": f"redis://:{a}@h", "short": b, "other": "wxyz"}
    assert "p@ss" not in answer.text
    assert with_references(sent) == {"a": "${secret:env:A}", "both": ["<${secret:env:B}>", 1], "z": "${secret:env:A}!"}
    with pytest.raises(ArgumentError) as failed:
        await calls.call_tool("w/fail", {"user": a})
    assert "p@ss" not in str(failed.value)
    await calls.call_tool("ostler/service_create", {"args": {"a": a}})
    assert tools.seen == {"args": {"a": a}}, "what it makes looks the secret up itself"
    with called_with({"A": "mine"}):
        await calls.call_tool("w/x", {"a": a})
    assert tools.seen == {"a": "mine"}, "the variable is that of the one who asks"
    del environment["A"]
    await calls.call_tool("w/x", {"a": a})
    assert tools.seen == {"a": "mine"}, "no one asks for a restart"
    with pytest.raises(SecretMissingError, match="that this server did not read from a file"):
        await calls.call_tool("w/x", SecretMarks(b"another").marked({"a": "${secret:env:A}"}))


async def test_answers_wait_for_the_secrets_of_what_runs_already() -> None:
    marks = SecretMarks(b"key")
    calls = SecretCalls(Echo(log="the token is p@ss word"), marks, Environments({"A": "p@ss word"}))
    sent = marks.marked({"a": "${secret:env:A}"})
    async with anyio.create_task_group() as group:
        calls.recall_in(group, [sent["a"]])
        answer = await calls.call_tool("w/x", {})
        assert answer.value == {"log": f"the token is {sent['a']}"}
        group.cancel_scope.cancel()


@pytest.mark.parametrize("wrong", ["${secret:vault:x}", "${secret:file:here}", "${secret:keyring:x}", "${secret:env:}"])
@pytest.mark.parametrize("place", ["args: {password: 'a%s'}", "env: {A: '%s'}", "args: {list: [1, '%s']}"])
def test_what_is_not_a_reference_is_found_in_the_file(place: str, wrong: str) -> None:
    with pytest.raises(ManifestError) as caught:
        load_project(f"services:\n  api:\n    class: basic\n    {place % wrong}\n")
    finding = caught.value.findings[0]
    assert (finding.line, finding.rule) == (4, "bad-value")
    assert f"{wrong} does not say where a secret is" in finding.message


def test_rules_about_the_text_of_a_secret_are_not_checked() -> None:
    specs = {"password": ArgSpec(type="string", pattern="^[a-z]{3}$"), "port": ArgSpec(type="integer")}
    args = SecretMarks(b"key").marked({"password": "${secret:env:A}"})
    assert validate_args(specs, args) == args
    with pytest.raises(ArgumentError, match="expected integer"):
        validate_args(specs, {"port": args["password"]})
