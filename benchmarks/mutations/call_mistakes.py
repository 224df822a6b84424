"""Mistakes in tool calls: tools and arguments, templates, outputs, expectations and times."""

import json
import re

from benchmarks.mutations.subjects import GONE, Path, Renamed, Sites, Subject, leaves, templates, typo
from ostler.model.json import JsonObject, JsonValue


def tool_name(subject: Subject) -> Sites:
    """A letter wrong in the tool's name."""
    for path, call in subject.calls():
        server, _, tool = call["tool"].partition("/")
        yield (*path, "tool"), f"{server}/{typo(tool, subject.rng)}"


def server_name(subject: Subject) -> Sites:
    """A letter wrong in the server's name."""
    for path, call in subject.calls():
        server, _, tool = call["tool"].partition("/")
        yield (*path, "tool"), f"{typo(server, subject.rng)}/{tool}"


def tool_without_server(subject: Subject) -> Sites:
    """The tool alone, without its server."""
    for path, call in subject.calls():
        yield (*path, "tool"), call["tool"].partition("/")[2]


def wrong_tool(subject: Subject) -> Sites:
    """Another tool of the same server, whose arguments are not these."""
    for path, call in subject.calls():
        server, _, tool = call["tool"].partition("/")
        listed = subject.tools.of(server)
        given = set(call.get("args", {}))
        for other, schema in sorted(listed.tools.items()) if listed else ():
            if other != tool and "properties" in schema.input_schema and given - set(schema.parameters):
                yield (*path, "tool"), f"{server}/{other}"
                break


def arg_name(subject: Subject) -> Sites:
    """A letter wrong in the name of a tool's argument, at any depth that the schema knows."""
    for path, call in subject.calls():
        for name, value in call.get("args", {}).items():
            yield (*path, "args", name), Renamed(typo(name, subject.rng))
            schema = subject.schema(call).get("properties", {}).get(name, {})
            if (
                isinstance(value, dict)
                and "additionalProperties" in json.dumps(schema)
                and '"properties"' in json.dumps(schema)
            ):
                for inner in value:
                    yield (*path, "args", name, inner), Renamed(typo(inner, subject.rng))


def arg_missing(subject: Subject) -> Sites:
    """A required argument of a tool left out."""
    for path, call in subject.calls():
        for name in subject.schema(call).get("required", []):
            if name in call.get("args", {}):
                yield (*path, "args", name), GONE


def arg_type(subject: Subject) -> Sites:
    """A literal of another type than the tool takes."""
    for path, call in subject.calls():
        properties = subject.schema(call).get("properties", {})
        for name, value in call.get("args", {}).items():
            wrong = _wrong_type(properties.get(name, {}))
            if wrong is not None and value != wrong:
                yield (*path, "args", name), wrong


def _wrong_type(schema: JsonObject) -> JsonValue:
    kinds = set(re.findall(r'"(?:type)": "(\w+)"', json.dumps(schema)))
    kinds |= set(schema["type"]) if isinstance(schema.get("type"), list) else set()
    for kind, value in (("boolean", "yes please"), ("integer", "many"), ("string", {"a": 1}), ("object", "text")):
        wanted = {"string"} if kind != "string" else {"object"}
        if (
            kind in kinds
            and not kinds & wanted
            and not (kind == "string" and "anyOf" in json.dumps(schema) and "object" in kinds)
        ):
            return value
    return None


def arg_value(subject: Subject) -> Sites:
    """A value that the schema's enum or limits do not allow."""
    for path, call in subject.calls():
        properties = subject.schema(call).get("properties", {})
        for name in call.get("args", {}):
            schema = properties.get(name, {})
            if "enum" in schema:
                yield (*path, "args", name), typo(str(schema["enum"][0]), subject.rng)
            if "maximum" in schema:
                yield (*path, "args", name), schema["maximum"] + 1
            if "minimum" in schema:
                yield (*path, "args", name), schema["minimum"] - 1


def template_name(subject: Subject) -> Sites:
    """A letter wrong in a name that a template uses."""
    for path, text in templates(subject):
        for match in re.finditer(r"\{\{(.*?)\}\}", text):
            names = [
                found
                for found in re.finditer(r"(?<![\w|'\"])[A-Za-z_][\w.]*(?!['\"\w(])", _unquoted(match[1]))
                if found[0]
                not in ("if", "else", "in", "not", "and", "or", "is", "none", "default", "replace", "true", "false")
            ]
            if names:
                found = subject.rng.choice(names)
                start = match.start(1) + found.start()
                yield path, text[:start] + typo(found[0], subject.rng) + text[start + len(found[0]) :]


def _unquoted(text: str) -> str:
    """Return `text` with what stands in quotes blanked out."""
    return re.sub(r"'[^']*'|\"[^\"]*\"", lambda found: " " * len(found[0]), text)


def template_syntax(subject: Subject) -> Sites:
    """A brace, a bracket or a quote lost in a template."""
    for path, text in templates(subject):
        places = [n for n, letter in enumerate(text) if letter in "{}'()" and _counts(text, n)]
        if places:
            index = subject.rng.choice(places)
            yield path, text[:index] + text[index + 1 :]


