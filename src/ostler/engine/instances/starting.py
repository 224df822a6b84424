"""How a service is started and restarted: the steps, their deadlines, their cleanup."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import anyio
from msgspec.structs import replace

from ostler.engine.call_context import limited_by
from ostler.engine.instances.calling import passed, run_call
from ostler.engine.instances.compensation import await_late_start, clear_leftover, compensate, is_in_doubt, start_again
from ostler.engine.instances.existence import SERVER_AWAY_PAUSE, exists, exists_when_back
from ostler.engine.instances.handles import renewed_names
from ostler.engine.instances.operations import Operation
from ostler.engine.instances.reasons import (
    GONE,
    POLICY_REASON,
    START_FAILED,
    UNKNOWN_OUTCOME,
    UNSEEN_STARTS,
)
from ostler.engine.instances.refusals import (
    refuse_failing_start,
    refuse_missing_tools,
    refuse_unreadable,
    refuse_unstoppable,
)
from ostler.engine.instances.state import InstanceState
from ostler.engine.instances.steps import deadline, planned_call, remaining, take_start_key
from ostler.engine.instances.stop_plans import may_start_again
from ostler.engine.instances.stopping import take_down
from ostler.engine.instances.verification import verify
from ostler.model.downstream_errors import ConnectionLostError, Delivery
from ostler.model.errors import DependencyError, ExtractionError, OperationError, OstlerError, TemplateError
from ostler.model.events import EventKind
from ostler.model.json import JsonObject
from ostler.model.manifest import ToolCallSpec
from ostler.model.records import CallOutcome, CallRecord, OperationKind, PlannedCall
from ostler.model.responses import CHECK_FIRST
from ostler.model.states import DesiredState, HealthStatus, Transition
from ostler.rules.answers.extraction import OutputsMissingError, render_outputs


async def start(service: InstanceState, operation: Operation) -> None:
    """Bring the service up: pre-checks, dependencies, start tool, ready, postStart, outputs."""
    if service.state.is_up and service.vitals.failures and await _is_gone_by_now(service):
        service.set_vitals(gone=True)
        service.report(Transition.FOUND_STOPPED, reason=GONE)
    if service.state.is_up:
        if not service.is_wanted:
            service.set_record(desired=DesiredState.RUNNING)
            await service.commit()
        operation.changed = False
        operation.message = f"service {service.name} is already running"
        return
    refuse_unreadable(service)
    if service.state.is_unverified:
        with suppress(OstlerError):  # it may be running, so it is verified before anything is stopped
            await verify(service, operation)
        if service.state.is_up:
            service.set_record(desired=DesiredState.RUNNING)
            return
        operation.message = ""
        service.set_record(desired=DesiredState.RUNNING)  # also when no one can be asked now
    if service.record.has_leftover:
        refuse_missing_tools(service)  # nothing is stopped for a start that is known to fail
        await clear_leftover(service, operation)
    service.set_record(desired=DesiredState.RUNNING)
    take_start_key(service, operation)
    service.report(Transition.START_REQUESTED)
    await bring_up(service, operation)


async def _is_gone_by_now(service: InstanceState) -> bool:
    """Whether a service whose last check failed turns out to be gone."""
    with suppress(OstlerError):
        return await exists(service) is False
    return False


def first_intent(service: InstanceState, operation: Operation, *, is_checked: bool) -> CallRecord | None:
    """Return the first call of a new service's start, as intended, to be stored together with the request.

    None if it is not known yet, as dependencies come first, or if it cannot be rendered, which the start reports. With
    `is_checked`, its tools are known to be there.
    """
    tools, config = service.service_class.tools, service.service_class.config
    if config.dependencies:
        return None
    step, spec = ("preStart[0]", tools.pre_start[0]) if tools.pre_start else ("start", tools.start)
    take_start_key(service, operation)
    try:
        if not is_checked:
            refuse_missing_tools(service)
        refuse_unstoppable(service)
        call = planned_call(service, step, spec, config.timeout.create)
    except OstlerError:
        return None
    operation.planned = call
    now = service.runtime.clock.now()
    return CallRecord(0, step, call.tool, service.masked(call.args), CallOutcome.INTENDED, now)


async def bring_up(service: InstanceState, operation: Operation, *, restart: anyio.CancelScope | None = None) -> None:
    """Start under the create timeout, or what is left of the restart's, and clean up when that fails."""
    if service.has_completed:
        service.set_record(completed=False)
    operation.set_key(service.record.start_key)
    limit, key = service.service_class.config.timeout.create, "create"
    if restart is not None and (left := remaining(restart)) < limit:  # waiting for dependencies is not counted
        limit, key = left, "restart"
    async with cleaning_up(service, operation):
        if operation.planned is None:  # else it was checked when that was rendered
            refuse_missing_tools(service)
            refuse_unstoppable(service)
        operation.step = "dependencies"
        if service.service_class.config.dependencies and not operation.committed:
            await service.commit(operation)  # waiting may take long: what was accepted outlives a crash
        facts = await service.runtime.await_dependencies(service, operation)
        service.set_record(dependency_facts=facts.names, dependency_secrets=tuple(sorted(facts.secrets)))
        with deadline(service, operation, limit, key) as scope:
            await _start_steps(service, operation, scope)


