"""Ends whatever a run of tests or benchmarks has started when the run itself is killed.

`guarded` marks the environment and starts this file as a process of its own session, which waits at a pipe. What the
run starts inherits the mark, whatever becomes of its session and its parents. When the run ends in order it says so; if
the pipe just breaks, the processes with the mark are killed, and what descends from them. (A signal at the death of the
parent would not do: a change of the account loses it, and grandchildren have none.)
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path

MARK = "TEST_RUN_MARK"
_PROCESSES = Path("/proc")
_ROUNDS = 20
"""How often it is looked for more at most: what was killed may just have started something."""


@contextlib.contextmanager
def guarded() -> Generator[None]:
    """Guard the block: if this process is killed in it, so is what it started. One block inside another is nothing."""
    if MARK in os.environ or not (_PROCESSES / "self" / "environ").exists() or not hasattr(signal, "pidfd_send_signal"):
        yield
        return
    mark = uuid.uuid4().hex
    command = [sys.executable, "-I", "-S", __file__, mark]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as warden:
        assert warden.stdin is not None
        os.environ[MARK] = mark
        try:
            yield
        finally:
            del os.environ[MARK]
            with contextlib.suppress(BrokenPipeError):
                warden.stdin.write(b"ended in order")
                warden.stdin.close()


def _stand_guard(mark: str) -> None:
    """Wait for the end of the run; kill what is left if it was not in order."""
    for end in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(end, signal.SIG_IGN)
    if sys.stdin.buffer.read():
        return
    for _ in range(_ROUNDS):
        if not [number for number, began in _family(mark).items() if _kill(number, began)]:
            return


def _family(mark: str) -> dict[int, str]:
    """Return the processes with the mark, and their descendants, each with when it began."""
    seen = {number: facts for number in _numbers() if (facts := _facts(number)) is not None}
    wanted = {number for number in seen if _is_marked(number, mark)}
    before = 0
    while len(wanted) > before:
        before = len(wanted)
        wanted |= {number for number, (parent, _) in seen.items() if parent in wanted}
    return {number: seen[number][1] for number in sorted(wanted - {os.getpid()})}


def _numbers() -> Iterator[int]:
    return (int(entry.name) for entry in _PROCESSES.iterdir() if entry.name.isdigit())


def _facts(number: int) -> tuple[int, str] | None:
    """Return the parent of a process that has not ended, and when it began."""
    with contextlib.suppress(OSError):
        fields = (_PROCESSES / str(number) / "stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else (int(fields[1]), fields[19])
    return None


def _is_marked(number: int, mark: str) -> bool:
    with contextlib.suppress(OSError):
        return f"{MARK}={mark}".encode() in (_PROCESSES / str(number) / "environ").read_bytes().split(b"\0")
    return False


def _kill(number: int, began: str) -> bool:
    """Kill the process that began then and wait until it has ended; return whether it was still there."""
    with contextlib.suppress(OSError):
        process = os.pidfd_open(number)
        try:
            facts = _facts(number)
            if facts is not None and facts[1] == began:  # its number may be that of another one by now
                signal.pidfd_send_signal(process, signal.SIGKILL)
                select.select([process], [], [], 10)
                return True
        finally:
            os.close(process)
    return False


if __name__ == "__main__":
    _stand_guard(sys.argv[1])
