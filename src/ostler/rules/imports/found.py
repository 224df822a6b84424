"""What a file of another tool says about one service, in the words of `ostler.yaml`."""

import shlex
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from graphlib import CycleError, TopologicalSorter
from typing import Any, cast

import yaml
from msgspec import Struct
from msgspec.structs import replace

from ostler.model.json import JsonObject, JsonValue, as_list, as_object, parse_json
from ostler.model.label_names import label_of
from ostler.model.projects import VARIABLE
from ostler.rules.imports.shell_lines import address_notes, own_port_note, port_notes, with_own_port, with_port_option


class FoundService(Struct, frozen=True):
    """One service.

    Attributes:
        name: a label; unique within its file.
        class_name: the ServiceClass that runs it.
        args: the class's args.
        origin: where it was found, for people: `package.json, script dev`.
        env: environment variables.
        depends_on: name → condition.
        env_files: files of variables, relative to the project's folder.
        restart_policy: a policy's name, or what `restartPolicy` takes; empty if the file says nothing.
        served_at: the port of this machine at which it was reached until now, which it does not keep; 0 for none.
        watch: patterns of files, relative to the project's folder, whose changes make it run again.
        notes: what could not be converted, or needs a look, one sentence each.
        enabled: False leaves it out of `up` unless it is named.
    """

    name: str
    class_name: str
    args: JsonObject
    origin: str
    env: dict[str, str] = {}
    depends_on: dict[str, str] = {}
    env_files: tuple[str, ...] = ()
    restart_policy: JsonValue = ""
    served_at: int = 0
    watch: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    enabled: bool = True

    @property
    def folder(self) -> str:
        """The folder that it runs in, relative to the project's; empty for the project's own."""
        return str(self.args.get("directory", ""))

    @property
    def line(self) -> str:
        """The command by which it runs a program of the project; empty if it is something else."""
        return str(self.args.get("command", "")) if self.class_name in PROGRAMS else ""


class Found(Struct, frozen=True):
    """The services in one file, and notes about what could not become one."""

    services: tuple[FoundService, ...] = ()
    notes: tuple[str, ...] = ()


RUNNING = ("command", "dev-server")
"""Classes of services that run as long as one works."""

PROGRAMS = (*RUNNING, "job")
"""Classes that run a program of the project in a folder of it."""


RESET, OVERRIDE = "!reset", "!override"
"""Tags of Compose: what a file below has is removed, or replaced as a whole."""


class UnreadableSourceError(Exception):
    """A file is not what its name says; the text is the reason."""


def without_circle(services: Sequence[FoundService]) -> tuple[FoundService, ...]:
    """Return the services of one file.

    Raises:
        UnreadableSourceError: they need each other in a circle, which Compose and process-compose refuse as well.
    """
    try:
        TopologicalSorter({service.name: service.depends_on for service in services}).prepare()
    except CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        raise UnreadableSourceError(
            f"its services need each other in a circle: {circle}; remove one dependency of the circle there"
        ) from None
    return tuple(services)


def label(text: str) -> str:
    """Return `text` as a service's short name."""
    return label_of(text, "service")


def named_in(folder: str, name: str) -> str:
    """Return what the service `name` of a folder inside the project is called: `web` of `services/shop` is `shop`."""
    own = folder.strip("/").rpartition("/")[2]
    if not own:
        return name
    return label(own if name == "web" else f"{own}-{name}")


def outputs_of(service: str) -> str:
    """Return how a template names the outputs of a service: `-` means minus in an expression."""
    return f"services.{service}.outputs" if service.isidentifier() else f"services['{service}'].outputs"


def template_free(text: str) -> str:
    """Return `text` so that a template engine renders it as it is."""
    return text.replace("{{", "{{ '{{' }}").replace("{%", "{{ '{%' }}") if "{{" in text or "{%" in text else text


def folder_arg(path: str) -> JsonObject:
    """Return the arg for the folder `path`, none for the project's own."""
    path = path.removeprefix("${workspaceFolder}").strip("/") if path.startswith("${workspaceFolder}") else path
    path = template_free(path)
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
    if path.startswith("/"):
        return {"directory": path}
    return {"directory": "/".join(parts)} if parts else {}


def within(found: Found, folder: str) -> Found:
    """Return what a file in `folder` of the project says, with paths from the project's own folder."""

    def placed(service: FoundService) -> FoundService:
        args = service.args
        if service.class_name in PROGRAMS and not service.folder.startswith("/"):
            args = {**args, **folder_arg(f"{folder}/{service.folder}".rstrip("/"))}
        files = tuple(file if file.startswith("/") else f"{folder}/{file}" for file in service.env_files)
        return replace(service, args=args, env_files=files, watch=tuple(f"{folder}/{file}" for file in service.watch))

    return replace(found, services=tuple(map(placed, found.services)))


