"""What answers say about whether a thing exists: values of a state, and errors in prose."""

import json
import re
from collections.abc import Mapping
from typing import cast

from ostler.model.json import JsonObject, JsonValue
from ostler.rules.answers.prose import ENDED_WORDS, FALSE_LIFE, NOT_CONNECTED, PROSE_GONE
from ostler.rules.drafts.answer_fields import AnswerField, answer_fields
from ostler.rules.drafts.data_flow import path_below
from ostler.rules.drafts.lifecycle_words import squeezed
from ostler.rules.drafts.tool_traits import Tool, json_type, resolved

STATE_KEYS = ("state", "status", "phase", "running", "alive", "active", "exists", "isrunning", "is_running", "is_alive",
              "isalive", "is_active", "connected", "ready", "lifecycle_state", "process_status")  # fmt: skip
"""Keys of answers that say whether a thing exists."""

_ENDED = re.compile(
    r"stop|exit|clos|fail|lost|dead|died|kill|complet|finish|terminat|error|not[_ -]?found|done|ended|abort|cancel|"
    r"crash|delet|destroy|remov|releas|disconnect|inactive|shut|offline|unknown|idle_timeout|expired|none",
    re.IGNORECASE,
)
_RUNS = re.compile(
    r"run|activ|ready|start|up\b|open|connect|idle|alive|online|listen|boot|creat|pending|queued|busy|paus|work|wait|"
    r"progress|attached|live|healthy|ok\b",
    re.IGNORECASE,
)

_ON_ITS_WAY = re.compile(
    r"start(?!ed)|boot|creat|pending|queue|init|provision|load|wait|progress|prepar", re.IGNORECASE
)

_LONGEST_STATE = 20
_SAYS_BOOL = re.compile(r"""["'`](\w+)["'`]\s*:\s*(?:bool(?:ean)?|true\s*[|/]\s*false)\b""", re.IGNORECASE)


def ended_entries(key: str) -> list[str]:
    """Return patterns that find a list's entry of `key` (a template) that has ended, or that none is there."""
    state = rf"""(?:["'](?:state|status)["']\s*:\s*["'](?:{ENDED_WORDS})["']|{FALSE_LIFE})"""
    return [rf"""(?i)["']{key}["'][^{{}}]*{state}""", rf"""(?i){state}[^{{}}]*["']{key}["']""", NOT_CONNECTED]


def is_missing_an_error(tool: Tool) -> bool:
    """Whether a tool was seen to fail as its way of saying that the thing does not exist."""
    return any(answer.is_error and re.search(PROSE_GONE, answer.text) for answer in tool.answers)


def state_expectation(tool: Tool) -> JsonObject | None:
    """Return what the answer of a tool about one thing has while the thing runs, None when nothing says so."""
    for each in answer_fields(tool):
        if each.name.lower() in STATE_KEYS:
            seen = list(each.values) or _seen_values(tool, each)
            found = _alive(each.path, each.kind, seen)
            if found:
                return found
    named = (name for name in _SAYS_BOOL.findall(tool.description) if name.lower() in STATE_KEYS)
    return next(({"jsonPath": {name: True}} for name in named), None)


def item_expectation(item: JsonObject) -> JsonObject | None:
    """Return what an item of a list has while its thing runs, by the schema of the item; None when it has no state."""
    listed: JsonObject = item.get("properties") or {}
    for name, schema in listed.items():
        if name.lower() in STATE_KEYS and isinstance(schema, dict):
            known = cast("JsonObject", schema)
            kind = "boolean" if known.get("type") == "boolean" else "string"
            found = _alive(name, kind, list(known.get("enum") or ()))
            if found:
                return found
    return None


def ready_values(expected: JsonObject) -> JsonObject | None:
    """Return the part of `expected` that a thing meets only once it is ready; None if that is all of it."""
    found = re.fullmatch(r"contains\(`(\[.*\])`, (.+)\)", str(expected.get("jmespath", "")))
    if found is None:
        return None
    values = cast("list[str]", json.loads(found[1]))
    ready = [value for value in values if not _ON_ITS_WAY.search(value)]
    if not ready or len(ready) == len(values):
        return None
    if len(ready) == 1:
        return {"jsonPath": {found[2]: ready[0]}}
    return {"jmespath": f"contains(`{json.dumps(ready)}`, {found[2]})"}


