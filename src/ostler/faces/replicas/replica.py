"""Plain reads, which a standby server answers from its mirror of what the holder shows."""

import logging
import os
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace  # noqa: TID251 (a dataclass)
from typing import TYPE_CHECKING, Any, Final

import anyio
import httpx2
from mcp.server.lowlevel import Server
from mcp_types import CLIENT_CAPABILITIES_META_KEY
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ostler.adapters.config.live_settings import LiveSettings
from ostler.adapters.config.paths import Paths
from ostler.adapters.config.settings_file import settings_in_force
from ostler.adapters.stores.standing_by import SeenHolder
from ostler.adapters.telemetry.instruments import STANDBY_REQUESTS
from ostler.adapters.telemetry.standby_metrics import StandbyGauges, counter
from ostler.faces.access.principals import Principals
from ostler.faces.daemon.forwarded_requests import ForwardedRequest
from ostler.faces.daemon.http import HttpSettings, gated_web
from ostler.faces.daemon.http_answers import header
from ostler.faces.daemon.http_pages import metrics_page
from ostler.faces.daemon.http_paths import ROOT
from ostler.faces.daemon.http_sessions import said_in
from ostler.faces.mcp.addresses import read_uri
from ostler.faces.mcp.client_folder import is_placed
from ostler.faces.mcp.server import build_server
from ostler.faces.mcp.toolbox import Toolset
from ostler.faces.replicas.access_digest import AccessDigest
from ostler.faces.replicas.delegated_checks import DelegatedChecks
from ostler.faces.replicas.following import Following
from ostler.faces.replicas.handover import Handover, handover
from ostler.faces.replicas.held_answers import HeldAnswer
from ostler.faces.replicas.mirrored_application import MirroredApplication
from ostler.model.access import Principal, policy_of
from ostler.model.json import as_object
from ostler.model.records import OperationRecord
from ostler.model.settings import PolicySettings, Settings

if TYPE_CHECKING:
    from ostler.adapters.stores.postgresql_history import OperationHistory
    from ostler.adapters.telemetry.silent import Scrape

TOOLS: Final = frozenset(
    {
        "service_list", "service_status", "service_get", "service_events", "serviceclass_list", "serviceclass_get",
        "serviceclass_available",
    }
)  # fmt: skip
"""The tools that only read what the mirror has."""

METHODS: Final = frozenset(
    {
        "server/discover", "tools/list", "prompts/list", "prompts/get", "resources/list", "resources/templates/list",
        "resources/read", "completion/complete", "subscriptions/listen",
    }
)  # fmt: skip

STREAMS: Final = frozenset({"subscriptions/listen"})
"""The methods whose answers have no end."""

SESSION_METHODS: Final = METHODS - STREAMS | {"ping"}
"""The methods that are answered in sessions, which are of versions up to 2025-11-25."""

_NOT_HERE: Final = frozenset({404, 503})
"""The statuses of a request whose session cannot be opened here; the holder may know why."""

PARTS: Final = frozenset({"services", "graph", "service", "outputs", "events", "class"})
"""The parts of resources that the mirror has."""

_ENDING: Final = 1.0
"""Seconds for the end of a session here."""

_TOOLSETS: Final[dict[str, Toolset]] = {"full": "full", "core": "core"}
"""The toolsets whose reads are answered, by the end of their path."""

UNREACHABLE: Final = "the server that holds the database cannot be reached from this one"
"""Why an answer is late."""

logger = logging.getLogger(__name__)


