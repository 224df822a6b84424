"""The tools of a server as drafts look at them: parameters, uses of an `action`, and the fields of their answers."""

import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import cast

from msgspec import Struct
from msgspec.structs import force_setattr

from ostler.model.json import JsonMapping, JsonObject, JsonValue, as_object, parse_json
from ostler.rules.checking.identity import is_identifier
from ostler.rules.drafts.lifecycle_words import ALSO_NOUNS, ENDS, LISTS, LOGS, RESTARTS, STARTS, STATUS, words_of
from ostler.rules.drafts.sound_schemas import LONGEST_TEXT, sound_schema

ACTION_PARAMETERS = (
    "action",
    "operation",
    "command",
    "mode",
    "subCommand",
    "subcommand",
    "op",
    "verb",
    "method",
    "cmd",
)
_QUOTED = re.compile(
    r"""["'`]([A-Za-z][\w-]{1,30})["'`]|^\s*[-*]?\s*([a-z][a-z_-]{2,30})\s*[:=\u2013\u2014]""", re.MULTILINE
)
_ENUMERATION = re.compile(
    r"\b[A-Za-z][\w-]*(?:(?:\s*[,|/]\s*(?:or\s+|and\s+)?|\s+or\s+)[A-Za-z][\w-]*(?: (?:down|up|off|on)\b)?)+"
)
_ARGUMENTS = re.compile(
    r"^[ \t]*(?:Args|Arguments|Parameters):[ \t]*\n((?:[ \t]+\S.*(?:\n|\Z)|[ \t]*\n)+)", re.MULTILINE
)
_ARGUMENT = re.compile(
    r"^[ \t]+(\w+)(?:[ \t]*\([^)\n]*\))?:[ \t]*"
    r"(\S.*(?:\n(?![ \t]*\w+(?:[ \t]*\([^)\n]*\))?:[ \t])[ \t]+\S.*)*)",
    re.MULTILINE,
)
_VERBS = frozenset((*STARTS, *ENDS, *STATUS, *LISTS, *LOGS, *RESTARTS))
_MOST_REFERENCES = 4


class Answered(Struct, frozen=True):
    """An answer that a tool gave to a call, recorded.

    Attributes:
        args: the arguments of the call.
        value: the one value of the answer.
        text: the answer as text.
        is_error: it said that it failed.
    """

    args: JsonObject
    value: JsonValue
    text: str = ""
    is_error: bool = False


class Tool(Struct, frozen=True):
    """A tool as its server lists it, with recorded answers."""

    name: str
    input_schema: JsonObject = {}
    output_schema: JsonObject | None = None
    annotations: JsonObject = {}
    description: str = ""
    answers: tuple[Answered, ...] = ()

    def __post_init__(self) -> None:
        """Keep of the schemas what can be read."""
        force_setattr(self, "input_schema", sound_schema(self.input_schema))
        force_setattr(self, "output_schema", self.output_schema and sound_schema(self.output_schema))
        force_setattr(self, "description", self.description[:LONGEST_TEXT])

    @classmethod
    def of(cls, listed: JsonMapping, answers: tuple[Answered, ...] = ()) -> "Tool":
        """Return a tool of a `tools/list` answer, with recorded answers."""
        said = listed.get("description") or ""
        schema = with_described(with_examples(sound_schema(listed["inputSchema"]), said), said)
        return cls(listed["name"], schema, listed.get("outputSchema"), listed.get("annotations") or {}, said, answers)

    @property
    def is_read_only(self) -> bool:
        """Whether it says that it changes nothing."""
        return self.annotations.get("readOnlyHint") is True

    def parameters(self) -> JsonObject:
        """Return its parameters by name; those of a lone object that wraps them all are its own."""
        return dict(parameters_of(self.input_schema)[1])

    def parameter(self, name: str) -> JsonObject:
        """Return the schema of one parameter, empty when there is none or it says nothing."""
        schema = self.parameters().get(name)
        return as_object(schema)

    def required(self) -> list[str]:
        """Return the names of the parameters that it needs."""
        return list(parameters_of(self.input_schema)[2])


