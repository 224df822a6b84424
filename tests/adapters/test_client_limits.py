"""What clients say of their servers apart from the entries: hooks, lists of one client, other files, settings."""

import json
import os
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from tests.support.client_home import ClientHome

from ostler.adapters.config.client_files import Machine, workspace_of
from ostler.adapters.config.dialects.clients import ANY
from ostler.adapters.config.mcp_content import McpJson
from ostler.adapters.config.mcp_json import load_mcp_json

ENV = {"HOME": "/home/ada", "TOKEN": "s3cret-token"}
TOOLS = ("get", "get_all", "drop")


def load(beside: dict[str, Any], client: str = "", **body: Any) -> McpJson:
    clients = frozenset({client}) if client else ANY
    root = {"mcpServers": {"a": {"command": "x", **body}}, **beside}
    return load_mcp_json(json.dumps(root), ENV, file="mcp.json", clients=clients)


def permitted(loaded: McpJson) -> set[str]:
    return {tool for tool in TOOLS if loaded.entries["a"].options.permits(tool)}


@pytest.mark.parametrize(
    ("beside", "events"),
    [
        ({"hooks": {"PreToolUse": [{"matcher": "mcp__a__drop", "hooks": [{"command": "x"}]}]}}, ["PreToolUse"]),
        ({"hooks": {"PreToolUse": [{"matcher": "Edit|mcp__.*__drop"}], "PermissionRequest": [{}]}},
         ["PreToolUse", "PermissionRequest"]),
        ({"hooks": {"PreToolUse": [{"matcher": "*"}, {"matcher": ""}]}}, ["PreToolUse"]),
        ({"hooks": {"PreToolUse": [{"matcher": "Edit|Write"}, {"matcher": "mcp__b__.*"}]}}, []),
        ({"hooks": {"PreToolUse": [{"matcher": "mcp__a", "hooks": []}]}}, []),
        ({"hooks": {"PostToolUse": [{"matcher": "mcp__a__.*"}], "Stop": [{}]}}, []),
        ({"hooks": {"PreToolUse": [{}]}, "disableAllHooks": True}, []),
        ({"hooks": {"BeforeTool": [{"matcher": "mcp_a_.*"}]}}, ["BeforeTool"]),
        ({"version": 1, "hooks": {"beforeMCPExecution": [{"command": "./deny.sh"}]}}, ["beforeMCPExecution"]),
        ({"hooks": {"preToolUse": [{"matcher": "@a/drop", "command": "x"}, {"matcher": "@b"}]}}, ["preToolUse"]),
        ({"hooks": {"no-mcp": {"type": "preToolCall", "matcher": "a__drop", "actions": []}}}, ["preToolCall"]),
    ],
)  # fmt: skip
def test_a_program_that_may_deny_calls_is_named_and_not_run(beside: dict[str, Any], events: list[str]) -> None:
    loaded = load(beside)
    assert [finding.severity for finding in loaded.findings] == ["warning" for _ in events]
    assert all(
        f"'{event}'" in finding.message and "denyTools" in finding.fix
        for event, finding in zip(events, loaded.findings, strict=True)
    )
    assert permitted(loaded) == set(TOOLS)


@pytest.mark.parametrize(
    ("beside", "starts"),
    [
        ({"chat.mcp.autostart": "never"}, False),
        ({"settings": {"chat.mcp.autostart": "never"}}, False),
        ({"chat.mcp.autostart": "newAndOutdated"}, True),
        ({"mcp": {"enabled": True, "auto_start": False}}, False),
        ({"tools": {"mcp": {"auto_start": False}}}, False),
        ({"mcp": {"auto_start": True}}, True),
    ],
)
def test_no_server_starts_where_its_client_starts_none_unasked(beside: dict[str, Any], starts: bool) -> None:
    assert load(beside).entries["a"].options.auto_start is starts
    assert load(beside, ostler={"autoStart": True}).entries["a"].options.auto_start


@pytest.mark.parametrize(
    ("permissions", "on"),
    [
        ({"limitTo": ["Domain(mcp.example.com)", "Domain(*.example.org)"]}, {"com", "org", "program"}),
        ({"limitTo": []}, {"program"}),
        ({"limitTo": ["mcp.example.com"]}, {"program"}),
        ({"deny": ["Domain(mcp.example.com)"], "ask": ["Domain(*.example.net)"]}, {"org", "program"}),
        ({"deny": ["Domain(::1)"]}, {"com", "org", "net", "program"}),
        ({"deny": ["Domain(example.com)"]}, {"com", "org", "net", "program"}),
        ({"allow": ["Domain(mcp.example.com)"]}, {"com", "org", "net", "program"}),
    ],
)
def test_a_server_is_where_copilot_s_administrator_lets_requests_go(permissions: Any, on: set[str]) -> None:
    servers = {end: {"url": f"https://mcp.example.{end}/mcp"} for end in ("com", "org", "net")}
    root = {"mcpServers": {**servers, "program": {"command": "x"}}, "permissions": permissions}
    loaded = load_mcp_json(json.dumps(root), ENV, clients=frozenset({"copilot"}))
    assert loaded.findings == ()
    assert {name for name, entry in loaded.entries.items() if not entry.disabled} == on


@pytest.mark.parametrize("key", ["limitTo", "deny"])
def test_an_address_of_numbers_is_a_host(key: str) -> None:
    root = {"mcpServers": {"a": {"url": "http://[::1]:8000/mcp"}}, "permissions": {key: ["Domain(::1)"]}}
    assert load_mcp_json(json.dumps(root), ENV).entries["a"].disabled is (key == "deny")


