"""The URIs of resources: how they are built and read."""

import re
from typing import Literal
from urllib.parse import quote, unquote

from msgspec import Struct

SERVICES = "ostler://services"
GRAPH = "ostler://graph"
DASHBOARD = "ostler://dashboard"
DASHBOARD_PAGE = "ui://ostler/app"
"""The page that clients with MCP Apps show next to the answers of some tools."""

Part = Literal["services", "graph", "dashboard", "page", "service", "outputs", "events", "logs", "class"]

_WHOLE: dict[str, Part] = {SERVICES: "services", GRAPH: "graph", DASHBOARD_PAGE: "page"}
_DASHBOARD = re.compile(re.escape(DASHBOARD) + r"(?:/(\d{1,18})/(\d{1,14}))?")
_SERVICE = "service://"
_CLASS = "serviceclass://"
_PARTS: dict[str, Part] = {"": "service", "outputs": "outputs", "events": "events", "logs": "logs"}


class Address(Struct, frozen=True):
    """What a URI names: a part, and of which service or class.

    Attributes:
        part: which part of it.
        name: the service or class.
        since: of the dashboard: an event's cursor and a time (milliseconds since 1970) after which to read on.
    """

    part: Part
    name: str = ""
    since: tuple[int, int] | None = None


def service_uri(name: str) -> str:
    """Return the URI of the service `name`."""
    return _SERVICE + quote(name, safe="")


def class_uri(name: str) -> str:
    """Return the URI of the class `name`."""
    return _CLASS + quote(name, safe="")


def uri_of(address: Address, written: str) -> str:
    """Return the one URI under which changes of `address`, which is `written`, are reported."""
    match address.part:
        case "class":
            return class_uri(address.name)
        case "service":
            return service_uri(address.name)
        case "outputs" | "events" | "logs":
            return f"{service_uri(address.name)}/{address.part}"
        case _:
            return written


def read_uri(uri: str) -> Address | None:
    """Return what `uri` names, or None when it is none of ours."""
    if part := _WHOLE.get(uri):
        return Address(part)
    if found := _DASHBOARD.fullmatch(uri):
        return Address("dashboard", since=(int(found[1]), int(found[2])) if found[1] else None)
    if uri.startswith(_CLASS):
        name = unquote(uri.removeprefix(_CLASS).rstrip("/"))
        return Address("class", name) if name and "/" not in name else None
    if uri.startswith(_SERVICE):
        host, _, rest = uri.removeprefix(_SERVICE).partition("/")
        part = _PARTS.get(rest)
        return Address(part, unquote(host)) if part is not None and host else None
    return None
