"""The tools' schemas and the laws of keys, files and placeholders."""

import os
import re
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from mcp import Client
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError
from tests.support.processes import build_process_server, start_arguments

from ostler.adapters.caller_environment import without_own
from ostler.adapters.environments import Environments
from ostler.adapters.process.contract import Probe, StartRequest, StatusRequest
from ostler.adapters.process.launch import probe_with_port, request_digest, with_port
from ostler.adapters.process.records import RecordFolder
from ostler.adapters.process.server import ProcessServer, listed_tools
from ostler.adapters.process.supervisor import Supervisor
from ostler.model.responses import NEXT_MARK

KEY_CHARACTERS = string.ascii_letters + string.digits + "._-"
keys = st.text(KEY_CHARACTERS, min_size=1, max_size=128)


@given(keys)
def test_good_keys_are_accepted_and_name_one_file_below_the_folder(key: str) -> None:
    assert StatusRequest(key=key).key == key
    log = RecordFolder(Path("/root-of-it")).log_path(key)
    assert log.parent == Path("/root-of-it/logs")
    assert log.resolve() == log
    assert len(log.name) < 100
    assert not log.name.startswith(".")


@given(st.text(max_size=200).filter(lambda text: not re.fullmatch(r"[A-Za-z0-9._-]{1,128}", text)))
def test_other_keys_are_refused(key: str) -> None:
    with pytest.raises(ValidationError):
        StatusRequest(key=key)


@pytest.mark.parametrize("key", ["", "a/b", "../x", "a\\b", "a b", "a\n", "\n", "ä", "a\0", "x" * 129, "a:b", "~"])
def test_path_tricks_are_refused(key: str) -> None:
    with pytest.raises(ValidationError):
        StatusRequest(key=key)


@given(keys, keys)
def test_different_keys_have_different_files_also_where_case_does_not_count(one: str, other: str) -> None:
    folder = RecordFolder(Path("/r"))
    same = folder.log_path(one).name.lower() == folder.log_path(other).name.lower()
    assert same == (one == other)


@given(st.text(max_size=50), st.text(max_size=50), st.integers(1, 65535))
def test_every_placeholder_is_replaced_once(before: str, after: str, port: int) -> None:
    text = f"{before}{{port}}{after}"
    assert with_port(text, None) == text
    if "{port}" not in before + after:
        assert with_port(text, port) == f"{before}{port}{after}"
    assert "{port}" not in with_port(text.replace("{{", "").replace("}}", ""), port) or "{port" in before


@given(st.integers(1, 65535))
def test_a_probe_gets_the_port_in_all_its_parts(port: int) -> None:
    probe = probe_with_port(Probe(tcp="{port}", http="http://h:{port}/{x}", log=":{port}$"), port)
    assert (probe.tcp, probe.http, probe.log) == (port, f"http://h:{port}/{{x}}", f":{port}$")
    assert probe_with_port(Probe(tcp=port, log="a{port}"), None).log == "a{port}"


@given(st.dictionaries(st.text(KEY_CHARACTERS, min_size=1), st.text()), st.lists(st.text()))
def test_the_digest_is_of_what_runs_and_of_nothing_else(env: dict[str, str], args: list[str]) -> None:
    one = StartRequest(key="k", command="c", args=args, env=env)
    same = StartRequest(key="k", command="c", args=args, env=dict(reversed(env.items())), stop_timeout=1)
    assert request_digest(one, "salt") == request_digest(same, "salt")
    assert request_digest(one, "salt") != request_digest(one, "other salt")
    for changed in (
        one.model_copy(update={"args": [*args, "x"]}),
        one.model_copy(update={"port": 0}),
        one.model_copy(update={"cwd": "/"}),
        one.model_copy(update={"env": {**env, "ADDED_BY_THE_TEST": "1"}}),
    ):
        assert request_digest(one, "salt") != request_digest(changed, "salt")


def test_nulls_are_absent_and_numbers_become_words() -> None:
    request = StartRequest.model_validate(
        {
            "key": "k",
            "command": "c",
            "args": ["a", None, 1, 1.5, False],
            "env": {"A": None, "B": 1},
            "cwd": None,
            "port": None,
            "host": None,
            "stopSignal": None,
            "shell": None,
            "ready": {"tcp": None, "http": None, "log": None, "timeout": None},
        }
    )
    assert request.args == ["a", "1", "1.5", "false"]
    assert request.env == {"B": "1"}
    assert (request.host, request.stop_signal, request.shell) == ("127.0.0.1", "SIGTERM", False)
    assert request.ready is not None
    assert request.ready.is_empty


def test_a_size_that_no_machine_has_is_refused() -> None:
    with pytest.raises(ValidationError, match="a size is at most"):
        StartRequest.model_validate({"key": "k", "command": "c", "memoryLimit": "9" * 400})


@pytest.mark.anyio
async def test_a_call_within_this_process_is_answered_as_over_the_protocol(state_dir: Path) -> None:
    server = ProcessServer(Supervisor(state_dir / "p", environments=Environments(without_own(os.environ))))
    async with Client(server.over_protocol()) as client:
        for name, args in [
            ("status", {"key": "k"}),
            ("list", {}),
            ("start", {"key": "a/b", "command": "x"}),
            ("start", start_arguments("k", command="not-to-be-found")),
            ("stop", {"key": "k", "unknown": 1}),
        ]:
            over = (await client.call_tool(name, args)).model_dump(mode="json", by_alias=True, exclude_none=True)
            meta = {key: value for key, value in over.pop("_meta").items() if key == NEXT_MARK}
            over |= {"_meta": meta} if meta else {}
            assert await server.call_directly(name, args, None) == over
        with pytest.raises(MCPError, match="'none' not found"):
            await server.call_directly("none", {}, None)


@pytest.mark.anyio
async def test_every_tool_is_described_in_full_and_briefly(state_dir: Path) -> None:
    async with Client(build_process_server(state_dir / "p")) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert list(tools.values()) == listed_tools()
        assert client.server_info is not None
        assert client.server_info.name == "process"
    assert list(tools) == ["start", "stop", "status", "logs", "input", "list", "free_port"]
    for tool in tools.values():
        assert tool.title
        assert tool.annotations is not None
        assert tool.description is not None
        assert len(tool.description) < 250
        assert tool.output_schema is not None
        for schema in (tool.input_schema, tool.output_schema):
            Draft202012Validator.check_schema(schema)
            assert schema["type"] == "object"
            assert "$ref" not in str(schema)
        for name, field in tool.input_schema["properties"].items():
            assert field.get("description"), f"{tool.name} {name}"
    read_only = {name for name, tool in tools.items() if tool.annotations and tool.annotations.read_only_hint}
    assert read_only == {"status", "logs", "list", "free_port"}
    destructive = {name for name, tool in tools.items() if tool.annotations and tool.annotations.destructive_hint}
    assert destructive == {"stop", "input"}
    start = Draft202012Validator(tools["start"].input_schema)
    good: list[dict[str, Any]] = [
        start_arguments("k", "x"),
        {"key": "k", "command": "c", "args": ["a", 1, None], "env": None, "ready": {"tcp": "{port}", "timeout": "3s"}},
    ]
    assert all(start.is_valid(arguments) for arguments in good)
    assert not start.is_valid({"key": "a/b", "command": "c"})
    assert not start.is_valid({"key": "k", "command": "c", "unknown": 1})
