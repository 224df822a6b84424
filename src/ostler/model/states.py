"""Service states, health and the one transition table of the state machine.

`TRANSITIONS` is the only description of the machine: the engine changes a state
through `next_state` alone, and docs/states.md is drawn from the table.
"""

from ostler.model.text_enum import TextEnum


class ServiceState(TextEnum):
    """What is known about a service's lifecycle."""

    UNKNOWN = "unknown"
    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"
    RETRYING = "retrying"
    UNREACHABLE = "unreachable"
    AUTH_REQUIRED = "auth_required"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"

    @property
    def is_up(self) -> bool:
        """Whether the service can be used."""
        return self in (ServiceState.RUNNING, ServiceState.CONNECTED)

    @property
    def is_unverified(self) -> bool:
        """Whether it is not known what the service does: a check has to find out."""
        return self in (ServiceState.UNKNOWN, ServiceState.UNREACHABLE)

    @property
    def is_settled(self) -> bool:
        """Whether nothing is under way that will change the state."""
        return self not in (
            ServiceState.WAITING,
            ServiceState.STARTING,
            ServiceState.STOPPING,
            ServiceState.RETRYING,
        )


WAIT_GOALS = (*(state.value for state in ServiceState), "completed", "deleted", "ready")
"""What can be waited for: a state, that a job has completed, that a service is gone, or that it is ready to be used."""


class HealthStatus(TextEnum):
    """What the last health checks said."""

    UNKNOWN = "unknown"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    CHECKING = "checking"


class Reachability(TextEnum):
    """Whether the downstream server that drives a service can be asked, apart from the service's health."""

    UNKNOWN = "unknown"
    REACHABLE = "reachable"
    UNREACHABLE = "unreachable"


class DesiredState(TextEnum):
    """What the user asked for, apart from what is observed."""

    RUNNING = "running"
    STOPPED = "stopped"


class Transition(TextEnum):
    """A fact that may change a service's state."""

    START_REQUESTED = "start_requested"
    RESTART_REQUESTED = "restart_requested"
    DEPENDENCY_MISSED = "dependency_missed"
    STARTED = "started"
    START_FAILED = "start_failed"
    STOP_REQUESTED = "stop_requested"
    STOPPED = "stopped"
    STOP_FAILED = "stop_failed"
    STOP_NOT_SENT = "stop_not_sent"
    STOP_NOT_BEGUN = "stop_not_begun"
    FAILED = "failed"
    RETRY_SCHEDULED = "retry_scheduled"
    ADOPTED = "adopted"
    FOUND_STOPPED = "found_stopped"
    VERIFICATION_LOST = "verification_lost"
    HELD = "held"
    CONNECTED = "connected"
    CONNECTION_LOST = "connection_lost"
    CONNECTION_REFUSED = "connection_refused"
    AUTH_DEMANDED = "auth_demanded"


class IllegalTransitionError(AssertionError):
    """A bug in the engine: a fact was reported that the machine's table does not allow in this state."""

    def __init__(self, service: str, state: ServiceState, transition: Transition) -> None:
        self.service = service
        self.state = state
        self.transition = transition
        super().__init__(f"service {service!r} is {state.value}: {transition.value!r} cannot happen there")


_S = ServiceState
_NOT_UP = (
    _S.UNKNOWN, _S.WAITING, _S.STOPPED, _S.FAILED, _S.RETRYING,
    _S.UNREACHABLE, _S.AUTH_REQUIRED, _S.DISCONNECTED,
)  # fmt: skip
_STOPPABLE = tuple(state for state in _S if state not in (_S.STOPPED, _S.STOPPING))
_CONNECTING = (
    _S.STARTING, _S.RETRYING, _S.CONNECTED, _S.DISCONNECTED, _S.UNREACHABLE, _S.AUTH_REQUIRED, _S.FAILED,
)  # fmt: skip

_TABLE: dict[Transition, tuple[tuple[ServiceState, ...], ServiceState]] = {
    Transition.START_REQUESTED: (_NOT_UP, _S.STARTING),
    Transition.RESTART_REQUESTED: ((_S.RUNNING, _S.FAILED, _S.UNKNOWN), _S.STARTING),
    Transition.DEPENDENCY_MISSED: ((*_NOT_UP, _S.STARTING), _S.WAITING),
    Transition.STARTED: ((_S.STARTING,), _S.RUNNING),
    Transition.START_FAILED: ((_S.STARTING, _S.WAITING), _S.FAILED),
    Transition.STOP_REQUESTED: (_STOPPABLE, _S.STOPPING),
    Transition.STOPPED: ((_S.STOPPING,), _S.STOPPED),
    Transition.STOP_FAILED: ((_S.STOPPING,), _S.FAILED),
    Transition.STOP_NOT_SENT: ((_S.STOPPING,), _S.UNREACHABLE),
    Transition.STOP_NOT_BEGUN: ((_S.STOPPING,), _S.RUNNING),
    Transition.FAILED: (
        (_S.RUNNING, _S.RETRYING, _S.UNKNOWN, _S.UNREACHABLE, _S.CONNECTED, _S.STOPPED, _S.FAILED),
        _S.FAILED,
    ),
    Transition.RETRY_SCHEDULED: ((_S.FAILED, _S.RUNNING, _S.STOPPED), _S.RETRYING),
    Transition.ADOPTED: (
        (_S.UNKNOWN, _S.UNREACHABLE, _S.FAILED, _S.STOPPED, _S.WAITING, _S.RETRYING, _S.RUNNING),
        _S.RUNNING,
    ),
    Transition.FOUND_STOPPED: (
        (_S.UNKNOWN, _S.UNREACHABLE, _S.RUNNING, _S.FAILED, _S.WAITING, _S.RETRYING),
        _S.STOPPED,
    ),
    Transition.VERIFICATION_LOST: ((_S.UNKNOWN, _S.UNREACHABLE), _S.UNREACHABLE),
    Transition.HELD: (
        (_S.STARTING, _S.STOPPING, _S.UNREACHABLE, _S.FAILED, _S.RUNNING, _S.UNKNOWN),
        _S.UNKNOWN,
    ),
    Transition.CONNECTED: (_CONNECTING, _S.CONNECTED),
    Transition.CONNECTION_LOST: (_CONNECTING, _S.DISCONNECTED),
    Transition.CONNECTION_REFUSED: (_CONNECTING, _S.UNREACHABLE),
    Transition.AUTH_DEMANDED: (_CONNECTING, _S.AUTH_REQUIRED),
}

TRANSITIONS: dict[tuple[ServiceState, Transition], ServiceState] = {
    (source, transition): target for transition, (sources, target) in _TABLE.items() for source in sources
}
"""Every legal change: (state, fact) → next state. What is not here is a bug."""


def next_state(service: str, state: ServiceState, transition: Transition) -> ServiceState:
    """Return the state that follows `state` after `transition`.

    Raises:
        IllegalTransitionError: the table does not allow it; the engine has a bug.
    """
    try:
        return TRANSITIONS[state, transition]
    except KeyError:
        raise IllegalTransitionError(service, state, transition) from None
