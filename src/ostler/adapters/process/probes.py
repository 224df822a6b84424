"""Readiness: TCP connect and a short talk, HTTP GET, a pattern in the log. One probe is one look with a deadline."""

import os
import re
import socket
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
from anyio.abc import ByteStream

from ostler.adapters.process.contract import Probe, bytes_of
from ostler.adapters.process.logfile import LineFilter, clean_line, line_filter, split_lines
from ostler.model.errors import ArgumentError
from ostler.rules.text.patterns import PatternError, compile_pattern, search

PROBE_SECONDS = 5.0
"""How long one look may take when nothing else is said."""

MAX_HEAD_BYTES = 16 * 1024
SHOWN_ANSWER = 80
"""How much of an answer that is not the wanted one is shown, in characters."""

SCAN_BYTES = 1024 * 1024
OVERLAP_BYTES = 8 * 1024
"""Read again at each look, for a line that was only half there the last time."""

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})[ \r\n]")
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1", "*": "127.0.0.1", "": "127.0.0.1"}  # noqa: S104 (mapped away)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a probe found; `detail` says it in words."""

    ready: bool
    detail: str


@dataclass(slots=True)
class LogScanner:
    """Looks for a pattern in a growing log, each byte (nearly) once.

    Attributes:
        path: the log.
        pattern: what is searched in each line, in words.
        matches: whether a line has it.
        position: where the next look begins in the file; a file that became shorter was rotated.
        found: it was there once.
        matched: what its named groups found then.
    """

    path: Path
    pattern: str
    matches: LineFilter
    position: int = 0
    found: bool = field(default=False)
    matched: dict[str, str] = field(default_factory=dict[str, str])

    def look(self) -> bool:
        """Return whether the pattern has been found up to now. Blocks; call it in a thread."""
        while not self.found:
            try:
                with self.path.open("rb") as file:
                    size = file.seek(0, 2)
                    if size < self.position:
                        self.position = 0
                    begin = max(0, self.position - OVERLAP_BYTES)
                    file.seek(begin)
                    data = file.read(SCAN_BYTES)
            except FileNotFoundError:
                return False
            self.found = any(self._takes(line) for line in split_lines(data))
            self.position = begin + len(data)
            if self.position >= size:
                break
        return self.found

    def _takes(self, raw: bytes) -> bool:
        line = clean_line(raw)
        if not self.matches(line):
            return False
        if compile_pattern(self.pattern).groupindex:
            if not raw.endswith(b"\n"):
                return False  # half a line would give half a value
            match = search(self.pattern, line)
            assert match is not None, "it has just matched"
            self.matched = {name: value for name, value in match.groupdict().items() if value is not None}
        return True


def log_scanner(probe: Probe, path: Path) -> LogScanner | None:
    """Return the scanner for the log pattern of `probe`, None when it has none.

    Raises:
        ArgumentError: the pattern is not a regular expression.
    """
    return None if probe.log is None else LogScanner(path, probe.log, line_filter(probe.log, "ready.log"))


async def look(probe: Probe, *, host: str, scanner: LogScanner | None, timeout: float = PROBE_SECONDS) -> Verdict:
    """Look once whether all parts of `probe` pass.

    Args:
        probe: placeholders already replaced.
        host: where a TCP port is, unless the probe says so.
        scanner: for the log pattern, if there is one.
        timeout: seconds for each part.
    """
    if scanner is not None and not await anyio.to_thread.run_sync(scanner.look):
        return Verdict(ready=False, detail=f"no log line matches {scanner.pattern!r} yet")
    if isinstance(probe.tcp, int):
        verdict = await _look_tcp(probe.host or host, probe.tcp, timeout, probe)
        if not verdict.ready:
            return verdict
    if probe.http is not None:
        return await _look_http(probe.http, probe.status, timeout)
    if isinstance(probe.tcp, int):
        what = "accepts connections" if probe.answer is None else "answers as expected"
        return Verdict(ready=True, detail=f"port {probe.tcp} {what}")
    return Verdict(ready=True, detail="the log line was found")


def reachable_host(host: str) -> str:
    """Return the address to connect to for what listens on `host` (loopback for a wildcard)."""
    return _WILDCARDS.get(host, host)


