"""The table of limits: what the rest of a client's file says about its servers and their tools."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from typing import Final, cast
from urllib.parse import urlsplit

from msgspec import Struct

from ostler.adapters.config.dialects.client_rules import (
    SERVER_POLICIES,
    TOOL_POLICIES,
    granted_in,
    policies_in,
    rules_in,
    vibe_lists,
)
from ostler.adapters.config.dialects.draft import exactly
from ostler.adapters.config.dialects.entry_places import PLACES, at, is_setting
from ostler.adapters.config.dialects.tool_rules import Rule, limits_of
from ostler.model.json import JsonObject, JsonValue, KeyPath, as_list, as_object, as_objects, as_texts

_ONLY: Final[tuple[KeyPath, ...]] = (
    ("mcp", "allowed"), ("allowMCPServers",), ("allowedMcpServers",), ("enabledMcpServers",),
)  # fmt: skip
_OFF: Final[tuple[KeyPath, ...]] = (
    ("mcp", "excluded"), ("mcp", "disabledServers"), ("excludeMCPServers",), ("disabledMcpServers",),
    ("mcp", "disabledMcpServers"), ("toolPermissions", "disabledMcpServers"), ("deniedMcpServers",),
    ("disabledMcpjsonServers",), ("disabledServers",), ("mcpDisabled",),
)  # fmt: skip
_KNOWN: Final = frozenset({
    *(path[0] for path in (*_ONLY, *_OFF) if len(path) == 1),
    "enabledMcpjsonServers", "enableAllProjectMcpServers", "allowedTools", "excludeTools", "toolsSettings",
    "useLegacyMcpJson", "includeMcpJson", "allowManagedMcpServersOnly",
})  # fmt: skip
"""Keys next to the entries that are read here, or that only say what is called without asking."""
_LIMITING: Final = re.compile(
    r"^(allow|den[yi]|disabl|enabl|block|exclu|includ|filter|restrict|forbid|approv)", re.IGNORECASE
)
_ABOUT_SERVERS: Final = re.compile(r"(?<!language_)server|tool|mcp", re.IGNORECASE)
_ABOUT_MCP: Final = re.compile(r"mcp", re.IGNORECASE)
_LIMITING_MCP: Final = re.compile(
    r"allow|den[yi]|disabl|block|exclu|restrict|forbid|polic|access|permission|required", re.IGNORECASE
)
_SWITCHES: Final = frozenset({"enabled", "enable", "use", "active"})
_HARMLESS: Final[tuple[KeyPath, ...]] = (
    *(path for path in (*_ONLY, *_OFF) if len(path) > 1),
    ("amp", "mcpPermissions"), ("chat", "mcp", "serverSampling"), ("amp", "tools", "disable"),
    ("mcpSettings", "allowedAddresses"), ("mcpSettings", "allowedDomains"), ("mcpToolSearch", "excludePattern"),
)  # fmt: skip
"""Settings about MCP that are read elsewhere, or that limit no server."""
_ELSEWHERE: Final = frozenset({"projects", "nativeMCPServers"})
"""Keys with what is said of single projects, or (MCP Hub) of servers that are parts of the client."""
_AI_OFF: Final[tuple[tuple[KeyPath, bool | str], ...]] = (
    (("disable_ai",), True), (("chat.disableAIFeatures",), True), (("agent", "enabled"), False),
    (("chat.agent.enabled",), False), (("GOOSE_MODE",), "chat"), (("ai-features.AiEnable.enableAI",), False),
)  # fmt: skip
_SETTINGS: Final[tuple[KeyPath, ...]] = ((), ("settings",), ("customizations", "vscode", "settings"))
"""Where settings are: in a file of them, in a workspace of VS Code, in a dev container."""

_POLICIES: Final = TOOL_POLICIES | SERVER_POLICIES.keys()
_NOT_MCP: Final = re.compile(r"(provider|model|skill|plugin|websearch)\..*")
"""Actions of opencode's policies that are not about servers or their tools."""

_RULES: Final = frozenset({
    "permissions", "permission", "toolCall", "tools", "agent", "agents", "options", "policies", "experimental", "rule",
    "rules", "safety_checker", "user", "allow", "ask", "exclude", "excludeTools", "removedTools",
})  # fmt: skip
"""Keys whose rules about tools are read as one client or another writes them."""
_MCP_TOOL: Final = re.compile(r"\W{0,2}mcp[_:(]", re.IGNORECASE)
_DENYING: Final = re.compile(
    r"(den(y|ies|ied)|block(ed)?|forbid(den)?|never|reject(ed)?|disabled?|exclud(e|ed|es)|off|ask|confirm)",
    re.IGNORECASE,
)
_ALL: Final = frozenset({"all", "any", "*"})
_DEPTH: Final = 4


