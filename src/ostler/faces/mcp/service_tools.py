"""Tools that look at services: list, status, get, validate, events, logs."""

from pydantic import Field

from ostler.engine.protocols import Clock
from ostler.engine.services.views import ServiceFilter
from ostler.faces.mcp import shapes
from ostler.faces.mcp.answers import Answer, clipped
from ostler.faces.mcp.definitions import Call, Effect, ToolDefinition
from ostler.faces.mcp.paging import page
from ostler.faces.mcp.schemas import (
    FLAG,
    LIST,
    NUMBER,
    OBJECT,
    TEXT,
    Args,
    Healths,
    JsonArgs,
    Labels,
    Name,
    States,
    Texts,
    answer,
    listing,
)
from ostler.faces.mcp.surface import ApplicationLike
from ostler.model.errors import ArgumentError, ClassUnavailableError, NotFoundError
from ostler.model.events import EventKind
from ostler.model.json import JsonObject

MAX_LOG_CHARACTERS = 64_000
"""Characters of logs in one answer; the oldest lines go first."""

MAX_EVENT_TEXT_LINES = 20
HISTORY = 5
"""Operations of the past that service_get shows."""


class ServiceListArgs(Args):
    """Arguments of service_list."""

    state: States = Field(default_factory=list, description="e.g. running, failed")
    health: Healths = Field(default_factory=list)
    service_class_name: str | None = None
    service_type: str | None = None
    labels: Labels = Field(default_factory=dict)
    owner: str | None = None
    limit: int = Field(default=50, ge=1, le=200)
    cursor: str | None = None


async def service_list(app: ApplicationLike, args: ServiceListArgs, call: Call) -> Answer:
    """List the services that match, a page at a time."""
    del call
    views = app.manager.views(
        ServiceFilter(
            states=tuple(state.value for state in args.state),
            health=tuple(health.value for health in args.health),
            class_name=args.service_class_name or "",
            service_type=args.service_type or "",
            owner=args.owner or "",
            labels=tuple(args.labels.items()),
        )
    )
    shown, cursor = page(views, lambda view: view.name, cursor=args.cursor, limit=args.limit)
    structured: JsonObject = {"services": [shapes.brief(view) for view in shown], "total": len(views)}
    if cursor:
        structured["nextCursor"] = cursor
    lines = [f"{len(views)} service{'' if len(views) == 1 else 's'}" + (":" if shown else "")]
    lines += [shapes.list_line(view) for view in shown]
    if cursor:
        lines.append(f"more: cursor {cursor}")
    return Answer(structured, "\n".join(lines))


class ServiceNameArgs(Args):
    """A service's name."""

    name: Name


async def service_status(app: ApplicationLike, args: ServiceNameArgs, call: Call) -> Answer:
    """Show how a service is, with the age of each fact."""
    view = app.manager.view(args.name)
    now = call.now()
    return Answer(shapes.status(view, now), shapes.status_text(view, now))


class ServiceGetArgs(Args):
    """Arguments of service_get."""

    name: Name
    reveal_secrets: bool = False


async def service_get(app: ApplicationLike, args: ServiceGetArgs, call: Call) -> Answer:
    """Show everything about a service."""
    view = app.manager.view(args.name)
    structured = shapes.details(view)
    if args.reveal_secrets:
        structured["args"], structured["outputs"] = app.manager.reveal(args.name)
    history = await app.manager.history(args.name, limit=HISTORY)
    structured["history"] = [shapes.past_operation(record) for record in history]
    lines = [shapes.status_text(view, call.now())]
    if structured["args"]:
        lines.append("args: " + ", ".join(f"{k}={shapes.value_text(v)}" for k, v in structured["args"].items()))
    if args.reveal_secrets and structured["outputs"] != dict(view.outputs):
        lines.append(f"unmasked {shapes.outputs_text(structured['outputs'])}")
    lines.append(f"created {structured['createdAt']}, started {view.starts}x, restarted {view.restarts}x by itself")
    lines += [f"{record.kind.value}: {record.outcome.value if record.outcome else 'under way'}" for record in history]
    return Answer(structured, "\n".join(lines))


class ServiceValidateArgs(Args):
    """Arguments of service_validate."""

    service_class_name: Name
    name: str | None = None
    args: JsonArgs = Field(default_factory=dict)


async def service_validate(app: ApplicationLike, args: ServiceValidateArgs, call: Call) -> Answer:
    """Say whether a create with these arguments would be accepted."""
    del call
    try:
        effective = app.manager.validate(args.service_class_name, args.args, args.name or "")
    except ArgumentError as error:
        problems = list(error.problems)
        return Answer({"valid": False, "problems": problems}, f"not valid. {error}")
    except ClassUnavailableError as error:
        return Answer({"valid": False, "problems": [error.summary]}, f"not valid: {error}")
    structured: JsonObject = {"valid": True, "args": effective}
    return Answer(structured, f"valid; effective args: {shapes.value_text(effective)}")


class ServiceEventsArgs(Args):
    """Arguments of service_events."""

    service: str | None = None
    since: int | None = Field(default=None, ge=0, description="a cursor; default: the newest events")
    kinds: Texts = Field(default_factory=list)
    limit: int = Field(default=50, ge=1, le=500)


