"""Identifiers that servers gave to services, and what happens to them when a server's process is replaced.

Many servers number what they start (`k1`, `k2` …) and start over with each process. So an identifier lives as long as
the process that gave it: once another service has been given the same one, what the earlier service had is gone, where
the process is known to be another one. Where that cannot be known (a server over HTTP), nothing is stopped by it, and
`find`, which searches by name, is called instead.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from msgspec import Struct

from ostler.model.errors import TemplateError
from ostler.model.json import JsonMapping, JsonValue
from ostler.model.manifest import ServiceClass, ToolCallSpec
from ostler.rules.calls.rendering import plan_call
from ostler.rules.templates.template import referenced_names


class Holder(Struct, frozen=True):
    """Who was last given an identifier.

    Attributes:
        id: the service's id.
        name: its name.
        process: the process of the server that gave it.
    """

    id: str
    name: str
    process: str


MAX_RELEASED = 10_000
"""Identifiers of things that are gone that are remembered; the oldest are forgotten first."""


class Handles:
    """Who was last given which identifier in this run."""

    def __init__(self) -> None:
        self._holders: dict[str, Holder] = {}
        self._released: dict[str, Holder] = {}

    def give(self, key: str, holder: Holder) -> None:
        """Note that `holder` was given the identifier `key`."""
        self._holders[key] = holder
        self._released.pop(key, None)

    def holder(self, key: str) -> Holder | None:
        """Return who was last given `key` in this run."""
        return self._holders.get(key) or self._released.get(key)

    def release(self, key: str, service_id: str) -> None:
        """Note that what the service was given no longer exists."""
        holder = self._holders.get(key)
        if holder is not None and holder.id == service_id:
            del self._holders[key]
            self._released[key] = Holder(holder.id, "", holder.process)
            if len(self._released) > MAX_RELEASED:
                del self._released[next(iter(self._released))]


def given_names(service_class: ServiceClass) -> list[tuple[str, ...]]:
    """Return the outputs of `start` and `find` that the stop tool's arguments name, as (step, output)."""
    names = referenced_names(service_class.tools.stop.args)
    return sorted(name[:2] for name in names if len(name) > 1 and name[0] in ("start", "find"))


def renewed_names(service_class: ServiceClass) -> frozenset[str]:
    """Return the outputs of `start` that the restart tool gives again."""
    restart = service_class.tools.restart
    return frozenset(restart.outputs if restart is not None else ()) & frozenset(service_class.tools.start.outputs)


def goes_by_renewed(service_class: ServiceClass, spec: ToolCallSpec) -> bool:
    """Whether a call knows the service by what the restart tool gives again, such as an id."""
    renewed = renewed_names(service_class)
    match = spec.batch.match if spec.batch is not None else {}
    names = referenced_names([spec.args, dict(match)])
    return any(name[0] == "start" and (len(name) < 2 or name[1] in renewed) for name in names)


def given_values(names: Sequence[tuple[str, ...]], step_outputs: JsonMapping) -> list[JsonValue]:
    """Return the values of the outputs `names` that are known."""
    values = [cast("JsonMapping", step_outputs.get(step) or {}).get(output) for step, output in names]
    return [value for value in values if value is not None]


def handle_key(service_class: ServiceClass, names: Mapping[str, Any]) -> str | None:
    """Return the arguments by which the stop tool knows the service, as one text; None: they cannot be known."""
    stop = service_class.tools.stop
    try:
        args = plan_call("stop", stop, names, timeout=1.0).args
    except TemplateError:
        return None
    return json.dumps([stop.tool, args], sort_keys=True, default=str)


def is_replaced(mine: str, holder: Holder) -> bool:
    """Whether `holder` was given its identifiers by another process than `mine`, as far as both are known."""
    return bool(mine and holder.process and holder.process != mine)
