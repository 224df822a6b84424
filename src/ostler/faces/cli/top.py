"""`ostler top`: the services live in the terminal."""

import sys
from typing import Annotated

import typer

from ostler.adapters.extras import how_to_install
from ostler.faces.cli.session import ExitStatus, fail, session_of, usage_error


def top(
    context: typer.Context,
    search: Annotated[
        str, typer.Argument(metavar="WORDS", help="Search to begin with: only services that match.")
    ] = "",
) -> None:
    """Show all services live, with logs and events. Keys start, stop, restart and delete them."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        usage_error("top needs a terminal. Next: ostler ps shows the services once, ostler ps --watch again and again")
    try:
        from ostler.faces.terminal.view import TopView
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "textual":
            raise
        fail(f"top needs the package textual, which is not installed. Next: {how_to_install('top')}", ExitStatus.FAILED)
    from ostler.faces.terminal.feed import ServerFeed

    session = session_of(context)
    with session.client():
        pass  # starts the server when there is none, and says why that is not possible before the screen changes
    TopView(ServerFeed(session), query=search).run()


def add_to(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command()(top)
