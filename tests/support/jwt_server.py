"""A real OAuth authorization server whose access tokens are JWTs: the SDK's own routes, with keys that rotate."""

import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from mcp.server.auth.provider import RefreshToken
from mcp.server.auth.routes import build_metadata, create_auth_routes
from mcp.server.auth.settings import ClientRegistrationOptions, RevocationOptions
from mcp.shared.auth import OAuthToken
from pydantic import AnyHttpUrl
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from tests.support.oauth_server import AuthorizationServer
from tests.support.web import LateApp, serving

SCOPE = "ostler"


@dataclass
class JwtServer(AuthorizationServer):
    """See the module.

    Attributes:
        subject: who consents in the browser.
        key_id: of the key that signs now; `rotate` makes another.
        key_fetches: how often the keys were asked for.
        held: while it is set, an answer with the keys waits.
        asked: set when the keys were asked for.
    """

    subject: str = "alice"
    key_id: str = ""
    keys: dict[str, rsa.RSAPrivateKey] = field(default_factory=dict[str, rsa.RSAPrivateKey])
    key_fetches: int = 0
    held: anyio.Event | None = None
    asked: anyio.Event = field(default_factory=anyio.Event)
    scopes: str = SCOPE

    def __post_init__(self) -> None:
        self.rotate()

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def rotate(self) -> None:
        """Sign with a new key; the earlier one is withdrawn."""
        self.key_id = f"key-{len(self.keys) + 1}"
        self.keys[self.key_id] = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def claims(self, resource: str, **changes: Any) -> dict[str, Any]:
        """Return the claims of a good token; those that are changed to None are left out."""
        now = int(time.time())
        made = {"iss": self.issuer, "aud": resource, "sub": self.subject, "client_id": "test", "scope": self.scopes}
        made |= {"iat": now, "exp": now + self.lifetime, "jti": str(len(self.issued)), **changes}
        return {key: value for key, value in made.items() if value is not None}

    def token(self, resource: str, headers: dict[str, Any] | None = None, **changes: Any) -> str:
        """Return a signed token."""
        head = {"kid": self.key_id, "typ": "at+jwt", **(headers or {})}
        return jwt.encode(self.claims(resource, **changes), self.keys[self.key_id], "RS256", headers=head)

    def _issue(self, client_id: str, scopes: list[str], resource: str | None) -> OAuthToken:
        access = self.token(resource or "", client_id=client_id, scope=" ".join(scopes))
        refresh = RefreshToken(token=f"r{len(self.issued)}", client_id=client_id, scopes=scopes, resource=resource)
        self.refresh[refresh.token] = refresh
        self.issued.append(access)
        return OAuthToken(access_token=access, expires_in=self.lifetime, refresh_token=refresh.token, scope=SCOPE)

    async def show_keys(self, request: Request) -> JSONResponse:
        """Answer the key set: the key that signs, and one of another kind that is of no use."""
        del request
        self.key_fetches += 1
        self.asked.set()
        if self.held is not None:
            await self.held.wait()
        public = json.loads(RSAAlgorithm.to_jwk(self.keys[self.key_id].public_key()))
        shared = {"kty": "oct", "k": "c2VjcmV0", "kid": "shared", "alg": "HS256"}
        return JSONResponse({"keys": [shared, {**public, "kid": self.key_id, "alg": "RS256", "use": "sig"}]})


@asynccontextmanager
async def jwt_server() -> AsyncGenerator[JwtServer]:
    """Serve an authorization server."""
    state, late = JwtServer(), LateApp()
    async with serving(late, lifespan="off") as state.port:
        issuer = AnyHttpUrl(state.issuer)
        registration = ClientRegistrationOptions(enabled=True, valid_scopes=[SCOPE], default_scopes=[SCOPE])
        revocation = RevocationOptions(enabled=False)
        metadata = build_metadata(issuer, None, registration, revocation).model_dump(mode="json", exclude_none=True)

        async def show_metadata(request: Request) -> JSONResponse:
            del request
            return JSONResponse({**metadata, "issuer": state.issuer, "jwks_uri": f"{state.issuer}/keys"})

        own = [
            Route("/.well-known/oauth-authorization-server", show_metadata),
            Route("/keys", state.show_keys),
        ]
        late.app = Starlette(routes=[*own, *create_auth_routes(state, issuer, None, registration, revocation)])
        yield state
