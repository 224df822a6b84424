"""Streamable HTTP in addition to the local socket, for containers and remote clients.

On loopback the SDK checks Host and Origin, so that a web page cannot reach the server through the user's browser.
Any other address needs a bearer token; then a browser without it gets nothing, whatever its Host header says.
"""

import hmac
import ipaddress
import logging
import secrets
import socket
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import anyio
import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.transport_security import TransportSecuritySettings
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from ostler.faces.daemon.http_answers import LoadShedding, PlainAnswers, header
from ostler.faces.daemon.http_pages import OPEN_PATHS, Page
from ostler.faces.daemon.http_paths import for_browsers, web_application
from ostler.faces.dashboard.codes import OneTimeCodes
from ostler.faces.dashboard.routes import PUBLIC_PATHS
from ostler.faces.hanging_up import HangingUp

TOKEN_VARIABLE: Final = "OSTLER_HTTP_TOKEN"  # noqa: S105 (the variable's name, not a token)
"""The environment variable that holds the bearer token."""

_SHUTDOWN_GRACE: Final = 2
"""Seconds for HTTP requests under way when the server ends."""

_MIN_TOKEN: Final = 16

logger = logging.getLogger(__name__)


class HttpSettingsError(Exception):
    """The HTTP address cannot be served as asked; the text says what to change."""


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Where and to which clients to serve HTTP.

    Attributes:
        host: an address or host name to bind.
        port: 0 takes a free one.
        token: what clients send as `Authorization: Bearer …`; empty asks for none (loopback only).
        allowed_hosts: Host headers to accept besides loopback names; `name:*` takes any port.
        allowed_origins: Origin headers to accept besides the loopback ones and the allowed hosts.
        session_key: what the ids of sessions are signed with; servers with the same key know each other's.
    """

    host: str
    port: int
    token: str = ""
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    session_key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def check(self) -> None:
        """Raise HttpSettingsError when strangers could use the server."""
        if self.token and len(self.token) < _MIN_TOKEN:
            raise HttpSettingsError(f"the HTTP token in {TOKEN_VARIABLE} is shorter than {_MIN_TOKEN} characters")
        if not self.is_loopback and not self.token:
            raise HttpSettingsError(
                f"{self.host} can be reached from other machines, so a bearer token is required: "
                f"set {TOKEN_VARIABLE} to a secret of {_MIN_TOKEN} characters or more, or bind 127.0.0.1"
            )


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of `:8765`, `8765`, `127.0.0.1:8765`, `[::1]:8765`; without a host it is loopback.

    Raises:
        HttpSettingsError: it is not an address.
    """
    host, separator, port = text.rpartition(":")
    if not separator:
        host, port = "", text
    host = host.removeprefix("[").removesuffix("]")
    if not port.isdecimal() or int(port) > 65535:
        raise HttpSettingsError(f"{text!r} is not an address; write it like ':8765' or '127.0.0.1:8765'")
    return host or "127.0.0.1", int(port)


@asynccontextmanager
async def serving_http(
    server: Server[Any],
    settings: HttpSettings,
    *,
    version: str,
    toolsets: Mapping[str, Callable[[], Server[Any]]] | None = None,
    codes: OneTimeCodes | None = None,
    started: Callable[[uvicorn.Server], None] | None = None,
    pages: Mapping[str, Page] = MappingProxyType({}),
) -> AsyncGenerator[str]:
    """Serve `server` at `/mcp`, the dashboard at `/`, and `/healthz`; yield the URL of `/mcp`.

    Args:
        server: what `/mcp` answers with.
        settings: where, and to which clients.
        version: for `/healthz`.
        toolsets: what makes the server of `/mcp/NAME`, by name.
        codes: one-time codes that the dashboard's link may have instead of the token.
        started: called with the web server when it listens.
        pages: further pages by their paths.

    Raises:
        HttpSettingsError: the address may not, or cannot, be served.
    """
    settings.check()
    servers = {"": lambda: server, **{f"/{name}": make for name, make in (toolsets or {}).items()}}
    bound = await _bind(settings)
    port: int = bound.getsockname()[1]
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    config = uvicorn.Config(
        _application(servers, settings, version, codes, pages),
        log_config=None,
        proxy_headers=False,
        access_log=False,
        lifespan="on",
        ws="none",
        timeout_graceful_shutdown=_SHUTDOWN_GRACE,
    )
    web = _QuietServer(config)
    with bound:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_run, web, bound)
            try:
                await web.listens.wait()
                if not web.started:
                    raise HttpSettingsError("the HTTP server did not start; the log above says why")
                if started is not None:
                    started(web)
                yield f"http://{host}:{port}/mcp"
            finally:
                web.should_exit = True


class _QuietServer(uvicorn.Server):
    """uvicorn, which says when it listens, with the signals left to the process that runs it."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = anyio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


async def _run(web: uvicorn.Server, bound: socket.socket) -> None:
    with anyio.CancelScope(shield=True):  # it ends by `should_exit`, within its own grace
        await web.serve(sockets=[bound])


async def _bind(settings: HttpSettings) -> socket.socket:
    try:
        found = await anyio.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)
        family, _, _, _, address = found[0]
        # asyncio sets TCP_NODELAY only on what a socket of this very protocol accepts; without it, each answer waits
        # 40 ms for the client's delayed acknowledgement.
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except OSError:
            bound.close()
            raise
    except OSError as error:
        raise HttpSettingsError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}; "
            "choose another --http address"
        ) from error
    return bound


def _application(
    servers: Mapping[str, Callable[[], Server[Any]]],
    settings: HttpSettings,
    version: str,
    codes: OneTimeCodes | None,
    pages: Mapping[str, Page],
) -> ASGIApp:
    security = _security(settings)
    app: ASGIApp = web_application(servers, settings.session_key, security, version, codes=codes, pages=pages)
    app = HangingUp(LoadShedding(PlainAnswers(app)))
    if settings.token:
        app = _BearerGate(app, settings.token)
    return for_browsers(app, security.allowed_origins or [*settings.allowed_origins])


def _security(settings: HttpSettings) -> TransportSecuritySettings:
    if not settings.is_loopback and not settings.allowed_hosts:
        # The names under which other machines know this one are not known here; the token protects.
        return TransportSecuritySettings(enable_dns_rebinding_protection=False)
    own = f"[{settings.host}]:*" if ":" in settings.host else f"{settings.host}:*"
    bound = [own] if settings.is_loopback else []  # 0.0.0.0 is not a host
    named = ("127.0.0.1:*", "localhost:*", "[::1]:*", *bound, *settings.allowed_hosts)
    # Clients leave the scheme's own port out, which `:*` does not cover.
    hosts = [each for name in dict.fromkeys(named) for each in dict.fromkeys((name, name.removesuffix(":*")))]
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=hosts,
        allowed_origins=[
            *(f"{scheme}://{host}" for host in hosts for scheme in ("http", "https")),
            *settings.allowed_origins,
        ],
    )


_PUBLIC: Final = PUBLIC_PATHS | OPEN_PATHS


class _BearerGate:
    """Lets requests with the token through, and anyone to what is open and to the dashboard's page, which is empty."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in _PUBLIC and not self._admits(scope):
            refusal = JSONResponse(
                {"error": "a valid bearer token is required"}, 401, headers={"WWW-Authenticate": "Bearer"}
            )
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _admits(self, scope: Scope) -> bool:
        scheme, _, token = header(scope, b"authorization").partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._token)
