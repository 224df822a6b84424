"""Entries of every MCP client: each key and variable in its client's meaning, by the tables that the reader uses."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ostler.adapters.config.client_files import Machine
from ostler.adapters.config.dialects.client_texts import Source, parse_source
from ostler.adapters.config.dialects.clients import ANY, CLIENTS
from ostler.adapters.config.dialects.draft import Draft
from ostler.adapters.config.dialects.entry_places import PLACES
from ostler.adapters.config.dialects.key_rows import Key
from ostler.adapters.config.dialects.keys import KEYS
from ostler.adapters.config.dialects.names import server_names
from ostler.adapters.config.dialects.variables import VARIABLES
from ostler.adapters.config.dialects.windows import without_windows_shell
from ostler.adapters.config.imports import candidates_in
from ostler.adapters.config.mcp_content import McpJson
from ostler.adapters.config.mcp_json import load_mcp_json
from ostler.model.durations import LONGEST

ENV = {"HOME": "/home/ada", "TOKEN": "s3cret-token", "EMPTY": ""}
TOOLS = ("get", "get_all", "drop", "put*")


def load(root: Any, client: str = "", **given: Any) -> McpJson:
    clients = frozenset({client}) if client else ANY
    return load_mcp_json(json.dumps(root), ENV, file="mcp.json", clients=clients, **given)


def source(root: Any) -> Source:
    return parse_source(json.dumps(root, indent=1), "other.json")


def entry(body: dict[str, Any], client: str = "", **given: Any) -> McpJson:
    return load({"mcpServers": {"a": body}}, client, **given)


def as_written_by(client: str, body: dict[str, Any], **given: Any) -> McpJson:
    """Load `body` from where the client keeps its entries."""
    path = next(path for path, writers in PLACES if client in writers)
    root: Any = {"a": {"enabled": True, **body} if client == "goose" else body}  # which is off without it there
    for key in reversed(path):
        root = {key: root}
    return load(root, client, **given)


def permitted(loaded: McpJson) -> set[str]:
    return {tool for tool in TOOLS if loaded.entries["a"].options.permits(tool)}


CELLS = [
    pytest.param(key, client, id=f"{client}-{key.name}-{index}")
    for index, key in enumerate(KEYS)
    for client in (sorted(key.clients) if key.clients != ANY else ["claude-desktop"])
]


@pytest.mark.parametrize(("key", "client"), CELLS)
def test_every_key_means_what_its_client_means(key: Key, client: str) -> None:
    is_remote = {"url", "headers", "headersHelper", "oauth"} & key.becomes.keys()
    remote = {"type": "http", "url": "https://h.example/mcp"} if is_remote else {"command": "x"}
    base = {} if {"url", "command"} & key.becomes.keys() else remote
    loaded = as_written_by(client, {**base, key.name: key.example})
    at_key = [finding for finding in loaded.findings if f"a.{key.name}" in finding.path]
    assert loaded.findings == tuple(at_key), "nothing else is found"
    match key.outcome:
        case "entry refused":
            assert [finding.severity for finding in at_key] == ["error"]
            assert list(loaded.refused) == ["a"]
            assert loaded.entries == {}
            assert at_key[0].fix
        case "reported":
            assert {finding.severity for finding in at_key} <= {"warning", "note"}
            assert at_key
            assert "a" in loaded.entries
        case "passed over":
            assert loaded.findings == ()
            assert loaded.entries == as_written_by(client, base).entries
        case "limit obeyed" | "taken":
            assert {finding.severity for finding in at_key} <= {"warning"}
            assert loaded.drafts["a"] == {**base, **key.becomes}
            assert loaded.entries["a"].transport


def test_the_table_has_every_client_and_says_something_of_each_key() -> None:
    own = {client for key in KEYS if key.clients != ANY for client in key.clients}
    assert set(CLIENTS) - own <= {"claude-desktop", "mcpb", "registry"}
    assert len({(key.name, key.clients, key.meaning) for key in KEYS}) == len(KEYS)
    assert all(key.meaning for key in KEYS)


@pytest.mark.parametrize(
    ("limits", "tools"),
    [
        ({"disabledTools": ["drop"]}, {"get", "get_all", "put*"}),
        ({"excludeTools": ["put*"]}, {"get", "get_all", "drop"}),
        ({"disabledTools": ["get*"]}, {"drop", "put*"}),
        ({"disabledTools": ["*"]}, set()),
        ({"includeTools": ["get*", "drop"]}, {"drop"}),
        ({"tools": {"include": ["get", "drop"], "exclude": ["drop"]}}, {"get"}),
        ({"excludeTools": ["drop(now)"]}, {"get", "get_all", "put*"}),
        ({"tools": []}, set()),
        ({"available_tools": []}, set(TOOLS)),
        ({"tools": ["*"], "disabledTools": ["get"]}, {"get_all", "drop", "put*"}),
        ({"includeTools": ["get", "drop"], "excludeTools": ["drop"]}, {"get"}),
        ({"enabledTools": ["get", "drop"], "tools": ["get"]}, {"get"}),
        ({"tools": ["get", "drop"], "ostler": {"allowTools": ["get*"]}}, {"get"}),
        ({"allowTools": ["get*"], "ostler": {"allowTools": ["*"]}}, {"get", "get_all"}),
        ({"disabledTools": ["get"], "ostler": {"denyTools": ["put*"]}}, {"get_all", "drop"}),
        ({"toolPermissions": {"drop": "blocked", "get": "allow", "put*": "ask"}}, {"get", "get_all"}),
        ({"tools": [{"name": "drop", "permission_policy": "always_ask"}, {"name": "get"}]}, {"get", "get_all", "put*"}),
        ({"tools": {"drop": {"enabled": False}, "get": {"enabled": True}}}, {"get", "get_all", "put*"}),
        ({"trust": True, "includeTools": ["*", "get(x)"]}, {"get"}),
        ({"tools": {"a-drop": {"enabled": False}, "a::get": {"enabled": True}}}, {"get", "get_all", "put*"}),
        ({"toolFilter": {"include": ["get*", "drop"], "exclude": ["*_all"]}}, {"get", "drop"}),
        ({"toolFilter": {"mode": "allow", "list": ["get", "drop"]}, "denyTools": ["drop"]}, {"get"}),
        ({"options": {"toolFilter": {"mode": "allow", "list": []}, "authTokens": []}}, set(TOOLS)),
        (
            {"options": {"toolFilter": {"mode": "block", "list": ["put*"]}, "logEnabled": True}, "tools": ["get"]},
            {"get"},
        ),
    ],
)
def test_a_tool_may_be_called_only_when_every_list_permits_it(limits: dict[str, Any], tools: set[str]) -> None:
    assert permitted(entry({"command": "x", **limits})) == tools


def test_only_mcphub_writes_the_servers_name_before_that_of_a_tool() -> None:
    for client, denied in (("mcphub", {"drop"}), ("codex", set[str]())):
        body = {"command": "x", "tools": {"a-drop": {"approval_mode": "prompt"}}}
        assert set(TOOLS) - permitted(as_written_by(client, body)) == denied


@pytest.mark.parametrize(
    "body",
    [
        {"enabled": "false"},
        {"disabledTools": "drop"},
        {"includeTools": [1]},
        {"tools": {"drop": {"mode": "never"}}},
        {"allowTools": ["get*"], "ostler": {"allowTools": ["*_all"]}},
        {"blockedOperations": ["drop"]},
        {"readOnly": True},
        {"toolPermissions": {"drop": "sometimes"}},
        {"requestsPerMinute": 3},
        {"roots": ["/srv"]},
        {"tools": {"get": ["a"]}},
        {"status": "deleted"},
        {"tools": [{"permission_policy": "always_deny"}]},
        {"tools": {"drop": {"output_token_limit": 100}}},
        {"environment_id": "devbox"},
        {"omit_tools_from": ["everywhere"]},
        {"networkPolicy": "none"},
        {"default_tools_approval_mode": "prompt"},
        {"options": {"toolFilter": {"mode": "some", "list": ["drop"]}}},
        {"options": {"authTokens": ["secret"]}},
        {"resources": {"limits": {"memory": "512m"}}},
        {"prompts": {"x": {"enabled": False, "allowedRoles": ["a"]}}},
        {"options": {"blockedOperations": ["drop"]}},
        {"toolFilter": {"include": "get"}},
        {"dev": {"allowedHosts": ["a.example"]}},
        {"anythingllm": {"autoStart": True, "allowedAgents": ["a"]}},
        {"tools": {"get": "sometimes"}},
        {"access_groups": ["dev"]},
        {"accessLevel": "read"},
        {"toolConfig": {"drop": {"enabled": False}}},
        {"hiddenTools": ["drop"]},
        {"onlyTools": ["get"]},
        {"skip_tools": ["drop"]},
        {"status": "disabled"},
        {"state": "off"},
        {"runAs": "nobody"},
        {"network": "none"},
        {"container": True},
        {"maxConcurrency": 1},
        {"alwaysAsk": ["drop"]},
        {"platforms": ["win32"]},
        {"expiresAt": "2020-01-01"},
    ],
)
def test_a_limit_that_cannot_be_obeyed_refuses_its_entry(body: dict[str, Any]) -> None:
    loaded = entry({"command": "x", **body})
    assert loaded.entries == {}
    assert [finding.rule for finding in loaded.refused["a"]] == ["limit"]


@pytest.mark.parametrize(
    ("beside", "tools"),
    [
        ({"mcp": {"excluded": ["a"]}}, None),
        ({"mcp": {"allowed": ["b"]}}, None),
        ({"disabledMcpServers": ["a"]}, None),
        ({"deniedMcpServers": [{"serverName": "a"}]}, None),
        # Claude Code's rules about commands and addresses: a name is not enough where there are some.
        ({"deniedMcpServers": [{"serverCommand": ["x"]}]}, None),
        ({"deniedMcpServers": [{"serverCommand": ["x", "-y"]}, {"serverUrl": "*"}]}, set(TOOLS)),
        ({"allowedMcpServers": [{"serverCommand": ["x"]}]}, set(TOOLS)),
        ({"allowedMcpServers": [{"serverCommand": ["y"]}, {"serverName": "a"}]}, None),
        ({"allowedMcpServers": [{"serverUrl": "https://*.example.com/*"}]}, None),
        ({"allowedMcpServers": [{"serverUrl": "https://*"}, {"serverName": "a"}]}, set(TOOLS)),
        ({"allowedMcpServers": [{"serverName": "a"}], "allowManagedMcpServersOnly": True}, set(TOOLS)),
        ({"strictPluginOnlyCustomization": ["skills"]}, set(TOOLS)),
        ({"permissions": {"deny": ["mcp__a"]}}, set()),
        ({"permissions": {"deny": ["mcp__a__drop", "Bash"]}}, {"get", "get_all", "put*"}),
        ({"amp.tools.disable": ["mcp__a__get*", "builtin"]}, {"drop", "put*"}),
        ({"tools": {"a_drop": False, "b_get": False}}, {"get", "get_all", "put*"}),
        ({"tools": {"a*": False}}, set()),
        ({"permission": {"*_drop": "ask"}}, {"get", "get_all", "put*"}),
        ({"tools": ["@a/get", "fs_read"]}, {"get"}),
        ({"tools": {"exclude": ["mcp_a_drop", "run_shell_command"]}}, {"get", "get_all", "put*"}),
        ({"tools": {"exclude": ["a__drop"]}}, {"get", "get_all", "put*"}),
        ({"excludeTools": ["drop"]}, {"get", "get_all", "put*"}),
        ({"agent": {"tool_permissions": {"tools": {"mcp:a:drop": {"default": "deny"}}}}}, {"get", "get_all", "put*"}),
        (
            {"agent": {"tool_permissions": {"tools": {"mcp:a:drop": {"always_confirm": [{"pattern": "x"}]}}}}},
            {"get", "get_all", "put*"},
        ),
        ({"amp.permissions": [{"tool": "mcp__a__drop", "action": "reject"}]}, {"get", "get_all", "put*"}),
        ({"agent": {"tool_permissions": {"default": "deny"}}}, set()),
        (
            {"agent": {"tool_permissions": {"default": "deny", "tools": {"mcp:a:get": {"default": "allow"}}}}},
            {"get"},
        ),
        (
            {"agent": {"profiles": {"write": {"enable_all_context_servers": False}}}},
            set(),
        ),
        (
            {
                "agent": {
                    "default_profile": "mine",
                    "profiles": {
                        "mine": {
                            "enable_all_context_servers": False,
                            "context_servers": {"a": {"tools": {"get": True, "drop": False}}},
                        }
                    },
                }
            },
            {"get"},
        ),
        (
            {"agent": {"profiles": {"write": {"context_servers": {"a": {"tools": {"drop": False}}}}}}},
            {"get", "get_all", "put*"},
        ),
        ({"amp.permissions": [{"tool": "*", "action": "reject"}]}, set()),
        (
            {
                "amp.permissions": [
                    {"tool": "mcp__a__get", "action": "allow"},
                    {"tool": "mcp__*", "action": "ask"},
                ]
            },
            {"get"},
        ),
        (
            {
                "amp.permissions": [
                    {"tool": "mcp__a__get", "matches": {"q": "x*"}, "action": "allow"},
                    {"tool": "mcp__a__get*", "action": "reject"},
                ]
            },
            {"drop", "put*"},
        ),
        ({"amp.permissions": [{"tool": "Bash", "action": "ask"}]}, set(TOOLS)),
        ({"amp.tools.disable": ["*"]}, set()),
        ({"amp.tools.disable": ["drop", "builtin:get"]}, {"get", "get_all", "put*"}),
        ({"amp.mcpPermissions": [{"matches": {"command": "x"}, "action": "allow"}, {"action": "reject"}]}, set(TOOLS)),
        ({"amp.mcpPermissions": [{"matches": {"url": "*"}, "action": "allow"}]}, set(TOOLS)),
        ({"permission": "deny"}, set()),
        ({"permission": "allow"}, set(TOOLS)),
        ({"permission": {"*": "ask", "a_get*": "allow"}}, {"get", "get_all"}),
        ({"permission": {"a_get*": "allow", "*": "ask"}}, set()),
        ({"permission": {"a_drop": {"*": "allow", "x": "deny"}}}, {"get", "get_all", "put*"}),
        ({"permission": {"bash": {"*": "ask"}, "edit": "deny"}}, set(TOOLS)),
        ({"tools": {"*": False, "a_get": True}}, {"get"}),
        # opencode's second version: a list of rules, of which the last one counts, and policies.
        ({"permissions": [{"action": "a_drop", "resource": "*", "effect": "deny"}]}, {"get", "get_all", "put*"}),
        (
            {
                "permissions": [
                    {"action": "*", "resource": "*", "effect": "ask"},
                    {"action": "a_get*", "resource": "*", "effect": "allow"},
                    {"action": "a_get_all", "resource": "x", "effect": "deny"},
                    {"action": "a_drop", "resource": "x", "effect": "allow"},
                ]
            },
            {"get"},
        ),
        ({"permissions": [{"action": "shell", "resource": "git push *", "effect": "deny"}]}, set(TOOLS)),
        (
            {"agents": {"build": {"permissions": [{"action": "a_*", "resource": "*", "effect": "deny"}]}}},
            set(),
        ),
        (
            {
                "policies": [
                    {"action": "provider.use", "resource": "*", "effect": "deny"},
                    {"action": "integration.use", "resource": "skill:x", "effect": "deny"},
                ]
            },
            set(TOOLS),
        ),
        (
            {
                "experimental": {
                    "policies": [
                        {"action": "permission", "resource": "*", "effect": "deny"},
                        {"action": "permission", "resource": "a_get*:*", "effect": "allow"},
                        {"action": "permission", "resource": "a_get_all:x", "effect": "deny"},
                        {"action": "permission", "resource": "a_drop:x", "effect": "allow"},
                        {"action": "mcp.use", "resource": "b", "effect": "deny"},
                    ]
                }
            },
            {"get"},
        ),
        ({"policies": [{"action": "tool.use", "resource": "shell:git push *", "effect": "deny"}]}, set(TOOLS)),
        ({"policies": [{"action": "mcp.use", "resource": "*", "effect": "deny"}]}, None),
        ({"policies": [{"action": "integration.use", "resource": "mcp:a", "effect": "deny"}]}, None),
        (
            {
                "policies": [
                    {"action": "integration.use", "resource": "*", "effect": "deny"},
                    {"action": "integration.use", "resource": "mcp:a", "effect": "allow"},
                ]
            },
            set(TOOLS),
        ),
        ({"permissions": {"deny": ["Mcp(a:drop)", "Shell(rm)"]}}, {"get", "get_all", "put*"}),
        ({"permissions": {"ask": ["Mcp(a)"]}}, set()),
        ({"permissions": {"deny": ["mcp__*"]}}, set()),
        ({"permissions": {"defaultMode": "dontAsk", "allow": ["Bash", "mcp__a__get"]}}, {"get"}),
        ({"permissions": {"defaultMode": "dontAsk", "allow": ["mcp__a"]}}, set(TOOLS)),
        ({"permissions": {"defaultMode": "plan", "allow": ["mcp__a__get"]}}, set(TOOLS)),
        ({"permissions": {"deny": ["mcp__*__drop"]}}, {"get", "get_all", "put*"}),
        # Mistral Vibe's lists.
        ({"enable_mcp": True, "disabled_tools": ["re:a_get.*", "re:^bash$"]}, {"drop", "put*"}),
        ({"enabled_tools": ["re:^a_g.t$", "b*"]}, {"get"}),
        ({"disabled_tools": ["re:(a_(get(_all)?|none)|bash)"]}, {"drop", "put*"}),
        ({"disabled_tools": ["re:[a-c]_d\\w.+", "re:a_(get"]}, {"get", "get_all", "put*"}),
        ({"enabled_tools": ["re:(?:a|b)_(get|drop)"]}, {"get", "drop"}),
        ({"disabled_tools": ["A_Drop", " a_PUT* ", "re:A_GET_.ll"]}, {"get"}),
        ({"enabled_tools": ["re:A_[D-G](ET|ROP)"]}, {"get", "drop"}),
        ({"tools": []}, None),
        ({"tools": ["fs_read"]}, None),
        ({"tools": ["@a"]}, set(TOOLS)),
        ({"tools": ["@a/get*", "@b"]}, {"get", "get_all"}),
        ({"tools": ["a/get", "edit"]}, {"get"}),
        ({"tools": ["Read", "mcp__a__get"]}, {"get"}),
        ({"chat.mcp.access": "all", "chat.mcp.gallery.enabled": False}, set(TOOLS)),
        ({"chat.mcp.discovery.enabled": {"cursor-global": False}}, set(TOOLS)),
        ({"tools": ["@b"]}, None),
        ({"mcpDisabled": ["a"]}, None),
        (
            {"agent": {"build": {"tools": {"a_drop": False}}, "plan": {"tools": {"a*": False}}}},
            {"get", "get_all", "put*"},
        ),
        (
            {"amp": {"tools": {"disable": ["drop"]}, "permissions": [{"tool": "mcp__a__get", "action": "ask"}]}},
            {"get_all", "put*"},
        ),
        ({"enable_language_server": True, "disable_ai": False}, set(TOOLS)),
        ({"tools": ["*"]}, set(TOOLS)),
        ({"mcp": {"allowed": ["a"]}}, set(TOOLS)),
        # Gemini CLI's policies.
        (
            {"rule": [{"mcpName": "a", "toolName": "drop", "decision": "deny", "priority": 1}]},
            {"get", "get_all", "put*"},
        ),
        ({"rule": [{"mcpName": "*", "toolName": ["drop", "get"], "decision": "ask_user"}]}, {"get_all", "put*"}),
        ({"rule": [{"toolName": "mcp_a_*", "decision": "deny", "priority": 1}]}, set()),
        ({"rule": [{"toolName": "*", "decision": "deny"}]}, set()),
        (
            {"rule": [{"mcpName": "b", "decision": "deny"}, {"toolName": "run_shell_command", "decision": "deny"}]},
            set(TOOLS),
        ),
        (
            {
                "rule": [
                    {"mcpName": "a", "decision": "deny", "priority": 1},
                    {"mcpName": "a", "toolName": "get", "decision": "allow", "priority": 2},
                    {"mcpName": "a", "toolName": "drop", "decision": "allow", "priority": 3, "argsPattern": "x"},
                ]
            },
            {"get"},
        ),
        (
            {
                "rule": [
                    {"mcpName": "a", "toolName": "drop", "decision": "deny", "priority": 2, "argsPattern": "x"},
                    {"mcpName": "a", "decision": "allow", "priority": 1},
                ]
            },
            {"get", "get_all", "put*"},
        ),
        ({"rule": [{"toolName": "*", "decision": "deny", "modes": ["plan"]}]}, set(TOOLS)),
        ({"safety_checker": [{"mcpName": "a", "toolName": "drop", "checker": {}}]}, {"get", "get_all", "put*"}),
        # Goose's permissions.
        ({"user": {"never_allow": ["a__drop"], "ask_before": ["a__get", "b__put*"]}}, {"get_all", "put*"}),
        ({"user": {"always_allow": ["a__get"], "ask_before": ["a__get"]}}, set(TOOLS)),
        ({"smart_approve": {"ask_before": ["a__drop"]}, "GOOSE_MODE": "approve"}, set(TOOLS)),
        # Kiro's permissions: what one rule denies no other one allows.
        ({"rules": [{"capability": "mcp", "effect": "deny", "match": ["a/drop", "b/*"]}]}, {"get", "get_all", "put*"}),
        (
            {
                "rules": [
                    {"capability": "mcp", "effect": "allow"},
                    {"capability": "mcp", "effect": "ask", "match": ["a/*"], "exclude": ["a/get*"]},
                    {"capability": "mcp", "effect": "deny", "match": ["*/get_all"]},
                ]
            },
            {"get"},
        ),
        ({"rules": [{"capability": "all", "effect": "ask"}]}, set()),
        ({"rules": [{"capability": "mcp", "effect": "deny", "match": "a/drop"}]}, {"get", "get_all", "put*"}),
        ({"rules": [{"capability": "mcp", "effect": "deny", "match": []}]}, set()),
        ({"rules": [{"capability": "shell", "effect": "deny"}, {"capability": "mcp", "effect": "allow"}]}, set(TOOLS)),
        # Augment's tools are called by their own name and their server's after it.
        ({"toolPermissions": [{"toolName": "drop_a", "permission": {"type": "deny"}}]}, {"get", "get_all", "put*"}),
        (
            {
                "toolPermissions": [
                    {"toolName": "drop_a", "permission": {"type": "allow"}},
                    {"toolName": "drop_a", "permission": {"type": "deny"}},
                    {"toolName": "get_a", "permission": {"type": "script-policy", "script": "x"}},
                    {"toolName": "get_all", "permission": {"type": "deny"}},
                ]
            },
            {"drop", "get_all", "put*"},
        ),
        ({"removedTools": ["drop_a", "get_b"]}, {"get", "get_all", "put*"}),
        # Antigravity, Grok, Kimi Code and Mistral Vibe.
        ({"permissions": {"deny": ["mcp(a/drop)", "command(rm)"]}}, {"get", "get_all", "put*"}),
        ({"permissions": {"ask": ["mcp(a)"]}}, set()),
        ({"permissions": {"deny": ["mcp(*)"]}}, set()),
        ({"permission": {"deny": ["MCPTool(a__drop)", "Bash(rm *)"]}}, {"get", "get_all", "put*"}),
        ({"permission": {"ask": ["MCPTool"]}}, set()),
        (
            {"permission": {"rules": [{"action": "deny", "tool": "MCPTool", "pattern": "a__drop"}]}},
            {"get", "get_all", "put*"},
        ),
        ({"permission": {"rules": [{"decision": "deny", "pattern": "mcp__a__drop"}]}}, {"get", "get_all", "put*"}),
        ({"permission": {"rules": [{"decision": "allow", "pattern": "mcp__a__*"}]}}, set(TOOLS)),
        ({"disabled_tools": ["a_drop", "b_*"]}, {"get", "get_all", "put*"}),
        ({"enabled_tools": ["a_get*", "b_drop"], "disabled_tools": ["a_get_all"]}, {"get"}),
        ({"mcp": {"disabledServers": ["a"]}}, None),
        ({"mcp": {"disabledServers": ["b"]}}, set(TOOLS)),
        ({"tools": {"a_drop": {"permission": "never"}, "a_get": {"permission": "always"}}}, {"get", "get_all", "put*"}),
        # ECA's approvals: a default counts last.
        ({"toolCall": {"approval": {"deny": {"a__drop": {}}, "byDefault": "allow"}}}, {"get", "get_all", "put*"}),
        ({"toolCall": {"approval": {"ask": {"a": {}}}}}, set()),
        (
            {
                "toolCall": {
                    "approval": {
                        "byDefault": "ask",
                        "allow": {"a__get": {}, "a__drop": {"argsMatchers": {"x": ["y"]}}, "eca__read_file": {}},
                        "deny": {"a__get_all": {"argsMatchers": {"x": [".*"]}}},
                    }
                }
            },
            {"get"},
        ),
        ({"mcpToolSearch": {"includePattern": [".*"], "excludePattern": ["a"]}}, set(TOOLS)),
        ({"nativeMCPServers": {"neovim": {"disabled": True, "disabled_tools": ["x"]}}}, set(TOOLS)),
        ({"mcp": {"enabled": True, "auto_start": False}}, set(TOOLS)),
        # OpenClaw: its policy of all agents, and that of the agent that it starts with.
        ({"tools": {"profile": "coding", "deny": ["a__drop", "exec"]}}, {"get", "get_all", "put*"}),
        ({"tools": {"deny": ["bundle-mcp"]}}, set()),
        ({"tools": {"profile": "minimal"}}, set()),
        ({"tools": {"profile": "minimal", "alsoAllow": ["a__get*"]}}, {"get", "get_all"}),
        ({"tools": {"allow": ["read", "bundle-mcp"], "deny": ["a__get"]}}, {"get_all", "drop", "put*"}),
        (
            {"agents": {"list": [{"tools": {"deny": ["*"]}}, {"default": True, "tools": {"deny": ["a__get"]}}]}},
            {"get_all", "drop", "put*"},
        ),
        ({"agents": {"entries": {"main": {"tools": {"allow": ["a__drop"]}}}}}, {"drop"}),
        # Its policies for the provider of a model: what one denies, and all of those for the agent's model.
        ({"tools": {"byProvider": {"google": {"deny": ["a__drop"]}}}}, {"get", "get_all", "put*"}),
        ({"tools": {"byProvider": {"google": {"profile": "minimal"}}}}, set()),
        (
            {
                "tools": {
                    "byProvider": {
                        "google": {"profile": "minimal", "deny": ["a__drop"]},
                        "Anthropic": {"profile": "minimal"},
                        "anthropic/claude-x": {"allow": ["a__get", "a__drop"]},
                    }
                },
                "agents": {"defaults": {"model": {"primary": "anthropic/claude-x"}}},
            },
            {"get"},
        ),
        ({"ai-features.AiEnable.enableAI": True}, set(TOOLS)),
        ({"tools": {"sandbox": False}, "sandbox": {"enabled": True}}, set(TOOLS)),
        (
            {
                "security": [{"tool": "mcp__a__get", "mode": "allow"}, {"tool": "bash", "mode": "deny"}],
                "images": {"image": "mcp/a", "pull": "never"},
                "official_docs": ["mcp__a__get"],
                "offline": {"asking_price": "mcp__a__get"},
            },
            set(TOOLS),
        ),
    ],
)
def test_what_a_file_says_next_to_its_servers_limits_them(beside: dict[str, Any], tools: set[str] | None) -> None:
    loaded = load({"mcpServers": {"a": {"command": "x"}}, **beside})
    assert loaded.findings == ()
    assert loaded.entries["a"].disabled == (tools is None)
    if tools is not None:
        assert permitted(loaded) == tools


@pytest.mark.parametrize(
    "beside",
    [
        {"permissions": {"deny": ["mcp__My_Server__drop"]}},
        {"amp.tools.disable": ["mcp__My_Server__drop"]},
        {"tools": {"My_Server_drop": False}},
        {"tools": {"exclude": ["mcp_My_Server_drop"]}},
        {"user": {"never_allow": ["myserver__drop"]}},
        {"rule": [{"mcpName": "My Server", "toolName": "drop", "decision": "deny"}]},
    ],
)
def test_a_rule_calls_a_server_by_what_its_client_makes_of_the_name(beside: dict[str, Any]) -> None:
    loaded = load({"mcpServers": {"My Server": {"command": "x"}}, **beside})
    assert not loaded.entries["My-Server"].options.permits("drop")
    assert loaded.entries["My-Server"].options.permits("get")


@pytest.mark.parametrize(
    "beside",
    [
        {"blockedServers": ["a"]},
        {"amp.mcpPermissions": [{"action": "reject"}]},
        {"deniedMcpServers": [{"identity": {"command": "x"}}]},
        {"deniedMcpServers": [{"serverCommand": "x"}]},
        {"deniedMcpServers": [{"serverCommand": ["x", 1]}]},
        {"deniedMcpServers": [{"serverName": "b", "serverUrl": 1}]},
        {"strictPluginOnlyCustomization": ["skills", "mcp"]},
        {"strictPluginOnlyCustomization": True},
        {"experimental": {"policies": [{"action": "mcp.start", "resource": "a", "effect": "deny"}]}},
        {"amp.mcpPermissions": [{"matches": {"command": "x*"}, "action": "reject"}]},
        {"amp.mcpPermissions": [{"matches": {"publisher": "acme"}, "action": "allow"}]},
        {"chat.mcp.access": "registry"},
        {"disable_ai": True},
        {"agent": {"enabled": False}},
        {"mcpRestrictions": {"a": ["get"]}},
        {"chat": {"mcp": {"access": "none"}}},
        {"chat.mcp.enabled": False},
        {"mcp": {"enabled": False}},
        {"mcp": {"disabled": True}},
        {"tools": {"mcp": {"enabled": False}}},
        {"admin": {"mcp": {"enabled": False}}},
        {"admin": {"mcp": {"requiredConfig": {"b": {"url": "https://b.example"}}}}},
        {"interface": {"mcpServers": {"use": False}}},
        {"GOOSE_MODE": "chat"},
        {"ai-features.AiEnable.enableAI": False},
        {"tools": {"sandbox": "docker"}},
        {"sandbox": True},
        {"settings": {"chat.disableAIFeatures": True}},
        {"customizations": {"vscode": {"settings": {"chat.agent.enabled": False}}}},
        {"enable_mcp": False},
        {"disabled_tools": ["re:^a_(x|y)+"]},
        {"disabled_tools": ["re:(?!a_get).*"]},
        {"disabled_tools": [f"re:{'(' * 2_000}a{')' * 2_000}"]},
        {"enabled_tools": [f"re:{'(a|b)' * 7}"]},
        {"enabled_tools": ["a_(get|drop)"]},
        {"agents": {"execution_profiles": {"default": {"mcp_denylist": ["a"]}}}},
        {"toolPermissions": {"rules": [{"pattern": "mcp__a__.*", "mode": "deny"}]}},
        {"security": {"policy": {"mcp__a__drop": "ask"}}},
        {"security": {"denied": ["bash", "mcp__a__drop"]}},
        {"guard": [{"tools": ["mcp:a:*"], "decision": "block"}]},
        {"guard": {"alwaysAsk": ["mcp__a__drop"]}},
        {"guard": {"tool_denylist": ["mcp__a__drop"]}},
        # Limits that are not lists, so that no one can obey them.
        {"disabledMcpServers": "a"},
        {"mcp": {"excluded": {"a": True}}},
        {"deniedMcpServers": [1]},
        {"permissions": {"deny": "mcp__a"}},
        {"permissions": {"ask": {"mcp__a": True}}},
        {"tools": {"exclude": "a__drop"}},
        {"amp.tools.disable": "mcp__a__*"},
        {"options": {"disabled_tools": [["a_drop"]]}},
        {"rule": {"toolName": "*", "decision": "deny"}},
        {"disabledTools": ["drop"]},
        {"enabledServers": ["b"]},
        {"disallowedTools": ["mcp__a__drop"]},
        {"mcpToolsDisabled": ["a"]},
        {"server_blocklist": ["a"]},
    ],
)
def test_a_limit_next_to_the_servers_that_is_not_known_refuses_them(beside: dict[str, Any]) -> None:
    loaded = load({"mcpServers": {"a": {"command": "x"}}, **beside})
    assert loaded.entries == {}
    assert [finding.rule for finding in loaded.refused["a"]] == ["limit"]


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("acme/page-reader", "acme-page-reader"),
        ("io.github.acme/reader", "io.github.acme-reader"),
        ("@scope/pkg", "scope-pkg"),
        ("My Server (local)", "My-Server-local"),
        ("Café", "Cafe"),
        ("-x", "x"),
        ("good.name_1-2", "good.name_1-2"),
    ],
)
def test_a_name_that_tools_cannot_carry_becomes_one_that_they_can(written: str, name: str) -> None:
    loaded = load({"servers": {written: {"command": "x"}}})
    assert list(loaded.entries) == [name]
    assert [finding.rule for finding in loaded.findings] == (["other-name"] if written != name else [])
    assert loaded.written == ({name: written} if written != name else {})


def test_names_stay_apart_and_do_not_depend_on_their_order() -> None:
    names = ["a b", "a/b", "日本語", "服务器", "x" * 80, "c-d", "c d", ""]
    mapped = server_names(names)
    assert len(set(mapped.values())) == len(names)
    assert mapped == server_names(reversed(names))
    assert mapped["c-d"] == "c-d"
    assert all(len(name) <= 64 for name in mapped.values())


@pytest.mark.parametrize(
    ("command", "program", "args"),
    [
        ("npx -y @acme/x", "npx", ("-y", "@acme/x", "last")),
        (["npx", "-y", "x"], "npx", ("-y", "x", "last")),
        ({"path": "npx", "args": ["-y"]}, "npx", ("-y", "last")),
        ("'/opt/My App/run' --fast", "/opt/My App/run", ("--fast", "last")),
        ("/opt/My App/run", "/opt/My App/run", ("last",)),
        (r"C:\Program Files\node\node.exe", r"C:\Program Files\node\node.exe", ("last",)),
        (r"C:\Program Files\node\node.exe --fast", r"C:\Program Files\node\node.exe", ("--fast", "last")),
        (r"\\host\share\my app.exe", r"\\host\share\my app.exe", ("last",)),
        ("/usr/bin/npx -y x", "/usr/bin/npx", ("-y", "x", "last")),
    ],
)
def test_a_command_may_bring_its_arguments_along(command: Any, program: str, args: tuple[str, ...]) -> None:
    for body in ({"command": command, "args": ["last"]}, {"args": ["last"], "command": command}):
        loaded = entry(body)
        assert loaded.findings == ()
        assert (loaded.entries["a"].command, loaded.entries["a"].args) == (program, args)


def test_a_line_for_a_shell_is_refused_with_how_to_write_it() -> None:
    (finding,) = entry({"command": "cd /x && node ."}).refused["a"]
    assert finding.rule == "shell-line"
    assert '"sh", "args": ["-c"' in finding.fix


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"url": "http://h/mcp"}, "http"),
        ({"url": "http://h/sse"}, "sse"),
        ({"url": "http://h/mcp", "trust": True}, "http"),
        ({"httpUrl": "http://h/sse"}, "http"),
        ({"type": "remote", "url": "http://h/mcp"}, "http"),
        ({"type": "local", "command": "x", "tools": ["*"]}, "stdio"),
        ({"type": "streamableHttp", "url": "http://h/mcp"}, "http"),
        ({"type": "SSE", "url": "http://h/mcp"}, "sse"),
        ({"command": None, "url": "http://h/mcp"}, "http"),
    ],
)
def test_the_transport_is_what_the_client_means(body: dict[str, Any], kind: str) -> None:
    assert entry(body).entries["a"].transport == kind


@pytest.mark.parametrize("kind", ["ws", "websocket", "sdk", "builtin", "inline_python"])
def test_a_transport_that_nothing_else_can_reach_says_what_it_is(kind: str) -> None:
    (finding,) = entry({"type": kind, "url": "ws://h"}).refused["a"][:1]
    assert finding.rule == "unknown-type"
    assert "is a" in finding.message or "tools of" in finding.message


@pytest.mark.parametrize(
    ("body", "client", "timeout"),
    [
        ({"timeout": 60}, "", 60),
        ({"timeout": 60000}, "", 60),
        ({"timeout": 2000}, "", 2000),
        ({"timeout": 2000}, "claude-code", 2),
        ({"timeout": 2000}, "roo", 2000),
        ({"timeout": 2000, "trust": True}, "", 2),
        ({"timeout": 2000, "alwaysAllow": [], "watchPaths": []}, "", 2000),
        ({"timeout": 100000, "transportType": "stdio"}, "", 100),  # Cline's form, as Huawei's CodeArts writes it
        ({"timeout": 2147483647}, "claude-code", 2147483.647),
        ({"timeout": 2**53 - 1}, "claude-code", LONGEST),
        ({"timeout": {"execution": 5000, "catalog": 1}}, "", 5),
        ({"timeout": 5000}, "opencode", 5),
        ({"timeout": 2147483647, "transportType": "stdio"}, "", 2147483.647),
        ({"timeout": "30"}, "zed", 30),
        ({"timeout": 0}, "", 60),
        ({"timeout": 30, "ostler": {"timeout": "5s"}}, "", 5),
        ({"tool_timeout_ms": 5000}, "", 5),
        ({"oauthRefreshWaitTimeout": 15000}, "librechat", 60),
        ({"idleTimeoutMs": 15000}, "", 60),
    ],
)
def test_a_time_has_the_unit_of_its_client(body: dict[str, Any], client: str, timeout: float) -> None:
    loaded = entry({"command": "x", **body}, client)
    assert loaded.entries["a"].options.timeout == timeout
    ambiguous = [str(finding) for finding in loaded.findings if finding.rule == "ambiguous-unit"]
    assert bool(ambiguous) == ("transportType" in body or (body == {"timeout": 2000} and not client))
    assert all(f'"{body["timeout"]}s"' in said for said in ambiguous if "transportType" in body)


EXAMPLES = {
    "$${…}": "$${X}", "${input:id}": "${input:key}", "${command:id}": "${command:x}", "${config:id}": "${config:x}",
    "${env:VAR}": "${env:TOKEN}", "{env:VAR}": "{env:TOKEN}", "{file:path}": "{file:/run/key}",
    "${workspaceFolder}": "${workspaceFolder}", "${CLAUDE_PROJECT_DIR}": "${CLAUDE_PROJECT_DIR:-.}",
    "${CLAUDE_PLUGIN_ROOT}": "${CLAUDE_PLUGIN_ROOT}", "${userHome}": "${userHome}", "${/}": "${/}",
    "${extensionPath}": "${extensionPath}",
    "${cwd}": "${cwd}", "${{ secrets.X }}": "${{ secrets.TOKEN }}", "${{ x.y }}": "${{ org.KEY }}",
    "{{VAR}}": "{{ KEY }}",
    "${VAR:-default}": "${NONE:-d}", "${VAR}": "${TOKEN}", "${other:…}": "${vault:x}", "$VAR": "$TOKEN",
    "${VAR:?why}": "${TOKEN:?set the token}",
    "$(command)": "$(date)", "${cmd: line}": "${cmd: date}", "os.environ/VAR": "os.environ/TOKEN",
    "${__dirname}": "${__dirname}", "${HOME}": "${DOWNLOADS}",
    "${user_config.X}": "${user_config.key}", "${secret:kind:what}": "${secret:env:TOKEN}",
    "${file:path}": "${file:/run/key}",
}  # fmt: skip
VALUES = {
    "$${…}": "${X}", "${env:VAR}": "s3cret-token", "{env:VAR}": "s3cret-token", "${workspaceFolder}": "/srv/shop",
    "${CLAUDE_PROJECT_DIR}": "/srv/shop", "${userHome}": "/home/ada", "${/}": "/", "${VAR:-default}": "d",
    "${VAR:?why}": "s3cret-token", "${VAR}": "s3cret-token", "${{ secrets.X }}": "s3cret-token", "$VAR": "s3cret-token",
    "${HOME}": "/home/ada/Downloads", "os.environ/VAR": "s3cret-token",
    "${secret:kind:what}": "${secret:env:TOKEN}", "${file:path}": "${secret:file:/run/key}",
    "{file:path}": "${secret:file:/run/key}",
}  # fmt: skip


@pytest.mark.parametrize("form", [row.form for row in VARIABLES])
def test_every_variable_means_what_its_client_means(form: str) -> None:
    row = next(row for row in VARIABLES if row.form == form)
    client = min(row.clients) if row.clients != ANY else "claude-desktop"
    body = {"command": "x", "args": [EXAMPLES[form]]}
    if client == "mcpb":
        loaded = load({"manifest_version": "0.3", "name": "a", "server": {"mcp_config": body}})
    else:
        loaded = as_written_by(client, body, workspace=Path("/srv/shop"))
    if form in VALUES:
        assert loaded.errors == ()
        assert loaded.entries["a"].args == (VALUES[form],)
    else:
        (finding,) = loaded.refused["a"]
        assert finding.rule == "missing-variable"
        assert EXAMPLES[form] in finding.message
        assert finding.fix


@pytest.mark.parametrize("form", ["$TOKEN", "$(date)", "{{ x }}", "{file:x}", "os.environ/X"])
def test_what_only_one_client_reads_is_plain_text_elsewhere(form: str) -> None:
    assert entry({"command": "x", "args": [form]}).entries["a"].args == (form,)


def test_what_a_file_holds_is_looked_up_when_the_server_is_connected() -> None:
    loaded = entry({"serverUrl": "https://h/mcp", "headers": {"X": "Bearer ${file:/run/key}"}}, "windsurf")
    assert loaded.entries["a"].headers == {"X": "Bearer ${secret:file:/run/key}"}
    assert loaded.entries["a"].references == ("${secret:file:/run/key}",)
    (finding,) = entry({"command": "x", "env": {"X": "${file:key}"}}, "windsurf").refused["a"]
    assert "whole path" in finding.fix


def test_headers_may_be_lines() -> None:
    loaded = entry(
        {"type": "remote", "url": "https://h/mcp", "headers": ["X-Key: ${TOKEN}", "Accept-Language: de, en"]}
    )
    assert dict(loaded.entries["a"].headers) == {"X-Key": "s3cret-token", "Accept-Language": "de, en"}
    assert entry({"url": "https://h/mcp", "headers": ["X-Key"]}).entries == {}


def test_a_folder_of_an_editor_is_not_called_an_environment_variable() -> None:
    (finding,) = entry({"command": "x", "args": ["${workspaceFolder}/server.py"]}).refused["a"]
    assert "environment variable" not in str(finding)
    assert "whole path" in finding.fix


@pytest.mark.parametrize(
    "body",
    [
        {"command": "x", "envFile": "${workspaceFolder}/.env"},
        {"command": "x", "envFile": "${env:NOPE}/.env"},
        {"command": "x", "cwd": "${workspaceFolder}", "envFile": ".env"},
        {"url": "${env:NOPE}/mcp"},
    ],
)
def test_a_missing_variable_is_reported_once(body: dict[str, Any]) -> None:
    assert [finding.rule for finding in entry(body).findings] == ["missing-variable"]


def test_a_missing_variable_in_an_optional_place_is_left_out() -> None:
    loaded = entry({"command": "x", "env": {"A": "${env:NOPE}", "B": "b"}, "env_vars": ["NOPE2"]})
    assert loaded.entries["a"].env == {"B": "b"}
    assert {finding.severity for finding in loaded.findings} == {"warning"}
    assert entry({"command": "x", "args": ["${env:NOPE}"]}).entries == {}
    assert entry({"command": "x", "env": {"A": "${NOPE}"}}).entries == {}
    assert entry({"command": "x", "disabled": True, "env": {"A": "${NOPE}"}}).entries["a"].disabled


def test_a_variable_of_the_shell_is_passed_on_with_a_word() -> None:
    (finding,) = entry({"command": "x", "env": {"A": "$TOKEN"}}).findings
    assert (finding.rule, finding.fix) == ("shell-variable", "write ${TOKEN} if the variable is meant")
    (finding,) = entry({"url": "https://h/mcp", "headers": {"A": "Bearer $KEY"}}, "gemini").findings
    assert (finding.rule, finding.fix) == ("shell-variable", "write ${KEY} if the variable is meant")
    assert entry({"command": "x", "env": {"A": "pa$WORD", "B": "cash $5"}}).findings == ()


def test_copilot_has_variables_of_the_shell() -> None:
    loaded = as_written_by("copilot", {"command": "x", "args": ["$HOME/a"], "env": {"A": "$TOKEN", "B": "pa$sword"}})
    assert loaded.entries["a"].args == ("/home/ada/a",)
    assert loaded.entries["a"].env == {"A": "s3cret-token", "B": "pa$sword"}


def test_a_whole_path_of_windows_is_not_relative_to_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    file.write_text(json.dumps({"mcpServers": {"a": {"command": "x", "cwd": "C:\\srv"}}}))
    (found,), _ = candidates_in(file, ENV)
    assert found.entry["cwd"] == found.shown["cwd"] == "C:\\srv"
    assert load_mcp_json(file, ENV).entries["a"].cwd == "C:\\srv"


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "server.py").touch()
    (tmp_path / "run").touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / ".env").write_text("# c\nexport A='1 2'\nB=\"x\\ny\" # c\nC=3 # c\n\nbroken\nD='1\n2'\n")
    file = tmp_path / "mcp.json"
    servers = {
        "args": {"command": "python3", "args": ["./server.py"]},
        "program": {"command": "./run"},
        "folder": {"command": "x", "cwd": "sub"},
        "variables": {"command": "x", "envFile": ".env", "env": {"C": "own"}},
        "lost": {"command": "x", "args": ["./none.py"], "envFile": "none.env"},
        "away": {"command": "x", "cwd": "none"},
    }
    file.write_text(json.dumps({"mcpServers": servers}))
    loaded = load_mcp_json(file, ENV)
    assert loaded.entries["args"].cwd == str(tmp_path)
    assert loaded.entries["program"].command == str(tmp_path / "run")
    assert loaded.entries["folder"].cwd == str(tmp_path / "sub")
    assert loaded.entries["variables"].env == {"A": "1 2", "B": "x\ny", "C": "own", "D": "1\n2"}
    lost = {"mcpServers.lost.args.0", "mcpServers.lost.envFile", "mcpServers.away.cwd"}
    assert {finding.path for finding in loaded.findings} == lost


@pytest.mark.parametrize(
    "root",
    [
        {"mcpServers": {"a": {"command": "x"}}},
        {"servers": {"a": {"command": "x"}}, "inputs": []},
        {"mcp": {"servers": {"a": {"command": "x"}}}, "editor.fontSize": 12},
        {"mcp.servers": {"a": {"command": "x"}}},
        {"context_servers": {"a": {"command": "x"}}},
        {"mcp": {"a": {"type": "local", "command": ["x"]}}},
        {"amp.mcpServers": {"a": {"command": "x"}}},
        {"folders": [], "settings": {"mcp": {"servers": {"a": {"command": "x"}}}, "editor.fontSize": 12}},
        {"mcp": {"servers": {"a": {"command": "x"}}, "sessionIdleTtlMs": 0}, "agents": {"list": []}},
        {"ai-features.mcp.mcpServers": {"a": {"command": "x"}}},
        {"experimental": {"modelContextProtocolServers": [{"name": "a", "transport": {"command": "x"}}]}},
        {"extensions": {"a": {"type": "stdio", "cmd": "x"}}},
        {"mcpServers": [{"name": "a", "command": "x"}]},
        {"a": {"command": "x", "working_directory": None}},
        {"name": "m", "plugins": [{"name": "p"}, {"name": "q", "mcpServers": {"a": {"command": "x"}}}]},
        {"projects": {"/srv/shop": {"mcpServers": {"a": {"command": "x"}}}}},
    ],
)
def test_entries_are_found_where_each_client_keeps_them(root: Any) -> None:
    loaded = load(root)
    assert loaded.findings == ()
    assert loaded.entries["a"].command == "x"


def test_a_server_that_runs_inside_a_container_is_refused() -> None:
    servers = {
        "a": {"command": "x", "env": {"K": "${input:k}"}},
        "b": {"url": "https://h/", "headers": {"K": "${input:k}"}},
    }
    mcp = {"inputs": [{"id": "k", "default": "d"}], "servers": servers}
    loaded = load({"image": "x", "customizations": {"vscode": {"extensions": ["a.b"], "mcp": mcp}}})
    assert [finding.path for finding in loaded.findings] == ["customizations.vscode.mcp.servers.a"]
    assert "inside the container" in loaded.refused["a"][0].message
    assert loaded.entries["b"].headers == {"K": "d"}


def test_the_file_that_has_a_plugins_servers_is_named() -> None:
    (finding,) = load({"name": "p", "mcpServers": "./.mcp.json"}).findings
    assert finding.fix == "'ostler servers import --from' reads './.mcp.json', which has them"


def test_what_the_user_of_a_plugin_configures_is_a_question() -> None:
    servers = {"a": {"command": "x", "env": {"K": "${user_config.key}"}}}
    config = {"key": {"type": "string", "title": "Key", "description": "From your account", "required": True}}
    loaded = load({"name": "p", "mcpServers": servers, "userConfig": config})
    assert loaded.refused["a"][0].message.endswith("has no answer yet: From your account")


@pytest.mark.parametrize(("folders", "is_known"), [([{"path": "web"}], True), ([{"path": "."}, {"path": "b"}], False)])
def test_a_workspace_of_vs_code_is_of_the_folder_that_it_opens(tmp_path: Path, folders: Any, is_known: bool) -> None:
    path = tmp_path / "shop.code-workspace"
    servers = {"a": {"command": "node", "args": ["${workspaceFolder}/a.js"]}}
    path.write_text(json.dumps({"folders": folders, "settings": {"mcp": {"servers": servers}}}))
    file = Machine(ENV).files_at(path)[0]
    (made,), _ = candidates_in(path, ENV, client=file.location.writer)
    assert made.is_refused is not is_known
    web = f"{tmp_path}/web"
    assert not is_known or made.entry == {"command": "node", "args": [f"{web}/a.js"], "cwd": web}


def test_a_switch_of_all_servers_is_none_of_them() -> None:
    toml = '[mcp]\nenabled = false\n[[mcp.servers]]\nname = "a"\ncommand = "x"\n'
    loaded = load_mcp_json(toml, ENV, file="config.toml")
    assert list(loaded.refused) == ["a"]
    assert loaded.entries == {}
    assert load_mcp_json(toml.replace("false", "true"), ENV, file="config.toml").findings == ()
    named = load_mcp_json('{"mcp": {"enabled": {"command": ["x"]}}}', ENV, file="opencode.json")
    assert list(named.entries) == ["enabled"]


def test_picoclaw_has_no_server_on_that_is_not_enabled() -> None:
    servers = {"a": {"command": "x"}, "b": {"command": "x", "enabled": True}, "c": {"command": "x", "enabled": False}}
    loaded = load({"tools": {"mcp": {"enabled": True, "servers": servers}}})
    assert {name: one.disabled for name, one in loaded.entries.items()} == {"a": True, "b": False, "c": True}


def test_the_targets_of_fast_agent_are_addresses_or_commands() -> None:
    targets = [{"name": "a", "target": "uvx x --y"}, {"name": "b", "target": "https://b.example/mcp"}]
    loaded = load({"mcp": {"targets": targets}})
    assert (loaded.entries["a"].command, loaded.entries["a"].args) == ("uvx", ("x", "--y"))
    assert loaded.entries["b"].url == "https://b.example/mcp"


@pytest.mark.parametrize(
    ("kind", "header"),
    [
        ("bearer_token", {"Authorization": "Bearer k"}),
        ("api_key", {"X-API-Key": "k"}),
        ("authorization", {"Authorization": "k"}),
        ("none", {}),
    ],
)
def test_a_token_of_litellm_is_sent_as_its_type_says(kind: str, header: dict[str, str]) -> None:
    body = {"url": "https://a.example/mcp", "auth_type": kind, "auth_value": "k"}
    assert dict(load({"mcp_servers": {"a": body}}).entries["a"].headers) == header


@pytest.mark.parametrize(
    ("auth", "headers"),
    [
        ({"type": "static", "headers": {"X": "1"}}, {"X": "1"}),
        ({"headers": {"X": "1"}, "api_key_env": "TOKEN"}, {"X": "1", "Authorization": f"Bearer {ENV['TOKEN']}"}),
        ({"type": "static", "api_key_env": "TOKEN", "api_key_header": "K", "api_key_format": "k={token}"},
         {"K": f"k={ENV['TOKEN']}"}),
        ({"type": "oauth", "scopes": ["read"], "client_id": "c", "redirect_port": 47823}, {}),
    ],
)  # fmt: skip
def test_what_vibe_sends_to_a_server_is_sent(auth: dict[str, Any], headers: dict[str, str]) -> None:
    loaded = as_written_by("vibe", {"transport": "http", "url": "https://h/mcp", "auth": auth})
    assert loaded.findings == ()
    assert dict(loaded.entries["a"].headers) == headers
    signing_in = loaded.entries["a"].oauth
    assert (auth.get("type") == "oauth") == (signing_in is not None)


@pytest.mark.parametrize(
    ("body", "becomes"),
    [
        ({"base_url": "https://h/mcp", "bearer_token": "abc"}, {"Authorization": "Bearer abc"}),
        ({"server_url": "https://h/mcp", "bearerToken": "abc"}, {"Authorization": "Bearer abc"}),
        ({"baseUrl": "https://h/mcp", "bearer_token_env": "TOKEN"}, {"Authorization": f"Bearer {ENV['TOKEN']}"}),
        ({"url": "https://h/mcp", "auth": "oauth", "oauth_scope": "a b", "client_name": "x"}, {}),
        ({"serverUrl": "https://h/mcp", "oauthScope": "a b", "token_cache_dir": "x"}, {}),
        ({"executable": "npx", "args": ["x"], "logging": {"daemon": {"enabled": False}}}, {}),
        ({"command": "npx", "args": ["x"], "oauthCommand": {"args": ["auth"]}, "lifecycle": {"mode": "ephemeral"}}, {}),
    ],
)
def test_mcporter_s_keys_are_read_in_both_spellings(body: dict[str, Any], becomes: dict[str, str]) -> None:
    loaded = load({"mcpServers": {"a": body}}, "mcporter")
    assert loaded.findings == ()
    read = loaded.entries["a"]
    assert dict(read.headers) == becomes
    assert (read.url or read.command) in {"https://h/mcp", "npx"}
    assert (read.oauth is not None) == ("oauth_scope" in body or "oauthScope" in body)


@pytest.mark.parametrize(
    ("codex", "is_used"),
    [
        ({"defaultToolsApprovalMode": "approve"}, True),
        ({"defaultToolsApprovalMode": "auto"}, True),
        ({}, True),
        ({"defaultToolsApprovalMode": "prompt"}, False),
        ({"agents": ["ops"]}, False),
        ({"blockedTools": ["drop"]}, False),
        (["ops"], False),
    ],
)
def test_what_openclaw_lets_codex_do_with_a_server(codex: Any, is_used: bool) -> None:
    loaded = as_written_by("openclaw", {"command": "x", "codex": codex})
    assert (list(loaded.entries) == ["a"]) == is_used
    assert [finding.rule for finding in loaded.refused.get("a", ())] == ([] if is_used else ["limit"])


@pytest.mark.parametrize("key", ["connectTimeout", "connectionTimeout", "initTimeout"])
def test_a_time_to_connect_is_of_seconds_unless_its_client_or_its_size_says_otherwise(key: str) -> None:
    assert entry({"command": "x", key: 20}).entries["a"].options.connect_timeout == 20
    assert entry({"command": "x", key: 20000}).entries["a"].options.connect_timeout == 20
    client = {"connectTimeout": "droid", "connectionTimeout": "continue", "initTimeout": "librechat"}[key]
    assert entry({"command": "x", key: 2000}, client).entries["a"].options.connect_timeout == 2


@pytest.mark.parametrize(
    ("auth", "signing_in", "headers"),
    [
        ({"CLIENT_ID": "c", "CLIENT_SECRET": "s", "scopes": ["read"]}, True, {}),
        ({"type": "static", "headers": {"X": "1"}}, False, {"X": "1"}),
        ("oauth", False, {}),
        (True, False, {}),
    ],
)
def test_an_entry_of_no_known_client_says_how_to_sign_in(auth: Any, signing_in: bool, headers: dict[str, str]) -> None:
    loaded = entry({"url": "https://h/mcp", "auth": auth})
    assert loaded.findings == ()
    assert (loaded.entries["a"].oauth is not None) == signing_in
    assert dict(loaded.entries["a"].headers) == headers


def test_what_hermes_does_with_its_connections_leaves_a_server_in_use() -> None:
    body = {
        "url": "https://h/mcp", "skip_preflight": True, "keepalive_interval": 10, "elicitation": {"enabled": False},
        "lifecycle": {"idle_timeout_seconds": 60}, "idle_timeout_seconds": 0, "max_lifetime_seconds": 0,
        "oauth": {"client_id": "c", "redirect_port": 0}, "ssl_verify": False, "client_cert": "~/c.pem",
    }  # fmt: skip
    loaded = as_written_by("hermes", body)
    assert [(finding.path, finding.severity) for finding in loaded.findings] == [
        ("mcp_servers.a.elicitation", "note"),
        ("mcp_servers.a.ssl_verify", "warning"),
        ("mcp_servers.a.client_cert", "warning"),
    ]
    assert loaded.entries["a"].oauth is not None


@pytest.mark.parametrize("token", ["abc", "Bearer abc", " bearer  abc"])
def test_a_token_of_fast_agent_is_sent(token: str) -> None:
    loaded = as_written_by("fast-agent", {"url": "https://h/mcp", "access_token": token, "management": "client"})
    assert loaded.findings == ()
    assert loaded.entries["a"].headers["Authorization"] == "Bearer abc"


@pytest.mark.parametrize("place", [{"url": "https://h/mcp"}, {"connector_id": "connector_x"}])
def test_what_the_provider_of_a_model_connects_to_is_refused(place: dict[str, str]) -> None:
    loaded = as_written_by("fast-agent", {"management": "provider", **place})
    assert loaded.entries == {}
    assert {finding.rule for finding in loaded.refused["a"]} == {"limit"}


def test_a_tool_of_nanobot_may_have_its_servers_name_before_it() -> None:
    body = {"command": "x", "enabledTools": ["get", "mcp_a_drop"]}
    assert permitted(load({"tools": {"mcpServers": {"a": body}}})) == {"get", "drop"}


def test_the_lists_of_openhands_say_the_type_of_their_servers() -> None:
    text = """