def test_hosts_that_are_no_list_refuse_the_servers() -> None:
    (finding,) = load({"permissions": {"limitTo": "Domain(x)"}}).refused["a"]
    assert "'permissions.limitTo'" in finding.message


def test_settings_of_a_single_tool_are_named_as_not_obeyed() -> None:
    settings = {"@a/drop": {"deniedPaths": ["/srv"]}, "@b/drop": {"x": 1}, "write": {"allowedPaths": ["x"]}}
    (finding,) = load({"toolsSettings": settings}).findings
    assert "'@a/drop'" in finding.message
    assert "denyTools" in finding.fix
    assert finding.severity == "warning"


def test_a_variable_that_an_entry_unsets_is_not_taken_from_its_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1\nB=2\n")
    body = {"command": "x", "envFile": ".env", "env": {"A": None}}
    loaded = load_mcp_json(json.dumps({"servers": {"a": body}}), ENV, folder=tmp_path)
    assert dict(loaded.entries["a"].env) == {"B": "2"}


@pytest.mark.parametrize(("text", "is_read"), [("${TOKEN:?}", True), ("${EMPTY?}", True), ("${EMPTY:?why}", False),
                                               ("${NONE:?why}", False)])  # fmt: skip
def test_a_variable_that_must_be_set_is_read_when_it_is(text: str, is_read: bool) -> None:
    body = {"command": "x", "env": {"K": text}}
    loaded = load_mcp_json(json.dumps({"mcp": {"a": body}}), {**ENV, "EMPTY": ""}, clients=frozenset({"crush"}))
    assert ("a" in loaded.entries) is is_read
    assert all("EMPTY" in one.message or "NONE" in one.message for one in loaded.errors)


@pytest.mark.parametrize(
    ("beside", "tools"),
    [
        ({"disabledTools": ["a__drop", "b__get"]}, {"get", "get_all"}),
        ({"disabledTools": ["drop"]}, {"get", "get_all"}),
        ({"disabledTools": ["a__get.*"]}, {"drop"}),
        ({"disabledTools": ["a"]}, set()),
        ({"disabledTools": [r".*__get\w*"]}, None),
        ({"disabledTools": "a__drop"}, None),
        (
            {"agent": {"code": {"disabledTools": ["a__drop"]}, "plan": {"disabledTools": ["a__get"]}}},
            {"get", "get_all"},
        ),
        ({"agent": {"plan": {"disabledTools": ["a__get"]}}, "defaultAgent": "plan"}, {"get_all", "drop"}),
        (
            {
                "toolCall": {"approval": {"byDefault": "ask"}},
                "agent": {"code": {"toolCall": {"approval": {"byDefault": "allow", "deny": {"a__drop": {}}}}}},
            },
            {"get", "get_all"},
        ),
    ],
)
def test_tools_that_eca_has_disabled_are_denied(beside: dict[str, Any], tools: set[str] | None) -> None:
    loaded = load(beside, "eca")
    if tools is None:
        assert [finding.rule for finding in loaded.refused["a"]] == ["limit"]
    else:
        assert loaded.findings == ()
        assert permitted(loaded) == tools


@pytest.mark.parametrize(
    ("beside", "tools"),
    [
        # VS Code: tools that are never called without asking, wherever its settings are.
        ({"chat.tools.eligibleForAutoApproval": {"drop": False, "get": True}}, {"get", "get_all"}),
        ({"chat.tools.eligibleForAutoApproval": {"my-server/drop": False, "other/get": False}}, {"get", "get_all"}),
        ({"settings": {"chat.tools.eligibleForAutoApproval": {"get": False}}}, {"get_all", "drop"}),
        (
            {"customizations": {"vscode": {"settings": {"chat.tools.eligibleForAutoApproval": {"get": False}}}}},
            {"get_all", "drop"},
        ),
        # Claude Code: what would be asked about is denied at once.
        ({"permissions": {"denyInsteadOfPrompting": True, "allow": ["mcp__My_Server__get"]}}, {"get"}),
        ({"permissions": {"denyInsteadOfPrompting": False, "allow": ["mcp__My_Server__get"]}}, set(TOOLS)),
        ({"allowAllClaudeAiMcps": True, "disableDirectMcpSkills": True}, set(TOOLS)),
        ({"allowClaudeInChromeWithManagedMcp": True}, set(TOOLS)),
        # Junie: the first rule that matches counts.
        ({"rules": {"mcpTools": {"rules": [{"prefix": "My Server:get", "action": "ask"}]}}}, {"drop"}),
        (
            {
                "defaultBehavior": "ask",
                "allowReadonlyCommands": True,
                "rules": {
                    "fileEditing": {"rules": [{"prefix": "My Server:", "action": "ask"}]},
                    "mcpTools": {
                        "rules": [
                            {"prefix": "My Server:get", "action": "allow"},
                            {"pattern": "**:get_*", "action": "ask"},
                            {"pattern": "My Server:d**", "action": "ask"},
                            {"prefix": "other:", "action": "ask"},
                        ]
                    },
                },
            },
            {"get", "get_all"},
        ),
        # Copilot's administrators write server/tool, Cursor server:tool.
        ({"permissions": {"deny": ["Mcp(My Server/drop)", "Shell(rm *)"], "ask": ["Mcp(other)"]}}, {"get", "get_all"}),
        ({"permissions": {"deny": ["Mcp(My Server:drop)"], "ask": ["Mcp(other/get)"]}}, {"get", "get_all"}),
        ({"permissions": {"ask": ["Mcp(My Server)"]}}, set()),
        # Amp: rules about addresses are not about programs.
        ({"amp.mcpPermissions": [{"matches": {"url": "*"}, "action": "reject"}]}, set(TOOLS)),
    ],
)
def test_what_a_client_never_calls_without_asking_is_denied(beside: dict[str, Any], tools: set[str]) -> None:
    loaded = load_mcp_json(json.dumps({"mcpServers": {"My Server": {"command": "x"}}, **beside}), ENV)
    assert [one.rule for one in loaded.findings] == ["other-name"]
    assert {tool for tool in TOOLS if loaded.entries["My-Server"].options.permits(tool)} == tools


