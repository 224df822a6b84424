"""Descriptions of a server that are not a client's entry: an MCPB bundle's manifest, the MCP registry's server.json."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, cast

from ostler.model.json import JsonObject, JsonValue

_RUNNERS: Final[Mapping[str, tuple[str, tuple[str, ...], str, str]]] = {
    "npm": ("npx", ("-y",), "{identifier}@{version}", "{identifier}"),
    "pypi": ("uvx", (), "{identifier}=={version}", "{identifier}"),
    "nuget": ("dnx", ("--yes",), "{identifier}@{version}", "{identifier}"),
    "oci": ("docker", ("run", "-i", "--rm"), "{identifier}", "{identifier}"),
}
"""How a package of each registry is run: program, arguments, and the package with and without a version."""


def is_bundle(root: JsonObject) -> bool:
    """Whether the file is the manifest of an MCPB (DXT) bundle."""
    return ("manifest_version" in root or "dxt_version" in root) and isinstance(root.get("server"), dict)


def bundle_entry(root: JsonObject) -> JsonObject:
    """Return the entry that an MCPB manifest describes, its variables as they are written."""
    config = _mapping(_mapping(root.get("server")).get("mcp_config"))
    entry = {key: value for key, value in config.items() if key != "platform_overrides"}
    for key, value in _mapping(_mapping(config.get("platform_overrides")).get(sys.platform)).items():
        entry[key] = {**_mapping(entry.get(key)), **_mapping(value)} if isinstance(value, dict) else value
    defaults = {
        name: _mapping(described).get("default") for name, described in _mapping(root.get("user_config")).items()
    }
    return cast("JsonObject", _with_defaults(entry, defaults))


def is_registry_entry(root: JsonObject) -> bool:
    """Whether the file is a server.json of the MCP registry."""
    return isinstance(root.get("packages"), list) or isinstance(root.get("remotes"), list)


def registry_entry(root: JsonObject) -> JsonObject:
    """Return the entry that a server.json describes: its first package that runs over stdio, else a remote address."""
    for package in _objects(root.get("packages")):
        kind = package.get("registryType") or package.get("registry_type") or package.get("registry_name")
        transport = _mapping(package.get("transport")).get("type", "stdio")
        if kind in _RUNNERS and transport == "stdio":
            return _package_entry(package, str(kind))
    for remote in _objects(root.get("remotes")):
        kind = remote.get("type") or remote.get("transport_type")
        headers = {str(one.get("name")): _value(one) for one in _objects(remote.get("headers"))}
        return {"type": kind, "url": remote.get("url"), **({"headers": headers} if headers else {})}
    return {}


def _package_entry(package: JsonObject, kind: str) -> JsonObject:
    program, first, pinned, loose = _RUNNERS[kind]
    version = package.get("version")
    form = pinned if version not in (None, "", "latest") else loose
    identifier = str(package.get("identifier") or package.get("name"))
    name = form.format(identifier=identifier, version=version)
    variables = {
        str(one.get("name")): _value(one)
        for one in _objects(package.get("environmentVariables") or package.get("environment_variables"))
    }
    passed = [word for variable in variables for word in ("-e", variable)] if kind == "oci" else []
    runtime = list(_arguments(package.get("runtimeArguments")))
    args: list[JsonValue] = [
        *first, *passed, *(word for word in runtime if word not in first), name,
        *_arguments(package.get("packageArguments")),
    ]  # fmt: skip
    entry: JsonObject = {"command": str(package.get("runtimeHint") or program), "args": args}
    if variables:
        entry["env"] = variables
    return entry


def _arguments(value: JsonValue) -> Iterator[str]:
    for one in _objects(value):
        if one.get("value") is None and one.get("default") is None and not one.get("isRequired"):
            continue
        if one.get("type") == "named":
            yield str(one.get("name"))
            if one.get("value") is None and one.get("default") is None:
                continue
        yield str(_value(one))


def _value(described: JsonObject) -> JsonValue:
    """Return what is written for a described value: itself, its default, or a variable of its name."""
    value = described.get("value")
    if isinstance(value, str):
        for name in _mapping(described.get("variables")):
            value = value.replace(f"{{{name}}}", f"${{{name.upper()}}}")
        return value
    name = str(described.get("name") or described.get("valueHint") or "VALUE").lstrip("-").replace("-", "_").upper()
    default = described.get("default")
    if default is not None:
        return f"${{{name}:-{default}}}"
    return f"${{{name}}}" if described.get("isRequired") or described.get("is_required") else f"${{env:{name}}}"


def _with_defaults(value: JsonValue, defaults: JsonObject) -> JsonValue:
    match value:
        case str():
            for name, default in defaults.items():
                if isinstance(default, str | int | float | bool):
                    value = value.replace(f"${{user_config.{name}}}", str(default))
            return value
        case list():
            return [_with_defaults(item, defaults) for item in cast("list[JsonValue]", value)]
        case dict():
            return {key: _with_defaults(item, defaults) for key, item in cast("JsonObject", value).items()}
        case _:
            return value


def _mapping(value: JsonValue) -> JsonObject:
    return cast("JsonObject", value) if isinstance(value, dict) else {}


def _objects(value: JsonValue) -> Sequence[JsonObject]:
    return [_mapping(item) for item in cast("list[JsonValue]", value)] if isinstance(value, list) else []
