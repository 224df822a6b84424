"""Runs Python programs that need Ostler in forks of a process that has imported it: 0.15 s of CPU instead of 0.55.

`warm_python()` stands for `sys.executable` in a command. What is run that way is the same program: it has its own
process and session, the environment, folder and standard streams of its caller, and its arguments in the list of
processes. Only its imports are done.
"""

import atexit
import contextlib
import ctypes
import gc
import marshal
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
import uuid
from functools import cache
from pathlib import Path
from typing import Final

CLIENT: Final = Path(__file__).with_name("warm_client.py")
_FORKER: Final = Path(__file__).with_name("forker.py")
_LISTED: Final = 4096
"""Bytes that the list of processes has for the arguments of a program."""


@cache
def warm_python() -> list[str]:
    """Return what stands for `sys.executable` in a command; the process that forks ends with this one."""
    if not hasattr(signal, "pidfd_send_signal"):  # not Linux
        return [sys.executable]
    name = f"warm-python-{uuid.uuid4().hex}"
    with socket.socket(socket.AF_UNIX) as listener:  # whoever connects early waits
        listener.bind(f"\0{name}")
        listener.listen(64)
        process = subprocess.Popen(
            [sys.executable, "-P", __file__, str(listener.fileno()), "-" * _LISTED],
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
        )
    atexit.register(process.communicate)
    return [sys.executable, "-I", "-S", str(CLIENT), name]


class _Forks:
    """The programs that run, each with who asked for it and the kernel's handle of its process."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._asking: dict[int, tuple[socket.socket, int]] = {}

    def serve(self) -> None:
        """Fork for whoever connects, until stdin ends."""
        poll = select.poll()
        poll.register(0, select.POLLIN | select.POLLHUP)
        poll.register(self._listener, select.POLLIN)
        callers: dict[int, int] = {}
        while True:
            for ready, _event in poll.poll():
                if ready == 0:
                    return
                if ready == self._listener.fileno():
                    caller, _ = self._listener.accept()
                    if (pid := self._fork(caller)) is not None:
                        with contextlib.suppress(OSError):
                            caller.sendall(pid.to_bytes(4, "little"))
                        handle = os.pidfd_open(pid)
                        self._asking[handle] = caller, pid
                        callers[caller.fileno()] = handle
                        poll.register(handle, select.POLLIN)
                        poll.register(caller, select.POLLIN | select.POLLHUP)
                elif ready in callers:  # it never says more, so it is gone
                    poll.unregister(ready)
                    with contextlib.suppress(ProcessLookupError):
                        signal.pidfd_send_signal(callers.pop(ready), signal.SIGKILL)
                elif ready in self._asking:
                    caller, pid = self._asking.pop(ready)
                    if callers.pop(caller.fileno(), None) is not None:
                        poll.unregister(caller)
                    poll.unregister(ready)
                    os.close(ready)
                    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                    with caller, contextlib.suppress(OSError):
                        caller.sendall(code.to_bytes(4, "little", signed=True))

    def _fork(self, caller: socket.socket) -> int | None:
        header, streams, _, _ = socket.recv_fds(caller, 8, 3)
        asked = b""
        while header and len(asked) < int.from_bytes(header, "little"):
            more = caller.recv(1 << 20)
            if not more:
                break
            asked += more
        pid = os.fork() if asked else None
        if pid == 0:
            self._listener.close()
            caller.close()
            for handle, (other, _) in self._asking.items():
                os.close(handle)
                other.close()
            words, folder, environment = marshal.loads(asked)
            os._exit(_run(words, folder, environment, streams))
        for stream in streams:
            os.close(stream)
        if pid is None:
            caller.close()
        return pid


def _run(words: list[str], folder: str, environment: dict[str, str], streams: list[int]) -> int:
    """Be the program; return its exit status."""
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
        os.close(stream)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _list_as([sys.executable, *words])
    if words[0] == "-P":
        words = words[1:]
    code: object = 1
    try:
        if words[0] == "-c":
            sys.argv = ["-c", *words[2:]]
            exec(compile(words[1], "<string>", "exec"), {"__name__": "__main__"})
        else:
            sys.argv = words
            runpy.run_path(words[0], run_name="__main__")
        code = 0
    except SystemExit as ending:
        code = ending.code
    except BaseException:
        traceback.print_exc()
    threading._shutdown()  # pyright: ignore[reportAttributeAccessIssue]
    atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    return code or 0


def _list_as(words: list[str]) -> None:
    """Have the list of processes show these arguments."""
    start, end = map(int, Path("/proc/self/stat").read_text().rpartition(")")[2].split()[45:47])
    listed = b"".join(os.fsencode(word) + b"\0" for word in words)[: end - start - 1]
    ctypes.memmove(start, listed.ljust(end - start, b"\0"), end - start)


def main() -> None:
    """Import, then fork for each caller."""
    runpy.run_path(str(_FORKER))["import_server"]()  # by its file, as `-P` keeps `tests` off the path
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # that of a terminal is for the tests
    _Forks(socket.socket(fileno=int(sys.argv[1]))).serve()


if __name__ == "__main__":
    main()
