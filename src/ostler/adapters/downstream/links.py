"""One established connection: the SDK's session, its tools, and the signals around it."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio
import mcp_types as types
from mcp.shared import exceptions as sdk_errors
from mcp_types.version import LATEST_MODERN_VERSION, MODERN_PROTOCOL_VERSIONS
from msgspec import Struct, field

from ostler.adapters.backoff import Nudge
from ostler.adapters.downstream.authorization import granted
from ostler.adapters.downstream.children import ChildRecords
from ostler.adapters.downstream.direct_calls import DirectCall, InsideServer, is_traced
from ostler.adapters.downstream.fault_codes import Fault, fault_of
from ostler.adapters.downstream.framing import StdoutNoise
from ostler.adapters.downstream.http_watch import HttpWatch
from ostler.adapters.downstream.loss import ConnectFailedError, LossSignal
from ostler.adapters.downstream.starts import Attempt, StartTurns
from ostler.adapters.downstream.stdio import ChildFacts, stdio_transport
from ostler.adapters.downstream.tool_lists import ToolListRepair
from ostler.adapters.environments import Environments
from ostler.adapters.signing_in.grants import Grants
from ostler.engine.protocols import ToolInfo
from ostler.model.json import JsonObject
from ostler.model.servers import OVER_HTTP, ServerEntry, ServerTransport
from ostler.model.states import ServiceState

if TYPE_CHECKING:
    import httpx2
    from mcp import Client
    from mcp.client.session import ClientSession, IncomingMessage
    from mcp.server import Server

    from ostler.adapters.downstream.http import RenewedHeaders
    from ostler.adapters.signing_in.bearer import GrantedAuth

_MAX_PAGES: Final = 1000
_RELISTEN_PAUSE: Final = 1.0
_PROBE_TIMEOUT: Final = 5.0


class Surroundings(Struct, frozen=True):
    """What all connections of a pool share.

    Attributes:
        log_dir: where stderr logs go.
        environments: variables that stdio servers may inherit.
        records: the children's records.
        turns: limits how many stdio servers are started at once.
        grants: what people consented to by signing in; None when no one can.
    """

    log_dir: Path
    environments: Environments
    records: ChildRecords
    turns: StartTurns = field(default_factory=StartTurns)
    grants: Grants | None = None

    def stderr_log(self, server: str) -> Path:
        """Return the stderr log's path of `server`."""
        return self.log_dir / f"{server}.stderr.log"


