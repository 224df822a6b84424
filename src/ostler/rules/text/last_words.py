"""The lines at the end of a program's output that say why it died."""

import re
from collections.abc import Sequence
from typing import Final

from ostler.model.late_patterns import late_pattern
from ostler.rules.text.terminal_text import without_control

_GROUP: Final = late_pattern(r"^\s*(?:\| ?|\+-\+-+.*|\+-{4,}.*)+")
_NAMED: Final = late_pattern(
    r"^(?:Uncaught |Unhandled |Fatal |\[?[Ee]rror\]?:? )*"
    r"(?:[A-Za-z_$][\w$]*\.)*[A-Za-z_$]*(?:Error|Exception|Exit|Interrupt|Warning|Failure|Fault)"
    r"(?: \[[A-Z_]+\])?(?::|$)"
)
_LOWER_NAMED: Final = late_pattern(r"^[a-z][\w$.]*: ")
"""An error of a class that gives it a name of its own, such as `error` of the library pg."""

_CALL: Final = late_pattern(r"^\s+at .*:\d+:\d+\)?$")
_FRAME: Final = late_pattern(
    r"^\s+at |^\s*File \"|^node:|^Node\.js v\d|^\s*\^+\s*$|^\s*\.\.\. \d+ (?:more|lines)|^goroutine \d|^\t"
    r"|^exit status \d|^\s*throw |^note: run with|^stack backtrace|^\s+\d+: |^\d+: 0x|^\[process exited|^\s*[~^]+\s*$"
    r"|^\s+\(\w+ [\d.]+\) \S+:\d+: "
)
_NOISE: Final = late_pattern(
    r"^npm (?:notice|warn|error|ERR!)(?: [A-Z\d]+)?\s*$|^npm (?:error|ERR!) 404 (?:Note that you can|tarball, folder)"
    r"|^npm notice|A complete log of this run can be found"
    r"|^npm (?:error|ERR!)\s+/\S+\.log|^\(Use `node --trace|^\s*[{}\]]+,?\s*$|^For (?:more )?help, see"
    r"|^\[ERROR\](?: -> \[Help \d+\]| \[Help \d+\] .*| To see the full stack trace.*| Re-run Maven.*"
    r"| For more information about the errors.*)?\s*$"
    r"|^\* Try:$|^> (?:Run with|Get more help)|^BUILD FAILED in \d|^note: Some details are omitted|^Bun v\d"
    r"|^Some errors have detailed explanations|^For more information about (?:this|an) error"
    r"|^yarn run v\d|^info Visit https://yarnpkg\.com|^\$ \S"
    r"|^Need to install the following|^\[?(?:\d{4}-\d\d-\d\d[T ])?\d\d:\d\d:\d\d[\d.,Z+:]*\]?\s*$"
)
_SCRIPT: Final = late_pattern(r"^> (?:\S+@\S+ \S+(?: /\S+)?|[\w:.-]+)$")
"""What npm and pnpm write before the line of a script, which comes next."""

_FAILED_SCRIPT: Final = late_pattern(r"^npm (?:error|ERR!) Lifecycle script ")
"""What npm writes in a workspace after a script's own output, before lines that say where it ran."""

_DETAIL: Final = late_pattern(
    r"^\s+(?:code|errno|syscall|path|requireStack|\[cause\]|port|address|url|\[stack\])['\"]?: "
)
_INSPECTED: Final = late_pattern(r"^(?P<said>\s+at .*|.*\]) \{$")
_CAUSE: Final = late_pattern(
    r"^Caused by: |^\s*\*\* \(\w|^panic: |^thread '.*' panicked at|^Exception in thread |^Traceback \(most recent"
)

_COMPILER_ERROR: Final = late_pattern(r"^error(?:\[E\d+\])?: (?!could not compile|aborting due)")
_COMPILER_PLACE: Final = late_pattern(r"^\s*--> (?P<place>\S+:\d+:\d+)$")
_NOT_COMPILED: Final = late_pattern(r"^error: (?:could not compile|aborting due to) ")

_TROUBLE: Final = late_pattern(
    r"\u2a2f|✖|✗|❌|\b(?:error|fatal|panic|fail(?:ed|ure)?|cannot|can't|could not|unable to|already (?:running|exists)|"
    r"in use|refused|denied|not found|terminating|abort(?:ed|ing)?|crash(?:ed)?|exception|eaddrinuse|out of memory)\b"
    r"(?!=\d+ [\w-]+=\d)",  # counts at the end, as dbt's: PASS=2 ERROR=1 SKIP=0
    re.IGNORECASE,
)

_NOT_INSTALLED: Final = late_pattern(
    r"\bNo module named\b|\bcannot find (?:module|package)\b|cannot load such file|couldn't import", re.IGNORECASE
)
"""What languages write of a package that is not there."""

_NO_PROGRAM: Final = 127
"""The exit code by which a shell says that there is no such program."""

SEARCHED: Final = 20
"""Lines from the end in which one that reports trouble is looked for."""

SHOWN_LINES: Final = 3
"""Lines that are kept of text that is not a stack trace."""

SHOWN_CHARS: Final = 600
"""The longest answer; its end is kept."""


