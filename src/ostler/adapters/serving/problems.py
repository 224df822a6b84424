"""Arguments that do not fit, in words: every problem at once, with what was meant and what is accepted."""

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ostler.adapters.serving.arguments import Args
from ostler.model.errors import ArgumentError
from ostler.model.json import JsonValue

MAX_ARGUMENT_BYTES = 1_048_576
"""The largest arguments of one call, as JSON."""

_ArgsT = TypeVar("_ArgsT", bound=Args)

_MACHINERY = ("function-", "constrained-", "tagged-union", "lax-or-strict")
"""How pydantic names the inner steps of a check, which no caller knows."""

_EXPECTED = {
    "string": "string",
    "bool": "boolean",
    "int": "integer",
    "float": "number",
    "dict": "object",
    "list": "array",
}


def read_args(tool: str, model: type[_ArgsT], arguments: Mapping[str, Any] | None) -> _ArgsT:
    """Return the arguments of a call to `tool` as its model.

    Raises:
        ArgumentError: they do not fit; the error lists every problem and what the tool takes.
    """
    given = dict(arguments or {})
    size = len(json.dumps(given, default=str))
    if size > MAX_ARGUMENT_BYTES:
        raise ArgumentError(
            [f"the arguments are {size} bytes of JSON; at most {MAX_ARGUMENT_BYTES} are taken"],
            next_actions=("put large data into a file and pass its path",),
        )
    try:
        return model.model_validate(given)
    except ValidationError as error:
        accepted = accepted_names(model)
        problems = [_problem(detail, accepted) for detail in error.errors(include_url=False)]
        raise ArgumentError(problems, next_actions=(takes(tool, model),)) from None


def accepted_names(model: type[Args]) -> dict[str, bool]:
    """Return the names that `model` takes, each with whether it is required."""
    return {field.alias or name: field.is_required() for name, field in model.model_fields.items()}


def takes(tool: str, model: type[Args]) -> str:
    """Return one phrase that says what `tool` takes."""
    names = [f"{name} (required)" if required else name for name, required in accepted_names(model).items()]
    return f"{tool} takes {', '.join(names)}" if names else f"{tool} takes no arguments"


def near(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean …?` when something in `known` looks like `name`, else nothing."""
    folded = {candidate.lower(): candidate for candidate in known}
    close = [folded[match] for match in difflib.get_close_matches(name.lower(), list(folded), n=2)]
    return f"; did you mean {' or '.join(repr(match) for match in close)}?" if close else ""


def _problem(detail: ErrorDetails, accepted: Mapping[str, bool]) -> str:
    where = _place(detail["loc"])
    kind = detail["type"]
    if kind == "missing":
        return f"{where} is required"
    if kind == "extra_forbidden":
        hint = near(where, accepted)
        if not hint and "args" in accepted:
            hint = " (arguments of the class or tool go inside 'args')"
        return f"unknown argument {where!r}{hint}"
    if kind == "enum":
        expected = str(detail.get("ctx", {}).get("expected", "")).replace("'", "").replace(" or ", ", ")
        return f"invalid value for argument {where!r}: use one of {expected}"
    family = kind.partition("_")[0]
    if kind.endswith(("_type", "_parsing")) and family in _EXPECTED:
        return f"invalid type for argument {where!r}: expected {_EXPECTED[family]}, got {_type_of(detail['input'])}"
    message = detail["msg"].removeprefix("Value error, ")
    return f"invalid value for argument {where!r}: {message[:1].lower()}{message[1:]}"


def _place(loc: tuple[int | str, ...]) -> str:
    text = ""
    for part in loc:
        if isinstance(part, str) and part.startswith(_MACHINERY):
            continue
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _type_of(value: JsonValue) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"
