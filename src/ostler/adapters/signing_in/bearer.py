"""Sending a grant's token with every request, and renewing it when it ends or is refused."""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final
from urllib.parse import urljoin

import anyio
import httpx2
from mcp.client.auth.oauth2 import OAuthContext
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from msgspec import Struct
from pydantic import AnyUrl, ValidationError

from ostler.adapters.signing_in.consent import Grant
from ostler.model.errors import StoreError

logger = logging.getLogger(__name__)

_RENEW_SECONDS: Final = 20.0


class GrantedAuth(httpx2.Auth):
    """Authorises requests to one server with a person's grant.

    The SDK's own provider is not used for this: it asks for consent, and registers a client, in the middle of any
    request that is refused, and does not remember where tokens are renewed.
    """

    def __init__(self, server: str, grant: Grant, keep: Callable[[str, Grant], Awaitable[None]]) -> None:
        """Prepare to authorise requests.

        Args:
            server: the server's name.
            grant: the grant.
            keep: keeps a grant that was renewed.
        """
        self._server = server
        self._grant = grant
        self._keep = keep
        self._renewing = anyio.Lock()

    def __repr__(self) -> str:
        return f"<GrantedAuth for {self._server!r}>"

    def secrets(self) -> tuple[str, ...]:
        """Return the tokens, which must not be shown."""
        tokens = self._grant.tokens
        return tuple(filter(None, (tokens.access_token, tokens.refresh_token)))

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """Send the request with the token; renew the token before it ends, and once more when it is refused."""
        # One renewal at a time, since most servers take a refresh token once; it is bounded by its own timeout.
        async with self._renewing:
            if self._grant.is_ending and (renewal := self._renewal()) is not None:
                await self._take((yield renewal))
        used = self._authorise(request)
        response = yield request
        if response.status_code != 401:
            return
        async with self._renewing:
            if used == self._grant.tokens.access_token and (renewal := self._renewal()) is not None:
                await self._take((yield renewal))
        if used != self._grant.tokens.access_token:
            self._authorise(request)
            yield request

    def _authorise(self, request: httpx2.Request) -> str:
        token = self._grant.tokens.access_token
        request.headers["Authorization"] = f"Bearer {token}"
        return token

    def _renewal(self) -> httpx2.Request | None:
        """Return the request that renews the token; None when it cannot be renewed."""
        tokens = self._grant.tokens
        if not tokens.refresh_token:
            return None
        fields = {
            "grant_type": "refresh_token",
            "refresh_token": tokens.refresh_token,
            "client_id": self._grant.client.client_id,
        }
        if self._grant.resource is not None:
            fields["resource"] = self._grant.resource
        return token_request(self._grant, "token", fields)

    async def _take(self, answer: httpx2.Response) -> None:
        body = await answer.aread()
        if answer.status_code in (400, 401):  # spent or revoked: asking again would get the same answer
            tokens = self._grant.tokens.model_copy(update={"refresh_token": None})
            self._grant = self._grant.model_copy(update={"tokens": tokens})
            logger.warning("the sign-in to server %r has ended: HTTP %d", self._server, answer.status_code)
            await self._keep_grant()
            return
        try:
            tokens = OAuthToken.model_validate_json(body if answer.status_code < 300 else b"")
        except ValidationError:  # the old token may do, and if not, the server says so
            logger.warning("the token of server %r was not renewed: HTTP %d", self._server, answer.status_code)
            return
        self._grant = self._grant.with_tokens(tokens)
        await self._keep_grant()

    async def _keep_grant(self) -> None:
        try:
            await self._keep(self._server, self._grant)
        except StoreError as error:  # it is good until this process ends
            logger.warning("the renewed sign-in to server %r was not kept: %s", self._server, error)


def token_request(grant: Grant, endpoint: str, fields: dict[str, str]) -> httpx2.Request:
    """Return a request to the authorization server, authenticated as the client that the grant was given to.

    Args:
        grant: the grant.
        endpoint: `token` or `revocation`.
        fields: what is asked for.
    """
    known = getattr(grant.metadata, f"{endpoint}_endpoint", None)
    url = str(known) if known else urljoin(grant.url, f"/{endpoint}")
    context = OAuthContext(
        server_url=grant.url,
        client_metadata=OAuthClientMetadata(redirect_uris=[AnyUrl("http://localhost/")]),
        storage=MemoryStorage(),
        redirect_handler=None,
        callback_handler=None,
        client_info=grant.client,
    )
    fields, headers = context.prepare_token_auth(fields, {"Accept": "application/json"})
    extensions = {"timeout": httpx2.Timeout(_RENEW_SECONDS).as_dict()}
    return httpx2.Request("POST", url, data=fields, headers=headers, extensions=extensions)


class MemoryStorage(Struct):
    """Where the SDK keeps what belongs to one sign-in; a `TokenStorage` of its own."""

    client: OAuthClientInformationFull | None = None
    tokens: OAuthToken | None = None

    async def get_tokens(self) -> OAuthToken | None:
        """Return the tokens, if there are any yet."""
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Keep the tokens."""
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """Return the client that Ostler is, if it is known yet."""
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Keep the client that Ostler was registered as."""
        self.client = client_info
