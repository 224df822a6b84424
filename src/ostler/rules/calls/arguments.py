"""Checks the arguments of a service against the args that its class declares."""

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ostler.model.errors import ArgumentError, DefinitionError
from ostler.model.json import JsonMapping, JsonObject, JsonValue, json_flaw, parse_json
from ostler.model.manifest import ArgSpec
from ostler.rules.secrets.masking import short_json
from ostler.rules.secrets.secret_marks import marks_in
from ostler.rules.text.patterns import PatternError, search
from ostler.rules.text.work_budget import WorkSpentError, bounded_work, spend

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

_NO_RULES = ("description", "default")
_shown = partial(short_json, limit=60)
_MAX_DEPTH = 4
_MAX_TEXT = 65_536
_EXACT = 2**53 - 1
"""Up to it, whole numbers arrive from every client with all their digits."""
_PLAIN_NUMBER = {
    "integer": re.compile(r"-?(?:0|[1-9][0-9]{0,17})"),
    "number": re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,17})?(?:[eE][-+]?[0-9]{1,3})?"),
}
_TYPES: dict[type[object], str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
    type(None): "null",
}


def validate_args(
    specs: Mapping[str, ArgSpec],
    args: JsonMapping,
    *,
    additional: bool = False,
    numbers_as_text: bool = False,
    folder: str = "",
) -> JsonObject:
    """Return `args` with the defaults filled in.

    An arg that is required and has a default is satisfied by it; a relative path is no default if no folder is known. A
    whole number written as `1.0` becomes an integer if one is required. Many clients send every value as text: one that
    stands for exactly one value of the required type (`"5173"`, `"true"`, `"[1, 2]"`), at any depth, is taken as that;
    nothing else is converted. Models in strict mode send null for what they leave out: an arg that may be left out
    counts as not given then. So does a blank path: as a folder to run in or to serve, it would be the home folder.

    Args:
        specs: the args that the class declares.
        args: those that are given.
        additional: args that are not declared are taken as they are.
        numbers_as_text: a whole number becomes text if text is asked for. A fraction is refused all the same:
            whether 1.1 was written as 1.10 is unknown.
        folder: where relative paths start, of the args that are paths; without it they are refused.

    Raises:
        ArgumentError: with every problem at once; values of secret args are never in it.
    """
    others: JsonObject = {name: value for name, value in args.items() if name not in specs}
    problems = [] if additional else [_unknown(name, specs) for name in others]
    missing: list[str] = []
    complete: JsonObject = others if additional else {}
    for name, spec in specs.items():
        has_default = spec.has_default and (bool(folder) or not spec.path or not _relative_paths(spec.default))
        may_be_left_out = has_default or not spec.required
        is_blank = spec.path and isinstance(args.get(name), str) and not str(args[name]).strip()
        if name in args and not is_blank and not (may_be_left_out and args[name] is None):
            value = as_meant(spec, args[name], numbers_as_text=numbers_as_text)
            found = list(value_problems(name, spec, value))
            problems += found
            complete[name] = _whole(value) if spec.type == "integer" and not found else value
        elif has_default:
            complete[name] = spec.default
        elif spec.required:
            missing.append(name)
            problems.append(f"missing required argument '{name}'")
        if spec.path and name in complete:
            complete[name] = _located(complete[name], folder)
            for path in _relative_paths(complete[name]):
                shown = "it" if spec.secret else _shown(path)
                reason = "the folder that it starts from is not known; give the whole path"
                problems.append(f"argument '{name}': {shown} is relative, and {reason}")
    if problems:
        raise ArgumentError(problems, missing=missing)
    return complete


def _located(value: JsonValue, folder: str) -> JsonValue:
    """Return a path, or a list of them, with relative ones taken from `folder`; `~` and secrets stay as they are."""
    if isinstance(value, list):
        return [_located(item, folder) for item in cast("list[JsonValue]", value)]
    return os.path.normpath(Path(folder) / str(value)) if folder and _relative_paths(value) else value


