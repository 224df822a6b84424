"""The table of limits: what the rest of a client's file says about its servers and their tools."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final, cast

from msgspec import Struct
from msgspec.structs import replace

from ostler.adapters.config.dialects.client_rules import (
    SERVER_POLICIES,
    TOOL_POLICIES,
    granted_in,
    keys_obeyed,
    policies_in,
    rules_in,
)
from ostler.adapters.config.dialects.clients import ANY
from ostler.adapters.config.dialects.entry_places import PLACES, SETTINGS, at, is_setting
from ostler.adapters.config.dialects.hooks import Hook, hooks_in
from ostler.adapters.config.dialects.server_lists import (
    Domains,
    Policy,
    Requirements,
    Servers,
    hosts_off,
    hosts_only,
    is_known_rule,
    servers_in,
    toolsets_off,
    toolsets_only,
)
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
_GLOBS: Final = frozenset({("mcp", "allowed"), ("mcp", "excluded")})
"""Lists whose names Qwen Code takes for patterns; Gemini CLI, which has them, too, has no server with a star."""
_KNOWN: Final = frozenset({
    *(path[0] for path in (*_ONLY, *_OFF) if len(path) == 1),
    "enabledMcpjsonServers", "enableAllProjectMcpServers", "allowedTools", "excludeTools", "toolsSettings",
    "enable_mcp", "useLegacyMcpJson", "includeMcpJson", "allowManagedMcpServersOnly", "requiredMcpServers",
    "allowAllClaudeAiMcps", "allowClaudeInChromeWithManagedMcp", "disableDirectMcpSkills",
})  # fmt: skip
"""Keys next to the entries that are read here, that only say what is called without asking, or that are about other
servers and parts of servers than Ostler uses."""
_LIMITING: Final = re.compile(
    r"^(allow|den[yi]|disabl|enabl|block|exclu|includ|filter|restrict|forbid|approv)", re.IGNORECASE
)
_FORBIDDING: Final = ("disallow", "deny", "deni", "block", "exclu", "restrict", "forbid", "disabl")
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
_ELSEWHERE: Final = frozenset({"projects", "nativeMCPServers", "hooks"})
"""Keys with what is said of single projects, of servers that are parts of the client (MCP Hub), or of hooks."""
_AI_OFF: Final[tuple[tuple[KeyPath, bool | str], ...]] = (
    (("disable_ai",), True), (("chat.disableAIFeatures",), True), (("agent", "enabled"), False),
    (("chat.agent.enabled",), False), (("GOOSE_MODE",), "chat"), (("enable_mcp",), False),
    (("ai-features.AiEnable.enableAI",), False),
)  # fmt: skip
_STARTS: Final[tuple[tuple[KeyPath, bool | str], ...]] = (
    *(((*above, key), "never") for above in SETTINGS for key in ("chat.mcp.autostart", "chat.mcp.autoStart")),
    *(((*above, key), False) for above in (("mcp",), ("tools", "mcp")) for key in ("auto_start", "autoStart")),
)
"""Where clients (VS Code; gptme, PicoClaw) say of all servers that none starts before it is asked for."""
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
    r"(den(y|ies|ied)|block(ed|s)?|forbid(den|s)?|never|reject(ed|s)?|disabled?|exclud(e|ed|es)|off|ask(ed|s)?|confirm)"
    r"(list)?",
    re.IGNORECASE,
)
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_LISTS: Final[tuple[KeyPath, ...]] = (
    *_ONLY, *_OFF, ("permissions", "limitTo"),
    *((key, kind) for key in ("permissions", "permission") for kind in ("deny", "ask")),
    ("tools", "exclude"), ("excludeTools",), ("tools", "confirmationRequired"), ("tools", "disabled"),
    ("amp.tools.disable",), ("amp.permissions",), ("amp.mcpPermissions",),
    ("options", "disabled_tools"), ("removedTools",), ("user", "never_allow"), ("user", "ask_before"), ("rule",),
    ("safety_checker",), ("policies",), ("experimental", "policies"), ("tools", "deny"), ("tools", "allow"),
    ("mcpSettings", "allowedDomains"),
)  # fmt: skip
"""Where limits are that are lists."""
_ALL: Final = frozenset({"all", "any", "*"})
_COPILOT: Final = frozenset({"copilot"})
_WITH_OWN: Final = frozenset({"copilot", "claude-code"})
_DEPTH: Final = 4


class _Address(Struct, frozen=True):
    """A rule of Amp's about servers: the globs that its command, arguments or address must match."""

    matches: Mapping[str, str]
    permits: bool
    path: KeyPath

    def is_about(self, facts: Mapping[str, str]) -> bool:
        """Whether the rule is about a server with these facts; one about addresses is not about programs."""
        return all(key in facts and fnmatchcase(facts[key], glob) for key, glob in self.matches.items())


