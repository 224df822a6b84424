"""What a shell offers when a name is to be typed: services and classes of the server that runs.

Completing never starts a server, and is silent about everything that goes wrong: the shell shows nothing then.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final

import typer

from ostler.adapters.config.paths import Paths
from ostler.faces.bridge.dialer import OstlerUnavailableError
from ostler.faces.cli.rpc import RequestFailedError, ServerClient
from ostler.faces.cli.session import Session, usage_error
from ostler.faces.output import say
from ostler.model.errors import OstlerError
from ostler.model.json import JsonObject
from ostler.model.states import ServiceState


def service_names(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of the services that begin with `incomplete`."""
    return _names(context, "service_list", {"limit": 200}, "services", incomplete)


def class_names(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of the classes that begin with `incomplete`."""
    return _names(context, "serviceclass_list", {}, "serviceClasses", incomplete)


def server_names(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of the downstream servers that begin with `incomplete`."""
    return _names(context, "mcpserver_list", {}, "mcpServers", incomplete)


def state_names(incomplete: str) -> list[str]:
    """Return the states of services that begin with `incomplete`."""
    return [state for state in ServiceState if state.startswith(incomplete)]


def client_names(incomplete: str) -> list[str]:
    """Return the ids of the MCP clients that begin with `incomplete`."""
    from ostler.adapters.config.dialects.locations import CLIENT_IDS

    return [client for client in CLIENT_IDS if client.startswith(incomplete)]


def _names(context: typer.Context, tool: str, args: JsonObject, key: str, incomplete: str) -> list[str]:
    options: JsonObject = context.find_root().params
    with suppress(OSError, OstlerError, OstlerUnavailableError, RequestFailedError):
        session = Session(Paths.resolve(_text(options.get("config")), _text(options.get("state"))))
        connection, _ = session.place.dial()
        connection.close()
        with ServerClient(session.dialer()) as client:
            rows: list[JsonObject] = client.call_tool(tool, args).structured.get(key) or []
        return sorted(str(row["name"]) for row in rows if str(row.get("name", "")).startswith(incomplete))
    return []


def _text(value: object) -> str | None:
    return None if value is None else str(value)


_SHELLS: Final = ("bash", "zsh", "fish", "powershell", "pwsh")


def completion(
    shell: Annotated[
        str | None, typer.Argument(metavar="SHELL", help=f"{', '.join(_SHELLS)}; default: that of SHELL.")
    ] = None,
) -> None:
    """Print the completion script of a shell.

    It completes verbs, and the names of services, classes, servers and clients.

    bash: source <(ostler completion bash). fish: ostler completion fish > ~/.config/fish/completions/ostler.fish.
    --install-completion adds it to the start files of the shell that you are in.
    """
    import subprocess

    name = shell or Path(os.environ.get("SHELL", "")).stem
    if name not in _SHELLS:
        usage_error(f"{name!r} is no shell that can be completed; known: {', '.join(_SHELLS)}")
    command = [sys.executable, "-m", "ostler.faces.entry"]
    environment = {**os.environ, "_OSTLER_COMPLETE": f"source_{name}"}
    say(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout, end="")  # noqa: S603 (ourselves)


def add_to(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command()(completion)
