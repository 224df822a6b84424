"""Regular expressions from outside: bounded in size before they are compiled, and in time when they search.

Classes may come from an agent, and a careless expression can take exponential time, or all memory.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

import regex

from ostler.model.errors import ArgumentError
from ostler.rules.text.work_budget import seconds_left

Pattern: TypeAlias = "regex.Pattern[str]"
Match: TypeAlias = "regex.Match[str]"
LineFilter: TypeAlias = Callable[[str], bool]

SEARCH_SECONDS = 0.5
"""How long one search may take; a sane expression needs microseconds."""

MAX_PATTERN = 4096
"""The longest expression that is accepted, in characters."""


_KEPT_SIZE = 1000
_SHORTEST = 0.001
_SHOWN = 200


class PatternError(ValueError):
    """An expression does not compile, or its search took too long. The text says which."""


def compile_pattern(pattern: str) -> Pattern:
    """Return `pattern` compiled, in the syntax of Python's `re`.

    Raises:
        PatternError: it is not a regular expression, or too large a one; the text says what is wrong and where.
    """
    if len(pattern) > MAX_PATTERN:
        raise PatternError(f"a regular expression of {len(pattern)} characters is too long (at most {MAX_PATTERN})")
    return _small(pattern) or _compiled(pattern)[0]


def is_pattern(text: str) -> bool:
    """Whether `compile_pattern` accepts `text`."""
    try:
        compile_pattern(text)
    except PatternError:
        return False
    return True


@lru_cache(maxsize=1024)
def _small(pattern: str) -> "Pattern | None":
    """Return `pattern` compiled and kept, or None when it is too large to keep many of its kind."""
    compiled, size = _compiled(pattern)
    return compiled if size <= _KEPT_SIZE else None


def _compiled(pattern: str) -> "tuple[Pattern, int]":
    from ostler.rules.text.pattern_bounds import compiled_size  # noqa: PLC0415 (0.9 MiB, with the library itself)

    try:
        size = compiled_size(pattern)
    except (ValueError, RecursionError) as error:
        raise PatternError(f"the regular expression {_shown(pattern)} is too large: {_reason(error)}") from None
    try:
        return regex.compile(pattern, cache_pattern=False), size
    except (regex.error, RecursionError, OverflowError, MemoryError, ValueError) as error:
        raise PatternError(f"{_shown(pattern)} is not a regular expression: {error}") from None


def _reason(error: ValueError | RecursionError) -> str:
    return "it is nested too deep" if isinstance(error, RecursionError) else str(error)


def _shown(pattern: str) -> str:
    return repr(pattern if len(pattern) <= _SHOWN else pattern[:_SHOWN] + "…")


def search(pattern: str, text: str, begin: int = 0) -> "Match | None":
    """Return the first match of `pattern` in `text`, from index `begin` on, or None.

    Raises:
        PatternError: it does not compile, or the search took longer than `SEARCH_SECONDS`, or than what is left of the
            work under way.
    """
    compiled = compile_pattern(pattern)
    left = seconds_left(SEARCH_SECONDS)
    seconds = max(left, _SHORTEST)
    try:
        return compiled.search(text, begin, timeout=seconds)
    except TimeoutError:
        took = (
            f"longer than {SEARCH_SECONDS:g} s" if left == SEARCH_SECONDS else "longer than all searches may together"
        )
        raise PatternError(
            f"searching with {_shown(pattern)} took {took}; write it without nested repetition such as (a+)+"
        ) from None


def value_group(pattern: str, output: str) -> int | str:
    """Return which group of `pattern` is the value of the output named `output`.

    The group named like the output, else the group named `value`, else the only group, else (without any group)
    the whole match.

    Raises:
        PatternError: the expression does not compile, or has several groups and none of these names.
    """
    compiled = compile_pattern(pattern)
    for name in (output, "value"):
        if name in compiled.groupindex:
            return name
    if compiled.groups > 1:
        raise PatternError(
            f"{pattern!r} has {compiled.groups} groups; name the one that is the value (?P<{_group_name(output)}>…), "
            "or make the others (?:…)"
        )
    return compiled.groups


def matched_values(pattern: str, output: str, text: str) -> list[str]:
    """Return the values that `pattern` finds in `text`, each once; see `value_group`. A match may have none.

    Raises:
        PatternError: as `search`.
    """
    group = value_group(pattern, output)
    found: dict[str, None] = {}
    position = 0
    while position <= len(text) and (match := search(pattern, text, position)) is not None:
        if (value := match.group(group)) is not None:
            found[value] = None
        position = max(match.end(), match.start() + 1)
    return list(found)


def _group_name(output: str) -> str:
    return output if output.isidentifier() else "value"


def line_filter(pattern: str, argument: str) -> LineFilter:
    """Return a function that says whether a line matches `pattern`, each search bounded in time; empty: any does.

    Raises:
        ArgumentError: it is not a regular expression (the function raises it when a search takes too long); the text
            names `argument`.
    """

    def matches(line: str) -> bool:
        try:
            return not pattern or search(pattern, line) is not None
        except PatternError as error:
            raise ArgumentError([f"{argument}: {error}"]) from error

    try:
        compile_pattern(pattern)
    except PatternError as error:
        raise ArgumentError(
            [f"{argument}: {error}"], next_actions=("escape characters such as ( [ * + ? with a backslash",)
        ) from error
    return matches
