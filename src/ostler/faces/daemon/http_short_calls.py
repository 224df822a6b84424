"""The most frequent calls over HTTP, answered without the SDK's server: reads, and changes of one service.

A `service_status` takes microseconds to answer, and the SDK's way to it and back about a millisecond: a task group, a
context, five validations and four dumps of the answer (docs/figures/wire.md has the figures). This is the short way
for requests of protocol 2026-07-28 that are plain in every respect, to the tools that the SDK calls, too. Whatever
else a request says, the SDK answers it, faults included: nothing is refused here.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import Any, Final

from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    PROTOCOL_VERSION_META_KEY,
    SERVER_INFO_META_KEY,
    methods,
)
from pydantic import ValidationError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ostler.adapters.downstream.direct_calls import is_traced
from ostler.adapters.serving.answers import Answer
from ostler.faces.daemon.http_answers import WaitingClients, answer_json, replaying
from ostler.faces.hanging_up import WHEN_LOST, UntilHangingUp
from ostler.faces.mcp.server import Change, Look, OstlerServer
from ostler.faces.mcp.toolbox import CHANGES, LOOKS
from ostler.model.json import as_object, encoded_to_send, parse_json

VERSION: Final = "2026-07-28"

MAX_BODY: Final = 16_384
"""The largest request that is handled here, in bytes."""

_CALL: Final = "tools/call"
_TOOLS: Final = {name.encode(): name for name in LOOKS | CHANGES}
_ASKED: Final = {"roots", "elicitation"}
"""Capabilities of clients that can be asked during a call, which takes the SDK."""
_MESSAGE: Final = {"jsonrpc", "id", "method", "params"}
_PARAMS: Final = {"name", "arguments", "_meta"}
_ACCEPTED: Final = {"application/json", "text/event-stream"}
_USUAL: Final = b"application/json, text/event-stream"
_SURROGATE: Final = b"\\ud"
"""How JSON escapes half a character, which the SDK refuses in some places."""


class ShortCalls:
    """Answers plain calls of `toolbox.LOOKS` and `toolbox.CHANGES`, and leaves the rest to the application around."""

    def __init__(
        self, app: ASGIApp, look: Look, change: Change, server_info: Mapping[str, Any], waiting: WaitingClients
    ) -> None:
        self._app = app
        self._look = look
        self._change = change
        self._meta = {SERVER_INFO_META_KEY: dict(server_info)}
        self._waiting = waiting

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        tool = _tool_of(scope)
        if not tool or is_traced() or WHEN_LOST not in scope:
            await self._app(scope, receive, send)
            return
        message = await receive()
        request = _request_in(message, tool)
        if request is not None and tool in CHANGES:
            await self._answer_change(tool, request, scope, send)
            return
        answer = None if request is None else await self._look(tool, request["params"].get("arguments"))
        if request is None or answer is None:
            await self._app(scope, replaying(receive, [message]), send)
        else:
            await answer_json(send, 200, self._answer(request, answer))

    async def _answer_change(self, tool: str, request: dict[str, Any], scope: Scope, send: Send) -> None:
        """Make a change, and answer with how it went; a client cancels it by hanging up."""
        params = request["params"]
        client = str(as_object(params["_meta"].get(CLIENT_INFO_META_KEY)).get("name", ""))
        address: Sequence[Any] | None = scope.get("client")
        where = f"{address[0]}:{address[1]}" if address else ""
        waiting = self._waiting.add(send)
        try:
            with UntilHangingUp(scope):
                answer = self._answer(request, await self._change(tool, params.get("arguments"), client, where))
                await self._waiting.answer(waiting, answer)
        finally:
            self._waiting.drop(waiting)

    def _answer(self, request: Mapping[str, Any], answer: Answer) -> bytes:
        """Return the answer to a request, whole and as the SDK gives it."""
        envelope = {"jsonrpc": "2.0", "id": request["id"], "result": {**answer.unchecked(), "_meta": self._meta}}
        return encoded_to_send(envelope)


def with_short_calls(app: ASGIApp, server: object, waiting: WaitingClients) -> ASGIApp:
    """Return `app`, which serves `server`, behind the short way if the server has one.

    Clients whose change takes long are among `waiting`.
    """
    if not isinstance(server, OstlerServer) or server.look is None or server.change is None:
        return app
    return ShortCalls(app, server.look, server.change, server.server_info_stamp, waiting)


def _tool_of(scope: Scope) -> str:
    """Return the tool that the headers of a plain call name; empty for any other request."""
    headers = plain_headers(scope, _CALL)
    return "" if headers is None else _TOOLS.get(headers.get(b"mcp-name", b""), "")


def plain_headers(scope: Scope, method: str) -> dict[bytes, bytes] | None:
    """Return the headers of a request of `method` if they are plain; else None."""
    if scope["type"] != "http" or scope["method"] != "POST":
        return None
    pairs: list[tuple[bytes, bytes]] = scope["headers"]
    found = dict(pairs)
    is_plain = (
        found.get(b"mcp-method") == method.encode()
        and len(found) == len(pairs)  # which of two equal headers counts is for the SDK to say
        and found.get(b"mcp-protocol-version") == VERSION.encode()
        and found.get(b"content-type", b"").lower().startswith(b"application/json")
        and found.get(b"content-length", b"").isdigit()
        and int(found[b"content-length"]) <= MAX_BODY
        and b"\nmcp-param-" not in b"\n".join((b"", *found))
    )
    if not is_plain:
        return None
    if (accept := found.get(b"accept", b"")) == _USUAL:
        return found
    accepted = accept.decode("latin-1").split(",")
    return found if {kind.split(";")[0].strip().lower() for kind in accepted} >= _ACCEPTED else None


def _request_in(message: Message, tool: str) -> dict[str, Any] | None:
    """Return the call of `tool` that a message is, whose client is neither asked nor informed meanwhile; else None."""
    if message["type"] != "http.request" or message.get("more_body"):
        return None
    request = plain_request(message.get("body", b""), _CALL, _PARAMS)
    if request is None or request["params"].get("name") != tool:
        return None
    meta = request["params"]["_meta"]
    asked = meta[CLIENT_CAPABILITIES_META_KEY].keys() & _ASKED
    if tool in LOOKS:
        return None if "roots" in asked else request
    return None if asked or "progressToken" in meta else request


def plain_request(body: bytes, method: str, keys: AbstractSet[str]) -> dict[str, Any] | None:
    """Return the valid request of `method` that `body` is, with no params but `keys`; None if it is not."""
    if len(body) > MAX_BODY or _SURROGATE in body.lower():
        return None
    with suppress(ValueError, RecursionError, ValidationError):
        request = as_object(parse_json(body.decode()))  # strictly UTF-8: the escapes above are not to be seen in others
        params = as_object(request.get("params"))
        meta = as_object(params.get("_meta"))
        if (
            request.keys() == _MESSAGE
            and (request["jsonrpc"], request["method"]) == ("2.0", method)
            and type(request["id"]) in (int, str)
            and params.keys() <= keys
            and meta.get(PROTOCOL_VERSION_META_KEY) == VERSION
            and isinstance(meta.get(CLIENT_CAPABILITIES_META_KEY), dict)
        ):
            methods.validate_client_request(method, VERSION, params)
            return request
    return None
