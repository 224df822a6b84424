"""The functions of Go templates and of Sprig that muster's manifests use, each as a Jinja2 expression."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias, cast

from msgspec import Struct

from ostler.model.json import JsonObject, JsonValue
from ostler.rules.muster.go_tokens import GoTemplateError

CONDITIONAL, OR, AND, NOT, COMPARE, ADD, CONCAT, MULTIPLY, UNARY, FILTERED, ATOM = range(11)
"""How tightly Jinja2's operators bind, loosest first."""

NOT_AVAILABLE: Mapping[str, str] = {
    "now": "a template has no clock; take the time from a tool's output, or as an arg",
    "date": "a template has no clock; take the time from a tool's output, or as an arg",
    "uuidv4": "templates are repeatable; use {{ service.id }}, which is unique",
    "randAlphaNum": "templates are repeatable; use {{ service.id }}, which is unique",
    "randAlpha": "templates are repeatable; use {{ service.id }}, which is unique",
    "randNumeric": "templates are repeatable; use {{ service.id }}, which is unique",
    "env": "write {{ env.NAME }} in an ostler/v1 manifest, and allow the name under [env] in ostler.toml",
}
"""Functions that have no counterpart, and what to do instead."""


class Code(Struct, frozen=True):
    """A Jinja2 expression and how tightly its outermost operator binds."""

    text: str
    binds: int = ATOM

    def at(self, level: int) -> str:
        """Return the text as an operand of something that binds at `level`."""
        return self.text if self.binds >= level else f"({self.text})"


class Argument(Struct, frozen=True):
    """An argument of a function: its Jinja2 code, and its value if it is written out."""

    code: Code
    literal: JsonValue = None
    is_literal: bool = False

    @property
    def text(self) -> str | None:
        """The text that was written out, if it is one."""
        return self.literal if self.is_literal and isinstance(self.literal, str) else None


Maker: TypeAlias = Callable[[Sequence[Argument]], Code]


def literal(value: JsonValue) -> Code:
    """Return `value` as it is written in Jinja2."""
    match value:
        case None | bool():
            return Code(str(value).lower())
        case int() | float():
            return Code(repr(value), UNARY if value < 0 else ATOM)
        case str():
            return Code(_quoted(value))
        case list():
            return Code("[" + ", ".join(literal(item).text for item in cast("list[JsonValue]", value)) + "]")
        case _:
            pairs = cast("JsonObject", value).items()
            return Code("{" + ", ".join(f"{_quoted(key)}: {literal(item).text}" for key, item in pairs) + "}")


def _quoted(text: str) -> str:
    body = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    if "'" in body and '"' not in body:
        return f'"{body}"'
    return "'" + body.replace("'", "\\'") + "'"


def concatenated(parts: Sequence[Code]) -> Code:
    """Return the texts of `parts` one after another."""
    if not parts:
        return literal("")
    if len(parts) == 1:
        return _filtered(parts[0], "string") if parts[0].text[:1] not in "'\"" else parts[0]
    return Code(" ~ ".join(part.at(CONCAT) for part in parts), CONCAT)


def is_function(name: str) -> bool:
    """Return whether `name` is one of a Go template's functions, translated or not."""
    return name in _FUNCTIONS or name in NOT_AVAILABLE


def call(function: str, args: Sequence[Argument], line: int) -> Code:
    """Return the Jinja2 expression of a function call.

    Raises:
        GoTemplateError: the function is not known, or cannot be translated with these arguments.
    """
    if function in NOT_AVAILABLE:
        raise GoTemplateError(f"the function {function!r} cannot be translated", line, NOT_AVAILABLE[function])
    if function not in _FUNCTIONS:
        fix = f"known functions: {', '.join(sorted(_FUNCTIONS))}"
        raise GoTemplateError(f"the function {function!r} is not known here", line, fix)
    least, most, maker = _FUNCTIONS[function]
    if len(args) < least or (most is not None and len(args) > most):
        wanted = f"{least}" if most == least else f"{least} to {most}" if most is not None else f"at least {least}"
        raise GoTemplateError(f"{function!r} takes {wanted} arguments, not {len(args)}", line)
    try:
        return maker(args)
    except ValueError as error:
        raise GoTemplateError(f"{function!r} {error}", line) from None


def _filtered(value: Code, name: str, *args: Code) -> Code:
    inside = f"({', '.join(arg.text for arg in args)})" if args else ""
    return Code(f"{value.at(FILTERED)} | {name}{inside}", FILTERED)


def _filter(name: str) -> Maker:
    return lambda args: _filtered(args[-1].code, name, *(arg.code for arg in args[:-1]))


def _operator(symbol: str, level: int) -> Maker:
    def make(args: Sequence[Argument]) -> Code:
        first, *rest = (arg.code for arg in args)
        operands = [first.at(level), *(arg.at(level + 1) for arg in rest)]
        return Code(f" {symbol} ".join(operands), level)

    return make


def _compared(symbol: str) -> Maker:
    def make(args: Sequence[Argument]) -> Code:
        left, right = args
        return Code(f"{left.code.at(COMPARE + 1)} {symbol} {right.code.at(COMPARE + 1)}", COMPARE)

    return make


def _equal(args: Sequence[Argument]) -> Code:
    first, *others = (arg.code for arg in args)
    if len(others) == 1:
        return Code(f"{first.at(COMPARE + 1)} == {others[0].at(COMPARE + 1)}", COMPARE)
    return Code(f"{first.at(COMPARE + 1)} in [{', '.join(other.text for other in others)}]", COMPARE)


