"""Tools that show what happened: events and log lines."""

from typing import Annotated, Any, cast

from pydantic import Field, model_validator

from ostler.adapters.serving.answers import Answer
from ostler.adapters.serving.arguments import Args, Kinds
from ostler.adapters.serving.schemas import answer
from ostler.adapters.serving.table import Effect, ToolDefinition
from ostler.faces.mcp import shapes
from ostler.faces.mcp.definitions import Call
from ostler.faces.mcp.service_tools import ServiceName
from ostler.faces.mcp.surface import ApplicationLike
from ostler.model.errors import NotFoundError
from ostler.rules.text.log_pages import LogPage, LogRange


class ServiceEventsArgs(Args):
    """Arguments of service_events."""

    name: str = Field(default="", description="default: of all")
    since: Annotated[int, Field(ge=0)] | None = Field(default=None, description="a cursor; default: the newest")
    kinds: Kinds = Field(default_factory=list, description="only these")
    limit: int = Field(default=50, ge=1, le=500, description="at most")

    @model_validator(mode="before")
    @classmethod
    def _service_is_the_name(cls, value: Any) -> Any:
        """Take the name under its earlier key, too."""
        if not isinstance(value, dict):
            return value
        given = dict(cast("dict[str, Any]", value))
        earlier = given.pop("service", None)
        return {**given, "name": given.get("name") or earlier}


async def service_events(app: ApplicationLike, args: ServiceEventsArgs, call: Call) -> Answer:
    """Show what happened."""
    del call
    events = app.manager.events
    if args.since is None:
        everything = events.read(service=args.name, kinds=args.kinds, limit=max(1, events.last_cursor))
        items, truncated, dropped = everything.events[-args.limit :], False, False
        cursor = everything.next_cursor
    else:
        found = events.read(since=args.since, service=args.name, kinds=args.kinds, limit=args.limit)
        items, truncated, dropped, cursor = found.events, found.truncated, found.dropped, found.next_cursor
    if not items and args.name and app.manager.registry.find(args.name) is None:
        app.manager.view(args.name)  # says that there is no such service, and what is near
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
    cursor: str = Field(default="", description="of the last answer: read on")
    search: str = Field(default="", description="regex")
    errors_only: bool = Field(default=False, description="only errors")

    def wanted(self) -> LogRange:
        """Return what part of the log is asked for."""
        return LogRange(self.lines, self.cursor, self.search, self.errors_only)


async def service_logs(app: ApplicationLike, args: ServiceLogsArgs, call: Call) -> Answer:
    """Show lines of a service's logs."""
    del call
    wanted = args.wanted()
    page = await read_logs(app, args.name, wanted)
    text = "\n".join([log_head(args.name, wanted, page), *page.lines])
    return Answer(
        {
            "name": args.name,
            "lines": list(page.lines),
            "source": page.source,
            "cursor": page.cursor,
            "truncated": page.truncated,
        },
        text,
    )


def log_head(name: str, wanted: LogRange, page: LogPage) -> str:
    """Return the line that says which lines of a log these are."""
    kind = "errors" if wanted.errors_only else "lines"
    that = f" that match {wanted.search!r}" if wanted.search else ""
    new = "new" if wanted.cursor else "newest"
    if page.lines:
        head = f"{len(page.lines)} {new} {kind} of {name}{that}"
    else:
        head = f"no {'new ' if wanted.cursor else ''}log {kind} of {name}{that}" + ("" if that else " yet")
    if page.truncated:
        head += " (there are more)"
    end = f", from {page.source}; continue with cursor={page.cursor}"
    return f"{head}{end}:" if page.lines else f"{head}{end}"


async def read_logs(app: ApplicationLike, name: str, wanted: LogRange) -> LogPage:
    """Return the log lines of `name` that are wanted."""
    if app.manager.registry.find(name) is None and app.manager.departed.find(name) is None:
        known = [service.name for service in app.manager.registry.get_all()]
        raise NotFoundError("service", name, known=known, next_actions=("service_list shows the names",))
    return await app.service_logs(name, wanted)


LOG_TOOLS = (
    ToolDefinition(
        "service_events",
        "Events",
        "What happened. To go on, pass the cursor as since.",
        ServiceEventsArgs,
        answer("events cursor truncated dropped"),
        Effect.READS,
        service_events,
    ),
    ToolDefinition(
        "service_logs",
        "Service logs",
        "Log lines of a service (also one just removed) or MCP server.",
        ServiceLogsArgs,
        answer("name lines source cursor truncated"),
        Effect.READS,
        service_logs,
        core=True,
    ),
)
