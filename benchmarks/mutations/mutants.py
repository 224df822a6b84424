"""Every mistake that a class can have, one after the other."""

import copy
import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from benchmarks.mutations import call_mistakes as calls
from benchmarks.mutations import manifest_mistakes as manifest
from benchmarks.mutations.subjects import GONE, Path, Renamed, Sites, Subject
from benchmarks.mutations.text_mistakes import TEXT_KINDS
from ostler.model.json import JsonObject, JsonValue
from ostler.rules.checking.tool_lists import KnownTools
from ostler.rules.text.yaml_source import read_documents

ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True)
class Mutant:
    """A class with one mistake: its kind, where it was put, and the whole text."""

    kind: str
    place: str
    text: str


KINDS: Mapping[str, Callable[[Subject], Sites]] = {
    function.__name__.replace("_", " "): function
    for function in (
        calls.tool_name, calls.server_name, calls.tool_without_server, calls.wrong_tool, calls.arg_name,
        calls.arg_missing, calls.arg_type, calls.arg_value, calls.template_name, calls.template_syntax,
        calls.template_filter, calls.template_type, calls.stop_before_start, calls.output_path, calls.output_syntax,
        calls.output_name, calls.output_missing, calls.expectation_path, calls.expectation_value,
        calls.expectation_empty, calls.duration, calls.duration_conflict, manifest.key_name, manifest.key_style,
        manifest.key_missing, manifest.key_misplaced, manifest.value_type, manifest.choice,
        manifest.arg_declared_type, manifest.arg_default, manifest.arg_limits, manifest.arg_unknown,
        manifest.regex_syntax, manifest.regex_group, manifest.regex_text, manifest.dependency,
        manifest.without_effect,
    )
}  # fmt: skip
"""Kinds of mistake in the values, by name."""


def mutants(text: str, tools: KnownTools, seed: int = 1, *, limit: int | None = None) -> Iterator[Mutant]:
    """Yield the class in `text` with one mistake after the other; the same ones for the same seed.

    Args:
        text: a class in which nothing is wrong.
        tools: the tools that it calls.
        seed: which mistakes, where there are many.
        limit: at most so many of a kind; all when None.
    """
    documents, findings = read_documents(text)
    assert not findings
    assert len(documents) == 1
    value: JsonObject = documents[0].value
    plain = _without_descriptions(value)
    seen: set[str] = set()
    for kind, sites in KINDS.items():
        subject = Subject(text, value, tools, random.Random(f"{seed} {kind} {value['metadata']['name']}"))
        for path, new in _some(sites(subject), limit, subject.rng):
            mutated = changed(value, path, new)
            made = json.dumps(mutated, indent=1, ensure_ascii=False)
            if _without_descriptions(mutated) != plain and made not in seen:
                seen.add(made)
                yield Mutant(kind, _dotted(path), made)
    for kind, texts in TEXT_KINDS.items():
        subject = Subject(text, value, tools, random.Random(f"{seed} {kind} {value['metadata']['name']}"))
        for line, made in _some(texts(subject), limit, subject.rng):
            read, problems = read_documents(made)
            same = not problems and len(read) == 1 and _without_descriptions(read[0].value) == plain
            if not same and made not in seen:
                seen.add(made)
                yield Mutant(kind, f"line {line}", made)


def _some(items: Iterator[ItemT], limit: int | None, rng: random.Random) -> list[ItemT]:
    found = list(items)
    return found if limit is None or len(found) <= limit else rng.sample(found, limit)


def changed(value: JsonValue, path: Path, new: Any) -> JsonValue:
    """Return a copy of `value` with the part at `path` replaced; a `Renamed` key keeps its place."""
    if not path:
        return new
    made: Any = copy.copy(value)
    key, *rest = path
    if rest:
        inner = made.get(key, {}) if isinstance(made, dict) else made[key]
        made[key] = changed(inner, tuple(rest), new)
    elif isinstance(new, Renamed):
        return {new.name if name == key else name: item for name, item in made.items()}
    elif new is GONE:
        del made[key]
    else:
        made[key] = new
    return made


def _without_descriptions(value: JsonValue) -> JsonValue:
    if isinstance(value, Mapping):
        return {key: _without_descriptions(item) for key, item in value.items() if key not in ("description", "labels")}
    return [_without_descriptions(item) for item in value] if isinstance(value, list) else value


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))
