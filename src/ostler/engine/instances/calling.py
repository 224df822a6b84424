"""A lifecycle tool call: journaled before it is sent and after its answer, repeated as its `retry` says."""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
import anyio.lowlevel
from msgspec.structs import replace

from ostler.engine.call_context import Turn, also_limited_by, before_sending, calling_for
from ostler.engine.instances.judging import Answer, judge, located
from ostler.engine.instances.operations import Operation
from ostler.engine.instances.state import InstanceState
from ostler.engine.protocols import Progress
from ostler.model.downstream_errors import BadResponseError, Delivery, DownstreamError, ToolTimeoutError
from ostler.model.durations import format_duration
from ostler.model.errors import OstlerError, StoreError, ToolFailedError
from ostler.model.events import EventKind
from ostler.model.records import CallOutcome, PlannedCall
from ostler.model.responses import CHECK_FIRST, ToolResponse
from ostler.rules.answers.expectations import evaluate_health_check_expectation
from ostler.rules.calls.rendering import expectation_of
from ostler.rules.secrets.masking import mask, shorten

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

_ANSWER_LIMIT = 2000

WARNING_LIMIT = 300

_CALLER_GRACE = 0.5
"""Seconds beyond a call's timeout after which a ToolCaller that does not keep it is given up."""

_OUTCOMES = {
    Delivery.NOT_SENT: CallOutcome.NOT_SENT,
    Delivery.REJECTED: CallOutcome.REJECTED,
    Delivery.AMBIGUOUS: CallOutcome.AMBIGUOUS,
}

_ONCE_STEPS = ("start", "restart", "postStart", "sendInput")
"""Steps whose call must not be repeated when it may have acted."""


async def run_call(
    service: InstanceState,
    operation: Operation,
    call: PlannedCall,
    *,
    critical: bool = False,
    must_journal: bool = True,
) -> Answer:
    """Make `call` as part of `operation`: intent durable before it is sent, outcome noted after.

    Args:
        service: whose call it is.
        operation: whose journal it goes into.
        call: the rendered call.
        critical: the answer is needed to clean up: a cancellation waits for it a while.
        must_journal: False for cleanup: a broken store must not keep a resource running.

    Raises:
        OstlerError: the call was not answered, answered with a failure, or missed an expectation; or the
            intent could not be made durable (then nothing was sent).
    """

    def once() -> Awaitable[Answer]:
        return _once(service, operation, call, critical=critical, must_journal=must_journal)

    return await _repeated(call, once, note=service.note)


async def probe(service: InstanceState, call: PlannedCall, *, not_before: float | None = None) -> Answer:
    """Make a call that only looks (ready, status, healthCheck, find, logs) and judge it: not journaled."""

    async def once() -> Answer:
        nonlocal not_before
        since, not_before = not_before, None  # an answer that was a miss is not used again
        return judge(service, call, await _look_once(service, call, not_before=since))

    try:
        return await _repeated(call, once)
    except OstlerError as error:
        raise located(service, error, call) from error.__cause__


async def passed(service: InstanceState, operation: Operation, call: PlannedCall) -> Answer | None:
    """Make a check that is repeated until it passes. None: not yet; what was seen is the operation's `last_miss`.

    Raises:
        ToolFailedError: the answer says that waiting is of no use.
        ExtractionError: the check passed, and its answer lacks an output.
        DownstreamError: the call cannot be made, now or later.
    """
    try:
        return await probe(service, call)
    except ToolFailedError as miss:
        if miss.is_final:
            raise
        operation.last_miss = miss.summary
    except DownstreamError as miss:
        if not miss.retryable:
            raise
        operation.last_miss = miss.summary
    return None


async def look(service: InstanceState, call: PlannedCall, *, not_before: float | None = None) -> ToolResponse:
    """Make a call that only looks, and return what it says about this service.

    Args:
        service: the service that the answer is about.
        call: the call; of a batch, the matching item is returned.
        not_before: by anyio's clock: an answer of a batch that was asked for since then is good enough.

    Raises:
        DownstreamError: there was no answer.
        ToolFailedError: a batch's answer has no item of this service.
    """
    try:
        return await _repeated(call, lambda: _look_once(service, call, not_before=not_before), after=DownstreamError)
    except OstlerError as error:
        raise located(service, error, call) from error.__cause__


