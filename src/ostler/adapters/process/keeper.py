"""The keeper: the small parent of one program, which outlives the server and writes down how the program ended.

It is run alone, by `keeper_boot`, and imports nothing of Ostler, so that it is small and starts in a few milliseconds:
the start of each program waits for it. It is the program's parent, so that an exit status is not lost with the server;
on Linux it is the "child subreaper" of all that descends from it, so that what daemonises stays below it; and it holds
the other end of the program's standard input or terminal, for which the server has a named pipe. What the program
writes goes through it into the log, which therefore never outgrows its limit, however fast the program is. It ends when
nothing of the program is left.

From its standard input it reads this script and then one marshalled dict (`Order`); it ends if there is none, as the
server could not write down what is about to run. One without a program has it go on at the log for a killed keeper. To
its standard output it writes `pid N` or `errno N`; its standard error is the program's log.
"""

from __future__ import annotations

import marshal
import os
import sys
import time

TYPE_CHECKING = False  # typing's own would take 3 MB and as many milliseconds
if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping
    from typing import Any
else:
    import _signal as signal  # all that is used here, without the enum module: 5 of 13 ms

ENDINGS_KEPT = 64
"""Endings of adopted descendants that are written down; of more the rest is not of interest."""

_LINE = 64
"""Bytes of one ending. Room for all is taken before the program runs: it may fill the disk."""

OUTPUT_RATE = 64 * 1024 * 1024
"""Bytes a second that a program may write for long; it waits in its write for the rest of the time."""

BURST_SECONDS = 1.0
"""For so long it may write as fast as it can: what it did not use before is saved up for so long."""

PARTS_LINE = 128
"""Bytes of each of the two equal lines of a `.parts` file: a reader sees by them that it was not just being written."""

_PR_SET_CHILD_SUBREAPER = 36
_CHUNK = 65536
_PIPE_BYTES = 1024 * 1024
"""What a pipe holds at most; so much is read when a program has ended, and then its last words are in the log."""


def main() -> None:
    """Spawn the program, report, and stay until all of it is gone."""
    if not (given_order := sys.stdin.buffer.read()):
        return
    order: Mapping[str, Any] = marshal.loads(given_order)  # noqa: S302 (from the server, its parent)
    _adopt_descendants()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, _stay)  # a handler, unlike SIG_IGN, is not handed down
    if not order["argv"]:
        _read_on(order)
        return
    try:
        terminal, typed, given = _input_of(order)
        said, output = (terminal, given) if terminal >= 0 else _output_of(order)
        endings = _Endings(order["endings"])
        log = _Log(os.dup(2), order["log"], order["logMaxBytes"])
        log.begin()
        failure, failing = os.pipe()
        waiting = os.pipe()  # what wakes the copying
        pid = os.fork()
    except OSError as error:  # such as a limit on files or processes
        _forget(order["input"], order["output"])
        os.write(1, b"errno %d" % (error.errno or 0))
        return
    if pid == 0:
        try:
            _become(order, given, output, is_terminal=terminal >= 0)
        except OSError as error:
            os.write(failing, b"%d" % (error.errno or 0))
        finally:
            os._exit(127)
    os.close(failing)
    for end in {given, output}:
        os.close(end)
    refused = os.read(failure, 16)
    os.close(failure)
    os.write(1, b"errno " + refused if refused else b"pid %d" % pid)
    _leave()
    endings.main_pid = pid
    _copy(said, log, typed, endings, waiting)
    try:
        while endings.reap():
            pass
    except ChildProcessError:
        return
    finally:
        _forget(order["input"], order["output"])


