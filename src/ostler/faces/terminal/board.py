"""What the terminal view knows: the services and events of the server, kept up with what has changed."""

from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from ostler.model.json import JsonObject

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_EVENTS: Final = 1_000
"""Events kept; the oldest go first."""

TROUBLED: Final = frozenset({"failed", "retrying", "unreachable", "auth_required"})
"""States that need someone's attention."""

SERVERS: Final = "MCP servers"
"""The group of configured services, which have no class."""


class Row(Struct, frozen=True):
    """A line of the list.

    Attributes:
        service: whose line it is; None for the heading of a group.
        group: a project's id, or that of the configured services; empty for services of no project.
        directory: the project's folder.
        count: how many services of the group are shown.
    """

    service: JsonObject | None
    group: str = ""
    directory: str = ""
    count: int = 0

    @property
    def name(self) -> str:
        """The service's name; empty for a heading."""
        return "" if self.service is None else str(self.service["name"])


class Board:
    """Keeps what the resource `ostler://dashboard` said. One thread takes answers, and another one reads meanwhile.

    Attributes:
        services: by name.
        usage: by name: CPU in percent, memory in bytes.
        events: the newest ones, oldest first.
        cursor: where to read on.
        at: when the server said it, RFC 3339; empty before the first answer.
    """

    def __init__(self) -> None:
        self.services: Mapping[str, JsonObject] = {}
        self.usage: Mapping[str, Sequence[float]] = {}
        self.events: list[JsonObject] = []
        self.cursor = 0
        self.at = ""
        self._skew = 0.0

    def __repr__(self) -> str:
        return f"Board({len(self.services)} services, cursor {self.cursor})"

    @property
    def next_address(self) -> str:
        """The resource that says what has changed since."""
        if not self.at:
            return "ostler://dashboard"
        at = datetime.fromisoformat(self.at)
        return f"ostler://dashboard/{self.cursor}/{int(at.timestamp() * 1000)}"

    def take(self, found: JsonObject, now: datetime) -> None:
        """Take over an answer of the server.

        Args:
            found: the answer.
            now: this machine's time, from which the server's may differ.
        """
        is_whole = bool(found.get("complete"))
        services = {} if is_whole else dict(self.services)  # not changed in place: the view may be in the middle of it
        for service in found.get("services", []):
            services[service["name"]] = service
        for name in found.get("removed", []):
            services.pop(name, None)
        for name, (checked, passed) in found.get("checks", {}).items():
            if name in services:
                services[name] = {**services[name], "checkedAt": checked, "passedAt": passed}
        self.services = services
        self.events = [*([] if is_whole else self.events), *found.get("events", [])][-MAX_EVENTS:]
        self.usage = found.get("usage", {})
        self.cursor = found["cursor"]
        self.at = found["at"]
        self._skew = (datetime.fromisoformat(self.at) - now).total_seconds()

    def age(self, moment: str, now: datetime) -> float:
        """Return how many seconds ago `moment` was, by the server's clock; negative if it is in the future."""
        return (now - datetime.fromisoformat(moment)).total_seconds() + self._skew

    def used(self, name: str) -> tuple[float, float] | None:
        """Return CPU in percent and memory in bytes of a service; None if it is unknown."""
        found = self.usage.get(name)
        return (found[0], found[1]) if found else None

    def rows(self, query: str = "", *, problems: bool = False) -> list[Row]:
        """Return the lines of the list: services of no project first, then each project, and configured ones last.

        Args:
            query: words that name, class, type, state or project must have, all of them.
            problems: only services that need someone's attention.
        """
        words = query.lower().split()
        shown = [
            service
            for service in self.services.values()
            if (not problems or is_troubled(service)) and all(word in _searched(service) for word in words)
        ]
        shown.sort(key=lambda service: ("class" not in service, _group_of(service), str(service["name"])))
        rows: list[Row] = []
        for group, found in groupby(shown, _group_of):
            services = list(found)
            if group:
                rows.append(Row(None, group, str(services[0].get("directory", "")), len(services)))
            rows += [Row(service, group) for service in services]
        return rows

    def counts(self) -> dict[str, int]:
        """Return how many services are in each state, the most frequent first."""
        found: dict[str, int] = {}
        for service in self.services.values():
            found[service["state"]] = found.get(service["state"], 0) + 1
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    def totals(self) -> tuple[float, float]:
        """Return CPU in percent and memory in bytes of all services together."""
        services = self.services
        values = [value for name, value in self.usage.items() if name in services]
        return sum(value[0] for value in values), sum(value[1] for value in values)

    def events_of(self, name: str) -> list[JsonObject]:
        """Return the kept events of a service, or all of them for an empty name, newest first."""
        return [event for event in reversed(self.events) if not name or event.get("service") == name]


def is_troubled(service: JsonObject) -> bool:
    """Whether a service needs someone's attention."""
    return service["state"] in TROUBLED or is_ill(service) or bool(service.get("problems"))


def is_ill(service: JsonObject) -> bool:
    """Whether a service's health checks fail."""
    return service["health"] == "unhealthy" or bool(service.get("failedChecks"))


def utc_now() -> datetime:
    """Return the time of this machine."""
    return datetime.now(UTC)


def _group_of(service: JsonObject) -> str:
    return str(service.get("project", "")) if "class" in service else SERVERS


def _searched(service: JsonObject) -> str:
    keys = ("name", "class", "type", "state", "project")
    return " ".join(str(service.get(key, "")) for key in keys).lower()