def last_words(lines: Sequence[str]) -> str:
    """Return the lines of `lines` that say what went wrong, in one; the empty text when there is none.

    Of a stack of calls (Python, Node, Java, Rust, Go) that is the message, not the calls; else the last lines, without
    those that say nothing. Whatever a terminal would make colours of is left out.
    """
    plain = _without_scripts([cleaned for line in lines if (cleaned := _plain(line)).strip()])
    plain = _without_properties(plain)
    chosen = (
        _compiler_errors(plain)
        or _message_of_stack(plain)
        or _last(plain)
        or [line.strip() for line in plain[-SHOWN_LINES:]]
    )
    text = " | ".join(chosen)
    return text if len(text) <= SHOWN_CHARS else f"…{text[1 - SHOWN_CHARS :]}"


def reports_trouble(lines: Sequence[str]) -> bool:
    """Return whether one of the last of `lines` says that something went wrong."""
    return any(_TROUBLE.search(_plain(line)) for line in lines[-SEARCHED:])


def lacks_something(said: str, exit_code: int | None) -> bool:
    """Return whether a program ended because a package or program is not installed; `said` are its last words."""
    return exit_code == _NO_PROGRAM or bool(exit_code and _NOT_INSTALLED.search(said))


def _plain(line: str) -> str:
    line = without_control(line.rsplit("\r", 1)[-1] if not line.endswith("\r") else line[:-1]).rstrip()
    bare = _GROUP.sub("", line)  # the drawing around Python's exception groups
    return bare if bare != line else line


def _without_scripts(lines: Sequence[str]) -> list[str]:
    """Leave out what npm and pnpm write of the script that they run: its name and line, and in which package it failed.

    If a script wrote nothing, npm's report is all that there is, and stays.
    """
    kept = [
        line
        for number, line in enumerate(lines)
        if not (line.startswith("> ") and (_SCRIPT.search(line) or (number and _SCRIPT.search(lines[number - 1]))))
    ]
    failed = next((number for number, line in enumerate(kept) if _FAILED_SCRIPT.search(line)), None)
    if failed is None:
        return kept
    return [*kept[:failed], *(line for line in kept[failed:] if not line.startswith(("npm error", "npm ERR!")))] or kept


def _without_properties(lines: Sequence[str]) -> list[str]:
    """Leave out the properties that Node prints of an error, in braces behind its calls or its name in brackets."""
    kept: list[str] = []
    skips = False
    for line in lines:
        if skips:
            skips = line != "}"
        elif inspected := _INSPECTED.search(line):
            kept.append(inspected["said"])
            skips = True
        else:
            kept.append(line)
    return kept


def _compiler_errors(lines: Sequence[str]) -> list[str]:
    """Return the first error of Rust's compiler with its place, and its last line; nothing of another program."""
    if not lines or not _NOT_COMPILED.search(lines[-1]):
        return []
    first = next((number for number, line in enumerate(lines) if _COMPILER_ERROR.search(line)), None)
    if first is None:
        return []
    place = next((found["place"] for line in lines[first + 1 :] if (found := _COMPILER_PLACE.search(line))), "")
    return [f"{lines[first]} ({place})" if place else lines[first], lines[-1]]


def _message_of_stack(lines: Sequence[str]) -> list[str]:
    """Return the message of the last stack of calls; nothing when the lines end with something else."""
    framed = [number for number, line in enumerate(lines) if _FRAME.search(line)]
    if not framed:
        return []
    messages = [number for number in range(len(lines)) if _begins_message(lines, number)]
    if not messages:
        return []
    last = messages[-1]
    end = next((n for n in range(last + 1, len(lines)) if _FRAME.search(lines[n]) or _DETAIL.search(lines[n])), None)
    if end is None:
        end = len(lines)
    message = [line.strip() for line in lines[last : min(end, last + SHOWN_LINES)] if not _NOISE.search(line)]
    after = [line for line in lines[max(end, framed[-1]) :] if not _says_nothing(line)]
    return [*message, *(line.strip() for line in after[-1:])] if end < len(lines) else message


def _begins_message(lines: Sequence[str], number: int) -> bool:
    line = lines[number]
    if line.startswith("Traceback ("):
        return False
    if _CAUSE.search(line):
        return True
    if _LOWER_NAMED.search(line) and number + 1 < len(lines) and _CALL.search(lines[number + 1]):
        return True
    if not _NAMED.search(line.strip()) or _FRAME.search(line) or _DETAIL.search(line):
        return False
    before, after = lines[number - 1] if number else "", lines[number + 1] if number + 1 < len(lines) else ""
    return bool(before.startswith((" ", "\t")) or _FRAME.search(before) or _FRAME.search(after) or _NAMED.search(line))


def _last(lines: Sequence[str]) -> list[str]:
    """Return the last lines; where none of them reports trouble, the last one before them that does comes first."""
    said = [line.strip() for line in lines if not _says_nothing(line)][-SEARCHED:]
    last = said[-SHOWN_LINES:]
    if any(map(_TROUBLE.search, last)):
        return last
    trouble = next((line for line in reversed(said[:-SHOWN_LINES]) if _TROUBLE.search(line)), None)
    return last if trouble is None else [trouble, *last[1:]]


def _says_nothing(line: str) -> bool:
    return bool(_FRAME.search(line) or _NOISE.search(line) or _DETAIL.search(line))
