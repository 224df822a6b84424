"""Which facts lead a connection from one state to another, by the engine's transition table."""

from collections import deque
from collections.abc import Sequence
from typing import Final

from ostler.model.states import TRANSITIONS, ServiceState, Transition

ARRIVALS: Final = {
    ServiceState.STARTING: Transition.START_REQUESTED,
    ServiceState.CONNECTED: Transition.CONNECTED,
    ServiceState.DISCONNECTED: Transition.CONNECTION_LOST,
    ServiceState.UNREACHABLE: Transition.CONNECTION_REFUSED,
    ServiceState.AUTH_REQUIRED: Transition.AUTH_DEMANDED,
    ServiceState.FAILED: Transition.START_FAILED,
    ServiceState.STOPPING: Transition.STOP_REQUESTED,
    ServiceState.STOPPED: Transition.STOPPED,
}
"""The fact that usually leads to each state of a connection."""


def way_to(target: ServiceState, current: ServiceState) -> Sequence[Transition]:
    """Return the fewest facts that lead from `current` to `target`; none when it is there already.

    A restart, for example, passes through disconnected.
    """
    ways: deque[tuple[ServiceState, tuple[Transition, ...]]] = deque([(current, ())])
    seen = {current}
    while ways:
        state, facts = ways.popleft()
        if state is target:
            return facts
        for fact in ARRIVALS.values():
            following = TRANSITIONS.get((state, fact))
            if following is not None and following not in seen:
                seen.add(following)
                ways.append((following, (*facts, fact)))
    raise AssertionError(f"no way from {current.value!r} to {target.value!r} for a connection")
