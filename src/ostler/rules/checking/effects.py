"""Parts of a class that nothing uses, and parts that others need and do not get."""

import re
from collections.abc import Iterator

from ostler.model.json import JsonValue, KeyPath
from ostler.model.manifest import DependencySpec, OutputSpec, ServiceClass, ToolCallSpec
from ostler.rules.checking.fitting import near
from ostler.rules.checking.names import CONFIG, TOOLS
from ostler.rules.checking.scopes import ClassScopes, mergeable
from ostler.rules.checking.shapes import described
from ostler.rules.checking.spelling import texts_in
from ostler.rules.templates.template import is_template, optional_names, referenced_names
from ostler.rules.text.findings import Violation
from ostler.rules.text.log_pages import PAGE_OUTPUTS
from ostler.rules.text.yaml_source import Document

Name = tuple[str, ...]
Calls = list[tuple[str, KeyPath, ToolCallSpec]]


def effect_violations(service_class: ServiceClass, scopes: ClassScopes, calls: Calls) -> Iterator[Violation]:
    """Yield what has no effect in the class, and what its parts miss of each other."""
    used = _used_names(service_class, calls)
    yield from _unused_args(service_class, used)
    yield from _unused_outputs(service_class, used, calls)
    yield from _find_violations(service_class, scopes, calls)


def text_violations(document: Document) -> Iterator[Violation]:
    """Yield text that YAML reads as something else than it looks like."""
    yield from _half_templates(document)
    yield from _stray_quotes(document)
    yield from _rewritten_numbers(document)
    yield from _swallowed_items(document)


def _unused_args(service_class: ServiceClass, used: set[Name]) -> Iterator[Violation]:
    if ("args",) in used:
        return
    for arg in service_class.spec.args:
        if not any(name[0] == arg or name[:2] == ("args", arg) for name in used):
            message = f"the arg {arg!r} is not used by any template"
            yield Violation(("spec", "args", arg), "unused-arg", message, "use it, or remove it", at_key=True)


def _unused_outputs(service_class: ServiceClass, used: set[Name], calls: Calls) -> Iterator[Violation]:
    start = service_class.tools.start.outputs
    for step, path, call in calls:
        if step == "start":
            continue
        for name in call.outputs:
            replaces = step in ("restart", "find") and name in start
            is_of_page = step == "logs" and name in PAGE_OUTPUTS
            if (
                replaces
                or is_of_page
                or any(other[0] == step and (len(other) == 1 or other[1] == name) for other in used)
            ):
                continue
            if step in ("restart", "find"):
                close = near(name, [output for output in start if output not in call.outputs])
                fix = f"did you mean {close!r}, which start gives?" if close else "call it like an output of start"
            else:
                fix = "remove it" if "[" in step else f"use it as {{{{ {step}.{name} | default(…) }}}}, or remove it"
            message = f"the output {name!r} of {step!r} is not used by anything"
            yield Violation((*path, "outputs", name), "unused-output", message, fix, at_key=True)


def _find_violations(service_class: ServiceClass, scopes: ClassScopes, calls: Calls) -> Iterator[Violation]:
    """What `find` and `restart` give again must be what `start` gave."""
    tools = service_class.tools
    start = scopes.outputs_of(tools.start, scopes.before_start)
    find = tools.find
    if find is not None:
        needed = _needed_of_start(service_class, calls)
        missing = [name for name in start if name in needed and name not in find.outputs]
        if missing:
            listed = ", ".join(repr(name) for name in missing)
            message = f"'find' does not give start's {listed}, so a service that is found again cannot be stopped"
            yield Violation((*TOOLS, "find"), "find-incomplete", message, f"add {listed} to its outputs", at_key=True)
    for step, call in (("find", find), ("restart", tools.restart)):
        if call is None:
            continue
        given = scopes.outputs_of(call, scopes.step(step))
        for name, shape in given.items():
            if name in start and not mergeable([shape, start[name]]):
                message = f"{name!r} is {described(shape)} here, and {described(start[name])} when start gives it"
                yield Violation((*TOOLS, step, "outputs", name), "output-type", message)


def _needed_of_start(service_class: ServiceClass, calls: Calls) -> set[str]:
    """Return the outputs of start that later steps or the service's outputs cannot do without."""
    before = ("preStart", "start", "find", "ready", "postStart")
    values: list[JsonValue] = [_call_value(call) for step, _, call in calls if not step.startswith(before)]
    values += [source for source in service_class.config.outputs.values() if isinstance(source, str)]
    names = {name for value in values for name in referenced_names(value)}
    return {name[1] for name in names if name[0] == "start" and len(name) > 1}


def _used_names(service_class: ServiceClass, calls: Calls) -> set[Name]:
    config = service_class.config
    values: list[JsonValue] = [config.default_name or ""]
    for dependency in config.dependencies:
        if isinstance(dependency, DependencySpec):
            values += [dependency.name or "", dependency.when or "", dependency.args]
        else:
            values.append(dependency)
    values += [_call_value(call) for _, _, call in calls]
    paths: list[str] = []
    for source in config.outputs.values():
        if isinstance(source, OutputSpec):
            values.append(source.template or "")
            paths.append(source.path or "")
        else:
            values.append(source)
    names = {name for value in values for name in referenced_names(value) | optional_names(value)}
    for path in paths:  # JMESPath over the names themselves
        names.add(tuple(path.replace("[", ".").split(".")))
    return names


def _call_value(call: ToolCallSpec) -> JsonValue:
    expectations = [part.model_dump(mode="json", by_alias=True, exclude_unset=True) for _, part in call.expectations()]
    sources = [
        (source.template or "") if isinstance(source, OutputSpec) else source for source in call.outputs.values()
    ]
    return [
        call.args,
        expectations,
        call.batch.match if call.batch else {},
        [source for source in sources if is_template(source)],
    ]


def _half_templates(document: Document) -> Iterator[Violation]:
    for path, text in texts_in(document.value):
        if path[:2] != CONFIG or is_template(text):
            continue
        if ("}}" in text or "%}" in text) and text.count("{") < text.count("}"):
            message = f"{text[:60]!r} ends like a template but does not begin like one, so it is used unchanged"
            yield Violation(path, "half-template", message, "write '{{ … }}'")


def _stray_quotes(document: Document) -> Iterator[Violation]:
    for path, text in texts_in(document.value):
        if path[:2] != CONFIG or not {"args", "outputs"} & set(path) or path[-1] == "regex":
            continue
        if text.count('"') % 2 and (text.endswith('"') or text.startswith('"')):
            message = f"{text[:60]!r} has one quote without its other, which is taken as a part of the text"
            yield Violation(path, "stray-quote", message, "put the whole value in quotes")


def _rewritten_numbers(document: Document) -> Iterator[Violation]:
    for path, written, again in document.rewritten_numbers():
        if path[:2] == CONFIG and "args" in path:
            message = f"{written} without quotes is the number {again}"
            fix = f'write "{written}" if the text is meant, and {again} if the number is'
            yield Violation(path, "rewritten-number", message, fix)


def _swallowed_items(document: Document) -> Iterator[Violation]:
    for path, text in document.unquoted_over_lines():
        rest = [line.strip() for line in text.splitlines()[1:]]
        swallowed = next((line for line in rest if line.startswith("- ") or re.match(r"[\w-]+: ", line)), None)
        if swallowed is not None and "description" not in path:
            message = f"{swallowed[:60]!r} is further in than the line before it, and so a part of its text"
            yield Violation(path, "swallowed-line", message, "indent it like the lines around it")