[mcp]
stdio_servers = [{ name = "fetch", command = "uvx", args = ["x"], env = { A = "1" } }]
sse_servers = ["https://a.example/", 1]
shttp_servers = [{ url = "https://b.example/", api_key = "k", timeout = 90 }]
"""
    loaded = load_mcp_json(text, ENV, file="config.toml")
    assert [(one.path, one.rule) for one in loaded.findings] == [("mcp.sse_servers.1", "not-an-object")]
    fetch, sse, http = loaded.entries.values()
    assert (fetch.command, fetch.args, fetch.env) == ("uvx", ("x",), {"A": "1"})
    assert (sse.url, sse.transport) == ("https://a.example/", "sse")
    assert (http.name, http.transport, http.headers) == ("shttp_servers-1", "http", {"Authorization": "Bearer k"})
    assert http.options.timeout == 90


def test_an_extension_of_gemini_is_known_by_its_name(tmp_path: Path) -> None:
    server = {"command": "node", "args": ["${extensionPath}${/}a.js", "$TOKEN"], "cwd": "${extensionPath}"}
    path = tmp_path / "gemini-extension.json"
    path.write_text(json.dumps({"name": "x", "mcpServers": {"a": server}, "excludeTools": ["drop"]}))
    file = Machine(ENV).files_at(path)[0]
    (made,), findings = candidates_in(path, ENV, client=file.location.writer)
    assert made.entry == {
        "command": "node", "args": [f"{tmp_path}/a.js", "${env:TOKEN}"], "cwd": str(tmp_path),
        "ostler": {"denyTools": ["*__drop", "_drop", "drop"]},
    }  # fmt: skip
    assert findings == []


@pytest.mark.parametrize(
    ("rules", "is_on"),
    [
        ([], True),
        (["!/home/*"], False),
        (["!/home/*", "/home/ada/*"], True),
        (["!/home/ada/", "/home/ada/*", "!/home/ada/x/*"], True),
        (["/home/ada/*", "!/home/ada/"], False),
        (["!/home/ad*"], False),
        (["!/home/a.a/*"], True),
        (["!/home/ada/work/*"], True),
    ],
)
def test_an_extension_of_gemini_that_is_disabled_stays_off(tmp_path: Path, rules: list[str], is_on: bool) -> None:
    file, other = tmp_path / "gemini-extension.json", tmp_path / "extension-enablement.json"
    file.write_text(json.dumps({"name": "x", "mcpServers": {"a": {"command": "x"}}}))
    other.write_text(json.dumps({"x": {"overrides": rules}, "mcpServers": {"overrides": ["!/*"]}}))
    (found,), problems = candidates_in(file, {"HOME": "/home/ada"}, client="gemini", limiting=lambda _: [other])
    assert problems == []
    assert found.entry.get("disabled", False) != is_on
    settings = tmp_path / "settings.json"
    settings.write_text('{"mcpServers": {"a": {"command": "x"}}}')
    (found,), _ = candidates_in(settings, {"HOME": "/home/ada"}, client="gemini", limiting=lambda _: [other])
    assert found.entry == {"command": "x"}, "the settings are no extension"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ('{"x": "off"}', "limit"),
        ('{"x": {"overrides": "!/*"}}', "limit"),
        ('{"x": {"overrides": ["!/*", 1]}}', "limit"),
        ('["x"]', "not-an-object"),
        ("{", "json-syntax"),
    ],
)
def test_an_extension_of_gemini_is_not_imported_if_it_is_unclear_whether_it_is_on(
    tmp_path: Path, text: str, rule: str
) -> None:
    file, other = tmp_path / "gemini-extension.json", tmp_path / "extension-enablement.json"
    file.write_text(json.dumps({"name": "x", "mcpServers": {"a": {"command": "x"}}}))
    other.write_text(text)
    found, (problem,) = candidates_in(file, ENV, client="gemini", limiting=lambda _: [other])
    assert found == []
    assert (problem.file, problem.rule) == (str(other), rule)
    assert str(file) in problem.message


@pytest.mark.parametrize(
    ("state", "is_on"), [({}, True), ({"enabled": True}, True), ({"enabled": "no"}, False), ("off", False)]
)
def test_a_server_of_gemini_is_on_only_if_nothing_else_is_said(tmp_path: Path, state: Any, is_on: bool) -> None:
    file, other = tmp_path / "settings.json", tmp_path / "mcp-server-enablement.json"
    file.write_text(json.dumps({"mcpServers": {"a": {"command": "x"}}}))
    other.write_text(json.dumps({"a": state}))
    (found,), _ = candidates_in(file, ENV, client="gemini", limiting=lambda _: [other])
    assert found.entry.get("disabled", False) != is_on


@pytest.mark.parametrize(
    ("name", "root", "says"),
    [
        ("fastmcp.json", {"source": {"path": "server.py"}, "environment": {"python": "3.12"}}, '"fastmcp.json"'),
        ("registry.yaml", {"registry": {"fetch": {"ref": ""}}}, '"--servers", "fetch"'),
        ("catalog.yaml", {"name": "mine", "registry": {"x": {"image": "mcp/x", "type": "server"}}}, '"--servers", "x"'),
        ("smithery.yaml", {"startCommand": {"type": "stdio", "commandFunction": "…"}}, "smithery.yaml"),
        ("config.yaml", {"binds": [{"port": 3001, "listeners": []}]}, "http://localhost:3001/mcp"),
        (
            "config.yaml",
            {"mcp": {"port": 4000, "targets": [{"name": "a", "stdio": {"cmd": "x"}}]}},
            "localhost:4000/mcp",
        ),
        (
            "agent.yaml",
            {"agents": {"root": {"toolsets": [{"type": "mcp", "ref": "docker:fetch"}]}}},
            '"--servers", "fetch"',
        ),
        ("agent.yaml", {"mcps": {"a": {"command": "x"}}}, "toolsets of its agents"),
        ("application.yml", {"spring": {"ai": {"mcp": {"client": {"sse": {}}}}}}, "Spring AI"),
        ("application.yml", {"spring.ai.mcp.client.enabled": False}, "Spring AI"),
        (
            "application.yml",
            {"spring": {"ai": {"mcp": {"client": {"stdio": {"servers-configuration": "classpath:mcp.json"}}}}}},
            "reads 'mcp.json'",
        ),
        (
            "k.yaml",
            {
                "apiVersion": "kagent.dev/v1",
                "kind": "RemoteMCPServer",
                "spec": {"url": "https://h/", "protocol": "SSE"},
            },
            '{"type": "sse", "url": "https://h/"}',
        ),
        ("t.yaml", {"apiVersion": "toolhive.stacklok.dev/v1", "kind": "MCPServer", "metadata": {"name": "gh"}}, "'gh'"),
    ],
)
def test_a_file_that_describes_servers_in_another_way_says_what_to_do(name: str, root: Any, says: str) -> None:
    (finding,) = load_mcp_json(json.dumps(root), ENV, file=name).findings
    assert finding.rule == "no-servers"
    assert says in str(finding)
    assert "write" in finding.fix


def test_a_list_that_the_registry_answered_has_a_server_for_each_of_its_entries() -> None:
    servers = [
        {"server": {"name": "a.b/one", "remotes": [{"type": "streamable-http", "url": "https://a.example/mcp"}]}},
        {"server": {"name": "a.b/old", "packages": [{"registryType": "npm", "identifier": "x", "version": "1.0.0"}]},
         "_meta": {"registry": {"status": "deleted"}}},
    ]  # fmt: skip
    loaded = load({"servers": servers, "metadata": {"count": 2}})
    assert loaded.entries["a.b-one"].url == "https://a.example/mcp"
    assert list(loaded.refused) == ["a.b-old"]


def test_the_file_of_openclaw_is_json5() -> None:
    server = r"""{command: 'x', args: ['it\'s \u00e9\ud83d\ude00\n\q "x"',], what: 1,}"""
    text = "// mine\n{mcp: {servers: {\n  'a\\'b': " + server + ",\n}, }, $x: true}"
    loaded = load_mcp_json(text, ENV, file="openclaw.json")
    assert loaded.entries["a-b"].args == ('it\'s é😀\nq "x"',)
    assert [(finding.line, finding.rule) for finding in loaded.findings] == [(3, "other-name"), (3, "unknown-key")]
    (finding,) = load_mcp_json(text, ENV, file="mcp.json").findings
    assert finding.message == "a key in double quotes should be here"
    assert load_mcp_json("{a: 'x\ny'}", ENV, file="openclaw.json").findings[0].rule == "json-syntax"


def test_other_formats_are_read_with_their_lines() -> None:
    toml = (
        '[mcp_servers.a]\ncommand = "x"\nenabled_tools = ["get"]\n\n[mcp_servers.b]\nurl = "http://h/mcp"\nwhat = 1\n'
    )
    loaded = load_mcp_json(toml, ENV, file="config.toml")
    assert permitted(loaded) == {"get"}
    assert [(finding.line, finding.path) for finding in loaded.findings] == [(7, "mcp_servers.b.what")]
    toml = '[[mcp_servers]]\nname = "a"\ncommand = "x"\n\n[[mcp_servers]]\nname = "b"\ncommand = "x"\nwhat = 1\n'
    loaded = load_mcp_json(toml, ENV, file="config.toml")
    assert [(finding.line, finding.path) for finding in loaded.findings] == [(8, "mcp_servers.1.what")]
    yaml = "mcpServers:\n  - name: a\n    command: x\n    what: 1\n"
    loaded = load_mcp_json(yaml, ENV, file="config.yaml")
    assert [(finding.line, finding.path) for finding in loaded.findings] == [(4, "mcpServers.0.what")]
    assert list(loaded.entries) == ["a"]


@pytest.mark.parametrize(
    ("name", "data", "rule"),
    [
        ("a.json", b"{", "json-syntax"),
        ("a.toml", b"[x", "toml-syntax"),
        ("a.yaml", b"a: [", "yaml-syntax"),
        ("a.json", b'{"a": "\xe4"}', "unreadable"),
        ("a.json", b'{"a": "' + b"x" * (4 * 1024 * 1024) + b'"}', "too-large"),
    ],
)
def test_a_broken_file_is_one_finding(tmp_path: Path, name: str, data: bytes, rule: str) -> None:
    (tmp_path / name).write_bytes(data)
    loaded = load_mcp_json(tmp_path / name, ENV)
    assert not loaded.entries
    assert [finding.rule for finding in loaded.findings] == [rule]


def test_what_is_not_a_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "mcp.json")
    (finding,) = load_mcp_json(tmp_path / "mcp.json", ENV).findings
    assert "not a regular file" in str(finding)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_is_obeyed(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "mcp.json").write_bytes('{"mcpServers": {"ä": {"command": "x"}}}'.encode(encoding))
    assert list(load_mcp_json(tmp_path / "mcp.json", ENV).entries) == ["a"]


BUNDLE = {
    "manifest_version": "0.3",
    "name": "files",
    "server": {
        "type": "node",
        "entry_point": "server/index.js",
        "mcp_config": {
            "command": "node",
            "args": ["${__dirname}/server/index.js", "${user_config.root}"],
            "env": {"PLACE": "${DOCUMENTS}"},
            "platform_overrides": {"win32": {"command": "node.exe"}},
        },
    },
    "user_config": {"root": {"type": "directory", "default": "/srv"}},
    "tools": [{"name": "read"}],
}


def test_a_bundle_s_manifest_is_an_entry(tmp_path: Path) -> None:
    file = tmp_path / "manifest.json"
    file.write_text(json.dumps(BUNDLE))
    loaded = load_mcp_json(file, ENV)
    assert loaded.findings == ()
    files = loaded.entries["files"]
    assert (files.command, files.args) == ("node", (f"{tmp_path}/server/index.js", "/srv"))
    assert files.env == {"PLACE": "/home/ada/Documents"}
    del BUNDLE["user_config"]
    file.write_text(json.dumps(BUNDLE))
    (finding,) = load_mcp_json(file, ENV).refused["files"]
    assert "user_config.root" in finding.message


@pytest.mark.parametrize(
    ("package", "command"),
    [
        ({"registryType": "npm", "identifier": "@a/b", "version": "1.2.3"}, ["npx", "-y", "@a/b@1.2.3"]),
        ({"registryType": "pypi", "identifier": "b", "version": "1.2.3"}, ["uvx", "b==1.2.3"]),
        (
            {
                "registryType": "oci",
                "identifier": "h/b:1",
                "environmentVariables": [{"name": "TOKEN", "isRequired": True}],
            },
            ["docker", "run", "-i", "--rm", "-e", "TOKEN", "h/b:1"],
        ),
        (
            {
                "registryType": "npm",
                "identifier": "b",
                "packageArguments": [
                    {"type": "named", "name": "--dir", "value": "/srv"},
                    {"type": "positional", "valueHint": "x", "default": "y"},
                    {"type": "positional", "valueHint": "z"},
                ],
            },
            ["npx", "-y", "b", "--dir", "/srv", "y"],
        ),
    ],
)
def test_a_package_of_the_registry_is_an_entry(package: dict[str, Any], command: list[str]) -> None:
    loaded = load({"name": "io.example/b", "version": "1.2.3", "packages": [package]})
    assert loaded.errors == ()
    entry = loaded.entries["io.example-b"]
    assert [entry.command, *entry.args] == command
    assert entry.env == ({"TOKEN": "s3cret-token"} if "environmentVariables" in package else {})


def test_a_remote_of_the_registry_is_an_entry() -> None:
    header = {"name": "Authorization", "value": "Bearer {token}", "variables": {"token": {"isRequired": True}}}
    remote = {"type": "streamable-http", "url": "https://h.example/mcp", "headers": [header]}
    loaded = load({"name": "b", "remotes": [remote]})
    assert loaded.entries["b"].transport == "http"
    assert loaded.entries["b"].headers == {"Authorization": "Bearer s3cret-token"}


def test_keys_that_are_written_empty_are_not_there() -> None:
    blank = {
        "url": "",
        "cwd": "",
        "headers": {},
        "env": None,
        "args": None,
        "timeout": None,
        "disabledTools": [],
        "type": None,
    }
    loaded = entry({"command": "x", **blank})
    assert loaded.findings == ()
    assert loaded.entries["a"].transport == "stdio"
    remote = entry({"url": "https://a.example/mcp", "command": "", "args": [], "baseUrl": "", "cwd": ""})
    assert remote.findings == ()
    assert remote.entries["a"].url == "https://a.example/mcp"


def test_a_tool_that_is_switched_off_by_name_is_denied() -> None:
    assert permitted(entry({"command": "x", "tools": {"drop": False, "get": True}})) == {"get", "get_all", "put*"}
    assert permitted(entry({"command": "x", "tools": {"drop": {"enabled": False}}})) == {"get", "get_all", "put*"}


@pytest.mark.parametrize(
    ("body", "option", "seconds"),
    [
        ({"timeoutMs": 5000}, "timeout", 5),
        ({"timeout_ms": 5000}, "timeout", 5),
        ({"timeout_seconds": 5}, "timeout", 5),
        ({"toolTimeoutSec": 5}, "timeout", 5),
        ({"requestTimeout": 5}, "timeout", 5),
        ({"startupTimeoutMs": 5000}, "connect_timeout", 5),
        ({"connect_timeout": 5}, "connect_timeout", 5),
        ({"connectTimeout": 30000}, "connect_timeout", 30),
    ],
)
def test_a_time_that_no_client_is_known_to_write_is_read_by_its_name(
    body: dict[str, Any], option: str, seconds: float
) -> None:
    loaded = entry({"command": "x", **body})
    assert getattr(loaded.entries["a"].options, option) == seconds


@pytest.mark.parametrize(
    ("beside", "timeout", "connect_timeout"),
    [
        ({"context_server_timeout": 600}, 600, None),
        ({"experimental": {"mcp_timeout": 9000}}, 9, None),
        ({"mcp": {"timeout": 9000}}, 9, None),
        ({"mcp": {"timeout": {"startup": 30000, "request": 9000}}}, 9, 30),
        ({"env": {"MCP_TIMEOUT": "30000", "MCP_TOOL_TIMEOUT": "9000"}}, 9, 30),
        ({"env": {"MCP_TIMEOUT": "soon", "MCP_TOOL_TIMEOUT": "-1"}}, 60, None),
        ({"env": {"MCP_TIMEOUT": "inf", "MCP_TOOL_TIMEOUT": "1e20"}}, LONGEST, None),
    ],
)
def test_a_time_of_a_whole_file_is_that_of_its_servers(
    beside: dict[str, Any], timeout: float, connect_timeout: float | None
) -> None:
    servers = {"a": {"command": "x"}, "own": {"command": "x", "ostler": {"timeout": "1s"}}}
    for loaded in (load({"mcpServers": servers, **beside}), load({"mcpServers": servers}, beside=[source(beside)])):
        assert loaded.findings == ()
        options = loaded.entries["a"].options
        assert (options.timeout, options.connect_timeout) == (timeout, connect_timeout)
        assert loaded.entries["own"].options.timeout == 1


def test_the_time_of_a_file_is_for_its_client_and_a_projects_own_counts_first() -> None:
    servers = {"a": {"command": "x"}}
    zed = {"context_server_timeout": 5}
    assert load({"mcpServers": servers, **zed}, "cursor").entries["a"].options.timeout == 60
    own = load({"context_servers": servers, **zed}, "zed", beside=[source({"context_server_timeout": 7})])
    assert own.entries["a"].options.timeout == 5


@pytest.mark.parametrize(
    ("url", "is_admitted"),
    [
        ("https://example.com/mcp", True),
        ("https://api.example.com/mcp", False),
        ("https://a.example.org", True),
        ("https://example.org", False),
        ("http://mcp:8000/mcp", True),
        ("https://mcp:8000/mcp", False),
        ("http://mcp:9000/mcp", False),
        ("http://local:1/mcp", True),
        (None, True),
    ],
)
def test_a_server_is_where_librechat_lets_its_servers_be(url: str | None, is_admitted: bool) -> None:
    domains = ["example.com", "*.example.org", "http://mcp:8000/mcp", "local"]
    body = {"command": "x"} if url is None else {"url": url}
    loaded = load({"mcpServers": {"a": body}, "mcpSettings": {"allowedDomains": domains}}, "librechat")
    assert loaded.entries["a"].disabled != is_admitted
    assert not load({"mcpServers": {"a": body}, "mcpSettings": {"allowedDomains": []}}).entries["a"].disabled


@pytest.mark.parametrize(
    ("body", "limits"),
    [
        ({"url": "https://${HOST}/mcp"}, {"deniedMcpServers": [{"serverUrl": "https://evil.example/*"}]}),
        ({"url": "https://${HOST}/mcp"}, {"allowedMcpServers": [{"serverUrl": "https://good.example/*"}]}),
        *(
            ({"url": url}, {"deniedMcpServers": [{"serverUrl": "https://evil.example/*"}]})
            for url in (
                "HTTPS://EVIL.example/mcp",
                "https://evil.example",
                "https://evil.example:443/mcp",
                "https://evil.example./mcp",
                "https://me:pw@evil.example/mcp",
            )
        ),
        (
            {"url": "https://good.example@evil.example/"},
            {"allowedMcpServers": [{"serverUrl": "https://good.example*"}]},
        ),
        ({"url": "https://good.example/Other"}, {"allowedMcpServers": [{"serverUrl": "https://good.example/other"}]}),
        ({"command": "npx", "args": ["${TOOL:-evil}"]}, {"deniedMcpServers": [{"serverCommand": ["npx", "evil"]}]}),
        ({"command": "npx", "args": ["evil"]}, {"deniedMcpServers": [{"serverCommand": ["npx", "${TOOL:-evil}"]}]}),
        *(
            ({"url": url}, {"deniedMcpServers": [{"serverUrl": pattern}]})
            for url, pattern in (
                ("https://evil.example/mcp", "https://evil.example"),
                ("https://evil.example/mcp?key=1", "https://evil.example/mcp"),
                ("https://evil.example/mcp/", "https://evil.example/mcp"),
                ("https://evil.example/mcp", "https://evil.example/mcp/"),
                ("https://a.evil.example:8443/mcp", "https://*.evil.example/mcp"),
                ("http://evil.example:81/mcp", "*://evil.example:*/mcp"),
                ("http://[::1]:81/mcp", "http://[::1]:81"),
                ("https://evil.example/mcp", "https://${HOST}/*"),
                ("https://proxy.example/?mcp_url=https%3A%2F%2Fevil.example%2Fmcp", "https://evil.example"),
            )
        ),
        (
            {"url": "https://evil.example/.good.example/"},
            {"allowedMcpServers": [{"serverUrl": "https://*.good.example/*"}]},
        ),
        ({"url": "https://good.example:8443/"}, {"allowedMcpServers": [{"serverUrl": "https://good.example"}]}),
        ({"url": "https://good.example/"}, {"allowedMcpServers": [{"serverUrl": "https://${NONE}good.example"}]}),
    ],
)
def test_what_a_variable_or_a_spelling_hides_is_switched_off_too(body: dict[str, Any], limits: dict[str, Any]) -> None:
    text = json.dumps({"mcpServers": {"a": body}, **limits})
    assert load_mcp_json(text, {"HOST": "evil.example"}).entries["a"].disabled
    amp = {"amp.mcpPermissions": [{"matches": {"url": "*evil.example*"}, "action": "reject"}]}
    assert not load_mcp_json(
        json.dumps({"mcpServers": {"a": {"url": "https://${HOST}"}}, **amp}), {"HOST": "evil.example"}
    ).entries


@pytest.mark.parametrize("url", ["https://good.example", "https://GOOD.example/mcp", "https://good.example:443/x?y=1"])
@pytest.mark.parametrize("pattern", ["https://good.example/*", "https://good.example", "https://${GOOD:-good}.example"])
def test_an_address_that_is_listed_is_admitted_however_it_is_spelled(url: str, pattern: str) -> None:
    limits = {"allowedMcpServers": [{"serverUrl": pattern}]}
    assert not load({"mcpServers": {"a": {"url": url}}, **limits}).entries["a"].disabled


@pytest.mark.parametrize(
    "pattern", ["https://evil.example/other", "https://evil.example:8443", "http://evil.example", "evil.example"]
)
def test_an_address_that_is_not_what_is_forbidden_stays_on(pattern: str) -> None:
    limits = {"deniedMcpServers": [{"serverUrl": pattern}]}
    assert not load({"mcpServers": {"a": {"url": "https://evil.example/mcp"}}, **limits}).entries["a"].disabled


@pytest.mark.parametrize("options", [["--read"], "x", {"what": 1}])
def test_options_that_are_not_known_are_reported(options: Any) -> None:
    assert [finding.rule for finding in entry({"command": "x", "options": options}).findings] == ["unknown-key"]


def test_remarks_of_people_are_not_reported() -> None:
    loaded = entry({"command": "x", "_comment": "the files", "//": "old", "note": "x", "category": "files"})
    assert loaded.findings == ()
    assert not entry({"command": "x", "_readOnly": True}).entries


def test_a_denied_tool_is_denied_by_the_name_that_clients_give_it_too() -> None:
    options = entry({"command": "x", "disabledTools": ["files_drop"]}).entries["a"].options
    assert not options.permits("files.drop")
    assert options.permits("files.get")


def test_a_variable_that_the_program_itself_gets_stays_in_its_arguments() -> None:
    body = {"command": "npx", "args": ["mcp-remote", "--header", "A:${AUTH}"], "env": {"AUTH": "Bearer ${TOKEN}"}}
    loaded = entry(body)
    assert loaded.findings == ()
    assert loaded.entries["a"].args[-1] == "A:${AUTH}"
    assert loaded.entries["a"].env == {"AUTH": "Bearer s3cret-token"}


@pytest.mark.parametrize(
    ("command", "args", "becomes"),
    [
        ("cmd", ["/c", "npx", "-y", "x"], ["npx", "-y", "x"]),
        ("CMD", ["/d", "/s", "/C", "npx -y x"], ["npx", "-y", "x"]),
        (
            r"C:\Windows\System32\cmd.exe",
            ["/q", "/v:on", "/c", "npx.cmd", "x", "%TOKEN%"],
            ["npx", "x", "s3cret-token"],
        ),
        (["cmd", "/c", "npx"], ["x"], ["npx", "x"]),
        ("cmd /c npx", ["x", "a b"], ["npx", "x", "a b"]),
        ("npx.cmd", ["-y", "x"], ["npx", "-y", "x"]),
        ("cmd", ["/c", r"C:\x\run.bat"], ["cmd", "/c", r"C:\x\run.bat"]),
        ("cmd", ["/c", "run.bat"], ["cmd", "/c", "run.bat"]),
        ("cmd", ["/c", "cd x && npx y"], ["cmd", "/c", "cd x && npx y"]),
        ("cmd", ["/c", "cd", "x", "&&", "npx"], ["cmd", "/c", "cd", "x", "&&", "npx"]),
        ("cmd", ["/c", "set", "X=1&&", "npx"], ["cmd", "/c", "set", "X=1&&", "npx"]),
        ("cmd", ["/c", ""], ["cmd", "/c", ""]),
        ("cmd", ["/c", "it's"], ["it's"]),
        ("cmd", ["x"], ["cmd", "x"]),
        ("cmd", ["/d"], ["cmd", "/d"]),
        ("cmd.exe", ["/c", "npx"], ["cmd.exe", "/c", "npx"]),
        ("./cmd", ["/c", "npx"], ["./cmd", "/c", "npx"]),
    ],
)
def test_a_command_of_windows_runs_here_without_its_shell(command: Any, args: list[str], becomes: list[str]) -> None:
    loaded = entry({"command": command, "args": args})
    assert [loaded.entries["a"].command, *loaded.entries["a"].args] == becomes


def test_the_shell_of_windows_has_the_variables_of_the_entry() -> None:
    body = {"command": "cmd", "args": ["/c", "npx x %key% %TOKEN%"], "env": {"KEY": "a b", "TOKEN": "mine"}}
    assert entry(body).entries["a"].args == ("x", "a b", "mine")


def test_what_is_missing_behind_the_shell_of_windows_is_found_where_it_stands() -> None:
    text = '{"mcpServers": {"a": {"command": "cmd",\n"args": ["/c",\n"npx",\n"${NOPE}"]}}}'
    (finding,) = load_mcp_json(text, ENV).refused["a"]
    assert finding.line == 4


def test_windows_has_its_own_shell() -> None:
    def report(*what: object, **more: object) -> None:
        raise AssertionError(what, more)

    draft = Draft({}, ANY, report, entry={"command": "cmd", "args": ["/c", "npx"]})
    without_windows_shell(draft, "win32")
    assert draft.entry["command"] == "cmd"


SCRIPT = 'for each in a b; do run ${each} ${1:-y} ${PWD##*/} "${KEY}" ${TOKEN}; done'


@pytest.mark.parametrize(
    ("command", "before"),
    [
        ("bash", ["-c"]),
        ("/bin/sh", ["-e", "-lc"]),
        ("bash", ["-eo", "pipefail", "-c"]),
        ("env", ["A=1", "zsh", "-c"]),
        ("docker", ["run", "-i", "image", "bash", "-euc"]),
    ],
)
def test_a_script_of_a_shell_keeps_the_shell_s_own_variables(command: str, before: list[str]) -> None:
    loaded = entry({"command": command, "args": [*before, SCRIPT, "${HOME}"]})
    assert loaded.findings == ()
    assert loaded.entries["a"].args == (*before, SCRIPT.replace("${TOKEN}", "s3cret-token"), "/home/ada")


@pytest.mark.parametrize("args", [["-c", SCRIPT], ["bash", "x", "-c", SCRIPT], ["bash", "-c", "run", SCRIPT]])
def test_what_no_shell_reads_is_no_script(args: list[str]) -> None:
    assert {finding.rule for finding in entry({"command": "npx", "args": args}).refused["a"]} == {"missing-variable"}


def test_a_variable_in_a_script_that_only_the_client_has_is_still_missing() -> None:
    (finding,) = entry({"command": "sh", "args": ["-c", "cd ${workspaceFolder} && run ${x}"]}).refused["a"]
    assert "${workspaceFolder}" in finding.message


@pytest.mark.parametrize(
    ("body", "fix"),
    [
        ({"args": "-y 'a b'"}, 'write ["-y", "a b"]'),
        ({"env": ["A=secret", "B="]}, 'write {"A": "…", "B": ""}'),
        ({"env": [{"name": "A", "value": "secret"}]}, 'write {"A": "…"}'),
    ],
)
def test_a_value_of_another_form_is_refused_with_how_to_write_it(body: dict[str, Any], fix: str) -> None:
    (finding,) = entry({"command": "x", **body}).refused["a"]
    assert finding.fix == fix


def test_gemini_does_without_what_others_need() -> None:
    loaded = entry({"command": "x", "env": {"A": "${NOPE}"}, "trust": False})
    assert loaded.entries["a"].env == {}
    both = entry({"url": "https://h/sse", "httpUrl": "https://h/mcp", "trust": False}).entries["a"]
    assert (both.transport, both.url) == ("http", "https://h/mcp")


def bundle(**server: Any) -> dict[str, Any]:
    return {"manifest_version": "0.4", "name": "a", "version": "1.0.0", "server": server}


def test_a_bundle_is_started_as_its_host_would(tmp_path: Path) -> None:
    asks = {"command": "node", "args": ["${user_config.dirs}", "${user_config.n}"], "env": {"K": "${user_config.key}"}}
    manifest = bundle(type="node", entry_point="s.js", mcp_config=asks) | {
        "user_config": {
            "dirs": {"type": "directory", "multiple": True, "default": ["${HOME}", "/srv"]},
            "n": {"type": "number", "default": 3},
            "key": {"type": "string", "sensitive": True},
        }
    }
    loaded = load(manifest)
    assert loaded.entries["a"].args == ("/home/ada", "/srv", "3")
    assert loaded.entries["a"].env == {}
    manifest["user_config"]["key"]["required"] = True
    (finding,) = load(manifest).refused["a"]
    assert "ostler servers answer key" in finding.fix
    answered = load(manifest, answer={"key": "k1"}.get)
    assert answered.entries["a"].env == {"K": "k1"}
    file = tmp_path / "manifest.json"
    file.write_text(json.dumps(bundle(type="uv", entry_point="src/server.py")))
    started = load_mcp_json(file, ENV).entries["a"]
    assert (started.command, started.args) == ("uv", ("run", "--directory", str(tmp_path), "src/server.py"))
    elsewhere = {"compatibility": {"platforms": ["vms"]}}
    assert load(bundle(type="uv", entry_point="x", mcp_config={"command": "x"}) | elsewhere).entries == {}


def test_a_server_of_the_registry_is_read_in_each_form() -> None:
    package = {"registryType": "pypi", "identifier": "b", "version": "1", "transport": {"type": "stdio"}}
    server = {"name": "b", "packages": [package]}
    wrapped = {"server": server, "_meta": {"registry/official": {"status": "active"}}}
    assert load(wrapped).entries["b"].args == ("b==1",)
    wrapped["_meta"] = {"registry/official": {"status": "deleted"}}
    assert load(wrapped).entries == {}
    remote = {"type": "streamable-http", "url": "https://{t}.example/mcp", "variables": {"t": {"default": "x"}}}
    assert load({"name": "b", "remotes": [remote]}).entries["b"].url == "https://x.example/mcp"
    (finding,) = load({"name": "b", "packages": [package | {"registryType": "mcpb"}]}).refused["b"]
    assert "no package that Ostler can start" in finding.message


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("enviroment", "environment"),
        ("evn", "env"),
        ("http_proxy_hosts", ""),
        ("reconnect_after_sleep", ""),
        ("roots", ""),
    ],
)
def test_only_a_key_that_is_close_is_taken_for_a_misspelling(written: str, meant: str) -> None:
    loaded = entry({"command": "x", written: {"b": "c"}})
    findings = [*loaded.findings, *loaded.refused.get("a", ())]
    [fix] = {finding.fix for finding in findings if repr(written) in str(finding)}
    assert (f"did you mean {meant!r}?" in fix) if meant else "did you mean" not in fix


def test_a_key_that_is_misspelled_is_named_where_its_entry_is_refused() -> None:
    (finding,) = entry({"comand": "x"}).refused["a"]
    assert (finding.rule, finding.fix) == ("no-command", "'comand': did you mean 'command'?")


@pytest.mark.parametrize(
    "beside",
    [
        {"mcpServers": {"a": {"command": "x", "args": 5}}},
        {"mcpServers": {"a": {"command": "x", "args": True}}},
        {"mcpServers": {"a": {"url": "https://h", "apiKey": {"authorization_type": ["custom"], "key": "1"}}}},
        {"user_config": ["x"]},
        {"user_config": "x", **bundle(type="node")},
        {"name": "a", "packages": [{"registryType": ["npm"], "identifier": "i"}]},
        {"name": "a", "packages": [{"registryType": {"npm": 1}, "identifier": "i"}]},
    ],
)
def test_a_value_of_a_wrong_form_leaves_the_other_servers_alone(tmp_path: Path, beside: dict[str, Any]) -> None:
    describes_one = "server" in beside or "packages" in beside
    servers = {} if describes_one else {"mcpServers": {"b": {"command": "x"}, **beside.get("mcpServers", {})}}
    root = {**beside, **servers}
    assert describes_one or "b" in load(root).entries
    file = tmp_path / "mcp.json"
    file.write_text(json.dumps(root))
    found, _ = candidates_in(file, ENV)
    assert {one.name for one in found} == set(load(root).entries) | set(load(root).refused)


def test_a_file_is_read_once_for_all_of_its_projects(tmp_path: Path) -> None:
    projects = {f"/p{number}": {"mcpServers": {f"s{number}": {"command": "x"}}} for number in range(3)}
    file, limits = tmp_path / ".claude.json", tmp_path / "settings.json"
    file.write_text(json.dumps({"mcpServers": {"own": {"command": "x"}}, "projects": projects}))
    limits.write_text(json.dumps({"permissions": {"deny": ["mcp__s1"]}}))

    def limiting(project: Path | None) -> list[Path]:
        if project is not None:  # what was read before is enough
            file.unlink(missing_ok=True)
            limits.unlink(missing_ok=True)
        return [limits]

    found, problems = candidates_in(file, ENV, client="claude-code", limiting=limiting)
    assert problems == []
    assert {one.name: one.entry.get("ostler") for one in found} == {
        "own": None, "s0": None, "s1": {"denyTools": ["*"]}, "s2": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "tools"),
    [
        ("permissions.yaml", "exclude: [drop]\nask: ['get(x)']\nallow: []\n", {"get_all", "put*"}),
        ("policy.toml", '[[rule]]\nmcpName = "a"\ntoolName = "drop"\ndecision = "deny"\npriority = 1\n',
         {"get", "get_all", "put*"}),
        ("managed-mcp.json", '{"mcpServers": {"a": {"command": "other"}}}', None),
        ("requirements.toml", "[mcp_servers]\n", None),
        ("requirements.toml", '[[mcp_servers]]\nname = "a"\n', None),
        ("requirements.toml", "[mcp_servers.a]\n", set(TOOLS)),
        ("requirements.toml", 'approval_policy = "never"\n', set(TOOLS)),
        ("empty.json", "", set(TOOLS)),
    ],
)  # fmt: skip
def test_another_file_of_the_client_limits_its_servers(
    tmp_path: Path, name: str, text: str, tools: set[str] | None
) -> None:
    file, other = tmp_path / "mcp.json", tmp_path / name
    file.write_text(json.dumps({"mcpServers": {"a": {"command": "x"}}}))
    other.write_text(text)
    (found,), problems = candidates_in(file, ENV, limiting=lambda _: [other])
    assert problems == []
    assert not found.is_refused
    assert found.entry.get("disabled", False) == (tools is None)
    if tools is not None:
        assert permitted(load({"mcpServers": {"a": found.entry}})) == tools


@pytest.mark.parametrize(
    ("server", "requirement", "is_on"),
    [
        ('command = "x"', '[mcp_servers.a.identity]\ncommand = "x"', True),
        ('command = "x"\nargs = ["y"]', '[mcp_servers.a.identity]\ncommand = "x"', True),
        ('command = "x"', '[mcp_servers.a.identity]\ncommand = "y"', False),
        ('command = "x"', '[mcp_servers.a.identity]\nurl = "https://h/"', False),
        ('url = "https://h/"', '[mcp_servers.a.identity]\nurl = "https://h/"', True),
        ('url = "https://h/b"', '[mcp_servers.a.identity]\nurl = "https://h/"', False),
        ('command = "x"', '[mcp_servers.a]\ncommand = "x"\nargs = []', True),
        ('command = "x"\nargs = ["y"]', '[mcp_servers.a]\ncommand = "x"\nargs = []', False),
        ('command = "x"', '[mcp_servers.a]\ncommand = "y"\nargs = []', False),
        (
            'command = "x"\nargs = ["-y", "@acme/b", "c1"]',
            """
