"""Which lines of a log are shown: laws of reading on, and what counts as an error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostler.model.errors import ArgumentError
from ostler.rules.text.log_pages import MAX_PAGE_CHARACTERS, LogPage, LogRange, page_of


def page(log: list[str], **wanted: object) -> LogPage:
    return page_of(log, LogRange(**wanted), source="test")  # type: ignore[arg-type]


@given(
    st.lists(st.integers(0, 60).map("line {}".format), unique=True, min_size=1),
    st.integers(0, 60),
    st.integers(1, 7),
    st.sampled_from(["", "[13579]$"]),
)
def test_reading_on_gives_every_line_once(lines: list[str], first: int, size: int, search: str) -> None:
    seen = page(lines[:first], lines=1000, search=search)
    read, cursor = list(seen.lines), seen.cursor
    for _ in range(len(lines) + 1):
        more = page(lines, lines=size, search=search, cursor=cursor)
        read += more.lines
        cursor = more.cursor
        if not more.truncated:
            break
    assert read == list(page(lines, lines=1000, search=search).lines)
    assert page(lines, cursor=cursor).lines == ()


def test_a_page_says_that_lines_went_by_unseen() -> None:
    cursor = page([f"line {number}" for number in range(30)]).cursor
    rotated = page([f"line {number}" for number in range(900, 903)], cursor=cursor)
    assert rotated.lines == ("line 900", "line 901", "line 902")
    assert rotated.truncated


def test_a_page_is_bounded_and_says_so() -> None:
    found = page(["x" * 10_000] * 40)
    assert sum(map(len, found.lines)) <= MAX_PAGE_CHARACTERS
    assert found.truncated
    assert page(["a", "b", "c"], lines=2).truncated
    assert not page(["a", "b", "c"], lines=3).truncated


ERRORS = (
    "2026-11-24 10:00:00 ERROR connection refused",
    '{"level":"error","msg":"boom"}',
    "level=fatal msg=gone",
    "ValueError: not a port",
    "java.lang.NullPointerException: null",
    "Traceback (most recent call last):",
    "panic: runtime error: index out of range",
    "npm ERR! code ELIFECYCLE",
    "[crit] 12#12: bind() failed",
    "FATAL:  password authentication failed",
    "UnhandledPromiseRejection: uncaught",
    "error: no route to host",
)
QUIET = (
    "GET /api/terrors 200",
    "compiled with 0 errors",
    "errors=0 warnings=3",
    "error: null",
    "error: no, retried: 0",
    "listening on 8080",
    "mirror updated",
)


@pytest.mark.parametrize("line", ERRORS)
def test_what_reports_an_error_is_shown(line: str) -> None:
    assert page(["info: ok", line, "info: ok"], errors_only=True).lines == (line,)


@pytest.mark.parametrize("line", QUIET)
def test_what_only_mentions_the_word_is_not(line: str) -> None:
    assert page([line], errors_only=True).lines == ()


def test_errors_and_a_search_must_both_be_met() -> None:
    lines = ["ERROR db down", "ERROR web down", "db up"]
    assert page(lines, errors_only=True, search="(?i)DB").lines == ("ERROR db down",)
    assert page(lines, errors_only=True, search="^ERROR w").lines == ("ERROR web down",)


def test_a_tool_that_says_where_to_read_on_is_asked_to() -> None:
    shown = page_of(["a", "b"], LogRange(), source="test", tool_cursor=512)
    wanted = LogRange(lines=5, cursor=shown.cursor, search="x")
    assert wanted.facts(tool_searches=True) == {"lines": 5, "since": 512, "search": "x"}
    assert LogRange(lines=5).facts(tool_searches=True) == {"lines": 5}
    assert LogRange(lines=5, search="x").facts(tool_searches=False)["lines"] > 100


@pytest.mark.parametrize("cursor", ["12", "after:", "after:9999:abc", "at:{"])
def test_a_cursor_of_nowhere_is_refused(cursor: str) -> None:
    with pytest.raises(ArgumentError, match="is not a cursor of a log"):
        page(["a"], cursor=cursor)


def test_a_search_that_is_none_is_refused() -> None:
    with pytest.raises(ArgumentError, match="search: .* is not a regular expression"):
        page(["a"], search="(")


def test_a_cursor_that_is_nested_too_deeply_is_refused_as_any_other() -> None:
    with pytest.raises(ArgumentError, match="is not a cursor"):
        LogRange(cursor="at:" + "[" * 100_000).facts(tool_searches=True)
