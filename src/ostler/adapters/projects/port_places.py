"""Where the files of a project's programs name the port of another of its servers, which none can rewrite: a proxy."""

import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from ostler.model.json import as_object
from ostler.rules.imports.found import RUNNING, Found, FoundService
from ostler.rules.imports.local_addresses import keeps_old_port, local_ports

_CONFIGS = (
    *(f"*.config.{end}" for end in ("js", "mjs", "cjs", "ts", "mts")),
    *("proxy.conf.*", "src/proxy.conf.*", "setupProxy.js", "src/setupProxy.js"),
)
"""Files of development servers that may hand requests on to another one."""

_VARIABLES = (".env", ".env.local", ".env.development", ".env.development.local")
_PACKAGE = "package.json"


def port_places(top: Path, found: Sequence[Found], text_of: Callable[[Path], str]) -> dict[int, str]:
    """Return the ports that servers of the project do not keep and files name, each with the first place: `file:line`.

    A file in a folder with one server speaks of that, and a variable that the services override is read by none.

    Args:
        top: the project's folder.
        found: what its files gave.
        text_of: reads a file; empty where it cannot be read.
    """
    running = [service for each in found for service in each.services if service.class_name in RUNNING]
    servers = {service.served_at: service.name for service in running if service.served_at}
    if not servers:
        return {}
    at = {str(service.args.get("directory", "")) for service in running} | {""}
    places: dict[int, str] = {}
    for folder in sorted(each for each in at if not each.startswith(("/", "~", ".."))):
        own = {service.name for service in running if str(service.args.get("directory", "")) == folder}
        for file in _files_in(top, folder):
            text = text_of(file)
            name = file.relative_to(top).as_posix()
            named = _proxied(text) if file.name == _PACKAGE else local_ports(text)
            lines = text.splitlines()
            for line, port in named:
                is_other = port in servers and own != {servers[port]}
                if is_other and not _is_overridden(lines[line - 1], name, running):
                    places.setdefault(port, f"{name}:{line}")
    return places


def _files_in(top: Path, folder: str) -> list[Path]:
    here = top / folder
    names = [*_CONFIGS, *_VARIABLES, _PACKAGE]
    return [file for name in names for file in sorted(here.glob(name)) if file.is_file()]


def _proxied(text: str) -> list[tuple[int, int]]:
    """Return line and port of the server that a `package.json` has as "proxy"."""
    try:
        target = as_object(json.loads(text)).get("proxy")
    except ValueError:
        return []
    ports = [port for _, port in local_ports(target)] if isinstance(target, str) else []
    line = next((number for number, line in enumerate(text.splitlines(), 1) if '"proxy"' in line), 1)
    return [(line, port) for port in ports]


def _is_overridden(line: str, file: str, services: Collection[FoundService]) -> bool:
    """Whether a line of a file of variables sets one that all who read the file are given otherwise, or warned of."""
    users = [service for service in services if file in service.env_files]
    name = line.partition("=")[0].strip().removeprefix("export ").strip()
    return bool(users) and all(name in service.env or keeps_old_port(service, name) for service in users)
