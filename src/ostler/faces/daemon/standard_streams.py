"""Standard input and output of this process as byte streams whose waits can be cancelled, so that a signal ends it."""

import os
import select
import sys
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from typing import Final

import anyio
import anyio.lowlevel
import anyio.to_thread
from anyio.abc import ByteReceiveStream, ByteSendStream

_WRITE_SIZE: Final = getattr(select, "PIPE_BUF", 4096)
"""What a pipe that is ready takes at once: 4 KiB on Linux, 512 bytes on macOS."""


class _Input(ByteReceiveStream):
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    async def receive(self, max_bytes: int = 65536) -> bytes:
        if sys.platform == "win32":
            data = await anyio.to_thread.run_sync(os.read, self._descriptor, max_bytes, abandon_on_cancel=True)
        else:
            await _ready(anyio.wait_readable, self._descriptor)
            data = os.read(self._descriptor, max_bytes)
        if not data:
            raise anyio.EndOfStream
        return data

    async def aclose(self) -> None:
        """Leave it open: it is the process's."""


class _Output(ByteSendStream):
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    async def send(self, item: bytes) -> None:
        left = memoryview(item)
        while left:
            try:
                if sys.platform == "win32":
                    sent = await anyio.to_thread.run_sync(os.write, self._descriptor, left, abandon_on_cancel=True)
                else:
                    await _ready(anyio.wait_writable, self._descriptor)
                    sent = os.write(self._descriptor, left[:_WRITE_SIZE])
            except OSError as exc:
                raise anyio.BrokenResourceError from exc
            left = left[sent:]

    async def aclose(self) -> None:
        """Leave it open: it is the process's."""


async def _ready(wait: Callable[[int], Awaitable[None]], descriptor: int) -> None:
    try:
        await wait(descriptor)
    except PermissionError:  # a file, which is always ready
        await anyio.lowlevel.checkpoint()


@contextmanager
def standard_streams() -> Generator[tuple[ByteReceiveStream, ByteSendStream]]:
    """Yield this process's standard input and output, which nothing else reads or writes meanwhile.

    Whatever is printed goes to standard error.
    """
    kept = os.dup(0), os.dup(1)
    try:
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        yield _Input(kept[0]), _Output(kept[1])
    finally:
        for descriptor, own in enumerate(kept):
            with suppress(OSError):
                os.dup2(own, descriptor)
            os.close(own)
