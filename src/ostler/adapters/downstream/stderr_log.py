"""A server's stderr in a log file of bounded size, with its last lines at hand for error texts."""

from collections import deque
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from ostler.rules.text.last_words import last_words

MAX_LOG_BYTES: Final = 1024 * 1024
"""Beyond this the file becomes `<name>.1` (replacing an older one) and a new one begins."""

_TAIL_LINES: Final = 120
"""Enough for the stack under the message that says what went wrong."""

_TAIL_LINE_BYTES: Final = 1000


class StderrLog:
    """Appends to `path`; a disk fault never disturbs the server: the text is then only kept for the tail."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_LOG_BYTES) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._file: BinaryIO | None = None
        self._size = 0
        self._tail: deque[bytes] = deque(maxlen=_TAIL_LINES)
        self._partial = b""
        self.written = 0
        """Bytes of this run, also those that did not get into the file."""

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def write(self, data: bytes) -> None:
        """Append `data`."""
        self.written += len(data)
        *lines, rest = (self._partial + data).split(b"\n")
        self._tail.extend(line[:_TAIL_LINE_BYTES] for line in lines[-_TAIL_LINES:] if line.strip())
        self._partial = rest[:_TAIL_LINE_BYTES]
        if self._file is None:
            return
        try:
            if self._size + len(data) > self._max_bytes:
                self._rotate()
            self._file.write(data)
            self._file.flush()
        except OSError:
            self._file = None
        self._size += len(data)

    def lines(self) -> list[str]:
        """Return the last lines of this run."""
        lines = [*self._tail, *([self._partial] if self._partial.strip() else [])]
        return [line.decode("utf-8", "replace") for line in lines]

    def last_words(self) -> str:
        """Return the line that says what went wrong, or the empty text."""
        return last_words(self.lines())

    def _open(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("ab")
            self.path.chmod(0o600)
            self._size = self._file.tell()
        except OSError:
            self._file = None

    def _rotate(self) -> None:
        if self._file is not None:
            self._file.close()
        self.path.replace(self.path.with_name(self.path.name + ".1"))
        self._file = self.path.open("ab")
        self.path.chmod(0o600)
        self._size = 0
