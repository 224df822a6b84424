"""Waiting until a started process is ready, has ended, or has used up its time."""

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio
import anyio.to_thread
from msgspec import structs

from ostler.adapters.process.accounts import runs_as_root
from ostler.adapters.process.contract import Probe
from ostler.adapters.process.known_process import MAX_SEEN, Awaited, Entry
from ostler.adapters.process.log_watch import log_watch
from ostler.adapters.process.logfile import bounded, tail
from ostler.adapters.process.port_owners import Sockets, in_words
from ostler.adapters.process.ports import is_this_machine, reachable_host
from ostler.adapters.process.probes import PROBE_SECONDS, LogScanner, Verdict, log_scanner, look
from ostler.adapters.process.web_probe import valid_url
from ostler.engine.protocols import Progress
from ostler.model.errors import OperationError
from ostler.model.late_patterns import late_pattern
from ostler.model.responses import FIX_COMMAND
from ostler.rules.text.last_words import lacks_something, last_words, reports_trouble
from ostler.rules.text.log_pages import LAST_LOG_LINES, NO_OUTPUT

READY_SECONDS = 30.0
INTERVAL_SECONDS = 0.05
BRIEF_INTERVAL_SECONDS = 0.02
"""Between looks that cost little: nothing listens yet, or the log line has not come."""

BRIEF_SECONDS = 1.0
"""How long these are that frequent: together they cost much where many programs start slowly."""

START_SECONDS = 0.5
"""How long a process is watched if nothing else shows that it is ready."""

LOOK_SECONDS = 0.02
"""Between looks whether it has ended, where the system does not report that."""

_LONGER = 1.3
_LONGEST_LOOK_SECONDS = 0.2
"""How looks at what has no more to do than to run on become fewer."""

CRASH_SIGNALS = frozenset({"SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV", "SIGSYS", "SIGTRAP"})
"""Signals that end a program because of its own fault."""

REASON_CHARS = 300
"""The longest text of a log in what a failure says first; its end is kept."""

_TAKEN = late_pattern(r"eaddrinuse|in use|already allocated", re.IGNORECASE)
_REFUSED = late_pattern(r"econnrefused|connection refused|actively refused", re.IGNORECASE)
_HERE = late_pattern(r"localhost|127\.0\.0\.1|\[?::1\b", re.IGNORECASE)
_OF_A_CLASS = {
    port: f" (class {name}; env passes on its outputs.connectionString)"
    for port, name in ((5432, "postgresql"), (6379, "redis"))
}
"""Ports of programs that a shipped class runs, each on a port of its own."""

_ANSWERED = late_pattern(r"answered 4\d\d, wanted")
"""A server that runs but has nothing at the path: an API often has nothing at /."""

_UNWANTED = late_pattern(r"answered \d{3}, wanted")
_UNWANTED_SHARE = 0.1
_LONGEST_UNWANTED_SECONDS = 1.0
"""Where a server answers with a status that is not wanted, a pause is this share of the time that it has done so: each
request may write a traceback into its log, and 14 of them a second leave no room for anything else."""

_PORT = late_pattern(r"(?:[:,] ?|port:? )(\d{2,5})\b", re.IGNORECASE)
_TIME = late_pattern(r"\d\d:\d\d:\d\d(?:[.,]\d+)?")

HANDED_OVER_SECONDS = 2.0
"""How long the holder of the awaited port is looked for when the process has ended well without listening there."""

HOLDER_LOOK_SECONDS = 0.2

_FOREGROUND = (
    "run it in the foreground: what it hands to another program (tmux, docker, systemctl) cannot be watched or stopped"
)

_OWN_PORT = (
    "let it listen on the port that it is given, as the variable PORT and as {port} in its command, or stop what holds "
    "the other one"
)
_OTHER_PORT = (
    "stop what holds the port, or let it have its own (class dev-server, or port 0 of process/start), which it gets as "
    "the variable PORT"
)
"""What to do if a program finds a port taken that its own code fixes."""

