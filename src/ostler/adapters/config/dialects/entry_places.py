"""The table of places: where the entries are in a client's file, and what else in it limits them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, cast

from ostler.adapters.config.dialects.clients import ANY
from ostler.adapters.config.dialects.manifests import bundle_entry, is_bundle, is_registry_entry, registry_entry
from ostler.adapters.config.jsonc import KeyPath
from ostler.model.json import JsonObject, JsonValue

_MCP_SERVERS: Final = ANY - {
    "vscode",
    "zed",
    "codex",
    "opencode",
    "goose",
    "crush",
    "amp",
    "mcpb",
    "registry",
}

PLACES: Final[tuple[tuple[KeyPath, frozenset[str]], ...]] = (
    (("mcpServers",), _MCP_SERVERS),
    (("servers",), frozenset({"vscode"})),
    (("mcp", "servers"), frozenset({"vscode"})),
    (("mcp.servers",), frozenset({"vscode"})),
    (("context_servers",), frozenset({"zed"})),
    (("mcp_servers",), frozenset({"codex"})),
    (("mcp",), frozenset({"opencode", "crush"})),
    (("extensions",), frozenset({"goose"})),
    (("amp.mcpServers",), frozenset({"amp"})),
    (("amp", "mcpServers"), frozenset({"amp"})),
)
"""Where entries are, and of which clients. An object of entries by name, or (Continue) a list with names."""

_ENTRY_KEYS: Final = frozenset({"command", "url", "httpUrl", "serverUrl", "cmd", "uri"})
_MCP_SETTINGS: Final = frozenset({"allowed", "excluded", "serverCommand", "servers"})
"""What Gemini CLI and VS Code write under `mcp` that is not an entry."""


_KNOWN: Final = frozenset({
    "allowMCPServers", "allowedMcpServers", "enabledMcpServers", "excludeMCPServers", "disabledMcpServers",
    "deniedMcpServers", "disabledMcpjsonServers", "disabledServers", "enabledMcpjsonServers",
    "enableAllProjectMcpServers", "allowedTools", "excludeTools", "toolsSettings", "useLegacyMcpJson", "includeMcpJson",
})  # fmt: skip
"""Keys next to the entries that are read here, or say what is called without asking."""

_ONLY: Final[tuple[KeyPath, ...]] = (
    ("mcp", "allowed"), ("allowMCPServers",), ("allowedMcpServers",), ("enabledMcpServers",),
)  # fmt: skip
_OFF: Final[tuple[KeyPath, ...]] = (
    ("mcp", "excluded"), ("excludeMCPServers",), ("disabledMcpServers",), ("deniedMcpServers",),
    ("disabledMcpjsonServers",), ("disabledServers",),
)  # fmt: skip
_UNKNOWN_LIMIT: Final = re.compile(
    r"^[^.]*(allow|den[yi]|disabl|enabl|block|exclu|includ|restrict|forbid|approv)", re.IGNORECASE
)
_ZED_TOOLS: Final = ("agent", "tool_permissions", "tools")
_ABOUT_SERVERS: Final = re.compile(r"server|tool|mcp", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Found:
    """One entry of a file.

    Attributes:
        name: what the file calls it.
        raw: the entry.
        path: where it stands.
        clients: who may have written it.
        project: the folder of the project that it is for; empty when it is for all.
    """

    name: str
    raw: JsonValue
    path: KeyPath
    clients: frozenset[str]
    project: str = ""


def entries_in(root: JsonObject, clients: frozenset[str] = ANY) -> Iterator[Found]:
    """Yield the entries of a file, in order; `clients` are those whose file it may be."""
    if is_bundle(root):
        yield Found(str(root.get("name")), bundle_entry(root), ("server", "mcp_config"), frozenset({"mcpb"}))
        return
    if is_registry_entry(root):
        path = ("packages",) if root.get("packages") else ("remotes",)
        yield Found(str(root.get("name")), registry_entry(root), path, frozenset({"registry"}))
        return
    for path, writers in PLACES:
        yield from _entries_at(root, path, (writers & clients) or writers)
    if is_bare(root):
        for name, raw in root.items():
            yield Found(name, raw, (name,), frozenset({"warp"}))
    for folder, project in _mapping(root.get("projects")).items():
        for name, raw in _mapping(_mapping(project).get("mcpServers")).items():
            path = ("projects", folder, "mcpServers", name)
            yield Found(name, raw, path, frozenset({"claude-code"}), folder)


def _entries_at(root: JsonObject, path: KeyPath, owners: frozenset[str]) -> Iterator[Found]:
    value = _at(root, path)
    if isinstance(value, list):
        for index, raw in enumerate(cast("list[JsonValue]", value)):
            name = _mapping(raw).get("name")
            yield Found(str(name or f"{path[-1]}-{index + 1}"), raw, (*path, index), owners)
    for name, raw in _mapping(value).items():
        if path != ("mcp",) or name not in _MCP_SETTINGS:
            yield Found(name, raw, (*path, name), owners)


def describes_one(root: JsonObject) -> bool:
    """Whether the file describes one server, and is not a list of them."""
    return is_bundle(root) or is_registry_entry(root)


def is_bare(root: JsonObject) -> bool:
    """Whether the file is an object of entries by name, as Warp writes it, without a key around them."""
    entries = [value for value in root.values() if _ENTRY_KEYS & _mapping(value).keys()]
    return bool(entries) and len(entries) == len(root) and not any(_at(root, path) for path, _ in PLACES)


def places_in(root: JsonObject) -> list[KeyPath]:
    """Return where the file has entries, or a value in their place."""
    if is_bundle(root) or is_registry_entry(root):
        return []
    return [path for path, _ in PLACES if _at(root, path) is not None]


@dataclass(frozen=True, slots=True)
class FileLimits:
    """What the rest of a file says about its servers.

    Attributes:
        only: the only servers that are switched on, as the file calls them; None when all are.
        off: servers that are switched off, with the key that says so.
        denied: for globs over `server<separator>tool`: glob, separator, and the key that says so.
        tools: the tools that an agent's file (Amazon Q, Kiro) grants, as `@server` and `@server/tool`; None for all.
        refused: why no entry of the file can be used, with the key that says so.
    """

    only: tuple[frozenset[str], KeyPath] | None
    off: Mapping[str, KeyPath]
    denied: tuple[tuple[str, str, KeyPath], ...]
    tools: tuple[str, ...] | None
    refused: tuple[tuple[str, KeyPath], ...]

    def switches_off(self, name: str) -> bool:
        """Whether the server that the file calls `name` is switched off."""
        if name in self.off or (self.only is not None and name not in self.only[0]):
            return True
        return self.tools is not None and not any(
            tool == f"@{name}" or tool.startswith(f"@{name}/") for tool in self.tools
        )

    def allowed_tools(self, name: str) -> list[str] | None:
        """Return the only tools of the server `name` that may be called; None when all may."""
        if self.tools is None or f"@{name}" in self.tools:
            return None
        return [tool.partition("/")[2] for tool in self.tools if tool.startswith(f"@{name}/")]

    def denied_tools(self, name: str) -> list[str]:
        """Return the globs of the tools of the server `name` that are denied."""
        return [rest for glob, separator, _ in self.denied for rest in _remainders(glob, f"{name}{separator}")]


def limits_in(root: JsonObject) -> FileLimits:
    """Return what the keys next to the entries limit."""
    only: tuple[frozenset[str], KeyPath] | None = None
    off: dict[str, KeyPath] = {}
    for path in _ONLY:
        names = _server_names(_at(root, path))
        if names is not None:
            only = (names if only is None else only[0] & names, path)
    for path in _OFF:
        off |= dict.fromkeys(_server_names(_at(root, path)) or (), path)
    granted = _texts(_at(root, ("tools",)))
    tools = tuple(granted) if any(tool.startswith("@") for tool in granted) and "*" not in granted else None
    return FileLimits(only, off, tuple(_denied_in(root)), tools, tuple(_refused_in(root)))


def _denied_in(root: JsonObject) -> Iterator[tuple[str, str, KeyPath]]:
    for path in (("amp.tools.disable",), ("permissions", "deny"), ("permissions", "ask")):
        for rule in _texts(_at(root, path)):
            glob = rule.removeprefix("mcp__")
            if glob != rule:
                yield (glob if "__" in glob else f"{glob}__*"), "__", path
    yield from _denied_by_rules(root)
    for path in (("tools", "exclude"), ("excludeTools",)):  # Gemini CLI's and Qwen Code's own tools are among them
        for rule in _texts(_at(root, path)):
            name = rule.removeprefix("mcp_").lstrip("_")
            yield name, "_", path
            yield name, "__", path
            yield f"*__{name}", "__", path
    for path in (("tools",), ("permission",)):
        for glob, rule in _mapping(_at(root, path)).items():
            if rule is False or rule in ("deny", "ask"):
                yield glob, "_", (*path, glob)
    for glob in _texts(_at(root, ("options", "disabled_tools"))):
        yield glob.removeprefix("mcp_"), "_", ("options", "disabled_tools")


def _denied_by_rules(root: JsonObject) -> Iterator[tuple[str, str, KeyPath]]:
    """Yield what the rules of Amp and Zed deny, or want a person to approve."""
    for rule in _objects(_at(root, ("amp.permissions",))):
        glob = str(rule.get("tool", ""))
        if rule.get("action") in ("reject", "ask", "delegate") and glob.startswith("mcp__"):
            yield glob.removeprefix("mcp__"), "__", ("amp.permissions",)
    for name, rule in _mapping(_at(root, _ZED_TOOLS)).items():
        if name.startswith("mcp:") and _zed_limits(_mapping(rule)):
            yield name.removeprefix("mcp:"), ":", (*_ZED_TOOLS, name)


def _zed_limits(rule: JsonObject) -> bool:
    """Whether a rule of Zed's denies a tool, or wants a person to confirm it, at least for some input."""
    return rule.get("default") in ("deny", "confirm") or bool(rule.get("always_deny") or rule.get("always_confirm"))


