"""Verbs about the database in the state folder. They work with and without a running server."""

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from ostler.faces.cli.services import AsJson
from ostler.faces.cli.session import ExitStatus, fail, session_of
from ostler.faces.output import json_text, say, say_json
from ostler.model.errors import AlreadyExistsError, OstlerError
from ostler.model.json import JsonValue


def check(context: typer.Context, as_json: AsJson = False) -> None:
    """Check the database: integrity, every record, and what is open; exit status 1 when something is wrong."""
    from ostler.adapters.stores.sqlite_copies import examine_database

    path = _existing(context)
    try:
        report = examine_database(path)
    except OstlerError as error:
        _refuse(error)
    if as_json:
        say_json(
            {
                "path": str(path),
                "schemaVersion": report.schema_version,
                "bytes": report.size,
                **report.counts,
                "openOperations": report.open_operations,
                "problems": list(report.problems),
            }
        )
    else:
        counts = ", ".join(f"{count} {kind}" for kind, count in report.counts.items())
        say(f"{path}: schema {report.schema_version}, {report.size / 1024:.0f} KiB, {counts}")
        if report.open_operations:
            say(f"{report.open_operations} operations are under way, or are resolved when the server starts")
        for problem in report.problems:
            say(f"problem: {problem}")
        say("the database is sound" if not report.problems else "restore a backup of it; it was left untouched")
    if report.problems:
        raise typer.Exit(int(ExitStatus.FAILED))


def backup(
    context: typer.Context,
    to: Annotated[Path, typer.Argument(metavar="FILE", help="The copy; it must not exist yet.")],
) -> None:
    """Write a complete copy of the database, readable by you alone. It holds secrets.

    To restore it, stop the server (ostler stop-server) and replace the database with the copy.
    """
    from ostler.adapters.stores.sqlite_copies import copy_database

    path = _existing(context)
    try:
        copy_database(path, to)
    except OstlerError as error:
        _refuse(error)
    say(f"wrote {to} ({to.stat().st_size / 1024:.0f} KiB); it holds secrets, and only you can read it")


def export(
    context: typer.Context,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write there; else to stdout.")
    ] = None,
    reveal_secrets: Annotated[bool, typer.Option("--reveal-secrets", help="Do not mask secrets.")] = False,
) -> None:
    """Print everything as JSON lines: services, operations with their calls, events. Secrets are masked."""
    import anyio

    from ostler.adapters.stores.sqlite_copies import export_database, without_secrets

    path = _existing(context)

    async def write() -> int:
        count = 0
        with _lines_to(output) as write_line:
            async for item in export_database(path):
                write_line(item if reveal_secrets else without_secrets(item))
                count += 1
        return count

    try:
        count = anyio.run(write)
    except FileExistsError:
        _refuse(AlreadyExistsError(f"the file {str(output)!r} already exists", next_actions=("choose another name",)))
    except BrokenPipeError:
        raise  # the reader has left, which the command line ends quietly
    except OSError as error:
        fail(f"{output}: {error.strerror or error}", ExitStatus.FAILED)
    except OstlerError as error:
        _refuse(error)
    if output is not None:
        say(f"wrote {count} lines to {output}")


@contextmanager
def _lines_to(output: Path | None) -> Generator[Callable[[JsonValue], object]]:
    """Give what writes a line of JSON: to a new file that only its owner reads, or to stdout."""
    if output is None:
        yield lambda item: say_json(item, indent=None)
        return
    descriptor = os.open(output, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        yield lambda item: file.write(f"{json_text(item)}\n")


def _existing(context: typer.Context) -> Path:
    path = session_of(context).paths.database
    if not path.exists():
        fail(f"there is no database at {path}: no server has run with this state folder", ExitStatus.NOT_FOUND)
    return path


def _refuse(error: OstlerError) -> NoReturn:
    fail(str(error), ExitStatus.FAILED)


def add_to(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    group = typer.Typer(help="Check, copy and read the database of the state folder.", no_args_is_help=True)
    for verb in (check, backup, export):
        group.command()(verb)
    app.add_typer(group, name="store")
