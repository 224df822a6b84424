"""The downstream servers of a configuration folder: people's `mcp.json`, and `mcp.own.json`, which clients write.

A file that a person wrote is never rewritten, so what a client adds at run time has its own file. Where both have
a name, `mcp.json` counts.
"""

import json
import os
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace as with_values  # noqa: TID251 (a dataclass)
from pathlib import Path
from typing import TypeVar

from ostler.adapters.atomic_files import replace, write_new
from ostler.adapters.config.dialects.client_texts import MAX_BYTES
from ostler.adapters.config.dialects.names import server_names
from ostler.adapters.config.jsonc import JsoncError, parse_jsonc
from ostler.adapters.config.jsonc_edit import remove_member, set_member
from ostler.adapters.config.mcp_content import BUILTIN_NAMES, McpJson
from ostler.adapters.config.mcp_json import load_mcp_json
from ostler.adapters.config.paths import Paths
from ostler.adapters.regular_files import read_regular_text
from ostler.adapters.signing_in.vault import answers_in
from ostler.model.errors import AlreadyExistsError, ConflictError, Finding, ManifestError, NotFoundError
from ostler.model.json import JsonObject, JsonValue, as_list, as_object
from ostler.model.servers import ServerEntry

ValueT = TypeVar("ValueT")

_EMPTY = '{\n  "mcpServers": {}\n}\n'


class ServerFiles:
    """Reads both files, and changes the one that is Ostler's own. Not for two threads at once."""

    def __init__(self, paths: Paths, variables: Mapping[str, str]) -> None:
        """Prepare to read the files in `paths`; `variables` are what `${VAR}` may name."""
        self._people = paths.mcp_json
        self._own = paths.own_servers
        self._variables = variables
        self._answer = answers_in(paths.answers_dir)
        self._had_folder = False

    def __repr__(self) -> str:
        return f"ServerFiles({self._people.parent})"

    def load(self) -> McpJson:
        """Read both files; what is wrong is in the findings, also if their folder has gone since the last time."""
        folder = self._people.parent
        if self._had_folder and not folder.is_dir():
            fix = "put it back; or empty mcp.json, or 'ostler stop-server'"
            gone = Finding("the folder is gone: its servers stay as they are", str(folder), rule="unreadable", fix=fix)
            return McpJson({}, (gone,))
        self._had_folder = folder.is_dir()
        people, own = self._read(self._people), self._read(self._own)
        taken = people.entries.keys() | people.refused.keys()
        hidden = [name for name in (*own.entries, *own.refused) if name in taken]
        return McpJson(
            {**_without(own.entries, taken), **people.entries},
            (*people.findings, *own.findings, *(self._hidden(name) for name in hidden)),
            {**_without(own.refused, taken), **people.refused},
            {**_without(own.written, taken), **people.written},
            {**_without(own.drafts, taken), **people.drafts},
        )

    def check(self, name: str, entry: JsonObject) -> McpJson:
        """Return what an `entry` under `name` would be read as. The findings name no file."""
        text = json.dumps({"mcpServers": {name: entry}})
        loaded = load_mcp_json(text, self._variables, file=name, answer=self._answer)
        findings = tuple(finding._replace(line=0, column=0) for finding in loaded.findings)
        return with_values(loaded, findings=findings)

    def entry(self, name: str) -> JsonObject:
        """Return the entry of a server that a client added, as it is written.

        Raises:
            NotFoundError: no file has one.
            ConflictError: it is in people's file.
        """
        drafts = self._read(self._own).drafts
        if name not in drafts:
            people = self._read(self._people)
            if name in people.entries or name in people.refused:
                raise ConflictError(
                    f"MCP server {name!r} is in {self._people}, which a person wrote and Ostler does not change",
                    next_actions=(f"edit {self._people}: a change is in force at once",),
                )
            if name in BUILTIN_NAMES:
                raise ConflictError(
                    f"MCP server {name!r} is part of Ostler and has no entry to change",
                    next_actions=("mcpserver_list shows which others there are",),
                )
            raise NotFoundError("MCP server", name, known=sorted(drafts), next_actions=("mcpserver_list shows them",))
        return drafts[name]

    def add(self, name: str, entry: JsonObject) -> ServerEntry:
        """Write a new entry.

        Raises:
            AlreadyExistsError: a file has one of that name.
            ManifestError: the entry is wrong, or Ostler's own file is.
            StoreError: it cannot be written.
        """
        present = self.load()
        if name in present.entries or name in present.refused or name in BUILTIN_NAMES:
            raise AlreadyExistsError(
                f"MCP server {name!r} already exists",
                next_actions=(f"mcpserver_get {name} shows it", "mcpserver_update changes one that a client added"),
            )
        return self._write(name, entry)

    def change(self, name: str, changes: JsonObject) -> ServerEntry:
        """Replace keys in the entry of a server that a client added. Raises as `entry` and `add` do."""
        return self._write(name, _changed(self.entry(name), changes))

    def remove(self, name: str) -> None:
        """Remove the entry of a server that a client added. Raises as `entry` and `add` do."""
        self.entry(name)
        try:
            replace(self._own, remove_member(self._text(), ("mcpServers", name)))
        except (JsoncError, OSError, ValueError) as error:
            raise self._broken(error) from error

    def _write(self, name: str, entry: JsonObject) -> ServerEntry:
        if name != server_names([name])[name]:
            fix = f"for example {server_names([name])[name]!r}"
            message = "a server's name has letters, digits, '-', '_' and begins with a letter or digit"
            raise ManifestError([Finding(message, rule="name", path=name, fix=fix)], what=f"MCP server {name!r}")
        loaded = self.check(name, entry)
        if loaded.errors or name not in loaded.entries:
            raise ManifestError(loaded.errors, what=f"the entry of MCP server {name!r}")
        try:
            text = with_entries(self._text(), {name: entry})
        except (JsoncError, OSError, ValueError) as error:
            raise self._broken(error) from error
        if self._own.exists():
            replace(self._own, text)
        else:
            write_new(self._own, text)
        return loaded.entries[name]

    def _read(self, path: Path) -> McpJson:
        return load_mcp_json(path, self._variables, answer=self._answer) if os.path.lexists(path) else McpJson()

    def _text(self) -> str:
        return read_regular_text(self._own, MAX_BYTES) if self._own.exists() else _EMPTY

    def _broken(self, error: Exception) -> ManifestError:
        fix = "correct it, or remove it"
        return ManifestError([Finding(f"it cannot be read: {error}", file=str(self._own), fix=fix)], what="the file")

    def _hidden(self, name: str) -> Finding:
        message = f"server {name!r} is in {self._people.name} as well, which counts"
        fix = f"remove it from {self._own.name}"
        return Finding(message, file=str(self._own), rule="duplicate", path=name, fix=fix, severity="warning")