class FileLimits(Struct, frozen=True):
    """What the rest of a file says about its servers.

    Attributes:
        only: lists of the only servers that are switched on; each must admit a server.
        off: lists of servers that are switched off.
        rules: lists of rules about tools; each list, its first rule that matches counts, must permit a tool.
        granted: alike, the rules of agents' files (Amazon Q, Kiro), which grant tools one by one.
        addresses: alike, lists of rules about what servers run or connect to.
        hooks: programs that the client runs before calls.
        tool_settings: what is set for single tools, by the names that Amazon Q and Kiro give to them.
        waiting: where it is said that no server starts before it is asked for.
        confined: where it is said that the programs of servers are confined.
        refused: why no entry of the file can be used, with the key that says so.
    """

    only: tuple[Servers | Domains | Policy | Requirements, ...] = ()
    off: tuple[Servers, ...] = ()
    rules: tuple[tuple[Rule, ...], ...] = ()
    granted: tuple[tuple[Rule, ...], ...] = ()
    addresses: tuple[tuple[_Address, ...], ...] = ()
    hooks: tuple[Hook, ...] = ()
    tool_settings: tuple[str, ...] = ()
    waiting: tuple[KeyPath, ...] = ()
    confined: tuple[KeyPath, ...] = ()
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

    def filled(self, fill: Callable[[str], str]) -> "FileLimits":
        """Return the limits with the variables in lists of commands and addresses replaced, as Claude Code does."""
        only = (one.filled(fill, keeps=False) if isinstance(one, Servers) else one for one in self.only)
        return replace(self, only=tuple(only), off=tuple(one.filled(fill, keeps=True) for one in self.off))

    def of_tools(self, names: Sequence[str]) -> Iterator[tuple[list[str] | None, list[str]]]:
        """Yield for each list of rules the globs of the only tools of the server, and of those that are denied."""
        for rules in (*self.rules, *self.granted):
            yield limits_of(rules, names)

    def rejected_by(self, entry: JsonObject) -> KeyPath | None:
        """Return where a rule stands that forbids what an entry runs or connects to; None when none does."""
        facts = (
            {"url": str(entry["url"])}
            if entry.get("url")
            else {
                "command": str(entry.get("command") or ""),
                "args": " ".join(str(word) for word in as_list(entry.get("args"))),
            }
        )
        for rules in self.addresses:
            first = next((rule for rule in rules if rule.is_about(facts)), None)
            if first is not None and not first.permits:
                return first.path
        return None


