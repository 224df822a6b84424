"""mcp.json: what people paste from other clients, what they get wrong, and what is told to them."""

from pathlib import Path

import pytest

from ostler.adapters.config.mcp_content import McpJson
from ostler.adapters.config.mcp_json import load_mcp_json

ENV = {"HOME": "/home/ada", "TOKEN": "s3cret-token", "EMPTY": ""}


def load(text: str) -> McpJson:
    return load_mcp_json(text, ENV, file="mcp.json")


def entry(body: str, name: str = "a") -> McpJson:
    return load(f'{{"mcpServers": {{"{name}": {body}}}}}')


def test_entries_of_common_clients_load_silently() -> None:
    loaded = load(
        """
        {
          // Claude Desktop
          "mcpServers": {
            "filesystem": {"command": "npx", "args": ["-y", "server-filesystem", "~/docs"], "env": {"A": "1"}},
            "cursor": {"url": "https://example.com/mcp", "headers": {"Authorization": "Bearer ${env:TOKEN}"}},
            "cline": {"command": "uvx", "args": ["x"], "disabled": true, "autoApprove": ["t"], "timeout": 60},
            "code": {"type": "streamable-http", "url": "http://127.0.0.1:8000/mcp", "gallery": true}, /* VS Code */
            "old": {"type": "sse", "url": "http://127.0.0.1:8000/sse",},
          },
        }
        """
    )
    assert {(finding.severity, finding.path) for finding in loaded.findings} == {
        ("note", "mcpServers.cline.autoApprove")  # Ostler approves nothing, which is worth knowing
    }
    assert {name: one.transport for name, one in loaded.entries.items()} == {
        "filesystem": "stdio", "cursor": "http", "cline": "stdio", "code": "http", "old": "sse",
    }  # fmt: skip
    assert loaded.entries["filesystem"].args == ("-y", "server-filesystem", "~/docs")
    assert loaded.entries["cursor"].headers == {"Authorization": "Bearer s3cret-token"}
    assert loaded.entries["cline"].disabled


def test_vscode_calls_them_servers() -> None:
    assert list(load('{"inputs": [], "servers": {"x": {"command": "true"}}}').entries) == ["x"]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("${TOKEN}", "s3cret-token"),
        ("a-${TOKEN}-b", "a-s3cret-token-b"),
        ("${NONE:-fallback}", "fallback"),
        ("${NONE:-}", ""),
        ("${EMPTY:-fallback}", "fallback"),
        ("${EMPTY-fallback}", ""),
        ("${NONE-fallback}", "fallback"),
        ("${NONE:-<${EMPTY-x}${EMPTY:-y}${NONE-z}>}", "<yz>"),
        ("${EMPTY}", ""),
        ("${env:TOKEN}", "s3cret-token"),
        ("${userHome}/x", "/home/ada/x"),
        ("$${TOKEN}", "${TOKEN}"),
        ("$TOKEN", "$TOKEN"),
        ("${env:TOKEN}-${/}", "s3cret-token-/"),
        ("${TOKEN:-${NONE}}", "s3cret-token"),
        ("${NONE:-${TOKEN}}/x", "s3cret-token/x"),
        ("${NONE:-a${NONE:-b}-${EMPTY}}", "ab-"),
    ],
)
def test_variables_expand(written: str, value: str) -> None:
    loaded = entry(f'{{"command": "run", "args": ["{written}"], "env": {{"X": "{written}"}}}}')
    assert loaded.entries["a"].args == (value,)
    assert loaded.entries["a"].env == {"X": value}


def test_a_default_with_a_missing_variable_names_both() -> None:
    (finding,) = entry('{"command": "run", "args": ["${NONE:-${NOPE:-${NADA:-x}}}"]}').refused["a"]
    assert "has a form that is not read" in finding.message
    (finding,) = entry('{"command": "run", "args": ["${NONE:-${NOPE}}"]}').refused["a"]
    assert (
        finding.message == "the environment variable 'NONE' is not set, and 'NOPE', in its default, is not set either"
    )


def test_a_secret_in_a_default_is_never_shown() -> None:
    text = '{"mcpServers": {"a": {"command": "run", "args": ["--key=${NONE:-${API_TOKEN}}"]}}}'
    shown = load_mcp_json(text, {"API_TOKEN": "s3cret-token"}).entries["a"].masked()
    assert shown["args"] == ["--key=***"]


