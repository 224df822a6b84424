"""The calls that stop a service: the pinned plan, or one derived now; repeated while their answers are lost."""

from collections.abc import Sequence

import anyio

from ostler.engine.instances.calling import run_call
from ostler.engine.instances.existence import (
    SERVER_AWAY_PAUSE,
    await_gone,
    exists,
    exists_now,
    exists_when_back,
    find,
    lost_to_rival,
)
from ostler.engine.instances.operations import Operation
from ostler.engine.instances.reasons import START_UNSEEN
from ostler.engine.instances.state import InstanceState
from ostler.model.downstream_errors import ConnectionLostError, Delivery, DownstreamError, ServerUnavailableError
from ostler.model.errors import (
    OperationError,
    OperationTimeoutError,
    OstlerError,
    StoreError,
    TemplateError,
    ToolFailedError,
)
from ostler.model.records import PlannedCall
from ostler.rules.calls.rendering import stop_plan

_STOP_ATTEMPTS = 3
"""How often a stop is sent if no answer is usable although the server lives."""


async def run_known_plan(
    service: InstanceState, operation: Operation, *, problem: str, way_out: str, reason: str
) -> bool:
    """Stop the service by the pinned plan, or by one derived now, and return whether it is known to be gone.

    Nothing is stopped if the operation starts it again all the same (`took_over_start`).

    Args:
        service: what is stopped.
        operation: what it is stopped for.
        problem: what to say when it cannot be known how.
        way_out: what to do then, after looking.
        reason: why the service was as it was before.

    Raises:
        OstlerError: it cannot be known, or a call failed.
    """
    plan = await _known_stop_plan(service, operation, problem, way_out, reason)
    if operation.took_over_start:
        return False
    try:
        await run_through_losses(service, operation, plan or ())
    except ToolFailedError:
        if service.vitals.gone or not await _has_moved(service):
            raise
        await _run_stop_plan(service, operation, service.record.stop_plan)
    await await_gone(service, operation)
    return plan is not None


async def _run_stop_plan(
    service: InstanceState, operation: Operation, plan: Sequence[PlannedCall], *, must_journal: bool = True
) -> None:
    if (rival := service.rival()) is not None:
        if (lost := await lost_to_rival(service)) is not None:
            service.note(f"nothing is stopped: {lost.summary}")
            return
        if service.rival() is not None:  # it is unknown whose id it is now; the other service stops it
            server = service.service_class.tools.stop.server
            service.note(f"nothing is stopped: server {server!r} has given the same id to service {rival.name!r}")
            return
        service.pin_stop_plan()
        plan = service.record.stop_plan
    for call in plan:
        await operation.report_progress(0, None, f"calling {call.tool}")
        try:
            await run_call(service, operation, call, must_journal=must_journal)
        except StoreError:
            raise
        except OstlerError as error:
            if isinstance(error, ToolFailedError) and error.is_already_gone:
                service.note(f"the {call.step} tool says that it was already gone (goneWhen): {error.summary}")
                continue
            if call.step == "stop":
                raise
            service.note(f"{call.step} failed; stopping anyway: {error.summary}")


async def is_gone_all_the_same(service: InstanceState, error: OstlerError, *, was_gone: bool) -> bool:
    """Whether the service is gone although the stop failed."""
    if isinstance(error, StoreError):
        return False
    return (was_gone and not isinstance(error, OperationTimeoutError)) or await exists_now(service) is False


async def run_through_losses(
    service: InstanceState, operation: Operation, plan: Sequence[PlannedCall], *, must_journal: bool = True
) -> None:
    """Run the stop plan; if a call gets no usable answer, find out its effect, as after a crash."""
    policy = service.service_class.config.on_unknown
    attempts = 0
    was_lost = False
    while True:
        attempts += 1
        try:
            await _run_stop_plan(service, operation, plan, must_journal=must_journal)
        except DownstreamError as error:
            is_away = was_lost and isinstance(error, ServerUnavailableError)
            if error.delivery is not Delivery.AMBIGUOUS and not is_away:
                raise
            was_lost = True
            there = await exists_when_back(service)
            if there is False:
                service.note(f"the stop had no usable answer, and the service is gone: {error.summary}")
                return
            is_hopeless = attempts >= _STOP_ATTEMPTS and not isinstance(
                error, (ConnectionLostError, ServerUnavailableError)
            )
            if is_hopeless or (there is None and policy not in ("retry", "compensate")):
                raise
            service.note(f"the stop had no usable answer: stopping it again ({error.summary})")
            await anyio.sleep(SERVER_AWAY_PAUSE)
        else:
            return


async def _has_moved(service: InstanceState) -> bool:
    """Whether `find` shows another id than the pinned plan has; if so, the plan is pinned again."""
    before = service.record.stop_plan
    try:
        if not await find(service):
            return False
        service.pin_stop_plan()
    except OstlerError:
        return False
    if service.record.stop_plan == before:
        return False
    service.note("the stop tool failed on what was pinned, and find knows it by another id: stopping that")
    return True


async def _known_stop_plan(
    service: InstanceState, operation: Operation, problem: str, way_out: str, reason: str
) -> Sequence[PlannedCall] | None:
    """Return the pinned stop plan, or one derived now.

    None: the effect of an earlier start is unknown. Either it reported a failure, and no tool shows what it left; or
    the service is about to be started, and its class allows another start (`onUnknown: retry`).

    Raises:
        OperationError: it cannot be known.
    """
    plan = pinned_plan(service) or await derive_stop_plan(service)
    if plan is None and reason == START_UNSEEN:
        service.note(
            "no check could show whether its failed start left something: the start is believed to have failed"
        )
        return None
    if plan is None and operation.kind.brings_up and may_start_again(service):
        if (there := await exists(service)) is None:
            service.note("the outcome of an earlier start is unknown: starting it again (onUnknown: retry)")
            operation.took_over_start = True
            return None
        plan = None if there else ()
    if plan is None:
        again = (f"service_start {service.name} calls its start tool again",) if may_start_again(service) else ()
        ways = ("find it by hand", *again, way_out)
        raise OperationError(problem, service=service.name, step="stop", next_actions=ways)
    return plan


def may_start_again(service: InstanceState) -> bool:
    """Whether its class allows repeating a start with an unknown outcome (`onUnknown: retry`)."""
    tools, policy = service.service_class.tools, service.service_class.config.on_unknown
    return policy == "retry" and tools.find is None and not service.record.stop_plan


def pinned_plan(service: InstanceState) -> Sequence[PlannedCall]:
    """Return the pinned stop plan; none if a restart may have changed its ids and `find` has the new ones."""
    is_doubtful = service.record.may_have_moved and service.service_class.tools.find is not None
    return () if is_doubtful else service.record.stop_plan


async def derive_stop_plan(service: InstanceState) -> Sequence[PlannedCall] | None:
    """Find out how to stop what was started when no plan could be pinned.

    Returns the plan, empty when there is nothing to stop, None when it cannot be known.
    """
    if service.vitals.unreadable is not None:
        return None
    try:
        found = await find(service)
    except ToolFailedError:  # it did not say: what is known may be enough
        found = None
    if found is False:
        return ()
    try:
        return stop_plan(service.service_class, service.template_names())
    except TemplateError:
        return None
