"""What is known about a value before there is one: its possible kinds, values, keys and items."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import cast

from msgspec import Struct
from msgspec.structs import replace

from ostler.model.json import JsonMapping, JsonValue
from ostler.rules.text.equality import loosely_equal

KINDS = frozenset({"string", "integer", "number", "boolean", "object", "array", "null"})
NUMERIC = frozenset({"integer", "number"})
"""`number` is one with a fraction, perhaps; `integer` one without."""

MAX_VALUES = 32
"""How many possible values are kept apart."""

_MAX_DEPTH = 12


class Shape(Struct, frozen=True):
    """What is known about one value.

    Attributes:
        kinds: the JSON types it may have; all of them when nothing is known.
        values: every value it may have, when they are few and known.
        prefix: what the value begins with, if it is text.
        minimum: the least it may be, if it is a number and a limit was written.
        maximum: the most it may be, likewise.
        properties: its keys, if it is an object and they are known.
        required: the keys that are always there.
        closed: it has no other keys than `properties`.
        items: what each item is, if it is a list.
        elements: the items one by one, if the list was written out.
        may_miss: a name that need not be there at all.
        is_seen: known from recorded answers, not from a schema.
    """

    kinds: frozenset[str] = KINDS
    values: tuple[JsonValue, ...] | None = None
    prefix: str = ""
    minimum: float | None = None
    maximum: float | None = None
    properties: "Mapping[str, Shape] | None" = None
    required: frozenset[str] = frozenset()
    closed: bool = False
    items: "Shape | None" = None
    elements: "tuple[Shape, ...] | None" = None
    may_miss: bool = False
    is_seen: bool = False

    def __hash__(self) -> int:
        """Return a hash of what can be hashed."""
        return hash((self.kinds, self.prefix, self.minimum, self.maximum, self.required, self.closed))

    @property
    def is_any(self) -> bool:
        """Whether nothing is known."""
        return self.kinds == KINDS and self.values is None

    def is_only(self, kind: str) -> bool:
        """Whether it can have no other kind."""
        return self.kinds == frozenset({kind})

    def only(self, *kinds: str) -> "Shape":
        """Return the shape with these kinds alone."""
        kept = self.kinds & frozenset(kinds)
        values = self.values
        if values is not None:
            values = tuple(value for value in values if kind_of(value) in kept)
        return replace(self, kinds=kept, values=values)

    def without_null(self) -> "Shape":
        """Return the shape of what is there, if it is not null."""
        if self.is_any:
            return self.there()
        return replace(self.only(*(self.kinds - {"null"})), may_miss=False) if not self.is_only("null") else ANY

    def or_missing(self) -> "Shape":
        """Return the shape as one that need not be there."""
        return replace(self, may_miss=True)

    def there(self) -> "Shape":
        """Return the shape as one that is there."""
        return replace(self, may_miss=False) if self.may_miss else self


ANY = Shape()
NULL = Shape(frozenset({"null"}), values=(None,))
OMITTED = Shape(frozenset(), values=())
"""Of `omit`, which is no value: whatever else an entry may be, it may also be left out."""
TEXT = Shape(frozenset({"string"}))
INTEGER = Shape(frozenset({"integer"}))
NUMBER = Shape(frozenset({"integer", "number"}))
BOOLEAN = Shape(frozenset({"boolean"}))
OBJECT = Shape(frozenset({"object"}))
ARRAY = Shape(frozenset({"array"}))
OF_KIND = {"string": TEXT, "integer": INTEGER, "number": NUMBER, "boolean": BOOLEAN, "object": OBJECT, "array": ARRAY}


def kind_of(value: JsonValue) -> str:  # noqa: PLR0911 (one case a type)
    """Return the JSON type of `value`; a float without a fraction is an integer, as JSON Schema has it."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "integer" if value.is_integer() else "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def constant(value: JsonValue) -> Shape:
    """Return the shape of a value that is known."""
    if isinstance(value, Mapping):
        properties = {key: constant(item) for key, item in cast("JsonMapping", value).items()}
        return written_object(properties)
    if isinstance(value, list):
        return written_list([constant(item) for item in cast("list[JsonValue]", value)])
    return Shape(frozenset({kind_of(value)}), values=(value,), prefix=value if isinstance(value, str) else "")


