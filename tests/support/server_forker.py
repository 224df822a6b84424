"""Starts real servers by forking: a line `STATE<tab>CONFIG<tab>MARK<tab>PORT` on stdin for each, answered with its pid.

A PORT but 0 is served over HTTP as well. The file `clock` next to the state folder has the seconds by which the wall
clock is off.

The forked process is the server as `python -m ostler.faces.daemon` runs it, without the second that its imports take.
What it starts inherits MARK in the variable KILL_TEST_MARK.
"""

import faulthandler
import os
import signal
import sys
from datetime import datetime, timedelta
from pathlib import Path

from ostler.adapters.config.paths import Paths
from ostler.engine.clock import SystemClock
from ostler.faces import application
from ostler.faces.bridge.launcher import EXIT_LOCK_HELD
from ostler.faces.bridge.place import ServerPlace
from ostler.faces.daemon.hosted_application import application_source
from ostler.faces.daemon.http import HttpSettings
from ostler.faces.daemon.lock import StateLock
from ostler.faces.daemon.logs import set_up_logging
from ostler.faces.daemon.process import ServerSettings, run_server
from ostler.model.errors import StateLockedError


class SteppedClock(SystemClock):
    """A wall clock that someone sets."""

    file = Path()

    def now(self) -> datetime:
        """Return the time that the clock shows."""
        try:
            return super().now() + timedelta(seconds=float(self.file.read_text()))
        except (OSError, ValueError):
            return super().now()


def serve(place: ServerPlace, port: int) -> int:
    """Be a server until the end."""
    SteppedClock.file = place.paths.state_dir.with_name("clock")
    application.SystemClock = SteppedClock
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    place.paths.create_state()
    log = os.open(place.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    faulthandler.register(signal.SIGUSR1, file=2)  # what does not come to an end says in its log where it is
    set_up_logging("info")
    lock = StateLock(place, version="0.1.0")
    try:
        lock.acquire()
    except StateLockedError:
        return EXIT_LOCK_HELD
    http = HttpSettings("127.0.0.1", port) if port else None
    return run_server(ServerSettings(place, lock, application_source(place.paths), background=True, http=http))


def main() -> None:
    """Fork a server for each line."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps them
    while line := sys.stdin.readline():
        state, config, mark, port = line.rstrip("\n").split("\t")
        pid = os.fork()
        if pid == 0:
            os.environ["KILL_TEST_MARK"] = mark
            os._exit(serve(ServerPlace(Paths.resolve(config, state)), int(port)))
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
