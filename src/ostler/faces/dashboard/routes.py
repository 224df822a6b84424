"""The dashboard's routes on the HTTP face: its page at `/`, and what a one-time code is exchanged for.

The page holds nothing of any user, so that anyone may load it; what it shows, and all that it does, goes through
`/mcp` as for every other client, with its token. Host and Origin are checked before any path. There is no cookie that
another page's request could carry.
"""

from collections.abc import Sequence
from typing import Final, cast

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from ostler.faces.dashboard.codes import OneTimeCodes
from ostler.model.json import parse_json

PAGE_PATH: Final = "/"
SESSION_PATH: Final = "/dashboard/session"

PUBLIC_PATHS: Final = frozenset({PAGE_PATH, SESSION_PATH})
"""What is answered without a token."""

_MAX_BODY: Final = 1_000


def dashboard_routes(codes: OneTimeCodes | None = None) -> Sequence[Route]:
    """Return the routes.

    Args:
        codes: what gives the token for a one-time code; without it, people type the token in.
    """

    async def show(request: Request) -> Response:
        from ostler.faces.dashboard.document import page  # most servers never show it

        shown = page()
        if request.headers.get("if-none-match") == shown.headers["etag"]:
            return Response(status_code=304, headers=shown.headers)
        return HTMLResponse(shown.html, headers=shown.headers)

    async def exchange(request: Request) -> Response:
        if not request.headers.get("content-type", "").lower().startswith("application/json"):
            return JSONResponse({"error": "the body must be application/json"}, 400)
        token = codes.exchange(_code_in(await _body(request))) if codes is not None else None
        if token is None:
            return JSONResponse({"error": "this code is not valid, or was used: run ostler dashboard again"}, 403)
        return JSONResponse({"token": token}, headers={"cache-control": "no-store"})

    return (Route(PAGE_PATH, show), Route(SESSION_PATH, exchange, methods=["POST"]))


async def _body(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MAX_BODY:
            return b""
    return body


def _code_in(body: bytes) -> str:
    try:
        found: object = parse_json(body)
    except ValueError:
        return ""
    return str(cast("dict[str, object]", found).get("code", "")) if isinstance(found, dict) else ""
