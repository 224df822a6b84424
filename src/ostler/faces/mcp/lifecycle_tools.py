"""Tools that change services: create, start, stop, restart, delete, renew."""

from contextlib import suppress
from typing import Annotated, Any, ClassVar, Literal, TypedDict, TypeVar

from msgspec.structs import replace
from pydantic import BeforeValidator, Field, WithJsonSchema

from ostler.adapters.serving.answers import Answer, clipped, error_json
from ostler.adapters.serving.arguments import FREE_FORM, Args, JsonArgs, Labels, ObjectFromText, SomeSeconds
from ostler.adapters.serving.schemas import answer
from ostler.adapters.serving.table import Effect, ToolDefinition
from ostler.engine.dependencies.jobs import is_job
from ostler.engine.services.views import (
    CreateRequest,
    OperationRequest,
    OperationResult,
    ProjectRef,
    WaitingOptions,
)
from ostler.faces.client_facts import current_client
from ostler.faces.mcp import shapes
from ostler.faces.mcp.definitions import Call
from ostler.faces.mcp.missing_args import missing_args
from ostler.faces.mcp.service_tools import ClassName, ServiceName
from ostler.faces.mcp.surface import ApplicationLike
from ostler.model.errors import ArgumentError, NotFoundError, OperationError, OstlerError
from ostler.model.json import JsonObject, JsonValue, present
from ostler.model.projects import GivenOverrides, Overrides
from ostler.model.records import OperationKind
from ostler.model.settings import CancelledCreate
from ostler.rules.text.log_pages import LogRange

_JOB_LINES = 10
"""Lines of a job's log that an answer shows."""

_MAX_LINE = 500
"""Characters of such a line."""

Goal = Literal["running", "stopped", "deleted"]

LeaseRenewal = Annotated[Literal["", "client"], WithJsonSchema({"type": "string", "enum": ["client"]})]
Wait = Annotated[bool, Field(description="false: return at once")]
Key = Annotated[str, Field(description="your own text; a repeat with it is not done twice")]


class ServiceCreateArgs(Args):
    """Arguments of service_create: a CreateRequest, and whether to wait."""

    class_name: ClassName = Field(alias="serviceClassName")
    name: str = Field(default="", description="e.g. web; without one, each call makes another service")
    args: JsonArgs = Field(default_factory=dict, description="the class's arguments, as serviceclass_get shows them")
    persist: bool = Field(default=True, description="false: stopped and forgotten when Ostler ends")
    auto_start: bool = Field(default=False, description="start it again after a reboot")
    start: bool = Field(default=True, description="false: only register it")
    wait: Wait = True
    lease: SomeSeconds | None = Field(default=None, description="stop it after this time unless renewed, e.g. 2h")
    lease_renewal: LeaseRenewal = Field(
        default="", description="the lease does not run while a client works in the project"
    )
    labels: Labels = Field(default_factory=dict, description="your own names and values, to find it by")
    owner: str = Field(default="", description="whose it is, e.g. alice")
    purpose: str = Field(default="", description="what it is for, in words")
    idempotency_key: Key = ""
    plan_id: str = Field(default="", description="of a plan: refuse if anything has changed since")
    changes: Annotated[GivenOverrides, ObjectFromText, WithJsonSchema(FREE_FORM)] = Field(
        default_factory=GivenOverrides,
        alias="overrides",
        description="instead of the class's: dependsOn, env, envFile, healthCheck, idleStop, restartPolicy",
    )


_RequestT = TypeVar("_RequestT", CreateRequest, OperationRequest)


def requested(form: type[_RequestT], args: Args, **more: Any) -> _RequestT:
    """Return the request of this form that `args` are: its fields by their names, and `more`."""
    return form(**{name: getattr(args, name) for name in _shared_names(form, type(args))}, **more)


def _shared_names(form: type[CreateRequest] | type[OperationRequest], args: type[Args]) -> frozenset[str]:
    return frozenset(args.model_fields.keys() & set(form.__struct_fields__))


class FromClient(TypedDict):
    """What a create takes from its client: the folder, and the project that this lies in."""

    project: ProjectRef | None
    folder: str


async def from_client(app: ApplicationLike) -> FromClient:
    """Return what the client adds to a create."""
    directory = current_client().directory
    return FromClient(project=await app.projects.owner_of_new(directory), folder=directory)


async def _overrides(app: ApplicationLike, given: GivenOverrides) -> Overrides | None:
    """Return the overrides of a client, with the full names of the dependencies."""
    directory = current_client().directory
    needs = {app.projects.full_name(name, directory): need for name, need in given.depends_on.items()}
    for name, need in needs.items():
        if need.required:
            app.manager.view(name)  # says that there is no such service, and what is near
    variables = await app.projects.read_variables(directory, given.env_file) if given.env_file else {}
    overrides = Overrides.model_construct(
        depends_on=needs,
        restart_policy=given.restart_policy,
        health_check=given.health_check,
        idle_stop=given.idle_stop,
        env={**variables, **given.env},
    )
    return None if overrides.is_empty else overrides