async def _look_once(service: InstanceState, call: PlannedCall, *, not_before: float | None) -> ToolResponse:
    if call.batch is None:
        return await _send(service, call)
    group = service.runtime.task_group
    assert group is not None, "only a running ServiceManager makes calls"
    since = anyio.current_time() if not_before is None else not_before
    shared = await service.runtime.batches.answer(
        call, lambda: _send(service, call), group, not_before=since, after=service.vitals.calls_before
    )
    service.driver_answered()
    return shared.find(call.batch, lambda item: evaluate_health_check_expectation(item, *expectation_of(call)).passed)


async def _once(
    service: InstanceState, operation: Operation, call: PlannedCall, *, critical: bool, must_journal: bool
) -> Answer:
    clock = service.runtime.clock
    operation.step = call.step
    seq = operation.begin_call(call.step, call.tool, service.masked(call.args), clock.now())
    try:
        if not operation.is_journaled(seq):
            await _journal(service, operation, required=must_journal)
        service.runtime.confirm_hold()  # after a pause the next server may have read the journal: then it is its turn
    except StoreError:
        operation.record = replace(operation.record, calls=operation.record.calls[:-1])
        raise

    async def taken() -> None:
        operation.send_later(seq, clock.now())
        await _journal(service, operation, required=must_journal)

    turn = operation.turn = Turn(taken)
    confirming = before_sending.set(service.runtime.confirm_hold)
    try:
        response = await _send_sheltered(service, operation, call, turn, critical=critical)
    except StoreError as error:
        operation.end_call(seq, CallOutcome.NOT_SENT, clock.now(), error=service.mask_text(error.summary))
        raise
    except DownstreamError as error:
        operation.end_call(seq, _OUTCOMES[error.delivery], clock.now(), error=service.mask_text(error.summary))
        raise located(service, error, call) from error.__cause__
    except BaseException:
        outcome = CallOutcome.NOT_SENT if turn.is_awaited else CallOutcome.AMBIGUOUS
        operation.end_call(seq, outcome, clock.now(), error="cancelled while under way")
        raise
    finally:
        operation.turn = None
        before_sending.reset(confirming)
    shown = shorten(service.masked(response.value), _ANSWER_LIMIT)
    _log_call(service, call, response)
    try:
        answer = judge(service, call, response)
    except OstlerError as error:
        outcome = CallOutcome.FAILED if response.is_error else CallOutcome.ANSWERED
        operation.end_call(seq, outcome, clock.now(), error=error.summary, answer=shown)
        raise located(service, error, call) from error.__cause__
    operation.end_call(seq, CallOutcome.ANSWERED, clock.now(), answer=shown)
    if said := response.warning:
        operation.warn(service.mask_text(said), call.step)
    return answer


def settle_answers(service: InstanceState, operation: Operation) -> None:
    """Mask what tools answered again, and make what they warned of events: at the end, all secrets of it are known.

    What the answer of a start makes a secret is one only when its outputs have been taken.
    """
    operation.warnings = {
        str(shorten(service.mask_text(text), WARNING_LIMIT)): step for text, step in operation.warnings.items()
    }
    for text, step in operation.warnings.items():
        service.note(f"{step}: {text}")
    if service.secrets:
        calls = [replace(call, answer=service.masked(call.answer)) for call in operation.record.calls]
        operation.record = replace(operation.record, calls=tuple(calls))


async def _journal(service: InstanceState, operation: Operation, *, required: bool) -> None:
    try:
        await service.commit(operation)
    except StoreError as error:
        if required:
            raise
        logger.warning("cleanup of %r goes on without its journal: %s", service.name, error)


