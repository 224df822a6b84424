"""Durations as people write them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostler.model.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("30s", 30),
        ("2m", 120),
        ("1h30m", 5400),
        ("1d", 86400),
        ("250ms", 0.25),
        ("1.5s", 1.5),
        (" 5 ", 5),
        ("0", 0),
        (0, 0),
        (2.5, 2.5),
        (1e-300, 0),
    ],
)
def test_durations_are_read_as_seconds(written: object, seconds: float) -> None:
    assert parse_duration(written) == seconds


@pytest.mark.parametrize(
    "written",
    ["", "s", "5 minutes", "-1s", "1h 30m", "30S", "1:30", True, None, [], -1, math.nan, math.inf, "nan", "1e3"],
)
def test_what_is_not_a_duration_is_refused_with_an_example(written: object) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(written)


@pytest.mark.parametrize("written", ["36501d", "9" * 400, "9" * 400 + "d", 1e300, 10**400])
def test_a_duration_that_no_date_can_be_reached_with_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="a duration is at most 36500d"):
        parse_duration(written)


@given(st.integers(min_value=0, max_value=10**12))
def test_format_and_parse_are_inverse_to_the_millisecond(milliseconds: int) -> None:
    assert round(parse_duration(format_duration(milliseconds / 1000)) * 1000) == milliseconds


@given(st.text(max_size=20))
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    try:
        seconds = parse_duration(text)
    except ValueError:
        return
    assert seconds >= 0


@pytest.mark.parametrize(("seconds", "written"), [(0, "0s"), (90, "1m30s"), (5400, "1h30m"), (0.25, "250ms")])
def test_durations_are_written_as_people_write_them(seconds: float, written: str) -> None:
    assert format_duration(seconds) == written


@pytest.mark.parametrize("seconds", [-1, math.nan, math.inf])
def test_what_is_not_a_duration_is_not_written(seconds: float) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        format_duration(seconds)
