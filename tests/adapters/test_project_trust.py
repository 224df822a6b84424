"""Servers of a project that its client has not been allowed to start: they stay off."""

from pathlib import Path
from typing import Any

import pytest
from tests.support.client_home import ClientHome

from ostler.adapters.config.client_files import Machine

APPROVED = {"hash": "cf35b664f0e85cbf24dfda38ea6991fa01d9d315e402baacd2c02f2e92d0947a", "status": "approved"}
"""What Qwen Code keeps of an approved `{"command": "x"}`."""
CLAUDE = {"mcpServers": {"a": {"command": "x"}, "my server": {"command": "x"}}}


@pytest.fixture
def files(tmp_path: Path) -> ClientHome:
    return ClientHome(tmp_path)


def off(files: ClientHome, path: str) -> set[str]:
    found = files.found(path, "p")
    names = {name for name, one in found.items() if one.entry.get("disabled")}
    for name, one in found.items():
        assert [finding.rule for finding in one.findings if finding.rule != "other-name"] == (
            ["not-allowed"] if name in names else []
        )
        assert one.shown.get("disabled", False) == (name in names)
    return names


@pytest.mark.parametrize(
    ("path", "settings", "is_off"),
    [
        (".claude/settings.json", {}, {"a", "my-server"}),
        (".claude/settings.json", {"enabledMcpjsonServers": ["a"]}, {"my-server"}),
        (".claude/settings.json", {"enabledMcpjsonServers": ["my_server"]}, {"a"}),
        (".claude/settings.json", {"enableAllProjectMcpServers": True}, set()),
        (".claude/settings.json", {"enableAllProjectMcpServers": False}, {"a", "my-server"}),
        ("p/.claude/settings.local.json", {"enabledMcpjsonServers": ["a"]}, {"my-server"}),
        ("root/etc/claude-code/managed-settings.json", {"enableAllProjectMcpServers": True}, set()),
        # what the repository itself approves counts only once a person trusts the folder
        ("p/.claude/settings.json", {"enableAllProjectMcpServers": True}, {"a", "my-server"}),
    ],
)
def test_a_server_that_claude_code_still_has_to_ask_about_is_off(
    files: ClientHome, path: str, settings: Any, is_off: set[str]
) -> None:
    files.write("p/.mcp.json", CLAUDE)
    files.write(".claude.json", {"numStartups": 3})
    files.write(path, settings)
    assert off(files, "p/.mcp.json") == is_off


def test_what_a_trusted_repository_approves_is_on(files: ClientHome) -> None:
    files.write("p/.mcp.json", CLAUDE)
    files.write("p/.claude/settings.json", {"enabledMcpjsonServers": ["a"]})
    files.write(".claude.json", {"projects": {str(files.folder / "p"): {"hasTrustDialogAccepted": True}}})
    assert off(files, "p/.mcp.json") == {"my-server"}


@pytest.mark.parametrize("path", ["p/.mcp.json", "p/.codex/config.toml", "p/.gemini/settings.json"])
def test_a_project_s_servers_are_on_where_the_client_is_not_used(files: ClientHome, path: str) -> None:
    files.write(path, '[mcp_servers.a]\ncommand = "x"\n' if "codex" in path else CLAUDE)
    assert off(files, path) == set()


@pytest.mark.parametrize(
    ("level", "is_off"), [("trusted", set()), ("untrusted", {"a"}), (None, {"a"})]
)  # fmt: skip
def test_codex_has_the_servers_of_a_project_that_it_trusts(
    files: ClientHome, level: str | None, is_off: set[str]
) -> None:
    files.write("p/.codex/config.toml", '[mcp_servers.a]\ncommand = "x"\n')
    said = f'[projects."{files.folder}/p"]\ntrust_level = "{level}"\n' if level else ""
    files.write(".codex/config.toml", f'model = "m"\n{said}[projects."/elsewhere"]\ntrust_level = "trusted"\n')
    assert off(files, "p/.codex/config.toml") == is_off