def test_a_missing_variable_is_named_with_its_place_and_takes_only_its_entry_down() -> None:
    loaded = load('{"mcpServers": {\n "a": {"command": "x",\n  "env": {"K": "${NOPE}"}},\n "b": {"command": "y"}}}')
    assert list(loaded.entries) == ["b"]
    (finding,) = loaded.findings
    assert (finding.line, finding.column, finding.rule) == (3, 11, "missing-variable")
    assert finding.path == "mcpServers.a.env.K"
    assert "'NOPE' is not set" in str(finding)
    assert "${NOPE:-default}" in finding.fix


@pytest.mark.parametrize(
    ("body", "rule", "words"),
    [
        ('{"command": "x", "ostler": {"autostart": true}}', "unknown-key", "did you mean 'autoStart'?"),
        ('{"command": "x", "ostler": {"timeout": "soon"}}', "bad-value", "not a duration"),
        ('{"command": "x", "ostler": {"concurrency": 0}}', "bad-value", "greater than or equal to 1"),
        ('{"command": "x", "ostler": []}', "not-an-object", "must be an object"),
        ('{"command": "x", "url": "http://y"}', "command-and-url", "either"),
        ("{}", "no-command", "needs a 'command' or a 'url'"),
        ('{"type": "ftp", "command": "x"}', "unknown-type", "'stdio', 'http'"),
        ('{"type": "http", "command": "x"}', "wrong-type", "needs 'url'"),
        ('{"url": "localhost:80"}', "bad-url", "http:// or https://"),
        ('{"command": ""}', "no-command", "needs a 'command' or a 'url'"),
        ('{"command": " "}', "bad-value", "not empty"),
        ('{"command": "x", "args": "-v"}', "bad-value", 'write ["-v"]'),
        ('{"command": "x", "env": ["A=1"]}', "bad-value", "object of texts"),
        ('{"command": "x", "env": {"A": {}}}', "bad-value", "not a text"),
        ('{"command": "x", "disabled": "yes"}', "limit", "true or false"),
        ('{"command": "x", "enabled": "false"}', "limit", "true or false"),
        ('{"command": "x", "disabledTools": "drop"}', "limit", "list of tool names"),
        ('{"command": "x", "includeTools": [1]}', "limit", "list of tool names"),
        ('{"command": "x", "sandbox": {"network": {}}}', "limit", "confines the server's program"),
        ('{"command": "x", "sandboxEnabled": true}', "limit", "confines the server's program"),
        ('{"command": "x", "args": ["${input:key}"]}', "missing-variable", "ostler servers answer key takes it"),
        ('"npx"', "not-an-object", "must be an object"),
    ],
)
def test_a_broken_entry_says_what_is_wrong(body: str, rule: str, words: str) -> None:
    loaded = load(f'{{"mcpServers": {{"good": {{"command": "x"}},\n"a": {body}}}}}')
    assert list(loaded.entries) == ["good"]
    (finding,) = loaded.errors
    assert finding.rule == rule
    assert finding.line == 2
    assert words in str(finding)


def test_ostlers_own_name_is_reserved() -> None:
    assert [finding.rule for finding in entry('{"command": "x"}', "ostler").errors] == ["reserved-name"]


def test_an_unknown_key_warns_and_loads() -> None:
    loaded = entry('{"comand": "y", "command": "x", "concurrency": 3}')
    assert list(loaded.entries) == ["a"]
    assert [(finding.severity, finding.fix) for finding in loaded.findings] == [
        ("warning", "did you mean 'command'?"),
        ("warning", "did you mean 'concurrency' under 'ostler'?"),
    ]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('{"mcpServers": {\n "a" {}}}', 2, "':' should follow"),
        ('{"mcpServers": {\n "a": {"command": "x"\n "args": []}}}', 3, "',' or '}'"),
        ('{"mcpServers": {', 1, "'}' is missing for the bracket opened at 1:16"),
        ("{'mcpServers': {}}", 1, "double quotes"),
        ('{"mcpServers": {"a": tru}}', 1, "not valid JSON"),
        ("[]", 1, "must hold an object"),
        ('{"mcpservers": {}}', 1, "rename 'mcpservers' to 'mcpServers'"),
        ("{} x", 1, "text after the end"),
    ],
)
def test_a_broken_file_is_one_finding_with_its_line(text: str, line: int, words: str) -> None:
    loaded = load(text)
    assert not loaded.entries
    (finding,) = loaded.findings
    assert finding.line == line
    assert words in str(finding)