@pytest.mark.parametrize("listed", ["My Server", "my_server", "My_Server", "my server"])
def test_a_server_is_off_by_any_form_of_its_name(listed: str) -> None:
    root = {"mcpServers": {"My Server": {"command": "x"}, "mine": {"command": "x"}}, "disabledMcpjsonServers": [listed]}
    entries = load_mcp_json(json.dumps(root), ENV).entries
    assert {name for name, entry in entries.items() if entry.disabled} == {"My-Server"}


def test_a_rule_about_addresses_rejects_what_has_one() -> None:
    servers = {"a": {"command": "x", "args": ["--url", "b"]}, "b": {"url": "https://b.example/mcp"}}
    rules = [{"matches": {"url": "*"}, "action": "reject"}]
    loaded = load_mcp_json(json.dumps({"amp.mcpServers": servers, "amp.mcpPermissions": rules}), ENV)
    assert set(loaded.entries) == {"a"}
    rules = [{"matches": {"command": "*"}, "action": "reject"}]
    loaded = load_mcp_json(json.dumps({"amp.mcpServers": servers, "amp.mcpPermissions": rules}), ENV)
    assert set(loaded.entries) == {"b"}


def test_oh_my_pi_looks_its_values_up() -> None:
    values = {"A": "TOKEN", "B": "NOT_SET", "C": "plain text", "D": "!pass show d"}
    loaded = load({"enabledServers": ["b"]}, "omp", env=values)
    assert loaded.findings == ()
    assert loaded.entries["a"].env == {
        "A": "s3cret-token", "B": "NOT_SET", "C": "plain text", "D": "${secret:command:pass show d}",
    }  # fmt: skip
    assert load({"disabledServers": ["a"]}, "omp").entries["a"].disabled
    (finding,) = load({}, "omp", env={"A": "!echo ${B}"}).refused["a"]
    assert "script" in finding.fix


def test_a_secret_in_the_data_of_a_sign_in_is_not_shown() -> None:
    root = {
        "mcpServers": {"a": {"url": "https://h/mcp", "oauth": {"clientId": "${TOKEN}", "scopes": ["${TOKEN}", "b"]}}}
    }
    shown = load_mcp_json(json.dumps(root), ENV).entries["a"].masked()
    assert shown["oauth"] == {"clientId": "***", "scopes": ["***", "b"]}


@pytest.fixture
def files(tmp_path: Path) -> ClientHome:
    return ClientHome(tmp_path)


@pytest.mark.parametrize(
    ("own", "path", "content"),
    [
        (".config/opencode/opencode.json", "root/etc/opencode/opencode.json", {"mcp": {"a": {"enabled": False}}}),
        (".codex/config.toml", "root/etc/codex/managed_config.toml", "[mcp_servers.a]\nenabled = false\n"),
        (
            ".gemini/settings.json",
            "root/etc/gemini-cli/settings.json",
            {"mcpServers": {"a": {"command": "x", "includeTools": []}}},
        ),
        (".config/crush/crush.json", ".local/share/crush/crush.json", {"mcp": {"a": {"disabled": True}}}),
    ],
)
def test_what_another_file_says_of_a_server_counts_where_the_client_lets_it(
    files: ClientHome, own: str, path: str, content: Any
) -> None:
    servers: Any = {"a": {"command": "x"}, "b": {"command": "x"}}
    if "opencode" in own:
        servers = {name: {"type": "local", "command": ["x"]} for name in servers}
    key = "mcpServers" if "gemini" in own else "mcp"
    files.write(
        own, "[mcp_servers.a]\ncommand = 'x'\n[mcp_servers.b]\ncommand = 'x'\n" if "toml" in own else {key: servers}
    )
    assert not any(one.findings for one in files.found(own).values())
    other = files.write(path, content)
    found = files.found(own)
    assert found["a"].entry.get("disabled") or found["a"].entry["ostler"] == {"allowTools": []}
    assert found["a"].entry["command"] == "x"
    assert [(one.rule, str(other) in one.message) for one in found["a"].findings] == [("layer", True)]
    assert found["b"].findings == ()
    assert "disabled" not in found["b"].entry


@pytest.mark.parametrize(
    ("local", "is_on"),
    [({"a": {"command": "x", "disabled": True}}, False), ({"b": {"disabled": True}}, True), ({}, True)],
)
def test_a_file_that_is_not_shared_counts_more_than_that_of_the_project(
    files: ClientHome, local: Any, is_on: bool
) -> None:
    files.write("p/.augment/settings.json", {"mcpServers": {"a": {"command": "x"}}})
    files.write("p/.augment/settings.local.json", {"mcpServers": local})
    assert files.found("p/.augment/settings.json", "p")["a"].entry.get("disabled", False) != is_on


