"""What a person must confirm before it is done: `confirmTools` of the policy, for clients' calls.

A call is confirmed as a whole, before anything is changed: Ostler's own tool, the downstream tool that `tool_call`
names, and what starting, stopping or deleting a service would call. A wait that starts an idle service is a start, too.
What Ostler does without a client (a restart after a crash, the end of a lease) asks no one.
"""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, cast

from ostler.adapters.serving.answers import Answer, clipped, error_answer
from ostler.adapters.serving.asking import InputNeededError, Outcome, Question
from ostler.adapters.serving.problems import read_args
from ostler.engine.services.views import CreateRequest
from ostler.faces.mcp import shapes
from ostler.faces.mcp.definitions import AnyTool, Call
from ostler.faces.mcp.downstream_tools import ToolCallArgs
from ostler.faces.mcp.lifecycle_tools import OperationArgs, ServiceCreateArgs, ServiceDeleteArgs, requested
from ostler.faces.mcp.project_tools import ProjectDownArgs, ProjectUpArgs, directory_of, unwritten
from ostler.faces.mcp.surface import ApplicationLike
from ostler.faces.mcp.waiting_tools import ServiceWaitArgs, started_by_wait
from ostler.model.errors import ConfirmationError, NotFoundError, OstlerError
from ostler.model.plans import Plan, PlanAction

if TYPE_CHECKING:
    from mcp_types import InputRequiredResult

MAX_MESSAGE = 2_000
"""Characters of a question."""

_FIELD = "confirm"


class Confirmations:
    """Has a person confirm calls. `tools` are Ostler's own, by name: `tool_call` reaches them, too."""

    def __init__(self, tools: Mapping[str, AnyTool]) -> None:
        self._tools = tools

    async def run(
        self, app: ApplicationLike, tool: AnyTool, arguments: Mapping[str, Any] | None, call: Call
    ) -> "Answer | InputRequiredResult":
        """Answer a call as `tool.answer` does, once a person has confirmed it where the policy wants that."""
        try:
            await self.confirm(app, tool, arguments or {}, call)
        except InputNeededError as needed:
            return needed.result
        except NotFoundError as error:
            return await unwritten(error)
        except OstlerError as error:
            return error_answer(error)
        return await tool.answer(app, arguments, call)

    async def confirm(self, app: ApplicationLike, tool: AnyTool, arguments: Mapping[str, Any], call: Call) -> None:
        """Have a person confirm a call of one of Ostler's own tools, if the policy wants that.

        Raises:
            ConfirmationError: no one confirmed it; nothing was done.
            InputNeededError: the confirmation comes with the repeated call.
            OstlerError: the call could not be carried out anyway.
        """
        policy = app.policy
        if not policy.confirm_tools:
            return
        args = read_args(tool.name, tool.args, arguments)
        causes = [f"ostler/{tool.name}"] if policy.confirms_own(tool.name) else []
        while isinstance(args, ToolCallArgs):
            causes += [args.name] if policy.confirms(args.name) else []
            inner = self._tools.get(args.name.removeprefix("ostler/")) if args.name.startswith("ostler/") else None
            args = None if inner is None else read_args(inner.name, inner.args, args.args)
        plans, tools = await _plans(app, args)
        causes += dict.fromkeys(tool for tool in tools if policy.confirms(tool))
        if causes:
            await _ask(app, call, tool.name, causes, "\n".join(_about(app, tool, arguments, plans)))


async def confirm_tool(app: ApplicationLike, tool: str, arguments: Mapping[str, Any], call: Call) -> None:
    """Have a person confirm a call of the downstream `server/tool`, if the policy wants that.

    Raises:
        ConfirmationError, InputNeededError: as `Confirmations.confirm`.
    """
    policy = app.policy
    causes = ["ostler/tool_call"] if policy.confirms_own("tool_call") else []
    causes += [tool] if policy.confirms(tool) else []
    if causes:
        shown = shapes.value_text(dict(arguments))
        await _ask(app, call, tool, causes, f"Call {tool} with {shown}?")


