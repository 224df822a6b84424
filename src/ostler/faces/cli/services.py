"""Verbs about services."""

import shlex
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Final

import typer
from msgspec.structs import replace

from ostler.faces.cli.next_steps import in_verbs
from ostler.faces.cli.rpc import ServerClient, ShowProgress, ToolAnswer
from ostler.faces.cli.session import (
    ExitStatus,
    class_named,
    fail,
    parse_object,
    parse_pairs,
    parse_value,
    require,
    seconds_of,
    session_of,
    show,
    usage_error,
)
from ostler.faces.cli.shell_completion import class_names, service_names, state_names
from ostler.faces.endings import INTERRUPTED
from ostler.faces.output import complain, say, say_json
from ostler.model.json import JsonObject, present
from ostler.model.states import WAIT_GOALS, HealthStatus
from ostler.rules.text.terminal_text import shown_text

AsJson = Annotated[bool, typer.Option("--json", help="Print the facts as JSON.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The service's name.", autocompletion=service_names)]
Names = Annotated[list[str], typer.Argument(metavar="NAME", help="The services' names.", autocompletion=service_names)]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Return as soon as the request is accepted.")]

_FOLLOW_PAUSE: Final = 0.5
_DOING: Final = {
    "service_start": "starting",
    "service_stop": "stopping",
    "service_restart": "restarting",
    "service_delete": "deleting",
}


def status(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Show a service's state, health, outputs and last error."""
    show(session_of(context).ask("service_status", {"name": name}), as_json=as_json)


def get(context: typer.Context, name: Name) -> None:
    """Show everything about a service, as JSON."""
    say_json(session_of(context).ask("service_get", {"name": name}).structured)


def secret(
    context: typer.Context,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Also print into a pipe or a file.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show a service's args and outputs unmasked. Only on a terminal, unless --yes."""
    if not yes and not sys.stdout.isatty():
        usage_error("secrets are shown on a terminal only. Next: --yes writes them elsewhere, too")
    show(session_of(context).ask("service_secrets", {"name": name}), as_json=as_json)


def create(  # noqa: PLR0917 (typer's parameters are the options)
    context: typer.Context,
    class_name: Annotated[str, typer.Argument(metavar="CLASS", help="The ServiceClass.", autocompletion=class_names)],
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="The service's name; else the class's own.")
    ] = None,
    by_name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="The same as NAME.")] = None,
    arg: Annotated[list[str] | None, typer.Option("--arg", "-a", metavar="K=V", help="An arg; repeatable.")] = None,
    args_json: Annotated[str | None, typer.Option("--args-json", metavar="JSON", help="The args as an object.")] = None,
    overrides: Annotated[
        str | None,
        typer.Option(
            metavar="JSON", help="Changes to the class: dependsOn, env, envFile, healthCheck, idleStop, restartPolicy."
        ),
    ] = None,
    label: Annotated[list[str] | None, typer.Option("--label", metavar="K=V", help="A label; repeatable.")] = None,
    lease: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Stop it after that time, unless renewed.")
    ] = None,
    lease_renewal: Annotated[
        str | None, typer.Option(metavar="client", help="The lease runs only while no client works in the project.")
    ] = None,
    auto_start: Annotated[bool, typer.Option("--auto-start", help="Start it with the server.")] = False,
    persist: Annotated[bool, typer.Option(help="Keep it across restarts of the server.")] = True,
    no_start: Annotated[bool, typer.Option("--no-start", help="Only register it.")] = False,
    plan_id: Annotated[
        str | None,
        typer.Option("--plan-id", metavar="ID", help="Refuse if anything has changed since this plan (ostler plan)."),
    ] = None,
    no_wait: NoWait = False,
    as_json: AsJson = False,
) -> None:
    """Create a service from a class. Starts it, and waits until it is ready."""
    class_named(class_name)
    if name and by_name:
        usage_error("give the new service's name once: as NAME or by --name")
    name = name or by_name
    for extra in (*context.args, *([name] if name and "=" in name else [])):
        usage_error(f"unexpected {extra!r}: args are given by -a, as in: ostler create {class_name} NAME -a K=V")
    given = parse_object("--args-json", args_json)
    pairs = parse_pairs("--arg", arg or [])
    with session_of(context).client() as client:
        if pairs:
            given |= typed_args(client, class_name, pairs)
        request: JsonObject = {
            "serviceClassName": class_name,
            **present(
                {
                    "name": name,
                    "args": given,
                    "labels": parse_pairs("--label", label or []),
                    "lease": lease,
                    "leaseRenewal": lease_renewal,
                    "planId": plan_id,
                    "overrides": parse_object("--overrides", overrides),
                }
            ),
        }
        # Only what differs from the tool's own defaults, so that this works with every version of it.
        if auto_start:
            request["autoStart"] = True
        if not persist:
            request["persist"] = False
        if no_start:
            request["start"] = False
        if no_wait:
            request["wait"] = False
        with waiting_shown(f"creating {name or class_name}") as progress:
            answer = _to_end(client, client.call_tool("service_create", request, progress=progress), no_wait)
        if answer.is_error and as_json and "service" in answer.structured:
            say_json(answer.structured)
        require(answer)
    show(answer, as_json=as_json)


