"""`headersHelper` of an entry: a command line that prints headers, such as a token that does not last."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, cast

import anyio
import anyio.abc

from ostler.adapters.caller_environment import without_own
from ostler.adapters.downstream.loss import ConnectFailedError
from ostler.adapters.environments import Environments
from ostler.model.json import parse_json
from ostler.model.servers import ServerEntry
from ostler.rules.text.terminal_text import without_control

_SECONDS: Final = 10.0
"""Seconds that the command may take, as in Claude Code."""

_KILL_SECONDS: Final = 2.0
_OUTPUT_BYTES: Final = 64 * 1024
_SHOWN_CHARS: Final = 200

_NOT_RUN: Final = 126
"""What shells say of a program that cannot be run."""


async def with_helper_headers(entry: ServerEntry, environments: Environments) -> ServerEntry:
    """Return the entry with the headers that its helper prints now; they win over those that are written.

    The command line is run by a shell, in the environment that a server of this name would get.

    Raises:
        ConnectFailedError: the helper failed, or did not print an object of texts.
    """
    if not entry.headers_helper:
        return entry
    environment = {
        **without_own(await environments.of(entry.name)),
        "CLAUDE_CODE_MCP_SERVER_NAME": entry.name,
        "CLAUDE_CODE_MCP_SERVER_URL": entry.url,
    }
    said, code, complaint = await run_helper(entry.headers_helper, environment)
    problem = f": {complaint}" if complaint else ""
    if code is None:
        raise _failed(entry, f"did not end within {_SECONDS:g} s{problem}")
    if code != 0:
        raise _failed(entry, f"ended with {code}{problem}")
    try:
        headers = parse_json(said)
    except ValueError:
        raise _failed(entry, f"did not print JSON{problem}") from None
    if not isinstance(headers, dict) or not all(
        isinstance(value, str) and value.isprintable() for value in cast("dict[str, object]", headers).values()
    ):
        raise _failed(entry, 'did not print an object of texts, such as {"Authorization": "Bearer …"}')
    printed = cast("dict[str, str]", headers)
    names = {name.lower() for name in printed}
    kept = {name: value for name, value in entry.headers.items() if name.lower() not in names}
    return entry.model_copy(update={"headers": kept | printed})


async def run_helper(line: str, environment: Mapping[str, str]) -> tuple[bytes, int | None, str]:
    """Run the command line; return what it printed, its exit status (None when killed), and its last complaint."""
    said, complained = bytearray(), bytearray()
    code: int | None = None
    try:
        process = await anyio.open_process(
            line,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=sys.platform != "win32",
        )
    except OSError as error:  # files or memory have run out, or the environment is too large
        return b"", _NOT_RUN, str(error)
    try:
        with anyio.move_on_after(_SECONDS):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_read, process.stdout, said)
                tasks.start_soon(_read, process.stderr, complained)
            code = await process.wait()
    finally:
        with anyio.move_on_after(_KILL_SECONDS, shield=True):
            _kill(process.pid, ended=code is not None)
            await process.wait()
            await process.aclose()
    lines = without_control(complained.decode("utf-8", "replace")).split("\n")
    return bytes(said), code, next((text.strip() for text in reversed(lines) if text.strip()), "")[:_SHOWN_CHARS]


async def _read(stream: anyio.abc.ByteReceiveStream | None, into: bytearray) -> None:
    assert stream is not None, "both are pipes"
    async for chunk in stream:
        into += chunk[: max(0, _OUTPUT_BYTES - len(into))]


def _kill(pid: int, *, ended: bool) -> None:
    """End what the helper left behind, and the helper itself unless it has ended."""
    with suppress(ProcessLookupError, PermissionError):
        if sys.platform != "win32":
            os.killpg(pid, signal.SIGKILL)
        elif not ended:
            os.kill(pid, signal.SIGTERM)


def _failed(entry: ServerEntry, reason: str) -> ConnectFailedError:
    return ConnectFailedError(f"its headersHelper {entry.mask_text(entry.headers_helper)!r} {reason}")
