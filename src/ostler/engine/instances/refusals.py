"""What is refused before anything is sent or stopped, because it is known to fail."""

import anyio

from ostler.engine.instances.state import InstanceState
from ostler.engine.instances.steps import planned_call
from ostler.model.errors import ClassUnavailableError, ConflictError, OperationError, OstlerError, TemplateError
from ostler.model.manifest import ToolCallSpec
from ostler.rules.templates.template import certain_failure, optional_names, referenced_names

_FORESIGHT_SECONDS = 2.0
"""How long may be spent on finding out whether a start would fail, before what runs is stopped for it."""


def refuse_unreadable(service: InstanceState) -> None:
    """Refuse to start or restart a service whose class cannot be read: only its stop plan is known."""
    error = service.vitals.unreadable
    if error is not None:
        raise OperationError(error.summary, service=service.name, next_actions=error.next_actions)


def refuse_missing_tools(service: InstanceState) -> None:
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


async def failure_of_start(service: InstanceState) -> OstlerError | None:
    """Return why a start of `service` is known to fail, without sending anything; None if that is not known."""
    tools = service.service_class.tools
    try:
        refuse_missing_tools(service)
        refuse_unstoppable(service)
        if tools.pre_start:  # they may make what is missing
            return None
        try:
            call = planned_call(service, "start", tools.start, 0)
        except TemplateError:
            if _names_dependencies(tools.start):  # they may say only then what it names
                return None
            raise
        with anyio.move_on_after(_FORESIGHT_SECONDS):
            if (error := await service.runtime.foresight(call.tool, call.args)) is not None:
                return error.located(service=service.name, step="start", tool=call.tool)
    except OstlerError as error:
        return error
    return None


async def refuse_failing_start(service: InstanceState) -> None:
    """Refuse a restart or a replacement, before what runs is stopped for it, if its start is known to fail."""
    error = await failure_of_start(service)
    if error is None or (isinstance(error, ConflictError) and error.holders):  # that service may be stopped first
        return
    error.add("so it was not stopped, and runs on")
    raise error
