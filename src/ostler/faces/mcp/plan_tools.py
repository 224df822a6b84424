"""The tool that shows what an operation would do: every call, in its order, before anything is done."""

from pydantic import Field

from ostler.adapters.serving.answers import Answer
from ostler.adapters.serving.arguments import Args, JsonArgs
from ostler.adapters.serving.schemas import answer
from ostler.adapters.serving.table import Effect, ToolDefinition
from ostler.engine.services.views import CreateRequest
from ostler.faces.mcp import shapes
from ostler.faces.mcp.definitions import Call
from ostler.faces.mcp.lifecycle_tools import from_client, if_service, requested
from ostler.faces.mcp.surface import ApplicationLike
from ostler.model.durations import format_duration
from ostler.model.errors import ArgumentError, NotFoundError
from ostler.model.json import JsonObject, present
from ostler.model.plans import Plan, PlanAction, PlannedStep
from ostler.rules.secrets.masking import shorten


class ServicePlanArgs(Args):
    """Arguments of service_plan."""

    action: PlanAction = Field(default="create", description="what to plan")
    class_name: str = Field(default="", alias="serviceClassName", description="create: the class")
    name: str = Field(default="", description="the service")
    args: JsonArgs = Field(default_factory=dict, description="create: the class's arguments")
    start: bool = Field(default=True, description="create: start it too")
    abandon: bool = Field(default=False, description="delete: without stopping it")


async def service_plan(app: ApplicationLike, args: ServicePlanArgs, call: Call) -> Answer:
    """Show what an operation would do, without doing it."""
    del call
    plans = app.manager.plans
    if args.action == "create":
        _refuse(args, "abandon", needs="class_name")
        try:
            plan = plans.create(requested(CreateRequest, args, **await from_client(app), numbers_as_text=True))
        except NotFoundError as error:
            step = "say what to plan of it: service_plan {} with action=restart, or another action"
            raise if_service(app, error, step) from error
    else:
        others = ["class_name", "args", "start"] + (["abandon"] if args.action != "delete" else [])
        _refuse(args, *others, needs="name")
        plan = plans.operate(args.name, args.action, abandon=args.abandon)
    return Answer(plan_facts(plan), plan_text(plan))


def _refuse(args: ServicePlanArgs, *others: str, needs: str) -> None:
    """Refuse arguments that the action has no use for, and a missing one that it needs."""
    names = {"class_name": "serviceClassName"}
    fields = type(args).model_fields
    problems = [
        f"argument {names.get(key, key)!r} has no effect on the plan of a {args.action}"
        for key in others
        if getattr(args, key) != fields[key].get_default(call_default_factory=True)
    ]
    if not getattr(args, needs):
        problems.append(f"{names.get(needs, needs)} is required for the plan of a {args.action}")
    if problems:
        raise ArgumentError(problems)


def plan_facts(plan: Plan) -> JsonObject:
    """Return a plan as JSON."""
    return {
        "planId": plan.id,
        "action": plan.action,
        "service": plan.service,
        "steps": [_step(step) for step in plan.steps],
        "services": [
            present({"name": s.name, "serviceClassName": s.class_name, "effect": s.effect, "note": s.note})
            for s in plan.services
        ],
        "servers": [present({"name": s.name, "connected": s.connected, "reason": s.reason}) for s in plan.servers],
        **present({"stopSteps": [_step(step) for step in plan.stop_steps], "problems": list(plan.problems)}),
    }


def _step(step: PlannedStep) -> JsonObject:
    args = {name: shorten(value, shapes.MAX_VALUE_TEXT) for name, value in step.args.items()}
    facts: JsonObject = {"service": step.service, "step": step.step, "tool": step.tool, "args": args}
    if not step.known:
        facts["partlyKnown"] = True
    if step.every is not None:
        facts["every"] = format_duration(step.every)
    if step.tries > 1:
        facts["tries"] = step.tries
    if step.note:
        facts["note"] = step.note
    return facts


def plan_text(plan: Plan) -> str:
    """Return a plan in words."""
    count = len(plan.steps)
    calls = "no tool call" if not count else f"{count} tool call{'s' if count > 1 else ''}"
    lines = [f"{plan.action} of {plan.service}: {calls}"]
    lines += [f"{number}. {_step_text(step)}" for number, step in enumerate(plan.steps, 1)]
    for service in plan.services:
        what = f"{service.name} ({service.class_name})" if service.class_name else service.name
        lines.append(f"{_EFFECTS[service.effect]}: {what}" + (f"; {service.note}" if service.note else ""))
    if plan.stop_steps:
        lines.append("will be stopped by: " + "; ".join(_step_text(step) for step in plan.stop_steps))
    lines += [f"not connected: server {s.name}: {s.reason}".rstrip(": ") for s in plan.servers if not s.connected]
    lines += [f"problem: {problem}" for problem in plan.problems]
    lines.append(f"planId: {plan.id}")
    return "\n".join(lines)


_EFFECTS = {
    "create": "created",
    "start": "started",
    "reuse": "reused",
    "restart": "restarted",
    "stop": "stopped",
    "delete": "deleted",
    "forget": "forgotten without being stopped",
    "none": "nothing to do",
}


def _step_text(step: PlannedStep) -> str:
    args = shapes.value_text(step.args)
    text = f"{step.service} {step.step}: {step.tool} {args}"
    if step.every is not None:
        return f"{text}, every {format_duration(step.every)} {step.note}"
    tries = f"at most {step.tries} tries" if step.tries > 1 else ""
    notes = "; ".join(note for note in (tries, step.note) if note)
    return f"{text} ({notes})" if notes else text


PLAN_TOOLS = (
    ToolDefinition(
        "service_plan",
        "Plan an operation",
        "The exact tool calls that an operation would make. Does nothing; service_create takes the planId.",
        ServicePlanArgs,
        answer(
            "planId action service steps:objects stopSteps:objects services:objects servers:objects problems:strings"
        ),
        Effect.READS,
        service_plan,
    ),
)
