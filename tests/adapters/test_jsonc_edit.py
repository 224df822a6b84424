"""Edits of a JSON text that a person wrote: the member changes, and nothing else does."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostler.adapters.config.jsonc import parse_jsonc
from ostler.adapters.config.jsonc_edit import remove_member, set_member

ENTRY = {"command": "ostler", "args": ["serve"]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", '{\n  "s": {\n    "o": 1\n  }\n}\n'),
        ("{}", '{\n  "s": {\n    "o": 1\n  }\n}'),
        ('{"s": {}}', '{"s": {\n  "o": 1\n}}'),
        ('{"s": {"a": 2}}', '{"s": {"a": 2, "o": 1}}'),
        ('{\n  "s": {\n    "a": 2 // last\n  }\n}\n', '{\n  "s": {\n    "a": 2, // last\n    "o": 1\n  }\n}\n'),
        ('{\n\t"s": {\n\t\t"a": 2,\n\t},\n}', '{\n\t"s": {\n\t\t"a": 2,\n\t\t"o": 1,\n\t},\n}'),
        ('{\n  "s": {\n    // none yet\n  }\n}', '{\n  "s": {\n    // none yet\n    "o": 1\n  }\n}'),
        ('{"s": {"o": {"old": true}, "b": 1}} // end', '{"s": {"o": 1, "b": 1}} // end'),
    ],
)
def test_a_member_is_set_and_the_rest_stays(text: str, expected: str) -> None:
    assert set_member(text, ("s", "o"), 1) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"s": {"o": 1}}', '{"s": {}}'),
        ('{"s": {"o": 1, "b": 2}}', '{"s": { "b": 2}}'),
        ('{"s": {"a": 2, "o": 1}}', '{"s": {"a": 2}}'),
        (
            '{\n  "s": {\n    "a": 2,\n    "o": 1, // ours\n    "b": 3\n  }\n}',
            '{\n  "s": {\n    "a": 2,\n    "b": 3\n  }\n}',
        ),
        ('{"s": {}}', '{"s": {}}'),
        ('{"s": {"o": 1 /* ours */, "b": 2}}', '{"s": { /* ours */ "b": 2}}'),
        ('{"s": {"a": 2, /* two */ "o": 1}}', '{"s": {"a": 2 /* two */ }}'),
        ('{\n  "s": {\n    "a": 2,\n    "o": 1,\n  },\n}', '{\n  "s": {\n    "a": 2,\n  },\n}'),
    ],
)
def test_a_member_is_removed_and_the_rest_stays(text: str, expected: str) -> None:
    assert remove_member(text, ("s", "o")) == expected


@pytest.mark.parametrize("comment", [" // last", " /* last */", "\n    // last", "\n    /* one\n     , two */", ""])
def test_no_comma_is_left_behind_a_comment(comment: str) -> None:
    text = f'{{\n  "s": {{\n    "a": 2{comment}\n  }}\n}}\n'
    assert remove_member(set_member(text, ("s", "o"), ENTRY), ("s", "o")) == text


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=4), _values, max_size=4), st.sampled_from([None, 1, 2, "\t"]))
def test_what_is_added_and_removed_leaves_the_values(root: dict[str, object], indent: int | str | None) -> None:
    root.pop("s", None)
    text = json.dumps(root, indent=indent)
    added = set_member(text, ("s", "o"), ENTRY)
    assert parse_jsonc(added).value == {**root, "s": {"o": ENTRY}}
    assert parse_jsonc(remove_member(added, ("s", "o"))).value == {**root, "s": {}}
