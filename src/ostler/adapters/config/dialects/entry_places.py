"""The table of places: where the entries are in a client's file."""

from collections.abc import Iterator, Mapping
from typing import Final, cast

from msgspec import Struct

from ostler.adapters.config.dialects.clients import ANY
from ostler.adapters.config.dialects.manifests import (
    bundle_entry,
    is_bundle,
    is_gateway,
    is_registry_entry,
    registry_entry,
    registry_server,
)
from ostler.adapters.config.dialects.open_webui import PLACES as CONNECTIONS
from ostler.adapters.config.dialects.open_webui import connection_entry, connection_name
from ostler.model.json import JsonObject, JsonValue, KeyPath, as_list, as_object

_MCP_SERVERS: Final = ANY - {
    "vscode",
    "zed",
    "codex",
    "opencode",
    "goose",
    "crush",
    "amp",
    "vibe",
    "openclaw",
    "openhands",
    "theia",
    "fast-agent",
    "hermes",
    "litellm",
    "nanobot",
    "open-webui",
    "picoclaw",
    "mcpb",
    "registry",
}

DEV_CONTAINER: Final[KeyPath] = ("customizations", "vscode", "mcp", "servers")
"""Where a `devcontainer.json` has servers, which VS Code runs inside the container."""

SETTINGS: Final[tuple[KeyPath, ...]] = ((), ("settings",), ("customizations", "vscode", "settings"))
"""Where settings of VS Code are: in a file of them, in a workspace, in a dev container."""

PLACES: Final[tuple[tuple[KeyPath, frozenset[str]], ...]] = (
    (("mcpServers",), _MCP_SERVERS),
    (("mcp",), frozenset({"opencode", "crush"})),
    (("servers",), frozenset({"vscode"})),
    (("powers", "mcpServers"), frozenset({"kiro"})),
    (("mcp", "servers"), frozenset({"vscode", "opencode", "openclaw", "fast-agent"})),
    (("mcp", "targets"), frozenset({"fast-agent"})),
    (("mcp.servers",), frozenset({"vscode"})),
    (("settings", "mcp", "servers"), frozenset({"vscode"})),
    (DEV_CONTAINER, frozenset({"vscode"})),
    (("ai-features.mcp.mcpServers",), frozenset({"theia"})),
    (("context_servers",), frozenset({"zed"})),
    (("mcp_servers",), frozenset({"codex", "vibe", "hermes", "litellm"})),
    (("tools", "mcpServers"), frozenset({"nanobot"})),
    (("tools", "mcp", "servers"), frozenset({"picoclaw"})),
    (("mcp", "stdio_servers"), frozenset({"openhands"})),
    (("mcp", "sse_servers"), frozenset({"openhands"})),
    (("mcp", "shttp_servers"), frozenset({"openhands"})),
    (("experimental", "modelContextProtocolServers"), frozenset({"continue"})),
    (("extensions",), frozenset({"goose"})),
    (("amp.mcpServers",), frozenset({"amp"})),
    (("amp", "mcpServers"), frozenset({"amp"})),
    *((path, frozenset({"open-webui"})) for path in CONNECTIONS),
)
"""Where entries are, and of which clients. An object of entries by name, or (Continue) a list with names."""

_EXTENSIONS: Final[KeyPath] = ("extensions",)
_ENTRY_KEYS: Final = frozenset({"command", "url", "httpUrl", "serverUrl", "cmd", "uri"})
_MCP_SETTINGS: Final = frozenset({
    "allowed", "excluded", "serverCommand", "servers", "inputs", "timeout", "disabledServers", "sessionIdleTtlMs",
    "apps", "stdio_servers", "sse_servers", "shttp_servers", "targets",
    "auto_reload_on_config_change", "toolIdleTimeoutMs",
})  # fmt: skip
"""What Gemini CLI, Qwen Code, VS Code, opencode, OpenClaw, OpenHands, Hermes and Witsy write under `mcp` that is no
entry."""
_MCP_SWITCHES: Final = frozenset({"enabled", "enable", "disabled", "auto_start", "autoStart"})
"""What clients such as gptme and PicoClaw write there of all servers; a server may have such a name, too."""

_IMPLIED: Final[Mapping[KeyPath, JsonObject]] = {
    ("mcp", "sse_servers"): {"type": "sse"},
    ("mcp", "shttp_servers"): {"type": "http"},
    ("tools", "mcp", "servers"): {"enabled": False},
    _EXTENSIONS: {"enabled": False},
}
"""What entries say by their place: OpenHands' lists are of servers of one type; PicoClaw's, and Goose's, are off unless
enabled."""


