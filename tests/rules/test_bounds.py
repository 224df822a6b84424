"""Hostile expressions and numbers: what they would make is counted first, so that neither memory nor time is taken."""

import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.peak import MANY, Peak

from ostler.model.errors import ArgumentError, ExtractionError, ManifestError, TemplateError
from ostler.model.json import json_flaw, parse_json
from ostler.model.manifest import ArgSpec, OutputSpec
from ostler.model.responses import ToolResponse
from ostler.rules.answers.batch_items import BatchAnswer
from ostler.rules.answers.extraction import coerce, find_in_response
from ostler.rules.answers.queries import MAX_DEPTH, MAX_PATH, compile_path
from ostler.rules.answers.responses import normalise
from ostler.rules.calls.arguments import validate_args
from ostler.rules.checking.string_formats import fits_format
from ostler.rules.reading import load_manifests
from ostler.rules.templates.template import render
from ostler.rules.text.pattern_bounds import MAX_REPEAT, MAX_SIZE, compiled_size
from ostler.rules.text.patterns import PatternError, compile_pattern, matched_values
from ostler.rules.text.yaml_source import load_documents

LARGE_PATTERNS = [
    "(?:a{1000}){1000}",
    "a{1000000000}",
    f"a{{{MAX_REPEAT + 1},}}",
    "(a{30000}){30000}",
    "(?:" * 40 + "a" + "){2}" * 40,
    "(?:" * 100 + "a" + "){2,3}" * 100,
    "(?:(?=(a{500})){500}){500}",
    "(?<=(?:ab{200}){200})c",
    "(?(?=a)(?:b{300}){300}|c)",
    "(?:a|(?:b{200}?){200}+)",
    "[" + "a-bé-ü" * 600 + "]{5000}",
    "[(](a{1000}[(]){1000}",
    "(?x) ( a{1000} # ) (\n ){1000}",
    "(?V1)(?:[[a]--[)]]{1000}){1000}",
    r"(?:x|(?R)){1000}",
    r"(?P<n>a(?&n)?)",
    "(" * 2000 + ")" * 2000,
    "a" * 5000,
]
PATHS_THAT_GROW = [
    " | ".join(["[@,@]"] * 40),
    " | ".join(["[@,@][]"] * 40),
    " | ".join(["{a: @, b: @}"] * 40),
    " | ".join(["join('', [@,@])"] * 40).replace("@,@", "to_string(@),to_string(@)", 1),
    " | ".join(["to_string([@])"] * 60),
    " | ".join(["[@,@,@,@,@,@,@,@]"] * 8) + " | to_string(@)",
    " | ".join(["[*].[@,@][]"] * 40).replace("[*]", "to_array(@)[*]", 1),
    " | ".join(["map(&@, [@,@])[]"] * 40),
]


@pytest.mark.parametrize("pattern", LARGE_PATTERNS)
def test_a_regular_expression_that_would_take_all_memory_is_refused_before_it_is_compiled(pattern: str) -> None:
    with Peak() as peak, pytest.raises(PatternError, match=r"too large|too long"):
        compile_pattern(pattern)
    assert peak.bytes < MANY
    assert not fits_format("regex", pattern)


@pytest.mark.parametrize(
    ("pattern", "size"),
    [
        ("abc", 3),
        ("[0-9]{4}-[0-9]{2}", 7),
        (f"a{{{MAX_REPEAT}}}", MAX_REPEAT),
        ("(?:ab?c*){20}", 60),
        ("(?x) a{3} # b{9999999}", 3),
        (r"\{99999999}[{99999999}]", 20),
        (r"(?P<url>https?://\S+)", 9),
    ],
)
def test_what_repeats_within_bounds_is_compiled(pattern: str, size: int) -> None:
    compile_pattern(pattern)
    assert compiled_size(pattern) == size


