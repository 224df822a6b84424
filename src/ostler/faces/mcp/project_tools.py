"""Tools about the services of a project together: up, down, status."""

from collections.abc import Iterator, Mapping, Sized
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread
from pydantic import Field

from ostler.adapters.serving.answers import Answer, clipped, error_json
from ostler.adapters.serving.arguments import Args, Texts
from ostler.adapters.serving.schemas import answer
from ostler.adapters.serving.table import Effect, ToolDefinition
from ostler.engine.clock import in_turns
from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.projects.changes import Change, ChangeKind
from ostler.engine.projects.runner import COMPLETED_BEFORE, ProjectReport
from ostler.engine.services.service import Service
from ostler.engine.services.views import ServiceView
from ostler.faces.client_facts import current_client
from ostler.faces.mcp import shapes
from ostler.faces.mcp.addresses import DASHBOARD_PAGE
from ostler.faces.mcp.client_folder import folder_meant, why_in_none
from ostler.faces.mcp.definitions import MAX_OPERATION_WAIT, Call
from ostler.faces.mcp.lifecycle_tools import last_lines
from ostler.faces.mcp.project_changes import (
    change_facts,
    change_line,
    counted,
    elsewhere_facts,
    left_facts,
    left_line,
    leftover_facts,
    stray_facts,
    unseen_facts,
    unseen_lines,
    while_refused,
    why_left,
)
from ostler.faces.mcp.surface import ApplicationLike
from ostler.model.errors import NotFoundError, OstlerError
from ostler.model.json import JsonObject, present
from ostler.model.projects import PROJECT_FILE
from ostler.model.servers import MASK
from ostler.model.states import HealthStatus
from ostler.rules.text.log_pages import LAST_LOG_LINES

if TYPE_CHECKING:
    from ostler.adapters.process.strays import Stray

_DONE = {
    ChangeKind.CREATE: "created",
    ChangeKind.START: "started",
    ChangeKind.REPLACE: "replaced",
    ChangeKind.KEEP: "unchanged",
    ChangeKind.REMOVE: "removed",
    ChangeKind.UNKNOWN: "brought up",
    ChangeKind.IMPOSSIBLE: "brought up",
}

_UP = "is up"

_MAX_REASON = 240
"""Characters of a failure's reason on its own line."""

_MAX_DRAFT = 12_000
"""Characters of a drafted file that an answer may have."""


class ProjectArgs(Args):
    """Arguments of project_status, and of the other project tools with more of their own."""

    directory: str = Field(default="", description="its folder; default: yours")


class ProjectUpArgs(ProjectArgs):
    """Arguments of project_up."""

    services: Texts = Field(default_factory=list[str], description="only these; a job among them is waited for")
    dry_run: bool = Field(default=False, description="only show changes")


class ProjectDownArgs(ProjectArgs):
    """Arguments of project_down."""

    services: Texts = Field(default_factory=list[str], description="only these")
    left_over: bool = Field(default=False, description="instead, of projects whose folder is gone")


async def project_up(app: ApplicationLike, args: ProjectUpArgs, call: Call) -> Answer:
    """Bring a project up."""
    try:
        return await _up(app, args, call)
    except NotFoundError as error:
        return await unwritten(error)


async def unwritten(error: NotFoundError) -> Answer:
    """Return the error as an answer; that for a folder without a project has the file that it could have.

    It is for clients that can write files. Nothing is changed, so no one has to confirm it.
    """
    from ostler.adapters.projects.project_drafts import possible_draft

    structured: JsonObject = {"error": error_json(error)}
    if error.kind != "project":
        return Answer(structured, str(error), is_error=True)
    folder = Path(error.name)
    text, count, notes = await anyio.to_thread.run_sync(possible_draft, folder)
    if not (count or notes) or len(text) > _MAX_DRAFT:
        return Answer(structured, str(error), is_error=True)
    said = (
        f"{error}\nDraft of {folder / PROJECT_FILE} from what the folder has; read it, write it, and call this again:\n"
    )
    return Answer({**structured, "draft": text}, said + text, is_error=True)


