"""Mistakes that people make when they write a class, put into a class that has none, each alone."""

import copy
import json
import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from ostler.model.json import JsonObject, JsonValue
from ostler.rules.checking.tool_lists import KnownTools
from ostler.rules.text.yaml_source import read_documents

ItemT = TypeVar("ItemT")
Path: TypeAlias = tuple[str | int, ...]
Sites: TypeAlias = Iterator[tuple[Path, JsonValue]]

GONE = object()
"""Instead of a value: its key is removed."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A class with one mistake: its kind, where it was put, and the whole text."""

    kind: str
    place: str
    text: str


@dataclass(frozen=True, slots=True)
class Subject:
    """A class that mistakes are put into."""

    text: str
    value: JsonObject
    tools: KnownTools
    rng: random.Random

    @property
    def config(self) -> JsonObject:
        """Its `serviceConfig`."""
        return self.value["spec"]["serviceConfig"]

    def calls(self) -> Iterator[tuple[Path, JsonObject]]:
        """Yield every tool call with its path."""
        base: Path = ("spec", "serviceConfig", "lifecycleTools")
        for step, call in self.config["lifecycleTools"].items():
            if isinstance(call, list):
                yield from (((*base, step, index), item) for index, item in enumerate(call))
            else:
                yield (*base, step), call

    def schema(self, call: JsonObject) -> JsonObject:
        """Return the input schema of the call's tool."""
        server, _, tool = call["tool"].partition("/")
        listed = self.tools.of(server)
        return dict(listed.tools[tool].input_schema) if listed else {}


def mutants(text: str, tools: KnownTools, seed: int = 1, *, limit: int | None = None) -> Iterator[Mutant]:
    """Yield the class in `text` with one mistake after the other; the same ones for the same seed.

    Args:
        text: a class in which nothing is wrong.
        tools: the tools that it calls.
        seed: which mistakes, where there are many.
        limit: at most so many of a kind; all when None.
    """
    documents, findings = read_documents(text)
    assert not findings
    assert len(documents) == 1
    value: JsonObject = documents[0].value
    plain = _without_descriptions(value)
    seen: set[str] = set()
    for kind, sites in KINDS.items():
        subject = Subject(text, value, tools, random.Random(f"{seed} {kind} {value['metadata']['name']}"))
        for path, new in _some(sites(subject), limit, subject.rng):
            mutated = changed(value, path, new)
            made = json.dumps(mutated, indent=1, ensure_ascii=False)
            if _without_descriptions(mutated) != plain and made not in seen:
                seen.add(made)
                yield Mutant(kind, _dotted(path), made)
    for kind, texts in TEXT_KINDS.items():
        subject = Subject(text, value, tools, random.Random(f"{seed} {kind} {value['metadata']['name']}"))
        for line, made in _some(texts(subject), limit, subject.rng):
            read, problems = read_documents(made)
            same = not problems and len(read) == 1 and _without_descriptions(read[0].value) == plain
            if not same and made not in seen:
                seen.add(made)
                yield Mutant(kind, f"line {line}", made)


def _some(items: Iterator[ItemT], limit: int | None, rng: random.Random) -> list[ItemT]:
    found = list(items)
    return found if limit is None or len(found) <= limit else rng.sample(found, limit)


def changed(value: JsonValue, path: Path, new: Any) -> JsonValue:
    """Return a copy of `value` with the part at `path` replaced; a `Renamed` key keeps its place."""
    if not path:
        return new
    made: Any = copy.copy(value)
    key, *rest = path
    if rest:
        inner = made.get(key, {}) if isinstance(made, dict) else made[key]
        made[key] = changed(inner, tuple(rest), new)
    elif isinstance(new, Renamed):
        return {new.name if name == key else name: item for name, item in made.items()}
    elif new is GONE:
        del made[key]
    else:
        made[key] = new
    return made


@dataclass(frozen=True, slots=True)
class Renamed:
    """Instead of a value: its key gets another name."""

    name: str


def typo(text: str, rng: random.Random) -> str:
    """Return `text` with a letter lost, doubled, swapped or hit beside."""
    letters = [index for index, letter in enumerate(text) if letter.isalnum()]
    if len(text) < 2 or not letters:
        return f"{text}x"
    for _ in range(20):
        index = rng.choice(letters)
        match rng.randrange(4):
            case 0:
                made = text[:index] + text[index + 1 :]
            case 1:
                made = text[:index] + text[index] + text[index:]
            case 2:
                made = text[:index] + text[index + 1 : index + 2] + text[index] + text[index + 2 :]
            case _:
                made = text[:index] + rng.choice("aeimnorstu") + text[index + 1 :]
        if made not in (text, ""):
            return made
    return f"{text}x"