def shell_service(
    name: str,
    line: str,
    origin: str,
    *,
    directory: str = "",
    port: int | None = None,
    had_port: int = 0,
    kept: str = "",
    notes: Sequence[str] = (),
    **more: Any,
) -> FoundService:
    """Return a service that runs `line` by the shell; one with a port is a development server.

    Args:
        name: its name.
        line: the command.
        origin: where it was found.
        directory: the folder to run in.
        port: the port that its file fixes, which it does not keep if another can be given; 0 for any, None for none.
        had_port: the port that it does not keep, where that is not in `line`.
        kept: why it has to keep a fixed port.
        notes: what to know of it.
        more: what else it has.
    """
    folder = folder_arg(directory)
    if port is None:
        args: JsonObject = {"command": template_free(line.strip()), "shell": True, **folder}
        return FoundService(name, "command", args, origin, notes=(*notes, *address_notes(line)), **more)
    free = "" if kept or not port else with_own_port(line, port)
    line = template_free((free or line).strip())
    args = {**folder, "command": line if free or kept else with_port_option(line)}
    if free:
        had_port = port
    elif port:
        args["port"] = port
        notes = (*notes, *((kept,) if kept else port_notes(line, port)))
    env: dict[str, str] = more.pop("env", {})
    if (said := env.get("PORT", "")).isdecimal() and not args.get("port"):
        env, had_port = {**env, "PORT": "{port}"}, had_port or int(said)
    if had_port:
        notes = (*notes, own_port_note(had_port))
    return FoundService(name, "dev-server", args, origin, env=env, served_at=had_port, notes=tuple(notes), **more)


def job(name: str, line: str, origin: str, *, directory: str = "", **more: Any) -> FoundService:
    """Return a service that does its work and ends."""
    args: JsonObject = {"command": template_free(line.strip()), "shell": True, **folder_arg(directory)}
    return FoundService(name, "job", args, origin, **more)


def missing_needs(name: str, needs: Iterable[str], known: Collection[str]) -> tuple[str, ...]:
    """Return a note for each service that `name` needs and that the file does not have."""
    return tuple(f"{name!r} needs {need!r}, which is not in this file" for need in needs if need not in known)


def objects(value: JsonValue) -> dict[str, JsonObject]:
    """Return the objects among the values of an object, by key."""
    return {str(key): item for key, item in as_object(value).items() if isinstance(item, dict)}


def command_line(words: JsonValue) -> str:
    """Return a command given as text or as a list of words, as a line for the shell."""
    return shlex.join(map(str, as_list(words))) if isinstance(words, list) else str(words or "")


def variables(value: JsonValue) -> dict[str, str]:
    """Return environment variables given as an object or as a list of `NAME=value`; others are left."""
    pairs = dict(str(item).split("=", 1) for item in as_list(value) if "=" in str(item)) | as_object(value)
    return {
        str(name): template_free(str(item).lower() if isinstance(item, bool) else str(item))
        for name, item in pairs.items()
        if item is not None and VARIABLE.fullmatch(str(name))
    }


class _Loader(yaml.SafeLoader):
    """Reads what PyYAML refuses: an anchor that is set again, and tags, such as Compose's `!reset` and `!override`."""

    keeps_tags = False

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Let an anchor stand for the last node that has it."""
        event = cast("Any", self).peek_event()
        if isinstance(event, yaml.NodeEvent) and not isinstance(event, yaml.AliasEvent):
            self.anchors.pop(cast("Any", event).anchor, None)
        return super().compose_node(parent, index)

    def construct_tagged(self, node: Any) -> Any:
        """Return what a node with a tag would be without it, nothing where that says so."""
        if node.tag == RESET:
            return {RESET: None} if self.keeps_tags else None
        if node.tag == OVERRIDE and self.keeps_tags:
            return {OVERRIDE: self.construct_untagged(node)}
        return self.construct_untagged(node)

    def construct_untagged(self, node: Any) -> Any:
        """Return what a node would be without its tag."""
        if isinstance(node, yaml.MappingNode):
            return self.construct_mapping(node, deep=True)
        if isinstance(node, yaml.SequenceNode):
            return self.construct_sequence(node, deep=True)
        reader = cast("Any", self)
        kind = reader.resolve(yaml.ScalarNode, node.value, (node.style is None, False))
        return reader.construct_object(yaml.ScalarNode(kind, node.value))


_Loader.add_constructor(None, _Loader.construct_tagged)


class _TaggedLoader(_Loader):
    keeps_tags = True


def read_yaml(text: str, *, tagged: bool = False) -> JsonObject:
    """Return YAML as people's other tools read it (merge keys and anchors included).

    Args:
        text: the file.
        tagged: what has the tag `!override` or `!reset` becomes an object with that as its only key.

    Raises:
        UnreadableSourceError: it is not YAML, or no mapping.
    """
    try:
        value: Any = _json_or_yaml(text, _TaggedLoader if tagged else _Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}: " if mark is not None else ""
        raise UnreadableSourceError(f"{place}{getattr(error, 'problem', None) or 'it is not YAML'}") from None
    except ValueError as error:  # a number or a date that is none, as 2024-13-45
        raise UnreadableSourceError(f"it has a value that cannot be read: {error}") from None
    except RecursionError:
        raise UnreadableSourceError("it is nested too deeply") from None
    if not isinstance(value, dict):
        raise UnreadableSourceError("it is not a mapping")
    return as_object(value)


def _json_or_yaml(text: str, loading: type[_Loader]) -> Any:
    """Read text that may be either: PyYAML takes a JSON text's surrogate pairs for two characters."""
    if text.lstrip().startswith("{"):
        with suppress(ValueError):
            return parse_json(text)
    loader = cast("Any", loading(text))
    node = loader.get_single_node()
    return None if node is None else loader.construct_object(node, deep=True)  # which refuses what holds itself


def key_lines(text: str, parent: str) -> dict[str, int]:
    """Return the 1-based lines of the keys of the mapping under the top-level key `parent`."""
    try:
        root = _Loader(text).get_single_node()
    except yaml.YAMLError:  # JSON that is not YAML
        return {}
    if not isinstance(root, yaml.MappingNode):
        return {}
    for key, value in root.value:
        if key.value == parent and isinstance(value, yaml.MappingNode):
            return {child.value: child.start_mark.line + 1 for child, _ in value.value}
    return {}
