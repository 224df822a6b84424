"""Whether a stopped service is gone: a stop tool may answer before that, or fail because it already was."""

from collections.abc import Iterator

import anyio

from ostler.engine.instances.calling import passed, probe
from ostler.engine.instances.handles import goes_by_renewed
from ostler.engine.instances.operations import Operation
from ostler.engine.instances.state import InstanceState
from ostler.engine.instances.steps import planned_call
from ostler.model.errors import DownstreamError, OstlerError, ToolFailedError
from ostler.model.manifest import ServiceClass, ToolCallSpec
from ostler.model.tool_names import PROCESS_SERVER

_LOOK_TIME = 10.0
"""Seconds that one look may take at most."""

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 1.0

_BLIND_LOOKS = 3
"""Looks without an answer after which the stop tool's own word is taken."""


async def await_gone(service: InstanceState, operation: Operation) -> None:
    """Return when what was stopped is gone, as far as the class's tools can show; the caller sets the deadline.

    The `stopped` check decides, else `status` and `find`: as long as one of them finds the service, or says that it is
    on its way out, it is there.
    """
    spec = service.service_class.tools.stopped
    operation.last_miss = ""
    if spec is not None:
        await _await_stopped(service, operation, spec, spec.interval)
        return
    if service.service_class.tools.stop.server == PROCESS_SERVER:
        return  # its stop tool answers when the process is gone
    pause, blind = _FIRST_PAUSE, 0
    while service.rival() is None:  # else its identifiers are another service's by now, and so is what they show
        is_there, said = await _still_there(service)
        if is_there is False:
            return
        blind = blind + 1 if is_there is None else 0
        if blind >= _BLIND_LOOKS:
            service.note(f"whether it is gone could not be seen, so its stop tool is taken at its word: {said}")
            return
        operation.step, operation.last_miss = "stopped", said
        await anyio.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


async def _await_stopped(service: InstanceState, operation: Operation, spec: ToolCallSpec, interval: float) -> None:
    while service.rival() is None:
        operation.step = "stopped"
        if await passed(service, operation, planned_call(service, "stopped", spec, _LOOK_TIME)) is not None:
            return
        await anyio.sleep(interval)


async def _still_there(service: InstanceState) -> tuple[bool | None, str]:
    """Return (whether it exists, what said so); None: the tool that could show it did not answer."""
    for step, spec in _witnesses(service):
        try:
            await probe(service, planned_call(service, step, spec, _LOOK_TIME))
        except ToolFailedError as miss:
            if miss.is_leaving or miss.is_coming:
                return True, miss.summary
            if miss.is_out_of_reach or miss.is_unclear:
                return None, miss.summary
            if miss.is_refusal or not proves_loss(service, spec):
                continue
            return False, ""
        except DownstreamError as error:
            return None, error.summary
        except OstlerError:
            continue  # its templates name what is not known any more
        return True, f"the {step} tool still finds it"
    return False, ""


async def is_there(service: InstanceState) -> bool | None:
    """Whether `status`, `find` or, where it passes, `healthCheck` finds the service; None: none can show it.

    Raises:
        DownstreamError: they could not be asked.
    """
    for step, spec in _witnesses(service):
        try:
            await probe(service, planned_call(service, step, spec, _LOOK_TIME))
        except ToolFailedError as miss:
            is_there = miss.is_leaving or miss.is_coming
            if miss.is_refusal or miss.is_unclear or not (is_there or proves_loss(service, spec)):
                continue
            return is_there
        except DownstreamError:
            raise
        except OstlerError:
            continue
        return True
    if (spec := service.service_class.tools.health_check) is not None:
        try:
            await probe(service, planned_call(service, "healthCheck", spec, _LOOK_TIME))
        except DownstreamError:
            raise
        except OstlerError:
            return None
        return True
    return None


async def is_gone(service: InstanceState) -> bool:
    """Whether, after a failed stop, an answer proves that nothing is there."""
    looks = [*_witnesses(service)]
    if service.service_class.tools.health_check is not None:
        looks.append(("healthCheck", service.service_class.tools.health_check))
    for step, spec in looks:
        if not can_miss(spec) or not proves_loss(service, spec):
            continue
        with anyio.CancelScope(shield=True), anyio.move_on_after(5.0):
            try:
                await probe(service, planned_call(service, step, spec, 5.0))
            except ToolFailedError as miss:
                if miss.is_refusal or miss.is_unclear or miss.is_leaving or miss.is_coming:
                    continue
                return True
            except OstlerError:
                continue
            return False
    return False


def can_miss(spec: ToolCallSpec) -> bool:
    """Whether an answer of `spec` can show that the service is gone: it has an expectation to check against."""
    return spec.expect is not None or spec.expect_not is not None or spec.batch is not None


def can_be_missed(service_class: ServiceClass) -> bool:
    """Whether a tool of the class can show that a service is gone."""
    tools = service_class.tools
    looks = (tools.status, tools.find, tools.health_check)
    return any(spec is not None and can_miss(spec) for spec in looks) or tools.find is not None


def proves_loss(service: InstanceState, spec: ToolCallSpec) -> bool:
    """Whether the service is gone if `spec` does not find it.

    It does not if `spec` uses an id, and a restart tool whose answer was lost may have changed that.
    """
    return not (service.record.may_have_moved and goes_by_renewed(service.service_class, spec))


def _witnesses(service: InstanceState) -> Iterator[tuple[str, ToolCallSpec]]:
    """Yield the tools that can show whether the service exists: `find`, and `status` if its answer can miss."""
    tools = service.service_class.tools
    if tools.status is not None and can_miss(tools.status):
        yield "status", tools.status
    if tools.find is not None:
        yield "find", tools.find


def advice_for(service: InstanceState, error: OstlerError) -> tuple[str, ...]:
    """Return what to write into the class if only the text of a failed stop says that the service is gone."""
    if not isinstance(error, ToolFailedError) or not error.is_error:
        return ()
    tools = service.service_class.tools
    if any(can_miss(spec) for _, spec in _witnesses(service)):
        return ()
    lines = ["stop: {goneWhen: {contains: …}} with the words of this failure"]
    if tools.status is not None:
        lines.append("status: {expect: {success: true}}")
    elif tools.find is not None:
        lines.append("find: {expect: {success: true}}")
    return (
        f"if it means that nothing is there any more, say so in the class, under lifecycleTools: {' or '.join(lines)}",
    )