def _without_descriptions(value: JsonValue) -> JsonValue:
    if isinstance(value, Mapping):
        return {key: _without_descriptions(item) for key, item in value.items() if key not in ("description", "labels")}
    return [_without_descriptions(item) for item in value] if isinstance(value, list) else value


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))


def _leaves(value: JsonValue, path: Path = ()) -> Sites:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, index))
    else:
        yield path, value


def _templates(subject: Subject) -> Iterator[tuple[Path, str]]:
    for path, value in _leaves(subject.config, ("spec", "serviceConfig")):
        if isinstance(value, str) and "{{" in value:
            yield path, value


# -- kinds of mistake in the values ------------------------------------------------------------------------


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
    for path, text in _templates(subject):
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
    for path, text in _templates(subject):
        places = [n for n, letter in enumerate(text) if letter in "{}'()" and _counts(text, n)]
        if places:
            index = subject.rng.choice(places)
            yield path, text[:index] + text[index + 1 :]


def _counts(text: str, index: int) -> bool:
    """Whether the letter at `index` belongs to a template's own syntax, not to a text like `{port}`."""
    return any(match.start() <= index < match.end() for match in re.finditer(r"(?s)\{\{.*?\}\}", text))


def template_filter(subject: Subject) -> Sites:
    """A letter wrong in a filter's name."""
    for path, text in _templates(subject):
        for match in re.finditer(r"\|\s*(\w+)", text):
            yield path, text[: match.start(1)] + typo(match[1], subject.rng) + text[match.end(1) :]


def template_type(subject: Subject) -> Sites:
    """An arg of another type where a template names one of the right type."""
    args: JsonObject = subject.value["spec"].get("args", {})
    for path, text in _templates(subject):
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
    for path, value in _leaves(subject.config, ("spec", "serviceConfig")):
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


def key_name(subject: Subject) -> Sites:
    """A letter wrong in a key of the manifest."""
    for path, value in _keys(subject.value):
        del value
        yield path, Renamed(typo(str(path[-1]), subject.rng))


def key_style(subject: Subject) -> Sites:
    """A key in another writing style."""
    for path, _ in _keys(subject.value):
        key = str(path[-1])
        snake = re.sub(r"(?<!^)([A-Z])", r"_\1", key).lower()
        for made in (snake, key.capitalize()):
            if made != key:
                yield path, Renamed(made)


