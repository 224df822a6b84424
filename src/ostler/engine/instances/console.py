"""What a service prints, and what is typed into it: its class's `logs` and `sendInput` tools."""

from typing import TYPE_CHECKING, cast

from msgspec.structs import replace

from ostler.engine.instances.calling import probe
from ostler.engine.instances.state import InstanceState
from ostler.engine.instances.steps import planned_call
from ostler.model.errors import OperationError, TemplateError, ToolFailedError
from ostler.model.events import EventKind
from ostler.model.states import ServiceState
from ostler.rules.calls.rendering import input_call, logs_call
from ostler.rules.templates.template import optional_names, referenced_names
from ostler.rules.text.log_pages import LogPage, LogRange, page_of
from ostler.rules.text.patterns import line_filter

if TYPE_CHECKING:
    from ostler.model.json import JsonObject, JsonValue

_INPUT = "sendInput"


def _no_tool(service: InstanceState, step: str, what: str) -> OperationError:
    """Return the error of a class without a tool for `step`: nothing can do `what` with the service."""
    return OperationError(
        f"class {service.record.class_name!r} has no {step!r} tool, so nothing can {what} service {service.name!r}",
        service=service.name,
        step=step,
        next_actions=(f"add lifecycleTools.{step} to the class",),
    )


async def read_logs(service: InstanceState, wanted: LogRange) -> LogPage:
    """Return the lines that are wanted of what the class's `logs` tool shows.

    The tool's arguments may ask for the part that is wanted, by `service.logs`, and its answer may say where to read
    on, by the output `cursor`; what it leaves out is done here. If the tool fails, a service that was never there has
    no lines.

    Raises:
        OperationError: the class has none.
        ArgumentError: the search or the cursor means nothing.
        OstlerError: the tool failed.
    """
    spec = logs_call(service.service_class)
    if spec is None:
        raise _no_tool(service, "logs", "show the logs of")
    line_filter(wanted.pattern, "search")
    used = referenced_names(spec.args) | optional_names(spec.args)
    if wanted.newer_than is not None and ("service", "logs", "newerThan") not in used:
        raise OperationError(
            f"the lines that {spec.tool} shows of service {service.name!r} have no times that are known",
            service=service.name,
            step="logs",
            tool=spec.tool,
            next_actions=("leave 'since' out", "or let the class's logs tool use service.logs.newerThan"),
        )
    asked = wanted.facts(tool_searches=("service", "logs", "search") in used)
    try:
        answer = await probe(service, planned_call(service, "logs", spec, 10.0, about_service={"logs": asked}))
    except (TemplateError, ToolFailedError):
        if service.record.starts or service.may_be_there or service.state is ServiceState.FAILED:
            raise
        return page_of((), wanted, source=spec.tool)  # nothing of it exists yet, and so no log
    value: JsonValue = answer.response.value
    text = answer.response.text
    if isinstance(value, dict) and isinstance(lines := cast("JsonObject", value).get("lines"), list):
        text = "\n".join(map(str, cast("list[JsonValue]", lines)))
    tool_cursor = answer.outputs.get("cursor")
    page = page_of(service.mask_text(text).splitlines(), wanted, source=spec.tool, tool_cursor=tool_cursor)
    return replace(page, truncated=page.truncated or answer.outputs.get("truncated") is True)


async def send_input(service: InstanceState, text: str, *, enter: bool) -> str:
    """Send `text`, with Enter after it if `enter`; return what the tool answered. An event has no more than its length.

    Raises:
        OperationError: the class has no tool for it, or the service does not run.
        OstlerError: the tool failed.
    """
    spec = input_call(service.service_class)
    if spec is None:
        raise _no_tool(service, _INPUT, "be sent to")
    if not service.state.is_up and service.state is not ServiceState.STARTING:
        raise OperationError(
            f"service {service.name!r} is {service.state.value}: nothing reads its input",
            service=service.name,
            step=_INPUT,
            next_actions=(f"service_start {service.name}",),
        )
    asked = {"input": {"text": text, "enter": enter}}
    answer = await probe(service, planned_call(service, _INPUT, spec, 10.0, about_service=asked))
    service.runtime.events.append(
        EventKind.TOOL_CALLED,
        service.name,
        f"{_INPUT}: {spec.tool} took {len(text)} characters",
        {"step": _INPUT, "tool": spec.tool, "characters": len(text)},
    )
    return service.mask_text(answer.response.text)