def test_a_client_that_merges_has_in_a_project_what_the_user_s_file_says(files: ClientHome) -> None:
    files.write(
        ".codex/config.toml",
        '[mcp_servers.a]\ncommand = "x"\nenabled_tools = ["get"]\nenv = { A = "1", B = "1" }\n'
        '[mcp_servers.b]\ncommand = "y"\nenabled = false\n'
        f'[projects."{files.folder}/p"]\ntrust_level = "trusted"\n',
    )
    files.write("p/.codex/config.toml", '[mcp_servers.a]\nenv = { B = "2" }\n[mcp_servers.b]\nenabled = true\n')
    found = files.found("p/.codex/config.toml", "p")
    assert found["a"].entry == {
        "command": "x", "env": {"A": "1", "B": "2"}, "cwd": str(files.folder / "p"), "ostler": {"allowTools": ["get"]},
    }  # fmt: skip
    assert (found["b"].entry["command"], found["b"].entry.get("disabled")) == ("y", None)
    assert files.found(".codex/config.toml", "p")["b"].entry["disabled"], "that of the user is for all projects"


def test_a_client_that_does_not_merge_has_the_project_s_entry_alone(files: ClientHome) -> None:
    files.write(".cursor/mcp.json", {"mcpServers": {"a": {"command": "x", "disabled": True}}})
    files.write("p/.cursor/mcp.json", {"mcpServers": {"a": {"command": "x"}}})
    assert "disabled" not in files.found("p/.cursor/mcp.json", "p")["a"].entry


def test_a_worktree_has_what_claude_code_switched_off_in_its_main_checkout(files: ClientHome) -> None:
    main, worktree = files.folder / "main", files.folder / "side"
    files.write("main/.git/worktrees/side/commondir", "../..\n")
    files.write("main/.git/worktrees/side/gitdir", f"{worktree}/.git\n")
    files.write("main/.git/worktrees/side/HEAD", "ref: refs/heads/side\n")
    files.write("main/.git/HEAD", "ref: refs/heads/main\n")
    files.write("side/.git", f"gitdir: {main}/.git/worktrees/side\n")
    files.write("side/.mcp.json", {"mcpServers": {name: {"command": "x"} for name in ("a", "b", "c", "d")}})
    projects = {
        str(main): {"disabledMcpjsonServers": ["a"], "enableAllProjectMcpServers": True},
        str(worktree): {"disabledMcpServers": ["b"]},
        str(files.folder): {"disabledMcpServers": ["c"]},
    }
    files.write(".claude.json", {"mcpServers": {}, "projects": projects})
    found = files.found("side/.mcp.json", "side")
    assert {name for name, one in found.items() if one.entry.get("disabled")} == {"a", "b"}


def test_copilot_s_lists_and_its_sandbox_are_its_own(files: ClientHome) -> None:
    servers = {name: {"type": "local", "command": "x", "tools": ["*"]} for name in ("a", "b", "c")}
    servers["d"] = {"type": "http", "url": "https://h/mcp", "tools": ["*"]}
    files.write("p/.github/mcp.json", {"mcpServers": servers})
    files.write(".copilot/config.json", {"trustedFolders": [str(files.folder)]})
    files.write(".copilot/settings.json", {"enabledMcpServers": ["computer-use"], "sandbox": {"enabled": False}})
    files.write("p/.github/copilot/settings.json", {"disabledMcpServers": ["a"]})
    files.write("p/.github/copilot/settings.local.json", {"disabledMcpServers": ["b"]})
    found = files.found("p/.github/mcp.json", "p")
    assert {name for name, one in found.items() if one.entry.get("disabled")} == {"a", "b"}
    files.write("root/etc/github-copilot/managed-settings.json", {"deniedMcpServers": [{"serverName": "d"}]})
    assert files.found("p/.github/mcp.json", "p")["d"].entry["disabled"]
    files.write(".copilot/settings.json", {"sandbox": {"enabled": True}})
    found = files.found("p/.github/mcp.json", "p")
    assert {name for name, one in found.items() if one.is_refused} == {"a", "b", "c"}
    assert "confines" in found["c"].findings[0].message


BUNDLE = {
    "manifest_version": "0.3",
    "name": "files",
    "server": {
        "type": "node",
        "entry_point": "i.js",
        "mcp_config": {
            "command": "node",
            "args": ["${__dirname}/i.js", "${user_config.folders}", "${user_config.level}"],
            "env": {"KEY": "${user_config.key}"},
        },
    },
    "user_config": {
        "folders": {"type": "directory", "multiple": True, "required": True},
        "level": {"type": "number", "default": 1},
        "key": {"type": "string", "sensitive": True, "required": True},
    },
}


@pytest.mark.parametrize(("is_enabled", "is_on"), [(True, True), (False, False), ("no", False), (None, False)])
def test_an_extension_of_claude_desktop_is_as_its_user_set_it_up(
    files: ClientHome, is_enabled: Any, is_on: bool
) -> None:
    path = ".config/Claude/Claude Extensions/local.files/manifest.json"
    folder = files.write(path, BUNDLE).parent
    settings = {"isEnabled": is_enabled, "userConfig": {"folders": ["/a", "/b"], "level": 3, "key": "__encrypted__:x"}}
    files.write(".config/Claude/Claude Extensions Settings/local.files.json", settings)
    files.environment["INPUT_KEY"] = "k"
    entry = files.found(path)["files"].entry
    assert entry["args"] == [f"{folder}/i.js", "/a", "/b", "${input:level}"]
    assert entry["env"] == {"KEY": "${input:key}"}
    assert entry.get("disabled", False) != is_on
    (question,) = (one for one in files.found(path)["files"].questions if one["id"] == "level")
    assert question["default"] == "3"
    del files.environment["INPUT_KEY"]
    assert files.found(path)["files"].is_refused == is_on, "what is encrypted is asked for again"


