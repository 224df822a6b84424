"""Compose files: databases by their classes, the project's own programs by their commands; the rest is named."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from ostler.model.credentials import is_secret_name
from ostler.model.json import JsonObject, JsonValue, as_list, as_object
from ostler.rules.imports.compose_addresses import reached, unknown_addresses
from ostler.rules.imports.compose_files import ReadFile, compose_services
from ostler.rules.imports.found import (
    Found,
    FoundService,
    command_line,
    job,
    label,
    objects,
    shell_service,
    variables,
    without_circle,
)
from ostler.rules.imports.shell_lines import as_compose_runs, exported, names_variables, with_own_port

_CONDITIONS = {
    "service_started": "started",
    "service_healthy": "healthy",
    "service_completed_successfully": "completed",
}
_VARIABLE = re.compile(r"\$(?:\$|\{(\w+)(?::?(?:-([^}]*)|[?+][^}]*))?\}|(\w+))")
_POSTGRES = {"POSTGRES_USER": "user", "POSTGRES_PASSWORD": "password", "POSTGRES_DB": "database"}
_IMAGES = {"postgres": "postgresql", "redis": "redis", "valkey": "redis"}
_RESTARTS = {"always": "always", "unless-stopped": "always", "on-failure": "on-failure"}
_HEALTH_PATH = re.compile(r"(?:localhost|127\.0\.0\.1|0\.0\.0\.0)(?::\d+)?(/[\w/.-]*)")
_IDLE = re.compile(r"sleep|tail -f /dev/null|while (true|:)|/bin/(ba)?sh$|(ba)?sh$")
"""Commands that keep a container up for people to work in."""


def read_compose(
    text: str,
    file: str,
    dotenv: Mapping[str, str] | None = None,
    *,
    over: Sequence[str] = (),
    read: ReadFile | None = None,
) -> Found:
    """Return the services of a Compose file that can run without containers.

    Images that Ostler has a class for become services of that; a service that is built here, or has the project's
    sources mounted, and says its command, runs that command on this machine.

    Args:
        text: the file.
        file: its name.
        dotenv: the variables of `.env`, if that is next to it.
        over: files that are put over it, in order, as paths from its folder.
        read: reads these, and what files include or services extend.

    Raises:
        UnreadableSourceError: it is not YAML, or its services need each other in a circle.
    """
    services: list[FoundService] = []
    composed = compose_services(text, file, over, read)
    found, notes = composed.services, list(composed.notes)
    profiles = set(filter(None, (dotenv or {}).get("COMPOSE_PROFILES", "").split(",")))
    if profiles:
        found = {name: _enabled(service, profiles) for name, service in found.items()}
    images = {name: _class_of(str(service.get("image") or "")) for name, service in found.items()}
    local = {name for name, service in found.items() if not images[name] and _is_local(service)}
    classes = images | _local_classes(found, local)
    taken = {label(name): class_name for name, class_name in classes.items() if class_name}
    for name, service in found.items():
        where = composed.origins[name]
        if not classes[name]:
            notes += [f"{where}: {_classless(name, service)}", *_addresses(name, service, taken)]
        elif name in local:
            made = _local(name, service, where, taken, has_dotenv=dotenv is not None)
            left = unknown_addresses(made.env, [label(other) for other in found])
            said = (f"{variable} names {host!r}, as it is called among containers" for variable, host in left)
            services.append(replace(made, notes=(*made.notes, *said)))
        else:
            services.append(_service(name, service, where, taken, dotenv or {}))
    return Found(without_circle(services), tuple(notes))


def _enabled(service: JsonObject, profiles: Collection[str]) -> JsonObject:
    """Return a service without its profiles if one of `profiles` is among them."""
    own = set(map(str, as_list(service.get("profiles"))))
    return {**service, "profiles": []} if own & {*profiles} or (own and "*" in profiles) else service


def _local_classes(services: Mapping[str, JsonObject], local: Collection[str]) -> dict[str, str]:
    """Return the class of each of the `local` services: a job if another one waits for its end."""
    jobs = {
        label(need)
        for service in services.values()
        for need, how in objects(service.get("depends_on")).items()
        if need in local and how.get("condition") == "service_completed_successfully"
    }
    return {
        name: "job" if label(name) in jobs else "dev-server" if _published(services[name].get("ports")) else "command"
        for name in local
    }


def _classless(name: str, service: JsonObject) -> str:
    """Return the note about a service that there is no class for."""
    built = "an image that is built" + (", to work in" if _IDLE.match(_command(service)) else "")
    what = built if service.get("build") or not service.get("image") else f"image {service['image']}"
    return (
        f"{name!r} runs {what}, for which there is no class; give it one that runs the same program "
        "(class command), or a container class"
    )


def _addresses(name: str, service: JsonObject, taken: Mapping[str, str]) -> Iterator[str]:
    """Yield how a service that is not converted reaches those that are."""
    written = variables(service.get("environment"))
    for variable, value in reached(written, taken, ()).items():
        if value != written[variable]:
            yield f'{name!r} reaches a service by a variable: {variable}: "{value}" in its env'


def _class_of(image: str) -> str:
    program = image.rpartition("/")[2].partition("@")[0].partition(":")[0]
    for known, class_name in _IMAGES.items():
        if program == known or program.startswith(f"{known}-"):
            return class_name
    return {"postgis": "postgresql", "pgvector": "postgresql"}.get(program, "")


def _service(
    name: str, service: JsonObject, origin: str, taken: Mapping[str, str], dotenv: Mapping[str, str]
) -> FoundService:
    class_name = taken[label(name)]
    env = {key: _filled(value, dotenv) for key, value in variables(service.get("environment")).items()}
    args: JsonObject = {}
    notes: list[str] = []
    if class_name == "postgresql":
        known = {name: value for name, value in env.items() if value and not names_variables(value)}
        args |= {arg: known[variable] for variable, arg in _POSTGRES.items() if variable in known}
        notes += [f"{name} is not copied from .env" for name in _POSTGRES if name in env.keys() - known.keys()]
        if "user" in args:
            args.setdefault("database", args["user"])
        notes += [f"{variable} has no place in the class" for variable in env if variable not in _POSTGRES]
    if service.get("volumes"):
        notes.append("its volumes are not converted: the class keeps its data in its own folder")
    if service.get("env_file"):
        notes.append("its env_file is not converted")
    ports = _published(service.get("ports"))
    if ports:
        notes.append(f"its port {ports[0]} is not kept, so that worktrees do not collide; 'port: {ports[0]}' would")
    return FoundService(
        label(name),
        class_name,
        args,
        origin,
        depends_on=_needs(service, taken),
        served_at=int(ports[0]) if ports and ports[0].isdecimal() else 0,
        notes=tuple(notes),
        enabled=not service.get("profiles"),
    )


def _needs(service: JsonObject, taken: Collection[str]) -> dict[str, str]:
    needs = service.get("depends_on")
    names = {str(need): "started" for need in as_list(needs)}
    names |= {need: _CONDITIONS.get(str(how.get("condition")), "started") for need, how in objects(needs).items()}
    return {label(need): condition for need, condition in names.items() if label(need) in taken}


def _is_local(service: JsonObject) -> bool:
    """Whether a service runs the project's own sources by a command that the file says."""
    line = _command(service)
    if not line or _IDLE.match(line):
        return False
    return bool(service.get("build")) or any(
        _source_of(volume).startswith(".") for volume in as_list(service.get("volumes"))
    )


