"""What several tasks wait for: a value that is replaced as a whole, and work that is done once for all of them."""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import anyio
from msgspec import Struct, field

from ostler.model.errors import OstlerError

_T = TypeVar("_T")


class Watched(Generic[_T]):
    """Holds a value; who waits for one like it is woken by a replacement, never by time."""

    __slots__ = ("_waiters", "value")

    def __init__(self, value: _T) -> None:
        self.value = value
        """The value now; `replace` changes it. No property: a create and its delete read it 69 times."""
        self._waiters: tuple[tuple[Callable[[_T], bool], anyio.Event], ...] = ()

    def __repr__(self) -> str:
        return f"Watched({self.value!r})"

    def replace(self, value: _T) -> None:
        """Replace the value with `value`, and wake those who waited for one like it."""
        self.value = value
        for predicate, event in self._waiters:
            if predicate(value):
                event.set()

    async def wait_until(self, predicate: Callable[[_T], bool]) -> _T:
        """Return the value as soon as `predicate` holds for it (now or after a change)."""
        while not predicate(self.value):
            waiter = (predicate, anyio.Event())
            self._waiters = (*self._waiters, waiter)
            try:
                await waiter[1].wait()
            finally:
                self._waiters = tuple(other for other in self._waiters if other is not waiter)
        return self.value


class _Attempt(Struct):
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
