"""Entries of other clients' files as they would be in Ostler's own `mcp.json`."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace  # noqa: TID251 (a dataclass)
from pathlib import Path
from typing import Final, cast

from msgspec import Struct

from ostler.adapters.config.client_files import LayerFiles, VariableFiles
from ostler.adapters.config.client_variables import ClientVariable, variables_of
from ostler.adapters.config.dialects.client_texts import Source, SourceError, read_source
from ostler.adapters.config.dialects.clients import ANY
from ostler.adapters.config.dialects.entry_places import places_in
from ostler.adapters.config.dialects.layers import Layers
from ostler.adapters.config.dialects.questions import Question, questions_in
from ostler.adapters.config.dialects.variables import Surroundings, portable
from ostler.adapters.config.dialects.windows import path_below
from ostler.adapters.config.entry_values import with_whole_path
from ostler.adapters.config.extensions import as_set_up, is_forbidden
from ostler.adapters.config.mcp_content import RESERVED_NAME, McpJson
from ostler.adapters.config.mcp_json import load_mcp_json, plugin_of
from ostler.adapters.config.project_trust import DECISIONS, ProjectServer, why_off
from ostler.adapters.projects.folders import find_checkout
from ostler.model.errors import Finding
from ostler.model.json import JsonObject, JsonValue, as_list, as_object, as_objects, as_texts

_PATHS: Final = ("cwd", "envFile")
_FROM_FILE: Final = frozenset({"mcporter", "mcpb"})
"""Clients whose relative folders begin at the folder of the file."""
_ADDED: Final = ("cwd", "disabled")
"""What an import may add to an entry."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An entry that may be imported.

    Attributes:
        name: the name that its server would have.
        source: the file that it is in.
        client: whose file that is, for people.
        project: the project that it is for; empty for none.
        entry: the entry in Ostler's own keys, variables as they are written.
        shown: the same with secrets masked; empty when it is refused.
        findings: what is worth knowing about it; an error refuses it.
        questions: those of the file that it asks, as VS Code writes them.
    """

    name: str
    source: Path
    client: str
    project: str
    entry: JsonObject = field(repr=False)
    shown: JsonObject
    findings: tuple[Finding, ...]
    questions: tuple[JsonObject, ...] = ()

    @property
    def is_refused(self) -> bool:
        """Whether it cannot be imported as it is."""
        return any(finding.severity == "error" for finding in self.findings)


def candidates_in(
    path: Path,
    environment: Mapping[str, str],
    *,
    client: str = "",
    label: str = "",
    workspace: Path | None = None,
    answer: Callable[[str], str | None] | None = None,
    limiting: Callable[[Path | None], Iterable[Path]] | None = None,
    layers: Callable[[Path | None], LayerFiles] | None = None,
    variables: Callable[[Path | None], VariableFiles] | None = None,
) -> tuple[list[Candidate], list[Finding]]:
    """Return the entries of a client's file, and what is wrong with the file itself.

    Args:
        path: the file.
        environment: the variables that it may name.
        client: whose file it is, by id; empty when that is not known.
        label: the client's name for people.
        workspace: the project that the file belongs to.
        answer: returns what a person answered to a question of the file.
        limiting: returns the client's other files that limit the servers of all or of one project; while one cannot be
            read, no entry is returned.
        layers: alike, the client's other files with entries of the same servers.
        variables: alike, where the client sets variables before it reads them.
    """
    try:
        source = as_set_up(path, read_source(path))
    except SourceError as error:
        return [], [error.finding]
    clients = frozenset({client}) if client else ANY
    file = _ClientFile(
        path, source, environment, clients, label or client or "a client", answer, limiting, layers, variables
    )
    root = as_object(source.value)
    workspace = workspace or _folder_opened_by(path, root)
    projects, has_others = _projects(root)
    found: list[Candidate] = []
    try:
        loaded = file.load("", workspace)
        if has_others:
            found += file.candidates(loaded, "", workspace)
        of_entries = {finding for candidate in found for finding in candidate.findings}
        rest = [
            one for one in loaded.findings if one not in of_entries and one.rule not in ("projects", "reserved-name")
        ]
        for project in projects:
            found += file.candidates(file.load(project, Path(project)), project, Path(project))
    except SourceError as error:
        return [], [error.finding._replace(message=f"{error.finding.message}; it limits the servers in {path}")]
    return found, rest


class _ClientFile(Struct, frozen=True):
    """A client's file, with what its entries are read by; see `candidates_in`.

    Attributes:
        source: what is in it.
        clients: whose file it may be, by id.
        limiters: the files that limit its servers, as far as they have been read.
    """

    path: Path
    source: Source
    environment: Mapping[str, str]
    clients: frozenset[str]
    label: str
    answer: Callable[[str], str | None] | None
    limiting: Callable[[Path | None], Iterable[Path]] | None
    layers: Callable[[Path | None], LayerFiles] | None
    variables: Callable[[Path | None], VariableFiles] | None
    limiters: dict[Path, Source] = {}

    def load(self, project: str, workspace: Path | None) -> McpJson:
        """Return the servers that the file has for `project`, or for no single project if that is empty.

        Raises:
            SourceError: a file that limits them cannot be read.
        """
        files = LayerFiles() if self.layers is None else self.layers(Path(project) if project else None)
        below, above = (tuple(map(self._read, paths)) for paths in (files.below, files.above))
        return load_mcp_json(
            self.source,
            {**self.environment, **{name: one.value for name, one in self._variables(workspace).items()}},
            folder=self.path.parent,
            clients=self.clients,
            workspace=workspace,
            project=project,
            answer=self.answer,
            beside=[one for one in self._beside(workspace) if Path(one.file).name not in DECISIONS],
            layers=Layers(below, above, files.merges),
        )

    def _beside(self, workspace: Path | None) -> list[Source]:
        others = self.limiting(workspace) if self.limiting else ()
        return [limits for other in others for limits in self._limits_from(other, workspace)]

    def _variables(self, workspace: Path | None) -> dict[str, ClientVariable]:
        """Return the variables that the client sets before it reads the servers of a project, or of all."""
        where = VariableFiles() if self.variables is None else self.variables(workspace)
        settings = [self.source, *self._beside(workspace)] if where.places.settings else []
        settings.sort(key=lambda one: "managed-settings" in one.file)  # what an administrator sets counts most
        return variables_of(where, settings, self.environment)

    def _off(self, name: str, workspace: Path | None) -> Finding | None:
        """Return a finding if the client has not been allowed to start a server of a project's file."""
        if workspace is None or plugin_of(self.path.parent) is not None:
            return None
        entry = as_object(as_object(as_object(self.source.value).get("mcpServers")).get(name))
        own = {one: variable.value for one, variable in self._variables(workspace).items()}
        server = ProjectServer(self.path, workspace, self.clients, name, entry, {**self.environment, **own})
        if not (reason := why_off(server, self._beside(workspace))):
            return None
        message = f"{name!r} is off here, too: {reason}"
        fix = "allow it there, or remove 'disabled' from the imported entry if it may be started"
        return Finding(message, file=str(self.path), rule="not-allowed", fix=fix, severity="warning")

    def _read(self, other: Path) -> Source:
        if other not in self.limiters:
            self.limiters[other] = read_source(other)
        source = self.limiters[other]
        if source.value not in (None, as_object(source.value)):
            raise SourceError(Finding("the file must hold an object", file=str(other), line=1, rule="not-an-object"))
        return source

    def _limits_from(self, other: Path, workspace: Path | None) -> Iterator[Source]:
        source = self._read(other)
        said = as_object(source.value)
        is_extension = self.path.name.endswith("-extension.json")
        if other.name != "extension-enablement.json":
            off: JsonObject = {"allowedMcpServers": []} if is_extension and is_forbidden(said, self.path.parent) else {}
            yield replace(source, value={**_limits_of(other, said), **off})
            projects = as_object(said.get("projects"))
            yield from (replace(source, value=as_object(projects.get(key))) for key in _keys_of(workspace))
            return
        # Gemini CLI: {"name": {"overrides": ["!/home/ada/*"]}}, with the name that the extension itself says
        name = str(as_object(self.source.value).get("name"))
        own = as_object(said.get(name))
        rules = as_texts(own.get("overrides"))
        if said.get(name, own) != own or own.get("overrides", rules) != rules:
            line, column = source.locate((name,))
            message = f"what it says of the extension {name!r} is not an object with the list 'overrides'"
            fix = f"gemini extensions disable or enable {name} writes it again"
            raise SourceError(Finding(message, file=str(other), line=line, column=column, rule="limit", fix=fix))
        place = workspace or Surroundings(self.environment).home or "/"
        is_off = is_extension and not _is_enabled(rules, str(place))
        yield replace(source, value={"allowedMcpServers": []} if is_off else {})

    def candidates(self, loaded: McpJson, project: str, workspace: Path | None) -> Iterator[Candidate]:
        """Yield what `load` found, without Ostler's own servers."""
        folder, questions = self.path.parent, questions_in(as_object(self.source.value))
        own = self._variables(workspace)
        around = Surroundings(self.environment, folder, workspace, plugin_of(folder), questions,
                              clients_own={name: one.value for name, one in own.items()})  # fmt: skip
        for name in (*loaded.entries, *loaded.refused):
            entry = loaded.entries.get(name)
            if name == RESERVED_NAME or (entry is not None and entry.transport == "builtin"):
                continue
            used = list[str]()
            made = _portable(loaded.drafts.get(name, {}), around, self.clients, used.append)
            noted = (*loaded.noted.get(name, ()), *(_given(one, own[one]) for one in dict.fromkeys(used)))
            if (
                entry is not None
                and not entry.disabled
                and (off := self._off(loaded.written.get(name, name), workspace))
            ):
                made["disabled"], noted = True, (*noted, off)
            if entry is not None and (elsewhere := _relative_folder(loaded.drafts[name], around, self)):
                noted = (*noted, elsewhere)
            shown = {} if entry is None else {**entry.masked(), **{key: made[key] for key in _ADDED if key in made}}
            yield Candidate(
                name=name,
                source=self.path,
                client=self.label,
                project=project or (str(workspace) if workspace else ""),
                entry=made,
                shown=shown,
                findings=loaded.refused.get(name) or noted,
                questions=tuple(_written(one) for one in questions.values() if f"${{input:{one.id}}}" in str(made)),
            )


