"""Streamable HTTP in addition to the local socket, for containers and remote clients.

Host and Origin are checked, so that a web page cannot reach the server through the user's browser. Any address but
loopback needs a bearer token as well.
"""

import ipaddress
import logging
import secrets
import socket
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from ssl import SSLContext, TLSVersion
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import urlsplit

import anyio
import uvicorn
from starlette.routing import Route
from starlette.types import ASGIApp

from ostler.faces.daemon.forwarded_requests import ForwardedClients
from ostler.faces.daemon.http_answers import LoadShedding, PlainAnswers, ShutdownAnswers
from ostler.faces.daemon.http_faults import HttpSettingsError
from ostler.faces.daemon.http_hosts import Front, Hosts
from ostler.faces.daemon.http_pages import Page
from ostler.faces.daemon.http_paths import MakeServer, web_application
from ostler.faces.dashboard.codes import OneTimeCodes
from ostler.faces.dashboard.routes import PUBLIC_PATHS
from ostler.faces.hanging_up import HangingUp
from ostler.model.access import OAuthSettings, PrincipalSettings
from ostler.model.web_addresses import parse_host, require_host

if TYPE_CHECKING:
    from mcp.server.auth.provider import TokenVerifier

    from ostler.adapters.access.token_file import TokenFile
    from ostler.faces.daemon.forwarding import Feed, Forwarder
    from ostler.faces.daemon.http_tls import Certificate

TOKEN_VARIABLE: Final = "OSTLER_HTTP_TOKEN"  # noqa: S105 (the variable's name, not a token)
"""The environment variable that holds the bearer token."""

SHUTDOWN_GRACE: Final = 2
"""Seconds for HTTP requests under way when the server ends."""

_MIN_TOKEN: Final = 16

_ANY_ADDRESS: Final = ("0.0.0.0", "::")  # noqa: S104 (these are not names of this machine)