async def service_events(app: ApplicationLike, args: ServiceEventsArgs, call: Call) -> Answer:
    """Show what happened."""
    del call
    events = app.manager.events
    kinds = read_kinds(args.kinds)
    service = args.service or ""
    if args.since is None:
        everything = events.read(service=service, kinds=kinds, limit=max(1, events.last_cursor))
        items, truncated, dropped = everything.events[-args.limit :], False, False
        cursor = everything.next_cursor
    else:
        found = events.read(since=args.since, service=service, kinds=kinds, limit=args.limit)
        items, truncated, dropped, cursor = found.events, found.truncated, found.dropped, found.next_cursor
    if not items and service and app.manager.registry.find(service) is None:
        app.manager.view(service)  # says that there is no such service, and what is near
    structured: JsonObject = {
        "events": [shapes.event(item) for item in items],
        "cursor": cursor,
        "truncated": truncated,
        "dropped": dropped,
    }
    lines = [f"{len(items)} event{'' if len(items) == 1 else 's'}; go on with since={cursor}"]
    if dropped:
        lines.append("some events after that cursor are gone: fewer are kept than have happened")
    lines += [shapes.event_line(item) for item in items[-MAX_EVENT_TEXT_LINES:]]
    return Answer(structured, "\n".join(lines))


def read_kinds(names: list[str]) -> tuple[EventKind, ...]:
    """Return the event kinds that `names` name.

    Raises:
        ArgumentError: one of them is none.
    """
    known = [kind.value for kind in EventKind]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ArgumentError(
            [f"invalid value for argument 'kinds': {name!r} is no kind of event" for name in unknown],
            next_actions=(f"use some of {', '.join(known)}",),
        )
    return tuple(EventKind(name) for name in names)


class ServiceLogsArgs(Args):
    """Arguments of service_logs."""

    name: Name
    lines: int = Field(default=100, ge=1, le=1000)


async def service_logs(app: ApplicationLike, args: ServiceLogsArgs, call: Call) -> Answer:
    """Show the newest lines of a service's logs."""
    del call
    lines, source = await read_logs(app, args.name, args.lines)
    structured: JsonObject = {"name": args.name, "lines": lines, "source": source}
    text = "\n".join(lines) if lines else f"no log lines of {args.name} yet"
    return Answer(structured, text)


async def read_logs(app: ApplicationLike, name: str, count: int) -> tuple[list[str], str]:
    """Return the newest log lines of `name`, bounded in size, and where they come from."""
    if app.manager.registry.find(name) is None:
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


async def read_service(app: ApplicationLike, name: str, clock: Clock) -> JsonObject:
    """Return what the resource `service://{name}` holds."""
    view = app.manager.view(name)
    history = await app.manager.history(name, limit=HISTORY)
    return {
        **shapes.details(view),
        "history": [shapes.past_operation(record) for record in history],
        "readAt": shapes.timestamp(clock.now()),
    }


_DESCRIBED = {"state": TEXT, "health": TEXT, "serviceClassName": TEXT, "serviceType": TEXT}

SERVICE_TOOLS = (
    ToolDefinition(
        "service_list",
        "List services",
        "List services (downstream MCP servers too) with state and health.",
        ServiceListArgs,
        answer(
            {"services": listing("name", "serviceClassName", "state", "health", "error"), "total": NUMBER},
            {"nextCursor": TEXT},
        ),
        Effect.READS,
        service_list,
        core=True,
    ),
    ToolDefinition(
        "service_status",
        "Service status",
        "How one service is now: state, health, outputs (such as its URL), last error, and the age of each fact.",
        ServiceNameArgs,
        answer({"name": TEXT, **_DESCRIBED}, {"reachability": TEXT, "outputs": OBJECT, "lastError": TEXT}),
        Effect.READS,
        service_status,
        core=True,
    ),
    ToolDefinition(
        "service_get",
        "Get a service",
        "Everything about one service: args, outputs, counters, labels, recent operations.",
        ServiceGetArgs,
        answer({"name": TEXT, **_DESCRIBED, "args": OBJECT, "outputs": OBJECT}, {"lastError": TEXT, "history": LIST}),
        Effect.READS,
        service_get,
    ),
    ToolDefinition(
        "service_validate",
        "Validate arguments",
        "Check the arguments of a service_create without doing it; shows the effective args, or every problem.",
        ServiceValidateArgs,
        answer({"valid": FLAG}, {"args": OBJECT, "problems": LIST}),
        Effect.READS,
        service_validate,
    ),
    ToolDefinition(
        "service_events",
        "Events",
        "What happened, of one service or all. Pass the returned cursor as since to go on.",
        ServiceEventsArgs,
        answer({"events": LIST, "cursor": NUMBER}, {"truncated": FLAG, "dropped": FLAG}),
        Effect.READS,
        service_events,
    ),
    ToolDefinition(
        "service_logs",
        "Service logs",
        "The newest log lines of a service's process, or of a downstream server.",
        ServiceLogsArgs,
        answer({"lines": LIST, "source": TEXT}),
        Effect.READS,
        service_logs,
        core=True,
    ),
)
