"""What the meta-tools share: the request that one answers, and how arguments and answers are read and made."""

import json
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any, cast

from mcp.server import ServerRequestContext
from mcp_types import CallToolResult
from msgspec import Struct

from ostler.faces.mcp.definitions import Call
from ostler.faces.mcp.lifespan import Lifespan
from ostler.faces.mcp.resources import Resources
from ostler.faces.mcp.surface import ApplicationLike
from ostler.faces.muster.core_tool import flag_arg, text_arg
from ostler.faces.muster.dispatch import text_result
from ostler.model.errors import ArgumentError
from ostler.model.json import JsonObject, JsonValue

DEFAULT_LIMIT = 25
"""How many entries a page has when its caller does not say."""


class Request(Struct, frozen=True):
    """One call of a meta-tool: the application, the facts of the call, and the request that it came with."""

    app: ApplicationLike
    call: Call
    context: ServerRequestContext[Lifespan]
    resources: Resources


def case_of(args: JsonObject) -> Callable[[str], str]:
    """Return what texts are compared by: themselves, or in lower case."""
    return str if flag_arg(args, "case_sensitive") else str.lower


def name_filter(args: JsonObject) -> Callable[[str], bool]:
    """Return whether a name fits the argument `pattern`, with `*`, `?` and `[…]`.

    Raises:
        ArgumentError: a `[` in it is not closed.
    """
    fold, pattern = case_of(args), text_arg(args, "pattern")
    if "[" in pattern and "]" not in pattern[pattern.rindex("[") :]:
        raise ArgumentError([f'Invalid pattern "{pattern}": syntax error in pattern: a "[" wants its "]"'])
    return lambda name: not pattern or fnmatchcase(fold(name), fold(pattern))


def number(args: JsonObject, name: str, default: int, *, least: int) -> int:
    """Return a whole number.

    Raises:
        ArgumentError: it is not one, or is less than `least`.
    """
    value: JsonValue = args.get(name)
    if value is None or value == "":
        return default
    try:
        found = int(float(str(value)))
    except (ValueError, OverflowError):
        raise ArgumentError([f"{name} must be a number"]) from None
    if found < least:
        raise ArgumentError([f"{name} must be at least {least}"])
    return found


def json_result(value: JsonValue) -> CallToolResult:
    """Return a result whose text is `value` as JSON for people."""
    return text_result(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def block_json(block: Any) -> JsonObject:
    """Return a content block as JSON; one with data says how much of it there is."""
    found = cast("JsonObject", block.model_dump(mode="json", by_alias=True, exclude_none=True))
    return {**found, "dataSize": len(found["data"])} if isinstance(found.get("data"), str) else found
