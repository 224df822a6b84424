"""Sending text to what a service runs, through its class's `sendInput` tool."""

from ostler.engine.instances.calling import probe
from ostler.engine.instances.state import InstanceState
from ostler.engine.instances.steps import planned_call
from ostler.model.errors import OperationError
from ostler.model.events import EventKind
from ostler.model.states import ServiceState

STEP = "sendInput"


async def send_input(service: InstanceState, text: str, *, enter: bool) -> str:
    """Send `text`, with Enter after it if `enter`; return what the tool answered. An event has no more than its length.

    Raises:
        OperationError: the class has no tool for it, or the service does not run.
        OstlerError: the tool failed.
    """
    spec = service.service_class.tools.send_input
    if spec is None:
        raise OperationError(
            f"class {service.record.class_name!r} has no 'sendInput' tool, so nothing can be sent to service "
            f"{service.name!r}",
            service=service.name,
            step=STEP,
            next_actions=("add lifecycleTools.sendInput to the class",),
        )
    if not service.state.is_up and service.state is not ServiceState.STARTING:
        raise OperationError(
            f"service {service.name!r} is {service.state.value}: nothing reads its input",
            service=service.name,
            step=STEP,
            next_actions=(f"service_start {service.name}",),
        )
    asked = {"input": {"text": text, "enter": enter}}
    answer = await probe(service, planned_call(service, STEP, spec, 10.0, about_service=asked))
    service.runtime.events.append(
        EventKind.TOOL_CALLED,
        service.name,
        f"{STEP}: {spec.tool} took {len(text)} characters",
        {"step": STEP, "tool": spec.tool, "characters": len(text)},
    )
    return service.mask_text(answer.response.text)
