"""Variables with the address at which a database was reached until now, pointed at the service that replaces it."""

import re
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from ostler.rules.imports.compose_addresses import pointed_at
from ostler.rules.imports.found import PROGRAMS, Found, FoundService, outputs_of

_HOSTS = r"localhost|127\.0\.0\.1|\[::1\]|0\.0\.0\.0|host\.docker\.internal"
_URL = re.compile(rf"\w[\w+.-]*://(?:[^@/\s]*@)?(?:{_HOSTS}):(\d+)(?:/\S*)?")


def with_addresses(found: Sequence[Found], variables: Mapping[str, Mapping[str, str]]) -> list[Found]:
    """Return what was found, where programs reach the databases of the project's own by variables of their files.

    Args:
        found: what the project's files gave.
        variables: file of variables → its variables.
    """
    services = [service for each in found for service in each.services]
    served = {service.served_at: service for service in services if service.served_at}

    known = {
        service.name: {name: value for file in service.env_files for name, value in variables.get(file, {}).items()}
        for service in services
        if service.class_name in PROGRAMS
    }
    reached = {service: _reached(values, served) for service, values in known.items()}
    shared = {name: value for values in reached.values() for name, value in values.items()}

    def pointed(service: FoundService) -> FoundService:
        values = known.get(service.name, {})
        env = reached.get(service.name, {}) | service.env
        if service.class_name == "job" and not service.enabled:  # what changes a database is often without a file
            env = {name: value for name, value in shared.items() if name not in values} | env
        notes = service.notes
        if "PORT" in values and "PORT" not in env and service.class_name == "dev-server":
            note = "only one worktree can have the PORT of its envFile: env: {PORT: '{port}'} gives each its own"
            notes = (*notes, note)
        return replace(service, env=env, notes=notes)

    return [replace(each, services=tuple(map(pointed, each.services))) for each in found]


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
