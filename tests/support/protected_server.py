"""A real MCP server behind OAuth: the SDK's own resource server, whose tokens a test gives and takes away."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer
from pydantic import AnyHttpUrl
from tests.support.web import LateApp, echoing, serving

ISSUER = "https://login.example.com"


@dataclass
class Guard:
    """Which tokens are good, and with which scopes; the test changes it while the server runs."""

    tokens: dict[str, list[str]] = field(default_factory=dict)
    port: int = 0

    async def verify_token(self, token: str) -> AccessToken | None:
        scopes = self.tokens.get(token)
        return None if scopes is None else AccessToken(token=token, client_id="tester", scopes=scopes)


@asynccontextmanager
async def protected_server(guard: Guard, *, port: int = 0) -> AsyncGenerator[Guard]:
    """Serve an MCP server with the tool `echo` at `/mcp` that demands a token with the scope `tools`."""
    late = LateApp()
    async with serving(late, port=port, lifespan="off") as guard.port:
        url = AnyHttpUrl(f"http://127.0.0.1:{guard.port}/mcp")
        auth = AuthSettings(
            issuer_url=AnyHttpUrl(ISSUER),
            resource_server_url=url,
            required_scopes=["tools"],
            validate_token_resource=False,
        )
        server = MCPServer("protected", token_verifier=guard, auth=auth)
        async with echoing(late, server):
            yield guard
