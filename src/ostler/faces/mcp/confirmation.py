"""What a person must confirm before it is done: `confirmTools` of the policy, for clients' calls.

A call is confirmed as a whole, before anything is changed: Ostler's own tool, the downstream tool that `tool_call`
names, and what starting, stopping or deleting a service would call. A wait that starts an idle service is a start, too.
What Ostler does without a client (a restart after a crash, the end of a lease) asks no one.

A person may think for minutes. What they were shown is found out again when they have agreed: if it would be something
else by then, nothing is done.
"""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, cast

from msgspec import Struct

from ostler.adapters.serving.answers import Answer, clipped, error_answer
from ostler.adapters.serving.asking import InputNeededError, Outcome, Question
from ostler.adapters.serving.problems import read_args
from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.projects.changes import ChangeKind
from ostler.engine.services.views import CreateRequest
from ostler.faces.mcp import shapes
from ostler.faces.mcp.definitions import AnyTool, Call
from ostler.faces.mcp.downstream_tools import ToolCallArgs
from ostler.faces.mcp.lifecycle_tools import OperationArgs, ServiceCreateArgs, ServiceDeleteArgs, requested
from ostler.faces.mcp.project_changes import change_line
from ostler.faces.mcp.project_tools import ProjectDownArgs, ProjectUpArgs, directory_of, unwritten
from ostler.faces.mcp.surface import ApplicationLike
from ostler.faces.mcp.waiting_tools import ServiceWaitArgs, started_by_wait
from ostler.model.errors import ConfirmationError, ConflictError, NotFoundError, OstlerError
from ostler.model.plans import Plan, PlanAction, PlannedStep

if TYPE_CHECKING:
    from mcp_types import InputRequiredResult

MAX_MESSAGE = 2_000
"""Characters of a question."""

_FIELD = "confirm"

_MAX_CHANGES = 600
"""Characters of what has changed since a question, before and after."""


class _Matter(Struct, frozen=True):
    """What a call would do: what is confirmed.

    Attributes:
        causes: the tools of it that the policy wants confirmed.
        lines: what the person is shown.
        key: what must still be so when they have agreed. A service that crashes again and again has another state by
            then, and can be stopped all the same.
    """

    causes: tuple[str, ...]
    lines: tuple[str, ...] = ()
    key: tuple[str, ...] = ()


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
            ConflictError: it would do something else by now than what was confirmed; nothing was done.
            InputNeededError: the confirmation comes with the repeated call.
            OstlerError: the call could not be carried out anyway.
        """
        if not app.policy.confirm_tools:
            return
        shown = await self._matter(app, tool, arguments)
        if shown.causes:
            await _ask(app, call, tool.name, shown)
            if (now := await self._matter(app, tool, arguments)).key != shown.key:
                raise _outdated(tool.name, shown, now)

    async def _matter(self, app: ApplicationLike, tool: AnyTool, arguments: Mapping[str, Any]) -> _Matter:
        """Return what a call of one of Ostler's own tools would do."""
        policy = app.policy
        args = read_args(tool.name, tool.args, arguments)
        causes = [f"ostler/{tool.name}"] if policy.confirms_own(tool.name) else []
        while isinstance(args, ToolCallArgs):
            causes += [args.name] if policy.confirms(args.name) else []
            inner = self._tools.get(args.name.removeprefix("ostler/")) if args.name.startswith("ostler/") else None
            args = None if inner is None else read_args(inner.name, inner.args, args.args)
        plans, tools = await _plans(app, args)
        causes += dict.fromkeys(tool for tool in tools if policy.confirms(tool))
        if not causes:
            return _Matter(())
        projects = await _about_projects(app, args)
        lines = (*_about(app, tool, arguments, plans), *projects.values())
        return _Matter(tuple(causes), lines, (*causes, *_keys(app, plans), *projects))


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
        asked = f"Call {tool} with {shown}?"
        await _ask(app, call, tool, _Matter(tuple(causes), (asked,), (asked,)))


async def _ask(app: ApplicationLike, call: Call, name: str, matter: _Matter) -> None:
    field = {"type": "boolean", "title": "Yes, do it", "default": False}
    about = "\n".join(matter.lines)
    basis = "\n".join(matter.key)
    asked = Question(f"confirm {name}", clipped(about, MAX_MESSAGE), {_FIELD: field}, (_FIELD,), basis)
    reply = await call.person.ask(asked)
    if reply.outcome is Outcome.ACCEPTED and reply.content.get(_FIELD) is True:
        return
    refusal = ConfirmationError(name, matter.causes, asked=reply.outcome is not Outcome.UNAVAILABLE)
    await app.note_denied(name, refusal)
    raise refusal


def _outdated(name: str, shown: _Matter, now: _Matter) -> ConflictError:
    """Return why a call that was confirmed is not carried out."""
    before = [line for line in shown.lines if line not in now.lines]
    after = [line for line in now.lines if line not in shown.lines]
    then, is_now = (clipped("; ".join(lines), _MAX_CHANGES) or "nothing of that" for lines in (before, after))
    changed = f"the person was shown {then!r}, and now it is {is_now!r}"
    if not (before or after):
        changed = "a service was deleted and made again under its name"
    return ConflictError(
        f"{name} was confirmed, but it would do something else by now, so nothing was done: {changed}",
        next_actions=(f"{name} again shows the person what it would do now",),
    )


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


def _keys(app: ApplicationLike, plans: Sequence[Plan]) -> Iterator[str]:
    """Yield what plans do to which service, and by which calls if they start something."""
    for plan in plans:
        for concerned in plan.services:
            service = app.manager.registry.find(concerned.name)
            yield f"{concerned.effect} {concerned.name} {service.id if isinstance(service, ServiceInstance) else ''}"
        if plan.action not in ("stop", "delete"):
            yield from (_call(step) for step in plan.steps)


async def _about_projects(app: ApplicationLike, args: Any) -> dict[str, str]:
    """Return in lines what a call about projects would do, by what of it must stay so."""
    match args:
        case ProjectUpArgs(dry_run=False):
            _, changes = await app.projects.plan(directory_of(args), args.services)
            changed = (change for change in changes if change.kind is not ChangeKind.KEEP)
            return {f"{change.kind} {change.full_name}": change_line(change) for change in changed}
        case ProjectDownArgs(left_over=True):
            survey = await app.projects.leftovers()
            left = map(str, [*await app.projects.strays(), *survey.found])
            ended = {f"end {one}": f"end {one}, left by an earlier run of Ostler" for one in left}
            removals = (_removals(app, ref.id, ()) for ref in app.projects.left_over())
            return {key: line for removed in removals for key, line in removed.items()} | ended
        case ProjectDownArgs():
            return _removals(app, app.projects.directory.project_of(directory_of(args)), args.services)
        case _:
            return {}


def _removals(app: ApplicationLike, project: str, names: Sequence[str]) -> dict[str, str]:
    """Return in lines what a `down` of a project, or of its services `names`, would remove, by what of it must stay."""
    wanted = {f"{name}.{project}" for name in names}
    members = app.projects.directory.members(project) if project else ()
    return {
        f"remove {member.name} {member.id}": f"remove {member.name}, which is {member.state.value} now"
        for member in members
        if not wanted or member.name in wanted
    }


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
        yield from map(_call, plan.steps)


def _call(step: PlannedStep) -> str:
    return f"calls {step.tool} {shapes.value_text(step.args)}"