def one_of(values: Iterable[JsonValue]) -> Shape:
    """Return the shape of one of `values`."""
    return union(constant(value) for value in values)


def written_object(properties: "Mapping[str, Shape]") -> Shape:
    """Return the shape of an object that is written out."""
    return Shape(frozenset({"object"}), properties=properties, required=frozenset(properties), closed=True)


def written_list(elements: Sequence[Shape]) -> Shape:
    """Return the shape of a list that is written out."""
    return Shape(frozenset({"array"}), items=union(elements) if elements else None, elements=tuple(elements))


def text(prefix: str = "") -> Shape:
    """Return the shape of a text that begins with `prefix`."""
    return replace(TEXT, prefix=prefix)


def list_of(items: Shape | None) -> Shape:
    """Return the shape of a list of `items`."""
    return replace(ARRAY, items=items)


def union(shapes: Iterable[Shape]) -> Shape:
    """Return the shape of a value that has one of `shapes`; nothing is known when there are none."""
    result: Shape | None = None
    for shape in shapes:
        result = shape if result is None else _either(result, shape, 0)
    return ANY if result is None else result


def _either(one: Shape, other: Shape, depth: int) -> Shape:
    if one == other:
        return one
    if depth > _MAX_DEPTH or (one.is_any and one.properties is None) or (other.is_any and other.properties is None):
        return replace(ANY, may_miss=one.may_miss or other.may_miss)
    values = None
    if one.values is not None and other.values is not None:
        merged = [*one.values, *(value for value in other.values if not _is_in(value, one.values))]
        values = tuple(merged) if len(merged) <= MAX_VALUES else None
    texts = [shape.prefix for shape in (one, other) if "string" in shape.kinds]
    numbers = [shape for shape in (one, other) if shape.kinds & NUMERIC]
    objects = [shape for shape in (one, other) if "object" in shape.kinds]
    lists = [shape for shape in (one, other) if "array" in shape.kinds]
    properties, required, closed = _either_object(objects, depth)
    items, elements = _either_list(lists, depth)
    return Shape(
        kinds=one.kinds | other.kinds,
        values=values,
        prefix=_common_prefix(texts),
        minimum=_limit([bounds(shape)[0] for shape in numbers], min),
        maximum=_limit([bounds(shape)[1] for shape in numbers], max),
        properties=properties,
        required=required,
        closed=closed,
        items=items,
        elements=elements,
        may_miss=one.may_miss or other.may_miss,
        is_seen=one.is_seen or other.is_seen,
    )


def _is_in(value: JsonValue, values: Sequence[JsonValue]) -> bool:
    return any(type(value) is type(other) and value == other for other in values)


def bounds(shape: Shape) -> tuple[float | None, float | None]:
    """Return the least and the most that a number may be, if that is known."""
    if shape.values is not None:
        numbers = [value for value in shape.values if kind_of(value) in NUMERIC]
        if numbers:
            return min(numbers), max(numbers)
    return shape.minimum, shape.maximum


def _limit(values: "Sequence[float | None]", pick: "Callable[[list[float]], float]") -> float | None:
    known = [value for value in values if value is not None]
    return pick(known) if known and len(known) == len(values) else None


def _common_prefix(texts: Sequence[str]) -> str:
    if not texts:
        return ""
    first, last = min(texts), max(texts)
    for index, letter in enumerate(first):
        if index >= len(last) or last[index] != letter:
            return first[:index]
    return first


