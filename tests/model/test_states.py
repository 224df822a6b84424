"""The transition table is the whole state machine."""

import pytest

from ostler.model.states import TRANSITIONS, IllegalTransitionError, ServiceState, Transition, next_state


def test_every_state_is_used_and_every_fact_leads_somewhere() -> None:
    assert {source for source, _ in TRANSITIONS} == set(ServiceState)
    assert {transition for _, transition in TRANSITIONS} == set(Transition)


def test_every_state_can_be_left_for_stopped() -> None:
    for state in ServiceState:
        reached = {state}
        while True:
            further = {target for (source, _), target in TRANSITIONS.items() if source in reached} - reached
            if not further:
                break
            reached |= further
        assert ServiceState.STOPPED in reached, state


def test_a_service_that_runs_cannot_be_started_again() -> None:
    with pytest.raises(IllegalTransitionError, match=r"'web' is running: 'start_requested' cannot happen there"):
        next_state("web", ServiceState.RUNNING, Transition.START_REQUESTED)


def test_the_usual_life_of_a_service() -> None:
    state = ServiceState.STOPPED
    for transition, expected in (
        (Transition.START_REQUESTED, ServiceState.STARTING),
        (Transition.STARTED, ServiceState.RUNNING),
        (Transition.STOP_REQUESTED, ServiceState.STOPPING),
        (Transition.STOPPED, ServiceState.STOPPED),
    ):
        state = next_state("web", state, transition)
        assert state is expected


@pytest.mark.parametrize("state", list(ServiceState))
def test_only_running_and_connected_are_up(state: ServiceState) -> None:
    assert state.is_up is (state.value in ("running", "connected"))


@pytest.mark.parametrize("state", list(ServiceState))
def test_what_is_under_way_is_not_settled(state: ServiceState) -> None:
    assert state.is_settled is (state.value not in ("waiting", "starting", "stopping", "retrying"))