[mcp_servers.a]
command = "x"
args = [{match = "exact", value = "-y"}, {match = "prefix", value = "@acme/"}, {match = "regex", expression = "c[0-9]"}]
""",
            True,
        ),
        (
            'command = "x"\nargs = ["c10"]',
            '[mcp_servers.a]\ncommand = "x"\nargs = [{match = "regex", expression = "c[0-9]"}]',
            False,
        ),
        (
            'command = "x"\nargs = ["y"]',
            '[mcp_servers.a]\ncommand = "x"\nargs = [{match = "glob", value = "*"}]',
            False,
        ),
        ('url = "https://h/b"', '[mcp_servers.a]\nurl = {match = "prefix", value = "https://h/"}', True),
        ('url = "https://i/b"', '[mcp_servers.a]\nurl = {match = "prefix", value = "https://h/"}', False),
        ('command = "x"', '[mcp_servers.a]\nurl = {match = "prefix", value = "https://h/"}', False),
        ('command = "x"', '[mcp_servers.b.identity]\ncommand = "x"', False),
    ],
)
def test_a_server_of_codex_is_on_if_it_is_what_is_required(
    tmp_path: Path, server: str, requirement: str, is_on: bool
) -> None:
    file, other = tmp_path / "config.toml", tmp_path / "requirements.toml"
    file.write_text(f"[mcp_servers.a]\n{server}\n")
    other.write_text(requirement)
    (found,), problems = candidates_in(file, ENV, client="codex", limiting=lambda _: [other])
    assert problems == []
    assert not found.is_refused
    assert found.entry.get("disabled", False) != is_on


def test_a_limit_of_another_file_is_shown_where_it_is_written(tmp_path: Path) -> None:
    file, allowed = tmp_path / "config.toml", tmp_path / "allowed.json"
    file.write_text('[mcp_servers.a]\ncommand = "x"\n')
    allowed.write_text('{"a": 1,\n"deniedMcpServers": [{"identity": {}}]}')
    (found,), _ = candidates_in(file, ENV, client="codex", limiting=lambda _: [allowed])
    assert [(one.file, one.line) for one in found.findings] == [(str(allowed), 2)]


@pytest.mark.parametrize(
    ("here", "there", "tools"),
    [
        ({"tools": ["@a"]}, {"tools": ["@a/get"]}, {"get"}),
        ({"tools": ["@a"]}, {"tools": ["@b"]}, None),
        ({"mcp": {"allowed": ["a", "b"]}}, {"allowedMcpServers": ["b"]}, None),
        ({"mcp": {"allowed": ["a", "b"]}}, {"allowedMcpServers": ["a"]}, set(TOOLS)),
    ],
)
def test_lists_of_several_files_all_count(here: dict[str, Any], there: dict[str, Any], tools: set[str] | None) -> None:
    text = json.dumps({"mcpServers": {"a": {"command": "x"}}, **here})
    loaded = load_mcp_json(text, ENV, file="mcp.json", beside=[source(there)])
    if tools is None:
        assert loaded.entries["a"].disabled
    else:
        assert permitted(loaded) == tools


def test_a_file_s_rule_about_addresses_is_not_undone_by_another_file_s() -> None:
    allow, reject = (
        {"amp.mcpPermissions": [{"matches": {"command": "x"}, "action": action}]} for action in ("allow", "reject")
    )
    text = json.dumps({"mcpServers": {"a": {"command": "x"}}, **allow})
    assert load_mcp_json(text, ENV, file="mcp.json", beside=[source(allow)]).entries
    assert not load_mcp_json(text, ENV, file="mcp.json", beside=[source(reject)]).entries
