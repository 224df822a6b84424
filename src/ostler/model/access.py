"""Who uses Ostler over the network, and what each may do: principals, their policies, and where they come from."""

import hashlib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Final, Self

from msgspec import Struct
from pydantic import ByteSize, field_validator, model_validator

from ostler.model.label_names import is_label, label_of, validate_name
from ostler.model.strict import Count, Size, StrictModel, Switch
from ostler.model.web_addresses import is_local, without_user

EVERYONE: Final = "*"
"""As a principal: everyone without a policy of their own. As an owner: every owner."""

LOCAL: Final = "local"
"""The one who runs Ostler, over the local socket or stdio: unrestricted."""

TOKEN_HOLDER: Final = "token"  # noqa: S105 (a name)
"""Whoever has the one token of `[http]`: unrestricted."""

RESERVED: Final = frozenset({LOCAL, TOKEN_HOLDER})
"""Names that no one gets from a token file or an authorization server."""

MAX_NAME: Final = 40
"""Characters of a principal's name: it is the last part of the names of its services."""

USUAL_TOOLS: Final = frozenset({
    "service_list", "service_status", "service_get", "service_secrets", "service_validate", "service_logs",
    "service_events", "service_plan", "service_explain", "service_create", "service_start", "service_stop",
    "service_restart", "service_delete", "service_renew", "service_input", "service_wait", "serviceclass_list",
    "serviceclass_get", "serviceclass_available", "mcpserver_list", "mcpserver_get", "tool_list", "tool_describe",
    "tool_call",
})  # fmt: skip
"""Ostler's tools that every principal has. All others are for admins: they show or change what belongs to no one."""


class PrincipalSettings(StrictModel):
    """What one principal may do: `[principals.NAME]`, or `[principals."*"]` for those without a table of their own."""

    admin: Switch = False
    """It may do everything, like the person at the machine, within `denyTools`, `confirmTools`, rates and sizes."""
    classes: tuple[str, ...] = ("*",)
    """Globs of the classes that it sees and creates services of."""
    tools: tuple[str, ...] = ()
    """Globs of the downstream tools, `server/tool`, that it sees and calls itself with `tool_call`."""
    deny_tools: tuple[str, ...] = ()
    """Globs of tools that it may not call, Ostler's own as `ostler/service_delete`."""
    sees: tuple[str, ...] = ()
    """Owners whose services it sees besides its own; `*` is everyone, configured services included."""
    sees_shared: Switch = False
    """It also sees services without an owner: configured ones, and those that people at the machine made."""
    manages: tuple[str, ...] = ()
    """Owners whose services it also starts, stops, changes and deletes, and whose secrets it reads; `*` is everyone."""
    confirm_tools: tuple[str, ...] = ()
    """Globs of calls that a person must confirm first, in addition to `policy.confirmTools`."""
    max_services: Count = 20
    """Services that it may have at once."""
    starts_per_hour: Count = 120
    """Creates that start, starts and restarts within an hour."""
    calls_per_minute: Count = 600
    """Requests within a minute."""
    max_request_bytes: Size = ByteSize(1024 * 1024)
    """Size of one request."""

    @property
    def sees_everything(self) -> bool:
        """Whether no service is hidden from it."""
        return self.admin or EVERYONE in self.sees or EVERYONE in self.manages

    def allows_class(self, name: str) -> bool:
        """Whether it sees the class `name` and may create services of it."""
        return self.admin or any(fnmatchcase(name, glob) for glob in self.classes)

    def allows_tool(self, tool: str) -> bool:
        """Whether it may call the downstream tool `server/tool` itself."""
        if self._denies(tool):
            return False
        return self.admin or any(fnmatchcase(tool, glob) for glob in self.tools)

    def allows_own_tool(self, name: str) -> bool:
        """Whether it may call Ostler's own tool `name`."""
        return not self._denies(f"ostler/{name}") and (self.admin or name in USUAL_TOOLS)

    def _denies(self, tool: str) -> bool:
        return any(fnmatchcase(tool, glob) for glob in self.deny_tools)


