"""What is served at which path: `/mcp` the tools that the server was started with, `/mcp/core` the small set.

Browsers may come from the origins that are allowed, and from no other: CORS says so, and exposes the session's header.
"""

import re
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, Final

import anyio
import anyio.abc
from mcp.server.lowlevel import Server
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ostler.faces.daemon.http_answers import StreamWatch
from ostler.faces.daemon.http_pages import Page, routes_to
from ostler.faces.daemon.http_sessions import LastingSessions
from ostler.faces.dashboard.codes import OneTimeCodes
from ostler.faces.dashboard.routes import dashboard_routes
from ostler.faces.mcp.server import OstlerServer

SESSION_IDLE: Final = 900
"""Seconds that a session without a request and without an open stream is kept; its next request opens it again."""

MAX_SESSIONS: Final = 2_000
"""Sessions at once on one path; a client that would open one more is told to come back."""

ROOT: Final = "/mcp"

_EXPOSED: Final = ("Mcp-Session-Id", "Mcp-Protocol-Version", "WWW-Authenticate", "Retry-After")


class Endpoint:
    """One path of the protocol: its server is made, and its sessions run, from the first request on."""

    def __init__(
        self, make: Callable[[], Server[Any]], path: str, key: bytes, security: TransportSecuritySettings
    ) -> None:
        self._make = make
        self._path = path
        self._key = key
        self._security = security
        self._app: ASGIApp | None = None
        self._opening = anyio.Lock()
        self._tasks: anyio.abc.TaskGroup | None = None

    def __repr__(self) -> str:
        return f"Endpoint({self._path!r})"

    def open_in(self, tasks: anyio.abc.TaskGroup) -> None:
        """Run the sessions of this path in `tasks`."""
        self._tasks = tasks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request. Blanks around the value of a header do not count, and the web server leaves them."""
        headers = [(name, value.strip(b" \t")) for name, value in scope["headers"]]
        scope = {**scope, "headers": headers}
        app = await self._opened()
        await app(scope, receive, send)

    async def _opened(self) -> ASGIApp:
        if self._app is not None:
            return self._app
        async with self._opening:
            if self._app is None:
                assert self._tasks is not None, "a request before the web server has started"
                self._app = await self._tasks.start(self._run)
            assert self._app is not None
            return self._app

    async def _run(self, *, task_status: anyio.abc.TaskStatus[ASGIApp]) -> None:
        server = self._make()
        web = server.streamable_http_app(
            streamable_http_path=self._path,
            transport_security=self._security,
            session_idle_timeout=SESSION_IDLE,
            max_sessions=MAX_SESSIONS,
        )
        app: ASGIApp = web
        if isinstance(server, OstlerServer):
            app = StreamWatch(app, opened=server.subscriptions.opened, closed=server.subscriptions.closed)
        async with web.router.lifespan_context(web):
            task_status.started(LastingSessions(app, self._key))
            await anyio.sleep_forever()


def web_application(
    servers: Mapping[str, Callable[[], Server[Any]]],
    key: bytes,
    security: TransportSecuritySettings,
    version: str,
    *,
    codes: OneTimeCodes | None = None,
    pages: Mapping[str, Page] = MappingProxyType({}),
) -> Starlette:
    """Return what answers at every path.

    Args:
        servers: what makes the server of each path below `/mcp`, such as `/core`; `""` is `/mcp` itself.
        key: signs session ids, so that they outlive this process.
        security: the hosts and origins that are allowed.
        version: for `/healthz`.
        codes: what the dashboard gets its token for.
        pages: further pages by their paths.
    """
    endpoints = {f"{ROOT}{path}": Endpoint(make, f"{ROOT}{path}", key, security) for path, make in servers.items()}

    async def healthz(_request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok", "version": version})

    @asynccontextmanager
    async def running(_app: Starlette) -> AsyncGenerator[None]:
        async with anyio.create_task_group() as tasks:
            for endpoint in endpoints.values():
                endpoint.open_in(tasks)
            yield
            tasks.cancel_scope.cancel()

    routes = [Route(path, endpoint=endpoint) for path, endpoint in endpoints.items()]
    more = routes_to({"/healthz": healthz, **pages}, security)
    return Starlette(routes=[*more, *routes, *dashboard_routes(security, codes)], lifespan=running)


def for_browsers(app: ASGIApp, origins: list[str]) -> ASGIApp:
    """Return `app` for pages of `origins`, whose `:*` is any port; other pages may not read its answers."""
    if not origins:
        return app
    patterns = (
        re.escape(origin.removesuffix(":*")) + (r"(:\d{1,5})?" if origin.endswith(":*") else "") for origin in origins
    )
    return CORSMiddleware(
        app,
        allow_origin_regex="|".join(patterns),
        allow_methods=("GET", "POST", "DELETE"),
        allow_headers=("*",),
        expose_headers=_EXPOSED,
    )
