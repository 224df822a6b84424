"""Starts that a crash cut off are finished, repeated, or held with a question for a person."""

import json
from contextlib import suppress
from typing import NoReturn

import anyio

from ostler.engine.instances.compensation import clear_leftover
from ostler.engine.instances.existence import find, proven_existence
from ostler.engine.instances.operations import Operation
from ostler.engine.instances.reasons import DRIVER_UNREACHABLE, NOT_VERIFIED, UNKNOWN_OUTCOME
from ostler.engine.instances.refusals import refuse_unreadable
from ostler.engine.instances.starting import bring_up, call_start, clean_up, cleaning_up, come_up, restart
from ostler.engine.instances.state import InstanceState
from ostler.engine.instances.steps import LOOK_PAUSE, deadline, take_start_key, under_way_until
from ostler.engine.instances.stopping import take_down
from ostler.engine.instances.verification import adopt_unverified, conclude_absence, render_adopted_outputs
from ostler.model.downstream_errors import DownstreamError, ServerUnavailableError
from ostler.model.errors import ArgumentError, OperationError, OstlerError, TemplateError
from ostler.model.json import JsonObject
from ostler.model.manifest import OutputSpec
from ostler.model.records import START_STEPS, CallOutcome, CallRecord, OperationKind, OperationRecord
from ostler.model.states import DesiredState, Reachability, Transition
from ostler.rules.calls.overrides import START_TOOL


async def resume(service: InstanceState, operation: Operation, old: OperationRecord) -> None:
    """Finish the start or restart `old`, or do what `operation` asks for instead.

    Nothing is sent before the effect of `old` is known, or the class's `onUnknown` has decided. Until then `old` stays
    open in the journal, so that another crash changes nothing.

    Raises:
        OperationError: it cannot be known, and the class says `hold`; the text is the question.
    """
    if service.vitals.unreadable is not None:
        operation.changed = False
        refuse_unreadable(service)
    _keep_key(service, old)
    if not old.may_have_started and not service.record.has_leftover:
        await _begin_again(service, operation, old)
        return
    if operation.kind is OperationKind.RESTART and (old.kind is not operation.kind or not old.may_have_started):
        service.set_record(held=not service.record.stop_plan)  # whatever it is, it is stopped first
        await _wait_for_cut_off(service, operation, old)
        await restart(service, operation)
        return
    operation.changed = False  # an end before the decision leaves the old operation open
    operation.step = "verify"
    try:
        there, evidence = await _look(service, old)
    except DownstreamError as error:
        _lose_sight(service, error)
        raise
    if _was_cleaning_up(old):
        await _finish_cleanup(service, operation, old)
    operation.changed = True
    try:
        await _settle(service, operation, old, there, evidence)
    except OstlerError as error:
        if service.state.is_unverified:
            _hold(service, error)
        raise


async def _settle(
    service: InstanceState, operation: Operation, old: OperationRecord, there: bool | None, evidence: str
) -> None:
    if service.has_completed:
        if _completed_now(service, old):
            _finish_job(service, operation, old)
            return
        service.set_record(desired=DesiredState.RUNNING, completed=False)
        there, evidence = None, "it has completed, maybe in an earlier run"
    if there:
        await _finish_start(service, operation, old)
    elif there is None and old.may_have_started:
        await _follow_policy(service, operation, old, evidence)
    else:
        await _begin_again(service, operation, old)


def _keep_key(service: InstanceState, old: OperationRecord) -> None:
    """Keep the key of a start that may have acted, until what it made is known to be gone."""
    if old.may_have_started:
        service.set_record(start_key=service.record.start_key or old.idempotency_key, start_unsettled=True)


def _lose_sight(service: InstanceState, error: DownstreamError) -> None:
    """Show that nothing was found out: the service is checked again later, and nothing is sent until then."""
    is_away = isinstance(error, ServerUnavailableError)
    if is_away:
        service.set_reachability(Reachability.UNREACHABLE)
    if service.state.is_unverified:
        reason = DRIVER_UNREACHABLE if is_away else NOT_VERIFIED
        service.report(Transition.VERIFICATION_LOST, reason=reason, error=error)


async def _begin_again(service: InstanceState, operation: Operation, old: OperationRecord) -> None:
    """Start again, under the old key: nothing exists, or the same key leads to the same thing."""
    if service.record.has_leftover and not operation.took_over_start:
        await clear_leftover(service, operation)
    service.set_record(desired=DesiredState.RUNNING)
    take_start_key(service, operation)
    service.report(Transition.START_REQUESTED)
    await bring_up(service, operation)
    operation.message = f"service {service.name} is running (its {old.kind.value} was resumed after a crash)"


