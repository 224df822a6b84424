"""Tools that change services, and the tool that waits for what they set going."""

from collections.abc import Sequence
from typing import Any, Literal

import anyio
from pydantic import Field

from ostler.engine.services.views import CreateRequest, OperationResult, ServiceView
from ostler.faces.mcp import shapes
from ostler.faces.mcp.answers import Answer
from ostler.faces.mcp.definitions import MAX_OPERATION_WAIT, MAX_WAIT, Call, Effect, ToolDefinition
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
    Outputs,
    Seconds,
    Texts,
    answer,
)
from ostler.faces.mcp.service_tools import read_kinds
from ostler.faces.mcp.surface import ApplicationLike
from ostler.model.durations import format_duration
from ostler.model.errors import ArgumentError
from ostler.model.events import Event
from ostler.model.states import ServiceState

DEFAULT_WAIT = 30.0
MAX_WAIT_EVENTS = 20
RECHECK = 2.0
"""Seconds after which a waiting call looks again by itself: a configured service may change without an event."""

Goal = Literal["running", "stopped", "deleted"]


class ServiceCreateArgs(Args):
    """Arguments of service_create."""

    service_class_name: Name
    name: str | None = Field(default=None, description="default: the class's, or a generated one")
    args: JsonArgs = Field(default_factory=dict, description="the class's arguments")
    persist: bool = True
    auto_start: bool = Field(default=False, description="start again after a host restart")
    start: bool = True
    wait: bool = True
    lease: Seconds | None = Field(default=None, gt=0, description="stop it after this time, e.g. 2h")
    labels: Labels = Field(default_factory=dict)
    owner: str | None = None
    purpose: str | None = None
    idempotency_key: str | None = None
    plan_id: str | None = Field(default=None, description="of service_plan")


async def service_create(app: ApplicationLike, args: ServiceCreateArgs, call: Call) -> Answer:
    """Create a service and, unless told otherwise, start it."""
    cursor = app.manager.events.last_cursor
    request = CreateRequest(
        class_name=args.service_class_name,
        name=args.name or "",
        args=args.args,
        persist=args.persist,
        auto_start=args.auto_start,
        start=args.start,
        lease=args.lease,
        labels=dict(args.labels),
        owner=args.owner or "",
        purpose=args.purpose or "",
        idempotency_key=args.idempotency_key or "",
        plan_id=args.plan_id or "",
    )
    result = await app.manager.create(request, wait=args.wait, timeout=MAX_OPERATION_WAIT, progress=call.progress)
    return _changed(result, "running", cursor)


class OperationArgs(Args):
    """Arguments of service_restart, and of the other operations with more of their own."""

    name: Name
    wait: bool = True
    idempotency_key: str | None = None


class ServiceStartArgs(OperationArgs):
    """Arguments of service_start."""

    adopt: Outputs | None = Field(
        default=None, description="it is known to run: do not start it; {} or the outputs of its start tool"
    )


async def service_start(app: ApplicationLike, args: ServiceStartArgs, call: Call) -> Answer:
    """Start a service."""
    cursor = app.manager.events.last_cursor
    result = await app.manager.start_service(
        args.name,
        adopt=args.adopt,
        idempotency_key=args.idempotency_key or "",
        wait=args.wait,
        timeout=MAX_OPERATION_WAIT,
        progress=call.progress,
    )
    return _changed(result, "running", cursor)


class ServiceStopArgs(OperationArgs):
    """Arguments of service_stop."""

    dependents: bool = Field(default=False, description="stop first what depends on it")


async def service_stop(app: ApplicationLike, args: ServiceStopArgs, call: Call) -> Answer:
    """Stop a service."""
    cursor = app.manager.events.last_cursor
    result = await app.manager.stop_service(
        args.name,
        dependents=args.dependents,
        idempotency_key=args.idempotency_key or "",
        wait=args.wait,
        timeout=MAX_OPERATION_WAIT,
        progress=call.progress,
    )
    return _changed(result, "stopped", cursor)


async def service_restart(app: ApplicationLike, args: OperationArgs, call: Call) -> Answer:
    """Restart a service."""
    cursor = app.manager.events.last_cursor
    result = await app.manager.restart_service(
        args.name,
        idempotency_key=args.idempotency_key or "",
        wait=args.wait,
        timeout=MAX_OPERATION_WAIT,
        progress=call.progress,
    )
    return _changed(result, "running", cursor)


