"""The entries of one file: from its client's keys to Ostler's own, their variables expanded, and checked."""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import cast

from msgspec.structs import replace
from pydantic import ValidationError

from ostler.adapters.config.dialects.client_texts import Source, said_in
from ostler.adapters.config.dialects.draft import Draft
from ostler.adapters.config.dialects.entry_places import (
    DEV_CONTAINER,
    PLACES,
    Found,
    at,
    describes_one,
    entries_in,
    places_in,
)
from ostler.adapters.config.dialects.file_limits import FileLimits, limits_in, limits_of_all
from ostler.adapters.config.dialects.layers import Layers
from ostler.adapters.config.dialects.manifests import is_gateway, other_file
from ostler.adapters.config.dialects.names import server_names
from ostler.adapters.config.dialects.questions import questions_in
from ostler.adapters.config.dialects.times import times_of_file
from ostler.adapters.config.dialects.translation import translate, writers
from ostler.adapters.config.dialects.variables import Resolved, Surroundings, expand
from ostler.adapters.config.dialects.windows import without_windows_shell
from ostler.adapters.config.entry_values import EntryValues
from ostler.adapters.config.mcp_content import BUILTIN_NAMES, RESERVED_NAME, SERVER_KEYS, McpJson
from ostler.model.errors import Finding
from ostler.model.json import JsonObject, JsonValue, KeyPath, as_list, as_object
from ostler.model.near_names import did_you_mean
from ostler.model.servers import OPTION_NAMES, ServerEntry, ServerOptions, ServerTransport


class _BrokenEntryError(Exception):
    """The entry cannot be used; its findings are recorded."""


