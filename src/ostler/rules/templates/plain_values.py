"""Results of templates as JSON or as part of a text, copied with a limit on their size."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from jinja2 import Undefined
from jinja2.exceptions import SecurityError

from ostler.model.json import JsonValue, is_encodable, is_json_number
from ostler.rules.text.work_budget import MAX_MADE, spend

MAX_OUTPUT = 1_048_576
"""The longest text that a template may make, in characters."""

MAX_VALUES = 100_000
"""The most values, nested ones counted, in what a template makes."""

_VALUES_BETWEEN_LOOKS = 256


class TooLargeError(SecurityError):
    """A template would make something beyond the limits."""


def plain_text(value: JsonValue) -> str:
    """Return `value` as it appears inside a text: JSON's spelling, null as nothing, text unquoted."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float | Undefined):
        return str(value)  # raises for what is missing, naming it
    made = to_json(value, characters=MAX_OUTPUT)
    return made if isinstance(made, str) else json.dumps(made, ensure_ascii=False)


def json_text(value: Any, indent: int | None = None) -> str:
    """Return `value` written as JSON, `indent` blanks for each level when it is given.

    Raises:
        UndefinedError, TypeError: as `to_json`.
        TooLargeError: it has too many values, or too many characters.
    """
    made = to_json(value, characters=MAX_OUTPUT)
    if indent is None:
        return json.dumps(made, ensure_ascii=False)
    parts: list[str] = []
    size = 0
    for part in json.JSONEncoder(ensure_ascii=False, indent=indent).iterencode(made):
        size += len(part)
        check_length(size)
        parts.append(part)
    return "".join(parts)


def check_length(length: int) -> None:
    """Refuse to create a text of `length` characters if that is too long.

    Raises:
        TooLargeError: it is.
    """
    if length > MAX_OUTPUT:
        raise TooLargeError(f"makes more than {MAX_OUTPUT} characters")


def to_json(value: Any, *, characters: int = MAX_MADE) -> JsonValue:
    """Return what a template made as JSON: new lists and objects, plain text, no lazy iterators.

    Args:
        value: what it made.
        characters: how many all texts in it may have together.

    Raises:
        UndefinedError: a missing value is in it.
        TooLargeError: it has too many values, or too many characters.
        TypeError: it is something that JSON has not (a function, say).
    """
    return _Copier(characters).copy(value)


class _Copier:
    """Copies one value, counting, because a small template can make a list that holds itself a million times over."""

    def __init__(self, characters: int) -> None:
        self._left = MAX_VALUES
        self._characters = characters
        self._characters_left = characters

    def copy(self, value: Any) -> JsonValue:
        if isinstance(value, int | float) and not is_json_number(value):
            raise TypeError(f"gives {'a number' if isinstance(value, int) else value}, which JSON cannot hold")
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str | Undefined):
            return self._text(value)
        if isinstance(value, Mapping):
            return {self._text(key): self._part(item) for key, item in cast("Mapping[Any, Any]", value).items()}
        if isinstance(value, Iterable):
            return [self._part(item) for item in cast("Iterable[Any]", value)]
        if value is OMIT:
            raise TypeError(
                "has 'omit' within a value; it can only be the whole of an entry: \"{{ x | default(omit) }}\""
            )
        raise TypeError(f"gives a {type(value).__name__}, which is not JSON")

    def _part(self, value: Any) -> JsonValue:
        self._left -= 1
        if self._left < 0:
            raise TooLargeError(f"makes more than {MAX_VALUES} values")
        if self._left % _VALUES_BETWEEN_LOOKS == 0:
            spend()
        return self.copy(value)

    def _text(self, value: object) -> str:
        text = str(value)  # raises for what is missing, naming it
        self._characters_left -= len(text)
        if self._characters_left < 0:
            raise TooLargeError(f"makes more than {self._characters} characters")
        return encodable(text)


def encodable(text: str) -> str:
    """Return `text`, which a template made.

    Raises:
        TypeError: half of a surrogate pair is in it, which nothing can send or store.
    """
    if not is_encodable(text):
        raise TypeError("gives half of a surrogate pair, which is no character")
    return text


class Omitted:
    """What `omit` is: no value. As the whole of an entry of a mapping or list, it leaves the entry out."""

    def __repr__(self) -> str:
        return "omit"


OMIT: Final = Omitted()
