"""Readiness: TCP and a short talk, HTTP, a pattern in the log, a program. One probe is one look with a deadline."""

import errno
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import anyio.to_thread
from anyio.abc import ByteStream
from msgspec import Struct

from ostler.adapters.process.command_probe import run_command
from ostler.adapters.process.contract import Probe
from ostler.adapters.process.escapes import bytes_of
from ostler.adapters.process.log_watch import LogWatch
from ostler.adapters.process.logfile import clean_line, run_output, split_lines
from ostler.adapters.process.port_owners import Listener, Sockets, in_words, is_listening, listening_at
from ostler.adapters.process.ports import address_of, is_this_machine, reachable_host
from ostler.adapters.process.process_table import Bound
from ostler.adapters.process.web_probe import Looked, look_http, reason_of, valid_url
from ostler.model.errors import ArgumentError
from ostler.rules.text.patterns import LineFilter, PatternError, compile_pattern, line_filter, search
from ostler.rules.text.work_budget import bounded_work

PROBE_SECONDS = 5.0
"""How long one look may take by default."""

MAX_HEAD_BYTES = 16 * 1024
SHOWN_ANSWER = 80
"""How much of an answer that is not the wanted one is shown, in characters."""

_REFUSAL_SECONDS = 0.005
"""How long this machine may take to refuse a connection; it holds up everything else."""

SCAN_BYTES = 1024 * 1024
SCANS_PER_LOOK = 16
"""Pieces of a log that one look reads: a program that writes faster than it is searched must not hold the look."""

SCAN_SECONDS = 2.0
"""Processor time that the searches in one of these pieces may take."""

OVERLAP_BYTES = 8 * 1024
"""Read again at each look, for a line of which only a part was written the last time."""


class Verdict(Struct, frozen=True):
    """What a probe found.

    Attributes:
        ready: it passed.
        detail: what was found, in words.
        at: the host and port that answered, when they are not those that were asked for.
        is_brief: the look cost little: it ended before it asked anyone, or where else the process listens.
        is_tentative: it passed by an answer that a program may give before it is set up.
    """

    ready: bool
    detail: str
    at: Listener | None = None
    is_brief: bool = False
    is_tentative: bool = False


class LogScanner(Struct):
    """Looks for a pattern in a growing log, each byte (nearly) once.

    Attributes:
        path: the log.
        pattern: what is searched in each line, in words.
        matches: whether a line has it.
        base: gives where the file begins in the run's output, if its keeper has not written that down.
        positions: where the next look begins in the run's output, by pattern.
        found: it was there once.
        line: the line that had it.
        matched: what its named groups found then.
        read: the file's number, size and time of change as the last look began that read all of it.
    """

    path: Path
    pattern: str
    matches: LineFilter
    base: Callable[[], int] = lambda: 0
    positions: dict[str, int] = {}
    found: bool = False
    line: str = ""
    matched: dict[str, str] = {}
    read: tuple[int, int, int] | None = None

    def has_no_news(self) -> bool:
        """Return whether nothing was written since all was read in vain: microseconds, and a look needs a thread."""
        if self.found or self.read is None:
            return False
        try:
            return self.read == _mark_of(self.path.stat())
        except OSError:
            return False

    def look(self) -> bool:
        """Return whether the pattern has been found up to now, in a bounded piece of the log. Blocks."""
        self.read = None
        for _ in range(SCANS_PER_LOOK):
            if self.found:
                break
            try:
                with run_output(self.path, self.base()) as output:
                    end = output.end
                    number, _, changed = _mark_of(os.fstat(output.file.fileno()))
                    mark = number, end - output.base, changed
                    begin = max(output.begin, min(self.positions.get(self.pattern, 0), end) - OVERLAP_BYTES)
                    data = output.read(begin, min(end, begin + SCAN_BYTES))
            except FileNotFoundError:
                return False
            with bounded_work(SCAN_SECONDS):
                self.found = any(self._takes(line) for line in split_lines(data))
            position = self.positions[self.pattern] = begin + len(data)
            if position >= end:
                self.read = mark
                break
        return self.found

    def _takes(self, raw: bytes) -> bool:
        line = clean_line(raw)
        if not self.matches(line):
            return False
        self.line = line
        if compile_pattern(self.pattern).groupindex:
            if not raw.endswith(b"\n"):
                return False  # half a line would give half a value
            match = search(self.pattern, line)
            assert match is not None, "it has just matched"
            self.matched = {name: value for name, value in match.groupdict().items() if value is not None}
        return True