_TERMINAL = late_pattern(
    r"(?:not|isn't|without) an? (?:tty|terminal)\b|inappropriate ioctl|\bno tty\b|raw mode is not supported"
    r"|(?:requires?|needs?|in|from|open) an? (?:new |interactive )?(?:tty|terminal)\b",
    re.IGNORECASE,
)
_ROOT = re.compile(
    r"\b(?:as|by) (?:the )?(?:super-?user\b|['\"]?root\b(?! (?:dir|elem|folder|key|node|path|url)))"
    r"|['\"]root['\"] execution",
    re.IGNORECASE,
)
_NOT_ROOT = "run it as another user (runAs of its class, user of process/start), or with its option that allows root"
_SILENT = (
    "if it went into the background, run it in the foreground: why it ended, such as a port in use, is then in its log"
)

LAST_LOOK_SECONDS = 1.0
"""How long the look may take that is made when the time is over."""

PAUSED_SECONDS = 1.0
"""By so much a look or a wait is longer than it was meant to be if this process was paused, or all of the machine: that
time is not the program's."""

PROGRESS_SECONDS = 1.0
SHOWN_LINES = 20
SEARCHED_LINES = 300
"""How far from its end a log is searched for the line that says what went wrong."""

SHOWN_CHARS = 4000


class NotReadyError(OperationError):
    """A process ended, or its time passed, before it was ready. The text has the end of its log."""

    code = "not_ready"

    def __init__(self, summary: str, *, log: str, next_actions: Sequence[str] = ()) -> None:
        self.log = log
        super().__init__(summary, next_actions=next_actions)

    def __str__(self) -> str:
        return f"{super().__str__().removesuffix('.')}.{LAST_LOG_LINES}{self.log}"


def scanner_for(entry: Entry, probe: Probe, log_path: Path) -> LogScanner | None:
    """Return the scanner for the log pattern of `probe`; None when there is none, or it was found in this run.

    Each reads on where the last one for the same pattern ended.
    """
    if probe.log is None or probe.log in entry.record.seen:
        return None
    while len(entry.scanned) > MAX_SEEN:
        del entry.scanned[next(iter(entry.scanned))]
    scanner = log_scanner(probe, log_path, lambda: entry.record.log_base)
    return None if scanner is None else structs.replace(scanner, positions=entry.scanned)


def awaited_by(probe: Probe, log_path: Path) -> Awaited:
    """Return what a start that waits for `probe` waits for.

    Args:
        probe: placeholders already replaced.
        log_path: the log of the process.
    """
    port = probe.tcp if isinstance(probe.tcp, int) else None
    if port is None and probe.http is not None:
        url = valid_url(probe.http)
        port = url.port if is_this_machine(url.host) else None
    scanner = log_scanner(probe, log_path)
    is_ours = probe.owner == "own"
    return Awaited(port if is_ours else None, scanner is not None, lambda: scanner is None or scanner.look())


class _ReadyTime:
    """The time that a program has to become ready, without that in which this process was paused.

    It is checked once in any case, however slow the machine is, and once when the time is over.
    """

    def __init__(self, seconds: float) -> None:
        self.began = self._looked = anyio.current_time()
        self._has_looked = False
        self._seconds = seconds
        self._scope = anyio.CancelScope()

    def look(self) -> anyio.CancelScope:
        """Return what bounds one look: by the end of the time, but for the first one."""
        self._looked = anyio.current_time()
        ends = max(self.began + self._seconds, self._looked + LAST_LOOK_SECONDS)
        self._scope = anyio.CancelScope(deadline=ends if self._has_looked else math.inf)
        self._has_looked = True
        return self._scope

    def is_over(self) -> bool:
        """Whether the time was over when the look ended."""
        now = anyio.current_time()
        if now - self._scope.deadline > PAUSED_SECONDS:
            self.began += now - self._looked
        return now >= self.began + self._seconds

    async def pause(self, entry: Entry, seconds: float) -> None:
        """Wait so long, at most to the end of the time, or until the process has ended."""
        now = anyio.current_time()
        seconds = min(seconds, self.began + self._seconds - now)
        await _until_ended(entry, seconds)
        if (late := anyio.current_time() - now - seconds) > PAUSED_SECONDS:
            self.began += late


