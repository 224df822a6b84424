"""`mcp.json`: downstream servers in the `mcpServers` format that MCP clients share.

An entry can be pasted from Claude Desktop, Cursor, VS Code and others. Comments and trailing commas are accepted.
`${VAR}`, `${VAR:-default}` and `${env:VAR}` expand in command, args, env, cwd, url and headers (`$${` is a literal
`${`). One broken entry is left out, with a finding; the others load.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from pydantic import ValidationError

from ostler.adapters.config.entry_limits import ALLOW_KEYS, DENY_KEYS, is_sandbox, read_limits
from ostler.adapters.config.jsonc import JsoncDocument, JsoncError, KeyPath, parse_jsonc
from ostler.model.credentials import is_secret_name
from ostler.model.errors import Finding
from ostler.model.json import JsonObject, JsonValue
from ostler.model.servers import ServerEntry, ServerOptions, ServerTransport

SERVER_KEYS = ("mcpServers", "servers")
"""Where the entries stand: `mcpServers` (most clients) or `servers` (VS Code)."""

ENTRY_KEYS = (
    "type", "transport", "command", "args", "env", "cwd", "url", "headers", "disabled", "enabled", "ostler",
    *ALLOW_KEYS, *DENY_KEYS,
)  # fmt: skip
"""The keys of an entry that mean something to Ostler."""

TOLERATED_KEYS = frozenset({
    "alwaysAllow", "autoApprove", "autoStart", "description", "dev", "gallery", "icon", "id", "initTimeout",
    "instructions", "isActive", "name", "oauth", "timeout", "title", "trust", "version",
})  # fmt: skip
"""Keys that other clients put into entries. They say how that client treats the server, and are passed over."""

BUILTIN_NAMES = frozenset({"process"})
"""Servers inside Ostler; an entry of that name without command or url sets their options, or disables them."""

RESERVED_NAME = "ostler"
"""Ostler's own tools are called `ostler/tool`, so no server may have this name."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_VARIABLE = re.compile(r"\$(?P<escaped>\$\{)|\$\{(?P<name>[^}:]*)(?::(?P<rest>[^}]*))?\}")
_TYPES: Mapping[str, ServerTransport] = {
    "stdio": "stdio", "http": "http", "streamable-http": "http", "streamableHttp": "http", "streamable_http": "http",
    "sse": "sse",
}  # fmt: skip
_MAX_FILE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class McpJson:
    """What a file held: the entries that are good, by name, and what is wrong with the rest."""

    entries: Mapping[str, ServerEntry] = field(default_factory=dict[str, ServerEntry])
    findings: tuple[Finding, ...] = ()

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that kept something from loading."""
        return tuple(finding for finding in self.findings if finding.severity == "error")


def load_mcp_json(
    source: Path | str,
    env: Mapping[str, str],
    *,
    file: str = "",
    builtin_names: Collection[str] = BUILTIN_NAMES,
) -> McpJson:
    """Read an `mcp.json`.

    Args:
        source: a path, or the text itself.
        env: the variables that `${VAR}` may name.
        file: the file's name in findings; default: the path.
        builtin_names: servers inside Ostler that an entry may configure.
    """
    if isinstance(source, Path):
        file = file or str(source)
        try:
            if source.stat().st_size > _MAX_FILE_BYTES:
                return McpJson(findings=(Finding("the file is larger than 4 MiB", file=file, rule="too-large"),))
            text = source.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            return McpJson(findings=(Finding(f"the file cannot be read: {reason}", file=file, rule="unreadable"),))
    else:
        text = source
    if not text.strip():
        return McpJson()
    try:
        document = parse_jsonc(text, file)
    except JsoncError as error:
        return McpJson(findings=(error.finding,))
    return _Loader(document, env, file, builtin_names).load()


class _BrokenEntryError(Exception):
    """The entry cannot be used; its findings are recorded."""


class _Loader:
    def __init__(
        self, document: JsoncDocument, env: Mapping[str, str], file: str, builtin_names: Collection[str]
    ) -> None:
        self._document = document
        self._env = env
        self._file = file
        self._builtin_names = builtin_names
        self._findings: list[Finding] = []

    def load(self) -> McpJson:
        entries: dict[str, ServerEntry] = {}
        for path in self._document.duplicates:
            self._find(path, f"the key {path[-1]!r} is written twice; the last one counts", "duplicate-key")
        for name, raw, path in self._raw_entries():
            if name in entries:
                self._find(path, f"the server {name!r} is defined under both {' and '.join(SERVER_KEYS)}", "duplicate")
                continue
            before = len(self._findings)
            try:
                entry = self._entry(name, raw, path)
            except _BrokenEntryError:
                continue
            if not any(finding.severity == "error" for finding in self._findings[before:]):
                entries[name] = entry
        return McpJson(entries, tuple(sorted(self._findings, key=lambda finding: (finding.line, finding.column))))

    def _raw_entries(self) -> Iterator[tuple[str, JsonValue, KeyPath]]:
        root = _object_in(self._document.value)
        if root is None:
            self._find((), "the file must hold an object with 'mcpServers'", "not-an-object")
            return
        present = [key for key in SERVER_KEYS if key in root]
        if not present and root:
            close = get_close_matches(SERVER_KEYS[0], [str(key) for key in root], n=1, cutoff=0.7)
            hint = f"rename {close[0]!r} to 'mcpServers'" if close else "put the servers under 'mcpServers'"
            self._find((), "there is no 'mcpServers' (or 'servers') in the file", "no-servers", fix=hint)
        for key in present:
            servers = _object_in(root[key])
            if servers is None:
                self._find((key,), f"{key!r} must be an object of servers by name", "not-an-object")
                continue
            for name, raw in servers.items():
                yield name, raw, (key, name)

    def _entry(self, name: str, value: JsonValue, path: KeyPath) -> ServerEntry:
        self._check_name(name, path)
        raw = _object_in(value)
        if raw is None:
            self._find(path, f"server {name!r} must be an object", "not-an-object")
            raise _BrokenEntryError
        self._check_keys(raw, path)
        reader = _Values(self._env, lambda at, message, rule, fix: self._find((*path, *at), message, rule, fix=fix))
        limits = read_limits(raw, lambda key, message, fix: self._find((*path, key), message, "limit", fix=fix))
        disabled = limits.disabled
        transport = self._transport(name, raw, path, disabled=disabled)
        return ServerEntry(
            name=name,
            transport=transport,
            command=reader.home(reader.text(raw, "command")),
            args=reader.texts(raw, "args"),
            env=reader.mapping(raw, "env"),
            cwd=reader.home(reader.text(raw, "cwd")) or None,
            url=self._checked_url(reader.text(raw, "url"), path),
            headers=reader.mapping(raw, "headers"),
            disabled=disabled,
            options=limits.narrow(self._options(raw.get("ostler", {}), (*path, "ostler"))),
            secret_parts=tuple(sorted(reader.secret_parts)),
        )

    def _check_name(self, name: str, path: KeyPath) -> None:
        if name == RESERVED_NAME:
            self._find(path, f"a server cannot be called {name!r}: that is Ostler itself", "reserved-name")
            raise _BrokenEntryError
        if not _NAME.fullmatch(name):
            better = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._") or "server"
            self._find(
                path,
                f"{name!r} cannot be a server's name: use letters, digits, '.', '_' and '-' (at most 64)",
                "bad-name",
                fix=f"call it {better!r}",
            )
            raise _BrokenEntryError

    def _check_keys(self, raw: JsonObject, path: KeyPath) -> None:
        for key in raw:
            if key in ENTRY_KEYS or key in TOLERATED_KEYS or is_sandbox(key):
                continue
            if key == "envFile":
                message = "'envFile' is not read by Ostler; the server will miss the variables in it"
                self._find((*path, key), message, "unknown-key", fix="write them under 'env'", severity="warning")
                continue
            close = get_close_matches(key, (*ENTRY_KEYS, *ServerOptions.model_json_schema()["properties"]), n=1)
            fix = ""
            if close:
                place = "" if close[0] in ENTRY_KEYS else " under 'ostler'"
                fix = f"did you mean {close[0]!r}{place}?"
            self._find((*path, key), f"unknown key {key!r} is ignored", "unknown-key", fix=fix, severity="warning")

    def _transport(self, name: str, raw: JsonObject, path: KeyPath, *, disabled: bool) -> ServerTransport:
        given = raw.get("type", raw.get("transport"))
        kind: ServerTransport | None = None
        if given is not None:
            kind = _TYPES.get(given) if isinstance(given, str) else None
            if kind is None:
                key = "type" if "type" in raw else "transport"
                known = "'stdio', 'http' (streamable HTTP) or 'sse'"
                self._find((*path, key), f"unknown type {given!r}; it can be {known}", "unknown-type")
                raise _BrokenEntryError
        if "command" in raw and "url" in raw:
            self._find(path, "an entry has either 'command' or 'url', not both", "command-and-url")
            raise _BrokenEntryError
        if "command" not in raw and "url" not in raw:
            if name in self._builtin_names and kind is None:
                return "builtin"
            if disabled:
                return kind or "stdio"
            self._find(path, f"server {name!r} needs a 'command' or a 'url'", "no-command")
            raise _BrokenEntryError
        if kind is None:
            kind = "stdio" if "command" in raw else "http"
        needed, other = ("command", "url") if kind == "stdio" else ("url", "command")
        if needed not in raw:
            self._find(path, f"type {kind!r} needs {needed!r}, but the entry has {other!r}", "wrong-type")
            raise _BrokenEntryError
        return kind

    def _checked_url(self, url: str, path: KeyPath) -> str:
        if not url:
            return url
        try:
            parts = urlsplit(url)
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            good = False
        if not good:  # the url itself may hold a secret, so it is not quoted
            self._find((*path, "url"), "'url' must be an http:// or https:// address", "bad-url")
        return url

    def _options(self, raw: JsonValue, path: KeyPath) -> ServerOptions:
        if not isinstance(raw, dict):
            self._find(path, "'ostler' must be an object", "not-an-object")
            raise _BrokenEntryError
        try:
            return ServerOptions.model_validate(raw, by_alias=True, by_name=False)
        except ValidationError as error:
            known = list(ServerOptions.model_json_schema()["properties"])
            for problem in error.errors(include_url=False, include_input=False):
                at: KeyPath = (*path, *problem["loc"])
                if problem["type"] == "extra_forbidden":
                    key = str(problem["loc"][-1])
                    close = get_close_matches(key, known, n=1)
                    fix = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
                    self._find(at, f"unknown key {key!r} under 'ostler'", "unknown-key", fix=fix)
                else:
                    message = problem["msg"].removeprefix("Value error, ")
                    self._find(at, f"{problem['loc'][0]!r} is wrong: {message}", "bad-value")
            raise _BrokenEntryError from None

    def _find(self, path: KeyPath, message: str, rule: str, *, fix: str = "", severity: str = "error") -> None:
        line, column = self._document.locate(path)
        where = ".".join(str(part) for part in path)
        self._findings.append(
            Finding(
                message, file=self._file, line=line, column=column, rule=rule, path=where, fix=fix, severity=severity
            )
        )


def _object_in(value: JsonValue) -> JsonObject | None:
    return cast("JsonObject", value) if isinstance(value, dict) else None


class _Values:
    """Reads an entry's values: checks their types and expands variables."""

    def __init__(self, env: Mapping[str, str], find: Callable[[KeyPath, str, str, str], None]) -> None:
        self._env = env
        self._find = find
        self.secret_parts: set[str] = set()

    def text(self, raw: JsonObject, key: str) -> str:
        value = raw.get(key, "")
        if value is None:
            return ""
        if not isinstance(value, str) or (key in raw and not value.strip()):
            self._find((key,), f"{key!r} must be a text that is not empty", "bad-value", "")
            return ""
        return self._expand(value, (key,))

    def texts(self, raw: JsonObject, key: str) -> tuple[str, ...]:
        value: JsonValue = raw.get(key) or []
        if not isinstance(value, list):
            self._find((key,), f"{key!r} must be a list of texts", "bad-value", f"write [{json.dumps(value)}]")
            return ()
        items = cast("list[JsonValue]", value)
        return tuple(self._scalar(item, (key, index)) for index, item in enumerate(items))

    def mapping(self, raw: JsonObject, key: str) -> dict[str, str]:
        value = _object_in(raw.get(key) or {})
        if value is None:
            self._find((key,), f"{key!r} must be an object of texts by name", "bad-value", "")
            return {}
        return {name: self._scalar(item, (key, name)) for name, item in value.items() if item is not None}

    def home(self, path: str) -> str:
        """Return `path` with a leading `~/` replaced by the user's home."""
        home = self._env.get("HOME") or self._env.get("USERPROFILE")
        return home + path[1:] if home and (path == "~" or path.startswith("~/")) else path

    def _scalar(self, value: JsonValue, at: KeyPath) -> str:
        match value:
            case str():
                return self._expand(value, at)
            case bool():
                return "true" if value else "false"
            case int() | float():  # people write ports and levels without quotes
                return str(value)
            case _:
                self._find(at, f"{at[0]!r} holds a value that is not a text", "bad-value", "write it in double quotes")
                return ""

    def _expand(self, text: str, at: KeyPath) -> str:
        def replaced(match: re.Match[str]) -> str:
            if match["escaped"]:
                return "${"
            return self._variable(match, at)

        return _VARIABLE.sub(replaced, text)

    def _variable(self, match: re.Match[str], at: KeyPath) -> str:
        name, rest = match["name"], match["rest"]
        default = None
        if name == "input":
            message = f"{match[0]} is a prompt of VS Code, which Ostler does not have"
            self._find(at, message, "missing-variable", "use ${VAR} and set the variable in the environment")
            return ""
        if name == "env" and rest is not None and not rest.startswith("-"):
            name, _, after = rest.partition(":")
            default = after[1:] if after.startswith("-") else None
        elif rest is not None and rest.startswith("-"):
            default = rest[1:]
        elif name == "userHome":
            name = "HOME"
        value = self._env.get(name)
        if not value:
            if default is None and value is None:
                message = f"the environment variable {name!r} is not set"
                self._find(at, message, "missing-variable", f"set {name}, or write ${{{name}:-default}}")
            value = default if default is not None else (value or "")
        if value and is_secret_name(name):
            self.secret_parts.add(value)
        return value
