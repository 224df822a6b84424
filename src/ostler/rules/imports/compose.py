"""Compose files: services that can run as local programs; what cannot is named."""

import re
from collections.abc import Collection, Iterator

from ostler.model.json import JsonObject, JsonValue
from ostler.rules.imports.found import (
    Found,
    FoundService,
    as_list,
    as_object,
    key_lines,
    label,
    objects,
    read_yaml,
    variables,
)

_CONDITIONS = {
    "service_started": "started",
    "service_healthy": "healthy",
    "service_completed_successfully": "completed",
}
_VARIABLE = re.compile(r"\$(?:\$|\{(\w+)(?::?[-?]([^}]*))?\}|(\w+))")
_HOST = re.compile(r"(?:@|//)([A-Za-z0-9_.-]+)(?=[:/]|$)")
_POSTGRES = {"POSTGRES_USER": "user", "POSTGRES_PASSWORD": "password", "POSTGRES_DB": "database"}
_IMAGES = {"postgres": "postgresql", "redis": "redis", "valkey": "redis"}


def read_compose(text: str, file: str) -> Found:
    """Return the services of a Compose file whose images are programs that Ostler has a class for.

    Raises:
        UnreadableSourceError: it is not YAML.
    """
    content = read_yaml(text)
    lines = key_lines(text, "services")
    services: list[FoundService] = []
    notes: list[str] = []
    found = objects(content.get("services"))
    classes = {name: _class_of(str(service.get("image") or "")) for name, service in found.items()}
    taken = {label(name) for name, class_name in classes.items() if class_name}
    for name, service in found.items():
        where = f"{file}, line {lines.get(name, 1)}"
        if not classes[name]:
            what = f"image {service['image']}" if service.get("image") else "an image that is built"
            notes.append(
                f"{where}: {name!r} runs {what}, for which there is no class; give it one that runs the same program "
                "(class command), or a container class"
            )
            notes += _addresses(name, service, taken)
            continue
        services.append(_service(name, classes[name], service, where, taken))
    return Found(tuple(services), tuple(notes))


def _addresses(name: str, service: JsonObject, taken: Collection[str]) -> Iterator[str]:
    """Yield how a service that is not converted reaches those that are."""
    for variable, value in variables(service.get("environment")).items():
        host = next((host for host in _HOST.findall(value) if label(host) in taken), None)
        if host is not None:
            output = f"{{{{ services.{label(host)}.outputs.connectionString }}}}"
            yield f'{name!r} reaches {host!r} by a variable: {variable}: "{output}" in its env'


def _class_of(image: str) -> str:
    program = image.rpartition("/")[2].partition("@")[0].partition(":")[0]
    for known, class_name in _IMAGES.items():
        if program == known or program.startswith(f"{known}-"):
            return class_name
    return {"postgis": "postgresql", "pgvector": "postgresql"}.get(program, "")


def _service(name: str, class_name: str, service: JsonObject, origin: str, taken: Collection[str]) -> FoundService:
    env = {key: _filled(value) for key, value in variables(service.get("environment")).items()}
    args: JsonObject = {}
    notes: list[str] = []
    if class_name == "postgresql":
        args |= {arg: env[variable] for variable, arg in _POSTGRES.items() if env.get(variable)}
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
    needs = service.get("depends_on")
    names = {str(need): "started" for need in as_list(needs)}
    names |= {need: _CONDITIONS.get(str(how.get("condition")), "started") for need, how in objects(needs).items()}
    depends_on = {label(need): condition for need, condition in names.items() if label(need) in taken}
    return FoundService(label(name), class_name, args, origin, depends_on=depends_on, notes=tuple(notes))


def _filled(text: str) -> str:
    """Return `text` with Compose's variables as their defaults; one without a default stays as it is written."""
    return _VARIABLE.sub(lambda match: match[2] if match[2] is not None else match[0], text)


def _published(ports: JsonValue) -> list[str]:
    found: list[str] = []
    for port in as_list(ports):
        text = str(as_object(port).get("published", "")) if isinstance(port, dict) else str(port).partition("/")[0]
        host = text.rpartition(":")[0].rpartition(":")[2] if ":" in text else text
        if host:
            found.append(host)
    return found
