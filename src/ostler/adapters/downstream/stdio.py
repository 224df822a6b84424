"""The stdio transport: an MCP server as a child process, watched, size-limited, and ended as a tree.

Unlike the SDK's own it knows the pid, sees a death even while a grandchild keeps the pipe open, drops an oversized
answer without keeping it (the request it belongs to fails at once), counts lines that are not MCP messages, and
writes stderr to a bounded log.
"""

import os
import shutil
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import anyio.lowlevel
import anyio.to_thread
import mcp_types as types
from anyio.abc import Process, TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared import message as sdk_message
from msgspec import Struct, field
from pydantic import ValidationError

from ostler.adapters.caller_environment import without_own
from ostler.adapters.downstream.children import ChildRecords, ProcessId, end_processes, tree_of
from ostler.adapters.downstream.direct_calls import DirectCalls
from ostler.adapters.downstream.fault_codes import Fault
from ostler.adapters.downstream.framing import (
    LineSplitter,
    OversizedLine,
    StdoutNoise,
    refused_for_size,
    unreadable_answer,
)
from ostler.adapters.downstream.installers import broken_cache, written_for_mcp_1
from ostler.adapters.downstream.loss import ConnectFailedError, LossSignal
from ostler.adapters.downstream.stderr_log import StderrLog
from ostler.adapters.environments import Environments, find_program, searched, start_trouble
from ostler.model.servers import ServerEntry

if TYPE_CHECKING:
    from mcp.shared.message import SessionMessage

SAFE_ENVIRONMENT: Final = (
    "HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR",
    "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE",
    "APPDATA", "LOCALAPPDATA", "HOMEDRIVE", "HOMEPATH", "PATHEXT", "PROCESSOR_ARCHITECTURE", "SYSTEMDRIVE",
    "SYSTEMROOT", "TEMP", "TMP", "USERNAME", "USERPROFILE", "PROGRAMDATA", "PROGRAMFILES",
)  # fmt: skip
"""Variables that every stdio server gets (when they are set); `inheritEnv` adds to them."""

EXIT_GRACE: Final = 2.0
"""Seconds that a server has to exit after its stdin is closed."""

_FLUSH_GRACE: Final = 0.5
"""Seconds for messages already accepted (a last cancellation) to reach the server."""

_DRAIN_GRACE: Final = 0.1
"""Seconds for output written just before a death to be read, when a grandchild keeps the pipe open."""

_EXIT_CODE_GRACE: Final = 0.3
"""Seconds to learn the exit code after stdout ended, so that the reason can name it."""

_EXIT_POLL: Final = 0.1
"""Seconds between checks for the exit where the system has no pidfd."""

_OUTBOX: Final = 256
"""Messages that may wait for a server that does not read its stdin, so that cancelling a call never blocks."""

_JOINED: Final = 32
"""Messages that are written at once, at most."""


class ChildFacts(Struct):
    """What becomes known about the child while it runs."""

    pid: int | None = None
    process: str = ""
    noise: StdoutNoise = field(default_factory=StdoutNoise)
    log: StderrLog | None = None
    direct: DirectCalls | None = None


