"""JSON Schemas that are checked within a budget of work, their regular expressions included."""

from collections.abc import Callable, Hashable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any, Final, TypeAlias, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend  # pyright: ignore[reportUnknownVariableType]
from referencing import Registry
from referencing.exceptions import Unresolvable

from ostler.model.errors import DefinitionError
from ostler.model.json import JsonMapping, JsonValue
from ostler.rules.text.patterns import PatternError, search
from ostler.rules.text.work_budget import WorkSpentError, bounded_work, spend

Keyword: TypeAlias = Callable[[Validator, Any, Any, Any], "Iterator[ValidationError] | None"]

MAX_ERRORS: Final = 50
"""How many errors of one value are looked for."""


def schema_errors(schema: JsonMapping, value: JsonValue) -> list[ValidationError]:
    """Return where `value` breaks `schema` (draft 2020-12).

    Raises:
        DefinitionError: the schema refers to what is not there, cannot be followed, or takes too much work; the text
            continues a sentence about the value.
    """
    validator = _validator_class()(schema, registry=Registry[Any]())
    try:
        with bounded_work():
            errors = cast("Iterator[ValidationError]", validator.iter_errors(value))  # pyright: ignore[reportUnknownMemberType]
            return list(islice(errors, MAX_ERRORS))
    except WorkSpentError as error:
        raise DefinitionError(f" {error} to be checked; give less of it") from None
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


def _unique_items(_validator: Validator, rule: object, value: object, _schema: object) -> Iterator[ValidationError]:
    """The `uniqueItems` keyword, in a time that grows with the list and not with its square."""
    if rule is not True or not isinstance(value, list):
        return
    items = cast("list[JsonValue]", value)
    if len({_comparable(item) for item in items}) < len(items):
        yield ValidationError(f"{value!r} has non-unique elements")


def _comparable(value: JsonValue) -> Hashable:
    """Return a key that is equal for equal JSON values only: 1 and 1.0 are equal, 1 and true are not."""
    if isinstance(value, Mapping):
        return frozenset((key, _comparable(part)) for key, part in cast("JsonMapping", value).items())
    if isinstance(value, list):
        return tuple(_comparable(part) for part in cast("list[JsonValue]", value))
    return (type(value), value) if isinstance(value, bool) else value


def _is_found(pattern: str, text: str) -> bool:
    try:
        return search(pattern, text) is not None
    except PatternError:
        return False


def _descend(validator: Validator, *args: Any, **keys: Any) -> Iterator[ValidationError]:
    return cast("Any", validator).descend(*args, **keys)


@lru_cache(maxsize=1)
def _validator_class() -> type[Draft202012Validator]:
    keywords: dict[str, Keyword] = {
        **cast("Any", Draft202012Validator).VALIDATORS,
        "pattern": _bounded_pattern,
        "patternProperties": _bounded_pattern_properties,
        "additionalProperties": _bounded_additional_properties,
        "uniqueItems": _unique_items,
    }
    bounded = {name: _spending(keyword) for name, keyword in keywords.items()}
    return cast("type[Draft202012Validator]", extend(Draft202012Validator, bounded))


def _spending(keyword: Keyword) -> Keyword:
    """Return `keyword` as a validator that checks the budget at each use."""

    def bounded(validator: Validator, rule: Any, value: Any, schema: Any) -> "Iterator[ValidationError] | None":
        spend()
        return keyword(validator, rule, value, schema)

    return bounded