PolicyOf: TypeAlias = Callable[[str], PrincipalSettings | None]
"""Returns the policy of a principal by its name."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Where and to which clients to serve HTTP.

    Attributes:
        host: an address or host name to bind.
        port: 0 takes a free one.
        token: what clients send as `Authorization: Bearer …`; empty asks for none (loopback only).
        allowed_hosts: Host headers to accept besides the server's own names, with a port only that one.
        allowed_origins: Origin headers to accept besides those of all these hosts.
        session_key: signs the ids of sessions; servers with the same key accept each other's.
        tokens: the file of static tokens, if there is one.
        oauth: the authorization server whose access tokens are accepted, if there is one.
        tls: the certificate for https; None serves plain http.
    """

    host: str
    port: int
    token: str = field(default="", repr=False)
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    session_key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    tokens: "TokenFile | None" = None
    oauth: OAuthSettings | None = None
    tls: "Certificate | None" = None

    @property
    def verifiers(self) -> "list[TokenVerifier]":
        """What verifies tokens; empty if none are required."""
        if not (self.token or self.tokens is not None or self.oauth is not None):
            return []
        from ostler.adapters.access.access_tokens import AccessTokens
        from ostler.adapters.access.proofs import SharedToken, StaticTokens

        shared: list[TokenVerifier] = [SharedToken(self.token)] if self.token else []
        static: list[TokenVerifier] = [StaticTokens(self.tokens)] if self.tokens is not None else []
        delegated: list[TokenVerifier] = [AccessTokens(self.oauth)] if self.oauth is not None else []
        return [*shared, *static, *delegated]

    @property
    def metadata_url(self) -> str:
        """Where the document is that names the authorization server (RFC 9728); empty without one."""
        if self.oauth is None:
            return ""
        from ostler.faces.daemon.http_metadata import metadata_url  # few servers have an authorization server

        return metadata_url(self.oauth)

    @property
    def scopes(self) -> tuple[str, ...]:
        """What a token of the authorization server must have."""
        return () if self.oauth is None else self.oauth.scopes

    @property
    def documents(self) -> list[Route]:
        """The documents that describe how to authenticate."""
        if self.oauth is None:
            return []
        from ostler.faces.daemon.http_metadata import metadata_routes

        return metadata_routes(self.oauth)

    def hosts(self, certified: Sequence[str] = ()) -> Hosts:
        """Return the host names that requests may have, including those of its certificate."""
        own = ["127.0.0.1", "localhost", "::1"]
        if self.host not in _ANY_ADDRESS:
            own.append(self.host.lower())
        if not self.is_loopback:
            own.append(socket.gethostname().lower())
        if self.oauth is not None:
            own.append(urlsplit(self.oauth.resource).hostname or "")
        named = tuple(filter(None, map(parse_host, (*self.allowed_hosts, *certified))))
        return Hosts(tuple(dict.fromkeys(own)), self.is_loopback, named, self.allowed_origins)

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return "http" if self.tls is None else "https"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def seen_from_elsewhere(self, url: str) -> str:
        """Return the URL at which other servers reach `url`; they find out the host if it is `*`."""
        parts = urlsplit(url)
        host = "*" if self.host in _ANY_ADDRESS else parts.netloc.rpartition(":")[0]
        return f"{parts.scheme}://{host}:{parts.port}"

    def check(self) -> None:
        """Raise HttpSettingsError if strangers could use the server."""
        if self.token and len(self.token) < _MIN_TOKEN:
            raise HttpSettingsError(f"the HTTP token in {TOKEN_VARIABLE} is shorter than {_MIN_TOKEN} characters")
        for host in self.allowed_hosts:
            try:
                require_host(host)
            except ValueError as error:
                raise HttpSettingsError(f"--allowed-host: {error}") from None
        if not self.is_loopback and not self.verifiers:
            raise HttpSettingsError(
                f"{self.host} can be reached from other machines, so a bearer token is required: "
                f"set {TOKEN_VARIABLE} to a secret of {_MIN_TOKEN} characters or more, make a token for each person "
                "with 'ostler token add NAME', or bind 127.0.0.1"
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
    make: MakeServer,
    settings: HttpSettings,
    *,
    version: str,
    toolsets: Sequence[str] = (),
    codes: OneTimeCodes | None = None,
    started: Callable[[uvicorn.Server], None] | None = None,
    pages: Mapping[str, Page] = MappingProxyType({}),
    policy: PolicyOf | None = None,
    forwarder: "Forwarder | None" = None,
    feed: "Feed | None" = None,
) -> AsyncGenerator[str]:
    """Serve MCP at `/mcp`, the dashboard at `/`, and `/healthz`; yield the URL of `/mcp`.

    Args:
        make: makes the MCP server of each principal, called with its first request at `/mcp` and at `/mcp/TOOLSET`.
        settings: where, and to which clients.
        version: for `/healthz`.
        toolsets: those with their own path, such as `/mcp/core`.
        codes: one-time codes that the dashboard's link may have instead of the token.
        started: called with the web server when it listens.
        pages: further pages by their paths.
        policy: returns the policy of a principal by name; None admits only holders of `settings.token`.
        forwarder: listens already, and lets this answer from here on.
        feed: with `forwarder`: what the servers that stand by follow.

    Raises:
        HttpSettingsError: the address may not, or cannot, be served.
    """
    settings.check()
    async with gated_web(
        make, settings, version=version, toolsets=toolsets, codes=codes, pages=pages, policy=policy
    ) as web:
        app = ForwardedClients(web, settings.session_key)
        if forwarder is None:
            async with _listening(app, settings) as listener:
                if started is not None:
                    started(listener)
                yield f"{listener.address}/mcp"
            return
        async with forwarder.serving_here(app, feed):
            yield forwarder.url


@asynccontextmanager
async def gated_web(
    make: MakeServer,
    settings: HttpSettings,
    *,
    version: str,
    toolsets: Sequence[str],
    codes: OneTimeCodes | None = None,
    pages: Mapping[str, Page] = MappingProxyType({}),
    policy: PolicyOf | None = None,
) -> AsyncGenerator[ASGIApp]:
    """Yield the application behind authentication; the arguments are those of `serving_http`."""
    async with web_application(
        make, settings.session_key, version, toolsets=toolsets, codes=codes, pages=pages, more=settings.documents
    ) as web:
        yield _gated(web, settings, policy or _no_policy)


