"""The log files of processes: begun for a run, bounded by size, read in bounded pieces.

The keeper of a program writes its log and begins it again when it is full (see `keeper`); its older part is `.log.1`.
Where there are no keepers, the process itself holds the file, in append mode, and `rotate` copies and truncates it: the
newest part, as large as it was when the rotation began, is copied to `.log.1`, then the file is cut to nothing and the
process goes on at its start. What is written between the two steps is lost; a copy that waited for a fast writer would
never end. Where there is no room for a copy, the file is cut without one.

Offsets count from the first byte of the run, and all readers take the two files for one.
"""

import json
import os
import re
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from msgspec import Struct

from ostler.adapters.process.keeper import PARTS_LINE
from ostler.adapters.process.records import parts_path, previous_part
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

_OPENINGS = 50
_OPENING_SECONDS = 0.002
"""How often a log is opened again that is just begun again by its keeper, and the pause before."""

_LINES = re.compile(rb"[^\n]*\n|[^\n]+")


class LogExcerpt(Struct, frozen=True):
    """Lines of a log; `next_offset` is where to read on, `truncated` says that there was more than is here."""

    lines: list[str]
    next_offset: int
    truncated: bool


class RunOutput(Struct, frozen=True):
    """What is left of a run's output: the two files of its log as one, by offsets from the run's first byte.

    Attributes:
        file: the log.
        base: where it begins.
        end: where it ends.
        earlier: the older part; None when there is none of this run.
        begin: where that begins, or else the log.
    """

    file: BinaryIO
    base: int
    end: int
    earlier: BinaryIO | None = None
    begin: int = 0

    def read(self, begin: int, end: int) -> bytes:
        """Return the bytes from `begin` to `end`, as far as they are there."""
        data = b""
        if self.earlier is not None and begin < self.base:
            self.earlier.seek(max(0, begin - self.begin))
            data = self.earlier.read(max(0, min(end, self.base) - max(begin, self.begin)))
        at = max(0, begin - self.base)
        self.file.seek(at)
        return data + self.file.read(max(0, end - self.base - at))


@contextmanager
def run_output(path: Path, base: int) -> Generator[RunOutput]:
    """Open what is left of the output of the run whose log is `path`.

    Args:
        path: the log.
        base: where it begins, if its keeper has not written that down.

    Raises:
        FileNotFoundError: there is no log.
    """
    with ExitStack() as files:
        for left in reversed(range(_OPENINGS)):
            files.close()
            found = _opened(path, base, files, is_last=not left)
            if found is not None:
                yield found
                return
            time.sleep(_OPENING_SECONDS)  # noqa: TID251 (in a thread, between two renames of a keeper)


def _opened(path: Path, base: int, files: ExitStack, *, is_last: bool) -> RunOutput | None:
    """Return what is left of a run's output; None if its keeper is just beginning the log again."""
    try:
        file = files.enter_context(path.open("rb"))
    except FileNotFoundError:
        if is_last or not parts_path(path).exists():
            raise
        return None
    end = file.seek(0, os.SEEK_END)
    number = os.fstat(file.fileno()).st_ino
    parts = _parts_of(path)
    if parts is None:  # one that is not written yet has no other file either
        with suppress(FileNotFoundError):
            if base > 0:
                earlier = files.enter_context(previous_part(path).open("rb"))
                return RunOutput(file, base, base + end, earlier, base - earlier.seek(0, os.SEEK_END))
        return RunOutput(file, base, base + end, begin=base)
    if number != parts.number:
        own = parts.earlier_base if number == parts.earlier else base
        return RunOutput(file, own, own + end, begin=own) if is_last else None
    with suppress(FileNotFoundError):
        earlier = files.enter_context(previous_part(path).open("rb"))
        if os.fstat(earlier.fileno()).st_ino == parts.earlier:
            return RunOutput(file, parts.base, parts.base + end, earlier, parts.earlier_base)
    return RunOutput(file, parts.base, parts.base + end, begin=parts.base) if is_last else None


class _Parts(NamedTuple):
    """The numbers of the two files of a log, and the offsets at which they begin."""

    earlier: int
    earlier_base: int
    number: int
    base: int


def _parts_of(path: Path) -> _Parts | None:
    """Return what the keeper wrote down of the two files of a log; None if it has only begun one."""
    try:
        text = parts_path(path).read_bytes()
    except FileNotFoundError:
        return None
    line, again = text[:PARTS_LINE], text[PARTS_LINE : 2 * PARTS_LINE]
    if line != again:
        return _Parts(-1, 0, -1, 0)  # just being written: fits no file
    facts = [int(word) for word in line.split()]
    return _Parts(*facts) if facts else None


class LostOutput(NamedTuple):
    """How many bytes of a run's output are not in its log, as the disk was full, and since when (seconds, epoch)."""

    size: int
    since: float


