"""Identifiers that servers gave to services, and what happens to them when a server's process is replaced.

Many servers number what they start (`k1`, `k2` …) and start over with each process. So an identifier lives as long as
the process that gave it: once another service has been given the same one by a later process, what the earlier service
had is gone, and nothing may be stopped, looked at or verified by it.
"""

import json
from dataclasses import dataclass
from typing import cast

from ostler.model.json import JsonObject
from ostler.model.manifest import ServiceClass
from ostler.rules.templates.template import referenced_names


@dataclass(frozen=True, slots=True)
class Holder:
    """Who was last given an identifier.

    Attributes:
        id: the service's id.
        name: its name.
        process: the process of the server that gave it.
    """

    id: str
    name: str
    process: str


class Handles:
    """Who was last given which identifier in this run."""

    def __init__(self) -> None:
        self._holders: dict[str, Holder] = {}

    def give(self, key: str, holder: Holder) -> None:
        """Note that `holder` was given the identifier `key`."""
        self._holders[key] = holder

    def holder(self, key: str) -> Holder | None:
        """Return who was last given `key` in this run."""
        return self._holders.get(key)


def handle_key(service_class: ServiceClass, step_outputs: JsonObject) -> str | None:
    """Return the identifiers by which the stop tool knows the service, as one text; None when it goes by others.

    They are the outputs of `start` and `find` that the arguments of `stop` name.
    """
    values: dict[str, object] = {}
    for name in sorted(referenced_names(service_class.tools.stop.args)):
        if len(name) > 1 and name[0] in ("start", "find"):
            outputs = cast("JsonObject", step_outputs.get(name[0]) or {})
            value = outputs.get(name[1])
            if value is not None:
                values[name[1]] = value
    return json.dumps([service_class.tools.stop.server, values], sort_keys=True, default=str) if values else None


def is_given_away(mine: str, me: str, holder: Holder | None) -> bool:
    """Whether `holder` was given an identifier of the service `me` by another process than `mine`."""
    return bool(holder is not None and holder.id != me and mine and holder.process and holder.process != mine)