async def _up(app: ApplicationLike, args: ProjectUpArgs, call: Call) -> Answer:
    directory = directory_of(args)
    if args.dry_run:
        scope, changes = await app.projects.plan(directory, args.services)
        structured: JsonObject = {"project": scope.ref.id, "changes": [change_facts(change) for change in changes]}
        lines = [f"project {scope.ref.id}: {counted(changes)}", *map(change_line, changes)]
        return Answer(structured, "\n".join(lines))
    scope, report = await app.projects.up(directory, args.services, timeout=MAX_OPERATION_WAIT, progress=call.progress)
    names = {name: scope.full_name(name) for name in scope.services}
    written = {names[name]: await last_lines(app, names[name]) for name in report.jobs}
    structured = await _reported(app, scope.ref.id, report, names)
    for entry in structured["services"]:
        entry.update(present({"lastLines": written.get(entry["name"])}))
    lines = await _report_lines(app, f"project {scope.ref.id}", _UP, report, names)
    pending = _pending(app, report)
    structured |= present({"notHealthyYet": pending})
    lines += [
        f"not checked yet: {name}, whose first health check is due in {shapes.age(call.now(), view.next_check_at)}"
        for name in pending
        if (view := app.manager.view(name)).checked_at is None and view.next_check_at is not None
    ]
    lines += [
        f"Next: service_wait {name} with health=healthy waits on; service_explain {name} says what its checks found"
        for name in pending
    ]
    if not scope.services:
        lines[0] = f"{lines[0]}, but its {PROJECT_FILE} lists no services. Next: list them there, then project_up again"
    for name, said in written.items():
        lines += [f"last lines of {name}:", *said, ""] if said else [f"{name} wrote nothing"]
    if report.unfinished:
        lines.append("Next: project_up again to keep waiting")
    lines += [
        f"Next: service_restart {name} starts it again; service_explain {name} says why it is unhealthy"
        for name in sorted({names.get(name, each.full_name) for name, each in report.changes.items()})
        if (found := app.manager.registry.find(name)) is not None and found.health is HealthStatus.UNHEALTHY
    ]
    lines += [
        f"Next: service_restart {names[name]} runs the job again"
        for name in args.services
        if (change := report.changes.get(name)) is not None and change.reason == COMPLETED_BEFORE
    ]
    return _answer(report, structured, lines)


async def project_down(app: ApplicationLike, args: ProjectDownArgs, call: Call) -> Answer:
    """Take a project down."""
    del call
    if args.left_over:
        return await _prune(app)
    ref, report = await app.projects.down(directory_of(args), args.services, timeout=MAX_OPERATION_WAIT)
    if not ref.id:
        return Answer({"project": "", "services": []}, f"nothing of the project in {ref.directory} runs")
    names = {name: f"{name}.{ref.id}" for name in report.failures}
    names |= {name: change.full_name for name, change in report.changes.items()}
    structured = await _reported(app, ref.id, report, names)
    lines = await _report_lines(app, f"project {ref.id}", "is down", report, names)
    if report.unfinished:
        lines.append("Next: project_down again to keep waiting")
    return _answer(report, structured, lines)