def _keys(value: JsonValue, path: Path = ()) -> Sites:
    """Yield the places of the manifest's own keys, not of names that the author chose."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _keys(item, (*path, index))
    if not isinstance(value, dict):
        return
    for key, item in value.items():
        own = path[-1:] in (("args",), ("outputs",), ("jsonPath",), ("labels",)) or "labels" in path
        in_args = "args" in path[2:] or (path[:2] == ("spec", "args") and len(path) > 3)
        if in_args or (path[:2] == ("spec", "args") and "items" in path):
            continue
        if not own:
            yield (*path, key), item
        if key not in ("default", "items", "enum"):
            yield from _keys(item, (*path, key))


def key_missing(subject: Subject) -> Sites:
    """A required key left out."""
    for path in (
        ("apiVersion",), ("kind",), ("metadata",), ("metadata", "name"), ("spec",), ("spec", "serviceConfig"),
        ("spec", "serviceConfig", "lifecycleTools"), ("spec", "serviceConfig", "lifecycleTools", "start"),
        ("spec", "serviceConfig", "lifecycleTools", "stop"),
    ):  # fmt: skip
        yield path, GONE
    for path, _ in subject.calls():
        yield (*path, "tool"), GONE


def key_misplaced(subject: Subject) -> Sites:
    """A key a level too high or too low."""
    config = copy.deepcopy(subject.config)
    base: Path = ("spec", "serviceConfig")
    for key in ("healthCheck", "timeout", "outputs", "restartPolicy"):
        if key in config:
            rest = {name: item for name, item in config.items() if name != key}
            yield ("spec",), {**subject.value["spec"], key: config[key], "serviceConfig": rest}
            if key != "healthCheck":
                yield base, {**rest, "lifecycleTools": {**config["lifecycleTools"], key: config[key]}}
    for path, call in subject.calls():
        for key in ("outputs", "expect"):
            if key in call:
                inner = {**call.get("args", {}), key: call[key]}
                rest = {name: item for name, item in call.items() if name != key}
                yield path, {**rest, "args": inner}


def value_type(subject: Subject) -> Sites:
    """A setting of another type: text for a number, a word for a boolean."""
    for path, value in _leaves(subject.value):
        if {"args", "default", "enum", "labels", "jsonPath", "outputs"} & set(path[2:]) and path[:2] != (
            "spec",
            "args",
        ):
            continue
        if path[-1] in ("default", "enum") or "enum" in path:
            continue
        if isinstance(value, bool):
            yield path, "yes" if value else "no"
        elif isinstance(value, int | float):
            yield path, str(value)


def choice(subject: Subject) -> Sites:
    """A letter wrong in a setting with few possible values."""
    for path, value in _leaves(subject.value):
        if path[-1] in ("type", "onUnknown", "policy", "condition", "apiVersion", "kind") and isinstance(value, str):
            yield path, typo(value, subject.rng)


def arg_declared_type(subject: Subject) -> Sites:
    """An arg declared with a type that its default, limits or uses do not fit."""
    swap = {"integer": "boolean", "boolean": "integer", "object": "integer", "array": "boolean", "string": "array"}
    for name, spec in subject.value["spec"].get("args", {}).items():
        yield ("spec", "args", name, "type"), swap.get(spec.get("type", "string"), "array")


def arg_default(subject: Subject) -> Sites:
    """A default that does not fit the arg."""
    for name, spec in subject.value["spec"].get("args", {}).items():
        if "default" in spec:
            wrong = 3 if spec.get("type", "string") in ("string", "object", "array", "boolean") else "three"
            yield ("spec", "args", name, "default"), wrong
            if "enum" in spec:
                yield ("spec", "args", name, "default"), typo(str(spec["default"]), subject.rng)


def arg_limits(subject: Subject) -> Sites:
    """Limits of an arg that are wrong: swapped, beyond what the tool takes, on the wrong type."""
    for name, spec in subject.value["spec"].get("args", {}).items():
        if {"minimum", "maximum"} <= set(spec):
            swapped = {**spec, "minimum": spec["maximum"], "maximum": spec["minimum"]}
            yield ("spec", "args", name), swapped
        if spec.get("type", "string") != "string":
            yield ("spec", "args", name, "pattern"), "^a"
        else:
            yield ("spec", "args", name, "minimum"), 1


def arg_unknown(subject: Subject) -> Sites:
    """An arg left out that templates use, or one that nothing uses."""
    args: JsonObject = subject.value["spec"].get("args", {})
    for name in args:
        yield ("spec", "args", name), GONE
        yield ("spec", "args", name), Renamed(typo(name, subject.rng))
    yield ("spec", "args", "unheardOf"), {"type": "string"}


def regex_syntax(subject: Subject) -> Sites:
    """A regular expression that does not compile."""
    for path, value in _regexes(subject):
        yield path, f"({value}"
        yield path, f"{value}["


def _regexes(subject: Subject) -> Iterator[tuple[Path, str]]:
    for path, value in _leaves(subject.value):
        is_one = path[-1] in ("regex", "pattern", "matches") and "items" not in path
        if is_one and isinstance(value, str) and "{{" not in value:
            yield path, value


def regex_group(subject: Subject) -> Sites:
    """A group that is misnamed, or one too many."""
    for path, value in _regexes(subject):
        if path[-1] == "regex" and "?P<" in value:
            yield path, re.sub(r"\?P<(\w+)>", lambda found: f"?P<{typo(found[1], subject.rng)}>", value)
            yield path, re.sub(r"\(\?P<\w+>", "(", value) + "()"


def regex_text(subject: Subject) -> Sites:
    """A letter wrong in what a regular expression looks for."""
    for path, value in _regexes(subject):
        if path[-1] == "regex":
            words = [
                found
                for found in re.finditer(r"(?<![\\<\w])[A-Za-z]{3,}", value)
                if "<" not in value[found.start() - 1]
            ]
            if words:
                found = words[0]
                yield path, value[: found.start()] + typo(found[0], subject.rng) + value[found.end() :]


def dependency(subject: Subject) -> Sites:
    """A dependency on a class or alias that is not there, on itself, or with wrong args."""
    for index, entry in enumerate(subject.config.get("dependencies", [])):
        path: Path = ("spec", "serviceConfig", "dependencies", index)
        if isinstance(entry, dict):
            if "serviceClassName" in entry:
                yield (*path, "serviceClassName"), typo(entry["serviceClassName"], subject.rng)
                yield (*path, "serviceClassName"), subject.value["metadata"]["name"]
            if "alias" in entry:
                yield (*path, "alias"), typo(entry["alias"], subject.rng)
            for name in entry.get("args", {}):
                yield (*path, "args", name), Renamed(typo(name, subject.rng))
            if "condition" in entry:
                yield (*path, "condition"), typo(entry["condition"], subject.rng)


def without_effect(subject: Subject) -> Sites:
    """Settings that cannot have an effect next to the others."""
    base: Path = ("spec", "serviceConfig")
    yield (*base, "restartPolicy"), {"policy": "never", "maxRestarts": 3}
    yield (*base, "lifecycleTools", "stop", "retry"), {"attempts": 1, "delay": "2s"}
    tools = {k: v for k, v in subject.config["lifecycleTools"].items() if k not in ("status", "healthCheck")}
    yield base, {**subject.config, "lifecycleTools": tools, "healthCheck": {"interval": "5s"}}
    yield (*base, "outputs", "extra"), {"regex": "a(b)"}


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


KINDS: Mapping[str, Callable[[Subject], Sites]] = {
    function.__name__.replace("_", " "): function
    for function in (
        tool_name, server_name, tool_without_server, wrong_tool, arg_name, arg_missing, arg_type, arg_value,
        template_name, template_syntax, template_filter, template_type, stop_before_start, output_path, output_syntax,
        output_name, output_missing, expectation_path, expectation_value, expectation_empty, duration,
        duration_conflict, key_name, key_style, key_missing, key_misplaced, value_type, choice, arg_declared_type,
        arg_default, arg_limits, arg_unknown, regex_syntax, regex_group, regex_text, dependency, without_effect,
    )
}  # fmt: skip


# -- kinds of mistake in the text --------------------------------------------------------------------------


def _lines(subject: Subject) -> Iterator[tuple[int, str]]:
    """Yield the lines outside of block text and comments."""
    block = -1
    for number, line in enumerate(subject.text.splitlines()):
        indent = len(line) - len(line.lstrip())
        if block >= 0 and (indent > block or not line.strip()):
            continue
        block = indent if re.search(r"[:-]\s*[>|][-+]?\s*$", line) else -1
        if line.strip() and not line.lstrip().startswith("#") and line.strip() != "---":
            yield number, line


def _replaced(subject: Subject, number: int, line: str) -> str:
    lines = subject.text.splitlines()
    lines[number] = line
    return "\n".join(lines) + "\n"


def indentation(subject: Subject) -> Iterator[tuple[int, str]]:
    """A line a little too far to the left or to the right."""
    for number, line in _lines(subject):
        yield number + 1, _replaced(subject, number, f" {line}")
        yield number + 1, _replaced(subject, number, f"  {line}")
        if line.startswith("  "):
            yield number + 1, _replaced(subject, number, line[1:])
            yield number + 1, _replaced(subject, number, line[2:])


def tab(subject: Subject) -> Iterator[tuple[int, str]]:
    """A tab instead of spaces."""
    for number, line in _lines(subject):
        if line.startswith("  "):
            yield number + 1, _replaced(subject, number, "\t" + line.lstrip())


def colon(subject: Subject) -> Iterator[tuple[int, str]]:
    """A colon, or the space after it, left out."""
    for number, line in _lines(subject):
        yield number + 1, _replaced(subject, number, line.replace(":", "", 1))
        if ": " in line:
            yield number + 1, _replaced(subject, number, line.replace(": ", ":", 1))


def quote(subject: Subject) -> Iterator[tuple[int, str]]:
    """A quote left out."""
    for number, line in _lines(subject):
        places = [found.start() for found in re.finditer(r'"', line)]
        if places:
            for place in {places[0], places[-1]}:
                yield number + 1, _replaced(subject, number, line[:place] + line[place + 1 :])


def doubled_key(subject: Subject) -> Iterator[tuple[int, str]]:
    """A line that is there twice."""
    for number, line in _lines(subject):
        if re.match(r"\s*[\w-]+:", line):
            yield number + 1, _replaced(subject, number, f"{line}\n{line}")


TEXT_KINDS: Mapping[str, Callable[[Subject], Iterator[tuple[int, str]]]] = {
    "indentation": indentation,
    "tab": tab,
    "colon": colon,
    "quote": quote,
    "doubled key": doubled_key,
}


def any_word(subject: Subject, count: int) -> Iterator[tuple[int, str]]:
    """A letter wrong in any word outside of descriptions, labels and comments, whatever the word means."""
    lines = [(number, line) for number, line in _lines(subject) if not re.search(r"description:|labels:", line)]
    for _ in range(count):
        number, line = subject.rng.choice(lines)
        words = list(re.finditer(r"[A-Za-z]{2,}", line.split(" #")[0]))
        if words:
            word = subject.rng.choice(words)
            wrong = line[: word.start()] + typo(word[0], subject.rng) + line[word.end() :]
            yield number + 1, _replaced(subject, number, wrong)