class EntryLoader:
    """Reads the entries of one file.

    Args:
        source: the file.
        around: where it stands.
        clients: whose file it is, by id.
        beside: the client's other files that limit these servers.
        plugin: the name of the plugin of Claude Code that the file is part of, by which settings call its servers
            `plugin:PLUGIN:SERVER`, or by their own names if the file is also that of a project; empty if it is part of
            none.
        layers: the client's other files that have entries of the same servers.
    """

    def __init__(
        self,
        source: Source,
        around: Surroundings,
        clients: frozenset[str],
        beside: Sequence[Source],
        plugin: str,
        *,
        layers: Layers | None = None,
    ) -> None:
        self._source = source
        self._around = around
        self._clients = clients
        self._beside = beside
        self._plugin = plugin
        self._layers = layers or Layers()
        self._findings: list[Finding] = []
        self._times: Mapping[str, str] = {}

    def load(self, project: str = "") -> McpJson:
        """Return the servers that the file has for all projects, or those for one project only."""
        for path in self._source.duplicates:
            self._find(path, f"the key {path[-1]!r} is written twice; the last one counts", "duplicate-key")
        root = self._root()
        found = [] if root is None else list(entries_in(root, self._clients))
        projects = [one for one in found if one.project]
        if project:
            found = [one for one in found if one.project == project]
        elif projects and len(projects) < len(found):
            message = "the servers of single projects are not read from here"
            fix = "'ostler servers import' takes them"
            self._find(("projects",), message, "projects", fix=fix, severity="warning")
            found = [one for one in found if not one.project]
        self._around = replace(self._around, questions=questions_in(root or {}))
        own = [said_in(self._source)] if root is not None and not describes_one(root) else []
        of_project = [as_object(at(one, ("projects", project))) for one in own if project]
        beside = [said_in(one) for one in self._beside]
        limits = limits_of_all([*own, *of_project, *beside], self._clients).filled(self._filled_rule)
        every = (*beside, *own)  # a project's own file counts before the user's
        self._times = {option: time for one in every for option, time in times_of_file(one, self._clients)}
        names = server_names(one.name for one in found)
        entries: dict[str, ServerEntry] = {}
        refused: dict[str, tuple[Finding, ...]] = {}
        noted: dict[str, tuple[Finding, ...]] = {}
        drafts: dict[str, JsonObject] = {}
        for one in found:
            name = names[one.name]
            if name in entries or name in refused:
                message = f"the server {one.name!r} is defined twice; the first one counts"
                self._find(one.path, message, "duplicate")
                continue
            before = len(self._findings)
            try:
                entry = self._entry(name, one, limits, drafts)
            except _BrokenEntryError:
                entry = None
            errors = tuple(finding for finding in self._findings[before:] if finding.severity == "error")
            if entry is None or errors:
                refused[name] = errors
            else:
                entries[name] = entry
                noted[name] = tuple(self._findings[before:])
        findings = tuple(sorted(self._findings, key=lambda finding: (finding.line, finding.column)))
        written = {names[one.name]: one.name for one in found if names[one.name] != one.name}
        return McpJson(entries, findings, refused, written, drafts, noted)

    def _root(self) -> JsonObject | None:
        root = _object_in(self._source.value)
        if root is None:
            self._find((), "the file must hold an object with 'mcpServers'", "not-an-object")
            return None
        places = places_in(root)
        for path in places:
            value = at(root, path)
            if not isinstance(value, dict | list):
                message = f"{'.'.join(map(str, path))!r} must be an object of servers by name"
                is_file = isinstance(value, str) and value.endswith(".json")
                fix = f"'ostler servers import --from' reads {value!r}, which has them" if is_file else ""
                self._find(path, message, "not-an-object", fix=fix)
        # with null in the place there are no servers yet
        has_place = not is_gateway(root) and any(path[-1] in as_object(at(root, path[:-1])) for path, _ in PLACES)
        if root and not has_place and "projects" not in root and not any(entries_in(root, self._clients)):
            message, hint = other_file(root, self._source.file)
            if not message:
                message = "there is no 'mcpServers' (or 'servers') in the file"
                close = get_close_matches(SERVER_KEYS[0], [str(key) for key in root], n=1, cutoff=0.7)
                hint = f"rename {close[0]!r} to 'mcpServers'" if close else "put the servers under 'mcpServers'"
            self._find((), message, "no-servers", fix=hint)
        return root

    def _entry(self, name: str, found: Found, limits: FileLimits, drafts: dict[str, JsonObject]) -> ServerEntry:
        self._check_name(name, found)
        effective, changed = self._layers.entry(found, self._clients)
        for source in changed:
            message = f"what {source.file} says of {found.name!r} counts, too"
            self._find(found.path, message, "layer", fix="change it there", severity="warning")
        raw = _object_in(effective)
        if raw is None:
            self._find(found.path, f"server {found.name!r} must be an object", "not-an-object")
            raise _BrokenEntryError
        owners = writers(raw, found.clients)
        draft = Draft(raw, owners, _below(self._find, found.path), found.name)
        before = len(self._findings)
        translate(draft)
        for option, time in self._times.items():
            draft.set_option(option, time, ("ostler", option))
        if found.path[:-1] == DEV_CONTAINER and "command" in draft.entry:
            message = f"VS Code starts the program of {found.name!r} inside the container, which Ostler cannot do"
            fix = "write the entry into .vscode/mcp.json if the program may run where Ostler does"
            self._find(found.path, message, "limit", fix=fix)
        self._obey(limits, found, draft, owners)
        without_windows_shell(draft)
        entry = drafts[name] = draft.finish()
        refused = any(finding.severity == "error" for finding in self._findings[before:])
        report = _below(self._find, found.path, draft.origins)
        values = EntryValues(entry, self._around, owners, report)
        disabled = entry.get("disabled") is True
        transport = self._transport(name, entry, found.path, disabled=disabled, refused=refused, since=before)
        return values.server(name, transport, disabled=disabled, options=self._options(entry, report))

    def _check_name(self, name: str, found: Found) -> None:
        if name == RESERVED_NAME:
            message = f"a server cannot be called {name!r}: that is Ostler itself"
            self._find(found.path, message, "reserved-name")
            raise _BrokenEntryError
        if name != found.name:
            message = f"{found.name!r} is called {name!r} here, and its tools '{name}/TOOL'"
            fix = f"write {name!r} to say so yourself"
            self._find(found.path, message, "other-name", fix=fix, severity="warning")

    def _obey(self, limits: FileLimits, found: Found, draft: Draft, owners: frozenset[str]) -> None:
        beside = [(one, limits_in(said_in(one), self._clients)) for one in self._beside] if limits.refused else []
        for refusal in limits.refused:
            reason, path = refusal
            where = ".".join(map(str, path))
            message = f"{where!r} limits the servers, so {found.name!r} is not used: {reason}"
            source = next((one for one, its in beside if refusal in its.refused), None)
            self._find(
                path, message, "limit", fix="remove it if the servers may be used without that limit", source=source
            )
        entry = {
            key: self._filled(value, owners) for key, value in draft.entry.items() if key in ("command", "args", "url")
        }
        plugin = found.plugin or self._plugin
        names = (found.name, f"plugin:{plugin}:{found.name}") if plugin else (found.name,)
        if limits.switches_off(names, draft.entry, entry):
            draft.disable()
        for allowed, denied in limits.of_tools(names):
            draft.deny(denied)
            if allowed is not None:
                draft.allow_only(allowed, found.path)
        self._name_unobeyed(limits, found, names)
        if limits.waiting:
            draft.set_option("autoStart", False, found.path)
        if limits.confined and "command" in draft.entry:
            where = ".".join(map(str, limits.confined[0]))
            message = f"{where!r} confines the program of {found.name!r}, which Ostler cannot do"
            self._find(found.path, message, "limit", fix="switch it off there if the program may run unconfined")
        if path := limits.rejected_by(draft.entry) or limits.rejected_by(entry):
            message = f"a rule of {'.'.join(map(str, path))!r} rejects the server {found.name!r}"
            self._find(path, message, "limit", fix="change the rule if the server may be used")

    def _name_unobeyed(self, limits: FileLimits, found: Found, names: Sequence[str]) -> None:
        for hook in dict.fromkeys(hook.event for hook in limits.hooks if hook.is_for(names)):
            message = f"a program of the {hook!r} hooks runs before calls of {found.name!r} and may deny them, not here"
            fix = "forbid what it denies with 'denyTools' under 'ostler'"
            self._find(found.path, message, "hook", fix=fix, severity="warning")
        for name in limits.tool_settings:
            if name.startswith(tuple(f"@{one}/" for one in names)):
                message = f"what 'toolsSettings' says of {name!r} is not obeyed here"
                fix = "forbid the tool with 'denyTools' under 'ostler' if it may not be called without"
                self._find(found.path, message, "limit", fix=fix, severity="warning")

    def _filled(self, value: JsonValue, owners: frozenset[str]) -> JsonValue:
        """Return a text, or a list of texts, with its variables replaced; one that is missing is reported later."""
        if isinstance(value, list):
            return [self._filled(item, owners) for item in as_list(value)]
        return expand(value, self._around, owners, _ignored)[0] if isinstance(value, str) else value

    def _filled_rule(self, rule: str) -> str:
        """Return a rule about commands or addresses with its variables replaced; as it is when one is missing."""
        text, found = expand(rule, self._around, self._clients, _ignored)
        return rule if any(one.problem for one in found) else text

    def _transport(
        self, name: str, entry: JsonObject, path: KeyPath, *, disabled: bool, refused: bool, since: int
    ) -> ServerTransport:
        given = cast("ServerTransport | None", entry.get("type"))
        has_command, has_url = entry.get("command") is not None, entry.get("url") is not None
        if has_command and has_url:
            self._find(path, "an entry has either 'command' or 'url', not both", "command-and-url")
            raise _BrokenEntryError
        if name in BUILTIN_NAMES and (has_command or has_url):
            message = (
                f"this server replaces the built-in {name!r}, which runs the local processes of the shipped classes"
            )
            self._find(path, message, "replaces-built-in", fix="give it another name", severity="warning")
        if not has_command and not has_url:
            if name in BUILTIN_NAMES and given is None:
                return "builtin"
            if disabled:
                return given or "stdio"
            if not refused:
                unknown = [one for one in self._findings[since:] if one.rule == "unknown-key" and one.fix]
                hint = f"{unknown[0].path.rpartition('.')[2]!r}: {unknown[0].fix}" if unknown else ""
                self._find(path, f"server {name!r} needs a 'command' or a 'url'", "no-command", fix=hint)
            raise _BrokenEntryError
        kind = given or ("stdio" if has_command else _kind_of(entry["url"]))
        needed, other = ("command", "url") if kind == "stdio" else ("url", "command")
        if entry.get(needed) is None:
            self._find(path, f"type {kind!r} needs {needed!r}, but the entry has {other!r}", "wrong-type")
            raise _BrokenEntryError
        return kind

    def _options(self, entry: JsonObject, report: "_Report") -> ServerOptions:
        raw = entry.get("ostler", {})
        if not isinstance(raw, dict):
            report(("ostler",), "'ostler' must be an object", "not-an-object")
            raise _BrokenEntryError
        try:
            return ServerOptions.model_validate(raw, by_alias=True, by_name=False)
        except ValidationError as error:
            for problem in error.errors(include_url=False, include_input=False):
                at: KeyPath = ("ostler", *problem["loc"])
                if problem["type"] == "extra_forbidden":
                    key = str(problem["loc"][-1])
                    fix = did_you_mean(key, OPTION_NAMES, f"known keys: {', '.join(OPTION_NAMES)}")
                    report(at, f"unknown key {key!r} under 'ostler'", "unknown-key", fix=fix)
                else:
                    message = problem["msg"].removeprefix("Value error, ")
                    report(at, f"{problem['loc'][0]!r} is wrong: {message}", "bad-value")
            raise _BrokenEntryError from None

    def _find(
        self,
        path: KeyPath,
        message: str,
        rule: str,
        *,
        fix: str = "",
        severity: str = "error",
        source: Source | None = None,
    ) -> None:
        """Record a finding, in `source` if it is about another file."""
        source = source or self._source
        line, column = source.locate(path)
        self._findings.append(
            Finding(
                message,
                file=source.file,
                line=line,
                column=column,
                rule=rule,
                path=".".join(str(part) for part in path),
                fix=fix,
                severity=severity,
            )
        )