async def _ask(app: ApplicationLike, call: Call, name: str, causes: list[str], about: str) -> None:
    field = {"type": "boolean", "title": "Yes, do it", "default": False}
    reply = await call.person.ask(Question(f"confirm {name}", clipped(about, MAX_MESSAGE), {_FIELD: field}, (_FIELD,)))
    if reply.outcome is Outcome.ACCEPTED and reply.content.get(_FIELD) is True:
        return
    refusal = ConfirmationError(name, causes, asked=reply.outcome is not Outcome.UNAVAILABLE)
    await app.note_denied(name, refusal)
    raise refusal


async def _plans(app: ApplicationLike, args: Any) -> tuple[Sequence[Plan], Sequence[str]]:
    """Return what a call would do to services, and the tools that it would call for that."""
    match args:
        case ServiceCreateArgs():
            try:
                plans = [app.manager.plans.create(requested(CreateRequest, args))]
            except NotFoundError:
                return (), ()
            except OstlerError:  # something is missing or wrong: the create may still ask for it
                return (), app.classes.get(args.class_name).service_class.required_tools()
        case OperationArgs():
            abandon = isinstance(args, ServiceDeleteArgs) and args.abandon
            action = cast("PlanAction", args.kind.value)
            plans = [app.manager.plans.operate(args.name, action, abandon=abandon)]
        case ServiceWaitArgs():
            plans = [app.manager.plans.operate(name, "start") for name in started_by_wait(app, args)]
        case ProjectUpArgs(dry_run=False):
            scope = await app.projects.scope_of(directory_of(args))
            names = {spec.class_name for spec in scope.services.values()}
            return (), _tools_of_classes(app, names) + _tools_of_project(app, scope.ref.id)
        case ProjectDownArgs(left_over=left_over):
            projects = [ref.id for ref in app.projects.left_over()]
            here = app.projects.directory.project_of(directory_of(args))
            tools = [tool for id_ in (projects if left_over else [here]) for tool in _tools_of_project(app, id_)]
            if left_over:
                tools += _tools_of_classes(app, await _classes_of_leftovers(app))
            return (), tools
        case _:
            return (), ()
    return plans, [step.tool for plan in plans for step in plan.steps]


async def _classes_of_leftovers(app: ApplicationLike) -> set[str]:
    """Return the classes that left something, or may have: a list that is not read now may be a moment later."""
    survey = await app.projects.leftovers()
    failed = {error.tool for error in survey.errors}
    listed = {
        entry.name
        for entry in app.classes.get_all()
        if (spec := entry.service_class.config.leftovers) is not None and spec.tool in failed
    }
    return listed.union((left.entry.name for left in survey.found), *(unseen.classes for unseen in survey.unseen))


def _tools_of_project(app: ApplicationLike, project: str) -> list[str]:
    """Return the tools that drive what there is of a project."""
    members = app.projects.directory.members(project) if project else ()
    return [tool for member in members for tool in member.service_class.required_tools()]


def _tools_of_classes(app: ApplicationLike, names: AbstractSet[str]) -> list[str]:
    known = [entry for entry in app.classes.get_all() if entry.name in names]
    return [tool for entry in known for tool in entry.service_class.required_tools()]


def _about(app: ApplicationLike, tool: AnyTool, arguments: Mapping[str, Any], plans: Sequence[Plan]) -> Iterator[str]:
    """Yield the lines of a question: the call and what it would do."""
    named = arguments.get("name")
    yield f"{tool.title}{f' {named!r}' if named else ''}?"
    rest = {key: value for key, value in arguments.items() if key != "name"}
    if rest:
        yield f"With {shapes.value_text(rest)}."
    for plan in plans:
        service = app.manager.registry.find(plan.service)
        if service is not None:
            yield f"It is {service.state.value} now."
        for concerned in plan.services:
            note = f" ({concerned.note})" if concerned.note else ""
            yield f"{concerned.effect} {concerned.name}{note}"
        yield from (f"calls {step.tool} {shapes.value_text(step.args)}" for step in plan.steps)