def explain(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Explain why a service is in its state, and what to do next."""
    show(session_of(context).ask("service_explain", {"name": name}), as_json=as_json)


def start(
    context: typer.Context,
    names: Names,
    adopt: Annotated[bool, typer.Option("--adopt", help="Take over what already runs, without starting it.")] = False,
    output: Annotated[
        list[str] | None,
        typer.Option("--output", metavar="K=V", help="With --adopt: an output of its start tool; repeatable."),
    ] = None,
    no_wait: NoWait = False,
) -> None:
    """Start services."""
    given: JsonObject = {name: parse_value(text) for name, text in parse_pairs("--output", output or []).items()}
    if given and not adopt:
        fail("--output needs --adopt", ExitStatus.USAGE)
    _each(context, "service_start", names, no_wait, **({"adopt": True, "outputs": given} if adopt else {}))


def stop(
    context: typer.Context,
    names: Names,
    dependents: Annotated[bool, typer.Option("--dependents", help="Stop first what depends on them.")] = False,
    no_wait: NoWait = False,
) -> None:
    """Stop services."""
    _each(context, "service_stop", names, no_wait, **({"dependents": True} if dependents else {}))


def wait(  # noqa: PLR0917 (typer's parameters are the options)
    context: typer.Context,
    names: Names,
    state: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STATE",
            help="Until all are in one of these; repeatable. Default: ready, which is up, and healthy if it has health "
            "checks, or completed if it is a job.",
            autocompletion=state_names,
        ),
    ] = None,
    health: Annotated[
        list[str] | None,
        typer.Option(metavar="HEALTH", help="And have one of these, however long that takes; repeatable."),
    ] = None,
    timeout: Annotated[str | None, typer.Option(metavar="DURATION", help="Fail after that time.")] = None,
    as_json: AsJson = False,
) -> None:
    """Wait until services are ready, or have a given state. Exits with 1 if time is up or they never will.

    Without --state and --health, it also exits with 1 as soon as one is unhealthy.
    """
    allowed = seconds_of("--timeout", timeout)
    states, healths = _known("--state", state, WAIT_GOALS), _known("--health", health, list(HealthStatus))
    wanted = present({"state": states or ([] if healths else ["ready"]), "health": healths})
    ends = time.monotonic() + allowed
    with session_of(context).client(ends) as client, _shown(f"waiting for {', '.join(names)}"):
        answer = require(client.wait(names, wanted, ends))
    if as_json:
        say_json(answer.structured)
    elif answer.structured["met"]:
        say(answer.structured["message"])
    elif answer.structured["late"]:
        options = [each for one in states for each in ("--state", one)]
        options += [each for one in healths for each in ("--health", one)]
        again = shlex.join(["ostler", "wait", *names, *options])
        said = answer.structured["message"].rpartition(" after ")[0]
        complain(f"{said} after {timeout}. Next: {again} again to keep waiting")
    else:
        complain(f"{answer.structured['message']}{_next_step(answer.structured)}")
    if not answer.structured["met"]:
        raise typer.Exit(int(ExitStatus.FAILED))


def renew(
    context: typer.Context,
    name: Name,
    lease: Annotated[
        str | None, typer.Argument(metavar="DURATION", help="How long from now, such as 2h; else its usual length.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Let a service's lease end later."""
    show(session_of(context).ask("service_renew", {"name": name, **present({"lease": lease})}), as_json=as_json)


def type_input(
    context: typer.Context,
    name: Name,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to type; - reads it from standard input.")] = "",
    no_enter: Annotated[bool, typer.Option("--no-enter", "-n", help="Do not press Enter after it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Type into what a service runs, such as an answer."""
    typed = sys.stdin.read().removesuffix("\n") if text == "-" else text
    show(
        session_of(context).ask("service_input", {"name": name, "text": typed, "enter": not no_enter}), as_json=as_json
    )


def restart(context: typer.Context, names: Names, no_wait: NoWait = False) -> None:
    """Restart services."""
    _each(context, "service_restart", names, no_wait)


def delete(
    context: typer.Context,
    names: Names,
    force: Annotated[bool, typer.Option("--force", help="Remove it even if its stop fails.")] = False,
    abandon: Annotated[bool, typer.Option("--abandon", help="Remove it without stopping it.")] = False,
    no_wait: NoWait = False,
) -> None:
    """Stop services and remove them."""
    given = {"force": force, "abandon": abandon}
    _each(context, "service_delete", names, no_wait, **{key: True for key, wanted in given.items() if wanted})


def events(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Only events of this service.")] = None,
    since: Annotated[int | None, typer.Option(metavar="CURSOR", help="Only events after this cursor.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep showing new events, until interrupted.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what happened."""
    args: JsonObject = present({"name": name, "since": since})

    def look(client: ServerClient) -> float | None:
        answer = require(client.call_tool("service_events", args))
        found: list[JsonObject] = answer.structured["events"]
        if as_json and not follow:
            say_json(answer.structured)
        for event in found if follow or not as_json else []:
            _print_event(event, as_json=as_json)
        args["since"] = answer.structured["cursor"]
        say(end="", flush=True)
        return _FOLLOW_PAUSE if follow else None

    session_of(context).follow(look)


def logs(  # noqa: PLR0917 (what follows the name are options)
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="A service, or a project's id.", autocompletion=service_names),
    ] = "",
    lines: Annotated[int, typer.Option("--lines", "-n", metavar="N", help="How many of the last lines.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep showing new lines, until interrupted.")] = False,
    search: Annotated[
        str, typer.Option("--search", "-s", metavar="REGEX", help="Only lines that match this regex.")
    ] = "",
    best: Annotated[str, typer.Option(metavar="WORDS", help="The lines that fit these words best, best first.")] = "",
    errors: Annotated[bool, typer.Option("--errors", help="Only lines that report an error.")] = False,
    since: Annotated[
        str, typer.Option(metavar="DURATION", help="Only lines written within this time, such as 10m.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Show what a service's process wrote. Without a name, what those of this folder's project wrote."""
    if best and (search or follow):
        fail("--best searches the whole log for words: leave --search and --follow out", ExitStatus.USAGE)
    args: JsonObject = {"name": name, "lines": lines, "search": best or search, "errorsOnly": errors}
    args |= present({"since": since, "ranked": bool(best) or None})

    def look(client: ServerClient) -> float | None:
        answer = require(client.call_tool("service_logs", args))
        if as_json:
            say_json(answer.structured, indent=None if follow else 2)
        lines_found: list[str] = answer.structured["lines"]
        for line in [] if as_json else lines_found:
            say(line)
        if not follow:
            if not (lines_found or as_json):
                complain("no such line" if args["search"] or errors or since else "nothing was logged")
            return None
        say(end="", flush=True)
        args["cursor"] = answer.structured["cursor"]
        return 0.0 if answer.structured["truncated"] else _FOLLOW_PAUSE

    session_of(context).follow(look)


def _each(context: typer.Context, tool: str, names: list[str], no_wait: bool, **more: Any) -> None:
    """Call `tool` for each name, all of them whatever happens to one; the first failure decides the exit status."""
    failure: ExitStatus | None = None
    with session_of(context).client() as client:
        for name in names:
            args: JsonObject = {"name": name, **more, **({"wait": False} if no_wait else {})}
            with waiting_shown(f"{_DOING[tool]} {name}") as progress:
                answer = _to_end(client, client.call_tool(tool, args, progress=progress), no_wait)
            if answer.is_error:
                complain(in_verbs(answer.text))
                missing = answer.error_code == "not_found"
                failure = failure or (ExitStatus.NOT_FOUND if missing else ExitStatus.FAILED)
            else:
                say(in_verbs(answer.text))
    if failure is not None:
        raise typer.Exit(int(failure))


def _to_end(client: ServerClient, answer: ToolAnswer, no_wait: bool) -> ToolAnswer:
    """Return how a job ended whose tool answered before that; else `answer`."""
    service: JsonObject = answer.structured.get("service") or {}
    if no_wait or not service.get("endAwaited"):
        return answer
    name = service["name"]
    met: JsonObject = {}
    while not met.get("met"):
        ended = client.call_tool("service_wait", {"name": name, "state": ["stopped", "failed"], "timeout": "45s"})
        if ended.is_error:
            return ended
        met = ended.structured
    ended = client.call_tool("service_status", {"name": name})
    return replace(ended, is_error=ended.structured.get("reason") != "completed")


def _known(option: str, words: Sequence[str] | None, known: Sequence[str]) -> list[str]:
    """Return the values of an option in lower case, or end with what is wrong with one."""
    from ostler.model.near_names import hint_at

    found = [word.lower() for word in words or ()]
    for word in found:
        if word not in known:
            usage_error(f"{option}: {word!r} is not one of {', '.join(known)}{hint_at(word, known)}")
    return found


def _next_step(answer: JsonObject) -> str:
    rows: list[JsonObject] = answer.get("services") or [answer["service"]]
    for row in rows:
        if row["state"] == "failed":
            return f". Next: ostler explain {row['name']} says why"
    for row in rows:
        if row["health"] == "unhealthy":
            name = row["name"]
            return f". Next: ostler explain {name} says why; ostler wait {name} --health healthy waits until it is well"
    return ""


def typed_args(client: ServerClient, class_name: str, pairs: dict[str, str]) -> JsonObject:
    """Return args as the class types them: the text itself for a string, else the JSON value that it is."""
    answer = client.call_tool("serviceclass_get", {"name": class_name})
    if answer.error_code == "not_found":
        return dict(pairs)  # the tool that gets them says what else may be meant
    specs: dict[str, JsonObject] = require(answer).structured["args"]
    typed: JsonObject = {}
    for key, text in pairs.items():
        typed[key] = text if specs.get(key, {}).get("type") == "string" else parse_value(text)
    return typed


@contextmanager
def waiting_shown(what: str) -> Generator[ShowProgress]:
    """Show what is being waited for while it lasts, where a person looks on; gives what takes progress messages.

    Ctrl-C ends the waiting alone, and says so.
    """
    try:
        with _shown(what) as show_progress:
            yield show_progress
    except KeyboardInterrupt:
        complain(f"{what} goes on without this command. Next: ostler ps shows how far it is")
        raise typer.Exit(INTERRUPTED) from None


@contextmanager
def _shown(what: str) -> Generator[ShowProgress]:
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.markup import escape

    with Console(stderr=True).status(escape(f"{shown_text(what)} …")) as status:
        yield lambda message: status.update(escape(shown_text(f"{what}: {message}" if message else f"{what} …")))


def _print_event(event: JsonObject, *, as_json: bool) -> None:
    if as_json:
        say_json(event, indent=None)
        return
    who = f" {event['service']}" if event.get("service") else ""
    say(f"{event['at']} {event['kind']}{who}: {event.get('message', '')}")


def add_to(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    for verb in (status, get, secret, explain, start, stop, restart, wait, renew, delete, events, logs):
        app.command()(verb)
    app.command(context_settings={"allow_extra_args": True})(create)  # it says how args are given
    app.command("input")(type_input)
