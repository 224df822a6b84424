"""Pieces of a manifest as YAML text, for what is written by hand and not dumped: it has comments."""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from ostler.model.json import JsonMapping, JsonValue

MAX_DESCRIPTION = 200
"""Characters of a description that are taken over."""

_WORDS_OF_YAML = frozenset({"y", "yes", "n", "no", "on", "off", "true", "false", "null"})


def reference(name: str) -> str:
    """Return the template that stands for `name`."""
    return f"{{{{ {name} }}}}"


def yaml_key(name: str) -> str:
    """Return `name` as a key of YAML."""
    return (
        name
        if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", name) and name.lower() not in _WORDS_OF_YAML
        else json.dumps(name)
    )


def scalar(value: JsonValue) -> str:
    """Return a value as YAML on one line: words as they are, all else as JSON."""
    if (
        isinstance(value, str)
        and re.fullmatch(r"[A-Za-z][A-Za-z0-9_/-]*", value)
        and value.lower() not in _WORDS_OF_YAML
    ):
        return value
    return json.dumps(value, ensure_ascii=False)


def flow(value: JsonValue) -> str:
    """Return a value as YAML on one line that reads back as the same value: JSON, with plain keys where they can be."""
    if isinstance(value, Mapping):
        pairs = (f"{yaml_key(key)}: {flow(item)}" for key, item in cast("JsonMapping", value).items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, cast("list[JsonValue]", value))) + "]"
    return json.dumps(value, ensure_ascii=False)


def quoted(text: str) -> str:
    """Return `text` in single quotes, as YAML takes expressions best."""
    return "'" + text.replace("'", "''") + "'"


def shortened(text: str) -> str:
    """Return a text for people, cut at a word when it is long."""
    return text if len(text) <= MAX_DESCRIPTION else text[: MAX_DESCRIPTION - 1].rsplit(" ", 1)[0] + "…"


def wrapped(lines: Sequence[str]) -> Iterator[str]:
    """Yield comment lines, wrapped with their own indentation."""
    for line in lines:
        prefix = line[: len(line) - len(line.lstrip(" #"))]
        yield from textwrap.wrap(line, 118, subsequent_indent=prefix, break_long_words=False) or [line]
