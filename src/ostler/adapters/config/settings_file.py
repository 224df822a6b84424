"""`ostler.toml` as Settings, with every problem at its line."""

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError

from ostler.adapters.regular_files import read_regular_text
from ostler.model.errors import Finding, ManifestError, StoreError
from ostler.model.settings import Settings

_TOML_PLACE = re.compile(r"\s*\(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")
_KEY = r"(?:[A-Za-z0-9_-]+|\"(?:[^\"\\]|\\.)*\"|'[^']*')"
_DOTTED = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_HEADER = re.compile(rf"^\s*(?P<open>\[\[?)\s*(?P<keys>{_DOTTED})\s*\]")
_ASSIGNMENT = re.compile(rf"^(?P<indent>\s*)(?P<keys>{_DOTTED})\s*=")
_IN_WORDS = {
    "tuple_type": "must be a list of texts",
    "string_type": "must be text in quotes",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "model_type": "must be a table",
    "byte_size": "must be a number of bytes, or text such as '256KiB'",
    "byte_size_unit": "must be a number of bytes, or text such as '256KiB'",
}
"""Pydantic's error types in the words of TOML."""
_MAX_BYTES = 1024 * 1024
STORE_VARIABLE = "OSTLER_STORE"
"""The environment variable that overrides the setting `store`."""
_TOKEN = re.compile(r"""\"{3}|'{3}|"(?:[^"\\]|\\.)*"|'[^']*'|#.*|[\[\]{}]""")
_END_OF_TEXT = {'"""': re.compile(r'(?:[^"\\]|\\.|"(?!""))*"""'), "'''": re.compile(r".*?'''")}


def load_settings(path: Path) -> Settings:
    """Return the settings in the file at `path`; the defaults when there is no file.

    Raises:
        ManifestError: it cannot be read or is wrong; `findings` lists every problem with its line.
    """
    try:
        text = read_regular_text(path, _MAX_BYTES)
    except FileNotFoundError:
        return Settings()
    except UnicodeDecodeError as exc:
        raise _refused([Finding(f"is not UTF-8 text ({exc.reason})", str(path), rule="encoding")], path) from exc
    except OSError as exc:
        raise _refused([Finding(f"cannot be read: {exc.strerror}", str(path), rule="unreadable")], path) from exc
    return parse_settings(text, str(path))


def settings_in_force(path: Path, environ: Mapping[str, str]) -> Settings:
    """Return the settings in the file at `path`, with the store that the variable `OSTLER_STORE` names, if it is set.

    Raises:
        ManifestError: the file cannot be read or is wrong.
        StoreError: the variable is neither `sqlite` nor a URL of PostgreSQL.
    """
    settings = load_settings(path)
    asked = environ.get(STORE_VARIABLE)
    return with_store(settings, asked, f"the variable {STORE_VARIABLE}") if asked else settings


def with_store(settings: Settings, store: str, what: str) -> Settings:
    """Return `settings` with another store; `what` names it in errors.

    Raises:
        StoreError: it is neither `sqlite` nor a URL of PostgreSQL.
    """
    try:
        return settings.model_copy(update={"store": Settings.model_validate({"store": store}).store})
    except ValidationError as exc:
        reason = str(exc.errors()[0]["msg"]).removeprefix("Value error, ")
        raise StoreError(f"{what} {reason}", next_actions=("correct it, or leave it out",)) from None


