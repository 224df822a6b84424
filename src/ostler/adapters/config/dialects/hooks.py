"""Programs that a client runs before a call, and that may deny it: hooks, of which Ostler runs none."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from ostler.model.json import JsonObject, as_object, as_objects

_BEFORE_CALLS: Final = frozenset({
    "pretooluse", "permissionrequest", "beforetool", "beforemcpexecution", "premcptooluse", "pretoolcall",
    "pretool",
})  # fmt: skip
"""The events before a call, in letters alone: of Claude Code and those that follow it, Gemini CLI, Cursor, Windsurf,
ECA, Mistral Vibe."""
_FORMS: Final = ("mcp__{}__", "mcp_{}_", "{}_", "@{}/", "MCP:")
"""What comes before a tool's name in what a hook matches."""


class Hook(Struct, frozen=True):
    """A hook.

    Attributes:
        event: when its program runs, as the file calls it.
        matcher: which tools it is for, by name or by pattern; empty for all.
    """

    event: str
    matcher: str = ""

    def is_for(self, servers: Sequence[str]) -> bool:
        """Whether a tool of a server may match, by any of its names: what begins like a tool's name is enough."""
        begins = [form.format(name) for name in servers for form in _FORMS]
        return any(
            begin.startswith(one) or one.startswith(begin) for one in _beginnings(self.matcher) for begin in begins
        )


def hooks_in(root: JsonObject) -> Iterator[Hook]:
    """Yield the hooks of a file that run before calls."""
    if root.get("disableAllHooks") is True or as_object(root.get("hooksConfig")).get("enabled") is False:
        return
    for hook in as_objects(root.get("hooks")):  # Mistral Vibe: a list
        if hook.get("type") == "pre_tool":
            yield Hook("pre_tool", str(hook.get("match") or "").removeprefix("re:").removeprefix("*"))
    for name, value in as_object(root.get("hooks")).items():
        event = str(as_object(value).get("type") or name)  # ECA: by their own names, each with its type
        if re.sub(r"[^a-z]", "", event.lower()) not in _BEFORE_CALLS:
            continue
        for group in as_objects([value] if isinstance(value, dict) else value):
            if group.get("hooks") != []:
                yield Hook(event, str(group.get("matcher") or ""))


def _beginnings(matcher: str) -> list[str]:
    """Return the texts that what is matched begins with, one for each alternative of a pattern."""
    return [re.split(r"[\\.*+?()\[\]{}$]", one.strip().lstrip("^"), maxsplit=1)[0] for one in matcher.split("|")]