async def _prune(app: ApplicationLike) -> Answer:
    """Take the projects down whose folders are gone, and stop what carries this Ostler's mark and no service has."""
    from ostler.engine.keepers.leftovers import LIST_SECONDS

    whole = ProjectReport()
    lines: list[str] = []
    services: list[JsonObject] = []
    ended: list[Stray] = []
    ends = anyio.current_time() + MAX_OPERATION_WAIT
    for ref, report in await app.projects.prune(timeout=MAX_OPERATION_WAIT / 2):  # the rest has its own limits
        for name in [name for name, change in report.changes.items() if _went_next(app, change)]:
            del report.changes[name]
        names = {name: f"{name}.{ref.id}" for name in report.failures}
        names |= {name: change.full_name for name, change in report.changes.items()}
        services += (await _reported(app, ref.id, report, names))["services"]
        lines += await _report_lines(
            app, f"project {ref.id}, {why_left(left_facts(app, ref))},", "is down", report, names
        )
        whole.failures |= {names[name]: error for name, error in report.failures.items()}
        whole.unfinished += [f"{name}.{ref.id}" for name in report.unfinished]
    try:
        ended = await app.projects.end_strays()
    except OstlerError as error:  # what was done before is reported all the same
        whole.failures["processes"] = error
    left = ends - anyio.current_time() - LIST_SECONDS  # what was stopped is looked for again
    removal = await app.projects.remove_leftovers(timeout=max(0.0, left))
    whole.unfinished += [left.name for left in removal.late]
    lines += [f"ended: {left}, left by an earlier run of Ostler" for left in (*ended, *removal.found)]
    lines += [f"another prune stops: {left}, left by an earlier run of Ostler" for left in removal.elsewhere]
    lines += [f"not done yet: {left}, left by an earlier run of Ostler" for left in removal.late]
    lines += [f"failed: {error}" for error in removal.errors]
    whole.failures |= {error.service or f"leftovers-{number}": error for number, error in enumerate(removal.errors)}
    structured: JsonObject = {"project": "", "services": services, "unfinished": whole.unfinished}
    structured |= present(
        {
            "ended": [
                *map(stray_facts, ended),
                *map(leftover_facts, removal.found),
                *map(elsewhere_facts, removal.elsewhere),
            ],
            "notLookedAt": (unseen := [unseen_facts(each) for each in removal.unseen]),
        }
    )
    if whole.unfinished:
        lines.append('Next: project_down {"leftOver": true} again to keep waiting')
    lines = lines or ["nothing is left over that was looked for: no service of a folder that is gone, no process"]
    return _answer(whole, structured, [*lines, *unseen_lines(unseen)])


def _went_next(app: ApplicationLike, change: Change) -> bool:
    """Whether a service that was kept for its own project went with that: it is reported there."""
    return change.kind is ChangeKind.KEEP and app.manager.registry.find(change.full_name) is None


async def project_status(app: ApplicationLike, args: ProjectArgs, call: Call) -> Answer:
    """Show a project's services, and what its file has that does not run."""
    del call
    gone = [left_facts(app, ref) for ref in app.projects.left_over()]
    strays = await app.projects.strays()
    survey = await app.projects.leftovers()
    left: list[JsonObject] = [*gone, *map(stray_facts, strays), *map(leftover_facts, survey.found)]
    left_lines = [f"left by an earlier run of Ostler: {each}. Next: ostler prune" for each in (*strays, *survey.found)]
    unseen = [unseen_facts(each) for each in (*survey.unseen, *survey.errors)]
    left_lines += unseen_lines(unseen)
    facts = {"leftOver": left, **present({"notLookedAt": unseen})}
    if not app.projects.is_project(directory_of(args)):
        none = f"no project here: {why_in_none(directory_of(args))}. Next: name the folder of one"
        lines = [left_line(each) for each in gone]
        return Answer({"project": "", "services": [], **facts}, "\n".join([none, *lines, *left_lines]))
    status = await app.projects.status(directory_of(args))
    views = await in_turns(member.view() for member in status.members)
    pending = [change for change in status.changes if change.kind is not ChangeKind.KEEP]
    structured: JsonObject = {
        "project": status.ref.id,
        "directory": status.ref.directory,
        "services": [_service(view) for view in views],
        "changes": [change_facts(change) for change in pending],
        **facts,
    }
    count = len(status.members)
    lines = [f"project {status.ref.id} in {status.ref.directory}: {count} service{'' if count == 1 else 's'}"]
    lines += [_service_line(view) for view in views]
    if status.findings:
        structured["findings"] = [str(finding) for finding in status.findings]
        lines.append("its ostler.yaml has findings, and nothing is changed until they are corrected:")
        lines += structured["findings"]
    elif status.is_bare:
        lines.append("its repository is bare: the worktrees share these services. Next: project_down, to remove them")
    elif not status.file:
        what = "ostler.yaml" if await anyio.Path(status.ref.directory).is_dir() else "folder"
        lines.append(f"its {what} is gone: these services are left over. Next: project_down")
    elif pending:
        lines += [f"an up would change{while_refused(pending)}:", *map(change_line, pending)]
    lines += [left_line(each) for each in gone if each["project"] != status.ref.id]
    lines += left_lines
    return Answer(structured, "\n".join(lines))