def _not(args: Sequence[Argument]) -> Code:
    return Code(f"not {args[0].code.at(NOT)}", NOT)


def _ternary(args: Sequence[Argument]) -> Code:
    yes, no, condition = (arg.code for arg in args)
    return Code(f"{yes.at(OR)} if {condition.at(OR)} else {no.at(CONDITIONAL)}", CONDITIONAL)


def _default(args: Sequence[Argument]) -> Code:
    fallback, value = (arg.code for arg in args)
    return _filtered(value, "default", fallback, Code("true"))


def _index(args: Sequence[Argument]) -> Code:
    made = args[0].code.at(ATOM)
    for arg in args[1:]:
        made += f"[{arg.code.text}]"
    return Code(made)


def _printed(args: Sequence[Argument]) -> Code:
    return concatenated([arg.code for arg in args])


_VERB = re.compile(r"%(?P<flags>[-+ 0#]*)(?P<width>\d*)(?P<precision>\.\d+)?(?P<verb>[a-zA-Z%])")


def _printf(args: Sequence[Argument]) -> Code:
    """Return the text of a format that is written out: plain verbs become `~`, padded ones Python's `%`."""
    form = args[0].text
    if form is None:
        raise ValueError("needs its format written out")
    values = list(args[1:])
    parts: list[Code] = []
    text, position = "", 0
    for match in _VERB.finditer(form):
        text += form[position : match.start()]
        position = match.end()
        verb = match["verb"]
        if verb == "%":
            text += "%"
            continue
        if not values:
            raise ValueError("has more verbs than arguments")
        if text:
            parts.append(literal(text))
            text = ""
        parts.append(_verb(match, values.pop(0).code))
    text += form[position:]
    if "%" in re.sub(_VERB, "", form):
        raise ValueError("has a '%' that begins no verb")
    if values:
        raise ValueError("has more arguments than verbs")
    if text:
        parts.append(literal(text))
    return concatenated(parts)


def _verb(match: re.Match[str], value: Code) -> Code:
    verb, spec = match["verb"], match["flags"] + match["width"] + (match["precision"] or "")
    if verb == "q":
        return _filtered(value, "tojson")
    if verb in "svdt" and not spec:
        return value
    if verb not in "sdfgexXo":
        raise ValueError(f"has the verb %{verb}, which cannot be translated")
    return Code(f"{literal('%' + spec + verb).text} % {value.at(UNARY)}", MULTIPLY)


def _method(name: str) -> Maker:
    """Return what calls a method of text: `hasPrefix "a" .x` is `x.startswith('a')`."""
    return lambda args: Code(f"{args[-1].code.at(ATOM)}.{name}({', '.join(arg.code.text for arg in args[:-1])})")


def _contains(args: Sequence[Argument]) -> Code:
    part, text = (arg.code for arg in args)
    return Code(f"{part.at(COMPARE + 1)} in {text.at(COMPARE + 1)}", COMPARE)


def _list(args: Sequence[Argument]) -> Code:
    return Code("[" + ", ".join(arg.code.text for arg in args) + "]")


def _dict(args: Sequence[Argument]) -> Code:
    if len(args) % 2:
        raise ValueError("takes keys and values in pairs")
    pairs = zip(args[::2], args[1::2], strict=True)
    return Code("{" + ", ".join(f"{key.code.text}: {value.code.text}" for key, value in pairs) + "}")


_FUNCTIONS: Mapping[str, tuple[int, int | None, Maker]] = {
    "add": (1, None, _operator("+", ADD)),
    "and": (1, None, _operator("and", AND)),
    "coalesce": (1, None, _operator("or", OR)),
    "contains": (2, 2, _contains),
    "default": (2, 2, _default),
    "dict": (0, None, _dict),
    "empty": (1, 1, _not),
    "eq": (2, None, _equal),
    "ge": (2, 2, _compared(">=")),
    "gt": (2, 2, _compared(">")),
    "hasPrefix": (2, 2, _method("startswith")),
    "hasSuffix": (2, 2, _method("endswith")),
    "index": (2, None, _index),
    "int": (1, 1, _filter("int")),
    "join": (2, 2, _filter("join")),
    "le": (2, 2, _compared("<=")),
    "len": (1, 1, _filter("length")),
    "list": (0, None, _list),
    "lower": (1, 1, _filter("lower")),
    "lt": (2, 2, _compared("<")),
    "mul": (1, None, _operator("*", MULTIPLY)),
    "ne": (2, 2, _compared("!=")),
    "not": (1, 1, _not),
    "or": (1, None, _operator("or", OR)),
    "print": (1, None, _printed),
    "printf": (1, None, _printf),
    "quote": (1, 1, _filter("tojson")),
    "replace": (3, 3, _filter("replace")),
    "sub": (2, 2, _operator("-", ADD)),
    "ternary": (3, 3, _ternary),
    "title": (1, 1, _filter("title")),
    "toJson": (1, 1, _filter("tojson")),
    "toString": (1, 1, _filter("string")),
    "trim": (1, 1, _filter("trim")),
    "trimPrefix": (2, 2, _method("removeprefix")),
    "trimSuffix": (2, 2, _method("removesuffix")),
    "upper": (1, 1, _filter("upper")),
}
"""Least and most number of arguments, and what makes the expression."""

CONDITIONS = frozenset({"and", "or", "not", "eq", "ne", "default", "coalesce", "empty", "ternary"})
"""Functions whose arguments may be missing: they are nothing then."""

TESTS = frozenset({"eq", "ne", "lt", "le", "gt", "ge", "not", "empty", "contains", "hasPrefix", "hasSuffix"})
"""Functions whose result is true or false."""
