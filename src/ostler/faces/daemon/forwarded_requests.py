"""A request that a standby server forwards: its client, whether it may be sent twice, and its answer."""

import hmac
import json
from collections.abc import Mapping
from functools import cache
from typing import Any, Final, cast

from msgspec import Struct
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ostler.adapters.serving.answers import error_result
from ostler.adapters.serving.arguments import Args
from ostler.adapters.serving.problems import accepted_names
from ostler.adapters.serving.table import Effect
from ostler.faces.daemon.http_answers import answer_json, header, refuse_busy
from ostler.faces.mcp.toolbox import TOOLS
from ostler.model.downstream_errors import ServerUnavailableError
from ostler.model.errors import OperationError, OstlerError
from ostler.model.json import as_object, parse_json

FORWARDED: Final = b"ostler-forwarded"
"""The header of a request that another server has passed on: it is not passed on again."""

ADDRESS: Final = b"ostler-client"
"""The header with the address of the client whose request was passed on, and the proof that a server says so."""

_KEY: Final = "idempotencyKey"
_WAIT: Final = "service_wait"
_OF_SERVICES: Final = ("service_", "project_", "core_service_")
"""How the names of tools begin that are about services, in each toolset."""

_OF_THE_HOP: Final = frozenset(
    {
        b"connection", b"content-length", b"expect", b"host", b"keep-alive", b"origin", b"proxy-authenticate",
        b"proxy-authorization", b"te", b"trailer", b"transfer-encoding", b"upgrade", FORWARDED, ADDRESS,
    }
)  # fmt: skip
"""Headers that are not passed on. Host and Origin were checked here, and name this server."""

_OF_THAT_HOP: Final = frozenset({b"connection", b"keep-alive", b"transfer-encoding", b"date", b"server"})
"""Headers of an answer that are not passed on."""


class ForwardedRequest(Struct, frozen=True):
    """A whole request.

    Attributes:
        scope: of the request.
        body: what was sent with it.
        calls: the JSON-RPC messages in it.
    """

    scope: Scope
    body: bytes
    calls: tuple[Mapping[str, Any], ...]

    @classmethod
    def of(cls, scope: Scope, body: bytes) -> "ForwardedRequest":
        """Return the request of `scope` with that body."""
        return cls(scope, body, tuple(_messages(body)) if scope["method"] == "POST" else ())

    @property
    def was_forwarded(self) -> bool:
        """Whether another server has passed it on."""
        return header(self.scope, FORWARDED) != b""

    @property
    def target(self) -> str:
        """Its path and query."""
        query = self.scope["query_string"].decode("latin-1")
        path = self.scope.get("raw_path", self.scope["path"].encode()).decode("latin-1")
        return f"{path}?{query}" if query else path

    def headers(self, key: bytes) -> list[tuple[bytes, bytes]]:
        """Return the headers to forward, with the address of the client, signed with the servers' `key`."""
        kept = [pair for pair in self.scope["headers"] if pair[0].lower() not in _OF_THE_HOP]
        if (client := self.scope.get("client")) is not None:
            address = f"{client[0]} {client[1]}".encode()
            kept.append((ADDRESS, address + b" " + _proof(key, address, self.scope)))
        return [*kept, (FORWARDED, b"1")]

    @property
    def may_repeat(self) -> bool:
        """Whether it can safely be sent again if it is unknown whether it was carried out."""
        return all(map(_may_repeat, self.calls))

    @property
    def changes_services(self) -> bool:
        """Whether it calls a tool that may change services."""
        reading, _ = _harmless_tools()
        called = (_arguments(call).get("name") if _name(call) == "call_tool" else _name(call) for call in self.calls)
        return any(str(name).startswith(_OF_SERVICES) and name not in reading for name in called)

    async def refuse(self, send: Send, why: str) -> None:
        """Answer that nothing was sent."""
        action = "the same call again in a few seconds"
        await self._fail(send, ServerUnavailableError(f"{why}; nothing was sent", next_actions=(action,)))

    async def report_unclear(self, send: Send) -> None:
        """Answer that the connection to the other server was lost before its answer came."""
        name = _arguments(self.calls[0]).get("name") if self.calls else None
        service = name if isinstance(name, str) and name else None
        error = OperationError(
            "the server that holds the database was lost before it answered, so it is not known whether this was "
            "carried out; another server goes on with what was begun",
            service=service,
            next_actions=(
                f"service_get {service} shows what was done" if service else "service_list shows what was done",
                f"calls with an {_KEY} are repeated automatically, and never done twice",
            ),
        )
        await self._fail(send, error)

    async def _fail(self, send: Send, error: OstlerError) -> None:
        """Answer a tool's call as a tool fails, so that a model can read it, and anything else by an HTTP status."""
        if len(self.calls) != 1 or self.calls[0].get("method") != "tools/call" or "id" not in self.calls[0]:
            await refuse_busy(send, str(error))
            return
        result = error_result(error).model_dump(mode="json", by_alias=True, exclude_none=True)
        answer = {"jsonrpc": "2.0", "id": self.calls[0]["id"], "result": result}
        await answer_json(send, 200, json.dumps(answer).encode())

    def replayed(self) -> Message:
        """Return the message with the whole body, for an application that reads the request again."""
        return {"type": "http.request", "body": self.body, "more_body": False}


