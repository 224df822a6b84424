"""A value that is replaced as a whole, and those who wait for what it becomes."""

from collections.abc import Callable
from typing import Generic, TypeVar

import anyio

_T = TypeVar("_T")


class Watched(Generic[_T]):
    """Holds a value; who waits for one like it is woken by a replacement, never by time."""

    __slots__ = ("_value", "_waiters")

    def __init__(self, value: _T) -> None:
        self._value = value
        self._waiters: tuple[tuple[Callable[[_T], bool], anyio.Event], ...] = ()

    def __repr__(self) -> str:
        return f"Watched({self._value!r})"

    @property
    def value(self) -> _T:
        """The value now."""
        return self._value

    def replace(self, value: _T) -> None:
        """Replace the value with `value`, and wake those who waited for one like it."""
        self._value = value
        for predicate, event in self._waiters:
            if predicate(value):
                event.set()

    async def wait_until(self, predicate: Callable[[_T], bool]) -> _T:
        """Return the value as soon as `predicate` holds for it (now or after a change)."""
        while not predicate(self._value):
            waiter = (predicate, anyio.Event())
            self._waiters = (*self._waiters, waiter)
            try:
                await waiter[1].wait()
            finally:
                self._waiters = tuple(other for other in self._waiters if other is not waiter)
        return self._value
