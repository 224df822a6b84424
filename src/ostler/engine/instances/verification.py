"""Finding out whether a service exists, after a restart of Ostler or before a start, and acting on the answer."""

from ostler.engine.instances.compensation import compensate, start_again
from ostler.engine.instances.existence import find, lost_to_rival, proof_of
from ostler.engine.instances.operations import Operation
from ostler.engine.instances.reasons import (
    DRIVER_UNREACHABLE,
    GONE,
    HAS_FAILED,
    LEFT_BEHIND,
    NO_STOP_PLAN,
    NOT_VERIFIABLE,
    NOT_VERIFIED,
    START_FAILED,
    START_LATE,
    START_UNSEEN,
    STOP_FAILED,
    STOP_INTERRUPTED,
    UNKNOWN_OUTCOME,
    UNREADABLE_CLASS,
    UNSEEN_STARTS,
)
from ostler.engine.instances.state import InstanceState
from ostler.model.downstream_errors import ServerUnavailableError
from ostler.model.errors import OperationError, OstlerError, TemplateError, ToolFailedError
from ostler.model.records import OperationKind
from ostler.model.states import HealthStatus, Reachability, ServiceState, Transition
from ostler.rules.answers.extraction import render_outputs

FRESH = 2.0
"""Seconds that an answer for many services may be old when one of them is verified."""

_RAN = (ServiceState.UNKNOWN, ServiceState.UNREACHABLE, ServiceState.RUNNING)
"""States of what was running when it was last known."""


async def is_alive(service: InstanceState, *, max_age: float = 0.0) -> bool | None:
    """Ask the status, healthCheck or find tool; None when the class has none of them.

    An answer that misses what is expected without proving that the service is gone counts as gone when it came as often
    in a row as the class's `failureThreshold`; never while it says that the service is on its way in or out. If a stop
    has failed, or a failed start may have left something, a health check that fails does not count.

    Args:
        service: what is looked for.
        max_age: seconds that an answer for many services may be old.

    Raises:
        DownstreamError: the driving server could not be asked.
        ToolFailedError: the answer does not show it yet.
    """
    if await lost_to_rival(service, max_age=max_age) is not None:
        return False
    proven, failures = await proof_of(service, max_age=max_age)
    if proven is not None:
        return proven
    misses = [failure for failure in failures if isinstance(failure, ToolFailedError)]
    try:
        found = await find(service, max_age=max_age)
    except ToolFailedError as miss:
        found = None
        misses.append(miss)
    if found is None and misses:
        return _is_believed(service, next((miss for miss in misses if not miss.is_refusal), misses[0]))
    return found


def _is_believed(service: InstanceState, miss: ToolFailedError) -> bool:
    """Return False, as the service is gone, once it was missed often enough.

    Raises:
        ToolFailedError: `miss`, which does not show that yet.
    """
    is_about_health = miss.step == "healthCheck" and service.status.reason in LEFT_BEHIND
    if miss.is_refusal or is_about_health:
        raise miss
    service.set_vitals(failures=service.vitals.failures + 1)
    threshold = service.service_class.config.health_rules.failure_threshold
    if miss.is_coming or miss.is_leaving or service.vitals.failures < threshold:
        raise miss
    return False


async def verify(service: InstanceState, operation: Operation) -> None:
    """Find out whether the service exists, by its status, healthCheck or find tool.

    Nothing outside is changed, except that what a failed start left is cleaned up as soon as it is seen.

    Raises:
        OstlerError: nothing was found out; a service of unknown state is unreachable, with the reason.
    """
    operation.step = "verify"
    try:
        alive = await is_alive(service, max_age=FRESH)
    except ServerUnavailableError as error:
        service.set_reachability(Reachability.UNREACHABLE)
        if service.state.is_unverified:
            service.report(Transition.VERIFICATION_LOST, reason=DRIVER_UNREACHABLE, error=error)
        raise
    except OstlerError as error:
        if service.state.is_unverified:
            service.report(Transition.VERIFICATION_LOST, reason=NOT_VERIFIED, error=error)
        raise
    is_unstopped = service.status.reason in (STOP_FAILED, STOP_INTERRUPTED) and not service.is_wanted
    if alive and operation.kind is OperationKind.VERIFY and is_unstopped:
        operation.message = f"service {service.name} is still there after its stop failed"
        return
    if operation.kind is OperationKind.VERIFY and service.status.reason == START_LATE and not alive:
        operation.message = (
            f"service {service.name} is failed: nothing is seen yet of its start, which had no usable answer"
        )
        return
    is_unseen = service.status.reason in UNSEEN_STARTS
    if operation.kind is OperationKind.VERIFY and is_unseen and alive is not None:
        operation.message = await _settle_failed_start(service, operation, exists=alive)
        return
    operation.message = await _conclude(service, alive)