def child_environment(entry: ServerEntry, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of `entry`'s process: the safe variables, those inherited by name, and its own."""
    inherit = entry.options.inherit_env
    if inherit is True:
        inherited = dict(environment)
    else:
        names = (*SAFE_ENVIRONMENT, *(inherit or ()))
        inherited = {name: environment[name] for name in names if name in environment}
    return {name: value for name, value in (inherited | entry.env).items() if name not in entry.unset}


@asynccontextmanager
async def stdio_transport(
    entry: ServerEntry,
    *,
    environments: Environments,
    stderr_log: Path,
    records: ChildRecords,
    loss: LossSignal,
    facts: ChildFacts,
) -> AsyncGenerator[
    tuple[MemoryObjectReceiveStream["SessionMessage | Exception"], MemoryObjectSendStream["SessionMessage | bytes"]]
]:
    """Run the server and yield the streams that the SDK's client reads and writes.

    On leaving: stdin is closed, then the whole tree gets a grace, SIGTERM, and SIGKILL; each wait is bounded.

    Raises:
        ConnectFailedError: the program cannot be started.
    """
    with StderrLog(stderr_log) as log:
        named = entry.options.inherit_env if isinstance(entry.options.inherit_env, tuple) else ()
        env = child_environment(entry, without_own(await environments.of(entry.name, named)))
        program, env = await _found(entry, env, environments)
        env = {**env, **environments.marks}
        process = await _spawn(entry, program, env)
        # No await before the shielded end below is armed: a cancellation in between would leak the process.
        async with anyio.create_task_group() as tasks:
            child = _Child(entry, process, env, log=log, records=records, loss=loss, facts=facts, tasks=tasks)
            for work in (child.watch_exit, child.read_stdout, child.read_stderr, child.write_stdin):
                tasks.start_soon(child.outlive, work)
            try:
                yield child.inbox, child.outbox
            finally:
                with anyio.CancelScope(shield=True):
                    await child.end()


async def _found(entry: ServerEntry, env: dict[str, str], environments: Environments) -> tuple[str, dict[str, str]]:
    if entry.cwd is not None and not await anyio.Path(entry.cwd).is_dir():
        raise ConnectFailedError(f"its folder (cwd) {entry.cwd!r} does not exist")
    program, found_env = find_program(entry.command, env)
    if program is None and "PATH" not in entry.env:
        program, found_env = find_program(entry.command, env, await environments.base())
    if program is None and entry.cwd is not None:
        program = shutil.which(str(Path(entry.cwd) / entry.command))
    if program is None:
        path = Path(entry.cwd or ".") / entry.command
        if entry.command != path.name and (what := await anyio.to_thread.run_sync(_what_is_there, path)):
            raise ConnectFailedError(f"the command {entry.command!r} is {what}")
        environments.lacking[entry.name] = entry.command
        raise ConnectFailedError(
            f"the command {entry.command!r} was not found; install it, or give its full path in mcp.json, or start "
            f"the server from where it is found ({searched(env)})"
        )
    environments.lacking.pop(entry.name, None)
    return program, found_env


def _what_is_there(path: Path) -> str:
    """Return in words what a command's path is that cannot be run; empty if it does not exist."""
    if path.is_dir():
        return "a folder; name the program in it"
    return "a file that is not executable; make it executable, or name its interpreter" if path.is_file() else ""


async def _spawn(entry: ServerEntry, program: str, env: Mapping[str, str]) -> Process:
    try:
        return await anyio.open_process(
            [program, *entry.args], env=dict(env), cwd=entry.cwd, start_new_session=sys.platform != "win32"
        )
    except (OSError, ValueError) as error:
        number = error.errno if isinstance(error, OSError) else None
        reason, step = (str(error), "") if number is None else start_trouble(number, "")
        reason += f"; {step}" if step else ""
        raise ConnectFailedError(f"the command {entry.command!r} could not be started: {reason}") from error


def said_last(log: StderrLog) -> str:
    """Return the child's last words on stderr, and where the rest is."""
    words = log.last_words()
    return f"its last stderr: {words} (all of it: {log.path})" if words else "it wrote nothing to stderr"


class _Child:
    def __init__(
        self,
        entry: ServerEntry,
        process: Process,
        environment: Mapping[str, str],
        *,
        log: StderrLog,
        records: ChildRecords,
        loss: LossSignal,
        facts: ChildFacts,
        tasks: TaskGroup,
    ) -> None:
        self._entry = entry
        self._process = process
        self._environment = environment
        self._log = log
        self._records = records
        self._loss = loss
        self._facts = facts
        self._exited = anyio.Event()
        self._stdout_ended = anyio.Event()
        self._stdin_ended = anyio.Event()
        self._ending = False
        self._scopes: list[anyio.CancelScope] = []
        self._id = ProcessId.of(process.pid) or ProcessId(process.pid, 0.0)
        self._to_client, self.inbox = anyio.create_memory_object_stream["SessionMessage | Exception"](0)
        self.outbox, self._from_client = anyio.create_memory_object_stream["SessionMessage | bytes"](_OUTBOX)
        self.direct = DirectCalls(self._write, tasks)
        facts.direct = self.direct
        facts.pid = process.pid
        facts.process = f"{process.pid}@{self._id.created:.2f}"
        facts.log = log
        records.add(self._id, entry.name)

    async def outlive(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work` until `end` is through, also when the connection is cancelled: ending it in order needs it."""
        with anyio.CancelScope(shield=True) as scope:
            self._scopes.append(scope)
            await work()

    # -- while it runs -----------------------------------------------------------------------------------------

    async def watch_exit(self) -> None:
        """See the death of the process itself, whoever keeps its pipes open."""
        await _process_exit(self._process)
        self._exited.set()
        with anyio.move_on_after(_DRAIN_GRACE):
            await self._stdout_ended.wait()
        self._lose(self._exit_reason())

    async def read_stdout(self) -> None:
        """Pass the server's messages on; once the client is gone, read on so that the server can flush and exit."""
        assert self._process.stdout is not None, "the process is spawned with pipes"
        splitter = LineSplitter(self._entry.max_response_bytes)
        listening = True
        try:
            async for chunk in self._process.stdout:
                if not listening:
                    continue
                for item in splitter.feed(chunk):
                    message = self._oversized(item) if isinstance(item, OversizedLine) else self._parsed(item)
                    if message is not None and not self.direct.takes(message.message):
                        await self._to_client.send(message)
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            listening = False
            with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError, OSError):
                async for _ in self._process.stdout:
                    pass
        except OSError:
            pass  # the pipe broke: the same as its end
        finally:
            self._stdout_ended.set()
        with anyio.move_on_after(_EXIT_CODE_GRACE):
            await self._exited.wait()
        self._lose(self._exit_reason() if self._exited.is_set() else "the server closed its stdout")

    async def read_stderr(self) -> None:
        """Write stderr to the log."""
        assert self._process.stderr is not None, "the process is spawned with pipes"
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError, OSError):
            async for chunk in self._process.stderr:
                self._log.write(chunk)

    async def write_stdin(self) -> None:
        """Write the client's messages to the server."""
        assert self._process.stdin is not None, "the process is spawned with pipes"
        try:
            async with self._from_client:
                async for message in self._from_client:
                    lines = [_line(message)]
                    with suppress(anyio.WouldBlock, anyio.EndOfStream):  # calls often go on together, after a commit
                        while len(lines) < _JOINED:
                            lines.append(_line(self._from_client.receive_nowait()))
                    await self._process.stdin.send(b"".join(lines))
        except (anyio.ClosedResourceError, anyio.BrokenResourceError, OSError):
            with anyio.move_on_after(_EXIT_CODE_GRACE):  # most often it died: let that be the reason
                await self._exited.wait()
            self._lose(self._exit_reason() if self._exited.is_set() else "the server closed its stdin")
        finally:
            self._stdin_ended.set()

    async def _write(self, line: bytes) -> None:
        """Have `line` written after what waits already."""
        try:
            self.outbox.send_nowait(line)
        except anyio.WouldBlock:
            await self.outbox.send(line)

    def _parsed(self, line: bytes) -> "SessionMessage | None":
        if not line.strip():
            return None
        try:
            return sdk_message.SessionMessage(types.jsonrpc_message_adapter.validate_json(line, by_name=False))
        except (ValidationError, ValueError):
            answered = unreadable_answer(line)
        if answered is None:
            self._facts.noise.add(line)
            return None
        request_id, what = answered
        error = types.ErrorData(code=types.PARSE_ERROR, message=what)
        return sdk_message.SessionMessage(types.JSONRPCError(jsonrpc="2.0", id=request_id, error=error))

    def _oversized(self, line: OversizedLine) -> "SessionMessage | None":
        refused = refused_for_size(line, self._entry.max_response_bytes)
        if refused is None:
            return None
        request_id, what = refused
        error = types.ErrorData(code=types.INTERNAL_ERROR, message=what, data={"ostler": Fault.TOO_LARGE.value})
        return sdk_message.SessionMessage(types.JSONRPCError(jsonrpc="2.0", id=request_id, error=error))

    def _lose(self, reason: str) -> None:
        if not self._ending:
            self._loss.report(reason)
        self._to_client.close()

    def _exit_reason(self) -> str:
        code = self._process.returncode
        if code is None:
            text = "the server's process ended"
        elif code < 0:
            with suppress(ValueError):
                return self._with_tail(f"the server's process was killed by {signal.Signals(-code).name}")
            text = f"the server's process was killed by signal {-code}"
        else:
            text = f"the server's process exited with code {code}"
        return self._with_tail(text)

    def _with_tail(self, text: str) -> str:
        lines = self._log.lines()
        advice = broken_cache(lines, self._entry, self._environment) or written_for_mcp_1(lines, self._entry)
        return "; ".join(filter(None, (text, said_last(self._log), advice)))

    # -- ending it ---------------------------------------------------------------------------------------------

    async def end(self) -> None:
        """End the process and everything that it spawned; each wait is bounded."""
        self._ending = True
        self.direct.end_reports()
        self.inbox.close()
        self.outbox.close()
        descendants = await anyio.to_thread.run_sync(tree_of, self._id)  # before they could be orphaned
        with anyio.move_on_after(_FLUSH_GRACE):
            await self._stdin_ended.wait()
        assert self._process.stdin is not None, "the process is spawned with pipes"
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError, OSError):
            await self._process.stdin.aclose()
        with anyio.move_on_after(EXIT_GRACE):
            await self._exited.wait()
        late = await anyio.to_thread.run_sync(tree_of, self._id)
        left = await end_processes(list({process.pid: process for process in (*descendants, *late)}.values()))
        if not left:
            self._records.remove(self._id)
        with anyio.move_on_after(EXIT_GRACE):
            await self._exited.wait()  # also reaps it
        self._to_client.close()
        self._from_client.close()
        self._close_pipes()
        await anyio.lowlevel.checkpoint()
        for scope in self._scopes:
            scope.cancel()

    def _close_pipes(self) -> None:
        # A process that escaped the kill may hold a pipe open, and asyncio's subprocess transport would then stay
        # open and warn when collected. Nothing public exposes it, hence the attribute walk; on trio it finds none.
        transport = getattr(getattr(self._process, "_process", None), "_transport", None)
        close = getattr(transport, "close", None)
        if callable(close):
            with suppress(PermissionError):  # Python ≤ 3.12 kills once more, which a setuid child refuses
                close()


def _line(message: "SessionMessage | bytes") -> bytes:
    if isinstance(message, bytes):
        return message
    return message.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"


async def _process_exit(process: Process) -> None:
    # Not process.wait(): on asyncio that also waits until every pipe is closed, grandchildren's copies included.
    if hasattr(os, "pidfd_open"):
        with suppress(OSError):  # gone already, or a system without pidfds: the loop below sees
            descriptor = os.pidfd_open(process.pid)
            try:
                await anyio.wait_readable(descriptor)
            finally:
                os.close(descriptor)
    pause = _EXIT_POLL / 10
    while process.returncode is None:
        await anyio.sleep(pause)
        pause = min(_EXIT_POLL, pause * 1.2)