class _Address(Struct, frozen=True):
    """A rule of Amp's about servers: the globs that its command, arguments or address must match."""

    matches: Mapping[str, str]
    permits: bool
    path: KeyPath

    def is_about(self, facts: Mapping[str, str]) -> bool:
        """Whether the rule is about a server with these facts."""
        return all(fnmatchcase(facts.get(key, ""), glob) for key, glob in self.matches.items())


class Servers(Struct, frozen=True):
    """A list of servers, by their names or, in Claude Code, by what they run or connect to.

    Attributes:
        names: their names, as the file calls them.
        commands: whole commands, of servers with any name.
        addresses: globs of addresses, of servers with any name.
    """

    names: frozenset[str] = frozenset()
    commands: tuple[tuple[str, ...], ...] = ()
    addresses: tuple[str, ...] = ()

    def has(self, name: str, entry: JsonObject) -> bool:
        """Whether a server is in the list by any of these."""
        if not self.names.isdisjoint((name, name.lower())):
            return True
        if url := str(entry.get("url") or ""):
            every = (url, *_spellings(url))
            return any(fnmatchcase(one.lower(), glob.lower()) for one in every for glob in self.addresses)
        return _words(entry) in self.commands

    def admits(self, name: str, entry: JsonObject) -> bool:
        """Whether a server may run if no other may: its name is not enough where commands or addresses are listed."""
        url = str(entry.get("url") or "")
        if not (self.addresses if url else self.commands):
            return name in self.names
        if url:
            return any(fnmatchcase(one, glob) for one in _spellings(url) for glob in self.addresses)
        return _words(entry) in self.commands


class Domains(Struct, frozen=True):
    """LibreChat's list of the hosts of servers, some with a protocol, a port or `*.` for all below."""

    patterns: tuple[str, ...]

    def admits(self, name: str, entry: JsonObject) -> bool:
        """Whether a server may run: one without an address may."""
        del name
        url = entry.get("url")
        return not url or any(_is_at(str(url), pattern) for pattern in self.patterns)


class FileLimits(Struct, frozen=True):
    """What the rest of a file says about its servers.

    Attributes:
        only: lists of the only servers that are switched on; each must admit a server.
        off: lists of servers that are switched off.
        rules: lists of rules about tools; each list, its first rule that matches counts, must permit a tool.
        granted: alike, the rules of agents' files (Amazon Q, Kiro), which grant tools one by one.
        addresses: alike, lists of rules about what servers run or connect to.
        refused: why no entry of the file can be used, with the key that says so.
    """

    only: tuple[Servers | Domains, ...] = ()
    off: tuple[Servers, ...] = ()
    rules: tuple[tuple[Rule, ...], ...] = ()
    granted: tuple[tuple[Rule, ...], ...] = ()
    addresses: tuple[tuple[_Address, ...], ...] = ()
    refused: tuple[tuple[str, KeyPath], ...] = ()

    def switches_off(self, names: Sequence[str], written: JsonObject, entry: JsonObject) -> bool:
        """Whether a server is switched off: by any of its names, or because a list admits none of them.

        Args:
            names: what files call it.
            written: its entry.
            entry: the same with its variables replaced, which is what runs.
        """
        if any(off.has(name, one) for off in self.off for name in names for one in (written, entry)):
            return True
        if not all(any(only.admits(name, entry) for name in names) for only in self.only):
            return True
        return any(limits_of(rules, names) == (None, ["*"]) for rules in self.granted)

    def of_tools(self, names: Sequence[str]) -> Iterator[tuple[list[str] | None, list[str]]]:
        """Yield for each list of rules the globs of the only tools of the server, and of those that are denied."""
        for rules in (*self.rules, *self.granted):
            yield limits_of(rules, names)

    def rejected_by(self, entry: JsonObject) -> KeyPath | None:
        """Return where a rule stands that forbids what an entry runs or connects to; None when none does."""
        facts = {
            "command": str(entry.get("command") or ""),
            "args": " ".join(str(word) for word in as_list(entry.get("args"))),
            "url": str(entry.get("url") or ""),
        }
        for rules in self.addresses:
            first = next((rule for rule in rules if rule.is_about(facts)), None)
            if first is not None and not first.permits:
                return first.path
        return None


def limits_in(root: JsonObject) -> FileLimits:
    """Return what the keys next to the entries limit."""
    root = _with_dots(root)
    only = (_servers(at(root, path)) for path in _ONLY)
    off = (_servers(at(root, path)) for path in _OFF)
    domains = as_texts(at(root, ("mcpSettings", "allowedDomains")))
    return FileLimits(
        only=(*(servers for servers in only if servers is not None), *([Domains(tuple(domains))] if domains else [])),
        off=tuple(servers for servers in off if servers is not None),
        rules=tuple(tuple(rules) for rules in rules_in(root) if rules),
        granted=tuple(granted_in(root)),
        addresses=(tuple(_addresses_in(root)),),
        refused=tuple(_refused_in(root)),
    )


