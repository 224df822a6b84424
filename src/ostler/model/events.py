"""Facts that happened, ordered, with a cursor."""

from enum import StrEnum

from msgspec import Struct

from ostler.model.json import JsonObject
from ostler.model.moments import Moment
from ostler.model.text_enum import TextEnum


class EventKind(TextEnum):
    """What happened."""

    SERVICE_CREATED = "service_created"
    SERVICE_DELETED = "service_deleted"
    STATE_CHANGED = "state_changed"
    HEALTH_CHANGED = "health_changed"
    REACHABILITY_CHANGED = "reachability_changed"
    OPERATION_BEGAN = "operation_began"
    OPERATION_ENDED = "operation_ended"
    TOOL_CALLED = "tool_called"
    OUTPUTS_CHANGED = "outputs_changed"
    LEASE_EXPIRING = "lease_expiring"
    LEASE_EXPIRED = "lease_expired"
    LEASE_RENEWED = "lease_renewed"
    CLASS_CHANGED = "class_changed"
    CLASS_CHECKED = "class_checked"
    SERVER_CHANGED = "server_changed"
    WARNING = "warning"


class NoticeKind(StrEnum):
    """What happened to a service that people and models are shown without asking."""

    CRASHED = "crashed"
    """It ran, and failed or was lost without a request."""
    UNHEALTHY = "unhealthy"
    """Its health checks began to fail."""
    LEASE_EXPIRED = "leaseExpired"
    """Its lease ended, and it is being stopped."""
    RECOVERED = "recovered"
    """It crashed or was unhealthy, and is up or healthy again."""


class Event(Struct, frozen=True, rename="camel"):
    """One fact. `cursor` grows by one for each event and survives restarts; `data` is masked and bounded."""

    cursor: int
    at: Moment
    kind: EventKind
    service: str = ""
    message: str = ""
    data: JsonObject = {}
