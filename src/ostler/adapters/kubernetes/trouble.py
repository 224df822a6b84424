"""Why a Kubernetes service is not available: how its owner task ends an attempt."""

from collections.abc import Sequence

from ostler.model.errors import OperationError
from ostler.model.states import ServiceState


class KubeTroubleError(Exception):
    """An attempt failed or is over; kept inside this package, which shows it as the service's state and error.

    Attributes:
        reason: one clause.
        state: disconnected (nothing to connect to now), unreachable (the API server does not answer),
            auth_required (it rejects the credentials) or failed (the configuration needs a change).
        next_actions: what a person can do.
    """

    def __init__(
        self, reason: str, state: ServiceState = ServiceState.DISCONNECTED, *, next_actions: Sequence[str] = ()
    ) -> None:
        self.reason = reason
        self.state = state
        self.next_actions = tuple(next_actions)
        super().__init__(reason)

    def as_error(self, service: str, service_type: str) -> OperationError:
        """Return it as what callers and status show."""
        actions = self.next_actions or (f"Ostler keeps trying; service_start {service} tries at once",)
        error = OperationError(
            f"{service_type} {service!r} is not connected: {self.reason}", service=service, next_actions=actions
        )
        error.retryable = self.state is not ServiceState.FAILED
        return error


def misconfigured(reason: str, *next_actions: str) -> KubeTroubleError:
    """Return the trouble of a configuration that needs a change."""
    return KubeTroubleError(reason, ServiceState.FAILED, next_actions=next_actions)
