"""What `ostler.toml` may say. Every key has an effect and a default; what is not here is refused."""

import re
from collections.abc import Mapping
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ByteSize,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from ostler.model.access import EVERYONE, AuditSettings, OAuthSettings, PrincipalSettings, validate_principal
from ostler.model.durations import Duration, format_duration
from ostler.model.events import NoticeKind
from ostler.model.strict import Count, Size, StrictModel, Switch
from ostler.model.web_addresses import is_web_address, require_host

NEVER = "never"
SQLITE = "sqlite"


def _never_is_none(value: Any) -> Any:
    return None if value == NEVER else value


class LimitSettings(StrictModel):
    """Bounds of what is accepted and kept."""

    max_args_bytes: Size = ByteSize(256 * 1024)
    """JSON size of the args of one service or of one tool call."""
    max_response_bytes: Size = ByteSize(4 * 1024 * 1024)
    """JSON size of one downstream answer."""
    max_events_per_service: Count = 50
    max_events: Count = 10_000
    operation_history: Count = 50
    """Finished operations kept of each service."""
    max_operations: Count = 20_000
    """Finished operations kept in all, those of deleted services included."""
    health_concurrency: Count = 64
    """Health checks under way at once."""


class HttpSettings(StrictModel):
    """The streamable HTTP transport of `ostler serve --http`."""

    allowed_hosts: tuple[Annotated[str, AfterValidator(require_host)], ...] = ()
    """`Host` headers accepted besides the server's own names."""
    allowed_origins: tuple[str, ...] = ()
    """`Origin` headers accepted besides the loopback origins."""
    token: SecretStr | None = None
    """The bearer token that requests must carry."""
    token_env: str | None = None
    """The environment variable that holds the bearer token."""

    tokens_file: str | None = None
    """The file of the tokens of principals; default: `tokens.json` in the configuration folder, if it exists."""

    @model_validator(mode="after")
    def _one_token(self) -> "HttpSettings":
        if self.token is not None and self.token_env is not None:
            raise ValueError("write 'token' or 'tokenEnv', not both")
        if self.token is not None and not self.token.get_secret_value():
            raise ValueError("'token' is empty; write a long random text, or leave it out")
        return self

    def bearer_token(self, environ: Mapping[str, str]) -> str | None:
        """Return the bearer token in force, or None when none is asked for.

        Raises:
            ValueError: `tokenEnv` names a variable that is not set: serving without a token was not meant.
        """
        if self.token is not None:
            return self.token.get_secret_value()
        if self.token_env is None:
            return None
        value = environ.get(self.token_env)
        if not value:
            raise ValueError(f"http.tokenEnv names {self.token_env!r}, which is not set in the environment")
        return value