async def service_create(app: ApplicationLike, args: ServiceCreateArgs, call: Call) -> Answer:
    """Create a service and, by default, start it."""
    cursor = app.manager.events.last_cursor
    overrides = await _overrides(app, args.changes) if "changes" in args.model_fields_set else None
    request = requested(CreateRequest, args, **await from_client(app), overrides=overrides, numbers_as_text=True)
    try:
        created = await create(app, request, call, wait=args.wait)
    except NotFoundError as error:
        raise if_service(app, error, "service_start {} starts it") from error
    return await _changed(app, created, "running", cursor)


def if_service(app: ApplicationLike, error: NotFoundError, step: str) -> NotFoundError:
    """Return `error`, or one that says that a service has the name that was given for a class.

    Args:
        app: knows the services.
        error: what was not found.
        step: what to do then; has a place for the service's name.
    """
    full = app.projects.full_name(error.name, current_client().directory)
    if error.kind != "ServiceClass" or app.manager.registry.find(full) is None:
        return error
    return NotFoundError(error.kind, error.name, why="a service has this name", next_actions=(step.format(full),))


async def create(app: ApplicationLike, request: CreateRequest, call: Call, *, wait: bool) -> OperationResult:
    """Create what `request` asks for, with what a person adds to it; the policy says what a cancelled call leaves.

    Raises:
        OstlerError: as `Manager.create`.
        InputNeededError: args are missing, and come with the repeated call.
    """
    if request.lease_renewal and (request.lease is None or request.project is None):
        missing = "lease" if request.lease is None else "a project, and the client's folder is in none"
        raise ArgumentError([f"leaseRenewal has no effect without {missing}"], next_actions=("leave it out",))

    def when_cancelled() -> CancelledCreate | None:
        return app.policy.cancelled_create if call.is_cancelled() else None

    waiting: WaitingOptions = {**call.waiting(wait), "when_cancelled": when_cancelled}
    try:
        return await app.manager.create(request, **waiting)
    except ArgumentError as error:
        given = await missing_args(app, request, error, call.person)
        return await app.manager.create(replace(request, args=given), **waiting)


class OperationArgs(Args):
    """Arguments of an operation on one service: the OperationRequest, the service, and whether to wait."""

    kind: ClassVar[OperationKind]
    goal: ClassVar[Goal] = "running"

    name: ServiceName
    wait: Wait = True
    idempotency_key: Key = ""

    def request(self) -> OperationRequest:
        """Return what the manager takes."""
        return requested(OperationRequest, self, kind=self.kind)


async def service_operation(app: ApplicationLike, args: OperationArgs, call: Call) -> Answer:
    """Start, stop, restart or delete a service."""
    cursor = app.manager.events.last_cursor
    result = await app.manager.operate(args.name, args.request(), **call.waiting(args.wait))
    return await _changed(app, result, args.goal, cursor)


def _adoption(value: Any) -> Any:
    """Take `true`, `"true"` and the outputs themselves: `{"id": "r1"}` means `true` with these outputs."""
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    return value


class ServiceStartArgs(OperationArgs):
    """Arguments of service_start."""

    kind = OperationKind.START

    adopt: Annotated[bool | dict[str, JsonValue], BeforeValidator(_adoption), WithJsonSchema({"type": "boolean"})] = (
        Field(default=False, description="it runs already: take it over")
    )
    outputs: JsonArgs = Field(default_factory=dict, description="with adopt: what its start tool gave")

    def request(self) -> OperationRequest:
        """Return what the manager takes: the outputs stand for the adoption."""
        given = {**self.adopt, **self.outputs} if isinstance(self.adopt, dict) else self.outputs
        return replace(super().request(), adopt=given if self.adopt or given else None)


class ServiceStopArgs(OperationArgs):
    """Arguments of service_stop."""

    kind = OperationKind.STOP
    goal = "stopped"

    dependents: bool = Field(default=False, description="first stop what depends on it")


class ServiceRestartArgs(OperationArgs):
    """Arguments of service_restart."""

    kind = OperationKind.RESTART


class ServiceDeleteArgs(OperationArgs):
    """Arguments of service_delete."""

    kind = OperationKind.DELETE
    goal = "deleted"

    force: bool = Field(default=False, description="forget it even if its stop fails")
    abandon: bool = Field(default=False, description="forget it without stopping it")


class ServiceRenewArgs(Args):
    """Arguments of service_renew."""

    name: ServiceName
    lease: SomeSeconds | None = Field(default=None, description="from now, e.g. 2h; default: as before")


async def service_renew(app: ApplicationLike, args: ServiceRenewArgs, call: Call) -> Answer:
    """Start a service's lease over."""
    view = await app.manager.renew(args.name, args.lease)
    assert view.lease_expires_at is not None
    ends = shapes.timestamp(view.lease_expires_at)
    structured: JsonObject = {"name": view.name, "leaseExpiresAt": ends, "state": view.state.value}
    left = shapes.age(call.now(), view.lease_expires_at)
    return Answer(structured, f"the lease of service {view.name} ({view.state.value}) ends in {left}, at {ends}")


