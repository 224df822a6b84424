"""`python -m ostler.faces.daemon`: the server in the background, as bridges and the command line start it.

The lock is taken before anything heavy is imported: of several servers started at once, all but one end right away.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ostler.adapters.config.paths import Paths
from ostler.faces.bridge.launcher import EXIT_LOCK_HELD
from ostler.faces.bridge.place import ServerPlace
from ostler.faces.bridge.version import VERSION
from ostler.faces.daemon.detaching import detach
from ostler.faces.daemon.lean_imports import import_lean
from ostler.faces.daemon.lock import StateLock
from ostler.faces.daemon.logs import log_format, rotate_log, set_up_logging
from ostler.faces.output import complain
from ostler.model.errors import OstlerError, StateLockedError

_WITH_VALUE: Final = ("--config", "--state", "--log-file")
_USAGE: Final = """usage: python -m ostler.faces.daemon [--config FOLDER] [--state FOLDER] [--log-file FILE] [--detach]

--log-file: write there, and rotate the file at the start.
--detach: go on in a process that does not descend from the caller.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the server until it ends; return the exit status (0: ended as asked, 75: another one owns the folder)."""
    sys.dont_write_bytecode = False  # as in `ostler.faces.entry`
    options = _options(sys.argv[1:] if argv is None else argv)
    ready = None
    if "--detach" in options:
        ready = detach()
        if isinstance(ready, int):
            os._exit(ready)  # whoever needs the server waits for this: to take the modules apart takes 10 ms
    place = ServerPlace(Paths.resolve(options.get("--config"), options.get("--state")))
    lock = StateLock(place, version=VERSION)
    try:
        lock.acquire()
    except StateLockedError as error:
        complain(error)
        return EXIT_LOCK_HELD
    except (OstlerError, OSError) as error:
        complain(error)
        return 1
    log_file = Path(options["--log-file"]) if "--log-file" in options else None
    if log_file is not None:
        rotate_log(log_file)
    import_lean()
    set_up_logging("info", form=log_format(place.paths.settings_file), file=log_file)

    from ostler.faces.daemon.hosted_application import application_source
    from ostler.faces.daemon.process import ServerSettings, run_server

    source = application_source(place.paths, background=True)
    return run_server(ServerSettings(place, lock, source, background=True, ready=ready))


def _options(arguments: Sequence[str]) -> dict[str, str]:
    """Return what `server_command` says, by the names of the options; `argparse` would take 4 ms of each start."""
    options: dict[str, str] = {}
    rest = iter(arguments)
    for name in rest:
        if name == "--detach":
            options[name] = ""
        elif name in _WITH_VALUE and (value := next(rest, "")):
            options[name] = value
        else:
            raise SystemExit(_USAGE)
    return options


if __name__ == "__main__":
    sys.exit(main())
