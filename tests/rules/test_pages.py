"""Whether an answer is one page of a longer list."""

import json
from typing import Any

import pytest

from ostler.model.errors import ExtractionError, ToolFailedError
from ostler.model.responses import ToolResponse
from ostler.rules.answers.batch_items import BatchAnswer
from ostler.rules.answers.pages import more_pages

JOBS = [{"id": "a"}, {"id": "b"}]

PARTS: list[Any] = [
    {"jobs": JOBS, "nextCursor": "b2"},
    {"jobs": JOBS, "pagination": {"has_more": True}},
    {"jobs": JOBS, "total": 35},
    {"jobs": JOBS, "page": 1, "total_pages": 3},
    {"jobs": JOBS, "pageInfo": {"hasNextPage": True}},
    {"jobs": JOBS, "limit": 2},
    {"results": JOBS, "count": 35, "next": "http://h/jobs?page=2", "previous": None},
    {"data": JOBS, "links": {"next": "/jobs?page=2"}},
    {"jobs": JOBS, "_links": {"self": {"href": "/jobs"}, "next": {"href": "/jobs?page=2"}}},
    {"items": JOBS, "metadata": {"continue": "b2", "remainingItemCount": 5}},
    {"channels": JOBS, "response_metadata": {"next_cursor": "b2"}},
    {"values": JOBS, "isLast": False},
    {"value": JOBS, "@odata.nextLink": "https://h/jobs?skip=2"},
    {"jobs": JOBS, "truncated": True},
    "Showing 20 of 35 processes:\n- web",
    "Page 1/4\n- web",
    "- web\n- db\n... and 12 more",
]
WHOLE: list[Any] = [
    {"jobs": JOBS, "nextCursor": None, "has_more": False, "total": 2, "limit": 2},
    {"jobs": JOBS, "page": 3, "total_pages": 3},
    {"jobs": JOBS, "limit": 50, "next": "call stop"},
    {"results": JOBS, "count": 2, "next": None},
    {"items": JOBS, "metadata": {"continue": "", "resourceVersion": "7"}},
    {"channels": JOBS, "response_metadata": {"next_cursor": ""}, "isLast": True, "truncated": False},
    {"state": "exited", "total": 5, "limit": 1},
    "Status: crashed\nShowing 20 of 300 lines\nand 12 more lines",
    "Showing 35 of 35 processes",
    JOBS,
]


@pytest.mark.parametrize(("value", "is_part"), [(one, True) for one in PARTS] + [(one, False) for one in WHOLE])
def test_a_page_of_a_list_is_recognised(value: Any, is_part: bool) -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    assert bool(more_pages(ToolResponse(value, text))) is is_part


def test_what_is_not_on_a_page_may_be_on_another() -> None:
    batch: dict[str, Any] = {"items": "jobs", "match": {"id": "c"}}
    with pytest.raises(ExtractionError, match=r"but there are more \(it has 2 of 35\)"):
        BatchAnswer(ToolResponse({"jobs": JOBS, "total": 35})).find(batch)
    with pytest.raises(ToolFailedError, match="none of the 2 items"):
        BatchAnswer(ToolResponse({"jobs": JOBS, "total": 2})).find(batch)


def test_of_several_items_the_one_that_fits_counts() -> None:
    """As in a list that keeps what has ended."""
    items = [{"name": "web", "state": state} for state in ("exited", "running", "exited")]
    batch: dict[str, Any] = {"match": {"name": "web"}}
    found = BatchAnswer(ToolResponse(items)).find(batch, lambda item: item.value == items[1])
    assert found.value == items[1]
    assert BatchAnswer(ToolResponse(items)).find(batch, lambda item: item.value is None).value == items[0]
