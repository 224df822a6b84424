"""What can be known to be wrong with a class before anything is run: settings without effect, bad expressions."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from pydantic.alias_generators import to_camel

from ostler.model.errors import ExtractionError
from ostler.model.json import JsonMapping, JsonValue, KeyPath
from ostler.model.manifest import (
    ArgSpec,
    DependencySpec,
    Expectation,
    HealthCheckSpec,
    LeftoversSpec,
    OutputSpec,
    ServiceClass,
    ToolCallSpec,
)
from ostler.model.tool_names import PROCESS_SERVER
from ostler.rules.answers.queries import compile_path
from ostler.rules.calls.arguments import value_problems
from ostler.rules.checking.batches import check_batch
from ostler.rules.checking.names import CONFIG, TOOLS, check_names, dependency_alias
from ostler.rules.checking.restarts import check_restart_policy
from ostler.rules.templates.template import is_template, referenced_names
from ostler.rules.text.findings import Violation
from ostler.rules.text.patterns import PatternError, compile_pattern, value_group

ARGS: KeyPath = ("spec", "args")


def check_class(service_class: ServiceClass) -> Iterator[Violation]:
    """Yield what is wrong with a manifest that has the right shape."""
    for name, spec in service_class.spec.args.items():
        yield from _check_arg((*ARGS, name), name, spec)
    for path, call in calls_with_paths(service_class):
        yield from _check_call(path, call)
        yield from check_batch(path, call)
    yield from _check_config(service_class)
    yield from check_names(service_class)


def calls_with_paths(service_class: ServiceClass) -> Iterator[tuple[KeyPath, ToolCallSpec]]:
    """Yield every tool call of the class with its path in the manifest."""
    for step, call in service_class.tools.calls:
        name, _, index = step.rstrip("]").partition("[")
        yield (*TOOLS, name, *((int(index),) if index else ())), call


def _check_arg(path: KeyPath, name: str, spec: ArgSpec) -> Iterator[Violation]:
    kinds: Sequence[tuple[str, Sequence[str]]] = (
        ("pattern", ("string",)),
        ("minimum", ("integer", "number")),
        ("maximum", ("integer", "number")),
        ("items", ("array",)),
        ("path", ("string", "array")),
    )
    for key, types in kinds:
        value = getattr(spec, key)
        if value is not None and value is not False and spec.type not in types:
            message = f"{key!r} has no effect on an argument of type {spec.type!r}"
            fix = f"remove it, or write 'type: {types[0]}'"
            yield Violation((*path, key), "no-effect", message, fix, at_key=True)
    if spec.minimum is not None and spec.maximum is not None and spec.minimum > spec.maximum:
        yield Violation((*path, "minimum"), "bad-value", "'minimum' is greater than 'maximum'")
    broken = list(_check_arg_schema(path, spec))
    yield from broken
    if broken:
        return
    plain = spec.model_copy(update={"enum": None})
    for index, value in enumerate(spec.enum or ()):
        for problem in value_problems(name, plain, value):
            yield Violation((*path, "enum", index), "bad-value", f"enum: {problem}")
    if spec.has_default:
        fix = "remove the default, or give one that fits"
        if isinstance(spec.default, str) and is_template(spec.default):
            message = "a default is a value, not a template, and is passed on unchanged written"
            yield Violation((*path, "default"), "no-effect", message, "move the template to where it is used")
        for problem in value_problems(name, spec, spec.default):
            yield Violation((*path, "default"), "bad-value", f"the default does not fit: {problem}", fix)


def _check_arg_schema(path: KeyPath, spec: ArgSpec) -> Iterator[Violation]:
    if spec.pattern is not None:
        yield from _check_pattern((*path, "pattern"), spec.pattern)
    if spec.enum is not None and not spec.enum:
        yield Violation((*path, "enum"), "bad-value", "an empty enum allows no value", "remove it")
    if spec.items is not None:
        if "$ref" in str(spec.items):
            message = "'$ref' is not supported in 'items'"
            yield Violation((*path, "items"), "bad-value", message, "write the schema out")
        from jsonschema import Draft202012Validator  # noqa: PLC0415 (3 MiB that most classes do not need)
        from jsonschema.exceptions import SchemaError  # noqa: PLC0415

        try:
            Draft202012Validator.check_schema(spec.items)
        except SchemaError as error:
            place = (*path, "items", *error.absolute_path)
            yield Violation(place, "bad-value", f"'items' is not a JSON Schema: {error.message}")
        else:
            yield from _check_schema_patterns((*path, "items"), spec.items)


def _check_schema_patterns(path: KeyPath, schema: JsonValue) -> Iterator[Violation]:
    """Yield the regular expressions of a JSON Schema that cannot be searched for within bounds."""
    if isinstance(schema, list):
        for index, part in enumerate(cast("list[JsonValue]", schema)):
            yield from _check_schema_patterns((*path, index), part)
    if not isinstance(schema, Mapping):
        return
    keys = cast("JsonMapping", schema)
    if isinstance(keys.get("pattern"), str):
        yield from _check_pattern((*path, "pattern"), keys["pattern"])
    named = keys.get("patternProperties")
    for pattern in cast("JsonMapping", named) if isinstance(named, Mapping) else ():
        yield from _check_pattern((*path, "patternProperties", pattern), pattern, at_key=True)
    if named and "unevaluatedProperties" in keys:
        message = "'unevaluatedProperties' together with 'patternProperties' cannot be checked within bounds"
        fix = "write 'additionalProperties'"
        yield Violation((*path, "unevaluatedProperties"), "bad-value", message, fix, at_key=True)
    for key, part in keys.items():
        if key not in ("enum", "const", "default", "examples"):
            yield from _check_schema_patterns((*path, key), part)


def _check_call(path: KeyPath, call: ToolCallSpec) -> Iterator[Violation]:
    for name, source in call.outputs.items():
        yield from check_output((*path, "outputs", name), name, source)
    for keys, expectation in call.expectations():
        yield from _check_expectation((*path, *keys), expectation)
    wanted, unwanted = (part.success if part else None for part in (call.expect, call.expect_not))
    if wanted is not None and wanted is unwanted:
        message = "'expect' and 'expectNot' contradict each other about 'success', so nothing can pass"
        yield Violation((*path, "expectNot", "success"), "bad-value", message, "remove one of them")
    if call.retry is not None:
        if path[-1] in ("ready", "stopped"):
            message = f"'retry' has no effect on the {path[-1]} check, which is repeated every 'interval' anyway"
            yield Violation((*path, "retry"), "no-effect", message, "remove it, or set 'interval'", at_key=True)
        elif call.retry.when is not None and call.retry.attempts == 1:
            message = "'when' has no effect with one attempt"
            fix = "write 'attempts: 2' or more, or remove 'retry'"
            yield Violation((*path, "retry", "when"), "no-effect", message, fix, at_key=True)
        elif call.retry.attempts == 1 and "delay" in call.retry.model_fields_set:
            message = "'delay' has no effect with one attempt"
            fix = "write 'attempts: 2' or more, or remove 'retry'"
            yield Violation((*path, "retry", "delay"), "no-effect", message, fix, at_key=True)


def check_output(path: KeyPath, name: str, source: str | OutputSpec) -> Iterator[Violation]:
    """Yield what is wrong with one output of a tool call."""
    spec = source if isinstance(source, OutputSpec) else None
    jmespath = spec.path if spec else source if isinstance(source, str) and not is_template(source) else None
    place = (*path, "path") if spec else path
    if jmespath is not None:
        yield from _check_jmespath(place, jmespath)
    if spec is None:
        return
    if spec.regex is not None:
        found = list(_check_pattern((*path, "regex"), spec.regex))
        yield from found
        if not found:
            try:
                value_group(spec.regex, name)
            except PatternError as error:
                yield Violation((*path, "regex"), "bad-regex", str(error))
    if spec.kept and "lifecycleTools" in path:
        message = "'kept' has no effect on an output of a tool call"
        fix = "give it to the output of the service (serviceConfig.outputs)"
        yield Violation((*path, "kept"), "no-effect", message, fix, at_key=True)
    if spec.has_default and "required" in spec.model_fields_set and spec.required:
        message = "'required' has no effect together with a default"
        yield Violation((*path, "required"), "no-effect", message, "remove one of them", at_key=True)


def _check_expectation(path: KeyPath, expectation: Expectation) -> Iterator[Violation]:
    for key in ("jsonPath", "jmespath", "contains", "matches"):
        value: Any = getattr(expectation, "json_path" if key == "jsonPath" else key)
        entries: Sequence[Any] = [value] if isinstance(value, str) else list(value or ())
        if value is not None and (not entries or "" in entries):
            message = f"an empty {key!r} expects nothing"
            yield Violation((*path, key), "no-effect", message, "remove it, or say what is expected")
    for jmespath in expectation.json_path or {}:
        yield from _check_jmespath((*path, "jsonPath", jmespath), jmespath, at_key=True)
    for key, place, text in _listed_texts(expectation):
        if is_template(text) or not text:
            continue
        if key == "jmespath":
            yield from _check_jmespath((*path, *place), text)
        else:
            yield from _check_pattern((*path, *place), text)


def _listed_texts(expectation: Expectation) -> Iterator[tuple[str, KeyPath, str]]:
    for key in ("jmespath", "matches"):
        value: str | list[str] | None = getattr(expectation, key)
        if isinstance(value, str):
            yield key, (key,), value
        for index, text in enumerate(value if isinstance(value, list) else ()):
            yield key, (key, index), text


def _check_jmespath(path: KeyPath, text: str, *, at_key: bool = False) -> Iterator[Violation]:
    try:
        compile_path(text)
    except ExtractionError as error:
        message, _, fix = error.summary.partition("; ")
        if not fix and text.strip().startswith("{{"):
            fix = "templates are not allowed here"
        yield Violation(path, "bad-jmespath", message, fix, at_key=at_key)


def _check_pattern(path: KeyPath, pattern: str, *, at_key: bool = False) -> Iterator[Violation]:
    try:
        compile_pattern(pattern)
    except PatternError as error:
        yield Violation(path, "bad-regex", str(error), at_key=at_key)


def _check_leftovers(service_class: ServiceClass, spec: LeftoversSpec) -> Iterator[Violation]:
    """Yield bad paths, stops that could hit something else, and values that a stop needs and no output has."""
    place: KeyPath = (*CONFIG, "leftovers")
    paths = {(*place, "outputs", name): path for name, path in spec.outputs.items()}
    for key, path in {
        (*place, "items"): spec.items,
        (*place, "service"): spec.service,
        (*place, "mark"): spec.mark,
        (*place, "serviceClass"): spec.service_class,
        **paths,
    }.items():
        try:
            compile_path(path)
        except ExtractionError as error:
            yield Violation(key, "bad-jmespath", str(error))
    yield from _check_inspection(place, spec)
    tools = service_class.tools
    known = {"start": set(spec.outputs), "service": {"id", "name", "class", "mark"}}
    defaults = {name for name, arg in service_class.spec.args.items() if arg.has_default}
    naming = {("service", "id"), *(("start", name) for name in spec.outputs)}
    for call in (*tools.pre_stop, tools.stop):
        if not any(name[:2] in naming for name in referenced_names(call.args)):  # by default args it may be another's
            message = f"{call.tool} is called with nothing that says which of the things left over is meant"
            fix = "call it with 'service.id', or with an output of start that leftovers gives"
            yield Violation(place, "bad-value", message, fix, at_key=True)
    calls = (*tools.pre_stop, tools.stop, tools.stopped, tools.status, tools.find)
    for call in calls:
        for name in sorted(referenced_names(call.args) if call is not None else ()):
            root, below = name[0], name[1:2]
            if call is None or (below and below[0] in known.get(root, ())) or root == "env" or root in defaults:
                continue
            message = f"{'.'.join(name)!r}, which {call.tool} is called with, is not known of something left over"
            fix = f"add {below[0]!r} to its outputs" if root == "start" and below else "use an output of start"
            yield Violation(place, "find-incomplete", message, fix, at_key=True)


def _check_inspection(place: KeyPath, spec: LeftoversSpec) -> Iterator[Violation]:
    if spec.item_pattern is not None:
        try:
            value_group(spec.item_pattern, "item")
        except PatternError as error:
            yield Violation((*place, "itemPattern"), "bad-regex", str(error))
        if spec.inspect_tool is None:
            message = "a text that 'itemPattern' finds shows no mark, so nothing would be found"
            fix = "name the tool that shows an item's mark as 'inspectTool'"
            yield Violation((*place, "itemPattern"), "no-effect", message, fix, at_key=True)
    if spec.inspect_tool is not None and not any(name[:1] == ("item",) for name in referenced_names(spec.inspect_args)):
        message = "'inspectTool' is called with nothing that says which item is meant"
        yield Violation((*place, "inspectTool"), "bad-value", message, "give it '{{ item }}' in 'inspectArgs'")


def _check_config(service_class: ServiceClass) -> Iterator[Violation]:
    config, tools = service_class.config, service_class.tools
    checks = tools.health_check or tools.status
    if config.health_check is not None and config.health_check.enabled and checks is None:
        message = "'healthCheck' has no effect: there is no tool to check with"
        fix = "add lifecycleTools.healthCheck (or status), or write 'enabled: false'"
        yield Violation((*CONFIG, "healthCheck"), "no-effect", message, fix, at_key=True)
    yield from _check_disabled_health(config.health_check)
    if config.leftovers is not None:
        yield from _check_leftovers(service_class, config.leftovers)
    if "health_check" in config.timeout.model_fields_set:
        place = (*CONFIG, "timeout", "healthCheck")
        if checks is None:
            message = "'timeout.healthCheck' has no effect: there is no tool to check with"
            yield Violation(place, "no-effect", message, "remove it", at_key=True)
        elif (
            config.health_check is not None
            and "timeout" in config.health_check.model_fields_set
            and config.health_check.timeout != config.timeout.health_check
        ):
            message = "'timeout.healthCheck' contradicts 'healthCheck.timeout'"
            yield Violation(place, "bad-value", message, "write one of them", at_key=True)
    health = config.health_check
    if health is not None and not health.enabled:
        for field, key in (("interval", "interval"), ("initial_delay", "initialDelay")):
            if field in health.model_fields_set:
                message = f"{key!r} has no effect with 'enabled: false'"
                yield Violation((*CONFIG, "healthCheck", key), "no-effect", message, "remove it", at_key=True)
    if config.idle_stop is not None and tools.start.server != PROCESS_SERVER:
        message = f"'idleStop' has no effect: the use of what {tools.start.tool!r} starts cannot be seen"
        fix = "remove it; only the use of local processes is seen, which process/start starts"
        yield Violation((*CONFIG, "idleStop"), "no-effect", message, fix, at_key=True)
    yield from _check_completed(service_class)
    yield from check_restart_policy(service_class)
    yield from _check_dependencies(config.dependencies)
    yield from _check_service_outputs(config.outputs)


def _check_completed(service_class: ServiceClass) -> Iterator[Violation]:
    completed, place = service_class.config.completed, (*CONFIG, "completed")
    if completed is None:
        return
    yield from _check_expectation(place, completed)
    if not service_class.looks_after_start:
        message = "'completed' has no effect: there is no tool whose answer could say so"
        fix = "add lifecycleTools.status (or healthCheck)"
        yield Violation(place, "no-effect", message, fix, at_key=True)
    elif not service_class.config.health.enabled:
        message = "'completed' has no effect with 'healthCheck: {enabled: false}': nothing checks a running service"
        yield Violation(place, "no-effect", message, "let the checks be enabled, or remove it", at_key=True)


def _check_disabled_health(health: HealthCheckSpec | None) -> Iterator[Violation]:
    if health is None or health.enabled:
        return
    for key in sorted(map(to_camel, health.model_fields_set - {"enabled"})):
        message = f"{key!r} has no effect with 'enabled: false'"
        place = (*CONFIG, "healthCheck", key)
        yield Violation(place, "no-effect", message, "remove it, or enable the check", at_key=True)


def _check_dependencies(dependencies: Sequence[str | DependencySpec]) -> Iterator[Violation]:
    aliases: dict[str, int] = {}
    for index, dependency in enumerate(dependencies):
        path = (*CONFIG, "dependencies", index)
        alias = dependency_alias(dependency)
        if alias in aliases:
            message = f"dependencies[{aliases[alias]}] is called {alias!r} too"
            yield Violation(path, "bad-value", message, "give one of them another 'alias'")
        elif alias:
            aliases[alias] = index
        if isinstance(dependency, DependencySpec) and dependency.alias and not dependency.alias.isidentifier():
            message = f"alias {dependency.alias!r} cannot be written in a template (dependencies.{dependency.alias})"
            fix = f"write {re.sub(r'[^0-9A-Za-z_]+', '_', dependency.alias)!r}"
            yield Violation((*path, "alias"), "bad-value", message, fix)
        when = dependency.when if isinstance(dependency, DependencySpec) else None
        if when is not None and not is_template(when) and when not in ("true", "false"):
            message = f"'when: {when}' is plain text, not a condition"
            yield Violation((*path, "when"), "no-effect", message, f'write when: "{{{{ {when} }}}}"')


def _check_service_outputs(outputs: Mapping[str, str | OutputSpec]) -> Iterator[Violation]:
    for name, source in outputs.items():
        path = (*CONFIG, "outputs", name)
        if isinstance(source, OutputSpec) and source.regex is not None:
            message = "'regex' has no effect here: there is no answer to search"
            fix = "take it in the outputs of the start tool, and use it here as {{ start." + name + " }}"
            yield Violation((*path, "regex"), "no-effect", message, fix, at_key=True)
        elif isinstance(source, OutputSpec):
            yield from check_output(path, name, source)
