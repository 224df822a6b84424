"""The table of all tools, and the way of a call to one of them and back."""

from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext, suppress
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import anyio
from msgspec.structs import replace

from ostler.adapters.serving.answers import Answer, error_answer, error_result
from ostler.adapters.serving.asking import ClientsPerson, InputNeededError, NoPerson, Person, UsedRounds
from ostler.adapters.serving.table import Effect, ToolTable
from ostler.engine.protocols import Clock, Progress
from ostler.faces.access.call_facts import CallFacts, call_of
from ostler.faces.client_facts import current_client
from ostler.faces.hanging_up import has_hung_up, is_cancelled_by_client
from ostler.faces.mcp.call_log import CallLog
from ostler.faces.mcp.check_tools import CHECK_TOOLS
from ostler.faces.mcp.class_tools import CLASS_TOOLS
from ostler.faces.mcp.client_folder import clients_folder, folder_of_call, said_if_declared
from ostler.faces.mcp.confirmation import Confirmations
from ostler.faces.mcp.definitions import AnyTool, Call
from ostler.faces.mcp.downstream_tools import DOWNSTREAM_TOOLS
from ostler.faces.mcp.drafting_tools import DRAFTING_TOOLS
from ostler.faces.mcp.explain_tools import EXPLAIN_TOOLS
from ostler.faces.mcp.lifecycle_tools import LIFECYCLE_TOOLS
from ostler.faces.mcp.log_tools import LOG_TOOLS
from ostler.faces.mcp.plan_tools import PLAN_TOOLS
from ostler.faces.mcp.progress import progress_to, unreported
from ostler.faces.mcp.project_tools import PROJECT_TOOLS
from ostler.faces.mcp.server_tools import SERVER_TOOLS
from ostler.faces.mcp.service_tools import SERVICE_TOOLS
from ostler.faces.mcp.surface import ApplicationLike
from ostler.faces.mcp.visible import seen_with
from ostler.faces.mcp.waiting_tools import WAITING_TOOLS
from ostler.model.downstream_errors import ToolDeniedError
from ostler.model.errors import ArgumentError, BusyError, NotFoundError
from ostler.model.events import Event, EventKind
from ostler.model.json import as_object, parse_json
from ostler.rules.secrets.secret_marks import marks_in

if TYPE_CHECKING:
    import mcp_types as types
    from mcp.server import ServerRequestContext

    from ostler.faces.mcp.lifespan import Lifespan

Toolset = Literal["full", "core", "muster"]
TOOLSETS: tuple[Toolset, ...] = get_args(Toolset)

MAX_CALLS = 1_000
"""Calls under way at once, waiting ones included; one more is refused, so that the server does not grow forever."""

RETRY_AFTER = 1
"""Seconds after which a refused client may call again."""

COMING_SECONDS = 5.0
"""Seconds that a call waits until its services are recorded: a create that asks a person may take long."""


def _knows_declared(tool: AnyTool) -> AnyTool:
    """Return `tool` with the next step in its error for a service that `ostler.yaml` declares, and that is not up."""

    async def handler(app: ApplicationLike, args: Any, call: Call) -> Answer:
        try:
            return await tool.handler(app, args, call)
        except NotFoundError as error:
            raise await said_if_declared(app, error) from None

    return replace(tool, handler=handler)


TOOLS: tuple[AnyTool, ...] = (
    *map(_knows_declared, (*SERVICE_TOOLS, *LOG_TOOLS, *PLAN_TOOLS, *EXPLAIN_TOOLS, *LIFECYCLE_TOOLS, *WAITING_TOOLS)),
    *PROJECT_TOOLS,
    *CLASS_TOOLS,
    *CHECK_TOOLS,
    *DRAFTING_TOOLS,
    *DOWNSTREAM_TOOLS,
    *SERVER_TOOLS,
)
"""Every tool. A new one is one more entry in one of these tables."""

NAMES = frozenset(tool.name for tool in TOOLS)

LOOKS = frozenset({"service_status", "service_get", "service_list"})
"""The calls that come most often. They read, report no progress and ask no one, so `Toolbox.look` can answer them."""

