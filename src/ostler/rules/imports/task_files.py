"""Files of tasks, whose names alone do not say what serves."""

import re
from collections.abc import Iterable

from ostler.model.json import JsonObject, as_object
from ostler.rules.imports.found import Found, UnreadableSourceError, named_in, read_yaml
from ostler.rules.text.toml_source import TomlError, parse_toml

_SERVING = frozenset({"dev", "run", "serve", "server", "start", "watch", "up", "worker", "runserver"})
_MAKE = re.compile(r"^([A-Za-z0-9][\w.-]*)\s*:(?![=:])", re.MULTILINE)
_JUST = re.compile(r"^@?([A-Za-z_][\w-]*)(?:[ \t]+[^:\n]*)?:(?!=)", re.MULTILINE)
_PRIVATE = re.compile(r"^\[[^\]\n]*\bprivate\b.*\n.*$", re.MULTILINE)


def waits(folder: str = "") -> tuple[str, ...]:
    """Return what to know of a job that migrates the database of what `folder` serves."""
    web, migrate = named_in(folder, "web"), named_in(folder, "migrate")
    said = f"remove that, and let {web} wait by dependsOn: {{{migrate}: completed}}"
    return (f"enabled: false, as it changes a database: {said}",)


def read_makefile(text: str, file: str) -> Found:
    """Return a note with the targets that may start something."""
    return noted_tasks(file, "make", _MAKE.findall(text))


def read_justfile(text: str, file: str) -> Found:
    """Return a note with the recipes that may start something."""
    return noted_tasks(file, "just", [name for name in _JUST.findall(_PRIVATE.sub("", text)) if name[0] != "_"])


def read_taskfile(text: str, file: str) -> Found:
    """Return a note with the tasks that may start something."""
    tasks = as_object(read_yaml(text).get("tasks"))
    return noted_tasks(
        file, "task", [str(name) for name, task in tasks.items() if as_object(task).get("internal") is not True]
    )


def read_mise(text: str, file: str) -> Found:
    """Return a note with the tasks that may start something.

    Raises:
        UnreadableSourceError: it is not TOML.
    """
    return noted_tasks(file, "mise run", as_object(read_toml(text).get("tasks")))


def read_toml(text: str) -> JsonObject:
    """Return what a TOML text holds.

    Raises:
        UnreadableSourceError: it is not TOML.
    """
    try:
        return parse_toml(text)
    except TomlError as error:
        line = error.place[0]
        raise UnreadableSourceError(f"{f'line {line}: ' if line else ''}it is not TOML: {error}") from None


def noted_tasks(file: str, program: str, names: Iterable[str]) -> Found:
    """Return a note with the tasks whose names say that they may start what serves, if there are any."""
    serving = [name for name in dict.fromkeys(names) if not _SERVING.isdisjoint(re.split(r"[-_:.]", name))]
    if not serving:
        return Found()
    shown = ", ".join(serving)
    how = f'class: dev-server, args: {{command: "{program} {serving[0]}"}}'
    said = f"{file}: {shown} may start what serves, as its name says; such a service is written {how}"
    return Found(notes=(f"{said}, and one that opens no port class: command",))