def _folder_opened_by(path: Path, root: JsonObject) -> Path | None:
    """Return the folder that VS Code opens by a workspace file, unless these are several, or as a dev container."""
    if path.name == ".devcontainer.json":
        return path.parent
    if path.name == "devcontainer.json":
        return next((folder.parent for folder in path.parents if folder.name == ".devcontainer"), None)
    folders = as_objects(root.get("folders")) if path.suffix == ".code-workspace" else []
    opened = folders[0].get("path") if len(folders) == 1 else None
    return (path.parent / opened).resolve() if isinstance(opened, str) else None


def _keys_of(workspace: Path | None) -> list[str]:
    """Return what Claude Code calls a project: its folder, or that of the main checkout of its repository."""
    if workspace is None:
        return []
    checkout = find_checkout(workspace)
    folders = [workspace] if checkout is None else [workspace, checkout.root, checkout.main]
    return list(dict.fromkeys(map(str, folders)))


def _limits_of(path: Path, root: JsonObject) -> JsonObject:
    """Return what a file that limits another one's servers says of them, but not what it says of single projects."""
    match path.name:
        case "mcp-server-enablement.json":  # Gemini CLI: {"name": {"enabled": false}}
            states = {name: as_object(state) for name, state in root.items()}
            off = [name for name, state in states.items() if state.get("enabled", state == root[name]) is not True]
            return {"disabledMcpServers": off}
        case "managed-mcp.json":  # Claude Code then has these servers alone
            return {"allowedMcpServers": []}
        case "requirements.toml" if "mcp_servers" in root:  # Codex then has servers that are as they say alone
            return {**root, "requiredMcpServers": as_object(root["mcp_servers"])}
        case _:
            return {key: value for key, value in root.items() if key not in ("mcpServers", "projects")}


