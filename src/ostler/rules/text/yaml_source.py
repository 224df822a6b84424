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
from msgspec import Struct
from yaml.reader import Reader

from ostler.model.errors import Finding, ManifestError
from ostler.model.json import JsonMapping, JsonValue, KeyPath
from ostler.rules.text.yaml_numbers import is_number, json_number, plain_number

MAX_TEXT = 1_048_576
"""The largest text that is read, in characters."""

MAX_NODES = 100_000
"""The most values one document may hold once its aliases are expanded."""

MAX_DEPTH = 64
"""The deepest nesting that is read."""

MAX_KEY = 1024
"""The longest key that YAML has, in characters as written."""

_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")
_SURROGATES = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_WORDS: Mapping[str, JsonValue] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_TAG = "tag:yaml.org,2002:"
_QUOTE_TEMPLATE = 'put a value that begins with a template in quotes: "{{ … }}"'


class _Node(Struct):
    """A value with the place where it begins (0-based), and its parts."""

    value: JsonValue
    line: int
    column: int
    size: int = 1
    height: int = 0
    literal: bool = False
    last_line: int = 0
    written: str = ""
    children: dict[str, "_Node"] | Sequence["_Node"] = ()
    keys: dict[str, tuple[int, int]] | None = None

    def child(self, key: str | int) -> "_Node | None":
        if isinstance(self.children, dict):
            return self.children.get(str(key))
        if isinstance(key, int) and 0 <= key < len(self.children):
            return self.children[key]
        return None


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
    _root: list[_Node] = field(default_factory=list[_Node], repr=False, compare=False)
    """The value with its places; without it, `text`, all of a file, is read when a place is first asked for."""

    @property
    def _node(self) -> _Node:
        if not self._root:
            builder = _Builder(self.file)
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

    def _nearest(self, path: Sequence[str | int]) -> tuple[_Node, int]:
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

    def made(part: JsonValue, path: KeyPath, origin: KeyPath) -> _Node:
        origin = origins.get(path, origin)
        line, column = document.locate(origin)
        is_literal = isinstance(part, str) and document.locate_line(origin, 1)[0] != line
        built = _Node(part, line - 1, column - 1, literal=is_literal)
        if isinstance(part, Mapping):
            children: dict[str, _Node] = {}
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


def _leaves(node: _Node, path: KeyPath) -> Iterator[tuple[KeyPath, _Node]]:
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
    builder = _Builder(file)
    try:
        builder.read(source)
    except yaml.YAMLError as error:
        builder.findings.append(_syntax_finding(error, source, file))
    except _Unreadable as error:
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
        fix = _QUOTE_TEMPLATE
    elif column > MAX_KEY and 0 <= line < len(lines) and lines[line][column : column + 1] == ":":
        fix = f"a key may have at most {MAX_KEY} characters"
    elif "\\t" in message or (0 <= line < len(lines) and lines[line].startswith("\t")):
        fix = "indent with spaces, not tabs"
    return Finding(message, file, line + 1, column + 1, "yaml-syntax", fix=fix)


def _place(event: yaml.Event) -> tuple[int, int]:
    mark = event.start_mark
    return (mark.line, mark.column) if mark is not None else (0, 0)


class _Unreadable(Exception):  # noqa: N818 (ends the reading of one text, never leaves this module)
    def __init__(self, finding: Finding) -> None:
        self.finding = finding
        super().__init__(finding.message)


