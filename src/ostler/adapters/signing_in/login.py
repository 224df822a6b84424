"""Signing in: a request that the server refuses, a person's consent, and the tokens."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import anyio
import httpx2
from mcp.client.auth import OAuthClientProvider, OAuthFlowError, OAuthRegistrationError
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata
from pydantic import AnyUrl, ValidationError

from ostler.adapters.signing_in.bearer import MemoryStorage, token_request
from ostler.adapters.signing_in.consent import Grant, end_of
from ostler.adapters.tls_trust import trusted_authorities
from ostler.model.errors import OperationError
from ostler.model.servers import ServerEntry
from ostler.model.web_addresses import DIRECT

CONSENT_SECONDS: Final = 600.0
"""Seconds that a person has to consent."""

_REQUEST_SECONDS: Final = 30.0
_PROTOCOL: Final = "2025-11-25"
_QUESTION: Final = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
"""Sent to be refused; nothing happens on a server that does not."""


async def sign_in(
    entry: ServerEntry,
    redirect_url: str,
    *,
    show: Callable[[str], Awaitable[None]],
    wait: Callable[[], Awaitable[AuthorizationCodeResult]],
    scopes: Sequence[str] = (),
) -> Grant:
    """Ask for a person's consent, and return what it gave.

    Args:
        entry: the server.
        redirect_url: where the browser comes back to.
        show: shows a person the address of the authorization server.
        wait: waits for what the browser brings back.
        scopes: what to ask for; default: what the entry says, else what the server wants.

    Raises:
        OperationError: there is no consent, or the server asks no one to sign in.
    """
    wanted = " ".join(scopes or (entry.oauth.scopes if entry.oauth is not None else ()))
    storage = MemoryStorage(_own_client(entry, redirect_url))
    provider = OAuthClientProvider(
        entry.url,
        OAuthClientMetadata(
            client_name="Ostler",
            redirect_uris=[AnyUrl(redirect_url)],
            grant_types=["authorization_code", "refresh_token"],
            response_types=["code"],
            scope=wanted or None,
        ),
        storage,
        redirect_handler=show,
        callback_handler=wait,
    )
    status = await _consented(provider, entry, redirect_url, wanted)
    if storage.tokens is None or storage.client is None:
        raise OperationError(
            f"server {entry.name!r} does not ask anybody to sign in: it answered HTTP {status}",
            next_actions=(f"ostler restart {entry.name}", "ostler servers shows why it is not connected"),
        )
    context = provider.context
    return Grant(
        url=entry.url,
        tokens=storage.tokens,
        client=storage.client,
        metadata=context.oauth_metadata,
        resource=context.get_resource_url() if context.should_include_resource_param(_PROTOCOL) else None,
        ends_at=end_of(storage.tokens),
    )


async def _consented(provider: OAuthClientProvider, entry: ServerEntry, redirect_url: str, scope: str) -> int:
    """Send a request that the server refuses until a person has consented; return the status of its last answer."""

    async def ask_for_scope(response: httpx2.Response) -> None:
        # The SDK asks for the scopes of the refusal, whatever else it was given.
        if scope and response.status_code in (401, 403):
            response.headers["www-authenticate"] = _with_scope(response.headers.get("www-authenticate", ""), scope)

    logging.getLogger("mcp.client.auth.oauth2").setLevel(logging.CRITICAL)  # it logs what it raises
    try:
        with anyio.fail_after(CONSENT_SECONDS):
            async with httpx2.AsyncClient(
                auth=provider,
                headers=entry.headers,
                event_hooks={"response": [ask_for_scope]},
                timeout=_REQUEST_SECONDS,
                verify=trusted_authorities(),
                mounts=DIRECT,
            ) as client:
                return await _refused_request(client, entry)
    except TimeoutError:
        raise _failed(entry, f"no one consented within {CONSENT_SECONDS / 60:g} minutes") from None
    except OAuthRegistrationError as error:
        raise _failed(
            entry,
            f"Ostler could not register itself: {error}",
            f'register a client with the redirect address {redirect_url} there, and write "oauth": {{"clientId": "…", '
            f'"callbackPort": {AnyUrl(redirect_url).port}}} into the entry of {entry.name!r}',
        ) from error
    except (OAuthFlowError, httpx2.HTTPError, ValidationError) as error:
        raise _failed(entry, str(error) or type(error).__name__) from error


async def revoke(grant: Grant) -> bool:
    """Have the authorization server forget the grant, if it has a way to; return whether it did."""
    if grant.metadata is None or grant.metadata.revocation_endpoint is None:
        return False
    token, kind = (
        (grant.tokens.refresh_token, "refresh_token")
        if grant.tokens.refresh_token
        else (grant.tokens.access_token, "access_token")
    )
    fields = {"token": token, "token_type_hint": kind, "client_id": grant.client.client_id}
    try:
        async with httpx2.AsyncClient(verify=trusted_authorities(), mounts=DIRECT) as client:
            answer = await client.send(token_request(grant, "revocation", fields))
    except httpx2.HTTPError:
        return False
    return answer.is_success


async def _refused_request(client: httpx2.AsyncClient, entry: ServerEntry) -> int:
    """Send what a server that wants its callers to sign in refuses, and return the last status."""
    headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": _PROTOCOL}
    status = 405
    if entry.transport != "sse":
        async with client.stream("POST", entry.url, json=_QUESTION, headers=headers) as response:
            status = response.status_code
    if status in (404, 405):  # the older transport begins with a GET
        async with client.stream("GET", entry.url, headers=headers) as response:
            status = response.status_code
    return status


def _own_client(entry: ServerEntry, redirect_url: str) -> OAuthClientInformationFull | None:
    """Return the client that the entry names; None when Ostler registers itself."""
    if entry.oauth is None or not entry.oauth.client_id:
        return None
    secret = entry.oauth.client_secret or None
    return OAuthClientInformationFull(
        client_id=entry.oauth.client_id,
        client_secret=secret,
        redirect_uris=[AnyUrl(redirect_url)],
        token_endpoint_auth_method="client_secret_post" if secret else "none",
    )


def _with_scope(challenge: str, scope: str) -> str:
    """Return a `WWW-Authenticate` header whose scope is `scope`."""
    scheme, _, rest = challenge.partition(" ")
    parts = [f'scope="{scope}"', *([rest] if rest else [])]
    return f"{scheme or 'Bearer'} {', '.join(parts)}"


def _failed(entry: ServerEntry, reason: str, fix: str = "") -> OperationError:
    return OperationError(
        f"the sign-in to server {entry.name!r} failed: {entry.mask_text(reason)}",
        next_actions=(fix or f"ostler servers login {entry.name} tries again",),
    )