def _either_object(objects: Sequence[Shape], depth: int) -> "tuple[Mapping[str, Shape] | None, frozenset[str], bool]":
    known = [shape.properties for shape in objects if shape.properties is not None]
    if not known or len(known) < len(objects):
        return None, frozenset(), False
    if len(objects) == 1:
        return objects[0].properties, objects[0].required, objects[0].closed
    names = dict.fromkeys(name for properties in known for name in properties)
    merged: dict[str, Shape] = {}
    for name in names:
        found = [properties[name] for properties in known if name in properties]
        merged[name] = found[0] if len(found) == 1 else _either(found[0], found[1], depth + 1)
    return merged, objects[0].required & objects[1].required, objects[0].closed and objects[1].closed


def _either_list(lists: Sequence[Shape], depth: int) -> "tuple[Shape | None, tuple[Shape, ...] | None]":
    if len(lists) == 1:
        return lists[0].items, lists[0].elements
    items = [shape.items for shape in lists if shape.items is not None]
    empty = [shape for shape in lists if shape.items is None and shape.elements == ()]
    if not items or len(items) + len(empty) < len(lists):
        return None, None
    return (items[0] if len(items) == 1 else _either(items[0], items[1], depth + 1)), None


def may_equal(shape: Shape, wanted: Shape) -> bool:  # noqa: PLR0911 (one way of being equal after the other)
    """Return whether a value of `shape` may be loosely equal to one of `wanted`, as expectations compare."""
    if shape.is_any or wanted.is_any:
        return True
    if shape.values is not None and wanted.values is not None:
        return any(loosely_equal(one, other) for one in shape.values for other in wanted.values)
    if wanted.values is not None:
        return any(_may_be(shape, value) for value in wanted.values)
    if shape.values is not None:
        return any(_may_be(wanted, value) for value in shape.values)
    if shape.kinds & wanted.kinds:
        return True
    if shape.kinds & NUMERIC and wanted.kinds & NUMERIC:
        return True
    scalars = frozenset({"integer", "number", "boolean", "null"})
    return bool(
        ("string" in shape.kinds and wanted.kinds & scalars) or ("string" in wanted.kinds and shape.kinds & scalars)
    )


def _may_be(shape: Shape, value: JsonValue) -> bool:  # noqa: PLR0911 (one way of being equal after the other)
    if shape.may_miss and value is None:
        return True
    if isinstance(value, str):
        if "string" in shape.kinds and (value.startswith(shape.prefix) or shape.values is not None):
            return shape.values is None or value in shape.values
        spelt = value.strip().lower()
        if "boolean" in shape.kinds and spelt in ("true", "false"):
            return True
        if "null" in shape.kinds and spelt == "null":
            return True
        return bool(shape.kinds & NUMERIC) and _is_number(spelt)
    kind = kind_of(value)
    if kind in NUMERIC and shape.kinds & NUMERIC:
        low, high = bounds(shape)
        if kind == "number" and "number" not in shape.kinds:
            return False
        return (low is None or value >= low) and (high is None or value <= high)
    if kind in shape.kinds:
        return True
    return "string" in shape.kinds and kind not in ("object", "array")


def _is_number(spelt: str) -> bool:
    try:
        float(spelt)
    except ValueError:
        return False
    return True


def described(shape: Shape) -> str:
    """Return the shape in words: `an integer or null`."""
    if shape.values is not None and len(shape.values) <= 3:
        return " or ".join(_shown(value) for value in shape.values) or "nothing"
    if shape.is_any:
        return "anything"
    words = {
        "string": "text", "integer": "an integer", "number": "a number", "boolean": "a boolean",
        "object": "an object", "array": "a list", "null": "null",
    }  # fmt: skip
    kinds = shape.kinds - {"integer"} if "number" in shape.kinds else shape.kinds
    return " or ".join(word for kind, word in words.items() if kind in kinds) or "nothing"


def _shown(value: JsonValue) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else repr(value)
