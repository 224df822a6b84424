"""Differences between JSON values, as tests of classes tell them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostler.rules.text.differences import differences

SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False, width=16) | st.text(max_size=3)
VALUES = st.recursive(
    SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=2), v, max_size=3), max_leaves=8
)


@pytest.mark.parametrize(
    ("expected", "actual", "partial", "said"),
    [
        (1, "1", False, ['x: expected 1, got "1"']),
        (True, 1, False, ["x: expected true, got 1"]),
        ({"a": 1}, {"a": 2, "b": 3}, False, ["x.a: expected 1, got 2", "x.b: 3 was not expected"]),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}, "d": 3}, True, []),
        ({"a": 1}, {}, True, ["x.a: expected 1, but it is not there"]),
        ([1, 2], [1, 3], False, ["x[1]: expected 2, got 3"]),
        ([1], [1, 2], True, ["x: expected 1 items, got 2: [1, 2]"]),
        (None, {}, False, ["x: expected null, got {}"]),
        (1, 1.0, False, []),
    ],
)
def test_each_kind_is_told(expected: Any, actual: Any, partial: bool, said: list[str]) -> None:
    assert differences(expected, actual, "x", partial=partial) == said


@given(VALUES)
def test_a_value_does_not_differ_from_itself(value: Any) -> None:
    assert differences(value, value, "x") == []


@given(VALUES, VALUES)
def test_only_equal_values_do_not_differ(one: Any, other: Any) -> None:
    if not differences(one, other, "x"):
        assert one == other
