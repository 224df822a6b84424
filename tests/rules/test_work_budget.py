"""One budget bounds a whole rendering, answer, check or plan, however many small steps it is made of."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.support.peak import MANY, Peak

from ostler.model.errors import ArgumentError, ExtractionError, OstlerError, TemplateError
from ostler.model.manifest import ArgSpec, Expectation, OutputSpec
from ostler.model.responses import ToolResponse
from ostler.rules.answers.expectations import evaluate_health_check_expectation
from ostler.rules.answers.extraction import process_tool_outputs
from ostler.rules.calls.arguments import validate_args
from ostler.rules.templates.template import render, template_syntax_errors
from ostler.rules.templates.unknowns import render_partly
from ostler.rules.text.log_pages import LogRange, page_of
from ostler.rules.text.patterns import PatternError, search
from ostler.rules.text.work_budget import WorkSpentError, bounded_work, spend

MOST = 2.0
"""Processor time that none may take, in seconds: some of what a budget is, with room for a slow machine."""

BIG = "x" * 1_000_000
SLOW = "(a|a)*$"
TEXT = "a" * 40 + "!"


@contextmanager
def quickly() -> Generator[None]:
    began = time.thread_time()
    yield
    assert time.thread_time() - began < MOST


def chain(step: str, times: int) -> str:
    return "{{ x" + f" | {step}" * times + " }}"


LONG_WORK = {
    "filters": chain("upper | lower", 40),
    "filters of a loop": "{% for i in range(9999) %}{% set y = x | upper %}{% endfor %}",
    "loops in loops": "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}",
    "comparisons": "{{ [" + "v==w," * 1200 + "] }}",
    "slices": "{{ [" + ", ".join(["x[1:]"] * 300) + "] | length }}",
    "tests": "{{ range(9999) | select('in', range(9999) | reverse | list) | list }}",
    "a mapped filter": "{{ ([x] * 9999) | map('upper') | list | length }}",
    "methods": "{{ x" + ".upper().lower()" * 40 + " }}",
    "concatenations": "{{ [" + ", ".join(["x ~ 1"] * 300) + "] | length }}",
    "writing": "{{ [" + ", ".join(["y | tojson | length"] * 300) + "] }}",
}


@pytest.mark.parametrize("name", LONG_WORK)
def test_a_rendering_of_many_steps_ends_with_its_place(name: str) -> None:
    names: dict[str, Any] = {"x": BIG, "y": [["a"] * 9000] * 10}
    names |= {"v": [["a"] * 9000] * 60, "w": [["a"] * 9000 for _ in range(60)]}
    with quickly(), pytest.raises(TemplateError, match=r" in args\.hosts\[1\] (takes|makes) more than"):
        render({"args": {"hosts": ["ok", LONG_WORK[name]]}}, names)


def test_a_rendering_with_unknown_values_has_the_same_budget() -> None:
    value = {"hosts": [LONG_WORK["loops in loops"]]}
    with quickly(), pytest.raises(TemplateError, match=r" in hosts\[0\] takes more than"):
        render_partly(value, {}, {("start",): "<known after start>"})


def test_a_long_chain_of_filters_is_compiled_in_no_time() -> None:
    with quickly():
        assert render(chain("upper | lower", 80), {"x": "Ab"}) == "ab"


LARGE_VALUES = {
    "a list of one text": "{{ ([x] * 9999) | tojson }}",
    "a text of a list": "<{{ [x] * 9999 }}>",
    "a value": "{{ [x] * 9999 }}",
    "keys": "{{ {x: 1, x ~ 1: 2} | tojson }}",
    "a list of a list": "{{ ([0] * 999,) * 999 }}",
    "lists by a default": "{{ range(999) | map(attribute='x', default=[0] * 999) | list | length }}",
    "deep indents": "{%set a=[0]%}" + "{%set a=[a]%}" * 100 + "{{ ([a] * 300) | tojson(16) }}",
    "widths": "{{ '" + "{:>9999}" * 200 + "'.format(" + "1, " * 200 + "1) }}",
    "percent widths": "{{ '" + "%9999d" * 200 + "' % (" + "1, " * 200 + ") }}",
}


@pytest.mark.parametrize("name", LARGE_VALUES)
def test_what_a_template_holds_many_times_is_refused_before_it_is_written(name: str) -> None:
    with quickly(), Peak() as peak, pytest.raises(TemplateError, match=r"more than|than a"):
        render(LARGE_VALUES[name], {"x": BIG})
    assert peak.bytes < MANY


@pytest.mark.parametrize("text", ["{{ a }}" * 9000, "{{ [" + "a," * 30000 + "] }}", "{% set a = a %}" * 4000])
def test_a_template_that_would_take_long_to_compile_is_refused_where_it_ends_being_read(text: str) -> None:
    with quickly():
        (problem,) = template_syntax_errors({"a": text})
    assert "it has more than 5000 words and signs" in problem[1]


def test_a_long_value_goes_through_a_template() -> None:
    long = {"text": BIG * 5, "items": list(range(5000))}
    assert render("{{ args }}", {"args": long}) == long


# -- answers -------------------------------------------------------------------------------------------------


def answer_outputs(outputs: dict[str, OutputSpec]) -> None:
    process_tool_outputs(outputs, ToolResponse({"items": list(range(20_000))}, text=TEXT), {})


@pytest.mark.parametrize(
    "spec",
    [
        OutputSpec(path="sort_by(items[*].{a: @}, &a)[0].a"),
        OutputSpec(regex=SLOW),
        OutputSpec(template="{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}"),
    ],
)
def test_all_outputs_of_an_answer_share_a_budget(spec: OutputSpec) -> None:
    with quickly(), pytest.raises(ExtractionError, match=r"more than|longer than"):
        answer_outputs({f"o{number}": spec for number in range(60)})


@pytest.mark.parametrize(
    "expectation",
    [Expectation(matches=[SLOW] * 60), Expectation(jmespath=["sort_by(items[*].{a: @}, &a)[0].a"] * 60)],
)
def test_all_expectations_of_an_answer_share_a_budget(expectation: Expectation) -> None:
    response = ToolResponse({"items": list(range(20_000))}, text=TEXT)
    with quickly():
        verdict = evaluate_health_check_expectation(response, expectation, None)
    assert not verdict.passed


# -- arguments -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("items", "value"),
    [
        ({"type": "string", "pattern": SLOW}, [TEXT] * 1000),
        ({"allOf": [{"maxLength": number} for number in range(1, 200)]}, ["x"] * 20_000),
    ],
)
def test_a_value_is_checked_within_a_budget(items: dict[str, Any], value: Any) -> None:
    with quickly(), pytest.raises(ArgumentError, match=r"more than|longer than"):
        validate_args({"x": ArgSpec(type="array", items=items)}, {"x": value})


@pytest.mark.parametrize(
    ("value", "is_unique"),
    [([1, True, 0, False], True), ([1, 1.0], False), ([{"a": [1]}, {"a": [1.0]}], False), ([[True], [1]], True)],
)
def test_unique_items_are_compared_as_json(value: Any, *, is_unique: bool) -> None:
    specs = {"x": ArgSpec(type="array", items={"uniqueItems": True})}
    if is_unique:
        assert validate_args(specs, {"x": [value]}) == {"x": [value]}
    else:
        with pytest.raises(ArgumentError, match="unique"):
            validate_args(specs, {"x": [value]})


def test_many_different_items_are_compared_in_no_time() -> None:
    specs = {"x": ArgSpec(type="array", items={"uniqueItems": True})}
    many = [[{"a": number} for number in range(20_000)]]
    with quickly():
        assert validate_args(specs, {"x": many}) == {"x": many}


# -- logs, and the budget itself ------------------------------------------------------------------------------


def test_a_search_through_a_log_shares_a_budget() -> None:
    with quickly(), pytest.raises(ArgumentError, match="longer than"):
        page_of([TEXT] * 100, LogRange(search=SLOW), source="x")


def work() -> None:
    while True:
        spend()


def make() -> None:
    while True:
        spend(1_000_000)


@pytest.mark.parametrize("do", [work, make])
def test_an_inner_budget_is_never_more_than_an_outer_one(do: Callable[[], None]) -> None:
    with quickly(), bounded_work(0.05), pytest.raises(WorkSpentError), bounded_work(30):
        do()


def test_a_search_ends_with_the_budget_around_it() -> None:
    with quickly(), bounded_work(0.05), pytest.raises((PatternError, OstlerError), match="longer than"):
        search(SLOW, TEXT)
