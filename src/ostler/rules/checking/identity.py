"""Calls that would mean another service, or all of them: nothing in them says which one is meant."""

import re
from collections.abc import Iterator, Mapping
from typing import cast

from ostler.model.json import JsonMapping, JsonValue
from ostler.model.manifest import ToolCallSpec
from ostler.rules.checking.tool_lists import ToolSchema
from ostler.rules.templates.template import optional_names, referenced_names

_IDENTIFIERS = re.compile(
    r"(?:^|[_-])(?i:id|uid|uuid|pid|sid|name|key|handle|ref|token|slug)s?$"
    r"|[a-z](?:I[dD]|U?U[iI][dD]|P[iI][dD]|Name|Key|Handle|Ref|Token|Slug)s?$"
    r"|(?i:session|process|container|sandbox|job|task|instance|device|kernel|browser|terminal)(?i:id|name)$"
)
_OF_OTHERS = re.compile(r"(?i:^|[_-])(?i:file|user|host|output|display|auth|access|api)[_-]?(?i:id|name|token|key)$")
"""Names of things that a call uses, not of the thing that it is about."""

_THINGS = frozenset(
    ("session", "connection", "container", "process", "job", "instance", "browser", "kernel", "terminal", "agent",
     "pane", "window", "sandbox", "vm", "machine", "pod", "task", "tunnel", "worker", "service")
)  # fmt: skip
"""What parameters of stops are called that take the name or the id of a thing, and do not say so."""

_ENDING = ("stop", "restart")
_ASKING = ("status", "find")


def is_identifier(name: str) -> bool:
    """Whether a parameter's name says which one is meant (`id`, `branchId`, `container_name`)."""
    return _IDENTIFIERS.search(name) is not None and _OF_OTHERS.search(name) is None


def unnamed_parameter(step: str, call: ToolCallSpec, tool: ToolSchema) -> str:
    """Return the parameter of `tool` that could say which service is meant, when nothing in the call of `step` does.

    Returns:
        its name; '' when the call says which one, or the tool cannot be determined.
    """
    said: list[JsonValue] = []
    if step in _ASKING:
        parts = (call.expect, call.expect_not, call.batch)
        said += [part.model_dump(mode="json") for part in parts if part is not None]
    elif step not in _ENDING:
        return ""
    if any(referenced_names(value) | optional_names(value) for value in (call.args, *said)):
        return ""
    named = next((name for name in _parameters(tool.input_schema) if is_identifier(name)), "")
    return named or (_thing_parameter(tool.input_schema) if step in _ENDING else "")


def _thing_parameter(schema: JsonMapping) -> str:
    """Return the parameter that takes a text and is called what the thing is (`connection`); '' when there is none."""
    listed = cast("JsonMapping", schema.get("properties") or {})
    return next(
        (
            name
            for name, known in listed.items()
            if name.lower() in _THINGS
            and isinstance(known, Mapping)
            and cast("JsonMapping", known).get("type") in ("string", "integer")
            and "enum" not in known
        ),
        "",
    )


def _parameters(schema: JsonMapping) -> Iterator[str]:
    """Yield the names of a tool's parameters, and of those within objects."""
    listed = schema.get("properties")
    if isinstance(listed, Mapping):
        for name, inner in cast("JsonMapping", listed).items():
            yield name
            if isinstance(inner, Mapping):
                yield from _parameters(cast("JsonMapping", inner))
