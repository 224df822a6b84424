"""The names that a parsed template requires, and those that are optional."""

from collections.abc import Collection
from typing import TypeAlias

from jinja2 import nodes
from msgspec import Struct

Name: TypeAlias = tuple[str, ...]

_DEFAULTS = frozenset({"default", "d"})
_TESTS = frozenset({"defined", "undefined"})


class References(Struct, frozen=True):
    """The dotted names of one template.

    Attributes:
        required: an error when they are not there.
        optional: used with `default`, or tested with `is defined` somewhere in the template.
    """

    required: frozenset[Name]
    optional: frozenset[Name]


def references_of(tree: nodes.Template, known: Collection[str]) -> References:
    """Return the undeclared names of `tree`; functions in `known` and names set in the template are left out.

    A name that is tested with `is defined` anywhere, or given a default in a condition, is optional everywhere below
    it, so that `{% if x is defined %}{{ x.y }}{% endif %}` and `{% if x | default(none) %}…` need nothing.
    """
    collector = _Collector(frozenset(known))
    collector.visit(tree, frozenset())
    tested = collector.tested
    required = frozenset(name for name in collector.used if not any(name[: len(prefix)] == prefix for prefix in tested))
    return References(required, frozenset(collector.used | collector.defaulted | tested) - required)


def names_in(node: nodes.Node, known: Collection[str]) -> frozenset[Name]:
    """Return every undeclared name that a part of a template uses, needed or not."""
    collector = _Collector(frozenset(known))
    collector.visit(node, frozenset())
    return frozenset(collector.used | collector.defaulted | collector.tested)


class _Collector(Struct):
    known: frozenset[str]
    used: set[Name] = set()
    defaulted: set[Name] = set()
    tested: set[Name] = set()

    def visit(self, node: nodes.Node, local: frozenset[str]) -> frozenset[str]:
        """Collect from `node`; return the names that are local after it."""
        match node:
            case nodes.Name() | nodes.Getattr() | nodes.Getitem():
                self._chain(node, local, self.used)
            case nodes.Call(node=nodes.Getattr() as method):
                self.visit(method.node, local)
                self._children(node, local, skip=method)
            case nodes.Filter(name=name, node=nodes.Node() as subject) if name in _DEFAULTS:
                self._optional(subject, local, self.defaulted)
                self._children(node, local, skip=subject)
            case nodes.Test(name=name) if name in _TESTS:
                self._optional(node.node, local, self.tested)
            case nodes.For():
                self.visit(node.iter, local)
                inside = local | _targets(node.target) | {"loop"}
                if node.test is not None:
                    self.visit(node.test, inside)
                self._block(node.body, inside)
                self._block(node.else_, local)
            case nodes.If() | nodes.CondExpr():
                return self._if(node, local)
            case nodes.Assign():
                self.visit(node.node, local)
                return local | _targets(node.target)
            case nodes.Template():
                return self._block(node.body, local)
            case _:
                self._children(node, local)
        return local

    def _block(self, body: list[nodes.Node], local: frozenset[str]) -> frozenset[str]:
        for node in body:
            local = self.visit(node, local)
        return local

    def _if(self, node: nodes.If | nodes.CondExpr, local: frozenset[str]) -> frozenset[str]:
        self._guard(node.test, local)
        if isinstance(node, nodes.CondExpr):
            self._children(node, local, skip=node.test)
            return local
        after = self._block(node.body, local)
        for branch in node.elif_:
            self._guard(branch.test, local)
            after &= self._block(branch.body, local)
        return after & self._block(node.else_, local)

    def _guard(self, test: nodes.Node, local: frozenset[str]) -> None:
        """Visit a condition: what it gives a default is tested by it, as with `is defined`."""
        before, self.defaulted = self.defaulted, set()
        self.visit(test, local)
        self.tested |= self.defaulted
        self.defaulted |= before

    def _children(self, node: nodes.Node, local: frozenset[str], skip: nodes.Node | None = None) -> None:
        for child in node.iter_child_nodes():
            if child is not skip:
                self.visit(child, local)

    def _optional(self, subject: nodes.Node, local: frozenset[str], into: set[Name]) -> None:
        if isinstance(subject, nodes.Name | nodes.Getattr | nodes.Getitem):
            self._chain(subject, local, into)
        else:
            self.visit(subject, local)

    def _chain(self, node: nodes.Node, local: frozenset[str], into: set[Name]) -> None:
        """Note `a.b["c"]` as one name; anything else in brackets is a separate expression."""
        parts: list[str] = []
        while True:
            match node:
                case nodes.Getattr(node=inner, attr=attribute):
                    parts.append(attribute)
                    node = inner
                case nodes.Getitem(node=inner, arg=nodes.Const(value=str() | int() as key)):
                    parts.append(str(key))
                    node = inner
                case nodes.Getitem(node=inner, arg=argument):
                    self.visit(argument, local)
                    parts.clear()
                    node = inner
                case nodes.Name(name=root):
                    if root not in local and root not in self.known:
                        into.add((root, *reversed(parts)))
                    return
                case _:
                    self.visit(node, local)
                    return


def _targets(node: nodes.Node) -> frozenset[str]:
    return frozenset(name.name for name in [node, *node.find_all(nodes.Name)] if isinstance(name, nodes.Name))
