"""The names of this server: Host and Origin of each request are checked before anything else.

A page can let its own name point at this machine (DNS rebinding). Then the user's browser sends its requests here as
if they were the page's own, with that name as Host. A number cannot be made to point elsewhere, so a server that other
machines reach takes every IP address as Host.
"""

import ipaddress
import json
import logging
import re
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from ostler.faces.daemon.http_answers import answer_json, header
from ostler.faces.daemon.http_pages import OPEN_PATHS
from ostler.model.web_addresses import parse_host

ANY: Final = "*"

_LEFT_OUT: Final = ("80", "443")
"""Ports that clients leave out, which one depends on the scheme that they, or a proxy, are asked with."""

_EXPOSED: Final = ("Mcp-Session-Id", "Mcp-Protocol-Version", "WWW-Authenticate", "Retry-After")

_SHOWN: Final = 100

logger = logging.getLogger(__name__)


class Hosts(Struct, frozen=True):
    """The names that a server has.

    Attributes:
        own: names that are always accepted, with any port.
        is_loopback: whether only this machine can connect.
        named: further names and ports, as `parse_host` gives them; an empty port is any. `*.example.com` is each name
            below it, and `*` any name.
        origins: further origins that pages may come from; `:*` is any port.
    """

    own: tuple[str, ...]
    is_loopback: bool
    named: tuple[tuple[str, str], ...] = ()
    origins: tuple[str, ...] = ()

    def accepts(self, host: str) -> bool:
        """Whether a Host header names this server."""
        if (parsed := parse_host(host)) is None:
            return False
        name, port = parsed
        address = _address(name)
        if address is not None and (not self.is_loopback or address.is_loopback):
            return True
        return self._knows(name, port) or any(entry == ANY for entry, _ in self.named)

    def accepts_origin(self, origin: str, host: str) -> bool:
        """Whether a page of `origin` may send a request with that Host, which is accepted."""
        if any(_is_like(origin, entry) for entry in self.origins):
            return True
        try:
            scheme, netloc, *_ = urlsplit(origin)
        except ValueError:
            return False
        if scheme not in ("http", "https") or (parsed := parse_host(netloc)) is None:
            return False
        return netloc.lower() == host.lower() or self._knows(*parsed)

    def for_browsers(self) -> list[str]:
        """Return the origins whose pages may read answers; `:*` is any port."""
        listed = ((name, port or ANY) for name, port in self.named if not name.startswith(ANY))
        pairs = dict.fromkeys([*((name, ANY) for name in self.own), *listed])
        names = [f"{f'[{name}]' if ':' in name else name}:{port}" for name, port in pairs]
        return [*(f"{scheme}://{name}" for name in names for scheme in ("http", "https")), *self.origins]

    def _knows(self, name: str, port: str) -> bool:
        address = _address(name)
        if name in self.own or (address is not None and address.is_loopback):
            return True
        ports = {"", ANY, *((port,) if port else _LEFT_OUT)}
        return any(
            wanted in ports and (name == entry or (entry.startswith("*.") and name.endswith(entry[1:])))
            for entry, wanted in self.named
        )


class HostCheck:
    """Refuses requests that name another host, or come from a page of another origin, and says how to allow them."""

    def __init__(self, app: ASGIApp, hosts: Hosts) -> None:
        self._app = app
        self._hosts = hosts
        self._accepted: tuple[bytes, bytes] | None = None
        """The names that were accepted last: a client's next request has them, too."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS and (refusal := self._refusal(scope)):
            status, text = refusal
            logger.warning("refused a request: %s", text)
            error = {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": text}}
            await answer_json(send, status, json.dumps(error).encode())
            return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        stated = header(scope, b"host"), header(scope, b"origin")
        if stated == self._accepted:
            return None
        host, origin = (name.strip(b" \t").decode("latin-1") for name in stated)
        if not self._hosts.accepts(host):
            return 421, (
                f"{_quoted(host)} is not a name of this server. Next: use one of its own, or start it with "
                "--allowed-host NAME, or write allowedHosts under [http] in ostler.toml"
            )
        if origin and not self._hosts.accepts_origin(origin, host):
            return 403, (
                f"pages of {_quoted(origin)} may not use this server. Next: write the origin into allowedOrigins "
                "under [http] in ostler.toml, if they should"
            )
        self._accepted = stated
        return None


class Front:
    """The outermost application: checks Host and Origin by names that may change while the server runs."""

    def __init__(self, app: ASGIApp, hosts: Hosts) -> None:
        self._app = app
        self.use(hosts)

    def use(self, hosts: Hosts) -> None:
        """Take requests for `hosts` from now on."""
        self._checked = HostCheck(self._app, hosts)
        self._for_pages = _for_browsers(self._checked, hosts.for_browsers())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; one that no page sends, and whose answer no cache keeps, needs nothing for browsers."""
        is_plain = scope["type"] == "http" and scope["method"] == "POST" and not header(scope, b"origin")
        await (self._checked if is_plain else self._for_pages)(scope, receive, send)


def _for_browsers(app: ASGIApp, origins: list[str]) -> ASGIApp:
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


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _is_like(origin: str, entry: str) -> bool:
    start = entry.removesuffix("*")
    return origin == entry or (entry.endswith(":*") and origin.startswith(start) and origin[len(start) :].isdecimal())


def _quoted(text: str) -> str:
    return ascii(text[:_SHOWN])
