"""Lists of servers in clients' files: those that are switched off, and those that alone may run."""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from fnmatch import fnmatchcase
from typing import Final
from urllib.parse import parse_qs, urlsplit

from msgspec import Struct
from msgspec.structs import replace

from ostler.adapters.config.dialects.draft import exactly
from ostler.adapters.config.dialects.tool_rules import forms_of
from ostler.model.json import JsonObject, JsonValue, as_list, as_object, as_objects, as_texts

_PORTS: Final[Mapping[str, int]] = {"https": 443, "http": 80}
_PATTERN: Final = re.compile(
    r"(?P<scheme>\*|[A-Za-z][A-Za-z0-9+.-]*)://(?:[^/?#@]*@)?(?P<host>\[[^\]]*\]|[^/?#:@]*)(?::(?P<port>\*|\d*))?"
    r"(?P<path>[/?][^#]*)?(?:#.*)?"
)
"""A pattern of addresses, as Claude Code has them."""
_DOMAIN: Final = re.compile(r"Domain\((?:\w+://)?(?P<host>[^()/]+)[^()]*\)")


class Servers(Struct, frozen=True):
    """A list of servers, by their names or, in Claude Code, by what they run or connect to.

    Attributes:
        names: their names, as the file calls them.
        commands: whole commands, of servers with any name.
        addresses: patterns of addresses, of servers with any name.
        globs: patterns of names.
    """

    names: frozenset[str] = frozenset()
    commands: tuple[tuple[str, ...], ...] = ()
    addresses: tuple[str, ...] = ()
    globs: tuple[str, ...] = ()

    def has(self, name: str, entry: JsonObject) -> bool:
        """Whether a server is in the list by any of these, its name in any client's form."""
        is_named = not set(_spelled(name)).isdisjoint(form for listed in self.names for form in _spelled(listed))
        if is_named or self._is_matched(name):
            return True
        if url := str(entry.get("url") or ""):
            return any(_is_forbidden(url, pattern) for pattern in self.addresses)
        return _words(entry) in self.commands

    def admits(self, name: str, entry: JsonObject) -> bool:
        """Whether a server may run if no other may: its name is not enough where commands or addresses are listed."""
        url = str(entry.get("url") or "")
        if not (self.addresses if url else self.commands):
            return name in self.names or self._is_matched(name)
        if url:
            return any(_is_like(url, pattern) for pattern in self.addresses)
        return _words(entry) in self.commands

    def filled(self, fill: Callable[[str], str], *, keeps: bool) -> "Servers":
        """Return the list with the variables of its commands and addresses replaced; `keeps` adds to what it says."""
        commands = tuple(tuple(map(fill, words)) for words in self.commands)
        addresses = tuple(map(fill, self.addresses))
        before = self if keeps else Servers()
        return replace(self, commands=before.commands + commands, addresses=before.addresses + addresses)

    def _is_matched(self, name: str) -> bool:
        return any(fnmatchcase(name.lower(), glob.lower()) for glob in self.globs)


class Domains(Struct, frozen=True):
    """LibreChat's or Copilot's list of the hosts of servers, some with a protocol, a port or `*.` for all below."""

    patterns: tuple[str, ...]

    def admits(self, name: str, entry: JsonObject) -> bool:
        """Whether a server may run: one without an address may."""
        del name
        url = entry.get("url")
        return not url or any(_is_at(str(url), pattern) for pattern in self.patterns)


class Policy(Struct, frozen=True):
    """Factory Droid's list of hosts, their subdomains included, and of parts of commands; an empty one admits none."""

    listed: tuple[str, ...]

    def admits(self, name: str, entry: JsonObject) -> bool:
        """Whether a server may run."""
        del name
        if url := entry.get("url"):
            return any(_is_below(str(url), one) for one in self.listed)
        words = [_letters(word) for word in _words(entry)]
        return any(part in word for part in filter(None, map(_letters, self.listed)) for word in words)


class Requirements(Struct, frozen=True):
    """Codex's requirements, by the names of the only servers that may run: what they run, or where they are."""

    rules: Mapping[str, JsonValue]

    def admits(self, name: str, entry: JsonObject) -> bool:
        """Whether a server may run."""
        if name not in self.rules:
            return False
        rule = as_object(self.rules[name])
        program, *args = _words(entry)
        url = entry.get("url")
        if identity := as_object(rule.get("identity")):
            return identity in ({"command": program}, {"url": url})
        if "command" in rule and not url:
            matchers = as_list(rule.get("args"))
            is_alike = len(args) == len(matchers) and all(map(_matches, matchers, args))
            return rule["command"] == program and is_alike
        return _matches(rule.get("url"), str(url)) if url and rule else not rule


def servers_in(value: JsonValue, *, globs: bool = False) -> Servers | None:
    """Return what a list says, its names as patterns if they are `globs`; None if the value is not a list."""
    if not isinstance(value, list):
        return None
    rules = as_objects(value)
    names = [*as_texts(value), *(rule["serverName"] for rule in rules if isinstance(rule.get("serverName"), str))]
    return Servers(
        names=frozenset(map(str, names)),
        globs=tuple(str(name) for name in names if globs and set("*?[{") & set(str(name))),
        commands=tuple(tuple(as_texts(rule["serverCommand"])) for rule in rules if "serverCommand" in rule),
        addresses=tuple(str(rule["serverUrl"]) for rule in rules if isinstance(rule.get("serverUrl"), str)),
    )


def toolsets_off(root: JsonObject) -> Servers:
    """Return what Hermes Agent's sets of tools switch off: `mcp-NAME`, or NAME alone, is the set of a server."""
    names = as_texts(as_object(root.get("agent")).get("disabled_toolsets"))
    return Servers(frozenset(part for name in names for part in (name, name.removeprefix("mcp-"))))


