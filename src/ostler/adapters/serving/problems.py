"""Arguments that do not fit, in words: every problem at once, with what was meant and what is accepted."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ostler.adapters.serving.arguments import Args
from ostler.model.errors import ArgumentError
from ostler.model.json import JsonObject, JsonValue, encoded, json_flaw
from ostler.model.states import HealthStatus, ServiceState

MAX_ARGUMENT_BYTES = 1_048_576
"""The largest arguments of one call, as JSON."""

_ArgsT = TypeVar("_ArgsT", bound=Args)

_MACHINERY = ("function-", "constrained-", "tagged-union", "lax-or-strict", "list[", "dict[", "literal[")
"""How pydantic names the inner steps of a check, which no caller knows."""

_UNION_TAGS = ("str", "int", "float", "bool")
"""How pydantic names the members of a union."""

_MEANT = {
    "lines": ("tail", "limit", "count", "last"),
    "search": ("grep", "query", "pattern", "filter"),
    "services": ("names", "name", "service"),
    "manifest": ("yaml", "text", "content", "definition"),
    "directory": ("project",),
    "running": ("ready", "up", "started", "active", "available"),
    "completed": ("complete", "done", "finished", "succeeded", "exited"),
    "stopped": ("down", "exited", "terminated", "dead", "killed"),
    "failed": ("error", "crashed"),
    "deleted": ("gone", "removed"),
    "healthy": ("ok", "passing"),
}
"""Other words for names and values."""

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
    size = len(encoded(given))
    if size > MAX_ARGUMENT_BYTES:
        raise ArgumentError(
            [f"the arguments are {size} bytes of JSON; at most {MAX_ARGUMENT_BYTES} are taken"],
            next_actions=("put large data into a file and pass its path",),
        )
    if flaw := json_flaw(given):
        raise ArgumentError(
            [f"the arguments of {tool} are not JSON: {flaw}"], next_actions=("send it as text where text will do",)
        )
    try:
        return model.model_validate(given)
    except ValidationError as error:
        # Not raised from the error, whose text would repeat the values, secrets among them.
        raise ArgumentError(_problems(error, model), next_actions=(takes(tool, model),)) from None


def accepted_names(model: type[BaseModel]) -> dict[str, bool]:
    """Return the names that `model` takes, each with whether it is required."""
    return {field.alias or name: field.is_required() for name, field in model.model_fields.items()}


def takes(tool: str, model: type[Args]) -> str:
    """Return one phrase that says what `tool` takes."""
    names = [f"{name} (required)" if required else name for name, required in accepted_names(model).items()]
    return f"{tool} takes {', '.join(names)}" if names else f"{tool} takes no arguments"


def near(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean …?` when something in `known` looks like `name`, else nothing."""
    from ostler.model.near_names import close_names  # noqa: PLC0415 (only wanted when something went wrong)

    folded = {candidate.lower(): candidate for candidate in known}
    close = [folded[match] for match in close_names(name.lower(), list(folded), 2)]
    return f"; did you mean {' or '.join(repr(match) for match in close)}?" if close else ""


def meant(word: str, known: Sequence[str]) -> str:
    """Return `; did you mean …?` for a word that is not among `known`, if one of these or another argument has it."""
    for name, words in _MEANT.items():
        if word in words and name in known:
            return f"; did you mean {name!r}?"
    from ostler.model.near_names import other_word  # noqa: PLC0415 (only wanted when something went wrong)

    if name := other_word(word, known):
        return f"; did you mean {name!r}?"
    for argument, values in (("state", ServiceState), ("health", HealthStatus)):
        if word not in known and word in [value.value for value in values]:
            return f"; {word!r} is a value of {argument}"
    return near(word, known)


def _problems(error: ValidationError, model: type[Args]) -> list[str]:
    """Return every problem in words; what pydantic says of each member of a union is one problem."""
    problems: dict[str, str] = {}
    expected: dict[str, list[str]] = {}
    details = error.errors(include_url=False)
    missing = _missing(details)
    for detail in details:
        where, inner = _place(detail["loc"], model)
        wanted = _EXPECTED.get(detail["type"].partition("_")[0])
        if wanted is not None and detail["type"].endswith(("_type", "_parsing")):
            kinds = expected.setdefault(where, [])
            kinds += [] if wanted in kinds else [wanted]
            problems[where] = (
                f"invalid type for argument {where!r}: expected {' or '.join(kinds)}, got {_type_of(detail['input'])}"
            )
        else:
            problems.setdefault(where, _problem(detail, where, inner, missing))
    return list(problems.values())


def _missing(details: Sequence[ErrorDetails]) -> str:
    """Return the one required argument that is missing where one is unknown: that stands for it; else nothing."""
    missing = [str(detail["loc"][0]) for detail in details if detail["type"] == "missing" and len(detail["loc"]) == 1]
    unknown = [detail for detail in details if detail["type"] == "extra_forbidden" and len(detail["loc"]) == 1]
    return missing[0] if len(missing) == len(unknown) == 1 else ""


def _problem(detail: ErrorDetails, where: str, model: type[BaseModel], missing: str) -> str:
    kind = detail["type"]
    if kind == "missing":
        return f"{where} is required"
    if kind == "extra_forbidden":
        outer, _, last = where.rpartition(".")
        names = accepted_names(model)
        hint = f"; did you mean {missing!r}?" if missing and not outer else meant(last, list(names))
        given = detail["input"]
        if not hint and isinstance(given, dict) and given and names.keys() >= cast("JsonObject", given).keys():
            hint = " (what is in it are arguments of their own)"
        if outer and not hint:
            hint = f" ({outer} takes {', '.join(names)})"
        if not hint and _has_free_args(model):
            hint = " (arguments of the class or tool go inside 'args')"
        return f"unknown argument {where!r}{hint}"
    if kind == "enum":
        expected = str(detail.get("ctx", {}).get("expected", "")).replace("'", "").replace(" or ", ", ")
        hint = meant(str(detail["input"]), expected.split(", "))
        return f"invalid value for argument {where!r}: use one of {expected}{hint}"
    message = detail["msg"].removeprefix("Value error, ")
    message = f"{message[:1].lower()}{message[1:]}"
    return f"invalid value for argument {where!r}: {message}" if where else message


def _has_free_args(model: type[BaseModel]) -> bool:
    """Whether `model` passes an object `args` on to something else."""
    field = model.model_fields.get("args")
    return field is not None and get_origin(field.annotation) is dict and "manifest" not in model.model_fields


def _place(loc: tuple[int | str, ...], model: type[BaseModel]) -> tuple[str, type[BaseModel]]:
    """Return where a problem is, as callers write it, and the model that has the last named argument of it."""
    text = ""
    inner = model
    below: type[BaseModel] | None = model
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        if below is None and (part in _UNION_TAGS or part.startswith(_MACHINERY)):
            continue
        text += f".{part}" if text else part
        if below is not None:
            inner = below
            field = next((f for name, f in below.model_fields.items() if part in (f.alias, name)), None)
            below = None if field is None else _model_in(field.annotation)
    return text, inner


def _model_in(annotation: object) -> type[BaseModel] | None:
    """Return the model that an argument holds; None when it holds none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)


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