@asynccontextmanager
async def forwarding_http(forwarder: "Forwarder", settings: HttpSettings) -> AsyncGenerator[str]:
    """Listen before there is anything to serve: `forwarder` answers; yield the URL of `/mcp`.

    Raises:
        HttpSettingsError: the address may not, or cannot, be served.
    """
    settings.check()
    async with forwarder.open(), _listening(forwarder, settings) as listener:
        forwarder.url, forwarder.end = f"{listener.address}/mcp", listener.end
        yield forwarder.url


@asynccontextmanager
async def _listening(app: ASGIApp, settings: HttpSettings) -> AsyncGenerator["_QuietServer"]:
    """Let `app` answer at the address of the settings."""
    from ostler.faces.daemon.http_connections import Connection  # as late as uvicorn itself loads its protocol

    bound = await _bind(settings)
    port: int = bound.getsockname()[1]
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    when_ending: set[Callable[[], None]] = set()
    hosts = settings.hosts([] if settings.tls is None else settings.tls.names())
    front = Front(ShutdownAnswers(app, when_ending), hosts)
    config = uvicorn.Config(
        front,
        http=Connection,
        log_config=None,
        proxy_headers=False,
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=SHUTDOWN_GRACE,
        ssl_certfile=None if settings.tls is None else settings.tls.chain,
        ssl_keyfile=None if settings.tls is None else str(settings.tls.key),
    )
    config.load()
    web = _QuietServer(config, f"{settings.scheme}://{host}:{port}", when_ending)
    following = anyio.CancelScope()
    with bound:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_run, web, bound)
            if settings.tls is not None and config.ssl is not None:
                config.ssl.minimum_version = TLSVersion.TLSv1_2
                tasks.start_soon(_follow, settings, config.ssl, front, following)
            try:
                await web.listens.wait()
                if not web.started:
                    raise HttpSettingsError("the HTTP server did not start; the log above says why")
                yield web
            finally:
                web.should_exit = True
                following.cancel()


class _QuietServer(uvicorn.Server):
    """uvicorn that reports when it listens, and leaves signals to the process that runs it."""

    def __init__(self, config: uvicorn.Config, address: str, when_ending: set[Callable[[], None]]) -> None:
        super().__init__(config)
        self._when_ending = when_ending
        self.address = address
        """Where it listens, as `http://HOST:PORT`."""
        self.listens = anyio.Event()
        self.ended = anyio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for call in tuple(self._when_ending):
            call()
        await super().shutdown(sockets)

    async def end(self) -> None:
        """Take no more requests, and wait for those that are under way, within its grace."""
        self.should_exit = True
        await self.ended.wait()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


async def _run(web: _QuietServer, bound: socket.socket) -> None:
    with anyio.CancelScope(shield=True):  # it ends by `should_exit`, within its own grace
        await web.serve(sockets=[bound])
    web.ended.set()


async def _follow(settings: HttpSettings, context: SSLContext, front: Front, scope: anyio.CancelScope) -> None:
    if settings.tls is not None:
        with scope:
            await settings.tls.follow(context, lambda names: front.use(settings.hosts(names)))


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


def _no_policy(name: str) -> PrincipalSettings | None:
    del name


def _gated(web: ASGIApp, settings: HttpSettings, policy: PolicyOf) -> ASGIApp:
    """Return `web` behind authentication and load limits."""
    app: ASGIApp = HangingUp(LoadShedding(PlainAnswers(web)))
    if verifiers := settings.verifiers:
        from ostler.adapters.access.proofs import AnyOf  # a server for one person has no gate
        from ostler.faces.daemon.http_gate import Entrance, Gate

        open_paths = PUBLIC_PATHS | {route.path for route in settings.documents}
        app = Gate(app, Entrance(AnyOf(verifiers), policy, settings.metadata_url, settings.scopes, open_paths))
    return app
