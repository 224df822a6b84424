"""YAML and JSON text as values with their places.

The YAML 1.2 core schema is used: `yes`, `no`, `on`, `off`, `1:30`, `1_000` and dates are text, as written. What
the two versions of YAML read differently as numbers (`010`) is refused with an explanation, and so are duplicate
keys, merge keys, own tags and values that JSON cannot hold. Keys are always text, as written.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import yaml
from yaml.reader import Reader

from ostler.model.errors import Finding, ManifestError
from ostler.model.json import JsonMapping, JsonValue, KeyPath
from ostler.rules.text.yaml_nodes import MAX_KEY, QUOTE_TEMPLATE, Node, NodeBuilder, UnreadableTextError
from ostler.rules.text.yaml_numbers import plain_number

MAX_TEXT = 1_048_576
"""The largest text that is read, in characters."""

_SURROGATES = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file.

    Attributes:
        value: the document as JSON.
        file: the file's path as the user knows it.
        text: the document's own text.
        line: the 1-based line of the file at which `text` begins.
    """

    value: JsonValue
    file: str
    text: str = field(repr=False)
    line: int
    _root: list[Node] = field(default_factory=list[Node], repr=False, compare=False)
    """The value with its places; without it, `text`, all of a file, is read when a place is first asked for."""

    @property
    def _node(self) -> Node:
        if not self._root:
            builder = NodeBuilder(self.file)
            builder.read(_as_yaml(self.text, self.file))
            self._root.extend(builder.roots)
        return self._root[0]

    def locate(self, path: Sequence[str | int]) -> tuple[int, int]:
        """Return the 1-based line and column of the value at `path`, or of its nearest ancestor that exists."""
        node = self._nearest(path)[0]
        return node.line + 1, node.column + 1

    def locate_key(self, path: Sequence[str | int]) -> tuple[int, int]:
        """Return the line and column of the key that ends `path`, or of the nearest ancestor's key."""
        node, depth = self._nearest(path[:-1])
        if depth == len(path) - 1 and path and (place := (node.keys or {}).get(str(path[-1]))):
            return place[0] + 1, place[1] + 1
        return self.locate_key(path[:-1]) if path else self.locate(())

    def locate_line(self, path: Sequence[str | int], line: int) -> tuple[int, int]:
        """Return where the 1-based `line` of the text value at `path` is in the file.

        Exact for block text (`|`); otherwise the place where the value begins.
        """
        node, depth = self._nearest(path)
        if depth == len(path) and node.literal:
            return node.line + 1 + line, 1
        return node.line + 1, node.column + 1

    def unquoted_over_lines(self) -> Iterator[tuple[KeyPath, str]]:
        """Yield the (path, text) of each unquoted text of several lines, as it was written."""
        lines = self.text.splitlines()
        for path, node in _leaves(self._node, ()):
            if node.last_line > node.line:
                first = node.line + 1 - self.line
                yield path, "\n".join(lines[first : node.last_line + 2 - self.line])

    def rewritten_numbers(self) -> Iterator[tuple[KeyPath, str, str]]:
        """Yield each number that is another text when it is written again (`3.10`): path, as written, and again."""
        for path, node in _leaves(self._node, ()):
            if node.written:
                yield path, node.written, plain_number(node.value)

    def _nearest(self, path: Sequence[str | int]) -> tuple[Node, int]:
        node = self._node
        for depth, key in enumerate(path):
            child = node.child(key)
            if child is None:
                return node, depth
            node = child
        return node, len(path)


def with_value(document: Document, value: JsonValue, origins: Mapping[KeyPath, KeyPath]) -> Document:
    """Return `document` with another value made from its own, each part at the place of what it was made from.

    Args:
        document: the document as read.
        value: its new value.
        origins: where a part of `value` stood in the document, for those that moved; what is below one moved with it.
    """

    def made(part: JsonValue, path: KeyPath, origin: KeyPath) -> Node:
        origin = origins.get(path, origin)
        line, column = document.locate(origin)
        is_literal = isinstance(part, str) and document.locate_line(origin, 1)[0] != line
        built = Node(part, line - 1, column - 1, literal=is_literal)
        if isinstance(part, Mapping):
            children: dict[str, Node] = {}
            keys: dict[str, tuple[int, int]] = {}
            for key, item in cast("JsonMapping", part).items():
                children[key] = made(item, (*path, key), (*origin, key))
                line, column = document.locate_key(origins.get((*path, key), (*origin, key)))
                keys[key] = (line - 1, column - 1)
            built.children, built.keys = children, keys
        elif isinstance(part, list):
            items = enumerate(cast("list[JsonValue]", part))
            built.children = [made(item, (*path, index), (*origin, index)) for index, item in items]
        return built

    return Document(value, document.file, document.text, document.line, [made(value, (), ())])


