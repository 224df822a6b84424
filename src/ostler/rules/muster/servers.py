"""Muster's MCPServer manifests as entries of `mcp.json`."""

import json
from typing import cast

from ostler.model.json import JsonMapping, JsonObject, JsonValue, as_object

_OPTIONS = ("toolPrefix", "description", "timeout")
"""What an entry says of these under `ostler`."""


def mcp_json_entry(manifest: JsonMapping) -> str:
    """Return the entry of `mcp.json` that an MCPServer of muster is, as it is written there; empty when it is none."""
    spec, metadata = as_object(manifest.get("spec")), as_object(manifest.get("metadata"))
    entry: JsonObject = {}
    match spec.get("command"):
        case str() as command:
            entry["command"] = command
        case [first, *rest]:
            entry |= {"command": first, "args": rest} if rest else {"command": first}
        case _:
            pass
    if isinstance(args := spec.get("args"), list):
        entry["args"] = [*cast("list[JsonValue]", entry.get("args", [])), *cast("list[JsonValue]", args)]
    if isinstance(spec.get("url"), str):
        entry["type"] = "sse" if spec.get("type") == "sse" else "http"
    for key in ("url", "env", "headers"):
        if spec.get(key):
            entry[key] = spec[key]
    name = metadata.get("name") or spec.get("toolPrefix")
    if not isinstance(name, str) or not ("command" in entry or "url" in entry):
        return ""
    if options := {key: spec[key] for key in _OPTIONS if spec.get(key)}:
        entry["ostler"] = options
    if spec.get("autoStart") is False:
        entry["ostler"] = {**options, "autoStart": False}
    return f"{json.dumps(name)}: {json.dumps(entry, ensure_ascii=False)}"
