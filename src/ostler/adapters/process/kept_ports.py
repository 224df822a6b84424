"""Which port each key was given last, so that an address stays the same when its process was stopped and removed."""

import json
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from ostler.adapters.atomic_files import replace_private
from ostler.model.errors import StoreError
from ostler.model.json import parse_json

KEPT = 2000
"""Ports that are kept; those that were given longest ago go first."""

KEPT_SECONDS = 90 * 86400.0
"""How long a port is kept for a key that is not started."""


class KeptPorts:
    """Key → port, written down at each change; for any thread. Only `load` and `keep` block.

    A file that cannot be read or written costs addresses only, so neither is an error.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._ports: dict[str, tuple[int, float]] = {}
        self._writing = threading.Lock()

    def __repr__(self) -> str:
        return f"<KeptPorts of {len(self._ports)} keys>"

    def load(self) -> None:
        """Read the file."""
        try:
            found: object = parse_json(self._file.read_text())
        except (OSError, ValueError):
            return
        for key, value in cast("dict[str, Any]", found if isinstance(found, dict) else {}).items():
            match value:
                case [int(port), int() | float() as at] if 0 < port < 65536:
                    self._ports[key] = (port, float(at))
                case _:
                    pass

    def of(self, key: str) -> int | None:
        """Return the port that `key` was given last."""
        kept = self._ports.get(key)
        return None if kept is None else kept[0]

    @property
    def all(self) -> frozenset[int]:
        """The ports that are kept."""
        return frozenset(port for port, _ in self._ports.values())

    def of_others(self, key: str) -> frozenset[int]:
        """Return the ports that are kept for other keys than `key`."""
        return frozenset(port for other, (port, _) in self._ports.items() if other != key)

    def keep(self, key: str, port: int) -> None:
        """Keep `port` for `key`, and no longer for another."""
        with self._writing:  # two at once would each keep what the other one does not know
            self._keep(key, port)

    def _keep(self, key: str, port: int) -> None:
        now = time.time()
        if self.of(key) == port and now - self._ports[key][1] < 0.1 * KEPT_SECONDS:
            return
        kept = {k: v for k, v in self._ports.items() if k != key and v[0] != port and now - v[1] < KEPT_SECONDS}
        newest = sorted(kept.items(), key=lambda item: item[1][1])[-(KEPT - 1) :]
        self._ports = {**dict(newest), key: (port, now)}
        with suppress(StoreError):
            replace_private(self._file, json.dumps(self._ports))