def _without(values: Mapping[str, ValueT], names: AbstractSet[str]) -> dict[str, ValueT]:
    return {name: value for name, value in values.items() if name not in names}


def _changed(before: JsonObject, changes: JsonObject) -> JsonObject:
    """Return an entry with `changes`; a program replaces an address with its headers, and vice versa."""
    other = ("url", "headers", "type") if "command" in changes else ("command", "args", "env", "cwd", "type")
    dropped = other if changes.keys() & {"command", "url"} else ()
    kept = {key: value for key, value in before.items() if key not in dropped}
    options = {**kept.get("ostler", {}), **changes.get("ostler", {})}
    return {**kept, **changes, **({"ostler": options} if options else {})}


def with_entries(text: str, entries: Mapping[str, JsonValue], questions: Iterable[JsonObject] = ()) -> str:
    """Return the text of an `mcp.json` with `entries` added; the rest stays as it is written.

    Args:
        text: the text.
        entries: by name.
        questions: what the entries ask a person; one that the text asks already stays as it is.

    Raises:
        JsoncError: the text is not JSON.
        ValueError: its `mcpServers` is not an object.
    """
    for name, entry in entries.items():
        text = set_member(text, ("mcpServers", name), entry)
    known = as_list(as_object(parse_jsonc(text).value).get("inputs"))
    ids = {as_object(one).get("id") for one in known}
    new = {str(one["id"]): one for one in questions if one["id"] not in ids}
    return set_member(text, ("inputs",), [*known, *new.values()]) if new else text
