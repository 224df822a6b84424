"""Whether an answer is one page of a longer list: a missing item may be on another page, so it proves nothing."""

import re
from collections.abc import Iterator, Mapping
from typing import Final, cast

from ostler.model.json import JsonMapping, JsonValue
from ostler.model.late_patterns import late_pattern
from ostler.model.responses import ToolResponse

_NEXT: Final = frozenset({
    "continue", "continuationtoken", "lastevaluatedkey", "nextcursor", "nextlink", "nextmarker", "nextoffset",
    "nextpage", "nextpagetoken", "nexttoken", "nexturl", "odatanextlink", "remainingitemcount",
})  # fmt: skip
_MORE: Final = frozenset({"hasmore", "hasnext", "hasnextpage", "more", "incomplete", "istruncated", "truncated"})
_LAST: Final = frozenset({"islast", "islastpage", "last", "lastpage"})
"""Names whose `false` says that there is more."""

_LINK: Final = late_pattern(r"https?://|[/?]")
"""What the `next` of a list begins with if it is the address of its next page, and no advice."""

_TOTAL: Final = frozenset({"total", "totalcount", "totalitems", "totalresults", "totalrecords"})
_SIZE: Final = frozenset({"limit", "pagesize", "perpage", "maxresults"})
_PAGE: Final = frozenset({"page", "currentpage", "pagenumber"})
_PAGES: Final = frozenset({"pages", "totalpages", "pagecount", "lastpage"})
_HOLDERS: Final = frozenset({
    "links", "meta", "metadata", "pageinfo", "pagination", "paging", "responsemetadata",
})  # fmt: skip
_IN_WORDS: Final = late_pattern(
    r"""
    \b(?:showing|displaying|listing|shown|page)\W+(?:(?:first|last|\d+\s*[-\u2013])\W*)?(?P<shown>\d+)
      \s*(?:of|out\ of|/)\s*(?P<all>\d+)\b(?!\s*(?:lines?|characters?|chars|bytes|[kM]i?B)\b)
    | \b(?:and|\+)\s*\d+\ more\b(?!\s*(?:lines?|characters?|chars|bytes)\b)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_SEARCHED: Final = 20_000


def more_pages(response: ToolResponse) -> str:
    """Return what in the answer says that its list continues: `nextCursor is "b2"`; empty if nothing does."""
    value = response.value
    if response.is_error:
        return ""
    if isinstance(value, Mapping):
        return _in_object(cast("JsonMapping", value))
    if isinstance(value, list):
        return ""
    for found in _IN_WORDS.finditer(response.text[:_SEARCHED]):
        if found["all"] is None or int(found["shown"]) < int(found["all"]):
            return f"it says {found[0]!r}"
    return ""


def _in_object(value: JsonMapping) -> str:
    lists = [len(cast("list[JsonValue]", item)) for item in value.values() if isinstance(item, list)]
    if not lists:
        return ""
    facts = list(_facts(value))
    total, page, pages = (_number(facts, names) for names in (_TOTAL, _PAGE, _PAGES))
    if said := next(filter(None, (_points_on(*fact) for fact in facts)), ""):
        return said
    if total is not None:
        return f"it has {max(lists)} of {total}" if total > max(lists) else ""
    if page is not None and pages is not None:
        return f"it is page {page} of {pages}" if page < pages else ""
    size = _number(facts, _SIZE)
    return f"it has as many items as its limit, {size}" if size and size in lists else ""


def _points_on(key: str, word: str, item: JsonValue) -> str:
    """Return in words that a value beside a list says that there is more of it; empty if it does not."""
    if word in _NEXT and item not in (None, "", False, 0):
        return f"{key} is {item!r}"
    if (word in _MORE and item is True) or (word in _LAST and item is False):
        return f"{key} is {str(item).lower()}"
    link = cast("JsonMapping", item).get("href") if isinstance(item, Mapping) else item
    return f"{key} is {link!r}" if word == "next" and isinstance(link, str) and _LINK.match(link) else ""


def _facts(value: JsonMapping) -> Iterator[tuple[str, str, JsonValue]]:
    for key, item in value.items():
        word = re.sub(r"[^a-z]", "", key.lower())
        yield key, word, item
        if word in _HOLDERS and isinstance(item, Mapping):
            yield from _facts(cast("JsonMapping", item))


def _number(facts: list[tuple[str, str, JsonValue]], names: frozenset[str]) -> int | None:
    return next((item for _, word, item in facts if word in names and type(item) is int), None)
