"""The Jinja2 environment that templates run in: immutable, sandboxed, strict, and bounded in size and work.

Classes may come from an agent, so a template can neither reach Python's internals, change the values it is given,
nor build something huge. The statements are `if`, `for` and `set`; there are no macros, imports or recursion.
Every filter, test, operator, call and step of a loop spends of the budget of its rendering (`work_budget`).
"""

import difflib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, wraps
from typing import Any, NoReturn, TypeGuard, cast

from jinja2 import Environment, StrictUndefined, nodes
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from ostler.rules.templates.plain_values import (
    MAX_VALUES,
    OMIT,
    TooLargeError,
    check_length,
    json_text,
    plain_text,
)
from ostler.rules.text.work_budget import spend

MAX_SOURCE = 65_536
"""The longest template, in characters."""

MAX_TOKENS = 5_000
"""The most words and signs of a template, blanks among them; a text outside of its marks is one."""

MAX_ITEMS = 10_000
"""The longest list that a template may make."""

MAX_LOOPS = 2
"""How deep `for` may be nested."""

_MAX_BITS = 4096
_MAX_WIDTH = 10_000
_STATEMENTS = (nodes.Template, nodes.Output, nodes.For, nodes.If, nodes.Assign)
_FILTERS = (
    "abs", "capitalize", "count", "d", "default", "dictsort", "first", "float", "int", "items", "last", "length",
    "list", "lower", "map", "max", "min", "reject", "rejectattr", "reverse", "select", "selectattr", "sort",
    "title", "trim", "truncate", "unique", "upper", "urlencode", "wordcount",
)  # fmt: skip
_WIDTH = re.compile(r"\d+")


class GivenUpError(Exception):
    """The template itself said, with `fail`, that it cannot be rendered; the text is its reason."""


