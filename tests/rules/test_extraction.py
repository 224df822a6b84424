"""Outputs from real answers: JMESPath, regular expressions, templates."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.answers import answer, text_answer

from ostler.model.errors import ExtractionError, OstlerError
from ostler.model.manifest import OutputSpec
from ostler.model.responses import ToolResponse
from ostler.rules.answers.extraction import (
    coerce,
    extract_from_response,
    process_tool_outputs,
    render_outputs,
)
from ostler.rules.answers.queries import compile_path

STARTED = answer("manage-bg: start http.server")
PROSE = answer("desktop-commander: start http.server 1.5s")
CONTAINER = answer("docker: run redis")


def output(**keys: Any) -> OutputSpec:
    return OutputSpec.model_validate(keys)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("pid", 10453),
        ("result.pid", 10453),
        ("args[3]", "18121"),
        ("result.args[-1]", "127.0.0.1"),
        ("length(args)", 6),
        ("status == `running`", True),
        ('status == `"running"` && pid == `10453`', True),
        ("args[?@ == '`x`'] == `[]`", True),
        ("{id: processId, up: status == 'running'}", {"id": "fcd7f112-c08f-4848-b84b-f21b91ee7ed9", "up": True}),
    ],
)
def test_paths_find_values_with_and_without_the_leading_result(path: str, value: object) -> None:
    assert extract_from_response(STARTED, path) == value


def test_a_result_of_its_own_is_found_first() -> None:
    assert extract_from_response(text_answer('{"result": {"pid": 1}, "pid": 2}'), "result.pid") == 1
    assert extract_from_response(text_answer("[1]"), "result") == [1]


def test_a_quoted_key_of_a_real_answer() -> None:
    assert extract_from_response(CONTAINER, 'ports."6379/tcp"[0].HostPort') == "18379"


def test_a_path_that_finds_nothing_is_named_with_what_was_there() -> None:
    with pytest.raises(ExtractionError, match=r"path 'state.pid' finds nothing; the answer was .*processId") as caught:
        extract_from_response(STARTED, "state.pid")
    assert len(caught.value.summary) < 400


def test_a_broken_path_is_an_error_with_a_hint() -> None:
    with pytest.raises(ExtractionError, match=r"'\$\.pid' is not a JMESPath expression.*without the leading '\$'"):
        extract_from_response(STARTED, "$.pid")


def test_prose_gives_a_typed_pid() -> None:
    outputs = {"pid": output(regex=r"PID (\d+)", type="integer"), "shell": output(regex=r"shell: (?P<value>[^)]+)")}
    assert process_tool_outputs(outputs, PROSE, {}) == {"pid": 8590, "shell": "/bin/bash"}


def test_the_group_named_like_the_output_wins() -> None:
    pattern = r"PID (?P<pid>\d+) \(shell: (?P<shell>[^)]+)\)"
    outputs = {"pid": output(regex=pattern), "shell": output(regex=pattern), "all": output(regex="PID [0-9]+")}
    assert process_tool_outputs(outputs, PROSE, {}) == {"pid": "8590", "shell": "/bin/bash", "all": "PID 8590"}


def test_templates_see_the_answer_and_the_names() -> None:
    outputs = {
        "url": "http://{{ host }}:{{ response.value.args[3] }}/",
        "failed": "{{ response.isError }}",
        "first": output(template="{{ response.content[0].type }}"),
    }
    assert process_tool_outputs(outputs, STARTED, {"host": "h"}) == {
        "url": "http://h:18121/",
        "failed": False,
        "first": "text",
    }


def test_defaults_and_optional_outputs() -> None:
    outputs = {
        "port": output(path="port", default=80),
        "note": output(path="note", required=False),
        "exit": output(regex="exit (\\d+)", type="integer", required=False),
        "number": output(regex="PID (shell)", default="none"),
    }
    assert process_tool_outputs(outputs, PROSE, {}) == {"port": 80, "note": None, "exit": None, "number": "none"}


def test_every_output_that_fails_is_listed_and_the_answer_shown_once() -> None:
    outputs = {
        "a": "nope",
        "b": output(regex="zzz"),
        "c": output(path="command", type="integer"),
        "d": "{{ missing }}",
        "fine": "pid",
    }
    with pytest.raises(ExtractionError) as caught:
        process_tool_outputs(outputs, STARTED, {})
    for phrase in ("'a': path 'nope'", "'b': regex 'zzz'", "'c': \"python3\" cannot be read as integer", "'missing'"):
        assert phrase in caught.value.summary
    assert caught.value.summary.count("the answer was") == 1
    assert "'fine'" not in caught.value.summary


def test_a_regex_that_takes_forever_is_cut_off() -> None:
    with pytest.raises(ExtractionError, match="took longer"):
        process_tool_outputs({"a": output(regex="(a|a)*$")}, text_answer("a" * 40 + "b"), {})


@pytest.mark.parametrize(
    ("value", "kind", "made"),
    [
        ("8590", "integer", 8590), (8590.0, "integer", 8590), ("1.5", "number", 1.5), (" 7 ", "integer", 7),
        ("true", "boolean", True), ("False", "boolean", False), (8080, "string", "8080"), (True, "string", "true"),
        ([1], "string", "[1]"), ('{"a": 1}', "object", {"a": 1}), ("[1]", "array", [1]), ({}, "object", {}),
    ],
)  # fmt: skip
def test_types_are_read_from_text(value: object, kind: str, made: object) -> None:
    assert coerce(value, kind) == made
    assert type(coerce(value, kind)) is type(made)


@pytest.mark.parametrize(
    ("value", "kind"),
    [("x", "integer"), ("1.5", "integer"), (True, "integer"), ("1", "boolean"), (1, "boolean"), ("[1]", "object"),
     ("", "number"), ("NaN", "number"), ({}, "array")],
)  # fmt: skip
def test_what_cannot_be_read_as_the_type_is_an_error(value: object, kind: str) -> None:
    with pytest.raises(ExtractionError, match=f"cannot be read as {kind}"):
        coerce(value, kind)


def test_service_outputs_are_templates_literals_and_paths_over_the_names() -> None:
    outputs = {
        "url": "http://localhost:{{ port }}/",
        "port": "{{ port }}",
        "kind": "web",
        "first": output(path="start.urls[0]"),
        "note": output(template="{{ start.note }}", default="none"),
    }
    names = {"port": 80, "start": {"urls": ["http://a"]}}
    assert render_outputs(outputs, names) == {
        "url": "http://localhost:80/",
        "port": 80,
        "kind": "web",
        "first": "http://a",
        "note": "none",
    }


def test_service_outputs_that_fail_are_all_listed_without_the_values_there() -> None:
    outputs = {"a": "{{ start.nope }}", "b": output(path="start.nada")}
    with pytest.raises(ExtractionError, match=r"'a': 'start.nope' is undefined.*'b': path 'start.nada'") as caught:
        render_outputs(outputs, {"start": {"key": "hunter2"}})
    assert "hunter2" not in str(caught.value)


@given(st.text(max_size=30) | st.text(alphabet="ab[].*?`'\"|&!@{}:()<>=-0", max_size=20))
def test_any_path_finds_something_or_is_an_extraction_error(path: str) -> None:
    try:
        extract_from_response(STARTED, path)
    except OstlerError as error:
        summary = error.summary
        assert "path" in summary or "JMESPath" in summary


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("split(logFile, '/')", "there is no function 'split'; take it with a 'regex' or a template instead"),
        ("items[?starts_wth(name, 'a')]", "there is no function 'starts_wth'; did you mean 'starts_with'?"),
        ("length(a, b)", "function 'length' takes 1 argument, not 2"),
        ("{a: merge()}", "function 'merge' takes at least 1 argument, not 0"),
        ("[&name]", "'&' is allowed only before an argument of a function"),
    ],
)
def test_functions_of_jmespath_are_known_beforehand(path: str, problem: str) -> None:
    with pytest.raises(ExtractionError) as caught:
        compile_path(path)
    assert problem in caught.value.summary


@pytest.mark.parametrize(
    "path", ["sort_by(items, &name)[0].id", "not_null(a, b, c)", "max_by(a, &b) | @.c", "length(@)"]
)
def test_functions_of_jmespath_that_are_there_compile(path: str) -> None:
    compile_path(path)


def test_a_regex_searches_the_json_of_an_answer_without_text() -> None:
    response = ToolResponse(value={"url": "http://127.0.0.1:8080/"}, structured={"url": "http://127.0.0.1:8080/"})
    taken = process_tool_outputs({"port": output(regex=r":(\d+)/", type="integer")}, response, {})
    assert taken == {"port": 8080}