async def _send_sheltered(
    service: InstanceState,
    operation: Operation,
    call: PlannedCall,
    turn: Turn,
    *,
    critical: bool,
) -> ToolResponse:
    """Send `call`; an exit of the server waits a while for its answer, as does a cancellation if it is `critical`."""
    deadline = anyio.current_time() + call.timeout + _CALLER_GRACE

    async def report(done: float, total: float | None, message: str | None) -> None:
        await operation.report_progress(done, total, message and service.mask_text(message))

    with operation.shelter(shield=critical, deadline=deadline) as shelter, also_limited_by(shelter, turn):
        return await _call_tool(service, call, report)
    if operation.is_interrupted or turn.is_awaited:
        await anyio.lowlevel.checkpoint()  # ends it: the next run finds out the effect of the call; or there is none
    if not operation.is_cancelled:
        raise _unanswered(call)
    what = "was not called: it waited for other calls to its server" if turn.is_awaited else "gave no answer"
    error = ToolTimeoutError(
        f"tool {call.tool!r} {what} before the cancelled {call.step} ended",
        service=service.name,
        step=call.step,
        tool=call.tool,
    )
    error.delivery = Delivery.NOT_SENT if turn.is_awaited else error.delivery
    raise error


async def _send(service: InstanceState, call: PlannedCall) -> ToolResponse:
    with anyio.move_on_after(call.timeout + _CALLER_GRACE) as scope, also_limited_by(scope):
        return await _call_tool(service, call, None)
    raise _unanswered(call)


async def _call_tool(service: InstanceState, call: PlannedCall, progress: Progress | None) -> ToolResponse:
    """Send `call`, in a block that ends after `_CALLER_GRACE`: the caller's own, better worded timeout comes first."""
    try:
        with calling_for(service.id):
            response = await service.runtime.caller.call_tool(
                call.tool, call.args, timeout=call.timeout, progress=progress
            )
    except OstlerError:
        raise
    except Exception as fault:  # boundary: a ToolCaller of others may raise anything after it has sent
        raise BadResponseError(
            f"calling tool {call.tool!r} failed: {type(fault).__name__}: {fault}",
            next_actions=(CHECK_FIRST,),
        ) from fault
    service.driver_answered()
    return response


def _unanswered(call: PlannedCall) -> ToolTimeoutError:
    return ToolTimeoutError(f"tool {call.tool!r} did not answer within {format_duration(call.timeout)}")


def _log_call(service: InstanceState, call: PlannedCall, response: ToolResponse) -> None:
    service.runtime.events.append(
        EventKind.TOOL_CALLED,
        service.name,
        f"{call.step}: {call.tool} {'failed' if response.is_error else 'answered'}"
        f" in {response.duration * 1000:.0f} ms",
        {
            "step": call.step,
            "tool": call.tool,
            "args": mask(shorten(call.args, _ANSWER_LIMIT), service.secrets),
            "isError": response.is_error,
            "seconds": round(response.duration, 3),
        },
    )


async def _repeated(
    call: PlannedCall,
    once: Callable[[], Awaitable[_T]],
    *,
    after: type[OstlerError] = OstlerError,
    note: Callable[[str], None] | None = None,
) -> _T:
    """Await `once()`, and again after a failure of the class `after`, as often as the call's `retry` allows."""
    attempt = 0
    while True:
        attempt += 1
        try:
            return await once()
        except after as error:
            if attempt >= call.retry_attempts or not _may_repeat(call, error):
                raise
            if note is not None:
                note(f"{call.step}: attempt {attempt} failed, trying again: {error.summary}")
        await anyio.sleep(call.retry_delay)


def _may_repeat(call: PlannedCall, error: OstlerError) -> bool:
    if call.step == "ready":  # it is repeated until it passes
        return False
    is_harmless = not call.step.startswith(_ONCE_STEPS)
    if isinstance(error, DownstreamError):
        return is_harmless if error.delivery is Delivery.AMBIGUOUS else error.retryable
    if not isinstance(error, ToolFailedError) or not error.is_named:
        return False
    return is_harmless or error.is_error or call.retry_when is not None