def limits_in(root: JsonObject, clients: frozenset[str] = ANY) -> FileLimits:
    """Return what the keys next to the entries limit; `clients` are those whose file it may be."""
    root = _with_dots(root)
    # the list of Copilot and Claude Code switches on servers of their own
    only = (
        servers_in(at(root, path), globs=path in _GLOBS)
        for path in _ONLY
        if path != ("enabledMcpServers",) or not clients <= _WITH_OWN
    )
    off = (servers_in(at(root, path), globs=path in _GLOBS) for path in _OFF)
    domains = as_texts(at(root, ("mcpSettings", "allowedDomains")))
    required = root.get("requiredMcpServers")
    return FileLimits(
        only=(
            *(servers for servers in only if servers is not None),
            *([Domains(tuple(domains))] if domains else []),
            *([Requirements(cast("JsonObject", required))] if isinstance(required, dict) else []),
            *([Policy(tuple(as_texts(at(root, ("mcpPolicy", "allowlist")))))] if _is_policy_on(root) else []),
            *toolsets_only(root),
            *hosts_only(root),
        ),
        off=(*(servers for servers in off if servers is not None), toolsets_off(root), hosts_off(root)),
        rules=tuple(tuple(rules) for rules in rules_in(root, clients) if rules),
        granted=tuple(granted_in(root)),
        addresses=(tuple(_addresses_in(root)),),
        hooks=tuple(hooks_in(root)),
        tool_settings=tuple(name for name, said in as_object(root.get("toolsSettings")).items() if said),
        waiting=tuple(path for path, said in _STARTS if at(root, path) == said),
        confined=tuple(_confined_in(root, clients)),
        refused=tuple(_refused_in(root, clients)),
    )


def _is_policy_on(root: JsonObject) -> bool:
    return at(root, ("mcpPolicy", "enabled")) is True and _is_droids(root.get("mcpPolicy"))


def _is_droids(value: JsonValue) -> bool:
    """Whether this is the `mcpPolicy` of Factory Droid: a list of what alone may run, and whether it counts."""
    policy = as_object(value)
    listed = as_list(policy.get("allowlist") or [])
    is_known = policy.keys() <= {"enabled", "allowlist"} and policy.get("allowlist") in (None, listed)
    return is_known and as_texts(listed) == listed and isinstance(policy.get("enabled"), bool)


def _with_dots(root: JsonObject) -> JsonObject:
    """Return the file with Amp's settings as it writes them: `amp.tools.disable`, not objects in objects."""
    own = as_object(root.get("amp"))
    tools = {f"amp.tools.{key}": value for key, value in as_object(own.get("tools")).items()}
    return {**{f"amp.{key}": value for key, value in own.items() if key != "tools"}, **tools, **root}


def limits_of_all(roots: Iterable[JsonObject], clients: frozenset[str] = ANY) -> FileLimits:
    """Return the limits of several files together: all of them count."""
    every = [limits_in(root, clients) for root in roots]
    return FileLimits(
        only=tuple(servers for limits in every for servers in limits.only),
        off=tuple(servers for limits in every for servers in limits.off),
        rules=tuple(rules for limits in every for rules in limits.rules),
        granted=tuple(rules for limits in every for rules in limits.granted),
        addresses=tuple(rules for limits in every for rules in limits.addresses),
        hooks=tuple(hook for limits in every for hook in limits.hooks),
        tool_settings=tuple(name for limits in every for name in limits.tool_settings),
        waiting=tuple(path for limits in every for path in limits.waiting),
        confined=tuple(path for limits in every for path in limits.confined),
        refused=tuple(reason for limits in every for reason in limits.refused),
    )


def _addresses_in(root: JsonObject) -> Iterator[_Address]:
    for rule in as_objects(at(root, ("amp.mcpPermissions",))):
        matches = {key: str(glob) for key, glob in as_object(rule.get("matches")).items()}
        yield _Address(matches, rule.get("action") == "allow", ("amp.mcpPermissions",))