@asynccontextmanager
async def cleaning_up(service: InstanceState, operation: Operation) -> AsyncGenerator[None]:
    """Clean up when the steps in the block fail or are cancelled by a later request."""
    try:
        yield
    except DependencyError:
        raise  # it waits, and starts automatically when the dependency is ready
    except OstlerError as error:
        await clean_up(service, operation, error)
        raise
    except anyio.get_cancelled_exc_class():
        if operation.is_cancelled:
            with anyio.CancelScope(shield=True):
                await clean_up(service, operation, _cancelled(service, operation, "start"))
        raise


def _cancelled(service: InstanceState, operation: Operation, what: str) -> OperationError:
    steps = (f"service_start {service.name}, if it is still wanted",)
    return OperationError(f"{what} cancelled: {operation.cancel_reason}", next_actions=steps)


async def _start_steps(service: InstanceState, operation: Operation, scope: anyio.CancelScope) -> None:
    tools = service.service_class.tools
    for index, spec in enumerate(tools.pre_start):
        await operation.report_progress(0, None, f"calling {spec.tool}")
        await run_call(service, operation, _call_of(service, operation, f"preStart[{index}]", spec, scope))
    await call_start(service, operation, scope)
    await come_up(service, operation, scope)


async def call_start(service: InstanceState, operation: Operation, scope: anyio.CancelScope) -> None:
    """Call the start tool, and keep what it says."""
    tools = service.service_class.tools
    call = _call_of(service, operation, "start", tools.start, scope)
    await operation.report_progress(0, None, f"calling {call.tool}")
    try:
        outputs = await _start_outputs(service, operation, call)
    except OutputsMissingError as error:
        _keep_what_stops_it(service, error)
        raise
    starts = service.record.starts + 1
    service.set_record(step_outputs={"start": outputs}, outputs={}, may_have_moved=False, starts=starts)
    service.take_handles()
    service.pin_stop_plan()
    if tools.ready is not None or tools.post_start:
        await service.commit(operation)


async def _start_outputs(service: InstanceState, operation: Operation, call: PlannedCall) -> JsonObject:
    """Call the start tool; return its outputs, or what `find` knows of them when a restart's answer was lost."""
    while True:
        try:
            return (await run_call(service, operation, call, critical=True)).outputs
        except ConnectionLostError as loss:
            if await _is_found_after(loss, service, operation):
                with suppress(TemplateError):
                    service.pin_stop_plan()
                    return service.record.step_outputs.get("start", {})
                raise  # it exists, and without the answer it could not be stopped
            service.note(f"its start had no answer: starting it again ({loss.summary})")
            await anyio.sleep(SERVER_AWAY_PAUSE)


async def _is_found_after(loss: ConnectionLostError, service: InstanceState, operation: Operation) -> bool:
    """Whether a restart whose server died has done its work, as found out when the server is back.

    False: it has not, or the class allows repeating its start (`onUnknown: retry`).

    Raises:
        ConnectionLostError: `loss`, if that is unknown. A requested start fails with it, and is cleaned up.
    """
    tools, server = service.runtime.tools, service.service_class.tools.start.server
    outlives = tools is not None and tools.server_status(server).outlives  # then the call may still be under way
    if operation.kind is not OperationKind.RESTART or loss.delivery is not Delivery.AMBIGUOUS or outlives:
        raise loss
    found = await exists_when_back(service)
    if found is not None:
        return found
    if service.service_class.config.on_unknown != "retry" or operation.step != "start":
        raise loss
    return False


