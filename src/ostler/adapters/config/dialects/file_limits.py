"""The table of limits: what the rest of a client's file says about its servers and their tools."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, cast

from ostler.adapters.config.dialects.draft import covers
from ostler.adapters.config.dialects.entry_places import PLACES, at, items, mapping
from ostler.adapters.config.jsonc import KeyPath
from ostler.model.json import JsonObject, JsonValue

_ONLY: Final[tuple[KeyPath, ...]] = (
    ("mcp", "allowed"), ("allowMCPServers",), ("allowedMcpServers",), ("enabledMcpServers",),
)  # fmt: skip
_OFF: Final[tuple[KeyPath, ...]] = (
    ("mcp", "excluded"), ("excludeMCPServers",), ("disabledMcpServers",), ("deniedMcpServers",),
    ("disabledMcpjsonServers",), ("disabledServers",), ("mcpDisabled",),
)  # fmt: skip
_KNOWN: Final = frozenset({
    *(path[0] for path in (*_ONLY, *_OFF) if len(path) == 1),
    "enabledMcpjsonServers", "enableAllProjectMcpServers", "allowedTools", "excludeTools", "toolsSettings",
    "useLegacyMcpJson", "includeMcpJson",
})  # fmt: skip
"""Keys next to the entries that are read here, or say what is called without asking."""
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
    ("mcpSettings", "allowedAddresses"),
)  # fmt: skip
"""Settings about MCP that are read elsewhere, or that limit no server."""
_AI_OFF: Final[tuple[tuple[KeyPath, bool], ...]] = (
    (("disable_ai",), True), (("chat.disableAIFeatures",), True), (("agent", "enabled"), False),
    (("chat.agent.enabled",), False),
)  # fmt: skip
_ALL: Final = frozenset({"all", "any", "*"})
_DEPTH: Final = 4
_ZED: Final = ("agent", "tool_permissions")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        glob: matches what the client calls a tool, its server's name included.
        prefix: what comes before the tool's name there; `{}` is the server's name.
        permits: whether the tools that match may be called.
    """

    glob: str
    prefix: str
    permits: bool

    def tools_of(self, server: str) -> Iterator[str]:
        """Yield globs of the tools of `server` that the rule is about."""
        for name in _forms(server):
            yield from _remainders(self.glob, self.prefix.format(name))


@dataclass(frozen=True, slots=True)
class _Address:
    """A rule of Amp's about servers: the globs that its command, arguments or address must match."""

    matches: Mapping[str, str]
    permits: bool
    path: KeyPath

    def is_about(self, facts: Mapping[str, str]) -> bool:
        """Whether the rule is about a server with these facts."""
        return all(fnmatchcase(facts.get(key, ""), glob) for key, glob in self.matches.items())


