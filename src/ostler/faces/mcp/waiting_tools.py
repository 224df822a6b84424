"""The tool that waits for services."""

from collections.abc import Sequence
from typing import Annotated, Any, Self, TypedDict

import anyio
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from ostler.adapters.serving.answers import Answer
from ostler.adapters.serving.arguments import Args, Healths, PlainKinds, Seconds, Texts, lower_case, one_of
from ostler.adapters.serving.problems import meant
from ostler.adapters.serving.schemas import answer
from ostler.adapters.serving.table import Effect, ToolDefinition
from ostler.engine.clock import in_turns
from ostler.engine.dependencies.jobs import is_job
from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.services.service import Service
from ostler.engine.services.views import ServiceView
from ostler.faces.client_facts import current_client
from ostler.faces.mcp import shapes
from ostler.faces.mcp.client_folder import project_meant, why_empty
from ostler.faces.mcp.definitions import MAX_WAIT, Call
from ostler.faces.mcp.surface import ApplicationLike
from ostler.model.durations import format_duration
from ostler.model.errors import ArgumentError
from ostler.model.events import Event, EventKind
from ostler.model.json import present
from ostler.model.states import WAIT_GOALS, HealthStatus, Reachability, ServiceState

DEFAULT_WAIT = 30.0
MAX_WAIT_EVENTS = 20
MAX_SERVICES = 200
"""Services that one call waits for at most."""

_COMING = 1.0
"""Seconds in which a service may still appear: clients create it and wait for it in calls that they send together."""

_RESTING = ("ready", "running", "completed", "stopped", "failed", "unreachable", "connected", "disconnected", "deleted")
"""Those in which a service stays: what the schema offers. The others are taken too."""


def _goal(name: str) -> str:
    if name not in WAIT_GOALS:
        raise ValueError(f"use one of {', '.join(WAIT_GOALS)}{meant(name, WAIT_GOALS)}")
    return name


WaitStates = Annotated[
    list[Annotated[str, AfterValidator(_goal)]], BeforeValidator(lower_case), WithJsonSchema(one_of(*_RESTING))
]
"""States to wait for, and the end of the service."""


ServiceNames = Annotated[Texts, Field(max_length=MAX_SERVICES), WithJsonSchema({"type": "string"})]
"""One name, or several, separated by commas or as a list."""


class _Choice(TypedDict, total=False):
    service: str
    services: frozenset[str]


class ServiceWaitArgs(Args):
    """Arguments of service_wait."""

    name: ServiceNames = Field(default_factory=list, description="one, or several with commas; default: any")
    project: str = Field(default="", description="a project's id: all of it, until ready")
    state: WaitStates = Field(default_factory=list, description="any of these; ready: up and healthy, or job done")
    health: Healths = Field(default_factory=list, description="any of these")
    kinds: PlainKinds = Field(default_factory=list, description="without state and health: only such events")
    cursor: Annotated[int, Field(ge=0)] | None = Field(default=None, description="after this cursor; default: from now")
    timeout: Seconds = Field(
        default=DEFAULT_WAIT, description=f"at most {MAX_WAIT:g}s", json_schema_extra={"default": "30s"}
    )

    @model_validator(mode="after")
    def _project_is_awaited(self) -> Self:
        """Whoever waits for a project and names nothing else waits until it is ready: it may be so already."""
        if self.project and not self.model_fields_set - {"project", "name", "timeout"}:
            return self.model_copy(update={"state": ["ready"]})
        return self


async def service_wait(app: ApplicationLike, args: ServiceWaitArgs, call: Call) -> Answer:
    """Wait until services are as wanted, or until something happens to one of them."""
    del call
    timeout = min(args.timeout, MAX_WAIT)
    for name in started_by_wait(app, args):
        await app.manager.start_service(name, wait=False)
    since = app.manager.events.last_cursor if args.cursor is None else args.cursor
    if (args.state or args.health) and "deleted" not in args.state:
        await _until_created(app, args, min(_COMING, timeout))
    names = _names(app, args)
    if args.state == ["completed"]:
        _refuse_endless(app, names)
    if args.state or args.health:
        return await _wait_for_state(app, args, names, since, timeout)
    if names and not args.cursor:
        for name in names:
            app.manager.view(name)  # says that there is no such service, and what is near
    found = await app.manager.events.wait(since=since, **_of(names), kinds=args.kinds, timeout=timeout)
    shown = found.events[:MAX_WAIT_EVENTS]
    cursor = shown[-1].cursor if len(shown) < len(found.events) else found.next_cursor
    met = bool(shown)
    message = f"{len(shown)} events" if met else f"nothing happened within {format_duration(timeout)}"
    if found.dropped:
        message += f"; {shapes.gap_line(since, app.manager.events.last_cursor)}"
    return await _waited(app, names, message, met=met, late=not met, events=shown, cursor=cursor)


