"""Descriptions of a server that are not a client's entry: an MCPB bundle's manifest, the MCP registry's server.json."""

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Final, cast

from ostler.model.json import JsonObject, JsonValue, as_object, as_objects

_RUNNERS: Final[Mapping[str, tuple[str, tuple[str, ...], str, str]]] = {
    "npm": ("npx", ("-y",), "{identifier}@{version}", "{identifier}"),
    "pypi": ("uvx", (), "{identifier}=={version}", "{identifier}"),
    "nuget": ("dnx", ("--yes",), "{identifier}@{version}", "{identifier}"),
    "oci": ("docker", ("run", "-i", "--rm"), "{identifier}", "{identifier}"),
}
"""How a package of each registry is run: program, arguments, and the package with and without a version."""

_FASTMCP: Final = frozenset({"$schema", "source", "environment", "deployment"})
_CATALOGUE: Final = frozenset({"image", "ref", "snapshot", "tools", "remote", "longLived"})
"""What entries of Docker's catalogues, and of its list of those that are switched on, have."""

_GATEWAY: Final = frozenset({"stdio", "sse", "mcp", "openapi"})
"""How the targets of agentgateway are reached."""
_OPERATORS: Final[Mapping[str, str]] = {
    "kagent.dev": "kagent", "toolhive.stacklok.dev": "ToolHive", "kmcp.dev": "kmcp",
}  # fmt: skip
"""Operators of Kubernetes that run MCP servers, by the group of their resources."""


def is_bundle(root: JsonObject) -> bool:
    """Whether the file is the manifest of an MCPB (DXT) bundle."""
    return ("manifest_version" in root or "dxt_version" in root) and isinstance(root.get("server"), dict)


def bundle_entry(root: JsonObject) -> JsonObject:
    """Return the entry that an MCPB manifest describes, its variables as they are written."""
    server = as_object(root.get("server"))
    config = as_object(server.get("mcp_config"))
    entry = {key: value for key, value in config.items() if key != "platform_overrides"} or _default_config(server)
    for key, value in as_object(as_object(config.get("platform_overrides")).get(sys.platform)).items():
        entry[key] = {**as_object(entry.get(key)), **as_object(value)} if isinstance(value, dict) else value
    platforms = as_object(root.get("compatibility")).get("platforms")
    if isinstance(platforms, list) and platforms and sys.platform not in platforms:
        entry["platforms"] = platforms  # which refuses it
    lists: dict[str, list[JsonValue]] = {}
    for name, described in as_object(root.get("user_config")).items():
        default = as_object(described).get("default")
        if isinstance(default, list):
            lists[f"${{user_config.{name}}}"] = cast("list[JsonValue]", default)
    if isinstance(args := entry.get("args"), list):  # a list of defaults becomes as many arguments
        words = cast("list[JsonValue]", args)
        entry["args"] = [part for word in words for part in lists.get(str(word), [word])]
    return entry


def _default_config(server: JsonObject) -> JsonObject:
    """Return what starts a bundle whose manifest leaves that to the host."""
    entry = f"${{__dirname}}/{server.get('entry_point')}"
    match server.get("type"):
        case "node":
            return {"command": "node", "args": [entry]}
        case "python":
            return {"command": "python3", "args": [entry]}
        case "uv":
            return {"command": "uv", "args": ["run", "--directory", "${__dirname}", str(server.get("entry_point"))]}
        case "binary":
            return {"command": entry}
        case _:
            return {}


def is_registry_entry(root: JsonObject) -> bool:
    """Whether the file is a server.json of the MCP registry, or what the registry answers about one."""
    root = registry_server(root)
    return isinstance(root.get("packages"), list) or isinstance(root.get("remotes"), list)


def other_file(root: JsonObject, file: str) -> tuple[str, str]:
    """Return what a file is that describes servers in a way that no entry does, and what to do; "" where it is none."""
    source, catalogue = as_object(root.get("source")), as_objects(list(as_object(root.get("registry")).values()))
    if "path" in source and (root.keys() <= _FASTMCP or "fastmcp" in str(root.get("$schema"))):
        run = json.dumps(["fastmcp", "run", file, "--transport", "stdio"])
        return (
            "this is a fastmcp.json: it says how FastMCP runs one server",
            f'write an entry under \'mcpServers\' with "command": "uvx", "args": {run}',
        )
    if any(one.keys() & _CATALOGUE for one in catalogue):
        run = json.dumps(["mcp", "gateway", "run", "--servers", next(iter(as_object(root["registry"])))])
        return (
            "this is a catalogue of Docker's MCP Toolkit, whose servers its gateway runs",
            f'write an entry under \'mcpServers\' for each, such as "command": "docker", "args": {run}',
        )
    if message := _gateway(root) or _kubernetes(root) or _spring(root) or _docker_agent(root):
        return message
    if "startCommand" in root:
        return (
            "this is a smithery.yaml: it says how Smithery builds and starts one server",
            "write the command that it starts as an entry under 'mcpServers'",
        )
    return "", ""


def is_gateway(root: JsonObject) -> bool:
    """Whether the file is the configuration of agentgateway, whose `mcp` has other targets than that of fast-agent."""
    targets = as_objects(as_object(root.get("mcp")).get("targets"))
    return isinstance(root.get("binds"), list) or any(one.keys() & _GATEWAY for one in targets)


def _gateway(root: JsonObject) -> tuple[str, str] | None:
    if not is_gateway(root):
        return None
    port = as_object(root.get("mcp")).get("port") or next(
        (bind.get("port") for bind in as_objects(root.get("binds")) if bind.get("port")), "PORT"
    )
    entry = json.dumps({"url": f"http://localhost:{port}/mcp"})
    return (
        "this is a configuration of agentgateway, which lets its own rules decide on calls",
        f"write an entry under 'mcpServers' for the gateway, such as {entry}, so that its rules count here, too",
    )


