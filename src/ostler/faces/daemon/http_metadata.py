"""The document that says where to get an access token for this server (RFC 9728)."""

from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from ostler.model.access import OAuthSettings

WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"


def metadata_path(settings: OAuthSettings) -> str:
    """Return where the document is: the well-known path goes before that of the resource."""
    return WELL_KNOWN + urlsplit(settings.resource).path.rstrip("/")


def metadata_url(settings: OAuthSettings) -> str:
    """Return the public address of the document."""
    parts = urlsplit(settings.resource)
    return f"{parts.scheme}://{parts.netloc}{metadata_path(settings)}"


def metadata_routes(settings: OAuthSettings) -> list[Route]:
    """Return the routes to the document: its own, and the root path, which some clients use.

    The SDK's own route writes addresses in another form (it adds a slash to an issuer without a path), and clients
    compare an issuer letter by letter.
    """
    document: dict[str, object] = {
        "resource": settings.resource,
        "authorization_servers": [settings.issuer],
        "bearer_methods_supported": ["header"],
        "resource_name": "Ostler",
    }
    if settings.scopes:
        document["scopes_supported"] = list(settings.scopes)

    async def show(_request: Request) -> JSONResponse:
        return JSONResponse(document, headers={"cache-control": "public, max-age=300"})

    return [Route(path, show) for path in dict.fromkeys((metadata_path(settings), WELL_KNOWN))]
