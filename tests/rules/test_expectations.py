"""Verdicts with evidence."""

import json
import re
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
        (RUNNING, None, {"matches": f"zz{'y' * 80}|run+ing"}, 'the answer has "running", which expectNot rules out'),
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


DENIALS = [
    ("running", "web is not running"),
    ("running", "No container named web is running"),
    ("running", "0 running"),
    ("running", "not_running"),
    ("Running", "NotRunning"),
    ("running", "The process isn't currently running."),
    ("running", "Is the docker daemon running?"),
    ("running", '{"running": false}'),
    ("running", "stopped running"),
    ("active", "inactive (dead)"),
    ("Active", "Active: inactive (dead)"),
    ("healthy", "unhealthy"),
    ("connected", "disconnected"),
]
PARTS_OF_WORDS = [("up", "backup"), ("up", "update available"), ("ok", "token"), ("k1", "session k12"), ("80", "8080")]


@pytest.mark.parametrize(("word", "text"), DENIALS + PARTS_OF_WORDS)
def test_an_answer_does_not_contain_what_it_denies_or_what_is_in_another_word(word: str, text: str) -> None:
    assert not judge(text_answer(text), {"contains": word}).passed


@pytest.mark.parametrize(("word", "text"), DENIALS)
def test_a_denied_state_is_not_matched_or_ruled_out(word: str, text: str) -> None:
    assert judge(text_answer(text), None, {"contains": word}).passed
    for pattern in (word, rf"\b{word}\b", f"{word}|online"):
        assert not re.search(pattern, text) or not judge(text_answer(text), {"matches": pattern}).passed
        assert judge(text_answer(text), None, {"matches": pattern}).passed


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("running", "No problems, running"),
        ("running", "web was not running, now it is running"),
        ("running", "not found\nrunning"),
        ("running", "v1.0 running at http://127.0.0.1/?token=a"),
        ("running", "nothing to do and running"),
        ("running", '{"running": true}'),
        ("run", "running"),
        ("Running", "isRunning"),
        ("not found", "session was not found"),
        ("such container", "No such container: web"),
        ("80", "port 80."),
        ("web-1", "0\tweb-1\t1 windows"),
        ("web-1", "$0 web-1: 1 windows"),
        ("web-1", "%0 web-1"),
    ],
)
def test_what_an_answer_states_it_contains(word: str, text: str) -> None:
    assert judge(text_answer(text), {"contains": word}).passed
    assert not judge(text_answer(text), None, {"contains": word}).passed


@pytest.mark.parametrize("pattern", ["(?s)not.*running", "not running", r"is not \w+"])
def test_an_expression_that_says_more_than_words_is_taken_as_it_is(pattern: str) -> None:
    assert judge(text_answer("web is not running"), {"matches": pattern}).passed


def test_an_expectation_rules_out_a_text_wherever_it_is() -> None:
    for text in ("TypeError", "no Error", "Errors"):
        for key, words in (("contains", "Error"), ("matches", "Error"), ("matches", "Error|Failure")):
            assert not judge(text_answer(text), None, {key: words}).passed


@pytest.mark.parametrize(
    ("state", "text", "is_said"),
    [
        ("exited", "exited with code 1", True),
        ("starting", "it is still starting", True),
        ("exited", "it has gone", False),
        ("running", "it is running for 5 s", False),  # which says nothing of what is wrong
        ("", "it has no state", False),
    ],
)
def test_a_text_that_says_what_is_wrong_needs_no_evidence(state: str, text: str, *, is_said: bool) -> None:
    verdict = judge(text_answer(json.dumps({"state": state})), {"jsonPath": {"state": "ready"}})
    assert not verdict.passed
    assert verdict.is_said_in(text) == is_said


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
