"""The tool that drafts a class from the downstream tool calls that a client just made."""

from pydantic import Field

from ostler.faces.mcp.answers import Answer
from ostler.faces.mcp.call_log import MAX_CALLS, reading_tools
from ostler.faces.mcp.definitions import Call, Effect, ToolDefinition
from ostler.faces.mcp.schemas import LIST, TEXT, Args, answer
from ostler.faces.mcp.surface import ApplicationLike
from ostler.model.errors import ArgumentError
from ostler.model.manifest import validate_name
from ostler.rules.call_drafts import draft_from_calls


class ServiceClassDraftArgs(Args):
    """Arguments of serviceclass_draft."""

    name: str | None = None
    last: int = Field(default=MAX_CALLS, ge=1, le=MAX_CALLS, description="how many calls")


async def serviceclass_draft(app: ApplicationLike, args: ServiceClassDraftArgs, call: Call) -> Answer:
    """Draft a class from the client's own calls."""
    if args.name:
        try:
            validate_name(args.name)
        except ValueError as error:
            raise ArgumentError([f"name: {error}"]) from None
    calls = call.log.recent(call.client, args.last)
    draft = draft_from_calls(
        calls,
        name=args.name or "",
        reading=reading_tools(app.pool),
        tools=[info.qualified for info in app.pool.list_tools()],
    )
    facts = {"name": draft.name, "manifest": draft.text, "questions": list(draft.questions)}
    return Answer(facts, f"{draft.text}\nNext: answer what is marked with TODO, then serviceclass_create")


DRAFTING_TOOLS = (
    ToolDefinition(
        "serviceclass_draft",
        "Draft a class",
        "Draft a class from your tool_call calls: start a thing, look at it, stop it, call this. Nothing is saved.",
        ServiceClassDraftArgs,
        answer({"manifest": TEXT, "questions": LIST}),
        Effect.READS,
        serviceclass_draft,
    ),
)
