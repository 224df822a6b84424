"""Pieces of a manifest as YAML text, for manifests with comments, which cannot be dumped."""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from ostler.model.json import JsonMapping, JsonValue

MAX_DESCRIPTION = 200
"""Characters of a description that are kept."""

_WORDS_OF_YAML = frozenset({"y", "yes", "n", "no", "on", "off", "true", "false", "null"})


_UNWRITABLE = re.compile(r"[\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")
"""What JSON may hold as it is and YAML may not (YAML 1.2, section 5.1)."""


def _json(value: JsonValue) -> str:
    """Return a value as JSON that YAML reads as the same value; half of a surrogate pair becomes U+FFFD."""
    text = json.dumps(value, ensure_ascii=False)
    return _UNWRITABLE.sub(lambda found: f"\\u{_writable(ord(found[0])):04x}", text)


def _writable(code: int) -> int:
    return 0xFFFD if 0xD800 <= code <= 0xDFFF else code


def reference(name: str) -> str:
    """Return the template that stands for `name`."""
    return f"{{{{ {name} }}}}"


def yaml_key(name: str) -> str:
    """Return `name` as a key of YAML."""
    return (
        name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", name) and name.lower() not in _WORDS_OF_YAML else _json(name)
    )


def scalar(value: JsonValue) -> str:
    """Return a value as YAML on one line: words as they are, all else as JSON."""
    if (
        isinstance(value, str)
        and re.fullmatch(r"[A-Za-z][A-Za-z0-9_/-]*", value)
        and value.lower() not in _WORDS_OF_YAML
    ):
        return value
    return _json(value)


def flow(value: JsonValue) -> str:
    """Return a value as YAML on one line that reads back as the same value: JSON, with plain keys if they can be."""
    if isinstance(value, Mapping):
        pairs = (f"{yaml_key(key)}: {flow(item)}" for key, item in cast("JsonMapping", value).items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, cast("list[JsonValue]", value))) + "]"
    return _json(value)


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
