"""A real MCP server behind OAuth: the SDK's own authorization server and protected server in one, and a browser.

The person in front of the browser consents to everything, unless `denies` is set.
"""

import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    AuthorizationParams,
    RefreshToken,
    construct_redirect_uri,
)
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions, RevocationOptions
from mcp.server.mcpserver import MCPServer
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from pydantic import AnyHttpUrl
from tests.support.web import LateApp, echoing, serving


@dataclass
class AuthorizationServer:
    """What the authorization server knows; the test changes it while the server runs.

    Attributes:
        lifetime: seconds that the next access tokens last.
        denies: the person does not consent.
        registers: clients may register themselves.
        issued: every access token that was given, in order.
    """

    lifetime: int = 3600
    denies: bool = False
    registers: bool = True
    port: int = 0
    clients: dict[str, OAuthClientInformationFull] = field(default_factory=dict)
    codes: dict[str, AuthorizationCode] = field(default_factory=dict)
    access: dict[str, AccessToken] = field(default_factory=dict)
    refresh: dict[str, RefreshToken] = field(default_factory=dict)
    issued: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    async def get_client(self, client_id: str) -> OAuthClientInformationFull | None:
        return self.clients.get(client_id)

    async def register_client(self, client_info: OAuthClientInformationFull) -> None:
        self.clients[client_info.client_id] = client_info

    async def authorize(self, client: OAuthClientInformationFull, params: AuthorizationParams) -> str:
        back = str(params.redirect_uri)
        if self.denies:
            return construct_redirect_uri(
                back, error="access_denied", error_description="not today", state=params.state
            )
        code = AuthorizationCode(
            code=secrets.token_urlsafe(24),
            scopes=params.scopes or ["tools"],
            expires_at=time.time() + 60,
            client_id=client.client_id,
            code_challenge=params.code_challenge,
            redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=params.redirect_uri_provided_explicitly,
            resource=params.resource,
        )
        self.codes[code.code] = code
        return construct_redirect_uri(back, code=code.code, state=params.state)

    async def load_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: str
    ) -> AuthorizationCode | None:
        return self.codes.get(authorization_code)

    async def exchange_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: AuthorizationCode
    ) -> OAuthToken:
        del self.codes[authorization_code.code]
        return self._issue(client.client_id, authorization_code.scopes, authorization_code.resource)

    async def load_refresh_token(self, client: OAuthClientInformationFull, refresh_token: str) -> RefreshToken | None:
        return self.refresh.get(refresh_token)

    async def exchange_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: RefreshToken, scopes: list[str]
    ) -> OAuthToken:
        del self.refresh[refresh_token.token]
        return self._issue(client.client_id, scopes, refresh_token.resource)

    async def load_access_token(self, token: str) -> AccessToken | None:
        found = self.access.get(token)
        return found if found is not None and (found.expires_at or 0) > time.time() else None

    async def revoke_token(self, token: Any) -> None:
        self.access.clear()
        self.refresh.clear()

    async def exchange_identity_assertion(self, *args: Any, **options: Any) -> OAuthToken:
        raise NotImplementedError

    def _issue(self, client_id: str, scopes: list[str], resource: str | None) -> OAuthToken:
        access, refresh = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        ends = int(time.time()) + self.lifetime
        self.access[access] = AccessToken(
            token=access, client_id=client_id, scopes=scopes, expires_at=ends, resource=resource
        )
        self.refresh[refresh] = RefreshToken(token=refresh, client_id=client_id, scopes=scopes, resource=resource)
        self.issued.append(access)
        return OAuthToken(access_token=access, expires_in=self.lifetime, refresh_token=refresh, scope=" ".join(scopes))


@asynccontextmanager
async def oauth_server(state: AuthorizationServer, *, sse: bool = False) -> AsyncGenerator[AuthorizationServer]:
    """Serve an MCP server with the tool `echo` at `/mcp` (or `/sse`) to those who signed in for the scope `tools`."""
    late = LateApp()
    async with serving(late, lifespan="off") as state.port:
        settings = AuthSettings(
            issuer_url=AnyHttpUrl(f"http://127.0.0.1:{state.port}"),
            resource_server_url=AnyHttpUrl(f"http://127.0.0.1:{state.port}/{'sse' if sse else 'mcp'}"),
            required_scopes=["tools"],
            client_registration_options=ClientRegistrationOptions(
                enabled=state.registers, valid_scopes=["tools", "more"], default_scopes=["tools"]
            ),
            revocation_options=RevocationOptions(enabled=True),
            validate_token_resource=True,
        )
        server = MCPServer("vault", auth_server_provider=state, auth=settings)
        async with echoing(late, server):
            if sse:
                late.app = server.sse_app()
            yield state


async def browse(address: str) -> str:
    """Open an address as a browser does, following every redirect; return the last page."""
    async with httpx2.AsyncClient(follow_redirects=True) as client:
        return (await client.get(address)).text
