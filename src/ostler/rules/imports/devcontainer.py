"""`devcontainer.json`: the commands that it runs, once or at every start."""

from ostler.model.json import JsonObject, JsonValue, as_object
from ostler.rules.imports.found import Found, FoundService, command_line, job, label, shell_service

_ONCE = ("onCreateCommand", "updateContentCommand", "postCreateCommand")
_EACH_TIME = ("postStartCommand", "postAttachCommand")


def read_devcontainer(content: JsonObject, file: str) -> Found:
    """Return the commands of the file; its image, features and mounts are named.

    Args:
        content: the file, read as JSON with comments.
        file: its name.
    """
    services: list[FoundService] = []
    for key in _ONCE:
        services += [job(name, line, f"{file}, {key}") for name, line in _commands(key, content.get(key))]
    jobs = {service.name: "completed" for service in services}
    for key in _EACH_TIME:
        services += [
            shell_service(name, line, f"{file}, {key}", depends_on=jobs)
            for name, line in _commands(key, content.get(key))
        ]
    left = [key for key in ("image", "build", "dockerComposeFile", "features", "mounts") if content.get(key)]
    notes = (f"{file}: {', '.join(left)} describe a container; the services here run on this machine",) if left else ()
    return Found(tuple(services), notes)


def _commands(key: str, value: JsonValue) -> list[tuple[str, str]]:
    """Return (name, line for the shell) of each command under `key`: text, words, or several by name."""
    if isinstance(value, dict):
        return [(label(str(name)), command_line(line)) for name, line in as_object(value).items()]
    line = command_line(value)
    return [(label(key.removesuffix("Command")), line)] if line.strip() else []
