"""Tools that add, change and remove downstream servers while Ostler runs."""

from typing import Annotated

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from ostler.adapters.serving.answers import Answer, finding_json, finding_lines
from ostler.adapters.serving.arguments import Args, JsonArgs, Labels, Name, SomeSeconds, Texts
from ostler.adapters.serving.schemas import answer
from ostler.adapters.serving.table import Effect, ToolDefinition
from ostler.faces.mcp.definitions import Call
from ostler.faces.mcp.downstream_tools import server_line
from ostler.faces.mcp.surface import ApplicationLike
from ostler.model.errors import ArgumentError
from ostler.model.json import JsonObject

ServerName = Annotated[Name, Field(description="the server")]


_HiddenTexts = SkipJsonSchema[Texts]
_HiddenLabels = SkipJsonSchema[Labels]


class EntryArgs(Args):
    """A server's entry, as in mcp.json. What few need is not in the schema, which every chat pays for."""

    name: Annotated[Name, Field(description="e.g. docker")]
    command: str = Field(default="", description="program, e.g. npx")
    args: Texts = Field(default_factory=list, description="its arguments")
    env: Labels = Field(default_factory=dict, description="its variables")
    url: str = Field(default="", description="of a remote one, instead of command")
    headers: Labels = Field(default_factory=dict, description="sent to url")
    type: SkipJsonSchema[str] = ""
    timeout: SkipJsonSchema[SomeSeconds | None] = None
    auto_start: SkipJsonSchema[bool | None] = None
    tool_prefix: SkipJsonSchema[str] = ""
    description: SkipJsonSchema[str] = ""

    def entry(self) -> JsonObject:
        """Return the keys that were given, as mcp.json has them."""
        keys = ("command", "args", "env", "url", "headers", "type")
        found: JsonObject = {key: value for key in keys if (value := getattr(self, key))}
        own: JsonObject = {
            "timeout": self.timeout,
            "autoStart": self.auto_start,
            "toolPrefix": self.tool_prefix or None,
            "description": self.description or None,
        }
        own = {key: value for key, value in own.items() if value is not None}
        return {**found, **({"ostler": own} if own else {})}


class EntryObjectArgs(EntryArgs):
    """The same with the entry as one object; its keys are taken besides `name` too."""

    name: ServerName
    given: JsonArgs = Field(default_factory=dict, alias="entry", description="keys as mcpserver_create takes them")
    command: SkipJsonSchema[str] = ""
    args: _HiddenTexts = Field(default_factory=list)
    env: _HiddenLabels = Field(default_factory=dict)
    url: SkipJsonSchema[str] = ""
    headers: _HiddenLabels = Field(default_factory=dict)

    def entry(self) -> JsonObject:
        """Return the keys that were given, as mcp.json has them."""
        return {**self.given, **super().entry()}


async def mcpserver_create(app: ApplicationLike, args: EntryArgs, call: Call) -> Answer:
    """Add a downstream server."""
    del call
    return _shown("was added", await app.server_changes.add(args.name, _complete(args)))


async def mcpserver_update(app: ApplicationLike, args: EntryObjectArgs, call: Call) -> Answer:
    """Change a downstream server's entry."""
    del call
    changes = args.entry()
    if not changes:
        raise ArgumentError(
            ["nothing to change was given"],
            next_actions=("give the keys that change in 'entry', such as {\"disabled\": false}",),
        )
    return _shown("was changed", await app.server_changes.change(args.name, changes))


async def mcpserver_validate(app: ApplicationLike, args: EntryObjectArgs, call: Call) -> Answer:
    """Say whether an entry could be added."""
    del call
    findings = await app.server_changes.check(args.name, _complete(args))
    errors = [finding for finding in findings if finding.severity == "error"]
    structured: JsonObject = {"valid": not errors, "findings": [finding_json(finding) for finding in findings]}
    head = f"the entry of MCP server {args.name} is {'not ' if errors else ''}valid"
    return Answer(structured, "\n".join([head, *finding_lines(findings)]))


class ServerDeleteArgs(Args):
    """Arguments of mcpserver_delete."""

    name: ServerName
    force: bool = Field(default=False, description="though services use it")


async def mcpserver_delete(app: ApplicationLike, args: ServerDeleteArgs, call: Call) -> Answer:
    """Remove a downstream server."""
    del call
    await app.server_changes.remove(args.name, force=args.force)
    message = f"MCP server {args.name} was removed"
    return Answer({"message": message}, message)


def _complete(args: EntryArgs) -> JsonObject:
    entry = args.entry()
    if not entry.get("command") and not entry.get("url"):
        others = ", ".join(f"'{key}'" for key in entry if key != "name")
        raise ArgumentError(
            [f"MCP server {args.name!r} needs `command` or `url`{f'; it has only {others}' if others else ''}"],
            next_actions=("take both from the server's own documentation",),
        )
    return entry


def _shown(done: str, entry: JsonObject) -> Answer:
    message = f"MCP server {entry['name']} {done}"
    structured: JsonObject = {"message": message, "mcpServer": entry}
    return Answer(structured, f"{message}: {server_line(entry)}")


SERVER_TOOLS = (
    ToolDefinition(
        "mcpserver_create",
        "Add an MCP server",
        "Add an MCP server, for its tools: kept for good, connected at once.",
        EntryArgs,
        answer("message mcpServer:object"),
        Effect.ADDS,
        mcpserver_create,
    ),
    ToolDefinition(
        "mcpserver_update",
        "Change an MCP server",
        "Change some keys of an entry that mcpserver_create made; the server is connected again.",
        EntryObjectArgs,
        answer("message mcpServer:object"),
        Effect.REMOVES,
        mcpserver_update,
    ),
    ToolDefinition(
        "mcpserver_delete",
        "Remove an MCP server",
        "Remove an MCP server that mcpserver_create added.",
        ServerDeleteArgs,
        answer("message"),
        Effect.REMOVES,
        mcpserver_delete,
    ),
    ToolDefinition(
        "mcpserver_validate",
        "Check an entry",
        "Whether mcpserver_create takes an entry.",
        EntryObjectArgs,
        answer("valid:boolean findings:objects"),
        Effect.READS,
        mcpserver_validate,
    ),
)
