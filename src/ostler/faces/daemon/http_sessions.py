"""Sessions over HTTP that outlive the server, and outlive their own idle time.

The protocol's versions with sessions answer 404 for a session that is no longer there, and ask the client to begin
another. The clients that people use do not: with the SDKs for TypeScript (1.32, 2.4), Python (1.30, 2.3) and the AI
SDK's (2.0), every later call fails until someone reconnects. So a session's id carries what `initialize` said, signed
with a key of the state folder, and a session that is gone is opened again before the request is served.
"""

import base64
import hashlib
import hmac
import json
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, cast

import anyio
from mcp_types import INVALID_REQUEST
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ostler.adapters.state_keys import state_key
from ostler.faces.daemon.http_answers import SESSION, answer_in, answer_json, header, refuse_busy, replaying
from ostler.model.json import parse_json

KEY_FILE: Final = "http-sessions.key"
"""In the state folder, readable by the user alone: what the ids of sessions are signed with."""

MAX_REMEMBERED: Final = 10_000
"""Sessions whose successor or end is remembered; the oldest are forgotten first."""

_MAX_OPENING: Final = 1_024
"""Bytes of `initialize` that an id carries; of a client that says more, its session is opened without."""

_MAX_READ: Final = 4 * 1024 * 1024
"""Bytes of a request: of a longer one nothing more is read here, and the SDK refuses it."""

_VERSION: Final = b"mcp-protocol-version"
_DEFAULT_VERSION: Final = "2025-03-26"
"""What the protocol assumes of a request that names no version."""

_WITH_SESSIONS: Final = frozenset({b"", *(version.encode() for version in HANDSHAKE_PROTOCOL_VERSIONS)})
"""The versions that have sessions; a request that names none is one of them."""

_PLAIN: Final[dict[str, Any]] = {"capabilities": {}, "clientInfo": {"name": "unknown", "version": "0"}}
"""What the id of a session says of a client that says too much, or nothing, of itself."""

_NOT_FOUND: Final = 404
_KEPT_HEADERS: Final = frozenset({b"host", b"origin", b"authorization"})


def session_key(folder: Path) -> bytes:
    """Return the key of a state folder; create it if there is none.

    Raises:
        OSError: it cannot be read.
        StoreError: it cannot be written.
    """
    return state_key(folder / KEY_FILE)