async def _finish_cleanup(service: InstanceState, operation: Operation, old: OperationRecord) -> NoReturn:
    """Finish the cleanup of a start that had failed, and fail as that would have."""
    await _wait_for_cut_off(service, operation, old)
    operation.took_over_start = operation.changed = True
    failed = [call for call in old.calls if call.step in START_STEPS and call.error]
    why = failed[-1].error if failed else "it was cancelled"
    error = OperationError(
        f"the {old.kind.value} of service {service.name!r} failed ({why}), and a crash cut off its cleanup",
        service=service.name,
        step="stop",
    )
    service.report(Transition.START_REQUESTED)
    await clean_up(service, operation, error)
    raise error


async def _finish_start(service: InstanceState, operation: Operation, old: OperationRecord) -> None:
    """Adopt a service that exists: continue after the answer of the start tool."""
    try:
        service.pin_stop_plan()
    except TemplateError as error:
        missing = ", ".join(error.missing) or error.summary
        raise _question(
            service,
            f"service {service.name!r} runs, but its {old.kind.value} was cut off before the answer was kept, so "
            f"its stop tool cannot be called: {missing} is not known",
            "What is it?",
            old,
        ) from error
    done, unclear = _post_starts(old)
    policy = service.service_class.config.on_unknown
    if unclear and policy == "hold":
        raise _question(
            service,
            f"service {service.name!r} runs, but its {unclear[0].step} ({unclear[0].tool}) was cut off, and "
            "it is unknown whether it acted",
            "Is the service complete?",
            old,
        )
    if policy == "adopt":
        done |= {call.step for call in unclear}
    operation.done_steps = frozenset(done)
    operation.took_over_start = True
    service.set_record(desired=DesiredState.RUNNING)
    service.report(Transition.START_REQUESTED)
    async with cleaning_up(service, operation):
        if unclear and policy == "compensate":
            raise OperationError(f"{unclear[0].step} was cut off by a crash (onUnknown: compensate)")
        with deadline(service, operation, service.service_class.config.timeout.create, "create") as scope:
            if _is_joined(service, old):
                await call_start(service, operation, scope)
            await come_up(service, operation, scope)
    operation.message = f"service {service.name} is running and was adopted"


def _is_joined(service: InstanceState, old: OperationRecord) -> bool:
    """Whether the start tool joins what its cut-off call began, and waits until that is ready."""
    starts = [call for call in old.calls if call.step == "start"]
    return service.service_class.tools.start.tool == START_TOOL and bool(starts) and starts[-1].outcome.is_unclear


async def _follow_policy(service: InstanceState, operation: Operation, old: OperationRecord, evidence: str) -> None:
    """Act on an unknown outcome as the class's `onUnknown` says."""
    match service.service_class.config.on_unknown:
        case "retry":
            service.note("the outcome of its start is unknown: starting it again (onUnknown: retry)")
            if not service.record.stop_plan:
                service.set_record(held=True)  # until this start has an end that settles the earlier one
                operation.took_over_start = True
            await _begin_again(service, operation, old)
        case "compensate":
            service.note("the outcome of its start is unknown: stopping it (onUnknown: compensate)")
            service.set_record(held=True)
            service.set_record(desired=DesiredState.STOPPED)
            await take_down(service, operation)
            operation.message = f"service {service.name} is stopped: its start was cut off (onUnknown: compensate)"
        case "adopt":
            adopt_unverified(service)
            operation.message = f"service {service.name} is taken for running (onUnknown: adopt)"
        case "hold":
            raise _question(
                service,
                f"the {old.kind.value} of service {service.name!r} was interrupted, and its outcome is unknown "
                f"({evidence})",
                "Does it run?",
                old,
            )


def _question(service: InstanceState, facts: str, question: str, old: OperationRecord) -> OperationError:
    sent = [call for call in old.calls if call.outcome.may_have_acted]
    last = sent[-1] if sent else None
    when = f"; {last.tool} was called at {last.sent_at.isoformat(timespec='seconds')}" if last is not None else ""
    return OperationError(
        f"{facts}{when}. {question}",
        service=service.name,
        step=last.step if last is not None else old.kind.value,
        tool=last.tool if last is not None else None,
        next_actions=(
            f"check by hand; service_explain {service.name} has the calls that settle it",
            f"if it runs: service_start {service.name} with adopt=true",
            f"if it does not: service_delete {service.name} with abandon=true",
        ),
    )


def _hold(service: InstanceState, error: OstlerError) -> None:
    service.set_record(held=True)
    service.report(Transition.HELD, reason=UNKNOWN_OUTCOME, error=error)


