"""From the keys of an entry, as a client writes them, to Ostler's own, by the table of keys.

Keys that no row has are refused when they speak of a limit (`limits`), and otherwise reported and left out.
"""

import os
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Final, cast

from ostler.adapters.config.dialects.client_texts import with_values
from ostler.adapters.config.dialects.draft import Draft
from ostler.adapters.config.dialects.key_rows import Key
from ostler.adapters.config.dialects.keys import KEYS
from ostler.adapters.config.dialects.limits import speaks_of_limit, unknown
from ostler.adapters.config.dialects.times import read_time
from ostler.model.json import JsonObject, JsonValue, as_object
from ostler.model.servers import OPTION_NAMES

_BY_NAME: Final[Mapping[str, tuple[Key, ...]]] = {
    name: tuple(key for key in KEYS if key.name == name) for name in dict.fromkeys(key.name for key in KEYS)
}
_ORDER: Final = ("ostler", "type", "transport", "command", "args")
"""Keys that others depend on come first; the rest as written."""
_GOOSE: Final = frozenset({"goose"})
_NOT_OF_GOOSE: Final = frozenset({
    "PATH", "PATHEXT", "SYSTEMROOT", "WINDIR", "LD_LIBRARY_PATH", "LD_PRELOAD", "LD_AUDIT", "LD_DEBUG", "LD_BIND_NOW",
    "LD_ASSUME_KERNEL", "DYLD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES", "DYLD_FRAMEWORK_PATH", "PYTHONPATH", "PYTHONHOME",
    "NODE_OPTIONS", "RUBYOPT", "GEM_PATH", "GEM_HOME", "CLASSPATH", "GO111MODULE", "GOROOT", "APPINIT_DLLS",
    "SESSIONNAME", "COMSPEC", "TEMP", "TMP", "LOCALAPPDATA", "USERPROFILE", "HOMEDRIVE", "HOMEPATH",
})  # fmt: skip
"""Variables that Goose never takes from an entry, in capital letters."""
_VSCODE: Final = frozenset({"vscode"})
_SHORT: Final = 4
"""Letters of names in which two that are swapped (`evn`) change much; longer ones must be closer to what is meant."""


def key_for(name: str, clients: frozenset[str]) -> Key | None:
    """Return the row of the key `name` in an entry that one of `clients` wrote; None when no client writes it."""
    rows = _BY_NAME.get(name, ())
    fitting = [row for row in rows if clients <= row.clients] or [row for row in rows if clients & row.clients]
    return min(fitting or rows, key=lambda row: len(row.clients), default=None)


def writers(raw: JsonObject, clients: frozenset[str]) -> frozenset[str]:
    """Return those of `clients` that can have written the entry `raw`, by the keys that they use."""
    for name in raw:
        known = frozenset[str]().union(*(row.clients for row in _BY_NAME.get(name, ())))
        clients = (clients & known) or clients
    return clients


def translate(draft: Draft) -> None:
    """Read every key of the entry into the draft."""
    raw = draft.raw
    if isinstance(server := raw.get("transport"), dict):  # Cline: what is around it says how it is used
        raw = {**cast("JsonObject", server), **raw}
    ordered = sorted(raw, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))
    for name in ordered:
        value = raw[name]
        row = key_for(name, draft.clients)
        if row is not None and not (_is_another_clients(row, draft.clients) and speaks_of_limit("", value)):
            row.read(draft, name, value)
        else:
            _unknown(draft, name, value)
    if draft.clients <= _GOOSE:
        _drop_unset_by_goose(draft)
        if "url" in draft.entry:
            _fill_from_own(draft)
    if draft.clients <= _VSCODE:
        _start_as_vscode(draft)


def _drop_unset_by_goose(draft: Draft) -> None:
    """Leave out the variables that Goose never takes from an entry: they decide which code a program loads."""
    env = as_object(draft.entry.get("env"))
    for name in [name for name in env if name.upper() in _NOT_OF_GOOSE]:
        del env[name]
        message = f"Goose does not set {name!r} from an entry, so it is left out"
        draft.report(("envs", name), message, "limit", fix="write it into the imported entry", severity="warning")


def _start_as_vscode(draft: Draft) -> None:
    """Put PATH behind the one that is there, and the home folder for `~` in arguments, as VS Code does."""
    if "env" in draft.entry:
        draft.entry["env"] = {
            name: f"${{PATH}}{os.pathsep}{value}" if isinstance(value, str) and value and _is_path(name) else value
            for name, value in as_object(draft.entry["env"]).items()
        } or draft.entry["env"]
    if isinstance(args := draft.entry.get("args"), list):
        draft.entry["args"] = [
            f"${{userHome}}{arg[1:]}" if isinstance(arg, str) and (arg == "~" or arg.startswith("~/")) else arg
            for arg in cast("list[JsonValue]", args)
        ]


def _is_path(name: str) -> bool:
    return name == "PATH" or (sys.platform == "win32" and name.upper() == "PATH")


def _fill_from_own(draft: Draft) -> None:
    """Replace Goose's variables in what is sent to a server: they are those of the entry, and no program gets them."""
    own = {name: value for name, value in as_object(draft.entry.pop("env", None)).items() if isinstance(value, str)}
    for key in ("url", "headers", "oauth"):
        if key in draft.entry:
            draft.entry[key] = with_values(draft.entry[key], own)


def _is_another_clients(row: Key, clients: frozenset[str]) -> bool:
    """Whether what the row passes over may mean something else here: the entry is not known to be of its clients."""
    return row.outcome in ("passed over", "reported") and not clients <= row.clients


def _unknown(draft: Draft, name: str, value: JsonValue) -> None:
    if read_time(draft, name, value):
        return
    found = get_close_matches(name, (*_BY_NAME, *OPTION_NAMES), n=2, cutoff=0.8 if len(name) > _SHORT else 0.6)
    close = min(found, key=lambda one: abs(len(one) - len(name)), default="")
    place = " under 'ostler'" if close in OPTION_NAMES and close not in _BY_NAME else ""
    fix = f"did you mean {close!r}{place}?" if close else ""
    unknown(draft, name, value, fix)
