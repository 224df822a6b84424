"""Errors of muster's own tools: Ostler's texts with muster's phrases for what is missing, unknown or failed."""

import re
from collections.abc import Sequence

from ostler.faces.muster.core_tool import OWN, CoreTool, text_arg
from ostler.faces.muster.exposed_names import CORE
from ostler.model.downstream_errors import DownstreamError, ToolTimeoutError
from ostler.model.errors import (
    ArgumentError,
    ClassUnavailableError,
    ManifestError,
    NotFoundError,
    OstlerError,
    TemplateError,
)
from ostler.model.json import JsonObject

_META = {"tool_list": "list_tools", "tool_describe": "describe_tool", "tool_call": "call_tool"}
_OWN_NAME = re.compile(rf"(?<![\w/])(?:{'|'.join(sorted(OWN, key=len, reverse=True))})\b")
_ARGUMENT = re.compile(r"(missing required|unknown) argument '([^']*)'")
_FRACTION = "expected integer, got number"
_KIND = re.compile(r"(expected [\w ]+, got )(integer|number|boolean|array|object|null)\b")
_KINDS = {
    "integer": "float64", "number": "float64", "boolean": "bool", "array": "[]interface {}",
    "object": "map[string]interface {}", "null": "<nil>",
}  # fmt: skip
_NOT_KNOWN = re.compile(r"'\.([^']+)' is (?:neither an arg|not an output)")
_UNREADABLE = ("invalid type", "invalid value", "unknown field")
_ARGS_FAILED = "arg validation failed: "
_CLASS = "ServiceClass"
_WITH_CLASS_ARGS = ("service_create", "service_validate")
_STEPS = ("start", "stop", "restart")
_ACTS = {f"service_{step}": step for step in _STEPS}


def failure_text(error: OstlerError, tool: CoreTool, args: JsonObject) -> str:
    """Return what a call of `tool` with `args` that failed answers."""
    text = with_core_names(_said(error, tool.name, text_arg(args, "name")))
    is_definition = isinstance(error, (ArgumentError, ManifestError))
    head = tool.invalid if tool.invalid and is_definition else tool.failure
    return f"{head}: {text}" if head else text


def argument_words(problems: Sequence[str]) -> list[str]:
    """Return problems with arguments in muster's words, which has Go's names for the types of values."""
    return [_argument_words(problem) for problem in problems]


def _argument_words(problem: str) -> str:
    text = _ARGUMENT.sub(r"\1 argument: \2", problem).replace(_FRACTION, "expected integer, got float")
    return _KIND.sub(lambda found: found[1] + _KINDS[found[2]], text)


def with_core_names(text: str) -> str:
    """Return `text` with the names under which these callers reach Ostler's tools."""
    return _OWN_NAME.sub(lambda found: _META.get(found[0], f"{CORE}{found[0]}"), text)


def _said(error: OstlerError, tool: str, service: str) -> str:
    text = str(error)
    match error:
        case NotFoundError(kind=kind, name=name):
            return text.replace(f"{kind} {name!r} not found", _not_found(kind, name, tool), 1)
        case ArgumentError(problems=problems):
            return _of_arguments(text, problems, tool)
        case ClassUnavailableError(class_name=name):
            said = f"{_CLASS} {name!r} not available (missing required tools: "
            return text.replace(said, f"{_CLASS} {name} is not available (missing required tools): (", 1)
        case TemplateError(missing=missing):
            names = missing or tuple(_NOT_KNOWN.findall(text))
            which = f"missing template variables: {', '.join(names)}: " if names else ""
            text = f"failed to process {error.step or 'tool'} tool arguments: {which}{text}"
        case DownstreamError() if error.step in _STEPS:
            why = "context deadline exceeded: " if isinstance(error, ToolTimeoutError) else ""
            text = f"{error.step} tool failed: {why}{text}"
        case _:
            pass
    if tool == "service_restart" and error.step in ("start", "stop"):
        text = f"failed to {error.step} service during restart: {text}"
    if (act := _ACTS.get(tool)) is not None:
        return f"failed to {act} service {service}: {text}"
    return f"failed to start ServiceClass instance: {text}" if error.step == "start" else text


def _not_found(kind: str, name: str, tool: str) -> str:
    if kind != _CLASS:
        return f"{kind} '{name}' not found" if tool == "service_get" else f"{kind} {name} not found"
    said = f"service class {name} not found"
    return f"{_CLASS} {name} not found: {said}" if tool in _WITH_CLASS_ARGS else said


def _of_arguments(text: str, problems: Sequence[str], tool: str) -> str:
    for problem, worded in zip(problems, argument_words(problems), strict=True):
        text = text.replace(problem, worded, 1)
    if tool in _WITH_CLASS_ARGS:
        return text
    is_unreadable = any(problem.startswith(_UNREADABLE) for problem in problems)
    return text.replace(_ARGS_FAILED, "failed to parse request: " if is_unreadable else "", 1)
