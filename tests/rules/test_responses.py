"""One value from every shape of answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.answers import answer, text_answer

from ostler.rules.answers.responses import normalise


def test_structured_content_comes_first() -> None:
    response = answer("desktop-commander: config")
    assert response.value["config"]["version"] == "0.2.52"
    assert response.text.startswith("Current configuration:")


def test_a_wrapped_result_is_kept_as_it_came() -> None:
    assert normalise([{"type": "text", "text": "3"}], {"result": 3}).value == {"result": 3}


def test_one_text_block_of_json_is_its_value() -> None:
    assert answer("manage-bg: start http.server").value["pid"] == 10453
    assert answer("docker: list running only").value == []


def test_prose_stays_text() -> None:
    response = answer("desktop-commander: start http.server 1.5s")
    assert response.value == response.text
    assert response.value.startswith("Process started with PID 8590")


@pytest.mark.parametrize(
    "text", ["8080", "true", "null", '"x"', "{broken", "[1, 2", "{'a': 1}", "[NaN]", "{} and more", ""]
)
def test_scalars_and_what_is_not_quite_json_stay_text(text: str) -> None:
    assert text_answer(text).value == text


def test_several_text_blocks_are_a_list_in_their_order() -> None:
    response = text_answer('{"a": 1}', "second", "[2]")
    assert response.value == [{"a": 1}, "second", [2]]
    assert response.text == '{"a": 1}\nsecond\n[2]'


def test_other_blocks_are_kept_next_to_the_text() -> None:
    response = answer("playwright: screenshot")
    assert response.value == response.text
    assert [block["type"] for block in response.content] == ["text", "image"]


def test_without_text_the_blocks_are_the_value() -> None:
    link = {"type": "resource_link", "uri": "file:///a", "name": "a"}
    assert normalise([link]).value == [link]
    assert normalise([]).value is None


def test_a_failure_is_a_failure_whatever_the_text_says() -> None:
    response = text_answer('{"success": true}', is_error=True)
    assert response.is_error
    assert response.value == {"success": True}


def test_json_too_deep_to_read_stays_text() -> None:
    text = "[" * 100_000 + "]" * 100_000
    assert text_answer(text).value == text


@given(st.lists(st.text(max_size=50), max_size=3))
def test_any_text_is_taken(texts: list[str]) -> None:
    assert text_answer(*texts).text == "\n".join(texts)
