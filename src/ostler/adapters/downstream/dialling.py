"""Reaching a server: over which transport, in which era of the protocol, and what is tried when one of them fails."""

import logging
import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import anyio
from msgspec import Struct

from ostler.adapters.downstream.authorization import Challenge
from ostler.adapters.downstream.failure_texts import ConnectFailure, failure_of
from ostler.adapters.downstream.http_watch import HttpWatch
from ostler.adapters.downstream.links import Link, Surroundings, open_link
from ostler.adapters.downstream.loss import ConnectFailedError, LossSignal
from ostler.adapters.downstream.starts import Attempt
from ostler.engine.protocols import ToolInfo
from ostler.model.servers import CONNECT_SECONDS, OVER_HTTP, ServerEntry, ServerTransport

if TYPE_CHECKING:
    from mcp.server import Server

    from ostler.adapters.downstream.direct_calls import InsideServer

logger = logging.getLogger(__name__)

_NOT_STREAMABLE: Final = frozenset({400, 404, 405, 406, 415})
"""HTTP statuses of a POST by which a server that only speaks the older SSE transport gives itself away."""


class Dial(Struct, eq=False):
    """One attempt's way to a server.

    Attributes:
        entry: the server.
        around: what the pool's connections share.
        builtin: the server object of a built-in one.
        attempt: its clock and what becomes known.
        legacy: begin with the older handshake, unless the entry says which protocol to speak.
        stay: what is done with the connection; returns when it is over.
        challenge: what the server demanded when it rejected a request.
    """

    entry: ServerEntry
    around: Surroundings
    builtin: "Server[Any] | InsideServer | None"
    attempt: Attempt
    legacy: bool
    stay: Callable[[Link, list[ToolInfo]], Awaitable[None]]
    challenge: Challenge | None = None

    async def connect(self) -> None:
        """Connect, and return when the connection is over.

        Raises whatever the server, its transport or the SDK does when there is none.
        """
        first: ConnectFailure | None = None
        for transport in OVER_HTTP if self.entry.transport == "http" else (self.entry.transport,):
            watch = HttpWatch()
            try:
                await self._over(transport, watch)
            except Exception as error:
                failure = failure_of(error, self.attempt.loss)
                if self.attempt.connected or transport != "http" or watch.rejected not in _NOT_STREAMABLE:
                    if first is not None:  # the older transport failed as well: the first reason says more
                        raise ConnectFailedError(first.reason, state=first.state) from error
                    raise
                first = failure
            else:
                return
            finally:
                self.challenge, self.attempt.waits_for = watch.challenge, watch.taken

    async def _over(self, transport: ServerTransport, watch: HttpWatch) -> None:
        chosen = self.entry.options.protocol
        # The newer protocol has no SSE transport: its first message can only make such a server refuse the connection.
        legacy = chosen == "2025" or (chosen == "auto" and (self.legacy or transport == "sse"))
        if await self._try(transport, watch, legacy=legacy, ask_again=chosen == "auto"):
            return
        try:
            await self._try(transport, watch, legacy=True, seconds=CONNECT_SECONDS)
        except Exception:  # whatever it is: the newer protocol, which it does speak, gives the reason
            if self.attempt.connected:
                raise
            logger.debug("server %r does not speak the older protocol", self.entry.name, exc_info=True)
            await self._try(transport, watch, legacy=False)

    async def _try(
        self,
        transport: ServerTransport,
        watch: HttpWatch,
        *,
        legacy: bool,
        ask_again: bool = False,
        seconds: float = math.inf,
    ) -> bool:
        """Connect, and stay until the connection is over; return False at once when `ask_again` and it hides its tools.

        Raises whatever the server, its transport or the SDK does, and ConnectFailedError after `seconds`.
        """
        self.attempt.loss = LossSignal()
        with anyio.CancelScope(deadline=anyio.current_time() + seconds) as bound:
            async with open_link(
                self.entry,
                transport,
                self.around,
                builtin=self.builtin,
                legacy=legacy,
                watch=watch,
                attempt=self.attempt,
            ) as link:
                if self.entry.options.protocol == "2026" and not link.modern:
                    raise ConnectFailedError(
                        f"it speaks only {link.protocol_version}, and its entry asks for 2026 ('protocol')"
                    )
                tools = await link.read_tools()
                if not tools and ask_again and link.hides_its_tools:
                    return False
                self.attempt.succeed()
                bound.deadline = math.inf
                await self.stay(link, tools)
            return True
        raise ConnectFailedError(f"no answer to the older handshake within {seconds:g} s")