def _refuse_endless(app: ApplicationLike, names: Sequence[str]) -> None:
    """Refuse to wait until services have completed of which one never will: it is no job."""
    for name in names:
        if app.manager.registry.find(name) is not None and not is_job(app.manager.registry.find(name)):
            raise ArgumentError(
                [f"service {name!r} is not a job, so it never completes"],
                service=name,
                next_actions=(f"service_wait {name} with state 'stopped' waits until it has stopped",),
            )


async def _until_created(app: ApplicationLike, args: ServiceWaitArgs, seconds: float) -> None:
    """Wait a moment for services that do not exist yet."""
    events = app.manager.events
    seen = events.last_cursor
    with anyio.move_on_after(seconds):
        while any(app.manager.registry.find(name) is None for name in _names(app, args)):
            seen = (await events.wait(since=seen, kinds=[EventKind.SERVICE_CREATED], timeout=seconds)).next_cursor


def started_by_wait(app: ApplicationLike, args: ServiceWaitArgs) -> list[str]:
    """Return the awaited services that were stopped because no one used them.

    Raises:
        ArgumentError: the project that is waited for has no services.
    """
    if not _is_for_use(args):
        return []
    found = map(app.manager.registry.find, _names(app, args))
    services = [service for service in found if isinstance(service, ServiceInstance)]
    return [one.name for one in services if one.vitals.is_idle and one.state is ServiceState.STOPPED]


def _is_for_use(args: ServiceWaitArgs) -> bool:
    return not {"running", "ready"}.isdisjoint(args.state) or "healthy" in args.health


def _names(app: ApplicationLike, args: ServiceWaitArgs) -> list[str]:
    """Return the services that are waited for, each once; empty for any."""
    folder = current_client().directory
    names = [app.projects.full_name(name, folder) if folder else name for name in args.name]
    if args.project:
        project = project_meant(app, args.project)
        owned = app.projects.directory.members(project)
        if why := why_empty(app, project):
            raise ArgumentError([why])
        names += [service.name for service in owned]
    return list(dict.fromkeys(names))


def _of(names: Sequence[str]) -> _Choice:
    return {"service": names[0]} if len(names) == 1 else {"services": frozenset(names)}


async def _wait_for_state(
    app: ApplicationLike, args: ServiceWaitArgs, names: Sequence[str], since: int, timeout: float
) -> Answer:
    if not names:
        raise ArgumentError(["name or project is required when waiting for a state or health"])
    if args.kinds:
        raise ArgumentError(["kinds has no effect when waiting for a state or health: leave one of them out"])
    events, seen = app.manager.events, since
    met, message = False, ""
    with anyio.move_on_after(timeout):
        while not message:
            seen = max(seen, events.last_cursor)
            waiting, hopeless = _still_waiting(app, args, names)
            if hopeless:
                message = f"service {hopeless}"
            elif not waiting:
                met, message = True, _how(app, names)
            else:
                await events.wait(since=seen, **_of(waiting), timeout=timeout)
    is_late = not message
    if is_late:
        waiting, _ = _still_waiting(app, args, names)
        how = ", ".join(f"{name} is still {_now(app, args, name)}" for name in waiting)
        message = f"service {how} after {format_duration(timeout)}; wait again to continue"
    page = events.read(since=since, **_of(names), limit=MAX_WAIT_EVENTS)
    if page.dropped:
        message += f"; {shapes.gap_line(since, events.last_cursor)}"
    return await _waited(app, names, message, met=met, late=is_late, events=page.events, cursor=page.next_cursor)


def _now(app: ApplicationLike, args: ServiceWaitArgs, name: str) -> str:
    """Return in words what a service is that is waited for: its health, too, if that is what is missing."""
    state = app.manager.get_service_state(name)
    if not state.is_up or not (args.health or "ready" in args.state):
        return state.value
    return f"{state.value}, health {shapes.brief_health(app.manager.view(name))}"