def _mark_of(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns


def log_scanner(probe: Probe, path: Path, base: Callable[[], int] = lambda: 0) -> LogScanner | None:
    """Return the scanner for the log pattern of `probe`, None when it has none.

    Args:
        probe: placeholders already replaced.
        path: the log.
        base: as of the scanner.

    Raises:
        ArgumentError: the pattern is not a regular expression.
    """
    return None if probe.log is None else LogScanner(path, probe.log, line_filter(probe.log, "ready.log"), base)


async def look(
    probe: Probe,
    sockets: Sockets,
    *,
    scanner: LogScanner | None,
    watch: LogWatch | None,
    timeout: float = PROBE_SECONDS,
) -> Verdict:
    """Check once whether all parts of `probe` pass.

    A port of this machine passes only when the process itself, or one below it, listens there.

    Args:
        probe: placeholders already replaced.
        sockets: of the process.
        scanner: for the log pattern, if there is one.
        watch: for the lines that report trouble, if there are such.
        timeout: seconds for each part.
    """
    if scanner is not None and (scanner.has_no_news() or not await anyio.to_thread.run_sync(scanner.look)):
        return Verdict(ready=False, detail=f"no log line matches {scanner.pattern!r} yet", is_brief=True)
    trouble = None if watch is None else await watch.look()
    if trouble is not None:
        return Verdict(ready=False, detail=trouble)
    found = "the log line was found" if probe.log is not None else "no log line reports trouble"
    verdict = Verdict(ready=True, detail=found)
    record = sockets.entry.record
    is_own = probe.owner == "own"
    if isinstance(probe.tcp, int):
        host = probe.host or record.host
        verdict = await _look_at(
            host,
            probe.tcp,
            sockets if is_own else None,
            lambda where, port: _look_tcp(where, port, timeout, probe),
            is_port_all=probe.answer is None,
        )
        if not verdict.ready:
            return verdict
    if probe.http is not None:
        url = valid_url(probe.http)
        verdict = await _look_at(
            url.host,
            url.port,
            sockets if is_own else None,
            lambda where, port: look_http(url.at(where, port), probe.status, timeout),
        )
        if not verdict.ready:
            return verdict
    if probe.exec is not None:
        passed, detail = await run_command(probe.exec, sockets.entry, timeout)
        return Verdict(ready=passed, detail=detail, at=verdict.at, is_tentative=passed and verdict.is_tentative)
    return verdict


def frozen_verdict(pid: int | None) -> Verdict:
    """Return what a look finds at the process `pid`, which a signal has stopped."""
    said = f"pid {pid} is stopped by a signal (SIGSTOP, SIGTSTP) and does nothing; 'kill -CONT {pid}' lets it go on"
    return Verdict(ready=False, detail=said)


async def _look_at(  # noqa: C901, PLR0911 (each thing that may be found)
    host: str,
    port: int,
    sockets: Sockets | None,
    ask: Callable[[str, int], Awaitable[Looked]],
    *,
    is_port_all: bool = False,
) -> Verdict:
    """Ask at `host` and `port`; where the process listens on another address or port instead, ask there.

    Args:
        host: where to ask.
        port: where to ask.
        sockets: of the process, when only what it has itself counts.
        ask: asks over a connection.
        is_port_all: whether a listening socket is all that is wanted. What the system's table shows is then not asked
            for over a connection: a debugger (Delve, debugpy) takes the first one for its client, and lets no other in.
    """
    if sockets is None or not is_this_machine(host):
        return _verdict_of(await ask(host, port))
    address = reachable_host(host)
    found = await anyio.to_thread.run_sync(listening_at, port)
    is_shown = None if found is None else is_listening(found, address)
    is_refused = sockets.entry.starting and (_refuses(address, port) if found is None else is_shown is False)
    if is_refused and not sockets.is_due():  # the usual check of what starts costs nothing
        return Verdict(ready=False, detail=f"{address_of(host, port)} refuses connections", is_brief=True)
    looked = _accepts(port) if is_port_all and is_shown else await ask(host, port)
    is_its_own = looked.passed and await sockets.holds(port)
    if taken := await _taken(address, port, sockets, found):
        return taken
    if is_its_own:
        if doubt := await _doubt_of(sockets, port):
            return doubt
        return _verdict_of(looked, await _only_over_6(sockets, port) if host.lower() == "localhost" else None)
    own = await sockets.own()
    if own is None:
        return _verdict_of(looked)
    tcp = [listener for listener in own if listener.is_tcp]
    is_both = any(one.host == "::" and one.over_4 for one in found or ())  # such a socket is where it was asked, too
    here = [
        listener
        for listener in tcp
        if listener.port == port and reachable_host(listener.host) != host and not (is_both and listener.host == "::")
    ]
    if here and (taken := await _taken(address, port, sockets, found)):
        return taken
    is_given = port == sockets.entry.record.port
    for listener in here or (tcp if is_given and sockets.is_elsewhere(tcp, port) else ()):
        there = reachable_host(listener.host), listener.port
        looked = _accepts(listener.port) if is_port_all else await ask(*there)
        if looked.passed:
            return _verdict_of(looked, listener)
    elsewhere = "" if here else _elsewhere(own, port)
    holders = [] if here or is_refused else await sockets.holders(port, own)
    if holders:
        held = f"port {port} is held by {in_words(holders)}, which is not part of this process{elsewhere}"
        return Verdict(ready=False, detail=held)
    return Verdict(ready=False, detail=looked.said + elsewhere)


def _verdict_of(looked: Looked, at: Listener | None = None) -> Verdict:
    return Verdict(looked.passed, looked.said, at=at, is_tentative=looked.is_tentative)


async def _taken(address: str, port: int, sockets: Sockets, found: list[Bound] | None) -> Verdict | None:
    """Return that someone else takes connections to `port` of `address`, where the process has it elsewhere alone.

    This is asked after each look that found it listening: it may have begun to between two looks.
    """
    if not (instead := await sockets.instead(address, port, found or ())):
        return None
    held = in_words(instead)
    said = f"port {port} of {address} is held by {held}, and this process listens at another address of it"
    return Verdict(ready=False, detail=said)


async def _doubt_of(sockets: Sockets, port: int) -> Verdict | None:
    """Return why connections to `port`, on which the process listens, may not be answered by it."""
    if (frozen := await sockets.frozen_listener()) is not None:
        return frozen_verdict(frozen)  # the system accepts connections for it
    sharing = await sockets.sharing(port) if sockets.entry.starting else {}
    if sharing:
        return Verdict(ready=False, detail=f"port {port} is shared with {in_words(sharing[port])}")
    return None


def _elsewhere(own: list[Listener], port: int) -> str:
    """Return in words where a process listens that does not at TCP `port`."""
    places = ", ".join(sorted({listener.address for listener in own if listener.is_tcp and listener.port != port}))
    said = f"; the process listens on {places} instead" if places else ""
    if any(listener.port == port and not listener.is_tcp for listener in own):
        said += f"; the process has UDP port {port}, which only a log line or a command can show to be ready"
    return said


def _refuses(host: str, port: int) -> bool:
    """Whether the system says at once that no one listens on `port` of `host`, an address of this machine."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        trial.settimeout(_REFUSAL_SECONDS)  # not 0: a connection that is refused may be in progress for a moment
        try:
            return trial.connect_ex((host, port)) == errno.ECONNREFUSED
        except OSError:
            return False


async def _only_over_6(sockets: Sockets, port: int) -> Listener | None:
    """Return where the process listens when that is ::1 alone: `localhost` may mean that, and 127.0.0.1 never does."""
    own = [listener for listener in await sockets.own() or () if listener.port == port and listener.is_tcp]
    return own[0] if own and all(listener.host == "::1" for listener in own) else None


async def _look_tcp(host: str, port: int, timeout: float, probe: Probe) -> Looked:
    where = address_of(host, port)
    connected = False
    try:
        with anyio.fail_after(timeout):
            stream = await anyio.connect_tcp(reachable_host(host), port)
            connected = True
            try:
                if probe.answer is not None:
                    return await _look_answer(stream, where, probe.send, probe.answer)
            finally:
                await anyio.aclose_forcefully(stream)
    except TimeoutError:
        what = "did not answer as expected" if connected else "did not accept a connection"
        return Looked(passed=False, said=f"{where} {what} in {timeout:g} s")
    except (OSError, anyio.BrokenResourceError) as error:
        what = "broke" if connected else "refused"
        return Looked(passed=False, said=f"{where} {what} the connection ({reason_of(error)})")
    return _accepts(port)


def _accepts(port: int) -> Looked:
    return Looked(passed=True, said=f"port {port} accepts connections")


async def _look_answer(stream: ByteStream, where: str, sent: str | None, wanted: str) -> Looked:
    """Talk over a fresh connection; come back when the answer matches, or the other side has closed."""
    if sent is not None:
        await stream.send(bytes_of(sent))
    got = ""
    while len(got) < MAX_HEAD_BYTES:
        try:
            got += (await stream.receive(4096)).decode("latin-1")
        except anyio.EndOfStream:
            break
        try:
            if search(wanted, got) is not None:
                return Looked(passed=True, said=f"{where} answers as expected")
        except PatternError as error:
            raise ArgumentError([f"ready.answer: {error}"]) from error
    shown = f"answered {got[:SHOWN_ANSWER]!r}" if got else "closed the connection without an answer"
    return Looked(passed=False, said=f"{where} {shown}, wanted {wanted!r}")
