"""Ports that the files of a project's programs name: where they listen, and another server's, as a proxy does."""

import json
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from msgspec.structs import replace

from ostler.model.json import as_object
from ostler.rules.imports.found import RUNNING, Found, FoundService
from ostler.rules.imports.local_addresses import keeps_old_port, local_ports
from ostler.rules.imports.node_package import script_line
from ostler.rules.imports.shell_lines import own_port_note
from ostler.rules.imports.source_ports import entry_of, source_port
from ostler.rules.imports.workspaces import read_package

_CONFIGS = (
    *(f"*.config.{end}" for end in ("js", "mjs", "cjs", "ts", "mts")),
    *("proxy.conf.*", "src/proxy.conf.*", "setupProxy.js", "src/setupProxy.js"),
)
"""Files of development servers that may hand requests on to another one."""

_VARIABLES = (".env", ".env.local", ".env.development", ".env.development.local")
_PACKAGE = "package.json"


def with_source_ports(
    top: Path, found: Sequence[Found], text_of: Callable[[Path], str], given: Collection[str] = ()
) -> list[Found]:
    """Return what was found, with the ports that the sources of servers name where nothing else does.

    A port that the variable PORT overrides is one that the server had until now. One that it fixes is kept, so that a
    second worktree is refused before anything starts, and the note says how each would get its own.

    Args:
        top: the project's folder.
        found: what its files gave.
        text_of: reads a file; empty where it cannot be read.
        given: the files of variables that say where the programs which read them listen, as the variable PORT.
    """

    def made(service: FoundService) -> FoundService:
        folder, command = str(service.args.get("directory", "")), str(service.args.get("command", ""))
        known = service.served_at or service.args.get("port") or "{port}" in f"{command} {service.env.get('PORT')}"
        if service.class_name not in RUNNING or known:
            return service
        line = script_line(command, lambda: read_package(text_of(top / folder / _PACKAGE)))
        entry = os.path.normpath(Path(folder) / entry_of(line)) if entry_of(line) else ""
        if not entry or entry.startswith(("/", "..")) or (said := source_port(text_of(top / entry))) is None:
            return service
        is_server = service.class_name == "dev-server"
        if not said.is_fixed:
            if not is_server or any(file in given for file in service.env_files):
                return service
            notes = (*service.notes, own_port_note(said.port))
            return replace(service, served_at=said.port, notes=notes)
        note = f"{entry}:{said.line} fixes port {said.port}, which only one worktree can have at a time: "
        if is_server:
            note += "let that read the variable PORT and remove 'port', and each gets its own"
            return replace(service, args={**service.args, "port": said.port}, notes=(*service.notes, note))
        note += "let that read the variable PORT and write class: dev-server, and each gets its own"
        return replace(service, notes=(*service.notes, note))

    return [replace(each, services=tuple(map(made, each.services))) for each in found]


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
        for file, number, line, port in _ports_named(top, folder, text_of):
            is_other = port in servers and own != {servers[port]}
            if is_other and not _is_overridden(line, file, running):
                places.setdefault(port, f"{file}:{number}")
    return places


def _ports_named(top: Path, folder: str, text_of: Callable[[Path], str]) -> Iterator[tuple[str, int, str, int]]:
    """Yield each port of this machine that a file of `folder` names, after file, line number and line."""
    for file in _files_in(top, folder):
        text = text_of(file)
        lines = text.splitlines()
        for number, port in _proxied(text) if file.name == _PACKAGE else local_ports(text):
            yield file.relative_to(top).as_posix(), number, lines[number - 1], port


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
