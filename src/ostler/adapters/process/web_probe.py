"""HTTP as a probe: one GET, whose status alone is read."""

import os
import socket
import ssl
from typing import NamedTuple, Self, cast
from urllib.parse import SplitResult, quote, urlsplit

import anyio
from anyio.abc import ByteStream
from msgspec import Struct

from ostler.adapters.process.ports import address_of, reachable_host
from ostler.model.errors import ArgumentError
from ostler.model.web_addresses import port_of, without_user

_BAD_REQUEST = 400
"""What servers answer that were asked in HTTP where they speak TLS, if they answer."""

_TLS_SECONDS = 1.0
_TLS_THERE = "; it speaks TLS there, so its address begins with https://"

_MOST_HEADERS = 100 * 1024
"""Bytes that the headers of an answer may have."""

_AS_IT_IS = "!#$%&'()*+,/:;=?@[]~"
"""What a path and a query may have; anything else is percent-encoded."""


class Url(Struct, frozen=True):
    """A URL to ask, in its parts, without a user and a password, which are neither sent nor shown."""

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
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", port_of(parts)
    except ValueError as error:
        raise ArgumentError([f"ready.http: {without_user(text)!r} is not a valid URL ({error})"]) from error
    if not text.isascii() or not text.isprintable() or " " in text or not host:
        shown = without_user(text)
        raise ArgumentError([f"ready.http: {shown!r} is not a valid URL"], next_actions=("percent-encode it",))
    return Url(urlsplit(without_user(text)), host, port)


class _NoHttpError(Exception):
    """What came is no answer in HTTP."""


class Looked(NamedTuple):
    """What a look over a connection found.

    Attributes:
        passed: what was wanted came.
        said: what came, in words.
        is_tentative: the answer is an error that a range of statuses allows: a program that has just begun to listen
            may give it before it is set up.
    """

    passed: bool
    said: str
    is_tentative: bool = False


async def look_http(url: Url, wanted: int | list[int] | str | None, timeout: float) -> Looked:
    """Return whether `url` answers with a status that is wanted (None: 200 to 399; text: a range), and what it did.

    Certificates are not checked: this only asks whether something answers, and sends nothing.
    """
    try:
        with anyio.fail_after(timeout):
            try:
                stream = await _connected(url)
            except (OSError, anyio.BrokenResourceError, anyio.EndOfStream) as error:
                said = f"could not be fetched ({reason_of(error)})"
                if isinstance(error, ssl.SSLError):
                    said += "; if it does not speak TLS there, its address begins with http://"
                return Looked(passed=False, said=f"{url} {said}")
            try:
                got = await _status_of(url, stream)
            finally:
                await anyio.aclose_forcefully(stream)
    except TimeoutError:
        return Looked(passed=False, said=f"{url} did not answer in {timeout:g} s")
    except _NoHttpError:
        said = "did not answer in HTTP"
    except (OSError, anyio.BrokenResourceError, anyio.EndOfStream) as error:
        said = f"could not be fetched ({reason_of(error)})"
    else:
        passed, statuses = _is_wanted(got, wanted)
        is_tentative = passed and isinstance(wanted, str) and got >= _BAD_REQUEST
        said = f"answered {got}" + ("" if passed else f", wanted {statuses}")
        if got != _BAD_REQUEST or (passed and not is_tentative):
            return Looked(passed, f"{url} {said}", is_tentative)
        if url.parts.scheme != "http" or not await _speaks_tls(url):
            return Looked(passed, f"{url} {said}", is_tentative)
        return Looked(passed=False, said=f"{url} {said}{_TLS_THERE}")
    if url.parts.scheme == "http" and await _speaks_tls(url):
        said += _TLS_THERE
    return Looked(passed=False, said=f"{url} {said}")


async def _connected(url: Url) -> ByteStream:
    """Return a connection to the host of `url`.

    Raises:
        OSError: there is none.
        anyio.BrokenResourceError: it was closed before it spoke TLS, or anyio.EndOfStream.
    """
    host = reachable_host(url.host)
    if url.parts.scheme != "https":
        return await anyio.connect_tcp(host, url.port)
    return await anyio.connect_tcp(host, url.port, ssl_context=_unchecked_tls(), tls_hostname=url.host)


async def _status_of(url: Url, stream: ByteStream) -> int:
    """Ask over `stream`, and return the status of the answer.

    Raises:
        _NoHttpError: it is none.
        anyio.EndOfStream: the connection was closed, or anyio.BrokenResourceError.
    """
    import h11  # noqa: PLC0415 (not loaded at the start)

    target = (url.parts.path or "/") + (f"?{url.parts.query}" if url.parts.query else "")
    headers = [
        ("Host", url.parts.netloc),
        ("User-Agent", "ostler"),
        ("Accept", "*/*"),
        ("Connection", "close"),
    ]
    talk = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MOST_HEADERS)
    asked = h11.Request(method="GET", target=quote(target, safe=_AS_IT_IS), headers=headers)
    await stream.send((talk.send(asked) or b"") + (talk.send(h11.EndOfMessage()) or b""))
    try:
        while not isinstance(event := talk.next_event(), h11.Response):
            if event is h11.NEED_DATA:
                talk.receive_data(await stream.receive())
    except h11.RemoteProtocolError as error:
        raise _NoHttpError from error
    return event.status_code


def _is_wanted(got: int, wanted: int | list[int] | str | None) -> tuple[bool, str]:
    """Return whether a status is wanted, and which are, in words."""
    match wanted:
        case None:
            return 200 <= got < 400, "200 to 399"
        case int():
            return got == wanted, str(wanted)
        case str():
            lowest, _, highest = wanted.partition("-")
            return int(lowest) <= got <= int(highest), f"{lowest} to {highest}"
        case _:
            return got in wanted, ", ".join(map(str, wanted))


async def _speaks_tls(url: Url) -> bool:
    try:
        with anyio.fail_after(_TLS_SECONDS):
            stream = await anyio.connect_tcp(reachable_host(url.host), url.port, ssl_context=_unchecked_tls())
    except (OSError, anyio.BrokenResourceError, anyio.EndOfStream):
        return False
    await anyio.aclose_forcefully(stream)
    return True


def _unchecked_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # nothing is verified, so no authorities are loaded
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


def reason_of(error: BaseException) -> str:
    """Return the innermost cause of a failed connection in words; the errors around it only say that it failed."""
    cause = error
    while (deeper := cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)) is not None:
        cause = deeper
    while isinstance(cause, BaseExceptionGroup):
        cause = cast("BaseExceptionGroup[BaseException]", cause).exceptions[0]
    if isinstance(cause, anyio.EndOfStream | anyio.BrokenResourceError):
        return "the connection was closed"
    if isinstance(cause, ssl.SSLError):  # its number is OpenSSL's own
        return f"TLS failed: {(cause.reason or str(cause)).replace('_', ' ').lower()}"
    if isinstance(cause, OSError) and not isinstance(cause, socket.gaierror) and cause.errno:
        return os.strerror(cause.errno)  # the event loop's own words repeat the address
    return str(cause) or type(cause).__name__
