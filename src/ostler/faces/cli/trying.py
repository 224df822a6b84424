"""`ostler class try`: checks a class, takes one service of it through its life, says what to change in the class."""

import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct

from ostler.faces.cli.importing import configured_names
from ostler.faces.cli.recording import LiveTools, typed_args_of
from ostler.faces.cli.session import (
    ExitStatus,
    Session,
    confirm,
    fail,
    parse_object,
    parse_pairs,
    session_of,
    usage_error,
)
from ostler.faces.output import complain, say, say_json

if TYPE_CHECKING:
    from ostler.adapters.testing.trial import KillTarget
    from ostler.adapters.testing.trial_report import TrialReport, TrialStep
    from ostler.engine.classes.catalogue import ClassEntry
    from ostler.faces.cli.rpc import ServerClient
    from ostler.model.class_tests import StandIn
    from ostler.model.errors import Finding
    from ostler.model.json import JsonObject

_MARKS = {"ok": "ok  ", "failed": "FAIL", "skipped": "-   "}
_KILL_SECONDS = 30.0
_DANGEROUS = "names-none"
"""The rule whose findings say that a stop would mean what others run."""


def class_try(  # noqa: PLR0917 (typer's parameters are the options)
    context: typer.Context,
    what: Annotated[str, typer.Argument(metavar="FILE|NAME", help="The class: its file, or its name.")],
    arg: Annotated[list[str] | None, typer.Option("--arg", "-a", metavar="K=V", help="An arg; repeatable.")] = None,
    args_json: Annotated[str | None, typer.Option("--args-json", metavar="JSON", help="The args as an object.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")] = False,
    kill: Annotated[
        str | None,
        typer.Option(
            "--kill", metavar="COMMAND", help="What kills it from outside; may contain templates such as {{ name }}."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to write the class test.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the facts as JSON.")] = False,
) -> None:
    """Try a class with one service's whole life on the live servers. Says what to change.

    Create, ready, healthy, looked at, killed from outside, recovered, stopped, gone: each step is verified by the
    class's tools and by the processes and ports of this machine. What is left is removed, whatever fails.
    """
    session = session_of(context)
    entry, entries = _class_of(session, what)
    given = {**parse_object("--args-json", args_json), **typed_args_of(entry, parse_pairs("--arg", arg or []))}
    target = _target(entry, output)
    with session.client() as client:
        findings = _check(session, client, entry, entries)
        for finding in findings:
            complain(finding)
        _refuse_the_dangerous(entry, findings)
        needed = _needed(client, entry, given)
        _ask_first(entry, given, yes=yes, as_json=as_json)
        report = _tried(client, entry, entries, given, needed, kill=kill, quiet=as_json)
    if report.test and target is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(report.test, encoding="utf-8")
        for problem in _problems_of(target, session):
            complain(problem)
    if as_json:
        say_json({**report.facts(), "findings": [str(finding) for finding in findings]})
    else:
        _print(report, what, target)
    if not report.passed:
        raise typer.Exit(int(ExitStatus.FAILED))


def _problems_of(file: Path, session: Session) -> list[str]:
    """Return what is wrong with a test that was just recorded, such as details that are true of one life only."""
    from ostler.adapters.testing.discovery import run_test_file

    tested = run_test_file(file, known=configured_names(session))
    failures = [failure for result in tested.results for failure in result.failures]
    return [f"the recorded test does not pass yet: {problem}" for problem in (*tested.findings, *failures)]


def _class_of(session: Session, what: str) -> "tuple[ClassEntry, list[ClassEntry]]":
    from ostler.adapters.testing.discovery import find_class
    from ostler.model.errors import NotFoundError

    try:
        return find_class(
            what, session.paths.serviceclasses_dir, configured_names(session), packs=session.paths.packs_dir
        )
    except NotFoundError as error:
        fail(str(error), ExitStatus.NOT_FOUND)


def _target(entry: "ClassEntry", output: Path | None) -> Path | None:
    """Return where the class test goes: next to the class, unless there is one; never over another file."""
    if output is not None:
        if output.exists():
            fail(f"{str(output)!r} exists and is not written over; name another with --output", ExitStatus.USAGE)
        return output
    if entry.origin == "shipped":
        return None
    beside = Path(entry.path).with_name(f"{entry.name}.test.yaml")
    return None if beside.exists() else beside


def _check(
    session: Session, client: "ServerClient", entry: "ClassEntry", entries: "list[ClassEntry]"
) -> "list[Finding]":
    """Check the class against the tools as they are listed now; errors end the command."""
    from ostler.faces.cli.checking import known_now
    from ostler.rules.checking.class_check import check_loaded

    assert entry.loaded is not None, "it was read from a file"
    known = known_now(session, client, entry.loaded)
    findings = check_loaded(entry.loaded, known, {each.name: each.service_class for each in entries})
    if any(finding.severity == "error" for finding in findings):
        for finding in findings:
            say(finding)
        fail("nothing was tried: correct these first", ExitStatus.FAILED)
    return findings


def _refuse_the_dangerous(entry: "ClassEntry", findings: "list[Finding]") -> None:
    ends = [finding for finding in findings if finding.rule == _DANGEROUS and ".stop" in finding.path]
    if ends:
        fail(
            f"nothing was tried: the stop of class {entry.name!r} names none, so it may stop what others run "
            f"({ends[0].file}:{ends[0].line}). Next: give it what says which one, such as {{{{ start.id }}}}",
            ExitStatus.FAILED,
        )


class _Needed(Struct):
    """The existing services that a class depends on, as they are, and which of their values are secret."""

    services: "list[StandIn]" = []
    secrets: set[str] = set()


def _needed(client: "ServerClient", entry: "ClassEntry", args: "JsonObject") -> _Needed:
    """Return what the class depends on; a missing service ends the command."""
    from ostler.model.class_tests import StandIn
    from ostler.model.errors import TemplateError
    from ostler.rules.templates.template import render

    specs = entry.service_class.spec.args
    names = {**{name: spec.default for name, spec in specs.items() if spec.has_default}, **args}
    needed = _Needed()
    for dependency in entry.service_class.config.dependencies:
        name = dependency if isinstance(dependency, str) else dependency.name
        if not isinstance(dependency, str) and (dependency.create or not dependency.required):
            continue
        try:
            name = render(name, names)
        except TemplateError:
            continue  # it names an arg that is missing, which is told next
        if not isinstance(name, str) or not name:
            continue
        answer = client.call_tool("service_secrets", {"name": name})
        if answer.is_error:
            fail(f"class {entry.name!r} depends on service {name!r}: {answer.text}", ExitStatus.NOT_FOUND)
        facts = client.call_tool("service_get", {"name": name}).structured
        class_name = facts.get("serviceClassName") or facts.get("className")
        outputs: JsonObject = answer.structured.get("outputs") or {}
        shown: JsonObject = facts.get("outputs") or {}
        needed.secrets |= {str(value) for key, value in outputs.items() if value != shown.get(key)}
        given: JsonObject = {"name": name, "serviceClassName": class_name, "outputs": outputs}
        needed.services.append(StandIn.model_validate(given))
    return needed


def _ask_first(entry: "ClassEntry", args: "JsonObject", *, yes: bool, as_json: bool) -> None:
    """Say what will happen, and go on when that is wanted."""
    service_class = entry.service_class
    missing = [
        f"{name} ({spec.description or spec.type})"
        for name, spec in service_class.spec.args.items()
        if spec.required and not spec.has_default and name not in args
    ]
    if missing:
        usage_error(f"class {entry.name!r} needs args: {'; '.join(missing)}. Next: give them with -a NAME=VALUE")
    if not as_json:
        calls = dict.fromkeys(f"{step.partition('[')[0]} {call.tool}" for step, call in service_class.tools.calls)
        say(f"trying class {entry.name} on the live servers: {', '.join(calls)}")
    why = "this starts and stops a service on the live servers. Next: --yes goes on without asking"
    confirm("Create a service of it, kill it, and remove it again?", yes=yes, why=why, declined="nothing was tried")


def _tried(
    client: "ServerClient",
    entry: "ClassEntry",
    entries: "list[ClassEntry]",
    args: "JsonObject",
    needed: _Needed,
    *,
    kill: str | None,
    quiet: bool,
) -> "TrialReport":
    import anyio

    from ostler.adapters.testing.trial import TrialOptions, trial_name, try_class
    from ostler.faces.cli.checking import describe_tools
    from ostler.rules.drafts.tool_traits import Tool

    server = entry.service_class.tools.start.server
    options = TrialOptions(
        trial_name(entry.name),
        kill=_killer(kill) if kill else None,
        tools=[Tool.of(each) for each in describe_tools(client, server)],
        services=needed.services,
        secrets=frozenset(needed.secrets),
        shown=(lambda _: None) if quiet else _show,
        interrupted=_tell_interrupted,
    )
    signal.signal(signal.SIGTERM, _interrupt)  # an end from outside cleans up, too
    return anyio.run(partial(try_class, entry, entries, args, LiveTools(client), options))


def _interrupt(number: int, frame: object) -> None:
    """End as by Ctrl-C, which the event loop knows how to handle."""
    del number, frame
    signal.raise_signal(signal.SIGINT)


def _killer(command: str) -> "KillTarget":
    import anyio

    from ostler.model.errors import OperationError
    from ostler.rules.templates.template import render

    async def kill(names: Mapping[str, object]) -> str:
        words = shlex.split(str(render(command, names)))
        try:
            with anyio.fail_after(_KILL_SECONDS):
                done = await anyio.run_process(words, check=False, stderr=subprocess.STDOUT)
        except (OSError, TimeoutError) as error:
            raise OperationError(f"--kill {shlex.join(words)}: {error or 'took too long'}") from error
        if done.returncode:
            said = done.stdout.decode(errors="replace").strip()
            raise OperationError(f"--kill {shlex.join(words)} ended with {done.returncode}: {said}")
        return shlex.join(words)

    return kill


def _show(step: "TrialStep") -> None:
    seconds = f"{step.seconds:6.1f}s" if step.verdict != "skipped" else " " * 7
    say(f"{_MARKS[step.verdict]}  {step.name:<10} {seconds}  {step.text}", flush=True)


def _tell_interrupted(left: Sequence[str]) -> None:
    complain("the trial was interrupted; its service and its processes were removed" if not left else "interrupted")
    for each in left:
        complain(f"left behind: {each}. Next: ostler ps, and your process list, show it")


def _print(report: "TrialReport", what: str, target: Path | None) -> None:
    if report.advice:
        say(f"\nwhat to change in {what}:")
    failures = [step.text for step in report.steps if step.verdict == "failed"]
    for number, advice in enumerate(report.advice, 1):
        is_said = not advice.lines and any(advice.problem in text for text in failures)
        place = f"{what}:{advice.line}: " if advice.line and what.endswith((".yaml", ".yml", ".json")) else ""
        say(f"{number}. {place}{advice.path}\n   {'the failure above' if is_said else advice.problem}")
        for line in advice.lines:
            say(f"     {line}")
    for each in report.left:
        complain(f"left behind: {each}")
    if report.test and target is not None:
        say(f"wrote {target}, the same life as a class test")
    elif report.test:
        say("its class test was not written: name a file with --output")
    if report.passed:
        say("the class is right, as far as this trial goes")
