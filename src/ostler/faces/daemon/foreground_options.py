"""The options of `ostler serve --foreground` and `--http`, read without the command line's library.

Importing that, and making a parser of all verbs, takes a tenth of a start and 3 MiB for as long as the server runs.
"""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

from ostler.adapters.config.paths import Paths
from ostler.faces.daemon.foreground import run_foreground
from ostler.faces.daemon.logs import LOG_LEVELS


class _UnclearError(Exception):
    """The options are wrong, or mean another kind of server."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _UnclearError(message)


def foreground_run(arguments: Sequence[str]) -> Callable[[], int] | None:
    """Return a function that runs the server with `arguments`; None if the command line has to parse them.

    The command line explains what is wrong, and shows the help.
    """
    parser = _parser()
    try:
        options = parser.parse_args(arguments)
    except _UnclearError:
        return None
    if options.http is None and (not options.foreground or options.tls_cert or options.tls_key or options.advertise):
        return None
    if (options.tls_cert is None) is not (options.tls_key is None):
        return None
    return partial(
        run_foreground,
        Paths.resolve(options.config, options.state),
        stdio=options.foreground,
        http=options.http,
        allowed_hosts=tuple(options.allowed_host),
        stop_on_exit=options.stop_on_exit,
        stand_by=options.standby,
        toolset=options.toolset,
        log_level=options.log_level,
        tls=None if options.tls_cert is None else (options.tls_cert, options.tls_key),
        advertise=options.advertise.rstrip("/"),
    )


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("verb", choices=("serve",))
    for folder in ("--config", "--state"):
        parser.add_argument(folder)
    for flag in ("--foreground", "--stop-on-exit", "--standby"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--http")
    parser.add_argument("--allowed-host", action="append", default=[])
    parser.add_argument("--tls-cert", type=Path)
    parser.add_argument("--tls-key", type=Path)
    parser.add_argument("--advertise", default="")
    parser.add_argument("--toolset", choices=("full", "core", "muster"), default="full")
    parser.add_argument("--log-level", choices=LOG_LEVELS, default="info")
    return parser