class ServiceDeleteArgs(OperationArgs):
    """Arguments of service_delete."""

    force: bool = Field(default=False, description="forget it even if its stop fails")
    abandon: bool = Field(default=False, description="forget it without stopping it")


async def service_delete(app: ApplicationLike, args: ServiceDeleteArgs, call: Call) -> Answer:
    """Stop and forget a service."""
    cursor = app.manager.events.last_cursor
    result = await app.manager.delete(
        args.name,
        force=args.force,
        abandon=args.abandon,
        idempotency_key=args.idempotency_key or "",
        wait=args.wait,
        timeout=MAX_OPERATION_WAIT,
        progress=call.progress,
    )
    return _changed(result, "deleted", cursor)


class ServiceRenewArgs(Args):
    """Arguments of service_renew."""

    name: Name
    lease: Seconds | None = Field(default=None, description="from now, e.g. 2h; default: its own length again")


async def service_renew(app: ApplicationLike, args: ServiceRenewArgs, call: Call) -> Answer:
    """Let a service's lease begin anew."""
    view = await app.manager.renew(args.name, args.lease)
    assert view.lease_expires_at is not None
    ends = shapes.timestamp(view.lease_expires_at)
    structured: dict[str, Any] = {"name": view.name, "leaseExpiresAt": ends, "state": view.state.value}
    message = f"the lease of service {view.name} ends in {shapes.age(call.now(), view.lease_expires_at)}, at {ends}"
    return Answer(structured, message)


def _changed(result: OperationResult, goal: Goal, cursor: int) -> Answer:
    structured = shapes.changed(result)
    lines = [result.message]
    if result.service.outputs and goal == "running":
        lines.append(shapes.outputs_text(result.service.outputs))
    if not result.finished:
        structured["cursor"] = cursor
        lines.append(f'Next: service_wait {{"name": "{result.service.name}", "state": ["{goal}", "failed"]}}')
    return Answer(structured, "\n".join(lines))


class ServiceWaitArgs(Args):
    """Arguments of service_wait."""

    name: str | None = None
    state: Texts = Field(default_factory=list, description="any of these, e.g. running, failed, deleted")
    health: Healths = Field(default_factory=list)
    kinds: Texts = Field(default_factory=list, description="or wait for these events")
    cursor: int | None = Field(default=None, ge=0, description="events after this; default: from now")
    timeout: Seconds = Field(default=DEFAULT_WAIT, description=f"default 30s, at most {MAX_WAIT:g}s")


async def service_wait(app: ApplicationLike, args: ServiceWaitArgs, call: Call) -> Answer:
    """Wait until a service is as wanted, or until something happens."""
    del call
    timeout = min(args.timeout, MAX_WAIT)
    since = app.manager.events.last_cursor if args.cursor is None else args.cursor
    if args.state or args.health:
        return await _wait_for_state(app, args, since, timeout)
    if args.name and app.manager.registry.find(args.name) is None and not args.cursor:
        app.manager.view(args.name)  # says that there is no such service, and what is near
    found = await app.manager.events.wait(
        since=since, service=args.name or "", kinds=read_kinds(args.kinds), timeout=timeout
    )
    met = bool(found.events)
    message = f"{len(found.events)} events" if met else f"nothing happened within {format_duration(timeout)}"
    return _waited(app, args.name, message, met=met, events=found.events[-MAX_WAIT_EVENTS:], cursor=found.next_cursor)


async def _wait_for_state(app: ApplicationLike, args: ServiceWaitArgs, since: int, timeout: float) -> Answer:
    if not args.name:
        raise ArgumentError(["name is required when waiting for a state or health"])
    wants_deleted = "deleted" in args.state
    states = _states([state for state in args.state if state != "deleted"])
    events = app.manager.events
    seen = since
    met, message = False, ""
    with anyio.move_on_after(timeout):
        while True:
            seen = max(seen, events.last_cursor)
            if wants_deleted and app.manager.registry.find(args.name) is None:
                met, message = True, f"service {args.name} is deleted"
                break
            view = app.manager.view(args.name)
            if _is_as_wanted(view, states, args):
                met, message = True, f"service {args.name} is {view.state.value}, health {view.health.value}"
                break
            if view.state is ServiceState.FAILED and view.operation is None and view.next_retry_at is None:
                message = f"service {args.name} failed and nothing is under way that would change that"
                break
            await events.wait(since=seen, service=args.name, timeout=RECHECK)
    if not message:
        state = app.manager.get_service_state(args.name).value
        message = f"service {args.name} is still {state} after {format_duration(timeout)}; wait again to go on"
    page = events.read(since=since, service=args.name, limit=MAX_WAIT_EVENTS)
    return _waited(app, args.name, message, met=met, events=page.events, cursor=page.next_cursor)