def toolsets_only(root: JsonObject) -> list[Servers]:
    """Return the servers that Hermes Agent has in a terminal, where its sets of tools there name some, or `no_mcp`."""
    sets = frozenset(as_texts(as_object(root.get("platform_toolsets")).get("cli")))
    named = sets & as_object(root.get("mcp_servers")).keys()
    return [Servers() if "no_mcp" in sets else Servers(named)] if named or "no_mcp" in sets else []


def hosts_only(root: JsonObject) -> list[Domains]:
    """Return the hosts that alone Copilot CLI may reach, by rules `Domain(host)`; an empty list has none."""
    rules = as_object(root.get("permissions")).get("limitTo")
    return [Domains(tuple(_hosts_in(rules)))] if isinstance(rules, list) else []


def hosts_off(root: JsonObject) -> Servers:
    """Return the servers at hosts that Copilot CLI must not reach, or not without asking."""
    permissions = as_object(root.get("permissions"))
    hosts = [host for key in ("deny", "ask") for host in _hosts_in(permissions.get(key))]
    return Servers(addresses=tuple(f"*://{host}:*" for host in hosts))


def is_known_rule(rule: JsonObject) -> bool:
    """Whether a rule names servers, and does it in nothing else than the known ways."""
    command = rule.get("serverCommand", [])
    names = [rule[key] for key in ("serverName", "serverUrl") if key in rule]
    return (
        bool(rule.keys() & {"serverName", "serverCommand", "serverUrl"})
        and all(isinstance(name, str) for name in names)
        and isinstance(command, list)
        and as_texts(command) == command
    )


def _hosts_in(rules: JsonValue) -> list[str]:
    found = [match["host"] for rule in as_texts(rules) if (match := _DOMAIN.fullmatch(rule)) is not None]
    return [f"[{host}]" if host.count(":") > 1 and host[0] != "[" else host for host in found]


def _spelled(name: str) -> list[str]:
    return [*forms_of(name), name.strip().lower()]


def _words(entry: JsonObject) -> tuple[str, ...]:
    return (str(entry.get("command")), *map(str, as_list(entry.get("args"))))


def _matches(matcher: JsonValue, text: str) -> bool:
    """Whether a text is what a matcher of Codex says: exactly, at its beginning, or as a whole by a pattern."""
    fields = as_object(matcher)
    value = fields.get("expression" if fields.get("match") == "regex" else "value")
    if not isinstance(value, str):
        return False
    match fields.get("match"):
        case "exact":
            return text == value
        case "prefix":
            return text.startswith(value)
        case "regex":
            with suppress(re.error):
                return re.fullmatch(value, text) is not None
        case _:
            pass
    return False


def _is_forbidden(url: str, pattern: str) -> bool:
    """Whether a list of what is forbidden means an address: with any query, with or without a slash at its end.

    An address that leads on to another one, in its parameter `mcp_url`, is forbidden with that one.
    """
    plain = re.split(r"[?#]", url, maxsplit=1)[0].rstrip("/")
    spelled, pattern = [one.lower() for one in (url, plain, f"{plain}/")], pattern.lower()
    if any(_is_like(one, pattern) or fnmatchcase(one, _with_stars(pattern)) for one in spelled):
        return True
    with suppress(ValueError):  # brackets that are not closed
        inner = parse_qs(urlsplit(url).query).get("mcp_url", ())
        return any(_is_forbidden(one, pattern) for one in inner if one != url)
    return False


def _is_like(url: str, pattern: str) -> bool:
    """Whether an address is what a pattern of Claude Code says, part by part: a star stays within its part.

    A pattern without a path means every path, and one without a port the usual port, or any if its host has a star.
    """
    found = _PATTERN.fullmatch(pattern)
    if found is None:
        return pattern == "*"
    with suppress(ValueError):  # a port that is not a number
        parts = urlsplit(url)
        given, wanted = (parts.hostname or "").rstrip("."), found["host"].strip("[]").rstrip(".").lower()
        scheme, port, path = found["scheme"].lower(), found["port"], found["path"]
        usual = _PORTS.get(parts.scheme)
        is_port = port == "*" or ("*" in wanted and not port) or (int(port) if port else usual) == (parts.port or usual)
        query = f"?{parts.query}" if parts.query else ""
        return (
            scheme in ("*", parts.scheme)
            and fnmatchcase(given, _with_stars(wanted))
            and is_port
            and (not path or fnmatchcase(f"{parts.path or '/'}{query}", _with_stars(path)))
        )
    return False


def _is_at(url: str, pattern: str) -> bool:
    """Whether an address is at the host that a pattern names, and over the protocol and port that it may name."""
    with suppress(ValueError):  # a port that is not a number
        there, wanted = urlsplit(url), urlsplit(pattern if "//" in pattern else f"//{pattern}")
        host, given = wanted.hostname or "", there.hostname or ""
        is_there = given.endswith(host[1:]) if host.startswith("*.") else given == host
        return is_there and wanted.scheme in ("", there.scheme) and wanted.port in (None, there.port)
    return False


def _is_below(url: str, pattern: str) -> bool:
    """Whether an address is at a host, which may be in an address and have stars, or below it."""
    with suppress(ValueError):  # brackets that are not closed
        host = urlsplit(pattern if "//" in pattern else f"//{pattern}").hostname or ""
        given = (urlsplit(url).hostname or "").rstrip(".")
        return bool(host) and (given.endswith(f".{host}") or fnmatchcase(given, _with_stars(host)))
    return False


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _with_stars(text: str) -> str:
    """Return the glob of an address in which `*` alone is a pattern: `?` begins its query."""
    return exactly(text).replace("[*]", "*")