async def await_ready(
    sockets: Sockets,
    probe: Probe,
    log_path: Path,
    *,
    is_current: Callable[[], bool],
    progress: Progress | None = None,
) -> None:
    """Return when `probe` passes and the process still runs, a moment after its log line too.

    Args:
        sockets: those of the process.
        probe: placeholders already replaced.
        log_path: the log of the process.
        is_current: whether the process is still the latest run of its key.
        progress: called about once a second with what is being waited for.

    Raises:
        NotReadyError: it ended first, or the time of the probe (30 s by default) passed.
    """
    from ostler.adapters.process.confirmation import Confirmation  # noqa: PLC0415 (no start of the server needs it)

    entry = sockets.entry
    timeout = READY_SECONDS if probe.timeout is None else probe.timeout
    scanner, watch = scanner_for(entry, probe, log_path), log_watch(entry, probe, log_path)
    verdict = Verdict(ready=False, detail="it was not probed yet", is_brief=True)
    time = _ReadyTime(timeout)
    reported = time.began - PROGRESS_SECONDS
    confirmation = Confirmation(sockets, probe, timeout)
    seen, unwanted_since = verdict, math.inf
    while is_current() and entry.refresh() != "exited":
        with time.look():
            seen = await look(probe, sockets, scanner=scanner, watch=watch, timeout=min(PROBE_SECONDS, timeout))
            seen = await confirmation.of(seen, scanner.line if scanner is not None else "", time.began)
            if not (seen.is_brief and not verdict.is_brief):  # what a thorough look found is kept until the next one
                verdict = seen
            if verdict.ready and is_current() and entry.refresh() == "running":
                _take_place(entry, verdict)
                if probe.log is not None:
                    entry.mark_seen(probe.log, scanner.matched if scanner is not None else {})
                if progress is not None:
                    await progress(timeout, timeout, f"{entry.record.key} is ready: {verdict.detail}")
                return
        if time.is_over():
            break
        now = anyio.current_time()
        if progress is not None and now - reported >= PROGRESS_SECONDS:
            reported = now
            said = await _trouble_of(entry, log_path)
            await progress(now - time.began, timeout, f"waiting for {entry.record.key}: {verdict.detail}{said}")
        is_frequent = seen.is_brief and now - time.began < BRIEF_SECONDS
        pause = BRIEF_INTERVAL_SECONDS if is_frequent else INTERVAL_SECONDS
        unwanted_since = min(unwanted_since, now) if _UNWANTED.search(seen.detail) else math.inf
        pause = min(max(pause, (now - unwanted_since) * _UNWANTED_SHARE), _LONGEST_UNWANTED_SECONDS)
        await time.pause(entry, pause if probe.interval is None else probe.interval)
    if entry.refresh() != "exited" and is_current():
        what = f"process {entry.record.key!r} was not ready within {timeout:g} s: {verdict.detail}"
        path = ["name a path that it does answer (readyPath of dev-server), if this answer is right"]
        actions = [*(path if _ANSWERED.search(verdict.detail) else ()), f"{FIX_COMMAND}, or allow more time"]
        raise await _not_ready(sockets, what, log_path, actions)
    raise await _cut_short(sockets, awaited_by(probe, log_path).port, log_path)


