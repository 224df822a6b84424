"""HTTP as a probe: one GET, whose status alone is read."""

import os
import socket
import ssl
from dataclasses import dataclass
from typing import Self, cast
from urllib.parse import SplitResult, urlsplit

import anyio
import httpx2

from ostler.adapters.process.ports import address_of, reachable_host
from ostler.model.errors import ArgumentError
from ostler.model.web_addresses import port_of

_BAD_REQUEST = 400
"""What servers answer that were asked in HTTP where they speak TLS, if they answer."""

_TLS_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Url:
    """A URL to ask, in its parts; what it says of a user is not sent on."""

    parts: SplitResult
    host: str
    port: int

    def at(self, host: str, port: int) -> Self:
        """Return the same at another place."""
        moved = self.parts._replace(netloc=address_of(host, port))
        return type(self)(moved, host, port)

    def __str__(self) -> str:
        return self.parts.geturl()


def valid_url(text: str) -> Url:
    """Return a URL in its parts.

    Raises:
        ArgumentError: it is none.
    """
    parts = urlsplit(text)
    try:
        host, port = parts.hostname or "", port_of(parts)
    except ValueError as error:
        raise ArgumentError([f"ready.http: {text!r} has no valid port ({error})"]) from error
    if not text.isascii() or not text.isprintable() or " " in text or not host:
        raise ArgumentError([f"ready.http: {text!r} is not a valid URL"], next_actions=("percent-encode it",))
    return Url(parts, host, port)


def load_client() -> None:
    """Load what the first look would have to load, which takes a tenth of a second; blocks."""
    httpx2.HTTPTransport(verify=False, trust_env=False).close()


async def look_http(url: Url, wanted: int | list[int] | None, timeout: float) -> tuple[bool, str]:
    """Return whether `url` answers with a status that is wanted (None: 200 to 399), and what it did in words.

    Certificates are not checked: this only asks whether something answers, and sends nothing.
    """
    try:
        with anyio.fail_after(timeout):
            got = await _status_of(url)
    except TimeoutError:
        return False, f"{url} did not answer in {timeout:g} s"
    except httpx2.ConnectError as error:
        return False, f"{url} could not be fetched ({reason_of(error)})"
    except httpx2.RemoteProtocolError as error:
        is_closed = "disconnected" in str(error).lower()
        said = "could not be fetched (the connection was closed)" if is_closed else "did not answer in HTTP"
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        said = f"could not be fetched ({reason_of(error)})"
    else:
        passed, statuses = _is_wanted(got, wanted)
        said = f"answered {got}" + ("" if passed else f", wanted {statuses}")
        if passed or got != _BAD_REQUEST:
            return passed, f"{url} {said}"
    if url.parts.scheme == "http" and await _speaks_tls(url):
        said += "; it speaks TLS there, so its address begins with https://"
    return False, f"{url} {said}"


async def _status_of(url: Url) -> int:
    asked = str(url.at(reachable_host(url.host), url.port))
    authority = url.parts.netloc.rpartition("@")[2]
    headers = {"Host": authority, "User-Agent": "ostler", "Accept": "*/*", "Connection": "close"}
    async with (
        httpx2.AsyncClient(verify=False, trust_env=False, timeout=None) as client,
        client.stream("GET", asked, headers=headers) as response,
    ):
        return response.status_code


def _is_wanted(got: int, wanted: int | list[int] | None) -> tuple[bool, str]:
    """Return whether a status is wanted, and which are, in words."""
    match wanted:
        case None:
            return 200 <= got < 400, "200 to 399"
        case int():
            return got == wanted, str(wanted)
        case _:
            return got in wanted, ", ".join(map(str, wanted))


async def _speaks_tls(url: Url) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # nothing is verified, so no authorities are loaded
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with anyio.fail_after(_TLS_SECONDS):
            stream = await anyio.connect_tcp(reachable_host(url.host), url.port, ssl_context=context)
    except (OSError, anyio.BrokenResourceError, anyio.EndOfStream):
        return False
    await anyio.aclose_forcefully(stream)
    return True


def reason_of(error: BaseException) -> str:
    """Return the innermost cause of a failed connection in words; the errors around it only say that it failed."""
    cause = error
    while (deeper := cause.__cause__ or cause.__context__) is not None:
        cause = deeper
    while isinstance(cause, BaseExceptionGroup):
        cause = cast("BaseExceptionGroup[BaseException]", cause).exceptions[0]
    if isinstance(cause, anyio.EndOfStream | anyio.BrokenResourceError):
        return "the connection was closed"
    if isinstance(cause, OSError) and not isinstance(cause, socket.gaierror) and cause.errno:
        return os.strerror(cause.errno)  # the event loop's own words repeat the address
    return str(cause) or type(cause).__name__