def test_files_that_cannot_be_read_are_findings(tmp_path: Path) -> None:
    (tmp_path / "latin.json").write_bytes(b'{"a": "\xe4"}')
    assert "not UTF-8" in str(load_mcp_json(tmp_path / "latin.json", ENV).findings[0])
    assert "cannot be read" in str(load_mcp_json(tmp_path / "none.json", ENV).findings[0])
    (tmp_path / "empty.json").write_text("\n")
    assert load_mcp_json(tmp_path / "empty.json", ENV) == McpJson()


def test_a_built_in_server_can_be_configured_and_disabled() -> None:
    loaded = load('{"mcpServers": {"process": {"disabled": true, "ostler": {"denyTools": ["start*"]}}}}')
    process = loaded.entries["process"]
    assert (process.transport, process.disabled) == ("builtin", True)
    assert not process.options.permits("start")
    (finding,) = load('{"mcpServers": {"process": {"command": "x"}}}').findings
    assert (finding.severity, finding.fix) == ("warning", "give it another name")
    assert "replaces the built-in 'process'" in finding.message


def test_secrets_are_known_and_never_shown() -> None:
    loaded = load(
        """{"mcpServers": {
        "a": {"command": "x", "args": ["--token=${TOKEN}", "${HOME}"], "env": {"KEY": "env-secret", "DEBUG": "1"}},
        "b": {"url": "https://u:pa55word@h/mcp?key=query-secret", "headers": {"Authorization": "Bearer abcdefgh"}}
        }}"""
    )
    a, b = loaded.entries["a"], loaded.entries["b"]
    assert set(a.secret_strings()) == {"s3cret-token", "env-secret"}
    assert a.masked() == {
        "type": "stdio",
        "command": "x",
        "args": ["--token=***", "/home/ada"],
        "env": {"KEY": "***", "DEBUG": "1"},
    }
    assert set(b.secret_strings()) == {"Bearer abcdefgh", "abcdefgh", "pa55word", "query-secret"}
    assert b.masked() == {"type": "http", "url": "https://u:***@h/mcp?key=***", "headers": {"Authorization": "***"}}
    for text in (repr(a), str(b), repr(loaded.entries)):
        assert "secret" not in text
        assert "abcdefgh" not in text


def test_a_policy_is_globs_and_deny_wins() -> None:
    options = (
        entry('{"command": "x", "ostler": {"allowTools": ["get_*"], "denyTools": ["*_all"]}}').entries["a"].options
    )
    assert [options.permits(tool) for tool in ("get_one", "get_all", "set_one")] == [True, False, False]


@pytest.mark.parametrize("switch", ['"disabled": true', '"enabled": false', '"isActive": false'])
def test_a_switched_off_entry_is_disabled(switch: str) -> None:
    loaded = entry(f'{{"command": "x", {switch}}}')
    assert loaded.findings == ()
    assert loaded.entries["a"].disabled


@pytest.mark.parametrize(
    "switch", ['"disabled": false', '"enabled": true', '"isActive": true', '"sandboxEnabled": false']
)
def test_an_entry_that_is_switched_on_is_not_disabled(switch: str) -> None:
    assert not entry(f'{{"command": "x", {switch}}}').entries["a"].disabled


@pytest.mark.parametrize(
    ("limits", "permitted"),
    [
        ('"disabledTools": ["drop"]', {"get", "get_all", "put*"}),
        ('"excludeTools": ["put*"]', {"get", "drop", "get_all"}),
        ('"disabledTools": ["*"]', set()),
        ('"tools": ["get"]', {"get"}),
        ('"tools": ["*"]', {"get", "drop", "get_all", "put*"}),
        ('"tools": []', set()),
        ('"includeTools": ["get", "drop"], "excludeTools": ["drop"]', {"get"}),
        ('"tools": ["get", "drop"], "ostler": {"allowTools": ["get*"]}', {"get"}),
        ('"disabledTools": ["get"], "ostler": {"denyTools": ["put*"]}', {"drop", "get_all"}),
    ],
)
def test_lists_of_tools_are_obeyed(limits: str, permitted: set[str]) -> None:
    loaded = entry(f'{{"command": "x", {limits}}}')
    assert loaded.findings == ()
    options = loaded.entries["a"].options
    assert {tool for tool in ("get", "drop", "get_all", "put*") if options.permits(tool)} == permitted


@pytest.mark.parametrize("text", ['{"mcpServers": null}', '{"servers": null, "inputs": []}', '{"mcp": {}}'])
def test_a_file_without_servers_yet_is_no_fault(text: str) -> None:
    assert load(text).findings == ()