class MissingValue(StrictUndefined):
    """An undefined name: an error wherever it is used, except in `default` and `is defined`.

    Attributes and items of it are missing too, so that `{{ a.b.c | default("x") }}` works when `a` is not there.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._below(name)

    def __getitem__(self, key: object) -> Any:
        return self._below(key)

    def _below(self, name: object) -> "MissingValue":
        return type(self)(hint=self._undefined_message, name=str(name), exc=self._undefined_exception)


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """The sandbox, with operators and methods that can multiply text or lists bounded before they run."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(
            undefined=MissingValue,
            finalize=plain_text,
            autoescape=False,
            keep_trailing_newline=True,
            cache_size=0,
            optimized=False,  # Jinja2's optimizer takes cubic time on a chain of filters
        )
        self.globals = {"range": _bounded_range, "dict": _dict, "omit": OMIT, "fail": _fail}
        self.filters = {
            **{name: self.filters[name] for name in _FILTERS},
            "concat_": _concat,
            "join": _join,
            "loop_": _loop,
            "made_": _spent,
            "replace": _replace,
            "round": _round,
            "string": plain_text,
            "sum": _sum,
            "tojson": _tojson,
        }
        self.filters = {name: _spending(function) for name, function in self.filters.items()}
        self.tests = {name: _spending(function) for name, function in self.tests.items()}

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Prefer an object's own key over a method of its Python type, so that `args.items` is the arg `items`."""
        if isinstance(obj, Mapping) and attribute in obj:
            return cast("Mapping[str, Any]", obj)[attribute]
        return super().getattr(obj, attribute)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Refuse `fromkeys` too: it multiplies a value as list literals could, past their bound."""
        return attr != "fromkeys" and super().is_safe_attribute(obj, attr, value)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        _check_operation(operator, left, right)
        return _spent(super().call_binop(context, operator, left, right))

    def call(self, context: Context, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        owner = getattr(getattr(function, "__wrapped__", function), "__self__", None)  # Jinja2 wraps str.format
        if isinstance(owner, str):
            _check_text_method(owner, getattr(function, "__name__", ""), [*args, *kwargs.values()])
        return _spent(super().call(context, function, *args, **kwargs))


@lru_cache(maxsize=1)
def environment() -> BoundedEnvironment:
    """Return the one environment; it holds no state of a rendering."""
    return BoundedEnvironment()


def check_statements(tree: nodes.Template) -> tuple[str, int] | None:
    """Return (message, line) of the first statement in `tree` that templates may not use, or None."""
    return _first_refused(tree, 0)


def _first_refused(node: nodes.Node, loops: int) -> tuple[str, int] | None:
    for child in node.iter_child_nodes():
        depth = loops
        if unknown := _unknown_function(child):
            return unknown, child.lineno
        if isinstance(child, nodes.NSRef) or (isinstance(child, nodes.Stmt) and not isinstance(child, _STATEMENTS)):
            return f"{type(child).__name__.lower()!r} is not available in templates; use if, for and set", child.lineno
        if isinstance(child, nodes.For):
            depth += 1
            if child.recursive:
                return "recursive loops are not available in templates", child.lineno
            if depth > MAX_LOOPS:
                return f"loops may be nested {MAX_LOOPS} deep at most", child.lineno
        if refused := _first_refused(child, depth):
            return refused
    return None


def _unknown_function(node: nodes.Node) -> str | None:
    """Jinja2 itself leaves those in branches for the rendering, where it is too late."""
    env = environment()
    for kind, known, name in (
        ("filter", env.filters, node.name if isinstance(node, nodes.Filter) else None),
        ("test", env.tests, node.name if isinstance(node, nodes.Test) else None),
    ):
        if name is not None and name not in known:
            close = difflib.get_close_matches(name, [other for other in known if not other.endswith("_")], n=1)
            return f"there is no {kind} {name!r}" + (f"; did you mean {close[0]!r}?" if close else "")
    return None


class _Bounder(NodeTransformer):
    """Turns what Jinja2 lets no one intercept into filter calls: `a ~ b`, literals, comparisons, slices, loops."""

    def _bounded(self, node: nodes.Expr) -> nodes.Node:
        self.generic_visit(node)
        return nodes.Filter(node, "made_", [], [], None, None, lineno=node.lineno)

    visit_List = visit_Dict = visit_Compare = _bounded  # noqa: N815 (the visitor's naming)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:  # noqa: N802 (the visitor's naming)
        return self._bounded(node) if node.ctx == "load" else self.generic_visit(node)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802 (the visitor's naming)
        return self._bounded(node) if isinstance(node.arg, nodes.Slice) else self.generic_visit(node)

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 (the visitor's naming)
        self.generic_visit(node)
        node.iter = nodes.Filter(node.iter, "loop_", [], [], None, None, lineno=node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 (the visitor's naming)
        self.generic_visit(node)
        parts = nodes.List(node.nodes, lineno=node.lineno)
        return nodes.Filter(parts, "concat_", [], [], None, None, lineno=node.lineno)


def bound(tree: nodes.Template, env: Environment) -> nodes.Template:
    """Return `tree` with every `~` and `for` bounded as the other operators are."""
    bounded = _Bounder().visit(tree)
    bounded.set_environment(env)
    return bounded


# -- bounds ------------------------------------------------------------------------------------------------


def _check_items(length: int) -> None:
    if length > MAX_ITEMS:
        raise TooLargeError(f"makes a list of more than {MAX_ITEMS} items")


def _check_operation(operator: str, left: Any, right: Any) -> None:
    if operator == "%":
        if isinstance(left, str):
            _check_format(left, right)
    elif isinstance(left, int) and isinstance(right, int):
        _check_bits(left.bit_length() * abs(right) if operator == "**" else left.bit_length() + right.bit_length())
    elif operator == "+" and _is_sequence(left) and _is_sequence(right):
        _check_size(left, len(left) + len(right))
    elif operator == "*":
        for repeated, count in ((left, right), (right, left)):
            if _is_sequence(repeated) and isinstance(count, int):
                _check_size(repeated, len(repeated) * count)


def _is_sequence(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, str | list | tuple)


def _check_size(made_of: Sequence[Any], size: int) -> None:
    if isinstance(made_of, str):
        check_length(size)
    else:
        _check_items(size)


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)


def _check_bits(bits: int) -> None:
    if bits > _MAX_BITS:
        raise TooLargeError("makes a number that is too large")


def _check_format(text: str, argument: Any) -> None:
    if "*" in text and "%" in text:
        raise TooLargeError("uses '*' as a width in a % format")
    widths = _widths(text)
    size = sum(len(plain_text(item)) for item in (argument if _is_list(argument) else (argument,)))
    check_length(len(text) + widths + size * max(1, text.count("%")))


def _widths(text: str) -> int:
    """Return the sum of all widths in a format, which are numbers in it."""
    widths = [number.lstrip("0") for number in _WIDTH.findall(text)]
    if any(len(width) > 5 or int(width or "0") > _MAX_WIDTH for width in widths):
        raise TooLargeError(f"formats with a width of more than {_MAX_WIDTH}")
    return sum(int(width or "0") for width in widths)


def _check_text_method(text: str, method: str, arguments: list[Any]) -> None:
    match method:
        case "replace" if len(arguments) > 1 and isinstance(arguments[0], str) and isinstance(arguments[1], str):
            _check_replace(text, arguments[0], arguments[1])
        case "join" if arguments:
            if not isinstance(arguments[0], str | list | tuple | Mapping):
                raise TooLargeError("joins something that is not a list; use the join filter")
            items = list(cast("Iterable[Any]", arguments[0]))
            check_length(sum(len(plain_text(item)) for item in items) + len(text) * len(items))
        case "format" | "format_map":
            if re.search(r"\{[^{}]*\{", text):
                raise TooLargeError("formats with a width from a value")
            widths = _widths(text)
            size = sum(len(plain_text(item)) for item in arguments)
            check_length(len(text) + widths + size * (text.count("{") + 1))
        case "encode" | "translate" | "maketrans":
            raise TooLargeError(f"uses {method}(), which is not available in templates")
        case "expandtabs":
            width = max((item for item in arguments if isinstance(item, int)), default=8)
            check_length(len(text) + text.count("\t") * width)
        case _:
            widths = [item for item in arguments if isinstance(item, int)]
            if method in ("center", "ljust", "rjust", "zfill") and any(width > _MAX_WIDTH for width in widths):
                raise TooLargeError(f"uses a width of more than {_MAX_WIDTH}")


def _check_replace(text: str, old: str, new: str) -> None:
    check_length(len(text) + text.count(old) * max(0, len(new) - len(old)))


# -- filters and functions ---------------------------------------------------------------------------------


def _bounded_range(*args: int) -> range:
    made = range(*args)
    _check_items(len(made))
    return made


def _fail(message: object) -> NoReturn:
    """Fail the template: `{{ fail('give port or socket') }}`."""
    raise GivenUpError(str(message))


def _loop(values: Iterable[Any]) -> Iterator[Any]:
    for count, value in enumerate(values):
        _check_items(count + 1)
        spend()
        yield value


def _dict(*mappings: Mapping[str, Any], **values: Any) -> dict[str, Any]:
    """Return one object of `mappings` and `values`, later ones winning; what is in it is counted as in a literal."""
    merged: dict[str, Any] = {}
    for mapping in mappings:
        merged.update(mapping)
    merged.update(values)
    made: dict[str, Any] = _spent(merged)
    return made


def _spending(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function`, a filter or test, with what it makes taken from the budget."""

    @wraps(function)
    def bounded(*args: Any, **kwargs: Any) -> Any:
        return _spent(function(*args, **kwargs))

    return bounded


