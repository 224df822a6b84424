"""Checking an answer against `expect` and `expectNot`."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from ostler.model.errors import ExtractionError
from ostler.model.json import JsonValue
from ostler.model.manifest import Expectation
from ostler.model.responses import ToolResponse
from ostler.rules.answers.extraction import find_in_response
from ostler.rules.secrets.masking import short_json
from ostler.rules.text.equality import loosely_equal
from ostler.rules.text.patterns import PatternError, search
from ostler.rules.text.statements import WELL, is_plain_pattern, is_said, places, rules_out, states
from ostler.rules.text.work_budget import bounded_work

_json = partial(short_json, limit=300)
_READABLE = 80
"""The longest regular expression that messages show, in characters; of a longer one, they show the match."""


class Verdict(Struct, frozen=True):
    """Whether an answer is as expected, and the evidence in words, such as `state was "exited", expected "running"`.

    Attributes:
        passed: whether it is.
        reason: the evidence.
        found: the texts that were found instead of others; empty if anything else was missed, too.
    """

    passed: bool
    reason: str
    found: tuple[str, ...] = ()

    def is_said_in(self, text: str) -> bool:
        """Whether `text` says all that was found, and that it is trouble, so that the evidence adds nothing to it."""
        words = [found.strip() for found in self.found]
        return bool(words) and all(word and word.lower() not in WELL and states(word, text) for word in words)


_SUCCEEDED = Verdict(passed=True, reason="the tool succeeded")


class _Condition(Struct, frozen=True):
    holds: bool
    found: str
    """What the answer shows, as a clause: `state was "exited"`."""
    wanted: str
    """What was looked for, as it reads after 'expected': `"running"`."""
    is_judged: bool = True
    """False when it could not be evaluated, which fails `expect` and `expectNot` alike."""
    value: JsonValue = None
    """What was found at a path."""


def evaluate_health_check_expectation(
    response: ToolResponse, expect: Expectation | None, expect_not: Expectation | None
) -> Verdict:
    """Return whether the answer is as expected.

    - Every condition of `expect` must hold, and none of `expectNot` may hold.
    - A tool that failed (`isError`) does not pass, unless `success` is written in one of the two:
      `expect: {success: false}` passes when the tool failed.
    - `jsonPath` compares loosely, as people write YAML: "8080" equals 8080, "true" equals true. A path that finds
      nothing equals nothing but null: it fails an `expect` and satisfies an `expectNot`.
      What cannot be evaluated at all (a function that does not fit the value) fails both.
    - `jmespath` holds when its result is true in JMESPath's sense (not false, null, empty text, list or object).
    - `contains` and `matches` look at the answer's text, or at its JSON when it has none; of a list, each entry is
      its own condition. What the text denies, it does not contain: `running` is not in `not running`, `inactive`
      or `running: false`. An `expectNot` rules out what it names wherever it stands, but for such states.
    - Without any expectation every answer passes that is not a failure.
    """
    if expect is None and expect_not is None and not response.is_error:
        return _SUCCEEDED
    explicit = any(part is not None and part.success is not None for part in (expect, expect_not))
    if response.is_error and not explicit:
        return Verdict(passed=False, reason=f"the tool failed: {_said(response)}")
    with bounded_work():
        return _judged(response, expect, expect_not)


def _judged(response: ToolResponse, expect: Expectation | None, expect_not: Expectation | None) -> Verdict:
    held: list[str] = []
    missed: list[str] = []
    found: list[str] = []
    for condition in _conditions(response, expect):
        if condition.holds:
            held.append(condition.found)
        else:
            missed.append(f"{condition.found}, expected {condition.wanted}")
            found += [condition.value] if isinstance(condition.value, str) else []
    for condition in _conditions(response, expect_not, is_ruled_out=True):
        if not condition.is_judged:
            missed.append(condition.found)
        elif condition.holds:
            missed.append(f"{condition.found}, which expectNot rules out")
        else:
            held.append(condition.found)
    if missed:
        return Verdict(False, "; ".join(missed), tuple(found) if len(found) == len(missed) else ())
    return Verdict(passed=True, reason="; ".join(held)) if held else _SUCCEEDED


def is_like(response: ToolResponse, expectation: Expectation | None) -> bool:
    """Whether an answer, a failure or not, has everything that `expectation` names; nothing is like None."""
    if expectation is None:
        return False
    read = replace(response, is_error=False) if expectation.success is None else response
    return evaluate_health_check_expectation(read, expectation, None).passed


def _conditions(
    response: ToolResponse, expectation: Expectation | None, *, is_ruled_out: bool = False
) -> Iterator[_Condition]:
    if expectation is None:
        return
    if expectation.success is not None:
        found = f"the tool failed: {_said(response)}" if response.is_error else "the tool succeeded"
        wanted = "it to succeed" if expectation.success else "it to fail"
        yield _Condition(expectation.success is not response.is_error, found, wanted)
    for path, wanted in (expectation.json_path or {}).items():
        yield _path_condition(response, path, wanted)
    for expression in listed(expectation.jmespath):
        yield _expression_condition(response, expression)
    text = response.readable
    for part in listed(expectation.contains):
        holds = rules_out(part, text) if is_ruled_out else states(part, text)
        found = f"the answer contains {_json(part)}" if holds else f"the answer was {_json(text)}"
        yield _Condition(holds, found, f"it to contain {_json(part)}")
    for pattern in listed(expectation.matches):
        yield _match_condition(text, pattern, is_ruled_out=is_ruled_out)


def _path_condition(response: ToolResponse, path: str, wanted: JsonValue) -> _Condition:
    try:
        found = find_in_response(response, path)
    except ExtractionError as error:
        return _Condition(holds=False, found=error.summary, wanted=_json(wanted), is_judged=False)
    if found is None:
        clause = f"{path} was not there (the answer was {_said(response)})"
        return _Condition(loosely_equal(None, wanted), clause, _json(wanted))
    return _Condition(loosely_equal(found, wanted), f"{path} was {_json(found)}", _json(wanted), value=found)


def _expression_condition(response: ToolResponse, expression: str) -> _Condition:
    wanted = "it to be true"
    try:
        found = find_in_response(response, expression)
    except ExtractionError as error:
        return _Condition(holds=False, found=error.summary, wanted=wanted, is_judged=False)
    holds = bool(found) or type(found) in (int, float)
    return _Condition(holds, f"{expression} was {_json(found)}", wanted)


def _match_condition(text: str, pattern: str, *, is_ruled_out: bool) -> _Condition:
    counts = partial(is_said, text, is_ruled_out=is_ruled_out)
    try:
        found = (
            text[start:end] for start, end, is_worded in _matches(pattern, text) if not is_worded or counts(start, end)
        )
        hit = next(found, None)
    except PatternError as error:
        return _Condition(holds=False, found=str(error), wanted=f"it to match {_json(pattern)}", is_judged=False)
    if hit is None:
        return _Condition(holds=False, found=f"the answer was {_json(text)}", wanted=f"it to match {_json(pattern)}")
    is_readable = len(pattern) <= _READABLE or not hit.strip()
    said = f"the answer matches {_json(pattern)}" if is_readable else f"the answer has {_json(hit)}"
    return _Condition(holds=True, found=said, wanted=f"it to match {_json(pattern)}")


def _matches(pattern: str, text: str) -> Iterator[tuple[int, int, bool]]:
    """Yield the place of each match: from, to, and whether the pattern is plain words, which a text may deny."""
    match = search(pattern, text)
    while match is not None:
        is_worded = bool(match[0]) and is_plain_pattern(pattern)
        yield *match.span(), is_worded
        if not is_worded:
            return
        match = search(pattern, text, match.end())


def mentions(expectation: Expectation, text: str) -> Iterator[tuple[int, int]]:
    """Yield where `text` has the words of an expectation's `contains` and `matches`, denied or not: from, to."""
    for part in listed(expectation.contains):
        yield from places(part, text)
    for pattern in listed(expectation.matches):
        with suppress(PatternError):
            yield from ((start, end) for start, end, is_worded in _matches(pattern, text) if is_worded)


def listed(value: str | Sequence[str] | None) -> Sequence[str]:
    """Return the texts of a key of an expectation: none, one or several."""
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else value


def _said(response: ToolResponse) -> str:
    return _json(response.value if response.value is not None else response.text)
