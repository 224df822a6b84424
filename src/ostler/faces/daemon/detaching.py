"""Leaving the process tree of the process that started the server.

A session of its own is not enough: a client may end its MCP servers together with all their descendants, which it finds
by parent process id (opencode 1.18 and Copilot CLI 1.0 do, with SIGTERM). What such a client started would take the
server of all clients with it, and every service. So the server is a child of a process that ends as soon as the server
serves.
"""

import contextlib
import os
import signal
from collections.abc import Callable

_READY = b"\n"


def detach() -> Callable[[], None] | int:
    """Fork. In the child, return what it calls when it serves; in the parent, wait for that and return the exit status.

    The parent's status is 0 once the child serves. If the child ends before, it is the child's, and the parent is
    killed by the signal that killed the child.

    Call it before there is any thread.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.setsid()
        return lambda: _announce(writing)
    os.close(writing)
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        if pipe.read(1) == _READY:
            return 0
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def _announce(writing: int) -> None:
    with os.fdopen(writing, "wb", buffering=0) as pipe, contextlib.suppress(BrokenPipeError):  # no one waits any more
        pipe.write(_READY)
