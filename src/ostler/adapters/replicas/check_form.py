"""Health checks in transit: what a follower is to call, what a tool answered, and which entries mean one server."""

import hashlib
import hmac
import ipaddress
import json
import socket
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

import anyio
from msgspec import Struct

from ostler.model.responses import ToolResponse
from ostler.model.servers import OVER_HTTP, ServerEntry
from ostler.rules.answers.responses import normalise, without_reason

if TYPE_CHECKING:
    from ostler.model.json import JsonObject

MAX_LINE: Final = 64 * 1024
"""Bytes of a call or an answer; one that is longer is left to the holder."""

_HERE: Final = ("localhost", "host.docker.internal", "host.containers.internal")
"""Names that mean another machine on each machine."""


_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_SPACE: Final = Path("/proc/self/ns/net")


class AskedCall(Struct, frozen=True):
    """A call that a follower is to make.

    Attributes:
        number: what its answer is told apart by.
        digest: that of the holder's entry of the server.
        tool: `server/tool`.
        args: its arguments.
        timeout: seconds.
    """

    number: int
    digest: str
    tool: str
    args: Mapping[str, Any]
    timeout: float

    def line(self) -> bytes:
        """Return it as a line."""
        return _line([self.number, self.digest, self.tool, dict(self.args), self.timeout])

    @classmethod
    def read(cls, line: bytes) -> "AskedCall":
        """Return the call in a line; ValueError, TypeError when there is none."""
        number, digest, tool, args, timeout = json.loads(line)
        return cls(int(number), str(digest), str(tool), dict(args), float(timeout))


class GivenAnswer(Struct, frozen=True):
    """What became of a call.

    Attributes:
        number: the call's.
        response: what the tool answered; None: nothing.
        why: why there is no answer: `settings` if the follower has another entry of the server; else for people.
    """

    number: int
    response: ToolResponse | None = None
    why: str = ""

    def line(self) -> bytes:
        """Return it as a line."""
        found = self.response
        if found is None:
            return _line([self.number, self.why])
        line = _line([self.number, "", list(found.content), found.structured, found.is_error, found.duration])
        return line if len(line) <= MAX_LINE else _line([self.number, "the answer is long"])

    @classmethod
    def read(cls, line: bytes, tool: str) -> "GivenAnswer":
        """Return the answer of `tool` in a line; ValueError, TypeError when there is none."""
        number, why, *rest = json.loads(line)
        if why or not rest:
            return cls(int(number), None, str(why))
        content, structured, is_error, duration = rest
        blocks = cast("list[JsonObject]", content)
        found = normalise(blocks, structured, is_error=bool(is_error), duration=float(duration))
        return cls(int(number), without_reason(found, tool))


class Outbox:
    """Lines that wait to be sent, in order."""

    def __init__(self) -> None:
        self._lines: deque[bytes] = deque()
        self._news = anyio.Event()

    def put(self, line: bytes) -> None:
        """Have `line` sent next."""
        self._lines.append(line)
        self._news.set()

    def clear(self) -> None:
        """Send nothing of what waits."""
        self._lines.clear()

    async def parts(self) -> AsyncGenerator[bytes]:
        """Yield the lines as they come, without an end; several at once if they do."""
        while True:
            while self._lines:
                part = b"".join(self._lines)
                self._lines.clear()
                yield part
            self._news = anyio.Event()
            await self._news.wait()


def number_in(line: bytes) -> int:
    """Return the number of the call that a line answers; ValueError when it is not one."""
    head, comma, _ = line[1:].partition(b",")
    if not comma:
        raise ValueError("not an answer")
    return int(head)


def _line(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def server_digest(entry: ServerEntry, key: bytes) -> str:
    """Return the digest of what decides which server an entry means and what it may be asked, by the database's `key`.

    Empty if that depends on more than the entry (what is not reached over HTTP, or by a secret that is looked up, or
    as someone who signed in), or if the entry wants one client, or so many calls at once and no more.
    """
    options = entry.options
    is_limited = bool({"concurrency", "write_concurrency"} & options.model_fields_set) or not options.shared_checks
    if entry.transport not in OVER_HTTP or entry.headers_helper or entry.oauth or entry.references or is_limited:
        return ""
    facts: dict[str, Any] = {
        "transport": entry.transport,
        "url": entry.url,
        "headers": sorted(entry.headers.items()),
        "protocol": options.protocol,
        "allow": options.allow_tools,
        "deny": options.deny_tools,
        "bytes": entry.max_response_bytes,
        "disabled": entry.disabled,
        "network": _network() if _is_here(entry.url) else "",
    }
    return hmac.new(key, json.dumps(facts).encode(), hashlib.sha256).hexdigest()[:32]


def _is_here(url: str) -> bool:
    """Whether a URL means something else on each machine."""
    host = (urlsplit(url).hostname or "").lower().rstrip(".")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host in _HERE or host.endswith(".localhost") or not host
    return address.is_loopback or address.is_unspecified or address.is_link_local


@cache
def _network() -> str:
    """Return what tells this machine's own network apart from those of all others, and of containers on it."""
    try:
        return f"{_BOOT.read_text(encoding='ascii').strip()} {_SPACE.readlink()}"
    except OSError:  # not Linux
        return socket.gethostname()