def parse_settings(text: str, file: str) -> Settings:
    """Return the settings written in `text`; `file` names it in findings.

    Raises:
        ManifestError: it is wrong; `findings` lists every problem with its line.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise _refused([_syntax_finding(str(exc), text, file)], Path(file)) from exc
    try:
        return Settings.model_validate(data)
    except ValidationError as exc:
        places = _places(text)
        findings = [_finding(problem, places, file) for problem in exc.errors(include_url=False)]
        findings.sort(key=lambda finding: (finding.line, finding.column))
        raise _refused(findings, Path(file)) from exc


def _refused(findings: Sequence[Finding], path: Path) -> ManifestError:
    return ManifestError(findings, what=path.name)


def _syntax_finding(message: str, text: str, file: str) -> Finding:
    place = _TOML_PLACE.search(message)
    if place is None:
        return Finding(f"is not valid TOML: {message}", file, rule="syntax")
    line = int(place["line"] or text.count("\n") + 1)
    return Finding(
        f"is not valid TOML: {message[: place.start()]}", file, line, int(place["column"] or 1), rule="syntax"
    )


@dataclass(frozen=True, slots=True)
class _Place:
    line: int
    column: int


def _places(text: str) -> dict[tuple[str, ...], _Place]:
    """Return where each key (as its path from the top) is written. Keys of inline tables are not looked into."""
    places: dict[tuple[str, ...], _Place] = {}
    table: tuple[str, ...] = ()
    last: dict[tuple[str, ...], int] = {}  # of arrays of tables: the index of the table that was begun last
    for number, line in _beginnings(text):
        if header := _HEADER.match(line):
            table = _table(tuple(_split(header["keys"])), last, begins=header["open"] == "[[")
            for length in range(1, len(table) + 1):
                places.setdefault(table[:length], _Place(number, header.start("keys") + 1))
        elif assignment := _ASSIGNMENT.match(line):
            path = table + tuple(_split(assignment["keys"]))
            for length in range(len(table) + 1, len(path) + 1):
                places.setdefault(path[:length], _Place(number, assignment.start("keys") + 1))
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


def _table(keys: Sequence[str], last: dict[tuple[str, ...], int], *, begins: bool) -> tuple[str, ...]:
    """Return the path of the table of a header; an array of tables (`[[a]]`) begins another one."""
    path: tuple[str, ...] = ()
    for position, key in enumerate(keys, start=1):
        path = (*path, key)
        if begins and position == len(keys):
            last[path] = last.get(path, -1) + 1
        if path in last:
            path = (*path, str(last[path]))
    return path


def _split(dotted: str) -> Iterator[str]:
    try:
        part: Any = tomllib.loads(f"{dotted} = 0")
    except tomllib.TOMLDecodeError:
        return  # it only looks like a key, as a line inside a list of texts
    while isinstance(part, dict):
        [(key, part)] = cast("dict[str, Any]", part).items()
        yield key


def _finding(problem: Any, places: dict[tuple[str, ...], _Place], file: str) -> Finding:
    location = tuple(str(part) for part in problem["loc"])
    place = next(
        (places[location[:length]] for length in range(len(location), 0, -1) if location[:length] in places),
        _Place(0, 0),
    )
    path = ".".join(location)
    if problem["type"] == "extra_forbidden":
        known = _keys_at(location[:-1])
        close = difflib.get_close_matches(location[-1], known, n=1)
        if len(location) > 1 and location[-1] in _keys_at(()):
            fix = f"{location[-1]!r} belongs to the top: write it before the first [table]"
        else:
            fix = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
        message, rule = f"unknown key {path!r}", "unknown-key"
    else:
        fix, rule = "", "value"
        reason = _IN_WORDS.get(problem["type"]) or str(problem["msg"]).removeprefix("Value error, ")
        message = f"{path}: {reason}" if path else reason
    return Finding(message, file, place.line, place.column, rule=rule, path=path, fix=fix)


def _keys_at(location: Sequence[str]) -> list[str]:
    model: type[BaseModel] = Settings
    is_of_many = False
    for key in location:
        if is_of_many:
            is_of_many = False
            continue
        field = next((field for field in model.model_fields.values() if field.alias == key), None)
        inner = field and next(
            (
                kind
                for kind in (field.annotation, *get_args(field.annotation))
                if isinstance(kind, type) and issubclass(kind, BaseModel)
            ),
            None,
        )
        if field is None or inner is None:
            return []
        model, is_of_many = inner, get_origin(field.annotation) in (tuple, dict)
    if is_of_many:
        return []
    return sorted(field.alias or name for name, field in model.model_fields.items())