@given(st.text("a(){}?+*|[]\\123,x#: \n", max_size=60))
def test_no_text_of_any_kind_is_a_surprise_as_a_regular_expression(text: str) -> None:
    with Peak() as peak:
        try:
            compile_pattern(text)
        except PatternError:
            return
    assert compiled_size(text) <= MAX_SIZE
    assert peak.bytes < MANY


def manifest(**config: Any) -> str:
    start = {"tool": "x/start", **config.pop("start", {})}
    tools = {"start": start, "stop": {"tool": "x/stop"}}
    value = {
        "apiVersion": "ostler/v1",
        "kind": "ServiceClass",
        "metadata": {"name": "web"},
        "spec": {**config, "serviceConfig": {"lifecycleTools": tools}},
    }
    return json.dumps(value)


LARGE = "(a{1000}){1000}"


def test_each_match_gives_its_value_once_and_none_if_it_has_none() -> None:
    assert matched_values(r"id=(\w+)?", "item", "id=b id=a id= id=b") == ["b", "a"]
    assert matched_values("b*", "item", "abba") == ["", "bb"]


@pytest.mark.parametrize(
    "config",
    [
        {"args": {"a": {"type": "string", "pattern": LARGE}}},
        {"args": {"a": {"type": "array", "items": {"type": "string", "pattern": LARGE}}}},
        {"args": {"a": {"type": "object", "items": {"patternProperties": {LARGE: {}}}}}},
        {"args": {"a": {"type": "array", "items": {"anyOf": [{"properties": {"b": {"pattern": LARGE}}}]}}}},
        {"start": {"outputs": {"a": {"regex": LARGE}}}},
        {"start": {"expect": {"matches": LARGE}}},
        {"start": {"expectNot": {"matches": ["ok", LARGE]}}},
    ],
)
def test_a_class_with_too_large_an_expression_is_refused_with_its_place(config: dict[str, Any]) -> None:
    with pytest.raises(ManifestError) as refused:
        load_manifests(manifest(**config))
    assert any(finding.rule == "bad-regex" and finding.line for finding in refused.value.findings)


def test_named_patterns_of_an_argument_are_searched_with_a_time_limit() -> None:
    items = {
        "type": "object",
        "patternProperties": {"^x-": {"type": "integer"}, "(a+)+$": {}},
        "additionalProperties": False,
    }
    specs = {"a": ArgSpec(type="array", items=items)}
    assert validate_args(specs, {"a": [{"x-1": 1}]}) == {"a": [{"x-1": 1}]}
    with pytest.raises(ArgumentError, match="expected integer"):
        validate_args(specs, {"a": [{"x-1": True}]})
    with pytest.raises(ArgumentError, match="was unexpected"):
        validate_args(specs, {"a": [{"a" * 60 + "!": 1}]})


@pytest.mark.parametrize("path", PATHS_THAT_GROW)
def test_a_path_that_doubles_what_it_finds_ends_at_a_count_or_in_time(path: str) -> None:
    with pytest.raises(ExtractionError, match=r"too much|values|cannot be applied|0\.25 s of processor time"):
        find_in_response(ToolResponse(["some", "text"]), path)


@pytest.mark.parametrize(
    "path",
    [
        " | ".join(["a"] * (MAX_DEPTH + 2)),
        "!" * (MAX_DEPTH + 2) + "a",
        "[" * 2000 + "@" + "]" * 2000,
        "(" * 3000 + "a" + ")" * 3000,
        " || ".join(["a"] * 600),
        "a" * (MAX_PATH + 1),
    ],
)
def test_a_path_nested_too_deep_is_refused_when_the_class_is_loaded(path: str) -> None:
    with pytest.raises(ExtractionError, match=r"nested deeper|too long"):
        compile_path(path)
    with pytest.raises(ManifestError) as refused:
        load_manifests(manifest(start={"outputs": {"a": path}}))
    assert {finding.rule for finding in refused.value.findings} == {"bad-jmespath"}


