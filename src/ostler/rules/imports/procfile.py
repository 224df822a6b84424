"""`Procfile`: a process a line, `name: command`."""

import re
from collections.abc import Collection

from msgspec.structs import replace

from ostler.rules.imports.found import Found, FoundService, UnreadableSourceError, job, label, shell_service
from ostler.rules.imports.shell_lines import port_of, port_option

_LINE = re.compile(r"([A-Za-z0-9_-]+):\s*(.+)")


def read_procfile(text: str, file: str, beside: Collection[str] = ()) -> Found:
    """Return the processes of a Procfile; `release` is a job that the others wait for; several run in turn.

    Args:
        text: the file.
        file: its path in the project.
        beside: the names of the files next to it: foreman, honcho, overmind and hivemind set the variables of `.env`.

    Raises:
        UnreadableSourceError: a line is not `name: command`.
    """
    services: list[FoundService] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise UnreadableSourceError(f"line {number} is not written 'name: command'")
        name, command = label(match[1]), match[2]
        origin = f"{file}, line {number}"
        if name == "release":
            earlier = [service.name for service in services if service.class_name == "job"]
            called = f"{name}-{len(earlier) + 1}" if earlier else name
            services.append(job(called, command, origin, depends_on=dict.fromkeys(earlier, "completed")))
            continue
        port = port_of(command)
        if port is None and (name == "web" or port_option(command)):
            port = 0
        services.append(shell_service(name, command, origin, port=port))
    jobs = {service.name: "completed" for service in services if service.class_name == "job"}
    waiting = [service if service.name in jobs else replace(service, depends_on=jobs) for service in services]
    files = (".env",) if ".env" in beside else ()
    return Found(tuple(replace(service, env_files=files) for service in waiting))
