"""The kinds of facts that are pushed to people and models, instead of waiting to be asked for."""

from enum import StrEnum


class NoticeKind(StrEnum):
    """What happened to a service."""

    CRASHED = "crashed"
    """It ran, and failed or was lost without a request."""
    UNHEALTHY = "unhealthy"
    """Its health checks began to fail."""
    LEASE_EXPIRED = "leaseExpired"
    """Its lease ended, and it is being stopped."""
    RECOVERED = "recovered"
    """It crashed or was unhealthy, and is up or healthy again."""
