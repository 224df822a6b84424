"""Services that were removed a while ago, for questions that outlive them: what did it print?"""

from collections.abc import Callable
from datetime import datetime, timedelta

from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.protocols import Clock
from ostler.engine.services.views import PROJECT_LABEL
from ostler.model.durations import format_duration
from ostler.model.label_names import is_label
from ostler.rules.calls.rendering import logs_call

NOT_CREATED = "its start failed on create"
"""Why a service was removed that was never up."""

KEPT_SECONDS = 3600.0
"""Seconds for which the logs of a removed service can be read."""

KEPT = 50
"""Removed services that are remembered; the oldest go first."""

_NAMES_KEPT = 500
"""Names of removed services that are remembered."""


class Departed:
    """Remembers removed services by name, in memory, for `KEPT_SECONDS`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._gone: dict[str, tuple[datetime, ServiceInstance]] = {}
        self._names: dict[str, tuple[datetime, str]] = {}
        """When and why the service of a name was removed, the latest last."""

    def __repr__(self) -> str:
        return f"Departed({sorted(self._gone)})"

    def add(self, instance: ServiceInstance, why: str = "") -> None:
        """Remember `instance`, which has just been removed; one without a `logs` tool can answer nothing."""
        self._names.pop(instance.name, None)
        self._names[instance.name] = (self._clock.now(), why)
        while len(self._names) > _NAMES_KEPT:
            del self._names[next(iter(self._names))]
        self._gone.pop(instance.name, None)
        if logs_call(instance.service_class) is None:
            return
        self._gone[instance.name] = (self._clock.now(), instance)
        while len(self._gone) > KEPT:
            del self._gone[next(iter(self._gone))]

    def find(self, name: str, exists: Callable[[str], bool]) -> ServiceInstance | None:
        """Return the removed service `name`, or else the newest one whose short name that is; None: there is none.

        Not one whose name a service has again that `exists`: what is known of the old one does not hold for it.
        """
        oldest = self._clock.now() - timedelta(seconds=KEPT_SECONDS)
        self._gone = {each: kept for each, kept in self._gone.items() if kept[0] >= oldest}
        gone = {each: instance for each, (_, instance) in self._gone.items() if not exists(each)}
        if name in gone:
            return gone[name]
        short = [instance for instance in gone.values() if _short_name(instance) == name]
        return short[-1] if short else None

    def why_removed(self, name: str) -> str:
        """Return when and why the service of this name was removed; empty if none was in the last hour."""
        at, why = self._names.get(name, (None, ""))
        age = 0.0 if at is None else (self._clock.now() - at).total_seconds()
        if at is None or age > KEPT_SECONDS:
            return ""
        return f"it was deleted {format_duration(int(age))} ago" + (f" ({why})" if why not in ("", "requested") else "")

    def why_not_created(self, name: str) -> str:
        """Return that the service of this name was removed as its start failed, and when; empty for any other one."""
        at, why = self._names.get(name, (None, ""))
        if at is None or why != NOT_CREATED or not self.why_removed(name):
            return ""
        return f"{why} {format_duration(int((self._clock.now() - at).total_seconds()))} ago"


def _short_name(instance: ServiceInstance) -> str:
    """Return the name without that of the service's project; the dots of a name of another form are its own."""
    project, name = instance.record.labels.get(PROJECT_LABEL), instance.name
    if project:
        return name.removesuffix(f".{project}")
    return name.partition(".")[0] if all(map(is_label, name.split("."))) else name
