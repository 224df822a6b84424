"""Where a value of one recorded call came from: an argument of an earlier one, or a place in its answer."""

import re
from collections.abc import Iterator, Mapping
from typing import cast

from msgspec import Struct

from ostler.model.json import JsonMapping, JsonValue
from ostler.rules.answers.queries import key_expression
from ostler.rules.templates.template import is_template

_SHORTEST = 3
"""The fewest characters of a value that is looked for inside of texts."""

_PLAIN = re.compile(r"[A-Za-z_]\w*")
_CONTEXT = re.compile(r"((?:[^\W\d_]+\W{1,3}){1,3})$")


class Source(Struct, frozen=True):
    """A value that templates can name.

    Attributes:
        value: the value as it was.
        expression: what a template calls it, such as `start.pid`.
    """

    value: JsonValue
    expression: str


def path_below(path: str, key: str) -> str:
    """Return the JMESPath of `key` in the value at `path`; "" is the whole answer."""
    name = key_expression(key)
    return f"{path}.{name}" if path else name


def scalars_in(value: JsonValue, path: str = "") -> Iterator[tuple[str, str, JsonValue]]:
    """Yield (JMESPath, last key, value) of every text and number in `value`, outermost first."""
    if isinstance(value, Mapping):
        for key, item in cast("JsonMapping", value).items():
            inner = path_below(path, key)
            if isinstance(item, Mapping | list):
                yield from scalars_in(item, inner)
            elif _is_usable(item):
                yield inner, key, item
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[JsonValue]", value)):
            inner = f"{path}[{index}]"
            if isinstance(item, Mapping | list):
                yield from scalars_in(item, inner)
            elif _is_usable(item):
                yield inner, "item", item


def regex_for(text: str, value: JsonValue, name: str) -> str | None:
    """Return a regular expression that finds `value` in `text` by the words before it; None when it is not there."""
    wanted = str(value)
    found = re.search(rf"(?<![\w.-]){re.escape(wanted)}(?![\w-])", text)
    if found is None:
        return None
    context = _CONTEXT.search(text[: found.start()])
    before = re.escape(context[1]).replace(r"\ ", " ") if context else ""
    group = name if _PLAIN.fullmatch(name) else "value"
    what = r"\d+" if wanted.isdigit() else r"[^\s,;)\"']+"
    return f"{before}(?P<{group}>{what})"


def with_templates(value: JsonValue, sources: list[Source]) -> JsonValue:
    """Return `value` with what came from `sources` replaced by templates, in whole values and inside of texts."""
    for source in sources:
        if type(source.value) is type(value) and source.value == value and value not in ("", None, {}, []):
            return f"{{{{ {source.expression} }}}}"
    if isinstance(value, Mapping):
        return {key: with_templates(item, sources) for key, item in cast("JsonMapping", value).items()}
    if isinstance(value, list):
        return [with_templates(item, sources) for item in cast("list[JsonValue]", value)]
    return _inside(value, sources) if isinstance(value, str) else value


def uses(value: JsonValue, wanted: JsonValue) -> str | None:
    """Return the key under which the arg `value` uses `wanted`, as a whole or inside of a text; None when not."""
    for _, key, item in scalars_in(value if isinstance(value, Mapping | list) else {"value": value}):
        if type(item) is type(wanted) and item == wanted:
            return key
        if isinstance(item, str) and _token(str(wanted)).search(item) and len(str(wanted)) >= _SHORTEST:
            return key
    return None


def literal(text: str) -> str:
    """Return `text` so that a template engine gives it as it is."""
    return re.sub(r"\{\{|\{%|\{#", lambda mark: f"{{{{ '{mark[0]}' }}}}", text) if is_template(text) else text


def _inside(text: str, sources: list[Source]) -> str:
    parts: list[tuple[str, bool]] = [(text, False)]
    for source in sorted(sources, key=lambda source: -len(str(source.value))):
        wanted = str(source.value)
        if isinstance(source.value, bool | list | dict) or len(wanted) < _SHORTEST:
            continue
        split: list[tuple[str, bool]] = []
        for part, done in parts:
            if done:
                split.append((part, True))
                continue
            pieces = _token(wanted).split(part)
            for index, piece in enumerate(pieces):
                if index:
                    split.append((f"{{{{ {source.expression} }}}}", True))
                split.append((piece, False))
        parts = split
    return "".join(part if done else literal(part) for part, done in parts)


def _token(wanted: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w]){re.escape(wanted)}(?![\w])")


def _is_usable(value: JsonValue) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool) and value != ""
