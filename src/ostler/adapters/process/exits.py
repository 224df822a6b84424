"""Hearing of the end of any process at once, whoever its parent is: one pollable file for all of them."""

import os
import select
import sys
from typing import Protocol

import anyio


class ExitWatch(Protocol):
    """Reports which of the watched processes have ended. Belongs to one event loop."""

    def watch(self, pid: int) -> bool:
        """Watch `pid` from now on, if it is not watched yet; False when it is gone already, or cannot be watched."""
        ...

    async def wait(self) -> set[int]:
        """Return pids that have ended since the last call, each once; it may wake up for none."""
        ...

    def close(self) -> None:
        """Stop watching."""
        ...


def exit_watch() -> ExitWatch | None:
    """Return what this system has for it; None: processes can only be looked at."""
    try:
        if sys.platform == "linux":
            return _PidfdWatch() if hasattr(os, "pidfd_open") else None
        return None if sys.platform == "win32" else _KqueueWatch()
    except OSError:
        return None


if sys.platform == "linux":

    class _PidfdWatch:
        """Process file descriptors, gathered by epoll."""

        def __init__(self) -> None:
            os.close(os.pidfd_open(os.getpid()))  # raises where the kernel does not have it
            self._poll = select.epoll()
            self._pids: dict[int, int] = {}

        def watch(self, pid: int) -> bool:
            if pid in self._pids.values():
                return True
            try:
                descriptor = os.pidfd_open(pid)
            except OSError:
                return False
            self._pids[descriptor] = pid
            self._poll.register(descriptor, select.EPOLLIN)
            return True

        async def wait(self) -> set[int]:
            await anyio.wait_readable(self._poll.fileno())
            ended: set[int] = set()
            for descriptor, _ in self._poll.poll(0):
                self._poll.unregister(descriptor)
                ended.add(self._pids.pop(descriptor))
                os.close(descriptor)
            return ended

        def close(self) -> None:
            for descriptor in self._pids:
                os.close(descriptor)
            self._pids.clear()
            self._poll.close()

elif sys.platform != "win32":

    class _KqueueWatch:
        """Kernel events for the exit of a process."""

        def __init__(self) -> None:
            self._queue = select.kqueue()

        def watch(self, pid: int) -> bool:
            event = select.kevent(
                pid, select.KQ_FILTER_PROC, select.KQ_EV_ADD | select.KQ_EV_ONESHOT, select.KQ_NOTE_EXIT
            )
            try:
                self._queue.control([event], 0, 0)
            except OSError:
                return False
            return True

        async def wait(self) -> set[int]:
            await anyio.wait_readable(self._queue.fileno())
            return {event.ident for event in self._queue.control([], 64, 0)}

        def close(self) -> None:
            self._queue.close()
