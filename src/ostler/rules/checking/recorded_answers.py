"""Expectations and regular expressions checked against answers that a tool really gave."""

import re
from collections.abc import Iterator, Sequence
from typing import cast

from ostler.model.errors import ExtractionError
from ostler.model.json import JsonValue, KeyPath
from ostler.model.manifest import Expectation, ToolCallSpec
from ostler.model.responses import ToolResponse
from ostler.rules.answers.absence import is_empty, is_out_of_reach, says_another_state, status_in
from ostler.rules.answers.expectations import is_like, listed
from ostler.rules.answers.extraction import find_in_response
from ostler.rules.answers.prose import PROSE_ERROR, PROSE_GONE
from ostler.rules.templates.template import is_template
from ostler.rules.text.findings import Violation
from ostler.rules.text.patterns import PatternError, search

_SHOWN = 100

_LAST_WORD = re.compile(r"(?P<before>(?:\(\?[a-z]+\))?(?P<words>.*?))(?:\\b)?[A-Za-z_]+(?:\\b|\$|\\?\.)?", re.DOTALL)
"""A text or regular expression, parted before its last word."""


def unseen(place: KeyPath, texts: Sequence[str]) -> Violation:
    """Return that what stands at `place` fits none of the answers with `texts`."""
    none = f"none of {len(texts)} recorded answers of the tool matches"
    message = none if len(texts) > 1 else "the recorded answer of the tool does not match"
    return Violation(place, "unseen-answer", message, f"one was: {texts[0].strip()[:_SHOWN]!r}")


def unseen_expectation(
    path: KeyPath, expectation: Expectation, call: ToolCallSpec, samples: Sequence[ToolResponse], *, is_look: bool
) -> Iterator[Violation]:
    """Yield each condition of the `expect` at `path` that no recorded answer meets.

    Answers that say that the tool failed, or that the thing does not exist (yet, or any more), do not count: they do
    not show how an answer looks when all is well. Nor do conditions with templates. Texts such as logs differ from one
    thing to the next: of these, an answer counts that has another word in the same place.
    """
    answers = list(_answers(call, samples))
    for inner, condition in _conditions(expectation):
        if any(is_like(answer, condition) for answer in answers):
            continue
        telling = [
            answer
            for answer in answers
            if _is_telling(answer, condition) and (not is_look or _says_another_word(answer, condition))
        ]
        if telling:
            yield unseen((*path, *inner), [_said(answer, condition) for answer in telling])


def _conditions(expectation: Expectation) -> Iterator[tuple[KeyPath, Expectation]]:
    for text, wanted in (expectation.json_path or {}).items():
        if isinstance(wanted, str) and not is_template(wanted):
            yield ("jsonPath", text), Expectation.model_validate({"jsonPath": {text: wanted}})
    for key in ("contains", "matches"):
        value: str | list[str] | None = getattr(expectation, key)
        for index, text in enumerate(listed(value)):
            if not is_template(text):
                yield (key,) if isinstance(value, str) else (key, index), Expectation.model_validate({key: text})


def _answers(call: ToolCallSpec, samples: Sequence[ToolResponse]) -> Iterator[ToolResponse]:
    """Yield recorded answers, or the items of those that a `batch` looks into."""
    for sample in samples:
        if call.batch is None:
            yield sample
            continue
        try:
            items = find_in_response(sample, call.batch.items)
        except ExtractionError:
            continue
        if isinstance(items, list):
            yield from (ToolResponse(item) for item in cast("list[JsonValue]", items))


def _is_telling(answer: ToolResponse, condition: Expectation) -> bool:
    if is_empty(answer) or is_out_of_reach(answer) or says_another_state(answer, condition):
        return False
    if condition.json_path:
        return isinstance(_found(answer, condition), str)
    return not re.search(PROSE_ERROR, answer.readable) and not re.search(PROSE_GONE, answer.readable)


def _says_another_word(answer: ToolResponse, condition: Expectation) -> bool:
    """Return whether an answer has what comes before the last word of a condition (`Status: `), or a status line."""
    for text in (*map(re.escape, listed(condition.contains)), *listed(condition.matches)):
        split = _LAST_WORD.fullmatch(text)
        if split is None:
            return False
        try:
            found = search(split["before"], answer.readable) if split["words"] else status_in(answer.readable)
            return bool(found)
        except PatternError:
            return False
    return True


def _said(answer: ToolResponse, condition: Expectation) -> str:
    return str(_found(answer, condition)) if condition.json_path else answer.readable


def _found(answer: ToolResponse, condition: Expectation) -> JsonValue:
    try:
        return find_in_response(answer, next(iter(condition.json_path or ())))
    except ExtractionError:
        return None
