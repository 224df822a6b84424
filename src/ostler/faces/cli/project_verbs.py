"""Verbs about a project: up, down, diff, and what is left over of projects that are gone."""

import math
import re
import shlex
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, cast

import typer
from msgspec.structs import replace

from ostler.faces.bridge.dialer import OstlerUnavailableError
from ostler.faces.cli.next_steps import in_verbs
from ostler.faces.cli.rpc import CALL_TIMEOUT, LateAnswerError, ServerClient, ToolAnswer
from ostler.faces.cli.services import AsJson, waiting_shown
from ostler.faces.cli.session import ExitStatus, Session, fail, require, seconds_of, session_of, show, usage_error
from ostler.faces.output import complain, say, say_json
from ostler.model.json import JsonObject, present

Names = Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Only these services of ostler.yaml.")]
Directory = Annotated[
    Path | None,
    typer.Option("--project", "-C", metavar="FOLDER", help="The project's folder; else the one you are in."),
]
Timeout = Annotated[
    str | None,
    typer.Option(metavar="DURATION", help="Stop waiting after that time; what is under way goes on."),
]

_WAITS = re.compile(r" waits? until |^waiting for (?:the end|health checks) of ")
"""In a progress message: what is waited for, such as the end of a job."""


_UNSETTLED = ("starting", "waiting", "retrying", "stopping")
_LOOK = 5.0
"""Seconds for a look at what is still under way, when the time is nearly up."""

_LOOK_SHARE = 0.15
"""The part of the time that is kept for that look at most, if nothing was said of what is waited for."""