class Link(Struct, eq=False):
    """An established connection. Calls register their scopes, so that leaving it can end them."""

    client: "Client | None"
    """None: the server is inside this process, and needs no protocol."""
    entry: ServerEntry
    transport: ServerTransport
    loss: LossSignal
    stale: Nudge
    suspect: Nudge
    child: ChildFacts | None = None
    repair: ToolListRepair = field(default_factory=ToolListRepair)
    scopes: set[anyio.CancelScope] = set()
    active: int = 0
    """Calls answered since the liveness probe last checked."""
    inside: InsideServer | None = None
    direct: DirectCall | None = None
    """The way past the SDK for tool calls: over stdio in the protocol with a handshake, and inside this process."""
    secrets: Callable[[], tuple[str, ...]] = tuple
    """Returns what requests are authorised with by now, besides what the entry has."""
    is_doubted: bool = False
    """A tool failed without a reason: a sign of life alone does not prove that the server works."""

    def mask_text(self, text: str) -> str:
        """Return `text` without the secrets of the entry, and of what requests are authorised with."""
        return self.entry.hiding(self.secrets()).mask_text(text)

    @property
    def session(self) -> "ClientSession":
        """The SDK's session."""
        assert self.client is not None, "a server that needs no protocol has no session"
        return self.client.session

    @property
    def modern(self) -> bool:
        """Whether the connection speaks the 2026 protocol."""
        return self.protocol_version in MODERN_PROTOCOL_VERSIONS

    @property
    def protocol_version(self) -> str:
        """The version of the protocol; the newest one where none is spoken."""
        return LATEST_MODERN_VERSION if self.client is None else self.client.protocol_version

    @property
    def server(self) -> tuple[str, str]:
        """The name and the version that the server gives itself."""
        if self.client is None:
            return ("" if self.inside is None else self.inside.name), ""
        info = self.client.server_info
        return (info.name, info.version) if info else ("", "")

    @property
    def noise(self) -> StdoutNoise:
        """Lines on stdout that were no messages."""
        return self.child.noise if self.child is not None else StdoutNoise()

    async def read_tools(self) -> list[ToolInfo]:
        """Return all pages of the server's tools list; none when it has no tools.

        Raises:
            MCPError: the server refused.
            ValidationError: the list does not follow the protocol.
        """
        if self.client is None:
            return [] if self.inside is None else self.inside.tools()
        if self.client.server_capabilities.tools is None and self.modern:
            return []
        tools: list[types.Tool] = []
        cursor: str | None = None
        self.repair.begin()
        for _ in range(_MAX_PAGES):
            params = types.PaginatedRequestParams(cursor=cursor) if cursor is not None else None
            try:
                page = await self.session.list_tools(params=params)
            except sdk_errors.MCPError as error:
                if error.code == types.METHOD_NOT_FOUND and cursor is None:
                    return []
                raise
            tools.extend(page.tools)
            if not page.next_cursor or page.next_cursor == cursor:
                notes = self.repair.notes
                return [_info(self.entry.name, tool, notes.get(tool.name, "")) for tool in tools]
            cursor = page.next_cursor
        raise ConnectFailedError(f"its tools list has more than {_MAX_PAGES} pages")

    @property
    def hides_its_tools(self) -> bool:
        """Whether to ask again in the older protocol if the list is empty: the server says that it has tools.

        A proxy that speaks the newer protocol in front of a server that does not lists none.
        """
        if self.client is None or self.transport == "builtin":
            return False
        return self.modern and self.client.server_capabilities.tools is not None

    async def follow_tools(self) -> None:
        """Keep a subscription to tools-list changes open (2026 protocol; older servers send them unasked)."""
        if self.client is None or not self.modern:
            return
        from mcp.client.subscriptions import SubscriptionLost  # noqa: PLC0415 (the SDK's client is large)

        while not self.loss.is_lost:
            try:
                async with self.client.listen(tools_list_changed=True) as events:
                    self.stale.give()  # what changed before the subscription stood
                    async for _ in events:
                        self.stale.give()
            except sdk_errors.MCPError as error:
                if fault_of(error) is None and error.code != types.CONNECTION_CLOSED:
                    return  # the server does not offer it
                self.suspect.give()
            except SubscriptionLost:
                self.suspect.give()
            await anyio.sleep(_RELISTEN_PAUSE)

    def doubt(self) -> None:
        """Have the tools list read to see whether the server works."""
        self.is_doubted = True
        self.suspect.give()

    async def probe(self) -> ConnectFailedError | None:
        """Ask the server for a sign of life; return why the connection no longer works, or None.

        A server that is silent while calls are under way may be at work on them (one that does one thing at a time):
        the calls' own deadlines decide then. A call that was answered meanwhile is a sign of life, too.
        """
        answered = self.active
        try:
            with anyio.fail_after(_PROBE_TIMEOUT):
                if self.client is None:
                    self.is_doubted = False
                elif self.modern or self.is_doubted:
                    await self.session.list_tools()
                    self.is_doubted = False
                else:
                    await self.session.send_request(types.PingRequest(), types.EmptyResult)
        except TimeoutError:
            if self.scopes or self.active != answered:
                return None
            reason = f"the server did not answer a probe within {_PROBE_TIMEOUT:g} s"
            return ConnectFailedError(reason, state=ServiceState.DISCONNECTED)
        except sdk_errors.MCPError as error:
            # An error that the server itself wrote is a sign of life (it may not know `ping`).
            match fault_of(error):
                case Fault.AUTH_REQUIRED:
                    return ConnectFailedError(error.message, state=ServiceState.AUTH_REQUIRED)
                case None if error.code != types.CONNECTION_CLOSED:
                    return self._useless(error) if self.is_doubted else None
                case _:
                    return ConnectFailedError(error.message, state=ServiceState.DISCONNECTED)
        return None

    def _useless(self, error: "sdk_errors.MCPError") -> ConnectFailedError | None:
        if error.code == types.METHOD_NOT_FOUND:  # it never had a list to read
            return None
        said = error.message.strip() or "an error without a message"
        reason = f"its tools failed without a reason, and its tools list can no longer be read:  {said}"
        return ConnectFailedError(reason, state=ServiceState.DISCONNECTED)

    def end_calls(self) -> None:
        """End the calls under way; each reports the loss to its caller."""
        for scope in list(self.scopes):
            scope.cancel()