def _with_dots(root: JsonObject) -> JsonObject:
    """Return the file with Amp's settings as it writes them: `amp.tools.disable`, not objects in objects."""
    own = as_object(root.get("amp"))
    tools = {f"amp.tools.{key}": value for key, value in as_object(own.get("tools")).items()}
    return {**{f"amp.{key}": value for key, value in own.items() if key != "tools"}, **tools, **root}


def limits_of_all(roots: Iterable[JsonObject]) -> FileLimits:
    """Return the limits of several files together: all of them count."""
    every = [limits_in(root) for root in roots]
    return FileLimits(
        only=tuple(servers for limits in every for servers in limits.only),
        off=tuple(servers for limits in every for servers in limits.off),
        rules=tuple(rules for limits in every for rules in limits.rules),
        granted=tuple(rules for limits in every for rules in limits.granted),
        addresses=tuple(rules for limits in every for rules in limits.addresses),
        refused=tuple(reason for limits in every for reason in limits.refused),
    )


def _addresses_in(root: JsonObject) -> Iterator[_Address]:
    for rule in as_objects(at(root, ("amp.mcpPermissions",))):
        matches = {key: str(glob) for key, glob in as_object(rule.get("matches")).items()}
        yield _Address(matches, rule.get("action") == "allow", ("amp.mcpPermissions",))


def _refused_in(root: JsonObject) -> Iterator[tuple[str, KeyPath]]:
    for rule in as_objects(at(root, ("amp.mcpPermissions",))):
        values = as_object(rule.get("matches"))
        if not (rule.keys() <= {"matches", "action"} and values.keys() <= {"command", "args", "url"}):
            yield "a rule there decides by what Ostler does not know", ("amp.mcpPermissions",)
    for key in ("allowedMcpServers", "deniedMcpServers"):
        if not all(map(_is_known, as_objects(root.get(key)))):
            yield "a rule there is about commands and addresses in a way that Ostler does not read", (key,)
    yield from _policies_in(root)
    yield from _client_off_in(root)
    obeyed = {key for key, _ in vibe_lists(root)}
    for key, value in root.items():
        if _LIMITING.search(key) and _ABOUT_SERVERS.search(key) and key not in (_KNOWN | obeyed) and value:
            yield "it may limit the servers in a way that Ostler does not know", (key,)
    yield from _limits_of_mcp(root, (), ())
    for key, value in root.items():
        is_read = key in _RULES | _KNOWN | obeyed | _ELSEWHERE or key.startswith("amp.")
        if not is_read and not any(path[0] == key for path, _ in PLACES) and _denies_tools(value):
            yield "a rule there denies tools of MCP servers in a way that Ostler does not know", (key,)


def _client_off_in(root: JsonObject) -> Iterator[tuple[str, KeyPath]]:
    """Yield what switches off or confines the client itself, and with it all of its servers."""
    for path, off in (((*above, *key), off) for above in _SETTINGS for key, off in _AI_OFF):
        value = at(root, path)
        if value is off or (isinstance(value, str) and value == off):
            yield "it switches off the client's agent or all of its tools", path
    for path in (("tools", "sandbox"), ("sandbox",)):  # of Gemini CLI; other clients have an object there
        value = at(root, path)
        if value is True or (isinstance(value, str) and value.lower() not in ("", "false")):
            yield "it confines the client together with its servers, which Ostler cannot do", path


def _policies_in(root: JsonObject) -> Iterator[tuple[str, KeyPath]]:
    """Yield what Claude Code's administrators and opencode's policies forbid that cannot be obeyed server by server."""
    strict = root.get("strictPluginOnlyCustomization")
    if strict is True or "mcp" in as_texts(strict) or as_object(strict).get("mcp"):
        yield "it permits the servers of plugins alone", ("strictPluginOnlyCustomization",)
    for path, action, resource, permits in policies_in(root):  # of opencode
        if not permits and action not in _POLICIES and not _NOT_MCP.fullmatch(action):
            yield f"it denies {action!r} for {resource!r}, which Ostler does not read", path


