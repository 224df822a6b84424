"""Downstream servers as values: one entry of an `mcp.json` and what Ostler adds to it.

Text becomes these models in `ostler.adapters.config.mcp_json`, which expands variables and turns every problem into
a finding with its line.
"""

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from ostler.model.credentials import (
    is_secret_name,
    secrets_in_arguments,
    secrets_in_environment,
    secrets_in_headers,
    secrets_in_url,
)
from ostler.model.durations import Duration
from ostler.model.json import JsonObject, JsonValue, as_texts
from ostler.model.strict import StrictModel

MASK = "***"
"""What replaces a secret where it is shown."""

MIN_SECRET_LENGTH = 6
"""Shorter values (`1`, `true`, `debug`) are not searched for in texts: masking them would blacken harmless words."""

ServerTransport = Literal["stdio", "http", "sse", "builtin"]
"""How a server is reached. `http` is streamable HTTP; `builtin` runs inside Ostler."""

OVER_HTTP: Final[tuple[ServerTransport, ...]] = ("http", "sse")
"""The transports of servers that have an address, in the order in which they are tried."""

ProtocolChoice = Literal["auto", "2025", "2026"]
"""The era of MCP to speak with a server; `auto` asks for the newer one first."""

CONNECT_SECONDS = 30.0
"""Seconds that a connection attempt may take without a sign of work, unless the entry says otherwise."""


class _Model(StrictModel):
    """Code may name the keys as Python does, too."""

    model_config = ConfigDict(populate_by_name=True)


class ServerOptions(_Model):
    """Ostler's own settings of a server, written under `"ostler": {…}` in its entry.

    Attributes:
        auto_start: connect when Ostler starts.
        timeout: seconds a tool call may take when the caller sets no time.
        connect_timeout: seconds until a connection attempt (spawn, handshake, tools list) is given up. None: 30, and
            longer for a stdio server that is at work, as one that is being installed.
        protocol: which era of MCP to speak: `2025` (handshake and session), `2026` (stateless), or `auto`.
        concurrency: how many calls may be under way at once.
        write_concurrency: of them, how many calls of tools that are not annotated as read-only; None: as many.
        shared_checks: whether other servers of the same database may connect to it, too, for health checks.
        allow_tools: globs of the tools that may be called; None means all.
        deny_tools: globs of the tools that may not be called; wins over `allow_tools`.
        inherit_env: names of environment variables handed to a stdio server besides the usual safe ones; True for all.
        max_response_bytes: the largest answer that is kept.
        tool_prefix: stands for the server's name in muster's names of its tools, `x_<toolPrefix>_<tool>`.
        description: what the server is for, for people.
    """

    auto_start: bool = True
    timeout: Annotated[Duration, Field(gt=0)] = 60.0
    connect_timeout: Annotated[Duration, Field(gt=0)] | None = None
    protocol: ProtocolChoice = "auto"
    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 16
    write_concurrency: Annotated[int, Field(ge=1, le=10_000)] | None = None
    shared_checks: bool = True
    allow_tools: tuple[str, ...] | None = None
    deny_tools: tuple[str, ...] = ()
    inherit_env: bool | tuple[str, ...] = ()
    max_response_bytes: Annotated[int, Field(ge=1024)] = 4 * 1024 * 1024
    tool_prefix: Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9_-]{0,62})?$")] = ""
    description: Annotated[str, Field(max_length=2000)] = ""

    @property
    def connect_seconds(self) -> float:
        """How long to wait for a connection before saying that it is not there yet."""
        return self.connect_timeout if self.connect_timeout is not None else CONNECT_SECONDS

    def permits(self, tool: str) -> bool:
        """Whether the policy lets `tool` (without its server's name) be called.

        A tool is denied as well by what clients call it where their names of tools cannot carry its characters.
        """
        return _is_permitted(tool, self.allow_tools, self.deny_tools)


