"""What Jinja2's filters and Python's methods make of a shape."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from msgspec import Struct

from ostler.model.json import JsonValue
from ostler.rules.checking.shapes import (
    ANY,
    ARRAY,
    BOOLEAN,
    INTEGER,
    NUMBER,
    NUMERIC,
    TEXT,
    Shape,
    constant,
    list_of,
    one_of,
    text,
    union,
)
from ostler.rules.templates.plain_values import plain_text

Result: TypeAlias = Callable[[Shape, Sequence[Shape]], Shape]

_MAX_TEXTS = 16
"""How many possible texts are kept apart when parts are joined."""

_SEQUENCES = frozenset({"string", "array", "object"})
_LISTS = frozenset({"array", "object", "string"})


class FilterType(Struct, frozen=True):
    """The shape that a filter gives, the kinds that it works on (any when empty), and which texts it can read."""

    result: Result
    takes: frozenset[str] = frozenset()
    reads: Callable[[JsonValue], bool] | None = None


def _to(shape: Shape) -> Result:
    return lambda _value, _arguments: shape


def _same(value: Shape, _arguments: Sequence[Shape]) -> Shape:
    return value


def _item(value: Shape, _arguments: Sequence[Shape]) -> Shape:
    if value.is_only("array"):
        return value.items or ANY
    return TEXT if value.is_only("string") else ANY


def _items(value: Shape, _arguments: Sequence[Shape]) -> Shape:
    return list_of(value.items if value.is_only("array") else None)


def _cased(change: Callable[[str], str]) -> Result:
    def result(value: Shape, _arguments: Sequence[Shape]) -> Shape:
        if value.values is not None and len(value.values) <= _MAX_TEXTS:
            return one_of(change(plain_text(item)) for item in value.values)
        return TEXT

    return result


def _absolute(value: Shape, _arguments: Sequence[Shape]) -> Shape:
    return INTEGER if value.is_only("integer") else NUMBER


def _reads_number(value: JsonValue) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return True


FILTERS: Mapping[str, FilterType] = {
    "abs": FilterType(_absolute, NUMERIC | {"boolean"}),
    "capitalize": FilterType(_cased(str.capitalize)),
    "count": FilterType(_to(INTEGER), _SEQUENCES),
    "dictsort": FilterType(_to(ARRAY), frozenset({"object"})),
    "first": FilterType(_item, _LISTS),
    "float": FilterType(_to(NUMBER), NUMERIC | {"string", "boolean"}, _reads_number),
    "int": FilterType(_to(INTEGER), NUMERIC | {"string", "boolean"}, _reads_number),
    "items": FilterType(_to(ARRAY), frozenset({"object"})),
    "join": FilterType(_to(TEXT), _LISTS),
    "last": FilterType(_item, _LISTS),
    "length": FilterType(_to(INTEGER), _SEQUENCES),
    "list": FilterType(_items, _LISTS),
    "lower": FilterType(_cased(str.lower)),
    "map": FilterType(_to(ARRAY), _LISTS),
    "max": FilterType(_item, _LISTS),
    "min": FilterType(_item, _LISTS),
    "reject": FilterType(_items, _LISTS),
    "rejectattr": FilterType(_items, _LISTS),
    "replace": FilterType(_to(TEXT)),
    "reverse": FilterType(_same, _LISTS),
    "round": FilterType(_to(NUMBER), NUMERIC | {"boolean"}),
    "select": FilterType(_items, _LISTS),
    "selectattr": FilterType(_items, _LISTS),
    "sort": FilterType(_items, _LISTS),
    "string": FilterType(_cased(str)),
    "sum": FilterType(_to(NUMBER), _LISTS),
    "title": FilterType(_cased(str.title)),
    "tojson": FilterType(_to(TEXT)),
    "trim": FilterType(_cased(str.strip)),
    "truncate": FilterType(_to(TEXT)),
    "unique": FilterType(_items, _LISTS),
    "upper": FilterType(_cased(str.upper)),
    "urlencode": FilterType(_to(TEXT)),
    "wordcount": FilterType(_to(INTEGER)),
}
"""Every filter of the sandbox but `default`, which needs to know whether a name may be missing."""

_TEXTS = (
    "capitalize", "casefold", "center", "expandtabs", "format", "join", "ljust", "lower", "lstrip", "removeprefix",
    "removesuffix", "replace", "rjust", "rstrip", "strip", "swapcase", "title", "upper", "zfill",
)  # fmt: skip
_BOOLEANS = (
    "endswith", "isalnum", "isalpha", "isascii", "isdecimal", "isdigit", "isidentifier", "islower", "isnumeric",
    "isspace", "istitle", "isupper", "startswith",
)  # fmt: skip

METHODS: Mapping[str, Mapping[str, Shape]] = {
    "string": {
        **dict.fromkeys(_TEXTS, TEXT),
        **dict.fromkeys(_BOOLEANS, BOOLEAN),
        **dict.fromkeys(("count", "find", "index", "rfind", "rindex"), INTEGER),
        **dict.fromkeys(("split", "rsplit", "splitlines", "partition", "rpartition"), list_of(TEXT)),
    },
    "array": {"count": INTEGER, "index": INTEGER, "copy": ARRAY},
    "object": {"keys": list_of(TEXT), "values": ARRAY, "items": ARRAY, "get": ANY, "copy": ANY},
    "integer": {"bit_length": INTEGER, "bit_count": INTEGER},
    "number": {"is_integer": BOOLEAN},
}
"""By kind of value: the methods that a template may call, and what they return."""


def joined(parts: Sequence[Shape]) -> Shape:
    """Return the shape of the parts as one text: its possible values when they are few, else how it begins."""
    texts: list[str] | None = [""]
    prefix = ""
    is_open = True
    for part in parts:
        if part.values is not None and not part.may_miss:
            options = list(dict.fromkeys(plain_text(value) for value in part.values))
            if texts is not None:
                is_few = len(texts) * len(options) <= _MAX_TEXTS
                texts = [one + other for one in texts for other in options] if is_few else None
            if is_open and len(options) == 1:
                prefix += options[0]
                continue
        else:
            texts = None
        if is_open:
            prefix += part.prefix if part.is_only("string") else ""
            is_open = False
    if texts is not None:
        return union(constant(item) for item in dict.fromkeys(texts))
    return text(prefix)