class Step(Struct, frozen=True):
    """One use of a tool: the tool itself, or the tool with one value of a parameter that says what to do."""

    tool: Tool
    words: tuple[str, ...]
    fixed: tuple[tuple[str, JsonValue], ...] = ()

    def __str__(self) -> str:
        return self.tool.name + "".join(f"({key}={_said(value)})" for key, value in self.fixed)

    @property
    def saying(self) -> tuple[str, ...]:
        """The words for what this use does: of the action alone, if there is one."""
        if not self.fixed:
            return self.words
        key, value = self.fixed[0]
        return action_words(key if value is True else str(value))

    def needed(self) -> list[str]:
        """Return the parameters that it needs, without those that are fixed."""
        return [name for name in self.tool.required() if name not in dict(self.fixed)]

    def description_of(self, name: str) -> str:
        """Return the description of a parameter, or an empty text."""
        schema = self.tool.parameter(name)
        for option in (schema, *(schema.get("anyOf") or ())):
            if isinstance(option, dict) and "description" in option:
                return str(cast("JsonObject", option)["description"])
        return ""


def _said(value: JsonValue) -> str:
    return "true" if value is True else str(value)


def parameters_of(schema: JsonObject) -> tuple[str, JsonObject, list[str]]:
    """Return (wrapper, parameters, required): `wrapper` is the lone object parameter that holds all others, or ''."""
    properties: JsonObject = schema.get("properties") or {}
    if len(properties) == 1:
        [name] = properties
        inner = resolved(properties[name], schema)
        if inner.get("type") == "object" and inner.get("properties"):
            return name, inner["properties"], list(inner.get("required") or [])
    return "", properties, list(schema.get("required") or [])


def with_examples(schema: JsonObject, description: str) -> JsonObject:
    """Return a schema with the parameters that examples in the description show, where it says nothing of them.

    Some tools take one object of any kind, and describe what it may hold: `{"action": "stop", "id": "p1"}`.
    """
    properties: JsonObject = schema.get("properties") or {}
    if len(properties) != 1:
        return schema
    [(name, wrapped)] = properties.items()
    inner = resolved(wrapped, schema)
    if inner.get("type") != "object" or inner.get("properties"):
        return schema
    shown = list(_examples(description))
    action = next((key for key in ACTION_PARAMETERS if len(shown) > 1 and all(key in each for each in shown)), "")
    if not action:
        return schema
    known: JsonObject = {key: {"type": json_type(value)} for each in reversed(shown) for key, value in each.items()}
    known[action] = {"type": "string", "enum": list(dict.fromkeys(str(each[action]) for each in shown))}
    return {**schema, "properties": {name: {"type": "object", "properties": known, "required": [action]}}}


def with_described(schema: JsonObject, description: str) -> JsonObject:
    """Return a schema whose parameters have what the `Args:` section of the description says of each."""
    found = _ARGUMENTS.search(description)
    properties: JsonObject = schema.get("properties") or {}
    if found is None or not properties:
        return schema
    said = {name: " ".join(text.split()) for name, text in _ARGUMENT.findall(found[1])}
    described: JsonObject = {
        name: {**known, "description": said[name]}
        if name in said and isinstance(known, dict) and "description" not in known
        else known
        for name, known in properties.items()
    }
    return {**schema, "properties": described}


def json_type(value: JsonValue) -> str:
    """Return the type that a schema has for a value as it was seen; of null, that of a text."""
    kinds = ((bool, "boolean"), (int, "integer"), (float, "number"), (list, "array"), (dict, "object"))
    return next((word for kind, word in kinds if isinstance(value, kind)), "string")


def _examples(text: str) -> Iterator[JsonObject]:
    for found in re.findall(r"\{[^{}]{4,400}\}", text):
        try:
            value: JsonValue = parse_json(found)
        except ValueError:
            continue
        if isinstance(value, dict):
            yield cast("JsonObject", value)