async def _look(service: InstanceState, old: OperationRecord) -> tuple[bool | None, str]:
    """Return (whether it exists, how that is known); None if nothing can show it.

    A missing service is looked for again while a call that was cut off may still be under way elsewhere.

    Raises:
        DownstreamError: the driving server cannot be asked now, or does not answer.
    """
    until = under_way_until(service, old)
    while True:
        there, evidence = await proven_existence(service)
        if there is not False or service.has_completed or until is None or service.runtime.clock.now() >= until:
            return there, evidence
        left = (until - service.runtime.clock.now()).total_seconds()
        await anyio.sleep(min(LOOK_PAUSE, max(left, 0.0)))


async def _wait_for_cut_off(service: InstanceState, operation: Operation, old: OperationRecord) -> None:
    """Wait until no call that was cut off can still act: a late stop would stop what is started next."""
    until = under_way_until(service, old)
    if until is not None:
        operation.changed = False
        await anyio.sleep(max((until - service.runtime.clock.now()).total_seconds(), 0.0))
        operation.changed = True


def _completed_now(service: InstanceState, old: OperationRecord) -> bool:
    """Whether a job that is seen to have completed did so in the run that `old` began, not in an earlier one."""
    has_answered = any(call.step in START_STEPS and call.outcome is CallOutcome.ANSWERED for call in old.calls)
    return has_answered or not service.record.starts


def _finish_job(service: InstanceState, operation: Operation, old: OperationRecord) -> None:
    """Record that a job whose start was cut off has completed: it is not run again."""
    with suppress(TemplateError):  # else a stop looks for what there is
        service.pin_stop_plan()
        service.set_record(held=False)
    service.set_record(starts=max(service.record.starts, 1))
    conclude_absence(service)
    operation.message = f"service {service.name} has completed (its {old.kind.value} was cut off by a crash)"


async def adopt(service: InstanceState, operation: Operation, outputs: JsonObject) -> None:
    """Mark the service as running because the caller says so, with `outputs` of its start tool.

    Raises:
        ArgumentError: the start tool has no such output.
        OperationError: what its stop tool needs is still not known.
    """
    if service.state.is_up and service.record.stop_plan:
        operation.changed = False
        operation.message = f"service {service.name} is already running"
        return
    known = service.service_class.tools.start.outputs
    unknown = [name for name in outputs if name not in known]
    if unknown:
        raise ArgumentError(
            [f"unknown output {name!r} in adopt; the start tool has {', '.join(known) or 'none'}" for name in unknown]
        )
    held = service.record.step_outputs
    service.set_record(step_outputs={**held, "start": {**held.get("start", {}), **outputs}})
    service.take_handles()
    if missing_outputs(service.service_class.tools.start.outputs, service.record.step_outputs.get("start", {})):
        try:
            await find(service)
        except OstlerError as error:
            service.note(f"find failed while adopting: {error.summary}")
    try:
        service.pin_stop_plan()
    except TemplateError as error:
        needed = {name.removeprefix("start."): "…" for name in error.missing if name.startswith("start.")}
        blank = json.dumps(needed, ensure_ascii=False)
        raise OperationError(
            f"service {service.name!r} cannot be adopted yet: its stop tool needs values that are not known:  "
            f"{', '.join(error.missing) or error.summary}",
            service=service.name,
            step="adopt",
            next_actions=(f"service_start {service.name} with adopt=true and outputs={blank}, the values filled in",),
        ) from error
    render_adopted_outputs(service)
    service.set_record(desired=DesiredState.RUNNING, held=False)
    service.forget_health()
    service.set_vitals(gone=False)
    service.report(Transition.ADOPTED, reason="adopted")
    operation.message = f"service {service.name} was adopted as running"


def missing_outputs(specs: dict[str, str | OutputSpec], held: JsonObject) -> list[str]:
    """Return the names of the start tool's outputs that are required and not held."""
    return [
        name
        for name, spec in specs.items()
        if held.get(name) is None and not (isinstance(spec, OutputSpec) and (not spec.required or spec.has_default))
    ]


def _was_cleaning_up(old: OperationRecord) -> bool:
    """Whether a stop was sent after the start: the operation had failed, or was cancelled."""
    steps = [call.step.partition("[")[0] for call in old.calls if call.outcome.may_have_acted]
    return any(step in START_STEPS for step in steps) and steps[-1] in ("preStop", "stop")


def _post_starts(old: OperationRecord) -> tuple[set[str], list[CallRecord]]:
    """Return (postStart steps that are done, those whose outcome is unknown)."""
    calls = {call.step: call for call in old.calls if call.step.startswith("postStart")}
    return (
        {step for step, call in calls.items() if not call.outcome.is_unclear and call.outcome.may_have_acted},
        [call for call in calls.values() if call.outcome.is_unclear],
    )
