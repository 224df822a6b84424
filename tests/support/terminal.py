"""A program in a real pseudo-terminal, whose screen is kept by pyte."""

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager

import pyte

PATIENCE = 60.0


class Terminal:
    """The screen, and a keyboard."""

    def __init__(self, descriptor: int, pid: int, columns: int, lines: int) -> None:
        self._descriptor = descriptor
        self.pid = pid
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self.raw = b""
        self.is_open = True

    @property
    def lines(self) -> list[str]:
        """The screen's lines."""
        return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        """The whole screen."""
        return "\n".join(self.lines)

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._descriptor, keys.encode())

    def until(self, condition: Callable[[str], object], timeout: float = PATIENCE) -> str:
        """Read until the screen is as wanted; return it."""
        deadline = time.monotonic() + timeout
        while not condition(self.text):
            assert self.is_open, self.text
            assert self.read(deadline - time.monotonic()), self.text
        return self.text

    def shows(self, *words: str, timeout: float = PATIENCE) -> str:
        """Read until the screen has all `words`; return it."""
        return self.until(lambda text: all(word in text for word in words), timeout)

    def read(self, timeout: float) -> bool:
        """Take what the program writes; False: nothing within `timeout`."""
        if timeout <= 0 or not select.select([self._descriptor], [], [], timeout)[0]:
            return False
        try:
            data = os.read(self._descriptor, 65_536)
        except OSError:  # the program has closed its side
            data = b""
        self.is_open = bool(data)
        self.raw += data
        self._stream.feed(data)
        return True

    def ended(self) -> int:
        """Read to the end; return the exit status."""
        deadline = time.monotonic() + PATIENCE
        while self.is_open:
            assert self.read(deadline - time.monotonic()), self.text
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@contextmanager
def terminal(
    command: list[str], environment: Mapping[str, str], *, columns: int = 80, lines: int = 24
) -> Generator[Terminal]:
    """Run `command` in a terminal of that size; it is killed at the end if it still runs."""
    pid, descriptor = pty.fork()
    if pid == 0:
        os.execvpe(command[0], command, dict(environment))
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    program = Terminal(descriptor, pid, columns, lines)
    try:
        yield program
    finally:
        if program.is_open:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(descriptor)