@pytest.mark.parametrize(
    ("settings", "is_off"),
    [({}, {"a"}), ({"trustedFolders": ["/elsewhere"]}, {"a"}), ({"trustedFolders": ["{}/p"]}, set()),
     ({"trusted_folders": ["{}"]}, set())],
)  # fmt: skip
def test_copilot_has_the_servers_of_a_folder_that_it_trusts(
    files: ClientHome, settings: dict[str, list[str]], is_off: set[str]
) -> None:
    files.write("p/.github/mcp.json", {"mcpServers": {"a": {"command": "x"}}})
    folders = {key: [one.replace("{}", str(files.folder)) for one in value] for key, value in settings.items()}
    files.write(".copilot/config.json", folders)
    assert off(files, "p/.github/mcp.json") == is_off


@pytest.mark.parametrize(
    ("client", "settings", "folders", "is_off"),
    [
        ("gemini", {}, {}, True),
        ("gemini", {"security": {"folderTrust": {"enabled": False}}}, {}, False),
        ("gemini", {}, {"/p": "TRUST_FOLDER"}, False),
        ("gemini", {}, {"": "TRUST_FOLDER", "/p": "DO_NOT_TRUST"}, True),
        ("gemini", {}, {"/q": "TRUST_PARENT"}, False),
        ("gemini", {}, {"/q": "TRUST_FOLDER"}, True),
        ("qwen", {}, {}, False),
        ("qwen", {"security": {"folderTrust": {"enabled": True}}}, {}, True),
        ("qwen", {"security": {"folderTrust": {"enabled": True}}}, {"/p": "TRUST_FOLDER"}, False),
    ],
)
def test_gemini_and_qwen_have_the_servers_of_a_folder_that_they_trust(
    files: ClientHome, client: str, settings: Any, folders: dict[str, str], is_off: bool
) -> None:
    files.write(f"p/.{client}/settings.json", {"mcpServers": {"a": {"command": "x"}}})
    files.write(f".{client}/settings.json", settings)
    files.write(f".{client}/trustedFolders.json", {f"{files.folder}{name}": level for name, level in folders.items()})
    files.write(".qwen/mcpApprovals.json", {str(files.folder / "p"): {"a": APPROVED}})
    assert off(files, f"p/.{client}/settings.json") == ({"a"} if is_off else set())


@pytest.mark.parametrize(
    ("said", "is_off"),
    [
        ('trusted = ["{}/p"]', False),
        ('trusted = ["{}"]\nuntrusted = ["/p"]', False),
        ('trusted = ["{}"]\nuntrusted = ["{}/p"]', True),
        ('trusted = ["{}/p"]\nuntrusted = ["{}"]', False),
        ('untrusted = ["{}/p"]', True),
        ("", True),
    ],
)
def test_vibe_has_the_servers_of_a_folder_that_it_trusts(files: ClientHome, said: str, is_off: bool) -> None:
    files.write("p/.vibe/config.toml", '[[mcp_servers]]\nname = "a"\ntransport = "stdio"\ncommand = "x"\n')
    files.write(".vibe/trusted_folders.toml", said.replace("{}", str(files.folder)))
    assert off(files, "p/.vibe/config.toml") == ({"a"} if is_off else set())


@pytest.mark.parametrize(
    ("record", "is_off"),
    [
        (APPROVED, set()),
        ({**APPROVED, "status": "rejected"}, {"a"}),
        ({**APPROVED, "hash": "of the entry before it was changed"}, {"a"}),
        (None, {"a"}),
    ],
)
def test_qwen_code_has_the_servers_of_a_project_that_a_person_has_approved(
    files: ClientHome, record: dict[str, str] | None, is_off: set[str]
) -> None:
    files.write("p/.qwen/settings.json", {"mcpServers": {"a": {"command": "x", "description": "X"}}})
    files.write(".qwen/settings.json", {})
    files.write(".qwen/mcpApprovals.json", {str(files.folder / "p"): {"a": record} if record else {}})
    assert off(files, "p/.qwen/settings.json") == is_off