CHANGES = frozenset({"service_create", "service_start", "service_stop", "service_restart", "service_delete"})
"""The changes that come most often. For a client that wants no progress and cannot be asked, `Toolbox.change` makes
them."""

PROJECT_CALLS = frozenset({"project_up", "project_down", "project_status"})
"""The calls of a project's services, which a command line makes."""

CONFIRMATIONS = Confirmations({tool.name: tool for tool in TOOLS})


def tools_of(toolset: Toolset) -> Sequence[AnyTool]:
    """Return the tools of a toolset, in the order of tools/list; those of muster stand before all of Ostler's."""
    return [tool for tool in TOOLS if toolset != "core" or tool.core]


@cache
def _table_of(toolset: Toolset) -> "ToolTable[ApplicationLike, Call]":
    """Return the table of a toolset: all principals' servers list the same tools, whose schemas are made once."""
    return ToolTable(tools_of(toolset))


class CallDesk:
    """Takes calls, at most `MAX_CALLS` at once, and gives each its facts.

    Args:
        clock: dates them.
        names: the tools that answers may name to these clients.
    """

    def __init__(self, clock: Clock, names: frozenset[str]) -> None:
        self._clock = clock
        self._names = names
        self._log = CallLog()
        self._rounds = UsedRounds()
        self._under_way = 0

    def admit(self, arguments: Mapping[str, Any] | None) -> None:
        """Refuse a call that may not be accepted, whatever its tool.

        Raises:
            BusyError: too many are under way.
            ArgumentError: an argument has what stands for a secret inside of Ostler.
        """
        if self._under_way >= MAX_CALLS:
            raise BusyError(self._under_way, RETRY_AFTER)
        if marks_in(arguments):
            raise ArgumentError(["what stands for a secret inside of Ostler is no value for an argument"])

    def stranger(self) -> Call:
        """Return the facts of a call of which only the arguments are known."""
        return Call(unreported, self._clock, "", self._log, self._names, NoPerson())

    @contextmanager
    def under_way(
        self,
        facts: CallFacts,
        is_cancelled: Callable[[], bool],
        *,
        progress: Progress = unreported,
        person: Person | None = None,
    ) -> Generator[Call]:
        """Yield the facts of a call that was admitted while it is answered.

        Args:
            facts: where it comes from.
            is_cancelled: whether the client has cancelled it.
            progress: sends progress to the client.
            person: can be asked; None: no one can be.
        """
        self._under_way += 1
        try:
            with call_of(facts):
                who = person or NoPerson()
                yield Call(progress, self._clock, facts.client, self._log, self._names, who, is_cancelled)
        finally:
            self._under_way -= 1

    @asynccontextmanager
    async def take(
        self, context: "ServerRequestContext[Lifespan]", params: "types.CallToolRequestParams"
    ) -> AsyncGenerator[Call]:
        """Yield the facts of a call that came through the SDK while it is answered.

        Raises:
            BusyError, ArgumentError: as `admit`.
        """
        self.admit(params.arguments)
        facts = CallFacts(called_tool(params), _client_name_of(context), _address_of(context))
        hung_up = partial(is_cancelled_by_client, context)
        person = ClientsPerson(context, params, self._rounds)
        async with progress_to(context) as progress:
            with self.under_way(facts, hung_up, progress=progress, person=person) as call:
                yield call


_NONE_COMES: AbstractContextManager[None] = nullcontext()