class ForwardedClients:
    """Shows `app` the address of the client of a forwarded request, not that of the forwarding server.

    The address counts only with a proof by `key`, which the servers of a database share; anyone can send the header.
    """

    def __init__(self, app: ASGIApp, key: bytes) -> None:
        self._app = app
        self._key = key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (stated := header(scope, ADDRESS)):
            address, _, proof = stated.rpartition(b" ")
            host, _, port = address.rpartition(b" ")
            if hmac.compare_digest(proof, _proof(self._key, address, scope)):
                scope = {**scope, "client": (host.decode("latin-1"), int(port))}
        await self._app(scope, receive, send)


def _proof(key: bytes, address: bytes, scope: Scope) -> bytes:
    """Return the proof that a client with the token of this request asked from `address`."""
    text = b"\n".join((b"a client's address", address, header(scope, b"authorization")))
    return hmac.digest(key, text, "sha256").hex().encode()


class ForwardedAnswer:
    """The answer to a client, as it comes from the other server."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.was_sent = False
        """Whether anything of the request was sent to it."""
        self.has_begun = False
        self._has_length = False

    async def trace(self, event: str, _facts: dict[str, Any]) -> None:
        """Follow the request."""
        self.was_sent = self.was_sent or event == "http11.send_request_headers.started"

    async def begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        lower = ((name.lower(), value) for name, value in headers)
        kept = [pair for pair in lower if pair[0] not in _OF_THAT_HOP]
        self.has_begun = True
        self._has_length = any(name == b"content-length" for name, _ in kept)
        await self._send({"type": "http.response.start", "status": status, "headers": kept})

    async def go_on(self, chunk: bytes) -> None:
        await self._send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def break_off(self) -> None:
        """Cut off an answer whose rest was lost: a stream ends, any other answer is visibly incomplete."""
        if not self._has_length:
            await self.finish()

    async def finish(self) -> None:
        await self._send({"type": "http.response.body", "body": b""})


def only_reads(body: bytes) -> bool:
    """Whether nothing in a request changes anything, or waits for a change."""
    reading = _harmless_tools()[0] - {_WAIT}
    calls = (_name(message) for message in _messages(body) if message.get("method") == "tools/call")
    return all(name in reading for name in calls)


def _messages(body: bytes) -> list[Mapping[str, Any]]:
    try:
        content: Any = parse_json(body)
    except ValueError:
        return []  # refused by whoever answers, whether once or twice
    items = cast("list[Any]", content) if isinstance(content, list) else [content]
    return [cast("Mapping[str, Any]", item) for item in items if isinstance(item, dict)]


def _name(call: Mapping[str, Any]) -> object:
    name = as_object(call.get("params")).get("name")
    return name if isinstance(name, str) else ""


def _arguments(call: Mapping[str, Any]) -> Mapping[str, Any]:
    return as_object(as_object(call.get("params")).get("arguments"))


def _may_repeat(message: Mapping[str, Any]) -> bool:
    if message.get("method") != "tools/call":
        return True  # lists, resources, prompts, handshakes, notifications
    name = _name(message)
    reading, keyed = _harmless_tools()
    return name in reading or (name in keyed and bool(_arguments(message).get(_KEY)))


@cache
def _harmless_tools() -> tuple[frozenset[str], frozenset[str]]:
    """Return the tools that only read, and those that take an idempotency key."""

    def takes_key(args: type[Args]) -> bool:
        return _KEY in accepted_names(args)

    reading = frozenset(tool.name for tool in TOOLS if tool.effect is Effect.READS)
    return reading, frozenset(tool.name for tool in TOOLS if takes_key(tool.args))
