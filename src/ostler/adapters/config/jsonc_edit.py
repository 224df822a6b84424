"""Changes to one member of a JSON text with comments; every other character of the text stays as it is."""

import json
import re
from typing import Final, cast

from ostler.adapters.config.jsonc import JsoncDocument, parse_jsonc
from ostler.model.json import JsonObject, JsonValue, KeyPath

_REST_OF_LINE: Final = re.compile(r"[ \t]*(?://[^\n]*|/\*[^\n]*?\*/[ \t]*)?(?=\r?\n|$)")
_UNIT: Final = re.compile(r"\n([ \t]+)\S")


def set_member(text: str, path: KeyPath, value: JsonValue, file: str = "") -> str:
    """Return `text` with the member at `path` set to `value`; objects on the way are made.

    A member that says `value` already stays as it is written. `file` is the text's name, as for `parse_jsonc`.

    Raises:
        JsoncError: the text is not JSON.
        ValueError: something on the way is not an object.
    """
    if not text.strip("\ufeff \t\r\n"):
        for key in reversed(path):
            value = {cast("str", key): value}
        return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    document = parse_jsonc(text, file)
    if path in document.spans:
        start, end = document.spans[path]
        if _value_at(document.value, path) == value:
            return text
        return text[:start] + _written(value, _indent_at(text, start), _unit(text)) + text[end:]
    depth = len(path)
    while depth and path[:depth] not in document.spans:
        depth -= 1
    for key in reversed(path[depth + 1 :]):
        value = {cast("str", key): value}
    return _insert(document, path[:depth], cast("str", path[depth]), value)


def remove_member(text: str, path: KeyPath, *, with_empty: bool = False, file: str = "") -> str:
    """Return `text` without the member at `path`, also if it is written twice; unchanged if there is none.

    Args:
        text: JSON, maybe with comments.
        path: of the member.
        with_empty: the objects that it was in are removed, too, where nothing is left in them, not even a comment.
        file: its name, as for `parse_jsonc`.

    Raises:
        JsoncError: the text is not JSON.
    """
    document = parse_jsonc(text, file)
    while path in document.spans:  # of a member that is written twice, the last one
        text = _without(document, path)
        document = parse_jsonc(text, file)
        while with_empty and len(path) > 1 and not _has_content(document, path[:-1]):
            path = path[:-1]
            text = _without(document, path)
            document = parse_jsonc(text, file)
    return text


def _has_content(document: JsoncDocument, path: KeyPath) -> bool:
    start, end = document.spans[path]
    return bool(document.text[start + 1 : end - 1].strip())


def _without(document: JsoncDocument, path: KeyPath) -> str:
    text, container = document.text, path[:-1]
    start, end = document.positions[path], document.spans[path][1]
    behind = _comma_in(text, end, document.spans[container][1])
    ends = [span[1] for one, span in document.spans.items() if one[:-1] == container and one and span[1] <= start]
    if behind is not None and not text[end : behind.end() - 1].strip():
        end = behind.end()
    elif behind is not None:  # behind a comment, which stays
        text = text[: behind.end() - 1] + text[behind.end() :]
    elif ends and (before := _comma_in(text, max(ends), start)) is not None:
        place = before.end() - 1
        if text[before.end() : start].strip():  # a comment of the member before, which stays
            text, start, end = text[:place] + text[place + 1 :], start - 1, end - 1
        else:
            start = place
    line_start = text.rfind("\n", 0, start) + 1
    rest = _REST_OF_LINE.match(text, end)
    if not text[line_start:start].strip() and rest is not None and line_start:
        newline = text.find("\n", rest.end())
        return text[:line_start] + (text[newline + 1 :] if newline >= 0 else "")
    return text[:start] + text[end:]


def _comma_in(text: str, start: int, end: int) -> re.Match[str] | None:
    """Return the comma that comes next, with the comments before it."""
    return re.compile(r"(?:\s|//[^\n]*|/\*.*?\*/)*,", re.DOTALL).match(text, start, end)


def _value_at(value: JsonValue, path: KeyPath) -> JsonValue:
    for key in path:
        value = cast("JsonObject", value)[cast("str", key)]
    return value


def _insert(document: JsoncDocument, container: KeyPath, key: str, value: JsonValue) -> str:
    text = document.text
    start, end = document.spans[container]
    if text[start:end] == "null":
        return text[:start] + _written({key: value}, _indent_at(text, start), _unit(text)) + text[end:]
    if text[start] != "{":
        raise ValueError(f"{'.'.join(map(str, container)) or 'the file'} is not an object")
    unit = _unit(text)
    members = [path for path in document.spans if len(path) == len(container) + 1 and path[:-1] == container]
    outer = _indent_at(text, start)
    if not members:
        inner = outer + unit
        member = f"{json.dumps(key, ensure_ascii=False)}: {_written(value, inner, unit)}"
        comments = text[start + 1 : end - 1].rstrip()
        return f"{text[: start + 1]}{comments}\n{inner}{member}\n{outer}{text[end - 1 :]}"
    last = max(members, key=lambda path: document.spans[path][1])
    at = document.spans[last][1]
    one_line = "\n" not in text[start:end]
    inner = " " if one_line else _indent_at(text, document.positions[last])
    member = f"{json.dumps(key, ensure_ascii=False)}: {_written(value, inner, '' if one_line else unit)}"
    comma = _comma_in(text, at, end)
    if one_line:
        return f"{text[:at]}, {member}{text[at:] if comma is None else text[comma.end() :]}"
    after = comma.end() if comma is not None else at
    rest = _REST_OF_LINE.match(text, after)
    line_end = rest.end() if rest is not None else after
    head = text[:at] + ("," if comma is None else text[at:after])
    return f"{head}{text[after:line_end]}\n{inner}{member}{'' if comma is None else ','}{text[line_end:]}"


def _written(value: JsonValue, indent: str, unit: str) -> str:
    if not unit:
        return json.dumps(value, ensure_ascii=False)
    lines = json.dumps(value, indent=unit, ensure_ascii=False)
    short = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict) and len(short) <= 100:
        return short
    if isinstance(value, dict):
        inner = [
            f"{indent}{unit}{json.dumps(key, ensure_ascii=False)}: {_written(item, indent + unit, unit)}"
            for key, item in cast("JsonObject", value).items()
        ]
        return "{\n" + ",\n".join(inner) + f"\n{indent}}}" if inner else "{}"
    return lines.replace("\n", f"\n{indent}")


def _indent_at(text: str, offset: int) -> str:
    line = text[text.rfind("\n", 0, offset) + 1 : offset]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _unit(text: str) -> str:
    match = _UNIT.search(text)
    return match[1] if match else "  "
