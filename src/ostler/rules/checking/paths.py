"""What a JMESPath expression can find in a shape, and what it can never find."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast

from msgspec import Struct
from msgspec.structs import replace

from ostler.model.errors import ExtractionError
from ostler.model.near_names import did_you_mean
from ostler.rules.answers.extraction import RESULT
from ostler.rules.answers.queries import compile_path
from ostler.rules.checking.shapes import (
    ANY,
    ARRAY,
    BOOLEAN,
    INTEGER,
    NULL,
    NUMBER,
    NUMERIC,
    TEXT,
    Shape,
    constant,
    described,
    list_of,
    union,
    written_list,
    written_object,
)

Node: TypeAlias = Mapping[str, Any]


class Missed(Struct, frozen=True):
    """Something that a path can never find (`is_certain`), or that no schema or recorded answer knows."""

    message: str
    fix: str = ""
    is_certain: bool = True
    rule: str = "unknown-path"

    @property
    def is_near(self) -> bool:
        """Whether something of nearly that name is there."""
        return self.fix.startswith("did you mean")


class Found(Struct, frozen=True):
    """What a path finds in a shape, and what it does not find."""

    shape: Shape
    missed: tuple[Missed, ...] = ()


def find_in_shape(path: str, shape: Shape) -> Found:
    """Return what the expression `path` finds in values of `shape`, as `find_in_response` looks.

    An expression that does not compile finds anything: that it does not compile is reported elsewhere.
    """
    has_result = "object" in shape.kinds and (shape.properties is None or "result" in shape.properties)
    if not has_result and not shape.is_any and (prefix := RESULT.match(path)):
        path = path[prefix.end() :] or "@"
    try:
        tree: Node = compile_path(path).parsed
    except ExtractionError:
        return Found(ANY)
    finder = _Finder()
    found = finder.visit(tree, shape)
    return Found(found, tuple(finder.missed))


class _Finder(Struct):
    missed: list[Missed] = []

    def visit(self, node: Node, shape: Shape) -> Shape:  # noqa: C901, PLR0911 (one case a node)
        """Return what `node` finds in `shape`; null is among the kinds if it may find nothing."""
        children = cast("Sequence[Any]", node.get("children", ()))
        match node["type"]:
            case "identity" | "current":
                return shape
            case "field":
                return self._field(shape, str(node["value"]))
            case "subexpression" | "index_expression" | "pipe":
                for child in children:
                    shape = self.visit(child, shape)
                return shape
            case "index":
                return self._index(shape, int(node["value"]))
            case "slice":
                return shape.only("array", "string") if shape.kinds & {"array", "string"} else NULL
            case "literal":
                return constant(node["value"])
            case "projection":
                return list_of(self.visit(children[1], self._items_of(self.visit(children[0], shape))))
            case "filter_projection":
                items = self._items_of(self.visit(children[0], shape))
                self.visit(children[2], items)
                return list_of(self.visit(children[1], items))
            case "value_projection":
                return self._values(children, shape)
            case "flatten":
                return self._flatten(self.visit(children[0], shape))
            case _:
                return self._made(node, children, shape)

    def _made(self, node: Node, children: Sequence[Any], shape: Shape) -> Shape:  # noqa: PLR0911 (one case a node)
        match node["type"]:
            case "comparator":
                return self._compare(str(node["value"]), self.visit(children[0], shape), self.visit(children[1], shape))
            case "or_expression":
                left = self.visit(children[0], shape)
                return union([left.without_null(), self.visit(children[1], shape)])
            case "and_expression":
                return union([self.visit(child, shape) for child in children])
            case "not_expression":
                self.visit(children[0], shape)
                return BOOLEAN
            case "multi_select_list":
                return written_list([self.visit(child, shape) for child in children])
            case "multi_select_dict":
                return written_object({str(pair["value"]): self.visit(pair["children"][0], shape) for pair in children})
            case "function_expression":
                return self._function(str(node["value"]), children, shape)
            case _:
                return ANY

    def _field(self, owner: Shape, key: str) -> Shape:
        if owner.is_any:
            return ANY
        if "object" not in owner.kinds:
            if not owner.is_only("null"):
                seen = "recorded answers were" if owner.is_seen else "that is"
                self.missed.append(
                    Missed(
                        f"{key!r} is looked up where {seen} {described(owner)}, not an object",
                        "take it with 'regex' or 'template'" if owner.is_only("string") else "",
                        is_certain=not owner.is_seen,
                    )
                )
            return NULL
        if owner.properties is None:
            return ANY
        if key not in owner.properties:
            self._miss(owner, key)
            return NULL if owner.closed else ANY
        found = owner.properties[key]
        is_sure = key in owner.required and owner.is_only("object")
        return found if is_sure or found.is_any else union([found, NULL])

    def _miss(self, owner: Shape, key: str) -> None:
        known = sorted(owner.properties or ())
        listed = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
        where = "recorded answers have" if owner.is_seen else "there is"
        fix = did_you_mean(key, known, f"{where}: {listed or 'nothing'}")
        what = "is in no recorded answer" if owner.is_seen else "is not in the tool's answer"
        self.missed.append(Missed(f"{key!r} {what}", fix, is_certain=owner.closed))

    def _index(self, owner: Shape, index: int) -> Shape:
        if owner.is_any:
            return ANY
        if "array" not in owner.kinds:
            if not owner.is_only("null"):
                self.missed.append(
                    Missed(f"[{index}] is looked up in {described(owner)}, not in a list", is_certain=not owner.is_seen)
                )
            return NULL
        return union([owner.items, NULL]) if owner.items is not None else ANY

    def _items_of(self, owner: Shape) -> Shape:
        if owner.is_any:
            return ANY
        if "array" not in owner.kinds:
            if not owner.is_only("null"):
                self.missed.append(
                    Missed(f"[…] goes over {described(owner)}, not over a list", is_certain=not owner.is_seen)
                )
            return ANY
        return owner.items or ANY

    def _values(self, children: Sequence[Any], shape: Shape) -> Shape:
        owner = self.visit(children[0], shape)
        known = owner.properties if "object" in owner.kinds else None
        return list_of(self.visit(children[1], union(known.values()) if known and owner.closed else ANY))

    def _flatten(self, owner: Shape) -> Shape:
        items = self._items_of(owner)
        if items.is_only("array"):
            return list_of(items.items)
        return list_of(items if "array" not in items.kinds else None)

    def _compare(self, operator: str, left: Shape, right: Shape) -> Shape:
        if operator not in ("eq", "ne") or left.is_any or right.is_any:
            return BOOLEAN
        can = bool(left.kinds & right.kinds) or bool(left.kinds & NUMERIC and right.kinds & NUMERIC)
        if can and left.values is not None and right.values is not None:
            can = any(one == other for one in left.values for other in right.values)
        if can:
            return BOOLEAN
        always = "false" if operator == "eq" else "true"
        close: list[str] = []
        for one, other in ((left, right), (right, left)):
            if one.values is not None and other.values is not None and len(other.values) == 1:
                texts = [str(value) for value in one.values]
                close = close or difflib.get_close_matches(str(other.values[0]), texts, n=1)
        fix = f"did you mean {close[0]!r}?" if close else ""
        message = f"comparing {described(left)} with {described(right)} is always {always}"
        self.missed.append(Missed(message, fix, is_certain=not (left.is_seen or right.is_seen), rule="never-true"))
        return constant(value=operator == "ne")

    def _function(self, name: str, children: Sequence[Any], shape: Shape) -> Shape:
        arguments = [self.visit(child, shape) for child in children if child["type"] != "expref"]
        takes, gives = _FUNCTIONS.get(name, (frozenset[str](), lambda _: ANY))
        if arguments and takes and not arguments[0].is_any and not arguments[0].kinds & takes:
            self.missed.append(
                Missed(
                    f"{name}() does not work on {described(arguments[0])}",
                    is_certain=not arguments[0].is_seen,
                    rule="unknown-path",
                )
            )
        return gives(arguments)


_Gives: TypeAlias = Callable[[Sequence[Shape]], Shape]
_LISTS = frozenset({"array"})


def _to(shape: Shape) -> _Gives:
    return lambda _: shape


def _item(arguments: Sequence[Shape]) -> Shape:
    return (arguments[0].items or ANY) if arguments else ANY


def _first(arguments: Sequence[Shape]) -> Shape:
    return replace(arguments[0], values=None) if arguments else ANY


_FUNCTIONS: Mapping[str, tuple[frozenset[str], _Gives]] = {
    "abs": (NUMERIC, _to(NUMBER)),
    "avg": (_LISTS, _to(NUMBER)),
    "ceil": (NUMERIC, _to(INTEGER)),
    "contains": (frozenset({"array", "string"}), _to(BOOLEAN)),
    "ends_with": (frozenset({"string"}), _to(BOOLEAN)),
    "floor": (NUMERIC, _to(INTEGER)),
    "join": (frozenset({"string"}), _to(TEXT)),
    "keys": (frozenset({"object"}), _to(list_of(TEXT))),
    "length": (frozenset({"array", "string", "object"}), _to(INTEGER)),
    "map": (frozenset(), _to(ARRAY)),
    "max": (_LISTS, _item),
    "max_by": (_LISTS, _item),
    "min": (_LISTS, _item),
    "min_by": (_LISTS, _item),
    "reverse": (frozenset({"array", "string"}), _first),
    "sort": (_LISTS, _first),
    "sort_by": (_LISTS, _first),
    "starts_with": (frozenset({"string"}), _to(BOOLEAN)),
    "sum": (_LISTS, _to(NUMBER)),
    "to_array": (frozenset(), _to(ARRAY)),
    "to_number": (frozenset(), _to(union([NUMBER, NULL]))),
    "to_string": (frozenset(), _to(TEXT)),
    "type": (frozenset(), _to(TEXT)),
    "values": (frozenset({"object"}), _to(ARRAY)),
}
"""JMESPath's functions: what the first argument must be (anything when empty), and what they give."""
