"""Misspelt words that no schema covers: placeholders, URL schemes, keywords, names of outputs."""

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import cast

from ostler.model.json import JsonObject, JsonValue, KeyPath
from ostler.model.manifest import OutputSpec, ServiceClass, ToolCallSpec
from ostler.model.tool_names import PROCESS_SERVER
from ostler.rules.checking.names import CONFIG
from ostler.rules.text.findings import Violation

RULE = "near-miss"

_PLACEHOLDERS = ("port", "python")
"""Placeholders that the built-in process server replaces in its arguments."""

_SCHEMES = (
    "amqp", "file", "ftp", "git", "http", "https", "mongodb", "mysql", "postgres", "postgresql", "redis", "rediss",
    "sqlite", "ssh", "tcp", "udp", "unix", "ws", "wss",
)  # fmt: skip
_KEYWORDS = (
    "additionalProperties", "allOf", "anyOf", "const", "contains", "default", "dependentRequired", "description",
    "else", "enum", "examples", "exclusiveMaximum", "exclusiveMinimum", "format", "if", "items", "maxItems",
    "maxLength", "maxProperties", "maximum", "minItems", "minLength", "minProperties", "minimum", "multipleOf", "not",
    "oneOf", "pattern", "patternProperties", "prefixItems", "properties", "propertyNames", "required", "then", "title",
    "type", "uniqueItems",
)  # fmt: skip
_FREE = ("properties", "patternProperties", "$defs", "default", "const", "enum", "examples", "dependentRequired")
"""Keywords of JSON Schema below which stand names and values that are not keywords."""


def spelling_violations(
    service_class: ServiceClass, calls: Sequence[tuple[str, KeyPath, ToolCallSpec]]
) -> Iterator[Violation]:
    """Yield the words of the class that look like a known one, and are not."""
    for _, path, call in calls:
        for inner, text in texts_in(call.args):
            place = (*path, "args", *inner)
            if call.server == PROCESS_SERVER:
                yield from _placeholders(place, text)
            yield from _schemes(place, text)
    for name, source in service_class.config.outputs.items():
        path = (*CONFIG, "outputs", name)
        text = (source.template or "") if isinstance(source, OutputSpec) else source
        yield from _schemes(path, text)
        yield from _output_name(service_class, path, name, text)
    for name, spec in service_class.spec.args.items():
        if spec.items is not None:
            yield from _keywords(("spec", "args", name, "items"), spec.items)


def _placeholders(path: KeyPath, text: str) -> Iterator[Violation]:
    for match in re.finditer(r"(?<![{$])\{([a-z]+)\}(?!\})", text):
        close = _near(match[1], _PLACEHOLDERS)
        if close:
            message = f"{match[0]!r} is passed on unchanged: the process server does not know it"
            yield _miss(path, message, f"{{{close}}}")


def _schemes(path: KeyPath, text: str) -> Iterator[Violation]:
    match = re.match(r"([a-z]{2,12})://", text)
    close = _near(match[1], _SCHEMES) if match else None
    if match and close:
        yield _miss(path, f"{match[0]!r} is an unusual beginning of an address", f"{close}://")


def _output_name(service_class: ServiceClass, path: KeyPath, name: str, text: str) -> Iterator[Violation]:
    match = re.fullmatch(r"\{\{\s*start\.(\w+)\s*(\|.*)?\}\}", text)
    if match and match[1] != name and name not in service_class.tools.start.outputs and _near(name, (match[1],)):
        message = f"the output {name!r} is start's {match[1]!r} under a name that is nearly the same"
        yield _miss(path, message, match[1], at_key=True)


def _keywords(path: KeyPath, schema: JsonValue) -> Iterator[Violation]:
    if not isinstance(schema, dict):
        return
    for key, value in cast("JsonObject", schema).items():
        close = _near(key, _KEYWORDS)
        if close:
            message = f"{key!r} is not a keyword of JSON Schema, and has no effect"
            yield _miss((*path, key), message, close, at_key=True)
        if key not in _FREE:
            yield from _keywords((*path, key), value)
        elif key in ("properties", "patternProperties") and isinstance(value, dict):
            for name, inner in cast("JsonObject", value).items():
                yield from _keywords((*path, key, name), inner)


def _near(word: str, known: Sequence[str]) -> str | None:
    """Return the known word that `word` probably is: one letter away, or two swapped; None when it is one itself."""
    if word in known:
        return None
    for other in difflib.get_close_matches(word, known, n=3, cutoff=0.6):
        plural = {word, other} in ({other, f"{other}s"}, {word, f"{word}s"})
        if not plural and _edits(word, other):
            return other
    return None


def _edits(one: str, other: str) -> bool:
    """Whether one letter more, less, other, or two swapped make `one` of `other`."""
    if len(one) == len(other):
        differing = [index for index in range(len(one)) if one[index] != other[index]]
        if len(differing) == 2:
            first, second = differing
            return second == first + 1 and one[first] == other[second] and one[second] == other[first]
        return len(differing) == 1
    longer, shorter = sorted((one, other), key=len, reverse=True)
    if len(longer) != len(shorter) + 1:
        return False
    return any(longer[:index] + longer[index + 1 :] == shorter for index in range(len(longer)))


def _miss(path: KeyPath, message: str, meant: str, *, at_key: bool = False) -> Violation:
    return Violation(path, RULE, message, f"did you mean {meant!r}?", at_key=at_key)


def texts_in(value: JsonValue, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Yield the texts in a value, each with its place below `path`."""
    match value:
        case str():
            yield path, value
        case dict():
            for key, item in cast("JsonObject", value).items():
                yield from texts_in(item, (*path, key))
        case list():
            for index, item in enumerate(cast("list[JsonValue]", value)):
                yield from texts_in(item, (*path, index))
        case _:
            return
