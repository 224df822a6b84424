"""Keepers started and told what to run, and one that reads a program's output on for a keeper that was killed."""

import contextlib
import marshal
import os
import select
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import BinaryIO

from ostler.adapters.environments import start_trouble
from ostler.adapters.process import keeper as script
from ostler.adapters.process.logfile import continued_log
from ostler.adapters.process.records import ProcessRecord, RecordFolder, output_path, parts_path
from ostler.model.errors import OperationError
from ostler.model.marks import KEEPER_VARIABLE, OWNER_VARIABLE

KEEPER_SECONDS = 30.0
"""How long a keeper may take to start its program; it takes some 30 ms."""

_VARIABLES = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""All that Ostler's own interpreter may need to run the keeper; the program's environment may hold secrets."""

_RUN = (
    "import marshal, sys; keeper = {'__name__': 'keeper'}; "
    "exec(marshal.loads(sys.stdin.buffer.read(int(sys.argv[1]))), keeper); keeper['main']()"
)


class Child(subprocess.Popen[bytes]):
    """A spawned process that may outlive this object, and this Ostler."""

    def __del__(self) -> None:  # pyright: ignore[reportIncompatibleVariableOverride] (a method all the same)
        """Do nothing: leaving it running is intended, so there is no leak to warn about."""


def keeper_code() -> bytes:
    """Return what the keeper reads first: its script as bytecode, as to compile it takes as long as all else.

    The server reads it when it starts, and not with each keeper: an update of Ostler may replace the file meanwhile,
    and a keeper of another version does not understand its orders.
    """
    return marshal.dumps(SourceFileLoader(script.__name__, script.__file__).get_code(script.__name__))


_CODE = keeper_code()


def keeper_command(code: bytes, key: str) -> list[str]:
    """Return the command that runs the keeper of the process `key` once it has read `code`."""
    return [sys.executable, "-I", "-S", "-c", _RUN, str(len(code)), key]


def booted_keeper(key: str, token: str, owner: str, log: BinaryIO) -> Child:
    """Start a keeper, which waits for its order. Blocks.

    Args:
        key: of its process.
        token: of the run.
        owner: of the state folder.
        log: where it writes what goes wrong with itself.

    Raises:
        OperationError: the system refused.
    """
    own = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    try:
        keeper = Child(
            keeper_command(_CODE, key),
            env={**own, KEEPER_VARIABLE: token, OWNER_VARIABLE: owner},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    except OSError as error:
        why, step = start_trouble(error.errno or 0, "restart Ostler: its own Python may have been replaced")
        said = f"the keeper of process {key!r} could not be started: {why}"
        raise OperationError(said, next_actions=(step,)) from error
    try:
        _give(keeper, _CODE)
    except BaseException:
        dismiss(keeper)
        raise
    return keeper


def dismiss(keeper: Child) -> None:
    """End a keeper that has no order yet. Blocks."""
    keeper.kill()
    keeper.communicate()


def answer_to(order: bytes, keeper: Child) -> str:
    """Give the keeper its order, marshalled, and return its answer; empty if there is none. Blocks."""
    _give(keeper, order)
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    with contextlib.suppress(BrokenPipeError):
        keeper.stdin.close()
    with keeper.stdout as said:
        answer = select.poll()  # `select.select` takes no descriptor above 1023, which a server of many programs has
        answer.register(said, select.POLLIN)
        return os.read(said.fileno(), 64).decode() if answer.poll(1000 * KEEPER_SECONDS) else ""


def _give(keeper: Child, data: bytes) -> None:
    assert keeper.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        keeper.stdin.write(data)
        keeper.stdin.flush()


def replaced_keeper(folder: RecordFolder, record: ProcessRecord) -> Child | None:
    """Have a new keeper read the output of `record`, whose own was killed; None if one reads it already. Blocks.

    It cannot see how the program ends, as only its parent can.

    Raises:
        OperationError: the system refused; the output waits in its pipe.
    """
    output, path = output_path(folder.endings_path(record.token)), folder.log_path(record.key)
    if not output.exists() or _is_read(path):  # a terminal has ended with its keeper
        return None
    try:
        with continued_log(path, record.log_base) as (log, base):
            keeper = booted_keeper(record.key, record.token, folder.owner, log)
    except OSError as error:
        raise OperationError(f"the log of process {record.key!r} cannot be written on: {error}") from error
    argv: list[str] = []
    order = {
        "argv": argv,
        "output": str(output),
        "log": str(path),
        "logMaxBytes": record.log_max_bytes,
        "base": base,
    }
    answer = answer_to(marshal.dumps(order), keeper)
    if not answer.startswith("pid"):
        keeper.kill()
        keeper.wait()
        raise OperationError(f"the output of process {record.key!r} cannot be read on ({answer or 'no answer'})")
    return keeper


def _is_read(log: Path) -> bool:
    """Whether a keeper reads on what goes into `log`: it holds a lock as long as it does."""
    if sys.platform == "win32":
        return True
    import fcntl  # noqa: PLC0415 (not on Windows)

    try:
        with parts_path(log).open("rb") as parts:
            fcntl.flock(parts, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:  # such as BlockingIOError
        return True
    return False
