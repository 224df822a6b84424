"""Next steps as a person types them: the tools that messages name for agents, written as verbs of this command."""

import json
import re
import shlex
from collections.abc import Mapping
from typing import Final, cast

from ostler.model.json import JsonObject, JsonValue

VERBS: Final = {
    "service_list": "ps",
    "service_status": "status",
    "service_get": "get",
    "service_logs": "logs",
    "service_explain": "explain",
    "service_events": "events",
    "service_start": "start",
    "service_stop": "stop",
    "service_restart": "restart",
    "service_renew": "renew",
    "service_input": "input",
    "service_delete": "delete",
    "service_wait": "wait",
    "service_plan": "plan",
    "serviceclass_list": "classes",
    "service_secrets": "secret",
    "serviceclass_get": "class show",
    "serviceclass_available": "class show",
    "mcpserver_list": "servers",
    "serviceclass_draft": "class draft",
    "tool_list": "tools list",
    "tool_call": "call",
    "project_up": "up",
    "project_down": "down",
    "project_status": "project status",
}
"""Tool → the verb that does the same. The other tools take what the command line has other forms for."""

_SUBJECTS: Final = ("name", "service", "serviceClassName", "server")
"""Args of tools that are plain words behind the verb."""

_OPTIONS: Final = {"abandon": "--abandon", "force": "--force", "adopt": "--adopt", "dependents": "--dependents"}
_DRAFTED: Final = {"server": "--from", "start": "--start", "stop": "--stop"}
"""Args by which a draft is made from a server's tools, which has a verb of its own."""

_PAIRS: Final = {"outputs": "--output"}
_PLANNED: Final = {"action": "--action"}
_AWAITED: Final = {"state": "--state", "health": "--health"}
"""Args that say what `service_wait` waits for."""

_NAMED: Final = re.compile(rf"\b(?P<tool>{'|'.join(VERBS)})\b(?!`)")
_ADVICE: Final = re.compile(
    rf"\b(?P<tool>{'|'.join(VERBS)})\b(?P<name>(?: [\w.-]+)?)"
    r"(?= (?:(?:there|in the main checkout|in \S+) (?:removes it|lets)|runs (?:it|the job) again|ends it now)\b)"
)
"""Advice inside of a sentence."""

_WORD: Final = re.compile(r" (?P<word>[^\s=;,]+)(?= with \w+(?:=| '))")
_GIVEN: Final = re.compile(r" (?:(?:with|and) )?(?P<key>\w+)=(?P<value>'[^']*'|[^\s;,{}]+|(?=\{))")
_WITH: Final = re.compile(r" with (?P<key>\w+) '(?P<value>[^'\s]+)'")
_CHOICE: Final = re.compile(r"\b(?P<step>start|stop)=TOOL\b")
"""Args of a draft, which are options here."""

_TAKES: Final = re.compile(
    r"(?P<verb>ostler [a-z ]+?) takes (?:no arguments|\w+(?: \(required\))?(?:, \w+(?: \(required\))?)*)"
)
"""What a tool takes: the command line has options for that, and its own list of them."""

_UNKNOWN: Final = re.compile(r" with\b")


def in_verbs(text: str) -> str:
    """Return `text` with verbs instead of the tools that its next steps name; what has no verb stays as it is.

    Before its next steps, only phrases of Ostler's own are meant, since a line may quote what a tool or program wrote.
    """
    lines = text.split("\n")
    return "\n".join(_line_in_verbs(line) for line in lines)


def _line_in_verbs(line: str) -> str:
    said, mark, steps = line.rpartition(" Next: ")
    if not mark and line.startswith("Next: "):
        said, mark, steps = "", "Next: ", line.removeprefix("Next: ")
    said = _ADVICE.sub(lambda found: f"ostler {VERBS[found['tool']]}{found['name']}", said if mark else line)
    if not mark:
        return said
    shown, position = "", 0
    while found := _NAMED.search(steps, position):
        args, end = _args_at(steps, found.end())
        verb = None if args is None else _verb(found["tool"], args)
        shown += steps[position : found.start()] + (found[0] if verb is None else verb)
        position = found.end() if verb is None else end
    steps = _CHOICE.sub(r"--\g<step> TOOL", shown + steps[position:])
    return said + mark + _TAKES.sub(r"\g<verb> --help shows its options", steps)


def _args_at(text: str, position: int) -> tuple[JsonObject | None, int]:
    """Return the args written at `position`, as JSON or as words, and where they end; None: not in a known form."""
    if text.startswith(" {", position):
        try:
            value, end = json.JSONDecoder().raw_decode(text, position + 1)
        except ValueError:
            return None, position
        return cast("JsonObject", value), end
    args: JsonObject = {}
    if found := _WORD.match(text, position):
        args["name"], position = found["word"], found.end()
    while found := (_GIVEN.match(text, position) or _WITH.match(text, position)):
        value: JsonValue = found["value"].strip("'")
        position = found.end()
        if not value:
            try:
                value, position = json.JSONDecoder().raw_decode(text, position)
            except ValueError:
                return None, position
        args[found["key"]] = value
    return (None if _UNKNOWN.match(text, position) else args), position


def _verb(tool: str, args: Mapping[str, JsonValue]) -> str | None:
    """Return the command that does what `tool` does with `args`; None where there is none."""
    subjects, options = list[str](), list[str]()
    if tool == "serviceclass_draft" and args and args.keys() <= _DRAFTED.keys():
        words = [word for key, value in args.items() for word in (_DRAFTED[key], _as_word(value))]
        return shlex.join(["ostler", "class", "new", *words])
    for key, value in args.items():
        if key in _SUBJECTS and isinstance(value, str):
            subjects.append(str(value))
        elif key in _OPTIONS and value in (True, "true"):
            options.append(_OPTIONS[key])
        elif key in _PAIRS and isinstance(value, dict):
            pairs = cast("JsonObject", value).items()
            options += [word for name, one in pairs for word in (_PAIRS[key], f"{name}={_as_word(one)}")]
        elif tool == "service_plan" and key in _PLANNED:
            options += [_PLANNED[key], _as_word(value)]
        elif tool == "service_wait" and key in _AWAITED:
            wanted = cast("list[JsonValue]", value) if isinstance(value, list) else [value]
            options += [word for one in wanted for word in (_AWAITED[key], _as_word(one))]
        elif tool != "service_wait" or key != "cursor":  # a person waits from now on
            return None
    return " ".join(["ostler", VERBS[tool], *map(shlex.quote, [*subjects, *options])])


def _as_word(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