def has_state(item: JsonObject) -> bool:
    """Whether an item of a list has a state, said or not."""
    return any(name.lower() in STATE_KEYS for name in item.get("properties") or ())


def key_of(item: JsonObject, handle: str, thing: str, *, is_name: bool) -> str:
    """Return the key of a list's item that says which one it is; '' when none does.

    Args:
        item: the schema of an item.
        handle: the parameter of the stop that says which one.
        thing: the words for the thing.
        is_name: the handle is the thing's name.
    """
    last = (thing.split() or [""])[-1]
    wanted = (handle, "name", f"{last}name", "id") if is_name else (handle, f"{last}id", "id", "name")
    properties: JsonObject = item.get("properties") or {}
    listed = {squeezed(name): name for name in properties if name.isidentifier()}
    return next((listed[squeezed(name)] for name in wanted if squeezed(name) in listed), "")


def list_of_items(tool: Tool) -> tuple[str, JsonObject] | None:
    """Return (JMESPath of the list, schema of an item) of what a tool lists, None when that is not known."""
    if tool.output_schema:
        found = _list_in(tool.output_schema, tool.output_schema, "", 0)
        if found:
            return found
    for answer in tool.answers:
        found = None if answer.is_error else _list_seen(answer.value, "", 0)
        if found:
            return found
    return None


def _list_in(schema: JsonValue, root: JsonObject, path: str, depth: int) -> tuple[str, JsonObject] | None:
    known = resolved(schema, root)
    if depth > 3:
        return None
    if known.get("type") == "array":
        item = resolved(known.get("items"), root)
        plain: JsonObject = {
            name: resolved(value, root) for name, value in cast("JsonObject", item.get("properties") or {}).items()
        }
        return (path or "@", {"properties": plain}) if plain else None
    for key in ("anyOf", "oneOf"):
        for option in known.get(key) or ():
            found = _list_in(option, root, path, depth + 1)
            if found:
                return found
    for name, inner in cast("JsonObject", known.get("properties") or {}).items():
        if re.fullmatch(r"[A-Za-z_]\w*", name):
            found = _list_in(inner, root, path_below(path, name), depth + 1)
            if found:
                return found
    return None


def _list_seen(value: JsonValue, path: str, depth: int) -> tuple[str, JsonObject] | None:
    if isinstance(value, list):
        items = cast("list[JsonValue]", value)
        if not items or not isinstance(items[0], Mapping):
            return None
        first = cast("JsonObject", items[0])
        return path or "@", {"properties": {name: _schema_of(item) for name, item in first.items()}}
    if isinstance(value, Mapping) and depth < 3:
        for name, inner in cast("Mapping[str, JsonValue]", value).items():
            if re.fullmatch(r"[A-Za-z_]\w*", name):
                found = _list_seen(inner, path_below(path, name), depth + 1)
                if found:
                    return found
    return None


def _schema_of(value: JsonValue) -> JsonObject:
    kind = "object" if value is None else json_type(value)
    is_word = isinstance(value, str) and len(value) <= _LONGEST_STATE
    return {"type": kind, "enum": [value]} if is_word else {"type": kind}


def _seen_values(tool: Tool, wanted: AnswerField) -> list[JsonValue]:
    """Return the values that a field was seen to have."""
    found: list[JsonValue] = []
    for answer in tool.answers:
        value: JsonValue = answer.value
        for key in wanted.path.split("."):
            value = cast("JsonObject", value).get(key.strip('"')) if isinstance(value, dict) else None
        if isinstance(value, str) and not answer.is_error:
            found.append(value)
    return found


def _alive(path: str, kind: str, values: list[JsonValue]) -> JsonObject | None:
    if kind == "boolean":
        return {"jsonPath": {path: True}}
    running = list(dict.fromkeys(value for value in values if isinstance(value, str) and is_alive(value)))
    if not running:
        return None
    if len(running) == 1:
        return {"jsonPath": {path: running[0]}}
    return {"jmespath": f"contains(`{json.dumps(running)}`, {path})"}


def is_alive(value: str) -> bool:
    """Whether a word for a state says that the thing exists."""
    return _RUNS.search(value) is not None and _ENDED.search(value) is None
