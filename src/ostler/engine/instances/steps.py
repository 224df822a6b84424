"""The steps of an operation: their rendered calls, the time that they have, and the key of a start."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import cast

import anyio

from ostler.engine.call_context import limited_by
from ostler.engine.instances.operations import Operation
from ostler.engine.instances.state import InstanceState
from ostler.model.durations import format_duration
from ostler.model.errors import OperationTimeoutError, TemplateError
from ostler.model.manifest import ToolCallSpec
from ostler.model.records import OperationRecord, PlannedCall
from ostler.rules.calls.rendering import logs_call, plan_call
from ostler.rules.templates.template import optional_names, referenced_names

LOOK_PAUSE = 2.0
"""Seconds between two looks, while a call that was cut off may still be under way."""


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
        tool = calls[-1].tool if (calls := operation.calls(operation.step)) else None
        raise OperationTimeoutError(what, service=service.name, step=operation.step, tool=tool, next_actions=actions)


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


def remaining(scope: anyio.CancelScope) -> float:
    """Return the seconds left in `scope`."""
    return max(scope.deadline - anyio.current_time(), 0.001)


def take_start_key(service: InstanceState, operation: Operation) -> None:
    """Set the key of the next start: a new one only if what the last start did is known to be gone.

    That something was gone before says nothing of what this start leaves.
    """
    service.set_vitals(gone=False)
    is_open = service.record.start_unsettled and service.record.start_key
    service.set_record(start_key=service.record.start_key if is_open else operation.id, start_unsettled=True)


def takes_start_key(service: InstanceState) -> bool:
    """Whether its start tool is given the key by which a repeated start is known."""
    args = service.service_class.tools.start.args
    return ("service", "startKey") in referenced_names(args) | optional_names(args)