def _relative_paths(value: JsonValue) -> list[str]:
    paths = cast("list[JsonValue]", value) if isinstance(value, list) else [value]
    return [
        path
        for path in paths
        if isinstance(path, str) and path and not (path.startswith("~") or Path(path).is_absolute() or marks_in(path))
    ]


def args_json_schema(specs: Mapping[str, ArgSpec], *, additional: bool = False) -> JsonObject:
    """Return the JSON Schema (draft 2020-12) of a class's arguments."""
    schema: JsonObject = {
        "type": "object",
        "properties": {name: spec.json_schema() for name, spec in specs.items()},
        "additionalProperties": additional,
    }
    required = [name for name, spec in specs.items() if spec.required and not spec.has_default]
    if required:
        schema["required"] = required
    return schema


def as_meant(spec: ArgSpec, value: JsonValue, *, numbers_as_text: bool = False) -> JsonValue:
    """Return `value` with each text that stands for a value of the type asked for as that value; see validate_args."""
    for _ in range(_MAX_DEPTH):  # a list written as text may hold numbers written as text
        try:
            misread = [error for error in _errors(spec, value) if error.validator == "type"]
        except DefinitionError:  # what cannot be checked is reported by value_problems
            return value
        changed = False
        for error in misread:
            meant = _meant(error.instance, error.validator_value, numbers_as_text=numbers_as_text)
            if meant is not None:
                value = _replaced(value, list(error.path), meant)
                changed = True
        if not changed:
            return value
    return value


def _meant(value: JsonValue, kinds: JsonValue, *, numbers_as_text: bool) -> JsonValue:
    """Return the one value of the type `kinds` that `value` stands for, or None."""
    if numbers_as_text and type(value) is int and abs(value) <= _EXACT and "string" in kinds:
        return str(value)
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        return None
    text = value.strip()
    for kind in cast("list[JsonValue]", kinds) if isinstance(kinds, list) else [kinds]:
        meant: JsonValue = None
        if kind == "boolean":
            meant = {"true": True, "false": False}.get(text.lower())
        elif kind in ("integer", "number") and _PLAIN_NUMBER[kind].fullmatch(text):
            meant = int(text) if _PLAIN_NUMBER["integer"].fullmatch(text) else float(text)
        elif kind in ("array", "object") and text[:1] == {"array": "[", "object": "{"}[kind]:
            with contextlib.suppress(ValueError):
                meant = parse_json(text)
        if meant is not None and not json_flaw(meant):
            return meant
    return None


def _replaced(value: JsonValue, path: Sequence[str | int], meant: JsonValue) -> JsonValue:
    if not path:
        return meant
    first, rest = path[0], path[1:]
    if isinstance(value, list):
        items = cast("list[JsonValue]", value)
        return [_replaced(item, rest, meant) if index == first else item for index, item in enumerate(items)]
    parts = cast("JsonMapping", value)
    return {key: _replaced(item, rest, meant) if key == first else item for key, item in parts.items()}


def value_problems(name: str, spec: ArgSpec, value: JsonValue) -> Iterator[str]:
    """Yield what is wrong with `value` for the argument `name`, in words that name no secret."""
    if flaw := json_flaw(value):
        yield f"argument '{name}' is not JSON: {flaw}"
        return
    try:
        errors = _errors(spec, value)
        mistyped = [error.path for error in errors if error.validator == "type"]
        errors = [error for error in errors if error.validator == "type" or error.path not in mistyped]
        errors = [error for error in errors if error.validator == "type" or not _is_elsewhere(error.instance)]
        for error in sorted(errors, key=lambda error: [str(part) for part in error.path]):
            yield _problem(name, spec, error)
    except DefinitionError as error:
        yield f"argument '{name}'{error}"


