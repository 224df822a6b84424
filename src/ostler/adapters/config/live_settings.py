"""`ostler.toml` while the server runs: what takes effect at once, and what waits for the next start."""

from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Final, cast

from ostler.adapters.config.settings_file import settings_in_force
from ostler.adapters.regular_files import stamp_of
from ostler.model.errors import Finding, ManifestError
from ostler.model.settings import Settings

LIVE_KEYS: Final = frozenset(
    {"policy.allowTools", "policy.denyTools", "policy.confirmTools", "policy.cancelledCreate", "limits.maxArgsBytes"}
    | {"projects.autoPrune"}
)
"""Keys that take effect as soon as the file is written; every other one when the server starts again."""


class LiveSettings:
    """The settings in force. A broken file leaves them as they are, with findings.

    Attributes:
        findings: what is wrong with the file as it is now.
        waiting: the keys that are written with another value than the one in force, which a restart changes.
    """

    def __init__(self, path: Path, settings: Settings, environ: Mapping[str, str] | None = None) -> None:
        """Begin with `settings`, which were read from `path` just now, with what `environ` overrides."""
        self._path = path
        self._environ = environ or {}
        self._settings = self._announced = settings
        self._seen = stamp_of(path)
        self._looking = Lock()
        self.findings: tuple[Finding, ...] = ()
        self.waiting: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"LiveSettings({str(self._path)!r})"

    def current(self) -> Settings:
        """Return the settings in force, with what was written up to now. Blocks to check the file."""
        if stamp_of(self._path) != self._seen:
            self._look(settled=False)
        return self._settings

    def settle(self) -> tuple[str, ...]:
        """Read a file that has been left alone for a while, empty or not; return the keys in force since last time."""
        self._look(settled=True)
        changed = tuple(key for key in _differences(self._announced, self._settings) if is_live(key))
        self._announced = self._settings
        return changed

    def _look(self, *, settled: bool) -> None:
        """Read the file if it changed. One thread at a time: what was read first never replaces what was read last."""
        with self._looking:
            stamp = stamp_of(self._path)
            # An empty file is one that is being written: until it settles, it proves nothing.
            if stamp != self._seen and (settled or stamp is None or stamp.size):
                self._read()
                self._seen = stamp  # only now: until then, others wait for what is read

    def _read(self) -> None:
        try:
            written = settings_in_force(self._path, self._environ)
        except ManifestError as error:
            self.findings = tuple(error.findings)
            return
        self.findings = ()
        limits = self._settings.limits.model_copy(update={"max_args_bytes": written.limits.max_args_bytes})
        live: dict[str, object] = {"policy": written.policy, "principals": written.principals, "limits": limits}
        live["projects"] = written.projects
        self._settings = self._settings.model_copy(update=live)
        self.waiting = tuple(_differences(self._settings, written))


def is_live(key: str) -> bool:
    """Whether a key takes effect as soon as the file is written."""
    return key in LIVE_KEYS or key.partition(".")[0] == "principals"


def _differences(one: Settings, other: Settings) -> list[str]:
    here, there = _flat(one), _flat(other)
    return [key for key in {**here, **there} if here.get(key) != there.get(key)]


def _flat(settings: Settings) -> dict[str, object]:
    """Return the settings by `table.key`; their secrets are not masked, so that a changed one differs."""
    found: dict[str, object] = {}
    for key, value in settings.model_dump(by_alias=True).items():
        if isinstance(value, dict):
            found |= {f"{key}.{inner}": item for inner, item in cast("dict[str, object]", value).items()}
        else:
            found[key] = value
    return found
