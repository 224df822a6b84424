"""VS Code's `${input:…}`: answered by a variable, by what a person typed, or by the default; else clearly not."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from ostler.adapters.config.imports import candidates_in
from ostler.adapters.config.mcp_content import McpJson
from ostler.adapters.config.mcp_json import load_mcp_json
from ostler.adapters.config.paths import Paths
from ostler.adapters.config.server_files import with_entries
from ostler.adapters.signing_in.vault import Vault, answers_in
from ostler.faces.assembly import open_application
from ostler.faces.cli.app import run_command
from ostler.faces.cli.session import ExitStatus

FILE = {
    "inputs": [
        {"type": "promptString", "id": "api-key", "description": "Key of the vault", "password": True},
        {"type": "pickString", "id": "region", "options": ["eu", "us"], "default": "eu"},
    ],
    "servers": {"vault": {"command": "npx", "args": ["vault", "--region=${input:region}"],
                          "env": {"KEY": "${input:api-key}"}}},
}  # fmt: skip


def load(env: dict[str, str], **answers: str) -> McpJson:
    return load_mcp_json(json.dumps(FILE), env, file="mcp.json", answer=answers.get)


def test_a_question_without_an_answer_says_what_to_do() -> None:
    [finding] = load({}).findings
    assert finding.severity == "error"
    assert finding.message == "${input:api-key} is a question to you that has no answer yet: Key of the vault"
    assert finding.fix == "ostler servers answer api-key takes it, or set INPUT_API_KEY"


@pytest.mark.parametrize(
    ("env", "answers", "key", "region"),
    [
        ({"INPUT_API_KEY": "from-a-variable"}, {}, "from-a-variable", "eu"),
        ({}, {"api-key": "typed-in"}, "typed-in", "eu"),
        ({"INPUT_API_KEY": "from-a-variable"}, {"api-key": "typed-in", "region": "us"}, "from-a-variable", "us"),
    ],
)
def test_a_variable_comes_before_an_answer_and_that_before_the_default(
    env: dict[str, str], answers: dict[str, str], key: str, region: str
) -> None:
    loaded = load(env, **answers)
    assert loaded.findings == ()
    entry = loaded.entries["vault"]
    assert (entry.env, entry.args[1]) == ({"KEY": key}, f"--region={region}")
    assert key not in json.dumps(entry.masked())


def test_an_entry_is_taken_over_with_its_question(tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    file.write_text(json.dumps(FILE))
    [candidate] = candidates_in(file, {}, client="vscode", answer={"api-key": "typed-in"}.get)[0]
    assert not candidate.is_refused
    assert candidate.entry["env"] == {"KEY": "${input:api-key}"}
    assert "typed-in" not in json.dumps([candidate.entry, candidate.shown])


@pytest.mark.parametrize(
    ("client", "name", "file"),
    [
        ("vscode", "mcp.json", FILE),
        (
            "gemini",
            "settings.json",
            {
                "mcpServers": {
                    "vault": {
                        "command": "x",
                        "args": ["$TOKEN", "a $UNSET b", "${TOKEN}", "$${TOKEN}", "${UNSET:-$TOKEN}"],
                        "env": {"A": "$TOKEN", "B": "${UNSET}", "C": "${UNSET:-c}"},
                    },
                    "web": {"httpUrl": "https://h.example/mcp", "headers": {"X": "Bearer $TOKEN", "Y": "${UNSET}"}},
                }
            },
        ),
        (
            "claude-code",
            ".mcp.json",
            {"mcpServers": {"web": {"type": "http", "url": "https://h.example", "headersHelper": "./token.sh -v"}}},
        ),
        (
            "mcpb",
            "manifest.json",
            {
                "manifest_version": "0.4",
                "name": "vault",
                "version": "1.0.0",
                "user_config": {
                    "region": {"type": "string", "default": "eu", "required": True},
                    "key": {"type": "string", "required": True, "description": "Key of the vault"},
                },
                "server": {
                    "type": "node",
                    "entry_point": "x.js",
                    "mcp_config": {
                        "command": "node",
                        "args": ["${__dirname}/x.js", "${DOCUMENTS}", "${user_config.region}"],
                        "env": {"KEY": "${user_config.key}"},
                    },
                },
            },
        ),
    ],
)
def test_what_is_taken_over_means_in_its_new_file_what_it_was_shown_to_mean(
    tmp_path: Path, client: str, name: str, file: dict[str, Any]
) -> None:
    (tmp_path / name).write_text(json.dumps(file))
    env = {"TOKEN": "abc", "HOME": "/home/ann"}
    answer = {"api-key": "typed-in", "key": "typed-in"}.get
    taken = candidates_in(tmp_path / name, env, client=client, workspace=tmp_path, answer=answer)[0]
    assert taken
    text = '{"inputs": [{"id": "other", "type": "promptString"}]}'
    for one in taken:
        text = with_entries(text, {one.name: one.entry}, one.questions)
    again = load_mcp_json(text, env, file="mcp.json", folder=Path("/elsewhere"), answer=answer)
    assert again.errors == ()
    assert {name: entry.masked() for name, entry in again.entries.items()} == {
        one.name: {**one.shown, **({"cwd": str(tmp_path)} if "command" in one.shown else {})} for one in taken
    }
    assert "typed-in" not in text


def test_an_answer_is_typed_in_and_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = Paths(tmp_path / "config", tmp_path / "state")
    folders = ["--config", str(paths.config_dir), "--state", str(paths.state_dir)]
    monkeypatch.setattr(sys, "stdin", io.StringIO("s3cret answer\n"))
    assert run_command([*folders, "servers", "answer", "api-key"]) == ExitStatus.OK
    assert answers_in(paths.answers_dir)("api-key") == "s3cret answer"
    assert "s3cret" not in capsys.readouterr().out
    assert run_command([*folders, "servers", "answer", "api-key"]) == ExitStatus.USAGE  # stdin is at its end
    assert run_command([*folders, "servers", "answer", "api-key", "--forget"]) == ExitStatus.OK
    assert answers_in(paths.answers_dir)("api-key") is None
    assert run_command([*folders, "servers", "answer", "api-key", "--forget"]) == ExitStatus.NOT_FOUND


@pytest.mark.anyio
@pytest.mark.realtime
async def test_an_answer_brings_the_server_in(tmp_path: Path, state_dir: Path) -> None:
    paths = Paths(tmp_path, state_dir)
    entry: dict[str, Any] = {"command": "x", "env": {"KEY": "${input:api-key}"}, "ostler": {"autoStart": False}}
    paths.mcp_json.write_text(json.dumps({"servers": {"vault": entry}}))
    with anyio.fail_after(30):
        async with open_application(paths) as app:
            assert "ostler servers answer api-key" in json.dumps(app.server_entry("vault"))
            Vault(paths.answers_dir).set("api-key", "typed-in")
            while "vault" not in app.downstream.names():
                await anyio.sleep(0.02)
            assert app.downstream.entry("vault").env == {"KEY": "typed-in"}
