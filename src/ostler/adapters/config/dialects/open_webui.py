"""Connections of Open WebUI: its list of them, as it is exported, and the entry that each one is."""

from typing import Final

from ostler.adapters.config.dialects.draft import exactly
from ostler.model.json import JsonObject, JsonValue, KeyPath, as_list, as_object, as_objects, as_texts

PLACES: Final[tuple[KeyPath, ...]] = (
    ("tool_server", "connections"), ("tool_server.connections",), ("TOOL_SERVER_CONNECTIONS",),
)  # fmt: skip
"""Where they are in its exported settings, and in what its interface answers."""
_EVERYONE: Final = "*"
_SIGN_INS: Final = frozenset({"session", "system_oauth", "azure_ad", "microsoft_entra_id"})
"""How a connection passes on the sign-in of the client's own user."""


def is_connections(value: JsonValue) -> bool:
    """Whether the value is such a list: Open WebUI exports one connection as a list of one."""
    items = as_objects(value)
    return bool(items) and items == value and all({"url", "auth_type", "info"} <= item.keys() for item in items)


def connection_name(item: JsonObject) -> str:
    """Return what a connection is called; empty if it has no name."""
    info = as_object(item.get("info"))
    return str(info.get("id") or info.get("name") or "")


def connection_entry(item: JsonObject) -> JsonObject:
    """Return the entry that a connection is, in keys that others have, too."""
    config = as_object(item.get("config"))
    kind, signs_in = str(item.get("type") or "openapi"), str(item.get("auth_type") or "bearer")
    headers = as_object(item.get("headers"))
    for one in as_objects(item.get("headers")):
        headers[str(one.get("key"))] = one.get("value")
    key = item.get("key")
    if signs_in == "bearer" and isinstance(key, str) and key:
        headers["Authorization"] = f"Bearer {key}"
    allowed, denied = _filters(config.get("function_name_filter_list"))
    limits: JsonObject = {**({"allowTools": allowed} if allowed else {}), **({"denyTools": denied} if denied else {})}
    return {
        "type": "http" if kind == "mcp" else kind,
        "url": item.get("url"),
        **({"headers": headers} if headers else {}),
        **({"ostler": limits} if limits else {}),
        **({"disabled": True} if config.get("enable", True) is not True else {}),
        **({"authProviderType": signs_in} if signs_in in _SIGN_INS else {}),
        **{name: config[name] for name in ("access_grants", "access_control") if _is_for_some(config.get(name))},
    }


def _filters(value: JsonValue) -> tuple[list[JsonValue], list[JsonValue]]:
    """Return the globs of the only tools, and of those that are denied (`!name`): each name is the end of a tool's."""
    names = as_texts(value.split(",") if isinstance(value, str) else as_list(value))
    names = [name.strip() for name in names if name.strip()]
    denied: list[JsonValue] = [f"*{exactly(name[1:].strip())}" for name in names if name.startswith("!")]
    return [f"*{exactly(name)}" for name in names if not name.startswith("!")], denied


def _is_for_some(value: JsonValue) -> bool:
    """Whether some people may use the connection, and others not: Ostler's user has all of them, or an account."""
    grants = as_objects(value)
    named = [part for one in as_object(value).values() for ids in as_object(one).values() for part in as_list(ids)]
    return bool(named) or (bool(grants) and not any(one.get("principal_id") == _EVERYONE for one in grants))
