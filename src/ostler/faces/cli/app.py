"""The command line put together."""

import shlex
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from ostler.adapters.config.paths import CONFIG_VARIABLE, STATE_VARIABLE, Paths
from ostler.faces.bridge.version import VERSION
from ostler.faces.cli import (
    catalogue,
    clients,
    doctor,
    importing,
    listing,
    planning,
    project_verbs,
    server_verbs,
    services,
    shell_completion,
    testing,
    tokens,
    top,
)
from ostler.faces.cli.next_steps import VERBS
from ostler.faces.cli.rpc import Early
from ostler.faces.cli.session import ExitStatus, Session
from ostler.faces.cli.verbs import Verb, VerbGroup, verbs_in
from ostler.faces.endings import status_of
from ostler.faces.output import say

_HELP = """Start, watch and stop services through the MCP tools that you already have.

Exit statuses: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 the server cannot be reached or started.
"""

_OTHER_WORDS = {
    "rm": "delete",
    "remove": "delete",
    "kill": "stop",
    "ls": "list",
    "run": "create",
    "ping": "server-status",
}
"""What other programs call a verb of this one."""


class _Verbs(VerbGroup):
    """The verbs: what is not one is answered with the verb that it stands for, where typer sees no likeness."""

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> tuple[Any, Any, list[str]]:  # pyright: ignore[reportIncompatibleMethodOverride]
        if args and args[0] not in self.commands and (meant := self._meant_by(args)):
            ctx.fail(f"No such command {args[0]!r}. Did you mean 'ostler {meant}'?")
        return super().resolve_command(ctx, args)

    def _meant_by(self, args: Sequence[str]) -> str:
        """Return the verb with the same words in another order or another form, or the name of a tool; else nothing."""
        word = args[0].lower()
        if (verb := VERBS.get(word) or _OTHER_WORDS.get(word)) is not None:
            return verb
        words = [sorted(each.replace("_", "-").split("-")) for each in (word, "-".join(args[:2]).lower())]
        return next((verb for verb in self.commands if sorted(verb.split("-")) in words), "")


class _InnerVerbs(VerbGroup):
    """The verbs behind another one, such as `servers`: one that stands alone is named."""

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> tuple[Any, Any, list[str]]:  # pyright: ignore[reportIncompatibleMethodOverride]
        outer = ctx.find_root().command
        if args and args[0] not in self.commands and isinstance(outer, TyperGroup):
            if args[0] in ("list", "ls") and self.invoke_without_command:  # alone, it lists
                ctx.fail(f"No such command {args[0]!r}. Did you mean 'ostler {ctx.info_name}'?")
            if args[0] in outer.commands and not outer.commands[args[0]].hidden:
                ctx.fail(f"No such command {args[0]!r}. Did you mean 'ostler {shlex.join(args)}'?")
        return super().resolve_command(ctx, args)


def build_app() -> typer.Typer:
    """Return the command line."""
    app = typer.Typer(
        cls=_Verbs,
        name="ostler",
        help=_HELP,
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # rich would double the time to show help
    )
    app.callback()(_folders)
    server_verbs.add_to(app)
    listing.add_to(app)
    services.add_to(app)
    top.add_to(app)
    project_verbs.add_to(app)
    catalogue.add_to(app)
    clients.add_to(app)
    doctor.add_to(app)
    importing.add_to(app)
    planning.add_to(app)
    testing.add_to(app)
    tokens.add_to(app)
    shell_completion.add_to(app)
    for group in app.registered_groups:
        if group.name != "tools":  # any other word there names a server
            group.cls = _InnerVerbs
    for verb in verbs_in(app):
        verb.cls = Verb
    return app


@cache
def _command() -> TyperGroup:
    """Return the command line in the form that runs, which takes as long to make as many a verb to run."""
    command = get_command(build_app())
    assert isinstance(command, TyperGroup)
    return command


def run_command(arguments: Sequence[str], early: Early | None = None) -> int:
    """Run the command in `arguments` and return its exit status.

    Args:
        arguments: what follows `ostler`.
        early: what was begun for it already.
    """

    def run() -> int:
        try:
            _command()(args=list(arguments), prog_name="ostler", obj=early or Early())
        except SystemExit as ending:
            return ending.code if isinstance(ending.code, int) else int(ending.code is not None)
        return int(ExitStatus.OK)

    return status_of(run)


def _show_version(wanted: bool) -> None:
    if wanted:
        say(f"ostler {VERSION}")
        raise typer.Exit


def _folders(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option(metavar="DIR", help=f"Configuration folder (or {CONFIG_VARIABLE}).")
    ] = None,
    state: Annotated[Path | None, typer.Option(metavar="DIR", help=f"State folder (or {STATE_VARIABLE}).")] = None,
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    context.obj = Session(Paths.resolve(config, state), context.obj)