def _errors(spec: ArgSpec, value: JsonValue) -> "list[ValidationError]":
    rules = {key: part for key, part in spec.json_schema().items() if key not in _NO_RULES}
    with suppress(PatternError, WorkSpentError), bounded_work():
        if _plainly_satisfies(rules, value):
            return []
    from ostler.rules.calls.bounded_schemas import schema_errors  # noqa: PLC0415 (jsonschema: not loaded at the start)

    return schema_errors(rules, value)


def _plainly_satisfies(rules: JsonMapping | bool, value: JsonValue) -> bool:
    """Return whether a value keeps the simplest rules, those of most args, for which jsonschema is not loaded.

    Its 35 ms and 2.5 MiB are more than most classes need. What is not plain, or wrong, is left to it.

    Raises:
        PatternError, WorkSpentError: it takes too much work.
    """
    kind = _TYPES.get(type(cast("object", value)))
    if not isinstance(rules, Mapping) or kind in ("number", "null") or kind != rules.get("type"):
        return False
    return all(_plainly_keeps(key, limit, value) for key, limit in rules.items())


def _plainly_keeps(key: str, limit: JsonValue, value: JsonValue) -> bool:
    keeps = key == "type"
    if isinstance(value, str) and key == "enum":
        keeps = value in limit
    elif isinstance(value, str) and key == "pattern":
        spend()
        keeps = search(limit, value) is not None
    elif type(value) is int and key == "minimum":
        keeps = value >= limit
    elif type(value) is int and key == "maximum":
        keeps = value <= limit
    elif isinstance(value, list) and key == "items":
        keeps = all(_plainly_satisfies(limit, item) for item in cast("list[JsonValue]", value))
    return keeps


def _is_elsewhere(value: JsonValue) -> bool:
    """Whether `value` has marks of secrets, whose text is not known here."""
    return isinstance(value, str) and bool(marks_in(value))


def _problem(name: str, spec: ArgSpec, error: "ValidationError") -> str:
    label = name + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.path)
    value: JsonValue = error.instance
    shown = "it" if spec.secret else _shown(value)
    limit: JsonValue = error.validator_value
    match error.validator:
        case "type":
            text = f"invalid type for argument '{label}': expected {_expected(limit)}, got {_got(value, spec.secret)}"
            if "string" in limit and type(value) in (int, float):
                text += "; write it in quotes, since a number loses the zeros around it"
        case "enum":
            allowed = ", ".join(_shown(item) for item in limit)
            text = f"argument '{label}': {shown} is not one of {allowed}"
        case "pattern":
            text = f"argument '{label}': {shown} does not match the pattern {limit!r}"
        case "minimum":
            text = f"argument '{label}': {shown} is less than the minimum of {_number(limit)}"
        case "maximum":
            text = f"argument '{label}': {shown} is greater than the maximum of {_number(limit)}"
        case _ if spec.secret:
            text = f"argument '{label}' does not satisfy {error.validator!r} of its schema"
        case _:
            text = f"argument '{label}': {error.message[:300]}"
    return text


def _unknown(name: str, specs: Mapping[str, ArgSpec]) -> str:
    from ostler.model.near_names import did_you_mean  # noqa: PLC0415 (only wanted when something went wrong)

    close = did_you_mean(name, list(specs))
    hint = f"; {close}" if close else ""
    known = f"known: {', '.join(specs)}" if specs else "the class takes no arguments"
    return f"unknown argument '{name}'{hint} ({known})"


def _whole(value: JsonValue) -> JsonValue:
    return int(value) if isinstance(value, float) else value


def _expected(kind: JsonValue) -> str:
    return " or ".join(map(str, cast("list[JsonValue]", kind))) if isinstance(kind, list) else str(kind)


def _got(value: JsonValue, secret: bool) -> str:
    kind = next((word for kind, word in _TYPES.items() if type(value) is kind), "something else")
    return kind if secret or value is None else f"{kind} {_shown(value)}"


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else str(value)
