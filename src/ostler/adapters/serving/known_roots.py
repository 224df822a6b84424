"""What the roots of a client are, remembered for its connection up to 2025-11-25: asked once, and after each change.

The SDK keeps a connection in a private attribute of its session, which is made for each request; this is the one file
that uses it.
"""

import math
from typing import TYPE_CHECKING, Any, Final, cast

import anyio

if TYPE_CHECKING:
    from mcp.server import ServerRequestContext
    from mcp.server.connection import Connection
    from mcp_types import NotificationParams

RETRY: Final = 60.0
"""Seconds until a client that did not name its roots is asked again."""

_KEY: Final = "ostler.roots"


class KnownRoots:
    """The addresses of the roots of one client; None while they have to be asked for."""

    def __init__(self) -> None:
        self._uris: list[str] | None = None
        self._until = math.inf

    @property
    def uris(self) -> list[str] | None:
        """The roots that the client named; empty for a while after it named none."""
        return self._uris if anyio.current_time() < self._until else None

    def named(self, uris: list[str]) -> None:
        """The client named its roots."""
        self._uris, self._until = uris, math.inf

    def refused(self) -> None:
        """The client did not answer, or with an error."""
        self._uris, self._until = [], anyio.current_time() + RETRY


def connection_of(context: "ServerRequestContext[Any]") -> "Connection":
    """Return the connection of a request: in a session, the same for all of its requests."""
    return context.session._connection  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def known_roots(context: "ServerRequestContext[Any]") -> KnownRoots:
    """Return what is known of the roots of a session's client."""
    return cast("KnownRoots", connection_of(context).state.setdefault(_KEY, KnownRoots()))


async def forget_roots(context: "ServerRequestContext[Any]", params: "NotificationParams | None") -> None:
    """The roots of the client changed: an answer that is under way now is not remembered."""
    del params
    connection_of(context).state.pop(_KEY, None)