def _is_enabled(rules: Sequence[str], folder: str) -> bool:
    """Whether an extension of Gemini CLI is enabled in a folder: the last rule that matches it counts."""
    path, is_enabled = folder.replace("\\", "/").strip("/"), True
    for rule in rules:
        pattern = re.sub(r"(/?)\\\*", r"(\1.*)?", re.escape(rule.removeprefix("!")))
        if re.fullmatch(pattern, f"/{path}/" if path else "/"):
            is_enabled = not rule.startswith("!")
    return is_enabled


def _written(question: Question) -> JsonObject:
    shown = {"description": question.text, **({} if question.default is None else {"default": question.default})}
    return {"id": question.id, "type": "promptString", **shown}


def _given(name: str, variable: ClientVariable) -> Finding:
    message = f"{name!r} is set by the client, in this file, so the entry has its value"
    fix = f"or set {name} for Ostler, and write ${{{name}}} in the entry"
    return Finding(message, file=variable.file, rule="client-variable", fix=fix, severity="note")


def _relative_folder(draft: JsonObject, around: Surroundings, file: _ClientFile) -> Finding | None:
    """Return a finding if the client looks for the folder of a user's server where it is started, which varies."""
    cwd, base = draft.get("cwd"), around.base(file.clients)
    if not isinstance(cwd, str) or base is None or cwd[:1] in ("~", "$") or base != file.path.parent:
        return None
    whole = path_below(base, cwd)
    if (
        whole == str(Path(cwd))
        or not Path(whole).is_dir()
        or file.clients <= _FROM_FILE
        or around.workspace is not None
    ):
        return None
    message = f"the folder {cwd!r} begins where the client is started, and here in {base}"
    return Finding(message, file=str(file.path), rule="relative-folder", fix="write the whole path", severity="warning")


