"""A tool call as it was made: what classes are drafted from."""

from dataclasses import dataclass

from ostler.model.json import JsonObject, JsonValue


@dataclass(frozen=True, slots=True)
class MadeCall:
    """A tool call that was made, and its answer; secrets are masked.

    Attributes:
        tool: `server/tool`.
        args: its arguments.
        value: the one value of its answer.
        text: its answer as text.
        is_error: the tool said that it failed.
    """

    tool: str
    args: JsonObject
    value: JsonValue = None
    text: str = ""
    is_error: bool = False
