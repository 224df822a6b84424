"""Starting the server in the background, detached from whoever needs it, and saying why it did not start."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ostler.faces.bridge.place import ServerPlace
from ostler.model.marks import MARKS

if TYPE_CHECKING:
    import subprocess
    import threading

EXIT_LOCK_HELD: Final = 75
"""The exit status of a server that found another one owning the state folder (EX_TEMPFAIL)."""

_RUN: Final = "import sys; from ostler.faces.daemon.__main__ import main; sys.exit(main(sys.argv[2:]))"

_TAIL_BYTES: Final = 4096
_TAIL_LINES: Final = 12


def server_command(place: ServerPlace) -> list[str]:
    """Return the command of a server in the background for `place`.

    `-P` because the server's working folder is the user's home, whose files must not shadow modules. It is the same
    as `-m ostler.faces.daemon`, for which Python would first load modules for 3 ms; lists of processes show the name.
    """
    return [
        sys.executable, "-P", "-c", _RUN, "ostler.faces.daemon",
        "--config", place.config_dir, "--state", place.state_dir, "--log-file", str(place.log_file),
        *(() if sys.platform == "win32" else ("--detach",)),
    ]  # fmt: skip


class LaunchedServer:
    """A process of this one that starts a server: it ends with status 0 when the server serves, else as the server."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", ended: "threading.Event", log_file: Path, log_start: int
    ) -> None:
        self._process = process
        self._ended = ended
        self._log_file = log_file
        self._log_start = log_start

    def __del__(self) -> None:
        # The server is meant to outlive who started it; Popen would warn that it is still running.
        if self._process.returncode is None:
            self._process.returncode = 0

    def __repr__(self) -> str:
        return f"<LaunchedServer pid {self._process.pid}, returned {self._process.returncode}>"

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def wait(self, seconds: float) -> None:
        """Wait until it has ended, but for `seconds` at most."""
        self._ended.wait(seconds)

    def exit_status(self) -> int | None:
        """Return the exit status (negative: the signal that killed it), or None while it runs."""
        return self._process.poll()

    def log_tail(self) -> str:
        """Return the last lines that it wrote, indented, or an empty string."""
        try:
            with self._log_file.open("rb") as file:
                end = file.seek(0, os.SEEK_END)
                # A smaller file than at launch was rotated since: then all of it is new.
                start = self._log_start if end >= self._log_start else 0
                file.seek(max(start, end - _TAIL_BYTES))
                text = file.read(_TAIL_BYTES).decode("utf-8", "replace")
        except OSError:
            return ""
        return "\n".join(f"    {line}" for line in text.splitlines()[-_TAIL_LINES:])


def launch(place: ServerPlace, command: Sequence[str]) -> LaunchedServer:
    """Start `command` as a server that outlives this process, its output appended to the place's log.

    Raises:
        StoreError: the state folder cannot be used.
        OSError: the log cannot be written, or the command cannot be run.
    """
    import subprocess  # most bridges find a server and never need these
    import threading

    place.paths.create_state()
    home = os.path.expanduser("~")  # noqa: PTH111 (never fails, unlike Path.home)
    with place.log_file.open("ab") as log:
        log_start = log.tell()
        process = subprocess.Popen(  # noqa: S603 (the command is our own)
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # a bridge that a service or an MCP server starts carries their marks; the server of all clients has none
            env={name: value for name, value in os.environ.items() if name not in MARKS},
            cwd=home if Path(home).is_dir() else place.state_dir,
            start_new_session=sys.platform != "win32",
            creationflags=_detached_flags(),
        )
    ended = threading.Event()

    def reap() -> None:
        process.wait()
        ended.set()

    threading.Thread(target=reap, name="reap the launcher", daemon=True).start()
    return LaunchedServer(process, ended, place.log_file, log_start)


def is_full(folder: Path) -> bool:
    """Whether the disk that `folder` is on has no room left for this user."""
    import shutil

    try:
        return shutil.disk_usage(folder).free == 0
    except OSError:
        return False


def describe_exit(status: int | None) -> str:
    """Return an exit status in words: `was killed by SIGKILL`, `ended with status 1`, or `ended`."""
    if status is None:
        return "ended"
    if status < 0:
        import signal

        try:
            return f"was killed by {signal.Signals(-status).name}"
        except ValueError:
            return f"was killed by signal {-status}"
    return f"ended with status {status}"


def _detached_flags() -> int:
    if sys.platform != "win32":
        return 0
    import subprocess

    return subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
