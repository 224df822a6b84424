"""A program as a probe: it is run in the folder, environment and user of the process, and its exit status counts."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import anyio
import anyio.to_thread
import psutil

from ostler.adapters.caller_environment import without_own
from ostler.adapters.process.accounts import account_of
from ostler.adapters.process.known_process import Entry
from ostler.adapters.process.launch import program_path
from ostler.adapters.process.trees import token_of
from ostler.model.errors import OperationError

SHOWN_OUTPUT = 300
"""How much of what the program wrote last is shown, in characters."""

_KILL_SECONDS = 2.0

_LAST_WORDS_SECONDS = 0.3
"""How long the output of a program that has ended is read at most."""


async def run_command(words: Sequence[str], entry: Entry, timeout: float) -> tuple[bool, str]:
    """Run the program and return (whether it ended with 0, that in words).

    Args:
        words: the program and its arguments, placeholders already replaced.
        entry: the process that it asks about.
        timeout: seconds after which it is killed, with all that it started.
    """
    shown = " ".join(words)[:80]
    try:
        program, env = await anyio.to_thread.run_sync(_found, words[0], entry)
    except OperationError as error:
        return False, f"{shown!r}: {error.summary}"
    account = None if entry.record.user is None else account_of(entry.record.user)
    is_other = account is not None and not account.is_own
    try:
        process = await anyio.open_process(
            [program, *words[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=entry.record.cwd,
            env=env,
            start_new_session=sys.platform != "win32",
            user=account.uid if account is not None and is_other else None,
            group=account.gid if account is not None and is_other else None,
            extra_groups=account.groups if account is not None and is_other else None,
        )
    except OSError as error:
        return False, f"{shown!r} could not be run ({error.strerror or error})"
    said = b""
    code: int | None = None

    async def read() -> None:
        nonlocal said
        assert process.stdout is not None
        async for chunk in process.stdout:
            said = (said + chunk)[-4 * SHOWN_OUTPUT :]

    try:
        with anyio.move_on_after(timeout):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read)
                code = await process.wait()
                # What it left in the background may hold its output open: that is not waited for.
                tasks.cancel_scope.deadline = anyio.current_time() + _LAST_WORDS_SECONDS
    finally:
        with anyio.move_on_after(_KILL_SECONDS, shield=True):
            if code is None:
                _kill(process.pid)
                await process.wait()
            await process.aclose()
    text = said.decode("utf-8", errors="replace").strip()[-SHOWN_OUTPUT:]
    end = f": {text}" if text else ""
    if code is None:
        return False, f"{shown!r} did not end in {timeout:g} s{end}"
    return code == 0, f"{shown!r} ended with {code}{end}"


def _found(word: str, entry: Entry) -> tuple[str, dict[str, str]]:
    """Return the path of the program and the environment to run it in. Blocks.

    Raises:
        OperationError: there is no such program.
    """
    return program_path(word, Path(entry.record.cwd), _environment(entry))


def _environment(entry: Entry) -> dict[str, str]:
    """Return the environment of the process; where it cannot be read any more, what it was started in."""
    process = entry.process
    if process is not None and token_of(process) == entry.record.token:
        try:
            return without_own(process.environ())
        except (psutil.Error, OSError, ValueError):
            pass
    return without_own(entry.record.environment if entry.record.environment is not None else os.environ)


def _kill(pid: int) -> None:
    try:
        if sys.platform == "win32":
            psutil.Process(pid).kill()
        else:
            os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError, psutil.Error):
        return
