"""What a condition says about names: if it holds, the names that it tests are defined and not null."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from jinja2 import nodes
from msgspec.structs import replace

from ostler.rules.checking.shapes import NULL, Shape, constant

Names: TypeAlias = Mapping[str, Shape]


def narrowed(test: nodes.Node, names: Names, *, holds: bool) -> Names:  # noqa: C901, PLR0911 (one case a test)
    """Return `names` as they are if `test` holds (or does not): tested names are defined and not null."""
    match test:
        case nodes.Not():
            return narrowed(test.node, names, holds=not holds)
        case nodes.And() if holds:
            return narrowed(test.right, narrowed(test.left, names, holds=True), holds=True)
        case nodes.Or() if not holds:
            return narrowed(test.right, narrowed(test.left, names, holds=False), holds=False)
        case nodes.Test(name="defined"):
            return _changed(test.node, names, Shape.there) if holds else names
        case nodes.Test(name="undefined"):
            return names if holds else _changed(test.node, names, Shape.there)
        case nodes.Test(name="none"):
            return _changed(test.node, names, lambda shape: NULL if holds else shape.without_null())
        case nodes.Compare(expr=subject, ops=[nodes.Operand(op=("eq" | "ne") as op, expr=nodes.Const() as constant_)]):
            is_equal = holds is (op == "eq")
            if constant_.value is None:
                return _changed(subject, names, lambda shape: NULL if is_equal else shape.without_null())
            return _changed(subject, names, lambda _: constant(constant_.value)) if is_equal else names
        case nodes.Filter(name="default" | "d" | "length" | "count" | "trim", node=nodes.Node() as subject):
            return _changed(subject, names, Shape.without_null) if holds else names
        case nodes.Name() | nodes.Getattr() | nodes.Getitem():
            return _changed(test, names, Shape.without_null) if holds else names
        case _:
            return names


def _changed(subject: nodes.Node, names: Names, change: Callable[[Shape], Shape]) -> Names:
    """Return `names` with the shape of the dotted name `subject` changed; other expressions change nothing."""
    path: list[str] = []
    node = subject
    while not isinstance(node, nodes.Name):
        match node:
            case nodes.Getattr(node=inner, attr=key):
                path.append(key)
                node = inner
            case nodes.Getitem(node=inner, arg=nodes.Const(value=str() as key)):
                path.append(key)
                node = inner
            case nodes.Filter(name="default" | "d", node=nodes.Node() as inner):
                node = inner
            case _:
                return names
    if node.name not in names:
        return names
    return {**names, node.name: _changed_below(names[node.name], path[::-1], change)}


def _changed_below(shape: Shape, path: Sequence[str], change: Callable[[Shape], Shape]) -> Shape:
    if not path:
        return change(shape)
    if shape.properties is None or path[0] not in shape.properties:
        return shape
    inner = _changed_below(shape.properties[path[0]], path[1:], change)
    return replace(shape.there(), properties={**shape.properties, path[0]: inner})