async def _cut_short(sockets: Sockets, port: int | None, log_path: Path) -> NotReadyError:
    """Return the failure of a process that ended, or was replaced, before it was ready."""
    entry = sockets.entry
    what, actions = f"process {entry.record.key!r} was replaced before it was ready", [FIX_COMMAND]
    if entry.refresh() == "exited":
        what = f"process {entry.record.key!r} {entry.ending()} before it was ready"
        if entry.record.exit_code == 0:
            what += "" if port is None else await _handed_over(sockets, port)
            actions = [_FOREGROUND, "if it does its work and ends, start it by a class that has 'completed'"]
    return await _not_ready(sockets, what, log_path, actions)


async def _handed_over(sockets: Sockets, port: int) -> str:
    """Return in words who holds the awaited port of a process that ended well: it may have asked another program to."""
    with anyio.move_on_after(HANDED_OVER_SECONDS):
        while not (holders := await sockets.holders(port, ())):  # noqa: ASYNC110 (only a look shows it)
            await anyio.sleep(HOLDER_LOOK_SECONDS)
        return f", and port {port} is held by {in_words(holders)}, which is not part of it"
    return ""


def _take_place(entry: Entry, verdict: Verdict) -> None:
    """Remember where the process really listens, if that is not where it was asked to."""
    record = entry.record
    if verdict.at is None or record.port is None:
        return
    if verdict.at.port != record.port:
        entry.update(port=verdict.at.port, host=verdict.at.host, asked_port=record.port)
    elif reachable_host(verdict.at.host) != reachable_host(record.host):
        entry.update(host=verdict.at.host)


async def await_started(sockets: Sockets, seconds: float | None, log_path: Path) -> None:
    """Return when the process has run long enough to count as started.

    Args:
        sockets: those of the process.
        seconds: how long that is; None: START_SECONDS, and an end with exit code 0 is not a failure.
        log_path: the log of the process.

    Raises:
        NotReadyError: it ended before.
    """
    if seconds == 0:
        return
    entry = sockets.entry
    began, pause = anyio.current_time(), LOOK_SECONDS
    with anyio.move_on_after(START_SECONDS if seconds is None else seconds):
        while entry.refresh() != "exited":
            await _until_ended(entry, pause)
            pause = min(pause * _LONGER, _LONGEST_LOOK_SECONDS)  # 9 looks in the half second of a start, not 25
    if entry.refresh() != "exited" or (seconds is None and entry.record.exit_code == 0):
        return
    actions = [FIX_COMMAND]
    if entry.record.exit_code == 0:
        actions += ["if it does its work and ends, start it by a class that has 'completed'"]
    what = f"process {entry.record.key!r} {entry.ending()} {anyio.current_time() - began:.1f} s after its start"
    raise await _not_ready(sockets, what, log_path, actions)


async def _until_ended(entry: Entry, seconds: float) -> None:
    """Return after `seconds`, and as soon as it is known that the process has ended."""
    with anyio.move_on_after(seconds):
        await entry.ended.wait()


async def await_ended(sockets: Sockets, seconds: float, log_path: Path) -> None:
    """Return when the process has ended with exit code 0.

    Args:
        sockets: those of the process.
        seconds: how long to wait.
        log_path: the log of the process.

    Raises:
        NotReadyError: it ended otherwise, or still runs after that time.
    """
    entry = sockets.entry
    with anyio.move_on_after(seconds):
        while entry.refresh() != "exited":
            await _until_ended(entry, LOOK_SECONDS)
    if entry.refresh() == "exited" and entry.record.exit_code == 0:
        return
    what = entry.ending() if entry.refresh() == "exited" else f"had not ended after {seconds:g} s (endsWithin)"
    what = f"process {entry.record.key!r} {what}"
    raise await _not_ready(sockets, what, log_path, [f"{FIX_COMMAND}, or allow more time"])


