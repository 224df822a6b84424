"""JSON Schemas whose regular expressions are searched for within the time limit of every pattern."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend  # pyright: ignore[reportUnknownVariableType]
from referencing import Registry
from referencing.exceptions import Unresolvable

from ostler.model.errors import DefinitionError
from ostler.model.json import JsonMapping, JsonValue
from ostler.rules.text.patterns import PatternError, search


def schema_errors(schema: JsonMapping, value: JsonValue) -> list[ValidationError]:
    """Return where `value` breaks `schema` (draft 2020-12).

    Raises:
        DefinitionError: the schema refers to what is not there, or cannot be followed; the text continues a sentence
            about the value.
    """
    validator = _validator_class()(schema, registry=Registry[Any]())
    try:
        return cast("list[ValidationError]", list(validator.iter_errors(value)))  # pyright: ignore[reportUnknownMemberType]
    except Unresolvable as error:
        raise DefinitionError(f": the class's schema refers to {error.ref!r}, which does not exist") from None
    except (RecursionError, ArithmeticError) as error:
        raise DefinitionError(f" cannot be checked ({type(error).__name__})") from None


def _bounded_pattern(_validator: Validator, pattern: str, value: object, _schema: object) -> Iterator[ValidationError]:
    """The `pattern` keyword, with the time limit of every search."""
    if not isinstance(value, str):
        return
    try:
        if search(pattern, value) is None:
            yield ValidationError(f"{value!r} does not match {pattern!r}")
    except PatternError as error:
        yield ValidationError(str(error), validator="pattern limit")


def _bounded_pattern_properties(
    validator: Validator, patterns: JsonMapping, value: object, _schema: object
) -> Iterator[ValidationError]:
    """The `patternProperties` keyword, with the time limit of every search."""
    for name, part in cast("JsonMapping", value).items() if isinstance(value, Mapping) else ():
        for pattern, schema in patterns.items():
            if _is_found(pattern, name):
                yield from _descend(validator, part, schema, path=name, schema_path=pattern)


def _bounded_additional_properties(
    validator: Validator, others: JsonValue, value: object, schema: JsonMapping
) -> Iterator[ValidationError]:
    """The `additionalProperties` keyword, with the time limit of every search."""
    listed, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name, part in cast("JsonMapping", value).items() if isinstance(value, Mapping) else ():
        if name in listed or any(_is_found(pattern, name) for pattern in patterns):
            continue
        if isinstance(others, Mapping):
            yield from _descend(validator, part, others, path=name)
        elif others is False:
            yield ValidationError(f"Additional properties are not allowed ({name!r} was unexpected)")


def _is_found(pattern: str, text: str) -> bool:
    try:
        return search(pattern, text) is not None
    except PatternError:
        return False


def _descend(validator: Validator, *args: Any, **keys: Any) -> Iterator[ValidationError]:
    return cast("Any", validator).descend(*args, **keys)


@lru_cache(maxsize=1)
def _validator_class() -> type[Draft202012Validator]:
    bounded = {
        "pattern": _bounded_pattern,
        "patternProperties": _bounded_pattern_properties,
        "additionalProperties": _bounded_additional_properties,
    }
    return cast("type[Draft202012Validator]", extend(Draft202012Validator, bounded))
