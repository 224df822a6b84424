"""Tools that show what happened: events and log lines."""

from typing import Annotated

from pydantic import Field

from ostler.adapters.serving.answers import Answer, clipped
from ostler.adapters.serving.arguments import Args, Kinds
from ostler.adapters.serving.schemas import answer
from ostler.adapters.serving.table import Effect, ToolDefinition
from ostler.faces.mcp import shapes
from ostler.faces.mcp.definitions import Call
from ostler.faces.mcp.service_tools import ServiceName
from ostler.faces.mcp.surface import ApplicationLike
from ostler.model.errors import NotFoundError

MAX_LOG_CHARACTERS = 64_000
"""Characters of logs in one answer; the oldest lines go first."""


class ServiceEventsArgs(Args):
    """Arguments of service_events."""

    service: str = Field(default="", description="of this service; default: of all")
    since: Annotated[int, Field(ge=0)] | None = Field(default=None, description="a cursor; default: the newest events")
    kinds: Kinds = Field(default_factory=list, description="only these")
    limit: int = Field(default=50, ge=1, le=500, description="at most")


async def service_events(app: ApplicationLike, args: ServiceEventsArgs, call: Call) -> Answer:
    """Show what happened."""
    del call
    events = app.manager.events
    if args.since is None:
        everything = events.read(service=args.service, kinds=args.kinds, limit=max(1, events.last_cursor))
        items, truncated, dropped = everything.events[-args.limit :], False, False
        cursor = everything.next_cursor
    else:
        found = events.read(since=args.since, service=args.service, kinds=args.kinds, limit=args.limit)
        items, truncated, dropped, cursor = found.events, found.truncated, found.dropped, found.next_cursor
    if not items and args.service and app.manager.registry.find(args.service) is None:
        app.manager.view(args.service)  # says that there is no such service, and what is near
    more = "; there are more" if truncated else ""
    lines = [f"{len(items)} event{'' if len(items) == 1 else 's'}{more}; continue with since={cursor}"]
    if dropped:
        lines.append("some events after that cursor are gone: fewer are kept than have happened")
    lines += [shapes.event_line(item) for item in items]
    return Answer(
        {
            "events": [shapes.event(item) for item in items],
            "cursor": cursor,
            "truncated": truncated,
            "dropped": dropped,
        },
        "\n".join(lines),
    )


class ServiceLogsArgs(Args):
    """Arguments of service_logs."""

    name: ServiceName
    lines: int = Field(default=100, ge=1, le=1000, description="at most")


async def service_logs(app: ApplicationLike, args: ServiceLogsArgs, call: Call) -> Answer:
    """Show the newest lines of a service's logs."""
    del call
    lines, source = await read_logs(app, args.name, args.lines)
    head = f"{len(lines)} newest lines of {args.name}" if lines else f"no log lines of {args.name} yet"
    text = "\n".join([f"{head}, from {source}" + (":" if lines else ""), *lines])
    return Answer({"name": args.name, "lines": lines, "source": source}, text)


async def read_logs(app: ApplicationLike, name: str, count: int) -> tuple[list[str], str]:
    """Return the newest log lines of `name`, bounded in size, and where they come from."""
    if app.manager.registry.find(name) is None and app.manager.departed.find(name) is None:
        known = [service.name for service in app.manager.registry.get_all()]
        raise NotFoundError("service", name, known=known, next_actions=("service_list shows the names",))
    logs = await app.service_logs(name, lines=count)
    kept: list[str] = []
    room = MAX_LOG_CHARACTERS
    for line in reversed(logs.get("lines", [])):
        text = clipped(str(line), 4_000)
        room -= len(text) + 1
        if room < 0:
            break
        kept.append(text)
    kept.reverse()
    return kept, str(logs.get("source", ""))


LOG_TOOLS = (
    ToolDefinition(
        "service_events",
        "Events",
        "What happened, to one service or all. Pass the returned cursor as since to continue.",
        ServiceEventsArgs,
        answer("events cursor truncated dropped"),
        Effect.READS,
        service_events,
    ),
    ToolDefinition(
        "service_logs",
        "Service logs",
        "Newest log lines of a service (also one just removed) or MCP server.",
        ServiceLogsArgs,
        answer("name lines source"),
        Effect.READS,
        service_logs,
        core=True,
    ),
)