class ServiceInputArgs(Args):
    """Arguments of service_input."""

    name: ServiceName
    text: str = Field(default="", description="what to type")
    enter: bool = Field(default=True, description="press Enter")


async def service_input(app: ApplicationLike, args: ServiceInputArgs, call: Call) -> Answer:
    """Type text into what a service runs."""
    del call
    if not args.text and not args.enter:
        raise ArgumentError(["text is empty and enter false: there is nothing to send"])
    answered = await app.manager.send_input(args.name, args.text, enter=args.enter)
    return Answer({"message": answered}, f"{answered}. Next: service_logs {args.name} shows what it writes")


async def _changed(app: ApplicationLike, result: OperationResult, goal: Goal, cursor: int) -> Answer:
    structured = shapes.changed(result)
    view = result.service
    lines = [f"{result.message} ({shapes.kind_of(view)}, {view.state.value}, health {shapes.brief_health(view)})"]
    if result.job is not None and result.finished:
        return await _ended(app, result, structured, lines)
    if goal == "deleted" and result.finished:
        structured["service"].pop("error", None)  # what failed before is over, and what it says to do next, too
    elif view.error:
        lines.append(f"last error: {shapes.value_text(view.error)}")
    if view.outputs and goal == "running":
        lines.append(shapes.outputs_text(view.outputs))
    if not result.finished:
        structured["cursor"] = cursor
        if goal == "running" and is_job(app.manager.registry.find(view.name)):
            goal = "stopped"
            structured["service"]["endAwaited"] = True
        lines.append(f'Next: service_wait {{"name": "{view.name}", "state": ["{goal}", "failed"], "cursor": {cursor}}}')
    return Answer(structured, "\n".join(lines))


async def _ended(app: ApplicationLike, result: OperationResult, structured: JsonObject, lines: list[str]) -> Answer:
    """Return how an awaited job ended, with the end of its log; a job that failed is an error."""
    name = result.service.name
    said = await last_lines(app, name)
    structured["service"] |= present({"lastLines": said})
    shown = [f"last lines of {name}:", *said] if said else [f"{name} wrote nothing"]
    if result.job:
        return Answer(structured, "\n".join([*lines, *shown]))
    steps = (f"service_logs {name} shows what it wrote", f"service_restart {name} runs it again")
    error = OperationError(result.message, service=name, next_actions=steps)
    return Answer({**structured, "error": error_json(error)}, "\n".join([str(error), *shown]), is_error=True)


async def last_lines(app: ApplicationLike, job: str) -> list[str]:
    """Return the end of a job's log; nothing if it cannot be read."""
    with suppress(OstlerError):
        page = await app.service_logs(job, LogRange(_JOB_LINES))
        return [clipped(line, _MAX_LINE) for line in page.lines]
    return []


_CHANGED = answer("message service:object changed:boolean finished:boolean operationId cursor:integer")

LIFECYCLE_TOOLS = (
    ToolDefinition(
        "service_create",
        "Create a service",
        "Create a service from a class, start it and wait until it is ready, or has ended if it is a job. "
        "finished=false: still starting, use service_wait. Cancelling this call stops nothing unless policy says so.",
        ServiceCreateArgs,
        _CHANGED,
        Effect.ADDS,
        service_create,
        core=True,
    ),
    ToolDefinition(
        "service_start",
        "Start a service",
        "Start a service, or connect an MCP server; changes nothing if it runs.",
        ServiceStartArgs,
        _CHANGED,
        Effect.RUNS,
        service_operation,
        core=True,
    ),
    ToolDefinition(
        "service_stop",
        "Stop a service",
        "Stop a service; a start under way is cancelled and cleaned up. It can be started again.",
        ServiceStopArgs,
        _CHANGED,
        Effect.STOPS,
        service_operation,
        core=True,
    ),
    ToolDefinition(
        "service_restart",
        "Restart a service",
        "Stop a service and start it again.",
        ServiceRestartArgs,
        _CHANGED,
        Effect.STOPS,
        service_operation,
        core=True,
    ),
    ToolDefinition(
        "service_delete",
        "Delete a service",
        "Stop a service and forget it. If its stop fails it is kept.",
        ServiceDeleteArgs,
        _CHANGED,
        Effect.STOPS,
        service_operation,
        core=True,
    ),
    ToolDefinition(
        "service_input",
        "Type into a service",
        "Send text to a service, e.g. the answer to its question.",
        ServiceInputArgs,
        answer("message"),
        Effect.ANYTHING,
        service_input,
    ),
    ToolDefinition(
        "service_renew",
        "Renew a lease",
        "Give a service a lease, or extend it. At its end the service is stopped.",
        ServiceRenewArgs,
        answer("name leaseExpiresAt state"),
        Effect.RUNS,
        service_renew,
    ),
)
