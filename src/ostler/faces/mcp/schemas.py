"""Argument models and small JSON Schemas: what a tool takes and gives, with as few tokens as it can be said."""

import json
from typing import Annotated, Any, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic.alias_generators import to_camel

from ostler.model.durations import parse_duration
from ostler.model.json import JsonObject, JsonValue
from ostler.model.states import HealthStatus, ServiceState


class Args(BaseModel):
    """Base of every tool's arguments.

    The top level is lenient where clients are known to differ (command-line clients send every value as text, some
    models send `null` for what they leave out): numbers and booleans are read from text, text from numbers, lists
    from `a,b`, objects from JSON text, and `null` counts as not given. Values inside an object, such as a class's
    `args`, are taken as they are: the class decides.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=False,
        coerce_numbers_to_str=True,
        allow_inf_nan=False,
    )

    @model_validator(mode="before")
    @classmethod
    def _null_is_not_given(cls, value: Any) -> Any:
        if isinstance(value, dict):
            given = cast("dict[str, Any]", value)
            return {key: item for key, item in given.items() if item is not None}
        return value


def _object_from_text(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if not value.strip():
        return {}
    try:
        parsed = json.loads(value)
    except ValueError as error:
        raise ValueError(f"expected an object; this text is not JSON either: {error}") from None
    if not isinstance(parsed, dict):
        raise ValueError("expected an object")  # noqa: TRY004 (pydantic collects ValueErrors only)
    return cast("JsonObject", parsed)


def _list_from_text(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except ValueError as error:
            raise ValueError(f"expected a list; this text is not JSON either: {error}") from None
    return [part.strip() for part in value.split(",") if part.strip()]


def _text_from_object(value: Any) -> Any:
    return json.dumps(value, indent=2) if isinstance(value, dict) else value


_TEXTS: JsonObject = {"type": "array", "items": {"type": "string"}}

JsonArgs = Annotated[dict[str, JsonValue], BeforeValidator(_object_from_text), WithJsonSchema({"type": "object"})]
"""An object, or a string holding one as JSON."""


def _outputs_from_flag(value: Any) -> Any:
    return {} if value is True or value == "true" else _object_from_text(value)


Outputs = Annotated[dict[str, JsonValue], BeforeValidator(_outputs_from_flag), WithJsonSchema({"type": "object"})]
"""Values by name; `true` stands for none."""

Labels = Annotated[dict[str, str], BeforeValidator(_object_from_text), WithJsonSchema({"type": "object"})]
"""Label names and their values."""

States = Annotated[list[ServiceState], BeforeValidator(_list_from_text), WithJsonSchema(_TEXTS)]
"""Service states."""

Healths = Annotated[list[HealthStatus], BeforeValidator(_list_from_text), WithJsonSchema(_TEXTS)]
"""Health values."""

Texts = Annotated[list[str], BeforeValidator(_list_from_text), WithJsonSchema(_TEXTS)]
"""A list of names."""

Seconds = Annotated[float, BeforeValidator(parse_duration), WithJsonSchema({"type": "string"})]
"""A duration, in seconds inside; `30s`, `2m` or a number of seconds outside."""

Manifest = Annotated[str, BeforeValidator(_text_from_object), Field(max_length=262_144)]
"""A manifest as YAML text (JSON is YAML; an object is taken too)."""

Name = Annotated[str, Field(min_length=1, max_length=253)]
"""A service's, class's or server's name."""

_NOISE = ("title", "default", "maxLength", "minLength", "exclusiveMinimum")


def input_schema(model: type[Args]) -> JsonObject:
    """Return the JSON Schema of a tool's arguments without titles, defaults of nothing and nullable wrappers."""
    schema = model.model_json_schema(by_alias=True)
    properties: JsonObject = {}
    for name, field in schema.get("properties", {}).items():
        properties[name] = _compact(field)
    result: JsonObject = {"type": "object", "properties": properties}
    if schema.get("required"):
        result["required"] = schema["required"]
    result["additionalProperties"] = False
    return result


def _compact(field: JsonObject) -> JsonObject:
    options = field.get("anyOf")
    if options:
        kept = [option for option in options if option.get("type") != "null"]
        field = {**kept[0], **{key: value for key, value in field.items() if key != "anyOf"}}
    compact = {key: value for key, value in field.items() if key not in _NOISE}
    default = field.get("default")
    if default not in (None, "", [], {}) and default is not False:
        compact["default"] = default
    return compact


TEXT: JsonObject = {"type": "string"}
NUMBER: JsonObject = {"type": "integer"}
FLAG: JsonObject = {"type": "boolean"}
OBJECT: JsonObject = {"type": "object"}
LIST: JsonObject = {"type": "array"}


def answer(required: dict[str, JsonObject], optional: dict[str, JsonObject] | None = None) -> JsonObject:
    """Return the output schema of a tool.

    An answer has the `required` keys, or `error`: common clients hold structured content against the schema even
    when the result is an error.
    """
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "anyOf": [{"required": list(required)}, {"required": ["error"]}],
    }


def record(*names: str) -> JsonObject:
    """Return a schema of an object with the text keys `names`."""
    return {"type": "object", "properties": dict.fromkeys(names, TEXT)}


def listing(*names: str) -> JsonObject:
    """Return a schema of a list of objects with the text keys `names`."""
    return {"type": "array", "items": record(*names)}
