"""Verbs about Ostler's own processes and database."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer

from ostler.adapters.config.paths import Paths
from ostler.faces.bridge.dialer import OstlerUnavailableError, ServerSilentError
from ostler.faces.bridge.greeting import RefusedError
from ostler.faces.bridge.holder import read_holder
from ostler.faces.bridge.version import VERSION, code_id
from ostler.faces.cli import store
from ostler.faces.cli.browser import open_browser
from ostler.faces.cli.services import AsJson
from ostler.faces.cli.session import ExitStatus, Session, fail, session_of, usage_error
from ostler.faces.output import complain, say, say_json

Folder = Annotated[Path | None, typer.Option(metavar="DIR", help="As the global option.")]


def serve(  # noqa: PLR0917 (typer's parameters are the options)
    context: typer.Context,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Be the server itself, on stdio, and end with stdin.")
    ] = False,
    http: Annotated[
        str | None, typer.Option(metavar="ADDR", help="Be the server, with streamable HTTP at [HOST]:PORT as well.")
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST[:PORT]", help="Another host name to accept with --http, such as that of a proxy; repeatable."
        ),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Serve https with this certificate chain (PEM).")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its private key (PEM).")] = None,
    stop_on_exit: Annotated[
        bool, typer.Option("--stop-on-exit", help="Stop every service when the server ends.")
    ] = False,
    standby: Annotated[
        bool,
        typer.Option(
            "--standby",
            help="With PostgreSQL: while another server holds the database, answer reads and forward the rest.",
        ),
    ] = False,
    advertise: Annotated[
        str, typer.Option(metavar="URL", help="Where the database's other servers reach this one; default: detected.")
    ] = "",
    toolset: Annotated[
        Literal["full", "core", "muster"] | None,
        typer.Option(help="Which tools this client sees; default: full. muster: those of muster."),
    ] = None,
    channel: Annotated[
        bool, typer.Option("--channel", help="Push crashes, expired leases and recoveries (Claude Code's channels).")
    ] = False,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        typer.Option(help="The lowest level that the server logs to stderr."),
    ] = "info",
    config: Folder = None,
    state: Folder = None,
) -> None:
    """Serve MCP to a client.

    Without options, joins the client's stdio to the one server of the state folder, and starts it if needed.

    Services and their supervision outlive the client. Configure this command in an MCP client.
    """
    session = session_of(context)
    paths = Paths.resolve(config or session.paths.config_dir, state or session.paths.state_dir)
    if (tls_cert is None) is not (tls_key is None) or (tls_cert is not None and http is None):
        usage_error("--tls-cert and --tls-key go together, and with --http")
    if not foreground and http is None:
        if stop_on_exit or standby or advertise or allowed_host or log_level != "info":
            usage_error("these options are for a server in the foreground: add --foreground or --http")
        from ostler.faces.bridge.program import run_bridge

        raise typer.Exit(run_bridge(Session(paths).place, toolset=toolset or "", channel=channel))
    if advertise and http is None:
        usage_error("--advertise goes with --http")
    if channel:
        usage_error("--channel is for a client's own connection: leave out --foreground and --http")
    from ostler.faces.daemon.foreground import run_foreground

    raise typer.Exit(
        run_foreground(
            paths,
            stdio=foreground,
            http=http,
            allowed_hosts=tuple(allowed_host or ()),
            stop_on_exit=stop_on_exit,
            stand_by=standby,
            advertise=advertise.rstrip("/"),
            toolset=toolset or "full",
            log_level=log_level,
            tls=None if tls_cert is None or tls_key is None else (tls_cert, tls_key),
        )
    )


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Keep the demo's folder.")] = False,
) -> None:
    """Show one service's whole life. Uses a real MCP client and a temporary folder."""
    from ostler.faces.cli.demo import run_demo

    raise typer.Exit(run_demo(keep=keep))


def stop_server(context: typer.Context) -> None:
    """End the server of the state folder. Persisted services keep running without their supervisor."""
    session = session_of(context)
    holder = read_holder(session.place)
    try:
        answer = session.dialer().request("stop")
    except RefusedError as error:
        fail(str(error), ExitStatus.FAILED)
    except OstlerUnavailableError as error:
        if holder is None:
            complain(str(error))
            return
        fail(str(error), ExitStatus.UNAVAILABLE)
    say(f"The server (pid {answer['pid']}) has ended.")


OTHER_CODE = (
    "runs other code of the same version than this command, as it was started before an update or from elsewhere"
)


def runs_other_code(server: Mapping[str, object]) -> bool:
    """Whether a server, by its status, runs other code than this process."""
    return server["code"] != code_id()


def server_status(context: typer.Context, as_json: AsJson = False) -> None:
    """Show the server of the state folder. Exit status 4 if none runs."""
    session = session_of(context)
    try:
        facts = session.dialer().request("status")
    except (OstlerUnavailableError, RefusedError) as error:
        if as_json:
            silent = {"answers": False} if isinstance(error, ServerSilentError) else {}
            say_json({"running": bool(silent), "stateDir": str(session.paths.state_dir), **silent})
        fail(str(error), ExitStatus.UNAVAILABLE)
    if as_json:
        shown = ("pid", "version", "since", "clients", "hasWork")
        more = {"standby": True} if facts.get("standby") else {}
        say_json(
            {"running": True, "stateDir": str(session.paths.state_dir), **{key: facts[key] for key in shown}} | more
        )
        return
    work = "supervising services" if facts["hasWork"] else "nothing to supervise"
    say(
        f"Server {facts['version']}, pid {facts['pid']}, since {facts['since']}: {facts['clients']} clients, {work}\n"
        f"state folder {session.paths.state_dir}, log {session.place.log_file}"
    )
    if facts.get("standby"):
        say(str(facts["standby"]))
    if runs_other_code(facts):
        complain(f"it {OTHER_CODE}. Next: ostler stop-server; the next command starts this one, and services run on")


def dashboard(
    context: typer.Context,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
) -> None:
    """Show all services live in the browser. The address is for you alone, and works once."""
    dialer = session_of(context).dialer()
    try:
        dialer.connect().close()  # starts the server when there is none
        url = str(dialer.request("dashboard")["url"])
    except RefusedError as error:
        fail(f"{error}. Next: ostler stop-server, then ostler dashboard", ExitStatus.FAILED)
    except OstlerUnavailableError as error:
        fail(str(error), ExitStatus.UNAVAILABLE)
    opened = not no_browser and open_browser(url)
    say(
        "The dashboard opens in your browser. Its address, for one use:"
        if opened
        else "Open this address in a browser:"
    )
    say(url)


def version() -> None:
    """Show the version."""
    say(f"ostler {VERSION} (Python {sys.version.split()[0]}, {os.name})")


def add_to(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.command()(serve)
    app.command()(demo)
    app.command()(dashboard)
    app.command("stop-server")(stop_server)
    app.command("server-status")(server_status)
    app.command()(version)
    store.add_to(app)
