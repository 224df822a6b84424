"""Verdicts with evidence."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.answers import answer, text_answer

from ostler.model.manifest import Expectation
from ostler.model.responses import ToolResponse
from ostler.rules.answers.expectations import Verdict, evaluate_health_check_expectation
from ostler.rules.text.equality import loosely_equal

SCALAR = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
JSON = st.recursive(SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))


def judge(response: ToolResponse, expect: Any = None, expect_not: Any = None) -> Verdict:
    return evaluate_health_check_expectation(
        response,
        None if expect is None else Expectation.model_validate(expect),
        None if expect_not is None else Expectation.model_validate(expect_not),
    )


RUNNING = text_answer('{"state": "running", "port": 8080, "ok": true, "none": null, "tags": ["a", 1]}')
PROSE = answer("desktop-commander: list")
FAILED = answer("docker: run same name again")


@pytest.mark.parametrize(
    ("expect", "passed"),
    [
        ({"jsonPath": {"state": "running"}}, True),
        ({"jsonPath": {"state": "exited"}}, False),
        ({"jsonPath": {"port": "8080", "ok": "true"}}, True),
        ({"jsonPath": {"port": 8080.0, "ok": True}}, True),
        ({"jsonPath": {"ok": 1}}, False),
        ({"jsonPath": {"tags": ["a", "1"]}}, True),
        ({"jsonPath": {"result.state": "running"}}, True),
        ({"jsonPath": {"absent": "x"}}, False),
        ({"jsonPath": {"absent": None, "none": None}}, True),
        ({"jmespath": "state == 'running' && port > `80`"}, True),
        ({"jmespath": ["ok", "tags[?@ == 'zzz']"]}, False),
        ({"jmespath": "`0`"}, True),
        ({"jmespath": "length(absent) > `1`"}, False),
        ({"contains": "running"}, True),
        ({"contains": ["running", "exited"]}, False),
        ({"matches": r'"port":\s*\d{4}'}, True),
        ({"matches": "^exited"}, False),
        ({"success": True}, True),
        ({"success": False}, False),
    ],
)
def test_expectations_of_an_answer(expect: dict[str, Any], passed: bool) -> None:
    assert judge(RUNNING, expect).passed is passed


@pytest.mark.parametrize(
    ("expect_not", "passed"),
    [
        ({"jsonPath": {"state": "exited"}}, True),
        ({"jsonPath": {"state": "running"}}, False),
        ({"jsonPath": {"absent": 1}}, True),
        ({"jsonPath": {"state": "exited", "port": "8080"}}, False),
        ({"contains": ["exited", "dead"]}, True),
        ({"contains": ["exited", "running"]}, False),
        ({"jmespath": "length(absent) > `1`"}, False),
        ({"matches": "exited"}, True),
    ],
)
def test_none_of_what_must_not_be_may_hold(expect_not: dict[str, Any], passed: bool) -> None:
    assert judge(RUNNING, None, expect_not).passed is passed


@pytest.mark.parametrize(
    ("expect", "expect_not", "passed"),
    [
        (None, None, False),
        ({"contains": "already in use"}, None, False),
        (None, {"contains": "zzz"}, False),
        ({"success": False}, None, True),
        ({"success": False, "contains": "already in use"}, None, True),
        ({"success": False, "contains": "zzz"}, None, False),
        (None, {"success": True}, True),
        ({"success": True}, None, False),
    ],
)
def test_a_failed_tool_passes_only_when_that_is_asked_for(expect: Any, expect_not: Any, passed: bool) -> None:
    assert judge(FAILED, expect, expect_not).passed is passed


@pytest.mark.parametrize(
    ("response", "expect", "expect_not", "reason"),
    [
        (RUNNING, {"jsonPath": {"state": "exited"}}, None, 'state was "running", expected "exited"'),
        (RUNNING, {"jsonPath": {"state": "running"}}, None, 'state was "running"'),
        (RUNNING, None, {"jsonPath": {"port": "8080"}}, "port was 8080, which expectNot rules out"),
        (PROSE, {"contains": "PID: 8590"}, None, 'the answer contains "PID: 8590"'),
        (text_answer("gone"), {"contains": "PID"}, None, 'the answer was "gone", expected it to contain "PID"'),
        (RUNNING, None, None, "the tool succeeded"),
        (text_answer("boom", is_error=True), None, None, 'the tool failed: "boom"'),
        (RUNNING, {"success": False}, None, "the tool succeeded, expected it to fail"),
    ],
)
def test_the_evidence_is_in_words(response: ToolResponse, expect: Any, expect_not: Any, reason: str) -> None:
    assert judge(response, expect, expect_not).reason == reason


def test_all_that_is_missed_is_told() -> None:
    reason = judge(RUNNING, {"jsonPath": {"state": "exited", "absent": 3}, "contains": "zzz"}).reason
    for phrase in ('state was "running", expected "exited"', "absent was not there", 'to contain "zzz"'):
        assert phrase in reason


def test_an_answer_of_structured_content_alone_is_searched_as_json() -> None:
    assert judge(ToolResponse(value={"state": "running"}), {"contains": '"running"'}).passed


def test_long_answers_are_shortened_in_the_evidence() -> None:
    assert len(judge(text_answer("x" * 100_000), {"contains": "y"}).reason) < 500


@given(JSON)
def test_everything_equals_itself(value: object) -> None:
    assert loosely_equal(value, value)


@given(JSON, JSON)
def test_equality_is_the_same_both_ways(one: object, other: object) -> None:
    assert loosely_equal(one, other) == loosely_equal(other, one)


@given(st.integers() | st.booleans() | st.none())
def test_a_scalar_equals_how_it_is_written(value: object) -> None:
    written = json.dumps(value)
    assert loosely_equal(value, written)
    assert not loosely_equal(value, "x" + written)


@given(st.text(), st.text())
def test_texts_are_compared_as_they_are(one: str, other: str) -> None:
    assert loosely_equal(one, other) == (one == other)


@pytest.mark.parametrize(
    ("one", "other"), [(True, 1), (False, 0), (None, ""), (None, False), ("", 0), ([], {}), ("[]", [])]
)
def test_what_is_not_the_same_thing(one: object, other: object) -> None:
    assert not loosely_equal(one, other)
