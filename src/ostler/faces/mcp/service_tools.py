"""Tools that look at services: list, status, get, validate; and the one that shows secrets."""

import json
from typing import Annotated

from pydantic import Field

from ostler.adapters.serving.answers import Answer
from ostler.adapters.serving.arguments import Args, Healths, JsonArgs, Labels, Name, States
from ostler.adapters.serving.schemas import answer
from ostler.adapters.serving.table import Effect, ToolDefinition
from ostler.engine.insight.explanation import NextCall, next_calls
from ostler.engine.projects.directory import Outlook
from ostler.engine.protocols import Clock
from ostler.engine.services.views import PROJECT_LABEL, Listed, ServiceFilter
from ostler.faces.client_facts import current_client
from ostler.faces.mcp import shapes
from ostler.faces.mcp.addresses import DASHBOARD_PAGE
from ostler.faces.mcp.client_folder import project_meant, why_empty
from ostler.faces.mcp.definitions import Call
from ostler.faces.mcp.paging import page
from ostler.faces.mcp.project_changes import left_facts, left_line
from ostler.faces.mcp.surface import ApplicationLike
from ostler.model.errors import ArgumentError, ClassUnavailableError, NotFoundError
from ostler.model.json import JsonObject, present

HISTORY = 5
"""Operations of the past that service_get shows."""

_NEXT_CALLS = 3
"""Calls that come next, of those that service_status names."""

ServiceName = Annotated[Name, Field(description="the service")]
ClassName = Annotated[Name, Field(description="the class, e.g. redis")]
Limit = Annotated[int, Field(ge=1, le=200, description="at most this many")]
Cursor = Annotated[str, Field(description="nextCursor of the last answer")]


class ServiceListArgs(Args):
    """Arguments of service_list."""

    state: States = Field(default_factory=list, description="only in these states")
    health: Healths = Field(default_factory=list, description="only with any of these")
    service_class_name: str = Field(default="", description="only of this class")
    service_type: str = Field(default="", description="only of this type, e.g. MCPServer")
    labels: Labels = Field(default_factory=dict, description="only with all of these")
    owner: str = Field(default="", description="only of this owner")
    project: str = Field(default="", description="a project's id, or all; default: yours")
    limit: Limit = 50
    cursor: Cursor = ""


async def service_list(app: ApplicationLike, args: ServiceListArgs, call: Call) -> Answer:
    """List the services that match, a page at a time."""
    del call
    found = app.manager.listed(
        ServiceFilter(
            states=tuple(state.value for state in args.state),
            health=tuple(health.value for health in args.health),
            class_name=args.service_class_name,
            service_type=args.service_type,
            owner=args.owner,
            labels=tuple(args.labels.items()),
        )
    )
    project = project_meant(app, args.project)
    found, elsewhere = _in_project(app, found, project)
    shown, cursor = page(found, lambda one: one.name, cursor=args.cursor, limit=args.limit)
    used = await app.usages.of(one.name for one in shown)
    structured: JsonObject = {
        "services": [shapes.brief(one, used.get(one.name)) for one in shown],
        "total": len(found),
    }
    if cursor:
        structured["nextCursor"] = cursor
    lines = [f"{len(found)} service{'' if len(found) == 1 else 's'}" + (":" if shown else "")]
    lines += [shapes.list_line(one, used.get(one.name)) for one in shown]
    if cursor:
        lines.append(f"more: cursor {cursor}")
    if elsewhere:
        structured["inOtherProjects"] = elsewhere
        lines.append(f"{elsewhere} more in other projects: project=all")
    lines += _unknown(app, project, "" if found else args.service_class_name)
    if project == "all" and (left := [left_facts(app, ref) for ref in app.projects.left_over()]):
        structured["leftOver"] = left
        lines += map(left_line, left)
    return Answer(structured, "\n".join(lines))


def _unknown(app: ApplicationLike, project: str, class_name: str) -> list[str]:
    """Return in words what of a filter is not known here: an empty list may mean a misspelt name."""
    lines: list[str] = []
    if project not in ("", "all") and (why := why_empty(app, project)):
        lines.append(why)
    if class_name:
        try:
            app.classes.get(class_name)
        except NotFoundError as error:
            lines.append(str(error))
    return lines


def _in_project(app: ApplicationLike, listed: list[Listed], project: str) -> tuple[list[Listed], int]:
    """Return the services of a project and of none, and how many belong to other projects."""
    if project == "all":
        return listed, 0
    seen = Outlook(frozenset({project})) if project else app.projects.directory.seen_from(current_client().directory)
    if not seen.projects:  # all are seen: no need to read the labels of 500 services
        return listed, 0
    found = [one for one in listed if seen.has(one.name, str(one.labels.get(PROJECT_LABEL, "")))]
    return found, len(listed) - len(found)


class ServiceNameArgs(Args):
    """A service's name."""

    name: ServiceName


async def service_status(app: ApplicationLike, args: ServiceNameArgs, call: Call) -> Answer:
    """Show how a service is, with the age of each fact."""
    view = app.manager.view(args.name)
    now, used = call.now(), (await app.usages.of([args.name])).get(args.name)
    steps = next_calls(view, app.manager.registry, app.pool)[:_NEXT_CALLS]
    structured = {**shapes.status(view, now, used), **present({"nextCalls": list(map(next_call, steps))})}
    return Answer(structured, "\n".join([shapes.status_text(view, now, used), *map(next_line, steps)]))