def _limits_of_mcp(value: JsonObject, path: KeyPath, names: tuple[str, ...]) -> Iterator[tuple[str, KeyPath]]:
    """Yield the settings that limit MCP as a whole, anywhere but in the places of entries."""
    for key, part in value.items():
        here, parts = (*path, key), (*names, *key.split("."))
        if here == ("mcp",):  # its servers, or settings of all of them
            settings = {name: one for name, one in as_object(part).items() if is_setting(name, one)}
            yield from _limits_of_mcp(settings, here, parts)
            continue
        if any(here == place for place, _ in PLACES) or key in _ELSEWHERE or parts in _HARMLESS:
            continue
        is_about_mcp = any(_ABOUT_MCP.search(name) for name in parts)
        if is_about_mcp and not (len(parts) == 1 and _LIMITING.search(key)) and _limits_mcp(parts, part):
            yield "it limits MCP servers in a way that Ostler does not know", here
        elif isinstance(part, dict) and len(here) < _DEPTH:
            yield from _limits_of_mcp(cast("JsonObject", part), here, parts)


def _denies_tools(value: JsonValue, depth: int = 0) -> bool:
    """Whether rules of any form deny what begins like an MCP tool: `{pattern: mcp__a__*, mode: deny}`.

    A rule has both the tool and a word that denies it: as values next to each other, or one as the other's key.
    """
    if isinstance(value, list):
        return depth < _DEPTH and any(_denies_tools(part, depth + 1) for part in cast("list[JsonValue]", value))
    rule = as_object(value)
    texts = {key: as_texts(part if isinstance(part, list) else [part]) for key, part in rule.items()}
    tools = {key for key, named in texts.items() if any(map(_MCP_TOOL.match, named))}
    denied = {key for key, named in texts.items() if any(map(_DENYING.fullmatch, named))}
    if (tools and denied) or any(map(_MCP_TOOL.match, denied)) or any(map(_DENYING.match, tools)):
        return True
    return depth < _DEPTH and any(_denies_tools(part, depth + 1) for part in rule.values())


def _limits_mcp(names: tuple[str, ...], value: JsonValue) -> bool:
    if names[-1] in _SWITCHES:  # of MCP itself, not of a part such as its gallery
        return value is False and bool(_ABOUT_MCP.search("".join(names[-2:-1])))
    if names[-1].lower().startswith("disabl") and isinstance(value, bool):
        return value
    is_open = value in (None, True, [], {}) or (isinstance(value, str) and value.lower() in _ALL)
    return bool(_LIMITING_MCP.search(names[-1])) and not is_open and names[-1] not in _KNOWN


def _servers(value: JsonValue) -> Servers | None:
    if not isinstance(value, list):
        return None
    rules = as_objects(value)
    names = [*as_texts(value), *(rule["serverName"] for rule in rules if isinstance(rule.get("serverName"), str))]
    return Servers(
        names=frozenset(map(str, names)),
        commands=tuple(tuple(as_texts(rule["serverCommand"])) for rule in rules if "serverCommand" in rule),
        addresses=tuple(
            _with_stars(str(rule["serverUrl"])) for rule in rules if isinstance(rule.get("serverUrl"), str)
        ),
    )


def _is_known(rule: JsonObject) -> bool:
    """Whether a rule names servers, and does it in nothing else than the known ways."""
    command = rule.get("serverCommand", [])
    names = [rule[key] for key in ("serverName", "serverUrl") if key in rule]
    return (
        bool(rule.keys() & {"serverName", "serverCommand", "serverUrl"})
        and all(isinstance(name, str) for name in names)
        and isinstance(command, list)
        and as_texts(command) == command
    )


def _words(entry: JsonObject) -> tuple[str, ...]:
    return (str(entry.get("command")), *map(str, as_list(entry.get("args"))))


def _spellings(url: str) -> list[str]:
    """Return an address as rules may spell it: its host in lower case, with and without the usual port and a path."""
    with suppress(ValueError):  # a port that is not a number
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        begin = f"{parts.scheme}://{f'[{host}]' if ':' in host else host}"
        usual = {"https": 443, "http": 80}.get(parts.scheme)
        port = parts.port or usual
        ends = [*([f":{port}"] if port else []), *([""] if port == usual else [])]
        query = f"?{parts.query}" if parts.query else ""
        return [f"{begin}{end}{path}{query}" for end in ends for path in {parts.path, parts.path or "/"}]
    return []


def _is_at(url: str, pattern: str) -> bool:
    """Whether an address is at the host that a pattern names, and over the protocol and port that it may name."""
    with suppress(ValueError):  # a port that is not a number
        there, wanted = urlsplit(url), urlsplit(pattern if "//" in pattern else f"//{pattern}")
        host, given = wanted.hostname or "", there.hostname or ""
        is_there = given.endswith(host[1:]) if host.startswith("*.") else given == host
        return is_there and wanted.scheme in ("", there.scheme) and wanted.port in (None, there.port)
    return False


def _with_stars(text: str) -> str:
    """Return the glob of an address in which `*` alone is a pattern: `?` begins its query."""
    return exactly(text).replace("[*]", "*")
