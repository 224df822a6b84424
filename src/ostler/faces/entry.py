"""The `ostler` command. `ostler serve` goes straight to the bridge or server; everything else to the command line.

Nothing heavy may be imported here: clients wait for the bridge at their every start.
"""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ostler.faces.bridge.place import ServerPlace
    from ostler.faces.cli.rpc import Early

_WITH_VALUE = {"--config": "config", "--state": "state", "--toolset": "toolset"}
_STARTING = frozenset({"up", "create", "start", "restart"})
"""Verbs that need the server and wait for what they start."""

_TOOLSETS = ("full", "core", "muster")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in `argv` (this process's own when None) and return its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    sys.dont_write_bytecode = False  # Ostler keeps its own bytecode in its own folder: compiling is a third of a start
    options = bridge_options(arguments)
    if options is None:
        if "serve" in arguments:
            from ostler.faces.daemon.foreground_options import foreground_run
            from ostler.faces.endings import status_of

            run = foreground_run(arguments)
            if run is not None:
                return status_of(run)
        open_closed_streams()
        early = begin_early(arguments)
        from ostler.faces.cli.app import run_command

        status = run_command(arguments, early)
        if argv is None and early is not None:
            leave(status)
        return status
    from ostler.adapters.config.paths import Paths
    from ostler.faces.bridge.known_answers import KnownAnswers
    from ostler.faces.bridge.place import ServerPlace
    from ostler.faces.bridge.program import run_bridge
    from ostler.faces.output import complain
    from ostler.model.errors import OstlerError

    try:
        place = ServerPlace(Paths.resolve(options.get("config"), options.get("state")))
    except OstlerError as error:
        complain(error)
        return 1
    toolset, channel = options.get("toolset", ""), "channel" in options
    # Clients of the channel are told more than the others, and wait for their servers.
    answers = None if channel else KnownAnswers(toolset or "full")
    return run_bridge(place, toolset=toolset, channel=channel, answers=answers)


def open_closed_streams() -> None:
    """Open what was closed of the standard streams (`<&-`, `>&-`): the next file that is opened would be its heir."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: PTH123, SIM115 (until the end of the process)


def leave(status: int) -> None:
    """End this process at once, unless its output cannot be written: taking its modules apart takes a while."""
    from ostler.faces.output import flush

    try:
        flush()
    except BrokenPipeError:
        pass  # the reader has left (`ostler up | head`), which changes nothing of how the verb ended
    except (OSError, ValueError):
        return
    os._exit(status)


def begin_early(arguments: Sequence[str]) -> "Early | None":
    """Begin what a verb needs, so that it goes on while the command line is imported.

    That is the start of the server, if none runs, and else the call of an `up` that is plain enough to be understood
    here. Whatever is wrong is left to the command line, which explains it.
    """
    rest = iter(arguments)
    options: dict[str, str | None] = {}
    for argument in rest:
        name, equals, value = argument.partition("=")
        if name not in ("--config", "--state"):
            break
        options[_WITH_VALUE[name]] = value if equals else next(rest, None)
    else:
        return None
    if argument not in _STARTING or "--help" in arguments:
        return None
    from ostler.adapters.config.paths import Paths
    from ostler.faces.bridge.launcher import launch, server_command
    from ostler.faces.bridge.place import ServerPlace
    from ostler.model.errors import OstlerError

    try:
        place = ServerPlace(Paths.resolve(options.get("config"), options.get("state")))
        try:
            connection, _ = place.dial()
        except OSError:
            launched = launch(place, server_command(place))  # before anything else is imported, which takes as long
            from ostler.faces.cli.rpc import Early

            return Early(launched)
        connection.close()
        names = [word for word in rest if word != "--json"]
        if argument == "up" and not any(name.startswith("-") for name in names):
            return _sent_ahead(place, names)
    except (OSError, OstlerError):
        pass
    return None


def _sent_ahead(place: "ServerPlace", names: Sequence[str]) -> "Early | None":
    """Send the call of an `up`; nothing where the server ends at this moment."""
    from ostler.faces.bridge.dialer import Dialer, OstlerUnavailableError
    from ostler.faces.cli.asking import asker
    from ostler.faces.cli.rpc import Early, ServerClient
    from ostler.faces.output import complain

    client = ServerClient(Dialer(place, kind="cli", note=complain), asker())
    try:
        client.send_ahead("project_up", {"services": list(names)} if names else {})
    except OstlerUnavailableError:
        return None
    return Early(client=client)


def bridge_options(arguments: Sequence[str]) -> dict[str, str] | None:
    """Return the folders and what else the client wants when `arguments` are a plain `serve`, else None.

    Anything that is not understood here is left to the command line, which explains it.
    """
    options: dict[str, str] = {}
    verbs: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        if name in _WITH_VALUE:
            given = value if equals else next(rest, None)
            if not given:
                return None
            options[_WITH_VALUE[name]] = given
        elif argument == "--channel":
            options["channel"] = "yes"
        else:
            verbs.append(argument)
    is_plain = verbs == ["serve"] and options.get("toolset", "full") in _TOOLSETS
    return options if is_plain else None


if __name__ == "__main__":
    sys.exit(main())
