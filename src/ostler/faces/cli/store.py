"""Verbs about the store: the database in the state folder, or on PostgreSQL. They work with and without a server."""

import os
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from ostler.faces.bridge.version import VERSION
from ostler.faces.cli.services import AsJson
from ostler.faces.cli.session import ExitStatus, fail, session_of, usage_error
from ostler.faces.output import json_text, say, say_json
from ostler.model.errors import AlreadyExistsError, NotFoundError, OstlerError
from ostler.model.json import JsonObject, JsonValue

if TYPE_CHECKING:
    from ostler.adapters.stores.choice import StorePlace
    from ostler.adapters.stores.contents import DatabaseReport
    from ostler.faces.daemon.lock import StateLock
    from ostler.model.settings import Settings


def check(context: typer.Context, as_json: AsJson = False) -> None:
    """Check the database. Integrity, every record, and what is open; exit status 1 if something is wrong."""
    place = _existing(context)
    try:
        report = _report(place)
    except OstlerError as error:
        _refuse(error)
    if as_json:
        say_json(
            {
                "path": str(place),
                "schemaVersion": report.schema_version,
                "bytes": report.size,
                **report.counts,
                "openOperations": report.open_operations,
                "problems": list(report.problems),
            }
        )
    else:
        counts = ", ".join(f"{count} {kind}" for kind, count in report.counts.items())
        say(f"{place}: schema {report.schema_version}, {report.size / 1024:.0f} KiB, {counts}")
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
    place = _existing(context)
    if place.url:
        fail(f"{place} is on PostgreSQL: make copies with pg_dump --schema=ostler", ExitStatus.USAGE)
    from ostler.adapters.stores.sqlite_copies import copy_database

    try:
        copy_database(place.path, to)
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
    """Print everything as JSON lines. Services, operations with their calls, events; secrets are masked."""
    import anyio

    from ostler.adapters.stores.contents import without_secrets

    place = _existing(context)

    async def write() -> int:
        count = 0
        with _lines_to(output) as write_line:
            async for item in _exported(place):
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


def migrate(context: typer.Context) -> None:
    """Bring the database to this version's tables. A server does so when it starts."""
    place = _place(context)
    try:
        before, after = _migrated(context, place)
    except OstlerError as error:
        _refuse(error)
    if before == after:
        say(f"{place}: schema {after}, nothing to do")
    else:
        say(f"{place}: migrated from schema {before} to {after}" if before else f"{place}: made, with schema {after}")


def take(context: typer.Context) -> None:
    """Take a PostgreSQL database from a machine that is gone for good.

    The local processes of that machine count as gone, too.

    A server refuses such a database while it knows of local processes, because it would count them as gone and
    start them again here.
    """
    place = _place(context)
    if not place.url:
        fail(f"{place} belongs to this machine already", ExitStatus.USAGE)
    import anyio

    from ostler.adapters.stores import postgresql_copies
    from ostler.adapters.stores.choice import node_of

    try:
        with _no_server(context):
            anyio.run(postgresql_copies.take_over, place.url, node_of(session_of(context).paths.state_dir))
    except OstlerError as error:
        _refuse(error)
    say(f"{place}: the next server of this state folder goes on with it")


def move(
    context: typer.Context,
    to: Annotated[
        str,
        typer.Argument(metavar="STORE", help="postgresql://USER@HOST/DATABASE, or sqlite for the file."),
    ],
) -> None:
    """Move everything to another, empty store. Keeps the old one aside. The server must not run meanwhile."""
    import anyio

    from ostler.adapters.config.settings_file import STORE_VARIABLE, with_store
    from ostler.adapters.stores.choice import StorePlace
    from ostler.adapters.stores.moving import move_store

    source = _place(context)
    try:
        target = StorePlace.of(source.path, with_store(_settings(context), to, "the new store"))
        if target.url == source.url:
            usage_error(f"the store is {source} already: what is in ostler.toml and {STORE_VARIABLE} says where it is")
        with _no_server(context):
            moved = anyio.run(move_store, source, target)
    except OstlerError as error:
        _refuse(error)
    counts = ", ".join(f"{count} {kind}" for kind, count in moved.counts.items())
    say(f"moved to {target}: {counts}")
    say(f"the earlier store was put aside as {moved.aside}")
    written = "postgresql://…" if target.url else "sqlite"
    say(f'now write store = "{written}" into ostler.toml, or set {STORE_VARIABLE}')


@contextmanager
def _lines_to(output: Path | None) -> Generator[Callable[[JsonValue], object]]:
    """Give what writes a line of JSON: to a new file that only its owner reads, or to stdout."""
    if output is None:
        yield lambda item: say_json(item, indent=None)
        return
    descriptor = os.open(output, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        yield lambda item: file.write(f"{json_text(item)}\n")


def _settings(context: typer.Context) -> "Settings":
    from ostler.adapters.config.settings_file import settings_in_force

    return settings_in_force(session_of(context).paths.settings_file, os.environ)


def _place(context: typer.Context) -> "StorePlace":
    from ostler.adapters.stores.choice import StorePlace

    try:
        place = StorePlace.of(session_of(context).paths.database, _settings(context))
        if place.url:
            from ostler.adapters.stores.choice import postgresql_store

            postgresql_store()
    except OstlerError as error:
        _refuse(error)
    return place


def _existing(context: typer.Context) -> "StorePlace":
    place = _place(context)
    if not place.url and not place.path.exists():
        fail(f"there is no database at {place}: no server has run with this state folder", ExitStatus.NOT_FOUND)
    return place


def _report(place: "StorePlace") -> "DatabaseReport":
    if not place.url:
        from ostler.adapters.stores.sqlite_copies import examine_database

        return examine_database(place.path)
    import anyio

    from ostler.adapters.stores import postgresql_copies

    return anyio.run(postgresql_copies.examine_database, place.url)


def _exported(place: "StorePlace") -> AsyncIterator[JsonObject]:
    if not place.url:
        from ostler.adapters.stores.sqlite_copies import export_database

        return export_database(place.path)
    from ostler.adapters.stores import postgresql_copies

    return postgresql_copies.export_database(place.url)


def _migrated(context: typer.Context, place: "StorePlace") -> tuple[int, int]:
    if not place.url:
        from ostler.adapters.stores.sqlite_schema import migrate_database

        with _no_server(context):
            return migrate_database(place.path)
    import anyio

    from ostler.adapters.stores import postgresql_copies

    return anyio.run(postgresql_copies.migrate_database, place.url)


def _no_server(context: typer.Context) -> "StateLock":
    """Return what keeps servers away from the state folder while it is entered."""
    from ostler.faces.daemon.lock import StateLock

    return StateLock(session_of(context).place, version=VERSION)


def _refuse(error: OstlerError) -> NoReturn:
    fail(str(error), ExitStatus.NOT_FOUND if isinstance(error, NotFoundError) else ExitStatus.FAILED)


def add_to(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    group = typer.Typer(help="Check, copy, read, migrate and move the database.", no_args_is_help=True)
    for verb in (check, backup, export, migrate, move, take):
        group.command()(verb)
    app.add_typer(group, name="store")