def _kubernetes(root: JsonObject) -> tuple[str, str] | None:
    group, kind = str(root.get("apiVersion")).partition("/")[0], str(root.get("kind"))
    name, spec = as_object(root.get("metadata")).get("name") or "NAME", as_object(root.get("spec"))
    if group not in _OPERATORS or not ("MCP" in kind or "ToolServer" in kind):
        return None
    if isinstance(url := spec.get("url"), str):
        entry = json.dumps({"type": "sse" if "sse" in str(spec.get("protocol")).lower() else "http", "url": url})
        how = f"write an entry under 'mcpServers' such as {entry}, with an address that is reached from here"
    else:
        entry = json.dumps({"url": "http://localhost:PORT/mcp"})
        how = f"forward a port to it (a PortForward does) and write an entry under 'mcpServers' such as {entry}"
    return f"this is the {kind} resource of {_OPERATORS[group]}, whose server {name!r} runs in a cluster", how


def _spring(root: JsonObject) -> tuple[str, str] | None:
    value: JsonValue = root
    for key in ("spring", "ai", "mcp", "client"):
        value = as_object(value).get(key)
    client = as_object(value)
    if not client and not any(str(key).startswith("spring.ai.mcp.client") for key in root):
        return None
    said = "this is a configuration of Spring AI, whose MCP client has its servers under 'spring.ai.mcp.client'"
    if isinstance(named := as_object(client.get("stdio")).get("servers-configuration"), str):
        file = named.rpartition(":")[2]
        return (
            said,
            f"'ostler servers import --from' reads {file!r}, which has stdio servers; write the others yourself",
        )
    stdio, remote = ("write its stdio connections under 'mcpServers' as they are, the others as",
                     json.dumps({"type": "sse", "url": "URL/sse"}))  # fmt: skip
    return said, f"{stdio} {remote} or {json.dumps({'type': 'http', 'url': 'URL/mcp'})}, unless 'enabled' is false"


def _docker_agent(root: JsonObject) -> tuple[str, str] | None:
    agents = [as_object(one) for one in as_object(root.get("agents")).values()]
    toolsets = [one for agent in agents for one in as_objects(agent.get("toolsets")) if one.get("type") == "mcp"]
    toolsets += [as_object(one) for one in as_object(root.get("mcps")).values()]
    if not toolsets:
        return None
    refs = [str(one["ref"]).removeprefix("docker:") for one in toolsets if str(one.get("ref")).startswith("docker:")]
    run = json.dumps(["mcp", "gateway", "run", "--servers", *refs[:1]])
    catalogue = f'; for one of Docker\'s catalogue "command": "docker", "args": {run}' if refs else ""
    return (
        "this is a file of Docker's agent (cagent), whose servers are toolsets of its agents",
        f"write 'command', 'args', 'env' and 'tools' of each, or its remote 'url', under 'mcpServers'{catalogue}",
    )


def registry_server(root: JsonObject) -> JsonObject:
    """Return the server.json itself, with the state that the registry gives it."""
    if not isinstance(root.get("server"), dict):
        return root
    states = [as_object(notes).get("status") for notes in as_object(root.get("_meta")).values()]
    return {"status": next((state for state in states if state), None), **as_object(root.get("server"))}


def registry_entry(root: JsonObject) -> JsonObject:
    """Return the entry that a server.json describes: its first package that runs over stdio, else a remote address."""
    root = registry_server(root)
    status = root.get("status")
    return {**_described(root), **({} if status in (None, "active") else {"status": status})}


def _described(root: JsonObject) -> JsonObject:
    for package in as_objects(root.get("packages")):
        kind = str(package.get("registryType") or package.get("registry_type") or package.get("registry_name"))
        transport = as_object(package.get("transport")).get("type", "stdio")
        if kind in _RUNNERS and transport == "stdio":
            return _package_entry(package, kind)
    for remote in as_objects(root.get("remotes")):
        kind = remote.get("type") or remote.get("transport_type")
        headers = {str(one.get("name")): _value(one) for one in as_objects(remote.get("headers"))}
        url = _value({"value": remote.get("url"), "variables": remote.get("variables")})
        return {"type": kind, "url": url, **({"headers": headers} if headers else {})}
    kinds = [
        f"{one.get('registryType')} over {as_object(one.get('transport')).get('type')}"
        for one in as_objects(root.get("packages"))
    ]
    return {"packages": ", ".join(kinds) or "none"}


def _package_entry(package: JsonObject, kind: str) -> JsonObject:
    program, first, pinned, loose = _RUNNERS[kind]
    version = package.get("version")
    form = pinned if version not in (None, "", "latest") else loose
    identifier = str(package.get("identifier") or package.get("name"))
    name = form.format(identifier=identifier, version=version)
    variables = {
        str(one.get("name")): _value(one)
        for one in as_objects(package.get("environmentVariables") or package.get("environment_variables"))
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
    for one in as_objects(value):
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
        for name, variable in as_object(described.get("variables")).items():
            inner: JsonObject = {"isRequired": True, **as_object(variable), "name": name}
            value = value.replace(f"{{{name}}}", str(_value(inner)))
        return value
    name = str(described.get("name") or described.get("valueHint") or "VALUE").lstrip("-").replace("-", "_").upper()
    default = described.get("default")
    if default is not None:
        return f"${{{name}:-{default}}}"
    return f"${{{name}}}" if described.get("isRequired") or described.get("is_required") else f"${{env:{name}}}"
