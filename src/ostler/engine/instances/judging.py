"""What an answer of a lifecycle tool means: whether it is a success, what a failure proves, what its outputs are."""

from msgspec import Struct

from ostler.engine.instances.state import InstanceState
from ostler.model.downstream_errors import CALLERS_LIMIT, ToolTimeoutError
from ostler.model.errors import ExtractionError, OstlerError, ToolFailedError
from ostler.model.json import JsonObject
from ostler.model.records import START_STEPS, PlannedCall
from ostler.model.responses import FIX_COMMAND, ToolResponse
from ostler.rules.answers.absence import (
    is_coming,
    is_leaving,
    is_list_without,
    is_of_other_kind,
    is_out_of_reach,
    is_said_missing,
    proves_absence,
)
from ostler.rules.answers.expectations import Verdict, evaluate_health_check_expectation, is_like
from ostler.rules.answers.extraction import process_tool_outputs
from ostler.rules.answers.pages import more_pages
from ostler.rules.calls.rendering import expectation_of, outputs_of, pinned_expectation
from ostler.rules.templates.template import optional_names, referenced_names

_HEAD_LIMIT = 500

_TAIL_LIMIT = 2000
"""Characters of a failing tool's text that are shown from its end, which says what is wrong, as in a traceback."""

_COMMAND = "command"

_ASKED_FOR = (*START_STEPS, "logs", "sendInput")
"""Steps that a caller waits for: the tool's next steps are the error's."""

_LOOKS = frozenset({"status", "healthCheck", "find"})
"""Steps that show whether the service exists; their answer may be one page of a list."""


class Answer(Struct, frozen=True):
    """A judged answer of a lifecycle tool."""

    response: ToolResponse
    outputs: JsonObject


def judge(service: InstanceState, call: PlannedCall, response: ToolResponse) -> Answer:
    """Check an answer against the call's expectations and take its outputs.

    Raises:
        ToolFailedError: it misses an expectation.
        ExtractionError: an output is missing.
    """
    expect, expect_not = expectation_of(call)
    verdict = evaluate_health_check_expectation(response, expect, expect_not)
    is_final = is_like(response, pinned_expectation(call.fail_when))
    is_unjudged = expect is None and expect_not is None  # then a success is believed, unless its text says otherwise
    if not verdict.passed or is_final or (is_unjudged and is_out_of_reach(response)):
        raise _failure(service, call, response, verdict, is_final=is_final)
    outputs: JsonObject = {}
    if wanted := outputs_of(call):
        outputs = process_tool_outputs(wanted, response, service.template_names())
        service.keep_outputs(call.step, outputs)
    return Answer(response, outputs)


def _failure(
    service: InstanceState, call: PlannedCall, response: ToolResponse, verdict: Verdict, *, is_final: bool
) -> ToolFailedError:
    """Return the error of an answer that counts as a failure, with what it proves."""
    steps = [service.mask_text(step) for step in response.next_steps if call.step in _ASKED_FOR]
    shown_steps = [step.replace(FIX_COMMAND, _where_to_fix(service, call)) for step in steps]
    said = _both_ends(service.mask_text(_without_next_steps(response) if steps else response.text).strip())
    why = service.mask_text(verdict.reason)
    if said and (response.is_error or verdict.passed):
        text = f"{call.step} tool failed: {said}"
    else:
        text = _missed(call.step, said, why, is_final=is_final, is_said=verdict.is_said_in(said))
    failure = ToolFailedError(text, step=call.step, tool=call.tool, next_actions=shown_steps)
    expect, _ = expectation_of(call)
    out_of_reach = is_out_of_reach(response)
    failure.is_error = response.is_error
    failure.is_absence = proves_absence(response, expect)
    if call.step in _LOOKS and not failure.is_absence:
        if more := more_pages(response):  # what is missed may be on another page
            failure.add(f"that proves nothing, as it is not the whole list ({more})")
            failure.next_actions = (f"let the args of {call.step} ask for more on a page, or for this service alone",)
            out_of_reach = True
        else:
            names = service.identifiers()
            failure.is_absence = is_said_missing(response, call.args, names) or is_list_without(
                response, expect, call.args, names
            )
    failure.is_out_of_reach = out_of_reach
    failure.is_refusal = out_of_reach or (response.is_error and (expect is None or expect.success is None))
    failure.is_leaving = is_leaving(response, expect)
    failure.is_coming = not failure.is_absence and is_coming(response, expect)
    failure.is_unclear = not failure.is_absence and is_of_other_kind(response, expect)
    failure.is_final = is_final
    failure.is_named = call.retry_when is None or is_like(response, pinned_expectation(call.retry_when))
    failure.is_already_gone = is_like(response, pinned_expectation(call.gone_when))
    return failure


def _where_to_fix(service: InstanceState, call: PlannedCall) -> str:
    """Return in words how the command that a tool was to run is fixed: by args, if the class makes it of some."""
    wanted = service.service_class
    spec = next((spec for step, spec in wanted.tools.calls if step == call.step), None)
    if spec is None or _COMMAND in wanted.spec.args:
        return FIX_COMMAND
    command = [spec.args.get(_COMMAND), spec.args.get("args")]
    used = {name[0] for name in referenced_names(command) | optional_names(command)}
    if args := [name for name in wanted.spec.args if name in used]:
        return f"fix what its command is made of ({', '.join(args)})"
    return f"{FIX_COMMAND} in its class {wanted.name!r}"


def _missed(step: str, said: str, why: str, *, is_final: bool, is_said: bool) -> str:
    """Return in words that an answer missed its expectation.

    Args:
        step: the step of the call.
        said: the answer's text.
        why: what was found and what was expected.
        is_final: the answer matches the call's `failWhen`.
        is_said: the answer's text says what was found.
    """
    failed = f"{step} tool failed: "
    if not said:
        return failed + why
    if said in why or said.replace("\n", "\\n") in why:
        return failed + (said if is_final else why)
    if "\n" in said or said[0] in "[{":
        return f"{failed}{why}; it said: {said}"
    if step in _LOOKS:  # the tool did its part: what it says of the service comes first
        failed = ""
        if is_said:  # `exited with code 1` needs no `state was "exited", expected "running"`
            return said.removesuffix(".")
    return f"{failed}{said.removesuffix('.')}; {why}"


def _without_next_steps(response: ToolResponse) -> str:
    """Return the text of a failed tool without its next steps, which the response also has as a list."""
    before, found, after = response.text.partition(f"Next: {'; '.join(response.next_steps)}")
    return before.rstrip().removesuffix(".") + after if response.next_steps and found else response.text


def located(service: InstanceState, error: OstlerError, call: PlannedCall) -> OstlerError:
    """Add to `error` where it happened, and mask its secrets."""
    error.summary = service.mask_text(error.summary)
    if isinstance(error, ExtractionError) and not error.summary.startswith(call.step):
        error.summary = f"{call.step} tool's answer: {error.summary}"
    if isinstance(error, ToolTimeoutError):
        limit = f"the timeout of {call.step!r} in class {service.service_class.name!r}"
        error.next_actions = tuple(each.replace(CALLERS_LIMIT, limit) for each in error.next_actions)
    return error.located(service=service.name, step=call.step, tool=call.tool)


def _both_ends(text: str) -> str:
    """Return a long text without its middle: its beginning says what failed, its last whole lines why."""
    if len(text) <= _HEAD_LIMIT + _TAIL_LIMIT:
        return text
    tail = text[-_TAIL_LIMIT:]
    _, newline, whole = tail.partition("\n")
    return f"{text[:_HEAD_LIMIT]}\n…\n{whole if newline and whole else tail}"