def steps_of(tool: Tool) -> Iterator[Step]:
    """Yield the uses of a tool: itself, and one for each value of a parameter that says what to do."""
    words = words_of(tool.name)
    yield Step(tool, words)
    says_itself = bool(set(words) & (STARTS.keys() | ENDS.keys()) - ALSO_NOUNS)
    for name in ACTION_PARAMETERS:
        if says_itself and name not in ACTION_PARAMETERS[:2]:
            continue  # how, and not what: stop(mode=poweroff)
        for value in _actions(tool, name):
            yield Step(tool, (*words, *action_words(value)), ((name, value),))
    flags = [
        name
        for name, schema in tool.parameters().items()
        if name in STARTS or name in ENDS
        if isinstance(schema, dict) and cast("JsonObject", schema).get("type") == "boolean"
    ]
    if any(name in STARTS for name in flags) and any(name in ENDS for name in flags):
        yield from (Step(tool, (*words, name), ((name, True),)) for name in flags)


def action_words(value: str) -> tuple[str, ...]:
    """Return the words of an action: `on` and `off` are what starts and stops."""
    return {"on": ("start",), "off": ("stop",)}.get(value.lower()) or words_of(value)


def _actions(tool: Tool, name: str) -> list[str]:
    """Return the values of a parameter that says what to do: its enum, or those that its description lists."""
    schema = tool.parameter(name)
    if not schema:
        return []
    listed = values_of(schema)
    if listed:
        named = [value for value in listed if isinstance(value, str)]
        return named if any(set(action_words(value)) & _VERBS for value in named) else []
    if name not in ACTION_PARAMETERS[:2]:
        return []
    text = f"{schema.get('description', '')}\n{tool.description}"
    named = [first or second for first, second in _QUOTED.findall(text)]
    after = re.findall(
        r"(?:one of|actions?|operations?)\W{1,3}((?:[\w-]+(?:\s*[,|/]\s*(?:or\s+)?)?)+)", text, re.IGNORECASE
    )
    named += [word for group in after for word in re.findall(r"[A-Za-z][\w-]+", group)]
    named += _enumerated(text)
    return list(dict.fromkeys(word for word in named if set(action_words(word)) & _VERBS))


def _enumerated(text: str) -> list[str]:
    """Return the words of each enumeration in prose that has what starts and what ends (`start, stop or restart`)."""
    found: list[str] = []
    for group in _ENUMERATION.findall(re.sub(r"\s*\([^(),]*\)", "", text)):
        words = [word.lower() for word in re.split(r"\s*[,|/]\s*(?:or\s+|and\s+)?|\s+or\s+", group) if " " not in word]
        if any(word in STARTS for word in words) and any(word in ENDS for word in words):
            found += words
    return found


def values_of(schema: JsonObject) -> list[JsonValue]:
    """Return the only values that a schema allows, empty when it allows any."""
    found: list[JsonValue] = list(schema.get("enum") or ())
    if "const" in schema:
        found.append(schema["const"])
    for key in ("anyOf", "oneOf"):
        for option in schema.get(key) or ():
            if isinstance(option, dict):
                found += values_of(cast("JsonObject", option))
    return [value for value in found if value is not None]


def kind_value(step: Step, name: str, things: AbstractSet[str]) -> str:
    """Return the value of a parameter that says which kind is meant (`kind: session`); '' when there is none."""
    if is_identifier(name):
        return ""
    schema = step.tool.parameter(name)
    listed = [str(value) for value in values_of(schema)]
    if not listed:
        listed = re.findall(r"[\"'`]([a-z][\w-]*)[\"'`]", f"{step.description_of(name)} {step.tool.description}")
        if name not in ("kind", "type", "resource", "resource_type", "resourceType", "object", "entity"):
            return ""
    return next((value for value in listed if words_of(value) and set(words_of(value)) <= things), "")


def resolved(schema: JsonValue, root: JsonObject) -> JsonObject:
    """Return a schema with its `$ref` into `root` followed."""
    for _ in range(_MOST_REFERENCES):
        if not isinstance(schema, dict):
            return {}
        known = cast("JsonObject", schema)
        ref = known.get("$ref")
        if not isinstance(ref, str) or not ref.startswith("#/"):
            return known
        found: JsonValue = root
        for part in ref[2:].split("/"):
            found = cast("JsonObject", found).get(part) if isinstance(found, dict) else None
        schema = found
    return {}
