"""What a file asks the person: VS Code's `inputs`, and what the user of a bundle or plugin configures."""

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from ostler.adapters.config.dialects.entry_places import at
from ostler.model.json import JsonObject, JsonValue, as_object, as_objects

_ASKED_AT: Final = (
    ("inputs",), ("mcp", "inputs"), ("settings", "mcp", "inputs"), ("customizations", "vscode", "mcp", "inputs"),
)  # fmt: skip


class Question(Struct, frozen=True):
    """A question to the person.

    Attributes:
        id: what entries call it.
        text: the question.
        default: the answer that is offered; None when there is none.
        is_optional: whether what asks it can do without an answer.
    """

    id: str
    text: str = ""
    default: str | None = None
    is_optional: bool = False

    @property
    def variable(self) -> str:
        """The variable of the environment that answers it."""
        return variable_of(self.id)


def variable_of(question: str) -> str:
    """Return the variable that answers the question of that id: `INPUT_API_KEY` for `api-key`."""
    return f"INPUT_{re.sub(r'[^A-Za-z0-9]+', '_', question).strip('_').upper()}"


def questions_in(root: JsonObject) -> Mapping[str, Question]:
    """Return the questions of a file by id."""
    found: dict[str, Question] = {}
    for path in _ASKED_AT:
        for fields in as_objects(at(root, path)):
            name, text, default = fields.get("id"), fields.get("description"), fields.get("default")
            if isinstance(name, str) and name not in found:
                found[name] = Question(
                    name, text if isinstance(text, str) else "", default if isinstance(default, str) else None
                )
    for name, described in (as_object(root.get("user_config")) | as_object(root.get("userConfig"))).items():
        fields = as_object(described)
        text, default = fields.get("description") or fields.get("title"), fields.get("default")
        is_optional = fields.get("required") is not True
        found[name] = Question(
            name,
            text if isinstance(text, str) else "",
            None if default is None or isinstance(default, list | dict) else _as_text(default),
            is_optional,
        )
    return found


def _as_text(value: JsonValue) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