def next_call(step: NextCall) -> JsonObject:
    """Return a call that comes next, as answers have it."""
    return {"tool": step.tool, "args": dict(step.args), "when": step.when}


def next_line(step: NextCall) -> str:
    """Return a call that comes next, in words."""
    return f"Next: {step.tool} {json.dumps(dict(step.args), ensure_ascii=False)} {step.when}"


async def service_get(app: ApplicationLike, args: ServiceNameArgs, call: Call) -> Answer:
    """Show everything about a service."""
    view = app.manager.view(args.name)
    structured = shapes.details(view)
    history = await app.manager.history(args.name, limit=HISTORY)
    structured["history"] = [shapes.past_operation(record) for record in history]
    lines = [shapes.status_text(view, call.now())]
    lines += shapes.fact_lines(structured, without=("outputs", "lastError", *shapes.IN_STATUS_TEXT))
    return Answer(structured, "\n".join(lines))


async def service_secrets(app: ApplicationLike, args: ServiceNameArgs, call: Call) -> Answer:
    """Show the args and outputs of a service with their secrets."""
    del call
    given, outputs = await app.manager.reveal_secrets(args.name)
    structured: JsonObject = {"name": args.name, "args": given, "outputs": outputs}
    return Answer(structured, "\n".join(shapes.fact_lines(structured)))


class ServiceValidateArgs(Args):
    """Arguments of service_validate."""

    service_class_name: ClassName
    name: str = Field(default="", description="the name it would have")
    args: JsonArgs = Field(default_factory=dict, description="the class's arguments")


async def service_validate(app: ApplicationLike, args: ServiceValidateArgs, call: Call) -> Answer:
    """Say whether a create with these arguments would be accepted."""
    del call
    return validation(app, args, numbers_as_text=True, folder=current_client().directory)


def validation(app: ApplicationLike, args: ServiceValidateArgs, *, numbers_as_text: bool, folder: str = "") -> Answer:
    """Return whether a create with these arguments would be accepted; the others are those of `CreateRequest`."""
    try:
        effective = app.manager.validate(
            args.service_class_name, args.args, args.name, numbers_as_text=numbers_as_text, folder=folder
        )
    except ArgumentError as error:
        problems = list(error.problems)
        return Answer({"valid": False, "problems": problems}, f"not valid. {error}")
    except ClassUnavailableError as error:
        return Answer({"valid": False, "problems": [error.summary]}, f"not valid: {error}")
    structured: JsonObject = {"valid": True, "args": effective}
    return Answer(structured, f"valid; effective args: {shapes.value_text(effective)}")


async def read_service(app: ApplicationLike, name: str, clock: Clock) -> JsonObject:
    """Return what the resource `service://{name}` holds."""
    view = app.manager.view(name)
    history = await app.manager.history(name, limit=HISTORY)
    return {
        **shapes.details(view),
        "history": [shapes.past_operation(record) for record in history],
        "readAt": shapes.timestamp(clock.now()),
    }


SERVICE_TOOLS = (
    ToolDefinition(
        "service_list",
        "List services",
        "List services and MCP servers with state and health.",
        ServiceListArgs,
        answer("services:objects total:integer nextCursor inOtherProjects:integer leftOver:objects"),
        Effect.READS,
        service_list,
        core=True,
        page=DASHBOARD_PAGE,
    ),
    ToolDefinition(
        "service_status",
        "Service status",
        "How one service is now: state, health, outputs (e.g. its url), last error; how old each fact is.",
        ServiceNameArgs,
        answer(
            "name serviceClassName serviceType state stateAge reason health healthAge healthCheckFailures:integer "
            "evidence reachability reachabilityAge desired outputs:object outputsAge lastError lastErrorAge "
            "nextCheckIn nextRetryIn leaseEndsIn dependencyProblems:strings operation:object usage:object "
            "nextCalls:objects",
        ),
        Effect.READS,
        service_status,
        core=True,
        page=DASHBOARD_PAGE,
    ),
    ToolDefinition(
        "service_get",
        "Service details",
        "All facts of one service: args, outputs, labels, operations. Secrets masked.",
        ServiceNameArgs,
        answer(
            "name id serviceClassName serviceType state stateSince reason health evidence reachability "
            "desired args:object outputs:object serviceData:object dependencies:strings dependencyProblems:strings "
            "healthCheckFailures:integer healthCheckSuccesses:integer createdAt updatedAt starts:integer "
            "restarts:integer lastError lastErrorAt lastChecked nextCheckAt nextRetryAt leaseExpiresAt classDigest "
            "operation:object history:objects persist:boolean autoStart:boolean lease labels:object owner purpose",
        ),
        Effect.READS,
        service_get,
    ),
    ToolDefinition(
        "service_secrets",
        "Service secrets",
        "One service's args and outputs with their secrets unmasked. Only when a person wants one.",
        ServiceNameArgs,
        answer("name args:object outputs:object"),
        Effect.SHOWS_SECRETS,
        service_secrets,
    ),
    ToolDefinition(
        "service_validate",
        "Check a create",
        "Check a service_create without doing it: the effective args, or every problem.",
        ServiceValidateArgs,
        answer("valid:boolean args:object problems:strings"),
        Effect.READS,
        service_validate,
    ),
)