@pytest.mark.parametrize("path", ["&a", "[&a]", "to_array(&a)", "not_null(&a)", "{a: type(&b)}", "sort_by(&a, &b)"])
def test_a_path_that_gives_an_expression_instead_of_json_is_refused(path: str) -> None:
    with pytest.raises(ExtractionError, match="'&' is allowed only"):
        compile_path(path)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("to_number(a)", {"a": "nan"}),
        ("to_number(a)", {"a": "1e999"}),
        ("[to_number(a)]", {"a": "-Infinity"}),
        ("to_number(a)", {"a": "9" * 400}),
        ("`NaN`", {}),
        ("sum(a)", {"a": [1.7e308, 1.7e308]}),
    ],
)
def test_a_number_that_json_does_not_have_is_no_output(path: str, value: Any) -> None:
    with pytest.raises(ExtractionError, match="not JSON"):
        find_in_response(ToolResponse(value), path)


HUGE = 1 << 2000


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (float("nan"), "it is NaN"),
        ({"a": [1, float("inf")]}, "a[1] is Infinity"),
        ([{"b": HUGE}], "[0].b is a whole number of 2001 bits"),
        ({"a": {1, 2}}, "a is a set"),
    ],
)
def test_the_place_of_what_is_not_json_is_said(value: Any, place: str) -> None:
    assert json_flaw(value).startswith(place)
    with pytest.raises(ArgumentError, match="is not JSON"):
        validate_args({"x": ArgSpec(type="object")}, {"x": value})


@pytest.mark.parametrize("text", ["[" * 20_000, b'{"a":' * 20_000])
def test_json_that_is_nested_too_deeply_is_refused_as_what_is_not_json_is(text: str | bytes) -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json(text)


def test_numbers_that_json_has_are_taken_up_to_their_bound() -> None:
    value = {"a": [(1 << 1023) - 1, sys.float_info.max, -0.0, True, None, "NaN"]}
    assert json_flaw(value) == ""
    assert json_flaw([[0] * 10] * 10, most=50)


@pytest.mark.parametrize("number", ["9" * 309, "1e999", ".inf", "-.INF", ".nan", "0x" + "f" * 300, "0o" + "7" * 400])
def test_a_number_of_yaml_that_json_does_not_have_is_refused_with_its_place(number: str) -> None:
    with pytest.raises(ManifestError) as refused:
        load_documents(f"a:\n  b: {number}\n")
    (finding,) = refused.value.findings
    assert (finding.line, finding.column, finding.rule) == (2, 6, "bad-value")


@pytest.mark.parametrize("text", ['{"a": NaN}', "[Infinity]", '{"a": 1e999}', '{"a": ' + "9" * 400 + "}"])
def test_an_answer_whose_text_only_looks_like_json_stays_text(text: str) -> None:
    assert normalise([{"type": "text", "text": text}]).value == text
    with pytest.raises(ExtractionError):
        coerce(text, "object")


@pytest.mark.parametrize(
    "template",
    ["{{ 'nan' | float }}", "{{ [1e308 * 10] }}", "{{ 2 ** 2000 }}", "x{{ '\\ud800' }}", "{{ ['\\ud800'] }}"],
)
def test_a_template_that_gives_what_json_does_not_have_fails(template: str) -> None:
    with pytest.raises(TemplateError):
        render(template, {})


def test_an_answer_with_a_huge_number_breaks_no_batch() -> None:
    answer = BatchAnswer(ToolResponse([{"id": "1e999", "name": "web"}, {"id": 7, "name": "db"}]))
    assert answer.find({"items": "@", "match": {"id": 7}}).value == {"id": 7, "name": "db"}


def test_an_output_may_still_use_what_takes_an_expression() -> None:
    spec = OutputSpec(path="sort_by(items, &age)[-1].name")
    assert spec.path is not None
    response = ToolResponse({"items": [{"name": "b", "age": 2}, {"name": "a", "age": 1}]})
    assert find_in_response(response, spec.path) == "b"
    assert find_in_response(response, "map(&age, items) | sum(@)") == 3