async def _look_tcp(host: str, port: int, timeout: float, probe: Probe) -> Verdict:
    where = f"{reachable_host(host)}:{port}"
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
        return Verdict(ready=False, detail=f"{where} {what} in {timeout:g} s")
    except (OSError, anyio.BrokenResourceError) as error:
        what = "broke" if connected else "refused"
        return Verdict(ready=False, detail=f"{where} {what} the connection ({_reason(error)})")
    return Verdict(ready=True, detail=f"{where} accepts connections")


async def _look_answer(stream: ByteStream, where: str, sent: str | None, wanted: str) -> Verdict:
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
                return Verdict(ready=True, detail=f"{where} answers as expected")
        except PatternError as error:
            raise ArgumentError([f"ready.answer: {error}"]) from error
    shown = f"answered {got[:SHOWN_ANSWER]!r}" if got else "closed the connection without an answer"
    return Verdict(ready=False, detail=f"{where} {shown}, wanted {wanted!r}")


async def _look_http(url: str, status: int | list[int] | None, timeout: float) -> Verdict:
    try:
        with anyio.fail_after(timeout):
            got = await _http_status(url)
    except TimeoutError:
        return Verdict(ready=False, detail=f"{url} did not answer in {timeout:g} s")
    except (OSError, anyio.BrokenResourceError, anyio.EndOfStream, ssl.SSLError) as error:
        return Verdict(ready=False, detail=f"{url} could not be fetched ({_reason(error)})")
    if got is None:
        return Verdict(ready=False, detail=f"{url} did not answer in HTTP")
    match status:
        case None:
            passed, wanted = 200 <= got < 400, "200 to 399"
        case int():
            passed, wanted = got == status, str(status)
        case _:
            passed, wanted = got in status, ", ".join(map(str, status))
    return Verdict(ready=passed, detail=f"{url} answered {got}" + ("" if passed else f", wanted {wanted}"))


async def _http_status(url: str) -> int | None:
    """GET `url`; return the status as soon as it is there, the rest is not read. None: not HTTP."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    try:
        host, port = parts.hostname or "", parts.port or (443 if secure else 80)
    except ValueError as error:
        raise ArgumentError([f"ready.http: {url!r} has no valid port ({error})"]) from error
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not (host + target).isascii() or not (host + target).isprintable() or " " in target:
        raise ArgumentError([f"ready.http: {url!r} is not a valid URL"], next_actions=("percent-encode it",))
    stream: ByteStream = await anyio.connect_tcp(reachable_host(host), port)
    try:
        if secure:
            from anyio.streams.tls import TLSStream  # noqa: PLC0415 (rarely wanted)

            # Asks whether something answers and tells it nothing, so there is nothing that a certificate would guard.
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            stream = await TLSStream.wrap(stream, hostname=host, ssl_context=context, standard_compatible=False)
        # userinfo of the URL is not sent on: this is a look from the same machine
        authority = parts.netloc.rpartition("@")[2]
        await stream.send(
            f"GET {target} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: ostler\r\nAccept: */*\r\n"
            "Connection: close\r\n\r\n".encode("ascii")
        )
        head = b""
        while len(head) < MAX_HEAD_BYTES:
            head += await stream.receive(4096)
            while head.startswith(b"HTTP/1") and (line := _STATUS_LINE.match(head)) and line[1].startswith(b"1"):
                _, blank, rest = head.partition(b"\r\n\r\n")  # an interim answer; the real one follows it
                if not blank:
                    break
                head = rest
            line = _STATUS_LINE.match(head)
            if line is not None and not line[1].startswith(b"1"):
                return int(line[1])
            if line is None and b"\n" in head:
                return None
        return None
    finally:
        await anyio.aclose_forcefully(stream)


def _reason(error: BaseException) -> str:
    """Return the innermost cause in words; anyio wraps the system's error in one that only says it failed."""
    cause = error.__cause__ or error
    while isinstance(cause, BaseExceptionGroup):
        cause = cast("BaseExceptionGroup[BaseException]", cause).exceptions[0]
    if isinstance(cause, anyio.EndOfStream | anyio.BrokenResourceError):
        return "the connection was closed"
    if isinstance(cause, OSError) and not isinstance(cause, socket.gaierror | ssl.SSLError) and cause.errno:
        return os.strerror(cause.errno)  # the event loop's own words repeat the address
    return str(cause) or type(cause).__name__