def directory_of(args: ProjectArgs) -> str:
    """Return the folder that a call is about: a relative one lies in the client's, `~` is the server's home.

    Raises:
        ArgumentError: it is relative, and the client's folder is not known.
    """
    return folder_meant(args.directory) if args.directory else current_client().directory


def _answer(report: ProjectReport, structured: JsonObject, lines: list[str]) -> Answer:
    """Return the answer; one with a failure is an error, which has the rest of the report, too."""
    if not report.failures:
        return Answer(structured, "\n".join(lines).rstrip("\n"))
    name, error = next(iter(report.failures.items()))
    text = "\n".join([*lines, f"first failure, {name}: {error}"])
    return Answer({**structured, "error": error_json(error)}, text, is_error=True)


async def _reported(app: ApplicationLike, project: str, report: ProjectReport, names: dict[str, str]) -> JsonObject:
    def reported(name: str) -> JsonObject:
        change = report.changes.get(name)
        entry: JsonObject = {"name": change.full_name if change is not None else names.get(name, name)}
        if change is not None:
            entry |= {"change": _DONE[change.kind], **present({"reason": change.reason})}
        if error := report.failures.get(name):
            entry |= {"change": "failed", "error": str(error)}
        if cause := report.skipped.get(name):
            entry |= {"change": "skipped", "reason": f"{cause} failed"}
        service = app.manager.registry.find(entry["name"])
        if isinstance(service, ServiceInstance):
            entry |= _service(service.view())
        elif change is not None and change.kind is not ChangeKind.REMOVE:
            entry["state"] = "deleted"
        return entry

    services = await in_turns(map(reported, _order(report)))
    return {"project": project, "services": services, "unfinished": list(report.unfinished)}


def _order(report: ProjectReport) -> list[str]:
    return [*report.changes, *report.failures, *report.skipped]


async def _report_lines(
    app: ApplicationLike, what: str, done: str, report: ProjectReport, names: dict[str, str]
) -> list[str]:
    def changed(name: str, change: Change) -> str:
        service = found[name]
        shown = f" {_service_line(service.view())}" if service is not None else f" {change.full_name}"
        reason = f" ({change.reason})" if change.reason else ""
        since = ""
        if (service is None) is not (change.kind is ChangeKind.REMOVE):
            since = "; deleted since" if service is None else "; made again since"
        return f"{_DONE[change.kind]}:{shown}{reason}{since}"

    found = {name: app.manager.registry.find(names.get(name, each.full_name)) for name, each in report.changes.items()}

    lines = await in_turns(changed(name, change) for name, change in report.changes.items())
    lines += [f"failed: {names.get(name, name)}{_why(error)}" for name, error in _after_first(report.failures)]
    lines += [f"skipped: {names.get(name, name)}, because {cause} failed" for name, cause in report.skipped.items()]
    for name in report.unfinished:
        service = app.manager.registry.find(names.get(name, name))
        said = f": it {why}" if (why := report.waiting.get(name)) else shapes.progress_text(service)
        lines.append(f"not done yet: {names.get(name, name)}{said}")
    removed = {name for name, change in report.changes.items() if change.kind is ChangeKind.REMOVE}
    raised = [service for name, service in found.items() if name not in removed and done == _UP]
    counts: dict[str, Sized] = {
        "failed": report.failures,
        "skipped": report.skipped,
        "not done yet": report.unfinished,
        "unhealthy": [each for each in found.values() if each is not None and each.health is HealthStatus.UNHEALTHY],
        "not healthy yet": _pending(app, report),
        "not up any more": [service for service in raised if not _is_up(service)],
        "made again since": [name for name in removed if found[name] is not None],
    }
    troubles = ", ".join(f"{len(those)} {words}" for words, those in counts.items() if those)
    return [f"{what}: {troubles}" if troubles else f"{what} {done}", *lines]


