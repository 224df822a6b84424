"""Who holds a state folder's lock, according to its lock file."""

import json
from typing import NamedTuple

from ostler.faces.bridge.place import ServerPlace


class Holder(NamedTuple):
    """The server that wrote the lock file last; whether it still lives is for the lock itself to say."""

    pid: int
    version: str
    started: str

    def __str__(self) -> str:
        return f"pid {self.pid}, version {self.version}, since {self.started}"


def read_holder(place: ServerPlace) -> Holder | None:
    """Return who holds the lock of `place`, or None if the file does not say."""
    try:
        content = json.loads(place.lock_file.read_text(encoding="utf-8"))
        return Holder(int(content["pid"]), str(content["version"]), str(content["started"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
