"""Who holds a state folder's lock, according to its lock file."""

import json
from pathlib import Path
from typing import NamedTuple

from ostler.faces.bridge.place import ServerPlace


class Holder(NamedTuple):
    """The server that wrote the lock file last; whether it still lives is for the lock itself to say."""

    pid: int
    version: str
    started: str
    stands_by: bool = False

    def __str__(self) -> str:
        return f"pid {self.pid}, version {self.version}, since {self.started}"


def read_holder(place: ServerPlace) -> Holder | None:
    """Return who holds the lock of `place`, or None if the file does not say."""
    try:
        content = json.loads(place.lock_file.read_text(encoding="utf-8"))
        stands_by = content.get("standby") is True
        return Holder(int(content["pid"]), str(content["version"]), str(content["started"]), stands_by)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def is_stopped(place: ServerPlace) -> bool:
    """Return whether a signal has stopped the owner of `place`, which answers no one until it gets SIGCONT."""
    holder = read_holder(place)
    return holder is not None and _is_frozen(holder.pid)


def owner_of(place: ServerPlace) -> str:
    """Return in words who owns the state folder of `place`, and what to do if it does not answer."""
    holder = read_holder(place)
    if holder is None:
        return "no server owns it yet"
    owner = f"pid {holder.pid} owns the state folder since {holder.started}"
    if _is_frozen(holder.pid):
        return f"{owner}, and a signal has stopped it. Next: 'kill -CONT {holder.pid}' lets it go on"
    if holder.stands_by:
        return (
            f"{owner}, and stands by for another server of its database. Next: use its HTTP address, or that server's"
        )
    return f"{owner}. Next: end that process if it hangs, then try again"


def _is_frozen(pid: int) -> bool:
    """Whether a signal (SIGSTOP, Ctrl-Z, a debugger) has stopped the process; False if the system does not say."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return state.rpartition(")")[2].split()[:1] in (["T"], ["t"])
