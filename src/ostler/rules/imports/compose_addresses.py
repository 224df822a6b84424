"""Addresses of services among containers, and how the same services are reached on this machine."""

import re
from collections.abc import Collection, Iterator, Mapping

from ostler.rules.imports.found import label, outputs_of
from ostler.rules.imports.shell_lines import names_variables

_PORTS = {"postgresql": "5432", "redis": "6379"}
_ADDRESS = re.compile(r"(\w[\w+.-]*)://(?:[^@/\s]*@)?([A-Za-z0-9_.-]+|\[::1\])(?::\d+)?(/\S*)?")
_PLACE = re.compile(r"([A-Za-z0-9_.-]+)(:\d+)?")
_HOST_NAMES = re.compile(r"(\w*?)_?(HOST|HOSTNAME|SERVER|ADDR|ADDRESS)")


def reached(env: Mapping[str, str], taken: Mapping[str, str], needs: Collection[str]) -> dict[str, str]:
    """Return variables that name services of the file by where those are reached on this machine.

    A server that the service does not need is left: it may need this one.
    """
    taken = {name: class_name for name, class_name in taken.items() if class_name in _PORTS or name in needs}
    hosts = {
        match[1]: label(value)
        for variable, value in env.items()
        if label(value) in taken and (match := _HOST_NAMES.fullmatch(variable))
    }
    made: dict[str, str] = {}
    for variable, value in env.items():
        prefix = variable.removesuffix("PORT").removesuffix("_")
        if (match := _HOST_NAMES.fullmatch(variable)) and label(value) in taken:
            made[variable] = "127.0.0.1"
        elif variable.endswith("PORT") and (host := hosts.get(prefix)) and _is_usual(value, taken[host]):
            made[variable] = f"{{{{ {outputs_of(host)}.port }}}}"
        else:
            made[variable] = _ADDRESS.sub(lambda found: _address(found, taken), value)
    return made


def pointed_at(address: str, service: str, class_name: str) -> str:
    """Return a URL with the template for `service` instead of its host; as it is, if it is not one of that class."""
    return _ADDRESS.sub(lambda found: _made(found[1], service, class_name, found[3] or "") or found[0], address)


def unknown_addresses(env: Mapping[str, str], services: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield (variable, service) of what still has the address of one of the file's `services` among containers."""
    for variable, value in env.items():
        hosts = [found[2] for found in _ADDRESS.finditer(value) if "{{" not in found[0]]
        if (found := _PLACE.fullmatch(value)) and (found[2] or _HOST_NAMES.fullmatch(variable)):
            hosts.append(found[1])
        yield from ((variable, host) for host in hosts if label(host) in services)


def _is_usual(port: str, class_name: str) -> bool:
    """Whether `port` is the one at which the containers of a class listen, or a variable that says it."""
    return _PORTS.get(class_name, port) == port or names_variables(port)


def _address(found: re.Match[str], taken: Mapping[str, str]) -> str:
    host = label(found[2])
    return _made(found[1], host, taken.get(host, ""), found[3] or "") or found[0]


def _made(scheme: str, service: str, class_name: str, path: str) -> str:
    """Return the template for the URL of a service; empty if none says it."""
    match class_name:
        case "postgresql" if scheme.startswith("postgres"):
            made = f"{{{{ {outputs_of(service)}.connectionString"
            driver = scheme.partition("+")[2]
            return f"{made} | replace('postgresql://', '{scheme}://', 1) }}}}" if driver else f"{made} }}}}"
        case "redis":
            return f"{{{{ {outputs_of(service)}.url }}}}{path}"
        case "dev-server":
            return f"{{{{ {outputs_of(service)}.url }}}}{path.removeprefix('/')}"
        case _:
            return ""
