#!/usr/bin/env bash
# Guess: a resource server made with the SDK names its authorization server as it was told, so that the client of the same
#        SDK can sign in: the issuer in both documents is the same text, as RFC 8414 and RFC 9728 ask.
# Seen:  "http://127.0.0.1:9000" is served as "http://127.0.0.1:9000/" in the protected-resource document, since the URL
#        type adds a slash to an address without a path. The SDK's own client compares the issuer as text with the one
#        that the authorization server names without the slash, and refuses to sign in.
# With:  mcp 2.3.0 (PyPI) on both sides; the authorization server is one document.
# Why:   any authorization server whose issuer has no path is refused, while one with a path works. A resource server has
#        to write that document itself, or the issuer with the slash at both places.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install mcp==2.3.0
PORT=$(free_port)
judge 60 "$PORT" <<'PY'
import asyncio
import logging
import sys

import httpx2
import uvicorn
from mcp.client.auth import OAuthClientProvider
from mcp.server.auth.routes import create_protected_resource_routes
from mcp.shared.auth import OAuthClientMetadata
from pydantic import AnyHttpUrl
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from wire import finish, show

logging.disable()
ISSUER = f"http://127.0.0.1:{sys.argv[1]}"


class Storage:
    async def get_tokens(self): return None
    async def set_tokens(self, tokens): pass
    async def get_client_info(self): return None
    async def set_client_info(self, client_info): pass


def document(issuer):
    named = {"authorization_endpoint": "authorize", "token_endpoint": "token", "registration_endpoint": "register"}
    return {"issuer": issuer, "response_types_supported": ["code"], "code_challenge_methods_supported": ["S256"],
            **{key: f"{ISSUER}/{path}" for key, path in named.items()}}


async def closed(_request):
    return Response(status_code=401, headers={"WWW-Authenticate": f'Bearer resource_metadata="{ISSUER}/.well-known/oauth-protected-resource/mcp"'})


async def sign_in(issuer):
    routes = create_protected_resource_routes(AnyHttpUrl(f"{ISSUER}/mcp"), [AnyHttpUrl(issuer)])
    path = issuer.removeprefix(ISSUER)

    async def metadata(_request):
        return JSONResponse(document(issuer))

    app = Starlette(routes=[*routes, Route("/mcp", closed), Route(f"/.well-known/oauth-authorization-server{path}", metadata)])
    server = uvicorn.Server(uvicorn.Config(app, port=int(sys.argv[1]), log_level="error"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.05)
    async with httpx2.AsyncClient() as plain:
        told = (await plain.get(f"{ISSUER}/.well-known/oauth-protected-resource/mcp")).json()["authorization_servers"]
    provider = OAuthClientProvider(f"{ISSUER}/mcp", OAuthClientMetadata(client_name="f", redirect_uris=["http://127.0.0.1:1/cb"]), Storage())
    error = ""
    try:
        async with httpx2.AsyncClient(auth=provider) as signing:
            await signing.get(f"{ISSUER}/mcp")
    except Exception as failure:
        error = f"{type(failure).__name__}: {failure}"
    server.should_exit = True
    await serving
    show(f"told {issuer}; the document says {told}; the client ends with {error!r}")
    return told, error


async def main():
    told, error = await sign_in(ISSUER)
    other, later = await sign_in(f"{ISSUER}/realm")
    return (
        (told == [f"{ISSUER}/"], "the slash is added"),
        ("issuer" in error.lower(), "the client refuses the issuer"),
        (other == [f"{ISSUER}/realm"], "a path stays as it is"),
        ("issuer" not in later.lower(), "the issuer with a path passes"),
    )


finish(*asyncio.run(main()))
PY
