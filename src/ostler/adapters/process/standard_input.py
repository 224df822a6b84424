"""Writing to the standard input of a process, through the named pipe that its keeper reads or hands it."""

import os
from typing import Final

import anyio

from ostler.adapters.process.contract import InputRequest
from ostler.adapters.process.process_answers import InputResult
from ostler.adapters.process.records import input_path
from ostler.adapters.process.supervisor import Supervisor
from ostler.model.errors import NotFoundError, OperationError

INPUT_SECONDS: Final = 5.0
"""How long a process may take to read what does not fit into its input at once."""


async def send_input(supervisor: Supervisor, request: InputRequest) -> InputResult:
    """Write a text to the input of a process; see the tool `input`.

    Raises:
        NotFoundError: no process has this key.
        OperationError: it has ended, has no input, has closed it, or does not read it.
    """
    entry = supervisor.entries.get(request.key)
    if entry is None:
        known = sorted(supervisor.entries)
        raise NotFoundError("process", request.key, known=known, next_actions=("process/list shows their keys",))
    if await supervisor.state_of(entry) == "exited":
        raise OperationError(
            f"process {request.key!r} {entry.ending()}: nothing reads its input", next_actions=("start it again",)
        )
    if entry.record.stdin == "null":
        raise OperationError(
            f"process {request.key!r} has no input: it was started with stdin null",
            next_actions=("stop it, and start it with stdin pipe or tty",),
        )
    end = "\r" if entry.record.stdin == "tty" else "\n"
    data = f"{request.text}{end if request.enter else ''}".encode()
    try:
        descriptor = os.open(input_path(entry.endings), os.O_WRONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        raise OperationError(
            f"the input of process {request.key!r} cannot be reached: it has just ended, or the file system of the "
            "state folder has no named pipes",
            next_actions=("check its status", "or use a state folder on a local disk (--state)"),
        ) from None
    except OSError:
        raise _closed(request.key) from None
    try:
        async with entry.input_lock:
            await _write(descriptor, data, request.key)
    finally:
        os.close(descriptor)
    return InputResult(key=request.key, sent=len(data))


async def _write(descriptor: int, data: bytes, key: str) -> None:
    left = data
    with anyio.move_on_after(INPUT_SECONDS):
        while left:
            try:
                left = left[os.write(descriptor, left) :]
            except BlockingIOError:
                await anyio.wait_writable(descriptor)
            except BrokenPipeError:
                raise _closed(key) from None
    if left:
        raise OperationError(
            f"process {key!r} does not read its input: it took {len(data) - len(left)} of {len(data)} bytes within "
            f"{INPUT_SECONDS:g} s",
            next_actions=("check in its log what it waits for",),
        )


def _closed(key: str) -> OperationError:
    return OperationError(
        f"process {key!r} has closed its input", next_actions=("check in its log whether it asks for something",)
    )