async def _settle_failed_start(service: InstanceState, operation: Operation, *, exists: bool) -> str:
    """Clean up what a failed start left, now that a tool shows it; the service stays failed."""
    error, reason, what = service.status.error, START_FAILED, "its failed start left nothing"
    if exists:
        cleaned = await compensate(service, operation)
        reason, what = cleaned.reason, f"its failed start had left something: {cleaned.what}"
        if reason == UNKNOWN_OUTCOME and not service.record.stop_plan:
            reason = START_UNSEEN  # it exists, and how to stop it is not known yet
    service.note(what)
    if reason == START_FAILED:
        service.forget_start()
        if isinstance(error, OstlerError):
            error = error.fresh()
        else:  # it failed in an earlier run
            error = OperationError(str((service.record.error or {}).get("summary")), service=service.name)
        error.add(f"it was looked for since: {what}")
        error.next_actions = (start_again(service.name),)
    service.report(Transition.FAILED, reason=reason, error=error)
    return f"service {service.name} is failed: {what}"


async def _conclude(service: InstanceState, alive: bool | None) -> str:
    if alive is None:
        if service.service_class.config.on_unknown == "adopt" and service.is_wanted:
            adopt_unverified(service)
            return f"service {service.name} is taken for running (onUnknown: adopt)"
        problem = f"service {service.name} cannot be verified: its class has no status, healthCheck or find tool"
        if service.state.is_unverified:
            _say_unverifiable(service, problem)
        return problem
    if alive:
        if not service.state.is_up:
            await _regain_outputs(service)
            reason = "adopted"
            if not service.record.stop_plan:
                try:
                    service.pin_stop_plan()
                except TemplateError as error:
                    reason = NO_STOP_PLAN
                    service.note(f"adopted without a stop plan: {error.summary}")
            service.forget_health()
            service.set_vitals(gone=False)
            service.set_record(held=False)
            service.report(Transition.ADOPTED, reason=reason)
        elif service.can_be_healthy and not service.service_class.looks_after_start:
            service.judge_by_driver()  # find finds it, after its server was away
        return f"service {service.name} is running and was adopted"
    return conclude_absence(service)


def conclude_absence(service: InstanceState) -> str:
    """Settle a service that is gone: as stopped, or as failed if that was known or it is a job without success."""
    if service.state is ServiceState.STOPPED:
        return f"service {service.name} is not running"
    # the stop plan stays: a stop or a new start calls it once more, in case the answer was wrong
    reason = "completed" if service.has_completed else GONE if service.is_wanted else ""
    known = str((service.stored_error() or {}).get("reason") or "") if reason == GONE else ""
    service.set_vitals(gone=True)
    service.set_record(start_unsettled=False)
    if known in HAS_FAILED and service.state in _RAN:
        if service.can_be_healthy:
            service.take_health(HealthStatus.UNHEALTHY)
        service.report(Transition.FAILED, reason=known)
        return f"service {service.name} has failed before, and is not running"
    if reason == GONE and service.state in _RAN and service.service_class.config.completed is not None:
        error = OperationError(f"it ended without having completed: {service.vitals.evidence or 'it is gone'}")
        service.report(Transition.FAILED, reason=reason, error=error.located(service=service.name))
        return f"service {service.name} has failed"
    service.report(Transition.FOUND_STOPPED, reason=reason)
    return f"service {service.name} is not running"


def _say_unverifiable(service: InstanceState, problem: str) -> None:
    """Keep the question that the service was held with, or ask one."""
    if service.status.reason == UNREADABLE_CLASS:
        return
    held = service.record.held
    asked = (service.record.error or {}).get("message") if held else None
    error = OperationError(
        str(asked or f"{problem}. Does it run?"),
        service=service.name,
        next_actions=()
        if asked
        else (
            f"if it runs: service_start {service.name} with adopt=true",
            f"service_stop {service.name} calls its stop tool in any case",
        ),
    )
    service.report(Transition.HELD, reason=UNKNOWN_OUTCOME if held else NOT_VERIFIABLE, error=error)


async def _regain_outputs(service: InstanceState) -> None:
    """Look up the outputs of a start whose answer was lost in a crash."""
    if "start" not in service.record.step_outputs and service.service_class.tools.start.outputs:
        try:
            await find(service)
        except OstlerError as error:
            service.note(f"find failed while adopting: {error.summary}")
    if not service.record.outputs and service.service_class.config.outputs:
        render_adopted_outputs(service)


async def renew_outputs(service: InstanceState) -> None:
    """Look up the outputs of a service that may have changed them, such as its pid.

    Raises:
        StoreError: what was found could not be recorded.
    """
    before = service.record.step_outputs.get("start")
    try:
        if not await find(service) or service.record.step_outputs.get("start") == before:
            return
        outputs = render_outputs(service.service_class.config.outputs, service.template_names())
    except OstlerError as error:
        service.note(f"its outputs could not be looked up again: {error.summary}")
        return
    service.set_record(outputs=outputs, outputs_at=service.runtime.clock.now())
    await service.commit()


def render_adopted_outputs(service: InstanceState) -> None:
    """Render the outputs of an adopted service from what is known; if that is not enough, add a note."""
    try:
        service.take_outputs(render_outputs(service.service_class.config.outputs, service.template_names()))
    except OstlerError as error:
        service.note(f"adopted without its outputs: {error.summary}")


def adopt_unverified(service: InstanceState) -> None:
    """Assume that the service is running although nothing can show it (`onUnknown: adopt`)."""
    try:
        service.pin_stop_plan()
    except TemplateError as error:
        service.note(f"adopted without a stop plan: {error.summary}")
    service.report(Transition.ADOPTED, reason="adopted-unverified")
