"""Regular expressions from manifests: compiled once, and searched with a time limit.

Classes may come from an agent, and a careless expression can take exponential time, so every search is bounded.
"""

from functools import lru_cache
from typing import TypeAlias

import regex

Pattern: TypeAlias = "regex.Pattern[str]"
Match: TypeAlias = "regex.Match[str]"

SEARCH_SECONDS = 0.5
"""How long one search may take; a sane expression needs microseconds."""

MAX_PATTERN = 4096
"""The longest expression that is accepted, in characters."""


class PatternError(ValueError):
    """An expression does not compile, or its search took too long. The text says which."""


@lru_cache(maxsize=1024)
def compile_pattern(pattern: str) -> Pattern:
    """Return `pattern` compiled, in the syntax of Python's `re`.

    Raises:
        PatternError: it is not a regular expression; the text says what is wrong and where.
    """
    if len(pattern) > MAX_PATTERN:
        raise PatternError(f"a regular expression of {len(pattern)} characters is too long (at most {MAX_PATTERN})")
    try:
        return regex.compile(pattern)
    except (regex.error, RecursionError, OverflowError, MemoryError, ValueError) as error:
        raise PatternError(f"{pattern!r} is not a regular expression: {error}") from None


def search(pattern: str, text: str) -> "Match | None":
    """Return the first match of `pattern` in `text`, or None.

    Raises:
        PatternError: it does not compile, or the search took longer than `SEARCH_SECONDS`.
    """
    compiled = compile_pattern(pattern)
    try:
        return compiled.search(text, timeout=SEARCH_SECONDS)
    except TimeoutError:
        raise PatternError(
            f"searching with {pattern!r} took longer than {SEARCH_SECONDS} s; "
            "write it without nested repetition such as (a+)+"
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


def _group_name(output: str) -> str:
    return output if output.isidentifier() else "value"
