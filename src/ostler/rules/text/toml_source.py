"""Where the keys of a TOML text are written, and where it is wrong: the standard library's reader keeps no places."""

import re
import tomllib
from collections.abc import Iterator, Sequence
from typing import Any, Final, cast

from ostler.model.json import JsonObject, KeyPath

Place = tuple[int, int]
"""A line and a column, both counted from 1."""

_ERROR_PLACE: Final = re.compile(r"\s*\(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")
_KEY: Final = r"(?:[A-Za-z0-9_-]+|\"(?:[^\"\\]|\\.)*\"|'[^']*')"
_DOTTED: Final = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_HEADER: Final = re.compile(rf"^\s*(?P<open>\[\[?)\s*(?P<keys>{_DOTTED})\s*\]")
_ASSIGNMENT: Final = re.compile(rf"^\s*(?P<keys>{_DOTTED})\s*=")
_TOKEN: Final = re.compile(r"""\"{3}|'{3}|"(?:[^"\\]|\\.)*"|'[^']*'|#.*|[\[\]{}]""")
_END_OF_TEXT: Final = {'"""': re.compile(r'(?:[^"\\]|\\.|"(?!""))*"""'), "'''": re.compile(r".*?'''")}


class TomlError(ValueError):
    """A text is not TOML: its message says why, `place` where (0, 0 if that is not known)."""

    def __init__(self, reason: str, place: Place) -> None:
        self.place = place
        super().__init__(reason)


def parse_toml(text: str) -> JsonObject:
    """Return what `text` holds.

    Raises:
        TomlError: it is not TOML.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        found = _ERROR_PLACE.search(message)
        if found is None:
            raise TomlError(message, (0, 0)) from None
        line = int(found["line"] or text.count("\n") + 1)
        raise TomlError(message[: found.start()], (line, int(found["column"] or 1))) from None
    except RecursionError:
        raise TomlError("it is nested too deeply", (0, 0)) from None


class KeyPlaces(dict[KeyPath, Place]):
    """Where keys are written, by their paths."""

    def nearest(self, path: KeyPath, *, default: Place = (0, 0)) -> Place:
        """Return the place of `path`, or of its nearest parent that has one."""
        while path and path not in self:
            path = path[:-1]
        return self.get(path, default)


def key_places(text: str) -> KeyPlaces:
    """Return where each key is written; those inside inline tables are left out."""
    places = KeyPlaces()
    table: KeyPath = ()
    last: dict[KeyPath, int] = {}  # of each array of tables, the index of the table that was begun last
    for number, line in _beginnings(text):
        if header := _HEADER.match(line):
            table = _table(tuple(_split(header["keys"])), last, begins=header["open"] == "[[")
            for length in range(1, len(table) + 1):
                places.setdefault(table[:length], (number, header.start("keys") + 1))
        elif assignment := _ASSIGNMENT.match(line):
            path = table + tuple(_split(assignment["keys"]))
            for length in range(len(table) + 1, len(path) + 1):
                places.setdefault(path[:length], (number, assignment.start("keys") + 1))
    return places


def _beginnings(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines, with their numbers, that do not begin inside a list or a text of several lines."""
    quote, depth = "", 0
    for number, line in enumerate(text.split("\n"), start=1):
        if not quote and not depth:
            yield number, line
        at = 0
        while at < len(line):
            if quote:
                end = _END_OF_TEXT[quote].match(line, at)
                quote, at = ("", end.end()) if end else (quote, len(line))
            elif token := _TOKEN.search(line, at):
                at = token.end()
                quote = token[0] if token[0] in _END_OF_TEXT else ""
                depth += (token[0] in ("[", "{")) - (token[0] in ("]", "}"))
            else:
                break


def _table(keys: Sequence[str], last: dict[KeyPath, int], *, begins: bool) -> KeyPath:
    """Return the path of the table of a header; an array of tables (`[[a]]`) begins another one."""
    path: KeyPath = ()
    for position, key in enumerate(keys, start=1):
        path = (*path, key)
        if begins and position == len(keys):
            last[path] = last.get(path, -1) + 1
        if path in last:
            path = (*path, last[path])
    return path


def _split(dotted: str) -> Iterator[str]:
    try:
        part: Any = tomllib.loads(f"{dotted} = 0")
    except tomllib.TOMLDecodeError:
        return  # it only looks like a key, as a line inside a list of texts
    while isinstance(part, dict):
        [(key, part)] = cast("dict[str, Any]", part).items()
        yield key