def _refused_in(root: JsonObject, clients: frozenset[str]) -> Iterator[tuple[str, KeyPath]]:
    yield from _ill_formed_in(root)
    for rule in as_objects(at(root, ("amp.mcpPermissions",))):
        values = as_object(rule.get("matches"))
        if not (rule.keys() <= {"matches", "action"} and values.keys() <= {"command", "args", "url"}):
            yield "a rule there decides by what Ostler does not know", ("amp.mcpPermissions",)
    for key in ("allowedMcpServers", "deniedMcpServers"):
        if not all(map(is_known_rule, as_objects(root.get(key)))):
            yield "a rule there is about commands and addresses in a way that Ostler does not read", (key,)
    yield from _policies_in(root)
    yield from _client_off_in(root)
    obeyed = keys_obeyed(root, clients)
    for key, value in root.items():
        if _limits(key) and _ABOUT_SERVERS.search(key) and key not in (_KNOWN | obeyed) and value:
            yield "it may limit the servers in a way that Ostler does not know", (key,)
    yield from _limits_of_mcp(root, (), ())
    for key, value in root.items():
        is_read = key in _RULES | _KNOWN | obeyed | _ELSEWHERE or key.startswith("amp.")
        if not is_read and not any(path[0] == key for path, _ in PLACES) and _denies_tools(value):
            yield "a rule there denies tools of MCP servers in a way that Ostler does not know", (key,)


def _confined_in(root: JsonObject, clients: frozenset[str]) -> Iterator[KeyPath]:
    """Yield where Copilot's sandbox is on; those of other clients are for commands of the model alone."""
    sandbox = as_object(root.get("sandbox"))
    if clients <= _COPILOT and sandbox.get("enabled") is True and sandbox.get("sandboxMcpServers") is not False:
        yield ("sandbox", "enabled")


def _ill_formed_in(root: JsonObject) -> Iterator[tuple[str, KeyPath]]:
    """Yield the limits that are not the lists of texts or objects that they should be, so that none may be obeyed."""
    for path in _LISTS:
        value = at(root, path)
        items = as_list(value)
        if value is not None and (value != items or len([*as_texts(items), *as_objects(items)]) < len(items)):
            yield "it is not a list of names or of rules", path


def _client_off_in(root: JsonObject) -> Iterator[tuple[str, KeyPath]]:
    """Yield what switches off or confines the client itself, and with it all of its servers."""
    for path, off in (((*above, *key), off) for above in SETTINGS for key, off in _AI_OFF):
        value = at(root, path)
        if value is off or (isinstance(value, str) and value == off):
            yield "it switches off the client's agent or all of its tools", path
    if as_object(at(root, ("tools", "executionSandbox"))):  # Qwen Code then starts no servers
        yield "it confines the client's tools and has no MCP servers", ("tools", "executionSandbox")
    if at(root, ("admin", "mcp", "config")):  # Gemini CLI then has these servers alone, in a form of their own
        yield "it permits the servers that it has alone", ("admin", "mcp", "config")
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
        if here == ("mcpPolicy",) and _is_droids(part):
            continue
        is_about_mcp = any(_ABOUT_MCP.search(name) for name in parts)
        if is_about_mcp and not (len(parts) == 1 and _limits(key)) and _limits_mcp(parts, part):
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
    if (tools and denied) or any(map(_MCP_TOOL.match, denied)) or any(map(_is_denying, tools)):
        return True
    return depth < _DEPTH and any(_denies_tools(part, depth + 1) for part in rule.values())


def _limits(key: str) -> bool:
    """Whether a key begins with a word that limits, or has one that forbids; `chat.tools.…` of an editor is no such."""
    words = [word.lower() for word in _WORD.findall(key)]
    return bool(_LIMITING.search(key)) or ("." not in key and any(word.startswith(_FORBIDDING) for word in words))


def _is_denying(key: str) -> bool:
    """Whether a word of a key denies what its value names: `denyTools`, `always_ask`, but not `official`."""
    return any(map(_DENYING.fullmatch, _WORD.findall(key)))


def _limits_mcp(names: tuple[str, ...], value: JsonValue) -> bool:
    if names[-1] in _SWITCHES:  # of MCP itself, not of a part such as its gallery
        return value is False and bool(_ABOUT_MCP.search("".join(names[-2:-1])))
    if names[-1].lower().startswith("disabl") and isinstance(value, bool):
        return value
    is_open = value in (None, True, [], {}) or (isinstance(value, str) and value.lower() in _ALL)
    return bool(_LIMITING_MCP.search(names[-1])) and not is_open and names[-1] not in _KNOWN
