"""HTTP as a probe: one GET, whose status alone is read."""

import os
from dataclasses import dataclass
from typing import Self, cast
from urllib.parse import SplitResult, urlsplit

import anyio
import httpx2

from ostler.adapters.process.ports import address_of, reachable_host
from ostler.model.errors import ArgumentError


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
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
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
    asked = str(url.at(url.host, url.port))
    authority = url.parts.netloc.rpartition("@")[2]
    headers = {"Host": authority, "User-Agent": "ostler", "Accept": "*/*", "Connection": "close"}
    if url.host != reachable_host(url.host):
        asked = str(url.at(reachable_host(url.host), url.port))
    try:
        with anyio.fail_after(timeout):
            async with (
                httpx2.AsyncClient(verify=False, trust_env=False, timeout=None) as client,
                client.stream("GET", asked, headers=headers) as response,
            ):
                got = response.status_code
    except TimeoutError:
        return False, f"{url} did not answer in {timeout:g} s"
    except httpx2.RemoteProtocolError as error:
        is_closed = "disconnected" in str(error).lower()
        return False, f"{url} could not be fetched (the connection was closed)" if is_closed else (
            f"{url} did not answer in HTTP"
        )
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        return False, f"{url} could not be fetched ({_reason(error)})"
    match wanted:
        case None:
            passed, said = 200 <= got < 400, "200 to 399"
        case int():
            passed, said = got == wanted, str(wanted)
        case _:
            passed, said = got in wanted, ", ".join(map(str, wanted))
    return passed, f"{url} answered {got}" + ("" if passed else f", wanted {said}")


def _reason(error: BaseException) -> str:
    """Return the innermost cause in words."""
    cause: BaseException = error
    while (deeper := cause.__cause__ or cause.__context__) is not None:
        cause = deeper
    while isinstance(cause, BaseExceptionGroup):
        cause = cast("BaseExceptionGroup[BaseException]", cause).exceptions[0]
    if isinstance(cause, OSError) and cause.errno and cause.errno > 0:
        return os.strerror(cause.errno)
    return str(cause) or type(cause).__name__
