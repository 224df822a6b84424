"""Looking at a service through its class's tools: whether it exists, what it printed."""

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import anyio

from ostler.engine.instances.calling import judge, located, look, probe
from ostler.engine.instances.handles import is_replaced, renewed_names
from ostler.engine.instances.state import InstanceState
from ostler.engine.instances.steps import planned_call
from ostler.engine.instances.vanishing import proves_loss
from ostler.model.errors import OperationError, TemplateError, ToolFailedError
from ostler.model.manifest import ToolCallSpec
from ostler.model.responses import ToolResponse
from ostler.model.states import ServiceState
from ostler.rules.answers.expectations import evaluate_health_check_expectation
from ostler.rules.calls.rendering import expectation_of, logs_call
from ostler.rules.templates.template import optional_names, referenced_names
from ostler.rules.text.log_pages import LogPage, LogRange, page_of
from ostler.rules.text.patterns import line_filter

if TYPE_CHECKING:
    from ostler.model.json import JsonObject, JsonValue

FRESH = 2.0
"""Seconds that an answer for many services may be old when one of them is verified."""


async def is_alive(service: InstanceState, *, max_age: float = 0.0) -> bool | None:
    """Ask the status, healthCheck or find tool; None when the class has none of them.

    An answer that misses what is expected without proving that the service is gone counts as gone when it came as often
    in a row as the class's `failureThreshold`; never while it says that the service is on its way in or out.

    Args:
        service: what is looked for.
        max_age: seconds that an answer for many services may be old.

    Raises:
        DownstreamError: the driving server could not be asked.
        ToolFailedError: the answer does not show it yet.
    """
    if await lost_to_rival(service, max_age=max_age) is not None:
        return False
    tools = service.service_class.tools
    misses: list[ToolFailedError] = []
    for step, spec in (("status", tools.status), ("healthCheck", tools.health_check)):
        try:
            if spec is not None and (shown := await _shown_by(service, step, spec, max_age)) is not None:
                return shown
        except ToolFailedError as miss:
            misses.append(miss)
    try:
        found = await find(service, max_age=max_age)
    except ToolFailedError as miss:
        found = None
        misses.append(miss)
    if found is None and misses:
        return _is_believed(service, next((miss for miss in misses if not miss.is_refusal), misses[0]))
    return found


async def _shown_by(service: InstanceState, step: str, spec: ToolCallSpec, max_age: float) -> bool | None:
    """Return whether `spec` shows that the service exists; None: it cannot be asked.

    Raises:
        ToolFailedError: its answer does not prove anything.
    """
    try:
        call = planned_call(service, step, spec, 10.0)
    except TemplateError:
        return None
    try:
        response = await look(service, call, not_before=anyio.current_time() - max_age)
        if completes(service, spec, response):
            service.set_completed()
            return False
        judge(service, call, response)
    except ToolFailedError as miss:
        if miss.is_refusal:
            raise located(service, miss, call) from None
        if not proves_loss(service, spec):
            return None
        service.set_vitals(evidence=service.mask_text(miss.summary), checked_at=service.runtime.clock.now())
        if not miss.is_absence:
            raise located(service, miss, call) from None
        return False
    return True


def _is_believed(service: InstanceState, miss: ToolFailedError) -> bool:
    """Return False, as the service is gone, once it was missed often enough.

    Raises:
        ToolFailedError: `miss`, which does not show that yet.
    """
    if miss.is_refusal:
        raise miss
    service.set_vitals(failures=service.vitals.failures + 1)
    threshold = service.service_class.config.health_rules.failure_threshold
    if miss.is_coming or miss.is_leaving or service.vitals.failures < threshold:
        raise miss
    return False


async def lost_to_rival(service: InstanceState, *, max_age: float = 0.0) -> ToolFailedError | None:
    """Return why the service is gone when another one was given its identifiers; `find`, by the name, knows best.

    Args:
        service: what is looked for.
        max_age: seconds that an answer for many services may be old.

    Raises:
        OstlerError: the find tool could not be asked, or did not say.
    """
    rival = service.rival()
    if rival is None:
        return None
    found = await find(service, max_age=max_age)
    if found or (found is None and not is_replaced(service.record.giver, rival)):
        return None
    return _lost_to(service, rival.name, looked=found is False)


def _lost_to(service: InstanceState, rival: str, *, looked: bool) -> ToolFailedError:
    """Return what to say when the service is gone, as its identifiers are `rival`'s now.

    With `looked`, its `find` tool has said so; else it is the process that is another one.
    """
    server = service.service_class.tools.stop.server
    other = f" {rival!r}" if rival else ""
    why = (
        f"its find tool does not find it, and server {server!r} has given its id to service{other}"
        if looked
        else f"the process of server {server!r} that ran it was replaced, and the new one has given its id to "
        f"service{other}"
    )
    gone = ToolFailedError(f"service {service.name!r} is gone: {why}", service=service.name)
    gone.is_absence = True
    return gone


def completes(service: InstanceState, spec: ToolCallSpec, response: ToolResponse) -> bool:
    """Whether an answer of status or healthCheck says that the service has done its work and ended well."""
    completed = service.service_class.config.completed
    if completed is None:
        return False
    judged = planned_call(service, "completed", spec.model_copy(update={"expect": completed, "expect_not": None}), 1.0)
    return evaluate_health_check_expectation(response, *expectation_of(judged)).passed


async def find(service: InstanceState, *, max_age: float = 0.0) -> bool | None:
    """Look the service up with its `find` tool; True: there (its outputs are taken), False: not, None: no such tool.

    Args:
        service: what is looked for.
        max_age: seconds that an answer for many services may be old.

    Raises:
        OstlerError: the tool could not be asked, or did not say.
    """
    spec = service.service_class.tools.find
    if spec is None:
        return None
    try:
        answer = await probe(
            service, planned_call(service, "find", spec, 10.0), not_before=anyio.current_time() - max_age
        )
    except ToolFailedError as miss:
        if miss.is_refusal or miss.is_unclear or miss.is_coming or miss.is_leaving:
            raise
        return False
    start_outputs = service.service_class.tools.start.outputs
    taken = {key: value for key, value in answer.outputs.items() if key in start_outputs}
    held = dict(service.record.step_outputs)
    held["start"] = {**held.get("start", {}), **taken}
    held["find"] = answer.outputs
    service.set_record(step_outputs=held)
    if renewed_names(service.service_class) <= taken.keys():
        service.set_record(may_have_moved=False)
    service.take_handles()
    return True


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
        raise OperationError(
            f"class {service.record.class_name!r} has no 'logs' tool, so nothing can show the logs of "
            f"service {service.name!r}",
            service=service.name,
            step="logs",
            next_actions=("add lifecycleTools.logs to the class",),
        )
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
