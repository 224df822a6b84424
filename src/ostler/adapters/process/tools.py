"""The tools of the process server, as a table."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias, TypeVar

import mcp_types as types
from mcp.shared import exceptions as sdk_errors
from msgspec import Struct

from ostler.adapters.disk_room import is_scarcity
from ostler.adapters.downstream.fault_codes import Fault
from ostler.adapters.process import queries
from ostler.adapters.process.contract import (
    FreePortRequest,
    InputRequest,
    ListRequest,
    LogsRequest,
    Request,
    StartRequest,
    StatusRequest,
    StopRequest,
)
from ostler.adapters.process.process_answers import (
    FreePortResult,
    InputResult,
    ListResult,
    LogsResult,
    Model,
    StartResult,
    StatusResult,
    StopResult,
)
from ostler.adapters.process.standard_input import send_input
from ostler.adapters.process.supervisor import Supervisor
from ostler.adapters.serving.answers import Answer
from ostler.adapters.serving.table import Effect, ToolDefinition
from ostler.engine.protocols import Progress
from ostler.rules.text.log_pages import NO_OUTPUT

RequestT = TypeVar("RequestT", bound=Request)
ResultT = TypeVar("ResultT", bound=Model)


class Asked(Struct, frozen=True):
    """What comes with a call besides its arguments.

    Attributes:
        progress: called with what is being waited for; None where no one follows it.
        environment: the caller's, if Ostler knows it.
        service: the id of the service that the call is for; empty for a call that someone makes on their own.
    """

    progress: Progress | None
    environment: Mapping[str, str] | None = None
    service: str = ""


_NOT_SENT = {"ostler": Fault.NOT_SENT.value}

ProcessTool: TypeAlias = ToolDefinition[Supervisor, Any, Asked]


def _tool(
    name: str,
    title: str,
    description: str,
    *,
    request: type[RequestT],
    result: type[ResultT],
    effect: Effect,
    run: Callable[[Supervisor, RequestT, Asked], Awaitable[ResultT]],
    text: Callable[[ResultT], str],
) -> ProcessTool:
    """Return a tool that runs `run` and gives its result as structure, and in words by `text`."""

    async def handler(supervisor: Supervisor, request: RequestT, asked: Asked) -> Answer:
        try:
            found = await run(supervisor, request, asked)
        except OSError as error:
            if effect is not Effect.READS or not is_scarcity(error):
                raise
            # An answer that says so would be a failed check of what may be well.
            raise sdk_errors.MCPError(
                types.INTERNAL_ERROR, f"no process can be inspected now: {error}", _NOT_SENT
            ) from error
        return Answer(found.model_dump(mode="json", by_alias=True, exclude_none=True), text(found))

    return ToolDefinition(name, title, description, request, result, effect, handler, exact=True)


async def _start(supervisor: Supervisor, request: StartRequest, asked: Asked) -> StartResult:
    return await supervisor.start(request, asked.progress, environment=asked.environment, service=asked.service)


def _start_text(result: StartResult) -> str:
    text = f"{result.key} {'was already running' if result.already_running else 'started'}: {result.state}"
    text += f", pid {result.pid}"
    if result.port is not None:
        text += f", listens on {result.address}" if result.host not in ("127.0.0.1", None) else f", port {result.port}"
        text += f" ({result.port_note})" if result.port_note is not None else ""
    return text if result.warning is None else f"{text}; {result.warning}"


def _status_text(result: StatusResult) -> str:
    is_said = result.detail.startswith(result.state)
    text = f"{result.key}: {result.detail}" if is_said else f"{result.key}: {result.state}, {result.detail}"
    return text if result.warning is None else f"{text}; {result.lost_bytes} bytes: {result.warning}"


def _stop_text(result: StopResult) -> str:
    text = f"{result.key} {'was already stopped' if result.already_stopped else 'stopped'}"
    if result.killed:
        text += " by force"
    if result.signal is not None:
        text += f" ({result.signal})"
    elif result.exit_code is not None:
        text += f" (exit code {result.exit_code})"
    return text if result.warning is None else f"{text}: {result.warning}"


def _list_text(result: ListResult) -> str:
    lines = [f"{len(result.processes)} of {result.total} processes"]
    lines += [f"{process.key}: {process.state}, pid {process.pid}" for process in result.processes]
    return "\n".join(lines)


TOOLS: tuple[ProcessTool, ...] = (
    _tool(
        "start",
        "Start a process",
        "Start a program in the background under a key, and wait until it is ready if 'ready' is given. The same "
        "request again returns the running process; another one under a running key is refused.",
        request=StartRequest,
        result=StartResult,
        effect=Effect.RUNS,
        run=_start,
        text=_start_text,
    ),
    _tool(
        "stop",
        "Stop a process",
        "Stop a process and everything it started: a signal, a wait, then SIGKILL. Success also when it is not "
        "running.",
        request=StopRequest,
        result=StopResult,
        effect=Effect.STOPS,
        run=lambda supervisor, request, _: supervisor.stop(request),
        text=_stop_text,
    ),
    _tool(
        "status",
        "Status of a process",
        "Whether a process runs, and with 'ready' whether it answers now. An unknown key is state not_found, not an "
        "error.",
        request=StatusRequest,
        result=StatusResult,
        effect=Effect.READS,
        run=lambda supervisor, request, _: queries.status(supervisor, request),
        text=_status_text,
    ),
    _tool(
        "logs",
        "Output of a process",
        "Last lines of a process's output (stdout and stderr), also after it ended; or what is new since an offset.",
        request=LogsRequest,
        result=LogsResult,
        effect=Effect.READS,
        run=lambda supervisor, request, _: queries.logs(supervisor, request),
        text=lambda result: "\n".join(result.lines) or NO_OUTPUT,
    ),
    _tool(
        "input",
        "Type into a process",
        "Send a text to a process's standard input or terminal, such as the answer to a question that it asks.",
        request=InputRequest,
        result=InputResult,
        effect=Effect.ANYTHING,
        run=lambda supervisor, request, _: send_input(supervisor, request),
        text=lambda result: f"{result.key} got {result.sent} bytes",
    ),
    _tool(
        "list",
        "List processes",
        "The processes started here, newest first; ended ones are remembered for a while.",
        request=ListRequest,
        result=ListResult,
        effect=Effect.READS,
        run=lambda supervisor, request, _: queries.list_processes(supervisor, request),
        text=_list_text,
    ),
    _tool(
        "free_port",
        "Find a free port",
        "TCP ports that are free now; each is given to one caller only for a minute.",
        request=FreePortRequest,
        result=FreePortResult,
        effect=Effect.READS,
        run=lambda supervisor, request, _: queries.free_port(supervisor, request),
        text=lambda result: f"free on {result.host}: {', '.join(map(str, result.ports))}",
    ),
)
"""Every tool, in the order of tools/list."""
