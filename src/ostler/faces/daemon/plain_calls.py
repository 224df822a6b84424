"""Calls of the command line, answered without the SDK's server: importing that takes longer than a program's start.

A command line sends one call after the other. Whatever else it sends, the SDK answers, from there on.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import anyio
from anyio.abc import ByteStream
from msgspec import Struct

from ostler.adapters.downstream.direct_calls import is_traced
from ostler.adapters.serving.answers import Answer, internal_error_answer
from ostler.faces.bridge.lines import LINE_LIMIT, READ_SIZE, LineTooLongError
from ostler.faces.daemon.streams import OutgoingMessages
from ostler.faces.mcp.progress import unhurried, unreported
from ostler.faces.mcp.toolbox import Toolbox
from ostler.model.json import JsonObject, as_object, parse_json

_PREFIX: Final = "io.modelcontextprotocol/"
_MESSAGE: Final = {"jsonrpc", "id", "method", "params"}
_PARAMS: Final = {"name", "arguments", "_meta"}
_ENCODE: Final = json.JSONEncoder(separators=(",", ":")).encode
_SURROGATE: Final = b"\\ud"
"""How JSON escapes half a character, which the SDK refuses in some places."""


class _Call(Struct, frozen=True):
    """A call that is plain in every respect.

    Attributes:
        key: the request's id.
        tool: its name.
        arguments: of the tool.
        client: the name that the client gives itself.
        token: reports of progress carry it; None: none are wanted.
        can_ask: the client shows questions to a person.
    """

    key: int | str
    tool: str
    arguments: Mapping[str, Any]
    client: str
    token: int | str | None
    can_ask: bool


class PlainCalls:
    """The calls on one connection.

    Args:
        stream: the client's.
        head: bytes that were read from it already.
        toolbox: answers.
    """

    def __init__(self, stream: ByteStream, head: bytes, toolbox: Toolbox) -> None:
        self._stream = stream
        self._unread = head
        self._toolbox = toolbox
        self._has_left = False

    async def answer(self, outgoing: OutgoingMessages) -> bytes | None:
        """Answer calls until the client leaves, or sends what is not plain; then return what the SDK is to read first.

        Raises:
            LineTooLongError: the client sent more than one message may hold.
        """
        while (line := await self._line()) is not None:
            call = None if is_traced() else _call_in(line)
            if call is None or not self._toolbox.takes(call.tool, can_ask=call.can_ask):
                return line + b"\n" + self._unread
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._watch, tasks.cancel_scope)
                try:
                    await self._answer(call, outgoing)
                except Exception as error:  # noqa: BLE001 (boundary: a fault must not leave its call unanswered)
                    _send_result(outgoing, call, internal_error_answer(call.tool, error))
                tasks.cancel_scope.cancel()
        return None

    async def _answer(self, call: _Call, outgoing: OutgoingMessages) -> None:
        async def report(done: float, total: float | None, message: str | None) -> None:
            facts = {"progressToken": call.token, "progress": done, "total": total, "message": message}
            params = {key: value for key, value in facts.items() if value is not None}
            outgoing.send_line(_encoded({"method": "notifications/progress", "params": params}))

        async with unhurried(report if call.token is not None else unreported) as progress:
            answer = await self._toolbox.change(call.tool, call.arguments, call.client, "", progress)
        _send_result(outgoing, call, answer)

    async def _line(self) -> bytes | None:
        """Return the next line; None if the client has left."""
        while b"\n" not in self._unread:
            if not await self._receive():
                return None
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    async def _watch(self, call: anyio.CancelScope) -> None:
        """Cancel `call` when the client leaves: no one is there to answer."""
        while await self._receive():
            pass
        call.cancel()

    async def _receive(self) -> bool:
        """Read what the client sends; return False once it has left."""
        if self._has_left:
            return False
        try:
            self._unread += await self._stream.receive(READ_SIZE)
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            self._has_left = True
            return False
        if len(self._unread) > LINE_LIMIT:
            raise LineTooLongError(LINE_LIMIT)
        return True


def _send_result(outgoing: OutgoingMessages, call: _Call, answer: Answer) -> None:
    outgoing.send_line(_encoded({"id": call.key, "result": answer.plain()}))


def _encoded(message: JsonObject) -> bytes:
    return _ENCODE({"jsonrpc": "2.0", **message}).encode() + b"\n"


def _call_in(line: bytes) -> _Call | None:
    """Return the call that a line is, if it is plain."""
    if _SURROGATE in line.lower():
        return None
    request: JsonObject = {}
    with suppress(ValueError):
        request = as_object(parse_json(line.decode()))
    params = as_object(request.get("params"))
    meta = as_object(params.get("_meta"))
    asked = meta.get(f"{_PREFIX}clientCapabilities")
    token = meta.get("progressToken")
    is_plain = (
        request.keys() == _MESSAGE
        and (request["jsonrpc"], request["method"]) == ("2.0", "tools/call")
        and type(request["id"]) in (int, str)
        and params.keys() <= _PARAMS
        and isinstance(params.get("name"), str)
        and isinstance(params.get("arguments"), dict)
        and meta.get(f"{_PREFIX}protocolVersion") == "2026-07-28"
        and isinstance(asked, dict)
        and "roots" not in asked
        and (token is None or type(token) in (int, str))
    )
    if not is_plain:
        return None
    client = str(as_object(meta.get(f"{_PREFIX}clientInfo")).get("name", ""))
    return _Call(request["id"], params["name"], params["arguments"], client, token, "elicitation" in as_object(asked))