@pytest.mark.parametrize(
    ("entry", "approved"),
    [  # the hashes are those that Qwen Code 0.24.4 wrote
        ({"type": "stdio", "command": "tr\u00fce", "args": ["a"], "env": {"A": "$ZZ", "B": "${HOME}"}, "timeout": 1000},
         "10a78f7b94b0221584f19d14546d9a7c6b73c113d7b4edb0ce2e087a02b128c7"),
        ({"type": "http", "url": "http://x/mcp", "headers": {"A": "b"}},
         "4312c00efc7a5c888494545a6e7ed371fd8785b98c312687602681f95896fe24"),
        ({"url": "http://x/sse", "description": "d", "trust": True},
         "4556715105790cf72014dc971ca90c69f843739db32c672676b18dcc7c20544b"),
    ],
)  # fmt: skip
def test_qwen_code_approves_what_mcp_json_says_now(files: ClientHome, entry: dict[str, Any], approved: str) -> None:
    files.write(".qwen/mcpApprovals.json", {str(files.folder / "p"): {"a": {**APPROVED, "hash": approved}}})
    for is_changed in (False, True):
        files.write("p/.mcp.json", {"mcpServers": {"a": {**entry, **({"timeout": 1} if is_changed else {})}}})
        assert files.found("p/.mcp.json", "p")["a"].entry.get("disabled", False) == is_changed


def test_variables_of_settings_are_replaced_in_what_qwen_code_approves(files: ClientHome) -> None:
    files.write("p/.qwen/settings.json", {"mcpServers": {"a": {"command": "${PROGRAM}"}}})
    files.write(".qwen/settings.json", {"env": {"PROGRAM": "x"}})
    files.write(".qwen/mcpApprovals.json", {str(files.folder / "p"): {"a": APPROVED}})
    assert {name for name, one in files.found("p/.qwen/settings.json", "p").items() if "disabled" in one.entry} == set()


def test_a_file_that_several_clients_read_is_that_of_those_on_this_machine(files: ClientHome) -> None:
    files.write("p/.mcp.json", {"mcpServers": {"a": {"command": "x"}, "b": {"command": "x"}}})
    assert off(files, "p/.mcp.json") == set()
    files.write(".copilot/config.json", {"trustedFolders": [str(files.folder)]})
    files.write(".copilot/settings.json", {"disabledMcpServers": ["a"]})
    of_copilot = files.found("p/.mcp.json", "p")
    assert {name for name, one in of_copilot.items() if one.entry.get("disabled")} == {"a"}
    files.write(".claude.json", {"projects": {}})
    machine = Machine(files.environment, "linux", files.folder / "root")
    readers = [file.location.client for file in machine.files(files.folder / "p") if file.path.name == ".mcp.json"]
    assert readers == ["claude-code", "copilot"]


def test_copilot_reads_one_file_of_a_project(files: ClientHome) -> None:
    files.write("p/.github/mcp.json", {"mcpServers": {"a": {"command": "x"}}})
    files.write(".copilot/config.json", {"trustedFolders": [str(files.folder)]})
    assert off(files, "p/.github/mcp.json") == set()
    files.write("p/.mcp.json", {"mcpServers": {"b": {"command": "x"}}})
    assert off(files, "p/.github/mcp.json") == {"a"}
    assert off(files, "p/.mcp.json") == set()


def test_copilot_keeps_the_folders_that_it_trusts_in_one_file_alone(files: ClientHome) -> None:
    files.write("p/.github/mcp.json", {"mcpServers": {"a": {"command": "x"}}})
    files.write(".copilot/settings.json", {"trustedFolders": [str(files.folder)]})
    assert off(files, "p/.github/mcp.json") == {"a"}
