"""What clients say of their servers apart from the entries: hooks, and lists that only one client writes."""

import json
from typing import Any

import pytest

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
