"""Newline-delimited messages out of a byte source, whatever the sizes of its reads."""

from collections.abc import Callable, Iterator
from typing import Final

LINE_LIMIT: Final = 64 * 1024 * 1024
"""Bytes of one message; more would only be held in memory to be refused at the other end."""

READ_SIZE: Final = 256 * 1024


class LineTooLongError(Exception):
    """A message grew beyond the limit; what follows on that source cannot be told apart from it any more."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(f"a message is longer than {limit // (1024 * 1024)} MiB")


def split_lines(read: Callable[[int], bytes], *, limit: int = LINE_LIMIT) -> Iterator[bytes]:
    """Yield each line of `read` with its newline; a last line without one is yielded as it is.

    Args:
        read: blocks until there are some bytes, at most as many as asked for; empty at the end.
        limit: bytes of one line.

    Raises:
        LineTooLongError: a line is longer than `limit`.
    """
    parts: list[bytes] = []
    size = 0
    while chunk := read(READ_SIZE):
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            parts.append(chunk[start : end + 1])
            yield parts[0] if len(parts) == 1 else b"".join(parts)
            parts.clear()
            size = 0
            start = end + 1
        if start < len(chunk):
            parts.append(chunk[start:] if start else chunk)
            size += len(parts[-1])
            if size > limit:
                raise LineTooLongError(limit)
    if parts:
        yield b"".join(parts)