def _still_waiting(app: ApplicationLike, args: ServiceWaitArgs, names: Sequence[str]) -> tuple[list[str], str]:
    """Return which services are not as wanted yet, and of one of them that will never be, why."""
    states = [ServiceState(state) for state in args.state if state not in ("completed", "deleted", "ready")]
    waiting: list[str] = []
    for name in names:
        if "deleted" in args.state and app.manager.registry.find(name) is None:
            continue
        service = app.manager.registry.get(name)
        if "completed" in args.state and is_job(service) and service.has_completed and service.operation is None:
            continue
        if "ready" in args.state and _is_ready(service) and (not args.health or service.health in args.health):
            continue
        # Each event of a project asks for all of its services: a view of one costs ten times as much.
        if _is_as_wanted(service if isinstance(service, ServiceInstance) else service.view(), states, args):
            continue
        is_done = _is_for_use(args) and isinstance(service, ServiceInstance) and service.has_completed
        if is_done and args.project:
            continue  # a job of the project that has done its work
        if why := _why_never(service, args, is_done=is_done):
            return [], f"{name} {why}"
        waiting.append(name)
    return waiting, ""


def _why_never(service: Service, args: ServiceWaitArgs, *, is_done: bool) -> str:
    """Return why a service will not be as wanted, which it is not yet; empty if it may."""
    is_unwell = args.state == ["ready"] and not args.health and service.health is HealthStatus.UNHEALTHY
    if not (is_done or service.state is ServiceState.FAILED or is_unwell):
        return ""
    view = service.view()
    if view.operation is not None or view.next_retry_at is not None:
        return ""
    if is_unwell and view.state.is_up:
        return f"is {view.state.value}, and unhealthy"
    what = "has completed (a job: wait for state completed)" if is_done else "failed"
    return f"{what} and nothing is under way that would change that"


def _is_ready(service: Service) -> bool:
    """Whether a service is up, and healthy as far as a check can tell now, or a job that has done its work."""
    if isinstance(service, ServiceInstance):
        if service.operation is not None and service.state.is_settled:
            return False
        if is_job(service):
            return service.has_completed
        if service.reachability is Reachability.UNREACHABLE:
            return False
        is_checked = service.checks_health
    else:
        is_checked = service.view().health_checks
    is_well = service.health is HealthStatus.HEALTHY
    return service.state.is_up and (is_well or not (is_checked or service.health is HealthStatus.UNHEALTHY))


def _how(app: ApplicationLike, names: Sequence[str]) -> str:
    services = [(name, app.manager.registry.find(name)) for name in names]
    return "; ".join(
        f"service {name} is {service.state.value}, health {shapes.brief_health(service.view())}"
        if service is not None
        else f"service {name} is deleted"
        for name, service in services
    )


def _is_as_wanted(seen: ServiceInstance | ServiceView, states: Sequence[ServiceState], args: ServiceWaitArgs) -> bool:
    if states and seen.state not in states:
        return False
    if seen.operation is not None and seen.state.is_settled:
        return False  # an operation is on its way to another state: `running` at the start of a restart
    if args.state and not states:
        return False  # only `completed`, `deleted` or `ready` is waited for
    return not args.health or seen.health in args.health


async def _waited(
    app: ApplicationLike,
    names: Sequence[str],
    message: str,
    *,
    met: bool,
    late: bool,
    events: Sequence[Event],
    cursor: int,
) -> Answer:
    lines = [message]
    facts: dict[str, Any] = {"met": met, "late": late, "message": message}
    facts["events"] = [shapes.event(item) for item in events]
    found = [service for name in names if (service := app.manager.registry.find(name)) is not None]
    shown: list[Any] = []
    for view in await in_turns(service.view() for service in found):
        shown.append({**shapes.brief(view), **present({"outputs": dict(view.outputs)})})
        lines.append(shapes.list_line(view))
        if view.outputs:
            lines.append(shapes.outputs_text(view.outputs))
    if len(names) == 1 and shown:
        facts["service"] = shown[0]
    elif shown:
        facts["services"] = shown
    lines += [shapes.event_line(item) for item in events]
    lines.append(f"cursor {cursor}")
    return Answer({**facts, "cursor": cursor}, "\n".join(lines))


WAITING_TOOLS = (
    ToolDefinition(
        "service_wait",
        "Wait",
        "Wait until all have a state or health, or for the next event. met=false: late, or impossible.",
        ServiceWaitArgs,
        answer("met:boolean late:boolean message cursor:integer service:object services:objects events:objects"),
        Effect.READS,
        service_wait,
        core=True,
    ),
)
