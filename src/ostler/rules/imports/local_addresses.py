"""Variables with the address at which a service was reached until now, pointed at the one that replaces it."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from msgspec.structs import replace

from ostler.rules.imports.compose_addresses import pointed_at
from ostler.rules.imports.found import PROGRAMS, RUNNING, Found, FoundService, outputs_of
from ostler.rules.imports.shell_lines import own_port_note

_HOSTS = r"localhost|127\.0\.0\.1|\[::1\]|0\.0\.0\.0|host\.docker\.internal"
_PLACE = re.compile(rf"((?<![\w.])(?:{_HOSTS}):)(\d+)(?!\d)")
_COMMENTS = ("//", "#", "*", "/*")
_OLD_PORT = " names the port that "
_UNCOPIED = re.compile(r"[@?#{\s]")
"""What a variable has that may hold a secret, or is a template already: it is not written into the project's file."""

_URL = re.compile(rf"\w[\w+.-]*://(?:[^@/\s]*@)?(?:{_HOSTS}):(\d+)(?:/\S*)?")


def with_addresses(found: Sequence[Found], variables: Mapping[str, Mapping[str, str]]) -> list[Found]:
    """Return what was found, where programs reach services of the project's own by variables of their files.

    Args:
        found: what the project's files gave.
        variables: file of variables → its variables.
    """

    def values_of(service: FoundService) -> dict[str, str]:
        return {name: value for file in service.env_files for name, value in variables.get(file, {}).items()}

    found = [replace(each, services=tuple(_with_port(one, values_of(one)) for one in each.services)) for each in found]
    services = [service for each in found for service in each.services]
    databases = {service.served_at: service for service in services if service.class_name not in PROGRAMS}
    servers = {service.served_at: service for service in services if service.class_name in PROGRAMS}
    had_ports = {str(port) for port in servers if port}
    needs = {service.name: {*service.depends_on} for service in services}

    known = {service.name: values_of(service) for service in services if service.class_name in PROGRAMS}
    reached = {service: _reached(values, databases) for service, values in known.items()}
    shared = {name: value for values in reached.values() for name, value in values.items()}

    def place(service: FoundService, port: str) -> str:
        """Return the port of the server that had `port`; empty for none, or if that one waits for `service`."""
        if port not in had_ports:
            return ""
        server = servers[int(port)]
        if server.name == service.name:
            return "{port}"
        if _is_needed(service.name, server.name, needs):
            return ""
        needs[service.name].add(server.name)
        return f"{{{{ {outputs_of(server.name)}.port }}}}"

    def pointed(service: FoundService) -> FoundService:
        values = known.get(service.name, {})
        own = {name: value for name, value in values.items() if name not in service.env}
        env = reached.get(service.name, {}) | service.env
        if service.class_name == "job" and not service.enabled:  # what changes a database is often without a file
            env = {name: value for name, value in shared.items() if name not in values} | env
        notes = service.notes
        for name, value in {**own, **service.env}.items():
            if _UNCOPIED.search(value) or service.class_name not in RUNNING:
                continue
            made = _PLACE.sub(lambda at: at[1] + (place(service, at[2]) or at[2]), value)
            env |= {name: made} if made != value else {}
            left = [servers[int(at[2])].name for at in _PLACE.finditer(made) if at[2] in had_ports]
            notes = (*notes, *(f"{name}{_OLD_PORT}{one} had, as {one} waits for this" for one in left))
        return replace(service, env=env, notes=notes)

    return [replace(each, services=tuple(map(pointed, each.services))) for each in found]


def keeps_old_port(service: FoundService, variable: str) -> bool:
    """Return whether a note says that `variable` of `service` still names the port that a server had."""
    return any(note.startswith(f"{variable}{_OLD_PORT}") for note in service.notes)


def local_ports(text: str) -> Iterator[tuple[int, int]]:
    """Yield line and port of each address of this machine in a text, its comments left out."""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.lstrip().startswith(_COMMENTS):
            yield from ((number, int(found[2])) for found in _PLACE.finditer(line))


def with_kept_ports(found: Sequence[Found], places: Mapping[int, str]) -> list[Found]:
    """Return what was found, where servers keep the ports that files name in a way that no variable changes.

    Args:
        found: what the project's files gave.
        places: port → the file and line that names it.
    """

    def kept(service: FoundService) -> FoundService:
        port = service.served_at
        if port not in places or service.class_name != "dev-server":
            return service
        notes = [note for note in service.notes if note != own_port_note(port)]
        said = f"it keeps port {port}, as {places[port]} names it; only one worktree can have it at a time"
        return replace(service, args={**service.args, "port": port}, served_at=0, notes=(*notes, said))

    return [replace(each, services=tuple(map(kept, each.services))) for each in found]


def _with_port(service: FoundService, values: Mapping[str, str]) -> FoundService:
    """Return a server whose files of variables fix its port with its own port instead."""
    port = values.get("PORT", "")
    if service.class_name != "dev-server" or not port.isdecimal() or "PORT" in service.env:
        return service
    if service.args.get("port"):  # which it is to keep
        return service
    notes = service.notes if service.served_at else (*service.notes, own_port_note(int(port)))
    return replace(
        service, env={**service.env, "PORT": "{port}"}, served_at=service.served_at or int(port), notes=notes
    )


def _is_needed(service: str, by: str, needs: Mapping[str, Collection[str]]) -> bool:
    """Return whether `by` waits for `service`, also over others."""
    left, seen = [by], set[str]()
    while left:
        one = left.pop()
        if one == service:
            return True
        if one not in seen:
            seen.add(one)
            left += needs.get(one, ())
    return False


def _reached(known: Mapping[str, str], served: Mapping[int, FoundService]) -> dict[str, str]:
    """Return the variables that name a database by where it was until now, as templates."""
    made: dict[str, str] = {}
    for name, value in known.items():
        if (match := _URL.fullmatch(value)) and (service := served.get(int(match[1]))):
            pointed = pointed_at(value, service.name, service.class_name)
            made |= {name: pointed} if pointed != value else {}
        elif name.endswith("PORT") and value.isdecimal() and (service := served.get(int(value))) and name != "PORT":
            made[name] = f"{{{{ {outputs_of(service.name)}.port }}}}"
    return made
