"""An entry on its way from a client's keys to Ostler's own."""

import re
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Protocol, cast

from msgspec import Struct
from msgspec.structs import replace

from ostler.model.json import JsonObject, JsonValue, KeyPath, as_object, as_texts


class Report(Protocol):
    """Records a finding about an entry: its place below the entry as written, message, rule, fix and severity."""

    def __call__(self, at: KeyPath, message: str, rule: str, *, fix: str = "", severity: str = "error") -> None:
        """Record the finding."""
        ...


class Draft(Struct):
    """An entry being rewritten into Ostler's own keys.

    Those are `type`, `command`, `args`, `env`, `envFile`, `cwd`, `url`, `headers`, `headersHelper`, `oauth`,
    `disabled` and `ostler`.

    Attributes:
        raw: the entry as written.
        clients: the clients that may have written it.
        report: records what is wrong.
        server: what its file calls the server.
        entry: what it becomes.
        origins: for paths of `entry` that have another name in `raw`, that name.
        allowed: globs of the only tools that may be called; None when nothing limits them.
        denied: globs of the tools that may not be called.
    """

    raw: JsonObject
    clients: frozenset[str]
    report: Report
    server: str = ""
    entry: JsonObject = {}
    origins: dict[KeyPath, KeyPath] = {}
    allowed: tuple[str, ...] | None = None
    denied: tuple[str, ...] = ()

    def take(self, target: str, value: JsonValue, origin: KeyPath) -> None:
        """Set Ostler's key `target`; if two keys of the entry set it, the first one counts."""
        if target in self.entry and self.entry[target] not in (None, value):
            first = self.origins.get((target,), (target,))
            name = ".".join(str(part) for part in first)
            self.report(origin, f"{origin[-1]!r} says something else than {name!r}", "contradiction")
            return
        self.entry[target] = value
        self.origins[target,] = origin

    def put(self, target: str, name: str, value: JsonValue, origin: KeyPath) -> None:
        """Set `name` in the mapping `target` (`env`, `headers`, `oauth`), unless the entry has it there already."""
        present = as_object(self.entry.get(target))
        if name not in present:
            self.entry[target] = {**present, name: value}
            self.origins[target, name] = origin

    def merge(self, target: str, values: JsonObject, origin: KeyPath) -> None:
        """Add to the mapping `target` what it does not have yet."""
        for name, value in values.items():
            self.put(target, name, value, (*origin, name))

    def set_option(self, option: str, value: JsonValue, origin: KeyPath) -> None:
        """Set an option of Ostler's own, unless the entry's `ostler` already has it."""
        options = dict(as_object(self.entry.get("ostler")))
        if option not in options:
            options[option] = value
            self.origins["ostler", option] = origin
        self.entry["ostler"] = options

    def disable(self) -> None:
        """Switch the server off."""
        self.entry["disabled"] = True

    def allow_only(self, globs: Sequence[str], origin: KeyPath) -> None:
        """Let only the tools that match one of `globs` be called, in addition to what already limits them."""
        self.allowed = tuple(globs) if self.allowed is None else self._both(self.allowed, globs, origin)

    def deny(self, globs: Sequence[str]) -> None:
        """Forbid the tools that match one of `globs`."""
        self.denied = tuple(dict.fromkeys((*self.denied, *globs)))

    @contextmanager
    def below(self, key: str) -> Generator["Draft"]:
        """Yield a draft of the same entry that the keys of the object under `key` are read into."""

        def report(at: KeyPath, message: str, rule: str, *, fix: str = "", severity: str = "error") -> None:
            self.report((key, *at), message, rule, fix=fix, severity=severity)

        inner = replace(self, report=report, origins={})
        yield inner
        self.origins.update({made: (key, *origin) for made, origin in inner.origins.items()})
        self.allowed, self.denied = inner.allowed, inner.denied

    def own_names(self, name: str, *betweens: str) -> list[str]:
        """Return a tool's name, and what is left of it without the server's name, in any form, before a separator."""
        found, own = [name], _plain(self.server)
        for between in betweens:
            server, _, tool = name.removeprefix("mcp__").partition(between)
            found += [tool] if tool and own and _plain(server) == own else []
        return found

    def finish(self) -> JsonObject:
        """Return the entry, its limits merged with those that its own `ostler` has: both must permit a tool."""
        if self.allowed is None and not self.denied:
            return self.entry
        options = dict(as_object(self.entry.get("ostler")))
        own_allowed, own_denied = options.get("allowTools"), options.get("denyTools")
        if self.allowed is not None and (own_allowed is None or _is_texts(own_allowed)):
            own = cast("list[str] | None", own_allowed)
            at = ("ostler", "allowTools")
            options["allowTools"] = list(self.allowed if own is None else self._both(self.allowed, own, at))
        if self.denied and (own_denied is None or _is_texts(own_denied)):
            options["denyTools"] = [*cast("list[str]", own_denied or []), *self.denied]
        self.entry["ostler"] = options
        return self.entry

    def _both(self, one: Sequence[str], other: Sequence[str], origin: KeyPath) -> tuple[str, ...]:
        found: list[str] = []
        for first in one:
            for second in other:
                if first == second or covers(second, first):
                    found.append(first)
                elif covers(first, second):
                    found.append(second)
                elif not (_name_in(first) or _name_in(second)):
                    self.report(
                        origin,
                        f"which tools both {first!r} and {second!r} allow cannot be written as one list",
                        "limit",
                        fix="keep one of the two lists",
                    )
        return tuple(dict.fromkeys(found))


Reading = Callable[[Draft, str, JsonValue], None]
"""Reads one key of an entry into the draft."""


def exactly(name: str) -> str:
    """Return the glob that matches the tool `name` alone; `*` stays, it means all tools."""
    return name if name == "*" else "".join(f"[{char}]" if char in "*?[" else char for char in name)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _is_texts(value: JsonValue) -> bool:
    return isinstance(value, list) and as_texts(value) == value


def _name_in(glob: str) -> str | None:
    """Return the one name that `glob` matches; None when it may match more."""
    name = re.sub(r"\[([*?[])\]", "\0\\1", glob)
    return None if re.search(r"(?<!\0)[*?[]", name) else name.replace("\0", "")


def covers(glob: str, other: str) -> bool:
    """Whether `glob` is known to match everything that `other` matches."""
    name, begin = _name_in(other), glob.rstrip("*")
    begins_alike = begin != glob and _name_in(begin) == begin and other.startswith(begin)
    return begins_alike or (name is not None and fnmatchcase(name, glob))
