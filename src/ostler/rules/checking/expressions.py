"""The types of templates: Jinja2's syntax tree evaluated over shapes instead of values."""

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from jinja2 import nodes
from msgspec import Struct
from msgspec.structs import replace

from ostler.model.json import JsonMapping, JsonValue
from ostler.model.near_names import did_you_mean
from ostler.rules.checking.filters import FILTERS, METHODS, joined
from ostler.rules.checking.narrowing import Names, narrowed
from ostler.rules.checking.shapes import (
    ANY,
    BOOLEAN,
    INTEGER,
    NUMBER,
    NUMERIC,
    OMITTED,
    TEXT,
    Shape,
    constant,
    described,
    list_of,
    union,
    written_list,
    written_object,
)
from ostler.rules.templates.template import is_template, parsed
from ostler.rules.text.equality import loosely_equal


class Problem(Struct, frozen=True):
    """Something that cannot work in a template: what, and a fix if one is known."""

    message: str
    fix: str = ""
    rule: str = "template-type"


class Typed(Struct):
    """The shape of a rendered value, and what cannot work on the way, by the place inside the value."""

    shape: Shape
    problems: list[tuple[tuple[str | int, ...], Problem]] = []


def shape_of_value(value: JsonValue, names: Names) -> Typed:
    """Return the shape of `value` once its templates are rendered with `names`."""
    problems: list[tuple[tuple[str | int, ...], Problem]] = []
    shape = _shape(value, names, (), problems)
    return Typed(shape, problems)


def _shape(
    value: JsonValue,
    names: Names,
    path: tuple[str | int, ...],
    problems: list[tuple[tuple[str | int, ...], Problem]],
) -> Shape:
    if isinstance(value, str):
        if not is_template(value):
            return constant(value)
        shape, found = shape_of_template(value, names)
        problems += [(path, problem) for problem in found]
        return shape
    if isinstance(value, Mapping):
        return written_object(
            {key: _shape(item, names, (*path, key), problems) for key, item in cast("JsonMapping", value).items()}
        )
    if isinstance(value, list):
        items = cast("list[JsonValue]", value)
        return written_list([_shape(item, names, (*path, index), problems) for index, item in enumerate(items)])
    return constant(value)


def shape_of_template(text: str, names: Names) -> tuple[Shape, list[Problem]]:
    """Return the shape of the rendered template `text`, and what cannot work in it.

    A template that does not parse is anything: that it does not is reported elsewhere.
    """
    template = parsed(text)
    if template is None:
        return ANY, []
    evaluator = _Evaluator()
    if template.expression is not None:
        return evaluator.value(template.expression, names).there(), evaluator.problems
    return evaluator.text(template.tree.body, dict(names)), evaluator.problems


