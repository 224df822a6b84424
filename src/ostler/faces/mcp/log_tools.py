"""Tools that show what happened: events and log lines."""

from typing import Annotated

import anyio.to_thread
from pydantic import Field, model_validator

from ostler.adapters.serving.answers import Answer
from ostler.adapters.serving.arguments import Args, Kinds, SomeSeconds
from ostler.adapters.serving.schemas import answer
from ostler.adapters.serving.table import Effect, ToolDefinition
from ostler.faces.client_facts import current_client
from ostler.faces.mcp import shapes
from ostler.faces.mcp.definitions import Call
from ostler.faces.mcp.surface import ApplicationLike
from ostler.faces.project_logs import project_logs
from ostler.faces.ranked_lines import best_lines
from ostler.model.errors import ArgumentError
from ostler.rules.text.log_pages import LogPage, LogRange

MAX_RANKED = 1000
"""Lines of each service that are searched for those that fit some words best."""


class ServiceEventsArgs(Args):
    """Arguments of service_events."""

    name: str = Field(default="", description="only of this service")
    since: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="cursor of the last answer; default: the newest"
    )
    kinds: Kinds = Field(default_factory=list, description="only such events")
    limit: int = Field(default=50, ge=1, le=500, description="at most this many")


async def service_events(app: ApplicationLike, args: ServiceEventsArgs, call: Call) -> Answer:
    """Show what happened."""
    del call
    events = app.manager.events
    if args.since is None:
        latest = events.read(service=args.name, kinds=args.kinds, limit=args.limit, newest=True)
        items, truncated, dropped, cursor = latest.events, False, False, latest.next_cursor
    else:
        found = events.read(since=args.since, service=args.name, kinds=args.kinds, limit=args.limit)
        items, truncated, dropped, cursor = found.events, found.truncated, found.dropped, found.next_cursor
    if not items and args.name and app.manager.registry.find(args.name) is None:
        app.manager.view(args.name)  # says that there is no such service, and what is near
    more = "; there are more" if truncated else ""
    lines = [f"{len(items)} event{'' if len(items) == 1 else 's'}{more}; continue with since={cursor}"]
    if dropped:
        lines.append(shapes.gap_line(args.since, events.last_cursor))
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

    name: str = Field(default="", description="service or project; default: your project")
    lines: int = Field(default=100, ge=1, le=1000, description="at most this many")
    cursor: str = Field(default="", description="cursor of the last answer, to read on")
    search: str = Field(default="", description="only what this regex matches")
    ranked: bool = Field(default=False, description="search has words: show what fits best")
    errors_only: bool = Field(default=False, description="only errors")
    since: SomeSeconds | None = Field(default=None, description="only lines newer than this, e.g. 10m")

    @model_validator(mode="after")
    def _ranked_needs_words(self) -> "ServiceLogsArgs":
        if self.ranked and (not self.search or self.cursor):
            raise ValueError("'ranked' needs words in 'search', and no cursor: all of the log is searched")
        return self

    def wanted(self) -> LogRange:
        """Return which part of the log is requested."""
        if self.ranked:
            return LogRange(MAX_RANKED, errors_only=self.errors_only, newer_than=self.since)
        return LogRange(self.lines, self.cursor, self.search, self.errors_only, self.since)


async def service_logs(app: ApplicationLike, args: ServiceLogsArgs, call: Call) -> Answer:
    """Show lines of the logs of a service, or of all services of a project."""
    del call
    wanted = args.wanted()
    name, page = await _read(app, args.name, wanted)
    if args.ranked:
        best = await anyio.to_thread.run_sync(best_lines, page.lines, args.search, args.lines)
        head = f"{len(best) or 'no'} lines of {name} fit {args.search!r}, of its last {len(page.lines)}, best first"
        return Answer({"name": name, "lines": best, "source": page.source}, "\n".join([head, *best]))
    text = "\n".join([log_head(name, wanted, page), *page.lines])
    return Answer(
        {
            "name": name,
            "lines": list(page.lines),
            "source": page.source,
            "cursor": page.cursor,
            "truncated": page.truncated,
        },
        text,
    )


async def _read(app: ApplicationLike, name: str, wanted: LogRange) -> tuple[str, LogPage]:
    """Return what the lines are of, and the lines: of a service, else of the services of a project."""
    directory = app.projects.directory
    project = name if name in directory.folders() and app.manager.registry.find(name) is None else ""
    if not name and not (project := directory.project_of(current_client().directory)):
        raise ArgumentError(
            ["name is required here: the folder of this client is in no project that has services"],
            next_actions=("service_list shows the names", "project_up brings a project up"),
        )
    if not project:
        return name, await app.service_logs(name, wanted)
    return f"project {project}", await project_logs(app.service_logs, directory.logged(project), wanted)


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


LOG_TOOLS = (
    ToolDefinition(
        "service_events",
        "Events",
        "What happened to services, oldest first.",
        ServiceEventsArgs,
        answer("events:objects cursor:integer truncated:boolean dropped:boolean"),
        Effect.READS,
        service_events,
    ),
    ToolDefinition(
        "service_logs",
        "Service logs",
        "Log lines of a service or project.",
        ServiceLogsArgs,
        answer("name lines:strings source cursor truncated:boolean"),
        Effect.READS,
        service_logs,
        core=True,
    ),
)
