"""Whether a text states a word, or only has its letters: `not running`, `inactive`, `running: false`."""

import re
from collections.abc import Iterator
from typing import Final

from ostler.model.late_patterns import late_pattern

_GAP: Final = "[ _-]"
_WORD: Final = rf"(?:{_GAP}(?!(?:and|but|so|or|then|while|as|because|since|which|that)\b)[^\W_]+)"
_DENIED_BEFORE: Final = late_pattern(
    r"(?<![^\W_])(?:"
    rf"(?:no|none|nothing|nobody|neither|without|(?<![.:,/$%#@-])(?:0|zero)){_WORD}{{0,4}}{_GAP}"
    rf"|(?:not|never|nor|cannot|\w{{2,6}}n['\u2019]t){_WORD}{{0,2}}{_GAP}"
    rf"|(?:fail(?:s|ed|ing)?|unable|refus(?:es|ed|ing)){_GAP}to{_WORD}{{0,2}}{_GAP}"
    rf"|(?:stopped|ceased|quit){_GAP}"
    r"|(?:not|non|un|in|dis|de)-?"
    r")$",
    re.IGNORECASE,
)
"""What stands before a word that is denied. A mark such as a comma, or a tab or second space as in a table, in
between ends what the denial is about; and `$0`, `%0`, `#0` and `@0` are ids and no numbers."""

_DENIED_BEHIND: Final = late_pattern(
    r"[\"'`*]{0,3}\s*[:=]\s*[\"'`*]{0,3}(?:false|no|off)(?![\w-])[\"'`*]{0,3}\s*(?:[,;.)\]}\n]|$)"
    r"|[^.!?\n]{0,80}\?(?:\s|$)",
    re.IGNORECASE,
)
"""What follows a word that is denied or in a question: `running: false`, `Is the daemon running?`."""

_OPPOSITE: Final = late_pattern(r"[\"'`*]{0,3}\s*[:=]\s*[\"'`*]{0,3}(?:in|un|dis|non|not)[ _-]?", re.IGNORECASE)
"""What stands between a label and its own opposite: `Active: inactive`."""

RUNS: Final = frozenset(
    {
        "active", "alive", "executing", "in progress", "live", "on", "online", "open", "processing", "run", "running",
        "started", "up",
    }
)  # fmt: skip
"""States, in many servers' words, of things that run."""

WELL: Final = RUNS | {"available", "connected", "enabled", "healthy", "listening", "ready"}
"""The same, and what else says that a thing is well."""

_WHOLE_UP_TO: Final = 2
"""Words of at most that many letters (`up`, `on`, `ok`) are also no beginnings of others (`update`)."""

_SENTENCE: Final = 200
_SEEN_BEFORE: Final = 80
_SEEN_BEHIND: Final = 100
_MOST_PLACES: Final = 1000
"""Occurrences of a word that are checked; a text that denies it so often does not state it."""

_PLAIN_PATTERN: Final = late_pattern(r"(?:\(\?i\))?\^?(?:[\w \-|]|\\b|\((?!\?)|\(\?:|\))*\$?")
"""Regular expressions that are nothing but words, which no one writes to find `not running`."""


def states(part: str, text: str) -> bool:
    """Return whether `text` says `part`.

    It does not where `part` is the end of another word (`active` in `inactive`, `ok` in `token`), cut out of a number
    (`80` in `8080`, `k1` in `k12`), or denied.
    """
    return any(_is_whole(text, *place) and is_said(text, *place) for place in places(part, text))


def rules_out(part: str, text: str) -> bool:
    """Return whether `text` has `part`, which is ruled out: also in other words, and as in `is_said`."""
    return any(is_said(text, *place, is_ruled_out=True) for place in places(part, text))


def is_said(text: str, start: int, end: int, *, is_ruled_out: bool = False) -> bool:
    """Return whether what `text` has from `start` to `end` counts there.

    What is denied does not. Of what is ruled out (`is_ruled_out`), only states such as `running` may be denied:
    `no Error` is one mention of an error too many.
    """
    if is_ruled_out and text[start:end].strip().lower() not in WELL:
        return True
    return not is_denied(text, start, end)


def denies(text: str, start: int, end: int) -> bool:
    """Return whether a sentence ends, at that place, with denying a state such as `running`, and does not state it."""
    part = text[start:end]
    return (
        part.lower() in RUNS and not text[end:].rstrip(".!") and is_denied(text, start, end) and not states(part, text)
    )


def is_sentence(text: str) -> bool:
    """Return whether a text is short enough, and one line, to be about one thing."""
    return len(text) <= _SENTENCE and "\n" not in text


def is_denied(text: str, start: int, end: int) -> bool:
    """Return whether the words of `text` from `start` to `end` are denied there, or part of a question."""
    if text[start:end].lower().startswith("such "):
        return False  # "no such container" is said of one that is missing
    if _DENIED_BEFORE.search(text[max(0, start - _SEEN_BEFORE) : start]):
        return True
    behind = text[end : end + _SEEN_BEHIND]
    opposite = _OPPOSITE.match(behind)
    if opposite is not None and behind[opposite.end() :].lower().startswith(text[start:end].lower()):
        return True
    return _DENIED_BEHIND.match(behind) is not None


def is_plain_pattern(pattern: str) -> bool:
    """Return whether a regular expression is nothing but words, such as `running` or `up|running`."""
    return _PLAIN_PATTERN.fullmatch(pattern) is not None


def places(part: str, text: str) -> Iterator[tuple[int, int]]:
    """Yield where `text` has `part`: from, to."""
    start = text.find(part)
    for _ in range(_MOST_PLACES):
        if start < 0:
            return
        yield start, start + len(part)
        start = text.find(part, start + 1)


def _is_whole(text: str, start: int, end: int) -> bool:
    before, first = text[start - 1 : start], text[start : start + 1]
    last, behind = text[end - 1 : end], text[end : end + 1]
    if first.isalpha() and before.isalpha() and not (before.islower() and first.isupper()):
        return False
    if (first.isdigit() and before.isdigit()) or (last.isdigit() and behind.isdigit()):
        return False
    return not (end - start <= _WHOLE_UP_TO and last.isalpha() and behind.isalpha())