def lost_output(path: Path) -> LostOutput | None:
    """Return what the disk did not take for the log `path`; None if it took all."""
    try:
        with parts_path(path).open("rb") as parts:
            parts.seek(2 * PARTS_LINE)
            size, since = map(int, parts.read().split())
    except (OSError, ValueError):  # it lost nothing
        return None
    return LostOutput(size, since)


def end_of(path: Path, base: int) -> int:
    """Return how much its run has written into the log `path` up to now, or `base` if there is none."""
    try:
        with run_output(path, base) as output:
            return output.end
    except OSError:
        return base


@contextmanager
def new_log(path: Path) -> Generator[BinaryIO]:
    """Begin the log of a new run, for a process to append to; the last run's becomes `.log.1`.

    When the block fails, everything is as it was.
    """
    moved = path.exists() and path.stat().st_size > 0
    parts = parts_path(path).read_bytes() if parts_path(path).exists() else None
    parts_path(path).unlink(missing_ok=True)  # the system gives the number of a file that is gone to a new one
    if moved:
        path.replace(previous_part(path))
    try:
        with open(path, "ab", buffering=0, opener=_private) as log:
            yield log
    except BaseException:
        path.unlink(missing_ok=True)
        if moved:
            previous_part(path).replace(path)
        if parts is not None:
            parts_path(path).write_bytes(parts)
        raise


@contextmanager
def continued_log(path: Path, base: int) -> Generator[tuple[BinaryIO, int]]:
    """Open the log of a run to append to it; gives with it at which byte of the run's output it begins.

    Raises:
        OSError: it cannot be opened.
    """
    with open(path, "ab", buffering=0, opener=_private) as log, run_output(path, base) as output:
        yield log, output.base


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


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
        with run_output(path, base) as output:
            end, start = output.end, max(output.begin, output.end - MAX_TAIL_BYTES)
            data = output.read(start, end)
            is_cut_off = start > output.begin
    except FileNotFoundError:
        return LogExcerpt([], base, truncated=False)
    cut = start > 0
    has_no_head = False
    if is_cut_off:
        whole = data[data.find(b"\n") + 1 :]
        has_no_head, data = not whole, whole or data  # one line may be longer than all that is read
    if (older := begin - (end - len(data))) > 0:
        cut = False
        is_whole = data[older - 1 : older] == b"\n"
        data = data[older:] if is_whole else data[older:].partition(b"\n")[2]
    found: deque[str] = deque()
    budget = MAX_ANSWER_BYTES
    for number, raw in enumerate(_lines_from_end(data)):
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


def unread(path: Path, *, base: int, since: int) -> tuple[bytes, int, float]:
    """Return the whole lines from offset `since` on, over a rotation too, where to read on, and when it last grew.

    Of much, the last `MAX_TAIL_BYTES`. The time is in seconds since the epoch.
    """
    try:
        with run_output(path, base) as output:
            end = output.end
            data = output.read(max(since, output.begin, end - MAX_TAIL_BYTES), end)
            grown_at = os.fstat(output.file.fileno()).st_mtime
    except FileNotFoundError:
        return b"", since, 0.0
    whole = data.rfind(b"\n") + 1
    return data[:whole], end - (len(data) - whole), grown_at


def read_on(
    path: Path, *, base: int, since: int, lines: int, grep: LineFilter | None = None, final: bool = False
) -> LogExcerpt:
    """Return the lines from offset `since` on, at most `lines`, and where to read on.

    Args:
        path: the log.
        base: the offset of the file's first byte, if its keeper has not written that down.
        since: an earlier `next_offset`; what is not there any more is passed over.
        lines: how many at most.
        grep: return only lines that match.
        final: nothing more will be written, so an unfinished last line counts as a line.
    """
    try:
        with run_output(path, base) as output:
            end = output.end
            position = min(max(since, output.begin), end)
            skipped = since < output.begin
            data = output.read(position, min(end, position + SCAN_BYTES))
    except FileNotFoundError:
        return LogExcerpt([], base, truncated=False)
    found: list[str] = []
    budget = MAX_ANSWER_BYTES
    used = 0
    for raw in (line.group() for line in _LINES.finditer(data)):
        whole = raw.endswith(b"\n")
        if not whole and not (final and position + len(data) == end) and len(raw) < MAX_LINE_CHARS:
            break  # still being written
        text = clean_line(raw)
        if grep is None or grep(text):
            budget -= _cost(text)
            if len(found) == lines or (budget < 0 and found):
                break
            found.append(text)
        used += len(raw)
    more = position + used < end and (len(found) == lines or budget < 0 or len(data) == SCAN_BYTES)
    return LogExcerpt(found, position + used, truncated=skipped or more)


def split_lines(data: bytes) -> list[bytes]:
    """Return the lines of `data` with their ends; the last one may have none."""
    return _LINES.findall(data)


def _lines_from_end(data: bytes) -> Iterator[bytes]:
    """Yield the lines as `split_lines` returns them, the last one first; a few of a million cost no more than these."""
    end = len(data)
    while end:
        begin = data.rfind(b"\n", 0, end - 1) + 1
        yield data[begin:end]
        end = begin


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