def test_an_extension_of_gemini_has_what_its_user_set(files: ClientHome) -> None:
    path = ".gemini/extensions/x/gemini-extension.json"
    asked = [{"name": "Place", "envVar": "PLACE"}, {"name": "Key", "envVar": "X_KEY", "sensitive": True}]
    servers = {
        "a": {"command": "x", "args": ["--at", "${PLACE}", "$PLACES"], "env": {"P": "$PLACE"}},
        "b": {"url": "https://h/"},
    }
    folder = files.write(path, {"name": "x", "settings": asked, "mcpServers": servers}).parent
    files.write(".gemini/extensions/x/.env", 'PLACE="over there"\nX_KEY=old\n')
    found = files.found(path)
    assert found["a"].entry == {
        "command": "x",
        "args": ["--at", "over there", "$PLACES"],
        "env": {"X_KEY": "${env:X_KEY}", "P": "over there"},
        "envFile": f"{folder}/.env",
    }
    assert ["X_KEY" in one.message for one in found["a"].findings] == [True]
    assert "env" not in found["b"].entry


@pytest.mark.parametrize(
    ("path", "client", "project"),
    [
        ("p/.warp/.mcp.json", "warp", "p"),
        ("p/.mcp.json", "claude-code", "p"),
        ("p/.omp/.mcp.json", "omp", "p"),
        ("p/.omp/mcp.json", "omp", "p"),
        ("p/.cursor/mcp.json", "cursor", "p"),
    ],
)
def test_a_file_is_of_the_client_whose_folder_it_is_in(files: ClientHome, path: str, client: str, project: str) -> None:
    whole = files.write(path, {"mcpServers": {}})
    file = Machine(files.environment, "linux", files.folder / "root").files_at(whole)[0]
    assert (file.location.client, file.workspace) == (client, files.folder / project)


