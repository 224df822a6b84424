"""A translated manifest as YAML, with the comments of the original moved along with what they are about."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

import yaml
from msgspec import Struct

from ostler.model.json import JsonMapping, JsonValue, KeyPath
from ostler.rules.loading.manifest_formats import origin_of
from ostler.rules.templates.template import is_template
from ostler.rules.text.yaml_source import Document, read_documents

_AMBIGUOUS = re.compile(r"(?:[-+.\d][-+.:\d_xoa-f]*|~|true|false|null|yes|no|on|off|y|n)$", re.IGNORECASE)
"""Texts that one version of YAML or the other reads as something else."""

_OTHER_BREAKS = re.compile(r"[\r\x85\u2028\u2029\ufeff]")
"""Characters that end a line in YAML, or are taken away, unless they are escaped."""

_FLOW_WIDTH = 60


class _Comment(Struct, frozen=True):
    """A comment: the lines that stand above something, and the one behind it."""

    above: tuple[str, ...] = ()
    behind: str = ""


class _Dumper(yaml.SafeDumper):
    """Lists indented below their key, templates in double quotes, lines as block text, short lists in one line."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        del indentless
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: object) -> bool:
        """Write everything out: `{…}` that stands twice is not the same thing twice."""
        del data
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style: str | None = None
    if is_template(text) or not text or _AMBIGUOUS.match(text) or _OTHER_BREAKS.search(text):
        style = '"'
    if "\n" in text and not _OTHER_BREAKS.search(text):
        style = "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)  # pyright: ignore[reportUnknownMemberType]


def _list(dumper: yaml.SafeDumper, items: Sequence[JsonValue]) -> yaml.SequenceNode:
    short = all(not isinstance(item, list | dict) for item in items) and len(str(items)) <= _FLOW_WIDTH
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=short)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)


def manifest_text(document: Document, origins: Mapping[KeyPath, KeyPath], *, heading: str = "") -> str:
    """Return the value of a translated document as YAML.

    Args:
        document: the translated document; its text is the original.
        origins: where its parts stood in the original, for those that moved.
        heading: a comment for the first line.
    """
    body = yaml.dump(
        document.value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**20, default_flow_style=False
    )
    comments = dict(_comments(document.text))
    last = comments.pop((), _Comment())
    [written], _ = read_documents(body)
    lines = body.splitlines()
    for path in sorted(_paths(written.value), key=lambda path: _line(written, path), reverse=True):
        if (comment := comments.pop(origin_of(path, origins), None)) is None:
            continue
        index = _line(written, path) - 1
        if comment.behind:
            lines[index] += f"  {comment.behind}"
        indent = re.match(r" *", lines[index])
        lines[index:index] = [(indent[0] if indent else "") + text for text in comment.above]
    return "\n".join([*([f"# {heading}"] if heading else []), *lines, *last.above]) + "\n"


def _paths(value: JsonValue, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Yield the path of every key and list item in `value`, outer ones first."""
    parts: Sequence[tuple[str | int, JsonValue]] = []
    if isinstance(value, Mapping):
        parts = list(cast("JsonMapping", value).items())
    elif isinstance(value, list):
        parts = list(enumerate(cast("list[JsonValue]", value)))
    for key, item in parts:
        yield (*path, key)
        yield from _paths(item, (*path, key))


def _line(document: Document, path: KeyPath) -> int:
    """Return the line at which the key or list item begins."""
    return document.locate(path)[0] if isinstance(path[-1], int) else document.locate_key(path)[0]


def _comments(text: str) -> Iterator[tuple[KeyPath, _Comment]]:
    """Yield the comments of a document by the path of what they stand at; those at its end have the path ()."""
    documents, _ = read_documents(text)
    if not documents:
        return
    at_line: dict[int, KeyPath] = {}
    for path in _paths(documents[0].value):
        at_line.setdefault(_line(documents[0], path), path)
    above: list[str] = []
    for number, (is_alone, comment, is_blank) in enumerate(_comment_lines(text), 1):
        if is_alone:
            above.append(comment)
        elif number in at_line and (above or comment):
            yield at_line[number], _Comment(tuple(above), comment)
            above = []
        elif not is_blank:
            above = []
    if above:
        yield (), _Comment(tuple(above))


def _comment_lines(text: str) -> Iterator[tuple[bool, str, bool]]:
    """Yield for each line whether a comment stands alone in it, the comment, and whether the line is empty."""
    covered = bytearray(len(text))
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        start, end = token.start_mark.index, token.end_mark.index
        covered[start:end] = b"\1" * (end - start)
    position = 0
    for line in text.splitlines(keepends=True):
        comment, column = "", line.find("#")
        while column >= 0:
            if not any(covered[position + column : position + len(line.rstrip())]):
                comment = line[column:].rstrip()
                break
            column = line.find("#", column + 1)
        alone = bool(comment) and not line[:column].strip()
        yield alone, comment, not line.strip()
        position += len(line)