def up(  # noqa: PLR0917 (typer's parameters are the options)
    context: typer.Context,
    names: Names = None,
    directory: Directory = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Bring up the services of this folder's ostler.yaml. Leaves alone what is up to date. Waits for named jobs."""
    args = {**_args(directory, names), **({"dryRun": True} if dry_run else {})}
    answer = _until_done(context, "project_up", args, timeout)
    _show(answer, is_unwell=_is_any_unwell(answer), as_json=as_json)


def down(
    context: typer.Context,
    names: Names = None,
    directory: Directory = None,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Stop and remove the services of this folder's project."""
    _show(_until_done(context, "project_down", _args(directory, names), timeout), as_json=as_json)


def prune(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what is left over.")] = False,
    as_json: AsJson = False,
) -> None:
    """Stop services of projects that are gone. Processes that an earlier run of Ostler left are stopped, too."""
    if not dry_run:
        _show(_until_done(context, "project_down", {"leftOver": True}), as_json=as_json)
        return
    status = session_of(context).ask("project_status").structured
    rows: list[JsonObject] = status["leftOver"]
    unseen: list[JsonObject] = status.get("notLookedAt", [])
    if as_json:
        say_json({"leftOver": rows, **({"notLookedAt": unseen} if unseen else {})})
        return
    for row in rows:
        if "project" not in row:
            say(f"{stray_text(row)}: left by an earlier run of Ostler")
        else:
            names = ", ".join(row["services"])
            say(f"project {row['project']}: its folder {row['directory']} {row['reason']}; services: {names}")
    if not rows:
        say("Nothing is left over that was looked for." if unseen else "Nothing is left over.")
    for row in unseen:
        complain(in_verbs(f"{row['reason']}. Next: {row['next']}"))


def stray_text(row: JsonObject) -> str:
    """Return in words a process, or what a class found, that is left over, as `project_status` lists it."""
    if "pid" not in row:
        shown = ", ".join(f"{name}={value}" for name, value in row["found"].items())
        return f"{shown or row['serviceId']}, of a service of class {row['class']!r}"
    of = f"of service {row['service']!r}" if row.get("service") else "of an MCP server"
    return f"pid {row['pid']} ({row['program']}), {of}"


def diff(context: typer.Context, names: Names = None, directory: Directory = None, as_json: AsJson = False) -> None:
    """Show what `up` would change, without changing it."""
    answer = session_of(context).ask("project_up", {**_args(directory, names), "dryRun": True})
    show(answer, as_json=as_json)


def project_status(context: typer.Context, directory: Directory = None, as_json: AsJson = False) -> None:
    """Show this folder's project. Its services, and what differs from its ostler.yaml."""
    show(session_of(context).ask("project_status", _args(directory, None)), as_json=as_json)


def init(
    folder: Annotated[Path | None, typer.Argument(metavar="FOLDER", help="The project's folder.")] = None,
    directory: Directory = None,
    source: Annotated[
        list[Path] | None, typer.Option("--from", metavar="FILE", help="Only from this file; repeatable.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the file and write nothing.")] = False,
) -> None:
    """Write an ostler.yaml from what the folder has. Reads Compose files, a Procfile, package.json and others."""
    from ostler.adapters.atomic_files import SHARED, write_new
    from ostler.adapters.projects.import_sources import source_names
    from ostler.adapters.projects.project_drafts import drafted
    from ostler.adapters.regular_files import expanded
    from ostler.model.projects import PROJECT_FILE
    from ostler.rules.imports.found import UnreadableSourceError

    if folder and directory:
        usage_error("give the folder once: as FOLDER or by -C")
    named = folder or directory or Path()
    place = expanded(named).resolve()
    if not place.is_dir():
        usage_error(f"{named} is not a folder")
    try:
        text, count, notes = drafted(place, source or ())
    except UnreadableSourceError as error:
        fail(str(error), ExitStatus.FAILED)
    if dry_run:
        say(text, end="")
        return
    file = place / PROJECT_FILE
    try:
        write_new(file, text, mode=SHARED)
    except FileExistsError:
        fail(f"{file} already exists and stays unchanged. Next: ostler project init --dry-run", ExitStatus.FAILED)
    step = "read through it, then run ostler up" if count else "list your services in it, then run ostler up"
    say(f"wrote {file} with {count} service{'' if count == 1 else 's'}. Next: {step}")
    if notes and not count:
        say("nothing could be converted; the comments at the end of the file say what was found, and how to write it")
    elif not count:
        names = ", ".join(source_names())
        say(f"nothing was found to convert; these files are read, here and in inner folders: {names}")


def schema() -> None:
    """Print the JSON Schema of ostler.yaml, for editors."""
    from ostler.rules.loading.projects import project_json_schema

    say_json(project_json_schema())


def _args(directory: Path | None, names: list[str] | None) -> JsonObject:
    from ostler.adapters.regular_files import expanded

    return present({"directory": str(expanded(directory).resolve()) if directory else None, "services": names or []})


def _until_done(context: typer.Context, tool: str, args: JsonObject, timeout: str | None = None) -> ToolAnswer:
    """Call `tool` until nothing is under way any more; the server bounds each call."""
    seconds = seconds_of("--timeout", timeout)
    ends = time.monotonic() + seconds
    looks = min(_LOOK, seconds * _LOOK_SHARE)
    doing = "bringing the project up" if tool == "project_up" else "bringing the project down"
    earlier: list[ToolAnswer] = []
    waited = ""
    with session_of(context).client(ends) as client, waiting_shown(doing) as show_progress:

        def progress(message: str) -> None:
            nonlocal waited
            shown = in_verbs(message)
            waited = shown if _WAITS.search(shown) else waited
            show_progress(shown)

        while (left := ends - (0.0 if waited else looks) - time.monotonic()) > 0:
            try:
                answer = client.call_tool(tool, args, progress=progress, timeout=min(left, CALL_TIMEOUT))
            except LateAnswerError:
                if seconds == math.inf:
                    raise
                continue
            if answer.structured.get("unfinished"):
                earlier.append(answer)
            elif not _waited_for_health(client, answer, ends):
                return _with_earlier(answer, earlier) if tool == "project_down" else answer
        why = f": {waited}" if waited else _found_by(ends, lambda: _under_way(session_of(context), tool, args))
    words = ["ostler", "up" if tool == "project_up" else "down", *cast("list[str]", args.get("services", []))]
    again = shlex.join([*words, *(["-C", str(args["directory"])] if "directory" in args else [])])
    late = f"{doing} takes longer than {timeout}, and goes on{why}. Next: {again} again to keep waiting"
    return fail(late, ExitStatus.FAILED)


def _waited_for_health(client: ServerClient, answer: ToolAnswer, ends: float) -> bool:
    """Wait for the first health checks that `answer` lacks; False if it lacks none, or if there is no time for them."""
    pending = answer.structured.get("notHealthyYet", [])
    if not pending or not time.monotonic() < ends < math.inf:
        return False
    decided = client.wait(pending, {"health": ["healthy", "unhealthy"]}, ends)
    return not require(decided).structured["late"]


def _found_by(ends: float, look: Callable[[], str]) -> str:
    """Return what `look` finds, if it has found it by the time `ends` of the monotonic clock; else nothing."""
    found: list[str] = []
    looking = threading.Thread(target=lambda: found.append(look()), daemon=True)
    looking.start()
    looking.join(max(0.0, ends - time.monotonic()))
    return found[0] if found else ""


def _under_way(session: Session, tool: str, args: JsonObject) -> str:
    """Return in words what `tool` has not finished yet in the project; empty if that cannot be found out soon."""
    try:
        with ServerClient(session.dialer()) as client:  # the other connection has a call under way
            answer = client.call_tool("project_status", present({"directory": args.get("directory")}), timeout=_LOOK)
    except OstlerUnavailableError:
        return ""
    if answer.is_error:
        return ""
    named = [f"{name}.{answer.structured['project']}" for name in cast("list[str]", args.get("services", []))]
    changes: list[JsonObject] = answer.structured.get("changes", []) if tool == "project_up" else []
    services: list[JsonObject] = answer.structured.get("services", [])
    found = [f"{each['name']} is {each['state']}" for each in services if each["state"] in _UNSETTLED]
    found += [
        f"{each['name']} is not made yet"
        for each in changes
        if each["change"] == "create" and (not named or each["name"] in named)
    ]
    return f": {', '.join(found)}" if found else ""


def _with_earlier(answer: ToolAnswer, earlier: Sequence[ToolAnswer]) -> ToolAnswer:
    """Return the last answer with what earlier ones had already removed: it has only what was left by then."""
    answers = [*earlier, answer]
    services = {each["name"]: each for one in answers for each in one.structured.get("services", [])}
    ended = {str(each): each for one in answers for each in one.structured.get("ended", [])}
    structured = {**answer.structured, "services": list(services.values())}
    if ended:
        structured["ended"] = list(ended.values())
    said = answer.text.splitlines()
    done = [line for one in earlier for line in one.text.splitlines() if line.startswith(("removed: ", "ended: "))]
    lines = [*dict.fromkeys(line for line in done if line not in said), *said]
    return replace(answer, structured=structured, text="\n".join(lines))


def _show(answer: ToolAnswer, *, is_unwell: bool = False, as_json: bool) -> None:
    if "draft" in answer.structured:  # for clients without this command line, which has project init
        answer = replace(answer, text=answer.text.partition("\n")[0])
    if not (answer.is_error or is_unwell) or "services" not in answer.structured:
        show(require(answer), as_json=as_json)
        return
    if as_json:
        say_json(answer.structured)
    else:
        complain(in_verbs(answer.text))
    raise typer.Exit(int(ExitStatus.FAILED))


def _is_any_unwell(answer: ToolAnswer) -> bool:
    """Whether a service that was brought up has failed, or is not healthy: scripts must not go on with it."""
    if answer.structured.get("notHealthyYet"):
        return True
    services: list[JsonObject] = answer.structured.get("services", [])
    raised = (each for each in services if each.get("change") != "removed")
    return any(each.get("health") == "unhealthy" or each.get("state") == "failed" for each in raised)


def add_to(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    for verb in (up, down, diff, prune):
        app.command()(verb)
    project = typer.Typer(name="project", help="The project of this folder: its ostler.yaml.", no_args_is_help=True)
    project.command("status")(project_status)
    project.command("init")(init)
    project.command("schema")(schema)
    app.add_typer(project)
