"""Mistakes in the text of a class, which need not leave it YAML."""

import re
from collections.abc import Callable, Iterator, Mapping

from benchmarks.mutations.subjects import Subject, typo


def _lines(subject: Subject) -> Iterator[tuple[int, str]]:
    """Yield the lines outside of block text and comments."""
    block = -1
    for number, line in enumerate(subject.text.splitlines()):
        indent = len(line) - len(line.lstrip())
        if block >= 0 and (indent > block or not line.strip()):
            continue
        block = indent if re.search(r"[:-]\s*[>|][-+]?\s*$", line) else -1
        if line.strip() and not line.lstrip().startswith("#") and line.strip() != "---":
            yield number, line


def _replaced(subject: Subject, number: int, line: str) -> str:
    lines = subject.text.splitlines()
    lines[number] = line
    return "\n".join(lines) + "\n"


def indentation(subject: Subject) -> Iterator[tuple[int, str]]:
    """A line a little too far to the left or to the right."""
    for number, line in _lines(subject):
        yield number + 1, _replaced(subject, number, f" {line}")
        yield number + 1, _replaced(subject, number, f"  {line}")
        if line.startswith("  "):
            yield number + 1, _replaced(subject, number, line[1:])
            yield number + 1, _replaced(subject, number, line[2:])


def tab(subject: Subject) -> Iterator[tuple[int, str]]:
    """A tab instead of spaces."""
    for number, line in _lines(subject):
        if line.startswith("  "):
            yield number + 1, _replaced(subject, number, "\t" + line.lstrip())


def colon(subject: Subject) -> Iterator[tuple[int, str]]:
    """A colon, or the space after it, left out."""
    for number, line in _lines(subject):
        yield number + 1, _replaced(subject, number, line.replace(":", "", 1))
        if ": " in line:
            yield number + 1, _replaced(subject, number, line.replace(": ", ":", 1))


def quote(subject: Subject) -> Iterator[tuple[int, str]]:
    """A quote left out."""
    for number, line in _lines(subject):
        places = [found.start() for found in re.finditer(r'"', line)]
        if places:
            for place in {places[0], places[-1]}:
                yield number + 1, _replaced(subject, number, line[:place] + line[place + 1 :])


def doubled_key(subject: Subject) -> Iterator[tuple[int, str]]:
    """A line that is there twice."""
    for number, line in _lines(subject):
        if re.match(r"\s*[\w-]+:", line):
            yield number + 1, _replaced(subject, number, f"{line}\n{line}")


def any_word(subject: Subject, count: int) -> Iterator[tuple[int, str]]:
    """A letter wrong in any word outside of descriptions, labels and comments, whatever the word means."""
    lines = [(number, line) for number, line in _lines(subject) if not re.search(r"description:|labels:", line)]
    for _ in range(count):
        number, line = subject.rng.choice(lines)
        words = list(re.finditer(r"[A-Za-z]{2,}", line.split(" #")[0]))
        if words:
            word = subject.rng.choice(words)
            wrong = line[: word.start()] + typo(word[0], subject.rng) + line[word.end() :]
            yield number + 1, _replaced(subject, number, wrong)


TEXT_KINDS: Mapping[str, Callable[[Subject], Iterator[tuple[int, str]]]] = {
    "indentation": indentation,
    "tab": tab,
    "colon": colon,
    "quote": quote,
    "doubled key": doubled_key,
}
