"""What a protected server says when it rejects a request, and what a person can do about it.

A resource server of OAuth 2 answers 401 or 403 with `WWW-Authenticate: Bearer …` (RFC 6750), whose
`resource_metadata` (RFC 9728) leads to the issuers of tokens that it accepts.
"""

import re
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlsplit

import anyio
import httpx2
from msgspec import Struct

from ostler.adapters.downstream.loss import ConnectFailedError
from ostler.adapters.signing_in.grants import Grants
from ostler.adapters.tls_trust import trusted_authorities
from ostler.model.errors import StoreError
from ostler.model.json import JsonMapping, parse_json
from ostler.model.servers import ServerEntry
from ostler.model.states import ServiceState
from ostler.model.web_addresses import DIRECT, port_of

if TYPE_CHECKING:
    from ostler.adapters.signing_in.bearer import GrantedAuth

_PARAMETER: Final = re.compile(r'([A-Za-z_][\w-]*)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_SHOWN_CHARS: Final = 200
_METADATA_TIMEOUT: Final = 3.0
_METADATA_BYTES: Final = 64 * 1024


class Challenge(Struct, frozen=True):
    """A refusal because authorisation is missing or not sufficient.

    Attributes:
        status: 401 or 403.
        error: OAuth's code, such as `invalid_token` or `insufficient_scope`.
        description: the server's own words.
        scope: what a token must allow.
        metadata_url: where the server describes which tokens it takes.
    """

    status: int
    error: str = ""
    description: str = ""
    scope: str = ""
    metadata_url: str = ""

    @property
    def reason(self) -> str:
        """The refusal in one clause."""
        details = ": ".join(text for text in (self.error, self.description) if text)
        scope = f"; a token needs the scope {self.scope!r}" if self.scope else ""
        return f"the server demands authorisation (HTTP {self.status}{f', {details}' if details else ''}){scope}"


def challenge_of(response: "httpx2.Response") -> Challenge:
    """Return what a 401 or 403 answer demands."""
    found = {
        name.lower(): _shown(re.sub(r"\\(.)", r"\1", quoted) or bare)
        for header in response.headers.get_list("www-authenticate")
        for name, quoted, bare in _PARAMETER.findall(header)
    }
    return Challenge(
        response.status_code,
        found.get("error", ""),
        found.get("error_description", ""),
        found.get("scope", ""),
        found.get("resource_metadata", ""),
    )


async def token_source(challenge: Challenge, server_url: str) -> str:
    """Return a clause that says where tokens for the server come from, if it says so; else the empty text.

    Only an address at the server's own origin is asked, without the entry's headers: a server can neither send
    Ostler elsewhere nor learn a secret by it.
    """
    if not challenge.metadata_url or _origin(challenge.metadata_url) != _origin(server_url):
        return ""
    try:
        with anyio.fail_after(_METADATA_TIMEOUT):
            metadata = parse_json(await _document(challenge.metadata_url))
    except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, ValueError):
        return ""
    if not isinstance(metadata, dict):
        return ""
    issuers = _texts(cast("JsonMapping", metadata), "authorization_servers")
    scopes = _texts(cast("JsonMapping", metadata), "scopes_supported")
    parts = [f"it takes tokens of {', '.join(issuers)}"] if issuers else []
    parts += [f"its scopes are {' '.join(scopes)}"] if scopes and not challenge.scope else []
    return "; ".join(parts)


async def granted(entry: ServerEntry, grants: Grants | None) -> "GrantedAuth | None":
    """Return what authorises requests to the server, if someone has signed in to it.

    Raises:
        ConnectFailedError: someone has, and the tokens cannot be read.
    """
    if grants is None or entry.has_own_authorization:
        return None
    try:
        grant = await grants.of(entry)
    except StoreError as error:
        raise ConnectFailedError(str(error), state=ServiceState.AUTH_REQUIRED) from error
    if grant is None:
        return None
    from ostler.adapters.signing_in.bearer import GrantedAuth  # noqa: PLC0415 (few servers are signed in to)

    return GrantedAuth(entry.name, grant, grants.keep)


def advice(server: str) -> tuple[str, str, str]:
    """Return what to do about a server that demands authorisation."""
    return (
        f"ostler servers login {server}",
        f'or set "headers": {{"Authorization": "Bearer ${{TOKEN}}"}} of {server!r} in mcp.json, which is read at once',
        f"service_start {server} tries again at once",
    )


async def _document(url: str) -> bytes:
    """Return what is at `url`; nothing when it is not there, or too long."""
    text = b""
    async with (
        httpx2.AsyncClient(verify=trusted_authorities(), mounts=DIRECT) as client,
        client.stream("GET", url) as answer,
    ):
        if answer.status_code != 200:
            return b""
        async for chunk in answer.aiter_bytes():
            text += chunk
            if len(text) > _METADATA_BYTES:
                return b""
    return text


def _texts(metadata: JsonMapping, key: str) -> list[str]:
    values = metadata.get(key)
    if not isinstance(values, list):
        return []
    return [_shown(value) for value in cast("list[object]", values)[:5] if isinstance(value, str)]


def _shown(text: str) -> str:
    return " ".join(text.split())[:_SHOWN_CHARS]


def _origin(url: str) -> tuple[str, str, int]:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname or "", port_of(parts)
    except ValueError:
        return "", "", 0