@dataclass(frozen=True, slots=True)
class FileLimits:
    """What the rest of a file says about its servers.

    Attributes:
        only: lists of the only servers that are switched on, as the file calls them; each must have a server.
        off: servers that are switched off.
        rules: lists of rules about tools; each list, its first rule that matches counts, must permit a tool.
        granted: alike, the rules of agents' files (Amazon Q, Kiro), which grant tools one by one.
        addresses: alike, lists of rules about what servers run or connect to.
        refused: why no entry of the file can be used, with the key that says so.
    """

    only: tuple[frozenset[str], ...] = ()
    off: frozenset[str] = frozenset()
    rules: tuple[tuple[Rule, ...], ...] = ()
    granted: tuple[tuple[Rule, ...], ...] = ()
    addresses: tuple[tuple[_Address, ...], ...] = ()
    refused: tuple[tuple[str, KeyPath], ...] = ()

    def switches_off(self, name: str) -> bool:
        """Whether the server that the file calls `name` is switched off."""
        if not self.off.isdisjoint((name, name.lower())) or any(name not in only for only in self.only):
            return True
        return any(limits_of(rules, name) == (None, ["*"]) for rules in self.granted)

    def of_tools(self, name: str) -> Iterator[tuple[list[str] | None, list[str]]]:
        """Yield for each list of rules the globs of the only tools of the server, and of those that are denied."""
        for rules in (*self.rules, *self.granted):
            yield limits_of(rules, name)

    def rejected_by(self, entry: JsonObject) -> KeyPath | None:
        """Return where a rule stands that forbids what an entry runs or connects to; None when none does."""
        facts = {
            "command": str(entry.get("command") or ""),
            "args": " ".join(str(word) for word in items(entry.get("args"))),
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
    named = (_server_names(at(root, path)) for path in _ONLY)
    off = (_server_names(at(root, path)) or frozenset[str]() for path in _OFF)
    return FileLimits(
        only=tuple(names for names in named if names is not None),
        off=frozenset[str]().union(*off),
        rules=tuple(tuple(rules) for rules in _rules_in(root) if rules),
        granted=tuple(_granted_in(root)),
        addresses=(tuple(_addresses_in(root)),),
        refused=tuple(_refused_in(root)),
    )


def _with_dots(root: JsonObject) -> JsonObject:
    """Return the file with Amp's settings as it writes them: `amp.tools.disable`, not objects in objects."""
    own = mapping(root.get("amp"))
    tools = {f"amp.tools.{key}": value for key, value in mapping(own.get("tools")).items()}
    return {**{f"amp.{key}": value for key, value in own.items() if key != "tools"}, **tools, **root}


def limits_of_all(roots: Iterable[JsonObject]) -> FileLimits:
    """Return the limits of several files together: all of them count."""
    every = [limits_in(root) for root in roots]
    return FileLimits(
        only=tuple(names for limits in every for names in limits.only),
        off=frozenset[str]().union(*(limits.off for limits in every)),
        rules=tuple(rules for limits in every for rules in limits.rules),
        granted=tuple(rules for limits in every for rules in limits.granted),
        addresses=tuple(rules for limits in every for rules in limits.addresses),
        refused=tuple(reason for limits in every for reason in limits.refused),
    )


def _rules_in(root: JsonObject) -> Iterator[list[Rule]]:
    """Yield lists of rules about tools: each must permit a tool, and in each the first rule that matches counts."""
    yield list(_claude_rules(root))
    if at(root, ("permissions", "defaultMode")) == "dontAsk":  # Claude Code then denies what is not allowed
        allowed = [_claude_glob(text) for text in _texts(at(root, ("permissions", "allow")))]
        yield [*(Rule(glob, "mcp__{}__", permits=True) for glob in allowed), Rule("*", "mcp__{}__", permits=False)]
    yield [Rule(glob, "mcp__{}__", permits=False) for glob in _disabled_by_amp(root)]
    yield [rule for one in _objects(at(root, ("amp.permissions",))) for rule in _amp_rule(one)]
    yield list(_gemini_rules(root))
    agent = mapping(at(root, ("agent", str(root.get("default_agent") or "build"))))  # the one that opencode starts with
    yield [*reversed([*_opencode_rules(root), *_opencode_rules(agent)])]  # there, the last one counts
    yield [
        Rule(glob.removeprefix("mcp_"), "{}_", permits=False)
        for glob in _texts(at(root, ("options", "disabled_tools")))
    ]
    yield list(_zed_rules(root))
    yield list(_zed_profile(root))


def _claude_rules(root: JsonObject) -> Iterator[Rule]:
    """`permissions` of Claude Code (`mcp__server__tool`) and of Cursor (`Mcp(server:tool)`)."""
    for path in (("permissions", "deny"), ("permissions", "ask")):
        for text in _texts(at(root, path)):
            if match := re.fullmatch(r"Mcp\((?P<glob>[^)]*)\)", text):
                yield Rule(match["glob"] if ":" in match["glob"] else f"{match['glob']}:*", "{}:", permits=False)
                continue
            glob = _claude_glob(text.partition("(")[0])
            if glob.startswith("mcp__") or "*" in glob:
                yield Rule(glob, "mcp__{}__", permits=False)


def _claude_glob(text: str) -> str:
    """Return a rule that names a server alone as one about all of its tools."""
    rest = text.removeprefix("mcp__")
    return text if rest == text or "__" in rest else f"{text}__*"


def _disabled_by_amp(root: JsonObject) -> Iterator[str]:
    for glob in _texts(at(root, ("amp.tools.disable",))):
        if not glob.startswith("builtin:"):
            yield glob
            if not glob.startswith("mcp__"):  # the name of a tool alone, whichever server has it
                yield f"mcp__*__{glob}"


def _amp_rule(rule: JsonObject) -> Iterator[Rule]:
    """A rule that holds for some input alone: its tools are denied if it denies anything, and not allowed by it."""
    is_partial = bool(rule.get("matches")) or rule.get("context") is not None
    permits = rule.get("action") == "allow"
    if not (permits and is_partial):
        yield Rule(str(rule.get("tool", "*")), "mcp__{}__", permits=permits)


def _gemini_rules(root: JsonObject) -> Iterator[Rule]:
    for path in (("tools", "exclude"), ("excludeTools",)):  # Gemini CLI's and Qwen Code's own tools are among them
        for text in _texts(at(root, path)):
            name = text.partition("(")[0].removeprefix("mcp_").lstrip("_")
            yield Rule(name, "{}_", permits=False)
            yield Rule(name, "{}__", permits=False)
            yield Rule(f"*__{name}", "{}__", permits=False)


def _opencode_rules(root: JsonObject) -> Iterator[Rule]:
    everything = at(root, ("permission",))
    if isinstance(everything, str):
        yield Rule("*", "{}_", permits=everything == "allow")
    for path in (("tools",), ("permission",)):
        for glob, rule in mapping(at(root, path)).items():
            parts = list(cast("JsonObject", rule).values()) if isinstance(rule, dict) else [rule]
            known = [part for part in parts if part in (True, False, "allow", "ask", "deny")]
            if known:
                yield Rule(glob, "{}_", permits=all(part in (True, "allow") for part in known))


def _zed_rules(root: JsonObject) -> Iterator[Rule]:
    """`agent.tool_permissions`: a tool that is denied or to be confirmed, at least for some input, is denied."""
    for name, value in mapping(at(root, (*_ZED, "tools"))).items():
        rule = mapping(value)
        is_limited = bool(rule.get("always_deny") or rule.get("always_confirm"))
        if is_limited or rule.get("default") in ("deny", "confirm"):
            yield Rule(name, "mcp:{}:", permits=False)
        elif rule.get("default") == "allow":
            yield Rule(name, "mcp:{}:", permits=True)
    if at(root, (*_ZED, "default")) == "deny":
        yield Rule("*", "mcp:{}:", permits=False)


def _zed_profile(root: JsonObject) -> Iterator[Rule]:
    """The profile that Zed starts with: the tools of each server that it has switched on or off."""
    name = at(root, ("agent", "default_profile"))
    profile = mapping(at(root, ("agent", "profiles", name if isinstance(name, str) else "write")))
    for server, preset in mapping(profile.get("context_servers")).items():
        for tool, is_on in mapping(mapping(preset).get("tools")).items():
            yield Rule(f"{server}:{tool}", "{}:", permits=is_on is True)
    if profile.get("enable_all_context_servers") is False:
        yield Rule("*", "{}:", permits=False)


def _granted_in(root: JsonObject) -> Iterator[tuple[Rule, ...]]:
    """Yield what a list of tools next to the servers grants: `@server`, `@server/tool`, `server/tool`, or Claude's."""
    value = root.get("tools")
    names = _texts(value)
    if not isinstance(value, list) or "*" in names or names != value:
        return
    rules: list[Rule] = []
    for text in names:
        if text.startswith("mcp__"):
            rules.append(Rule(_claude_glob(text), "mcp__{}__", permits=True))
        elif text.startswith("@") or "/" in text:
            plain = text.removeprefix("@")
            rules.append(Rule(plain if "/" in plain else f"{plain}/*", "{}/", permits=True))
    yield (*rules, Rule("*", "{}/", permits=False))


def _addresses_in(root: JsonObject) -> Iterator[_Address]:
    for rule in _objects(at(root, ("amp.mcpPermissions",))):
        matches = {key: str(glob) for key, glob in mapping(rule.get("matches")).items()}
        yield _Address(matches, rule.get("action") == "allow", ("amp.mcpPermissions",))


def _refused_in(root: JsonObject) -> Iterator[tuple[str, KeyPath]]:
    for rule in _objects(at(root, ("amp.mcpPermissions",))):
        values = mapping(rule.get("matches"))
        if not (rule.keys() <= {"matches", "action"} and values.keys() <= {"command", "args", "url"}):
            yield "a rule there decides by what Ostler does not know", ("amp.mcpPermissions",)
    for key in ("allowedMcpServers", "deniedMcpServers"):
        if any("serverName" not in rule for rule in _objects(root.get(key))):
            yield (
                "its rules about commands and addresses decide which servers may run; Ostler does not read them",
                (key,),
            )
    for path, off in _AI_OFF:
        if at(root, path) is off:
            yield "it switches off the client's agent", path
    for key, value in root.items():
        if _LIMITING.search(key) and _ABOUT_SERVERS.search(key) and key not in _KNOWN and value:
            yield "it may limit the servers in a way that Ostler does not know", (key,)
    yield from _limits_of_mcp(root, (), ())


def _limits_of_mcp(value: JsonObject, path: KeyPath, names: tuple[str, ...]) -> Iterator[tuple[str, KeyPath]]:
    """Yield the settings about MCP as a whole that limit it, at any place that has no entries."""
    for key, part in value.items():
        here, parts = (*path, key), (*names, *key.split("."))
        if any(here == place for place, _ in PLACES) or key == "projects" or parts in _HARMLESS:
            continue
        is_about_mcp = any(_ABOUT_MCP.search(name) for name in parts)
        if is_about_mcp and not (len(parts) == 1 and _LIMITING.search(key)) and _limits_mcp(parts, part):
            yield "it limits MCP servers in a way that Ostler does not know", here
        elif isinstance(part, dict) and len(here) < _DEPTH:
            yield from _limits_of_mcp(cast("JsonObject", part), here, parts)


def _limits_mcp(names: tuple[str, ...], value: JsonValue) -> bool:
    if names[-1] in _SWITCHES:  # of MCP itself, not of a part such as its gallery
        return value is False and bool(_ABOUT_MCP.search("".join(names[-2:-1])))
    is_open = value in (None, True, [], {}) or (isinstance(value, str) and value.lower() in _ALL)
    return bool(_LIMITING_MCP.search(names[-1])) and not is_open and names[-1] not in _KNOWN


def _server_names(value: JsonValue) -> frozenset[str] | None:
    if not isinstance(value, list):
        return None
    names = [mapping(item).get("serverName") if isinstance(item, dict) else item for item in items(value)]
    return frozenset(name for name in names if isinstance(name, str))


def _objects(value: JsonValue) -> Sequence[JsonObject]:
    return [cast("JsonObject", item) for item in items(value) if isinstance(item, dict)]


def _texts(value: JsonValue) -> list[str]:
    return [item for item in items(value) if isinstance(item, str)]


def limits_of(rules: Sequence[Rule], server: str) -> tuple[list[str] | None, list[str]]:
    """Return the globs of the only tools of a server that may be called, None for all, and of those that may not.

    The first rule that matches a tool counts. Where that cannot be written as two lists, a tool is rather denied.
    """
    allowed: list[str] = []
    denied: list[str] = []
    for rule in rules:
        for glob in rule.tools_of(server):
            if not glob or any(covers(earlier, glob) for earlier in (*allowed, *denied)):
                continue
            if not glob.strip("*"):
                if rule.permits:
                    return None, denied
                return (allowed, denied) if allowed else (None, ["*"])
            (allowed if rule.permits else denied).append(glob)
    return None, denied


def _forms(server: str) -> list[str]:
    """Return what clients call a server in its tools' names: as written, or without what such names cannot carry."""
    forms = [server, re.sub(r"[^A-Za-z0-9_.-]", "_", server), re.sub(r"[^A-Za-z0-9_-]", "_", server)]
    return list(dict.fromkeys([*forms, forms[-1].lower()]))


def _remainders(glob: str, prefix: str) -> list[str]:
    """Return the globs that the rest of a text must match for `prefix` + rest to match `glob`."""
    begin = re.split(r"[*?]", glob, maxsplit=1)[0]
    if not (begin.startswith(prefix) or prefix.startswith(begin)):
        return []
    places = {0}
    for char in prefix:
        following: set[int] = set()
        for place in _through_stars(glob, places):
            if place < len(glob):
                if glob[place] == "*":
                    following.add(place)
                elif glob[place] in ("?", char):
                    following.add(place + 1)
        places = following
    return sorted({glob[place:] for place in places})


def _through_stars(glob: str, places: set[int]) -> set[int]:
    reached = set(places)
    for place in places:
        here = place
        while here < len(glob) and glob[here] == "*":
            here += 1
            reached.add(here)
    return reached