def _leaves(node: Node, path: KeyPath) -> Iterator[tuple[KeyPath, Node]]:
    if isinstance(node.children, dict):
        for key, child in node.children.items():
            yield from _leaves(child, (*path, key))
    elif node.children:
        for index, child in enumerate(node.children):
            yield from _leaves(child, (*path, index))
    else:
        yield path, node


def load_documents(text: str, file: str = "<text>") -> list[Document]:
    """Return the documents in `text`, YAML or JSON; empty documents are left out.

    Args:
        text: one or several documents, separated by `---`.
        file: the path that findings and documents carry.

    Raises:
        ManifestError: syntax, duplicate keys, ambiguous numbers, own tags, too large; all problems that can be
            found are listed, with line and column.
    """
    documents, findings = read_documents(text, file)
    if findings:
        raise ManifestError(findings, what=file)
    return documents


def read_documents(text: str, file: str = "<text>") -> tuple[list[Document], list[Finding]]:
    """Return every document that can be read, and what is wrong; `load_documents` without raising."""
    if len(text) > MAX_TEXT:
        message = f"the file has {len(text)} characters, more than the {MAX_TEXT} that are read"
        return [], [Finding(message, file, rule="too-large")]
    source = _as_yaml(text.removeprefix("\ufeff"), file)
    builder = NodeBuilder(file)
    try:
        builder.read(source)
    except yaml.YAMLError as error:
        builder.findings.append(_syntax_finding(error, source, file))
    except UnreadableTextError as error:
        builder.findings.append(error.finding)
    except (ValueError, RecursionError) as error:  # libyaml's wrapper: text it cannot encode, nesting it cannot follow
        builder.findings.append(Finding(f"the text cannot be read: {error}", file, rule="yaml-syntax"))
    lines = source.splitlines(keepends=True)
    starts = builder.starts
    documents: list[Document] = []
    for index, (start, root) in enumerate(zip(starts, builder.roots, strict=False)):
        if root.value is None:
            continue
        first = 0 if index == 0 else start
        end = starts[index + 1] if index + 1 < len(starts) else len(lines)
        while end > first and lines[end - 1].startswith(("---", "...")):
            end -= 1
        own = "".join(lines[first:end])
        documents.append(Document(root.value, file, own, first + 1, [root]))
    return documents, builder.findings


def _as_yaml(text: str, file: str) -> str:
    """Return JSON text in the form that a YAML 1.1 scanner reads alike; other text as it is."""
    if not (file.endswith(".json") or text.lstrip().startswith(("{\n", "{\r", "{\t", '{"', "{ "))):
        return text

    def joined(match: re.Match[str]) -> str:
        high, low = int(match[2], 16), int(match[3], 16)
        return match[1] + chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))

    # JSON strings cannot hold a raw tab, so every tab is indentation, which YAML refuses.
    return _SURROGATES.sub(joined, text.replace("\t", " "))


def _syntax_finding(error: yaml.YAMLError, source: str, file: str) -> Finding:
    if not isinstance(error, yaml.MarkedYAMLError):
        odd = Reader.NON_PRINTABLE.search(source)
        before = source[: odd.start()] if odd else ""
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        message = f"the text is not YAML: {str(error).splitlines()[0]}"
        fix = f"remove the character {odd[0]!r}, or write it as an escape in double quotes" if odd else ""
        return Finding(message, file, line, column, "yaml-syntax", fix=fix)
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark else (-1, -1)
    parts = [part for part in (error.problem, error.context) if part]
    message = "the text is not YAML: " + " ".join(parts)
    lines = source.splitlines()
    nearby = "".join(lines[max(0, line - 1) : line + 1])
    fix = ""
    if re.search(r":\s+\{\{|-\s+\{\{", nearby):
        fix = QUOTE_TEMPLATE
    elif column > MAX_KEY and 0 <= line < len(lines) and lines[line][column : column + 1] == ":":
        fix = f"a key may have at most {MAX_KEY} characters"
    elif "\\t" in message or (0 <= line < len(lines) and lines[line].startswith("\t")):
        fix = "indent with spaces, not tabs"
    return Finding(message, file, line + 1, column + 1, "yaml-syntax", fix=fix)