def _counts(text: str, index: int) -> bool:
    """Whether the letter at `index` belongs to a template's own syntax, not to a text like `{port}`."""
    return any(match.start() <= index < match.end() for match in re.finditer(r"(?s)\{\{.*?\}\}", text))


def template_filter(subject: Subject) -> Sites:
    """A letter wrong in a filter's name."""
    for path, text in templates(subject):
        for match in re.finditer(r"\|\s*(\w+)", text):
            yield path, text[: match.start(1)] + typo(match[1], subject.rng) + text[match.end(1) :]


def template_type(subject: Subject) -> Sites:
    """An arg of another type where a template names one of the right type."""
    args: JsonObject = subject.value["spec"].get("args", {})
    for path, text in templates(subject):
        found = re.fullmatch(r"\{\{ (\w+)(?: \|.*)? \}\}", text)
        if not found or found[1] not in args or "args" not in path:
            continue
        kinds = {"string": "object", "integer": "object", "boolean": "array", "object": "string", "array": "boolean"}
        wanted = kinds.get(args[found[1]].get("type", "string"))
        others = [
            name for name, spec in args.items() if spec.get("type") == wanted and spec.get("required") is not None
        ]
        others += [name for name, spec in args.items() if spec.get("type") == wanted and "default" in spec]
        if others:
            yield path, f"{{{{ {subject.rng.choice(others)} }}}}"


def stop_before_start(subject: Subject) -> Sites:
    """Start uses what only a later step knows."""
    for path, call in subject.calls():
        if path[-1] == "start":
            for name in call.get("args", {}):
                yield (*path, "args", name), "{{ stop.id }}"
                yield (*path, "args", name), "{{ outputs.url }}"
        if path[-1] == "stop":
            for name in call.get("args", {}):
                yield (*path, "args", name), "{{ start.nothing }}"


def output_path(subject: Subject) -> Sites:
    """A letter wrong in the path of an output."""
    for path, call in subject.calls():
        for name, source in call.get("outputs", {}).items():
            text = source.get("path") if isinstance(source, dict) else source
            if isinstance(text, str) and "{{" not in text:
                place = (*path, "outputs", name, "path") if isinstance(source, dict) else (*path, "outputs", name)
                yield place, typo(text, subject.rng)


def output_syntax(subject: Subject) -> Sites:
    """A path that is no JMESPath."""
    for path, call in subject.calls():
        for name, source in call.get("outputs", {}).items():
            if isinstance(source, str) and "{{" not in source:
                yield (*path, "outputs", name), f"$.{source}"
                yield (*path, "outputs", name), f"{source}[0"


def output_name(subject: Subject) -> Sites:
    """A letter wrong in the name of an output."""
    for path, call in subject.calls():
        for name in call.get("outputs", {}):
            yield (*path, "outputs", name), Renamed(typo(name, subject.rng))


def output_missing(subject: Subject) -> Sites:
    """An output left out that others use."""
    for path, call in subject.calls():
        for name in call.get("outputs", {}):
            if path[-1] == "start" and f"start.{name}" in json.dumps(subject.config):
                yield (*path, "outputs", name), GONE


def expectation_path(subject: Subject) -> Sites:
    """A letter wrong in a path of an expectation."""
    for path, call in subject.calls():
        for key in ("expect", "expectNot"):
            for name in call.get(key, {}).get("jsonPath", {}):
                yield (*path, key, "jsonPath", name), Renamed(typo(name, subject.rng))


def expectation_value(subject: Subject) -> Sites:
    """A value that the answer can never have."""
    for path, call in subject.calls():
        for key in ("expect", "expectNot"):
            for name, wanted in call.get(key, {}).get("jsonPath", {}).items():
                wrong = typo(wanted, subject.rng) if isinstance(wanted, str) else "soon"
                yield (*path, key, "jsonPath", name), wrong


def expectation_empty(subject: Subject) -> Sites:
    """An expectation that says nothing, or the opposite of itself."""
    for path, call in subject.calls():
        if "expect" in call:
            yield (*path, "expect"), {}
            yield (*path, "expectNot"), call["expect"]


def duration(subject: Subject) -> Sites:
    """A duration that is none."""
    for path, value in leaves(subject.config, ("spec", "serviceConfig")):
        if isinstance(value, str) and re.fullmatch(r"\d+(ms|s|m|h)", value) and "args" not in path:
            for wrong in (f"{value}x", value.replace("s", " sec").replace("m", " min"), f"-{value}", "soon"):
                yield path, wrong


def duration_conflict(subject: Subject) -> Sites:
    """Durations that contradict each other."""
    base: Path = ("spec", "serviceConfig")
    config = subject.config
    if "healthCheck" in config and {"status", "healthCheck"} & set(config["lifecycleTools"]):
        yield (*base, "healthCheck", "interval"), "1s"
    create = config.get("timeout", {}).get("create")
    for path, _ in subject.calls():
        if path[-1] in ("start", "stop", "ready"):
            yield (*path, "timeout"), "3h"
    if create is not None and "restart" not in config["lifecycleTools"]:
        yield (*base, "timeout", "restart"), "1s"
    if "ready" in config["lifecycleTools"]:
        yield (*base, "lifecycleTools", "ready", "interval"), "2h"
    yield (*base, "lifecycleTools", "stop", "retry"), {"attempts": 10, "delay": "10m"}
