"""The keeper: the small parent of one program, which outlives the server and writes down how the program ended.

It is run alone (`keeper_command`) and imports nothing of Ostler, so that it is small and starts in a few milliseconds:
the start of each program waits for it. It is the program's parent, so that an exit status is not lost with the server;
on Linux it is the "child subreaper" of all that descends from it, so that what daemonises stays below it; and it holds
the other end of the program's standard input or terminal, for which the server has a named pipe. It ends when nothing
of the program is left.

From its standard input it reads one marshalled dict (`Order`); it ends if there is none, as the server could not write
down what is about to run. To its standard output it writes `pid N` or
`errno N`; its standard error is the program's log.
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

_PR_SET_CHILD_SUBREAPER = 36
_CHUNK = 65536


_RUN = "import sys; sys.path.append(sys.argv[1].rpartition('/')[0]); import keeper; keeper.main()"
"""From its bytecode: to compile this script takes as long as all else of its start."""


def keeper_command(key: str) -> list[str]:
    """Return the command that runs the keeper of the process `key`."""
    return [sys.executable, "-I", "-S", "-c", _RUN, __file__, key]


def main() -> None:
    """Spawn the program, report, and stay until all of it is gone."""
    if not (given_order := sys.stdin.buffer.read()):
        return
    order: Mapping[str, Any] = marshal.loads(given_order)  # noqa: S302 (from the server, its parent)
    _adopt_descendants()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, _stay)  # a handler, unlike SIG_IGN, is not handed down
    try:
        terminal, typed, given = _input_of(order)
        endings = _Endings(order["endings"])
        failure, failing = os.pipe()
        pid = os.fork()
    except OSError as error:  # such as a limit on files or processes
        _forget(order["input"])
        os.write(1, b"errno %d" % (error.errno or 0))
        return
    if pid == 0:
        try:
            _become(order, given, is_terminal=terminal >= 0)
        except OSError as error:
            os.write(failing, b"%d" % (error.errno or 0))
        finally:
            os._exit(127)
    os.close(failing)
    os.close(given)
    refused = os.read(failure, 16)
    os.close(failure)
    os.write(1, b"errno " + refused if refused else b"pid %d" % pid)
    nothing = os.open(os.devnull, os.O_RDWR)
    log = os.dup(2) if terminal >= 0 else -1
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)
    os.chdir("/")
    endings.main_pid = pid
    if terminal >= 0:
        signal.signal(signal.SIGCHLD, endings.reap_all)
        endings.reap_all(signal.SIGCHLD, None)
        _copy(terminal, log, typed)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        while endings.reap():
            pass
    except ChildProcessError:
        return
    finally:
        _forget(order["input"])


def _input_of(order: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return our end of the terminal, what is typed into it (both -1 without one), and the program's standard input.

    The other end of a pipe stays open as long as this process runs: the program's input does not end before.

    Raises:
        OSError: the system has none to give.
    """
    if order["stdin"] == "tty":
        terminal, given = os.openpty()
        _size(terminal)
        return terminal, _pipe_at(order["input"])[0], given
    if order["stdin"] == "pipe":
        return -1, -1, _pipe_at(order["input"])[0]
    return -1, -1, os.open(os.devnull, os.O_RDONLY)


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


def _forget(path: str) -> None:
    try:
        os.unlink(path)  # noqa: PTH108 (pathlib would take more memory than all else)
    except OSError:
        return


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


def _become(order: Mapping[str, Any], given: int, *, is_terminal: bool) -> None:
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
        os.dup2(2, 1)
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
        self._has_ended = False
        self._written = 0
        self._file = -1
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


def _copy(terminal: int, log: int, typed: int) -> None:
    """Copy what is written to the terminal into the log, and what is sent into it, until no one has it open."""
    import select  # noqa: PLC0415 (for terminals alone)

    os.set_blocking(terminal, False)  # a program that does not read must not keep its output from the log
    sent = b""
    while True:
        readable, writable, _ = select.select([terminal, *([] if sent else [typed])], [terminal] if sent else [], [])
        try:
            if typed in readable:
                sent = os.read(typed, _CHUNK)
            elif writable:
                sent = sent[os.write(terminal, sent) :]
            data = os.read(terminal, _CHUNK) if terminal in readable else None
        except BlockingIOError:
            continue
        except OSError:  # EIO: no process has it open any more
            break
        if data == b"":
            break
        while data:
            try:
                data = data[os.write(log, data) :]
            except OSError:
                break  # a full disk must not stop the program
    os.close(terminal)
    os.close(typed)
    os.close(log)


def _size(terminal: int) -> None:
    import fcntl  # noqa: PLC0415 (for terminals alone)
    import struct  # noqa: PLC0415
    import termios  # noqa: PLC0415

    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))


def _stay(number: int, frame: object) -> None:
    """Go on: the program gets its signals itself, and its end must be seen."""
    del number, frame
