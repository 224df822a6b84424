"""How much history a store keeps."""

from msgspec import Struct

from ostler.model.settings import LimitSettings


class Retention(Struct, frozen=True):
    """Bounds of what is kept. Operations without an outcome are never dropped, whatever the bounds.

    Attributes:
        events_per_service: newest events kept of each service.
        events: newest events kept in all.
        operations_per_service: newest finished operations kept of each service.
        operations: newest finished operations kept in all, those of dropped services included.
    """

    events_per_service: int = 50
    events: int = 10_000
    operations_per_service: int = 50
    operations: int = 20_000

    @classmethod
    def of(cls, limits: LimitSettings) -> "Retention":
        """Return the bounds that the settings say."""
        return cls(
            events_per_service=limits.max_events_per_service,
            events=limits.max_events,
            operations_per_service=limits.operation_history,
            operations=limits.max_operations,
        )