def _spent(value: Any) -> Any:
    """Pass on what a step made, taking it from the budget."""
    spend(_size(value))
    return value


def _size(value: object) -> int:
    if isinstance(value, str):
        return len(value)
    return _values_in(value) if isinstance(value, Mapping | list | tuple) else 0


def _values_in(value: Any) -> int:
    """Count what is in a list or object: one that holds itself twice, many times over, hangs a comparison."""
    left = MAX_VALUES
    pending = [value]
    while pending:
        part = pending.pop()
        if isinstance(part, Mapping):
            pending.extend(cast("Mapping[Any, Any]", part).values())
        elif isinstance(part, list | tuple):
            pending.extend(cast("list[Any]", part))
        left -= 1
        if left < len(pending):
            raise TooLargeError(f"makes more than {MAX_VALUES} values")
    return MAX_VALUES - left


def _concat(parts: list[Any]) -> str:
    texts = [plain_text(part) for part in parts]
    check_length(sum(map(len, texts)))
    return "".join(texts)


def _join(values: Iterable[Any], separator: str = "", attribute: str | None = None) -> str:
    items = [item[attribute] if attribute is not None else item for item in values]
    texts = [plain_text(item) for item in items]
    check_length(sum(map(len, texts)) + len(separator) * len(texts))
    return separator.join(texts)


def _replace(value: Any, old: str, new: str, count: int = -1) -> str:
    text = plain_text(value)
    _check_replace(text, old, new)
    return text.replace(old, new, count)


def _round(value: float, precision: int = 0, method: str = "common") -> float:
    if not -300 <= precision <= 300:
        raise TooLargeError("rounds to more than 300 digits")
    if method == "common":
        return round(value, precision)
    if method not in ("ceil", "floor"):
        raise TypeError("round takes 'common', 'ceil' or 'floor'")
    scale: float = 10.0**precision
    return (math.ceil(value * scale) if method == "ceil" else math.floor(value * scale)) / scale


def _sum(values: Iterable[Any], attribute: str | None = None) -> float:
    return sum(item[attribute] if attribute is not None else item for item in values)


def _tojson(value: Any, indent: int | None = None) -> str:
    if indent is not None and indent > 16:
        raise TooLargeError("indents by more than 16")
    return json_text(value, indent)
