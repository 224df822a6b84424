"""The tool that drafts a class: from the tools of a server, or from the tool calls that a client just made."""

from typing import TYPE_CHECKING

import anyio.to_thread
from pydantic import Field

from ostler.adapters.serving.answers import Answer
from ostler.adapters.serving.arguments import Args
from ostler.adapters.serving.schemas import answer
from ostler.adapters.serving.table import Effect, ToolDefinition
from ostler.engine.protocols import ToolInfo
from ostler.engine.services.service import way_to_enable
from ostler.faces.mcp.call_log import MAX_CALLS, reading_tools
from ostler.faces.mcp.definitions import Call
from ostler.faces.mcp.surface import ApplicationLike
from ostler.model.errors import ArgumentError, DefinitionError, NotFoundError
from ostler.model.json import present
from ostler.model.label_names import validate_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ostler.rules.drafts.drafting import Draft
    from ostler.rules.drafts.tool_traits import Answered


class ServiceClassDraftArgs(Args):
    """Arguments of serviceclass_draft."""

    name: str = Field(default="", description="the future class")
    server: str = Field(default="", description="draft from its tools")
    start: str = Field(default="", description="its tool that starts; default: guessed")
    stop: str = Field(default="", description="its tool that stops")
    last: int = Field(default=MAX_CALLS, ge=1, le=MAX_CALLS, description="without server: from this many of your calls")


async def serviceclass_draft(app: ApplicationLike, args: ServiceClassDraftArgs, call: Call) -> Answer:
    """Draft a class from a server's tools, or from the client's own calls."""
    if args.name:
        try:
            validate_name(args.name)
        except ValueError as error:
            raise ArgumentError([f"name: {error}"]) from None
    if args.server:
        return await _from_server(app, args, args.server)
    unused = [f"{name}: only with 'server'" for name in ("start", "stop") if getattr(args, name)]
    if unused:
        raise ArgumentError(unused, next_actions=("name the server whose tools they are",))
    from ostler.rules.drafts.recorded_calls import draft_from_calls  # who drafts nothing, starts faster

    draft = draft_from_calls(
        call.log.recent(call.client, args.last),
        name=args.name,
        reading=reading_tools(app.pool),
        tools=[info.qualified for info in app.pool.list_tools()],
    )
    facts = {"name": draft.name, "manifest": draft.text, "questions": list(draft.questions)}
    lines = [draft.text, *(f"Question: {question}" for question in draft.questions)]
    lines.append("Next: answer what is marked with TODO, then serviceclass_create")
    return Answer(facts, "\n".join(lines))


async def _from_server(app: ApplicationLike, args: ServiceClassDraftArgs, server: str) -> Answer:
    listed = _tools_of(app, server)
    # The tools of a large server are weighed for seconds, and drafting is imported for the first one.
    draft = await anyio.to_thread.run_sync(lambda: _drafted(listed, args, app.recorded_answers(server)))
    facts = {
        "name": draft.name,
        "manifest": draft.manifest,
        "questions": list(draft.questions),
        **present(
            {
                "alternatives": [
                    present({"start": pair.start, "stop": pair.stop, "reason": pair.reason})
                    for pair in draft.alternatives
                ]
            }
        ),
    }
    lines = [draft.manifest, *(f"Question: {question}" for question in draft.questions)]
    if draft.alternatives:
        lines.append("Other pairs of this server, the likeliest first; to draft one, give its start and stop:")
        lines += [f"- {pair}" + (f" ({pair.reason})" if pair.reason else "") for pair in draft.alternatives]
    lines.append("Next: answer what is marked with ASK, then serviceclass_create")
    return Answer(facts, "\n".join(lines))


def _drafted(listed: list[ToolInfo], args: ServiceClassDraftArgs, seen: "Mapping[str, Sequence[Answered]]") -> "Draft":
    from ostler.rules.drafts.drafting import draft_class
    from ostler.rules.drafts.tool_traits import Tool

    tools = [
        Tool.of(
            {
                "name": info.name,
                "inputSchema": info.input_schema,
                "outputSchema": info.output_schema,
                "annotations": info.annotations,
                "description": info.description,
            },
            tuple(seen.get(info.name, ())),
        )
        for info in listed
    ]
    return draft_class(args.server, tools, name=args.name, start=args.start, stop=args.stop)


def _tools_of(app: ApplicationLike, server: str) -> list[ToolInfo]:
    status = app.pool.server_status(server)
    if not status.known:
        known = sorted({tool.server for tool in app.pool.list_tools()})
        raise NotFoundError("MCP server", server, known=known, next_actions=("mcpserver_list shows the servers",))
    tools = list(app.pool.list_tools(server))
    if not tools:
        way = way_to_enable(app.manager.registry.find(server))
        connecting = (
            f'service_wait {{"name": "{server}", "state": ["connected"]}} while it is being connected',
            f"service_start {server} when it is stopped; then draft again",
        )
        raise DefinitionError(
            f"server {server!r} has not listed any tools ({status.reason or 'it may still be connecting'})",
            next_actions=(f"{way}; then draft again",) if way else connecting,
        )
    return tools


DRAFTING_TOOLS = (
    ToolDefinition(
        "serviceclass_draft",
        "Draft a ServiceClass",
        "Draft a class from a server's tools, or your tool_call calls. Saves nothing.",
        ServiceClassDraftArgs,
        answer("name manifest questions:strings alternatives:objects"),
        Effect.READS,
        serviceclass_draft,
    ),
)