def _call_of(
    service: InstanceState, operation: Operation, step: str, spec: ToolCallSpec, scope: anyio.CancelScope
) -> PlannedCall:
    """Return the call of `step`; the first call of a new service was rendered before, to be stored."""
    call, operation.planned = operation.planned, None
    if call is None or call.step != step:
        return planned_call(service, step, spec, remaining(scope))
    return call if spec.timeout is not None else replace(call, timeout=remaining(scope))


def _keep_what_stops_it(service: InstanceState, error: OutputsMissingError) -> None:
    """Pin the stop of what was started, if the outputs that were found are enough to call it."""
    service.set_record(step_outputs={"start": dict(error.taken)})
    service.take_handles()
    with suppress(TemplateError):
        service.pin_stop_plan()


async def come_up(service: InstanceState, operation: Operation, scope: anyio.CancelScope) -> None:
    """Carry out the steps from the answer of the start or restart tool until the service runs."""
    tools = service.service_class.tools
    if tools.ready is not None:
        await _await_ready(service, operation, scope)
    for index, spec in enumerate(tools.post_start):
        step = f"postStart[{index}]"
        if step not in operation.done_steps:
            await run_call(service, operation, planned_call(service, step, spec, remaining(scope)))
    operation.step = "outputs"
    wanted = service.service_class.config.outputs
    outputs = render_outputs(wanted, service.template_names()) if wanted else {}
    service.take_outputs(outputs)
    service.set_record(held=False)
    service.forget_health()
    service.set_vitals(gone=False)
    service.report(Transition.STARTED)
    if outputs:
        service.runtime.events.append(EventKind.OUTPUTS_CHANGED, service.name, f"outputs: {', '.join(sorted(outputs))}")
    operation.message = operation.message or f"service {service.name} is running"
    await operation.report_progress(1, 1, operation.message)


async def _await_ready(service: InstanceState, operation: Operation, scope: anyio.CancelScope) -> None:
    spec = service.service_class.tools.ready
    assert spec is not None
    operation.step = "ready"
    attempts = 0
    operation.last_miss = ""
    while True:
        attempts += 1
        call = planned_call(service, "ready", spec, min(remaining(scope), spec.timeout or 10.0))
        try:
            answer = await passed(service, operation, call)
        except ExtractionError as miss:  # what makes it ready is not in the answer yet
            answer, operation.last_miss = None, miss.summary
        if answer is not None:
            held = service.record.step_outputs
            service.set_record(step_outputs={**held, "ready": answer.outputs})
            return
        await operation.report_progress(attempts, None, f"waiting until ready: {operation.last_miss}"[:300])
        await anyio.sleep(spec.interval)


async def clean_up(service: InstanceState, operation: Operation, error: OstlerError) -> None:
    """Run the stop plan after a failed start, and add the outcome to `error`.

    An exit of the server waits a while for it. The rest is left to the next run, which sees from the recorded calls
    that the start failed.
    """
    with operation.shelter(shield=True, cleans_up=True) as shelter:
        if operation.is_interrupted:
            shelter.cancel()
            await anyio.lowlevel.checkpoint()
        if not operation.may_have_started():
            service.forget_start(is_proven=service.record.start_key == operation.id)  # or an earlier one had the key
            _advise(service, error)
            service.report(Transition.START_FAILED, reason=START_FAILED, error=error)
            return
        is_lost = isinstance(error, ConnectionLostError)
        if is_lost:
            await await_late_start(service, operation)
        unclear = any(call.outcome.is_unclear for call in operation.calls("start"))
        cleaned = await compensate(service, operation, may_act_yet=unclear and not is_lost)
        error.add(cleaned.what)
        again = f"service_start {service.name} calls its start tool again"
        if cleaned.reason == START_FAILED:
            service.forget_start(is_proven=cleaned.is_proven)
            if cleaned.is_proven and CHECK_FIRST in error.next_actions:
                others = (each for each in error.next_actions if each != CHECK_FIRST)
                error.next_actions = (*others, start_again(service.name))
        else:
            if cleaned.reason in UNSEEN_STARTS:
                error.add("it is looked for again automatically")
            error.next_actions = (
                *error.next_actions,
                *((f"{again} (onUnknown: retry)",) if may_start_again(service) else ()),
                f"service_stop {service.name} tries the cleanup again",
                f"service_delete {service.name} with abandon=true forgets it, once you have checked",
            )
            service.set_record(held=True)
        _advise(service, error)
        service.report(Transition.START_FAILED, reason=cleaned.reason, error=error)
        if is_in_doubt(service):
            error.next_actions = (*error.next_actions, f"{again}, under the same key")
        operation.message = cleaned.what
    if not shelter.cancelled_caught:
        return
    if not operation.is_interrupted:
        service.set_record(held=True)
        service.report(Transition.START_FAILED, reason=UNKNOWN_OUTCOME, error=error)
    await anyio.lowlevel.checkpoint()  # the operation ends here, and stays open for the next run


