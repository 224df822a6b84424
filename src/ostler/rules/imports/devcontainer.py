"""`devcontainer.json`: the commands that it runs, once or at every start."""

import re

from ostler.model.json import JsonObject, JsonValue, as_list, as_object
from ostler.rules.imports.found import RUNNING, Found, FoundService, command_line, job, label, shell_service
from ostler.rules.imports.shell_lines import port_of, port_option

_ONCE = ("onCreateCommand", "updateContentCommand", "postCreateCommand")
_EACH_TIME = ("postStartCommand", "postAttachCommand")
_FOLDER = re.compile(r"\$\{(?:containerWorkspaceFolder|localWorkspaceFolder)\}")
_ENVIRONMENT = re.compile(r"\$\{(?:containerEnv|localEnv):(\w+)(?::([^}]*))?\}")
_AWAY = re.compile(r"\s*(?:(?:1?>>?|&>)\s*[^\s&|;]+(?:\s+2>&1)?\s*)?(?<!&)&(?=[\s'\")]*$)")
"""What puts a line's last command into the background, with the file that it writes to."""

_LASTING = re.compile(r"\b(dev|serve|server|start|runserver|watch)\b")
_LEAVING = re.compile(
    r"\b(?:service|systemctl|supervisorctl|pg_ctl(?:cluster)?)\s.*\b(?:re)?start\b|\binit\.d/\S+\s+(?:re)?start\b"
    r"|\bdocker\b.*\b(?:start|up\b.*\s(?:-d|--detach))\b"
)
"""What starts something that the system or Docker keeps, and ends."""


def read_devcontainer(content: JsonObject, file: str) -> Found:
    """Return the commands of the file; its image, features, mounts and variables are named.

    What is put into the background is a service, and so is what serves at every start.

    Args:
        content: the file, read as JSON with comments.
        file: its name.
    """
    services: list[FoundService] = []
    jobs: dict[str, str] = {}
    for key in (*_ONCE, *_EACH_TIME):
        found = [_service(key, name, line, file, jobs) for name, line in _commands(key, content.get(key))]
        services += found
        jobs = jobs | {service.name: "completed" for service in found if service.class_name == "job"}
    services = _forwarded(services, content)
    left = [key for key in ("image", "build", "dockerComposeFile", "features", "mounts") if content.get(key)]
    names = [*as_object(content.get("containerEnv")), *as_object(content.get("remoteEnv"))]
    notes = [f"{file}: {', '.join(left)}: the services here run on this machine, in no container"] if left else []
    notes += [f"{file}: variables of its container are not set: {', '.join(dict.fromkeys(names))}"] if names else []
    return Found(tuple(services), tuple(notes))


def _service(key: str, name: str, line: str, file: str, jobs: dict[str, str]) -> FoundService:
    origin = f"{file}, {key}"
    line = _ENVIRONMENT.sub(
        lambda found: f"${{{found[1]}{f':-{found[2]}' if found[2] else ''}}}", _FOLDER.sub(".", line)
    )
    away = line.startswith("nohup ") or _AWAY.search(line) is not None
    line = _AWAY.sub("", line.removeprefix("nohup "))
    port = port_of(line)
    if port is None and port_option(line):
        port = 0
    notes = ("it was made for a container: with sudo it changes this machine",) if re.search(r"\bsudo\b", line) else ()
    lasts = port is not None or _LASTING.search(f"{name} {line}")
    if not away and (key in _ONCE or not lasts or _LEAVING.search(line)):
        return job(name, line, origin, notes=notes, depends_on=jobs)
    return shell_service(name, line, origin, port=port, notes=notes, depends_on=jobs)


def _forwarded(services: list[FoundService], content: JsonObject) -> list[FoundService]:
    """Return the services, where the only one that runs has the only port that the container forwards."""
    ports = [port for port in as_list(content.get("forwardPorts")) if isinstance(port, int)]
    running = [service for service in services if service.class_name in RUNNING]
    if len(ports) != 1 or len(running) != 1 or running[0].class_name != "command":
        return services
    server = running[0]
    made = shell_service(
        server.name, str(server.args["command"]), server.origin, port=0, had_port=ports[0], notes=server.notes,
        depends_on=server.depends_on,
    )  # fmt: skip
    return [made if service is server else service for service in services]


def _commands(key: str, value: JsonValue) -> list[tuple[str, str]]:
    """Return (name, line for the shell) of each command under `key`: text, words, or several by name."""
    if isinstance(value, dict):
        return [(label(str(name)), command_line(line)) for name, line in as_object(value).items()]
    line = command_line(value)
    return [(label(key.removesuffix("Command")), line)] if line.strip() else []