class OAuthSettings(StrictModel):
    """The authorization server whose access tokens are accepted: `[oauth]`."""

    issuer: str
    """Its address, exactly as `iss` in its tokens."""
    resource: str
    """The public address of this server, such as `https://ostler.example/mcp`: what `aud` in a token must be."""
    jwks_uri: str | None = None
    """Where its keys are; default: what its metadata says."""
    scopes: tuple[str, ...] = ()
    """Scopes that a token must have, all of them."""
    algorithms: tuple[str, ...] = ("RS256", "PS256", "ES256", "EdDSA")
    """Signature algorithms that are accepted; never `none`, nor one with a shared key."""
    principal_claim: str = "sub"
    """The claim that names the principal."""
    allow_http: Switch = False
    """Read keys over plain http from another machine."""

    @field_validator("issuer", "resource", "jwks_uri")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("https://", "http://")):
            raise ValueError(f"{value!r} is not an address; write it with https://")
        return value

    @field_validator("algorithms")
    @classmethod
    def _is_asymmetric(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in ASYMMETRIC:
                raise ValueError(f"{name!r} is not accepted; use some of {', '.join(sorted(ASYMMETRIC))}")
        if not value:
            raise ValueError("is empty; leave it out for the default")
        return value

    @model_validator(mode="after")
    def _is_protected(self) -> Self:
        for key, address in (("issuer", self.issuer), ("jwksUri", self.jwks_uri)):
            if address is not None and address.startswith("http://") and not (self.allow_http or is_local(address)):
                raise ValueError(
                    f"{key} {without_user(address)!r} is not protected by TLS; use https, or set allowHttp = true"
                )
        return self


ASYMMETRIC: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
"""Signature algorithms whose signing key only the authorization server has."""


class AuditSettings(StrictModel):
    """The audit log: `[audit]`."""

    enabled: Switch | None = None
    """Keep it; default: when there are tokens or an authorization server."""
    max_bytes: Size = ByteSize(16 * 1024 * 1024)
    """Size of one file, after which the next one is begun."""
    files: Count = 8
    """Files that are kept, the current one included; the oldest is removed."""


class Principal(Struct, frozen=True):
    """Someone who has proven who they are.

    Attributes:
        name: also the owner of what they create.
        unrestricted: no policy applies.
        credential: what proved it, such as `token laptop`, for the audit log; never the secret.
    """

    name: str
    unrestricted: bool = False
    credential: str = ""


LOCAL_PRINCIPAL: Final = Principal(LOCAL, unrestricted=True)
"""The one who runs Ostler."""


def validate_principal(name: str) -> str:
    """Return `name` if it is a valid name of a principal.

    Raises:
        ValueError: it is not.
    """
    validate_name(name)
    if len(name) > MAX_NAME:
        raise ValueError(f"{name!r} is longer than {MAX_NAME} characters")
    if name in RESERVED:
        raise ValueError(f"{name!r} is reserved for Ostler")
    return name


def principal_of_claim(value: str) -> str:
    """Return the principal that a token's claim names: the claim itself if it is a valid name, else a derived name.

    Two claims never name the same principal: a derived name ends with a part of the claim's digest.
    """
    if is_label(value) and len(value) <= MAX_NAME and value not in RESERVED and not _looks_derived(value):
        return value
    return f"{label_of(value)[: MAX_NAME - 13].rstrip('-')}-{hashlib.sha256(value.encode()).hexdigest()[:12]}"


def _looks_derived(value: str) -> bool:
    """Whether a claim has the form of a name that is derived from another claim."""
    tail = value.rpartition("-")[2]
    return len(tail) == 12 and all(character in "0123456789abcdef" for character in tail)


def policy_of(principals: Mapping[str, PrincipalSettings], name: str) -> PrincipalSettings | None:
    """Return the policy of a principal, its own or everyone's; None if there is neither."""
    return principals.get(name) or principals.get(EVERYONE)
