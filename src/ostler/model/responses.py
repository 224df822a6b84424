"""What tools answered, normalised once for everything that looks at it, and calls with their answers."""

import json
from typing import Final

from msgspec import Struct

from ostler.model.json import JsonObject, JsonValue, as_object

CHECK_FIRST: Final = "check what the tool did before calling it again"
"""The next step after a call without an answer, which may have acted; when that has been cleaned up, it is another."""

FIX_COMMAND: Final = "fix the command"
"""The next step after a start whose program failed; of a class whose command is not an arg, it is another."""

NEXT_MARK: Final = "ostler/nextActions"
"""Key in the `_meta` of a failed tool's result: the next steps that its text ends with, one by one."""


class ToolResponse(Struct, frozen=True):
    """A tool's answer.

    Attributes:
        value: the one value that outputs and expectations look at: structuredContent when there is any, else the
            JSON of a lone text block, else the text (several text blocks: a list in their order).
        text: all text blocks joined by newlines, as a person would read it.
        is_error: the tool said that it failed (`isError`), whatever the text says.
        content: the content blocks as JSON objects, in order; embedded resources and links are kept.
        structured: structuredContent as it came, if any.
        duration: seconds from sending the request to the answer.
        next_steps: the next steps at the end of a failure's text, if a built-in server also lists them (`NEXT_MARK`).
        is_silent: it failed and said nothing about why; `text` then says that it did not. It proves nothing.
    """

    value: JsonValue
    text: str = ""
    is_error: bool = False
    content: tuple[JsonObject, ...] = ()
    structured: JsonValue = None
    duration: float = 0.0
    is_silent: bool = False
    next_steps: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Show the answer once: its blocks and its structured content are what `value` and `text` were made of."""
        return f"{type(self).__name__}({self.value!r}, {self.text!r}, is_error={self.is_error})"

    @property
    def warning(self) -> str:
        """The warning of a tool that succeeded, on one line: the text under `warning` of its value; else empty."""
        said = None if self.is_error else as_object(self.value).get("warning")
        return " ".join(said.split()) if isinstance(said, str) else ""

    @property
    def readable(self) -> str:
        """What regular expressions and `contains` search: the text, and the value as JSON when there is none."""
        if self.text.strip() or self.value is None:
            return self.text
        return self.value if isinstance(self.value, str) else json.dumps(self.value, ensure_ascii=False, default=str)


class MadeCall(Struct, frozen=True):
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
