"""Verbs about other MCP clients: putting Ostler into their configuration, and taking their servers over."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ostler.faces.cli.services import AsJson
from ostler.faces.cli.session import ExitStatus, Session, fail, session_of, usage_error
from ostler.faces.cli.shell_completion import client_names
from ostler.faces.output import complain, say, say_json
from ostler.model.errors import Finding, OstlerError
from ostler.model.json import JsonObject, JsonValue

if TYPE_CHECKING:
    from ostler.adapters.config.client_edit import Edit
    from ostler.adapters.config.client_files import ClientFile, Machine
    from ostler.adapters.config.imports import Candidate

Clients = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="CLIENT", help="Which clients, such as cursor; else all found here.", autocompletion=client_names
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Change the files without asking.")]


def install(context: typer.Context, clients: Clients = None, dry_run: DryRun = False, yes: Yes = False) -> None:
    """Add Ostler to the configuration of MCP clients. Shows the change, and keeps a backup of each file."""
    from ostler.adapters.config.client_edit import addition, own_command

    session = session_of(context)
    command = own_command(os.environ, _folders(session))
    _edit(clients, lambda file: addition(file, command), dry_run=dry_run, yes=yes, done="added to")


def uninstall(context: typer.Context, clients: Clients = None, dry_run: DryRun = False, yes: Yes = False) -> None:
    """Take Ostler out of the configuration of MCP clients."""
    from ostler.adapters.config.client_edit import removal

    session_of(context)
    _edit(clients, removal, dry_run=dry_run, yes=yes, done="removed from")


def import_servers(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="The servers to import.")] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="CLIENT|FILE", help="Only of this client, or of this file.", autocompletion=client_names
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Import all that can be imported.")] = False,
    as_json: AsJson = False,
) -> None:
    """Copy servers from other MCP clients. Without names, shows what each would become here."""
    from ostler.adapters.signing_in.vault import answers_in

    session = session_of(context)
    found, problems = _candidates(source, answers_in(session.paths.answers_dir))
    for problem in problems:
        complain(problem)
    wanted = _chosen(found, names or [], every=every)
    if as_json:
        say_json({"servers": [_facts(candidate) for candidate in found], "findings": problems})
    elif not wanted:
        _show(found, _configured(session))
    if wanted:
        _take(session, wanted, note=complain if as_json else say)
    taken = {candidate.name for candidate in wanted}
    for candidate in found if every else ():
        if candidate.is_refused and candidate.name not in taken:
            complain(f"server {candidate.name!r} was not imported: {_refusal_of(candidate)}")
    if names and len(wanted) < len(names):
        raise typer.Exit(int(ExitStatus.FAILED))


def _edit(
    clients: list[str] | None, made: "Callable[[ClientFile], Edit]", *, dry_run: bool, yes: bool, done: str
) -> None:
    edits: list[Edit] = []
    failed = False
    for file in _files(clients):
        try:
            edit = made(file)
        except OstlerError as error:
            complain(f"{file.location.label}: {error}")
            failed = True
            continue
        if edit.changes:
            say(f"{file.location.label}:")
            say(edit.diff())
            edits.append(edit)
        else:
            say(f"{file.location.label}: nothing to change in {file.path}")
    if edits and not dry_run:
        if not yes and not _agreed(len(edits)):
            fail(
                "nothing was changed. Next: --yes changes the files, --dry-run only shows the change", ExitStatus.FAILED
            )
        for edit in edits:
            failed |= not _apply(edit, done)
    if failed:
        raise typer.Exit(int(ExitStatus.FAILED))


def _apply(edit: "Edit", done: str) -> bool:
    try:
        backup = edit.apply()
    except (OstlerError, OSError) as error:
        complain(f"{edit.file.location.label}: {error}")
        return False
    kept = f" (backup: {backup.name})" if backup is not None else ""
    say(f"{edit.file.location.label}: Ostler was {done} {edit.file.path}{kept}")
    return True


def _files(clients: list[str] | None) -> "Iterator[ClientFile]":
    from ostler.adapters.config.client_files import Machine
    from ostler.adapters.config.dialects.locations import CLIENT_IDS, LOCATIONS

    machine = Machine(os.environ)
    chosen = {name: _client_id(name) for name in clients or CLIENT_IDS}
    if unknown := [name for name, client in chosen.items() if client is None]:
        usage_error("; ".join(f"Ostler does not know a client {name!r}; {_meant(name)}" for name in unknown))
    any_found = False
    for client in dict.fromkeys(filter(None, chosen.values())):
        file = machine.file_of(client, Path.cwd())
        if file is not None and (clients or machine.is_there(file)):
            any_found = True
            yield file
    if not any_found:
        looked = ", ".join(location.label for location in LOCATIONS)
        next_step = "ostler install CLIENT makes the file of one; the README shows the entry to write by hand"
        fail(f"no client was found on this machine; looked for {looked}. Next: {next_step}", ExitStatus.NOT_FOUND)


def _client_id(name: str) -> str | None:
    """Return the id of the client that is called `name`, by its id or as people call it; None when there is none."""
    from ostler.adapters.config.dialects.locations import CLIENT_IDS, LOCATIONS

    ids = {location.label.lower(): location.client for location in LOCATIONS} | {one: one for one in CLIENT_IDS}
    return ids.get(name.lower())


def _meant(name: str) -> str:
    """Return which clients `name` may stand for, as the end of a sentence."""
    from difflib import get_close_matches

    from ostler.adapters.config.dialects.locations import CLIENT_IDS

    close = get_close_matches(name.lower(), CLIENT_IDS, cutoff=0.75)
    like = [one for one in CLIENT_IDS if one.startswith(name.lower())] or close
    return f"did you mean {' or '.join(like)}?" if like else f"known clients: {', '.join(CLIENT_IDS)}"


def _agreed(files: int) -> bool:
    if not sys.stdin.isatty():
        return False
    return typer.confirm(f"Change {files} file{'s' if files > 1 else ''}?")


def _folders(session: Session) -> list[str]:
    """Return the options for folders that are not the usual ones."""
    from ostler.adapters.config.paths import Paths

    usual = Paths.resolve(None, None, environ={})
    options: list[str] = []
    if session.paths.config_dir != usual.config_dir:
        options += ["--config", str(session.paths.config_dir)]
    if session.paths.state_dir != usual.state_dir:
        options += ["--state", str(session.paths.state_dir)]
    return options


def _candidates(source: str | None, answer: Callable[[str], str | None]) -> "tuple[list[Candidate], list[str]]":
    """Return the servers of all clients, of one client or of one file, and what is wrong with the files."""
    from ostler.adapters.config.client_files import Machine, workspace_of

    machine = Machine(os.environ, here=Path.cwd())
    client = None if source is None else _client_id(source)
    if source is not None and client is None:
        path = Path(source).absolute()
        if not os.path.lexists(path):
            fail(f"{source!r} is neither a file nor a client; {_meant(source)}", ExitStatus.NOT_FOUND)
        files = machine.files_at(path) or [None]
        read = [
            _candidates_of(path, file, machine, workspace_of(path) if file is None else file.workspace, answer)
            for file in files
        ]
        problems = [str(finding) for _, findings in read for finding in findings]
        return _without_repetitions(read), list(dict.fromkeys(problems))
    read = [
        _candidates_of(file.path, file, machine, file.workspace, answer)
        for file in machine.files(Path.cwd())
        if client in (None, file.location.client)
    ]
    problems = [str(finding) for _, findings in read for finding in findings if finding.rule != "no-servers"]
    return _without_repetitions(read), list(dict.fromkeys(problems))


def _without_repetitions(read: "Iterable[tuple[list[Candidate], list[Finding]]]") -> "list[Candidate]":
    """Return the servers, each one of a file that several clients read once for all who have it alike."""
    found: dict[object, Candidate] = {}
    for candidate in (one for candidates, _ in read for one in candidates):
        key = (candidate.source, candidate.project, candidate.name, str(candidate.entry), candidate.is_refused)
        found.setdefault(key, candidate)
    return list(found.values())


def _candidates_of(
    path: Path,
    file: "ClientFile | None",
    machine: "Machine",
    workspace: Path | None,
    answer: Callable[[str], str | None],
) -> "tuple[list[Candidate], list[Finding]]":
    from ostler.adapters.config.imports import candidates_in

    return candidates_in(
        path,
        os.environ,
        client="" if file is None else file.location.writer,
        label="" if file is None else file.location.label,
        workspace=workspace,
        answer=answer,
        limiting=None if file is None else partial(machine.limiting, file),
        layers=None if file is None else partial(machine.layers, file),
        variables=None if file is None else partial(machine.variables, file),
    )


def _chosen(found: "Sequence[Candidate]", names: Sequence[str], *, every: bool) -> "list[Candidate]":
    chosen: dict[str, Candidate] = {}
    for name in names or (dict.fromkeys(candidate.name for candidate in found) if every else ()):
        matching = [candidate for candidate in found if candidate.name == name]
        good = [candidate for candidate in matching if not candidate.is_refused]
        if not matching:
            complain(f"no client has a server {name!r}. Next: ostler servers import lists them")
        elif not good:
            if not every:
                complain(f"server {name!r} is refused: {_refusal_of(matching[0])}")
        elif name not in chosen and (len({str(one.entry) for one in good}) > 1 or _is_refused_to_another(matching)):
            sources = ", ".join(f"{one.client}: {one.source}" for one in matching)
            complain(f"server {name!r} is not the same everywhere ({sources}); --from says which is meant")
        else:
            chosen.setdefault(name, good[0])
    return list(chosen.values())


def _is_refused_to_another(matching: "Sequence[Candidate]") -> bool:
    """Whether a file has a server that one of the clients that read it may use, and Ostler not as another one does."""
    refused = {(one.source, one.project) for one in matching if one.is_refused}
    return any((one.source, one.project) in refused for one in matching if not one.is_refused)


def _configured(session: Session) -> set[str]:
    from ostler.adapters.config.server_files import ServerFiles

    loaded = ServerFiles(session.paths, os.environ).load()
    return {*loaded.entries, *loaded.refused}


def _show(found: "Sequence[Candidate]", configured: set[str]) -> None:
    import json

    if not found:
        say("No client of this machine has a server that Ostler could import.")
        return
    for candidate in found:
        project = f", project {candidate.project}" if candidate.project else ""
        say(f"{candidate.name}  ({candidate.client}{project}: {candidate.source})")
        if candidate.name in configured:
            say("    is in mcp.json already")
        elif candidate.is_refused:
            say("    is refused")
        else:
            say(f"    becomes {json.dumps(candidate.shown, ensure_ascii=False)}")
        for finding in candidate.findings:
            say(f"    {finding.severity}: {finding}")
    say("Next: ostler servers import NAME... takes some over, --all all of them.")


def _take(session: Session, wanted: "Sequence[Candidate]", *, note: "Callable[[str], None]") -> None:
    from ostler.adapters.atomic_files import replace, write_new
    from ostler.adapters.config.dialects.client_texts import SourceError, read_text
    from ostler.adapters.config.jsonc import JsoncError
    from ostler.adapters.config.server_files import with_entries

    path = session.paths.mcp_json
    there = _configured(session)
    entries: dict[str, JsonValue] = {one.name: one.entry for one in wanted if one.name not in there}
    for candidate in wanted:
        if candidate.name in there:
            complain(f"server {candidate.name!r} is already in mcp.json and stays unchanged")
    if not entries:
        return
    try:
        before = read_text(path, str(path)) if path.exists() else ""
        asked = (question for one in wanted if one.name in entries for question in one.questions)
        after = with_entries(before, entries, asked)
        (replace if path.exists() else write_new)(path, after)
    except (SourceError, JsoncError) as error:
        fail(f"nothing was imported: {error}", ExitStatus.FAILED)
    except (ValueError, OSError, OstlerError) as error:
        fail(f"nothing was imported: {path}: {error}", ExitStatus.FAILED)
    for candidate in wanted:
        if candidate.name in entries:
            note(f"{candidate.name}: imported into {path}")
            for finding in candidate.findings:
                if finding.severity == "warning":
                    note(f"    {finding.severity}: {finding}")


def _refusal_of(candidate: "Candidate") -> str:
    """Return why a candidate that is refused is."""
    return str(next(finding for finding in candidate.findings if finding.severity == "error"))


def _facts(candidate: "Candidate") -> JsonObject:
    return {
        "name": candidate.name,
        "client": candidate.client,
        "file": str(candidate.source),
        "project": candidate.project,
        "refused": candidate.is_refused,
        "entry": candidate.shown,
        "findings": [str(finding) for finding in candidate.findings],
    }


def add_to(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.command()(install)
    app.command()(uninstall)
