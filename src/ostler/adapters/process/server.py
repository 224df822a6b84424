"""The process server as an MCP server: its tools, their schemas, and errors as tool results."""

import difflib
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar, cast

import anyio
import mcp_types as types
from mcp.server import Server
from mcp.server.context import ServerRequestContext
from pydantic import BaseModel, ValidationError

from ostler.adapters.asking import META_KEY, without_own
from ostler.adapters.environments import Environments
from ostler.adapters.process import queries
from ostler.adapters.process.contract import (
    FreePortRequest,
    FreePortResult,
    ListRequest,
    ListResult,
    LogsRequest,
    LogsResult,
    Model,
    Request,
    StartRequest,
    StartResult,
    StatusRequest,
    StatusResult,
    StopRequest,
    StopResult,
    tool_schema,
)
from ostler.adapters.process.supervisor import Supervisor
from ostler.engine.protocols import Progress
from ostler.model.errors import ArgumentError, NotFoundError, OstlerError
from ostler.model.json import JsonMapping

SERVER_NAME = "process"
INSTRUCTIONS = (
    "Runs local programs in the background, each under a key of your choice, with a log file and a readiness check. "
    "They go on running when this server ends, and are found again under their keys."
)

Context: TypeAlias = ServerRequestContext[None, Any]
RequestT = TypeVar("RequestT", bound=Request)
ResultT = TypeVar("ResultT", bound=Model)


@dataclass(frozen=True, slots=True)
class Asked:
    """What comes with a call beside its arguments.

    Attributes:
        progress: told what is waited for.
        environment: that of the one who asks, when Ostler knows it.
    """

    progress: Progress
    environment: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Tool(Generic[RequestT, ResultT]):
    """One tool: what it is called, takes, does and gives; `text` tells its result to people."""

    name: str
    title: str
    description: str
    request: type[RequestT]
    result: type[ResultT]
    run: Callable[[Supervisor, RequestT, Asked], Awaitable[ResultT]]
    text: Callable[[ResultT], str]
    read_only: bool = False
    destructive: bool = False
    idempotent: bool = True

    def listed(self) -> types.Tool:
        """Return the tool as `tools/list` shows it."""
        return types.Tool(
            name=self.name,
            title=self.title,
            description=self.description,
            input_schema=tool_schema(self.request),
            output_schema=tool_schema(self.result, output=True),
            annotations=types.ToolAnnotations(
                title=self.title,
                read_only_hint=self.read_only,
                destructive_hint=self.destructive,
                idempotent_hint=self.idempotent,
                open_world_hint=False,
            ),
        )

    async def call(self, supervisor: Supervisor, arguments: JsonMapping, asked: Asked) -> types.CallToolResult:
        """Check `arguments`, run the tool, and return its result as structure and as text.

        Raises:
            OstlerError: the tool's own, or ArgumentError naming every argument that does not fit.
        """
        result = await self.run(supervisor, _validated(self.request, arguments), asked)
        return types.CallToolResult(
            content=[types.TextContent(type="text", text=self.text(result))],
            structured_content=result.model_dump(mode="json", by_alias=True, exclude_none=True),
        )


