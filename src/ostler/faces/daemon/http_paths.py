"""What is served at which path: `/mcp` the tools that the server was started with, `/mcp/core` the small set."""

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import anyio
import anyio.abc
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from msgspec import Struct
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ostler.faces.daemon.http_answers import PRINCIPAL, StreamWatch, WaitingClients
from ostler.faces.daemon.http_listening import with_short_listening
from ostler.faces.daemon.http_pages import Page
from ostler.faces.daemon.http_sessions import LastingSessions
from ostler.faces.daemon.http_short_calls import with_short_calls
from ostler.faces.dashboard.codes import OneTimeCodes
from ostler.faces.dashboard.routes import dashboard_routes
from ostler.faces.mcp.server import OstlerServer
from ostler.model.access import LOCAL_PRINCIPAL, Principal

SESSION_IDLE: Final = 900
"""Seconds that a session without a request and without an open stream is kept; its next request opens it again."""

MAX_SESSIONS: Final = 2_000
"""Sessions at once on one path; a client that would open one more is told to come back."""

ROOT: Final = "/mcp"

_CHECKED_BEFORE: Final = TransportSecuritySettings(enable_dns_rebinding_protection=False)
"""Host and Origin are checked in front of every path."""


MAX_PRINCIPALS: Final = 1_000
"""Principals whose sessions are kept on one path; those of the one who came least lately are closed, and opened again
with their next request."""

MakeServer: TypeAlias = Callable[[str, Principal], Server[Any]]
"""`make(toolset, principal)`: the MCP server for one principal; without a name, with the server's own toolset."""


class Endpoint:
    """One path of the protocol: each principal has a server and sessions of its own, from its first request on."""

    def __init__(self, make: Callable[[Principal], Server[Any]], path: str, key: bytes) -> None:
        self._make = make
        self._path = path
        self._key = key
        self._served: OrderedDict[Principal, _Served] = OrderedDict()
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
        app = await self._opened(scope.get(PRINCIPAL, LOCAL_PRINCIPAL))
        await app(scope, receive, send)

    async def _opened(self, principal: Principal) -> ASGIApp:
        if (served := self._served.get(principal)) is None:
            async with self._opening:
                if (served := self._served.get(principal)) is None:
                    assert self._tasks is not None, "a request before the web server has started"
                    served = self._served[principal] = await self._tasks.start(self._run, principal)
                    if len(self._served) > MAX_PRINCIPALS:
                        _, left = self._served.popitem(last=False)
                        left.scope.cancel()
        self._served.move_to_end(principal)
        return served.app

    def _key_of(self, principal: Principal) -> bytes:
        """Return what the ids of a principal's sessions are signed with: no other principal, or path, knows them."""
        if principal == LOCAL_PRINCIPAL and self._path == ROOT:
            return self._key
        return hmac.new(self._key, f"{self._path} {principal.name}".encode(), hashlib.sha256).digest()

    async def _run(self, principal: Principal, *, task_status: anyio.abc.TaskStatus["_Served"]) -> None:
        server = self._make(principal)
        sessions = StreamableHTTPSessionManager(
            server,
            security_settings=_CHECKED_BEFORE,
            session_idle_timeout=SESSION_IDLE,
            max_sessions=MAX_SESSIONS,
        )
        app: ASGIApp = sessions.handle_request
        if isinstance(server, OstlerServer):
            app = StreamWatch(app, opened=server.subscriptions.opened, closed=server.subscriptions.closed)
        app = with_short_listening(LastingSessions(app, self._key_of(principal)), server)
        waiting = WaitingClients()
        app = with_short_calls(app, server, waiting)
        with anyio.CancelScope() as scope:
            async with sessions.run():
                task_status.started(_Served(app, scope))
                await waiting.reassure()


class _Served(Struct, frozen=True, eq=False):
    """The application of one principal, and the scope that ends it."""

    app: ASGIApp
    scope: anyio.CancelScope


@asynccontextmanager
async def web_application(
    make: MakeServer,
    key: bytes,
    version: str,
    *,
    toolsets: Sequence[str] = (),
    codes: OneTimeCodes | None = None,
    pages: Mapping[str, Page] = MappingProxyType({}),
    more: Sequence[BaseRoute] = (),
) -> AsyncGenerator[ASGIApp]:
    """Yield the application that answers at every path, until the block ends.

    Args:
        make: makes the server of `/mcp`, and of each path below it.
        key: signs session ids, so that they outlive this process.
        version: for `/healthz`.
        toolsets: those with their own path, such as `/mcp/core`.
        codes: exchanges the dashboard's one-time codes for its token.
        pages: further pages by their paths.
        more: further routes.
    """
    paths = {ROOT: "", **{f"{ROOT}/{toolset}": toolset for toolset in toolsets}}
    endpoints = {path: Endpoint(partial(make, toolset), path, key) for path, toolset in paths.items()}

    async def healthz(_request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok", "version": version})

    routes = [Route(path, endpoint=endpoint) for path, endpoint in endpoints.items()]
    around = [
        *(Route(path, page) for path, page in {"/healthz": healthz, **pages}.items()),
        *more,
        *dashboard_routes(codes),
    ]
    others = Starlette(routes=[*around, *routes])

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = endpoints.get(scope["path"]) if scope["type"] == "http" else None
        await (endpoint or others)(scope, receive, send)  # the most frequent requests skip the search for a route

    async with anyio.create_task_group() as tasks:
        for endpoint in endpoints.values():
            endpoint.open_in(tasks)
        yield answer
        tasks.cancel_scope.cancel()