def _read_on(order: Mapping[str, Any]) -> None:
    """Copy to the log what the program of a killed keeper says, unless another one does already."""
    import fcntl  # noqa: PLC0415 (for this alone)

    try:
        parts = os.open(f"{order['log']}.parts", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(parts, fcntl.LOCK_EX | fcntl.LOCK_NB)
        said = os.open(order["output"], os.O_RDONLY | os.O_NONBLOCK)
        log = _Log(os.open(order["log"], os.O_RDWR | os.O_APPEND), order["log"], order["logMaxBytes"])
        log.go_on(order["base"], parts)
        waiting = os.pipe()
    except OSError as error:
        os.write(1, b"errno %d" % (error.errno or 0))
        return
    os.write(1, b"pid %d" % os.getpid())
    _leave()
    _copy(said, log, -1, _Endings(""), waiting)


def _leave() -> None:
    """Hold on to nothing of the server any more."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)
    os.chdir("/")


def _input_of(order: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return our end of the terminal, what is typed into it (both -1 without one), and the program's standard input.

    The other end of a pipe stays open as long as this process runs, also where the program cannot hold it itself.

    Raises:
        OSError: the system has none to give.
    """
    if order["stdin"] == "tty":
        terminal, given = os.openpty()
        _size(terminal)
        return terminal, _pipe_at(order["input"])[0], given
    if order["stdin"] == "pipe":
        return -1, -1, _held(order["input"], _pipe_at(order["input"])[0])
    return -1, -1, os.open(os.devnull, os.O_RDONLY)


def _output_of(order: Mapping[str, Any]) -> tuple[int, int]:
    """Return our end of the pipe that the program writes to, and its own.

    Raises:
        OSError: the system has none to give.
    """
    said, output = _pipe_at(order["output"])
    output = _held(order["output"], output)
    if order["uid"] is not None:
        os.fchown(output, order["uid"], -1)  # the program may open it again, as /dev/stdout
    return said, output


def _pipe_at(path: str) -> tuple[int, int]:
    """Return the two ends of a pipe that the server can open at `path`; elsewhere of one that no one can."""
    try:
        os.mkfifo(path, 0o600)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        writer = os.open(path, os.O_WRONLY)
    except OSError:  # not every file system has named pipes
        _forget(path)
        return os.pipe()
    os.set_blocking(reader, True)
    return reader, writer


def _held(path: str, end: int) -> int:
    """Return the pipe at `path` opened for both directions, which outlives its other end; `end` if none is there."""
    try:
        both = os.open(path, os.O_RDWR)
    except OSError:
        return end
    os.close(end)
    return both


def _forget(*paths: str) -> None:
    for path in paths:
        try:
            os.unlink(path)  # noqa: PTH108 (pathlib would take more memory than all else)
        except OSError:
            continue


def _adopt_descendants() -> None:
    if not sys.platform.startswith("linux"):
        return
    asked = (_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        import _ctypes  # noqa: PLC0415 (there alone; ctypes itself would take 4 ms more)

        prctl = _ctypes.dlsym(_ctypes.dlopen(None, 0), "prctl")  # pyright: ignore[reportArgumentType] (as ctypes does)
        _ctypes.call_function(prctl, asked)
    except (ImportError, AttributeError, TypeError, OSError):  # it is private, and may be another in other Pythons
        try:
            import ctypes  # noqa: PLC0415 (see above)

            ctypes.CDLL(None).prctl(*asked)
        except (ImportError, AttributeError, OSError):
            return


def _become(order: Mapping[str, Any], given: int, output: int, *, is_terminal: bool) -> None:
    """Turn this new process into the program.

    Raises:
        OSError: the system refused.
    """
    if is_terminal:
        if order["uid"] is not None:
            os.fchown(given, order["uid"], -1)
        os.login_tty(given)
    else:
        os.setsid()
        os.dup2(given, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
    for name in ("SIGPIPE", "SIGXFSZ", "SIGXFZ"):
        if hasattr(signal, name):  # ignored by this interpreter, and that would be handed down
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    if order["uid"] is not None:
        os.setgroups(order["groups"])
        os.setgid(order["gid"])
        os.setuid(order["uid"])
    os.chdir(order["cwd"])
    os.execve(order["argv"][0], order["argv"], order["env"])  # noqa: S606 (no shell is what is wanted)


class _Endings:
    """Reaps, and writes down the end of the program, `main_pid`, and, from then on, of what it left."""

    main_pid = 0

    def __init__(self, path: str) -> None:
        self._has_ended, self._written, self._file = False, 0, -1
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
            os.write(self._file, b"\n" * (ENDINGS_KEPT * _LINE))
        except OSError:
            return  # the disk is full already; there may be room later

    def reap(self, options: int = 0) -> bool:
        """Reap one that has ended, waiting for it unless WNOHANG is among `options`; False when there is none.

        Raises:
            ChildProcessError: nothing is left to wait for.
        """
        pid, status = os.waitpid(-1, options)
        if pid == 0:
            return False
        self._has_ended = self._has_ended or pid == self.main_pid
        if self._has_ended and self._written < ENDINGS_KEPT:
            place, self._written = self._written, self._written + 1  # a signal during the write brings the next one
            self._write(f"{pid} {os.waitstatus_to_exitcode(status)} {time.time():.3f}\n", place)
        return True

    def reap_all(self, number: int, frame: object) -> None:
        """Handle SIGCHLD."""
        del number, frame
        try:
            while self.reap(os.WNOHANG):
                pass
        except ChildProcessError:
            return

    def _write(self, line: str, place: int) -> None:
        try:
            os.pwrite(self._file, line.encode(), place * _LINE)
        except OSError:
            return  # no room, also not before: the status is lost, the processes are looked after


class _Log:
    """The log of the program, open as `file`. A full one becomes the older part, `PATH.1`, and a new one begins.

    `PATH.parts` says which file begins at which byte of the run's output, by their numbers: readers take both for one;
    and how many bytes are lost, since when. Its room is taken before the program runs, as that of the endings.
    """

    def __init__(self, file: int, path: str, limit: int) -> None:
        self._file, self._path, self._limit = file, path, limit
        self._base = self._lost = self._lost_since = 0
        self._facts = b""
        self._is_whole = True
        """Whether the log ends with a whole line."""
        self._paid = 0.0
        """Until when what was written uses up the program's share of time."""

    def begin(self) -> None:
        """Take the room of the `.parts` file; the log is a new one."""
        self._write_parts(b"")

    def go_on(self, base: int, parts: int) -> None:
        """Go on with the log of a killed keeper, which begins at the byte `base` of the run's output; `parts` is open.

        Raises:
            OSError: it cannot be read.
        """
        self._base = base
        self._is_whole = not (size := os.fstat(self._file).st_size) or os.pread(self._file, 1, size - 1) == b"\n"
        self._facts = os.pread(parts, PARTS_LINE, 0).strip()
        self._lost, self._lost_since = map(int, os.pread(parts, _LINE, 2 * PARTS_LINE).split() or (0, 0))

    def pause(self) -> float:
        """Return for how many seconds no more is to be taken from the program."""
        return max(0.0, self._paid - time.monotonic())

    def write(self, data: bytes) -> None:
        """Write what the program said. What does not go into the log, as the disk is full, is lost: it must go on."""
        self._paid = max(self._paid, time.monotonic() - BURST_SECONDS) + len(data) / OUTPUT_RATE
        try:
            while data:
                room = self._limit - os.fstat(self._file).st_size
                lines = data.rfind(b"\n", 0, max(room, 0)) + 1 if len(data) > room else len(data)
                if room <= 0 or (not lines and self._is_whole and room < self._limit):
                    if not self._begin_again():
                        return
                    continue
                written = os.write(self._file, data[: lines or room])
                self._is_whole = data[written - 1 : written] == b"\n"
                data = data[written:]
        except OSError:
            self._lost, self._lost_since = self._lost + len(data), self._lost_since or int(time.time())
            self._write_parts(self._facts)

    def _begin_again(self) -> bool:
        """Make the log the older part, and begin a new one; False when there is a new run's in its place.

        Raises:
            OSError: the disk refuses.
        """
        now = os.fstat(self._file)
        try:
            if os.stat(self._path).st_ino != now.st_ino:  # noqa: PTH116 (pathlib would take more memory than all else)
                return False
            is_there = True
        except FileNotFoundError:
            is_there = False
        fresh = os.open(f"{self._path}.new", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            base = self._base + now.st_size
            self._write_parts(b"%d %d %d %d" % (now.st_ino, self._base, os.fstat(fresh).st_ino, base))
            if is_there:
                self._keep()
            os.replace(f"{self._path}.new", self._path)  # noqa: PTH105
        except OSError:
            os.close(fresh)
            raise
        os.close(self._file)
        self._file, self._base = fresh, base
        return True

    def _keep(self) -> None:
        """Make the log the older part too; it stays in its place, if the file system can do that.

        Raises:
            OSError: the disk refuses.
        """
        _forget(f"{self._path}.1")
        try:
            os.link(self._path, f"{self._path}.1")
        except OSError:
            os.replace(self._path, f"{self._path}.1")  # noqa: PTH105

    def _write_parts(self, facts: bytes) -> None:
        line = facts.ljust(PARTS_LINE - 1) + b"\n"
        lost = b"%d %d" % (self._lost, self._lost_since) if self._lost else b""
        try:
            parts = os.open(f"{self._path}.parts", os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                os.pwrite(parts, line + line + lost.ljust(_LINE - 1) + b"\n", 0)
            finally:
                os.close(parts)
        except OSError:
            if facts != self._facts:
                raise
            return  # the disk is full already; there may be room later
        self._facts = facts


def _copy(said: int, log: _Log, typed: int, endings: _Endings, waiting: tuple[int, int]) -> None:
    """Copy what the program says into the log, and into a terminal what is sent, until no one has its output open.

    An end is written down when the last words before it are in the log.
    """
    import select  # noqa: PLC0415 (the tests of limits end before it is needed)

    woken, waking = waiting
    for end in (woken, waking, said):  # a program that does not read must not keep its output from the log
        os.set_blocking(end, False)
    signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, _stay)
    os.write(waking, b"\0")  # it may have ended before
    sent = b""
    is_open = True
    while is_open:
        pause = log.pause()
        sources = [woken, *([] if pause else [said]), *([] if sent or typed < 0 else [typed])]
        readable, writable, _ = select.select(sources, [said] if sent else [], [], pause or None)
        try:
            if typed in readable:
                sent = os.read(typed, _CHUNK)
            elif writable:
                sent = sent[os.write(said, sent) :]
        except OSError:  # BlockingIOError, or EIO: no process has it open any more, as the next read shows
            pass
        if woken in readable:
            os.read(woken, _CHUNK)
            is_open = _take(said, log, _PIPE_BYTES)
            endings.reap_all(signal.SIGCHLD, None)
        elif said in readable:
            is_open = _take(said, log, _CHUNK)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.close(said)
    if typed >= 0:
        os.close(typed)


def _take(said: int, log: _Log, most: int) -> bool:
    """Copy what is there, at most `most` bytes and a piece; return whether more may come."""
    while most > 0:
        try:
            data = os.read(said, _CHUNK)
        except BlockingIOError:
            return True
        except OSError:  # EIO: no process has the terminal open any more
            return False
        if not data:
            return False
        log.write(data)
        most -= len(data)
    return True


def _size(terminal: int) -> None:
    import fcntl  # noqa: PLC0415 (for terminals alone)
    import struct  # noqa: PLC0415
    import termios  # noqa: PLC0415

    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))


def _stay(number: int, frame: object) -> None:
    """Go on: the program gets its signals itself, and its end must be seen."""
    del number, frame
