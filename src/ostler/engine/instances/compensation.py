"""What a failed start left behind is stopped: at once if that is possible, else before the next start.

What no tool can show stays in doubt.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import anyio
from msgspec import Struct

from ostler.engine.call_context import limited_by
from ostler.engine.instances.existence import SERVER_AWAY_PAUSE, advice_for, await_gone, exists_now, find
from ostler.engine.instances.operations import ANSWER_GRACE, Operation
from ostler.engine.instances.reasons import START_FAILED, START_LATE, START_UNSEEN, UNKNOWN_OUTCOME
from ostler.engine.instances.state import InstanceState
from ostler.engine.instances.steps import LOOK_PAUSE, takes_start_key, under_way_until
from ostler.engine.instances.stop_plans import (
    derive_stop_plan,
    is_gone_all_the_same,
    pinned_plan,
    run_known_plan,
    run_through_losses,
)
from ostler.model.downstream_errors import DownstreamError, ServerUnavailableError
from ostler.model.durations import format_duration
from ostler.model.errors import OperationTimeoutError, OstlerError, ToolFailedError
from ostler.model.records import START_STEPS, CallOutcome, PlannedCall
from ostler.model.states import ServiceState, Transition

_T = TypeVar("_T")

_INTERNAL = "internal-error"

_LOOKS = 3
"""How often `find` is called after a refused start while its answer shows nothing."""


class Cleanup(Struct, frozen=True):
    """How the cleanup of a failed start went.

    Attributes:
        reason: why the service is failed then: `START_FAILED` if nothing is left, as far as can be known.
        what: the same in words.
        is_proven: whether it is known that nothing is left, and not just what the start tool said.
    """

    reason: str
    what: str
    is_proven: bool = False


async def compensate(service: InstanceState, operation: Operation, *, may_act_yet: bool = False) -> Cleanup:
    """Stop what a start may have begun; with `may_act_yet`, the start was abandoned while its call was under way."""
    starts = operation.calls("start")
    refused = bool(starts) and all(call.outcome is CallOutcome.FAILED for call in starts)
    refused &= not operation.took_over_start  # nothing is known of an earlier start under the same key
    limit = service.service_class.config.timeout.delete
    try:
        with anyio.fail_after(limit) as scope, limited_by(scope):
            plan = pinned_plan(service)
            if not plan:
                plan = await (_derive_refused(service) if refused else _derive_patiently(service, operation))
            if plan is None:
                return _unknown_start(service, refused=refused)
            if plan:
                service.set_record(stop_plan=tuple(plan))
                await _run_patiently(service, operation, plan)
                return Cleanup(START_FAILED, f"cleaned up with {plan[-1].tool}", is_proven=True)
            if may_act_yet and service.service_class.tools.find is not None and not takes_start_key(service):
                return Cleanup(
                    START_LATE, "nothing was left to clean up, but its start had no usable answer, and may still act"
                )
            return Cleanup(START_FAILED, "nothing was left to clean up", is_proven=not may_act_yet)
    except TimeoutError:
        limit_text = format_duration(limit)
        return Cleanup(UNKNOWN_OUTCOME, f"its cleanup did not end within {limit_text}: it may still be there")
    except OstlerError as failure:
        return await _after_failed_cleanup(service, failure, refused=refused)


CREATE_AGAIN = "correct the cause, then create it again"
"""The next step after a create that failed and left nothing, not even the service."""


def start_again(name: str) -> str:
    """Return the next step after a start of service `name` that failed and left nothing."""
    return f"correct the cause, then service_start {name}"


async def await_late_start(service: InstanceState, operation: Operation) -> None:
    """After a lost connection, wait until the start call can no longer act at its server, or the service is seen."""
    lost = [call for call in operation.record.calls if call.outcome.is_unclear]
    until, clock = under_way_until(service, operation.record), service.runtime.clock
    if until is None or lost[-1].step not in START_STEPS:
        return
    service.set_record(held=True)  # whatever comes between
    said = f"the connection of its {lost[-1].step} call was lost, which may still act: it is looked for until it cannot"
    service.note(said)
    while (left := (until - clock.now()).total_seconds()) > 0:
        await operation.report_progress(0, None, said)
        if await _is_seen_or_never_will_be(service):
            return
        await anyio.sleep(min(LOOK_PAUSE, left))


async def _is_seen_or_never_will_be(service: InstanceState) -> bool:
    """Whether waiting is over: `find` sees the service, and its stop plan is pinned; or no tool can see or stop it."""
    try:
        if service.service_class.tools.find is None:
            return await derive_stop_plan(service) is None
        if await find(service) is not True:
            return False
        service.pin_stop_plan()
    except (DownstreamError, ToolFailedError):
        return False  # it cannot be asked now, or did not say
    except OstlerError:
        pass
    return True


def _unknown_start(service: InstanceState, *, refused: bool) -> Cleanup:
    """Return the outcome when it is unknown whether the start left something; `refused`: it reported a failure."""
    if not refused:
        return Cleanup(UNKNOWN_OUTCOME, "what it may have started could not be found, so it could not be stopped")
    if service.service_class.tools.find is not None:
        return Cleanup(START_UNSEEN, "its find tool did not say whether the failed start left something")
    return Cleanup(START_FAILED, "no tool of its class can show whether the failed start left something")


async def _after_failed_cleanup(service: InstanceState, failure: OstlerError, *, refused: bool) -> Cleanup:
    there = await exists_now(service)
    if there is False:
        return Cleanup(START_FAILED, f"nothing was left to clean up ({failure.summary})", is_proven=True)
    if there:
        return Cleanup(UNKNOWN_OUTCOME, f"it is there all the same, and its cleanup failed: {failure.summary}")
    if refused:
        reason = _unknown_start(service, refused=True).reason
        return Cleanup(reason, f"and so did the call that would clean up: {failure.summary}")
    return Cleanup(UNKNOWN_OUTCOME, f"its cleanup failed too, so it may still be there: {failure.summary}")


async def _run_patiently(service: InstanceState, operation: Operation, plan: Sequence[PlannedCall]) -> None:
    """Run the stop plan of a failed start, waiting for a driving server that is just away."""
    await _when_back(operation, lambda: run_through_losses(service, operation, plan, must_journal=False))
    await await_gone(service, operation)


async def _derive_patiently(service: InstanceState, operation: Operation) -> Sequence[PlannedCall] | None:
    """Derive the stop plan, waiting for a driving server that is just away."""
    return await _when_back(operation, lambda: derive_stop_plan(service))


async def _when_back(operation: Operation, act: Callable[[], Awaitable[_T]]) -> _T:
    """Return what `act` does, again while the driving server is away: it may have died of the start.

    If the operation was cancelled, that is waited for a short while only: what was requested since cleans up as well.
    """
    began = anyio.current_time()
    while True:
        try:
            return await act()
        except ServerUnavailableError:
            if operation.is_cancelled and anyio.current_time() > began + ANSWER_GRACE:
                raise
        await anyio.sleep(SERVER_AWAY_PAUSE)


async def _derive_refused(service: InstanceState) -> Sequence[PlannedCall] | None:
    """Derive the stop plan of a start that said that it failed; `find` is asked again if it does not say."""
    for _ in range(_LOOKS - 1 if service.service_class.tools.find is not None else 0):
        if (plan := await derive_stop_plan(service)) is not None:
            return plan
        await anyio.sleep(SERVER_AWAY_PAUSE)
    return await derive_stop_plan(service)


def settle_after_bug(service: InstanceState, operation: Operation, error: OstlerError) -> None:
    """Leave no transitional state after an internal error; what a start may have left is held, not forgotten."""
    if service.state is ServiceState.STOPPING:
        service.report(Transition.STOP_FAILED, reason=_INTERNAL, error=error)
    elif service.state is ServiceState.STARTING:
        may_be_there = operation.may_have_started()
        if may_be_there:
            service.set_record(held=True)
            error.add("its start tool may have acted: what it may have left is looked for before anything else is done")
            error.next_actions = (*error.next_actions, f"service_stop {service.name} looks for it and stops it")
        service.report(Transition.START_FAILED, reason=UNKNOWN_OUTCOME if may_be_there else _INTERNAL, error=error)


async def clear_leftover(service: InstanceState, operation: Operation) -> None:
    """Stop what an earlier failed start or stop left behind, before starting again.

    If that is unknown, and the class allows another start all the same, nothing is stopped.
    """
    was_gone, is_proven = service.vitals.gone, True
    if service.state in (ServiceState.RETRYING, ServiceState.FAILED):
        service.note("stopping what was left behind before starting again")
    try:
        with anyio.fail_after(service.service_class.config.timeout.delete) as scope, limited_by(scope):
            is_proven = await run_known_plan(
                service,
                operation,
                problem=f"service {service.name!r} cannot be started: an earlier start may have left something that "
                "could not be found",
                way_out=f"then service_delete {service.name} with abandon=true and create it again",
                reason=service.status.reason,
            )
            if operation.took_over_start:
                return
    except OstlerError as error:
        if not await is_gone_all_the_same(service, error, was_gone=was_gone):
            error.summary = f"what an earlier start of {service.name!r} left could not be stopped: {error.summary}"
            error.next_actions = error.next_actions or (
                f"service_stop {service.name} tries again",
                f"service_delete {service.name} with force=true forgets it even if stopping fails",
                *advice_for(service, error),
            )
            raise
        service.note(f"the stop tool failed, but what was left is gone: {error.summary}")
    except TimeoutError:
        raise OperationTimeoutError(
            "stopping what an earlier start left behind took too long", service=service.name, step="stop"
        ) from None
    service.forget_start(is_proven=is_proven)


def is_in_doubt(service: InstanceState) -> bool:
    """Whether a start said that it failed, and only another one with its key could show what it left."""
    is_settled = service.record.has_leftover or not service.record.start_unsettled
    return service.state is ServiceState.FAILED and not is_settled and takes_start_key(service)


def doubt_about(service: InstanceState) -> str:
    """Return a remark for the deletion of a service whose start is not fully known."""
    if service.state is ServiceState.FAILED and service.status.reason == START_LATE:
        return (
            "; nothing of it was there, but its start had no usable answer and may still act: look for it by hand later"
        )
    return "; its start tool said that it had failed, which no tool can verify" if is_in_doubt(service) else ""
