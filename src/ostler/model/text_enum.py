"""Enumerations of texts."""

from enum import StrEnum
from operator import attrgetter
from typing import TYPE_CHECKING


class TextEnum(StrEnum):
    """A `StrEnum` whose `value` is read without two calls of Python functions: a stop reads 60 of them."""

    if not TYPE_CHECKING:
        value = property(attrgetter("_value_"))