class ComingServices:
    """The creates under way: calls about their services, which clients send together with them, wait for these."""

    def __init__(self, app: ApplicationLike) -> None:
        self._app = app
        self._coming: dict[str, list[anyio.Event]] = {}
        """For each name, an event of each create: the service is there, or will not come."""
        self._needed: dict[anyio.Event, frozenset[str]] = {}
        """For each of these, the services that its create waits for."""
        self._leave: Callable[[], None] | None = None
        """Ends the one subscription of all creates; there only while one is under way."""

    def announced(self, tool: str, arguments: Mapping[str, Any] | None) -> AbstractContextManager[None]:
        """Let calls that arrive while the block runs know of the service that `tool` creates, if it does."""
        name = (arguments or {}).get("name")
        if tool != "service_create" or not (isinstance(name, str) and name):
            return _NONE_COMES
        return self._announced(name, frozenset(_names_in(tool, arguments or {})))

    @contextmanager
    def _announced(self, name: str, needed: frozenset[str]) -> Generator[None]:
        decided = anyio.Event()
        if self._leave is None:
            self._leave = self._app.manager.events.subscribe(self._happened)
        self._coming.setdefault(name, []).append(decided)
        self._needed[decided] = needed
        try:
            yield
        finally:
            del self._needed[decided]
            self._coming[name].remove(decided)
            if not self._coming[name]:
                del self._coming[name]
            decided.set()
            if not self._coming:
                self._leave()
                self._leave = None

    def _happened(self, event: Event) -> None:
        if event.kind is not EventKind.SERVICE_CREATED:
            return
        name, dot = event.service, "."
        while dot:  # it was asked for by its full name, or by one that its namespace was added to
            for decided in self._coming.get(name, ()):
                decided.set()
            name, dot, _ = name.rpartition(".")

    async def wait(self, tool: str, arguments: Mapping[str, Any] | None) -> None:
        """Wait, but not for long, until the services that a call is about are there, if they are being created."""
        if not self._coming or self._coming.keys().isdisjoint(_names_in(tool, arguments or {})):
            return
        creates = (arguments or {}).get("name") if tool == "service_create" else None
        with anyio.move_on_after(COMING_SECONDS):
            for name in _names_in(tool, arguments or {}):
                if creates in self._names_needed_by(name):
                    continue  # neither would ever come
                for decided in tuple(self._coming.get(name, ())):
                    full = self._app.projects.full_name(name, current_client().directory)
                    if self._app.manager.registry.find(full) is None:
                        await decided.wait()

    def _names_needed_by(self, name: str) -> set[str]:
        """Return `name`, and all that creates under way need so that it comes."""
        found, unread = {name}, [name]
        while unread:
            for decided in self._coming.get(unread.pop(), ()):
                unread += self._needed[decided] - found
                found |= self._needed[decided]
        return found