def _is_as_wanted(view: ServiceView, states: Sequence[ServiceState], args: ServiceWaitArgs) -> bool:
    if states and view.state not in states:
        return False
    if view.operation is not None and view.state.is_settled:
        return False  # an operation is on its way to another state: `running` at the start of a restart
    if args.state and not states:
        return False  # only `deleted` is waited for
    return not args.health or view.health in args.health


def _states(names: Sequence[str]) -> list[ServiceState]:
    known = [state.value for state in ServiceState]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ArgumentError(
            [f"invalid value for argument 'state': {name!r} is no state" for name in unknown],
            next_actions=(f"use some of {', '.join(known)}, deleted",),
        )
    return [ServiceState(name) for name in names]


def _waited(
    app: ApplicationLike, name: str | None, message: str, *, met: bool, events: Sequence[Event], cursor: int
) -> Answer:
    structured: dict[str, Any] = {
        "met": met,
        "message": message,
        "events": [shapes.event(item) for item in events],
        "cursor": cursor,
    }
    lines = [message]
    service = app.manager.registry.find(name) if name else None
    if service is not None:
        view = service.view()
        structured["service"] = {**shapes.brief(view), **shapes.present({"outputs": dict(view.outputs)})}
        if view.outputs:
            lines.append(shapes.outputs_text(view.outputs))
        if view.error:
            lines.append(f"last error: {view.error}")
    elif not name:
        lines += [shapes.event_line(item) for item in events]
    lines.append(f"cursor {cursor}")
    return Answer(structured, "\n".join(lines))


_CHANGED = answer({"message": TEXT, "service": OBJECT, "changed": FLAG, "finished": FLAG}, {"cursor": NUMBER})

LIFECYCLE_TOOLS = (
    ToolDefinition(
        "service_create",
        "Create a service",
        "Create a service from a ServiceClass, start it and wait until it is ready. If finished is false it goes on: "
        "use service_wait. Cancelling this call does not stop it; service_stop does.",
        ServiceCreateArgs,
        _CHANGED,
        Effect.ADDS,
        service_create,
        core=True,
    ),
    ToolDefinition(
        "service_start",
        "Start a service",
        "Start a service, or connect a downstream server; no-op if it runs.",
        ServiceStartArgs,
        _CHANGED,
        Effect.RUNS,
        service_start,
        core=True,
    ),
    ToolDefinition(
        "service_stop",
        "Stop a service",
        "Stop a service; a start under way is cancelled and cleaned up. It can be started again.",
        ServiceStopArgs,
        _CHANGED,
        Effect.STOPS,
        service_stop,
        core=True,
    ),
    ToolDefinition(
        "service_restart",
        "Restart a service",
        "Restart a service.",
        OperationArgs,
        _CHANGED,
        Effect.STOPS,
        service_restart,
        core=True,
    ),
    ToolDefinition(
        "service_delete",
        "Delete a service",
        "Stop a service and forget it. If its stop fails it is kept.",
        ServiceDeleteArgs,
        _CHANGED,
        Effect.STOPS,
        service_delete,
        core=True,
    ),
    ToolDefinition(
        "service_renew",
        "Renew a lease",
        "Let a service's lease end later (or give it one). A lease that ends stops the service, after a warning event.",
        ServiceRenewArgs,
        answer({"name": TEXT, "leaseExpiresAt": TEXT, "state": TEXT}),
        Effect.RUNS,
        service_renew,
    ),
    ToolDefinition(
        "service_wait",
        "Wait",
        "Wait until a service has a state or health, or for the next event. met=false: the time is over or it cannot "
        "happen; go on with the cursor.",
        ServiceWaitArgs,
        answer({"met": FLAG, "message": TEXT, "cursor": NUMBER}, {"service": OBJECT, "events": LIST}),
        Effect.READS,
        service_wait,
        core=True,
    ),
)