@pytest.mark.parametrize("path", [".warp/.mcp.json", ".cursor/mcp.json", ".config/opencode/opencode.json"])
def test_the_user_s_own_file_is_of_no_project(files: ClientHome, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setenv("HOME", str(files.folder))
    assert workspace_of(files.folder / path) is None


def test_the_scopes_of_kiro_are_taken() -> None:
    root = {"mcpServers": {"a": {"url": "https://h/mcp", "oauth": {"oauthScopes": ["read"]}}}}
    loaded = load_mcp_json(json.dumps(root), ENV, clients=frozenset({"kiro"}))
    assert loaded.findings == ()
    assert loaded.drafts["a"]["oauth"] == {"scopes": ["read"]}


@pytest.mark.parametrize(
    ("own", "path", "content", "becomes"),
    [
        (".junie/mcp/mcp.json", ".junie/allowlist.json",
         {"rules": {"mcpTools": {"rules": [{"prefix": "a:drop", "action": "ask"}]}}}, {"denyTools": ["drop*"]}),
        (".cline/data/settings/cline_mcp_settings.json", ".cline/data/settings/global-settings.json",
         {"disabledTools": ["a__drop", "b__get", "read_files"], "toolAutoApprove": True}, {"denyTools": ["drop"]}),
        (".tabnine/agent/settings.json", "root/etc/tabnine-cli/settings.json", {"mcp": {"excluded": ["a"]}}, None),
        (".codeium/windsurf/mcp_config.json", "root/etc/windsurf/hooks.json",
         {"hooks": {"pre_mcp_tool_use": [{"command": "x"}]}}, "hook"),
        (".codeium/windsurf/mcp_config.json", "here/.windsurf/hooks.json",
         {"hooks": {"pre_mcp_tool_use": [{"command": "x"}]}}, "hook"),
        (".config/devin/mcp_config.json", "root/etc/devin/hooks.json",
         {"hooks": {"pre_mcp_tool_use": [{"command": "x"}]}}, "hook"),
    ],
)  # fmt: skip
def test_a_file_apart_from_the_servers_limits_them(
    files: ClientHome, own: str, path: str, content: Any, becomes: dict[str, Any] | str | None
) -> None:
    files.write(own, {"mcpServers": {"a": {"command": "x"}}})
    files.write(path, content)
    found = files.found(own)["a"]
    if becomes == "hook":
        assert [one.rule for one in found.findings] == ["hook"]
    else:
        assert found.findings == ()
        assert found.entry == {"command": "x", **({"ostler": becomes} if becomes else {"disabled": True})}


def test_a_program_of_vs_code_starts_as_there(files: ClientHome) -> None:
    body = {"command": "x", "args": ["~/a", "~b"], "cwd": "sub", "env": {"PATH": "/opt/bin", "HOME": None, "A": "1"}}
    files.environment["PATH"] = "/bin"
    (files.folder / "sub").mkdir()
    for path, project in ((".config/Code/User/mcp.json", ""), ("p/.vscode/mcp.json", "p")):
        files.write(path, {"servers": {"a": body}})
        (files.folder / project / "sub").mkdir(exist_ok=True)
        found = files.found(path, project)["a"]
        assert found.findings == ()
        assert found.shown["args"] == [f"{files.folder}/a", "~b"]
        assert found.shown["cwd"] == str(files.folder / project / "sub")
        assert found.shown["env"] == {"PATH": f"/bin{os.pathsep}/opt/bin", "HOME": None, "A": "1"}
        again = load_mcp_json(json.dumps({"mcpServers": {"a": found.entry}}), files.environment).entries["a"]
        assert (again.unset, again.masked()) == (("HOME",), found.shown)


def test_goose_sets_no_variable_that_decides_which_code_is_loaded() -> None:
    body = {
        "type": "stdio",
        "cmd": "x",
        "envs": {"Path": "/x", "LD_PRELOAD": "y", "A": "1"},
        "code": "",
        "enabled": True,
    }
    loaded = load_mcp_json(json.dumps({"extensions": {"a": body}}), ENV, clients=frozenset({"goose"}))
    assert loaded.entries["a"].env == {"A": "1"}
    assert [one.rule for one in loaded.findings] == ["limit", "limit"]


@pytest.mark.parametrize(
    ("client", "body", "options"),
    [
        ("claude-code", {"command": "x", "timeout": 500}, {}),
        ("claude-code", {"command": "x", "timeout": 1500}, {"timeout": "1.5s"}),
        ("gemini", {"command": "x", "timeout": 500}, {"timeout": "0.5s"}),
        ("gemini", {"command": "x", "discoveryTimeoutMs": 9000, "alwaysLoadTools": True, "versionNegotiation": "auto"},
         {"connectTimeout": "9s"}),
        ("zed", {"command": {"path": "x", "timeout": 30}}, {"timeout": "30s"}),
    ],
)  # fmt: skip
def test_newer_keys_mean_what_their_clients_mean(client: str, body: dict[str, Any], options: dict[str, Any]) -> None:
    root = {"mcpServers": {"a": body}, "mcp": {"toolIdleTimeoutMs": 60000}}
    loaded = load_mcp_json(json.dumps(root), ENV, clients=frozenset({client}))
    assert loaded.drafts["a"].get("ostler", {}) == options
    assert loaded.entries.keys() == {"a"}
    assert loaded.refused == {}


def test_a_relative_folder_of_a_user_s_server_is_named(files: ClientHome) -> None:
    (files.folder / ".cursor/sub").mkdir(parents=True)
    files.write(".cursor/mcp.json", {"mcpServers": {"a": {"command": "x", "cwd": "sub"}, "b": {"command": "x"}}})
    found = files.found(".cursor/mcp.json")
    assert [one.rule for one in found["a"].findings] == ["relative-folder"]
    assert found["a"].entry["cwd"] == str(files.folder / ".cursor/sub")
    assert found["b"].findings == ()
    (files.folder / ".mcporter/sub").mkdir(parents=True)
    files.write(".mcporter/mcporter.json", {"mcpServers": {"a": {"command": "x", "cwd": "sub"}}})
    assert files.found(".mcporter/mcporter.json")["a"].findings == ()


@pytest.mark.parametrize(
    ("matches", "is_named"),
    [
        ('match = "a_drop"', True),
        ('match = "re:(a|b)_.*"', True),
        ("", True),
        ('match = "*"', True),
        ('match = "bash"', False),
    ],
)
@pytest.mark.parametrize("path", [".vibe/hooks.toml", "p/.vibe/hooks.toml"])
def test_the_hooks_of_mistral_vibe_are_named(files: ClientHome, path: str, matches: str, is_named: bool) -> None:
    files.write("p/.vibe/config.toml", '[[mcp_servers]]\nname = "a"\ntransport = "stdio"\ncommand = "x"\n')
    files.write(".vibe/trusted_folders.toml", f'trusted = ["{files.folder}/p"]')
    files.write(
        path, f'[[hooks]]\nname = "x"\ntype = "pre_tool"\ncommand = "x"\n{matches}\n[[hooks]]\ntype = "post_tool"\n'
    )
    found = files.found("p/.vibe/config.toml", "p")["a"]
    assert [one.rule for one in found.findings] == (["hook"] if is_named else [])


@pytest.mark.parametrize(
    ("settings", "installed", "is_off"),
    [
        ({"admin": {"extensions": {"enabled": False}}}, None, True),
        ({"admin": {"extensions": {"enabled": True}}}, None, False),
        ({"security": {"blockGitExtensions": True}}, {"type": "git", "source": "https://git.example/a"}, True),
        ({"security": {"blockGitExtensions": True}}, {"type": "github-release", "source": "a/b"}, True),
        ({"security": {"blockGitExtensions": True}}, {"type": "local", "source": "/a"}, False),
        ({"security": {"blockGitExtensions": True}}, None, False),
        ({"security": {"allowedExtensions": ["^https://git.example/"]}}, {"source": "https://git.example/a"}, False),
        ({"security": {"allowedExtensions": ["^https://git.example/"]}}, {"source": "https://other.example/a"}, True),
        ({"security": {"allowedExtensions": ["^https://git.example/"]}}, None, True),
        ({"security": {"allowedExtensions": ["("]}}, {"source": "("}, True),
        ({"security": {"allowedExtensions": []}}, None, False),
    ],
)
@pytest.mark.parametrize("path", [".gemini/settings.json", "root/etc/gemini-cli/settings.json"])
def test_an_extension_that_gemini_cli_may_not_load_is_off(
    files: ClientHome, path: str, settings: Any, installed: Any, is_off: bool
) -> None:
    servers = {"mcpServers": {"a": {"command": "x"}}}
    files.write(path, {**settings, **servers})
    files.write(".gemini/extensions/e/gemini-extension.json", {"name": "e", **servers})
    if installed:
        files.write(".gemini/extensions/e/.gemini-extension-install.json", installed)
    found = files.found(".gemini/extensions/e/gemini-extension.json")["a"]
    assert found.entry.get("disabled", False) == is_off
    files.write(".gemini/settings.json", {**settings, **servers})
    assert "disabled" not in files.found(".gemini/settings.json")["a"].entry  # the user's own servers are on


@pytest.mark.parametrize("name", ["a___drop", "a__drop", "mcp__a__drop", "a/drop", "A:drop"])
def test_a_tool_that_its_entry_switches_off_by_its_full_name_is_denied(name: str) -> None:
    assert permitted(load({}, disabledTools=[name])) == {"get", "get_all"}
    assert permitted(load({}, disabledTools=[f"b{name[1:]}" if name[0] in "aA" else "mcp__b__drop"])) == set(TOOLS)


def test_the_lists_of_droid_have_names_with_and_without_the_server() -> None:
    assert permitted(load({}, "droid", enabledTools=[])) == set(TOOLS)
    assert permitted(load({}, "droid", enabledTools=["a___get", "drop", "b___get_all"])) == {"get", "drop"}


@pytest.mark.parametrize(
    ("policy", "on"),
    [
        ({"enabled": False, "allowlist": []}, {"a", "b", "c"}),
        ({"enabled": True}, set()),
        ({"enabled": True, "allowlist": ["h.example"]}, {"a", "b"}),
        ({"enabled": True, "allowlist": ["https://*.h.example/other", "@acme/tools"]}, {"b", "c"}),
        ({"enabled": True, "allowlist": ["tools.example", "-"]}, set()),
    ],
)
def test_what_an_organisation_of_droid_permits_alone_is_on(files: ClientHome, policy: Any, on: set[str]) -> None:
    servers = {
        "a": {"type": "http", "url": "https://h.example/mcp"},
        "b": {"type": "http", "url": "https://b.h.example/mcp"},
        "c": {"command": "npx", "args": ["-y", "@acme/tools"]},
    }
    files.write(".factory/mcp.json", {"mcpServers": servers})
    files.write("root/etc/factory/settings.json", {"mcpPolicy": policy})
    found = files.found(".factory/mcp.json")
    assert {name for name, one in found.items() if not one.entry.get("disabled")} == on
    assert not any(one.findings for one in found.values())


@pytest.mark.parametrize(
    ("beside", "tools"),
    [
        # Qwen Code takes the names in its lists of servers for patterns.
        ({"mcp": {"excluded": ["*a*"]}}, None),
        ({"mcp": {"excluded": ["b*"]}}, set(TOOLS)),
        ({"mcp": {"allowed": ["[a-c]"]}}, set(TOOLS)),
        ({"mcp": {"allowed": ["b*"]}}, None),
        ({"tools": {"disabled": ["mcp__a__drop", "mcp__b__get"]}}, {"get", "get_all"}),
        # Gemini CLI always asks about these.
        ({"tools": {"confirmationRequired": ["mcp_a_drop", "run_shell_command"]}}, {"get", "get_all"}),
        # Its list of tools denies all others, also those of servers.
        ({"tools": {"core": ["read_file"]}}, set()),
        ({"tools": {"core": []}}, set()),
        (
            {"tools": {"core": ["read_file", "mcp_a_get"], "allowed": ["mcp_a_d*", "run_shell_command(git)"]}},
            {"get", "drop"},
        ),
        ({"extensions": {"disabled": ["x"]}}, set(TOOLS)),
        ({"hooks": {"BeforeTool": [{"matcher": "mcp_a_.*"}]}, "hooksConfig": {"enabled": False}}, set(TOOLS)),
    ],
)
def test_settings_of_gemini_and_qwen_limit_servers_and_tools(beside: dict[str, Any], tools: set[str] | None) -> None:
    loaded = load(beside, "gemini")
    assert loaded.findings == ()
    assert loaded.entries["a"].disabled == (tools is None)
    if tools is not None:
        assert permitted(loaded) == tools


@pytest.mark.parametrize(
    "beside",
    [
        {"admin": {"mcp": {"config": {"b": {"url": "https://b.example/"}}}}},
        {"tools": {"executionSandbox": {"filesystem": "read-only", "network": "closed"}}},
        {"tools": {"disabled": "mcp__a__drop"}},
        {"tools": {"confirmationRequired": "mcp_a_drop"}},
    ],
)
def test_settings_of_gemini_and_qwen_that_cannot_be_obeyed_refuse_the_servers(beside: dict[str, Any]) -> None:
    assert [one.rule for one in load(beside, "gemini").refused["a"]] == ["limit"]


def test_the_time_in_which_qwen_code_discovers_tools_is_that_of_a_connection() -> None:
    loaded = load({}, "gemini", discoveryTimeoutMs=5000)
    assert loaded.findings == ()
    assert loaded.entries["a"].options.connect_timeout == 5


def test_a_file_that_opencode_reads_is_looked_up_where_it_is(files: ClientHome) -> None:
    headers = {"A": "Bearer {file:key}", "B": "{file:~/b}", "C": "{file:/run/c}", "D": "{env:TOKEN}"}
    path = ".config/opencode/opencode.json"
    folder = files.write(path, {"mcp": {"a": {"type": "remote", "url": "https://h/", "headers": headers}}}).parent
    found = files.found(path)["a"]
    assert found.findings == ()
    assert found.entry["headers"] == {
        "A": f"Bearer ${{secret:file:{folder}/key}}", "B": "${secret:file:~/b}", "C": "${secret:file:/run/c}",
        "D": "{env:TOKEN}",
    }  # fmt: skip
    loaded = load_mcp_json(json.dumps({"mcpServers": {"a": found.entry}}), files.environment)
    assert loaded.entries["a"].references[-1] == "${secret:file:~/b}"


def test_what_copilot_writes_into_an_entry_limits_nothing_but_its_tools() -> None:
    body = {
        "deferTools": "never", "disableToolCache": True, "disableSecretMasking": True, "safeForTelemetry": True,
        "slowConnectionThresholdMs": 9000, "configWarnings": [], "sourcePlugin": "x", "excludeTools": ["drop"],
    }  # fmt: skip
    loaded = load({}, "copilot", **body)
    assert loaded.findings == ()
    assert permitted(loaded) == {"get", "get_all"}


def test_droid_writes_times_in_milliseconds() -> None:
    options = load({}, "droid", timeout=3000, connectTimeout=2000).entries["a"].options
    assert (options.timeout, options.connect_timeout) == (3, 2)


def test_the_list_of_qwen_code_s_own_tools_is_not_about_servers(files: ClientHome) -> None:
    settings = {"mcpServers": {"a": {"command": "x"}}, "tools": {"core": ["read_file"], "exclude": ["mcp__a__drop"]}}
    path = ".qwen/settings.json"
    files.write(path, settings)
    assert files.found(path)["a"].entry["ostler"]["denyTools"][-1] == "a__drop"
    files.write(".gemini/settings.json", settings)
    assert "*" in files.found(".gemini/settings.json")["a"].entry["ostler"]["denyTools"]


def test_what_claude_code_switches_on_of_its_own_switches_nothing_off(files: ClientHome) -> None:
    project = {"mcpServers": {"a": {"command": "x"}}, "enabledMcpServers": ["computer-use"]}
    files.write(".claude.json", {"mcpServers": {"b": {"command": "x"}}, "projects": {str(files.folder / "p"): project}})
    assert not any(one.entry.get("disabled") for one in files.found(".claude.json").values())
    assert load({"enabledMcpServers": ["b"]}).entries["a"].disabled, "in a file of a client that is not known"


def test_goose_has_no_extension_on_that_is_not_enabled(files: ClientHome) -> None:
    extensions: dict[str, Any] = {name: {"name": name, "type": "stdio", "cmd": "x"} for name in ("a", "b", "c")}
    extensions["b"]["enabled"], extensions["c"]["enabled"] = True, False
    files.write(".config/goose/config.yaml", {"extensions": extensions})
    found = files.found(".config/goose/config.yaml")
    assert {name for name, one in found.items() if one.entry.get("disabled")} == {"a", "c"}


@pytest.mark.parametrize(
    ("said", "is_on"),
    [
        ("agent: {disabled_toolsets: [mcp-a, memory]}", {"b"}),
        ("agent: {disabled_toolsets: [a]}", {"b"}),
        ("platform_toolsets: {cli: [hermes-cli, no_mcp]}", set[str]()),
        ("platform_toolsets: {cli: [hermes-cli, b], telegram: [no_mcp]}", {"b"}),
        ("platform_toolsets: {cli: [hermes-cli]}\nmcp: {auto_reload_on_config_change: true}", {"a", "b"}),
    ],
)
def test_hermes_has_the_servers_of_its_sets_of_tools(files: ClientHome, said: str, is_on: set[str]) -> None:
    files.write(".hermes/config.yaml", f"{said}\nmcp_servers:\n  a: {{command: x}}\n  b: {{command: x}}\n")
    found = files.found(".hermes/config.yaml")
    assert {name for name, one in found.items() if not one.entry.get("disabled")} == is_on
    assert not any(one.findings for one in found.values())


def test_oh_my_pi_denies_tools_by_names_of_its_own_making(files: ClientHome) -> None:
    files.write("p/.omp/mcp.json", {"mcpServers": {"my-db": {"command": "x"}, "web": {"command": "x"}}})
    files.write(".omp/agent/config.yml", "tools: {approval: {bash: prompt, mcp__my_db_getuser: deny}}\n")
    files.write("p/.omp/config.yml", "tools: {approval: {mcp__web_a_b: prompt, mcp__web_c: allow}}\n")
    found = files.found("p/.omp/mcp.json", "p")
    denied = {
        name: {
            tool
            for tool in ("getUser", "my_db_getUser", "getUsers", "a-b", "a_b", "web-a-b", "c", "bash")
            if any(fnmatchcase(tool, glob) for glob in one.entry.get("ostler", {}).get("denyTools", ()))
        }
        for name, one in found.items()
    }
    assert denied == {"my-db": {"getUser", "my_db_getUser"}, "web": {"a-b", "a_b", "web-a-b"}}


def test_goose_fills_what_it_sends_from_the_entry_s_own_variables(files: ClientHome) -> None:
    text = """
extensions:
  web:
    enabled: true
    type: streamable_http
    uri: https://h.example/${PLACE}
    envs: {PLACE: mcp, API_KEY: plain-k3y}
    env_keys: [TOKEN]
    headers: {Authorization: Bearer $TOKEN, X-Key: "${API_KEY}", X-Price: $US}
    client_id: ${PLACE}-client
    client_secret_key: TOKEN
  program: {enabled: true, type: stdio, cmd: npx, args: [$PLACE], envs: {PLACE: mcp}}
"""
    files.write(".config/goose/config.yaml", text)
    found = files.found(".config/goose/config.yaml")
    web, program = found["web"], found["program"]
    assert web.entry["url"] == "https://h.example/mcp"
    assert web.entry["headers"] == {"Authorization": "Bearer ${env:TOKEN}", "X-Key": "plain-k3y", "X-Price": "$US"}
    assert web.entry["oauth"] == {"clientId": "mcp-client", "clientSecret": "${env:TOKEN}"}
    assert "plain-k3y" not in str(web.shown)
    assert (program.entry["args"], program.entry["env"]) == (["$PLACE"], {"PLACE": "mcp"})
