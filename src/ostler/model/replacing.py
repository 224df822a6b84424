"""Frozen values with some fields replaced, for those that are replaced many times during one operation."""

from collections.abc import Callable
from dataclasses import fields
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar

_T = TypeVar("_T")

_Set = Callable[[object, object], None]


def replaced(value: _T, **changes: object) -> _T:
    """Return a copy of a frozen dataclass with slots, as `dataclasses.replace` does, without calling its `__init__`.

    It is `value` itself if each field has the very object already: half of what a start sets is as it was.

    A start replaces its records more than thirty times; for the 36 fields of a `ServiceRecord` this takes a quarter of
    the time (54 µs with `dataclasses.replace`, 13 µs so).

    Raises:
        TypeError: it has no such field.
    """
    kind = type(value)
    read, setters, by_name = _fields_of(kind)
    for name in changes:
        if name not in by_name:
            raise TypeError(f"{kind.__name__} has no field {name!r}")
    if all(getattr(value, name) is new for name, new in changes.items()):
        return value
    made = object.__new__(kind)
    for put, kept in zip(setters, read(value), strict=True):
        put(made, kept)
    for name, new in changes.items():
        by_name[name](made, new)
    return made


@cache
def _fields_of(kind: Any) -> tuple[Callable[[object], tuple[object, ...]], tuple[_Set, ...], dict[str, _Set]]:
    """Return what reads all fields of a class of values, what sets each, and that by its name."""
    assert not hasattr(kind, "__post_init__"), f"{kind.__name__} does more than keep its fields"
    names = [field.name for field in fields(kind)]
    by_name: dict[str, _Set] = {name: getattr(kind, name).__set__ for name in names}
    read = attrgetter(*names)
    return (read if len(names) > 1 else lambda value: (read(value),)), tuple(by_name.values()), by_name
