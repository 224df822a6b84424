"""How a connection says that it is over, or could not begin."""

import anyio

from ostler.model.states import ServiceState


class ConnectFailedError(Exception):
    """An attempt to connect failed; kept inside the pool, which shows `reason` in the server's status."""

    def __init__(self, reason: str, *, state: ServiceState = ServiceState.UNREACHABLE) -> None:
        self.reason = reason
        self.state = state
        super().__init__(reason)


class LossSignal:
    """Set once, when the connection is lost; the first reason stays."""

    def __init__(self) -> None:
        self._event = anyio.Event()
        self.reason = ""
        self.state = ServiceState.DISCONNECTED

    def __repr__(self) -> str:
        return f"LossSignal({self.reason!r})"

    @property
    def is_lost(self) -> bool:
        """Whether the connection is over."""
        return self._event.is_set()

    def report(self, reason: str, state: ServiceState = ServiceState.DISCONNECTED) -> None:
        """Say that the connection is over because of `reason`, and which state that means."""
        if not self._event.is_set():
            self.reason = reason
            self.state = state
            self._event.set()

    async def wait(self) -> None:
        """Return when the connection is over."""
        await self._event.wait()
