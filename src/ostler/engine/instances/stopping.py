"""How a service is stopped and deleted: what follows from the outcome of its stop plan."""

import anyio

from ostler.engine.instances.calling import run_call
from ostler.engine.instances.compensation import doubt_about
from ostler.engine.instances.existence import SERVER_AWAY_PAUSE, advice_for
from ostler.engine.instances.operations import Operation
from ostler.engine.instances.reasons import POLICY_REASON, STOP_FAILED, STOP_INTERRUPTED, STOP_NOT_SENT
from ostler.engine.instances.state import InstanceState
from ostler.engine.instances.steps import deadline
from ostler.engine.instances.stop_plans import is_gone_all_the_same, run_known_plan
from ostler.engine.services.service import ServiceStatus
from ostler.engine.services.views import MANAGED_LABEL
from ostler.model.downstream_errors import ConnectionLostError, ServerUnavailableError
from ostler.model.errors import OstlerError, StoreError, ToolFailedError
from ostler.model.records import CallOutcome, CallRecord, OperationKind, PlannedCall
from ostler.model.states import DesiredState, Reachability, ServiceState, Transition


async def stop(service: InstanceState, operation: Operation) -> None:
    """Take the service down by its pinned plan."""
    if not service.may_be_there:
        operation.changed = service.is_wanted or service.state is not ServiceState.STOPPED
        operation.message = (
            f"service {service.name} is stopped" if operation.changed
            else f"service {service.name} is already stopped"
        )  # fmt: skip
        service.set_record(desired=DesiredState.STOPPED, missed_delete=False)
        if service.state is not ServiceState.STOPPED:
            service.report(Transition.STOP_REQUESTED)
            service.report(Transition.STOPPED)
        return
    await _take_down_for_good(service, operation)
    operation.message = operation.message or f"service {service.name} is stopped"


async def delete(service: InstanceState, operation: Operation) -> None:
    """Stop the service, delete what it keeps, and forget it; after a failure it stays, unless forced."""
    earlier = _delete_cut_off(service)
    may_be_there = service.may_be_there and earlier is None  # its delete call followed the stop
    if operation.asked.abandon or not may_be_there:
        service.set_record(desired=DesiredState.STOPPED, missed_stop=False, missed_delete=False)
    note = doubt_about(service)
    is_kept = False
    if operation.asked.abandon:
        note = _abandon(service)
    else:
        if may_be_there:
            try:
                await _take_down_for_good(service, operation)
                note = "" if operation.calls("stop") else note
            except OstlerError as error:
                note = _go_on_by_force(service, operation, error, "stopping it")
        is_done = earlier is not None and earlier.outcome is CallOutcome.ANSWERED
        is_kept = operation.asked.keep and not is_done
        if not (is_done or is_kept):
            try:
                await _delete_kept(service, operation)
            except OstlerError as error:
                note += _go_on_by_force(service, operation, error, "deleting what it keeps")
    if is_kept and operation.heir is not None:
        kept = service.record
        operation.heir.set_record(delete_plan=kept.delete_plan, delete_secrets=kept.delete_secrets)
    elif is_kept and service.record.delete_plan:
        operation.message = f"service {service.name} is stopped, and stays in the list with what it keeps"
        return
    service.set_vitals(removed=True)
    operation.message = f"service {service.name} was deleted{note}"


def _abandon(service: InstanceState) -> str:
    """Return in words what a service leaves behind that is forgotten without a stop."""
    note = ""
    if service.record.has_leftover:
        tool = service.record.stop_plan[-1].tool if service.record.stop_plan else "its stop tool"
        note = f" without stopping it: what it started may still be running ({tool} was not called)"
    if service.record.delete_plan:
        note += f"; what it keeps is left ({service.record.delete_plan[0].tool} was not called)"
    if note:
        service.note(f"abandoned{note}")
    return note


def _go_on_by_force(service: InstanceState, operation: Operation, error: OstlerError, what: str) -> str:
    """Return a remark about a step that failed, if the service is deleted by force.

    Raises:
        OstlerError: `error`, if it is not.
    """
    if not operation.asked.force:
        raise error
    note = f" although {what} failed: {error.summary}"
    service.note(f"deleted by force{note}")
    return note


def _delete_cut_off(service: InstanceState) -> CallRecord | None:
    """Return the last delete call of an earlier run that was cut off during a delete."""
    old = service.journal.interrupted
    calls = [call for call in old.calls if call.step == "delete"] if old is not None else []
    return calls[-1] if calls else None


async def _delete_kept(service: InstanceState, operation: Operation) -> None:
    """Call the class's delete tool, once the service is stopped.

    Raises:
        OstlerError: what the service keeps may still be there; it stays in the list, stopped.
    """
    for call in service.record.delete_plan:
        await operation.report_progress(0, None, f"calling {call.tool}")
        try:
            with deadline(service, operation, service.service_class.config.timeout.delete, "delete"):
                await _call_through_losses(service, operation, call)
        except OstlerError as error:
            if isinstance(error, ToolFailedError) and error.is_already_gone:
                service.note(f"the delete tool says that it was already gone (goneWhen): {error.summary}")
                continue
            if operation.asked.force:
                raise
            error.add(f"service {service.name!r} is stopped and stays in the list, with what it keeps")
            sent = (one.outcome is not CallOutcome.NOT_SENT for one in operation.calls("delete"))
            again = (f"service_delete {service.name} tries again",)
            if isinstance(error, ServerUnavailableError) and not any(sent):
                error.add("it is deleted automatically when the server is back")
                service.set_record(missed_stop=True, missed_delete=True)
            elif MANAGED_LABEL in service.record.labels:
                again += ("if the class is wrong: once it is corrected, 'ostler up' makes the service again with it",)
            else:
                again += ("a corrected class counts only for services created later: this call stays as it is",)
            error.next_actions = (
                *error.next_actions,
                *again,
                f"service_delete {service.name} with force=true forgets it and leaves what it keeps",
            )
            raise


