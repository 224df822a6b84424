"""The events of a YAML scanner as nodes: values of the YAML 1.2 core schema, with the places where they begin."""

import re
from collections.abc import Iterator, Mapping, Sequence

import yaml
from msgspec import Struct

from ostler.model.errors import Finding
from ostler.model.json import JsonValue
from ostler.rules.text.yaml_numbers import is_number, json_number, plain_number

MAX_NODES = 100_000
"""The most values one document may hold once its aliases are expanded."""

MAX_DEPTH = 64
"""The deepest nesting that is read."""

MAX_KEY = 1024
"""The longest key that YAML has, in characters as written."""

_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")
_WORDS: Mapping[str, JsonValue] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_TAG = "tag:yaml.org,2002:"
QUOTE_TEMPLATE = 'put a value that begins with a template in quotes: "{{ … }}"'


class Node(Struct):
    """A value with the place where it begins, and its parts.

    Attributes:
        value: as JSON.
        line: 0-based, as is `column`.
        size: how many values it holds, itself included.
        height: how deep its parts are nested.
        literal: it is block text (`|`).
        last_line: the 0-based line where unquoted text of several lines ends; else 0.
        written: a number as it was written, if it is another text when it is written again; else empty.
        children: its parts, by key or in order.
        keys: where its keys stand (0-based line and column).
    """

    value: JsonValue
    line: int
    column: int
    size: int = 1
    height: int = 0
    literal: bool = False
    last_line: int = 0
    written: str = ""
    children: dict[str, "Node"] | Sequence["Node"] = ()
    keys: dict[str, tuple[int, int]] | None = None

    def child(self, key: str | int) -> "Node | None":
        """Return the part at `key`; None if there is none."""
        if isinstance(self.children, dict):
            return self.children.get(str(key))
        if isinstance(key, int) and 0 <= key < len(self.children):
            return self.children[key]
        return None


def _place(event: yaml.Event) -> tuple[int, int]:
    mark = event.start_mark
    return (mark.line, mark.column) if mark is not None else (0, 0)


class UnreadableTextError(Exception):
    """Ends the reading of one text; `finding` says why."""

    def __init__(self, finding: Finding) -> None:
        self.finding = finding
        super().__init__(finding.message)


class NodeBuilder:
    """Builds nodes from the scanner's events, counting as it goes so that alias bombs end early.

    Attributes:
        file: the path that findings carry.
        findings: what is wrong and could be passed over.
        roots: the value of each document.
        starts: the 0-based line at which each document begins.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.findings: list[Finding] = []
        self.roots: list[Node] = []
        self.starts: list[int] = []
        self._anchors: dict[str, Node | None] = {}

    def read(self, text: str) -> None:
        """Build the nodes of every document in `text`.

        Raises:
            UnreadableTextError: it holds too much, or is nested too deeply.
            yaml.YAMLError: it is not YAML.
            ValueError, RecursionError: libyaml cannot encode or follow it.
        """
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
            raise UnreadableTextError(finding)
        self.findings.append(finding)

    def _build(self, event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> Node:
        if depth > MAX_DEPTH:
            self._refuse(event, f"nested deeper than {MAX_DEPTH} levels", rule="too-large", stop=True)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        anchor = getattr(event, "anchor", None)
        if anchor is not None:
            self._anchors[anchor] = None
        node = Node(None, *_place(event))
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

    def _plain(self, node: Node, event: yaml.ScalarEvent) -> None:
        node.literal = event.style == "|"
        if not event.style and event.end_mark is not None:
            node.last_line = event.end_mark.line
        node.value = self._scalar(event)
        if type(node.value) in (int, float) and plain_number(node.value) != event.value:
            node.written = str(event.value)

    def _alias(self, event: yaml.AliasEvent, depth: int) -> Node:
        name = str(event.anchor)
        target = self._anchors.get(name)
        if target is None:
            known = name in self._anchors
            message = f"the alias *{name} contains itself" if known else f"no anchor &{name} comes before this alias"
            line, column = _place(event)
            raise UnreadableTextError(Finding(message, self.file, line + 1, column + 1, "yaml-syntax"))
        if depth + target.height > MAX_DEPTH:
            self._refuse(event, f"nested deeper than {MAX_DEPTH} levels", rule="too-large", stop=True)
        return target

    def _sequence(self, node: Node, events: Iterator[yaml.Event], depth: int) -> None:
        children: list[Node] = []
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            child = self._build(event, events, depth + 1)
            children.append(child)
            self._grow(node, child, event)
        node.children = children
        node.value = [child.value for child in children]

    def _mapping(self, node: Node, events: Iterator[yaml.Event], depth: int) -> None:
        children: dict[str, Node] = {}
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
            fix=QUOTE_TEMPLATE if is_template else "write it in quotes",
        )
        return None

    def _grow(self, node: Node, child: Node, event: yaml.Event) -> None:
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