def build_process_server(
    root: Path, *, on_exit: Callable[[str], None] | None = None, environments: Environments | None = None
) -> Server[None]:
    """Return the MCP server that runs local processes; connect it in-process with `mcp.Client(server)`.

    Nothing is touched until a client connects: then the folder is read and processes that still run are adopted. One
    Ostler at a time may use a folder; several clients of one server may.

    Args:
        root: the folder for records and logs, made with mode 0700.
        on_exit: called with its key, in the event loop and at once, when a process has ended.
        environments: what a process is started in when its caller sends no environment; default: this process's.
    """
    supervisor = Supervisor(root, on_exit, environments=environments or Environments(without_own(os.environ)))
    tools: dict[str, Tool[Any, Any]] = {tool.name: tool for tool in _tools()}
    listed = types.ListToolsResult(tools=listed_tools())

    @asynccontextmanager
    async def lifespan(_: Server[None]) -> AsyncGenerator[None]:
        await supervisor.open()
        async with anyio.create_task_group() as keepers:
            keepers.start_soon(supervisor.keep)
            try:
                yield
            finally:
                keepers.cancel_scope.cancel()
        with anyio.move_on_after(SAVE_SECONDS, shield=True):
            await supervisor.save()

    async def list_tools(_: Context, __: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return listed

    async def call_tool(context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        try:
            tool = tools.get(params.name)
            if tool is None:
                raise NotFoundError("tool", params.name, known=list(tools))
            asked = Asked(context.session.report_progress, _environment_in(params.meta))
            return await tool.call(supervisor, params.arguments or {}, asked)
        except OstlerError as error:
            return types.CallToolResult(content=[types.TextContent(type="text", text=str(error))], is_error=True)

    return Server(
        SERVER_NAME,
        title="Local processes",
        instructions=INSTRUCTIONS,
        lifespan=lifespan,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def listed_tools() -> list[types.Tool]:
    """Return the tools as `tools/list` shows them."""
    return [tool.listed() for tool in _tools()]


SAVE_SECONDS = 5.0
"""How long the end of a connection may wait for facts to be written down."""


def _tools() -> tuple[Tool[Any, Any], ...]:
    async def start(supervisor: Supervisor, request: StartRequest, asked: Asked) -> StartResult:
        return await supervisor.start(request, asked.progress, environment=asked.environment)

    async def stop(supervisor: Supervisor, request: StopRequest, _: Asked) -> StopResult:
        return await supervisor.stop(request)

    async def status(supervisor: Supervisor, request: StatusRequest, _: Asked) -> StatusResult:
        return await queries.status(supervisor, request)

    async def logs(supervisor: Supervisor, request: LogsRequest, _: Asked) -> LogsResult:
        return await queries.logs(supervisor, request)

    async def list_(supervisor: Supervisor, request: ListRequest, _: Asked) -> ListResult:
        return await queries.list_processes(supervisor, request)

    async def free_port(supervisor: Supervisor, request: FreePortRequest, _: Asked) -> FreePortResult:
        return await queries.free_port(supervisor, request)

    return (
        Tool(
            name="start",
            title="Start a process",
            description="Start a program in the background under a key, and wait until it is ready if 'ready' is "
            "given. The same request again returns the running process; another one under a running key is refused.",
            request=StartRequest,
            result=StartResult,
            run=start,
            text=_start_text,
        ),
        Tool(
            name="stop",
            title="Stop a process",
            description="Stop a process and everything it started: a signal, a wait, then SIGKILL. Success also when "
            "it is not running.",
            request=StopRequest,
            result=StopResult,
            run=stop,
            text=_stop_text,
            destructive=True,
        ),
        Tool(
            name="status",
            title="Status of a process",
            description="Whether a process runs, and with 'ready' whether it answers now. An unknown key is state "
            "not_found, not an error.",
            request=StatusRequest,
            result=StatusResult,
            run=status,
            text=lambda result: f"{result.key}: {result.state}, {result.detail}",
            read_only=True,
        ),
        Tool(
            name="logs",
            title="Output of a process",
            description="Last lines of a process's output (stdout and stderr), also after it ended; or what is new "
            "since an offset.",
            request=LogsRequest,
            result=LogsResult,
            run=logs,
            text=lambda result: "\n".join(result.lines) or "(no output)",
            read_only=True,
        ),
        Tool(
            name="list",
            title="List processes",
            description="The processes started here, newest first; ended ones are remembered for a while.",
            request=ListRequest,
            result=ListResult,
            run=list_,
            text=_list_text,
            read_only=True,
        ),
        Tool(
            name="free_port",
            title="Find a free port",
            description="TCP ports that are free now; each is given to one caller only for a minute.",
            request=FreePortRequest,
            result=FreePortResult,
            run=free_port,
            text=lambda result: f"free on {result.host}: {', '.join(map(str, result.ports))}",
            read_only=True,
            idempotent=False,
        ),
    )


def _start_text(result: StartResult) -> str:
    text = f"{result.key} {'was already running' if result.already_running else 'started'}: {result.state}"
    text += f", pid {result.pid}"
    if result.port is None:
        return text
    text += f", listens on {result.address}" if result.host not in ("127.0.0.1", None) else f", port {result.port}"
    return (
        text if result.asked_port is None else f"{text} (it did not take port {result.asked_port}, which it was given)"
    )


def _stop_text(result: StopResult) -> str:
    text = f"{result.key} {'was already stopped' if result.already_stopped else 'stopped'}"
    if result.killed:
        text += " by force"
    if result.signal is not None:
        return f"{text} ({result.signal})"
    return text if result.exit_code is None else f"{text} (exit code {result.exit_code})"


def _list_text(result: ListResult) -> str:
    lines = [f"{len(result.processes)} of {result.total} processes"]
    lines += [f"{process.key}: {process.state}, pid {process.pid}" for process in result.processes]
    return "\n".join(lines)


def _environment_in(meta: Mapping[str, Any] | None) -> Mapping[str, str] | None:
    found: object = (meta or {}).get(META_KEY)
    return cast("Mapping[str, str]", found) if isinstance(found, dict) else None


def _validated(model: type[RequestT], arguments: JsonMapping) -> RequestT:
    try:
        return model.model_validate(dict(arguments))
    except ValidationError as error:
        raise ArgumentError(_problems(error, model)) from None  # its text would repeat the values, secrets among them


def _problems(error: ValidationError, model: type[BaseModel]) -> list[str]:
    problems: list[str] = []
    for fault in error.errors(include_url=False, include_input=False):
        place = ".".join(str(part) for part in fault["loc"] if not str(part).startswith(("function-", "constrained-")))
        match fault["type"]:
            case "missing":
                problems.append(f"missing required argument {place!r}")
            case "extra_forbidden":
                known = [field.alias or name for name, field in model.model_fields.items()]
                close = difflib.get_close_matches(place, known, n=1)
                problems.append(f"unknown argument {place!r}" + (f"; did you mean {close[0]!r}?" if close else ""))
            case "string_pattern_mismatch" if place == "key":
                problems.append("key: use 1 to 128 letters, digits, '.', '_' or '-'")
            case "value_error":
                text = fault["msg"].removeprefix("Value error, ")
                problems.append(f"{place}: {text}" if place else text)
            case kind if kind.endswith(("_type", "_parsing")):
                problems.append(f"invalid type for argument {place!r}: {fault['msg']}")
            case _:
                problems.append(f"{place}: {fault['msg']}")
    return problems
