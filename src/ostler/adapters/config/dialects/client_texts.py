"""The text of a client's configuration file: read within bounds, and parsed as JSON with comments, TOML or YAML."""

import errno
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Final

from ostler.adapters.config.jsonc import JsoncError, parse_jsonc
from ostler.adapters.regular_files import read_regular, stamp_of
from ostler.model.errors import Finding
from ostler.model.json import JsonObject, JsonValue, KeyPath, as_list, as_object
from ostler.rules.text.yaml_source import read_documents

MAX_BYTES: Final = 4 * 1024 * 1024
"""The largest file that is read."""

_READINGS: Final = 3
_BOMS: Final = ((b"\xff\xfe\x00\x00", "utf-32"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


class SourceError(ValueError):
    """The file cannot be read or parsed. `finding` says why."""

    def __init__(self, finding: Finding) -> None:
        self.finding = finding
        super().__init__(str(finding))


@dataclass(frozen=True, slots=True)
class Source:
    """A parsed file.

    Attributes:
        value: what it holds.
        file: its name in findings.
        locate: returns the line and column of a key path, or of its nearest parent that exists.
        duplicates: key paths that were written more than once; the last one won.
    """

    value: JsonValue
    file: str
    locate: Callable[[KeyPath], tuple[int, int]] = field(repr=False)
    duplicates: tuple[KeyPath, ...] = ()


def said_in(source: Source) -> JsonObject:
    """Return what a file says; Qwen Code's `tools.core`, unlike Gemini CLI's, is about its own tools alone."""
    root = as_object(source.value)
    tools = as_object(root.get("tools"))
    if PurePath(source.file).parent.name == ".qwen" and tools:
        return {**root, "tools": {key: value for key, value in tools.items() if key != "core"}}
    return root


def read_text(path: Path, file: str) -> str:
    """Return the text of `path`: a regular file of bounded size that does not change while it is read.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        for _ in range(_READINGS):
            before = stamp_of(path)
            data = read_regular(path, MAX_BYTES)
            if before is not None and before == stamp_of(path) and before.size == len(data):
                break
        else:
            raise SourceError(Finding("the file changes while it is read; try again", file=file, rule="unreadable"))
        encoding = next((name for mark, name in _BOMS if data.startswith(mark)), "utf-8-sig")
        return data.decode(encoding)
    except OSError as error:
        reason = error.strerror or str(error)
        rule = "too-large" if error.errno == errno.EFBIG else "unreadable"
        raise SourceError(Finding(f"the file cannot be read: {reason}", file=file, rule=rule)) from None
    except UnicodeDecodeError:
        message = "the file cannot be read: it is not UTF-8 text"
        raise SourceError(Finding(message, file=file, rule="unreadable")) from None


def read_source(path: Path, file: str = "") -> Source:
    """Return what a file holds, nothing for an empty one.

    Args:
        path: the file.
        file: its name in findings; default: the path.

    Raises:
        SourceError: it cannot be read, or is not written as it must be.
    """
    file = file or str(path)
    return parse_source(read_text(path, file), file)


def parse_source(text: str, file: str) -> Source:
    """Return what `text` holds, in the format that the name `file` ends with; JSON with comments by default.

    Raises:
        SourceError: it is not written as it must be.
    """
    text = text.removeprefix("\ufeff")
    if not text.strip():
        return Source({}, file, lambda _: (1, 1))
    if file.endswith(".toml"):
        return _toml(text, file)
    if file.endswith((".yaml", ".yml")):
        return _yaml(text, file)
    try:
        document = parse_jsonc(text, file)
    except JsoncError as error:
        raise SourceError(error.finding) from None
    return Source(document.value, file, document.locate, document.duplicates)


def _toml(text: str, file: str) -> Source:
    from ostler.rules.text.toml_source import TomlError, key_places, parse_toml  # noqa: PLC0415 (of few clients)

    try:
        value = parse_toml(text)
    except TomlError as error:
        message, (line, column) = f"not valid TOML: {error}", error.place
        raise SourceError(Finding(message, file=file, line=line, column=column, rule="toml-syntax")) from None
    places = key_places(text)
    return Source(value, file, lambda path: places.nearest(path, default=(1, 1)))


def _yaml(text: str, file: str) -> Source:
    documents, findings = read_documents(text, file)
    if findings:
        raise SourceError(findings[0])
    if not documents:
        return Source({}, file, lambda _: (1, 1))
    document = documents[0]
    return Source(document.value, file, document.locate_key)


def with_values(value: JsonValue, variables: Mapping[str, str]) -> JsonValue:
    """Return a value with `$NAME` and `${NAME}` replaced in all of its texts."""
    if isinstance(value, str):
        for name, text in variables.items():
            value = re.sub(rf"\$\{{{re.escape(name)}\}}|\${re.escape(name)}(?!\w)", lambda _, text=text: text, value)
        return value
    if isinstance(value, list):
        return [with_values(item, variables) for item in as_list(value)]
    fields = as_object(value)
    return {name: with_values(item, variables) for name, item in fields.items()} if fields else value
