"""Compose files as Compose reads them: put over each other, with `extends`, `include`, `!reset` and `!override`."""

import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from msgspec import Struct

from ostler.model.json import JsonObject, JsonValue, as_list, as_object
from ostler.rules.imports.found import OVERRIDE, RESET, UnreadableSourceError, key_lines, objects, read_yaml

ReadFile: TypeAlias = Callable[[str], str]
"""Returns the text of a file, by its path from the folder of the first one; raises UnreadableSourceError."""

_REPLACED = frozenset({"command", "entrypoint", "test"})
"""Lists that are one value: the later one counts."""

_PAIRS = frozenset({"environment", "labels", "annotations", "args", "sysctls", "extra_hosts"})
"""What may be written as a list of `NAME=value`."""

_MAX_DEPTH = 8
_MAX_FILES = 500
"""Files that are read for one project, a file counting each time that it is named: they may name each other."""


class ComposeServices(Struct, frozen=True):
    """The services of Compose files.

    Attributes:
        services: what each service is when all files are put together.
        origins: where each is written, for people.
        notes: what is not read, and why.
    """

    services: dict[str, JsonObject]
    origins: dict[str, str]
    notes: list[str] = []


def compose_services(text: str, file: str, over: Sequence[str], read: ReadFile | None) -> ComposeServices:
    """Return the services of a Compose file.

    Args:
        text: the file.
        file: its name, as people know it.
        over: files that are put over it, in order, as paths from its folder.
        read: reads these and what they name; without it only `text` is read.

    Raises:
        UnreadableSourceError: `text` is not YAML. Of other files, a note says so.
    """
    found = _Files(read, posixpath.dirname(file))
    made = found.layer(text, posixpath.basename(file))
    for name in over:
        if (more := found.text_of(name, "is put over the others")) is not None:
            made = _put_over(made, more)
    services = {name: as_object(_plain(service)) for name, service in made.services.items()}
    return ComposeServices(services, made.origins, found.notes)


def _put_over(below: ComposeServices, above: ComposeServices) -> ComposeServices:
    services: dict[str, JsonObject] = dict(below.services)
    for name, service in above.services.items():
        services[name] = as_object(_merged(services[name], service)) if name in services else service
    origins = {name: "; ".join(filter(None, (below.origins.get(name), above.origins.get(name)))) for name in services}
    return ComposeServices({name: each for name, each in services.items() if not _is_reset(each)}, origins)


class _Files:
    """Reads the files of one project, each with what it includes and extends."""

    def __init__(self, read: ReadFile | None, shown_in: str) -> None:
        self._read = read
        self._shown_in = shown_in
        self._left = _MAX_FILES
        self.notes: list[str] = []

    def text_of(self, file: str, why: str, depth: int = 0, only: str = "") -> ComposeServices | None:
        """Return what `file` has, or of its own services `only` that one; None, and a note, if it cannot be read."""
        cause = ""
        if self._read is not None and depth <= _MAX_DEPTH and self._left:
            self._left -= 1
            try:
                return self.layer(self._read(file), file, depth, only)
            except UnreadableSourceError as error:
                cause = f" ({error})"
        said = f"{self._shown(file)} is not read, which {why}{cause}: change here what it changes there"
        if said not in self.notes:
            self.notes.append(said)
        return None

    def layer(self, text: str, file: str, depth: int = 0, only: str = "") -> ComposeServices:
        """Return what one file has, with what it includes below it, and what its services extend; see `text_of`."""
        content = read_yaml(text, tagged=True)
        lines = key_lines(text, "services")
        written = objects(content.get("services"))
        folder = posixpath.dirname(file)
        names = [only] if only in written else [] if only else list(written)
        services = {name: self._extended(name, written, file, depth) for name in names}
        origins = {name: f"{self._shown(file)}, line {lines.get(name, 1)}" for name in names}
        made = ComposeServices(services, origins)
        included = [] if only else list(_included(content))
        for path in reversed(included):  # of a list, a later file goes over an earlier one
            inner = posixpath.normpath(posixpath.join(folder, path))
            if (more := self.text_of(inner, f"{self._shown(file)} includes", depth + 1)) is not None:
                moved = {name: _moved(each, posixpath.dirname(path)) for name, each in more.services.items()}
                made = _put_over(ComposeServices(moved, more.origins), made)
        return made

    def _extended(self, name: str, written: Mapping[str, JsonObject], file: str, depth: int) -> JsonObject:
        """Return a service over the one that it extends."""
        service = written[name]
        extends = service.get("extends")
        if not extends:
            return service
        base, other = (
            (extends, "")
            if isinstance(extends, str)
            else (str(as_object(extends).get("service") or name), str(as_object(extends).get("file") or ""))
        )
        below: JsonObject | None = None
        if other and depth <= _MAX_DEPTH:
            path = posixpath.normpath(posixpath.join(posixpath.dirname(file), other))
            more = self.text_of(path, f"service {name!r} extends", depth + 1, only=base)
            found = None if more is None else more.services.get(base)
            below = None if found is None else _moved(found, posixpath.dirname(other))
        elif not other and base != name and base in written and depth <= _MAX_DEPTH:
            below = self._extended(base, written, file, depth + 1)
        own = {key: value for key, value in service.items() if key != "extends"}
        return own if below is None else as_object(_merged(below, own))

    def _shown(self, file: str) -> str:
        return posixpath.join(self._shown_in, file)