class _Builder:
    """Builds nodes from the scanner's events, counting as it goes so that alias bombs end early."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.findings: list[Finding] = []
        self.roots: list[_Node] = []
        self.starts: list[int] = []
        self._anchors: dict[str, _Node | None] = {}

    def read(self, text: str) -> None:
        events = iter(yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._anchors = {}
                self.starts.append(_place(event)[0] + (1 if event.explicit else 0))
                self.roots.append(self._build(next(events), events, 0))

    def _refuse(self, event: yaml.Event, message: str, *, rule: str, fix: str = "", stop: bool = False) -> None:
        line, column = _place(event)
        finding = Finding(message, self.file, line + 1, column + 1, rule, fix=fix)
        if stop:
            raise _Unreadable(finding)
        self.findings.append(finding)

    def _build(self, event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> _Node:
        if depth > MAX_DEPTH:
            self._refuse(event, f"nested deeper than {MAX_DEPTH} levels", rule="too-large", stop=True)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        anchor = getattr(event, "anchor", None)
        if anchor is not None:
            self._anchors[anchor] = None
        node = _Node(None, *_place(event))
        if isinstance(event, yaml.ScalarEvent):
            self._plain(node, event)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._check_tag(event, "seq")
            self._sequence(node, events, depth)
        elif isinstance(event, yaml.MappingStartEvent):
            self._check_tag(event, "map")
            self._mapping(node, events, depth)
        if node.size > MAX_NODES:
            self._refuse(event, f"holds more than {MAX_NODES} values", rule="too-large", stop=True)
        if anchor is not None:
            self._anchors[anchor] = node
        return node

    def _plain(self, node: _Node, event: yaml.ScalarEvent) -> None:
        node.literal = event.style == "|"
        if not event.style and event.end_mark is not None:
            node.last_line = event.end_mark.line
        node.value = self._scalar(event)
        if type(node.value) in (int, float) and plain_number(node.value) != event.value:
            node.written = str(event.value)

    def _alias(self, event: yaml.AliasEvent, depth: int) -> _Node:
        name = str(event.anchor)
        target = self._anchors.get(name)
        if target is None:
            known = name in self._anchors
            message = f"the alias *{name} contains itself" if known else f"no anchor &{name} comes before this alias"
            line, column = _place(event)
            raise _Unreadable(Finding(message, self.file, line + 1, column + 1, "yaml-syntax"))
        if depth + target.height > MAX_DEPTH:
            self._refuse(event, f"nested deeper than {MAX_DEPTH} levels", rule="too-large", stop=True)
        return target

    def _sequence(self, node: _Node, events: Iterator[yaml.Event], depth: int) -> None:
        children: list[_Node] = []
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            child = self._build(event, events, depth + 1)
            children.append(child)
            self._grow(node, child, event)
        node.children = children
        node.value = [child.value for child in children]

    def _mapping(self, node: _Node, events: Iterator[yaml.Event], depth: int) -> None:
        children: dict[str, _Node] = {}
        keys: dict[str, tuple[int, int]] = {}
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = self._key(event, events, depth)
            child = self._build(next(events), events, depth + 1)
            self._grow(node, child, event)
            if key is None:
                continue
            if key in children:
                message = f"the key {key!r} appears a second time (first in line {keys[key][0] + 1})"
                self._refuse(event, message, rule="duplicate-key", fix="keep one of them")
                continue
            children[key] = child
            keys[key] = _place(event)
        node.children, node.keys = children, keys
        node.value = {key: child.value for key, child in children.items()}

    def _key(self, event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> str | None:
        if isinstance(event, yaml.ScalarEvent):
            if event.value == "<<" and event.implicit[0]:
                self._refuse(
                    event,
                    "merge keys ('<<') are not part of YAML 1.2",
                    rule="yaml-syntax",
                    fix="write the keys out, or use an alias for a whole value",
                )
                return None
            return str(event.value)
        key = self._build(event, events, depth + 1)
        if isinstance(key.value, str):
            return key.value
        is_template = isinstance(event, yaml.MappingStartEvent) and bool(event.flow_style)
        self._refuse(
            event,
            "a key must be text",
            rule="yaml-syntax",
            fix=_QUOTE_TEMPLATE if is_template else "write it in quotes",
        )
        return None

    def _grow(self, node: _Node, child: _Node, event: yaml.Event) -> None:
        node.size += child.size
        node.height = max(node.height, child.height + 1)
        if node.size > MAX_NODES:
            self._refuse(event, f"holds more than {MAX_NODES} values", rule="too-large", stop=True)

    def _check_tag(self, event: yaml.SequenceStartEvent | yaml.MappingStartEvent, kind: str) -> None:
        if event.tag not in (None, "!", _TAG + kind):
            self._refuse_tag(event, str(event.tag))

    def _refuse_tag(self, event: yaml.Event, tag: str) -> None:
        shown = tag.replace(_TAG, "!!")
        self._refuse(event, f"the tag {shown} is not supported", rule="yaml-syntax", fix="write a plain value")

    def _scalar(self, event: yaml.ScalarEvent) -> JsonValue:
        text = str(event.value)
        tag = None if event.tag in (None, "!") else str(event.tag)
        if tag is None:
            return self._resolved(event, text) if event.implicit[0] else text
        kind = tag.removeprefix(_TAG)
        if kind == "str":
            return text
        expected = {"int": int, "float": float, "bool": bool, "null": type(None)}.get(kind)
        if expected is None:
            self._refuse_tag(event, tag)
            return text
        value = self._resolved(event, text)
        if expected is float and type(value) is int:
            return float(value)
        if type(value) is not expected:
            self._refuse(event, f"{text!r} is not a value of !!{kind}", rule="bad-value", fix="remove the tag")
        return value

    def _resolved(self, event: yaml.ScalarEvent, text: str) -> JsonValue:
        if text in _WORDS:
            return _WORDS[text]
        if text[0] not in "+-.0123456789":
            return text
        if _LEADING_ZERO.fullmatch(text):
            self._refuse(
                event,
                f"{text} is ambiguous: YAML 1.1 reads an octal number, YAML 1.2 a decimal one",
                rule="bad-value",
                fix=f'write "{text}" for text, {text.replace("0", "0o", 1)} for octal, '
                "or the number without its leading zero",
            )
            return text
        if not is_number(text):
            return text
        number = json_number(text)
        if number is None:
            self._refuse(
                event, f"{text[:40]} is not a number that JSON can hold", rule="bad-value", fix="write it in quotes"
            )
        return text if number is None else number
