"""What limits a server in a copied entry: whether it is switched off, and which of its tools may be called.

A limit is obeyed or the entry is refused; none is dropped.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import cast

from ostler.model.json import JsonObject, JsonValue
from ostler.model.servers import ServerOptions

ALLOW_KEYS = ("tools", "enabledTools", "includeTools", "allowedTools")
"""Lists of the only tools that may be called, as Copilot CLI, Gemini CLI and others write them."""

DENY_KEYS = ("disabledTools", "excludeTools")
"""Lists of the tools that may not be called, as Roo Code, Cline, Gemini CLI and others write them."""

_SWITCHES = {"disabled": True, "enabled": False, "isActive": False}
"""Keys that switch a server off, and the value that does."""

Find = Callable[[str, str, str], None]
"""Reports an error at a key: key, message, fix."""


@dataclass(frozen=True, slots=True)
class EntryLimits:
    """The limits of one entry.

    Attributes:
        disabled: the server is switched off.
        allowed: the only tools that may be called, by name; None when there is no such list.
        denied: the tools that may not be called, by name.
    """

    disabled: bool = False
    allowed: tuple[str, ...] | None = None
    denied: tuple[str, ...] = ()

    def narrow(self, options: ServerOptions) -> ServerOptions:
        """Return `options` with these limits added: a tool may be called only when both permit it."""
        if self.allowed is None and not self.denied:
            return options
        allowed = options.allow_tools
        if self.allowed is not None:
            kept = [
                name for name in self.allowed if allowed is None or any(fnmatchcase(name, glob) for glob in allowed)
            ]
            allowed = tuple(map(_exactly, kept))
        denied = (*options.deny_tools, *map(_exactly, self.denied))
        return options.model_copy(update={"allow_tools": allowed, "deny_tools": denied})


def is_sandbox(key: str) -> bool:
    """Whether `key` confines the server's program, which Ostler cannot do."""
    return key.lower().startswith("sandbox")


def read_limits(raw: JsonObject, find: Find) -> EntryLimits:
    """Return the limits of the entry `raw`; what cannot be read or obeyed is reported through `find`."""
    disabled = False
    for key, off in _SWITCHES.items():
        value = raw.get(key)
        if value is not None and not isinstance(value, bool):
            find(key, f"{key!r} must be true or false", "")
        disabled = disabled or value is off
    for key, value in raw.items():
        if is_sandbox(key) and value not in (None, False):
            find(
                key,
                f"{key!r} confines the server's program, which Ostler cannot do, so the entry is not used",
                f"remove {key!r} if the program may run unconfined, or start it in a container",
            )
    allowed: tuple[str, ...] | None = None
    for key in ALLOW_KEYS:
        names = _names(raw, key, find)
        if names is None or "*" in names:
            continue
        allowed = tuple(names) if allowed is None else tuple(name for name in allowed if name in names)
    denied = [name for key in DENY_KEYS for name in _names(raw, key, find) or ()]
    return EntryLimits(disabled, allowed, tuple(dict.fromkeys(denied)))


def _names(raw: JsonObject, key: str, find: Find) -> Sequence[str] | None:
    value = raw.get(key)
    if value is None:
        return None
    items = cast("list[JsonValue]", value) if isinstance(value, list) else [None]
    names = [item for item in items if isinstance(item, str)]
    if len(names) != len(items):
        find(key, f"{key!r} must be a list of tool names", "")
    return names


def _exactly(name: str) -> str:
    """Return the glob that matches `name` alone; `*` stays, it means all tools."""
    return name if name == "*" else "".join(f"[{char}]" if char in "*?[" else char for char in name)
