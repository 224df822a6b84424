"""What a `core_…` tool of muster is: its schema as muster has it, and the function that answers."""

from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias

from msgspec import Struct

from ostler.adapters.serving.problems import near, read_args
from ostler.faces.mcp.definitions import AnyTool, Call
from ostler.faces.mcp.surface import ApplicationLike
from ostler.faces.mcp.toolbox import TOOLS
from ostler.model.errors import ArgumentError
from ostler.model.json import JsonObject, JsonValue, as_object

CoreAnswer: TypeAlias = str | JsonObject
"""A sentence, or an object that is sent as JSON."""

CoreHandler: TypeAlias = Callable[[ApplicationLike, JsonObject, Call], Awaitable[CoreAnswer]]

ArgType: TypeAlias = Literal["string", "boolean", "integer", "number", "object", "array"]

MISSING_ARGUMENT = "{} argument is required"
"""How some of muster's tools report a missing argument."""

OWN: dict[str, AnyTool] = {tool.name: tool for tool in TOOLS}
"""Ostler's own tools by name."""


class CoreTool(Struct, frozen=True):
    """One of muster's own tools.

    Attributes:
        name: without `core_`; the policy calls Ostler's tool of that name by it.
        description: for an agent.
        handler: answers; raises OstlerError.
        args: its arguments: (type, description) by name.
        required: which of them must be given.
        checked: required ones that the handler checks itself.
        missing: how an argument that is missing is reported; `{}` is its name.
        failure: what its errors begin with.
        invalid: what errors about its arguments begin with, if that is something else.
        also: arguments that it accepts but does not list; None accepts any.
        policy: the tool of Ostler's whose policy applies, if that is not `name`.
    """

    name: str
    description: str
    handler: CoreHandler
    args: dict[str, tuple[ArgType, str]] = {}
    required: tuple[str, ...] = ()
    checked: tuple[str, ...] = ()
    missing: str = "{} is required"
    failure: str = ""
    invalid: str = ""
    also: tuple[str, ...] | None = None
    policy: str = ""

    def input_schema(self) -> JsonObject:
        """Return the JSON Schema of its arguments."""
        return schema_of(self.args, (*self.required, *self.checked))

    async def answer(self, app: ApplicationLike, args: JsonObject, call: Call) -> CoreAnswer:
        """Answer a call.

        Raises:
            ArgumentError: a required argument is missing or blank, or there is one that it does not take.
            OstlerError: as its handler.
        """
        if self.also is not None and (unknown := args.keys() - self.args.keys() - set(self.also)):
            named = f"unknown args: [{' '.join(sorted(unknown))}]. Allowed args: [{' '.join(self.args)}]"
            raise ArgumentError([named + "".join(near(name, self.args) for name in sorted(unknown))])
        missing = [name for name in self.required if args.get(name) in (None, "")]
        if missing:
            takes = ", ".join(f"{name} (required)" if name in self.required else name for name in self.args)
            raise ArgumentError(
                [self.missing.format(name) for name in missing], next_actions=(f"core_{self.name} takes {takes}",)
            )
        return await self.handler(app, args, call)


def schema_of(args: dict[str, tuple[ArgType, str]], required: tuple[str, ...] = ()) -> JsonObject:
    """Return the JSON Schema of arguments."""
    properties: JsonObject = {name: _property(kind, about) for name, (kind, about) in args.items()}
    schema: JsonObject = {"type": "object", "properties": properties}
    return {**schema, "required": list(required)} if required else schema


def _property(kind: ArgType, description: str) -> JsonObject:
    found: JsonObject = {"type": kind, "description": description}
    if kind == "object":
        found["additionalProperties"] = True
    if kind == "array":
        found["items"] = {"type": "string"}
    return found


async def own_answer(app: ApplicationLike, tool: str, args: JsonObject, call: Call) -> JsonObject:
    """Return the structured answer of Ostler's own `tool`.

    Raises:
        OstlerError: as the tool.
    """
    definition = OWN[tool]
    return as_object((await definition.handler(app, read_args(tool, definition.args, args), call)).structured)


def text_arg(args: JsonObject, name: str) -> str:
    """Return an argument that is a text; numbers are taken as texts, and nothing is an empty one."""
    value: JsonValue = args.get(name)
    return "" if value is None else str(value)


def flag_arg(args: JsonObject, name: str, *, default: bool = False) -> bool:
    """Return a boolean argument, which command lines send as a text."""
    value: JsonValue = args.get(name)
    return default if value is None or value == "" else str(value).lower() == "true"