def _portable(
    draft: JsonObject, around: Surroundings, clients: frozenset[str], used: Callable[[str], None]
) -> JsonObject:
    """Return the entry with full paths instead of those that depend on the place of its file."""

    def made(value: JsonValue) -> JsonValue:
        match value:
            case str():
                return portable(value, around, clients, used)
            case list():
                return [made(item) for item in cast("list[JsonValue]", value)]
            case dict():
                return {key: made(item) for key, item in cast("JsonObject", value).items()}
            case _:
                return value

    entry = cast("JsonObject", made(draft))
    base = around.workspace or around.folder
    for key in _PATHS:
        value = entry.get(key)
        begin = around.base(clients) if key == "cwd" else base
        if isinstance(value, str) and begin is not None and value[:1] not in ("~", "$"):
            entry[key] = path_below(begin, value)
    if isinstance(helper := entry.get("headersHelper"), str):
        entry["headersHelper"] = with_whole_path(helper, base)
    if around.workspace is not None and "command" in entry:
        entry.setdefault("cwd", str(around.workspace))
    elif base is not None and _has_relative_path(entry):
        entry.setdefault("cwd", str(base))
    return entry


def _has_relative_path(entry: JsonObject) -> bool:
    words = [entry.get("command"), *as_list(entry.get("args"))]
    return any(isinstance(word, str) and word.startswith(("./", "../")) for word in words)


def _projects(root: JsonObject) -> tuple[list[str], bool]:
    """Return the projects that a file has servers of, and whether it may have others."""
    named = as_object(root.get("projects"))
    with_servers = [folder for folder, project in named.items() if as_object(project).get("mcpServers")]
    return with_servers, not with_servers or bool(places_in(root))
