"""YAML and JSON text as values that know where they stood."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostler.model.errors import Finding, ManifestError
from ostler.rules.text.yaml_source import load_documents, read_documents

KEYS = st.text(max_size=80)  # YAML takes a key of at most 1024 characters as written; JSON may write 12 for one

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


def value_of(text: str) -> Any:
    (document,) = load_documents(text)
    return document.value


def findings_of(text: str, file: str = "f.yaml") -> list[Finding]:
    with pytest.raises(ManifestError) as caught:
        load_documents(text, file)
    return list(caught.value.findings)


@pytest.mark.parametrize(
    "word", ["yes", "no", "on", "off", "y", "N", "1:30", "12:30:45", "1_000", "2024-01-01", "0b11"]
)
def test_what_only_yaml_1_1_takes_for_something_else_stays_text(word: str) -> None:
    assert value_of(f"a: {word}") == {"a": word}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("true", True), ("False", False), ("~", None), ("null", None), ("", None), ("8080", 8080), ("-3", -3),
        ("0o17", 15), ("0x1F", 31), ("1.5", 1.5), ("1e3", 1000.0), (".5", 0.5), ("'8080'", "8080"),
        ('"true"', "true"), ("!!str 12", "12"), ("!!int '12'", 12), ("!!float 1", 1.0), ("0", 0),
    ],
)  # fmt: skip
def test_scalars_follow_the_core_schema_of_yaml_1_2(written: str, value: object) -> None:
    found = value_of(f"a: {written}")
    assert found == {"a": value}
    assert type(found["a"]) is type(value)


def test_keys_are_text_as_written() -> None:
    assert value_of("on: 1\n8080: 2\ntrue: 3\n6379/tcp: 4\n") == {"on": 1, "8080": 2, "true": 3, "6379/tcp": 4}


@pytest.mark.parametrize(
    ("text", "rule", "phrase"),
    [
        ("a: 010", "bad-value", "ambiguous"),
        ("a: .inf", "bad-value", "JSON"),
        ("a: 1e999", "bad-value", "JSON"),
        ("a: 1\nb: 2\na: 3", "duplicate-key", "first in line 1"),
        ("<<: {a: 1}", "yaml-syntax", "merge keys"),
        ("a: !custom x", "yaml-syntax", "!custom"),
        ("a: !!binary x", "yaml-syntax", "!!binary"),
        ("a: {{ port }}", "yaml-syntax", "quotes"),
        ("a: {{ port }}-x", "yaml-syntax", "quotes"),
        ("\ta: 1", "yaml-syntax", "spaces"),
        ("a: [1", "yaml-syntax", "line"),
        ("a: *nope", "yaml-syntax", "&nope"),
        ("a: &a [*a]", "yaml-syntax", "itself"),
        ("[a]: 1", "yaml-syntax", "key must be text"),
        ("a: \x00", "yaml-syntax", "control characters"),
        ("[" * 1000, "too-large", "deeper"),
        ("x" * 2_000_000, "too-large", "characters"),
        ("a: " + "9" * 5000, "bad-value", "JSON"),
        ('{"' + "k" * 1100 + '": 1}', "yaml-syntax", "at most 1024 characters"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(text: str, rule: str, phrase: str) -> None:
    found = findings_of(text)
    assert rule in {finding.rule for finding in found}
    assert phrase in " ".join(map(str, found)) or phrase == "line"
    assert all(finding.file == "f.yaml" for finding in found)


def test_all_problems_of_all_documents_are_found_and_the_rest_is_read() -> None:
    documents, findings = read_documents("a: 1\na: 2\n---\nb: 010\n---\nc: 3\n", "f.yaml")
    assert [(finding.line, finding.column, finding.rule) for finding in findings] == [
        (2, 1, "duplicate-key"),
        (4, 4, "bad-value"),
    ]
    assert documents[2].value == {"c": 3}


def test_an_alias_bomb_ends_early() -> None:
    levels = ["a: &a [x,x,x,x,x,x,x,x,x,x]"]
    levels += [f"{c}: &{c} [{','.join(['*' + p] * 10)}]" for p, c in zip("abcdefgh", "bcdefghi", strict=True)]
    assert findings_of("\n".join(levels))[0].rule == "too-large"


def test_aliases_of_whole_values_work() -> None:
    assert value_of("a: &x {k: 1}\nb: *x\n") == {"a": {"k": 1}, "b": {"k": 1}}


def test_places_of_values_keys_and_lines() -> None:
    text = "# head\na:\n  - x\n  - k: v\nb: |\n  one\n  two\n"
    (document,) = load_documents(text, "f.yaml")
    assert document.locate(("a", 1, "k")) == (4, 8)
    assert document.locate_key(("a", 1, "k")) == (4, 5)
    assert document.locate(("a", 1, "missing", "deeper")) == (4, 5)
    assert document.locate_key(("missing",)) == (2, 1)
    assert document.locate_line(("b",), 2) == (7, 1)
    assert document.locate(()) == (2, 1)


def test_each_document_keeps_its_own_text_and_empty_ones_are_left_out() -> None:
    first, second = load_documents("# one\na: 1\n---\n# nothing\n---\nb: 2\n")
    assert (first.text, first.line) == ("# one\na: 1\n", 1)
    assert (second.text, second.line) == ("b: 2\n", 6)


def test_json_with_tabs_and_surrogates_is_read() -> None:
    text = '{\n\t"a": "\\ud83d\\ude00 \\\\ud83d",\n\t"b": [1, 2.5, null, true]\n}'
    (document,) = load_documents(text, "f.json")
    assert document.value == json.loads(text)


@given(JSON)
def test_every_json_text_is_read_as_json_reads_it(value: object) -> None:
    text = json.dumps({"value": value})
    (document,) = load_documents(text, "f.json")
    assert document.value == {"value": value}


@given(st.text(max_size=200) | st.text(alphabet="ab:-[]{}&*!|>'\"#\n \t0?%@`,", max_size=60))
def test_any_text_is_read_or_refused_with_findings(text: str) -> None:
    documents, findings = read_documents(text, "f.yaml")
    for document in documents:
        json.dumps(document.value)
    assert all(finding.message for finding in findings)


@pytest.mark.parametrize(
    ("written", "again"),
    [("3.10", "3.1"), ("1e3", "1000"), ("0x1F", "31"), ("1.0", "1"), ("+1", "1"), ("1.", "1"), ("0o17", "15")],
)
def test_a_number_that_is_written_otherwise_again_is_known(written: str, again: str) -> None:
    [document] = load_documents(f"a: [{{b: {written}}}]")
    assert list(document.rewritten_numbers()) == [(("a", 0, "b"), written, again)]


@pytest.mark.parametrize("written", ["3", "-3", "3.1", "0", '"3.10"', "3.10.1", "v1.0", "true", "1_000"])
def test_what_is_written_alike_again_is_not(written: str) -> None:
    [document] = load_documents(f"a: {written}")
    assert list(document.rewritten_numbers()) == []
