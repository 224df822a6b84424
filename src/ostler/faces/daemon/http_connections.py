"""HTTP connections of uvicorn, with answers in one write and with limits that it lacks.

What can be said of a request is bounded, and so is the time to say it; before that no one has proven who they are.
Imported as late as uvicorn itself imports its protocol.
"""

import json
from collections.abc import Callable
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from ostler.faces.daemon.http_answers import RETRY_AFTER
from ostler.faces.hanging_up import WHEN_LOST

READ_SECONDS: Final = 60.0
"""Seconds that a connection may wait for its first request, and that a request may take to arrive."""

MAX_HEAD: Final = 65_536
"""Bytes of a request besides its body: its path, headers and trailers, and what parts a body that comes in chunks."""

_APART: Final = 5
"""Bytes between two parts of a body that comes in chunks, for each of its own bytes."""


def _most_connections() -> int:
    """Return half of the files that this process may have open: the others are for services and their logs."""
    try:
        from resource import RLIMIT_NOFILE, getrlimit
    except ImportError:  # Windows has no such limit
        return 1_024
    return max(32, getrlimit(RLIMIT_NOFILE)[0] // 2)


class Connection(HttpToolsProtocol):
    """One connection, maybe of a hostile client."""

    most_connections = _most_connections()
    """Connections at once; one more is refused."""

    def connection_made(self, transport: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        joined: Any = _Joined(transport, self.loop.call_soon)
        super().connection_made(joined)
        self._has_begun = False
        self._is_arriving = True
        self._is_head = True
        self._besides = 0
        """Bytes of the request under way that are not of its body."""
        self._waiting: Any = None
        """What gives up when it is due."""
        self._when_lost: set[Callable[[], None]] = set()
        if len(self.connections) > self.most_connections:
            self._refuse(503, f"busy: {self.most_connections} connections are open", again=True)
        else:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)
        for call in tuple(self._when_lost):
            call()

    def data_received(self, data: bytes) -> None:
        self._besides += len(data)
        super().data_received(data)
        if not self._is_arriving and not self.cycle.response_complete:
            self._wait_no_more()
        elif self._besides > MAX_HEAD and not self.transport.is_closing():
            self._refuse(431, f"a request may have {MAX_HEAD} bytes besides its body")
        elif self._waiting is None:
            self._wait()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        cast("dict[str, Any]", self.scope)[WHEN_LOST] = self._when_lost
        self._has_begun = self._is_arriving = self._is_head = True
        self._wait_no_more()  # its own time begins: a connection that was opened ahead may have waited for long
        self._besides = 0  # the rest of these bytes, at most what is read at once, is not counted

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._is_head = False

    def on_body(self, body: bytes) -> None:
        self._besides -= (1 + _APART) * len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._is_arriving = False

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(READ_SECONDS, self._give_up)

    def _wait_no_more(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self) -> None:
        self._waiting = None
        if self.transport.is_closing():
            return
        earlier: Any = self.cycle  # None before the first request, whatever its type says
        if self._is_head and earlier is not None and not earlier.response_complete:
            self._wait()
        elif not self._has_begun:
            self.transport.close()
        else:
            self._refuse(408, f"the request did not arrive within {READ_SECONDS:g} s")

    def _refuse(self, status: int, why: str, *, again: bool = False) -> None:
        """Answer before there is a whole request, unless it is being answered already, and close the connection."""
        self._wait_no_more()
        under_way: Any = self.cycle
        if under_way is not None and not under_way.response_complete and (self._is_head or under_way.response_started):
            self.transport.close()  # the answer would be taken for that of an earlier request, or of a part of it
            return
        text = f"{why}. Next: the same request again after {RETRY_AFTER} s" if again else why
        body = json.dumps({"jsonrpc": "2.0", "id": None, "error": {"code": -32000, "message": text}}).encode()
        headers = [*self.server_state.default_headers, (b"connection", b"close")]
        headers += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        headers += [(b"retry-after", str(RETRY_AFTER).encode())] if again else []
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self.transport.write(STATUS_LINE[status] + lines + b"\r\n" + body)
        self.transport.close()


class _Joined:
    """A transport that holds back the header of an answer until its body comes, or the event loop has turned once.

    uvicorn writes them one after the other. The first wakes the client, which cannot begin before it has the second,
    and on a busy machine takes the processor from the server that is about to write it (a status took 0.32 ms so, and
    takes 0.29 ms).
    """

    def __init__(self, transport: Any, call_soon: Callable[[Callable[[], None]], object]) -> None:
        self._transport = transport
        self._call_soon = call_soon
        self._held = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write `data`, with what was kept back before it."""
        if not self._held and data.startswith(_STATUS_LINE):
            self._held = data
            self._call_soon(self._release)
            return
        held, self._held = self._held, b""
        self._transport.write(held + data)

    def close(self) -> None:
        """Close the transport once everything is written."""
        self._release()
        self._transport.close()

    def _release(self) -> None:
        if self._held:
            self.write(b"")


_STATUS_LINE: Final = b"HTTP/1.1 "