async def _call_through_losses(service: InstanceState, operation: Operation, call: PlannedCall) -> None:
    """Make `call`; if its server dies meanwhile, repeat it when the server is back."""
    tools, server = service.runtime.tools, call.tool.partition("/")[0]
    was_lost = False
    while True:
        if not was_lost or tools is None or tools.server_status(server).connected:
            try:
                await run_call(service, operation, call)
            except ConnectionLostError as loss:
                was_lost = True
                service.note(f"the {call.step} had no answer: it is repeated when its server is back ({loss.summary})")
            else:
                return
        await anyio.sleep(SERVER_AWAY_PAUSE)


async def take_down(service: InstanceState, operation: Operation) -> None:
    """Stop the service by its pinned plan, or by one derived now.

    Raises:
        OstlerError: it could not be stopped, and may still be there.
    """
    was_gone, before, is_proven = service.vitals.gone, service.status, True
    if service.state is not ServiceState.STOPPED:
        service.report(Transition.STOP_REQUESTED)
    service.set_record(missed_stop=False, missed_delete=False)
    try:
        with deadline(service, operation, service.service_class.config.timeout.delete, "delete"):
            is_proven = await run_known_plan(
                service,
                operation,
                problem="what was started is not known, so it cannot be stopped",
                way_out=f"service_delete {service.name} with abandon=true forgets it",
                reason=before.reason,
            )
    except OstlerError as error:
        if await is_gone_all_the_same(service, error, was_gone=was_gone):
            service.note(f"the stop tool failed, but the service is gone: {error.summary}")
            operation.message = f"service {service.name} is stopped (it was already gone: {error.summary})"
        else:
            _say_stop_failed(service, operation, error, before)
            raise
    except anyio.get_cancelled_exc_class():
        if service.state is ServiceState.STOPPING and not operation.is_interrupted:
            service.report(Transition.STOP_FAILED, reason=STOP_INTERRUPTED)
        raise
    if not operation.took_over_start:
        service.forget_start(is_proven=is_proven)
    service.forget_health()
    if service.state is ServiceState.STOPPING:
        service.report(Transition.STOPPED)


async def _take_down_for_good(service: InstanceState, operation: Operation) -> None:
    """Stop the service, which is not wanted any more, unless the stop could not be recorded, and so was not sent.

    Raises:
        OstlerError: it could not be stopped.
    """
    before = service.record
    service.set_record(desired=DesiredState.STOPPED)
    try:
        await take_down(service, operation)
    except StoreError:
        if not operation.record.calls:
            service.set_record(
                desired=before.desired, missed_stop=before.missed_stop, missed_delete=before.missed_delete
            )
        raise


def _say_not_begun(service: InstanceState, before: ServiceStatus, error: OstlerError) -> None:
    """Restore the state of a service whose stop was not sent, since it could not be recorded or its server is away."""
    error.add(f"the stop tool of service {service.name!r} was not called")
    match before.state:
        case ServiceState.UNREACHABLE:
            service.report(Transition.STOP_NOT_SENT, reason=before.reason, error=error)
        case ServiceState.UNKNOWN:
            service.report(Transition.HELD, reason=before.reason, error=error)
        case state if state.is_up:
            service.report(Transition.STOP_NOT_BEGUN)
            service.set_health(before.health, error=error)
        case _:
            service.report(Transition.STOP_FAILED, reason=before.reason or STOP_FAILED, error=error)


def _say_stop_failed(service: InstanceState, operation: Operation, error: OstlerError, before: ServiceStatus) -> None:
    if isinstance(error, StoreError) and not operation.calls("stop") and service.state is ServiceState.STOPPING:
        _say_not_begun(service, before, error)
        return
    never_left = all(call.outcome is CallOutcome.NOT_SENT for call in operation.calls("stop"))
    is_missed = isinstance(error, ServerUnavailableError) and never_left and service.state is ServiceState.STOPPING
    by_policy = operation.reason.startswith(POLICY_REASON)  # the policy ends it in `failed`, to try again
    if is_missed and service.is_wanted and not by_policy:  # a restart
        service.set_reachability(Reachability.UNREACHABLE)
        _say_not_begun(service, before, error)
        error.next_actions = (*error.next_actions, f"service_restart {service.name} again when the server is back")
        return
    if is_missed and not service.is_wanted:
        is_delete = operation.kind is OperationKind.DELETE
        error.add(
            f"the stop was not sent, so service {service.name!r} may still run; it is "
            f"{'deleted' if is_delete else 'stopped'} automatically when the server is back"
        )
        service.set_record(missed_stop=True, missed_delete=is_delete)
        error.next_actions = (
            *error.next_actions,
            f"service_{operation.kind.value} {service.name} tries again",
            f"service_delete {service.name} with force=true forgets it, whether it is stopped or not"
            if is_delete
            else f"service_start {service.name} keeps it running after all",
        )
        service.set_reachability(Reachability.UNREACHABLE)
        service.report(Transition.STOP_NOT_SENT, reason=STOP_NOT_SENT, error=error)
        return
    if not error.next_actions:
        error.next_actions = (
            f"service_stop {service.name} tries again",
            f"service_delete {service.name} with force=true removes it even if stopping fails",
            *advice_for(service, error),
        )
    if service.state is ServiceState.STOPPING:
        service.set_record(held=service.record.held or not service.record.stop_plan)
        service.report(Transition.STOP_FAILED, reason=STOP_FAILED, error=error)