def _command(service: JsonObject) -> str:
    """Return what a service runs; `$$` is Compose's `$`."""
    return " ".join(line for line, _ in _lines(service) if line).replace("$$", "$")


def _lines(service: JsonObject) -> list[tuple[str, str]]:
    """Return the lines of the entrypoint and the command, each with the rest of it that Compose never runs."""
    both = (service.get("entrypoint"), service.get("command"))
    return [as_compose_runs(words) if isinstance(words, str) else (command_line(words), "") for words in both]


def _source_of(volume: JsonValue) -> str:
    """Return the folder of this machine that a volume mounts."""
    if isinstance(volume, dict):
        return str(as_object(volume).get("source") or "") if as_object(volume).get("type") == "bind" else ""
    return str(volume).partition(":")[0]


def _local(name: str, service: JsonObject, origin: str, taken: Mapping[str, str], *, has_dotenv: bool) -> FoundService:
    """Return a service that runs the command of a Compose service on this machine."""
    needs = _needs(service, taken)
    env, line = exported(reached(variables(service.get("environment")), taken, needs), _command(service))
    notes = ["in a container until now: its command runs with the programs that are installed on this machine"]
    notes += [
        f"Compose does not run {rest!r}, which follows its command; to run it, write it into 'command' here"
        for _, rest in _lines(service)
        if rest
    ]
    ports = [port for port in as_list(service.get("ports")) if not isinstance(port, dict)]
    inner = str(ports[0]).partition("/")[0].rpartition(":")[2] if ports else ""
    more: dict[str, Any] = {"env": env, "depends_on": needs, "env_files": _env_files(service, has_dotenv=has_dotenv)}
    more["enabled"] = not service.get("profiles")
    policy = _RESTARTS.get(str(service.get("restart")), "")
    directory = _folder(service)
    if taken[label(name)] == "job":
        return job(label(name), line, origin, directory=directory, notes=tuple(notes), **more)
    if taken[label(name)] == "command":
        made = shell_service(label(name), line, origin, directory=directory, notes=tuple(notes), **more)
        return replace(made, restart_policy=policy)
    port = int(inner) if inner.isdecimal() and with_own_port(line, int(inner)) else 0
    ready: JsonObject = {}
    if path := _HEALTH_PATH.search(command_line(as_object(service.get("healthcheck")).get("test"))):
        ready["readyPath"] = path[1]
    made = shell_service(label(name), line, origin, directory=directory, port=port, notes=tuple(notes), **more)
    return replace(made, args=made.args | ready, restart_policy=policy)


