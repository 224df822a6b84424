"""The newest batches of changes, each encoded once for all who follow; one bounded buffer, however many they are."""

from collections import deque
from typing import Final

import anyio

from ostler.adapters.replicas.wire_form import Kind

MAX_BYTES: Final = 8 * 1024 * 1024
"""Bytes of the batches that are kept; a follower that is further behind begins again with a snapshot."""

PART: Final = 256 * 1024
"""Bytes that a follower is given at once."""


class ChangeLog:
    """Numbered batches. Followers read on from the number that they have, at their own pace.

    Args:
        most: bytes that are kept; the newest batch always is.
    """

    def __init__(self, most: int = MAX_BYTES) -> None:
        self._most = most
        self._batches: deque[bytes] = deque()
        self._size = 0
        self._more = anyio.Event()
        self.last = 0
        """The number of the newest batch."""

    def __repr__(self) -> str:
        return f"<ChangeLog {len(self._batches)} batches up to {self.last}, {self._size} bytes>"

    def append(self, lines: bytes, *, urgent: bool = False) -> None:
        """Add a batch; `urgent`: an answer waits until those who follow have it."""
        self.last += 1
        batch = lines + f"{Kind.MARK.value}{self.last}{'!' if urgent else ''}\n".encode()
        self._batches.append(batch)
        self._size += len(batch)
        while self._size > self._most and len(self._batches) > 1:
            self._size -= len(self._batches.popleft())
        self.wake()

    def keeps(self, number: int) -> bool:
        """Whether all batches after `number` are kept."""
        return 0 <= self.last - number <= len(self._batches)

    def after(self, number: int) -> tuple[bytes, int] | None:
        """Return the next batches after `number`, `PART` bytes or a little more, and the number of the last of them.

        None if some of them are not kept any more.
        """
        if not self.keeps(number):
            return None
        parts, size = list[bytes](), 0
        while number < self.last and size < PART:
            parts.append(self._batches[number - self.last])
            size += len(parts[-1])
            number += 1
        return b"".join(parts), number

    async def wait(self, number: int) -> None:
        """Return when there is a batch after `number`, or at `wake`."""
        if self.last <= number:
            await self._more.wait()

    def wake(self) -> None:
        """Wake everyone who waits."""
        self._more.set()
        self._more = anyio.Event()

    def clear(self) -> None:
        """Drop all batches; the numbers continue."""
        self._batches.clear()
        self._size = 0
