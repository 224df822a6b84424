"""What a tool call probably does to a thing, by the words of its tool's name: begins it, ends it, or looks at it."""

from collections.abc import Collection
from enum import StrEnum

from ostler.rules.drafts.lifecycle_words import plain_words

PARTNERS = {
    "start": ("stop", "kill", "terminate", "shutdown", "end"),
    "create": ("delete", "destroy", "remove", "close", "stop", "terminate", "kill"),
    "open": ("close",),
    "connect": ("disconnect", "close"),
    "forward": ("unforward", "stop", "cancel"),
    "run": ("kill", "stop", "terminate", "remove", "cancel"),
    "launch": ("terminate", "close", "kill", "stop", "quit"),
    "spawn": ("kill", "terminate", "stop"),
    "begin": ("end", "finish"),
    "up": ("down",),
    "add": ("remove", "delete"),
    "attach": ("detach",),
    "mount": ("unmount", "umount"),
    "enable": ("disable",),
    "allocate": ("release", "free", "deallocate"),
    "acquire": ("release",),
    "provision": ("destroy", "delete", "deprovision"),
    "deploy": ("undeploy", "delete", "remove"),
    "load": ("unload",),
    "new": ("close", "delete"),
}
"""Verb that begins something → verbs that end it, the likeliest first."""

_ENDING = frozenset(word for words in PARTNERS.values() for word in words) | {"force"}
_LOOKING = frozenset(
    ("status", "list", "get", "read", "describe", "show", "check", "wait", "ping", "inspect", "info", "find", "query",
     "search", "health", "logs", "log", "tail", "output", "exists", "is", "has", "view", "stat", "poll")
)  # fmt: skip
_LOGGING = frozenset(("logs", "log", "tail", "output", "console"))


class CallRole(StrEnum):
    """What a call is in the life of a thing."""

    BEGINS = "begins"
    ENDS = "ends"
    LOOKS = "looks"
    LOGS = "logs"
    ACTS = "acts"


def tool_words(tool: str) -> list[str]:
    """Return the words of a tool's name (without its server), in lower case."""
    return plain_words(tool.rpartition("/")[2])


def role_of(tool: str, reading: Collection[str] = ()) -> CallRole:
    """Return the likely role of a call.

    Args:
        tool: `server/tool`.
        reading: tools that are known to change nothing.
    """
    words = tool_words(tool)
    if tool in reading:
        return CallRole.LOGS if _LOGGING & set(words) else CallRole.LOOKS
    for word in words:
        if word in _LOOKING:
            return CallRole.LOGS if _LOGGING & set(words) else CallRole.LOOKS
        if word in _ENDING and word not in PARTNERS:
            return CallRole.ENDS
        if word in PARTNERS:
            return CallRole.BEGINS
    return CallRole.ACTS


def ends_what_began(begin: str, end: str) -> int:
    """Return how well the tool `end` fits as the counterpart of the tool `begin`; 0 if it does not."""
    if begin.partition("/")[0] != end.partition("/")[0]:
        return 0
    first, last = tool_words(begin), tool_words(end)
    for word in first:
        for rank, partner in enumerate(PARTNERS.get(word, ())):
            if partner in last:
                shared = len((set(first) - {word}) & (set(last) - {partner}))
                return 100 + 10 * shared - rank
    return 10 if role_of(end) is CallRole.ENDS else 0
