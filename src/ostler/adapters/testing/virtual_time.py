"""An event loop whose time does not wait: when nothing can run, its clock jumps to the next timer."""

import asyncio  # noqa: TID251 (anyio takes the loop of a run from here; everything that runs in it uses anyio)
import selectors
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

T = TypeVar("T")


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits: what it was asked to wait is added to the time instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("nothing is left that could happen: a task waits forever")
            self.now += max(timeout, 0.0)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An asyncio loop for code that uses no sockets, processes or threads: minutes of waiting take no time."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return the virtual seconds since the loop was made."""
        return self._jumping.now


def run_in_virtual_time(function: Callable[[], Awaitable[T]]) -> T:
    """Run `function` in a loop of its own with virtual time and return what it returns.

    Call it from a thread without a running event loop.
    """
    return anyio.run(function, backend="asyncio", backend_options={"loop_factory": VirtualTimeLoop})
