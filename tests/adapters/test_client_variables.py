"""The variables that clients set before they read their servers: what an imported entry has of them."""

from pathlib import Path
from typing import Any

import pytest
from tests.support.client_home import ClientHome

from ostler.adapters.config.dialects.variables import Surroundings, expand


@pytest.fixture
def files(tmp_path: Path) -> ClientHome:
    return ClientHome(tmp_path)


def test_settings_of_claude_code_set_variables_and_the_nearest_counts_below_the_administrator_s(
    files: ClientHome,
) -> None:
    entry = {
        "command": "x",
        "args": ["${PLACE:-nowhere}", "${COUNT}", "${OTHER}", "${MAYBE:-<${MORE:-x}>}"],
        "env": {"AUTH": "Bearer ${API_TOKEN}", "BASE": "${BASE}"},
    }
    files.write("p/.mcp.json", {"mcpServers": {"a": entry, "b": {"command": "x"}}})
    files.write(".claude/settings.json", {"env": {"PLACE": "home", "API_TOKEN": "t0p-secret-${X}", "BASE": "user"}})
    files.write("p/.claude/settings.local.json", {
        "env": {"PLACE": "project", "COUNT": 3, "BASE": "project"}, "enabledMcpjsonServers": ["a", "b"],
    })  # fmt: skip
    managed = files.write("root/etc/claude-code/managed-settings.json", {"env": {"BASE": "company"}})
    files.environment |= {"PLACE": "shell", "OTHER": "other"}
    found = files.found("p/.mcp.json", "p")
    assert found["a"].entry == {
        "command": "x",
        "args": ["project", "3", "${OTHER}", "${MAYBE-<${MORE-x}>}"],
        "env": {"AUTH": "Bearer t0p-secret-$${X}", "BASE": "company"},
        "cwd": str(files.folder / "p"),
    }
    assert "t0p-secret" not in str((found["a"].shown, found["a"].findings))
    notes = {one.message.split("'")[1]: one for one in found["a"].findings}
    assert set(notes) == {"PLACE", "COUNT", "API_TOKEN", "BASE"}
    assert notes["BASE"].file == str(managed)
    assert {one.severity for one in notes.values()} == {"note"}
    assert found["b"].findings == ()


def test_the_first_env_file_of_gemini_counts_unless_a_variable_is_set(files: ClientHome) -> None:
    servers = {"a": {"command": "x", "args": ["$PLACE", "${SHELL_HAS}"], "env": {"T": "$ELSEWHERE"}}}
    files.write("w/p/.gemini/settings.json", {"mcpServers": servers})
    files.write("w/.env", "PLACE='above the project'\nSHELL_HAS=file\n")
    files.write(".gemini/.env", "PLACE=home\nELSEWHERE=home\n")
    files.environment["SHELL_HAS"] = "shell"
    found = files.found("w/p/.gemini/settings.json", "w/p")["a"]
    assert found.entry["args"] == ["above the project", "${env:SHELL_HAS}"]
    assert found.entry["env"] == {"T": "$ELSEWHERE"}
    files.write(".gemini/settings.json", {"mcpServers": servers})
    assert files.found(".gemini/settings.json")["a"].entry["env"] == {"T": "home"}


@pytest.mark.parametrize(
    ("path", "content", "env_files", "becomes"),
    [
        (
            ".qwen/settings.json",
            {"env": {"A": "settings", "B": "settings"}, "mcpServers": {"a": {"command": "x", "args": ["$A", "${B}"]}}},
            {".qwen/.env": "A=file\n", ".env": "A=last\n"},
            {"args": ["file", "settings"]},
        ),
        (
            ".config/crush/crush.json",
            {"env": {"A": "1", "B": "2"}, "mcp": {"a": {"type": "stdio", "command": "x", "args": ["$A", "${B}"]}}},
            {},
            {"args": ["1", "2"]},
        ),
        (
            ".codex/config.toml",
            '[mcp_servers.a]\nurl = "https://h/"\nbearer_token_env_var = "A"\nenv_http_headers = { X = "B" }\n',
            {".codex/.env": "A=1\nB=2\n"},
            {"headers": {"Authorization": "Bearer 1", "X": "2"}},
        ),
        (
            ".codex/config.toml",
            '[mcp_servers.a]\ncommand = "x"\nenv_vars = ["A", "TOKEN"]\n',
            {".codex/.env": "A=1\n"},
            {"env": {"A": "1", "TOKEN": "${env:TOKEN}"}},
        ),
        (
            ".openclaw/openclaw.json",
            "{env: {A: '1', vars: {B: '2'}}, mcp: {servers: {a: {command: 'x', args: ['${A}', '${B}', '${C}']}}}}",
            {".openclaw/.env": "C=3\nB=file\n"},
            {"args": ["1", "file", "3"]},
        ),
        (
            ".hermes/config.yaml",
            "mcp_servers:\n  a:\n    url: https://h/\n    headers: {X: '${A}'}\n",
            {".hermes/.env": "A=1\n"},
            {"headers": {"X": "1"}},
        ),
        (
            ".vibe/config.toml",
            '[[mcp_servers]]\nname = "a"\nurl = "https://h/"\nauth = { type = "static", api_key_env = "A" }\n',
            {".vibe/.env": "A=1\n"},
            {"headers": {"Authorization": "Bearer 1"}},
        ),
        (
            ".continue/config.yaml",
            "mcpServers:\n- name: a\n  command: x\n  env: {T: '${{ secrets.A }}'}\n",
            {".continue/.env": "A=1\n"},
            {"env": {"T": "1"}},
        ),
    ],
)
def test_a_variable_that_only_the_client_sets_becomes_its_value(
    files: ClientHome, path: str, content: Any, env_files: dict[str, str], becomes: dict[str, Any]
) -> None:
    files.write(path, content)
    for name, text in env_files.items():
        files.write(name, text)
    found = files.found(path)["a"]
    assert {one.rule for one in found.findings} == {"client-variable"}
    assert becomes.items() <= found.entry.items()


def test_a_project_s_env_file_is_for_the_servers_of_librechat(files: ClientHome) -> None:
    servers = "mcpServers:\n  a:\n    type: sse\n    url: https://h/sse\n    headers: {X: '${A}'}\n"
    files.write("p/librechat.yaml", servers)
    files.write("p/.env", "A=1\n")
    files.write(".env", "A=2\n")
    assert files.found("p/librechat.yaml", "p")["a"].entry["headers"] == {"X": "1"}


@pytest.mark.parametrize(
    ("clients", "text"),
    [({"claude-code"}, ""), ({"gemini"}, ""), ({"claude-code", "gemini"}, ""), ({"claude-code", "cursor"}, "default")],
)
def test_where_a_client_uses_a_default_only_for_what_is_not_set_an_empty_variable_stays_empty(
    clients: set[str], text: str
) -> None:
    around = Surroundings({"EMPTY": ""})

    def came_to(written: str) -> str:
        return expand(written, around, frozenset(clients), problems)[0]

    def problems(*found: object) -> None:
        raise AssertionError(found)

    assert came_to("${EMPTY:-default}") == text
    assert came_to("${NONE:-default}") == "default"