def _refused_in(root: JsonObject) -> Iterator[tuple[str, KeyPath]]:
    rules = _at(root, ("amp.mcpPermissions",))
    if isinstance(rules, list) and any(
        _mapping(rule).get("action") != "allow" for rule in cast("list[JsonValue]", rules)
    ):
        yield "rules decide which servers may run, which Ostler does not read", ("amp.mcpPermissions",)
    for key in ("allowedMcpServers", "deniedMcpServers"):
        if any("serverName" not in rule for rule in _objects(root.get(key))):
            yield (
                "its rules about commands and addresses decide which servers may run; Ostler does not read them",
                (key,),
            )
    if _at(root, (*_ZED_TOOLS[:2], "default")) == "deny":
        yield "all tools are denied unless a rule allows them, which Ostler does not read", (*_ZED_TOOLS[:2], "default")
    for key, value in root.items():
        if _UNKNOWN_LIMIT.search(key) and _ABOUT_SERVERS.search(key) and key not in _KNOWN and value:
            yield "it may limit the servers in a way that Ostler does not know", (key,)


def _remainders(glob: str, prefix: str) -> list[str]:
    """Return the globs that the rest of a text must match for `prefix` + rest to match `glob`."""
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
        at = place
        while at < len(glob) and glob[at] == "*":
            at += 1
            reached.add(at)
    return reached


def _server_names(value: JsonValue) -> frozenset[str] | None:
    if not isinstance(value, list):
        return None
    items = cast("list[JsonValue]", value)
    names = [_mapping(item).get("serverName") if isinstance(item, dict) else item for item in items]
    return frozenset(name for name in names if isinstance(name, str))


def _at(root: JsonObject, path: KeyPath) -> JsonValue:
    value: JsonValue = root
    for key in path:
        if not isinstance(value, dict):
            return None
        value = cast("JsonObject", value).get(cast("str", key))
    return value


def _mapping(value: JsonValue) -> JsonObject:
    return cast("JsonObject", value) if isinstance(value, dict) else {}


def _objects(value: JsonValue) -> list[JsonObject]:
    items = cast("list[JsonValue]", value) if isinstance(value, list) else []
    return [cast("JsonObject", item) for item in items if isinstance(item, dict)]


def _texts(value: JsonValue) -> list[str]:
    return [item for item in cast("list[JsonValue]", value) if isinstance(item, str)] if isinstance(value, list) else []