def _advise(service: InstanceState, error: OstlerError) -> None:
    """Give `error` a next step, if neither it nor the tool that it quotes has one."""
    if not error.next_actions and "Next: " not in error.summary:
        error.next_actions = (start_again(service.name),)


async def restart(service: InstanceState, operation: Operation) -> None:
    """Restart with the class's restart tool if the service is up; else stop what there is, and start."""
    refuse_unreadable(service)
    spec = service.service_class.tools.restart
    if spec is None and service.state.is_up and not operation.reason.startswith(POLICY_REASON):
        await refuse_failing_start(service)  # the policy ends in `failed`, which must not run on
    what = "was restarted and is running"
    service.set_record(desired=DesiredState.RUNNING)
    if spec is None or not service.state.is_up:
        ends = anyio.current_time() + service.service_class.config.timeout.restart_in_all
        whole = anyio.CancelScope(deadline=ends)  # not entered: each part ends with its own limit
        if service.record.has_leftover or service.state.is_up:
            with limited_by(whole):
                await take_down(service, operation)
        take_start_key(service, operation)
        service.report(Transition.START_REQUESTED)
        await bring_up(service, operation, restart=whole)
    elif not await _restart_with_tool(service, operation, spec):
        what = "is running, but whether it was restarted is unknown: the server that drives it died meanwhile"
    service.set_record(restarts=service.record.restarts + 1)
    operation.message = f"service {service.name} {what}"


def _take_renewed(service: InstanceState, outputs: JsonObject) -> None:
    """Keep the outputs of the restart tool; they replace those of the start tool with the same names."""
    held = service.record.step_outputs
    renewed = {name: value for name, value in outputs.items() if name in service.service_class.tools.start.outputs}
    made = {**held, "start": {**held.get("start", {}), **renewed}, "restart": outputs}
    service.set_record(step_outputs=made, may_have_moved=False)
    service.take_handles()


async def _called_restart(service: InstanceState, operation: Operation, call: PlannedCall) -> bool | None:
    """Whether the restart tool answered; False: its server died, and the service survived; None: both are gone."""
    try:
        answer = await run_call(service, operation, call, critical=True)
    except ConnectionLostError as loss:
        survived = await _is_found_after(loss, service, operation)
        service.note(f"its restart had no answer, and it is {'there' if survived else 'gone'}: {loss.summary}")
        return False if survived else None
    _take_renewed(service, answer.outputs)
    return True


async def _restart_with_tool(service: InstanceState, operation: Operation, spec: ToolCallSpec) -> bool:
    """Bring the service up again; whether the restart itself is certain."""
    tools = service.service_class.tools
    service.set_record(start_key=operation.id, start_unsettled=True)  # each restart is another one to its tool
    limit = service.service_class.config.timeout.restart_in_all
    service.report(Transition.RESTART_REQUESTED)
    try:
        refuse_missing_tools(service)
        service.set_record(may_have_moved=bool(renewed_names(service.service_class)))
        with deadline(service, operation, limit, "restart") as scope:
            call = planned_call(service, "restart", spec, remaining(scope))
            acted = await _called_restart(service, operation, call)
            if acted is None:
                service.forget_start()
                take_start_key(service, operation)
                service.set_health(HealthStatus.UNKNOWN)
                await _start_steps(service, operation, scope)
            else:
                service.pin_stop_plan()
                if tools.ready is not None or tools.post_start:
                    await service.commit(operation)
                await come_up(service, operation, scope)
    except OstlerError as error:
        if operation.may_have_started():
            await clean_up(service, operation, error)
        else:  # the restart tool was never reached: the service runs on as it was
            service.set_record(may_have_moved=False)
            service.report(Transition.STARTED)
            service.set_health(service.health, error=error)
        raise
    except anyio.get_cancelled_exc_class():
        if operation.is_cancelled:
            with anyio.CancelScope(shield=True):
                await clean_up(service, operation, _cancelled(service, operation, "restart"))
        raise
    return acted is not False
