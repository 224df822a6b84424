"""Work that several services need at the same time and that is done once, such as the creation of a dependency."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio

from ostler.model.errors import OstlerError


@dataclass(slots=True)
class _Attempt:
    ended: anyio.Event = field(default_factory=anyio.Event)
    error: OstlerError | None = None


class SharedAttempts:
    """Attempts under way, by name. What fails has failed for everyone who waits for it."""

    def __init__(self) -> None:
        self._under_way: dict[str, _Attempt] = {}

    async def share(self, name: str, act: Callable[[], Awaitable[object]]) -> bool:
        """Wait for the attempt under way under `name`; if there is none, await `act()`. Return whether there was none.

        If the one that is waited for was cancelled, this returns, too: the caller checks what has come of it.

        Raises:
            OstlerError: the attempt failed.
        """
        if (other := self._under_way.get(name)) is not None:
            await other.ended.wait()
            if other.error is not None:
                raise other.error.fresh()
            return False
        attempt = self._under_way[name] = _Attempt()
        try:
            await act()
        except OstlerError as error:
            attempt.error = error.fresh()
            raise
        finally:
            del self._under_way[name]
            attempt.ended.set()
        return True
