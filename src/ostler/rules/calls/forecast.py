"""The calls that a lifecycle would make, given what is known; unknown values are marked as such."""

from collections.abc import Collection, Iterator

from msgspec import Struct

from ostler.model.errors import ExtractionError, TemplateError
from ostler.model.json import JsonMapping, JsonObject, JsonValue
from ostler.model.manifest import ServiceClass, ToolCallSpec
from ostler.model.plans import PlannedStep
from ostler.model.records import PlannedCall
from ostler.rules.answers.extraction import render_outputs
from ostler.rules.secrets.masking import mask
from ostler.rules.templates.unknowns import AFTER_START, Unknowns, render_partly
from ostler.rules.text.patterns import PatternError

AFTER_RESTART = "<known after restart>"
"""Stands for what only the restart tool's answer will show."""

AFTER_FIND = "<known after find>"
"""Stands for what only the find tool's answer will show."""


class Knowledge(Struct, frozen=True):
    """What templates of a service see, as far as it is known before its operation.

    Attributes:
        names: the values.
        unknown: dotted names without a value yet, and what stands for each.
        secrets: texts that must not be shown.
    """

    names: JsonMapping
    unknown: Unknowns = {}
    secrets: Collection[str] = ()

    def after(self, step: str) -> "Knowledge":
        """Return what is known once `step` was answered: the names of its outputs, not yet their values."""
        shown = AFTER_RESTART if step == "restart" else AFTER_START
        names: JsonObject = {**self.names, step: JsonObject()}
        unknown = {**self.unknown, (step,): shown}
        return Knowledge(names, unknown, self.secrets)


def start_steps(service: str, service_class: ServiceClass, knowledge: Knowledge) -> Iterator[PlannedStep]:
    """Yield the calls of a start in their order; `knowledge` has nothing of an earlier start.

    Raises:
        TemplateError: a call names something that will not exist.
    """
    for index, spec in enumerate(service_class.tools.pre_start):
        yield _planned(service, f"preStart[{index}]", spec, knowledge)
    yield _planned(service, "start", service_class.tools.start, knowledge)
    yield from _coming_up(service, service_class, knowledge.after("start"))


def restart_steps(service: str, service_class: ServiceClass, knowledge: Knowledge) -> Iterator[PlannedStep]:
    """Yield the calls of a restart of a running service by its class's restart tool.

    Raises:
        TemplateError: a call names something that will not exist.
    """
    spec = service_class.tools.restart
    assert spec is not None
    yield _planned(service, "restart", spec, knowledge)
    yield from _coming_up(service, service_class, after_restart(service_class, knowledge))


def after_restart(service_class: ServiceClass, knowledge: Knowledge) -> Knowledge:
    """Return what is known once the restart tool answered: outputs that it shares with start are new."""
    tools = service_class.tools
    assert tools.restart is not None
    shared = {("start", name): AFTER_RESTART for name in tools.restart.outputs if name in tools.start.outputs}
    known = knowledge.after("restart")
    return Knowledge(known.names, {**known.unknown, **shared}, known.secrets)


def stop_steps(service: str, service_class: ServiceClass, knowledge: Knowledge) -> Iterator[PlannedStep]:
    """Yield the calls that will stop a service, as they would be pinned with what is known.

    Raises:
        TemplateError: a call names something that will not exist.
    """
    tools = service_class.tools
    for index, spec in enumerate(tools.pre_stop):
        yield _planned(service, f"preStop[{index}]", spec, knowledge)
    yield _planned(service, "stop", tools.stop, knowledge)
    if tools.stopped is not None:
        yield looking_step(service, "stopped", tools.stopped, knowledge, every=tools.stopped.interval)


def pinned_steps(service: str, plan: Collection[PlannedCall], secrets: Collection[str]) -> Iterator[PlannedStep]:
    """Yield the calls of a pinned stop plan."""
    for call in plan:
        yield PlannedStep(service, call.step, call.tool, _masked(call.args, secrets), tries=call.retry_attempts)


def looking_step(service: str, step: str, spec: ToolCallSpec, knowledge: Knowledge, *, every: float) -> PlannedStep:
    """Return a check that is repeated until it passes."""
    return _planned(service, step, spec, knowledge, every=every, note="until it passes")


def find_step(service: str, spec: ToolCallSpec, knowledge: Knowledge) -> PlannedStep:
    """Return the call of `find` that precedes a stop without a pinned plan."""
    return _planned(service, "find", spec, knowledge, note="whether it exists; if it does not, nothing is stopped")


def planned_outputs(service_class: ServiceClass, knowledge: Knowledge) -> tuple[JsonObject, dict[str, str]]:
    """Return (outputs, what stands for those that are not known) of a service once it has started."""
    values: JsonObject = {}
    unknown: dict[str, str] = {}
    for name, source in service_class.config.outputs.items():
        template = source if isinstance(source, str) else source.template
        if template is None:  # a path or a regular expression looks into what start will have answered
            unknown[name] = AFTER_START
            continue
        try:
            partly = render_partly(template, knowledge.names, knowledge.unknown)
            values[name] = partly.value if not partly.known else render_outputs({name: source}, knowledge.names)[name]
        except (TemplateError, ExtractionError, PatternError):
            unknown[name] = AFTER_START
            continue
        if not partly.known:
            unknown[name] = str(partly.value) if isinstance(partly.value, str) else AFTER_START
    return values, unknown


def _coming_up(service: str, service_class: ServiceClass, knowledge: Knowledge) -> Iterator[PlannedStep]:
    tools = service_class.tools
    if tools.ready is not None:
        yield looking_step(service, "ready", tools.ready, knowledge, every=tools.ready.interval)
    for index, spec in enumerate(tools.post_start):
        yield _planned(service, f"postStart[{index}]", spec, knowledge)


def _planned(
    service: str, step: str, spec: ToolCallSpec, knowledge: Knowledge, *, every: float | None = None, note: str = ""
) -> PlannedStep:
    try:
        partly = render_partly(spec.args, knowledge.names, knowledge.unknown)
    except TemplateError as error:
        error.located(service=service, step=step, tool=spec.tool)
        raise
    args = _masked(partly.value, knowledge.secrets)
    tries = spec.retry.attempts if spec.retry is not None and every is None else 1
    return PlannedStep(service, step, spec.tool, args, partly.known, every, tries, note)


def _masked(args: JsonValue, secrets: Collection[str]) -> JsonObject:
    masked: JsonObject = mask(args, secrets)
    return masked