class _Report:
    """Reports findings about an entry at the place where the entry, as written, has what they are about."""

    def __init__(self, find: Callable[..., None], path: KeyPath, origins: Mapping[KeyPath, KeyPath]) -> None:
        self._find = find
        self._path = path
        self._origins = origins

    def __call__(self, at: KeyPath, message: str, rule: str, *, fix: str = "", severity: str = "error") -> None:
        self._find((*self._path, *self._written(at)), message, rule, fix=fix, severity=severity)

    def _written(self, at: KeyPath) -> KeyPath:
        for length in range(len(at), 0, -1):
            origin = self._origins.get(at[:length])
            if origin is not None:
                return (*origin, *at[length:])
        return at


def _below(find: Callable[..., None], path: KeyPath, origins: Mapping[KeyPath, KeyPath] | None = None) -> _Report:
    return _Report(find, path, origins or {})


def _ignored(missing: Resolved, text: str) -> None:
    del missing, text


def _kind_of(url: JsonValue) -> ServerTransport:
    """Return the transport of an address without a type: SSE if its path ends in `/sse`, as of old servers."""
    path = url.partition("?")[0].rstrip("/") if isinstance(url, str) else ""
    return "sse" if path.endswith("/sse") else "http"


def _object_in(value: JsonValue) -> JsonObject | None:
    return cast("JsonObject", value) if isinstance(value, dict) else None
