"""Questions of the server to the person at the terminal."""

import sys
from typing import cast

from ostler.faces.cli.rpc import AskPerson
from ostler.faces.output import say
from ostler.model.json import JsonObject, JsonValue

_YES = ("y", "yes")


def asker() -> AskPerson | None:
    """Return what puts questions to a person; None unless both ends of the conversation are a terminal."""
    return ask_at_terminal if sys.stdin.isatty() and sys.stdout.isatty() else None


def ask_at_terminal(message: str, schema: JsonObject) -> JsonObject:
    """Ask for each field of a form; return the protocol's reply.

    An empty line leaves a field out, and a required one that is left out, or not confirmed, declines; the end of the
    input dismisses the question.
    """
    say(message)
    properties = cast("dict[str, JsonObject]", schema.get("properties") or {})
    required = cast("list[str]", schema.get("required") or [])
    content: JsonObject = {}
    for name, field in properties.items():
        try:
            say(f"{field.get('title') or name}{_hint(field)}: ", end="", flush=True)
            line = input().strip()
        except EOFError:
            say()
            return {"action": "cancel"}
        value = _value(line, field)
        if value is None or value is False:
            if name in required:
                return {"action": "decline"}
        else:
            content[name] = value
    return {"action": "accept", "content": content}


def _hint(field: JsonObject) -> str:
    if field.get("type") == "boolean":
        return " [y/N]"
    choices = cast("list[str]", field.get("enum") or [])
    described = f" ({field['description']})" if field.get("description") else ""
    return described + (f" [{', '.join(choices)}]" if choices else "")


def _value(line: str, field: JsonObject) -> JsonValue:
    """Return what a line means in a field; None for nothing. The server reads numbers from texts."""
    if field.get("type") == "boolean":
        return line.lower() in _YES
    return line or None