class Found(Struct, frozen=True):
    """One entry of a file.

    Attributes:
        name: what the file calls it.
        raw: the entry.
        path: where it stands.
        clients: who may have written it.
        project: the folder of the project that it is for; empty when it is for all.
        plugin: the name of the plugin that it is part of, in a file of several; else empty.
    """

    name: str
    raw: JsonValue
    path: KeyPath
    clients: frozenset[str]
    project: str = ""
    plugin: str = ""


def entries_in(root: JsonObject, clients: frozenset[str]) -> Iterator[Found]:
    """Yield the entries of a file, in order; `clients` are those whose file it may be."""
    if is_bundle(root):
        yield Found(str(root.get("name")), bundle_entry(root), ("server", "mcp_config"), frozenset({"mcpb"}))
        return
    if is_registry_entry(root):
        server = registry_server(root)
        path = ("packages",) if server.get("packages") else ("remotes",)
        yield Found(str(server.get("name")), registry_entry(root), path, frozenset({"registry"}))
        return
    for path, writers in () if is_gateway(root) else _places_for(clients):
        yield from _entries_at(root, path, (writers & clients) or writers)
    if is_bare(root):
        for name, raw in root.items():
            yield Found(name, raw, (name,), frozenset({"warp"}))
    for index, plugin in enumerate(as_list(root.get("plugins"))):  # of a marketplace
        fields = as_object(plugin)
        for name, raw in as_object(fields.get("mcpServers")).items():
            path = ("plugins", index, "mcpServers", name)
            yield Found(name, raw, path, frozenset({"claude-code"}), plugin=str(fields.get("name") or ""))
    for folder, project in as_object(root.get("projects")).items():
        for name, raw in as_object(as_object(project).get("mcpServers")).items():
            path = ("projects", folder, "mcpServers", name)
            yield Found(name, raw, path, frozenset({"claude-code"}), folder)


def _places_for(clients: frozenset[str]) -> Iterator[tuple[KeyPath, frozenset[str]]]:
    """Yield the places where a file of `clients` may have servers; the extensions of most clients are none."""
    yield from ((path, writers) for path, writers in PLACES if path != _EXTENSIONS or writers & clients)


def _entries_at(root: JsonObject, path: KeyPath, owners: frozenset[str]) -> Iterator[Found]:
    value = at(root, path)
    for index, item in enumerate(as_list(value)):
        if is_registry_entry(described := as_object(item)):  # of a list that the MCP registry answered
            name = str(registry_server(described).get("name"))
            yield Found(name, registry_entry(described), (*path, index), frozenset({"registry"}))
            continue
        is_connection = path in CONNECTIONS and bool(described)
        raw = connection_entry(described) if is_connection else _with_implied(path, item)
        name = connection_name(described) if is_connection else as_object(raw).get("name")
        yield Found(str(name or f"{path[-1]}-{index + 1}"), raw, (*path, index), owners)
    for name, raw in as_object(value).items():
        if path != ("mcp",) or not is_setting(name, raw):
            yield Found(name, _with_implied(path, raw), (*path, name), owners)


def describes_one(root: JsonObject) -> bool:
    """Whether the file describes one server, and is not a list of them."""
    return is_bundle(root) or is_registry_entry(root)


def is_setting(name: str, value: JsonValue) -> bool:
    """Whether a member of `mcp` is not an entry, but says something of all of them: `"enabled": false`."""
    return name in _MCP_SETTINGS or (name in _MCP_SWITCHES and isinstance(value, bool))


def _with_implied(path: KeyPath, item: JsonValue) -> JsonValue:
    """Return the entry of an item: an object, or (OpenHands) an address alone, with what its place says."""
    implied = _IMPLIED.get(path, {})
    if isinstance(item, str) and "type" in implied:
        return {**implied, "url": item}
    return {**implied, **as_object(item)} if isinstance(item, dict) else item


def is_bare(root: JsonObject) -> bool:
    """Whether the file is an object of entries by name, as Warp writes it, without a key around them."""
    entries = [value for value in root.values() if _ENTRY_KEYS & as_object(value).keys()]
    return bool(entries) and len(entries) == len(root) and not any(at(root, path) for path, _ in PLACES)


def places_in(root: JsonObject) -> list[KeyPath]:
    """Return the places of entries where the file has a value."""
    if describes_one(root) or is_gateway(root):
        return []
    return [path for path, _ in PLACES if at(root, path) is not None]


def at(root: JsonObject, path: KeyPath) -> JsonValue:
    """Return the value at `path`; None if there is none."""
    value: JsonValue = root
    for key in path:
        if not isinstance(value, dict):
            return None
        value = cast("JsonObject", value).get(cast("str", key))
    return value