class _Evaluator(Struct):
    problems: list[Problem] = []

    # -- statements ----------------------------------------------------------------------------------------

    def text(self, body: Sequence[nodes.Node], names: dict[str, Shape]) -> Shape:
        """Return the shape of the text that `body` makes; what `set` names is put into `names`."""
        parts: list[Shape] = []
        for node in body:
            match node:
                case nodes.Output():
                    for part in node.nodes:
                        is_data = isinstance(part, nodes.TemplateData)
                        parts.append(constant(part.data) if is_data else self.value(part, names))
                case nodes.Assign(target=nodes.Name(name=name)):
                    names[name] = self.value(node.node, names)
                case nodes.If():
                    parts.append(self._if(node, names))
                case nodes.For():
                    self._for(node, names)
                    parts.append(TEXT)
                case _:
                    parts.append(TEXT)
        return joined(parts)

    def _if(self, node: nodes.If, names: dict[str, Shape]) -> Shape:
        made: list[Shape] = []
        rest: dict[str, Shape] = dict(names)
        for branch in [node, *node.elif_]:
            self.value(branch.test, rest)
            made.append(self.text(branch.body, dict(narrowed(branch.test, rest, holds=True))))
            rest = dict(narrowed(branch.test, rest, holds=False))
        made.append(self.text(node.else_, rest))
        for name in _assigned(node):
            names[name] = ANY
        return union(made)

    def _for(self, node: nodes.For, names: dict[str, Shape]) -> None:
        source = self.value(node.iter, names)
        if not source.kinds & {"array", "object", "string"}:
            self.problems.append(Problem(f"'for' goes over {described(source)}, which has no items"))
        inside = {**names, "loop": ANY}
        if isinstance(node.target, nodes.Name):
            inside[node.target.name] = source.items or ANY if source.is_only("array") else ANY
        else:
            inside.update(dict.fromkeys((name.name for name in node.target.find_all(nodes.Name)), ANY))
        if node.test is not None:
            self.value(node.test, inside)
        self.text(node.body, inside)
        self.text(node.else_, dict(names))
        for name in _assigned(node):
            names[name] = ANY

    # -- expressions ---------------------------------------------------------------------------------------

    def value(self, node: nodes.Node, names: Names) -> Shape:  # noqa: C901, PLR0911, PLR0912 (one case a node)
        """Return the shape of the expression `node`."""
        match node:
            case nodes.Const():
                return constant(node.value)
            case nodes.TemplateData():
                return constant(node.data)
            case nodes.Name(name=name):
                return names.get(name, OMITTED if name == "omit" else ANY)
            case nodes.Getattr(node=inner, attr=key):
                return self._item(self.value(inner, names), key, node)
            case nodes.Getitem(node=inner, arg=nodes.Const(value=str() | int() as key)):
                return self._item(self.value(inner, names), key, node)
            case nodes.Getitem():
                self.value(node.arg, names)
                owner = self.value(node.node, names)
                return ANY if isinstance(node.arg, nodes.Slice) or not owner.is_only("array") else owner.items or ANY
            case nodes.Slice():
                return ANY
            case nodes.Filter(node=nodes.Node() as subject):
                return self._filter(node, subject, names)
            case nodes.Test():
                self.value(node.node, names)
                return BOOLEAN
            case nodes.Call():
                return self._call(node, names)
            case nodes.List() | nodes.Tuple():
                return written_list([self.value(item, names).there() for item in node.items])
            case nodes.Dict():
                return self._dict(node, names)
            case _:
                return self._operation(node, names)

    def _operation(self, node: nodes.Node, names: Names) -> Shape:  # noqa: PLR0911 (one case a node)
        match node:
            case nodes.CondExpr():
                self.value(node.test, names)
                then = self.value(node.expr1, narrowed(node.test, names, holds=True))
                if node.expr2 is None:
                    return then.or_missing()
                return union([then, self.value(node.expr2, narrowed(node.test, names, holds=False))])
            case nodes.Concat():
                return joined([self.value(part, names) for part in node.nodes])
            case nodes.Compare():
                return self._compare(node, names)
            case nodes.And():
                left = self.value(node.left, names)
                return union([left, self.value(node.right, narrowed(node.left, names, holds=True))])
            case nodes.Or():
                left = self.value(node.left, names).without_null()
                return union([left, self.value(node.right, narrowed(node.left, names, holds=False))])
            case nodes.Not():
                self.value(node.node, names)
                return BOOLEAN
            case nodes.Neg() | nodes.Pos():
                return self._sign(self.value(node.node, names))
            case nodes.BinExpr():
                return self._binary(node.operator, self.value(node.left, names), self.value(node.right, names))
            case _:
                return ANY

    def _sign(self, shape: Shape) -> Shape:
        if shape.values is not None and shape.kinds <= NUMERIC:
            return union(constant(-value) for value in shape.values)
        if not shape.kinds & (NUMERIC | {"boolean"}):
            self.problems.append(Problem(f"'-' needs a number, not {described(shape)}"))
        return replace(shape.only("integer", "number"), minimum=None, maximum=None, values=None)

    def _dict(self, node: nodes.Dict, names: Names) -> Shape:
        properties: dict[str, Shape] = {}
        is_known = True
        for pair in node.items:
            value = self.value(pair.value, names).there()
            if isinstance(pair.key, nodes.Const) and isinstance(pair.key.value, str):
                properties[pair.key.value] = value
            else:
                is_known = False
        return written_object(properties) if is_known else Shape(frozenset({"object"}))

    def _item(self, owner: Shape, key: str | int, node: nodes.Node) -> Shape:
        if owner.is_any:
            return ANY
        found = _parts(owner, key)
        if not found and not (isinstance(node, nodes.Getattr) and _has_method(owner, str(key))):
            if owner.is_only("object") and owner.properties is not None:
                self._unknown_key(owner, str(key))
            else:
                self.problems.append(
                    Problem(f"{str(key)!r} is looked up in {described(owner)}, which has no such part")
                )
            return ANY
        shape = union(found) if found else ANY
        return shape.or_missing() if owner.may_miss else shape

    def _unknown_key(self, owner: Shape, key: str) -> None:
        known = list(owner.properties or ())
        fix = did_you_mean(key, known, f"there is: {', '.join(known[:12]) or 'nothing'}")
        self.problems.append(Problem(f"there is no {key!r} in it", fix, "unknown-name"))

    def _filter(self, node: nodes.Filter, subject: nodes.Node, names: Names) -> Shape:
        value = self.value(subject, names)
        arguments = [self.value(argument, names) for argument in node.args]
        keywords = {str(keyword.key): self.value(keyword.value, names) for keyword in node.kwargs}
        if node.name in ("default", "d"):
            return _default(value, arguments, keywords)
        made = FILTERS.get(node.name)
        if made is None:
            return ANY
        result = made.result(value, arguments)
        if made.takes and not value.is_any and not value.kinds & made.takes:
            self.problems.append(Problem(f"the filter {node.name!r} does not work on {described(value)}"))
            return ANY
        if made.reads and value.values and value.is_only("string") and not any(map(made.reads, value.values)):
            self.problems.append(Problem(f"the filter {node.name!r} cannot read {described(value)}"))
        return result

    def _call(self, node: nodes.Call, names: Names) -> Shape:
        for argument in [*node.args, *(keyword.value for keyword in node.kwargs)]:
            self.value(argument, names)
        match node.node:
            case nodes.Name(name="range"):
                return list_of(INTEGER)
            case nodes.Name(name="dict"):
                properties = {str(keyword.key): self.value(keyword.value, names) for keyword in node.kwargs}
                return Shape(frozenset({"object"})) if node.args else written_object(properties)
            case nodes.Getattr(node=inner, attr=method):
                owner = self.value(inner, names)
                results = [METHODS[kind][method] for kind in sorted(owner.kinds) if method in METHODS.get(kind, {})]
                if not results and not owner.is_any:
                    self.problems.append(Problem(f"{described(owner)} has no method {method!r}"))
                return union(results)
            case _:
                return ANY

    def _compare(self, node: nodes.Compare, names: Names) -> Shape:
        left = self.value(node.expr, names)
        for operand in node.ops:
            right = self.value(operand.expr, names)
            if operand.op in ("eq", "ne"):
                self._compare_equal(left, right, operand.op)
            elif operand.op in ("lt", "lteq", "gt", "gteq"):
                self._compare_order(left, right)
            left = right
        return BOOLEAN

    def _compare_equal(self, left: Shape, right: Shape, operator: str) -> None:
        if left.is_any or right.is_any or left.may_miss or right.may_miss:
            return
        both = left.values is not None and right.values is not None
        can = bool(left.kinds & right.kinds) or bool(left.kinds & NUMERIC and right.kinds & NUMERIC)
        if both and can:
            assert left.values is not None
            assert right.values is not None
            can = any(one == other for one in left.values for other in right.values)
        if not can:
            always = "false" if operator == "eq" else "true"
            loosely = both and any(
                loosely_equal(one, other) for one in left.values or () for other in right.values or ()
            )
            fix = "templates compare strictly: write it without quotes, or with them on both sides" if loosely else ""
            self.problems.append(
                Problem(f"comparing {described(left)} with {described(right)} is always {always}", fix, "never-true")
            )

    def _compare_order(self, left: Shape, right: Shape) -> None:
        if left.is_any or right.is_any:
            return
        numbers = NUMERIC | {"boolean"}
        comparable = (left.kinds & numbers and right.kinds & numbers) or left.kinds & right.kinds & {"string", "array"}
        if not comparable:
            self.problems.append(Problem(f"{described(left)} and {described(right)} have no order"))

    def _binary(self, operator: str, left: Shape, right: Shape) -> Shape:  # noqa: PLR0911 (one case a pair of types)
        if left.is_any or right.is_any:
            return ANY if operator == "+" or operator in ("*", "%") else NUMBER
        numbers = NUMERIC | {"boolean"}
        if left.kinds & numbers and right.kinds & numbers:
            is_whole = "number" not in left.kinds | right.kinds and operator not in ("/", "**")
            plain = INTEGER if is_whole else NUMBER
            others = (left.kinds | right.kinds) - numbers
            return plain if not others else ANY
        if operator == "+" and "string" in left.kinds & right.kinds:
            return joined([left, right])
        if operator == "+" and "array" in left.kinds & right.kinds:
            return list_of(union([left.items, right.items]) if left.items and right.items else None)
        if operator == "%" and "string" in left.kinds:
            return TEXT
        if (
            operator == "*"
            and {"string", "array"} & (left.kinds | right.kinds)
            and numbers & (left.kinds | right.kinds)
        ):
            return ANY
        fix = "join texts with '~'" if operator == "+" and "string" in left.kinds | right.kinds else ""
        self.problems.append(Problem(f"{described(left)} {operator} {described(right)} does not work", fix))
        return ANY


