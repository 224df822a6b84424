"""Rendering while some values are not known yet: what depends on them is shown as such, all else is exact."""

from collections.abc import Mapping
from functools import lru_cache
from typing import TypeAlias

from jinja2 import Environment, nodes
from msgspec import Struct

from ostler.model.json import JsonMapping, JsonValue, KeyPath
from ostler.rules.templates.references import names_in
from ostler.rules.templates.sandbox import environment
from ostler.rules.templates.template import (
    BrokenTemplate,
    CompiledTemplate,
    compile_rewritten,
    render_compiled,
    render_texts,
    undefined_names,
)
from ostler.rules.text.work_budget import bounded_work

AFTER_START = "<known after start>"
"""Stands for what only the start tool's answer will show."""

Unknowns: TypeAlias = Mapping[tuple[str, ...], str]
"""Dotted name → what stands for its value; everything below the name is unknown too."""


class Partly(Struct, frozen=True):
    """A value as far as it is known.

    Attributes:
        value: with something like `<known after start>` instead of what is not known.
        known: whether all of it is.
    """

    value: JsonValue
    known: bool


def render_partly(value: JsonValue, names: JsonMapping, unknown: Unknowns) -> Partly:
    """Return `value` with its templates rendered as far as the names in `unknown` allow.

    An expression that needs an unknown name is replaced by what stands for it, as a whole value or inside its text;
    where a condition or a loop depends on one, the whole text is.

    Args:
        value: any JSON value.
        names: what templates may name; unknown names need not be in it.
        unknown: names whose values are not known yet.

    Raises:
        TemplateError: a template fails, or names something that will never exist; all missing names are in `missing`.
    """
    stand_ins = tuple(unknown.items())
    missing: dict[str, None] = {}
    is_known = True

    def rendered(text: str, path: KeyPath) -> JsonValue:
        nonlocal is_known
        compiled, is_exact = _compiled(text, stand_ins)
        is_known = is_known and is_exact
        return render_compiled(text, compiled, names, missing, path)

    with bounded_work():
        made = render_texts(value, rendered)
    if missing:
        raise undefined_names(list(missing), names)
    return Partly(made, is_known)


@lru_cache(maxsize=1024)
def _compiled(
    text: str, unknown: tuple[tuple[tuple[str, ...], str], ...]
) -> tuple[CompiledTemplate | BrokenTemplate, bool]:
    """Return the template `text` with what stands for unknown values, and whether it needs none of them."""
    rewriter = _Rewriter(dict(unknown), environment())
    compiled = compile_rewritten(text, rewriter.rewrite)
    return compiled, not rewriter.tainted


class _Rewriter:
    """Puts what stands for unknown values into a parsed template."""

    def __init__(self, unknown: Unknowns, env: Environment) -> None:
        self._unknown = unknown
        self._env = env
        self.tainted = False

    def rewrite(self, tree: nodes.Template) -> nodes.Template:
        """Return `tree` with constants instead of unknown names."""
        touched = self._rewrite_body(tree.body)
        if touched is None:
            return tree
        self.tainted = True
        stand_in = nodes.Const(self._stand_in(touched), lineno=1)
        return nodes.Template([nodes.Output([stand_in], lineno=1)], lineno=1)

    def _rewrite_body(self, body: list[nodes.Node]) -> nodes.Node | None:
        """Rewrite statements; return the first one that depends on what is not known as a whole, if there is one."""
        for node in body:
            match node:
                case nodes.Output():
                    node.nodes = [self._expression(part) for part in node.nodes]
                case nodes.If() if not any(self._touched(branch.test) for branch in (node, *node.elif_)):
                    for inner in (node.body, node.else_, *(branch.body for branch in node.elif_)):
                        touched = self._rewrite_body(inner)
                        if touched is not None:
                            return touched
                case _ if self._touched(node):
                    return node
                case _:
                    pass
        return None

    def _touched(self, node: nodes.Node) -> list[tuple[str, ...]]:
        """Return the unknown names that `node` needs: those that are unknown, or have something unknown below."""
        return [
            name
            for name in sorted(names_in(node, self._env.globals))
            if any(name[: len(path)] == path or path[: len(name)] == name for path in self._unknown)
        ]

    def _stand_in(self, node: nodes.Node) -> str:
        """Return what stands for the value of `node` as a whole."""
        touched = self._touched(node)
        chain = _chain(node)
        for name in touched:
            for path, shown in self._unknown.items():
                exact = chain is not None and name[: len(path)] == path
                if exact or (name[: len(path)] == path and _is_bare(shown)):
                    return shown
        return AFTER_START

    def _expression(self, node: nodes.Expr) -> nodes.Expr:
        """Return `node` with as little as possible replaced so that it does not depend on unknown names."""
        if not self._touched(node):
            return node
        match node:
            case nodes.Concat():
                node.nodes = [self._expression(part) for part in node.nodes]
            case nodes.List() | nodes.Tuple():
                node.items = [self._expression(part) for part in node.items]
            case nodes.Dict():
                for pair in node.items:
                    pair.value = self._expression(pair.value)
            case nodes.CondExpr() if not self._touched(node.test):
                node.expr1 = self._expression(node.expr1)
                if node.expr2 is not None:
                    node.expr2 = self._expression(node.expr2)
            case nodes.Filter(name="string" | "default" | "d", node=nodes.Expr() as subject) if self._touched(subject):
                return self._expression(subject)
            case _:
                self.tainted = True
                return nodes.Const(self._stand_in(node), lineno=node.lineno)
        return node


def _chain(node: nodes.Node) -> nodes.Node | None:
    """Return `node` when it is nothing but a dotted name."""
    inner: nodes.Node = node
    while isinstance(inner, nodes.Getattr | nodes.Getitem):
        if isinstance(inner, nodes.Getitem) and not isinstance(inner.arg, nodes.Const):
            return None
        inner = inner.node
    return node if isinstance(inner, nodes.Name) else None


def _is_bare(shown: str) -> bool:
    return shown.startswith("<") and shown.endswith(">") and shown.count("<") == 1