class Replica:
    """Follows the holder, and answers from what it knows.

    Args:
        paths: the folders of this server.
        http: how it is served.
        version: of this program.
        toolset: which of Ostler's tools clients see that do not choose themselves.
    """

    def __init__(self, paths: Paths, http: HttpSettings, *, version: str, toolset: Toolset) -> None:
        settings = settings_in_force(paths.settings_file, os.environ)
        self._live = LiveSettings(paths.settings_file, settings, os.environ)
        self._url = settings.store_url
        self._http = http
        self._version = version
        self._toolset: Toolset = toolset
        self._digest: tuple[bytes, AccessDigest] | None = None
        self._checking = DelegatedChecks(paths, self._live)
        self._following = Following(version, self._access, self._checking)
        self._requests = counter(STANDBY_REQUESTS)
        self._gauges = StandbyGauges(self._following.state)
        self.scrape: Callable[[], Scrape] | None = None
        """Returns the metrics of this process; None: none are kept."""
        self._history: OperationHistory | None = None
        self._key = b""
        """That of the database."""
        self._knows_key = anyio.Event()
        self._app: ASGIApp | None = None
        self._confirming: tuple[Settings, bool] | None = None
        self._scope: anyio.CancelScope | None = None
        self._answering: set[anyio.CancelScope] = set()

    def __repr__(self) -> str:
        return f"<Replica {self._following!r}>"

    @asynccontextmanager
    async def open(self, client: httpx2.AsyncClient, name: str) -> AsyncGenerator[None]:
        """Follow and answer within the block, or until `end`.

        Args:
            client: reaches the other servers.
            name: the name in their certificate; empty over plain http.
        """
        async with anyio.create_task_group() as tasks:
            await tasks.start(self._run, client, name)
            yield
            tasks.cancel_scope.cancel()

    async def _run(self, client: httpx2.AsyncClient, name: str, *, task_status: Any) -> None:
        mirror = self._following.mirror
        app = MirroredApplication(mirror, self._live.current, self._read_history)
        principals = Principals(app, self._live.current)

        def make(wanted: str, principal: Principal) -> Server[Any]:
            toolset = _TOOLSETS.get(wanted, self._toolset)
            return build_server(principals.application(principal), toolset, clock=mirror.clock)

        async def serve_reads() -> None:
            await self._knows_key.wait()
            async with gated_web(
                make,
                replace(self._http, session_key=self._key),  # a session goes on at each server
                version=self._version,
                toolsets=tuple(_TOOLSETS),
                policy=lambda name: policy_of(self._live.current().principals, name),
                pages={"/metrics": self._metrics},
            ) as app:
                self._app = app
                try:
                    await anyio.sleep_forever()
                finally:
                    self._app = None

        try:
            with anyio.CancelScope() as self._scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(serve_reads)
                    tasks.start_soon(self._checking.run)
                    task_status.started()
                    await self._following.run(client, name)
        finally:
            self._gauges.close()
            if self._history is not None:
                await self._history.close()

    def end(self) -> None:
        """Answer nothing any more: this server holds the database itself."""
        if self._scope is not None:
            self._scope.cancel()
        for answering in list(self._answering):
            answering.cancel()

    def saw(self, holder: SeenHolder | None) -> None:
        """Note who holds the database."""
        if holder is not None and not self._key:
            self._key = holder.key
            self._knows_key.set()
        self._following.saw(holder)

    def _access(self, key: bytes) -> str:
        if self._digest is None or self._digest[0] != key:
            self._digest = key, AccessDigest(key, self._live.current, self._http, self._toolset)
        return self._digest[1]()

    async def _read_history(self, service_id: str, limit: int) -> Sequence[OperationRecord]:
        if self._history is None:
            from ostler.adapters.stores.postgresql_history import OperationHistory  # an extra

            self._history = OperationHistory(self._url)
        return await self._history.newest(service_id, limit)

    # -- requests --------------------------------------------------------------------------------------------

    @property
    def is_current(self) -> bool:
        """Whether answers here are those that the holder would give."""
        return self._app is not None and self._following.is_current

    @property
    def age(self) -> float | None:
        """Seconds since that was so; None: it never was, or others may read there."""
        return None if self._app is None else self._following.age

    def reads(self, request: ForwardedRequest) -> bool:
        """Whether a request is of a kind that is answered here."""
        return not self._why_not(request)

    def _why_not(self, request: ForwardedRequest) -> str:
        """Return why a request is not of a kind that is answered here, in one word; empty if it is."""
        scope = request.scope
        toolset = self._toolset_at(scope["path"])
        if toolset is None or toolset == "muster" or scope["method"] != "POST" or len(request.calls) != 1:
            return "kind"
        call = request.calls[0]
        params = as_object(call.get("params"))
        in_session = header(scope, b"mcp-protocol-version").decode("latin-1") not in MODERN_PROTOCOL_VERSIONS
        said = said_in(scope) if in_session else {"capabilities": _capabilities_in(params)}
        if "id" not in call or said is None:
            return "session"
        match call.get("method"):
            case "tools/call":
                return self._why_no_call(params, has_roots="roots" in as_object(said["capabilities"]))
            case "resources/read":
                address = read_uri(str(params.get("uri")))
                return "" if address is not None and address.part in PARTS else "resource"
            case method:
                return "" if method in (SESSION_METHODS if in_session else METHODS) else "method"

    def _why_no_call(self, params: Mapping[str, Any], *, has_roots: bool) -> str:
        name = params.get("name")
        if name not in TOOLS:
            return "tool"
        if self._asks_persons():
            return "confirmation"
        return "roots" if has_roots and is_placed(name, as_object(params.get("arguments"))) else ""

    def _toolset_at(self, path: str) -> Toolset | None:
        return self._toolset if path == ROOT else _TOOLSETS.get(path.removeprefix(f"{ROOT}/"))

    def _asks_persons(self) -> bool:
        """Whether a person must confirm reads: a question and its answer belong to one server."""
        settings = self._live.current()
        if self._confirming is None or self._confirming[0] is not settings:
            self._confirming = settings, _confirms_reads(settings)
        return self._confirming[1]

    async def passes_on(self, request: ForwardedRequest) -> None:
        """Note that a request is passed on; if it ends a session, that is not to be opened again here."""
        why = "forwarded" if request.was_forwarded else self._why_not(request)
        self._count("passed_on", why or ("holder" if self.is_current else "lease"))
        app = self._app
        if app is None or request.scope["method"] != "DELETE" or said_in(request.scope) is None:
            return
        message = request.replayed()

        async def receive() -> Message:
            return message

        async def ignore(message: Message) -> None:
            del message

        try:
            with anyio.move_on_after(_ENDING):
                await app(dict(request.scope), receive, ignore)
        except Exception:  # boundary: the holder ends the session
            logger.exception("a session could not be ended by this server")

    async def show_metrics(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Answer a request for the metrics, if whoever asks may; False, with nothing sent, before a holder was seen."""
        if (app := self._app) is None:
            return False
        await app(scope, receive, send)
        return True

    async def _metrics(self, _request: Request) -> Response:
        return metrics_page(self.scrape)

    def _count(self, outcome: str, reason: str = "") -> None:
        facts = {"ostler.standby.outcome": outcome, "ostler.standby.reason": reason}
        self._requests.add(1, {key: value for key, value in facts.items() if value})

    def is_stream(self, request: ForwardedRequest) -> bool:
        """Whether the answer to a request has no end."""
        return request.calls[0].get("method") in STREAMS

    async def answer(self, request: ForwardedRequest, receive: Receive, send: Send, *, is_late: bool = False) -> bool:
        """Answer a request; return False, with nothing sent, if only the holder can.

        Args:
            request: one that `reads`.
            receive: reads it again.
            send: the way to the client.
            is_late: answer although the mirror may not be current, and say how old the answer is.
        """
        app, age = self._app, self.age
        if app is None or (is_late and age is None):
            return False
        due, in_session = Handover(), said_in(request.scope) is not None
        answering = HeldAnswer(
            send,
            lambda status: due.is_due or (in_session and status in _NOT_HERE) or not (is_late or self.is_current),
            UNREACHABLE,
            age if is_late else None,
        )
        token = handover.set(due)
        scope = anyio.CancelScope()
        self._answering.add(scope)
        try:
            with scope:
                await app(dict(request.scope), receive, answering)
            if scope.cancelled_caught and answering.has_begun:  # a stream: its client opens it again
                await send({"type": "http.response.body", "body": b""})
        except Exception:  # boundary: what fails here, the holder may answer
            if answering.has_begun:
                raise
            logger.exception("a read could not be answered by this server, and is passed on")
            return False
        finally:
            self._answering.discard(scope)
            handover.reset(token)
        if answering.has_begun:
            self._count("aged" if is_late else "answered")
        return answering.has_begun


def _capabilities_in(params: Mapping[str, Any]) -> Mapping[str, Any]:
    return as_object(as_object(params.get("_meta")).get(CLIENT_CAPABILITIES_META_KEY))


def _confirms_reads(settings: Settings) -> bool:
    wanted = (settings.policy.confirm_tools, *(each.confirm_tools for each in settings.principals.values()))
    globs = tuple(glob for globs in wanted for glob in globs)
    return bool(globs) and any(map(PolicySettings.model_validate({"confirmTools": globs}).confirms_own, TOOLS))