def _pending(app: ApplicationLike, report: ProjectReport) -> list[str]:
    """Return the full names of services whose checks had not shown in time whether they are healthy."""
    known = (app.manager.registry.find(report.changes[name].full_name) for name in sorted(report.undecided))
    decided = (HealthStatus.HEALTHY, HealthStatus.UNHEALTHY)
    return [each.name for each in known if each is not None and each.state.is_up and each.health not in decided]


def _is_up(service: Service | None) -> bool:
    """Whether a service that was brought up still is, whatever others requested since; a job may have completed."""
    if service is None:
        return False
    return service.state.is_up or (isinstance(service, ServiceInstance) and service.has_completed)


def _after_first(failures: Mapping[str, OstlerError]) -> Iterator[tuple[str, OstlerError | None]]:
    """Yield the failures with their errors, but that of the first, which `_answer` shows as a whole."""
    for number, (name, error) in enumerate(failures.items()):
        yield name, error if number else None


def _why(error: OstlerError | None) -> str:
    """Return the reason for a list, without the lines of a log: its first sentence has the one that counts."""
    if error is None:
        return ""
    said, log, _ = str(error).partition(LAST_LOG_LINES)
    if log and error.next_actions:
        said = f"{said.removesuffix('.')}. Next: {'; '.join(error.next_actions)}"
    return f": {clipped(' '.join(said.split()), _MAX_REASON)}"


def _service(view: ServiceView) -> JsonObject:
    return {**shapes.brief(view), **present({"outputs": dict(view.outputs), "progress": shapes.progress_of(view)})}


def _service_line(view: ServiceView) -> str:
    shown = (str(view.outputs[key]) for key in ("url", "connectionString", "port") if view.outputs.get(key))
    where = next((text for text in shown if text != MASK), "")
    reason = f" ({view.reason})" if view.reason else ""
    is_known = view.state.is_up or view.health is not HealthStatus.UNKNOWN
    health = f", {shapes.brief_health(view)}" if is_known else ""
    return (
        f"{view.name} [{view.class_name}] {view.state.value}{reason}{health}"
        + (f", {where}" if where else "")
        + (f": {view.error}" if view.error else shapes.progress_text(view))
    )


PROJECT_TOOLS = (
    ToolDefinition(
        "project_up",
        "Project up",
        "Bring up the services of a project's ostler.yaml, and replace what has changed. Safe to repeat.",
        ProjectUpArgs,
        answer("project services:objects unfinished:strings notHealthyYet:strings changes:objects draft"),
        Effect.STOPS,
        project_up,
    ),
    ToolDefinition(
        "project_down",
        "Project down",
        "Stop and remove a project's services.",
        ProjectDownArgs,
        answer("project services:objects unfinished:strings ended:objects notLookedAt:objects"),
        Effect.STOPS,
        project_down,
    ),
    ToolDefinition(
        "project_status",
        "Project status",
        "A project's services, and what project_up would change.",
        ProjectArgs,
        answer(
            "project directory services:objects changes:objects leftOver:objects notLookedAt:objects findings:strings"
        ),
        Effect.READS,
        project_status,
        page=DASHBOARD_PAGE,
    ),
)
