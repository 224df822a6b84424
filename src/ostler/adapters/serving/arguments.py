"""The arguments of tools: one lenient base, and the types whose JSON Schema a model reads."""

import json
from functools import cache
from typing import Annotated, Any, ClassVar, cast, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic.alias_generators import to_camel

from ostler.model.durations import format_duration, parse_duration
from ostler.model.events import EventKind
from ostler.model.json import JsonObject, JsonValue, parse_json
from ostler.model.sizes import parse_size
from ostler.model.states import HealthStatus, ServiceState


class Args(BaseModel):
    """Base of every tool's arguments, lenient where clients are known to differ.

    Command-line clients send every value as text, so numbers and booleans are read from text, text from numbers,
    lists from `a,b`, objects from JSON text. Strict clients must send every argument, so blanks (`null`, `""`, `[]`,
    `{}`, and `false` where no boolean is wanted) count as not given. Values inside an object, such as a class's
    `args`, are taken as they are: the class decides.

    Attributes:
        meaningful_blanks: names, as callers write them, of arguments that mean something when they are empty.
    """

    meaningful_blanks: ClassVar[frozenset[str]] = frozenset()

    model_config = ConfigDict(
        defer_build=True,
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=False,
        coerce_numbers_to_str=True,
        allow_inf_nan=False,
    )

    @model_validator(mode="before")
    @classmethod
    def _blanks_are_not_given(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        given = cast("dict[str, Any]", value)
        flags = _flags_of(cls)
        return {
            key: item
            for key, item in given.items()
            if not is_blank(item, flag=key in flags) or (key in cls.meaningful_blanks and item is not None)
        }


@cache  # one entry for each of Ostler's own tools
def _flags_of(args: type[Args]) -> frozenset[str]:
    """Return the arguments, as callers write them, that may be booleans."""
    fields = args.model_fields.items()
    return frozenset(field.alias or name for name, field in fields if _takes_boolean(field.annotation))


def _bytes(value: Any) -> Any:
    return parse_size(value) if isinstance(value, str) and value.strip() else value


def _takes_boolean(annotation: Any) -> bool:
    return annotation is bool or bool in get_args(annotation)


def is_blank(value: JsonValue, *, flag: bool = False) -> bool:
    """Whether a client that must send everything says nothing with `value`; `flag`: a boolean is wanted there."""
    if value is False:
        return not flag
    return value is None or value in ("", [], {})


def _object_from_text(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        parsed = parse_json(value)
    except ValueError as error:
        raise ValueError(f"expected an object; this text is not JSON either: {error}") from None
    if not isinstance(parsed, dict):
        raise ValueError("expected an object")  # noqa: TRY004 (pydantic collects ValueErrors only)
    return cast("JsonObject", parsed)


def _list_from_text(value: Any) -> Any:
    items = value
    if isinstance(value, str):
        if value.lstrip().startswith("["):
            try:
                items = parse_json(value)
            except ValueError as error:
                raise ValueError(f"expected a list; this text is not JSON either: {error}") from None
        else:
            items = [part.strip() for part in value.split(",")]
    if isinstance(items, list):
        return [item for item in cast("list[JsonValue]", items) if item not in ("", None)]
    return items


def lower_case(value: Any) -> Any:
    """Return a list in lower case: take `Running` for `running`, as answers for people write it."""
    items = _list_from_text(value)
    if isinstance(items, list):
        return [item.lower() if isinstance(item, str) else item for item in cast("list[JsonValue]", items)]
    return items


def _text_from_object(value: Any) -> Any:
    return json.dumps(value, indent=2) if isinstance(value, dict) else value


def _not_zero(value: float) -> float:
    if value == 0:
        raise ValueError("must be longer than 0s")
    return value


def at_most(limit: float) -> AfterValidator:
    """Return what refuses a duration longer than `limit` seconds."""

    def check(value: float) -> float:
        if value > limit:
            raise ValueError(f"must be at most {format_duration(limit)}")
        return value

    return AfterValidator(check)


FREE_FORM: JsonObject = {"type": "object", "additionalProperties": True}
"""An object with any keys. Exactly this boolean: without it, strict conversions leave no key that could be sent."""


def one_of(*values: str) -> JsonObject:
    """Return the schema of a list of some of `values`."""
    return {"type": "array", "items": {"type": "string", "enum": list(values)}}


JsonArgs = Annotated[dict[str, JsonValue], BeforeValidator(_object_from_text), WithJsonSchema(FREE_FORM)]
"""An object, or a string holding one as JSON."""

ObjectFromText = BeforeValidator(_object_from_text)
"""Takes a string that holds an object as JSON for that object."""

Labels = Annotated[dict[str, str], BeforeValidator(_object_from_text), WithJsonSchema(FREE_FORM)]
"""Label names and their values."""

States = Annotated[
    list[ServiceState], BeforeValidator(lower_case), WithJsonSchema(one_of(*(state.value for state in ServiceState)))
]
"""Service states."""

Size = Annotated[int, BeforeValidator(_bytes), WithJsonSchema({"type": ["integer", "string"]})]
"""Bytes, as a number or such as 512MB."""

Healths = Annotated[
    list[HealthStatus], BeforeValidator(lower_case), WithJsonSchema(one_of(*(status.value for status in HealthStatus)))
]
"""Health values."""

Kinds = Annotated[
    list[EventKind], BeforeValidator(lower_case), WithJsonSchema(one_of(*(kind.value for kind in EventKind)))
]
"""Kinds of events."""

PlainKinds = Annotated[
    list[EventKind], BeforeValidator(lower_case), WithJsonSchema({"type": "array", "items": {"type": "string"}})
]
"""Kinds of events, where another tool's schema lists them."""

Texts = Annotated[
    list[str], BeforeValidator(_list_from_text), WithJsonSchema({"type": "array", "items": {"type": "string"}})
]
"""A list of texts."""

Seconds = Annotated[float, BeforeValidator(parse_duration), WithJsonSchema({"type": "string"})]
"""A duration, in seconds inside; `30s`, `2m` or a number of seconds outside."""

SomeSeconds = Annotated[Seconds, AfterValidator(_not_zero)]
"""A duration longer than nothing."""

Manifest = Annotated[str, BeforeValidator(_text_from_object), Field(max_length=262_144)]
"""A manifest as YAML text (JSON is YAML; an object is taken too)."""

Name = Annotated[str, Field(min_length=1, max_length=253)]
"""A service's, class's or server's name."""
