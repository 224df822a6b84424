"""Whether a service exists, as far as the tools of its class show it.

After a stop tool has answered, any answer that does not find the service counts as its absence. At other times, only
that of `find` does, and one of `status` or `healthCheck` that proves it (`ToolFailedError.is_absence`).
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress

import anyio
from msgspec import Struct

from ostler.engine.instances.calling import look, passed, probe
from ostler.engine.instances.handles import goes_by_renewed, is_replaced, renewed_names
from ostler.engine.instances.judging import judge, located
from ostler.engine.instances.operations import Operation
from ostler.engine.instances.state import InstanceState
from ostler.engine.instances.steps import LOOK_PAUSE, planned_call
from ostler.model.downstream_errors import (
    BadResponseError,
    ConnectionLostError,
    DownstreamError,
    ServerUnavailableError,
    ToolTimeoutError,
)
from ostler.model.errors import OstlerError, TemplateError, ToolFailedError
from ostler.model.manifest import ServiceClass, ToolCallSpec
from ostler.model.responses import ToolResponse
from ostler.model.tool_names import PROCESS_SERVER
from ostler.rules.answers.expectations import evaluate_health_check_expectation
from ostler.rules.calls.rendering import expectation_of

_LOOK_TIME = 10.0
"""Seconds that one look may take at most."""

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 1.0

_BLIND_LOOKS = 3
"""After so many looks without an answer, the stop tool is believed."""

_LOOK_ATTEMPTS = 3
"""How often the tools are called before the outcome counts as unknown."""

SERVER_AWAY_PAUSE = 0.5
"""Seconds between two tries through a server that is not connected, or whose connection was lost meanwhile."""


async def exists(service: InstanceState) -> bool | None:
    """Whether one look proves that the service exists, or that it does not; None: it proves neither.

    Raises:
        DownstreamError: a tool could not be called, or did not answer.
    """
    with _keeping_completion(service):
        try:
            found, _ = await _look_once(service)
        except DownstreamError:
            raise
        except OstlerError as miss:
            return True if isinstance(miss, ToolFailedError) and (miss.is_coming or miss.is_leaving) else None
        return found


async def exists_now(service: InstanceState) -> bool | None:
    """As `exists`, for a failed cleanup: within 10 s, also if cancelled; None too if a tool could not be called."""
    with anyio.CancelScope(shield=True), anyio.move_on_after(_LOOK_TIME), suppress(DownstreamError):
        return await exists(service)
    return None


async def exists_when_back(service: InstanceState) -> bool | None:
    """As `exists`, with some looks, as soon as the driving server can be called; the caller sets the deadline."""
    while True:
        try:
            with _keeping_completion(service):
                found, _ = await proven_existence(service)
                return found
        except DownstreamError:
            await anyio.sleep(SERVER_AWAY_PAUSE)


@contextmanager
def _keeping_completion(service: InstanceState) -> Generator[None]:
    """Undo that a job is marked as completed: it may be an earlier run that is seen."""
    before = service.record
    try:
        yield
    finally:
        if service.has_completed and not before.completed:
            service.set_record(desired=before.desired, completed=False)


async def await_gone(service: InstanceState, operation: Operation) -> None:
    """Return when what was stopped is gone, as far as the class's tools can show; the caller sets the deadline.

    The `stopped` check decides, else `status` and `find`: as long as one of them finds the service, or says that it is
    stopping, it exists.
    """
    spec = service.service_class.tools.stopped
    operation.last_miss = ""
    if spec is not None:
        await _await_stopped(service, operation, spec, spec.interval)
        return
    if service.service_class.tools.stop.server == PROCESS_SERVER:
        return  # its stop tool answers when the process is gone
    pause, blind = _FIRST_PAUSE, 0
    while service.rival() is None:  # else its identifiers belong to another service by now
        seen = await _look_after_stop(service)
        if not (seen.exists or seen.trouble):
            return
        blind = 0 if seen.exists else blind + 1
        if blind >= _BLIND_LOOKS:
            service.note(f"whether it is gone could not be seen, so its stop tool is taken at its word: {seen.said}")
            return
        operation.step, operation.last_miss = "stopped", seen.said
        await anyio.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


class _Sighting(Struct, frozen=True):
    """What the tools show of a service that is being stopped.

    Attributes:
        exists: whether it does; None if no tool showed it.
        said: what the tool said that showed it, or that could not.
        trouble: why a tool could not show it: no answer, or one that says nothing.
    """

    exists: bool | None
    said: str
    trouble: OstlerError | None = None


async def _look_after_stop(service: InstanceState) -> _Sighting:
    """Call `status` and `find` until one shows whether the service still exists; any answer that misses it counts."""
    trouble: OstlerError | None = None
    for step, spec in _witnesses(service):
        try:
            await probe(service, planned_call(service, step, spec, _LOOK_TIME))
        except ToolFailedError as miss:
            if miss.is_out_of_reach or miss.is_unclear:
                trouble = trouble or miss
            elif miss.is_leaving or miss.is_coming:
                return _Sighting(exists=True, said=miss.summary)
            elif not miss.is_refusal and proves_loss(service, spec):
                return _Sighting(exists=False, said=miss.summary)
        except DownstreamError as error:
            trouble = error
        except OstlerError:
            continue  # its templates name what is not known any more
        else:
            return _Sighting(exists=True, said=f"the {step} tool still finds it")
    return _Sighting(None, trouble.summary if trouble is not None else "", trouble)


async def _await_stopped(service: InstanceState, operation: Operation, spec: ToolCallSpec, interval: float) -> None:
    while service.rival() is None:
        operation.step = "stopped"
        if await passed(service, operation, planned_call(service, "stopped", spec, _LOOK_TIME)) is not None:
            return
        await anyio.sleep(interval)


async def proven_existence(service: InstanceState) -> tuple[bool | None, str]:
    """Return (whether the service is proven to exist or to be gone, why that is unknown), after some looks if needed.

    Raises:
        DownstreamError: a tool could not be called, or did not answer.
    """
    attempt, until = 0, anyio.current_time() + service.service_class.config.timeout.create
    while True:
        attempt += 1
        try:
            return await _look_once(service)
        except ServerUnavailableError:
            raise
        except (ConnectionLostError, ToolTimeoutError, BadResponseError):  # no answer: that shows nothing
            if attempt >= _LOOK_ATTEMPTS:
                raise
        except OstlerError as error:
            is_missed = isinstance(error, ToolFailedError)
            is_moving = is_missed and (error.is_coming or error.is_leaving) and anyio.current_time() < until
            if not is_moving and (attempt >= _LOOK_ATTEMPTS or not (error.retryable or is_missed)):
                return None, f"{error.tool or error.step} cannot show it: {error.summary}"
        await anyio.sleep(LOOK_PAUSE)


async def _look_once(service: InstanceState) -> tuple[bool | None, str]:
    """Call `find`, which knows what exists; if it shows nothing, or not how a job ended, `status` and `healthCheck`.

    Raises:
        OstlerError: no answer proves anything; the next one may.
    """
    misses: list[OstlerError] = []
    try:
        found = await find(service)
    except ToolFailedError as miss:
        found = None
        misses.append(miss)
    if found is None or (not found and service.service_class.config.completed is not None):
        proven, others = await proof_of(service)
        if proven is not None or any(isinstance(miss, ToolFailedError) and miss.is_coming for miss in others):
            return proven is not False, ""
        misses += others
    if found is None and misses:
        raise next((miss for miss in misses if isinstance(miss, ToolFailedError) and miss.is_leaving), misses[0])
    return found, "its class has no tool that shows it"


async def proof_of(
    service: InstanceState, *, max_age: float = 0.0
) -> tuple[bool | None, list[ToolFailedError | TemplateError]]:
    """Return (whether `status`, else `healthCheck`, proves that the service exists or is gone, why they do not).

    A job that is seen to have completed is marked as such, and counts as gone.

    Args:
        service: what is looked for.
        max_age: seconds that an answer for many services may be old.

    Raises:
        DownstreamError: there was no answer.
    """
    tools = service.service_class.tools
    failures: list[ToolFailedError | TemplateError] = []
    for step, spec in (("status", tools.status), ("healthCheck", tools.health_check)):
        try:
            if spec is not None and (proven := await _proven_by(service, step, spec, max_age)) is not None:
                return proven, failures
        except (ToolFailedError, TemplateError) as failure:
            failures.append(failure)
    return None, failures


async def _proven_by(service: InstanceState, step: str, spec: ToolCallSpec, max_age: float) -> bool | None:
    """Return what the answer of `spec` proves; None: it uses an id that may have changed.

    Raises:
        TemplateError: the call cannot be rendered.
        ToolFailedError: the answer does not prove anything.
    """
    call = planned_call(service, step, spec, _LOOK_TIME)
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


def completes(service: InstanceState, spec: ToolCallSpec, response: ToolResponse) -> bool:
    """Whether an answer of status or healthCheck says that the service has done its work and ended well."""
    completed = service.service_class.config.completed
    if completed is None:
        return False
    judged = planned_call(service, "completed", spec.model_copy(update={"expect": completed, "expect_not": None}), 1.0)
    return evaluate_health_check_expectation(response, *expectation_of(judged)).passed


async def find(service: InstanceState, *, max_age: float = 0.0) -> bool | None:
    """Look the service up with its `find` tool; True: it exists (its outputs are kept), False: not, None: no such tool.

    Args:
        service: what is looked for.
        max_age: seconds that an answer for many services may be old.

    Raises:
        OstlerError: the tool could not be called, or its answer shows nothing.
    """
    spec = service.service_class.tools.find
    if spec is None:
        return None
    try:
        answer = await probe(
            service, planned_call(service, "find", spec, _LOOK_TIME), not_before=anyio.current_time() - max_age
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


async def lost_to_rival(service: InstanceState, *, max_age: float = 0.0) -> ToolFailedError | None:
    """Return why the service is gone if another one was given its identifiers; `find`, which goes by the name, decides.

    Args:
        service: what is looked for.
        max_age: seconds that an answer for many services may be old.

    Raises:
        OstlerError: the find tool could not be called, or its answer shows nothing.
    """
    rival = service.rival()
    if rival is None:
        return None
    found = await find(service, max_age=max_age)
    if found or (found is None and not is_replaced(service.record.giver, rival)):
        return None
    server = service.service_class.tools.stop.server
    other = f" {rival.name!r}" if rival.name else ""
    why = (
        f"its find tool does not find it, and server {server!r} has given its id to service{other}"
        if found is False
        else f"the process of server {server!r} that ran it was replaced, and the new one has given its id to "
        f"service{other}"
    )
    gone = ToolFailedError(f"service {service.name!r} is gone: {why}", service=service.name)
    gone.is_absence = True
    return gone


def can_be_missed(service_class: ServiceClass) -> bool:
    """Whether a tool of the class can show that a service is gone."""
    tools = service_class.tools
    looks = (tools.status, tools.health_check)
    return tools.find is not None or any(spec is not None and _can_miss(spec) for spec in looks)


def proves_loss(service: InstanceState, spec: ToolCallSpec) -> bool:
    """Whether the service is gone if `spec` does not find it.

    It does not if `spec` uses an id, and a restart tool whose answer was lost may have changed that.
    """
    return not (service.record.may_have_moved and goes_by_renewed(service.service_class, spec))


def _can_miss(spec: ToolCallSpec) -> bool:
    """Whether an answer of `spec` can show that the service is gone: it has an expectation to check against."""
    return spec.expect is not None or spec.expect_not is not None or spec.batch is not None


def _witnesses(service: InstanceState) -> Iterator[tuple[str, ToolCallSpec]]:
    """Yield the tools that can show whether the service exists: `find`, and `status` if its answer can miss."""
    tools = service.service_class.tools
    if tools.status is not None and _can_miss(tools.status):
        yield "status", tools.status
    if tools.find is not None:
        yield "find", tools.find


def advice_for(service: InstanceState, error: OstlerError) -> tuple[str, ...]:
    """Return what to write into the class if only the text of a failed stop says that the service is gone."""
    if not isinstance(error, ToolFailedError) or not error.is_error:
        return ()
    tools = service.service_class.tools
    if any(_can_miss(spec) for _, spec in _witnesses(service)):
        return ()
    lines = ["stop: {goneWhen: {contains: …}} with the words of this failure"]
    if tools.status is not None:
        lines.append("status: {expect: {success: true}}")
    elif tools.find is not None:
        lines.append("find: {expect: {success: true}}")
    return (
        f"if it means that nothing is there any more, say so in the class, under lifecycleTools: {' or '.join(lines)}",
    )
