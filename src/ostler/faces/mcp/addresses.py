"""The URIs of resources: how they are built and read."""

from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, unquote

SERVICES = "ostler://services"
GRAPH = "ostler://graph"

Part = Literal["services", "graph", "service", "outputs", "events", "logs", "class"]

_SERVICE = "service://"
_CLASS = "serviceclass://"
_PARTS: dict[str, Part] = {"": "service", "outputs": "outputs", "events": "events", "logs": "logs"}


@dataclass(frozen=True, slots=True)
class Address:
    """What a URI names: a part, and of which service or class."""

    part: Part
    name: str = ""


def service_uri(name: str) -> str:
    """Return the URI of the service `name`."""
    return _SERVICE + quote(name, safe="")


def class_uri(name: str) -> str:
    """Return the URI of the class `name`."""
    return _CLASS + quote(name, safe="")


def read_uri(uri: str) -> Address | None:
    """Return what `uri` names, or None when it is none of ours."""
    if uri == SERVICES:
        return Address("services")
    if uri == GRAPH:
        return Address("graph")
    if uri.startswith(_CLASS):
        name = unquote(uri.removeprefix(_CLASS).rstrip("/"))
        return Address("class", name) if name and "/" not in name else None
    if uri.startswith(_SERVICE):
        host, _, rest = uri.removeprefix(_SERVICE).partition("/")
        part = _PARTS.get(rest)
        return Address(part, unquote(host)) if part is not None and host else None
    return None