@asynccontextmanager
async def open_link(
    entry: ServerEntry,
    transport: ServerTransport,
    around: Surroundings,
    *,
    builtin: "Server[Any] | InsideServer | None",
    legacy: bool,
    watch: HttpWatch,
    attempt: Attempt,
) -> AsyncGenerator[Link]:
    """Connect to `entry` over `transport` and shake hands.

    Args:
        entry: the server.
        transport: how to reach it; `sse` may be tried for an `http` entry.
        around: what the pool's connections share.
        builtin: the server object of a built-in one.
        legacy: begin with the 2025 handshake at once instead of asking for the 2026 protocol first.
        watch: collects what HTTP said.
        attempt: its `loss` is reported when the transport ends, its `facts` are filled in by a stdio transport.
    """
    stale, suspect = Nudge(), Nudge()
    watch.on_trouble, watch.on_taken = suspect.give, attempt.note
    if isinstance(builtin, InsideServer):
        if not is_traced():
            async with builtin.running():
                link = Link(None, entry, transport, attempt.loss, stale, suspect, inside=builtin)
                link.direct = builtin.call_directly
                yield link
            return
        builtin = builtin.over_protocol()
    from mcp import Client  # noqa: PLC0415 (it is large, and the server inside needs none)

    async def on_message(message: "IncomingMessage") -> None:
        if isinstance(message, types.ToolListChangedNotification):
            stale.give()

    auth = await _auth_for(entry, around, attempt) if transport in OVER_HTTP else None
    if auth is not None:
        attempt.secrets = auth.secrets
    repair = ToolListRepair()
    client = Client(
        builtin
        if builtin is not None
        else repair.around(_transport(entry, transport, around, watch=watch, attempt=attempt, auth=auth)),
        mode="legacy" if legacy else "auto",
        cache=None,
        client_info=types.Implementation(name="ostler", version=_own_version()),
        message_handler=on_message,
    )
    async with client:
        repair.version = client.protocol_version
        child = attempt.facts if transport == "stdio" else None
        link = Link(
            client, entry, transport, attempt.loss, stale, suspect, child=child, repair=repair, secrets=attempt.secrets
        )
        if child is not None and child.direct is not None and not link.modern:
            link.direct = child.direct.call
        yield link


async def _auth_for(
    entry: ServerEntry, around: Surroundings, attempt: Attempt
) -> "GrantedAuth | RenewedHeaders | None":
    """Return what authorises requests to `entry` over HTTP: a person's grant, else headers that are looked up again."""
    auth = await granted(entry, around.grants)
    if auth is not None or attempt.renew is None:
        return auth
    from ostler.adapters.downstream.http import RenewedHeaders  # noqa: PLC0415 (most servers are programs)

    return RenewedHeaders(entry, attempt.renew)


def _transport(
    entry: ServerEntry,
    transport: ServerTransport,
    around: Surroundings,
    *,
    watch: HttpWatch,
    attempt: Attempt,
    auth: "httpx2.Auth | None",
) -> AbstractAsyncContextManager[Any]:
    match transport:
        case "stdio":
            return stdio_transport(
                entry,
                environments=around.environments,
                stderr_log=around.stderr_log(entry.name),
                records=around.records,
                loss=attempt.loss,
                facts=attempt.facts,
            )
        case "http":
            from ostler.adapters.downstream.http import http_transport  # noqa: PLC0415 (most servers are programs)

            return http_transport(entry, watch, attempt.loss, auth)
        case "sse":
            from ostler.adapters.downstream.http import sse_transport  # noqa: PLC0415

            return sse_transport(entry, watch, attempt.loss, auth)
        case "builtin":
            raise ConnectFailedError(f"this Ostler has no built-in server {entry.name!r}")


def _info(server: str, tool: "types.Tool", note: str) -> ToolInfo:
    """Return `tool` as the engine knows it; `note` says what was odd about it."""

    def plain(value: Any) -> JsonObject | None:
        return None if value is None else value.model_dump(mode="json", by_alias=True, exclude_none=True)

    return ToolInfo(
        server=server,
        name=tool.name,
        description=tool.description or "",
        input_schema=dict(tool.input_schema),
        output_schema=dict(tool.output_schema) if tool.output_schema is not None else None,
        annotations=plain(tool.annotations),
        title=tool.title or (tool.annotations.title if tool.annotations else None) or "",
        note=note,
    )


@cache
def _own_version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 (mail parsers, for a connection)

    try:
        return version("ostler")
    except PackageNotFoundError:
        return "0"