class EnvSettings(StrictModel):
    """What templates see of the server's environment."""

    allow: tuple[str, ...] = ()
    """Names of variables that templates may use as `env.NAME`."""

    def visible(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the allowed variables that are set."""
        return {name: environ[name] for name in self.allow if name in environ}


class ProcessSettings(StrictModel):
    """The built-in `process` server."""

    enabled: Switch = True


class ProjectSettings(StrictModel):
    """The services of projects."""

    auto_prune: Switch = False
    """Whether the services of a project are stopped and removed when its folder is gone."""


class WebhookSettings(StrictModel):
    """An address that is sent notices. The whole of it counts as a secret: many carry a token in the path."""

    url: SecretStr
    events: Annotated[tuple[NoticeKind, ...], Field(min_length=1)] = tuple(NoticeKind)
    """Which notices are sent."""
    secret: SecretStr | None = None
    """What deliveries are signed with; `whsec_` and base64 as Standard Webhooks has it, or any text."""
    secret_env: str | None = None
    """The environment variable that holds the secret."""

    @model_validator(mode="after")
    def _is_usable(self) -> "WebhookSettings":
        if not is_web_address(self.url.get_secret_value()):
            raise ValueError("'url' must be an http or https address")
        if self.secret is not None and self.secret_env is not None:
            raise ValueError("write 'secret' or 'secretEnv', not both")
        return self

    @property
    def shown(self) -> str:
        """The address as far as it may be shown."""
        parts = urlsplit(self.url.get_secret_value())
        return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}/…"


class CancelledCreate(StrEnum):
    """What becomes of a service whose `service_create` its client cancelled."""

    CONTINUE = "continue"
    """Its start goes on."""
    COMPENSATE = "compensate"
    """It is stopped and removed, unless another request waits for it."""


class PolicySettings(StrictModel):
    """Which downstream tools may be called at all, lifecycle calls included. Globs over `server/tool`."""

    allow_tools: tuple[str, ...] = ("*",)
    deny_tools: tuple[str, ...] = ()
    confirm_tools: tuple[str, ...] = ()
    """Calls of clients that a person must confirm first."""
    cancelled_create: CancelledCreate = CancelledCreate.CONTINUE

    def allows(self, tool: str) -> bool:
        """Whether `server/tool` may be called; a denial wins."""
        return _is_allowed(tool, self.allow_tools, self.deny_tools)

    def denies_own(self, tool: str) -> bool:
        """Whether clients may not call Ostler's own `tool`: only a pattern that begins with `ostler/` says so."""
        return _names_own(self.deny_tools, tool)

    def confirms(self, tool: str) -> bool:
        """Whether a person must confirm a client's call of `server/tool`."""
        return any(fnmatchcase(tool, glob) for glob in self.confirm_tools)

    def confirms_own(self, tool: str) -> bool:
        """Whether a person must confirm a client's call of Ostler's own `tool`, as in `denies_own`."""
        return _names_own(self.confirm_tools, tool)


def _is_allowed(tool: str, allowed: tuple[str, ...], denied: tuple[str, ...]) -> bool:
    return any(fnmatchcase(tool, glob) for glob in allowed) and not any(fnmatchcase(tool, glob) for glob in denied)


def _names_own(globs: tuple[str, ...], tool: str) -> bool:
    return any(glob.startswith("ostler/") and fnmatchcase(f"ostler/{tool}", glob) for glob in globs)


def _web_address(text: str) -> str:
    if not is_web_address(text):
        raise ValueError("must be an address such as 'http://127.0.0.1:4318'")
    return text


class TelemetrySettings(StrictModel):
    """Traces and metrics by OpenTelemetry. Its `OTEL_*` variables count as well; a key here wins over its variable."""

    otlp_endpoint: Annotated[str, AfterValidator(_web_address)] | None = None
    """The base address of an OTLP receiver, which gets traces and metrics."""
    prometheus: Switch = False
    """Keep metrics for `/metrics` of the HTTP transport."""
    health_checks: Switch = False
    """Trace scheduled health checks as well."""


class LogSettings(StrictModel):
    """The server's own log."""

    format: Literal["text", "json"] = "text"


class Settings(StrictModel):
    """The whole of `ostler.toml`. The defaults of its tables are not checked: to build that takes 2 ms of a start."""

    store: SecretStr = SecretStr(SQLITE)
    """Where everything durable is: `sqlite` (the file in the state folder), or the URL of a PostgreSQL database."""
    idle_exit: Annotated[Duration | None, BeforeValidator(_never_is_none)] = 600.0
    """Seconds without a client and without anything to supervise after which the server ends; None: never."""
    shutdown_timeout: Annotated[Duration, Field(gt=0)] = 20.0
    """Seconds that the server's shutdown may take in all."""
    limits: LimitSettings = Field(default_factory=LimitSettings.model_construct)
    http: HttpSettings = Field(default_factory=HttpSettings.model_construct)
    env: EnvSettings = Field(default_factory=EnvSettings.model_construct)
    process: ProcessSettings = Field(default_factory=ProcessSettings.model_construct)
    projects: ProjectSettings = Field(default_factory=ProjectSettings.model_construct)
    policy: PolicySettings = Field(default_factory=PolicySettings.model_construct)
    telemetry: TelemetrySettings = Field(default_factory=TelemetrySettings.model_construct)
    log: LogSettings = Field(default_factory=LogSettings.model_construct)
    webhooks: Annotated[tuple[WebhookSettings, ...], Field(max_length=20)] = ()
    principals: dict[str, PrincipalSettings] = Field(default_factory=dict[str, PrincipalSettings])
    """What those who come over HTTP with tokens of their own may do, by name; `*` for those without a table."""
    oauth: OAuthSettings | None = None
    """The authorization server whose access tokens are accepted over HTTP."""
    audit: AuditSettings = Field(default_factory=AuditSettings.model_construct)

    @field_validator("principals")
    @classmethod
    def _are_principals(cls, value: dict[str, PrincipalSettings]) -> dict[str, PrincipalSettings]:
        for name in value:
            if name != EVERYONE:
                validate_principal(name)
        return value

    @field_validator("store")
    @classmethod
    def _known_store(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value()
        if text != SQLITE and not text.startswith(("postgresql://", "postgres://")):
            raise ValueError(
                f"must be '{SQLITE}', or the URL of a PostgreSQL database: postgresql://USER@HOST/DATABASE"
            )
        if is_misread(text):
            raise ValueError(MISREAD)
        return value

    @property
    def store_url(self) -> str:
        """The URL of the PostgreSQL database, with its password; empty: the file in the state folder."""
        text = self.store.get_secret_value()
        return "" if text == SQLITE else text

    def to_public_json(self) -> dict[str, Any]:
        """Return the effective settings with camelCase keys, durations as text and secrets masked."""
        public = self.model_dump(mode="json", by_alias=True)
        public["store"] = shown_store(self.store_url) if self.store_url else SQLITE
        public["idleExit"] = NEVER if self.idle_exit is None else format_duration(self.idle_exit)
        return public


_STORE_URL: Final = re.compile(r"([^:]*)://(?:([^/]*)@)?([^/?]*)(/[^?]*)?")
"""Scheme, user with password, hosts and database, as PostgreSQL tells them apart; a password may have a `?`."""

MISREAD: Final = "has an '@' after its first '/', as a password with a '/' makes it; write them as %40 and %2F"


def shown_store(url: str) -> str:
    """Return the URL of a database as it may be shown: without its password and its options."""
    found = _STORE_URL.match(url)
    if found is None or is_misread(url):
        return "postgresql://…"
    scheme, user, hosts, database = found.groups("")
    who = f"{re.split('[:?]', user)[0]}@" if user else ""
    return f"{scheme}://{who}{hosts}{database}"


def is_misread(url: str) -> bool:
    """Whether PostgreSQL takes a part of what is meant as the password of `url` for the database, and shows it."""
    found = _STORE_URL.match(url)
    return found is not None and "@" in (found[4] or "")
