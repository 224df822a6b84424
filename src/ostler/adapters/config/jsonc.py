"""JSON with `//` and `/* */` comments and trailing commas, as editors write it, keeping every key's line and column."""

import json
import re
from dataclasses import dataclass, field

from ostler.model.errors import Finding
from ostler.model.json import JsonObject, JsonValue, KeyPath
from ostler.model.late_patterns import late_pattern

_SPACE = late_pattern(r"[ \t\r\n\ufeff]+|//[^\n]*|/\*.*?\*/", re.DOTALL)
_MAX_DEPTH = 64
_JSON5 = (".json5", "openclaw.json")
"""How the names of files end that are written in JSON5."""

_NAME = late_pattern(r"[A-Za-z_$][\w$]*")
_SINGLE_QUOTED = late_pattern(r"'((?:[^'\\\n]|\\.)*)'")
_ESCAPED = late_pattern(r"(?:\\u[0-9a-fA-F]{4})+|\\.")


class JsoncError(ValueError):
    """The text is not JSON. `finding` has the line and column."""

    def __init__(self, finding: Finding) -> None:
        self.finding = finding
        super().__init__(str(finding))


@dataclass(frozen=True, slots=True)
class JsoncDocument:
    """A parsed document.

    Attributes:
        value: the document's value.
        positions: for every key path the offset of its key (for array items: of the value).
        spans: for every key path the offsets between which its value stands.
        duplicates: key paths that were written more than once; the last one won.
    """

    value: JsonValue
    text: str = field(repr=False)
    positions: dict[KeyPath, int] = field(repr=False)
    duplicates: tuple[KeyPath, ...] = ()
    spans: dict[KeyPath, tuple[int, int]] = field(default_factory=dict[KeyPath, tuple[int, int]], repr=False)

    def locate(self, path: KeyPath) -> tuple[int, int]:
        """Return the 1-based line and column of `path`, or of its nearest parent that exists."""
        while path and path not in self.positions:
            path = path[:-1]
        return line_and_column(self.text, self.positions.get(path, 0))


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    """Return the 1-based line and column of `offset`."""
    start = text.rfind("\n", 0, offset) + 1
    return text.count("\n", 0, offset) + 1, offset - start + 1


def parse_jsonc(text: str, file: str = "") -> JsoncDocument:
    """Parse `text`.

    Args:
        text: JSON, with comments and trailing commas.
        file: its name in findings. If that is one of JSON5, keys may be without quotes, and texts in single quotes.

    Raises:
        JsoncError: it is not written like that.
    """
    parser = _Parser(text, file)
    value = parser.document()
    return JsoncDocument(value, text, parser.positions, tuple(parser.duplicates), parser.spans)


class _Parser:
    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file
        self._is_json5 = file.endswith(_JSON5)
        self._at = 0
        self._decoder = json.JSONDecoder()
        self.positions: dict[KeyPath, int] = {}
        self.duplicates: list[KeyPath] = []
        self.spans: dict[KeyPath, tuple[int, int]] = {}

    def document(self) -> JsonValue:
        self._skip()
        value = self._value(())
        self._skip()
        if self._at < len(self._text):
            raise self._error("there is text after the end of the JSON value")
        return value

    def _value(self, path: KeyPath) -> JsonValue:
        start = self._at
        value = self._any_value(path)
        self.spans[path] = (start, self._at)
        return value

    def _any_value(self, path: KeyPath) -> JsonValue:
        if len(path) > _MAX_DEPTH:
            raise self._error(f"the document is nested more than {_MAX_DEPTH} levels deep")
        match self._text[self._at : self._at + 1]:
            case "{":
                return self._object(path)
            case "[":
                return self._array(path)
            case "":
                raise self._error("the document ends where a value should be")
            case _:
                return self._scalar()

    def _object(self, path: KeyPath) -> JsonObject:
        start = self._at
        found: JsonObject = {}
        self._advance()
        while not self._closed("}", start):
            at = self._at
            key = self._key()
            self._skip()
            if self._text[self._at : self._at + 1] != ":":
                raise self._error(f"a ':' should follow the key {key!r}")
            self._advance()
            child = (*path, key)
            if key in found:
                self.duplicates.append(child)
            self.positions[child] = at
            found[key] = self._value(child)
            self._comma("}")
        return found

    def _array(self, path: KeyPath) -> list[JsonValue]:
        start = self._at
        found: list[JsonValue] = []
        self._advance()
        while not self._closed("]", start):
            child = (*path, len(found))
            self.positions[child] = self._at
            found.append(self._value(child))
            self._comma("]")
        return found

    def _key(self) -> str:
        if self._is_json5 and (name := _NAME.match(self._text, self._at)):
            self._at = name.end()
            return name[0]
        if self._text[self._at] != '"' and not (self._is_json5 and self._text[self._at] == "'"):
            raise self._error("a key in double quotes should be here")
        return str(self._scalar())

    def _scalar(self) -> JsonValue:
        if self._is_json5 and (text := _SINGLE_QUOTED.match(self._text, self._at)):
            self._at = text.end()
            return _ESCAPED.sub(_unescaped, text[1])
        try:
            value, self._at = self._decoder.raw_decode(self._text, self._at)
        except json.JSONDecodeError as error:
            self._at = error.pos
            reason = error.msg[:1].lower() + error.msg[1:]
            raise self._error(f"not valid JSON: {reason}") from None
        return value

    def _closed(self, bracket: str, start: int) -> bool:
        if self._at >= len(self._text):
            line, column = line_and_column(self._text, start)
            raise self._error(f"a '{bracket}' is missing for the bracket opened at {line}:{column}")
        if self._text[self._at] != bracket:
            return False
        self._at += 1
        return True

    def _comma(self, bracket: str) -> None:
        self._skip()
        if self._at >= len(self._text) or self._text[self._at] == bracket:
            return
        if self._text[self._at] != ",":
            raise self._error(f"a ',' or '{bracket}' should be here")
        self._advance()

    def _advance(self) -> None:
        self._at += 1
        self._skip()

    def _skip(self) -> None:
        while match := _SPACE.match(self._text, self._at):
            self._at = match.end()

    def _error(self, message: str) -> JsoncError:
        line, column = line_and_column(self._text, min(self._at, len(self._text)))
        return JsoncError(Finding(message, file=self._file, line=line, column=column, rule="json-syntax"))


def _unescaped(escape: re.Match[str]) -> str:
    """Return what an escape, or several of UTF-16, stand for; in JSON5 any other character stands for itself."""
    try:
        return str(json.loads(f'"{escape[0]}"'))
    except ValueError:
        return escape[0][1:]