OPTION_NAMES: Final = tuple(to_camel(name) for name in ServerOptions.model_fields)
"""What the options are called in a file."""


class OAuthClient(_Model):
    """How Ostler signs in to a server, if it cannot find out automatically; written under `"oauth": {…}` in its entry.

    Attributes:
        client_id: what the authorization server calls Ostler; empty when Ostler registers itself there.
        client_secret: the password that goes with it, if there is one.
        scopes: what to ask for; empty for what the server wants.
        callback_port: the port on this machine that the browser comes back to; None for any.
    """

    client_id: str = ""
    client_secret: str = Field(default="", repr=False)
    scopes: tuple[str, ...] = ()
    callback_port: Annotated[int, Field(ge=1, le=65535)] | None = None


class ServerEntry(_Model):
    """One downstream server, complete: variables expanded, transport decided.

    Attributes:
        name: what its tools are called by (`name/tool`) and its name in the registry.
        transport: how it is reached.
        command: the program to run (stdio).
        args: its arguments (stdio).
        env: environment variables set for it (stdio); some values are secrets.
        unset: environment variables that it must not get (stdio).
        cwd: the folder it runs in (stdio); None means Ostler's own.
        url: the endpoint (http, sse).
        headers: HTTP headers sent with every request; values are secrets.
        headers_helper: a command line that prints more headers as a JSON object; run for each connection.
        oauth: how to sign in; None when nothing is said about it.
        disabled: the entry is kept but the server is not to be connected.
        options: Ostler's own settings.
        response_cap: the largest answer that ostler.toml allows any server, in bytes.
        secret_parts: values of variables with secret-looking names that were expanded into command, args, cwd or url.
        references: the references in args, env, headers and url to secrets, which are looked up for each connection.
    """

    name: str
    transport: ServerTransport
    command: str = ""
    args: tuple[str, ...] = ()
    env: dict[str, str] = Field(default_factory=dict)
    unset: tuple[str, ...] = ()
    cwd: str | None = None
    url: str = ""
    headers: dict[str, str] = Field(default_factory=dict)
    headers_helper: str = ""
    oauth: OAuthClient | None = None
    disabled: bool = False
    options: ServerOptions = Field(default_factory=ServerOptions.model_construct)
    response_cap: int | None = None
    secret_parts: tuple[str, ...] = Field(default=(), repr=False)
    references: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"ServerEntry({self.name!r}, {self.transport!r})"

    __str__ = __repr__

    @property
    def has_own_authorization(self) -> bool:
        """Whether its own headers authorise requests, so that no one signs in."""
        return any(name.lower() == "authorization" for name in self.headers)

    @property
    def max_response_bytes(self) -> int:
        """The largest answer that is kept, in bytes."""
        own = self.options.max_response_bytes
        return own if self.response_cap is None else min(own, self.response_cap)

    def setting(self, key: str, value: str) -> str:
        """Return where the limit `key` of this server is set, with the `value` in force."""
        written = any(name == key or to_camel(name) == key for name in self.options.model_fields_set)
        return f"{key!r} under 'ostler' of {self.name!r} in mcp.json ({value}{'' if written else ', the default'})"

    def secret_strings(self) -> tuple[str, ...]:
        """Return the texts that must never be shown, longest first.

        Header values (for `Bearer x` also `x` alone), the URL's password and query values, the environment's values
        and the arguments that are credentials (`ostler.model.credentials`), and secret-looking variables expanded
        anywhere; values below `MIN_SECRET_LENGTH` characters are left out.
        """
        found = self._secrets()
        return tuple(sorted((text for text in found if len(text) >= MIN_SECRET_LENGTH), key=len, reverse=True))

    def hiding(self, secrets: Iterable[str]) -> "ServerEntry":
        """Return this entry with more to be masked."""
        return self.model_copy(update={"secret_parts": (*self.secret_parts, *secrets)})

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
            shown["args"] = [self._mask(arg, before) for before, arg in pairwise((self.command, *self.args))]
        if self.cwd is not None:
            shown["cwd"] = self._mask(self.cwd)
        if self.url:
            shown["url"] = self._mask(self.url)
        if self.env or self.unset:
            masked = (
                (name, MASK if value and is_secret_name(name) else self._mask(value))
                for name, value in self.env.items()
            )
            shown["env"] = {**dict(masked), **dict.fromkeys(self.unset)}
        if self.headers:
            shown["headers"] = dict.fromkeys(self.headers, MASK)
        if self.headers_helper:
            shown["headersHelper"] = self._mask(self.headers_helper)
        if self.oauth is not None:
            fields = self.oauth.model_dump(mode="json", by_alias=True, exclude_defaults=True)
            shown["oauth"] = {name: self._masked_field(name, value) for name, value in fields.items()}
        if self.disabled:
            shown["disabled"] = True
        options = self.options.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        if options:
            shown["ostler"] = options
        return shown

    def same_connection(self, other: "ServerEntry") -> bool:
        """Whether `other` is reached in the same way, so that only limits and policy differ, if anything does."""
        return _connection_facts(self) == _connection_facts(other)

    def _masked_field(self, name: str, value: JsonValue) -> JsonValue:
        """Return a field of `oauth` as it is shown: variables with secrets may be in any of them."""
        if isinstance(value, list):
            return [self._mask(text) for text in as_texts(value)]
        return MASK if name == "clientSecret" else self._mask(value) if isinstance(value, str) else value

    def _secrets(self) -> set[str]:
        return {
            *self.secret_parts,
            *secrets_in_environment(self.env),
            *secrets_in_headers(self.headers),
            *secrets_in_arguments([self.command, *self.args]),
            *secrets_in_arguments([self.headers_helper]),
            *secrets_in_url(self.url),
            *([self.oauth.client_secret] if self.oauth is not None and self.oauth.client_secret else []),
        }

    def _mask(self, text: str, previous: str = "") -> str:
        # In the entry itself short values are masked too, where they stand as a secret: `80` is not masked in `80:80`.
        own = {*secrets_in_url(text), *secrets_in_arguments([text])}
        told = previous.startswith("-") and (is_secret_name(previous) or _LETTER.fullmatch(previous))
        for secret in sorted(filter(None, self._secrets()), key=len, reverse=True):
            is_telling = len(secret) >= _TELLING
            if len(secret) >= MIN_SECRET_LENGTH or (secret in self.secret_parts and is_telling):
                text = text.replace(secret, MASK)
            elif text == secret and (is_telling or told or secret in own):
                text = MASK
            elif secret in own:
                text = re.sub(rf"(?<=[=:\s\"']){re.escape(secret)}(?=[&@#;,\s\"']|$)", MASK, text)
            elif text.startswith("-") and text[2:] == secret:  # mysql -pX
                text = text[:2] + MASK
        return text


def _connection_facts(entry: ServerEntry) -> tuple[object, ...]:
    return (
        entry.transport, entry.command, entry.args, entry.env, entry.unset, entry.cwd, entry.url, entry.headers,
        entry.headers_helper, entry.options.inherit_env, entry.max_response_bytes, entry.options.protocol,
    )  # fmt: skip


_TELLING: Final = 4
"""A value with fewer characters is masked only where it stands as a secret: it is found in any text."""

_LETTER: Final = re.compile(r"-[A-Za-z]")
_ODD: Final = re.compile(r"[^A-Za-z0-9_-]")


def _is_permitted(tool: str, allowed: tuple[str, ...] | None, denied: tuple[str, ...]) -> bool:
    if denied and (_matches(tool, denied) or _matches(_ODD.sub("_", tool), denied)):
        return False
    return allowed is None or _matches(tool, allowed)


def _matches(tool: str, globs: Iterable[str]) -> bool:
    return any(fnmatchcase(tool, glob) for glob in globs)
