"""`ostler token`: the bearer tokens of those who come over HTTP; `ostler audit`: what they changed."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from ostler.faces.cli.services import AsJson
from ostler.faces.cli.session import ExitStatus, fail, session_of
from ostler.faces.cli.tables import print_table
from ostler.faces.output import complain, say, say_json
from ostler.model.errors import NotFoundError, OstlerError
from ostler.model.json import JsonObject, parse_json


def add(
    context: typer.Context,
    principal: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is: letters, digits and '-'.")],
    token_id: Annotated[str, typer.Option("--id", metavar="ID", help="What to call the token; default: NAME.")] = "",
    expires: Annotated[str, typer.Option(metavar="TIME", help="When it ends, e.g. 720h; default: never.")] = "",
) -> None:
    """Make a token and print it once: only its digest is stored."""
    from ostler.adapters.access.token_file import TokenFile
    from ostler.adapters.config.settings_file import load_settings
    from ostler.faces.configuration import tokens_path
    from ostler.model.access import policy_of
    from ostler.model.durations import parse_duration

    paths = session_of(context).paths
    try:
        lasts = parse_duration(expires) if expires else None
    except ValueError as error:
        fail(f"--expires: {error}", ExitStatus.USAGE)
    try:
        settings = load_settings(paths.settings_file)
        is_first = not tokens_path(paths, settings).exists()
        token, made = TokenFile(tokens_path(paths, settings)).add(principal, token_id, lasts=lasts)
    except OstlerError as error:
        fail(str(error), ExitStatus.FAILED)
    complain(f"token {made.id!r} of {principal!r}; its header is 'Authorization: Bearer TOKEN', and this is the TOKEN:")
    say(token)
    if policy_of(settings.principals, principal) is None:
        complain(f"Next: add [principals.{principal}] to {paths.settings_file}; without a policy it is refused")
    if is_first:
        complain("Next: start the server (ostler serve --http …); one that runs asks for tokens after a restart")


def list_tokens(context: typer.Context, as_json: AsJson = False) -> None:
    """List the tokens, without their values."""
    from ostler.adapters.access.token_file import read_tokens

    rows: list[JsonObject] = [
        {
            "id": token.id,
            "principal": token.principal,
            "created": token.created,
            "expires": token.expires.isoformat(timespec="seconds") if token.expires else "",
            "ended": not token.is_current(),
        }
        for token in read_tokens(_path(context))
    ]
    if as_json:
        say_json({"tokens": list(rows)})
        return
    shown: list[JsonObject] = [{**row, "state": "ended" if row["ended"] else ""} for row in rows]
    columns = {"ID": "id", "OF": "principal", "MADE": "created", "ENDS": "expires", "": "state"}
    print_table(shown, columns, empty="no tokens; ostler token add NAME makes one")


def remove(
    context: typer.Context, token_id: Annotated[str, typer.Argument(metavar="ID", help="As 'token list' shows it.")]
) -> None:
    """Remove a token. Whoever has it is refused from now on, and their streams end within seconds."""
    from ostler.adapters.access.token_file import TokenFile

    try:
        gone = TokenFile(_path(context)).remove(token_id)
    except NotFoundError as error:
        fail(str(error), ExitStatus.NOT_FOUND)
    except OstlerError as error:
        fail(str(error), ExitStatus.FAILED)
    say(f"removed token {gone.id!r} of {gone.principal!r}")


def audit(
    context: typer.Context,
    lines: Annotated[
        int, typer.Option("-n", "--lines", metavar="N", min=1, help="How many of the newest entries.")
    ] = 50,
    who: Annotated[str, typer.Option(metavar="NAME", help="Only of this principal.")] = "",
) -> None:
    """Show what was changed, by whom and from where. Each line is a JSON object."""
    from collections import deque

    changes = _changes(session_of(context).paths.audit_dir)
    newest = deque((facts for facts in changes if not who or facts.get("who") == who), maxlen=lines)
    for facts in newest:
        say_json(facts, indent=None)
    if not newest:
        complain("the audit log is empty; it is kept when there are tokens or an authorization server (docs/teams.md)")


def _changes(folder: Path) -> Iterator[JsonObject]:
    from ostler.adapters.access.audit_log import audit_files

    for file in audit_files(folder):
        with file.open(encoding="utf-8", errors="replace") as text:
            for line in text:
                with suppress(ValueError):  # the last line of a file at the moment of a crash
                    yield parse_json(line)


def _path(context: typer.Context) -> Path:
    from ostler.adapters.config.settings_file import load_settings
    from ostler.faces.configuration import tokens_path

    paths = session_of(context).paths
    return tokens_path(paths, load_settings(paths.settings_file))


def add_to(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    group = typer.Typer(help="Bearer tokens for clients that connect over HTTP.", no_args_is_help=True)
    group.command("add")(add)
    group.command("list")(list_tokens)
    group.command("remove")(remove)
    app.add_typer(group, name="token")
    app.command("audit")(audit)
