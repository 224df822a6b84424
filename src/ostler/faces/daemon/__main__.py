"""`python -m ostler.faces.daemon`: the server in the background, as bridges and the command line start it.

The lock is taken before anything heavy is imported: of several servers started at once, all but one end right away.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ostler.adapters.config.paths import Paths
from ostler.faces.bridge.launcher import EXIT_LOCK_HELD
from ostler.faces.bridge.place import ServerPlace
from ostler.faces.bridge.version import VERSION
from ostler.faces.daemon.detaching import detach
from ostler.faces.daemon.lean_imports import import_lean
from ostler.faces.daemon.lock import StateLock
from ostler.faces.daemon.logs import LOG_LEVELS, log_format, rotate_log, set_up_logging
from ostler.faces.output import complain
from ostler.model.errors import OstlerError, StateLockedError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the server until it ends; return the exit status (0: ended as asked, 75: another one owns the folder)."""
    sys.dont_write_bytecode = False  # as in `ostler.faces.entry`
    parser = argparse.ArgumentParser(prog="ostler.faces.daemon", description=__doc__)
    parser.add_argument("--config", help="configuration folder")
    parser.add_argument("--state", help="state folder")
    parser.add_argument("--log-file", help="rotate this file at start and write there")
    parser.add_argument("--log-level", choices=LOG_LEVELS, default="info")
    parser.add_argument("--idle-exit", help="duration without client and work until the server ends")
    parser.add_argument("--toolset", choices=("full", "core", "muster"), default="full", help="which tools clients see")
    parser.add_argument(
        "--detach", action="store_true", help="go on in a process that does not descend from the caller"
    )
    options = parser.parse_args(argv)
    ready = None
    if options.detach:
        ready = detach()
        if isinstance(ready, int):
            os._exit(ready)  # whoever needs the server waits for this: to take the modules apart takes 10 ms
    place = ServerPlace(Paths.resolve(options.config, options.state))
    lock = StateLock(place, version=VERSION)
    try:
        lock.acquire()
    except StateLockedError as error:
        complain(error)
        return EXIT_LOCK_HELD
    except (OstlerError, OSError) as error:
        complain(error)
        return 1
    log_file = Path(options.log_file) if options.log_file else None
    if log_file is not None:
        rotate_log(log_file)
    import_lean()
    set_up_logging(options.log_level, form=log_format(place.paths.settings_file), file=log_file)

    from ostler.faces.daemon.hosted_application import application_source
    from ostler.faces.daemon.process import ServerSettings, run_server
    from ostler.model.durations import parse_duration

    idle_exit = None if options.idle_exit is None else parse_duration(options.idle_exit)
    source = application_source(place.paths, toolset=options.toolset, background=True)
    return run_server(ServerSettings(place, lock, source, background=True, idle_exit=idle_exit, ready=ready))


if __name__ == "__main__":
    sys.exit(main())