async def _not_ready(sockets: Sockets, what: str, log_path: Path, actions: Sequence[str]) -> NotReadyError:
    """Return the failure with what the process said of it, who holds the port that it found taken, and its log's end.

    What it said comes first, since lists of failures have room for the beginning alone. If it said nothing and may
    have gone into the background, the next action says so: Redis and sshd exit with 0 before they have a port.
    """
    entry = sockets.entry
    end = await anyio.to_thread.run_sync(lambda: tail(log_path, base=entry.record.log_base, lines=SEARCHED_LINES))
    said = last_words(end.lines)
    shown = bounded(end.lines[-SHOWN_LINES:], SHOWN_CHARS)
    above = [line for line in said.split(" | ") if line.lstrip("…") not in shown]
    log = "\n".join([*above, "…", shown]) if above else shown or NO_OUTPUT
    if said and said_why(entry, end.lines):
        reason = _shortened(said)
        what += f": {reason}" if entry.state == "exited" else f"; it said: {reason}"
        if _TAKEN.search(said) and (taken := await _taken_by(sockets, said)):
            what += taken
            actions = [_OTHER_PORT if entry.record.port is None else _OWN_PORT, *actions[1:]]
        elif _REFUSED.search(said) and _HERE.search(said) and (port := await _missing(sockets, said)) is not None:
            what += f" (nothing listens on port {port} here)"
            needed = f"start what it needs on port {port}{_OF_A_CLASS.get(port, '')} and name that in dependsOn"
            actions = [f"{needed}, or {FIX_COMMAND}", *actions[1:]]
        if lacks_something(said, entry.record.exit_code):
            actions = [f"install what it needs (npm install, pip install …), or {FIX_COMMAND}", *actions[1:]]
        if entry.record.user in (None, "root") and runs_as_root(None) and _ROOT.search(said):
            actions = [_NOT_ROOT]
        elif entry.record.stdin != "tty" and _TERMINAL.search(said):
            actions = ["give it a terminal: terminal true of its class, or stdin tty of process/start", *actions]
        elif _FOREGROUND in actions and not entry.record.forked:  # it says itself why it ended
            actions = [FIX_COMMAND, *actions]
    if entry.record.killed_for:
        actions = ["let it have more memory, or use less"]
    elif not shown and entry.state == "exited" and (entry.record.forked or entry.record.exit_code == 0):
        actions = [*actions, *(() if _FOREGROUND in actions else (_SILENT,))]
    return NotReadyError(what, log=log, next_actions=actions)


async def _missing(sockets: Sockets, said: str) -> int | None:
    """Return the port of this machine that a process could not reach, as no one listens there; None: it is another."""
    for port in map(int, _PORT.findall(_TIME.sub("", said))):
        if port != sockets.entry.record.port and not await sockets.holders(port, ()):
            return port
    return None


async def _trouble_of(entry: Entry, log_path: Path) -> str:
    """Return what a program that is not ready yet says went wrong: under a watcher (tsx watch, nodemon) it runs on."""
    end = await anyio.to_thread.run_sync(lambda: tail(log_path, base=entry.record.log_base, lines=SEARCHED_LINES))
    said = last_words(end.lines) if reports_trouble(end.lines) else ""
    return f"; it said: {_shortened(said)}" if said else ""


def _shortened(said: str) -> str:
    return said if len(said) <= REASON_CHARS else f"…{said[1 - REASON_CHARS :]}"


async def _taken_by(sockets: Sockets, said: str) -> str:
    """Return in words who holds the port that a process says is taken."""
    for port in map(int, _PORT.findall(_TIME.sub("", said))):
        if holders := await sockets.holders(port, ()):
            return f" (port {port} is held by {in_words(holders)})"
    return ""


def said_why(entry: Entry, lines: Sequence[str]) -> bool:
    """Return whether the last lines of a process say why it does not run as it should."""
    record = entry.record
    if record.killed_for or (record.exit_signal is not None and record.exit_signal not in CRASH_SIGNALS):
        return False
    return bool(record.exit_code) or record.exit_signal is not None or reports_trouble(lines)
