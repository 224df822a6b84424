"""What every procedure uses: rendered calls and deadlines."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import cast

import anyio

from ostler.engine.call_context import limited_by
from ostler.engine.instances.operations import Operation
from ostler.engine.instances.reasons import START_LATE
from ostler.engine.instances.state import InstanceState
from ostler.model.durations import format_duration
from ostler.model.errors import ClassUnavailableError, OperationError, OperationTimeoutError, OstlerError, TemplateError
from ostler.model.manifest import ToolCallSpec
from ostler.model.records import OperationRecord, PlannedCall
from ostler.model.states import ServiceState
from ostler.rules.calls.rendering import logs_call, plan_call
from ostler.rules.templates.template import certain_failure, optional_names, referenced_names

LOOK_PAUSE = 2.0
"""Seconds between two looks, while a call that was cut off may still be under way."""

_FORESIGHT_SECONDS = 2.0
"""How long may be spent on finding out whether a start would fail, before what runs is stopped for it."""


def planned_call(
    service: InstanceState,
    step: str,
    spec: ToolCallSpec,
    timeout: float,
    *,
    about_service: Mapping[str, object] | None = None,
) -> PlannedCall:
    """Return the call of one step, rendered.

    Args:
        service: whose.
        step: `start`, `ready` …
        spec: the class's tool for it.
        timeout: seconds, if the class says nothing.
        about_service: what templates may name below `service` besides what is always there.

    Raises:
        TemplateError: it names what is not known.
    """
    names = service.template_names()
    if about_service is not None:
        names["service"] = {**cast("Mapping[str, object]", names["service"]), **about_service}
    try:
        return plan_call(step, spec, names, timeout=timeout)
    except TemplateError as error:
        raise error.located(service=service.name, step=step, tool=spec.tool) from error.__cause__


@contextmanager
def deadline(service: InstanceState, operation: Operation, seconds: float, key: str) -> Generator[anyio.CancelScope]:
    """Give the block `seconds`, which the class sets as `timeout.<key>`.

    Raises:
        OperationTimeoutError: they were not enough.
    """
    with anyio.move_on_after(seconds) as scope, limited_by(scope):
        yield scope
    if scope.cancelled_caught:
        what = f"{operation.kind.value} took longer than {format_duration(seconds)} (timeout.{key})"
        if operation.step == "ready" and operation.last_miss:
            what += f"; the last ready check said: {operation.last_miss}"
        actions = [f"raise timeout.{key} in the class if it is slow"]
        if logs_call(service.service_class) is not None:
            actions.insert(0, f"service_logs {service.name} shows what it printed")
        if operation.step == "stopped" and operation.last_miss:
            what += f"; its stop tool answered, but it is still there: {operation.last_miss}"
            actions.insert(0, f"service_stop {service.name} tries again")
        raise OperationTimeoutError(what, service=service.name, step=operation.step, next_actions=actions)


def under_way_until(service: InstanceState, old: OperationRecord) -> datetime | None:
    """Return until when a call that was cut off may still act elsewhere; None when none can."""
    tools = service.runtime.tools
    unclear = [call for call in old.calls if call.outcome.is_unclear]
    if not unclear:
        return None
    call = unclear[-1]
    if tools is not None and not tools.server_status(call.tool.partition("/")[0]).outlives:
        return None
    limits = service.service_class.config.timeout
    seconds = {"stop": limits.delete, "restart": limits.restart_in_all}.get(call.step, limits.create)
    return call.sent_at + timedelta(seconds=seconds)


def take_start_key(service: InstanceState, operation: Operation) -> None:
    """Set the key of the next start: a new one only if what the last start did is known to be gone.

    That something was gone before says nothing of what this start leaves.
    """
    service.set_vitals(gone=False)
    is_open = service.record.start_unsettled and service.record.start_key
    service.set_record(start_key=service.record.start_key if is_open else operation.id, start_unsettled=True)


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


def takes_start_key(service: InstanceState) -> bool:
    """Whether its start tool is given the key by which a repeated start is known."""
    args = service.service_class.tools.start.args
    return ("service", "startKey") in referenced_names(args) | optional_names(args)


def remaining(scope: anyio.CancelScope) -> float:
    """Return the seconds left in `scope`."""
    return max(scope.deadline - anyio.current_time(), 0.001)


def refuse_unreadable(service: InstanceState) -> None:
    """Refuse to start or restart a service whose class cannot be read: only its stop plan is known."""
    error = service.vitals.unreadable
    if error is not None:
        raise OperationError(error.summary, service=service.name, next_actions=error.next_actions)


def check_tools(service: InstanceState) -> None:
    """Refuse the operation, before anything is sent, if a tool is known to be missing."""
    refuse_unreadable(service)
    tools = service.runtime.tools
    if tools is None:
        return
    missing: list[str] = []
    for tool in service.service_class.required_tools():
        if tools.find_tool(tool) is None:
            status = tools.server_status(tool.partition("/")[0])
            if not status.known or status.tools_known:
                missing.append(tool)
    if missing:
        raise ClassUnavailableError(service.service_class.name, missing, service=service.name)


def refuse_unstoppable(service: InstanceState) -> None:
    """Refuse the operation, before anything is sent, if the stop call could never be made."""
    stop = service.service_class.tools.stop
    if why := certain_failure(stop.args):
        raise TemplateError(
            f"it could not be stopped: {why}",
            service=service.name,
            step="stop",
            tool=stop.tool,
            next_actions=("correct the args of the class's stop tool",),
        )


def _names_dependencies(spec: ToolCallSpec) -> bool:
    named = referenced_names(spec.args) | optional_names(spec.args)
    return any(path[:1] == ("dependencies",) for path in named)


async def refuse_failing_start(service: InstanceState) -> None:
    """Refuse a restart or a replacement, before what runs is stopped for it, if its start is known to fail."""
    tools = service.service_class.tools
    try:
        check_tools(service)
        refuse_unstoppable(service)
        if tools.pre_start:  # they may make what is missing
            return
        call = planned_call(service, "start", tools.start, 0)
        with anyio.move_on_after(_FORESIGHT_SECONDS):
            if (error := await service.runtime.foresight(call.tool, call.args)) is not None:
                raise error.located(service=service.name, step="start", tool=call.tool)
    except OstlerError as error:
        if isinstance(error, TemplateError) and _names_dependencies(tools.start):
            return  # they may say only then what it names
        error.add("so it was not stopped, and runs on")
        raise
