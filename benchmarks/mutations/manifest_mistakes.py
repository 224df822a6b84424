"""Mistakes in keys, types, the declared args, patterns, dependencies and settings."""

import copy
import re
from collections.abc import Iterator

from benchmarks.mutations.subjects import GONE, Path, Renamed, Sites, Subject, leaves, typo
from ostler.model.json import JsonObject, JsonValue


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
    for path, value in leaves(subject.value):
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
    for path, value in leaves(subject.value):
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
    for path, value in leaves(subject.value):
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
