"""Items of a list-style answer, found by what each service looks for."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ostler.model.errors import ExtractionError, ToolFailedError
from ostler.model.responses import ToolResponse
from ostler.rules.answers.batch_items import BatchAnswer
from ostler.rules.text.equality import loosely_equal

ITEMS = [{"name": "a", "port": 8080, "meta": {"id": 1}}, {"name": "b", "port": "9090", "meta": {"id": 2}}]


def found(value: Any, **batch: Any) -> Any:
    return BatchAnswer(ToolResponse(value)).find(batch).value


def test_items_are_found_by_path_loosely_and_by_all_conditions() -> None:
    assert found({"items": ITEMS}, items="items", match={"name": "b"}) == ITEMS[1]
    assert found(ITEMS, match={"port": "8080"}) == ITEMS[0]
    assert found(ITEMS, match={"meta.id": 2, "port": 9090}) == ITEMS[1]
    with pytest.raises(ToolFailedError, match="none of the 2 items of the answer has name='a', port=9090"):
        found(ITEMS, match={"name": "a", "port": 9090})


def test_an_answer_without_a_list_is_told_and_an_error_stays_one() -> None:
    with pytest.raises(ExtractionError, match=r"batch.items 'items' is not a list; the answer was .*nothing"):
        found({"nothing": 1}, items="items", match={"name": "b"})
    broken = ToolResponse("down", "down", is_error=True)
    assert BatchAnswer(broken).find({"match": {"name": "b"}}) is broken


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.floats(-2, 2), st.sampled_from(["1", "1.0", "true", "null", " 2"])
)


@given(st.lists(SCALARS, max_size=8), SCALARS)
@example([-0.0, 0], 0)
@example(["-0"], 0)
def test_the_index_finds_what_a_comparison_of_each_item_would(values: list[Any], wanted: Any) -> None:
    items = [{"value": value, "position": position} for position, value in enumerate(values)]
    first = next((item for item in items if loosely_equal(item["value"], wanted)), None)
    try:
        assert found(items, match={"value": wanted}) == first
    except ToolFailedError:
        assert first is None