def _names_in(tool: str, arguments: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of the services that a call needs."""
    if tool == "service_create":
        overrides = arguments.get("overrides")
        if isinstance(overrides, str):
            with suppress(ValueError):
                overrides = parse_json(overrides)
        given = as_object(overrides).get("dependsOn")
    else:
        given = arguments.get("name")
    names = given.split(",") if isinstance(given, str) else given
    if isinstance(names, list | dict):
        yield from (each.strip() for each in cast("Iterable[object]", names) if isinstance(each, str))


_WITHOUT_SCOPE = ("service_create", "service_wait")
"""Tools that make full names themselves: of a new service, and of several."""


class Toolbox:
    """Lists the tools of a toolset and answers calls to them."""

    def __init__(self, app: ApplicationLike, clock: Clock, toolset: Toolset) -> None:
        self._app = app
        self._table = _table_of(toolset)
        self._names = frozenset(self._table.names)
        self._desk = CallDesk(clock, self._names)
        self._coming = ComingServices(app)

    async def list_tools(
        self, context: "ServerRequestContext[Lifespan]", params: "types.PaginatedRequestParams | None"
    ) -> "types.ListToolsResult":
        """List the tools: always the same ones, on one page."""
        del context
        return self._table.page(params)

    async def call(
        self, context: "ServerRequestContext[Lifespan]", params: "types.CallToolRequestParams"
    ) -> "types.CallToolResult | types.InputRequiredResult":
        """Answer a call. Whatever goes wrong in a tool is a result with `isError`, which an agent can read and act on.

        Cancellation by the client ends the waiting here; an operation under way in the engine continues.

        Raises:
            MCPError: there is no such tool.
        """
        tool = self._table.get(params.name)
        try:
            with self._coming.announced(tool.name, params.arguments):
                async with self._desk.take(context, params) as call:
                    answer = await self._answer(tool, params.arguments, call)
        except (ArgumentError, BusyError) as error:
            return error_result(error)
        return answer.result() if isinstance(answer, Answer) else answer

    def takes(self, name: str, *, can_ask: bool) -> bool:
        """Whether `change` answers a call of `name` as `call` does; `can_ask`: for a client that shows questions."""
        if can_ask and (self._app.policy.confirm_tools or name == "service_create"):
            return False
        return name in self._names & (LOOKS | CHANGES | PROJECT_CALLS)

    async def change(
        self,
        name: str,
        arguments: Mapping[str, Any] | None,
        client: str,
        address: str,
        progress: Progress = unreported,
    ) -> Answer:
        """Answer a call of one of `CHANGES`, or one that this `takes`, as `call` does for a client that no one asks."""
        try:
            self._desk.admit(arguments)
            facts = CallFacts(name, client, address)
            with (
                self._coming.announced(name, arguments),
                self._desk.under_way(facts, has_hung_up, progress=progress) as call,
            ):
                answer = await self._answer(self._table.get(name), arguments, call)
        except (ArgumentError, BusyError) as error:
            return error_answer(error)
        assert isinstance(answer, Answer), "no one was asked"
        return answer

    async def look(self, name: str, arguments: Mapping[str, Any] | None) -> Answer | None:
        """Answer a call of one of `LOOKS` as `call` does, for a client that names no folder and cannot be asked.

        None: `call` has to answer it, because this toolset has no such tool, or a person may have to confirm it.
        """
        if name not in LOOKS & self._names or self._app.policy.confirm_tools:
            return None
        if self._app.denies(name):
            return error_answer(_denied(name))
        try:
            self._desk.admit(arguments)
        except (BusyError, ArgumentError) as error:
            return error_answer(error)
        await self._coming.wait(name, arguments)
        answer = await self._table.get(name).answer(self._app, self._in_scope(name, arguments), self._desk.stranger())
        return seen_with(self._names, NAMES, answer) if isinstance(answer, Answer) else None

    async def _answer(
        self, tool: AnyTool, arguments: Mapping[str, Any] | None, call: Call
    ) -> "Answer | types.InputRequiredResult":
        if (refusal := await refusal_of(self._app, tool)) is not None:
            return error_answer(refusal)
        try:
            with await clients_folder(self._app, call.person, tool.name, arguments):
                self._app.projects.clients.note_call(folder_of_call(arguments), current_client().connection)
                await self._coming.wait(tool.name, arguments)
                answer = await CONFIRMATIONS.run(self._app, tool, self._in_scope(tool.name, arguments), call)
        except InputNeededError as needed:
            return needed.result
        return seen_with(self._names, NAMES, answer) if isinstance(answer, Answer) else answer

    def _in_scope(self, tool: str, arguments: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """Return the arguments with the full name of the service that a short one means in the client's folder."""
        folder = current_client().directory
        if not (folder and arguments and tool.startswith("service_")) or tool in _WITHOUT_SCOPE:
            return arguments
        name = arguments.get("name")
        if not (isinstance(name, str) and name):
            return arguments
        return {**arguments, "name": self._app.projects.full_name(name, folder)}


async def refusal_of(app: ApplicationLike, tool: AnyTool) -> ToolDeniedError | None:
    """Return why a client may not call one of Ostler's own tools, and record the refusal; None if it may."""
    if not app.denies(tool.name):
        return None
    refusal = _denied(tool.name)
    if tool.effect is not Effect.READS:
        await app.note_denied(tool.name, refusal)
    return refusal


def _denied(name: str) -> ToolDeniedError:
    return ToolDeniedError(
        f"tool {name!r} is denied by the policy of this Ostler (denyTools has 'ostler/{name}' or a pattern for it, or "
        "it is for admins alone)",
        tool=name,
        next_actions=("ask the person who owns this Ostler: [policy] or [principals] in ostler.toml",),
    )


def called_tool(params: "types.CallToolRequestParams") -> str:
    """Return the tool that a call means: the one behind muster's `call_tool`."""
    behind = (params.arguments or {}).get("name") if params.name == "call_tool" else None
    return behind if isinstance(behind, str) else params.name


def _address_of(context: "ServerRequestContext[Lifespan]") -> str:
    """Return where a request came from over HTTP; empty for one over a socket or a pipe."""
    request: Any = context.request
    client = getattr(request, "client", None)
    return "" if client is None else f"{client.host}:{client.port}"


def _client_name_of(context: "ServerRequestContext[Lifespan]") -> str:
    """Return the name that the client gives itself. Command lines connect for each call, under one name."""
    params: Any = context.session.client_params
    return "" if params is None else params.client_info.name
