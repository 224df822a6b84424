"""The log files of processes: opened for appending, rotated by size, read in bounded pieces.

The process itself holds the file, in append mode, so that it goes on writing when Ostler is gone. Hence rotation is
copy and truncate: the newest part, as large as it was when the rotation began, is copied to `.log.1`, then the file is
cut to nothing and the process goes on at its start. What is written between the two steps is lost; a copy that waited
for a fast writer would never end. Where there is no room for a copy, the file is cut without one. Offsets count from
the first byte of the run, over rotations.
"""

import json
import os
import re
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from ostler.adapters.process.records import previous_part
from ostler.rules.text.patterns import LineFilter
from ostler.rules.text.terminal_text import without_control

MAX_ANSWER_BYTES = 28 * 1024
"""Of lines as JSON: an answer holds them twice, as structure and as text, and stays below 64 KiB."""

MAX_LINE_CHARS = 4096
MAX_TAIL_BYTES = 4 * 1024 * 1024
"""How far back from its end a log is read."""

SCAN_BYTES = 1024 * 1024
"""How much of a log one probe reads."""

COPY_BYTES = 1024 * 1024

_LINES = re.compile(rb"[^\n]*\n|[^\n]+")


class LogExcerpt(Struct, frozen=True):
    """Lines of a log; `next_offset` is where to read on, `truncated` says that there was more than is here."""

    lines: list[str]
    next_offset: int
    truncated: bool


@contextmanager
def new_log(path: Path) -> Generator[BinaryIO]:
    """Begin the log of a new run, for a process to append to; the last run's becomes `.log.1`.

    When the block fails, everything is as it was.
    """
    moved = path.exists() and path.stat().st_size > 0
    if moved:
        path.replace(previous_part(path))
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        with os.fdopen(descriptor, "ab", buffering=0) as log:
            yield log
    except BaseException:
        path.unlink(missing_ok=True)
        if moved:
            previous_part(path).replace(path)
        raise


def rotate(path: Path, max_bytes: int, before_cut: Callable[[int], None]) -> bool:
    """Rotate the log when it is larger than `max_bytes`; return whether it was.

    Args:
        path: the log.
        max_bytes: also what is kept of it, from its end.
        before_cut: called with the number of bytes that are about to go, before they do, and once more with how many
            were added meanwhile, as it may take its time.
    """
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return False
    if size <= max_bytes:
        return False
    partial = previous_part(path).with_suffix(".tmp")
    with path.open("r+b") as source:
        try:
            _copy(source, partial, begin=size - max_bytes, end=size)
            is_copied = True
        except OSError:
            is_copied = False
            with suppress(OSError):
                partial.unlink(missing_ok=True)
        known = source.seek(0, os.SEEK_END)
        before_cut(known)
        added = source.seek(0, os.SEEK_END) - known
        source.truncate(0)
    if added:
        before_cut(added)
    if is_copied:
        partial.replace(previous_part(path))
    else:  # what is there now is not what came before, and takes the room that is missing
        previous_part(path).unlink(missing_ok=True)
    return True


