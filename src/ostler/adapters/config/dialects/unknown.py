"""Keys of entries that no client is known to write: what speaks of a limit refuses the entry, the rest is reported."""

import re
from typing import Final, cast

from ostler.adapters.config.dialects.draft import Draft
from ostler.adapters.config.dialects.readings import milliseconds, seconds, unknown_unit
from ostler.model.json import JsonObject, JsonValue

LIMITING: Final = re.compile(
    r"allow|den[yi]|disabl|enabl|block|exclu|includ|restrict|sandbox|permission|read_?only|approv|polic|list$"
    r"|forbid|isolat|confine|scope|filter|guard|safe|trust|limit|secur|profile|capabilit"
    r"|hid(e|den)|ignor|omit|skip|suppress|select|^only|only$|confirm|consent|quota|throttl|privileg|jail|chroot"
    r"|network|container|docker|^run_?as|^(user|uid|gid|os|when|platforms?)$|expir"
    r"|tool(?!_?(prefix|count|description|s?_?count))|max_?(calls|requests|concurren|response|output|tokens|memory)"
    r"|always_?ask|^ask|per_?(second|minute|hour|day)",
    re.IGNORECASE,
)
"""Words that speak of a limit."""

_OFF: Final = frozenset({
    "disabled", "off", "inactive", "blocked", "denied", "paused", "deactivated", "suspended", "deleted",
})  # fmt: skip
_TIME: Final = re.compile(
    r"((default|mcp|server|request|call|tool|response|read|rpc|execution|connect(ion)?|start(up)?|init(ial(ization)?)?"
    r"|launch|handshake)[_-]?)*time_?out([_-]?(in)?[_-]?(ms|millis(econds)?|s|secs?|seconds?))?",
    re.IGNORECASE,
)
"""Keys that are called a timeout of calls or of the connection; those of sign-ins, idle servers or stops are not."""
_CONNECTING: Final = re.compile(r"connect|start|init|launch", re.IGNORECASE)
_MILLISECONDS: Final = re.compile(r"(ms|millis(econds)?)$", re.IGNORECASE)
_SECONDS: Final = re.compile(r"(sec(ond)?s?|_s)$", re.IGNORECASE)
_DEPTH: Final = 3


def speaks_of_limit(name: str, value: JsonValue) -> str:
    """Return the part of a key or its value that may limit the server, "" where none does; objects are searched."""
    return _limit_in(name, value, _DEPTH)


def _limit_in(name: str, value: JsonValue, depth: int) -> str:
    if value in (None, [], {}):
        return ""
    if LIMITING.search(name) or (isinstance(value, str) and value.lower() in _OFF):
        return name
    if not isinstance(value, dict) or depth == 0:
        return ""
    found = (_limit_in(key, item, depth - 1) for key, item in cast("JsonObject", value).items())
    inner = next((part for part in found if part), "")
    return f"{name}.{inner}" if inner else ""


def read_time(draft: Draft, name: str, value: JsonValue) -> bool:
    """Read a key that is called a timeout by what its name says of the unit; return whether it was one."""
    if not _TIME.fullmatch(name) or isinstance(value, bool) or not isinstance(value, int | float | str):
        return False
    option = "connectTimeout" if _CONNECTING.search(name) else "timeout"
    if _MILLISECONDS.search(name):
        milliseconds(option)(draft, name, value)
    elif _SECONDS.search(name) or option != "timeout":
        seconds(option)(draft, name, value)
    else:
        unknown_unit(draft, name, value)
    return True
