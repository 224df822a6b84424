"""The tool that waits for what others set going."""

from collections.abc import Sequence
from typing import Annotated, Any

import anyio
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from ostler.adapters.serving.answers import Answer
from ostler.adapters.serving.arguments import Args, Healths, PlainKinds, Seconds, lower_case, one_of
from ostler.adapters.serving.schemas import answer
from ostler.adapters.serving.table import Effect, ToolDefinition
from ostler.engine.services.views import ServiceView
from ostler.faces.mcp import shapes
from ostler.faces.mcp.definitions import MAX_WAIT, Call
from ostler.faces.mcp.surface import ApplicationLike
from ostler.model.durations import format_duration
from ostler.model.errors import ArgumentError
from ostler.model.events import Event
from ostler.model.states import ServiceState

DEFAULT_WAIT = 30.0
MAX_WAIT_EVENTS = 20
RECHECK = 2.0
"""Seconds after which a waiting call looks again: a configured service may change without an event."""

_GOALS = (*(state.value for state in ServiceState), "deleted")


_RESTING = ("running", "stopped", "failed", "unreachable", "connected", "disconnected", "deleted")
"""Those in which a service stays: what the schema offers. The others are taken too."""


def _goal(name: str) -> str:
    if name not in _GOALS:
        raise ValueError(f"use one of {', '.join(_GOALS)}")
    return name


WaitStates = Annotated[
    list[Annotated[str, AfterValidator(_goal)]], BeforeValidator(lower_case), WithJsonSchema(one_of(*_RESTING))
]
"""States to wait for, and the end of the service."""


class ServiceWaitArgs(Args):
    """Arguments of service_wait."""

    name: str = Field(default="", description="the service; default: any")
    state: WaitStates = Field(default_factory=list, description="any of these")
    health: Healths = Field(default_factory=list, description="any of these")
    kinds: PlainKinds = Field(default_factory=list, description="or such an event, e.g. warning")
    cursor: Annotated[int, Field(ge=0)] | None = Field(default=None, description="events after this; default: from now")
    timeout: Seconds = Field(
        default=DEFAULT_WAIT, description=f"at most {MAX_WAIT:g}s", json_schema_extra={"default": "30s"}
    )


async def service_wait(app: ApplicationLike, args: ServiceWaitArgs, call: Call) -> Answer:
    """Wait until a service is as wanted, or until something happens."""
    del call
    timeout = min(args.timeout, MAX_WAIT)
    since = app.manager.events.last_cursor if args.cursor is None else args.cursor
    if args.state or args.health:
        return await _wait_for_state(app, args, since, timeout)
    if args.name and app.manager.registry.find(args.name) is None and not args.cursor:
        app.manager.view(args.name)  # says that there is no such service, and what is near
    found = await app.manager.events.wait(since=since, service=args.name, kinds=args.kinds, timeout=timeout)
    shown = found.events[:MAX_WAIT_EVENTS]
    cursor = shown[-1].cursor if len(shown) < len(found.events) else found.next_cursor
    met = bool(shown)
    message = f"{len(shown)} events" if met else f"nothing happened within {format_duration(timeout)}"
    return _waited(app, args.name, message, met=met, events=shown, cursor=cursor)


async def _wait_for_state(app: ApplicationLike, args: ServiceWaitArgs, since: int, timeout: float) -> Answer:
    if not args.name:
        raise ArgumentError(["name is required when waiting for a state or health"])
    wants_deleted = "deleted" in args.state
    states = [ServiceState(state) for state in args.state if state != "deleted"]
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
        message = f"service {args.name} is still {state} after {format_duration(timeout)}; wait again to continue"
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


def _waited(
    app: ApplicationLike, name: str, message: str, *, met: bool, events: Sequence[Event], cursor: int
) -> Answer:
    lines = [message]
    facts: dict[str, Any] = {"met": met, "message": message, "events": [shapes.event(item) for item in events]}
    service = app.manager.registry.find(name) if name else None
    if service is not None:
        view = service.view()
        facts["service"] = {**shapes.brief(view), **shapes.present({"outputs": dict(view.outputs)})}
        lines.append(shapes.list_line(view))
        if view.outputs:
            lines.append(shapes.outputs_text(view.outputs))
    lines += [shapes.event_line(item) for item in events]
    lines.append(f"cursor {cursor}")
    return Answer({**facts, "cursor": cursor}, "\n".join(lines))


WAITING_TOOLS = (
    ToolDefinition(
        "service_wait",
        "Wait for a service",
        "Wait for a state, a health, or the next event. met=false: not in time, or it cannot happen; go on "
        "with the cursor.",
        ServiceWaitArgs,
        answer("met message cursor service events"),
        Effect.READS,
        service_wait,
        core=True,
    ),
)