def _included(content: JsonObject) -> Iterable[str]:
    """Yield the paths below `include`."""
    for each in as_list(content.get("include")):
        paths: JsonValue = as_object(each).get("path") if isinstance(each, dict) else each
        yield from (str(path) for path in (as_list(paths) or [paths]) if path)


def _moved(service: JsonObject, folder: str) -> JsonObject:
    """Return a service of a file in `folder` with paths from the folder above."""
    service = as_object(_plain(service))
    if not folder:
        return service

    def path(value: JsonValue) -> JsonValue:
        is_relative = isinstance(value, str) and value and value[0] not in "/~$" and "://" not in value
        return f"./{posixpath.normpath(posixpath.join(folder, str(value)))}" if is_relative else value

    def mounted(value: JsonValue) -> JsonValue:
        if isinstance(value, dict):
            mount = as_object(value)
            return {**mount, "source": path(mount.get("source"))} if mount.get("type") == "bind" else mount
        source, colon, rest = str(value).partition(":")
        return f"{path(source)}{colon}{rest}" if source.startswith(".") else value

    made = dict(service)
    if build := as_object(_normal("build", service.get("build"))):
        made["build"] = {**build, "context": path(build.get("context") or ".")}
    if files := as_list(_normal("env_file", service.get("env_file"))):
        made["env_file"] = [
            {**file, "path": path(file.get("path"))} if (file := as_object(each)) else path(each) for each in files
        ]
    if volumes := as_list(service.get("volumes")):
        made["volumes"] = [mounted(each) for each in volumes]
    return made


def _is_reset(value: JsonValue) -> bool:
    return RESET in as_object(value)


def _merged(below: JsonValue, above: JsonValue, key: str = "") -> JsonValue:
    """Return `above` put over `below`, both at the key `key`."""
    if _is_reset(above) or OVERRIDE in as_object(above):
        return above
    below = as_object(below).get(OVERRIDE, below)
    if below is None or _is_reset(below) or key in _REPLACED:
        return above
    below, above = _normal(key, below), _normal(key, above)
    if isinstance(below, dict) and isinstance(above, dict):
        over, under = as_object(above), as_object(below)
        made = {name: _merged(under.get(name), value, str(name)) for name, value in over.items()}
        return {name: value for name, value in {**under, **made}.items() if not _is_reset(value)}
    if isinstance(below, list) and isinstance(above, list):
        items = [*as_list(below), *as_list(above)]
        return list({_identity(key, each): each for each in items}.values())
    return above


def _normal(key: str, value: JsonValue) -> JsonValue:
    """Return the long form of a value that has a short one."""
    if key in _PAIRS and isinstance(value, list):
        pairs = [str(each).partition("=") for each in as_list(value)]
        return {name: text if equals else None for name, equals, text in pairs}
    if key == "depends_on" and isinstance(value, list):
        return {str(name): {"condition": "service_started"} for name in as_list(value)}
    if key == "build" and isinstance(value, str):
        return {"context": value}
    if key == "env_file" and isinstance(value, str):
        return [value]
    return value


def _identity(key: str, value: JsonValue) -> str:
    """Return what makes an item of a list the same as another: the place of a mount, else the whole item."""
    if key == "volumes":
        if isinstance(value, dict):
            return str(as_object(value).get("target"))
        parts = str(value).split(":")
        return parts[1] if len(parts) > 1 else parts[0]
    return repr(value)


def _plain(value: JsonValue) -> JsonValue:
    """Return `value` without what tags said."""
    if isinstance(value, list):
        return [_plain(each) for each in as_list(value) if not _is_reset(each)]
    if not isinstance(value, dict):
        return value
    content = as_object(value)
    if OVERRIDE in content:
        return _plain(content[OVERRIDE])
    return {name: _plain(each) for name, each in content.items() if not _is_reset(each)}
