"""The exact calls of a class's steps: rendered with names, pinned, in their order."""

import json
from collections.abc import Mapping
from typing import Any, cast

from pydantic import ValidationError

from ostler.model.errors import TemplateError
from ostler.model.json import JsonMapping, JsonObject, JsonValue
from ostler.model.manifest import Expectation, OutputSpec, ReadySpec, ServiceClass, StopSpec, ToolCallSpec
from ostler.model.records import PlannedCall
from ostler.model.tool_names import PROCESS_SERVER
from ostler.rules.templates.plain_values import plain_text
from ostler.rules.templates.template import render
from ostler.rules.text.work_budget import bounded_work


def logs_call(service_class: ServiceClass) -> ToolCallSpec | None:
    """Return what shows the logs: the class's `logs` tool, else the process server for what that started."""
    args: JsonObject = {
        "lines": "{{ service.logs.lines }}",
        "since": "{{ service.logs.since | default(omit) }}",
        "newerThan": "{{ service.logs.newerThan | default(omit) }}",
        "grep": "{{ service.logs.search | default(omit) }}",
    }
    written = service_class.tools.logs
    return written or _process_call(service_class, "logs", args, {"cursor": "cursor", "truncated": "truncated"})


def input_call(service_class: ServiceClass) -> ToolCallSpec | None:
    """Return what sends input: the class's `sendInput` tool, else the process server for what that started."""
    args: JsonObject = {"text": "{{ service.input.text }}", "enter": "{{ service.input.enter }}"}
    return service_class.tools.send_input or _process_call(service_class, "input", args, {})


def _process_call(
    service_class: ServiceClass, tool: str, args: JsonObject, outputs: dict[str, str | OutputSpec]
) -> ToolCallSpec | None:
    """Return a call of the process server about what the class starts there; None if it starts nothing there."""
    start = service_class.tools.start
    if start.tool != f"{PROCESS_SERVER}/start" or "key" not in start.args:
        return None
    return ToolCallSpec(tool=f"{PROCESS_SERVER}/{tool}", args={"key": start.args["key"], **args}, outputs=outputs)


def plan_call(step: str, spec: ToolCallSpec, names: Mapping[str, Any], *, timeout: float) -> PlannedCall:
    """Return the call with its args and the values of its expectations rendered; outputs stay as written.

    Args:
        step: the step's name, such as `start` or `preStop[0]`.
        spec: the call as the class has it.
        names: what templates may name.
        timeout: seconds the call may take when the class does not say.

    Raises:
        TemplateError: templates fail or name something undefined; all missing names of the call are in `missing`.
    """
    retry_when = spec.retry.when if spec.retry is not None else None
    expectations = {
        "expect": spec.expect,
        "expectNot": spec.expect_not,
        "when": retry_when,
        "failWhen": spec.fail_when if isinstance(spec, ReadySpec) else None,
        "goneWhen": spec.gone_when if isinstance(spec, StopSpec) else None,
    }
    parts: JsonObject = {"args": spec.args}
    parts |= {key: value.written for key, value in expectations.items() if value is not None}
    if spec.batch is not None:
        parts["match"] = spec.batch.match
    try:
        rendered: JsonObject = render(parts, names)
        checked = {
            key: _checked(rendered[key], parts[key], key) for key, value in expectations.items() if value is not None
        }
    except TemplateError as error:
        error.located(step=step, tool=spec.tool)
        raise
    return PlannedCall(
        step=step,
        tool=spec.tool,
        args=rendered["args"],
        timeout=timeout if spec.timeout is None else spec.timeout,
        expect=checked.get("expect"),
        expect_not=checked.get("expectNot"),
        outputs=spec.written_outputs,
        retry_attempts=spec.retry.attempts if spec.retry else 1,
        retry_delay=spec.retry.delay if spec.retry else 1.0,
        retry_when=checked.get("when"),
        fail_when=checked.get("failWhen"),
        gone_when=checked.get("goneWhen"),
        batch={"items": spec.batch.items, "match": rendered["match"]} if spec.batch is not None else None,
    )


def expectation_of(call: PlannedCall) -> tuple[Expectation | None, Expectation | None]:
    """Return the pinned call's `expect` and `expectNot` as values."""
    return (
        None if call.expect is None else Expectation.model_validate(call.expect),
        None if call.expect_not is None else Expectation.model_validate(call.expect_not),
    )


def pinned_expectation(value: JsonObject | None) -> Expectation | None:
    """Return a pinned call's `retry_when`, `fail_when` or `gone_when` as a value."""
    return None if value is None else Expectation.model_validate(value)


def outputs_of(call: PlannedCall) -> Mapping[str, str | OutputSpec]:
    """Return the pinned call's outputs as values."""
    return {
        name: source if isinstance(source, str) else OutputSpec.model_validate(source)
        for name, source in call.outputs.items()
    }


def stop_plan(service_class: ServiceClass, names: Mapping[str, Any]) -> tuple[PlannedCall, ...]:
    """Return what stops a service: its preStop calls, then its stop call.

    Args:
        service_class: the class that the service was started from.
        names: what templates may name; the outputs of the start tool are among them, as `start`.

    Raises:
        TemplateError: a call cannot be rendered; missing names of all calls are listed.
    """
    with bounded_work():
        return _stop_plan(service_class, names)


def delete_plan(service_class: ServiceClass, names: Mapping[str, Any]) -> tuple[PlannedCall, ...]:
    """Return the call that deletes what a service keeps when it is stopped; none if its class has none.

    Raises:
        TemplateError: it cannot be rendered.
    """
    spec = service_class.tools.delete
    if spec is None:
        return ()
    with bounded_work():
        return (plan_call("delete", spec, names, timeout=service_class.config.timeout.delete),)


def _stop_plan(service_class: ServiceClass, names: Mapping[str, Any]) -> tuple[PlannedCall, ...]:
    tools = service_class.tools
    limit = service_class.config.timeout.delete
    planned: list[PlannedCall] = []
    failed: list[TemplateError] = []
    for step, spec in [(f"preStop[{index}]", spec) for index, spec in enumerate(tools.pre_stop)] + [
        ("stop", tools.stop)
    ]:
        try:
            planned.append(plan_call(step, spec, names, timeout=limit))
        except TemplateError as error:
            failed.append(error)
    if len(failed) == 1:
        raise failed[0]
    if failed:
        raise TemplateError(
            "; ".join(f"{error.step}: {error.summary}" for error in failed),
            missing=[name for error in failed for name in error.missing],
            step="stop",
        )
    return tuple(planned)


def _checked(rendered: JsonValue, written: JsonValue, key: str) -> JsonObject | None:
    """Return a rendered expectation whose texts are texts again, checked so that it can be pinned."""
    if rendered is written:
        return rendered
    expectation: JsonObject = dict(cast("JsonMapping", rendered))
    for name in ("jmespath", "contains", "matches"):
        if name in expectation:
            expectation[name] = _texts(expectation[name])
    try:
        Expectation.model_validate(expectation)
    except ValidationError as error:
        raise TemplateError(f"{key} is not valid after rendering: {json.dumps(error.errors()[0]['msg'])}") from None
    return expectation


def _texts(value: JsonValue) -> JsonValue:
    if isinstance(value, list):
        return [plain_text(item) for item in cast("list[JsonValue]", value)]
    return plain_text(value)
