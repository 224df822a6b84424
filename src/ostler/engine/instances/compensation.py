"""What is done after a failed start: whatever it has left is stopped, as far as it can be known."""

from collections.abc import Sequence

import anyio

from ostler.engine.instances.operations import Operation
from ostler.engine.instances.reasons import START_FAILED, START_UNSEEN, UNKNOWN_OUTCOME
from ostler.engine.instances.state import InstanceState
from ostler.engine.instances.stopping import SERVER_AWAY_PAUSE, derive_stop_plan, pinned_plan, run_through_losses
from ostler.engine.instances.vanishing import await_gone, is_gone, is_there
from ostler.model.durations import format_duration
from ostler.model.errors import DownstreamError, OstlerError, ServerUnavailableError
from ostler.model.records import CallOutcome, PlannedCall

_LOOKS = 3
"""How often `find` is asked what a refused start left, when it does not say."""

_SEEN_WITHIN = 10.0
"""Seconds within which a look after a failed cleanup must answer."""


async def compensate(service: InstanceState, operation: Operation) -> tuple[str, str]:
    """Stop what a start may have begun; return (why the service is failed then, in words).

    It is `START_FAILED` where nothing is left, as far as can be known.
    """
    starts = operation.calls("start")
    refused = bool(starts) and all(call.outcome is CallOutcome.FAILED for call in starts)  # a restart had something
    limit = service.service_class.config.timeout.delete
    try:
        with anyio.fail_after(limit):
            plan = pinned_plan(service) or await _derive_patiently(service, once=refused)
            if plan is None:
                return _unknown_start(service, refused=refused)
            if plan:
                service.set_record(stop_plan=tuple(plan))
                await _run_patiently(service, operation, plan)
                return START_FAILED, f"cleaned up with {plan[-1].tool}"
            return START_FAILED, "nothing was left to clean up"
    except TimeoutError:
        return UNKNOWN_OUTCOME, f"its cleanup did not end within {format_duration(limit)}: it may still be there"
    except OstlerError as failure:
        return await _after_failed_cleanup(service, failure, refused=refused)


def _unknown_start(service: InstanceState, *, refused: bool) -> tuple[str, str]:
    """Return what a start comes to of which no one knows whether it left something; it said itself that it failed."""
    if not refused:
        return UNKNOWN_OUTCOME, "what it may have started could not be found, so it could not be stopped"
    if service.service_class.tools.find is not None:
        return START_UNSEEN, "its find tool did not say whether the failed start left something"
    return START_FAILED, "no tool of its class can show whether the failed start left something"


async def _after_failed_cleanup(service: InstanceState, failure: OstlerError, *, refused: bool) -> tuple[str, str]:
    if await is_gone(service):
        return START_FAILED, f"nothing was left to clean up ({failure.summary})"
    if await _is_seen(service):
        return UNKNOWN_OUTCOME, f"it is there all the same, and its cleanup failed: {failure.summary}"
    if refused:
        return _unknown_start(service, refused=True)[0], f"and so did the call that would clean up: {failure.summary}"
    return UNKNOWN_OUTCOME, f"its cleanup failed too, so it may still be there: {failure.summary}"


async def _is_seen(service: InstanceState) -> bool:
    """Whether a tool shows the service now; False as well where none can, or none answers."""
    with anyio.move_on_after(_SEEN_WITHIN):
        try:
            return await is_there(service) is True
        except DownstreamError:
            pass
    return False


async def _run_patiently(service: InstanceState, operation: Operation, plan: Sequence[PlannedCall]) -> None:
    """Run the stop plan of a failed start, waiting for a driving server that is just away (it may have died)."""
    while True:
        try:
            await run_through_losses(service, operation, plan, must_journal=False)
        except ServerUnavailableError:
            await anyio.sleep(SERVER_AWAY_PAUSE)
        else:
            await await_gone(service, operation)
            return


async def _derive_patiently(service: InstanceState, *, once: bool) -> Sequence[PlannedCall] | None:
    """Derive the stop plan, waiting (unless `once`) for a driving server that is just away (it may have died).

    With `once`, the start said that it failed: `find` is then asked a few times, if it does not say.
    """
    looks = 0
    while True:
        looks += 1
        try:
            plan = await derive_stop_plan(service)
        except ServerUnavailableError:
            if once:
                raise
        else:
            is_found = service.service_class.tools.find is not None
            if plan is not None or not once or not is_found or looks >= _LOOKS:
                return plan
        await anyio.sleep(SERVER_AWAY_PAUSE)