def _copy(source: BinaryIO, target_path: Path, *, begin: int, end: int) -> None:
    """Copy the bytes from `begin` to `end`, and no more, however fast the file grows."""
    descriptor = os.open(target_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as target:
        source.seek(begin)
        while begin < end and (chunk := source.read(min(COPY_BYTES, end - begin))):
            target.write(chunk)
            begin += len(chunk)


def tail(path: Path, *, base: int, lines: int, grep: LineFilter | None = None, begin: int = 0) -> LogExcerpt:
    """Return the last `lines` lines from offset `begin` on (those that match `grep`), an unfinished last one included.

    Looks at most `MAX_TAIL_BYTES` back, over a rotation too.
    """
    try:
        data, start = _end_of(path, MAX_TAIL_BYTES)
    except FileNotFoundError:
        return LogExcerpt([], base, truncated=False)
    end = base + start + len(data)
    cut = start > 0 or base > 0
    if base > 0 and len(data) < MAX_TAIL_BYTES:
        with suppress(FileNotFoundError):
            earlier, start = _end_of(previous_part(path), MAX_TAIL_BYTES - len(data))
            data = earlier + data
    has_no_head = False
    if start:
        whole = data[data.find(b"\n") + 1 :]
        has_no_head, data = not whole, whole or data  # one line may be longer than all that is read
    if (older := begin - (end - len(data))) > 0:
        cut = False
        is_whole = data[older - 1 : older] == b"\n"
        data = data[older:] if is_whole else data[older:].partition(b"\n")[2]
    found: deque[str] = deque()
    budget = MAX_ANSWER_BYTES
    for number, raw in enumerate(reversed(split_lines(data))):
        is_cut = (has_no_head or (number == 0 and not raw.endswith(b"\n"))) and len(raw) > MAX_LINE_CHARS
        text = f"…{clean_line(raw[-MAX_LINE_CHARS + 1 :])}" if is_cut else clean_line(raw)
        if grep is not None and not grep(text):
            continue
        budget -= _cost(text)
        if len(found) == lines or budget < 0:
            cut = True
            break
        found.appendleft(text)
    return LogExcerpt(list(found), end, truncated=cut)


def _end_of(path: Path, limit: int) -> tuple[bytes, int]:
    """Return the last `limit` bytes of a file, and where they begin in it."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        start = max(0, size - limit)
        file.seek(start)
        return file.read(limit), start


def unread(path: Path, *, base: int, since: int) -> tuple[bytes, int, float]:
    """Return the whole lines from offset `since` on, over a rotation too, where to read on, and when it last grew.

    Of much, the last `MAX_TAIL_BYTES`. The time is in seconds since the epoch.
    """
    try:
        with path.open("rb") as file:
            end = base + file.seek(0, os.SEEK_END)
            begin = max(since, end - MAX_TAIL_BYTES)
            file.seek(max(0, begin - base))
            data = file.read(end - max(begin, base))
            grown_at = os.fstat(file.fileno()).st_mtime
    except FileNotFoundError:
        return b"", since, 0.0
    if begin < base:
        with suppress(FileNotFoundError):
            data = _end_of(previous_part(path), base - begin)[0] + data
    whole = data.rfind(b"\n") + 1
    return data[:whole], end - (len(data) - whole), grown_at


def read_on(
    path: Path, *, base: int, since: int, lines: int, grep: LineFilter | None = None, final: bool = False
) -> LogExcerpt:
    """Return the lines from offset `since` on, at most `lines`, and where to read on.

    Args:
        path: the log.
        base: the offset of the file's first byte.
        since: an earlier `next_offset`; what lies before the file (rotated away) is passed over.
        lines: how many at most.
        grep: return only lines that match.
        final: nothing more will be written, so an unfinished last line counts as a line.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            position = min(max(0, since - base), size)
            skipped = since < base
            file.seek(position)
            data = file.read(SCAN_BYTES)
    except FileNotFoundError:
        return LogExcerpt([], base, truncated=False)
    found: list[str] = []
    budget = MAX_ANSWER_BYTES
    used = 0
    for raw in split_lines(data):
        whole = raw.endswith(b"\n")
        if not whole and not (final and position + len(data) == size) and len(raw) < MAX_LINE_CHARS:
            break  # still being written
        text = clean_line(raw)
        if grep is None or grep(text):
            budget -= _cost(text)
            if len(found) == lines or (budget < 0 and found):
                break
            found.append(text)
        used += len(raw)
    more = position + used < size and (len(found) == lines or budget < 0 or len(data) == SCAN_BYTES)
    return LogExcerpt(found, base + position + used, truncated=skipped or more)


def split_lines(data: bytes) -> list[bytes]:
    """Return the lines of `data` with their ends; the last one may have none."""
    return _LINES.findall(data)


def clean_line(raw: bytes) -> str:
    """Return a log line as text: one line, without terminal escapes and control characters, not too long."""
    text = raw.decode("utf-8", errors="replace").rstrip("\r\n")
    text = text.rpartition("\r")[2]  # what a progress bar shows last
    text = without_control(text)
    if len(text) > MAX_LINE_CHARS:
        text = text[: MAX_LINE_CHARS - 1] + "…"
    return text


def bounded(lines: Iterable[str], max_chars: int) -> str:
    """Return the last of `lines`, joined, that fit into `max_chars`."""
    kept: deque[str] = deque()
    for line in reversed(list(lines)):
        max_chars -= len(line) + 1
        if max_chars < 0:
            break
        kept.appendleft(line)
    return "\n".join(kept)


def _cost(text: str) -> int:
    return len(json.dumps(text, ensure_ascii=False).encode("utf-8", errors="replace")) + 1
