"""Downstream servers as values: one entry of an `mcp.json` and what Ostler adds to it.

Text becomes these models in `ostler.adapters.config.mcp_json`, which expands variables and turns every problem into
a finding with its line.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Annotated, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from ostler.model.durations import Duration
from ostler.model.json import JsonObject

MASK = "***"
"""What stands in place of a secret."""

MIN_SECRET_LENGTH = 6
"""Shorter values (`1`, `true`, `debug`) are not searched for in texts: masking them would blacken harmless words."""

ServerTransport = Literal["stdio", "http", "sse", "builtin"]
"""How a server is reached. `http` is streamable HTTP; `builtin` runs inside Ostler."""


class _Model(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, validate_default=False
    )


class ServerOptions(_Model):
    """Ostler's own settings of a server, written under `"ostler": {…}` in its entry.

    Attributes:
        auto_start: connect when Ostler starts.
        timeout: seconds a tool call may take when the caller sets no time.
        connect_timeout: seconds until a connection attempt (spawn, handshake, tools list) is given up.
        concurrency: how many calls may be under way at once.
        allow_tools: globs of the tools that may be called; None means all.
        deny_tools: globs of the tools that may not be called; wins over `allow_tools`.
        inherit_env: names of environment variables handed to a stdio server beside the usual safe ones; True for all.
        max_response_bytes: the largest answer that is kept.
    """

    auto_start: bool = True
    timeout: Annotated[Duration, Field(gt=0)] = 60.0
    connect_timeout: Annotated[Duration, Field(gt=0)] = 30.0
    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 16
    allow_tools: tuple[str, ...] | None = None
    deny_tools: tuple[str, ...] = ()
    inherit_env: bool | tuple[str, ...] = ()
    max_response_bytes: Annotated[int, Field(ge=1024)] = 4 * 1024 * 1024

    def permits(self, tool: str) -> bool:
        """Whether the policy lets `tool` (without its server's name) be called."""
        if _matches(tool, self.deny_tools):
            return False
        return self.allow_tools is None or _matches(tool, self.allow_tools)


class ServerEntry(_Model):
    """One downstream server, complete: variables expanded, transport decided.

    Attributes:
        name: what its tools are called by (`name/tool`) and its name in the registry.
        transport: how it is reached.
        command: the program to run (stdio).
        args: its arguments (stdio).
        env: environment variables set for it (stdio); values are secrets.
        cwd: the folder it runs in (stdio); None means Ostler's own.
        url: the endpoint (http, sse).
        headers: HTTP headers sent with every request; values are secrets.
        disabled: the entry is kept but the server is not to be connected.
        options: Ostler's own settings.
        secret_parts: values of variables with secret-looking names that were expanded into command, args, cwd or url.
    """

    name: str
    transport: ServerTransport
    command: str = ""
    args: tuple[str, ...] = ()
    env: dict[str, str] = Field(default_factory=dict)
    cwd: str | None = None
    url: str = ""
    headers: dict[str, str] = Field(default_factory=dict)
    disabled: bool = False
    options: ServerOptions = Field(default_factory=ServerOptions)
    secret_parts: tuple[str, ...] = Field(default=(), repr=False)

    def __repr__(self) -> str:
        return f"ServerEntry({self.name!r}, {self.transport!r})"

    __str__ = __repr__

    def secret_strings(self) -> tuple[str, ...]:
        """Return the texts that must never be shown, longest first.

        Environment and header values (for `Bearer x` also `x` alone), the URL's password and query values, and
        secret-looking variables expanded elsewhere; values below `MIN_SECRET_LENGTH` characters are left out.
        """
        found = {*self.env.values(), *self.headers.values(), *self.secret_parts, *_url_secrets(self.url)}
        for value in self.headers.values():
            scheme, _, credentials = value.partition(" ")
            if credentials and scheme.isalpha():
                found.add(credentials.strip())
        return tuple(sorted((text for text in found if len(text) >= MIN_SECRET_LENGTH), key=len, reverse=True))

    def mask_text(self, text: str) -> str:
        """Return `text` with every secret of this entry replaced by `***`."""
        for secret in self.secret_strings():
            text = text.replace(secret, MASK)
        return text

    def masked(self) -> JsonObject:
        """Return the entry in mcp.json's form with every secret replaced by `***`."""
        shown: JsonObject = {"type": self.transport}
        if self.command:
            shown["command"] = self._mask(self.command)
            shown["args"] = [self._mask(arg) for arg in self.args]
        if self.cwd is not None:
            shown["cwd"] = self._mask(self.cwd)
        if self.url:
            shown["url"] = self._mask(self.url, also=_url_secrets(self.url))
        for key, values in (("env", self.env), ("headers", self.headers)):
            if values:
                shown[key] = dict.fromkeys(values, MASK)
        if self.disabled:
            shown["disabled"] = True
        options = self.options.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        if options:
            shown["ostler"] = options
        return shown

    def same_connection(self, other: "ServerEntry") -> bool:
        """Whether `other` is reached in the same way, so that only limits and policy differ, if anything does."""
        return _connection_facts(self) == _connection_facts(other)

    def _mask(self, text: str, *, also: Iterable[str] = ()) -> str:
        # In the entry itself short values are masked too: what they stand for is known here.
        for secret in sorted({*self.secret_strings(), *self.secret_parts, *also}, key=len, reverse=True):
            if secret:
                text = text.replace(secret, MASK)
        return text


def _connection_facts(entry: ServerEntry) -> tuple[object, ...]:
    return (
        entry.transport, entry.command, entry.args, entry.env, entry.cwd, entry.url, entry.headers,
        entry.options.inherit_env, entry.options.max_response_bytes,
    )  # fmt: skip


def _matches(tool: str, globs: Iterable[str]) -> bool:
    return any(fnmatchcase(tool, glob) for glob in globs)


def _url_secrets(url: str) -> set[str]:
    if not url:
        return set()
    try:
        parts = urlsplit(url)
        secrets = {value for _, value in parse_qsl(parts.query)}
        secrets |= {pair.partition("=")[2] for pair in parts.query.split("&")} - {""}  # as written, percent-encoded
        if parts.password:
            secrets.add(parts.password)
    except ValueError:  # not a URL at all; the loader has reported it
        return set()
    return secrets