def _folder(service: JsonObject) -> str:
    """Return the project's folder that a service works in: the one that is built, or the mounted one."""
    build = service.get("build")
    context = str(as_object(build).get("context") or "") if isinstance(build, dict) else str(build or "")
    sources = [source for volume in as_list(service.get("volumes")) if (source := _source_of(volume)).startswith(".")]
    folder = context if context.startswith(".") or (context and "/" not in context) else sources[0] if sources else "."
    return "" if names_variables(folder) or ".." in folder else folder


def _env_files(service: JsonObject, *, has_dotenv: bool) -> tuple[str, ...]:
    files = service.get("env_file")
    named = [files] if isinstance(files, str) else [as_object(file).get("path", file) for file in as_list(files)]
    paths = [str(file).removeprefix("./") for file in named if isinstance(file, str)]
    return tuple(dict.fromkeys([*([".env"] if has_dotenv else []), *paths]))


def _filled(text: str, dotenv: Mapping[str, str]) -> str:
    """Return `text` with Compose's variables filled in, from `.env` or as their defaults.

    Those without either, and secrets of `.env`, stay as they are written.
    """

    def value_of(match: re.Match[str]) -> str:
        name = match[1] or match[3] or ""
        value = match[2] if is_secret_name(name) else dotenv.get(name, match[2])
        return match[0] if value is None else value

    return _VARIABLE.sub(value_of, text)


def _published(ports: JsonValue) -> list[str]:
    found: list[str] = []
    for port in as_list(ports):
        text = str(as_object(port).get("published", "")) if isinstance(port, dict) else str(port).partition("/")[0]
        host = text.rpartition(":")[0].rpartition(":")[2] if ":" in text else text
        if host:
            found.append(host)
    return found