def _parts(owner: Shape, key: str | int) -> list[Shape]:
    """Return what `key` may be in a value of `owner`, by the kinds that it may have."""
    found: list[Shape] = []
    if "object" in owner.kinds:
        if owner.properties is not None and str(key) in owner.properties:
            found.append(owner.properties[str(key)])
        elif owner.properties is None or not owner.closed:
            found.append(ANY)
    if "array" in owner.kinds and (isinstance(key, int) or key.isdigit()):
        if owner.elements is None or not owner.is_only("array"):
            found.append(owner.items or ANY)
        elif int(key) < len(owner.elements):
            found.append(owner.elements[int(key)])
    if "string" in owner.kinds and isinstance(key, int):
        found.append(TEXT)
    return found


def _has_method(owner: Shape, name: str) -> bool:
    return any(name in METHODS.get(kind, {}) for kind in owner.kinds)


def _default(value: Shape, arguments: Sequence[Shape], keywords: Mapping[str, Shape]) -> Shape:
    instead = arguments[0] if arguments else keywords.get("default_value", constant(""))
    also_false = arguments[1] if len(arguments) > 1 else keywords.get("boolean")
    for_null = also_false is not None and also_false.values == (True,)
    if value.is_any:
        return ANY
    if for_null:
        return union([value.without_null(), instead]) if not value.is_only("null") else instead
    return union([value.there(), instead.there()]) if value.may_miss else value


def _assigned(node: nodes.Node) -> Iterator[str]:
    for assignment in node.find_all(nodes.Assign):
        for name in [assignment.target, *assignment.target.find_all(nodes.Name)]:
            if isinstance(name, nodes.Name):
                yield name.name