class LastingSessions:
    """Reopens sessions that servers of this state folder opened earlier and that are gone.

    An ASGI application around the SDK's. Clients hold `<id>.<what initialize said>.<signature>`; the SDK sees the ids
    of its own sessions. A session that its client ended, and an id that no one signed, stay unknown.
    """

    def __init__(self, app: ASGIApp, key: bytes) -> None:
        self._app = app
        self._key = key
        self._successors: OrderedDict[str, str] = OrderedDict()
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._opening: dict[str, anyio.Event] = {}
        self._under_way: set[tuple[str, str]] = set()
        """Requests by session and id as text: to the SDK, 1 and "1" are one."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or header(scope, _VERSION) not in _WITH_SESSIONS:
            await self._app(scope, receive, send)
        elif held := header(scope, SESSION).decode("latin-1"):
            await self._serve_held(held, scope, receive, send)
        else:
            await self._open(scope, receive, send)

    async def _open(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a client open a session, and hand its id out with what the client said of itself."""
        said = bytearray()

        async def reading() -> Message:
            message = await receive()
            if len(said) <= _MAX_OPENING * 4:
                said.extend(message.get("body", b""))
            return message

        async def sending(message: Message) -> None:
            inner = header(message, SESSION).decode("latin-1") if message["type"] == "http.response.start" else ""
            await send(_with_session(message, self._sign(inner, _opening_in(bytes(said)))) if inner else message)

        try:
            await self._app(scope, reading, sending)
        finally:
            receive = send = _over

    async def _serve_held(self, held: str, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._is_signed(held) or held in self._ended:
            await self._app(scope, receive, send)  # the SDK says that there is no such session
            return
        if scope["method"] == "DELETE":
            _remember(self._ended, held, None)
        read: list[Message] = []
        number = await _id_of(receive, read)
        if number is None:
            await self._serve_read(held, scope, receive, read, send)
            return
        request = held, str(number)
        if request in self._under_way:  # the SDK would never answer the first one
            await answer_json(send, 400, _repeated(number))
            return
        self._under_way.add(request)
        is_answered = False

        async def sending(message: Message) -> None:
            nonlocal is_answered
            body = message.get("body", b"")
            is_last = message["type"] == "http.response.body" and (not message.get("more_body") or answer_in(body))
            if is_last and not is_answered:
                is_answered = True
                self._under_way.discard(request)  # the client may send the next one as soon as it has this
            await send(message)

        try:
            await self._serve_read(held, scope, receive, read, sending)
        finally:
            if not is_answered:  # else the id may be that of the next one by now
                self._under_way.discard(request)

    async def _serve_read(self, held: str, scope: Scope, receive: Receive, read: list[Message], send: Send) -> None:
        """Serve a request of which `read` has been received, in a session that is opened again if need be."""
        inner = self._successors.get(held, held.partition(".")[0])
        if await self._try(held, inner, scope, replaying(receive, read), send):
            return
        fresh = await self._reopen(held, inner, scope)
        if not fresh:
            await refuse_busy(send, "too many sessions are open")
            return
        await self._try(held, fresh, scope, replaying(receive, read), send, last=True)

    async def _try(
        self, held: str, inner: str, scope: Scope, receive: Receive, send: Send, *, last: bool = False
    ) -> bool:
        """Serve the request in the session `inner`; return False, with nothing sent, if that is not there."""
        missing = False

        async def sending(message: Message) -> None:
            nonlocal missing
            if message["type"] == "http.response.start":
                missing = message["status"] == _NOT_FOUND and scope["method"] != "DELETE" and not last
            if not missing:
                await send(_with_session(message, held))

        async def receiving() -> Message:
            return await receive()

        try:
            await self._app(_in_session(scope, inner), receiving, sending)
        finally:
            receive = send = _over
        return not missing

    async def _reopen(self, held: str, gone: str, scope: Scope) -> str:
        """Return the session that takes the place of `gone`, "" where none can be opened; requests at once share it."""
        while (other := self._opening.get(held)) is not None:
            await other.wait()
        if (known := self._successors.get(held, gone)) != gone:
            return known
        done = self._opening[held] = anyio.Event()
        try:
            version = header(scope, _VERSION).decode() or _DEFAULT_VERSION
            initialize = {"jsonrpc": "2.0", "id": 0, "method": "initialize"}
            fresh = await self._post(
                {**initialize, "params": {**_opening_of(held), "protocolVersion": version}}, scope, ""
            )
            if fresh:
                await self._post({"jsonrpc": "2.0", "method": "notifications/initialized"}, scope, fresh)
                _remember(self._successors, held, fresh)
            return fresh
        finally:
            del self._opening[held]
            done.set()

    async def _post(self, message: dict[str, Any], scope: Scope, session: str) -> str:
        """Send `message` on the client's behalf; return the id of the session that it belongs to, "" for none."""
        found = ""
        body: bytes | None = json.dumps(message).encode()

        async def receive() -> Message:
            nonlocal body
            if body is None:
                await anyio.sleep_forever()  # the client stays until it has its answer
            sent, body = body, None
            return {"type": "http.request", "body": sent, "more_body": False}

        async def send(answer: Message) -> None:
            nonlocal found
            if answer["type"] == "http.response.start":
                found = header(answer, SESSION).decode("latin-1")

        headers = [pair for pair in scope["headers"] if pair[0].lower() in _KEPT_HEADERS]
        headers += [(b"content-type", b"application/json"), (b"accept", b"application/json, text/event-stream")]
        request = {**scope, "method": "POST", "headers": headers}
        await self._app(_in_session(request, session) if session else request, receive, send)
        return found

    def _sign(self, inner: str, opening: dict[str, Any]) -> str:
        said = json.dumps(opening, separators=(",", ":")).encode()
        text = f"{inner}.{base64.urlsafe_b64encode(said).decode().rstrip('=')}"
        return f"{text}.{self._mac(text)}"

    def _is_signed(self, held: str) -> bool:
        text, _, mac = held.rpartition(".")
        return hmac.compare_digest(mac.encode("latin-1"), self._mac(text).encode())

    def _mac(self, text: str) -> str:
        return hmac.new(self._key, text.encode("latin-1"), hashlib.sha256).hexdigest()[:32]


def said_in(scope: Scope) -> Mapping[str, Any] | None:
    """Return what `initialize` said in the session of a request: its client's name and capabilities.

    None if the request is in no session, or the session's id does not have all of that. It is what the id says:
    whether this server's key signed it shows when the request is served.
    """
    held = header(scope, SESSION).decode("latin-1")
    if header(scope, _VERSION) not in _WITH_SESSIONS or not held:
        return None
    with suppress(ValueError, IndexError):
        said: Any = _opening_of(held)
        return None if said == _PLAIN or not isinstance(said, dict) else cast("dict[str, Any]", said)
    return None


def _opening_of(held: str) -> dict[str, Any]:
    """Return what `initialize` said, as the signed id of a session carries it."""
    said = held.split(".")[1]
    return parse_json(base64.urlsafe_b64decode(said + "=" * (-len(said) % 4)))


def _opening_in(body: bytes) -> dict[str, Any]:
    """Return the client's name and capabilities from its `initialize`; a plain client if they are too large."""
    with suppress(ValueError, RecursionError):
        message: Any = parse_json(body)
        params: Any = cast("dict[str, Any]", message).get("params") if isinstance(message, dict) else None
        if isinstance(params, dict):
            given = cast("dict[str, Any]", params)
            said = {key: given[key] for key in _PLAIN if isinstance(given.get(key), dict)}
            if len(json.dumps(said)) <= _MAX_OPENING:
                return {**_PLAIN, **said}
    return _PLAIN


async def _id_of(receive: Receive, read: list[Message]) -> int | str | None:
    """Receive a request into `read`, and return its id; None if it has none, or is too long to be read here."""
    size = 0
    while not read or (read[-1].get("more_body") and size <= _MAX_READ):
        read.append(await receive())
        size += len(read[-1].get("body", b""))
    with suppress(ValueError):
        message: Any = parse_json(b"".join(part.get("body", b"") for part in read))
        number: Any = cast("dict[str, Any]", message).get("id") if isinstance(message, dict) else None
        if isinstance(number, int | str) and not isinstance(number, bool) and "method" in message:
            return number
    return None


def _repeated(number: int | str) -> bytes:
    text = f"a request with the id {json.dumps(number)} is under way in this session. Next: another id for each request"
    error = {"code": INVALID_REQUEST, "message": text}
    return json.dumps({"jsonrpc": "2.0", "id": number, "error": error}).encode()


async def _over(*_: object) -> Any:
    """Replace `receive` and `send` of a request that is over.

    The SDK keeps the last requests of a session that waits for the next one, and they kept their connection: 5 KiB.
    """
    raise RuntimeError("this request is over")


def _in_session(scope: Scope, inner: str) -> Scope:
    others = [pair for pair in scope["headers"] if pair[0].lower() != SESSION]
    return {**scope, "headers": [*others, (SESSION, inner.encode("latin-1"))]}


def _with_session(message: Message, held: str) -> Message:
    """Return the start of an answer with the id that the client knows; any other message as it is."""
    if message["type"] != "http.response.start" or not header(message, SESSION):
        return message
    others = [pair for pair in message["headers"] if pair[0].lower() != SESSION]
    return {**message, "headers": [*others, (SESSION, held.encode("latin-1"))]}


def _remember(known: OrderedDict[str, Any], key: str, value: Any) -> None:
    known[key] = value
    known.move_to_end(key)
    if len(known) > MAX_REMEMBERED:
        known.popitem(last=False)
