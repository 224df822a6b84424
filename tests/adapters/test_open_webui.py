"""Connections that Open WebUI exported, as entries."""

import json
from pathlib import Path
from typing import Any

import pytest

from ostler.adapters.config.imports import Candidate, candidates_in
from ostler.adapters.config.mcp_json import load_mcp_json

TOOLS = ("get", "files_get", "drop")


def found(folder: Path, root: Any) -> dict[str, Candidate]:
    file = folder / "tool-server.json"
    file.write_text(json.dumps(root, indent=1))
    candidates, problems = candidates_in(file, {})
    assert problems == []
    return {one.name: one for one in candidates}


def connection(**given: Any) -> dict[str, Any]:
    info = {"id": "docs", "name": "Docs", "description": "d"}
    return {"type": "mcp", "url": "https://h/mcp", "spec_type": "url", "spec": "", "path": "", "auth_type": "bearer",
            "key": "sk-very-secret", "headers": None, "info": info, **given}  # fmt: skip


def placed(form: str, one: dict[str, Any]) -> Any:
    return {
        "list": [one],
        "nested": {"version": 0, "ui": {}, "tool_server": {"connections": [one]}},
        "flat": {"tool_server.connections": [one], "ui.default_models": "x"},
        "interface": {"TOOL_SERVER_CONNECTIONS": [one]},
    }[form]


@pytest.mark.parametrize("form", ["list", "nested", "flat", "interface"])
def test_a_connection_is_found_in_every_form_of_an_export(tmp_path: Path, form: str) -> None:
    one = found(tmp_path, placed(form, connection(headers={"X": "1"})))["docs"]
    assert one.findings == ()
    assert one.entry == {
        "type": "http", "url": "https://h/mcp", "headers": {"X": "1", "Authorization": "Bearer sk-very-secret"},
    }  # fmt: skip
    assert "sk-very-secret" not in str(one.shown)


@pytest.mark.parametrize(
    ("names", "tools"),
    [
        ("", set(TOOLS)),
        ("get", {"get", "files_get"}),
        ("!drop, ", {"get", "files_get"}),
        (["get", "!files_get"], {"get"}),
        ("!get", {"drop"}),
    ],
)
def test_the_tools_of_a_connection_are_those_that_its_list_permits(tmp_path: Path, names: Any, tools: set[str]) -> None:
    one = found(tmp_path, [connection(config={"enable": True, "function_name_filter_list": names})])["docs"]
    loaded = load_mcp_json(json.dumps({"mcpServers": {"docs": one.entry}}), {})
    assert {tool for tool in TOOLS if loaded.entries["docs"].options.permits(tool)} == tools


def test_a_connection_that_is_switched_off_stays_off(tmp_path: Path) -> None:
    every = found(tmp_path, [connection(config={"enable": False}), connection(info={"name": "Other"})])
    assert {name: one.entry.get("disabled", False) for name, one in every.items()} == {"docs": True, "Other": False}


@pytest.mark.parametrize(
    ("config", "is_refused"),
    [
        ({"access_grants": []}, False),
        ({"access_control": None}, False),
        ({"access_grants": [{"principal_type": "user", "principal_id": "*", "permission": "read"}]}, False),
        ({"access_grants": [{"principal_type": "group", "principal_id": "g", "permission": "read"}]}, True),
        ({"access_control": {"read": {"group_ids": ["g"], "user_ids": []}}}, True),
        ({"access_control": {"read": {"group_ids": [], "user_ids": []}}}, False),
    ],
)
def test_a_connection_that_only_some_may_use_is_refused(
    tmp_path: Path, config: dict[str, Any], is_refused: bool
) -> None:
    one = found(tmp_path, [connection(config={"enable": True, **config})])["docs"]
    assert one.is_refused == is_refused
    if is_refused:
        (finding,) = one.findings
        assert (finding.rule, next(iter(config)) in finding.message) == ("limit", True)


def test_an_interface_of_openapi_and_the_sign_in_of_a_user_are_reported(tmp_path: Path) -> None:
    every = found(
        tmp_path,
        [
            connection(type="openapi", info={"name": "rest"}),
            connection(auth_type="session", headers=[{"key": "Y", "value": "2"}]),
        ],
    )
    assert [one.rule for one in every["rest"].findings] == ["unknown-type"]
    assert "REST interface" in every["rest"].findings[0].message
    assert every["rest"].findings[0].line > 1
    assert every["docs"].entry["headers"] == {"Y": "2"}
    assert [(one.severity, "sign in" in one.message) for one in every["docs"].findings] == [("warning", True)]
