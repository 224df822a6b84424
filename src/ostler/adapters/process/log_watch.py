"""Health by log: whether the last line that says so reports trouble or its end, followed from look to look."""

import time
from pathlib import Path

import anyio.to_thread
from msgspec import Struct

from ostler.adapters.process.contract import Probe
from ostler.adapters.process.known_process import MAX_SEEN, Entry
from ostler.adapters.process.logfile import clean_line, split_lines, unread
from ostler.adapters.process.records import WatchedLog
from ostler.adapters.serving.answers import clipped
from ostler.model.durations import format_duration
from ostler.rules.text.patterns import LineFilter, line_filter
from ostler.rules.text.work_budget import bounded_work

FAIL_LOG_SECONDS = 60.0
"""How long a line counts that reports trouble, where no line is named that reports its end."""

WATCH_SECONDS = 2.0
"""Processor time that the searches of one look may take."""

SHOWN_CHARS = 200


class LogWatch(Struct):
    """The lines that one probe looks for in the log of one process.

    Attributes:
        entry: the process.
        path: its log.
        fails: whether a line reports trouble.
        clears: whether a line reports its end; None when only time does.
        seconds: how long a line that reports trouble counts; None: until a line clears it.
        patterns: the two regular expressions.
    """

    entry: Entry
    path: Path
    fails: LineFilter
    clears: LineFilter | None
    seconds: float | None
    patterns: tuple[str, str | None]

    async def look(self) -> str | None:
        """Read what is new and return in words what is wrong; None when nothing is.

        Reads on where the last look at these patterns ended; over a restart of Ostler, where its answer last changed.
        """
        entry, patterns = self.entry, self.patterns
        written = [known for known in entry.record.watched if known.patterns == patterns]
        before = entry.watched.pop(patterns, written[0] if written else WatchedLog(patterns))
        async with entry.log_lock:  # a rotation moves what is read
            known = await anyio.to_thread.run_sync(self._read_on, before, entry.record.log_base)
        entry.watched[patterns] = known
        while len(entry.watched) > MAX_SEEN:
            del entry.watched[next(iter(entry.watched))]
        if (known.line, known.at) != (before.line, before.at):
            others = [other for other in entry.record.watched if other.patterns != patterns]
            entry.update(watched=(*others, known)[-MAX_SEEN:])
        return self._trouble(known, time.time())

    def _read_on(self, known: WatchedLog, base: int) -> WatchedLog:
        data, position, written = unread(self.path, base=base, since=known.position)
        line, at = known.line, known.at
        with bounded_work(WATCH_SECONDS):
            for raw in split_lines(data):
                text = clean_line(raw)
                if self.fails(text):
                    line, at = text, written
                elif line and self.clears is not None and self.clears(text):
                    line, at = "", 0.0
        return WatchedLog(self.patterns, position, line, at)

    def _trouble(self, known: WatchedLog, now: float) -> str | None:
        age = max(0.0, now - known.at)
        if not known.line or (self.seconds is not None and age > self.seconds):
            return None
        shown = clipped(known.line, SHOWN_CHARS)
        until = [] if self.seconds is None else [f"which counts for {format_duration(self.seconds)}"]
        until += [] if self.clears is None else [f"and no later line matches {self.patterns[1]!r}"]
        return f"the log said {shown!r} {age:.0f} s ago, {' '.join(until)}"


def log_watch(entry: Entry, probe: Probe, path: Path) -> LogWatch | None:
    """Return the watch for the lines that `probe` says report trouble; None when it names none.

    Raises:
        ArgumentError: a pattern is not a regular expression.
    """
    if probe.fail_log is None:
        return None
    return LogWatch(
        entry,
        path,
        line_filter(probe.fail_log, "ready.failLog"),
        None if probe.log is None else line_filter(probe.log, "ready.log"),
        FAIL_LOG_SECONDS if probe.fail_log_for is None and probe.log is None else probe.fail_log_for,
        (probe.fail_log, probe.log),
    )
